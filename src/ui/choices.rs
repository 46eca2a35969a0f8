//! Choices of model, microphone and speaker, which are saved once they have worked.
//!
//! A choice that fails is not saved, so the next start finds what worked last.

use super::HearkenApp;
use super::messages::{Message, Topic};
use super::strings::fill;
use crate::audio::DeviceDirection;
use crate::config::SourceChoice;
use crate::config::prefs::SavedChoice;
use crate::error::ErrorKind;
use crate::protocol::{ChannelChoice, Command, DeviceChoice, ModelChoice};

/// The choices that were sent to the engine and have neither worked nor failed yet.
#[derive(Debug, Default)]
pub(super) struct PendingChoices {
    model: Option<ModelChoice>,
    input: Option<DeviceChoice>,
    output: Option<DeviceChoice>,
    /// Model that could not be loaded, until its problem is reported.
    pub(super) failed_model: Option<ModelChoice>,
}

impl HearkenApp {
    /// Has the engine load another model, which is saved once it listens.
    pub(super) fn choose_model(&mut self, choice: ModelChoice) {
        self.messages.clear(Topic::Model);
        self.session.engine.send(Command::ChooseModel(choice.clone()));
        self.pending.model = Some(choice);
    }

    /// Has the engine use another device, which is saved once it delivers or plays sound.
    pub(super) fn choose_device(&mut self, direction: DeviceDirection, choice: DeviceChoice) {
        match direction {
            DeviceDirection::Input => {
                let choice = self.before_others(choice);
                self.session.engine.send(Command::ChooseInput(choice.clone()));
                self.pending.input = Some(choice);
            }
            DeviceDirection::Output => {
                self.messages.clear(Topic::Problem(ErrorKind::OutputDevice));
                self.session.engine.send(Command::ChooseOutput(choice.clone()));
                self.pending.output = Some(choice);
            }
        }
    }

    /// Returns the choice of a microphone as the first of the list of preferred ones, if the settings hold a list.
    fn before_others(&self, choice: DeviceChoice) -> DeviceChoice {
        match (&choice, &self.settings.source) {
            (DeviceChoice::Named(name), SourceChoice::Microphone(DeviceChoice::FirstOf(others))) => {
                DeviceChoice::first_of(std::iter::once(name).chain(others.iter().filter(|other| *other != name)).cloned())
            }
            _ => choice,
        }
    }

    /// Has the engine hear another channel of the microphone, and saves the choice.
    pub(super) fn choose_channel(&mut self, channel: ChannelChoice) {
        self.session.engine.send(Command::ChooseChannel(channel));
        self.settings.input_channel = channel;
        self.save(&SavedChoice::InputChannel(channel));
    }

    /// Has the engine open the present microphone again.
    pub(super) fn retry_input(&self) {
        let choice = match &self.settings.source {
            SourceChoice::Microphone(choice) => choice.clone(),
            SourceChoice::Files { .. } | SourceChoice::Stdin { .. } => DeviceChoice::Default,
        };
        self.session.engine.send(Command::ChooseInput(choice));
    }

    /// Notes that the model `choice`, called `name`, listens now, and saves it if the user has chosen it.
    pub(super) fn model_changed(&mut self, name: &str, choice: Option<ModelChoice>) {
        let Some(choice) = choice else { return };
        self.settings.model = choice.clone();
        if self.pending.model.as_ref() != Some(&choice) {
            return;
        }
        self.pending.model = None;
        self.messages.clear(Topic::Model);
        self.messages.show(Message::news(fill(self.s.notice_model, name)));
        self.save(&SavedChoice::Model(choice));
    }

    /// Notes that the model `choice` could not be loaded. The next problem says why.
    pub(super) fn model_failed(&mut self, choice: ModelChoice) {
        self.pending.model = None;
        if self.settings.model == choice {
            // The start has fallen back.
            self.settings.model = ModelChoice::Starter;
        }
        self.pending.failed_model = Some(choice);
    }

    /// Saves the microphone or the speaker that was chosen: sound comes from it, or is played on it.
    pub(super) fn device_works(&mut self, direction: DeviceDirection) {
        match direction {
            DeviceDirection::Input => {
                let Some(choice) = self.pending.input.take() else { return };
                self.settings.source = SourceChoice::Microphone(choice.clone());
                self.save(&SavedChoice::Input(choice));
            }
            DeviceDirection::Output => {
                let Some(choice) = self.pending.output.take() else { return };
                self.settings.output = choice.clone();
                self.save(&SavedChoice::Output(choice));
            }
        }
    }

    /// Returns the direction of the device that was chosen and has failed by an error of `kind`; `None` if none was chosen.
    pub(super) fn failed_device(&mut self, kind: ErrorKind) -> Option<DeviceDirection> {
        match kind {
            ErrorKind::InputDevice | ErrorKind::NoMicrophone => self.pending.input.take().map(|_| DeviceDirection::Input),
            ErrorKind::OutputDevice => self.pending.output.take().map(|_| DeviceDirection::Output),
            _ => None,
        }
    }

    /// Returns the name of a model for the user.
    pub(super) fn model_name(&self, choice: &ModelChoice) -> String {
        match choice {
            ModelChoice::Starter => self.s.starter.to_owned(),
            ModelChoice::ThreeB => self.models.larger_model().map_or_else(|| "3B".to_owned(), |card| card.title.clone()),
            ModelChoice::Dir(folder) => folder.display().to_string(),
        }
    }
}

impl Drop for HearkenApp {
    /// Saves a speaker on which nothing was played yet: nothing speaks against it.
    fn drop(&mut self) {
        self.device_works(DeviceDirection::Output);
    }
}
