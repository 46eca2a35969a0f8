//! The load on this machine: the modes that run in real time when nobody chooses, the cost of chunks, and the cause of a lag.
//!
//! Pure, except [`modes_in_real_time`], which measures. [`super::overload`] decides what follows.

use std::collections::VecDeque;

use crate::config::modes::{BUILT_IN, DEFAULT_ON};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use crate::model::speed::Costs;
use crate::time::CHUNK_SECS;

/// Number of positions in each lane's cache while the speed of a model is measured before a session.
const CONTEXT: usize = 64;
/// Number of runs of each measurement of a model's speed before a session: two seconds in all.
const RUNS: usize = 3;
/// Number of the newest chunks whose computing times are kept: 10 s.
const RECENT_CHUNKS: usize = 25;

/// The lag of a session at one moment, with its cause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// Audio that is captured and not yet decided on, in seconds.
    pub(super) lag_secs: f32,
    /// Probable cause of the lag.
    pub(super) cause: LagCause,
}

/// The probable cause of a lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LagCause {
    /// A chunk takes longer than its 0.4 s: the lag only grows.
    Chunks,
    /// Replies take longer than the pauses between them: the lag shrinks when nobody speaks.
    Replies,
}

/// Returns the names of the modes, at least one, that this machine runs in real time with `model`, by a measurement of two seconds; for a
/// small model the default modes, without a measurement.
///
/// # Errors
/// When computing fails.
pub(in crate::engine) fn modes_in_real_time(model: &Model) -> Result<Vec<String>> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    if model.is_small() {
        return Ok(names(&DEFAULT_ON));
    }
    let lanes = Costs::measure(model, CONTEXT, RUNS)?.lanes_in_real_time(BUILT_IN.len());
    // A machine too slow for one mode still gets one, falls behind and says so.
    Ok(names(&BUILT_IN[..lanes.max(1)]))
}

/// The computing times of the newest 25 chunks (10 s) of a live session.
#[derive(Debug, Default)]
pub(super) struct ChunkCosts {
    /// Computing time of each chunk, in milliseconds, oldest first.
    costs_ms: VecDeque<f32>,
}

impl ChunkCosts {
    /// Adds the computing time of a chunk, in milliseconds: log-mel, encoder and the chunk's first pass.
    pub(super) fn push(&mut self, cost_ms: f32) {
        if self.costs_ms.len() == RECENT_CHUNKS {
            self.costs_ms.pop_front();
        }
        self.costs_ms.push_back(cost_ms);
    }

    /// Returns the cause that a lag would have now: slow chunks if their median computing time exceeds 0.4 s, else long replies.
    pub(super) fn lag_cause(&self) -> LagCause {
        if f64::from(self.median_ms()) <= CHUNK_SECS * 1e3 { LagCause::Replies } else { LagCause::Chunks }
    }

    /// Returns the median computing time of the chunks, in milliseconds (one chunk that waited for another program says nothing); 0 without
    /// chunks.
    fn median_ms(&self) -> f32 {
        let mut costs: Vec<f32> = self.costs_ms.iter().copied().collect();
        costs.sort_by(f32::total_cmp);
        costs.get(costs.len() / 2).copied().unwrap_or(0.0)
    }

    /// Returns the error to report when a session is `lag_secs` behind: the cause, and either the mode that rests or the remedy that the
    /// user has.
    pub(super) fn lag_problem(&self, lag_secs: f32, modes_on: &[String], resting: Option<&str>) -> Error {
        let behind = format!("Hearken is {lag_secs:.0} s behind");
        let why = match self.lag_cause() {
            LagCause::Replies => "its replies take longer than what is said".to_owned(),
            LagCause::Chunks => {
                let with = if modes_on.len() > 1 { format!(" with {} modes", modes_on.len()) } else { String::new() };
                format!("0.4 s of sound take {:.1} s of computing{with}", self.median_ms() / 1e3)
            }
        };
        let priority = |name: &String| BUILT_IN.iter().position(|known| known == name).unwrap_or(BUILT_IN.len());
        let least = modes_on.iter().max_by_key(|name| priority(name)).filter(|_| modes_on.len() > 1);
        let remedy = match (resting, self.lag_cause(), least) {
            (Some(resting), ..) => format!("{resting} rests until Hearken has caught up"),
            (None, LagCause::Replies, _) => "it catches up in pauses".to_owned(),
            (None, LagCause::Chunks, Some(least)) => format!("switch off {least}"),
            (None, LagCause::Chunks, None) => "choose 4-bit precision or the starter model".to_owned(),
        };
        Error::new(ErrorKind::Busy, format!("{behind}: {why}; {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::modes::{DIALOG, SOUNDS, TRANSCRIBE};

    fn modes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn chunks_of(cost_ms: f32) -> ChunkCosts {
        let mut costs = ChunkCosts::default();
        (0..60).for_each(|_| costs.push(cost_ms));
        costs.push(9_000.0);
        costs
    }

    #[test]
    fn a_lag_names_its_cause_and_its_remedy() {
        let on = modes(&[SOUNDS, DIALOG, TRANSCRIBE]);
        let said = |cost_ms, on: &[String], resting| chunks_of(cost_ms).lag_problem(6.4, on, resting).message().to_owned();
        let slow = "Hearken is 6 s behind: 0.4 s of sound take 0.5 s of computing with 3 modes";
        assert_eq!(said(520.0, &on, None), format!("{slow}; switch off sounds"));
        assert_eq!(said(520.0, &on, Some(SOUNDS)), format!("{slow}; sounds rests until Hearken has caught up"));
        assert!(said(900.0, &modes(&[DIALOG]), None).ends_with("0.9 s of computing; choose 4-bit precision or the starter model"));
        assert!(said(150.0, &modes(&[TRANSCRIBE]), None).ends_with("replies take longer than what is said; it catches up in pauses"));
        assert_eq!((chunks_of(150.0).lag_cause(), chunks_of(520.0).lag_cause()), (LagCause::Replies, LagCause::Chunks));
        assert_eq!(chunks_of(1.0).lag_problem(7.0, &on, None).kind(), ErrorKind::Busy);
    }
}
