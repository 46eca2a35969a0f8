//! Retry policy for computations and sources that fail again and again. Pure: the caller passes the audio time.

use std::collections::VecDeque;

use crate::time::{SAMPLE_RATE_HZ, StreamTime};

/// Number of failures in a row at which a worker (inference or capture) ends.
const MAX_IN_A_ROW: usize = 6;
/// Number of failures within a minute of audio time at which a worker (inference or capture) ends, successes in between or not.
const MAX_IN_A_MINUTE: usize = 20;
/// Number of failures in a row from which a worker starts afresh.
const FIRST_RESTART: usize = 4;

/// The answer to a failure of a worker. A worker with nothing to roll back (capture, a chunk that could not be encoded) only obeys `End`,
/// and else goes on with the next sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureAction {
    /// Roll back and try the same work again.
    Retry,
    /// Roll back and skip the work that failed.
    Skip,
    /// Start afresh: the lanes lose their context.
    Restart,
    /// End: nothing helps.
    End,
}

/// The decision whether the user hears of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notify {
    /// The user is told.
    Report,
    /// The user is not told: a failure was reported within the last minute, and this one loses no sound.
    AlreadyReported,
}

/// The count of a worker's failures, from which the answer to the next one follows.
#[derive(Debug, Default)]
pub(super) struct RetryPolicy {
    /// Number of failures since the last success.
    in_a_row: usize,
    /// Audio times of the failures of the last minute.
    recent: VecDeque<StreamTime>,
}

impl RetryPolicy {
    /// Notes that the worker succeeded, which ends a row of failures.
    pub(super) const fn succeeded(&mut self) {
        self.in_a_row = 0;
    }

    /// Counts a failure at audio time `now`. Returns the answer to the failure, and the decision about telling the user.
    pub(super) fn failed(&mut self, now: StreamTime) -> (FailureAction, Notify) {
        self.in_a_row += 1;
        let minute = 60 * u64::from(SAMPLE_RATE_HZ);
        self.recent.retain(|then| now.0.0.saturating_sub(then.0.0) < minute);
        self.recent.push_back(now);
        let action = match self.in_a_row {
            _ if self.in_a_row >= MAX_IN_A_ROW || self.recent.len() >= MAX_IN_A_MINUTE => FailureAction::End,
            1 => FailureAction::Retry,
            2..FIRST_RESTART => FailureAction::Skip,
            _ => FailureAction::Restart,
        };
        let first = self.in_a_row == 1 && self.recent.len() == 1;
        // Whatever loses sound or context is always reported.
        let loses = matches!(action, FailureAction::Skip | FailureAction::End) || self.in_a_row == FIRST_RESTART;
        let notify = if first || loses { Notify::Report } else { Notify::AlreadyReported };
        (action, notify)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> StreamTime {
        StreamTime::from_samples(secs * u64::from(SAMPLE_RATE_HZ))
    }

    #[test]
    fn a_single_failure_is_retried_and_reported_once_a_minute() {
        let mut policy = RetryPolicy::default();
        assert_eq!(policy.failed(at(5)), (FailureAction::Retry, Notify::Report));
        policy.succeeded();
        assert_eq!(policy.failed(at(6)), (FailureAction::Retry, Notify::AlreadyReported), "a second later");
        policy.succeeded();
        assert_eq!(policy.failed(at(100)), (FailureAction::Retry, Notify::Report));
    }

    #[test]
    fn failures_in_a_row_skip_then_restart_then_end() {
        let mut policy = RetryPolicy::default();
        let actions: Vec<FailureAction> = (0..6).map(|_| policy.failed(at(5)).0).collect();
        let restart_twice = [FailureAction::Restart; 2];
        assert_eq!(actions[..3], [FailureAction::Retry, FailureAction::Skip, FailureAction::Skip]);
        assert_eq!((&actions[3..5], actions[5]), (&restart_twice[..], FailureAction::End));
    }

    #[test]
    fn twenty_failures_in_a_minute_end_the_worker_despite_successes() {
        let mut policy = RetryPolicy::default();
        let mut reports = 0;
        for second in 0..100 {
            let (action, notify) = policy.failed(at(second));
            reports += usize::from(notify == Notify::Report);
            policy.succeeded();
            if action == FailureAction::End {
                assert_eq!((second, reports), (19, 2), "reported at the start and at the end");
                return;
            }
        }
        panic!("the worker never ended");
    }

    #[test]
    fn one_failure_a_minute_never_ends_the_worker() {
        let mut policy = RetryPolicy::default();
        for minute in 0..10_000 {
            assert_eq!(policy.failed(at(61 * minute)), (FailureAction::Retry, Notify::Report));
            policy.succeeded();
        }
    }
}
