//! The GGUF container, version 3: named tensors behind a header of typed notes, to be mapped and used as they lie.
//!
//! Responsible for the bytes of the format (`docs/gguf.md` of the ggml repository) as far as Hearken writes it: notes that
//! are numbers, strings or lists of numbers; tensors of F32, or of bytes (I8). Files of others are refused by name, never
//! trusted: every size is checked before it is used. Not responsible for what the tensors mean.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::large_pages;
use crate::error::{Error, Result};

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// Where tensors begin: at a cache line, as the kernels like it.
const ALIGNMENT: usize = 64;
/// The note that says so; other files may leave it out, and mean 32.
const ALIGNMENT_NOTE: &str = "general.alignment";
/// Notes, tensors and characters of a name beyond which a header is hostile; the 3B has some 900 tensors.
const MOST_NOTES: u64 = 10_000;
const MOST_TENSORS: u64 = 100_000;
const MOST_CHARACTERS: u64 = 1 << 20;
const MOST_ITEMS: u64 = 10_000_000;
/// Dimensions that a tensor may have (`GGML_MAX_DIMS`).
const MOST_DIMENSIONS: u32 = 4;

/// Number types of tensors that Hearken reads, with their ids in `enum ggml_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floats: 0.
    F32,
    /// Bytes: 24.
    Bytes,
}

impl Kind {
    const fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Bytes => 24,
        }
    }

    const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bytes => 1,
        }
    }
}

/// A note of the header.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A whole number.
    Number(u64),
    /// Text.
    Text(String),
    /// Whole numbers.
    Numbers(Vec<u32>),
    /// Of a type that Hearken does not write.
    Other,
}

/// A tensor to be written, or one that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number type.
    pub kind: Kind,
    /// Slowest dimension first, as everywhere in Hearken (the file has them the other way round).
    pub shape: Vec<usize>,
}

impl Entry {
    /// Bytes of its numbers; None when they cannot be counted.
    #[must_use]
    pub fn bytes(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.kind.size(), |all, n| all.checked_mul(*n))
    }
}

/// An open file.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    map: Arc<Mmap>,
    notes: BTreeMap<String, Note>,
    tensors: BTreeMap<String, (Entry, Range<usize>)>,
}

impl Gguf {
    /// Opens and checks `path`: every tensor lies within the file.
    ///
    /// # Errors
    /// When it cannot be read, is cut short, or holds what Hearken does not read, naming the file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::opened(path).map_err(|why| Error::model_file(path, why))
    }

    #[allow(unsafe_code, reason = "a memory map is the only way to use gigabytes as they lie")]
    fn opened(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|e| format!("cannot be opened ({e})"))?;
        if !file.metadata().is_ok_and(|m| m.is_file()) {
            return Err("is not a file".into());
        }
        // SAFETY: the map is only read; Hearken itself replaces such files by renaming, never in place.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| format!("cannot be mapped ({e})"))?;
        large_pages::wanted_for(&map);
        let mut reader = Reader { bytes: &map, at: 0 };
        if reader.take(4)? != MAGIC {
            return Err("is not a GGUF file".into());
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(format!("is GGUF version {version}; Hearken reads version {VERSION}"));
        }
        let (n_tensors, n_notes) = (reader.u64()?, reader.u64()?);
        if n_tensors > MOST_TENSORS || n_notes > MOST_NOTES {
            return Err(format!("claims {n_tensors} tensors and {n_notes} notes: damaged"));
        }
        let mut notes = BTreeMap::new();
        for _ in 0..n_notes {
            let name = reader.text()?;
            let note = reader.note()?;
            notes.insert(name, note);
        }
        let mut found = Vec::new();
        for _ in 0..n_tensors {
            found.push(reader.entry()?);
        }
        let alignment = match notes.get(ALIGNMENT_NOTE) {
            Some(Note::Number(n)) if (1..=1 << 20).contains(n) => *n as usize,
            None => 32,
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
        Ok(Self { path: path.to_owned(), map: Arc::new(map), notes, tensors })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The note `name`.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<&Note> {
        self.notes.get(name)
    }

    /// The tensor `name`, and where its bytes lie in [`Gguf::map`].
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<(&Entry, Range<usize>)> {
        self.tensors.get(name).map(|(entry, range)| (entry, range.clone()))
    }

    /// Names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The whole file.
    #[must_use]
    pub const fn map(&self) -> &Arc<Mmap> {
        &self.map
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
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
        if n > MOST_CHARACTERS {
            return Err(format!("has a name of {n} characters: damaged"));
        }
        String::from_utf8(self.take(n as usize)?.to_vec()).map_err(|_| "has a name that is no text: damaged".into())
    }

    fn note(&mut self) -> Result<Note, String> {
        let id = self.u32()?;
        self.note_of(id)
    }

    /// A note of the type `id` (`enum gguf_metadata_value_type`).
    fn note_of(&mut self, id: u32) -> Result<Note, String> {
        Ok(match id {
            4 => Note::Number(u64::from(self.u32()?)),
            10 => Note::Number(self.u64()?),
            8 => Note::Text(self.text()?),
            0 | 1 | 7 => self.take(1).map(|_| Note::Other)?,
            2 | 3 => self.take(2).map(|_| Note::Other)?,
            5 | 6 => self.take(4).map(|_| Note::Other)?,
            11 | 12 => self.take(8).map(|_| Note::Other)?,
            9 => {
                let (of, n) = (self.u32()?, self.u64()?);
                if n > MOST_ITEMS || of == 9 {
                    return Err(format!("has a list of {n} items: damaged, or not of Hearken"));
                }
                let items: Vec<Note> = (0..n).map(|_| self.note_of(of)).collect::<Result<_, _>>()?;
                let numbers = items.iter().map(|item| if let Note::Number(n) = item { u32::try_from(*n).ok() } else { None });
                numbers.collect::<Option<Vec<u32>>>().map_or(Note::Other, Note::Numbers)
            }
            other => return Err(format!("has a note of the unknown type {other}: damaged, or newer than Hearken")),
        })
    }

    fn entry(&mut self) -> Result<(String, Entry, u64), String> {
        let name = self.text()?;
        let n = self.u32()?;
        if n > MOST_DIMENSIONS {
            return Err(format!("says that the tensor {name} has {n} dimensions: damaged"));
        }
        let mut shape: Vec<usize> =
            (0..n).map(|_| self.u64().and_then(|d| usize::try_from(d).map_err(|e| e.to_string()))).collect::<Result<_, _>>()?;
        shape.reverse();
        let kind = match self.u32()? {
            0 => Kind::F32,
            24 => Kind::Bytes,
            other => {
                let why = format!("holds the tensor {name} in the block type {other}; Hearken reads the files of `hearken model quantize`");
                return Err(why);
            }
        };
        Ok((name, Entry { kind, shape }, self.u64()?))
    }
}

/// Writes a file: the header first, then the tensors in the order in which it names them.
#[derive(Debug)]
pub struct Writer<W: Write> {
    to: W,
    left: std::vec::IntoIter<usize>,
}

/// The header of a file, and where it has which tensor.
#[derive(Clone, Debug)]
pub struct Plan {
    header: Vec<u8>,
    sizes: Vec<usize>,
}

impl Plan {
    /// A file that will hold `tensors`.
    ///
    /// # Errors
    /// When a tensor is too large to be counted.
    pub fn new(notes: &[(&str, Note)], tensors: &[(String, Entry)]) -> io::Result<Self> {
        let mut header = Vec::new();
        let text = |header: &mut Vec<u8>, text: &str| {
            header.extend((text.len() as u64).to_le_bytes());
            header.extend(text.as_bytes());
        };
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend((tensors.len() as u64).to_le_bytes());
        header.extend((notes.len() as u64 + 1).to_le_bytes());
        text(&mut header, ALIGNMENT_NOTE);
        header.extend(4u32.to_le_bytes());
        header.extend((ALIGNMENT as u32).to_le_bytes());
        for (name, note) in notes {
            text(&mut header, name);
            match note {
                Note::Number(n) => {
                    header.extend(10u32.to_le_bytes());
                    header.extend(n.to_le_bytes());
                }
                Note::Text(value) => {
                    header.extend(8u32.to_le_bytes());
                    text(&mut header, value);
                }
                Note::Numbers(values) => {
                    header.extend(9u32.to_le_bytes());
                    header.extend(4u32.to_le_bytes());
                    header.extend((values.len() as u64).to_le_bytes());
                    values.iter().for_each(|v| header.extend(v.to_le_bytes()));
                }
                Note::Other => return Err(io::Error::other("a note without a value")),
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

    /// Tensors that it will hold.
    #[must_use]
    pub const fn tensors(&self) -> usize {
        self.sizes.len()
    }

    /// Bytes of a file that has the header and the first `tensors`.
    #[must_use]
    pub fn bytes(&self, tensors: usize) -> u64 {
        let sizes = self.sizes.iter().take(tensors).map(|size| size.next_multiple_of(ALIGNMENT));
        (self.header.len() + sizes.sum::<usize>()) as u64
    }

    /// Whether what `from` holds begins with this header.
    #[must_use]
    pub fn begins(&self, from: &mut impl io::Read) -> bool {
        let mut there = vec![0; self.header.len()];
        from.read_exact(&mut there).is_ok() && there == self.header
    }
}

impl<W: Write> Writer<W> {
    /// Writes the header of a file.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut to: W, plan: Plan) -> io::Result<Self> {
        to.write_all(&plan.header)?;
        Ok(Self { to, left: plan.sizes.into_iter() })
    }

    /// Goes on with a file that has its header and the first `tensors` already, behind them.
    #[must_use]
    pub fn go_on(to: W, plan: Plan, tensors: usize) -> Self {
        let mut left = plan.sizes.into_iter();
        left.by_ref().take(tensors).for_each(drop);
        Self { to, left }
    }

    /// Writes the next tensor: `fill` writes its bytes.
    ///
    /// # Errors
    /// When writing fails, or `fill` writes more or fewer bytes than the header says.
    pub fn tensor<E: From<io::Error>>(&mut self, fill: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), E> {
        let size = self.left.next().ok_or_else(|| io::Error::other("more tensors than the header names"))?;
        let mut counted = Counted { to: &mut self.to, bytes: 0 };
        fill(&mut counted)?;
        if counted.bytes != size {
            return Err(io::Error::other(format!("a tensor of {} bytes where the header says {size}", counted.bytes)).into());
        }
        self.to.write_all(&[0; ALIGNMENT][..size.next_multiple_of(ALIGNMENT) - size])?;
        Ok(())
    }

    /// What is written to, once it has taken everything that was given.
    ///
    /// # Errors
    /// When it does not.
    pub fn flushed(&mut self) -> io::Result<&W> {
        self.to.flush()?;
        Ok(&self.to)
    }

    /// What was written to.
    ///
    /// # Errors
    /// When a tensor that the header names was not written.
    pub fn finish(self) -> io::Result<W> {
        if self.left.len() > 0 { Err(io::Error::other("fewer tensors than the header names")) } else { Ok(self.to) }
    }
}

struct Counted<'a, W: Write> {
    to: &'a mut W,
    bytes: usize,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.bytes += n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
