//! The released checkpoint format: sharded safetensors with an index, and the encoder's pickle (`src/model/README.md` sections 1,
//! 3.1 and 4.1).
//!
//! Opening checks that every file exists and holds exactly the tensors that the configuration implies; tensors are memory-mapped
//! and read on demand. Not responsible for the computation with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::config::{AUDIO_CONFIG, AudioConfig, LM_CONFIG, LmConfig, read_text};
use super::digest::hex;
use super::pickle::TorchFile;
use super::weights::{MatrixShape, Weights};
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Name of the index file, which names the shard of every tensor.
pub const INDEX: &str = "model.safetensors.index.json";
/// Name of the only file of weights of a checkpoint without an index.
const SINGLE: &str = "model.safetensors";
/// Names of the file of the encoder's weights: that of today, and that of older releases.
const ENCODERS: [&str; 2] = ["audiointeraction_ChunkwisedEncoder.pth", "MiniOmni3_ChunkwisedEncoder.pth"];

/// Largest number of layers whose tensor names are listed: a hostile layer count fails at the first missing tensor without filling memory.
const MAX_LAYERS: usize = 4_096;
/// Number of bytes at the beginning of each tensor that [`Checkpoint::identity`] covers.
const IDENTITY_BYTES: usize = 64;

/// An open checkpoint folder: configuration and headers are read, tensors on demand.
#[derive(Debug)]
pub struct Checkpoint {
    /// Sizes of the language model.
    pub lm: LmConfig,
    /// Sizes of the audio encoder.
    pub audio: AudioConfig,
    /// Files of the language model's weights.
    shards: Vec<Shard>,
    /// Index in `shards` of each tensor of the language model, by its stored name.
    shard_of: BTreeMap<String, usize>,
    /// File of the encoder's weights.
    encoder: TorchFile,
    encoder_path: PathBuf,
}

/// A memory-mapped safetensors file of the language model.
#[derive(Debug)]
struct Shard {
    path: PathBuf,
    map: Mmap,
}

impl Checkpoint {
    /// Opens the checkpoint folder `dir`: reads the configuration and all headers, and maps the shards; tensors are not read.
    ///
    /// # Errors
    /// When a file is missing or damaged, a tensor is missing or does not belong to the model, or the configuration is not
    /// implemented; names the file. Shapes and values are checked when a tensor is read.
    pub fn open(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::model_file(dir, "there is no such folder"));
        }
        let lm = LmConfig::read(dir)?;
        let audio = AudioConfig::read(dir)?;
        if audio.output_dim != lm.n_embd {
            let why =
                format!("`output_dim` is {} where `n_embd` of {LM_CONFIG} is {}: features would not fit", audio.output_dim, lm.n_embd);
            return Err(Error::at(ErrorKind::UnsupportedModel, &dir.join(AUDIO_CONFIG), why).with_remedy(Remedy::ChooseOtherModel));
        }
        let (shards, shard_of) = open_shards(dir)?;
        let Some(encoder_path) = ENCODERS.iter().map(|name| dir.join(name)).find(|path| path.exists()) else {
            return Err(Error::model_file(&dir.join(ENCODERS[0]), "this file of the checkpoint is missing"));
        };
        let encoder = TorchFile::open(&encoder_path)?;
        let checkpoint = Self { lm, audio, shards, shard_of, encoder, encoder_path };
        checkpoint.check_names(dir)?;
        Ok(checkpoint)
    }

    /// Returns a hash of the weights and the name `precision`, the key of cached results. It covers the size and modification time
    /// of every file of weights and the first bytes of each tensor of the language model, because hashing 7 GB at every start takes
    /// longer than recomputing the results.
    #[must_use]
    pub fn fingerprint(&self, precision: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(precision);
        hash.update(self.identity());
        let files = self.shards.iter().map(|s| &s.path).chain([&self.encoder_path]);
        for path in files {
            if let Ok(meta) = path.metadata() {
                let changed = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
                hash.update(meta.len().to_le_bytes());
                hash.update(changed.as_nanos().to_le_bytes());
            }
        }
        hash.finalize().into()
    }

    /// Returns a hash, in hexadecimal, that identifies the weights independently of their location. It covers the name and the
    /// first 64 bytes of each tensor of the language model; the encoder is not covered.
    #[must_use]
    pub fn identity(&self) -> String {
        let mut hash = Sha256::new();
        for shard in &self.shards {
            if let Ok(tensors) = SafeTensors::deserialize(&shard.map) {
                // Sorted, because the file's own index is a hash map.
                let mut all: Vec<_> = tensors.iter().collect();
                all.sort_by(|a, b| a.0.cmp(b.0));
                for (name, view) in all {
                    hash.update(name);
                    hash.update(&view.data()[..view.data().len().min(IDENTITY_BYTES)]);
                }
            }
        }
        hex(&hash.finalize())
    }

    /// Returns names and shapes of all tensors that the model uses, sorted by name; a tensor of very old shards has its name of
    /// today.
    ///
    /// # Errors
    /// When a header cannot be read, naming the file.
    pub fn shapes(&self) -> Result<Vec<(String, Vec<usize>)>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let file =
                SafeTensors::deserialize(&shard.map).map_err(|e| Error::model_file(&shard.path, format!("truncated or damaged ({e})")))?;
            all.extend(file.iter().map(|(name, view)| (name.replace(".attn.attn.", ".attn.qkv."), view.shape().to_vec())));
        }
        for name in encoder_names(&self.audio) {
            let shape = self.encoder.shape(&name)?.to_vec();
            all.push((name, shape));
        }
        all.sort();
        Ok(all)
    }

    /// Reads the rows `rows` (indices of the first dimension) of the tensor `name`, which must have `shape`, as f32, row after row.
    /// Reads only those rows if the language model stores the tensor under this name, else the whole tensor.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub fn block(&self, name: &str, shape: &[usize], rows: Range<usize>) -> Result<Vec<f32>> {
        if rows != (0..shape[0])
            && let Some(shard) = self.shard_of.get(name).and_then(|at| self.shards.get(*at))
        {
            let part = |tensor: &TensorView<'_>| -> Option<Tensor> {
                let dtype = number_type(tensor.dtype())?;
                let row = tensor.data().len() / shape[0];
                let bytes = tensor.data().get(rows.start * row..rows.end * row).filter(|bytes| all_finite(bytes, dtype))?;
                let width = shape[1..].iter().product::<usize>();
                Tensor::from_raw_buffer(bytes, dtype, &[rows.len(), width], &Device::Cpu).and_then(|t| t.to_dtype(DType::F32)).ok()
            };
            let tensor = SafeTensors::deserialize(&shard.map).ok().and_then(|file| part(&file.tensor(name).ok()?));
            let damaged = || Error::model_file(&shard.path, format!("the tensor {name} cannot be read: the file is damaged"));
            return tensor.ok_or_else(damaged)?.flatten_all().and_then(|t| t.to_vec1()).map_err(|_| damaged());
        }
        let whole = self.vector(name, shape)?;
        let width = whole.len() / shape[0].max(1);
        Ok(if rows == (0..shape[0]) { whole } else { whole[rows.start * width..rows.end * width].to_vec() })
    }

    /// Checks that exactly the tensors exist that the configuration implies (the reference loads strictly); one unused tensor of the
    /// encoder may exist as well.
    fn check_names(&self, dir: &Path) -> Result<()> {
        let expected = lm_names(&self.lm);
        // Very old litgpt shards name `attn.attn` what is now `attn.qkv`.
        let found: BTreeSet<String> = self.shard_of.keys().map(|name| name.replace(".attn.attn.", ".attn.qkv.")).collect();
        if let Some(missing) = expected.difference(&found).next() {
            return Err(Error::model_file(&dir.join(INDEX), format!("the tensor {missing} is missing")));
        }
        if let Some(extra) = found.difference(&expected).next() {
            let why = format!("the tensor {extra} does not belong to the model that {LM_CONFIG} describes");
            return Err(Error::model_file(&dir.join(INDEX), why));
        }
        let expected = encoder_names(&self.audio);
        let found: BTreeSet<String> = self.encoder.names().map(str::to_owned).collect();
        if let Some(missing) = expected.difference(&found).next() {
            return Err(Error::model_file(&self.encoder_path, format!("the tensor {missing} is missing")));
        }
        if let Some(extra) = found.difference(&expected).find(|name| *name != "audio_bos_eos_token.weight") {
            let why = format!("the tensor {extra} does not belong to the encoder that {AUDIO_CONFIG} describes");
            return Err(Error::model_file(&self.encoder_path, why));
        }
        Ok(())
    }

    fn lm_tensor(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let old = name.replace(".attn.qkv.", ".attn.attn.");
        let interleaved = !self.shard_of.contains_key(name) && self.shard_of.contains_key(&old);
        let stored = if interleaved { &old } else { name };
        let missing = || Error::new(ErrorKind::Model, format!("the tensor {name} is missing")).with_remedy(Remedy::ReplaceModel);
        let shard = self.shard_of.get(stored).and_then(|at| self.shards.get(*at)).ok_or_else(missing)?;
        let bad = |why: String| Error::model_file(&shard.path, format!("the tensor {stored} {why}"));
        let file = SafeTensors::deserialize(&shard.map).map_err(|e| bad(format!("cannot be read ({e})")))?;
        let view = file.tensor(stored).map_err(|e| bad(format!("cannot be read ({e})")))?;
        if view.shape() != shape {
            return Err(bad(format!("has the shape {:?}, not {shape:?}", view.shape())));
        }
        let Some(stored_dtype) = number_type(view.dtype()) else {
            return Err(bad(format!("holds {:?} numbers; Hearken reads F32, F16 and BF16", view.dtype())));
        };
        if !all_finite(view.data(), stored_dtype) {
            return Err(bad("holds numbers that are not finite: the file is damaged".into()));
        }
        let tensor = Tensor::from_raw_buffer(view.data(), stored_dtype, shape, &Device::Cpu)
            .and_then(|t| if interleaved { regroup(&t, &self.lm) } else { Ok(t) })
            .and_then(|t| t.to_dtype(dtype))
            .and_then(|t| t.to_device(device));
        tensor.map_err(|e| bad(format!("cannot be used ({e})")))
    }

    fn encoder_tensor(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let bad = |why: String| Error::model_file(&self.encoder_path, format!("the tensor {name} {why}"));
        let stored = self.encoder.tensor(name)?;
        if stored.dims() != shape {
            return Err(bad(format!("has the shape {:?}, not {shape:?}", stored.dims())));
        }
        let tensor = stored.to_dtype(DType::F32).map_err(|e| bad(format!("cannot be used ({e})")))?;
        let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(|e| bad(format!("cannot be used ({e})")))?;
        if !values.iter().all(|v| v.is_finite()) {
            return Err(bad("holds numbers that are not finite: the file is damaged".into()));
        }
        tensor.to_dtype(dtype).and_then(|t| t.to_device(device)).map_err(|e| bad(format!("cannot be used ({e})")))
    }
}

impl Weights for Checkpoint {
    fn get(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        if name.starts_with("transformer.") || name.starts_with("lm_head.") {
            self.lm_tensor(name, shape, dtype, device)
        } else {
            self.encoder_tensor(name, shape, dtype, device)
        }
    }

    /// Reads each row on its own, because the whole matrix may have a gigabyte.
    fn rows(&self, name: &str, shape: MatrixShape, ids: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        let MatrixShape { out: rows, inner } = shape;
        let mut found = Vec::with_capacity(ids.len() * inner);
        for id in ids.iter().map(|id| *id as usize) {
            if id >= rows {
                let why = format!("the tensor {name} has no row {id}: it has {rows}");
                return Err(Error::new(ErrorKind::Model, why).with_remedy(Remedy::ReplaceModel));
            }
            found.extend(self.block(name, &[rows, inner], id..id + 1)?);
        }
        let tensor = Tensor::from_vec(found, (ids.len(), inner), device).and_then(|t| t.to_dtype(dtype));
        tensor.map_err(|e| Error::internal(format_args!("the tensor {name}: {e}")))
    }
}

/// Maps the files of weights in `dir`, checks their tensors against the index, and returns them with the index of each tensor's file.
/// Without an index file, `model.safetensors` is the only file.
fn open_shards(dir: &Path) -> Result<(Vec<Shard>, BTreeMap<String, usize>)> {
    /// The content of the index file: the file of every tensor.
    #[derive(Deserialize)]
    struct Index {
        /// Name of the file that holds each tensor, by the tensor's name.
        weight_map: BTreeMap<String, String>,
    }
    let index_path = dir.join(INDEX);
    let index = if index_path.exists() || !dir.join(SINGLE).exists() {
        let index: Index = serde_json::from_str(&read_text(&index_path)?)
            .map_err(|e| Error::model_file(&index_path, format!("not an index of tensors ({e})")))?;
        Some(index.weight_map)
    } else {
        None
    };
    let names: BTreeSet<String> = index.as_ref().map_or_else(|| BTreeSet::from([SINGLE.to_owned()]), |map| map.values().cloned().collect());
    if let Some(name) = names.iter().find(|name| Path::new(name).components().count() != 1 || name.contains(['/', '\\']) || *name == "..") {
        return Err(Error::model_file(&index_path, format!("names the shard {name}, which lies outside the folder")));
    }
    let mut shards = Vec::with_capacity(names.len());
    let mut shard_of = BTreeMap::new();
    // A missing shard is reported before any other fault.
    let maps: Vec<(PathBuf, Mmap)> =
        names.iter().map(|name| Ok((dir.join(name), map_file(&dir.join(name), &index_path)?))).collect::<Result<_>>()?;
    for (at, (name, (path, map))) in names.iter().zip(maps).enumerate() {
        let tensors = SafeTensors::deserialize(&map).map_err(|e| Error::model_file(&path, format!("truncated or damaged ({e})")))?;
        for tensor in tensors.names() {
            if index.as_ref().is_some_and(|map| map.get(tensor) != Some(name)) {
                return Err(Error::model_file(&path, format!("holds the tensor {tensor}, which the index does not place there")));
            }
            shard_of.insert(tensor.to_owned(), at);
        }
        shards.push(Shard { path, map });
    }
    if let Some((tensor, shard)) = index.iter().flatten().find(|(tensor, _)| !shard_of.contains_key(*tensor)) {
        return Err(Error::model_file(&dir.join(shard), format!("the tensor {tensor}, which the index places here, is missing")));
    }
    Ok((shards, shard_of))
}

#[allow(unsafe_code, reason = "only a memory map uses gigabytes in place")]
fn map_file(path: &Path, index_path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|e| {
        if e.kind() == std::io::ErrorKind::NotFound {
            let from = index_path.file_name().map_or_else(String::new, |f| f.to_string_lossy().into_owned());
            Error::model_file(path, format!("this shard, which {from} names, is missing"))
        } else {
            Error::model_file(path, e)
        }
    })?;
    if !file.metadata().is_ok_and(|m| m.is_file()) {
        return Err(Error::model_file(path, "not a file"));
    }
    // SAFETY: the map is only read. If another program truncates the checkpoint meanwhile, the process ends, as with every program
    // that maps its weights; Hearken itself replaces checkpoints by renaming, never in place.
    unsafe { Mmap::map(&file) }.map_err(|e| Error::model_file(path, e))
}

/// Returns an old `attn.attn` tensor with its rows in the order of today: from the Q heads, K and V of each group in turn to all Q,
/// all K, all V.
fn regroup(rows: &Tensor, lm: &LmConfig) -> candle_core::Result<Tensor> {
    let (groups, head, per_group) = (lm.groups(), lm.head(), lm.n_head / lm.groups());
    let part = |from: usize, count: usize| -> candle_core::Result<Vec<Tensor>> {
        (0..groups).map(|g| rows.narrow(0, (g * (per_group + 2) + from) * head, count * head)).collect()
    };
    let all: Vec<Tensor> = [part(0, per_group)?, part(per_group, 1)?, part(per_group + 1, 1)?].concat();
    Tensor::cat(&all, 0)
}

/// Returns candle's type for the stored number types F32, F16 and BF16; None for others, which Hearken does not read.
const fn number_type(stored: Dtype) -> Option<DType> {
    match stored {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// Returns true if no number in `bytes`, little-endian numbers of `dtype`, is infinite or NaN (an exponent of all ones). Works on
/// bits, so that 7 GB are checked at memory speed.
fn all_finite(bytes: &[u8], dtype: DType) -> bool {
    let half = |mask: u16| bytes.chunks_exact(2).all(|b| u16::from_le_bytes([b[0], b[1]]) & mask != mask);
    match dtype {
        DType::BF16 => half(0x7f80),
        DType::F16 => half(0x7c00),
        _ => bytes.chunks_exact(4).all(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) & 0x7f80_0000 != 0x7f80_0000),
    }
}

/// Returns the tensor names that the language model must have (`src/model/README.md` section 4.1).
fn lm_names(lm: &LmConfig) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ["transformer.wte.weight", "lm_head.weight", "transformer.ln_f.weight"].map(str::to_owned).into();
    let mut per_layer = vec![
        "norm_1.weight",
        "attn.qkv.weight",
        "attn.proj.weight",
        "norm_2.weight",
        "mlp.fc_1.weight",
        "mlp.fc_2.weight",
        "mlp.proj.weight",
    ];
    if lm.attn_bias {
        per_layer.push("attn.qkv.bias");
    }
    for layer in 0..lm.n_layer.min(MAX_LAYERS) {
        names.extend(per_layer.iter().map(|part| format!("transformer.h.{layer}.{part}")));
    }
    names
}

/// Returns the names of the tensors that the encoder must have. `audio_bos_eos_token` is not among them, because nothing uses it
/// (`src/model/README.md` section 3.1).
fn encoder_names(audio: &AudioConfig) -> BTreeSet<String> {
    let both = |part: &str| [format!("{part}.weight"), format!("{part}.bias")];
    let mut names: BTreeSet<String> = ["conv1", "conv2", "ln_post", "proj"].iter().flat_map(|part| both(part)).collect();
    for layer in 0..audio.encoder_layers.min(MAX_LAYERS) {
        let parts =
            ["self_attn.q_proj", "self_attn.v_proj", "self_attn.out_proj", "self_attn_layer_norm", "fc1", "fc2", "final_layer_norm"];
        names.extend(parts.iter().flat_map(|part| both(&format!("layers.{layer}.{part}"))));
        names.insert(format!("layers.{layer}.self_attn.k_proj.weight"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_qkv_rows_of_old_shards_are_reordered() {
        let lm = LmConfig { n_head: 4, n_query_groups: Some(2), head_size: Some(1), n_embd: 4, ..LmConfig::default() };
        // Two groups of [q q k v], one row each.
        let rows = Tensor::new(&[[0f32], [1.], [10.], [20.], [2.], [3.], [11.], [21.]], &Device::Cpu).unwrap();
        let got = regroup(&rows, &lm).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(got, [0., 1., 2., 3., 10., 11., 20., 21.]);
    }

    #[test]
    fn values_that_are_not_finite_are_found_in_every_type() {
        assert!(all_finite(&1.5f32.to_le_bytes(), DType::F32) && !all_finite(&f32::NAN.to_le_bytes(), DType::F32));
        assert!(all_finite(&[0, 0x7b], DType::F16) && !all_finite(&[0, 0x7c], DType::F16));
        assert!(all_finite(&[0, 0x7f], DType::BF16) && !all_finite(&[0x80, 0x7f], DType::BF16));
    }
}
