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
const SMALLEST: [f32; 2] = [320.0, 240.0];

fn settings(theme: &str, language: &str) -> String {
    format!(
        "modes = [\"dialog\", \"transcribe\", \"translate\", \"sounds\"]\n[window]\nwelcomed = true\ntheme = \"{theme}\"\nlanguage = \"{language}\"\n"
    )
}

/// A minute in which every panel got something.
fn busy(bench: &mut Bench) {
    let modes = ["dialog", "transcribe", "translate", "sounds"].map(str::to_owned).to_vec();
    bench.report(Event::ModesChanged { at: at(1), modes });
    let said = [
        (72, "transcribe", "good morning", None),
        (74, "translate", "早上好", None),
        (88, "transcribe", "what is your name", None),
        (90, "translate", "你叫什么名字", None),
        (91, "dialog", "I am Hearken. I listen and answer, all on this computer.", Some(Emotion::Happy)),
        (120, "dialog", "That sounds like an alarm. Is everything all right?", Some(Emotion::Urgent)),
        (130, "transcribe", "yes thank you", None),
        (132, "translate", "是的，谢谢", None),
    ];
    // The last of these is waited for, so that the picture holds all of them.
    for n in 60..=132 {
        for mode in ["dialog", "transcribe", "translate", "sounds"] {
            if !said.iter().any(|(at, who, ..)| (*at, *who) == (n, mode)) {
                let quiet =
                    Event::Decision { at: at(n), chunk: ChunkIdx(n), mode: mode.into(), silent: true, drained: false, margin: None };
                bench.events.send(quiet).unwrap();
            }
        }
        for (_, mode, text, emotion) in said.iter().filter(|(at, ..)| *at == n) {
            bench.reply(mode, n, text, *emotion);
        }
        for (_, name, count) in
            [(100, "dog bark", 1), (102, "dog bark", 2), (104, "dog bark", 3), (118, "alarm", 1)].iter().filter(|s| s.0 == n)
        {
            bench.report(Event::Sound { at: at(n), reply: ReplyId(n), name: (*name).into(), count: *count });
        }
    }
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
fn the_smallest_window() {
    let mut bench = open_with(SMALLEST, &settings("dark", "en"));
    busy(&mut bench);
    picture(&mut bench, "smallest_dark");
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
