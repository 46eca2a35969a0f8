//! The GGUF container, version 3: typed metadata and named tensors, mapped and used in place.
//!
//! Responsible for the part of ggml's format specification that Hearken writes: metadata that are numbers,
//! strings or lists of numbers; tensors of F32, or of bytes (I8). Other contents are refused by name; every size is checked before
//! use. Not responsible for the meaning of the tensors.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::huge_pages;
use crate::error::{Error, Result};

/// First bytes of a GGUF file.
const MAGIC: &[u8; 4] = b"GGUF";
/// Version of the GGUF format that Hearken reads and writes.
const VERSION: u32 = 3;
/// Alignment of tensors in a written file, in bytes: a cache line, for the kernels.
const ALIGNMENT: usize = 64;
/// The metadata key of the alignment of tensors.
const ALIGNMENT_KEY: &str = "general.alignment";
/// The alignment, in bytes, of a file without [`ALIGNMENT_KEY`].
const DEFAULT_ALIGNMENT: usize = 32;
/// The largest alignment that is accepted in a file, in bytes.
const MAX_ALIGNMENT: u64 = 1 << 20;
/// Largest number of metadata entries of a file; a file with more is refused as damaged.
const MAX_METADATA: u64 = 10_000;
/// Largest number of tensors of a file (the 3B has some 900); a file with more is refused as damaged.
const MAX_TENSORS: u64 = 100_000;
/// Largest length of a string in a file, in bytes; a file with a longer one is refused as damaged.
const MAX_CHARACTERS: u64 = 1 << 20;
/// Largest number of items of a list in the metadata; a file with a longer list is refused as damaged.
const MAX_ITEMS: u64 = 10_000_000;
/// Type id of a 32-bit unsigned metadata value (`enum gguf_metadata_value_type`).
const TYPE_U32: u32 = 4;
/// Type id of a metadata value that is a string (`enum gguf_metadata_value_type`).
const TYPE_STRING: u32 = 8;
/// Type id of a metadata value that is a list (`enum gguf_metadata_value_type`).
const TYPE_ARRAY: u32 = 9;
/// Type id of a 64-bit unsigned metadata value (`enum gguf_metadata_value_type`).
const TYPE_U64: u32 = 10;
/// Largest number of dimensions of a tensor (`GGML_MAX_DIMS`).
const MAX_DIMENSIONS: u32 = 4;

/// The element types of tensors that Hearken reads and writes, with their ids in `enum ggml_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit floats; id 0.
    F32,
    /// Bytes (I8); id 24.
    Bytes,
}

impl ElementType {
    /// Returns the id of the type in the file.
    const fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Bytes => 24,
        }
    }

    /// Returns the number of bytes of an element.
    const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bytes => 1,
        }
    }
}

/// A value of the file's metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataValue {
    /// An unsigned integer: 32 or 64 bits when read, 64 when written.
    Number(u64),
    /// A string.
    Text(String),
    /// A list of unsigned integers of at most 32 bits.
    Numbers(Vec<u32>),
    /// A value of a type that Hearken does not write: its contents are skipped, and writing it fails.
    Other,
}

/// The type and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Type of the elements.
    pub kind: ElementType,
    /// Dimensions, the slowest first (row-major, as everywhere in Hearken; in the file the fastest is first).
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Returns the number of bytes of all elements; None if it overflows.
    #[must_use]
    pub fn bytes(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.kind.size(), |all, n| all.checked_mul(*n))
    }
}

/// An open GGUF file: its metadata and tensor list are read, its tensors memory-mapped.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    map: Arc<Mmap>,
    metadata: BTreeMap<String, MetadataValue>,
    /// Type, shape and byte range of each tensor, by name.
    tensors: BTreeMap<String, (TensorInfo, Range<usize>)>,
}

impl Gguf {
    /// Opens `path`, reads its header and checks that every tensor lies within the file; values are not read.
    ///
    /// # Errors
    /// When the file cannot be read, is not GGUF version 3, is cut short, or holds tensors of types that Hearken does not read;
    /// names the file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::opened(path).map_err(|why| Error::model_file(path, why))
    }

    #[allow(unsafe_code, reason = "only a memory map uses gigabytes in place")]
    fn opened(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|e| format!("cannot be opened ({e})"))?;
        if !file.metadata().is_ok_and(|m| m.is_file()) {
            return Err("is not a file".into());
        }
        // SAFETY: the map is only read; Hearken itself replaces such files by renaming, never in place.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| format!("cannot be mapped ({e})"))?;
        huge_pages::advise(&map);
        let mut reader = HeaderReader { bytes: &map, at: 0 };
        if reader.take(4)? != MAGIC {
            return Err("is not a GGUF file".into());
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(format!("is GGUF version {version}; Hearken reads version {VERSION}"));
        }
        let (n_tensors, n_metadata) = (reader.u64()?, reader.u64()?);
        if n_tensors > MAX_TENSORS || n_metadata > MAX_METADATA {
            return Err(format!("claims {n_tensors} tensors and {n_metadata} metadata: damaged"));
        }
        let mut metadata = BTreeMap::new();
        for _ in 0..n_metadata {
            let name = reader.text()?;
            let value = reader.metadata_value()?;
            metadata.insert(name, value);
        }
        let mut found = Vec::new();
        for _ in 0..n_tensors {
            found.push(reader.entry()?);
        }
        let alignment = match metadata.get(ALIGNMENT_KEY) {
            Some(MetadataValue::Number(n)) if (1..=MAX_ALIGNMENT).contains(n) => *n as usize,
            None => DEFAULT_ALIGNMENT,
            Some(_) => return Err("has an alignment that is no number: damaged".into()),
        };
        let start = reader.at.next_multiple_of(alignment);
        let mut tensors = BTreeMap::new();
        for (name, entry, offset) in found {
            let end = entry.bytes().and_then(|n| n.checked_add(start)?.checked_add(usize::try_from(offset).ok()?));
            let Some(end) = end.filter(|end| *end <= map.len()) else {
                return Err(format!("is cut short: the tensor {name} lies beyond its end"));
            };
            let begin = start + offset as usize;
            if tensors.insert(name.clone(), (entry, begin..end)).is_some() {
                return Err(format!("holds the tensor {name} twice: damaged"));
            }
        }
        Ok(Self { path: path.to_owned(), map: Arc::new(map), metadata, tensors })
    }

    /// Returns the path that the file was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the metadata value with the key `name`; None if there is none.
    #[must_use]
    pub fn metadata_value(&self, name: &str) -> Option<&MetadataValue> {
        self.metadata.get(name)
    }

    /// Returns type and shape of the tensor `name`, and the range of its bytes in [`Gguf::map`]; None if there is no such tensor.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<(&TensorInfo, Range<usize>)> {
        self.tensors.get(name).map(|(entry, range)| (entry, range.clone()))
    }

    /// Returns the names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns the whole file as mapped memory.
    #[must_use]
    pub const fn map(&self) -> &Arc<Mmap> {
        &self.map
    }
}

/// A reader of the values in a GGUF header, in their order; its errors are the ends of sentences about the file.
struct HeaderReader<'a> {
    /// Bytes of the file.
    bytes: &'a [u8],
    /// Index of the next byte.
    at: usize,
}

impl<'a> HeaderReader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len()).ok_or("is cut short within its header")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| String::from("is cut short within its header"))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, String> {
        let n = self.u64()?;
        if n > MAX_CHARACTERS {
            return Err(format!("has a name of {n} characters: damaged"));
        }
        String::from_utf8(self.take(n as usize)?.to_vec()).map_err(|_| "has a name that is no text: damaged".into())
    }

    fn metadata_value(&mut self) -> Result<MetadataValue, String> {
        let id = self.u32()?;
        self.metadata_value_of(id)
    }

    /// Reads a metadata value of the type `id` (`enum gguf_metadata_value_type`); lists of lists are refused.
    fn metadata_value_of(&mut self, id: u32) -> Result<MetadataValue, String> {
        Ok(match id {
            TYPE_U32 => MetadataValue::Number(u64::from(self.u32()?)),
            TYPE_U64 => MetadataValue::Number(self.u64()?),
            TYPE_STRING => MetadataValue::Text(self.text()?),
            // Other types of 1, 2, 4 and 8 bytes.
            0 | 1 | 7 => self.take(1).map(|_| MetadataValue::Other)?,
            2 | 3 => self.take(2).map(|_| MetadataValue::Other)?,
            5 | 6 => self.take(4).map(|_| MetadataValue::Other)?,
            11 | 12 => self.take(8).map(|_| MetadataValue::Other)?,
            TYPE_ARRAY => {
                let (of, n) = (self.u32()?, self.u64()?);
                if n > MAX_ITEMS || of == TYPE_ARRAY {
                    return Err(format!("has a list of {n} items: damaged, or not of Hearken"));
                }
                let items: Vec<MetadataValue> = (0..n).map(|_| self.metadata_value_of(of)).collect::<Result<_, _>>()?;
                let numbers = items.iter().map(|item| if let MetadataValue::Number(n) = item { u32::try_from(*n).ok() } else { None });
                numbers.collect::<Option<Vec<u32>>>().map_or(MetadataValue::Other, MetadataValue::Numbers)
            }
            other => return Err(format!("has metadata of the unknown type {other}: damaged, or newer than Hearken")),
        })
    }

    /// Reads an entry of the tensor list; returns the name, the type and shape, and the offset of the tensor.
    fn entry(&mut self) -> Result<(String, TensorInfo, u64), String> {
        let name = self.text()?;
        let n = self.u32()?;
        if n > MAX_DIMENSIONS {
            return Err(format!("says that the tensor {name} has {n} dimensions: damaged"));
        }
        let mut shape: Vec<usize> =
            (0..n).map(|_| self.u64().and_then(|d| usize::try_from(d).map_err(|e| e.to_string()))).collect::<Result<_, _>>()?;
        shape.reverse();
        let kind = match self.u32()? {
            id if id == ElementType::F32.id() => ElementType::F32,
            id if id == ElementType::Bytes.id() => ElementType::Bytes,
            other => {
                let why = format!("holds the tensor {name} in the block type {other}; Hearken reads the files of `hearken model quantize`");
                return Err(why);
            }
        };
        Ok((name, TensorInfo { kind, shape }, self.u64()?))
    }
}

/// A writer of a GGUF file: the header first, then the tensors in the header's order.
#[derive(Debug)]
pub struct GgufWriter<W: Write> {
    /// Destination of the file.
    to: W,
    /// Number of bytes of each tensor that is not written yet.
    left: std::vec::IntoIter<usize>,
}

/// The header of a GGUF file to be written, and the sizes of its tensors in their order.
#[derive(Clone, Debug)]
pub struct GgufLayout {
    /// Bytes of the header.
    header: Vec<u8>,
    /// Number of bytes of each tensor, without padding.
    sizes: Vec<usize>,
}

impl GgufLayout {
    /// Lays out a file with `metadata` and `tensors`, in this order; adds the alignment to the metadata.
    ///
    /// # Errors
    /// When the size of a tensor overflows, or a metadata value is [`MetadataValue::Other`].
    pub fn new(metadata: &[(&str, MetadataValue)], tensors: &[(String, TensorInfo)]) -> io::Result<Self> {
        let mut header = Vec::new();
        let text = |header: &mut Vec<u8>, text: &str| {
            header.extend((text.len() as u64).to_le_bytes());
            header.extend(text.as_bytes());
        };
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend((tensors.len() as u64).to_le_bytes());
        header.extend((metadata.len() as u64 + 1).to_le_bytes());
        text(&mut header, ALIGNMENT_KEY);
        header.extend(TYPE_U32.to_le_bytes());
        header.extend((ALIGNMENT as u32).to_le_bytes());
        for (name, value) in metadata {
            text(&mut header, name);
            match value {
                MetadataValue::Number(n) => {
                    header.extend(TYPE_U64.to_le_bytes());
                    header.extend(n.to_le_bytes());
                }
                MetadataValue::Text(string) => {
                    header.extend(TYPE_STRING.to_le_bytes());
                    text(&mut header, string);
                }
                MetadataValue::Numbers(values) => {
                    header.extend(TYPE_ARRAY.to_le_bytes());
                    header.extend(TYPE_U32.to_le_bytes());
                    header.extend((values.len() as u64).to_le_bytes());
                    values.iter().for_each(|v| header.extend(v.to_le_bytes()));
                }
                MetadataValue::Other => return Err(io::Error::other("a metadata value of a type that cannot be written")),
            }
        }
        let mut offset = 0usize;
        let mut sizes = Vec::new();
        for (name, entry) in tensors {
            text(&mut header, name);
            header.extend((entry.shape.len() as u32).to_le_bytes());
            entry.shape.iter().rev().for_each(|n| header.extend((*n as u64).to_le_bytes()));
            header.extend(entry.kind.id().to_le_bytes());
            header.extend((offset as u64).to_le_bytes());
            let bytes = entry.bytes().ok_or_else(|| io::Error::other(format!("the tensor {name} is too large")))?;
            sizes.push(bytes);
            offset += bytes.next_multiple_of(ALIGNMENT);
        }
        header.resize(header.len().next_multiple_of(ALIGNMENT), 0);
        Ok(Self { header, sizes })
    }

    /// Returns the number of tensors of the file.
    #[must_use]
    pub const fn tensors(&self) -> usize {
        self.sizes.len()
    }

    /// Returns the number of bytes of the header and the first `tensors` tensors, with their padding: the offset of the next tensor
    /// in the file.
    #[must_use]
    pub fn bytes(&self, tensors: usize) -> u64 {
        let sizes = self.sizes.iter().take(tensors).map(|size| size.next_multiple_of(ALIGNMENT));
        (self.header.len() + sizes.sum::<usize>()) as u64
    }

    /// Reads from `from`; returns true if it begins with exactly this header.
    #[must_use]
    pub fn matches_header(&self, from: &mut impl io::Read) -> bool {
        let mut there = vec![0; self.header.len()];
        from.read_exact(&mut there).is_ok() && there == self.header
    }
}

impl<W: Write> GgufWriter<W> {
    /// Writes the header of `layout` to `to`; the tensors follow by [`tensor`](Self::tensor).
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut to: W, layout: GgufLayout) -> io::Result<Self> {
        to.write_all(&layout.header)?;
        Ok(Self { to, left: layout.sizes.into_iter() })
    }

    /// Continues a file that already holds the header and the first `tensors` tensors of `layout`; `to` must write behind them.
    #[must_use]
    pub fn resume(to: W, layout: GgufLayout, tensors: usize) -> Self {
        let mut left = layout.sizes.into_iter();
        left.by_ref().take(tensors).for_each(drop);
        Self { to, left }
    }

    /// Writes the next tensor of the layout, whose bytes `fill` writes, and its padding.
    ///
    /// # Errors
    /// When writing fails, `fill` fails or writes more or fewer bytes than the header says, or no tensor is left.
    pub fn tensor<E: From<io::Error>>(&mut self, fill: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), E> {
        let size = self.left.next().ok_or_else(|| io::Error::other("more tensors than the header names"))?;
        let mut counted = CountingWriter { to: &mut self.to, bytes: 0 };
        fill(&mut counted)?;
        if counted.bytes != size {
            return Err(io::Error::other(format!("a tensor of {} bytes where the header says {size}", counted.bytes)).into());
        }
        self.to.write_all(&[0; ALIGNMENT][..size.next_multiple_of(ALIGNMENT) - size])?;
        Ok(())
    }

    /// Flushes the underlying writer and returns it.
    ///
    /// # Errors
    /// When flushing fails.
    pub fn flushed(&mut self) -> io::Result<&W> {
        self.to.flush()?;
        Ok(&self.to)
    }

    /// Returns the underlying writer, not flushed, after the last tensor.
    ///
    /// # Errors
    /// When a tensor of the header was not written.
    pub fn finish(self) -> io::Result<W> {
        if self.left.len() > 0 { Err(io::Error::other("fewer tensors than the header names")) } else { Ok(self.to) }
    }
}

/// A writer that counts the bytes written through it.
struct CountingWriter<'a, W: Write> {
    to: &'a mut W,
    /// Number of bytes written so far.
    bytes: usize,
}

impl<W: Write> Write for CountingWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.bytes += n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
