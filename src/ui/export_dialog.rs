//! The dialog in which the user exports a conversation: the running one, one of the history, or what was heard in an audio file; as
//! a file or to the clipboard.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{Context, Id, Modal, RichText, Ui};

use super::actions::{Action, Actions};
use super::dialogs::{DIALOG_MARGIN, Outcome, outcome_ui};
use super::event_thread::SessionData;
use super::file_dialog::{FileAnswer, FileQuestion};
use super::file_session::FileSession;
use super::frame::FrameData;
use super::strings::{Strings, fill};
use super::theme;
use crate::config::ExportForm;
use crate::error::Result;
use crate::export::{DocumentFormat, document, jsonl};
use crate::files::{Existing, write_document};
use crate::history::HistoryQuery;
use crate::transcript::Transcript;

/// Width of the export dialog, in points.
const WIDTH: f32 = 420.0;
/// Height of the main window that the dialog's scrolling part leaves free, in points.
const HEIGHT_SPACE: f32 = 110.0;
/// Smallest height of the dialog's scrolling part, in points.
const MIN_HEIGHT: f32 = 80.0;

/// Name of an exported file without its extension, where the conversation has none of its own.
const FILE_STEM: &str = "hearken";

/// The conversation that is exported.
#[derive(Clone, Debug)]
pub(super) enum ExportSource {
    Running,
    /// A stored session, by its number in the history.
    Stored(i64),
    /// The session that hears or has heard an audio file.
    File(Arc<FileSession>),
}

impl ExportSource {
    /// Returns the name of the exported file without its extension.
    fn stem(&self) -> &str {
        let Self::File(file) = self else { return FILE_STEM };
        Path::new(&file.name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(FILE_STEM)
    }
}

/// The use of an export's content once it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ExportUse {
    Copy,
    Save(PathBuf, Existing),
}

/// The result of a frame of the dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExportEnd {
    /// The user has closed the dialog.
    Closed,
    /// The content is on the clipboard.
    Copied,
    /// The file is written.
    Saved(PathBuf),
}

/// The state of the export dialog between frames.
#[derive(Debug)]
pub(super) struct ExportDialog {
    source: ExportSource,
    form: ExportForm,
    /// Path as typed, where the system has no file dialog; `None` before that is known.
    typed: Option<String>,
    /// True until the main button, or the field of the path, has been given the keyboard focus.
    takes_focus: bool,
    /// Path of the existing file that the user was warned of; saving to the same path again replaces the file.
    warned_of: Option<PathBuf>,
    /// Use of the content of a stored session that has been asked of the history.
    waiting: Option<ExportUse>,
    /// Reason of the last failure.
    outcome: Option<Outcome>,
}

impl ExportDialog {
    pub(super) const fn new(source: ExportSource) -> Self {
        let form = ExportForm::Document(DocumentFormat::Text);
        Self { source, form, typed: None, takes_focus: true, warned_of: None, waiting: None, outcome: None }
    }

    /// Takes the answer of the file dialog that this dialog has opened.
    pub(super) fn take_answer(&mut self, answer: FileAnswer, ui: &Ui, data: &FrameData<'_>, actions: &mut Actions) -> Option<ExportEnd> {
        match answer {
            FileAnswer::Chosen(path) => {
                let whole = self.with_extension(path.clone());
                // The dialog has asked about the path that it returns, and about no other.
                let existing = if whole == path { Existing::Replaced } else { Existing::Kept };
                return self.use_content(ExportUse::Save(whole, existing), ui.ctx(), data, actions);
            }
            FileAnswer::Missing => {
                (self.typed, self.takes_focus) = (Some(unused_path(self.source.stem(), self.form).display().to_string()), true);
            }
            FileAnswer::Cancelled | FileAnswer::ChosenFiles(_) => {}
        }
        None
    }

    /// Takes the content of a stored session in a format, which the history has rendered.
    pub(super) fn take_rendered(&mut self, text: Result<String>, s: &Strings, ctx: &Context) -> Option<ExportEnd> {
        let wanted = self.waiting.take()?;
        self.finish(wanted, text, s, ctx)
    }

    /// Paints the dialog. Returns its end once it is closed or has done its work.
    pub(super) fn show(&mut self, ui: &Ui, data: &FrameData<'_>, actions: &mut Actions) -> Option<ExportEnd> {
        let s = data.s;
        let mut end = None;
        let dialog = Modal::new(Id::unique("export")).frame(egui::Frame::window(ui.style())).show(ui.ctx(), |ui| {
            ui.set_width(WIDTH.min(ui.ctx().content_rect().width() - DIALOG_MARGIN).max(0.0));
            ui.label(theme::bold(s.export_title, theme::LARGE));
            let height = (ui.ctx().content_rect().height() - HEIGHT_SPACE).max(MIN_HEIGHT);
            // The height is given twice, or the content could not grow.
            egui::ScrollArea::vertical().max_height(height).min_scrolled_height(height).show(ui, |ui| {
                for form in ExportForm::ALL {
                    if ui.radio(self.form == form, s.export_form_name(form)).clicked() {
                        self.choose(form);
                    }
                }
                ui.add_space(theme::GAP);
                let save = self.typed_ui(ui, s);
                outcome_ui(ui, self.outcome.as_ref());
                ui.horizontal_wrapped(|ui| {
                    let label = match (&self.typed, &self.warned_of) {
                        (None, _) => s.save_as,
                        (Some(_), None) => s.save,
                        (Some(_), Some(_)) => s.replace,
                    };
                    let button = ui.button(RichText::new(label).strong());
                    if std::mem::take(&mut self.takes_focus) {
                        button.request_focus();
                    }
                    if button.clicked() || save {
                        end = self.save(ui.ctx(), data, actions);
                    }
                    if ui.button(s.copy_to_clipboard).clicked() {
                        end = self.use_content(ExportUse::Copy, ui.ctx(), data, actions);
                    }
                    if ui.button(s.cancel).clicked() {
                        ui.close();
                    }
                });
            });
        });
        end.or_else(|| dialog.should_close().then_some(ExportEnd::Closed))
    }

    fn choose(&mut self, form: ExportForm) {
        self.form = form;
        if let Some(typed) = &mut self.typed {
            *typed = Path::new(typed.trim()).with_extension(form.extension()).display().to_string();
        }
        self.warned_of = None;
    }

    /// Paints the field of a typed path, whose extension chooses the format. Returns true if the user has pressed Enter in it.
    fn typed_ui(&mut self, ui: &mut Ui, s: &Strings) -> bool {
        let Some(typed) = &mut self.typed else { return false };
        let label = ui.label(s.export_path);
        let field = ui.add(egui::TextEdit::singleline(typed).desired_width(f32::INFINITY)).labelled_by(label.id);
        if std::mem::take(&mut self.takes_focus) {
            field.request_focus();
        }
        if field.changed() {
            self.form = ExportForm::of(Path::new(typed.trim())).unwrap_or(self.form);
            self.warned_of = None;
        }
        let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter)) && self.warned_of.is_none();
        if self.warned_of.is_some() {
            ui.label(RichText::new(s.exists).color(theme::Palette::of(ui.visuals()).fault));
        }
        entered
    }

    /// Saves to the typed path, or opens a file dialog where none has been typed.
    fn save(&mut self, ctx: &Context, data: &FrameData<'_>, actions: &mut Actions) -> Option<ExportEnd> {
        let Some(typed) = &self.typed else {
            actions.push(Action::AskFile(FileQuestion::Export { form: self.form, suggested: unused_path(self.source.stem(), self.form) }));
            return None;
        };
        let path = PathBuf::from(typed.trim());
        let existing = if self.warned_of.as_ref() == Some(&path) { Existing::Replaced } else { Existing::Kept };
        self.use_content(ExportUse::Save(path, existing), ctx, data, actions)
    }

    /// Returns a path with the extension of the format, where it has none.
    fn with_extension(&self, path: PathBuf) -> PathBuf {
        if path.extension().is_none() { path.with_extension(self.form.extension()) } else { path }
    }

    /// Uses the content of the running conversation or of an audio file, or asks the history for that of a stored one.
    fn use_content(&mut self, wanted: ExportUse, ctx: &Context, data: &FrameData<'_>, actions: &mut Actions) -> Option<ExportEnd> {
        match &self.source {
            ExportSource::Running => {
                let text = content_of(data.transcript, data.session, self.form);
                self.finish(wanted, text, data.s, ctx)
            }
            ExportSource::File(file) => {
                let text = content_of(&file.data.transcript(), &file.data, self.form);
                self.finish(wanted, text, data.s, ctx)
            }
            ExportSource::Stored(session) => {
                let session = *session;
                self.waiting = Some(wanted);
                actions.push(Action::AskHistory(HistoryQuery::Render { session, form: self.form }));
                None
            }
        }
    }

    fn finish(&mut self, wanted: ExportUse, text: Result<String>, s: &Strings, ctx: &Context) -> Option<ExportEnd> {
        (self.outcome, self.warned_of) = (None, None);
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                self.outcome = Some(Err(fill(s.failed, s.detail(error.message(), error.remedy()))));
                return None;
            }
        };
        let (path, existing) = match wanted {
            ExportUse::Copy => {
                ctx.copy_text(text);
                return Some(ExportEnd::Copied);
            }
            ExportUse::Save(path, existing) => (path, existing),
        };
        match write_document(&path, text.as_bytes(), existing) {
            Ok(()) => return Some(ExportEnd::Saved(path)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                self.typed = Some(path.display().to_string());
                self.warned_of = Some(path);
            }
            Err(e) => self.outcome = Some(Err(fill(s.failed, format_args!("{}: {e}", path.display())))),
        }
        None
    }
}

/// Paints the export dialog while it is open; its end becomes an intent.
pub(super) fn export_ui(ui: &Ui, data: &FrameData<'_>, open: &mut Option<ExportDialog>, actions: &mut Actions) {
    if let Some(dialog) = open
        && let Some(end) = dialog.show(ui, data, actions)
    {
        actions.push(Action::EndExport(end));
    }
}

/// Returns the lines of a session, or its events, in the format `form`.
fn content_of(transcript: &Transcript, session: &SessionData, form: ExportForm) -> Result<String> {
    match form {
        ExportForm::Document(form) => Ok(document(transcript, form, |at| session.time(at))),
        ExportForm::Events => jsonl(session.events().iter()),
    }
}

/// Returns a path for an export at which there is no file yet: for the stem `hearken` `hearken.txt`, `hearken-2.txt` … in the user's folder `Documents`;
/// without such a folder in the home folder, and without a home folder in the folder of temporary files.
fn unused_path(stem: &str, form: ExportForm) -> PathBuf {
    let home = ["HOME", "USERPROFILE"].into_iter().find_map(std::env::var_os).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = [home.join("Documents"), home.clone()].into_iter().find(|f| f.is_dir()).unwrap_or(home);
    let extension = form.extension();
    let named = |n: usize| folder.join(if n == 1 { format!("{stem}.{extension}") } else { format!("{stem}-{n}.{extension}") });
    (1..).map(named).find(|p| !p.exists()).unwrap_or_default()
}
