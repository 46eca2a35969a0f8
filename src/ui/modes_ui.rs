//! The modes in the settings: how eager each is, and the editor of the user's own. What a mode is to do is typed; it becomes
//! the spoken instruction that the model needs by being spoken by the system's voice, recorded here, or given as a file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use egui::{RichText, Ui};

use super::spoken::{self, Speaking};
use super::strings::fill;
use super::view::Draft;
use super::{HearkenApp, outcome_ui};
use crate::config::modes::{BUILT_IN, language_of};
use crate::config::prefs::SavedChoice;
use crate::config::{Mode, NewMode, add_mode, remove_mode, replace_mode};
use crate::protocol::{Command, Panel};

/// A recording that has not begun by now does not begin: the file could not be made, or it has ended by itself.
const BEGINS: Duration = Duration::from_secs(2);
/// How often the seconds of a recording are painted.
const SECONDS: Duration = Duration::from_millis(200);

/// What is asked of a mode in its list.
enum Asked {
    Edit,
    Remove,
}

impl HearkenApp {
    pub(super) fn mode_settings_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        let mut asked = None;
        for mode in self.settings.modes.clone() {
            let own = !BUILT_IN.contains(&mode.name.as_str());
            ui.horizontal_wrapped(|ui| {
                ui.label(RichText::new(s.mode(&mode.name)).strong());
                if own {
                    for (text, label, what) in [(s.edit, s.edit_mode, Asked::Edit), (s.remove, s.remove_mode, Asked::Remove)] {
                        let button = ui.button(text);
                        let label = fill(label, s.mode(&mode.name));
                        button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &label));
                        if button.clicked() {
                            asked = Some((mode.clone(), what));
                        }
                    }
                    ui.label(RichText::new(mode.instruction.clone().unwrap_or_default()).weak());
                }
            });
            ui.push_id(&mode.name, |ui| self.mode_menu_ui(ui, &mode));
        }
        match asked {
            Some((mode, Asked::Edit)) => self.edit_mode(&mode),
            Some((mode, Asked::Remove)) => self.remove_mode(&mode.name),
            None => {}
        }
        ui.add_space(6.0);
        egui::Frame::group(ui.style()).show(ui, |ui| self.editor_ui(ui));
    }

    /// Puts the mode into the editor.
    pub(super) fn edit_mode(&mut self, mode: &Mode) {
        self.view.new_mode = Draft {
            name: mode.name.clone(),
            instruction: mode.instruction.clone().unwrap_or_default(),
            panel: mode.panel,
            editing: Some(mode.clone()),
            ..Draft::default()
        };
        self.view.settings_open = true;
    }

    fn editor_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        let title = self.view.new_mode.editing.as_ref().map_or_else(|| s.new_mode.to_owned(), |mode| fill(s.edit_mode, s.mode(&mode.name)));
        ui.label(RichText::new(title).strong());
        ui.label(RichText::new(s.new_mode_hint).weak());
        let draft = &mut self.view.new_mode;
        for (label, text, hint) in [(s.mode_name, &mut draft.name, "kettle"), (s.mode_instruction, &mut draft.instruction, s.mode_example)]
        {
            let label = ui.label(label);
            ui.add(egui::TextEdit::singleline(text).hint_text(hint).desired_width(f32::INFINITY)).labelled_by(label.id);
        }
        self.clip_ui(ui);
        let draft = &mut self.view.new_mode;
        ui.horizontal_wrapped(|ui| {
            ui.label(s.mode_panel);
            for (panel, label) in [(Panel::Conversation, s.conversation), (Panel::Transcript, s.transcript), (Panel::Sounds, s.sounds)] {
                ui.selectable_value(&mut draft.panel, panel, label);
            }
        });
        let free = draft.recorder.is_none() && spoken::read(&draft.speaking) != Speaking::Busy;
        ui.horizontal(|ui| {
            let text = if self.view.new_mode.editing.is_some() { s.save } else { s.add };
            if ui.add_enabled(free, egui::Button::new(text)).clicked() {
                self.finish_mode(ui.ctx());
            }
            if self.view.new_mode.editing.is_some() && ui.button(s.cancel).clicked() {
                self.view.new_mode = Draft::default();
            }
        });
        self.take_spoken();
        outcome_ui(ui, self.view.new_mode.outcome.as_ref());
    }

    /// The clip: recorded here, or a file. Where neither is given, the instruction is spoken by the system.
    fn clip_ui(&mut self, ui: &mut Ui) {
        let (s, readings) = (self.s, self.session.engine.meters().read());
        let label = ui.label(s.mode_clip);
        ui.add(egui::TextEdit::singleline(&mut self.view.new_mode.clip).hint_text(s.mode_clip_hint).desired_width(f32::INFINITY))
            .labelled_by(label.id);
        let hears = { !readings.paused && !self.session.heard.transcript().no_input };
        ui.horizontal_wrapped(|ui| match self.view.new_mode.recorder {
            None => {
                let record = ui.add_enabled(hears, egui::Button::new(s.record_clip));
                if record.on_disabled_hover_text(s.record_deaf).on_hover_text(s.record_hint).clicked() {
                    self.record_clip();
                }
                if self.view.new_mode.clip.is_empty() && self.view.new_mode.editing.is_none() {
                    let speaks = *self.view.new_mode.speaks.get_or_insert_with(spoken::is_there);
                    ui.label(RichText::new(if speaks { s.clip_spoken } else { s.clip_unspoken }).weak());
                }
            }
            Some(begun) => {
                if ui.button(s.record_stop).clicked() {
                    self.session.engine.send(Command::EndClip);
                    self.view.new_mode.recorder = None;
                }
                let colour = super::theme::states(ui.visuals()).fault;
                ui.label(RichText::new(fill(s.recording_clip, begun.elapsed().as_secs())).color(colour));
                if begun.elapsed() > BEGINS && !readings.recording_clip {
                    self.view.new_mode.recorder = None;
                }
                ui.ctx().request_repaint_after(SECONDS);
            }
        });
    }

    fn record_clip(&mut self) {
        let to = self.clip_file("recorded");
        self.session.engine.send(Command::RecordClip(to.clone()));
        self.view.new_mode.clip = to.display().to_string();
        self.view.new_mode.recorder = Some(Instant::now());
    }

    /// Where a clip lies until its mode is saved.
    fn clip_file(&self, how: &str) -> PathBuf {
        self.settings.paths.cache.join(format!("clip-{how}-{}.wav", std::process::id()))
    }

    /// Saves the mode in the editor, once its instruction was spoken where that is needed.
    fn finish_mode(&mut self, ctx: &egui::Context) {
        let draft = &self.view.new_mode;
        let given = draft.clip.trim();
        let same_words = draft.editing.as_ref().is_some_and(|mode| mode.instruction.as_deref() == Some(draft.instruction.trim()));
        if !given.is_empty() {
            self.save_mode(Some(&PathBuf::from(given)));
        } else if same_words {
            self.save_mode(None);
        } else if draft.instruction.trim().is_empty() {
            // What is wrong is said where the mode is checked.
            self.save_mode(Some(Path::new("")));
        } else {
            let ctx = ctx.clone();
            spoken::speak(draft.instruction.trim().to_owned(), self.clip_file("spoken"), &draft.speaking, move || ctx.request_repaint());
        }
    }

    /// Takes the clip that was spoken, once it is there.
    fn take_spoken(&mut self) {
        match spoken::read(&self.view.new_mode.speaking) {
            Speaking::Idle | Speaking::Busy => {}
            Speaking::Done(clip) => {
                self.view.new_mode.speaking = spoken::Shared::default();
                self.save_mode(Some(&clip));
            }
            Speaking::Failed(why) => {
                self.view.new_mode.speaking = spoken::Shared::default();
                self.view.new_mode.outcome = Some(Err(format!("{} ({why})", self.s.clip_unspoken)));
            }
        }
    }

    fn save_mode(&mut self, clip: Option<&Path>) {
        let draft = &self.view.new_mode;
        let (name, instruction) = (draft.name.trim().to_owned(), draft.instruction.trim().to_owned());
        let new = NewMode { name: name.clone(), instruction, clip: clip.map(Path::to_owned), panel: draft.panel };
        let old = draft.editing.as_ref().map(|mode| mode.name.clone());
        let renamed = old.clone().filter(|old| *old != name);
        let done = match &old {
            Some(old) => replace_mode(&self.settings.paths, old, &new),
            None => add_mode(&self.settings.paths, &new),
        };
        let outcome = match done {
            Ok(()) => {
                for how in ["recorded", "spoken"] {
                    // It was copied; it may never have been made.
                    let _ = std::fs::remove_file(self.clip_file(how));
                }
                self.view.new_mode = Draft::default();
                if let Some(old) = renamed {
                    self.drop_mode(&old);
                }
                self.modes_changed();
                Ok(fill(if old.is_some() { self.s.mode_saved } else { self.s.added }, self.s.mode(&name)))
            }
            Err(error) => Err(error.to_string()),
        };
        self.view.new_mode.outcome = Some(outcome);
    }

    fn remove_mode(&mut self, name: &str) {
        let outcome = match remove_mode(&self.settings.paths, name) {
            Ok(()) => {
                self.drop_mode(name);
                self.modes_changed();
                Ok(fill(self.s.mode_removed, self.s.mode(name)))
            }
            Err(error) => Err(error.to_string()),
        };
        self.view.new_mode = Draft { outcome: Some(outcome), ..Draft::default() };
    }

    /// A mode of this name is no more: it is off, and the settings say nothing of it.
    fn drop_mode(&mut self, name: &str) {
        self.session.engine.send(Command::ModeOff(name.to_owned()));
        let on: Vec<String> = self.session.heard.transcript().modes.iter().filter(|on| *on != name).cloned().collect();
        self.save(&SavedChoice::ModesOn(on));
        self.save(&SavedChoice::NoMode(name.to_owned()));
        let rest_first = &mut self.settings.long_running.rest_first;
        if rest_first.iter().any(|rests| rests == name) {
            rest_first.retain(|rests| rests != name);
            let left = rest_first.clone();
            self.save(&SavedChoice::RestFirst(left));
        }
    }

    fn modes_changed(&mut self) {
        self.session.engine.send(Command::ReadModes);
        self.take_modes(language_of(&self.settings.modes));
        self.session.heard.transcript().set_panels(super::fold::shown(&self.settings.modes));
        self.session.history.set_panels(super::fold::shown(&self.settings.modes));
    }
}
