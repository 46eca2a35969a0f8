//! The user's intents. Panels collect [`Action`]s while they paint; [`HearkenApp::perform`] carries them out after the frame.

use std::time::{Duration, Instant};

use super::HearkenApp;
use super::alerts::DoNotDisturb;
use super::event_thread::panels_of;
use super::export_dialog::{ExportDialog, ExportEnd, ExportSource};
use super::file_actions::FileAction;
use super::file_dialog::FileQuestion;
use super::first_minute::FirstMinute;
use super::messages::{Fix, Message, Topic};
use super::settings_window::SettingsSection;
use crate::audio::DeviceDirection;
use crate::clock::now_ms;
use crate::config::all_modes;
use crate::config::modes::language_of;
use crate::config::prefs::{SavedChoice, save_choice};
use crate::error::Result;
use crate::history::HistoryQuery;
use crate::protocol::{ChannelChoice, Command, DeviceChoice, Language, ModelChoice, Speak, Switch, VoiceSettings};

/// Time for which a click on "snooze" turns notifications off: 5 minutes.
const SNOOZE: Duration = Duration::from_secs(5 * 60);
/// Newest span of the history that "Delete the last 10 minutes" deletes: 10 minutes.
const RECENT: Duration = Duration::from_secs(10 * 60);

/// An intent of the user, collected while a frame is painted and carried out after it. Choices that last beyond the session are
/// also saved in the settings file.
#[derive(Debug)]
pub(super) enum Action {
    /// Send the engine a command that changes neither the window nor the settings.
    Send(Command),
    /// Pause listening, or resume it if it is paused.
    TogglePause,
    /// Switch the mode of this name on or off.
    ToggleMode(String),
    /// Set the eagerness of the mode `mode`: `bias` is added to its respond logit.
    SetEagerness {
        mode: String,
        bias: f32,
    },
    /// Set the target language of the mode `translate`.
    TranslateTo(Language),
    /// Load another model.
    ChooseModel(ModelChoice),
    /// Switch to another microphone or speaker.
    ChooseDevice {
        direction: DeviceDirection,
        choice: DeviceChoice,
    },
    /// Hear another channel of the microphone.
    ChooseChannel(ChannelChoice),
    /// Switch the quiet gate on or off.
    SetGate(Switch),
    /// Change the settings of speech output.
    SetVoice(VoiceSettings),
    /// Makes the voice silent, or lets it speak again as before.
    ToggleMute,
    SetDoNotDisturb(DoNotDisturb),
    /// Show no notifications for 5 minutes.
    Snooze,
    /// Read the modes from the disk after the user has changed a mode of their own. `removed` is the name of a mode that no longer
    /// exists and is switched off.
    ReloadModes {
        removed: Option<String>,
    },
    /// Send a request to the thread that reads the history.
    AskHistory(HistoryQuery),
    /// Opens the export dialog for the stored session of this number.
    ExportStored(i64),
    /// Closes the export dialog and reports the result.
    EndExport(ExportEnd),
    /// Shows the file of the last export in its folder.
    ShowExport,
    /// Uses the model whose download has ended last.
    UseDownloaded,
    /// Opens a file dialog of the system.
    AskFile(FileQuestion),
    /// Carries out an intent on audio files that are heard.
    Files(FileAction),
    /// Delete all of the history, and all lines of the running session.
    DeleteEverything,
    /// Delete the last 10 minutes of the history and of the running session.
    DeleteRecent,
    Open(Dialog),
    /// Open the dialog, or close it if it is open.
    Toggle(Dialog),
    /// Delete the running conversation, which can be undone for 10 s.
    DeleteConversation,
    /// Bring the deleted conversation back.
    UndoDeletion,
    /// Let the model forget what was said; the lines stay.
    NewConversation,
    /// Open the present microphone again.
    RetryInput,
    /// Listen for the first time: the user has consented.
    StartListening,
    /// Put the first card away until the next start; nothing is captured.
    PostponeWelcome,
    /// End the first minute, which follows the consent.
    EndFirstMinute,
    /// Save the modes that are on now.
    SaveModes,
}

/// A dialog, or a window above or beside the main one, that opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialog {
    /// The dialog that exports the running session to a file.
    Export,
    /// The choice of a microphone.
    Microphone,
    /// The choice of a speaker.
    Speaker,
    History,
    /// The settings, at the section that was shown last.
    Settings,
    /// The settings, at the section on privacy.
    Privacy,
    Models,
    /// The audio file that is being heard, or was heard last.
    File,
    /// The captions, a window above all others.
    Captions,
    Pill,
}

/// The user's intents of one frame, in their order.
#[derive(Debug, Default)]
pub(super) struct Actions(Vec<Action>);

impl Actions {
    pub(super) fn push(&mut self, action: Action) {
        self.0.push(action);
    }

    pub(super) fn send(&mut self, command: Command) {
        self.push(Action::Send(command));
    }
}

impl HearkenApp {
    /// Carries out the intents of a frame in their order, and requests another frame if there are any.
    pub(super) fn perform_all(&mut self, actions: Actions, ctx: &egui::Context) {
        if !actions.0.is_empty() {
            // The next frame shows their effect.
            ctx.request_repaint();
        }
        for action in actions.0 {
            self.perform(action, ctx);
        }
    }

    fn perform(&mut self, action: Action, ctx: &egui::Context) {
        match action {
            Action::Send(command) => drop(self.session.engine.send(command)),
            Action::TogglePause => {
                let paused = self.session.data.transcript().is_paused();
                // Whoever resumes has consented.
                self.prefs.welcomed |= paused;
                self.session.engine.send(if paused { Command::Resume } else { Command::Pause });
            }
            Action::ToggleMode(name) => self.toggle_mode(name),
            Action::SetEagerness { mode, bias } => self.set_eagerness(mode, bias),
            Action::TranslateTo(language) => {
                self.session.engine.send(Command::TranslateTo(language));
                self.reload_modes(language);
                self.save(&SavedChoice::TranslateTo(language));
            }
            Action::ChooseModel(choice) => self.choose_model(choice),
            Action::ChooseDevice { direction, choice } => self.choose_device(direction, choice),
            Action::ChooseChannel(channel) => self.choose_channel(channel),
            Action::SetGate(gate) => {
                self.settings.gate = gate == Switch::On;
                self.session.engine.send(if self.settings.gate { Command::GateOn } else { Command::GateOff });
                self.save(&SavedChoice::Gate(gate));
            }
            Action::SetVoice(voice) => {
                self.settings.voice = voice;
                self.send_voice();
                self.save(&SavedChoice::Voice(voice));
            }
            Action::ToggleMute => self.toggle_mute(ctx),
            Action::SetDoNotDisturb(state) => {
                self.do_not_disturb = state;
                self.send_voice();
                self.update_alerts();
            }
            Action::Snooze => self.session.data.alerts().snoozed_until = Some(Instant::now() + SNOOZE),
            Action::ReloadModes { removed } => {
                if let Some(name) = removed {
                    self.forget_mode(&name);
                }
                self.reload_own_modes();
            }
            Action::AskHistory(question) => self.history.ask(question, &self.settings.paths, ctx),
            Action::ExportStored(session) => self.export = Some(ExportDialog::new(ExportSource::Stored(session))),
            Action::EndExport(end) => self.end_export(end),
            Action::ShowExport => self.show_export(),
            Action::UseDownloaded => self.use_downloaded(),
            Action::AskFile(question) => self.ask_file(question, ctx),
            Action::Files(action) => self.perform_on_files(action, ctx),
            Action::DeleteEverything => {
                self.session.carry_out_deletion();
                self.session.files.forget();
                self.session.history.delete_all();
                self.forget_since(0);
            }
            Action::DeleteRecent => {
                self.session.carry_out_deletion();
                self.session.files.forget();
                self.session.history.forget_last(RECENT);
                self.forget_since(now_ms() - RECENT.as_millis() as i64);
            }
            Action::Open(dialog) => self.open(dialog, ctx),
            Action::Toggle(dialog) => self.toggle(dialog, ctx),
            promise => self.perform_promise(&promise, ctx),
        }
    }

    /// Lets no reply be spoken, or lets those be spoken again that were before.
    fn toggle_mute(&mut self, ctx: &egui::Context) {
        let mut voice = self.settings.voice;
        voice.speak = match voice.speak {
            Speak::Asked => self.bar.spoke.unwrap_or(Speak::Always),
            spoken => {
                self.bar.spoke = Some(spoken);
                Speak::Asked
            }
        };
        self.perform(Action::SetVoice(voice), ctx);
    }

    /// Opens the system's file dialog for `question`.
    fn ask_file(&mut self, question: FileQuestion, ctx: &egui::Context) {
        let title = match question {
            FileQuestion::Export { .. } => self.s.export_title,
            FileQuestion::Clip => self.s.mode_clip,
            FileQuestion::ModelFolder => self.s.model_folder,
            FileQuestion::Recordings => self.s.files.audio,
        };
        self.files.ask(question, title, ctx);
    }

    /// Brings the deleted conversation back, and says what cannot come back.
    fn undo_deletion(&mut self) {
        if self.session.undo_deletion() {
            self.messages.show(Message::news(format!("{} {}", self.s.conversation_restored, self.s.conversation_restored_hint)));
        }
    }

    /// Carries out an intent on the conversation as a whole, or on the first card.
    fn perform_promise(&mut self, action: &Action, ctx: &egui::Context) {
        match action {
            Action::DeleteConversation => self.session.delete_conversation(),
            Action::UndoDeletion => self.undo_deletion(),
            Action::NewConversation => {
                self.session.engine.send(Command::Forget);
                self.session.data.transcript().begin_conversation();
                self.messages.show(Message::news(self.s.conversation_begun));
            }
            Action::RetryInput => self.retry_input(),
            Action::StartListening => {
                self.prefs.welcomed = true;
                self.first_minute = Some(FirstMinute::new(self.session.data.now()));
                self.session.engine.send(Command::Resume);
            }
            Action::PostponeWelcome => self.welcome_postponed = true,
            Action::EndFirstMinute => {
                let mut then = Actions::default();
                if let Some(first) = self.first_minute.take() {
                    first.end(&mut then);
                }
                self.perform_all(then, ctx);
            }
            Action::SaveModes => {
                let on = self.session.data.transcript().modes.clone();
                self.save(&SavedChoice::ModesOn(on));
            }
            _ => {}
        }
    }

    pub(super) fn open(&mut self, dialog: Dialog, ctx: &egui::Context) {
        if matches!(dialog, Dialog::History | Dialog::Settings | Dialog::Privacy | Dialog::Models | Dialog::File) {
            // One sheet at a time.
            let _ = (self.models.close(), self.history.close(), self.settings_window.close(), self.file_sheet.close());
        }
        match dialog {
            Dialog::Export => self.export = Some(ExportDialog::new(ExportSource::Running)),
            Dialog::Microphone => self.device_dialog = Some(DeviceDirection::Input),
            Dialog::Speaker => self.device_dialog = Some(DeviceDirection::Output),
            Dialog::History => self.history.open(&self.settings.paths, ctx),
            Dialog::Settings => self.settings_window.open(),
            Dialog::Privacy => self.settings_window.open_at(SettingsSection::Privacy),
            Dialog::Models => self.models.open(),
            Dialog::File => self.file_sheet.open(),
            Dialog::Captions => self.captions.open = true,
            Dialog::Pill => self.pill.open = true,
        }
    }

    fn toggle(&mut self, dialog: Dialog, ctx: &egui::Context) {
        let closed = match dialog {
            Dialog::Settings => self.settings_window.close(),
            Dialog::Models => self.models.close(),
            Dialog::File => self.file_sheet.close(),
            Dialog::Captions => std::mem::take(&mut self.captions.open),
            Dialog::Pill => std::mem::take(&mut self.pill.open),
            Dialog::Export | Dialog::Microphone | Dialog::Speaker | Dialog::History | Dialog::Privacy => false,
        };
        if !closed {
            self.open(dialog, ctx);
        }
    }

    fn toggle_mode(&mut self, name: String) {
        let mut on = self.session.data.transcript().modes.clone();
        if on.contains(&name) {
            on.retain(|other| *other != name);
            self.session.engine.send(Command::ModeOff(name));
        } else {
            on.push(name.clone());
            self.session.engine.send(Command::ModeOn(name));
        }
        self.save(&SavedChoice::ModesOn(on));
    }

    fn set_eagerness(&mut self, mode: String, bias: f32) {
        self.session.engine.send(Command::Eagerness { mode: mode.clone(), bias });
        for known in self.settings.modes.iter_mut().filter(|known| known.name == mode) {
            known.eagerness = bias;
        }
        self.save(&SavedChoice::Eagerness(mode, bias));
    }

    /// Sends the voice settings to the engine. While "Do not disturb" is on, sends instead that a reply is spoken only when the
    /// user asks for it.
    pub(super) fn send_voice(&self) {
        let mut voice = self.settings.voice;
        if self.do_not_disturb == DoNotDisturb::On {
            voice.speak = Speak::Asked;
        }
        self.session.engine.send(Command::Voice(voice));
    }

    /// Copies the notification settings, "Do not disturb" and the window's language to the data that the event thread reads.
    pub(super) fn update_alerts(&self) {
        let mut alerts = self.session.data.alerts();
        alerts.enabled = self.prefs.notify;
        alerts.do_not_disturb = self.do_not_disturb;
        alerts.sounds.clone_from(&self.prefs.marked_sounds);
        alerts.s = self.s;
    }

    /// Removes the lines since the wall time `ms` (milliseconds since 1970) from screen and export, and the whole conversation
    /// from the model's context. Does not change the history.
    fn forget_since(&self, ms: i64) {
        self.session.engine.send(Command::Forget);
        self.session.data.forget_since(ms, self.session.engine.meters().read().lag_secs);
    }

    /// Switches off the mode `name`, which the user has removed, and removes its name from the settings file.
    fn forget_mode(&mut self, name: &str) {
        self.session.engine.send(Command::ModeOff(name.to_owned()));
        let on: Vec<String> = self.session.data.transcript().modes.iter().filter(|on| *on != name).cloned().collect();
        self.save(&SavedChoice::ModesOn(on));
        self.save(&SavedChoice::NoMode(name.to_owned()));
        let rest_first = &mut self.settings.long_running.rest_first;
        if rest_first.iter().any(|rests| rests == name) {
            rest_first.retain(|rests| rests != name);
            let left = rest_first.clone();
            self.save(&SavedChoice::RestFirst(left));
        }
    }

    fn reload_own_modes(&mut self) {
        self.session.engine.send(Command::ReadModes);
        self.reload_modes(language_of(&self.settings.modes));
        self.session.data.transcript().set_panels(panels_of(&self.settings.modes));
        self.session.history.set_panels(panels_of(&self.settings.modes));
    }

    /// Replaces the window's list of modes by the built-in and the user's modes read from the disk. `language` is the target
    /// language of translation. Each mode keeps its eagerness. If the modes cannot be read, the list stays as it is.
    fn reload_modes(&mut self, language: Language) {
        let Ok(mut modes) = all_modes(&self.settings.paths, language) else { return };
        for mode in &mut modes {
            if let Some(known) = self.settings.modes.iter().find(|known| known.name == mode.name) {
                mode.eagerness = known.eagerness;
            }
        }
        self.settings.modes = modes;
    }

    /// Saves a choice of the user in the settings file. A failure becomes a message in the window.
    pub(super) fn save(&mut self, choice: &SavedChoice) {
        self.report_unsaved(save_choice(&self.settings.paths, choice));
    }

    /// Adds a message to the window that the settings were not saved, with the reason, if `saved` is an error.
    pub(super) fn report_unsaved(&mut self, saved: Result<()>) {
        if let Err(error) = saved {
            let reason = self.s.reason(error.message(), error.remedy());
            self.messages
                .show(Message::warning(Topic::Saving, self.s.settings_unsaved, reason).with_fixes(Fix::of(error.kind(), error.remedy())));
        }
    }
}
