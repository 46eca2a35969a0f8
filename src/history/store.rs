//! The database: schema, and every question that is asked of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use crate::config::make_private_folder;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Event;
use crate::time::StreamTime;
use crate::transcript::{Shown, Transcript};

/// Version of the schema (`PRAGMA user_version`); a newer one is left alone.
const VERSION: i64 = 1;
/// How long another program may hold the file before it is called locked.
const PATIENCE: Duration = Duration::from_secs(5);
/// Characters from which the search index finds a text; shorter ones are looked for line by line.
const TRIGRAM: usize = 3;
/// Lines that a search gives at most.
const MOST_FOUND: usize = 500;

const SCHEMA: &str = "
CREATE TABLE sessions(
    id INTEGER PRIMARY KEY, started INTEGER NOT NULL, ended INTEGER NOT NULL, name TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '', source TEXT NOT NULL DEFAULT '', audio INTEGER NOT NULL DEFAULT 0, shown TEXT NOT NULL);
CREATE TABLE events(
    session INTEGER NOT NULL REFERENCES sessions(id) ON DELETE CASCADE, number INTEGER NOT NULL, wall INTEGER NOT NULL,
    event TEXT NOT NULL, PRIMARY KEY(session, number)) WITHOUT ROWID;
CREATE TABLE lines(
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL REFERENCES sessions(id) ON DELETE CASCADE, kind INTEGER NOT NULL,
    number INTEGER NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE(session, kind, number));
CREATE VIRTUAL TABLE words USING fts5(text, content='lines', content_rowid='id', tokenize='trigram');
INSERT INTO words(words, rank) VALUES('secure-delete', 1);
CREATE TRIGGER line_added AFTER INSERT ON lines BEGIN INSERT INTO words(rowid, text) VALUES(new.id, new.text); END;
CREATE TRIGGER line_gone AFTER DELETE ON lines BEGIN INSERT INTO words(words, rowid, text) VALUES('delete', old.id, old.text); END;
CREATE TRIGGER line_changed AFTER UPDATE ON lines BEGIN
    INSERT INTO words(words, rowid, text) VALUES('delete', old.id, old.text);
    INSERT INTO words(rowid, text) VALUES(new.id, new.text); END;
PRAGMA user_version = 1;";

/// A session of the past, or the one that is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: i64,
    /// When it began, in milliseconds since 1970, UTC.
    pub started_ms: i64,
    /// When its newest event came.
    pub ended_ms: i64,
    /// What the user calls it; empty until then.
    pub name: String,
    /// The model that listened.
    pub model: String,
    /// What was listened to.
    pub source: String,
    /// How much sound was heard.
    pub heard: StreamTime,
    /// Its first words.
    pub first: String,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineKind {
    /// Words that were said.
    Said,
    /// Their translation.
    Translated,
    /// A reply of Hearken's.
    Reply,
    /// A sound.
    Sound,
}

impl LineKind {
    const ALL: [Self; 4] = [Self::Said, Self::Translated, Self::Reply, Self::Sound];

    /// As reports call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Said => "said",
            Self::Translated => "translated",
            Self::Reply => "reply",
            Self::Sound => "sound",
        }
    }
}

/// A line that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The session.
    pub session: i64,
    /// When that began, in milliseconds since 1970, UTC.
    pub started_ms: i64,
    /// What the line is.
    pub kind: LineKind,
    /// Audio time of its beginning.
    pub at: StreamTime,
    /// Its words.
    pub text: String,
}

/// A line as it is stored: kind, number within its kind, beginning, words.
pub(super) type Row = (LineKind, usize, StreamTime, String);

/// The open database.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the database at `path` for writing, making it where there is none. A damaged one is put aside; the sentence
    /// that says so is returned beside the new one.
    ///
    /// # Errors
    /// When it is locked, cannot be written, or is from a newer Hearken: it is left as it is then.
    pub fn open(path: &Path) -> Result<(Self, Option<String>)> {
        if let Some(folder) = path.parent() {
            make_private_folder(folder)?;
        }
        match Self::opened(path) {
            Err(Trouble::Damaged(why)) => {
                let aside = path.with_file_name(format!("history.damaged-{}.db", super::now_ms() / 1_000));
                fs::rename(path, &aside).map_err(|e| Error::at(ErrorKind::Output, path, e))?;
                for suffix in ["-wal", "-shm"] {
                    // They belong to the damaged file and would damage the new one; they may not be there.
                    let _ = fs::remove_file(with_suffix(path, suffix));
                }
                let note = format!("The history was damaged ({why}); it lies in {} now, and a new one has begun.", aside.display());
                Ok((Self::opened(path).map_err(|trouble| trouble.said(path))?, Some(note)))
            }
            other => other.map(|store| (store, None)).map_err(|trouble| trouble.said(path)),
        }
    }

    /// Opens the database at `path` for reading; None when there is none.
    ///
    /// # Errors
    /// As [`Store::open`], and when it is damaged.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let open = || -> std::result::Result<Self, Trouble> {
            let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            db.busy_timeout(PATIENCE)?;
            check_version(&db)?;
            Ok(Self { db, path: path.to_owned() })
        };
        open().map(Some).map_err(|trouble| trouble.said(path))
    }

    fn opened(path: &Path) -> std::result::Result<Self, Trouble> {
        if !path.exists() {
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            // Before SQLite makes it for everybody to read.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(path).map(drop).map_err(|e| Trouble::Other(e.to_string()))?;
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
        let sound: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(Trouble::Damaged(sound));
        }
        Ok(Self { db, path: path.to_owned() })
    }

    /// Begins a session; `shown` says where the responses of each mode belong.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn begin(&self, started_ms: i64, shown: &BTreeMap<String, Shown>) -> Result<i64> {
        let shown: BTreeMap<&str, &str> = shown.iter().map(|(mode, shown)| (mode.as_str(), name_of(*shown))).collect();
        let shown = serde_json::to_string(&shown).unwrap_or_default();
        self.ask(|db| {
            db.execute("INSERT INTO sessions(started, ended, shown) VALUES(?1, ?1, ?2)", params![started_ms, shown])?;
            Ok(db.last_insert_rowid())
        })
    }

    /// Adds events, with their times on the wall and numbers from `first`, and the lines that changed by them, in one step.
    ///
    /// # Errors
    /// When the database cannot be written: nothing of it is stored then.
    pub(super) fn add(&mut self, session: i64, first: usize, events: &[(i64, Event)], lines: &[Row], heard: StreamTime) -> Result<()> {
        let path = self.path.clone();
        let work = |db: &mut Connection| -> rusqlite::Result<()> {
            let step = db.transaction()?;
            {
                let mut event_in = step.prepare_cached("INSERT INTO events VALUES(?1, ?2, ?3, ?4)")?;
                for (number, (wall, event)) in (first..).zip(events) {
                    event_in.execute(params![session, number as i64, wall, serde_json::to_string(event).unwrap_or_default()])?;
                    if let Event::SessionStarted { model, source, .. } = event {
                        step.execute("UPDATE sessions SET model = ?2, source = ?3 WHERE id = ?1", params![session, model, source])?;
                    }
                }
                write_lines(&step, session, lines)?;
                if let Some((wall, _)) = events.last() {
                    step.execute("UPDATE sessions SET ended = ?2, audio = ?3 WHERE id = ?1", params![session, wall, heard.0.0 as i64])?;
                }
            }
            step.commit()
        };
        work(&mut self.db).map_err(|e| Trouble::from(e).said(&path))
    }

    /// All sessions, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        self.ask(|db| {
            let mut all = db.prepare_cached(
                "SELECT id, started, ended, name, model, source, audio,
                 (SELECT substr(text, 1, 200) FROM lines WHERE session = sessions.id ORDER BY at, kind LIMIT 1)
                 FROM sessions ORDER BY started DESC, id DESC",
            )?;
            let rows = all.query_map([], |row| {
                Ok(Session {
                    id: row.get(0)?,
                    started_ms: row.get(1)?,
                    ended_ms: row.get(2)?,
                    name: row.get(3)?,
                    model: row.get(4)?,
                    source: row.get(5)?,
                    heard: time_of(row.get(6)?),
                    first: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
                })
            })?;
            rows.collect()
        })
    }

    /// Lines that hold `text`, newest first; capitals do not matter.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn search(&self, text: &str) -> Result<Vec<Found>> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let columns = "SELECT lines.session, sessions.started, kind, at, lines.text FROM lines JOIN sessions ON sessions.id = lines.session";
        let order = format!("ORDER BY sessions.started DESC, at DESC LIMIT {MOST_FOUND}");
        // A phrase in quotes is looked for as it stands, whatever characters it holds.
        let (query, wanted) = if text.chars().count() >= TRIGRAM {
            let query = format!("{columns} WHERE lines.id IN (SELECT rowid FROM words WHERE words MATCH ?1) {order}");
            (query, format!("\"{}\"", text.replace('"', "\"\"").replace('\0', " ")))
        } else {
            let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            (format!("{columns} WHERE lines.text LIKE ?1 ESCAPE '\\' {order}"), format!("%{escaped}%"))
        };
        self.ask(|db| {
            let mut found = db.prepare_cached(&query)?;
            let rows = found.query_map([&wanted], |row| {
                let kind: usize = row.get::<_, i64>(2)?.try_into().unwrap_or(0);
                Ok(Found {
                    session: row.get(0)?,
                    started_ms: row.get(1)?,
                    kind: LineKind::ALL[kind.min(LineKind::ALL.len() - 1)],
                    at: time_of(row.get(3)?),
                    text: row.get(4)?,
                })
            })?;
            rows.collect()
        })
    }

    /// The events of a session with their times on the wall, in order; None when there is no such session.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events(&self, session: i64) -> Result<Option<Vec<(i64, Event)>>> {
        self.ask(|db| {
            let known = db.query_row("SELECT 1 FROM sessions WHERE id = ?1", [session], |_| Ok(())).optional()?;
            if known.is_none() {
                return Ok(None);
            }
            let mut all = db.prepare_cached("SELECT wall, event FROM events WHERE session = ?1 ORDER BY number")?;
            let rows = all.query_map([session], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
            let rows: Vec<(i64, String)> = rows.collect::<rusqlite::Result<_>>()?;
            // An event that a newer version wrote is passed over: the others are no worse for it.
            Ok(Some(rows.into_iter().filter_map(|(wall, text)| Some((wall, serde_json::from_str(&text).ok()?))).collect()))
        })
    }

    /// A session as a person sees it, from its events; None when there is no such session.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn transcript(&self, session: i64) -> Result<Option<Transcript>> {
        let Some(events) = self.events(session)? else { return Ok(None) };
        let shown: String = self.ask(|db| db.query_row("SELECT shown FROM sessions WHERE id = ?1", [session], |row| row.get(0)))?;
        let shown: BTreeMap<String, String> = serde_json::from_str(&shown).unwrap_or_default();
        let mut transcript = Transcript::new(shown.into_iter().map(|(mode, shown)| (mode, shown_of(&shown))).collect());
        events.iter().for_each(|(_, event)| transcript.apply(event));
        Ok(Some(transcript))
    }

    /// Calls a session `name`; false when there is no such session.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn rename(&self, session: i64, name: &str) -> Result<bool> {
        self.ask(|db| Ok(db.execute("UPDATE sessions SET name = ?2 WHERE id = ?1", params![session, name.trim()])? > 0))
    }

    /// Deletes a session, its words overwritten; false when there was none.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn delete(&mut self, session: i64) -> Result<bool> {
        let gone = self.ask(|db| Ok(db.execute("DELETE FROM sessions WHERE id = ?1", [session])? > 0))?;
        self.overwrite()?;
        Ok(gone)
    }

    /// Deletes everything, overwritten; says how many sessions there were.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn delete_all(&mut self) -> Result<usize> {
        let gone = self.ask(|db| db.execute("DELETE FROM sessions", []))?;
        self.overwrite()?;
        Ok(gone)
    }

    /// Deletes sessions that ended before `oldest_ms`; says how many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn expire(&mut self, oldest_ms: i64) -> Result<usize> {
        let gone = self.ask(|db| db.execute("DELETE FROM sessions WHERE ended < ?1", [oldest_ms]))?;
        if gone > 0 {
            self.overwrite()?;
        }
        Ok(gone)
    }

    /// Deletes what was heard and said since `since_ms` in every session, overwritten; says how many sessions that touched.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn forget_since(&mut self, since_ms: i64) -> Result<usize> {
        let touched: Vec<i64> = self.ask(|db| {
            let mut all = db.prepare("SELECT DISTINCT session FROM events WHERE wall >= ?1")?;
            all.query_map([since_ms], |row| row.get(0))?.collect()
        })?;
        self.ask(|db| {
            db.execute("DELETE FROM sessions WHERE started >= ?1", [since_ms])?;
            // The first event says what the session is; it holds nothing that was heard.
            db.execute("DELETE FROM events WHERE wall >= ?1 AND number > 0", [since_ms])
        })?;
        for session in &touched {
            let Some(transcript) = self.transcript(*session)? else { continue };
            let lines = lines_of(&transcript, |_| 0);
            let path = self.path.clone();
            let again = |db: &mut Connection| -> rusqlite::Result<()> {
                let step = db.transaction()?;
                step.execute("DELETE FROM lines WHERE session = ?1", [session])?;
                write_lines(&step, *session, &lines)?;
                step.commit()
            };
            again(&mut self.db).map_err(|e| Trouble::from(e).said(&path))?;
        }
        self.overwrite()?;
        Ok(touched.len())
    }

    /// The number that the next event of a session gets; None when it was deleted.
    pub(super) fn next_number(&self, session: i64) -> Result<Option<usize>> {
        self.ask(|db| {
            let known = db.query_row("SELECT 1 FROM sessions WHERE id = ?1", [session], |_| Ok(())).optional()?;
            let next: i64 = db.query_row("SELECT coalesce(max(number) + 1, 0) FROM events WHERE session = ?1", [session], |row| row.get(0))?;
            Ok(known.map(|()| usize::try_from(next).unwrap_or(0)))
        })
    }

    /// Puts what was deleted out of the log and the index too, so that no word of it stays in a file.
    fn overwrite(&self) -> Result<()> {
        self.ask(|db| {
            db.execute("INSERT INTO words(words) VALUES('optimize')", [])?;
            // Readers of another process may keep the log alive; what they have seen they have seen.
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        })
    }

    fn ask<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.db).map_err(|e| Trouble::from(e).said(&self.path))
    }
}

/// What can be wrong with the file.
enum Trouble {
    Damaged(String),
    Newer(i64),
    Locked,
    ReadOnly,
    Full,
    Other(String),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl Trouble {
    fn said(self, path: &Path) -> Error {
        let why = match self {
            Self::Damaged(why) => format!("the history is damaged ({why}); the window puts it aside at its next start"),
            Self::Newer(version) => {
                format!("this history is from a newer Hearken (version {version}; this one knows {VERSION}): nothing is kept until Hearken is updated")
            }
            Self::Locked => "another program holds the history; close it, and keeping goes on".into(),
            Self::ReadOnly => "the history cannot be written; allow writing, or nothing is kept".into(),
            Self::Full => "the disk is full; free some space, and keeping goes on".into(),
            Self::Other(why) => format!("the history cannot be used ({why})"),
        };
        Error::at(ErrorKind::Output, path, why)
    }
}

/// The version of the schema; 0 in a new file.
fn check_version(db: &Connection) -> std::result::Result<i64, Trouble> {
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > VERSION { Err(Trouble::Newer(version)) } else { Ok(version) }
}

fn write_lines(db: &Connection, session: i64, lines: &[Row]) -> rusqlite::Result<()> {
    let mut line_in = db.prepare_cached(
        "INSERT INTO lines(session, kind, number, at, text) VALUES(?1, ?2, ?3, ?4, ?5)
         ON CONFLICT(session, kind, number) DO UPDATE SET text = excluded.text WHERE text <> excluded.text",
    )?;
    for (kind, number, at, text) in lines {
        line_in.execute(params![session, *kind as i64, *number as i64, at.0.0 as i64, text])?;
    }
    Ok(())
}

/// The lines of a transcript, of each kind from the number on that `from` gives.
pub(super) fn lines_of(transcript: &Transcript, from: impl Fn(LineKind) -> usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in LineKind::ALL {
        let all: Box<dyn Iterator<Item = (StreamTime, &str)>> = match kind {
            LineKind::Said => Box::new(transcript.utterances.iter().map(|line| (line.from, line.text.as_str()))),
            LineKind::Translated => Box::new(transcript.translations.iter().map(|line| (line.from, line.text.as_str()))),
            LineKind::Reply => Box::new(transcript.replies.iter().map(|reply| (reply.at, reply.text.as_str()))),
            LineKind::Sound => Box::new(transcript.sounds.iter().map(|sound| (sound.first, sound.name.as_str()))),
        };
        rows.extend(all.enumerate().skip(from(kind)).map(|(number, (at, text))| (kind, number, at, text.to_owned())));
    }
    rows
}

const fn name_of(shown: Shown) -> &'static str {
    match shown {
        Shown::Conversation => "conversation",
        Shown::Transcript => "transcript",
        Shown::Translation => "translation",
        Shown::Sounds => "sounds",
    }
}

fn shown_of(name: &str) -> Shown {
    match name {
        "transcript" => Shown::Transcript,
        "translation" => Shown::Translation,
        "sounds" => Shown::Sounds,
        _ => Shown::Conversation,
    }
}

fn time_of(samples: i64) -> StreamTime {
    StreamTime::from_samples(u64::try_from(samples).unwrap_or(0))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
