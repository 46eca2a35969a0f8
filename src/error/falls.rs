//! How often a worker may panic before it is left lying. Pure: the time comes in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Falls within a minute after which there is no use in getting up again.
const TOO_MANY: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);

/// What a fall is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fall {
    /// The first for a minute: it goes on as it was, and the user is told.
    First,
    /// Another within a minute: what it fell over is put aside, and nothing is told again.
    Again,
    /// So many in a minute that it stays down, which is told.
    Last,
}

/// Counts the panics of one worker.
#[derive(Debug, Default)]
pub struct Falls {
    lately: VecDeque<Instant>,
}

impl Falls {
    /// It panicked at `now`.
    pub fn fell(&mut self, now: Instant) -> Fall {
        self.lately.retain(|then| now.saturating_duration_since(*then) < MINUTE);
        self.lately.push_back(now);
        match self.lately.len() {
            1 => Fall::First,
            TOO_MANY.. => Fall::Last,
            _ => Fall::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_gets_up_again_unless_it_falls_and_falls() {
        let (mut falls, begin) = (Falls::default(), Instant::now());
        let at = |secs| begin + Duration::from_secs(secs);
        let fell: Vec<Fall> = [0, 1, 2, 3, 4].into_iter().map(|secs| falls.fell(at(secs))).collect();
        assert_eq!(fell, [Fall::First, Fall::Again, Fall::Again, Fall::Again, Fall::Last]);
        let mut falls = Falls::default();
        assert!((0..1_000).all(|minute| falls.fell(at(61 * minute)) == Fall::First), "one a minute is lived with");
    }
}
