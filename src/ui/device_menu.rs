//! The menu of microphones or speakers, which lists the devices each time it is opened.

use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};

use egui::{Rect, RichText, Role, Sense, Ui, WidgetInfo, pos2};

use super::actions::{Action, Actions};
use super::controls::Control;
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::strings::{Strings, fill};
use super::theme::{self, Palette};
use crate::audio::{DeviceDirection, DeviceInfo, devices};
use crate::config::SourceChoice;
use crate::protocol::{ChannelChoice, DeviceChoice};
use crate::supervise::{self, lock};
use crate::transcript::InputState;

/// The state of the menu of microphones or of speakers between frames.
#[derive(Debug, Default)]
pub(super) struct DeviceMenu {
    /// Devices that the newest search has found; `None` until a search has ended.
    found: Arc<Mutex<Option<Vec<DeviceInfo>>>>,
    /// Number of egui's paint pass in which the menu was last painted. A menu painted in the pass before is still open and needs
    /// no new search.
    painted_in: Option<u64>,
    /// Device that was chosen last, in this menu.
    chosen: Option<(DeviceDirection, DeviceChoice)>,
    /// Channels of the microphone that are heard; None in a menu that does not show them.
    channel: Option<ChannelChoice>,
}

/// Columns of the choice between the channels of a microphone.
const CHANNEL_COLUMNS: usize = 2;
/// Largest width of the name of the source on its button, in points.
const NAME_WIDTH: f32 = 180.0;
/// Smallest width of the menu, in points.
const MENU_WIDTH: f32 = 280.0;
/// Height of the line that shows the level, and its distance from the edges of the button, in points.
const LEVEL_LINE: f32 = 3.0;
const LEVEL_MARGIN: f32 = 8.0;

impl DeviceMenu {
    /// Paints the button of the menu, named after the source in use, with the level from 0 to 1; None while no sound passes.
    pub(super) fn button_ui(
        &mut self,
        ui: &mut Ui,
        data: &FrameData<'_>,
        direction: DeviceDirection,
        level: Option<f32>,
        actions: &mut Actions,
    ) {
        let (s, t) = (data.s, data.transcript);
        let name = if t.source.is_empty() { s.input } else { &t.source };
        let icon = match t.input() {
            InputState::Open => Icon::Microphone,
            InputState::Paused | InputState::Lost => Icon::MicrophoneOff,
        };
        let button = Control::new(icon, name).max_text_width(NAME_WIDTH).opens_menu().show(ui);
        level_line_ui(ui, s, button.rect, level);
        if self.chosen.is_none()
            && let SourceChoice::Microphone(choice) = &data.settings.source
        {
            self.chosen = Some((DeviceDirection::Input, choice.clone()));
        }
        self.channel = Some(data.settings.input_channel);
        let button = button.on_hover_text(format!("{}: {}", s.input, t.source));
        egui::Popup::menu(&button).close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
            ui.set_min_width(MENU_WIDTH);
            self.show(ui, s, direction, actions);
        });
    }

    /// Paints the entries of the menu: the default device, the found devices of `direction`, and apart from them the sound of this
    /// computer itself. Starts a search for devices when the menu was just opened. A click becomes an [`Action::ChooseDevice`].
    pub(super) fn show(&mut self, ui: &mut Ui, s: &Strings, direction: DeviceDirection, actions: &mut Actions) {
        self.keep_current(ui.ctx());
        let before = self.chosen.as_ref().filter(|(of, _)| *of == direction).map(|(_, choice)| choice.clone());
        let mut chosen = None;
        if ui.radio(before == Some(DeviceChoice::Default), s.default_input).clicked() {
            chosen = Some(DeviceChoice::Default);
        }
        match &*lock(&self.found) {
            None => drop(ui.label(s.looking)),
            Some(devices) => {
                let (own, others): (Vec<_>, Vec<_>) =
                    devices.iter().filter(|device| device.direction == direction).partition(|device| device.is_monitor);
                devices_ui(ui, &others, before.as_ref(), &mut chosen);
                if !own.is_empty() {
                    ui.separator();
                    ui.horizontal(|ui| {
                        icons::mark(ui, Icon::Computer, theme::BODY, ui.visuals().weak_text_color());
                        ui.label(RichText::new(s.computer_audio).weak().small());
                    });
                    devices_ui(ui, &own, before.as_ref(), &mut chosen);
                }
            }
        }
        if direction == DeviceDirection::Input {
            self.channels_ui(ui, s, before.as_ref(), actions);
        }
        if let Some(choice) = chosen {
            self.chosen = Some((direction, choice.clone()));
            actions.push(Action::ChooseDevice { direction, choice });
            ui.close();
        }
    }

    /// Paints the channels of the microphone `used`, if it has several, with those that are heard marked. A click becomes an
    /// [`Action::ChooseChannel`].
    fn channels_ui(&self, ui: &mut Ui, s: &Strings, used: Option<&DeviceChoice>, actions: &mut Actions) {
        let found = lock(&self.found);
        let is_used = |device: &&DeviceInfo| match used {
            None | Some(DeviceChoice::Default) => device.is_default,
            Some(choice) => is_first_of(choice, device),
        };
        let mut inputs = found.iter().flatten().filter(|device| device.direction == DeviceDirection::Input);
        let (Some(heard), Some(device)) = (self.channel, inputs.find(is_used)) else { return };
        if device.channels < 2 {
            return;
        }
        ui.separator();
        let mut chosen = heard;
        ui.radio_value(&mut chosen, ChannelChoice::All, s.all_channels);
        egui::Grid::new("channels").num_columns(CHANNEL_COLUMNS).show(ui, |ui| {
            for number in (1..=device.channels).filter_map(NonZeroU16::new) {
                ui.radio_value(&mut chosen, ChannelChoice::Only(number), fill(s.one_channel, number));
                if usize::from(number.get()).is_multiple_of(CHANNEL_COLUMNS) {
                    ui.end_row();
                }
            }
        });
        if chosen != heard {
            actions.push(Action::ChooseChannel(chosen));
        }
    }

    /// Returns the monitor of a loudspeaker, which delivers what the computer plays, once a search has found one. Starts a search if
    /// no list was shown in the previous paint pass.
    pub(super) fn monitor(&mut self, ctx: &egui::Context) -> Option<DeviceInfo> {
        self.keep_current(ctx);
        let found = lock(&self.found);
        found.as_ref()?.iter().find(|device| device.is_monitor).cloned()
    }

    /// Starts a search if no list was shown in the previous paint pass.
    fn keep_current(&mut self, ctx: &egui::Context) {
        let pass = ctx.cumulative_pass_nr();
        if self.painted_in.is_none_or(|last| last + 2 < pass) {
            self.search(ctx);
        }
        self.painted_in = Some(pass);
    }

    /// Starts a search for audio devices on a thread of its own, because a sound server may be slow; requests a repaint of `ctx`
    /// when the search has ended.
    fn search(&self, ctx: &egui::Context) {
        let (found, ctx) = (Arc::clone(&self.found), ctx.clone());
        let run = move || {
            // Without a sound system the list is empty; the state of the window reports that.
            let devices = devices().unwrap_or_default();
            *lock(&found) = Some(devices);
            ctx.request_repaint();
        };
        // Without a thread the list stays empty.
        let _ = supervise::spawn("hearken-devices", run);
    }
}

/// Paints an entry for each of `devices`; `used` is marked, a click becomes `chosen`.
fn devices_ui(ui: &mut Ui, devices: &[&DeviceInfo], used: Option<&DeviceChoice>, chosen: &mut Option<DeviceChoice>) {
    for device in devices {
        let choice = DeviceChoice::Named(device.id.clone());
        if ui.radio(used.is_some_and(|used| is_first_of(used, device)), &device.name).on_hover_text(&device.id).clicked() {
            *chosen = Some(choice);
        }
    }
}

/// Returns true if `choice` names `device` first, by its id or its name.
fn is_first_of(choice: &DeviceChoice, device: &DeviceInfo) -> bool {
    choice.names().first().is_some_and(|name| *name == device.id || name.to_lowercase() == device.name.to_lowercase())
}

/// Paints the level as a line along the lower edge of a button with the area `button`.
fn level_line_ui(ui: &Ui, s: &Strings, button: Rect, level: Option<f32>) {
    let p = Palette::of(ui.visuals());
    let bottom = button.bottom() - LEVEL_LINE;
    let rail = Rect::from_min_max(pos2(button.left() + LEVEL_MARGIN, bottom - LEVEL_LINE), pos2(button.right() - LEVEL_MARGIN, bottom));
    let response = ui.interact(rail, ui.scope_id().with("input level"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, s.level));
    if let Some(level) = level.filter(|level| *level > 0.0) {
        let lit = rail.with_max_x(rail.left() + rail.width() * level);
        ui.painter().rect_filled(lit, theme::RADIUS_BAR, p.listening);
    }
}
