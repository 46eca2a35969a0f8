//! The sheet of an audio file that is heard: name, progress, the lines as they grow, and what can be done with them. Listening goes on
//! when the sheet is closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::{ComboBox, Label, ProgressBar, RichText, Role, Ui, WidgetInfo};

use super::actions::{Action, Actions};
use super::controls::{Control, spread};
use super::conversation::Stream;
use super::export_dialog::ExportEnd;
use super::file_actions::FileAction;
use super::file_queue::QueueView;
use super::file_session::FileSession;
use super::frame::FrameData;
use super::icons::Icon;
use super::strings::{Strings, fill, fill_all};
use super::{sheet, theme};
use crate::config::WindowPrefs;
use crate::export::{DocumentFormat, document};
use crate::history::HistoryState;
use crate::protocol::ReplyId;
use crate::time::StreamTime;

/// Largest width and height of the content of the sheet, in points.
const MAX_SIZE: [f32; 2] = [760.0, 600.0];
/// Interval at which the window is repainted while a file is heard: with the sheet, for its lines, and without, for the bar.
const SHEET_INTERVAL: Duration = Duration::from_millis(100);
const BAR_INTERVAL: Duration = Duration::from_secs(1);
/// Time without progress after which the sheet says what the file waits for.
const STILL_TIME: Duration = Duration::from_secs(2);
/// Height of the progress bar and of the line below it, in points.
const BAR_HEIGHT: f32 = 8.0;
const TIME_HEIGHT: f32 = 18.0;
/// Width of the choice between several files, in points.
const CHOICE_WIDTH: f32 = 180.0;

/// The state of the sheet between frames.
#[derive(Debug, Default)]
pub(super) struct FileSheet {
    open: bool,
    /// Number of the file that the user has chosen to see; `None` for the newest.
    chosen: Option<usize>,
    /// Number of the file in the newest frame.
    shown: usize,
    stream: Stream,
    /// Reply that was under the pointer in the previous frame.
    hovered: Option<ReplyId>,
    /// Time heard of the file, and the moment at which that last changed.
    progress: Option<(StreamTime, Instant)>,
}

impl FileSheet {
    /// Opens the sheet at the newest file.
    pub(super) fn open(&mut self) {
        (self.open, self.chosen) = (true, None);
    }

    /// Opens the sheet at the file `number`.
    pub(super) fn open_at(&mut self, number: usize) {
        (self.open, self.chosen) = (true, Some(number));
    }

    /// Closes the sheet; listening goes on. Returns false if the sheet was not open.
    pub(super) fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    /// Returns true while the sheet shows the file `number`.
    pub(super) const fn shows(&self, number: usize) -> bool {
        self.open && self.shown == number
    }

    /// Paints the sheet; does nothing while it is closed.
    pub(super) fn show(&mut self, ui: &Ui, data: &FrameData<'_>, view: &QueueView, prefs: &mut WindowPrefs, actions: &mut Actions) {
        if view.is_busy() {
            ui.ctx().request_repaint_after(if self.open { SHEET_INTERVAL } else { BAR_INTERVAL });
        }
        if !self.open {
            return;
        }
        let chosen = view.heard.iter().find(|file| Some(file.number) == self.chosen);
        let Some(file) = chosen.or_else(|| view.heard.last()).map(Arc::clone) else {
            // Its lines were deleted.
            self.open = view.is_busy();
            return;
        };
        if self.shown != file.number {
            (self.shown, self.stream, self.hovered, self.progress) = (file.number, Stream::default(), None, None);
        }
        self.open = sheet::show(ui.ctx(), data.s.files.title, MAX_SIZE, |ui| {
            let margin = egui::Margin { top: theme::PANEL_MARGIN, ..egui::Margin::ZERO };
            egui::Panel::bottom("file foot").frame(egui::Frame::NONE.inner_margin(margin)).show(ui, |ui| {
                kept_ui(ui, data.s, &file);
                waiting_ui(ui, data.s, view);
                buttons_ui(ui, data.s, &file, view, actions);
            });
            self.head_ui(ui, data.s, &file, view);
            ui.add_space(theme::GAP);
            egui::CentralPanel::no_frame().show(ui, |ui| self.lines_ui(ui, data, &file, prefs, actions));
        });
    }

    /// Paints name and progress of the file, and the choice of another one where there are several.
    fn head_ui(&mut self, ui: &mut Ui, s: &Strings, file: &FileSession, view: &QueueView) {
        let several = view.heard.len() > 1;
        let chosen = &mut self.chosen;
        spread(
            ui,
            ("file name", theme::LARGE + theme::GROUP_GAP),
            chosen,
            |ui, _| drop(ui.add(Label::new(theme::bold(&file.name, theme::LARGE)).truncate())),
            |ui, chosen| {
                if several {
                    choice_ui(ui, s, file, view, chosen);
                }
            },
        );
        let heard = file.heard();
        if self.progress.is_none_or(|(before, _)| before != heard) {
            self.progress = Some((heard, Instant::now()));
        }
        let time = heard_text(s, file);
        if let Some(share) = file.share() {
            let fill = theme::Palette::of(ui.visuals()).accent;
            let bar = ProgressBar::new(share).desired_height(BAR_HEIGHT).corner_radius(BAR_HEIGHT / 2.0).fill(fill);
            let bar = ui.add(bar);
            bar.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, &time));
        }
        let still = self.progress.is_some_and(|(_, since)| since.elapsed() > STILL_TIME);
        let state = match (file.is_over(), file.was_stopped()) {
            (true, true) => s.files.stopped,
            (true, false) => s.files.whole,
            (false, _) if still => s.files.live_first,
            (false, _) if file.meters.read().kept_awake => s.files.kept_awake,
            (false, _) => "",
        };
        spread(
            ui,
            ("file time", TIME_HEIGHT),
            &mut (),
            |ui, ()| drop(ui.label(RichText::new(&time).small())),
            |ui, ()| drop(ui.label(RichText::new(state).weak().small())),
        );
    }

    /// Paints the lines of the file, hidden panels included: they are hidden in the live conversation.
    fn lines_ui(&mut self, ui: &mut Ui, live: &FrameData<'_>, file: &FileSession, prefs: &mut WindowPrefs, actions: &mut Actions) {
        let (transcript, readings) = (file.data.transcript(), file.meters.read());
        let data = FrameData {
            s: live.s,
            transcript: &transcript,
            session: &file.data,
            meters: &file.meters,
            readings: &readings,
            settings: live.settings,
            download: None,
            file: None,
            is_live: false,
        };
        let hidden = std::mem::take(&mut prefs.hidden);
        if self.stream.is_empty(&transcript, prefs) {
            let text = if file.is_over() { live.s.files.no_words } else { live.s.files.no_words_yet };
            ui.add(Label::new(RichText::new(text).weak()).wrap());
        } else {
            self.hovered = self.stream.show(ui, prefs, self.hovered, &data, actions);
        }
        prefs.hidden = hidden;
    }
}

/// Paints the choice between the files that are or were heard.
fn choice_ui(ui: &mut Ui, s: &Strings, file: &FileSession, view: &QueueView, chosen: &mut Option<usize>) {
    let list = ComboBox::from_id_salt("files").width(CHOICE_WIDTH).truncate().selected_text(&file.name);
    let list = list.show_ui(ui, |ui| {
        for other in view.heard.iter().rev() {
            let text = format!("{}  {}", other.name, heard_text(s, other));
            if ui.selectable_label(other.number == file.number, text).clicked() {
                // The newest one is followed by those that wait.
                let newest = view.heard.last().is_some_and(|last| last.number == other.number);
                *chosen = (!newest).then_some(other.number);
            }
        }
    });
    list.response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, s.files.chosen));
}

/// Paints why the transcript is not kept, if it is not.
fn kept_ui(ui: &mut Ui, s: &Strings, file: &FileSession) {
    let text = match file.history_state() {
        HistoryState::On => return,
        HistoryState::Off => s.files.unsaved,
        HistoryState::Failing(_) => s.files.unsaved_failing,
    };
    ui.add(Label::new(RichText::new(text).color(theme::Palette::of(ui.visuals()).urgent)).wrap());
    ui.add_space(theme::EDGE);
}

/// Paints how many files wait, and which one is next.
fn waiting_ui(ui: &mut Ui, s: &Strings, view: &QueueView) {
    let text = match view.waiting.as_slice() {
        [] => return,
        [next] => fill(s.files.one_waits, next),
        [next, ..] => fill_all(s.files.many_wait, &[&view.waiting.len(), next]),
    };
    ui.add(Label::new(RichText::new(text).weak().small()).truncate());
}

/// Paints the buttons.
fn buttons_ui(ui: &mut Ui, s: &Strings, file: &Arc<FileSession>, view: &QueueView, actions: &mut Actions) {
    let has_content = file.data.transcript().has_content();
    ui.horizontal_wrapped(|ui| {
        if view.is_busy() && Control::new(Icon::Stop, s.files.stop).show(ui).on_hover_text(s.files.stop_hint).clicked() {
            actions.push(Action::Files(FileAction::Stop));
        }
        if !view.waiting.is_empty() && Control::new(Icon::Play, s.files.next).show(ui).on_hover_text(s.files.next_hint).clicked() {
            actions.push(Action::Files(FileAction::Skip));
        }
        ui.add_enabled_ui(has_content, |ui| {
            if Control::new(Icon::Export, s.files.export).show(ui).on_hover_text(s.files.export_hint).clicked() {
                actions.push(Action::Files(FileAction::Export(Arc::clone(file))));
            }
            if Control::new(Icon::Copy, s.copy).show(ui).clicked() {
                let text = document(&file.data.transcript(), DocumentFormat::Text, |at| file.data.time(at));
                ui.ctx().copy_text(text);
                actions.push(Action::EndExport(ExportEnd::Copied));
            }
        });
    });
}

/// Returns the time heard of a file, and its length where that is known, for example `0:12 of 3:20`.
fn heard_text(s: &Strings, file: &FileSession) -> String {
    let heard = whole_seconds(file.heard());
    file.length().map_or_else(|| heard.clone(), |length| fill_all(s.files.heard_of, &[&heard, &whole_seconds(length)]))
}

/// Returns the progress of the file that is being heard or opened, as a short text for the bar, for example `talk.wav 36 %`; `None`
/// without one.
pub(super) fn progress_text(view: &QueueView) -> Option<String> {
    let Some(file) = view.current() else { return view.opening.as_ref().map(|name| format!("{name} …")) };
    Some(match file.share() {
        Some(share) => format!("{:.0} % {}", (share * 100.0).floor(), file.name),
        None => format!("{} {}", whole_seconds(file.heard()), file.name),
    })
}

/// Returns a stream time without its tenths, for example `3:20`.
fn whole_seconds(at: StreamTime) -> String {
    let text = at.to_string();
    text.split_once('.').map_or_else(|| text.clone(), |(whole, _)| whole.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_file_have_no_tenths() {
        assert_eq!(
            [0.0, 59.96, 200.4, 3_723.0].map(|secs| whole_seconds(StreamTime::from_secs(secs))),
            ["0:00", "0:59", "3:20", "1:02:03"]
        );
    }

    #[test]
    fn the_bar_says_what_is_opened_and_nothing_without_a_file() {
        assert_eq!(progress_text(&QueueView::default()), None);
        let view = QueueView { opening: Some("talk.wav".into()), ..QueueView::default() };
        assert_eq!(progress_text(&view).as_deref(), Some("talk.wav …"));
    }
}
