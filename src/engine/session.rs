//! One listening session: the lanes, the queue of encoded chunks they share, and the batched pass that advances them.
//!
//! Deterministic: the same chunks pushed and the same passes made in the same order give the same events, bit for bit. It
//! has no threads and no clock, so the engine, `trace` and the tests all drive this same code.

mod together;

use std::sync::Arc;

use super::opening::Opening;
use super::queue::{Encoded, Queue};
use super::replies::Replies;
use crate::config::{CatchUp, Mode, SamplingChoice};
use crate::error::{Error, ErrorKind, Result};
use crate::lane::{Ask, CHUNK_ROWS, CHUNKS_PER_PASS, Choice, Decision, Goal, Item, Lane, OnLoop, Plan, Rules, Said, Waiting};
use crate::model::sampler::{Sampler, argmax};
use crate::model::{Input, LaneCache, Logits, Model, Read, Segment};
use crate::protocol::{Event, Stop};
use crate::time::{ChunkIdx, StreamTime};

pub use together::pass_together;

/// Rows of all lanes in one pass at most (DESIGN.md "Lanes").
pub const MAX_ROWS: usize = 64;
/// Positions that a lane may hold (DESIGN.md "Endless listening"): those that the model was fine-tuned with.
const MAX_POSITIONS: usize = 4_096;
/// Chunks that a lane hears again when it restarts: the last 10 s.
const KEPT_CHUNKS: usize = 25;
/// A reply is cut at so many tokens (CONTRACT.md).
pub const REPLY_LIMIT: usize = 512;
/// A lane that is switched off keeps its cache for 60 s (DESIGN.md "Lanes").
const PARKED_SAMPLES: u64 = 60 * crate::time::SAMPLE_RATE_HZ as u64;

/// Which logits are computed while listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The two that can be chosen.
    Chosen,
    /// All of them, kept for [`Session::take_calls`].
    Every,
}

/// How a session behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Conduct {
    /// How replies are decoded.
    pub sampling: SamplingChoice,
    /// Which logits are computed while listening.
    pub reading: Reading,
    /// What is done about a reply that repeats itself.
    pub on_loop: OnLoop,
    /// Tokens that a reply may have.
    pub reply_limit: usize,
    /// Rows of all lanes in one pass at most.
    pub max_rows: usize,
    /// Whether a lane that is full restarts.
    pub when_full: WhenFull,
}

/// What a lane does when its positions run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It restarts from its opening and the last 10 s.
    Restart,
    /// The session ends with an error, as the reference does.
    Fail,
}

impl Conduct {
    /// How the product behaves.
    #[must_use]
    pub const fn product(sampling: SamplingChoice) -> Self {
        Self {
            sampling,
            reading: Reading::Chosen,
            on_loop: OnLoop::Stop,
            reply_limit: REPLY_LIMIT,
            max_rows: MAX_ROWS,
            when_full: WhenFull::Restart,
        }
    }
}

/// One model call of a lane, with everything that it computed ([`Reading::Every`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Whether a token of a reply was chosen, or a decision made.
    pub goal: Goal,
    /// The chunk that was fed last.
    pub chunk: ChunkIdx,
    /// Logits of the last position, padded vocabulary.
    pub logits: Vec<f32>,
    /// The token chosen.
    pub token: u32,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    model: Arc<Model>,
    conduct: Conduct,
    limit: usize,
    sampler: Sampler,
    lanes: Vec<Run>,
    queue: Queue,
    replies: Replies,
    calls: Vec<Call>,
    /// Lane that plans first; it moves on with every pass so that nobody starves when rows are scarce.
    turn: usize,
}

/// A lane with what it runs on.
#[derive(Debug)]
struct Run {
    mode: Mode,
    lane: Lane,
    cache: LaneCache,
    opening: Arc<Opening>,
    /// The next chunk that it feeds.
    next: ChunkIdx,
    /// Chunks before this one were decided on already; they are fed again, forced.
    decided_until: ChunkIdx,
    /// Chunks that its cache holds.
    chunks: u64,
    switch: Switch,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Switch {
    On,
    /// Off since then; the cache is kept for a while.
    Off(StreamTime),
}

impl Session {
    /// A session without lanes.
    ///
    /// # Errors
    /// When the model takes too few positions to hold a conversation.
    pub fn new(model: Arc<Model>, conduct: Conduct) -> Result<Self> {
        let limit = match conduct.when_full {
            WhenFull::Restart => MAX_POSITIONS.min(model.block_size()),
            WhenFull::Fail => model.block_size(),
        };
        let least = model.vocabulary().prefix()?.len() + CHUNK_ROWS * CHUNKS_PER_PASS;
        if limit < least {
            let why = format!("the model {} takes {limit} positions; its prompt and a second of sound need {least}", model.name());
            return Err(Error::new(ErrorKind::UnsupportedModel, why));
        }
        let sampler = Sampler::new(conduct.sampling);
        Ok(Self {
            model,
            conduct,
            limit,
            sampler,
            lanes: Vec::new(),
            queue: Queue::default(),
            replies: Replies::default(),
            calls: Vec::new(),
            turn: 0,
        })
    }

    /// Switches `mode` on: it hears from the next chunk that is pushed. Within a minute of being switched off it goes on
    /// where it was.
    ///
    /// # Errors
    /// When there is no memory for its cache.
    pub fn switch_on(&mut self, mode: &Mode, opening: &Arc<Opening>) -> Result<()> {
        let next = self.queue.end();
        if let Some(run) = self.lanes.iter_mut().find(|run| run.mode.name == mode.name) {
            if run.switch != Switch::On {
                run.switch = Switch::On;
                run.next = next;
                run.decided_until = next;
            }
            return Ok(());
        }
        let rules = Rules {
            catch_up: mode.catch_up,
            eagerness: mode.eagerness,
            reply_limit: self.conduct.reply_limit,
            on_loop: self.conduct.on_loop,
        };
        self.lanes.push(Run {
            mode: mode.clone(),
            lane: Lane::new(rules, self.model.ids().clone(), opening.pending.clone()),
            cache: opening.fork()?,
            opening: Arc::clone(opening),
            next,
            decided_until: next,
            chunks: 0,
            switch: Switch::On,
        });
        Ok(())
    }

    /// Switches the mode `name` off; a reply that it was giving is cut.
    pub fn switch_off(&mut self, name: &str, now: StreamTime, out: &mut Vec<Event>) {
        for at in 0..self.lanes.len() {
            if self.lanes[at].mode.name == name && self.lanes[at].switch == Switch::On {
                self.cut_lane(at, Stop::Cut, out);
                self.lanes[at].switch = Switch::Off(now);
            }
        }
    }

    /// Takes the lane of the mode `name` away with all that it heard; a reply that it was giving is cut.
    pub fn remove(&mut self, name: &str, out: &mut Vec<Event>) {
        for at in (0..self.lanes.len()).rev().filter(|at| self.lanes[*at].mode.name == name).collect::<Vec<_>>() {
            self.cut_lane(at, Stop::Cut, out);
            self.lanes.remove(at);
        }
    }

    /// Names of the modes that are on, in the order in which they were switched on first.
    #[must_use]
    pub fn modes_on(&self) -> Vec<String> {
        self.lanes.iter().filter(|run| run.switch == Switch::On).map(|run| run.mode.name.clone()).collect()
    }

    /// Changes how readily the mode `name` responds.
    pub fn become_eager(&mut self, name: &str, eagerness: f32) {
        for run in self.lanes.iter_mut().filter(|run| run.mode.name == name) {
            run.mode.eagerness = eagerness;
            run.lane.become_eager(eagerness);
        }
    }

    /// Takes the next chunk, in order.
    pub fn push(&mut self, encoded: Encoded) {
        let now = encoded.at;
        self.queue.push(encoded);
        self.lanes.retain(|run| !matches!(run.switch, Switch::Off(since) if now.0 - since.0 > PARKED_SAMPLES));
        let oldest = self.lanes.iter().filter(|run| run.switch == Switch::On).map(|run| run.next).min();
        self.queue.forget_before(oldest.unwrap_or_else(|| self.queue.end()), KEPT_CHUNKS);
    }

    /// Chunks that wait for the lane that is furthest behind.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.lanes.iter().filter(|run| run.switch == Switch::On).map(|run| self.queue.count_from(run.next)).max().unwrap_or(0)
    }

    /// Whether some lane is replying.
    #[must_use]
    pub fn is_replying(&self) -> bool {
        self.lanes.iter().any(|run| run.switch == Switch::On && run.lane.is_speaking())
    }

    /// Replies begun so far.
    #[must_use]
    pub const fn reply_count(&self) -> u64 {
        self.replies.count()
    }

    /// Makes one pass: every lane that has something to do does it. False when none had.
    ///
    /// # Errors
    /// When computing fails; every lane must then be restarted ([`Session::restart_all`]).
    pub fn pass(&mut self, out: &mut Vec<Event>) -> Result<bool> {
        let model = Arc::clone(&self.model);
        pass_together(&model, &mut [(self, out)])
    }

    /// Ends every reply that is being given.
    pub fn cut_replies(&mut self, out: &mut Vec<Event>) {
        for at in 0..self.lanes.len() {
            self.cut_lane(at, Stop::Cut, out);
        }
    }

    /// Forgets what was heard and said: every lane restarts from its opening, at the newest chunk.
    ///
    /// # Errors
    /// When there is no memory for the caches.
    pub fn restart_all(&mut self, out: &mut Vec<Event>) -> Result<()> {
        self.cut_replies(out);
        self.queue.clear();
        self.lanes.retain(|run| run.switch == Switch::On);
        let next = self.queue.end();
        for run in &mut self.lanes {
            run.lane.restart(run.opening.pending.clone());
            run.cache = run.opening.fork()?;
            run.next = next;
            run.decided_until = next;
            run.chunks = 0;
        }
        Ok(())
    }

    /// Goes on counting where another session stopped: `replies` were given and the next chunk is `next`.
    pub(super) fn continue_counts(&mut self, replies: u64, next: ChunkIdx) {
        self.replies.continue_from(replies);
        self.queue.continue_from(next);
    }

    /// Every lane listens, whatever it was doing, and what waited is dropped: the start of a segment in the reference's
    /// file mode.
    pub fn begin_segment(&mut self) {
        let end = self.queue.end();
        for run in &mut self.lanes {
            run.lane.listen();
            run.next = end;
        }
    }

    /// The model calls since the last time ([`Reading::Every`]).
    pub fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    fn plan(&mut self, out: &mut Vec<Event>) -> Result<Vec<Option<Plan>>> {
        let mut plans: Vec<Option<Plan>> = vec![None; self.lanes.len()];
        let mut room = self.conduct.max_rows;
        // A reply token is one row: replies come first, then whose turn it is.
        let mut order: Vec<usize> = (0..self.lanes.len()).map(|i| (i + self.turn) % self.lanes.len()).collect();
        order.sort_by_key(|at| !self.lanes[*at].lane.is_speaking());
        for at in order {
            if self.lanes[at].switch != Switch::On {
                continue;
            }
            let Some(mut plan) = self.plan_lane(at, room) else { continue };
            if self.lanes[at].cache.positions() + plan.rows() > self.limit {
                self.make_room(at, out)?;
                let Some(again) = self.plan_lane(at, room) else { continue };
                plan = again;
            }
            room -= plan.rows();
            plans[at] = Some(plan);
        }
        Ok(plans)
    }

    fn plan_lane(&self, at: usize, room: usize) -> Option<Plan> {
        let run = &self.lanes[at];
        let waiting: Vec<Waiting> = self
            .queue
            .from(run.next)
            .take(CHUNKS_PER_PASS + 1)
            .map(|e| Waiting { chunk: e.chunk, at: e.at, ask: if e.chunk < run.decided_until { Ask::Forced } else { e.ask } })
            .collect();
        run.lane.plan(&waiting, room)
    }

    /// Restarts a lane that is full from its opening and the last 10 s of chunks.
    fn make_room(&mut self, at: usize, out: &mut Vec<Event>) -> Result<()> {
        if self.conduct.when_full == WhenFull::Fail {
            let why = format!("the session is longer than the {} positions that the model {} takes", self.limit, self.model.name());
            return Err(Error::new(ErrorKind::UnsupportedModel, why));
        }
        let run = &self.lanes[at];
        let opening = run.opening.positions() + run.opening.pending.len();
        // At most half of what is left, so that a restart always makes room.
        let fits = (self.limit - opening) / (CHUNK_ROWS + 1) / 2;
        let now = self.queue.before(run.next, 0).map_or(StreamTime::ZERO, |e| e.at);
        let kept = KEPT_CHUNKS.min(fits).min(self.queue.count_before(run.next));
        let again = self.queue.before(run.next, kept.saturating_sub(1)).map_or(run.next, |e| e.chunk);
        let positions = opening + kept * (CHUNK_ROWS + 1);
        if positions + run.lane.reply_tokens() + MAX_ROWS > self.limit {
            self.cut_lane(at, Stop::Limit, out);
        }
        let run = &mut self.lanes[at];
        run.lane.restart(run.opening.pending.clone());
        run.cache = run.opening.fork()?;
        run.decided_until = run.decided_until.max(run.next);
        run.next = again;
        let dropped_chunks = run.chunks.saturating_sub(kept as u64);
        run.chunks = 0;
        out.push(Event::ContextTrimmed { at: now, mode: run.mode.name.clone(), dropped_chunks, positions });
        Ok(())
    }

    fn cut_lane(&mut self, at: usize, stop: Stop, out: &mut Vec<Event>) {
        let run = &mut self.lanes[at];
        for said in run.lane.cut(stop) {
            self.replies.tell(&run.mode, &said, self.model.vocabulary(), out);
        }
    }

    /// Tells a lane what its plan came to, and the world what the lane makes of it.
    fn learn(&mut self, at: usize, plan: &Plan, logits: &[Logits], out: &mut Vec<Event>) -> Result<()> {
        let run = &mut self.lanes[at];
        if let Some(last) = plan.last_chunk() {
            run.next = last.next();
            run.chunks += plan.chunks() as u64;
        }
        let said = match plan.goal {
            Goal::Decide => {
                let decisions: Vec<Decision> = logits.iter().map(|l| decision(l, &self.model)).collect();
                run.lane.heard(plan, &decisions)
            }
            Goal::Speak => {
                let token = match logits.first() {
                    Some(Logits::Row(row)) => Some(self.sampler.sample(row)?),
                    _ => None,
                };
                if let (Reading::Every, Some(token), Some(Logits::Row(row))) = (self.conduct.reading, token, logits.first()) {
                    let chunk = run.lane.answered_chunk().unwrap_or_default();
                    self.calls.push(Call { goal: Goal::Speak, chunk, logits: row.clone(), token });
                }
                run.lane.spoke(plan, token)
            }
        };
        let mut rows = logits.iter();
        for said in &said {
            if let (Reading::Every, Said::Decided { chunk, choice, .. }, Some(Logits::Row(row))) = (self.conduct.reading, said, rows.next())
            {
                let token = if *choice == Choice::Respond { self.model.ids().text_begin } else { self.model.ids().keep_silence };
                self.calls.push(Call { goal: Goal::Decide, chunk: *chunk, logits: row.clone(), token });
            }
            self.replies.tell(&run.mode, said, self.model.vocabulary(), out);
        }
        Ok(())
    }
}

/// What `plan` feeds and reads, as the model takes it.
fn segment<'a>(plan: &Plan, cache: &'a mut LaneCache, queue: &Queue, reading: Reading) -> Result<Segment<'a>> {
    let mut inputs = Vec::with_capacity(plan.items.len());
    for item in &plan.items {
        inputs.push(match item {
            Item::Token(id) => Input::Token(*id),
            Item::Chunk(chunk) => {
                let encoded = queue.from(*chunk).next().filter(|e| e.chunk == *chunk);
                let gone = || Error::new(ErrorKind::Internal, format!("chunk {} left the queue before it was heard", chunk.0));
                Input::Features(encoded.ok_or_else(gone)?.features.clone())
            }
        });
    }
    let what = if plan.goal == Goal::Decide && reading == Reading::Chosen { Read::Decision } else { Read::Row };
    Ok(Segment { cache, inputs, reads: plan.reads.iter().map(|row| (*row, what)).collect() })
}

/// The two logits of a decision. Of a whole row in which a third token is the largest, that one stands for silence.
fn decision(logits: &Logits, model: &Model) -> Decision {
    match logits {
        Logits::Decision { silent, respond } => Decision { silent: *silent, respond: *respond },
        Logits::Row(row) => {
            let (silent, respond) = (model.ids().keep_silence as usize, model.ids().text_begin as usize);
            let best = argmax(row);
            let third = best != silent && best != respond;
            Decision { silent: if third { row[best] } else { row[silent] }, respond: row[respond] }
        }
    }
}

/// What a mode that catches up chunk by chunk does is all that differs from dialog; used where a lane is made by hand.
#[must_use]
pub fn dialog_mode() -> Mode {
    Mode {
        name: "dialog".into(),
        instruction: None,
        clip: crate::config::Clip::None,
        panel: crate::config::Panel::Conversation,
        catch_up: CatchUp::Drain,
        eagerness: 0.0,
    }
}
