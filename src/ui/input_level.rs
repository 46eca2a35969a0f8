//! The advice that the input level calls for: too loud, or too quiet for speech.

use std::time::{Duration, Instant};

use crate::level::CLIPPING;

/// Input level up to which speech is too quiet for the model, in dBFS.
const FAINT_DBFS: f32 = -48.0;
/// Time for which the advice "too loud" stays after the last clipped sample.
const HOLD: Duration = Duration::from_secs(3);
/// Time for which speech must stay at or below [`FAINT_DBFS`] before the advice "too quiet" appears.
const FAINT_AFTER: Duration = Duration::from_secs(8);

/// The advice to the user on the input level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LevelAdvice {
    #[default]
    None,
    TooLoud,
    TooQuiet,
}

/// A reading of the input level while sound passes the quiet gate.
#[derive(Clone, Copy, Debug)]
pub(super) struct LevelReading {
    /// Input level, in dBFS.
    pub(super) dbfs: f32,
    /// Magnitude of the largest sample; 1 is full scale.
    pub(super) peak: f32,
    /// Level of the newest speech, in dBFS; minus infinity without speech.
    pub(super) speech_dbfs: f32,
}

/// A monitor of the input level, which derives the advice to the user from the readings of the last seconds.
#[derive(Debug, Default)]
pub(super) struct LevelMonitor {
    /// Time of the last clipped sample; `None` before any.
    clipped_at: Option<Instant>,
    /// Time since which all speech was faint ([`FAINT_DBFS`]); `None` without speech, and while speech is loud enough.
    faint_since: Option<Instant>,
}

impl LevelMonitor {
    /// Takes the reading of the input level at `now` and returns the advice; to be called in each frame. `reading` is `None` if no
    /// sound passes the quiet gate.
    pub(super) fn update(&mut self, reading: Option<LevelReading>, now: Instant) -> LevelAdvice {
        if reading.is_some_and(|reading| reading.peak >= CLIPPING) {
            self.clipped_at = Some(now);
        }
        let faint = reading.is_some_and(|reading| reading.speech_dbfs.is_finite() && reading.speech_dbfs <= FAINT_DBFS);
        self.faint_since = if faint { self.faint_since.or(Some(now)) } else { None };
        if self.clipped_at.is_some_and(|at| now.duration_since(at) < HOLD) {
            LevelAdvice::TooLoud
        } else if self.faint_since.is_some_and(|since| now.duration_since(since) > FAINT_AFTER) {
            LevelAdvice::TooQuiet
        } else {
            LevelAdvice::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_appears_with_its_cause_and_disappears_after_it() {
        let (mut level, begin) = (LevelMonitor::default(), Instant::now());
        let after = |secs: u64| begin + Duration::from_secs(secs);
        let reading = |dbfs, peak| Some(LevelReading { dbfs, peak, speech_dbfs: dbfs });
        assert_eq!(level.update(reading(-3.0, 1.0), after(0)), LevelAdvice::TooLoud);
        assert_eq!(level.update(reading(-20.0, 0.2), after(2)), LevelAdvice::TooLoud);
        assert_eq!(level.update(reading(-60.0, 0.01), after(4)), LevelAdvice::None);
        assert_eq!(level.update(reading(-60.0, 0.01), after(13)), LevelAdvice::TooQuiet);
        assert_eq!(level.update(reading(-30.0, 0.1), after(14)), LevelAdvice::None);
    }

    #[test]
    fn a_lost_microphone_is_not_called_too_quiet() {
        let (mut level, begin) = (LevelMonitor::default(), Instant::now());
        level.update(Some(LevelReading { dbfs: -60.0, peak: 0.0, speech_dbfs: -60.0 }), begin);
        assert_eq!(level.update(None, begin + Duration::from_secs(20)), LevelAdvice::None);
    }
    #[test]
    fn a_clock_that_ticks_is_not_called_too_quiet() {
        let (mut level, begin) = (LevelMonitor::default(), Instant::now());
        let ticking = Some(LevelReading { dbfs: -56.0, peak: 0.01, speech_dbfs: f32::NEG_INFINITY });
        level.update(ticking, begin);
        assert_eq!(level.update(ticking, begin + Duration::from_secs(60)), LevelAdvice::None);
    }
}
