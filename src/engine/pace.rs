//! Whether this machine keeps up: which modes a session begins with when nobody says, and what to say when it falls behind.
//!
//! Pure, but for [`modes_in_real_time`], which measures. Not responsible for what is done about it ([`super::overload`]).

use std::collections::VecDeque;

use super::overload::Why;
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

/// What chunks of a live session cost lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    costs_ms: VecDeque<f32>,
}

impl Pace {
    /// Takes the cost of a chunk, its passes included.
    pub(super) fn take(&mut self, cost_ms: f32) {
        if self.costs_ms.len() == REMEMBERED {
            self.costs_ms.pop_front();
        }
        self.costs_ms.push_back(cost_ms);
    }

    /// Why a session would be behind now.
    pub(super) fn why(&self) -> Why {
        if f64::from(self.usual_ms()) <= CHUNK_SECS * 1e3 { Why::Replies } else { Why::Chunks }
    }

    /// The median: one chunk that waited for another program says nothing.
    fn usual_ms(&self) -> f32 {
        let mut costs: Vec<f32> = self.costs_ms.iter().copied().collect();
        costs.sort_by(f32::total_cmp);
        costs.get(costs.len() / 2).copied().unwrap_or(0.0)
    }

    /// Says that the session is behind by `lag_secs`, and what is done: `resting` rests, or what the user can do.
    pub(super) fn behind(&self, lag_secs: f32, modes_on: &[String], resting: Option<&str>) -> Error {
        let behind = format!("Hearken is {lag_secs:.0} s behind");
        let why = match self.why() {
            Why::Replies => "its replies take longer than what is said".to_owned(),
            Why::Chunks => {
                let with = if modes_on.len() > 1 { format!(" with {} modes", modes_on.len()) } else { String::new() };
                format!("0.4 s of sound take {:.1} s of computing{with}", self.usual_ms() / 1e3)
            }
        };
        let worth = |name: &String| BY_WORTH.iter().position(|known| known == name).unwrap_or(BY_WORTH.len());
        let least = modes_on.iter().max_by_key(|name| worth(name)).filter(|_| modes_on.len() > 1);
        let remedy = match (resting, self.why(), least) {
            (Some(resting), ..) => format!("{resting} rests until it has caught up"),
            (None, Why::Replies, _) => "it catches up in pauses".to_owned(),
            (None, Why::Chunks, Some(least)) => format!("switch off {least}"),
            (None, Why::Chunks, None) => "use --precision q4 or the starter model".to_owned(),
        };
        Error::new(ErrorKind::Busy, format!("{behind}: {why}; {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn pace_of(cost_ms: f32) -> Pace {
        let mut pace = Pace::default();
        (0..60).for_each(|_| pace.take(cost_ms));
        pace.take(9_000.0);
        pace
    }

    #[test]
    fn what_is_said_of_a_session_that_is_behind_names_the_cause_and_the_remedy() {
        let on = modes(&[SOUNDS, DIALOG, TRANSCRIBE]);
        let said = |cost_ms, on: &[String], resting| pace_of(cost_ms).behind(6.4, on, resting).message().to_owned();
        let slow = "Hearken is 6 s behind: 0.4 s of sound take 0.5 s of computing with 3 modes";
        assert_eq!(said(520.0, &on, None), format!("{slow}; switch off sounds"));
        assert_eq!(said(520.0, &on, Some(SOUNDS)), format!("{slow}; sounds rests until it has caught up"));
        assert!(said(900.0, &modes(&[DIALOG]), None).ends_with("0.9 s of computing; use --precision q4 or the starter model"));
        assert!(said(150.0, &modes(&[TRANSCRIBE]), None).ends_with("replies take longer than what is said; it catches up in pauses"));
        assert_eq!((pace_of(150.0).why(), pace_of(520.0).why()), (Why::Replies, Why::Chunks));
        assert_eq!(pace_of(1.0).behind(7.0, &on, None).kind(), ErrorKind::Busy);
    }
}
