//! Checks of the sources against the rules of `src/README.md` "Invariants".
//!
//! The checks work on text and do not parse Rust, so each has known limits. All findings of a check are listed as `path:line`.

#![allow(clippy::expect_used, clippy::panic, reason = "a failed helper fails the test")]

mod tidy_source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tidy_source::search::{capacities, is_bare_return, lines_naming_crate, lines_with, parameters};
use tidy_source::style::style_faults;
use tidy_source::{Comment, CommentKind, Source, root, sources, words_of_paths};

/// Longest source file, in lines.
const MAX_FILE_LINES: usize = 500;
/// Longest function, in lines.
const MAX_FUNCTION_LINES: usize = 70;
/// Longest `src/main.rs`, in lines: it parses arguments, chooses a face and returns the exit code.
const MAX_MAIN_LINES: usize = 60;

/// Words of code that does I/O.
const IO: [&str; 13] = [
    "std::fs",
    "fs::",
    "File::",
    "std::net",
    "std::env",
    "env::",
    "std::process",
    "stdin()",
    "stdout()",
    "stderr()",
    "println!",
    "eprintln!",
    "print!(",
];
/// Words of code that starts a thread, talks to one, or reads a clock.
const THREADS_AND_CLOCKS: [&str; 7] = ["std::thread", "thread::", "Instant", "SystemTime", "crossbeam_channel", "mpsc", "supervise::"];

/// The findings of a check, collected so that one run lists all of them.
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
fn source_reader_separates_modules_code_and_tests() {
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
fn each_module_imports_only_modules_listed_before_it() {
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
        // As many `super` as the module is deep also reach the crate's root.
        let to_root = format!("{}::", vec!["super"; source.depth].join("::"));
        for line in lines_with(source.product(), &to_root) {
            findings.add(source, line, "another module is reached through `super`; write `crate::`");
        }
    }
    findings.check("A module may import only modules that lib.rs lists before it");
}

#[test]
fn each_library_is_used_by_its_own_modules_only() {
    // A trailing `*` stands for every crate with this prefix.
    let homes: &[(&str, &[&str])] = &[
        ("clap", &["config", "main"]),
        ("directories", &["config"]),
        ("cpal", &["audio"]),
        ("alsa", &["audio"]),
        ("pulseaudio", &["audio"]),
        ("futures", &["audio"]),
        ("ringbuf", &["audio"]),
        ("rubato", &["audio"]),
        ("sonora", &["audio"]),
        ("sonora_aec3", &["audio"]),
        ("rusty_opus", &["audio"]),
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
        ("jiff", &["clock", "time"]),
        ("rusqlite", &["history"]),
        ("unicode_normalization", &["history"]),
        ("unicode_segmentation", &["text"]),
        ("unicode_width", &["text"]),
        ("hf_hub", &["hub"]),
        ("pollster", &["ui"]),
        ("rfd", &["ui"]),
        ("eframe", &["ui"]),
        ("egui", &["ui"]),
        ("x11_dl", &["ui"]),
        ("ksni", &["ui"]),
        ("zbus", &["ui"]),
    ];
    let mut findings = Findings::default();
    for source in sources("src") {
        for (library, allowed) in homes.iter().filter(|(_, allowed)| !allowed.contains(&source.module.as_str())) {
            for line in lines_naming_crate(&source.code, library) {
                findings.add(&source, line, &format!("`{library}` may be used in {allowed:?} only"));
            }
        }
    }
    findings.check("Each library has one module that uses it");
}

#[test]
fn audio_and_model_never_import_each_other() {
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
    let mut findings = Findings::default();
    for source in
        sources("src").iter().filter(|source| ["level", "time", "mel", "lane", "transcript", "export"].contains(&source.module.as_str()))
    {
        for word in IO.iter().chain(&THREADS_AND_CLOCKS) {
            for line in lines_with(source.product(), word) {
                findings.add(source, line, &format!("`{word}` in a pure module"));
            }
        }
    }
    findings.check("`level`, `time`, `mel`, `lane`, `transcript` and `export` are pure");
}

#[test]
fn session_starts_no_thread_and_reads_no_clock() {
    let mut findings = Findings::default();
    let all = sources("src");
    let session: Vec<&Source> = all.iter().filter(|source| source.module == "session").collect();
    assert!(!session.is_empty(), "there is no module `session`");
    for source in session {
        for word in THREADS_AND_CLOCKS {
            for line in lines_with(source.product(), word) {
                findings.add(source, line, &format!("`{word}` in `session`"));
            }
        }
    }
    findings.check("`session` is deterministic: the same chunks give the same events");
}

#[test]
fn tools_do_not_import_the_engine() {
    let mut findings = Findings::default();
    for source in sources("src").iter().filter(|source| ["trace", "bench", "eval"].contains(&source.module.as_str())) {
        for (line, _) in words_of_paths(&source.code, "crate").into_iter().filter(|(_, used)| used == "engine") {
            findings.add(source, line, &format!("`{}` imports `engine`", source.module));
        }
    }
    findings.check("`trace`, `bench` and `eval` drive `session` themselves, without the engine's threads");
}

#[test]
fn faces_use_the_engine_through_its_handle_only() {
    let mut findings = Findings::default();
    let all = sources("src");
    for source in all.iter().filter(|source| ["ui", "headless"].contains(&source.module.as_str())) {
        for (line, used) in words_of_paths(&source.code, "crate") {
            if ["lane", "mel", "session", "trace", "bench", "eval"].contains(&used.as_str()) {
                findings.add(source, line, &format!("a face imports `{used}`"));
            }
        }
        for (line, used) in words_of_paths(&source.code, "crate::model") {
            if used != "starter_phrases" {
                findings.add(source, line, &format!("a face uses `model::{used}`; it may use `starter_phrases` only"));
            }
        }
        for (line, used) in words_of_paths(&source.code, "crate::hub") {
            if source.module != "ui" || used != "ModelManager" {
                findings.add(source, line, &format!("a face uses `hub::{used}`; only `ui` may use it, and only `ModelManager`"));
            }
        }
        for (line, used) in words_of_paths(source.product(), "crate::engine") {
            if !["EngineHandle", "Meters", "Readings"].contains(&used.as_str()) {
                findings.add(source, line, &format!("a face uses `engine::{used}`"));
            }
        }
        for (line, used) in words_of_paths(source.product(), "crate::audio") {
            if !used.to_lowercase().contains("device") {
                findings.add(source, line, &format!("a face uses `audio::{used}`; it may only list devices"));
            }
        }
    }
    for source in all.iter().filter(|source| source.module == "engine") {
        for line in lines_with(source.product(), "headless") {
            findings.add(source, line, "the engine must not depend on a face");
        }
    }
    findings.check("`ui` and `headless` use the engine through `EngineHandle`; `ui` also uses the model manager of `hub`");
}

#[test]
fn every_channel_has_a_bound_with_a_name() {
    let mut findings = Findings::default();
    for source in sources("src") {
        for word in ["mpsc::channel(", "mpsc::channel::<", "unbounded(", "unbounded::<", "unbounded_channel"] {
            for line in lines_with(&source.code, word) {
                findings.add(&source, line, &format!("`{word}` makes a channel without a bound"));
            }
        }
        let has_channels = source.code.contains("crossbeam_channel") || source.code.contains("mpsc");
        for (line, capacity) in capacities(source.product()).into_iter().filter(|_| has_channels) {
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
fn only_hub_opens_internet_sockets() {
    let words = ["std::net", "TcpStream", "TcpListener", "UdpSocket", "ToSocketAddrs", "reqwest", "ureq", "hyper::", "hf_hub", "AF_INET"];
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
fn top_level_has_only_the_expected_entries() {
    let expected: BTreeSet<&str> =
        ["Cargo.toml", "Cargo.lock", "src", "assets", "models", "tests", "benches", "README.md", "LICENSE"].into_iter().collect();
    let found: BTreeSet<String> = top_level().into_iter().filter(|name| !name.starts_with('.')).collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, expected);
}

#[test]
fn files_and_functions_stay_within_their_limits() {
    let mut findings = Findings::default();
    for source in every_source() {
        let lines = source.text.lines().count();
        let limit = if source.path == "src/main.rs" { MAX_MAIN_LINES } else { MAX_FILE_LINES };
        if lines > limit {
            findings.add(&source, lines, &format!("{lines} lines; the limit is {limit}"));
        }
        for function in source.functions().into_iter().filter(|function| function.lines > MAX_FUNCTION_LINES) {
            let what = format!("`{}` has {} lines; the limit is {MAX_FUNCTION_LINES}", function.name, function.lines);
            findings.add(&source, function.line, &what);
        }
    }
    findings.check("Files and functions stay short");
}

#[test]
fn no_placeholder_code_is_left() {
    let words = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!(")];
    let mut findings = Findings::default();
    for source in every_source() {
        for word in words {
            for line in lines_with(&source.code, word) {
                findings.add(&source, line, &format!("`{word}`"));
            }
        }
    }
    findings.check("No unfinished code");
}

/// A test that returns before its first assertion is reported as passed although it checked nothing, and an ignored one never runs. A
/// test that needs a prepared environment starts itself there (`tests/inside`).
#[test]
fn no_test_passes_without_running() {
    let mut findings = Findings::default();
    for source in every_source() {
        for test in source.functions().into_iter().filter(|function| function.is_test()) {
            let body = &source.code[test.body.clone()];
            for (at, _) in body.match_indices("return").filter(|(at, _)| is_bare_return(body, *at) && !body[..*at].contains("assert")) {
                let line = source.line_of(test.body.start + at);
                findings.add(&source, line, &format!("`{}` passes without running", test.name));
            }
            if test.attributes.contains("#[ignore") {
                findings.add(&source, test.line, &format!("`{}` is ignored", test.name));
            }
        }
    }
    findings.check("A test that passes has run");
}

#[test]
fn test_names_state_behaviour() {
    let weak = ["what", "whether", "of", "so", "how", "who", "it"];
    let mut findings = Findings::default();
    for source in every_source() {
        for test in source.functions().into_iter().filter(|function| function.is_test()) {
            let words: Vec<&str> = test.name.split('_').collect();
            if words.len() < 3 || weak.contains(&words[0]) {
                findings.add(&source, test.line, &format!("`{}` does not state a behaviour", test.name));
            }
        }
    }
    findings.check("The name of a test is a statement with a subject and a verb");
}

#[test]
fn doc_comments_start_with_a_noun_or_a_verb() {
    check_comments("Doc comments name the thing first", |comment| comment.kind == CommentKind::Doc);
}

#[test]
fn plain_comments_are_sentences_that_can_be_read_aloud() {
    check_comments("Comments are plain sentences", |comment| comment.kind == CommentKind::Plain);
}

/// Lists the comments that break the rules of style.
fn check_comments(rule: &str, checked: impl Fn(&Comment) -> bool) {
    let mut findings = Findings::default();
    for source in every_source() {
        for comment in source.comments().into_iter().filter(|comment| checked(comment)) {
            for (line, fault) in style_faults(&comment) {
                findings.add(&source, line, &fault);
            }
        }
    }
    findings.check(rule);
}

#[test]
fn every_module_has_a_doc_comment() {
    let mut findings = Findings::default();
    for source in every_source() {
        let head: Vec<&str> = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
        if head.is_empty() || head.join(" ").contains("(to be written)") {
            findings.add(&source, 1, "no `//!` at its head");
        }
    }
    findings.check("Each file starts with `//!`");
}

#[test]
fn no_function_takes_a_bool() {
    let mut findings = Findings::default();
    for source in sources("src") {
        for (line, parameters) in parameters(source.product()) {
            if parameters.split(',').any(|parameter| parameter.trim().ends_with(": bool")) {
                findings.add(&source, line, "a bool parameter has no meaning at the call: use an enum or two functions");
            }
        }
    }
    findings.check("No bool parameters");
}

/// Returns the names of the modules in the order of lib.rs.
fn module_order() -> Vec<String> {
    let lib = Source::read(&root().join("src/lib.rs"));
    let named = |line: &str| {
        line.trim().strip_prefix("pub mod ").or(line.trim().strip_prefix("mod ")).map(|rest| rest.trim_end_matches(';').to_owned())
    };
    lib.code.lines().filter_map(named).collect()
}

/// Reads all Rust files of the repository.
fn every_source() -> Vec<Source> {
    ["src", "tests", "benches"].into_iter().flat_map(sources).collect()
}

/// Returns the top-level names that git tracks, or, without git, those of the folder except build outputs.
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

#[test]
fn top_level_and_module_order_are_not_empty() {
    assert!(top_level().iter().any(|name| name == "Cargo.toml"));
    assert!(module_order().iter().any(|name| name == "time"));
    assert!(Path::new(&root()).join("src").is_dir());
}
