//! Quantised checkpoints: one GGUF file, made in one pass from a released checkpoint, mapped and used in place.
//!
//! Matrices are packed as [`kernels`](super::kernels) reads them, so that loading neither unpacks nor copies: a tensor of bytes
//! `[tiles, bytes of a tile]`, 16 outputs a tile, one f16 scale per output and 64 inputs. GGUF's own block types keep one output's
//! weights together, which a product of a dozen rows would have to gather again at every chunk (twice the time with candle's Q4_K).
//! Embeddings have 8 bits; norms, biases, convolutions and the decision rows of `lm_head` stay f32. The matrices of the first layers
//! have twice the bits ([`packing`]): 8 instead of 4, or two planes of 8; a tensor `NAME.rest` holds the second plane.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::checkpoint::Checkpoint;
use super::gguf::{ElementType, Gguf, GgufLayout, GgufWriter, MetadataValue, TensorInfo};
use super::huge_pages::HugePageWriter;
use super::kernels::{Bits, TILE, tile_bytes};
use super::linear::{PackedBytes, PackedLinear, pack, pack_residual};
use super::weights::{MatrixShape, Packing, Planes, Weights, packing};
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Version of the format of quantised weights, the value of [`FORMAT_KEY`]; files of other versions are refused.
const FORMAT: u64 = 3;
/// Metadata key of the version of the format.
const FORMAT_KEY: &str = "hearken.format";
/// Metadata key of the bits of a weight.
const BITS_KEY: &str = "hearken.bits";
/// Metadata key of the identity of the checkpoint that the file was made from.
const SOURCE_KEY: &str = "hearken.source";
/// Metadata key of the token ids of the rows of `lm_head` that are kept as f32.
const KEPT_KEY: &str = "hearken.kept_rows";
/// Name of the tensor that holds the rows of `lm_head.weight` that stay f32.
const KEPT_ROWS: &str = "lm_head.weight.kept";
/// Name of the tensor with the weights of the output layer.
const HEAD: &str = "lm_head.weight";
/// Approximate number of weights that are read and packed at a time: 16 MiB as f32, so that memory stays bounded.
const BLOCK_WEIGHTS: usize = 4 << 20;

/// Number of bytes written after which the progress is recorded again: 64 MiB, a few seconds of work that a crash repeats at most.
const CHECKPOINT_BYTES: u64 = 64 << 20;

/// Returns the path that the file of quantised weights in `bits` has in the folder `dir`, whether or not it exists.
#[must_use]
pub fn file_in(dir: &Path, bits: Bits) -> PathBuf {
    dir.join(match bits {
        Bits::Four => "hearken-q4.gguf",
        Bits::Eight => "hearken-q8.gguf",
    })
}

/// An open file of quantised weights, memory-mapped.
#[derive(Debug)]
pub struct Quantised {
    /// Mapped file.
    file: Gguf,
    /// Identity ([`Checkpoint::identity`]) of the checkpoint that the file was made from.
    source: String,
    /// Token ids of the rows of `lm_head` that are stored as f32.
    kept: Vec<u32>,
}

impl Quantised {
    /// Opens `path`, a file of weights in `bits`, and checks its header; tensors are read later.
    ///
    /// # Errors
    /// When the file is missing, damaged, from another program or version of the format, or of other bits; names the file.
    pub fn open(path: &Path, bits: Bits) -> Result<Self> {
        let file = Gguf::open(path)?;
        let bad = |why: String| Error::model_file(path, why);
        match file.metadata_value(FORMAT_KEY) {
            Some(MetadataValue::Number(FORMAT)) => {}
            Some(MetadataValue::Number(other)) => {
                let why = format!("has version {other} of Hearken's format, not {FORMAT}");
                return Err(Error::at(ErrorKind::Model, path, why).with_remedy(Remedy::QuantiseAgain));
            }
            _ => return Err(bad("was not made by `hearken model quantize`".into())),
        }
        if file.metadata_value(BITS_KEY) != Some(&MetadataValue::Number(bit_count(bits))) {
            return Err(bad(format!("does not hold {}-bit weights", bit_count(bits))));
        }
        let (Some(MetadataValue::Text(source)), Some(MetadataValue::Numbers(kept))) =
            (file.metadata_value(SOURCE_KEY), file.metadata_value(KEPT_KEY))
        else {
            return Err(bad("lacks metadata that `hearken model quantize` writes: damaged".into()));
        };
        Ok(Self { source: source.clone(), kept: kept.clone(), file })
    }

    /// Returns the identity of the checkpoint that the file was made from ([`Checkpoint::identity`]).
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the range of the bytes of the tensor `name` in the file; fails if it is missing or of another type or shape.
    fn find(&self, name: &str, kind: ElementType, shape: &[usize]) -> Result<std::ops::Range<usize>> {
        let bad = |why: String| Error::model_file(self.file.path(), format!("the tensor {name} {why}"));
        let (entry, range) = self.file.tensor(name).ok_or_else(|| bad("is missing".into()))?;
        if entry.kind != kind || entry.shape != shape {
            return Err(bad(format!("is {:?} {:?}, not {kind:?} {shape:?}", entry.kind, entry.shape)));
        }
        Ok(range)
    }
}

impl Weights for Quantised {
    fn get(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let range = self.find(name, ElementType::F32, shape)?;
        let values: Vec<f32> = self.file.map()[range].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let bad = |why: String| Error::model_file(self.file.path(), format!("the tensor {name} {why}"));
        if !values.iter().all(|v| v.is_finite()) {
            return Err(bad("holds numbers that are not finite: the file is damaged".into()));
        }
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).and_then(|t| t.to_dtype(dtype)).and_then(|t| t.to_device(device));
        tensor.map_err(|e| bad(format!("cannot be used ({e})")))
    }

    fn packed(&self, name: &str, shape: MatrixShape, bits: Bits) -> Result<PackedLinear> {
        let (Packing { bits, planes }, MatrixShape { out, inner }) = (packing(name, bits), shape);
        let plane = |name: &str| -> Result<PackedBytes> {
            let range = self.find(name, ElementType::Bytes, &[out.div_ceil(TILE), tile_bytes(bits, inner)])?;
            Ok(PackedBytes::Mapped(self.file.map().clone(), range))
        };
        let own = PackedLinear::new(plane(name)?, bits, shape);
        let own = match planes {
            Planes::One => own,
            Planes::Two => own.zip(Some(plane(&residual_name(name))?)).and_then(|(own, residual)| own.with_residual(residual)),
        };
        own.ok_or_else(|| Error::model_file(self.file.path(), format!("the tensor {name} is not {out} x {inner} numbers")))
    }

    fn rows(&self, name: &str, shape: MatrixShape, ids: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        let kept = self.get(KEPT_ROWS, &[self.kept.len(), shape.inner], dtype, device)?;
        let bad = |why: String| Error::model_file(self.file.path(), why);
        let at = |id: &u32| self.kept.iter().position(|kept| kept == id).map(|at| at as u32);
        let rows: Option<Vec<u32>> = ids.iter().map(at).collect();
        let rows = rows.ok_or_else(|| bad(format!("lacks rows {ids:?} of {name}: it was made with other token ids")))?;
        Tensor::new(rows, device).and_then(|rows| kept.index_select(&rows, 0)).map_err(|e| bad(e.to_string()))
    }
}

/// The form in which the file of quantised weights stores a tensor of the checkpoint.
enum StoredForm {
    /// As f32, not packed.
    Kept,
    /// Packed weights of this width: the first plane.
    Packed(Bits),
    /// Packed rounding errors of the first plane, of the same width: the second plane.
    Residual(Bits),
}

/// Returns the name of the tensor that holds the second plane of the matrix `name`.
fn residual_name(name: &str) -> String {
    format!("{name}.rest")
}

/// A tensor of the file of quantised weights.
struct OutputTensor<'a> {
    /// Name in the file.
    name: String,
    /// Name of the checkpoint's tensor that it is made from.
    source: &'a str,
    /// Shape of the checkpoint's tensor.
    shape: &'a [usize],
    /// Form in which the file stores the tensor.
    form: StoredForm,
}

/// Returns the tensors of the file of quantised weights that the checkpoint's tensor `name` of `shape` becomes: one, or two for a matrix of
/// two planes. Tensors that are not matrices stay f32.
fn outputs<'a>(name: &'a str, shape: &'a [usize], bits: Bits) -> impl Iterator<Item = OutputTensor<'a>> {
    let (source, is_matrix, Packing { bits, planes }) = (name, shape.len() == 2, packing(name, bits));
    let output = move |name: String, form: StoredForm| OutputTensor { name, source, shape, form };
    let residual = (is_matrix && planes == Planes::Two).then(|| output(residual_name(name), StoredForm::Residual(bits)));
    std::iter::once(output(name.to_owned(), if is_matrix { StoredForm::Packed(bits) } else { StoredForm::Kept })).chain(residual)
}

/// Writes the weights of `checkpoint` in `bits` to `path`, tensor by tensor in bounded memory; the rows `kept` of `lm_head` are
/// stored as f32 as well.
///
/// `progress` receives the number of weights done and of all weights, and breaks to stop. A file at `path` is replaced only once
/// the new one is complete. A call that crashed or was stopped is resumed from the unfinished file beside `path`.
///
/// # Errors
/// When a tensor is damaged or the file cannot be written: the unfinished file is removed. When `progress` breaks
/// (`ErrorKind::Output`): it is kept.
pub fn quantise(
    checkpoint: &Checkpoint,
    bits: Bits,
    kept: &[u32],
    path: &Path,
    mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<()> {
    let partial = UnfinishedWeights::of(path);
    let written = write(checkpoint, bits, kept, &partial, &mut progress);
    if let Ok(ControlFlow::Break(())) = written {
        return Err(Error::new(ErrorKind::Output, "stopped; the next run resumes here"));
    }
    let done = written.and_then(|_| fs::rename(&partial.file, path).map_err(|e| Error::cannot_write(path, &e)));
    if done.is_err() {
        let _ = fs::remove_file(&partial.file);
    }
    let _ = fs::remove_file(&partial.safe);
    done
}

/// The paths of an unfinished file of quantised weights, which the next run continues.
struct UnfinishedWeights {
    /// Path of the unfinished file itself.
    file: PathBuf,
    /// Path of the small file beside it with the number of tensors that are safe on the disk.
    safe: PathBuf,
}

impl UnfinishedWeights {
    fn of(path: &Path) -> Self {
        Self { file: path.with_extension("gguf.partial"), safe: path.with_extension("gguf.partial.safe") }
    }

    /// Opens the unfinished file, cut off after the tensors that are safe on the disk, and returns it with their number. Returns None if
    /// there is nothing to resume, or the file has another `layout`.
    fn resume(&self, layout: &GgufLayout) -> Option<(File, usize)> {
        let safe =
            fs::read_to_string(&self.safe).ok()?.trim().parse::<usize>().ok().filter(|safe| (1..=layout.tensors()).contains(safe))?;
        let mut file = OpenOptions::new().read(true).write(true).open(&self.file).ok()?;
        let bytes = layout.bytes(safe);
        if file.metadata().ok()?.len() < bytes || !layout.matches_header(&mut file) {
            return None;
        }
        file.set_len(bytes).ok()?;
        file.seek(SeekFrom::Start(bytes)).ok()?;
        Some((file, safe))
    }

    /// Syncs `file` and records that its first `tensors` tensors are safe. A failure is ignored: it only costs time after a crash.
    fn record_progress(&self, file: &File, tensors: usize) {
        if file.sync_data().is_ok() {
            let new = self.safe.with_extension("new");
            let _ = fs::write(&new, tensors.to_string()).and_then(|()| fs::rename(&new, &self.safe));
        }
    }
}

/// Writes the unfinished file to its end, from the tensors on that are not safe on the disk yet. Returns `Break`, with the progress
/// recorded, if `progress` breaks.
fn write(
    checkpoint: &Checkpoint,
    bits: Bits,
    kept: &[u32],
    partial: &UnfinishedWeights,
    progress: &mut impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let sources = checkpoint.shapes()?;
    let failed = |e: io::Error| Error::cannot_write(&partial.file, &e);
    let outputs: Vec<OutputTensor<'_>> = sources.iter().flat_map(|(name, shape)| outputs(name, shape, bits)).collect();
    let layout = layout(checkpoint, &outputs, bits, kept).map_err(failed)?;
    let weights = |outputs: &[OutputTensor<'_>]| outputs.iter().map(|output| output.shape.iter().product::<usize>() as u64).sum::<u64>();
    let all = weights(&outputs);
    let (mut writer, there) = match partial.resume(&layout) {
        Some((file, there)) => (GgufWriter::resume(HugePageWriter::new(file).map_err(failed)?, layout.clone(), there), there),
        None => {
            let _ = fs::remove_file(&partial.safe);
            let file = File::create(&partial.file).map_err(failed)?;
            (HugePageWriter::new(file).and_then(|file| GgufWriter::new(file, layout.clone())).map_err(failed)?, 0)
        }
    };
    // The kept rows come first, and are not a tensor of the checkpoint.
    let mut done = weights(&outputs[..there.saturating_sub(1)]);
    if progress(done, all).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    if there == 0 {
        let shape = MatrixShape::new(checkpoint.lm.padded_vocab_size, checkpoint.lm.n_embd);
        let head = checkpoint.rows(HEAD, shape, kept, DType::F32, &Device::Cpu)?;
        let head = head.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(Error::internal)?;
        writer.tensor(|to| write_floats(to, &head)).map_err(failed)?;
    }
    let mut recorded = there.max(1);
    for (at, output) in outputs.iter().enumerate().skip(there.saturating_sub(1)) {
        let before = at + 1;
        if layout.bytes(before) - layout.bytes(recorded) >= CHECKPOINT_BYTES {
            partial.record_progress(writer.flushed().map_err(failed)?.file(), before);
            recorded = before;
        }
        let outcome = writer.tensor(|to| {
            write_tensor(checkpoint, output, to, &mut |weights| {
                done += weights;
                progress(done, all)
            })
        });
        match outcome {
            Ok(()) => {}
            Err(CopyError::Stopped) => {
                // The written part of this tensor is cut off by the next run.
                partial.record_progress(writer.flushed().map_err(failed)?.file(), before);
                return Ok(ControlFlow::Break(()));
            }
            Err(CopyError::Reading(error)) => return Err(error),
            Err(CopyError::Writing(e)) => return Err(failed(e)),
        }
    }
    let mut written = writer.finish().map_err(failed)?;
    written.flush().and_then(|()| written.file().sync_all()).map_err(failed)?;
    Ok(ControlFlow::Continue(()))
}

/// Returns the header of the file of quantised weights and the sizes of its tensors, the kept rows first; the same bits for the same
/// checkpoint.
fn layout(checkpoint: &Checkpoint, outputs: &[OutputTensor<'_>], bits: Bits, kept: &[u32]) -> io::Result<GgufLayout> {
    let head = TensorInfo { kind: ElementType::F32, shape: vec![kept.len(), checkpoint.lm.n_embd] };
    let mut tensors: Vec<(String, TensorInfo)> = vec![(KEPT_ROWS.into(), head)];
    for OutputTensor { name, shape, form, .. } in outputs {
        let entry = match form {
            StoredForm::Kept => TensorInfo { kind: ElementType::F32, shape: shape.to_vec() },
            StoredForm::Packed(bits) | StoredForm::Residual(bits) => {
                TensorInfo { kind: ElementType::Bytes, shape: vec![shape[0].div_ceil(TILE), tile_bytes(*bits, shape[1])] }
            }
        };
        tensors.push((name.clone(), entry));
    }
    let metadata = [
        ("general.architecture", MetadataValue::Text("audio-interaction".into())),
        ("general.name", MetadataValue::Text("Audio-Interaction, quantised by Hearken".into())),
        (FORMAT_KEY, MetadataValue::Number(FORMAT)),
        (BITS_KEY, MetadataValue::Number(bit_count(bits))),
        (SOURCE_KEY, MetadataValue::Text(checkpoint.identity())),
        (KEPT_KEY, MetadataValue::Numbers(kept.to_vec())),
    ];
    GgufLayout::new(&metadata, &tensors)
}

/// Writes one tensor to `to`, a block of rows at a time; after each block, `progress` receives the number of its weights.
fn write_tensor(
    checkpoint: &Checkpoint,
    OutputTensor { source, shape, form, .. }: &OutputTensor<'_>,
    to: &mut dyn Write,
    progress: &mut impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), CopyError> {
    let rows = shape[0];
    let width: usize = shape[1..].iter().product();
    let block = (BLOCK_WEIGHTS / width.max(1)).next_multiple_of(TILE).max(TILE);
    for first in (0..rows).step_by(block) {
        let count = block.min(rows - first);
        let weights = checkpoint.block(source, shape, first..first + count).map_err(CopyError::Reading)?;
        match form {
            StoredForm::Kept => write_floats(to, &weights)?,
            StoredForm::Packed(bits) => to.write_all(&pack(&weights, *bits, width))?,
            StoredForm::Residual(bits) => to.write_all(&pack_residual(&weights, *bits, width))?,
        }
        if progress(weights.len() as u64).is_break() {
            return Err(CopyError::Stopped);
        }
    }
    Ok(())
}

/// The reasons for which writing a tensor ends early.
enum CopyError {
    /// The checkpoint cannot be read.
    Reading(Error),
    /// The file cannot be written.
    Writing(io::Error),
    /// `progress` broke: the caller asked to stop.
    Stopped,
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

/// Writes `values` as little-endian f32.
fn write_floats(to: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    values.iter().try_for_each(|v| to.write_all(&v.to_le_bytes()))
}

/// Returns the number of bits of a weight, for the metadata.
const fn bit_count(bits: Bits) -> u64 {
    match bits {
        Bits::Four => 4,
        Bits::Eight => 8,
    }
}
