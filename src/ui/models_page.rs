//! The page of models: which there are, getting one, listening with it, removing it.
//!
//! It reads what the shelf reports and presses its buttons. Not responsible for any of the work, which goes on when the page is closed.

use std::time::{Duration, Instant};

use egui::{Button, ProgressBar, RichText, Ui};

use super::strings::{Strings, fill};
use super::{HearkenApp, theme};
use crate::config::{Originals, Paths};
use crate::engine::Models;
use crate::protocol::ModelChoice;
use crate::protocol::models::{InstallEnd, InstallStatus, InstallStep, Licence, ModelCard, ModelState, duration, moving_size, size};

/// How often the disk is looked at while the page is open.
const LOOK: Duration = Duration::from_secs(2);
/// How often a download's progress moves.
const MOVE: Duration = Duration::from_millis(250);

/// What the page remembers: which question it is asking.
pub(super) struct Page {
    shelf: Models,
    open: bool,
    /// The catalogue as it was when the disk was last looked at.
    cards: Vec<ModelCard>,
    looked: Option<Instant>,
    question: Option<Question>,
    /// What the last button led to, in words.
    outcome: Option<Result<String, String>>,
}

enum Question {
    /// Which of the licences of this model are accepted so far.
    Terms { name: String, accepted: Vec<bool>, originals: Originals },
    /// Whether to remove this one.
    Remove(String),
}

/// A button that was pressed.
enum Press {
    Listen(ModelChoice),
    Ask(Question),
    Download(String, Originals),
    Pause(String),
    Resume(String),
    Stop(String),
    Remove(String),
    Never,
}

impl Page {
    pub(super) fn new(paths: &Paths) -> Self {
        let shelf = Models::new(paths);
        // What is wrong with the catalogue is said when the page is opened.
        let cards = shelf.cards().unwrap_or_default();
        Self { shelf, open: false, cards, looked: None, question: None, outcome: None }
    }

    /// Why the model `choice` cannot be listened with, when it is not here.
    pub(super) fn missing(&self, choice: &ModelChoice) -> Option<String> {
        self.shelf.missing(choice).map(|error| error.to_string())
    }

    /// The released model, which the first card offers.
    pub(super) fn bigger(&self) -> Option<&ModelCard> {
        self.cards.iter().find(|card| card.choice == ModelChoice::ThreeB)
    }

    pub(super) fn open(&mut self) {
        self.open = true;
        self.looked = None;
    }

    pub(super) fn toggle(&mut self) {
        if self.open { self.open = false } else { self.open() }
    }

    /// Closes it; false when it was not open.
    pub(super) fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    fn look(&mut self) {
        if self.looked.is_none_or(|at| at.elapsed() > LOOK) {
            self.looked = Some(Instant::now());
            match self.shelf.cards() {
                Ok(cards) => self.cards = cards,
                Err(error) => self.outcome = Some(Err(error.to_string())),
            }
        }
    }
}

impl HearkenApp {
    pub(super) fn models_window(&mut self, ui: &Ui) {
        if !self.models.open {
            return;
        }
        self.models.look();
        let (mut open, s) = (true, self.s);
        let listening = self.session.heard.transcript().model.clone();
        let mut pressed = None;
        let room = ui.ctx().content_rect();
        let height = (room.height() - 120.0).max(100.0);
        egui::Window::new(s.models)
            .open(&mut open)
            .default_size([520.0_f32.min(room.width() - 24.0).max(200.0), height.min(760.0)])
            .default_pos(room.center_top() + egui::vec2(-260.0, 60.0))
            .collapsible(false)
            .show(ui.ctx(), |ui| {
                egui::ScrollArea::vertical().max_height(height).auto_shrink(false).show(ui, |ui| {
                    for card in &self.models.cards {
                        ui.push_id(&card.name, |ui| {
                            let work = self.models.shelf.work(&card.name);
                            let listens = card.name == listening;
                            if let Some(press) = card_ui(ui, s, card, work.as_ref(), (listens, &mut self.models.question)) {
                                pressed = Some(press);
                            }
                        });
                    }
                    super::settings_window::outcome_ui(ui, self.models.outcome.as_ref());
                    ui.label(RichText::new(s.models_keep_using).weak());
                });
            });
        self.models.open &= open;
        if let Some(press) = pressed {
            self.press(press);
        }
        if self.models.shelf.is_busy() {
            ui.ctx().request_repaint_after(MOVE);
        } else {
            ui.ctx().request_repaint_after(LOOK);
        }
    }

    fn press(&mut self, press: Press) {
        let page = &mut self.models;
        page.looked = None;
        match press {
            Press::Listen(choice) => self.choose_model(choice),
            Press::Ask(question) => page.question = Some(question),
            Press::Never => page.question = None,
            Press::Download(name, originals) => {
                page.question = None;
                page.outcome = page.shelf.download(&name, originals).err().map(|e| Err(e.to_string()));
            }
            Press::Pause(name) => page.shelf.pause(&name),
            Press::Resume(name) => page.shelf.resume(&name),
            Press::Stop(name) => page.shelf.stop(&name),
            Press::Remove(name) => {
                page.question = None;
                page.outcome =
                    Some(page.shelf.remove(&name).map(|bytes| fill(self.s.models_removed, size(bytes))).map_err(|e| e.to_string()));
            }
        }
    }
}

/// One model. `listens`: whether it is the one that listens.
fn card_ui(
    ui: &mut Ui,
    s: &Strings,
    card: &ModelCard,
    work: Option<&InstallStatus>,
    (listens, question): (bool, &mut Option<Question>),
) -> Option<Press> {
    ui.add_space(6.0);
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(&card.title).strong().size(theme::LARGE));
        ui.label(RichText::new(state(s, card)).weak());
        if listens {
            ui.label(RichText::new(s.models_listening).color(theme::states(ui.visuals()).listening));
        }
    });
    ui.label(s.pick(&card.about, &card.zh.about));
    for can in s.pick_list(&card.can, &card.zh.can) {
        ui.label(RichText::new(format!("•  {can}")).weak());
    }
    if card.download_bytes == 0 && card.memory_bytes > 0 {
        ui.label(RichText::new(fill(s.models_memory, size(card.memory_bytes))).small().weak());
    } else if card.download_bytes > 0 {
        let needs = [card.memory_bytes, card.download_bytes, card.prepared_bytes].map(size);
        ui.label(RichText::new(needs.iter().fold(s.models_needs.to_owned(), |text, size| fill(&text, size))).small().weak());
    }
    let source = if card.choice == ModelChoice::Starter { s.models_built_in } else { &card.source };
    ui.label(RichText::new(source).small().weak());
    let pressed = match (work.filter(|work| work.end.is_none()), question) {
        (Some(work), _) => work_ui(ui, s, &card.name, work),
        (None, Some(Question::Terms { name, accepted, originals })) if *name == card.name => terms_ui(ui, s, card, accepted, originals),
        (None, Some(Question::Remove(name))) if *name == card.name => {
            ui.horizontal_wrapped(|ui| {
                ui.label(s.models_remove_ask);
                let remove = ui.button(fill(s.models_remove, &card.name)).clicked().then(|| Press::Remove(card.name.clone()));
                remove.or_else(|| ui.button(s.cancel).clicked().then_some(Press::Never))
            })
            .inner
        }
        (None, _) => {
            end_ui(ui, s, work);
            buttons_ui(ui, s, card, work, listens)
        }
    };
    ui.separator();
    pressed
}

fn state(s: &Strings, card: &ModelCard) -> String {
    match card.state {
        ModelState::Absent => s.models_absent.to_owned(),
        ModelState::Begun { bytes } => fill(s.models_begun, size(bytes)),
        ModelState::Ready { bytes } => fill(s.models_here, size(bytes)),
    }
}

fn buttons_ui(ui: &mut Ui, s: &Strings, card: &ModelCard, work: Option<&InstallStatus>, listens: bool) -> Option<Press> {
    let name = || card.name.clone();
    ui.horizontal_wrapped(|ui| {
        let mut pressed = None;
        if matches!(card.state, ModelState::Ready { .. }) {
            if ui.add_enabled(!listens, Button::new(fill(s.models_listen, &card.name))).clicked() {
                pressed = Some(Press::Listen(card.choice.clone()));
            }
        } else if card.download_bytes > 0 || !card.licences.is_empty() {
            let failed = work.is_some_and(|work| matches!(work.end, Some(InstallEnd::Failed(_))));
            let begun = matches!(card.state, ModelState::Begun { .. });
            let label = if failed { s.models_again } else { s.models_download };
            let label = if begun && !failed { s.models_go_on } else { label };
            if ui.button(fill(label, &card.name)).clicked() {
                let asked = Question::Terms { name: name(), accepted: vec![false; card.licences.len()], originals: Originals::Keep };
                pressed = Some(if card.accepted { Press::Download(name(), Originals::Keep) } else { Press::Ask(asked) });
            }
        }
        let removable = card.choice != ModelChoice::Starter && !matches!(card.state, ModelState::Absent) && card.download_bytes > 0;
        if removable && ui.add_enabled(!listens, Button::new(fill(s.models_remove, &card.name))).clicked() {
            pressed = Some(Press::Ask(Question::Remove(name())));
        }
        pressed
    })
    .inner
}

/// The licences, each to be accepted by itself before the button works.
fn terms_ui(ui: &mut Ui, s: &Strings, card: &ModelCard, accepted: &mut [bool], originals: &mut Originals) -> Option<Press> {
    ui.label(RichText::new(s.models_terms).strong());
    for (Licence { name, summary, text, zh }, accepted) in card.licences.iter().zip(accepted.iter_mut()) {
        ui.label(s.pick(summary, &zh.summary));
        ui.add(egui::Label::new(RichText::new(fill(s.models_text, text)).small()).selectable(true));
        ui.checkbox(accepted, fill(s.models_accept, s.pick(name, &zh.name)));
    }
    let mut remove = *originals == Originals::Remove;
    ui.checkbox(&mut remove, s.models_originals);
    *originals = if remove { Originals::Remove } else { Originals::Keep };
    ui.horizontal_wrapped(|ui| {
        let all = accepted.iter().all(|accepted| *accepted);
        let download = ui.add_enabled(all, Button::new(fill(s.models_download, &card.name))).clicked();
        let download = download.then(|| Press::Download(card.name.clone(), *originals));
        download.or_else(|| ui.button(s.cancel).clicked().then_some(Press::Never))
    })
    .inner
}

/// A download that runs.
fn work_ui(ui: &mut Ui, s: &Strings, name: &str, work: &InstallStatus) -> Option<Press> {
    let doing = match work.step {
        InstallStep::Asking => s.models_asking,
        InstallStep::Checking => s.models_checking,
        InstallStep::Fetching => s.models_fetching,
        InstallStep::Paused => s.paused,
        InstallStep::Preparing => s.models_preparing,
    };
    let mut text = doing.to_owned();
    if work.all > 0 {
        text += &format!("  {} / {}", moving_size(work.done), size(work.all));
    }
    if work.rate > 0.0 {
        text += &format!("  {}/s", moving_size(work.rate as u64));
    }
    if let Some(secs) = work.secs_left.filter(|_| work.done < work.all) {
        text += &format!("  {}", fill(s.models_left, duration(secs)));
    }
    ui.label(&text);
    let share = if work.all > 0 { work.done as f32 / work.all as f32 } else { 0.0 };
    ui.add(ProgressBar::new(share.clamp(0.0, 1.0)).show_percentage());
    chosen_ui(ui, s, work);
    if let Some(note) = &work.note {
        ui.label(RichText::new(note).weak());
    }
    ui.horizontal_wrapped(|ui| {
        let mut pressed = None;
        if work.step == InstallStep::Paused {
            pressed = ui.button(fill(s.models_go_on, name)).clicked().then(|| Press::Resume(name.to_owned()));
        } else if work.step == InstallStep::Fetching {
            pressed = ui.button(s.pause).clicked().then(|| Press::Pause(name.to_owned()));
        }
        pressed.or_else(|| ui.button(s.models_stop).clicked().then(|| Press::Stop(name.to_owned())))
    })
    .inner
}

/// In what the weights are prepared, and why.
fn chosen_ui(ui: &mut Ui, s: &Strings, work: &InstallStatus) {
    if let Some(chosen) = &work.chosen {
        ui.label(RichText::new(fill(s.models_chosen, chosen)).weak());
    }
}

/// How the last download ended.
fn end_ui(ui: &mut Ui, s: &Strings, work: Option<&InstallStatus>) {
    if let Some(work) = work {
        chosen_ui(ui, s, work);
    }
    match work.and_then(|work| work.end.as_ref()) {
        None => {}
        Some(InstallEnd::Done) => drop(ui.label(s.models_done)),
        Some(InstallEnd::Stopped) => drop(ui.label(s.models_stopped)),
        Some(InstallEnd::Failed(error)) => drop(ui.label(RichText::new(error.to_string()).color(theme::states(ui.visuals()).fault))),
    }
}
