//! A past session as a document: plain text, Markdown, subtitles, or its events.

use super::queries::{SessionSummary, StoredSession};
use super::store::Store;
use crate::config::ExportForm;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::export::{DocumentFormat, document, jsonl};
use crate::time::wall::{date_and_time, time_of_day};

/// Returns the session `id` as a document in the format `form`. Text and Markdown have local times, `offset_secs` seconds ahead of
/// UTC; subtitles have times since the start of the session; events are JSON Lines.
///
/// # Errors
/// When there is no such session, or the database cannot be read.
pub fn document_of(store: &Store, id: i64, form: ExportForm, offset_secs: i64) -> Result<String> {
    match form {
        ExportForm::Events => {
            let events = store.events(id)?.ok_or_else(|| unknown(id))?;
            jsonl(events.iter().map(|(_, event)| event))
        }
        ExportForm::Document(form) => {
            let opened = store.open_session(id)?.ok_or_else(|| unknown(id))?;
            Ok(format!("{}{}", head(&opened, form, offset_secs), document(&opened.transcript, form, |at| time(&opened, at, offset_secs))))
        }
    }
}

/// Returns the name that the user gave a session, or for a session without a name its start in local time, `offset_secs` seconds ahead
/// of UTC.
#[must_use]
pub fn session_title(session: &SessionSummary, offset_secs: i64) -> String {
    if session.name.is_empty() { date_and_time(session.started_ms, offset_secs) } else { session.name.clone() }
}

/// Returns the error for a session that does not exist.
pub(super) fn unknown(id: i64) -> Error {
    Error::new(ErrorKind::Arguments, format!("there is no session {id}")).with_remedy(Remedy::ListSessions)
}

/// Returns the local time of day at audio time `at`, or the time since the start of the session if the wall time is unknown.
/// `offset_secs` is the number of seconds by which local time is ahead of UTC.
fn time(opened: &StoredSession, at: crate::time::StreamTime, offset_secs: i64) -> String {
    opened.clock.ms(at).map_or_else(|| at.to_string(), |ms| time_of_day(ms, offset_secs))
}

/// Returns the head of a document: title, start, input and model of the session; an empty text for subtitles.
fn head(opened: &StoredSession, form: DocumentFormat, offset_secs: i64) -> String {
    let session = &opened.session;
    let about = format!("{}, {}, {}", date_and_time(session.started_ms, offset_secs), session.source, session.model);
    match form {
        DocumentFormat::Text => format!("{}\n{about}\n\n", session_title(session, offset_secs)),
        DocumentFormat::Markdown => format!("# {}\n\n{about}\n\n", session_title(session, offset_secs)),
        DocumentFormat::Srt | DocumentFormat::Vtt => String::new(),
    }
}
