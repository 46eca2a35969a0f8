//! The question before a deletion that cannot be undone: the safe button comes first and has the focus, and the deletion cannot be
//! clicked at once, so that a double-click deletes nothing.

use egui::{Align, Button, Id, Layout, Modal, RichText, Ui};

use super::dialogs::DIALOG_MARGIN;
use super::strings::Strings;
use super::theme;

/// Time since the question appeared, and since the last press of a mouse button, before the deletion can be clicked; in seconds.
const GUARD_SECS: f64 = 0.5;
/// Largest width of the question, in points.
const WIDTH: f32 = 400.0;

/// A question whether `what` is to be deleted, while it is open.
#[derive(Debug)]
pub(super) struct Confirmation<T> {
    /// The deletion that is asked about.
    pub(super) what: T,
    /// Time from which the deletion can be clicked, in seconds of egui's clock; `None` before the first frame.
    guarded_until: Option<f64>,
}

/// The user's answer to a [`Confirmation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Delete,
    Keep,
}

impl<T> Confirmation<T> {
    pub(super) const fn new(what: T) -> Self {
        Self { what, guarded_until: None }
    }

    /// Paints the question in the middle of the window, with a button to keep and a red one, labelled `delete`, at the other side.
    /// Returns the answer once there is one; Esc keeps.
    pub(super) fn show(&mut self, ui: &Ui, s: &Strings, question: &str, delete: &str) -> Option<Answer> {
        let (now, pressed) = ui.input(|i| (i.time, i.pointer.any_pressed()));
        let is_new = self.guarded_until.is_none();
        let mut until = self.guarded_until.unwrap_or(now + GUARD_SECS);
        if pressed && now < until {
            until = now + GUARD_SECS;
        }
        self.guarded_until = Some(until);
        if now < until {
            ui.ctx().request_repaint_after_secs((until - now) as f32);
        }
        let mut answer = None;
        let modal = Modal::new(Id::unique("confirm")).frame(egui::Frame::window(ui.style())).show(ui.ctx(), |ui| {
            ui.set_width(WIDTH.min(ui.ctx().content_rect().width() - DIALOG_MARGIN).max(0.0));
            ui.label(RichText::new(question).strong());
            ui.add_space(theme::GROUP_GAP);
            ui.horizontal(|ui| {
                let keep = ui.button(s.cancel);
                // A click beside it takes the focus away.
                if is_new || ui.memory(|m| m.focused().is_none()) {
                    keep.request_focus();
                }
                if keep.clicked() {
                    answer = Some(Answer::Keep);
                }
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let text = RichText::new(delete).color(ui.visuals().panel_fill).strong();
                    let button = Button::new(text).fill(theme::Palette::of(ui.visuals()).fault);
                    if ui.add_enabled(now >= until, button).clicked() {
                        answer = Some(Answer::Delete);
                    }
                });
            });
        });
        let escaped = modal.is_top_modal && ui.input_mut(|i| i.consume_key(egui::Modifiers::NONE, egui::Key::Escape));
        answer.or_else(|| escaped.then_some(Answer::Keep))
    }
}
