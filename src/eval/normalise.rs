//! What counts as the same words: Whisper's English rules, and plain ones for other languages.
//!
//! Pure. Own code for the published rules of openai-whisper 20250625 (`EnglishTextNormalizer`, `BasicTextNormalizer`): a word
//! error rate can only be compared with others that were computed so. Tests hold it to what that package answers.

mod numbers;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::model::unicode::{self, CharClass};

/// Kept when symbols go: what belongs to numbers.
const NUMERIC: &str = ".%$¢€£";
/// Left out: they say nothing.
const FILLERS: &[&str] = &["hmm", "mm", "mhm", "mmm", "uh", "um"];
/// Letters that do not come apart into a plain letter and a mark.
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
/// Whole words and what stands for them, in the order in which they are replaced.
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
/// Ends of words and what stands for them, in the order in which they are replaced.
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

/// British words with their American spelling.
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

/// English `text` by Whisper's rules. Only its words count: spaces at the ends and in rows may remain.
#[must_use]
pub fn english(text: &str) -> String {
    let mut text = without_fillers(&without_brackets(&text.to_lowercase()));
    text = apostrophes_joined(&text);
    for (word, with) in WORDS {
        text = replaced(&text, word, with, Place::WholeWord);
    }
    for (end, with) in ENDS {
        text = replaced(&text, end, with, Place::End);
    }
    text = stops_out(&commas_out(&text));
    text = numbers::standardised(&symbols_out(&text));
    text = text.split_whitespace().map(|word| SPELLING.get(word).map_or(word, String::as_str)).collect::<Vec<_>>().join(" ");
    let text = numeric_symbols_out(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The characters of `text` that count where words are not written apart: lower case, no brackets, marks, symbols,
/// punctuation or spaces.
#[must_use]
pub fn characters(text: &str) -> Vec<char> {
    let bare = without_brackets(&text.to_lowercase());
    let kept = |c: &char| unicode::class_of(*c) == CharClass::Other && !c.is_whitespace();
    unicode::composed(&bare).to_lowercase().chars().filter(kept).collect()
}

/// Whether `c` can stand inside a word, as Python's `\w` has it.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Leaves out what stands in <…>, […] and (…).
fn without_brackets(text: &str) -> String {
    let square = left_out(text, |c| matches!(c, '<' | '['), |c| matches!(c, '>' | ']'), 0);
    left_out(&square, |c| c == '(', |c| c == ')', 1)
}

/// Leaves out from each opening to the next closing, at least `least` characters apart.
fn left_out(text: &str, opens: impl Fn(char) -> bool, closes: impl Fn(char) -> bool, least: usize) -> String {
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
            // Nothing closes any more.
            None => {
                out.push_str(from);
                return out;
            }
        }
    }
    out.push_str(rest);
    out
}

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

/// No space before an apostrophe.
fn apostrophes_joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\'' {
            out.truncate(out.trim_end().len());
        }
        out.push(c);
    }
    out
}

/// Where something is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where it is a word of its own.
    WholeWord,
    /// Where a word ends with it.
    End,
}

fn replaced(text: &str, what: &str, with: &str, place: Place) -> String {
    if !text.contains(what) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + with.len());
    let mut from = 0;
    for (at, _) in text.match_indices(what) {
        if at < from {
            continue;
        }
        let begins = place == Place::End || !text[..at].chars().next_back().is_some_and(is_word);
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

/// Commas between digits go. Both digits are taken with the comma, so of `1,2,3` only the first does.
fn commas_out(text: &str) -> String {
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

/// Full stops that no digit follows go. What follows is taken with the stop, so of two in a row the second stays.
fn stops_out(text: &str) -> String {
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

/// Accents go; marks, symbols and punctuation become spaces, but for those of numbers.
fn symbols_out(text: &str) -> String {
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

/// The symbols of numbers go where no number stands.
fn numeric_symbols_out(text: &str) -> String {
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
