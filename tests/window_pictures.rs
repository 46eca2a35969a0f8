//! The window's main states as pictures, light and dark, wide and narrow. They need a Vulkan driver, which may be Mesa's in
//! software; colours may differ a little from driver to driver, so a pixel may be off and a few may be wrong.
//! `UPDATE_SNAPSHOTS=1 cargo test --test window_pictures` makes them anew: look at each before it is committed.
#![cfg(all(feature = "window", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use egui::{Key, Modifiers};
use egui_kittest::SnapshotOptions;
use hearken::protocol::{Emotion, Event, ReplyId};
use hearken::time::ChunkIdx;
use window_bench::{Bench, at, open_with};

const WIDE: [f32; 2] = [1_000.0, 560.0];
const NARROW: [f32; 2] = [400.0, 560.0];

fn settings(theme: &str, language: &str) -> String {
    format!(
        "modes = [\"dialog\", \"transcribe\", \"translate\", \"sounds\"]\n[window]\nwelcomed = true\ntheme = \"{theme}\"\nlanguage = \"{language}\"\n"
    )
}

/// A minute in which every panel got something.
fn busy(bench: &mut Bench) {
    let modes = ["dialog", "transcribe", "translate", "sounds"].map(str::to_owned).to_vec();
    bench.report(Event::ModesChanged { at: at(1), modes });
    for n in 60..140 {
        for mode in ["dialog", "transcribe", "translate", "sounds"] {
            let quiet = Event::Decision { at: at(n), chunk: ChunkIdx(n), mode: mode.into(), silent: true, drained: false, margin: None };
            bench.events.send(quiet).unwrap();
        }
    }
    bench.reply("transcribe", 72, "good morning", None);
    bench.reply("translate", 73, "早上好", None);
    bench.reply("transcribe", 88, "what is your name", None);
    bench.reply("translate", 90, "你叫什么名字", None);
    bench.reply("dialog", 91, "I am Hearken. I listen and answer, all on this computer.", Some(Emotion::Happy));
    for (n, count) in [(100, 1), (102, 2), (104, 3)] {
        bench.report(Event::Sound { at: at(n), reply: ReplyId(n), name: "dog bark".into(), count });
    }
    bench.report(Event::Sound { at: at(118), reply: ReplyId(118), name: "alarm".into(), count: 1 });
    bench.reply("dialog", 120, "That sounds like an alarm. Is everything all right?", Some(Emotion::Urgent));
    bench.reply("transcribe", 130, "yes thank you", None);
    bench.reply("translate", 132, "是的，谢谢", None);
}

fn picture(bench: &mut Bench, name: &str) {
    // The pointer is nowhere, so nothing is pointed at.
    bench.harness.remove_cursor();
    bench.settle();
    // Per pixel, a difference that the eye does not see; in all, less than one letter.
    bench.harness.snapshot_options(name, &SnapshotOptions::new().threshold(2.0).max_failed_pixels(60_usize));
}

#[test]
fn a_busy_window_in_the_dark() {
    let mut bench = open_with(WIDE, &settings("dark", "en"));
    busy(&mut bench);
    picture(&mut bench, "busy_dark");
}

#[test]
fn a_busy_window_in_the_light() {
    let mut bench = open_with(WIDE, &settings("light", "en"));
    busy(&mut bench);
    picture(&mut bench, "busy_light");
}

#[test]
fn a_narrow_window_in_chinese() {
    let mut bench = open_with(NARROW, &settings("light", "zh"));
    busy(&mut bench);
    picture(&mut bench, "narrow_zh");
}

#[test]
fn the_first_start() {
    let mut bench = open_with(WIDE, "[window]\ntheme = \"light\"\nlanguage = \"en\"\n");
    bench.settle();
    picture(&mut bench, "first_start");
}

#[test]
fn the_settings() {
    let mut bench = open_with(WIDE, &settings("dark", "en"));
    bench.press(Modifiers::COMMAND, Key::Comma);
    bench.harness.run_steps(10);
    picture(&mut bench, "settings_dark");
}
