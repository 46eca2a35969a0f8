//! The program as started from a shell: refused arguments, messages and exit codes.

#![allow(clippy::expect_used, clippy::panic, reason = "a helper of a test fails as a test does")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program with a home folder of its own, independent of the settings of the tester.
struct Hearken(tempfile::TempDir);

impl Hearken {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
        command.args(line).env("HEARKEN_HOME", self.0.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, line: &[&str]) -> Output {
        self.command(line).output().expect("the program starts")
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("a path").to_owned()
    }
}

/// The command lines that print the help of `hearken history`.
const HISTORY_HELP: [&[&str]; 6] = [
    &["history", "--help"],
    &["history", "list", "--help"],
    &["history", "show", "--help"],
    &["history", "search", "--help"],
    &["history", "export", "--help"],
    &["history", "delete", "--help"],
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(feature = "mic")]
#[test]
fn devices_command_hides_the_messages_of_the_sound_system() {
    let output = Hearken::new().run(&["devices"]);
    let noise = text(&output.stderr);
    assert!(noise.lines().all(|line| line.starts_with("hearken: ")), "{noise}");
}

#[test]
fn help_and_version_go_to_stdout_and_succeed() {
    let hearken = Hearken::new();
    for line in
        [&["--help"][..], &["--version"], &["listen", "--help"], &["devices", "-h"], &["trace", "-h"], &["bench", "-h"], &["doctor", "-h"]]
            .into_iter()
            .chain(HISTORY_HELP)
            .chain([&["eval", "-h"][..], &["model", "-h"]])
    {
        let output = hearken.run(line);
        assert_eq!(output.status.code(), Some(0), "{line:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{line:?}");
    }
}

#[test]
fn help_explains_every_command_and_every_option() {
    let hearken = Hearken::new();
    for line in
        [&["--help"][..], &["listen", "--help"], &["devices", "--help"], &["trace", "--help"], &["bench", "--help"], &["doctor", "--help"]]
            .into_iter()
            .chain(HISTORY_HELP)
            .chain([&["eval", "proactive", "--help"][..], &["eval", "streaming", "--help"]])
    {
        let help = text(&hearken.run(line).stdout);
        let lines: Vec<&str> = help.lines().collect();
        for (number, option) in lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("--")) {
            let explained = option.trim().contains("  ")
                || lines.get(number + 1).is_some_and(|next| next.starts_with("          ") && !next.trim().is_empty());
            assert!(explained, "{line:?} does not explain {option}");
        }
    }
}

#[test]
fn help_names_every_built_in_mode() {
    let hearken = Hearken::new();
    let help = text(&hearken.run(&["listen", "--help"]).stdout);
    let missing: Vec<&str> = hearken::config::modes::BUILT_IN.into_iter().filter(|mode| !help.contains(mode)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn documents_list_every_option_and_no_other() {
    let hearken = Hearken::new();
    let readme = include_str!("../src/config/README.md");
    let models = include_str!("../models/README.md");
    let options = |text: &str| -> std::collections::BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        words
            .filter(|word| word.starts_with("--") && word.len() > 3 && !["--help", "--version"].contains(word))
            .map(str::to_owned)
            .collect()
    };
    let section = |document: &'static str, title: &str| -> &'static str {
        document.split("\n## ").find(|section| section.starts_with(title)).unwrap_or_else(|| panic!("a section {title}"))
    };
    let help = |line: &[&str]| text(&hearken.run(line).stdout);
    let window_only = options(&readme.lines().filter(|line| line.contains("| w, only |")).collect::<String>());
    assert_eq!(window_only.iter().map(String::as_str).collect::<Vec<_>>(), ["--hidden"]);
    for command in ["listen", "devices", "trace", "bench", "doctor"] {
        let listed = options(section(readme, &format!("`hearken {command}`\n")));
        let listed: Vec<_> = listed.difference(&window_only).collect();
        assert_eq!(listed, options(&help(&[command, "--help"])).iter().collect::<Vec<_>>(), "options of {command}");
    }
    let history: String = HISTORY_HELP.map(&help).concat();
    assert_eq!(options(section(readme, "`hearken history`\n")), options(&history), "options of history");
    let subcommands = ["list", "download", "verify", "quantize", "path", "remove"];
    let model: String = subcommands.map(|subcommand| help(&["model", subcommand, "--help"])).concat();
    assert_eq!(options(section(models, "Downloads\n")), options(&model), "options of model");
    let of_window = &options(&help(&["--help"])) - &window_only;
    assert!(of_window.is_subset(&options(&help(&["listen", "--help"]))), "`listen` has every other option of the window");
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_a_success_for_every_command() {
    let hearken = Hearken::new();
    let golden = golden_wav();
    let mut lines = vec![&["doctor"][..], &["model", "list"], &["history", "list"]];
    let listen = ["listen", golden.as_str()];
    lines.push(&listen);
    if cfg!(feature = "mic") {
        lines.push(&["devices"]);
    }
    for line in lines {
        let mut child = hearken.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the program ends");
        assert_eq!(output.status.code(), Some(0), "{line:?} said: {}", text(&output.stderr));
    }
}

#[test]
fn bad_arguments_exit_2_and_name_what_is_wrong() {
    let hearken = Hearken::new();
    let wav = golden_wav();
    let json = hearken.write("list.json", "[\"gone.wav\"]");
    let table: &[(&[&str], &[&str])] = &[
        (&["dance"], &["dance"]),
        (&["--dance"], &["--dance"]),
        (&["model"], &["model"]),
        (&["model", "dance"], &["dance"]),
        (&["history"], &["list", "search"]),
        (&["eval"], &["eval"]),
        (&["bench", "--recommend", "--scenario", "quiet"], &["--recommend"]),
        (&["bench", "--scenario", "party"], &["--scenario"]),
        (&["listen", "--precision", "q5"], &["q5", "--precision", "bf16"]),
        (&["listen", "--precision", "q3"], &["q3", "--precision"]),
        (&["bench", "--precision", "f64"], &["f64"]),
        (&["listen", "--device", "tpu"], &["tpu", "cpu"]),
        (&["listen", &wav, "--gap-secs", "-1"], &["-1", "--gap-secs"]),
        (&["listen", &wav, "--gap-secs", "NaN"], &["NaN", "--gap-secs"]),
        (&["listen", &wav, "--gap-secs", "inf"], &["inf", "--gap-secs"]),
        (&["listen", "--eagerness", "NaN"], &["NaN", "--eagerness"]),
        (&["listen", "--eagerness", "dialog=NaN"], &["--eagerness"]),
        (&["listen", "--eagerness", "dialog=1,dialog=2"], &["--eagerness", "one number for dialog"]),
        (&["listen", "--eagerness", "dance=1"], &["dance", "dialog, transcribe, translate, sounds"]),
        (&["listen", "--threads", "0"], &["0", "--threads"]),
        (&["listen", "--threads", "-3"], &["-3", "--threads"]),
        (&["listen", "--temperature", "-0.5"], &["-0.5", "--temperature"]),
        (&["listen", "--temperature", "warm"], &["warm", "--temperature"]),
        (&["listen", "--top-k", "0"], &["0", "--top-k"]),
        (&["listen", "--seed", "-1"], &["-1"]),
        (&["listen", "--modes", "dance"], &["dance", "dialog, transcribe, translate, sounds"]),
        (&["listen", "--modes", ""], &["--modes"]),
        (&["listen", "--translate-to", "fr"], &["fr", "zh"]),
        (&["listen", "--format", "pdf"], &["pdf", "jsonl"]),
        (&["listen", "--gate", "ajar"], &["ajar", "on or off"]),
        (&["listen", "--margins", "--no-decisions"], &["--margins", "--no-decisions"]),
        (&["listen", "--model"], &["--model"]),
        (&["listen", &wav, "--model", "3b"], &["the model 3b is not here", "hearken model download"]),
        (&["listen", "--realtime"], &["--realtime"]),
        (&["listen", "-", &wav], &["stdin"]),
        (&["listen", "/no/such/file.wav"], &["/no/such/file.wav"]),
        (&["listen", &json], &["gone.wav"]),
        (&["listen", &wav, "--save-audio", &wav], &["--save-audio", "overwritten"]),
        (&["trace", &wav], &["--model"]),
        (&["trace", &wav, "--model", "m", "--path", "sideways", "--out", "x.safetensors"], &["sideways", "offline"]),
        (&["trace", &wav, "--model", "m", "--path", "live", "--out", "x.bin"], &["x.bin", ".safetensors"]),
        (&["bench", "--model", "m", "--shape", "3b"], &["--model", "--shape"]),
        (&["bench", "--shape", "7b"], &["7b"]),
        (&["bench", "--context", "0"], &["--context"]),
        (&["bench", "--context", "5000"], &["5000", "4096"]),
        (&["bench", "--lanes", "0"], &["--lanes"]),
        (&["--modes", "dance"], &["dance"]),
    ];
    for (line, words) in table {
        let output = hearken.run(line);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line:?} said: {said}");
        assert!(output.stdout.is_empty(), "{line:?} wrote to stdout");
        assert!(!said.contains("panicked"), "{line:?}: {said}");
        for word in *words {
            assert!(said.contains(word), "{line:?} does not name {word:?}: {said}");
        }
    }
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn a_missing_gpu_backend_is_refused_with_the_feature_to_build() {
    for device in ["cuda", "metal"] {
        let output = Hearken::new().run(&["listen", "--device", device]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(&format!("--features {device}")));
    }
}

#[test]
fn an_error_in_a_settings_file_names_its_line() {
    let table = [
        ("config/settings.toml", "seed = 1\nthreads = 0\n", "settings.toml:2:"),
        ("config/settings.toml", "colour = \"red\"\n", "settings.toml:1:"),
        ("config/settings.toml", "modes = [\"dance\"]\n", "dance"),
        ("config/settings.toml", "model = \"3b\"\n", "3b"),
        ("config/modes.toml", "\n[[mode]]\nname = \"dialog\"\ninstruction = \"x\"\n", "modes.toml:3:"),
        ("config/modes.toml", "[[mode]]\nname = \"fish\"\ninstruction = \"x\"\n", "fish.wav"),
    ];
    for (file, content, word) in table {
        let hearken = Hearken::new();
        hearken.write(file, content);
        let output = hearken.run(&["listen", &golden_wav()]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{content:?} said: {said}");
        assert!(said.contains(word) && !said.contains("panicked"), "{content:?} said: {said}");
    }
}

#[cfg(not(feature = "window"))]
#[test]
fn bare_command_without_a_window_points_to_listen() {
    let output = Hearken::new().run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("hearken listen"));
}

fn golden_wav() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wav/d1_speech_7p3s.wav");
    path.to_str().expect("a path").to_owned()
}

#[test]
fn damaged_audio_and_unusable_folders_are_refused_in_one_line() {
    let hearken = Hearken::new();
    // A header with 65,535 channels, which would overflow the size of a frame.
    let mut wav = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\xff\xff".to_vec();
    wav.extend([0x80, 0x3e, 0, 0, 0, 0xfa, 0, 0, 2, 0, 16, 0]);
    wav.extend(b"data\x04\0\0\0\0\0\0\0");
    let path = hearken.0.path().join("channels.wav");
    std::fs::write(&path, wav).expect("written");
    let output = hearken.run(&["listen", path.to_str().expect("a path")]);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.lines().count() == 1 && said.contains("channels.wav"), "{said}");
    let output = hearken.run(&["model", "path", "nowhere"]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("no such folder"), "{}", text(&output.stderr));
    #[cfg(unix)]
    {
        // A home that is not a folder holds no settings; the starter is unpacked among the temporary files.
        let listing = hearken.command(&["model", "list"]).env("HEARKEN_HOME", "/dev/null").output().expect("the program starts");
        assert!(listing.status.success() && text(&listing.stdout).contains("starter"), "{}", text(&listing.stderr));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn machine_is_kept_awake_while_a_file_is_heard_and_not_for_a_short_one() {
    let hearken = Hearken::new();
    // A program in the place of logind's: it writes down what it is asked, and runs as long as its input is open.
    let script = "#!/bin/sh\necho \"$$ $@\" > \"$0.log\"\nexec /bin/cat\n";
    let inhibitor = hearken.write("bin/systemd-inhibit", script);
    assert!(Command::new("chmod").args(["+x", &inhibitor]).status().expect("chmod runs").success());
    let bin = Path::new(&inhibitor).parent().expect("a folder");
    let listen = |options: &[&str]| {
        let mut command = hearken.command(&[&["listen", "--modes", "dialog"], options, &[&golden_wav()]].concat());
        command.env("PATH", bin).output().expect("the program starts")
    };
    assert_eq!(listen(&[]).status.code(), Some(0));
    let log = bin.join("systemd-inhibit.log");
    assert!(!log.exists(), "a file that is over in a moment");
    assert_eq!(listen(&["--realtime"]).status.code(), Some(0));
    let asked = std::fs::read_to_string(log).expect("logind was asked");
    let (pid, options) = asked.split_once(' ').expect("its number and options");
    assert!(options.contains("--what=sleep:idle") && options.contains("--mode=block"), "{options}");
    assert!(!Path::new("/proc").join(pid).exists(), "it ends with the file");
}
