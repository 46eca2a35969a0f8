//! A safe reader of torch.save checkpoints (`.pth`): a zip file of one pickle and many storages.
//!
//! Responsible for tensors by name, of f32, f16 or bf16, read from disk when asked for, so that memory stays bounded by the
//! largest tensor. Nothing in the file can run: see [`vm`]. Deliberately not responsible for what the tensors mean, for
//! their names, or for moving them to a device. Format: `torch/serialization.py` and `torch/_utils.py` of PyTorch 2.8.

mod storage;
mod vm;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, ErrorKind, Result};
use vm::{TensorView, quoted};

/// Bytes that the pickle may have; that of the released encoder has some 60,000.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// Bytes of `byteorder` and such that are looked at.
const MAX_NOTE_BYTES: u64 = 64;

/// An open checkpoint.
pub struct TorchFile {
    path: PathBuf,
    /// Name of the folder inside the zip file, which torch takes from the name under which it was first saved.
    folder: String,
    tensors: BTreeMap<String, Entry>,
    zip: Mutex<ZipArchive<BufReader<File>>>,
}

/// A tensor and where its storage lies. The machine's views share their storage's name through `Rc`, which does not cross
/// threads; this does.
struct Entry {
    shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
    key: String,
    len: usize,
    kind: storage::StorageType,
}

impl Entry {
    fn of(view: &TensorView) -> Self {
        let storage = &view.storage;
        Self {
            shape: view.shape.clone(),
            strides: view.strides.clone(),
            offset: view.offset,
            key: storage.key.to_string(),
            len: storage.len,
            kind: storage.kind,
        }
    }

    fn view(&self) -> TensorView {
        let storage = vm::StorageRef { kind: self.kind, key: self.key.as_str().into(), len: self.len };
        TensorView { storage, offset: self.offset, shape: self.shape.clone(), strides: self.strides.clone() }
    }
}

impl std::fmt::Debug for TorchFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TorchFile").field("path", &self.path).field("tensors", &self.tensors.len()).finish_non_exhaustive()
    }
}

impl TorchFile {
    /// Opens `path` and checks everything but the numbers: every tensor lies within a storage that is there in full.
    ///
    /// # Errors
    /// When the file cannot be read, is not a torch.save zip file, asks to run anything, or describes impossible tensors.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |why: String| Error::at(ErrorKind::Model, path, why);
        let file = File::open(path).map_err(|e| fail(format!("cannot be opened: {e}")))?;
        let mut zip =
            ZipArchive::new(BufReader::new(file)).map_err(|e| fail(format!("is not a torch.save checkpoint, or is incomplete: {e}")))?;
        let folder = folder_of(&zip).map_err(fail)?;
        check_byte_order(&mut zip, &folder).map_err(fail)?;
        let pickle = read_entry(&mut zip, &format!("{folder}data.pkl"), MAX_PICKLE_BYTES).map_err(fail)?;
        let described = vm::state_dict(&pickle).map_err(fail)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in described {
            check_tensor(&mut zip, &folder, &view).map_err(|why| fail(format!("its tensor {} {why}", quoted(&name))))?;
            tensors.insert(name, Entry::of(&view));
        }
        Ok(Self { path: path.to_owned(), folder, tensors, zip: Mutex::new(zip) })
    }

    /// The names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of the tensor `name`.
    ///
    /// # Errors
    /// When there is no such tensor.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.entry(name)?.shape)
    }

    /// The type of the tensor `name`: f32, f16 or bf16.
    ///
    /// # Errors
    /// When there is no such tensor, or it is of another type.
    pub fn dtype(&self, name: &str) -> Result<DType> {
        self.entry(name)?.kind.dtype().map_err(|torch| self.wrong_type(name, torch))
    }

    /// The tensor `name` on the CPU, contiguous, in its own type.
    ///
    /// # Errors
    /// When there is no such tensor, it is not of f32, f16 or bf16, or its bytes cannot be read or are damaged.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let dtype = self.dtype(name)?;
        let view = self.entry(name)?.view();
        let fail = |why: String| self.error(format!("its tensor {} {why}", quoted(name)));
        let extent = storage::extent(&view).map_err(fail)?;
        let bytes = self.read_run(&view, extent).map_err(fail)?;
        let made = match dtype {
            DType::F32 => to_tensor(&view, &bytes, extent.count, f32::from_le_bytes),
            DType::F16 => to_tensor(&view, &bytes, extent.count, f16::from_le_bytes),
            DType::BF16 => to_tensor(&view, &bytes, extent.count, bf16::from_le_bytes),
            other => return Err(self.wrong_type(name, other.as_str())),
        };
        made.map_err(|e| fail(format!("cannot be made: {e}")))
    }

    /// The bytes of a run of elements of a storage. The whole storage passes by, so that its checksum is verified.
    fn read_run(&self, view: &TensorView, extent: storage::Extent) -> Result<Vec<u8>, String> {
        if extent.count == 0 {
            return Ok(Vec::new());
        }
        // A reader that panicked leaves the archive usable: every read seeks anew.
        let mut zip = self.zip.lock().unwrap_or_else(PoisonError::into_inner);
        let size = view.storage.kind.size();
        let mut entry = zip.by_name(&storage_entry(&self.folder, &view.storage.key)).map_err(|e| format!("has no storage: {e}"))?;
        let damaged = |e: std::io::Error| format!("cannot be read: {e}");
        let skipped = skip(&mut entry, extent.start * size).map_err(damaged)?;
        let mut bytes = Vec::new();
        let wanted = extent.len * size;
        bytes.try_reserve_exact(wanted).map_err(|_| format!("needs {wanted} bytes of memory, which are not there"))?;
        (&mut entry).take(wanted as u64).read_to_end(&mut bytes).map_err(damaged)?;
        std::io::copy(&mut entry, &mut std::io::sink()).map_err(damaged)?;
        if skipped != extent.start * size || bytes.len() != wanted {
            return Err("has a storage that ends too early".to_owned());
        }
        Ok(bytes)
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        self.tensors.get(name).ok_or_else(|| self.error(format!("has no tensor {}", quoted(name))))
    }

    fn wrong_type(&self, name: &str, torch: &str) -> Error {
        self.error(format!("its tensor {} is of type {torch}; float32, float16 and bfloat16 are supported", quoted(name)))
    }

    fn error(&self, why: String) -> Error {
        Error::at(ErrorKind::Model, &self.path, why)
    }
}

type Zip = ZipArchive<BufReader<File>>;

/// The folder, with its slash, that holds `data.pkl`.
fn folder_of(zip: &Zip) -> Result<String, String> {
    let is_root = |folder: &&str| folder.ends_with('/') && folder.matches('/').count() == 1;
    let found = zip.file_names().flatten().find_map(|name| name.strip_suffix("data.pkl").filter(is_root).map(str::to_owned));
    found.ok_or_else(|| "is a zip file, but not a torch.save checkpoint: it holds no data.pkl".to_owned())
}

/// Storages of the other byte order would read as nonsense.
fn check_byte_order(zip: &mut Zip, folder: &str) -> Result<(), String> {
    let name = format!("{folder}byteorder");
    if zip.index_for_name(&name).is_none() {
        // Written before PyTorch 2.1, always little.
        return Ok(());
    }
    match read_entry(zip, &name, MAX_NOTE_BYTES)?.trim_ascii() {
        b"little" => Ok(()),
        _ => Err("was saved on a machine of the other byte order".to_owned()),
    }
}

/// A whole entry of at most `limit` bytes.
fn read_entry(zip: &mut Zip, name: &str, limit: u64) -> Result<Vec<u8>, String> {
    let entry = stored(zip, name)?;
    if entry.size() > limit {
        return Err(format!("has an entry {} of {} bytes, which is too much", quoted(name), entry.size()));
    }
    let mut bytes = Vec::new();
    entry.take(limit + 1).read_to_end(&mut bytes).map_err(|e| format!("has a damaged entry {}: {e}", quoted(name)))?;
    Ok(bytes)
}

/// An entry as torch writes it: stored, never compressed, so that a small file cannot become a huge one.
fn stored<'a>(zip: &'a mut Zip, name: &str) -> Result<zip::read::ZipFile<'a, BufReader<File>>, String> {
    let entry = zip.by_name(name).map_err(|e| format!("has no readable entry {}: {e}", quoted(name)))?;
    if entry.compression() == CompressionMethod::Stored { Ok(entry) } else { Err(format!("has a compressed entry {}", quoted(name))) }
}

/// That the storage of `view` is there in full, and the view lies within it.
fn check_tensor(zip: &mut Zip, folder: &str, view: &TensorView) -> Result<(), String> {
    storage::extent(view)?;
    let bytes = view.storage.len.checked_mul(view.storage.kind.size()).ok_or("has a storage that no computer holds")?;
    let entry = stored(zip, &storage_entry(folder, &view.storage.key))?;
    if entry.size() < bytes as u64 {
        return Err(format!("needs a storage of {bytes} bytes where the file has {}", entry.size()));
    }
    Ok(())
}

fn storage_entry(folder: &str, key: &str) -> String {
    format!("{folder}data/{key}")
}

/// Reads on by `bytes`, or to the end; returns how far it came.
fn skip(reader: &mut impl Read, bytes: usize) -> std::io::Result<usize> {
    std::io::copy(&mut reader.take(bytes as u64), &mut std::io::sink()).map(|skipped| skipped as usize)
}

/// The elements of `view`, whose extent is `bytes`, as a contiguous tensor.
fn to_tensor<const N: usize, T: candle_core::WithDType>(
    view: &TensorView,
    bytes: &[u8],
    count: usize,
    read: fn([u8; N]) -> T,
) -> candle_core::Result<Tensor> {
    let run: Vec<T> = bytes.as_chunks::<N>().0.iter().map(|b| read(*b)).collect();
    let elements = if storage::is_contiguous(view) { run } else { storage::gather(view, &run, count) };
    Tensor::from_vec(elements, view.shape.as_slice(), &Device::Cpu)
}
