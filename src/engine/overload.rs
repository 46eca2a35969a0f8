//! Which mode rests when the machine cannot keep up, when it comes back, and when the user is told that nothing can rest. Pure:
//! lag and audio time in, one change out.

use crate::time::{SAMPLE_RATE_HZ, StreamTime};

/// A lag beyond this is told; where chunks are slow it will only grow. A reply of usual length alone does not get there.
const LATE_SECS: f32 = 6.0;
/// So little behind, a session has caught up.
const CAUGHT_UP_SECS: f32 = 1.0;
/// A lag beyond this is more than a long reply: a third of what the queue holds.
const TOO_MUCH_SECS: f32 = 20.0;
/// A lag below this is none.
const NONE_SECS: f32 = 2.0;
/// A change shows what it is worth in so long; only then comes the next.
const SETTLE_SECS: u64 = 10;
/// So long without a lag before a mode comes back; it doubles each time that it has to rest again at once.
const CALM_SECS: u64 = 30;
/// The longest that a mode waits so.
const LONGEST_CALM_SECS: u64 = 960;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// This mode rests.
    Rest(String),
    /// This mode goes on.
    Wake(String),
    /// Nothing can rest: the user is told what helps.
    Tell,
}

/// Watches the lag.
#[derive(Debug)]
pub(super) struct Overload {
    /// Modes that may rest, the first one first.
    order: Vec<String>,
    resting: Vec<String>,
    changed_at: StreamTime,
    calm_since: Option<StreamTime>,
    woken_at: Option<StreamTime>,
    calm_secs: u64,
    told: Told,
}

/// Whether the user knows that the session is behind.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    No,
    /// A mode rests since the lag was so long; what follows is said only if it grows to twice that.
    Rest(f32),
    Yes,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) lag_secs: f32,
    pub(super) why: Why,
}

/// Why a session is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Chunks take longer than they last: it will not catch up by itself.
    Chunks,
    /// Replies do, and there are pauses between them.
    Replies,
}

impl Overload {
    pub(super) const fn new(order: Vec<String>) -> Self {
        let (changed_at, calm_since, woken_at) = (StreamTime::ZERO, None, None);
        Self { order, resting: Vec::new(), changed_at, calm_since, woken_at, calm_secs: CALM_SECS, told: Told::No }
    }

    /// What follows from `load` at `now`, when the modes `on` are on. The last one that is on never rests.
    pub(super) fn step(&mut self, load: Load, now: StreamTime, on: &[String]) -> Option<Change> {
        let Load { lag_secs, why } = load;
        if lag_secs < CAUGHT_UP_SECS {
            self.told = Told::No;
        }
        if lag_secs > NONE_SECS {
            self.calm_since = None;
        } else {
            self.calm_since.get_or_insert(now);
        }
        let first = self.order.iter().find(|name| on.contains(name) && on.len() > 1).cloned();
        let too_much = if why == Why::Chunks { LATE_SECS } else { TOO_MUCH_SECS };
        if let Some(name) = first {
            if lag_secs <= too_much || !self.resting.is_empty() && since(now, self.changed_at) < SETTLE_SECS {
                return self.wake(now);
            }
            let again = self.woken_at.is_some_and(|woken| since(now, woken) < 4 * self.calm_secs);
            self.calm_secs = if again { (2 * self.calm_secs).min(LONGEST_CALM_SECS) } else { CALM_SECS };
            self.changed_at = now;
            self.told = Told::Rest(lag_secs);
            self.resting.push(name.clone());
            return Some(Change::Rest(name));
        }
        let due = match self.told {
            Told::No => lag_secs > LATE_SECS,
            Told::Rest(then) => lag_secs > 2.0 * then,
            Told::Yes => false,
        };
        if due {
            self.told = Told::Yes;
            return Some(Change::Tell);
        }
        self.wake(now)
    }

    fn wake(&mut self, now: StreamTime) -> Option<Change> {
        if self.calm_since.is_some_and(|calm| since(now, calm) >= self.calm_secs) {
            let name = self.resting.pop()?;
            // The next one waits for as long again.
            self.calm_since = Some(now);
            (self.changed_at, self.woken_at) = (now, Some(now));
            return Some(Change::Wake(name));
        }
        None
    }

    /// The user decided about this mode: it is none of those that rest.
    pub(super) fn forget(&mut self, name: &str) {
        self.resting.retain(|resting| resting != name);
    }
}

const fn since(now: StreamTime, then: StreamTime) -> u64 {
    now.0.0.saturating_sub(then.0.0) / SAMPLE_RATE_HZ as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// A machine that does so many modes in real time; what happens in `secs` seconds with `on` on, as (second, change).
    fn run(order: &[&str], on: &[&str], can_do: f32, secs: u64) -> (Vec<(u64, Change)>, f32) {
        let (mut overload, mut on, mut lag, mut said) = (Overload::new(names(order)), names(on), 0.0_f32, Vec::new());
        for second in 0..secs {
            lag = (lag + on.len() as f32 / can_do - 1.0).max(0.0);
            let now = StreamTime::from_samples(second * u64::from(SAMPLE_RATE_HZ));
            if let Some(change) = overload.step(Load { lag_secs: lag, why: Why::Chunks }, now, &on) {
                match &change {
                    Change::Rest(name) => on.retain(|n| n != name),
                    Change::Wake(name) => on.push(name.clone()),
                    Change::Tell => {}
                }
                said.push((second, change));
            }
        }
        (said, lag)
    }

    #[test]
    fn modes_rest_in_the_order_that_the_user_gave() {
        let (said, _) = run(&["sounds", "translate", "transcribe"], &["dialog", "transcribe", "translate", "sounds"], 2.2, 100);
        let order: Vec<&Change> = said.iter().map(|(_, change)| change).collect();
        assert_eq!(order[..2], [&Change::Rest("sounds".into()), &Change::Rest("translate".into())]);
        assert!(said[1].0 - said[0].0 >= SETTLE_SECS, "{said:?}");
    }

    #[test]
    fn a_machine_that_keeps_up_is_left_alone() {
        assert_eq!(run(&["sounds"], &["dialog", "sounds"], 2.0, 10_000).0, []);
        let mut overload = Overload::new(names(&["sounds"]));
        // A long reply: 15 s of lag.
        let load = Load { lag_secs: 15.0, why: Why::Replies };
        assert_eq!(overload.step(load, StreamTime::from_samples(1_000_000), &names(&["dialog", "sounds"])), None);
    }

    #[test]
    fn the_last_mode_and_those_not_listed_never_rest() {
        let (said, _) = run(&["dialog"], &["dialog"], 0.5, 500);
        assert!(said.iter().all(|(_, change)| *change == Change::Tell) && said.len() == 1, "{said:?}");
        let (said, _) = run(&["sounds"], &["dialog", "transcribe"], 1.0, 500);
        assert!(said.iter().all(|(_, change)| *change == Change::Tell) && said.len() == 1, "{said:?}");
    }

    #[test]
    fn a_mode_that_the_machine_cannot_do_comes_back_ever_less_often() {
        let (said, lag) = run(&["sounds"], &["dialog", "sounds"], 1.3, 20_000);
        let rests: Vec<u64> = said.iter().filter(|(_, change)| matches!(change, Change::Rest(_))).map(|(second, _)| *second).collect();
        let pauses: Vec<u64> = rests.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.windows(2).all(|pair| pair[1] + 5 >= pair[0]) && pauses[0] < 300 && *pauses.last().unwrap() > 900, "{pauses:?}");
        assert!(lag < 60.0);
    }

    #[test]
    fn what_the_user_decides_is_not_undone() {
        let mut overload = Overload::new(names(&["sounds"]));
        let at = |secs: u64| StreamTime::from_samples(secs * u64::from(SAMPLE_RATE_HZ));
        let load = |lag_secs| Load { lag_secs, why: Why::Replies };
        assert!(overload.step(load(30.0), at(10), &names(&["dialog", "sounds"])).is_some());
        overload.forget("sounds");
        assert_eq!(overload.step(load(0.0), at(20), &names(&["dialog"])), None);
        assert_eq!(overload.step(load(0.0), at(500), &names(&["dialog"])), None);
    }

    #[test]
    fn a_session_that_falls_behind_is_told_of_once_by_what_is_done_about_it() {
        let (said, _) = run(&["sounds"], &["dialog", "sounds"], 1.6, 60);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(matches!(&said[0], (second, Change::Rest(name)) if *second < 40 && name == "sounds"), "{said:?}");
        // Nothing more can rest, and it is still too much: that is told once as well.
        let (said, _) = run(&["sounds"], &["dialog", "transcribe", "sounds"], 1.2, 100);
        let changes: Vec<&Change> = said.iter().map(|(_, change)| change).collect();
        assert_eq!(changes, [&Change::Rest("sounds".into()), &Change::Tell]);
        let (mut overload, on) = (Overload::new(Vec::new()), names(&["dialog"]));
        let lags = [3.0, 7.0, 9.0, 30.0, 0.5, 7.0, 8.0];
        let told: Vec<bool> = (1u64..)
            .zip(lags)
            .map(|(second, lag_secs)| {
                overload.step(Load { lag_secs, why: Why::Replies }, StreamTime::from_samples(second * 16_000), &on).is_some()
            })
            .collect();
        assert_eq!(told, [false, true, false, false, false, true, false], "again only after it had caught up");
    }
}
