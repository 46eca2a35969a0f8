//! The lanes of a session: their caches, their place in the chunk queue, and room in their context windows.

use std::sync::Arc;

use smallvec::SmallVec;

use super::prompt::PromptCache;
use super::{Session, WhenFull};
use crate::config::Mode;
use crate::error::{Error, ErrorKind, Result};
use crate::lane::context::Context;
use crate::lane::{CHUNKS_PER_PASS, ChunkMeta, Follows, Lane, Plan, ResetTrigger};
use crate::model::LaneCache;
use crate::protocol::{Event, StopReason};
use crate::time::{ChunkIdx, StreamTime};

/// A lane of a session, with its mode, its cache and its place in the chunk queue.
#[derive(Debug)]
pub(super) struct SessionLane {
    pub(super) mode: Mode,
    pub(super) lane: Lane,
    /// Keys and values of the prompt and the chunks fed.
    pub(super) cache: LaneCache,
    /// Prompt cache from which the lane starts.
    prompt: Arc<PromptCache>,
    /// Chunks that the cache holds.
    pub(super) context: Context,
    /// Number of the next chunk that the lane feeds.
    pub(super) next: ChunkIdx,
    /// State of the lane's switch.
    pub(super) switch: LaneSwitch,
    /// The lane's part of the pass in progress; None if the lane has nothing to do in it.
    pub(super) plan: Option<Plan>,
}

/// The switch of a lane: on, or off with its cache kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LaneSwitch {
    /// The lane listens and replies.
    On,
    /// Off since this audio time; the cache is kept for 60 s.
    Off(StreamTime),
}

impl SessionLane {
    /// Returns a switched-on `lane` at its prompt that hears from chunk number `next` on, with a cache that reserves `reserved` positions.
    ///
    /// # Errors
    /// When there is no memory for the cache.
    pub(super) fn new(mode: &Mode, lane: Lane, prompt: &Arc<PromptCache>, reserved: usize, next: ChunkIdx) -> Result<Self> {
        Ok(Self {
            mode: mode.clone(),
            lane,
            cache: prompt.fork(reserved)?,
            prompt: Arc::clone(prompt),
            context: Context::new(prompt.positions()),
            next,
            switch: LaneSwitch::On,
            plan: None,
        })
    }

    /// Goes back to the prompt, with a cache that reserves `reserved` positions. Returns the number of chunks that the lane has forgotten.
    pub(super) fn reset(&mut self, reserved: usize) -> Result<u64> {
        self.lane.restart(self.prompt.pending.clone());
        self.cache = self.prompt.fork(reserved)?;
        let forgotten = std::mem::replace(&mut self.context, Context::new(self.prompt.positions()));
        Ok(forgotten.chunks() as u64)
    }
}

impl Session {
    /// Plans the next pass of every lane that is on, after trimming or resetting contexts where that is due. Returns true if any
    /// lane has something to do.
    pub(super) fn plan(&mut self, out: &mut Vec<Event>) -> Result<bool> {
        self.lanes.iter_mut().for_each(|lane| lane.plan = None);
        let (count, first, mut rows_left) = (self.lanes.len(), self.first_lane, self.config.max_rows);
        // A reply token is a single row, so replies come first; then lanes take turns.
        for speaking in [true, false] {
            for at in (0..count).map(|i| (i + first) % count) {
                let lane = &self.lanes[at];
                if lane.switch == LaneSwitch::On && lane.plan.is_none() && lane.lane.is_speaking() == speaking {
                    let plan = self.plan_with_room(at, rows_left, out)?;
                    rows_left -= plan.as_ref().map_or(0, Plan::rows);
                    self.lanes[at].plan = plan;
                }
            }
        }
        Ok(self.lanes.iter().any(|lane| lane.plan.is_some()))
    }

    /// Plans at most `max_rows` rows of lane number `at`, after making room for them in its context window; None if the lane has nothing to
    /// do.
    fn plan_with_room(&mut self, at: usize, max_rows: usize, out: &mut Vec<Event>) -> Result<Option<Plan>> {
        if self.reset_is_due(at) {
            self.reset_lane(at, out)?;
        }
        let Some(plan) = self.plan_lane(at, max_rows) else { return Ok(None) };
        if self.lanes[at].cache.positions() + plan.rows() <= self.limit {
            return Ok(Some(plan));
        }
        self.make_room(at, plan.rows(), out)?;
        Ok(self.plan_lane(at, max_rows))
    }

    fn plan_lane(&self, at: usize, max_rows: usize) -> Option<Plan> {
        let lane = &self.lanes[at];
        let resets = self.has_reset(ResetTrigger::AfterQuiet);
        let waiting: SmallVec<[ChunkMeta; CHUNKS_PER_PASS + 1]> = self
            .queue
            .from(lane.next)
            .take(CHUNKS_PER_PASS + 1)
            .map(|encoded| encoded.meta)
            .enumerate()
            // A reset that is due after quiet comes between the chunks before the quiet and those after it.
            .take_while(|(place, meta)| *place == 0 || !resets || meta.follows == Follows::Chunk)
            .map(|(_, meta)| meta)
            .collect();
        lane.lane.plan(&waiting, max_rows)
    }

    /// Returns true if the context policy resets lanes at the moment `reset`.
    fn has_reset(&self, reset: ResetTrigger) -> bool {
        matches!(self.config.when_full, WhenFull::Trim(context) if context.policy.resets().contains(&reset))
    }

    /// Returns true if the context policy sends lane number `at` back to its prompt before it takes its next chunk.
    fn reset_is_due(&self, at: usize) -> bool {
        let lane = &self.lanes[at];
        let WhenFull::Trim(context) = self.config.when_full else { return false };
        let Some(next) = self.queue.from(lane.next).next().filter(|_| !lane.lane.is_speaking()) else { return false };
        let due = |reset: &ResetTrigger| match reset {
            ResetTrigger::AfterQuiet => next.meta.follows == Follows::Quiet,
            ResetTrigger::AtPosition(position) => lane.context.positions() >= *position,
            ResetTrigger::AfterReply => lane.context.was_answered(),
        };
        lane.context.chunks() > 0 && context.policy.resets().iter().any(due)
    }

    /// Sends lane number `at` back to its prompt, and appends an event with the number of forgotten chunks.
    fn reset_lane(&mut self, at: usize, out: &mut Vec<Event>) -> Result<()> {
        let reserved = self.reserved_positions();
        let lane = &mut self.lanes[at];
        let (at, mode) = (lane.context.at(), lane.mode.name.clone());
        let dropped_chunks = lane.reset(reserved)?;
        out.push(Event::ContextTrimmed { at, mode, dropped_chunks, positions: lane.cache.positions() });
        Ok(())
    }

    /// Makes room for `rows` more rows in the full lane number `at`: the positions that stay move down, and nothing is fed again. If the
    /// reply alone fills the window, ends the reply and goes back to the prompt.
    fn make_room(&mut self, at: usize, rows: usize, out: &mut Vec<Event>) -> Result<()> {
        let WhenFull::Trim(context) = self.config.when_full else {
            let why = format!("the session is longer than the {} positions that the model {} takes", self.limit, self.model.name());
            return Err(Error::new(ErrorKind::UnsupportedModel, why));
        };
        let lane = &mut self.lanes[at];
        if let Some(trim) = lane.context.make_room(context.policy, self.limit, rows) {
            self.model.compact(&mut lane.cache, &trim.kept)?;
            let (at, mode, positions) = (lane.context.at(), lane.mode.name.clone(), lane.cache.positions());
            out.push(Event::ContextTrimmed { at, mode, dropped_chunks: trim.dropped_chunks, positions });
            return Ok(());
        }
        // The reply alone fills the window.
        self.cut_lane(at, StopReason::Limit, out);
        self.reset_lane(at, out)
    }

    /// Ends the reply of lane number `at` with the reason `stop`; does nothing if the lane is not replying.
    pub(super) fn cut_lane(&mut self, at: usize, stop: StopReason, out: &mut Vec<Event>) {
        let lane = &mut self.lanes[at];
        for event in lane.lane.cut(stop) {
            self.replies.push(&lane.mode, &event, self.model.vocabulary(), out);
        }
    }
}
