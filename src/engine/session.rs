//! One listening session: the lanes, the queue of encoded chunks they share, and the batched pass that advances them.
//!
//! Deterministic: the same chunks pushed and the same passes made in the same order give the same events, bit for bit. It
//! has no threads and no clock, so the engine, `trace` and the tests all drive this same code.

mod together;

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::opening::Opening;
use super::queue::{Encoded, Follows, Queue};
use super::replies::Replies;
use crate::config::{CatchUp, ContextChoice, Mode, Reset, SamplingChoice};
use crate::error::{Error, ErrorKind, Result};
use crate::lane::context::Context;
use crate::lane::{CHUNK_ROWS, CHUNKS_PER_PASS, Choice, Decision, Goal, Item, Lane, OnLoop, Plan, Rules, Said, Waiting};
use crate::model::sampler::{Sampler, argmax};
use crate::model::{Input, Inputs, LaneCache, Logits, Model, Read, Segment};
use crate::protocol::{Event, Stop};
use crate::time::{ChunkIdx, StreamTime};

pub use together::pass_together;

/// Rows of all lanes in one pass at most (DESIGN.md "Lanes").
const MAX_ROWS: usize = 64;
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
    /// What a lane does when its positions run out.
    pub when_full: WhenFull,
}

/// What a lane does when its positions run out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WhenFull {
    /// It keeps what this policy says, and goes on.
    Trim(ContextChoice),
    /// The session ends with an error, as the reference does.
    Fail,
}

impl Conduct {
    /// How the product behaves.
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
    /// What its cache holds.
    context: Context,
    /// The next chunk that it feeds.
    next: ChunkIdx,
    switch: Switch,
    /// What it does in the pass that is being made.
    plan: Option<Plan>,
}

impl Run {
    /// Goes back to the opening, in a cache for `window` positions; how many chunks that forgets.
    fn reset(&mut self, window: usize) -> Result<u64> {
        self.lane.restart(self.opening.pending.clone());
        self.cache = self.opening.fork(window)?;
        let held = std::mem::replace(&mut self.context, Context::new(self.opening.positions()));
        Ok(held.chunks() as u64)
    }
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
            WhenFull::Trim(context) => context.positions.min(model.block_size()),
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
            }
            return Ok(());
        }
        let opened = opening.positions() + opening.pending.len();
        if opened + CHUNKS_PER_PASS * (CHUNK_ROWS + 1) > self.limit {
            let why = format!(
                "the instruction of the mode {} takes {opened} of the {} positions that the model keeps in mind: record a shorter one",
                mode.name, self.limit
            );
            return Err(Error::new(ErrorKind::AudioFile, why));
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
            cache: opening.fork(self.window())?,
            opening: Arc::clone(opening),
            context: Context::new(opening.positions()),
            next,
            switch: Switch::On,
            plan: None,
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

    /// Positions that a lane's cache has room for from the start; none where nobody knows how many it will take.
    const fn window(&self) -> usize {
        match self.conduct.when_full {
            WhenFull::Trim(_) => self.limit,
            WhenFull::Fail => 0,
        }
    }

    /// Takes the next chunk, in order.
    pub fn push(&mut self, encoded: Encoded) {
        let now = encoded.at;
        self.queue.push(encoded);
        self.lanes.retain(|run| !matches!(run.switch, Switch::Off(since) if now.0 - since.0 > PARKED_SAMPLES));
        let oldest = self.lanes.iter().filter(|run| run.switch == Switch::On).map(|run| run.next).min();
        self.queue.forget_before(oldest.unwrap_or_else(|| self.queue.end()));
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
    /// When computing fails; the lanes must then be put back ([`Session::roll_back`]) or restarted ([`Session::restart_all`]).
    pub fn pass(&mut self, out: &mut Vec<Event>) -> Result<bool> {
        let model = Arc::clone(&self.model);
        pass_together(&model, &mut [(self, out)])
    }

    /// Puts every lane back to before a pass that failed: what it left in the caches goes, nothing else is lost.
    ///
    /// # Errors
    /// When computing fails.
    pub fn roll_back(&mut self) -> Result<()> {
        for run in &mut self.lanes {
            self.model.keep(&mut run.cache, &[Range { start: 0, end: run.context.positions() }])?;
        }
        Ok(())
    }

    /// Passes over what every lane would do next, a reply or a chunk.
    pub fn skip(&mut self, out: &mut Vec<Event>) {
        for at in 0..self.lanes.len() {
            let run = &self.lanes[at];
            if run.lane.is_speaking() {
                self.cut_lane(at, Stop::Cut, out);
            } else if let Some(next) = self.queue.from(run.next).next().map(|e| e.chunk.next()) {
                self.lanes[at].next = next;
            }
        }
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
        let window = self.window();
        for run in &mut self.lanes {
            run.reset(window)?;
            run.next = next;
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

    /// Plans what every lane does in the next pass; whether any has something to do.
    fn plan(&mut self, out: &mut Vec<Event>) -> Result<bool> {
        self.lanes.iter_mut().for_each(|run| run.plan = None);
        let (count, turn, mut room) = (self.lanes.len(), self.turn, self.conduct.max_rows);
        // A reply token is one row: replies come first, then whose turn it is.
        for speaking in [true, false] {
            for at in (0..count).map(|i| (i + turn) % count) {
                let run = &self.lanes[at];
                if run.switch == Switch::On && run.plan.is_none() && run.lane.is_speaking() == speaking {
                    let plan = self.plan_within(at, room, out)?;
                    room -= plan.as_ref().map_or(0, Plan::rows);
                    self.lanes[at].plan = plan;
                }
            }
        }
        Ok(self.lanes.iter().any(|run| run.plan.is_some()))
    }

    /// What a lane does next in at most `room` rows, once its window has room for it.
    fn plan_within(&mut self, at: usize, room: usize, out: &mut Vec<Event>) -> Result<Option<Plan>> {
        if self.reset_is_due(at) {
            self.reset_lane(at, out)?;
        }
        let Some(plan) = self.plan_lane(at, room) else { return Ok(None) };
        if self.lanes[at].cache.positions() + plan.rows() <= self.limit {
            return Ok(Some(plan));
        }
        self.make_room(at, plan.rows(), out)?;
        Ok(self.plan_lane(at, room))
    }

    fn plan_lane(&self, at: usize, room: usize) -> Option<Plan> {
        let run = &self.lanes[at];
        let resets = self.resets(Reset::AfterQuiet);
        let waiting: SmallVec<[Waiting; CHUNKS_PER_PASS + 1]> = self
            .queue
            .from(run.next)
            .take(CHUNKS_PER_PASS + 1)
            .enumerate()
            // A lane that is to be reset in between takes what comes before that first.
            .take_while(|(place, e)| *place == 0 || !resets || e.follows == Follows::Chunk)
            .map(|(_, e)| Waiting { chunk: e.chunk, at: e.at, ask: e.ask, worth: e.worth })
            .collect();
        run.lane.plan(&waiting, room)
    }

    /// Whether the policy resets lanes so.
    fn resets(&self, reset: Reset) -> bool {
        matches!(self.conduct.when_full, WhenFull::Trim(context) if context.policy.resets.contains(&reset))
    }

    /// Whether a lane goes back to its opening before it takes its next chunk.
    fn reset_is_due(&self, at: usize) -> bool {
        let run = &self.lanes[at];
        let WhenFull::Trim(context) = self.conduct.when_full else { return false };
        let Some(next) = self.queue.from(run.next).next().filter(|_| !run.lane.is_speaking()) else { return false };
        let due = |reset: &Reset| match reset {
            Reset::AfterQuiet => next.follows == Follows::Quiet,
            Reset::AtPosition(position) => run.context.positions() >= *position,
            Reset::AfterReply => run.context.was_answered(),
        };
        run.context.chunks() > 0 && context.policy.resets.iter().any(due)
    }

    fn reset_lane(&mut self, at: usize, out: &mut Vec<Event>) -> Result<()> {
        let window = self.window();
        let run = &mut self.lanes[at];
        let (at, mode) = (run.context.at(), run.mode.name.clone());
        let dropped_chunks = run.reset(window)?;
        out.push(Event::ContextTrimmed { at, mode, dropped_chunks, positions: run.cache.positions() });
        Ok(())
    }

    /// Makes room for `rows` more in a lane that is full: what it keeps moves to lower positions, and nothing is fed again.
    fn make_room(&mut self, at: usize, rows: usize, out: &mut Vec<Event>) -> Result<()> {
        let WhenFull::Trim(context) = self.conduct.when_full else {
            let why = format!("the session is longer than the {} positions that the model {} takes", self.limit, self.model.name());
            return Err(Error::new(ErrorKind::UnsupportedModel, why));
        };
        let run = &mut self.lanes[at];
        if let Some(room) = run.context.make_room(context.policy, self.limit, rows) {
            self.model.keep(&mut run.cache, &room.kept)?;
            let (at, mode, positions) = (run.context.at(), run.mode.name.clone(), run.cache.positions());
            out.push(Event::ContextTrimmed { at, mode, dropped_chunks: room.dropped_chunks, positions });
            return Ok(());
        }
        // A reply that fills the window alone.
        self.cut_lane(at, Stop::Limit, out);
        self.reset_lane(at, out)
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
        }
        run.context.feed(plan);
        let said = match plan.goal {
            Goal::Decide => {
                let decisions: SmallVec<[Decision; CHUNKS_PER_PASS]> = logits.iter().map(|l| decision(l, &self.model)).collect();
                let said = run.lane.heard(plan, &decisions);
                if run.lane.is_speaking() {
                    run.context.answer();
                }
                said
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
    let mut inputs = Inputs::new();
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
