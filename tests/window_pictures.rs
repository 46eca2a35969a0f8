//! Pictures of the window's main states, light and dark, wide and narrow, compared with `tests/snapshots`.
//!
//! The tests need a Vulkan driver, which may be Mesa's software driver. Colours differ a little between drivers, so some pixels may
//! differ. `UPDATE_SNAPSHOTS=1 cargo test --test window_pictures` writes new pictures: look at each before you commit it.
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
/// Difference of a pixel that the eye does not see.
const THRESHOLD: f32 = 2.0;
/// Pixels that may differ more: fewer than in one letter.
const MAX_FAILED_PIXELS: usize = 60;

fn settings(theme: &str, language: &str) -> String {
    format!(
        "modes = [\"dialog\", \"transcribe\", \"translate\", \"sounds\"]\n[window]\nwelcomed = true\ntheme = \"{theme}\"\nlanguage = \"{language}\"\n"
    )
}

/// Reports a minute of events that fill every panel.
fn fill_panels(bench: &mut Bench) {
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
    // A reply is reported last, which waits until all events are taken.
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

/// Compares the window with the picture `name`.
fn assert_picture(bench: &mut Bench, name: &str) {
    // Without a pointer nothing is hovered.
    bench.harness.remove_cursor();
    bench.settle();
    bench.harness.snapshot_options(name, &SnapshotOptions::new().threshold(THRESHOLD).max_failed_pixels(MAX_FAILED_PIXELS));
}

#[test]
fn matches_the_picture_busy_dark() {
    let mut bench = open_with(WIDE, &settings("dark", "en"));
    fill_panels(&mut bench);
    assert_picture(&mut bench, "busy_dark");
}

#[test]
fn matches_the_picture_busy_light() {
    let mut bench = open_with(WIDE, &settings("light", "en"));
    fill_panels(&mut bench);
    assert_picture(&mut bench, "busy_light");
}

#[test]
fn matches_the_picture_paused_dark() {
    let mut bench = open_with(WIDE, &settings("dark", "en"));
    fill_panels(&mut bench);
    for n in 60..=132 {
        bench.meters.note_level(at(n), -60.0 + (n * n % 47) as f32);
    }
    bench.click("Dismiss");
    bench.report(Event::Gate { at: at(133), open: false, level_dbfs: -60.0 });
    bench.report(Event::Gate { at: at(150), open: true, level_dbfs: -20.0 });
    bench.report(Event::Paused { at: at(152) });
    assert_picture(&mut bench, "paused_dark");
}

#[test]
fn matches_the_picture_columns_light() {
    let mut bench = open_with(WIDE, &format!("{}view = \"columns\"\ndecisions_open = true\n", settings("light", "en")));
    fill_panels(&mut bench);
    bench.click("Dismiss");
    assert_picture(&mut bench, "columns_light");
}

#[test]
fn matches_the_picture_smallest_dark() {
    let mut bench = open_with(SMALLEST, &settings("dark", "en"));
    fill_panels(&mut bench);
    assert_picture(&mut bench, "smallest_dark");
}

#[test]
fn matches_the_picture_narrow_zh() {
    let mut bench = open_with(NARROW, &settings("light", "zh"));
    fill_panels(&mut bench);
    assert_picture(&mut bench, "narrow_zh");
}

#[test]
fn matches_the_picture_first_start() {
    let mut bench = open_with(WIDE, "[window]\ntheme = \"light\"\nlanguage = \"en\"\n");
    bench.settle();
    assert_picture(&mut bench, "first_start");
}

#[test]
fn matches_the_picture_settings_dark() {
    let mut bench = open_with(WIDE, &settings("dark", "en"));
    bench.press(Modifiers::COMMAND, Key::Comma);
    bench.harness.run_steps(10);
    assert_picture(&mut bench, "settings_dark");
}
