//! Text folded for search, so that "cafe" finds "Café", "strasse" finds "Straße", and "full" finds "ＦＵＬＬ". Pure functions.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::decompose_canonical;

use crate::text::clusters;

/// Returns `text` as it is compared: in small letters, without accents, in one width and one form of compatible characters (NFKC).
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    clusters(text).fold(String::with_capacity(text.len()), |mut folded, (_, cluster)| {
        fold_cluster(cluster, &mut folded);
        folded
    })
}

/// Appends the folded form of a grapheme cluster to `folded`; nothing for an accent that stands alone. Characters combine within a
/// cluster only, so a text can be folded cluster by cluster.
fn fold_cluster(cluster: &str, folded: &mut String) {
    for c in cluster.nfkc() {
        let mut letters = smallvec::SmallVec::<[char; 4]>::new();
        let mut has_mark = false;
        decompose_canonical(c, |part| if is_optional_mark(part) { has_mark = true } else { letters.push(part) });
        if !has_mark {
            // Also Korean, whose syllables would fall apart into letters.
            letters = [c].into_iter().collect();
        }
        // Capital and back: `ß` becomes `ss` and the `ς` at the end of a word `σ`.
        let small = letters.into_iter().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
        folded.extend(small.filter(|c| !is_optional_mark(*c) && !is_invisible(*c)).map(plain_quote));
    }
}

/// Returns true for the marks that people leave out when they search: accents, and the vowel points of Hebrew and Arabic. Marks of
/// other scripts, for example of Japanese, make another word.
const fn is_optional_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

/// Returns true for characters that nobody sees: soft hyphens, joiners, marks of direction, choices of a variant.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Returns the plain form of a quotation mark or apostrophe, and any other character as it is.
const fn plain_quote(c: char) -> char {
    match c {
        '‘' | '’' | 'ʼ' | '‚' => '\'',
        '“' | '”' | '„' | '«' | '»' | '「' | '」' | '『' | '』' => '"',
        c => c,
    }
}

/// Returns the folded words of a searched text, which stand between spaces, without quotation marks and without the punctuation around
/// them. A word of nothing but punctuation stays.
pub(super) fn words_of(query: &str) -> Vec<String> {
    // SQLite takes a zero for the end of a text.
    let folded = fold(&query.replace('\0', " "));
    let bare = |word: &str| {
        let punctuation = |c: char| matches!(c, '\'' | '.' | ',' | ';' | ':' | '!' | '?' | '。' | '、');
        let bare = word.trim_matches(punctuation);
        (if bare.is_empty() { word } else { bare }).to_owned()
    };
    folded.split(|c: char| c.is_whitespace() || c == '"').filter(|word| !word.is_empty()).map(bare).collect()
}

/// Returns true if `text` contains each word of `query`, in any order, as parts of words and without regard to what folding removes.
#[must_use]
pub fn has_all_words(query: &str, text: &str) -> bool {
    let text = fold(text);
    words_of(query).iter().all(|word| text.contains(word))
}

/// Returns the places of the words of `query` in `text`, in bytes, ordered and without overlap; empty if the query is. Letters count
/// as equal where they differ only in what folding removes. A place begins and ends between grapheme clusters.
#[must_use]
pub fn places_of(query: &str, text: &str) -> Vec<Range<usize>> {
    let mut folded = String::new();
    // For each byte of the folded text, the cluster of the text that it comes from.
    let mut origins: Vec<Range<usize>> = Vec::new();
    for (at, cluster) in clusters(text) {
        fold_cluster(cluster, &mut folded);
        origins.resize(folded.len(), at..at + cluster.len());
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
    fn folding_removes_case_accents_width_and_compatible_forms_and_keeps_other_scripts() {
        let table = [
            ("CAFÉ Ünïcode İstanbul", "cafe unicode istanbul"),
            ("cafe\u{301}", "cafe"),
            ("Straße ΣΟΦΟΣ σοφός", "strasse σοφοσ σοφοσ"),
            ("ＦＵＬＬ ﬁne ① x² ㎏", "full fine 1 x2 kg"),
            ("ｶﾞｷﾞ が", "ガギ が"),
            ("한국 \u{1112}\u{1161}\u{11ab}", "한국 한"),
            ("天气 ﷲ", "天气 الله"),
            ("שָׁלוֹם مَرْحَبًا كـتاب", "שלום مرحبا كتاب"),
            ("น้ำ कि", "น้\u{e4d}า कि"),
            ("co\u{ad}operate\u{200b} ☀\u{fe0f} don’t “so”", "cooperate ☀ don't \"so\""),
        ];
        for (text, folded) in table {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn the_words_of_a_query_stand_between_blanks_and_quotation_marks() {
        let table = [
            (" What\0is  É\u{301} \u{301}", vec!["what", "is", "e"]),
            ("\"weather\" in 'Paris'?", vec!["weather", "in", "paris"]),
            ("“good\u{3000}morning”", vec!["good", "morning"]),
            ("don't 3.5 a.m. 「天气」，", vec!["don't", "3.5", "a.m", "天气", ","]),
            ("% ? \"", vec!["%", "?"]),
        ];
        for (query, words) in table {
            assert_eq!(words_of(query), words, "{query}");
        }
        assert!(has_all_words("café  OLD", "the old CAFE") && !has_all_words("old bar", "the old café") && has_all_words("", "x"));
    }

    #[test]
    fn the_places_of_words_are_in_the_bytes_of_the_text() {
        let marked = |query: &str, text: &str| places_of(query, text).into_iter().map(|place| text[place].to_owned()).collect::<Vec<_>>();
        assert_eq!(marked("cafe old", "The old Café, my CAFE\u{301}."), ["old", "Café", "CAFE\u{301}"]);
        assert_eq!(marked("天气", "今天天气很好"), ["天气"]);
        assert_eq!(marked("na am", "name"), ["nam"], "overlapping words are one place");
        assert_eq!(marked("strasse full", "Straße ＦＵＬＬ"), ["Straße", "ＦＵＬＬ"]);
        assert_eq!(marked("ガ", "ｱｶﾞ"), ["ｶﾞ"]);
        assert_eq!(marked("", "name"), Vec::<String>::new());
        assert_eq!(marked("x", "\u{301}name"), Vec::<String>::new());
    }
}
