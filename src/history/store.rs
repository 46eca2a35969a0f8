//! The SQLite database of past sessions: its schema, opening, and all changes but deletions ([`super::deletion`]). Queries are in
//! [`super::queries`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::folding::fold;
use super::journal::{is_without_shared_memory, open_with_journal, user_version};
use super::lines::{HistoryLine, code_of};
use super::queries::add_search_functions;
use super::store_error::StoreError;
use crate::clock::now_ms;
use crate::error::{Error, ErrorKind, Result};
use crate::files::make_private_folder;
use crate::protocol::{Event, Panel};
use crate::time::StreamTime;

/// Version of the schema (`PRAGMA user_version`); a file of a newer version is refused and left alone.
pub(super) const SCHEMA_VERSION: i64 = 3;
/// The longest wait for another connection to release its lock on the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of tables that the schema creates, including the full-text index `words`.
const TABLES: i64 = 5;

/// SQL commands that create the tables, indexes and triggers of a new database.
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
    number INTEGER NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL, folded TEXT NOT NULL DEFAULT '', UNIQUE(session, kind, number));
CREATE INDEX lines_in_time ON lines(session, at);";

/// The full-text index of the folded lines, the triggers that keep it up, and the version.
const INDEX: &str = "
CREATE VIRTUAL TABLE words USING fts5(folded, content='lines', content_rowid='id', tokenize='trigram case_sensitive 1');
INSERT INTO words(words, rank) VALUES('secure-delete', 1);
CREATE TRIGGER line_added AFTER INSERT ON lines BEGIN INSERT INTO words(rowid, folded) VALUES(new.id, new.folded); END;
CREATE TRIGGER line_gone AFTER DELETE ON lines BEGIN INSERT INTO words(words, rowid, folded) VALUES('delete', old.id, old.folded); END;
CREATE TRIGGER line_changed AFTER UPDATE ON lines BEGIN
    INSERT INTO words(words, rowid, folded) VALUES('delete', old.id, old.folded);
    INSERT INTO words(rowid, folded) VALUES(new.id, new.folded); END;
PRAGMA user_version = 3;";

/// The changes that turn a database of version 1 or 2, whose index held the lines unfolded, into one of version 3, before [`INDEX`] and
/// after it.
const FROM_OLDER_VERSION: [&str; 2] = [
    "DROP TRIGGER line_added; DROP TRIGGER line_gone; DROP TRIGGER line_changed; DROP TABLE words;
    ALTER TABLE lines ADD COLUMN folded TEXT NOT NULL DEFAULT ''; UPDATE lines SET folded = fold(text);",
    "INSERT INTO words(words) VALUES('rebuild');",
];
/// Version of the schema since which lines are stored folded as well.
pub(super) const FOLDED_SINCE: i64 = 3;

/// An open connection to the database of past sessions.
#[derive(Debug)]
pub struct Store {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
}

/// A batch of events of one session, to be stored in one transaction.
#[derive(Debug)]
pub(super) struct EventBatch<'a> {
    /// Number of the session that the events belong to; None for a new session.
    pub(super) session: Option<i64>,
    /// Name of a new session; empty for none.
    pub(super) name: &'a str,
    /// Panel of each mode by the mode's name, stored with a new session.
    pub(super) panels: &'a BTreeMap<String, Panel>,
    /// Number of the batch's first event within the session.
    pub(super) first: usize,
    /// Events, with their wall times in milliseconds since 1970.
    pub(super) events: &'a [(i64, Event)],
    /// Lines of the transcript that the events may have changed.
    pub(super) lines: &'a [HistoryLine],
    /// Audio time at the newest event of the batch.
    pub(super) heard: StreamTime,
}

impl Store {
    /// Opens the database at `path` for writing, creating it if needed. A damaged file is renamed to `history.damaged-TIME.db` and
    /// a new database begun; the second value then reports that, else it is None.
    ///
    /// # Errors
    /// When the file is locked, cannot be written, or comes from a newer Hearken; the file is left as it is.
    pub fn open(path: &Path) -> Result<(Self, Option<Error>)> {
        Self::open_or_set_aside(path).map_err(|error| error.about(path))
    }

    /// Opens the database at `path` for writing; None if there is no file. Creates and renames nothing. On a full disk, which has no room
    /// for a write-ahead log, opens it for changes in place.
    ///
    /// # Errors
    /// The errors of [`Store::open`], and when the file is damaged.
    pub fn write(path: &Path) -> Result<Option<Self>> {
        if !file_exists(path)? {
            return Ok(None);
        }
        let opened = Self::opened(path).or_else(|error| {
            let needs_room = matches!(error, StoreError::Full | StoreError::Io(_));
            if needs_room { Self::opened_in_place(path).map_err(|_| error) } else { Err(error) }
        });
        opened.map(Some).map_err(|error| error.about(path))
    }

    /// Opens the database at `path` for reading; None if there is no file or its schema has not been created.
    ///
    /// # Errors
    /// When the file cannot be opened, or comes from a newer Hearken. A damaged file may be noticed only by a query.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !file_exists(path)? {
            return Ok(None);
        }
        let begun = |db: Connection| -> std::result::Result<Option<Self>, StoreError> {
            // A file without a schema counts as none.
            Ok((check_version(&db)? > 0).then(|| Self { db, path: path.to_owned() }))
        };
        let open = || -> std::result::Result<Option<Self>, StoreError> {
            let connect = || {
                let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
                db.busy_timeout(BUSY_TIMEOUT)?;
                user_version(&db).map(|version| (db, version))
            };
            let (db, version) = match connect() {
                Err(error) if is_without_shared_memory(&error) => {
                    // The file has a log that cannot be read on this disk: opening it for writing takes the log away.
                    Self::opened_at(path)?;
                    connect()?
                }
                other => other?,
            };
            // A file without a schema counts as none.
            Ok((known_version(version)? > 0).then(|| Self { db, path: path.to_owned() }))
        };
        let opened = open().or_else(|error| match error {
            StoreError::Full | StoreError::Io(_) => connect_alone(path).and_then(begun).map_err(|_| error),
            _ => Err(error),
        });
        opened.map_err(|error| error.with_lock_looked_at(path).about(path))
    }

    /// Opens the database at `path` for writing, creating it if needed. A damaged file is renamed to `history.damaged-TIME.db` and
    /// a new database begun; the second value then reports that, else it is None.
    pub(super) fn open_or_set_aside(path: &Path) -> std::result::Result<(Self, Option<Error>), StoreError> {
        if let Some(folder) = path.parent() {
            make_private_folder(folder).map_err(StoreError::NoFolder)?;
        }
        match Self::opened(path) {
            Err(StoreError::Damaged(why)) => {
                let aside = path.with_file_name(format!("history.damaged-{}.db", now_ms()));
                fs::rename(path, &aside)?;
                // The write-ahead log belongs to the damaged file and would damage the new one; there may be none.
                let _ = fs::rename(with_suffix(path, "-wal"), with_suffix(&aside, "-wal"));
                let _ = fs::remove_file(with_suffix(path, "-shm"));
                let why = format!("the history was damaged ({why}); it has been renamed to {}, and a new one has begun", aside.display());
                Ok((Self::opened(path)?, Some(Error::new(ErrorKind::History, why))))
            }
            other => other.map(|store| (store, None)),
        }
    }

    /// Opens the database at `path` for writing, creating file and schema if missing, and checks that the database is intact
    /// (`quick_check`).
    fn opened(path: &Path) -> std::result::Result<Self, StoreError> {
        Self::opened_at(path).map_err(|error| error.with_lock_looked_at(path))
    }

    /// Opens the database like [`Store::opened`], and takes a disk without locks for one whose locks are held.
    fn opened_at(path: &Path) -> std::result::Result<Self, StoreError> {
        if !path.exists() {
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            // SQLite would create a file that everybody can read.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(path)?;
        }
        let (db, version) = open_with_journal(|| {
            let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            db.busy_timeout(BUSY_TIMEOUT)?;
            Ok(db)
        })?;
        let version = known_version(version)?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update(None, "secure_delete", true)?;
        if version == 0 {
            db.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} {INDEX} COMMIT;"))?;
        }
        let tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('sessions', 'events', 'recordings', 'lines', 'words')";
        if db.query_row(tables, [], |row| row.get::<_, i64>(0))? != TABLES {
            return Err(StoreError::Damaged("some of its tables are missing".into()));
        }
        if (1..FOLDED_SINCE).contains(&version) {
            let [before, after] = FROM_OLDER_VERSION;
            add_search_functions(&db)?;
            db.execute_batch(&format!("BEGIN IMMEDIATE; {before} {INDEX} {after} COMMIT;"))?;
        }
        let sound: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(StoreError::Damaged(sound));
        }
        Ok(Self { db, path: path.to_owned() })
    }

    /// Opens an existing database of the present version for changes in place ([`Store::work_in_place`]).
    fn opened_in_place(path: &Path) -> std::result::Result<Self, StoreError> {
        let db = connect_alone(path)?;
        if check_version(&db)? != SCHEMA_VERSION {
            return Err(StoreError::Full);
        }
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update(None, "secure_delete", true)?;
        let store = Self { db, path: path.to_owned() };
        store.work_in_place()?;
        Ok(store)
    }

    /// Makes this connection the only one, and lets it change the database in place, with a journal in memory: a change that adds
    /// nothing then needs no room on the disk, but a power failure in the middle of it damages the file. Stays so until closed.
    pub(super) fn work_in_place(&self) -> std::result::Result<(), StoreError> {
        self.db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let mode: String = self.db.query_row("PRAGMA journal_mode = MEMORY", [], |row| row.get(0))?;
        self.db.pragma_update(None, "temp_store", "MEMORY")?;
        if mode == "memory" { Ok(()) } else { Err(StoreError::Locked) }
    }

    /// Returns true after [`Store::work_in_place`].
    pub(super) fn works_in_place(&self) -> bool {
        self.db.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).is_ok_and(|mode| mode == "memory")
    }

    /// Stores a batch in one transaction and returns the number of its session; None, with nothing stored, if the session has been
    /// deleted.
    pub(super) fn add(&mut self, batch: &EventBatch<'_>) -> std::result::Result<Option<i64>, StoreError> {
        let step = self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let session = match batch.session {
            Some(session) if session_exists(&step, session)? => session,
            Some(_) => return Ok(None),
            None => {
                let shown: BTreeMap<&str, &str> = batch.panels.iter().map(|(mode, panel)| (mode.as_str(), panel.name())).collect();
                let shown = serde_json::to_string(&shown).unwrap_or_default();
                let started = batch.events.first().map_or_else(now_ms, |(wall, _)| *wall);
                let insert = "INSERT INTO sessions(started, ended, shown, name) VALUES(?1, ?1, ?2, ?3)";
                step.execute(insert, params![started, shown, batch.name])?;
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

    /// Enters in the database that a session is recorded to `file`, a name in the folder of recordings, from the audio time `at`.
    /// Writes no audio.
    pub(super) fn add_recording(&self, session: i64, file: &str, at: StreamTime) -> std::result::Result<(), StoreError> {
        self.db.execute("INSERT INTO recordings(file, session, at) VALUES(?1, ?2, ?3)", params![file, session, at.0.0 as i64])?;
        Ok(())
    }

    /// Replaces the stored panels of the modes of a session.
    pub(super) fn set_panels(&self, session: i64, panels: &BTreeMap<String, Panel>) -> std::result::Result<(), StoreError> {
        let shown: BTreeMap<&str, &str> = panels.iter().map(|(mode, panel)| (mode.as_str(), panel.name())).collect();
        let shown = serde_json::to_string(&shown).unwrap_or_default();
        self.db.execute("UPDATE sessions SET shown = ?2 WHERE id = ?1", params![session, shown])?;
        Ok(())
    }

    /// Gives a session the name `name`, trimmed; an empty `name` removes the session's name. Returns false if there is no such session.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn rename(&self, session: i64, name: &str) -> Result<bool> {
        self.query(|db| Ok(db.execute("UPDATE sessions SET name = ?2 WHERE id = ?1", params![session, name.trim()])? > 0))
    }

    pub(super) fn recordings_folder(&self) -> PathBuf {
        self.path.with_file_name("recordings")
    }

    /// Runs `work` with the connection to the database and returns its result; an error names the database file.
    pub(super) fn query<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.db).map_err(|e| StoreError::from(e).about(&self.path))
    }

    /// Returns the number that the next event of a session gets; None if there is no such session.
    pub(super) fn next_number(&self, session: i64) -> std::result::Result<Option<usize>, StoreError> {
        if !session_exists(&self.db, session)? {
            return Ok(None);
        }
        let next = "SELECT coalesce(max(number) + 1, 0) FROM events WHERE session = ?1";
        let next: i64 = self.db.query_row(next, [session], |row| row.get(0))?;
        Ok(Some(usize::try_from(next).unwrap_or(0)))
    }
}

/// Opens an existing database as its only connection. Needs no room on the disk: the index of the write-ahead log is in memory then,
/// which other connections could not see.
fn connect_alone(path: &Path) -> std::result::Result<Connection, StoreError> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    // Before the first access, which would make the index.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(db)
}

/// Returns true if a file exists at `path`, false if not; an error if its folder cannot be read.
fn file_exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|e| StoreError::from(e).about(path))
}

/// Returns true if the session with the number `session` is in the database, false if there was none or it has been deleted.
fn session_exists(db: &Connection, session: i64) -> rusqlite::Result<bool> {
    Ok(db.query_row("SELECT 1 FROM sessions WHERE id = ?1", [session], |_| Ok(())).optional()?.is_some())
}

/// Returns the version of the database's schema, 0 for a new file; the error [`StoreError::Newer`] for a version above
/// [`SCHEMA_VERSION`].
pub(super) fn check_version(db: &Connection) -> std::result::Result<i64, StoreError> {
    known_version(user_version(db)?)
}

/// Returns `version`; the error [`StoreError::Newer`] for a version above [`SCHEMA_VERSION`].
fn known_version(version: i64) -> std::result::Result<i64, StoreError> {
    if version > SCHEMA_VERSION { Err(StoreError::Newer(version)) } else { Ok(version) }
}

/// Stores lines of a session: inserts new lines, and updates stored lines whose text has changed.
pub(super) fn write_lines(step: &Connection, session: i64, lines: &[HistoryLine]) -> rusqlite::Result<()> {
    let mut line_in = step.prepare_cached(
        "INSERT INTO lines(session, kind, number, at, text, folded) VALUES(?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT(session, kind, number) DO UPDATE SET text = excluded.text, folded = excluded.folded WHERE text <> excluded.text",
    )?;
    for line in lines {
        line_in.execute(params![
            session,
            code_of(line.panel) as i64,
            line.number as i64,
            line.at.0.0 as i64,
            line.text,
            fold(&line.text)
        ])?;
    }
    Ok(())
}

/// Returns `path` with `suffix` appended to the file name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
