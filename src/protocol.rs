//! The types that cross a thread or the border of the process.
//!
//! [`Command`]s go down, into the engine. [`Event`]s come up, out of it, and leave the process as JSON Lines; the table in
//! `src/protocol/README.md` lists them, and `tests/contract.rs` compares it with the types. Not responsible for acting on any of
//! them.

mod event;
pub mod models;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use event::{Emotion, Event, GapCause, PROTOCOL, ReplyId, Severity, StopReason};

/// A command of an interface to the engine; takes effect within one chunk.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Pause: release the microphone.
    Pause,
    /// Listen again after a pause.
    Resume,
    /// Switch on the mode of this name.
    ModeOn(String),
    /// Switch off the mode of this name; its cache is kept for 60 s.
    ModeOff(String),
    /// Change the eagerness of a mode: the bias added to its respond logit.
    Eagerness {
        /// Name of the mode.
        mode: String,
        /// New bias; 0 leaves the decision to the model.
        bias: f32,
    },
    /// Load another model and listen with it as soon as it is ready.
    ChooseModel(ModelChoice),
    /// Listen to another input.
    ChooseInput(DeviceChoice),
    /// Play replies on another output.
    ChooseOutput(DeviceChoice),
    /// Change the target language of the translate mode.
    TranslateTo(Language),
    /// Read the user's modes again after `modes.toml` has changed.
    ReadModes,
    /// Switch the quiet gate on.
    GateOn,
    /// Switch the quiet gate off: every chunk reaches the model.
    GateOff,
    /// Record the audio that the model hears to this WAV file, in place of a recording in progress.
    RecordTo(PathBuf),
    /// Complete the recording in progress.
    StopRecording,
    /// End the replies in progress and the voice.
    CutReply,
    /// Change the voice settings.
    Voice(VoiceSettings),
    /// Speak a text: a reply again, or a sample of the voice (reply 0). Speech in progress is cut.
    Say {
        /// Number of the reply; 0 for a sample of the voice.
        reply: ReplyId,
        /// Text to speak.
        text: String,
        /// Emotion that the voice expresses.
        emotion: Option<Emotion>,
    },
    /// Start a new conversation: every lane restarts from its prompt.
    Forget,
    /// Record the instruction clip of a mode to this WAV file, for 20 s at most.
    RecordClip(PathBuf),
    /// Complete the clip in progress.
    EndClip,
    /// End the session.
    Shutdown,
}

/// The choice of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelChoice {
    /// The small built-in model.
    Starter,
    /// The released 3B model.
    ThreeB,
    /// A checkpoint folder.
    Dir(PathBuf),
}

/// A language: spoken, or the target of translation.
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

/// The choice of a sound device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChoice {
    /// The default device of the system, also after it changes.
    #[default]
    Default,
    /// The device with this id or name.
    Named(String),
}

/// The settings of the voice and of the audio processing around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VoiceSettings {
    /// Replies that are spoken.
    pub speak: Speak,
    /// Voice that speaks.
    pub voice: VoiceChoice,
    /// Speed of the voice; 1 is its normal speed.
    pub speed: f32,
    /// Reaction to a user who talks over a reply.
    pub interrupt: Interrupt,
    /// Echo cancellation: removes Hearken's own voice from the microphone.
    pub echo: EchoChoice,
    /// Noise suppression of the microphone.
    pub noise_suppression: Switch,
    /// Automatic gain control of the microphone.
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

/// The replies that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speak {
    /// Only replies that the user asks to hear.
    Asked,
    /// Only replies with the tag urgent.
    Urgent,
    /// All replies.
    Always,
}

/// The choice of a voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VoiceChoice {
    /// The voice of the system.
    System,
    /// No voice: replies are text only.
    None,
}

/// The reaction to a user who talks over a reply (barge-in).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interrupt {
    /// Fade the voice and end the reply.
    Cut,
    /// Speak the reply to its end.
    LetFinish,
}

/// The choice of echo cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EchoChoice {
    /// On, unless the output is known to be headphones.
    Auto,
    /// Always on.
    On,
    /// Off: the user wears headphones.
    Off,
}

/// A setting that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}
