//! What a frame of the window costs on the processor, without a display: layout and triangles, 10,000 lines of history and all
//! four modes replying. At 60 frames a second there are 16.7 ms for it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a helper of tests that is shared with this")]

#[path = "../tests/window_bench/mod.rs"]
mod window_bench;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use crossbeam_channel::bounded;
use hearken::engine::{EngineHandle, Meters};
use hearken::protocol::{Event, ReplyId, Stop};
use hearken::time::ChunkIdx;
use hearken::ui::HearkenApp;
use window_bench::{at, settings};

/// Events that wait while the window takes them.
const WAITING: usize = 4_096;
const MODES: [&str; 4] = ["dialog", "transcribe", "translate", "sounds"];

fn frame_of(lines: u64, c: &mut Criterion) {
    let home = tempfile::tempdir().unwrap();
    let ((commands, _taken), (events, reported)) = (bounded(WAITING), bounded(WAITING));
    std::fs::create_dir_all(home.path().join("config")).unwrap();
    std::fs::write(home.path().join("config/settings.toml"), "[window]\nwelcomed = true\nlanguage = \"en\"\n").unwrap();
    let ctx = egui::Context::default();
    let mut app =
        HearkenApp::new(EngineHandle::new(commands, reported, Arc::new(Meters::default()), Vec::new()), settings(home.path()), &ctx);
    let modes = MODES.map(str::to_owned).to_vec();
    events.send(Event::SessionStarted { at: at(0), protocol: 1, model: "m".into(), source: "s".into(), modes, started_utc: None }).unwrap();
    for n in 0..lines {
        for (m, mode) in MODES.iter().enumerate() {
            let (chunk, reply, mode, at) = (ChunkIdx(10 * n), ReplyId(4 * n + m as u64), (*mode).to_owned(), at(10 * n + 1));
            events.send(Event::Decision { at, chunk, mode: mode.clone(), silent: false, drained: false, margin: None }).unwrap();
            events.send(Event::ReplyStarted { at, reply, chunk, mode: mode.clone(), emotion: None }).unwrap();
            let text = format!("line {n}: some words that somebody said, and enough of them to fill more than one row of a panel");
            if n + 1 == lines {
                events.send(Event::ReplyText { at, reply, mode, text }).unwrap();
            } else {
                events.send(Event::ReplyFinished { at, reply, mode, text, from_secs: at, to_secs: at, stop: Stop::End }).unwrap();
                events.send(Event::Sound { at, reply, name: format!("sound {}", n % 7), count: 1 }).unwrap();
            }
        }
    }
    while !events.is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut frame = || {
        let screen_rect = Some(egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(1_280.0, 800.0)));
        let mut output = ctx.run_ui(egui::RawInput { screen_rect, ..Default::default() }, |ui| app.ui(ui));
        let triangles = ctx.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point);
        // There is no graphics card that would take the letters.
        output.drop_without_applying_deltas();
        black_box(triangles)
    };
    (0..10).for_each(|_| drop(frame()));
    c.bench_function(&format!("a frame of the window over {lines} lines"), |b| b.iter(&mut frame));
}

fn frames(c: &mut Criterion) {
    frame_of(100, c);
    frame_of(10_000, c);
}

criterion_group!(window, frames);
criterion_main!(window);
