//! Nothing of the user's is lost unasked: recordings and exports replace no file, a start that fails leaves none behind, one name has
//! one writer, and what others have put into shared folders is not used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const SPEECH: &str = "tests/golden/wav/d1_speech_7p3s.wav";
/// Longest wait for a recording to begin.
const LIMIT: Duration = Duration::from_secs(30);
/// Size of the header of a recording, in bytes.
const HEADER: u64 = 58;

/// A home with a recording of speech, `said.wav`.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::copy(SPEECH, home.path().join("said.wav")).unwrap();
        Self(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
        let folder = self.path("home");
        command.args(arguments).env("HEARKEN_HOME", folder).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs `hearken listen` with the smallest model.
    fn listen(&self, arguments: &[&str]) -> Output {
        self.run(&[&["listen", "--model", "models/fixture", "--modes", "dialog"], arguments].concat())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails unless the program has refused in one sentence with these words.
fn refused(output: &Output, words: &[&str]) {
    let said = said(output);
    assert!(output.status.code() == Some(2) && output.stdout.is_empty() && said.lines().count() == 1, "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
}

/// Returns the number of bytes of sound that the header of a recording promises.
fn promised(wav: &[u8]) -> u64 {
    u64::from(u32::from_le_bytes(wav[54..58].try_into().unwrap()))
}

#[test]
fn a_recording_replaces_a_file_only_if_that_is_asked() {
    let home = Home::new();
    let notes = home.write("notes.txt", "mine");
    refused(&home.listen(&[SPEECH, "--save-audio", text(&notes)]), &["notes.txt exists already", "--force"]);
    assert_eq!(fs::read_to_string(&notes).unwrap(), "mine");
    refused(&home.run(&["--save-audio", text(&notes)]), &[]);
    assert_eq!(fs::read_to_string(&notes).unwrap(), "mine");
    let output = home.listen(&[SPEECH, "--save-audio", text(&notes), "--force"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let wav = fs::read(&notes).unwrap();
    assert!(wav.starts_with(b"RIFF") && promised(&wav) + HEADER == wav.len() as u64);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(home.path("nowhere.wav"), home.path("link.wav")).unwrap();
        refused(&home.listen(&[SPEECH, "--save-audio", text(&home.path("link.wav"))]), &["link.wav exists already"]);
        assert!(!home.path("nowhere.wav").exists());
    }
}

#[test]
fn a_trace_replaces_files_only_if_that_is_asked() {
    let home = Home::new();
    let out = home.path("out.safetensors");
    let trace =
        |more: &[&str]| home.run(&[&["trace", SPEECH, "--model", "models/fixture", "--path", "live", "--out", text(&out)], more].concat());
    let json = home.write("out.json", "mine");
    refused(&trace(&[]), &["out.json exists already", "--force"]);
    assert!(!out.exists());
    assert_eq!((trace(&["--force"]).status.code(), trace(&["--force"]).status.code()), (Some(0), Some(0)));
    assert_ne!(fs::read_to_string(json).unwrap(), "mine");
}

#[test]
fn sound_that_is_heard_is_never_overwritten_under_any_name() {
    let home = Home::new();
    let wav = home.path("said.wav");
    let list = home.write("list.json", "[\"said.wav\"]");
    let before = fs::read(&wav).unwrap();
    let dotted = home.0.path().join("./said.wav");
    let mut names = vec![wav.clone(), dotted];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&wav, home.path("link.wav")).unwrap();
        fs::hard_link(&wav, home.path("twin.wav")).unwrap();
        names.extend([home.path("link.wav"), home.path("twin.wav")]);
    }
    for name in &names {
        for heard in [&wav, &list] {
            refused(&home.listen(&[text(heard), "--save-audio", text(name), "--force"]), &["--save-audio", "overwritten"]);
        }
    }
    refused(&home.listen(&[text(&list), "--save-audio", text(&list), "--force"]), &["overwritten"]);
    #[cfg(unix)]
    for name in &names {
        let arguments = ["listen", "--model", "models/fixture", "-", "--save-audio", text(name), "--force"];
        let output = home.command(&arguments).stdin(fs::File::open(&wav).unwrap()).output().unwrap();
        refused(&output, &["overwritten"]);
    }
    assert_eq!((fs::read(&wav).unwrap(), fs::read_to_string(&list).unwrap()), (before, "[\"said.wav\"]".into()));
}

#[test]
fn a_start_that_fails_leaves_no_recording_behind() {
    let home = Home::new();
    let out = home.path("out.wav");
    let out = text(&out);
    for arguments in [
        &["listen", "--model", "models/nothing", SPEECH, "--save-audio", out][..],
        &["listen", "--model", "3b", SPEECH, "--save-audio", out],
        &["listen", "--modes", "dance", SPEECH, "--save-audio", out],
        &["listen", "Cargo.toml", "--save-audio", out],
        // A window without a display.
        &["--save-audio", out],
    ] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(!Path::new(out).exists(), "{arguments:?}");
    }
}

/// Starts a recording of a stream of speech that does not end, and waits until there is sound in `out`.
#[cfg(unix)]
fn endless_recording(home: &Home, out: &Path) -> (std::process::Child, std::process::ChildStdin) {
    let arguments = ["listen", "--model", "models/fixture", "--modes", "dialog", "-", "--save-audio", text(out), "--force"];
    let mut child = home.command(&arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut wav = fs::read(SPEECH).unwrap();
    // An unknown length: to the end of the stream.
    let data = wav.windows(4).position(|word| word == b"data").unwrap();
    wav[data + 4..data + 8].fill(0xff);
    stdin.write_all(&wav).unwrap();
    let begun = Instant::now();
    while fs::metadata(out).map_or(0, |about| about.len()) < 100_000 {
        assert!(begun.elapsed() < LIMIT, "no recording");
        std::thread::sleep(Duration::from_millis(20));
    }
    (child, stdin)
}

#[cfg(unix)]
#[test]
fn two_recordings_at_once_cannot_share_a_file() {
    let home = Home::new();
    let out = home.path("out.wav");
    let (mut first, stdin) = endless_recording(&home, &out);
    refused(&home.listen(&[SPEECH, "--save-audio", text(&out), "--force"]), &["out.wav", "another program is writing it"]);
    drop(stdin);
    assert_eq!(first.wait().unwrap().code(), Some(0));
    let wav = fs::read(&out).unwrap();
    assert!(promised(&wav) + HEADER == wav.len() as u64 && wav.len() > 7 * 64_000, "the first recording is whole");
}

#[cfg(unix)]
#[test]
fn a_recording_of_a_program_that_was_killed_is_heard_to_its_end() {
    let home = Home::new();
    let out = home.path("out.wav");
    let (mut child, _stdin) = endless_recording(&home, &out);
    child.kill().unwrap();
    child.wait().unwrap();
    let wav = fs::read(&out).unwrap();
    // At most the chunk that was being written is not in the header.
    assert!(promised(&wav) >= wav.len() as u64 - HEADER - 25_600, "{} of {}", promised(&wav), wav.len());
    let output = home.listen(&["--format", "jsonl", "--gap-secs", "0", text(&out)]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let last = String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned();
    let finished: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert!(finished["audio_secs"].as_f64().unwrap() >= promised(&wav) as f64 / 64_000.0, "{finished}");
}

#[test]
fn an_export_to_an_unknown_kind_of_file_is_refused() {
    let home = Home::new();
    refused(&home.run(&["history", "export", "last", "--out", "a.docx"]), &["a.docx", "txt, md, srt, vtt or jsonl", "--format"]);
}

/// As root the test plays two users whose homes are read-only; else it is one user, twice.
#[cfg(target_os = "linux")]
#[test]
fn users_without_a_writable_home_can_listen_and_do_not_share_files() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let place = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let (program, wav, shared, home) =
        (place.path().join("hearken"), place.path().join("said.wav"), place.path().join("tmp"), place.path().join("home"));
    fs::copy(env!("CARGO_BIN_EXE_hearken"), &program).unwrap();
    fs::copy(SPEECH, &wav).unwrap();
    fs::create_dir(&shared).unwrap();
    fs::create_dir(&home).unwrap();
    mode(place.path(), 0o755);
    mode(&shared, 0o1777);
    mode(&home, 0o555);
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    for user in [65_534, 65_533, 65_534] {
        let mut command = Command::new(&program);
        command.args(["listen", "--modes", "dialog", text(&wav)]).env("HEARKEN_HOME", &home).env("HOME", &home);
        command.env("TMPDIR", &shared).env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null()).current_dir(place.path());
        if is_root {
            command.uid(user).gid(user);
        }
        let output = command.output().unwrap();
        assert!(output.status.code() == Some(0) && !output.stdout.is_empty(), "{}", said(&output));
        assert!(!said(&output).contains("disk"), "{}", said(&output));
    }
    let folders: Vec<_> = fs::read_dir(&shared).unwrap().map(|entry| entry.unwrap().metadata().unwrap()).collect();
    assert_eq!(folders.len(), if is_root { 2 } else { 1 }, "each user has one folder, also at the next start");
    assert!(folders.iter().all(|about| about.mode() & 0o7777 == 0o700));
}
