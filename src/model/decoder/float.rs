//! The decoder through candle, in its number types and on its devices. Fields have the checkpoint's names.

use candle_core::{D, DType, Device, Result as CandleResult, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::{Linear, Module, rotary_emb::rope};

use super::{Input, LaneSpan, Segment};
use crate::error::Result;
use crate::model::config::LmConfig;
use crate::model::features::Features;
use crate::model::kv_cache::{FloatLayerCache, LayerCache};
use crate::model::rope::Rope;
use crate::model::token_ids::DecisionIds;
use crate::model::weights::{MatrixShape, Weights, float_linear};

/// The decoder as candle layers, in one number type on one device.
#[derive(Debug)]
pub(super) struct FloatDecoder {
    /// Embedding table, `[padded_vocab_size, n_embd]`.
    wte: Tensor,
    /// Layers.
    h: Vec<FloatBlock>,
    /// Weights of the last norm.
    ln_f: Tensor,
    /// Output layer, from hidden states to logits.
    lm_head: Linear,
    /// The rows of `lm_head` for KEEP_SILENCE and TEXT_BEGIN.
    decision_head: Linear,
    rope: Rope,
    config: LmConfig,
    dtype: DType,
    device: Device,
}

/// One transformer layer of the decoder.
#[derive(Debug)]
struct FloatBlock {
    /// Weights of the norm before attention.
    norm_1: Tensor,
    /// Projections to queries, keys and values.
    qkv: Linear,
    /// Output projection of attention.
    proj: Linear,
    /// Weights of the norm before the MLP.
    norm_2: Tensor,
    /// Gate projection of the MLP.
    fc_1: Linear,
    /// Up projection of the MLP.
    fc_2: Linear,
    /// Down projection of the MLP.
    mlp_proj: Linear,
}

/// The rotations and the causal mask of a lane's new positions in a pass.
struct RopeAndMask {
    /// Cosines of the rotations, `[rows, head / 2]`.
    cos: Tensor,
    /// Sines of the rotations, `[rows, head / 2]`.
    sin: Tensor,
    /// Causal mask among the new positions, `[rows, rows]`; None for a single row.
    mask: Option<Tensor>,
}

impl FloatDecoder {
    pub(super) fn new(weights: &impl Weights, config: &LmConfig, dtype: DType, device: &Device, decision: DecisionIds) -> Result<Self> {
        let (hidden, vocab, ffn) = (config.n_embd, config.padded_vocab_size, config.intermediate());
        let (q_size, kv_size) = (config.n_head * config.head(), config.groups() * config.head());
        let norm = |name: &str| weights.get(name, &[hidden], dtype, device);
        let linear =
            |name: &str, bias: Option<&str>, out, inner| float_linear(weights, name, bias, MatrixShape::new(out, inner), dtype, device);
        let block = |layer: usize| -> Result<FloatBlock> {
            let at = |part: &str| format!("transformer.h.{layer}.{part}");
            let bias = at("attn.qkv.bias");
            Ok(FloatBlock {
                norm_1: norm(&at("norm_1.weight"))?,
                qkv: linear(&at("attn.qkv.weight"), config.attn_bias.then_some(bias.as_str()), q_size + 2 * kv_size, hidden)?,
                proj: linear(&at("attn.proj.weight"), None, hidden, q_size)?,
                norm_2: norm(&at("norm_2.weight"))?,
                fc_1: linear(&at("mlp.fc_1.weight"), None, ffn, hidden)?,
                fc_2: linear(&at("mlp.fc_2.weight"), None, ffn, hidden)?,
                mlp_proj: linear(&at("mlp.proj.weight"), None, hidden, ffn)?,
            })
        };
        let decision_head = weights.rows("lm_head.weight", MatrixShape::new(vocab, hidden), &decision.to_array(), dtype, device)?;
        Ok(Self {
            wte: weights.get("transformer.wte.weight", &[vocab, hidden], dtype, device)?,
            h: (0..config.n_layer).map(block).collect::<Result<_>>()?,
            ln_f: norm("transformer.ln_f.weight")?,
            lm_head: linear("lm_head.weight", None, vocab, hidden)?,
            decision_head: Linear::new(decision_head, None),
            rope: Rope::new(config.head(), config.rope_base),
            config: config.clone(),
            dtype,
            device: device.clone(),
        })
    }

    /// Returns the frequencies of the position rotations.
    pub(super) const fn rope(&self) -> &Rope {
        &self.rope
    }

    /// Runs all layers: returns the hidden states of all rows, `[rows, n_embd]`, before the last norm, and appends new keys and
    /// values to the caches.
    pub(super) fn pass(&self, spans: &[LaneSpan], segments: &mut [Segment<'_>]) -> CandleResult<Tensor> {
        let mut x = self.embed(segments)?;
        let rope_and_mask: Vec<RopeAndMask> = spans.iter().map(|span| self.rope_and_mask(span)).collect::<CandleResult<_>>()?;
        for (layer, block) in self.h.iter().enumerate() {
            // Attention: x += proj(attend(qkv(norm_1(x)))).
            let qkv = block.qkv.forward(&self.rms(&x, &block.norm_1)?)?;
            let mut mixed = Vec::with_capacity(spans.len());
            for ((span, segment), rope_and_mask) in spans.iter().zip(segments.iter_mut()).zip(&rope_and_mask) {
                let LayerCache::Float(cache) = &mut segment.cache.layers[layer] else {
                    candle_core::bail!("the lane's cache was made for another precision")
                };
                mixed.push(self.attend(&qkv.narrow(0, span.first_row, span.rows)?, cache, rope_and_mask)?);
            }
            x = x.add(&block.proj.forward(&Tensor::cat(&mixed, 0)?)?)?;
            // MLP: x += proj(silu(fc_1(y)) * fc_2(y)), y = norm_2(x).
            let y = self.rms(&x, &block.norm_2)?;
            x = x.add(&block.mlp_proj.forward(&silu(&block.fc_1.forward(&y)?)?.mul(&block.fc_2.forward(&y)?)?)?)?;
        }
        Ok(x)
    }

    /// Returns the logits of KEEP_SILENCE and TEXT_BEGIN for each of the rows `rows` of the hidden states `x`.
    pub(super) fn decisions(&self, x: &Tensor, rows: &[usize]) -> CandleResult<Vec<Vec<f32>>> {
        self.head(x, rows, &self.decision_head)
    }

    /// Returns the logits of all tokens for each of the rows `rows` of the hidden states `x`.
    pub(super) fn rows(&self, x: &Tensor, rows: &[usize]) -> CandleResult<Vec<Vec<f32>>> {
        self.head(x, rows, &self.lm_head)
    }

    fn head(&self, x: &Tensor, rows: &[usize], head: &Linear) -> CandleResult<Vec<Vec<f32>>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        let x = x.index_select(&Tensor::new(rows, &self.device)?, 0)?;
        head.forward(&self.rms(&x, &self.ln_f)?)?.to_dtype(DType::F32)?.to_vec2()
    }

    /// Returns the rows that the first layer reads, `[rows, n_embd]`: embeddings of tokens, and features as they are.
    fn embed(&self, segments: &[Segment<'_>]) -> CandleResult<Tensor> {
        let mut parts = Vec::new();
        let mut tokens = Vec::new();
        for input in segments.iter().flat_map(|s| &s.inputs) {
            match input {
                Input::Token(id) => tokens.push(*id),
                Input::Features(Features::Tensor(features)) => {
                    self.embed_tokens(&mut tokens, &mut parts)?;
                    parts.push(features.clone());
                }
                Input::Features(Features::Rows(_)) => candle_core::bail!("the features were made for another precision"),
            }
        }
        self.embed_tokens(&mut tokens, &mut parts)?;
        Tensor::cat(&parts, 0)
    }

    /// Appends the embeddings of `tokens` to `parts` as one tensor, and empties `tokens`.
    fn embed_tokens(&self, tokens: &mut Vec<u32>, parts: &mut Vec<Tensor>) -> CandleResult<()> {
        if !tokens.is_empty() {
            parts.push(self.wte.index_select(&Tensor::new(tokens.as_slice(), &self.device)?, 0)?);
            tokens.clear();
        }
        Ok(())
    }

    /// Computes the rotations and the mask for the rows of `span`, the same in all layers.
    fn rope_and_mask(&self, span: &LaneSpan) -> CandleResult<RopeAndMask> {
        let (cos, sin): (Vec<f32>, Vec<f32>) = self.rope.cos_sin(span.position, span.rows).unzip();
        let row = |values: Vec<f32>| Tensor::from_vec(values, (span.rows, self.config.head() / 2), &self.device)?.to_dtype(self.dtype);
        Ok(RopeAndMask {
            cos: row(cos)?,
            sin: row(sin)?,
            mask: if span.rows > 1 { Some(causal_mask(span.rows, &self.device)?) } else { None },
        })
    }

    /// Appends the keys and values of one lane's `t` rows `own`, `[t, q | k | v]`, to its `cache`, and returns their causal
    /// attention over all its positions, `[t, n_head * head]`.
    fn attend(&self, own: &Tensor, cache: &mut FloatLayerCache, rope_and_mask: &RopeAndMask) -> CandleResult<Tensor> {
        // Shapes: t new rows, p cached positions, h query heads, g groups, s head size.
        let (heads, groups, size, t) = (self.config.n_head, self.config.groups(), self.config.head(), own.dim(0)?);
        // 1. Split: [t, (h + 2g) * s] -> [1, h, t, s], [1, g, t, s], [1, g, t, s]; rotate q and k.
        let part = |from: usize, n: usize| own.narrow(1, from * size, n * size)?.reshape((1, t, n, size))?.transpose(1, 2)?.contiguous();
        let q = rope(&part(0, heads)?, &rope_and_mask.cos, &rope_and_mask.sin)?;
        let unrotated = part(heads, groups)?;
        let k = rope(&unrotated, &rope_and_mask.cos, &rope_and_mask.sin)?.squeeze(0)?;
        let v = part(heads + groups, groups)?.squeeze(0)?;
        // 2. Append to the cache: k and v become [g, p, s].
        let (k, v) = cache.append(&unrotated.squeeze(0)?, &k, &v)?;
        // 3. Scores: [g, h/g * t, s] x [g, s, p] -> [g, h/g, t, p]. The query heads of a group are stacked as rows, because they share its
        // keys.
        let per_group = heads / groups;
        let positions = k.dim(1)?;
        let scores = (q.reshape((groups, per_group * t, size))?.matmul(&k.t()?)? * (1.0 / (size as f64).sqrt()))?;
        let mut scores = scores.to_dtype(DType::F32)?.reshape((groups, per_group, t, positions))?;
        // 4. Causal mask, then softmax in f32.
        if let Some(mask) = &rope_and_mask.mask {
            // Only the newest `t` columns can lie in a row's future.
            let newest = scores.narrow(D::Minus1, positions - t, t)?.broadcast_add(mask)?;
            scores =
                if positions == t { newest } else { Tensor::cat(&[&scores.narrow(D::Minus1, 0, positions - t)?, &newest], D::Minus1)? };
        }
        let weights = softmax_last_dim(&scores.contiguous()?)?.to_dtype(self.dtype)?.reshape((groups, per_group * t, positions))?;
        // 5. Mix: [g, h/g * t, p] x [g, p, s] -> [h, t, s] -> [t, h * s].
        weights.matmul(&v)?.reshape((heads, t, size))?.transpose(0, 1)?.contiguous()?.reshape((t, heads * size))
    }

    fn rms(&self, x: &Tensor, weight: &Tensor) -> CandleResult<Tensor> {
        rms_norm(x, weight, self.config.norm_eps as f32)
    }
}

/// Makes the causal mask `[t, t]`: 0 up to a row's own position, minus infinity in its future.
fn causal_mask(t: usize, device: &Device) -> CandleResult<Tensor> {
    let values: Vec<f32> = (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 }).collect();
    Tensor::from_vec(values, (t, t), device)
}
