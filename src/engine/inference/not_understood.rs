//! Speech that no mode understood: nothing responded to it, or hardly a word of it was written down. Pure.

use std::collections::VecDeque;

use crate::audio::chunker::Chunk;
use crate::audio::speech_detector::{SpeechDetector, SpeechStretch};
use crate::protocol::{Event, Panel, ReplyId};
use crate::time::{SAMPLE_RATE_HZ, StreamTime};

/// Time after the end of speech up to which a response may answer it, in samples: 2 s. The model hears by a pause that somebody has
/// finished.
const ANSWER_TIME: u64 = 2 * SAMPLE_RATE_HZ as u64;
/// Least time from one report to the next, in samples: 30 s.
const REPORT_INTERVAL: u64 = 30 * SAMPLE_RATE_HZ as u64;
/// Time for which the level of speech is shown after its end, in samples: 10 s.
const LEVEL_SHOWN: u64 = 10 * SAMPLE_RATE_HZ as u64;
/// Least number of words in a second of speech, pauses included, that counts as understood. People say two to three; a model writes
/// fewer of words that it does not know.
const MIN_WORDS_PER_SEC: f64 = 0.5;
/// The word by which a transcript itself says that words are missing, as the starter's does.
const MISSING_WORDS: &str = "…";
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
    /// Newest responses, oldest first.
    responses: VecDeque<Response>,
    reported_at: Option<StreamTime>,
}

/// A response that tells how much of what was said is understood.
#[derive(Debug)]
struct Response {
    reply: ReplyId,
    /// Audio time at the end of the chunk that it answers.
    at: StreamTime,
    covers: Coverage,
}

/// The part of the speech that a response covers.
#[derive(Debug)]
enum Coverage {
    /// A whole remark: the response is a reply or a translation.
    Remark,
    /// As many words as the response has, which is a piece of the transcript; `None` while it is being written.
    Words(Option<usize>),
    /// Not all words: the piece of the transcript says so itself.
    Gap,
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

    /// Takes events of the session, in which responses begin and end. `panel_of` returns the panel of a mode.
    pub(super) fn note_responses(&mut self, events: &[Event], panel_of: impl Fn(&str) -> Panel) {
        for event in events {
            match event {
                Event::ReplyStarted { at, reply, mode, .. } => {
                    let covers = match panel_of(mode) {
                        Panel::Conversation | Panel::Translation => Coverage::Remark,
                        Panel::Transcript => Coverage::Words(None),
                        // The name of a sound is no answer to speech.
                        Panel::Sounds => continue,
                    };
                    if self.responses.len() == MAX_RESPONSES {
                        self.responses.pop_front();
                    }
                    self.responses.push_back(Response { reply: *reply, at: *at, covers });
                }
                Event::ReplyFinished { reply, text, .. } => {
                    let begun = self.responses.iter_mut().rev().find(|response| response.reply == *reply);
                    if let Some(response) = begun.filter(|response| matches!(response.covers, Coverage::Words(_))) {
                        let has_gap = text.split_whitespace().any(|word| word == MISSING_WORDS);
                        response.covers = if has_gap { Coverage::Gap } else { Coverage::Words(Some(count_words(text))) };
                    }
                }
                _ => {}
            }
        }
    }

    /// Returns the speech that no mode understood, once every chunk up to `decided` is decided on and no response can follow; at most
    /// once in 30 s.
    pub(super) fn unanswered(&mut self, decided: StreamTime) -> Option<SpeechStretch> {
        let speech = self.ended?;
        let until = StreamTime::from_samples(speech.to.0.0 + ANSWER_TIME);
        if decided < until {
            return None;
        }
        self.ended = None;
        let (mut answered, mut words, mut gaps) = (false, 0, 0);
        for response in self.responses.iter().filter(|response| response.at > speech.from && response.at <= until) {
            match response.covers {
                Coverage::Remark | Coverage::Words(None) => answered = true,
                Coverage::Words(Some(more)) => words += more,
                Coverage::Gap => gaps += 1,
            }
        }
        answered |= gaps == 0 && words as f64 >= MIN_WORDS_PER_SEC * (speech.to.secs() - speech.from.secs());
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

/// Returns the number of words in `text`; of Chinese, of characters. An ellipsis or another sign is no word.
fn count_words(text: &str) -> usize {
    let is_chinese = |c: char| ('\u{3400}'..='\u{9fff}').contains(&c);
    let of_piece = |piece: &str| match piece.chars().filter(|c| is_chinese(*c)).count() {
        0 => usize::from(piece.contains(char::is_alphanumeric)),
        characters => characters,
    };
    text.split_whitespace().map(of_piece).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::chunker::Chunker;
    use crate::audio::read_file;
    use crate::protocol::StopReason;
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

    /// Hears a sentence, and lets dialog respond to the chunk at the audio time `respond_at`; returns what is reported.
    fn hear(watch: &mut SpeechWatch, chunker: &mut Chunker, quiet_secs: usize, respond_at: Option<f64>) -> Vec<SpeechStretch> {
        hear_as(watch, chunker, quiet_secs, respond_at.map(|at| (at, Panel::Conversation, "")))
    }

    /// Hears a sentence, and responds to the chunk at an audio time with a text for a panel; returns what is reported.
    fn hear_as(
        watch: &mut SpeechWatch,
        chunker: &mut Chunker,
        quiet_secs: usize,
        response: Option<(f64, Panel, &str)>,
    ) -> Vec<SpeechStretch> {
        let (mut chunks, mut reported) = (Vec::new(), Vec::new());
        chunker.push(&sentence(quiet_secs), &mut chunks);
        for chunk in chunks {
            watch.hear(&chunk);
            if let Some((_, panel, text)) = response.filter(|(at, ..)| (chunk.begin.secs()..chunk.end.secs()).contains(at)) {
                let (at, reply, mode) = (chunk.end, ReplyId(1), "some mode".to_owned());
                let started = Event::ReplyStarted { at, reply, chunk: ChunkIdx(1), mode: mode.clone(), emotion: None };
                let (text, stop) = (text.to_owned(), StopReason::End);
                let finished = Event::ReplyFinished { at, reply, mode, text, from_secs: chunk.begin, to_secs: at, stop };
                watch.note_responses(&[started, finished], |_| panel);
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
    fn few_words_of_a_sentence_or_the_name_of_a_sound_are_no_answer() {
        let speech = hear(&mut SpeechWatch::default(), &mut Chunker::new(), 8, None)[0];
        let (at, secs) = (speech.from.secs() + 1.0, speech.to.secs() - speech.from.secs());
        let most = "word ".repeat((secs * 2.0) as usize);
        for (panel, text, count) in [
            (Panel::Transcript, most.as_str(), 0),
            (Panel::Transcript, &format!("{most}…"), 1),
            (Panel::Transcript, &format!("{most}well…"), 0),
            (Panel::Transcript, "word", 1),
            (Panel::Transcript, "…", 1),
            (Panel::Translation, "一", 0),
            (Panel::Sounds, "music", 1),
        ] {
            let (mut watch, mut chunker) = (SpeechWatch::default(), Chunker::new());
            assert_eq!(hear_as(&mut watch, &mut chunker, 8, Some((at, panel, text))).len(), count, "{panel:?}: {text}");
        }
    }

    #[test]
    fn words_are_counted_and_signs_are_not() {
        for (text, count) in [("", 0), ("…", 0), ("i think …", 2), ("it's 5 o'clock.", 3), ("你好，世界", 4), ("a 你好", 3)] {
            assert_eq!(count_words(text), count, "{text}");
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
