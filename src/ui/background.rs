//! Hearken without its window in sight: closing to the tray, the commands of the tray, and a start in the tray.
//!
//! On X11, Windows and macOS the window is hidden and keeps all it shows. Wayland hides no window: there the window ends, listening
//! goes on, and opening it from the tray executes the process anew, as after a lost display.

use std::time::Duration;

use egui::{Id, Modal, RichText, Ui, ViewportCommand};

use super::display_loss;
use super::frame::FrameData;
use super::running_session::RunningSession;
use super::settings_rows::Rows;
use super::tray::{Tray, TrayCommand};
use super::{HearkenApp, overlay, theme};
use crate::config::autostart;
use crate::config::prefs::OnClose;
use crate::error::{Error, Result};
use crate::protocol::{Command, Switch};

/// Longest wait for a tray when Hearken starts with the session: the desktop may be starting as well.
const TRAY_LIMIT: Duration = Duration::from_secs(20);
/// Width of the question, in points.
const QUESTION_WIDTH: f32 = 420.0;

/// The state of closing between frames.
#[derive(Debug)]
pub(super) struct Background {
    pub(super) tray: Tray,
    /// True while the window asks what closing means.
    asking: bool,
    /// True once the user has quit, so that the next request to close is carried out.
    quitting: bool,
    /// True if Hearken starts with the session; None until it is looked up.
    autostart: Option<bool>,
    /// Reason why the start with the session could not be set.
    failed: Option<Error>,
}

impl HearkenApp {
    /// Counts the tray icon as shown, although no tray shows it; for tests.
    pub fn pretend_tray(&self) {
        self.background.tray.pretend_shown();
    }

    /// Carries out the commands of the tray, and a request to close the window. Returns true while the window is hidden, so that
    /// nothing of it is to be painted.
    pub(super) fn run_in_background(&mut self, ui: &Ui) -> bool {
        for command in self.background.tray.take_commands() {
            match command {
                TrayCommand::ToggleCaptions => self.captions.open = !self.captions.open,
                TrayCommand::Quit => self.quit(ui.ctx()),
            }
        }
        if ui.input(|i| i.viewport().close_requested()) {
            self.decide_closing(ui.ctx());
        }
        self.session.data.is_window_hidden()
    }

    /// Ends Hearken, hides its window or asks, as the user has chosen. Without a tray, and before the first card is read, it ends.
    fn decide_closing(&mut self, ctx: &egui::Context) {
        if self.background.quitting || !self.background.tray.is_shown() || !self.prefs.welcomed {
            return;
        }
        match self.prefs.on_close {
            OnClose::Quit => return,
            OnClose::Ask => self.background.asking = true,
            OnClose::Tray if !overlay::is_wayland() => self.hide(ctx),
            OnClose::Tray => return self.session.data.hide_window(),
        }
        ctx.send_viewport_cmd(ViewportCommand::CancelClose);
    }

    fn hide(&self, ctx: &egui::Context) {
        self.session.data.hide_window();
        if !overlay::is_wayland() {
            ctx.send_viewport_cmd(ViewportCommand::Visible(false));
        } else {
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
    }

    fn quit(&mut self, ctx: &egui::Context) {
        self.background.quitting = true;
        self.session.data.leave_tray();
        ctx.send_viewport_cmd(ViewportCommand::Close);
        ctx.request_repaint();
    }

    /// Shows the reason why the start with the session could not be set.
    pub(super) fn report_autostart(&mut self) {
        if let Some(error) = self.background.failed.take() {
            self.report_unsaved(Err(error));
        }
    }

    /// Paints the question what closing means, while it is open, and remembers the answer.
    pub(super) fn closing_ui(&mut self, ui: &Ui) {
        if !self.background.asking {
            return;
        }
        let s = self.s;
        let mut choice = None;
        let dialog = Modal::new(Id::unique("closing")).frame(egui::Frame::window(ui.style())).show(ui.ctx(), |ui| {
            ui.set_max_width(QUESTION_WIDTH);
            ui.label(RichText::new(s.close_ask).strong().size(theme::LARGE));
            ui.label(s.close_hint);
            ui.add_space(theme::GROUP_GAP);
            ui.horizontal_wrapped(|ui| {
                for (label, answer) in [(s.close_tray, OnClose::Tray), (s.close_quit, OnClose::Quit)] {
                    if ui.button(label).clicked() {
                        choice = Some(answer);
                    }
                }
            });
        });
        if let Some(choice) = choice {
            self.prefs.on_close = choice;
            self.background.asking = false;
            match choice {
                OnClose::Quit => self.quit(ui.ctx()),
                OnClose::Tray | OnClose::Ask => self.hide(ui.ctx()),
            }
        } else if dialog.should_close() {
            self.background.asking = false;
        }
    }
}

impl Background {
    pub(super) const fn new(tray: Tray) -> Self {
        Self { tray, asking: false, quitting: false, autostart: None, failed: None }
    }

    /// Paints the settings: the meaning of closing, where a tray is, and the start with the session.
    pub(super) fn settings_ui(&mut self, rows: &mut Rows<'_>, data: &FrameData<'_>, on_close: &mut OnClose) {
        let (s, paths) = (data.s, &data.settings.paths);
        if self.tray.is_shown() {
            let choices = [(OnClose::Ask, s.close_asks), (OnClose::Tray, s.close_keeps), (OnClose::Quit, s.close_quits)];
            rows.choice(s.close_label, "", on_close, &choices);
        }
        let was_on = *self.autostart.get_or_insert_with(|| autostart::is_on(paths));
        let mut on = was_on;
        rows.switch(s.autostart, s.autostart_hint, &mut on);
        if on != was_on {
            self.failed = autostart::set(paths, if on { Switch::On } else { Switch::Off }).err();
            self.autostart = Some(autostart::is_on(paths));
        }
    }
}

/// Waits in the tray until the window is asked for, on a start with the session. Returns false if the user has quit or listening has
/// ended; true at once where no tray shows the icon.
pub(super) fn wait_in_tray(session: &RunningSession, tray: &Tray) -> bool {
    if !tray.wait_until_shown(TRAY_LIMIT) {
        return true;
    }
    session.data.hide_window();
    session.engine.send(Command::RecordSession);
    let ended = || !session.data.is_window_hidden() || !session.engine.is_running();
    let command = tray.wait(ended);
    session.data.show_window();
    match command {
        Some(TrayCommand::Quit) => false,
        Some(command) => {
            tray.command(command);
            true
        }
        None => session.engine.is_running(),
    }
}

/// Goes on without a window that Wayland could not hide, until the user opens or quits Hearken from the tray.
///
/// # Errors
/// When the window cannot return.
pub(super) fn run_in_tray(session: &RunningSession, tray: &Tray) -> Result<()> {
    if wait_in_tray(session, tray) { Err(display_loss::reopen(session)) } else { Ok(()) }
}
