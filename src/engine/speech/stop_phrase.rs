//! Detects a spoken stop command ("stop", "be quiet", 安静) in the live transcript. Pure.
//!
//! Barge-in ([`crate::audio::echo`]) already cuts a reply when anyone talks over it. Stop phrases cover the rest: barge-in
//! disabled, or a word too short to trigger it. They need a transcribing mode and react one chunk later.

use std::ops::Range;

/// Stop phrases, in lower case: an utterance that is one of these and nothing else asks for silence.
const STOP_PHRASES: [&str; 16] = [
    "stop",
    "stop it",
    "stop please",
    "please stop",
    "stop talking",
    "quiet",
    "be quiet",
    "be quiet please",
    "please be quiet",
    "silence",
    "shut up",
    "停",
    "停下",
    "安静",
    "别说了",
    "闭嘴",
];

/// Longest pause inside an utterance, in seconds, as in [`crate::transcript`]; a longer pause begins another utterance.
const MAX_PAUSE_SECS: f64 = 1.2;
/// Length beyond which an utterance cannot be a stop phrase and no more text is collected, in bytes.
const MAX_BYTES: usize = 40;

/// The detector of stop phrases: joins transcript pieces into utterances and compares each with the list.
#[derive(Debug, Default)]
pub(in crate::engine) struct StopPhraseDetector {
    /// Text of the utterance so far.
    utterance: String,
    /// Audio time at the end of the newest piece, in seconds.
    until_secs: f64,
}

impl StopPhraseDetector {
    /// Takes the next piece of the transcript, spoken during `secs` of audio time. Returns true if the utterance so far is a stop phrase.
    pub(in crate::engine) fn detect(&mut self, piece: &str, secs: Range<f64>) -> bool {
        if secs.start - self.until_secs > MAX_PAUSE_SECS {
            self.utterance.clear();
        }
        self.until_secs = secs.end;
        if self.utterance.len() <= MAX_BYTES {
            self.utterance.push(' ');
            self.utterance.push_str(piece);
        }
        is_stop_phrase(&self.utterance)
    }
}

/// Returns true if `text` is a stop phrase, whatever its case and punctuation.
fn is_stop_phrase(text: &str) -> bool {
    let letters = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let plain: String = text.chars().map(letters).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    STOP_PHRASES.contains(&words.join(" ").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_one_utterance_are_joined() {
        let mut detector = StopPhraseDetector::default();
        assert!(!detector.detect("be", 10.0..10.4) && detector.detect("quiet", 10.4..10.8));
        assert!(!detector.detect("the bus", 20.0..20.4) && !detector.detect("stop", 20.4..20.8), "a bus stop is a place");
        assert!(detector.detect("stop", 23.0..23.4), "a new utterance");
        assert!(!(0..1_000).any(|n| detector.detect("word", 24.0 + f64::from(n) * 0.4..24.4 + f64::from(n) * 0.4)));
        assert!(detector.utterance.len() < 2 * MAX_BYTES, "memory stays bounded");
    }

    #[test]
    fn only_a_bare_command_counts() {
        for text in ["Stop.", " be quiet", "Please be quiet!", "STOP", "安静。", "别说了！"] {
            assert!(is_stop_phrase(text), "{text}");
        }
        for text in ["the bus stop", "a quiet room", "do not stop", "", "…", "stop the music"] {
            assert!(!is_stop_phrase(text), "{text}");
        }
    }
}
