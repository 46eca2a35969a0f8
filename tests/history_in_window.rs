//! The window stores what it hears, unless the history is off, and shows failures.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use std::time::{Duration, Instant};

use hearken::config::Paths;
use hearken::history::Store;
use window_bench::{Bench, open, open_with};

const WIDE: [f32; 2] = [1_200.0, 760.0];

fn kept(bench: &Bench, text: &str) -> usize {
    let store = Store::read(&Paths::inside(bench.home.path()).history_file()).unwrap();
    store.map_or(0, |store| store.search(text).unwrap().len())
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn words_heard_by_the_window_are_in_the_history() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "remember this", None);
    wait_until(|| kept(&bench, "remember this") == 1);
    bench.reply("dialog", 40, "I shall.", None);
    let home = std::mem::replace(&mut bench.home, tempfile::tempdir().unwrap());
    drop(bench);
    let store = Store::read(&Paths::inside(home.path()).history_file()).unwrap().unwrap();
    assert_eq!(store.search("I shall").unwrap().len(), 1, "a window that closes stores what waits");
}

#[test]
fn an_invalid_history_setting_stores_nothing_and_is_named() {
    let mut bench = open_with(WIDE, "[window]\nwelcomed = true\nlanguage = \"en\"\n[history]\nkeep = 3\n");
    assert!(bench.shows("settings.toml:5:"));
    bench.reply("transcribe", 2, "not for the record", None);
    std::thread::sleep(Duration::from_secs(1));
    assert!(!Paths::inside(bench.home.path()).history_file().exists());
}

#[test]
fn a_locked_history_is_shown_and_listening_continues() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "before", None);
    wait_until(|| kept(&bench, "before") == 1);
    let lock = rusqlite::Connection::open(Paths::inside(bench.home.path()).history_file()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    bench.reply("transcribe", 40, "during", None);
    wait_until(|| {
        bench.settle();
        bench.shows("another program holds the history")
    });
    bench.reply("transcribe", 80, "still listening", None);
    assert!(bench.shows("still listening"));
    lock.execute_batch("ROLLBACK").unwrap();
    wait_until(|| kept(&bench, "still listening") == 1);
}
