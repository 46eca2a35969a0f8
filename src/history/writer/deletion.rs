//! Deletions by the writer: on request, and of expired sessions.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{CurrentSession, HistoryWriter, RETRY};
use crate::clock::now_ms;
use crate::error::{Error, Result};
use crate::history::deletion::Deleted;
use crate::history::handle::HistoryNotice;
use crate::history::lines::StableCounts;
use crate::history::store::Store;
use crate::protocol::Event;
use crate::time::StreamTime;

/// Start time of a deletion, in milliseconds since 1970, that stands for a deletion of everything.
pub(super) const EVERYTHING: i64 = i64::MIN;
/// Time between two deletions of expired sessions.
const EXPIRY: Duration = Duration::from_secs(3_600);
/// Time given to the engine to complete a recording before it is deleted.
const RECORDING_COMPLETION: Duration = Duration::from_secs(1);
/// Number of milliseconds in a day.
const DAY_MS: i64 = 86_400_000;

/// Deletions that were asked for and are not done yet.
#[derive(Debug, Default)]
pub(super) struct PendingDeletions {
    /// Everything since this time, in milliseconds since 1970.
    since: Option<i64>,
    /// The running session up to this audio time.
    running_until: Option<StreamTime>,
    /// The sessions of the database that this takes, once their later events are among the waiting ones.
    doomed: Option<BTreeSet<i64>>,
    /// True while something that is deleted remains on the disk: a recording, or room in the file.
    remains: bool,
}

impl PendingDeletions {
    /// Returns true if a deletion is not done yet; the remains of one that is done do not count.
    pub(super) const fn are_any(&self) -> bool {
        self.since.is_some() || self.running_until.is_some() || self.doomed.is_some()
    }
}

impl HistoryWriter {
    /// Deletes everything since `since` (milliseconds since 1970): at once, or after [`RECORDING_COMPLETION`] if a recording is in
    /// progress, which is stopped first.
    pub(super) fn forget_since(&mut self, since: i64) {
        self.waiting.retain(|(wall, _)| *wall < since);
        self.pending.since = Some(self.pending.since.map_or(since, |pending| pending.min(since)));
        self.delete_after_recording();
    }

    /// Deletes the running session up to the audio time `until`, at the moment that [`HistoryWriter::forget_since`] would.
    pub(super) fn delete_running(&mut self, until: StreamTime) {
        self.waiting.retain(|(_, event)| event.at() > until);
        self.pending.running_until = self.pending.running_until.max(Some(until));
        self.delete_after_recording();
    }

    fn delete_after_recording(&mut self) {
        if self.recording.is_some() {
            // The engine completes the file first; a new recording starts afterwards.
            self.stop_recording();
            self.store_at = Some(Instant::now() + RECORDING_COMPLETION);
        } else {
            self.apply_pending();
        }
    }

    /// Applies the pending deletions, if any, and notifies the user; a failure is reported and tried again.
    pub(super) fn apply_pending(&mut self) {
        if let Some(since) = self.pending.since {
            let path = self.path.clone();
            let applied = match self.opened() {
                Ok(None) => Ok(None),
                Ok(Some(store)) if since == EVERYTHING => store.delete_all().map(|done| done.remains),
                Ok(Some(store)) => store.forget_since(since).map(|done| done.remains),
                Err(error) => Err(error.about(&path)),
            };
            let remains = match applied {
                Ok(remains) => remains,
                Err(error) => return self.report_failure(&error),
            };
            self.pending.since = None;
            self.reload_session();
            self.deleted(if since == EVERYTHING { HistoryNotice::DeletedAll } else { HistoryNotice::Forgotten }, remains);
        }
        if let Some(until) = self.pending.running_until {
            match self.later_events(until) {
                Ok(later) => {
                    self.waiting.splice(0..0, later);
                    self.pending.running_until = None;
                    self.pending.doomed.get_or_insert_default().append(&mut self.running);
                    self.start_new_session();
                }
                Err(error) => return self.report_failure(&error),
            }
        }
        if let Some(doomed) = self.pending.doomed.take() {
            let path = self.path.clone();
            let applied = match self.opened() {
                Ok(None) => Ok(None),
                Ok(Some(store)) => store.delete_each(&doomed).map(|done| done.remains),
                Err(error) => Err(error.about(&path)),
            };
            match applied {
                Ok(remains) => self.deleted(HistoryNotice::DeletedRunning, remains),
                Err(error) => {
                    self.pending.doomed = Some(doomed);
                    return self.report_failure(&error);
                }
            }
        }
        self.clear_remains();
    }

    /// Removes what remains of deletions, if anything does; tries again at the next deletion, and when sessions expire.
    fn clear_remains(&mut self) {
        if self.pending.remains
            && let Ok(Some(store)) = self.opened()
        {
            self.pending.remains = store.purge_deleted().is_err();
        }
        if self.store.as_ref().is_some_and(Store::works_in_place) {
            // Only a database that is opened anew is safe against a power failure again.
            self.store = None;
        }
    }

    /// Returns the stored events of the running session after the audio time `until`.
    fn later_events(&mut self, until: StreamTime) -> Result<Vec<(i64, Event)>> {
        let (running, path) = (self.running.clone(), self.path.clone());
        let Some(store) = self.opened().map_err(|error| error.about(&path))? else { return Ok(Vec::new()) };
        let mut later = Vec::new();
        for session in running {
            later.extend(store.events(session)?.unwrap_or_default().into_iter().filter(|(_, event)| event.at() > until));
        }
        Ok(later)
    }

    /// Notes that a deletion is done, and tells the user, also of what remains of it.
    fn deleted(&mut self, notice: HistoryNotice, remains: Option<Error>) {
        self.reported = None;
        self.log.write("deleted as asked");
        self.notify(notice);
        if let Some(error) = remains {
            self.pending.remains = true;
            self.log.write("something deleted remains on the disk");
            self.notify(HistoryNotice::Problem(error));
        }
        self.store_at.get_or_insert_with(Instant::now);
    }

    /// Deletes recordings that belong to no session and, unless the number of days in the user's preferences is 0, all sessions, events
    /// and recordings that are older. Schedules the next such deletion.
    pub(super) fn expire(&mut self) {
        self.expire_at = Instant::now() + EXPIRY;
        if !self.name.is_empty() {
            // The history of the session of the microphone does it, and knows which recordings are being written.
            return;
        }
        let (days, path) = (self.prefs.days, self.path.clone());
        let expired = match self.opened() {
            Ok(None) => Ok(None),
            Ok(Some(store)) => store.sweep_recordings().and_then(|()| match days {
                0 => Ok(None),
                days => store.expire(now_ms() - i64::from(days) * DAY_MS).map(Some),
            }),
            Err(error) => Err(error.about(&path)),
        };
        match expired {
            Ok(None) => self.clear_remains(),
            Ok(Some(Deleted { sessions, remains })) => {
                self.pending.remains |= remains.is_some();
                if sessions > 0 {
                    self.reload_session();
                }
                self.clear_remains();
            }
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
