//! Silence that no room has, as a muted microphone delivers it. Pure.

use crate::level::dbfs_of_sound;

/// Level below which sound counts as silence, in dBFS: one step of 16 bits. Quiet rooms reach -80 dBFS through a microphone.
const SILENT_DBFS: f32 = -90.0;
/// Level above which sound ends a reported silence, in dBFS: above [`SILENT_DBFS`], so that noise of a converter does not flicker.
const AUDIBLE_DBFS: f32 = -84.0;
/// Length of the silence after which it is reported, in seconds.
const REPORTED_AFTER_SECS: u64 = 5;
/// Level that an input reaches again and again in any room where it is not muted, in dBFS, by each key and breath; the noise of a muted
/// converter stays below.
const DEAF_DBFS: f32 = -70.0;
/// Level above which sound ends the silence of an input that was reported as deaf, in dBFS.
const HEARING_DBFS: f32 = -66.0;
/// Length from the start of an input without [`DEAF_DBFS`] after which it counts as deaf, in seconds.
const DEAF_AFTER_SECS: u64 = 10;

/// A finding about the silence of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reported {
    /// The input is silent.
    Silent,
    /// The input, which was reported as silent, has delivered no sound since its start.
    Deaf,
    /// Sound arrives.
    Audible,
}

/// A detector of the silence of a muted microphone.
#[derive(Debug, Default)]
pub(super) struct SilenceDetector {
    /// Frames of silence at the end of the stream.
    silent_frames: u64,
    /// Level that ends the silence that was reported, in dBFS; None while none is.
    reported_until_dbfs: Option<f32>,
    /// Frames since the start of the input.
    frames: u64,
    /// Name of the newest input that was heard, or reported as deaf: it is not reported again.
    settled: String,
    /// Name of the input.
    input: String,
}

impl SilenceDetector {
    /// Takes the next frames (mono) of a stream of `rate_hz`; returns a change that is to be reported.
    pub(super) fn observe(&mut self, frames: &[f32], rate_hz: u32) -> Option<Reported> {
        let level_dbfs = dbfs_of_sound(frames);
        let rate_hz = u64::from(rate_hz);
        self.frames += frames.len() as u64;
        if level_dbfs >= DEAF_DBFS {
            self.settle();
        }
        let deaf = self.settled != self.input && self.frames >= DEAF_AFTER_SECS * rate_hz;
        if level_dbfs >= self.reported_until_dbfs.unwrap_or(SILENT_DBFS) {
            self.silent_frames = 0;
        } else {
            self.silent_frames += frames.len() as u64;
        }
        match self.reported_until_dbfs {
            Some(_) if self.silent_frames == 0 => {
                self.reported_until_dbfs = None;
                Some(Reported::Audible)
            }
            Some(_) if deaf => {
                self.settle();
                Some(Reported::Deaf)
            }
            Some(_) => None,
            None if deaf || self.silent_frames >= REPORTED_AFTER_SECS * rate_hz => {
                self.reported_until_dbfs = Some(if level_dbfs < SILENT_DBFS { AUDIBLE_DBFS } else { HEARING_DBFS });
                Some(Reported::Silent)
            }
            None => None,
        }
    }

    /// Notes that the input is no longer to be reported as deaf.
    fn settle(&mut self) {
        self.settled.clone_from(&self.input);
    }

    /// Notes that a stream of the input called `name` was opened, again or in place of another, which is reported by itself: a silence that
    /// goes on is reported anew, at once.
    pub(super) fn input_changed(&mut self, name: &str) {
        self.reported_until_dbfs = None;
        self.frames = 0;
        name.clone_into(&mut self.input);
    }

    /// Notes that the input was closed: no silence is reported any more.
    pub(super) const fn input_closed(&mut self) {
        (self.silent_frames, self.reported_until_dbfs) = (0, None);
    }
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
            detector.input_changed("mic");
            hear(&mut detector, 0.1, 0.01);
            assert_eq!(hear(&mut detector, 4.9, amplitude), []);
            assert_eq!(hear(&mut detector, 60.0, amplitude), [Reported::Silent], "not deaf: it was heard");
            assert_eq!(hear(&mut detector, 1.0, 0.01), [Reported::Audible]);
            assert_eq!(hear(&mut detector, 4.9, amplitude), [], "again only after five seconds");
        }
    }

    #[test]
    fn input_that_is_muted_from_its_start_is_deaf_after_ten_seconds_and_said_to_be_so_once() {
        // Exact zeros, and the noise of a muted input.
        for (amplitude, silent_after) in [(0.0, 5.0), (1.8e-4, 10.0)] {
            let mut detector = SilenceDetector::default();
            detector.input_changed("mic");
            assert_eq!(hear(&mut detector, silent_after - 0.1, amplitude), []);
            assert_eq!(hear(&mut detector, 60.0, amplitude), [Reported::Silent, Reported::Deaf]);
            assert_eq!(hear(&mut detector, 1.0, 0.01), [Reported::Audible]);
            detector.input_closed();
            detector.input_changed("mic");
            assert!(!hear(&mut detector, 60.0, amplitude).contains(&Reported::Deaf), "the same input");
            detector.input_changed("other");
            assert!(hear(&mut detector, 60.0, amplitude).contains(&Reported::Deaf), "another input");
        }
    }

    #[test]
    fn quiet_room_is_no_silence_and_noise_at_the_threshold_does_not_flicker() {
        let mut detector = SilenceDetector::default();
        detector.input_changed("mic");
        hear(&mut detector, 0.1, 0.001);
        assert_eq!(hear(&mut detector, 60.0, 1e-4), [], "-80 dBFS");
        assert_eq!(hear(&mut detector, 6.0, 0.0), [Reported::Silent]);
        assert_eq!(hear(&mut detector, 60.0, 4e-5), [], "-88 dBFS");
    }

    #[test]
    fn silence_that_outlives_its_stream_is_reported_anew() {
        let mut detector = SilenceDetector::default();
        hear(&mut detector, 6.0, 0.0);
        detector.input_changed("mic");
        assert_eq!(hear(&mut detector, 0.05, 0.0), [Reported::Silent]);
        detector.input_changed("mic");
        assert_eq!(hear(&mut detector, 1.0, 0.1), []);
    }
}
