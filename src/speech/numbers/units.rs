//! Units behind numbers. Pure.

use crate::speech::Language;

/// Signs of units with their names in English and in Chinese; a sign stands before those that it begins with.
const UNITS: [(&str, &str, &str); 24] = [
    ("%", "percent", "%"),
    ("％", "percent", "%"),
    ("°C", "degrees Celsius", "摄氏度"),
    ("℃", "degrees Celsius", "摄氏度"),
    ("°F", "degrees Fahrenheit", "华氏度"),
    ("℉", "degrees Fahrenheit", "华氏度"),
    ("°", "degrees", "度"),
    ("km/h", "kilometers an hour", "公里每小时"),
    ("m/s", "meters per second", "米每秒"),
    ("kHz", "kilohertz", "千赫"),
    ("MHz", "megahertz", "兆赫"),
    ("GHz", "gigahertz", "吉赫"),
    ("Hz", "hertz", "赫兹"),
    ("kWh", "kilowatt hours", "千瓦时"),
    ("km", "kilometers", "公里"),
    ("cm", "centimeters", "厘米"),
    ("mm", "millimeters", "毫米"),
    ("kg", "kilograms", "公斤"),
    ("mg", "milligrams", "毫克"),
    ("ml", "milliliters", "毫升"),
    ("GB", "gigabytes", "吉字节"),
    ("MB", "megabytes", "兆字节"),
    ("ms", "milliseconds", "毫秒"),
    ("m", "meters", "米"),
];

/// Returns the index behind the unit of the number `number`, which ends at index `end` of `chars`, and the unit in words; without a known
/// unit, `end` and None.
pub(super) fn unit(chars: &[char], end: usize, number: &str, language: Language) -> (usize, Option<String>) {
    let begin = end + usize::from(chars.get(end) == Some(&' '));
    for (written, english, chinese) in UNITS {
        let length = written.chars().count();
        if !written.chars().enumerate().all(|(n, c)| chars.get(begin + n) == Some(&c)) {
            continue;
        }
        let letters = written.ends_with(|c: char| c.is_ascii_alphabetic());
        let (power, after) = if letters { power(chars, begin + length, language) } else { ("", begin + length) };
        let next = |n: usize| chars.get(after + n).copied();
        let goes_on = next(0).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '\'' | '^'))
            || next(0) == Some('.') && next(1).is_some_and(char::is_alphanumeric)
            || next(0) == Some('/') && !next(1).is_some_and(char::is_alphabetic);
        if letters && goes_on {
            continue;
        }
        let name = if language == Language::Chinese { chinese.to_owned() } else { of_number(english, number) };
        return (after, Some(format!("{power}{name}")));
    }
    (end, None)
}

/// Returns the word for the power of a unit that ends at index `end` (`m^2`), and the index behind it; empty text and `end` without one.
fn power(chars: &[char], end: usize, language: Language) -> (&'static str, usize) {
    let english = language == Language::English;
    match (chars.get(end), chars.get(end + 1)) {
        (Some('^'), Some('2')) => (if english { "square " } else { "平方" }, end + 2),
        (Some('^'), Some('3')) => (if english { "cubic " } else { "立方" }, end + 2),
        _ => ("", end),
    }
}

/// Returns the English name of a unit as it stands behind `number`: the singular behind 1.
fn of_number(english: &str, number: &str) -> String {
    match english.split_once(' ') {
        _ if number != "1" => english.to_owned(),
        None => english.strip_suffix('s').unwrap_or(english).to_owned(),
        Some(("kilowatt", _)) => "kilowatt hour".to_owned(),
        Some((first, rest)) => format!("{} {rest}", first.strip_suffix('s').unwrap_or(first)),
    }
}
