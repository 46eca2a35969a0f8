//! Markdown, HTML and links removed from a text that is to be spoken; what is arithmetic and not markup stays. Pure.

use super::is_han;

/// Longest HTML tag that is removed, in characters.
const LONGEST_TAG: usize = 60;
/// Longest target of a Markdown link that is removed, in characters.
const LONGEST_TARGET: usize = 500;

/// Returns `text` without Markdown and HTML, and with links shortened to the name of the site.
pub(super) fn without_markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let heading = line.trim_start().trim_start_matches('#');
        // `#1` is no heading.
        let line = if heading.starts_with(|c: char| c.is_ascii_digit()) { line } else { heading };
        let bare = line.trim_start().trim_start_matches(['>', '•', '·']).trim_start();
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
            && let Some(tag) = find(after, '>', LONGEST_TAG).filter(|end| is_tag(&after[..*end]))
        {
            out.push(' ');
            rest = &after[tag + 1..];
        } else if let Some((sign, length)) = arithmetic(out, rest) {
            out.push(sign);
            rest = &rest[length..];
        } else if let Some((c, length)) = entity(rest) {
            // `&lt;` between numbers is a sign of arithmetic, too.
            let after = &rest[length..];
            out.push(if matches!(c, '<' | '>') && !is_between_operands(out, after) { ' ' } else { c });
            rest = after;
        } else if c == ']'
            && let Some(target) = after.strip_prefix('(')
            && let Some(end) = find(target, ')', LONGEST_TARGET).filter(|end| Some(*end) == link_length(target))
        {
            // The target of a labelled link; the label is spoken.
            rest = &target[end + 1..];
            separate_digits(out, rest);
        } else {
            match c {
                '*' | '`' | '~' | '[' | ']' | '{' | '}' | '|' | '\\' | '^' | '<' | '>' | '"' | '“' | '”' | '«' | '»' | '_' => {
                    // "snake_case" is two words, "**bold**text" one.
                    if c == '_' || c == '|' || c == '[' {
                        out.push(' ');
                    }
                    separate_digits(out, after);
                }
                c => out.push(c),
            }
            rest = after;
        }
    }
}

/// Appends a space to `out` if it ends with a digit and `after` begins with one: what stood between them must not join two numbers.
fn separate_digits(out: &mut String, after: &str) {
    if out.ends_with(|c: char| c.is_ascii_digit()) && after.starts_with(|c: char| c.is_ascii_digit()) {
        out.push(' ');
    }
}

/// Returns true if `inside`, the text between `<` and `>`, is that of a tag: a name, alone or with attributes. `y and z` in
/// `x<y and z>0` is none.
fn is_tag(inside: &str) -> bool {
    let name = inside.trim_start_matches('/').trim_end_matches('/');
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-')).unwrap_or(name.len());
    let attributes = name[end..].trim();
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && (attributes.is_empty() || attributes.contains(['=', '@', ':', '.']))
}

/// Returns the sign of arithmetic at the start of `rest`, as one character, and its length in bytes; None where the characters are markup.
/// `out` is the plain text before it.
fn arithmetic(out: &str, rest: &str) -> Option<(char, usize)> {
    /// Signs of several characters, with the one that stands for them.
    const LONG: [(&str, char); 8] =
        [("-->", '→'), ("->", '→'), ("=>", '→'), ("<=", '≤'), (">=", '≥'), ("!=", '≠'), ("===", '='), ("==", '=')];
    if let Some((written, sign)) = LONG.iter().find(|(written, _)| rest.starts_with(written)) {
        return is_between_operands(out, &rest[written.len()..]).then_some((*sign, written.len()));
    }
    let c = rest.chars().next()?;
    let after = &rest[c.len_utf8()..];
    let digit = |c: char| c.is_ascii_digit();
    let operand = |c: char| c.is_alphanumeric() || matches!(c, '(' | ')');
    let joined = out.ends_with(operand) && after.starts_with(operand);
    let spaced = out.ends_with(' ') && after.starts_with(' ') && is_between_operands(out, after);
    match c {
        '*' if after.starts_with('*') && out.ends_with(digit) && after[1..].starts_with(digit) => Some(('^', 2)),
        '*' if joined && (out.ends_with(digit) || after.starts_with(digit)) => Some(('×', 1)),
        '*' if spaced && after.trim_start().starts_with(|c: char| digit(c) || c == '(') => Some(('×', 1)),
        '^' if out.ends_with(operand) && after.starts_with(|c: char| operand(c) || matches!(c, '-' | '−')) => Some(('^', 1)),
        '<' | '>' if is_between_operands(out, after) => Some((c, 1)),
        '~' if out.ends_with(digit) && after.starts_with(digit) => Some(('~', 1)),
        '~' if after.starts_with(digit) && !out.ends_with('~') => Some(('≈', 1)),
        _ => None,
    }
}

/// Returns true if `before` ends and `after` begins with what a sign of arithmetic can stand between, also behind spaces.
fn is_between_operands(before: &str, after: &str) -> bool {
    before.trim_end().ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | '%' | '°'))
        && after.trim_start().starts_with(|c: char| c.is_alphanumeric() || matches!(c, '(' | '-' | '−' | '.' | '$' | '€' | '£'))
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

/// Returns the character of the HTML entity at the start of `text` and the length of the entity in bytes; None without an entity.
fn entity(text: &str) -> Option<(char, usize)> {
    /// HTML entities with the characters that they stand for.
    const ENTITIES: [(&str, char); 6] = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&nbsp;", ' '), ("&quot;", ' '), ("&#39;", '\'')];
    ENTITIES.iter().find(|(name, _)| text.starts_with(name)).map(|(name, c)| (*c, name.len()))
}
