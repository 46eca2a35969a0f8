//! Spelled-out English numbers as digits, by Whisper's rules: `twenty one` is `21`, `one oh one` is `101`, `$20 million` is
//! `$20000000`. Its oddities are kept, because the published figures have them.

use super::is_word;

/// So many digits fit the arithmetic; longer numbers stay as they are written.
const MOST_DIGITS: usize = 30;
const CURRENCIES: [char; 3] = ['€', '£', '$'];
const PREFIXES: [char; 6] = ['-', '+', '£', '€', '$', '¢'];

const ONES: [&str; 19] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const MULTIPLIERS: [&str; 12] = [
    "hundred",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
];
/// Ordinals that are not their number with `th` behind.
const ODD_ORDINALS: [(&str, i128, &str); 6] =
    [("zeroth", 0, "th"), ("first", 1, "st"), ("second", 2, "nd"), ("third", 3, "rd"), ("fifth", 5, "th"), ("twelfth", 12, "th")];

/// What a word means to numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Zero,
    /// One to nineteen.
    One(i128),
    /// `sixes`, `sixth`.
    OneWith(i128, &'static str),
    Ten(i128),
    TenWith(i128, &'static str),
    Multiplier(i128),
    MultiplierWith(i128, &'static str),
    /// A sign, said before its number.
    Sign(char),
    /// A currency, said after its number.
    Currency(char),
    Per,
    Percent,
    And,
    Double,
    Triple,
    Point,
}

/// A number that is being put together.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Whole(i128),
    /// Digits that stand side by side, or with a point.
    Digits(String),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Whole(n) => n.to_string(),
            Self::Digits(digits) => digits.clone(),
        }
    }

    /// Python's `value or ""`: a whole 0 is nothing.
    fn text_unless_zero(value: Option<&Self>) -> String {
        value.filter(|value| **value != Self::Whole(0)).map_or_else(String::new, Self::text)
    }
}

/// `text`, in lower case and without symbols, with its numbers in digits.
pub(super) fn standardised(text: &str) -> String {
    let prepared = prepared(text);
    let words: Vec<&str> = prepared.split_whitespace().collect();
    finished(&Reader::default().read(&words).join(" "))
}

fn meaning(word: &str) -> Option<Word> {
    if ["o", "oh", "zero"].contains(&word) {
        return Some(Word::Zero);
    }
    let place = |of: &[&str], word: &str| of.iter().position(|known| *known == word).map(|at| at as i128);
    let ten = |at: i128| (at + 2) * 10;
    let multiplier = |at: i128| if at == 0 { 100 } else { 1_000_i128.pow(at as u32) };
    if let Some(at) = place(&ONES, word) {
        return Some(Word::One(at + 1));
    }
    if let Some((_, value, suffix)) = ODD_ORDINALS.iter().find(|(ordinal, ..)| *ordinal == word) {
        return Some(Word::OneWith(*value, suffix));
    }
    if let Some(at) = ONES.iter().position(|one| plural_of_one(one) == word) {
        return Some(Word::OneWith(at as i128 + 1, "s"));
    }
    // Names that end in t take only an h; three, five and twelve have ordinals of their own.
    if let Some(at) = ONES.iter().position(|one| format!("{one}{}", if one.ends_with('t') { "h" } else { "th" }) == word)
        && at >= 3
        && ![4, 11].contains(&at)
    {
        return Some(Word::OneWith(at as i128 + 1, "th"));
    }
    if let Some(at) = place(&TENS, word) {
        return Some(Word::Ten(ten(at)));
    }
    if let Some(at) = word.strip_suffix("ies").and_then(|stem| place(&TENS, &format!("{stem}y"))) {
        return Some(Word::TenWith(ten(at), "s"));
    }
    if let Some(at) = word.strip_suffix("ieth").and_then(|stem| place(&TENS, &format!("{stem}y"))) {
        return Some(Word::TenWith(ten(at), "th"));
    }
    if let Some(at) = place(&MULTIPLIERS, word) {
        return Some(Word::Multiplier(multiplier(at)));
    }
    for suffix in ["s", "th"] {
        if let Some(at) = word.strip_suffix(suffix).and_then(|stem| place(&MULTIPLIERS, stem)) {
            return Some(Word::MultiplierWith(multiplier(at), suffix));
        }
    }
    Some(match word {
        "minus" | "negative" => Word::Sign('-'),
        "plus" | "positive" => Word::Sign('+'),
        "pound" | "pounds" => Word::Currency('£'),
        "euro" | "euros" => Word::Currency('€'),
        "dollar" | "dollars" => Word::Currency('$'),
        "cent" | "cents" => Word::Currency('¢'),
        "per" => Word::Per,
        "percent" => Word::Percent,
        "and" => Word::And,
        "double" => Word::Double,
        "triple" => Word::Triple,
        "point" => Word::Point,
        _ => return None,
    })
}

fn plural_of_one(one: &str) -> String {
    if one == "six" { "sixes".to_owned() } else { format!("{one}s") }
}

/// Whether `word` is digits, perhaps with a point and more digits.
fn is_numeric(word: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    word.split_once('.').map_or_else(|| digits(word), |(whole, part)| digits(whole) && digits(part))
}

/// `number` (digits, perhaps with a point) times `factor`, where that is whole.
fn times(number: &str, factor: i128) -> Option<i128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && part.is_empty()) || part.contains('.') || whole.len() + part.len() > MOST_DIGITS {
        return None;
    }
    let product = format!("{whole}{part}").parse::<i128>().ok()?.checked_mul(factor)?;
    let scale = 10_i128.checked_pow(part.len() as u32)?;
    (product % scale == 0).then_some(product / scale)
}

/// `hundred`, `thousand` and so on multiply what stands below the last thousand.
fn multiplied(value: i128, factor: i128) -> Option<i128> {
    (value % 1_000).checked_mul(factor)?.checked_add(value / 1_000 * 1_000)
}

/// Reads words from left to right.
#[derive(Default)]
struct Reader {
    value: Option<Value>,
    prefix: Option<char>,
    out: Vec<String>,
}

impl Reader {
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

    /// Takes a word that means something to numbers; whether the one after it is taken with it.
    fn word(&mut self, word: Word, current: &str, before: Option<Word>, next: &str) -> bool {
        let before_is_one = matches!(before, Some(Word::One(_)));
        let before_is_ten = matches!(before, Some(Word::Ten(_)));
        match word {
            Word::Zero => self.value = Some(Value::Digits(format!("{}0", Value::text_unless_zero(self.value.as_ref())))),
            Word::One(n) => self.value = Some(self.with_one(n, before_is_one, before_is_ten)),
            Word::OneWith(n, suffix) => {
                let value = self.with_one(n, before_is_one, before_is_ten);
                self.say_number(&format!("{}{suffix}", value.text()));
            }
            Word::Ten(n) => self.value = Some(self.with_ten(n)),
            Word::TenWith(n, suffix) => {
                let value = self.with_ten(n);
                self.say_number(&format!("{}{suffix}", value.text()));
            }
            Word::Multiplier(factor) => self.multiply(factor),
            Word::MultiplierWith(factor, suffix) => self.multiply_and_end(factor, suffix),
            Word::Sign(sign) => {
                self.end();
                if meaning(next).is_some() || is_numeric(next) { self.prefix = Some(sign) } else { self.say(current) }
            }
            Word::Currency(sign) if self.value.is_some() => {
                self.prefix = Some(sign);
                self.end();
            }
            Word::Per if self.value.is_some() && next == "cent" => {
                self.end_with("%");
                return true;
            }
            Word::Percent if self.value.is_some() => self.end_with("%"),
            Word::Currency(_) | Word::Percent => self.say(current),
            Word::Per => self.end_and_say(current),
            Word::And | Word::Double | Word::Triple | Word::Point => return self.special(word, current, before, next),
        }
        false
    }

    fn special(&mut self, word: Word, current: &str, before: Option<Word>, next: &str) -> bool {
        let meant = meaning(next);
        if meant.is_none() && !is_numeric(next) {
            self.end_and_say(current);
            return false;
        }
        match (word, meant) {
            // "and" between the parts of a number is nothing.
            (Word::And, _) if matches!(before, Some(Word::Multiplier(_))) => {}
            (Word::And, _) => self.end_and_say(current),
            (Word::Double | Word::Triple, Some(Word::Zero | Word::One(_))) => {
                let digit = if let Some(Word::One(n)) = meant { n } else { 0 }.to_string();
                let repeated = digit.repeat(if word == Word::Double { 2 } else { 3 });
                self.value = Some(Value::Digits(Value::text_unless_zero(self.value.as_ref()) + &repeated));
                return true;
            }
            (Word::Point, meant) => {
                if is_numeric(next) || matches!(meant, Some(Word::Zero | Word::One(_) | Word::Ten(_))) {
                    self.value = Some(Value::Digits(Value::text_unless_zero(self.value.as_ref()) + "."));
                }
            }
            _ => self.end_and_say(current),
        }
        false
    }

    fn arabic(&mut self, current: &str, bare: &str, sign: Option<char>) {
        match &mut self.value {
            Some(Value::Digits(digits)) if digits.ends_with('.') => {
                digits.push_str(current);
                return;
            }
            Some(_) => self.end(),
            None => {}
        }
        self.prefix = sign.or(self.prefix);
        self.value = Some(times(bare, 1).map_or_else(|| Value::Digits(bare.to_owned()), Value::Whole));
    }

    /// The value with one to nineteen behind it.
    fn with_one(&self, n: i128, before_is_one: bool, before_is_ten: bool) -> Value {
        match &self.value {
            None => Value::Whole(n),
            Some(Value::Digits(digits)) if before_is_ten && n < 10 && digits.ends_with('0') => {
                Value::Digits(format!("{}{n}", &digits[..digits.len() - 1]))
            }
            Some(Value::Whole(value)) if !before_is_one && value % (if n < 10 { 10 } else { 100 }) == 0 => Value::Whole(value + n),
            Some(value) => Value::Digits(format!("{}{n}", value.text())),
        }
    }

    /// The value with twenty to ninety behind it.
    fn with_ten(&self, n: i128) -> Value {
        match &self.value {
            None => Value::Whole(n),
            Some(Value::Whole(value)) if value % 100 == 0 => Value::Whole(value + n),
            Some(value) => Value::Digits(format!("{}{n}", value.text())),
        }
    }

    fn multiply(&mut self, factor: i128) {
        let product = match &self.value {
            None => Some(factor),
            Some(Value::Whole(value)) => multiplied(*value, factor),
            Some(Value::Digits(digits)) => times(digits, factor),
        };
        if product.is_none() {
            self.end();
        }
        self.value = Some(Value::Whole(product.unwrap_or(factor)));
    }

    fn multiply_and_end(&mut self, factor: i128, suffix: &str) {
        self.multiply(factor);
        self.end_with(suffix);
    }

    fn end_with(&mut self, suffix: &str) {
        if let Some(value) = self.value.take() {
            self.say_number(&format!("{}{suffix}", value.text()));
        }
    }

    /// Ends the number that is being put together, if one is.
    fn end(&mut self) {
        self.end_with("");
    }

    fn end_and_say(&mut self, word: &str) {
        self.end();
        self.say(word);
    }

    fn say_number(&mut self, number: &str) {
        self.say(number);
        self.value = None;
    }

    /// Says a word; a sign that waits goes in front of it, number or not.
    fn say(&mut self, word: &str) {
        let prefix = self.prefix.take().map_or_else(String::new, String::from);
        self.out.push(prefix + word);
        self.value = None;
    }
}

/// `… and a half` as `point five`, digits and letters apart, suffixes at their digits.
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
            let counted = matches!(meaning(last), Some(Word::Zero | Word::One(_) | Word::Ten(_) | Word::Multiplier(_)));
            joined.push(if counted { "point five" } else { "and a half" });
        }
    }
    suffixes_joined(&digits_apart(&joined.join(" ")))
}

/// Cut at every `and a half`.
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

/// `3 rd` is `3rd`.
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

/// `$2 and ¢7` is `$2.07`, `$0.07` is `¢7`, and a lone 1 is a word.
fn finished(text: &str) -> String {
    one_as_word(&replace_at(&replace_at(text, with_cents), only_cents))
}

/// Replaces, from left to right, what `found` recognises at the beginning of the rest: how long it is and what it becomes.
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

/// The one or two digits that `text` begins with, if no word goes on behind them.
fn cents(text: &str) -> Option<(usize, u32)> {
    let digits = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
    let ends = !text[digits..].chars().next().is_some_and(is_word);
    if (1..=2).contains(&digits) && ends { Some((digits, text[..digits].parse().ok()?)) } else { None }
}

fn with_cents(text: &str) -> Option<(usize, String)> {
    let currency = text.chars().next().filter(|c| CURRENCIES.contains(c))?;
    let after = &text[currency.len_utf8()..];
    let whole = &after[..after.find(|c: char| !c.is_ascii_digit())?];
    let rest = after[whole.len()..].strip_prefix(' ')?;
    let rest = rest.strip_prefix("and ").unwrap_or(rest).strip_prefix('¢')?;
    let (length, cents) = cents(rest).filter(|_| !whole.is_empty())?;
    Some((text.len() - rest.len() + length, format!("{currency}{whole}.{cents:02}")))
}

fn only_cents(text: &str) -> Option<(usize, String)> {
    let currency = text.chars().next().filter(|c| CURRENCIES.contains(c))?;
    let after = text[currency.len_utf8()..].strip_prefix('0')?;
    // The published rule takes any character for the point.
    let rest = &after[after.chars().next()?.len_utf8()..];
    let (length, cents) = cents(rest)?;
    Some((text.len() - rest.len() + length, format!("¢{cents}")))
}

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
