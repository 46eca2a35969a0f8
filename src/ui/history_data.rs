//! The history as the window shows it: the answers of the [`HistoryReader`], kept between frames.

use std::path::PathBuf;

use crate::config::Paths;
use crate::error::{Error, Result};
use crate::history::{HistoryQuery, HistoryReader, QueryResult, SearchHit, SessionSummary, StoredSession};
use crate::protocol::Panel;
use crate::time::StreamTime;
use crate::time::wall::{TimeZone, time_of_day};
use crate::transcript::Transcript;

/// The history's reader thread, started by the first request, and its newest answers.
#[derive(Debug, Default)]
pub(super) struct HistoryData {
    /// Reader thread of the history; `None` before the first request.
    reader: Option<HistoryReader>,
    /// Summaries of all stored sessions; `None` until read.
    pub(super) sessions: Option<Vec<SessionSummary>>,
    /// Result of the newest search; `None` without a search.
    pub(super) hits: Option<SearchResult>,
    /// Session that is shown; `None` until one was opened.
    pub(super) open: Option<OpenSession>,
    /// Failure of the last request; `None` before one, and again after another session was opened.
    pub(super) failure: Option<Error>,
    /// Document that the reader thread has rendered for an export, or the failure; `None` once taken.
    pub(super) rendered: Option<Result<String>>,
    /// True from the request of a document to its answer.
    renders: bool,
}

/// The result of a search in the history: the stored lines that contain a text.
#[derive(Debug)]
pub(super) struct SearchResult {
    /// Text that was searched for.
    pub(super) text: String,
    pub(super) lines: Vec<SearchHit>,
}

/// A stored session as read from the disk, with its lines in the order of time.
#[derive(Debug)]
pub(super) struct OpenSession {
    pub(super) session: SessionSummary,
    pub(super) lines: Vec<StoredLine>,
    /// Audio recordings of the session that exist on the disk.
    pub(super) recordings: Vec<PathBuf>,
}

/// A line of a stored session, ready to be painted: an utterance, a translation, a reply or a sound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoredLine {
    /// Stream time at which the line begins.
    pub(super) at: StreamTime,
    /// Begin of the line as text: local time of day, or the time since the start of the stream if the time of day is not known.
    pub(super) time: String,
    pub(super) panel: Panel,
    pub(super) text: String,
}

impl HistoryData {
    /// Sends a request to the history's reader thread, and starts the thread before the first. The thread requests a repaint of
    /// `ctx` when the answer is there. A request beyond the thread's capacity is dropped: the next key press or click sends another.
    pub(super) fn request(&mut self, question: HistoryQuery, paths: &Paths, ctx: &egui::Context) {
        let start = || {
            let ctx = ctx.clone();
            HistoryReader::start(paths, move || ctx.request_repaint())
        };
        self.renders |= matches!(question, HistoryQuery::Render { .. });
        self.reader.get_or_insert_with(start).request(question);
    }

    /// Takes the answers of the reader thread that have come, without waiting. `zone` is the
    /// time zone of the texts.
    pub(super) fn update(&mut self, zone: &TimeZone) {
        while let Some(answer) = self.reader.as_ref().and_then(HistoryReader::try_recv) {
            match answer {
                QueryResult::Sessions(sessions) => self.sessions = Some(sessions),
                QueryResult::Found { text, lines } => self.hits = Some(SearchResult { text, lines }),
                QueryResult::Opened(opened) => self.open = Some(open_session(*opened, zone)),
                QueryResult::Changed { remains } => {
                    self.failure = remains.or(self.failure.take());
                    self.reload();
                }
                QueryResult::Rendered(text) => {
                    (self.rendered, self.renders) = (Some(Ok(text)), false);
                }
                QueryResult::Failed(error) if std::mem::take(&mut self.renders) => self.rendered = Some(Err(error)),
                QueryResult::Failed(error) => self.failure = Some(error),
            }
        }
    }

    /// Requests from the reader thread again what the window shows: the list of sessions, the search and the open session.
    fn reload(&self) {
        let Some(reader) = &self.reader else { return };
        reader.request(HistoryQuery::Sessions);
        if let Some(hits) = &self.hits {
            reader.request(HistoryQuery::Search(hits.text.clone()));
        }
        if let Some(open) = &self.open {
            reader.request(HistoryQuery::Open(open.session.id));
        }
    }
}

fn open_session(opened: StoredSession, zone: &TimeZone) -> OpenSession {
    let time = |at: StreamTime| opened.clock.ms(at).map_or_else(|| at.to_string(), |ms| time_of_day(ms, zone));
    let lines = lines(&opened.transcript, time);
    OpenSession { session: opened.session, lines, recordings: opened.recordings }
}

/// Returns the utterances, translations, replies and sounds (each sound once, with its count) of a transcript in the order of
/// time. `time` returns a stream time as text.
fn lines(t: &Transcript, time: impl Fn(StreamTime) -> String) -> Vec<StoredLine> {
    let line = |at: StreamTime, panel, text: &str| StoredLine { at, time: time(at), panel, text: text.to_owned() };
    let mut lines: Vec<StoredLine> = t.utterances.iter().map(|l| line(l.from, Panel::Transcript, &l.text)).collect();
    lines.extend(t.translations.iter().map(|l| line(l.from, Panel::Translation, &l.text)));
    lines.extend(t.replies.iter().map(|r| line(r.at, Panel::Conversation, &r.text)));
    lines.extend(t.sounds.iter().map(|s| {
        let count = if s.count > 1 { format!(" ×{}", s.count) } else { String::new() };
        line(s.first, Panel::Sounds, &format!("{}{count}", s.name))
    }));
    lines.sort_by_key(|line| line.at);
    lines
}
