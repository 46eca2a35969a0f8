//! Writes recordings as WAV files with 32-bit float samples.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::error::{Error, ErrorKind, Result};
use crate::time::SAMPLE_RATE_HZ;

/// Samples between two updates of the header: 5 s. After a crash the file is readable up to the last update.
const FLUSH_SAMPLES: usize = 5 * SAMPLE_RATE_HZ as usize;

/// Upper bound of the size of the WAV header, in bytes.
const HEADER_BYTES: u64 = 128;
/// Size of a sample (32-bit float), in bytes.
const SAMPLE_BYTES: u64 = 4;
/// Largest number of samples in a WAV file, whose lengths are 32-bit numbers of bytes: 18.6 hours.
const MAX_SAMPLES: u64 = (u32::MAX as u64 - HEADER_BYTES) / SAMPLE_BYTES;

/// A WAV file that is being written: 16 kHz mono, readable by the user alone.
pub struct WavFileWriter {
    path: PathBuf,
    writer: WavWriter<BufWriter<File>>,
    /// Number of samples written since the last update of the header.
    unflushed: usize,
    /// Number of samples in the file.
    written: u64,
}

impl std::fmt::Debug for WavFileWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavFileWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl WavFileWriter {
    /// Creates or replaces the file `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Output`], naming the file, when it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|e| Error::cannot_write(path, &e))?;
        let spec = WavSpec { channels: 1, sample_rate: SAMPLE_RATE_HZ, bits_per_sample: 32, sample_format: SampleFormat::Float };
        let writer = WavWriter::new(BufWriter::new(file), spec).map_err(|e| wav_error(path, e))?;
        Ok(Self { path: path.to_owned(), writer, unflushed: 0, written: 0 })
    }

    /// Appends `samples`, 16 kHz mono. Updates the header every 5 s of sound, so that a crash leaves a readable file.
    ///
    /// # Errors
    /// [`ErrorKind::Output`], naming the file, when the disk is full or gone, or the file has reached the maximum length of WAV.
    /// The samples written before stay readable.
    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        let failed = |e| wav_error(&self.path, e);
        // Beyond the maximum the lengths in the header would wrap around.
        if !fits(self.written, samples.len()) {
            return Err(Error::at(ErrorKind::Output, &self.path, "the recording has reached 18.6 hours, the maximum of a WAV file"));
        }
        self.written += samples.len() as u64;
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

    /// Completes the header and closes the file.
    ///
    /// # Errors
    /// [`ErrorKind::Output`], naming the file, when the disk is full or gone.
    pub fn finish(self) -> Result<()> {
        self.writer.finalize().map_err(|e| wav_error(&self.path, e))
    }
}

/// Returns the error for a failed write of the WAV file `path`.
fn wav_error(path: &Path, error: hound::Error) -> Error {
    match error {
        hound::Error::IoError(cause) => Error::cannot_write(path, &cause),
        other => Error::at(ErrorKind::Output, path, other),
    }
}

/// Overwrites the last `secs` seconds of a recording (all of a shorter one) with silence, in place. A writer that is still
/// appending is not disturbed; the samples in its buffer, up to 0.13 s, are not silenced.
///
/// # Errors
/// [`ErrorKind::Output`], naming the file, when it cannot be written.
pub fn silence_tail(path: &Path, secs: f64) -> Result<()> {
    let silence = || {
        let mut file = OpenOptions::new().write(true).open(path)?;
        let end = file.metadata()?.len();
        let bytes = (secs.max(0.0) * f64::from(SAMPLE_RATE_HZ)) as u64 * SAMPLE_BYTES;
        // Zero bytes are silence in any alignment, so the tail may begin within a sample.
        let mut left = bytes.min(end.saturating_sub(HEADER_BYTES));
        file.seek(SeekFrom::Start(end - left))?;
        let zeros = [0; 1 << 16];
        while left > 0 {
            let now = left.min(zeros.len() as u64);
            file.write_all(&zeros[..now as usize])?;
            left -= now;
        }
        file.sync_data()
    };
    silence().map_err(|e: std::io::Error| Error::cannot_write(path, &e))
}

/// Returns true if a WAV file that holds `written` samples has room for `more` samples.
const fn fits(written: u64, more: usize) -> bool {
    written + more as u64 <= MAX_SAMPLES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_back_bit_for_bit_also_before_the_file_is_complete() {
        let path = tempfile::tempdir().unwrap().keep().join("out.wav");
        let samples: Vec<f32> = (0..FLUSH_SAMPLES + 100).map(|n| (n as f32 * 0.37).sin()).collect();
        let read = || hound::WavReader::open(&path).unwrap().samples::<f32>().map(|s| s.unwrap()).collect::<Vec<_>>();
        let mut out = WavFileWriter::create(&path).unwrap();
        out.write(&samples[..FLUSH_SAMPLES]).unwrap();
        out.write(&samples[FLUSH_SAMPLES..]).unwrap();
        assert_eq!(read(), samples[..FLUSH_SAMPLES], "a crash would lose only the samples that are not flushed");
        out.finish().unwrap();
        assert_eq!(read(), samples);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn tail_of_a_recording_is_silenced_while_it_grows() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("out.wav");
        let mut out = WavFileWriter::create(&path).unwrap();
        out.write(&[0.5; FLUSH_SAMPLES]).unwrap();
        silence_tail(&path, 1.0).unwrap();
        out.write(&[0.25; 8]).unwrap();
        out.finish().unwrap();
        let read: Vec<f32> = hound::WavReader::open(&path).unwrap().samples::<f32>().map(|s| s.unwrap()).collect();
        let silent = SAMPLE_RATE_HZ as usize;
        assert!(read[..FLUSH_SAMPLES - silent].iter().all(|s| *s == 0.5), "earlier samples are unchanged");
        assert!(read[FLUSH_SAMPLES - silent..FLUSH_SAMPLES].iter().all(|s| *s == 0.0));
        assert_eq!(read[FLUSH_SAMPLES..], [0.25; 8]);
        silence_tail(&path, 1e9).unwrap();
        assert_eq!(hound::WavReader::open(&path).unwrap().len() as usize, read.len(), "the header is not overwritten");
    }

    #[test]
    fn error_for_a_missing_folder_names_the_file() {
        let error = WavFileWriter::create(Path::new("/nonexistent/folder/out.wav")).unwrap_err();
        assert!(error.kind() == ErrorKind::Output && error.message().contains("/nonexistent/folder/out.wav"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn error_for_a_full_disk_names_the_file() {
        let result = WavFileWriter::create(Path::new("/dev/full")).and_then(|mut out| {
            out.write(&[0.5; 2 * FLUSH_SAMPLES])?;
            out.finish()
        });
        assert!(result.unwrap_err().message().contains("/dev/full"));
    }

    #[test]
    fn recording_ends_before_the_lengths_wrap_around() {
        assert!(fits(MAX_SAMPLES - 6_400, 6_400) && !fits(MAX_SAMPLES - 6_400, 6_401));
        assert!(MAX_SAMPLES * 4 + 128 <= u64::from(u32::MAX));
    }
}
