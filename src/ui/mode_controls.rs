//! The controls of the modes: a toggle for each, and its options.

use egui::{CornerRadius, Ui, vec2};

use super::actions::{Action, Actions};
use super::controls::{self, Control, Look, icon_only};
use super::frame::FrameData;
use super::icons::Icon;
use super::keys::MODE_KEYS;
use super::strings::{Strings, fill};
use super::theme::{self, Palette};
use crate::config::Mode;
use crate::config::modes::{DIALOG, SOUNDS, TRANSCRIBE, TRANSLATE, language_of};
use crate::protocol::{Language, ModelChoice, Panel};

/// Width from which a low window ([`theme::is_low`]) has the toggles of the modes in its status bar, in points. A narrower low
/// window has the toggles in the menu.
const LOW_ROW: f32 = 880.0;
/// Width and height of the button that opens the options of a mode, in points.
const OPTIONS_SIZE: [f32; 2] = [22.0, 30.0];
/// Space around and between the modes in their group, in points.
const TRAY_MARGIN: i8 = 2;
/// Smallest width of the options of a mode, in points.
const OPTIONS_WIDTH: f32 = 260.0;
/// Width kept for the name of a mode in the menu, in points.
const MENU_TEXT_WIDTH: f32 = 64.0;
/// Number of toggles of modes in a row of the menu.
const MENU_COLUMNS: usize = 2;
/// Largest eagerness, up or down, that a mode's slider offers, as a bias on the respond logit. With a larger bias a mode answers
/// everything, or nothing.
const MAX_BIAS: f32 = 10.0;
/// Eagerness of the choices "reserved" and "eager", down and up, as a bias on the respond logit: some answers fewer or more.
const CLEAR_BIAS: f32 = 2.0;
/// Step of the slider of a mode's eagerness, as a bias on the respond logit.
const BIAS_STEP: f64 = 0.5;

/// Returns true if the main window is low ([`theme::is_low`]) and at least [`LOW_ROW`] wide, and thus has the toggles of the modes in
/// its status bar.
pub(super) fn modes_in_bar(ui: &Ui) -> bool {
    theme::is_low(ui.ctx()) && ui.ctx().content_rect().width() >= LOW_ROW
}

/// Paints the modes as one group: a toggle for each, which shows a tick while the mode is on, and a button for its options.
pub(super) fn mode_bar_ui(ui: &mut Ui, data: &FrameData<'_>, actions: &mut Actions) {
    let p = Palette::of(ui.visuals());
    let tray = egui::Frame::new().fill(p.sunken).stroke((theme::EDGE_WIDTH, p.edge));
    tray.corner_radius(theme::RADIUS + TRAY_MARGIN as u8).inner_margin(TRAY_MARGIN).show(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = [f32::from(TRAY_MARGIN); 2].into();
            for (number, mode) in data.settings.modes.iter().enumerate() {
                mode_ui(ui, data, mode, number, actions);
            }
        });
    });
}

/// Paints toggle and options of a mode, which stay together in one line, whatever the width.
fn mode_ui(ui: &mut Ui, data: &FrameData<'_>, mode: &Mode, number: usize, actions: &mut Actions) {
    let label = data.s.mode(&mode.name);
    let look = look_of(data, mode);
    let r = theme::RADIUS;
    let (left, right) = (CornerRadius { nw: r, sw: r, ne: 0, se: 0 }, CornerRadius { nw: 0, sw: 0, ne: r, se: r });
    let control = Control::new(icon_of(mode, look), &label).look(look).toggle().corners(left);
    let size = vec2(control.width(ui) + OPTIONS_SIZE[0], OPTIONS_SIZE[1]);
    ui.allocate_ui_with_layout(size, egui::Layout::left_to_right(egui::Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        let key = if number < MODE_KEYS.len() { format!(" ({})", number + 1) } else { String::new() };
        if control.show(ui).on_hover_text(format!("{}{key}", hint(data.s, mode))).clicked() {
            actions.push(Action::ToggleMode(mode.name.clone()));
        }
        let options = icon_only(ui, Icon::Down, &fill(data.s.mode_menu, &label), look, OPTIONS_SIZE.into(), right);
        egui::Popup::menu(&options)
            .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
            .show(|ui| mode_options_ui(ui, data, mode, actions));
    });
}

fn look_of(data: &FrameData<'_>, mode: &Mode) -> Look {
    if data.transcript.modes.contains(&mode.name) { Look::On } else { Look::Bare }
}

/// Returns the icon of a mode with `look`: a tick while it is on.
fn icon_of(mode: &Mode, look: Look) -> Icon {
    if look == Look::On { Icon::Check } else { icon_of_panel(mode.panel) }
}

/// Returns the icon of the content of `panel`.
pub(super) const fn icon_of_panel(panel: Panel) -> Icon {
    match panel {
        Panel::Conversation => Icon::Reply,
        Panel::Transcript => Icon::Words,
        Panel::Translation => Icon::Languages,
        Panel::Sounds => Icon::Sound,
    }
}

/// Paints the toggles of all modes for a menu, without the modes' options, which the settings window has too.
pub(super) fn mode_menu_ui(ui: &mut Ui, data: &FrameData<'_>, actions: &mut Actions) {
    for row in data.settings.modes.chunks(MENU_COLUMNS) {
        ui.horizontal(|ui| {
            for mode in row {
                let look = look_of(data, mode);
                let shown = if look == Look::On { look } else { Look::Plain };
                let label = data.s.mode(&mode.name);
                let toggle = Control::new(icon_of(mode, look), &label).look(shown).toggle().min_text_width(MENU_TEXT_WIDTH);
                if toggle.show(ui).on_hover_text(hint(data.s, mode)).clicked() {
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
    ui.label(theme::bold(hint(s, mode), theme::BODY));
    ui.add_space(theme::EDGE);
    eagerness_ui(ui, data, mode, actions);
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

/// Paints three choices of the eagerness of a mode, and a slider for the values between them.
fn eagerness_ui(ui: &mut Ui, data: &FrameData<'_>, mode: &Mode, actions: &mut Actions) {
    let s = data.s;
    ui.label(s.eagerness);
    let mut bias = mode.eagerness;
    ui.horizontal(|ui| {
        for (value, label) in [(-CLEAR_BIAS, s.eagerness_low), (0.0, s.eagerness_normal), (CLEAR_BIAS, s.eagerness_high)] {
            ui.radio_value(&mut bias, value, label);
        }
    });
    egui::CollapsingHeader::new(s.eagerness_fine).id_salt((&mode.name, "fine")).show(ui, |ui| {
        let slider = egui::Slider::new(&mut bias, -MAX_BIAS..=MAX_BIAS).step_by(BIAS_STEP).text(s.eagerness);
        controls::slider(ui, slider).on_hover_text(s.eagerness_hint);
    });
    if bias != mode.eagerness {
        actions.push(Action::SetEagerness { mode: mode.name.clone(), bias });
    }
}
