//! The encoder through candle, in f32 on any device. Fields have the checkpoint's names.

use candle_core::{DType, Device, Result as CandleResult, Tensor};
use candle_nn::{Conv1d, Conv1dConfig, LayerNorm, Linear, Module, ops::softmax_last_dim};

use super::{LAYER_NORM_EPS, MOST_POSITIONS, features_of, positions_of, sinusoids};
use crate::error::{Error, Result};
use crate::model::config::AudioConfig;
use crate::model::linear::gelu;
use crate::model::weights::{MatrixShape, Weights, float_linear};

/// The encoder as candle layers, in f32.
#[derive(Debug)]
pub(super) struct FloatEncoder {
    /// First convolution along time, stride 1.
    conv1: Conv1d,
    /// Second convolution along time, stride 2.
    conv2: Conv1d,
    /// Position embeddings, `[100, d]`.
    positions: Tensor,
    num_mel_bins: usize,
    layers: Vec<FloatEncoderLayer>,
    /// Norm after the last layer.
    ln_post: LayerNorm,
    /// Output layer, from hidden states to features.
    proj: Linear,
}

/// One transformer layer of the encoder.
#[derive(Debug)]
struct FloatEncoderLayer {
    self_attn: Attention,
    /// Norm before attention.
    self_attn_layer_norm: LayerNorm,
    /// Up projection of the MLP.
    fc1: Linear,
    /// Down projection of the MLP.
    fc2: Linear,
    /// Norm before the MLP.
    final_layer_norm: LayerNorm,
}

/// The self-attention of one layer.
#[derive(Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    n_heads: usize,
}

impl FloatEncoder {
    pub(super) fn new(weights: &impl Weights, config: &AudioConfig, device: &Device) -> Result<Self> {
        let (d, ffn) = (config.d_model, config.encoder_ffn_dim);
        let linear = |name: &str, out: usize, inner: usize| {
            float_linear(
                weights,
                &format!("{name}.weight"),
                Some(&format!("{name}.bias")),
                MatrixShape::new(out, inner),
                DType::F32,
                device,
            )
        };
        let norm = |name: &str| -> Result<LayerNorm> {
            let get = |part: &str| weights.get(&format!("{name}.{part}"), &[d], DType::F32, device);
            Ok(LayerNorm::new(get("weight")?, get("bias")?, LAYER_NORM_EPS))
        };
        let layer = |i: usize| -> Result<FloatEncoderLayer> {
            let at = |part: &str| format!("layers.{i}.{part}");
            Ok(FloatEncoderLayer {
                self_attn: Attention {
                    q_proj: linear(&at("self_attn.q_proj"), d, d)?,
                    k_proj: float_linear(weights, &at("self_attn.k_proj.weight"), None, MatrixShape::new(d, d), DType::F32, device)?,
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
        let get = |name: String, shape: &[usize]| weights.get(&name, shape, DType::F32, device);
        let conv = |name: &str, inner: usize, stride: usize| -> Result<Conv1d> {
            let config = Conv1dConfig { padding: 1, stride, ..Conv1dConfig::default() };
            Ok(Conv1d::new(get(format!("{name}.weight"), &[d, inner, 3])?, Some(get(format!("{name}.bias"), &[d])?), config))
        };
        let positions = Tensor::from_vec(sinusoids(d), (MOST_POSITIONS, d), device);
        Ok(Self {
            conv1: conv("conv1", config.num_mel_bins, 1)?,
            conv2: conv("conv2", d, 2)?,
            positions: positions.map_err(Error::internal)?,
            num_mel_bins: config.num_mel_bins,
            layers: (0..config.encoder_layers).map(layer).collect::<Result<_>>()?,
            ln_post: norm("ln_post")?,
            proj: linear("proj", config.output_dim, d)?,
        })
    }

    /// Encodes log-mel blocks `[128, frames]`, all of `frames` frames, to the features of all blocks, `[blocks * n, output_dim]`.
    pub(super) fn forward(&self, mels: &[&[f32]], frames: usize, device: &Device) -> CandleResult<Tensor> {
        let (blocks, positions, features) = (mels.len(), positions_of(frames), features_of(frames));
        // [blocks, 128, frames] -> [blocks, d, positions] -> [blocks, positions, d]
        let x = Tensor::from_vec(mels.concat(), (blocks, self.num_mel_bins, frames), device)?;
        let x = gelu(&self.conv1.forward(&x)?)?;
        let x = gelu(&self.conv2.forward(&x)?)?;
        let x = x.transpose(1, 2)?.contiguous()?.broadcast_add(&self.positions.narrow(0, 0, positions)?)?;
        let d = x.dim(2)?;
        let mut x = x.reshape((blocks * positions, d))?;
        for layer in &self.layers {
            x = layer.forward(&x, positions)?;
        }
        // [blocks, positions, d] -> [blocks * n, d]: means of pairs.
        let paired = x.reshape((blocks, positions, d))?.narrow(1, 0, 2 * features)?;
        let pooled = paired.reshape((blocks * features, 2, d))?.mean(1)?;
        self.proj.forward(&self.ln_post.forward(&pooled)?)
    }
}

impl FloatEncoderLayer {
    /// Returns the hidden states after this layer; `x` holds blocks of `positions` rows.
    fn forward(&self, x: &Tensor, positions: usize) -> CandleResult<Tensor> {
        let y = x.add(&self.self_attn.forward(&self.self_attn_layer_norm.forward(x)?, positions)?)?;
        let inner = gelu(&self.fc1.forward(&self.final_layer_norm.forward(&y)?)?)?;
        y.add(&self.fc2.forward(&inner)?)
    }
}

impl Attention {
    /// Computes full (not causal) attention within each block of `positions` rows of `x`, none across blocks; heads are contiguous
    /// columns.
    fn forward(&self, x: &Tensor, positions: usize) -> CandleResult<Tensor> {
        let (n, d) = x.dims2()?;
        let head = d / self.n_heads;
        // [n, d] -> [blocks, heads, positions, head]
        let heads = |t: Tensor| t.reshape((n / positions, positions, self.n_heads, head))?.transpose(1, 2)?.contiguous();
        let q = heads(self.q_proj.forward(x)?)?;
        let k = heads(self.k_proj.forward(x)?)?;
        let v = heads(self.v_proj.forward(x)?)?;
        let scores = (q.matmul(&k.t()?)? * (head as f64).powf(-0.5))?;
        let mixed = softmax_last_dim(&scores)?.matmul(&v)?;
        self.out_proj.forward(&mixed.transpose(1, 2)?.contiguous()?.reshape((n, d))?)
    }
}
