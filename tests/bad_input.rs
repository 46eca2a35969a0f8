//! Tables of bad input: each gives an error that names the file, exit code 2, and no panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SPEECH: &str = "tests/golden/wav/d1_speech_7p3s.wav";

/// A valid tokenizer of another model.
const OTHER_TOKENIZER: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,"pre_tokenizer":null,
"post_processor":null,"decoder":null,"model":{"type":"WordLevel","vocab":{"a":0,"[UNK]":1},"unk_token":"[UNK]"}}"#;

struct Case {
    _dir: tempfile::TempDir,
    root: PathBuf,
}

impl Case {
    /// Makes a temporary folder with a copy of the fixture checkpoint in `model`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        copy(Path::new("models/fixture"), &root.join("model"));
        Self { _dir: dir, root }
    }

    fn model(&self, file: &str) -> PathBuf {
        self.root.join("model").join(file)
    }

    fn listen(&self, args: &[&str]) -> Output {
        self.run(&[&["listen", "--model", self.root.join("model").to_str().unwrap(), "--modes", "dialog"], args].concat(), &[])
    }

    fn run(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hearken"))
            .args(args)
            .env("HEARKEN_HOME", self.root.join("home"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that refuses its arguments does not read stdin.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn refused(output: &Output, words: &[&str], case: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{case}: {said}");
    assert!(!said.contains("panicked"), "{case}: {said}");
    for word in words {
        assert!(said.contains(word), "{case}: “{word}” is not in: {said}");
    }
}

/// Replaces a part of a text file.
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Overwrites the last weights of a shard with `bytes`.
fn spoil_weights(path: &Path, bytes: &[u8]) {
    let mut all = fs::read(path).unwrap();
    let at = all.len() - bytes.len();
    all[at..].copy_from_slice(bytes);
    fs::write(path, all).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_refused_with_the_name_of_the_file() {
    const SHARD: &str = "model-00002-of-00002.safetensors";
    const PICKLE: &str = "audiointeraction_ChunkwisedEncoder.pth";
    const INDEX: &str = "model.safetensors.index.json";
    type Damage = fn(&Case);
    let table: &[(&str, Damage, &[&str])] = &[
        ("missing shard", |c| fs::remove_file(c.model(SHARD)).unwrap(), &[SHARD, "missing"]),
        ("truncated shard", |c| fs::write(c.model(SHARD), &fs::read(c.model(SHARD)).unwrap()[..5_000]).unwrap(), &[SHARD, "truncated"]),
        ("empty shard", |c| fs::write(c.model(SHARD), b"").unwrap(), &[SHARD]),
        ("corrupt header", |c| fs::write(c.model(SHARD), vec![0xff; 4_000]).unwrap(), &[SHARD]),
        ("not a number", |c| spoil_weights(&c.model(SHARD), &f32::NAN.to_le_bytes()), &[SHARD, "not finite"]),
        ("shards swapped", |c| assert!(fs::copy(c.model("model-00001-of-00002.safetensors"), c.model(SHARD)).is_ok()), &[SHARD, "index"]),
        ("index names a missing file", |c| edit(&c.model(INDEX), SHARD, "model-00009-of-00002.safetensors"), &["model-00009"]),
        ("index names a file outside", |c| edit(&c.model(INDEX), SHARD, "../secret.safetensors"), &[INDEX, "outside"]),
        ("index is not JSON", |c| fs::write(c.model(INDEX), "{").unwrap(), &[INDEX]),
        ("a tensor is missing", |c| edit(&c.model("model_config.yaml"), "n_layer: 3", "n_layer: 4"), &["missing"]),
        ("a tensor too many", |c| edit(&c.model("model_config.yaml"), "n_layer: 3", "n_layer: 2"), &["does not belong"]),
        ("another shape", |c| edit(&c.model("model_config.yaml"), "intermediate_size: 192", "intermediate_size: 191"), &["shape"]),
        ("another embedding", |c| edit(&c.model("model_config.yaml"), "n_embd: 96", "n_embd: 128"), &["output_dim"]),
        (
            "not implemented",
            |c| edit(&c.model("model_config.yaml"), "parallel_residual: false", "parallel_residual: true"),
            &["parallel_residual"],
        ),
        ("no configuration", |c| fs::remove_file(c.model("model_config.yaml")).unwrap(), &["model_config.yaml", "missing"]),
        ("configuration is no YAML", |c| fs::write(c.model("model_config.yaml"), ": [").unwrap(), &["model_config.yaml"]),
        ("no encoder", |c| fs::remove_file(c.model(PICKLE)).unwrap(), &[PICKLE, "missing"]),
        ("truncated encoder", |c| fs::write(c.model(PICKLE), &fs::read(c.model(PICKLE)).unwrap()[..9_000]).unwrap(), &[PICKLE]),
        ("encoder is no zip", |c| fs::write(c.model(PICKLE), "cos\nsystem\n(S'echo'\ntR.").unwrap(), &[PICKLE]),
        ("no tokenizer", |c| fs::remove_file(c.model("tokenizer.json")).unwrap(), &["tokenizer.json", "missing"]),
        ("damaged tokenizer", |c| fs::write(c.model("tokenizer.json"), "[]").unwrap(), &["tokenizer.json"]),
        (
            "tokenizer of another vocabulary",
            |c| fs::write(c.model("tokenizer.json"), OTHER_TOKENIZER).unwrap(),
            &["tokenizer.json", "another model"],
        ),
        ("ids outside the vocabulary", |c| fs::remove_file(c.model("token_ids.json")).unwrap(), &["outside the vocabulary"]),
        ("ids are no JSON", |c| fs::write(c.model("token_ids.json"), "x").unwrap(), &["token_ids.json"]),
    ];
    for (name, damage, words) in table {
        let case = Case::new();
        damage(&case);
        refused(&case.listen(&[SPEECH]), words, name);
    }
}

#[test]
fn an_unreadable_audio_file_is_refused_with_its_name() {
    let case = Case::new();
    let file = |name: &str, bytes: &[u8]| {
        let path = case.root.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let speech = fs::read(SPEECH).unwrap();
    let table: &[(&str, String, &[&str])] = &[
        ("missing", case.root.join("nowhere.wav").to_str().unwrap().to_owned(), &["nowhere.wav"]),
        ("a folder", case.root.to_str().unwrap().to_owned(), &["folder"]),
        ("empty", file("empty.wav", b""), &["empty.wav", "empty"]),
        ("text", file("notes.txt", b"these are notes, not sound"), &["notes.txt"]),
        ("text called WAV", file("fake.wav", b"these are notes, not sound"), &["fake.wav"]),
        ("a header without sound", file("header.wav", &speech[..44]), &["header.wav"]),
        ("a list that is none", file("sequence.json", b"{\"a\":1}"), &["sequence.json"]),
    ];
    for (name, path, words) in table {
        refused(&case.listen(&[path]), words, name);
    }
    refused(&case.run(&["listen", "--modes", "dialog", "-"], b"not WAV at all, whatever it is"), &["stdin"], "stdin");
    refused(&case.run(&["listen", "--modes", "dialog", "-"], b""), &["stdin"], "empty stdin");
}

#[test]
fn bad_arguments_are_refused_with_their_name() {
    let case = Case::new();
    for (args, words) in [
        (&["--modes", "dance", SPEECH][..], &["dance"][..]),
        (&["--gap-secs", "-1", SPEECH], &["gap"]),
        (&["--eagerness", "dialog=NaN", SPEECH], &["eagerness"]),
        (&["--threads", "0", SPEECH], &["threads"]),
        (&["--save-audio", "/nonexistent/folder/x.wav", SPEECH], &["/nonexistent/folder/x.wav"]),
    ] {
        refused(&case.run(&[&["listen"], args].concat(), b""), words, &args.join(" "));
    }
    let folder = case.root.join("no-model");
    refused(&case.run(&["listen", "--model", folder.to_str().unwrap(), SPEECH], b""), &["no-model"], "no model");
}

#[test]
fn a_single_sample_and_damaged_samples_are_accepted() {
    let case = Case::new();
    let wav = |name: &str, samples: &[f32]| {
        let path = case.root.join(name);
        let spec = hound::WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 32, sample_format: hound::SampleFormat::Float };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        samples.iter().for_each(|s| writer.write_sample(*s).unwrap());
        writer.finalize().unwrap();
        path.to_str().unwrap().to_owned()
    };
    let damaged = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, 0.1];
    for (path, problems) in [(wav("one.wav", &[0.5]), 0), (wav("damaged.wav", &damaged), 1)] {
        let output = case.listen(&["--format", "jsonl", "--gap-secs", "0", &path]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(problems), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        let named = |l: &&str| l.contains("\"problem\"") && l.contains("damaged.wav");
        assert_eq!(said.lines().filter(named).count(), problems as usize, "{said}");
        assert_eq!(said.lines().filter(|l| l.contains("\"decision\"")).count(), 1, "{said}");
        assert!(said.lines().last().unwrap().contains("session_finished"));
    }
}

#[test]
fn wav_with_placeholder_lengths_is_read_from_stdin() {
    let case = Case::new();
    let mut wav = fs::read(SPEECH).unwrap();
    wav[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    wav[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    let output = case.run(&["listen", "--modes", "dialog", "--format", "jsonl", "-"], &wav);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let file = case.run(&["listen", "--modes", "dialog", "--format", "jsonl", SPEECH], b"");
    let events = |o: &Output| String::from_utf8(o.stdout.clone()).unwrap().lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(events(&output), events(&file));
}

#[cfg(unix)]
#[test]
fn a_recording_in_another_form_is_read_with_ffmpeg_only_where_that_is_asked_for() {
    let case = Case::new();
    let recording = case.root.join("-talk.wma");
    fs::copy("tests/golden/audio/speech.wma", &recording).unwrap();
    // A program in the place of ffmpeg: it writes down what it is asked, and answers with a sound.
    let (bin, nothing) = (case.root.join("bin"), case.root.join("empty"));
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(&nothing).unwrap();
    let script = format!("#!/bin/sh\necho \"$@\" >> \"$0.log\"\nexec /bin/cat '{}'\n", fs::canonicalize(SPEECH).unwrap().display());
    fs::write(bin.join("ffmpeg"), script).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(bin.join("ffmpeg")).status().unwrap().success());
    let listen = |args: &[&str], path: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
        command.args(["listen", "--modes", "dialog", "--format", "jsonl"]).args(args).arg("--").arg("-talk.wma");
        command.env("HEARKEN_HOME", case.root.join("home")).env("PATH", path).current_dir(&case.root).output().unwrap()
    };
    refused(&listen(&[], &nothing), &["-talk.wma", "Windows Media", "Convert"], "nothing to ask for");
    refused(&listen(&[], &bin), &["-talk.wma", "Windows Media", "--ffmpeg"], "not asked for");
    assert!(!fs::read_to_string(bin.join("ffmpeg.log")).unwrap().contains("-i "), "only asked whether it is there");
    refused(&listen(&["--ffmpeg"], &nothing), &["-talk.wma", "not installed"], "not installed");
    let output = listen(&["--ffmpeg"], &bin);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let file = case.run(&["listen", "--modes", "dialog", "--format", "jsonl", SPEECH], b"");
    let events = |o: &Output| String::from_utf8(o.stdout.clone()).unwrap().lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(events(&output), events(&file));
    let asked = fs::read_to_string(bin.join("ffmpeg.log")).unwrap();
    assert!(asked.contains("-i file:/") && asked.contains("-protocol_whitelist file,pipe"), "{asked}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_and_a_closed_pipe_is_a_success() {
    let case = Case::new();
    let start = |stdout: Stdio| {
        Command::new(env!("CARGO_BIN_EXE_hearken"))
            .args(["listen", "--format", "jsonl", SPEECH])
            .env("HEARKEN_HOME", case.root.join("home"))
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let full = start(fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()).wait_with_output().unwrap();
    refused(&full, &["stdout"], "full disk");
    let mut closed = start(Stdio::piped());
    drop(closed.stdout.take());
    assert_eq!(closed.wait_with_output().unwrap().status.code(), Some(0), "a closed pipe");
}

#[test]
fn the_doctor_reports_settings_by_line_and_continues() {
    let case = Case::new();
    let config = case.root.join("home/config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("settings.toml"), "seed = 3\nvolume = 11\nthreads = 0\n[window]\nzoom = \"big\"\n[history]\ndays = \"ten\"\n")
        .unwrap();
    let output = case.run(&["doctor"], &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let of = |check: &str| said.lines().find(|line| line.contains(&format!(" {check} "))).unwrap_or_default().to_owned();
    let settings = of("settings");
    assert!(settings.starts_with("problem"), "{said}");
    for (line, word) in [(2, "volume"), (3, "threads"), (5, "string"), (7, "string")] {
        assert!(settings.contains(&format!("settings.toml:{line}: ")) && settings.contains(word), "{line}: {settings}");
    }
    assert!(of("model").starts_with("ok") && !of("display").is_empty() && !of("cache").is_empty(), "{said}");
}

#[cfg(unix)]
#[test]
fn no_name_of_a_file_reaches_the_terminal_as_a_command() {
    let case = Case::new();
    let name = "a\u{1b}]0;owned\u{7}\u{1b}[2J\nb\u{9b}31m.wav";
    for (kind, content) in [("missing", None), ("no sound", Some(b"text".to_vec())), ("heard", Some(fs::read(SPEECH).unwrap()))] {
        let path = case.root.join(name);
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let output = case.listen(&["--format", "text", path.to_str().unwrap()]);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("owned") && !said.contains(|c: char| c.is_control() && c != '\n'), "{kind}: {said:?}");
        assert!(!said.lines().any(|line| line.starts_with('b')), "a name stays in its line: {said:?}");
    }
}
