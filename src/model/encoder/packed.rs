//! The encoder's layers with packed weights, on the processor: one custom op of candle. Fields carry the checkpoint's names.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Result as CandleResult, Shape};
use rayon::prelude::*;

use super::{CHUNK_POSITIONS, LAYER_NORM_EPS};
use crate::error::Result;
use crate::model::config::AudioConfig;
use crate::model::kernels::{Activations, Bits, Norm, Tiled, math};
use crate::model::linear::{PackedLinear, PackedMlp, numbers_of};
use crate::model::weights::{Weights, packed_linear};
use crate::time::CHUNK_FEATURES;

#[derive(Debug)]
pub(super) struct Layers {
    layers: Vec<Layer>,
    ln_post: LayerNorm,
    proj: PackedLinear,
    n_heads: usize,
    room: Mutex<Room>,
}

#[derive(Debug)]
struct Layer {
    q_proj: PackedLinear,
    k_proj: PackedLinear,
    v_proj: PackedLinear,
    out_proj: PackedLinear,
    self_attn_layer_norm: LayerNorm,
    mlp: PackedMlp,
    final_layer_norm: LayerNorm,
}

#[derive(Debug)]
struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// What a chunk is computed in.
#[derive(Debug, Default)]
struct Room {
    x: Tiled,
    q: Tiled,
    k: Tiled,
    v: Tiled,
    mixed: Tiled,
    rounded: Activations,
    inner: Activations,
    heads: Vec<f32>,
}

impl Layers {
    pub(super) fn new(weights: &impl Weights, config: &AudioConfig, bits: Bits) -> Result<Self> {
        let (d, ffn) = (config.d_model, config.encoder_ffn_dim);
        let linear = |name: &str, out: usize, inner: usize| {
            packed_linear(weights, &format!("{name}.weight"), Some(&format!("{name}.bias")), (out, inner), bits)
        };
        let norm = |name: &str| -> Result<LayerNorm> {
            let get = |part: &str| weights.vector(&format!("{name}.{part}"), &[d]);
            Ok(LayerNorm { weight: get("weight")?, bias: get("bias")? })
        };
        let layer = |i: usize| -> Result<Layer> {
            let at = |part: &str| format!("layers.{i}.{part}");
            Ok(Layer {
                q_proj: linear(&at("self_attn.q_proj"), d, d)?,
                k_proj: packed_linear(weights, &at("self_attn.k_proj.weight"), None, (d, d), bits)?,
                v_proj: linear(&at("self_attn.v_proj"), d, d)?,
                out_proj: linear(&at("self_attn.out_proj"), d, d)?,
                self_attn_layer_norm: norm(&at("self_attn_layer_norm"))?,
                mlp: PackedMlp::Gelu { fc1: linear(&at("fc1"), ffn, d)?, fc2: linear(&at("fc2"), d, ffn)? },
                final_layer_norm: norm(&at("final_layer_norm"))?,
            })
        };
        Ok(Self {
            layers: (0..config.encoder_layers).map(layer).collect::<Result<_>>()?,
            ln_post: norm("ln_post")?,
            proj: linear("proj", config.output_dim, d)?,
            n_heads: config.encoder_attention_heads,
            room: Mutex::default(),
        })
    }
}

impl LayerNorm {
    fn as_norm(&self) -> Norm<'_> {
        Norm::Layer(&self.weight, &self.bias, LAYER_NORM_EPS as f32)
    }
}

impl CustomOp1 for Layers {
    fn name(&self) -> &'static str {
        "packed-encoder"
    }

    /// `[20, d]` to `[10, output_dim]`.
    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let (rows, d) = layout.shape().dims2()?;
        // What an earlier chunk left behind when it panicked is overwritten: nothing in the room outlives a chunk.
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let room = &mut *room;
        room.x.reset(rows, d);
        for (row, values) in numbers_of(storage, layout)?.chunks_exact(d).enumerate() {
            room.x.set(row, 0, values);
        }
        for layer in &self.layers {
            room.rounded.round_tiled(&room.x, layer.self_attn_layer_norm.as_norm());
            layer.q_proj.forward(&room.rounded, &mut room.q);
            layer.k_proj.forward(&room.rounded, &mut room.k);
            layer.v_proj.forward(&room.rounded, &mut room.v);
            attend(room, d / self.n_heads);
            room.rounded.round_tiled(&room.mixed, Norm::None);
            layer.out_proj.add_to(&room.rounded, &mut room.x);
            room.rounded.round_tiled(&room.x, layer.final_layer_norm.as_norm());
            layer.mlp.add_to(&room.rounded, &mut room.inner, &mut room.x);
        }
        // Pairs of positions become one feature.
        let mut pair = vec![0.0; 2 * d];
        room.mixed.reset(CHUNK_FEATURES, d);
        for feature in 0..CHUNK_FEATURES {
            let (a, b) = pair.split_at_mut(d);
            room.x.copy(2 * feature, 0, a);
            room.x.copy(2 * feature + 1, 0, b);
            a.iter_mut().zip(b).for_each(|(a, b)| *a = f32::midpoint(*a, *b));
            room.mixed.set(feature, 0, &pair[..d]);
        }
        room.rounded.round_tiled(&room.mixed, self.ln_post.as_norm());
        self.proj.forward(&room.rounded, &mut room.q);
        let mut out = vec![0.0; CHUNK_FEATURES * self.proj.out()];
        for (feature, out) in out.chunks_exact_mut(self.proj.out()).enumerate() {
            room.q.copy(feature, 0, out);
        }
        Ok((CpuStorage::F32(out), Shape::from((CHUNK_FEATURES, self.proj.out()))))
    }
}

/// Full attention within the chunk, from `q`, `k` and `v` to `mixed`; heads of `size` numbers are contiguous columns.
fn attend(room: &mut Room, size: usize) {
    let (rows, d) = (room.q.rows(), room.q.width());
    // Of every head `[row][size]` of queries, keys, values and answers, and room for a row of scores.
    let share = rows * (4 * size + 1);
    room.heads.resize(d / size * share, 0.0);
    let (q, k, v) = (&room.q, &room.k, &room.v);
    room.heads.par_chunks_exact_mut(share).enumerate().for_each(|(head, own)| {
        let (queries, rest) = own.split_at_mut(rows * size);
        let (keys, rest) = rest.split_at_mut(rows * size);
        let (values, rest) = rest.split_at_mut(rows * size);
        let (answers, scores) = rest.split_at_mut(rows * size);
        for row in 0..rows {
            q.copy(row, head * size, &mut queries[row * size..][..size]);
            k.copy(row, head * size, &mut keys[row * size..][..size]);
            v.copy(row, head * size, &mut values[row * size..][..size]);
        }
        math::attend_within(queries, keys, values, scores, answers);
    });
    room.mixed.reset(rows, d);
    for (head, own) in room.heads.chunks_exact(share).enumerate() {
        for (row, answer) in own[3 * rows * size..4 * rows * size].chunks_exact(size).enumerate() {
            room.mixed.set(row, head * size, answer);
        }
    }
    debug_assert_eq!(rows, CHUNK_POSITIONS);
}
