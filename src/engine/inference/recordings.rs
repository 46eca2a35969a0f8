//! The recordings of a session: one asked for at the start, and one that the user switches on and off. A full disk costs the
//! recording, not the listening.

use std::path::{Path, PathBuf};

use crate::audio::wav_file::WavFileWriter;
use crate::error::{Error, Result};
use crate::files::Existing;
use crate::time::SAMPLE_RATE_HZ;

/// Number of samples that wait for the file of the whole session: 60 s, longer than a window takes to open.
const MAX_WAITING: usize = 60 * SAMPLE_RATE_HZ as usize;

/// The WAV files to which all captured sound of a session is written.
#[derive(Debug)]
pub(in crate::engine) struct Recordings {
    whole_session: SessionRecording,
    /// Recording that `Command::RecordTo` began and `Command::StopRecording` ends.
    switched: Option<WavFileWriter>,
}

/// The recording of the whole session, asked for by `--save-audio`.
#[derive(Debug)]
pub(in crate::engine) enum SessionRecording {
    /// There is none, or it has failed.
    Off,
    /// The file is created with the first sound after `Command::RecordSession`: a start that fails leaves nothing behind.
    Waiting(WaitingRecording),
    /// The file is being written.
    On(WavFileWriter),
}

/// A recording whose file does not exist yet.
#[derive(Debug)]
pub(in crate::engine) struct WaitingRecording {
    path: PathBuf,
    existing: Existing,
    /// Samples heard so far.
    samples: Vec<f32>,
    /// True once the file may be created.
    may_begin: bool,
}

impl WaitingRecording {
    /// Creates the file and writes all that was heard so far.
    fn begin(&self) -> Result<WavFileWriter> {
        let mut out = WavFileWriter::create(&self.path, self.existing)?;
        out.write(&self.samples).map(|()| out)
    }
}

impl SessionRecording {
    /// Returns a recording that waits for `Command::RecordSession` to create the file `path`.
    pub(in crate::engine) const fn waiting(path: PathBuf, existing: Existing) -> Self {
        Self::Waiting(WaitingRecording { path, existing, samples: Vec::new(), may_begin: false })
    }

    /// Appends `samples`, and creates the file if that is due. After an error the recording is off.
    fn write(&mut self, samples: &[f32]) -> Result<()> {
        let written = match self {
            Self::Off => Ok(()),
            Self::On(out) => out.write(samples),
            Self::Waiting(waiting) => {
                waiting.samples.extend_from_slice(samples);
                if waiting.samples.is_empty() || !waiting.may_begin && waiting.samples.len() < MAX_WAITING {
                    return Ok(());
                }
                waiting.begin().map(|out| *self = Self::On(out))
            }
        };
        written.inspect_err(|_| *self = Self::Off)
    }

    /// Completes the file. One that waits is created if its session was shown and has heard anything.
    fn finish(&mut self) -> Result<()> {
        self.write(&[])?;
        match std::mem::replace(self, Self::Off) {
            Self::On(out) => out.finish(),
            Self::Off | Self::Waiting(_) => Ok(()),
        }
    }
}

impl Recordings {
    /// Returns the recordings of a session.
    pub(in crate::engine) const fn new(whole_session: SessionRecording) -> Self {
        Self { whole_session, switched: None }
    }

    /// Lets the recording of the whole session begin, with all that was heard so far.
    pub(super) const fn begin_session(&mut self) {
        if let SessionRecording::Waiting(waiting) = &mut self.whole_session {
            waiting.may_begin = true;
        }
    }

    /// Begins the switched recording in the new file `path`, after completing a switched recording in progress.
    ///
    /// # Errors
    /// When the old file cannot be completed or the new one not created; the switched recording is off then.
    pub(super) fn begin(&mut self, path: &Path) -> Result<()> {
        self.stop()?;
        self.switched = Some(WavFileWriter::create(path, Existing::Kept)?);
        Ok(())
    }

    /// Completes the switched recording; does nothing without one.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.switched.take().map_or(Ok(()), WavFileWriter::finish)
    }

    /// Returns true while anything is recorded.
    pub(super) const fn is_on(&self) -> bool {
        !matches!(self.whole_session, SessionRecording::Off) || self.switched.is_some()
    }

    /// Appends `samples` to each file. Returns the errors; a file that failed is closed and gets no more samples.
    pub(super) fn write(&mut self, samples: &[f32]) -> Vec<Error> {
        let mut errors = Vec::from_iter(self.whole_session.write(samples).err());
        if let Some(Err(error)) = self.switched.as_mut().map(|out| out.write(samples)) {
            self.switched = None;
            errors.push(error);
        }
        errors
    }

    /// Completes each file and ends the recordings. Returns the errors.
    pub(super) fn finish(&mut self) -> Vec<Error> {
        [self.whole_session.finish(), self.stop()].into_iter().filter_map(Result::err).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(path: &Path) -> Recordings {
        Recordings::new(SessionRecording::waiting(path.to_owned(), Existing::Kept))
    }

    #[test]
    fn a_session_that_is_never_shown_leaves_no_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("heard.wav");
        let mut recordings = waiting(&path);
        assert_eq!(recordings.write(&[0.5; 100]), []);
        assert_eq!(recordings.finish(), []);
        let mut recordings = waiting(&path);
        recordings.begin_session();
        assert!(recordings.is_on());
        assert_eq!(recordings.finish(), []);
        assert!(!path.exists(), "nothing was heard");
    }

    #[test]
    fn a_recording_that_waited_holds_all_from_the_beginning() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("heard.wav");
        let mut recordings = waiting(&path);
        recordings.write(&[0.5; 100]);
        recordings.begin_session();
        assert_eq!(recordings.write(&[0.25; 100]), []);
        assert_eq!(recordings.finish(), []);
        assert_eq!(crate::audio::read_file(&path).unwrap(), [[0.5; 100], [0.25; 100]].concat());
        let mut second = waiting(&path);
        second.begin_session();
        assert!(second.write(&[0.5; 100]).iter().any(|error| error.message().contains("exists already")) && !second.is_on());
    }
}
