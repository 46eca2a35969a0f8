//! The running maximum of the log-mel, over everything or over the last 45 s. Not responsible for computing log-mel.

use std::collections::VecDeque;

/// What the maximum that sets the floor of the log-mel is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxWindow {
    /// Everything since the start: what the reference computes.
    WholeStream,
    /// The last 45 s: for endless listening, so that one slammed door does not deafen it for hours.
    Last45Secs,
}

/// Chunks in 45 s. The reference never hears more than 112 silent chunks in one stream (MODEL.md section 6.2): the model
/// knows maxima over at most that many.
const NEWEST_CHUNKS: usize = 112;

/// Maximum over final frames, kept per chunk where old chunks have to be forgotten.
#[derive(Debug)]
pub(super) struct Loudest {
    max_window: MaxWindow,
    /// Oldest first; a single entry when the maximum is over everything.
    chunks: VecDeque<f32>,
}

impl Loudest {
    pub(super) fn new(max_window: MaxWindow) -> Self {
        Self { max_window, chunks: VecDeque::with_capacity(NEWEST_CHUNKS) }
    }

    pub(super) fn forget(&mut self) {
        self.chunks.clear();
    }

    /// Counts `log` for the chunk that was pushed last.
    pub(super) fn fold_into_newest(&mut self, log: f32) {
        if let Some(newest) = self.chunks.back_mut() {
            *newest = newest.max(log);
        }
    }

    /// Adds a chunk whose loudest final frame has `log`.
    pub(super) fn push(&mut self, log: f32) {
        match self.max_window {
            MaxWindow::WholeStream if !self.chunks.is_empty() => return self.fold_into_newest(log),
            MaxWindow::Last45Secs if self.chunks.len() == NEWEST_CHUNKS => drop(self.chunks.pop_front()),
            MaxWindow::WholeStream | MaxWindow::Last45Secs => {}
        }
        self.chunks.push_back(log);
    }

    /// The maximum; minus infinity before the first chunk. Looking at 112 numbers a chunk costs nothing.
    pub(super) fn get(&self) -> f32 {
        self.chunks.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }
}
