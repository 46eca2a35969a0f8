//! The bytes of a recording: of a file, in memory, or of a stream that cannot be read twice.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

/// Number of bytes at the beginning that tell the form of a recording.
const HEAD_BYTES: usize = 512;
/// Length of the header of an ID3v2 tag, in bytes.
const ID3_HEADER_BYTES: u64 = 10;
/// Largest number of ID3v2 tags that are skipped before the sound.
const MAX_TAGS: usize = 16;

/// A stream of bytes that is read once.
pub(super) type ByteStream = Box<dyn Read + Send + Sync>;

/// The bytes of a recording.
pub(super) enum Origin {
    /// A regular file.
    File(File),
    /// Bytes in memory.
    Memory(&'static [u8]),
    /// A pipe or another stream.
    Stream {
        /// Bytes that were read to find out the form.
        head: Vec<u8>,
        /// The stream behind them; None once it was taken.
        rest: Option<ByteStream>,
    },
}

impl Origin {
    /// Returns the origin of a stream.
    pub(super) fn stream(stream: ByteStream) -> Self {
        Self::Stream { head: Vec::new(), rest: Some(stream) }
    }

    /// Skips the ID3v2 tags at the beginning, with covers of any size, and returns the offset of the sound and its first bytes.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    pub(super) fn skip_tags(&mut self) -> io::Result<(u64, Vec<u8>)> {
        let mut start = 0;
        for _ in 0..MAX_TAGS {
            let head = self.head(start)?;
            let Some(length) = id3_tag_bytes(&head) else { return Ok((start, head)) };
            match self {
                Self::Stream { head, rest: Some(rest) } => {
                    let buffered = length.min(head.len() as u64);
                    head.drain(..buffered as usize);
                    io::copy(&mut rest.take(length - buffered), &mut io::sink())?;
                }
                _ => start += length,
            }
        }
        let head = self.head(start)?;
        Ok((start, head))
    }

    /// Returns the bytes from `start` on, for a reader that seeks; None for a stream.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn section(&self, start: u64) -> io::Result<Option<Section>> {
        let (inner, total): (Box<dyn MediaSource>, u64) = match self {
            Self::File(file) => (Box::new(file.try_clone()?), file.metadata()?.len()),
            Self::Memory(bytes) => (Box::new(Cursor::new(*bytes)), bytes.len() as u64),
            Self::Stream { .. } => return Ok(None),
        };
        Ok(Some(Section { inner, start, length: total.saturating_sub(start), at: 0 }))
    }

    /// Returns the bytes from `start` on, for a reader that does not seek; a stream only once, from where it stands.
    ///
    /// # Errors
    /// When the file cannot be read, or the stream was taken before.
    pub(super) fn bytes(&mut self, start: u64) -> io::Result<ByteStream> {
        if let Self::Stream { head, rest } = self {
            let rest = rest.take().ok_or(io::ErrorKind::UnexpectedEof)?;
            return Ok(Box::new(Cursor::new(std::mem::take(head)).chain(rest)));
        }
        let section = self.section(start)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Box::new(section))
    }

    /// Returns up to [`HEAD_BYTES`] bytes from `start` on; of a stream those at its present place. A live stream is not waited for
    /// longer than it takes to tell its form.
    fn head(&mut self, start: u64) -> io::Result<Vec<u8>> {
        /// Number of bytes that suffice to tell the form of a stream.
        const ENOUGH: usize = 64;
        if let Self::Stream { head, rest } = self {
            let mut block = [0; HEAD_BYTES];
            while head.len() < ENOUGH {
                let Some(rest) = rest else { break };
                match rest.read(&mut block) {
                    Ok(0) => break,
                    Ok(count) => head.extend_from_slice(&block[..count]),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            return Ok(head.clone());
        }
        let mut head = Vec::new();
        if let Some(section) = self.section(start)? {
            section.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        }
        Ok(head)
    }
}

/// Returns the length of the ID3v2 tag that begins with `head`, in bytes, with header and footer; None if there is none.
fn id3_tag_bytes(head: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', major, _, flags, a, b, c, d, ..] = head else { return None };
    if *major == 0xff || [a, b, c, d].iter().any(|byte| **byte >= 0x80) {
        return None;
    }
    let length = [a, b, c, d].iter().fold(0, |length, byte| length << 7 | u64::from(**byte));
    let footer = if flags & 0x10 == 0 { 0 } else { ID3_HEADER_BYTES };
    Some(ID3_HEADER_BYTES + length + footer)
}

/// The bytes of a file, or in memory, from an offset to the end. Sections of one file share its cursor, so each keeps a place of its
/// own.
pub(super) struct Section {
    inner: Box<dyn MediaSource>,
    /// Offset of the first byte.
    start: u64,
    /// Number of bytes.
    length: u64,
    /// Place of the next byte, from `start` on.
    at: u64,
}

impl Section {
    /// Returns the number of bytes behind the present place.
    pub(super) const fn left(&self) -> u64 {
        self.length.saturating_sub(self.at)
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.seek(SeekFrom::Start(self.start.saturating_add(self.at)))?;
        let count = self.inner.read(buffer)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

impl Seek for Section {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl MediaSource for Section {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}
