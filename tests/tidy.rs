//! Holds the architecture of DESIGN.md: reads the sources and says where they leave it.
//!
//! It looks at text, not at meaning, so it is a net with known holes; each check says what it looks for.

#![allow(clippy::expect_used, clippy::panic, reason = "a helper of a test fails as a test does")]

mod tidy_source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tidy_source::{Source, root, sources, words_of_paths};

/// Collects everything that is wrong before failing, so that one run shows it all.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, source: &Source, line: usize, what: &str) {
        self.0.push(format!("{}:{line}: {what}", source.path));
    }

    fn check(self, rule: &str) {
        assert!(self.0.is_empty(), "{rule}:\n  {}\n", self.0.join("\n  "));
    }
}

#[test]
fn the_reader_of_sources_sees_modules_code_and_tests() {
    let all = sources("src");
    let modules: BTreeSet<&str> = all.iter().map(|source| source.module.as_str()).collect();
    for expected in ["main", "time", "config", "engine"] {
        assert!(modules.contains(expected), "{modules:?}");
    }
    let sample = Source::from_text(
        "src/a/b.rs",
        "use crate::time;\n// crate::ui\nlet s = \"unbounded(\";\n#[cfg(test)]\nmod tests {\n use std::fs;\n}\n",
    );
    assert_eq!((sample.module.as_str(), sample.depth), ("a", 2));
    assert!(sample.code.contains("crate::time") && !sample.code.contains("crate::ui") && !sample.code.contains("unbounded("));
    assert!(sample.code.contains("std::fs") && !sample.product().contains("std::fs"));
    assert_eq!(
        words_of_paths("use crate::{time::X, error::{A, B}};\ncrate::audio::open()", "crate"),
        [(1, "time".into()), (1, "error".into()), (2, "audio".into())]
    );
}

#[test]
fn each_module_imports_only_from_above() {
    let order = module_order();
    let place = |name: &str| order.iter().position(|known| known == name);
    let mut findings = Findings::default();
    for source in sources("src").iter().filter(|source| source.module != "main" && source.module != "lib") {
        let Some(own) = place(&source.module) else {
            findings.add(source, 1, "this module is not in lib.rs");
            continue;
        };
        for (line, used) in words_of_paths(&source.code, "crate") {
            if place(&used).is_some_and(|used| used > own) {
                findings.add(source, line, &format!("`{}` comes before `{used}` in lib.rs and must not import it", source.module));
            }
        }
        // The same by another name: as many `super` as the module is deep reach the crate's root.
        let to_root = format!("{}::", vec!["super"; source.depth].join("::"));
        for line in lines_with(source.product(), &to_root) {
            findings.add(source, line, "another module is reached by `super`; name it by `crate::`");
        }
    }
    findings.check("The order of lib.rs is the order of reading; imports point up");
}

#[test]
fn one_library_has_one_home() {
    // DESIGN.md, column "sole user of"; a trailing `*` stands for every crate whose name begins so.
    let homes: &[(&str, &[&str])] = &[
        ("clap", &["config", "main"]),
        ("directories", &["config"]),
        ("cpal", &["audio"]),
        ("alsa", &["audio"]),
        ("ringbuf", &["audio"]),
        ("rubato", &["audio"]),
        ("sonora", &["audio"]),
        ("sonora_aec3", &["audio"]),
        ("symphonia", &["audio"]),
        ("hound", &["audio"]),
        ("realfft", &["mel"]),
        ("candle_*", &["model"]),
        ("tokenizers", &["model"]),
        ("safetensors", &["model"]),
        ("half", &["model"]),
        ("yaml_serde", &["model"]),
        ("memmap2", &["model"]),
        ("zip", &["model"]),
        ("rusqlite", &["history"]),
        ("hf_hub", &["hub"]),
        ("eframe", &["ui"]),
        ("egui", &["ui"]),
        ("x11_dl", &["ui"]),
    ];
    let mut findings = Findings::default();
    for source in sources("src") {
        for (library, allowed) in homes.iter().filter(|(_, allowed)| !allowed.contains(&source.module.as_str())) {
            for line in lines_naming_crate(&source.code, library) {
                findings.add(&source, line, &format!("`{library}` is at home in {allowed:?} only"));
            }
        }
    }
    findings.check("One library, one home");
}

#[test]
fn hearing_and_understanding_never_import_each_other() {
    let mut findings = Findings::default();
    for (module, other) in [("audio", "model"), ("model", "audio")] {
        for source in sources("src").iter().filter(|source| source.module == module) {
            for (line, _) in words_of_paths(&source.code, "crate").into_iter().filter(|(_, used)| used == other) {
                findings.add(source, line, &format!("`{module}` imports `{other}`"));
            }
        }
    }
    findings.check("`audio` and `model` never import each other");
}

#[test]
fn pure_modules_do_no_io_start_no_thread_and_read_no_clock() {
    let outside = [
        "std::fs",
        "fs::",
        "File::",
        "std::net",
        "std::env",
        "env::",
        "std::process",
        "std::thread",
        "thread::",
        "Instant",
        "SystemTime",
        "stdin()",
        "stdout()",
        "stderr()",
        "println!",
        "eprintln!",
        "print!(",
        "crossbeam_channel",
        "mpsc",
    ];
    let mut findings = Findings::default();
    for source in sources("src").iter().filter(|source| ["time", "mel", "lane", "transcript", "export"].contains(&source.module.as_str())) {
        for word in outside {
            for line in lines_with(source.product(), word) {
                findings.add(source, line, &format!("`{word}` in a pure module"));
            }
        }
    }
    findings.check("`time`, `mel`, `lane`, `transcript` and `export` are pure");
}

#[test]
fn a_face_sees_the_engine_through_its_handle_only() {
    let mut findings = Findings::default();
    let all = sources("src");
    for source in all.iter().filter(|source| ["ui", "headless"].contains(&source.module.as_str())) {
        for (line, used) in words_of_paths(&source.code, "crate") {
            if ["lane", "mel", "hub", "trace", "bench", "eval"].contains(&used.as_str()) {
                findings.add(source, line, &format!("a face imports `{used}`"));
            }
        }
        for (line, used) in words_of_paths(&source.code, "crate::model") {
            if used != "starter_phrases" {
                findings.add(source, line, &format!("a face uses `model::{used}`; what the starter knows is all it may ask there"));
            }
        }
        for (line, used) in words_of_paths(source.product(), "crate::engine") {
            if !["EngineHandle", "Meters", "Models", "Readings"].contains(&used.as_str()) {
                findings.add(source, line, &format!("a face uses `engine::{used}`"));
            }
        }
        for (line, used) in words_of_paths(source.product(), "crate::audio") {
            if !used.to_lowercase().contains("device") {
                findings.add(source, line, &format!("a face uses `audio::{used}`; listing devices is all it may do there"));
            }
        }
    }
    for source in all.iter().filter(|source| source.module == "engine") {
        for line in lines_with(source.product(), "headless") {
            findings.add(source, line, "there is one engine, and it does not know who looks at it");
        }
    }
    findings.check("`ui` and `headless` see the engine through `EngineHandle` only");
}

#[test]
fn every_channel_is_bounded_by_a_named_capacity() {
    let mut findings = Findings::default();
    for source in sources("src") {
        for word in ["mpsc::channel(", "mpsc::channel::<", "unbounded(", "unbounded::<", "unbounded_channel"] {
            for line in lines_with(&source.code, word) {
                findings.add(&source, line, &format!("`{word}` makes a channel without a bound"));
            }
        }
        for (line, capacity) in capacities(source.product()) {
            let name = capacity.rsplit("::").next().unwrap_or_default();
            if name.is_empty()
                || !name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
                || name.parse::<u64>().is_ok()
            {
                findings.add(&source, line, &format!("the capacity `{capacity}` has no name"));
            }
        }
    }
    findings.check("No channel is unbounded; each capacity is a named constant");
}

#[test]
fn only_the_hub_may_reach_the_internet() {
    let words = ["std::net", "TcpStream", "TcpListener", "UdpSocket", "ToSocketAddrs", "reqwest", "ureq", "hyper", "hf_hub", "AF_INET"];
    let mut findings = Findings::default();
    for source in sources("src").iter().filter(|source| source.module != "hub") {
        for word in words {
            for line in lines_with(&source.code, word) {
                findings.add(source, line, &format!("`{word}` outside `hub`"));
            }
        }
    }
    findings.check("Nothing but `hub` opens an internet socket");
}

#[test]
fn the_top_level_holds_what_it_should() {
    let expected: BTreeSet<&str> =
        ["Cargo.toml", "Cargo.lock", "src", "assets", "models", "tests", "benches", "README.md", "LICENSE"].into_iter().collect();
    let found: BTreeSet<String> = top_level().into_iter().filter(|name| !name.starts_with('.')).collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, expected);
}

#[test]
fn files_stay_short_enough_to_read() {
    let mut findings = Findings::default();
    for source in every_source() {
        let lines = source.text.lines().count();
        if lines > 600 {
            findings.add(&source, lines, "more than 600 lines: a second concept lives here");
        }
    }
    let main = fs::read_to_string(root().join("src/main.rs")).expect("src/main.rs");
    assert!(main.lines().count() <= 60, "src/main.rs parses, chooses a face and maps the exit code, in 60 lines");
    findings.check("Files stay under about 500 lines");
}

#[test]
fn nothing_is_left_unfinished_or_unchecked() {
    let words = [concat!("#[", "ignore"), concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!(")];
    let mut findings = Findings::default();
    for source in every_source() {
        for word in words {
            for line in lines_with(&source.code, word) {
                findings.add(&source, line, &format!("`{word}`"));
            }
        }
    }
    findings.check("No test is ignored and no code is a promise");
}

#[test]
fn every_module_opens_by_saying_what_it_is_for() {
    let mut findings = Findings::default();
    for source in every_source() {
        let head: Vec<&str> = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
        if head.is_empty() || head.join(" ").contains("(to be written)") {
            findings.add(&source, 1, "no `//!` at its head");
        }
    }
    findings.check("Each module opens with `//!`");
}

#[test]
fn no_public_function_takes_a_bool() {
    let mut findings = Findings::default();
    for source in sources("src") {
        for (line, parameters) in public_parameters(source.product()) {
            if parameters.split(',').any(|parameter| parameter.trim().ends_with(": bool")) {
                findings.add(&source, line, "a bool parameter says nothing where it is passed: make it an enum or two functions");
            }
        }
    }
    findings.check("No bool parameters");
}

/// Names of the modules in the order of lib.rs.
fn module_order() -> Vec<String> {
    let lib = Source::read(&root().join("src/lib.rs"));
    let named = |line: &str| {
        line.trim().strip_prefix("pub mod ").or(line.trim().strip_prefix("mod ")).map(|rest| rest.trim_end_matches(';').to_owned())
    };
    lib.code.lines().filter_map(named).collect()
}

fn every_source() -> Vec<Source> {
    ["src", "tests", "benches"].into_iter().flat_map(sources).collect()
}

/// What git tracks, so that build outputs do not count; the folder itself where there is no git.
fn top_level() -> Vec<String> {
    let git = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    match git {
        Ok(listed) if listed.status.success() && !listed.stdout.is_empty() => {
            let paths = String::from_utf8_lossy(&listed.stdout).into_owned();
            paths.split('\0').filter(|path| !path.is_empty()).map(|path| path.split('/').next().unwrap_or(path).to_owned()).collect()
        }
        _ => {
            let names = fs::read_dir(root()).expect("the crate's folder").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            names.filter(|name| name != "target").collect()
        }
    }
}

/// Numbers (from 1) of the lines in which `word` begins where no longer word does.
fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let begins = |line: &str| line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    code.lines().enumerate().filter(|(_, line)| begins(line)).map(|(number, _)| number + 1).collect()
}

/// Lines in which the crate is the head of a path or is imported.
fn lines_naming_crate(code: &str, library: &str) -> Vec<usize> {
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

/// The capacity in every `bounded(…)` and `sync_channel(…)`.
fn capacities(code: &str) -> Vec<(usize, String)> {
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

/// Line and parameters of every `pub fn`.
fn public_parameters(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let line_start = code[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if !code[line_start..at].trim_start().starts_with("pub") {
            continue;
        }
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

/// The helpers above are themselves held to examples: a check that finds nothing proves nothing.
mod the_checks_find {
    use super::*;

    #[test]
    fn channels_without_a_named_bound() {
        let code = "bounded(3); bounded::<Vec<u8>>(EVENTS); sync_channel(super::CAP); unbounded();";
        assert_eq!(capacities(code).into_iter().map(|(_, name)| name).collect::<Vec<_>>(), ["3", "EVENTS", "super::CAP"]);
        assert_eq!(lines_with("x\nlet c = unbounded();", "unbounded("), [2]);
        assert!(lines_with("my_unbounded();", "unbounded(").is_empty());
    }

    #[test]
    fn crates_away_from_home() {
        assert_eq!(lines_naming_crate("use candle_core::Tensor;\nlet t = candle_nn::ops::softmax;", "candle_*"), [1, 2]);
        assert_eq!(lines_naming_crate("use egui;\nself.egui.x();\na.zip(b)", "egui"), [1]);
        assert!(lines_naming_crate("a.zip(b); crate::half::x", "zip").is_empty());
        assert!(lines_naming_crate("super::half::x()", "half").is_empty());
    }

    #[test]
    fn bool_parameters() {
        let found = public_parameters("pub fn a(x: (u8, u8), loud: bool) -> bool {}\nfn b(loud: bool) {}\npub(crate) const fn c() {}");
        assert_eq!(found.len(), 2);
        assert!(found[0].1.ends_with("loud: bool"));
    }

    #[test]
    fn files_of_the_product() {
        assert!(top_level().iter().any(|name| name == "Cargo.toml"));
        assert_eq!(module_order().first().map(String::as_str), Some("time"));
        assert!(Path::new(&root()).join("src").is_dir());
    }
}
