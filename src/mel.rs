//! The streaming log-mel spectrogram, the model's input, and the quiet gate.
//!
//! Converts each chunk of 6,400 samples to 128 × 40 scaled log-mel values as `src/model/README.md` section 2 defines them, at
//! constant cost. Plain `f32`; no other module uses the FFT crate. Not responsible for time, the source of the samples, or
//! tensors.

mod bands;
mod filters;
mod frames;
pub mod gate;
mod running_max;

use crate::level::dbfs_of_sound;
use crate::time::{BLOCK_FRAMES, CHUNK_FRAMES, CHUNK_SAMPLES, HOP_SAMPLES};
use bands::Bands;
use frames::{FRAME_SAMPLES, FrameMel};
pub use gate::{GateStep, QuietGate};
pub use running_max::MaxWindow;
use running_max::RunningMax;

/// Number of mel bins of a frame (`src/model/README.md` section 2).
pub const N_MELS: usize = 128;

/// Half the length of a frame, in samples: a frame reaches so far to each side of its centre.
const HALF_FRAME: usize = FRAME_SAMPLES / 2;
/// Number of samples of the previous chunk that are kept to compute that chunk's last frame again, now with the samples that follow.
const HISTORY: usize = HALF_FRAME + HOP_SAMPLES;
/// Number of mirrored samples behind the end of a chunk, which the last frame of the chunk needs.
const MIRRORED: usize = HALF_FRAME - HOP_SAMPLES;

/// Range of log-mel values below the maximum that is kept, in decades of power: 80 dB (`src/model/README.md` section 2, step 7).
const RANGE_DECADES: f32 = 8.0;

/// The scaled log-mel of a chunk for the encoder, with the chunk's level, and its band powers for the quiet gate.
#[derive(Clone, Debug, PartialEq)]
pub struct LogMelChunk {
    /// Scaled log-mel, `[128, 40]`.
    scaled: Box<[f32]>,
    /// Power in each band and frame.
    bands: Bands,
    /// Level of the chunk's samples, in dBFS.
    level_dbfs: f32,
}

impl LogMelChunk {
    /// Returns the scaled log-mel, `[128, 40]`: all frames of mel bin 0, then all frames of bin 1, and so on.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.scaled
    }

    /// Returns the level of the chunk's samples, in dBFS ([`dbfs_of_sound`]).
    #[must_use]
    pub const fn level_dbfs(&self) -> f32 {
        self.level_dbfs
    }

    /// Returns the unscaled power in each band and frame, the input of the quiet gate.
    pub(crate) const fn bands(&self) -> &Bands {
        &self.bands
    }

    fn new(raw: &[[f32; N_MELS]], max: f32, bands: Bands, samples: &[f32]) -> Self {
        Self { scaled: scale(raw, max), bands, level_dbfs: dbfs_of_sound(samples) }
    }
}

/// Scales frames of log10 mel powers: clamps to 80 dB below `max`, then computes `(x + 4) / 4`. Returns `[128, frames]`
/// (`src/model/README.md` section 2, steps 7 and 8).
fn scale(raw: &[[f32; N_MELS]], max: f32) -> Box<[f32]> {
    let floor = max - RANGE_DECADES;
    let mut scaled = vec![0.0; N_MELS * raw.len()].into_boxed_slice();
    for (frame, logs) in raw.iter().enumerate() {
        for (bin, log) in logs.iter().enumerate() {
            scaled[bin * raw.len() + frame] = (log.max(floor) + 4.0) / 4.0;
        }
    }
    scaled
}

/// The computation of the log-mel of an endless stream, chunk by chunk.
///
/// The last frame of a chunk extends beyond its end. It is computed with mirrored samples, as in the reference, and not counted
/// in the running maximum. With the next chunk it is computed again from the samples that follow, and counted.
#[derive(Debug)]
pub struct LogMel {
    frames: FrameMel,
    /// Largest value so far, below which values are clamped.
    running_max: RunningMax,
    /// Kept samples of the previous chunk, the newest chunk, then mirrored samples behind its end.
    samples: Box<[f32; HISTORY + CHUNK_SAMPLES + MIRRORED]>,
    /// Log10 mel powers of the newest chunk's frames.
    raw: Box<[[f32; N_MELS]; CHUNK_FRAMES]>,
    /// True once a chunk has been processed since the start or the last reset.
    begun: bool,
}

impl LogMel {
    /// Creates the computation for a new stream, whose running maximum covers `max_window`.
    #[must_use]
    pub fn new(max_window: MaxWindow) -> Self {
        Self {
            frames: FrameMel::new(),
            running_max: RunningMax::new(max_window),
            samples: Box::new([0.0; HISTORY + CHUNK_SAMPLES + MIRRORED]),
            raw: Box::new([[0.0; N_MELS]; CHUNK_FRAMES]),
            begun: false,
        }
    }

    /// Begins a new stream: forgets the previous samples and the running maximum.
    pub fn reset(&mut self) {
        self.running_max.clear();
        self.samples.fill(0.0);
        self.begun = false;
    }

    /// Returns the scaled log-mel of the next chunk (16 kHz, in -1 ..= 1). NaN samples count as 0, so that one of them does not spoil the
    /// running maximum. Allocates only the result.
    pub fn step(&mut self, chunk: &[f32; CHUNK_SAMPLES]) -> LogMelChunk {
        self.append(chunk);
        if self.begun {
            // The last frame of the previous chunk, now with the samples that follow it.
            let frame = self.frames.log_mel(&self.samples[..FRAME_SAMPLES], &mut self.raw[0], None);
            self.running_max.fold_into_newest(frame);
        }
        let mut bands = Bands::SILENT;
        let (mut newest, mut provisional) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
        for (t, raw) in self.raw.iter_mut().enumerate() {
            let start = (t + 1) * HOP_SAMPLES;
            let frame = self.frames.log_mel(&self.samples[start..start + FRAME_SAMPLES], raw, Some(bands.frame_mut(t)));
            if t + 1 < CHUNK_FRAMES {
                newest = newest.max(frame);
            } else {
                provisional = frame;
            }
        }
        self.running_max.push(newest);
        self.begun = true;
        let max = self.running_max.get().max(provisional);
        LogMelChunk::new(&self.raw[..], max, bands, &self.samples[HISTORY..HISTORY + CHUNK_SAMPLES])
    }

    /// Shifts the buffer by a chunk, appends `chunk`, and mirrors samples behind its end; for the first chunk, before its beginning
    /// as well.
    fn append(&mut self, chunk: &[f32; CHUNK_SAMPLES]) {
        self.samples.copy_within(CHUNK_SAMPLES..CHUNK_SAMPLES + HISTORY, 0);
        for (place, sample) in self.samples[HISTORY..].iter_mut().zip(chunk) {
            *place = bounded(*sample);
        }
        if !self.begun {
            // Sample -k mirrors sample k (`src/model/README.md` section 2, step 1).
            for k in 1..=HALF_FRAME {
                self.samples[HISTORY - k] = self.samples[HISTORY + k];
            }
        }
        let last = HISTORY + CHUNK_SAMPLES - 1;
        for k in 1..=MIRRORED {
            self.samples[last + k] = self.samples[last - k];
        }
    }
}

/// Returns the scaled log-mel of a whole recording under one maximum, in chunks, as the reference processes files. Pads the samples
/// with zeros to whole chunks; returns none for no samples.
#[must_use]
pub fn recording_chunks(samples: &[f32]) -> Vec<LogMelChunk> {
    let n_chunks = samples.len().div_ceil(CHUNK_SAMPLES);
    if n_chunks == 0 {
        return Vec::new();
    }
    let RecordingLogMel { padded, raw, bands, max } = RecordingLogMel::new(samples, n_chunks * CHUNK_FRAMES);
    let chunks = padded[HALF_FRAME..].chunks_exact(CHUNK_SAMPLES);
    raw.chunks_exact(CHUNK_FRAMES)
        .zip(bands)
        .zip(chunks)
        .map(|((raw, bands), samples)| LogMelChunk::new(raw, max, bands, samples))
        .collect()
}

/// Returns the scaled log-mel of a whole recording under one maximum, in blocks `[128, frames]` for offline encoding: 200 frames
/// each, the last block shorter (`src/model/README.md` section 5.5). Pads the samples with zeros to whole hops and to
/// [`LEAST_FRAMES`] frames.
#[must_use]
pub fn recording_blocks(samples: &[f32]) -> Vec<Box<[f32]>> {
    let n_frames = samples.len().div_ceil(HOP_SAMPLES).max(LEAST_FRAMES);
    let RecordingLogMel { raw, max, .. } = RecordingLogMel::new(samples, n_frames);
    raw.chunks(BLOCK_FRAMES).map(|raw| scale(raw, max)).collect()
}

/// Number of frames of the shortest recording that gives a feature vector: the encoder pools two positions of two frames each, and the
/// second position needs only its first frame.
const LEAST_FRAMES: usize = 3;

/// The unscaled log-mel of a whole recording.
struct RecordingLogMel {
    /// The samples, padded with zeros, with half a frame of mirrored samples at each end.
    padded: Vec<f32>,
    /// Log10 mel powers of each frame.
    raw: Vec<[f32; N_MELS]>,
    /// Power in each band and frame, for each chunk of 40 frames.
    bands: Vec<Bands>,
    /// Largest value in `raw`.
    max: f32,
}

impl RecordingLogMel {
    /// Computes `n_frames` frames of `samples`, cut or padded with zeros to that length. `n_frames` must be at least
    /// [`LEAST_FRAMES`]: the ends are mirrored.
    fn new(samples: &[f32], n_frames: usize) -> Self {
        let n = n_frames * HOP_SAMPLES;
        let mut padded = vec![0.0; HALF_FRAME + n + HALF_FRAME];
        for (place, sample) in padded[HALF_FRAME..HALF_FRAME + n].iter_mut().zip(samples) {
            *place = bounded(*sample);
        }
        let (first, last) = (HALF_FRAME, HALF_FRAME + n - 1);
        for k in 1..=HALF_FRAME {
            padded[first - k] = padded[first + k];
            padded[last + k] = padded[last - k];
        }
        let mut frames = FrameMel::new();
        let mut raw = vec![[0.0; N_MELS]; n_frames];
        let mut bands = vec![Bands::SILENT; n_frames.div_ceil(CHUNK_FRAMES)];
        let mut max = f32::NEG_INFINITY;
        for (t, raw) in raw.iter_mut().enumerate() {
            let frame = &padded[t * HOP_SAMPLES..t * HOP_SAMPLES + FRAME_SAMPLES];
            let frame_bands = bands[t / CHUNK_FRAMES].frame_mut(t % CHUNK_FRAMES);
            max = max.max(frames.log_mel(frame, raw, Some(frame_bands)));
        }
        Self { padded, raw, bands, max }
    }
}

/// Largest magnitude of a sample: 30 dB over full scale. Sources stay within 1; the limit keeps powers finite.
const LARGEST_SAMPLE: f32 = 32.0;

/// Returns `sample` clamped to [`LARGEST_SAMPLE`], or 0 for NaN.
const fn bounded(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-LARGEST_SAMPLE, LARGEST_SAMPLE) }
}
