//! Reads the sources for `tidy.rs`: code without comments and texts, and which of it is test code.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
pub(crate) struct Source {
    /// Path from the crate's root, with `/`.
    pub(crate) path: String,
    /// The top-level module that it belongs to: `engine` for `src/engine/step.rs`.
    pub(crate) module: String,
    /// How deep its module lies: 1 for `src/engine.rs`, 2 for `src/engine/step.rs`.
    pub(crate) depth: usize,
    /// The file as it is.
    pub(crate) text: String,
    /// The file with comments and the insides of texts blanked out; lines stay where they are.
    pub(crate) code: String,
    /// Where in `code` the tests begin.
    tests_at: usize,
}

impl Source {
    /// Reads a file below the crate's root.
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
        Self::from_text(&relative, &text)
    }

    /// The source that a file of this path and text would be.
    pub(crate) fn from_text(path: &str, text: &str) -> Self {
        let code = blank_comments_and_texts(text);
        let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').skip(1).collect();
        let is_tests = parts.last().is_some_and(|last| *last == "tests" || last.ends_with("_tests")) || parts.contains(&"tests");
        let tests_at = if is_tests { 0 } else { code.find("#[cfg(test)]\nmod ").unwrap_or(code.len()) };
        let depth = parts.iter().filter(|part| **part != "mod").count();
        Self {
            path: path.to_owned(),
            module: parts.first().copied().unwrap_or_default().to_owned(),
            depth,
            text: text.to_owned(),
            code,
            tests_at,
        }
    }

    /// The code that is not there for tests; by custom tests stand at the end.
    pub(crate) fn product(&self) -> &str {
        &self.code[..self.tests_at]
    }
}

/// The crate's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file below `folder`, in the order of their paths.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let mut folders = vec![root().join(folder)];
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.iter().map(|path| Source::read(path)).collect()
}

/// The word after every `prefix::` with its line, braces opened: `prefix::{a::X, b}` gives a and b.
pub(crate) fn words_of_paths(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let head = format!("{prefix}::");
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&head).filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
        let line = 1 + code[..at].matches('\n').count();
        let rest = &code[at + head.len()..];
        let words = if rest.starts_with('{') { heads_in_braces(rest) } else { vec![first_word(rest)] };
        found.extend(words.into_iter().map(|word| (line, word)));
    }
    found
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// First words of the parts of `{a::X, b::{c, d}}`.
fn heads_in_braces(text: &str) -> Vec<String> {
    let mut depth = 0;
    let mut words = Vec::new();
    for (at, c) in text.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            break;
        }
        if depth == 1 && (c == '{' || c == ',') {
            words.push(first_word(&text[at + 1..]));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Replaces comments and the insides of string literals by spaces, so that words in them do not count as code.
fn blank_comments_and_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_text_length(rest, code.chars().next_back()) {
            length
        } else if next == '"' {
            text_length(rest)
        } else if rest.starts_with("'\"'") {
            3
        } else if let Some(escaped) = rest.strip_prefix("'\\") {
            // The quote that closes it is never the escaped character itself, which takes one byte at least.
            escaped.get(1..).and_then(|more| more.find('\'')).map_or(2, |end| end + 4)
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        code.extend(rest[..taken].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[taken..];
    }
    code
}

/// Length of `"…"` with its quotes.
fn text_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of `r"…"` or `r#"…"#` when one begins here.
fn raw_text_length(text: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| (c.is_alphanumeric() && c != 'b') || c == '_') {
        return None;
    }
    let hashes = text.strip_prefix('r')?.chars().take_while(|c| *c == '#').count();
    let inside = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(inside.find(&end).map_or(text.len(), |at| 2 + hashes + at + end.len()))
}
