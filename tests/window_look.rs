//! The look of the window as far as a person relies on it: state, urgent replies, one conversation, and the way of the keyboard.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use egui::accesskit::{Live, Role, Toggled};
use egui::{Key, Modifiers, ViewportCommand, ViewportId};
use egui_kittest::kittest::{NodeT, Queryable};
use hearken::protocol::{Command, Emotion, Event, ReplyId};
use hearken::time::ChunkIdx;
use window_bench::{Bench, at, open};

const WIDE: [f32; 2] = [1_200.0, 760.0];

fn saved(bench: &Bench) -> String {
    std::fs::read_to_string(bench.home.path().join("config/settings.toml")).unwrap()
}

/// Reports `event` and returns the titles that the window has given the desktop since.
fn titles_after(bench: &mut Bench, event: Event) -> Vec<String> {
    bench.events.send(event).unwrap();
    let mut titles = Vec::new();
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        bench.harness.step();
        let commands = &bench.harness.output().viewport_output[&ViewportId::ROOT].commands;
        titles.extend(commands.iter().filter_map(|command| match command {
            ViewportCommand::Title(title) => Some(title.clone()),
            _ => None,
        }));
    }
    titles
}

/// Returns the top of the widget with the text `label`, in points.
fn top(bench: &Bench, label: &str) -> f32 {
    bench.harness.get_by_label(label).rect().top()
}

#[test]
fn the_title_of_the_window_says_the_state() {
    let mut bench = open(WIDE);
    assert_eq!(titles_after(&mut bench, Event::Paused { at: at(3) }), ["Hearken: paused"]);
    assert_eq!(titles_after(&mut bench, Event::Resumed { at: at(4) }), ["Hearken: listening"]);
    assert_eq!(titles_after(&mut bench, Event::InputLost { at: at(5) }), ["Hearken: no microphone"]);
}

#[test]
fn screen_readers_say_the_state_and_an_urgent_reply_unasked() {
    let mut bench = open(WIDE);
    let how = |bench: &Bench, text: &str| {
        bench.harness.get_all_by_label_contains(text).map(|node| node.accesskit_node().live()).max_by_key(|live| *live as u8)
    };
    bench.report(Event::Paused { at: at(3) });
    assert_eq!(how(&bench, "Paused"), Some(Live::Polite));
    bench.reply("dialog", 4, " Is everything fine?", Some(Emotion::Urgent));
    assert_eq!(how(&bench, "Is everything fine?"), Some(Live::Assertive));
}

#[test]
fn a_pause_shows_its_word_and_one_button_that_ends_it() {
    let mut bench = open(WIDE);
    let pause = bench.harness.get_by_label("Pause").rect();
    bench.report(Event::Paused { at: at(3) });
    assert!(bench.shows("Paused") && bench.shows("The microphone is off. Press Space to resume."));
    let resume = bench.harness.get_by_label("Resume").rect();
    assert_eq!(resume.right_top(), pause.right_top(), "the button stays where it was");
    assert!(resume.height() >= 40.0 && resume.width() >= 100.0, "{resume:?}");
    bench.click("Resume");
    assert_eq!(bench.sent(), Some(Command::Resume));
}

#[test]
fn an_urgent_reply_stays_in_a_banner_until_it_is_dismissed() {
    let mut bench = open(WIDE);
    let ribbon = bench.harness.get_by_label("Show decisions").rect();
    bench.reply("dialog", 4, "Leave the house at once.", Some(Emotion::Urgent));
    let banner = "Urgent: Leave the house at once.";
    assert!(bench.shows(banner) && bench.shows("Hearken is no safety alarm."));
    assert_eq!(bench.harness.get_by_label("Show decisions").rect(), ribbon, "the banner moves nothing");
    for n in 5..9 {
        bench.reply("dialog", 10 * n, "All is well.", None);
    }
    assert!(bench.shows(banner), "later replies do not take it away");
    bench.click("Dismiss");
    assert!(!bench.shows(banner) && bench.shows("Leave the house at once."), "the conversation keeps the reply");
    bench.reply("dialog", 100, "Call for help.", Some(Emotion::Urgent));
    assert!(bench.shows("Urgent: Call for help."), "the next urgent reply is shown");
}

#[test]
fn words_replies_and_sounds_are_one_conversation_in_the_order_of_time() {
    let mut bench = open(WIDE);
    bench.report(Event::ModesChanged { at: at(1), modes: ["dialog", "transcribe", "translate", "sounds"].map(str::to_owned).to_vec() });
    bench.reply("transcribe", 4, "what is your name", None);
    bench.reply("translate", 5, "你叫什么名字", None);
    bench.reply("dialog", 6, "I am Hearken.", None);
    bench.report(Event::Sound { at: at(40), reply: ReplyId(40), name: "dog bark".into(), count: 1 });
    bench.reply("transcribe", 60, "thank you", None);
    let tops: Vec<f32> =
        ["what is your name", "你叫什么名字", "I am Hearken.", "dog bark", "thank you"].map(|text| top(&bench, text)).into();
    assert!(tops.is_sorted() && tops[0] < tops[4], "{tops:?}");
}

#[test]
fn a_click_on_the_bell_of_a_sound_asks_for_alerts() {
    let mut bench = open(WIDE);
    bench.report(Event::Sound { at: at(3), reply: ReplyId(3), name: "alarm".into(), count: 1 });
    assert!(bench.shows("alarm · ongoing"));
    bench.click("Alert me to “alarm”");
    assert!(saved(&bench).contains("marked_sounds = [\"alarm\"]"), "{}", saved(&bench));
}

#[test]
fn the_view_can_be_columns_and_is_kept() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "good morning", None);
    assert!(!bench.shows("Hide Transcript"));
    bench.click("View");
    bench.click("Columns");
    assert!(bench.shows("Hide Transcript") && saved(&bench).contains("view = \"columns\""), "{}", saved(&bench));
}

#[test]
fn the_view_menu_ticks_only_what_can_be_seen() {
    let mut bench = open(WIDE);
    bench.click("View");
    let tick = |bench: &Bench, label: &str| {
        let node = bench.harness.get_by_role_and_label(Role::CheckBox, label);
        (node.accesskit_node().toggled() == Some(Toggled::True), node.accesskit_node().is_disabled())
    };
    assert_eq!(tick(&bench, "Transcript"), (true, false));
    assert_eq!(tick(&bench, "Translation"), (false, true), "nothing is translated");
}

#[test]
fn the_ribbon_opens_the_decisions_of_each_mode_and_keeps_its_height() {
    let mut bench = open(WIDE);
    let ribbon = |bench: &Bench| bench.harness.get_by_label_contains("Decisions.").rect().height();
    assert_eq!(ribbon(&bench), 28.0);
    bench.click("Show decisions");
    assert!(bench.shows("Decisions of each mode") && saved(&bench).contains("decisions_open = true"));
    let rows = bench.harness.get_by_label("Decisions of each mode").rect().height();
    bench.report(Event::ModesChanged { at: at(2), modes: vec!["dialog".into()] });
    assert_eq!(bench.harness.get_by_label("Decisions of each mode").rect().height(), rows, "a mode less moves nothing");
    bench.click("Hide decisions");
    assert!(!bench.shows("Decisions of each mode"));
}

#[test]
fn the_ribbon_tells_how_near_the_model_was_to_speaking() {
    let mut bench = open(WIDE);
    let (chunk, mode) = (ChunkIdx(4), "dialog".to_owned());
    bench.report(Event::Decision { at: at(4), chunk, mode, silent: true, drained: false, margin: Some(-1.0) });
    let ribbon = bench.harness.get_by_label_contains("Decisions.").rect();
    bench.harness.hover_at(egui::pos2(ribbon.right() - 5.0, ribbon.center().y));
    bench.harness.run_steps(10);
    assert!(bench.shows("27 % towards speaking"), "{:?}", bench.values());
}

#[test]
fn the_keyboard_goes_through_the_header_from_left_to_right() {
    let mut bench = open(WIDE);
    let mut seen: Vec<(String, egui::Rect)> = Vec::new();
    for _ in 0..30 {
        bench.press(Modifiers::NONE, Key::Tab);
        let focused = bench.harness.root().children_recursive().find(|node| node.accesskit_node().is_focused());
        if let Some(node) = focused {
            seen.push((node.accesskit_node().label().unwrap_or_default(), node.rect()));
        }
    }
    let place = |label: &str| seen.iter().position(|(name, _)| name == label).unwrap_or_else(|| panic!("{label} in {seen:?}"));
    let order = ["Pause", "Voice", "View", "Settings", "Answer", "Answer options", "Transcribe", "test", "fixture"].map(place);
    assert!(order.is_sorted(), "{seen:?}");
    let tools = &seen[order[0]..=order[3]];
    assert!(tools.is_sorted_by(|one, other| one.1.left() < other.1.left()), "{tools:?}");
}

#[test]
fn with_nothing_switched_on_the_state_says_so_though_words_are_shown() {
    let mut bench = open([1_000.0, 600.0]);
    bench.reply("transcribe", 2, "good morning", None);
    bench.report(Event::ModesChanged { at: at(3), modes: vec![] });
    assert!(bench.shows("Nothing switched on") && bench.shows("good morning"));
}
