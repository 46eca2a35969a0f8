//! Closing the window: the question where the desktop has a tray, and the answer that stays.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use egui::accesskit::Role;
use egui::{ViewportCommand, ViewportEvent, ViewportId};
use egui_kittest::kittest::Queryable;
use window_bench::{Bench, open};

const SIZE: [f32; 2] = [1_000.0, 700.0];

fn saved(bench: &Bench) -> String {
    std::fs::read_to_string(bench.home.path().join("config/settings.toml")).unwrap()
}

/// Asks the window to close, as the desktop does, and returns what it tells the desktop.
fn close(bench: &mut Bench) -> Vec<ViewportCommand> {
    bench.harness.input_mut().viewports.entry(ViewportId::ROOT).or_default().events.push(ViewportEvent::Close);
    bench.harness.step();
    bench.harness.input_mut().viewports.entry(ViewportId::ROOT).or_default().events.clear();
    let commands = bench.harness.output().viewport_output[&ViewportId::ROOT].commands.clone();
    bench.settle();
    commands
}

fn pretend_tray(bench: &Bench) {
    bench.harness.state().as_ref().unwrap().pretend_tray();
}

fn switch(bench: &mut Bench) {
    bench.harness.get_by_role_and_label(Role::CheckBox, "Start Hearken when you log in").click();
    bench.settle();
}

#[test]
fn without_a_tray_closing_ends() {
    let mut bench = open(SIZE);
    assert!(!close(&mut bench).contains(&ViewportCommand::CancelClose));
    assert!(!bench.shows("Keep listening in the tray?"));
}

#[test]
fn with_a_tray_closing_asks_once_and_then_hides_the_window() {
    let mut bench = open(SIZE);
    pretend_tray(&bench);
    assert!(close(&mut bench).contains(&ViewportCommand::CancelClose));
    assert!(bench.shows("Keep listening in the tray?") && bench.shows("Listening"));
    bench.click("Keep listening in the tray");
    assert!(saved(&bench).contains("on_close = \"tray\""), "{}", saved(&bench));
    assert!(!bench.shows("Listening") && !bench.shows("Transcript"), "a hidden window paints nothing");
}

#[test]
fn quitting_at_the_question_ends_and_is_remembered() {
    let mut bench = open(SIZE);
    pretend_tray(&bench);
    close(&mut bench);
    bench.click("Quit Hearken");
    assert!(saved(&bench).contains("on_close = \"quit\""), "{}", saved(&bench));
    assert!(!close(&mut bench).contains(&ViewportCommand::CancelClose), "no second question");
}

#[test]
fn the_question_can_be_put_away() {
    let mut bench = open(SIZE);
    pretend_tray(&bench);
    close(&mut bench);
    bench.press(egui::Modifiers::NONE, egui::Key::Escape);
    assert!(!bench.shows("Keep listening in the tray?") && bench.shows("Listening"));
    assert!(close(&mut bench).contains(&ViewportCommand::CancelClose) && bench.shows("Keep listening in the tray?"));
}

#[test]
fn the_switch_in_the_settings_writes_and_removes_the_entry_of_the_session() {
    let mut bench = open(SIZE);
    let entry = bench.home.path().join("autostart/hearken.desktop");
    bench.press(egui::Modifiers::COMMAND, egui::Key::Comma);
    switch(&mut bench);
    assert!(std::fs::read_to_string(&entry).unwrap().contains("--hidden"));
    switch(&mut bench);
    assert!(!entry.exists());
}
