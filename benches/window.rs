//! CPU cost of a frame of the window, without a display: events, layout and tessellation. All four modes reply at once, with a word
//! before each frame, while each panel holds 100 or 10,000 lines. At 60 frames per second a frame has 16.7 ms.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper of tests that is shared with this"
)]

#[path = "../tests/window_bench/mod.rs"]
mod window_bench;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use hearken::engine::{EngineHandle, Meters};
use hearken::protocol::{Event, ReplyId, StopReason};
use hearken::time::ChunkIdx;
use hearken::ui::HearkenApp;
use window_bench::{at, settings};

/// Capacity of the channels of commands and events.
const WAITING: usize = 4_096;
const MODES: [&str; 4] = ["dialog", "transcribe", "translate", "sounds"];
/// Measured frames, and frames before them that fill the glyph cache.
const FRAMES: usize = 1_000;
const WARM_UP: usize = 50;
/// Frames of a reply: one second.
const REPLY: usize = 60;
/// Size of the window, in points.
const SIZE: [f32; 2] = [1_280.0, 800.0];

struct Window {
    app: HearkenApp,
    ctx: egui::Context,
    events: Sender<Event>,
    /// The number of the next line.
    line: u64,
    _home: tempfile::TempDir,
}

impl Window {
    /// Returns a window with this many lines in each panel.
    fn with(lines: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ((commands, _), (events, reported)) = (bounded(WAITING), bounded(WAITING));
        std::fs::create_dir_all(home.path().join("config")).unwrap();
        std::fs::write(home.path().join("config/settings.toml"), "[window]\nwelcomed = true\nlanguage = \"en\"\n").unwrap();
        let ctx = egui::Context::default();
        let engine = EngineHandle::new(commands, reported, Arc::new(Meters::default()), Vec::new());
        let app = HearkenApp::new(engine, settings(home.path()), &ctx);
        let modes = MODES.map(str::to_owned).to_vec();
        let (at, source) = (at(0), "s".to_owned());
        events.send(Event::SessionStarted { at, protocol: 1, model: "m".into(), source, modes, started_utc: None }).unwrap();
        let mut window = Self { app, ctx, events, line: 0, _home: home };
        for _ in 0..lines {
            window.begin();
            window.end();
        }
        window.begin();
        while !window.events.is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        window
    }

    fn reply(&self, mode: usize) -> ReplyId {
        ReplyId(4 * self.line + mode as u64)
    }

    /// Begins a reply of each mode.
    fn begin(&self) {
        let (at, chunk) = (at(10 * self.line + 1), ChunkIdx(10 * self.line));
        for (m, mode) in MODES.map(str::to_owned).into_iter().enumerate() {
            let decision = Event::Decision { at, chunk, mode: mode.clone(), silent: false, drained: false, margin: None };
            self.events.send(decision).unwrap();
            self.events.send(Event::ReplyStarted { at, reply: self.reply(m), chunk, mode, emotion: None }).unwrap();
        }
    }

    /// Adds a word to the reply of each mode.
    fn go_on(&self) {
        for (m, mode) in MODES.map(str::to_owned).into_iter().enumerate() {
            let (at, reply, text) = (at(10 * self.line + 1), self.reply(m), " word".to_owned());
            self.events.send(Event::ReplyText { at, reply, mode, text }).unwrap();
        }
    }

    /// Ends the reply of each mode.
    fn end(&mut self) {
        let (n, at) = (self.line, at(10 * self.line + 1));
        for (m, mode) in MODES.map(str::to_owned).into_iter().enumerate() {
            let (reply, stop) = (self.reply(m), StopReason::End);
            let text = format!("line {n}: some words that somebody said, and enough of them to fill more than one row of a panel");
            self.events.send(Event::ReplyFinished { at, reply, mode, text, from_secs: at, to_secs: at, stop }).unwrap();
            self.events.send(Event::Sound { at, reply, name: format!("sound {}", n % 7), count: 1 }).unwrap();
        }
        self.line += 1;
    }

    /// Paints a frame and returns the time that took.
    fn frame(&mut self) -> Duration {
        let begun = Instant::now();
        let screen_rect = Some(egui::Rect::from_min_size(egui::Pos2::ZERO, SIZE.into()));
        let app = &mut self.app;
        let mut output = self.ctx.run_ui(egui::RawInput { screen_rect, ..Default::default() }, |ui| app.ui(ui));
        let triangles = self.ctx.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point);
        // There is no graphics card to take the textures.
        output.drop_without_applying_deltas();
        black_box(triangles);
        begun.elapsed()
    }
}

fn main() {
    for lines in [100, 10_000] {
        let mut window = Window::with(lines);
        let mut costs = Vec::with_capacity(FRAMES);
        for n in 0..WARM_UP + FRAMES {
            if n % REPLY == REPLY - 1 {
                window.end();
                window.begin();
            }
            window.go_on();
            let cost = window.frame();
            if n >= WARM_UP {
                costs.push(cost.as_secs_f64() * 1e3);
            }
        }
        costs.sort_by(f64::total_cmp);
        let at = |share: f64| costs[(share * (costs.len() - 1) as f64) as usize];
        println!(
            "{lines} lines, four modes replying: {:.2} ms a frame (median), {:.2} ms (p99), {:.2} ms (worst of {FRAMES})",
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}
