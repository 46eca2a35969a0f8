//! Text normalisation before scoring: Whisper's English rules, and its basic rules for other languages.
//!
//! Pure. An implementation of the published rules of openai-whisper 20250625 (`EnglishTextNormalizer`, `BasicTextNormalizer`),
//! so that word error rates are comparable with published ones. Tests compare it with the output of that package.

mod numbers;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::model::unicode::{self, CharClass};

/// Symbols that belong to numbers; [`without_symbols`] keeps them.
const NUMERIC: &str = ".%$¢€£";
/// Filler words, which [`without_fillers`] removes.
const FILLERS: &[&str] = &["hmm", "mm", "mhm", "mmm", "uh", "um"];
/// Letters that Unicode does not decompose into an ASCII letter and a mark, with their ASCII spelling.
const LETTERS: &[(char, &str)] = &[
    ('œ', "oe"),
    ('Œ', "OE"),
    ('ø', "o"),
    ('Ø', "O"),
    ('æ', "ae"),
    ('Æ', "AE"),
    ('ß', "ss"),
    ('ẞ', "SS"),
    ('đ', "d"),
    ('Đ', "D"),
    ('ð', "d"),
    ('Ð', "D"),
    ('þ', "th"),
    ('Þ', "th"),
    ('ł', "l"),
    ('Ł', "L"),
];
/// Whole words and their replacements, in the order of replacement.
const WORDS: &[(&str, &str)] = &[
    ("won't", "will not"),
    ("can't", "can not"),
    ("let's", "let us"),
    ("ain't", "aint"),
    ("y'all", "you all"),
    ("wanna", "want to"),
    ("gotta", "got to"),
    ("gonna", "going to"),
    ("i'ma", "i am going to"),
    ("imma", "i am going to"),
    ("woulda", "would have"),
    ("coulda", "could have"),
    ("shoulda", "should have"),
    ("ma'am", "madam"),
    ("mr", "mister "),
    ("mrs", "missus "),
    ("st", "saint "),
    ("dr", "doctor "),
    ("prof", "professor "),
    ("capt", "captain "),
    ("gov", "governor "),
    ("ald", "alderman "),
    ("gen", "general "),
    ("sen", "senator "),
    ("rep", "representative "),
    ("pres", "president "),
    ("rev", "reverend "),
    ("hon", "honorable "),
    ("asst", "assistant "),
    ("assoc", "associate "),
    ("lt", "lieutenant "),
    ("col", "colonel "),
    ("jr", "junior "),
    ("sr", "senior "),
    ("esq", "esquire "),
];
/// Endings of words and their replacements, in the order of replacement; after [`WORDS`].
const ENDS: &[(&str, &str)] = &[
    ("'d been", " had been"),
    ("'s been", " has been"),
    ("'d gone", " had gone"),
    ("'s gone", " has gone"),
    ("'d done", " had done"),
    ("'s got", " has got"),
    ("n't", " not"),
    ("'re", " are"),
    ("'s", " is"),
    ("'d", " would"),
    ("'ll", " will"),
    ("'t", " not"),
    ("'ve", " have"),
    ("'m", " am"),
];

/// Whole words in British spelling with their American counterparts, from `normalise/spelling.txt`.
static SPELLING: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let bare = |part: &str| if part == "-" { String::new() } else { part.to_owned() };
    let mut words = HashMap::new();
    for line in include_str!("normalise/spelling.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut parts = line.split(' ');
        let (british, american) = (bare(parts.next().unwrap_or("-")), bare(parts.next().unwrap_or("-")));
        words.extend(parts.map(|end| (format!("{british}{}", bare(end)), format!("{american}{}", bare(end)))));
    }
    words
});

/// Normalises English `text` by Whisper's rules: lower case, no bracketed text and fillers, no punctuation outside numbers,
/// contractions written out, numbers in digits, American spelling, single spaces. Letters of other scripts stay.
#[must_use]
pub fn english(text: &str) -> String {
    let mut text = without_fillers(&without_brackets(&text.to_lowercase()));
    text = join_apostrophes(&text);
    for (word, with) in WORDS {
        text = replaced(&text, word, with, MatchAt::WholeWord);
    }
    for (end, with) in ENDS {
        text = replaced(&text, end, with, MatchAt::WordEnd);
    }
    text = without_stops(&without_commas(&text));
    text = numbers::to_digits(&without_symbols(&text));
    text = text.split_whitespace().map(|word| SPELLING.get(word).map_or(word, String::as_str)).collect::<Vec<_>>().join(" ");
    let text = without_lone_numeric_symbols(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the characters of `text` for languages without spaces between words: lower case, without bracketed text, lone marks,
/// symbols, punctuation and spaces.
#[must_use]
pub fn characters(text: &str) -> Vec<char> {
    let bare = without_brackets(&text.to_lowercase());
    let kept = |c: &char| unicode::class_of(*c) == CharClass::Other && !c.is_whitespace();
    unicode::composed(&bare).to_lowercase().chars().filter(kept).collect()
}

/// Returns true if `c` matches Python's `\w`.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Removes `<…>`, `[…]` and non-empty `(…)` with the text between them.
fn without_brackets(text: &str) -> String {
    let square = without_enclosed(text, |c| matches!(c, '<' | '['), |c| matches!(c, '>' | ']'), 0);
    without_enclosed(&square, |c| c == '(', |c| c == ')', 1)
}

/// Removes the text from each opening bracket to the next closing one, both included, if at least `least` characters lie between
/// them.
fn without_enclosed(text: &str, opens: impl Fn(char) -> bool, closes: impl Fn(char) -> bool, least: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&opens) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let width = from.chars().next().map_or(1, char::len_utf8);
        match from[width..].find(&closes) {
            Some(inside) if from[width..width + inside].chars().count() >= least => {
                let end = width + inside;
                rest = &from[end + from[end..].chars().next().map_or(1, char::len_utf8)..];
            }
            Some(_) => {
                out.push_str(&from[..width]);
                rest = &from[width..];
            }
            // No closing bracket follows.
            None => {
                out.push_str(from);
                return out;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Removes the words in [`FILLERS`], but not the spaces around them.
fn without_fillers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let inside = is_word(first);
        let end = rest.find(|c| is_word(c) != inside).unwrap_or(rest.len());
        if !FILLERS.contains(&&rest[..end]) {
            out.push_str(&rest[..end]);
        }
        rest = &rest[end..];
    }
    out
}

/// Removes white space before apostrophes.
fn join_apostrophes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\'' {
            out.truncate(out.trim_end().len());
        }
        out.push(c);
    }
    out
}

/// The place in a word at which [`replaced`] replaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MatchAt {
    /// The text is a whole word.
    WholeWord,
    /// The text ends a word, or is one.
    WordEnd,
}

/// Replaces each `what` in `text` by `with` that is a whole word or the end of one, as `position` demands.
fn replaced(text: &str, what: &str, with: &str, position: MatchAt) -> String {
    if !text.contains(what) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + with.len());
    let mut from = 0;
    for (at, _) in text.match_indices(what) {
        if at < from {
            continue;
        }
        let begins = position == MatchAt::WordEnd || !text[..at].chars().next_back().is_some_and(is_word);
        let ends = !text[at + what.len()..].chars().next().is_some_and(is_word);
        if begins && ends {
            out.push_str(&text[from..at]);
            out.push_str(with);
            from = at + what.len();
        }
    }
    out.push_str(&text[from..]);
    out
}

/// Removes commas between ASCII digits from `text`. As in the reference a match consumes both digits, so only the first comma of `1,2,3`
/// goes.
fn without_commas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(a) = rest.next() {
        out.push(a);
        let mut after = rest.clone();
        if a.is_ascii_digit()
            && after.next() == Some(',')
            && let Some(b) = after.next().filter(char::is_ascii_digit)
        {
            out.push(b);
            rest = after;
        }
    }
    out
}

/// Replaces full stops before non-digits and at the end of `text` by spaces. As in the reference a match consumes the next character, so
/// the second of two stops stays.
fn without_stops(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(a) = rest.next() {
        let mut after = rest.clone();
        match after.next() {
            Some(b) if a == '.' && !b.is_ascii_digit() => {
                out.extend([' ', b]);
                rest = after;
            }
            None if a == '.' => out.push(' '),
            _ => out.push(a),
        }
    }
    out
}

/// Removes accents, writes [`LETTERS`] in ASCII, and replaces other marks, symbols and punctuation by spaces, except those in
/// [`NUMERIC`].
fn without_symbols(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in unicode::decomposed(text).chars() {
        if NUMERIC.contains(c) {
            out.push(c);
        } else if let Some((_, plain)) = LETTERS.iter().find(|(letter, _)| *letter == c) {
            out.push_str(plain);
        } else {
            match unicode::class_of(c) {
                CharClass::Diacritic => {}
                CharClass::Symbol => out.push(' '),
                CharClass::Other => out.push(c),
            }
        }
    }
    out
}

/// Replaces the symbols in [`NUMERIC`] except `%` by spaces before a non-digit, and `%` by a space after a non-digit. As in the reference a
/// symbol at the end, or a `%` at the start, stays.
fn without_lone_numeric_symbols(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(a) = rest.next() {
        let mut after = rest.clone();
        match after.next() {
            Some(b) if NUMERIC.contains(a) && a != '%' && !b.is_ascii_digit() => {
                out.extend([' ', b]);
                rest = after;
            }
            _ => out.push(a),
        }
    }
    let text = std::mem::take(&mut out);
    let mut rest = text.chars();
    while let Some(a) = rest.next() {
        out.push(a);
        let mut after = rest.clone();
        if !a.is_ascii_digit() && after.next() == Some('%') {
            out.push(' ');
            rest = after;
        }
    }
    out
}
