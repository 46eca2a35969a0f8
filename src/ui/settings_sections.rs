//! The rows of the settings, section by section. Keys, diagnostics and the program itself are in [`super::settings_about`].

use std::path::PathBuf;
use std::time::Instant;

use egui::{Button, RichText, Slider, Ui};

use super::actions::{Action, Actions, Dialog};
use super::device_menu::DeviceMenu;
use super::file_dialog::FileQuestion;
use super::frame::FrameData;
use super::settings_rows::Rows;
use super::strings::fill;
use super::{captions, controls, theme, welcome};
use crate::audio::DeviceDirection;
use crate::config::prefs::{CaptionPrefs, Motion, ThemeChoice, UiLanguage, ZOOMS};
use crate::config::{HistoryPrefs, WindowPrefs};
use crate::protocol::models::ModelCard;
use crate::protocol::{Command, EchoChoice, Interrupt, ModelChoice, ReplyId, Speak, Switch, VoiceChoice};

/// Step of the slider of the zoom.
const ZOOM_STEP: f64 = 0.1;
/// Range of the slider of the days for which sessions are kept.
const HISTORY_DAYS: std::ops::RangeInclusive<u32> = 1..=365;
/// Range of the slider of the voice's speed, as a factor of normal speed.
const SPEEDS: std::ops::RangeInclusive<f32> = 0.5..=2.0;
/// Step of the slider of the voice's speed.
const SPEED_STEP: f64 = 0.05;
/// Reply id in the command that speaks the sample of the voice, which belongs to no reply.
const SAMPLE: ReplyId = ReplyId(0);
/// Width of the text field for the path of a model folder, in points.
const FOLDER_WIDTH: f32 = 200.0;

/// Paints language, appearance and zoom. `dragged_zoom` keeps the zoom while its slider is being dragged: a zoom that changed during
/// the drag would move the slider from under the pointer.
pub(super) fn general_ui(rows: &mut Rows<'_>, data: &FrameData<'_>, prefs: &mut WindowPrefs, dragged_zoom: &mut Option<f32>) {
    let s = data.s;
    let languages = [(UiLanguage::System, s.system), (UiLanguage::English, "English"), (UiLanguage::Chinese, "中文")];
    rows.choice(s.language, "", &mut prefs.language, &languages);
    let themes = [(ThemeChoice::System, s.system), (ThemeChoice::Light, s.light), (ThemeChoice::Dark, s.dark)];
    let mut theme = prefs.theme;
    rows.choice(s.theme, "", &mut theme, &themes);
    rows.row(s.text_size, s.zoom_help, |ui, id| {
        let mut percent = dragged_zoom.unwrap_or(ui.ctx().zoom_factor()) * 100.0;
        let range = ZOOMS.0 * 100.0..=ZOOMS.1 * 100.0;
        let slider = Slider::new(&mut percent, range).step_by(ZOOM_STEP * 100.0).suffix(" %");
        let slider = controls::slider(ui, slider).labelled_by(id);
        let zoom = (percent / 10.0).round() / 10.0;
        *dragged_zoom = slider.dragged().then_some(zoom);
        if slider.drag_stopped() || slider.changed() && !slider.dragged() {
            ui.ctx().set_zoom_factor(zoom);
        }
    });
    rows.whole(|ui| {
        if theme != prefs.theme {
            theme::choose(ui.ctx(), theme);
        }
    });
    prefs.theme = theme;
    let motions = [(Motion::System, s.system), (Motion::On, s.motion_on), (Motion::Off, s.motion_off)];
    rows.choice(s.motion, s.motion_help, &mut prefs.motion, &motions);
}

/// Paints microphone, speaker, the quiet gate and the processing of the input.
pub(super) fn listening_ui(rows: &mut Rows<'_>, data: &FrameData<'_>, devices: &mut DeviceMenu, actions: &mut Actions) {
    let s = data.s;
    let source = if data.transcript.source.is_empty() { s.choose } else { &data.transcript.source };
    rows.row(s.input, "", |ui, id| {
        let menu = ui.menu_button(source, |ui| devices.show(ui, s, DeviceDirection::Input, actions));
        menu.response.labelled_by(id);
    });
    rows.row(s.output_hint, "", |ui, id| {
        let menu = ui.menu_button(s.choose, |ui| devices.show(ui, s, DeviceDirection::Output, actions));
        menu.response.labelled_by(id);
    });
    let mut gate = data.settings.gate;
    if rows.switch(s.gate, s.gate_hint, &mut gate) {
        actions.push(Action::SetGate(if gate { Switch::On } else { Switch::Off }));
    }
    let mut voice = data.settings.voice;
    voice.noise_suppression = switched(rows, s.noise_suppression, "", voice.noise_suppression);
    voice.automatic_gain = switched(rows, s.automatic_gain, s.untouched, voice.automatic_gain);
    let echoes = [(EchoChoice::Auto, s.echo_auto), (EchoChoice::On, s.echo_on), (EchoChoice::Off, s.echo_off)];
    rows.choice(s.echo, s.echo_help, &mut voice.echo, &echoes);
    if voice != data.settings.voice {
        actions.push(Action::SetVoice(voice));
    }
}

fn switched(rows: &mut Rows<'_>, label: &str, help: &str, switch: Switch) -> Switch {
    let mut on = switch == Switch::On;
    rows.switch(label, help, &mut on);
    if on { Switch::On } else { Switch::Off }
}

/// Paints the settings of the voice. `dragged_speed` keeps the speed while its slider is being dragged, so that only the final one is
/// set.
pub(super) fn voice_ui(rows: &mut Rows<'_>, data: &FrameData<'_>, dragged_speed: &mut Option<f32>, actions: &mut Actions) {
    let s = data.s;
    let mut voice = data.settings.voice;
    let speaks = [(Speak::Always, s.speak_always), (Speak::Urgent, s.speak_urgent), (Speak::Asked, s.speak_asked)];
    rows.choice(s.speak_label, "", &mut voice.speak, &speaks);
    rows.row(s.voice, s.voice_help, |ui, _| {
        ui.selectable_value(&mut voice.voice, VoiceChoice::System, s.voice_system);
        ui.selectable_value(&mut voice.voice, VoiceChoice::None, s.voice_none);
        if ui.add_enabled(voice.voice != VoiceChoice::None, Button::new(s.voice_try)).clicked() {
            actions.send(Command::Say { reply: SAMPLE, text: s.voice_trial.into(), emotion: None });
        }
    });
    rows.row(s.voice_speed, "", |ui, id| {
        let mut speed = dragged_speed.unwrap_or(voice.speed);
        let slider = controls::slider(ui, Slider::new(&mut speed, SPEEDS).step_by(SPEED_STEP)).labelled_by(id);
        *dragged_speed = slider.dragged().then_some(speed);
        if dragged_speed.is_none() {
            voice.speed = speed;
        }
    });
    let mut cuts = voice.interrupt == Interrupt::Cut;
    rows.switch(s.interrupt, s.interrupt_hint, &mut cuts);
    voice.interrupt = if cuts { Interrupt::Cut } else { Interrupt::LetFinish };
    if voice != data.settings.voice {
        actions.push(Action::SetVoice(voice));
    }
}

/// Paints the settings of the captions.
pub(super) fn captions_ui(rows: &mut Rows<'_>, data: &FrameData<'_>, captions_open: &mut bool, prefs: &mut CaptionPrefs) {
    let s = data.s;
    rows.switch(s.captions_hint, "", captions_open);
    captions::settings_ui(rows, s, prefs);
}

/// Paints the settings of notifications, and the sounds with alerts and the hidden ones.
pub(super) fn notifications_ui(rows: &mut Rows<'_>, data: &FrameData<'_>, prefs: &mut WindowPrefs, actions: &mut Actions) {
    let s = data.s;
    rows.switch(s.notify, s.notify_hint, &mut prefs.notify);
    let snoozed = data.session.alerts().is_snoozed(Instant::now());
    if rows.action(s.pause_notifications, if snoozed { s.snoozed } else { "" }, s.snooze) {
        actions.push(Action::Snooze);
    }
    let help = if prefs.marked_sounds.is_empty() { s.no_marks } else { "" };
    rows.row(s.marked_sounds, help, |ui, _| names_ui(ui, &mut prefs.marked_sounds, s.mark_sound));
    if !prefs.muted_sounds.is_empty() {
        rows.row(s.muted_sounds, "", |ui, _| names_ui(ui, &mut prefs.muted_sounds, s.unmute));
    }
}

/// Paints what is kept of a conversation and for how long; `kept` is the footer's text on it.
pub(super) fn privacy_ui(rows: &mut Rows<'_>, data: &FrameData<'_>, prefs: &mut HistoryPrefs, kept: &str, actions: &mut Actions) {
    let s = data.s;
    rows.note(&format!("{} · {kept}", s.privacy));
    rows.switch(s.keep_history, &fill(s.history_lies, data.settings.paths.data.display()), &mut prefs.keep);
    let keep = prefs.keep;
    rows.row(s.keep_ever, "", |ui, id| {
        let mut forever = prefs.days == 0;
        ui.add_enabled_ui(keep, |ui| {
            if ui.checkbox(&mut forever, "").labelled_by(id).changed() {
                prefs.days = if forever { 0 } else { HistoryPrefs::default().days };
            }
        });
    });
    if prefs.days > 0 {
        rows.row(s.keep_days, "", |ui, id| {
            let slider = Slider::new(&mut prefs.days, HISTORY_DAYS).logarithmic(true);
            ui.add_enabled_ui(keep, |ui| drop(controls::slider(ui, slider).labelled_by(id)));
        });
    }
    rows.row(s.keep_audio, s.keep_audio_help, |ui, id| {
        ui.add_enabled_ui(keep, |ui| drop(ui.checkbox(&mut prefs.audio, "").labelled_by(id)));
    });
    if rows.action(s.history, "", s.history_open) {
        actions.push(Action::Open(Dialog::History));
    }
    rows.note(s.welcome_people);
}

/// Paints the model in use and the ways to another one. `folder` is the path of a model folder, as typed.
pub(super) fn model_ui(rows: &mut Rows<'_>, data: &FrameData<'_>, folder: &mut String, actions: &mut Actions) {
    let s = data.s;
    if rows.action(&fill(s.model_in_use, &data.transcript.model), "", s.models_hint) {
        actions.push(Action::Open(Dialog::Models));
    }
    let starter = data.settings.model == ModelChoice::Starter;
    rows.row(s.starter, s.starter_help, |ui, _| {
        if ui.add_enabled(!starter, Button::new(s.use_starter)).clicked() {
            actions.push(Action::ChooseModel(ModelChoice::Starter));
        }
    });
    rows.row(s.model_folder, s.model_folder_help, |ui, id| {
        ui.add(egui::TextEdit::singleline(folder).desired_width(FOLDER_WIDTH.min(ui.available_width()))).labelled_by(id);
        if ui.button(s.choose).clicked() {
            actions.push(Action::AskFile(FileQuestion::ModelFolder));
        }
        let path = PathBuf::from(folder.trim());
        if ui.add_enabled(path.is_absolute(), Button::new(s.load)).clicked() {
            actions.push(Action::ChooseModel(ModelChoice::Dir(path)));
        }
    });
}

/// Paints the abilities of the starter while it is in use, and of the larger model.
pub(super) fn about_models_ui(rows: &mut Rows<'_>, data: &FrameData<'_>, larger_model: Option<&ModelCard>) {
    rows.whole(|ui| {
        if data.settings.model == ModelChoice::Starter {
            welcome::starter_ui(ui, data.s);
        }
        welcome::larger_model_ui(ui, data.s, larger_model);
    });
}

/// Paints a checked box for each of `names` and removes the names that the user unchecks. `label`, with the name in place of `{}`, is
/// the text of the box.
fn names_ui(ui: &mut Ui, names: &mut Vec<String>, label: &str) {
    names.retain(|name| {
        let mut kept = true;
        ui.checkbox(&mut kept, RichText::new(fill(label, name)));
        kept
    });
}
