//! The line from a voice to the loudspeaker: a ring into the output callback, a fade for what is cut, and a ring back that
//! carries exactly what was played.
//!
//! Not responsible for resampling or for who calls it: it knows no sound system.
//!
//! Architecture invariant: [`PlaybackReader::fill`] does not allocate, lock, log or panic (`tests/audio_callback.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

/// Seconds of sound that wait for the loudspeaker at most: the voice's thread may be kept from the processor for long while
/// the model computes.
const AHEAD_SECS: f64 = 1.5;
/// Seconds of played sound that wait for the capture thread at most.
const FAR_SECS: f64 = 2.0;
/// A fade from full to nothing takes so long: short enough to obey at once, long enough not to click.
const FADE_SECS: f32 = 0.02;
/// How loud the voice goes on while the user may be beginning to speak: 12 dB down.
const DUCKED: f32 = 0.25;

/// What the three ends share.
#[derive(Debug)]
struct Shared {
    /// What waits is to be faded out and thrown away.
    cut: AtomicBool,
    /// Whether something waits to be played.
    playing: AtomicBool,
    /// The gain that is faded to, as bits.
    gain: AtomicU32,
    frames: AtomicU64,
    /// Far-end frames that found no room.
    lost: AtomicU64,
}

/// The voice's end.
pub struct PlaybackWriter {
    samples: HeapProd<f32>,
    shared: Arc<Shared>,
    rate_hz: u32,
}

/// The real-time half: lives in the output callback.
pub struct PlaybackReader {
    samples: HeapCons<f32>,
    far: HeapProd<f32>,
    shared: Arc<Shared>,
    gain: f32,
    step: f32,
}

/// The capture thread's end: what was played.
pub struct FarEnd {
    far: HeapCons<f32>,
    shared: Arc<Shared>,
    lost: u64,
    rate_hz: u32,
}

/// How loud a voice plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    /// As it is.
    Full,
    /// Quieter, because somebody may be beginning to speak.
    Ducked,
}

/// A line for mono samples at `rate_hz`.
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
    /// Takes as many of `samples` as there is room for, none while a cut is being faded.
    pub fn write(&mut self, samples: &[f32]) -> usize {
        if self.is_cut() { 0 } else { self.samples.push_slice(samples) }
    }

    /// Whether everything that was written has been played, or thrown away by a cut.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Fades out what is being played and throws away what waits.
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::Release);
    }

    /// Whether a cut was asked for, here or at the far end.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.shared.cut.load(Ordering::Acquire)
    }

    /// A cut has been obeyed: takes samples again, at full loudness.
    pub fn begin_again(&self) {
        self.shared.gain.store(1.0_f32.to_bits(), Ordering::Release);
        self.shared.cut.store(false, Ordering::Release);
    }

    /// Frames that the device ever took; it stands still when the device does.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.shared.frames.load(Ordering::Acquire)
    }

    /// Rate of the device, in Hz.
    #[must_use]
    pub const fn rate_hz(&self) -> u32 {
        self.rate_hz
    }
}

impl PlaybackReader {
    /// Fills interleaved `data` of `channels` channels with what waits, and with silence after it. An incomplete last frame
    /// is silence.
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
            // Nothing is heard that a fade could smooth: what comes next begins at its full loudness.
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
    /// Appends what was played since the last time to `out`, and says how many frames were lost because nobody took them.
    pub fn read(&mut self, out: &mut Vec<f32>) -> u64 {
        let lost = self.shared.lost.load(Ordering::Acquire);
        let start = out.len();
        out.resize(start + self.far.occupied_len(), 0.0);
        let got = self.far.pop_slice(&mut out[start..]);
        out.truncate(start + got);
        lost - std::mem::replace(&mut self.lost, lost)
    }

    /// Whether more is about to be played.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.shared.playing.load(Ordering::Acquire)
    }

    /// Fades out what is being played: somebody speaks.
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::Release);
    }

    /// Plays on so loud.
    pub fn play_at(&self, loudness: Loudness) {
        let gain = if loudness == Loudness::Full { 1.0_f32 } else { DUCKED };
        self.shared.gain.store(gain.to_bits(), Ordering::Release);
    }

    /// Rate of the device, in Hz.
    #[must_use]
    pub const fn rate_hz(&self) -> u32 {
        self.rate_hz
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(filler: &mut PlaybackReader, n_frames: usize) -> Vec<f32> {
        let mut data = vec![9.0; n_frames * 2 + 1];
        filler.fill(&mut data, 2, |x| x);
        assert!(data.chunks_exact(2).all(|frame| frame[0] == frame[1]) && data[n_frames * 2] == 0.0);
        data.chunks_exact(2).map(|frame| frame[0]).collect()
    }

    #[test]
    fn what_is_written_is_played_on_every_channel_and_comes_back_as_it_was_played() {
        let (mut feeder, mut filler, mut far) = playback_ring(1_000);
        assert_eq!(feeder.write(&[0.1, 0.2, 0.3]), 3);
        let mut played = fill(&mut filler, 2);
        played.extend(fill(&mut filler, 3));
        assert_eq!(played, [0.1, 0.2, 0.3, 0.0, 0.0]);
        let mut back = Vec::new();
        assert_eq!((far.read(&mut back), back), (0, played));
        assert!(feeder.is_empty() && feeder.frames() == 5);
    }

    #[test]
    fn a_cut_fades_out_in_20_ms_and_throws_away_what_waits() {
        let (mut feeder, mut filler, far) = playback_ring(1_000);
        feeder.write(&[1.0; 500]);
        assert_eq!(fill(&mut filler, 10), [1.0; 10]);
        far.cut();
        let faded = fill(&mut filler, 100);
        assert!(faded.windows(2).all(|pair| pair[1] <= pair[0]) && faded[10] > 0.3 && faded[20..].iter().all(|s| *s == 0.0), "{faded:?}");
        assert!(feeder.is_empty() && feeder.is_cut() && feeder.write(&[1.0]) == 0);
        feeder.begin_again();
        assert_eq!((feeder.write(&[0.5; 10]), fill(&mut filler, 10)), (10, vec![0.5; 10]));
    }

    #[test]
    fn a_voice_is_ducked_smoothly_and_comes_back() {
        let (mut feeder, mut filler, far) = playback_ring(1_000);
        feeder.write(&[1.0; 400]);
        far.play_at(Loudness::Ducked);
        let ducked = fill(&mut filler, 100);
        assert!(ducked[99] == DUCKED && ducked.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.06));
        far.play_at(Loudness::Full);
        assert_eq!(fill(&mut filler, 100)[99], 1.0);
    }

    #[test]
    fn played_sound_that_nobody_takes_is_counted() {
        let (_feeder, mut filler, mut far) = playback_ring(1_000);
        fill(&mut filler, 2_500);
        let mut out = Vec::new();
        assert_eq!((far.read(&mut out), out.len()), (500, 2_000));
        fill(&mut filler, 10);
        assert_eq!((far.read(&mut out), out.len()), (0, 2_010));
    }
}
