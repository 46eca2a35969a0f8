//! Quantised checkpoints: made in one pass from a released one, kept in one GGUF file, mapped and used as they lie.
//!
//! Matrices are packed as [`kernels`](super::kernels) reads them, so that nothing is unpacked or copied when a model is
//! loaded: a tensor of bytes `[tiles, bytes of a tile]`, 16 outputs a tile, one f16 scale per output and 64 inputs. No
//! standard block type serves: theirs keep one output's weights together, so that a product of a dozen rows would have to
//! gather them again at every chunk (measured in CRATES.md: candle's Q4_K takes twice the time). Embeddings have 8 bits;
//! norms, biases, convolutions and the rows of `lm_head` that decide stay f32. The matrices of the first layers have twice the
//! bits ([`packing`]): 8 instead of 4, or two planes of 8, where a tensor `NAME.rest` holds what rounding left over, rounded in
//! the same way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::checkpoint::Checkpoint;
use super::gguf::{Entry, Gguf, Kind, Note, Plan, Writer};
use super::kernels::{Bits, TILE, tile_bytes};
use super::large_pages::ByPage;
use super::linear::{Bytes, PackedLinear, pack, pack_rest};
use super::weights::{Planes, Weights, packing};
use crate::error::{Error, ErrorKind, Result};

/// Version of what is written here; another one is refused.
const FORMAT: u64 = 3;
const FORMAT_NOTE: &str = "hearken.format";
const BITS_NOTE: &str = "hearken.bits";
const SOURCE_NOTE: &str = "hearken.source";
const KEPT_NOTE: &str = "hearken.kept_rows";
/// The rows of `lm_head.weight` that stay as they are.
const KEPT_ROWS: &str = "lm_head.weight.kept";
const HEAD: &str = "lm_head.weight";
/// Numbers that are packed at a time: 16 MB of them as f32, so that memory stays bounded.
const BLOCK_NUMBERS: usize = 4 << 20;

/// After so many bytes of tensors it is noted that they are safe on the disk, so that a crash does not repeat them: 64 MB, a
/// few seconds of work.
const SAFE_BYTES: u64 = 64 << 20;

/// The file of a checkpoint folder that holds its weights in `bits`.
#[must_use]
pub fn file_in(dir: &Path, bits: Bits) -> PathBuf {
    dir.join(match bits {
        Bits::Four => "hearken-q4.gguf",
        Bits::Eight => "hearken-q8.gguf",
    })
}

/// An open quantised checkpoint.
#[derive(Debug)]
pub struct Quantised {
    file: Gguf,
    source: String,
    kept: Vec<u32>,
}

impl Quantised {
    /// Opens `path`, which must be of `bits`.
    ///
    /// # Errors
    /// When it is missing, damaged, of another program or of other bits, naming it.
    pub fn open(path: &Path, bits: Bits) -> Result<Self> {
        let file = Gguf::open(path)?;
        let bad = |why: String| Error::model_file(path, why);
        match file.note(FORMAT_NOTE) {
            Some(Note::Number(FORMAT)) => {}
            Some(Note::Number(other)) => {
                return Err(bad(format!("is in format {other} of Hearken's, not {FORMAT}: make it again with `hearken model quantize`")));
            }
            _ => return Err(bad("was not made by `hearken model quantize`".into())),
        }
        if file.note(BITS_NOTE) != Some(&Note::Number(number_of(bits))) {
            return Err(bad(format!("does not hold {}-bit weights", number_of(bits))));
        }
        let (Some(Note::Text(source)), Some(Note::Numbers(kept))) = (file.note(SOURCE_NOTE), file.note(KEPT_NOTE)) else {
            return Err(bad("lacks a note that `hearken model quantize` writes: damaged".into()));
        };
        Ok(Self { source: source.clone(), kept: kept.clone(), file })
    }

    /// What identifies the checkpoint that it was made from ([`Checkpoint::identity`]).
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    fn found(&self, name: &str, kind: Kind, shape: &[usize]) -> Result<std::ops::Range<usize>> {
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
        let range = self.found(name, Kind::F32, shape)?;
        let values: Vec<f32> = self.file.map()[range].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let bad = |why: String| Error::model_file(self.file.path(), format!("the tensor {name} {why}"));
        if !values.iter().all(|v| v.is_finite()) {
            return Err(bad("holds numbers that are not finite: the file is damaged".into()));
        }
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).and_then(|t| t.to_dtype(dtype)).and_then(|t| t.to_device(device));
        tensor.map_err(|e| bad(format!("cannot be used ({e})")))
    }

    fn packed(&self, name: &str, (out, inner): (usize, usize), bits: Bits) -> Result<PackedLinear> {
        let (bits, planes) = packing(name, bits);
        let plane = |name: &str| -> Result<Bytes> {
            let range = self.found(name, Kind::Bytes, &[out.div_ceil(TILE), tile_bytes(bits, inner)])?;
            Ok(Bytes::Mapped(self.file.map().clone(), range))
        };
        let own = PackedLinear::new(plane(name)?, bits, (out, inner));
        let own = match planes {
            Planes::One => own,
            Planes::Two => own.zip(Some(plane(&rest_of(name))?)).and_then(|(own, rest)| own.with_rest(rest)),
        };
        own.ok_or_else(|| Error::model_file(self.file.path(), format!("the tensor {name} is not {out} x {inner} numbers")))
    }

    fn rows(&self, name: &str, (_, inner): (usize, usize), ids: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        let kept = self.get(KEPT_ROWS, &[self.kept.len(), inner], dtype, device)?;
        let bad = |why: String| Error::model_file(self.file.path(), why);
        let at = |id: &u32| self.kept.iter().position(|kept| kept == id).map(|at| at as u32);
        let places: Option<Vec<u32>> = ids.iter().map(at).collect();
        let places = places.ok_or_else(|| bad(format!("lacks rows {ids:?} of {name}: it was made with other token ids")))?;
        Tensor::new(places, device).and_then(|places| kept.index_select(&places, 0)).map_err(|e| bad(e.to_string()))
    }
}

/// What a tensor of the checkpoint becomes.
enum Form {
    /// F32, as it is.
    Kept,
    Packed(Bits),
    /// What packing leaves over.
    Rest(Bits),
}

/// The tensor that holds the second plane of `name`.
fn rest_of(name: &str) -> String {
    format!("{name}.rest")
}

/// A tensor that is written: what it is called, what it is made of, and how.
struct Piece<'a> {
    name: String,
    source: &'a str,
    shape: &'a [usize],
    form: Form,
}

/// The pieces that the tensor `name` of `shape` becomes.
fn pieces<'a>(name: &'a str, shape: &'a [usize], bits: Bits) -> impl Iterator<Item = Piece<'a>> {
    let (source, is_matrix, (bits, planes)) = (name, shape.len() == 2, packing(name, bits));
    let piece = move |name: String, form: Form| Piece { name, source, shape, form };
    let rest = (is_matrix && planes == Planes::Two).then(|| piece(rest_of(name), Form::Rest(bits)));
    std::iter::once(piece(name.to_owned(), if is_matrix { Form::Packed(bits) } else { Form::Kept })).chain(rest)
}

/// Writes the weights of `checkpoint` in `bits` to `path`, tensor by tensor in bounded memory; `kept` are the rows of
/// `lm_head` that stay f32; `progress` is told how many of how many numbers are done, and says whether to go on. What lies at
/// `path` is replaced only when the new file is complete. What a crash, or `progress`, left unfinished is gone on with.
///
/// # Errors
/// When a tensor is damaged or the file cannot be written: nothing is left behind then. When `progress` says no.
pub fn quantise(
    checkpoint: &Checkpoint,
    bits: Bits,
    kept: &[u32],
    path: &Path,
    mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<()> {
    let partial = Partial::of(path);
    let written = write(checkpoint, bits, kept, &partial, &mut progress);
    if let Ok(ControlFlow::Break(())) = written {
        return Err(Error::new(ErrorKind::Output, "stopped; the next time it goes on from here"));
    }
    let done = written.and_then(|_| fs::rename(&partial.file, path).map_err(|e| Error::cannot_write(path, &e)));
    if done.is_err() {
        let _ = fs::remove_file(&partial.file);
    }
    let _ = fs::remove_file(&partial.safe);
    done
}

/// A file that is being written, and beside it how many of its tensors are safe on the disk.
struct Partial {
    file: PathBuf,
    safe: PathBuf,
}

impl Partial {
    fn of(path: &Path) -> Self {
        Self { file: path.with_extension("gguf.partial"), safe: path.with_extension("gguf.partial.safe") }
    }

    /// Tensors that are there already of the file that `plan` describes, and the file, behind them.
    fn go_on(&self, plan: &Plan) -> Option<(File, usize)> {
        let safe = fs::read_to_string(&self.safe).ok()?.trim().parse::<usize>().ok().filter(|safe| (1..=plan.tensors()).contains(safe))?;
        let mut file = OpenOptions::new().read(true).write(true).open(&self.file).ok()?;
        let bytes = plan.bytes(safe);
        if file.metadata().ok()?.len() < bytes || !plan.begins(&mut file) {
            return None;
        }
        file.set_len(bytes).ok()?;
        file.seek(SeekFrom::Start(bytes)).ok()?;
        Some((file, safe))
    }

    /// Notes that `tensors` of them are safe, once they are. That they cannot be noted costs time after a crash, and nothing else.
    fn note(&self, file: &File, tensors: usize) {
        if file.sync_data().is_ok() {
            let new = self.safe.with_extension("new");
            let _ = fs::write(&new, tensors.to_string()).and_then(|()| fs::rename(&new, &self.safe));
        }
    }
}

fn write(
    checkpoint: &Checkpoint,
    bits: Bits,
    kept: &[u32],
    partial: &Partial,
    progress: &mut impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let sources = checkpoint.shapes()?;
    let failed = |e: io::Error| Error::cannot_write(&partial.file, &e);
    let pieces: Vec<Piece<'_>> = sources.iter().flat_map(|(name, shape)| pieces(name, shape, bits)).collect();
    let plan = plan(checkpoint, &pieces, bits, kept).map_err(failed)?;
    let numbers = |pieces: &[Piece<'_>]| pieces.iter().map(|piece| piece.shape.iter().product::<usize>() as u64).sum::<u64>();
    let all = numbers(&pieces);
    let (mut writer, there) = match partial.go_on(&plan) {
        Some((file, there)) => (Writer::go_on(ByPage::new(file).map_err(failed)?, plan.clone(), there), there),
        None => {
            let _ = fs::remove_file(&partial.safe);
            let file = File::create(&partial.file).map_err(failed)?;
            (ByPage::new(file).and_then(|file| Writer::new(file, plan.clone())).map_err(failed)?, 0)
        }
    };
    // The rows that are kept come first, and are no tensor of the source.
    let mut done = numbers(&pieces[..there.saturating_sub(1)]);
    if progress(done, all).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    if there == 0 {
        let shape = (checkpoint.lm.padded_vocab_size, checkpoint.lm.n_embd);
        let head = checkpoint.rows(HEAD, shape, kept, DType::F32, &Device::Cpu)?;
        let head = head.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(|e| Error::internal(e))?;
        writer.tensor(|to| write_floats(to, &head)).map_err(failed)?;
    }
    let mut noted = there.max(1);
    for (place, piece) in pieces.iter().enumerate().skip(there.saturating_sub(1)) {
        let before = place + 1;
        if plan.bytes(before) - plan.bytes(noted) >= SAFE_BYTES {
            partial.note(writer.flushed().map_err(failed)?.file(), before);
            noted = before;
        }
        let outcome = writer.tensor(|to| {
            copy(checkpoint, piece, to, &mut |numbers| {
                done += numbers;
                progress(done, all)
            })
        });
        match outcome {
            Ok(()) => {}
            Err(Failure::Stopped) => {
                // What of this tensor is written already is cut off the next time.
                partial.note(writer.flushed().map_err(failed)?.file(), before);
                return Ok(ControlFlow::Break(()));
            }
            Err(Failure::Reading(error)) => return Err(error),
            Err(Failure::Writing(e)) => return Err(failed(e)),
        }
    }
    let mut written = writer.finish().map_err(failed)?;
    written.flush().and_then(|()| written.file().sync_all()).map_err(failed)?;
    Ok(ControlFlow::Continue(()))
}

/// What the file will hold: the same for the same checkpoint, bit by bit.
fn plan(checkpoint: &Checkpoint, pieces: &[Piece<'_>], bits: Bits, kept: &[u32]) -> io::Result<Plan> {
    let head = Entry { kind: Kind::F32, shape: vec![kept.len(), checkpoint.lm.n_embd] };
    let mut tensors: Vec<(String, Entry)> = vec![(KEPT_ROWS.into(), head)];
    for Piece { name, shape, form, .. } in pieces {
        let entry = match form {
            Form::Kept => Entry { kind: Kind::F32, shape: shape.to_vec() },
            Form::Packed(bits) | Form::Rest(bits) => {
                Entry { kind: Kind::Bytes, shape: vec![shape[0].div_ceil(TILE), tile_bytes(*bits, shape[1])] }
            }
        };
        tensors.push((name.clone(), entry));
    }
    let notes = [
        ("general.architecture", Note::Text("audio-interaction".into())),
        ("general.name", Note::Text("Audio-Interaction, quantised by Hearken".into())),
        (FORMAT_NOTE, Note::Number(FORMAT)),
        (BITS_NOTE, Note::Number(number_of(bits))),
        (SOURCE_NOTE, Note::Text(checkpoint.identity())),
        (KEPT_NOTE, Note::Numbers(kept.to_vec())),
    ];
    Plan::new(&notes, &tensors)
}

/// Writes one tensor, some rows at a time; `progress` is told how many numbers they were.
fn copy(
    checkpoint: &Checkpoint,
    Piece { source, shape, form, .. }: &Piece<'_>,
    to: &mut dyn Write,
    progress: &mut impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let rows = shape[0];
    let width: usize = shape[1..].iter().product();
    let block = (BLOCK_NUMBERS / width.max(1)).next_multiple_of(TILE).max(TILE);
    for first in (0..rows).step_by(block) {
        let count = block.min(rows - first);
        let numbers = checkpoint.block(source, shape, first..first + count).map_err(Failure::Reading)?;
        match form {
            Form::Kept => write_floats(to, &numbers)?,
            Form::Packed(bits) => to.write_all(&pack(&numbers, *bits, width))?,
            Form::Rest(bits) => to.write_all(&pack_rest(&numbers, *bits, width))?,
        }
        if progress(numbers.len() as u64).is_break() {
            return Err(Failure::Stopped);
        }
    }
    Ok(())
}

/// What can go wrong while a tensor is copied.
enum Failure {
    Reading(Error),
    Writing(io::Error),
    /// Nobody wants the file now.
    Stopped,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

fn write_floats(to: &mut dyn Write, numbers: &[f32]) -> io::Result<()> {
    numbers.iter().try_for_each(|v| to.write_all(&v.to_le_bytes()))
}

const fn number_of(bits: Bits) -> u64 {
    match bits {
        Bits::Four => 4,
        Bits::Eight => 8,
    }
}
