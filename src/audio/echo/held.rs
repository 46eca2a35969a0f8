//! What the canceller made, held for a moment: so that a person's first word is passed on whole although it takes some
//! 100 ms to notice it. Pure.

use std::collections::VecDeque;

use super::canceller::{Cancelled, Frame};
use crate::time::HOP_SAMPLES;

/// Frames that are held: 120 ms, what a person has said before the detector suspects it.
const HELD: usize = 12;

/// Which of the canceller's two outputs is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Without echo.
    Clean,
    /// With all of a person in it.
    Whole,
}

/// Frames that are held, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    frames: VecDeque<(Cancelled, Which)>,
    /// How much of `linear` was in the last sample that was passed on, 0 to 1.
    whole: f32,
}

impl Held {
    /// Takes a frame; where `which` is whole, so is everything that is held. What has been held long enough goes to `out`.
    pub(super) fn push(&mut self, frame: Cancelled, which: Which, out: &mut Vec<f32>) {
        self.frames.push_back((frame, which));
        if which == Which::Whole {
            for (_, held) in &mut self.frames {
                *held = Which::Whole;
            }
        }
        while self.frames.len() > HELD {
            self.pass_on(out);
        }
    }

    /// Gives everything out.
    pub(super) fn flush(&mut self, out: &mut Vec<f32>) {
        while !self.frames.is_empty() {
            self.pass_on(out);
        }
        self.whole = 0.0;
    }

    fn pass_on(&mut self, out: &mut Vec<f32>) {
        let Some((frame, which)) = self.frames.pop_front() else { return };
        // From one to the other within a frame, so that nothing clicks.
        let (from, to) = (self.whole, f32::from(u8::from(which == Which::Whole)));
        let mixed: Frame = std::array::from_fn(|n| {
            let whole = from + (to - from) * (n + 1) as f32 / HOP_SAMPLES as f32;
            frame.clean[n] + whole * (frame.linear[n] - frame.clean[n])
        });
        self.whole = to;
        out.extend_from_slice(&mixed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: usize) -> Cancelled {
        Cancelled { clean: [n as f32; HOP_SAMPLES], linear: [-(n as f32); HOP_SAMPLES], echo: [0.0; HOP_SAMPLES] }
    }

    #[test]
    fn what_was_said_before_somebody_was_noticed_is_whole_and_nothing_is_lost() {
        let (mut held, mut out) = (Held::default(), Vec::new());
        for n in 0..40 {
            held.push(frame(n), if (20..25).contains(&n) { Which::Whole } else { Which::Clean }, &mut out);
        }
        assert_eq!(out.len(), (40 - HELD) * HOP_SAMPLES);
        held.flush(&mut out);
        assert_eq!(out.len(), 40 * HOP_SAMPLES);
        let last = |n: usize| out[(n + 1) * HOP_SAMPLES - 1];
        for n in 0..40 {
            // 120 ms before frame 20, and until frame 24.
            let wanted = if (20 - HELD..25).contains(&n) { -(n as f32) } else { n as f32 };
            assert_eq!(last(n), wanted, "{n}");
        }
        assert!(out.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 1.5), "it fades from one to the other");
    }
}
