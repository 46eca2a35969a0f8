//! Whether this machine keeps up: which modes a session begins with when nobody says, and what to say when it falls behind.
//!
//! Pure decisions, but for [`modes_in_real_time`], which measures. Not responsible for dropping anything.

use std::collections::VecDeque;

use crate::config::modes::{DEFAULT_ON, DIALOG, SOUNDS, TRANSCRIBE, TRANSLATE};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use crate::model::speed::Costs;
use crate::time::CHUNK_SECS;

/// Modes in the order in which a machine that cannot run them all gives them up last.
const BY_WORTH: [&str; 4] = [DIALOG, TRANSCRIBE, TRANSLATE, SOUNDS];
/// Positions in the cache when a model is measured before a session, and times that it is: two seconds in all.
const CONTEXT: usize = 64;
const RUNS: usize = 3;
/// So far behind, a session says so: a reply of usual length alone does not get there.
const TOLD_SECS: f32 = 6.0;
/// So little behind, it has caught up.
const CAUGHT_UP_SECS: f32 = 1.0;
/// Chunks whose cost is looked at: 10 s.
const REMEMBERED: usize = 25;

/// The modes that this machine runs in real time with `model`; the usual ones with a model so small that nobody need ask.
///
/// # Errors
/// When computing fails.
pub(super) fn modes_in_real_time(model: &Model) -> Result<Vec<String>> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    if model.is_small() {
        return Ok(names(&DEFAULT_ON));
    }
    let lanes = Costs::measure(model, CONTEXT, RUNS)?.lanes_in_real_time(BY_WORTH.len());
    // With none it falls behind and says so; a session without modes would be no help.
    Ok(names(&BY_WORTH[..lanes.max(1)]))
}

/// Watches how far a live session is behind.
#[derive(Debug, Default)]
pub(super) struct Behind {
    costs_ms: VecDeque<f32>,
    told: bool,
}

impl Behind {
    /// Takes the cost of a chunk, its passes included, and the lag after it; says once what helps when the session has fallen
    /// behind, and again only after it had caught up.
    pub(super) fn step(&mut self, cost_ms: f32, lag_secs: f32, modes_on: &[String]) -> Option<Error> {
        if self.costs_ms.len() == REMEMBERED {
            self.costs_ms.pop_front();
        }
        self.costs_ms.push_back(cost_ms);
        if lag_secs < CAUGHT_UP_SECS {
            self.told = false;
        }
        if self.told || lag_secs < TOLD_SECS {
            return None;
        }
        self.told = true;
        Some(Error::new(ErrorKind::Busy, self.advice(lag_secs, modes_on)))
    }

    fn advice(&self, lag_secs: f32, modes_on: &[String]) -> String {
        // The median: one chunk that waited for another program says nothing.
        let mut costs: Vec<f32> = self.costs_ms.iter().copied().collect();
        costs.sort_by(f32::total_cmp);
        let cost_ms = costs.get(costs.len() / 2).copied().unwrap_or(0.0);
        let behind = format!("Hearken is {lag_secs:.0} s behind");
        if f64::from(cost_ms) <= CHUNK_SECS * 1e3 {
            return format!("{behind}: its replies take longer than what is said; it catches up in pauses");
        }
        let slow = format!("{behind}: 0.4 s of sound take {:.1} s of computing", cost_ms / 1e3);
        let worth = |name: &String| BY_WORTH.iter().position(|known| known == name).unwrap_or(BY_WORTH.len());
        match modes_on.iter().max_by_key(|name| worth(name)) {
            Some(least) if modes_on.len() > 1 => format!("{slow} with {} modes; switch off {least}", modes_on.len()),
            _ => format!("{slow}; use --precision q4 or the starter model"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn falling_behind_is_said_once_with_the_mode_to_switch_off() {
        let mut behind = Behind::default();
        let on = modes(&[SOUNDS, DIALOG, TRANSCRIBE]);
        let told: Vec<String> = (0..60).filter_map(|i| behind.step(520.0, i as f32 * 0.12, &on)).map(|e| e.message().to_owned()).collect();
        assert_eq!(told, ["Hearken is 6 s behind: 0.4 s of sound take 0.5 s of computing with 3 modes; switch off sounds"]);
        assert!(behind.step(300.0, 3.0, &on).is_none(), "on its way");
        assert!(behind.step(300.0, 7.0, &on).is_none(), "it had not caught up");
        assert!(behind.step(300.0, 0.4, &on).is_none());
        assert!(behind.step(300.0, 7.0, &on).is_some(), "again");
    }

    #[test]
    fn one_mode_is_not_switched_off_and_replies_are_told_from_listening() {
        let mut behind = Behind::default();
        let error = behind.step(900.0, 8.0, &modes(&[DIALOG])).unwrap();
        assert!(error.message().ends_with("use --precision q4 or the starter model"), "{error}");
        let error = Behind::default().step(150.0, 8.0, &modes(&[TRANSCRIBE])).unwrap();
        assert!(error.message().contains("catches up in pauses"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Busy);
    }
}
