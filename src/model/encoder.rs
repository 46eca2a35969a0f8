//! The audio encoder: `Qwen2_5OmniAudioEncoder` of transformers 4.57.6, chunk by chunk (MODEL.md section 3).
//!
//! It never looks outside its chunk, so encoding one chunk costs the same after hours as after a second. f32, or with packed weights.

mod convolution;
mod float;
mod packed;

use candle_core::{Device, Result as CandleResult, Tensor};

use super::checkpoint::Checkpoint;
use super::config::AudioConfig;
use super::weights::{Numbers, Weights};
use crate::error::Result;
use crate::time::{CHUNK_FEATURES, CHUNK_FRAMES};

/// Positions of a chunk after the second convolution's stride of 2.
const CHUNK_POSITIONS: usize = CHUNK_FRAMES / 2;
/// `nn.LayerNorm`'s default.
const LAYER_NORM_EPS: f64 = 1e-5;
/// Wavelength of the slowest sinusoid (`SinusoidsPositionEmbedding`).
const MAX_TIMESCALE: f64 = 10_000.0;

/// The encoder: through candle, or packed on the processor.
#[derive(Debug)]
pub struct Encoder {
    layers: Layers,
    device: Device,
}

#[derive(Debug)]
enum Layers {
    Float(float::Layers),
    Packed(Box<packed::Layers>),
}

impl Encoder {
    /// Loads the encoder of `checkpoint` to `device`.
    ///
    /// # Errors
    /// When a tensor is missing or wrong, naming it.
    pub fn load(checkpoint: &Checkpoint, numbers: Numbers, device: &Device) -> Result<Self> {
        Self::from_weights(checkpoint, &checkpoint.audio, numbers, device)
    }

    /// Builds an encoder of the sizes `config`.
    ///
    /// # Errors
    /// As [`Encoder::load`].
    pub fn from_weights(weights: &impl Weights, config: &AudioConfig, numbers: Numbers, device: &Device) -> Result<Self> {
        let layers = match numbers {
            // f32 whatever the decoder is, as in the reference.
            Numbers::Float(_) => Layers::Float(float::Layers::new(weights, config, device)?),
            Numbers::Packed(bits) => Layers::Packed(Box::new(packed::Layers::new(weights, config, bits)?)),
        };
        Ok(Self { layers, device: device.clone() })
    }

    /// Features `[10, output_dim]` of each of these scaled log-mel chunks, `[128, 40]` row-major. They may be of different
    /// sounds: the weights are read once for all, and no chunk sees another.
    ///
    /// # Errors
    /// When candle fails.
    pub fn forward(&self, mels: &[&[f32]]) -> CandleResult<Vec<Tensor>> {
        if mels.is_empty() {
            return Ok(Vec::new());
        }
        let features = match &self.layers {
            Layers::Float(layers) => layers.forward(mels, &self.device)?,
            Layers::Packed(layers) => {
                let features = layers.forward(mels);
                let rows = mels.len() * CHUNK_FEATURES;
                let width = features.len() / rows;
                Tensor::from_vec(features, (rows, width), &self.device)?
            }
        };
        (0..mels.len()).map(|chunk| features.narrow(0, chunk * CHUNK_FEATURES, CHUNK_FEATURES)).collect()
    }
}

/// Positions `[20, d]`: sines in the first half, cosines in the second (MODEL.md section 3.2, step 3).
fn sinusoids(d: usize) -> Vec<f32> {
    let half = d / 2;
    let increment = (MAX_TIMESCALE.ln() / (half - 1) as f64) as f32;
    let rates: Vec<f32> = (0..half).map(|j| (-increment * j as f32).exp()).collect();
    let row = |at: usize| {
        let angles = || rates.iter().map(move |rate| at as f32 * rate);
        angles().map(f32::sin).chain(angles().map(f32::cos)).collect::<Vec<f32>>()
    };
    (0..CHUNK_POSITIONS).flat_map(row).collect()
}
