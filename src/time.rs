//! Stream time: positions and durations in the audio stream, counted in samples, and the constants of the audio front end.
//!
//! Nothing here reads a clock, so a file gives the same times on every run. [`wall`] maps stream time to wall time.

pub mod wall;

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Sample rate of the model's input, in Hz (`src/model/README.md` section 2).
pub const SAMPLE_RATE_HZ: u32 = 16_000;
/// Number of samples in a chunk, 0.4 s (`src/model/README.md` section 2).
pub const CHUNK_SAMPLES: usize = 6_400;
/// Number of samples between two log-mel frames, 10 ms (`src/model/README.md` section 2).
pub const HOP_SAMPLES: usize = 160;
/// Number of log-mel frames in a chunk: 40 (`src/model/README.md` section 2).
pub const CHUNK_FRAMES: usize = CHUNK_SAMPLES / HOP_SAMPLES;
/// Number of log-mel frames in a block of a recording that is encoded offline, 2 s; only the last block may be shorter
/// (`src/model/README.md` section 5.5).
pub const BLOCK_FRAMES: usize = 200;
/// Number of feature vectors that the encoder computes from a chunk (`src/model/README.md` section 3.2).
pub const CHUNK_FEATURES: usize = 10;
/// Length of a chunk, in seconds.
pub const CHUNK_SECS: f64 = CHUNK_SAMPLES as f64 / SAMPLE_RATE_HZ as f64;

/// The number of a sample at 16 kHz, from 0 at the start of the session. Samples that the input lost are counted as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleIdx(pub u64);

/// The number of a chunk in the session, from 0. Chunks are numbered when they are cut from the samples that arrived, so lost
/// samples take no number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkIdx(pub u64);

/// A point in stream time: a sample number, serialised as seconds since the start of the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamTime(pub SampleIdx);

impl StreamTime {
    /// The start of the session.
    pub const ZERO: Self = Self(SampleIdx(0));

    /// Returns the time `samples` samples after the start of the session.
    #[must_use]
    pub const fn from_samples(samples: u64) -> Self {
        Self(SampleIdx(samples))
    }

    /// Returns the time `secs` seconds after the start of the session; a negative number counts as 0.
    #[must_use]
    pub fn from_secs(secs: f64) -> Self {
        Self::from_samples((secs * f64::from(SAMPLE_RATE_HZ)).round() as u64)
    }

    /// Returns the seconds since the start of the session.
    #[must_use]
    pub fn secs(self) -> f64 {
        self.0.0 as f64 / f64::from(SAMPLE_RATE_HZ)
    }

    /// Returns the seconds from `earlier` to this time, or 0 if `earlier` is later.
    #[must_use]
    pub fn secs_since(self, earlier: Self) -> f64 {
        self.0.0.saturating_sub(earlier.0.0) as f64 / f64::from(SAMPLE_RATE_HZ)
    }

    /// Returns the time `samples` samples earlier, or the start of the session if that is later.
    #[must_use]
    pub const fn before(self, samples: u64) -> Self {
        Self(SampleIdx(self.0.0.saturating_sub(samples)))
    }
}

impl fmt::Display for StreamTime {
    /// Writes `12:34.5`, or `1:02:03.4` after the first hour.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.0 * 10 / u64::from(SAMPLE_RATE_HZ);
        let (hours, minutes) = (tenths / 36_000, tenths / 600 % 60);
        let (secs, tenth) = (tenths / 10 % 60, tenths % 10);
        if hours > 0 { write!(f, "{hours}:{minutes:02}:{secs:02}.{tenth}") } else { write!(f, "{minutes}:{secs:02}.{tenth}") }
    }
}

impl Serialize for StreamTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.secs())
    }
}

impl<'de> Deserialize<'de> for StreamTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secs = f64::deserialize(deserializer)?;
        if !(0.0..1e12).contains(&secs) {
            return Err(serde::de::Error::custom("a time must be a number of seconds, 0 or more"));
        }
        Ok(Self::from_secs(secs))
    }
}

impl Add<u64> for SampleIdx {
    type Output = Self;
    fn add(self, samples: u64) -> Self {
        Self(self.0 + samples)
    }
}

impl AddAssign<u64> for SampleIdx {
    fn add_assign(&mut self, samples: u64) {
        self.0 += samples;
    }
}

impl Sub for SampleIdx {
    type Output = u64;
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl ChunkIdx {
    /// Returns the number of the next chunk.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_serialised_in_seconds_without_rounding_error() {
        let at = StreamTime::from_samples(3 * CHUNK_SAMPLES as u64);
        assert_eq!(serde_json::to_string(&at).expect("a number"), "1.2");
        assert_eq!(serde_json::from_str::<StreamTime>("1.2").expect("a time"), at);
        assert!(serde_json::from_str::<StreamTime>("-1").is_err());
    }

    #[test]
    fn time_is_displayed_with_minutes_and_after_an_hour_with_hours() {
        assert_eq!(StreamTime::from_samples(16_000 * 62 + 8_000).to_string(), "1:02.5");
        assert_eq!(StreamTime::from_samples(16_000 * 3_723).to_string(), "1:02:03.0");
    }
}
