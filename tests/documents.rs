//! Checks that every document, section, heading and path cited in code, tests and Markdown exists.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose paths are recognised in running text.
const FOLDERS: [&str; 6] = ["src/", "tests/", "benches/", "models/", "assets/", ".ci/"];
/// Endings of source files that Markdown may name without their folder.
const SOURCES: [&str; 2] = [".rs", ".py"];
/// Markdown files that are cited and not part of the repository: a report of `hearken eval`, and a page of ggml.
const ELSEWHERE: [&str; 2] = ["report.md", "docs/gguf.md"];
/// Documents that were folded into the READMEs; split so that this file does not name them.
const GONE: [&str; 5] =
    [concat!("MODEL", ".md"), concat!("DESIGN", ".md"), concat!("CONTRACT", ".md"), concat!("CRATES", ".md"), concat!("WINDOW", ".md")];
/// A folder beside the repository, which a clone does not have; the recipe may name it as the place of its recordings.
const BESIDE: &str = concat!("../", "shared");
const RECIPE: &str = "models/recipe/";
/// The longest README of the repository, in bytes, and its widest line of prose, in characters.
const README_BYTES: usize = 9_000;
const README_COLUMNS: usize = 100;

/// A text file of the repository.
struct Document {
    /// Path from the root, with `/`.
    path: String,
    text: String,
}

/// The kind of a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Markup {
    Markdown,
    Code,
}

/// A text on one line, with the line that each byte comes from.
struct Flat {
    text: String,
    /// Place in `text` and number of each line of the file.
    lines: Vec<(usize, usize)>,
}

/// A document that a text cites, with the parts that it names.
#[derive(Debug, PartialEq, Eq)]
struct Citation {
    at: usize,
    document: String,
    sections: Vec<String>,
    headings: Vec<String>,
}

#[test]
fn every_cited_document_section_and_heading_exists() {
    let documents = documents();
    let headings: BTreeMap<&str, Vec<String>> = documents
        .iter()
        .filter(|document| document.is_markdown())
        .map(|document| (document.path.as_str(), headings(&document.text)))
        .collect();
    let mut wrong = Vec::new();
    for document in &documents {
        let flat = document.prose();
        for citation in citations(&flat.text).into_iter().filter(|citation| !ELSEWHERE.contains(&citation.document.as_str())) {
            let mut say = |what: &str| wrong.push(format!("{}:{}: {what}", document.path, flat.line(citation.at)));
            let Some(target) = document.resolve(&citation.document).filter(|target| headings.contains_key(target.as_str())) else {
                say(&format!("there is no {}", citation.document));
                continue;
            };
            let known = &headings[target.as_str()];
            for section in citation.sections.iter().filter(|section| !known.iter().any(|heading| is_section(heading, section))) {
                say(&format!("{target} has no section {section}"));
            }
            for heading in citation.headings.iter().filter(|heading| !known.contains(heading)) {
                say(&format!("{target} has no heading {heading:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

#[test]
fn every_section_that_a_document_names_of_itself_exists() {
    let mut wrong = Vec::new();
    for document in documents().iter().filter(|document| document.is_markdown()) {
        let known = headings(&document.text);
        if !known.iter().any(|heading| is_section(heading, "1")) {
            continue;
        }
        let flat = document.prose();
        for (at, _) in flat.text.match_indices("section ").filter(|(at, _)| !flat.text[..*at].trim_end_matches(['`', ' ']).ends_with(".md"))
        {
            let (sections, _) = numbers(&flat.text[at + "section ".len()..]);
            for section in sections.iter().filter(|section| !known.iter().any(|heading| is_section(heading, section))) {
                wrong.push(format!("{}:{}: there is no section {section}", document.path, flat.line(at)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

#[test]
fn every_link_in_markdown_leads_somewhere() {
    let documents = documents();
    let mut wrong = Vec::new();
    for document in documents.iter().filter(|document| document.is_markdown()) {
        for (number, line) in prose_lines(&document.text) {
            for link in links(line).into_iter().filter(|link| !link.contains("://")) {
                let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if path.is_empty() { Some(document.path.clone()) } else { document.resolve(path) };
                let found = target.as_ref().and_then(|target| documents.iter().find(|other| other.path == *target));
                let there = match (&target, anchor) {
                    (None, _) => false,
                    (Some(_), "") => true,
                    (Some(_), anchor) => found.is_some_and(|found| headings(&found.text).iter().any(|heading| slug(heading) == anchor)),
                };
                if !there {
                    wrong.push(format!("{}:{number}: the link {link} leads nowhere", document.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

#[test]
fn every_cited_path_exists() {
    let documents = documents();
    let names: BTreeSet<&str> = documents.iter().filter_map(|document| document.path.rsplit('/').next()).collect();
    let mut wrong = Vec::new();
    for document in &documents {
        let flat = document.prose();
        for (at, path) in paths(&flat.text, document.markup()) {
            if document.resolve(&path).is_none() && !names.contains(path.as_str()) {
                wrong.push(format!("{}:{}: there is no {path}", document.path, flat.line(at)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

#[test]
fn no_file_names_a_document_that_is_not_in_the_repository() {
    let mut wrong = Vec::new();
    for document in documents() {
        for (number, line) in (1..).zip(document.text.lines()) {
            for name in GONE.iter().chain([&BESIDE]).filter(|name| line.contains(**name)) {
                if *name != BESIDE || !document.path.starts_with(RECIPE) {
                    wrong.push(format!("{}:{number}: {name}", document.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

#[test]
fn readme_is_short_and_narrow() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(
        readme.len() <= README_BYTES,
        "README.md has {} bytes, {README_BYTES} at most: move details to the folder's README",
        readme.len()
    );
    let is_prose = |line: &str| !line.starts_with('|') && !line.starts_with("![");
    for (number, line) in (1..).zip(readme.lines()).filter(|(_, line)| is_prose(line)) {
        assert!(line.chars().count() <= README_COLUMNS, "README.md:{number} is wider than {README_COLUMNS} characters");
    }
}

#[test]
fn readme_of_the_tests_lists_every_variable_that_they_read() {
    let listed = fs::read_to_string(root().join("tests/README.md")).unwrap();
    let mut missing = BTreeSet::new();
    for document in documents().iter().filter(|document| document.path.starts_with("tests/") && document.path.ends_with(".rs")) {
        for reader in ["env::var(\"", "env::var_os(\""] {
            for (at, _) in document.text.match_indices(reader) {
                let name = document.text[at + reader.len()..].split('"').next().unwrap_or_default();
                if name.starts_with("HEARKEN_") && !listed.contains(&format!("`{name}`")) {
                    missing.insert(name.to_owned());
                }
            }
        }
    }
    assert!(missing.is_empty(), "tests/README.md does not list {missing:?}");
}

#[test]
fn readme_of_the_tests_names_every_test_file() {
    let readme = fs::read_to_string(root().join("tests/README.md")).unwrap();
    let named: Vec<(String, String)> = paths(&readme, Markup::Markdown)
        .into_iter()
        .map(|(_, path)| path.split_once('*').map_or((path.clone(), String::new()), |(head, tail)| (head.to_owned(), tail.to_owned())))
        .collect();
    let is_named = |name: &str| named.iter().any(|(head, tail)| name.starts_with(head.as_str()) && name.ends_with(tail.as_str()));
    let files = fs::read_dir(root().join("tests")).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let missing: Vec<String> = files.filter(|name| name.ends_with(".rs") && !is_named(name)).collect();
    assert!(missing.is_empty(), "tests/README.md does not name {missing:?}");
}

#[test]
fn readme_of_the_sources_describes_every_module() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules: BTreeSet<&str> = lib.lines().filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let readme = fs::read_to_string(root().join("src/README.md")).unwrap();
    let section = readme.split("\n## ").find(|section| section.starts_with("Modules\n")).expect("a section of modules");
    let described: BTreeSet<&str> = section.lines().filter(|line| line.starts_with("| `")).flat_map(names_in_first_cell).collect();
    let missing: Vec<&&str> = modules.difference(&described).collect();
    assert!(missing.is_empty() && modules.len() > 10, "src/README.md \"Modules\" does not describe {missing:?}");
}

impl Document {
    fn is_markdown(&self) -> bool {
        self.markup() == Markup::Markdown
    }

    fn markup(&self) -> Markup {
        if has_extension(&self.path, "md") { Markup::Markdown } else { Markup::Code }
    }

    /// Returns the text for people: all of a Markdown file but its code blocks, docstrings and comments of a Python file, comments of others.
    fn prose(&self) -> Flat {
        if self.is_markdown() {
            return Flat::of(prose_lines(&self.text).map(|(number, line)| (number, line.trim())));
        }
        if has_extension(&self.path, "py") {
            return Flat::of(docstring_lines(&self.text).map(|(number, line)| (number, line.trim())));
        }
        let marker = if has_extension(&self.path, "rs") { "//" } else { "#" };
        Flat::of((1..).zip(self.text.lines()).filter_map(|(number, line)| Some((number, comment(line, marker)?))))
    }

    /// Returns the path from the root that `cited` means, relative to the root or to the file's own folder.
    fn resolve(&self, cited: &str) -> Option<String> {
        let own = Path::new(&self.path).parent().unwrap_or(Path::new("")).join(cited);
        [PathBuf::from(cited), own].into_iter().filter_map(|path| normal(&path)).find(|path| exists(path))
    }
}

impl Flat {
    fn of<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Self {
        let (mut text, mut places) = (String::new(), Vec::new());
        for (number, line) in lines {
            places.push((text.len(), number));
            text.push_str(line);
            text.push(' ');
        }
        Self { text, lines: places }
    }

    /// Returns the number of the line that byte `at` comes from.
    fn line(&self, at: usize) -> usize {
        let after = self.lines.partition_point(|(begin, _)| *begin <= at);
        self.lines[after.saturating_sub(1)].1
    }
}

/// Returns every text file of the repository that people write.
fn documents() -> Vec<Document> {
    let mut paths = vec![PathBuf::from("README.md"), PathBuf::from("Cargo.toml"), PathBuf::from(".ci/run")];
    let mut folders: Vec<PathBuf> = ["src", "tests", "benches", "models", "assets"].map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let is_tool = folder.ends_with("tools");
            if entry.path().is_dir() {
                folders.push(path);
            } else if is_tool || ["rs", "md", "py", "sh", "toml"].iter().any(|extension| has_extension(&path.to_string_lossy(), extension))
            {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Document { path: path.to_string_lossy().replace('\\', "/"), text }
    };
    paths.into_iter().map(read).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|own| own == extension)
}

/// Returns `path` without `.` and `..`; None when it leaves the repository.
fn normal(path: &Path) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.to_string_lossy().split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part.to_owned()),
        }
    }
    Some(parts.join("/"))
}

/// Returns true if a file or folder of this path exists, or, with one `*`, a file that matches.
fn exists(path: &str) -> bool {
    let Some((before, after)) = path.split_once('*') else { return root().join(path).exists() };
    let (folder, head) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return false };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).any(|name| name.starts_with(head) && name.ends_with(after))
}

/// Returns the comment in a line of code, without its marker; None where there is none.
fn comment<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    let begins = |at: &usize| *at == 0 || line[..*at].ends_with([' ', '\t']);
    let at = line.match_indices(marker).map(|(at, _)| at).find(begins)?;
    Some(line[at..].trim_start_matches(['/', '!', '#']).trim())
}

/// Returns the lines of a Python file in docstrings and comments, with their numbers.
fn docstring_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_string = false;
    (1..).zip(text.lines()).filter_map(move |(number, line)| {
        let quotes = line.matches("\"\"\"").count();
        let is_docstring = in_string || quotes > 0;
        in_string ^= quotes % 2 == 1;
        Some((number, if is_docstring { line } else { comment(line, "#")? }))
    })
}

/// Returns the lines of a Markdown file outside of code blocks, with their numbers.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        !in_block && !fence
    })
}

/// Returns the names in backticks in the first cell of a row of a table.
fn names_in_first_cell(row: &str) -> impl Iterator<Item = &str> {
    row.trim_start_matches('|').split('|').next().unwrap_or_default().split('`').skip(1).step_by(2)
}

/// Returns the headings of a Markdown text, without `#`, backticks and stars.
fn headings(text: &str) -> Vec<String> {
    let title = |line: &str| line.trim_start_matches('#').trim().replace(['`', '*'], "");
    prose_lines(text).filter(|(_, line)| line.starts_with('#')).map(|(_, line)| title(line)).collect()
}

/// Returns true if `heading` begins with the number `section`.
fn is_section(heading: &str, section: &str) -> bool {
    heading.strip_prefix(section).is_some_and(|rest| rest.starts_with([' ', '.']) && !rest[1..].starts_with(|c: char| c.is_ascii_digit()))
}

/// Returns the anchor that GitHub gives a heading.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c)).collect::<String>();
    kept.replace(' ', "-")
}

/// Returns the targets of the links in a line of Markdown.
fn links(line: &str) -> Vec<&str> {
    line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split(')').next()).collect()
}

fn is_of_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_./*-".contains(c)
}

/// Returns the words of a text that could be paths, with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let begin = rest + text[rest..].find(is_of_path)?;
        let end = begin + text[begin..].find(|c| !is_of_path(c)).unwrap_or(text.len() - begin);
        rest = end;
        Some((begin, text[begin..end].trim_end_matches(['.', '-'])))
    })
}

/// Returns the paths of the repository that a text names; in Markdown also bare names of source files.
fn paths(text: &str, markup: Markup) -> Vec<(usize, String)> {
    let is_name = |word: &str| {
        markup == Markup::Markdown
            && SOURCES.iter().any(|ending| word.ends_with(ending) && word.len() > ending.len() && !word.contains('/'))
    };
    let is_path = |word: &str| FOLDERS.iter().any(|folder| word.starts_with(folder) && word.len() > folder.len()) || is_name(word);
    words(text).filter(|(_, word)| is_path(word)).map(|(at, word)| (at, word.to_owned())).collect()
}

/// Returns the documents that a text names, each with the sections and headings that follow its name.
fn citations(text: &str) -> Vec<Citation> {
    let named = words(text).filter(|(_, word)| word.len() > ".md".len() && word.ends_with(".md") && !word.contains('*'));
    named
        .map(|(at, word)| {
            let rest = text[at + word.len()..].trim_start_matches('`').trim_start_matches("'s").trim_start_matches(',').trim_start();
            let after = rest.strip_prefix("sections").or_else(|| rest.strip_prefix("section")).map_or(rest, str::trim_start);
            let (sections, after) = if after.len() < rest.len() { numbers(after) } else { (Vec::new(), after) };
            Citation { at, document: word.to_owned(), sections, headings: quoted(after) }
        })
        .collect()
}

/// Returns the numbers such as `3.1` at the head of a text, and the rest.
fn numbers(text: &str) -> (Vec<String>, &str) {
    let (mut found, mut rest) = (Vec::new(), text);
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number = rest[..end].trim_end_matches('.');
        if number.is_empty() {
            return (found, rest);
        }
        found.push(number.to_owned());
        rest = &rest[number.len()..];
        let Some(more) = [", ", " and ", " to "].iter().find_map(|between| rest.strip_prefix(between)) else { return (found, rest) };
        if !more.starts_with(|c: char| c.is_ascii_digit()) {
            return (found, rest);
        }
        rest = more;
    }
}

/// Returns the texts in quotation marks at the head of a text.
fn quoted(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((inside, after)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        found.push(inside.replace('`', ""));
        rest = [", ", " and "].iter().find_map(|between| after.strip_prefix(between)).unwrap_or_default();
    }
    found
}

/// Checks of the helpers: a check that finds nothing proves nothing.
mod helpers {
    use super::*;

    #[test]
    fn citations_have_document_sections_and_headings() {
        let text = "see `src/model/README.md` sections 3 and 5.5. As `src/README.md` \"Endless listening\" says, (a.md, section 2.)";
        let found = citations(text);
        let short: Vec<_> = found.iter().map(|c| (c.document.as_str(), c.sections.join("|"), c.headings.join("|"))).collect();
        assert_eq!(
            short,
            [
                ("src/model/README.md", "3|5.5".to_owned(), String::new()),
                ("src/README.md", String::new(), "Endless listening".to_owned()),
                ("a.md", "2".to_owned(), String::new()),
            ]
        );
    }

    #[test]
    fn citations_are_found_across_lines_of_comments() {
        let code = "/// The prefix (`src/model/README.md`\n/// section 5.2).\nlet x = \"not.md\"; // `README.md`\n";
        let document = Document { path: "src/x.rs".into(), text: code.into() };
        let flat = document.prose();
        let found = citations(&flat.text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].sections.join("|"), flat.line(found[0].at)), ("5.2".to_owned(), 1));
        assert_eq!((found[1].document.as_str(), flat.line(found[1].at)), ("README.md", 3));
    }

    #[test]
    fn paths_are_words_that_begin_with_a_folder() {
        let found: Vec<String> = paths("in `src/lane.rs`, tests/tools/virtual-mic. Not target/src/x, no src/ alone.", Markup::Code)
            .into_iter()
            .map(|(_, p)| p)
            .collect();
        assert_eq!(found, ["src/lane.rs", "tests/tools/virtual-mic"]);
        let found = paths("`lane.rs` beside `make.py`, and .rs", Markup::Markdown);
        assert_eq!(found.iter().map(|(_, path)| path.as_str()).collect::<Vec<_>>(), ["lane.rs", "make.py"]);
        assert!(exists("tests/documents.rs") && exists("tests/docu*.rs") && !exists("tests/no*such.rs") && !exists("src/nothing.rs"));
        assert_eq!(normal(Path::new("src/model/../README.md")).as_deref(), Some("src/README.md"));
        assert_eq!(normal(Path::new("../README.md")), None);
    }

    #[test]
    fn headings_have_numbers_anchors_and_no_code() {
        let text = "# Title\n```sh\n# no heading\n```\n## 5. Token protocol\n### 5.3 Listening\n## `hearken bench`\n";
        let found = headings(text);
        assert_eq!(found, ["Title", "5. Token protocol", "5.3 Listening", "hearken bench"]);
        assert!(is_section(&found[1], "5") && is_section(&found[2], "5.3"));
        assert!(!is_section(&found[2], "5") && !is_section(&found[1], "5.3"));
        assert_eq!(slug("How well, how fast"), "how-well-how-fast");
        assert_eq!(links("a [b](c.md#d) and ![e](f.png)"), ["c.md#d", "f.png"]);
    }
}
