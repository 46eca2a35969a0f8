//! The card of a model: name, facts that matter for the choice, one main button, and the steps from the licence to the ready model.

use egui::{Button, CollapsingHeader, ProgressBar, RichText, Ui};

use super::confirm::{Answer, Confirmation};
use super::models_page::{ModelAction, ModelQuestion, share};
use super::strings::{Strings, fill, fill_all};
use super::theme;
use crate::config::Originals;
use crate::error::ErrorKind;
use crate::protocol::ModelChoice;
use crate::protocol::models::{
    FaultPlace, InstallEnd, InstallNote, InstallStatus, InstallStep, Licence, MachineFacts, ModelCard, ModelState, moving_size, size,
};

/// Number of the built-in modes.
const MODES: usize = crate::config::modes::BUILT_IN.len();
/// Free space that a download leaves on the disk for the rest of the system, in bytes.
const SPARE_BYTES: u64 = 200_000_000;
/// Smallest height of the main button of a card, in points.
const MAIN_HEIGHT: f32 = 30.0;

/// Width and height of the mark before a fact, in points.
const MARK_SIDE: f32 = 12.0;
/// Width of the strokes of the mark before a fact, in points.
const MARK_WIDTH: f32 = 1.8;

/// The card of a model in one frame, with all that is painted on the card.
pub(super) struct CardView<'a> {
    pub(super) s: &'static Strings,
    pub(super) card: &'a ModelCard,
    pub(super) machine: MachineFacts,
    /// Progress of the model's running or paused download, or its end; `None` without a download in this session.
    pub(super) progress: Option<InstallStatus>,
    /// True if the session uses the model.
    pub(super) in_use: bool,
}

/// The weight of a fact on a card, which decides on its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Good,
    Neutral,
    Warning,
    Bad,
}

impl CardView<'_> {
    /// Paints the card. Returns the intent of a click.
    pub(super) fn show(&self, ui: &mut Ui, question: &mut Option<ModelQuestion>) -> Option<ModelAction> {
        let frame = egui::Frame::group(ui.style()).fill(ui.visuals().faint_bg_color);
        frame
            .show(ui, |ui| {
                ui.set_width(ui.available_width());
                self.head_ui(ui);
                match (self.progress.as_ref().filter(|progress| progress.end.is_none()), question) {
                    (Some(progress), _) => self.progress_ui(ui, progress),
                    (None, Some(ModelQuestion::Licences { name, accepted, originals })) if *name == self.card.name => {
                        self.licences_ui(ui, accepted, originals)
                    }
                    (None, Some(ModelQuestion::Remove(removal))) if removal.what == self.card.name => self.remove_ui(ui, removal),
                    (None, _) => {
                        self.end_ui(ui);
                        let facts = if matches!(self.card.state, ModelState::Ready { .. }) { self.ready_facts() } else { self.facts() };
                        facts_ui(ui, &facts);
                        let clicked = self.buttons_ui(ui);
                        self.abilities_ui(ui);
                        clicked
                    }
                }
            })
            .inner
    }

    /// Paints title, state and description.
    fn head_ui(&self, ui: &mut Ui) {
        let (s, card) = (self.s, self.card);
        ui.horizontal_wrapped(|ui| {
            ui.label(theme::bold(&card.title, theme::LARGE));
            if self.in_use {
                ui.label(RichText::new(s.models_page.listening).color(theme::Palette::of(ui.visuals()).listening));
            } else if let Some(state) = self.state_text() {
                ui.label(RichText::new(state).weak());
            }
        });
        ui.label(s.pick(&card.about, &card.zh.about));
    }

    fn state_text(&self) -> Option<String> {
        match self.card.state {
            ModelState::Absent => Some(self.s.models_page.absent.to_owned()),
            ModelState::Begun { bytes } => Some(fill(self.s.models_page.begun, size(bytes))),
            ModelState::Ready { .. } => None,
        }
    }

    /// Returns the facts that matter before a download: disk, memory and speed.
    fn facts(&self) -> Vec<(Fact, String)> {
        let (s, card, machine) = (self.s, self.card, self.machine);
        let mut facts = Vec::new();
        let needed = self.missing_bytes();
        match machine.free_bytes.filter(|_| needed > 0) {
            Some(free) if free < needed => facts.push((Fact::Bad, fill_all(s.models_page.full, &[&size(needed), &size(free)]))),
            Some(free) => facts.push((Fact::Good, fill_all(s.models_page.disk, &[&size(needed), &size(free - needed)]))),
            None if card.download_bytes > 0 => facts.push((Fact::Neutral, fill(s.models_page.disk_only, size(card.download_bytes)))),
            None => {}
        }
        facts.extend(self.memory_fact());
        if card.choice == ModelChoice::ThreeB {
            facts.push(match machine.release_modes {
                None => (Fact::Neutral, s.models_page.measuring.to_owned()),
                Some(0) => (Fact::Warning, s.models_page.too_slow.to_owned()),
                Some(modes) if modes < MODES => (Fact::Warning, fill_all(s.models_page.keeps_some, &[&modes, &MODES])),
                Some(_) => (Fact::Good, s.models_page.keeps_up.to_owned()),
            });
        }
        facts
    }

    /// Returns the facts about a model that is on the disk.
    fn ready_facts(&self) -> Vec<(Fact, String)> {
        let disk = match self.card.state {
            ModelState::Ready { bytes } if self.card.choice != ModelChoice::Starter => Some(fill(self.s.models_page.here, size(bytes))),
            _ => None,
        };
        self.memory_fact().into_iter().chain(disk.map(|disk| (Fact::Neutral, disk))).collect()
    }

    fn memory_fact(&self) -> Option<(Fact, String)> {
        let (s, needed) = (self.s, self.card.memory_bytes);
        let text = |memory| fill_all(s.models_page.memory_of, &[&size(needed), &size(memory)]);
        (needed > 0).then(|| match self.machine.memory_bytes {
            Some(memory) if needed > memory / 2 => (Fact::Warning, text(memory)),
            Some(memory) => (Fact::Good, text(memory)),
            None => (Fact::Neutral, fill(s.models_page.memory, size(needed))),
        })
    }

    /// Returns the bytes that a download would still write, with those of the prepared weights and of the space to be left free; 0
    /// where they are not known.
    fn missing_bytes(&self) -> u64 {
        let begun = match self.card.state {
            ModelState::Absent => 0,
            ModelState::Begun { bytes } => bytes,
            ModelState::Ready { .. } => return 0,
        };
        match self.card.download_bytes {
            0 => 0,
            download => download.saturating_sub(begun) + self.card.prepared_bytes + SPARE_BYTES,
        }
    }

    fn buttons_ui(&self, ui: &mut Ui) -> Option<ModelAction> {
        let (s, card) = (self.s, self.card);
        if self.in_use && card.choice == ModelChoice::Starter {
            return None;
        }
        ui.horizontal_wrapped(|ui| {
            let mut clicked = None;
            if matches!(card.state, ModelState::Ready { .. }) {
                if !self.in_use && main_button(ui, s.models_page.use_model).clicked() {
                    clicked = Some(ModelAction::Use(card.choice.clone()));
                }
            } else if card.download_bytes > 0 || !card.licences.is_empty() {
                let (label, can_begin) = (self.get_label(), !card.accepted || self.fits());
                if ui.add_enabled_ui(can_begin, |ui| main_button(ui, &label)).inner.clicked() {
                    clicked = Some(self.download_action());
                }
            }
            let removable = card.choice != ModelChoice::Starter && !matches!(card.state, ModelState::Absent) && card.download_bytes > 0;
            if removable && ui.add_enabled(!self.in_use, Button::new(s.remove)).clicked() {
                clicked = Some(ModelAction::Ask(ModelQuestion::Remove(Confirmation::new(card.name.clone()))));
            }
            clicked
        })
        .inner
    }

    /// Returns true unless the disk is known to be too full for the download.
    fn fits(&self) -> bool {
        self.machine.free_bytes.is_none_or(|free| free >= self.missing_bytes())
    }

    /// Returns the label of the button that begins, resumes or repeats the download.
    fn get_label(&self) -> String {
        let (s, card) = (self.s, self.card);
        let failed = self.progress.as_ref().is_some_and(|progress| matches!(progress.end, Some(InstallEnd::Failed(_))));
        match card.state {
            _ if failed => s.models_page.again.to_owned(),
            ModelState::Begun { bytes } if card.download_bytes > bytes => fill(s.models_page.go_on, size(card.download_bytes - bytes)),
            _ if card.download_bytes > 0 => fill(s.models_page.get, size(card.download_bytes)),
            _ => s.models_page.get_any.to_owned(),
        }
    }

    /// Returns the intent of a click on "get": the download if the user has accepted the model's licences before, else the question
    /// about the licences.
    fn download_action(&self) -> ModelAction {
        let (name, originals) = (self.card.name.clone(), Originals::Keep);
        if self.card.accepted {
            ModelAction::Download(name, originals)
        } else {
            ModelAction::Ask(ModelQuestion::Licences { name, accepted: vec![false; self.card.licences.len()], originals })
        }
    }

    /// Paints the abilities of the model and its source, folded.
    fn abilities_ui(&self, ui: &mut Ui) {
        let (s, card) = (self.s, self.card);
        CollapsingHeader::new(s.models_page.can).id_salt("can").show(ui, |ui| {
            for ability in s.pick_list(&card.can, &card.zh.can) {
                ui.label(RichText::new(format!("•  {ability}")).weak());
            }
            if card.choice == ModelChoice::Starter {
                ui.label(RichText::new(s.models_page.built_in).small().weak());
            } else if card.source.starts_with("http") {
                ui.hyperlink_to(s.models_page.page, &card.source).on_hover_text(&card.source);
            } else {
                ui.label(RichText::new(&card.source).small().weak());
            }
        });
    }

    /// Paints the first step, the licences: a box for each licence, and the download button, which is disabled until all boxes are
    /// checked. Returns the intent of a click.
    fn licences_ui(&self, ui: &mut Ui, accepted: &mut [bool], originals: &mut Originals) -> Option<ModelAction> {
        let (s, card) = (self.s, self.card);
        self.steps_ui(ui, 0);
        for (Licence { name, summary, text, zh }, accepted) in card.licences.iter().zip(accepted.iter_mut()) {
            ui.label(s.pick(summary, &zh.summary));
            ui.hyperlink_to(s.models_page.text, text).on_hover_text(text);
            ui.checkbox(accepted, fill(s.models_page.accept, s.pick(name, &zh.name)));
            ui.add_space(theme::GAP);
        }
        if !self.fits() {
            facts_ui(ui, &self.facts()[..1]);
        }
        let mut remove = *originals == Originals::Remove;
        ui.checkbox(&mut remove, fill(s.models_page.originals, size(card.download_bytes)));
        *originals = if remove { Originals::Remove } else { Originals::Keep };
        let buttons = ui.horizontal_wrapped(|ui| {
            let can_begin = accepted.iter().all(|accepted| *accepted) && self.fits();
            let download = ui.add_enabled_ui(can_begin, |ui| main_button(ui, s.models_page.download)).inner.clicked();
            let download = download.then(|| ModelAction::Download(card.name.clone(), *originals));
            download.or_else(|| ui.button(s.cancel).clicked().then_some(ModelAction::Cancel))
        });
        // The boxes may have opened below the visible part of the page.
        if ui.ctx().data_mut(|data| !std::mem::replace(data.get_temp_mut_or_default::<bool>(ui.scope_id().with("scrolled")), true)) {
            ui.scroll_to_rect(buttons.response.rect, None);
        }
        buttons.inner
    }

    /// Paints the question before the files of the model are deleted. Returns the answer once there is one.
    fn remove_ui(&self, ui: &Ui, removal: &mut Confirmation<String>) -> Option<ModelAction> {
        let s = self.s;
        removal.show(ui, s, &fill(s.models_page.remove_ask, &self.card.title), s.models_page.remove).map(|answer| match answer {
            Answer::Delete => ModelAction::Remove(self.card.name.clone()),
            Answer::Keep => ModelAction::Cancel,
        })
    }

    /// Paints the four steps with the one of index `now` emphasised, and those before it ticked.
    fn steps_ui(&self, ui: &mut Ui, now: usize) {
        let s = self.s;
        ui.add_space(theme::GAP);
        ui.horizontal_wrapped(|ui| {
            for (n, name) in [s.models_page.step_licence, s.models_page.step_download, s.models_page.step_prepare, s.models_page.step_ready]
                .into_iter()
                .enumerate()
            {
                let text = RichText::new(format!("{} {name}", n + 1));
                ui.label(if n == now { text.strong().underline() } else { text.weak() });
                if n < 3 {
                    ui.label(RichText::new("›").weak());
                }
            }
        });
        ui.add_space(theme::GAP);
    }

    /// Paints the second or third step: the progress of the running or paused download, with the buttons that pause, resume and stop
    /// it. Returns the intent of a click.
    fn progress_ui(&self, ui: &mut Ui, progress: &InstallStatus) -> Option<ModelAction> {
        let s = self.s;
        // The precision is chosen between the download and the preparation.
        let preparing = progress.step == InstallStep::Preparing || progress.step == InstallStep::Checking;
        self.steps_ui(ui, if preparing { 2 } else { 1 });
        ui.label(self.progress_text(progress));
        let bar = ProgressBar::new(share(progress));
        ui.add(if progress.all > 0 { bar.show_percentage() } else { bar });
        self.notes_ui(ui, progress);
        let name = || self.card.name.clone();
        ui.horizontal_wrapped(|ui| {
            let mut clicked = None;
            if progress.wait.is_some() {
                clicked = ui.button(s.models_page.try_now).clicked().then(|| ModelAction::TryNow(name()));
            } else if progress.step == InstallStep::Paused {
                clicked = main_button(ui, s.resume).clicked().then(|| ModelAction::Resume(name()));
            } else if progress.step == InstallStep::Fetching {
                clicked = ui.button(s.pause).clicked().then(|| ModelAction::Pause(name()));
            }
            clicked.or_else(|| ui.button(s.models_page.stop).clicked().then(|| ModelAction::Stop(name())))
        })
        .inner
    }

    /// Paints what a download has to say beside its progress: a failure with the time to the next attempt, a changed release, the
    /// chosen precision.
    fn notes_ui(&self, ui: &mut Ui, progress: &InstallStatus) {
        let (s, amber) = (self.s, theme::Palette::of(ui.visuals()).urgent);
        if let Some(wait) = &progress.wait {
            let text = if wait.place == FaultPlace::Connection { s.models_page.no_connection } else { s.models_page.hub_busy };
            ui.label(RichText::new(fill(text, format_args!("{:.0}", wait.secs_left.ceil()))).color(amber));
            CollapsingHeader::new(s.details).id_salt("why").show(ui, |ui| ui.label(RichText::new(&wait.why).small().weak()));
        }
        if let Some(path) = &progress.changed_file {
            ui.label(RichText::new(fill(s.models_page.changed, path)).color(amber));
        }
        if let Some(note) = &progress.note {
            let note = match note {
                InstallNote::DownloadedElsewhere => s.models_page.elsewhere.to_owned(),
                InstallNote::OriginalsDeleted { bytes } => fill(s.models_page.removed, size(*bytes)),
            };
            ui.label(RichText::new(note).weak());
        }
        if let Some(chosen) = &progress.chosen {
            ui.label(RichText::new(fill(s.models_page.chosen, chosen.bits)).weak()).on_hover_text(&chosen.reason);
        }
    }

    /// Returns the progress of a download as text: step, bytes, rate and remaining time, as far as known.
    fn progress_text(&self, progress: &InstallStatus) -> String {
        let s = self.s;
        let step = match progress.step {
            InstallStep::Asking => s.models_page.asking,
            InstallStep::Checking => s.models_page.checking,
            InstallStep::Fetching => s.models_page.fetching,
            InstallStep::Paused => s.paused,
            InstallStep::Preparing => s.models_page.preparing,
        };
        let mut parts = vec![step.to_owned()];
        if progress.all > 0 {
            parts.push(format!("{} / {}", moving_size(progress.done), size(progress.all)));
        }
        if progress.rate > 0.0 {
            parts.push(format!("{}/s", moving_size(progress.rate as u64)));
        }
        if let Some(secs) = progress.secs_left.filter(|_| progress.done < progress.all) {
            parts.push(fill(s.models_page.left, s.length(secs)));
        }
        parts.join("  ·  ")
    }

    /// Paints the result of the model's last download in this session, the fourth step. Paints nothing if there was none.
    fn end_ui(&self, ui: &mut Ui) {
        let (s, Some(progress)) = (self.s, &self.progress) else { return };
        match &progress.end {
            None => {}
            Some(InstallEnd::Done) => {
                self.steps_ui(ui, 3);
                ui.label(RichText::new(s.models_page.done).color(theme::Palette::of(ui.visuals()).listening));
                self.notes_ui(ui, progress);
            }
            Some(InstallEnd::Stopped) => drop(ui.label(s.models_page.stopped)),
            Some(InstallEnd::Failed(error)) => {
                let fault = theme::Palette::of(ui.visuals()).fault;
                if error.kind() == ErrorKind::Network {
                    ui.label(RichText::new(s.models_page.failed_network).color(fault));
                    CollapsingHeader::new(s.details).id_salt("end").show(ui, |ui| ui.label(RichText::new(s.error(error)).small().weak()));
                } else {
                    ui.label(RichText::new(s.error(error)).color(fault));
                }
            }
        }
    }
}

/// Paints a button that is the main one of its card.
fn main_button(ui: &mut Ui, label: &str) -> egui::Response {
    let colours = theme::Palette::of(ui.visuals());
    let text = theme::bold(label, theme::BODY).color(colours.on_accent);
    ui.add(Button::new(text).fill(colours.accent_fill).min_size(egui::vec2(0.0, MAIN_HEIGHT)))
}

fn facts_ui(ui: &mut Ui, facts: &[(Fact, String)]) {
    let states = theme::Palette::of(ui.visuals());
    for (fact, text) in facts {
        let colour = match fact {
            Fact::Good => states.listening,
            Fact::Neutral => ui.visuals().weak_text_color(),
            Fact::Warning => states.urgent,
            Fact::Bad => states.fault,
        };
        ui.horizontal_wrapped(|ui| {
            mark_ui(ui, *fact, colour);
            ui.label(if *fact == Fact::Bad { RichText::new(text).color(colour) } else { RichText::new(text) });
        });
    }
    ui.add_space(theme::GAP);
}

/// Paints the mark before a fact: a tick, a dot, an exclamation mark or a cross.
fn mark_ui(ui: &mut Ui, fact: Fact, colour: egui::Color32) {
    let (rect, _) = ui.allocate_exact_size(egui::Vec2::splat(MARK_SIDE), egui::Sense::hover());
    let stroke = egui::Stroke::new(MARK_WIDTH, colour);
    let at = |x: f32, y: f32| rect.lerp_inside(egui::vec2(x, y));
    let lines: &[[[f32; 2]; 2]] = match fact {
        Fact::Good => &[[[0.1, 0.55], [0.4, 0.85]], [[0.4, 0.85], [0.9, 0.2]]],
        Fact::Bad => &[[[0.2, 0.2], [0.8, 0.8]], [[0.8, 0.2], [0.2, 0.8]]],
        Fact::Warning => &[[[0.5, 0.1], [0.5, 0.6]], [[0.5, 0.8], [0.5, 0.95]]],
        Fact::Neutral => &[[[0.4, 0.55], [0.6, 0.55]]],
    };
    for [[x0, y0], [x1, y1]] in lines {
        ui.painter().line_segment([at(*x0, *y0), at(*x1, *y1)], stroke);
    }
}
