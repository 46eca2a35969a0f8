//! What the window says, in one place.

use crate::protocol::Emotion;
use crate::time::StreamTime;

pub(super) const TITLE: &str = "Hearken";
pub(super) const LISTENING: &str = "Listening";
pub(super) const REPLYING: &str = "Replying";
pub(super) const PAUSED: &str = "Paused";
pub(super) const NO_INPUT: &str = "No input";
pub(super) const LOADING: &str = "Loading";
pub(super) const ENDED: &str = "Ended";
pub(super) const PAUSE: &str = "Pause";
pub(super) const RESUME: &str = "Resume";
pub(super) const PAUSE_HINT: &str = "Stop capturing altogether, or go on (Space)";
pub(super) const FORGET: &str = "Forget";
pub(super) const FORGET_HINT: &str = "Forget what was heard and said so far";
pub(super) const DISMISS: &str = "Dismiss";
pub(super) const LEVEL: &str = "Input level";
pub(super) const CLIPPING: &str = "The input is too loud: it clips";
pub(super) const MODEL: &str = "The model that listens";
pub(super) const DIALOG_HINT: &str = "Answers questions and reacts to sounds that call for help";
pub(super) const PRIVACY: &str = "nothing leaves this machine · audio not stored";
pub(super) const ON_TIME: &str = "on time";
pub(super) const JUMP: &str = "Jump to now";
pub(super) const CONVERSATION: &str = "Conversation";
pub(super) const TRANSCRIPT: &str = "Transcript";
pub(super) const TRANSLATION: &str = "Translation";
pub(super) const SOUNDS: &str = "Sounds";
pub(super) const NO_CONVERSATION: &str = "Ask something, such as “what is your name”. Replies appear here.";
pub(super) const NO_TRANSCRIPT: &str = "Say something: the words appear here.";
pub(super) const NO_TRANSLATION: &str = "Say something: its translation appears here.";
pub(super) const NO_SOUNDS: &str = "Clap, or knock on the table: what was heard appears here.";
pub(super) const NOTHING_ON: &str = "No mode is on. Switch one on above, or press 1 to 4.";

pub(super) fn behind(secs: f32) -> String {
    format!("Behind by {secs:.0} s")
}

pub(super) fn quiet(since: StreamTime) -> String {
    format!("Quiet since {since}")
}

/// An emotion as it stands before a reply.
pub(super) const fn emotion(emotion: Emotion) -> &'static str {
    match emotion {
        Emotion::Happy => "happy",
        Emotion::Sad => "sad",
        Emotion::Angry => "angry",
        Emotion::Surprise => "surprised",
        Emotion::Normal => "calm",
        Emotion::Urgent => "URGENT",
    }
}

/// A mode's name as a button shows it.
pub(super) fn mode(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
