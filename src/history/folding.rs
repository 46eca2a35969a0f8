//! Text folded for search: in small letters and without accents, so that "cafe" finds "Café". Pure functions.

use std::ops::Range;

use unicode_normalization::char::decompose_canonical;

/// The combining accents that folding removes. The index of the database ignores the same ones; marks of other scripts, for example
/// of Japanese, change the word and stay.
const ACCENTS: std::ops::RangeInclusive<char> = '\u{300}'..='\u{36f}';

/// Returns `text` in small letters and without accents.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().flat_map(fold_char).collect() }
}

/// Returns the small letters of a character without its accents: one, several or, for an accent that stands alone, none.
fn fold_char(c: char) -> impl Iterator<Item = char> {
    let mut parts = smallvec::SmallVec::<[char; 4]>::new();
    let mut has_accent = false;
    decompose_canonical(c, |part| if ACCENTS.contains(&part) { has_accent = true } else { parts.push(part) });
    if !has_accent {
        // Also Korean, whose syllables would fall apart into letters.
        parts = [c].into_iter().collect();
    }
    parts.into_iter().flat_map(char::to_lowercase).filter(|c| !ACCENTS.contains(c))
}

/// Returns the folded words of a searched text, which stand between spaces.
pub(super) fn words_of(query: &str) -> Vec<String> {
    // SQLite takes a zero for the end of a text.
    query.replace('\0', " ").split_whitespace().map(fold).filter(|word| !word.is_empty()).collect()
}

/// Returns the places of the words of `query` in `text`, in bytes, ordered and without overlap; empty if the query is. Letters count
/// as equal where they differ in case or accents only.
#[must_use]
pub fn places_of(query: &str, text: &str) -> Vec<Range<usize>> {
    let mut folded = String::new();
    // For each byte of the folded text, the character of the text that it comes from.
    let mut origins: Vec<Range<usize>> = Vec::new();
    for (at, c) in text.char_indices() {
        folded.extend(fold_char(c));
        // An accent that stands alone belongs to the letter before it.
        if origins.len() == folded.len()
            && let Some(last) = origins.last_mut()
        {
            last.end = at + c.len_utf8();
        }
        origins.resize(folded.len(), at..at + c.len_utf8());
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    for word in words_of(query) {
        found.extend(folded.match_indices(&word).map(|(at, _)| origins[at].start..origins[at + word.len() - 1].end));
    }
    found.sort_by_key(|place| (place.start, place.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for place in found {
        match merged.last_mut() {
            Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
            _ => merged.push(place),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_removes_case_and_accents_and_keeps_other_scripts() {
        assert_eq!(fold("CAFÉ Ünïcode İstanbul"), "cafe unicode istanbul");
        assert_eq!(fold("cafe\u{301}"), "cafe");
        assert_eq!((fold("が"), fold("한국"), fold("天气")), ("が".into(), "한국".into(), "天气".into()));
        assert_eq!(words_of(" What\0is  É\u{301} \u{301}"), ["what", "is", "e"]);
    }

    #[test]
    fn the_places_of_words_are_in_the_bytes_of_the_text() {
        let marked = |query: &str, text: &str| places_of(query, text).into_iter().map(|place| text[place].to_owned()).collect::<Vec<_>>();
        assert_eq!(marked("cafe old", "The old Café, my CAFE\u{301}."), ["old", "Café", "CAFE\u{301}"]);
        assert_eq!(marked("天气", "今天天气很好"), ["天气"]);
        assert_eq!(marked("na am", "name"), ["nam"], "overlapping words are one place");
        assert_eq!(marked("", "name"), Vec::<String>::new());
        assert_eq!(marked("x", "\u{301}name"), Vec::<String>::new());
    }
}
