//! A window without an engine: the test reports the events and receives the commands.
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

/// Capacity of the channels of commands and events.
const WAITING: usize = 1_024;

pub struct Bench {
    pub harness: Harness<'static, Option<HearkenApp>>,
    pub commands: Receiver<Command>,
    pub events: Sender<Event>,
    pub meters: Arc<Meters>,
    pub home: tempfile::TempDir,
}

/// Returns the settings of a start without arguments in the home `home`.
pub fn settings(home: &std::path::Path) -> Settings {
    let paths = Paths::inside(home);
    match Cli::try_parse_from(["hearken"]).unwrap().request(&paths, Stdout::Redirected).unwrap() {
        Request::Window(settings) => *settings,
        other => panic!("{other:?}"),
    }
}

/// Opens a window of `size` on `engine`, which was started with `settings`.
pub fn window(size: [f32; 2], engine: EngineHandle, settings: Settings) -> Harness<'static, Option<HearkenApp>> {
    let mut engine = Some(engine);
    Harness::builder().with_size(size).with_max_steps(40).build_ui_state(
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
    )
}

/// Opens a window after the first card.
pub fn open(size: [f32; 2]) -> Bench {
    open_with(size, "[window]\nwelcomed = true\nlanguage = \"en\"\n")
}

/// Opens a window with the settings file `text`.
pub fn open_with(size: [f32; 2], text: &str) -> Bench {
    open_in(tempfile::tempdir().unwrap(), size, text, |_| {})
}

/// Opens a window with the settings file `text` in the home `home`, after `prepare` has changed the home.
pub fn open_in(home: tempfile::TempDir, size: [f32; 2], text: &str, prepare: impl FnOnce(&std::path::Path)) -> Bench {
    prepare(home.path());
    std::fs::create_dir_all(home.path().join("config")).unwrap();
    std::fs::write(home.path().join("config/settings.toml"), text).unwrap();
    let (command_tx, commands) = bounded(WAITING);
    let (events, event_rx) = bounded(WAITING);
    let meters = Arc::new(Meters::default());
    let engine = EngineHandle::new(command_tx, event_rx, Arc::clone(&meters), Vec::new());
    let harness = window(size, engine, settings(home.path()));
    let mut bench = Bench { harness, commands, events, meters, home };
    let modes = ["dialog", "transcribe", "sounds"].map(str::to_owned).to_vec();
    let at = at(0);
    bench.report(Event::SessionStarted { at, protocol: 1, model: "fixture".into(), source: "test".into(), modes, started_utc: None });
    bench
}

/// Returns the end of the chunk before `chunk`.
pub fn at(chunk: u64) -> StreamTime {
    StreamTime::from_samples(chunk * 6_400)
}

impl Bench {
    /// Reports an event, waits until the event thread has taken it, and paints.
    pub fn report(&mut self, event: Event) {
        self.events.send(event).unwrap();
        while !self.events.is_empty() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(10));
        self.settle();
    }

    /// Paints some frames, so that everything that was clicked has taken effect.
    pub fn settle(&mut self) {
        for _ in 0..4 {
            self.harness.step();
        }
    }

    pub fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.settle();
    }

    /// Returns the newest command, and drops those before it.
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

    /// Returns true if a label or a value contains `text`.
    pub fn shows(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some() || self.values().iter().any(|value| value.contains(text))
    }

    /// Returns all labels and values.
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

    /// Reports a whole reply of `mode` at chunk `n`.
    pub fn reply(&mut self, mode: &str, n: u64, text: &str, emotion: Option<Emotion>) {
        let (reply, mode) = (ReplyId(n), mode.to_owned());
        let decision = Event::Decision { at: at(n), chunk: ChunkIdx(n), mode: mode.clone(), silent: false, drained: false, margin: None };
        self.events.send(decision).unwrap();
        self.events.send(Event::ReplyStarted { at: at(n), reply, chunk: ChunkIdx(n), mode: mode.clone(), emotion }).unwrap();
        let (from_secs, to_secs, stop) = (at(n - 1), at(n), StopReason::End);
        self.report(Event::ReplyFinished { at: at(n), reply, mode, text: text.into(), from_secs, to_secs, stop });
    }
}
