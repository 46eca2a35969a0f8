//! The promises of the window, kept by the whole program: a window on a display, a microphone, and speech.
#![cfg(all(feature = "window", feature = "mic", target_os = "linux"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod inside;
mod program;
mod x11;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use inside::{LIMIT, in_virtual_mic, play};
use program::{Killed, hearken, hearken_on, home, needs_display_and_voice, spoken, wait_for};
use x11::{CONTROL, DELETE, RETURN, SHIFT, Server, X11};

/// Time for the window to take a key, and for the model to hear a sentence and the history to store it.
const REACTION_TIME: Duration = Duration::from_secs(2);
const HEARING_TIME: Duration = Duration::from_secs(6);
/// Longest waits for the window and for anything else.
const WINDOW_LIMIT: Duration = Duration::from_secs(40);
const OTHER_LIMIT: Duration = Duration::from_secs(20);

/// Settings of a new user and of one who has consented, without a voice for replies.
const NEW_USER: &str = "[window]\nlanguage = \"en\"\n[voice]\nvoice = \"none\"\n";
const WELCOMED: &str = "[window]\nwelcomed = true\nlanguage = \"en\"\n[voice]\nvoice = \"none\"\n";

#[test]
fn nothing_is_captured_or_kept_before_the_consent() {
    needs_display_and_voice();
    in_virtual_mic(LIMIT, || {
        start_only_after_consent();
    });
}

fn start_only_after_consent() {
    let home = home(NEW_USER);
    let before = recording_streams();
    let (server, mut window) = (Server::start(), None);
    let mut x = open(&home, &server, &mut window);
    let shown = wait_for(WINDOW_LIMIT, || x.window());
    speak(home.path(), "good morning");
    assert_eq!(recording_streams(), before, "no input is open");
    assert_eq!(history(home.path()), "", "nothing is kept");

    x.focus(shown);
    x.press(&[RETURN]);
    wait_for(OTHER_LIMIT, || (recording_streams() == before + 1).then_some(()));
    speak(home.path(), "good morning");
    assert!(history(home.path()).contains("morning"), "what is said after the consent is heard: {:?}", history(home.path()));
    assert!(std::fs::read_to_string(home.path().join("config/settings.toml")).unwrap().contains("welcomed = true"));
}

#[test]
fn a_deleted_conversation_is_gone_from_the_disk() {
    needs_display_and_voice();
    in_virtual_mic(LIMIT, || {
        delete_conversation();
    });
}

fn delete_conversation() {
    let home = home(WELCOMED);
    let (server, mut window) = (Server::start(), None);
    let mut x = open(&home, &server, &mut window);
    let shown = wait_for(WINDOW_LIMIT, || x.window());
    std::thread::sleep(REACTION_TIME);
    speak(home.path(), "good morning");
    assert!(history(home.path()).contains("morning"), "{:?}", history(home.path()));
    x.focus(shown);
    x.press(&[CONTROL, SHIFT, DELETE]);
    std::thread::sleep(REACTION_TIME);
    assert!(history(home.path()).contains("morning"), "it can still be undone");
    x.close(shown);
    let mut child = window.unwrap();
    wait_for(OTHER_LIMIT, || child.0.try_wait().unwrap());
    assert_eq!(history(home.path()), "", "closing the window carries the deletion out");
    let stored = std::fs::read(home.path().join("data/history.db")).unwrap();
    assert!(!stored.windows(7).any(|bytes| bytes == b"morning"), "the words are overwritten");
}

#[test]
fn without_a_microphone_the_loudspeaker_is_not_listened_to() {
    needs_display_and_voice();
    in_virtual_mic(LIMIT, || {
        play_without_microphone();
    });
}

fn play_without_microphone() {
    let home = home(WELCOMED);
    let modules = pactl(&["list", "short", "modules"]);
    let module = modules.lines().find(|line| line.contains("source_name=vmic")).and_then(|line| line.split_whitespace().next());
    pactl(&["unload-module", module.unwrap()]);
    pactl(&["set-default-source", "vspeaker.monitor"]);
    let before = recording_streams();
    let (server, mut window) = (Server::start(), None);
    let mut x = open(&home, &server, &mut window);
    wait_for(WINDOW_LIMIT, || x.window());
    let clip = spoken(home.path(), "good morning");
    assert!(Command::new("paplay").arg("--device=vspeaker").arg(&clip).status().unwrap().success());
    std::thread::sleep(HEARING_TIME);
    assert_eq!((recording_streams(), history(home.path())), (before, String::new()), "what the computer plays is nobody's speech");
    assert!(window.unwrap().0.try_wait().unwrap().is_none(), "the window is open");
}

/// Starts Hearken on the server's display and connects to the server.
fn open(home: &tempfile::TempDir, server: &Server, window: &mut Option<Killed>) -> X11 {
    let child = hearken_on(server, home.path()).spawn().unwrap();
    *window = Some(Killed(child));
    X11::connect(server)
}

/// Says `text` into the microphone, and waits until it could have been heard and stored.
fn speak(home: &Path, text: &str) {
    assert!(play(&spoken(home, text)).wait().unwrap().success());
    std::thread::sleep(HEARING_TIME);
}

/// Returns the text of the newest session; empty without one.
fn history(home: &Path) -> String {
    let shown = hearken(home).args(["history", "show", "last"]).output().unwrap();
    String::from_utf8(shown.stdout).unwrap()
}

fn pactl(args: &[&str]) -> String {
    String::from_utf8(Command::new("pactl").args(args).output().unwrap().stdout).unwrap()
}

/// Returns the number of streams that record from a source.
fn recording_streams() -> usize {
    pactl(&["list", "short", "source-outputs"]).lines().count()
}
