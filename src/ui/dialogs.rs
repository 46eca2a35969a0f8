//! What stands above the window for a moment: the export, and the question before forgetting.

use std::path::{Path, PathBuf};

use egui::{Id, Modal, RichText, Ui};

use super::fold::Heard;
use super::strings::fill;
use super::view::Export;
use super::{HearkenApp, outcome_ui, theme};
use crate::config::ExportForm;
use crate::error::Result;
use crate::export::{DocumentFormat, document, jsonl};
use crate::files::{Existing, write_document};
use crate::protocol::Command;
use crate::transcript::Transcript;

impl HearkenApp {
    pub(super) fn dialogs_ui(&mut self, ui: &Ui, transcript: &Transcript) {
        if !self.prefs.welcomed {
            self.welcome_ui(ui);
        } else if self.view.forgetting {
            self.forget_ui(ui);
        } else if self.view.export.is_some() {
            self.export_ui(ui, transcript);
        }
    }

    fn forget_ui(&mut self, ui: &Ui) {
        let s = self.s;
        let card = Modal::new(Id::unique("forget")).frame(egui::Frame::window(ui.style())).show(ui.ctx(), |ui| {
            ui.set_max_width(400.0);
            ui.label(s.forget_ask);
            ui.add_space(8.0);
            ui.horizontal(|ui| {
                if ui.button(s.forget_yes).clicked() {
                    self.session.engine.send(Command::Forget);
                    ui.close();
                }
                if ui.button(s.cancel).clicked() {
                    ui.close();
                }
            });
        });
        if card.should_close() {
            self.view.forgetting = false;
        }
    }

    pub(super) fn open_export(&mut self) {
        let path = free_file().display().to_string();
        self.view.export =
            Some(Export { path, form: ExportForm::Document(DocumentFormat::Text), fresh: true, exists: None, outcome: None });
    }

    fn export_ui(&mut self, ui: &Ui, transcript: &Transcript) {
        let (s, heard) = (self.s, std::sync::Arc::clone(&self.session.heard));
        let Some(export) = &mut self.view.export else { return };
        let card = Modal::new(Id::unique("export")).frame(egui::Frame::window(ui.style())).show(ui.ctx(), |ui| {
            ui.set_width(460.0_f32.min(ui.ctx().content_rect().width() - 48.0).max(0.0));
            ui.label(RichText::new(s.export_hint).strong());
            ui.horizontal_wrapped(|ui| {
                ui.label(s.export_form);
                for form in ExportForm::ALL {
                    if ui.selectable_label(export.form == form, form.extension().to_uppercase()).clicked() {
                        export.form = form;
                        export.path = Path::new(&export.path).with_extension(form.extension()).display().to_string();
                    }
                }
            });
            let label = ui.label(s.export_path);
            let field = ui.add(egui::TextEdit::singleline(&mut export.path).desired_width(f32::INFINITY)).labelled_by(label.id);
            if std::mem::take(&mut export.fresh) {
                field.request_focus();
            }
            let path = PathBuf::from(export.path.trim());
            if field.changed() {
                export.form = ExportForm::of(&path).unwrap_or(export.form);
            }
            let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            let warned = export.exists.as_ref() == Some(&path);
            if warned {
                ui.label(RichText::new(s.exists).color(theme::states(ui.visuals()).fault));
            }
            outcome_ui(ui, export.outcome.as_ref());
            ui.horizontal(|ui| {
                let save = ui.button(if warned { s.replace } else { s.save });
                if save.clicked() || entered && !warned {
                    let existing = if warned { Existing::Replaced } else { Existing::Kept };
                    export.exists = None;
                    export.outcome = match written(transcript, &heard, export.form) {
                        Ok(text) => match write_document(&path, text.as_bytes(), existing) {
                            Ok(()) => Some(Ok(fill(s.saved, path.display()))),
                            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                                export.exists = Some(path);
                                None
                            }
                            Err(e) => Some(Err(fill(s.failed, format_args!("{}: {e}", path.display())))),
                        },
                        Err(e) => Some(Err(fill(s.failed, e))),
                    };
                }
                if ui.button(s.close).clicked() {
                    ui.close();
                }
            });
        });
        if card.should_close() {
            self.view.export = None;
        }
    }

    /// A file that is dropped on the window is the clip of the mode that is being written.
    pub(super) fn dropped_files(&mut self, ui: &Ui) {
        let dropped = ui.input(|i| i.raw.dropped_files.iter().map(|file| file.path().to_path_buf()).next());
        if let Some(path) = dropped {
            self.view.new_mode.clip = path.display().to_string();
            self.view.settings_open = true;
        }
    }
}

/// The session as far as it goes, in this form.
fn written(transcript: &Transcript, heard: &Heard, form: ExportForm) -> Result<String> {
    match form {
        ExportForm::Document(form) => Ok(document(transcript, form, |at| heard.time(at))),
        ExportForm::Events => jsonl(heard.events().iter()),
    }
}

/// A name for an export that no file has yet, in the user's documents.
pub(super) fn free_file() -> PathBuf {
    let home = ["HOME", "USERPROFILE"].into_iter().find_map(std::env::var_os).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = [home.join("Documents"), home.clone()].into_iter().find(|f| f.is_dir()).unwrap_or(home);
    let named = |n: usize| folder.join(if n == 1 { "hearken.txt".into() } else { format!("hearken-{n}.txt") });
    (1..).map(named).find(|p| !p.exists()).unwrap_or_default()
}
