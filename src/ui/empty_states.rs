//! The states in which the middle of the window has nothing to show: a sentence in large letters and the buttons that go on from
//! there.

use egui::{Align, Layout, RichText, Ui, vec2};

use super::actions::{Action, Actions, Dialog};
use super::device_menu::DeviceMenu;
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::panels::{PANELS, is_hidden};
use super::strings::fill;
use super::theme;
use crate::audio::DeviceDirection;
use crate::config::WindowPrefs;
use crate::protocol::{DeviceChoice, Panel};
use crate::transcript::{InputState, NoticeKind, Transcript};

/// Font size of a state's title, in points.
const TITLE_SIZE: f32 = 22.0;
/// Largest width of a state's text, in points.
const WIDTH: f32 = 420.0;
/// Height of the icon of a missing microphone, in points, and the height of the middle below which it is left out.
const ICON: f32 = 48.0;
const ROOM_FOR_ICON: f32 = 240.0;
/// Height of a state's text and buttons, by which they are moved up from the middle, in points.
const TEXT_HEIGHT: f32 = 110.0;

/// A state in which the panels have nothing to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EmptyState {
    WithoutInput,
    Idle,
    AllHidden,
}

/// Returns the state that the middle of the window shows in place of the panels; `None` while the panels have something to show.
pub(super) fn empty_state(t: &Transcript, prefs: &WindowPrefs) -> Option<EmptyState> {
    let has_words = t.has_content();
    let is_hidden_used = |panel: &Panel| is_hidden(prefs, *panel);
    if t.input() == InputState::Lost && !has_words {
        Some(EmptyState::WithoutInput)
    } else if t.modes.is_empty() && !has_words && !t.model.is_empty() {
        Some(EmptyState::Idle)
    } else if PANELS.iter().all(is_hidden_used) {
        Some(EmptyState::AllHidden)
    } else {
        None
    }
}

/// Paints `state` in the middle of the room.
pub(super) fn empty_state_ui(
    ui: &mut Ui,
    state: EmptyState,
    data: &FrameData<'_>,
    prefs: &mut WindowPrefs,
    devices: &mut DeviceMenu,
    actions: &mut Actions,
) {
    let room = ui.available_size();
    let icon = state == EmptyState::WithoutInput && room.y >= ROOM_FOR_ICON;
    let height = TEXT_HEIGHT + if icon { ICON + theme::GROUP_GAP } else { 0.0 };
    egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.add_space(((room.y - height) / 2.0).max(0.0));
        ui.vertical_centered(|ui| {
            ui.set_max_width(WIDTH.min(room.x));
            match state {
                EmptyState::WithoutInput => {
                    if icon {
                        icons::mark(ui, Icon::MicrophoneOff, ICON, theme::Palette::of(ui.visuals()).fault);
                    }
                    no_microphone_ui(ui, data, devices, actions);
                }
                EmptyState::Idle => no_mode_ui(ui, data, actions),
                EmptyState::AllHidden => no_panel_ui(ui, data, prefs),
            }
        });
    });
}

fn title_ui(ui: &mut Ui, title: &str, text: &str) {
    ui.label(RichText::new(title).size(TITLE_SIZE).strong());
    if !text.is_empty() {
        ui.label(RichText::new(text).weak());
    }
    ui.add_space(theme::GROUP_GAP);
}

/// Paints the buttons of a state in the middle, in a row, or below each other where the row does not fit; each is a text with the
/// action of a click.
fn buttons_ui(ui: &mut Ui, buttons: Vec<(String, Action)>, actions: &mut Actions) {
    let padding = 2.0 * ui.spacing().button_padding.x;
    let gap = ui.spacing().item_spacing.x;
    let width = |text: &str| {
        let galley = egui::WidgetText::from(text).into_galley(ui, Some(egui::TextWrapMode::Extend), f32::INFINITY, egui::TextStyle::Button);
        galley.size().x + padding
    };
    let all: f32 = buttons.iter().map(|(text, _)| width(text) + gap).sum::<f32>() - gap;
    let wide = all <= ui.available_width();
    let layout = if wide { Layout::left_to_right(Align::Center) } else { Layout::top_down(Align::Center) };
    let size = vec2(if wide { all } else { ui.available_width() }, ui.spacing().interact_size.y);
    ui.allocate_ui_with_layout(size, layout, |ui| {
        for (text, action) in buttons {
            if ui.button(text).clicked() {
                actions.push(action);
            }
        }
    });
}

fn no_microphone_ui(ui: &mut Ui, data: &FrameData<'_>, devices: &mut DeviceMenu, actions: &mut Actions) {
    let s = data.s;
    title_ui(ui, s.no_input, s.plug_one_in);
    let mut buttons =
        vec![(s.choose_microphone.to_owned(), Action::Open(Dialog::Microphone)), (s.try_again.to_owned(), Action::RetryInput)];
    // The loudspeaker is listened to only if somebody asks for it.
    if let Some(monitor) = devices.monitor(ui.ctx()) {
        let choice = DeviceChoice::Named(monitor.id);
        buttons.push((s.listen_to_computer.to_owned(), Action::ChooseDevice { direction: DeviceDirection::Input, choice }));
    }
    buttons_ui(ui, buttons, actions);
    let reason = data.transcript.notices.iter().rev().find_map(|notice| match &notice.kind {
        NoticeKind::Problem { message, .. } => Some(message),
        _ => None,
    });
    if let Some(reason) = reason {
        ui.add_space(theme::GROUP_GAP);
        ui.collapsing(s.details, |ui| ui.label(RichText::new(s.reason(reason, None)).weak()));
    }
}

fn no_mode_ui(ui: &mut Ui, data: &FrameData<'_>, actions: &mut Actions) {
    title_ui(ui, data.s.nothing_on, data.s.nothing_on_hint);
    let modes = data.settings.modes.iter();
    let buttons = modes.map(|mode| (fill(data.s.switch_on, data.s.mode(&mode.name)), Action::ToggleMode(mode.name.clone())));
    buttons_ui(ui, buttons.collect(), actions);
}

fn no_panel_ui(ui: &mut Ui, data: &FrameData<'_>, prefs: &mut WindowPrefs) {
    title_ui(ui, data.s.nothing_shown, "");
    if ui.button(data.s.show_all).clicked() {
        prefs.hidden.retain(|name| !PANELS.iter().any(|panel| panel.name() == name));
    }
}
