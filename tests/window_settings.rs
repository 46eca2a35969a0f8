//! Settings and first card, and the names and keyboard access of all controls.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use std::collections::BTreeSet;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use hearken::model::starter_phrases;
use hearken::protocol::{Command, Emotion, Event, ReplyId};
use window_bench::{Bench, at, open, open_with};

const WIDE: [f32; 2] = [1_200.0, 760.0];

fn saved(bench: &Bench, file: &str) -> String {
    std::fs::read_to_string(bench.home.path().join("config").join(file)).unwrap_or_default()
}

fn settings_of(bench: &mut Bench) {
    bench.press(Modifiers::COMMAND, Key::Comma);
    bench.harness.run_steps(10);
}

/// Clicks a control that may be scrolled out of view.
fn press_on(bench: &mut Bench, label: &str) {
    bench.harness.get_by_label(label).click_accesskit();
    bench.harness.run_steps(12);
}

#[test]
fn the_settings_tell_what_the_starter_understands() {
    let mut bench = open(WIDE);
    settings_of(&mut bench);
    let known = starter_phrases::starter();
    assert!(bench.shows(&format!("understands {} English words", known.vocabulary.len())));
    assert!(bench.shows("15 GB download") && bench.shows("Qwen Research License") && bench.shows("It's small and often wrong."));
    press_on(&mut bench, "See everything it knows");
    assert!(bench.shows(&known.phrases.last().unwrap().say) && bench.shows(&known.sounds.last().unwrap().name));
    assert!(!bench.shows("tell me a joke"), "what fails is not offered");
}

#[test]
fn the_settings_describe_the_larger_model_from_the_catalogue() {
    let entry = "[[model]]\nname = \"3b\"\ntitle = \"My copy\"\nhub = \"me/copy\"\nabout_bytes = 7_000_000_000\nmemory_bytes = 3_000_000_000\n\
                 [[model.licence]]\nname = \"House rules\"\nsummary = \"Be kind.\"\ntext = \"https://example.org\"\n";
    let text = "[window]\nwelcomed = true\nlanguage = \"en\"\n";
    let mut bench = window_bench::open_in(tempfile::tempdir().unwrap(), WIDE, text, |home| {
        std::fs::create_dir_all(home.join("config")).unwrap();
        std::fs::write(home.join("config/catalog.toml"), entry).unwrap();
    });
    settings_of(&mut bench);
    assert!(bench.shows("My copy") && bench.shows("3 GB memory · 7 GB download") && bench.shows("Licences: House rules"));
}

#[test]
fn the_catalogue_is_in_chinese_in_a_chinese_window() {
    let mut bench = open_with(WIDE, "[window]\nwelcomed = true\nlanguage = \"zh\"\n");
    settings_of(&mut bench);
    assert!(bench.shows("下载 15 GB") && bench.shows("其基础模型 Qwen2.5-Omni-3B 的许可证"), "{:?}", bench.values());
    press_on(&mut bench, "fixture");
    for text in ["内置", "把它们译成中文", "描述听到的声音"] {
        assert!(bench.shows(text), "{text}: {:?}", bench.values());
    }
    press_on(&mut bench, "下载 Audio-Interaction 3B");
    assert!(
        bench.shows("仅用于研究和其他非商业用途") && bench.shows("我接受：Apache License 2.0（据其模型卡所述）"),
        "{:?}",
        bench.values()
    );
    for english in ["clapping", "non-commercial", "keep the notices", "built in"] {
        assert!(!bench.shows(english), "{english}");
    }
}

#[test]
fn the_speaker_menu_sends_and_saves_the_choice() {
    let mut bench = open(WIDE);
    std::fs::write(bench.home.path().join("config/settings.toml"), "output = \"old\"\n[window]\nwelcomed = true\n").unwrap();
    settings_of(&mut bench);
    press_on(&mut bench, "Speaker");
    bench.click("System default");
    assert_eq!(bench.sent(), Some(Command::ChooseOutput(hearken::protocol::DeviceChoice::Default)));
    assert!(saved(&bench, "settings.toml").contains("output"), "nothing was played on it yet");
    bench.report(Event::VoiceStarted { at: at(3), reply: ReplyId(3) });
    assert!(!saved(&bench, "settings.toml").contains("output"));
}

#[test]
fn the_button_of_the_model_opens_the_models() {
    let mut bench = open(WIDE);
    bench.click("fixture");
    bench.harness.run_steps(10);
    assert!(bench.shows("not downloaded"), "{:?}", bench.values());
}

fn add_mode(bench: &mut Bench, clip: &str) {
    bench.type_into("Name (a to z)", "kettle");
    bench.type_into("Instruction", "Tell me when the kettle boils.");
    if !clip.is_empty() {
        bench.type_into("Spoken version (optional)", clip);
    }
    press_on(bench, "Add");
}

#[test]
fn a_mode_can_be_added_edited_and_removed() {
    let mut bench = open(WIDE);
    let clip = bench.home.path().join("said.wav");
    std::fs::write(&clip, b"a clip").unwrap();
    settings_of(&mut bench);
    add_mode(&mut bench, clip.to_str().unwrap());
    assert_eq!(bench.sent(), Some(Command::ReadModes), "{:?}", bench.values());
    assert!(bench.shows("Kettle added") && saved(&bench, "modes.toml").contains("name = \"kettle\""));

    press_on(&mut bench, "Edit Kettle");
    bench.type_into("Instruction", " Twice.");
    bench.type_into("Spoken version (optional)", clip.to_str().unwrap());
    bench.harness.get_by_role_and_label(Role::Button, "Sounds heard").click_accesskit();
    bench.settle();
    press_on(&mut bench, "Save");
    assert!(bench.shows("Kettle saved."), "{:?}", bench.values());
    let modes = saved(&bench, "modes.toml");
    assert!(modes.contains("boils. Twice.") && modes.contains("panel = \"sounds\"") && modes.matches("[[mode]]").count() == 1, "{modes}");

    press_on(&mut bench, "Remove Kettle");
    assert!(saved(&bench, "modes.toml").contains("kettle"), "a removal needs a confirmation");
    press_on(&mut bench, "Remove");
    assert!(bench.shows("Kettle removed.") && !saved(&bench, "modes.toml").contains("kettle"));
    let sent: Vec<Command> = bench.commands.try_iter().collect();
    assert_eq!(sent[sent.len() - 2..], [Command::ModeOff("kettle".into()), Command::ReadModes]);
    assert_eq!(bench.harness.query_all_by_label("Kettle").count(), 0, "its toggle is gone");
}

#[test]
fn a_typed_instruction_is_synthesised_or_the_reason_is_shown() {
    let mut bench = open(WIDE);
    settings_of(&mut bench);
    add_mode(&mut bench, "");
    let begun = std::time::Instant::now();
    while !bench.shows("Kettle added") && !bench.shows("(espeak-ng") && begun.elapsed().as_secs() < 20 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        bench.settle();
    }
    let there = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join("espeak-ng").exists());
    assert_eq!(bench.shows("Kettle added"), there, "{:?}", bench.values());
    assert_eq!(bench.home.path().join("config/instructions/kettle.wav").exists(), there);
}

#[test]
fn an_invalid_mode_is_rejected_with_the_reason() {
    let mut bench = open(WIDE);
    settings_of(&mut bench);
    bench.type_into("Name (a to z)", "The Kettle");
    bench.type_into("Instruction", "Boil.");
    bench.type_into("Spoken version (optional)", "/nowhere.wav");
    press_on(&mut bench, "Add");
    assert!(bench.shows("cannot name a mode"), "{:?}", bench.values());
}

#[test]
fn the_clip_of_a_mode_can_be_recorded() {
    let mut bench = open(WIDE);
    settings_of(&mut bench);
    press_on(&mut bench, "Record");
    let Some(Command::RecordClip(to)) = bench.sent() else { panic!("nothing is recorded") };
    assert!(to.starts_with(bench.home.path()) && bench.shows("Recording, 0 s"));
    press_on(&mut bench, "Stop recording");
    assert_eq!(bench.sent(), Some(Command::EndClip));
    assert!(bench.shows(to.to_str().unwrap()), "the recording becomes the clip");
}

#[test]
fn notifications_can_be_snoozed_and_sound_alerts_removed() {
    let mut bench = open(WIDE);
    bench.report(Event::Sound { at: at(3), reply: ReplyId(3), name: "alarm".into(), count: 1 });
    bench.click("Alert me to “alarm”");
    settings_of(&mut bench);
    press_on(&mut bench, "Snooze for 5 minutes");
    assert!(bench.shows("Snoozed"));
    let boxes = bench.harness.query_all_by_role_and_label(Role::CheckBox, "Alert me to “alarm”").count();
    assert_eq!(boxes, 1, "each sound with an alert has a box");
    bench.harness.get_by_role_and_label(Role::CheckBox, "Alert me to “alarm”").click_accesskit();
    bench.harness.run_steps(12);
    assert!(saved(&bench, "settings.toml").contains("marked_sounds = []"), "{}", saved(&bench, "settings.toml"));
}

/// Returns true for the roles of controls.
fn acts(role: Role) -> bool {
    matches!(role, Role::Button | Role::CheckBox | Role::Slider | Role::TextInput | Role::RadioButton | Role::ComboBox)
}

/// Returns the names of the controls that Tab reaches.
fn reached_by_tab(bench: &mut Bench) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    for _ in 0..150 {
        bench.harness.key_press(Key::Tab);
        bench.harness.step();
        bench.harness.step();
        let focused = bench.harness.root().children_recursive().find(|node| node.accesskit_node().is_focused());
        reached.extend(focused.and_then(|node| node.accesskit_node().label()));
    }
    reached
}

/// Returns the names of the enabled controls.
fn controls(bench: &Bench) -> BTreeSet<String> {
    let nodes = bench.harness.root().children_recursive();
    let able = nodes.filter(|n| acts(n.accesskit_node().role()) && !n.accesskit_node().is_disabled());
    able.filter_map(|n| n.accesskit_node().label()).collect()
}

#[test]
fn every_control_has_a_name_and_is_reached_by_the_keyboard() {
    let first = "[window]\nlanguage = \"en\"\n";
    let later = "[window]\nwelcomed = true\nlanguage = \"en\"\n";
    type State = (&'static str, [f32; 2], &'static str, fn(&mut Bench));
    let states: [State; 5] = [
        ("first start", WIDE, first, |_| {}),
        ("listening", WIDE, later, |_| {}),
        ("narrow", [420.0, 600.0], later, |_| {}),
        ("settings", WIDE, later, |bench| settings_of(bench)),
        ("export", WIDE, later, |bench| bench.press(Modifiers::COMMAND, Key::E)),
    ];
    for (name, size, text, prepare) in states {
        let mut bench = open_with(size, text);
        bench.reply("transcribe", 2, "good morning", None);
        bench.reply("dialog", 3, "Good morning.", Some(Emotion::Happy));
        bench.report(Event::Sound { at: at(9), reply: ReplyId(9), name: "alarm".into(), count: 1 });
        prepare(&mut bench);
        assert_eq!(bench.harness.unnamed_widgets(), Vec::<String>::new(), "{name}");
        let there = controls(&bench);
        assert!(there.len() >= 3, "{name}: {there:?}");
        let reached = reached_by_tab(&mut bench);
        let missed: Vec<&String> = there.iter().filter(|label| !reached.contains(*label)).collect();
        // Controls behind an open card need not be reached.
        if !["first start", "export"].contains(&name) {
            assert!(missed.is_empty(), "{name}: {missed:?} of {there:?}, reached {reached:?}");
        } else {
            assert!(reached.len() >= 3, "{name}: {reached:?}");
        }
    }
}
