//! The window of past sessions: browse, search, open, rename, delete, export, and forget.

use std::path::PathBuf;
use std::time::Duration;

use egui::{Key, RichText, ScrollArea, TextEdit, Ui, vec2};

use super::list::List;
use super::past::{OpenSession, Outcome, PastLine, Who};
use super::strings::{Strings, fill};
use super::{HearkenApp, theme};
use crate::clock::now_ms;
use crate::config::{ExportForm, HistoryPrefs};
use crate::export::DocumentFormat;
use crate::files::Existing;
use crate::history::{HistoryNotice, HistoryQuery, HistoryState, LineKind, SessionSummary, session_title};
use crate::protocol::Command;
use crate::time::wall::date_and_time;

/// Width of the list of sessions, in points; a window less than twice as wide shows one half at a time.
const LIST: f32 = 270.0;
/// Height of an entry in the list, in points.
const ENTRY: f32 = 44.0;
/// What "lately" means where it is forgotten.
const LATELY: Duration = Duration::from_secs(10 * 60);

/// What the user does with the history.
#[derive(Debug, Default)]
pub(super) struct Browser {
    pub(super) open: bool,
    /// Whether it was just opened: the search is to be typed into.
    fresh: bool,
    query: String,
    /// The session that is shown.
    chosen: Option<i64>,
    /// Its new name, while one is typed.
    name: Option<String>,
    /// The file that it is to be saved in.
    export: Option<String>,
    /// What is to be deleted, once the user has said so again.
    doomed: Option<Doomed>,
    lines: List,
    /// Audio time of the line that was found, until it is shown.
    found_at: Option<crate::time::StreamTime>,
}

/// What is about to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doomed {
    Session(i64),
    Everything,
    Lately,
}

impl HearkenApp {
    pub(super) fn open_history(&mut self, ctx: &egui::Context) {
        (self.view.browser.open, self.view.browser.fresh) = (true, true);
        self.ask_history(HistoryQuery::Sessions, ctx);
    }

    fn ask_history(&mut self, question: HistoryQuery, ctx: &egui::Context) {
        self.view.past.ask(question, &self.settings.paths, ctx);
    }

    pub(super) fn history_window(&mut self, ui: &Ui) {
        if !self.view.browser.open {
            return;
        }
        self.view.past.take_answers(self.session.heard.offset_secs());
        let (mut open, s, room) = (true, self.s, ui.ctx().content_rect());
        let side = egui::Frame::NONE.inner_margin(egui::Margin { right: 10, ..egui::Margin::ZERO });
        let half = egui::Frame::NONE.inner_margin(egui::Margin { left: 12, bottom: 8, ..egui::Margin::ZERO });
        let size = vec2((room.width() - 60.0).clamp(200.0, 860.0), (room.height() - 100.0).clamp(120.0, 600.0));
        egui::Window::new(s.history).open(&mut open).default_size(size).default_pos(room.center() - size / 2.0).collapsible(false).show(
            ui.ctx(),
            |ui| {
                let both = ui.available_width() >= 2.0 * LIST;
                // In a small window a session has the room for itself, unless there is something to say or to ask.
                let asked = self.view.browser.doomed.is_some() || self.view.past.shelf.outcome.is_some();
                if both || asked || self.view.browser.chosen.is_none() {
                    self.history_foot_ui(ui);
                }
                if both {
                    egui::Panel::left("sessions").frame(side).resizable(false).exact_size(LIST).show(ui, |ui| self.list_half_ui(ui));
                    egui::CentralPanel::default().frame(half).show(ui, |ui| self.session_half_ui(ui));
                } else if self.view.browser.chosen.is_some() {
                    if ui.button(s.back).clicked() {
                        self.view.browser.chosen = None;
                    }
                    egui::CentralPanel::no_frame().show(ui, |ui| self.session_half_ui(ui));
                } else {
                    self.list_half_ui(ui);
                }
            },
        );
        self.view.browser.open &= open;
    }

    fn list_half_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        let label = ui.label(s.search);
        let field = ui.add(TextEdit::singleline(&mut self.view.browser.query).hint_text(s.search_hint).desired_width(f32::INFINITY));
        let field = field.labelled_by(label.id);
        if std::mem::take(&mut self.view.browser.fresh) {
            field.request_focus();
        }
        if field.changed() {
            self.ask_history(HistoryQuery::Search(self.view.browser.query.clone()), ui.ctx());
        }
        ui.separator();
        if self.view.browser.query.trim().is_empty() { self.sessions_ui(ui) } else { self.found_ui(ui) }
    }

    fn sessions_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        let (mut chosen, offset_secs) = (None, self.session.heard.offset_secs());
        let Some(sessions) = &self.view.past.shelf.sessions else { return };
        if sessions.is_empty() {
            ui.label(RichText::new(s.no_history).weak());
        }
        let area = ScrollArea::vertical().id_salt("sessions").auto_shrink(false);
        area.show_rows(ui, ENTRY, sessions.len(), |ui, rows| {
            for session in &sessions[rows] {
                let on = self.view.browser.chosen == Some(session.id);
                let mark = if session.recordings > 0 { format!("  • {}", s.with_sound) } else { String::new() };
                let head = format!("{}{mark}", session_title(session, offset_secs));
                if entry_ui(ui, on, &head, if session.first.is_empty() { s.no_words } else { &session.first }) {
                    chosen = Some(session.id);
                }
            }
        });
        if let Some(id) = chosen {
            self.choose_session(id, ui.ctx());
        }
    }

    fn found_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        let (mut chosen, offset_secs) = (None, self.session.heard.offset_secs());
        let Some((text, found)) = &self.view.past.shelf.found else { return };
        if found.is_empty() && *text == self.view.browser.query {
            ui.label(RichText::new(s.nothing_found).weak());
        }
        let area = ScrollArea::vertical().id_salt("found").auto_shrink(false);
        area.show_rows(ui, ENTRY, found.len(), |ui, rows| {
            for line in &found[rows] {
                let head = format!("{}  {}", date_and_time(line.started_ms, offset_secs), kind(s, line.kind));
                if entry_ui(ui, false, &head, &line.text) {
                    chosen = Some(line.clone());
                }
            }
        });
        if let Some(line) = chosen {
            self.choose_session(line.session, ui.ctx());
            self.view.browser.found_at = Some(line.at);
        }
    }

    fn choose_session(&mut self, id: i64, ctx: &egui::Context) {
        let browser = &mut self.view.browser;
        (browser.chosen, browser.name, browser.export, browser.doomed) = (Some(id), None, None, None);
        browser.lines = List::whole();
        self.view.past.shelf.outcome = None;
        self.ask_history(HistoryQuery::Open(id), ctx);
    }

    fn session_half_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        let Some(open) = self.view.past.shelf.open.take().filter(|open| Some(open.session.id) == self.view.browser.chosen) else {
            ui.centered_and_justified(|ui| ui.label(RichText::new(s.choose_session).weak()));
            return;
        };
        self.session_head_ui(ui, &open.session);
        ui.separator();
        self.session_lines_ui(ui, &open);
        self.view.past.shelf.open = Some(open);
    }

    fn session_head_ui(&mut self, ui: &mut Ui, session: &SessionSummary) {
        let (s, offset_secs) = (self.s, self.session.heard.offset_secs());
        let mut ask = None;
        if let Some(name) = &mut self.view.browser.name {
            let label = ui.label(s.session_name);
            let field = ui.add(TextEdit::singleline(name).desired_width(f32::INFINITY)).labelled_by(label.id);
            let entered = field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
            ui.horizontal(|ui| {
                if ui.button(s.save).clicked() || entered {
                    ask = Some(HistoryQuery::Rename(session.id, name.clone()));
                }
                if ui.button(s.cancel).clicked() {
                    ask = Some(HistoryQuery::Sessions);
                }
            });
        } else {
            ui.label(RichText::new(session_title(session, offset_secs)).strong().size(theme::LARGE));
            let minutes = session.heard.secs() / 60.0;
            let facts = format!(
                "{} · {} · {} · {}",
                date_and_time(session.started_ms, offset_secs),
                fill(s.minutes, format_args!("{minutes:.1}")),
                session.source,
                session.model
            );
            ui.label(RichText::new(facts).weak().small());
            ui.horizontal_wrapped(|ui| {
                if ui.button(s.rename).clicked() {
                    self.view.browser.name = Some(session.name.clone());
                }
                if ui.button(s.export).clicked() {
                    self.view.browser.export = Some(free_path());
                }
                if ui.button(s.delete).clicked() {
                    self.view.browser.doomed = Some(Doomed::Session(session.id));
                }
            });
        }
        if ask.is_some() {
            self.view.browser.name = None;
        }
        if let Some(ask) = ask {
            self.ask_history(ask, ui.ctx());
        }
        self.session_export_ui(ui, session.id);
    }

    fn session_export_ui(&mut self, ui: &mut Ui, id: i64) {
        let s = self.s;
        let exists = match &self.view.past.shelf.outcome {
            Some(Outcome::Exists(path)) => Some(path.clone()),
            _ => None,
        };
        let Some(export) = &mut self.view.browser.export else { return };
        let label = ui.label(s.export_path);
        ui.add(TextEdit::singleline(export).desired_width(f32::INFINITY)).labelled_by(label.id);
        let path = PathBuf::from(export.trim());
        ui.horizontal_wrapped(|ui| {
            for form in ExportForm::ALL {
                if ui.selectable_label(ExportForm::of(&path) == Some(form), form.extension().to_uppercase()).clicked() {
                    *export = path.with_extension(form.extension()).display().to_string();
                }
            }
        });
        let warned = exists.as_ref() == Some(&path);
        let mut existing = None;
        ui.horizontal(|ui| {
            if ui.button(if warned { s.replace } else { s.save }).clicked() {
                existing = Some(if warned { Existing::Replaced } else { Existing::Kept });
            }
            if ui.button(s.cancel).clicked() {
                self.view.browser.export = None;
            }
        });
        if let Some(existing) = existing {
            let form = ExportForm::of(&path).unwrap_or(ExportForm::Document(DocumentFormat::Text));
            self.ask_history(HistoryQuery::Export { session: id, form, path, existing }, ui.ctx());
        }
    }

    fn session_lines_ui(&mut self, ui: &mut Ui, open: &OpenSession) {
        let s = self.s;
        for recording in &open.recordings {
            let text = format!("• {}: {}", s.with_sound, recording.display());
            ui.label(RichText::new(text).color(theme::states(ui.visuals()).fault).small());
        }
        let mut list = std::mem::take(&mut self.view.browser.lines);
        if let Some(at) = self.view.browser.found_at.take() {
            list.go_to(open.lines.partition_point(|line| line.at < at));
        }
        list.show(ui, s, s.history, open.lines.len(), |ui, n| line_ui(ui, s, &open.lines[n]));
        self.view.browser.lines = list;
    }

    /// What holds for the whole history: how a change went, what is kept, and how to be rid of it.
    fn history_foot_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        let foot = egui::Frame::NONE.inner_margin(egui::Margin { top: 8, ..egui::Margin::ZERO });
        egui::Panel::bottom("history foot").frame(foot).show(ui, |ui| {
            let outcome = self.view.past.shelf.outcome.clone();
            match &outcome {
                Some(Outcome::Failed(why)) => drop(ui.label(RichText::new(why).color(theme::states(ui.visuals()).fault))),
                Some(Outcome::Exists(_)) => drop(ui.label(RichText::new(s.exists).color(theme::states(ui.visuals()).fault))),
                Some(Outcome::Saved(path)) => drop(ui.label(fill(s.saved, path.display()))),
                None => {}
            }
            match self.view.browser.doomed {
                Some(doomed) => self.doom_ui(ui, doomed),
                None => {
                    ui.horizontal_wrapped(|ui| {
                        if ui.button(s.forget_lately).clicked() {
                            self.view.browser.doomed = Some(Doomed::Lately);
                        }
                        if ui.button(s.delete_all).clicked() {
                            self.view.browser.doomed = Some(Doomed::Everything);
                        }
                        ui.label(RichText::new(self.kept()).weak().small());
                    });
                }
            }
        });
    }

    fn doom_ui(&mut self, ui: &mut Ui, doomed: Doomed) {
        let s = self.s;
        let (question, yes) = match doomed {
            Doomed::Session(_) => (s.delete_ask, s.delete_yes),
            Doomed::Everything => (s.delete_all_ask, s.delete_all_yes),
            Doomed::Lately => (s.forget_lately_ask, s.forget_yes),
        };
        ui.label(RichText::new(question).color(theme::states(ui.visuals()).fault));
        let mut decided = None;
        ui.horizontal(|ui| {
            if ui.button(yes).clicked() {
                decided = Some(true);
            }
            if ui.button(s.cancel).clicked() {
                decided = Some(false);
            }
        });
        let Some(done) = decided else { return };
        self.view.browser.doomed = None;
        if !done {
            return;
        }
        self.view.browser.chosen = None;
        match doomed {
            Doomed::Session(id) => {
                self.view.past.shelf.open = None;
                self.ask_history(HistoryQuery::Delete(id), ui.ctx());
            }
            Doomed::Everything => {
                self.session.history.delete_all();
                self.forget_shown(0);
            }
            Doomed::Lately => {
                self.session.history.forget_last(LATELY);
                self.forget_shown(now_ms() - LATELY.as_millis() as i64);
            }
        }
    }

    /// What is deleted from the disk leaves the screen, and the model's mind.
    fn forget_shown(&mut self, since_ms: i64) {
        self.session.engine.send(Command::Forget);
        self.session.heard.forget_since(since_ms);
    }

    /// What the recorder has to say: what is forgotten is forgotten, and what is wrong.
    pub(super) fn take_history_news(&mut self, ctx: &egui::Context) {
        let news = self.session.history.take_notices();
        for piece in &news {
            let text = match piece {
                HistoryNotice::Forgotten => self.s.forgotten.to_owned(),
                HistoryNotice::DeletedAll => self.s.deleted_all.to_owned(),
                HistoryNotice::Recovered => self.s.kept_again.to_owned(),
                HistoryNotice::Problem(why) => why.clone(),
            };
            if !self.view.messages.contains(&text) {
                self.view.messages.push(text);
            }
        }
        if self.view.browser.open && !news.is_empty() {
            let shelf = &mut self.view.past.shelf;
            (shelf.open, shelf.found) = (None, None);
            self.ask_history(HistoryQuery::Sessions, ctx);
        }
    }

    /// In a few words, what is kept and for how long.
    pub(super) fn kept(&self) -> String {
        let (s, standing) = (self.s, self.session.history.status());
        match standing.state {
            HistoryState::Off => s.kept_not.to_owned(),
            HistoryState::Failing(_) => s.kept_failing.to_owned(),
            HistoryState::On if standing.prefs.days == 0 => s.kept_ever.to_owned(),
            HistoryState::On => fill(s.kept_days, standing.prefs.days),
        }
    }

    /// What is kept, in the settings.
    pub(super) fn history_settings_ui(&mut self, ui: &mut Ui) {
        let (s, prefs) = (self.s, &mut self.keep);
        ui.checkbox(&mut prefs.keep, s.keep_history);
        ui.add_enabled_ui(prefs.keep, |ui| {
            let mut ever = prefs.days == 0;
            if ui.checkbox(&mut ever, s.keep_ever).changed() {
                prefs.days = if ever { 0 } else { HistoryPrefs::default().days };
            }
            if !ever {
                ui.add(egui::Slider::new(&mut prefs.days, 1..=365).logarithmic(true).text(s.keep_days));
            }
            ui.checkbox(&mut prefs.audio, s.keep_audio);
        });
        ui.label(RichText::new(fill(s.history_lies, self.settings.paths.data.display())).weak());
        if ui.button(s.history_hint).clicked() {
            self.open_history(ui.ctx());
        }
    }

    /// Keeps as the user chose, once nothing is being dragged: days that are fewer delete, and nobody means those between.
    pub(super) fn remember_keep(&mut self) {
        if self.keep == self.saved_keep {
            return;
        }
        self.saved_keep = self.keep;
        self.session.history.set_prefs(self.keep);
        if let Err(error) = self.keep.save(&self.settings.paths) {
            self.say_unsaved(&error);
        }
    }
}

/// An entry of a list: a head and one line below it, each as long as there is room.
fn entry_ui(ui: &mut Ui, on: bool, head: &str, below: &str) -> bool {
    let below: String = below.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ENTRY), egui::Sense::click());
    let label = format!("{head}\n{below}");
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, ui.is_enabled(), on, &label));
    if !ui.is_rect_visible(rect) {
        return response.clicked();
    }
    if on || response.hovered() || response.has_focus() {
        let fill = if on { ui.visuals().selection.bg_fill } else { ui.visuals().widgets.hovered.weak_bg_fill };
        ui.painter().rect_filled(rect, 6.0, fill);
    }
    if response.has_focus() {
        ui.painter().rect_stroke(rect, 6.0, ui.visuals().selection.stroke, egui::StrokeKind::Inside);
    }
    let line = |text: String, size: f32, colour: egui::Color32, y: f32| {
        let text = egui::WidgetText::from(RichText::new(text).size(size).color(colour));
        let galley = text.into_galley(ui, Some(egui::TextWrapMode::Truncate), rect.width() - 16.0, egui::TextStyle::Body);
        ui.painter().galley(rect.left_top() + vec2(8.0, y), galley, colour);
    };
    line(head.to_owned(), theme::BODY, ui.visuals().strong_text_color(), 5.0);
    line(below, theme::SMALL, ui.visuals().weak_text_color(), 24.0);
    response.clicked()
}

fn line_ui(ui: &mut Ui, s: &Strings, line: &PastLine) {
    ui.horizontal_top(|ui| {
        super::panels::time_of_ui(ui, &line.time, 18.0);
        let who = match line.who {
            Who::Said => "",
            Who::Meant => s.translation,
            Who::Replied => super::strings::TITLE,
            Who::Sound => s.sound,
        };
        if !who.is_empty() {
            ui.label(RichText::new(who).weak());
        }
        let mut text = RichText::new(&line.text);
        if line.who == Who::Replied {
            text = text.color(theme::states(ui.visuals()).replying);
        }
        ui.add(egui::Label::new(text).wrap());
    });
}

const fn kind(s: &Strings, kind: LineKind) -> &'static str {
    match kind {
        LineKind::Said => s.transcript,
        LineKind::Translated => s.translation,
        LineKind::Reply => s.conversation,
        LineKind::Sound => s.sounds,
    }
}

fn free_path() -> String {
    super::dialogs::free_file().display().to_string()
}
