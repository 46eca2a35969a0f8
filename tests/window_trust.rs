//! The controls that a person has to be able to trust: deletion and its undoing, pausing, choices, messages.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use std::path::Path;
use std::time::{Duration, Instant};

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use hearken::config::Paths;
use hearken::error::{Error, ErrorKind, Remedy};
use hearken::history::{SessionSummary, Store};
use hearken::protocol::{Command, DeviceChoice, Event, ModelChoice, ReplyId, Severity};
use hearken::ui::FileAnswer;
use window_bench::{Bench, at, open, open_with};

const WIDE: [f32; 2] = [1_200.0, 760.0];
const SMALL: [f32; 2] = [320.0, 240.0];

fn wait(bench: &mut Bench, what: &str, limit_secs: u64, is_it: impl Fn(&Bench) -> bool) {
    let begun = Instant::now();
    while !is_it(bench) {
        assert!(begun.elapsed() < Duration::from_secs(limit_secs), "{what}: {:?}", bench.values());
        std::thread::sleep(Duration::from_millis(40));
        bench.settle();
    }
}

fn sessions(home: &Path) -> Vec<SessionSummary> {
    let store = Store::read(&Paths::inside(home).history_file()).ok().flatten();
    store.and_then(|store| store.sessions().ok()).unwrap_or_default()
}

fn saved(bench: &Bench) -> String {
    std::fs::read_to_string(bench.home.path().join("config/settings.toml")).unwrap()
}

fn button(bench: &mut Bench, label: &str) {
    bench.harness.get_by_role_and_label(Role::Button, label).click_accesskit();
    bench.settle();
}

/// Opens a window in which something was said, and waits until the history has it.
fn with_words(size: [f32; 2]) -> Bench {
    let mut bench = open(size);
    bench.reply("transcribe", 2, "a secret", None);
    bench.reply("dialog", 4, "I keep it.", None);
    bench.report(Event::Sound { at: at(9), reply: ReplyId(9), name: "dog bark".into(), count: 1 });
    wait(&mut bench, "kept", 15, |bench| !sessions(bench.home.path()).is_empty());
    bench
}

fn shows_conversation(bench: &Bench) -> bool {
    bench.shows("a secret") || bench.shows("I keep it.") || bench.shows("dog bark")
}

#[test]
fn a_deleted_conversation_leaves_screen_context_and_export_at_once_and_undo_brings_it_back() {
    let mut bench = with_words(WIDE);
    button(&mut bench, "Delete this conversation");
    assert_eq!(bench.sent(), Some(Command::Forget), "the model forgets");
    assert!(!shows_conversation(&bench) && bench.shows("Conversation deleted"), "{:?}", bench.values());
    bench.reply("transcribe", 30, "good morning", None);
    button(&mut bench, "Undo");
    assert!(bench.shows("a secret") && bench.shows("I keep it.") && bench.shows("good morning"), "{:?}", bench.values());
    assert!(!bench.shows("Conversation deleted") && bench.shows("Conversation restored."));
    std::thread::sleep(Duration::from_secs(11));
    bench.settle();
    let kept = sessions(bench.home.path());
    assert!(kept.iter().any(|session| session.first.contains("a secret")), "an undone deletion deletes nothing: {kept:?}");
}

#[test]
fn a_deleted_conversation_leaves_the_history_after_ten_seconds_and_later_words_stay() {
    let mut bench = with_words(WIDE);
    bench.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::Delete);
    assert!(!shows_conversation(&bench), "{:?}", bench.values());
    assert_eq!(sessions(bench.home.path()).len(), 1, "the deletion can be undone");
    bench.reply("transcribe", 30, "good morning", None);
    // No frame is painted meanwhile, as behind another window.
    std::thread::sleep(Duration::from_secs(11));
    let begun = Instant::now();
    while sessions(bench.home.path()).iter().any(|session| session.first.contains("a secret")) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", sessions(bench.home.path()));
        std::thread::sleep(Duration::from_millis(40));
    }
    bench.settle();
    assert_eq!(bench.harness.query_all_by_label("Undo").count(), 0, "it is too late to undo");
    wait(&mut bench, "later words are kept", 15, |bench| {
        sessions(bench.home.path()).iter().any(|session| session.first.contains("good morning"))
    });
}

#[test]
fn a_deleted_conversation_leaves_the_history_when_the_window_closes() {
    let mut bench = with_words(SMALL);
    bench.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::Delete);
    assert!(bench.shows("Conversation deleted"), "also in the smallest window");
    let Bench { harness, home, .. } = bench;
    drop(harness);
    assert!(sessions(home.path()).is_empty(), "{:?}", sessions(home.path()));
    let text = std::fs::read(Paths::inside(home.path()).history_file()).unwrap();
    assert!(!text.windows(8).any(|bytes| bytes == b"a secret"), "the words are overwritten in the file");
}

#[test]
fn words_that_the_model_reports_late_stay_deleted() {
    let mut bench = with_words(WIDE);
    button(&mut bench, "Delete this conversation");
    bench.reply("transcribe", 9, "in two parts", None);
    assert!(!bench.shows("in two parts"), "{:?}", bench.values());
}

#[test]
fn a_new_conversation_keeps_the_text_above_a_rule() {
    for size in [WIDE, [640.0, 400.0]] {
        let mut bench = with_words(size);
        button(&mut bench, "More");
        button(&mut bench, "New conversation");
        assert_eq!(bench.sent(), Some(Command::Forget), "{size:?}");
        assert!(bench.shows("New conversation 0:03.6") && bench.shows("I keep it."), "{size:?}: {:?}", bench.values());
        bench.reply("dialog", 30, "Good morning.", None);
        let place = |text: &str| bench.harness.get_all_by_label(text).map(|line| line.rect().top()).fold(f32::NAN, f32::max);
        assert!(place("I keep it.") < place("New conversation 0:03.6"), "{size:?}");
        assert!(place("New conversation 0:03.6") < place("Good morning."), "{size:?}");
    }
}

#[test]
fn pausing_works_wherever_the_focus_is() {
    type Prepare = fn(&mut Bench);
    let places: [(&str, Prepare); 5] = [
        ("main window", |_| {}),
        ("after Tab", |bench| (0..3).for_each(|_| bench.press(Modifiers::NONE, Key::Tab))),
        ("search field", |bench| bench.press(Modifiers::COMMAND, Key::F)),
        ("settings", |bench| bench.press(Modifiers::COMMAND, Key::Comma)),
        ("export", |bench| bench.press(Modifiers::COMMAND, Key::E)),
    ];
    for (place, prepare) in places {
        for (modifiers, key) in [(Modifiers::NONE, Key::F9), (Modifiers::CTRL, Key::Space)] {
            let mut bench = open(WIDE);
            prepare(&mut bench);
            bench.press(modifiers, key);
            assert_eq!(bench.sent(), Some(Command::Pause), "{place}: {key:?}");
            bench.report(Event::Paused { at: at(3) });
            bench.press(modifiers, key);
            assert_eq!(bench.sent(), Some(Command::Resume), "{place}: {key:?}");
        }
    }
}

#[test]
fn a_model_is_saved_once_it_listens_and_one_that_does_not_load_is_not() {
    let mut bench = open_with(WIDE, "model = \"/old\"\n[window]\nwelcomed = true\nlanguage = \"en\"\n");
    button(&mut bench, "fixture");
    bench.harness.run_steps(10);
    button(&mut bench, "Use this model");
    assert_eq!(bench.sent(), Some(Command::ChooseModel(ModelChoice::Starter)));
    assert!(saved(&bench).contains("model = \"/old\""), "{}", saved(&bench));
    let error = Error::new(ErrorKind::Model, "/m: one file is damaged").with_remedy(Remedy::ReplaceModel);
    bench.report(Event::ModelFailed { at: at(3), choice: ModelChoice::Starter, model: "fixture".into() });
    bench.report(Event::problem(at(3), Severity::Warning, &error));
    assert!(bench.shows("“Starter” can't be loaded") && bench.shows("one file is damaged") && bench.shows("Still using fixture."));
    bench.report(Event::ModelChanged { at: at(4), model: "other".into(), choice: Some(ModelChoice::Dir("/other".into())) });
    assert!(saved(&bench).contains("model = \"/old\""), "a failed choice is never saved: {}", saved(&bench));
    button(&mut bench, "Use this model");
    bench.report(Event::ModelChanged { at: at(9), model: "starter".into(), choice: Some(ModelChoice::Starter) });
    assert!(saved(&bench).contains("model = \"starter\"") && !bench.shows("can't be loaded"), "{}", saved(&bench));
}

#[test]
fn a_microphone_is_saved_once_it_delivers_sound_and_one_that_fails_is_not() {
    let mut bench = open_with(WIDE, "input = \"old\"\n[window]\nwelcomed = true\nlanguage = \"en\"\n");
    for works in [false, true] {
        bench.click("test");
        bench.click("System default");
        assert_eq!(bench.sent(), Some(Command::ChooseInput(DeviceChoice::Default)));
        assert!(saved(&bench).contains("input = \"old\""), "{}", saved(&bench));
        if works {
            bench.report(Event::InputChanged { at: at(9), device: "test".into(), rate_hz: 48_000, channels: 1 });
            assert!(!saved(&bench).contains("input") && !bench.shows("This microphone can't be used"), "{}", saved(&bench));
        } else {
            bench.report(Event::problem(at(3), Severity::Warning, &Error::new(ErrorKind::InputDevice, "it is in use")));
            assert!(bench.shows("This microphone can't be used") && bench.shows("it is in use"), "{:?}", bench.values());
            assert!(saved(&bench).contains("input = \"old\""), "{}", saved(&bench));
        }
    }
}

#[test]
fn a_message_has_a_title_a_reason_and_the_button_that_mends_it() {
    let error = |kind, text: &str, remedy| Error::new(kind, text).with_remedy(remedy);
    for (error, title, fix, then) in [
        (error(ErrorKind::Memory, "no room", Remedy::ReduceMemory), "There isn't enough memory", "Models", "Best for"),
        (error(ErrorKind::OutputDevice, "gone", Remedy::ChooseOutput), "Speaker problem", "Choose speaker…", "System default"),
        (error(ErrorKind::InputDevice, "gone", Remedy::ChooseInput), "Microphone problem", "Choose microphone…", "System default"),
    ] {
        let mut bench = open(WIDE);
        let before = bench.harness.get_by_label("Your words appear here as you speak.").rect();
        bench.report(Event::problem(at(3), Severity::Warning, &error));
        assert!(bench.shows(title) && bench.shows(error.message()), "{title}: {:?}", bench.values());
        assert_eq!(bench.harness.get_by_label("Your words appear here as you speak.").rect(), before, "{title} moves nothing");
        bench.harness.get_all_by_role_and_label(Role::Button, fix).next().unwrap().click_accesskit();
        bench.harness.run_steps(10);
        assert!(bench.shows(then) || bench.shows("not downloaded"), "{title}: {:?}", bench.values());
        bench.press(Modifiers::NONE, Key::Escape);
        button(&mut bench, &format!("Dismiss “{title}”"));
        assert_eq!(bench.harness.query_all_by_label(title).count(), 0, "{title} is dismissed");
    }
}

#[test]
fn the_fault_of_a_lost_microphone_stays_until_it_is_mended() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "good morning", None);
    bench.report(Event::InputLost { at: at(3) });
    let error = Error::new(ErrorKind::InputDevice, "USB mic: unplugged").with_remedy(Remedy::ChooseInput);
    bench.report(Event::problem(at(3), Severity::Warning, &error));
    assert_eq!(bench.harness.query_all_by_label_contains("Dismiss “").count(), 0, "{:?}", bench.values());
    button(&mut bench, "Try again");
    assert_eq!(bench.sent(), Some(Command::ChooseInput(DeviceChoice::Default)));
    bench.report(Event::InputChanged { at: at(9), device: "USB mic".into(), rate_hz: 48_000, channels: 1 });
    assert_eq!(bench.harness.query_all_by_label("Microphone problem").count(), 0);
}

#[test]
fn no_message_sends_a_person_to_a_terminal() {
    let mut bench = open(WIDE);
    let error = Error::new(ErrorKind::Model, "/m: was not made by `hearken model quantize`").with_remedy(Remedy::QuantiseAgain);
    bench.report(Event::problem(at(3), Severity::Warning, &error));
    assert!(bench.shows("The model can't be used") && bench.shows("Download the model again under Models."));
    assert!(!bench.values().iter().any(|text| text.contains("hearken model")), "{:?}", bench.values());
}

#[test]
fn an_export_asks_about_the_file_whose_ending_it_adds() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "good morning", None);
    // The dialog of the system has asked about `talk`, and about no other file.
    let (chosen, file) = (bench.home.path().join("talk"), bench.home.path().join("talk.md"));
    std::fs::write(&file, "mine").unwrap();
    bench.harness.state_mut().as_mut().unwrap().answer_file_dialogs(move |_| FileAnswer::Chosen(chosen.clone()));
    bench.press(Modifiers::COMMAND, Key::E);
    bench.click("Markdown");
    bench.click("Save as…");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert!(bench.shows("A file with this name already exists."), "{:?}", bench.values());
    bench.click("Replace");
    assert!(std::fs::read_to_string(&file).unwrap().contains("good morning") && bench.shows("Saved: "));
}
