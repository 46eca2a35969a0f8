//! The news of engine and history, which become messages.

use std::time::{Duration, Instant};

use super::HearkenApp;
use super::display_loss::ResumeState;
use super::first_minute::phrases_hint;
use super::messages::{Fix, HINT_TIME, Lasts, Level, Message, Topic};
use super::strings::fill;
use super::undo::UNDO_TIME;
use crate::audio::DeviceDirection;
use crate::config::modes::{DIALOG, TRANSCRIBE};
use crate::error::{ErrorKind, Remedy};
use crate::history::HistoryNotice;
use crate::protocol::{Event, ModelChoice, Severity};
use crate::transcript::InputState;

/// Largest number of hints in a session on speech that was not understood.
const MAX_HINTS: u32 = 3;
/// Time for which a microphone that has delivered sound is silent before the user is told.
const LATER_SILENCE: Duration = Duration::from_secs(60);

/// The things that the user was told in this session, so that they are not said again.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Time since which the microphone delivers nothing but silence; `None` while sound arrives.
    silent_since: Option<Instant>,
    /// True while the microphone delivers nothing but silence and the user was told.
    silence: bool,
    /// Number of hints on speech that was not understood.
    hints: u32,
}

impl HearkenApp {
    /// Shows what engine and history have reported since the last frame, and settles the choices that have worked or failed.
    pub(super) fn take_news(&mut self, ctx: &egui::Context) {
        for event in self.session.data.take_news() {
            self.take_event(event);
        }
        self.take_history_news(ctx);
        self.show_state(ctx);
        self.session.carry_out_due_deletion();
        match self.session.undo_left() {
            None => self.messages.clear(Topic::Deletion),
            Some(left) => {
                let secs = left.as_secs_f32().ceil().min(UNDO_TIME.as_secs_f32());
                let reason = fill(self.s.conversation_going, format_args!("{secs:.0}"));
                let message = Message::warning(Topic::Deletion, self.s.conversation_deleted, reason).with_fixes(&[Fix::Undo]);
                self.messages.show(message.at_level(Level::News).lasting(Lasts::UntilMended));
                // The seconds count down.
                ctx.request_repaint_after_secs(left.as_secs_f32() - (secs - 1.0));
            }
        }
    }

    /// Shows the messages of states that last: a microphone that is silent, and no mode beside words. Silence after something was
    /// heard is told later, because a microphone with noise suppression delivers nothing in every pause.
    fn show_state(&mut self, ctx: &egui::Context) {
        let s = self.s;
        let (silent, has_words, idle) = {
            let t = self.session.data.transcript();
            let has_words = t.has_content();
            (t.is_input_silent().then(|| t.source.clone()), has_words, t.modes.is_empty() && has_words)
        };
        match silent {
            None => {
                (self.told.silence, self.told.silent_since) = (false, None);
                self.messages.clear(Topic::Silence);
            }
            Some(_) if self.told.silence => {}
            Some(name) => {
                let since = *self.told.silent_since.get_or_insert_with(Instant::now);
                let left = if has_words { LATER_SILENCE.saturating_sub(since.elapsed()) } else { Duration::ZERO };
                if left.is_zero() {
                    self.told.silence = true;
                    let message = Message::warning(Topic::Silence, fill(s.input_silent, name), s.input_silent_hint);
                    self.messages.show(message.with_fixes(&[Fix::ChooseMicrophone]));
                } else {
                    ctx.request_repaint_after(left);
                }
            }
        }
        if idle {
            let message = Message::warning(Topic::Modes, s.nothing_on, s.nothing_on_hint).lasting(Lasts::UntilMended);
            self.messages.show(message.with_fixes(&[Fix::Mode(DIALOG), Fix::Mode(TRANSCRIBE)]));
        } else {
            self.messages.clear(Topic::Modes);
        }
    }

    /// Shows what the starter understands, after speech that it did not understand: three times at most, unless dismissed, and the
    /// way to the full model once. The first minute has a hint of its own.
    fn hint(&mut self) {
        let (topic, s) = (Topic::NotUnderstood, self.s);
        let wanted = self.told.hints < MAX_HINTS && !self.messages.was_dismissed(topic);
        if !wanted || self.first_minute.is_some() || self.settings.model != ModelChoice::Starter {
            return;
        }
        let fixes: &[Fix] = if self.told.hints == 0 { &[Fix::FullModel] } else { &[] };
        self.told.hints += 1;
        let message = Message::warning(topic, s.heard_you, phrases_hint(s)).at_level(Level::News).with_fixes(fixes);
        self.messages.show(message.lasting(Lasts::Until(Instant::now() + HINT_TIME)));
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::ModelChanged { model, choice, .. } => self.model_changed(&model, choice),
            Event::ModelFailed { choice, .. } => self.model_failed(choice),
            Event::NotUnderstood { .. } => self.hint(),
            Event::InputChanged { .. } => {
                for topic in [Topic::Input, Topic::Silence] {
                    self.messages.clear(topic);
                }
                self.device_works(DeviceDirection::Input);
            }
            Event::InputLost { .. } => self.messages.keep(Topic::Input),
            Event::VoiceStarted { .. } => self.device_works(DeviceDirection::Output),
            // The message of the silent input says so already.
            Event::Problem { kind: ErrorKind::SilentInput, .. } => {}
            Event::Problem { severity, kind, message, remedy, .. } => self.take_problem(severity, kind, &message, remedy),
            _ => {}
        }
    }

    fn take_problem(&mut self, severity: Severity, kind: ErrorKind, reason: &str, remedy: Option<Remedy>) {
        let s = self.s;
        if let Some(model) = self.pending.failed_model.take() {
            let still = self.session.data.transcript().model.clone();
            let reason = format!("{} {}", s.reason(reason, remedy), fill(s.still_using, still));
            let message = Message::warning(Topic::Model, fill(s.model_fails, self.model_name(&model)), reason.trim());
            return self.messages.show(message.with_fixes(&[Fix::Models]));
        }
        if let Some(direction) = self.failed_device(kind) {
            let input = direction == DeviceDirection::Input;
            let title = if input { s.input_fails } else { s.output_fails };
            let message = Message::warning(if input { Topic::Input } else { Topic::Problem(kind) }, title, s.reason(reason, remedy));
            return self.messages.show(message.with_fixes(Fix::of(kind, None)));
        }
        let topic = if matches!(kind, ErrorKind::InputDevice | ErrorKind::NoMicrophone) { Topic::Input } else { Topic::Problem(kind) };
        let mut message = Message::problem(s, topic, kind, reason, remedy);
        if severity == Severity::Error {
            message = message.at_level(Level::Error);
        }
        if topic == Topic::Input && self.session.data.transcript().input() == InputState::Lost {
            message = message.at_level(Level::Error).lasting(Lasts::UntilMended);
        }
        self.messages.show(message);
    }

    /// Shows new notices of the history (deleted, recovered, failed). If there was any, reads the content of the history window
    /// again.
    fn take_history_news(&mut self, ctx: &egui::Context) {
        let (news, s) = (self.session.history.take_notices(), self.s);
        for item in &news {
            match item {
                HistoryNotice::Forgotten => self.messages.show(Message::news(s.forgotten)),
                // The screen has said so since the click.
                HistoryNotice::DeletedRunning => {}
                HistoryNotice::DeletedAll => self.messages.show(Message::news(s.deleted_all)),
                HistoryNotice::Recovered => {
                    self.messages.clear(Topic::History);
                    self.messages.show(Message::news(s.kept_again));
                }
                HistoryNotice::Problem(error) => self.messages.show(Message::of(s, Topic::History, error)),
            }
        }
        if !news.is_empty() {
            self.history.reload(&self.settings.paths, ctx);
        }
    }

    /// Shows the messages of the start: faults in the settings, a model that is missing, a display that was lost.
    pub(super) fn show_first_messages(&mut self, faults: &[String], resumed: ResumeState) {
        let s = self.s;
        for fault in faults {
            self.messages.show(Message::problem(s, Topic::File, ErrorKind::Settings, fault, None));
        }
        if let Some(error) = self.session.start_error() {
            self.messages.show(Message::of(s, Topic::Problem(error.kind()), error).at_level(Level::Error));
        }
        // Without this model the engine has started with the starter.
        if let Some(error) = self.models.missing(&self.settings.model) {
            let reason = format!("{} {}", s.reason(error.message(), error.remedy()), fill(s.still_using, s.starter));
            let title = fill(s.model_fails, self.model_name(&self.settings.model));
            self.messages.show(Message::warning(Topic::Model, title, reason).with_fixes(&[Fix::Models]));
        }
        if resumed.follows_a_loss() {
            let title = if self.history_prefs.keep { s.display_back } else { s.display_back_unkept };
            self.messages.show(Message::warning(Topic::Display, title, "").with_fixes(&[Fix::History]));
        }
    }
}
