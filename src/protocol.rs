//! Every type that crosses a thread or the process border.
//!
//! Responsible for [`Command`] (down, into the engine) and [`Event`] (up, out of it, and as JSON Lines out of the
//! process). The table in the README's section "Event format" and in CONTRACT.md is this file; a test holds them together.
//! Not responsible for acting on any of it.

pub mod models;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Remedy};
use crate::time::{ChunkIdx, StreamTime};

/// Version of the event format; a field that is renamed or removed raises it.
pub const PROTOCOL: u32 = 1;

/// Number of a reply within its session, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplyId(pub u64);

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended it.
    End,
    /// It reached the limit of tokens.
    Limit,
    /// It repeated itself.
    Loop,
    /// The user cut it.
    Cut,
}

/// The emotion that the model tags a reply with (MODEL.md section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the model's own")]
pub enum Emotion {
    Happy,
    Sad,
    Angry,
    Surprise,
    Normal,
    Urgent,
}

/// Why samples were never heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// The ring between the audio callback and the capture thread was full.
    Overrun,
    /// The model is slower than time and the chunk queue was full.
    Overload,
    /// The input device went away.
    DeviceLost,
    /// The input device delivered nothing but exact zeros.
    Zeros,
    /// The machine slept.
    Suspended,
}

/// How serious a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Listening goes on as before.
    Warning,
    /// Something that was asked for does not happen.
    Error,
}

/// What the engine reports. `at` is audio time at the end of the chunk that it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are documented in the table of the README")]
pub enum Event {
    /// Always the first.
    SessionStarted {
        at: StreamTime,
        protocol: u32,
        model: String,
        source: String,
        modes: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        started_utc: Option<String>,
    },
    /// Every chunk and mode while the gate is open.
    Decision {
        at: StreamTime,
        chunk: ChunkIdx,
        mode: String,
        silent: bool,
        drained: bool,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        margin: Option<f32>,
    },
    /// The model chose to respond.
    ReplyStarted {
        at: StreamTime,
        reply: ReplyId,
        chunk: ChunkIdx,
        mode: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        emotion: Option<Emotion>,
    },
    /// A piece of whole characters.
    ReplyText { at: StreamTime, reply: ReplyId, mode: String, text: String },
    /// The whole text again.
    ReplyFinished {
        at: StreamTime,
        reply: ReplyId,
        mode: String,
        text: String,
        from_secs: StreamTime,
        to_secs: StreamTime,
        stop: StopReason,
    },
    /// The sounds mode named a sound.
    Sound { at: StreamTime, reply: ReplyId, name: String, count: u32 },
    /// A reply begins to be spoken.
    VoiceStarted { at: StreamTime, reply: ReplyId },
    /// It has been spoken, or was interrupted.
    VoiceFinished { at: StreamTime, reply: ReplyId, cut: bool },
    /// The quiet gate opened or closed.
    Gate { at: StreamTime, open: bool, level_dbfs: f32 },
    /// Listening was paused.
    Paused { at: StreamTime },
    /// Listening went on.
    Resumed { at: StreamTime },
    /// These modes are on now.
    ModesChanged { at: StreamTime, modes: Vec<String> },
    /// This model listens now.
    ModelChanged { at: StreamTime, model: String },
    /// Room was made in a lane.
    ContextTrimmed { at: StreamTime, mode: String, dropped_chunks: u64, positions: usize },
    /// Samples that never arrived, reported before the chunk that follows them.
    AudioGap { at: StreamTime, from_secs: StreamTime, samples: u64, cause: GapCause },
    /// The input was switched or reconnected.
    InputChanged { at: StreamTime, device: String, rate_hz: u32, channels: u16 },
    /// Recoverable trouble.
    Problem {
        at: StreamTime,
        severity: Severity,
        kind: ErrorKind,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        remedy: Option<Remedy>,
    },
    /// What a chunk cost; only on request.
    Timing { at: StreamTime, chunk: ChunkIdx, mel_ms: f64, encode_ms: f64, decode_ms: f64, lag_ms: f64 },
    /// Always the last.
    SessionFinished { at: StreamTime, chunks: u64, replies: u64, audio_secs: f64, problems: u64 },
}

impl Event {
    /// Returns the `problem` event about `error`.
    #[must_use]
    pub fn problem(at: StreamTime, severity: Severity, error: &Error) -> Self {
        Self::Problem { at, severity, kind: error.kind(), message: error.message().to_owned(), remedy: error.remedy() }
    }

    /// Audio time of the event.
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
            | Self::Problem { at, .. }
            | Self::Timing { at, .. }
            | Self::SessionFinished { at, .. } => *at,
        }
    }
}

/// What a face asks of the engine; takes effect within one chunk.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Stop capturing.
    Pause,
    /// Capture again.
    Resume,
    /// Switch the mode of this name on.
    ModeOn(String),
    /// Switch the mode of this name off; its cache is kept for 60 s.
    ModeOff(String),
    /// Bias added to the respond logit of a mode.
    Eagerness {
        /// Name of the mode.
        mode: String,
        /// The bias; 0 is the model's own judgement.
        bias: f32,
    },
    /// Load another model, and listen with it when it is ready.
    ChooseModel(ModelChoice),
    /// Capture from another device.
    ChooseInput(DeviceChoice),
    /// Play to another device.
    ChooseOutput(DeviceChoice),
    /// Translate into this language from now on.
    TranslateTo(Language),
    /// Read the user's modes again: one was added.
    ReadModes,
    /// Quiet gate on.
    GateOn,
    /// Quiet gate off: every chunk reaches the model.
    GateOff,
    /// Record what is heard to this WAV file, in place of any other that [`Command::StopRecording`] would end.
    RecordTo(std::path::PathBuf),
    /// Complete the recording that [`Command::RecordTo`] began.
    StopRecording,
    /// End the replies that are being generated, and what is being spoken.
    CutReply,
    /// Speak, and listen while speaking, like this from now on.
    Voice(VoiceSettings),
    /// Say this: a reply once more, or with reply 0 a trial of the voice. What is being spoken is cut.
    Say {
        /// The reply that it is; 0 for none.
        reply: ReplyId,
        /// Its text.
        text: String,
        /// How it is said.
        emotion: Option<Emotion>,
    },
    /// Forget what was heard and said: every lane restarts from its opening.
    Forget,
    /// Record what is heard from now on as the clip of a mode: to this file, for 20 s at most.
    RecordClip(std::path::PathBuf),
    /// Complete that clip.
    EndClip,
    /// End the session.
    Shutdown,
}

/// Which model to listen with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelChoice {
    /// The small model that is built in.
    Starter,
    /// The released 3B model.
    ThreeB,
    /// A checkpoint folder.
    Dir(std::path::PathBuf),
}

/// The language that the translate mode translates into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Chinese.
    #[default]
    Chinese,
    /// English.
    English,
}

/// The part of the window in which the responses of a mode appear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Panel {
    /// Replies, which may be spoken aloud.
    #[default]
    Conversation,
    /// The live transcript.
    Transcript,
    /// Translations beside the transcript.
    Translation,
    /// Detected sounds.
    Sounds,
}

impl Panel {
    /// Every panel.
    pub const ALL: [Self; 4] = [Self::Conversation, Self::Transcript, Self::Translation, Self::Sounds];

    /// Returns the name of the panel, as settings and history spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Transcript => "transcript",
            Self::Translation => "translation",
            Self::Sounds => "sounds",
        }
    }

    /// Returns the panel of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|panel| panel.name() == name)
    }
}

/// Which sound device to use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChoice {
    /// Whatever the system's default is, also when that changes.
    #[default]
    Default,
    /// The device of this id or name.
    Named(String),
}

/// How Hearken speaks, and listens while it does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VoiceSettings {
    /// Which replies are spoken.
    pub speak: Speak,
    /// By whom.
    pub voice: VoiceChoice,
    /// 1 is the voice's own speed.
    pub speed: f32,
    /// What is done when the user speaks over a reply.
    pub interrupt: Interrupt,
    /// Whether its own voice is taken out of what the microphone hears.
    pub echo: EchoChoice,
    /// Whether noise is taken out of what the microphone hears.
    pub noise_suppression: Switch,
    /// Whether what the microphone hears is brought to the same loudness.
    pub automatic_gain: Switch,
}

impl Default for VoiceSettings {
    fn default() -> Self {
        Self {
            speak: Speak::Always,
            voice: VoiceChoice::System,
            speed: 1.0,
            interrupt: Interrupt::Cut,
            echo: EchoChoice::Auto,
            noise_suppression: Switch::Off,
            automatic_gain: Switch::Off,
        }
    }
}

/// Which replies are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speak {
    /// None, unless it is asked for.
    Asked,
    /// Those that are tagged urgent.
    Urgent,
    /// All of them.
    Always,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VoiceChoice {
    /// The system's voice.
    System,
    /// Nobody: replies are text.
    None,
}

/// What is done when the user speaks over a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interrupt {
    /// The voice fades and the reply ends.
    Cut,
    /// It is spoken to its end.
    LetFinish,
}

/// Whether Hearken's own voice is taken out of what the microphone hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EchoChoice {
    /// Unless it is known to go to headphones.
    Auto,
    /// Always.
    On,
    /// Never: headphones are worn.
    Off,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Switch {
    On,
    Off,
}
