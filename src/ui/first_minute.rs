//! The first minute after the consent: one thing to say, its answer in the same place, a sound to make, and what to do next.
//!
//! Each step shows in large letters what is heard. Esc or *Skip* ends it at any step, and then the panels have the same words.

use std::time::{Duration, Instant};

use egui::{Frame, Rect, RichText, Sense, Ui, vec2};

use super::actions::{Action, Actions, Dialog};
use super::frame::FrameData;
use super::status_bar::share_of_level;
use super::strings::{Strings, fill, fill_all};
use super::theme;
use crate::config::WindowPrefs;
use crate::config::modes::SOUNDS;
use crate::model::starter_phrases;
use crate::protocol::models::{ModelCard, size};
use crate::protocol::{Command, ModelChoice};
use crate::time::StreamTime;
use crate::transcript::{Reply, SoundLine};

/// Font size of what is to be said, of what was said and of its answer, in points, and the same in a low window.
const LARGE: f32 = 28.0;
const LARGE_IN_LOW: f32 = 18.0;
/// Height of the middle below which letters are smaller, in points.
const LOW: f32 = 260.0;
/// Largest width of a step, in points.
const WIDTH: f32 = 560.0;
/// Time for which an answer is shown before the next step begins.
const READING_TIME: Duration = Duration::from_secs(4);
/// Width and height of the level meter below a step, in points.
const METER: [f32; 2] = [160.0, 6.0];
/// Height that a step takes at least, by which it is moved up from the middle, in points.
const STEP_HEIGHT: f32 = 230.0;

/// A step of the first minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The user is asked to say a phrase, and sees words and answer.
    Say,
    /// The user is asked to make a sound, and sees the name that the model gives it.
    Sound,
    /// The user is told what to do next.
    Next,
}

/// The state of the first minute between frames.
#[derive(Debug)]
pub(super) struct FirstMinute {
    step: Step,
    /// Stream time at the start of the step: what was heard before does not count.
    since: StreamTime,
    /// Time at which the answer was complete; `None` before.
    answered: Option<Instant>,
    /// Name of the sound for which the user has been asked, and has said yes or no; `None` before.
    settled: Option<String>,
    /// True if the mode `sounds` was off before and is switched on for the step only.
    borrows_sounds: bool,
}

/// The state of the first minute after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    GoesOn,
    Ends,
}

impl FirstMinute {
    pub(super) const fn new(now: StreamTime) -> Self {
        Self { step: Step::Say, since: now, answered: None, settled: None, borrows_sounds: false }
    }

    /// Ends the first minute: the mode that was switched on for it goes off again.
    pub(super) fn end(self, actions: &mut Actions) {
        if self.borrows_sounds {
            actions.send(Command::ModeOff(SOUNDS.to_owned()));
        }
    }

    /// Paints the present step in the middle of the room.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        data: &FrameData<'_>,
        prefs: &mut WindowPrefs,
        larger: Option<&ModelCard>,
        actions: &mut Actions,
    ) -> Progress {
        let (room, s) = (ui.available_size(), data.s);
        let large = if room.y < LOW { LARGE_IN_LOW } else { LARGE };
        let mut progress = Progress::GoesOn;
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.add_space(((room.y - STEP_HEIGHT) / 2.0).max(0.0));
            ui.vertical_centered(|ui| {
                ui.set_max_width(WIDTH.min(room.x));
                match self.step {
                    Step::Say => self.say_ui(ui, data, large),
                    Step::Sound => self.sound_ui(ui, data, large, prefs, actions),
                    Step::Next => {
                        if next_ui(ui, data, large, larger, actions) {
                            progress = Progress::Ends;
                        }
                    }
                }
                if self.step == Step::Next {
                    return;
                }
                level_ui(ui, data);
                ui.add_space(theme::GROUP_GAP);
                if ui.button(s.next_step).clicked() {
                    self.go_on(data, actions);
                }
                if ui.button(RichText::new(s.skip).weak()).on_hover_text(s.skip_hint).clicked() {
                    progress = Progress::Ends;
                }
            });
        });
        let read = self.answered.is_some_and(|at| at.elapsed() >= READING_TIME) && data.transcript.speaking.is_none();
        if read && self.step == Step::Say {
            self.go_on(data, actions);
        }
        progress
    }

    /// Goes on to the next step.
    fn go_on(&mut self, data: &FrameData<'_>, actions: &mut Actions) {
        self.since = data.transcript.now;
        self.step = match self.step {
            Step::Say => {
                let known = data.settings.modes.iter().any(|mode| mode.name == SOUNDS);
                if known && !data.transcript.modes.iter().any(|mode| mode == SOUNDS) {
                    actions.send(Command::ModeOn(SOUNDS.to_owned()));
                    self.borrows_sounds = true;
                }
                Step::Sound
            }
            Step::Sound | Step::Next => {
                if std::mem::take(&mut self.borrows_sounds) {
                    actions.send(Command::ModeOff(SOUNDS.to_owned()));
                }
                Step::Next
            }
        };
    }

    /// Paints the phrase to say, the words as they are heard, and the answer below them.
    fn say_ui(&mut self, ui: &mut Ui, data: &FrameData<'_>, large: f32) {
        let (s, t) = (data.s, data.transcript);
        let words = t.utterances.last().filter(|line| line.to > self.since);
        let answer = t.replies.iter().rev().find(|reply| reply.at > self.since && !reply.text.is_empty());
        ui.label(RichText::new(s.say_this).weak().size(theme::LARGE));
        ui.label(RichText::new(s.say_name).size(large).strong());
        ui.add_space(theme::GROUP_GAP);
        if let Some(line) = words {
            ui.label(RichText::new(&line.text).size(large));
        }
        if let Some(Reply { text, stop, .. }) = answer {
            ui.label(RichText::new(text).size(large).color(theme::Palette::of(ui.visuals()).replying));
            if stop.is_some() {
                let answered = *self.answered.get_or_insert_with(Instant::now);
                ui.ctx().request_repaint_after(READING_TIME.saturating_sub(answered.elapsed()));
            }
        } else if t.not_understood.is_some_and(|(_, to)| to > self.since) {
            ui.label(RichText::new(format!("{}. {}", s.heard_you, phrases_hint(s))).weak());
        }
    }

    /// Paints the sound to make, the sounds as they are named, and the offer of an alert for the newest one.
    fn sound_ui(&mut self, ui: &mut Ui, data: &FrameData<'_>, large: f32, prefs: &mut WindowPrefs, actions: &mut Actions) {
        let (s, t) = (data.s, data.transcript);
        ui.label(RichText::new(s.now_cough).size(large).strong());
        ui.add_space(theme::GROUP_GAP);
        let heard: Vec<&SoundLine> = t.sounds.iter().filter(|sound| sound.last > self.since).collect();
        let Some(newest) = heard.iter().max_by_key(|sound| sound.last) else { return };
        for sound in &heard {
            Frame::group(ui.style()).show(ui, |ui| ui.label(RichText::new(&sound.name).size(theme::LARGE).strong()));
        }
        if self.settled.as_ref() == Some(&newest.name) || prefs.marked_sounds.contains(&newest.name) {
            return;
        }
        ui.label(s.alert_me_ask);
        if ui.button(s.alert_me).clicked() {
            prefs.marked_sounds.push(newest.name.clone());
            // An alert needs the mode that names sounds.
            if std::mem::take(&mut self.borrows_sounds) {
                actions.push(Action::SaveModes);
            }
            self.go_on(data, actions);
        }
        if ui.button(s.no_alert).clicked() {
            self.settled = Some(newest.name.clone());
        }
    }
}

/// Paints what to do next; returns true once the user has read it.
fn next_ui(ui: &mut Ui, data: &FrameData<'_>, large: f32, larger: Option<&ModelCard>, actions: &mut Actions) -> bool {
    let s = data.s;
    ui.label(RichText::new(s.first_done).size(large).strong());
    ui.add_space(theme::GROUP_GAP);
    let [_, second, third] = starter_phrases::EXAMPLES;
    ui.label(fill_all(s.first_try, &[&second, &third]));
    ui.label(s.first_pause);
    ui.add_space(theme::GROUP_GAP);
    let mut ends = ui.button(s.first_close).clicked();
    if let Some(card) = larger.filter(|_| data.settings.model == ModelChoice::Starter) {
        ui.add_space(theme::GROUP_GAP);
        ui.label(RichText::new(fill(s.first_model, size(card.download_bytes))).weak());
        if ui.button(s.full_model).clicked() {
            actions.push(Action::Open(Dialog::Models));
            ends = true;
        }
    }
    ends
}

/// Returns the hint for speech that was heard and not understood: what the starter understands.
pub(super) fn phrases_hint(s: &Strings) -> String {
    let [first, second, third] = starter_phrases::EXAMPLES;
    fill_all(s.heard_you_hint, &[&starter_phrases::starter().offered().count(), &first, &second, &third])
}

/// Paints the level of the microphone as a bar, empty while nothing is captured.
pub(super) fn level_ui(ui: &mut Ui, data: &FrameData<'_>) {
    let (rect, response) = ui.allocate_exact_size(vec2(METER[0].min(ui.available_width()), METER[1]), Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ProgressIndicator, true, data.s.level));
    let share = if data.is_capturing() { share_of_level(data.readings.level_dbfs) } else { 0.0 };
    let p = ui.painter();
    p.rect_filled(rect, rect.height() / 2.0, ui.visuals().widgets.inactive.bg_fill);
    let lit = Rect::from_min_size(rect.min, vec2(rect.width() * share, rect.height()));
    p.rect_filled(lit, rect.height() / 2.0, theme::Palette::of(ui.visuals()).listening);
}
