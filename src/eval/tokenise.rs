//! The tokenisers of sacrebleu 2.6: `13a` for Western languages, `zh` for Chinese, including their errors.
//!
//! Pure. Figures are comparable with published ones only if the text is tokenised identically.

/// A tokeniser of sacrebleu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokeniser {
    /// mteval-v13a.
    Mteval13a,
    /// Each Chinese character is a word; other text as `13a`.
    Chinese,
}

impl Tokeniser {
    /// Returns the name in signatures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mteval13a => "13a",
            Self::Chinese => "zh",
        }
    }

    /// Splits `line` into words.
    #[must_use]
    pub fn words(self, line: &str) -> Vec<String> {
        let line = line.trim_end_matches(is_python_space);
        let prepared = match self {
            Self::Mteval13a => unescape(line),
            Self::Chinese => separate_chinese(line.trim_matches(is_python_space)),
        };
        let cut = separate_dash_after_digit(&separate_stop_before_non_digit(&separate_stop_after_non_digit(&separate_symbols(&prepared))));
        cut.split(is_python_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

/// Returns true for the separators of Python's `str.split`: Unicode white space and U+001C to U+001F.
pub(super) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Resolves the entities and line breaks that mteval-v13a knows.
fn unescape(line: &str) -> String {
    let mut line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (code, meant) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        line = line.replace(code, meant);
    }
    format!(" {line} ")
}

/// Puts spaces around Chinese characters.
fn separate_chinese(line: &str) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    for c in line.chars() {
        if is_chinese(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// The ranges that sacrebleu treats as Chinese. It writes two five-digit code points as `\uXXXX` escapes, which Python reads as four
/// digits: U+2001 to U+2A6D and U+2F81 to U+2FA1 therefore count, and the planes above do not.
const CHINESE: &[(char, char)] = &[
    ('\u{2001}', '\u{2a6d}'),
    ('\u{2e80}', '\u{2eff}'),
    ('\u{2f00}', '\u{2fdf}'),
    ('\u{2ff0}', '\u{2fff}'),
    ('\u{3000}', '\u{303f}'),
    ('\u{3100}', '\u{312f}'),
    ('\u{31a0}', '\u{31bf}'),
    ('\u{31c0}', '\u{31ef}'),
    ('\u{3200}', '\u{33ff}'),
    ('\u{3400}', '\u{4db5}'),
    ('\u{4e00}', '\u{9fbb}'),
    ('\u{f900}', '\u{fa2d}'),
    ('\u{fa30}', '\u{fa6a}'),
    ('\u{fa70}', '\u{fad9}'),
    ('\u{fe10}', '\u{fe1f}'),
    ('\u{fe30}', '\u{fe4f}'),
    ('\u{ff00}', '\u{ffef}'),
];

fn is_chinese(c: char) -> bool {
    CHINESE.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// Puts spaces around every ASCII symbol except apostrophe, comma, dash and full stop.
fn separate_symbols(line: &str) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    for c in line.chars() {
        if matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/') {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Separates a comma or full stop that follows a non-digit. A replacement consumes both characters, so the second of two
/// consecutive stops is paired with the next character.
fn separate_stop_after_non_digit(line: &str) -> String {
    replace_pairs(line, |a, b| (!a.is_ascii_digit() && is_stop(b)).then(|| format!("{a} {b} ")))
}

/// Separates a comma or full stop that precedes a non-digit.
fn separate_stop_before_non_digit(line: &str) -> String {
    replace_pairs(line, |a, b| (is_stop(a) && !b.is_ascii_digit()).then(|| format!(" {a} {b}")))
}

/// Separates a dash that follows a digit.
fn separate_dash_after_digit(line: &str) -> String {
    replace_pairs(line, |a, b| (a.is_ascii_digit() && b == '-').then(|| format!("{a} {b} ")))
}

const fn is_stop(c: char) -> bool {
    matches!(c, '.' | ',')
}

/// Replaces pairs of adjacent characters from left to right; replaced text is not scanned again.
fn replace_pairs(line: &str, replace: impl Fn(char, char) -> Option<String>) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut rest = line.chars();
    while let Some(a) = rest.next() {
        let mut after = rest.clone();
        match after.next().and_then(|b| replace(a, b)) {
            Some(with) => {
                out.push_str(&with);
                rest = after;
            }
            None => out.push(a),
        }
    }
    out
}
