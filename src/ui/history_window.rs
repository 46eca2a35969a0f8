//! The history window: past sessions, search, and the deletion of recent or of all sessions.

use egui::{RichText, TextEdit, Ui};

use super::actions::{Action, Actions};
use super::confirm::{Answer, Confirmation};
use super::history_data::HistoryData;
use super::history_session::SessionView;
use super::strings::Strings;
use super::strings::dates::Calendar;
use super::virtual_list::VirtualList;
use super::{history_list, sheet, theme};
use crate::clock::now_ms;
use crate::config::Paths;
use crate::error::Result;
use crate::history::HistoryQuery;
use crate::time::wall::TimeZone;

/// Width of the list of sessions, in points. A history window less than twice as wide shows either the list or a session.
const LIST_WIDTH: f32 = 270.0;
/// Largest width and height of the content of the history, in points.
const MAX_SIZE: [f32; 2] = [1_080.0, 760.0];
/// Margin between the list of sessions and the open session, in points.
const LIST_MARGIN: i8 = 10;
/// The state of the history window between frames.
#[derive(Debug)]
pub(super) struct HistoryWindow {
    open: bool,
    /// True until the search field has been given the keyboard focus.
    takes_focus: bool,
    /// Text in the search field.
    query: String,
    /// View of the session that the user has chosen; `None` before a choice.
    session: Option<SessionView>,
    /// List of sessions.
    sessions: VirtualList,
    /// List of search hits.
    hits: VirtualList,
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

impl Default for HistoryWindow {
    fn default() -> Self {
        Self {
            open: false,
            takes_focus: false,
            query: String::new(),
            session: None,
            sessions: VirtualList::complete(),
            hits: VirtualList::complete(),
            deletion: None,
            data: HistoryData::default(),
        }
    }
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

    /// Returns the document that was rendered for an export, or the failure; `None` until the answer is there.
    pub(super) fn take_rendered(&mut self) -> Option<Result<String>> {
        self.data.rendered.take()
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
    /// `kept` is the footer's text on how the history is kept, `zone` the time zone of its dates.
    pub(super) fn show(&mut self, ui: &Ui, s: &'static Strings, zone: &TimeZone, kept: &str, actions: &mut Actions) {
        if !self.open {
            return;
        }
        self.data.update(zone);
        let calendar = Calendar { zone: zone.clone(), now_ms: now_ms() };
        self.open = sheet::show(ui.ctx(), s.history, MAX_SIZE, |ui| self.content_ui(ui, s, &calendar, kept, actions));
        self.deletion_ui(ui, s, actions);
    }

    fn content_ui(&mut self, ui: &mut Ui, s: &'static Strings, calendar: &Calendar, kept: &str, actions: &mut Actions) {
        let both = ui.available_width() >= 2.0 * LIST_WIDTH;
        // In a narrow window a session has all the room, unless something is to be said or asked.
        let notify = self.data.failure.is_some();
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
            list.show(ui, |ui| self.list_ui(ui, s, calendar, actions));
            egui::CentralPanel::default().frame(half).show(ui, |ui| self.session_ui(ui, s, calendar, actions));
        } else if self.session.is_some() {
            if ui.button(s.back).clicked() {
                self.session = None;
            }
            egui::CentralPanel::no_frame().show(ui, |ui| self.session_ui(ui, s, calendar, actions));
        } else {
            self.list_ui(ui, s, calendar, actions);
        }
    }

    fn list_ui(&mut self, ui: &mut Ui, s: &Strings, calendar: &Calendar, actions: &mut Actions) {
        let label = ui.label(s.search);
        let field = ui.add(TextEdit::singleline(&mut self.query).hint_text(s.search_hint).desired_width(f32::INFINITY));
        let field = field.labelled_by(label.id);
        if std::mem::take(&mut self.takes_focus) {
            field.request_focus();
        }
        if field.changed() {
            self.hits = VirtualList::complete();
            actions.push(Action::AskHistory(HistoryQuery::Search(self.query.clone())));
        }
        ui.separator();
        let shown = self.session.as_ref().map(|session| session.id);
        let chosen = match &self.data.hits {
            _ if self.query.trim().is_empty() => history_list::sessions_ui(ui, s, calendar, &mut self.sessions, &self.data, shown),
            Some(hits) => history_list::hits_ui(ui, s, calendar, &mut self.hits, hits),
            None => None,
        };
        if let Some(session) = chosen {
            actions.push(Action::AskHistory(HistoryQuery::Open(session.id)));
            self.data.failure = None;
            self.deletion = None;
            self.session = Some(session);
        }
    }

    fn session_ui(&mut self, ui: &mut Ui, s: &'static Strings, calendar: &Calendar, actions: &mut Actions) {
        let id = self.session.as_ref().map(|session| session.id);
        let open = self.data.open.as_ref().filter(|open| Some(open.session.id) == id);
        let (Some(view), Some(open)) = (&mut self.session, open) else {
            ui.centered_and_justified(|ui| ui.label(RichText::new(s.choose_session).weak()));
            return;
        };
        if let Some(deletion) = view.show(ui, s, open, calendar, actions) {
            self.deletion = Some(Confirmation::new(deletion));
        }
    }

    /// Paints the foot of the history window: the result of the last export or the last failure, and below it the question before
    /// a deletion, or without a question the buttons that delete. `kept` is the footer's text on how the history is kept.
    fn foot_ui(&mut self, ui: &mut Ui, s: &Strings, kept: &str) {
        let margin = egui::Margin { top: theme::PANEL_MARGIN, ..egui::Margin::ZERO };
        egui::Panel::bottom("history foot").frame(egui::Frame::NONE.inner_margin(margin)).show(ui, |ui| {
            let fault = theme::Palette::of(ui.visuals()).fault;
            if let Some(error) = &self.data.failure {
                ui.label(RichText::new(s.error(error)).color(fault));
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
