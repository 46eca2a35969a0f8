//! A session that hears a file beside another one: both hear what they hear alone, and the other one comes first.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use hearken::audio::scripted::{ScriptStep, ScriptedSource};
use hearken::config::{Cli, FileSpeed, Paths, Request, Settings, Stdout};
use hearken::engine::{EngineHandle, start, start_hearing};
use hearken::error::ErrorKind;
use hearken::protocol::{Command, Event};

/// Longest wait for a session on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

fn golden(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wav").join(name).display().to_string()
}

/// Returns the settings of `hearken listen FILE` with transcription and dialog, in the home `home`.
fn settings(home: &Path, file: &str) -> Settings {
    let typed = ["hearken", "listen", "--modes", "dialog,transcribe", file];
    match Cli::try_parse_from(typed).unwrap().request(&Paths::inside(home), Stdout::Redirected).unwrap() {
        Request::Listen { settings, .. } => *settings,
        other => panic!("{other:?}"),
    }
}

/// Returns all events of a session up to its end.
fn events(engine: &EngineHandle) -> Vec<Event> {
    engine.events().iter().collect()
}

/// Starts a session that has something to compute without a pause, for longer than a test of another session takes to begin.
fn busy_session(home: &Path, secs: usize) -> EngineHandle {
    let noise: Vec<f32> = (0..secs * 16_000).map(|n| ((n * n % 1_009) as f32 / 1_009.0 - 0.5) * 0.2).collect();
    let source = ScriptedSource::new("a room", [ScriptStep::Samples(noise)]);
    start_hearing(settings(home, &golden("d1_speech_7p3s.wav")), Box::new(source), FileSpeed::Unthrottled).unwrap()
}

#[test]
fn a_file_is_heard_beside_a_session_as_it_is_alone() {
    let home = tempfile::tempdir().unwrap();
    let file = golden("d1_speech_7p3s.wav");
    let alone = events(&start(settings(home.path(), &file)).unwrap());
    let room = busy_session(home.path(), 4);
    let beside = room.starter_beside()(settings(home.path(), &file)).unwrap();
    let (told, length) = (events(&beside), beside.meters().read().length_secs.unwrap());
    assert_eq!(told, alone);
    assert!((length - 7.3).abs() < 0.1 && beside.meters().read().heard.secs() >= length);
    assert!(matches!(events(&room).last(), Some(Event::SessionFinished { problems: 0, .. })));
}

#[test]
fn the_other_session_comes_first_and_commands_are_obeyed_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let room = busy_session(home.path(), 60);
    let beside = room.starter_beside()(settings(home.path(), &golden("d3_mixed_60s.wav"))).unwrap();
    while room.meters().read().heard.secs() < 8.0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    // A session takes up the sound of its first moments while the other one waits for its source.
    let heard = beside.meters().read().heard.secs();
    assert!(heard < 2.0, "the busy session heard 8 s, the other one {heard} s");
    beside.send(Command::Shutdown);
    let begun = Instant::now();
    assert!(matches!(events(&beside).last(), Some(Event::SessionFinished { .. })));
    assert!(begun.elapsed() < Duration::from_secs(2) && room.meters().read().busy, "{:?}", begun.elapsed());
}

#[test]
fn a_file_goes_on_once_the_other_session_has_nothing_to_compute() {
    let home = tempfile::tempdir().unwrap();
    let room = busy_session(home.path(), 8);
    let beside = room.starter_beside()(settings(home.path(), &golden("d1_speech_7p3s.wav"))).unwrap();
    assert!(matches!(events(&room).last(), Some(Event::SessionFinished { .. })));
    let begun = Instant::now();
    assert!(matches!(events(&beside).last(), Some(Event::SessionFinished { problems: 0, .. })));
    assert!(begun.elapsed() < LIMIT && !room.meters().read().busy && !beside.meters().read().busy);
}

#[test]
fn a_file_that_is_no_sound_is_refused_and_the_other_session_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let text = home.path().join("notes.txt");
    std::fs::write(&text, "milk, bread").unwrap();
    let room = busy_session(home.path(), 1);
    let refused = room.starter_beside()(settings(home.path(), text.to_str().unwrap()));
    assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::AudioFile));
    assert!(matches!(events(&room).last(), Some(Event::SessionFinished { problems: 0, .. })));
}
