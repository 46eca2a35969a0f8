//! The look-ahead delay behind the canceller: a person's first word is passed on whole although barge-in detection takes about
//! 100 ms to suspect a person. Pure.

use std::collections::VecDeque;

use super::canceller::{CancelledFrame, Frame};
use crate::time::HOP_SAMPLES;

/// Length of the look-ahead delay, in frames of 10 ms: 120 ms, the longest time until a person is suspected.
const DELAY: usize = 12;

/// The output of the echo canceller that is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CancellerOutput {
    /// The suppressor's output: no echo.
    Clean,
    /// The linear filter's output: all of a person, with some echo.
    Linear,
}

/// The frames of 10 ms in the look-ahead delay behind the echo canceller, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lookahead {
    /// Delayed frames, each with the output to pass on, oldest first.
    frames: VecDeque<(CancelledFrame, CancellerOutput)>,
    /// Share of the linear output in the last sample that was passed on, 0 to 1.
    linear_share: f32,
}

impl Lookahead {
    /// Adds a frame and appends the samples of the frame that leaves the delay to `out`. If `output` is linear, the linear output of all
    /// delayed frames is passed on too.
    pub(super) fn push(&mut self, frame: CancelledFrame, output: CancellerOutput, out: &mut Vec<f32>) {
        self.frames.push_back((frame, output));
        if output == CancellerOutput::Linear {
            for (_, delayed) in &mut self.frames {
                *delayed = CancellerOutput::Linear;
            }
        }
        while self.frames.len() > DELAY {
            self.pass_on(out);
        }
    }

    /// Appends the samples of all delayed frames to `out`.
    pub(super) fn flush(&mut self, out: &mut Vec<f32>) {
        while !self.frames.is_empty() {
            self.pass_on(out);
        }
        self.linear_share = 0.0;
    }

    /// Appends the samples of the oldest frame to `out`, with a fade where the output changes.
    fn pass_on(&mut self, out: &mut Vec<f32>) {
        let Some((frame, output)) = self.frames.pop_front() else { return };
        // Cross-fade within a frame, so that the change does not click.
        let (from, to) = (self.linear_share, f32::from(u8::from(output == CancellerOutput::Linear)));
        let mixed: Frame = std::array::from_fn(|n| {
            let share = from + (to - from) * (n + 1) as f32 / HOP_SAMPLES as f32;
            frame.clean[n] + share * (frame.linear[n] - frame.clean[n])
        });
        self.linear_share = to;
        out.extend_from_slice(&mixed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: usize) -> CancelledFrame {
        CancelledFrame { clean: [n as f32; HOP_SAMPLES], linear: [-(n as f32); HOP_SAMPLES], echo: [0.0; HOP_SAMPLES] }
    }

    #[test]
    fn frames_before_a_suspicion_are_linear_too_and_no_frame_is_lost() {
        let (mut lookahead, mut out) = (Lookahead::default(), Vec::new());
        for n in 0..40 {
            let output = if (20..25).contains(&n) { CancellerOutput::Linear } else { CancellerOutput::Clean };
            lookahead.push(frame(n), output, &mut out);
        }
        assert_eq!(out.len(), (40 - DELAY) * HOP_SAMPLES);
        lookahead.flush(&mut out);
        assert_eq!(out.len(), 40 * HOP_SAMPLES);
        let last = |n: usize| out[(n + 1) * HOP_SAMPLES - 1];
        for n in 0..40 {
            // Linear from 120 ms before frame 20 until frame 24.
            let wanted = if (20 - DELAY..25).contains(&n) { -(n as f32) } else { n as f32 };
            assert_eq!(last(n), wanted, "{n}");
        }
        assert!(out.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 1.5), "the two outputs are cross-faded");
    }
}
