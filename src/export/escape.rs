//! The escapes of every document format, so that words stay words: nothing that was heard becomes markup. Pure.

use super::DocumentFormat;

/// The signs that Markdown and the HTML in it may read as markup; each is valid behind a backslash (CommonMark 0.31, section 2.4).
const MARKDOWN_SIGNS: &str = "\\`*_[]<>&~|#$";

/// Returns `text`, a single line, escaped for documents in the format `form`.
#[must_use]
pub fn escaped(text: &str, form: DocumentFormat) -> String {
    let mut out = String::with_capacity(text.len());
    // An arrow separates the times of a cue.
    let text = if form == DocumentFormat::Srt { text.replace("-->", "→") } else { text.to_owned() };
    for c in text.chars() {
        match (form, c) {
            (DocumentFormat::Markdown, c) if MARKDOWN_SIGNS.contains(c) => out.extend(['\\', c]),
            (DocumentFormat::Vtt, '&') => out.push_str("&amp;"),
            (DocumentFormat::Vtt, '<') => out.push_str("&lt;"),
            (DocumentFormat::Vtt, '>') => out.push_str("&gt;"),
            // SubRip has no escapes; players read `<b>` and `{\an8}` as commands. These signs look alike.
            (DocumentFormat::Srt, '<') => out.push('‹'),
            (DocumentFormat::Srt, '>') => out.push('›'),
            (DocumentFormat::Srt, '{') => out.push('('),
            (DocumentFormat::Srt, '}') => out.push(')'),
            (_, c) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_becomes_markup_in_any_format() {
        let hostile = "<b>1 & 2</b> --> {\\an8}*x* [a](b) #1 snake_case `c` \\ a|b ~~d~~ $5";
        let table = [
            (DocumentFormat::Text, hostile),
            (DocumentFormat::Srt, "‹b›1 & 2‹/b› → (\\an8)*x* [a](b) #1 snake_case `c` \\ a|b ~~d~~ $5"),
            (DocumentFormat::Vtt, "&lt;b&gt;1 &amp; 2&lt;/b&gt; --&gt; {\\an8}*x* [a](b) #1 snake_case `c` \\ a|b ~~d~~ $5"),
            (
                DocumentFormat::Markdown,
                "\\<b\\>1 \\& 2\\</b\\> --\\> {\\\\an8}\\*x\\* \\[a\\](b) \\#1 snake\\_case \\`c\\` \\\\ a\\|b \\~\\~d\\~\\~ \\$5",
            ),
        ];
        for (form, expected) in table {
            assert_eq!(escaped(hostile, form), expected, "{form:?}");
        }
        assert_eq!(escaped("It is 5 o'clock, 你好!", DocumentFormat::Markdown), "It is 5 o'clock, 你好!");
    }
}
