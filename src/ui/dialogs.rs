//! The question before a new conversation, and the results of actions as text.

use egui::{Id, Modal, RichText, Ui};

use super::actions::Actions;
use super::strings::Strings;
use super::theme;
use crate::protocol::Command;

/// Width of the question before a new conversation, in points.
const QUESTION_WIDTH: f32 = 400.0;
/// Width of the main window that a dialog leaves free, both sides together, in points.
pub(super) const DIALOG_MARGIN: f32 = 48.0;

/// The result of an action of the user (saving, removing, downloading …) as a text for the window: a report of success, or the
/// reason of a failure.
pub(super) type Outcome = Result<String, String>;

/// Paints the question before a new conversation, which removes the conversation from the model's context. Returns false once
/// the user has answered or dismissed the question.
pub(super) fn forget_ui(ui: &Ui, s: &Strings, actions: &mut Actions) -> bool {
    let dialog = Modal::new(Id::unique("forget")).frame(egui::Frame::window(ui.style())).show(ui.ctx(), |ui| {
        ui.set_max_width(QUESTION_WIDTH);
        ui.label(s.forget_ask);
        ui.add_space(theme::GROUP_GAP);
        ui.horizontal(|ui| {
            if ui.button(s.forget_yes).clicked() {
                actions.send(Command::Forget);
                ui.close();
            }
            if ui.button(s.cancel).clicked() {
                ui.close();
            }
        });
    });
    !dialog.should_close()
}

/// Paints the text of an [`Outcome`], for a failure in the colour of faults. Paints nothing for `None`.
pub(super) fn outcome_ui(ui: &mut Ui, outcome: Option<&Outcome>) {
    match outcome {
        None => {}
        Some(Ok(text)) => drop(ui.label(text)),
        Some(Err(text)) => drop(ui.label(RichText::new(text).color(theme::states(ui.visuals()).fault))),
    }
}
