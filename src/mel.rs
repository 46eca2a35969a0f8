//! The streaming log-mel spectrogram that the model hears, and the quiet gate that reads it.
//!
//! Responsible for turning chunks of 6,400 samples into 128 x 40 scaled log-mel values exactly as MODEL.md section 2 has
//! them, at a cost that does not depend on how long it has been listening. Plain `f32`; the sole user of the FFT crate.
//! Deliberately not responsible for where samples come from, for time, or for anything that knows of tensors.

mod bands;
mod filters;
mod frames;
pub mod gate;
mod loudest;

use crate::time::{BLOCK_FRAMES, CHUNK_FRAMES, CHUNK_SAMPLES, HOP_SAMPLES};
use bands::Bands;
use frames::{FRAME_SAMPLES, FrameMel};
pub use gate::{GateStep, QuietGate};
use loudest::Loudest;
pub use loudest::MaxWindow;

/// Mel bins of one frame (MODEL.md section 2).
pub const N_MELS: usize = 128;

/// Half a frame: a frame is centred on its sample, so it reaches this far to each side.
const HALF_FRAME: usize = FRAME_SAMPLES / 2;
/// Old samples that a step still needs: the frame before the chunk is computed again once real samples follow it.
const HISTORY: usize = HALF_FRAME + HOP_SAMPLES;
/// How far the newest frame runs over the end of the chunk; there it sees mirrored samples.
const MIRRORED: usize = HALF_FRAME - HOP_SAMPLES;

/// The range that log-mel keeps below the loudest value, in decades of power: 80 dB (MODEL.md section 2, step 7).
const RANGE_DECADES: f32 = 8.0;

/// The scaled log-mel of one chunk, ready for the encoder, with what the quiet gate needs.
#[derive(Clone, Debug, PartialEq)]
pub struct LogMelChunk {
    scaled: Box<[f32]>,
    bands: Bands,
    level_dbfs: f32,
}

impl LogMelChunk {
    /// Scaled log-mel, `[128, 40]`: all frames of mel bin 0, then all frames of bin 1, and so on.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.scaled
    }

    /// Root mean square of the chunk's samples, in dB below full scale (a full-scale square wave has 0); -120 for silence.
    #[must_use]
    pub const fn level_dbfs(&self) -> f32 {
        self.level_dbfs
    }

    /// Power per band and frame, unscaled: what the gate decides on.
    pub(crate) const fn bands(&self) -> &Bands {
        &self.bands
    }

    fn new(raw: &[[f32; N_MELS]], loudest: f32, bands: Bands, samples: &[f32]) -> Self {
        Self { scaled: scale(raw, loudest), bands, level_dbfs: level_dbfs(samples) }
    }
}

/// Frames of log10 mel powers under the maximum `loudest`, scaled: `[128, frames]` (MODEL.md section 2, steps 7 and 8).
fn scale(raw: &[[f32; N_MELS]], loudest: f32) -> Box<[f32]> {
    let floor = loudest - RANGE_DECADES;
    let mut scaled = vec![0.0; N_MELS * raw.len()].into_boxed_slice();
    for (frame, logs) in raw.iter().enumerate() {
        for (bin, log) in logs.iter().enumerate() {
            scaled[bin * raw.len() + frame] = (log.max(floor) + 4.0) / 4.0;
        }
    }
    scaled
}

/// Log-mel of an endless stream, one chunk at a time.
///
/// The newest frame of a chunk runs over its end; there it is computed with mirrored samples, as the reference does, and
/// never counts for the running maximum. When the next chunk has come it is computed again with what really followed.
#[derive(Debug)]
pub struct LogMel {
    frames: FrameMel,
    loudest: Loudest,
    /// `HISTORY` old samples, the chunk, then `MIRRORED` samples beyond its end.
    samples: Box<[f32; HISTORY + CHUNK_SAMPLES + MIRRORED]>,
    raw: Box<[[f32; N_MELS]; CHUNK_FRAMES]>,
    begun: Begun,
}

/// Whether a chunk has been heard since the start or the last reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    NotYet,
    Yes,
}

impl LogMel {
    /// A stream that has heard nothing yet.
    #[must_use]
    pub fn new(max_window: MaxWindow) -> Self {
        Self {
            frames: FrameMel::new(),
            loudest: Loudest::new(max_window),
            samples: Box::new([0.0; HISTORY + CHUNK_SAMPLES + MIRRORED]),
            raw: Box::new([[0.0; N_MELS]; CHUNK_FRAMES]),
            begun: Begun::NotYet,
        }
    }

    /// Forgets everything that was heard: the next chunk is the first.
    pub fn reset(&mut self) {
        self.loudest.forget();
        self.samples.fill(0.0);
        self.begun = Begun::NotYet;
    }

    /// The log-mel of the next chunk (16 kHz, -1 ..= 1). Allocates only what it returns.
    ///
    /// Samples that are not numbers count as 0: one of them must not deafen an endless stream.
    pub fn step(&mut self, chunk: &[f32; CHUNK_SAMPLES]) -> LogMelChunk {
        self.append(chunk);
        if self.begun == Begun::Yes {
            // The newest frame of the chunk before, now with real samples after it.
            let frame = self.frames.log_mel(&self.samples[..FRAME_SAMPLES], &mut self.raw[0], None);
            self.loudest.fold_into_newest(frame);
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
        self.loudest.push(newest);
        self.begun = Begun::Yes;
        let loudest = self.loudest.get().max(provisional);
        LogMelChunk::new(&self.raw[..], loudest, bands, &self.samples[HISTORY..HISTORY + CHUNK_SAMPLES])
    }

    /// Moves the buffer on by one chunk and mirrors what lies outside the stream.
    fn append(&mut self, chunk: &[f32; CHUNK_SAMPLES]) {
        self.samples.copy_within(CHUNK_SAMPLES..CHUNK_SAMPLES + HISTORY, 0);
        for (place, sample) in self.samples[HISTORY..].iter_mut().zip(chunk) {
            *place = tame(*sample);
        }
        if self.begun == Begun::NotYet {
            // Index -k takes index k (MODEL.md section 2, step 1).
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

/// Log-mel of a whole recording at once, under one maximum: the reference's file mode.
///
/// The samples are padded with zeros to whole chunks; nothing comes of no samples.
#[must_use]
pub fn recording_chunks(samples: &[f32]) -> Vec<LogMelChunk> {
    let n_chunks = samples.len().div_ceil(CHUNK_SAMPLES);
    if n_chunks == 0 {
        return Vec::new();
    }
    let Recording { padded, raw, bands, loudest } = Recording::new(samples, n_chunks * CHUNK_FRAMES);
    let heard = padded[HALF_FRAME..].chunks_exact(CHUNK_SAMPLES);
    raw.chunks_exact(CHUNK_FRAMES)
        .zip(bands)
        .zip(heard)
        .map(|((raw, bands), samples)| LogMelChunk::new(raw, loudest, bands, samples))
        .collect()
}

/// Scaled log-mel of a whole recording under one maximum, in the blocks `[128, frames]` in which the encoder takes it in an
/// offline task: 200 frames each, the last one what is left (MODEL.md section 5.5).
///
/// The samples are padded with zeros to whole hops, and to [`LEAST_FRAMES`]: less gives no feature.
#[must_use]
pub fn recording_blocks(samples: &[f32]) -> Vec<Box<[f32]>> {
    let n_frames = samples.len().div_ceil(HOP_SAMPLES).max(LEAST_FRAMES);
    let Recording { raw, loudest, .. } = Recording::new(samples, n_frames);
    raw.chunks(BLOCK_FRAMES).map(|raw| scale(raw, loudest)).collect()
}

/// Frames of the shortest recording of which the encoder makes a feature: two positions are pooled, of two frames each, and the
/// second needs but its first.
const LEAST_FRAMES: usize = 3;

/// A recording as a whole, before it is scaled.
struct Recording {
    /// The samples, half a frame of mirrored ones at each end.
    padded: Vec<f32>,
    /// Log10 mel powers of each frame.
    raw: Vec<[f32; N_MELS]>,
    /// Power per band of each frame, in chunks.
    bands: Vec<Bands>,
    /// The largest of `raw`.
    loudest: f32,
}

impl Recording {
    /// The first `n_frames` frames of `samples`, zeros where there are no more samples; at least [`LEAST_FRAMES`], for what is
    /// mirrored at the ends has to be there.
    fn new(samples: &[f32], n_frames: usize) -> Self {
        let n = n_frames * HOP_SAMPLES;
        let mut padded = vec![0.0; HALF_FRAME + n + HALF_FRAME];
        for (place, sample) in padded[HALF_FRAME..HALF_FRAME + n].iter_mut().zip(samples) {
            *place = tame(*sample);
        }
        let (first, last) = (HALF_FRAME, HALF_FRAME + n - 1);
        for k in 1..=HALF_FRAME {
            padded[first - k] = padded[first + k];
            padded[last + k] = padded[last - k];
        }
        let mut frames = FrameMel::new();
        let mut raw = vec![[0.0; N_MELS]; n_frames];
        let mut bands = vec![Bands::SILENT; n_frames.div_ceil(CHUNK_FRAMES)];
        let mut loudest = f32::NEG_INFINITY;
        for (t, raw) in raw.iter_mut().enumerate() {
            let frame = &padded[t * HOP_SAMPLES..t * HOP_SAMPLES + FRAME_SAMPLES];
            let of_frame = bands[t / CHUNK_FRAMES].frame_mut(t % CHUNK_FRAMES);
            loudest = loudest.max(frames.log_mel(frame, raw, Some(of_frame)));
        }
        Self { padded, raw, bands, loudest }
    }
}

/// What a sample may be at most: 30 dB over full scale. No source exceeds 1; this only keeps powers finite.
const LOUDEST_SAMPLE: f32 = 32.0;

/// The sample if it is a number of sane size; else the nearest one that is, 0 for no number.
const fn tame(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-LOUDEST_SAMPLE, LOUDEST_SAMPLE) }
}

fn level_dbfs(samples: &[f32]) -> f32 {
    let power = samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32;
    10.0 * power.max(1e-12).log10()
}
