//! What one lane does with chunks and tokens: listening and speaking as a pure state machine (MODEL.md section 5.3).
//!
//! A lane plans what it feeds next ([`Lane::plan`]) and learns what came of it ([`Lane::heard`], [`Lane::spoke`]). No I/O,
//! no threads, no clock, no tensors: the engine carries out the plans of all lanes in one batched pass.

pub mod context;
mod repetition;

use smallvec::{SmallVec, smallvec};

use crate::config::{CatchUp, Priority};
use crate::model::token_ids::TokenIds;
use crate::protocol::{Emotion, StopReason};
use crate::time::{CHUNK_FEATURES, ChunkIdx, SAMPLE_RATE_HZ, StreamTime};

use repetition::is_looping;

/// Rows that a chunk adds besides what is pending: AUDIO_BEGIN, the features, ASSISTANT.
pub const CHUNK_ROWS: usize = CHUNK_FEATURES + 2;
/// Chunks that a lane takes in one pass at most, so that catching up never delays the other lanes for long (DESIGN.md).
pub const CHUNKS_PER_PASS: usize = 4;
/// A drained chunk that wanted a response still gets one when the last chunk ends within this time (DESIGN.md: 1.2 s).
const DRAINED_WISH_SAMPLES: u64 = 12 * SAMPLE_RATE_HZ as u64 / 10;

/// How a lane behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneConfig {
    /// What it does with chunks that waited.
    pub catch_up: CatchUp,
    /// Bias on the respond logit.
    pub eagerness: f32,
    /// A reply is cut after so many tokens.
    pub reply_limit: usize,
    /// Whether a reply that repeats itself is stopped.
    pub on_loop: OnLoop,
}

/// What is done about a reply that repeats itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoop {
    /// It is stopped.
    Stop,
    /// It goes on, as the reference's does.
    GoOn,
}

/// The facts about a chunk that travel with it from the quiet gate to the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Number of the chunk; numbers grow and may leave some out (chunks that the gate held back).
    pub chunk: ChunkIdx,
    /// Audio time at the end of the chunk.
    pub at: StreamTime,
    /// The question that lanes answer about the chunk.
    pub ask: Ask,
    /// Priority of the chunk when the context is trimmed.
    pub priority: Priority,
    /// The sound right before the chunk.
    pub follows: Follows,
}

/// The question that lanes answer about a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Respond or stay silent?
    Decide,
    /// None: the chunk is fed with `silent` forced, as context from before the gate opened.
    Forced,
}

/// The sound right before a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// The chunk before it.
    Chunk,
    /// Quiet that the gate held back.
    Quiet,
}

/// The rows that a lane feeds next, and the rows whose logits it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is fed, in order.
    pub items: SmallVec<[Item; 16]>,
    /// Row, within this plan, of each decision that is read, in order; or of the one row that a token is chosen from.
    pub reads: SmallVec<[usize; CHUNKS_PER_PASS]>,
    /// Whether a token is to be chosen ([`Lane::spoke`]) or decisions are ([`Lane::heard`]).
    pub goal: Goal,
    fed: SmallVec<[Fed; CHUNKS_PER_PASS]>,
    pending_fed: usize,
}

/// Something that a lane feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A token: one row.
    Token(u32),
    /// The features of a chunk: ten rows.
    Chunk(ChunkIdx),
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To decide on chunks.
    Decide,
    /// To choose the next token of the reply.
    Speak,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fed {
    meta: ChunkMeta,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Forced,
    Drained,
    Deciding,
}

/// The two logits of a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Logit of KEEP_SILENCE.
    pub silent: f32,
    /// Logit of TEXT_BEGIN.
    pub respond: f32,
}

/// What came of a plan, in order.
pub type LaneEvents = SmallVec<[LaneEvent; CHUNKS_PER_PASS]>;

/// Something that came of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum LaneEvent {
    /// A decision was made, or passed over while draining.
    Decided {
        /// On this chunk.
        chunk: ChunkIdx,
        /// Its end.
        at: StreamTime,
        /// What was decided.
        choice: Choice,
        /// Respond − silent logit, without the eagerness.
        margin: f32,
    },
    /// A reply begins.
    Started {
        /// The chunk that it answers.
        chunk: ChunkIdx,
        /// Its end.
        at: StreamTime,
        /// The tag in front of the text.
        emotion: Option<Emotion>,
    },
    /// A token of the reply's text.
    Token(u32),
    /// The reply has ended.
    Finished(StopReason),
}

/// What was decided on a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// To stay silent.
    Silent,
    /// To respond.
    Respond,
    /// It was fed with `silent` forced.
    Drained,
}

/// One lane.
#[derive(Clone, Debug)]
pub struct Lane {
    rules: LaneConfig,
    ids: TokenIds,
    state: State,
    /// Tokens sampled or given but not yet fed.
    pending: Vec<u32>,
    /// Newest drained chunk that wanted a response.
    wish: Option<StreamTime>,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Listening,
    Speaking { chunk: ChunkIdx, at: StreamTime, tokens: Vec<u32>, announced: Announced },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announced {
    NotYet,
    Done,
}

impl Lane {
    /// A lane that listens, with `pending` (its opening) to be fed before the first chunk.
    #[must_use]
    pub const fn new(rules: LaneConfig, ids: TokenIds, pending: Vec<u32>) -> Self {
        Self { rules, ids, state: State::Listening, pending, wish: None }
    }

    /// A lane that is about to reply to what it was fed up to `at`, with `pending` to be fed before the first token: a task with a
    /// whole recording is not asked whether it is answered (MODEL.md section 5.5).
    #[must_use]
    pub const fn replying(rules: LaneConfig, ids: TokenIds, pending: Vec<u32>, at: StreamTime) -> Self {
        let state = State::Speaking { chunk: ChunkIdx(0), at, tokens: Vec::new(), announced: Announced::NotYet };
        Self { rules, ids, state, pending, wish: None }
    }

    /// What to feed next, in at most `max_rows` rows, given the chunks that wait for this lane, oldest first.
    /// None when there is nothing to do, or not enough room for it.
    #[must_use]
    pub fn plan(&self, waiting: &[ChunkMeta], max_rows: usize) -> Option<Plan> {
        if self.is_speaking() { self.plan_speech(max_rows) } else { self.plan_chunks(waiting, max_rows) }
    }

    /// Whether it is in the middle of a reply.
    #[must_use]
    pub const fn is_speaking(&self) -> bool {
        matches!(self.state, State::Speaking { .. })
    }

    /// Learns the decisions that `plan` asked for, one for each of its reads.
    pub fn heard(&mut self, plan: &Plan, decisions: &[Decision]) -> LaneEvents {
        self.pending.drain(..plan.pending_fed);
        let mut said = LaneEvents::new();
        let mut decisions = decisions.iter();
        for fed in &plan.fed {
            let ChunkMeta { chunk, at, .. } = fed.meta;
            self.await_only(self.ids.keep_silence);
            let decision = if fed.role == Role::Forced { None } else { decisions.next() };
            let Some(decision) = decision else { continue };
            let wants = decision.respond + self.rules.eagerness > decision.silent;
            let margin = decision.respond - decision.silent;
            let choice = match fed.role {
                Role::Deciding if wants || self.has_wish(at) => Choice::Respond,
                Role::Deciding => Choice::Silent,
                _ => Choice::Drained,
            };
            match choice {
                Choice::Drained if wants => self.wish = Some(at),
                Choice::Drained => {}
                Choice::Silent | Choice::Respond => self.wish = None,
            }
            if choice == Choice::Respond {
                self.await_only(self.ids.text_begin);
                self.state = State::Speaking { chunk, at, tokens: Vec::new(), announced: Announced::NotYet };
            }
            said.push(LaneEvent::Decided { chunk, at, choice, margin });
        }
        said
    }

    /// Learns the token chosen at the row that `plan` read; none where it read none.
    pub fn spoke(&mut self, plan: &Plan, token: Option<u32>) -> LaneEvents {
        self.pending.drain(..plan.pending_fed);
        let mut said = LaneEvents::new();
        let (Some(token), State::Speaking { chunk, at, tokens, announced }) = (token, &mut self.state) else { return said };
        let emotion = if *announced == Announced::NotYet { self.ids.emotion(token) } else { None };
        if *announced == Announced::NotYet {
            said.push(LaneEvent::Started { chunk: *chunk, at: *at, emotion });
            *announced = Announced::Done;
        }
        if token == self.ids.text_end {
            self.await_only(token);
            self.state = State::Listening;
            said.push(LaneEvent::Finished(StopReason::End));
            return said;
        }
        tokens.push(token);
        if emotion.is_none() {
            said.push(LaneEvent::Token(token));
        }
        let stop = if tokens.len() >= self.rules.reply_limit {
            Some(StopReason::Limit)
        } else if self.rules.on_loop == OnLoop::Stop && is_looping(tokens) {
            Some(StopReason::Loop)
        } else {
            None
        };
        self.await_only(token);
        if let Some(stop) = stop {
            self.end_reply();
            said.push(LaneEvent::Finished(stop));
        }
        said
    }

    /// Ends the reply that is being spoken, if one is.
    pub fn cut(&mut self, stop: StopReason) -> LaneEvents {
        let mut said = LaneEvents::new();
        let State::Speaking { chunk, at, announced, .. } = self.state else { return said };
        if announced == Announced::NotYet {
            said.push(LaneEvent::Started { chunk, at, emotion: None });
        }
        self.end_reply();
        said.push(LaneEvent::Finished(stop));
        said
    }

    /// Listens in a cache that holds nothing but its opening, of which `opening` is still pending.
    pub fn restart(&mut self, opening: Vec<u32>) {
        self.state = State::Listening;
        self.pending = opening;
        self.wish = None;
    }

    /// Listens, whatever it was doing: the reference's file mode begins every segment so (MODEL.md section 5.4).
    pub fn listen(&mut self) {
        self.state = State::Listening;
    }

    /// Changes the bias on the respond logit.
    pub const fn set_eagerness(&mut self, eagerness: f32) {
        self.rules.eagerness = eagerness;
    }

    /// The chunk that the reply being spoken answers.
    #[must_use]
    pub const fn answered_chunk(&self) -> Option<ChunkIdx> {
        match self.state {
            State::Speaking { chunk, .. } => Some(chunk),
            State::Listening => None,
        }
    }

    fn plan_speech(&self, max_rows: usize) -> Option<Plan> {
        let rows = self.pending.len().min(max_rows);
        if rows == 0 {
            return None;
        }
        let reads = if rows == self.pending.len() { smallvec![rows - 1] } else { SmallVec::new() };
        let items = self.pending[..rows].iter().map(|t| Item::Token(*t)).collect();
        Some(Plan { items, reads, goal: Goal::Speak, fed: SmallVec::new(), pending_fed: rows })
    }

    fn plan_chunks(&self, waiting: &[ChunkMeta], max_rows: usize) -> Option<Plan> {
        let first = waiting.first()?;
        let room = max_rows.checked_sub(self.pending.len() + CHUNK_ROWS)?;
        let most = CHUNKS_PER_PASS.min(1 + room / (CHUNK_ROWS + 1));
        let forced = waiting.iter().take_while(|w| w.ask == Ask::Forced).count();
        let count = match self.rules.catch_up {
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
                Ask::Decide if at + 1 == waiting.len() || self.rules.catch_up == CatchUp::EveryChunk => Role::Deciding,
                Ask::Decide => Role::Drained,
            };
            if role != Role::Forced {
                reads.push(rows - 1);
            }
            fed.push(Fed { meta: *meta, role });
        }
        Some(Plan { items, reads, goal: Goal::Decide, fed, pending_fed: self.pending.len() })
    }

    /// Nothing but `token` is to be fed before what comes next.
    fn await_only(&mut self, token: u32) {
        self.pending.clear();
        self.pending.push(token);
    }

    fn end_reply(&mut self) {
        self.pending.push(self.ids.text_end);
        self.state = State::Listening;
    }

    fn has_wish(&self, at: StreamTime) -> bool {
        self.wish.is_some_and(|wish| at.0 - wish.0 <= DRAINED_WISH_SAMPLES)
    }
}

impl Item {
    /// Rows that it takes.
    #[must_use]
    pub const fn rows(&self) -> usize {
        match self {
            Self::Token(_) => 1,
            Self::Chunk(_) => CHUNK_FEATURES,
        }
    }
}

impl Plan {
    /// Rows that it feeds.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.items.iter().map(Item::rows).sum()
    }

    /// Chunks that it feeds.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.fed.len()
    }

    /// The newest chunk that it feeds.
    #[must_use]
    pub fn last_chunk(&self) -> Option<ChunkIdx> {
        self.fed.last().map(|fed| fed.meta.chunk)
    }
}

#[cfg(test)]
mod tests;
