//! The running maximum of the log-mel, over the whole stream or the last 45 s.

use std::collections::VecDeque;

/// The stretch of a stream over which the maximum of the log-mel is taken; values more than 80 dB below the maximum are raised to that
/// floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxWindow {
    /// The whole stream, as in the reference.
    WholeStream,
    /// The last 112 chunks, about 45 s, for endless listening: a slammed door does not hide quiet speech for hours.
    Last45Secs,
}

/// Number of chunks in 45 s. The reference never hears more than 112 silent chunks in a stream (`src/model/README.md` section 6.2),
/// so the model knows maxima over at most that many.
const WINDOW_CHUNKS: usize = 112;

/// The largest log10 mel power of the frames that are final (the last frame of the newest chunk is not): one value for each chunk
/// of the window, or a single one for the whole stream.
#[derive(Debug)]
pub(super) struct RunningMax {
    max_window: MaxWindow,
    /// Maximum of each chunk, oldest first; a single value for the whole stream.
    chunks: VecDeque<f32>,
}

impl RunningMax {
    pub(super) fn new(max_window: MaxWindow) -> Self {
        Self { max_window, chunks: VecDeque::with_capacity(WINDOW_CHUNKS) }
    }

    pub(super) fn clear(&mut self) {
        self.chunks.clear();
    }

    /// Includes `log`, a log10 mel power, in the maximum of the newest chunk; before the first chunk, does nothing.
    pub(super) fn fold_into_newest(&mut self, log: f32) {
        if let Some(newest) = self.chunks.back_mut() {
            *newest = newest.max(log);
        }
    }

    /// Adds a chunk whose final frames have the maximum `log`; drops the oldest chunk of a full window. For the whole stream, includes
    /// `log` in the single value.
    pub(super) fn push(&mut self, log: f32) {
        match self.max_window {
            MaxWindow::WholeStream if !self.chunks.is_empty() => return self.fold_into_newest(log),
            MaxWindow::Last45Secs if self.chunks.len() == WINDOW_CHUNKS => drop(self.chunks.pop_front()),
            MaxWindow::WholeStream | MaxWindow::Last45Secs => {}
        }
        self.chunks.push_back(log);
    }

    /// Returns the maximum of the log10 mel powers, or minus infinity before the first chunk.
    pub(super) fn get(&self) -> f32 {
        self.chunks.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }
}
