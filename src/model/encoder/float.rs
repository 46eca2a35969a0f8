//! The encoder's layers through candle, in f32 on any device. Fields carry the checkpoint's names.

use candle_core::{DType, Device, Result as CandleResult, Tensor};
use candle_nn::{LayerNorm, Linear, Module, ops::softmax_last_dim};

use super::LAYER_NORM_EPS;
use crate::error::Result;
use crate::model::config::AudioConfig;
use crate::model::linear::gelu;
use crate::model::weights::{Weights, float_linear};
use crate::time::CHUNK_FEATURES;

#[derive(Debug)]
pub(super) struct Layers {
    layers: Vec<Layer>,
    ln_post: LayerNorm,
    proj: Linear,
}

#[derive(Debug)]
struct Layer {
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

impl Layers {
    pub(super) fn new(weights: &impl Weights, config: &AudioConfig, device: &Device) -> Result<Self> {
        let (d, ffn) = (config.d_model, config.encoder_ffn_dim);
        let linear = |name: &str, out: usize, inner: usize| {
            float_linear(weights, &format!("{name}.weight"), Some(&format!("{name}.bias")), (out, inner), DType::F32, device)
        };
        let norm = |name: &str| -> Result<LayerNorm> {
            let get = |part: &str| weights.get(&format!("{name}.{part}"), &[d], DType::F32, device);
            Ok(LayerNorm::new(get("weight")?, get("bias")?, LAYER_NORM_EPS))
        };
        let layer = |i: usize| -> Result<Layer> {
            let at = |part: &str| format!("layers.{i}.{part}");
            Ok(Layer {
                self_attn: Attention {
                    q_proj: linear(&at("self_attn.q_proj"), d, d)?,
                    k_proj: float_linear(weights, &at("self_attn.k_proj.weight"), None, (d, d), DType::F32, device)?,
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
            layers: (0..config.encoder_layers).map(layer).collect::<Result<_>>()?,
            ln_post: norm("ln_post")?,
            proj: linear("proj", config.output_dim, d)?,
        })
    }

    /// `[20, d]` to `[10, output_dim]`.
    pub(super) fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        let d = x.dim(1)?;
        let pooled = x.reshape((CHUNK_FEATURES, 2, d))?.mean(1)?;
        self.proj.forward(&self.ln_post.forward(&pooled)?)
    }
}

impl Layer {
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
