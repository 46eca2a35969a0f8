//! The settings window.

use std::path::PathBuf;
use std::time::Instant;

use egui::{RichText, Slider, Ui};

use super::actions::{Action, Actions, Dialog};
use super::device_menu::DeviceMenu;
use super::frame::FrameData;
use super::mode_editor::ModeEditor;
use super::strings::{TITLE, fill};
use super::{captions, theme, voice_ui, welcome};
use crate::audio::DeviceDirection;
use crate::config::prefs::{ThemeChoice, UiLanguage};
use crate::config::{HistoryPrefs, WindowPrefs};
use crate::protocol::models::ModelCard;
use crate::protocol::{ModelChoice, Switch};

/// Largest width and height of the settings window when opened, in points.
const MAX_SIZE: [f32; 2] = [480.0, 620.0];
/// Width of the main window that the settings window leaves free when opened, in points.
const SIDE_SPACE: f32 = 60.0;
/// Smallest width of the main window that the settings window leaves free when the user resizes it, in points.
const EDGE_SPACE: f32 = 40.0;
/// Distance by which the settings window opens to the left of the main window's middle, because of its margin, in points.
const LEFT_OFFSET: f32 = 16.0;
/// Height that the settings window leaves free in a low main window ([`theme::is_low`]): above, and above and below together, in
/// points.
const LOW_SPACE: [f32; 2] = [4.0, 84.0];
/// Height that the settings window leaves free in a main window that is not low ([`theme::is_low`]): above, and above and below
/// together, in points.
const SPACE: [f32; 2] = [40.0, 120.0];
/// Width of the text field for a model's folder, in points.
const FOLDER_WIDTH: f32 = 180.0;
/// Range of the slider of the window's zoom factor.
const ZOOMS: std::ops::RangeInclusive<f32> = 0.7..=2.5;
/// Step of the slider of the window's zoom factor.
const ZOOM_STEP: f64 = 0.1;
/// Range of the slider of the number of days for which the history is kept.
const HISTORY_DAYS: std::ops::RangeInclusive<u32> = 1..=365;

/// The state of the settings window between frames.
#[derive(Debug, Default)]
pub(super) struct SettingsWindow {
    pub(super) open: bool,
    /// Path of the folder of a model to load, as typed.
    model_folder: String,
    /// Speed of the voice while the user drags the slider, to be set when the user lets go; else `None`.
    dragged_speed: Option<f32>,
    /// Editor of the user's own modes.
    editor: ModeEditor,
}

/// The inputs of the settings window in one frame: the preferences that the window changes directly, and data that it only shows.
pub(super) struct SettingsInputs<'a> {
    pub(super) prefs: &'a mut WindowPrefs,
    pub(super) history_prefs: &'a mut HistoryPrefs,
    /// True while the captions window is open.
    pub(super) captions_open: &'a mut bool,
    /// Menu of microphones.
    pub(super) devices: &'a mut DeviceMenu,
    /// Footer's text on how the history is kept.
    pub(super) kept: &'a str,
    /// Card of the released 3B model; `None` if the catalogue of models could not be read.
    pub(super) larger_model: Option<&'a ModelCard>,
}

impl SettingsWindow {
    /// If the user has dropped files on the main window, opens the settings and sets the first file as the audio clip of the mode in
    /// the mode editor. Else does nothing.
    pub(super) fn take_dropped_file(&mut self, ui: &Ui) {
        let dropped = ui.input(|i| i.raw.dropped_files.iter().map(|file| file.path().to_path_buf()).next());
        if let Some(path) = dropped {
            self.editor.set_clip(&path);
            self.open = true;
        }
    }

    pub(super) fn show(&mut self, ui: &Ui, data: &FrameData<'_>, inputs: SettingsInputs<'_>, actions: &mut Actions) {
        if !self.open {
            return;
        }
        let (mut open, s, room) = (true, data.s, ui.ctx().content_rect());
        let [above, around] = if theme::is_low(ui.ctx()) { LOW_SPACE } else { SPACE };
        let height = (room.height() - around).max(theme::MIN_SCROLL_HEIGHT);
        let width = (room.width() - SIDE_SPACE).clamp(theme::MIN_WINDOW_WIDTH, MAX_SIZE[0]);
        egui::Window::new(s.settings)
            .open(&mut open)
            .default_size([width, height.min(MAX_SIZE[1])])
            .default_pos(room.center_top() + egui::vec2(-width / 2.0 - LEFT_OFFSET, above))
            .max_width((room.width() - EDGE_SPACE).max(theme::MIN_WINDOW_WIDTH))
            .collapsible(false)
            .show(ui.ctx(), |ui| {
                egui::ScrollArea::vertical()
                    .max_height(height)
                    .auto_shrink(false)
                    .show(ui, |ui| self.sections_ui(ui, data, inputs, actions));
            });
        self.open &= open;
    }

    fn sections_ui(&mut self, ui: &mut Ui, data: &FrameData<'_>, inputs: SettingsInputs<'_>, actions: &mut Actions) {
        let s = data.s;
        let SettingsInputs { prefs, history_prefs, captions_open, devices, kept, larger_model } = inputs;
        section(ui, s.general, |ui| general_ui(ui, data, prefs));
        section(ui, s.listen_section, |ui| {
            self.listening_ui(ui, data, devices, actions);
            if data.settings.model == ModelChoice::Starter {
                welcome::starter_ui(ui, s);
            }
            welcome::larger_model_ui(ui, s, larger_model);
        });
        section(ui, s.voice, |ui| voice_ui::voice_settings_ui(ui, data, &mut self.dragged_speed, actions));
        section(ui, s.modes_section, |ui| self.editor.show(ui, data, actions));
        section(ui, s.notifications, |ui| notifications_ui(ui, data, prefs, actions));
        section(ui, s.captions, |ui| {
            ui.checkbox(captions_open, s.captions_hint);
            captions::settings_ui(ui, data.s, &mut prefs.captions);
        });
        section(ui, s.history, |ui| history_ui(ui, data, history_prefs, actions));
        section(ui, s.about, |ui| about_ui(ui, data, kept));
    }

    fn listening_ui(&mut self, ui: &mut Ui, data: &FrameData<'_>, devices: &mut DeviceMenu, actions: &mut Actions) {
        let s = data.s;
        ui.horizontal_wrapped(|ui| {
            ui.menu_button(s.input, |ui| devices.show(ui, s, DeviceDirection::Input, actions));
            ui.menu_button(s.output_hint, |ui| devices.show(ui, s, DeviceDirection::Output, actions));
        });
        let mut gate = data.settings.gate;
        if ui.checkbox(&mut gate, s.gate).on_hover_text(s.gate_hint).clicked() {
            actions.push(Action::SetGate(if gate { Switch::On } else { Switch::Off }));
        }
        ui.horizontal_wrapped(|ui| {
            ui.label(s.model);
            if ui.button(s.starter).clicked() {
                actions.push(Action::ChooseModel(ModelChoice::Starter));
            }
            if ui.button(s.models).on_hover_text(s.models_hint).clicked() {
                actions.push(Action::Open(Dialog::Models));
            }
        });
        ui.horizontal_wrapped(|ui| {
            let label = ui.label(s.model_folder);
            ui.add(egui::TextEdit::singleline(&mut self.model_folder).desired_width(FOLDER_WIDTH)).labelled_by(label.id);
            let folder = PathBuf::from(self.model_folder.trim());
            if ui.add_enabled(folder.is_absolute(), egui::Button::new(s.load)).clicked() {
                actions.push(Action::ChooseModel(ModelChoice::Dir(folder)));
            }
        });
    }
}

fn general_ui(ui: &mut Ui, data: &FrameData<'_>, prefs: &mut WindowPrefs) {
    let s = data.s;
    ui.horizontal_wrapped(|ui| {
        ui.label(s.language);
        for (value, label) in [(UiLanguage::System, s.system), (UiLanguage::English, "English"), (UiLanguage::Chinese, "中文")] {
            ui.selectable_value(&mut prefs.language, value, label);
        }
    });
    ui.horizontal_wrapped(|ui| {
        ui.label(s.theme);
        for (value, label) in [(ThemeChoice::System, s.system), (ThemeChoice::Light, s.light), (ThemeChoice::Dark, s.dark)] {
            if ui.selectable_value(&mut prefs.theme, value, label).clicked() {
                theme::choose(ui.ctx(), value);
            }
        }
    });
    let mut zoom = ui.ctx().zoom_factor();
    let response = ui.add(Slider::new(&mut zoom, ZOOMS).step_by(ZOOM_STEP).text(s.text_size));
    // A zoom that changed during a drag would move the slider from under the pointer.
    if response.drag_stopped() || response.changed() && !response.dragged() {
        ui.ctx().set_zoom_factor(zoom);
    }
    ui.label(RichText::new(s.keys).strong());
    ui.label(RichText::new(s.keys_list).weak());
}

fn notifications_ui(ui: &mut Ui, data: &FrameData<'_>, prefs: &mut WindowPrefs, actions: &mut Actions) {
    let s = data.s;
    ui.checkbox(&mut prefs.notify, s.notify).on_hover_text(s.notify_hint);
    ui.horizontal(|ui| {
        if ui.button(s.snooze).clicked() {
            actions.push(Action::Snooze);
        }
        if data.session.alerts().is_snoozed(Instant::now()) {
            ui.label(RichText::new(s.snoozed).weak());
        }
    });
    ui.label(s.marked_sounds);
    if prefs.marked_sounds.is_empty() {
        ui.label(RichText::new(s.no_marks).weak());
    }
    names_ui(ui, &mut prefs.marked_sounds, s.mark_sound);
    if !prefs.muted_sounds.is_empty() {
        ui.label(s.muted_sounds);
        names_ui(ui, &mut prefs.muted_sounds, s.unmute);
    }
}

fn history_ui(ui: &mut Ui, data: &FrameData<'_>, prefs: &mut HistoryPrefs, actions: &mut Actions) {
    let s = data.s;
    ui.checkbox(&mut prefs.keep, s.keep_history);
    ui.add_enabled_ui(prefs.keep, |ui| {
        let mut forever = prefs.days == 0;
        if ui.checkbox(&mut forever, s.keep_ever).changed() {
            prefs.days = if forever { 0 } else { HistoryPrefs::default().days };
        }
        if !forever {
            ui.add(Slider::new(&mut prefs.days, HISTORY_DAYS).logarithmic(true).text(s.keep_days));
        }
        ui.checkbox(&mut prefs.audio, s.keep_audio);
    });
    ui.label(RichText::new(fill(s.history_lies, data.settings.paths.data.display())).weak());
    if ui.button(s.history_hint).clicked() {
        actions.push(Action::Open(Dialog::History));
    }
}

fn about_ui(ui: &mut Ui, data: &FrameData<'_>, kept: &str) {
    let s = data.s;
    ui.label(format!("{} · {kept}", s.privacy));
    ui.label(RichText::new(s.welcome_people).weak());
    ui.label(RichText::new(fill(s.settings_file, data.settings.paths.settings_file().display())).weak());
    ui.label(RichText::new(fill(s.version, env!("CARGO_PKG_VERSION"))).weak()).on_hover_text(TITLE);
}

fn section(ui: &mut Ui, title: &str, content: impl FnOnce(&mut Ui)) {
    ui.add_space(theme::GAP);
    ui.label(RichText::new(title).strong().size(theme::LARGE));
    ui.separator();
    content(ui);
    ui.add_space(theme::GAP);
}

/// Paints a checked box for each name in `names` and removes from `names` each name that the user unchecks. A box's text is `label`
/// with the name in place of `{}`.
fn names_ui(ui: &mut Ui, names: &mut Vec<String>, label: &str) {
    names.retain(|name| {
        let mut kept = true;
        ui.checkbox(&mut kept, fill(label, name));
        kept
    });
}
