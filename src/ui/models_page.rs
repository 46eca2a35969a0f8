//! The page of models: a card for each model of the catalogue, with its download, licences and removal. Downloads go on when the page
//! is closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::{Button, ProgressBar, RichText, Ui};

use super::actions::{Action, Actions};
use super::dialogs::{Outcome, outcome_ui};
use super::models_worker::{ModelsReply, ModelsRequest, ModelsWorker};
use super::strings::{Strings, fill, fill_all};
use super::theme;
use crate::config::{Originals, Paths};
use crate::error::Error;
use crate::hub::ModelManager;
use crate::protocol::ModelChoice;
use crate::protocol::models::{InstallEnd, InstallStatus, InstallStep, Licence, ModelCard, ModelState, duration, moving_size, size};

/// Interval at which the state of the models is read from the disk while the page is open.
const READ_INTERVAL: Duration = Duration::from_secs(2);
/// Interval at which the window is repainted during a download, to show the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// Largest width and height of the models page when opened, in points.
const MAX_SIZE: [f32; 2] = [520.0, 760.0];
/// Width of the main window that the models page leaves free when opened, both sides together, in points.
const SIDE_SPACE: f32 = 24.0;
/// Distance of the models page from the top of the main window when opened, in points.
const ABOVE: f32 = 60.0;
/// Height of the main window that the models page leaves free, above and below together, in points.
const AROUND: f32 = 120.0;

/// The state of the models page between frames.
pub(super) struct ModelsPage {
    manager: Arc<ModelManager>,
    worker: ModelsWorker,
    open: bool,
    /// Card of each model of the catalogue, as of the newest reading of the disk.
    cards: Vec<ModelCard>,
    /// Time at which the worker was last asked to read the models from the disk.
    read_at: Option<Instant>,
    /// Question that the user has not answered yet.
    question: Option<ModelQuestion>,
    /// Result of the last action on a model; `None` before one.
    outcome: Option<Outcome>,
}

/// A question to the user, which replaces the buttons of a model's card.
enum ModelQuestion {
    /// Acceptance of the licences before the download of the model `name`.
    Licences {
        name: String,
        /// For each licence in the order of the catalogue, true if the user has accepted it.
        accepted: Vec<bool>,
        /// Choice to keep or remove the original weights after the download.
        originals: Originals,
    },
    /// Confirmation that the files of the model `name` are to be deleted.
    Remove { name: String },
}

/// An intent of the user on a model, from a button of its card.
enum ModelAction {
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
    /// Stop the download of the model of this name.
    Stop(String),
    /// Delete the files of the model of this name.
    Remove(String),
    /// Close the question on the card without an answer.
    Cancel,
}

/// The card of a model in one frame, with all that is painted on the card.
struct CardView<'a> {
    s: &'static Strings,
    card: &'a ModelCard,
    /// Progress of the model's running or paused download, or its end; `None` without a download in this session.
    progress: Option<InstallStatus>,
    /// True if the session uses the model.
    in_use: bool,
}

impl ModelsPage {
    /// Returns the closed models page. Reads the catalogue and the presence of its models from the disk, before the first frame,
    /// and starts the worker thread.
    pub(super) fn new(paths: &Paths, ctx: &egui::Context) -> Self {
        let manager = Arc::new(ModelManager::new(paths));
        // An error in the catalogue is shown when the page is opened.
        let cards = manager.cards().unwrap_or_default();
        let worker = ModelsWorker::start(Arc::clone(&manager), ctx);
        Self { manager, worker, open: false, cards, read_at: None, question: None, outcome: None }
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
        self.update(s);
        let (mut open, mut clicked) = (true, None);
        let room = ui.ctx().content_rect();
        let height = (room.height() - AROUND).max(theme::MIN_SCROLL_HEIGHT);
        egui::Window::new(s.models)
            .open(&mut open)
            .default_size([MAX_SIZE[0].min(room.width() - SIDE_SPACE).max(theme::MIN_WINDOW_WIDTH), height.min(MAX_SIZE[1])])
            .default_pos(room.center_top() + egui::vec2(-MAX_SIZE[0] / 2.0, ABOVE))
            .collapsible(false)
            .show(ui.ctx(), |ui| {
                egui::ScrollArea::vertical().max_height(height).auto_shrink(false).show(ui, |ui| {
                    for card in &self.cards {
                        let view = CardView { s, card, progress: self.manager.work(&card.name), in_use: card.name == model };
                        ui.push_id(&card.name, |ui| clicked = view.show(ui, &mut self.question).or(clicked.take()));
                    }
                    outcome_ui(ui, self.outcome.as_ref());
                    ui.label(RichText::new(s.models_keep_using).weak());
                });
            });
        self.open &= open;
        if let Some(action) = clicked {
            self.perform(action, actions);
        }
        ui.ctx().request_repaint_after(if self.manager.is_busy() { PROGRESS_INTERVAL } else { READ_INTERVAL });
    }

    /// Takes the replies of the worker thread, and asks the thread to read the models from the disk again if the last reading is
    /// older than [`READ_INTERVAL`].
    fn update(&mut self, s: &Strings) {
        while let Some(reply) = self.worker.reply() {
            match reply {
                ModelsReply::Cards(Ok(cards)) => self.cards = cards,
                ModelsReply::Cards(Err(error)) => self.outcome = Some(Err(s.error(&error))),
                ModelsReply::Started(started) => self.outcome = started.err().map(|error| Err(s.error(&error))),
                ModelsReply::Removed(freed) => {
                    let text = freed.map(|bytes| fill(s.models_removed, size(bytes)));
                    self.outcome = Some(text.map_err(|error| s.error(&error)));
                }
            }
        }
        if self.read_at.is_none_or(|at| at.elapsed() > READ_INTERVAL) {
            self.read_at = Some(Instant::now());
            self.worker.request(ModelsRequest::Read);
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
            ModelAction::Stop(name) => self.manager.stop(&name),
            ModelAction::Remove(name) => {
                self.question = None;
                self.worker.request(ModelsRequest::Remove { name });
            }
        }
    }
}

impl CardView<'_> {
    fn show(&self, ui: &mut Ui, question: &mut Option<ModelQuestion>) -> Option<ModelAction> {
        ui.add_space(theme::GAP);
        self.about_ui(ui);
        let (s, card) = (self.s, self.card);
        let clicked = match (self.progress.as_ref().filter(|progress| progress.end.is_none()), question) {
            (Some(progress), _) => self.progress_ui(ui, progress),
            (None, Some(ModelQuestion::Licences { name, accepted, originals })) if *name == card.name => {
                self.licences_ui(ui, accepted, originals)
            }
            (None, Some(ModelQuestion::Remove { name })) if *name == card.name => {
                ui.horizontal_wrapped(|ui| {
                    ui.label(s.models_remove_ask);
                    let remove = ui.button(fill(s.models_remove, &card.title)).clicked().then(|| ModelAction::Remove(card.name.clone()));
                    remove.or_else(|| ui.button(s.cancel).clicked().then_some(ModelAction::Cancel))
                })
                .inner
            }
            (None, _) => {
                self.end_ui(ui);
                self.buttons_ui(ui)
            }
        };
        ui.separator();
        clicked
    }

    /// Paints the model's title, whether it is installed, its abilities, requirements and source.
    fn about_ui(&self, ui: &mut Ui) {
        let (s, card) = (self.s, self.card);
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(&card.title).strong().size(theme::LARGE));
            ui.label(RichText::new(self.state_text()).weak());
            if self.in_use {
                ui.label(RichText::new(s.models_listening).color(theme::states(ui.visuals()).listening));
            }
        });
        ui.label(s.pick(&card.about, &card.zh.about));
        for ability in s.pick_list(&card.can, &card.zh.can) {
            ui.label(RichText::new(format!("•  {ability}")).weak());
        }
        if card.download_bytes == 0 && card.memory_bytes > 0 {
            ui.label(RichText::new(fill(s.models_memory, size(card.memory_bytes))).small().weak());
        } else if card.download_bytes > 0 {
            let needs = fill_all(s.models_needs, &[&size(card.memory_bytes), &size(card.download_bytes), &size(card.prepared_bytes)]);
            ui.label(RichText::new(needs).small().weak());
        }
        let source = if card.choice == ModelChoice::Starter { s.models_built_in } else { &card.source };
        ui.label(RichText::new(source).small().weak());
    }

    fn state_text(&self) -> String {
        match self.card.state {
            ModelState::Absent => self.s.models_absent.to_owned(),
            ModelState::Begun { bytes } => fill(self.s.models_begun, size(bytes)),
            ModelState::Ready { bytes } => fill(self.s.models_here, size(bytes)),
        }
    }

    fn buttons_ui(&self, ui: &mut Ui) -> Option<ModelAction> {
        let (s, card) = (self.s, self.card);
        ui.horizontal_wrapped(|ui| {
            let mut clicked = None;
            if matches!(card.state, ModelState::Ready { .. }) {
                if ui.add_enabled(!self.in_use, Button::new(fill(s.models_listen, &card.title))).clicked() {
                    clicked = Some(ModelAction::Use(card.choice.clone()));
                }
            } else if card.download_bytes > 0 || !card.licences.is_empty() {
                let failed = self.progress.as_ref().is_some_and(|progress| matches!(progress.end, Some(InstallEnd::Failed(_))));
                let label = match card.state {
                    _ if failed => s.models_again,
                    ModelState::Begun { .. } => s.models_go_on,
                    _ => s.models_download,
                };
                if ui.button(fill(label, &card.title)).clicked() {
                    clicked = Some(self.download_action());
                }
            }
            let removable = card.choice != ModelChoice::Starter && !matches!(card.state, ModelState::Absent) && card.download_bytes > 0;
            if removable && ui.add_enabled(!self.in_use, Button::new(fill(s.models_remove, &card.title))).clicked() {
                clicked = Some(ModelAction::Ask(ModelQuestion::Remove { name: card.name.clone() }));
            }
            clicked
        })
        .inner
    }

    /// Returns the intent of a click on "download": the download if the user has accepted the model's licences before, else the
    /// question about the licences.
    fn download_action(&self) -> ModelAction {
        let (name, originals) = (self.card.name.clone(), Originals::Keep);
        if self.card.accepted {
            ModelAction::Download(name, originals)
        } else {
            ModelAction::Ask(ModelQuestion::Licences { name, accepted: vec![false; self.card.licences.len()], originals })
        }
    }

    /// Paints the question about the licences: a box for each licence, and the download button, which is disabled until all boxes
    /// are checked. Returns the intent of a click.
    fn licences_ui(&self, ui: &mut Ui, accepted: &mut [bool], originals: &mut Originals) -> Option<ModelAction> {
        let (s, card) = (self.s, self.card);
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
            let download = ui.add_enabled(all, Button::new(fill(s.models_download, &card.title))).clicked();
            let download = download.then(|| ModelAction::Download(card.name.clone(), *originals));
            download.or_else(|| ui.button(s.cancel).clicked().then_some(ModelAction::Cancel))
        })
        .inner
    }

    /// Paints the progress of the model's running or paused download, with the buttons that pause, resume and stop it. Returns the
    /// intent of a click.
    fn progress_ui(&self, ui: &mut Ui, progress: &InstallStatus) -> Option<ModelAction> {
        let s = self.s;
        ui.label(self.progress_text(progress));
        let share = if progress.all > 0 { progress.done as f32 / progress.all as f32 } else { 0.0 };
        ui.add(ProgressBar::new(share.clamp(0.0, 1.0)).show_percentage());
        self.precision_ui(ui, progress);
        if let Some(note) = &progress.note {
            ui.label(RichText::new(note).weak());
        }
        let name = || self.card.name.clone();
        ui.horizontal_wrapped(|ui| {
            let mut clicked = None;
            if progress.step == InstallStep::Paused {
                clicked = ui.button(fill(s.models_go_on, &self.card.title)).clicked().then(|| ModelAction::Resume(name()));
            } else if progress.step == InstallStep::Fetching {
                clicked = ui.button(s.pause).clicked().then(|| ModelAction::Pause(name()));
            }
            clicked.or_else(|| ui.button(s.models_stop).clicked().then(|| ModelAction::Stop(name())))
        })
        .inner
    }

    /// Returns the progress of a download as text: step, bytes, rate and remaining time, as far as known.
    fn progress_text(&self, progress: &InstallStatus) -> String {
        let s = self.s;
        let step = match progress.step {
            InstallStep::Asking => s.models_asking,
            InstallStep::Checking => s.models_checking,
            InstallStep::Fetching => s.models_fetching,
            InstallStep::Paused => s.paused,
            InstallStep::Preparing => s.models_preparing,
        };
        let mut text = step.to_owned();
        if progress.all > 0 {
            text += &format!("  {} / {}", moving_size(progress.done), size(progress.all));
        }
        if progress.rate > 0.0 {
            text += &format!("  {}/s", moving_size(progress.rate as u64));
        }
        if let Some(secs) = progress.secs_left.filter(|_| progress.done < progress.all) {
            text += &format!("  {}", fill(s.models_left, duration(secs)));
        }
        text
    }

    /// Paints the numeric precision that the download has chosen for this computer. Paints nothing before the choice.
    fn precision_ui(&self, ui: &mut Ui, progress: &InstallStatus) {
        if let Some(chosen) = &progress.chosen {
            ui.label(RichText::new(fill(self.s.models_chosen, chosen)).weak());
        }
    }

    /// Paints the result of the model's last download in this session. Paints nothing if there was none.
    fn end_ui(&self, ui: &mut Ui) {
        let Some(progress) = &self.progress else { return };
        self.precision_ui(ui, progress);
        match &progress.end {
            None => {}
            Some(InstallEnd::Done) => drop(ui.label(self.s.models_done)),
            Some(InstallEnd::Stopped) => drop(ui.label(self.s.models_stopped)),
            Some(InstallEnd::Failed(error)) => drop(ui.label(RichText::new(self.s.error(error)).color(theme::states(ui.visuals()).fault))),
        }
    }
}
