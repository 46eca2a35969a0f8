//! Audio files in the window: files dropped on it or chosen in a dialog, the intents of the user on them, and the news about them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{Align2, FontId, Id, LayerId, Order, Stroke, StrokeKind, Ui, vec2};

use super::HearkenApp;
use super::actions::{Action, Actions, Dialog};
use super::export_dialog::{ExportDialog, ExportSource};
use super::file_dialog::FileQuestion;
use super::file_queue::{FileEnd, QueueView};
use super::file_session::{FileSession, name_of};
use super::icons::{self, Icon};
use super::messages::{Fix, Lasts, Level, Message, Topic};
use super::strings::{fill, fill_all};
use super::theme::{self, Palette};
use crate::config::modes::{DIALOG, TRANSCRIBE};
use crate::error::Remedy;

/// Opacity of the veil over the window while a file is held above it, and distance of its edge from that of the window, in points.
const VEIL: f32 = 0.9;
const VEIL_MARGIN: f32 = 16.0;
/// Side of the icon in the veil, and distance of the text from its middle, in points.
const VEIL_ICON: f32 = 48.0;
const BELOW_ICON: f32 = 44.0;

/// An intent of the user on audio files that are heard.
#[derive(Debug)]
pub(super) enum FileAction {
    /// Hear the files at these paths, one after the other.
    Hear(Vec<PathBuf>),
    /// Say that the desktop has no file dialog.
    TellNoDialog,
    /// Read the file of this number, which Hearken could not, with ffmpeg.
    ReadWithFfmpeg(usize),
    /// Show the transcript of the file of this number.
    Open(usize),
    /// Open the export dialog for the transcript of this file.
    Export(Arc<FileSession>),
    /// Stop the file that is heard, and those that wait.
    Stop,
    /// Stop the file that is heard, and go on with the next.
    Skip,
}

impl HearkenApp {
    /// Takes the files dropped on the main window: as the clip of a mode while the field of the clip is in sight, else to be heard.
    pub(super) fn take_dropped_files(&mut self, ui: &Ui, actions: &mut Actions) {
        let dropped: Vec<PathBuf> = ui.input(|i| i.raw.dropped_files.iter().map(|file| file.path().to_path_buf()).collect());
        match dropped.first() {
            None => {}
            Some(clip) if self.settings_window.takes_clip() => self.settings_window.take_file(&FileQuestion::Clip, clip),
            Some(_) => actions.push(Action::Files(FileAction::Hear(dropped))),
        }
    }

    /// Paints over the window what becomes of a file that is held above it.
    pub(super) fn drop_hint_ui(&self, ui: &Ui) {
        if ui.input(|i| i.raw.hovered_files.is_empty()) {
            return;
        }
        let text = if self.settings_window.takes_clip() { self.s.files.drop_clip } else { self.s.files.drop_here };
        let (room, p) = (ui.ctx().content_rect(), Palette::of(ui.visuals()));
        let painter = ui.ctx().layer_painter(LayerId::new(Order::Foreground, Id::unique("drop")));
        painter.rect_filled(room, 0.0, p.ground.gamma_multiply(VEIL));
        let edge = Stroke::new(theme::FOCUS_WIDTH, p.accent);
        painter.rect_stroke(room.shrink(VEIL_MARGIN), theme::RADIUS_WINDOW, edge, StrokeKind::Inside);
        icons::paint(&painter, Icon::Ear, room.center(), VEIL_ICON, p.accent);
        painter.text(room.center() + vec2(0.0, BELOW_ICON), Align2::CENTER_CENTER, text, FontId::proportional(theme::LARGE), p.text);
    }

    pub(super) fn perform_on_files(&mut self, action: FileAction, ctx: &egui::Context) {
        match action {
            FileAction::Hear(paths) => self.hear(paths, ctx),
            FileAction::TellNoDialog => self.tell_of_files(self.s.files.dialog_missing, "", &[]),
            FileAction::Open(number) => {
                self.open(Dialog::File, ctx);
                self.file_sheet.open_at(number);
            }
            FileAction::ReadWithFfmpeg(number) => {
                self.sheet_waits_for = Some(last_file(&self.session.files.view()));
                self.messages.clear(Topic::AudioFile(number));
                self.session.files.read_with_ffmpeg(number);
            }
            FileAction::Export(file) => self.export = Some(ExportDialog::new(ExportSource::File(file))),
            FileAction::Stop => self.session.files.stop(),
            FileAction::Skip => self.session.files.skip(),
        }
    }

    /// Adds the files at `paths` to those that are heard, with the modes that are on now. The sheet opens at once, if other files are
    /// heard already, else when the first file is open.
    fn hear(&mut self, paths: Vec<PathBuf>, ctx: &egui::Context) {
        if self.asks_consent() {
            // Nothing is heard or stored before the first card is answered.
            return self.tell_of_files(self.s.files.welcome_first, "", &[]);
        }
        let modes_on = self.session.data.transcript().modes.clone();
        if modes_on.is_empty() {
            let title = paths.first().map_or_else(String::new, |path| fill(self.s.files.fails, name_of(path)));
            return self.tell_of_files(title, self.s.nothing_on, &[Fix::Mode(DIALOG), Fix::Mode(TRANSCRIBE)]);
        }
        let mut settings = self.settings.clone();
        settings.modes_on = modes_on;
        let before = self.session.files.view();
        self.session.files.add(paths, &settings);
        if before.current().is_some() {
            self.open(Dialog::File, ctx);
        } else {
            self.sheet_waits_for = Some(last_file(&before));
        }
    }

    fn tell_of_files(&mut self, title: impl Into<String>, reason: &str, fixes: &[Fix]) {
        self.messages.show(Message::warning(Topic::AudioFile(0), title, reason).with_fixes(fixes));
    }

    /// Opens the sheet once a file that was dropped or chosen is open, and tells of the files that have ended.
    pub(super) fn take_file_news(&mut self, ctx: &egui::Context) {
        let view = self.session.files.view();
        if let Some(before) = self.sheet_waits_for {
            if last_file(&view) > before {
                self.open(Dialog::File, ctx);
            }
            if last_file(&view) > before || !view.is_busy() {
                self.sheet_waits_for = None;
            }
        }
        for end in self.session.files.take_ends() {
            self.tell_end(&end);
        }
    }

    fn tell_end(&mut self, end: &FileEnd) {
        let (s, topic) = (self.s, Topic::AudioFile(end.number));
        let reason = end.problem.as_ref().map(|problem| s.reason(without_path(problem.message(), &end.name), problem.remedy()));
        let Some(secs) = end.heard_secs else {
            let readable = end.problem.as_ref().is_some_and(|problem| problem.remedy() == Some(Remedy::ReadWithFfmpeg));
            let fixes: &[Fix] = if readable { &[Fix::ReadWithFfmpeg(end.number)] } else { &[] };
            let message = Message::warning(topic, fill(s.files.fails, &end.name), reason.unwrap_or_default());
            return self.messages.show(message.with_fixes(fixes));
        };
        let title = fill_all(s.files.heard, &[&end.name, &s.length(secs)]);
        let message = Message::warning(topic, title, reason.clone().unwrap_or_default()).with_fixes(&[Fix::OpenFile(end.number)]);
        match reason {
            Some(_) => self.messages.show(message),
            None if self.file_sheet.shows(end.number) => {}
            None => self.messages.show(message.at_level(Level::News).lasting(Lasts::UntilDismissed)),
        }
    }
}

/// Returns the number of the newest file that is or was heard; 0 before the first.
fn last_file(view: &QueueView) -> usize {
    view.heard.last().map_or(0, |file| file.number)
}

/// Returns the message of an error without the path of the file `name` at its beginning: the title names the file.
fn without_path<'a>(message: &'a str, name: &str) -> &'a str {
    let after = message.split_once(": ").filter(|(path, _)| Path::new(path).file_name().is_some_and(|found| found == name));
    after.map_or(message, |(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_does_not_repeat_the_name_of_the_file() {
        assert_eq!(without_path("/home/a/talk.wav: no such file", "talk.wav"), "no such file");
        assert_eq!(without_path("talk.wav: no such file", "talk.wav"), "no such file");
        assert_eq!(without_path("the model: talk.wav: broken", "talk.wav"), "the model: talk.wav: broken");
    }
}
