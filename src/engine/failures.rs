//! What is done about a worker that fails, again and again. Pure.

use std::collections::VecDeque;

use crate::time::{SAMPLE_RATE_HZ, StreamTime};

/// Failures one after the other after which there is no use in going on.
const IN_A_ROW: usize = 6;
/// Failures within a minute after which there is none either, though it worked in between.
const IN_A_MINUTE: usize = 20;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Everything is put back to before the failure, and done again.
    Retry,
    /// What it failed on is passed over; everything else stays.
    Skip,
    /// Starts afresh.
    Restart,
    /// Nothing helps.
    End,
}

/// Whether a failure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    Tell,
    /// It was told a moment ago.
    Told,
}

/// Counts the failures of one worker.
#[derive(Debug, Default)]
pub(super) struct Failures {
    in_a_row: usize,
    lately: VecDeque<StreamTime>,
}

impl Failures {
    /// It worked.
    pub(super) const fn over(&mut self) {
        self.in_a_row = 0;
    }

    /// It failed at `now`.
    pub(super) fn failed(&mut self, now: StreamTime) -> (Remedy, Telling) {
        self.in_a_row += 1;
        let minute = 60 * u64::from(SAMPLE_RATE_HZ);
        self.lately.retain(|then| now.0.0.saturating_sub(then.0.0) < minute);
        self.lately.push_back(now);
        let remedy = match self.in_a_row {
            _ if self.in_a_row >= IN_A_ROW || self.lately.len() >= IN_A_MINUTE => Remedy::End,
            1 => Remedy::Retry,
            2 | 3 => Remedy::Skip,
            _ => Remedy::Restart,
        };
        let first = self.in_a_row == 1 && self.lately.len() == 1;
        // What is lost by it is always told.
        let loses = matches!(remedy, Remedy::Skip | Remedy::End) || self.in_a_row == 4;
        let telling = if first || loses { Telling::Tell } else { Telling::Told };
        (remedy, telling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> StreamTime {
        StreamTime::from_samples(secs * u64::from(SAMPLE_RATE_HZ))
    }

    #[test]
    fn one_failure_costs_nothing_and_is_told_once() {
        let mut failures = Failures::default();
        assert_eq!(failures.failed(at(5)), (Remedy::Retry, Telling::Tell));
        failures.over();
        assert_eq!(failures.failed(at(6)), (Remedy::Retry, Telling::Told), "a moment later");
        failures.over();
        assert_eq!(failures.failed(at(100)), (Remedy::Retry, Telling::Tell));
    }

    #[test]
    fn what_fails_again_and_again_ends() {
        let mut failures = Failures::default();
        let remedies: Vec<Remedy> = (0..6).map(|_| failures.failed(at(5)).0).collect();
        assert_eq!(remedies, [Remedy::Retry, Remedy::Skip, Remedy::Skip, Remedy::Restart, Remedy::Restart, Remedy::End]);
    }

    #[test]
    fn what_works_in_between_and_fails_every_second_ends_too() {
        let mut failures = Failures::default();
        let mut told = 0;
        for second in 0..100 {
            let (remedy, telling) = failures.failed(at(second));
            told += usize::from(telling == Telling::Tell);
            failures.over();
            if remedy == Remedy::End {
                assert_eq!((second, told), (19, 2), "told when it began and when it ended");
                return;
            }
        }
        panic!("it went on for ever");
    }

    #[test]
    fn a_failure_every_minute_is_lived_with() {
        let mut failures = Failures::default();
        for minute in 0..10_000 {
            assert_eq!(failures.failed(at(61 * minute)), (Remedy::Retry, Telling::Tell));
            failures.over();
        }
    }
}
