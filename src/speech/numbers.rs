//! Normalisation of numbers in context: signs, money, per cent, degrees, times of day, ranges, fractions, powers, units. Pure.
//!
//! Plain numbers stay digits, which voices read well; only forms that voices read wrongly become words. Nothing between two digits
//! vanishes: it becomes a word, or a space remains.

mod money;
mod units;

use super::{Language, is_han};
use money::{currency, multiplier};
use units::unit;

/// Number of digits of the longest quantity; a longer number (of a telephone, a card) is read digit by digit.
const QUANTITY_DIGITS: usize = 9;

/// Returns `text` with its amounts, times, ranges, fractions and powers in words and long numbers digit by digit; other numbers stay.
pub(super) fn spoken(text: &str, language: Language) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader { chars: &chars, language, out: String::with_capacity(text.len()) };
    let mut at = 0;
    while at < chars.len() {
        at = reader.step(at);
    }
    reader.out
}

/// Returns true for the signs that stand before a negative number or between two numbers.
const fn is_dash(c: char) -> bool {
    matches!(c, '-' | '−' | '–' | '－')
}

/// Returns true for the signs of arithmetic that leave no doubt that a dash beside them is a minus.
fn is_operator(c: char) -> bool {
    "=<>≤≥≠≈±+×÷^".contains(c)
}

/// A reader of numbers: goes through a text and collects its spoken form.
struct Reader<'a> {
    chars: &'a [char],
    language: Language,
    out: String,
}

impl Reader<'_> {
    fn get(&self, at: usize) -> Option<char> {
        self.chars.get(at).copied()
    }

    fn is_digit(&self, at: usize) -> bool {
        self.get(at).is_some_and(|c| c.is_ascii_digit())
    }

    /// Returns true if a number may begin at index `at`: a digit, or a dot before one.
    fn is_number(&self, at: usize) -> bool {
        self.is_digit(at) || self.get(at) == Some('.') && self.is_digit(at + 1)
    }

    fn word(&self, english: &'static str, chinese: &'static str) -> &'static str {
        if self.language == Language::English { english } else { chinese }
    }

    /// Appends a word, in English between spaces.
    fn push_word(&mut self, word: &str) {
        let spaced = self.language == Language::English;
        if spaced && !self.out.is_empty() && !self.out.ends_with(' ') {
            self.out.push(' ');
        }
        self.out.push_str(word);
        if spaced {
            self.out.push(' ');
        }
    }

    /// Returns the index behind the spaces at index `at`.
    fn behind_spaces(&self, at: usize) -> usize {
        at + self.chars[at.min(self.chars.len())..].iter().take_while(|c| **c == ' ').count()
    }

    /// Reads what stands at index `at`, and returns the index behind it.
    fn step(&mut self, at: usize) -> usize {
        let before = at.checked_sub(1).map(|before| self.chars[before]);
        let inside = before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.');
        let c = self.chars[at];
        if !inside && self.is_number(at) {
            return self.say(at);
        }
        if let Some(name) = currency(c, self.language) {
            let number = at + 1 + usize::from(self.get(at + 1).is_some_and(is_dash));
            if self.is_number(number) {
                if number > at + 1 {
                    self.push_word(self.word("minus", "负"));
                }
                return self.say_money(number, name);
            }
        }
        if matches!(c, '#' | '№') && !inside && self.is_digit(at + 1) {
            self.push_word(self.word("number", "第"));
            return at + 1;
        }
        if is_dash(c) && self.is_sign_of_number(at, before) {
            self.push_word(self.word("minus", "负"));
            return at + 1;
        }
        if c == '^'
            && let Some(after) = self.say_power(at + 1)
        {
            return after;
        }
        // Between letters a dash is one, unless the rest is arithmetic: `x-5=0`.
        if is_dash(c)
            && before.is_some_and(char::is_alphanumeric)
            && self.is_number(at + 1)
            && self.is_arithmetic(at, self.number(at + 1).1)
        {
            self.push_word(self.word("minus", "减"));
            return at + 1;
        }
        self.out.push(c);
        at + 1
    }

    /// Returns true if the dash at index `at`, with the character `before` before it, is the sign of a negative number or amount.
    fn is_sign_of_number(&self, at: usize, before: Option<char>) -> bool {
        let amount =
            self.is_number(at + 1) || self.get(at + 1).is_some_and(|c| currency(c, self.language).is_some()) && self.is_number(at + 2);
        amount && before.is_none_or(|c| c.is_whitespace() || is_operator(c) || "([（,，:：;；/~→“".contains(c) || is_han(c))
    }

    /// Returns true if arithmetic stands right behind index `end`, or right before index `begin`.
    fn is_arithmetic(&self, begin: usize, end: usize) -> bool {
        let mut before = self.chars[..begin].iter().rev().filter(|c| !c.is_whitespace());
        let operator = before.next().filter(|c| is_operator(**c));
        // A plus without anything before it is part of the number of a telephone.
        let operates = operator.is_some_and(|c| *c != '+' || before.next().is_some_and(|c| c.is_alphanumeric() || *c == ')'));
        operates || self.get(self.behind_spaces(end)).is_some_and(is_operator)
    }

    /// Appends the spoken form of the number at index `begin`, with what belongs to it. Returns the index behind the text that was read.
    fn say(&mut self, begin: usize) -> usize {
        // A Chinese unit stands before its number and leaves nothing between two of them.
        if self.out.ends_with(|c: char| c.is_ascii_digit()) {
            self.out.push(' ');
        }
        if let Some((hour, minute, after)) = time_of_day(self.chars, begin) {
            let time = spoken_time(&hour, &minute, self.language);
            self.out.push_str(&time);
            return self.say_link(after, None).unwrap_or(after);
        }
        if let Some(after) = self.say_groups(begin).or_else(|| self.say_fraction(begin)) {
            return after;
        }
        let (number, end) = self.number(begin);
        let (many, behind) = multiplier(self.chars, end, self.language);
        if let Some(name) = self.get(self.behind_spaces(behind)).and_then(|c| currency(c, self.language)) {
            let sign = self.behind_spaces(behind);
            if !self.is_number(sign + 1) {
                self.out.push_str(&money::amount(&number, many, name, self.language));
                return self.say_per(sign + 1);
            }
        }
        if let Some(after) = self.say_percent_range(&number, end).or_else(|| self.say_range(&number, begin, end)) {
            return after;
        }
        let (after, unit) = unit(self.chars, end, &number, self.language);
        match unit {
            Some(unit) if unit == "%" => self.out.push_str(&format!("百分之{number}")),
            Some(unit) if self.language == Language::Chinese => self.out.push_str(&format!("{number}{unit}")),
            Some(unit) => self.out.push_str(&format!("{number} {unit}")),
            None => {
                let digits = number.len() > QUANTITY_DIGITS && number.chars().all(|c| c.is_ascii_digit());
                self.out.push_str(&if digits { digit_by_digit(&number) } else { number.clone() });
                if let Some(after) = self.say_by(begin, end) {
                    return after;
                }
            }
        }
        let after = if after > end { self.say_per(after) } else { after };
        self.say_link(after, number.parse().ok()).unwrap_or(after)
    }

    /// Appends the amount of `money` whose number begins at index `begin`, behind the sign. Returns the index behind what was read.
    fn say_money(&mut self, begin: usize, money: &str) -> usize {
        if self.out.ends_with(|c: char| c.is_alphanumeric()) {
            self.out.push(' ');
        }
        let (number, end) = self.number(begin);
        let (many, after) = multiplier(self.chars, end, self.language);
        let second = after + 1 + usize::from(self.get(after + 1).is_some_and(|c| currency(c, self.language).is_some()));
        if self.get(after).is_some_and(|c| is_dash(c) || matches!(c, '~' | '～')) && self.is_number(second) {
            let (last, end) = self.number(second);
            let (last_many, after) = multiplier(self.chars, end, self.language);
            let first = if many == last_many { number } else { money::amount(&number, many, "", self.language) };
            let last = money::amount(&last, last_many, money, self.language);
            self.out.push_str(&first);
            self.push_word(self.word("to", "到"));
            self.out.push_str(&last);
            return self.say_per(after);
        }
        self.out.push_str(&money::amount(&number, many, money, self.language));
        self.say_per(after)
    }

    /// Appends "per" for the slash between an amount and what it is for (`$5/month`), if one stands at index `at`. Returns the index behind
    /// it.
    fn say_per(&mut self, at: usize) -> usize {
        let slash = self.get(at) == Some('/') && self.get(at + 1).is_some_and(char::is_alphabetic);
        if slash {
            self.push_word(self.word("per", "每"));
        }
        at + usize::from(slash)
    }

    /// Appends the range between the number that ends at index `end` and a second one (`3-5`, `-10–-5`), or the subtraction. Returns the
    /// index of the second; None if there is no second number right behind.
    fn say_range(&mut self, number: &str, begin: usize, end: usize) -> Option<usize> {
        let sign = self.get(end).filter(|c| is_dash(*c) || matches!(c, '~' | '～'))?;
        let second = end + 1 + usize::from(self.get(end + 1).is_some_and(is_dash));
        if !self.is_number(second) {
            return None;
        }
        self.out.push_str(number);
        let (_, last) = self.number(second);
        let subtracts = sign == '−' || is_dash(sign) && self.is_arithmetic(begin, last);
        self.push_word(if subtracts { self.word("minus", "减") } else { self.word("to", "到") });
        if second > end + 1 {
            self.push_word(self.word("minus", "负"));
        }
        Some(second)
    }

    /// Appends a Chinese range in per cent (`5-10%`), whose word comes first. Returns the index behind it; None if there is none.
    fn say_percent_range(&mut self, number: &str, end: usize) -> Option<usize> {
        let range = self.language == Language::Chinese && self.get(end).is_some_and(|c| matches!(c, '-' | '–' | '~' | '～'));
        let (last, after) = self.number(end + 1);
        let percent = matches!(self.get(after), Some('%' | '％'));
        (range && percent && !last.is_empty()).then(|| {
            self.out.push_str(&format!("百分之{number}到{last}"));
            after + 1
        })
    }

    /// Appends the word for a dash at index `at`, behind a number and its unit, if another number follows (`5%-10%`, `5 - 3`). `first` is
    /// the number before the dash; None for a time of day. Returns the index of the other number.
    fn say_link(&mut self, at: usize, first: Option<f64>) -> Option<usize> {
        let sign = self.behind_spaces(at);
        let dash = self.get(sign).filter(|c| is_dash(*c) || matches!(c, '~' | '～'))?;
        let second = self.behind_spaces(sign + 1);
        // One space only: `5 -3`; the dash belongs to the number.
        if !self.is_number(second) || (sign > at) != (second > sign + 1) {
            return None;
        }
        let (number, end) = self.number(second);
        let falls = first.zip(number.parse::<f64>().ok()).is_some_and(|(first, last)| first >= last);
        let subtracts = dash == '−' || is_dash(dash) && (self.is_arithmetic(at, end) || sign > at && falls);
        self.push_word(if subtracts { self.word("minus", "减") } else { self.word("to", "到") });
        Some(second)
    }

    /// Appends the word for an `x` between the number that ends at index `end` and another one (`1920x1080`, `3 x 4`). Returns the index of
    /// the other number; None if there is none.
    fn say_by(&mut self, begin: usize, end: usize) -> Option<usize> {
        let sign = self.behind_spaces(end);
        let second = self.behind_spaces(sign + 1);
        let is_hexadecimal =
            sign == end && self.out.ends_with('0') && !self.out[..self.out.len() - 1].ends_with(|c: char| c.is_ascii_digit());
        let between = matches!(self.get(sign), Some('x' | 'X')) && (sign > end) == (second > sign + 1) && self.is_digit(second);
        (between && !is_hexadecimal).then(|| {
            let multiplies = self.is_arithmetic(begin, self.number(second).1);
            self.push_word(if multiplies { self.word("times", "乘") } else { self.word("by", "乘") });
            second
        })
    }

    /// Appends the power whose exponent begins at index `at`, behind the sign `^`. Returns the index behind it; None if no exponent follows.
    fn say_power(&mut self, at: usize) -> Option<usize> {
        let negative = self.get(at).is_some_and(is_dash);
        let begin = at + usize::from(negative);
        let (exponent, after) = match self.get(begin)? {
            c if c.is_ascii_digit() => self.number(begin),
            c if c.is_ascii_alphabetic() && !self.get(begin + 1).is_some_and(|c| c.is_ascii_alphanumeric()) => (c.to_string(), begin + 1),
            _ => return None,
        };
        let english = self.language == Language::English;
        let words = match (exponent.as_str(), negative) {
            ("2", false) => self.word("squared", "的平方").to_owned(),
            ("3", false) => self.word("cubed", "的立方").to_owned(),
            (exponent, false) if english => format!("to the power of {exponent}"),
            (exponent, true) if english => format!("to the power of minus {exponent}"),
            (exponent, negative) => format!("的{}{exponent}次方", if negative { "负" } else { "" }),
        };
        self.push_word(&words);
        Some(after)
    }

    /// Appends groups of digits that dashes join: a date stays as it is, the number of a telephone is read digit by digit. Returns the
    /// index behind them; None if the groups at index `begin` are neither.
    fn say_groups(&mut self, begin: usize) -> Option<usize> {
        let (groups, end) = self.groups(begin, |c| matches!(c, '-' | '–'));
        let lengths: Vec<usize> = groups.iter().map(String::len).collect();
        let is_round = groups.iter().all(|group| group.ends_with('0'));
        match lengths.as_slice() {
            // `100-1000` is a range.
            [3, 4] if !is_round && !self.is_arithmetic(begin, end) => self.out.push_str(&digit_by_digit(&groups.concat())),
            [4, 1..=2, 1..=2] => self.out.push_str(&groups.join("-")),
            [_, _, _, ..] if !self.is_arithmetic(begin, end) => {
                let is_telephone = lengths.iter().any(|length| *length == 3 || *length > 4);
                self.out.push_str(&if is_telephone { digit_by_digit(&groups.concat()) } else { groups.join(" ") });
            }
            _ => return None,
        }
        Some(end)
    }

    /// Appends what slashes join: a fraction, a division, or the numbers of a date one by one. Returns the index behind it; None if there
    /// is no slash between digits.
    fn say_fraction(&mut self, begin: usize) -> Option<usize> {
        let (groups, end) = self.groups(begin, |c| matches!(c, '/' | '／' | '⁄'));
        let [upper, lower] = groups.as_slice() else {
            return (groups.len() > 2).then(|| {
                self.out.push_str(&groups.join(" "));
                end
            });
        };
        let is_part = matches!((upper.parse::<u64>(), lower.parse::<u64>()), (Ok(upper), Ok(lower)) if upper < lower);
        let is_mixed = is_part && begin >= 2 && self.chars[begin - 1] == ' ' && self.is_digit(begin - 2);
        let words = match (self.language, upper.as_str(), lower.as_str()) {
            (_, "24", "7") => "24 7".to_owned(),
            (Language::English, "1", "2") => "one half".to_owned(),
            (Language::English, "1", "3") => "one third".to_owned(),
            (Language::English, "2", "3") => "two thirds".to_owned(),
            (Language::English, "1", "4") => "one quarter".to_owned(),
            (Language::English, "3", "4") => "three quarters".to_owned(),
            (Language::English, ..) if self.is_arithmetic(begin, end) => format!("{upper} divided by {lower}"),
            (Language::English, ..) => format!("{upper} over {lower}"),
            (Language::Chinese, ..) if self.is_arithmetic(begin, end) => format!("{upper}除以{lower}"),
            (Language::Chinese, ..) => format!("{lower}分之{upper}"),
        };
        if is_mixed {
            self.out.truncate(self.out.trim_end().len());
            self.push_word(self.word("and", "又"));
        }
        self.out.push_str(&words);
        Some(end)
    }

    /// Returns the groups of digits from index `begin` on that signs like `joins` join, and the index behind them.
    fn groups(&self, begin: usize, joins: impl Fn(char) -> bool) -> (Vec<String>, usize) {
        let (mut groups, mut at) = (Vec::new(), begin);
        while self.is_digit(at) {
            let digits: String = self.chars[at..].iter().take_while(|c| c.is_ascii_digit()).collect();
            at += digits.len();
            groups.push(digits);
            if !(self.get(at).is_some_and(&joins) && self.is_digit(at + 1)) {
                break;
            }
            at += 1;
        }
        // A fraction of a number is no group: `1-2.5`.
        if self.get(at) == Some('.') && self.is_digit(at + 1) { (Vec::new(), begin) } else { (groups, at) }
    }

    /// Returns the number at index `begin` without thousands separators and with a digit before its dot, and the index behind it; an empty
    /// number if there is none.
    fn number(&self, begin: usize) -> (String, usize) {
        let (mut number, mut at) = (String::new(), begin);
        while self.is_digit(at) {
            number.push(self.chars[at]);
            at += 1;
            let three = self.get(at) == Some(',') && (1..=3).all(|n| self.is_digit(at + n)) && !self.is_digit(at + 4);
            if three && (at - begin <= 3 || number.len() > 3) {
                at += 1;
            }
        }
        if self.get(at) == Some('.') && self.is_digit(at + 1) {
            number.push_str(if number.is_empty() { "0." } else { "." });
            at += 1;
            while self.is_digit(at) {
                number.push(self.chars[at]);
                at += 1;
            }
        }
        (number, at)
    }
}

/// Returns the digits of `number` with spaces between them.
fn digit_by_digit(number: &str) -> String {
    number.chars().map(String::from).collect::<Vec<_>>().join(" ")
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
            ("￥88，3-5天，5km", "88元，3到5天，5公里"),
        ];
        for (text, said) in table {
            assert_eq!(spoken(text, Language::Chinese), said, "{text}");
        }
    }
}
