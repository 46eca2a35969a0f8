//! The audio encoder: `Qwen2_5OmniAudioEncoder` of transformers 4.57.6, chunk by chunk (MODEL.md section 3).
//!
//! It never looks outside its chunk, so encoding one chunk costs the same after hours as after a second. f32, or with packed weights.

use candle_core::{D, DType, Device, Result as CandleResult, Tensor};
use candle_nn::{Conv1d, Conv1dConfig, LayerNorm, Module, ops::softmax_last_dim};

use super::checkpoint::Checkpoint;
use super::config::AudioConfig;
use super::linear::{Linear, gelu};
use super::weights::{self, Numbers, Weights};
use crate::error::{Error, ErrorKind, Result};
use crate::time::{CHUNK_FEATURES, CHUNK_FRAMES};

/// Positions of a chunk after the second convolution's stride of 2.
const CHUNK_POSITIONS: usize = CHUNK_FRAMES / 2;
/// `nn.LayerNorm`'s default.
const LAYER_NORM_EPS: f64 = 1e-5;
/// Wavelength of the slowest sinusoid (`SinusoidsPositionEmbedding`).
const MAX_TIMESCALE: f64 = 10_000.0;

/// The encoder; fields carry the checkpoint's names.
#[derive(Debug)]
pub struct Encoder {
    conv1: Conv1d,
    conv2: Conv1d,
    positions: Tensor,
    layers: Vec<EncoderLayer>,
    ln_post: LayerNorm,
    proj: Linear,
    num_mel_bins: usize,
    device: Device,
}

#[derive(Debug)]
struct EncoderLayer {
    self_attn: Attention,
    self_attn_layer_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    final_layer_norm: LayerNorm,
}

#[derive(Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    n_heads: usize,
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
        let (d, ffn) = (config.d_model, config.encoder_ffn_dim);
        // Packed or f32: the reference's encoder is f32 whatever the decoder is.
        let numbers = if let Numbers::Packed(_) = numbers { numbers } else { Numbers::Float(DType::F32) };
        let get = |name: String, shape: &[usize]| weights.get(&name, shape, DType::F32, device);
        let linear = |name: &str, out: usize, inner: usize| -> Result<Linear> {
            weights::linear(weights, &format!("{name}.weight"), Some(&format!("{name}.bias")), (out, inner), numbers, device)
        };
        let norm = |name: &str| -> Result<LayerNorm> {
            Ok(LayerNorm::new(get(format!("{name}.weight"), &[d])?, get(format!("{name}.bias"), &[d])?, LAYER_NORM_EPS))
        };
        let conv = |name: &str, inner: usize, stride: usize| -> Result<Conv1d> {
            let config = Conv1dConfig { padding: 1, stride, ..Conv1dConfig::default() };
            Ok(Conv1d::new(get(format!("{name}.weight"), &[d, inner, 3])?, Some(get(format!("{name}.bias"), &[d])?), config))
        };
        let layer = |i: usize| -> Result<EncoderLayer> {
            let at = |part: &str| format!("layers.{i}.{part}");
            Ok(EncoderLayer {
                self_attn: Attention {
                    q_proj: linear(&at("self_attn.q_proj"), d, d)?,
                    k_proj: weights::linear(weights, &at("self_attn.k_proj.weight"), None, (d, d), numbers, device)?,
                    v_proj: linear(&at("self_attn.v_proj"), d, d)?,
                    out_proj: linear(&at("self_attn.out_proj"), d, d)?,
                    n_heads: config.encoder_attention_heads,
                },
                self_attn_layer_norm: norm(&at("self_attn_layer_norm"))?,
                fc1: linear(&at("fc1"), ffn, d)?,
                fc2: linear(&at("fc2"), d, ffn)?,
                final_layer_norm: norm(&at("final_layer_norm"))?,
            })
        };
        Ok(Self {
            conv1: conv("conv1", config.num_mel_bins, 1)?,
            conv2: conv("conv2", d, 2)?,
            positions: sinusoids(d, device).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?,
            layers: (0..config.encoder_layers).map(layer).collect::<Result<_>>()?,
            ln_post: norm("ln_post")?,
            proj: linear("proj", config.output_dim, d)?,
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
        let mut x = x.squeeze(0)?.t()?.contiguous()?.add(&self.positions)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        let d = x.dim(1)?;
        let pooled = x.reshape((CHUNK_FEATURES, 2, d))?.mean(1)?;
        self.proj.forward(&self.ln_post.forward(&pooled)?)
    }
}

impl EncoderLayer {
    fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        let y = x.add(&self.self_attn.forward(&self.self_attn_layer_norm.forward(x)?)?)?;
        let inner = gelu(&self.fc1.forward(&self.final_layer_norm.forward(&y)?)?)?;
        y.add(&self.fc2.forward(&inner)?)
    }
}

impl Attention {
    /// Full attention within the chunk; heads are contiguous slices.
    fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        let (n, d) = x.dims2()?;
        let head = d / self.n_heads;
        let heads = |t: Tensor| t.reshape((n, self.n_heads, head))?.transpose(0, 1)?.contiguous();
        let q = heads(self.q_proj.forward(x)?)?;
        let k = heads(self.k_proj.forward(x)?)?;
        let v = heads(self.v_proj.forward(x)?)?;
        let scores = (q.matmul(&k.t()?)? * (head as f64).powf(-0.5))?;
        let mixed = softmax_last_dim(&scores)?.matmul(&v)?;
        self.out_proj.forward(&mixed.transpose(0, 1)?.contiguous()?.reshape((n, d))?)
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
