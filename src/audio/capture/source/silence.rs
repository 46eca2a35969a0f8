//! Silence that no room has, as a muted microphone delivers it. Pure.

use crate::level::SILENCE_DBFS;

/// Level below which sound counts as silence, in dBFS: one step of 16 bits. Quiet rooms reach -80 dBFS through a microphone.
const SILENT_DBFS: f32 = -90.0;
/// Level above which sound ends a reported silence, in dBFS: above [`SILENT_DBFS`], so that noise of a converter does not flicker.
const AUDIBLE_DBFS: f32 = -84.0;
/// Length of the silence after which it is reported, in seconds.
const REPORTED_AFTER_SECS: u64 = 5;

/// The state of the silence of an input that was reported last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reported {
    /// The input is silent.
    Silent,
    /// Sound arrives.
    Audible,
}

/// A detector of the silence of a muted microphone.
#[derive(Debug, Default)]
pub(super) struct SilenceDetector {
    /// Frames of silence at the end of the stream.
    silent_frames: u64,
    is_reported: bool,
}

impl SilenceDetector {
    /// Takes the next frames (mono) of a stream of `rate_hz`; returns a change that is to be reported.
    pub(super) fn observe(&mut self, frames: &[f32], rate_hz: u32) -> Option<Reported> {
        let level_dbfs = level_without_offset(frames);
        if level_dbfs >= if self.is_reported { AUDIBLE_DBFS } else { SILENT_DBFS } {
            self.silent_frames = 0;
            return std::mem::take(&mut self.is_reported).then_some(Reported::Audible);
        }
        self.silent_frames += frames.len() as u64;
        if self.is_reported || self.silent_frames < REPORTED_AFTER_SECS * u64::from(rate_hz) {
            return None;
        }
        self.is_reported = true;
        Some(Reported::Silent)
    }

    /// Notes that the stream was opened again or replaced, which is reported by itself: a silence that goes on is reported anew, at
    /// once.
    pub(super) const fn input_changed(&mut self) {
        self.is_reported = false;
    }
}

/// Returns the level of `frames` in dBFS without their mean: a constant offset of a converter is no sound.
fn level_without_offset(frames: &[f32]) -> f32 {
    if frames.is_empty() {
        return SILENCE_DBFS;
    }
    let count = frames.len() as f64;
    let mean = frames.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let power = frames.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    ((10.0 * power.log10()) as f32).max(SILENCE_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE_HZ: u32 = 16_000;

    /// Observes `secs` seconds of a tone of `amplitude` in blocks of 50 ms; returns what is reported.
    fn hear(detector: &mut SilenceDetector, secs: f32, amplitude: f32) -> Vec<Reported> {
        let block: Vec<f32> = (0..RATE_HZ / 20).map(|n| 0.1 + if n % 2 == 0 { amplitude } else { -amplitude }).collect();
        (0..(secs * 20.0) as usize).filter_map(|_| detector.observe(&block, RATE_HZ)).collect()
    }

    #[test]
    fn exact_zeros_and_what_is_quieter_than_a_room_are_reported_once_after_five_seconds() {
        for amplitude in [0.0, 1e-5] {
            let mut detector = SilenceDetector::default();
            assert_eq!(hear(&mut detector, 4.9, amplitude), []);
            assert_eq!(hear(&mut detector, 60.0, amplitude), [Reported::Silent]);
            assert_eq!(hear(&mut detector, 1.0, 0.01), [Reported::Audible]);
            assert_eq!(hear(&mut detector, 4.9, amplitude), [], "again only after five seconds");
        }
    }

    #[test]
    fn quiet_room_is_no_silence_and_noise_at_the_threshold_does_not_flicker() {
        let mut detector = SilenceDetector::default();
        assert_eq!(hear(&mut detector, 60.0, 1e-4), [], "-80 dBFS");
        assert_eq!(hear(&mut detector, 6.0, 0.0), [Reported::Silent]);
        assert_eq!(hear(&mut detector, 60.0, 4e-5), [], "-88 dBFS");
    }

    #[test]
    fn silence_that_outlives_its_stream_is_reported_anew() {
        let mut detector = SilenceDetector::default();
        hear(&mut detector, 6.0, 0.0);
        detector.input_changed();
        assert_eq!(hear(&mut detector, 0.05, 0.0), [Reported::Silent]);
        detector.input_changed();
        assert_eq!(hear(&mut detector, 1.0, 0.1), []);
    }
}
