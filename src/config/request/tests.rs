//! The meaning of command lines, without starting anything.

use std::fs;
use std::path::PathBuf;

use clap::Parser;

use super::*;
use crate::config::{BenchSubject, Consent, InstructionClip, Originals, Precision, TracePath, modes::TRANSLATE};

struct TestHome(tempfile::TempDir);

impl TestHome {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn paths(&self) -> Paths {
        Paths { config: self.0.path().to_owned(), ..Paths::inside(self.0.path()) }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    fn ask(&self, line: &[&str]) -> Result<Request> {
        let cli = Cli::try_parse_from([&["hearken"], line].concat()).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        cli.request(&self.paths(), Stdout::Redirected)
    }

    fn listen(&self, line: &[&str]) -> Result<Settings> {
        match self.ask(&[&["listen"], line].concat())? {
            Request::Listen { settings, .. } => Ok(*settings),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_bare_command_opens_the_window_with_the_default_microphone() {
    let Ok(Request::Window(settings)) = TestHome::new().ask(&[]) else { panic!("a window") };
    assert_eq!(settings.source, SourceChoice::Microphone(DeviceChoice::Default));
    assert_eq!(settings.model, ModelChoice::Starter);
    assert_eq!(settings.modes_on, ["dialog", "transcribe"]);
    assert!(settings.gate && settings.event_options.decisions);
    assert_eq!(settings.sampling, SamplingChoice::GREEDY);
}

#[test]
fn the_default_format_is_text_on_a_terminal_and_jsonl_elsewhere() {
    let home = TestHome::new();
    for (stdout, expected, decisions) in [(Stdout::Terminal, OutputFormat::Text, false), (Stdout::Redirected, OutputFormat::Jsonl, true)] {
        let cli = Cli::try_parse_from(["hearken", "listen"]).expect("arguments");
        let Ok(Request::Listen { settings, format }) = cli.request(&home.paths(), stdout) else { panic!("listen") };
        assert_eq!((format, settings.event_options.decisions), (expected, decisions));
    }
}

#[test]
fn files_are_heard_without_the_gate_and_with_a_second_of_silence_after_each() {
    let home = TestHome::new();
    let wav = home.write("a.wav", "");
    let settings = home.listen(&[wav.to_str().expect("a path")]).expect("settings");
    assert!(!settings.gate);
    assert_eq!(
        settings.source,
        SourceChoice::Files { paths: vec![wav], reading: ReadOptions::default(), gap_secs: 1.0, speed: FileSpeed::Unthrottled }
    );
    let stdin = home.listen(&["-", "--gap-secs", "0", "--realtime", "--gate", "on"]).expect("settings");
    assert!(stdin.gate);
    assert_eq!(stdin.source, SourceChoice::Stdin { raw: None, gap_secs: 0.0, speed: FileSpeed::Realtime });
}

#[test]
fn a_sequence_is_expanded_relative_to_its_folder() {
    let home = TestHome::new();
    let (a, b) = (home.write("a.wav", ""), home.write("b.wav", ""));
    let list = home.write("sequence.json", r#"["a.wav", "b.wav"]"#);
    let settings = home.listen(&[list.to_str().expect("a path")]).expect("settings");
    assert!(matches!(settings.source, SourceChoice::Files { paths, .. } if paths == [a, b]));
    for text in ["[]", "{}", "[1]", "[", r#"["missing.wav"]"#] {
        let list = home.write("bad.json", text);
        let error = home.listen(&[list.to_str().expect("a path")]).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::AudioFile, "{text}: {error}");
    }
}

#[test]
fn the_command_line_overrides_the_settings_file() {
    let home = TestHome::new();
    home.write(
        "settings.toml",
        "modes = [\"sounds\"]\nthreads = 3\ngate = false\nseed = 5\ninput = \"desk\"\n[eagerness]\nsounds = 1\ndialog = 2\n",
    );
    let settings = home.listen(&[]).expect("settings");
    assert_eq!(
        (settings.modes_on, settings.threads, settings.gate, settings.sampling.seed),
        (vec!["sounds".to_owned()], Some(3), false, 5)
    );
    assert_eq!(settings.source, SourceChoice::Microphone(DeviceChoice::Named("desk".to_owned())));
    let typed = ["--modes", "dialog", "--threads", "1", "--gate", "on", "--seed", "6", "--eagerness", "sounds=-1"];
    let settings = home.listen(&typed).expect("settings");
    assert_eq!((settings.modes_on, settings.threads, settings.gate, settings.sampling.seed), (vec!["dialog".to_owned()], Some(1), true, 6));
    let bias = |name: &str| settings.modes.iter().find(|mode| mode.name == name).expect("the mode").eagerness;
    assert_eq!((bias("sounds"), bias("dialog"), bias("transcribe")), (-1.0, 2.0, 0.0));
}

#[test]
fn a_single_eagerness_applies_to_every_mode() {
    let settings = TestHome::new().listen(&["--eagerness", "-1.5"]).expect("settings");
    assert!(settings.modes.iter().all(|mode| (mode.eagerness + 1.5).abs() < f32::EPSILON));
}

#[test]
fn the_target_language_selects_the_instruction_and_its_clip() {
    let home = TestHome::new();
    let translate = |line: &[&str]| {
        let settings = home.listen(line).expect("settings");
        settings.modes.into_iter().find(|mode| mode.name == TRANSLATE).expect("the mode")
    };
    let (chinese, english) = (translate(&[]), translate(&["--model", "m", "--translate-to", "en"]));
    assert!(chinese.instruction.is_some_and(|text| text.contains("Chinese")));
    assert!(english.instruction.is_some_and(|text| text.contains("English")));
    assert!(matches!((&chinese.clip, &english.clip), (InstructionClip::Builtin(a), InstructionClip::Builtin(b)) if a != b));
}

#[test]
fn several_candidates_mean_sampling() {
    let home = TestHome::new();
    let temperature = |line: &[&str]| home.listen(line).expect("settings").sampling.temperature;
    assert_eq!(temperature(&["--top-k", "3"]), 1.0);
    assert_eq!(temperature(&["--top-k", "1"]), 0.0);
    assert_eq!(temperature(&["--top-k", "3", "--temperature", "0.3"]), 0.3);
}

#[test]
fn a_users_mode_can_be_switched_on() {
    let home = TestHome::new();
    fs::create_dir(home.paths().instructions()).expect("a folder");
    fs::write(home.paths().instructions().join("birds.wav"), "").expect("written");
    home.write("modes.toml", "[[mode]]\nname = \"birds\"\ninstruction = \"Which birds?\"\n");
    assert_eq!(home.listen(&["--modes", "birds"]).expect("settings").modes_on, ["birds"]);
}

#[test]
fn contradictory_or_unknown_arguments_are_refused_by_name() {
    let home = TestHome::new();
    let wav = home.write("a.wav", "");
    let wav = wav.to_str().expect("a path");
    let folder = home.0.path().to_str().expect("a path").to_owned();
    let table: &[(&[&str], ErrorKind, &str)] = &[
        (&["listen", "--realtime"], ErrorKind::Arguments, "--realtime"),
        (&["listen", "--gap-secs", "2"], ErrorKind::Arguments, "--gap-secs"),
        (&["listen", "-", wav], ErrorKind::Arguments, "stdin"),
        (&["listen", "--modes", "dance"], ErrorKind::Arguments, "dialog, transcribe, translate, sounds"),
        (&["listen", "--eagerness", "dance=1"], ErrorKind::Arguments, "dance"),
        (&["listen", "/no/such.wav"], ErrorKind::AudioFile, "/no/such.wav"),
        (&["listen", &folder], ErrorKind::AudioFile, "folder"),
        (&["listen", wav, "--save-audio", wav], ErrorKind::Arguments, "overwritten"),
        (&["trace", wav, "--model", "m", "--path", "live", "--out", wav], ErrorKind::Arguments, "overwritten"),
        (&["trace", wav, "--model", "m", "--path", "live", "--out", "x.bin"], ErrorKind::Arguments, ".safetensors"),
        (&["trace", "-", "--model", "m", "--path", "live", "--out", "x.safetensors"], ErrorKind::Arguments, "stdin"),
        (&["--modes", "dance"], ErrorKind::Arguments, "dance"),
    ];
    for (line, kind, word) in table {
        let error = home.ask(line).expect_err("refused");
        assert_eq!(error.kind(), *kind, "{line:?}: {error}");
        assert!(error.message().contains(word), "{line:?}: {error}");
    }
    home.write("settings.toml", "modes = [\"dance\"]\n");
    let error = home.ask(&["listen"]).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(error.message().contains("settings.toml") && error.message().contains("dance"), "{error}");
    assert!(home.ask(&[]).is_ok(), "a window opens and reports it");
    assert!(settings_problems(&home.paths()).iter().any(|wrong| wrong.contains("dance")));
}

#[test]
fn an_unknown_mode_in_the_settings_is_reported_by_line() {
    let home = TestHome::new();
    home.write("settings.toml", "modes = [\"sing\", \"dialog\"]\nrest_first = [\n  \"sounds\",\n  \"dance\",\n]\n[eagerness]\njump = 1\n");
    let wrong = settings_problems(&home.paths());
    for (line, key, name) in [(1, "modes", "sing"), (4, "rest_first", "dance"), (7, "eagerness", "jump")] {
        assert!(wrong.iter().any(|text| text.contains(&format!("settings.toml:{line}: {key}: there is no mode \"{name}\""))), "{wrong:?}");
    }
    let Ok(Request::Window(settings)) = home.ask(&[]) else { panic!("a window opens all the same") };
    assert_eq!((settings.modes_on, settings.long_running.rest_first), (vec!["dialog".to_owned()], vec!["sounds".to_owned()]));
    home.write("settings.toml", "rest_first = [\"dance\"]\n");
    let error = home.ask(&["listen"]).expect_err("refused");
    assert!(error.kind() == ErrorKind::Settings && error.message().contains("settings.toml:1: rest_first"), "{error}");
}

#[test]
fn trace_and_bench_arguments_become_options() {
    let home = TestHome::new();
    let wav = home.write("a.wav", "");
    let out = ["--model", "m", "--path", "offline", "--out", "x.safetensors"];
    let Ok(Request::Trace(trace)) = home.ask(&[&["trace", wav.to_str().expect("a path")], &out[..]].concat()) else { panic!("trace") };
    assert_eq!((trace.files, trace.path, trace.model), (vec![wav], TracePath::Offline, ModelChoice::Dir("m".into())));
    let Ok(Request::Bench(bench)) = home.ask(&["bench", "--shape", "3b", "--lanes", "2", "--json"]) else { panic!("bench") };
    assert_eq!((bench.subject, bench.lanes, bench.format), (BenchSubject::Shape3b, 2, ReportFormat::Json));
}

#[test]
fn model_arguments_become_a_request_with_consent() {
    let home = TestHome::new();
    let ask = |line: &[&str]| match home.ask(&[&["model"], line].concat()) {
        Ok(Request::Model(request)) => request,
        other => panic!("{other:?}"),
    };
    assert_eq!(ask(&["list", "--json"]), ModelRequest::List(ReportFormat::Json));
    let ModelRequest::Download(got) = ask(&["download", "3b", "--yes", "--remove-originals", "--precision", "q8"]) else {
        panic!("download")
    };
    assert_eq!((got.model, got.consent, got.originals), (ModelChoice::ThreeB, Consent::Given, Originals::Remove));
    assert_eq!((got.precision, got.revision), (Some(Precision::Q8), None));
    assert_eq!(ask(&["remove", "a/b"]), ModelRequest::Remove(ModelChoice::Dir("a/b".into()), Consent::Ask));
}
