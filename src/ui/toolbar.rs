//! The tools in the status bar: buttons and menus in a wide window, one menu for the rarer ones in a compact window.

use egui::{RichText, Ui};

use super::actions::{Action, Actions, Dialog};
use super::alerts::DoNotDisturb;
use super::device_menu::DeviceMenu;
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::mode_controls::{mode_menu_ui, modes_in_bar};
use super::panels::{PANELS, is_hidden, toggle_hidden};
use super::{theme, voice_ui};
use crate::audio::DeviceDirection;
use crate::config::WindowPrefs;
use crate::protocol::Command;

/// Height of a compact window that the content of the menu cannot use, in points: that of the status bar above the menu and of the
/// menu's frame.
const ABOVE_MENU: f32 = 64.0;
/// Smallest width of the menu of a compact window, in points.
const MENU_WIDTH: f32 = 180.0;
/// Smallest height of the content of the menu of a compact window, in points.
const MIN_MENU_HEIGHT: f32 = 60.0;
/// Length to which the status bar cuts the name of the source, in characters.
const INPUT_CHARS: usize = 22;
/// Length to which the status bar cuts the name of the model, in characters.
const MODEL_CHARS: usize = 18;

/// The inputs of the tools in the status bar: the preferences and intents that the tools change, and the state of "Do not disturb".
pub(super) struct Controls<'a> {
    pub(super) prefs: &'a mut WindowPrefs,
    pub(super) do_not_disturb: DoNotDisturb,
    pub(super) actions: &'a mut Actions,
}

/// Paints the menu of microphones, named after the source in use, and the button that opens or closes the models page.
pub(super) fn source_ui(ui: &mut Ui, data: &FrameData<'_>, devices: &mut DeviceMenu, actions: &mut Actions) {
    let (s, t) = (data.s, data.transcript);
    let name = shorten(if t.source.is_empty() { s.input } else { &t.source }, INPUT_CHARS);
    let menu = ui.menu_button(name, |ui| devices.show(ui, s, DeviceDirection::Input, actions));
    menu.response.on_hover_text(format!("{}: {}", s.input, t.source));
    let model = shorten(data.download.unwrap_or(&t.model), MODEL_CHARS);
    let model = ui.button(RichText::new(model).weak());
    if model.on_hover_text(format!("{}: {}", s.model, s.models_hint)).clicked() {
        actions.push(Action::Toggle(Dialog::Models));
    }
}

/// Paints the tools in the status bar of a wide window, in a layout from right to left.
pub(super) fn tools_ui(ui: &mut Ui, data: &FrameData<'_>, controls: &mut Controls<'_>) {
    let s = data.s;
    let more = icons::button(ui, Icon::All, s.more, s.more);
    egui::Popup::menu(&more).show(|ui| {
        if ui.button(s.new_conversation).on_hover_text(s.new_conversation_hint).clicked() {
            controls.actions.push(Action::NewConversation);
        }
    });
    for (icon, label, hint, action) in [
        (Icon::Settings, s.settings, s.settings_hint, Action::Toggle(Dialog::Settings)),
        (Icon::Captions, s.captions, s.captions_hint, Action::Toggle(Dialog::Captions)),
        (Icon::History, s.history, s.history_hint, Action::Open(Dialog::History)),
        (Icon::Export, s.export, s.export_hint, Action::Open(Dialog::Export)),
        (Icon::Delete, s.delete_conversation, s.delete_conversation_hint, Action::DeleteConversation),
    ] {
        if icons::button(ui, icon, label, hint).clicked() {
            controls.actions.push(action);
        }
    }
    main_tools_ui(ui, data, controls.actions);
    voice_ui::voice_menu_ui(ui, data, controls.do_not_disturb, controls.actions);
    view_menu_ui(ui, data, controls.prefs, controls.actions);
}

/// Paints the buttons that a window of any size shows, pause and "stop reply", in a layout from right to left.
fn main_tools_ui(ui: &mut Ui, data: &FrameData<'_>, actions: &mut Actions) {
    let s = data.s;
    if icons::button(ui, Icon::Cut, s.cut, s.cut_hint).clicked() {
        actions.send(Command::CutReply);
    }
    let (icon, label) = if data.transcript.is_paused() { (Icon::Play, s.resume) } else { (Icon::Pause, s.pause) };
    if icons::button(ui, icon, label, s.pause_hint).clicked() {
        actions.push(Action::TogglePause);
    }
}

/// Paints the tools in the status bar of a compact window, in a layout from right to left: pause, "stop reply", and a menu with the
/// rarer tools.
pub(super) fn compact_tools_ui(ui: &mut Ui, data: &FrameData<'_>, devices: &mut DeviceMenu, controls: &mut Controls<'_>) {
    let more = icons::button(ui, Icon::All, data.s.more, data.s.more);
    egui::Popup::menu(&more).show(|ui| {
        ui.set_min_width(MENU_WIDTH);
        // A menu higher than the window scrolls.
        let height = (ui.ctx().content_rect().height() - ABOVE_MENU).max(MIN_MENU_HEIGHT);
        egui::ScrollArea::vertical().max_height(height).show(ui, |ui| menu_ui(ui, data, devices, controls));
    });
    main_tools_ui(ui, data, controls.actions);
}

fn menu_ui(ui: &mut Ui, data: &FrameData<'_>, devices: &mut DeviceMenu, controls: &mut Controls<'_>) {
    let s = data.s;
    if theme::is_low(ui.ctx()) && !modes_in_bar(ui) {
        mode_menu_ui(ui, data, controls.actions);
        ui.separator();
    }
    source_ui(ui, data, devices, controls.actions);
    voice_ui::voice_menu_ui(ui, data, controls.do_not_disturb, controls.actions);
    view_menu_ui(ui, data, controls.prefs, controls.actions);
    ui.separator();
    for (label, hint, action) in [
        (s.history, s.history_hint, Action::Open(Dialog::History)),
        (s.export, s.export_hint, Action::Open(Dialog::Export)),
        (s.captions, s.captions_hint, Action::Toggle(Dialog::Captions)),
        (s.new_conversation, s.new_conversation_hint, Action::NewConversation),
        (s.delete_conversation, s.delete_conversation_hint, Action::DeleteConversation),
        (s.settings, s.settings_hint, Action::Toggle(Dialog::Settings)),
    ] {
        if ui.button(label).on_hover_text(hint).clicked() {
            controls.actions.push(action);
        }
    }
}

/// Paints the menu with a box for each panel, which shows or hides the panel, and an item for each overlay.
fn view_menu_ui(ui: &mut Ui, data: &FrameData<'_>, prefs: &mut WindowPrefs, actions: &mut Actions) {
    let menu = ui.menu_button(data.s.view, |ui| {
        for panel in PANELS {
            let mut shown = !is_hidden(prefs, panel);
            if ui.checkbox(&mut shown, data.s.panel(panel)).clicked() {
                toggle_hidden(prefs, panel);
            }
        }
        ui.separator();
        for (label, hint, dialog) in
            [(data.s.captions, data.s.captions_hint, Dialog::Captions), (data.s.pill, data.s.pill_hint, Dialog::Pill)]
        {
            if ui.button(label).on_hover_text(hint).clicked() {
                actions.push(Action::Toggle(dialog));
            }
        }
    });
    menu.response.on_hover_text(data.s.show_panel);
}

/// Returns `text`, or if `text` is longer than `max` characters its beginning with an ellipsis at the end.
fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max { text.to_owned() } else { text.chars().take(max - 1).chain(['…']).collect() }
}
