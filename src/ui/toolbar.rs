//! The tools in the header: buttons and menus in a wide window, one menu for the rarer ones in a compact window.

use egui::Ui;

use super::actions::{Action, Actions, Dialog};
use super::alerts::DoNotDisturb;
use super::controls::{Control, Look};
use super::device_menu::DeviceMenu;
use super::file_dialog::FileQuestion;
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::mode_controls::{mode_menu_ui, modes_in_bar};
use super::session_state::is_replying;
use super::view_menu::view_menu_ui;
use super::{theme, voice_ui};
use crate::audio::DeviceDirection;
use crate::config::WindowPrefs;
use crate::protocol::Command;

/// Height of a compact window that the content of the menu cannot use, in points: that of the header above the menu and of the
/// menu's frame.
const ABOVE_MENU: f32 = 64.0;
/// Smallest width of the menu of a compact window, in points.
const MENU_WIDTH: f32 = 180.0;
/// Smallest height of the content of the menu of a compact window, in points.
const MIN_MENU_HEIGHT: f32 = 60.0;
/// Width kept for the text of the main button, in points.
const MAIN_TEXT_WIDTH: f32 = 68.0;
/// Largest width of the name of the model, in points.
const MODEL_WIDTH: f32 = 130.0;

/// Largest width of the progress of an audio file, in points.
const FILE_WIDTH: f32 = 170.0;

/// The inputs of the tools in the header: the preferences and intents that the tools change, and the state of "Do not disturb".
pub(super) struct Controls<'a> {
    pub(super) prefs: &'a mut WindowPrefs,
    pub(super) do_not_disturb: DoNotDisturb,
    pub(super) actions: &'a mut Actions,
}

/// Paints the menu of microphones, named after the source in use, with the level from 0 to 1, the button that opens or closes the
/// models page, and the progress of an audio file that is being heard, which opens its sheet.
pub(super) fn source_ui(ui: &mut Ui, data: &FrameData<'_>, devices: &mut DeviceMenu, level: Option<f32>, actions: &mut Actions) {
    let (s, t) = (data.s, data.transcript);
    devices.button_ui(ui, data, DeviceDirection::Input, level, actions);
    let name = data.download.unwrap_or(if t.model.is_empty() { s.model } else { &t.model });
    let model = Control::new(Icon::Model, name).max_text_width(MODEL_WIDTH).opens_menu().show(ui);
    if model.on_hover_text(format!("{}: {}", s.model, s.models_hint)).clicked() {
        actions.push(Action::Toggle(Dialog::Models));
    }
    if let Some(progress) = data.file {
        let file = Control::new(Icon::Ear, progress).max_text_width(FILE_WIDTH).show(ui);
        if file.on_hover_text(s.files.progress_hint).clicked() {
            actions.push(Action::Toggle(Dialog::File));
        }
    }
}

/// Paints the tools in the header of a wide window.
pub(super) fn tools_ui(ui: &mut Ui, data: &FrameData<'_>, controls: &mut Controls<'_>) {
    let s = data.s;
    stop_ui(ui, data, controls.actions);
    let paused = data.transcript.is_paused();
    let (icon, text, look) = if paused { (Icon::Play, s.resume, Look::Main) } else { (Icon::Pause, s.pause, Look::Large) };
    let main = Control::new(icon, text).look(look).min_text_width(MAIN_TEXT_WIDTH).show(ui);
    if main.on_hover_text(s.pause_hint).clicked() {
        controls.actions.push(Action::TogglePause);
    }
    ui.add_space(theme::EDGE);
    ui.spacing_mut().item_spacing.x = 0.0;
    voice_ui::voice_menu_ui(ui, data, controls.do_not_disturb, controls.actions);
    view_menu_ui(ui, data, controls.prefs, controls.actions);
    for (icon, label, hint, action) in [
        (Icon::Delete, s.delete_conversation, s.delete_conversation_hint, Action::DeleteConversation),
        (Icon::Export, s.export, s.export_hint, Action::Open(Dialog::Export)),
        (Icon::History, s.history, s.history_hint, Action::Open(Dialog::History)),
        (Icon::Captions, s.captions, s.captions_hint, Action::Toggle(Dialog::Captions)),
        (Icon::Settings, s.settings, s.settings_hint, Action::Toggle(Dialog::Settings)),
    ] {
        if icons::button(ui, icon, label, hint).clicked() {
            controls.actions.push(action);
        }
    }
    let more = icons::button(ui, Icon::More, s.more, s.more);
    egui::Popup::menu(&more).show(|ui| {
        let listen = Control::new(Icon::Ear, s.files.listen).look(Look::Bare).show(ui);
        if listen.on_hover_text(s.files.listen_hint).clicked() {
            controls.actions.push(Action::AskFile(FileQuestion::Recordings));
            ui.close();
        }
        let new = Control::new(Icon::NewConversation, s.new_conversation).look(Look::Bare).show(ui);
        if new.on_hover_text(s.new_conversation_hint).clicked() {
            controls.actions.push(Action::NewConversation);
            ui.close();
        }
    });
}

/// Paints the button that ends a reply, while there is one to end.
fn stop_ui(ui: &mut Ui, data: &FrameData<'_>, actions: &mut Actions) {
    if is_replying(data.transcript, data.readings) || data.transcript.speaking.is_some() {
        let stop = if theme::is_compact(ui.ctx()) {
            icons::button(ui, Icon::Stop, data.s.cut, data.s.cut_hint)
        } else {
            Control::new(Icon::Stop, data.s.cut).show(ui).on_hover_text(data.s.cut_hint)
        };
        if stop.clicked() {
            actions.send(Command::CutReply);
        }
    }
}

/// Paints the tools of a compact window: stop, pause, and a menu with the others.
pub(super) fn compact_tools_ui(
    ui: &mut Ui,
    data: &FrameData<'_>,
    devices: &mut DeviceMenu,
    level: Option<f32>,
    controls: &mut Controls<'_>,
) {
    let s = data.s;
    ui.spacing_mut().item_spacing.x = theme::EDGE;
    stop_ui(ui, data, controls.actions);
    let main = if data.transcript.is_paused() {
        Control::new(Icon::Play, s.resume).look(Look::On).show(ui).on_hover_text(s.pause_hint)
    } else {
        icons::button(ui, Icon::Pause, s.pause, s.pause_hint)
    };
    if main.clicked() {
        controls.actions.push(Action::TogglePause);
    }
    let more = icons::button(ui, Icon::Menu, s.more, s.more);
    egui::Popup::menu(&more).close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
        ui.set_min_width(MENU_WIDTH);
        // A menu higher than the window scrolls.
        let height = (ui.ctx().content_rect().height() - ABOVE_MENU).max(MIN_MENU_HEIGHT);
        egui::ScrollArea::vertical().max_height(height).show(ui, |ui| menu_ui(ui, data, devices, level, controls));
    });
}

fn menu_ui(ui: &mut Ui, data: &FrameData<'_>, devices: &mut DeviceMenu, level: Option<f32>, controls: &mut Controls<'_>) {
    let s = data.s;
    if theme::is_low(ui.ctx()) && !modes_in_bar(ui) {
        mode_menu_ui(ui, data, controls.actions);
        ui.separator();
    }
    source_ui(ui, data, devices, level, controls.actions);
    ui.horizontal(|ui| {
        voice_ui::voice_menu_ui(ui, data, controls.do_not_disturb, controls.actions);
        view_menu_ui(ui, data, controls.prefs, controls.actions);
    });
    ui.separator();
    for (icon, label, hint, action) in [
        (Icon::History, s.history, s.history_hint, Action::Open(Dialog::History)),
        (Icon::Export, s.export, s.export_hint, Action::Open(Dialog::Export)),
        (Icon::Captions, s.captions, s.captions_hint, Action::Toggle(Dialog::Captions)),
        (Icon::Ear, s.files.listen, s.files.listen_hint, Action::AskFile(FileQuestion::Recordings)),
        (Icon::NewConversation, s.new_conversation, s.new_conversation_hint, Action::NewConversation),
        (Icon::Delete, s.delete_conversation, s.delete_conversation_hint, Action::DeleteConversation),
        (Icon::Settings, s.settings, s.settings_hint, Action::Toggle(Dialog::Settings)),
    ] {
        if Control::new(icon, label).look(Look::Bare).show(ui).on_hover_text(hint).clicked() {
            controls.actions.push(action);
            ui.close();
        }
    }
}
