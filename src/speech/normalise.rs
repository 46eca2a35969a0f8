//! Text normalisation for speech: replaces markup, links, emoji, signs and abbreviations by words. Pure.
//!
//! The result has no control character, bracket, backslash or quotation mark, and no text that a voice program interprets as a
//! command ("[[" begins phonemes in espeak).

use super::numbers;
use super::{Language, is_han};

/// Longest HTML tag that is removed, in characters.
const LONGEST_TAG: usize = 60;
/// Longest target of a Markdown link that is removed, in characters.
const LONGEST_TARGET: usize = 500;

/// Returns `text` in its spoken form: words, digits and punctuation; empty if there is nothing to say.
#[must_use]
pub fn spoken_form(text: &str, language: Language) -> String {
    let plain = without_markup(text);
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
        '×' => word("times", "乘"),
        '÷' => word("divided by", "除以"),
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

/// Returns `text` without Markdown and HTML, and with links shortened to the name of the site.
fn without_markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let bare = line.trim_start().trim_start_matches(['#', '>', '•', '·']).trim_start();
        let bare = ["- ", "* ", "+ "].iter().find_map(|bullet| bare.strip_prefix(bullet)).unwrap_or(bare);
        without_marks(bare, &mut out);
        out.push('\n');
    }
    out
}

/// Appends a line of text to `out` without Markdown, HTML tags and link targets.
fn without_marks(line: &str, out: &mut String) {
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(long) = link_length(rest) {
            out.push_str(&link(&rest[..long]));
            rest = &rest[long..];
            continue;
        }
        let after = &rest[c.len_utf8()..];
        if c == '<'
            && let Some(tag) = find(after, '>', LONGEST_TAG).filter(|_| after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/'))
        {
            out.push(' ');
            rest = &after[tag + 1..];
        } else if let Some(rest_of_entity) = entity(rest, out) {
            rest = rest_of_entity;
        } else if c == ']'
            && let Some(end) =
                find(after, ')', LONGEST_TARGET).filter(|end| after[1..*end].len() == link_length(&after[1..]).unwrap_or(usize::MAX))
        {
            // The target of a labelled link; the label is spoken.
            rest = &after[end + 1..];
        } else {
            match c {
                '*' | '`' | '~' | '[' | ']' | '{' | '}' | '|' | '\\' | '^' | '<' | '>' | '"' | '“' | '”' | '«' | '»' | '_' => {
                    // "snake_case" is two words, "**bold**text" one.
                    if c == '_' || c == '|' || c == '[' {
                        out.push(' ');
                    }
                }
                c => out.push(c),
            }
            rest = after;
        }
    }
}

/// Returns the byte position of `wanted` within the first `most` characters; None if it is not there.
fn find(text: &str, wanted: char, most: usize) -> Option<usize> {
    text.char_indices().take(most).find(|(_, c)| *c == wanted).map(|(at, _)| at)
}

/// Returns the length of the web link at the start of `text`, in bytes; None if `text` does not begin with one.
fn link_length(text: &str) -> Option<usize> {
    let begins =
        ["https://", "http://", "www."].iter().any(|scheme| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme)));
    if !begins {
        return None;
    }
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, ')' | '>' | '"' | '<' | '，' | '。') || is_han(c)).unwrap_or(text.len());
    Some(text[..end].trim_end_matches(['.', ',', ';', '!', '?']).len())
}

/// Returns the spoken name of the site that `link` points to: `example dot com`.
fn link(link: &str) -> String {
    let site = link.split_once("://").map_or(link, |(_, rest)| rest);
    let site = site.split(['/', '?', '#', ':']).next().unwrap_or(site);
    let site = site.get(..4).filter(|www| www.eq_ignore_ascii_case("www.")).map_or(site, |_| &site[4..]);
    site.replace('.', " dot ")
}

/// Appends the character of the HTML entity at the start of `text` to `out`, and returns the text behind the entity; None without an
/// entity.
fn entity<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    /// HTML entities with the characters that they stand for.
    const ENTITIES: [(&str, char); 6] = [("&amp;", '&'), ("&lt;", ' '), ("&gt;", ' '), ("&nbsp;", ' '), ("&quot;", ' '), ("&#39;", '\'')];
    ENTITIES.iter().find_map(|(name, c)| {
        let rest = text.strip_prefix(name)?;
        out.push(*c);
        Some(rest)
    })
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
