//! The recording of a session's sound: the engine is asked to write it, and the database knows its file.

use std::time::Instant;

use super::HistoryWriter;
use crate::files::make_private_folder;
use crate::history::recordings;
use crate::history::store_error::StoreError;
use crate::protocol::Command;

impl HistoryWriter {
    /// Asks the engine to record the session, if the user wants recordings, no recording is in progress and the session is stored. If
    /// the engine refuses, asks again later.
    pub(super) fn start_recording(&mut self) -> Result<(), StoreError> {
        let (Some(store), Some(current), None, true) = (&self.store, self.current, &self.recording, self.prefs.audio) else {
            return Ok(());
        };
        make_private_folder(&self.recordings).map_err(StoreError::NoFolder)?;
        self.recorded += 1;
        let name = recordings::new_name(self.recorded);
        store.add_recording(current.id, &name, self.transcript.now)?;
        let path = self.recordings.join(name);
        if (self.callbacks.send_command)(Command::RecordTo(path.clone())) {
            self.recording = Some(path);
            self.log.write("recording begins");
        } else {
            self.store_at = Some(Instant::now() + self.retry);
        }
        Ok(())
    }

    /// Mends the recordings of earlier sessions that were cut off, by a power failure or a kill.
    pub(super) fn mend_recordings(&mut self) {
        if self.name.is_empty() {
            for _ in 0..recordings::mend(&self.recordings) {
                self.log.write("a recording that was cut off is mended");
            }
        }
    }

    /// Asks the engine to stop the recording, if one is in progress.
    pub(super) fn stop_recording(&mut self) {
        if self.recording.take().is_some() {
            // An engine that accepts no commands has ended, and has completed the file.
            (self.callbacks.send_command)(Command::StopRecording);
            self.log.write("recording ends");
        }
    }
}
