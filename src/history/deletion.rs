//! Deletions from the database and of recordings. Each is one transaction, done or not done; afterwards its remains are removed from
//! the files, which can fail on its own.

use std::collections::BTreeSet;

use rusqlite::params;

use super::lines::lines_of;
use super::recordings;
use super::store::{Store, write_lines};
use crate::error::{Error, Remedy, Result};

/// The result of a deletion that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Number of sessions deleted or shortened.
    pub sessions: usize,
    /// The reason why a recording could not be deleted, or the file not be made smaller; None if nothing remains.
    pub remains: Option<Error>,
}

impl Store {
    /// Deletes a session with its recordings and overwrites its text in the database file; deletes nothing if there is no such session.
    /// Also deletes recordings that belong to no session.
    ///
    /// # Errors
    /// When the database cannot be written; nothing is deleted then.
    pub fn delete(&mut self, session: i64) -> Result<Deleted> {
        let sessions = self.atomically(|store| store.delete_row(session))?;
        Ok(if sessions > 0 { self.done(sessions) } else { Deleted { sessions, remains: None } })
    }

    /// Deletes these sessions like [`Store::delete`], all or none, also the remains of those that are gone already.
    ///
    /// # Errors
    /// The errors of [`Store::delete`].
    pub(super) fn delete_each(&mut self, sessions: &BTreeSet<i64>) -> Result<Deleted> {
        let gone = self.atomically(|store| sessions.iter().map(|session| store.delete_row(*session)).sum::<Result<usize>>())?;
        Ok(self.done(gone))
    }

    /// Deletes every session and every recording.
    ///
    /// # Errors
    /// The errors of [`Store::delete`].
    pub fn delete_all(&mut self) -> Result<Deleted> {
        let gone = self.atomically(|store| store.query(|db| db.execute("DELETE FROM sessions", [])))?;
        Ok(self.done(gone))
    }

    /// Deletes sessions that ended before `oldest_ms` (milliseconds since 1970), the events of other sessions before that time, and
    /// recordings last written before it.
    ///
    /// # Errors
    /// The errors of [`Store::delete`].
    pub fn expire(&mut self, oldest_ms: i64) -> Result<Deleted> {
        let old = recordings::older_than(&self.recordings_folder(), oldest_ms);
        let sessions = self.atomically(|store| {
            let gone = store.query(|db| db.execute("DELETE FROM sessions WHERE ended < ?1", [oldest_ms]))?;
            let shortened = "started < ?1 AND id IN (SELECT session FROM events WHERE wall < ?1 AND number > 0)";
            let touched = store.delete_events(shortened, "wall < ?1", oldest_ms)?;
            store.query(|db| old.iter().try_for_each(|file| db.execute("DELETE FROM recordings WHERE file = ?1", [file]).map(drop)))?;
            Ok(gone + touched.len())
        })?;
        Ok(if sessions + old.len() > 0 { self.done(sessions) } else { Deleted { sessions, remains: None } })
    }

    /// Deletes the part of every session since `since_ms` (milliseconds since 1970), and silences that part of the recordings. A
    /// session left without lines and recordings is deleted whole.
    ///
    /// # Errors
    /// When the database or a recording cannot be written; no word is deleted then.
    pub fn forget_since(&mut self, since_ms: i64) -> Result<Deleted> {
        recordings::silence_since(&self.recordings_folder(), since_ms)?;
        // A session without words and recordings shows nothing.
        let empty =
            "DELETE FROM sessions WHERE id = ?1 AND id NOT IN (SELECT session FROM lines) AND id NOT IN (SELECT session FROM recordings)";
        let sessions = self.atomically(|store| {
            let gone = store.query(|db| db.execute("DELETE FROM sessions WHERE started >= ?1", [since_ms]))?;
            let touched = store.delete_events("ended >= ?1", "wall >= ?1", since_ms)?;
            store.query(|db| touched.iter().try_for_each(|session| db.execute(empty, [session]).map(drop)))?;
            Ok(gone + touched.len())
        })?;
        Ok(if sessions > 0 { self.done(sessions) } else { Deleted { sessions, remains: None } })
    }

    /// Makes `changes` in one transaction. Where the disk has no room for it, makes them in place, unless another program holds the
    /// database.
    fn atomically<T>(&self, changes: impl Fn(&Self) -> Result<T>) -> Result<T> {
        let attempt = || {
            self.query(|db| db.execute_batch("BEGIN IMMEDIATE"))?;
            let done = changes(self).and_then(|done| self.query(|db| db.execute_batch("COMMIT")).map(|()| done));
            if done.is_err() {
                // A full disk may have ended the transaction already.
                let _ = self.db.execute_batch("ROLLBACK");
            }
            done
        };
        match attempt() {
            Err(error) if error.remedy() == Some(Remedy::FreeDisk) && self.work_in_place().is_ok() => attempt(),
            done => done,
        }
    }

    fn delete_row(&self, session: i64) -> Result<usize> {
        self.query(|db| db.execute("DELETE FROM sessions WHERE id = ?1", [session]))
    }

    /// Returns the result of a deletion of `sessions`, after removing its remains.
    fn done(&self, sessions: usize) -> Deleted {
        Deleted { sessions, remains: self.purge_deleted().err() }
    }

    /// Deletes the events that match the SQL condition `cut`, except each session's first, in the sessions that match the SQL condition
    /// `touched`; in both conditions `?1` is `time_ms`. Rebuilds the lines of the sessions and returns the sessions' numbers.
    fn delete_events(&self, touched: &str, cut: &str, time_ms: i64) -> Result<Vec<i64>> {
        let sessions: Vec<i64> = self.query(|db| {
            let mut all = db.prepare(&format!("SELECT id FROM sessions WHERE {touched}"))?;
            all.query_map([time_ms], |row| row.get(0))?.collect()
        })?;
        for session in &sessions {
            // The first event describes the session and holds nothing that was heard.
            let delete = format!("DELETE FROM events WHERE {cut} AND session = ?2 AND number > 0");
            self.query(|db| db.execute(&delete, [time_ms, *session]))?;
            self.rebuild_lines(*session)?;
        }
        Ok(sessions)
    }

    /// Replaces the stored lines of a session by lines made from the session's stored events, and updates its end and duration.
    fn rebuild_lines(&self, session: i64) -> Result<()> {
        let Some(transcript) = self.transcript(session)? else { return Ok(()) };
        let lines = lines_of(&transcript, |_| 0);
        self.query(|db| {
            db.execute("DELETE FROM lines WHERE session = ?1", [session])?;
            write_lines(db, session, &lines)?;
            let ended = "UPDATE sessions SET heard = ?2, ended = (SELECT max(wall) FROM events WHERE session = ?1) WHERE id = ?1";
            db.execute(ended, params![session, transcript.now.0.0 as i64]).map(drop)
        })
    }

    /// Deletes recordings that belong to no session, and removes the remains of deleted rows from the database file and its write-ahead
    /// log.
    ///
    /// # Errors
    /// When a recording cannot be deleted, when the disk has no room for making the file smaller, or when another connection to the
    /// database prevents it. The deletion itself stands.
    pub(super) fn purge_deleted(&self) -> Result<()> {
        let swept = self.sweep_recordings();
        // `secure_delete` overwrites deleted rows at once; VACUUM removes copies that moved rows have left in pages.
        let vacuum = || self.query(|db| db.execute_batch("VACUUM"));
        let smaller = match vacuum() {
            // An empty database has nothing that a power failure could damage.
            Err(error) if error.remedy() == Some(Remedy::FreeDisk) && self.is_empty() && self.work_in_place().is_ok() => vacuum(),
            done => done,
        };
        let emptied = self.query(|db| {
            let busy: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if busy { Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)) } else { Ok(()) }
        });
        let left = |error: Error| error.while_doing("what is deleted still takes room on the disk");
        swept.and(smaller.and(emptied).map_err(left))
    }

    fn is_empty(&self) -> bool {
        self.query(|db| db.query_row("SELECT count(*) FROM sessions", [], |row| row.get::<_, i64>(0))).is_ok_and(|sessions| sessions == 0)
    }

    /// Deletes recordings that belong to no session, which a crash can leave.
    pub(super) fn sweep_recordings(&self) -> Result<()> {
        recordings::sweep(&self.recordings_folder(), &self.recording_names()?)
    }
}
