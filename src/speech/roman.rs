//! Roman numerals where a title or a ruler's name leaves no doubt that they are numbers. Pure.

/// Words before a numeral that counts: `World War II` is "World War 2".
const COUNTED: [&str; 32] = [
    "War", "Chapter", "Part", "Volume", "Book", "Act", "Scene", "Phase", "Type", "Section", "Article", "Title", "Class", "Level", "Grade",
    "Stage", "Step", "Appendix", "Table", "Figure", "Annex", "Schedule", "Bowl", "Mark", "Apollo", "Rocky", "Fantasy", "Episode", "Season",
    "Wars", "Factor", "Division",
];
/// Names before a numeral that orders: `Henry VIII` is "Henry the 8th".
const RULERS: [&str; 44] = [
    "Elizabeth",
    "Henry",
    "Charles",
    "George",
    "Edward",
    "Louis",
    "William",
    "James",
    "Richard",
    "Philip",
    "Philippe",
    "John",
    "Paul",
    "Pius",
    "Benedict",
    "Gregory",
    "Francis",
    "Nicholas",
    "Catherine",
    "Alexander",
    "Peter",
    "Frederick",
    "Wilhelm",
    "Napoleon",
    "Leo",
    "Mary",
    "Ferdinand",
    "Ramses",
    "Ramesses",
    "Xerxes",
    "Darius",
    "Victor",
    "Otto",
    "Ivan",
    "Clement",
    "Innocent",
    "Urban",
    "Felipe",
    "Carlos",
    "Harald",
    "Gustav",
    "Christian",
    "Mehmed",
    "Cleopatra",
];

/// Returns `text` with the Roman numerals that follow such a word in digits.
pub(super) fn in_digits(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = "";
    for piece in text.split_inclusive(char::is_whitespace) {
        let core = piece.trim_end().trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        match value(core) {
            // "Part I agree with": one letter alone is a word where the sentence goes on.
            Some(number) if COUNTED.contains(&before) && (core != "I" || before == "War" || core.len() < piece.trim_end().len()) => {
                out.push_str(&number.to_string());
                out.push_str(&piece[core.len()..]);
            }
            Some(number) if RULERS.contains(&before) && core != "I" => {
                out.push_str(&format!("the {}", ordinal(number)));
                out.push_str(&piece[core.len()..]);
            }
            _ => out.push_str(piece),
        }
        // Punctuation separates.
        before = if core.len() == piece.trim_end().len() { core } else { "" };
    }
    out
}

/// Returns the number that the Roman numeral `text` stands for, at most 89; None for any other text.
fn value(text: &str) -> Option<u32> {
    if text.is_empty() || text.len() > 8 || !text.bytes().all(|c| b"IVXL".contains(&c)) {
        return None;
    }
    let digits: Vec<u32> = text
        .bytes()
        .map(|c| match c {
            b'I' => 1,
            b'V' => 5,
            b'X' => 10,
            _ => 50,
        })
        .collect();
    let sum =
        |at: usize| if digits.get(at + 1).is_some_and(|next| *next > digits[at]) { -i64::from(digits[at]) } else { i64::from(digits[at]) };
    let number = u32::try_from((0..digits.len()).map(sum).sum::<i64>()).ok()?;
    // Only the usual way of writing: `IIV` is none.
    (roman(number) == text).then_some(number)
}

/// Returns a number below 90 as a Roman numeral.
fn roman(number: u32) -> String {
    let mut left = number;
    let mut text = String::new();
    for (worth, letters) in [(50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")] {
        while left >= worth {
            text.push_str(letters);
            left -= worth;
        }
    }
    text
}

/// Returns a number with its English ending: `8th`, `2nd`.
fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
