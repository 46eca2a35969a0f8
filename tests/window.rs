//! The window as a person uses it: controls found by their labels, through the accessibility tree.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use hearken::config::modes::{Language, builtin};
use hearken::engine::{EngineHandle, Meters};
use hearken::protocol::{Command, Emotion, Event, ReplyId, Severity, Stop};
use hearken::time::{ChunkIdx, StreamTime};
use hearken::ui::HearkenApp;

struct Bench {
    harness: Harness<'static, Option<HearkenApp>>,
    commands: Receiver<Command>,
    events: Sender<Event>,
}

fn open(size: [f32; 2]) -> Bench {
    let (command_tx, commands) = bounded(64);
    let (events, event_rx) = bounded(64);
    let mut engine = Some(EngineHandle::new(command_tx, event_rx, Arc::new(Meters::default()), Vec::new()));
    let harness = Harness::builder().with_size(size).build_ui_state(
        move |ui, app: &mut Option<HearkenApp>| {
            let ctx = ui.ctx().clone();
            let modes = builtin(Language::Chinese, std::path::Path::new("/nonexistent"));
            if let Some(engine) = engine.take() {
                *app = Some(HearkenApp::new(engine, modes, &ctx));
            }
            if let Some(app) = app {
                app.ui(ui);
            }
        },
        None,
    );
    let mut bench = Bench { harness, commands, events };
    let modes = ["dialog", "transcribe", "sounds"].map(str::to_owned).to_vec();
    bench.report(Event::SessionStarted {
        at: at(0),
        protocol: 1,
        model: "fixture".into(),
        source: "test".into(),
        modes,
        started_utc: None,
    });
    bench
}

fn at(chunk: u64) -> StreamTime {
    StreamTime::from_samples(chunk * 6_400)
}

impl Bench {
    /// Reports an event and paints until the view thread has taken it.
    fn report(&mut self, event: Event) {
        self.events.send(event).unwrap();
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(5));
            self.harness.step();
        }
    }

    fn click(&mut self, label: &str) -> Option<Command> {
        self.harness.get_by_label(label).click();
        self.harness.step();
        self.harness.step();
        self.commands.try_recv().ok()
    }

    fn shows(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    fn reply(&mut self, mode: &str, id: u64, text: &str, emotion: Option<Emotion>) {
        let (reply, mode) = (ReplyId(id), mode.to_owned());
        self.report(Event::ReplyStarted { at: at(id), reply, chunk: ChunkIdx(id), mode: mode.clone(), emotion });
        self.report(Event::ReplyText { at: at(id), reply, mode: mode.clone(), text: text.into() });
        self.report(Event::ReplyFinished {
            at: at(id),
            reply,
            mode,
            text: text.into(),
            from_secs: at(id - 1),
            to_secs: at(id),
            stop: Stop::End,
        });
    }
}

#[test]
fn a_toggle_switches_its_mode_off_and_on() {
    let mut bench = open([1_100.0, 700.0]);
    assert_eq!(bench.click("Transcribe"), Some(Command::ModeOff("transcribe".into())));
    assert_eq!(bench.click("Translate"), Some(Command::ModeOn("translate".into())));
}

#[test]
fn pause_stops_capture_and_becomes_resume() {
    let mut bench = open([1_100.0, 700.0]);
    assert_eq!(bench.click("Pause"), Some(Command::Pause));
    bench.report(Event::Paused { at: at(3) });
    assert!(bench.shows("Paused"));
    assert_eq!(bench.click("Resume"), Some(Command::Resume));
}

#[test]
fn escape_cuts_the_reply_and_numbers_toggle_modes() {
    let mut bench = open([1_100.0, 700.0]);
    bench.harness.key_press(egui::Key::Escape);
    bench.harness.step();
    assert_eq!(bench.commands.try_recv().ok(), Some(Command::CutReply));
    bench.harness.key_press(egui::Key::Num1);
    bench.harness.step();
    assert_eq!(bench.commands.try_recv().ok(), Some(Command::ModeOff("dialog".into())));
}

#[test]
fn what_is_said_appears_in_its_panel() {
    let mut bench = open([1_100.0, 700.0]);
    assert!(bench.shows("Replies appear here"));
    bench.reply("dialog", 1, " I am Hearken.", Some(Emotion::Urgent));
    bench.reply("transcribe", 2, "what is", None);
    bench.reply("transcribe", 3, "your name", None);
    assert!(bench.shows("I am Hearken."));
    assert!(bench.shows("what is your name"));
    bench.report(Event::Sound { at: at(4), reply: ReplyId(4), name: "dog bark".into(), count: 1 });
    bench.report(Event::Sound { at: at(5), reply: ReplyId(5), name: "dog bark".into(), count: 2 });
    assert!(bench.shows("dog bark ×2"));
}

#[test]
fn problems_and_the_notice_are_shown_and_the_notice_can_be_dismissed() {
    let mut bench = open([1_100.0, 700.0]);
    let message = "random weights stand in".to_owned();
    bench.report(Event::Problem { at: at(0), severity: Severity::Warning, kind: "stand_in".into(), message });
    assert!(bench.shows("random weights"));
    bench.click("Dismiss");
    assert!(!bench.shows("random weights"));
    let message = "USB mic: unplugged".to_owned();
    bench.report(Event::Problem { at: at(2), severity: Severity::Warning, kind: "input_device".into(), message });
    assert!(bench.shows("USB mic: unplugged"));
    assert!(bench.shows("No input"), "the state says that nothing is heard");
    bench.report(Event::InputChanged { at: at(3), device: "USB mic".into(), rate_hz: 48_000, channels: 1 });
    assert!(bench.shows("Listening"));
}

#[test]
fn the_strip_says_in_words_what_it_shows() {
    let mut bench = open([1_100.0, 700.0]);
    for n in 1..5 {
        let (chunk, mode) = (ChunkIdx(n), "dialog".to_owned());
        bench.report(Event::Decision { at: at(n), chunk, mode, silent: n != 3, drained: false, margin: None });
    }
    assert!(bench.shows("dialog: 1 responses in 4 decisions"));
}

#[test]
fn a_window_smaller_than_any_panel_still_paints() {
    let mut bench = open([200.0, 150.0]);
    bench.reply("dialog", 1, "a reply that is longer than the window is wide", None);
    bench.harness.step();
}
