//! Deletion of parts of the transcript, its undoing, and the borders between conversations.

use std::collections::BTreeMap;
use std::mem::swap;

use super::{MAX_QUIETS, MAX_TICKS, Transcript};
use crate::protocol::StopReason;
use crate::time::StreamTime;

impl Transcript {
    /// Removes what was heard and said since audio time `at`. A line that continues past `at` goes whole, because its words have no
    /// times.
    pub fn forget_since(&mut self, at: StreamTime) {
        for lines in [&mut self.utterances, &mut self.translations] {
            lines.truncate(lines.partition_point(|line| line.to <= at));
        }
        let (said, meant) = (self.utterances.len(), self.translations.len());
        self.rows.retain_mut(|row| {
            row.utterance = row.utterance.filter(|n| *n < said);
            row.translation = row.translation.filter(|n| *n < meant);
            row.utterance.is_some() || row.translation.is_some()
        });
        self.replies.retain(|reply| reply.at < at);
        self.sounds.retain(|sound| sound.first < at);
        self.sounds.iter_mut().for_each(|sound| sound.last = sound.last.min(at));
        self.strips.values_mut().for_each(|strip| strip.retain(|tick| tick.at < at));
        self.quiets.retain(|(from, _)| *from < at);
        self.notices.retain(|notice| notice.at < at);
        self.conversation_starts.retain(|start| *start < at);
    }

    /// Removes all that was heard and said and returns it, for [`Self::restore`]. State and names (modes, model, input) stay.
    #[must_use]
    pub fn take_all(&mut self) -> Self {
        let mut taken = Self::new(BTreeMap::new());
        taken.now = self.now;
        swap(&mut taken.utterances, &mut self.utterances);
        swap(&mut taken.translations, &mut self.translations);
        swap(&mut taken.rows, &mut self.rows);
        swap(&mut taken.replies, &mut self.replies);
        swap(&mut taken.sounds, &mut self.sounds);
        swap(&mut taken.strips, &mut self.strips);
        swap(&mut taken.quiets, &mut self.quiets);
        swap(&mut taken.notices, &mut self.notices);
        swap(&mut taken.conversation_starts, &mut self.conversation_starts);
        taken
    }

    /// Puts what [`Self::take_all`] has removed before what came since. Replies that were in progress then count as cut.
    pub fn restore(&mut self, mut taken: Self) {
        let (said, meant) = (taken.utterances.len(), taken.translations.len());
        for row in &mut self.rows {
            row.utterance = row.utterance.map(|n| n + said);
            row.translation = row.translation.map(|n| n + meant);
        }
        for reply in taken.replies.iter_mut().filter(|reply| reply.stop.is_none()) {
            reply.stop = Some(StopReason::Cut);
        }
        for tick in taken.strips.values_mut().flatten().filter(|tick| tick.reply.is_some() && tick.until.is_none()) {
            tick.until = Some(taken.now);
        }
        taken.utterances.append(&mut self.utterances);
        taken.translations.append(&mut self.translations);
        taken.rows.append(&mut self.rows);
        taken.replies.append(&mut self.replies);
        taken.sounds.append(&mut self.sounds);
        taken.quiets.append(&mut self.quiets);
        taken.notices.append(&mut self.notices);
        taken.conversation_starts.append(&mut self.conversation_starts);
        for (mode, mut ticks) in std::mem::take(&mut self.strips) {
            let strip = taken.strips.entry(mode).or_default();
            strip.append(&mut ticks);
            drop(strip.drain(..strip.len().saturating_sub(MAX_TICKS)));
        }
        drop(taken.quiets.drain(..taken.quiets.len().saturating_sub(MAX_QUIETS)));
        self.utterances = taken.utterances;
        self.translations = taken.translations;
        self.rows = taken.rows;
        self.replies = taken.replies;
        self.sounds = taken.sounds;
        self.strips = taken.strips;
        self.quiets = taken.quiets;
        self.notices = taken.notices;
        self.conversation_starts = taken.conversation_starts;
    }

    /// Notes that the user begins a new conversation now: the model forgets what was said, and the lines stay.
    pub fn begin_conversation(&mut self) {
        if self.conversation_starts.last() != Some(&self.now) {
            self.conversation_starts.push(self.now);
        }
    }

    /// Returns the newest start of a conversation after `after` and, if `to` is given, up to `to`: the place of a rule between two
    /// lines at these times, or below the last line.
    #[must_use]
    pub fn conversation_start_in(&self, after: Option<StreamTime>, to: Option<StreamTime>) -> Option<StreamTime> {
        let is_between = |start: &StreamTime| after.is_none_or(|after| *start >= after) && to.is_none_or(|to| *start < to);
        self.conversation_starts.iter().copied().rev().find(is_between)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, Panel, ReplyId};
    use crate::time::{CHUNK_SAMPLES, ChunkIdx};

    fn at(chunk: u64) -> StreamTime {
        StreamTime::from_samples((chunk + 1) * CHUNK_SAMPLES as u64)
    }

    fn said(mode: &str, chunk: u64, text: &str) -> Event {
        let (mode, reply, stop) = (mode.to_owned(), ReplyId(chunk), StopReason::End);
        Event::ReplyFinished { at: at(chunk), reply, mode, text: text.into(), from_secs: at(chunk - 1), to_secs: at(chunk), stop }
    }

    fn began(chunk: u64) -> [Event; 2] {
        let (at, chunk, mode, reply) = (at(chunk), ChunkIdx(chunk), "dialog".to_owned(), ReplyId(chunk));
        [
            Event::Decision { at, chunk, mode: mode.clone(), silent: false, drained: false, margin: None },
            Event::ReplyStarted { at, reply, chunk, mode, emotion: None },
        ]
    }

    fn transcript() -> Transcript {
        let shown = [("dialog", Panel::Conversation), ("transcribe", Panel::Transcript), ("translate", Panel::Translation)];
        Transcript::new(shown.into_iter().map(|(mode, panel)| (mode.to_owned(), panel)).collect())
    }

    fn words(t: &Transcript) -> Vec<&str> {
        t.rows.iter().filter_map(|row| row.utterance).map(|n| t.utterances[n].text.as_str()).collect()
    }

    #[test]
    fn taken_lines_come_back_before_those_said_since() {
        let mut t = transcript();
        t.apply(&said("transcribe", 2, "one"));
        t.apply(&said("translate", 3, "一"));
        began(4).iter().for_each(|event| t.apply(event));
        let taken = t.take_all();
        assert!(t.rows.is_empty() && t.replies.is_empty() && t.strips.is_empty() && t.now == at(4));
        t.apply(&said("transcribe", 20, "two"));
        t.apply(&said("translate", 21, "二"));
        began(22).iter().for_each(|event| t.apply(event));
        t.restore(taken);
        assert_eq!(words(&t), ["one", "two"]);
        let meant: Vec<&str> = t.rows.iter().filter_map(|row| row.translation).map(|n| t.translations[n].text.as_str()).collect();
        assert_eq!(meant, ["一", "二"]);
        let stops: Vec<Option<StopReason>> = t.replies.iter().map(|reply| reply.stop).collect();
        assert_eq!(stops, [Some(StopReason::Cut), None], "a reply that was deleted half-way has ended");
        let until: Vec<Option<StreamTime>> = t.strips["dialog"].iter().map(|tick| tick.until).collect();
        assert_eq!(until, [Some(at(4)), None]);
    }

    #[test]
    fn a_new_conversation_begins_between_two_lines() {
        let mut t = transcript();
        t.apply(&said("transcribe", 5, "before"));
        t.begin_conversation();
        t.begin_conversation();
        assert_eq!(t.conversation_starts, [at(5)]);
        assert_eq!(t.conversation_start_in(Some(at(4)), None), Some(at(5)), "below the last line");
        t.apply(&said("transcribe", 30, "after"));
        assert_eq!(t.conversation_start_in(Some(at(4)), Some(at(29))), Some(at(5)));
        assert_eq!(t.conversation_start_in(Some(at(29)), None), None);
        t.forget_since(StreamTime::ZERO);
        assert_eq!(t.conversation_starts, []);
    }
}
