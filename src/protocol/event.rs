//! The events of the engine, which are the lines of the JSON Lines output.

use serde::{Deserialize, Serialize};

use super::ModelChoice;
use crate::error::{Error, ErrorKind, Remedy};
use crate::time::{ChunkIdx, StreamTime};

/// Version of the event format, in `session_started`; raised when a field is renamed or removed, not when one is added.
pub const PROTOCOL: u32 = 1;

/// The number of a reply within its session, from 1 and across all modes; 0 in the voice events of a sample of the voice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplyId(pub u64);

/// The reason for which a reply ended, in `reply_finished`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended the reply by its end token.
    End,
    /// The reply reached 512 tokens.
    Limit,
    /// The reply repeated itself and was ended for this reason.
    Loop,
    /// The reply was interrupted: by the user, by a spoken stop or talk over it, or by the end of its mode or session.
    Cut,
}

/// The emotion tag that the model gives a reply at its start (`src/model/README.md` section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Emotion {
    /// Happy.
    Happy,
    /// Sad.
    Sad,
    /// Angry.
    Angry,
    /// Surprised.
    Surprise,
    /// Calm; the tag of most replies.
    Normal,
    /// Urgent: a danger, or a request for help.
    Urgent,
}

/// The cause of a gap in the audio: samples that never reached the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// The ring buffer between the audio callback and the capture thread was full.
    Overrun,
    /// The model was slower than real time and the chunk queue was full.
    Overload,
    /// The input device was lost, for example unplugged.
    DeviceLost,
    /// The input device, after sound, delivered nothing but exact zeros for 30 s; it is opened again.
    Zeros,
    /// The machine was suspended.
    Suspended,
    /// Hearken itself was stopped, as by Ctrl-Z, or got no time to compute for a second or more.
    Stopped,
}

/// The severity of a `problem` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Listening continues, perhaps with less: a setting refused, a mode resting, a command not carried out.
    Warning,
    /// The session cannot go on, or loses something that was asked for, such as a file or a recording.
    Error,
}

/// A report of the engine to interfaces and history, and one line of the JSON Lines output.
///
/// In every event `at` is audio time since the start of the session: the end of the chunk (0.4 s) that the event belongs to, or
/// the moment of the event. Times are serialised in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The session has started; always the first event.
    SessionStarted {
        /// Audio time: 0.
        at: StreamTime,
        /// Version of the event format ([`PROTOCOL`]).
        protocol: u32,
        /// Name of the model.
        model: String,
        /// Name of the microphone, of the files, or of standard input.
        source: String,
        /// Names of the modes that are on.
        modes: Vec<String>,
        /// Wall time of the start in UTC, for example `2026-11-30T21:52:29Z`; None unless a microphone is the source.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        started_utc: Option<String>,
    },
    /// A mode has decided on a chunk. Reported for every chunk and mode while the gate is open, if decisions were asked for.
    Decision {
        /// Audio time at the end of the chunk.
        at: StreamTime,
        /// Number of the chunk, from 0.
        chunk: ChunkIdx,
        /// Name of the mode.
        mode: String,
        /// True if the mode stays silent, false if it responds.
        silent: bool,
        /// True if the chunk waited during a reply and was fed without a decision of its own; then `silent` is true.
        drained: bool,
        /// Respond logit minus silent logit, without the eagerness; None without `--margins`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        margin: Option<f32>,
    },
    /// A mode has begun to respond.
    ReplyStarted {
        /// Audio time at the end of the chunk that is answered.
        at: StreamTime,
        /// Number of the reply.
        reply: ReplyId,
        /// Number of the chunk that is answered.
        chunk: ChunkIdx,
        /// Name of the mode.
        mode: String,
        /// Emotion tag; None if the model gave none.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        emotion: Option<Emotion>,
    },
    /// A piece of a reply.
    ReplyText {
        /// Audio time at the end of the chunk that is answered.
        at: StreamTime,
        /// Number of the reply.
        reply: ReplyId,
        /// Name of the mode.
        mode: String,
        /// Next characters of the reply, always whole ones.
        text: String,
    },
    /// A reply has ended. Repeats the whole text, so that a reader can ignore the pieces.
    ReplyFinished {
        /// Audio time at the end of the chunk that is answered.
        at: StreamTime,
        /// Number of the reply.
        reply: ReplyId,
        /// Name of the mode.
        mode: String,
        /// Whole text of the reply; may be empty.
        text: String,
        /// Audio time at the start of the chunk that is answered, in seconds.
        from_secs: StreamTime,
        /// Audio time at the end of the chunk that is answered, in seconds.
        to_secs: StreamTime,
        /// Reason for the end.
        stop: StopReason,
    },
    /// A mode of the panel `sounds` has named a sound.
    Sound {
        /// Audio time at the end of the chunk with the sound.
        at: StreamTime,
        /// Number of the reply that names the sound.
        reply: ReplyId,
        /// Name from the list of known sounds that matches the reply, else the text of the reply (80 characters at most).
        name: String,
        /// Number of occurrences of this name so far, this one included, each within 5 s of the one before; else 1.
        count: u32,
    },
    /// The voice has begun to speak a reply aloud.
    VoiceStarted {
        /// Audio time at that moment.
        at: StreamTime,
        /// Number of the reply.
        reply: ReplyId,
    },
    /// The voice has spoken a reply to its end, or was interrupted.
    VoiceFinished {
        /// Audio time at that moment.
        at: StreamTime,
        /// Number of the reply.
        reply: ReplyId,
        /// True if the voice was interrupted.
        cut: bool,
    },
    /// The quiet gate has opened or closed. While the gate is closed, the model hears nothing and no decision is reported.
    Gate {
        /// Audio time at the end of the chunk.
        at: StreamTime,
        /// True if the gate is open now.
        open: bool,
        /// Level of the chunk, in dBFS: 0 is full scale, silence is far below.
        level_dbfs: f32,
    },
    /// Listening is paused on request; the microphone is released.
    Paused {
        /// Audio time of the pause.
        at: StreamTime,
    },
    /// Listening has resumed after a pause.
    Resumed {
        /// Audio time of the pause: audio time stands still while paused.
        at: StreamTime,
    },
    /// A mode was switched on or off, by the user or by overload control.
    ModesChanged {
        /// Audio time of the change.
        at: StreamTime,
        /// Names of the modes that are on now.
        modes: Vec<String>,
    },
    /// Another model listens from now on.
    ModelChanged {
        /// Audio time of the change.
        at: StreamTime,
        /// Name of the model.
        model: String,
        /// Choice that is in use from now on; None in events of an older Hearken.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        choice: Option<ModelChoice>,
    },
    /// A chosen model could not be loaded, at the start or later: the model in use goes on. The `problem` event that follows says
    /// why.
    ModelFailed {
        /// Audio time of the failure.
        at: StreamTime,
        /// Choice that could not be loaded.
        choice: ModelChoice,
        /// Name of the model in use.
        model: String,
    },
    /// A mode's context was shortened because the context window was full, or emptied by a reset; `config::ContextPolicy` says when.
    ContextTrimmed {
        /// Audio time at the end of the newest chunk in the context.
        at: StreamTime,
        /// Name of the mode.
        mode: String,
        /// Number of chunks (0.4 s each) that were dropped.
        dropped_chunks: u64,
        /// Number of positions that the context holds afterwards.
        positions: usize,
    },
    /// Audio was lost: samples never reached the model. Reported before the chunk that follows the gap.
    AudioGap {
        /// Audio time at which the gap is reported.
        at: StreamTime,
        /// Audio time at the start of the gap, in seconds.
        from_secs: StreamTime,
        /// Length of the gap, in samples of 16 kHz.
        samples: u64,
        /// Cause of the gap.
        cause: GapCause,
    },
    /// The input device was switched, opened or connected again.
    InputChanged {
        /// Audio time of the change.
        at: StreamTime,
        /// Name of the device that delivers sound now.
        device: String,
        /// Sample rate of the device, in hertz; 0 while paused, when no device is open.
        rate_hz: u32,
        /// Number of channels of the device; 0 while paused.
        channels: u16,
    },
    /// The input device was lost: none delivers sound until the next `input_changed`. A `problem` event says why; its kind is
    /// `no_microphone` where the machine has none.
    InputLost {
        /// Audio time of the loss.
        at: StreamTime,
    },
    /// The microphone has delivered only digital silence for 5 s, quieter than any room, or nothing louder than a muted one since it was
    /// opened 10 s ago: it may be muted. Holds until the next `input_audible`, `input_changed`, `input_lost` or `paused`.
    InputSilent {
        /// Audio time of the report.
        at: StreamTime,
        /// Name of the device.
        device: String,
    },
    /// The microphone delivers sound again after `input_silent`.
    InputAudible {
        /// Audio time of the sound.
        at: StreamTime,
    },
    /// Something like speech was heard for 1.5 s or more, and no mode replied to any of it, translated it, or wrote it down: at
    /// least one word in 2 s, without a "…" for missing words. At most one in 30 s, only for live sound, and only while a mode is on
    /// whose responses are words.
    NotUnderstood {
        /// Audio time at which this was found, after the end of the speech.
        at: StreamTime,
        /// Audio time at the start of the speech, in seconds.
        from_secs: StreamTime,
        /// Audio time at the end of the speech, in seconds.
        to_secs: StreamTime,
    },
    /// A problem: a warning beside which listening continues, or an error (see [`Severity`]).
    Problem {
        /// Audio time of the problem.
        at: StreamTime,
        /// Severity of the problem.
        severity: Severity,
        /// Category of the problem.
        kind: ErrorKind,
        /// Text for people: what failed, on what and why.
        message: String,
        /// Action that helps; None if none is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        remedy: Option<Remedy>,
    },
    /// The computing time of a chunk; only with `--timing`, because these numbers differ from run to run.
    Timing {
        /// Audio time at the end of the chunk.
        at: StreamTime,
        /// Number of the chunk.
        chunk: ChunkIdx,
        /// Time for the log-mel features, in milliseconds.
        mel_ms: f64,
        /// Time for the audio encoder, in milliseconds.
        encode_ms: f64,
        /// Time for the first decoder pass over the chunk, all modes together, in milliseconds.
        decode_ms: f64,
        /// Delay of the model behind the incoming audio, in milliseconds.
        lag_ms: f64,
    },
    /// The session has finished; always the last event, also after an error.
    SessionFinished {
        /// Audio time at the end of the session.
        at: StreamTime,
        /// Number of chunks of the session.
        chunks: u64,
        /// Number of replies that were begun.
        replies: u64,
        /// Length of the audio, gaps included, in seconds.
        audio_secs: f64,
        /// Number of `problem` events.
        problems: u64,
    },
}

impl Event {
    /// Returns the `problem` event with kind, message and remedy of `error`.
    #[must_use]
    pub fn problem(at: StreamTime, severity: Severity, error: &Error) -> Self {
        Self::Problem { at, severity, kind: error.kind(), message: error.message().to_owned(), remedy: error.remedy() }
    }

    /// Returns the field `at`, which every event has.
    #[must_use]
    pub const fn at(&self) -> StreamTime {
        match self {
            Self::SessionStarted { at, .. }
            | Self::Decision { at, .. }
            | Self::ReplyStarted { at, .. }
            | Self::ReplyText { at, .. }
            | Self::ReplyFinished { at, .. }
            | Self::Sound { at, .. }
            | Self::VoiceStarted { at, .. }
            | Self::VoiceFinished { at, .. }
            | Self::Gate { at, .. }
            | Self::Paused { at }
            | Self::Resumed { at }
            | Self::ModesChanged { at, .. }
            | Self::ModelChanged { at, .. }
            | Self::ContextTrimmed { at, .. }
            | Self::AudioGap { at, .. }
            | Self::InputChanged { at, .. }
            | Self::InputLost { at }
            | Self::InputSilent { at, .. }
            | Self::InputAudible { at }
            | Self::NotUnderstood { at, .. }
            | Self::ModelFailed { at, .. }
            | Self::Problem { at, .. }
            | Self::Timing { at, .. }
            | Self::SessionFinished { at, .. } => *at,
        }
    }
}
