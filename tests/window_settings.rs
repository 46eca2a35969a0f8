//! Settings and first card, and the names and keyboard access of all controls.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use std::collections::BTreeSet;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use hearken::model::starter_phrases;
use hearken::protocol::{Command, Emotion, Event, ModelChoice, ReplyId};
use hearken::ui::{FileAnswer, FileQuestion};
use window_bench::{Bench, at, open, open_with};

const WIDE: [f32; 2] = [1_200.0, 760.0];

fn saved(bench: &Bench, file: &str) -> String {
    std::fs::read_to_string(bench.home.path().join("config").join(file)).unwrap_or_default()
}

fn settings_of(bench: &mut Bench) {
    bench.press(Modifiers::COMMAND, Key::Comma);
    bench.harness.run_steps(10);
}

/// Opens the settings at the section `name`.
fn section_of(bench: &mut Bench, name: &str) {
    settings_of(bench);
    choose_section(bench, name);
}

/// Chooses a section in the list at the left of the settings.
fn choose_section(bench: &mut Bench, name: &str) {
    bench.harness.query_all_by_role_and_label(Role::Button, name).last().unwrap().click_accesskit();
    bench.harness.run_steps(6);
}

/// Clicks a control that may be scrolled out of view.
fn press_on(bench: &mut Bench, label: &str) {
    bench.harness.get_by_label(label).click_accesskit();
    bench.harness.run_steps(12);
}

#[test]
fn the_settings_tell_what_the_starter_understands() {
    let mut bench = open(WIDE);
    section_of(&mut bench, "Model");
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
    section_of(&mut bench, "Model");
    assert!(bench.shows("My copy") && bench.shows("3 GB memory · 7 GB download") && bench.shows("Licences: House rules"));
}

#[test]
fn the_catalogue_is_in_chinese_in_a_chinese_window() {
    let mut bench = open_with(WIDE, "[window]\nwelcomed = true\nlanguage = \"zh\"\n");
    section_of(&mut bench, "模型");
    assert!(bench.shows("下载 15 GB") && bench.shows("其基础模型 Qwen2.5-Omni-3B 的许可证"), "{:?}", bench.values());
    press_on(&mut bench, "fixture");
    for header in bench.harness.query_all_by_label("它能做什么") {
        header.click_accesskit();
    }
    bench.harness.run_steps(10);
    for text in ["内置", "把它们译成中文", "描述听到的声音"] {
        assert!(bench.shows(text), "{text}: {:?}", bench.values());
    }
    press_on(&mut bench, "获取（15 GB）");
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
    section_of(&mut bench, "Microphone and sound");
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
    section_of(&mut bench, "Modes");
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
    section_of(&mut bench, "Modes");
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
    section_of(&mut bench, "Modes");
    bench.type_into("Name (a to z)", "The Kettle");
    bench.type_into("Instruction", "Boil.");
    bench.type_into("Spoken version (optional)", "/nowhere.wav");
    press_on(&mut bench, "Add");
    assert!(bench.shows("cannot name a mode"), "{:?}", bench.values());
}

#[test]
fn the_clip_of_a_mode_can_be_recorded() {
    let mut bench = open(WIDE);
    section_of(&mut bench, "Modes");
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
    section_of(&mut bench, "Notifications");
    press_on(&mut bench, "Snooze for 5 minutes");
    assert!(bench.shows("Snoozed"));
    let boxes = bench.harness.query_all_by_role_and_label(Role::CheckBox, "Alert me to “alarm”").count();
    assert_eq!(boxes, 1, "each sound with an alert has a box");
    bench.harness.get_by_role_and_label(Role::CheckBox, "Alert me to “alarm”").click_accesskit();
    bench.harness.run_steps(12);
    assert!(saved(&bench, "settings.toml").contains("marked_sounds = []"), "{}", saved(&bench, "settings.toml"));
}

/// Words that only one section of the settings shows.
const SECTIONS: [(&str, &str); 11] = [
    ("General", "Start Hearken when you log in"),
    ("Microphone and sound", "Rest when it's quiet"),
    ("Voice", "Only urgent ones"),
    ("Modes", "Add a mode of your own"),
    ("Captions", "Opacity"),
    ("Notifications", "Sound alerts"),
    ("Privacy and history", "Also save audio"),
    ("Model", "Use a model folder"),
    ("Keys", "Stop the reply, or close what is open"),
    ("Diagnostics", "Context trims"),
    ("About", "Third-party licences"),
];

#[test]
fn each_section_of_the_settings_is_shown_alone_with_named_controls() {
    for size in [WIDE, [320.0, 240.0]] {
        let mut bench = open(size);
        settings_of(&mut bench);
        for (name, words) in SECTIONS {
            if size == WIDE {
                choose_section(&mut bench, name);
            } else {
                bench.harness.get_by_role_and_label(Role::ComboBox, "Section").click_accesskit();
                bench.harness.run_steps(6);
                bench.harness.query_all_by_role_and_label(Role::Button, name).last().unwrap().click_accesskit();
                bench.harness.run_steps(6);
            }
            assert!(bench.shows(words), "{size:?} {name}: {:?}", bench.values());
            assert_eq!(bench.harness.unnamed_widgets(), Vec::<String>::new(), "{name}");
            let others = SECTIONS.iter().filter(|(_, other)| *other != words && bench.shows(other)).count();
            assert_eq!(others, 0, "{size:?} {name}: {:?}", bench.values());
        }
    }
}

#[test]
fn the_search_of_the_settings_finds_rows_of_all_sections() {
    let mut bench = open(WIDE);
    settings_of(&mut bench);
    bench.type_into("Search settings", "ZOOM");
    assert!(
        bench.shows("Ctrl and + or − changes it anywhere") && bench.shows("Zoom 100 %") && !bench.shows("Opacity"),
        "{:?}",
        bench.values()
    );
    bench.press(Modifiers::COMMAND, Key::A);
    bench.type_into("Search settings", "noise sound");
    assert!(bench.shows("Noise suppression") && !bench.shows("Zoom 100 %"), "a word may be in the name of the section");
    bench.press(Modifiers::COMMAND, Key::A);
    bench.type_into("Search settings", "no such thing");
    assert!(bench.shows("No matches."));
}

#[test]
fn the_promise_in_the_footer_leads_to_the_settings_on_privacy() {
    let mut bench = open(WIDE);
    bench.click("Nothing you say leaves this computer");
    assert!(bench.shows("Save conversations") && bench.shows("Privacy and history"), "{:?}", bench.values());
}

#[test]
fn the_zoom_keys_stay_within_readable_sizes_and_are_saved() {
    let mut bench = open_with(WIDE, "[window]\nwelcomed = true\nlanguage = \"en\"\nzoom = 0.2\n");
    assert_eq!(bench.harness.ctx.zoom_factor(), 0.7, "a saved zoom that nobody can read is not used");
    let zoom = |bench: &mut Bench, key: Key, times: usize| {
        (0..times).for_each(|_| bench.press(Modifiers::COMMAND, key));
        bench.harness.ctx.zoom_factor()
    };
    assert_eq!(zoom(&mut bench, Key::Minus, 3), 0.7);
    assert_eq!(zoom(&mut bench, Key::Plus, 30), 2.5);
    assert!(saved(&bench, "settings.toml").contains("zoom = 2.5"));
    assert_eq!((zoom(&mut bench, Key::Num0, 1), zoom(&mut bench, Key::Plus, 1)), (1.0, 1.1));
    assert!(saved(&bench, "settings.toml").contains("zoom = 1.1"));
}

#[test]
fn one_sheet_is_open_at_a_time_and_escape_closes_it() {
    let mut bench = open(WIDE);
    section_of(&mut bench, "About");
    bench.press(Modifiers::COMMAND, Key::F);
    bench.harness.run_steps(10);
    let shows_history = |bench: &Bench| bench.harness.query_by_role_and_label(Role::TextInput, "Search").is_some();
    assert!(shows_history(&bench) && !bench.shows("Third-party licences"), "{:?}", bench.values());
    press_on(&mut bench, "fixture");
    assert!(bench.shows("You can keep using Hearken meanwhile.") && !shows_history(&bench), "{:?}", bench.values());
    bench.press(Modifiers::NONE, Key::Escape);
    assert!(!bench.shows("You can keep using Hearken meanwhile.") && bench.sent().is_none());
    bench.press(Modifiers::NONE, Key::Escape);
    assert_eq!(bench.sent(), Some(Command::CutReply), "nothing is left that Escape could close");
}

#[test]
fn diagnostics_are_copied_without_a_word_that_was_said() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "a secret", None);
    bench.report(Event::ContextTrimmed { at: at(4), mode: "dialog".into(), dropped_chunks: 40, positions: 512 });
    section_of(&mut bench, "Diagnostics");
    bench.harness.get_by_role_and_label(Role::Button, "Copy").click_accesskit();
    let copied = (0..3).find_map(|_| {
        bench.harness.step();
        bench.harness.output().platform_output.commands.iter().find_map(|command| match command {
            egui::OutputCommand::CopyText(text) => Some(text.clone()),
            _ => None,
        })
    });
    let copied = copied.expect("a text");
    assert!(copied.starts_with("Hearken ") && copied.contains("Context trims: 1") && copied.contains("Model: fixture"), "{copied}");
    assert!(!copied.contains("secret"), "{copied}");
}

#[test]
fn a_model_folder_and_a_clip_can_be_chosen_in_a_file_dialog() {
    let mut bench = open(WIDE);
    bench.harness.state_mut().as_mut().unwrap().answer_file_dialogs(|question| match question {
        FileQuestion::ModelFolder => FileAnswer::Chosen("/models/mine".into()),
        FileQuestion::Clip => FileAnswer::Chosen("/clips/kettle.wav".into()),
        FileQuestion::Export { .. } | FileQuestion::Recordings => FileAnswer::Cancelled,
    });
    section_of(&mut bench, "Model");
    press_on(&mut bench, "Choose…");
    assert!(bench.shows("/models/mine"), "{:?}", bench.values());
    press_on(&mut bench, "Use");
    assert_eq!(bench.sent(), Some(Command::ChooseModel(ModelChoice::Dir("/models/mine".into()))));
    choose_section(&mut bench, "Modes");
    press_on(&mut bench, "Choose…");
    assert!(bench.shows("/clips/kettle.wav"), "{:?}", bench.values());
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
