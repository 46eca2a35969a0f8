//! Writes recordings as WAV files with 32-bit float samples, and mends those that were cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::files::{self, Existing, already_exists, create_document};
use crate::time::SAMPLE_RATE_HZ;

/// Size of the header, in bytes.
const HEADER: usize = 58;
/// Offset of the lengths in the header: of the file, in samples, and of the samples in bytes.
const LENGTHS: [usize; 3] = [4, 46, 54];
/// Upper bound of the size of the header of any recording, also of those of earlier versions, in bytes.
const HEADER_BYTES: u64 = 128;
/// Size of a sample (32-bit float), in bytes.
const SAMPLE_BYTES: u64 = 4;
/// Largest number of samples in a WAV file, whose lengths are 32-bit numbers of bytes: 18.6 hours.
const MAX_SAMPLES: u64 = (u32::MAX as u64 - HEADER_BYTES) / SAMPLE_BYTES;
/// Format tags of float samples and of the extensible format, whose samples are float in the recordings of earlier versions.
const FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xfffe;

/// A WAV file that is being written: 16 kHz mono, readable by the user alone.
pub struct WavFileWriter {
    path: PathBuf,
    file: File,
    /// Number of samples in the file.
    written: u64,
    /// Bytes of the samples that are written together.
    bytes: Vec<u8>,
}

impl std::fmt::Debug for WavFileWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavFileWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl WavFileWriter {
    /// Creates the file `path`. A file that exists is replaced only if `existing` says so.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] when the file exists and is kept; [`ErrorKind::Output`], naming the file, when it cannot be created.
    pub fn create(path: &Path, existing: Existing) -> Result<Self> {
        let file = create_document(path, existing).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => already_exists(path),
            _ => Error::cannot_write(path, &e),
        })?;
        let mut writer = Self { path: path.to_owned(), file, written: 0, bytes: Vec::new() };
        writer.file.write_all(&header(0)).map_err(|e| Error::cannot_write(path, &e))?;
        Ok(writer)
    }

    /// Appends `samples`, 16 kHz mono, and updates the header, so that a program that is killed leaves a whole file.
    ///
    /// # Errors
    /// [`ErrorKind::Output`], naming the file, when the disk is full or gone, or the file has reached the maximum length of WAV.
    /// The samples written before stay readable.
    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        // Beyond the maximum the lengths in the header would wrap around.
        if !fits(self.written, samples.len()) {
            return Err(Error::at(ErrorKind::Output, &self.path, "the recording has reached 18.6 hours, the maximum of a WAV file"));
        }
        self.bytes.clear();
        self.bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        let written = self.written + samples.len() as u64;
        let append = |file: &mut File, bytes: &[u8]| -> io::Result<()> {
            file.write_all(bytes)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&header(written))?;
            file.seek(SeekFrom::Start(HEADER as u64 + written * SAMPLE_BYTES)).map(drop)
        };
        append(&mut self.file, &self.bytes).map_err(|e| Error::cannot_write(&self.path, &e))?;
        self.written = written;
        Ok(())
    }

    /// Closes the file once it is on the disk.
    ///
    /// # Errors
    /// [`ErrorKind::Output`], naming the file, when the disk is full or gone.
    pub fn finish(self) -> Result<()> {
        // A device has no disk to wait for.
        let is_file = self.file.metadata().is_ok_and(|about| about.is_file());
        let done = if is_file { self.file.sync_all() } else { Ok(()) };
        done.map_err(|e| Error::cannot_write(&self.path, &e))
    }
}

/// Returns the header of a file with `samples` samples, which must fit: format 3 with its empty extension, and a `fact` chunk.
fn header(samples: u64) -> [u8; HEADER] {
    let samples = samples as u32;
    let bytes = samples * SAMPLE_BYTES as u32;
    let mut header = [0; HEADER];
    let mut at = 0;
    let mut put = |field: &[u8]| {
        header[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    };
    put(b"RIFF");
    put(&(HEADER as u32 - 8 + bytes).to_le_bytes());
    put(b"WAVEfmt ");
    put(&18_u32.to_le_bytes());
    put(&FLOAT.to_le_bytes());
    put(&1_u16.to_le_bytes());
    put(&SAMPLE_RATE_HZ.to_le_bytes());
    put(&(SAMPLE_RATE_HZ * SAMPLE_BYTES as u32).to_le_bytes());
    put(&(SAMPLE_BYTES as u16).to_le_bytes());
    put(&(8 * SAMPLE_BYTES as u16).to_le_bytes());
    put(&0_u16.to_le_bytes());
    put(b"fact");
    put(&4_u32.to_le_bytes());
    put(&samples.to_le_bytes());
    put(b"data");
    put(&bytes.to_le_bytes());
    header
}

/// Mends a recording of Hearken that was cut off by a power failure, or by a kill of an earlier version: its header then says the real
/// length. Leaves every other file alone, and a recording that is being written. The time of the last change stays. Returns true if the
/// file was mended.
///
/// # Errors
/// When the file cannot be read or written.
pub fn mend(path: &Path) -> io::Result<bool> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    if files::lock(&file).is_err() {
        return Ok(false);
    }
    let about = file.metadata()?;
    let mut head = Vec::new();
    (&mut file).take(HEADER_BYTES).read_to_end(&mut head)?;
    let Some(places) = lengths_in(&head) else { return Ok(false) };
    let begin = places[2] as u64 + 4;
    let samples = (about.len().saturating_sub(begin) / SAMPLE_BYTES).min(MAX_SAMPLES);
    let bytes = samples * SAMPLE_BYTES;
    let lengths = [begin - 8 + bytes, samples, bytes];
    let said = |place: usize| u32::from_le_bytes([head[place], head[place + 1], head[place + 2], head[place + 3]]);
    let wrong: Vec<_> = places.into_iter().zip(lengths).filter(|(at, length)| *at > 0 && u64::from(said(*at)) != *length).collect();
    for (at, length) in &wrong {
        file.seek(SeekFrom::Start(*at as u64))?;
        file.write_all(&(*length as u32).to_le_bytes())?;
    }
    if !wrong.is_empty() {
        // The history counts the time of a recording back from its last change.
        about.modified().and_then(|time| file.set_modified(time))?;
        file.sync_all()?;
    }
    Ok(!wrong.is_empty())
}

/// Returns the places of the [`LENGTHS`] in the header of a recording of Hearken, 0 for one that the header lacks; None for another file.
fn lengths_in(head: &[u8]) -> Option<[usize; 3]> {
    let short = |at: usize| head.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let is_at = |at: usize, word: &[u8]| head.get(at..at + word.len()) == Some(word);
    let format = (short(20)?, short(22)?, short(32)?);
    if !is_at(0, b"RIFF") || !is_at(8, b"WAVEfmt ") || !is_at(24, &SAMPLE_RATE_HZ.to_le_bytes()) || head.len() < HEADER {
        return None;
    }
    match format {
        (FLOAT, 1, 4) if is_at(38, b"fact") && is_at(50, b"data") => Some(LENGTHS),
        // Earlier versions wrote the extensible format without a `fact` chunk.
        (EXTENSIBLE, 1, 4) if is_at(44, &FLOAT.to_le_bytes()) && is_at(60, b"data") && head.len() >= 68 => Some([4, 0, 64]),
        _ => None,
    }
}

/// Overwrites the last `secs` seconds of a recording (all of a shorter one) with silence, in place. A writer that is still
/// appending is not disturbed.
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
    silence().map_err(|e: io::Error| Error::cannot_write(path, &e))
}

/// Returns true if a WAV file that holds `written` samples has room for `more` samples.
const fn fits(written: u64, more: usize) -> bool {
    written + more as u64 <= MAX_SAMPLES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five seconds of sound, in samples.
    const FIVE_SECS: usize = 5 * SAMPLE_RATE_HZ as usize;

    fn create(path: &Path) -> WavFileWriter {
        WavFileWriter::create(path, Existing::Kept).unwrap()
    }

    #[test]
    fn samples_are_read_back_bit_for_bit_also_before_the_file_is_complete() {
        let path = tempfile::tempdir().unwrap().keep().join("out.wav");
        let samples: Vec<f32> = (0..FIVE_SECS + 100).map(|n| (n as f32 * 0.37).sin()).collect();
        let read = || hound::WavReader::open(&path).unwrap().samples::<f32>().map(|s| s.unwrap()).collect::<Vec<_>>();
        let mut out = create(&path);
        out.write(&samples[..FIVE_SECS]).unwrap();
        assert_eq!(read(), samples[..FIVE_SECS], "a crash loses nothing that was written");
        out.write(&samples[FIVE_SECS..]).unwrap();
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
        let mut out = create(&path);
        out.write(&[0.5; FIVE_SECS]).unwrap();
        silence_tail(&path, 1.0).unwrap();
        out.write(&[0.25; 8]).unwrap();
        out.finish().unwrap();
        let read: Vec<f32> = hound::WavReader::open(&path).unwrap().samples::<f32>().map(|s| s.unwrap()).collect();
        let silent = SAMPLE_RATE_HZ as usize;
        assert!(read[..FIVE_SECS - silent].iter().all(|s| *s == 0.5), "earlier samples are unchanged");
        assert!(read[FIVE_SECS - silent..FIVE_SECS].iter().all(|s| *s == 0.0));
        assert_eq!(read[FIVE_SECS..], [0.25; 8]);
        silence_tail(&path, 1e9).unwrap();
        assert_eq!(hound::WavReader::open(&path).unwrap().len() as usize, read.len(), "the header is not overwritten");
    }

    #[test]
    fn error_for_a_missing_folder_names_the_file() {
        let error = WavFileWriter::create(Path::new("/nonexistent/folder/out.wav"), Existing::Kept).unwrap_err();
        assert!(error.kind() == ErrorKind::Output && error.message().contains("/nonexistent/folder/out.wav"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn error_for_a_full_disk_names_the_file() {
        let result = WavFileWriter::create(Path::new("/dev/full"), Existing::Replaced).and_then(|mut out| {
            out.write(&[0.5; 2 * FIVE_SECS])?;
            out.finish()
        });
        assert!(result.unwrap_err().message().contains("/dev/full"));
    }

    #[test]
    fn an_existing_file_is_replaced_only_where_that_is_asked() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notes.wav");
        std::fs::write(&path, "mine").unwrap();
        let error = WavFileWriter::create(&path, Existing::Kept).unwrap_err();
        assert!(error.kind() == ErrorKind::Arguments && error.message().contains("--force"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        WavFileWriter::create(&path, Existing::Replaced).unwrap().finish().unwrap();
        assert_eq!(hound::WavReader::open(&path).unwrap().len(), 0);
    }

    #[test]
    fn a_recording_that_was_cut_off_is_mended_and_keeps_its_time() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("out.wav");
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let mut ours = header(FIVE_SECS as u64).to_vec();
        // The header of earlier versions, as hound writes it.
        let mut older = b"RIFF\0\0\0\0WAVEfmt \x28\0\0\0\xfe\xff\x01\0\x80\x3e\0\0\0\xfa\0\0\x04\0\x20\0\x16\0\x20\0\x01\0\0\0".to_vec();
        older.extend(b"\x03\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71data\0\0\0\0");
        ours[LENGTHS[2]] = 0;
        for mut file in [ours, older] {
            file.extend([0.5_f32; 1_000].iter().flat_map(|sample| sample.to_le_bytes()));
            file.push(7);
            std::fs::write(&path, file).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            assert!(mend(&path).unwrap() && !mend(&path).unwrap(), "mended once");
            assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), time);
            let mut read = hound::WavReader::open(&path).unwrap();
            assert_eq!(read.samples::<f32>().map(Result::unwrap).collect::<Vec<_>>(), [0.5; 1_000]);
        }
    }

    #[test]
    fn only_recordings_that_nobody_writes_are_mended() {
        let home = tempfile::tempdir().unwrap();
        let (path, other) = (home.path().join("out.wav"), home.path().join("other.wav"));
        let mut out = create(&path);
        out.write(&[0.5; 100]).unwrap();
        assert!(!mend(&path).unwrap());
        out.finish().unwrap();
        assert!(!mend(&path).unwrap(), "it is whole");
        for content in [&b""[..], b"RIFF", &[0; 200]] {
            std::fs::write(&other, content).unwrap();
            assert!(!mend(&other).unwrap());
            assert_eq!(std::fs::read(&other).unwrap(), content);
        }
    }

    #[test]
    fn recording_ends_before_the_lengths_wrap_around() {
        assert!(fits(MAX_SAMPLES - 6_400, 6_400) && !fits(MAX_SAMPLES - 6_400, 6_401));
        assert!(MAX_SAMPLES * 4 + 128 <= u64::from(u32::MAX));
    }
}
