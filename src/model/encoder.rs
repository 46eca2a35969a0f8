//! The audio encoder: `Qwen2_5OmniAudioEncoder` of transformers 4.57.6, chunk by chunk (MODEL.md section 3).
//!
//! It never looks outside its chunk, so encoding one chunk costs the same after hours as after a second. f32, or with packed weights.

mod float;
mod packed;

use candle_core::{D, DType, Device, Result as CandleResult, Tensor};
use candle_nn::{Conv1d, Conv1dConfig, Module};

use super::checkpoint::Checkpoint;
use super::config::AudioConfig;
use super::linear::gelu;
use super::weights::{Numbers, Weights};
use crate::error::{Error, ErrorKind, Result};
use crate::time::CHUNK_FRAMES;

/// Positions of a chunk after the second convolution's stride of 2.
const CHUNK_POSITIONS: usize = CHUNK_FRAMES / 2;
/// `nn.LayerNorm`'s default.
const LAYER_NORM_EPS: f64 = 1e-5;
/// Wavelength of the slowest sinusoid (`SinusoidsPositionEmbedding`).
const MAX_TIMESCALE: f64 = 10_000.0;

/// The encoder: convolutions through candle, layers through candle or packed.
#[derive(Debug)]
pub struct Encoder {
    conv1: Conv1d,
    conv2: Conv1d,
    positions: Tensor,
    layers: Layers,
    num_mel_bins: usize,
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
        let d = config.d_model;
        let get = |name: String, shape: &[usize]| weights.get(&name, shape, DType::F32, device);
        let conv = |name: &str, inner: usize, stride: usize| -> Result<Conv1d> {
            let config = Conv1dConfig { padding: 1, stride, ..Conv1dConfig::default() };
            Ok(Conv1d::new(get(format!("{name}.weight"), &[d, inner, 3])?, Some(get(format!("{name}.bias"), &[d])?), config))
        };
        Ok(Self {
            conv1: conv("conv1", config.num_mel_bins, 1)?,
            conv2: conv("conv2", d, 2)?,
            positions: sinusoids(d, device).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?,
            layers: match numbers {
                // f32 whatever the decoder is, as in the reference.
                Numbers::Float(_) => Layers::Float(float::Layers::new(weights, config, device)?),
                Numbers::Packed(bits) => Layers::Packed(Box::new(packed::Layers::new(weights, config, bits)?)),
            },
            num_mel_bins: config.num_mel_bins,
            device: device.clone(),
        })
    }

    /// Features `[10, output_dim]` of one scaled log-mel chunk, `[128, 40]` row-major.
    ///
    /// # Errors
    /// When candle fails.
    pub fn forward(&self, mel: &[f32]) -> CandleResult<Tensor> {
        let x = Tensor::from_slice(mel, (1, self.num_mel_bins, CHUNK_FRAMES), &self.device)?;
        let x = gelu(&self.conv1.forward(&x)?)?;
        let x = gelu(&self.conv2.forward(&x)?)?;
        let x = x.squeeze(0)?.t()?.contiguous()?.add(&self.positions)?;
        match &self.layers {
            Layers::Float(layers) => layers.forward(&x),
            Layers::Packed(layers) => x.apply_op1_no_bwd(layers.as_ref()),
        }
    }
}

/// Positions `[20, d]`: sines in the first half, cosines in the second (MODEL.md section 3.2, step 3).
fn sinusoids(d: usize, device: &Device) -> CandleResult<Tensor> {
    let half = d / 2;
    let increment = (MAX_TIMESCALE.ln() / (half - 1) as f64) as f32;
    let rates: Vec<f32> = (0..half).map(|j| (-increment * j as f32).exp()).collect();
    let rates = Tensor::new(rates, device)?.reshape((1, half))?;
    let at = Tensor::arange(0u32, CHUNK_POSITIONS as u32, device)?.to_dtype(DType::F32)?.reshape((CHUNK_POSITIONS, 1))?;
    let angles = at.matmul(&rates)?;
    Tensor::cat(&[angles.sin()?, angles.cos()?], D::Minus1)
}
