//! The whole program: a window on a display, a microphone, speech, and exported subtitles.
#![cfg(all(feature = "window", feature = "mic", target_os = "linux"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod inside;
mod program;
mod x11;

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use inside::{LIMIT, in_virtual_mic, play};
use program::{Killed, hearken, hearken_on, home, needs_display_and_voice, spoken, wait_for};
use x11::{CONTROL, RETURN, Server, X11};

/// Time for the model to hear a sentence on a busy machine, and for the window to take a shortcut.
const HEARING_TIME: Duration = Duration::from_secs(4);
const REACTION_TIME: Duration = Duration::from_secs(2);
/// Longest waits for the window and for a file.
const WINDOW_LIMIT: Duration = Duration::from_secs(40);
const FILE_LIMIT: Duration = Duration::from_secs(20);
/// Longest wait for the end of the program.
const END_LIMIT: Duration = Duration::from_secs(15);

/// Settings with which only transcription is on.
const TRANSCRIBING: &str = "modes = [\"transcribe\"]\n[window]\nwelcomed = true\nlanguage = \"en\"\n";

#[test]
fn speech_is_exported_as_subtitles() {
    needs_display_and_voice();
    in_virtual_mic(LIMIT, || {
        speak_and_export();
    });
}

fn speak_and_export() {
    let home = home(TRANSCRIBING);
    let (heard, exported) = (home.path().join("heard.wav"), home.path().join("out.srt"));
    let server = Server::start();
    let mut window = hearken_on(&server, home.path()).arg("--save-audio").arg(&heard).spawn().unwrap();
    let mut x = X11::connect(&server);
    let shown = wait_for(WINDOW_LIMIT, || x.window());
    wait_for(FILE_LIMIT, || heard.exists().then_some(()));
    std::thread::sleep(REACTION_TIME);

    for text in ["good morning", "what is your name", "thank you"] {
        assert!(play(&spoken(home.path(), text)).wait().unwrap().success());
        std::thread::sleep(REACTION_TIME);
    }
    std::thread::sleep(HEARING_TIME);

    x.focus(shown);
    x.press(&[CONTROL, u32::from('e')]);
    std::thread::sleep(REACTION_TIME);
    // Without a desktop there is no file dialog, so that a path can be typed.
    x.press(&[RETURN]);
    std::thread::sleep(REACTION_TIME);
    x.press(&[CONTROL, u32::from('a')]);
    x.type_text(exported.to_str().unwrap());
    x.press(&[RETURN]);
    let subtitles = wait_for(FILE_LIMIT, || std::fs::read_to_string(&exported).ok().filter(|text| !text.is_empty()));
    x.close(shown);
    assert!(ended(&mut window), "closing the window ends Hearken");

    let listened = hearken(home.path()).args(["listen", "--gate", "on", "--modes", "transcribe", "--format", "srt"]).arg(&heard).output();
    let expected = words(&String::from_utf8(listened.unwrap().stdout).unwrap());
    assert!(!expected.is_empty(), "the starter transcribes some of three sentences");
    assert_eq!(words(&subtitles), expected, "window and command line transcribe the same");
}

#[test]
fn loss_of_the_display_loses_no_words_and_the_window_returns() {
    needs_display_and_voice();
    in_virtual_mic(LIMIT, || {
        lose_and_restore_the_display();
    });
}

fn lose_and_restore_the_display() {
    let home = home(TRANSCRIBING);
    let said = home.path().join("stderr");
    let server = Server::start();
    let number = server.number.clone();
    let mut window = Killed(hearken_on(&server, home.path()).stderr(std::fs::File::create(&said).unwrap()).spawn().unwrap());
    wait_for(WINDOW_LIMIT, || X11::connect(&server).window());
    std::thread::sleep(REACTION_TIME);
    let clip = spoken(home.path(), "good morning");
    let speak = || {
        assert!(play(&clip).wait().unwrap().success());
        // The history writes every half second.
        std::thread::sleep(HEARING_TIME + Duration::from_secs(1));
        history_words(home.path())
    };
    let seen = speak();
    assert!(!seen.is_empty(), "the starter transcribes some of the sentence");

    drop(server);
    std::thread::sleep(Duration::from_secs(3));
    assert!(window.0.try_wait().unwrap().is_none(), "Hearken runs without a display: {}", std::fs::read_to_string(&said).unwrap());
    let unseen = speak();
    assert!(unseen.len() > seen.len(), "Hearken listens without a display: {seen:?}, then {unseen:?}");
    let told = std::fs::read_to_string(&said).unwrap();
    assert!(told.contains("The display was lost") && told.contains(&format!("`kill {}`", window.0.id())), "{told}");
    let log = std::fs::read_to_string(home.path().join("data/hearken.log")).unwrap();
    assert!(log.contains("warning display"), "{log}");

    let server = Server::start_at(&number);
    let shown = wait_for(WINDOW_LIMIT, || X11::connect(&server).window());
    std::thread::sleep(REACTION_TIME);
    let again = speak();
    assert!(again.len() > unseen.len(), "Hearken listens with its window again: {unseen:?}, then {again:?}");
    assert_eq!(again[..unseen.len()], unseen[..], "earlier words are kept");
    X11::connect(&server).close(shown);
    assert!(ended(&mut window.0), "closing the window ends Hearken");
}

/// Returns all words of the history, oldest session first.
fn history_words(home: &Path) -> Vec<String> {
    let run = |args: &[&str]| String::from_utf8(hearken(home).arg("history").args(args).output().unwrap().stdout).unwrap();
    let sessions: serde_json::Value = serde_json::from_str(&run(&["list", "--json"])).unwrap();
    let mut ids: Vec<u64> = sessions.as_array().unwrap().iter().map(|session| session["session"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.iter().flat_map(|id| words(&run(&["export", &id.to_string(), "--format", "srt"]))).collect()
}

fn ended(child: &mut Child) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < END_LIMIT {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    false
}

/// Returns the words of SRT subtitles, without numbers and times.
fn words(srt: &str) -> Vec<String> {
    let is_word_line = |line: &&str| !line.is_empty() && !line.contains("-->") && line.parse::<u32>().is_err();
    srt.lines().filter(is_word_line).flat_map(|line| line.split_whitespace().map(str::to_owned)).collect()
}
