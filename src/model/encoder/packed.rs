//! The encoder with packed weights, on the CPU. Fields have the checkpoint's names.

use std::sync::Mutex;

use super::convolution::Convolution;
use super::{Encodings, LAYER_NORM_EPS, features_of, positions_of, sinusoids};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::model::config::AudioConfig;
use crate::model::features::FeaturePool;
use crate::model::kernels::thread_pool::{EqualParts, thread_pool};
use crate::model::kernels::{Activations, Bits, GROUP, Norm, Tiled, math};
use crate::model::linear::{PackedLinear, PackedMlp};
use crate::model::weights::{MatrixShape, Weights, packed_linear};
use crate::supervise::lock;

/// The encoder with packed weights, on the CPU. One call at a time uses its buffers; others wait.
#[derive(Debug)]
pub(super) struct PackedEncoder {
    /// First convolution along time, stride 1.
    conv1: Convolution,
    /// Second convolution along time, stride 2.
    conv2: Convolution,
    /// Position embeddings, `[100][d]`.
    positions: Vec<f32>,
    num_mel_bins: usize,
    layers: Vec<PackedEncoderLayer>,
    /// Norm after the last layer.
    ln_post: LayerNorm,
    /// Output layer, from hidden states to features.
    proj: PackedLinear,
    n_heads: usize,
    scratch: Mutex<EncoderScratch>,
}

/// One transformer layer of the encoder.
#[derive(Debug)]
struct PackedEncoderLayer {
    q_proj: PackedLinear,
    k_proj: PackedLinear,
    v_proj: PackedLinear,
    out_proj: PackedLinear,
    /// Norm before attention.
    self_attn_layer_norm: LayerNorm,
    mlp: PackedMlp,
    /// Norm before the MLP.
    final_layer_norm: LayerNorm,
}

/// The weight and bias of a LayerNorm, one value of each per column.
#[derive(Debug)]
struct LayerNorm {
    /// Factor of each column.
    weight: Vec<f32>,
    /// Summand of each column.
    bias: Vec<f32>,
}

/// The buffers of a call for several blocks, of `rows` positions in all; they keep their memory from call to call.
#[derive(Debug, Default)]
struct EncoderScratch {
    /// Inputs of a convolution: for each block a row of zeros, its rows, a row of zeros.
    padded: Vec<f32>,
    /// The three input rows of each output row of a convolution, `[output rows][3 * inner]`.
    inputs: Tiled,
    /// Hidden states (residual stream), `[rows][d]`.
    x: Tiled,
    /// Queries, `[rows][d]`.
    q: Tiled,
    /// Keys, `[rows][d]`.
    k: Tiled,
    /// Values, `[rows][d]`.
    v: Tiled,
    /// Outputs of the first convolution, `[blocks * frames][d]`.
    convolved: Tiled,
    /// Means of pairs of positions, `[features][d]`.
    pooled: Tiled,
    /// Features of all blocks, `[features][output_dim]`.
    projected: Tiled,
    /// Two rows outside their tiles, `[2][d]`: to add position embeddings and to average pairs.
    row_pair: Vec<f32>,
    /// Quantised inputs of the next product, `[rows][d]`; `[features][d]` for the last one.
    activations: Activations,
    /// Quantised inputs of the MLP's down projection, `[rows][ffn]`.
    mlp_inner: Activations,
    /// Buffers of the attention, for each block and head: outputs, queries, keys, values, each `[block's rows][head]`, and scratch.
    heads: Vec<f32>,
    /// Buffers for the returned features.
    features: FeaturePool,
}

impl PackedEncoder {
    pub(super) fn new(weights: &impl Weights, config: &AudioConfig, bits: Bits) -> Result<Self> {
        let (d, ffn) = (config.d_model, config.encoder_ffn_dim);
        let linear = |name: &str, out: usize, inner: usize| {
            packed_linear(weights, &format!("{name}.weight"), Some(&format!("{name}.bias")), MatrixShape::new(out, inner), bits)
        };
        let norm = |name: &str| -> Result<LayerNorm> {
            let get = |part: &str| weights.vector(&format!("{name}.{part}"), &[d]);
            Ok(LayerNorm { weight: get("weight")?, bias: get("bias")? })
        };
        let layer = |i: usize| -> Result<PackedEncoderLayer> {
            let at = |part: &str| format!("layers.{i}.{part}");
            Ok(PackedEncoderLayer {
                q_proj: linear(&at("self_attn.q_proj"), d, d)?,
                k_proj: packed_linear(weights, &at("self_attn.k_proj.weight"), None, MatrixShape::new(d, d), bits)?,
                v_proj: linear(&at("self_attn.v_proj"), d, d)?,
                out_proj: linear(&at("self_attn.out_proj"), d, d)?,
                self_attn_layer_norm: norm(&at("self_attn_layer_norm"))?,
                mlp: PackedMlp::Gelu { fc1: linear(&at("fc1"), ffn, d)?, fc2: linear(&at("fc2"), d, ffn)? },
                final_layer_norm: norm(&at("final_layer_norm"))?,
            })
        };
        let conv = |name: &str, inner: usize, stride: usize| -> Result<Convolution> {
            let weight = weights.vector(&format!("{name}.weight"), &[d, inner, 3])?;
            let bias = weights.vector(&format!("{name}.bias"), &[d])?;
            Convolution::new(&weight, &bias, inner, stride).ok_or_else(|| {
                let why = format!("{name}.weight holds a number that is too large for 8 or 4 bits");
                Error::new(ErrorKind::UnsupportedModel, why).with_remedy(Remedy::UseFloatPrecision)
            })
        };
        Ok(Self {
            conv1: conv("conv1", config.num_mel_bins, 1)?,
            conv2: conv("conv2", d, 2)?,
            positions: sinusoids(d),
            num_mel_bins: config.num_mel_bins,
            layers: (0..config.encoder_layers).map(layer).collect::<Result<_>>()?,
            ln_post: norm("ln_post")?,
            proj: linear("proj", config.output_dim, d)?,
            n_heads: config.encoder_attention_heads,
            scratch: Mutex::default(),
        })
    }
}

impl LayerNorm {
    fn as_norm(&self) -> Norm<'_> {
        Norm::Layer(&self.weight, &self.bias, LAYER_NORM_EPS as f32)
    }
}

impl PackedEncoder {
    /// Encodes log-mel blocks `[128, frames]`, all of `frames` frames, to features `[n, output_dim]` each.
    pub(super) fn forward(&self, mels: &[&[f32]], frames: usize) -> Encodings {
        let (positions, of_block) = (positions_of(frames), features_of(frames));
        // Nothing in the scratch outlives a call: the remains of one that panicked are overwritten.
        let mut scratch = lock(&self.scratch);
        let scratch = &mut *scratch;
        self.convolve(mels, frames, scratch);
        let d = scratch.x.width();
        for layer in &self.layers {
            scratch.activations.round_tiled(&scratch.x, layer.self_attn_layer_norm.as_norm());
            layer.q_proj.forward(&scratch.activations, &mut scratch.q);
            layer.k_proj.forward(&scratch.activations, &mut scratch.k);
            layer.v_proj.forward(&scratch.activations, &mut scratch.v);
            attend(scratch, positions, d / self.n_heads);
            layer.out_proj.add_to(&scratch.activations, &mut scratch.x);
            scratch.activations.round_tiled(&scratch.x, layer.final_layer_norm.as_norm());
            layer.mlp.add_to(&scratch.activations, &mut scratch.mlp_inner, &mut scratch.x);
        }
        pool_pairs(scratch, mels.len(), positions, of_block);
        scratch.activations.round_tiled(&scratch.pooled, self.ln_post.as_norm());
        self.proj.forward(&scratch.activations, &mut scratch.projected);
        let (width, EncoderScratch { projected, features, .. }) = (self.proj.out(), scratch);
        let of = |block: usize| {
            features.fill(of_block, width, |values| {
                values.chunks_exact_mut(width).enumerate().for_each(|(feature, to)| projected.copy(block * of_block + feature, 0, to));
            })
        };
        (0..mels.len()).map(of).collect()
    }

    /// Applies both convolutions to the log-mel blocks `mels`, adds the position embeddings, and writes the result to `scratch.x`.
    fn convolve(&self, mels: &[&[f32]], frames: usize, scratch: &mut EncoderScratch) {
        let (bins, blocks, positions) = (self.num_mel_bins, mels.len(), positions_of(frames));
        scratch.padded.clear();
        scratch.padded.resize(blocks * (frames + 2) * bins, 0.0);
        for (mel, padded) in mels.iter().zip(scratch.padded.chunks_exact_mut((frames + 2) * bins)) {
            for (bin, of_bin) in mel.chunks_exact(frames).enumerate() {
                padded[bins + bin..].iter_mut().step_by(bins).zip(of_bin).for_each(|(to, v)| *to = *v);
            }
        }
        self.conv1.forward(&scratch.padded, blocks, frames, &mut scratch.inputs, &mut scratch.convolved);
        let d = scratch.convolved.width();
        scratch.padded.clear();
        scratch.padded.resize(blocks * (frames + 2) * d, 0.0);
        for (block, padded) in scratch.padded.chunks_exact_mut((frames + 2) * d).enumerate() {
            for (row, to) in padded.chunks_exact_mut(d).skip(1).take(frames).enumerate() {
                scratch.convolved.copy(block * frames + row, 0, to);
            }
        }
        self.conv2.forward(&scratch.padded, blocks, positions, &mut scratch.inputs, &mut scratch.x);
        scratch.row_pair.resize(2 * d, 0.0);
        for (row, sinusoid) in self.positions[..positions * d].chunks_exact(d).cycle().take(blocks * positions).enumerate() {
            let sums = &mut scratch.row_pair[..d];
            scratch.x.copy(row, 0, sums);
            sums.iter_mut().zip(sinusoid).for_each(|(v, p)| *v += p);
            scratch.x.set(row, 0, sums);
        }
    }
}

/// Averages pairs of the `positions` rows of each of `blocks` blocks in `scratch.x`; writes `of_block` rows for each block to
/// `scratch.pooled`.
fn pool_pairs(scratch: &mut EncoderScratch, blocks: usize, positions: usize, of_block: usize) {
    let (features, d) = (blocks * of_block, scratch.x.width());
    scratch.row_pair.resize(2 * d, 0.0);
    scratch.pooled.reset(features, d);
    for feature in 0..features {
        let (a, b) = scratch.row_pair.split_at_mut(d);
        let first = feature / of_block * positions + 2 * (feature % of_block);
        scratch.x.copy(first, 0, a);
        scratch.x.copy(first + 1, 0, b);
        a.iter_mut().zip(b).for_each(|(a, b)| *a = f32::midpoint(*a, *b));
        scratch.pooled.set(feature, 0, &scratch.row_pair[..d]);
    }
}

/// Computes full (not causal) attention within each block of `rows` positions, from `scratch.q`, `k` and `v` to the quantised
/// `scratch.activations`; heads of `size` values are contiguous columns.
fn attend(scratch: &mut EncoderScratch, rows: usize, size: usize) {
    let (all, d) = (scratch.q.rows(), scratch.q.width());
    let (heads_of_block, blocks) = (d / size, all / rows);
    // Each block and head has outputs, queries, keys and values, `[row][size]` each, and scratch.
    let share = rows * 4 * size + math::attend_within_scratch(rows, size);
    scratch.heads.resize(blocks * heads_of_block * share, 0.0);
    let (q, k, v) = (&scratch.q, &scratch.k, &scratch.v);
    thread_pool().for_each(&EqualParts::new(&mut scratch.heads, share), 1, |at, own| {
        let (first, head) = (at / heads_of_block * rows, at % heads_of_block);
        let (outputs, rest) = own.split_at_mut(rows * size);
        let (queries, rest) = rest.split_at_mut(rows * size);
        let (keys, rest) = rest.split_at_mut(rows * size);
        let (values, within) = rest.split_at_mut(rows * size);
        for row in 0..rows {
            q.copy(first + row, head * size, &mut queries[row * size..][..size]);
            k.copy(first + row, head * size, &mut keys[row * size..][..size]);
            v.copy(first + row, head * size, &mut values[row * size..][..size]);
        }
        math::attend_within(size, queries, keys, values, within, outputs);
    });
    let heads = &scratch.heads;
    scratch.activations.fill(all, d, Activations::min_groups_per_task(all), |g, cells| {
        for (row, cell) in cells.chunks_exact_mut(GROUP).enumerate() {
            let (block, row) = (row / rows, row % rows);
            let mut column = g * GROUP;
            let mut cell = cell;
            // A group may span several heads, and a head several groups.
            while !cell.is_empty() && column < d {
                let (head, within) = (column / size, column % size);
                let count = cell.len().min(size - within);
                let (to, rest) = cell.split_at_mut(count);
                to.copy_from_slice(&heads[(block * heads_of_block + head) * share + row * size + within..][..count]);
                (cell, column) = (rest, column + count);
            }
            cell.fill(0.0);
        }
    });
}
