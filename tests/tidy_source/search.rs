//! Searches in source code whose comments and string literals are blanked.

/// Returns the numbers (from 1) of the lines in which `word` starts at a word boundary.
pub(crate) fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let begins = |line: &str| line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    code.lines().enumerate().filter(|(_, line)| begins(line)).map(|(number, _)| number + 1).collect()
}

/// Returns the lines that import the crate `library` or use it as the head of a path.
pub(crate) fn lines_naming_crate(code: &str, library: &str) -> Vec<usize> {
    let names = |line: &str| {
        let stem = library.trim_end_matches('*');
        line.match_indices(stem).any(|(at, _)| {
            let rest = &line[at + stem.len()..];
            let rest = if library.ends_with('*') { rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_') } else { rest };
            let head = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '.');
            head && (rest.starts_with("::") || line.trim_start().starts_with("use ") && rest.starts_with([';', ' ']))
        })
    };
    code.lines().enumerate().filter(|(_, line)| names(line)).map(|(number, _)| number + 1).collect()
}

/// Returns line and capacity of every `bounded(…)` and `sync_channel(…)`.
pub(crate) fn capacities(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for maker in ["bounded", "sync_channel"] {
        for (at, _) in code.match_indices(maker).filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
            let rest = &code[at + maker.len()..];
            let rest = if rest.starts_with("::<") { rest.split_once(">(").map(|(_, inside)| inside) } else { rest.strip_prefix('(') };
            if let Some((capacity, _)) = rest.and_then(|rest| rest.split_once(')')) {
                found.push((1 + code[..at].matches('\n').count(), capacity.trim().to_owned()));
            }
        }
    }
    found
}

/// Returns line and parameters of every function with a name.
pub(crate) fn parameters(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ").filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
        let mut depth = 0;
        let open = code[at..].find('(').map(|open| at + open).unwrap_or(at);
        let close = code[open..].char_indices().find(|(_, c)| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0
        });
        if let Some((close, _)) = close {
            found.push((1 + code[..at].matches('\n').count(), code[open + 1..open + close].to_owned()));
        }
    }
    found
}

/// Returns true if `return` at `at` stands alone: `return;`, or `return` before a closing brace.
pub(crate) fn is_bare_return(code: &str, at: usize) -> bool {
    let after = code[at + "return".len()..].trim_start();
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') && after.starts_with([';', '}'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy_source::Source;

    #[test]
    fn capacities_finds_channels_without_a_named_bound() {
        let code = "bounded(3); bounded::<Vec<u8>>(EVENTS); sync_channel(super::CAP); unbounded();";
        assert_eq!(capacities(code).into_iter().map(|(_, name)| name).collect::<Vec<_>>(), ["3", "EVENTS", "super::CAP"]);
        assert_eq!(lines_with("x\nlet c = unbounded();", "unbounded("), [2]);
        assert!(lines_with("my_unbounded();", "unbounded(").is_empty());
    }

    #[test]
    fn lines_naming_crate_finds_imports_and_paths() {
        assert_eq!(lines_naming_crate("use candle_core::Tensor;\nlet t = candle_nn::ops::softmax;", "candle_*"), [1, 2]);
        assert_eq!(lines_naming_crate("use egui;\nself.egui.x();\na.zip(b)", "egui"), [1]);
        assert!(lines_naming_crate("a.zip(b); crate::half::x", "zip").is_empty());
        assert!(lines_naming_crate("super::half::x()", "half").is_empty());
    }

    #[test]
    fn parameters_finds_those_of_every_function() {
        let found = parameters("pub fn a(x: (u8, u8), loud: bool) -> bool {}\nfn b(loud: bool) {}\npub(crate) const fn c() {}");
        assert_eq!(found.len(), 3);
        assert!(found[0].1.ends_with("loud: bool") && found[1].1 == "loud: bool" && found[1].0 == 2);
    }

    #[test]
    fn functions_have_their_attributes_lines_and_bodies() {
        let text =
            "#[test]\n#[ignore = \"run by b\"]\nfn a() {\n    if x() {\n        return;\n    }\n}\n\nfn b() -> u8 {\n    return 1;\n}\n";
        let source = Source::from_text("tests/a.rs", text);
        let functions = source.functions();
        let lines: Vec<(&str, usize, usize)> = functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(lines, [("a", 3, 5), ("b", 9, 3)]);
        assert!(functions[0].is_test() && !functions[1].is_test() && functions[0].attributes.contains("#[ignore"));
        let bare = |at: usize| {
            let body = &source.code[functions[at].body.clone()];
            body.match_indices("return").filter(|(at, _)| is_bare_return(body, *at)).count()
        };
        assert_eq!((bare(0), bare(1)), (1, 0));
    }
}
