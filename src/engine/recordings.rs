//! The files that what is heard is written to: the one asked for at the start, and the one that the user switches on and
//! off. A disk that is full costs the recording, not the listening.

use std::path::Path;

use crate::audio::wav_out::WavOut;
use crate::error::{Error, Result};

/// Files that are being written.
#[derive(Debug)]
pub(super) struct Recordings {
    asked: Option<WavOut>,
    switched: Option<WavOut>,
}

impl Recordings {
    pub(super) const fn new(asked: Option<WavOut>) -> Self {
        Self { asked, switched: None }
    }

    /// Begins the recording that can be switched, in place of the one that is being made.
    ///
    /// # Errors
    /// When the one cannot be completed or the other not begun: nothing is recorded then.
    pub(super) fn begin(&mut self, path: &Path) -> Result<()> {
        self.stop()?;
        self.switched = Some(WavOut::create(path)?);
        Ok(())
    }

    /// Completes the recording that can be switched.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.switched.take().map_or(Ok(()), WavOut::finish)
    }

    /// Whether what is heard is written to a file.
    pub(super) const fn is_on(&self) -> bool {
        self.asked.is_some() || self.switched.is_some()
    }

    /// Appends `samples` to each; gives what hindered it, and gives up the file that it hindered.
    pub(super) fn write(&mut self, samples: &[f32]) -> Vec<Error> {
        let mut hindered = Vec::new();
        for file in [&mut self.asked, &mut self.switched] {
            if let Some(Err(error)) = file.as_mut().map(|out| out.write(samples)) {
                *file = None;
                hindered.push(error);
            }
        }
        hindered
    }

    /// Completes each; gives what hindered it.
    pub(super) fn finish(&mut self) -> Vec<Error> {
        [self.asked.take(), self.switched.take()].into_iter().flatten().filter_map(|file| file.finish().err()).collect()
    }
}
