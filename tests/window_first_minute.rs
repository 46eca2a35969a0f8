//! The first start: consent before anything is captured, the first minute, and the states in which there is nothing to show.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use hearken::error::{Error, ErrorKind, Remedy};
use hearken::model::starter_phrases;
use hearken::protocol::{Command, Event, ReplyId, Severity};
use window_bench::{Bench, at, open, open_with};

const WIDE: [f32; 2] = [1_200.0, 760.0];
const FIRST: &str = "[window]\nlanguage = \"en\"\n";

fn saved(bench: &Bench) -> String {
    std::fs::read_to_string(bench.home.path().join("config/settings.toml")).unwrap()
}

fn button(bench: &mut Bench, label: &str) {
    bench.harness.get_by_role_and_label(Role::Button, label).click_accesskit();
    bench.settle();
}

/// Opens a window at the first start, in which the session waits for the consent.
fn first_start(size: [f32; 2]) -> Bench {
    let mut bench = open_with(size, FIRST);
    bench.report(Event::Paused { at: at(0) });
    bench
}

/// Opens a window and gives the consent.
fn started(size: [f32; 2]) -> Bench {
    let mut bench = first_start(size);
    button(&mut bench, "Start listening");
    assert_eq!(bench.sent(), Some(Command::Resume), "{size:?}");
    bench.report(Event::Resumed { at: at(0) });
    bench
}

#[test]
fn nothing_is_resumed_before_the_consent() {
    let mut bench = first_start(WIDE);
    assert!(bench.shows("Meet Hearken") && bench.shows("Nothing you say leaves it.") && bench.shows("Save conversations for 30 days"));
    assert!(bench.harness.query_all_by_role_and_label(Role::Button, "test").count() >= 1, "the name of the microphone");
    for (modifiers, key) in [(Modifiers::NONE, Key::Space), (Modifiers::NONE, Key::F9), (Modifiers::CTRL, Key::Space)] {
        bench.press(modifiers, key);
        assert_eq!(bench.sent(), None, "{key:?}");
    }
    bench.press(Modifiers::NONE, Key::Enter);
    assert_eq!(bench.sent(), Some(Command::Resume));
    assert!(saved(&bench).contains("welcomed = true") && !bench.shows("Meet Hearken"));
}

#[test]
fn the_card_can_be_put_away_in_any_window_and_nothing_is_captured_then() {
    for size in [WIDE, [320.0, 240.0], [420.0, 700.0]] {
        for by_key in [true, false] {
            let mut bench = first_start(size);
            if by_key {
                bench.press(Modifiers::NONE, Key::Escape);
            } else {
                button(&mut bench, "Not now");
            }
            assert!(!bench.shows("Meet Hearken") && bench.shows("Paused"), "{size:?}: {:?}", bench.values());
            assert!(bench.sent().is_none() && !saved(&bench).contains("welcomed = true"), "{size:?}: the next start asks again");
            bench.press(Modifiers::NONE, Key::Space);
            assert_eq!(bench.sent(), Some(Command::Resume), "{size:?}");
            assert!(saved(&bench).contains("welcomed = true"), "{size:?}: who resumes has consented");
        }
    }
}

#[test]
fn conversations_are_not_saved_if_the_switch_is_off() {
    let mut bench = first_start(WIDE);
    bench.harness.get_by_role_and_label(Role::CheckBox, "Save conversations for 30 days").click_accesskit();
    bench.settle();
    button(&mut bench, "Start listening");
    assert!(saved(&bench).contains("keep = false"), "{}", saved(&bench));
}

#[test]
fn the_first_minute_shows_words_answer_and_sound_in_one_place() {
    let mut bench = started(WIDE);
    assert!(bench.shows("Say:") && bench.shows("“What is your name?”"));
    bench.reply("transcribe", 10, "what is your name", None);
    assert!(bench.shows("what is your name"));
    bench.reply("dialog", 12, "My name is Hearken.", None);
    let large = bench.harness.get_by_label("My name is Hearken.").rect();
    assert!(large.height() >= 28.0, "the answer is large: {large:?}");
    button(&mut bench, "Next");
    assert!(bench.shows("Now cough.") && !bench.shows("“What is your name?”"));
    bench.report(Event::Sound { at: at(30), reply: ReplyId(30), name: "cough".into(), count: 1 });
    assert!(bench.shows("cough") && bench.shows("Alert me when this happens?"));
    button(&mut bench, "Alert me");
    assert!(saved(&bench).contains("marked_sounds = [\"cough\"]") && bench.shows("You're all set."), "{}", saved(&bench));
    button(&mut bench, "Done");
    assert!(!bench.shows("You're all set.") && bench.shows("My name is Hearken."), "the panels have all of it");
}

#[test]
fn the_answer_leads_on_by_itself() {
    let mut bench = started(WIDE);
    bench.reply("dialog", 12, "My name is Hearken.", None);
    std::thread::sleep(std::time::Duration::from_millis(4_200));
    bench.settle();
    assert!(bench.shows("Now cough."), "{:?}", bench.values());
}

#[test]
fn the_mode_that_names_sounds_is_on_for_its_step_only() {
    let mut bench = started(WIDE);
    bench.report(Event::ModesChanged { at: at(1), modes: vec!["dialog".into()] });
    button(&mut bench, "Next");
    assert_eq!(bench.sent(), Some(Command::ModeOn("sounds".into())));
    bench.report(Event::ModesChanged { at: at(2), modes: vec!["dialog".into(), "sounds".into()] });
    button(&mut bench, "Next");
    assert_eq!(bench.sent(), Some(Command::ModeOff("sounds".into())));
    assert!(!saved(&bench).contains("modes ="), "{}", saved(&bench));
}

#[test]
fn the_first_minute_can_be_skipped_at_each_step() {
    for size in [WIDE, [320.0, 240.0]] {
        for step in 0..3 {
            let mut bench = started(size);
            (0..step).for_each(|_| button(&mut bench, "Next"));
            bench.commands.try_iter().for_each(drop);
            bench.press(Modifiers::NONE, Key::Escape);
            let gone = ["Say:", "Now cough.", "You're all set."].iter().all(|text| !bench.shows(text));
            assert!(gone, "{size:?}, step {step}: {:?}", bench.values());
            assert_ne!(bench.sent(), Some(Command::CutReply), "{size:?}, step {step}");
        }
    }
}

#[test]
fn speech_that_was_not_understood_is_met_with_what_works() {
    let known = starter_phrases::starter().offered().count();
    let hint = format!("The starter knows {known} phrases. Try “what is your name”");
    let heard = |n: u64| Event::NotUnderstood { at: at(n), from_secs: at(n - 6), to_secs: at(n - 1) };
    let mut first = started(WIDE);
    first.report(heard(20));
    assert!(first.shows("Heard you") && first.shows(&hint), "in the first minute: {:?}", first.values());
    let mut bench = open(WIDE);
    bench.report(heard(20));
    assert!(bench.shows("Heard you") && bench.shows(&hint), "{:?}", bench.values());
    assert!(!bench.shows("joke") && !bench.shows("knock"), "only what works is offered");
    assert_eq!(bench.harness.query_all_by_label("Get the full model").count(), 1);
    button(&mut bench, "Dismiss “Heard you”");
    bench.report(heard(200));
    assert!(!bench.shows("Heard you"), "once is enough");
}

#[test]
fn without_a_microphone_the_middle_says_so_with_buttons() {
    let mut bench = open(WIDE);
    bench.report(Event::InputLost { at: at(0) });
    let error = Error::new(ErrorKind::NoMicrophone, "the sound system has no microphone").with_remedy(Remedy::ChooseInput);
    bench.report(Event::problem(at(0), Severity::Warning, &error));
    assert!(bench.shows("Plug one in, or choose another."), "{:?}", bench.values());
    assert!(!bench.shows("Your words appear here"), "nobody is asked to say something");
    button(&mut bench, "Try again");
    assert!(matches!(bench.sent(), Some(Command::ChooseInput(_))));
    button(&mut bench, "Choose microphone…");
    bench.harness.run_steps(10);
    assert!(bench.shows("System default"));
    bench.press(Modifiers::NONE, Key::Escape);
    bench.report(Event::InputChanged { at: at(1), device: "USB mic".into(), rate_hz: 48_000, channels: 1 });
    assert!(bench.shows("Your words appear here") && !bench.shows("Plug one in"));
}

#[test]
fn a_muted_microphone_is_said_by_its_name() {
    let mut bench = open(WIDE);
    bench.report(Event::InputSilent { at: at(13), device: "test".into() });
    let error = Error::new(ErrorKind::SilentInput, "test: no sound has arrived").with_remedy(Remedy::UnmuteInput);
    bench.report(Event::problem(at(25), Severity::Warning, &error));
    assert!(bench.shows("No sound arrives from test") && bench.shows("Unmute it or turn it up"), "{:?}", bench.values());
    assert_eq!(bench.harness.query_all_by_label("Choose microphone…").count(), 1);
    bench.report(Event::InputAudible { at: at(20) });
    assert!(!bench.shows("No sound arrives"));
}

#[test]
fn with_no_mode_on_the_window_offers_the_modes_and_with_no_panel_all_of_them() {
    let mut bench = open(WIDE);
    bench.report(Event::ModesChanged { at: at(1), modes: Vec::new() });
    assert!(bench.shows("Nothing is switched on"));
    button(&mut bench, "Turn on Transcribe");
    assert_eq!(bench.sent(), Some(Command::ModeOn("transcribe".into())));
    bench.report(Event::ModesChanged { at: at(2), modes: vec!["transcribe".into()] });
    bench.reply("transcribe", 4, "good morning", None);
    bench.report(Event::ModesChanged { at: at(5), modes: Vec::new() });
    assert!(bench.shows("Nothing is switched on") && bench.shows("good morning"), "also beside words: {:?}", bench.values());

    let hidden = "[window]\nwelcomed = true\nlanguage = \"en\"\nhidden = [\"transcript\", \"translation\", \"conversation\", \"sounds\"]\n";
    let mut bench = open_with(WIDE, hidden);
    assert!(bench.shows("All panels are hidden"));
    button(&mut bench, "Show all");
    assert!(bench.shows("Your words appear here") && saved(&bench).contains("hidden = []"), "{}", saved(&bench));
}

#[test]
fn the_first_card_is_short_and_its_controls_have_names() {
    let bench = first_start(WIDE);
    assert_eq!(bench.harness.unnamed_widgets(), Vec::<String>::new());
    let start = bench.harness.get_by_role_and_label(Role::Button, "Start listening");
    assert!(!start.accesskit_node().is_disabled());
}
