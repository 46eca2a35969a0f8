//! Source files for `tidy.rs`: code without comments and string literals, comments, functions, and the extent of test code.

pub(crate) mod search;
pub(crate) mod style;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A source file.
pub(crate) struct Source {
    /// Path from the crate's root, with `/`.
    pub(crate) path: String,
    /// Top-level module: `engine` for `src/engine/meters.rs`.
    pub(crate) module: String,
    /// Depth of its module: 1 for `src/engine.rs`, 2 for `src/engine/meters.rs`.
    pub(crate) depth: usize,
    /// Content of the file.
    pub(crate) text: String,
    /// Content with comments and string literals replaced by spaces, line for line and byte for byte.
    pub(crate) code: String,
    /// Offset in `code` at which the tests begin.
    tests_at: usize,
}

impl Source {
    /// Reads a file below the crate's root.
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
        Self::from_text(&relative, &text)
    }

    /// Creates the source of a file with this path and text.
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

    /// Returns the code before the tests, which stand at the end by convention.
    pub(crate) fn product(&self) -> &str {
        &self.code[..self.tests_at]
    }

    /// Returns the line (from 1) of a byte offset.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        1 + self.code[..at].matches('\n').count()
    }

    /// Returns all functions with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let heads = self.code.match_indices("fn ").filter(|(at, _)| !self.code[..*at].ends_with(word));
        heads.filter_map(|(at, _)| self.function_at(at)).collect()
    }

    /// Returns the function whose `fn` stands at `at`, if it has a name and a body.
    fn function_at(&self, at: usize) -> Option<Function> {
        let name = first_word(&self.code[at + "fn ".len()..]);
        let mut depth = 0;
        let (length, end) = self.code[at..].char_indices().find(|(_, c)| {
            depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
            depth == 0 && matches!(c, '{' | ';')
        })?;
        if name.is_empty() || end == ';' {
            return None;
        }
        let open = at + length;
        depth = 0;
        let (length, _) = self.code[open..].char_indices().find(|(_, c)| {
            depth += i32::from(*c == '{') - i32::from(*c == '}');
            depth == 0
        })?;
        let head = self.code[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let attributes = self.attributes_before(head);
        Some(Function {
            name,
            line: self.line_of(at),
            lines: 1 + self.code[at..open + length].matches('\n').count(),
            body: open..open + length + 1,
            attributes: self.code[attributes].to_owned(),
        })
    }

    /// Returns the range of the attribute and comment lines directly above the offset `head`, the start of a line.
    fn attributes_before(&self, head: usize) -> Range<usize> {
        let mut start = head;
        for line in self.text[..head].lines().rev() {
            let line_start = start - line.len() - 1;
            if !line.trim_start().starts_with("#[") && !line.trim_start().starts_with("//") {
                break;
            }
            start = line_start;
        }
        start..head
    }

    /// Returns all comments, each a block of consecutive lines of one kind.
    pub(crate) fn comments(&self) -> Vec<Comment> {
        let mut found: Vec<Comment> = Vec::new();
        let mut open = false;
        for (at, (code, text)) in self.code.lines().zip(self.text.lines()).enumerate() {
            let Some((kind, comment)) = comment_of(code, text) else {
                open = false;
                continue;
            };
            let alone = code.trim().is_empty();
            match found.last_mut().filter(|last| open && alone && last.kind == kind) {
                Some(last) => last.lines.push(comment),
                None => found.push(Comment { kind, line: at + 1, lines: vec![comment] }),
            }
            open = alone;
        }
        found
    }
}

/// The kind of a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommentKind {
    /// `///` or `//!`.
    Doc,
    /// `//`.
    Plain,
}

/// A block of comment lines.
#[derive(Debug)]
pub(crate) struct Comment {
    /// Kind of all its lines.
    pub(crate) kind: CommentKind,
    /// Number (from 1) of its first line.
    pub(crate) line: usize,
    /// Text of each line without the slashes.
    pub(crate) lines: Vec<String>,
}

/// A function with a body.
pub(crate) struct Function {
    /// Name.
    pub(crate) name: String,
    /// Number (from 1) of the line of its `fn`.
    pub(crate) line: usize,
    /// Number of lines from its `fn` to its closing brace.
    pub(crate) lines: usize,
    /// Range of its body in the code.
    pub(crate) body: Range<usize>,
    /// Attributes, with string literals blanked.
    pub(crate) attributes: String,
}

impl Function {
    /// Returns true for a test.
    pub(crate) fn is_test(&self) -> bool {
        self.attributes.contains("#[test]")
    }
}

/// Returns the comment that ends the line `text`, whose blanked form is `code`.
fn comment_of(code: &str, text: &str) -> Option<(CommentKind, String)> {
    let comment = text.get(code.trim_end().len()..)?.trim_start();
    if !comment.starts_with("//") {
        return None;
    }
    let kind = if comment.starts_with("///") || comment.starts_with("//!") { CommentKind::Doc } else { CommentKind::Plain };
    Some((kind, comment.trim_start_matches(['/', '!']).to_owned()))
}

/// Returns the root of the crate.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads every source file below `folder`, sorted by path.
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

/// Returns the word after every `prefix::` with its line; braces are expanded: `prefix::{a::X, b}` gives `a` and `b`.
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

/// Returns the identifier at the start of `text`.
fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Returns the first identifier of each part of `{a::X, b::{c, d}}`.
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

/// Replaces comments and string literals by spaces, byte for byte, so that their words do not count as code.
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
        } else if let Some(length) = char_length(rest) {
            length
        } else if let Some(escaped) = rest.strip_prefix("'\\") {
            // Skips the escaped character, which may itself be a quote.
            escaped.get(1..).and_then(|more| more.find('\'')).map_or(2, |end| end + 4)
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        code.extend(rest[..taken].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
        rest = &rest[taken..];
    }
    code
}

/// Returns the length of `"…"` with its quotes.
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

/// Returns the length of a character literal without an escape, if one begins here.
fn char_length(text: &str) -> Option<usize> {
    let c = text.strip_prefix('\'')?.chars().next().filter(|c| *c != '\\')?;
    text[1 + c.len_utf8()..].starts_with('\'').then(|| 2 + c.len_utf8())
}

/// Returns the length of `r"…"` or `r#"…"#`, if one begins here.
fn raw_text_length(text: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| (c.is_alphanumeric() && c != 'b') || c == '_') {
        return None;
    }
    let hashes = text.strip_prefix('r')?.chars().take_while(|c| *c == '#').count();
    let inside = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(inside.find(&end).map_or(text.len(), |at| 2 + hashes + at + end.len()))
}
