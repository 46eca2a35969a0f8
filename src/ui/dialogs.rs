//! The dialogs above the window: the export, and the choice of a microphone or a speaker.

use std::path::{Path, PathBuf};

use egui::{Id, Modal, RichText, Ui};

use super::actions::Actions;
use super::device_menu::DeviceMenu;
use super::frame::FrameData;
use super::strings::{Strings, fill};
use super::theme;
use crate::audio::DeviceDirection;
use crate::config::ExportForm;
use crate::error::Result;
use crate::export::{DocumentFormat, document, jsonl};
use crate::files::{Existing, write_document};

/// Width of the dialog of devices, in points.
const DEVICES_WIDTH: f32 = 400.0;
/// Width of the export dialog, in points.
const EXPORT_WIDTH: f32 = 460.0;
/// Width of the main window that a dialog leaves free, both sides together, in points.
pub(super) const DIALOG_MARGIN: f32 = 48.0;

/// The result of an action of the user (saving, removing, downloading …) as a text for the window: a report of success, or the
/// reason of a failure.
pub(super) type Outcome = std::result::Result<String, String>;

/// Paints the dialog in which the user chooses a device of `direction`. Returns false once the user has chosen or dismissed it.
pub(super) fn devices_ui(ui: &Ui, s: &Strings, direction: DeviceDirection, devices: &mut DeviceMenu, actions: &mut Actions) -> bool {
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
    !dialog.should_close()
}

/// The state of the dialog in which the user exports the running session to a file.
#[derive(Debug)]
pub(super) struct ExportDialog {
    /// Path of the file to write, as typed.
    path: String,
    /// File format of the export.
    form: ExportForm,
    /// True until the path's text field has been given the keyboard focus, in the first frame.
    takes_focus: bool,
    /// Path of the existing file that the user was warned of; saving to the same path again replaces the file.
    warned_of: Option<PathBuf>,
    /// Result of the last attempt to save; `None` before one.
    outcome: Option<Outcome>,
}

impl ExportDialog {
    pub(super) fn new() -> Self {
        let path = unused_path().display().to_string();
        Self { path, form: ExportForm::Document(DocumentFormat::Text), takes_focus: true, warned_of: None, outcome: None }
    }

    /// Paints the export dialog, and writes the file when the user saves; returns false once the dialog is closed.
    pub(super) fn show(&mut self, ui: &Ui, data: &FrameData<'_>) -> bool {
        let s = data.s;
        let dialog = Modal::new(Id::unique("export")).frame(egui::Frame::window(ui.style())).show(ui.ctx(), |ui| {
            ui.set_width(EXPORT_WIDTH.min(ui.ctx().content_rect().width() - DIALOG_MARGIN).max(0.0));
            ui.label(RichText::new(s.export_hint).strong());
            self.form_ui(ui, s);
            let entered = self.path_ui(ui, s);
            let path = PathBuf::from(self.path.trim());
            let warned = self.warned_of.as_ref() == Some(&path);
            if warned {
                ui.label(RichText::new(s.exists).color(theme::states(ui.visuals()).fault));
            }
            outcome_ui(ui, self.outcome.as_ref());
            ui.horizontal(|ui| {
                let save = ui.button(if warned { s.replace } else { s.save });
                if save.clicked() || entered && !warned {
                    self.save(path, if warned { Existing::Replaced } else { Existing::Kept }, data);
                }
                if ui.button(s.close).clicked() {
                    ui.close();
                }
            });
        });
        !dialog.should_close()
    }

    fn form_ui(&mut self, ui: &mut Ui, s: &Strings) {
        ui.horizontal_wrapped(|ui| {
            ui.label(s.export_form);
            for form in ExportForm::ALL {
                if ui.selectable_label(self.form == form, form.extension().to_uppercase()).clicked() {
                    self.form = form;
                    self.path = Path::new(&self.path).with_extension(form.extension()).display().to_string();
                }
            }
        });
    }

    /// Paints the text field of the file's path. An edit also sets the file format by the path's extension. Returns true if the
    /// user has pressed Enter in the field.
    fn path_ui(&mut self, ui: &mut Ui, s: &Strings) -> bool {
        let label = ui.label(s.export_path);
        let field = ui.add(egui::TextEdit::singleline(&mut self.path).desired_width(f32::INFINITY)).labelled_by(label.id);
        if std::mem::take(&mut self.takes_focus) {
            field.request_focus();
        }
        if field.changed() {
            self.form = ExportForm::of(Path::new(self.path.trim())).unwrap_or(self.form);
        }
        field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter))
    }

    fn save(&mut self, path: PathBuf, existing: Existing, data: &FrameData<'_>) {
        let s = data.s;
        self.warned_of = None;
        self.outcome = match export_text(data, self.form) {
            Ok(text) => match write_document(&path, text.as_bytes(), existing) {
                Ok(()) => Some(Ok(fill(s.saved, path.display()))),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    self.warned_of = Some(path);
                    None
                }
                Err(e) => Some(Err(fill(s.failed, format_args!("{}: {e}", path.display())))),
            },
            Err(e) => Some(Err(fill(s.failed, s.detail(e.message(), e.remedy())))),
        };
    }
}

/// Returns the content of an export of the running session so far in the format `form`: a document, or the session's events as
/// JSON Lines.
fn export_text(data: &FrameData<'_>, form: ExportForm) -> Result<String> {
    match form {
        ExportForm::Document(form) => Ok(document(data.transcript, form, |at| data.time(at))),
        ExportForm::Events => jsonl(data.session.events().iter()),
    }
}

/// Returns a path for an export at which there is no file yet: `hearken.txt`, `hearken-2.txt` … in the user's folder `Documents`;
/// without such a folder in the home folder, and without a home folder in the folder of temporary files.
pub(super) fn unused_path() -> PathBuf {
    let home = ["HOME", "USERPROFILE"].into_iter().find_map(std::env::var_os).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = [home.join("Documents"), home.clone()].into_iter().find(|f| f.is_dir()).unwrap_or(home);
    let named = |n: usize| folder.join(if n == 1 { "hearken.txt".into() } else { format!("hearken-{n}.txt") });
    (1..).map(named).find(|p| !p.exists()).unwrap_or_default()
}

/// Paints the text of an [`Outcome`], for a failure in the colour of faults. Paints nothing for `None`.
pub(super) fn outcome_ui(ui: &mut Ui, outcome: Option<&Outcome>) {
    match outcome {
        None => {}
        Some(Ok(text)) => drop(ui.label(text)),
        Some(Err(text)) => drop(ui.label(RichText::new(text).color(theme::states(ui.visuals()).fault))),
    }
}
