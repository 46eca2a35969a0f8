//! The database: its schema, how it is opened, and everything that changes it. What is asked of it is in [`super::reading`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};

use super::lines::{Row, lines_of};
use super::recordings;
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::error::Result;
use crate::files::make_private_folder;
use crate::protocol::{Event, Panel};
use crate::time::StreamTime;

/// Version of the schema (`PRAGMA user_version`); a newer one is left alone.
pub(super) const VERSION: i64 = 1;
/// How long another program may hold the file before it is called locked.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tables that a history has.
const TABLES: i64 = 5;

const SCHEMA: &str = "
CREATE TABLE sessions(
    id INTEGER PRIMARY KEY, started INTEGER NOT NULL, ended INTEGER NOT NULL, name TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '', source TEXT NOT NULL DEFAULT '', heard INTEGER NOT NULL DEFAULT 0, shown TEXT NOT NULL);
CREATE TABLE events(
    session INTEGER NOT NULL REFERENCES sessions(id) ON DELETE CASCADE, number INTEGER NOT NULL, wall INTEGER NOT NULL,
    event TEXT NOT NULL, PRIMARY KEY(session, number)) WITHOUT ROWID;
CREATE TABLE recordings(
    file TEXT PRIMARY KEY, session INTEGER NOT NULL REFERENCES sessions(id) ON DELETE CASCADE, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE lines(
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL REFERENCES sessions(id) ON DELETE CASCADE, kind INTEGER NOT NULL,
    number INTEGER NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE(session, kind, number));
CREATE INDEX lines_in_time ON lines(session, at);
CREATE VIRTUAL TABLE words USING fts5(text, content='lines', content_rowid='id', tokenize='trigram');
INSERT INTO words(words, rank) VALUES('secure-delete', 1);
CREATE TRIGGER line_added AFTER INSERT ON lines BEGIN INSERT INTO words(rowid, text) VALUES(new.id, new.text); END;
CREATE TRIGGER line_gone AFTER DELETE ON lines BEGIN INSERT INTO words(words, rowid, text) VALUES('delete', old.id, old.text); END;
CREATE TRIGGER line_changed AFTER UPDATE ON lines BEGIN
    INSERT INTO words(words, rowid, text) VALUES('delete', old.id, old.text);
    INSERT INTO words(rowid, text) VALUES(new.id, new.text); END;
PRAGMA user_version = 1;";

/// The open database.
#[derive(Debug)]
pub struct Store {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
}

/// Events to be added, and what goes with them.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// The session that they belong to; a new one when absent.
    pub(super) session: Option<i64>,
    /// Where the responses of each mode are shown.
    pub(super) shown: &'a BTreeMap<String, Panel>,
    /// Number of the first event.
    pub(super) first: usize,
    /// The events with their times on the wall.
    pub(super) events: &'a [(i64, Event)],
    /// The lines that changed by them.
    pub(super) lines: &'a [Row],
    /// Audio time up to which the session has come.
    pub(super) heard: StreamTime,
}

impl Store {
    /// Opens the database at `path` for writing, making it where there is none. A damaged one is put aside; the sentence
    /// that says so is returned beside the new one.
    ///
    /// # Errors
    /// When it is locked, cannot be written, or is from a newer Hearken: it is left as it is then.
    pub fn open(path: &Path) -> Result<(Self, Option<String>)> {
        Self::open_or_replace(path).map_err(|trouble| trouble.said(path))
    }

    /// Opens the database at `path` for writing; None when there is none.
    ///
    /// # Errors
    /// As [`Store::open`], and when it is damaged.
    pub fn write(path: &Path) -> Result<Option<Self>> {
        if !there(path)? {
            return Ok(None);
        }
        Self::opened(path).map(Some).map_err(|trouble| trouble.said(path))
    }

    /// Opens the database at `path` for reading; None when there is none.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !there(path)? {
            return Ok(None);
        }
        let open = || -> std::result::Result<Option<Self>, Trouble> {
            let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            db.busy_timeout(PATIENCE)?;
            // A file in which nothing was begun yet is as good as none.
            Ok((check_version(&db)? > 0).then(|| Self { db, path: path.to_owned() }))
        };
        open().map_err(|trouble| trouble.said(path))
    }

    pub(super) fn open_or_replace(path: &Path) -> std::result::Result<(Self, Option<String>), Trouble> {
        if let Some(folder) = path.parent() {
            make_private_folder(folder).map_err(|e| Trouble::CannotOpen(e.message().to_owned()))?;
        }
        match Self::opened(path) {
            Err(Trouble::Damaged(why)) => {
                let aside = path.with_file_name(format!("history.damaged-{}.db", now_ms()));
                fs::rename(path, &aside)?;
                // The log belongs to the damaged file and would damage the new one; it may not be there.
                let _ = fs::rename(with_suffix(path, "-wal"), with_suffix(&aside, "-wal"));
                let _ = fs::remove_file(with_suffix(path, "-shm"));
                let note = format!("The history was damaged ({why}). It lies in {} now, and a new one has begun.", aside.display());
                Ok((Self::opened(path)?, Some(note)))
            }
            other => other.map(|store| (store, None)),
        }
    }

    fn opened(path: &Path) -> std::result::Result<Self, Trouble> {
        if !path.exists() {
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            // Before SQLite makes it for everybody to read.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(path)?;
        }
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(PATIENCE)?;
        let new = check_version(&db)? == 0;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // What was committed survives the end of the program at any moment; only a power cut can cost the newest half second.
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update(None, "secure_delete", true)?;
        if new {
            db.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"))?;
        }
        let tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('sessions', 'events', 'recordings', 'lines', 'words')";
        if db.query_row(tables, [], |row| row.get::<_, i64>(0))? != TABLES {
            return Err(Trouble::Damaged("some of its tables are missing".into()));
        }
        let sound: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(Trouble::Damaged(sound));
        }
        Ok(Self { db, path: path.to_owned() })
    }

    /// Adds a batch in one step: after a crash all of it is there or nothing. Gives the session's number; None when the
    /// session was deleted meanwhile.
    pub(super) fn add(&mut self, batch: &Batch<'_>) -> std::result::Result<Option<i64>, Trouble> {
        let step = self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let session = match batch.session {
            Some(session) if exists(&step, session)? => session,
            Some(_) => return Ok(None),
            None => {
                let shown: BTreeMap<&str, &str> = batch.shown.iter().map(|(mode, shown)| (mode.as_str(), shown.name())).collect();
                let shown = serde_json::to_string(&shown).unwrap_or_default();
                let started = batch.events.first().map_or_else(now_ms, |(wall, _)| *wall);
                step.execute("INSERT INTO sessions(started, ended, shown) VALUES(?1, ?1, ?2)", params![started, shown])?;
                step.last_insert_rowid()
            }
        };
        for (number, (wall, event)) in (batch.first..).zip(batch.events) {
            let text = serde_json::to_string(event).unwrap_or_default();
            step.prepare_cached("INSERT INTO events VALUES(?1, ?2, ?3, ?4)")?.execute(params![session, number as i64, wall, text])?;
            if let Event::SessionStarted { model, source, .. } = event {
                step.execute("UPDATE sessions SET model = ?2, source = ?3 WHERE id = ?1", params![session, model, source])?;
            }
        }
        write_lines(&step, session, batch.lines)?;
        if let Some((wall, _)) = batch.events.last() {
            let heard = batch.heard.0.0 as i64;
            step.execute("UPDATE sessions SET ended = ?2, heard = ?3 WHERE id = ?1", params![session, wall, heard])?;
        }
        step.commit()?;
        Ok(Some(session))
    }

    /// Notes that a session is recorded to `file`, a name in the folder of recordings, from `at` on.
    pub(super) fn add_recording(&self, session: i64, file: &str, at: StreamTime) -> std::result::Result<(), Trouble> {
        self.db.execute("INSERT INTO recordings(file, session, at) VALUES(?1, ?2, ?3)", params![file, session, at.0.0 as i64])?;
        Ok(())
    }

    /// Notes where the responses of each mode are shown from now on.
    pub(super) fn define(&self, session: i64, shown: &BTreeMap<String, Panel>) -> std::result::Result<(), Trouble> {
        let shown: BTreeMap<&str, &str> = shown.iter().map(|(mode, shown)| (mode.as_str(), shown.name())).collect();
        let shown = serde_json::to_string(&shown).unwrap_or_default();
        self.db.execute("UPDATE sessions SET shown = ?2 WHERE id = ?1", params![session, shown])?;
        Ok(())
    }

    /// Calls a session `name`; false when there is no such session.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn rename(&self, session: i64, name: &str) -> Result<bool> {
        self.ask(|db| Ok(db.execute("UPDATE sessions SET name = ?2 WHERE id = ?1", params![session, name.trim()])? > 0))
    }

    /// Deletes a session with its recordings, so that its words are gone from the files; false when there was none.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn delete(&mut self, session: i64) -> Result<bool> {
        let gone = self.ask(|db| Ok(db.execute("DELETE FROM sessions WHERE id = ?1", [session])? > 0))?;
        if gone {
            self.wipe()?;
        }
        Ok(gone)
    }

    /// Deletes everything; says how many sessions there were.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn delete_all(&mut self) -> Result<usize> {
        let gone = self.ask(|db| db.execute("DELETE FROM sessions", []))?;
        self.wipe()?;
        Ok(gone)
    }

    /// Deletes what is older than `oldest_ms`: sessions that ended before, and the beginning of one that goes on; says how
    /// many sessions that touched.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn expire(&mut self, oldest_ms: i64) -> Result<usize> {
        let gone = self.ask(|db| db.execute("DELETE FROM sessions WHERE ended < ?1", [oldest_ms]))?;
        let touched =
            self.cut("started < ?1 AND id IN (SELECT session FROM events WHERE wall < ?1 AND number > 0)", "wall < ?1", oldest_ms)?;
        let old = recordings::older_than(&self.recordings_folder(), oldest_ms);
        self.ask(|db| old.iter().try_for_each(|file| db.execute("DELETE FROM recordings WHERE file = ?1", [file]).map(drop)))?;
        if gone + touched.len() + old.len() > 0 {
            self.wipe()?;
        }
        Ok(gone + touched.len())
    }

    /// Deletes what was heard and said since `since_ms` in every session, the end of recordings made silent, so that it is
    /// gone from the files; says how many sessions that touched.
    ///
    /// # Errors
    /// When the database or a recording cannot be written.
    pub fn forget_since(&mut self, since_ms: i64) -> Result<usize> {
        recordings::silence_since(&self.recordings_folder(), since_ms)?;
        let gone = self.ask(|db| db.execute("DELETE FROM sessions WHERE started >= ?1", [since_ms]))?;
        let touched = self.cut("ended >= ?1", "wall >= ?1", since_ms)?;
        // Of a session that has no words left there is nothing to look at.
        let empty =
            "DELETE FROM sessions WHERE id = ?1 AND id NOT IN (SELECT session FROM lines) AND id NOT IN (SELECT session FROM recordings)";
        self.ask(|db| touched.iter().try_for_each(|session| db.execute(empty, [session]).map(drop)))?;
        if gone + touched.len() > 0 {
            self.wipe()?;
        }
        Ok(gone + touched.len())
    }

    /// Deletes the events that are `cut` of the sessions that are `touched`, in terms of the time ?1, and folds what is left
    /// of these into lines again; gives these sessions.
    fn cut(&mut self, touched: &str, cut: &str, time_ms: i64) -> Result<Vec<i64>> {
        let sessions: Vec<i64> = self.ask(|db| {
            let mut all = db.prepare(&format!("SELECT id FROM sessions WHERE {touched}"))?;
            all.query_map([time_ms], |row| row.get(0))?.collect()
        })?;
        for session in &sessions {
            // The first event says what the session is; it holds nothing that was heard.
            let delete = format!("DELETE FROM events WHERE {cut} AND session = ?2 AND number > 0");
            self.ask(|db| db.execute(&delete, [time_ms, *session]))?;
            self.fold_again(*session)?;
        }
        Ok(sessions)
    }

    /// Makes what is known of a session from its events.
    fn fold_again(&mut self, session: i64) -> Result<()> {
        let Some(transcript) = self.transcript(session)? else { return Ok(()) };
        let lines = lines_of(&transcript, |_| 0);
        let again = |db: &mut Connection| -> rusqlite::Result<()> {
            let step = db.transaction()?;
            step.execute("DELETE FROM lines WHERE session = ?1", [session])?;
            write_lines(&step, session, &lines)?;
            let ended = "UPDATE sessions SET heard = ?2, ended = (SELECT max(wall) FROM events WHERE session = ?1) WHERE id = ?1";
            step.execute(ended, params![session, transcript.now.0.0 as i64])?;
            step.commit()
        };
        again(&mut self.db).map_err(|e| Trouble::from(e).said(&self.path))
    }

    /// Takes what was deleted out of every file, and deletes the recordings that belong to no session any more.
    fn wipe(&self) -> Result<()> {
        let known = self.recording_names()?;
        recordings::sweep(&self.recordings_folder(), &known)?;
        self.ask(|db| {
            // What is deleted is overwritten at once (`secure_delete`); building the file anew takes along what moving rows
            // within pages left behind.
            db.execute_batch("VACUUM")?;
            let busy: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if busy { Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)) } else { Ok(()) }
        })
    }

    /// Deletes recordings that no session knows: what a crash between two steps has left.
    pub(super) fn sweep_recordings(&self) -> Result<()> {
        recordings::sweep(&self.recordings_folder(), &self.recording_names()?)
    }

    pub(super) fn recordings_folder(&self) -> PathBuf {
        self.path.with_file_name("recordings")
    }

    pub(super) fn ask<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.db).map_err(|e| Trouble::from(e).said(&self.path))
    }

    /// The number that the next event of a session gets; None when it was deleted.
    pub(super) fn next_number(&self, session: i64) -> std::result::Result<Option<usize>, Trouble> {
        if !exists(&self.db, session)? {
            return Ok(None);
        }
        let next = "SELECT coalesce(max(number) + 1, 0) FROM events WHERE session = ?1";
        let next: i64 = self.db.query_row(next, [session], |row| row.get(0))?;
        Ok(Some(usize::try_from(next).unwrap_or(0)))
    }
}

/// Whether there is a file; a folder that cannot be looked into is not the same as none.
fn there(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|e| Trouble::from(e).said(path))
}

fn exists(db: &Connection, session: i64) -> rusqlite::Result<bool> {
    Ok(db.query_row("SELECT 1 FROM sessions WHERE id = ?1", [session], |_| Ok(())).optional()?.is_some())
}

/// The version of the schema; 0 in a new file.
fn check_version(db: &Connection) -> std::result::Result<i64, Trouble> {
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > VERSION { Err(Trouble::Newer(version)) } else { Ok(version) }
}

fn write_lines(step: &Transaction<'_>, session: i64, lines: &[Row]) -> rusqlite::Result<()> {
    let mut line_in = step.prepare_cached(
        "INSERT INTO lines(session, kind, number, at, text) VALUES(?1, ?2, ?3, ?4, ?5)
         ON CONFLICT(session, kind, number) DO UPDATE SET text = excluded.text WHERE text <> excluded.text",
    )?;
    for line in lines {
        line_in.execute(params![session, line.kind as i64, line.number as i64, line.at.0.0 as i64, line.text])?;
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
