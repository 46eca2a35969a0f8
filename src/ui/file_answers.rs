//! The answers of the file dialogs and of the history, on their way to the parts of the window that have asked; and the end of an
//! export and of a download.

use std::process::{Command, Stdio};

use egui::Ui;

use super::HearkenApp;
use super::actions::{Action, Actions};
use super::export_dialog::{ExportDialog, ExportEnd};
use super::file_actions::FileAction;
use super::file_dialog::{FileAnswer, FileDialogs, FileQuestion};
use super::frame::FrameData;
use super::history_window::HistoryWindow;
use super::messages::{Fix, Lasts, Message, Topic};
use super::models_page::{DownloadNews, ModelsPage};
use super::notify::{self, Notification, Urgency};
use super::settings_window::SettingsWindow;
use super::strings::fill;
use crate::hub::ModelManager;
use crate::protocol::models::InstallEnd;
use crate::supervise;

/// The parts of the window that ask for files or for the content of an export.
pub(super) struct Askers<'a> {
    pub(super) files: &'a mut FileDialogs,
    pub(super) export: Option<&'a mut ExportDialog>,
    pub(super) history: &'a mut HistoryWindow,
    pub(super) settings: &'a mut SettingsWindow,
}

/// Hands the answers that have come to their askers.
pub(super) fn hand_out(ui: &Ui, data: &FrameData<'_>, askers: Askers<'_>, actions: &mut Actions) {
    let Askers { files, export, history, settings } = askers;
    let answer = files.answer();
    let rendered = history.take_rendered();
    let mut end = None;
    match (answer, export) {
        (Some((FileQuestion::Recordings, FileAnswer::ChosenFiles(paths))), _) => actions.push(Action::Files(FileAction::Hear(paths))),
        (Some((FileQuestion::Recordings, FileAnswer::Missing)), _) => actions.push(Action::Files(FileAction::TellNoDialog)),
        (Some((FileQuestion::Export { .. }, answer)), Some(export)) => end = export.take_answer(answer, ui, data, actions),
        (Some((question, FileAnswer::Chosen(path))), _) => settings.take_file(&question, &path),
        (_, Some(export)) => end = rendered.and_then(|text| export.take_rendered(text, data.s, ui.ctx())),
        (_, None) => {}
    }
    if let Some(end) = end {
        actions.push(Action::EndExport(end));
    }
}

impl HearkenApp {
    /// Lets `answer` answer all file dialogs in place of the system; for tests.
    pub fn answer_file_dialogs(&mut self, answer: impl Fn(&FileQuestion) -> FileAnswer + Send + Sync + 'static) {
        self.files = FileDialogs::scripted(answer);
    }

    /// Lets the models page use `manager`, whose hub need not be that of the environment; for tests.
    pub fn use_models(&mut self, manager: ModelManager, ctx: &egui::Context) {
        self.models = ModelsPage::new(manager, ctx);
    }

    /// Closes the export dialog, and tells the result.
    pub(super) fn end_export(&mut self, end: ExportEnd) {
        self.export = None;
        match end {
            ExportEnd::Closed => {}
            ExportEnd::Copied => self.messages.show(Message::news(self.s.copied)),
            ExportEnd::Saved(path) => {
                self.messages.show(Message::news(fill(self.s.saved, path.display())).with_fixes(&[Fix::ShowExport]));
                self.last_export = Some(path);
            }
        }
    }

    /// Opens the folder of the last export in the file manager of the system, on macOS and Windows with the file selected.
    pub(super) fn show_export(&self) {
        let Some(path) = &self.last_export else { return };
        let folder = path.parent().unwrap_or(path);
        let mut command = if cfg!(target_os = "macos") {
            let mut command = Command::new("open");
            command.arg("-R").arg(path);
            command
        } else if cfg!(windows) {
            let mut command = Command::new("explorer");
            command.arg(format!("/select,{}", path.display()));
            command
        } else {
            let mut command = Command::new("xdg-open");
            command.arg(folder);
            command
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // The program may run as long as its window is open, and has to be waited for. Without it nothing opens.
        let _ = supervise::spawn("hearken-show-folder", move || drop(command.status()));
    }

    /// Tells that a download has ended, in the window and on the desktop.
    pub(super) fn end_download(&mut self, news: DownloadNews) {
        let s = self.s;
        let message = match &news.end {
            InstallEnd::Done => {
                let message = Message::news(fill(s.models_page.ready, &news.title)).lasting(Lasts::UntilDismissed);
                message.with_fixes(&[Fix::UseDownloaded])
            }
            InstallEnd::Failed(error) => {
                let title = fill(s.models_page.failed, &news.title);
                Message::warning(Topic::Model, title, s.reason(error.message(), error.remedy())).with_fixes(&[Fix::Models])
            }
            InstallEnd::Stopped => return,
        };
        if self.prefs.notify {
            let text = fill(if news.end == InstallEnd::Done { s.models_page.ready } else { s.models_page.failed }, &news.title);
            notify::show(&Notification { urgency: Urgency::Normal, title: s.models, text });
        }
        self.messages.show(message);
        self.downloaded = Some(news.choice);
    }

    /// Uses the model whose download has ended last.
    pub(super) fn use_downloaded(&mut self) {
        if let Some(choice) = self.downloaded.take() {
            self.choose_model(choice);
        }
    }
}
