//! A safe reader of torch.save checkpoints (`.pth`): a zip file of one pickle and many storages.
//!
//! Responsible for tensors by name, of f32, f16 or bf16, read from disk on demand, so that memory stays bounded by the largest
//! tensor. Nothing in the file can run: see `vm`. Not responsible for the meaning or completeness of the tensors, nor for moving
//! them to a device. Format: `torch/serialization.py` and `torch/_utils.py` of PyTorch 2.8.

mod storage;
mod vm;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor, WithDType};
use half::{bf16, f16};
use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, Result};
use crate::supervise::lock;
use storage::Extent;
use vm::{TensorView, quoted};

/// Largest size of the pickle `data.pkl` that is read, in bytes; that of the released encoder has some 60,000.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// Largest size of the entry `byteorder` that is read, in bytes: it holds one word.
const MAX_NOTE_BYTES: u64 = 64;

/// An open zip file.
type Zip = ZipArchive<BufReader<File>>;

/// An open torch.save file: its tensor list is read, tensors are read on demand.
pub struct TorchFile {
    path: PathBuf,
    /// Folder inside the zip file that holds everything, with its final slash; torch derives it from the file's original name.
    folder: String,
    /// Description of each tensor, by name.
    tensors: BTreeMap<String, Arc<TensorView>>,
    zip: Mutex<Zip>,
}

impl TorchFile {
    /// Opens `path`, reads its tensor list, and checks that every tensor lies within a complete storage; values are not read.
    ///
    /// # Errors
    /// When the file cannot be read, is not a torch.save zip file, names a Python function or class that tensors do not need, or
    /// describes impossible tensors; names the file. Nothing in the file is run.
    pub fn open(path: &Path) -> Result<Self> {
        Self::opened(path).map_err(|why| Error::model_file(path, why))
    }

    fn opened(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|e| format!("cannot be opened: {e}"))?;
        let file_len = file.metadata().map_err(|e| format!("cannot be opened: {e}"))?.len();
        let mut zip =
            ZipArchive::new(BufReader::new(file)).map_err(|e| format!("is not a torch.save checkpoint, or not all of one: {e}"))?;
        let folder = folder_of(&zip)?;
        check_byte_order(&mut zip, &folder)?;
        let pickle = read_small(&mut zip, &format!("{folder}data.pkl"), MAX_PICKLE_BYTES)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in vm::state_dict(&pickle)? {
            check(&mut zip, &folder, file_len, &view).map_err(|why| format!("its tensor {} {why}", quoted(&name)))?;
            tensors.insert(name, view);
        }
        Ok(Self { path: path.to_owned(), folder, tensors, zip: Mutex::new(zip) })
    }

    /// Returns the names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns the shape of the tensor `name`, row-major.
    ///
    /// # Errors
    /// When the tensor does not exist.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.view(name)?.shape)
    }

    /// Returns the number type of the tensor `name`: f32, f16 or bf16.
    ///
    /// # Errors
    /// When the tensor does not exist or has another type.
    pub fn dtype(&self, name: &str) -> Result<DType> {
        self.view(name)?.storage.kind.dtype().map_err(|found| {
            self.error(format!("its tensor {} is of type {found}; float32, float16 and bfloat16 are supported", quoted(name)))
        })
    }

    /// Reads the tensor `name` from the disk to the CPU, contiguous, in its own number type.
    ///
    /// # Errors
    /// When the tensor does not exist, is not of f32, f16 or bf16, or its bytes are unreadable or damaged.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let dtype = self.dtype(name)?;
        let view = self.view(name)?;
        self.read(view, dtype).map_err(|why| self.error(format!("its tensor {} {why}", quoted(name))))
    }

    fn read(&self, view: &TensorView, dtype: DType) -> Result<Tensor, String> {
        let extent = storage::extent(view)?;
        let bytes = self.read_extent(view, extent)?;
        match dtype {
            DType::F16 => to_tensor(view, &bytes, extent, f16::from_le_bytes),
            DType::BF16 => to_tensor(view, &bytes, extent, bf16::from_le_bytes),
            _ => to_tensor(view, &bytes, extent, f32::from_le_bytes),
        }
    }

    /// Returns the bytes of the elements that `extent` covers in the storage of `view`. Reads to the storage's end, so that its
    /// checksum is verified.
    fn read_extent(&self, view: &TensorView, extent: Extent) -> Result<Vec<u8>, String> {
        if extent.count == 0 {
            return Ok(Vec::new());
        }
        // A reader that panicked leaves the archive usable: every read seeks first.
        let mut zip = lock(&self.zip);
        let mut entry = zip.by_name(&storage_name(&self.folder, view)).map_err(|e| format!("has no storage: {e}"))?;
        let unreadable = |e: io::Error| format!("cannot be read: {e}");
        let element = view.storage.kind.size();
        // `open` has compared both with the size of the entry, so neither can overflow.
        let (skipped, wanted) = (extent.start * element, extent.len * element);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(wanted).map_err(|_| format!("needs {wanted} bytes of memory, which are not there"))?;
        io::copy(&mut (&mut entry).take(skipped as u64), &mut io::sink()).map_err(unreadable)?;
        (&mut entry).take(wanted as u64).read_to_end(&mut bytes).map_err(unreadable)?;
        io::copy(&mut entry, &mut io::sink()).map_err(unreadable)?;
        if bytes.len() == wanted { Ok(bytes) } else { Err("has a storage that ends too early".to_owned()) }
    }

    fn view(&self, name: &str) -> Result<&TensorView> {
        match self.tensors.get(name) {
            Some(view) => Ok(view),
            None => Err(self.error(format!("there is no tensor {} in it", quoted(name)))),
        }
    }

    fn error(&self, why: impl fmt::Display) -> Error {
        Error::model_file(&self.path, why)
    }
}

impl fmt::Debug for TorchFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TorchFile").field("path", &self.path).field("tensors", &self.tensors.len()).finish_non_exhaustive()
    }
}

/// Returns the top-level folder that holds `data.pkl`, with its slash; fails unless there is exactly one.
fn folder_of(zip: &Zip) -> Result<String, String> {
    let names = zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok());
    let is_root = |folder: &&str| folder.ends_with('/') && folder.matches('/').count() == 1;
    let mut folders = names.filter_map(|name| name.strip_suffix("data.pkl")).filter(is_root);
    match (folders.next(), folders.next()) {
        (Some(folder), None) => Ok(folder.to_owned()),
        (None, _) => Err("is a zip file, but not one of torch.save: it holds no data.pkl".to_owned()),
        (Some(_), Some(_)) => Err("holds more than one data.pkl".to_owned()),
    }
}

/// Checks that the file records little-endian byte order, or none, as old files do.
fn check_byte_order(zip: &mut Zip, folder: &str) -> Result<(), String> {
    let name = format!("{folder}byteorder");
    if zip.index_for_name(&name).is_none() {
        return Ok(());
    }
    match read_small(zip, &name, MAX_NOTE_BYTES)?.trim_ascii() {
        b"little" => Ok(()),
        other => Err(format!("has the byte order {}; only little is supported", quoted(&String::from_utf8_lossy(other)))),
    }
}

/// Returns all bytes of the zip entry `name` and verifies its checksum; fails if the entry is compressed or larger than
/// `max_bytes`.
fn read_small(zip: &mut Zip, name: &str, max_bytes: u64) -> Result<Vec<u8>, String> {
    let unreadable = |e: &dyn fmt::Display| format!("its entry {} cannot be read: {e}", quoted(name));
    let mut entry = zip.by_name(name).map_err(|e| unreadable(&e))?;
    if entry.compression() != CompressionMethod::Stored || entry.size() > max_bytes {
        return Err(unreadable(&"it is compressed or far too large, which torch.save never makes"));
    }
    let mut bytes = Vec::new();
    (&mut entry).take(max_bytes + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    Ok(bytes)
}

/// Returns the name of the zip entry that holds the storage of `view`; `folder` is the top-level folder with its slash.
fn storage_name(folder: &str, view: &TensorView) -> String {
    format!("{folder}data/{}", view.storage.key)
}

/// Checks that the storage of `view` lies complete and uncompressed in the zip file of `file_len` bytes, and that `view` lies within the
/// storage.
fn check(zip: &mut Zip, folder: &str, file_len: u64, view: &TensorView) -> Result<(), String> {
    storage::extent(view)?;
    let name = storage_name(folder, view);
    let entry = zip.by_name(&name).map_err(|e| format!("has no storage {}: {e}", quoted(&name)))?;
    if entry.compression() != CompressionMethod::Stored || entry.size() != entry.compressed_size() {
        return Err(format!("has a compressed storage {}, which torch.save never makes", quoted(&name)));
    }
    let needed = (view.storage.len as u64).checked_mul(view.storage.kind.size() as u64);
    if needed.is_none_or(|needed| needed > entry.size()) {
        let (len, size) = (view.storage.len, entry.size());
        return Err(format!("needs {len} elements of storage {}, which holds {size} bytes", quoted(&name)));
    }
    // This also bounds later allocations by the size of the file.
    if entry.data_start().and_then(|start| start.checked_add(entry.size())).is_none_or(|end| end > file_len) {
        return Err(format!("has a storage {} that reaches beyond the end of the file", quoted(&name)));
    }
    Ok(())
}

/// Returns the tensor that `view` describes, from the little-endian `bytes` of its `extent`; `of` converts an element.
fn to_tensor<T: WithDType, const N: usize>(
    view: &TensorView,
    bytes: &[u8],
    extent: Extent,
    of: fn([u8; N]) -> T,
) -> Result<Tensor, String> {
    let (elements, _) = bytes.as_chunks::<N>();
    let run: Vec<T> = elements.iter().map(|element| of(*element)).collect();
    let values = if storage::is_contiguous(view) { run } else { storage::gather(view, &run, extent.count) };
    Tensor::from_vec(values, view.shape.as_slice(), &Device::Cpu).map_err(|e| format!("cannot be made: {e}"))
}
