//! The rows of the settings: label and help at the left, control at the right, or one below the other where there is no room.

use egui::{Id, Layout, RichText, Slider, Ui, vec2};

use super::{controls, theme};
use crate::history::has_all_words;

/// Width below which the control of a row stands below its label, in points.
const STACKED_BELOW: f32 = 420.0;
/// Width of labels and help, as a share of the width of a row.
const LABEL_SHARE: f32 = 0.46;
/// Space between label and control, in points.
const COLUMN_GAP: f32 = 12.0;

/// The rows of one section of the settings, or those of them that contain the searched words.
pub(super) struct Rows<'a> {
    ui: &'a mut Ui,
    /// Searched text; empty without a search.
    query: &'a str,
    /// Title of the section.
    title: &'a str,
    /// Number of rows painted in this frame; none means that the section has no match.
    painted: usize,
}

impl<'a> Rows<'a> {
    /// Returns the rows of the section `title`, painted in `ui`; with a `query` only those that contain its words in title, label or
    /// help.
    pub(super) const fn new(ui: &'a mut Ui, title: &'a str, query: &'a str) -> Self {
        Self { ui, query, title, painted: 0 }
    }

    /// Returns the number of rows painted so far.
    pub(super) const fn painted(&self) -> usize {
        self.painted
    }

    /// Returns true while the user searches.
    pub(super) fn is_search(&self) -> bool {
        !self.query.trim().is_empty()
    }

    /// Paints a control with its label and one line of help (empty for none). `control` gets the id of the label, by which it is to be
    /// named.
    pub(super) fn row(&mut self, label: &str, help: &str, control: impl FnOnce(&mut Ui, Id)) {
        if !self.admits(label, help) {
            return;
        }
        let ui = &mut *self.ui;
        let width = ui.available_width();
        let label_ui = |ui: &mut Ui| {
            let id = ui.label(label).id;
            if !help.is_empty() {
                ui.label(RichText::new(help).weak().small());
            }
            id
        };
        ui.push_id(label, |ui| {
            if width < STACKED_BELOW {
                let id = label_ui(ui);
                ui.horizontal_wrapped(|ui| control(ui, id));
            } else {
                ui.horizontal_top(|ui| {
                    let left = vec2(width * LABEL_SHARE - COLUMN_GAP, 0.0);
                    let labels = ui.allocate_ui_with_layout(left, Layout::top_down(egui::Align::Min), |ui| {
                        ui.set_width(left.x);
                        // The text stands beside the middle of the control.
                        ui.add_space(theme::EDGE);
                        label_ui(ui)
                    });
                    ui.add_space(COLUMN_GAP);
                    ui.horizontal_wrapped(|ui| control(ui, labels.inner));
                });
            }
        });
        ui.add_space(theme::GAP);
    }

    /// Paints a check box. Returns true if the user has changed it in this frame.
    pub(super) fn switch(&mut self, label: &str, help: &str, on: &mut bool) -> bool {
        let mut changed = false;
        self.row(label, help, |ui, id| changed = ui.checkbox(on, "").labelled_by(id).changed());
        changed
    }

    /// Paints a choice of one of `options`, each with its text. Returns true if the user has chosen in this frame.
    pub(super) fn choice<T: Copy + PartialEq>(&mut self, label: &str, help: &str, value: &mut T, options: &[(T, &str)]) -> bool {
        let mut chosen = false;
        self.row(label, help, |ui, _| {
            for (option, text) in options {
                chosen |= ui.selectable_value(value, *option, *text).clicked();
            }
        });
        chosen
    }

    /// Paints a slider.
    pub(super) fn slider(&mut self, label: &str, help: &str, slider: Slider<'_>) {
        self.row(label, help, |ui, id| drop(controls::slider(ui, slider).labelled_by(id)));
    }

    /// Paints a button. Returns true if the user has clicked it in this frame.
    pub(super) fn action(&mut self, label: &str, help: &str, button: &str) -> bool {
        let mut clicked = false;
        self.row(label, help, |ui, _| clicked = ui.button(button).clicked());
        clicked
    }

    /// Paints a text in the whole width; not in a search.
    pub(super) fn note(&mut self, text: &str) {
        self.whole(|ui| drop(ui.label(RichText::new(text).weak().small())));
    }

    /// Paints content that is no row in the whole width; not in a search.
    pub(super) fn whole(&mut self, content: impl FnOnce(&mut Ui)) {
        if !self.is_search() {
            content(self.ui);
            self.ui.add_space(theme::GAP);
        }
    }

    /// Returns true if a row with these texts is to be painted, after the title of the section where the row is the first found.
    fn admits(&mut self, label: &str, help: &str) -> bool {
        if self.is_search() {
            let text = format!("{} {label} {help}", self.title);
            if !has_all_words(self.query, &text) {
                return false;
            }
            if self.painted == 0 {
                self.ui.add_space(theme::GAP);
                self.ui.label(theme::bold(self.title, theme::BODY));
            }
        }
        self.painted += 1;
        true
    }
}
