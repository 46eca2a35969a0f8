//! The modes in the settings: the options of each, and the editor of the user's own.
//!
//! The model takes its instruction as speech, so a typed instruction becomes an audio clip: recorded by the engine, synthesised by the
//! system's voice, or given as a file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use egui::{RichText, Ui};

use super::actions::{Action, Actions};
use super::clip_synthesis::{self, SharedSynthesis, Synthesis};
use super::confirm::{Answer, Confirmation};
use super::dialogs::{Outcome, outcome_ui};
use super::file_dialog::FileQuestion;
use super::frame::FrameData;
use super::mode_controls::mode_options_ui;
use super::strings::fill;
use super::theme;
use crate::config::modes::BUILT_IN;
use crate::config::{Mode, NewMode, Paths, add_mode, remove_mode, replace_mode};
use crate::protocol::{Command, Panel};

/// Time after a click on "record" within which the engine begins to record a clip. An engine that records nothing after this time
/// has failed to begin, or has ended the recording.
const RECORDING_STARTS: Duration = Duration::from_secs(2);
/// Interval at which the window is repainted during the recording of a clip, to show the clip's length.
const RECORDING_REPAINT: Duration = Duration::from_millis(200);

/// The fields of a new mode, or of a mode of the user's that is being changed, and the state of its clip.
#[derive(Debug)]
pub(super) struct ModeEditor {
    name: String,
    instruction: String,
    /// Path of the audio clip of the spoken instruction, as typed. Empty if the typed instruction is to be synthesised, or is
    /// unchanged.
    clip: String,
    /// True if the field of the clip was in sight in the newest frame.
    shows_clip: bool,
    /// Panel to which the mode writes.
    panel: Panel,
    /// Mode that is being changed, as it was before; `None` for a new mode.
    original: Option<Mode>,
    /// Time of the click on "record"; `None` while no clip is being recorded.
    recording_since: Option<Instant>,
    synthesis: SharedSynthesis,
    /// True if the speech synthesiser is installed; `None` until checked.
    has_voice: Option<bool>,
    /// Result of the last attempt to save, remove or record; `None` before one.
    outcome: Option<Outcome>,
    /// Removal of the mode of this name that the user is asked to confirm; `None` without such a question.
    removal: Option<Confirmation<String>>,
}

impl Default for ModeEditor {
    fn default() -> Self {
        Self {
            name: String::new(),
            instruction: String::new(),
            clip: String::new(),
            shows_clip: false,
            panel: Panel::Conversation,
            original: None,
            recording_since: None,
            synthesis: SharedSynthesis::default(),
            has_voice: None,
            outcome: None,
            removal: None,
        }
    }
}

/// The origin of a temporary audio clip, which is a part of the clip's file name.
#[derive(Clone, Copy, Debug)]
enum ClipOrigin {
    Recorded,
    Synthesised,
}

/// Returns the path in the cache folder of this process's temporary audio clip, used until the clip's mode is saved.
fn temporary_clip(paths: &Paths, origin: ClipOrigin) -> PathBuf {
    let origin = match origin {
        ClipOrigin::Recorded => "recorded",
        ClipOrigin::Synthesised => "spoken",
    };
    paths.cache.join(format!("clip-{origin}-{}.wav", std::process::id()))
}

impl ModeEditor {
    pub(super) fn set_clip(&mut self, path: &Path) {
        self.clip = path.display().to_string();
    }

    /// Returns true if the field of the clip was in sight in the newest frame.
    pub(super) const fn shows_clip(&self) -> bool {
        self.shows_clip
    }

    /// Notes that a frame begins, in which the editor may be out of sight.
    pub(super) const fn note_frame(&mut self) {
        self.shows_clip = false;
    }

    /// Paints all modes with their options, and below the editor in which the user makes or changes a mode of their own.
    pub(super) fn show(&mut self, ui: &mut Ui, data: &FrameData<'_>, actions: &mut Actions) {
        for mode in &data.settings.modes {
            self.mode_ui(ui, data, mode);
            ui.push_id(&mode.name, |ui| mode_options_ui(ui, data, mode, actions));
        }
        ui.add_space(theme::GAP);
        egui::Frame::group(ui.style()).show(ui, |ui| self.editor_ui(ui, data, actions));
        self.removal_ui(ui, data, actions);
    }

    /// Paints the question before a mode is removed, and removes it once the user has confirmed.
    fn removal_ui(&mut self, ui: &Ui, data: &FrameData<'_>, actions: &mut Actions) {
        let Some(removal) = &mut self.removal else { return };
        let name = removal.what.clone();
        let Some(answer) = removal.show(ui, data.s, &fill(data.s.mode_remove_ask, data.s.mode(&name)), data.s.remove) else { return };
        self.removal = None;
        if answer == Answer::Delete {
            self.remove(data, &name, actions);
        }
    }

    /// Paints the name and options of a mode; for a mode of the user's also its instruction and the buttons that edit and remove the
    /// mode.
    fn mode_ui(&mut self, ui: &mut Ui, data: &FrameData<'_>, mode: &Mode) {
        let (s, label) = (data.s, data.s.mode(&mode.name));
        let named = |ui: &mut Ui, text: &str, name: &str| {
            let button = ui.button(text);
            let name = fill(name, &label);
            button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
            button.clicked()
        };
        ui.horizontal_wrapped(|ui| {
            ui.label(theme::bold(&label, theme::MEDIUM));
            if BUILT_IN.contains(&mode.name.as_str()) {
                return;
            }
            if named(ui, s.edit, s.edit_mode) {
                self.edit(mode);
            }
            if named(ui, s.remove, s.remove_mode) {
                self.removal = Some(Confirmation::new(mode.name.clone()));
            }
            ui.label(RichText::new(mode.instruction.clone().unwrap_or_default()).weak());
        });
    }

    fn edit(&mut self, mode: &Mode) {
        *self = Self {
            name: mode.name.clone(),
            instruction: mode.instruction.clone().unwrap_or_default(),
            panel: mode.panel,
            original: Some(mode.clone()),
            ..Self::default()
        };
    }

    fn editor_ui(&mut self, ui: &mut Ui, data: &FrameData<'_>, actions: &mut Actions) {
        let s = data.s;
        let title = self.original.as_ref().map_or_else(|| s.new_mode.to_owned(), |mode| fill(s.edit_mode, s.mode(&mode.name)));
        ui.label(RichText::new(title).strong());
        ui.label(RichText::new(s.new_mode_hint).weak());
        for (label, text, hint) in [(s.mode_name, &mut self.name, "kettle"), (s.mode_instruction, &mut self.instruction, s.mode_example)] {
            let label = ui.label(label);
            ui.add(egui::TextEdit::singleline(text).hint_text(hint).desired_width(f32::INFINITY)).labelled_by(label.id);
        }
        self.clip_ui(ui, data, actions);
        ui.horizontal_wrapped(|ui| {
            ui.label(s.mode_panel);
            for panel in [Panel::Conversation, Panel::Transcript, Panel::Sounds] {
                ui.selectable_value(&mut self.panel, panel, data.s.panel(panel));
            }
        });
        let can_save = self.recording_since.is_none() && clip_synthesis::read(&self.synthesis) != Synthesis::Running;
        ui.horizontal(|ui| {
            let text = if self.original.is_some() { s.save } else { s.add };
            if ui.add_enabled(can_save, egui::Button::new(text)).clicked() {
                self.finish(ui.ctx(), data, actions);
            }
            if self.original.is_some() && ui.button(s.cancel).clicked() {
                *self = Self::default();
            }
        });
        self.take_synthesis(data, actions);
        outcome_ui(ui, self.outcome.as_ref());
    }

    /// Paints the text field of the clip's path and the button that starts or ends the recording of a clip.
    fn clip_ui(&mut self, ui: &mut Ui, data: &FrameData<'_>, actions: &mut Actions) {
        let s = data.s;
        let label = ui.label(s.mode_clip);
        let field = egui::TextEdit::singleline(&mut self.clip).hint_text(s.mode_clip_hint).desired_width(f32::INFINITY);
        let field = ui.add(field).labelled_by(label.id);
        self.shows_clip = ui.is_rect_visible(field.rect);
        ui.horizontal_wrapped(|ui| match self.recording_since {
            None => {
                if ui.button(s.choose).clicked() {
                    actions.push(Action::AskFile(FileQuestion::Clip));
                }
                let record = ui.add_enabled(data.is_capturing(), egui::Button::new(s.record_clip));
                if record.on_disabled_hover_text(s.record_deaf).on_hover_text(s.record_hint).clicked() {
                    self.record(data, actions);
                }
                if self.clip.is_empty() && self.original.is_none() {
                    let has_voice = *self.has_voice.get_or_insert_with(clip_synthesis::is_installed);
                    ui.label(RichText::new(if has_voice { s.clip_spoken } else { s.clip_unspoken }).weak());
                }
            }
            Some(since) => {
                if ui.button(s.record_stop).clicked() {
                    actions.send(Command::EndClip);
                    self.recording_since = None;
                }
                let text = fill(s.recording_clip, since.elapsed().as_secs());
                ui.label(RichText::new(text).color(theme::Palette::of(ui.visuals()).fault));
                if since.elapsed() > RECORDING_STARTS && !data.readings.recording_clip {
                    self.recording_since = None;
                }
                ui.ctx().request_repaint_after(RECORDING_REPAINT);
            }
        });
    }

    fn record(&mut self, data: &FrameData<'_>, actions: &mut Actions) {
        let to = temporary_clip(&data.settings.paths, ClipOrigin::Recorded);
        self.set_clip(&to);
        self.recording_since = Some(Instant::now());
        actions.send(Command::RecordClip(to));
    }

    /// Saves the mode in the editor, with the audio clip that the user has given, or with the old clip if the instruction is
    /// unchanged. In other cases starts the synthesis of the instruction, after which [`ModeEditor::take_synthesis`] saves the mode.
    fn finish(&mut self, ctx: &egui::Context, data: &FrameData<'_>, actions: &mut Actions) {
        let (clip, instruction) = (self.clip.trim(), self.instruction.trim());
        let unchanged = self.original.as_ref().is_some_and(|mode| mode.instruction.as_deref() == Some(instruction));
        if !clip.is_empty() {
            self.save(data, Some(PathBuf::from(clip)), actions);
        } else if unchanged {
            self.save(data, None, actions);
        } else if instruction.is_empty() {
            // The check of the mode reports the missing instruction.
            self.save(data, Some(PathBuf::new()), actions);
        } else {
            let (ctx, to) = (ctx.clone(), temporary_clip(&data.settings.paths, ClipOrigin::Synthesised));
            clip_synthesis::start(instruction.to_owned(), to, &self.synthesis, move || ctx.request_repaint());
        }
    }

    /// Saves the mode in the editor if the synthesis of its audio clip has succeeded, or shows the reason if it has failed. Does
    /// nothing while no synthesis has ended.
    fn take_synthesis(&mut self, data: &FrameData<'_>, actions: &mut Actions) {
        match clip_synthesis::read(&self.synthesis) {
            Synthesis::Idle | Synthesis::Running => {}
            Synthesis::Done(clip) => {
                self.synthesis = SharedSynthesis::default();
                self.save(data, Some(clip), actions);
            }
            Synthesis::Failed(reason) => {
                self.synthesis = SharedSynthesis::default();
                self.outcome = Some(Err(format!("{} ({reason})", data.s.clip_unspoken)));
            }
        }
    }

    fn save(&mut self, data: &FrameData<'_>, clip: Option<PathBuf>, actions: &mut Actions) {
        let (s, paths) = (data.s, &data.settings.paths);
        let (name, instruction) = (self.name.trim().to_owned(), self.instruction.trim().to_owned());
        let new = NewMode { name: name.clone(), instruction, clip, panel: self.panel };
        let old = self.original.as_ref().map(|mode| mode.name.clone());
        let saved = match &old {
            Some(old) => replace_mode(paths, old, &new),
            None => add_mode(paths, &new),
        };
        if let Err(error) = saved {
            self.outcome = Some(Err(s.error(&error)));
            return;
        }
        for origin in [ClipOrigin::Recorded, ClipOrigin::Synthesised] {
            // The clip was copied, or never made.
            let _ = std::fs::remove_file(temporary_clip(paths, origin));
        }
        let text = fill(if old.is_some() { s.mode_saved } else { s.added }, s.mode(&name));
        actions.push(Action::ReloadModes { removed: old.filter(|old| *old != name) });
        *self = Self { outcome: Some(Ok(text)), ..Self::default() };
    }

    fn remove(&mut self, data: &FrameData<'_>, name: &str, actions: &mut Actions) {
        let outcome = match remove_mode(&data.settings.paths, name) {
            Ok(()) => {
                actions.push(Action::ReloadModes { removed: Some(name.to_owned()) });
                Ok(fill(data.s.mode_removed, data.s.mode(name)))
            }
            Err(error) => Err(data.s.error(&error)),
        };
        *self = Self { outcome: Some(outcome), ..Self::default() };
    }
}
