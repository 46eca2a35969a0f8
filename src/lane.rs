//! One lane: listening and speaking as a pure state machine over chunks and tokens (`src/model/README.md` section 5.3).
//!
//! A lane plans the rows that it feeds next ([`Lane::plan`]) and takes the outcome ([`Lane::heard`], [`Lane::spoke`]). No I/O, no
//! threads, no clock, no tensors: a session carries out the plans of all lanes in one batched pass.

pub mod context;
mod policy;
mod repetition;

use smallvec::{SmallVec, smallvec};

use crate::config::CatchUp;
use crate::model::token_ids::TokenIds;
use crate::protocol::{Emotion, StopReason};
use crate::time::{CHUNK_FEATURES, ChunkIdx, SAMPLE_RATE_HZ, StreamTime};

pub use policy::{Priority, ResetTrigger};
use repetition::is_looping;

/// Number of rows of a chunk: AUDIO_BEGIN, ten features, ASSISTANT. A lane's pending tokens come before them.
pub const CHUNK_ROWS: usize = CHUNK_FEATURES + 2;
/// Largest number of chunks that a lane takes in one pass, so that catching up never delays the other lanes for long.
pub const CHUNKS_PER_PASS: usize = 4;
/// Time for which a response stays due to a chunk that was fed as silent while the lane caught up after a reply: 1.2 s, in samples. A
/// question that was asked and finished during the reply is answered this way.
const PENDING_RESPONSE_SAMPLES: u64 = 12 * SAMPLE_RATE_HZ as u64 / 10;

/// The configuration of a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneConfig {
    /// Handling of chunks that waited during a reply.
    pub catch_up: CatchUp,
    /// Bias added to the respond logit.
    pub eagerness: f32,
    /// Number of tokens after which a reply is cut.
    pub reply_limit: usize,
    /// Handling of a reply that repeats itself.
    pub on_loop: OnLoop,
}

/// The handling of a reply that repeats itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoop {
    /// The reply is stopped.
    Stop,
    /// The reply goes on, as in the reference.
    GoOn,
}

/// The facts about a chunk that travel with it from the quiet gate to the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Number of the chunk; numbers grow and may leave some out (chunks that the gate held back).
    pub chunk: ChunkIdx,
    /// Audio time at the end of the chunk.
    pub at: StreamTime,
    /// The question that lanes answer about the chunk: respond or not, or none.
    pub ask: Ask,
    /// Priority of the chunk when the context is trimmed.
    pub priority: Priority,
    /// The sound right before the chunk: sound that was fed, or quiet that was not.
    pub follows: Follows,
}

/// The question that lanes answer about a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Respond to the chunk, or stay silent?
    Decide,
    /// None: the chunk is fed as silent, as context from before the gate opened.
    Forced,
}

/// The sound right before a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// The chunk right before, which was fed too.
    Chunk,
    /// Quiet that the gate held back from the model.
    Quiet,
}

/// The rows that a lane feeds next, and the rows whose logits it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Tokens and chunks, in the order in which they are fed.
    pub items: SmallVec<[Item; 16]>,
    /// Rows of this plan whose logits are read: one for each decision, or the one that the next token is chosen from.
    pub reads: SmallVec<[usize; CHUNKS_PER_PASS]>,
    /// Purpose of the logits: decisions ([`Lane::heard`]) or the next token ([`Lane::spoke`]).
    pub goal: Goal,
    /// Chunks that the plan feeds, oldest first.
    fed: SmallVec<[PlannedChunk; CHUNKS_PER_PASS]>,
    /// Number of pending tokens that the plan feeds.
    pending_fed: usize,
}

/// An input that a plan feeds: one or several rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A token, by id: one row.
    Token(u32),
    /// The features of a chunk, by number: ten rows.
    Chunk(ChunkIdx),
}

/// The purpose of the logits that a plan reads, or of a model call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Decides on chunks.
    Decide,
    /// Chooses the next token of the reply.
    Speak,
}

/// A chunk in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PlannedChunk {
    meta: ChunkMeta,
    /// Handling of the chunk.
    role: Role,
}

/// The handling of a chunk in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Fed with KEEP_SILENCE after the chunk; no decision is read from the model.
    Forced,
    /// Fed as silent to catch up; the decision is read, but only noted.
    Drained,
    /// Decided on: silence or a reply follows.
    Deciding,
}

/// The two logits of a decision on a chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Logit of KEEP_SILENCE.
    pub silent: f32,
    /// Logit of TEXT_BEGIN.
    pub respond: f32,
}

/// The events of a lane from one pass, in order.
pub type LaneEvents = SmallVec<[LaneEvent; CHUNKS_PER_PASS]>;

/// An event of a lane.
#[derive(Clone, Debug, PartialEq)]
pub enum LaneEvent {
    /// A chunk was decided on, or fed as silent while the lane caught up.
    Decided {
        /// Number of the chunk.
        chunk: ChunkIdx,
        /// Audio time at the end of the chunk.
        at: StreamTime,
        /// Decision on the chunk.
        choice: Choice,
        /// Respond logit minus silent logit, without the eagerness.
        margin: f32,
    },
    /// A reply begins.
    Started {
        /// Number of the chunk that the reply answers.
        chunk: ChunkIdx,
        /// Audio time at the end of the answered chunk.
        at: StreamTime,
        /// Emotion tag before the text, if any.
        emotion: Option<Emotion>,
    },
    /// A token of the reply's text, by id; never an emotion tag.
    Token(u32),
    /// The reply ended, for this reason.
    Finished(StopReason),
}

/// The decision on a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Stay silent.
    Silent,
    /// Respond.
    Respond,
    /// None: the chunk was fed as silent while the lane caught up after a reply.
    Drained,
}

/// A lane: the listening and speaking of one mode, without the model's cache. A pure state machine.
#[derive(Clone, Debug)]
pub struct Lane {
    config: LaneConfig,
    ids: TokenIds,
    state: LaneState,
    /// Tokens that were sampled or given and are fed before anything else.
    pending: Vec<u32>,
    /// End of the newest chunk that was fed as silent to catch up although the model would have responded.
    pending_response: Option<StreamTime>,
}

/// The state of a lane.
#[derive(Clone, Debug, PartialEq)]
enum LaneState {
    /// The lane decides on chunks.
    Listening,
    /// The lane generates a reply to the chunk that ends at `at`; `tokens` are those generated so far.
    Speaking { chunk: ChunkIdx, at: StreamTime, tokens: Vec<u32>, announced: Announced },
}

/// The progress of the event [`LaneEvent::Started`] of a reply, which waits for the first token: that may be an emotion tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announced {
    /// The event was not returned yet.
    NotYet,
    /// The event was returned.
    Done,
}

impl Lane {
    /// Returns a listening lane that feeds the tokens `pending` (the rest of its prompt) before the first chunk.
    #[must_use]
    pub const fn new(config: LaneConfig, ids: TokenIds, pending: Vec<u32>) -> Self {
        Self { config, ids, state: LaneState::Listening, pending, pending_response: None }
    }

    /// Returns a lane that is about to reply to the sound up to `at` and feeds the tokens `pending` before the first token of the reply.
    /// For tasks with a whole recording, which are always answered (`src/model/README.md` section 5.5).
    #[must_use]
    pub const fn replying(config: LaneConfig, ids: TokenIds, pending: Vec<u32>, at: StreamTime) -> Self {
        let state = LaneState::Speaking { chunk: ChunkIdx(0), at, tokens: Vec::new(), announced: Announced::NotYet };
        Self { config, ids, state, pending, pending_response: None }
    }

    /// Plans at most `max_rows` rows for the next pass. `waiting` are the chunks that wait for this lane, oldest first; the plan takes at
    /// most four. If more than four wait, at least five must be given: the last one counts as the newest. Returns None when there is
    /// nothing to do, or when a chunk with the pending tokens does not fit.
    #[must_use]
    pub fn plan(&self, waiting: &[ChunkMeta], max_rows: usize) -> Option<Plan> {
        if self.is_speaking() { self.plan_speech(max_rows) } else { self.plan_chunks(waiting, max_rows) }
    }

    /// Returns true while the lane generates a reply.
    #[must_use]
    pub const fn is_speaking(&self) -> bool {
        matches!(self.state, LaneState::Speaking { .. })
    }

    /// Takes the logits of the decisions that `plan` reads, in the order of its reads. Returns a [`LaneEvent::Decided`] for each.
    pub fn heard(&mut self, plan: &Plan, decisions: &[Decision]) -> LaneEvents {
        self.pending.drain(..plan.pending_fed);
        let mut events = LaneEvents::new();
        let mut decisions = decisions.iter();
        for fed in &plan.fed {
            let ChunkMeta { chunk, at, .. } = fed.meta;
            self.set_pending(self.ids.keep_silence);
            let decision = if fed.role == Role::Forced { None } else { decisions.next() };
            let Some(decision) = decision else { continue };
            let wants = decision.respond + self.config.eagerness > decision.silent;
            let margin = decision.respond - decision.silent;
            let choice = match fed.role {
                Role::Deciding if wants || self.has_pending_response(at) => Choice::Respond,
                Role::Deciding => Choice::Silent,
                _ => Choice::Drained,
            };
            match choice {
                Choice::Drained if wants => self.pending_response = Some(at),
                Choice::Drained => {}
                Choice::Silent | Choice::Respond => self.pending_response = None,
            }
            if choice == Choice::Respond {
                self.set_pending(self.ids.text_begin);
                self.state = LaneState::Speaking { chunk, at, tokens: Vec::new(), announced: Announced::NotYet };
            }
            events.push(LaneEvent::Decided { chunk, at, choice, margin });
        }
        events
    }

    /// Takes the token that was chosen at the row that `plan` reads, and returns the events that follow. `token` is None if the plan reads
    /// no row; then there are no events.
    pub fn spoke(&mut self, plan: &Plan, token: Option<u32>) -> LaneEvents {
        self.pending.drain(..plan.pending_fed);
        let mut events = LaneEvents::new();
        let (Some(token), LaneState::Speaking { chunk, at, tokens, announced }) = (token, &mut self.state) else { return events };
        let emotion = if *announced == Announced::NotYet { self.ids.emotion(token) } else { None };
        if *announced == Announced::NotYet {
            events.push(LaneEvent::Started { chunk: *chunk, at: *at, emotion });
            *announced = Announced::Done;
        }
        if token == self.ids.text_end {
            self.set_pending(token);
            self.state = LaneState::Listening;
            events.push(LaneEvent::Finished(StopReason::End));
            return events;
        }
        tokens.push(token);
        if emotion.is_none() {
            events.push(LaneEvent::Token(token));
        }
        let stop = if tokens.len() >= self.config.reply_limit {
            Some(StopReason::Limit)
        } else if self.config.on_loop == OnLoop::Stop && is_looping(tokens) {
            Some(StopReason::Loop)
        } else {
            None
        };
        self.set_pending(token);
        if let Some(stop) = stop {
            self.end_reply();
            events.push(LaneEvent::Finished(stop));
        }
        events
    }

    /// Ends the reply in progress for the reason `stop` and returns the events that follow; while listening, does nothing and returns none.
    pub fn cut(&mut self, stop: StopReason) -> LaneEvents {
        let mut events = LaneEvents::new();
        let LaneState::Speaking { chunk, at, announced, .. } = self.state else { return events };
        if announced == Announced::NotYet {
            events.push(LaneEvent::Started { chunk, at, emotion: None });
        }
        self.end_reply();
        events.push(LaneEvent::Finished(stop));
        events
    }

    /// Restarts the lane on a cache that holds only the prompt; `pending` are the tokens of the prompt that are still to be fed.
    pub fn restart(&mut self, pending: Vec<u32>) {
        self.state = LaneState::Listening;
        self.pending = pending;
        self.pending_response = None;
    }

    /// Goes back to listening, as the reference's file mode does at the start of every segment (`src/model/README.md` section 5.4).
    pub fn listen(&mut self) {
        self.state = LaneState::Listening;
    }

    /// Sets the bias on the respond logit.
    pub const fn set_eagerness(&mut self, eagerness: f32) {
        self.config.eagerness = eagerness;
    }

    /// Returns the chunk that the reply in progress answers; None while listening.
    #[must_use]
    pub const fn answered_chunk(&self) -> Option<ChunkIdx> {
        match self.state {
            LaneState::Speaking { chunk, .. } => Some(chunk),
            LaneState::Listening => None,
        }
    }

    /// Plans the pending tokens of a reply; reads the logits of the last one.
    fn plan_speech(&self, max_rows: usize) -> Option<Plan> {
        let rows = self.pending.len().min(max_rows);
        if rows == 0 {
            return None;
        }
        let reads = if rows == self.pending.len() { smallvec![rows - 1] } else { SmallVec::new() };
        let items = self.pending[..rows].iter().map(|t| Item::Token(*t)).collect();
        Some(Plan { items, reads, goal: Goal::Speak, fed: SmallVec::new(), pending_fed: rows })
    }

    /// Plans the pending tokens and the oldest chunks of `waiting` that fit into `max_rows` rows.
    fn plan_chunks(&self, waiting: &[ChunkMeta], max_rows: usize) -> Option<Plan> {
        let first = waiting.first()?;
        let room = max_rows.checked_sub(self.pending.len() + CHUNK_ROWS)?;
        let most = CHUNKS_PER_PASS.min(1 + room / (CHUNK_ROWS + 1));
        let forced = waiting.iter().take_while(|w| w.ask == Ask::Forced).count();
        let count = match self.config.catch_up {
            CatchUp::Drain => most.min(waiting.len()),
            CatchUp::EveryChunk if first.ask == Ask::Decide => 1,
            CatchUp::EveryChunk => most.min(waiting.len()).min(forced + 1),
        };
        let mut items: SmallVec<[Item; 16]> = self.pending.iter().map(|t| Item::Token(*t)).collect();
        let (mut reads, mut fed, mut rows) = (SmallVec::new(), SmallVec::new(), items.len());
        for (at, meta) in waiting[..count].iter().enumerate() {
            if at > 0 {
                items.push(Item::Token(self.ids.keep_silence));
                rows += 1;
            }
            items.extend([Item::Token(self.ids.audio_begin), Item::Chunk(meta.chunk), Item::Token(self.ids.assistant)]);
            rows += CHUNK_ROWS;
            let role = match meta.ask {
                Ask::Forced => Role::Forced,
                Ask::Decide if at + 1 == waiting.len() || self.config.catch_up == CatchUp::EveryChunk => Role::Deciding,
                Ask::Decide => Role::Drained,
            };
            if role != Role::Forced {
                reads.push(rows - 1);
            }
            fed.push(PlannedChunk { meta: *meta, role });
        }
        Some(Plan { items, reads, goal: Goal::Decide, fed, pending_fed: self.pending.len() })
    }

    /// Makes `token` the only token that is fed before anything else.
    fn set_pending(&mut self, token: u32) {
        self.pending.clear();
        self.pending.push(token);
    }

    /// Ends the reply in progress early: feeds TEXT_END next and goes back to listening.
    fn end_reply(&mut self) {
        self.pending.push(self.ids.text_end);
        self.state = LaneState::Listening;
    }

    fn has_pending_response(&self, at: StreamTime) -> bool {
        self.pending_response.is_some_and(|asked| at.0 - asked.0 <= PENDING_RESPONSE_SAMPLES)
    }
}

impl Item {
    /// Returns the number of rows of the item.
    #[must_use]
    pub const fn rows(&self) -> usize {
        match self {
            Self::Token(_) => 1,
            Self::Chunk(_) => CHUNK_FEATURES,
        }
    }
}

impl Plan {
    /// Returns the number of rows of the plan.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.items.iter().map(Item::rows).sum()
    }

    /// Returns the number of chunks of the plan.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.fed.len()
    }

    /// Returns the newest chunk of the plan; None in a plan that speaks.
    #[must_use]
    pub fn last_chunk(&self) -> Option<ChunkIdx> {
        self.fed.last().map(|fed| fed.meta.chunk)
    }
}

#[cfg(test)]
mod tests;
