//! Amounts of money: the names of currencies, and the words behind a number that multiply it. Pure.

use crate::speech::Language;

/// The abbreviations that multiply an amount, the longest first, with the words that they stand for.
const SUFFIXES: [(&str, &str); 10] = [
    ("bn", "billion"),
    ("mn", "million"),
    ("tn", "trillion"),
    ("M", "million"),
    ("m", "million"),
    ("B", "billion"),
    ("b", "billion"),
    ("T", "trillion"),
    ("K", "thousand"),
    ("k", "thousand"),
];
/// The English words that multiply an amount.
const WORDS: [&str; 5] = ["hundred", "thousand", "million", "billion", "trillion"];
/// The Chinese characters that multiply an amount, alone or together.
const CHARACTERS: &str = "百千万亿";

/// Returns the name of the currency with the sign `c`; None for any other character.
pub(super) fn currency(c: char, language: Language) -> Option<&'static str> {
    let (english, chinese) = match c {
        '$' | '＄' => ("dollars", "美元"),
        '€' => ("euros", "欧元"),
        '£' => ("pounds", "英镑"),
        '¥' | '￥' => ("yuan", "元"),
        '₹' => ("rupees", "卢比"),
        '₩' => ("won", "韩元"),
        '₽' => ("rubles", "卢布"),
        _ => return None,
    };
    Some(if language == Language::English { english } else { chinese })
}

/// Returns the word that multiplies the amount whose number ends at index `end` of `chars`, and the index behind it; empty text and `end`
/// without one.
pub(super) fn multiplier(chars: &[char], end: usize, language: Language) -> (&'static str, usize) {
    let rest = &chars[end.min(chars.len())..];
    let ends_word = |length: usize| !rest.get(length).is_some_and(|c| c.is_ascii_alphanumeric());
    let begins = |written: &str, skip: usize| written.chars().enumerate().all(|(n, c)| rest.get(skip + n) == Some(&c));
    if language == Language::Chinese {
        let length = rest.iter().take_while(|c| CHARACTERS.contains(**c)).count();
        if length > 0 {
            let written: String = rest[..length].iter().collect();
            let known = ["万亿", "千万", "百万", "万", "亿", "千", "百"].into_iter().find(|known| *known == written);
            return known.map_or(("", end), |known| (known, end + length));
        }
    }
    let skip = usize::from(rest.first() == Some(&' '));
    let word = WORDS.into_iter().find(|word| begins(word, skip) && ends_word(skip + word.len())).map(|word| (word, skip + word.len()));
    let suffix = || {
        SUFFIXES.iter().find(|(written, _)| begins(written, 0) && ends_word(written.len())).map(|(written, word)| (*word, written.len()))
    };
    word.or_else(suffix).map_or(("", end), |(word, length)| (word, end + length))
}

/// Returns the amount `number` `many` (empty, or the word that multiplies it) of the currency `name`; an empty name leaves it out.
pub(super) fn amount(number: &str, many: &str, name: &str, language: Language) -> String {
    if language == Language::Chinese {
        return format!("{number}{}{name}", in_chinese(many));
    }
    let name = if number == "1" && many.is_empty() { name.strip_suffix('s').unwrap_or(name) } else { name };
    [number, many, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Returns the Chinese characters of a word that multiplies an amount.
fn in_chinese(many: &str) -> &str {
    match many {
        "hundred" => "百",
        "thousand" => "千",
        "million" => "百万",
        "billion" => "十亿",
        "trillion" => "万亿",
        characters => characters,
    }
}
