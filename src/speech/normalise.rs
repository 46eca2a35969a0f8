//! Text normalisation for speech: replaces markup, links, emoji, signs and abbreviations by words. Pure.
//!
//! The result has no control character, bracket, backslash or quotation mark, and no text that a voice program interprets as a
//! command ("[[" begins phonemes in espeak).

use super::characters::common_forms;
use super::markup::without_markup;
use super::{Language, is_han, numbers, roman};

/// Returns `text` in its spoken form: words, digits and punctuation; empty if there is nothing to say.
#[must_use]
pub fn spoken_form(text: &str, language: Language) -> String {
    let plain = roman::in_digits(&without_markup(&common_forms(text)));
    let words = match language {
        Language::English => expand_abbreviations(&plain),
        Language::Chinese => plain,
    };
    let numbered = numbers::spoken(&words, language);
    let mut spoken = String::with_capacity(numbered.len());
    for c in numbered.chars() {
        match sign(c, language) {
            Sign::Keep => spoken.push(c),
            Sign::Drop => spoken.push(' '),
            Sign::Word(word) => {
                spoken.push(' ');
                spoken.push_str(word);
                spoken.push(' ');
            }
        }
    }
    let spoken = clean_punctuation(&spoken);
    if spoken.chars().any(char::is_alphanumeric) { spoken } else { name_of_first_sign(text, language) }
}

/// The replacement of a character in spoken text.
enum Sign {
    /// The character stays.
    Keep,
    /// The character becomes a space.
    Drop,
    /// This word replaces the character.
    Word(&'static str),
}

/// Returns the replacement of the character `c` in text of this language.
fn sign(c: char, language: Language) -> Sign {
    let word = |english, chinese| Sign::Word(if language == Language::English { english } else { chinese });
    match c {
        '.' | ',' | '!' | '?' | ';' | ':' | '\'' | '-' | '。' | '，' | '！' | '？' | '；' | '：' | '、' | '…' | '’' => {
            Sign::Keep
        }
        '&' | '＆' => word("and", "和"),
        '+' | '＋' => word("plus", "加"),
        '=' | '＝' => word("equals", "等于"),
        '−' => word("minus", "减"),
        '×' => word("times", "乘"),
        '÷' => word("divided by", "除以"),
        '±' => word("plus or minus", "正负"),
        '<' => word("less than", "小于"),
        '>' => word("greater than", "大于"),
        '≤' => word("less than or equal to", "小于等于"),
        '≥' => word("greater than or equal to", "大于等于"),
        '≠' => word("not equal to", "不等于"),
        '≈' => word("about", "约"),
        '√' => word("square root of", "根号"),
        '∞' => word("infinity", "无穷大"),
        '^' => word("to the power of", "的幂"),
        '‰' => word("per thousand", "千分号"),
        '%' | '％' => word("percent", "百分号"),
        '@' => word("at", "艾特"),
        '°' => word("degrees", "度"),
        '–' | '—' | '(' | ')' | '（' | '）' | '→' => Sign::Word(","),
        c if c.is_alphanumeric() || c.is_whitespace() && !c.is_control() => Sign::Keep,
        // Combining marks, such as accents.
        '\u{300}'..='\u{36f}' => Sign::Keep,
        _ => Sign::Drop,
    }
}

/// Returns `text` with single spaces between words, without repeated or leading punctuation, and without spaces before punctuation.
fn clean_punctuation(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let marks_only = word.chars().all(|c| !c.is_alphanumeric());
        if marks_only {
            let weight = |c: char| matches!(c, '.' | '!' | '?' | '。' | '！' | '？');
            let Some(mark) = word.chars().find(|c| weight(*c)).or_else(|| word.chars().find(|c| *c != '-' && *c != '\'' && *c != '’'))
            else {
                continue;
            };
            if out.is_empty() {
                continue;
            }
            if out.ends_with(|c: char| c.is_alphanumeric()) {
                out.push(mark);
            } else if weight(mark) && !out.ends_with(weight) {
                out.pop();
                out.push(mark);
            }
            continue;
        }
        if !(out.is_empty() || out.ends_with(is_han) && word.starts_with(is_han)) {
            out.push(' ');
        }
        let mut last = None;
        for c in word.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '-').chars() {
            if c.is_alphanumeric() || last != Some(c) {
                out.push(c);
            }
            last = Some(c);
        }
    }
    out
}

/// Replaces English abbreviations by the words that they stand for; each word is followed by one space.
fn expand_abbreviations(text: &str) -> String {
    /// English abbreviations in lower case, with the words that they stand for.
    const ABBREVIATIONS: [(&str, &str); 18] = [
        ("mr.", "Mister"),
        ("mrs.", "Missus"),
        ("ms.", "Miss"),
        ("dr.", "Doctor"),
        ("prof.", "Professor"),
        ("e.g.", "for example"),
        ("i.e.", "that is"),
        ("etc.", "et cetera."),
        ("vs.", "versus"),
        ("vs", "versus"),
        ("approx.", "approximately"),
        ("a.m.", "A M"),
        ("p.m.", "P M"),
        ("no.", "no."),
        ("w/o", "without"),
        ("w/", "with"),
        ("asap", "as soon as possible"),
        ("fyi", "for your information"),
    ];
    let mut out = String::with_capacity(text.len());
    let words: Vec<&str> = text.split_whitespace().collect();
    for (at, word) in words.iter().enumerate() {
        let bare = word.trim_start_matches('(');
        let (core, tail) = bare.find([',', ';', ')', '?', '!']).map_or((bare, ""), |end| bare.split_at(end));
        let lower = core.to_lowercase();
        let number_follows = words.get(at + 1).is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit()));
        let expansion = ABBREVIATIONS.iter().find(|(short, _)| *short == lower).map(|(_, long)| *long);
        match expansion {
            Some("no.") if number_follows => out.push_str("number"),
            Some(long) if long != "no." => {
                out.push_str(long);
                out.push_str(tail);
            }
            _ => out.push_str(word),
        }
        out.push(' ');
    }
    out
}

/// Returns the name of the first sign in `text` that has one (👍: "thumbs up"), for a sentence of nothing but signs; empty without
/// one.
fn name_of_first_sign(text: &str, language: Language) -> String {
    /// Signs with their names in English and in Chinese.
    const NAMES: [(char, &str, &str); 8] = [
        ('👍', "thumbs up", "赞"),
        ('👎', "thumbs down", "踩"),
        ('❤', "love", "爱心"),
        ('✅', "yes", "对"),
        ('✔', "yes", "对"),
        ('❌', "no", "不"),
        ('⚠', "warning", "注意"),
        ('🎉', "hooray", "庆祝"),
    ];
    let found = text.chars().find_map(|c| NAMES.iter().find(|(sign, ..)| *sign == c));
    found.map_or_else(String::new, |(_, english, chinese)| (if language == Language::English { *english } else { *chinese }).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn english(text: &str) -> String {
        spoken_form(text, Language::English)
    }

    #[test]
    fn markup_is_dropped_and_links_are_shortened() {
        let table = [
            ("**Bold** and _soft_ `code`.", "Bold and soft code."),
            ("# Title", "Title"),
            ("- one item", "one item"),
            ("See [the page](https://example.com/a?b=1) now.", "See the page now."),
            ("Go to https://www.example.com/long/path?x=1.", "Go to example dot com."),
            ("<b>Yes</b> &amp; no", "Yes and no"),
            ("a | b", "a b"),
            ("snake_case", "snake case"),
            ("[[h@l'oU]]", "h at l'oU"),
        ];
        for (text, said) in table {
            assert_eq!(english(text), said, "{text}");
        }
    }

    #[test]
    fn abbreviations_and_signs_become_words() {
        let table = [
            ("Dr. Lee, e.g., at 5 p.m.", "Doctor Lee, for example, at 5 P M"),
            ("Tea & cake (hot)!", "Tea and cake, hot!"),
            ("No. 5 is not a no.", "number 5 is not a no."),
            ("2 + 2 = 4", "2 plus 2 equals 4"),
            ("It's Mr. O'Neil's", "It's Mister O'Neil's"),
        ];
        for (text, said) in table {
            assert_eq!(english(text), said, "{text}");
        }
        assert_eq!(spoken_form("茶 & 蛋糕。", Language::Chinese), "茶和蛋糕。");
    }

    /// Texts with numbers and signs, with what an English voice says.
    const ENGLISH: [(&str, &str); 66] = [
        ("−5 °C", "minus 5 degrees Celsius"),
        ("It is -5°C.", "It is minus 5 degrees Celsius."),
        ("–5 to 3", "minus 5 to 3"),
        ("x = -5", "x equals minus 5"),
        ("-$5", "minus 5 dollars"),
        (".5", "0.5"),
        ("about -.5", "about minus 0.5"),
        ("$.50", "0.50 dollars"),
        ("2*3=6", "2 times 3 equals 6"),
        ("2 * 3 = 6", "2 times 3 equals 6"),
        ("**2** and *3*", "2 and 3"),
        ("2×3", "2 times 3"),
        ("6/2=3", "6 divided by 2 equals 3"),
        ("10^6", "10 to the power of 6"),
        ("10^-6", "10 to the power of minus 6"),
        ("2**3", "2 cubed"),
        ("x² + y³", "x squared plus y cubed"),
        ("10⁻³", "10 to the power of minus 3"),
        ("80 m², 5 km²", "80 square meters, 5 square kilometers"),
        ("a footnote¹ here", "a footnote here"),
        ("H₂O", "H2O"),
        ("1<2", "1 less than 2"),
        ("3<5>2", "3 less than 5 greater than 2"),
        ("1 &lt; 2", "1 less than 2"),
        ("if x<y and y>0", "if x less than y and y greater than 0"),
        ("x <= 5", "x less than or equal to 5"),
        ("5 >= x != 3", "5 greater than or equal to x not equal to 3"),
        ("5<b>6</b>7", "5 6 7"),
        ("1/2", "one half"),
        ("2/3 of 3/4", "two thirds of three quarters"),
        ("2 1/2 or 2½", "2 and one half or 2 and one half"),
        ("120/80", "120 over 80"),
        ("24/7", "24 7"),
        ("3/4/2026", "3 4 2026"),
        ("555-1234", "5 5 5 1 2 3 4"),
        ("+1-555-123-4567", "plus 1 5 5 5 1 2 3 4 5 6 7"),
        ("1990-2000", "1990 to 2000"),
        ("100-1000", "100 to 1000"),
        ("3.5-4.5", "3.5 to 4.5"),
        ("3~5", "3 to 5"),
        ("~5", "about 5"),
        ("5-3=2", "5 minus 3 equals 2"),
        ("5 - 3 is 2", "5 minus 3 is 2"),
        ("9 - 17", "9 to 17"),
        ("10:30-11:45", "10 30 to 11 45"),
        ("5-10%", "5 to 10 percent"),
        ("5%-10%", "5 percent to 10 percent"),
        ("$5 million", "5 million dollars"),
        ("$1.2M", "1.2 million dollars"),
        ("$3bn, £2k", "3 billion dollars, 2 thousand pounds"),
        ("5 €", "5 euros"),
        ("5€ or 20 $", "5 euros or 20 dollars"),
        ("$5-10", "5 to 10 dollars"),
        ("$5/month", "5 dollars per month"),
        ("1920x1080", "1920 by 1080"),
        ("3 x 4 = 12", "3 times 4 equals 12"),
        ("1_000 5\\6 5\"6", "1 000 5 6 5 6"),
        ("#1 of 5#6", "number 1 of 5 6"),
        ("5±1", "5 plus or minus 1"),
        ("World War II", "World War 2"),
        ("Henry VIII, I said", "Henry the 8th, I said"),
        ("Chapter IV. Part I agree", "Chapter 4. Part I agree"),
        ("F-16, COVID-19, 0x10", "F-16, COVID-19, 0x10"),
        ("a -> b", "a, b"),
        ("1 km, 1 °C", "1 kilometer, 1 degree Celsius"),
        ("５％", "5 percent"),
    ];

    /// Texts with numbers and signs, with what a Chinese voice says.
    const CHINESE: [(&str, &str); 16] = [
        ("5-10%", "百分之5到10"),
        ("5%-10%", "百分之5到百分之10"),
        ("-5℃", "负5摄氏度"),
        ("温度是−5℃", "温度是负5摄氏度"),
        ("10^6", "10的6次方"),
        ("x²", "x的平方"),
        ("3<5", "3 小于 5"),
        ("1/2", "2分之1"),
        ("5-3=2", "5减3 等于 2"),
        ("2*3=6", "2 乘 3 等于 6"),
        ("$500万", "500万美元"),
        ("$1.2M", "1.2百万美元"),
        ("5 €", "5欧元"),
        ("555-1234", "5 5 5 1 2 3 4"),
        ("80 m²", "80平方米"),
        ("World War II", "World War 2"),
    ];

    #[test]
    fn nothing_between_two_digits_vanishes_and_every_sign_keeps_its_meaning() {
        let wrong = |language, table: &[(&'static str, &'static str)]| -> Vec<(&str, String)> {
            table
                .iter()
                .map(|(text, said)| (*text, spoken_form(text, language), *said))
                .filter(|(_, got, said)| got != said)
                .map(|(text, got, _)| (text, got))
                .collect()
        };
        assert_eq!(wrong(Language::English, &ENGLISH), []);
        assert_eq!(wrong(Language::Chinese, &CHINESE), []);
    }

    #[test]
    fn no_two_numbers_are_joined_whatever_stands_between_them() {
        let signs = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~−–—×÷±≤≥≠≈√∞²½°€£¥§†•·…“”«»→←\u{a0}\u{200b}\u{ad}\t٪𝟘😀";
        for language in [Language::English, Language::Chinese] {
            for one in signs.chars() {
                for two in std::iter::once(None).chain(signs.chars().map(Some)) {
                    let text: String = ['7', one].into_iter().chain(two).chain(['8']).collect();
                    let said = spoken_form(&text, language);
                    assert!(said.contains('7') && said.contains('8') && !said.contains("78"), "{text}: {said}");
                }
            }
        }
    }

    #[test]
    fn emoji_are_dropped_unless_the_text_has_nothing_else() {
        assert_eq!(english("Well done! 🎉🎉"), "Well done!");
        assert_eq!(english("Hi 👩‍👩‍👧 there ☀️."), "Hi there.");
        assert_eq!((english("👍"), spoken_form("👍", Language::Chinese)), ("thumbs up".into(), "赞".into()));
        assert_eq!(english("🫠"), "");
    }

    #[test]
    fn control_characters_and_voice_commands_are_dropped() {
        let hostile = "$(rm -rf /) `id`; <speak> \u{0} \u{1b}[31m [[ ]] \\ \" | > /etc/passwd \u{202e}abc \u{7f} --version";
        for language in [Language::English, Language::Chinese] {
            let said = spoken_form(hostile, language);
            assert!(!said.contains(|c: char| c.is_control() || "$`<>[]\\\"|{}\u{202e}".contains(c)), "{said}");
        }
        assert_eq!(english("\u{0}\u{7}\n \t"), "");
        assert_eq!(english("..."), "");
    }

    #[test]
    fn hundred_thousand_characters_are_normalised_in_linear_time() {
        let begun = std::time::Instant::now();
        for text in
            ["[a](https://b.c) ".repeat(6_000), "<".repeat(100_000), "1,".repeat(50_000), "&amp;".repeat(20_000), "](".repeat(50_000)]
        {
            let _ = english(&text);
        }
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
}
