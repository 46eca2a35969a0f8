//! Writes the samples that the model heard as a 32-bit float WAV.

use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::error::{Error, ErrorKind, Result};
use crate::time::SAMPLE_RATE_HZ;

/// Samples between two times that the header is brought up to date, so that a crash leaves a readable file: 5 s.
const FLUSH_SAMPLES: usize = 5 * SAMPLE_RATE_HZ as usize;

/// A growing WAV file, 16 kHz mono, readable by the user alone.
pub struct WavOut {
    path: PathBuf,
    writer: WavWriter<BufWriter<File>>,
    unflushed: usize,
}

impl std::fmt::Debug for WavOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavOut").field("path", &self.path).finish_non_exhaustive()
    }
}

impl WavOut {
    /// Creates or replaces the file `path`.
    ///
    /// # Errors
    /// When it cannot be written, naming it.
    pub fn create(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|e| Error::at(ErrorKind::Output, path, e))?;
        let spec = WavSpec { channels: 1, sample_rate: SAMPLE_RATE_HZ, bits_per_sample: 32, sample_format: SampleFormat::Float };
        let writer = WavWriter::new(BufWriter::new(file), spec).map_err(|e| Error::at(ErrorKind::Output, path, e))?;
        Ok(Self { path: path.to_owned(), writer, unflushed: 0 })
    }

    /// Appends `samples`.
    ///
    /// # Errors
    /// When the disk is full or gone, naming the file.
    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        let failed = |e| Error::at(ErrorKind::Output, &self.path, e);
        for sample in samples {
            self.writer.write_sample(*sample).map_err(failed)?;
        }
        self.unflushed += samples.len();
        if self.unflushed >= FLUSH_SAMPLES {
            self.unflushed = 0;
            self.writer.flush().map_err(failed)?;
        }
        Ok(())
    }

    /// Completes the file.
    ///
    /// # Errors
    /// When the disk is full or gone, naming the file.
    pub fn finish(self) -> Result<()> {
        self.writer.finalize().map_err(|e| Error::at(ErrorKind::Output, &self.path, e))
    }
}
