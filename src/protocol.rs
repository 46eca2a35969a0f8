//! The types that cross a thread or the border of the process.
//!
//! [`Command`]s go down, into the engine. [`Event`]s come up, out of it, and leave the process as JSON Lines; the table in
//! `src/protocol/README.md` lists them, and `tests/contract.rs` compares it with the types. Not responsible for acting on any of
//! them.

mod event;
pub mod models;

use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use event::{Emotion, Event, GapCause, PROTOCOL, ReplyId, Severity, StopReason};

/// A command of an interface (window or `hearken listen`) to the engine, carried out within one chunk (0.4 s) unless its doc says
/// otherwise. A command that fails becomes a `problem` event.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Pause listening and release the microphone.
    Pause,
    /// Listen again after a pause.
    Resume,
    /// Switch on the mode of this name: at once, or when the prompt cache of the mode has been computed.
    ModeOn(String),
    /// Switch off the mode of this name; its context is kept for 60 s, in case the mode is switched on again.
    ModeOff(String),
    /// Change the eagerness of a mode for this session: the bias added to its respond logit.
    Eagerness {
        /// Name of the mode.
        mode: String,
        /// New bias, finite; above 0 the mode responds more often, 0 leaves the decision to the model.
        bias: f32,
    },
    /// Load another model in the background; the present model listens until the new model is ready.
    ChooseModel(ModelChoice),
    /// Listen to another microphone or other input device.
    ChooseInput(DeviceChoice),
    /// Hear these channels of the input from now on.
    ChooseChannel(ChannelChoice),
    /// Play spoken replies on another output device.
    ChooseOutput(DeviceChoice),
    /// Change the target language of the mode `translate`, and read `modes.toml` again.
    TranslateTo(Language),
    /// Read the user's modes again after `modes.toml` has changed. A changed mode that is on goes on as it was until the new
    /// prompt cache is computed.
    ReadModes,
    /// Switch the quiet gate on: silent chunks are withheld from the model.
    GateOn,
    /// Switch the quiet gate off: every chunk reaches the model.
    GateOff,
    /// Create the file of `--save-audio`, with all that was heard so far, once there is any sound: the window of the session is there.
    /// A session without a window creates it at its start.
    RecordSession,
    /// Record the audio that the model hears to this WAV file, which must not exist; a recording that an earlier `RecordTo` began is completed first. Does
    /// not affect the recording of `--save-audio`.
    RecordTo(PathBuf),
    /// Complete the recording that `RecordTo` began, if any.
    StopRecording,
    /// End the replies in progress in every mode, and silence the voice.
    CutReply,
    /// Replace the settings of the voice, echo cancellation, noise suppression and gain control.
    Voice(VoiceSettings),
    /// Speak a text aloud: a reply again, or a sample of the voice. Speech in progress is cut.
    Say {
        /// Number of the reply; 0 for a sample of the voice.
        reply: ReplyId,
        /// Text to speak.
        text: String,
        /// Emotion that the voice expresses; None: neutral.
        emotion: Option<Emotion>,
    },
    /// Forget everything that was heard: replies in progress are cut, every mode restarts from its prompt. Stored history stays.
    Forget,
    /// Record the microphone to this WAV file as the spoken instruction of a user's mode, for 20 s at most.
    RecordClip(PathBuf),
    /// Complete the instruction clip in progress, if any.
    EndClip,
    /// End the session: replies in progress are cut, recordings completed.
    Shutdown,
}

/// The choice of the model that a session, a download or a benchmark uses.
///
/// Serialised as the option `--model` takes it: `starter`, `3b`, or the folder or name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum ModelChoice {
    /// The small built-in model.
    Starter,
    /// The released 3B model, once it is downloaded.
    ThreeB,
    /// A checkpoint folder; if there is no such folder, a name in the user's catalogue or an `OWNER/NAME` of the hub.
    Dir(PathBuf),
}

impl From<ModelChoice> for String {
    fn from(choice: ModelChoice) -> Self {
        match choice {
            ModelChoice::Starter => "starter".to_owned(),
            ModelChoice::ThreeB => "3b".to_owned(),
            ModelChoice::Dir(folder) => folder.to_string_lossy().into_owned(),
        }
    }
}

impl From<String> for ModelChoice {
    fn from(text: String) -> Self {
        match text.as_str() {
            "starter" => Self::Starter,
            "3b" => Self::ThreeB,
            _ => Self::Dir(PathBuf::from(text)),
        }
    }
}

/// A language: spoken in a recording, or the target of translation.
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
    /// Every panel, in the order of the variants.
    pub const ALL: [Self; 4] = [Self::Conversation, Self::Transcript, Self::Translation, Self::Sounds];

    /// Returns the name of the panel, as `settings.toml`, `modes.toml` and the history database spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Transcript => "transcript",
            Self::Translation => "translation",
            Self::Sounds => "sounds",
        }
    }

    /// Returns the panel of this name; None for an unknown name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|panel| panel.name() == name)
    }
}

/// The choice of a sound device, for input or output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChoice {
    /// The default device of the system, followed when the system's default changes.
    #[default]
    Default,
    /// The device with this id or name, as `hearken devices` prints them.
    Named(String),
    /// The first of these devices, by id or name, that is there.
    FirstOf(Vec<String>),
}

impl DeviceChoice {
    /// Returns the choice of the first of `names` that is there; blank names are left out, and no name means the default.
    #[must_use]
    pub fn first_of(names: impl IntoIterator<Item = String>) -> Self {
        let mut names: Vec<String> = names.into_iter().filter(|name| !name.trim().is_empty()).collect();
        match names.len() {
            0 => Self::Default,
            1 => Self::Named(names.remove(0)),
            _ => Self::FirstOf(names),
        }
    }

    /// Returns the names of the devices in the order of preference; none for the default.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::Default => &[],
            Self::Named(name) => std::slice::from_ref(name),
            Self::FirstOf(names) => names,
        }
    }
}

/// The choice of the channels of an input that are heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChannelChoice {
    /// All channels, mixed.
    #[default]
    All,
    /// The channel of this number, from 1; all where the input has fewer.
    Only(NonZeroU16),
}

/// The settings of the voice and of the audio processing around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VoiceSettings {
    /// Choice of the replies that are spoken.
    pub speak: Speak,
    /// Voice that speaks, if any.
    pub voice: VoiceChoice,
    /// Speed of the voice, 0.5 to 2; 1 is its normal speed.
    pub speed: f32,
    /// Reaction to a user who talks over a spoken reply.
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

/// The choice of replies that are spoken, among those of modes that respond in [`Panel::Conversation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speak {
    /// No reply by itself; only the texts that the window sends by [`Command::Say`] when the user asks to hear a reply.
    Asked,
    /// Only replies with the emotion tag [`Emotion::Urgent`], beside those the user asks to hear.
    Urgent,
    /// Every reply.
    Always,
}

/// The choice of a voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VoiceChoice {
    /// The speech synthesiser of the system.
    System,
    /// No voice: replies are text only.
    None,
}

/// The reaction to a user who talks over a reply (barge-in).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interrupt {
    /// Fade the voice out and end the reply.
    Cut,
    /// Speak the reply to its end.
    LetFinish,
}

/// The choice of echo cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EchoChoice {
    /// On, unless the output device is known to be headphones.
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
