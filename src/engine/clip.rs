//! A clip that the user records for a mode of their own: some seconds of what is heard, in a file. Not responsible for
//! recordings of the session, nor for saying that it goes on: the meters show that.

use std::path::Path;

use super::meters::{Flag, Meters};
use crate::audio::wav_out::WavOut;
use crate::config::paths::make_private_folder;
use crate::error::Result;
use crate::time::SAMPLE_RATE_HZ;

/// A clip ends by itself after 20 s: an instruction is one sentence, and a forgotten recording must not go on.
const MOST_SAMPLES: usize = 20 * SAMPLE_RATE_HZ as usize;

/// The clip that is being recorded, if one is.
#[derive(Debug, Default)]
pub(super) struct Clip {
    out: Option<WavOut>,
    left: usize,
}

impl Clip {
    /// Begins one in the file `to`, in place of any other.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(super) fn begin(&mut self, to: &Path) -> Result<()> {
        if let Some(folder) = to.parent() {
            make_private_folder(folder)?;
        }
        self.end()?;
        (self.out, self.left) = (Some(WavOut::create(to)?), MOST_SAMPLES);
        Ok(())
    }

    /// Completes it.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub(super) fn end(&mut self) -> Result<()> {
        self.out.take().map_or(Ok(()), WavOut::finish)
    }

    /// Writes what was heard; a clip that fails, or is long enough, ends.
    ///
    /// # Errors
    /// When the file cannot be written, for instance because the disk is full.
    pub(super) fn write(&mut self, samples: &[f32]) -> Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let most = samples.len().min(self.left);
        self.left -= most;
        out.write(&samples[..most]).inspect_err(|_| self.out = None)?;
        if self.left == 0 { self.end() } else { Ok(()) }
    }

    /// Shows on the meters whether it goes on.
    pub(super) fn show(&self, meters: &Meters) {
        if self.out.is_some() { meters.raise(Flag::Clip) } else { meters.lower(Flag::Clip) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_what_was_heard_and_ends_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("new/clip.wav");
        let (mut clip, meters) = (Clip::default(), Meters::default());
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
        assert_eq!(crate::audio::read_file(&to).unwrap().len(), MOST_SAMPLES);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error_and_nothing_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut clip = Clip::default();
        assert!(clip.begin(folder.path()).is_err());
        clip.write(&[0.5; 100]).unwrap();
        assert!(clip.out.is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_ends_the_clip_and_is_said_once() {
        let mut clip = Clip::default();
        clip.begin(Path::new("/dev/full")).unwrap();
        assert_eq!((0..45).filter(|_| clip.write(&[0.1; 6_400]).is_err()).count(), 1);
    }
}
