//! The history window: past sessions, search, and the deletion of recent or of all sessions.

use egui::{RichText, ScrollArea, TextEdit, Ui, vec2};

use super::actions::{Action, Actions};
use super::confirm::{Answer, Confirmation};
use super::history_data::{ChangeOutcome, HistoryData};
use super::history_session::{SessionInputs, SessionView};
use super::strings::{Strings, fill};
use super::theme;
use crate::config::Paths;
use crate::history::{HistoryQuery, session_title};
use crate::time::wall::date_and_time;

/// Width of the list of sessions, in points. A history window less than twice as wide shows either the list or a session.
const LIST_WIDTH: f32 = 270.0;
/// Smallest height of the history window when opened, in points.
const MIN_HEIGHT: f32 = 120.0;
/// Largest width and height of the history window when opened, in points.
const MAX_SIZE: [f32; 2] = [860.0, 600.0];
/// Width and height of the main window that the history window leaves free when opened, in points.
const AROUND: [f32; 2] = [60.0, 100.0];
/// Margin between the list of sessions and the open session, in points.
const LIST_MARGIN: i8 = 10;
/// Height of an entry in the list of sessions or search hits, in points.
const ENTRY_HEIGHT: f32 = 44.0;
/// Longest second line of an entry in the list of sessions or search hits, in characters.
const ENTRY_CHARS: usize = 80;
/// Margin at the left and at the right of an entry in the list of sessions or search hits, in points.
const ENTRY_MARGIN: f32 = 8.0;
/// Distance of the first and of the second line of a list entry from the entry's top, in points.
const ENTRY_LINES: [f32; 2] = [5.0, 24.0];

/// The state of the history window between frames.
#[derive(Debug, Default)]
pub(super) struct HistoryWindow {
    open: bool,
    /// True until the search field has been given the keyboard focus.
    takes_focus: bool,
    /// Text in the search field.
    query: String,
    /// View of the session that the user has chosen; `None` before a choice.
    session: Option<SessionView>,
    /// Deletion that the user is asked to confirm; `None` without such a question.
    deletion: Option<Confirmation<DeletionRequest>>,
    /// Data read from the history, and requests for more.
    data: HistoryData,
}

/// A deletion that the user has asked for and has to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeletionRequest {
    /// Delete the stored session of this number.
    Session(i64),
    /// Delete all sessions.
    Everything,
    /// Delete the last 10 minutes.
    Recent,
}

impl HistoryWindow {
    pub(super) fn open(&mut self, paths: &Paths, ctx: &egui::Context) {
        (self.open, self.takes_focus) = (true, true);
        self.ask(HistoryQuery::Sessions, paths, ctx);
    }

    /// Closes the history window, which shows the same when opened again. Returns false if the window was not open.
    pub(super) fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    /// Sends a request to the history's reader thread. The window shows the answer once it has come.
    pub(super) fn ask(&mut self, question: HistoryQuery, paths: &Paths, ctx: &egui::Context) {
        self.data.request(question, paths, ctx);
    }

    /// If the history window is open, reads the list of sessions again and drops the search and the open session. Else does
    /// nothing.
    pub(super) fn reload(&mut self, paths: &Paths, ctx: &egui::Context) {
        if self.open {
            (self.data.open, self.data.hits) = (None, None);
            self.ask(HistoryQuery::Sessions, paths, ctx);
        }
    }

    /// Takes the answers of the history's reader thread and paints the history window; does nothing while the window is closed.
    /// `kept` is the footer's text on how the history is kept, and `offset_secs` the seconds by which local time is ahead of UTC.
    pub(super) fn show(&mut self, ui: &Ui, s: &'static Strings, offset_secs: i64, kept: &str, actions: &mut Actions) {
        if !self.open {
            return;
        }
        self.data.update(offset_secs);
        let (mut open, room) = (true, ui.ctx().content_rect());
        let width = (room.width() - AROUND[0]).clamp(theme::MIN_WINDOW_WIDTH, MAX_SIZE[0]);
        let size = vec2(width, (room.height() - AROUND[1]).clamp(MIN_HEIGHT, MAX_SIZE[1]));
        let window = egui::Window::new(s.history).open(&mut open).default_size(size).default_pos(room.center() - size / 2.0);
        window.collapsible(false).show(ui.ctx(), |ui| self.content_ui(ui, s, offset_secs, kept, actions));
        self.deletion_ui(ui, s, actions);
        self.open &= open;
    }

    fn content_ui(&mut self, ui: &mut Ui, s: &'static Strings, offset_secs: i64, kept: &str, actions: &mut Actions) {
        let both = ui.available_width() >= 2.0 * LIST_WIDTH;
        // In a narrow window a session has all the room, unless something is to be said or asked.
        let notify = self.data.outcome.is_some();
        if both || notify || self.session.is_none() {
            self.foot_ui(ui, s, kept);
        }
        if both {
            let side = egui::Frame::NONE.inner_margin(egui::Margin { right: LIST_MARGIN, ..egui::Margin::ZERO });
            let half = egui::Frame::NONE.inner_margin(egui::Margin {
                left: theme::SIDE_MARGIN,
                bottom: theme::PANEL_MARGIN,
                ..egui::Margin::ZERO
            });
            let list = egui::Panel::left("sessions").frame(side).resizable(false).exact_size(LIST_WIDTH);
            list.show(ui, |ui| self.list_ui(ui, s, offset_secs, actions));
            egui::CentralPanel::default().frame(half).show(ui, |ui| self.session_ui(ui, s, offset_secs, actions));
        } else if self.session.is_some() {
            if ui.button(s.back).clicked() {
                self.session = None;
            }
            egui::CentralPanel::no_frame().show(ui, |ui| self.session_ui(ui, s, offset_secs, actions));
        } else {
            self.list_ui(ui, s, offset_secs, actions);
        }
    }

    fn list_ui(&mut self, ui: &mut Ui, s: &Strings, offset_secs: i64, actions: &mut Actions) {
        let label = ui.label(s.search);
        let field = ui.add(TextEdit::singleline(&mut self.query).hint_text(s.search_hint).desired_width(f32::INFINITY));
        let field = field.labelled_by(label.id);
        if std::mem::take(&mut self.takes_focus) {
            field.request_focus();
        }
        if field.changed() {
            actions.push(Action::AskHistory(HistoryQuery::Search(self.query.clone())));
        }
        ui.separator();
        let chosen = if self.query.trim().is_empty() { self.sessions_ui(ui, s, offset_secs) } else { self.hits_ui(ui, s, offset_secs) };
        if let Some(session) = chosen {
            actions.push(Action::AskHistory(HistoryQuery::Open(session.id)));
            self.data.outcome = None;
            self.deletion = None;
            self.session = Some(session);
        }
    }

    /// Paints the list of sessions. Returns a view of the session that was clicked in this frame, else `None`.
    fn sessions_ui(&self, ui: &mut Ui, s: &Strings, offset_secs: i64) -> Option<SessionView> {
        let sessions = self.data.sessions.as_ref()?;
        if sessions.is_empty() {
            ui.label(RichText::new(s.no_history).weak());
        }
        let mut chosen = None;
        let area = ScrollArea::vertical().id_salt("sessions").auto_shrink(false);
        area.show_rows(ui, ENTRY_HEIGHT, sessions.len(), |ui, rows| {
            for session in &sessions[rows] {
                let is_shown = self.session.as_ref().is_some_and(|shown| shown.id == session.id);
                let mark = if session.recordings > 0 { format!("  • {}", s.with_sound) } else { String::new() };
                let title = format!("{}{mark}", session_title(session, offset_secs));
                let below = if session.first.is_empty() { s.no_words } else { &session.first };
                if entry_ui(ui, &ListEntry { title: &title, below, is_shown }) {
                    chosen = Some(SessionView::new(session.id));
                }
            }
        });
        chosen
    }

    /// Paints the list of search hits. If a hit was clicked in this frame, returns a view of the hit's session that scrolls to the
    /// hit, else `None`.
    fn hits_ui(&self, ui: &mut Ui, s: &Strings, offset_secs: i64) -> Option<SessionView> {
        let hits = self.data.hits.as_ref()?;
        if hits.lines.is_empty() && hits.text == self.query {
            ui.label(RichText::new(s.nothing_found).weak());
        }
        let mut chosen = None;
        let area = ScrollArea::vertical().id_salt("found").auto_shrink(false);
        area.show_rows(ui, ENTRY_HEIGHT, hits.lines.len(), |ui, rows| {
            for line in &hits.lines[rows] {
                let title = format!("{}  {}", date_and_time(line.started_ms, offset_secs), s.panel(line.panel));
                if entry_ui(ui, &ListEntry { title: &title, below: &line.text, is_shown: false }) {
                    chosen = Some(SessionView::at(line.session, line.at));
                }
            }
        });
        chosen
    }

    fn session_ui(&mut self, ui: &mut Ui, s: &'static Strings, offset_secs: i64, actions: &mut Actions) {
        let id = self.session.as_ref().map(|session| session.id);
        let open = self.data.open.as_ref().filter(|open| Some(open.session.id) == id);
        let (Some(view), Some(open)) = (&mut self.session, open) else {
            ui.centered_and_justified(|ui| ui.label(RichText::new(s.choose_session).weak()));
            return;
        };
        let existing = match &self.data.outcome {
            Some(ChangeOutcome::Exists(path)) => Some(path.as_path()),
            _ => None,
        };
        if let Some(deletion) = view.show(ui, s, &SessionInputs { open, offset_secs, existing }, actions) {
            self.deletion = Some(Confirmation::new(deletion));
        }
    }

    /// Paints the foot of the history window: the result of the last export or the last failure, and below it the question before
    /// a deletion, or without a question the buttons that delete. `kept` is the footer's text on how the history is kept.
    fn foot_ui(&mut self, ui: &mut Ui, s: &Strings, kept: &str) {
        let margin = egui::Margin { top: theme::PANEL_MARGIN, ..egui::Margin::ZERO };
        egui::Panel::bottom("history foot").frame(egui::Frame::NONE.inner_margin(margin)).show(ui, |ui| {
            let fault = theme::states(ui.visuals()).fault;
            match &self.data.outcome {
                Some(ChangeOutcome::Failed(error)) => drop(ui.label(RichText::new(s.error(error)).color(fault))),
                Some(ChangeOutcome::Exists(_)) => drop(ui.label(RichText::new(s.exists).color(fault))),
                Some(ChangeOutcome::Saved(path)) => drop(ui.label(fill(s.saved, path.display()))),
                None => {}
            }
            ui.horizontal_wrapped(|ui| {
                if ui.button(s.forget_lately).clicked() {
                    self.deletion = Some(Confirmation::new(DeletionRequest::Recent));
                }
                if ui.button(s.delete_all).clicked() {
                    self.deletion = Some(Confirmation::new(DeletionRequest::Everything));
                }
                ui.label(RichText::new(kept).weak().small());
            });
        });
    }

    /// Paints the question before a deletion, and carries the deletion out once the user has confirmed it.
    fn deletion_ui(&mut self, ui: &Ui, s: &Strings, actions: &mut Actions) {
        let Some(deletion) = &mut self.deletion else { return };
        let what = deletion.what;
        let (question, yes) = match what {
            DeletionRequest::Session(_) => (s.delete_ask, s.delete_yes),
            DeletionRequest::Everything => (s.delete_all_ask, s.delete_all_yes),
            DeletionRequest::Recent => (s.forget_lately_ask, s.delete_yes),
        };
        let Some(answer) = deletion.show(ui, s, question, yes) else { return };
        self.deletion = None;
        if answer == Answer::Delete {
            self.session = None;
            actions.push(match what {
                DeletionRequest::Session(id) => Action::AskHistory(HistoryQuery::Delete(id)),
                DeletionRequest::Everything => Action::DeleteEverything,
                DeletionRequest::Recent => Action::DeleteRecent,
            });
        }
    }
}

/// An entry in the list of sessions or search hits: a title, and a line of smaller text.
struct ListEntry<'a> {
    title: &'a str,
    /// Text of the line below the title.
    below: &'a str,
    /// True if the entry's session is the open one; the entry is then highlighted.
    is_shown: bool,
}

/// Paints an entry of the list of sessions or search hits, with its lines cut to the list's width. Returns true if the entry was
/// clicked in this frame.
fn entry_ui(ui: &mut Ui, entry: &ListEntry<'_>) -> bool {
    let ListEntry { title, below, is_shown } = *entry;
    let below: String = below.chars().take(ENTRY_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ENTRY_HEIGHT), egui::Sense::click());
    let label = format!("{title}\n{below}");
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, ui.is_enabled(), is_shown, &label));
    if !ui.is_rect_visible(rect) {
        return response.clicked();
    }
    if is_shown || response.hovered() || response.has_focus() {
        let fill = if is_shown { ui.visuals().selection.bg_fill } else { ui.visuals().widgets.hovered.weak_bg_fill };
        ui.painter().rect_filled(rect, theme::RADIUS, fill);
    }
    if response.has_focus() {
        ui.painter().rect_stroke(rect, theme::RADIUS, ui.visuals().selection.stroke, egui::StrokeKind::Inside);
    }
    let line = |text: RichText, colour: egui::Color32, y: f32| {
        let text = egui::WidgetText::from(text.color(colour));
        let width = rect.width() - 2.0 * ENTRY_MARGIN;
        let galley = text.into_galley(ui, Some(egui::TextWrapMode::Truncate), width, egui::TextStyle::Body);
        ui.painter().galley(rect.left_top() + vec2(ENTRY_MARGIN, y), galley, colour);
    };
    line(RichText::new(title).size(theme::BODY), ui.visuals().strong_text_color(), ENTRY_LINES[0]);
    line(RichText::new(below).size(theme::SMALL), ui.visuals().weak_text_color(), ENTRY_LINES[1]);
    response.clicked()
}
