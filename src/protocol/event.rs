//! The events of the engine, which are the lines of the JSON Lines output.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Remedy};
use crate::time::{ChunkIdx, StreamTime};

/// Version of the event format; raised when a field is renamed or removed.
pub const PROTOCOL: u32 = 1;

/// The number of a reply within its session, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplyId(pub u64);

/// The reason for which a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended the reply.
    End,
    /// The reply reached the limit of tokens.
    Limit,
    /// The reply repeated itself.
    Loop,
    /// The user cut the reply.
    Cut,
}

/// The emotion tag of a reply (`src/model/README.md` section 5.1).
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

/// The cause of a gap in the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// The ring between the audio callback and the capture thread was full.
    Overrun,
    /// The model was slower than real time and the chunk queue was full.
    Overload,
    /// The input device was lost.
    DeviceLost,
    /// The input device delivered nothing but exact zeros.
    Zeros,
    /// The machine was suspended.
    Suspended,
}

/// The severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Listening continues as before.
    Warning,
    /// A requested action fails.
    Error,
}

/// A report of the engine, and one line of the JSON Lines output.
///
/// In every event `at` is the audio time at the end of the chunk that the event belongs to; times are serialised in seconds. A field
/// may be added to the format; renaming or removing one raises [`PROTOCOL`].
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
        /// Name of the microphone, the files or the stream.
        source: String,
        /// Names of the modes that are on.
        modes: Vec<String>,
        /// Wall time of the start, for example `2026-11-30T21:52:29Z`; for a microphone only.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        started_utc: Option<String>,
    },
    /// A mode has decided on a chunk. Reported for every chunk and mode while the gate is open.
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
        /// Respond logit minus silent logit; only with `--margins`.
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
        /// Emotion tag, if the model gave one.
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
        /// The next characters of the reply; never a part of a character.
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
        /// The whole text.
        text: String,
        /// Audio time at the start of the chunk that is answered, in seconds.
        from_secs: StreamTime,
        /// Audio time at the end of the chunk that is answered, in seconds.
        to_secs: StreamTime,
        /// Reason for the end.
        stop: StopReason,
    },
    /// The sounds mode has named a sound.
    Sound {
        /// Audio time at the end of the chunk with the sound.
        at: StreamTime,
        /// Number of the reply that names the sound.
        reply: ReplyId,
        /// Known name that matches the reply, else the text of the reply (80 characters at most).
        name: String,
        /// Number of occurrences in a row that Hearken has grouped, this one included.
        count: u32,
    },
    /// The voice has begun to speak a reply.
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
    /// The quiet gate has opened or closed. While the gate is closed, no decision is reported.
    Gate {
        /// Audio time at the end of the chunk.
        at: StreamTime,
        /// True if the gate is open now.
        open: bool,
        /// Level of the chunk, in dB relative to full scale.
        level_dbfs: f32,
    },
    /// Listening is paused.
    Paused {
        /// Audio time of the pause.
        at: StreamTime,
    },
    /// Listening has resumed after a pause.
    Resumed {
        /// Audio time of the pause.
        at: StreamTime,
    },
    /// Modes were switched on or off.
    ModesChanged {
        /// Audio time of the change.
        at: StreamTime,
        /// Names of the modes that are on now.
        modes: Vec<String>,
    },
    /// Another model listens.
    ModelChanged {
        /// Audio time of the change.
        at: StreamTime,
        /// Name of the model.
        model: String,
    },
    /// The oldest or least important part of a lane's context was dropped.
    ContextTrimmed {
        /// Audio time at the end of the chunk that needed the room.
        at: StreamTime,
        /// Name of the mode.
        mode: String,
        /// Number of chunks (0.4 s each) that were dropped.
        dropped_chunks: u64,
        /// Positions that the context still holds.
        positions: usize,
    },
    /// Samples were lost. Reported before the chunk that follows the gap.
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
    /// The input was switched or connected again.
    InputChanged {
        /// Audio time of the change.
        at: StreamTime,
        /// Name of the device.
        device: String,
        /// Sample rate of the device, in hertz.
        rate_hz: u32,
        /// Number of channels of the device.
        channels: u16,
    },
    /// No device delivers sound until the next `input_changed`; a `problem` says why.
    InputLost {
        /// Audio time of the loss.
        at: StreamTime,
    },
    /// A problem from which the session recovers.
    Problem {
        /// Audio time of the problem.
        at: StreamTime,
        /// Severity of the problem.
        severity: Severity,
        /// Category of the problem.
        kind: ErrorKind,
        /// Text for people: what failed, on what and why.
        message: String,
        /// Action that helps, if one is known.
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
        /// Time for the decoder, in milliseconds.
        decode_ms: f64,
        /// Delay behind the audio, in milliseconds.
        lag_ms: f64,
    },
    /// The session has finished; always the last event, also after an error.
    SessionFinished {
        /// Audio time at the end of the session.
        at: StreamTime,
        /// Number of chunks that were heard.
        chunks: u64,
        /// Number of replies that were given.
        replies: u64,
        /// Length of the audio, in seconds.
        audio_secs: f64,
        /// Number of `problem` events.
        problems: u64,
    },
}

impl Event {
    /// Returns the `problem` event about `error`.
    #[must_use]
    pub fn problem(at: StreamTime, severity: Severity, error: &Error) -> Self {
        Self::Problem { at, severity, kind: error.kind(), message: error.message().to_owned(), remedy: error.remedy() }
    }

    /// Returns the audio time of the event.
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
            | Self::Problem { at, .. }
            | Self::Timing { at, .. }
            | Self::SessionFinished { at, .. } => *at,
        }
    }
}
