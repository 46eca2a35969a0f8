//! Text as people read it: grapheme clusters and columns instead of characters, and text from outside without what a terminal obeys.
//! Pure.
//!
//! Not responsible for the escapes of a file format ([`export`](crate::export)) and for the folding of a search
//! ([`history`](crate::history)).

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Returns the grapheme clusters of `text` (what a reader takes for one letter, with its accents and vowel signs), each with its place
/// in bytes.
pub fn clusters(text: &str) -> impl DoubleEndedIterator<Item = (usize, &str)> {
    text.grapheme_indices(true)
}

/// Returns the width of `text` in columns of a terminal: a wide character, such as a Chinese one or an emoji, takes two.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { clusters(text).map(|(_, cluster)| cluster.width()).sum() }
}

/// Returns the longest beginning of `text` that ends between two grapheme clusters and takes at most `columns` columns.
#[must_use]
pub fn fitting(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let over = clusters(text).find(|(_, cluster)| {
        used += width(cluster);
        used > columns
    });
    &text[..over.map_or(text.len(), |(at, _)| at)]
}

/// Returns the longest beginning of `text` that ends between two grapheme clusters and has at most `chars` characters.
#[must_use]
pub fn beginning(text: &str, chars: usize) -> &str {
    let Some((end, _)) = text.char_indices().nth(chars) else { return text };
    let last = clusters(text).take_while(|(at, cluster)| at + cluster.len() <= end).last();
    &text[..last.map_or(0, |(at, cluster)| at + cluster.len())]
}

/// Returns `text` without its first `chars` characters and without the rest of the grapheme cluster that they end in.
#[must_use]
pub fn without_beginning(text: &str, chars: usize) -> &str {
    let begin = text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    &text[cluster_from(text, begin)..]
}

/// Returns the place in bytes of the first grapheme cluster of `text` that begins at byte `from` or behind it; the length of `text`
/// without one.
#[must_use]
pub fn cluster_from(text: &str, from: usize) -> usize {
    clusters(text).map(|(at, _)| at).find(|at| *at >= from).unwrap_or(text.len())
}

/// Returns `text` with each character that a terminal obeys replaced by a space; line breaks and tabs stay.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    replaced(text, |c| c.is_control() && c != '\n' && c != '\t')
}

/// Returns `name`, which comes from outside (of a file, a device, a model, a session), fit for one line: each control character, line
/// break and mark that turns the direction of the text around is replaced by a space.
#[must_use]
pub fn clean_name(name: &str) -> Cow<'_, str> {
    replaced(name, |c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

/// Returns `text` in one line: each run of white space and control characters is replaced by one space, and there is none at the ends.
#[must_use]
pub fn one_line(text: &str) -> String {
    let clean = clean_name(text);
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn replaced(text: &str, harmful: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.contains(&harmful) { text.replace(harmful, " ").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thai "water" (a consonant with a tone mark and a vowel), and a family of four that is one emoji.
    const WATER: &str = "น้ำ";
    const FAMILY: &str = "👨‍👩‍👧‍👦";

    #[test]
    fn width_counts_wide_characters_twice_and_marks_not_at_all() {
        for (text, columns) in [("abc", 3), ("你好", 4), ("한", 2), ("e\u{301}", 1), ("ที่", 1), (FAMILY, 2), ("ｱ", 1), ("", 0)]
        {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn text_is_cut_between_clusters_only() {
        assert_eq!((fitting("你好", 3), fitting("abc", 9), fitting(FAMILY, 1)), ("你", "abc", ""));
        let text = format!("a{WATER}b");
        assert_eq!((beginning(&text, 2), beginning(&text, 4), beginning(&text, 99)), ("a", &text[..text.len() - 1], text.as_str()));
        assert_eq!((without_beginning(&text, 2), without_beginning(&text, 1), without_beginning(&text, 99)), ("b", &text[1..], ""));
        assert_eq!(without_beginning(&format!("{FAMILY}x"), 1), "x");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile = "a\u{1b}[2Jb\u{7}c\nd\u{9b}31m\u{202e}e\u{7f}\tf";
        assert_eq!(clean(hostile), "a [2Jb c\nd 31m\u{202e}e \tf");
        assert_eq!(clean_name(hostile), "a [2Jb c d 31m e  f");
        assert_eq!(one_line(&format!(" {hostile}\r\n")), "a [2Jb c d 31m e f");
        assert!(matches!(clean_name("Überstunden 你好.wav"), Cow::Borrowed(_)));
    }
}
