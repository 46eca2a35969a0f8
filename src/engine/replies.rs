//! From what lanes say to events: replies with their numbers and text, and sounds with their counts.

use std::collections::BTreeMap;

use crate::config::{Mode, Panel};
use crate::lane::{Choice, Said};
use crate::model::knowledge;
use crate::model::text::{StreamingText, Vocabulary};
use crate::protocol::{Event, ReplyId, Stop};
use crate::time::{CHUNK_SAMPLES, SAMPLE_RATE_HZ, StreamTime};

/// A sound that is named again within this time is the same one going on (a dog barks every second or two).
const SAME_SOUND_SAMPLES: u64 = 5 * SAMPLE_RATE_HZ as u64;
/// Longest name of a sound (CONTRACT.md).
const NAME_CHARS: usize = 80;

/// The replies of a session.
#[derive(Debug, Default)]
pub(super) struct Replies {
    count: u64,
    /// Those that are being given, by mode.
    open: BTreeMap<String, Open>,
    sounds: BTreeMap<String, (StreamTime, u32)>,
}

#[derive(Debug)]
struct Open {
    reply: ReplyId,
    at: StreamTime,
    text: StreamingText,
}

impl Replies {
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) const fn continue_from(&mut self, count: u64) {
        self.count = count;
    }

    /// Reports what the lane of `mode` said.
    pub(super) fn tell(&mut self, mode: &Mode, said: &Said, vocabulary: &Vocabulary, out: &mut Vec<Event>) {
        match said {
            Said::Decided { chunk, at, choice, margin } => out.push(Event::Decision {
                at: *at,
                chunk: *chunk,
                mode: mode.name.clone(),
                silent: *choice != Choice::Respond,
                drained: *choice == Choice::Drained,
                margin: Some(*margin),
            }),
            Said::Started { chunk, at, emotion } => {
                self.count += 1;
                let reply = ReplyId(self.count);
                self.open.insert(mode.name.clone(), Open { reply, at: *at, text: StreamingText::default() });
                out.push(Event::ReplyStarted { at: *at, reply, chunk: *chunk, mode: mode.name.clone(), emotion: *emotion });
            }
            Said::Token(token) => {
                if let Some(open) = self.open.get_mut(&mode.name)
                    && let Some(text) = open.text.step(*token, vocabulary)
                {
                    out.push(Event::ReplyText { at: open.at, reply: open.reply, mode: mode.name.clone(), text });
                }
            }
            Said::Finished(stop) => {
                if let Some(open) = self.open.remove(&mode.name) {
                    self.finish(mode, open, *stop, vocabulary, out);
                }
            }
        }
    }

    fn finish(&mut self, mode: &Mode, mut open: Open, stop: Stop, vocabulary: &Vocabulary, out: &mut Vec<Event>) {
        let (at, reply) = (open.at, open.reply);
        if let Some(text) = open.text.finish(vocabulary) {
            out.push(Event::ReplyText { at, reply, mode: mode.name.clone(), text });
        }
        let text = open.text.text().to_owned();
        let as_said = || text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(NAME_CHARS).collect();
        let name: String = knowledge::known_sound(&text).map_or_else(as_said, str::to_owned);
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
