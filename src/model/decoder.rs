//! The language model: litgpt's `GPT` as Qwen2.5 uses it (MODEL.md section 4), several lanes in one batched pass.
//!
//! Every linear layer sees the rows of all lanes at once, so the weights are read once; attention is per lane. Norms,
//! softmax and logits are f32. While a lane listens only the two logits that can be chosen are computed. The layers are
//! candle's ([`float`]) or packed ([`packed`]); what a pass is, is the same for both.

mod float;
mod packed;

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Result as CandleResult};
use smallvec::SmallVec;

use super::checkpoint::Checkpoint;
use super::config::LmConfig;
use super::features::Features;
use super::kv_cache::LaneCache;
use super::rope::Rope;
use super::weights::{ComputeType, Weights};
use crate::error::Result;

/// One lane's share of a pass: what to feed, and at which of those rows to read.
#[derive(Debug)]
pub struct Segment<'a> {
    /// The lane's cache; the rows are appended to it.
    pub cache: &'a mut LaneCache,
    /// What is fed, in order.
    pub inputs: Inputs,
    /// What is read, as (row within this segment, what).
    pub reads: SmallVec<[(usize, Read); 4]>,
}

/// What one lane feeds, in order; four chunks with their tokens without memory of their own.
pub type Inputs = SmallVec<[Input; 16]>;

/// Something that is fed.
#[derive(Clone, Debug)]
pub enum Input {
    /// One token: one row.
    Token(u32),
    /// Features `[rows, n_embd]` in place of as many PADs: ten of a chunk, more of a whole recording.
    Features(Features),
}

impl Input {
    /// Rows that it takes.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Token(_) => 1,
            Self::Features(features) => features.rows(),
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

/// What was read in a pass, one segment's after the other's; of as many lanes as are usual without memory of their own.
pub type PassLogits = SmallVec<[Logits; 8]>;

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

/// The decoder.
#[derive(Debug)]
pub struct Decoder {
    layers: DecoderLayers,
    config: LmConfig,
    dtype: DType,
    device: Device,
    index: Mutex<PassIndex>,
}

/// What a pass is about, in index whose memory is kept.
#[derive(Debug, Default)]
struct PassIndex {
    spans: Vec<LaneSpan>,
    /// Rows of which the two logits that can be chosen are read, and those logits.
    decisions: Vec<usize>,
    pairs: Vec<(f32, f32)>,
    /// Rows of which all logits are read.
    rows: Vec<usize>,
}

#[derive(Debug)]
enum DecoderLayers {
    Float(Box<float::FloatDecoder>),
    Packed(Box<packed::PackedDecoder>),
}

/// Where the rows of one lane lie in a pass, and in its own positions.
#[derive(Debug)]
struct LaneSpan {
    first_row: usize,
    rows: usize,
    position: usize,
}

impl Decoder {
    /// Loads the language model of `checkpoint`; `decision` are the ids of KEEP_SILENCE and TEXT_BEGIN.
    ///
    /// # Errors
    /// When a tensor is missing or wrong, naming it.
    pub fn load(checkpoint: &Checkpoint, numbers: ComputeType, device: &Device, decision: (u32, u32)) -> Result<Self> {
        Self::from_weights(checkpoint, &checkpoint.lm, numbers, device, decision)
    }

    /// Builds a decoder of the sizes `config`.
    ///
    /// # Errors
    /// As [`Decoder::load`].
    pub fn from_weights(
        weights: &impl Weights,
        config: &LmConfig,
        numbers: ComputeType,
        device: &Device,
        decision: (u32, u32),
    ) -> Result<Self> {
        let layers = match numbers {
            ComputeType::Float(dtype) => {
                DecoderLayers::Float(Box::new(float::FloatDecoder::new(weights, config, dtype, device, decision)?))
            }
            ComputeType::Packed(bits) => DecoderLayers::Packed(Box::new(packed::PackedDecoder::new(weights, config, bits, decision)?)),
        };
        Ok(Self { layers, config: config.clone(), dtype: numbers.dtype(), device: device.clone(), index: Mutex::default() })
    }

    /// Feeds every segment, appends to its cache and reads what it asks for, in its order; one segment's after the other's.
    ///
    /// # Errors
    /// When candle fails; the caches are then in an undefined state and must be dropped.
    pub fn pass(&self, segments: &mut [Segment<'_>]) -> CandleResult<PassLogits> {
        // Nothing in the index outlives a pass: what one that panicked left behind is overwritten.
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let index = &mut *index;
        self.list(segments, index)?;
        let rows = match &self.layers {
            DecoderLayers::Float(layers) => {
                let x = layers.pass(&index.spans, segments)?;
                index.pairs.extend(layers.decisions(&x, &index.decisions)?.iter().map(|pair| (pair[0], pair[1])));
                layers.rows(&x, &index.rows)?
            }
            DecoderLayers::Packed(layers) => layers.pass(segments, index)?,
        };
        for (span, segment) in index.spans.iter().zip(segments.iter_mut()) {
            segment.cache.positions += span.rows;
        }
        let (mut decisions, mut rows) = (index.pairs.iter(), rows.into_iter());
        let mut next = |what: Read| match what {
            Read::Decision => decisions.next().map(|(silent, respond)| Logits::Decision { silent: *silent, respond: *respond }),
            Read::Row => rows.next().map(Logits::Row),
        };
        Ok(segments.iter().flat_map(|segment| &segment.reads).filter_map(|(_, what)| next(*what)).collect())
    }

    /// An empty cache of this decoder's depth.
    #[must_use]
    pub fn new_cache(&self) -> LaneCache {
        match self.layers {
            DecoderLayers::Float(_) => LaneCache::float(self.config.n_layer),
            DecoderLayers::Packed(_) => LaneCache::packed(self.config.n_layer, self.config.groups(), self.config.head()),
        }
    }

    /// A cache that [`LaneCache::save`] wrote; None unless it is one of this decoder's.
    #[must_use]
    pub fn load_cache(&self, path: &std::path::Path) -> Option<LaneCache> {
        self.new_cache().load(path, (self.config.groups(), self.config.head(), self.dtype), self.rope(), &self.device)
    }

    /// Makes room in `cache`: the positions `kept` (in order, none twice) move to the lowest positions. Nothing is computed
    /// again but the rotation of the keys that moved.
    ///
    /// # Errors
    /// When candle fails (out of memory).
    pub fn compact(&self, cache: &mut LaneCache, kept: &[std::ops::Range<usize>]) -> CandleResult<()> {
        cache.compact(kept, self.rope())
    }

    const fn rope(&self) -> &Rope {
        match &self.layers {
            DecoderLayers::Float(layers) => layers.rope(),
            DecoderLayers::Packed(layers) => layers.rope(),
        }
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

    /// Weights of its matrices.
    #[must_use]
    pub fn weights(&self) -> u64 {
        self.config.weights()
    }

    /// Size of an embedding.
    #[must_use]
    pub const fn n_embd(&self) -> usize {
        self.config.n_embd
    }

    /// PassIndex what `segments` feed and read.
    fn list(&self, segments: &[Segment<'_>], index: &mut PassIndex) -> CandleResult<()> {
        let PassIndex { spans, decisions, pairs, rows: whole } = index;
        spans.clear();
        decisions.clear();
        pairs.clear();
        whole.clear();
        let mut first_row = 0;
        for segment in segments {
            let rows = segment.inputs.iter().map(Input::rows).sum();
            let position = segment.cache.positions;
            if position + rows > self.config.block_size {
                candle_core::bail!("position {} lies beyond the model's {}", position + rows, self.config.block_size);
            }
            spans.push(LaneSpan { first_row, rows, position });
            for (row, what) in &segment.reads {
                let list = if *what == Read::Decision { &mut *decisions } else { &mut *whole };
                list.push(first_row + row);
            }
            first_row += rows;
        }
        Ok(())
    }
}
