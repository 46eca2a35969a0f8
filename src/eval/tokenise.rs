//! The tokenisers of sacrebleu 2.6: `13a` for Western languages, `zh` for Chinese, including their errors.
//!
//! Pure. Figures are comparable with published ones only if the text is tokenised identically.

/// A tokeniser of sacrebleu 2.6, with its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokeniser {
    /// mteval-v13a, for languages in Latin script.
    Mteval13a,
    /// Each Chinese character is a word of its own; other text is cut as by `13a`, but entities such as `&amp;` stay.
    Chinese,
}

impl Tokeniser {
    /// Returns the name of the tokeniser in sacrebleu's signatures: `13a` or `zh`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mteval13a => "13a",
            Self::Chinese => "zh",
        }
    }

    /// Splits `line` into words; symbols become words of their own, case stays.
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

/// Resolves the entities `&quot;`, `&amp;`, `&lt;` and `&gt;`, drops `<skipped>`, joins words divided at a line's end, and puts a
/// space on either side of the line.
fn unescape(line: &str) -> String {
    let mut line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (code, meant) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        line = line.replace(code, meant);
    }
    format!(" {line} ")
}

/// Puts a space on either side of each Chinese character.
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

/// The ranges of characters, both ends included, that sacrebleu treats as Chinese. It writes two five-digit code points as `\uXXXX`
/// escapes, which Python reads as four digits: U+2001 to U+2A6D and U+2F81 to U+2FA1 (here within U+2F00 to U+2FDF) therefore count, and
/// the planes above do not.
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

/// Puts a space on either side of every ASCII symbol and space, except apostrophe, comma, dash and full stop.
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

/// Puts spaces around a comma or full stop that follows a non-digit. A replacement consumes both characters, so the second of two
/// consecutive stops is paired with the next character.
fn separate_stop_after_non_digit(line: &str) -> String {
    replace_pairs(line, |a, b| (!a.is_ascii_digit() && is_stop(b)).then(|| format!("{a} {b} ")))
}

/// Puts spaces around a comma or full stop that precedes a non-digit.
fn separate_stop_before_non_digit(line: &str) -> String {
    replace_pairs(line, |a, b| (is_stop(a) && !b.is_ascii_digit()).then(|| format!(" {a} {b}")))
}

/// Puts spaces around a dash that follows a digit.
fn separate_dash_after_digit(line: &str) -> String {
    replace_pairs(line, |a, b| (a.is_ascii_digit() && b == '-').then(|| format!("{a} {b} ")))
}

const fn is_stop(c: char) -> bool {
    matches!(c, '.' | ',')
}

/// Replaces each pair of adjacent characters for which `replace` returns a text, from left to right; both characters are consumed, and the
/// text that replaces them is not scanned.
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
