//! Huge pages (2 MiB instead of 4 KiB) for a mapped file of weights, where the system supports them.
//!
//! A listening pass reads all weights; with small pages half a million page-table look-ups take a quarter of its time (3B at
//! 4 bits). Linux caches a file in huge pages if it was written, or read ahead, a huge page at a time (ext4 since 6.16, XFS,
//! Btrfs). Not responsible for the contents of the file.

use std::fs::File;
use std::io::{self, Seek, Write};

use memmap2::Mmap;

/// Number of bytes of a huge page on most processors.
const PAGE: usize = 2 << 20;

/// Advises the system to hold the pages of `map` as huge pages; without support (all but Linux), nothing changes.
pub fn advise(map: &Mmap) {
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    #[cfg(not(target_os = "linux"))]
    let _ = map;
}

/// A writer that collects bytes and writes a file one huge page at a time. Dropping it loses everything after the last flush.
#[derive(Debug)]
pub struct HugePageWriter {
    file: File,
    /// Offset in the file at which the pending bytes begin.
    at: u64,
    /// Bytes that do not fill a huge page yet.
    pending: Vec<u8>,
}

impl HugePageWriter {
    /// Makes a writer that continues at the current position of `file`.
    ///
    /// # Errors
    /// When the system does not report that position.
    pub fn new(mut file: File) -> io::Result<Self> {
        Ok(Self { at: file.stream_position()?, file, pending: Vec::with_capacity(PAGE) })
    }

    /// Returns the file, which lacks the bytes since the last whole page or flush.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }
}

impl Write for HugePageWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A page that was begun earlier, or flushed half full, still ends at a page boundary.
        let room = PAGE - self.at as usize % PAGE - self.pending.len();
        let bytes = &bytes[..bytes.len().min(room)];
        self.pending.extend_from_slice(bytes);
        if bytes.len() == room {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.at += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn pieces_of_any_size_are_written_once_and_in_whole_pages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let all: Vec<u8> = (0..2 * PAGE + 12_345).map(|i| (i * 7 % 251) as u8).collect();
        let (first, second) = all.split_at(PAGE + 777);
        let mut writer = HugePageWriter::new(File::create(&path).unwrap()).unwrap();
        first.chunks(99_991).for_each(|piece| writer.write_all(piece).unwrap());
        assert_eq!(writer.file().metadata().unwrap().len(), PAGE as u64, "whole pages");
        writer.flush().unwrap();
        drop(writer);
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(io::SeekFrom::End(0)).unwrap();
        let mut writer = HugePageWriter::new(file).unwrap();
        writer.write_all(second).unwrap();
        assert_eq!(writer.file().metadata().unwrap().len(), 2 * PAGE as u64, "pages keep their boundaries");
        writer.flush().unwrap();
        assert!(std::fs::read(&path).unwrap() == all);
    }
}
