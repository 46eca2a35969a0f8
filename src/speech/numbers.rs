//! Normalisation of numbers in context: money, per cent, degrees, times of day, ranges, units. Pure.
//!
//! Plain numbers stay digits, which voices read well; only forms that voices read wrongly become words.

use super::Language;

/// Number of digits of the longest quantity; a longer number (of a telephone, a card) is read digit by digit.
const QUANTITY_DIGITS: usize = 9;

/// Returns `text` with its amounts of money, times, ranges and units in words and long numbers digit by digit; other numbers stay.
pub(super) fn spoken(text: &str, language: Language) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let before = at.checked_sub(1).map(|before| chars[before]);
        let inside = before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.');
        let money = currency(chars[at], language).filter(|_| chars.get(at + 1).is_some_and(char::is_ascii_digit));
        let begin = at + usize::from(money.is_some());
        if inside || !chars.get(begin).is_some_and(char::is_ascii_digit) {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        at = say(&chars, begin, money, language, &mut out);
    }
    out
}

/// Appends the spoken form of the number at index `begin` of `chars` to `out`, as an amount of `money` if a currency sign stood before the
/// number. Returns the index behind the text that was read.
fn say(chars: &[char], begin: usize, money: Option<&str>, language: Language, out: &mut String) -> usize {
    let (number, end) = number(chars, begin);
    if let Some((hour, minute, after)) = time_of_day(chars, begin) {
        out.push_str(&spoken_time(&hour, &minute, language));
        return after;
    }
    if let Some(money) = money {
        let one = number == "1" && language == Language::English;
        let name = if one { money.trim_end_matches('s') } else { money };
        out.push_str(&format!("{number} {name}"));
        return end;
    }
    let next = |n: usize| chars.get(end + n).copied();
    let range = matches!(next(0), Some('-' | '–' | '~' | '～')) && next(1).is_some_and(|c| c.is_ascii_digit());
    let within = begin > 0 && matches!(chars[begin - 1], '-' | '–');
    if range && !within && !chars[begin..end].contains(&'.') && second_of_range_ends(chars, end + 1) {
        out.push_str(&number);
        out.push_str(if language == Language::English { " to " } else { "到" });
        return end + 1;
    }
    let (after, unit) = unit(chars, end, language);
    match unit {
        Some("%") if language == Language::Chinese => out.push_str(&format!("百分之{number}")),
        Some(unit) if language == Language::Chinese => out.push_str(&format!("{number}{unit}")),
        Some(unit) => out.push_str(&format!("{number} {unit}")),
        None if number.len() > QUANTITY_DIGITS && number.chars().all(|c| c.is_ascii_digit()) => {
            out.push_str(&number.chars().map(String::from).collect::<Vec<_>>().join(" "));
        }
        None => out.push_str(&number),
    }
    after
}

/// Returns the number at index `begin` of `chars` without thousands separators, and the index behind it.
fn number(chars: &[char], begin: usize) -> (String, usize) {
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let (mut number, mut at) = (String::new(), begin);
    while digit(at) {
        number.push(chars[at]);
        at += 1;
        let three = chars.get(at) == Some(&',') && (1..=3).all(|n| digit(at + n)) && !digit(at + 4);
        if three && (at - begin <= 3 || number.len() > 3) {
            at += 1;
        }
    }
    if chars.get(at) == Some(&'.') && digit(at + 1) {
        number.push('.');
        at += 1;
        while digit(at) {
            number.push(chars[at]);
            at += 1;
        }
    }
    (number, at)
}

/// Returns true if the number at index `begin` of `chars`, the second of a range, is the last one: `10-12` is a range, `2026-11-24` and
/// `555-1234-567` are not.
fn second_of_range_ends(chars: &[char], begin: usize) -> bool {
    let (_, end) = number(chars, begin);
    !matches!(chars.get(end), Some('-' | '–')) || !chars.get(end + 1).is_some_and(char::is_ascii_digit)
}

/// Returns the name of the currency with the sign `c`; None for any other character.
fn currency(c: char, language: Language) -> Option<&'static str> {
    let (english, chinese) = match c {
        '$' | '＄' => ("dollars", "美元"),
        '€' => ("euros", "欧元"),
        '£' => ("pounds", "英镑"),
        '¥' | '￥' => ("yuan", "元"),
        _ => return None,
    };
    Some(if language == Language::English { english } else { chinese })
}

/// Returns the hour and the minute of a time such as `10:30` at index `begin` of `chars`, and the index behind it; None if there is no
/// valid time.
fn time_of_day(chars: &[char], begin: usize) -> Option<(String, String, usize)> {
    let digits = |from: usize| chars[from.min(chars.len())..].iter().take_while(|c| c.is_ascii_digit()).count();
    let hour_digits = digits(begin);
    let colon = begin + hour_digits;
    if !(1..=2).contains(&hour_digits) || !matches!(chars.get(colon), Some(':' | '：')) || digits(colon + 1) != 2 {
        return None;
    }
    let end = colon + 3;
    let text = |range: std::ops::Range<usize>| chars[range].iter().collect::<String>();
    let (hour, minute) = (text(begin..colon), text(colon + 1..end));
    let valid = hour.parse::<u8>().is_ok_and(|h| h < 24) && minute.parse::<u8>().is_ok_and(|m| m < 60);
    (valid && chars.get(end) != Some(&':')).then_some((hour, minute, end))
}

/// Returns a time of day in words.
fn spoken_time(hour: &str, minute: &str, language: Language) -> String {
    let hour = hour.trim_start_matches('0');
    let hour = if hour.is_empty() { "0" } else { hour };
    match (language, minute) {
        (Language::English, "00") => format!("{hour} o'clock"),
        (Language::English, minute) => match minute.strip_prefix('0') {
            Some(minute) => format!("{hour} oh {minute}"),
            None => format!("{hour} {minute}"),
        },
        (Language::Chinese, "00") => format!("{hour}点"),
        (Language::Chinese, minute) => match minute.strip_prefix('0') {
            Some(minute) => format!("{hour}点零{minute}分"),
            None => format!("{hour}点{minute}分"),
        },
    }
}

/// Returns the index behind the unit that follows a number ending at index `end` of `chars`, and the unit in words; without a known unit,
/// `end` and None.
fn unit(chars: &[char], end: usize, language: Language) -> (usize, Option<&'static str>) {
    /// Signs of units with their names in English and in Chinese.
    const UNITS: [(&str, &str, &str); 22] = [
        ("%", "percent", "%"),
        ("％", "percent", "%"),
        ("°C", "degrees Celsius", "摄氏度"),
        ("℃", "degrees Celsius", "摄氏度"),
        ("°F", "degrees Fahrenheit", "华氏度"),
        ("°", "degrees", "度"),
        ("km/h", "kilometers an hour", "公里每小时"),
        ("kHz", "kilohertz", "千赫"),
        ("MHz", "megahertz", "兆赫"),
        ("GHz", "gigahertz", "吉赫"),
        ("Hz", "hertz", "赫兹"),
        ("km", "kilometers", "公里"),
        ("cm", "centimeters", "厘米"),
        ("mm", "millimeters", "毫米"),
        ("kg", "kilograms", "公斤"),
        ("mg", "milligrams", "毫克"),
        ("ml", "milliliters", "毫升"),
        ("GB", "gigabytes", "吉字节"),
        ("MB", "megabytes", "兆字节"),
        ("kWh", "kilowatt hours", "千瓦时"),
        ("ms", "milliseconds", "毫秒"),
        ("m", "meters", "米"),
    ];
    let begin = end + usize::from(chars.get(end) == Some(&' '));
    for (written, english, chinese) in UNITS {
        let length = written.chars().count();
        let there = written.chars().enumerate().all(|(n, c)| chars.get(begin + n) == Some(&c));
        let letters = written.ends_with(|c: char| c.is_ascii_alphabetic());
        let whole =
            !letters || !chars.get(begin + length).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '\'' | '.' | '²'));
        let sentence_ends =
            letters && chars.get(begin + length) == Some(&'.') && !chars.get(begin + length + 1).is_some_and(|c| c.is_alphanumeric());
        if there && (whole || sentence_ends) {
            return (begin + length, Some(if language == Language::English { english } else { chinese }));
        }
    }
    (end, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_numbers_are_spoken_with_their_units() {
        let table = [
            ("$5.20 or €1", "5.20 dollars or 1 euro"),
            ("1,234,567 people, 3,5 and 12,34", "1234567 people, 3,5 and 12,34"),
            ("up 25% to 3.5%.", "up 25 percent to 3.5 percent."),
            ("25°C, 80 °F, 90°", "25 degrees Celsius, 80 degrees Fahrenheit, 90 degrees"),
            ("at 10:30, 9:05 and 08:00", "at 10 30, 9 oh 5 and 8 o'clock"),
            ("3-5 days, 2026-11-24", "3 to 5 days, 2026-11-24"),
            ("5 km. Then 3 kg of M3 on 4m", "5 kilometers. Then 3 kilograms of M3 on 4 meters"),
            ("call 01234567890", "call 0 1 2 3 4 5 6 7 8 9 0"),
            ("v1.2.3 and 25:70", "v1.2.3 and 25:70"),
        ];
        for (text, said) in table {
            assert_eq!(spoken(text, Language::English), said, "{text}");
        }
    }

    #[test]
    fn chinese_numbers_are_spoken_in_chinese_word_order() {
        let table = [
            ("涨了25%，到25℃。", "涨了百分之25，到25摄氏度。"),
            ("10:30到9:05", "10点30分到9点零5分"),
            ("￥88，3-5天，5km", "88 元，3到5天，5公里"),
        ];
        for (text, said) in table {
            assert_eq!(spoken(text, Language::Chinese), said, "{text}");
        }
    }
}
