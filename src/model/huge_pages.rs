//! A file of weights in pages of 2 MiB rather than of 4 KiB, where the system has them.
//!
//! A listening pass goes through all of a model's weights; with small pages the processor looks up half a million addresses for
//! it, and waits: the 3B in 4 bits took 200 ms instead of 154 (Intel Xeon at 2.5 GHz, two threads). Linux keeps a file in large
//! pages where it was written, or asked for ahead of reading, so much at a time (ext4 since 6.16, XFS and Btrfs before). Not
//! responsible for what is in the file.

use std::fs::File;
use std::io::{self, Seek, Write};

use memmap2::Mmap;

/// Bytes of a large page on most processors.
const PAGE: usize = 2 << 20;

/// Asks the system to keep what `map` shows in large pages. One that cannot leaves it as it is.
pub fn advise(map: &Mmap) {
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    #[cfg(not(target_os = "linux"))]
    let _ = map;
}

/// Writes a file a whole large page at a time.
#[derive(Debug)]
pub struct HugePageWriter {
    file: File,
    /// Where in the file the waiting bytes belong.
    at: u64,
    waiting: Vec<u8>,
}

impl HugePageWriter {
    /// Goes on where `file` stands.
    ///
    /// # Errors
    /// When the system does not say where that is.
    pub fn new(mut file: File) -> io::Result<Self> {
        Ok(Self { at: file.stream_position()?, file, waiting: Vec::with_capacity(PAGE) })
    }

    /// The file; what was written after the last flush is not in it yet.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }
}

impl Write for HugePageWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A page that was begun before, or flushed in its middle, still ends where a page ends.
        let room = PAGE - self.at as usize % PAGE - self.waiting.len();
        let bytes = &bytes[..bytes.len().min(room)];
        self.waiting.extend_from_slice(bytes);
        if bytes.len() == room {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.waiting)?;
        self.at += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn everything_is_written_once_in_whatever_pieces_it_comes() {
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
        assert_eq!(writer.file().metadata().unwrap().len(), 2 * PAGE as u64, "pages end where they did");
        writer.flush().unwrap();
        assert!(std::fs::read(&path).unwrap() == all);
    }
}
