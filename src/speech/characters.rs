//! Rare forms of common characters, replaced before anything else looks at a text: full width, superscripts, fractions. Pure.

/// Distance from the full-width form of a character to its ASCII form.
const FULL_WIDTH: u32 = 0xfee0;
/// Superscript digits in order; a raised number is a power.
const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
/// The characters of fractions, with their two numbers.
const FRACTIONS: [(char, &str); 11] = [
    ('½', "1/2"),
    ('⅓', "1/3"),
    ('⅔', "2/3"),
    ('¼', "1/4"),
    ('¾', "3/4"),
    ('⅕', "1/5"),
    ('⅙', "1/6"),
    ('⅛', "1/8"),
    ('⅜', "3/8"),
    ('⅝', "5/8"),
    ('⅞', "7/8"),
];
/// Most letters of a name that can have a power (`x²`, `km²`); behind a longer word a raised number is that of a footnote.
const LETTERS_OF_BASE: usize = 2;

/// Returns `text` with rare forms of digits, letters and signs in their common form: `５％` as `5%`, `x²` as `x^2`, `½` as `1/2`.
pub(super) fn common_forms(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = None;
    while let Some(c) = chars.next() {
        let behind_digit = out.ends_with(|c: char| c.is_ascii_digit());
        let before_digit = chars.peek().is_some_and(char::is_ascii_digit);
        match c {
            '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' | '＋' | '－' | '＝' | '＜' | '＞' | '／' | '＊' | '＾' | '％' | '＄' | '＆' =>
            {
                out.extend(char::from_u32(u32::from(c) - FULL_WIDTH));
            }
            '．' if behind_digit => out.push('.'),
            '∕' | '⁄' => out.push('/'),
            '·' | '⋅' | '∙' if behind_digit && before_digit => out.push('×'),
            '₀'..='₉' => {
                if behind_digit && !before.is_some_and(|c| matches!(c, '₀'..='₉')) {
                    out.push(' ');
                }
                out.extend(char::from_digit(u32::from(c) - u32::from('₀'), 10));
            }
            c if raised(c).is_some() => {
                let mut power: String = raised(c).into_iter().collect();
                while let Some(more) = chars.peek().copied().and_then(raised) {
                    power.push(more);
                    chars.next();
                }
                let letters = out.chars().rev().take_while(|c| c.is_alphabetic()).count();
                if behind_digit || out.ends_with(')') || (1..=LETTERS_OF_BASE).contains(&letters) {
                    out.push('^');
                    out.push_str(&power);
                }
                if chars.peek().is_some_and(|c| c.is_alphanumeric()) {
                    out.push(' ');
                }
            }
            c => match FRACTIONS.iter().find(|(sign, _)| *sign == c) {
                Some((_, numbers)) => {
                    if behind_digit {
                        out.push(' ');
                    }
                    out.push_str(numbers);
                    if before_digit {
                        out.push(' ');
                    }
                }
                None => out.push(c),
            },
        }
        before = Some(c);
    }
    out
}

/// Returns the common form of a raised character that can stand in an exponent; None for any other character.
fn raised(c: char) -> Option<char> {
    match c {
        '⁻' => Some('-'),
        'ⁿ' => Some('n'),
        c => SUPERSCRIPTS.iter().position(|raised| *raised == c).and_then(|digit| char::from_digit(digit as u32, 10)),
    }
}
