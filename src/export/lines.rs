//! Line breaking for subtitles, by display width.

use crate::text::{clusters, width};
use crate::transcript::uses_spaces;

/// Largest width of a subtitle line, in columns (BBC subtitle guidelines: 37 to 42 letters); a wide character takes two columns.
pub(super) const LINE_COLUMNS: usize = 42;

/// Breaks `text`, which is a single line, into lines of at most [`LINE_COLUMNS`]: at spaces, between the letters of a script without
/// spaces (Chinese, Thai), and inside another word only if the word is longer than a line; never inside a grapheme cluster.
pub(super) fn wrap(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for (space, unit) in units(text) {
        if !line.is_empty() && width(&line) + usize::from(space) + width(unit) > LINE_COLUMNS {
            lines.push(std::mem::take(&mut line));
        } else if space && !line.is_empty() {
            line.push(' ');
        }
        for (_, letter) in clusters(unit) {
            if !line.is_empty() && width(&line) + width(letter) > LINE_COLUMNS {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(letter);
        }
    }
    lines.extend(Some(line).filter(|line| !line.is_empty()));
    lines
}

/// Splits `text` into units that stay on one line, each with a flag that is true if a space precedes the unit. A unit is a word, or a
/// single letter of a script without spaces with the punctuation that belongs to it.
fn units(text: &str) -> Vec<(bool, &str)> {
    let mut units = Vec::new();
    for (n, word) in text.split(' ').filter(|word| !word.is_empty()).enumerate() {
        let mut start = 0;
        let mut before: Option<char> = None;
        for (at, letter) in clusters(word) {
            let Some(c) = letter.chars().next() else { continue };
            let breaks =
                before.is_some_and(|before| (!uses_spaces(before) || !uses_spaces(c)) && !cannot_begin_line(c) && !cannot_end_line(before));
            if breaks {
                units.push((n > 0 && start == 0, &word[start..at]));
                start = at;
            }
            before = Some(c);
        }
        units.push((n > 0 && start == 0, &word[start..]));
    }
    units
}

/// Returns true if a line must not begin with `c`.
fn cannot_begin_line(c: char) -> bool {
    "，。！？、；：）」』】》〉”’…,.!?;:)]}%ะาๅๆฯ".contains(c)
}

/// Returns true if a line must not end with `c`.
fn cannot_end_line(c: char) -> bool {
    "（「『【《〈“‘([{เแโใไ".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_and_no_line_is_wider_than_the_screen() {
        let text = "The quick brown fox jumps over the lazy dog, and then it runs away again.";
        assert_eq!(wrap(text), ["The quick brown fox jumps over the lazy", "dog, and then it runs away again."]);
        assert!(wrap("").is_empty());
        assert_eq!(wrap(&"x".repeat(100)).iter().map(|line| width(line)).collect::<Vec<_>>(), [42, 42, 16]);
    }

    #[test]
    fn chinese_is_broken_by_width_and_keeps_its_punctuation() {
        let text = format!("{}。{}", "你".repeat(21), "好".repeat(5));
        assert_eq!(wrap(&text), ["你".repeat(20), format!("你。{}", "好".repeat(5))]);
        assert_eq!(wrap("你好 world 世界"), ["你好 world 世界"]);
    }

    #[test]
    fn no_line_begins_with_a_mark_or_with_a_part_of_an_emoji() {
        // Thai, Devanagari and decomposed Latin without a space, and an emoji of seven characters.
        for letter in ["น้ำ", "ที่", "क्षि", "e\u{301}", "👨‍👩‍👧‍👦", "🇩🇪"] {
            let text = letter.repeat(60);
            let lines = wrap(&text);
            assert!(lines.len() > 1 && lines.concat() == text, "{lines:?}");
            assert!(
                lines.iter().all(|line| width(line) <= LINE_COLUMNS && line.starts_with(letter) && line.ends_with(letter)),
                "{lines:?}"
            );
        }
        assert_eq!(wrap("ภาษาไทย ".repeat(9).trim()).len(), 2, "Thai breaks where a line is full, and at its spaces");
    }
}
