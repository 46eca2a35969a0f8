//! The choice of a microphone or a speaker, and the results of actions as text.

use egui::{Id, Modal, RichText, Ui};

use super::actions::Actions;
use super::device_menu::DeviceMenu;
use super::strings::Strings;
use super::theme;
use crate::audio::DeviceDirection;

/// Width of the dialog of devices, in points.
const DEVICES_WIDTH: f32 = 400.0;
/// Width of the main window that a dialog leaves free, both sides together, in points.
pub(super) const DIALOG_MARGIN: f32 = 48.0;

/// The result of an action of the user (saving, removing, downloading …) as a text for the window: a report of success, or the
/// reason of a failure.
pub(super) type Outcome = Result<String, String>;

/// Paints the dialog in which the user chooses a device of the direction `open`, and closes it once the user has chosen or dismissed
/// it. Does nothing while it is closed.
pub(super) fn devices_ui(ui: &Ui, s: &Strings, open: &mut Option<DeviceDirection>, devices: &mut DeviceMenu, actions: &mut Actions) {
    let Some(direction) = *open else { return };
    let dialog = Modal::new(Id::unique("devices")).frame(egui::Frame::window(ui.style())).show(ui.ctx(), |ui| {
        let room = ui.ctx().content_rect();
        ui.set_width(DEVICES_WIDTH.min(room.width() - DIALOG_MARGIN).max(0.0));
        ui.label(RichText::new(if direction == DeviceDirection::Input { s.input } else { s.output_hint }).strong());
        egui::ScrollArea::vertical().max_height(room.height() / 2.0).show(ui, |ui| devices.show(ui, s, direction, actions));
        ui.add_space(theme::GROUP_GAP);
        if ui.button(s.cancel).clicked() {
            ui.close();
        }
    });
    if dialog.should_close() {
        *open = None;
    }
}

/// Paints the text of an [`Outcome`], for a failure in the colour of faults. Paints nothing for `None`.
pub(super) fn outcome_ui(ui: &mut Ui, outcome: Option<&Outcome>) {
    match outcome {
        None => {}
        Some(Ok(text)) => drop(ui.label(text)),
        Some(Err(text)) => drop(ui.label(RichText::new(text).color(theme::Palette::of(ui.visuals()).fault))),
    }
}
