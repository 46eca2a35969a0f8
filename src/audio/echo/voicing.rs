//! How loud a frame of 10 ms is, and how voiced: whether it repeats itself as often as vocal cords move. Pure.

use crate::time::HOP_SAMPLES;

/// Half the sample rate is enough to see a pitch, at a quarter of the work.
const HALF_FRAME: usize = HOP_SAMPLES / 2;
/// Samples (8 kHz) that are compared with those before them: 30 ms, two periods of a deep voice.
const WINDOW: usize = 240;
/// Periods of a voice, in samples of 8 kHz: 400 Hz (a child) to 70 Hz.
const LAGS: std::ops::RangeInclusive<usize> = 20..=114;
/// Samples that are kept.
const KEPT: usize = WINDOW + 114;
/// What repeats itself to this degree is voiced: vowels in a quiet room reach 0.9, over a reply 0.5, noise 0.3.
pub const VOICED: f32 = 0.4;
/// Speech rises over the room by so much, in dB.
const RISE_DB: f32 = 9.0;
/// The quietest that counts as sound, in dB below full scale.
const LEAST_DB: f32 = -62.0;
/// The floor of a room that got louder is followed by so much a frame (3 dB a second); it falls at once.
const FLOOR_RISE_DB: f32 = 0.03;

/// One frame as it was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeardFrame {
    /// Level, in dB below full scale.
    pub level_db: f32,
    /// The room's own level.
    pub floor_db: f32,
    /// 0 is noise, 1 a perfect period; 0 for what is no louder than the room.
    pub voicing: f32,
}

impl HeardFrame {
    /// Whether it stands out of the room.
    #[must_use]
    pub fn is_loud(&self) -> bool {
        self.level_db > (self.floor_db + RISE_DB).max(LEAST_DB)
    }

    /// Whether somebody says something voiced.
    #[must_use]
    pub fn is_speech(&self) -> bool {
        self.is_loud() && self.voicing > VOICED
    }
}

/// Follows a stream of frames.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The newest at 8 kHz, oldest first.
    halved: [f32; KEPT],
    floor_db: f32,
}

impl Default for Listener {
    fn default() -> Self {
        Self { halved: [0.0; KEPT], floor_db: -50.0 }
    }
}

impl Listener {
    /// Hears a frame.
    pub fn hear(&mut self, frame: &[f32; HOP_SAMPLES]) -> HeardFrame {
        let level_db = self.level(frame);
        self.halved.copy_within(HALF_FRAME.., 0);
        for (slot, pair) in self.halved[KEPT - HALF_FRAME..].iter_mut().zip(frame.as_chunks::<2>().0) {
            *slot = 0.5 * (pair[0] + pair[1]);
        }
        let heard = HeardFrame { level_db, floor_db: self.floor_db, voicing: 0.0 };
        if heard.is_loud() { HeardFrame { voicing: self.voicing(), ..heard } } else { heard }
    }

    /// Level of a frame; the floor follows it.
    pub fn level(&mut self, frame: &[f32; HOP_SAMPLES]) -> f32 {
        let level_db = level_db(frame);
        // Digital silence says nothing about a room.
        if level_db > -100.0 {
            self.floor_db = if level_db < self.floor_db { 0.8 * self.floor_db + 0.2 * level_db } else { self.floor_db + FLOOR_RISE_DB };
        }
        level_db
    }

    /// The greatest normalised correlation of the newest 30 ms with what lies one period before.
    fn voicing(&self) -> f32 {
        let newest = &self.halved[KEPT - WINDOW..];
        let mean = newest.iter().sum::<f32>() / WINDOW as f32;
        let energy: f32 = newest.iter().map(|x| (x - mean) * (x - mean)).sum();
        let correlation = |lag: usize| {
            let before = &self.halved[KEPT - WINDOW - lag..KEPT - lag];
            let (mut product, mut before_energy) = (0.0, 1e-9);
            for (x, y) in newest.iter().zip(before) {
                let (x, y) = (x - mean, y - mean);
                product += x * y;
                before_energy += y * y;
            }
            product / ((energy + 1e-9) * before_energy).sqrt()
        };
        // Every second lag is enough: a period is never so sharp at 8 kHz.
        LAGS.step_by(2).map(correlation).fold(0.0, f32::max)
    }
}

/// The level of nothing at all, in dB below full scale.
pub const SILENCE_DB: f32 = -120.0;

/// Level of `samples`, in dB below full scale (a full sine has -3).
#[must_use]
pub fn level_db(samples: &[f32]) -> f32 {
    let power = samples.iter().map(|x| x * x).sum::<f32>() / samples.len().max(1) as f32;
    10.0 * power.max(1e-12).log10()
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

    /// The share of voiced frames of a signal, after a second of a quiet room.
    fn voiced(signal: impl Fn(usize) -> f32) -> f32 {
        let mut listener = Listener::default();
        let mut frame = [0.0; HOP_SAMPLES];
        let mut count = 0;
        for n in 0..200 {
            for (at, slot) in frame.iter_mut().enumerate() {
                let at = n * HOP_SAMPLES + at;
                *slot = 0.0005 * noise(at) + if n < 100 { 0.0 } else { signal(at) };
            }
            count += usize::from(listener.hear(&frame).is_speech());
        }
        count as f32 / 100.0
    }

    #[test]
    fn a_vowel_is_voiced_and_noise_clicks_and_rooms_are_not() {
        for pitch in [85.0, 120.0, 210.0, 330.0] {
            // Twelve harmonics, as vocal cords make them.
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
