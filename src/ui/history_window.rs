//! The history window: past sessions, search, and the deletion of recent or of all sessions.

use egui::{RichText, ScrollArea, TextEdit, Ui, vec2};

use super::actions::{Action, Actions};
use super::history_data::{ChangeOutcome, HistoryData};
use super::history_session::{SessionInputs, SessionView};
use super::strings::{Strings, fill};
use super::theme;
use crate::config::Paths;
use crate::history::{HistoryQuery, session_title};
use crate::time::wall::date_and_time;

/// Width of the list of sessions, in points; a window less than twice as wide shows either the list or a session.
const LIST_WIDTH: f32 = 270.0;
/// Smallest height and largest size of the window when opened, and the space left around it, in points.
const MIN_HEIGHT: f32 = 120.0;
const MAX_SIZE: [f32; 2] = [860.0, 600.0];
const AROUND: [f32; 2] = [60.0, 100.0];
/// Margin between the list and the session, in points.
const LIST_MARGIN: i8 = 10;
/// Height of an entry in the list, in points, and longest second line of it, in characters.
const ENTRY_HEIGHT: f32 = 44.0;
const ENTRY_CHARS: usize = 80;
/// Margin at the sides of an entry, and distance of each of its two lines from its top, in points.
const ENTRY_MARGIN: f32 = 8.0;
const ENTRY_LINES: [f32; 2] = [5.0, 24.0];

/// The state of the history window between frames.
#[derive(Debug, Default)]
pub(super) struct HistoryWindow {
    open: bool,
    /// True until the search field has been given the keyboard focus.
    takes_focus: bool,
    query: String,
    /// View of the session that the user has chosen; `None` before a choice.
    session: Option<SessionView>,
    /// Deletion that the user is asked to confirm.
    deletion: Option<Deletion>,
    data: HistoryData,
}

/// A deletion that the user has to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    Session(i64),
    Everything,
    Recent,
}

impl HistoryWindow {
    pub(super) fn open(&mut self, paths: &Paths, ctx: &egui::Context) {
        (self.open, self.takes_focus) = (true, true);
        self.ask(HistoryQuery::Sessions, paths, ctx);
    }

    /// Closes the window and keeps its state; returns false if it was not open.
    pub(super) fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    /// Sends a request to the reader of the history; its answer is shown once it comes.
    pub(super) fn ask(&mut self, question: HistoryQuery, paths: &Paths, ctx: &egui::Context) {
        self.data.request(question, paths, ctx);
    }

    /// Reads the list of sessions again and forgets the search and the open session, if the window is open.
    pub(super) fn reload(&mut self, paths: &Paths, ctx: &egui::Context) {
        if self.open {
            (self.data.open, self.data.hits) = (None, None);
            self.ask(HistoryQuery::Sessions, paths, ctx);
        }
    }

    /// Takes the reader's answers and paints the window, while it is open; `kept` is the footer's text on the history.
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
        self.open &= open;
    }

    fn content_ui(&mut self, ui: &mut Ui, s: &'static Strings, offset_secs: i64, kept: &str, actions: &mut Actions) {
        let both = ui.available_width() >= 2.0 * LIST_WIDTH;
        // In a narrow window a session has all the room, unless something is to be said or asked.
        let notify = self.deletion.is_some() || self.data.outcome.is_some();
        if both || notify || self.session.is_none() {
            self.foot_ui(ui, s, kept, actions);
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

    /// Paints the list of sessions; returns a view of the one that was clicked.
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

    /// Paints the hits of the search; returns a view of the session of the hit that was clicked, which scrolls to the hit.
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
            self.deletion = Some(deletion);
        }
    }

    /// Paints the result of an export or a failure, and below it the question before a deletion, or else the buttons for one.
    fn foot_ui(&mut self, ui: &mut Ui, s: &Strings, kept: &str, actions: &mut Actions) {
        let margin = egui::Margin { top: theme::PANEL_MARGIN, ..egui::Margin::ZERO };
        egui::Panel::bottom("history foot").frame(egui::Frame::NONE.inner_margin(margin)).show(ui, |ui| {
            let fault = theme::states(ui.visuals()).fault;
            match &self.data.outcome {
                Some(ChangeOutcome::Failed(error)) => drop(ui.label(RichText::new(s.error(error)).color(fault))),
                Some(ChangeOutcome::Exists(_)) => drop(ui.label(RichText::new(s.exists).color(fault))),
                Some(ChangeOutcome::Saved(path)) => drop(ui.label(fill(s.saved, path.display()))),
                None => {}
            }
            if let Some(deletion) = self.deletion {
                return self.deletion_ui(ui, s, deletion, actions);
            }
            ui.horizontal_wrapped(|ui| {
                if ui.button(s.forget_lately).clicked() {
                    self.deletion = Some(Deletion::Recent);
                }
                if ui.button(s.delete_all).clicked() {
                    self.deletion = Some(Deletion::Everything);
                }
                ui.label(RichText::new(kept).weak().small());
            });
        });
    }

    fn deletion_ui(&mut self, ui: &mut Ui, s: &Strings, deletion: Deletion, actions: &mut Actions) {
        let (question, yes) = match deletion {
            Deletion::Session(_) => (s.delete_ask, s.delete_yes),
            Deletion::Everything => (s.delete_all_ask, s.delete_all_yes),
            Deletion::Recent => (s.forget_lately_ask, s.delete_yes),
        };
        ui.label(RichText::new(question).color(theme::states(ui.visuals()).fault));
        ui.horizontal(|ui| {
            if ui.button(yes).clicked() {
                self.deletion = None;
                self.session = None;
                actions.push(match deletion {
                    Deletion::Session(id) => Action::AskHistory(HistoryQuery::Delete(id)),
                    Deletion::Everything => Action::DeleteEverything,
                    Deletion::Recent => Action::DeleteRecent,
                });
            }
            if ui.button(s.cancel).clicked() {
                self.deletion = None;
            }
        });
    }
}

/// An entry of the list: a title, and a line below it.
struct ListEntry<'a> {
    title: &'a str,
    below: &'a str,
    is_shown: bool,
}

/// Paints an entry, its lines cut to the width; returns true if it was clicked in this frame.
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
