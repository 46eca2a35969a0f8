//! The decoder with packed weights, on the CPU. Fields have the checkpoint's names.
//!
//! Norms are fused with quantisation, biases and residual sums with the products, and all buffers are kept from pass to pass, so
//! that little is left beside the products.

use std::sync::Mutex;

use candle_core::{DType, Device, Result as CandleResult};

use super::{Input, LaneSpan, PassIndex, Segment};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::model::config::LmConfig;
use crate::model::features::Features;
use crate::model::kernels::attention::AttentionPlan;
use crate::model::kernels::{Activations, Bits, GROUP, InstructionSet, Norm, TILE, Tiled};
use crate::model::kv_cache::LayerCache;
use crate::model::linear::{PackedLinear, PackedMlp};
use crate::model::rope::{Rope, rotate};
use crate::model::token_ids::DecisionIds;
use crate::model::weights::{MatrixShape, Weights, packed_linear};
use crate::supervise::lock;

/// The decoder with packed weights, on the CPU.
#[derive(Debug)]
pub(super) struct PackedDecoder {
    /// Embedding table, `[padded_vocab_size, n_embd]`.
    wte: PackedLinear,
    /// Layers.
    h: Vec<PackedBlock>,
    /// Weights of the last norm.
    ln_f: Vec<f32>,
    /// Output layer, from hidden states to logits.
    lm_head: PackedLinear,
    /// The rows of `lm_head` for KEEP_SILENCE and TEXT_BEGIN, not quantised, `[2][n_embd]`.
    decision_head: Vec<f32>,
    rope: Rope,
    config: LmConfig,
    scratch: Mutex<DecoderScratch>,
}

/// One transformer layer of the decoder.
#[derive(Debug)]
struct PackedBlock {
    /// Weights of the norm before attention.
    norm_1: Vec<f32>,
    /// Projections to queries, keys and values.
    qkv: PackedLinear,
    /// Output projection of attention.
    proj: PackedLinear,
    /// Weights of the norm before the MLP.
    norm_2: Vec<f32>,
    mlp: PackedMlp,
}

/// The buffers of a pass over `rows` rows of all lanes; they keep their memory from pass to pass.
#[derive(Debug, Default)]
struct DecoderScratch {
    /// Hidden states (residual stream), `[rows][n_embd]`.
    x: Tiled,
    /// Quantised inputs of the next product, `[rows][n_embd]`, or `[rows][n_head * head]` after attention.
    activations: Activations,
    /// Quantised inputs of the MLP's down projection, `[rows][intermediate]`.
    mlp_inner: Activations,
    /// Queries, keys and values before rotation, `[rows][q_size + 2 * kv_size]`.
    qkv: Tiled,
    /// Cosines and sines of the rotations, `[rows][head / 2]`.
    cos_sin: Vec<(f32, f32)>,
    /// Keys, then values, of one position, `[2][groups * head]`.
    kv_row: Vec<f32>,
    /// Shares of the attention among threads, the same in every layer.
    attention_plan: AttentionPlan,
    /// Outputs of attention, lane by lane `[group][lane's rows][head of the group][head]`.
    attention_out: Vec<f32>,
    /// Location of each row in `attention_out`, `[rows]`.
    attention_rows: Vec<AttentionRow>,
    /// One embedding, `[n_embd]`.
    embedding: Vec<f32>,
    /// Hidden states of the rows to read, after the last norm, `[rows to read][n_embd]`.
    last_hidden: Vec<f32>,
    /// Logits, `[rows to read][padded_vocab_size]`.
    logits: Tiled,
}

/// The location of a row in `DecoderScratch::attention_out`.
#[derive(Clone, Copy, Debug)]
struct AttentionRow {
    /// Offset of the row's first head in the first group.
    first: usize,
    /// Number of rows of the row's lane in this pass.
    lane_rows: usize,
}

impl PackedDecoder {
    pub(super) fn new(weights: &impl Weights, config: &LmConfig, bits: Bits, decision: DecisionIds) -> Result<Self> {
        let (hidden, vocab, ffn) = (config.n_embd, config.padded_vocab_size, config.intermediate());
        let (q_size, kv_size) = (config.n_head * config.head(), config.groups() * config.head());
        if !config.head().is_multiple_of(TILE) {
            let why = format!("heads of {} numbers cannot be computed in 8 or 4 bits (16 at a time)", config.head());
            return Err(Error::new(ErrorKind::UnsupportedModel, why).with_remedy(Remedy::UseFloatPrecision));
        }
        let norm = |name: &str| weights.vector(name, &[hidden]);
        let linear = |name: &str, bias: Option<&str>, out, inner| packed_linear(weights, name, bias, MatrixShape::new(out, inner), bits);
        let block = |layer: usize| -> Result<PackedBlock> {
            let at = |part: &str| format!("transformer.h.{layer}.{part}");
            let bias = at("attn.qkv.bias");
            Ok(PackedBlock {
                norm_1: norm(&at("norm_1.weight"))?,
                qkv: linear(&at("attn.qkv.weight"), config.attn_bias.then_some(bias.as_str()), q_size + 2 * kv_size, hidden)?,
                proj: linear(&at("attn.proj.weight"), None, hidden, q_size)?,
                norm_2: norm(&at("norm_2.weight"))?,
                mlp: PackedMlp::Gated {
                    fc_1: linear(&at("mlp.fc_1.weight"), None, ffn, hidden)?,
                    fc_2: linear(&at("mlp.fc_2.weight"), None, ffn, hidden)?,
                    proj: linear(&at("mlp.proj.weight"), None, hidden, ffn)?,
                },
            })
        };
        let head = MatrixShape::new(vocab, hidden);
        let decision_head = weights.rows("lm_head.weight", head, &decision.to_array(), DType::F32, &Device::Cpu)?;
        let decision_head = decision_head.flatten_all().and_then(|t| t.to_vec1());
        Ok(Self {
            wte: linear("transformer.wte.weight", None, vocab, hidden)?,
            h: (0..config.n_layer).map(block).collect::<Result<_>>()?,
            ln_f: norm("transformer.ln_f.weight")?,
            lm_head: linear("lm_head.weight", None, vocab, hidden)?,
            decision_head: decision_head.map_err(Error::internal)?,
            rope: Rope::new(config.head(), config.rope_base),
            config: config.clone(),
            scratch: Mutex::default(),
        })
    }

    /// Returns the frequencies of the position rotations.
    pub(super) const fn rope(&self) -> &Rope {
        &self.rope
    }

    /// Runs all layers over the rows of `segments` and appends keys and values to their caches. Adds the logits of decisions to
    /// `index`; returns the logits of all tokens for each of `index.full_rows`.
    pub(super) fn pass(&self, segments: &mut [Segment<'_>], index: &mut PassIndex) -> CandleResult<Vec<Vec<f32>>> {
        // Nothing in the scratch outlives a pass: the remains of one that panicked are overwritten.
        let mut scratch = lock(&self.scratch);
        let scratch = &mut *scratch;
        self.embed(segments, scratch)?;
        self.prepare(&index.spans, scratch);
        let eps = self.config.norm_eps as f32;
        for (layer, block) in self.h.iter().enumerate() {
            scratch.activations.round_tiled(&scratch.x, Norm::Rms(&block.norm_1, eps));
            block.qkv.forward(&scratch.activations, &mut scratch.qkv);
            self.attend(layer, &index.spans, segments, scratch)?;
            block.proj.add_to(&scratch.activations, &mut scratch.x);
            scratch.activations.round_tiled(&scratch.x, Norm::Rms(&block.norm_2, eps));
            block.mlp.add_to(&scratch.activations, &mut scratch.mlp_inner, &mut scratch.x);
        }
        self.read_decisions(scratch, index);
        Ok(self.read_rows(scratch, &index.full_rows))
    }

    /// Adds the two logits of each of `index.decision_rows` to `index.decision_logits`, from weights that are not quantised.
    fn read_decisions(&self, scratch: &mut DecoderScratch, index: &mut PassIndex) {
        self.last_norm(scratch, &index.decision_rows);
        let hidden = self.config.n_embd;
        let (silent, respond) = self.decision_head.split_at(hidden);
        let dot = |y: &[f32], weight: &[f32]| y.iter().zip(weight).map(|(y, w)| y * w).sum::<f32>();
        index.decision_logits.extend(scratch.last_hidden.chunks_exact(hidden).map(|y| (dot(y, silent), dot(y, respond))));
    }

    /// Returns the logits of all tokens for each of the rows `rows` of a pass.
    fn read_rows(&self, scratch: &mut DecoderScratch, rows: &[usize]) -> Vec<Vec<f32>> {
        if rows.is_empty() {
            return Vec::new();
        }
        self.last_norm(scratch, rows);
        scratch.activations.round(&scratch.last_hidden, rows.len());
        self.lm_head.forward(&scratch.activations, &mut scratch.logits);
        let row = |row: usize| {
            let mut all = vec![0.0; self.lm_head.out()];
            scratch.logits.copy(row, 0, &mut all);
            all
        };
        (0..rows.len()).map(row).collect()
    }

    /// Writes the hidden states of the rows `rows`, after the last norm, to `scratch.last_hidden`.
    fn last_norm(&self, scratch: &mut DecoderScratch, rows: &[usize]) {
        let hidden = self.config.n_embd;
        scratch.last_hidden.resize(rows.len() * hidden, 0.0);
        for (row, y) in rows.iter().zip(scratch.last_hidden.chunks_exact_mut(hidden)) {
            scratch.x.copy(*row, 0, y);
            let square: f32 = y.iter().map(|v| v * v).sum();
            let scale = 1.0 / (square / hidden as f32 + self.config.norm_eps as f32).sqrt();
            y.iter_mut().zip(&self.ln_f).for_each(|(v, w)| *v *= scale * w);
        }
    }

    /// Writes the rows that the first layer reads to `scratch.x`: embeddings of tokens, and features as they are.
    fn embed(&self, segments: &[Segment<'_>], scratch: &mut DecoderScratch) -> CandleResult<()> {
        let inputs = || segments.iter().flat_map(|s| &s.inputs);
        let hidden = self.config.n_embd;
        let (x, embedding) = (&mut scratch.x, &mut scratch.embedding);
        x.reset(inputs().map(Input::rows).sum(), hidden);
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
                Input::Features(Features::Tensor(_)) => candle_core::bail!("the features were made for another precision"),
            }
            at += input.rows();
        }
        Ok(())
    }

    /// Computes what all layers of a pass share, into `scratch`: rotations, division of the attention among threads, and places of its
    /// outputs.
    fn prepare(&self, spans: &[LaneSpan], scratch: &mut DecoderScratch) {
        let (heads, groups, size) = (self.config.n_head, self.config.groups(), self.config.head());
        let per_group = heads / groups;
        scratch.cos_sin.clear();
        spans.iter().for_each(|span| scratch.cos_sin.extend(self.rope.cos_sin(span.position, span.rows)));
        scratch.attention_plan.rebuild(spans.iter().map(|span| span.rows), groups, per_group, size);
        scratch.attention_out.resize(scratch.attention_plan.output_len(), 0.0);
        scratch.kv_row.resize(2 * groups * size, 0.0);
        scratch.attention_rows.clear();
        for span in spans {
            let first = span.first_row * heads * size;
            let row = |row: usize| AttentionRow { first: first + row * per_group * size, lane_rows: span.rows };
            scratch.attention_rows.extend((0..span.rows).map(row));
        }
    }

    /// Appends the keys and values of every lane's rows to its cache, and computes their causal attention over all its positions,
    /// from `scratch.qkv` to the quantised `scratch.activations`.
    fn attend(&self, layer: usize, spans: &[LaneSpan], segments: &mut [Segment<'_>], scratch: &mut DecoderScratch) -> CandleResult<()> {
        // 1. Keys and values to the caches; 2. queries over the caches; 3. heads side by side, quantised for `proj`.
        self.append_keys_values(layer, spans, segments, scratch)?;
        self.attend_over_cache(layer, spans, segments, scratch);
        self.round_attention(scratch);
        Ok(())
    }

    /// Appends the keys and values of all rows in `scratch.qkv`, `[q | k | v]`, to the lanes' caches, which store the keys rotated
    /// and unrotated.
    fn append_keys_values(
        &self,
        layer: usize,
        spans: &[LaneSpan],
        segments: &mut [Segment<'_>],
        scratch: &mut DecoderScratch,
    ) -> CandleResult<()> {
        let (heads, groups, size) = (self.config.n_head, self.config.groups(), self.config.head());
        for (span, segment) in spans.iter().zip(segments.iter_mut()) {
            let LayerCache::Packed(cache) = &mut segment.cache.layers[layer] else {
                candle_core::bail!("the lane's cache was made for another precision")
            };
            for row in span.first_row..span.first_row + span.rows {
                scratch.qkv.copy(row, heads * size, &mut scratch.kv_row);
                let (keys, values) = scratch.kv_row.split_at_mut(groups * size);
                cache.append(keys, &scratch.cos_sin[row * size / 2..][..size / 2], values);
            }
        }
        Ok(())
    }

    /// Rotates the queries of every row and writes their attention over its lane's cache to `scratch.attention_out`.
    fn attend_over_cache(&self, layer: usize, spans: &[LaneSpan], segments: &[Segment<'_>], scratch: &mut DecoderScratch) {
        let size = self.config.head();
        let per_group = self.config.n_head / self.config.groups();
        let lane = |lane: usize| match &segments[lane].cache.layers[layer] {
            LayerCache::Packed(cache) => Some((cache, spans[lane].rows)),
            LayerCache::Float(_) => None,
        };
        let (qkv, cos_sin) = (&scratch.qkv, &scratch.cos_sin);
        scratch.attention_plan.run(InstructionSet::best(), &mut scratch.attention_out, lane, |task, queries| {
            for (pair, query) in queries.chunks_exact_mut(size).enumerate() {
                let row = spans[task.lane].first_row + task.row(pair);
                qkv.copy(row, (task.group * per_group + task.head(pair)) * size, query);
                rotate(query, &cos_sin[row * size / 2..][..size / 2]);
            }
        });
    }

    /// Quantises the outputs of attention to `scratch.activations`, with the heads of a row side by side, `[rows][n_head * head]`.
    fn round_attention(&self, scratch: &mut DecoderScratch) {
        let (heads, groups, size) = (self.config.n_head, self.config.groups(), self.config.head());
        let per_group = heads / groups;
        let (out, rows) = (&scratch.attention_out, &scratch.attention_rows);
        scratch.activations.fill(rows.len(), heads * size, Activations::min_groups_per_task(rows.len()), |g, cells| {
            for (row, cell) in rows.iter().zip(cells.chunks_exact_mut(GROUP)) {
                for (part, to) in cell.chunks_exact_mut(TILE).enumerate() {
                    let column = g * GROUP + part * TILE;
                    // A tile lies within one head, whose size is a multiple of 16.
                    if column < heads * size {
                        let (head, within) = (column / size, column % size);
                        let of_group = head / per_group * row.lane_rows * per_group;
                        let at = row.first + (of_group + head % per_group) * size + within;
                        to.copy_from_slice(&out[at..at + TILE]);
                    } else {
                        to.fill(0.0);
                    }
                }
            }
        });
    }
}
