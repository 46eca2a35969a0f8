//! A past session in the history window: title, lines, and the controls to rename, export and delete the session.

use std::path::{Path, PathBuf};

use egui::{Key, RichText, TextEdit, Ui};

use super::actions::{Action, Actions};
use super::dialogs::unused_path;
use super::history_data::{OpenSession, StoredLine};
use super::history_window::DeletionRequest;
use super::panel_lines::{SMALL_TIME_HEIGHT, time_ui};
use super::strings::{Strings, TITLE, fill};
use super::theme;
use super::virtual_list::VirtualList;
use crate::config::ExportForm;
use crate::export::DocumentFormat;
use crate::files::Existing;
use crate::history::{HistoryQuery, SessionSummary, session_title};
use crate::protocol::Panel;
use crate::time::StreamTime;
use crate::time::wall::date_and_time;

/// The state of the view of a stored session between frames.
#[derive(Debug)]
pub(super) struct SessionView {
    /// Number of the session in the history.
    pub(super) id: i64,
    /// New name of the session while the user types one, else `None`.
    new_name: Option<String>,
    /// Path of the file to export to, as typed, while the controls of the export are open, else `None`.
    export_path: Option<String>,
    lines: VirtualList,
    /// Stream time of the search hit that the list of lines still has to scroll to; `None` once it has.
    scroll_to: Option<StreamTime>,
}

/// The read-only inputs of the view of a stored session in one frame.
pub(super) struct SessionInputs<'a> {
    pub(super) open: &'a OpenSession,
    /// Seconds by which local time is ahead of UTC.
    pub(super) offset_secs: i64,
    /// Path of an existing file that the last export has not replaced; a second export to the same path replaces the file.
    pub(super) existing: Option<&'a Path>,
}

impl SessionView {
    pub(super) fn new(id: i64) -> Self {
        Self { id, new_name: None, export_path: None, lines: VirtualList::complete(), scroll_to: None }
    }

    /// Returns the view of the session `id`, which scrolls to the first line at or after `at`.
    pub(super) fn at(id: i64, at: StreamTime) -> Self {
        Self { scroll_to: Some(at), ..Self::new(id) }
    }

    /// Paints the session. Returns the deletion that the user has asked for by a click, which still needs a confirmation.
    pub(super) fn show(&mut self, ui: &mut Ui, s: &Strings, inputs: &SessionInputs<'_>, actions: &mut Actions) -> Option<DeletionRequest> {
        let SessionInputs { open, offset_secs, existing } = *inputs;
        let deletion = if self.new_name.is_some() {
            self.rename_ui(ui, s, actions);
            None
        } else {
            self.title_ui(ui, s, &open.session, offset_secs)
        };
        self.export_ui(ui, s, existing, actions);
        ui.separator();
        self.lines_ui(ui, s, open);
        deletion
    }

    fn rename_ui(&mut self, ui: &mut Ui, s: &Strings, actions: &mut Actions) {
        let Some(name) = &mut self.new_name else { return };
        let label = ui.label(s.session_name);
        let field = ui.add(TextEdit::singleline(name).desired_width(f32::INFINITY)).labelled_by(label.id);
        let entered = field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
        ui.horizontal(|ui| {
            let cancelled = ui.button(s.cancel);
            if ui.button(s.save).clicked() || entered {
                let name = self.new_name.take().unwrap_or_default();
                actions.push(Action::AskHistory(HistoryQuery::Rename(self.id, name)));
            } else if cancelled.clicked() {
                self.new_name = None;
            }
        });
    }

    fn title_ui(&mut self, ui: &mut Ui, s: &Strings, session: &SessionSummary, offset_secs: i64) -> Option<DeletionRequest> {
        ui.label(RichText::new(session_title(session, offset_secs)).strong().size(theme::LARGE));
        let minutes = session.heard.secs() / 60.0;
        let facts = format!(
            "{} · {} · {} · {}",
            date_and_time(session.started_ms, offset_secs),
            fill(s.minutes, format_args!("{minutes:.1}")),
            session.source,
            session.model
        );
        ui.label(RichText::new(facts).weak().small());
        ui.horizontal_wrapped(|ui| {
            if ui.button(s.rename).clicked() {
                self.new_name = Some(session.name.clone());
            }
            if ui.button(s.export).clicked() {
                self.export_path = Some(unused_path().display().to_string());
            }
            ui.button(s.delete).clicked().then_some(DeletionRequest::Session(session.id))
        })
        .inner
    }

    fn export_ui(&mut self, ui: &mut Ui, s: &Strings, existing: Option<&Path>, actions: &mut Actions) {
        let Some(export) = &mut self.export_path else { return };
        let label = ui.label(s.export_path);
        ui.add(TextEdit::singleline(export).desired_width(f32::INFINITY)).labelled_by(label.id);
        let path = PathBuf::from(export.trim());
        ui.horizontal_wrapped(|ui| {
            for form in ExportForm::ALL {
                if ui.selectable_label(ExportForm::of(&path) == Some(form), form.extension().to_uppercase()).clicked() {
                    *export = path.with_extension(form.extension()).display().to_string();
                }
            }
        });
        let warned = existing == Some(path.as_path());
        ui.horizontal(|ui| {
            if ui.button(if warned { s.replace } else { s.save }).clicked() {
                let form = ExportForm::of(&path).unwrap_or(ExportForm::Document(DocumentFormat::Text));
                let existing = if warned { Existing::Replaced } else { Existing::Kept };
                actions.push(Action::AskHistory(HistoryQuery::Export { session: self.id, form, path, existing }));
            }
            if ui.button(s.cancel).clicked() {
                self.export_path = None;
            }
        });
    }

    fn lines_ui(&mut self, ui: &mut Ui, s: &Strings, open: &OpenSession) {
        for recording in &open.recordings {
            let text = format!("• {}: {}", s.with_sound, recording.display());
            ui.label(RichText::new(text).color(theme::states(ui.visuals()).fault).small());
        }
        if let Some(at) = self.scroll_to.take() {
            self.lines.scroll_to(open.lines.partition_point(|line| line.at < at));
        }
        self.lines.show(ui, s, s.history, open.lines.len(), |ui, n| line_ui(ui, s, &open.lines[n]));
    }
}

fn line_ui(ui: &mut Ui, s: &Strings, line: &StoredLine) {
    ui.horizontal_top(|ui| {
        time_ui(ui, &line.time, SMALL_TIME_HEIGHT);
        let label = match line.panel {
            Panel::Transcript => "",
            Panel::Translation => s.translation,
            Panel::Conversation => TITLE,
            Panel::Sounds => s.sound,
        };
        if !label.is_empty() {
            ui.label(RichText::new(label).weak());
        }
        let mut text = RichText::new(&line.text);
        if line.panel == Panel::Conversation {
            text = text.color(theme::states(ui.visuals()).replying);
        }
        ui.add(egui::Label::new(text).wrap());
    });
}
