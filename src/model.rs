//! The model: checkpoint, audio encoder, decoder, KV cache, sampling, token ids and streaming text.
//!
//! A session holds a [`Model`]: log-mel chunks become features, the rows of several lanes go through the decoder in one batched
//! pass, and token ids become text. Formats and numbers: `src/model/README.md`. Not responsible for the time at which any of this
//! happens (`lane`, `session`), nor for sound before its log-mel (`mel`).

pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod digest;
pub mod encoder;
pub mod features;
pub mod gguf;
mod hardware;
pub mod huge_pages;
pub mod kernels;
pub mod kv_cache;
pub mod linear;
pub mod memory;
pub mod pickle;
pub mod precision_choice;
pub mod quantised;
mod quantised_folder;
pub mod random;
pub mod rope;
pub mod sampler;
pub mod speed;
pub mod starter_phrases;
mod tensor_dump;
pub mod text;
pub mod token_ids;
pub mod unicode;
pub mod weights;

use std::ops::Range;
use std::path::Path;

use candle_core::Device;
use sha2::{Digest, Sha256};

use crate::config::{ComputeDevice, Precision};
use crate::error::{Error, ErrorKind, Remedy, Result};
use checkpoint::Checkpoint;
use config::{AudioConfig, LmConfig, ModelSizes};
use decoder::Decoder;
use encoder::Encoder;
use memory::WeightSource;
use quantised::Quantised;
use text::Vocabulary;
use token_ids::TokenIds;
use weights::{ComputeType, Weights};

pub use decoder::{Input, Inputs, Logits, PassLogits, Read, Segment};
pub use encoder::Encodings;
pub use features::Features;
pub use hardware::{acceleration, threads, use_threads};
pub use kernels::cores::set_candle_threads;
pub use kv_cache::LaneCache;
pub use quantised_folder::{is_quantised_from, quantise, quantised_file, quantised_files};
pub use tensor_dump::{TensorData, save_tensors};

/// A loaded model: weights, tokenizer and sizes; read-only, shared by every lane and thread. The state of a lane is its
/// [`LaneCache`].
#[derive(Debug)]
pub struct Model {
    /// Audio encoder: log-mel to features.
    encoder: Encoder,
    /// Language model: features and tokens to logits.
    decoder: Decoder,
    vocabulary: Vocabulary,
    ids: TokenIds,
    /// Hash of the weights and the precision; zeros for random weights.
    fingerprint: [u8; 32],
    precision: Precision,
    /// Name of the model in events.
    name: String,
}

impl Model {
    /// Loads the checkpoint folder `dir` to compute in `precision` on `device`; `name` is the model's name in events. Without a
    /// `precision`: bf16 on a GPU; on the CPU that of a folder with quantised weights only, else f32, or 4 bits for a large model. Weights
    /// that the folder holds already quantised are mapped and used in place, others quantised in memory.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another architecture, naming the file; when the device is not available, or a GPU is
    /// asked for 8 or 4 bits; when memory is too small; when quantised weights were made from other weights than those beside them.
    pub fn load(dir: &Path, name: &str, precision: Option<Precision>, device: ComputeDevice) -> Result<Self> {
        let device = hardware::open_device(device)?;
        let precision = match precision {
            Some(precision) => precision,
            None => precision_choice::default_precision(dir, &device),
        };
        let quantised = match ComputeType::of(precision) {
            ComputeType::Float(_) if device.is_cpu() && hardware::float_products() == hardware::FloatProducts::Fail => {
                let why =
                    "this processor has FMA without AVX2, on which floats cannot be computed: leave the precision to Hearken, or use q8";
                return Err(Error::new(ErrorKind::Arguments, why));
            }
            ComputeType::Float(_) => None,
            ComputeType::Packed(_) if !device.is_cpu() => {
                let why = "8 and 4 bits are computed on the processor only";
                return Err(Error::new(ErrorKind::Arguments, why).with_remedy(Remedy::ChangeDeviceOrPrecision));
            }
            ComputeType::Packed(bits) => Some((bits, quantised::file_in(dir, bits))).filter(|(_, file)| file.exists()),
        };
        // An unreadable configuration is reported below, with its file.
        if let (true, Ok(lm), Ok(audio)) = (device.is_cpu(), LmConfig::read(dir), AudioConfig::read(dir)) {
            let source = if quantised.is_some() { WeightSource::Quantised } else { WeightSource::Checkpoint };
            memory::check(name, ModelSizes { lm: &lm, audio: &audio }, precision, source, memory::available())?;
        }
        let Some((bits, file)) = quantised else {
            let checkpoint = Checkpoint::open(dir)?;
            let fingerprint = checkpoint.fingerprint(precision.name());
            return Loader { dir, name, precision, device, fingerprint }.assemble(&checkpoint);
        };
        let weights = Quantised::open(&file, bits)?;
        if dir.join(checkpoint::INDEX).exists() && Checkpoint::open(dir)?.identity() != weights.source() {
            let why = "was made from other weights than those beside it";
            return Err(Error::model_file(&file, why).with_remedy(Remedy::QuantiseAgain));
        }
        let fingerprint = Sha256::digest(format!("{} {}", weights.source(), precision.name())).into();
        Loader { dir, name, precision, device, fingerprint }.assemble(&weights)
    }

    /// Loads as [`Model::load`] does; when a GPU that was built in cannot be used, loads on the CPU (bf16 then becomes the CPU's default)
    /// and returns the GPU's error beside the model, else None.
    ///
    /// # Errors
    /// As [`Model::load`]; for a GPU that cannot be used, when the CPU fails as well.
    pub fn load_or_fall_back(dir: &Path, name: &str, precision: Option<Precision>, device: ComputeDevice) -> Result<(Self, Option<Error>)> {
        hardware::fall_back(device, |on| {
            // bf16 is the GPU's default, not the CPU's.
            let precision = if on == device { precision } else { precision.filter(|p| *p != Precision::Bf16) };
            Self::load(dir, name, precision, on)
        })
    }

    /// Returns true if the model computes on the CPU.
    #[must_use]
    pub const fn is_on_cpu(&self) -> bool {
        matches!(self.decoder.device(), Device::Cpu)
    }

    /// Makes a model of the released 3B sizes with random weights and an empty vocabulary, on the CPU, for measuring speed.
    ///
    /// # Errors
    /// When memory is too small.
    pub fn random_3b(precision: Precision) -> Result<Self> {
        let (lm, audio) = (LmConfig::released_3b(), AudioConfig::released_3b());
        Self::random("3b (random weights)", ModelSizes { lm: &lm, audio: &audio }, TokenIds::RELEASE, precision)
    }

    /// Makes a model of any sizes with random weights, on the CPU. Control tokens have the given `ids`; the vocabulary is empty: every text
    /// decodes to nothing.
    ///
    /// # Errors
    /// When memory is too small.
    pub fn random(name: &str, sizes: ModelSizes<'_>, ids: TokenIds, precision: Precision) -> Result<Self> {
        Self::of_random(&random::RandomWeights::new(1), name, sizes, ids, precision)
    }

    /// Makes a model of a few layers for estimating the speed of a larger one: random weights, no layer with twice the bits,
    /// control tokens of a small vocabulary ([`TokenIds::few`]).
    ///
    /// # Errors
    /// When memory is too small.
    pub fn slice(sizes: ModelSizes<'_>, precision: Precision) -> Result<Self> {
        Self::of_random(&random::RandomWeights::new(1).uniform_packing(), "a slice", sizes, TokenIds::few(), precision)
    }

    fn of_random(weights: &random::RandomWeights, name: &str, sizes: ModelSizes<'_>, ids: TokenIds, precision: Precision) -> Result<Self> {
        let compute = ComputeType::of(precision);
        memory::check(name, sizes, precision, WeightSource::Quantised, memory::available())?;
        let encoder = Encoder::from_weights(weights, sizes.audio, compute, &Device::Cpu)?;
        let decoder = Decoder::from_weights(weights, sizes.lm, compute, &Device::Cpu, ids.decision())?;
        let vocabulary = Vocabulary::empty(&ids);
        Ok(Self { encoder, decoder, vocabulary, ids, fingerprint: [0; 32], precision, name: name.to_owned() })
    }

    /// Encodes one scaled log-mel chunk `[128, 40]` to features `[10, n_embd]` in the decoder's number type.
    ///
    /// # Errors
    /// When `mel` does not have 3 to 200 frames, or candle fails (out of memory, a device that went away).
    pub fn encode(&self, mel: &[f32]) -> Result<Features> {
        let none = || Error::internal("the encoder returned no features for a chunk");
        self.encode_batch(&[mel])?.pop().ok_or_else(none)
    }

    /// Encodes several chunks, or blocks of recordings, all of the same length, to features each, in order; no block affects another. The
    /// encoder's weights are read once for all.
    ///
    /// # Errors
    /// When the blocks differ in length or do not have 3 to 200 frames, or candle fails.
    pub fn encode_batch(&self, mels: &[&[f32]]) -> Result<Encodings> {
        let mut features = self.encoder.forward(mels).map_err(compute_error)?;
        for of_block in &mut features {
            if let Features::Tensor(tensor) = of_block {
                *tensor = tensor.to_dtype(self.decoder.dtype()).map_err(compute_error)?;
            }
        }
        Ok(features)
    }

    /// Encodes a whole recording, cut into the blocks of [`recording_blocks`](crate::mel::recording_blocks), to `n` feature vectors
    /// `[n, n_embd]`; n = ((L - 1) / 2 + 1 - 2) / 2 + 1 for L frames in all (`src/model/README.md` section 5.5). A last block of
    /// one or two frames gives no feature vector.
    ///
    /// # Errors
    /// As [`Model::encode_batch`].
    pub fn encode_recording(&self, blocks: &[Box<[f32]>]) -> Result<Features> {
        // A last block of one or two frames gives one position without a partner, which is dropped.
        let blocks: Vec<&[f32]> = blocks.iter().map(AsRef::as_ref).filter(|block| encoder::features_of_mel(block) > 0).collect();
        let mut features = Vec::with_capacity(blocks.len());
        // Only the last block may be shorter than the others.
        for alike in blocks.chunk_by(|a, b| a.len() == b.len()) {
            features.extend(self.encode_batch(alike)?);
        }
        Features::cat(&features).map_err(compute_error)
    }

    /// Returns the values of `features` as f32, row after row.
    ///
    /// # Errors
    /// When candle fails.
    pub fn features_f32(&self, features: &Features) -> Result<Vec<f32>> {
        features.values().map_err(compute_error)
    }

    /// Feeds the inputs of every segment to the decoder in one batched forward pass, appends them to the segments' caches, and
    /// returns the logits of all their `reads`, segment after segment, in the order of the reads.
    ///
    /// # Errors
    /// When candle fails, a lane would exceed [`Model::block_size`], or a logit is not finite. The caches must then be dropped.
    pub fn pass(&self, segments: &mut [Segment<'_>]) -> Result<PassLogits> {
        let logits = self.decoder.pass(segments).map_err(compute_error)?;
        if logits.iter().all(Logits::is_finite) {
            Ok(logits)
        } else {
            let why = format!("the model {} computed numbers that are not finite", self.name);
            Err(Error::new(ErrorKind::Model, why).with_remedy(Remedy::ReplaceModel))
        }
    }

    /// Returns the ids of the control tokens.
    #[must_use]
    pub const fn ids(&self) -> &TokenIds {
        &self.ids
    }

    /// Returns the tokenizer.
    #[must_use]
    pub const fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns the model's name in events.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the precision in which the model computes.
    #[must_use]
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// Returns the largest number of positions (tokens and feature vectors) that the cache of a lane may hold.
    #[must_use]
    pub const fn block_size(&self) -> usize {
        self.decoder.block_size()
    }

    /// Returns true if the decoder has at most 500 million weights: any processor of today is taken to run such a model in real time,
    /// without a measurement.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.decoder.weights() <= precision_choice::FLOAT_WEIGHTS
    }

    /// Returns a hash of the weights and their precision, the key of cached results; zeros for random weights.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Makes an empty key/value cache for a new lane.
    #[must_use]
    pub fn new_cache(&self) -> LaneCache {
        self.decoder.new_cache()
    }

    /// Compacts `cache` to the positions `kept` (ascending, disjoint ranges), which move to the lowest positions.
    ///
    /// # Errors
    /// When candle fails (out of memory).
    pub fn compact(&self, cache: &mut LaneCache, kept: &[Range<usize>]) -> Result<()> {
        self.decoder.compact(cache, kept).map_err(compute_error)
    }

    /// Reads a cache that [`LaneCache::save`] wrote. Returns None if the file is missing or damaged, or if its sizes or number type
    /// are not this model's; other weights are not noticed.
    #[must_use]
    pub fn load_cache(&self, path: &Path) -> Option<LaneCache> {
        self.decoder.load_cache(path)
    }

    /// Returns the decoder, for tools that need its sizes.
    #[must_use]
    pub const fn decoder(&self) -> &Decoder {
        &self.decoder
    }
}

/// The settings for loading a checkpoint folder, all but the weights.
struct Loader<'a> {
    dir: &'a Path,
    name: &'a str,
    precision: Precision,
    device: Device,
    /// Hash of the weights and the precision.
    fingerprint: [u8; 32],
}

impl Loader<'_> {
    /// Reads configuration, token ids and tokenizer of the checkpoint folder, and builds the model from `weights`.
    fn assemble(self, weights: &impl Weights) -> Result<Model> {
        let (lm, audio) = (LmConfig::read(self.dir)?, AudioConfig::read(self.dir)?);
        let compute = ComputeType::of(self.precision);
        let ids = TokenIds::read(self.dir, lm.padded_vocab_size)?;
        let vocabulary = Vocabulary::read(self.dir, &ids, lm.padded_vocab_size)?;
        let encoder = Encoder::from_weights(weights, &audio, compute, &self.device)?;
        let decoder = Decoder::from_weights(weights, &lm, compute, &self.device, ids.decision())?;
        let (fingerprint, precision) = (self.fingerprint, self.precision);
        Ok(Model { encoder, decoder, vocabulary, ids, fingerprint, precision, name: self.name.to_owned() })
    }
}

/// Returns the error for a failed computation of candle.
#[allow(clippy::needless_pass_by_value, reason = "map_err passes the error by value")]
fn compute_error(error: candle_core::Error) -> Error {
    Error::internal(format_args!("computing with the model failed: {error}"))
}
