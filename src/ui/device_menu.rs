//! The menu of microphones or speakers, which lists the devices each time it is opened.

use std::sync::{Arc, Mutex};

use egui::Ui;

use super::actions::{Action, Actions};
use super::strings::Strings;
use crate::audio::{DeviceDirection, DeviceInfo, devices};
use crate::protocol::DeviceChoice;
use crate::supervise::{self, lock};

/// The state of the menu of microphones or of speakers between frames.
#[derive(Debug, Default)]
pub(super) struct DeviceMenu {
    /// Devices that the newest search has found; `None` until a search has ended.
    found: Arc<Mutex<Option<Vec<DeviceInfo>>>>,
    /// Number of egui's paint pass in which the menu was last painted. A menu painted in the pass before is still open and needs
    /// no new search.
    painted_in: Option<u64>,
}

impl DeviceMenu {
    /// Paints the entries of the menu: the default device, and the found devices of `direction`. Starts a search for devices when
    /// the menu was just opened. A click becomes an [`Action::ChooseDevice`].
    pub(super) fn show(&mut self, ui: &mut Ui, s: &Strings, direction: DeviceDirection, actions: &mut Actions) {
        self.keep_current(ui.ctx());
        let mut chosen = ui.button(s.default_input).clicked().then_some(DeviceChoice::Default);
        match &*lock(&self.found) {
            None => drop(ui.label(s.looking)),
            Some(devices) => {
                for device in devices.iter().filter(|device| device.direction == direction) {
                    if ui.button(&device.name).on_hover_text(&device.id).clicked() {
                        chosen = Some(DeviceChoice::Named(device.id.clone()));
                    }
                }
            }
        }
        if let Some(choice) = chosen {
            actions.push(Action::ChooseDevice { direction, choice });
            ui.close();
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
