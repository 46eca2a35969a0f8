//! A running session: its audio, its model session, and the results of its items.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::{EvalSession, FirstTextLatency, Margins, SessionRunner};
use crate::audio::chunker::{Chunk, Chunker};
use crate::audio::file::FileSource;
use crate::audio::{Source, SourceEvent};
use crate::error::Result;
use crate::eval::items::{EvalItem, PredictedReply, Prediction, chunk_secs};
use crate::level;
use crate::mel::{MaxWindow, QuietGate};
use crate::protocol::{Event, ReplyId, StopReason};
use crate::session::front_end::{Analysis, EncodedChunks, FrontEnd};
use crate::session::{Session, SessionConfig, WhenFull};
use crate::time::SAMPLE_RATE_HZ;

/// Name of the mode that never responds, added to record margins.
const SILENT: &str = "never responds";
/// Bias on the respond logit in the mode that never responds; no logit outweighs the bias.
const NEVER: f32 = -1e9;
/// Number of samples (16 kHz) of a frame whose level decides the onset of a sound: 20 ms.
const ONSET_FRAME: usize = SAMPLE_RATE_HZ as usize / 50;
/// Range of levels below the loudest frame of a sound, in dB; the first frame within the range is the onset.
const ONSET_RANGE_DB: f32 = 30.0;
/// Level of the quietest frame that can be the onset of a sound, in dBFS.
const QUIETEST_ONSET_DBFS: f32 = -60.0;

/// A session of an evaluation that is running: the model's session, the audio still to be heard, and the results so far.
pub(super) struct ActiveSession {
    condition: String,
    session: Session,
    /// Name of the mode whose replies are recorded.
    mode: String,
    first_text_latency: FirstTextLatency,
    /// Silence after each sound file, in seconds.
    gap_secs: f64,
    front_end: FrontEnd,
    chunker: Chunker,
    /// Sound files still to be opened, in the order in which they are heard.
    clips: VecDeque<PendingSound>,
    /// Sound file that is being read; None between files.
    source: Option<FileSource>,
    /// Chunks cut from the sound that are not fed yet.
    waiting: VecDeque<Chunk>,
    /// Number of chunks cut from the audio of all items so far, silence included.
    cut: u64,
    items: Vec<ItemProgress>,
    /// Events of the newest pass, not yet recorded.
    events: Vec<Event>,
    /// Index of the item, and index among the item's replies, of each reply.
    replies: HashMap<ReplyId, (usize, usize)>,
    /// Time at which the newest chunk was fed.
    fed_at: Instant,
}

/// A sound file that waits to be opened.
struct PendingSound {
    /// Index of the sound's item in the session.
    item: usize,
    path: PathBuf,
    /// Part of the item that the sound is.
    role: SoundRole,
}

/// The part of an item that a sound file is: its sound, or the spoken question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SoundRole {
    /// The item's own sound.
    Sound,
    /// The spoken question about the sound.
    Question,
}

/// An item of the session with its results so far.
struct ItemProgress {
    item: EvalItem,
    /// Number of chunks cut before the item's sound; None before the sound is opened.
    first_chunk: Option<u64>,
    /// Number of chunks of the item's sound so far.
    sound_chunks: u64,
    /// Number of chunks cut before the spoken question; None before the question is opened, or without one.
    question_chunk: Option<u64>,
    /// Level of each frame of 20 ms of the sound, in dBFS; the spoken question is left out.
    levels: Vec<f32>,
    replies: Vec<PredictedReply>,
    /// Respond logit minus silent logit of each decision of the lane that never responds.
    margins: Vec<f32>,
    /// Number of times that the context was trimmed while the item was heard.
    trims: u32,
    /// Reason why the item was not heard to its end; None so far.
    unheard: Option<String>,
}

impl ActiveSession {
    /// Starts the session `planned` in the mode of `runner`, and a second lane for margins if `runner` asks for them. Reads no
    /// audio yet.
    ///
    /// # Errors
    /// If there is no memory for the session, or its context window is too small.
    pub(super) fn start(runner: &SessionRunner, planned: EvalSession) -> Result<Self> {
        let config = SessionConfig { when_full: WhenFull::Trim(planned.context), ..runner.config.clone() };
        let mut session = Session::new(Arc::clone(&runner.model), config)?;
        session.switch_on(&runner.mode, &runner.prompt)?;
        if runner.margins == Margins::WholeSound {
            let mut silent = runner.mode.clone();
            (silent.name, silent.eagerness) = (SILENT.to_owned(), NEVER);
            session.switch_on(&silent, &runner.prompt)?;
        }
        let mut clips = VecDeque::new();
        for (index, item) in planned.items.iter().enumerate() {
            clips.push_back(PendingSound { item: index, path: item.audio.clone(), role: SoundRole::Sound });
            if let Some(path) = &item.question_audio {
                clips.push_back(PendingSound { item: index, path: path.clone(), role: SoundRole::Question });
            }
        }
        Ok(Self {
            condition: planned.condition,
            session,
            mode: runner.mode.name.clone(),
            first_text_latency: runner.first_text_latency,
            front_end: FrontEnd::new(MaxWindow::Last45Secs, runner.gate.then(QuietGate::default)),
            gap_secs: runner.gap_secs,
            chunker: Chunker::new(),
            clips,
            source: None,
            waiting: VecDeque::new(),
            cut: 0,
            items: planned.items.into_iter().map(ItemProgress::new).collect(),
            events: Vec::new(),
            replies: HashMap::new(),
            fed_at: Instant::now(),
        })
    }

    /// Returns true if the model has processed all it was fed, is not replying, and audio is left.
    pub(super) fn is_idle(&self) -> bool {
        self.session.backlog() == 0 && !self.session.is_replying() && !self.audio_is_exhausted()
    }

    /// Returns true if all audio is processed, or could not be read, and no reply is in progress.
    pub(super) fn is_done(&self) -> bool {
        self.audio_is_exhausted() && self.session.backlog() == 0 && !self.session.is_replying()
    }

    /// Returns the model's session and the buffer for its events, for a batched pass.
    pub(super) const fn session(&mut self) -> (&mut Session, &mut Vec<Event>) {
        (&mut self.session, &mut self.events)
    }

    /// Takes the next chunk and carries out all steps before the encoder; `None` if no audio is left.
    pub(super) fn analyse_next(&mut self) -> Option<Analysis> {
        let chunk = self.next_chunk()?;
        self.fed_at = Instant::now();
        Some(self.front_end.analyse(&chunk))
    }

    /// Queues encoded chunks in the model's session.
    pub(super) fn push(&mut self, chunks: EncodedChunks) {
        chunks.encoded.into_iter().for_each(|encoded| self.session.push(encoded));
    }

    /// Records the events of the last pass in the results of the items.
    pub(super) fn take_events(&mut self) {
        for event in std::mem::take(&mut self.events) {
            self.take(event);
        }
    }

    /// Returns a prediction for each item, in their order.
    pub(super) fn finish(self) -> Vec<Prediction> {
        let condition = self.condition;
        self.items.into_iter().map(|item| item.finish(&condition)).collect()
    }

    fn audio_is_exhausted(&self) -> bool {
        self.clips.is_empty() && self.source.is_none() && self.waiting.is_empty()
    }

    /// Returns the next chunk, of a sound or of the silence after it; opens and reads sound files as needed. `None` at the end.
    fn next_chunk(&mut self) -> Option<Chunk> {
        loop {
            if let Some(chunk) = self.waiting.pop_front() {
                return Some(chunk);
            }
            if self.source.is_none() {
                let clip = self.clips.pop_front()?;
                self.open(clip);
            } else {
                self.read_on();
            }
        }
    }

    /// Opens a sound. Skips an unreadable one, and with it the question about it, and notes the reason in the item.
    fn open(&mut self, clip: PendingSound) {
        let item = &mut self.items[clip.item];
        match clip.role {
            SoundRole::Sound => item.first_chunk = Some(self.cut),
            SoundRole::Question => item.question_chunk = Some(self.cut),
        }
        if item.unheard.is_some() {
            return;
        }
        match FileSource::open(&[clip.path]) {
            Ok(source) => self.source = Some(source),
            Err(error) => item.unheard = Some(error.message().to_owned()),
        }
    }

    /// Reads the next block of the open sound file and cuts it into chunks; at the end of the file, or on an error, adds the silence after
    /// it.
    fn read_on(&mut self) {
        let current = self.current_item();
        let Some(source) = &mut self.source else { return };
        let (mut samples, mut cut) = (Vec::new(), Vec::new());
        let item = &mut self.items[current];
        let mut ended = false;
        match source.next(&mut samples) {
            Ok(SourceEvent::Samples(_)) => self.chunker.push(&samples, &mut cut),
            Ok(SourceEvent::EndOfFile) => {
                self.chunker.end_of_file(&mut cut);
                ended = true;
            }
            Ok(SourceEvent::Problem(error) | SourceEvent::InputLost(error)) | Err(error) => {
                item.unheard.get_or_insert_with(|| error.message().to_owned());
                // Completes the last chunk, so that this sound does not run into the next item.
                self.chunker.end_of_file(&mut cut);
                ended = true;
            }
            Ok(SourceEvent::End) => ended = true,
            Ok(
                SourceEvent::Nothing
                | SourceEvent::Gap { .. }
                | SourceEvent::InputChanged { .. }
                | SourceEvent::InputSilent { .. }
                | SourceEvent::InputAudible,
            ) => {}
        }
        if item.question_chunk.is_none() {
            item.sound_chunks += cut.len() as u64;
            cut.iter().for_each(|chunk| item.levels.extend(chunk.samples.chunks_exact(ONSET_FRAME).map(level::dbfs)));
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
                let at = self.item_of(chunk.0);
                self.items[at].margins.push(margin);
            }
            Event::ReplyStarted { chunk, mode, reply, emotion, .. } if mode == self.mode => {
                let at = self.item_of(chunk.0);
                let item = &mut self.items[at];
                self.replies.insert(reply, (at, item.replies.len()));
                let at_secs = chunk_secs(chunk.0 + 1 - item.first_chunk.unwrap_or(0));
                let stop = StopReason::Cut;
                item.replies.push(PredictedReply { at_secs, text: String::new(), emotion, stop, first_text_ms: None });
            }
            Event::ReplyText { reply, .. } if self.first_text_latency == FirstTextLatency::Measured => {
                let latency_ms = self.fed_at.elapsed().as_secs_f64() * 1e3;
                if let Some(reply) = self.reply(reply) {
                    reply.first_text_ms.get_or_insert(latency_ms);
                }
            }
            Event::ReplyFinished { reply, text, stop, .. } => {
                if let Some(reply) = self.reply(reply) {
                    (reply.text, reply.stop) = (text, stop);
                }
            }
            Event::ContextTrimmed { mode, .. } if mode == self.mode => {
                let at = self.current_item();
                self.items[at].trims += 1;
            }
            _ => {}
        }
    }

    /// Returns the recorded reply of this id; `None` for replies of other modes.
    fn reply(&mut self, reply: ReplyId) -> Option<&mut PredictedReply> {
        let (item, at) = *self.replies.get(&reply)?;
        self.items[item].replies.get_mut(at)
    }

    /// Returns the index of the item that chunk number `chunk` belongs to, as the item's sound, question or the silence after them.
    fn item_of(&self, chunk: u64) -> usize {
        self.items.iter().rposition(|item| item.first_chunk.is_some_and(|first| first <= chunk)).unwrap_or(0)
    }

    /// Returns the index of the item whose sound was opened last.
    fn current_item(&self) -> usize {
        self.item_of(u64::MAX)
    }
}

impl ItemProgress {
    const fn new(item: EvalItem) -> Self {
        Self {
            item,
            first_chunk: None,
            sound_chunks: 0,
            question_chunk: None,
            levels: Vec::new(),
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
            onset_secs: onset(&self.levels),
            question_secs: self.question_chunk.map(|chunk| chunk_secs(chunk - first)),
            replies: self.replies,
            margins: self.margins,
            trims: self.trims,
            unheard: self.unheard,
        }
    }
}

/// Returns the onset, in seconds, of a sound whose frames of 20 ms have these levels, in dBFS; `None` if none reaches -60 dBFS.
fn onset(levels: &[f32]) -> Option<f64> {
    let loudest = levels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let threshold = QUIETEST_ONSET_DBFS.max(loudest - ONSET_RANGE_DB);
    let at = levels.iter().position(|level| *level >= threshold)?;
    Some(at as f64 * ONSET_FRAME as f64 / f64::from(SAMPLE_RATE_HZ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn onset_is_where_the_sound_rises_above_the_noise_floor() {
        let noise = [-55.0; 25];
        let bang: Vec<f32> = noise.iter().copied().chain([-10.0; 10]).collect();
        assert_eq!(onset(&bang), Some(0.5));
        assert_eq!(onset(&[-90.0; 100]), None);
        assert_eq!(onset(&[]), None);
    }
}
