//! Commands to the inference thread, and the models and prompt caches that its workers make for them.

use std::sync::Arc;

use super::workers::{self, OtherModel, WorkerResult};
use super::{InferenceThread, Phase};
use crate::config::modes::language_of;
use crate::config::{ComputeDevice, Mode, all_modes};
use crate::engine::capture::CaptureCommand;
use crate::engine::meters::Flag;
use crate::error::{Error, ErrorKind, Result};
use crate::mel::QuietGate;
use crate::protocol::{Command, Event, Language, ModelChoice, Panel, Severity};
use crate::session::prompt::PromptCache;
use crate::session::{Session, SessionConfig};
use crate::supervise::lock;

impl InferenceThread {
    /// Carries out `command` or begins to carry it out; an error becomes a `problem` event.
    pub(super) fn obey(&mut self, command: Command) {
        let done = match command {
            Command::Pause => self.command_capture(CaptureCommand::Pause),
            Command::Resume => self.command_capture(CaptureCommand::Resume),
            Command::ModeOn(name) => {
                self.overload.forget(&name);
                self.switch_on(&name)
            }
            Command::ModeOff(name) => {
                self.overload.forget(&name);
                self.switch_off(&name)
            }
            Command::Eagerness { mode, bias } => self.set_eagerness(&mode, bias),
            Command::ChooseModel(choice) => {
                self.load_model(choice);
                Ok(())
            }
            Command::ChooseInput(device) => self.command_capture(CaptureCommand::Switch(device)),
            Command::ChooseChannel(channel) => self.command_capture(CaptureCommand::Channel(channel)),
            Command::ChooseOutput(device) => self.choose_output(device),
            Command::Voice(conduct) => self.set_voice(conduct),
            Command::Say { reply, text, emotion } => self.speech.say(reply, &text, emotion),
            Command::TranslateTo(language) => self.reload_modes(language),
            Command::ReadModes => self.reload_modes(language_of(&self.settings.modes)),
            Command::GateOn => {
                if self.front_end.replace_gate(Some(QuietGate::new(self.settings.long_running.sensitivity))) {
                    self.report_open_gate();
                }
                Ok(())
            }
            Command::GateOff => {
                if self.front_end.replace_gate(None) {
                    self.report_open_gate();
                }
                Ok(())
            }
            Command::RecordSession => {
                self.recordings.begin_session();
                Ok(())
            }
            Command::RecordTo(path) => self.recordings.begin(&path),
            Command::StopRecording => self.recordings.stop(),
            Command::CutReply => self.fall_silent(),
            Command::Forget => self.with_session(Session::restart_all),
            Command::RecordClip(to) => {
                let begun = self.clip.begin(&to);
                self.clip.show(&self.meters);
                begun
            }
            Command::EndClip => {
                let ended = self.clip.end();
                self.clip.show(&self.meters);
                ended
            }
            Command::Shutdown => {
                self.with_session(Session::cut_replies);
                self.phase = Phase::Ended;
                Ok(())
            }
        };
        if let Err(error) = done {
            self.problem(Severity::Warning, &error);
        }
    }

    /// Sends `command` to the capture thread; fails when too many commands wait or the thread has ended.
    pub(super) fn command_capture(&self, command: CaptureCommand) -> Result<()> {
        self.channels.capture.try_send(command).map_err(|_| Error::internal("the capture thread takes no commands"))
    }

    /// Switches the mode `name` on: at once if its prompt cache is ready, else as soon as a worker has made it.
    pub(super) fn switch_on(&mut self, name: &str) -> Result<()> {
        let mode = find_mode(&self.settings.modes, name)?.clone();
        let Some(prompt) = self.prompts.get(name) else {
            // In progress, or failed earlier; asking again costs little where the cache is already on disk.
            if self.awaited.insert(name.to_owned()) {
                workers::make_prompts(&self.model, vec![mode], &self.settings, self.worker_tx.clone())?;
            }
            return Ok(());
        };
        self.session.switch_on(&mode, prompt)?;
        self.out.push(Event::ModesChanged { at: self.now, modes: self.session.modes_on() });
        Ok(())
    }

    fn switch_off(&mut self, name: &str) -> Result<()> {
        find_mode(&self.settings.modes, name)?;
        self.awaited.remove(name);
        self.rest(name);
        Ok(())
    }

    /// Switches the mode `name` off in the session and sends `modes_changed`; the session keeps its context for 60 s.
    pub(super) fn rest(&mut self, name: &str) {
        let now = self.now;
        self.with_session(|session, out| session.switch_off(name, now, out));
        self.out.push(Event::ModesChanged { at: self.now, modes: self.session.modes_on() });
    }

    /// Reads the definitions of the modes again, with translation into `language`. A mode that is on and has changed goes on unchanged
    /// until its new prompt cache is ready.
    fn reload_modes(&mut self, language: Language) -> Result<()> {
        let old = std::mem::take(&mut self.settings.modes);
        match all_modes(&self.settings.paths, language) {
            Ok(modes) => self.settings.modes = modes,
            Err(error) => {
                self.settings.modes = old;
                return Err(error);
            }
        }
        for mode in &mut self.settings.modes {
            if let Some(known) = old.iter().find(|known| known.name == mode.name) {
                mode.eagerness = known.eagerness;
            }
        }
        let on = self.session.modes_on();
        let changed: Vec<Mode> = self.settings.modes.iter().filter(|mode| !old.contains(mode)).cloned().collect();
        for mode in &changed {
            self.prompts.remove(&mode.name);
            if on.contains(&mode.name) {
                self.awaited.insert(mode.name.clone());
            }
        }
        workers::make_prompts(&self.model, changed, &self.settings, self.worker_tx.clone())
    }

    fn set_eagerness(&mut self, name: &str, bias: f32) -> Result<()> {
        if !bias.is_finite() {
            return Err(Error::new(ErrorKind::Arguments, format!("the eagerness of {name} is not a number")));
        }
        find_mode(&self.settings.modes, name)?;
        for mode in self.settings.modes.iter_mut().filter(|mode| mode.name == name) {
            mode.eagerness = bias;
        }
        self.session.set_eagerness(name, bias);
        Ok(())
    }

    /// Loads another model on a background thread; when the model is ready, the session goes over to it, without its context. A model
    /// that cannot be loaded leaves the present one in use.
    pub(super) fn load_model(&mut self, choice: ModelChoice) {
        self.meters.raise(Flag::Loading);
        self.loading = Some(choice.clone());
        let on = self.session.modes_on();
        let modes = self.settings.modes.iter().filter(|mode| on.contains(&mode.name)).cloned().collect();
        if let Err(error) = workers::load_model(choice.clone(), modes, &self.settings, self.worker_tx.clone()) {
            self.take_model(choice, Err(error));
        }
    }

    /// Makes the missing prompt caches on a background thread, so that switching a mode on takes effect at the next chunk.
    pub(super) fn make_other_prompts(&mut self) {
        let others = self.settings.modes.iter().filter(|mode| !self.prompts.contains_key(&mode.name)).cloned().collect();
        if let Err(error) = workers::make_prompts(&self.model, others, &self.settings, self.worker_tx.clone()) {
            self.problem(Severity::Warning, &error);
        }
    }

    /// Takes the prompt cache or the model that a background thread made. Drops a cache for another model or an older instruction.
    pub(super) fn take_worker_result(&mut self, result: WorkerResult) {
        let done = match result {
            WorkerResult::Prompt { mode, fingerprint, prompt } => {
                let current = fingerprint == *self.model.fingerprint()
                    && self.settings.modes.iter().any(|known| known.name == mode.name && known.clip == mode.clip);
                if current { self.take_prompt(&mode.name, prompt) } else { Ok(()) }
            }
            WorkerResult::Model { choice, loaded } => {
                self.take_model(choice, loaded);
                Ok(())
            }
        };
        if let Err(error) = done {
            self.problem(Severity::Warning, &error);
        }
    }

    /// Takes a model that was loaded, or the reason why not. Drops a model in whose place another was chosen meanwhile.
    fn take_model(&mut self, choice: ModelChoice, loaded: Result<OtherModel>) {
        if self.loading.as_ref() != Some(&choice) {
            return;
        }
        self.loading = None;
        self.meters.lower(Flag::Loading);
        let Err(error) = loaded.and_then(|other| self.change_model(&choice, other)) else { return };
        if !self.model.is_on_cpu() && self.settings.device == ComputeDevice::Cpu {
            // The GPU has failed and the processor cannot take over.
            self.problem(Severity::Error, &error);
            self.phase = Phase::Ended;
            return;
        }
        let what = format!("the model {} cannot be loaded, and {} goes on listening", String::from(choice.clone()), self.model.name());
        self.model_failed(choice, &error.while_doing(what));
    }

    /// Reports that the model `choice` could not be loaded, for the reason `error`.
    pub(super) fn model_failed(&mut self, choice: ModelChoice, error: &Error) {
        self.out.push(Event::ModelFailed { at: self.now, choice, model: self.model.name().to_owned() });
        self.problem(Severity::Warning, error);
    }

    fn take_prompt(&mut self, name: &str, prompt: Result<Arc<PromptCache>>) -> Result<()> {
        let awaited = self.awaited.remove(name);
        match prompt {
            Ok(prompt) => {
                self.prompts.insert(name.to_owned(), prompt);
                if !awaited {
                    return Ok(());
                }
                self.with_session(|session, out| session.remove(name, out));
                self.switch_on(name)
            }
            Err(error) if awaited => Err(error),
            // Reported when somebody switches the mode on.
            Err(_) => Ok(()),
        }
    }

    /// Goes over to another model at the next chunk, in a new session with the modes that are on.
    ///
    /// # Errors
    /// When the model cannot listen; the present one goes on then.
    fn change_model(&mut self, choice: &ModelChoice, OtherModel { model, prompts }: OtherModel) -> Result<()> {
        let config = SessionConfig::product(self.settings.sampling, self.settings.long_running.context);
        let mut session = Session::new(Arc::clone(&model), config)?;
        session.continue_numbering(self.session.reply_count(), self.next_chunk);
        self.with_session(Session::cut_replies);
        let mut on = self.session.modes_on();
        on.extend(std::mem::take(&mut self.awaited));
        self.prompts = prompts.into_iter().collect();
        self.session = session;
        *lock(&self.shared_model) = Some(Arc::clone(&model));
        self.model = model;
        self.settings.model = choice.clone();
        self.out.push(Event::ModelChanged { at: self.now, model: self.model.name().to_owned(), choice: Some(choice.clone()) });
        for name in on {
            if let Err(error) = self.switch_on(&name) {
                self.problem(Severity::Warning, &error);
            }
        }
        self.make_other_prompts();
        Ok(())
    }
}

/// Returns the mode called `name`.
///
/// # Errors
/// When there is none, with the names that there are.
pub(in crate::engine) fn find_mode<'a>(modes: &'a [Mode], name: &str) -> Result<&'a Mode> {
    modes.iter().find(|mode| mode.name == name).ok_or_else(|| {
        let known: Vec<&str> = modes.iter().map(|mode| mode.name.as_str()).collect();
        Error::new(ErrorKind::Settings, format!("there is no mode called {name}; the modes are {}", known.join(", ")))
    })
}

/// Returns the panel of the mode called `name`; None if there is no such mode.
pub(super) fn panel_of(modes: &[Mode], name: &str) -> Option<Panel> {
    modes.iter().find(|mode| mode.name == name).map(|mode| mode.panel)
}
