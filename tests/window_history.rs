//! The history in the window: stored while listening, searched, opened, renamed, exported and deleted.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use std::time::{Duration, Instant};

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use hearken::config::Paths;
use hearken::history::Store;
use hearken::protocol::{Command, Emotion, Event, ReplyId};
use window_bench::{Bench, at, open, open_with};

const WIDE: [f32; 2] = [1_200.0, 760.0];

fn wait(bench: &mut Bench, what: &str, is_it: impl Fn(&Bench) -> bool) {
    let begun = Instant::now();
    while !is_it(bench) {
        assert!(begun.elapsed() < Duration::from_secs(15), "{what}: {:?}", bench.values());
        std::thread::sleep(Duration::from_millis(40));
        bench.settle();
    }
}

fn sessions(bench: &Bench) -> Vec<hearken::history::SessionSummary> {
    let store = Store::read(&Paths::inside(bench.home.path()).history_file()).ok().flatten();
    store.and_then(|store| store.sessions().ok()).unwrap_or_default()
}

/// Reports some speech, waits until it is stored, and opens the history.
fn with_history(bench: &mut Bench) {
    bench.reply("transcribe", 2, "good morning", None);
    bench.reply("dialog", 4, "Good morning to you.", Some(Emotion::Happy));
    bench.report(Event::Sound { at: at(9), reply: ReplyId(9), name: "dog bark".into(), count: 2 });
    wait(bench, "kept", |bench| !sessions(bench).is_empty());
    bench.press(Modifiers::COMMAND, Key::F);
    wait(bench, "listed", |bench| bench.harness.query_all_by_role(Role::Button).any(|n| label_of(&n).ends_with("good morning")));
}

fn label_of(node: &egui_kittest::Node<'_>) -> String {
    node.accesskit_node().label().unwrap_or_default()
}

/// Clicks the button whose name ends with `end`.
fn click_ending(bench: &mut Bench, end: &str) {
    let found = bench.harness.query_all_by_role(Role::Button).find(|n| label_of(n).ends_with(end));
    found.unwrap_or_else(|| panic!("no button ends in {end:?}")).click_accesskit();
    bench.settle();
}

/// Chooses a section of the open settings.
fn section(bench: &mut Bench, name: &str) {
    bench.harness.query_all_by_role_and_label(Role::Button, name).last().unwrap().click_accesskit();
    bench.harness.run_steps(6);
}

fn button(bench: &mut Bench, label: &str) {
    bench.harness.get_by_role_and_label(Role::Button, label).click_accesskit();
    bench.settle();
}

/// Clicks the button of the question before a deletion, once it can be clicked.
fn confirm(bench: &mut Bench, label: &str) {
    let danger = |bench: &Bench| {
        let keep: Vec<_> = bench.harness.query_all_by_role_and_label(Role::Button, "Cancel").map(|button| button.rect()).collect();
        let beside = |at: egui::Rect| keep.iter().any(|keep| (at.center().y - keep.center().y).abs() < 2.0);
        let mut buttons = bench.harness.query_all_by_role_and_label(Role::Button, label);
        buttons.find(|button| beside(button.rect())).map(|button| (button.rect().center(), button.accesskit_node().is_disabled()))
    };
    wait(bench, "enabled", |bench| danger(bench).is_some_and(|(_, disabled)| !disabled));
    let (at, _) = danger(bench).unwrap();
    click_at(bench, at);
    bench.settle();
}

/// Clicks with the mouse, in one frame.
fn click_at(bench: &mut Bench, at: egui::Pos2) {
    bench.harness.hover_at(at);
    bench.harness.step();
    for pressed in [true, false] {
        let (button, modifiers) = (egui::PointerButton::Primary, Modifiers::NONE);
        bench.harness.event(egui::Event::PointerButton { pos: at, button, pressed, modifiers });
    }
    bench.harness.step();
}

#[test]
fn a_double_click_deletes_nothing() {
    for opener in ["Delete", "Delete the last 10 minutes…", "Delete everything…"] {
        let mut bench = open(WIDE);
        with_history(&mut bench);
        click_ending(&mut bench, "good morning");
        wait(&mut bench, "opened", |bench| bench.shows("Rename"));
        let at = bench.harness.get_by_role_and_label(Role::Button, opener).rect().center();
        for _ in 0..3 {
            click_at(&mut bench, at);
        }
        bench.settle();
        let cancel = bench.harness.get_by_role_and_label(Role::Button, "Cancel");
        assert!(cancel.accesskit_node().is_focused(), "{opener}: the safe button has the focus");
        bench.press(Modifiers::NONE, Key::Escape);
        assert!(!bench.shows("can't be undone") && bench.shows("Rename"), "{opener}: Esc closes the question only");
        std::thread::sleep(Duration::from_millis(600));
        assert!(sessions(&bench).len() == 1 && bench.shows("good morning"), "{opener}");
        assert_eq!(bench.sent(), None, "{opener}");
    }
}

#[test]
fn sessions_are_stored_listed_searched_and_opened() {
    let mut bench = open(WIDE);
    with_history(&mut bench);
    bench.type_into("Search", "MORNING to");
    wait(&mut bench, "found", |bench| {
        bench.harness.query_all_by_role(Role::Button).any(|n| label_of(&n).ends_with("Good morning to you."))
    });
    click_ending(&mut bench, "Good morning to you.");
    wait(&mut bench, "opened", |bench| bench.shows("Rename") && bench.shows("dog bark ×2"));
    bench.type_into("Search", " nobody said this");
    wait(&mut bench, "nothing found", |bench| bench.shows("No matches."));
    bench.press(Modifiers::NONE, Key::Escape);
    assert!(!bench.shows("No matches."));
}

#[test]
fn words_apart_are_found_without_accents_and_the_hit_says_when() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "We met at the café near the old bridge", None);
    bench.reply("dialog", 4, "How nice.", Some(Emotion::Happy));
    wait(&mut bench, "kept", |bench| !sessions(bench).is_empty());
    bench.press(Modifiers::COMMAND, Key::F);
    wait(&mut bench, "listed", |bench| bench.shows("Today") && bench.shows("1 reply"));
    bench.type_into("Search", "BRIDGE cafe");
    wait(&mut bench, "found", |bench| bench.shows("1 match"));
    let hit = bench.harness.query_all_by_role(Role::Button).map(|n| label_of(&n)).find(|label| label.contains("café")).unwrap();
    assert!(hit.contains(" · Transcript\n"), "{hit}");
    click_ending(&mut bench, "old bridge");
    wait(&mut bench, "opened", |bench| bench.shows("Rename"));
    bench.harness.query_all_by_role_and_label(Role::Button, "Copy").last().unwrap().click_accesskit();
    let copied = (0..3).any(|_| {
        bench.harness.step();
        let commands = &bench.harness.output().platform_output.commands;
        commands.iter().any(|command| matches!(command, egui::OutputCommand::CopyText(text) if text.contains("We met at the café")))
    });
    assert!(copied, "{:?}", bench.values());
}

#[test]
fn a_session_is_renamed_exported_and_deleted() {
    let mut bench = open(WIDE);
    with_history(&mut bench);
    click_ending(&mut bench, "good morning");
    wait(&mut bench, "opened", |bench| bench.shows("Rename"));
    button(&mut bench, "Rename");
    bench.type_into("Name of the session", "breakfast");
    button(&mut bench, "Save");
    wait(&mut bench, "renamed", |bench| sessions(bench).iter().any(|s| s.name == "breakfast") && bench.shows("breakfast"));

    let file = bench.home.path().join("out.jsonl");
    std::fs::write(&file, "mine").unwrap();
    click_ending(&mut bench, "good morning");
    wait(&mut bench, "opened", |bench| bench.shows("Rename"));
    bench.harness.query_all_by_role_and_label(Role::Button, "Export").last().unwrap().click_accesskit();
    bench.settle();
    button(&mut bench, "Save as…");
    bench.harness.get_by_role_and_label(Role::TextInput, "File").focus();
    bench.settle();
    bench.press(Modifiers::COMMAND, Key::A);
    bench.type_into("File", file.to_str().unwrap());
    button(&mut bench, "Save");
    wait(&mut bench, "warned", |bench| bench.shows("A file with this name already exists."));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    button(&mut bench, "Replace");
    wait(&mut bench, "saved", |bench| bench.shows("Saved: "));
    let lines = std::fs::read_to_string(&file).unwrap();
    assert!(lines.lines().all(|line| serde_json::from_str::<Event>(line).is_ok()) && lines.contains("good morning"), "{lines}");

    button(&mut bench, "Delete");
    assert_eq!(sessions(&bench).len(), 1, "a deletion needs a confirmation");
    confirm(&mut bench, "Delete");
    wait(&mut bench, "deleted", |bench| sessions(bench).iter().all(|s| s.name != "breakfast"));
}

#[test]
fn the_last_ten_minutes_are_deleted_from_disk_screen_and_context() {
    let mut bench = open(WIDE);
    with_history(&mut bench);
    button(&mut bench, "Delete the last 10 minutes…");
    confirm(&mut bench, "Delete");
    assert!(bench.commands.try_iter().any(|command| command == Command::Forget));
    wait(&mut bench, "forgotten", |bench| bench.shows("Last 10 minutes deleted.") && sessions(bench).is_empty());
    wait(&mut bench, "gone from the screen", |bench| bench.harness.query_all_by_label_contains("good morning").count() == 0);
}

#[test]
fn everything_can_be_deleted_and_later_speech_is_stored() {
    let mut bench = open(WIDE);
    with_history(&mut bench);
    button(&mut bench, "Delete everything…");
    button(&mut bench, "Cancel");
    assert_eq!(sessions(&bench).len(), 1);
    button(&mut bench, "Delete everything…");
    confirm(&mut bench, "Delete everything");
    wait(&mut bench, "deleted", |bench| bench.shows("Everything deleted.") && sessions(bench).is_empty());
    bench.reply("transcribe", 50, "and on it goes", None);
    wait(&mut bench, "kept again", |bench| sessions(bench).iter().any(|s| s.first.contains("and on it goes")));
}

#[test]
fn a_history_that_is_off_stores_nothing_until_switched_on() {
    let mut bench = open_with(WIDE, "[window]\nwelcomed = true\nlanguage = \"en\"\n[history]\nkeep = false\n");
    assert!(bench.shows("History off"));
    bench.reply("transcribe", 2, "a secret", None);
    std::thread::sleep(Duration::from_millis(1_200));
    assert!(sessions(&bench).is_empty());
    bench.press(Modifiers::COMMAND, Key::Comma);
    bench.harness.run_steps(10);
    section(&mut bench, "Privacy and history");
    bench.harness.get_by_label("Save conversations").click_accesskit();
    wait(&mut bench, "on", |bench| bench.shows("Kept 30 days"));
    bench.harness.get_by_label("Keep forever").click_accesskit();
    wait(&mut bench, "forever", |bench| bench.shows("Kept forever"));
    let saved = std::fs::read_to_string(bench.home.path().join("config/settings.toml")).unwrap();
    assert!(saved.contains("keep = true") && saved.contains("days = 0"), "{saved}");
    bench.reply("transcribe", 40, "no secret", None);
    wait(&mut bench, "kept", |bench| sessions(bench).iter().any(|s| s.first.contains("no secret") && !s.first.contains("a secret")));
}

#[test]
fn audio_is_recorded_only_when_switched_on() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "good morning", None);
    wait(&mut bench, "kept", |bench| !sessions(bench).is_empty());
    assert!(bench.sent().is_none() && bench.shows("No audio saved"));
    bench.press(Modifiers::COMMAND, Key::Comma);
    bench.harness.run_steps(10);
    section(&mut bench, "Privacy and history");
    bench.harness.get_by_label("Also save audio").click_accesskit();
    bench.settle();
    let begun = Instant::now();
    let told = loop {
        match bench.commands.try_iter().find(|command| matches!(command, Command::RecordTo(_))) {
            Some(command) => break command,
            None if begun.elapsed() > Duration::from_secs(10) => panic!("no recording starts"),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let Command::RecordTo(path) = told else { unreachable!() };
    assert!(path.starts_with(bench.home.path().join("data")));
}

#[test]
fn a_damaged_history_is_replaced_and_reported_while_listening_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut bench = window_bench::open_in(home, WIDE, "[window]\nwelcomed = true\nlanguage = \"en\"\n", |home| {
        std::fs::create_dir_all(home.join("data")).unwrap();
        std::fs::write(home.join("data/history.db"), b"no database at all, but long enough to be looked at".repeat(40)).unwrap();
    });
    bench.reply("transcribe", 2, "good morning", None);
    wait(&mut bench, "said", |bench| bench.shows("damaged"));
    assert!(bench.shows("good morning") && bench.shows("Listening"));
    wait(&mut bench, "kept in a new one", |bench| !sessions(bench).is_empty());
}
