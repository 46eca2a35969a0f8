//! The language model: litgpt's `GPT` configured as Qwen2.5 (`src/model/README.md` section 4), several lanes in one batched pass.
//!
//! Every linear layer sees the rows of all lanes at once, so that the weights are read once; attention is per lane. Norms, softmax
//! and logits are f32. A listening decision computes only its two logits. The layers are candle's (`float`) or packed
//! (`packed`); both run the same passes.

mod float;
mod packed;

use std::sync::Mutex;

use candle_core::{DType, Device, Result as CandleResult};
use smallvec::SmallVec;

use super::checkpoint::Checkpoint;
use super::config::LmConfig;
use super::features::Features;
use super::kv_cache::LaneCache;
use super::rope::Rope;
use super::token_ids::DecisionIds;
use super::weights::{ComputeType, Weights};
use crate::error::Result;
use crate::supervise::lock;

/// One lane's share of a pass: the inputs to feed to its cache, and the rows at which to read logits.
#[derive(Debug)]
pub struct Segment<'a> {
    /// The lane's cache; the pass appends the inputs' rows to it.
    pub cache: &'a mut LaneCache,
    /// Inputs, in the order of their positions.
    pub inputs: Inputs,
    /// Logits to read: (row, counted from 0 over the inputs' rows of this segment; kind).
    pub reads: SmallVec<[(usize, Read); 4]>,
}

/// The inputs of one lane, in order; a list of up to 16, four chunks with their tokens, takes no heap memory.
pub type Inputs = SmallVec<[Input; 16]>;

/// An input of the decoder for one lane.
#[derive(Clone, Debug)]
pub enum Input {
    /// A token id: one row.
    Token(u32),
    /// Feature vectors of sound in place of token embeddings, one row each: ten for a chunk, more for a whole recording.
    Features(Features),
}

impl Input {
    /// Returns the number of rows, which are positions in the cache.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Token(_) => 1,
            Self::Features(features) => features.rows(),
        }
    }
}

/// The logits that a pass computes at a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Only the logits of KEEP_SILENCE and TEXT_BEGIN, between which a decision after a chunk chooses; cheap.
    Decision,
    /// The logits of all tokens.
    Row,
}

/// The logits read in a pass, segment after segment; a list of up to eight takes no heap memory.
pub type PassLogits = SmallVec<[Logits; 8]>;

/// The logits that a [`Read`] returned for a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Logits {
    /// The two logits of a decision after a chunk.
    Decision {
        /// Logit of KEEP_SILENCE.
        silent: f32,
        /// Logit of TEXT_BEGIN.
        respond: f32,
    },
    /// The logits of all tokens, `[padded_vocab_size]`, indexed by token id.
    Row(Vec<f32>),
}

impl Logits {
    /// Returns true if no logit is infinite or NaN.
    pub(super) fn is_finite(&self) -> bool {
        match self {
            Self::Decision { silent, respond } => silent.is_finite() && respond.is_finite(),
            Self::Row(row) => row.iter().all(|v| v.is_finite()),
        }
    }
}

/// The language model's decoder, in float or packed arithmetic. One pass at a time runs; others wait.
#[derive(Debug)]
pub struct Decoder {
    layers: DecoderLayers,
    config: LmConfig,
    /// Number type of the hidden states between the layers.
    dtype: DType,
    device: Device,
    /// Rows and decision logits of the pass in progress.
    index: Mutex<PassIndex>,
}

/// The rows of a pass over all lanes, and the decision logits, in lists whose memory is kept from pass to pass.
#[derive(Debug, Default)]
struct PassIndex {
    /// Rows of each lane.
    spans: Vec<LaneSpan>,
    /// Rows, counted over all lanes, at which the two logits of a decision are read.
    decision_rows: Vec<usize>,
    /// Logits of the decisions, in the order of `decision_rows`: KEEP_SILENCE, TEXT_BEGIN.
    decision_logits: Vec<(f32, f32)>,
    /// Rows, counted over all lanes, at which the logits of all tokens are read.
    full_rows: Vec<usize>,
}

/// The layers of the decoder, in one of the two kinds of arithmetic.
#[derive(Debug)]
enum DecoderLayers {
    /// candle's layers, on any device.
    Float(Box<float::FloatDecoder>),
    /// Layers with packed weights, on the CPU.
    Packed(Box<packed::PackedDecoder>),
}

/// The rows of one lane among all rows of a pass, and the position of the first one in the lane's cache.
#[derive(Debug)]
struct LaneSpan {
    /// Index of the lane's first row among all rows.
    first_row: usize,
    /// Number of rows of the lane.
    rows: usize,
    /// Position of the first row in the lane's cache.
    position: usize,
}

impl Decoder {
    /// Loads the language model of `checkpoint` to `device` (packed layers ignore it and compute on the CPU); `decision` names the
    /// tokens of decision logits.
    ///
    /// # Errors
    /// When a tensor is missing or malformed, naming the tensor.
    pub fn load(checkpoint: &Checkpoint, compute: ComputeType, device: &Device, decision: DecisionIds) -> Result<Self> {
        Self::from_weights(checkpoint, &checkpoint.lm, compute, device, decision)
    }

    /// Builds a decoder of the sizes `config` from `weights`, as [`Decoder::load`] does.
    ///
    /// # Errors
    /// As [`Decoder::load`]; with packed layers also when the size of a head is not a multiple of 16.
    pub fn from_weights(
        weights: &impl Weights,
        config: &LmConfig,
        compute: ComputeType,
        device: &Device,
        decision: DecisionIds,
    ) -> Result<Self> {
        let layers = match compute {
            ComputeType::Float(dtype) => {
                DecoderLayers::Float(Box::new(float::FloatDecoder::new(weights, config, dtype, device, decision)?))
            }
            ComputeType::Packed(bits) => DecoderLayers::Packed(Box::new(packed::PackedDecoder::new(weights, config, bits, decision)?)),
        };
        Ok(Self { layers, config: config.clone(), dtype: compute.dtype(), device: device.clone(), index: Mutex::default() })
    }

    /// Feeds every segment in one batched pass, appends its rows to its cache and returns the logits of all `reads`, segment after
    /// segment, in the order of the reads.
    ///
    /// # Errors
    /// When candle fails, a lane would exceed [`block_size`](Self::block_size), or a cache or features were made for another kind
    /// of layers; the caches are then in an undefined state and must be dropped.
    pub fn pass(&self, segments: &mut [Segment<'_>]) -> CandleResult<PassLogits> {
        // Nothing in the index outlives a pass: the remains of one that panicked are overwritten.
        let mut index = lock(&self.index);
        let index = &mut *index;
        self.index_rows(segments, index)?;
        let rows = match &self.layers {
            DecoderLayers::Float(layers) => {
                let x = layers.pass(&index.spans, segments)?;
                index.decision_logits.extend(layers.decisions(&x, &index.decision_rows)?.iter().map(|pair| (pair[0], pair[1])));
                layers.rows(&x, &index.full_rows)?
            }
            DecoderLayers::Packed(layers) => layers.pass(segments, index)?,
        };
        for (span, segment) in index.spans.iter().zip(segments.iter_mut()) {
            segment.cache.positions += span.rows;
        }
        let (mut decisions, mut rows) = (index.decision_logits.iter(), rows.into_iter());
        let mut next = |read: Read| match read {
            Read::Decision => decisions.next().map(|(silent, respond)| Logits::Decision { silent: *silent, respond: *respond }),
            Read::Row => rows.next().map(Logits::Row),
        };
        Ok(segments.iter().flat_map(|segment| &segment.reads).filter_map(|(_, read)| next(*read)).collect())
    }

    /// Makes an empty cache for this decoder's kind of layers and sizes.
    #[must_use]
    pub fn new_cache(&self) -> LaneCache {
        match self.layers {
            DecoderLayers::Float(_) => LaneCache::float(self.config.n_layer),
            DecoderLayers::Packed(_) => LaneCache::packed(self.config.n_layer, self.config.kv_shape()),
        }
    }

    /// Reads a cache that [`LaneCache::save`] wrote; returns None if the file is missing or damaged, or if its sizes or number type are not
    /// this decoder's.
    #[must_use]
    pub fn load_cache(&self, path: &std::path::Path) -> Option<LaneCache> {
        self.new_cache().load(path, self.config.kv_shape(), self.dtype, self.rope(), &self.device)
    }

    /// Compacts `cache` to the positions `kept` (ascending, disjoint ranges), which move to the lowest positions: keys are rotated
    /// again for their new positions, and nothing else is recomputed.
    ///
    /// # Errors
    /// When candle fails (out of memory).
    pub fn compact(&self, cache: &mut LaneCache, kept: &[std::ops::Range<usize>]) -> CandleResult<()> {
        cache.compact(kept, self.rope())
    }

    /// Returns the frequencies of the position rotations.
    const fn rope(&self) -> &Rope {
        match &self.layers {
            DecoderLayers::Float(layers) => layers.rope(),
            DecoderLayers::Packed(layers) => layers.rope(),
        }
    }

    /// Returns the number type of the hidden states between the layers, and of float features.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns the compute device.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the largest number of positions that the cache of a lane may hold.
    #[must_use]
    pub const fn block_size(&self) -> usize {
        self.config.block_size
    }

    /// Returns the number of weights in the matrices, the embedding table and `lm_head` included.
    #[must_use]
    pub fn weights(&self) -> u64 {
        self.config.weights()
    }

    /// Returns the number of values of an embedding, a feature vector or a hidden state.
    #[must_use]
    pub const fn n_embd(&self) -> usize {
        self.config.n_embd
    }

    /// Fills `index` with the rows that `segments` feed and read; fails if a lane would exceed `block_size` positions.
    fn index_rows(&self, segments: &[Segment<'_>], index: &mut PassIndex) -> CandleResult<()> {
        let PassIndex { spans, decision_rows, decision_logits, full_rows } = index;
        spans.clear();
        decision_rows.clear();
        decision_logits.clear();
        full_rows.clear();
        let mut first_row = 0;
        for segment in segments {
            let rows = segment.inputs.iter().map(Input::rows).sum();
            let position = segment.cache.positions;
            if position + rows > self.config.block_size {
                candle_core::bail!("position {} lies beyond the model's {}", position + rows, self.config.block_size);
            }
            spans.push(LaneSpan { first_row, rows, position });
            for (row, read) in &segment.reads {
                let list = if *read == Read::Decision { &mut *decision_rows } else { &mut *full_rows };
                list.push(first_row + row);
            }
            first_row += rows;
        }
        Ok(())
    }
}
