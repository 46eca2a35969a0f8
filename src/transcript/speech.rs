//! Speech in the order of time: utterances beside their translations, and the trigger of each reply.

use super::{JoinResult, SoundLine, SpeechLine, Transcript, join};
use crate::time::{SAMPLE_RATE_HZ, StreamTime};

/// Longest time from the end of an utterance to the start of its translation, in samples, 3 s: the model translates a clause once the
/// clause has ended.
const TRANSLATION_SAMPLES: u64 = 3 * SAMPLE_RATE_HZ as u64;
/// Longest time from the end of an utterance or sound to the reply that it triggers, in samples: 6 s.
const TRIGGER_SAMPLES: u64 = 6 * SAMPLE_RATE_HZ as u64;
/// Number of newest rows that are searched for the utterance of a translation or the translation of an utterance, and for the place
/// of a new row.
const SEARCH_ROWS: usize = 8;

/// A row of the transcript: an utterance, a translation, or an utterance with its translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeechRow {
    /// Audio time at the start of the text that the row was begun with, or of the utterance if the utterance starts earlier.
    pub from: StreamTime,
    /// Index in [`Transcript::utterances`]; None while there is only a translation.
    pub utterance: Option<usize>,
    /// Index in [`Transcript::translations`]; None while there is only an utterance.
    pub translation: Option<usize>,
}

/// The trigger of a reply, to which the model seems to respond, as guessed from the times of both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReplyTrigger<'a> {
    /// An utterance.
    Speech(&'a SpeechLine),
    /// A sound.
    Sound(&'a SoundLine),
    /// A sound or speech that no mode has put into words.
    Unknown,
}

impl Transcript {
    /// Adds a piece of an utterance. A new utterance goes into the row of its translation, if the translation came first and is among
    /// the newest [`SEARCH_ROWS`] rows, else into a new row.
    pub(super) fn add_speech(&mut self, from: StreamTime, to: StreamTime, text: &str) {
        if join(&mut self.utterances, from, to, text) == JoinResult::New {
            let at = self.utterances.len() - 1;
            let fits = |row: &SpeechRow| {
                row.utterance.is_none() && row.translation.is_some_and(|m| overlaps(&self.translations[m], &self.utterances[at]))
            };
            match self.rows.iter().rposition(fits).filter(|n| n + SEARCH_ROWS >= self.rows.len()) {
                Some(row) => {
                    self.rows[row].utterance = Some(at);
                    self.rows[row].from = self.rows[row].from.min(from);
                }
                None => self.insert(SpeechRow { from, utterance: Some(at), translation: None }),
            }
        }
    }

    /// Adds a piece of a translation. A new translation goes into the row of its utterance, if the utterance is among the newest
    /// [`SEARCH_ROWS`] rows, else into a new row.
    pub(super) fn add_translation(&mut self, from: StreamTime, to: StreamTime, text: &str) {
        if join(&mut self.translations, from, to, text) == JoinResult::New {
            let at = self.translations.len() - 1;
            let fits = |row: &SpeechRow| {
                row.translation.is_none() && row.utterance.is_some_and(|s| overlaps(&self.translations[at], &self.utterances[s]))
            };
            match self.rows.iter().rposition(fits).filter(|n| n + SEARCH_ROWS >= self.rows.len()) {
                Some(row) => self.rows[row].translation = Some(at),
                None => self.insert(SpeechRow { from, utterance: None, translation: Some(at) }),
            }
        }
    }

    /// Inserts a row in the order of time among the newest [`SEARCH_ROWS`] rows. A row that is older than all of these is inserted
    /// right before them.
    fn insert(&mut self, row: SpeechRow) {
        let behind = self.rows.iter().rev().take(SEARCH_ROWS).take_while(|other| other.from > row.from).count();
        self.rows.insert(self.rows.len() - behind, row);
    }

    /// Returns the trigger of the reply at index `n` of [`Transcript::replies`]: the newest utterance that ended in the 6 s before the
    /// reply and after the start of the previous reply, else the newest sound that did. Returns `Unknown` if there is neither, or no
    /// reply at `n`.
    #[must_use]
    pub fn trigger_of(&self, n: usize) -> ReplyTrigger<'_> {
        let Some(reply) = self.replies.get(n) else { return ReplyTrigger::Unknown };
        let answered = n.checked_sub(1).and_then(|before| self.replies.get(before)).map_or(StreamTime::ZERO, |before| before.at);
        let recent = |to: StreamTime| to > answered && reply.at.secs_since(to) * f64::from(SAMPLE_RATE_HZ) <= TRIGGER_SAMPLES as f64;
        let place = self.utterances.partition_point(|line| line.from < reply.at);
        if let Some(line) = place.checked_sub(1).map(|last| &self.utterances[last]).filter(|line| recent(line.to)) {
            return ReplyTrigger::Speech(line);
        }
        let place = self.sounds.partition_point(|sound| sound.first <= reply.at);
        place.checked_sub(1).map(|last| &self.sounds[last]).filter(|s| recent(s.last)).map_or(ReplyTrigger::Unknown, ReplyTrigger::Sound)
    }
}

/// Returns true if the translation belongs to the utterance by the times of both: the translation begins at most 3 s after the
/// utterance ends, and ends after the utterance begins.
fn overlaps(translation: &SpeechLine, utterance: &SpeechLine) -> bool {
    translation.to > utterance.from && translation.from.0.0 <= utterance.to.0.0 + TRANSLATION_SAMPLES
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Panel;
    use super::*;
    use crate::protocol::{Event, ReplyId, StopReason};

    fn tenths(at: u64) -> StreamTime {
        StreamTime::from_samples(at * 1_600)
    }

    fn hear(t: &mut Transcript, mode: &str, from: u64, to: u64, text: &str) {
        let (at, reply) = (tenths(to), ReplyId(to));
        if t.panel_of(mode) == Panel::Conversation {
            t.apply(&Event::ReplyStarted { at, reply, chunk: crate::time::ChunkIdx(0), mode: mode.into(), emotion: None });
        }
        let (from_secs, to_secs, stop) = (tenths(from), at, StopReason::End);
        t.apply(&Event::ReplyFinished { at, reply, mode: mode.into(), text: text.into(), from_secs, to_secs, stop });
    }

    fn transcript() -> Transcript {
        let modes = [("transcribe", Panel::Transcript), ("translate", Panel::Translation), ("sounds", Panel::Sounds)];
        Transcript::new(modes.into_iter().map(|(m, s)| (m.to_owned(), s)).collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn a_translation_is_paired_with_its_utterance_in_either_order() {
        let mut t = transcript();
        hear(&mut t, "transcribe", 0, 8, "good morning");
        hear(&mut t, "translate", 12, 16, "早上好");
        hear(&mut t, "translate", 100, 104, "谢谢");
        hear(&mut t, "transcribe", 98, 106, "thank you");
        hear(&mut t, "transcribe", 300, 304, "bye");
        hear(&mut t, "translate", 500, 504, "一");
        let rows: Vec<_> = t.rows.iter().map(|r| (r.from.secs(), r.utterance, r.translation)).collect();
        assert_eq!(rows, [(0.0, Some(0), Some(0)), (9.8, Some(1), Some(1)), (30.0, Some(2), None), (50.0, None, Some(2))]);
    }

    #[test]
    fn a_reply_is_paired_with_its_trigger() {
        let mut t = transcript();
        hear(&mut t, "transcribe", 0, 16, "what is your name");
        hear(&mut t, "dialog", 16, 20, "Hearken");
        hear(&mut t, "dialog", 36, 40, "anything else?");
        t.apply(&Event::Sound { at: tenths(100), reply: ReplyId(9), name: "alarm".into(), count: 1 });
        hear(&mut t, "dialog", 100, 104, "Is everything all right?");
        hear(&mut t, "transcribe", 200, 204, "old news");
        hear(&mut t, "dialog", 300, 304, "hm");
        assert!(matches!(t.trigger_of(0), ReplyTrigger::Speech(line) if line.text == "what is your name"));
        assert_eq!(t.trigger_of(1), ReplyTrigger::Unknown, "it was answered before");
        assert!(matches!(t.trigger_of(2), ReplyTrigger::Sound(sound) if sound.name == "alarm"));
        assert_eq!((t.trigger_of(3), t.trigger_of(99)), (ReplyTrigger::Unknown, ReplyTrigger::Unknown));
    }

    #[test]
    fn words_that_arrive_after_the_start_of_the_reply_trigger_it() {
        let mut t = transcript();
        hear(&mut t, "dialog", 16, 20, "Hearken");
        hear(&mut t, "transcribe", 8, 20, "what is your name");
        assert!(matches!(t.trigger_of(0), ReplyTrigger::Speech(_)));
    }
}
