//! Speech that no mode responded to. Pure.

use std::collections::VecDeque;

use crate::audio::chunker::Chunk;
use crate::audio::speech_detector::{SpeechDetector, SpeechStretch};
use crate::protocol::Event;
use crate::time::{SAMPLE_RATE_HZ, StreamTime};

/// Time after the end of speech up to which a response may answer it, in samples: 2 s. The model hears by a pause that somebody has
/// finished.
const ANSWER_TIME: u64 = 2 * SAMPLE_RATE_HZ as u64;
/// Least time from one report to the next, in samples: 30 s.
const REPORT_INTERVAL: u64 = 30 * SAMPLE_RATE_HZ as u64;
/// Time for which the level of speech is shown after its end, in samples: 10 s.
const LEVEL_SHOWN: u64 = 10 * SAMPLE_RATE_HZ as u64;
/// Number of newest responses that are kept, more than can belong to one stretch of speech that is waiting.
const MAX_RESPONSES: usize = 256;

/// The watch over speech and the responses to it.
#[derive(Debug, Default)]
pub(super) struct SpeechWatch {
    detector: SpeechDetector,
    /// Speech that has ended and may still be answered.
    ended: Option<SpeechStretch>,
    /// Newest speech, with its end or the present as `to`.
    newest: Option<SpeechStretch>,
    /// Audio times of the chunks that a mode responded to.
    responses: VecDeque<StreamTime>,
    reported_at: Option<StreamTime>,
}

impl SpeechWatch {
    /// Takes the next chunk that was heard.
    pub(super) fn hear(&mut self, chunk: &Chunk) {
        if let Some(stretch) = self.detector.step(&chunk.samples[..], chunk.end) {
            self.newest = Some(stretch);
            // Two stretches that wait are one remark with a pause.
            self.ended = Some(SpeechStretch { from: self.ended.map_or(stretch.from, |earlier| earlier.from), ..stretch });
        } else if let Some(stretch) = self.detector.speech_in_progress() {
            self.newest = Some(stretch);
        }
    }

    /// Drops speech in progress: sound is missing, or Hearken itself speaks.
    pub(super) fn interrupt(&mut self) {
        self.detector.interrupt();
        self.ended = None;
    }

    /// Takes events of the session, in which responses begin.
    pub(super) fn note_responses(&mut self, events: &[Event]) {
        for event in events {
            if let Event::ReplyStarted { at, .. } = event {
                if self.responses.len() == MAX_RESPONSES {
                    self.responses.pop_front();
                }
                self.responses.push_back(*at);
            }
        }
    }

    /// Returns the speech that nobody responded to, once every chunk up to `decided` is decided on and no response can follow; at most
    /// once in 30 s.
    pub(super) fn unanswered(&mut self, decided: StreamTime) -> Option<SpeechStretch> {
        let speech = self.ended?;
        let until = StreamTime::from_samples(speech.to.0.0 + ANSWER_TIME);
        if decided < until {
            return None;
        }
        self.ended = None;
        let answered = self.responses.iter().any(|at| *at > speech.from && *at <= until);
        let reported = self.reported_at.is_some_and(|at| decided.0.0.saturating_sub(at.0.0) < REPORT_INTERVAL);
        if answered || reported {
            return None;
        }
        self.reported_at = Some(decided);
        Some(speech)
    }

    /// Returns the level of the newest speech, in dBFS; minus infinity if there was none in the 10 s before `now`.
    pub(super) fn level_dbfs(&self, now: StreamTime) -> f32 {
        let shown = |speech: &SpeechStretch| now.0.0.saturating_sub(speech.to.0.0) < LEVEL_SHOWN;
        self.newest.filter(shown).map_or(f32::NEG_INFINITY, |speech| speech.level_dbfs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::chunker::Chunker;
    use crate::audio::read_file;
    use crate::protocol::ReplyId;
    use crate::time::ChunkIdx;

    /// Returns a sentence between 2 s and `quiet_secs` of a quiet room.
    fn sentence(quiet_secs: usize) -> Vec<f32> {
        let mut samples = vec![0.0; 32_000];
        samples.extend(read_file("tests/golden/wav/d1_speech_7p3s.wav".as_ref()).unwrap());
        samples.resize(samples.len() + quiet_secs * 16_000, 0.0);
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for sample in &mut samples {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *sample += 0.001 * ((state >> 40) as f32 / 8_388_608.0 - 1.0);
        }
        samples
    }

    /// Hears a sentence, and responds to the chunk at the audio time `respond_at`; returns what is reported.
    fn hear(watch: &mut SpeechWatch, chunker: &mut Chunker, quiet_secs: usize, respond_at: Option<f64>) -> Vec<SpeechStretch> {
        let (mut chunks, mut reported) = (Vec::new(), Vec::new());
        chunker.push(&sentence(quiet_secs), &mut chunks);
        for chunk in chunks {
            watch.hear(&chunk);
            if respond_at.is_some_and(|at| (chunk.begin.secs()..chunk.end.secs()).contains(&at)) {
                let (reply, mode, emotion) = (ReplyId(1), "dialog".to_owned(), None);
                watch.note_responses(&[Event::ReplyStarted { at: chunk.end, reply, chunk: ChunkIdx(1), mode, emotion }]);
            }
            reported.extend(watch.unanswered(chunk.end));
        }
        reported
    }

    #[test]
    fn speech_without_a_response_is_reported_once_in_thirty_seconds() {
        let (mut watch, mut chunker) = (SpeechWatch::default(), Chunker::new());
        let reported = hear(&mut watch, &mut chunker, 8, None);
        assert_eq!(reported.len(), 1);
        assert!(reported[0].from.secs() > 1.5 && reported[0].to.secs() < 10.0, "{reported:?}");
        assert_eq!(hear(&mut watch, &mut chunker, 8, None), [], "a few seconds later");
        assert_eq!(hear(&mut watch, &mut chunker, 8, None).len(), 1, "half a minute later");
    }

    #[test]
    fn response_during_the_speech_or_right_after_is_an_answer() {
        let speech = hear(&mut SpeechWatch::default(), &mut Chunker::new(), 8, None)[0];
        let (from, to) = (speech.from.secs(), speech.to.secs());
        for (at, count) in [(from + 1.0, 0), (to - 0.1, 0), (to + 1.0, 0), (to + 3.5, 1), (from - 0.9, 1)] {
            let (mut watch, mut chunker) = (SpeechWatch::default(), Chunker::new());
            assert_eq!(hear(&mut watch, &mut chunker, 8, Some(at)).len(), count, "response at {at} s to {speech:?}");
        }
    }

    #[test]
    fn sentence_over_which_hearken_speaks_is_not_reported() {
        let (mut watch, mut chunks) = (SpeechWatch::default(), Vec::new());
        Chunker::new().push(&sentence(6), &mut chunks);
        for chunk in chunks {
            watch.interrupt();
            watch.hear(&chunk);
            assert_eq!(watch.unanswered(chunk.end), None);
        }
    }

    #[test]
    fn level_of_speech_is_known_while_and_shortly_after_somebody_speaks() {
        let (mut watch, mut chunker) = (SpeechWatch::default(), Chunker::new());
        assert_eq!(watch.level_dbfs(chunker.now()), f32::NEG_INFINITY);
        hear(&mut watch, &mut chunker, 3, None);
        assert!((-40.0..0.0).contains(&watch.level_dbfs(chunker.now())));
        let mut chunks = Vec::new();
        chunker.push(&[0.0; 15 * 16_000], &mut chunks);
        chunks.iter().for_each(|chunk| watch.hear(chunk));
        assert_eq!(watch.level_dbfs(chunker.now()), f32::NEG_INFINITY);
    }
}
