//! A past session as a document: plain text, Markdown, subtitles, or its events.

use super::queries::{SessionSummary, StoredSession};
use super::store::Store;
use crate::config::ExportForm;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::export::{DocumentFormat, document, escaped, jsonl};
use crate::text::one_line;
use crate::time::wall::{TimeZone, date_and_time, time_of_day};

/// Renders session `id` in `form`. Text and Markdown have times in `zone`; subtitles have times since the start; events are JSON
/// Lines.
///
/// # Errors
/// When there is no such session, or the database cannot be read.
pub fn document_of(store: &Store, id: i64, form: ExportForm, zone: &TimeZone) -> Result<String> {
    match form {
        ExportForm::Events => {
            let events = store.events(id)?.ok_or_else(|| unknown(id))?;
            jsonl(events.iter().map(|(_, event)| event))
        }
        ExportForm::Document(form) => {
            let opened = store.open_session(id)?.ok_or_else(|| unknown(id))?;
            Ok(format!("{}{}", head(&opened, form, zone), document(&opened.transcript, form, |at| time(&opened, at, zone))))
        }
    }
}

/// Returns the name that the user gave a session; without one, its start in `zone`.
#[must_use]
pub fn session_title(session: &SessionSummary, zone: &TimeZone) -> String {
    if session.name.is_empty() { date_and_time(session.started_ms, zone) } else { session.name.clone() }
}

/// Returns the error for a session that does not exist.
pub(super) fn unknown(id: i64) -> Error {
    Error::new(ErrorKind::Arguments, format!("there is no session {id}")).with_remedy(Remedy::ListSessions)
}

/// Returns the time of day in `zone` at audio time `at`; the time since the start if the wall time is unknown.
fn time(opened: &StoredSession, at: crate::time::StreamTime, zone: &TimeZone) -> String {
    opened.clock.ms(at).map_or_else(|| at.to_string(), |ms| time_of_day(ms, zone))
}

/// Returns the title, start, input and model above the lines of a document; empty for subtitles.
fn head(opened: &StoredSession, form: DocumentFormat, zone: &TimeZone) -> String {
    let session = &opened.session;
    let plain = |text: &str| escaped(&one_line(text), form);
    let title = plain(&session_title(session, zone));
    let about = format!("{}, {}, {}", date_and_time(session.started_ms, zone), plain(&session.source), plain(&session.model));
    match form {
        DocumentFormat::Text => format!("{title}\n{about}\n\n"),
        DocumentFormat::Markdown => format!("# {title}\n\n{about}\n\n"),
        DocumentFormat::Srt | DocumentFormat::Vtt => String::new(),
    }
}
