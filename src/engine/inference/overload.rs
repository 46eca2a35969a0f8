//! Load shedding: which mode rests when the machine cannot keep up, when it comes back, and when the user hears that no mode can
//! rest. Pure: lag and audio time in, one change out.

use super::load::{LagCause, Load};
use crate::time::{SAMPLE_RATE_HZ, StreamTime};

/// Lag that is reported, or that makes a mode rest where chunks are slow, in seconds. A reply of usual length alone causes less.
const REPORTED_LAG_SECS: f32 = 6.0;
/// Lag below which a session has caught up, in seconds: a later lag is reported again.
const CAUGHT_UP_SECS: f32 = 1.0;
/// Lag that makes a mode rest where only replies are long, in seconds: a third of the chunk queue.
const LONG_REPLY_LAG_SECS: f32 = 20.0;
/// Lag up to which resting modes may come back, in seconds.
const CALM_LAG_SECS: f32 = 2.0;
/// Shortest time from a change to the next mode that goes to rest, in seconds, so that the effect on the lag is visible.
const SETTLE_SECS: u64 = 10;
/// Time without a lag before a resting mode comes back, in seconds. Doubled each time that the mode has to rest again soon after its
/// return.
const CALM_SECS: u64 = 30;
/// Upper bound of the time without a lag before a resting mode comes back, in seconds.
const MAX_CALM_SECS: u64 = 960;
/// Number of calm times ([`CALM_SECS`], perhaps doubled) after a mode's return within which another rest doubles the calm time.
const RELAPSE_CALM_TIMES: u64 = 4;

/// A change of the modes, or a report, that the lag of a session requires; the caller carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LoadChange {
    /// This mode is switched off until the lag is over.
    Rest(String),
    /// This mode is switched on again.
    Wake(String),
    /// No mode may rest: the user is told what helps.
    Report,
}

/// The load shedding of a session: the modes that rest, and the lag over time.
#[derive(Debug)]
pub(super) struct Overload {
    /// Names of the modes that may rest, the first to rest first.
    order: Vec<String>,
    /// Names of the modes that rest, in the order in which they went to rest.
    resting: Vec<String>,
    /// Audio time at which a mode last went to rest or came back.
    changed_at: StreamTime,
    /// Audio time since which there is no lag; None during a lag.
    calm_since: Option<StreamTime>,
    /// Audio time at which a mode last came back.
    woken_at: Option<StreamTime>,
    /// Time without a lag before the next mode comes back, in seconds.
    calm_secs: u64,
    /// Last notice that the user got about the lag.
    notice: OverloadNotice,
}

/// The last notice that the user got about the lag.
#[derive(Clone, Copy, Debug, PartialEq)]
enum OverloadNotice {
    /// No notice since the session last had caught up.
    None,
    /// A mode went to rest when the lag was this many seconds; another notice follows only at twice that lag.
    Rest(f32),
    /// No mode could rest, and the user was told so.
    Report,
}

impl Overload {
    pub(super) const fn new(order: Vec<String>) -> Self {
        let (changed_at, calm_since, woken_at) = (StreamTime::ZERO, None, None);
        Self { order, resting: Vec::new(), changed_at, calm_since, woken_at, calm_secs: CALM_SECS, notice: OverloadNotice::None }
    }

    /// Returns the change that `load` requires at audio time `now`, with the modes `on` switched on; None if no change is due. The last
    /// mode that is on never rests.
    pub(super) fn step(&mut self, load: Load, now: StreamTime, on: &[String]) -> Option<LoadChange> {
        let Load { lag_secs, cause } = load;
        if lag_secs < CAUGHT_UP_SECS {
            self.notice = OverloadNotice::None;
        }
        if lag_secs > CALM_LAG_SECS {
            self.calm_since = None;
        } else {
            self.calm_since.get_or_insert(now);
        }
        let first = self.order.iter().find(|name| on.contains(name) && on.len() > 1).cloned();
        let limit = if cause == LagCause::Chunks { REPORTED_LAG_SECS } else { LONG_REPLY_LAG_SECS };
        if let Some(name) = first {
            if lag_secs <= limit || !self.resting.is_empty() && secs_between(self.changed_at, now) < SETTLE_SECS {
                return self.wake(now);
            }
            let relapse = self.woken_at.is_some_and(|woken| secs_between(woken, now) < RELAPSE_CALM_TIMES * self.calm_secs);
            self.calm_secs = if relapse { (2 * self.calm_secs).min(MAX_CALM_SECS) } else { CALM_SECS };
            self.changed_at = now;
            self.notice = OverloadNotice::Rest(lag_secs);
            self.resting.push(name.clone());
            return Some(LoadChange::Rest(name));
        }
        let due = match self.notice {
            OverloadNotice::None => lag_secs > REPORTED_LAG_SECS,
            OverloadNotice::Rest(then) => lag_secs > 2.0 * then,
            OverloadNotice::Report => false,
        };
        if due {
            self.notice = OverloadNotice::Report;
            return Some(LoadChange::Report);
        }
        self.wake(now)
    }

    /// Returns [`LoadChange::Wake`] for the mode that went to rest last, once there was no lag for the calm time; else None.
    fn wake(&mut self, now: StreamTime) -> Option<LoadChange> {
        if self.calm_since.is_some_and(|calm| secs_between(calm, now) >= self.calm_secs) {
            let name = self.resting.pop()?;
            // The next mode waits for another calm time.
            self.calm_since = Some(now);
            (self.changed_at, self.woken_at) = (now, Some(now));
            return Some(LoadChange::Wake(name));
        }
        None
    }

    /// Forgets that the mode `name` rests, because the user has switched it on or off.
    pub(super) fn forget(&mut self, name: &str) {
        self.resting.retain(|resting| resting != name);
    }
}

/// Returns the whole seconds from `then` to `now`.
const fn secs_between(then: StreamTime, now: StreamTime) -> u64 {
    now.0.0.saturating_sub(then.0.0) / SAMPLE_RATE_HZ as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Runs `secs` seconds with the modes `on` on a machine that does `capacity` modes in real time. Returns (second, change) pairs
    /// and the final lag.
    fn run(order: &[&str], on: &[&str], capacity: f32, secs: u64) -> (Vec<(u64, LoadChange)>, f32) {
        let (mut overload, mut on, mut lag, mut changes) = (Overload::new(names(order)), names(on), 0.0_f32, Vec::new());
        for second in 0..secs {
            lag = (lag + on.len() as f32 / capacity - 1.0).max(0.0);
            let now = StreamTime::from_samples(second * u64::from(SAMPLE_RATE_HZ));
            if let Some(change) = overload.step(Load { lag_secs: lag, cause: LagCause::Chunks }, now, &on) {
                match &change {
                    LoadChange::Rest(name) => on.retain(|n| n != name),
                    LoadChange::Wake(name) => on.push(name.clone()),
                    LoadChange::Report => {}
                }
                changes.push((second, change));
            }
        }
        (changes, lag)
    }

    #[test]
    fn modes_rest_in_the_configured_order() {
        let (said, _) = run(&["sounds", "translate", "transcribe"], &["dialog", "transcribe", "translate", "sounds"], 2.2, 100);
        let order: Vec<&LoadChange> = said.iter().map(|(_, change)| change).collect();
        assert_eq!(order[..2], [&LoadChange::Rest("sounds".into()), &LoadChange::Rest("translate".into())]);
        assert!(said[1].0 - said[0].0 >= SETTLE_SECS, "{said:?}");
    }

    #[test]
    fn a_machine_that_keeps_up_and_a_long_reply_change_nothing() {
        assert_eq!(run(&["sounds"], &["dialog", "sounds"], 2.0, 10_000).0, []);
        let mut overload = Overload::new(names(&["sounds"]));
        // A long reply: 15 s of lag.
        let load = Load { lag_secs: 15.0, cause: LagCause::Replies };
        assert_eq!(overload.step(load, StreamTime::from_samples(1_000_000), &names(&["dialog", "sounds"])), None);
    }

    #[test]
    fn the_last_mode_and_those_not_listed_never_rest() {
        let (said, _) = run(&["dialog"], &["dialog"], 0.5, 500);
        assert!(said.iter().all(|(_, change)| *change == LoadChange::Report) && said.len() == 1, "{said:?}");
        let (said, _) = run(&["sounds"], &["dialog", "transcribe"], 1.0, 500);
        assert!(said.iter().all(|(_, change)| *change == LoadChange::Report) && said.len() == 1, "{said:?}");
    }

    #[test]
    fn a_mode_that_overloads_the_machine_comes_back_less_and_less_often() {
        let (said, lag) = run(&["sounds"], &["dialog", "sounds"], 1.3, 20_000);
        let rests: Vec<u64> = said.iter().filter(|(_, change)| matches!(change, LoadChange::Rest(_))).map(|(second, _)| *second).collect();
        let pauses: Vec<u64> = rests.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.windows(2).all(|pair| pair[1] + 5 >= pair[0]) && pauses[0] < 300 && *pauses.last().unwrap() > 900, "{pauses:?}");
        assert!(lag < 60.0);
    }

    #[test]
    fn a_mode_that_the_user_switched_off_is_not_woken() {
        let mut overload = Overload::new(names(&["sounds"]));
        let at = |secs: u64| StreamTime::from_samples(secs * u64::from(SAMPLE_RATE_HZ));
        let load = |lag_secs| Load { lag_secs, cause: LagCause::Replies };
        assert!(overload.step(load(30.0), at(10), &names(&["dialog", "sounds"])).is_some());
        overload.forget("sounds");
        assert_eq!(overload.step(load(0.0), at(20), &names(&["dialog"])), None);
        assert_eq!(overload.step(load(0.0), at(500), &names(&["dialog"])), None);
    }

    #[test]
    fn a_growing_lag_is_reported_once() {
        let (said, _) = run(&["sounds"], &["dialog", "sounds"], 1.6, 60);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(matches!(&said[0], (second, LoadChange::Rest(name)) if *second < 40 && name == "sounds"), "{said:?}");
        // No other mode can rest and the lag still grows: one more report.
        let (said, _) = run(&["sounds"], &["dialog", "transcribe", "sounds"], 1.2, 100);
        let changes: Vec<&LoadChange> = said.iter().map(|(_, change)| change).collect();
        assert_eq!(changes, [&LoadChange::Rest("sounds".into()), &LoadChange::Report]);
        let (mut overload, on) = (Overload::new(Vec::new()), names(&["dialog"]));
        let lags = [3.0, 7.0, 9.0, 30.0, 0.5, 7.0, 8.0];
        let reported: Vec<bool> = (1u64..)
            .zip(lags)
            .map(|(second, lag_secs)| {
                overload.step(Load { lag_secs, cause: LagCause::Replies }, StreamTime::from_samples(second * 16_000), &on).is_some()
            })
            .collect();
        assert_eq!(reported, [false, true, false, false, false, true, false], "another report only after the session had caught up");
    }
}
