//! The ring buffers between the speech thread, the output callback and the capture thread: one carries samples to the
//! callback, which fades them out when they are cut; another carries the played samples to the capture thread.
//!
//! Not responsible for resampling. Independent of any sound system.
//!
//! Architecture invariant: [`PlaybackReader::fill`] does not allocate, lock, log or panic (`tests/audio_callback.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

/// Length of the ring to the output callback, in seconds: the speech thread may get no CPU time while the model computes.
const AHEAD_SECS: f64 = 1.5;
/// Length of the ring of played samples to the capture thread, in seconds.
const FAR_SECS: f64 = 2.0;
/// Duration of a fade from full gain to silence, in seconds: short enough to stop at once, long enough not to click.
const FADE_SECS: f32 = 0.02;
/// Gain while a person is suspected to speak: -12 dB.
const DUCKED: f32 = 0.25;

/// The flags and counters that the three ends of the playback rings share.
#[derive(Debug)]
struct Shared {
    /// True from a cut until the writer ends it: queued samples are faded out and dropped, and no more are accepted.
    cut: AtomicBool,
    /// True if samples were still queued after the latest callback.
    playing: AtomicBool,
    /// Target gain, as the bits of an `f32`.
    gain: AtomicU32,
    /// Number of frames that the device has taken.
    frames: AtomicU64,
    /// Number of played frames that were lost because the far-end ring was full.
    lost: AtomicU64,
}

/// The writing end of the ring of samples to be played, used by the speech thread.
pub struct PlaybackWriter {
    /// Samples to be played.
    samples: HeapProd<f32>,
    shared: Arc<Shared>,
    /// Sample rate of the device, in Hz.
    rate_hz: u32,
}

/// The reading end of the ring of samples to be played, called by the real-time output callback.
pub struct PlaybackReader {
    /// Samples to be played.
    samples: HeapCons<f32>,
    /// Writing end of the ring of played samples.
    far: HeapProd<f32>,
    shared: Arc<Shared>,
    /// Gain of the newest played sample, 0 to 1.
    gain: f32,
    /// Change of the gain from one sample to the next during a fade.
    step: f32,
}

/// The far end: the played samples, read by the capture thread.
pub struct FarEnd {
    /// Played samples.
    far: HeapCons<f32>,
    shared: Arc<Shared>,
    /// Number of lost samples at the last call of [`FarEnd::read`].
    lost: u64,
    /// Sample rate of the device, in Hz.
    rate_hz: u32,
}

/// The gain of the playback of a voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaybackGain {
    /// Gain of 1.
    Full,
    /// Gain of -12 dB, while a person is suspected to speak.
    Ducked,
}

/// Returns the ends of new rings for mono samples at `rate_hz` Hz: 1.5 s of samples to the output callback, 2 s of played samples to the
/// capture thread.
#[must_use]
pub fn playback_ring(rate_hz: u32) -> (PlaybackWriter, PlaybackReader, FarEnd) {
    let ring = |secs: f64| HeapRb::new(((f64::from(rate_hz) * secs) as usize).max(1)).split();
    let (samples_in, samples_out) = ring(AHEAD_SECS);
    let (far_in, far_out) = ring(FAR_SECS);
    let shared = Arc::new(Shared {
        cut: AtomicBool::new(false),
        playing: AtomicBool::new(false),
        gain: AtomicU32::new(1.0_f32.to_bits()),
        frames: AtomicU64::new(0),
        lost: AtomicU64::new(0),
    });
    let step = 1.0 / (FADE_SECS * rate_hz.max(1) as f32).max(1.0);
    (
        PlaybackWriter { samples: samples_in, shared: Arc::clone(&shared), rate_hz },
        PlaybackReader { samples: samples_out, far: far_in, shared: Arc::clone(&shared), gain: 1.0, step },
        FarEnd { far: far_out, shared, lost: 0, rate_hz },
    )
}

impl PlaybackWriter {
    /// Queues as many of `samples` as fit and returns their number; 0 during a cut.
    pub fn write(&mut self, samples: &[f32]) -> usize {
        if self.is_cut() { 0 } else { self.samples.push_slice(samples) }
    }

    /// Returns true if all samples have been played, or dropped by a cut.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Fades out the playback within 20 ms and drops the queued samples; [`Self::write`] accepts none until [`Self::end_cut`].
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::Release);
    }

    /// Returns true from a cut, by this end or by the far end, until [`Self::end_cut`].
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.shared.cut.load(Ordering::Acquire)
    }

    /// Ends a cut: accepts samples again, at full gain.
    pub fn end_cut(&self) {
        self.shared.gain.store(1.0_f32.to_bits(), Ordering::Release);
        self.shared.cut.store(false, Ordering::Release);
    }

    /// Returns the number of frames that the device has taken. Stops growing when the device stalls.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.shared.frames.load(Ordering::Acquire)
    }

    /// Returns the sample rate of the device, in Hz.
    #[must_use]
    pub const fn rate_hz(&self) -> u32 {
        self.rate_hz
    }
}

impl PlaybackReader {
    /// Fills interleaved `data` of `channels` channels with queued samples at the gain that is set, then with silence, and copies the
    /// played samples to the far end. An incomplete last frame is silent.
    pub fn fill<T: Copy>(&mut self, data: &mut [T], channels: usize, from_f32: fn(f32) -> T) {
        let cut = self.shared.cut.load(Ordering::Acquire);
        let target = if cut { 0.0 } else { f32::from_bits(self.shared.gain.load(Ordering::Acquire)) };
        let (mut n_frames, mut lost) = (0, 0);
        let mut frames = data.chunks_exact_mut(channels.max(1));
        for frame in &mut frames {
            if self.gain < target {
                self.gain = (self.gain + self.step).min(target);
            } else if self.gain > target {
                self.gain = (self.gain - self.step).max(target);
            }
            let sample = self.samples.try_pop().map_or(0.0, |sample| sample * self.gain);
            frame.fill(from_f32(sample));
            lost += u64::from(self.far.try_push(sample).is_err());
            n_frames += 1;
        }
        frames.into_remainder().fill(from_f32(0.0));
        if cut && self.gain <= 0.0 {
            self.samples.clear();
        }
        if self.samples.is_empty() {
            // Silence needs no fade; the next samples begin at full gain.
            self.gain = 1.0;
        }
        self.shared.playing.store(!self.samples.is_empty(), Ordering::Release);
        if lost > 0 {
            self.shared.lost.fetch_add(lost, Ordering::Release);
        }
        self.shared.frames.fetch_add(n_frames, Ordering::Release);
    }
}

impl FarEnd {
    /// Appends the samples played since the last call to `out`. Returns the number of samples lost because the ring was full.
    pub fn read(&mut self, out: &mut Vec<f32>) -> u64 {
        let lost = self.shared.lost.load(Ordering::Acquire);
        let start = out.len();
        out.resize(start + self.far.occupied_len(), 0.0);
        let got = self.far.pop_slice(&mut out[start..]);
        out.truncate(start + got);
        lost - std::mem::replace(&mut self.lost, lost)
    }

    /// Returns true if samples were still queued after the latest callback.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.shared.playing.load(Ordering::Acquire)
    }

    /// Fades out the playback and drops the queued samples, because a person speaks; the writer ends the cut.
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::Release);
    }

    /// Fades the playback to `gain` within 20 ms.
    pub fn set_gain(&self, gain: PlaybackGain) {
        let gain = if gain == PlaybackGain::Full { 1.0_f32 } else { DUCKED };
        self.shared.gain.store(gain.to_bits(), Ordering::Release);
    }

    /// Returns the sample rate of the device, in Hz.
    #[must_use]
    pub const fn rate_hz(&self) -> u32 {
        self.rate_hz
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(reader: &mut PlaybackReader, n_frames: usize) -> Vec<f32> {
        let mut data = vec![9.0; n_frames * 2 + 1];
        reader.fill(&mut data, 2, |x| x);
        assert!(data.chunks_exact(2).all(|frame| frame[0] == frame[1]) && data[n_frames * 2] == 0.0);
        data.chunks_exact(2).map(|frame| frame[0]).collect()
    }

    #[test]
    fn samples_are_played_on_each_channel_and_returned_at_the_far_end() {
        let (mut writer, mut reader, mut far) = playback_ring(1_000);
        assert_eq!(writer.write(&[0.1, 0.2, 0.3]), 3);
        let mut played = fill(&mut reader, 2);
        played.extend(fill(&mut reader, 3));
        assert_eq!(played, [0.1, 0.2, 0.3, 0.0, 0.0]);
        let mut back = Vec::new();
        assert_eq!((far.read(&mut back), back), (0, played));
        assert!(writer.is_empty() && writer.frames() == 5);
    }

    #[test]
    fn cut_fades_out_in_20_ms_and_drops_queued_samples() {
        let (mut writer, mut reader, far) = playback_ring(1_000);
        writer.write(&[1.0; 500]);
        assert_eq!(fill(&mut reader, 10), [1.0; 10]);
        far.cut();
        let faded = fill(&mut reader, 100);
        assert!(faded.windows(2).all(|pair| pair[1] <= pair[0]) && faded[10] > 0.3 && faded[20..].iter().all(|s| *s == 0.0), "{faded:?}");
        assert!(writer.is_empty() && writer.is_cut() && writer.write(&[1.0]) == 0);
        writer.end_cut();
        assert_eq!((writer.write(&[0.5; 10]), fill(&mut reader, 10)), (10, vec![0.5; 10]));
    }

    #[test]
    fn ducking_fades_and_full_gain_returns() {
        let (mut writer, mut reader, far) = playback_ring(1_000);
        writer.write(&[1.0; 400]);
        far.set_gain(PlaybackGain::Ducked);
        let ducked = fill(&mut reader, 100);
        assert!(ducked[99] == DUCKED && ducked.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.06));
        far.set_gain(PlaybackGain::Full);
        assert_eq!(fill(&mut reader, 100)[99], 1.0);
    }

    #[test]
    fn played_samples_that_are_not_read_are_counted() {
        let (_writer, mut reader, mut far) = playback_ring(1_000);
        fill(&mut reader, 2_500);
        let mut out = Vec::new();
        assert_eq!((far.read(&mut out), out.len()), (500, 2_000));
        fill(&mut reader, 10);
        assert_eq!((far.read(&mut out), out.len()), (0, 2_010));
    }
}
