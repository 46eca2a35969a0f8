//! Conversion of spelled-out English numbers to digits by Whisper's rules: `twenty one` to `21`, `one oh one` to `101`,
//! `$20 million` to `$20000000`. Its errors are reproduced, because published figures contain them.

mod vocabulary;

use super::is_word;
use vocabulary::{NumberWord, meaning};

/// Largest number of digits, before and after the point, of a number that [`times`] multiplies in 128 bits.
const MAX_DIGITS: usize = 30;
/// Currencies whose cents [`finished`] rewrites.
const CURRENCIES: [char; 3] = ['€', '£', '$'];
/// Signs and currencies that may precede the digits of a number.
const PREFIXES: [char; 6] = ['-', '+', '£', '€', '$', '¢'];

/// A number that is being assembled from words.
#[derive(Clone, Debug, PartialEq)]
enum PartialNumber {
    /// An integer, which further words may add to or multiply.
    Whole(i128),
    /// A string of digits, perhaps with a decimal point and leading zeros.
    Digits(String),
}

impl PartialNumber {
    /// Returns the number in digits.
    fn text(&self) -> String {
        match self {
            Self::Whole(n) => n.to_string(),
            Self::Digits(digits) => digits.clone(),
        }
    }

    /// Returns `value` in digits, as Python's `value or ""` does: empty for `None` and for the integer 0, not for the digits `0`.
    fn text_unless_zero(value: Option<&Self>) -> String {
        value.filter(|value| **value != Self::Whole(0)).map_or_else(String::new, Self::text)
    }
}

/// Returns `text`, which is in lower case and without symbols, with its spelled-out numbers in digits and single spaces between
/// words.
pub(super) fn to_digits(text: &str) -> String {
    let prepared = prepared(text);
    let words: Vec<&str> = prepared.split_whitespace().collect();
    finished(&NumberReader::default().read(&words).join(" "))
}

/// Returns true if `word` is ASCII digits, perhaps with a point and more digits: `12`, `1.5`, but not `.5`.
fn is_numeric(word: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    word.split_once('.').map_or_else(|| digits(word), |(whole, part)| digits(whole) && digits(part))
}

/// Multiplies `number` (digits, perhaps with a point) by `factor`; `None` unless the product is an integer of 128 bits and
/// `number` has at most [`MAX_DIGITS`] digits.
fn times(number: &str, factor: i128) -> Option<i128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && part.is_empty()) || part.contains('.') || whole.len() + part.len() > MAX_DIGITS {
        return None;
    }
    let product = format!("{whole}{part}").parse::<i128>().ok()?.checked_mul(factor)?;
    let scale = 10_i128.checked_pow(part.len() as u32)?;
    (product % scale == 0).then_some(product / scale)
}

/// Multiplies the part of `value` below one thousand by `factor` and leaves the rest: 2005 by 100 is 2500. `None` on overflow.
fn multiplied(value: i128, factor: i128) -> Option<i128> {
    (value % 1_000).checked_mul(factor)?.checked_add(value / 1_000 * 1_000)
}

/// The converter of spelled-out numbers to digits, which reads word by word from left to right.
#[derive(Default)]
struct NumberReader {
    /// Number that is being assembled; `None` between numbers.
    value: Option<PartialNumber>,
    /// Sign or currency to be put before the next word that is written.
    prefix: Option<char>,
    /// Words and numbers that are finished.
    out: Vec<String>,
}

impl NumberReader {
    /// Converts `words` and returns the result word by word; words that belong to no number stay.
    fn read(mut self, words: &[&str]) -> Vec<String> {
        let mut skip = false;
        for (at, current) in words.iter().enumerate() {
            if std::mem::take(&mut skip) {
                continue;
            }
            let before = at.checked_sub(1).and_then(|before| words.get(before)).and_then(|word| meaning(word));
            let next = words.get(at + 1).copied().unwrap_or_default();
            let sign = current.chars().next().filter(|c| PREFIXES.contains(c));
            let bare = &current[sign.map_or(0, char::len_utf8)..];
            if is_numeric(bare) {
                self.arabic(current, bare, sign);
            } else {
                match meaning(current) {
                    None => {
                        self.end();
                        self.say(current);
                    }
                    Some(word) => skip = self.word(word, current, before, next),
                }
            }
        }
        self.end();
        self.out
    }

    /// Handles the word `current` of meaning `word`, which stands between a word of meaning `before` and the word `next`. Returns
    /// true if `next` is consumed too.
    fn word(&mut self, word: NumberWord, current: &str, before: Option<NumberWord>, next: &str) -> bool {
        match word {
            NumberWord::Zero => {
                self.value = Some(PartialNumber::Digits(format!("{}0", PartialNumber::text_unless_zero(self.value.as_ref()))));
            }
            NumberWord::One(n) => self.value = Some(self.with_one(n, before)),
            NumberWord::OneWith(n, suffix) => {
                let value = self.with_one(n, before);
                self.say_number(&format!("{}{suffix}", value.text()));
            }
            NumberWord::Ten(n) => self.value = Some(self.with_ten(n)),
            NumberWord::TenWith(n, suffix) => {
                let value = self.with_ten(n);
                self.say_number(&format!("{}{suffix}", value.text()));
            }
            NumberWord::Multiplier(factor) => self.multiply(factor),
            NumberWord::MultiplierWith(factor, suffix) => self.multiply_and_end(factor, suffix),
            NumberWord::Sign(sign) => {
                self.end();
                if meaning(next).is_some() || is_numeric(next) { self.prefix = Some(sign) } else { self.say(current) }
            }
            NumberWord::Currency(sign) if self.value.is_some() => {
                self.prefix = Some(sign);
                self.end();
            }
            NumberWord::Per if self.value.is_some() && next == "cent" => {
                self.end_with("%");
                return true;
            }
            NumberWord::Percent if self.value.is_some() => self.end_with("%"),
            NumberWord::Currency(_) | NumberWord::Percent => self.say(current),
            NumberWord::Per => self.end_and_say(current),
            NumberWord::And | NumberWord::Double | NumberWord::Triple | NumberWord::Point => {
                return self.special(word, current, before, next);
            }
        }
        false
    }

    /// Handles `and`, `double`, `triple` and `point`, as [`NumberReader::word`] does. Returns true if `next` is consumed too.
    fn special(&mut self, word: NumberWord, current: &str, before: Option<NumberWord>, next: &str) -> bool {
        let meant = meaning(next);
        if meant.is_none() && !is_numeric(next) {
            self.end_and_say(current);
            return false;
        }
        match (word, meant) {
            // "and" within a number is dropped.
            (NumberWord::And, _) if matches!(before, Some(NumberWord::Multiplier(_))) => {}
            (NumberWord::And, _) => self.end_and_say(current),
            (NumberWord::Double | NumberWord::Triple, Some(NumberWord::Zero | NumberWord::One(_))) => {
                let digit = if let Some(NumberWord::One(n)) = meant { n } else { 0 }.to_string();
                let repeated = digit.repeat(if word == NumberWord::Double { 2 } else { 3 });
                self.value = Some(PartialNumber::Digits(PartialNumber::text_unless_zero(self.value.as_ref()) + &repeated));
                return true;
            }
            (NumberWord::Point, meant) => {
                if is_numeric(next) || matches!(meant, Some(NumberWord::Zero | NumberWord::One(_) | NumberWord::Ten(_))) {
                    self.value = Some(PartialNumber::Digits(PartialNumber::text_unless_zero(self.value.as_ref()) + "."));
                }
            }
            _ => self.end_and_say(current),
        }
        false
    }

    /// Handles the word `current` in digits; `bare` is the word without its sign or currency, `sign`.
    fn arabic(&mut self, current: &str, bare: &str, sign: Option<char>) {
        match &mut self.value {
            Some(PartialNumber::Digits(digits)) if digits.ends_with('.') => {
                digits.push_str(current);
                return;
            }
            Some(_) => self.end(),
            None => {}
        }
        self.prefix = sign.or(self.prefix);
        self.value = Some(times(bare, 1).map_or_else(|| PartialNumber::Digits(bare.to_owned()), PartialNumber::Whole));
    }

    /// Returns the number so far continued by `n`, one to nineteen, by adding (`twenty` `one`) or by appending digits (`nineteen` `ten`);
    /// `before` is the meaning of the preceding word, None without one.
    fn with_one(&self, n: i128, before: Option<NumberWord>) -> PartialNumber {
        match &self.value {
            None => PartialNumber::Whole(n),
            Some(PartialNumber::Digits(digits)) if matches!(before, Some(NumberWord::Ten(_))) && n < 10 && digits.ends_with('0') => {
                PartialNumber::Digits(format!("{}{n}", &digits[..digits.len() - 1]))
            }
            Some(PartialNumber::Whole(value))
                if !matches!(before, Some(NumberWord::One(_))) && value % (if n < 10 { 10 } else { 100 }) == 0 =>
            {
                PartialNumber::Whole(value + n)
            }
            Some(value) => PartialNumber::Digits(format!("{}{n}", value.text())),
        }
    }

    /// Returns the number so far continued by `n`, twenty to ninety: added to whole hundreds, else appended as digits.
    fn with_ten(&self, n: i128) -> PartialNumber {
        match &self.value {
            None => PartialNumber::Whole(n),
            Some(PartialNumber::Whole(value)) if value % 100 == 0 => PartialNumber::Whole(value + n),
            Some(value) => PartialNumber::Digits(format!("{}{n}", value.text())),
        }
    }

    /// Multiplies the number so far by `factor` (hundred, thousand …), or starts one with it; if that is impossible, ends the
    /// number and starts another.
    fn multiply(&mut self, factor: i128) {
        let product = match &self.value {
            None => Some(factor),
            Some(PartialNumber::Whole(value)) => multiplied(*value, factor),
            Some(PartialNumber::Digits(digits)) => times(digits, factor),
        };
        if product.is_none() {
            self.end();
        }
        self.value = Some(PartialNumber::Whole(product.unwrap_or(factor)));
    }

    /// Multiplies as [`NumberReader::multiply`] does and ends the number with `suffix`: `hundreds` is `100s`.
    fn multiply_and_end(&mut self, factor: i128, suffix: &str) {
        self.multiply(factor);
        self.end_with(suffix);
    }

    /// Writes the number so far, if there is one, with `suffix` behind it.
    fn end_with(&mut self, suffix: &str) {
        if let Some(value) = self.value.take() {
            self.say_number(&format!("{}{suffix}", value.text()));
        }
    }

    /// Writes the number so far, if there is one.
    fn end(&mut self) {
        self.end_with("");
    }

    /// Writes the number so far, if there is one, and then `word`.
    fn end_and_say(&mut self, word: &str) {
        self.end();
        self.say(word);
    }

    /// Writes a finished number and drops the one so far.
    fn say_number(&mut self, number: &str) {
        self.say(number);
        self.value = None;
    }

    /// Writes `word` with the pending prefix before it, even if the word is not a number, and drops the number so far.
    fn say(&mut self, word: &str) {
        let prefix = self.prefix.take().map_or_else(String::new, String::from);
        self.out.push(prefix + word);
        self.value = None;
    }
}

/// Rewrites `and a half` after a number word as `point five`, separates digits from letters (`a1` is `a 1`), and joins the
/// suffixes `st`, `nd`, `rd`, `th` and `s` to their digits.
fn prepared(text: &str) -> String {
    let parts = halves(text);
    let mut joined: Vec<&str> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        if part.trim().is_empty() {
            continue;
        }
        joined.push(part);
        if at + 1 < parts.len() {
            let last = part.split_whitespace().next_back().unwrap_or_default();
            let counted =
                matches!(meaning(last), Some(NumberWord::Zero | NumberWord::One(_) | NumberWord::Ten(_) | NumberWord::Multiplier(_)));
            joined.push(if counted { "point five" } else { "and a half" });
        }
    }
    suffixes_joined(&digits_apart(&joined.join(" ")))
}

/// Returns the parts of `text` before, between and after every `and a half`, however many spaces are in it.
fn halves(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut search) = (Vec::new(), 0, 0);
    while let Some(at) = text[search..].find("and").map(|at| search + at) {
        search = at + "and".len();
        let starts = !text[..at].chars().next_back().is_some_and(is_word);
        let word_after = |from: usize, word: &str| -> Option<usize> {
            let rest = text[from..].trim_start();
            (rest.len() < text[from..].len() && rest.starts_with(word)).then(|| text.len() - rest.len() + word.len())
        };
        if let Some(end) = word_after(search, "a").and_then(|end| word_after(end, "half")).filter(|_| starts)
            && !text[end..].chars().next().is_some_and(is_word)
        {
            parts.push(&text[from..at]);
            (from, search) = (end, end);
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Puts a space between a digit and a letter that follow each other: `a1` becomes `a 1`.
fn digits_apart(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last = ' ';
    for c in text.chars() {
        if (last.is_ascii_lowercase() && c.is_ascii_digit()) || (last.is_ascii_digit() && c.is_ascii_lowercase()) {
            out.push(' ');
        }
        out.push(c);
        last = c;
    }
    out
}

/// Joins the suffixes `st`, `nd`, `rd`, `th` and `s` to the digit before them: `3 rd` is `3rd`.
fn suffixes_joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        out.push(c);
        rest = &rest[c.len_utf8()..];
        let after = rest.trim_start();
        if c.is_ascii_digit()
            && after.len() < rest.len()
            && let Some(suffix) = ["st", "nd", "rd", "th", "s"]
                .into_iter()
                .find(|suffix| after.strip_prefix(suffix).is_some_and(|end| !end.chars().next().is_some_and(is_word)))
        {
            out.push_str(suffix);
            rest = &after[suffix.len()..];
        }
    }
    out
}

/// Rewrites `$2 and ¢7` as `$2.07`, `$0.07` as `¢7`, and a lone `1` as `one`, as Whisper's rules do at the end.
fn finished(text: &str) -> String {
    one_as_word(&replace_at(&replace_at(text, with_cents), only_cents))
}

/// Replaces each match from left to right; `found` returns the length in bytes of a match at the start of its argument, and the
/// replacement, or `None`.
fn replace_at(text: &str, found: impl Fn(&str) -> Option<(usize, String)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((length, with)) = found(rest) {
            out.push_str(&with);
            rest = &rest[length..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Parses one or two digits at the start of `text`, after which the word ends; returns how many digits they are, and their value.
fn cents(text: &str) -> Option<(usize, u32)> {
    let digits = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
    let ends = !text[digits..].chars().next().is_some_and(is_word);
    if (1..=2).contains(&digits) && ends { Some((digits, text[..digits].parse().ok()?)) } else { None }
}

/// Matches `$2 and ¢7` or `$2 ¢7` at the start of `text`; returns its length in bytes, and `$2.07`.
fn with_cents(text: &str) -> Option<(usize, String)> {
    let currency = text.chars().next().filter(|c| CURRENCIES.contains(c))?;
    let after = &text[currency.len_utf8()..];
    let whole = &after[..after.find(|c: char| !c.is_ascii_digit())?];
    let rest = after[whole.len()..].strip_prefix(' ')?;
    let rest = rest.strip_prefix("and ").unwrap_or(rest).strip_prefix('¢')?;
    let (length, cents) = cents(rest).filter(|_| !whole.is_empty())?;
    Some((text.len() - rest.len() + length, format!("{currency}{whole}.{cents:02}")))
}

/// Matches `$0.07` at the start of `text`; returns its length in bytes, and `¢7`.
fn only_cents(text: &str) -> Option<(usize, String)> {
    let currency = text.chars().next().filter(|c| CURRENCIES.contains(c))?;
    let after = text[currency.len_utf8()..].strip_prefix('0')?;
    // The published rule accepts any character as the point.
    let rest = &after[after.chars().next()?.len_utf8()..];
    let (length, cents) = cents(rest)?;
    Some((text.len() - rest.len() + length, format!("¢{cents}")))
}

/// Rewrites `1` and `1s` that stand alone as `one` and `ones`.
fn one_as_word(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut inside = false;
    while let Some(c) = rest.chars().next() {
        let ends = |at: usize| !rest[at..].chars().next().is_some_and(is_word);
        let length = if rest.starts_with("1s") && ends(2) { 2 } else { 1 };
        if c == '1' && !inside && ends(length) {
            out.push_str("one");
            out.push_str(&rest[1..length]);
            rest = &rest[length..];
            inside = true;
        } else {
            out.push(c);
            inside = is_word(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}
