//! Audio files that are dropped on the window, or chosen, are heard beside the live session, with the starter.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod inside;
mod window_bench;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use hearken::config::Paths;
use hearken::history::{SessionSummary, Store};
use hearken::ui::{FileAnswer, FileQuestion};
use inside::needs;
use window_bench::{Bench, open, open_with};

const WIDE: [f32; 2] = [1_200.0, 760.0];
/// Longest wait for the starter on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// A sentence of which the starter recognises words.
const SPOKEN: &str = "what is your name";

/// A file in the hands of the desktop.
#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

fn drop_files(bench: &mut Bench, paths: &[PathBuf]) {
    bench.harness.input_mut().dropped_files.extend(paths.iter().map(|path| Arc::new(Dropped(path.clone())) as egui::DroppedFileHandle));
    bench.settle();
}

fn wait(bench: &mut Bench, what: &str, is_it: impl Fn(&Bench) -> bool) {
    let begun = Instant::now();
    while !is_it(bench) {
        assert!(begun.elapsed() < LIMIT, "{what}: {:?}", bench.values());
        std::thread::sleep(Duration::from_millis(20));
        bench.settle();
    }
}

fn sessions(bench: &Bench) -> Vec<SessionSummary> {
    let store = Store::read(&Paths::inside(bench.home.path()).history_file()).ok().flatten();
    store.and_then(|store| store.sessions().ok()).unwrap_or_default()
}

fn button(bench: &mut Bench, label: &str) {
    bench.harness.get_by_role_and_label(Role::Button, label).click_accesskit();
    bench.settle();
}

/// Speaks the sentence `times` times into the file `name` in the home of `bench`, and returns its path.
fn recording(bench: &Bench, name: &str, times: usize) -> PathBuf {
    needs("espeak-ng", "espeak-ng");
    let clip = bench.home.path().join("clip.wav");
    assert!(Command::new("espeak-ng").args(["-v", "en-us", "-s", "150", "-w"]).arg(&clip).arg(SPOKEN).status().unwrap().success());
    let mut spoken = hound::WavReader::open(&clip).unwrap();
    let samples: Vec<i16> = spoken.samples::<i16>().map(Result::unwrap).collect();
    let path = bench.home.path().join(name);
    let mut out = hound::WavWriter::create(&path, spoken.spec()).unwrap();
    for _ in 0..times {
        samples.iter().for_each(|sample| out.write_sample(*sample).unwrap());
        // A pause ends the utterance.
        (0..2 * spoken.spec().sample_rate).for_each(|_| out.write_sample(0_i16).unwrap());
    }
    out.finalize().unwrap();
    path
}

/// Returns the words in the history of the session of the file `name`.
fn words_of(bench: &Bench, name: &str) -> Vec<String> {
    let store = Store::read(&Paths::inside(bench.home.path()).history_file()).unwrap().unwrap();
    let session = store.sessions().unwrap().into_iter().find(|session| session.name == name).expect("a session of the file");
    store.open_session(session.id).unwrap().unwrap().transcript.utterances.into_iter().map(|line| line.text).collect()
}

#[test]
fn a_dropped_recording_is_heard_in_a_sheet_and_kept_under_its_name() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "live words", None);
    let talk = recording(&bench, "talk.wav", 2);
    drop_files(&mut bench, std::slice::from_ref(&talk));
    wait(&mut bench, "the sheet", |bench| bench.shows("talk.wav") && bench.shows("Copy"));
    wait(&mut bench, "the end", |bench| bench.shows("heard to the end"));
    assert!(bench.shows(" of 0:0"), "time heard of the length: {:?}", bench.values());
    let words = words_of(&bench, "talk.wav");
    assert!(!words.is_empty() && words.iter().all(|words| bench.shows(words)), "{words:?} in {:?}", bench.values());
    bench.press(Modifiers::NONE, Key::Escape);
    assert!(bench.shows("live words") && !words.iter().any(|words| bench.shows(words)), "the live conversation is unchanged");
    assert_eq!(bench.sent(), None, "the live session is told nothing");
    let store = Store::read(&Paths::inside(bench.home.path()).history_file()).unwrap().unwrap();
    let id = sessions(&bench).iter().find(|session| session.name == "talk.wav").unwrap().id;
    let stored = store.open_session(id).unwrap().unwrap();
    assert_eq!(stored.clock.ms(stored.transcript.utterances[0].from), None, "times are those in the file");
    assert!(!Paths::inside(bench.home.path()).recordings().exists(), "no sound is copied");
}

#[test]
fn each_file_without_sound_gives_one_message_with_its_name() {
    let mut bench = open(WIDE);
    let (notes, folder) = (bench.home.path().join("notes.txt"), bench.home.path().join("holiday"));
    std::fs::write(&notes, "milk, bread").unwrap();
    std::fs::create_dir(&folder).unwrap();
    let gone = bench.home.path().join("gone.wav");
    drop_files(&mut bench, &[notes, folder, gone]);
    for (name, why) in [("notes.txt", "it is a text"), ("holiday", "this is a folder"), ("gone.wav", "no such file")] {
        wait(&mut bench, name, |bench| bench.shows(&format!("Can't listen to “{name}”")));
        assert!(bench.shows(why), "{name}: {:?}", bench.values());
    }
    assert!(!bench.shows("What is heard appears here.") && sessions(&bench).is_empty());
}

#[test]
fn a_stopped_recording_keeps_what_was_heard_and_drops_those_that_wait() {
    let mut bench = open(WIDE);
    let (long, next) = (recording(&bench, "long.wav", 200), recording(&bench, "next.wav", 1));
    drop_files(&mut bench, &[long, next]);
    wait(&mut bench, "progress", |bench| bench.shows("1 more waits: next.wav") && bench.shows("Stop"));
    wait(&mut bench, "words", |bench| sessions(bench).iter().any(|session| session.name == "long.wav"));
    button(&mut bench, "Stop");
    wait(&mut bench, "the end", |bench| bench.shows("stopped"));
    assert!(!bench.shows("more waits") && !bench.shows("heard to the end"));
    let stored = sessions(&bench);
    assert!(stored.len() == 1 && !words_of(&bench, "long.wav").is_empty(), "{stored:?}");
}

#[test]
fn listening_goes_on_without_the_sheet_and_the_bar_brings_it_back() {
    let mut bench = open(WIDE);
    let long = recording(&bench, "long.wav", 200);
    drop_files(&mut bench, &[long]);
    wait(&mut bench, "the sheet", |bench| bench.shows("Export this transcript") || bench.shows("Export…"));
    bench.press(Modifiers::NONE, Key::Escape);
    assert!(!bench.shows("Export…") && bench.shows(" % long.wav"), "{:?}", bench.values());
    bench.harness.get_all_by_role(Role::Button).find(|node| format!("{node:?}").contains(" % long.wav")).unwrap().click_accesskit();
    bench.settle();
    assert!(bench.shows("Export…"), "{:?}", bench.values());
    wait(&mut bench, "words", |bench| bench.shows(SPOKEN));
    bench.press(Modifiers::NONE, Key::Escape);
    let home = std::mem::replace(&mut bench.home, tempfile::tempdir().unwrap());
    let begun = Instant::now();
    drop(bench);
    assert!(begun.elapsed() < Duration::from_secs(10), "closing the window ends the recording: {:?}", begun.elapsed());
    let store = Store::read(&Paths::inside(home.path()).history_file()).unwrap().unwrap();
    assert!(
        store.sessions().unwrap().iter().any(|session| session.name == "long.wav" && session.first == SPOKEN),
        "what was heard is kept"
    );
}

#[test]
fn the_end_is_told_while_the_sheet_is_closed_and_opens_the_transcript() {
    let mut bench = open(WIDE);
    let (one, two) = (recording(&bench, "one.wav", 3), recording(&bench, "two.wav", 3));
    drop_files(&mut bench, &[one, two]);
    wait(&mut bench, "the sheet", |bench| bench.shows("Export…"));
    bench.press(Modifiers::NONE, Key::Escape);
    wait(&mut bench, "the ends", |bench| bench.shows("two.wav: ") && bench.shows("s heard"));
    bench.harness.get_all_by_role_and_label(Role::Button, "Open").last().unwrap().click_accesskit();
    bench.settle();
    assert!(bench.shows("heard to the end") && bench.shows("Recording that is shown"), "{:?}", bench.values());
}

#[test]
fn the_sheet_says_that_nothing_is_saved_while_the_history_is_off() {
    let mut bench = open_with(WIDE, "[window]\nwelcomed = true\nlanguage = \"en\"\n[history]\nkeep = false\n");
    let talk = recording(&bench, "talk.wav", 1);
    drop_files(&mut bench, &[talk]);
    wait(&mut bench, "the end", |bench| bench.shows("heard to the end"));
    assert!(bench.shows("this transcript is not saved") && sessions(&bench).is_empty());
    button(&mut bench, "Export…");
    bench.harness.get_by_role_and_label(Role::Button, "Copy to clipboard").click_accesskit();
    bench.settle();
    assert!(bench.shows("Copied"), "{:?}", bench.values());
}

#[test]
fn files_are_chosen_in_the_dialog_of_the_system() {
    let mut bench = open(WIDE);
    bench.press(Modifiers::COMMAND, Key::O);
    assert!(bench.shows("This desktop has no file dialog."), "{:?}", bench.values());
    let talk = recording(&bench, "talk.wav", 1);
    let app = bench.harness.state_mut().as_mut().unwrap();
    app.answer_file_dialogs(move |question| {
        assert_eq!(*question, FileQuestion::Recordings);
        FileAnswer::ChosenFiles(vec![talk.clone()])
    });
    bench.press(Modifiers::COMMAND, Key::O);
    wait(&mut bench, "the end", |bench| bench.shows("heard to the end"));
}

#[test]
fn a_file_dropped_on_the_field_of_a_clip_becomes_the_clip() {
    let mut bench = open(WIDE);
    bench.press(Modifiers::COMMAND, Key::Comma);
    bench.harness.get_all_by_role_and_label(Role::Button, "Modes").last().unwrap().click_accesskit();
    bench.harness.run_steps(6);
    bench.harness.get_by_role_and_label(Role::TextInput, "Spoken version (optional)").scroll_to_me();
    bench.harness.run_steps(6);
    drop_files(&mut bench, &["/clips/kettle.wav".into()]);
    assert!(bench.shows("/clips/kettle.wav") && !bench.shows("Can't listen"), "{:?}", bench.values());
    bench.press(Modifiers::NONE, Key::Escape);
    drop_files(&mut bench, &["/clips/kettle.wav".into()]);
    wait(&mut bench, "a message", |bench| bench.shows("Can't listen to “kettle.wav”"));
}

#[test]
fn nothing_is_heard_before_the_first_card_and_without_a_mode() {
    let mut bench = open_with(WIDE, "[window]\nlanguage = \"en\"\n");
    let talk = recording(&bench, "talk.wav", 1);
    drop_files(&mut bench, std::slice::from_ref(&talk));
    assert!(bench.shows("Choose “Start listening” or “Not now” first"), "{:?}", bench.values());
    let mut bench = open(WIDE);
    bench.report(hearken::protocol::Event::ModesChanged { at: window_bench::at(1), modes: Vec::new() });
    drop_files(&mut bench, &[talk]);
    assert!(bench.shows("Can't listen to “talk.wav”") && bench.shows("Turn on Transcribe"), "{:?}", bench.values());
}

#[test]
fn deleting_everything_takes_the_words_of_recordings_too() {
    let mut bench = open(WIDE);
    let talk = recording(&bench, "talk.wav", 1);
    drop_files(&mut bench, &[talk]);
    wait(&mut bench, "the end", |bench| bench.shows("heard to the end"));
    assert_eq!(sessions(&bench).len(), 1);
    bench.press(Modifiers::COMMAND, Key::F);
    button(&mut bench, "Delete everything…");
    std::thread::sleep(Duration::from_millis(700));
    bench.settle();
    button(&mut bench, "Delete everything");
    wait(&mut bench, "deleted", |bench| sessions(bench).is_empty());
    wait(&mut bench, "gone", |bench| !bench.shows("talk.wav") && !bench.shows(SPOKEN));
}
