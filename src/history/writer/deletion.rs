//! Deletions by the writer: on request, and of expired sessions.

use std::time::{Duration, Instant};

use super::{CurrentSession, HistoryWriter, RETRY};
use crate::clock::now_ms;
use crate::history::handle::HistoryNotice;
use crate::history::lines::StableCounts;

/// Start time of a deletion, in milliseconds since 1970, that stands for a deletion of everything.
pub(super) const EVERYTHING: i64 = i64::MIN;
/// Time between two deletions of expired sessions.
const EXPIRY: Duration = Duration::from_secs(3_600);
/// Time given to the engine to complete a recording before it is deleted.
const RECORDING_COMPLETION: Duration = Duration::from_secs(1);
/// Number of milliseconds in a day.
const DAY_MS: i64 = 86_400_000;

impl HistoryWriter {
    /// Deletes everything since `since` (milliseconds since 1970): at once, or after [`RECORDING_COMPLETION`] if a recording is in
    /// progress, which is stopped first.
    pub(super) fn forget_since(&mut self, since: i64) {
        self.waiting.retain(|(wall, _)| *wall < since);
        self.pending_delete = Some(self.pending_delete.map_or(since, |pending| pending.min(since)));
        if self.recording.is_some() {
            // The engine completes the file first; a new recording starts afterwards.
            self.stop_recording();
            self.store_at = Some(Instant::now() + RECORDING_COMPLETION);
        } else {
            self.apply_pending_delete();
        }
    }

    /// Carries out the pending deletion, if any, and notifies the user. A failed deletion is reported and tried again.
    pub(super) fn apply_pending_delete(&mut self) {
        let Some(since) = self.pending_delete else { return };
        let path = self.path.clone();
        let applied = match self.opened() {
            Ok(None) => Ok(()),
            Ok(Some(store)) if since == EVERYTHING => store.delete_all().map(drop),
            Ok(Some(store)) => store.forget_since(since).map(drop),
            Err(error) => Err(error.about(&path)),
        };
        match applied {
            Ok(()) => {
                (self.pending_delete, self.reported) = (None, None);
                self.reload_session();
                self.log.write("deleted as asked");
                self.notify(if since == EVERYTHING { HistoryNotice::DeletedAll } else { HistoryNotice::Forgotten });
                self.store_at.get_or_insert_with(Instant::now);
            }
            Err(error) => self.report_failure(&error),
        }
    }

    /// Deletes recordings that belong to no session and, unless the number of days in the user's preferences is 0, all sessions, events
    /// and recordings that are older. Schedules the next such deletion.
    pub(super) fn expire(&mut self) {
        self.expire_at = Instant::now() + EXPIRY;
        let (days, path) = (self.prefs.days, self.path.clone());
        let expired = match self.opened() {
            Ok(None) => Ok(0),
            Ok(Some(store)) => store.sweep_recordings().and_then(|()| match days {
                0 => Ok(0),
                days => store.expire(now_ms() - i64::from(days) * DAY_MS),
            }),
            Err(error) => Err(error.about(&path)),
        };
        match expired {
            Ok(0) => {}
            Ok(_) => self.reload_session(),
            Err(error) => {
                self.expire_at = Instant::now() + RETRY[1];
                self.report_failure(&error);
            }
        }
    }

    /// Reads the current session from the database again after a deletion. If the session was deleted, the next event begins a new
    /// session.
    fn reload_session(&mut self) {
        let (Some(store), Some(current)) = (&self.store, self.current) else {
            return self.start_new_session();
        };
        match (store.next_number(current.id), store.transcript(current.id)) {
            (Ok(Some(next)), Ok(Some(transcript))) => {
                self.current = Some(CurrentSession { id: current.id, next, stable: StableCounts::of(&transcript) });
                self.transcript = transcript;
                self.waiting.iter().for_each(|(_, event)| self.transcript.apply(event));
            }
            _ => self.start_new_session(),
        }
    }
}
