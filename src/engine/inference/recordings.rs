//! The recordings of a session: one asked for at the start, and one that the user switches on and off. A full disk costs the
//! recording, not the listening.

use std::path::Path;

use crate::audio::wav_file::WavFileWriter;
use crate::error::{Error, Result};

/// The WAV files to which all captured sound of a session is written.
#[derive(Debug)]
pub(in crate::engine) struct Recordings {
    /// Recording asked for by `--save-audio`.
    whole_session: Option<WavFileWriter>,
    /// Recording that `Command::RecordTo` began and `Command::StopRecording` ends.
    switched: Option<WavFileWriter>,
}

impl Recordings {
    /// Returns the recordings of a session, which is recorded from its start into `whole_session`, if given.
    pub(in crate::engine) const fn new(whole_session: Option<WavFileWriter>) -> Self {
        Self { whole_session, switched: None }
    }

    /// Begins the switched recording in the file `path`, after completing a switched recording in progress.
    ///
    /// # Errors
    /// When the old file cannot be completed or the new one not created; the switched recording is off then.
    pub(super) fn begin(&mut self, path: &Path) -> Result<()> {
        self.stop()?;
        self.switched = Some(WavFileWriter::create(path)?);
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
        self.whole_session.is_some() || self.switched.is_some()
    }

    /// Appends `samples` to each file. Returns the errors; a file that failed is closed and gets no more samples.
    pub(super) fn write(&mut self, samples: &[f32]) -> Vec<Error> {
        let mut errors = Vec::new();
        for file in [&mut self.whole_session, &mut self.switched] {
            if let Some(Err(error)) = file.as_mut().map(|out| out.write(samples)) {
                *file = None;
                errors.push(error);
            }
        }
        errors
    }

    /// Completes each file and ends the recordings. Returns the errors.
    pub(super) fn finish(&mut self) -> Vec<Error> {
        [self.whole_session.take(), self.switched.take()].into_iter().flatten().filter_map(|file| file.finish().err()).collect()
    }
}
