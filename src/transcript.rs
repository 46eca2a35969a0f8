//! What a person sees of a session: a pure fold of events into utterances, translations, replies, sounds and the strip.
//!
//! No I/O, no thread, no clock. Not responsible for painting or printing any of it.

mod speech;

use std::collections::{BTreeMap, VecDeque};

use crate::error::{ErrorKind, with_remedy_text};
use crate::protocol::{Emotion, Event, Panel, ReplyId, StopReason};
use crate::time::{CHUNK_SAMPLES, SAMPLE_RATE_HZ, StreamTime};

pub use speech::{ReplyTrigger, SpeechRow};

/// Pieces less than this apart are one utterance (DESIGN.md "From replies to text": 1.2 s).
pub(crate) const JOIN_SAMPLES: u64 = 12 * SAMPLE_RATE_HZ as u64 / 10;
/// Ticks that the strip keeps for each mode: ten minutes.
const TICKS: usize = 1_500;
/// Times of quiet that are kept: as many as ten minutes can hold.
const QUIETS: usize = 100;
/// Notices that are kept.
const NOTICES: usize = 500;

/// One utterance, or its translation.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechLine {
    /// Start of its first chunk.
    pub from: StreamTime,
    /// End of its last chunk.
    pub to: StreamTime,
    /// Its words.
    pub text: String,
}

/// One reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Its number.
    pub id: ReplyId,
    /// When the model chose to respond.
    pub at: StreamTime,
    /// Its tag.
    pub emotion: Option<Emotion>,
    /// What it says, as far as it is known.
    pub text: String,
    /// Why it ended; None while it is being given.
    pub stop: Option<StopReason>,
}

/// One sound, or several alike in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundLine {
    /// Its name.
    pub name: String,
    /// How often.
    pub count: u32,
    /// When first.
    pub first: StreamTime,
    /// When last.
    pub last: StreamTime,
}

/// One decision, as the strip shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionTick {
    /// End of the chunk.
    pub at: StreamTime,
    /// What was decided.
    pub kind: DecisionKind,
    /// The reply that it started.
    pub reply: Option<ReplyId>,
    /// Until when that reply was given; None while it is, or without one.
    pub until: Option<StreamTime>,
}

/// What was decided on a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionKind {
    /// To stay silent.
    Silent,
    /// To respond.
    Respond,
    /// It was passed over while catching up.
    Drained,
}

/// Something that happened to the session itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When.
    pub at: StreamTime,
    /// In one sentence.
    pub text: String,
}

/// Everything that is known of a session.
#[derive(Clone, Debug)]
pub struct Transcript {
    shown: BTreeMap<String, Panel>,
    /// What was said.
    pub utterances: Vec<SpeechLine>,
    /// What it means in the other language.
    pub translations: Vec<SpeechLine>,
    /// Both, aligned in time.
    pub rows: Vec<SpeechRow>,
    /// What Hearken said.
    pub replies: Vec<Reply>,
    /// What was heard besides speech.
    pub sounds: Vec<SoundLine>,
    /// The newest decisions of each mode.
    pub strips: BTreeMap<String, VecDeque<DecisionTick>>,
    /// The newest times of quiet, in which nothing was decided, oldest first.
    pub quiets: VecDeque<(StreamTime, StreamTime)>,
    /// What happened to the session itself.
    pub notices: VecDeque<Notice>,
    /// The modes that are on.
    pub modes: Vec<String>,
    /// When a session with a microphone began.
    pub started_utc: Option<String>,
    /// The model that listens.
    pub model: String,
    /// The input.
    pub source: String,
    /// Since when the gate is closed; None while it is open.
    pub quiet_since: Option<StreamTime>,
    /// Whether the input is lost, or was never there.
    pub no_input: bool,
    /// Whether capture is paused.
    pub paused: bool,
    /// The reply that is being spoken.
    pub speaking: Option<ReplyId>,
    /// Whether the session has ended.
    pub finished: bool,
    /// The newest time that any event has.
    pub now: StreamTime,
}

impl Transcript {
    /// A session of which nothing is known yet; `shown` says where the responses of each mode belong.
    #[must_use]
    pub fn new(shown: BTreeMap<String, Panel>) -> Self {
        Self {
            shown,
            utterances: Vec::new(),
            translations: Vec::new(),
            rows: Vec::new(),
            replies: Vec::new(),
            sounds: Vec::new(),
            strips: BTreeMap::new(),
            quiets: VecDeque::new(),
            notices: VecDeque::new(),
            started_utc: None,
            modes: Vec::new(),
            model: String::new(),
            source: String::new(),
            quiet_since: None,
            no_input: false,
            paused: false,
            speaking: None,
            finished: false,
            now: StreamTime::ZERO,
        }
    }

    /// Learns where the responses of modes belong that were defined since.
    pub fn set_panels(&mut self, shown: BTreeMap<String, Panel>) {
        self.shown.extend(shown);
    }

    /// Takes the next event.
    pub fn apply(&mut self, event: &Event) {
        self.now = self.now.max(event.at());
        match event {
            Event::SessionStarted { model, source, modes, started_utc, .. } => {
                self.started_utc.clone_from(started_utc);
                (self.model, self.source, self.modes) = (model.clone(), source.clone(), modes.clone());
            }
            Event::Decision { at, mode, silent, drained, .. } => {
                let strip = self.strips.entry(mode.clone()).or_default();
                if strip.len() == TICKS {
                    strip.pop_front();
                }
                let kind = match (silent, drained) {
                    (_, true) => DecisionKind::Drained,
                    (true, false) => DecisionKind::Silent,
                    (false, false) => DecisionKind::Respond,
                };
                strip.push_back(DecisionTick { at: *at, kind, reply: None, until: None });
            }
            Event::ReplyStarted { at, reply, mode, emotion, .. } => self.start(*at, *reply, mode, *emotion),
            Event::ReplyText { reply, text, .. } => {
                if let Some(found) = self.replies.iter_mut().rev().find(|r| r.id == *reply) {
                    found.text.push_str(if found.text.is_empty() { text.trim_start() } else { text });
                }
            }
            Event::ReplyFinished { reply, mode, text, from_secs, to_secs, stop, .. } => {
                let now = self.now;
                if let Some(tick) = self.tick_mut(mode, |tick| tick.reply == Some(*reply)) {
                    tick.until = Some(now);
                }
                match self.panel_of(mode) {
                    Panel::Conversation => {
                        if let Some(found) = self.replies.iter_mut().rev().find(|r| r.id == *reply) {
                            text.trim().clone_into(&mut found.text);
                            found.stop = Some(*stop);
                        }
                    }
                    Panel::Transcript => self.hear_speech(*from_secs, *to_secs, text),
                    Panel::Translation => self.hear_translation(*from_secs, *to_secs, text),
                    Panel::Sounds => {}
                }
            }
            Event::Sound { at, name, count, .. } => match self.sounds.iter_mut().rev().find(|s| s.name == *name) {
                Some(line) if *count > 1 => (line.count, line.last) = (*count, *at),
                _ => self.sounds.push(SoundLine { name: name.clone(), count: *count, first: *at, last: *at }),
            },
            Event::VoiceStarted { reply, .. } => self.speaking = Some(*reply),
            Event::VoiceFinished { .. } => self.speaking = None,
            Event::Gate { at, open: true, .. } => {
                if let Some(since) = self.quiet_since.take() {
                    if self.quiets.len() == QUIETS {
                        self.quiets.pop_front();
                    }
                    self.quiets.push_back((since, *at));
                }
            }
            Event::Gate { at, open: false, .. } => self.quiet_since = Some(*at),
            Event::Paused { .. } => self.paused = true,
            Event::Resumed { .. } => self.paused = false,
            Event::ModesChanged { modes, .. } => modes.clone_into(&mut self.modes),
            Event::ModelChanged { at, model } => {
                model.clone_into(&mut self.model);
                self.notice(*at, format!("{model} listens now"));
            }
            Event::ContextTrimmed { at, mode, dropped_chunks, .. } => {
                self.notice(*at, format!("{mode} forgot the oldest {:.0} s to make room", *dropped_chunks as f64 * 0.4));
            }
            Event::AudioGap { at, samples, cause, .. } => {
                let secs = *samples as f64 / f64::from(SAMPLE_RATE_HZ);
                self.notice(*at, format!("{secs:.1} s of sound were lost ({cause:?})").to_lowercase());
            }
            Event::InputChanged { at, device, .. } => {
                device.clone_into(&mut self.source);
                self.no_input = false;
                self.notice(*at, format!("listening to {device}"));
            }
            Event::Problem { at, kind, message, remedy, .. } => {
                // From here until `input_changed` nothing is heard.
                self.no_input |= *kind == ErrorKind::InputDevice;
                self.notice(*at, with_remedy_text(message, *remedy));
            }
            Event::SessionFinished { .. } => self.finished = true,
            Event::Timing { .. } => {}
        }
    }

    /// Leaves out what was heard and said since `at`; a line that goes on past it goes whole, for its words cannot be told apart.
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
    }

    /// Where the responses of `mode` belong.
    #[must_use]
    pub fn panel_of(&self, mode: &str) -> Panel {
        self.shown.get(mode).copied().unwrap_or(Panel::Conversation)
    }

    fn start(&mut self, at: StreamTime, reply: ReplyId, mode: &str, emotion: Option<Emotion>) {
        if let Some(tick) = self.tick_mut(mode, |tick| tick.at == at) {
            tick.reply = Some(reply);
        }
        if self.panel_of(mode) == Panel::Conversation {
            self.replies.push(Reply { id: reply, at, emotion, text: String::new(), stop: None });
        }
    }

    /// The newest tick of `mode` that is the one.
    fn tick_mut(&mut self, mode: &str, is_it: impl Fn(&DecisionTick) -> bool) -> Option<&mut DecisionTick> {
        self.strips.get_mut(mode)?.iter_mut().rev().find(|tick| is_it(tick))
    }

    fn notice(&mut self, at: StreamTime, text: String) {
        if self.notices.len() == NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(Notice { at, text });
    }
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    /// It had no words.
    Nothing,
    /// It went on the last line.
    Last,
    /// It began another.
    Another,
}

/// Adds a piece to the last line, or begins another when it comes more than 1.2 s later.
fn join(lines: &mut Vec<SpeechLine>, from: StreamTime, to: StreamTime, text: &str) -> Joined {
    let text = text.trim();
    if text.is_empty() {
        return Joined::Nothing;
    }
    match lines.last_mut() {
        Some(line) if from.0 - line.to.0 < JOIN_SAMPLES => {
            append(&mut line.text, text);
            line.to = to;
            Joined::Last
        }
        _ => {
            lines.push(SpeechLine { from, to, text: text.to_owned() });
            Joined::Another
        }
    }
}

/// Adds a piece to a text, with a space between them where their scripts have one.
pub(crate) fn append(before: &mut String, text: &str) {
    if before.chars().last().is_some_and(is_spaced) && text.chars().next().is_some_and(is_spaced) {
        before.push(' ');
    }
    before.push_str(text);
}

/// Whether a script puts spaces between words: all that Hearken hears do, but Chinese (CJK blocks and their punctuation).
pub(crate) fn is_spaced(c: char) -> bool {
    !matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}

/// Start of the chunk that ends at `at`.
#[must_use]
pub const fn chunk_start(at: StreamTime) -> StreamTime {
    at.before(CHUNK_SAMPLES as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(chunk: u64) -> StreamTime {
        StreamTime::from_samples((chunk + 1) * CHUNK_SAMPLES as u64)
    }

    fn finished(mode: &str, id: u64, chunk: u64, text: &str) -> Event {
        let (at, from_secs) = (at(chunk), chunk_start(at(chunk)));
        Event::ReplyFinished { at, reply: ReplyId(id), mode: mode.into(), text: text.into(), from_secs, to_secs: at, stop: StopReason::End }
    }

    fn transcript() -> Transcript {
        let shown = [("dialog", Panel::Conversation), ("transcribe", Panel::Transcript), ("sounds", Panel::Sounds)];
        Transcript::new(shown.into_iter().map(|(m, s)| (m.to_owned(), s)).collect())
    }

    #[test]
    fn pieces_close_together_are_one_utterance() {
        let mut t = transcript();
        for (id, chunk, text) in [(1, 0, " what is"), (2, 1, "your"), (3, 3, "name"), (4, 9, "yes"), (5, 30, "你"), (6, 31, "好")] {
            t.apply(&finished("transcribe", id, chunk, text));
        }
        let texts: Vec<&str> = t.utterances.iter().map(|u| u.text.as_str()).collect();
        assert_eq!(texts, ["what is your name", "yes", "你好"]);
        assert_eq!((t.utterances[0].from.secs(), t.utterances[0].to.secs()), (0.0, 1.6));
    }

    #[test]
    fn a_reply_grows_and_its_whole_text_counts() {
        let mut t = transcript();
        t.apply(&Event::Decision {
            at: at(2),
            chunk: crate::time::ChunkIdx(2),
            mode: "dialog".into(),
            silent: false,
            drained: false,
            margin: None,
        });
        t.apply(&Event::ReplyStarted {
            at: at(2),
            reply: ReplyId(7),
            chunk: crate::time::ChunkIdx(2),
            mode: "dialog".into(),
            emotion: Some(Emotion::Urgent),
        });
        t.apply(&Event::ReplyText { at: at(2), reply: ReplyId(7), mode: "dialog".into(), text: " Is every".into() });
        assert_eq!((t.replies[0].text.as_str(), t.replies[0].stop), ("Is every", None));
        t.apply(&finished("dialog", 7, 2, " Is everything all right?"));
        assert_eq!((t.replies[0].text.as_str(), t.replies[0].stop), ("Is everything all right?", Some(StopReason::End)));
        assert_eq!(t.strips["dialog"][0].reply, Some(ReplyId(7)));
    }

    #[test]
    fn what_was_said_of_late_can_be_left_out_and_what_comes_then_is_heard() {
        let mut t = transcript();
        for (id, chunk, text) in [(1, 0, "early"), (2, 9, "before"), (3, 10, "and after")] {
            t.apply(&finished("transcribe", id, chunk, text));
        }
        t.apply(&Event::Sound { at: at(2), reply: ReplyId(4), name: "dog".into(), count: 1 });
        t.apply(&Event::Sound { at: at(12), reply: ReplyId(5), name: "cat".into(), count: 1 });
        t.forget_since(at(9));
        assert_eq!((t.utterances.len(), t.rows.len(), t.sounds.len()), (1, 1, 1));
        t.apply(&finished("transcribe", 6, 20, "late"));
        assert_eq!(t.rows.last().and_then(|row| row.utterance).map(|n| t.utterances[n].text.as_str()), Some("late"));
    }

    #[test]
    fn repeated_sounds_are_one_line_with_a_count() {
        let mut t = transcript();
        for (n, count) in [(1, 1), (2, 2), (30, 1)] {
            t.apply(&Event::Sound { at: at(n), reply: ReplyId(n), name: "dog bark".into(), count });
        }
        assert_eq!(t.sounds.iter().map(|s| s.count).collect::<Vec<_>>(), [2, 1]);
    }
}
