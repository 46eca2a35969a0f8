//! The conductor's part in speaking: which replies are handed to the voice, what becomes of its reports, what a user who
//! speaks over a reply brings about.

use std::time::{Duration, Instant};

use super::Tempo;
use super::capture::Control;
use super::conductor::Conductor;
use super::mouth::{Order, Report, Stalled};
use crate::config::Panel;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{DeviceChoice, Emotion, Event, ReplyId, Severity, Speak, VoiceConduct};

/// How long the end of a session waits for the voice to fade.
const FADE: Duration = Duration::from_millis(400);

impl Conductor {
    /// Hands replies on to the voice as they are generated. Called with every event before it is sent.
    pub(super) fn speak(&mut self, event: &Event) {
        let mouth = &mut self.parts.mouth;
        let modes = &self.parts.settings.modes;
        let shown = |mode: &str| modes.iter().find(|m| m.name == mode).map(|m| m.panel);
        match event {
            Event::ReplyStarted { reply, mode, emotion, .. } => {
                let wanted = match self.parts.settings.voice.speak {
                    Speak::Always => true,
                    Speak::Urgent => *emotion == Some(Emotion::Urgent),
                    Speak::Asked => false,
                };
                if wanted && shown(mode) == Some(Panel::Conversation) {
                    mouth.begin(*reply, *emotion);
                }
            }
            Event::ReplyText { reply, text, .. } => mouth.text(*reply, text),
            Event::ReplyFinished { reply, mode, text, from_secs, to_secs, .. } => {
                mouth.end(*reply);
                if shown(mode) == Some(Panel::Transcript) {
                    let asked = self.room.says(text, (from_secs.secs(), to_secs.secs()));
                    self.silence_asked |= asked && mouth.is_busy();
                }
            }
            _ => {}
        }
    }

    /// Somebody said so while it was speaking, as the modes have it that write down what is said.
    pub(super) fn obey_the_room(&mut self) {
        if std::mem::take(&mut self.silence_asked) {
            self.interrupted();
        }
    }

    pub(super) fn take_report(&mut self, report: Report) {
        let at = self.now;
        match report {
            Report::Started(reply) => {
                self.parts.mouth.started(reply);
                self.out.push(Event::VoiceStarted { at, reply });
            }
            Report::Finished { reply, cut } => {
                if cut {
                    self.parts.mouth.ended(reply);
                } else {
                    self.parts.mouth.said(reply);
                }
                self.out.push(Event::VoiceFinished { at, reply, cut });
            }
            Report::Unsaid(reply) => self.parts.mouth.ended(reply),
            Report::Trouble(error) => self.problem(Severity::Warning, &error),
            Report::Stalled(busy) => self.voice_stalls(busy),
        }
    }

    /// The user spoke over a reply, or wants silence: nothing more is generated or said of it.
    pub(super) fn fall_silent(&mut self) -> Result<()> {
        let open = self.parts.mouth.is_busy();
        self.session.cut_replies(&mut self.out);
        if open { self.parts.mouth.order(Order::Cut) } else { Ok(()) }
    }

    pub(super) fn interrupted(&mut self) {
        if let Err(error) = self.fall_silent() {
            self.problem(Severity::Warning, &error);
        }
    }

    /// The voice's thread has ended, which it does not do by itself: what it was saying stays text.
    pub(super) fn voice_is_gone(&mut self) {
        self.voice_is_lost();
        let why = "the voice has failed; replies are shown as text until the voice's settings or the output are changed";
        self.problem(Severity::Warning, &Error::new(ErrorKind::Voice, why));
    }

    /// The voice's thread is stuck in something, for `busy` by now: another takes its place.
    fn voice_stalls(&mut self, busy: Duration) {
        self.voice_is_lost();
        match self.parts.mouth.replace(self.parts.settings.voice, self.parts.settings.output.clone()) {
            Ok(Stalled::Replaced) => {
                let why = format!("the voice was stuck for {} s and begins again; what it was saying is shown as text", busy.as_secs());
                self.problem(Severity::Warning, &Error::new(ErrorKind::Voice, why));
            }
            Ok(Stalled::ReplacedAgain) => {}
            Ok(Stalled::Down) => self.voice_is_gone(),
            Err(error) => self.problem(Severity::Warning, &error),
        }
    }

    fn voice_is_lost(&mut self) {
        if let Some(reply) = self.parts.mouth.lost() {
            self.out.push(Event::VoiceFinished { at: self.now, reply, cut: true });
        }
    }

    pub(super) fn play_on(&mut self, output: DeviceChoice) -> Result<()> {
        self.parts.settings.output = output.clone();
        self.parts.mouth.revive(self.parts.settings.voice, output.clone())?;
        self.parts.mouth.order(Order::Output(output))
    }

    pub(super) fn speak_like(&mut self, conduct: VoiceConduct) -> Result<()> {
        let before = std::mem::replace(&mut self.parts.settings.voice, conduct);
        self.parts.mouth.revive(conduct, self.parts.settings.output.clone())?;
        self.parts.mouth.order(Order::Conduct(conduct))?;
        if conduct.speak == Speak::Asked && before.speak != Speak::Asked {
            self.parts.mouth.order(Order::Cut)?;
        }
        self.order(Control::Voice(conduct))
    }

    pub(super) fn say(&mut self, reply: ReplyId, text: &str, emotion: Option<Emotion>) -> Result<()> {
        self.parts.mouth.order(Order::Cut)?;
        self.parts.mouth.begin(reply, emotion);
        self.parts.mouth.text(reply, text);
        self.parts.mouth.end(reply);
        Ok(())
    }

    /// A file waits for the voice as it waits for the model; a microphone cannot.
    pub(super) fn waits_for_voice(&self) -> bool {
        self.parts.tempo == Tempo::Waits && self.parts.mouth.is_busy()
    }

    /// The session ends: what is being said fades.
    pub(super) fn end_voice(&mut self) {
        if !self.parts.mouth.is_busy() || self.parts.mouth.order(Order::Cut).is_err() {
            return;
        }
        let begun = Instant::now();
        while self.parts.mouth.is_busy() && begun.elapsed() < FADE {
            match self.parts.mouth.reports.recv_timeout(FADE) {
                Ok(report) => self.take_report(report),
                Err(_) => return,
            }
        }
    }
}
