//! One listening session: the lanes, the queue of encoded chunks that they share, and the batched pass that advances them.
//!
//! Deterministic: the same chunks pushed and the same passes made in the same order give the same events, bit for bit. A session
//! starts no thread and reads no clock, so the engine, the tools and the tests all drive this same code.

mod batch;
pub mod front_end;
mod lanes;
pub mod prompt;
mod queue;
mod replies;

use std::ops::Range;
use std::sync::Arc;

use crate::config::{ContextChoice, Mode, SamplingChoice};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::lane::{CHUNK_ROWS, CHUNKS_PER_PASS, Goal, Lane, LaneConfig, OnLoop};
use crate::model::Model;
use crate::model::sampler::Sampler;
use crate::protocol::{Event, StopReason};
use crate::time::{ChunkIdx, SAMPLE_RATE_HZ, StreamTime};
use lanes::{LaneSwitch, SessionLane};
use prompt::PromptCache;
use queue::EncodedQueue;
use replies::ReplyEvents;

pub use batch::pass_batch;
pub use queue::EncodedChunk;

/// Largest number of rows of all lanes together in one pass: a lane that catches up must not delay the others for long.
const MAX_ROWS: usize = 64;
/// Number of tokens after which a reply is cut, unless a [`SessionConfig`] says otherwise.
pub const REPLY_LIMIT: usize = 512;
/// Time for which a lane that is switched off keeps its cache: 60 s, in samples.
const PARKED_SAMPLES: u64 = 60 * SAMPLE_RATE_HZ as u64;

/// The logits that are computed at each decision while listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Only the two logits of a decision (silent and respond).
    Chosen,
    /// The logits of the whole vocabulary, kept for [`Session::take_calls`].
    Every,
}

/// The configuration of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionConfig {
    /// Sampling of the tokens of replies.
    pub sampling: SamplingChoice,
    /// Logits that are computed at each decision while listening.
    pub reading: Reading,
    /// Handling of a reply that repeats itself.
    pub on_loop: OnLoop,
    /// Number of tokens after which a reply is cut.
    pub reply_limit: usize,
    /// Largest number of rows of all lanes together in one pass.
    pub max_rows: usize,
    /// Handling of a full context window.
    pub when_full: WhenFull,
}

/// The handling of a full context window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WhenFull {
    /// Trims the context by this policy.
    Trim(ContextChoice),
    /// Ends the session with an error, as the reference does.
    Fail,
}

impl SessionConfig {
    /// Returns the configuration of listening, as opposed to that of tools which compare with the reference.
    #[must_use]
    pub const fn product(sampling: SamplingChoice, context: ContextChoice) -> Self {
        Self {
            sampling,
            reading: Reading::Chosen,
            on_loop: OnLoop::Stop,
            reply_limit: REPLY_LIMIT,
            max_rows: MAX_ROWS,
            when_full: WhenFull::Trim(context),
        }
    }
}

/// One model call of a lane with all its logits, recorded under [`Reading::Every`].
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Purpose of the call: a decision or the next token of a reply.
    pub goal: Goal,
    /// Chunk decided on, or answered by the reply.
    pub chunk: ChunkIdx,
    /// Logits of the last position, `[padded_vocab_size]`.
    pub logits: Vec<f32>,
    /// Token chosen; at a decision KEEP_SILENCE or TEXT_BEGIN.
    pub token: u32,
}

/// A listening session.
#[derive(Debug)]
pub struct Session {
    model: Arc<Model>,
    config: SessionConfig,
    /// Number of positions of a lane's context window, at most those that the model takes.
    limit: usize,
    sampler: Sampler,
    lanes: Vec<SessionLane>,
    /// Encoded chunks that lanes still need.
    queue: EncodedQueue,
    /// Replies in progress and sounds so far.
    replies: ReplyEvents,
    /// Model calls recorded under [`Reading::Every`].
    calls: Vec<Call>,
    /// Index of the lane that plans first. Moves on with every pass, so that no lane starves when rows are scarce.
    first_lane: usize,
}

impl Session {
    /// Returns a session without lanes.
    ///
    /// # Errors
    /// When the model takes too few positions for the system prompt and a second of sound.
    pub fn new(model: Arc<Model>, config: SessionConfig) -> Result<Self> {
        let limit = match config.when_full {
            WhenFull::Trim(context) => context.positions.min(model.block_size()),
            WhenFull::Fail => model.block_size(),
        };
        let least = model.vocabulary().prefix()?.len() + CHUNK_ROWS * CHUNKS_PER_PASS;
        if limit < least {
            let why = format!("the model {} takes {limit} positions; its prompt and a second of sound need {least}", model.name());
            return Err(Error::new(ErrorKind::UnsupportedModel, why).with_remedy(Remedy::ChooseOtherModel));
        }
        Ok(Self {
            model,
            sampler: Sampler::new(config.sampling),
            config,
            limit,
            lanes: Vec::new(),
            queue: EncodedQueue::default(),
            replies: ReplyEvents::default(),
            calls: Vec::new(),
            first_lane: 0,
        })
    }

    /// Switches `mode` on: its lane hears from the next chunk that is pushed. A lane that was switched off within the last minute
    /// keeps its context, and its settings: the new `mode` and `prompt` are then ignored.
    ///
    /// # Errors
    /// When there is no memory for the cache, or the instruction is too long for the context window.
    pub fn switch_on(&mut self, mode: &Mode, prompt: &Arc<PromptCache>) -> Result<()> {
        let next = self.queue.end();
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.mode.name == mode.name) {
            if lane.switch != LaneSwitch::On {
                lane.switch = LaneSwitch::On;
                lane.next = next;
            }
            return Ok(());
        }
        let prompt_positions = prompt.positions() + prompt.pending.len();
        if prompt_positions + CHUNKS_PER_PASS * (CHUNK_ROWS + 1) > self.limit {
            let (name, limit) = (&mode.name, self.limit);
            let why = format!(
                "the instruction of the mode {name} takes {prompt_positions} of the {limit} positions of the context window: record a shorter one"
            );
            return Err(Error::new(ErrorKind::AudioFile, why).with_remedy(Remedy::ShortenInstruction));
        }
        let lane_config = LaneConfig {
            catch_up: mode.catch_up,
            eagerness: mode.eagerness,
            reply_limit: self.config.reply_limit,
            on_loop: self.config.on_loop,
        };
        let lane = Lane::new(lane_config, self.model.ids().clone(), prompt.pending.clone());
        self.lanes.push(SessionLane::new(mode, lane, prompt, self.reserved_positions(), next)?);
        Ok(())
    }

    /// Switches the mode `name` off at the audio time `now` and cuts its reply. The lane keeps its context for 60 s. Does nothing if the
    /// mode is not on.
    pub fn switch_off(&mut self, name: &str, now: StreamTime, out: &mut Vec<Event>) {
        for at in 0..self.lanes.len() {
            if self.lanes[at].mode.name == name && self.lanes[at].switch == LaneSwitch::On {
                self.cut_lane(at, StopReason::Cut, out);
                self.lanes[at].switch = LaneSwitch::Off(now);
            }
        }
    }

    /// Removes the lane of the mode `name`, on or off, with its context and cuts its reply.
    pub fn remove(&mut self, name: &str, out: &mut Vec<Event>) {
        for at in (0..self.lanes.len()).rev() {
            if self.lanes[at].mode.name == name {
                self.cut_lane(at, StopReason::Cut, out);
                self.lanes.remove(at);
            }
        }
    }

    /// Returns the names of the modes that are on, in the order in which they were first switched on.
    #[must_use]
    pub fn modes_on(&self) -> Vec<String> {
        self.lanes_on().map(|lane| lane.mode.name.clone()).collect()
    }

    /// Sets the eagerness of the mode `name`: the bias on its respond logit. Does nothing for a mode without a lane.
    pub fn set_eagerness(&mut self, name: &str, eagerness: f32) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.mode.name == name) {
            lane.mode.eagerness = eagerness;
            lane.lane.set_eagerness(eagerness);
        }
    }

    /// Appends the next encoded chunk to the queue, drops the lanes that have been off for 60 s, and forgets the chunks that no lane needs.
    pub fn push(&mut self, encoded: EncodedChunk) {
        let now = encoded.meta.at;
        self.queue.push(encoded);
        self.lanes.retain(|lane| !matches!(lane.switch, LaneSwitch::Off(since) if now.0 - since.0 > PARKED_SAMPLES));
        let oldest = self.lanes_on().map(|lane| lane.next).min();
        self.queue.forget_before(oldest.unwrap_or_else(|| self.queue.end()));
    }

    /// Returns the number of chunks that wait for the lane that is furthest behind; 0 if no mode is on.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.lanes_on().map(|lane| self.queue.count_from(lane.next)).max().unwrap_or(0)
    }

    /// Returns true while a lane is replying.
    #[must_use]
    pub fn is_replying(&self) -> bool {
        self.lanes_on().any(|lane| lane.lane.is_speaking())
    }

    /// Returns the number of replies begun so far, those of a continued session included.
    #[must_use]
    pub const fn reply_count(&self) -> u64 {
        self.replies.count()
    }

    /// Makes one pass of the model, in which every lane that has something to do advances by a step. Appends the events to `out`. Returns
    /// false when no lane had anything to do.
    ///
    /// # Errors
    /// When computing fails; the lanes must then be rolled back ([`Session::roll_back`]) or restarted ([`Session::restart_all`]).
    pub fn pass(&mut self, out: &mut Vec<Event>) -> Result<bool> {
        let model = Arc::clone(&self.model);
        pass_batch(&model, &mut [(self, out)])
    }

    /// Removes from every cache the positions that a failed pass left there; nothing else is lost.
    ///
    /// # Errors
    /// When computing fails.
    pub fn roll_back(&mut self) -> Result<()> {
        for lane in &mut self.lanes {
            self.model.compact(&mut lane.cache, &[Range { start: 0, end: lane.context.positions() }])?;
        }
        Ok(())
    }

    /// Skips the next step of every lane: cuts the lane's reply, or passes over its next chunk. For a step that fails repeatedly.
    pub fn skip(&mut self, out: &mut Vec<Event>) {
        for at in 0..self.lanes.len() {
            let lane = &self.lanes[at];
            if lane.lane.is_speaking() {
                self.cut_lane(at, StopReason::Cut, out);
            } else if let Some(next) = self.queue.from(lane.next).next().map(|encoded| encoded.meta.chunk.next()) {
                self.lanes[at].next = next;
            }
        }
    }

    /// Cuts every reply in progress, with an event for each.
    pub fn cut_replies(&mut self, out: &mut Vec<Event>) {
        for at in 0..self.lanes.len() {
            self.cut_lane(at, StopReason::Cut, out);
        }
    }

    /// Forgets everything heard and said: every lane restarts from its prompt, at the newest chunk; lanes that are off are removed.
    ///
    /// # Errors
    /// When there is no memory for the caches.
    pub fn restart_all(&mut self, out: &mut Vec<Event>) -> Result<()> {
        self.cut_replies(out);
        self.queue.clear();
        self.lanes.retain(|lane| lane.switch == LaneSwitch::On);
        let (next, reserved) = (self.queue.end(), self.reserved_positions());
        for lane in &mut self.lanes {
            lane.reset(reserved)?;
            lane.next = next;
        }
        Ok(())
    }

    /// Continues the numbering of another session, which had begun `replies` replies; the next chunk gets the number `next`.
    pub fn continue_numbering(&mut self, replies: u64, next: ChunkIdx) {
        self.replies.continue_from(replies);
        self.queue.continue_from(next);
    }

    /// Puts every lane back to listening and drops the chunks that wait: the start of a segment in the reference's file mode.
    pub fn begin_segment(&mut self) {
        let end = self.queue.end();
        for lane in &mut self.lanes {
            lane.lane.listen();
            lane.next = end;
        }
    }

    /// Takes the model calls made since the last call of this function; none unless the session records them ([`Reading::Every`]).
    pub fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    fn lanes_on(&self) -> impl Iterator<Item = &SessionLane> {
        self.lanes.iter().filter(|lane| lane.switch == LaneSwitch::On)
    }

    /// Returns the number of positions that a lane's cache reserves from the start; 0 for a session that fails when full.
    const fn reserved_positions(&self) -> usize {
        match self.config.when_full {
            WhenFull::Trim(_) => self.limit,
            WhenFull::Fail => 0,
        }
    }
}
