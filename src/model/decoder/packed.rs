//! The decoder's layers with packed weights, on the processor. Fields carry the checkpoint's names.
//!
//! Rounding follows the norms in one go, biases and residual sums are part of the products, and all rooms are kept from
//! pass to pass: beside the products themselves little is left to do.

use std::sync::{Mutex, PoisonError};

use candle_core::{Result as CandleResult, Storage};

use super::{Input, Segment, Span};
use crate::error::{Error, ErrorKind, Result};
use crate::model::config::LmConfig;
use crate::model::kernels::{Activations, Bits, Norm, Path, Tiled, attention::KeysValues};
use crate::model::kv::Layer;
use crate::model::linear::{PackedLinear, PackedMlp, numbers_of};
use crate::model::rope::{Rope, rotate};
use crate::model::weights::{Weights, packed_linear};

#[derive(Debug)]
pub(super) struct Layers {
    wte: PackedLinear,
    h: Vec<Block>,
    ln_f: Vec<f32>,
    lm_head: PackedLinear,
    /// The rows of `lm_head` of KEEP_SILENCE and TEXT_BEGIN, which stay as they are.
    decision_head: Vec<f32>,
    rope: Rope,
    config: LmConfig,
    room: Mutex<Room>,
}

#[derive(Debug)]
struct Block {
    norm_1: Vec<f32>,
    qkv: PackedLinear,
    proj: PackedLinear,
    norm_2: Vec<f32>,
    mlp: PackedMlp,
}

/// What a pass computes in.
#[derive(Debug, Default)]
struct Room {
    rounded: Activations,
    inner: Activations,
    qkv: Tiled,
    mixed: Tiled,
    /// Cosines and sines of all rows, `[row][head / 2]`.
    turns: Vec<(f32, f32)>,
    head: Vec<f32>,
    queries: Vec<f32>,
    answers: Vec<f32>,
}

impl Layers {
    pub(super) fn new(weights: &impl Weights, config: &LmConfig, bits: Bits, decision: (u32, u32)) -> Result<Self> {
        let (e, v, i) = (config.n_embd, config.padded_vocab_size, config.intermediate());
        let (q, kv) = (config.n_head * config.head(), config.groups() * config.head());
        if !config.head().is_multiple_of(16) {
            let why = format!("heads of {} numbers cannot be computed in 8 or 4 bits (16 at a time); use --precision f32", config.head());
            return Err(Error::new(ErrorKind::UnsupportedModel, why));
        }
        let norm = |name: &str| weights.vector(name, &[e]);
        let linear = |name: &str, bias: Option<&str>, out: usize, inner: usize| packed_linear(weights, name, bias, (out, inner), bits);
        let block = |layer: usize| -> Result<Block> {
            let at = |part: &str| format!("transformer.h.{layer}.{part}");
            let bias = at("attn.qkv.bias");
            Ok(Block {
                norm_1: norm(&at("norm_1.weight"))?,
                qkv: linear(&at("attn.qkv.weight"), config.attn_bias.then_some(bias.as_str()), q + 2 * kv, e)?,
                proj: linear(&at("attn.proj.weight"), None, e, q)?,
                norm_2: norm(&at("norm_2.weight"))?,
                mlp: PackedMlp::Gated {
                    fc_1: linear(&at("mlp.fc_1.weight"), None, i, e)?,
                    fc_2: linear(&at("mlp.fc_2.weight"), None, i, e)?,
                    proj: linear(&at("mlp.proj.weight"), None, e, i)?,
                },
            })
        };
        let chosen =
            weights.rows("lm_head.weight", (v, e), &[decision.0, decision.1], candle_core::DType::F32, &candle_core::Device::Cpu)?;
        Ok(Self {
            // It is looked up, not multiplied: 8 bits cost nothing but memory.
            wte: packed_linear(weights, "transformer.wte.weight", None, (v, e), Bits::Eight)?,
            h: (0..config.n_layer).map(block).collect::<Result<_>>()?,
            ln_f: norm("transformer.ln_f.weight")?,
            lm_head: linear("lm_head.weight", None, v, e)?,
            decision_head: chosen.flatten_all().and_then(|t| t.to_vec1()).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?,
            rope: Rope::new(config.head(), config.rope_base),
            config: config.clone(),
            room: Mutex::default(),
        })
    }

    /// The last hidden states of all rows, `[rows, n_embd]`; what is new is appended to the caches.
    pub(super) fn pass(&self, spans: &[Span], segments: &mut [Segment<'_>]) -> CandleResult<Tiled> {
        let mut x = Tiled::default();
        self.embed(segments, &mut x)?;
        // What an earlier pass left behind when it panicked is overwritten: nothing in the room outlives a pass.
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let room = &mut *room;
        room.turns.clear();
        spans.iter().for_each(|span| room.turns.extend(self.rope.turns(span.position, span.rows)));
        let eps = self.config.norm_eps as f32;
        for (layer, block) in self.h.iter().enumerate() {
            room.rounded.round_tiled(&x, Norm::Rms(&block.norm_1, eps));
            block.qkv.forward(&room.rounded, &mut room.qkv);
            room.mixed.reset(x.rows(), self.config.n_head * self.config.head());
            for (span, segment) in spans.iter().zip(segments.iter_mut()) {
                let Layer::Packed(cache) = &mut segment.cache.layers[layer] else {
                    candle_core::bail!("the cache of a lane belongs to another precision")
                };
                self.attend(span, cache, room);
            }
            room.rounded.round_tiled(&room.mixed, Norm::None);
            block.proj.add_to(&room.rounded, &mut x);
            room.rounded.round_tiled(&x, Norm::Rms(&block.norm_2, eps));
            block.mlp.add_to(&room.rounded, &mut room.inner, &mut x);
        }
        Ok(x)
    }

    /// Of `rows` of the last hidden states, the two logits that can be chosen while listening.
    pub(super) fn decisions(&self, x: &Tiled, rows: &[usize]) -> Vec<Vec<f32>> {
        let dot = |y: &[f32], weight: &[f32]| y.iter().zip(weight).map(|(y, w)| y * w).sum::<f32>();
        let of = |row: &usize| -> Vec<f32> {
            let y = self.last_norm(x, *row);
            self.decision_head.chunks_exact(x.width()).map(|weight| dot(&y, weight)).collect()
        };
        rows.iter().map(of).collect()
    }

    /// All logits of `rows` of the last hidden states.
    pub(super) fn rows(&self, x: &Tiled, rows: &[usize]) -> Vec<Vec<f32>> {
        if rows.is_empty() {
            return Vec::new();
        }
        let chosen: Vec<f32> = rows.iter().flat_map(|row| self.last_norm(x, *row)).collect();
        let (mut rounded, mut logits) = (Activations::default(), Tiled::default());
        rounded.round(&chosen, rows.len());
        self.lm_head.forward(&rounded, &mut logits);
        let row = |row: usize| {
            let mut all = vec![0.0; self.lm_head.out()];
            logits.copy(row, 0, &mut all);
            all
        };
        (0..rows.len()).map(row).collect()
    }

    /// Row `row` after the last norm.
    fn last_norm(&self, x: &Tiled, row: usize) -> Vec<f32> {
        let mut y = vec![0.0; x.width()];
        x.copy(row, 0, &mut y);
        let square: f32 = y.iter().map(|v| v * v).sum();
        let scale = 1.0 / (square / y.len() as f32 + self.config.norm_eps as f32).sqrt();
        y.iter_mut().zip(&self.ln_f).for_each(|(v, w)| *v *= scale * w);
        y
    }

    /// The embeddings of everything that is fed, features in place of their PADs.
    fn embed(&self, segments: &[Segment<'_>], x: &mut Tiled) -> CandleResult<()> {
        let inputs = || segments.iter().flat_map(|s| &s.inputs);
        let width = self.config.n_embd;
        x.reset(inputs().map(Input::rows).sum(), width);
        let mut at = 0;
        let mut embedding = Vec::with_capacity(width);
        for input in inputs() {
            match input {
                Input::Token(id) => {
                    let Some(row) = self.wte.row(*id as usize) else { candle_core::bail!("token {id} lies beyond the embeddings") };
                    embedding.clear();
                    embedding.extend(row);
                    x.set(at, 0, &embedding);
                }
                Input::Features(features) => {
                    let (storage, layout) = features.storage_and_layout();
                    let Storage::Cpu(storage) = &*storage else { candle_core::bail!("features lie on another device") };
                    for (row, feature) in numbers_of(storage, layout)?.chunks_exact(width).enumerate() {
                        x.set(at + row, 0, feature);
                    }
                }
            }
            at += input.rows();
        }
        Ok(())
    }

    /// Causal attention of one lane's rows over all its cached positions, from `room.qkv` to `room.mixed`.
    fn attend(&self, span: &Span, cache: &mut KeysValues, room: &mut Room) {
        let (heads, groups, size) = (self.config.n_head, self.config.groups(), self.config.head());
        let per_group = heads / groups;
        room.queries.resize(span.rows * heads * size, 0.0);
        room.answers.resize(span.rows * heads * size, 0.0);
        room.head.resize(2 * groups * size, 0.0);
        let place = |g: usize, row: usize, i: usize| ((g * span.rows + row) * per_group + i) * size;
        for row in 0..span.rows {
            let turns = &room.turns[(span.first_row + row) * size / 2..][..size / 2];
            for g in 0..groups {
                let queries = &mut room.queries[place(g, row, 0)..][..per_group * size];
                room.qkv.copy(span.first_row + row, g * per_group * size, queries);
                rotate(queries, turns);
            }
            room.qkv.copy(span.first_row + row, heads * size, &mut room.head);
            let (keys, values) = room.head.split_at_mut(groups * size);
            rotate(keys, turns);
            cache.append(keys, values);
        }
        cache.attend(Path::best(), &room.queries, span.rows, &mut room.answers);
        for row in 0..span.rows {
            for g in 0..groups {
                let answers = &room.answers[place(g, row, 0)..][..per_group * size];
                room.mixed.set(span.first_row + row, g * per_group * size, answers);
            }
        }
    }
}
