//! One sitting: its session, what it hears next, and what has come of each of its items.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::{Clock, Hearer, Margins, Sitting};
use crate::audio::chunker::{Chunk, Chunker};
use crate::audio::file::FileSource;
use crate::audio::{Source, SourceEvent};
use crate::error::Result;
use crate::eval::items::{Item, Prediction, Reply, chunk_secs};
use crate::mel::{MaxWindow, QuietGate};
use crate::protocol::{Event, ReplyId};
use crate::session::front_end::{Analysis, EncodedChunks, FrontEnd};
use crate::session::{Session, SessionConfig, WhenFull};
use crate::time::SAMPLE_RATE_HZ;

/// Name of the lane that never responds.
const SILENT: &str = "never responds";
/// Bias of that lane: no logit makes up for it.
const NEVER: f32 = -1e9;
/// Samples of a stretch whose level is taken: 20 ms.
const STRETCH: usize = SAMPLE_RATE_HZ as usize / 50;
/// A sound begins where it first comes so near to its loudest stretch, in decades of power (30 dB).
const BELOW_LOUDEST: f32 = 3.0;
/// What is quieter than this is no sound, in decades of power (-60 dB below full scale).
const QUIETEST: f32 = -6.0;

/// One sitting.
pub(super) struct Seat {
    condition: String,
    session: Session,
    mode: String,
    clock: Clock,
    gap_secs: f64,
    front_end: FrontEnd,
    chunker: Chunker,
    clips: VecDeque<Clip>,
    source: Option<FileSource>,
    waiting: VecDeque<Chunk>,
    /// Chunks that were cut so far.
    cut: u64,
    parts: Vec<Part>,
    events: Vec<Event>,
    /// Which item, and which of its replies, each reply is.
    replies: HashMap<ReplyId, (usize, usize)>,
    fed_at: Instant,
}

/// A sound that is heard next.
struct Clip {
    part: usize,
    path: PathBuf,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Sound,
    Question,
}

/// An item, as far as it has been heard.
struct Part {
    item: Item,
    first_chunk: Option<u64>,
    sound_chunks: u64,
    question_chunk: Option<u64>,
    loudness: Vec<f32>,
    replies: Vec<Reply>,
    margins: Vec<f32>,
    trims: u32,
    unheard: Option<String>,
}

impl Seat {
    pub(super) fn new(hearer: &Hearer, sitting: Sitting) -> Result<Self> {
        let conduct = SessionConfig { when_full: WhenFull::Trim(sitting.context), ..hearer.conduct.clone() };
        let mut session = Session::new(Arc::clone(&hearer.model), conduct)?;
        session.switch_on(&hearer.mode, &hearer.opening)?;
        if hearer.margins == Margins::OfTheWhole {
            let mut silent = hearer.mode.clone();
            (silent.name, silent.eagerness) = (SILENT.to_owned(), NEVER);
            session.switch_on(&silent, &hearer.opening)?;
        }
        let mut clips = VecDeque::new();
        for (part, item) in sitting.items.iter().enumerate() {
            clips.push_back(Clip { part, path: item.audio.clone(), role: Role::Sound });
            if let Some(path) = &item.question_audio {
                clips.push_back(Clip { part, path: path.clone(), role: Role::Question });
            }
        }
        Ok(Self {
            condition: sitting.condition,
            session,
            mode: hearer.mode.name.clone(),
            clock: hearer.clock,
            front_end: FrontEnd::new(MaxWindow::Last45Secs, hearer.gate.then(QuietGate::default)),
            gap_secs: hearer.gap_secs,
            chunker: Chunker::new(),
            clips,
            source: None,
            waiting: VecDeque::new(),
            cut: 0,
            parts: sitting.items.into_iter().map(Part::new).collect(),
            events: Vec::new(),
            replies: HashMap::new(),
            fed_at: Instant::now(),
        })
    }

    /// Whether it has nothing to do until it is fed, and may be.
    pub(super) fn is_idle(&self) -> bool {
        self.session.backlog() == 0 && !self.session.is_replying() && !self.has_heard_all()
    }

    /// Whether everything has been heard and said.
    pub(super) fn is_done(&self) -> bool {
        self.has_heard_all() && self.session.backlog() == 0 && !self.session.is_replying()
    }

    /// Its session, with where its events go.
    pub(super) const fn session(&mut self) -> (&mut Session, &mut Vec<Event>) {
        (&mut self.session, &mut self.events)
    }

    /// Listens to the next chunk, where there is one, as far as that needs no model.
    pub(super) fn listen(&mut self) -> Option<Analysis> {
        let chunk = self.next_chunk()?;
        self.fed_at = Instant::now();
        Some(self.front_end.analyse(&chunk))
    }

    /// Takes in what it listened to, encoded.
    pub(super) fn take_in(&mut self, heard: EncodedChunks) {
        heard.encoded.into_iter().for_each(|encoded| self.session.push(encoded));
    }

    /// Takes what the last pass came to.
    pub(super) fn learn(&mut self) {
        for event in std::mem::take(&mut self.events) {
            self.take(event);
        }
    }

    /// What has come of each item.
    pub(super) fn finish(self) -> Vec<Prediction> {
        let condition = self.condition;
        self.parts.into_iter().map(|part| part.finish(&condition)).collect()
    }

    fn has_heard_all(&self) -> bool {
        self.clips.is_empty() && self.source.is_none() && self.waiting.is_empty()
    }

    fn next_chunk(&mut self) -> Option<Chunk> {
        loop {
            if let Some(chunk) = self.waiting.pop_front() {
                return Some(chunk);
            }
            if self.source.is_none() {
                let part = self.clips.front()?.part;
                self.open_next(part);
            } else {
                self.read_on();
            }
        }
    }

    /// Opens the next sound; one that cannot be heard is passed over, and the question about it with it.
    fn open_next(&mut self, part: usize) {
        let Some(clip) = self.clips.pop_front() else { return };
        let of = &mut self.parts[part];
        match clip.role {
            Role::Sound => of.first_chunk = Some(self.cut),
            Role::Question => of.question_chunk = Some(self.cut),
        }
        if of.unheard.is_some() {
            return;
        }
        match FileSource::open(&[clip.path]) {
            Ok(source) => self.source = Some(source),
            Err(error) => of.unheard = Some(error.message().to_owned()),
        }
    }

    fn read_on(&mut self) {
        let part = self.parts.iter().rposition(|part| part.first_chunk.is_some()).unwrap_or(0);
        let Some(source) = &mut self.source else { return };
        let (mut samples, mut cut) = (Vec::new(), Vec::new());
        let of = &mut self.parts[part];
        let mut ended = false;
        match source.next(&mut samples) {
            Ok(SourceEvent::Samples(_)) => self.chunker.push(&samples, &mut cut),
            Ok(SourceEvent::EndOfFile) => {
                self.chunker.end_of_file(&mut cut);
                ended = true;
            }
            Ok(SourceEvent::Problem(error)) | Err(error) => {
                of.unheard.get_or_insert_with(|| error.message().to_owned());
                // What was heard of it must not run into the next item.
                self.chunker.end_of_file(&mut cut);
                ended = true;
            }
            Ok(SourceEvent::End) => ended = true,
            Ok(SourceEvent::Nothing | SourceEvent::Gap { .. } | SourceEvent::InputChanged { .. }) => {}
        }
        if of.question_chunk.is_none() {
            of.sound_chunks += cut.len() as u64;
            cut.iter().for_each(|chunk| of.loudness.extend(chunk.samples.chunks_exact(STRETCH).map(power)));
        }
        if ended {
            self.source = None;
            self.chunker.silence(self.gap_secs, &mut cut);
        }
        self.cut += cut.len() as u64;
        self.waiting.extend(cut);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Decision { chunk, mode, margin: Some(margin), .. } if mode == SILENT => {
                let part = self.part_of(chunk.0);
                self.parts[part].margins.push(margin);
            }
            Event::ReplyStarted { chunk, mode, reply, emotion, .. } if mode == self.mode => {
                let part = self.part_of(chunk.0);
                let of = &mut self.parts[part];
                self.replies.insert(reply, (part, of.replies.len()));
                let at_secs = chunk_secs(chunk.0 + 1 - of.first_chunk.unwrap_or(0));
                let stop = crate::protocol::StopReason::Cut;
                of.replies.push(Reply { at_secs, text: String::new(), emotion, stop, first_text_ms: None });
            }
            Event::ReplyText { reply, .. } if self.clock == Clock::Read => {
                let waited = self.fed_at.elapsed().as_secs_f64() * 1e3;
                if let Some(reply) = self.reply(reply) {
                    reply.first_text_ms.get_or_insert(waited);
                }
            }
            Event::ReplyFinished { reply, text, stop, .. } => {
                if let Some(reply) = self.reply(reply) {
                    (reply.text, reply.stop) = (text, stop);
                }
            }
            Event::ContextTrimmed { mode, .. } if mode == self.mode => {
                let part = self.parts.iter().rposition(|part| part.first_chunk.is_some()).unwrap_or(0);
                self.parts[part].trims += 1;
            }
            _ => {}
        }
    }

    fn reply(&mut self, reply: ReplyId) -> Option<&mut Reply> {
        let (part, at) = *self.replies.get(&reply)?;
        self.parts[part].replies.get_mut(at)
    }

    /// The item during which this chunk was heard.
    fn part_of(&self, chunk: u64) -> usize {
        self.parts.iter().rposition(|part| part.first_chunk.is_some_and(|first| first <= chunk)).unwrap_or(0)
    }
}

impl Part {
    const fn new(item: Item) -> Self {
        Self {
            item,
            first_chunk: None,
            sound_chunks: 0,
            question_chunk: None,
            loudness: Vec::new(),
            replies: Vec::new(),
            margins: Vec::new(),
            trims: 0,
            unheard: None,
        }
    }

    fn finish(self, condition: &str) -> Prediction {
        let first = self.first_chunk.unwrap_or(0);
        Prediction {
            condition: condition.to_owned(),
            id: self.item.id,
            class: self.item.class,
            expected: self.item.expected,
            answers: self.item.answers,
            audio_secs: chunk_secs(self.sound_chunks),
            left_out_secs: None,
            onset_secs: onset(&self.loudness),
            question_secs: self.question_chunk.map(|chunk| chunk_secs(chunk - first)),
            replies: self.replies,
            margins: self.margins,
            trims: self.trims,
            unheard: self.unheard,
        }
    }
}

/// Mean power of a stretch, in decades below full scale.
fn power(stretch: &[f32]) -> f32 {
    (stretch.iter().map(|s| s * s).sum::<f32>() / stretch.len() as f32).max(1e-12).log10()
}

/// When the sound begins; None of silence.
fn onset(loudness: &[f32]) -> Option<f64> {
    let loudest = loudness.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let least = QUIETEST.max(loudest - BELOW_LOUDEST);
    let at = loudness.iter().position(|power| *power >= least)?;
    Some(at as f64 * STRETCH as f64 / f64::from(SAMPLE_RATE_HZ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_begins_where_it_rises_out_of_the_room() {
        let room = [-5.5; 25];
        let bang: Vec<f32> = room.iter().copied().chain([-1.0; 10]).collect();
        assert_eq!(onset(&bang), Some(0.5));
        assert_eq!(onset(&[-9.0; 100]), None);
        assert_eq!(onset(&[]), None);
        assert!((power(&[0.1; STRETCH]) + 2.0).abs() < 1e-4);
    }
}
