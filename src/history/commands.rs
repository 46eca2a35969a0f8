//! `hearken history …`: past sessions on the command line.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::deletion::Deleted;
use super::documents::{document_of, unknown};
use super::lines::{lines_of, report_name};
use super::queries::{MAX_HITS, SearchHit, SessionSummary, StoredSession};
use super::store::Store;
use crate::clock::{local_zone, now_ms};
use crate::config::{Deletion, ExportForm, HistoryRequest, Paths, ReportFormat, SessionChoice};
use crate::console::{Completion, note, print};
use crate::error::{Error, ErrorKind, Result};
use crate::export::DocumentFormat;
use crate::files::{Existing, already_exists, is_same_file, write_document};
use crate::text::{fitting, one_line};
use crate::time::wall::{date_and_time, utc};

/// Width to which the list of sessions cuts a session's name or first words, in columns.
const FIRST_COLUMNS: usize = 60;

/// Runs `hearken history`: prints the result to `out`, and messages that are no result ("There is no history yet.") to `notes`. Returns
/// `Problems` if a deletion is done and something of it remains on the disk.
///
/// # Errors
/// When there is no such session, the history cannot be read or written, a file exists already, or `out` cannot be written.
pub fn run(request: &HistoryRequest, paths: &Paths, mut out: impl Write, mut notes: impl Write) -> Result<Completion> {
    let path = paths.history_file();
    let mut completion = Completion::Clean;
    let text = match request {
        HistoryRequest::List(format) => list(&path, *format)?,
        HistoryRequest::Show(session, format) => show(&path, *session, *format)?,
        HistoryRequest::Search(text, format) => search(&path, text, *format, &mut notes)?,
        HistoryRequest::Export { session, form, out, existing } => {
            let (store, id) = open(&path, *session)?;
            let text = document_of(&store, id, *form, &local_zone())?;
            match out {
                None => text,
                Some(to) => {
                    if is_same_file(to, &path) {
                        return Err(Error::new(ErrorKind::Arguments, format!("--out {}: this is the history itself", to.display())));
                    }
                    write(to, &text, *existing)?;
                    note(&mut notes, format_args!("{} is written.", to.display()));
                    String::new()
                }
            }
        }
        HistoryRequest::Delete(what) => {
            let (done, remains) = delete(&path, what)?;
            note(&mut notes, format_args!("{done}"));
            if let Some(error) = remains {
                note(&mut notes, format_args!("hearken: {error}"));
                completion = Completion::Problems;
            }
            String::new()
        }
    };
    print(&mut out, text).map(|()| completion)
}

/// Returns the list of sessions, newest first, one per line or as a JSON array; empty without a history.
fn list(path: &Path, format: ReportFormat) -> Result<String> {
    let sessions = Store::read(path)?.map_or_else(|| Ok(Vec::new()), |store| store.sessions())?;
    if format == ReportFormat::Json {
        return Ok(format!("{:#}\n", json!(sessions.iter().map(about).collect::<Vec<_>>())));
    }
    let zone = local_zone();
    let line = |session: &SessionSummary| {
        let what = if session.name.is_empty() { &session.first } else { &session.name };
        let what = one_line(what);
        let what = fitting(&what, FIRST_COLUMNS);
        let recorded = if session.recordings > 0 { "  (recorded)" } else { "" };
        format!("{:>5}  {}  {:>9}  {what}{recorded}\n", session.id, date_and_time(session.started_ms, &zone), session.heard.to_string())
    };
    Ok(sessions.iter().map(line).collect())
}

/// Returns a session with its lines in the order of time, as a text document or as JSON.
fn show(path: &Path, session: SessionChoice, format: ReportFormat) -> Result<String> {
    let (store, id) = open(path, session)?;
    let zone = local_zone();
    if format == ReportFormat::Text {
        return document_of(&store, id, ExportForm::Document(DocumentFormat::Text), &zone);
    }
    let opened = store.open_session(id)?.ok_or_else(|| unknown(id))?;
    Ok(format!("{:#}\n", whole(&opened)))
}

/// Returns the JSON of a session: its entry in the list, its lines in the order of time, and the paths of its recordings.
fn whole(opened: &StoredSession) -> serde_json::Value {
    let mut rows = lines_of(&opened.transcript, |_| 0);
    rows.sort_by_key(|row| row.at);
    let line = |row: &super::lines::HistoryLine| {
        let wall = opened.clock.ms(row.at).map(utc);
        json!({"kind": report_name(row.panel), "at": row.at, "utc": wall, "text": row.text})
    };
    let mut whole = about(&opened.session);
    whole["lines"] = rows.iter().map(line).collect();
    whole["recording_files"] = opened.recordings.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    whole
}

/// Returns the entry of a session in the list as JSON.
fn about(session: &SessionSummary) -> serde_json::Value {
    json!({
        "session": session.id,
        "name": session.name,
        "started_utc": utc(session.started_ms),
        "ended_utc": utc(session.ended_ms),
        "heard_secs": session.heard,
        "model": session.model,
        "source": session.source,
        "first": session.first,
        "recordings": session.recordings,
    })
}

/// Returns the stored lines that contain the words of `text`, at most [`MAX_HITS`]; `notes` says if there is none or may be more.
fn search(path: &Path, text: &str, format: ReportFormat, notes: &mut impl Write) -> Result<String> {
    let Some(store) = Store::read(path)? else {
        note(notes, format_args!("There is no history yet."));
        return Ok(if format == ReportFormat::Json { "[]\n".into() } else { String::new() });
    };
    let found = store.search(text)?;
    match found.len() {
        0 => note(notes, format_args!("No session contains \"{}\".", one_line(text))),
        MAX_HITS => note(notes, format_args!("There may be more: these are the newest {MAX_HITS}.")),
        _ => {}
    }
    let zone = local_zone();
    let mut lines = String::new();
    let mut all = Vec::new();
    for SearchHit { session, wall_ms, panel, at, text } in found {
        let kind = report_name(panel);
        if format == ReportFormat::Json {
            all.push(json!({"session": session, "kind": kind, "at": at, "utc": utc(wall_ms), "text": text}));
        } else {
            lines += &format!("{session:>5}  {}  {kind:<10}  {}\n", date_and_time(wall_ms, &zone), one_line(&text));
        }
    }
    Ok(if format == ReportFormat::Json { format!("{:#}\n", json!(all)) } else { lines })
}

/// Deletes the sessions or the time span `what`. Returns a sentence about the result, and the reason why something of it remains on the
/// disk, if there is one. If one of several sessions is unknown, deletes none.
///
/// # Errors
/// When a session is unknown, or the history cannot be written.
fn delete(path: &Path, what: &Deletion) -> Result<(String, Option<Error>)> {
    let store = Store::write(path)?;
    match (what, store) {
        (Deletion::Sessions(sessions), store) => {
            let none = || Error::new(ErrorKind::Arguments, "there is no history yet");
            let mut store = store.ok_or_else(none)?;
            // All are looked up before the first is deleted; one that is named twice counts once.
            let ids = sessions.iter().map(|session| number(&store, *session)).collect::<Result<BTreeSet<i64>>>()?;
            let Deleted { remains, .. } = store.delete_each(&ids)?;
            let text = match ids.first() {
                Some(id) if ids.len() == 1 => format!("Session {id} is deleted."),
                _ => format!("{} sessions are deleted.", ids.len()),
            };
            Ok((text, remains))
        }
        (_, None) => Ok(("There is no history yet.".into(), None)),
        (Deletion::Newest(span), Some(mut store)) => {
            let Deleted { sessions, remains } = store.forget_since(now_ms() - i64::try_from(span.as_millis()).unwrap_or(i64::MAX))?;
            Ok((format!("The last {} minutes are deleted; affected sessions: {sessions}.", span.as_secs() / 60), remains))
        }
        (Deletion::Everything, Some(mut store)) => {
            let Deleted { sessions, remains } = store.delete_all()?;
            Ok((format!("Everything is deleted; sessions: {sessions}."), remains))
        }
    }
}

/// Opens the history at `path` for reading, and returns it with the number of the session `session`.
///
/// # Errors
/// When there is no history or no such session, or the history cannot be read.
fn open(path: &Path, session: SessionChoice) -> Result<(Store, i64)> {
    let none = || Error::new(ErrorKind::Arguments, "there is no history yet; the window stores what it hears");
    let store = Store::read(path)?.ok_or_else(none)?;
    let id = number(&store, session)?;
    Ok((store, id))
}

/// Returns the number of the session `session`; an error if there is no such session.
fn number(store: &Store, session: SessionChoice) -> Result<i64> {
    match session {
        SessionChoice::Number(id) if store.session(id)?.is_some() => Ok(id),
        SessionChoice::Number(id) => Err(unknown(id)),
        SessionChoice::Last => {
            let newest = store.sessions()?.first().map(|session| session.id);
            newest.ok_or_else(|| Error::new(ErrorKind::Arguments, "the history is empty"))
        }
    }
}

/// Writes a document to a file that the user named; an error names `--force` if the file exists and is kept.
fn write(to: &Path, text: &str, existing: Existing) -> Result<()> {
    write_document(to, text.as_bytes(), existing).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => already_exists(to),
        _ => Error::cannot_write(to, &e),
    })
}
