//! The controls of the modes: a toggle for each, and its options.

use egui::{Button, RichText, Ui, vec2};

use super::actions::{Action, Actions};
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::keys::MODE_KEYS;
use super::strings::{Strings, fill};
use super::theme;
use crate::config::Mode;
use crate::config::modes::{DIALOG, SOUNDS, TRANSCRIBE, TRANSLATE, language_of};
use crate::protocol::{Language, ModelChoice};

/// Width from which a low window ([`theme::is_low`]) has the toggles of the modes in its status bar, in points. A narrower low
/// window has the toggles in the menu.
const LOW_ROW: f32 = 880.0;
/// Width of the button that opens the options of a mode, in points.
const OPTIONS_SIDE: f32 = 20.0;
/// Smallest width of the options of a mode, in points.
const OPTIONS_WIDTH: f32 = 220.0;
/// Smallest width of a mode's toggle in the menu, in points.
const MENU_TOGGLE_WIDTH: f32 = 86.0;
/// Number of toggles of modes in a row of the menu.
const MENU_COLUMNS: usize = 2;
/// Largest eagerness, up or down, that a mode's slider offers, as a bias on the respond logit. With a larger bias a mode answers
/// everything, or nothing.
const MAX_BIAS: f32 = 10.0;
/// Step of the slider of a mode's eagerness, as a bias on the respond logit.
const BIAS_STEP: f64 = 0.5;

/// Returns true if the main window is low ([`theme::is_low`]) and at least [`LOW_ROW`] wide, and thus has the toggles of the modes in
/// its status bar.
pub(super) fn modes_in_bar(ui: &Ui) -> bool {
    theme::is_low(ui.ctx()) && ui.ctx().content_rect().width() >= LOW_ROW
}

/// Paints the modes in a row: for each a toggle that switches the mode on or off, and a button that opens the mode's options.
pub(super) fn mode_bar_ui(ui: &mut Ui, data: &FrameData<'_>, actions: &mut Actions) {
    for (number, mode) in data.settings.modes.iter().enumerate() {
        let label = data.s.mode(&mode.name);
        // Toggle and options button stay together in one line, whatever the width.
        let galley =
            egui::WidgetText::from(&label).into_galley(ui, Some(egui::TextWrapMode::Extend), f32::INFINITY, egui::TextStyle::Button);
        let width = galley.size().x + 2.0 * ui.spacing().button_padding.x + OPTIONS_SIDE;
        let size = vec2(width, ui.spacing().interact_size.y);
        ui.allocate_ui_with_layout(size, egui::Layout::left_to_right(egui::Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            let key = if number < MODE_KEYS.len() { format!(" ({})", number + 1) } else { String::new() };
            toggle_ui(ui, data, mode, &key, actions);
            let options = icons::small(ui, Icon::More, &fill(data.s.mode_menu, &label), data.s.eagerness);
            egui::Popup::menu(&options)
                .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
                .show(|ui| mode_options_ui(ui, data, mode, actions));
        });
    }
}

fn toggle_ui(ui: &mut Ui, data: &FrameData<'_>, mode: &Mode, key: &str, actions: &mut Actions) {
    let on = data.transcript.modes.contains(&mode.name);
    let mut text = RichText::new(data.s.mode(&mode.name));
    if !on {
        text = text.weak();
    }
    let toggle = ui.add(Button::selectable(on, text).frame_when_inactive(true));
    if toggle.on_hover_text(format!("{}{key}", hint(data.s, mode))).clicked() {
        actions.push(Action::ToggleMode(mode.name.clone()));
    }
}

/// Paints the toggles of all modes for a menu, without the modes' options, which the settings window has too.
pub(super) fn mode_menu_ui(ui: &mut Ui, data: &FrameData<'_>, actions: &mut Actions) {
    for row in data.settings.modes.chunks(MENU_COLUMNS) {
        ui.horizontal(|ui| {
            for mode in row {
                let on = data.transcript.modes.contains(&mode.name);
                let toggle =
                    Button::selectable(on, data.s.mode(&mode.name)).frame_when_inactive(true).min_size(vec2(MENU_TOGGLE_WIDTH, 0.0));
                if ui.add(toggle).on_hover_text(hint(data.s, mode)).clicked() {
                    actions.push(Action::ToggleMode(mode.name.clone()));
                }
            }
        });
    }
}

fn hint(s: &Strings, mode: &Mode) -> String {
    match mode.name.as_str() {
        DIALOG => s.dialog_hint.into(),
        TRANSCRIBE => s.transcribe_hint.into(),
        TRANSLATE => s.translate_hint.into(),
        SOUNDS => s.sounds_hint.into(),
        _ => mode.instruction.clone().unwrap_or_default(),
    }
}

/// Paints the options of a mode: its eagerness, and for the mode `translate` the target language.
pub(super) fn mode_options_ui(ui: &mut Ui, data: &FrameData<'_>, mode: &Mode, actions: &mut Actions) {
    let s = data.s;
    ui.set_min_width(OPTIONS_WIDTH);
    let mut bias = mode.eagerness;
    let slider = egui::Slider::new(&mut bias, -MAX_BIAS..=MAX_BIAS).step_by(BIAS_STEP).text(s.eagerness);
    if ui.add(slider).on_hover_text(s.eagerness_hint).changed() {
        actions.push(Action::SetEagerness { mode: mode.name.clone(), bias });
    }
    if mode.name != TRANSLATE {
        return;
    }
    let language = language_of(&data.settings.modes);
    ui.horizontal(|ui| {
        ui.label(s.into);
        if ui.radio(language == Language::Chinese, s.chinese).clicked() {
            actions.push(Action::TranslateTo(Language::Chinese));
        }
        let starter = data.settings.model == ModelChoice::Starter;
        let english = ui.add_enabled(!starter, egui::RadioButton::new(language == Language::English, s.english));
        if english.on_disabled_hover_text(s.starter_chinese).clicked() {
            actions.push(Action::TranslateTo(Language::English));
        }
    });
}
