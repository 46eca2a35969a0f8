//! The clip that a user records as the instruction of a mode: a few seconds of what is heard, in a file.
//!
//! Not responsible for recordings of the session ([`super::recordings`]).

use std::path::Path;

use crate::audio::wav_file::WavFileWriter;
use crate::engine::meters::{Flag, Meters};
use crate::error::Result;
use crate::files::{Existing, make_private_folder};
use crate::time::SAMPLE_RATE_HZ;

/// Number of samples (16 kHz) at which a clip ends by itself, 20 s: an instruction is one sentence, and a forgotten recording must not go
/// on.
const MAX_SAMPLES: usize = 20 * SAMPLE_RATE_HZ as usize;

/// The clip that is being recorded, if any.
#[derive(Debug, Default)]
pub(super) struct ClipRecording {
    /// File of the clip; None while none is being recorded.
    out: Option<WavFileWriter>,
    /// Number of samples (16 kHz) that the clip may still take.
    left: usize,
}

impl ClipRecording {
    /// Begins a clip in the file `to`, which replaces an earlier clip there, after completing a clip in progress.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub(super) fn begin(&mut self, to: &Path) -> Result<()> {
        if let Some(folder) = to.parent() {
            make_private_folder(folder)?;
        }
        self.end()?;
        (self.out, self.left) = (Some(WavFileWriter::create(to, Existing::Replaced)?), MAX_SAMPLES);
        Ok(())
    }

    /// Completes the clip; does nothing without one.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub(super) fn end(&mut self) -> Result<()> {
        self.out.take().map_or(Ok(()), WavFileWriter::finish)
    }

    /// Appends `samples` to the clip, if there is one. A clip that fails or is 20 s long ends.
    ///
    /// # Errors
    /// When the file cannot be written, for instance because the disk is full.
    pub(super) fn write(&mut self, samples: &[f32]) -> Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let fits = samples.len().min(self.left);
        self.left -= fits;
        out.write(&samples[..fits]).inspect_err(|_| self.out = None)?;
        if self.left == 0 { self.end() } else { Ok(()) }
    }

    /// Shows on the meters whether a clip is being recorded.
    pub(super) fn show(&self, meters: &Meters) {
        if self.out.is_some() { meters.raise(Flag::Clip) } else { meters.lower(Flag::Clip) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_holds_what_was_heard_and_ends_after_20_s() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("new/clip.wav");
        let (mut clip, meters) = (ClipRecording::default(), Meters::default());
        clip.begin(&to).unwrap();
        clip.write(&[0.25; 6_400]).unwrap();
        clip.show(&meters);
        assert!(meters.read().recording_clip);
        clip.end().unwrap();
        assert_eq!(crate::audio::read_file(&to).unwrap(), [0.25; 6_400]);
        clip.begin(&to).unwrap();
        for _ in 0..60 {
            clip.write(&[0.5; 6_400]).unwrap();
        }
        clip.show(&meters);
        assert!(!meters.read().recording_clip);
        assert_eq!(crate::audio::read_file(&to).unwrap().len(), MAX_SAMPLES);
    }

    #[test]
    fn a_clip_that_cannot_be_created_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut clip = ClipRecording::default();
        assert!(clip.begin(folder.path()).is_err());
        clip.write(&[0.5; 100]).unwrap();
        assert!(clip.out.is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_one_error_and_no_clip() {
        let mut clip = ClipRecording::default();
        assert!(clip.begin(Path::new("/dev/full")).is_err());
        assert_eq!((0..45).filter(|_| clip.write(&[0.1; 6_400]).is_err()).count(), 0);
    }
}
