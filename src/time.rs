//! The one clock of Hearken: counts of samples.
//!
//! Responsible for the indices and durations of the audio stream and for the constants that tie them together.
//! Deliberately not responsible for wall time: nothing here reads a clock, so a file gives the same times on every run.

pub mod wall;

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Sample rate of everything the model hears, in Hz (MODEL.md section 0).
pub const SAMPLE_RATE_HZ: u32 = 16_000;
/// Samples in one chunk: 0.4 s (MODEL.md section 0).
pub const CHUNK_SAMPLES: usize = 6_400;
/// Samples between two mel frames: 10 ms (MODEL.md section 2).
pub const HOP_SAMPLES: usize = 160;
/// Log-mel frames in one chunk (MODEL.md section 2).
pub const CHUNK_FRAMES: usize = CHUNK_SAMPLES / HOP_SAMPLES;
/// Log-mel frames of a block of a recording that is encoded as a whole: 2 s (MODEL.md section 5.5).
pub const BLOCK_FRAMES: usize = 200;
/// Feature vectors that the encoder makes of one chunk (MODEL.md section 3.2).
pub const CHUNK_FEATURES: usize = 10;
/// Length of one chunk in seconds.
pub const CHUNK_SECS: f64 = CHUNK_SAMPLES as f64 / SAMPLE_RATE_HZ as f64;

/// Number of a sample since the start of the session, lost samples counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleIdx(pub u64);

/// Number of a chunk among those that were heard, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkIdx(pub u64);

/// A point in audio time: a sample count that reads and serialises as seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamTime(pub SampleIdx);

impl StreamTime {
    /// The start of the session.
    pub const ZERO: Self = Self(SampleIdx(0));

    /// The time at which sample `samples` begins.
    #[must_use]
    pub const fn from_samples(samples: u64) -> Self {
        Self(SampleIdx(samples))
    }

    /// Seconds since the start of the session.
    #[must_use]
    pub fn secs(self) -> f64 {
        self.0.0 as f64 / f64::from(SAMPLE_RATE_HZ)
    }

    /// Seconds from `earlier` to here, 0 when `earlier` is later.
    #[must_use]
    pub fn secs_since(self, earlier: Self) -> f64 {
        self.0.0.saturating_sub(earlier.0.0) as f64 / f64::from(SAMPLE_RATE_HZ)
    }

    /// This time moved back by `samples`, not before the start.
    #[must_use]
    pub const fn before(self, samples: u64) -> Self {
        Self(SampleIdx(self.0.0.saturating_sub(samples)))
    }
}

impl fmt::Display for StreamTime {
    /// `12:34.5`, or `1:02:03.4` past the first hour.
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
            return Err(serde::de::Error::custom("a time is a number of seconds, 0 or more"));
        }
        Ok(Self::from_samples((secs * f64::from(SAMPLE_RATE_HZ)).round() as u64))
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
    /// The chunk after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_multiples_of_the_chunk() {
        let at = StreamTime::from_samples(3 * CHUNK_SAMPLES as u64);
        assert_eq!(serde_json::to_string(&at).expect("a number"), "1.2");
        assert_eq!(serde_json::from_str::<StreamTime>("1.2").expect("a time"), at);
        assert!(serde_json::from_str::<StreamTime>("-1").is_err());
    }

    #[test]
    fn a_time_prints_as_a_person_reads_a_clock() {
        assert_eq!(StreamTime::from_samples(16_000 * 62 + 8_000).to_string(), "1:02.5");
        assert_eq!(StreamTime::from_samples(16_000 * 3_723).to_string(), "1:02:03.0");
    }
}
