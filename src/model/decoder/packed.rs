//! The decoder's layers with packed weights, on the processor. Fields carry the checkpoint's names.
//!
//! Rounding follows the norms in one go, biases and residual sums are part of the products, and all rooms are kept from
//! pass to pass: beside the products themselves little is left to do.

use std::sync::{Mutex, PoisonError};

use candle_core::Result as CandleResult;

use super::{Input, Lists, Segment, Span};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::model::config::LmConfig;
use crate::model::features::Features;
use crate::model::kernels::attention::Plan;
use crate::model::kernels::{Activations, Bits, GROUP, InstructionSet, Norm, TILE, Tiled};
use crate::model::kv::Layer;
use crate::model::linear::{PackedLinear, PackedMlp};
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
    x: Tiled,
    rounded: Activations,
    inner: Activations,
    qkv: Tiled,
    /// Cosines and sines of all rows, `[row][head / 2]`.
    turns: Vec<(f32, f32)>,
    /// Keys and values of one position.
    heads: Vec<f32>,
    plan: Plan,
    answers: Vec<f32>,
    /// Where the answers of each row begin, and how many rows its lane has.
    places: Vec<(usize, usize)>,
    /// The embedding of a token, later the last hidden states that are read; and all logits of them.
    read: Vec<f32>,
    logits: Tiled,
}

impl Layers {
    pub(super) fn new(weights: &impl Weights, config: &LmConfig, bits: Bits, decision: (u32, u32)) -> Result<Self> {
        let (e, v, i) = (config.n_embd, config.padded_vocab_size, config.intermediate());
        let (q, kv) = (config.n_head * config.head(), config.groups() * config.head());
        if !config.head().is_multiple_of(16) {
            let why = format!("heads of {} numbers cannot be computed in 8 or 4 bits (16 at a time)", config.head());
            return Err(Error::new(ErrorKind::UnsupportedModel, why).with_remedy(Remedy::UseFloatPrecision));
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
            wte: linear("transformer.wte.weight", None, v, e)?,
            h: (0..config.n_layer).map(block).collect::<Result<_>>()?,
            ln_f: norm("transformer.ln_f.weight")?,
            lm_head: linear("lm_head.weight", None, v, e)?,
            decision_head: chosen.flatten_all().and_then(|t| t.to_vec1()).map_err(|e| Error::internal(e))?,
            rope: Rope::new(config.head(), config.rope_base),
            config: config.clone(),
            room: Mutex::default(),
        })
    }

    /// The rotations of its positions.
    pub(super) const fn rope(&self) -> &Rope {
        &self.rope
    }

    /// Feeds all rows, appends to the caches and reads: the two logits that can be chosen while listening go to `lists`, rows of
    /// all of them are returned.
    pub(super) fn pass(&self, segments: &mut [Segment<'_>], lists: &mut Lists) -> CandleResult<Vec<Vec<f32>>> {
        // What an earlier pass left behind when it panicked is overwritten: nothing in the room outlives a pass.
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let room = &mut *room;
        self.embed(segments, room)?;
        self.prepare(&lists.spans, room);
        let eps = self.config.norm_eps as f32;
        for (layer, block) in self.h.iter().enumerate() {
            room.rounded.round_tiled(&room.x, Norm::Rms(&block.norm_1, eps));
            block.qkv.forward(&room.rounded, &mut room.qkv);
            self.attend(layer, &lists.spans, segments, room)?;
            block.proj.add_to(&room.rounded, &mut room.x);
            room.rounded.round_tiled(&room.x, Norm::Rms(&block.norm_2, eps));
            block.mlp.add_to(&room.rounded, &mut room.inner, &mut room.x);
        }
        self.decide(room, lists);
        Ok(self.rows(room, &lists.rows))
    }

    fn decide(&self, room: &mut Room, lists: &mut Lists) {
        self.read(room, &lists.decisions);
        let width = self.config.n_embd;
        let (silent, respond) = self.decision_head.split_at(width);
        let dot = |y: &[f32], weight: &[f32]| y.iter().zip(weight).map(|(y, w)| y * w).sum::<f32>();
        lists.pairs.extend(room.read.chunks_exact(width).map(|y| (dot(y, silent), dot(y, respond))));
    }

    fn rows(&self, room: &mut Room, rows: &[usize]) -> Vec<Vec<f32>> {
        if rows.is_empty() {
            return Vec::new();
        }
        self.read(room, rows);
        room.rounded.round(&room.read, rows.len());
        self.lm_head.forward(&room.rounded, &mut room.logits);
        let row = |row: usize| {
            let mut all = vec![0.0; self.lm_head.out()];
            room.logits.copy(row, 0, &mut all);
            all
        };
        (0..rows.len()).map(row).collect()
    }

    /// Puts `rows` of the last hidden states after the last norm into `room.read`.
    fn read(&self, room: &mut Room, rows: &[usize]) {
        let width = self.config.n_embd;
        room.read.resize(rows.len() * width, 0.0);
        for (row, y) in rows.iter().zip(room.read.chunks_exact_mut(width)) {
            room.x.copy(*row, 0, y);
            let square: f32 = y.iter().map(|v| v * v).sum();
            let scale = 1.0 / (square / width as f32 + self.config.norm_eps as f32).sqrt();
            y.iter_mut().zip(&self.ln_f).for_each(|(v, w)| *v *= scale * w);
        }
    }

    /// The embeddings of everything that is fed, features in place of their PADs.
    fn embed(&self, segments: &[Segment<'_>], room: &mut Room) -> CandleResult<()> {
        let inputs = || segments.iter().flat_map(|s| &s.inputs);
        let width = self.config.n_embd;
        let (x, embedding) = (&mut room.x, &mut room.read);
        x.reset(inputs().map(Input::rows).sum(), width);
        let mut at = 0;
        for input in inputs() {
            match input {
                Input::Token(id) => {
                    let Some(row) = self.wte.row(*id as usize) else { candle_core::bail!("token {id} lies beyond the embeddings") };
                    embedding.clear();
                    embedding.extend(row);
                    x.set(at, 0, embedding);
                }
                Input::Features(Features::Rows(features)) => {
                    features.iter().enumerate().for_each(|(row, feature)| x.set(at + row, 0, feature));
                }
                Input::Features(Features::Tensor(_)) => candle_core::bail!("features belong to another precision"),
            }
            at += input.rows();
        }
        Ok(())
    }

    /// What is the same in all layers of a pass.
    fn prepare(&self, spans: &[Span], room: &mut Room) {
        let (heads, groups, size) = (self.config.n_head, self.config.groups(), self.config.head());
        room.turns.clear();
        spans.iter().for_each(|span| room.turns.extend(self.rope.turns(span.position, span.rows)));
        room.plan.make(spans.iter().map(|span| span.rows), groups, heads / groups, size);
        room.answers.resize(room.plan.answers(), 0.0);
        room.heads.resize(2 * groups * size, 0.0);
        room.places.clear();
        for span in spans {
            let first = span.first_row * heads * size;
            room.places.extend((0..span.rows).map(|row| (first + row * heads / groups * size, span.rows)));
        }
    }

    /// Causal attention of every lane's rows over all its cached positions, from `room.qkv` to `room.rounded`.
    fn attend(&self, layer: usize, spans: &[Span], segments: &mut [Segment<'_>], room: &mut Room) -> CandleResult<()> {
        let (heads, groups, size) = (self.config.n_head, self.config.groups(), self.config.head());
        let per_group = heads / groups;
        for (span, segment) in spans.iter().zip(segments.iter_mut()) {
            let Layer::Packed(cache) = &mut segment.cache.layers[layer] else {
                candle_core::bail!("the cache of a lane belongs to another precision")
            };
            for row in span.first_row..span.first_row + span.rows {
                room.qkv.copy(row, heads * size, &mut room.heads);
                let (keys, values) = room.heads.split_at_mut(groups * size);
                cache.append(keys, &room.turns[row * size / 2..][..size / 2], values);
            }
        }
        let lane = |lane: usize| match &segments[lane].cache.layers[layer] {
            Layer::Packed(cache) => Some((cache, spans[lane].rows)),
            Layer::Float(_) => None,
        };
        let (qkv, turns) = (&room.qkv, &room.turns);
        room.plan.run(InstructionSet::best(), &mut room.answers, lane, |task, queries| {
            for (pair, query) in queries.chunks_exact_mut(size).enumerate() {
                let row = spans[task.lane].first_row + task.row(pair);
                qkv.copy(row, (task.group * per_group + task.head(pair)) * size, query);
                rotate(query, &turns[row * size / 2..][..size / 2]);
            }
        });
        // Columns of the next layer's inputs are heads one after the other; a head is a multiple of 16 wide.
        let (answers, places) = (&room.answers, &room.places);
        room.rounded.fill(places.len(), heads * size, Activations::worth_a_thread(places.len()), |g, cells| {
            for (row, cell) in cells.chunks_exact_mut(GROUP).enumerate() {
                let (first, rows) = places[row];
                for (part, to) in cell.chunks_exact_mut(TILE).enumerate() {
                    let column = g * GROUP + part * TILE;
                    if column < heads * size {
                        let (head, within) = (column / size, column % size);
                        let of_group = head / per_group * rows * per_group;
                        let at = first + (of_group + head % per_group) * size + within;
                        to.copy_from_slice(&answers[at..at + TILE]);
                    } else {
                        to.fill(0.0);
                    }
                }
            }
        });
        Ok(())
    }
}
