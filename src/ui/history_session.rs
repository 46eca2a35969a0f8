//! A past session in the history window: title, lines, and the controls to rename, export and delete the session.

use std::time::{Duration, Instant};

use egui::{Key, RichText, TextEdit, Ui};

use super::actions::{Action, Actions};
use super::history_data::{OpenSession, StoredLine};
use super::history_list::about;
use super::history_window::DeletionRequest;
use super::panel_lines::{SMALL_TIME_HEIGHT, time_ui};
use super::strings::dates::Calendar;
use super::strings::{Strings, TITLE};
use super::theme;
use super::virtual_list::VirtualList;
use crate::history::HistoryQuery;
use crate::protocol::Panel;
use crate::time::StreamTime;

/// Time for which the line of an opened search hit is marked.
const MARK_TIME: Duration = Duration::from_secs(2);
/// Last part of [`MARK_TIME`], in which the mark fades.
const FADE_TIME: Duration = Duration::from_millis(500);
/// Interval at which the window is repainted while a line is marked.
const MARK_REPAINT: Duration = Duration::from_millis(50);

/// The state of the view of a stored session between frames.
#[derive(Debug)]
pub(super) struct SessionView {
    /// Number of the session in the history.
    pub(super) id: i64,
    /// New name of the session while the user types one, else `None`.
    new_name: Option<String>,
    lines: VirtualList,
    /// Stream time and panel of the search hit that the list of lines still has to scroll to; `None` once it has.
    scroll_to: Option<(StreamTime, Panel)>,
    /// Line of the search hit that was scrolled to, and the time at which it was; `None` once the mark has faded.
    marked: Option<(usize, Instant)>,
}

impl SessionView {
    pub(super) fn new(id: i64) -> Self {
        Self { id, new_name: None, lines: VirtualList::complete(), scroll_to: None, marked: None }
    }

    /// Returns the view of the session `id`, which scrolls to the line of `panel` at `at` and marks it for a while.
    pub(super) fn at(id: i64, at: StreamTime, panel: Panel) -> Self {
        Self { scroll_to: Some((at, panel)), ..Self::new(id) }
    }

    /// Paints the session. Returns the deletion that the user has asked for by a click, which still needs a confirmation.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        s: &Strings,
        open: &OpenSession,
        calendar: &Calendar,
        actions: &mut Actions,
    ) -> Option<DeletionRequest> {
        let deletion = if self.new_name.is_some() {
            self.rename_ui(ui, s, actions);
            None
        } else {
            self.title_ui(ui, s, open, calendar, actions)
        };
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

    fn title_ui(
        &mut self,
        ui: &mut Ui,
        s: &Strings,
        open: &OpenSession,
        calendar: &Calendar,
        actions: &mut Actions,
    ) -> Option<DeletionRequest> {
        let session = &open.session;
        let when = s.when(session.started_ms, calendar);
        let (title, when) = if session.name.is_empty() { (when.as_str(), None) } else { (session.name.as_str(), Some(when.as_str())) };
        ui.label(theme::bold(title, theme::LARGE));
        let about = about(s, session);
        let facts = [when, Some(&about), Some(&session.source), Some(&session.model)];
        ui.label(RichText::new(facts.into_iter().flatten().collect::<Vec<_>>().join(" · ")).weak().small());
        ui.horizontal_wrapped(|ui| {
            if ui.button(s.copy).clicked() {
                ui.ctx().copy_text(text_of(s, open));
            }
            if ui.button(s.export).clicked() {
                actions.push(Action::ExportStored(self.id));
            }
            if ui.button(s.rename).clicked() {
                self.new_name = Some(session.name.clone());
            }
            ui.button(s.delete).clicked().then_some(DeletionRequest::Session(session.id))
        })
        .inner
    }

    fn lines_ui(&mut self, ui: &mut Ui, s: &Strings, open: &OpenSession) {
        for recording in &open.recordings {
            let text = format!("• {}: {}", s.with_sound, recording.display());
            ui.label(RichText::new(text).color(theme::Palette::of(ui.visuals()).fault).small());
        }
        if let Some((at, panel)) = self.scroll_to.take() {
            let first = open.lines.partition_point(|line| line.at < at);
            let same = open.lines[first..].iter().take_while(|line| line.at == at).position(|line| line.panel == panel);
            let hit = first + same.unwrap_or(0);
            self.lines.scroll_to(hit);
            self.marked = Some((hit, Instant::now()));
        }
        let mark = self.mark(ui);
        self.lines.show(ui, s, s.history, open.lines.len(), |ui, n| {
            let ground = mark.filter(|(hit, _)| *hit == n).map(|(_, colour)| (ui.painter().add(egui::Shape::Noop), colour));
            line_ui(ui, s, &open.lines[n]);
            if let Some((shape, colour)) = ground {
                ui.painter().set(shape, egui::Shape::rect_filled(ui.min_rect().expand(theme::EDGE), theme::RADIUS_SMALL, colour));
            }
        });
    }

    /// Returns the line of the opened search hit and the colour of its ground, which fades; `None` after [`MARK_TIME`].
    fn mark(&mut self, ui: &Ui) -> Option<(usize, egui::Color32)> {
        let (hit, since) = self.marked?;
        let left = MARK_TIME.checked_sub(since.elapsed());
        let Some(left) = left else {
            self.marked = None;
            return None;
        };
        ui.ctx().request_repaint_after(MARK_REPAINT);
        let strength = (left.as_secs_f32() / FADE_TIME.as_secs_f32()).min(1.0);
        Some((hit, ui.visuals().selection.bg_fill.gamma_multiply(strength)))
    }
}

/// Returns the lines of a session as text, each with its time and the name of its panel.
fn text_of(s: &Strings, open: &OpenSession) -> String {
    let line = |line: &StoredLine| match label(s, line.panel) {
        "" => format!("{}  {}\n", line.time, line.text),
        label => format!("{}  {label}: {}\n", line.time, line.text),
    };
    open.lines.iter().map(line).collect()
}

/// Returns the name before the lines of a panel; empty for the words that were heard.
const fn label(s: &Strings, panel: Panel) -> &'static str {
    match panel {
        Panel::Transcript => "",
        Panel::Translation => s.translation,
        Panel::Conversation => TITLE,
        Panel::Sounds => s.sound,
    }
}

fn line_ui(ui: &mut Ui, s: &Strings, line: &StoredLine) {
    ui.horizontal_top(|ui| {
        time_ui(ui, &line.time, SMALL_TIME_HEIGHT);
        let label = label(s, line.panel);
        if !label.is_empty() {
            ui.label(RichText::new(label).weak());
        }
        let mut text = RichText::new(&line.text);
        if line.panel == Panel::Conversation {
            text = text.color(theme::Palette::of(ui.visuals()).replying);
        }
        ui.add(egui::Label::new(text).wrap());
    });
}
