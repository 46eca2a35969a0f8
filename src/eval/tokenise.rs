//! The tokenisers of sacrebleu 2.6: `13a` for Western languages, `zh` for Chinese, slips included.
//!
//! Pure. A figure can only be compared with published ones if the words are cut as they were.

/// Which tokeniser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokeniser {
    /// As mteval-v13a cuts.
    Mteval13a,
    /// Each Chinese character is a word; the rest as `13a`.
    Chinese,
}

impl Tokeniser {
    /// As signatures call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mteval13a => "13a",
            Self::Chinese => "zh",
        }
    }

    /// The words of `line`.
    #[must_use]
    pub fn words(self, line: &str) -> Vec<String> {
        let line = line.trim_end_matches(is_python_space);
        let prepared = match self {
            Self::Mteval13a => unescaped(line),
            Self::Chinese => characters_apart(line.trim_matches(is_python_space)),
        };
        let cut = dash_after_digit(&stop_before_other(&stop_after_other(&symbols_apart(&prepared))));
        cut.split(is_python_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

/// What Python's `str.split` cuts at: the white space of Unicode, and four separators of ASCII.
pub(super) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn unescaped(line: &str) -> String {
    let mut line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (code, meant) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        line = line.replace(code, meant);
    }
    format!(" {line} ")
}

fn characters_apart(line: &str) -> String {
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

/// The ranges that sacrebleu takes for Chinese. Two of its five-digit code points are written with four in Python and mean
/// something else than intended: U+2001 to U+2A6D and U+2F81 to U+2FA1 count, and the planes above do not.
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

/// Spaces around every symbol of ASCII but apostrophe, comma, dash and full stop.
fn symbols_apart(line: &str) -> String {
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

/// A comma or full stop that no digit precedes stands alone. Each replacement takes both characters, so the second of two
/// stops in a row is looked at together with what comes after it.
fn stop_after_other(line: &str) -> String {
    pairs(line, |a, b| (!a.is_ascii_digit() && is_stop(b)).then(|| format!("{a} {b} ")))
}

/// A comma or full stop that no digit follows stands alone.
fn stop_before_other(line: &str) -> String {
    pairs(line, |a, b| (is_stop(a) && !b.is_ascii_digit()).then(|| format!(" {a} {b}")))
}

fn dash_after_digit(line: &str) -> String {
    pairs(line, |a, b| (a.is_ascii_digit() && b == '-').then(|| format!("{a} {b} ")))
}

const fn is_stop(c: char) -> bool {
    matches!(c, '.' | ',')
}

/// Replaces pairs of neighbours from left to right; what was replaced is not looked at again.
fn pairs(line: &str, replace: impl Fn(char, char) -> Option<String>) -> String {
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
