//! The English words that belong to numbers.

/// The words for one to nineteen, in order.
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
/// The words for twenty to ninety, in order.
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
/// The words for a hundred, then for the powers of a thousand, in order.
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
/// Irregular ordinals: word, value, and suffix of the digits.
const ODD_ORDINALS: [(&str, i128, &str); 6] =
    [("zeroth", 0, "th"), ("first", 1, "st"), ("second", 2, "nd"), ("third", 3, "rd"), ("fifth", 5, "th"), ("twelfth", 12, "th")];

/// The meaning of an English word in a spelled-out number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberWord {
    /// `o`, `oh`, `zero`.
    Zero,
    /// A value from one to nineteen.
    One(i128),
    /// A plural or ordinal of one to nineteen, or `zeroth`, as `sixes` or `sixth`: value and suffix of the digits (6 and `th`).
    OneWith(i128, &'static str),
    /// A multiple of ten from twenty to ninety.
    Ten(i128),
    /// A plural or ordinal of twenty to ninety, as `sixties` or `sixtieth`: value and suffix of the digits.
    TenWith(i128, &'static str),
    /// `hundred`, `thousand`, `million` …: the factor.
    Multiplier(i128),
    /// A plural or ordinal of such a word, as `hundreds` or `millionth`: factor and suffix of the digits.
    MultiplierWith(i128, &'static str),
    /// `minus`, `plus`, `negative` or `positive`: the sign, which precedes its number.
    Sign(char),
    /// `dollars`, `pound`, `euros`, `cent` …: the symbol; the word follows its number.
    Currency(char),
    /// `per`, as in `per cent`.
    Per,
    /// `percent`.
    Percent,
    /// `and`.
    And,
    /// `double`, as in `double seven`.
    Double,
    /// `triple`, as in `triple seven`.
    Triple,
    /// `point`, as in `two point five`.
    Point,
}

/// Returns the meaning of `word`, in lower case, in a spelled-out number; `None` if it has none there.
pub(super) fn meaning(word: &str) -> Option<NumberWord> {
    if ["o", "oh", "zero"].contains(&word) {
        return Some(NumberWord::Zero);
    }
    let index = |of: &[&str], word: &str| of.iter().position(|known| *known == word).map(|at| at as i128);
    let ten = |at: i128| (at + 2) * 10;
    let multiplier = |at: i128| if at == 0 { 100 } else { 1_000_i128.pow(at as u32) };
    if let Some(at) = index(&ONES, word) {
        return Some(NumberWord::One(at + 1));
    }
    if let Some((_, value, suffix)) = ODD_ORDINALS.iter().find(|(ordinal, ..)| *ordinal == word) {
        return Some(NumberWord::OneWith(*value, suffix));
    }
    if let Some(at) = ONES.iter().position(|one| plural_of_one(one) == word) {
        return Some(NumberWord::OneWith(at as i128 + 1, "s"));
    }
    // Eight takes only an h; one, two, three, five and twelve are irregular.
    if let Some(at) = ONES.iter().position(|one| format!("{one}{}", if one.ends_with('t') { "h" } else { "th" }) == word)
        && at >= 3
        && ![4, 11].contains(&at)
    {
        return Some(NumberWord::OneWith(at as i128 + 1, "th"));
    }
    if let Some(at) = index(&TENS, word) {
        return Some(NumberWord::Ten(ten(at)));
    }
    if let Some(at) = word.strip_suffix("ies").and_then(|stem| index(&TENS, &format!("{stem}y"))) {
        return Some(NumberWord::TenWith(ten(at), "s"));
    }
    if let Some(at) = word.strip_suffix("ieth").and_then(|stem| index(&TENS, &format!("{stem}y"))) {
        return Some(NumberWord::TenWith(ten(at), "th"));
    }
    if let Some(at) = index(&MULTIPLIERS, word) {
        return Some(NumberWord::Multiplier(multiplier(at)));
    }
    for suffix in ["s", "th"] {
        if let Some(at) = word.strip_suffix(suffix).and_then(|stem| index(&MULTIPLIERS, stem)) {
            return Some(NumberWord::MultiplierWith(multiplier(at), suffix));
        }
    }
    Some(match word {
        "minus" | "negative" => NumberWord::Sign('-'),
        "plus" | "positive" => NumberWord::Sign('+'),
        "pound" | "pounds" => NumberWord::Currency('£'),
        "euro" | "euros" => NumberWord::Currency('€'),
        "dollar" | "dollars" => NumberWord::Currency('$'),
        "cent" | "cents" => NumberWord::Currency('¢'),
        "per" => NumberWord::Per,
        "percent" => NumberWord::Percent,
        "and" => NumberWord::And,
        "double" => NumberWord::Double,
        "triple" => NumberWord::Triple,
        "point" => NumberWord::Point,
        _ => return None,
    })
}

/// Returns the plural of a word from [`ONES`]: with `s`, or `sixes`.
fn plural_of_one(one: &str) -> String {
    if one == "six" { "sixes".to_owned() } else { format!("{one}s") }
}
