//! From lane events to protocol events: replies with their numbers and text, sounds with their counts.

use std::collections::BTreeMap;

use crate::config::Mode;
use crate::lane::{Choice, LaneEvent};
use crate::model::starter_phrases;
use crate::model::text::{StreamingText, Vocabulary};
use crate::protocol::{Event, Panel, ReplyId, StopReason};
use crate::text::{beginning, one_line};
use crate::time::{CHUNK_SAMPLES, SAMPLE_RATE_HZ, StreamTime};

/// Time within which a sound of the same name counts as another occurrence of one sound: 5 s, in samples (a dog barks every second or two).
const SAME_SOUND_SAMPLES: u64 = 5 * SAMPLE_RATE_HZ as u64;
/// Number of characters to which a sound's name is cut.
const MAX_NAME_CHARS: usize = 80;

/// The replies in progress and the sounds of a session, from which its protocol events are made.
#[derive(Debug, Default)]
pub(super) struct ReplyEvents {
    /// Number of replies begun so far.
    count: u64,
    /// Replies in progress, by the name of the mode.
    open: BTreeMap<String, OpenReply>,
    /// Time of the last occurrence and number of occurrences of each sound, by its name.
    sounds: BTreeMap<String, (StreamTime, u32)>,
}

/// A reply in progress.
#[derive(Debug)]
struct OpenReply {
    reply: ReplyId,
    /// Audio time at the end of the answered chunk.
    at: StreamTime,
    /// Text so far.
    text: StreamingText,
}

impl ReplyEvents {
    /// Returns the number of replies begun so far.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Continues the numbering after `count` replies of another session.
    pub(super) const fn continue_from(&mut self, count: u64) {
        self.count = count;
    }

    /// Appends to `out` the protocol events for an event of the lane of `mode`.
    pub(super) fn push(&mut self, mode: &Mode, event: &LaneEvent, vocabulary: &Vocabulary, out: &mut Vec<Event>) {
        match event {
            LaneEvent::Decided { chunk, at, choice, margin } => out.push(Event::Decision {
                at: *at,
                chunk: *chunk,
                mode: mode.name.clone(),
                silent: *choice != Choice::Respond,
                drained: *choice == Choice::Drained,
                margin: Some(*margin),
            }),
            LaneEvent::Started { chunk, at, emotion } => {
                self.count += 1;
                let reply = ReplyId(self.count);
                self.open.insert(mode.name.clone(), OpenReply { reply, at: *at, text: StreamingText::default() });
                out.push(Event::ReplyStarted { at: *at, reply, chunk: *chunk, mode: mode.name.clone(), emotion: *emotion });
            }
            LaneEvent::Token(token) => {
                if let Some(open) = self.open.get_mut(&mode.name)
                    && let Some(text) = open.text.step(*token, vocabulary)
                {
                    out.push(Event::ReplyText { at: open.at, reply: open.reply, mode: mode.name.clone(), text });
                }
            }
            LaneEvent::Finished(stop) => {
                if let Some(open) = self.open.remove(&mode.name) {
                    self.finish(mode, open, *stop, vocabulary, out);
                }
            }
        }
    }

    fn finish(&mut self, mode: &Mode, mut open: OpenReply, stop: StopReason, vocabulary: &Vocabulary, out: &mut Vec<Event>) {
        let (at, reply) = (open.at, open.reply);
        if let Some(text) = open.text.finish(vocabulary) {
            out.push(Event::ReplyText { at, reply, mode: mode.name.clone(), text });
        }
        let text = open.text.text().to_owned();
        let shortened = || beginning(&one_line(&text), MAX_NAME_CHARS).to_owned();
        let name: String = starter_phrases::match_sound_name(&text).map_or_else(shortened, str::to_owned);
        out.push(Event::ReplyFinished {
            at,
            reply,
            mode: mode.name.clone(),
            text,
            from_secs: at.before(CHUNK_SAMPLES as u64),
            to_secs: at,
            stop,
        });
        if mode.panel == Panel::Sounds && !name.is_empty() {
            let count = match self.sounds.get(&name) {
                Some((last, count)) if at.0 - last.0 <= SAME_SOUND_SAMPLES => count + 1,
                _ => 1,
            };
            self.sounds.insert(name.clone(), (at, count));
            out.push(Event::Sound { at, reply, name, count });
        }
    }
}
