//! The queue of encoded chunks that all lanes share, each with its own cursor.

use std::collections::VecDeque;

use crate::config::Worth;
use crate::lane::Ask;
use crate::model::Features;
use crate::time::{ChunkIdx, StreamTime};

/// A chunk as the lanes take it.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// Its number; numbers grow but may leave some out (chunks that the gate kept).
    pub chunk: ChunkIdx,
    /// Audio time at its end.
    pub at: StreamTime,
    /// Its features, `[10, n_embd]`.
    pub features: Features,
    /// Whether lanes are asked about it.
    pub ask: Ask,
    /// What it is worth when room is made.
    pub worth: Worth,
    /// What came right before it.
    pub follows: Follows,
}

/// What came right before a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// The chunk before it.
    Chunk,
    /// Quiet, which the gate kept away.
    Quiet,
}

/// Chunks in order, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    chunks: VecDeque<Encoded>,
    end: ChunkIdx,
}

impl Queue {
    pub(super) fn push(&mut self, encoded: Encoded) {
        self.end = encoded.chunk.next();
        self.chunks.push_back(encoded);
    }

    /// The number after the newest chunk.
    pub(super) const fn end(&self) -> ChunkIdx {
        self.end
    }

    /// The chunks from number `first` on.
    pub(super) fn from(&self, first: ChunkIdx) -> impl Iterator<Item = &Encoded> {
        self.chunks.range(self.position(first)..)
    }

    pub(super) fn count_from(&self, first: ChunkIdx) -> usize {
        self.chunks.len() - self.position(first)
    }

    /// Drops what lies before number `first`.
    pub(super) fn forget_before(&mut self, first: ChunkIdx) {
        self.chunks.drain(..self.position(first));
    }

    pub(super) const fn continue_from(&mut self, next: ChunkIdx) {
        self.end = next;
    }

    pub(super) fn clear(&mut self) {
        self.chunks.clear();
    }

    fn position(&self, first: ChunkIdx) -> usize {
        self.chunks.partition_point(|e| e.chunk < first)
    }
}
