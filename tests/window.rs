//! The window, used through its accessibility tree: controls are found by their labels.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod window_bench;

use std::sync::{Arc, Mutex};

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use hearken::error::{Error, ErrorKind, Remedy};
use hearken::protocol::{Command, DeviceChoice, Emotion, Event, GapCause, Language, ModelChoice, ReplyId, Severity, Speak};
use hearken::time::ChunkIdx;
use hearken::ui::{FileAnswer, FileQuestion};
use window_bench::{Bench, at, open, open_with};

const WIDE: [f32; 2] = [1_200.0, 760.0];

/// Opens a window with the panels side by side.
fn open_columns(size: [f32; 2]) -> Bench {
    open_with(size, "[window]\nwelcomed = true\nlanguage = \"en\"\nview = \"columns\"\n")
}

fn saved(bench: &Bench) -> String {
    std::fs::read_to_string(bench.home.path().join("config/settings.toml")).unwrap()
}

#[test]
fn a_toggle_switches_its_mode_and_saves_the_choice() {
    let mut bench = open(WIDE);
    bench.click("Transcribe");
    assert_eq!(bench.sent(), Some(Command::ModeOff("transcribe".into())));
    bench.click("Translate");
    assert_eq!(bench.sent(), Some(Command::ModeOn("translate".into())));
    assert!(saved(&bench).contains("modes = ["), "{}", saved(&bench));
}

#[test]
fn pause_sends_its_command_and_becomes_resume() {
    let mut bench = open(WIDE);
    bench.click("Pause");
    assert_eq!(bench.sent(), Some(Command::Pause));
    bench.report(Event::Paused { at: at(3) });
    assert!(bench.shows("Paused"));
    bench.click("Resume");
    assert_eq!(bench.sent(), Some(Command::Resume));
}

#[test]
fn every_shortcut_acts_as_its_control() {
    let mut bench = open(WIDE);
    for (key, command) in [
        (Key::Escape, Command::CutReply),
        (Key::Num1, Command::ModeOff("dialog".into())),
        (Key::Num3, Command::ModeOn("translate".into())),
        (Key::Space, Command::Pause),
    ] {
        bench.press(Modifiers::NONE, key);
        assert_eq!(bench.sent(), Some(command), "{key:?}");
    }
    assert!(!bench.shows("Stop reply"), "there is no reply to stop");
    let (chunk, mode) = (ChunkIdx(2), "dialog".to_owned());
    bench.report(Event::ReplyStarted { at: at(2), reply: ReplyId(2), chunk, mode, emotion: None });
    bench.click("Stop reply");
    assert_eq!(bench.sent(), Some(Command::CutReply));
    bench.press(Modifiers::NONE, Key::M);
    assert!(matches!(bench.sent(), Some(Command::Voice(voice)) if voice.speak == Speak::Asked), "M mutes");
    bench.press(Modifiers::NONE, Key::M);
    assert!(matches!(bench.sent(), Some(Command::Voice(voice)) if voice.speak == Speak::Always), "M lets speak again");
    bench.press(Modifiers::COMMAND, Key::Comma);
    assert!(bench.shows("Appearance"));
    bench.press(Modifiers::NONE, Key::Escape);
    assert_eq!((bench.shows("Appearance"), bench.sent()), (false, None), "Escape closes an open window and cuts no reply");
    bench.press(Modifiers::NONE, Key::F11);
    assert!(bench.shows("Captions appear here."));
}

#[test]
fn mode_options_set_eagerness_and_target_language() {
    let mut starter = open(WIDE);
    starter.click("Translate options");
    starter.click("English");
    assert_eq!(starter.sent(), None, "the starter translates into Chinese only");
    let mut bench = open_with(WIDE, "model = \"/nowhere\"\n[window]\nwelcomed = true\nlanguage = \"en\"\n");
    bench.click("Translate options");
    bench.click("English");
    assert_eq!(bench.sent(), Some(Command::TranslateTo(Language::English)));
    assert!(saved(&bench).contains("translate_to = \"en\""));
    bench.click("Eager");
    assert_eq!(bench.sent(), Some(Command::Eagerness { mode: "translate".into(), bias: 2.0 }));
    bench.click("Normal");
    assert_eq!(bench.sent(), Some(Command::Eagerness { mode: "translate".into(), bias: 0.0 }));
    bench.click("Fine-tune");
    let slider = bench.harness.get_by_role_and_label(Role::Slider, "How often it responds");
    slider.focus();
    bench.settle();
    bench.press(Modifiers::NONE, Key::ArrowRight);
    assert_eq!(bench.sent(), Some(Command::Eagerness { mode: "translate".into(), bias: 0.5 }));
    assert!(saved(&bench).contains("translate = 0.5"), "{}", saved(&bench));
}

#[test]
fn the_microphone_menu_sends_the_choice() {
    let mut bench = open(WIDE);
    bench.click("test");
    bench.click("System default");
    assert_eq!(bench.sent(), Some(Command::ChooseInput(DeviceChoice::Default)));
}

#[test]
fn words_appear_in_their_panels_and_replies_below_their_prompts() {
    let mut bench = open_columns(WIDE);
    for empty in ["What is your name", "Your words appear here", "Try a cough"] {
        assert!(bench.shows(empty), "{empty}");
    }
    bench.reply("transcribe", 2, "what is", None);
    bench.reply("transcribe", 3, "your age", None);
    bench.reply("dialog", 4, " I am Hearken.", Some(Emotion::Urgent));
    assert!(bench.shows("I am Hearken.") && bench.shows("urgent"));
    assert!(bench.shows("you  “what is your age”"));
    bench.report(Event::Sound { at: at(40), reply: ReplyId(40), name: "dog bark".into(), count: 1 });
    bench.report(Event::Sound { at: at(41), reply: ReplyId(41), name: "dog bark".into(), count: 2 });
    assert!(bench.shows("dog bark ×2") && bench.shows("ongoing"));
    bench.reply("dialog", 42, "A dog?", Some(Emotion::Happy));
    assert!(bench.shows("heard: dog bark"));
    bench.reply("dialog", 90, "Hm.", None);
    assert!(bench.shows("a sound") && !bench.shows("ongoing"));
}

#[test]
fn the_menu_of_a_reply_lowers_eagerness_or_hides_its_sound() {
    let mut bench = open_columns(WIDE);
    bench.report(Event::Sound { at: at(3), reply: ReplyId(3), name: "dog bark".into(), count: 1 });
    bench.reply("dialog", 4, "A dog?", None);
    bench.click("More actions");
    bench.click("Answer less often");
    assert_eq!(bench.sent(), Some(Command::Eagerness { mode: "dialog".into(), bias: -1.0 }));
    bench.click("More actions");
    bench.click("Hide “dog bark”");
    assert!(saved(&bench).contains("muted_sounds = [\"dog bark\"]"), "{}", saved(&bench));
    assert!(bench.shows("Try a cough"), "the panel of sounds is empty again");
}

#[test]
fn the_bell_switches_the_alert_of_a_sound() {
    let mut bench = open_columns(WIDE);
    bench.report(Event::Sound { at: at(3), reply: ReplyId(3), name: "alarm".into(), count: 1 });
    bench.click("Alert me to “alarm”");
    assert!(bench.shows("alert on") && saved(&bench).contains("marked_sounds = [\"alarm\"]"));
    bench.click("Alert me to “alarm”");
    assert!(!bench.shows("alert on"));
}

#[test]
fn problems_are_shown_and_the_state_follows_the_input() {
    let mut bench = open(WIDE);
    let error = Error::new(ErrorKind::InputDevice, "USB mic: unplugged").with_remedy(Remedy::ChooseInput);
    bench.report(Event::InputLost { at: at(2) });
    bench.report(Event::problem(at(2), Severity::Warning, &error));
    assert!(
        bench.shows("Microphone problem: USB mic: unplugged. Plug in a microphone") && bench.shows("No microphone"),
        "{:?}",
        bench.values()
    );
    bench.report(Event::InputChanged { at: at(3), device: "USB mic".into(), rate_hz: 48_000, channels: 1 });
    assert!(bench.shows("Listening"));
    bench.report(Event::Gate { at: at(4), open: false, level_dbfs: -60.0 });
    assert!(bench.shows("Quiet") && bench.shows("since 0:01.6"));
}

#[test]
fn a_failed_switch_of_the_microphone_leaves_the_window_listening_on_the_old_one() {
    let mut bench = open(WIDE);
    let error = Error::new(ErrorKind::InputDevice, "USB mic: cannot be opened");
    bench.report(Event::problem(at(2), Severity::Warning, &error));
    assert!(bench.shows("USB mic: cannot be opened") && bench.shows("Listening"), "{:?}", bench.values());
    assert!(bench.shows("test") && !bench.shows("No microphone"), "the old microphone is still shown");
}

#[test]
fn notices_and_problems_are_in_the_language_of_the_window() {
    let mut bench = open_with(WIDE, "[window]\nwelcomed = true\nlanguage = \"zh\"\n");
    bench.report(Event::AudioGap { at: at(2), from_secs: at(1), samples: 8_000, cause: GapCause::DeviceLost });
    assert!(bench.shows("麦克风已断开") && !bench.shows("devicelost"), "{:?}", bench.values());
    bench.report(Event::ModelChanged { at: at(3), model: "other".into(), choice: None });
    assert!(bench.shows("现在使用 other"), "{:?}", bench.values());
}

#[test]
fn the_strip_has_an_accessible_description() {
    let mut bench = open(WIDE);
    for n in 1..5 {
        let (chunk, mode) = (ChunkIdx(n), "dialog".to_owned());
        bench.report(Event::Decision { at: at(n), chunk, mode, silent: n != 3, drained: false, margin: None });
    }
    assert!(bench.shows("Answer: 1 responses in 4 decisions"), "{:?}", bench.values());
}

#[test]
fn panels_can_be_hidden_and_shown_again() {
    let mut bench = open_columns(WIDE);
    bench.click("Hide Transcript");
    assert!(!bench.shows("Your words appear here") && saved(&bench).contains("hidden = [\"transcript\"]"));
    bench.click("View");
    bench.click("Transcript");
    assert!(bench.shows("Your words appear here"));
}

#[test]
fn a_narrow_window_has_tabs_below_status_and_strip() {
    let mut bench = open_columns([420.0, 560.0]);
    bench.reply("transcribe", 2, "some words", None);
    bench.click("Transcript");
    assert!(bench.shows("some words") && bench.shows("Listening") && bench.shows("Decisions."));
    bench.click("Conversation");
    assert!(!bench.shows("some words"));
}

#[test]
fn the_smallest_window_shows_one_panel_with_room_for_lines() {
    let mut bench = open_columns([320.0, 240.0]);
    bench.report(Event::ModesChanged { at: at(1), modes: ["dialog", "transcribe", "translate", "sounds"].map(str::to_owned).to_vec() });
    bench.reply("transcribe", 2, "what is your name", None);
    bench.reply("translate", 3, "你叫什么名字", None);
    bench.reply("dialog", 4, "I am Hearken.", None);
    bench.report(Event::Sound { at: at(5), reply: ReplyId(5), name: "alarm".into(), count: 1 });
    let tab = |bench: &mut Bench, title: &str| {
        bench.harness.get_by_role_and_label(Role::Button, title).click();
        bench.settle();
    };
    for (title, words) in
        [("Transcript", &["what is your name", "你叫什么名字"][..]), ("Conversation", &["I am Hearken."]), ("Sounds heard", &["alarm"])]
    {
        tab(&mut bench, title);
        let list = bench.harness.get_by_role_and_label(Role::Group, title).rect();
        assert!(list.height() >= 90.0, "{title} has room for four lines: {list:?}");
        for words in words {
            let line = bench.harness.get_all_by_label(words).map(|line| line.rect()).find(|line| list.intersects(*line));
            assert!(line.is_some_and(|line| line.right() <= 320.0 && line.bottom() <= 240.0), "{title}: {words} at {line:?}");
        }
        assert!(bench.shows("Listening") && bench.shows("Decisions.") && bench.shows("Nothing you say leaves this computer"));
    }
    bench.click("More");
    assert_eq!(bench.sent(), None);
    bench.click("Sounds");
    assert_eq!(bench.sent(), Some(Command::ModeOff("sounds".into())), "the modes are in the menu");
}

#[test]
fn a_low_window_has_tabs_at_any_width() {
    let mut bench = open_columns([1_000.0, 300.0]);
    bench.reply("transcribe", 2, "some words", None);
    bench.click("Transcript");
    assert!(bench.shows("some words"));
    bench.click("Conversation");
    assert!(!bench.shows("some words"));
}

#[test]
fn a_window_smaller_than_any_panel_still_paints() {
    for size in [[200.0, 150.0], [60.0, 40.0]] {
        let mut bench = open(size);
        bench.reply("dialog", 1, "a reply that is longer than the window is wide", None);
        bench.settle();
    }
}

#[test]
fn an_export_replaces_a_file_only_after_a_warning() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "good morning", None);
    bench.press(Modifiers::COMMAND, Key::E);
    bench.click("Subtitles (SRT)");
    bench.click("Save as…");
    let file = bench.home.path().join("out.srt");
    std::fs::write(&file, "mine").unwrap();
    let field = bench.harness.get_by_role_and_label(Role::TextInput, "File");
    field.focus();
    bench.settle();
    bench.press(Modifiers::COMMAND, Key::A);
    bench.type_into("File", file.to_str().unwrap());
    bench.click("Save");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert!(bench.shows("A file with this name already exists."), "{:?}", bench.values());
    bench.click("Replace");
    assert!(std::fs::read_to_string(&file).unwrap().contains("good morning") && bench.shows("Saved: ") && bench.shows("Show in folder"));
    assert!(!bench.shows("Export conversation"), "the dialog closes once it has done its work");
    bench.press(Modifiers::COMMAND, Key::E);
    bench.press(Modifiers::NONE, Key::Enter);
    bench.press(Modifiers::COMMAND, Key::A);
    let file = bench.home.path().join("typed.md");
    bench.harness.get_by_role_and_label(Role::TextInput, "File").type_text(file.to_str().unwrap());
    bench.press(Modifiers::NONE, Key::Enter);
    assert!(std::fs::read_to_string(&file).unwrap().contains("` good morning"), "the typed extension gives the format");
    assert!(bench.shows("Saved: "));
}

#[test]
fn an_export_goes_where_the_file_dialog_says() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "good morning", None);
    let (folder, asked) = (bench.home.path().to_owned(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&asked);
    bench.harness.state_mut().as_mut().unwrap().answer_file_dialogs(move |question| {
        seen.lock().unwrap().push(question.clone());
        FileAnswer::Chosen(folder.join("talk"))
    });
    bench.press(Modifiers::COMMAND, Key::E);
    bench.click("Markdown");
    bench.click("Save as…");
    let text = std::fs::read_to_string(bench.home.path().join("talk.md")).unwrap();
    assert!(text.contains("good morning") && bench.shows("talk.md") && !bench.shows("Export conversation"), "{text}");
    let asked = asked.lock().unwrap();
    assert!(matches!(&asked[..], [FileQuestion::Export { suggested, .. }] if suggested.extension().unwrap() == "md"), "{asked:?}");
}

#[test]
fn a_cancelled_file_dialog_leaves_the_export_open() {
    let mut bench = open(WIDE);
    bench.harness.state_mut().as_mut().unwrap().answer_file_dialogs(|_| FileAnswer::Cancelled);
    bench.press(Modifiers::COMMAND, Key::E);
    bench.click("Save as…");
    assert!(bench.shows("Export conversation") && !bench.shows("Saved: "));
    bench.click("Copy to clipboard");
    assert!(!bench.shows("Export conversation") && bench.shows("Copied"));
}

#[test]
fn an_error_in_the_settings_is_shown_with_its_line_and_the_window_opens() {
    let bench = open_with(WIDE, "[window]\nwelcomed = true\nlanguage = \"en\"\n[eagerness]\ndialog = \"much\"\n");
    assert!(bench.shows("settings.toml:5:") && bench.shows("Listening"), "{:?}", bench.values());
}

#[test]
fn the_window_can_be_in_chinese() {
    let mut bench = open_with(WIDE, "[window]\nwelcomed = true\nlanguage = \"zh\"\n");
    assert!(bench.shows("正在听"));
    bench.reply("transcribe", 2, "早上好，今天天气怎么样？", None);
    assert!(bench.shows("今天天气"));
    bench.press(Modifiers::COMMAND, Key::Comma);
    assert!(bench.shows("外观"));
}

#[test]
fn captions_show_the_newest_lines_with_translation() {
    let mut bench = open(WIDE);
    bench.press(Modifiers::NONE, Key::F11);
    for (n, text) in [(2, "one"), (20, "two"), (40, "three")] {
        bench.reply("transcribe", n, text, None);
    }
    bench.reply("translate", 41, "三", None);
    let count = |bench: &Bench, text: &str| bench.harness.query_all_by_label(text).count();
    assert_eq!((count(&bench, "one"), count(&bench, "three"), count(&bench, "三")), (1, 2, 2), "in the panel and in the captions");
    bench.click("Close the captions");
    assert_eq!(count(&bench, "three"), 1);
}

#[test]
fn lists_lay_out_visible_lines_only_and_follow_their_end() {
    let mut bench = open(WIDE);
    for n in 0..400 {
        bench.reply("transcribe", 2 + 10 * n, &format!("line number {n}."), None);
    }
    assert!(bench.shows("line number 399.") && !bench.shows("line number 3."), "the list is at its end");
    assert!(bench.harness.query_all_by_label_contains("line number").count() < 60);
    bench.harness.hover_at(egui::pos2(200.0, 400.0));
    bench.press(Modifiers::NONE, Key::PageUp);
    assert!(!bench.shows("line number 399."));
    bench.reply("transcribe", 5_000, "a new line", None);
    assert!(!bench.shows("a new line"), "a list that was scrolled up stays where it is");
    bench.click("1 new");
    assert!(bench.shows("a new line"));
}

#[test]
fn nothing_is_painted_while_it_is_quiet_or_paused() {
    for size in [WIDE, [460.0, 700.0], [200.0, 150.0]] {
        let mut bench = open(size);
        for n in 0..40 {
            bench.reply("transcribe", 20 * n + 2, "good morning to everybody who is here", None);
            bench.reply("dialog", 20 * n + 3, "Good morning.", Some(Emotion::Happy));
        }
        bench.report(Event::Sound { at: at(900), reply: ReplyId(900), name: "alarm".into(), count: 1 });
        bench.harness.run_steps(20);
        let next = |bench: &Bench| bench.harness.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
        assert!(next(&bench) <= std::time::Duration::from_millis(100), "the meter moves while there is sound");
        for still in [Event::Gate { at: at(920), open: false, level_dbfs: -60.0 }, Event::Paused { at: at(930) }] {
            bench.report(still);
            bench.harness.run_steps(20);
            assert_eq!(next(&bench), std::time::Duration::MAX, "{size:?}: {:?}", bench.harness.ctx.repaint_causes());
        }
        bench.report(Event::Resumed { at: at(930) });
        bench.report(Event::Gate { at: at(940), open: true, level_dbfs: -20.0 });
        bench.harness.run_steps(20);
        assert!(next(&bench) <= std::time::Duration::from_millis(100));
    }
}

#[test]
fn the_strip_has_a_tooltip_with_time_level_and_text() {
    let mut bench = open(WIDE);
    bench.meters.note_level(at(4), -31.4);
    bench.reply("dialog", 4, "I am Hearken.", None);
    let strip = bench.harness.get_by_label_contains("Decisions.").rect();
    // The newest column.
    bench.harness.hover_at(egui::pos2(strip.right() - 5.0, strip.center().y));
    bench.harness.run_steps(10);
    assert!(bench.shows("0:01.6 · 0.0 s ago · -31 dBFS\nAnswer: responded\nI am Hearken."), "{:?}", bench.values());
}

#[test]
fn an_export_as_json_lines_holds_the_reported_events() {
    let mut bench = open(WIDE);
    bench.reply("transcribe", 2, "good morning", None);
    bench.press(Modifiers::COMMAND, Key::E);
    bench.click("Raw events");
    bench.click("Save as…");
    let file = bench.home.path().join("out.jsonl");
    bench.harness.get_by_role_and_label(Role::TextInput, "File").focus();
    bench.settle();
    bench.press(Modifiers::COMMAND, Key::A);
    bench.type_into("File", file.to_str().unwrap());
    bench.press(Modifiers::NONE, Key::Enter);
    let text = std::fs::read_to_string(&file).unwrap();
    let events: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        matches!(&events[..], [Event::SessionStarted { .. }, Event::ReplyStarted { .. }, Event::ReplyFinished { text, .. }] if text == "good morning"),
        "{events:?}"
    );
}

#[test]
fn the_dragged_width_of_a_panel_is_saved() {
    let mut bench = open_columns(WIDE);
    bench.reply("dialog", 4, "I am Hearken.", None);
    // The margins of the window are 16 points wide.
    let edge = 1_184.0 - 0.44 * 1_168.0;
    let at = |x: f32| egui::pos2(x, 500.0);
    bench.harness.hover_at(at(edge));
    bench.settle();
    bench.harness.drag_at(at(edge));
    bench.settle();
    bench.harness.hover_at(at(edge - 150.0));
    bench.settle();
    bench.harness.drop_at(at(edge - 150.0));
    bench.settle();
    let text = saved(&bench);
    let share = text.lines().find_map(|line| line.strip_prefix("shares = [")?.split(',').next()?.parse::<f32>().ok());
    assert!(share.is_some_and(|share| (0.52..0.62).contains(&share)), "{text}");
}

#[test]
fn columns_keep_their_shares_at_a_saved_zoom() {
    for zoom in [0.7, 0.8, 1.0, 1.2, 1.5] {
        let mut bench = open_with(WIDE, &format!("[window]\nwelcomed = true\nlanguage = \"en\"\nview = \"columns\"\nzoom = {zoom}\n"));
        bench.reply("dialog", 4, "I am Hearken.", None);
        bench.settle();
        assert_eq!(bench.harness.ctx.zoom_factor(), zoom);
        let window = bench.harness.ctx.content_rect();
        let column = bench.harness.get_by_role_and_label(Role::Label, "Conversation").rect();
        let share = (window.right() - column.left()) / window.width();
        assert!((0.40..0.50).contains(&share), "at {zoom} the conversation has {share} of the window");
    }
}

#[test]
fn a_download_needs_every_licence_accepted() {
    let licence = |name: &str| format!("[[model.licence]]\nname = \"{name}\"\nsummary = \"S\"\ntext = \"https://example.org\"\n");
    let entry = "[[model]]\nname = \"3b\"\ntitle = \"My copy\"\nhub = \"me/copy\"\nabout_bytes = 5_000_000\n".to_owned();
    let entry = entry + &licence("House rules") + &licence("Garden rules");
    let settings = "[window]\nwelcomed = true\nlanguage = \"en\"\n";
    let mut bench = window_bench::open_in(tempfile::tempdir().unwrap(), [1_200.0, 1_000.0], settings, |home| {
        std::fs::create_dir_all(home.join("config")).unwrap();
        std::fs::write(home.join("config/catalog.toml"), entry).unwrap();
    });
    bench.click("fixture");
    assert!(bench.shows("My copy") && bench.shows("not downloaded"));
    let press = |bench: &mut Bench, label: &str| {
        bench.harness.get_by_label(label).click_accesskit();
        bench.settle();
    };
    press(&mut bench, "Get (5 MB)");
    let download = |bench: &Bench| bench.harness.get_by_role_and_label(Role::Button, "Download").accesskit_node().is_disabled();
    assert!(download(&bench), "nothing is accepted yet");
    press(&mut bench, "I accept the House rules");
    assert!(download(&bench), "one of two licences is not enough");
    press(&mut bench, "I accept the Garden rules");
    assert!(!download(&bench));
    press(&mut bench, "Cancel");
    assert!(!bench.shows("I accept"));
    press(&mut bench, "Use this model");
    assert_eq!(bench.sent(), Some(Command::ChooseModel(ModelChoice::Starter)));
    bench.press(Modifiers::NONE, Key::Escape);
    assert!(!bench.shows("My copy"));
}
