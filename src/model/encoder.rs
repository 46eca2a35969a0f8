//! The audio encoder: `Qwen2_5OmniAudioEncoder` of transformers 4.57.6, block by block (`src/model/README.md` sections 3 and 5.5).
//!
//! A block is a live chunk of 40 frames, or up to 200 frames of a recording. Nothing outside a block affects its features, so a chunk
//! costs the same after hours as after a second. f32, or with packed weights.

mod convolution;
mod float;
mod packed;

use candle_core::{Device, Result as CandleResult};
use smallvec::SmallVec;

use super::checkpoint::Checkpoint;
use super::config::AudioConfig;
use super::features::Features;
use super::weights::{ComputeType, Weights};
use crate::error::Result;
use crate::mel::N_MELS;
use crate::time::BLOCK_FRAMES;

/// Number of positions of the longest block after the second convolution: 100.
const MOST_POSITIONS: usize = positions_of(BLOCK_FRAMES);
/// Epsilon of the encoder's layer norms: the default of PyTorch's `nn.LayerNorm`.
const LAYER_NORM_EPS: f64 = 1e-5;
/// Wavelength, in positions and divided by 2π, of the slowest sinusoid of the position embeddings (`SinusoidsPositionEmbedding`).
const MAX_TIMESCALE: f64 = 10_000.0;

/// The features of several blocks, one [`Features`] each, in order; a list of up to four takes no heap memory.
pub type Encodings = SmallVec<[Features; 4]>;

/// The audio encoder: in candle's f32 on any device, or with packed weights on the CPU.
#[derive(Debug)]
pub struct Encoder {
    layers: EncoderLayers,
    device: Device,
}

/// The layers of the encoder, in one of the two kinds of arithmetic.
#[derive(Debug)]
enum EncoderLayers {
    /// candle's layers in f32, on any device.
    Float(float::FloatEncoder),
    /// Layers with packed weights, on the CPU.
    Packed(Box<packed::PackedEncoder>),
}

impl Encoder {
    /// Loads the encoder of `checkpoint` to `device`. A packed one ignores `device` and computes on the CPU; a float one computes
    /// in f32 for any float type.
    ///
    /// # Errors
    /// When a tensor is missing or malformed, naming the tensor.
    pub fn load(checkpoint: &Checkpoint, compute: ComputeType, device: &Device) -> Result<Self> {
        Self::from_weights(checkpoint, &checkpoint.audio, compute, device)
    }

    /// Builds an encoder of the sizes `config` from `weights`, as [`Encoder::load`] does.
    ///
    /// # Errors
    /// As [`Encoder::load`].
    pub fn from_weights(weights: &impl Weights, config: &AudioConfig, compute: ComputeType, device: &Device) -> Result<Self> {
        let layers = match compute {
            // f32 for any type of the decoder, as in the reference.
            ComputeType::Float(_) => EncoderLayers::Float(float::FloatEncoder::new(weights, config, device)?),
            ComputeType::Packed(bits) => EncoderLayers::Packed(Box::new(packed::PackedEncoder::new(weights, config, bits)?)),
        };
        Ok(Self { layers, device: device.clone() })
    }

    /// Encodes scaled log-mel blocks, `[128, frames]` row-major, all of one length of 3 to 200 frames, to features `[n, output_dim]` each
    /// (`[10, output_dim]` for a live chunk). Blocks may come from different recordings: the weights are read once for all, and no block
    /// affects another.
    ///
    /// # Errors
    /// When the blocks differ in length or do not have 3 to 200 frames, or candle fails. No blocks give no features.
    pub fn forward(&self, mels: &[&[f32]]) -> CandleResult<Encodings> {
        let Some(first) = mels.first() else { return Ok(Encodings::new()) };
        let frames = first.len() / N_MELS;
        let n_features = features_of(frames);
        if n_features == 0 || frames > BLOCK_FRAMES || mels.iter().any(|mel| mel.len() != frames * N_MELS) {
            candle_core::bail!("blocks of {frames} mel frames cannot be encoded together");
        }
        match &self.layers {
            EncoderLayers::Float(layers) => {
                let features = layers.forward(mels, frames, &self.device)?;
                (0..mels.len()).map(|block| features.narrow(0, block * n_features, n_features).map(Features::Tensor)).collect()
            }
            EncoderLayers::Packed(layers) => Ok(layers.forward(mels, frames)),
        }
    }
}

/// Returns the number of feature vectors of a log-mel block `[128, frames]`; 0 for fewer than three frames.
pub(super) const fn features_of_mel(mel: &[f32]) -> usize {
    features_of(mel.len() / N_MELS)
}

/// Returns the number of positions of a block of `frames` mel frames after the second convolution, whose stride is 2.
const fn positions_of(frames: usize) -> usize {
    frames.div_ceil(2)
}

/// Returns the number of feature vectors of a block of `frames` mel frames: pairs of positions are averaged, a last one without a
/// partner is dropped.
const fn features_of(frames: usize) -> usize {
    positions_of(frames) / 2
}

/// Returns the position embeddings `[100, d]`: sines in the first half of a row, cosines in the second (`src/model/README.md`
/// section 3.2).
fn sinusoids(d: usize) -> Vec<f32> {
    let half = d / 2;
    let increment = (MAX_TIMESCALE.ln() / (half - 1) as f64) as f32;
    let rates: Vec<f32> = (0..half).map(|j| (-increment * j as f32).exp()).collect();
    let row = |at: usize| {
        let angles = || rates.iter().map(move |rate| at as f32 * rate);
        angles().map(f32::sin).chain(angles().map(f32::cos)).collect::<Vec<f32>>()
    };
    (0..MOST_POSITIONS).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{CHUNK_FEATURES, CHUNK_FRAMES};

    #[test]
    fn blocks_of_a_recording_give_the_number_of_features_of_the_layout() {
        assert_eq!((features_of(CHUNK_FRAMES), features_of(BLOCK_FRAMES)), (CHUNK_FEATURES, 50));
        assert_eq!((0..8).map(features_of).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1, 1, 2]);
        for all in 3..=2_000_usize {
            let of_blocks: usize = (0..all).step_by(BLOCK_FRAMES).map(|first| features_of(BLOCK_FRAMES.min(all - first))).sum();
            // `src/model/README.md` section 5.5.
            assert_eq!(of_blocks, ((all - 1) / 2 + 1 - 2) / 2 + 1, "{all} frames");
        }
    }
}
