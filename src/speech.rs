//! Speech synthesis: reply text to samples of a voice.
//!
//! Responsible for the [`Voice`] trait and its implementations, for splitting a reply into sentences while it is generated
//! ([`sentences`]), for text normalisation ([`spoken_form`]), and for the prosody of an emotion ([`Prosody`]). Not responsible
//! for playback, nor for the choice of replies that are spoken.

mod characters;
mod markup;
mod normalise;
mod null;
mod numbers;
mod roman;
pub mod sentences;
mod system;
mod wav;

use crate::error::Result;
use crate::protocol::Emotion;

pub use crate::protocol::Language;
pub use normalise::spoken_form;
pub use null::NullVoice;
pub use system::{SystemVoice, system_voices};

/// Returns the language of most words of `text` by their script (a Chinese character counts as a word); None without letters.
#[must_use]
pub fn language_of(text: &str) -> Option<Language> {
    let han = text.chars().filter(|c| is_han(*c)).count();
    let words = text.split(|c: char| !c.is_alphabetic() || is_han(c)).filter(|word| !word.is_empty()).count();
    match (han, words) {
        (0, 0) => None,
        // A Chinese character is about half a word.
        (han, words) if han >= words => Some(Language::Chinese),
        _ => Some(Language::English),
    }
}

/// Returns true if `c` is a Chinese character.
fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The rate and pitch of a sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prosody {
    /// Speaking rate, as a factor on the voice's own.
    pub rate: f32,
    /// Pitch, as a factor on the voice's own.
    pub pitch: f32,
}

/// Range to which the speaking rate of the settings is clamped, as a factor on the voice's own.
const SPEEDS: std::ops::RangeInclusive<f32> = 0.5..=2.0;

impl Prosody {
    /// Returns the prosody of a reply with this emotion, at `speed` (clamped to 0.5 to 2) relative to the voice's own rate.
    #[must_use]
    pub fn new(emotion: Option<Emotion>, speed: f32) -> Self {
        // Happy or alarmed people speak about a tenth faster and higher, sad people slower and lower.
        let (rate, pitch) = match emotion {
            Some(Emotion::Happy) => (1.06, 1.12),
            Some(Emotion::Sad) => (0.88, 0.90),
            Some(Emotion::Angry) => (1.06, 0.94),
            Some(Emotion::Surprise) => (1.04, 1.18),
            Some(Emotion::Urgent) => (1.15, 1.10),
            Some(Emotion::Normal) | None => (1.0, 1.0),
        };
        let speed = if speed.is_finite() { speed.clamp(*SPEEDS.start(), *SPEEDS.end()) } else { 1.0 };
        Self { rate: rate * speed, pitch }
    }
}

/// A sentence to speak.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechText {
    /// Text of words, digits and punctuation only ([`spoken_form`]).
    pub text: String,
    /// Language of the text.
    pub language: Language,
    /// Rate and pitch.
    pub prosody: Prosody,
}

/// The outcome of one successful call of [`Utterance::next`]: samples, nothing yet, or the end of the speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UtteranceEvent {
    /// Number of samples that were appended to the caller's buffer.
    Samples(usize),
    /// No samples came within 100 ms. The caller may check for a cut and call again.
    Nothing,
    /// End of the utterance.
    End,
}

/// A sentence that is being spoken, as a stream of samples. Dropping it stops the voice.
pub trait Utterance: Send {
    /// Waits up to 100 ms for the next samples and appends them to `out`: mono, at [`Self::rate_hz`], in -1 ..= 1.
    ///
    /// # Errors
    /// [`Voice`](crate::error::ErrorKind::Voice) when the voice fails; the utterance has ended.
    fn next(&mut self, out: &mut Vec<f32>) -> Result<UtteranceEvent>;

    /// Returns the sample rate of the voice, in Hz. Valid from the first samples on.
    fn rate_hz(&self) -> u32;
}

/// A speech synthesiser, which speaks a sentence at a time.
pub trait Voice: Send {
    /// Returns the name of the voice, for error messages.
    fn name(&self) -> String;

    /// Begins to speak `text`.
    ///
    /// # Errors
    /// [`Voice`](crate::error::ErrorKind::Voice) when the voice is missing or cannot begin.
    fn say(&mut self, text: &SpeechText) -> Result<Box<dyn Utterance>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_is_chosen_by_script() {
        let table = [
            ("Hello there.", Some(Language::English)),
            ("你好。", Some(Language::Chinese)),
            ("我喜欢 Rust 语言", Some(Language::Chinese)),
            ("The word 你 means you.", Some(Language::English)),
            ("42!", None),
            ("", None),
        ];
        for (text, language) in table {
            assert_eq!(language_of(text), language, "{text}");
        }
    }

    #[test]
    fn emotion_changes_rate_and_pitch_and_speed_is_clamped() {
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
