//! The queue of encoded chunks that all lanes share, each with its own cursor.

use std::collections::VecDeque;

use crate::lane::ChunkMeta;
use crate::model::Features;
use crate::time::ChunkIdx;

/// A chunk after the audio encoder.
#[derive(Clone, Debug)]
pub struct EncodedChunk {
    /// Number, time, question and priority of the chunk.
    pub meta: ChunkMeta,
    /// Features, `[10, n_embd]`.
    pub features: Features,
}

/// The queue of encoded chunks, oldest first.
#[derive(Debug, Default)]
pub(super) struct EncodedQueue {
    chunks: VecDeque<EncodedChunk>,
    /// Number of the next chunk.
    end: ChunkIdx,
}

impl EncodedQueue {
    /// Appends a chunk, whose number must be higher than those before it.
    pub(super) fn push(&mut self, encoded: EncodedChunk) {
        self.end = encoded.meta.chunk.next();
        self.chunks.push_back(encoded);
    }

    /// Returns the number that the next chunk has at least: the one after the newest chunk.
    pub(super) const fn end(&self) -> ChunkIdx {
        self.end
    }

    /// Returns the queued chunks from chunk number `first` on.
    pub(super) fn from(&self, first: ChunkIdx) -> impl Iterator<Item = &EncodedChunk> {
        self.chunks.range(self.position(first)..)
    }

    /// Returns the number of queued chunks from chunk number `first` on.
    pub(super) fn count_from(&self, first: ChunkIdx) -> usize {
        self.chunks.len() - self.position(first)
    }

    /// Drops the queued chunks before chunk number `first`.
    pub(super) fn forget_before(&mut self, first: ChunkIdx) {
        self.chunks.drain(..self.position(first));
    }

    /// Sets the number of the next chunk, for a queue that continues another.
    pub(super) const fn continue_from(&mut self, next: ChunkIdx) {
        self.end = next;
    }

    /// Drops every chunk; the numbering goes on.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
    }

    fn position(&self, first: ChunkIdx) -> usize {
        self.chunks.partition_point(|encoded| encoded.meta.chunk < first)
    }
}
