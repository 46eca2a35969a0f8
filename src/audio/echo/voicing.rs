//! Level and voicing of frames of 10 ms: voicing is the periodicity at the pitch of a voice. Pure.

use crate::level::dbfs;
use crate::time::HOP_SAMPLES;

/// Samples of a frame at half the sample rate, 8 kHz, which is enough for a pitch and costs a quarter of the work.
const HALF_FRAME: usize = HOP_SAMPLES / 2;
/// Samples (8 kHz) that are correlated with earlier ones: 30 ms, two periods of a deep voice.
const WINDOW: usize = 240;
/// Shortest period of a voice, in samples (8 kHz): 400 Hz, a child.
const SHORTEST_LAG: usize = 20;
/// Longest period of a voice, in samples (8 kHz): 70 Hz.
const LONGEST_LAG: usize = 114;
/// Number of the newest samples (8 kHz) that are kept: the correlated ones, and the longest period before them.
const KEPT: usize = WINDOW + LONGEST_LAG;
/// Voicing (0 to 1) from which a frame is voiced: vowels reach 0.9 in a quiet room and 0.5 over a reply, noise 0.3.
pub const VOICED: f32 = 0.4;
/// Level above the noise floor from which a frame is loud, in dB.
const RISE_DB: f32 = 9.0;
/// Level below which a frame is never loud, in dBFS.
const LEAST_DB: f32 = -62.0;
/// Rise of the noise floor in a room that became louder, in dB per frame: 3 dB a second.
const FLOOR_RISE_DB: f32 = 0.03;
/// Share of the distance to a quieter frame's level by which the noise floor falls with that frame.
const FLOOR_FALL: f32 = 0.2;
/// Noise floor before the first frame, in dBFS.
const FIRST_FLOOR_DB: f32 = -50.0;
/// Level below which a frame is digital silence and does not count for the noise floor, in dBFS.
const DIGITAL_SILENCE_DB: f32 = -100.0;
/// Energy that is added to denominators, against division by zero.
const EPSILON: f32 = 1e-9;

/// The level and voicing of a frame of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameFeatures {
    /// Level, in dBFS.
    pub level_db: f32,
    /// Noise floor of the room, in dBFS.
    pub floor_db: f32,
    /// Voicing, from 0 (noise) to 1 (exactly periodic); 0 for a frame that is not loud.
    pub voicing: f32,
    /// Period of the most periodic part, in samples at 8 kHz; 0 for a frame that is not loud.
    pub period: usize,
}

impl FrameFeatures {
    /// Returns true if the frame is at least 9 dB louder than the noise floor, and louder than -62 dBFS.
    #[must_use]
    pub fn is_loud(&self) -> bool {
        self.level_db > (self.floor_db + RISE_DB).max(LEAST_DB)
    }

    /// Returns true if the frame is loud and voiced (above [`VOICED`]).
    #[must_use]
    pub fn is_speech(&self) -> bool {
        self.is_loud() && self.voicing > VOICED
    }
}

/// The meter of level and voicing of a stream of frames; follows its noise floor.
#[derive(Clone, Debug)]
pub struct VoicingMeter {
    /// The newest samples at 8 kHz, oldest first.
    halved: [f32; KEPT],
    /// Noise floor of the room, in dBFS.
    floor_db: f32,
}

impl Default for VoicingMeter {
    fn default() -> Self {
        Self { halved: [0.0; KEPT], floor_db: FIRST_FLOOR_DB }
    }
}

impl VoicingMeter {
    /// Returns the level and voicing of the next frame (10 ms at 16 kHz), and updates the noise floor.
    pub fn measure(&mut self, frame: &[f32; HOP_SAMPLES]) -> FrameFeatures {
        let level_db = self.level(frame);
        self.halved.copy_within(HALF_FRAME.., 0);
        for (slot, pair) in self.halved[KEPT - HALF_FRAME..].iter_mut().zip(frame.as_chunks::<2>().0) {
            *slot = 0.5 * (pair[0] + pair[1]);
        }
        let features = FrameFeatures { level_db, floor_db: self.floor_db, voicing: 0.0, period: 0 };
        if !features.is_loud() {
            return features;
        }
        let (voicing, period) = self.voicing();
        FrameFeatures { voicing, period, ..features }
    }

    /// Returns the level of the next frame (10 ms at 16 kHz), in dBFS, and updates the noise floor; does not measure voicing.
    pub fn level(&mut self, frame: &[f32; HOP_SAMPLES]) -> f32 {
        let level_db = dbfs(frame);
        if level_db > DIGITAL_SILENCE_DB {
            self.floor_db = if level_db < self.floor_db {
                (1.0 - FLOOR_FALL) * self.floor_db + FLOOR_FALL * level_db
            } else {
                self.floor_db + FLOOR_RISE_DB
            };
        }
        level_db
    }

    /// Returns the greatest normalised correlation of the newest 30 ms with the sound one period earlier, over the periods of a
    /// voice, and the first such period, in samples at 8 kHz.
    fn voicing(&self) -> (f32, usize) {
        let newest = &self.halved[KEPT - WINDOW..];
        let mean = newest.iter().sum::<f32>() / WINDOW as f32;
        let energy: f32 = newest.iter().map(|x| (x - mean) * (x - mean)).sum();
        let correlation = |lag: usize| {
            let before = &self.halved[KEPT - WINDOW - lag..KEPT - lag];
            let (mut product, mut before_energy) = (0.0, EPSILON);
            for (x, y) in newest.iter().zip(before) {
                let (x, y) = (x - mean, y - mean);
                product += x * y;
                before_energy += y * y;
            }
            product / ((energy + EPSILON) * before_energy).sqrt()
        };
        // Every second lag is enough: the peak of a period is wider than two samples at 8 kHz.
        let greatest = |best: (f32, usize), lag: usize| {
            let found = correlation(lag);
            if found > best.0 { (found, lag) } else { best }
        };
        (SHORTEST_LAG..=LONGEST_LAG).step_by(2).fold((0.0, 0), greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize) -> f32 {
        let mut x = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (x >> 40) as f32 / 8_388_608.0 - 1.0
    }

    /// Returns the share of voiced frames in a second of `signal`, after a second of a quiet room.
    fn voiced(signal: impl Fn(usize) -> f32) -> f32 {
        let mut meter = VoicingMeter::default();
        let mut frame = [0.0; HOP_SAMPLES];
        let mut count = 0;
        for n in 0..200 {
            for (at, slot) in frame.iter_mut().enumerate() {
                let at = n * HOP_SAMPLES + at;
                *slot = 0.0005 * noise(at) + if n < 100 { 0.0 } else { signal(at) };
            }
            count += usize::from(meter.measure(&frame).is_speech());
        }
        count as f32 / 100.0
    }

    #[test]
    fn vowels_are_voiced_and_noise_clicks_and_silence_are_not() {
        for pitch in [85.0, 120.0, 210.0, 330.0] {
            // A harmonic series, as of vocal cords.
            let vowel = |n: usize| {
                let t = n as f32 / 16_000.0;
                (1..12).map(|h| (t * pitch * h as f32 * std::f32::consts::TAU).sin() * 0.1 / h as f32).sum::<f32>()
            };
            assert!(voiced(vowel) > 0.9, "{pitch} Hz: {}", voiced(vowel));
        }
        assert!(voiced(|n| 0.2 * noise(n)) < 0.05);
        assert!(voiced(|n| if n % 1_600 < 40 { 0.5 * noise(n) } else { 0.0 }) < 0.05);
        assert_eq!(voiced(|_| 0.0), 0.0);
    }
}
