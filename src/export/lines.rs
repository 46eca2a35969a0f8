//! Line breaking for subtitles, by display width.

use crate::transcript::uses_spaces;

/// Largest width of a subtitle line, in columns (BBC subtitle guidelines: 37 to 42 letters); a wide character takes two columns.
pub(super) const LINE_COLUMNS: usize = 42;

/// Returns `text` with white space and control characters replaced by single spaces, and without spaces at the ends.
pub(super) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Returns the width of `text` in columns; a wide character takes two columns.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Breaks `text`, which [`one_line`] has prepared, into lines of at most [`LINE_COLUMNS`]: at spaces, between Chinese or Japanese
/// characters, and inside a word only if the word is longer than a line.
pub(super) fn wrap(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for (space, unit) in units(text) {
        if !line.is_empty() && width(&line) + usize::from(space) + width(unit) > LINE_COLUMNS {
            lines.push(std::mem::take(&mut line));
        } else if space && !line.is_empty() {
            line.push(' ');
        }
        for c in unit.chars() {
            if !line.is_empty() && width(&line) + columns(c) > LINE_COLUMNS {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.extend(Some(line).filter(|line| !line.is_empty()));
    lines
}

/// Splits `text` into units that stay on one line, each with a flag that is true if a space precedes the unit. A unit is a word, or a
/// single character of a script without spaces with the punctuation that belongs to the character.
fn units(text: &str) -> Vec<(bool, &str)> {
    let mut units = Vec::new();
    for (n, word) in text.split(' ').filter(|word| !word.is_empty()).enumerate() {
        let mut start = 0;
        let mut before: Option<char> = None;
        for (at, c) in word.char_indices() {
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
    "，。！？、；：）」』】》〉”’…,.!?;:)]}%".contains(c)
}

/// Returns true if a line must not end with `c`.
fn cannot_end_line(c: char) -> bool {
    "（「『【《〈“‘([{".contains(c)
}

/// Returns the width of `c` in columns: two for East Asian wide characters and emoji (Unicode annex 11, by block).
fn columns(c: char) -> usize {
    let wide = !uses_spaces(c) || matches!(c, '\u{1100}'..='\u{115f}' | '\u{ac00}'..='\u{d7a3}' | '\u{1f300}'..='\u{1faff}');
    if wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_and_no_line_is_wider_than_the_screen() {
        let text = one_line("  The quick\tbrown fox\njumps over the lazy dog, and then it runs away again. ");
        assert_eq!(wrap(&text), ["The quick brown fox jumps over the lazy", "dog, and then it runs away again."]);
        assert!(wrap("").is_empty());
        assert_eq!(wrap(&"x".repeat(100)).iter().map(|line| width(line)).collect::<Vec<_>>(), [42, 42, 16]);
    }

    #[test]
    fn chinese_is_broken_by_width_and_keeps_its_punctuation() {
        let text = format!("{}。{}", "你".repeat(21), "好".repeat(5));
        assert_eq!(wrap(&text), ["你".repeat(20), format!("你。{}", "好".repeat(5))]);
        assert_eq!(wrap("你好 world 世界"), ["你好 world 世界"]);
        assert_eq!(width("你a한"), 5);
    }
}
