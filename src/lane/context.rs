//! The context of a lane: the chunks in its cache, and which of them go when the window is full (`src/README.md` "Endless
//! listening").
//!
//! Pure: counts the rows that are fed and says which positions stay. Not responsible for the cache itself.

use std::collections::VecDeque;
use std::ops::Range;

use super::Priority;
use super::{CHUNK_ROWS, CHUNKS_PER_PASS, Item, Plan};
use crate::config::ContextPolicy;
use crate::time::StreamTime;

/// Number of the newest chunks of a lane's context that stay whatever their priority, as long as they fit at all: 20 s.
const RECENT_CHUNKS: usize = 50;
/// Quarters of a full context window that stay after trimming: three, so that trimming happens every 15 s at most.
const KEPT_QUARTERS: usize = 3;
/// Number of chunks before an answered one that may have led to the answer: 6 s, a long question.
const LEADING_CHUNKS: usize = 15;
/// Number of chunks with sound at the start of a session that are kept longest: 6 s, a spoken instruction. More would cost the window too
/// much.
const FIRST_CHUNKS: usize = 15;

/// The chunks in a lane's cache, after the prompt, in the order of their positions.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Number of positions of system prefix and instruction, which are never dropped.
    prompt: usize,
    /// Chunks in the cache, oldest first.
    chunks: VecDeque<CachedChunk>,
    /// Number of chunks that have had the priority [`Priority::First`] so far.
    first: usize,
    /// Number of turns (a question with its answer) so far.
    turns: u64,
}

/// A chunk in a lane's cache, with the tokens fed after it: silence, or the answer to the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CachedChunk {
    /// Audio time at the end of the chunk.
    at: StreamTime,
    /// Number of positions in the cache.
    rows: usize,
    /// Priority of the chunk when the context is trimmed.
    priority: Priority,
    /// Number of the turn that the chunk belongs to; a turn is dropped as a whole unless a recent chunk is part of it.
    turn: u64,
    /// Record that the chunk was replied to, or not.
    answered: Answered,
}

/// The record that a chunk was replied to, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    /// The lane stayed silent.
    No,
    /// The lane replied.
    Yes,
}

/// The result of trimming a full context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Ranges of positions in the cache that stay, in order, the prompt's first.
    pub kept: Vec<Range<usize>>,
    /// Number of chunks that are dropped.
    pub dropped_chunks: u64,
}

impl Context {
    /// Returns a context that holds only a prompt of `prompt` positions.
    #[must_use]
    pub fn new(prompt: usize) -> Self {
        Self { prompt, ..Self::default() }
    }

    /// Returns the number of positions in use, those of the prompt included.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.prompt + self.chunks.iter().map(|held| held.rows).sum::<usize>()
    }

    /// Returns the number of chunks in the cache.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Returns the audio time at the end of the newest chunk; zero without chunks.
    #[must_use]
    pub fn at(&self) -> StreamTime {
        self.chunks.back().map_or(StreamTime::ZERO, |held| held.at)
    }

    /// Returns true if the newest chunk was answered; false without chunks.
    #[must_use]
    pub fn was_answered(&self) -> bool {
        self.chunks.back().is_some_and(|held| held.answered == Answered::Yes)
    }

    /// Adds the chunks and tokens that `plan` feeds.
    pub fn feed(&mut self, plan: &Plan) {
        let mut fed = plan.fed.iter().map(|fed| fed.meta);
        let mut items = plan.items.iter().peekable();
        while let Some(item) = items.next() {
            // AUDIO_BEGIN comes right before the features of its chunk; any other token belongs to the chunk before it.
            if let Some(Item::Chunk(_)) = items.peek()
                && let Some(meta) = fed.next()
            {
                // Skips the features and ASSISTANT.
                items.nth(1);
                let mut priority = meta.priority;
                if priority == Priority::Heard && self.first < FIRST_CHUNKS {
                    self.first += 1;
                    priority = Priority::First;
                }
                self.chunks.push_back(CachedChunk { at: meta.at, rows: CHUNK_ROWS, priority, turn: 0, answered: Answered::No });
            } else {
                let rows = match self.chunks.back_mut() {
                    Some(held) => &mut held.rows,
                    None => &mut self.prompt,
                };
                *rows += item.rows();
            }
        }
    }

    /// Marks the newest chunk as answered, and the chunks with sound that led to the answer (up to 6 s) as one turn with it.
    pub fn answer(&mut self) {
        self.turns += 1;
        for (back, held) in self.chunks.iter_mut().rev().take(LEADING_CHUNKS + 1).enumerate() {
            if back > 0 && held.answered == Answered::Yes {
                break;
            }
            if back == 0 {
                held.answered = Answered::Yes;
            }
            if back == 0 || held.priority == Priority::Heard {
                if held.priority != Priority::First {
                    held.priority = Priority::Turn;
                }
                held.turn = self.turns;
            }
        }
    }

    /// Makes room for `rows` more rows in a window of `window` positions: drops chunks in the order of `policy` until three quarters of the
    /// window are in use, and of the newest 20 s as many chunks as must go. Returns the positions that stay; None when not even the newest
    /// chunk would fit, and nothing is dropped.
    pub fn make_room(&mut self, policy: ContextPolicy, window: usize, rows: usize) -> Option<Trim> {
        let newest = self.chunks.len().checked_sub(1)?;
        let recent_from = self.chunks.len().saturating_sub(RECENT_CHUNKS);
        let rank = |priority: Priority| policy.evict_first().iter().position(|listed| *listed == priority).map_or(0, |place| place + 1);
        let mut order: Vec<usize> = (0..newest).collect();
        // The sort is stable: within a rank the oldest goes first. Recent chunks go last, by age.
        order.sort_by_key(|at| if *at >= recent_from { usize::MAX } else { rank(self.chunks[*at].priority) });
        let wanted = window * KEPT_QUARTERS / 4;
        // Recent chunks go only as far as they must, with room left for some more chunks.
        let most = window.saturating_sub(rows.max(CHUNKS_PER_PASS * (CHUNK_ROWS + 1)));
        let mut held = self.positions();
        let mut stays = vec![true; self.chunks.len()];
        let mut going = None;
        for at in order {
            let chunk = self.chunks[at];
            let turn = Some(chunk.turn).filter(|_| at < recent_from && chunk.priority == Priority::Turn);
            let goal = if at >= recent_from { most } else { wanted.min(most) };
            if held <= goal && (turn.is_none() || turn != going) {
                break;
            }
            going = turn;
            stays[at] = false;
            held -= chunk.rows;
        }
        (held + rows <= window).then(|| self.drop_all_but(&stays))
    }

    /// Drops the chunks for which `stays` is false, and returns the ranges of positions that stay.
    fn drop_all_but(&mut self, stays: &[bool]) -> Trim {
        let mut kept: Vec<Range<usize>> = std::iter::once(0..self.prompt).collect();
        let mut position = self.prompt;
        for (held, stays) in self.chunks.iter().zip(stays) {
            if *stays {
                match kept.last_mut() {
                    Some(last) if last.end == position => last.end += held.rows,
                    _ => kept.push(position..position + held.rows),
                }
            }
            position += held.rows;
        }
        let before = self.chunks.len();
        let mut stay = stays.iter();
        self.chunks.retain(|_| stay.next().copied().unwrap_or(true));
        kept.retain(|range| !range.is_empty());
        Trim { kept, dropped_chunks: (before - self.chunks.len()) as u64 }
    }
}

#[cfg(test)]
mod tests;
