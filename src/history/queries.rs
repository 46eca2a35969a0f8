//! Queries of the history database: the list of sessions, search, and whole sessions. None of them changes the database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row as DbRow};

use super::folding::{fold, words_of};
use super::lines::PANELS;
use super::store::{FOLDED_SINCE, Store, check_version};
use crate::error::Result;
use crate::protocol::{Event, Panel};
use crate::time::StreamTime;
use crate::time::wall::WallClock;
use crate::transcript::Transcript;

/// Shortest word that the full-text index finds, in characters; for shorter ones lines are compared.
const TRIGRAM: usize = 3;
/// Largest number of lines that a search returns; further lines are dropped.
pub const MAX_HITS: usize = 500;

/// The entry of a session in the list of past sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSummary {
    /// Number of the session, as `hearken history list` prints it.
    pub id: i64,
    /// Wall time of the session's first event, in milliseconds since 1970, UTC.
    pub started_ms: i64,
    /// Wall time of the session's newest stored event, in milliseconds since 1970, UTC.
    pub ended_ms: i64,
    /// Name that the user gave the session; empty without one.
    pub name: String,
    /// Name of the model at the start of the session.
    pub model: String,
    /// Name of the input at the start of the session.
    pub source: String,
    /// Audio time at the newest stored event.
    pub heard: StreamTime,
    /// Text of the session's earliest line, cut to 200 characters; empty without lines.
    pub first: String,
    /// Number of recordings of the session in the database; a file may be missing on the disk.
    pub recordings: usize,
    /// Number of its replies in the conversation.
    pub replies: usize,
}

/// A stored line (utterance, translation, reply or sound) found by a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchHit {
    /// Number of the session that contains the line.
    pub session: i64,
    /// Wall time at the start of the line, in milliseconds since 1970, UTC; the start of the session if that is not known.
    pub wall_ms: i64,
    /// Panel that shows the line.
    pub panel: Panel,
    /// Audio time at the start of the line.
    pub at: StreamTime,
    /// Whole text of the line.
    pub text: String,
}

/// A past session, read from the database as a whole.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// Entry of the session in the list.
    pub session: SessionSummary,
    /// Transcript, folded from the stored events.
    pub transcript: Transcript,
    /// Mapping from audio time in the session to wall time.
    pub clock: WallClock,
    /// Paths of the recordings that exist, oldest first.
    pub recordings: Vec<PathBuf>,
}

/// SQL query of all sessions, with the columns of a [`SessionSummary`].
const SESSIONS: &str = "SELECT id, started, ended, name, model, source, heard,
    (SELECT substr(text, 1, 200) FROM lines WHERE session = sessions.id ORDER BY at LIMIT 1),
    (SELECT count(*) FROM recordings WHERE session = sessions.id),
    (SELECT count(*) FROM lines WHERE session = sessions.id AND kind = 2) FROM sessions";

/// The events that can anchor the clock of a session ([`is_anchor`]); the other ones need not be parsed.
const ANCHORS: &str = "SELECT wall, event FROM events WHERE session = ?1 AND (event LIKE '{\"type\":\"session_started\"%'
    OR event LIKE '{\"type\":\"resumed\"%' OR event LIKE '{\"type\":\"audio_gap\"%' OR event LIKE '{\"type\":\"input_changed\"%')
    ORDER BY number";

impl Store {
    /// Returns all sessions, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn sessions(&self) -> Result<Vec<SessionSummary>> {
        self.query(|db| {
            let mut all = db.prepare_cached(&format!("{SESSIONS} ORDER BY started DESC, id DESC"))?;
            all.query_map([], session_of)?.collect()
        })
    }

    /// Returns the entry of the session with the number `id`; None if there is no such session.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn session(&self, id: i64) -> Result<Option<SessionSummary>> {
        self.query(|db| db.query_row(&format!("{SESSIONS} WHERE id = ?1"), [id], session_of).optional())
    }

    /// Finds the lines that contain every word of `text`: newest session first, newest line first, at most [`MAX_HITS`]. Words may
    /// be parts of words and stand in any order; what folding removes is ignored. A text without words finds nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn search(&self, text: &str) -> Result<Vec<SearchHit>> {
        let words = words_of(text);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let is_folded = check_version(&self.db).map_err(|e| e.about(&self.path))? >= FOLDED_SINCE;
        // An older database that cannot be written is read line by line.
        let folded = if is_folded { "lines.folded" } else { "fold(lines.text)" };
        let (long, short): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| is_folded && word.chars().count() >= TRIGRAM);
        // A quoted word is searched literally.
        let phrases: Vec<String> = long.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
        let indexed = if phrases.is_empty() { "1" } else { "lines.id IN (SELECT rowid FROM words WHERE words MATCH ?1)" };
        let query = format!(
            "SELECT lines.session, sessions.started, kind, at, lines.text FROM lines JOIN sessions ON sessions.id = lines.session
             WHERE {indexed} AND holds({folded}, ?2) ORDER BY sessions.started DESC, at DESC LIMIT {MAX_HITS}"
        );
        let short = short.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(" ");
        let mut hits: Vec<SearchHit> = self.query(|db| {
            add_search_functions(db)?;
            let mut found = db.prepare_cached(&query)?;
            let rows = found.query_map([phrases.join(" AND "), short], |row| {
                let code: usize = row.get::<_, i64>(2)?.try_into().unwrap_or(0);
                let panel = PANELS[code.min(PANELS.len() - 1)];
                Ok(SearchHit { session: row.get(0)?, wall_ms: row.get(1)?, panel, at: time_of(row.get(3)?), text: row.get(4)? })
            })?;
            rows.collect()
        })?;
        for hits in hits.chunk_by_mut(|one, next| one.session == next.session) {
            let Some(session) = hits.first().map(|hit| hit.session) else { continue };
            let clock = self.clock_of(session)?;
            hits.iter_mut().for_each(|hit| hit.wall_ms = clock.ms(hit.at).unwrap_or(hit.wall_ms));
        }
        Ok(hits)
    }

    /// Returns the mapping from audio time in a session to wall time, without reading the rest of the session.
    fn clock_of(&self, session: i64) -> Result<WallClock> {
        let anchors: Vec<(i64, String)> = self.query(|db| {
            let mut all = db.prepare_cached(ANCHORS)?;
            all.query_map([session], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        let mut clock = WallClock::default();
        for (wall, text) in anchors {
            if let Ok(event) = serde_json::from_str::<Event>(&text)
                && is_anchor(&event)
            {
                clock.anchor(event.at(), wall);
            }
        }
        Ok(clock)
    }

    /// Returns the events of a session in order, with their wall times in milliseconds since 1970; None if there is no such
    /// session. Events that this version of Hearken cannot read are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events(&self, session: i64) -> Result<Option<Vec<(i64, Event)>>> {
        if self.session(session)?.is_none() {
            return Ok(None);
        }
        let rows: Vec<(i64, String)> = self.query(|db| {
            let mut all = db.prepare_cached("SELECT wall, event FROM events WHERE session = ?1 ORDER BY number")?;
            all.query_map([session], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        // Events that this version does not know are skipped.
        Ok(Some(rows.into_iter().filter_map(|(wall, text)| Some((wall, serde_json::from_str(&text).ok()?))).collect()))
    }

    /// Returns the transcript of a session, folded from its events; None if there is no such session.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn transcript(&self, session: i64) -> Result<Option<Transcript>> {
        Ok(self.open_session(session)?.map(|opened| opened.transcript))
    }

    /// Returns a session with transcript, clock and recordings; None if there is no such session.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_session(&self, id: i64) -> Result<Option<StoredSession>> {
        let (Some(session), Some(events)) = (self.session(id)?, self.events(id)?) else { return Ok(None) };
        let shown: String = self.query(|db| db.query_row("SELECT shown FROM sessions WHERE id = ?1", [id], |row| row.get(0)))?;
        let shown: BTreeMap<String, String> = serde_json::from_str(&shown).unwrap_or_default();
        let mut transcript =
            Transcript::new(shown.into_iter().map(|(mode, shown)| (mode, Panel::from_name(&shown).unwrap_or_default())).collect());
        let mut clock = WallClock::default();
        for (wall, event) in &events {
            transcript.apply(event);
            if is_anchor(event) {
                clock.anchor(event.at(), *wall);
            }
        }
        Ok(Some(StoredSession { session, transcript, clock, recordings: self.recordings_of(id)? }))
    }

    /// Returns the paths of the recordings of a session whose files exist, oldest first.
    fn recordings_of(&self, session: i64) -> Result<Vec<PathBuf>> {
        let folder = self.recordings_folder();
        let names: Vec<String> = self.query(|db| {
            let mut all = db.prepare_cached("SELECT file FROM recordings WHERE session = ?1 ORDER BY at")?;
            all.query_map([session], |row| row.get(0))?.collect()
        })?;
        // Only files in the folder, whatever the database says.
        let within = |name: &String| Path::new(name).file_name().map(|name| folder.join(name));
        Ok(names.iter().filter_map(within).filter(|path| path.is_file()).collect())
    }

    /// Returns the file names of the recordings of all sessions, existing or not.
    pub(super) fn recording_names(&self) -> Result<BTreeSet<String>> {
        self.query(|db| {
            let mut all = db.prepare_cached("SELECT file FROM recordings")?;
            all.query_map([], |row| row.get(0))?.collect()
        })
    }
}

/// Returns the session in a result row of the query [`SESSIONS`].
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
        replies: row.get::<_, i64>(9)?.try_into().unwrap_or(0),
    })
}

/// Returns the audio time of a stored number of 16 kHz samples; a negative number counts as 0.
fn time_of(samples: i64) -> StreamTime {
    StreamTime::from_samples(u64::try_from(samples).unwrap_or(0))
}

/// Returns true for the events between which audio time and wall time advance alike, so that each sets the clock of its session. A
/// session that hears a file has no such clock: its times are those in the file.
#[must_use]
pub const fn is_anchor(event: &Event) -> bool {
    matches!(
        event,
        Event::SessionStarted { started_utc: Some(_), .. } | Event::Resumed { .. } | Event::AudioGap { .. } | Event::InputChanged { .. }
    )
}

/// Adds two SQL functions to the connection: `fold(text)`, and `holds(folded, words)`, true if the folded text contains each of the
/// folded `words`.
pub(super) fn add_search_functions(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("fold", 1, flags, |call| Ok(fold(&call.get::<String>(0)?)))?;
    db.create_scalar_function("holds", 2, flags, |call| {
        let (ValueRef::Text(text), ValueRef::Text(words)) = (call.get_raw(0), call.get_raw(1)) else { return Ok(false) };
        if words.is_empty() {
            return Ok(true);
        }
        let (text, words) = (String::from_utf8_lossy(text), String::from_utf8_lossy(words));
        Ok(words.split(' ').all(|word| text.contains(word)))
    })
}
