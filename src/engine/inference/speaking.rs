//! Spoken replies: the choice of replies that the speech thread gets, its reports, and interruptions.

use std::time::{Duration, Instant};

use super::InferenceThread;
use super::commands::panel_of;
use crate::config::Mode;
use crate::engine::capture::CaptureCommand;
use crate::engine::speech::stop_phrase::StopPhraseDetector;
use crate::engine::speech::{Replacement, SpeechCommand, SpeechHandle, SpeechReport};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{DeviceChoice, Emotion, Event, Panel, ReplyId, Severity, Speak, VoiceSettings};
use crate::session::Session;

/// Longest time that the end of a session leaves the voice to fade out.
const FADE: Duration = Duration::from_millis(400);

/// The speech thread's handle, with the choice of the replies that are spoken.
pub(super) struct ReplySpeech {
    handle: SpeechHandle,
    stop_phrase: StopPhraseDetector,
}

impl ReplySpeech {
    pub(super) fn new(handle: SpeechHandle) -> Self {
        Self { handle, stop_phrase: StopPhraseDetector::default() }
    }

    /// Returns the channel on which the speech thread reports.
    pub(super) const fn reports(&self) -> &crossbeam_channel::Receiver<SpeechReport> {
        &self.handle.reports
    }

    /// Returns true while a reply is being spoken or waits to be spoken.
    pub(super) fn is_busy(&self) -> bool {
        self.handle.is_busy()
    }

    /// Hands replies in `events` to the speech thread as they are generated: those of modes shown as conversation; all, only urgent ones or
    /// none, as `speak` says. Returns true if the transcript in `events` completes a stop phrase ("stop", "be quiet") while a reply is
    /// being spoken or waits; the caller must then fall silent.
    pub(super) fn route(&mut self, events: &[Event], speak: Speak, modes: &[Mode]) -> bool {
        let mut stop_asked = false;
        for event in events {
            match event {
                Event::ReplyStarted { reply, mode, emotion, .. } => {
                    let wanted = match speak {
                        Speak::Always => true,
                        Speak::Urgent => *emotion == Some(Emotion::Urgent),
                        Speak::Asked => false,
                    };
                    if wanted && panel_of(modes, mode) == Some(Panel::Conversation) {
                        self.handle.begin(*reply, *emotion);
                    }
                }
                Event::ReplyText { reply, text, .. } => self.handle.text(*reply, text),
                Event::ReplyFinished { reply, mode, text, from_secs, to_secs, .. } => {
                    self.handle.end(*reply);
                    if panel_of(modes, mode) == Some(Panel::Transcript) {
                        let asked = self.stop_phrase.detect(text, from_secs.secs()..to_secs.secs());
                        stop_asked |= asked && self.handle.is_busy();
                    }
                }
                _ => {}
            }
        }
        stop_asked
    }

    /// Speaks `text` as the reply `reply`, in place of the reply being spoken, even if the settings let no replies be spoken.
    ///
    /// # Errors
    /// When the speech thread takes no commands.
    pub(super) fn say(&mut self, reply: ReplyId, text: &str, emotion: Option<Emotion>) -> Result<()> {
        self.handle.command(SpeechCommand::Cut)?;
        self.handle.begin(reply, emotion);
        self.handle.text(reply, text);
        self.handle.end(reply);
        Ok(())
    }

    /// Ends the speech thread; waits up to 1 s for it.
    pub(super) fn finish(self) {
        self.handle.finish();
    }
}

impl InferenceThread {
    pub(super) fn take_speech_report(&mut self, report: SpeechReport) {
        let at = self.now;
        let handle = &mut self.speech.handle;
        match report {
            SpeechReport::Started(reply) => {
                handle.note_started(reply);
                self.out.push(Event::VoiceStarted { at, reply });
            }
            SpeechReport::Finished { reply, cut } => {
                if cut {
                    handle.note_ended(reply);
                } else {
                    handle.note_spoken(reply);
                }
                self.out.push(Event::VoiceFinished { at, reply, cut });
            }
            SpeechReport::Unspoken(reply) => handle.note_ended(reply),
            SpeechReport::Problem(error) => self.problem(Severity::Warning, &error),
            SpeechReport::Stalled(busy) => self.replace_speech_thread(busy),
        }
    }

    /// Stops the generation and the speech of all replies.
    pub(super) fn fall_silent(&mut self) -> Result<()> {
        let speaking = self.speech.is_busy();
        self.with_session(Session::cut_replies);
        if speaking { self.speech.handle.command(SpeechCommand::Cut) } else { Ok(()) }
    }

    /// Falls silent because a person spoke over a reply or said a stop phrase.
    pub(super) fn interrupt(&mut self) {
        if let Err(error) = self.fall_silent() {
            self.problem(Severity::Warning, &error);
        }
    }

    /// Reports that the speech thread has ended for good: replies stay text until the user changes the voice or the output.
    pub(super) fn speech_failed(&mut self) {
        self.lose_speech_thread();
        let why = "the voice has failed; replies are shown as text until the voice's settings or the output are changed";
        self.problem(Severity::Warning, &Error::new(ErrorKind::Voice, why));
    }

    /// Starts another speech thread in place of one that has been stuck for `busy`, at most twice without a whole reply in between.
    fn replace_speech_thread(&mut self, busy: Duration) {
        self.lose_speech_thread();
        match self.speech.handle.replace(self.settings.voice, self.settings.output.clone()) {
            Ok(Replacement::Started) => {
                let secs = busy.as_secs();
                let why = format!("the voice was stuck for {secs} s and begins again; the reply that it was saying is shown as text");
                self.problem(Severity::Warning, &Error::new(ErrorKind::Voice, why));
            }
            Ok(Replacement::StartedAgain) => {}
            Ok(Replacement::GivenUp) => self.speech_failed(),
            Err(error) => self.problem(Severity::Warning, &error),
        }
    }

    fn lose_speech_thread(&mut self) {
        if let Some(reply) = self.speech.handle.abandon() {
            self.out.push(Event::VoiceFinished { at: self.now, reply, cut: true });
        }
    }

    pub(super) fn choose_output(&mut self, output: DeviceChoice) -> Result<()> {
        self.settings.output = output.clone();
        self.speech.handle.revive(self.settings.voice, output.clone())?;
        self.speech.handle.command(SpeechCommand::Output(output))
    }

    pub(super) fn set_voice(&mut self, conduct: VoiceSettings) -> Result<()> {
        let before = std::mem::replace(&mut self.settings.voice, conduct);
        let handle = &mut self.speech.handle;
        handle.revive(conduct, self.settings.output.clone())?;
        handle.command(SpeechCommand::Conduct(conduct))?;
        if conduct.speak == Speak::Asked && before.speak != Speak::Asked {
            handle.command(SpeechCommand::Cut)?;
        }
        self.command_capture(CaptureCommand::Voice(conduct))
    }

    /// Cuts the voice at the end of a session and waits up to 0.4 s for its fade.
    pub(super) fn fade_out_speech(&mut self) {
        if !self.speech.is_busy() || self.speech.handle.command(SpeechCommand::Cut).is_err() {
            return;
        }
        let begun = Instant::now();
        while self.speech.is_busy() && begun.elapsed() < FADE {
            match self.speech.reports().recv_timeout(FADE) {
                Ok(report) => self.take_speech_report(report),
                Err(_) => return,
            }
        }
    }
}
