//! The language model: litgpt's `GPT` as Qwen2.5 uses it (MODEL.md section 4), several lanes in one batched pass.
//!
//! Every linear layer sees the rows of all lanes at once, so the weights are read once; attention is per lane. Norms,
//! softmax and logits are f32. While a lane listens only the two logits that can be chosen are computed.

use candle_core::{D, DType, Device, Result as CandleResult, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::{Module, kv_cache::KvCache, rotary_emb::rope};

use super::checkpoint::Checkpoint;
use super::config::LmConfig;
use super::kernels::{Path, attention::KeysValues};
use super::kv::{LaneCache, Layer};
use super::linear::{Embedding, Linear, PackedMlp};
use super::rope::{Rope, rotate};
use super::weights::{self, Numbers, Weights};
use crate::error::{Error, ErrorKind, Result};
use crate::time::CHUNK_FEATURES;

/// One lane's share of a pass: what to feed, and at which of those rows to read.
#[derive(Debug)]
pub struct Segment<'a> {
    /// The lane's cache; the rows are appended to it.
    pub cache: &'a mut LaneCache,
    /// What is fed, in order.
    pub inputs: Vec<Input>,
    /// What is read, as (row within this segment, what).
    pub reads: Vec<(usize, Read)>,
}

/// Something that is fed.
#[derive(Clone, Debug)]
pub enum Input {
    /// One token: one row.
    Token(u32),
    /// The features of one chunk: ten rows in place of ten PADs.
    Features(Tensor),
}

impl Input {
    /// Rows that it takes.
    #[must_use]
    pub const fn rows(&self) -> usize {
        match self {
            Self::Token(_) => 1,
            Self::Features(_) => CHUNK_FEATURES,
        }
    }
}

/// What to read at a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The two logits that can be chosen while listening.
    Decision,
    /// The whole row.
    Row,
}

/// What was read at a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Logits {
    /// The two logits of a decision.
    Decision {
        /// Of KEEP_SILENCE.
        silent: f32,
        /// Of TEXT_BEGIN.
        respond: f32,
    },
    /// All logits, padded vocabulary.
    Row(Vec<f32>),
}

impl Logits {
    pub(super) fn is_finite(&self) -> bool {
        match self {
            Self::Decision { silent, respond } => silent.is_finite() && respond.is_finite(),
            Self::Row(row) => row.iter().all(|v| v.is_finite()),
        }
    }
}

/// The decoder; fields carry the checkpoint's names.
#[derive(Debug)]
pub struct Decoder {
    wte: Embedding,
    h: Vec<Block>,
    ln_f: Tensor,
    lm_head: Linear,
    /// The rows of `lm_head` of KEEP_SILENCE and TEXT_BEGIN.
    decision_head: candle_nn::Linear,
    rope: Rope,
    config: LmConfig,
    numbers: Numbers,
    dtype: DType,
    device: Device,
}

#[derive(Debug)]
struct Block {
    norm_1: Tensor,
    attn: Attention,
    norm_2: Tensor,
    mlp: Mlp,
}

#[derive(Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
}

#[derive(Debug)]
enum Mlp {
    Float { fc_1: Linear, fc_2: Linear, proj: Linear },
    Packed(PackedMlp),
}

/// Where the rows of one lane lie in a pass, with their rotations.
struct Span {
    first_row: usize,
    rows: usize,
    turns: Turns,
}

/// The rotations of a span's positions.
enum Turns {
    /// For candle, with what hides the future.
    Float { cos: Tensor, sin: Tensor, mask: Option<Tensor> },
    /// `[rows][head / 2]` pairs of cosine and sine.
    Packed(Vec<(f32, f32)>),
}

impl Decoder {
    /// Loads the language model of `checkpoint`; `decision` are the ids of KEEP_SILENCE and TEXT_BEGIN.
    ///
    /// # Errors
    /// When a tensor is missing or wrong, naming it.
    pub fn load(checkpoint: &Checkpoint, numbers: Numbers, device: &Device, decision: (u32, u32)) -> Result<Self> {
        Self::from_weights(checkpoint, &checkpoint.lm, numbers, device, decision)
    }

    /// Builds a decoder of the sizes `config`.
    ///
    /// # Errors
    /// As [`Decoder::load`].
    pub fn from_weights(
        weights: &impl Weights,
        config: &LmConfig,
        numbers: Numbers,
        device: &Device,
        decision: (u32, u32),
    ) -> Result<Self> {
        let (e, v, i) = (config.n_embd, config.padded_vocab_size, config.intermediate());
        let (q, kv) = (config.n_head * config.head(), config.groups() * config.head());
        let dtype = numbers.dtype();
        if matches!(numbers, Numbers::Packed(_)) && !config.head().is_multiple_of(16) {
            let why = format!("heads of {} numbers cannot be computed in 8 or 4 bits (16 at a time); use --precision f32", config.head());
            return Err(Error::new(ErrorKind::UnsupportedModel, why));
        }
        let norm = |name: &str| weights.get(name, &[e], dtype, device);
        let linear =
            |name: &str, bias: Option<&str>, out: usize, inner: usize| weights::linear(weights, name, bias, (out, inner), numbers, device);
        let block = |layer: usize| -> Result<Block> {
            let at = |part: &str| format!("transformer.h.{layer}.{part}");
            let bias = at("attn.qkv.bias");
            let fc_1 = linear(&at("mlp.fc_1.weight"), None, i, e)?;
            let fc_2 = linear(&at("mlp.fc_2.weight"), None, i, e)?;
            let proj = linear(&at("mlp.proj.weight"), None, e, i)?;
            Ok(Block {
                norm_1: norm(&at("norm_1.weight"))?,
                attn: Attention {
                    qkv: linear(&at("attn.qkv.weight"), config.attn_bias.then_some(bias.as_str()), q + 2 * kv, e)?,
                    proj: linear(&at("attn.proj.weight"), None, e, q)?,
                },
                norm_2: norm(&at("norm_2.weight"))?,
                mlp: match (fc_1, fc_2, proj) {
                    (Linear::Packed(fc_1), Linear::Packed(fc_2), Linear::Packed(proj)) => Mlp::Packed(PackedMlp { fc_1, fc_2, proj }),
                    (fc_1, fc_2, proj) => Mlp::Float { fc_1, fc_2, proj },
                },
            })
        };
        // The two rows that decide stay as they are, whatever the other numbers are.
        let chosen = weights.rows("lm_head.weight", (v, e), &[decision.0, decision.1], dtype, device)?;
        Ok(Self {
            wte: weights::embedding(weights, "transformer.wte.weight", (v, e), numbers, device)?,
            h: (0..config.n_layer).map(block).collect::<Result<_>>()?,
            ln_f: norm("transformer.ln_f.weight")?,
            lm_head: linear("lm_head.weight", None, v, e)?,
            decision_head: candle_nn::Linear::new(chosen, None),
            rope: Rope::new(config.head(), config.rope_base, dtype, device),
            config: config.clone(),
            numbers,
            dtype,
            device: device.clone(),
        })
    }

    /// Feeds every segment, appends to its cache and reads what it asks for, in its order.
    ///
    /// # Errors
    /// When candle fails; the caches are then in an undefined state and must be dropped.
    pub fn pass(&self, segments: &mut [Segment<'_>]) -> CandleResult<Vec<Vec<Logits>>> {
        let mut x = self.embed(segments)?;
        let spans = self.spans(segments)?;
        for (layer, block) in self.h.iter().enumerate() {
            let qkv = block.attn.qkv.forward(&self.rms(&x, &block.norm_1)?)?;
            let mut mixed = Vec::with_capacity(spans.len());
            for (span, segment) in spans.iter().zip(segments.iter_mut()) {
                mixed.push(self.attend(&qkv, span, segment.cache, layer)?);
            }
            x = x.add(&block.attn.proj.forward(&Tensor::cat(&mixed, 0)?)?)?;
            x = x.add(&block.mlp.forward(&self.rms(&x, &block.norm_2)?)?)?;
        }
        for (span, segment) in spans.iter().zip(segments.iter_mut()) {
            segment.cache.positions += span.rows;
        }
        self.read(&x, &spans, segments)
    }

    /// An empty cache of this decoder's depth.
    #[must_use]
    pub fn new_cache(&self) -> LaneCache {
        match self.numbers {
            Numbers::Float(_) => LaneCache::float(self.config.n_layer),
            Numbers::Packed(_) => LaneCache::packed(self.config.n_layer, self.config.groups(), self.config.head()),
        }
    }

    /// A cache that [`LaneCache::save`] wrote; None unless it is one of this decoder's.
    #[must_use]
    pub fn load_cache(&self, path: &std::path::Path) -> Option<LaneCache> {
        self.new_cache().load(path, (self.config.groups(), self.config.head(), self.dtype), &self.device)
    }

    /// The number type that it computes in.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        self.dtype
    }

    /// What it computes on.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Largest position + 1.
    #[must_use]
    pub const fn block_size(&self) -> usize {
        self.config.block_size
    }

    /// Size of an embedding.
    #[must_use]
    pub const fn n_embd(&self) -> usize {
        self.config.n_embd
    }

    /// The embeddings `[rows, n_embd]` of everything that is fed, features in place of their PADs.
    fn embed(&self, segments: &[Segment<'_>]) -> CandleResult<Tensor> {
        let mut parts = Vec::new();
        let mut tokens = Vec::new();
        for input in segments.iter().flat_map(|s| &s.inputs) {
            match input {
                Input::Token(id) => tokens.push(*id),
                Input::Features(features) => {
                    self.embed_tokens(&mut tokens, &mut parts)?;
                    parts.push(features.clone());
                }
            }
        }
        self.embed_tokens(&mut tokens, &mut parts)?;
        Tensor::cat(&parts, 0)
    }

    fn embed_tokens(&self, tokens: &mut Vec<u32>, parts: &mut Vec<Tensor>) -> CandleResult<()> {
        if !tokens.is_empty() {
            parts.push(self.wte.rows(tokens)?);
            tokens.clear();
        }
        Ok(())
    }

    fn spans(&self, segments: &[Segment<'_>]) -> CandleResult<Vec<Span>> {
        let mut first_row = 0;
        let mut spans = Vec::with_capacity(segments.len());
        for segment in segments {
            let rows = segment.inputs.iter().map(Input::rows).sum();
            let position = segment.cache.positions;
            if position + rows > self.config.block_size {
                candle_core::bail!("position {} lies beyond the model's {}", position + rows, self.config.block_size);
            }
            let turns = if let Numbers::Packed(_) = self.numbers {
                Turns::Packed(self.rope.turns(position, rows))
            } else {
                let (cos, sin) = self.rope.rows(position, rows)?;
                Turns::Float { cos, sin, mask: if rows > 1 { Some(causal_mask(rows, &self.device)?) } else { None } }
            };
            spans.push(Span { first_row, rows, turns });
            first_row += rows;
        }
        Ok(spans)
    }

    /// Causal attention of one lane's rows over all its cached positions: `[rows, n_head * head]`.
    fn attend(&self, qkv: &Tensor, span: &Span, cache: &mut LaneCache, layer: usize) -> CandleResult<Tensor> {
        let own = qkv.narrow(0, span.first_row, span.rows)?;
        match (&mut cache.layers[layer], &span.turns) {
            (Layer::Float(cache), Turns::Float { cos, sin, mask }) => self.attend_float(&own, cache, (cos, sin), mask.as_ref()),
            (Layer::Packed(cache), Turns::Packed(turns)) => self.attend_packed(&own, cache, turns),
            _ => candle_core::bail!("the cache of a lane belongs to another precision"),
        }
    }

    /// On the processor, over 16-bit keys and values.
    fn attend_packed(&self, qkv: &Tensor, cache: &mut KeysValues, turns: &[(f32, f32)]) -> CandleResult<Tensor> {
        let (heads, groups, size, rows) = (self.config.n_head, self.config.groups(), self.config.head(), qkv.dim(0)?);
        let width = (heads + 2 * groups) * size;
        let mut queries = Vec::with_capacity(rows * heads * size);
        for (row, turns) in qkv.flatten_all()?.to_vec1::<f32>()?.chunks_exact_mut(width).zip(turns.chunks_exact(size / 2)) {
            let (rotated, values) = row.split_at_mut((heads + groups) * size);
            rotate(rotated, turns);
            let (q, keys) = rotated.split_at(heads * size);
            queries.extend_from_slice(q);
            cache.append(keys, values);
        }
        let mut out = vec![0.0; queries.len()];
        cache.attend(Path::best(), &queries, heads, &mut out);
        Tensor::from_vec(out, (rows, heads * size), &self.device)
    }

    fn attend_float(&self, own: &Tensor, cache: &mut KvCache, turns: (&Tensor, &Tensor), mask: Option<&Tensor>) -> CandleResult<Tensor> {
        let (heads, groups, size, t) = (self.config.n_head, self.config.groups(), self.config.head(), own.dim(0)?);
        let part = |from: usize, n: usize| own.narrow(1, from * size, n * size)?.reshape((1, t, n, size))?.transpose(1, 2)?.contiguous();
        let q = rope(&part(0, heads)?, turns.0, turns.1)?;
        let k = rope(&part(heads, groups)?, turns.0, turns.1)?.squeeze(0)?;
        let v = part(heads + groups, groups)?.squeeze(0)?;
        let (k, v) = cache.append(&k, &v)?;
        // The query heads of a group share its keys: they are stacked as rows instead of repeating the keys.
        let per_group = heads / groups;
        let positions = k.dim(1)?;
        let scores = (q.reshape((groups, per_group * t, size))?.matmul(&k.t()?)? * (1.0 / (size as f64).sqrt()))?;
        let mut scores = scores.to_dtype(DType::F32)?.reshape((groups, per_group, t, positions))?;
        if let Some(mask) = mask {
            // Only the newest `t` columns can lie in a row's future.
            let newest = scores.narrow(D::Minus1, positions - t, t)?.broadcast_add(mask)?;
            scores =
                if positions == t { newest } else { Tensor::cat(&[&scores.narrow(D::Minus1, 0, positions - t)?, &newest], D::Minus1)? };
        }
        let weights = softmax_last_dim(&scores.contiguous()?)?.to_dtype(self.dtype)?.reshape((groups, per_group * t, positions))?;
        weights.matmul(&v)?.reshape((heads, t, size))?.transpose(0, 1)?.contiguous()?.reshape((t, heads * size))
    }

    fn read(&self, x: &Tensor, spans: &[Span], segments: &[Segment<'_>]) -> CandleResult<Vec<Vec<Logits>>> {
        let rows = |wanted: Read| -> Vec<u32> {
            let of = |(span, segment): (&Span, &Segment<'_>)| -> Vec<u32> {
                segment.reads.iter().filter(|(_, what)| *what == wanted).map(|(row, _)| (span.first_row + row) as u32).collect()
            };
            spans.iter().zip(segments).flat_map(of).collect()
        };
        let mut decisions = self.head(x, &rows(Read::Decision), |x| self.decision_head.forward(x))?.into_iter();
        let mut full = self.head(x, &rows(Read::Row), |x| self.lm_head.forward(x))?.into_iter();
        let mut next = |what: Read| match what {
            Read::Decision => decisions.next().map(|pair| Logits::Decision { silent: pair[0], respond: pair[1] }),
            Read::Row => full.next().map(Logits::Row),
        };
        Ok(segments.iter().map(|s| s.reads.iter().filter_map(|(_, what)| next(*what)).collect()).collect())
    }

    /// Logits of `rows` of the last hidden states `x` through `head`, in f32.
    fn head(&self, x: &Tensor, rows: &[u32], head: impl Fn(&Tensor) -> CandleResult<Tensor>) -> CandleResult<Vec<Vec<f32>>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let x = x.index_select(&Tensor::new(rows, &self.device)?, 0)?;
        head(&self.rms(&x, &self.ln_f)?)?.to_dtype(DType::F32)?.to_vec2()
    }

    fn rms(&self, x: &Tensor, weight: &Tensor) -> CandleResult<Tensor> {
        rms_norm(x, weight, self.config.norm_eps as f32)
    }
}

impl Mlp {
    fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        match self {
            Self::Float { fc_1, fc_2, proj } => proj.forward(&silu(&fc_1.forward(x)?)?.mul(&fc_2.forward(x)?)?),
            Self::Packed(mlp) => x.contiguous()?.apply_op1_no_bwd(mlp),
        }
    }
}

/// `[t, t]`: 0 where a row may look, minus infinity in its future.
fn causal_mask(t: usize, device: &Device) -> CandleResult<Tensor> {
    let values: Vec<f32> = (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 }).collect();
    Tensor::from_vec(values, (t, t), device)
}
