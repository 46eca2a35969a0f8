//! What is asked of the database: sessions, search, one session whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Row as DbRow};

use super::lines::LineKind;
use super::store::Store;
use crate::error::Result;
use crate::protocol::{Event, Panel};
use crate::time::StreamTime;
use crate::time::wall::WallClock;
use crate::transcript::Transcript;

/// Characters from which the search index finds a text; shorter ones are looked for line by line.
const TRIGRAM: usize = 3;
/// Lines that a search gives at most.
pub const MOST_FOUND: usize = 500;

/// A session of the past, or the one that is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSummary {
    /// Its number.
    pub id: i64,
    /// When it began, in milliseconds since 1970, UTC.
    pub started_ms: i64,
    /// When its newest event came.
    pub ended_ms: i64,
    /// What the user calls it; empty until then.
    pub name: String,
    /// The model that listened first.
    pub model: String,
    /// What was listened to first.
    pub source: String,
    /// How much sound was heard.
    pub heard: StreamTime,
    /// Its first words, 200 characters at most.
    pub first: String,
    /// How many recordings belong to it.
    pub recordings: usize,
}

/// A line that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchHit {
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

/// A session, opened.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// What the list says of it.
    pub session: SessionSummary,
    /// What a person sees of it.
    pub transcript: Transcript,
    /// When that was.
    pub clock: WallClock,
    /// Its recordings, oldest first.
    pub recordings: Vec<PathBuf>,
}

const SESSIONS: &str = "SELECT id, started, ended, name, model, source, heard,
    (SELECT substr(text, 1, 200) FROM lines WHERE session = sessions.id ORDER BY at LIMIT 1),
    (SELECT count(*) FROM recordings WHERE session = sessions.id) FROM sessions";

impl Store {
    /// All sessions, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn sessions(&self) -> Result<Vec<SessionSummary>> {
        self.ask(|db| {
            let mut all = db.prepare_cached(&format!("{SESSIONS} ORDER BY started DESC, id DESC"))?;
            all.query_map([], session_of)?.collect()
        })
    }

    /// The session of this number; None when there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn session(&self, id: i64) -> Result<Option<SessionSummary>> {
        self.ask(|db| db.query_row(&format!("{SESSIONS} WHERE id = ?1"), [id], session_of).optional())
    }

    /// Lines that hold `text`, newest session first, [`MOST_FOUND`] at most; capitals do not matter.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn search(&self, text: &str) -> Result<Vec<SearchHit>> {
        // To SQLite a zero is the end of a text.
        let text = text.replace('\0', " ");
        let text = text.trim();
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let columns =
            "SELECT lines.session, sessions.started, kind, at, lines.text FROM lines JOIN sessions ON sessions.id = lines.session";
        let order = format!("ORDER BY sessions.started DESC, at DESC LIMIT {MOST_FOUND}");
        // A phrase in quotes is looked for as it stands, whatever characters it holds.
        let (query, wanted) = if text.chars().count() >= TRIGRAM {
            let query = format!("{columns} WHERE lines.id IN (SELECT rowid FROM words WHERE words MATCH ?1) {order}");
            (query, format!("\"{}\"", text.replace('"', "\"\"")))
        } else {
            let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            (format!("{columns} WHERE lines.text LIKE ?1 ESCAPE '\\' {order}"), format!("%{escaped}%"))
        };
        self.ask(|db| {
            let mut found = db.prepare_cached(&query)?;
            let rows = found.query_map([&wanted], |row| {
                let kind: usize = row.get::<_, i64>(2)?.try_into().unwrap_or(0);
                Ok(SearchHit {
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
        if self.session(session)?.is_none() {
            return Ok(None);
        }
        let rows: Vec<(i64, String)> = self.ask(|db| {
            let mut all = db.prepare_cached("SELECT wall, event FROM events WHERE session = ?1 ORDER BY number")?;
            all.query_map([session], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        // An event that a newer version wrote is passed over: the others are no worse for it.
        Ok(Some(rows.into_iter().filter_map(|(wall, text)| Some((wall, serde_json::from_str(&text).ok()?))).collect()))
    }

    /// A session as a person sees it, from its events; None when there is no such session.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn transcript(&self, session: i64) -> Result<Option<Transcript>> {
        Ok(self.open_session(session)?.map(|opened| opened.transcript))
    }

    /// A session with all that belongs to it; None when there is no such session.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_session(&self, id: i64) -> Result<Option<StoredSession>> {
        let (Some(session), Some(events)) = (self.session(id)?, self.events(id)?) else { return Ok(None) };
        let shown: String = self.ask(|db| db.query_row("SELECT shown FROM sessions WHERE id = ?1", [id], |row| row.get(0)))?;
        let shown: BTreeMap<String, String> = serde_json::from_str(&shown).unwrap_or_default();
        let mut transcript =
            Transcript::new(shown.into_iter().map(|(mode, shown)| (mode, Panel::from_name(&shown).unwrap_or_default())).collect());
        let mut clock = WallClock::default();
        for (wall, event) in &events {
            transcript.apply(event);
            // Between two of these, audio time and wall time run alike.
            if matches!(event, Event::SessionStarted { .. } | Event::Resumed { .. } | Event::AudioGap { .. } | Event::InputChanged { .. }) {
                clock.anchor(event.at(), *wall);
            }
        }
        Ok(Some(StoredSession { session, transcript, clock, recordings: self.recordings_of(id)? }))
    }

    fn recordings_of(&self, session: i64) -> Result<Vec<PathBuf>> {
        let folder = self.recordings_folder();
        let names: Vec<String> = self.ask(|db| {
            let mut all = db.prepare_cached("SELECT file FROM recordings WHERE session = ?1 ORDER BY at")?;
            all.query_map([session], |row| row.get(0))?.collect()
        })?;
        // Only files within the folder, whatever somebody wrote into the database.
        let within = |name: &String| Path::new(name).file_name().map(|name| folder.join(name));
        Ok(names.iter().filter_map(within).filter(|path| path.is_file()).collect())
    }

    /// Names of the recordings that belong to a session.
    pub(super) fn recording_names(&self) -> Result<BTreeSet<String>> {
        self.ask(|db| {
            let mut all = db.prepare_cached("SELECT file FROM recordings")?;
            all.query_map([], |row| row.get(0))?.collect()
        })
    }
}

fn session_of(row: &DbRow<'_>) -> rusqlite::Result<SessionSummary> {
    Ok(SessionSummary {
        id: row.get(0)?,
        started_ms: row.get(1)?,
        ended_ms: row.get(2)?,
        name: row.get(3)?,
        model: row.get(4)?,
        source: row.get(5)?,
        heard: time_of(row.get(6)?),
        first: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
        recordings: row.get::<_, i64>(8)?.try_into().unwrap_or(0),
    })
}

fn time_of(samples: i64) -> StreamTime {
    StreamTime::from_samples(u64::try_from(samples).unwrap_or(0))
}
