//! The encoder with packed weights, on the processor. Fields carry the checkpoint's names.

use std::sync::{Mutex, PoisonError};

use super::convolution::Convolution;
use super::{Encodings, LAYER_NORM_EPS, features_of, positions_of, sinusoids};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::model::config::AudioConfig;
use crate::model::features::Rooms;
use crate::model::kernels::thread_pool::{Parts, thread_pool};
use crate::model::kernels::{Activations, Bits, GROUP, Norm, Tiled, math};
use crate::model::linear::{PackedLinear, PackedMlp};
use crate::model::weights::{Weights, packed_linear};

#[derive(Debug)]
pub(super) struct Layers {
    conv1: Convolution,
    conv2: Convolution,
    positions: Vec<f32>,
    num_mel_bins: usize,
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

/// What blocks are computed in.
#[derive(Debug, Default)]
struct Room {
    /// Of each block the rows of a convolution's input between two rows of zeros.
    padded: Vec<f32>,
    /// Of each position what a convolution makes it of.
    inputs: Tiled,
    x: Tiled,
    q: Tiled,
    k: Tiled,
    v: Tiled,
    mixed: Tiled,
    rounded: Activations,
    inner: Activations,
    heads: Vec<f32>,
    features: Rooms,
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
            room: Mutex::default(),
        })
    }
}

impl LayerNorm {
    fn as_norm(&self) -> Norm<'_> {
        Norm::Layer(&self.weight, &self.bias, LAYER_NORM_EPS as f32)
    }
}

impl Layers {
    /// Blocks `[128, frames]` to features `[n, output_dim]` of each.
    pub(super) fn forward(&self, mels: &[&[f32]], frames: usize) -> Encodings {
        let (positions, of_block) = (positions_of(frames), features_of(frames));
        // What earlier blocks left behind when they panicked is overwritten: nothing in the room outlives a call.
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let room = &mut *room;
        self.convolve(mels, frames, room);
        let d = room.x.width();
        for layer in &self.layers {
            room.rounded.round_tiled(&room.x, layer.self_attn_layer_norm.as_norm());
            layer.q_proj.forward(&room.rounded, &mut room.q);
            layer.k_proj.forward(&room.rounded, &mut room.k);
            layer.v_proj.forward(&room.rounded, &mut room.v);
            attend(room, positions, d / self.n_heads);
            layer.out_proj.add_to(&room.rounded, &mut room.x);
            room.rounded.round_tiled(&room.x, layer.final_layer_norm.as_norm());
            layer.mlp.add_to(&room.rounded, &mut room.inner, &mut room.x);
        }
        // Pairs of positions become one feature.
        room.padded.resize(2 * d, 0.0);
        let features = mels.len() * of_block;
        room.mixed.reset(features, d);
        for feature in 0..features {
            let (a, b) = room.padded[..2 * d].split_at_mut(d);
            let first = feature / of_block * positions + 2 * (feature % of_block);
            room.x.copy(first, 0, a);
            room.x.copy(first + 1, 0, b);
            a.iter_mut().zip(b).for_each(|(a, b)| *a = f32::midpoint(*a, *b));
            room.mixed.set(feature, 0, &room.padded[..d]);
        }
        room.rounded.round_tiled(&room.mixed, self.ln_post.as_norm());
        self.proj.forward(&room.rounded, &mut room.q);
        let (width, Room { q, features, .. }) = (self.proj.out(), room);
        let of = |block: usize| {
            features.fill(of_block, width, |numbers| {
                numbers.chunks_exact_mut(width).enumerate().for_each(|(feature, to)| q.copy(block * of_block + feature, 0, to));
            })
        };
        (0..mels.len()).map(of).collect()
    }

    /// The convolutions and positions, to `room.x` `[positions of all blocks, d]`.
    fn convolve(&self, mels: &[&[f32]], frames: usize, room: &mut Room) {
        let (bins, blocks, positions) = (self.num_mel_bins, mels.len(), positions_of(frames));
        room.padded.clear();
        room.padded.resize(blocks * (frames + 2) * bins, 0.0);
        for (mel, padded) in mels.iter().zip(room.padded.chunks_exact_mut((frames + 2) * bins)) {
            for (bin, of_bin) in mel.chunks_exact(frames).enumerate() {
                padded[bins + bin..].iter_mut().step_by(bins).zip(of_bin).for_each(|(to, v)| *to = *v);
            }
        }
        self.conv1.forward(&room.padded, blocks, frames, &mut room.inputs, &mut room.mixed);
        let d = room.mixed.width();
        room.padded.clear();
        room.padded.resize(blocks * (frames + 2) * d, 0.0);
        for (block, padded) in room.padded.chunks_exact_mut((frames + 2) * d).enumerate() {
            for (row, to) in padded.chunks_exact_mut(d).skip(1).take(frames).enumerate() {
                room.mixed.copy(block * frames + row, 0, to);
            }
        }
        self.conv2.forward(&room.padded, blocks, positions, &mut room.inputs, &mut room.x);
        room.padded.resize(d, 0.0);
        for (row, sinusoid) in self.positions[..positions * d].chunks_exact(d).cycle().take(blocks * positions).enumerate() {
            let sums = &mut room.padded[..d];
            room.x.copy(row, 0, sums);
            sums.iter_mut().zip(sinusoid).for_each(|(v, p)| *v += p);
            room.x.set(row, 0, sums);
        }
    }
}

/// Full attention within each block of `rows` positions, from `q`, `k` and `v` to `rounded`; heads of `size` numbers are
/// contiguous columns.
fn attend(room: &mut Room, rows: usize, size: usize) {
    let (all, d) = (room.q.rows(), room.q.width());
    let (heads_of_block, blocks) = (d / size, all / rows);
    // Of every block and head `[row][size]` of answers, queries, keys and values, and room.
    let share = rows * 4 * size + math::room_within(rows, size);
    room.heads.resize(blocks * heads_of_block * share, 0.0);
    let (q, k, v) = (&room.q, &room.k, &room.v);
    thread_pool().share(&Parts::new(&mut room.heads, share), 1, |at, own| {
        let (first, head) = (at / heads_of_block * rows, at % heads_of_block);
        let (answers, rest) = own.split_at_mut(rows * size);
        let (queries, rest) = rest.split_at_mut(rows * size);
        let (keys, rest) = rest.split_at_mut(rows * size);
        let (values, within) = rest.split_at_mut(rows * size);
        for row in 0..rows {
            q.copy(first + row, head * size, &mut queries[row * size..][..size]);
            k.copy(first + row, head * size, &mut keys[row * size..][..size]);
            v.copy(first + row, head * size, &mut values[row * size..][..size]);
        }
        math::attend_within(size, queries, keys, values, within, answers);
    });
    let heads = &room.heads;
    room.rounded.fill(all, d, Activations::worth_a_thread(all), |g, cells| {
        for (row, cell) in cells.chunks_exact_mut(GROUP).enumerate() {
            let (block, row) = (row / rows, row % rows);
            let mut column = g * GROUP;
            let mut cell = cell;
            // A group may reach over several heads, and a head over several groups.
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
