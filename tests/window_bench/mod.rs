//! A window over an engine that the test plays by hand.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic, reason = "a helper of tests; each uses its part")]

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use crossbeam_channel::{Receiver, Sender, bounded};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use hearken::config::{Cli, Paths, Request, Settings, Stdout};
use hearken::engine::{EngineHandle, Meters};
use hearken::protocol::{Command, Emotion, Event, ReplyId, StopReason};
use hearken::time::{ChunkIdx, StreamTime};
use hearken::ui::HearkenApp;

/// Commands and events that may wait in a test.
const WAITING: usize = 1_024;

pub struct Bench {
    pub harness: Harness<'static, Option<HearkenApp>>,
    pub commands: Receiver<Command>,
    pub events: Sender<Event>,
    pub meters: Arc<Meters>,
    pub home: tempfile::TempDir,
}

/// Settings as a start without arguments reads them from this home.
pub fn settings(home: &std::path::Path) -> Settings {
    let paths = Paths::inside(home);
    match Cli::try_parse_from(["hearken"]).unwrap().request(&paths, Stdout::Redirected).unwrap() {
        Request::Window(settings) => *settings,
        other => panic!("{other:?}"),
    }
}

/// A window whose first card was read.
pub fn open(size: [f32; 2]) -> Bench {
    open_with(size, "[window]\nwelcomed = true\nlanguage = \"en\"\n")
}

/// A window with these settings.
pub fn open_with(size: [f32; 2], text: &str) -> Bench {
    open_in(tempfile::tempdir().unwrap(), size, text, |_| {})
}

/// A window with these settings in a home that was prepared.
pub fn open_in(home: tempfile::TempDir, size: [f32; 2], text: &str, prepare: impl FnOnce(&std::path::Path)) -> Bench {
    prepare(home.path());
    std::fs::create_dir_all(home.path().join("config")).unwrap();
    std::fs::write(home.path().join("config/settings.toml"), text).unwrap();
    let (command_tx, commands) = bounded(WAITING);
    let (events, event_rx) = bounded(WAITING);
    let meters = Arc::new(Meters::default());
    let mut engine = Some(EngineHandle::new(command_tx, event_rx, Arc::clone(&meters), Vec::new()));
    let settings = settings(home.path());
    let harness = Harness::builder().with_size(size).with_max_steps(40).build_ui_state(
        move |ui, app: &mut Option<HearkenApp>| {
            let ctx = ui.ctx().clone();
            if let Some(engine) = engine.take() {
                *app = Some(HearkenApp::new(engine, settings.clone(), &ctx));
            }
            if let Some(app) = app {
                app.ui(ui);
            }
        },
        None,
    );
    let mut bench = Bench { harness, commands, events, meters, home };
    let modes = ["dialog", "transcribe", "sounds"].map(str::to_owned).to_vec();
    let at = at(0);
    bench.report(Event::SessionStarted { at, protocol: 1, model: "fixture".into(), source: "test".into(), modes, started_utc: None });
    bench
}

pub fn at(chunk: u64) -> StreamTime {
    StreamTime::from_samples(chunk * 6_400)
}

impl Bench {
    /// Reports an event and paints until the view thread has taken it.
    pub fn report(&mut self, event: Event) {
        self.events.send(event).unwrap();
        while !self.events.is_empty() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(10));
        self.settle();
    }

    pub fn settle(&mut self) {
        for _ in 0..4 {
            self.harness.step();
        }
    }

    pub fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.settle();
    }

    /// The newest command that was sent.
    pub fn sent(&mut self) -> Option<Command> {
        self.commands.try_iter().last()
    }

    pub fn press(&mut self, modifiers: egui::Modifiers, key: egui::Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.settle();
    }

    pub fn type_into(&mut self, label: &str, text: &str) {
        let field = self.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, label);
        field.focus();
        field.type_text(text);
        self.settle();
    }

    pub fn shows(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some() || self.values().iter().any(|value| value.contains(text))
    }

    pub fn values(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut left = vec![self.harness.root()];
        while let Some(node) = left.pop() {
            found.extend(node.accesskit_node().value());
            found.extend(node.accesskit_node().label());
            left.extend(node.children());
        }
        found
    }

    /// A whole reply of `mode` that ends with chunk `n`.
    pub fn reply(&mut self, mode: &str, n: u64, text: &str, emotion: Option<Emotion>) {
        let (reply, mode) = (ReplyId(n), mode.to_owned());
        let decision = Event::Decision { at: at(n), chunk: ChunkIdx(n), mode: mode.clone(), silent: false, drained: false, margin: None };
        self.events.send(decision).unwrap();
        self.events.send(Event::ReplyStarted { at: at(n), reply, chunk: ChunkIdx(n), mode: mode.clone(), emotion }).unwrap();
        let (from_secs, to_secs, stop) = (at(n - 1), at(n), StopReason::End);
        self.report(Event::ReplyFinished { at: at(n), reply, mode, text: text.into(), from_secs, to_secs, stop });
    }
}
