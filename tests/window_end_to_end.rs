//! The whole program as a person has it: a window on a display, a microphone, speech, and a file of subtitles at the end.
#![cfg(all(feature = "window", feature = "mic", target_os = "linux"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod inside;
mod x11;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use inside::{inside, needs, play, run_inside};
use x11::{CONTROL, RETURN, Server, X11};

#[test]
fn what_is_spoken_stands_in_the_subtitles_that_the_window_exports() {
    run_with_window("inner_speech_to_subtitles");
}

#[test]
fn inner_speech_to_subtitles() {
    if !inside() {
        return;
    }
    let home = home_of_one_who_transcribes();
    let (heard, exported) = (home.path().join("heard.wav"), home.path().join("out.srt"));
    let server = Server::start();
    let mut window = hearken(home.path()).env("DISPLAY", format!(":{}", server.number)).arg("--save-audio").arg(&heard).spawn().unwrap();
    let mut x = X11::connect(&server);
    let shown = wait_for(Duration::from_secs(40), || x.window());
    wait_for(Duration::from_secs(20), || heard.exists().then_some(()));
    std::thread::sleep(Duration::from_secs(2));

    for text in ["good morning", "what is your name", "thank you"] {
        assert!(play(&spoken(home.path(), text)).wait().unwrap().success());
        std::thread::sleep(Duration::from_secs(2));
    }
    // The model is given the time that it needs on a machine that does other things as well.
    std::thread::sleep(Duration::from_secs(4));

    x.focus(shown);
    x.press(&[CONTROL, u32::from('e')]);
    std::thread::sleep(Duration::from_secs(2));
    x.press(&[CONTROL, u32::from('a')]);
    x.type_text(exported.to_str().unwrap());
    x.press(&[RETURN]);
    let subtitles = wait_for(Duration::from_secs(20), || std::fs::read_to_string(&exported).ok().filter(|text| !text.is_empty()));
    x.close(shown);
    assert!(ended(&mut window), "closing the window ends Hearken");

    let listened = hearken(home.path()).args(["listen", "--gate", "on", "--modes", "transcribe", "--format", "srt"]).arg(&heard).output();
    let expected = words(&String::from_utf8(listened.unwrap().stdout).unwrap());
    println!("{expected:?}");
    assert!(!expected.is_empty(), "the starter writes something down of three sentences");
    assert_eq!(words(&subtitles), expected, "the window hears what the command line hears");
}

#[test]
fn a_display_that_goes_away_costs_no_word_and_the_window_comes_back_with_it() {
    run_with_window("inner_display_goes_away");
}

#[test]
fn inner_display_goes_away() {
    if !inside() {
        return;
    }
    let home = home_of_one_who_transcribes();
    let said = home.path().join("stderr");
    let server = Server::start();
    let number = server.number.clone();
    let mut command = hearken(home.path());
    command.env("DISPLAY", format!(":{number}")).stderr(std::fs::File::create(&said).unwrap());
    let mut window = Killed(command.spawn().unwrap());
    wait_for(Duration::from_secs(40), || X11::connect(&server).window());
    std::thread::sleep(Duration::from_secs(2));
    let clip = spoken(home.path(), "good morning");
    let speak = || {
        assert!(play(&clip).wait().unwrap().success());
        // The model is given the time that it needs, and the history its half second.
        std::thread::sleep(Duration::from_secs(5));
        kept(home.path())
    };
    let seen = speak();
    assert!(!seen.is_empty(), "the starter writes something down of a sentence");

    drop(server);
    std::thread::sleep(Duration::from_secs(3));
    assert!(window.0.try_wait().unwrap().is_none(), "it lives without a display: {}", std::fs::read_to_string(&said).unwrap());
    let unseen = speak();
    assert!(unseen.len() > seen.len(), "it listens without a display: {seen:?}, then {unseen:?}");
    let told = std::fs::read_to_string(&said).unwrap();
    assert!(told.contains("The display is gone") && told.contains(&format!("`kill {}`", window.0.id())), "{told}");
    let log = std::fs::read_to_string(home.path().join("data/hearken.log")).unwrap();
    assert!(log.contains("warning display"), "{log}");

    let server = Server::start_at(&number);
    let shown = wait_for(Duration::from_secs(40), || X11::connect(&server).window());
    std::thread::sleep(Duration::from_secs(2));
    let again = speak();
    assert!(again.len() > unseen.len(), "it listens with its window again: {unseen:?}, then {again:?}");
    assert_eq!(again[..unseen.len()], unseen[..], "and nothing of before is lost");
    X11::connect(&server).close(shown);
    assert!(ended(&mut window.0), "closing the window ends Hearken");
}

/// Runs the inner test `name` where there are a display, a voice and a microphone.
fn run_with_window(name: &str) {
    needs("Xvfb", "xvfb libgl1 libegl1 libgl1-mesa-dri libxkbcommon-x11-0");
    needs("espeak-ng", "espeak-ng");
    run_inside(name);
}

fn home_of_one_who_transcribes() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("settings.toml"), "modes = [\"transcribe\"]\n[window]\nwelcomed = true\nlanguage = \"en\"\n").unwrap();
    home
}

/// A sound file in which a voice says `text`.
fn spoken(folder: &Path, text: &str) -> PathBuf {
    let clip = folder.join("said.wav");
    assert!(Command::new("espeak-ng").args(["-v", "en-gb", "-s", "140", "-w"]).arg(&clip).arg(text).status().unwrap().success());
    clip
}

/// A process that does not outlive the test, which one without a window would.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every word that the history has of every session, the oldest first.
fn kept(home: &Path) -> Vec<String> {
    let run = |args: &[&str]| String::from_utf8(hearken(home).arg("history").args(args).output().unwrap().stdout).unwrap();
    let sessions: serde_json::Value = serde_json::from_str(&run(&["list", "--json"])).unwrap();
    let mut ids: Vec<u64> = sessions.as_array().unwrap().iter().map(|session| session["session"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.iter().flat_map(|id| words(&run(&["export", &id.to_string(), "--format", "srt"]))).collect()
}

fn hearken(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
    command.env("HEARKEN_HOME", home).env("HOME", home).env_remove("WAYLAND_DISPLAY");
    command
}

fn wait_for<T>(limit: Duration, mut what: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn ended(child: &mut Child) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(15) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    false
}

/// The words of subtitles, without their numbers and times.
fn words(srt: &str) -> Vec<String> {
    let is_word_line = |line: &&str| !line.is_empty() && !line.contains("-->") && line.parse::<u32>().is_err();
    srt.lines().filter(is_word_line).flat_map(|line| line.split_whitespace().map(str::to_owned)).collect()
}
