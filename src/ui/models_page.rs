//! The page of models: a card for each model of the catalogue, with its download in steps. Downloads go on when the page is closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::{RichText, ScrollArea, Ui};

use super::actions::{Action, Actions};
use super::confirm::Confirmation;
use super::dialogs::{Outcome, outcome_ui};
use super::models_card::CardView;
use super::models_worker::{ModelsReply, ModelsRequest, ModelsWorker};
use super::strings::{Strings, fill};
use super::{sheet, theme};
use crate::config::{Originals, Paths};
use crate::error::Error;
use crate::hub::ModelManager;
use crate::protocol::ModelChoice;
use crate::protocol::models::{InstallEnd, InstallStatus, MachineFacts, ModelCard, ModelState, size};

/// Interval at which the state of the models is read from the disk while the page is open.
const READ_INTERVAL: Duration = Duration::from_secs(2);
/// Interval at which the window is repainted during a download while the page is open, to show the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// Interval at which the window is repainted during a download while the page is closed, for the percentage in the bar.
const CHIP_INTERVAL: Duration = Duration::from_secs(1);
/// Largest width and height of the content of the page, in points.
const MAX_SIZE: [f32; 2] = [620.0, 640.0];

/// The state of the models page between frames.
pub(super) struct ModelsPage {
    manager: Arc<ModelManager>,
    worker: ModelsWorker,
    open: bool,
    /// Card of each model of the catalogue, as of the newest reading of the disk.
    cards: Vec<ModelCard>,
    machine: MachineFacts,
    /// True once the measurement of this machine has been asked for.
    measures: bool,
    /// Time at which the worker was last asked to read the models from the disk.
    read_at: Option<Instant>,
    /// Question that the user has not answered yet.
    question: Option<ModelQuestion>,
    /// Result of the last action on a model; `None` before one.
    outcome: Option<Outcome>,
}

/// A question to the user, which replaces the buttons of a model's card.
pub(super) enum ModelQuestion {
    /// Acceptance of the licences before the download of the model `name`.
    Licences {
        name: String,
        /// For each licence in the order of the catalogue, true if the user has accepted it.
        accepted: Vec<bool>,
        /// Choice to keep or remove the original weights after the download.
        originals: Originals,
    },
    /// Confirmation that the files of the model of this name are to be deleted.
    Remove(Confirmation<String>),
}

/// An intent of the user on a model, from a button of its card.
pub(super) enum ModelAction {
    /// Load the model and use it for the session.
    Use(ModelChoice),
    /// Show a question on the card in place of the buttons.
    Ask(ModelQuestion),
    /// Download the model of this name.
    Download(String, Originals),
    /// Pause the download of the model of this name.
    Pause(String),
    /// Resume the paused download of the model of this name.
    Resume(String),
    /// Let the download of the model of this name try again at once.
    TryNow(String),
    /// Stop the download of the model of this name.
    Stop(String),
    /// Delete the files of the model of this name.
    Remove(String),
    /// Close the question on the card without an answer.
    Cancel,
}

/// The end of a download, as news for the window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DownloadNews {
    /// Title of the model.
    pub(super) title: String,
    pub(super) choice: ModelChoice,
    pub(super) end: InstallEnd,
}

impl ModelsPage {
    /// Returns the closed models page of `manager`. Reads the catalogue and the presence of its models from the disk, before the
    /// first frame, and starts the worker thread.
    pub(super) fn new(manager: ModelManager, ctx: &egui::Context) -> Self {
        let manager = Arc::new(manager);
        // An error in the catalogue is shown when the page is opened.
        let cards = manager.cards().unwrap_or_default();
        let worker = ModelsWorker::start(Arc::clone(&manager), ctx);
        let machine = MachineFacts::default();
        Self { manager, worker, open: false, cards, machine, measures: false, read_at: None, question: None, outcome: None }
    }

    /// Returns the closed models page of the hub that the environment names.
    pub(super) fn of(paths: &Paths, ctx: &egui::Context) -> Self {
        Self::new(ModelManager::new(paths), ctx)
    }

    /// Returns the error of the model `choice` if it is not on this machine; `None` if the model is there.
    pub(super) fn missing(&self, choice: &ModelChoice) -> Option<Error> {
        self.manager.missing(choice)
    }

    /// Returns the card of the released 3B model, which the welcome card and the settings offer; `None` if the catalogue could not
    /// be read.
    pub(super) fn larger_model(&self) -> Option<&ModelCard> {
        self.cards.iter().find(|card| card.choice == ModelChoice::ThreeB)
    }

    /// Returns the download that runs or is paused, as a short text for the bar: the model's name and the percentage that is done,
    /// for example `3b 36 %`. Asks for the next repaint. `None` without a download.
    pub(super) fn download_text(&self, ctx: &egui::Context) -> Option<String> {
        let running = |card: &&ModelCard| self.manager.work(&card.name).filter(|work| work.end.is_none());
        let (card, work) = self.cards.iter().find_map(|card| Some((card, running(&card)?)))?;
        ctx.request_repaint_after(CHIP_INTERVAL);
        Some(format!("{} {:.0} %", short_name(card), (share(&work) * 100.0).floor()))
    }

    pub(super) fn open(&mut self) {
        self.open = true;
        self.read_at = None;
    }

    /// Closes the models page; downloads go on. Returns false if the page was not open.
    pub(super) fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    /// Paints the models page and carries out the user's clicks; does nothing while the page is closed. `model` is the name of the
    /// model in use.
    pub(super) fn show(&mut self, ui: &Ui, s: &'static Strings, model: &str, actions: &mut Actions) {
        if !self.open {
            return;
        }
        if self.read_at.is_none_or(|at| at.elapsed() > READ_INTERVAL) {
            self.read_at = Some(Instant::now());
            self.worker.request(ModelsRequest::Read);
        }
        let mut clicked = None;
        let (cards, manager, machine, outcome) = (&self.cards, &self.manager, self.machine, self.outcome.as_ref());
        let question = &mut self.question;
        self.open = sheet::show(ui.ctx(), s.models, MAX_SIZE, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.set_max_width(ui.available_width() - theme::GROUP_GAP);
                for card in cards {
                    let view = CardView { s, card, machine, progress: manager.work(&card.name), in_use: card.name == model };
                    ui.push_id(&card.name, |ui| clicked = view.show(ui, question).or(clicked.take()));
                    ui.add_space(theme::GROUP_GAP);
                }
                outcome_ui(ui, outcome);
                ui.label(RichText::new(s.models_page.keep_using).weak());
            });
        });
        if let Some(action) = clicked {
            self.perform(action, actions);
        }
        ui.ctx().request_repaint_after(if self.manager.is_busy() { PROGRESS_INTERVAL } else { READ_INTERVAL });
    }

    /// Takes the replies of the worker thread, also while the page is closed. Returns the download that has ended, if any.
    pub(super) fn update(&mut self, s: &Strings) -> Option<DownloadNews> {
        while let Some(reply) = self.worker.reply() {
            match reply {
                ModelsReply::Cards(cards, machine) => {
                    self.machine = MachineFacts { release_modes: self.machine.release_modes, ..machine };
                    match cards {
                        Ok(cards) => self.cards = cards,
                        Err(error) => self.outcome = Some(Err(s.error(&error))),
                    }
                    self.measure();
                }
                ModelsReply::Measured(modes) => self.machine.release_modes = Some(modes),
                ModelsReply::Started(started) => self.outcome = started.err().map(|error| Err(s.error(&error))),
                ModelsReply::Removed(freed) => {
                    let text = freed.map(|bytes| fill(s.models_page.removed, size(bytes)));
                    self.outcome = Some(text.map_err(|error| s.error(&error)));
                }
                ModelsReply::Ended(name, end) => {
                    self.read_at = None;
                    let card = self.cards.iter().find(|card| card.name == name);
                    if let Some(card) = card {
                        return Some(DownloadNews { title: card.title.clone(), choice: card.choice.clone(), end });
                    }
                }
            }
        }
        None
    }

    /// Asks for the measurement of this machine, once, while the released model has still to be decided on.
    fn measure(&mut self) {
        let undecided = self.larger_model().is_some_and(|card| !matches!(card.state, ModelState::Ready { .. }));
        if undecided && !std::mem::replace(&mut self.measures, true) {
            self.worker.request(ModelsRequest::Measure);
        }
    }

    fn perform(&mut self, action: ModelAction, actions: &mut Actions) {
        self.read_at = None;
        match action {
            ModelAction::Use(choice) => actions.push(Action::ChooseModel(choice)),
            ModelAction::Ask(question) => self.question = Some(question),
            ModelAction::Cancel => self.question = None,
            ModelAction::Download(name, originals) => {
                self.question = None;
                self.worker.request(ModelsRequest::Download { name, originals });
            }
            ModelAction::Pause(name) => self.manager.pause(&name),
            ModelAction::Resume(name) => self.manager.resume(&name),
            ModelAction::TryNow(name) => self.manager.retry_now(&name),
            ModelAction::Stop(name) => self.manager.stop(&name),
            ModelAction::Remove(name) => {
                self.question = None;
                self.worker.request(ModelsRequest::Remove { name });
            }
        }
    }
}

/// Returns the share of a download's current step that is done, from 0 to 1.
pub(super) fn share(work: &InstallStatus) -> f32 {
    if work.all > 0 { (work.done as f32 / work.all as f32).clamp(0.0, 1.0) } else { 0.0 }
}

/// Returns the name of a model for the bar: that of the catalogue in capitals if it is a size such as `3b`.
fn short_name(card: &ModelCard) -> String {
    if card.name.len() <= 3 { card.name.to_uppercase() } else { card.name.clone() }
}
