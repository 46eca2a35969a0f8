//! Rules of style for comments.

use super::Comment;

/// Returns the faults of style in a comment, with their lines.
pub(crate) fn style_faults(comment: &Comment) -> Vec<(usize, String)> {
    let first = comment.lines.first().map_or("", String::as_str);
    let word: String = first.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
    let mut faults = Vec::new();
    if ["What", "Whether", "Where", "Of", "So", "How", "Who"].contains(&word.as_str()) {
        faults.push((comment.line, format!("begins with \"{word}\": {}", first.trim())));
    }
    for (at, line) in comment.lines.iter().enumerate() {
        let lower = line.to_lowercase();
        for phrase in ["so many", "so much", "so long"] {
            let number = lower.match_indices(phrase).any(|(from, _)| is_number_phrase(&lower, from, phrase));
            if number {
                faults.push((comment.line + at, format!("\"{phrase}\" instead of a number: {}", line.trim())));
            }
        }
    }
    faults
}

/// Returns true unless the phrase is part of a longer word, or is `so long as`.
fn is_number_phrase(line: &str, from: usize, phrase: &str) -> bool {
    let after = &line[from + phrase.len()..];
    let starts = !line[..from].ends_with(|c: char| c.is_alphanumeric());
    starts && !after.starts_with(|c: char| c.is_alphanumeric()) && !(phrase == "so long" && is_as(after))
}

/// Returns true if the text goes on with the word `as`.
fn is_as(after: &str) -> bool {
    after.trim_start().strip_prefix("as").is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy_source::{CommentKind, Source};

    #[test]
    fn style_faults_finds_headless_clauses_and_missing_numbers() {
        let text = "/// What is kept.\n/// Not of one.\nfn a() {}\n// It waits so many\n// times, so long as the queue lasts.\nlet x = 1; // Of it.\n";
        let faults = |kind: CommentKind| -> Vec<(usize, String)> {
            let source = Source::from_text("src/a.rs", text);
            source.comments().iter().filter(|comment| comment.kind == kind).flat_map(style_faults).collect()
        };
        assert_eq!(faults(CommentKind::Doc).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1]);
        let plain = faults(CommentKind::Plain);
        assert_eq!(plain.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 6], "{plain:?}");
        assert!(plain[0].1.contains("so many") && plain[1].1.contains("\"Of\""), "{plain:?}");
    }
}
