//! The model: checkpoint, audio encoder, decoder, KV cache, sampling, token ids and streaming text.
//!
//! [`Model`] is what the engine holds: log-mel chunks go in as features, rows of several lanes go through the decoder in
//! one batched pass, and text comes out of token ids. Not responsible for when any of this happens (that is `lane` and
//! `engine`), nor for sound before its log-mel.

pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod encoder;
pub mod features;
pub mod gguf;
pub mod kernels;
pub mod kv;
pub mod large_pages;
pub mod linear;
pub mod memory;
pub mod pickle;
pub mod precision_choice;
pub mod quantised;
pub mod random;
pub mod rope;
pub mod sampler;
pub mod speed;
pub mod starter_phrases;
pub mod text;
pub mod token_ids;
pub mod unicode;
pub mod weights;

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use crate::config::{ComputeDevice, Precision};
use crate::error::{Error, ErrorKind, Remedy, Result};
use checkpoint::Checkpoint;
use config::{AudioConfig, LmConfig};
use decoder::Decoder;
use encoder::Encoder;
use memory::Origin;
use quantised::Quantised;
use sha2::{Digest, Sha256};
use text::Vocabulary;
use token_ids::TokenIds;
use weights::{ComputeType, Weights};

/// Weights up to which a processor of today computes floats in real time: at 13 positions a chunk and 20 GB/s.
const FLOAT_WEIGHTS: u64 = 500_000_000;
/// What a folder needs beside its weights.
const SMALL_FILES: &[&str] = &[config::LM_CONFIG, config::AUDIO_CONFIG, token_ids::TOKEN_IDS, "tokenizer.json", "phrases.toml"];

pub use decoder::{Input, Inputs, Logits, PassLogits, Read, Segment};
pub use encoder::Encodings;
pub use features::Features;
pub use kv::LaneCache;

/// A loaded model: read-only, shared by every lane and thread.
#[derive(Debug)]
pub struct Model {
    encoder: Encoder,
    decoder: Decoder,
    vocabulary: Vocabulary,
    ids: TokenIds,
    fingerprint: [u8; 32],
    precision: Precision,
    name: String,
}

impl Model {
    /// Loads the checkpoint folder `dir` to compute in `precision` (what suits it, when none is given) on `device`; `name` is
    /// how events call it. Where the folder holds the weights quantised already, those are mapped and used as they lie.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another architecture, naming the file; when the device is not there.
    pub fn load(dir: &Path, name: &str, precision: Option<Precision>, device: ComputeDevice) -> Result<Self> {
        let device = open_device(device)?;
        let precision = match precision {
            Some(precision) => precision,
            None => suitable_precision(dir, &device)?,
        };
        let quantised = match numbers_of(precision) {
            ComputeType::Float(_) => None,
            ComputeType::Packed(_) if !device.is_cpu() => {
                let why = "8 and 4 bits are computed on the processor only";
                return Err(Error::new(ErrorKind::Arguments, why).with_remedy(Remedy::ChangeDeviceOrPrecision));
            }
            ComputeType::Packed(bits) => Some((bits, quantised::file_in(dir, bits))).filter(|(_, file)| file.exists()),
        };
        // A configuration that cannot be read is told of below.
        if let (true, Ok(lm), Ok(audio)) = (device.is_cpu(), LmConfig::read(dir), AudioConfig::read(dir)) {
            let origin = if quantised.is_some() { Origin::Quantised } else { Origin::Checkpoint };
            memory::check(name, (&lm, &audio), (precision, origin), memory::available())?;
        }
        let Some((bits, file)) = quantised else {
            let checkpoint = Checkpoint::open(dir)?;
            let fingerprint = checkpoint.fingerprint(precision.name());
            return Self::assemble(dir, name, &checkpoint, fingerprint, (precision, &device));
        };
        let weights = Quantised::open(&file, bits)?;
        if dir.join(checkpoint::INDEX).exists() && Checkpoint::open(dir)?.identity() != weights.source() {
            let why = "was made from other weights than those beside it";
            return Err(Error::at(ErrorKind::Model, &file, why).with_remedy(Remedy::QuantiseAgain));
        }
        let fingerprint = Sha256::digest(format!("{} {}", weights.source(), precision.name())).into();
        Self::assemble(dir, name, &weights, fingerprint, (precision, &device))
    }

    /// As [`Model::load`]; where a GPU fails, on the processor, with what is to be said about that.
    ///
    /// # Errors
    /// As [`Model::load`], when the processor is no help either.
    pub fn load_or_fall_back(dir: &Path, name: &str, precision: Option<Precision>, device: ComputeDevice) -> Result<(Self, Option<Error>)> {
        fall_back(device, |on| {
            // What suits the GPU does not suit the processor.
            let precision = if on == device { precision } else { precision.filter(|p| *p != Precision::Bf16) };
            Self::load(dir, name, precision, on)
        })
    }

    /// Whether it computes on the processor.
    #[must_use]
    pub const fn is_on_cpu(&self) -> bool {
        matches!(self.decoder.device(), Device::Cpu)
    }

    fn assemble(dir: &Path, name: &str, weights: &impl Weights, fingerprint: [u8; 32], on: (Precision, &Device)) -> Result<Self> {
        let (lm, audio) = (LmConfig::read(dir)?, AudioConfig::read(dir)?);
        let (precision, device) = on;
        let numbers = numbers_of(precision);
        let ids = TokenIds::read(dir, lm.padded_vocab_size)?;
        let vocabulary = Vocabulary::read(dir, &ids, lm.padded_vocab_size)?;
        let encoder = Encoder::from_weights(weights, &audio, numbers, device)?;
        let decoder = Decoder::from_weights(weights, &lm, numbers, device, (ids.keep_silence, ids.text_begin))?;
        Ok(Self { encoder, decoder, vocabulary, ids, fingerprint, precision, name: name.to_owned() })
    }

    /// A model of the released 3B sizes with random weights and a vocabulary that spells nothing, for measuring.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn random_3b(precision: Precision) -> Result<Self> {
        let sizes = (LmConfig::released_3b(), AudioConfig::released_3b());
        Self::random("3b (random weights)", (&sizes.0, &sizes.1), TokenIds::RELEASE, precision)
    }

    /// The same of any sizes, whose vocabulary holds `ids`.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn random(name: &str, (lm, audio): (&LmConfig, &AudioConfig), ids: TokenIds, precision: Precision) -> Result<Self> {
        Self::of_random(&random::RandomWeights::new(1), name, (lm, audio), ids, precision)
    }

    /// A slice of a larger model, of these few layers: random weights packed as most of the layers are.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn slice(sizes: (&LmConfig, &AudioConfig), precision: Precision) -> Result<Self> {
        Self::of_random(&random::RandomWeights::new(1).alike(), "a slice", sizes, TokenIds::few(), precision)
    }

    fn of_random(
        weights: &random::RandomWeights,
        name: &str,
        (lm, audio): (&LmConfig, &AudioConfig),
        ids: TokenIds,
        precision: Precision,
    ) -> Result<Self> {
        let numbers = numbers_of(precision);
        memory::check(name, (lm, audio), (precision, Origin::Quantised), memory::available())?;
        let encoder = Encoder::from_weights(weights, audio, numbers, &Device::Cpu)?;
        let decoder = Decoder::from_weights(weights, lm, numbers, &Device::Cpu, (ids.keep_silence, ids.text_begin))?;
        let vocabulary = Vocabulary::empty(&ids);
        Ok(Self { encoder, decoder, vocabulary, ids, fingerprint: [0; 32], precision, name: name.to_owned() })
    }

    /// The encoder's features of one scaled log-mel chunk `[128, 40]`: `[10, n_embd]` in the decoder's number type.
    ///
    /// # Errors
    /// When candle fails (out of memory, a device that went away).
    pub fn encode(&self, mel: &[f32]) -> Result<Features> {
        let none = || Error::internal("the encoder gave nothing for a chunk");
        self.encode_batch(&[mel])?.pop().ok_or_else(none)
    }

    /// The same of several chunks, of whatever sounds, or blocks of one length: the weights are read once for all.
    ///
    /// # Errors
    /// As [`Model::encode`].
    pub fn encode_batch(&self, mels: &[&[f32]]) -> Result<Encodings> {
        let mut features = self.encoder.forward(mels).map_err(computing)?;
        for of in &mut features {
            if let Features::Tensor(tensor) = of {
                *tensor = tensor.to_dtype(self.decoder.dtype()).map_err(computing)?;
            }
        }
        Ok(features)
    }

    /// The features `[n, n_embd]` of a whole recording in the `blocks` that [`mel::recording_blocks`](crate::mel::recording_blocks) gives: one after the
    /// other, n = ((L-1)/2+1-2)/2+1 of L frames in all (MODEL.md section 5.5).
    ///
    /// # Errors
    /// As [`Model::encode`].
    pub fn encode_recording(&self, blocks: &[Box<[f32]>]) -> Result<Features> {
        // A last block of one or two frames has one position, which finds no partner and is dropped.
        let blocks: Vec<&[f32]> = blocks.iter().map(AsRef::as_ref).filter(|block| encoder::features_of_mel(block) > 0).collect();
        let mut features = Vec::with_capacity(blocks.len());
        // Only the last block may be shorter than the others.
        for alike in blocks.chunk_by(|a, b| a.len() == b.len()) {
            features.extend(self.encode_batch(alike)?);
        }
        Features::cat(&features).map_err(computing)
    }

    /// The numbers of `features`, row after row.
    ///
    /// # Errors
    /// When candle fails.
    pub fn features_f32(&self, features: &Features) -> Result<Vec<f32>> {
        features.numbers().map_err(computing)
    }

    /// Advances every segment in one batched pass and returns what they asked to read, one segment's after the other's.
    ///
    /// # Errors
    /// When candle fails, or a lane's numbers are no longer finite.
    pub fn pass(&self, segments: &mut [Segment<'_>]) -> Result<PassLogits> {
        let logits = self.decoder.pass(segments).map_err(computing)?;
        if logits.iter().all(Logits::is_finite) {
            Ok(logits)
        } else {
            let why = format!("the model {} computed numbers that are not finite", self.name);
            Err(Error::new(ErrorKind::Model, why).with_remedy(Remedy::ReplaceModel))
        }
    }

    /// The ids of the control tokens.
    #[must_use]
    pub const fn ids(&self) -> &TokenIds {
        &self.ids
    }

    /// The tokenizer.
    #[must_use]
    pub const fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Name as it stands in events.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The numbers that it computes in.
    #[must_use]
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// Largest position + 1 that the decoder can take.
    #[must_use]
    pub const fn block_size(&self) -> usize {
        self.decoder.block_size()
    }

    /// Whether any processor of today runs it in real time.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.decoder.weights() <= FLOAT_WEIGHTS
    }

    /// What identifies the weights and their precision, for caches made with them.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// An empty cache for a new lane.
    #[must_use]
    pub fn new_cache(&self) -> LaneCache {
        self.decoder.new_cache()
    }

    /// Makes room in `cache`: the positions `kept` (in order, none twice) move to the lowest positions.
    ///
    /// # Errors
    /// When candle fails (out of memory).
    pub fn compact(&self, cache: &mut LaneCache, kept: &[Range<usize>]) -> Result<()> {
        self.decoder.compact(cache, kept).map_err(computing)
    }

    /// Reads a cache that [`LaneCache::save`] wrote; None unless it is one of this model's sizes.
    #[must_use]
    pub fn load_cache(&self, path: &Path) -> Option<LaneCache> {
        self.decoder.load_cache(path)
    }

    /// The decoder, for the tools.
    #[must_use]
    pub const fn decoder(&self) -> &Decoder {
        &self.decoder
    }
}

/// Writes the weights of the checkpoint folder `dir` in `precision`, quantised, into the folder `out`, with the small files
/// that a folder needs beside them; `progress` is told how many of how many numbers are done, and says whether to go on.
/// Returns the file.
///
/// # Errors
/// When the checkpoint is damaged, `precision` is not one that is quantised, `out` cannot be written, or `progress` says no.
pub fn quantise(dir: &Path, precision: Precision, out: &Path, progress: impl FnMut(u64, u64) -> ControlFlow<()>) -> Result<PathBuf> {
    let ComputeType::Packed(bits) = numbers_of(precision) else {
        return Err(Error::new(ErrorKind::Arguments, "weights are quantised to q8 or q4"));
    };
    let checkpoint = Checkpoint::open(dir)?;
    let ids = TokenIds::read(dir, checkpoint.lm.padded_vocab_size)?;
    for name in SMALL_FILES {
        let (from, to) = (dir.join(name), out.join(name));
        if from == to || !from.exists() {
            continue;
        }
        let copied = to.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::copy(&from, &to));
        copied.map_err(|e| Error::cannot_write(&to, &e))?;
    }
    let file = quantised::file_in(out, bits);
    quantised::quantise(&checkpoint, bits, &[ids.keep_silence, ids.text_begin], &file, progress)?;
    Ok(file)
}

/// The file in the folder `dir` that holds its weights in `precision`, there or not; None for numbers that are not quantised.
#[must_use]
pub fn quantised_file(dir: &Path, precision: Precision) -> Option<PathBuf> {
    match numbers_of(precision) {
        ComputeType::Packed(bits) => Some(quantised::file_in(dir, bits)),
        ComputeType::Float(_) => None,
    }
}

/// The files of quantised weights that the folder `dir` holds.
#[must_use]
pub fn quantised_files(dir: &Path) -> Vec<PathBuf> {
    [Precision::Q4, Precision::Q8].iter().filter_map(|precision| quantised_file(dir, *precision)).filter(|file| file.is_file()).collect()
}

/// Whether the folder `dir` holds the weights of the checkpoint folder `source` in `precision`, complete.
#[must_use]
pub fn is_quantised_from(dir: &Path, precision: Precision, source: &Path) -> bool {
    let ComputeType::Packed(bits) = numbers_of(precision) else { return false };
    let made = Quantised::open(&quantised::file_in(dir, bits), bits);
    made.is_ok_and(|made| Checkpoint::open(source).is_ok_and(|checkpoint| checkpoint.identity() == made.source()))
}

/// ComputeType to be written under a name, with their shape.
#[derive(Clone, Debug)]
pub enum TensorData<'a> {
    /// 32-bit floats.
    F32(&'a [f32], Vec<usize>),
    /// 64-bit integers.
    I64(Vec<i64>, Vec<usize>),
}

/// Writes `tensors` as the safetensors file `path`.
///
/// # Errors
/// When it cannot be written, naming it.
pub fn save_tensors(tensors: &[(&str, TensorData<'_>)], path: &Path) -> Result<()> {
    let failed = |e: candle_core::Error| Error::at(ErrorKind::Output, path, e).with_remedy(Remedy::ChooseOtherPlace);
    let mut all = HashMap::new();
    for (name, numbers) in tensors {
        let tensor = match numbers {
            TensorData::F32(values, shape) => Tensor::from_slice(values, shape.as_slice(), &Device::Cpu),
            TensorData::I64(values, shape) => Tensor::from_slice(values, shape.as_slice(), &Device::Cpu),
        };
        all.insert((*name).to_owned(), tensor.map_err(failed)?);
    }
    candle_core::safetensors::save(&all, path).map_err(failed)
}

pub use kernels::cores::set_candle_threads;

/// Computes with `threads` threads from now on, or as many as this process may run at the same time, where that is less: more
/// would take turns at waiting for one another. The first call of the process decides.
pub fn use_threads(threads: usize) {
    let threads = threads.min(kernels::cores::allowed());
    kernels::thread_pool::set_size(threads);
    // A pool that exists already keeps its size: two sessions of one process share it.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}

/// Threads that computing uses: as many as [`use_threads`] said, else one per physical core.
#[must_use]
pub fn threads() -> usize {
    kernels::thread_pool::thread_pool().threads()
}

/// The instructions of this processor that computing uses, and the back ends that were built in.
#[must_use]
pub fn acceleration() -> String {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    for (name, here) in [
        ("AVX2", std::is_x86_feature_detected!("avx2")),
        ("FMA", std::is_x86_feature_detected!("fma")),
        ("AVX-512F", std::is_x86_feature_detected!("avx512f")),
        ("AVX-512 VNNI", std::is_x86_feature_detected!("avx512vnni")),
    ] {
        if here {
            found.push(name);
        }
    }
    for (name, built) in [("CUDA", cfg!(feature = "cuda")), ("Metal", cfg!(feature = "metal")), ("MKL", cfg!(feature = "mkl"))] {
        if built {
            found.push(name);
        }
    }
    let found = if found.is_empty() { "processor without vector extensions that are looked for".into() } else { found.join(", ") };
    format!("{found}; 8 and 4 bits by {}", kernels::InstructionSet::best().name())
}

/// What a folder computes in when nobody says: what it holds quantised; else 4 bits for what is too large for floats in real
/// time on a processor, and what the reference computes in for the rest. The same on every run, so nothing is measured here.
fn suitable_precision(dir: &Path, device: &Device) -> Result<Precision> {
    if !device.is_cpu() {
        return Ok(Precision::Bf16);
    }
    if dir.is_dir() && !dir.join(checkpoint::INDEX).exists() {
        for (precision, bits) in [(Precision::Q4, kernels::Bits::Four), (Precision::Q8, kernels::Bits::Eight)] {
            if quantised::file_in(dir, bits).exists() {
                return Ok(precision);
            }
        }
    }
    let weights = LmConfig::read(dir).map_or(0, |lm| lm.weights());
    Ok(if weights > FLOAT_WEIGHTS { Precision::Q4 } else { Precision::F32 })
}

const fn numbers_of(precision: Precision) -> ComputeType {
    match precision {
        Precision::F32 => ComputeType::Float(DType::F32),
        Precision::Bf16 => ComputeType::Float(DType::BF16),
        Precision::Q8 => ComputeType::Packed(kernels::Bits::Eight),
        Precision::Q4 => ComputeType::Packed(kernels::Bits::Four),
    }
}

/// What `load` gives for `device`; where that fails and is no processor, what it gives for the processor, and why.
fn fall_back<T>(device: ComputeDevice, load: impl Fn(ComputeDevice) -> Result<T>) -> Result<(T, Option<Error>)> {
    let error = match load(device) {
        Ok(model) => return Ok((model, None)),
        Err(error) => error,
    };
    // A device that was not built in is a mistake to be told, and a model that is not there is not there for the processor.
    if device == ComputeDevice::Cpu || error.kind() != ErrorKind::Device {
        return Err(error);
    }
    let model = load(ComputeDevice::Cpu)?;
    let why = format!("{}: Hearken computes on the processor", error.message());
    Ok((model, Some(Error::new(ErrorKind::Device, why).with_remedy(error.remedy()))))
}

fn open_device(device: ComputeDevice) -> Result<Device> {
    let missing = |name: &str, feature: &str| {
        Error::new(
            ErrorKind::Arguments,
            format!("this Hearken was built without {name}; build it with --features {feature}, or use --device cpu"),
        )
    };
    match device {
        ComputeDevice::Cpu => Ok(Device::Cpu),
        ComputeDevice::Cuda if !cfg!(feature = "cuda") => Err(missing("CUDA", "cuda")),
        ComputeDevice::Metal if !cfg!(feature = "metal") => Err(missing("Metal", "metal")),
        ComputeDevice::Cuda => Device::new_cuda(0).map_err(|e| {
            Error::new(ErrorKind::Device, format!("the NVIDIA card cannot be used ({e})")).with_remedy(Remedy::UpdateGraphicsDriver)
        }),
        ComputeDevice::Metal => Device::new_metal(0)
            .map_err(|e| Error::new(ErrorKind::Device, format!("the GPU cannot be used ({e})")).with_remedy(Remedy::UpdateGraphicsDriver)),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn computing(error: candle_core::Error) -> Error {
    Error::internal(format_args!("computing with the model failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_fails_is_told_and_the_processor_takes_over() {
        let failing =
            |kind| move |device| if device == ComputeDevice::Cpu { Ok(device) } else { Err(Error::new(kind, "the driver is old")) };
        let (device, told) = fall_back(ComputeDevice::Cuda, failing(ErrorKind::Device)).unwrap();
        assert_eq!(device, ComputeDevice::Cpu);
        assert!(told.unwrap().message().starts_with("the driver is old: Hearken computes on the processor"));
        assert!(fall_back(ComputeDevice::Cuda, failing(ErrorKind::Arguments)).is_err(), "what was not built in is refused");
        assert_eq!(fall_back(ComputeDevice::Cpu, failing(ErrorKind::Device)).unwrap(), (ComputeDevice::Cpu, None));
        let never = |_| -> Result<()> { Err(Error::new(ErrorKind::Device, "no")) };
        assert!(fall_back(ComputeDevice::Metal, never).is_err());
    }
}
