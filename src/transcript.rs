//! The transcript: a pure fold of a session's events into the text, replies, sounds and decisions that a person sees.
//!
//! No I/O, no thread, no clock. Not responsible for painting or printing.

mod deletion;
mod notices;
mod speech;

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::{Emotion, Event, ModelChoice, Panel, ReplyId, StopReason};
use crate::time::{CHUNK_SAMPLES, SAMPLE_RATE_HZ, StreamTime};

pub use notices::{InputState, ModelFailure, Notice, NoticeKind};
pub use speech::{ReplyTrigger, SpeechRow};

/// Shortest pause that separates two utterances, in samples: 1.2 s.
pub(crate) const JOIN_SAMPLES: u64 = 12 * SAMPLE_RATE_HZ as u64 / 10;
/// Largest number of decisions kept for each mode: ten minutes.
const MAX_TICKS: usize = 1_500;
/// Largest number of quiet periods kept: as many as ten minutes can hold.
const MAX_QUIETS: usize = 100;

/// An utterance or its translation, joined from the pieces of text that a mode gives chunk by chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechLine {
    /// Audio time at the start of the chunk of the first piece.
    pub from: StreamTime,
    /// Audio time at the end of the chunk of the last piece.
    pub to: StreamTime,
    /// Text of all pieces.
    pub text: String,
}

/// A reply of Hearken.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Number of the reply in the session.
    pub id: ReplyId,
    /// Name of the mode that gives the reply.
    pub mode: String,
    /// Audio time at which the model chose to respond.
    pub at: StreamTime,
    /// Emotion tag of the reply; None if the model gave none.
    pub emotion: Option<Emotion>,
    /// Text of the reply so far.
    pub text: String,
    /// Reason why the reply ended; None while the reply is generated.
    pub stop: Option<StopReason>,
}

/// A sound with all its occurrences, each within 5 s of the occurrence before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundLine {
    /// Name of the sound.
    pub name: String,
    /// Number of occurrences; 1 for a single sound.
    pub count: u32,
    /// Audio time of the first occurrence.
    pub first: StreamTime,
    /// Audio time of the last occurrence.
    pub last: StreamTime,
}

/// A decision of one mode on one chunk, as the timeline shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionTick {
    /// Audio time at the end of the chunk.
    pub at: StreamTime,
    /// Kind of the decision.
    pub kind: DecisionKind,
    /// Respond logit minus silent logit of the model, without the eagerness of the mode; None where it was not reported.
    pub margin: Option<f32>,
    /// Reply that the decision started; None if the decision started no reply.
    pub reply: Option<ReplyId>,
    /// Audio time of the newest event when the reply `reply` ended; None while the reply is generated, or without a reply.
    pub until: Option<StreamTime>,
}

/// The kinds of decisions of a mode on a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionKind {
    /// Stay silent.
    Silent,
    /// Respond.
    Respond,
    /// No decision: the chunk was fed as silent while catching up.
    Drained,
}

/// The transcript of a session.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// Panel of each mode, by the mode's name.
    panels: BTreeMap<String, Panel>,
    /// Utterances, from the modes shown as transcript, in the order of arrival.
    pub utterances: Vec<SpeechLine>,
    /// Translations, from the modes shown as translation, in the order of arrival.
    pub translations: Vec<SpeechLine>,
    /// Utterances and translations side by side, in the order of time.
    pub rows: Vec<SpeechRow>,
    /// Replies of the modes shown as conversation, in the order in which they began.
    pub replies: Vec<Reply>,
    /// Sounds that are not speech, in the order of their first occurrence.
    pub sounds: Vec<SoundLine>,
    /// Newest decisions (1,500, ten minutes) of each mode, oldest first, by the mode's name.
    pub strips: BTreeMap<String, VecDeque<DecisionTick>>,
    /// Start and end of the newest quiet periods that are over, 100 at most, oldest first. Modes decide nothing in a quiet period.
    pub quiets: VecDeque<(StreamTime, StreamTime)>,
    /// Newest notices about the session itself, 500 at most, oldest first.
    pub notices: VecDeque<Notice>,
    /// Names of the modes that are on.
    pub modes: Vec<String>,
    /// Wall time at the start of a session with a microphone, in UTC; None for other sources.
    pub started_utc: Option<String>,
    /// Name of the current model.
    pub model: String,
    /// Choice of the current model, once the model was changed in the session; None before.
    pub model_choice: Option<ModelChoice>,
    /// The newest choice of a model that failed; None once a later one succeeded.
    pub model_failure: Option<ModelFailure>,
    /// Name of the input: a device, files, or stdin.
    pub source: String,
    /// Start of the current quiet period; None while the gate is open.
    pub quiet_since: Option<StreamTime>,
    /// True from `input_lost` to `input_changed`.
    input_lost: bool,
    /// True if the input is lost because there is no microphone.
    no_microphone: bool,
    /// True from `input_silent` until sound arrives again, or another input.
    input_silent: bool,
    /// Start and end of the newest speech that no mode responded to.
    pub not_understood: Option<(StreamTime, StreamTime)>,
    /// True from `paused` to `resumed`.
    paused: bool,
    /// Reply that is being spoken aloud; None while the voice is silent.
    pub speaking: Option<ReplyId>,
    /// Audio times at which the user began a new conversation, oldest first: the model knows nothing from before.
    pub conversation_starts: Vec<StreamTime>,
    /// True once the session has ended.
    pub finished: bool,
    /// Largest audio time of an event so far.
    pub now: StreamTime,
}

impl Transcript {
    /// Returns an empty transcript; `panels` maps the name of each mode to its panel.
    #[must_use]
    pub fn new(panels: BTreeMap<String, Panel>) -> Self {
        Self {
            panels,
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
            model_choice: None,
            model_failure: None,
            source: String::new(),
            quiet_since: None,
            input_lost: false,
            no_microphone: false,
            input_silent: false,
            not_understood: None,
            paused: false,
            speaking: None,
            conversation_starts: Vec::new(),
            finished: false,
            now: StreamTime::ZERO,
        }
    }

    /// Returns true if there is anything to read: words, replies or sounds.
    #[must_use]
    pub const fn has_content(&self) -> bool {
        !self.rows.is_empty() || !self.replies.is_empty() || !self.sounds.is_empty()
    }

    /// Adds or replaces the panels of these modes, for later events; panels of other modes stay.
    pub fn set_panels(&mut self, panels: BTreeMap<String, Panel>) {
        self.panels.extend(panels);
    }

    /// Applies the next event of the session.
    pub fn apply(&mut self, event: &Event) {
        self.now = self.now.max(event.at());
        match event {
            Event::SessionStarted { model, source, modes, started_utc, .. } => {
                self.started_utc.clone_from(started_utc);
                (self.model, self.source, self.modes) = (model.clone(), source.clone(), modes.clone());
            }
            Event::Decision { at, mode, silent, drained, margin, .. } => {
                let strip = self.strips.entry(mode.clone()).or_default();
                if strip.len() == MAX_TICKS {
                    strip.pop_front();
                }
                let kind = match (silent, drained) {
                    (_, true) => DecisionKind::Drained,
                    (true, false) => DecisionKind::Silent,
                    (false, false) => DecisionKind::Respond,
                };
                strip.push_back(DecisionTick { at: *at, kind, margin: *margin, reply: None, until: None });
            }
            Event::ReplyStarted { at, reply, mode, emotion, .. } => self.begin_reply(*at, *reply, mode, *emotion),
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
                    Panel::Transcript => self.add_speech(*from_secs, *to_secs, text),
                    Panel::Translation => self.add_translation(*from_secs, *to_secs, text),
                    Panel::Sounds => {}
                }
            }
            Event::Sound { at, name, count, .. } => match self.sounds.iter_mut().rev().find(|s| s.name == *name) {
                Some(line) if *count > 1 => (line.count, line.last) = (*count, *at),
                _ => self.sounds.push(SoundLine { name: name.clone(), count: *count, first: *at, last: *at }),
            },
            Event::VoiceStarted { reply, .. } => self.speaking = Some(*reply),
            Event::VoiceFinished { .. } => self.speaking = None,
            Event::Gate { at, open: true, .. } => self.end_quiet_period(*at),
            Event::Gate { at, open: false, .. } => self.quiet_since = Some(*at),
            Event::Paused { .. } => (self.paused, self.input_silent) = (true, false),
            Event::Resumed { .. } => self.paused = false,
            Event::ModesChanged { modes, .. } => modes.clone_into(&mut self.modes),
            Event::NotUnderstood { from_secs, to_secs, .. } => self.not_understood = Some((*from_secs, *to_secs)),
            Event::SessionFinished { .. } => self.finished = true,
            Event::Timing { .. } => {}
            Event::ModelChanged { .. }
            | Event::ContextTrimmed { .. }
            | Event::AudioGap { .. }
            | Event::InputChanged { .. }
            | Event::InputLost { .. }
            | Event::InputSilent { .. }
            | Event::InputAudible { .. }
            | Event::ModelFailed { .. }
            | Event::Problem { .. } => self.apply_to_notices(event),
        }
    }

    /// Ends the current quiet period, if any, at audio time `at`.
    fn end_quiet_period(&mut self, at: StreamTime) {
        if let Some(since) = self.quiet_since.take() {
            if self.quiets.len() == MAX_QUIETS {
                self.quiets.pop_front();
            }
            self.quiets.push_back((since, at));
        }
    }

    /// Returns the panel of the mode called `mode`; the conversation for an unknown mode.
    #[must_use]
    pub fn panel_of(&self, mode: &str) -> Panel {
        self.panels.get(mode).copied().unwrap_or(Panel::Conversation)
    }

    /// Links a new reply with its decision, and adds it to the replies if its mode is shown as conversation.
    fn begin_reply(&mut self, at: StreamTime, reply: ReplyId, mode: &str, emotion: Option<Emotion>) {
        if let Some(tick) = self.tick_mut(mode, |tick| tick.at == at) {
            tick.reply = Some(reply);
        }
        if self.panel_of(mode) == Panel::Conversation {
            self.replies.push(Reply { id: reply, mode: mode.to_owned(), at, emotion, text: String::new(), stop: None });
        }
    }

    /// Returns the newest decision of `mode` that `matches` accepts; None if there is none.
    fn tick_mut(&mut self, mode: &str, matches: impl Fn(&DecisionTick) -> bool) -> Option<&mut DecisionTick> {
        self.strips.get_mut(mode)?.iter_mut().rev().find(|tick| matches(tick))
    }
}

/// The effect of a new piece of speech on the lines of speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JoinResult {
    /// The piece has no words.
    Empty,
    /// The piece extended the last line.
    Extended,
    /// The piece began a new line.
    New,
}

/// Appends the piece of speech `text` to the last of `lines`, or begins a new line if the piece starts 1.2 s or more after the end of
/// the last line. Returns which.
fn join(lines: &mut Vec<SpeechLine>, from: StreamTime, to: StreamTime, text: &str) -> JoinResult {
    let text = text.trim();
    if text.is_empty() {
        return JoinResult::Empty;
    }
    match lines.last_mut() {
        Some(line) if from.0 - line.to.0 < JOIN_SAMPLES => {
            append(&mut line.text, text);
            line.to = to;
            JoinResult::Extended
        }
        _ => {
            lines.push(SpeechLine { from, to, text: text.to_owned() });
            JoinResult::New
        }
    }
}

/// Appends `text` to `before`, with a space between them unless one of the two characters that meet is Chinese or the like.
pub(crate) fn append(before: &mut String, text: &str) {
    if before.chars().last().is_some_and(uses_spaces) && text.chars().next().is_some_and(uses_spaces) {
        before.push(' ');
    }
    before.push_str(text);
}

/// Returns true if the script of `c` separates words by spaces: all but Chinese (CJK blocks and their punctuation).
pub(crate) fn uses_spaces(c: char) -> bool {
    !matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}

/// Returns the start of the chunk that ends at `at`, 0.4 s earlier.
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
    fn the_final_text_of_a_reply_replaces_its_pieces() {
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
    fn recent_speech_can_be_forgotten_and_later_speech_is_added() {
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
