//! The modes as data: what a lane is opened with, where its responses are shown, how it catches up.

use std::path::PathBuf;

/// A task that the user can switch on; each becomes a lane of the engine (DESIGN.md "Lanes").
#[derive(Clone, Debug, PartialEq)]
pub struct Mode {
    /// The name, as typed with `--modes` and as it stands in events.
    pub name: String,
    /// The instruction in words; absent for dialog.
    pub instruction: Option<String>,
    /// The instruction as it is spoken into the stream when the lane opens.
    pub clip: Clip,
    /// Where its responses are shown.
    pub panel: Panel,
    /// What it does with chunks that waited during a reply.
    pub catch_up: CatchUp,
    /// Bias added to the respond logit; 0 is the model's own judgement.
    pub eagerness: f32,
}

/// The spoken instruction of a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clip {
    /// No instruction: the model's own behaviour.
    None,
    /// A clip that is built in: the bytes of a 16 kHz mono WAV file.
    Builtin(&'static [u8]),
    /// A clip of the user's.
    File(PathBuf),
}

/// Where the responses of a mode are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Panel {
    /// Replies, to be spoken aloud.
    Conversation,
    /// Live transcript.
    Transcript,
    /// Translations beside the transcript.
    Translation,
    /// Detected sounds.
    Sounds,
}

/// What a lane does with the chunks that queued while it replied (DESIGN.md "Time, loss and order").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    /// Feed them with `silent` forced, up to four a pass, and decide at the last.
    Drain,
    /// Decide at every one.
    EveryChunk,
}
