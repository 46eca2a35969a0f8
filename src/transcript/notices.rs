//! Notices about the session itself, and the state of its audio input.

use super::Transcript;
use crate::error::{ErrorKind, Remedy};
use crate::protocol::{Event, GapCause, ModelChoice};
use crate::time::{CHUNK_SECS, SAMPLE_RATE_HZ, StreamTime};

/// Largest number of notices that are kept.
const MAX_NOTICES: usize = 500;

/// A notice about the session itself, not about what was heard, for the status line of the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Audio time of the event.
    pub at: StreamTime,
    /// Kind and data of the event, for which the window has the words.
    pub kind: NoticeKind,
}

/// The event that a notice is about.
#[derive(Clone, Debug, PartialEq)]
pub enum NoticeKind {
    /// Another model listens.
    ModelChanged {
        /// Name of the model.
        model: String,
    },
    /// A mode dropped a part of its context to make room.
    ContextTrimmed {
        /// Name of the mode.
        mode: String,
        /// Duration of the dropped sound, in seconds.
        secs: f64,
    },
    /// Sound is missing from the stream.
    AudioGap {
        /// Duration of the missing sound, in seconds.
        secs: f64,
        /// Cause of the gap.
        cause: GapCause,
    },
    /// The input was switched or reconnected.
    InputChanged {
        /// Name of the device.
        device: String,
    },
    /// A problem was reported.
    Problem {
        /// Kind of the error.
        kind: ErrorKind,
        /// Message, without the remedy.
        message: String,
        /// Action that helps; None if none is known.
        remedy: Option<Remedy>,
    },
    /// An event could not be applied to the transcript, so the window does not show it.
    NotShown,
}

/// A chosen model that could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFailure {
    /// The choice that failed.
    pub choice: ModelChoice,
    /// Kind, message and remedy of the problem that prevented it; None until its event arrives.
    pub problem: Option<(ErrorKind, String, Option<Remedy>)>,
}

/// The state of the audio input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputState {
    /// Sound arrives.
    Open,
    /// The user has paused listening.
    Paused,
    /// No device delivers sound.
    Lost,
}

impl Transcript {
    /// Returns the state of the audio input. A lost input counts as lost even while listening is paused.
    #[must_use]
    pub const fn input(&self) -> InputState {
        match (self.input_lost, self.paused) {
            (true, _) => InputState::Lost,
            (false, true) => InputState::Paused,
            (false, false) => InputState::Open,
        }
    }

    /// Returns true while the user has paused listening.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Returns true while the input is lost because the machine has no microphone, only perhaps monitors of its outputs.
    #[must_use]
    pub const fn lacks_microphone(&self) -> bool {
        self.input_lost && self.no_microphone
    }

    /// Returns true while the microphone delivers only silence that no room has, as a muted one does, and listening is not paused.
    #[must_use]
    pub const fn is_input_silent(&self) -> bool {
        self.input_silent && !self.paused
    }

    /// Applies an event about model, context, input or problems; ignores others.
    pub(super) fn apply_to_notices(&mut self, event: &Event) {
        match event {
            Event::ModelChanged { at, model, choice } => {
                model.clone_into(&mut self.model);
                self.model_choice.clone_from(choice);
                self.model_failure = None;
                self.notice(*at, NoticeKind::ModelChanged { model: model.clone() });
            }
            Event::ContextTrimmed { at, mode, dropped_chunks, .. } => {
                self.notice(*at, NoticeKind::ContextTrimmed { mode: mode.clone(), secs: *dropped_chunks as f64 * CHUNK_SECS });
            }
            Event::AudioGap { at, samples, cause, .. } => {
                self.notice(*at, NoticeKind::AudioGap { secs: *samples as f64 / f64::from(SAMPLE_RATE_HZ), cause: *cause });
            }
            Event::InputChanged { at, device, .. } => {
                device.clone_into(&mut self.source);
                (self.input_lost, self.input_silent) = (false, false);
                self.notice(*at, NoticeKind::InputChanged { device: device.clone() });
            }
            Event::InputLost { .. } => (self.input_lost, self.no_microphone, self.input_silent) = (true, false, false),
            Event::InputSilent { .. } => self.input_silent = true,
            Event::InputAudible { .. } => self.input_silent = false,
            Event::ModelFailed { choice, .. } => self.model_failure = Some(ModelFailure { choice: choice.clone(), problem: None }),
            Event::Problem { at, kind, message, remedy, .. } => {
                self.no_microphone |= *kind == ErrorKind::NoMicrophone;
                if let Some(failure) = &mut self.model_failure
                    && failure.problem.is_none()
                {
                    failure.problem = Some((*kind, message.clone(), *remedy));
                }
                self.notice(*at, NoticeKind::Problem { kind: *kind, message: message.clone(), remedy: *remedy });
            }
            _ => {}
        }
    }

    /// Adds a notice, and drops the oldest notice if there are [`MAX_NOTICES`] already.
    fn notice(&mut self, at: StreamTime, kind: NoticeKind) {
        if self.notices.len() == MAX_NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(Notice { at, kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::protocol::Severity;

    fn at(secs: u64) -> StreamTime {
        StreamTime::from_samples(secs * u64::from(SAMPLE_RATE_HZ))
    }

    #[test]
    fn only_a_lost_input_is_lost_and_a_failed_switch_leaves_it_open() {
        let mut t = Transcript::new([].into());
        let error = Error::new(ErrorKind::InputDevice, "USB microphone: it is in use");
        t.apply(&Event::problem(at(1), Severity::Warning, &error));
        assert_eq!(t.input(), InputState::Open, "the switch failed and the old input goes on");
        assert!(matches!(&t.notices[0].kind, NoticeKind::Problem { kind: ErrorKind::InputDevice, message, .. } if message.contains("USB")));
        t.apply(&Event::InputLost { at: at(2) });
        t.apply(&Event::Paused { at: at(3) });
        assert_eq!(t.input(), InputState::Lost);
        t.apply(&Event::InputChanged { at: at(4), device: "built-in".into(), rate_hz: 48_000, channels: 1 });
        assert_eq!((t.input(), t.source.as_str()), (InputState::Paused, "built-in"));
        t.apply(&Event::Resumed { at: at(5) });
        assert_eq!(t.input(), InputState::Open);
    }

    #[test]
    fn notices_carry_data_and_no_words() {
        let mut t = Transcript::new([].into());
        t.apply(&Event::AudioGap { at: at(1), from_secs: at(0), samples: 8_000, cause: GapCause::DeviceLost });
        t.apply(&Event::ContextTrimmed { at: at(2), mode: "dialog".into(), dropped_chunks: 40, positions: 100 });
        let kinds: Vec<NoticeKind> = t.notices.into_iter().map(|notice| notice.kind).collect();
        let trimmed = NoticeKind::ContextTrimmed { mode: "dialog".into(), secs: 16.0 };
        assert_eq!(kinds, [NoticeKind::AudioGap { secs: 0.5, cause: GapCause::DeviceLost }, trimmed]);
    }
}
