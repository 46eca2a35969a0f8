//! A silent voice, for replies as text only.

use super::{SpeechText, Utterance, UtteranceEvent, Voice};
use crate::error::Result;

/// A voice whose utterances end at once, without samples.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullVoice;

impl Voice for NullVoice {
    fn name(&self) -> String {
        "no voice".to_owned()
    }

    fn say(&mut self, _: &SpeechText) -> Result<Box<dyn Utterance>> {
        Ok(Box::new(Silence))
    }
}

/// An utterance that ends at once, without samples.
struct Silence;

impl Utterance for Silence {
    fn next(&mut self, _: &mut Vec<f32>) -> Result<UtteranceEvent> {
        Ok(UtteranceEvent::End)
    }

    fn rate_hz(&self) -> u32 {
        crate::time::SAMPLE_RATE_HZ
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::{Language, Prosody};

    #[test]
    fn null_voice_ends_without_samples() {
        let text = SpeechText { text: "Hello.".into(), language: Language::English, prosody: Prosody::new(None, 1.0) };
        let (mut utterance, mut out) = (NullVoice.say(&text).unwrap(), Vec::new());
        assert_eq!((utterance.next(&mut out), out.len()), (Ok(UtteranceEvent::End), 0));
    }
}
