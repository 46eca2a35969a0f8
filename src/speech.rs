//! Reply text to voice samples.
//!
//! Responsible for the [`Voice`] trait and the voices behind it, for cutting a reply into sentences while it is being
//! generated ([`sentences`]), for what is said instead of numbers, signs and markup ([`spoken_form`]), and for how an
//! emotion sounds ([`Prosody`]). Not responsible for playing, nor for which replies are spoken.

mod normalise;
mod null;
mod numbers;
pub mod sentences;
mod system;
mod wav;

use crate::error::Result;
use crate::protocol::Emotion;

pub use normalise::spoken_form;
pub use null::NullVoice;
pub use system::{SystemVoice, system_voices};

/// The language in which a sentence is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Mandarin.
    Chinese,
}

impl Language {
    /// The language that `text` is written in, by its script; None where it has no letters.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let han = text.chars().filter(|c| is_han(*c)).count();
        let words = text.split(|c: char| !c.is_alphabetic() || is_han(c)).filter(|word| !word.is_empty()).count();
        match (han, words) {
            (0, 0) => None,
            // A Chinese character is about half a word.
            (han, words) if han >= words => Some(Self::Chinese),
            _ => Some(Self::English),
        }
    }
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// How something is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prosody {
    /// 1 is the voice's own speed.
    pub rate: f32,
    /// 1 is the voice's own pitch.
    pub pitch: f32,
}

impl Prosody {
    /// How a reply with this tag is said, at `speed` (1 is the voice's own).
    #[must_use]
    pub fn new(emotion: Option<Emotion>, speed: f32) -> Self {
        // People who are glad or alarmed speak faster and higher, sad ones slower and lower, by about a tenth.
        let (rate, pitch) = match emotion {
            Some(Emotion::Happy) => (1.06, 1.12),
            Some(Emotion::Sad) => (0.88, 0.90),
            Some(Emotion::Angry) => (1.06, 0.94),
            Some(Emotion::Surprise) => (1.04, 1.18),
            Some(Emotion::Urgent) => (1.15, 1.10),
            Some(Emotion::Normal) | None => (1.0, 1.0),
        };
        let speed = if speed.is_finite() { speed.clamp(0.5, 2.0) } else { 1.0 };
        Self { rate: rate * speed, pitch }
    }
}

/// One sentence to say.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechText {
    /// What to say: words, digits and marks only ([`spoken_form`]).
    pub text: String,
    /// In which language.
    pub language: Language,
    /// How.
    pub prosody: Prosody,
}

/// What an utterance yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UtteranceEvent {
    /// So many samples were appended.
    Samples(usize),
    /// Nothing yet (at most 100 ms were waited, so that a cut takes effect).
    Nothing,
    /// It has been said.
    End,
}

/// A sentence that is being said, as a stream. Dropping it cuts it.
pub trait Utterance: Send {
    /// Waits a little for what comes next and appends it to `out`: mono, at [`Self::rate_hz`], in -1 ..= 1.
    ///
    /// # Errors
    /// When the voice fails: nothing more comes.
    fn next(&mut self, out: &mut Vec<f32>) -> Result<UtteranceEvent>;

    /// Its rate, in Hz; known once there are samples.
    fn rate_hz(&self) -> u32;
}

/// Something that speaks.
pub trait Voice: Send {
    /// A name for messages.
    fn name(&self) -> String;

    /// Begins to say `words`.
    ///
    /// # Errors
    /// When the voice is not there or cannot begin.
    fn say(&mut self, words: &SpeechText) -> Result<Box<dyn Utterance>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_spoken_in_the_language_of_its_script() {
        let table = [
            ("Hello there.", Some(Language::English)),
            ("你好。", Some(Language::Chinese)),
            ("我喜欢 Rust 语言", Some(Language::Chinese)),
            ("The word 你 means you.", Some(Language::English)),
            ("42!", None),
            ("", None),
        ];
        for (text, language) in table {
            assert_eq!(Language::of_text(text), language, "{text}");
        }
    }

    #[test]
    fn an_emotion_shapes_rate_and_pitch_and_a_mad_speed_is_tamed() {
        let plain = Prosody::new(None, 1.0);
        assert_eq!((plain.rate, plain.pitch), (1.0, 1.0));
        assert!(Prosody::new(Some(Emotion::Urgent), 1.0).rate > plain.rate && Prosody::new(Some(Emotion::Sad), 1.0).rate < plain.rate);
        assert!(
            Prosody::new(Some(Emotion::Surprise), 1.0).pitch > plain.pitch && Prosody::new(Some(Emotion::Sad), 1.0).pitch < plain.pitch
        );
        assert_eq!(Prosody::new(None, f32::NAN).rate, 1.0);
        assert_eq!((Prosody::new(None, 1e9).rate, Prosody::new(None, -3.0).rate), (2.0, 0.5));
    }
}
