//! What the history's reader has answered, as the window shows it.
//!
//! Not responsible for answering (`history::HistoryReader` does, on its thread), nor for how any of it is painted.

use std::path::PathBuf;

use crate::config::Paths;
use crate::history::{HistoryQuery, HistoryReader, QueryResult, SearchHit, SessionSummary, StoredSession};
use crate::time::StreamTime;
use crate::time::wall::time_of_day;
use crate::transcript::Transcript;

/// The window's end of the reader, which is opened by the first question.
#[derive(Debug, Default)]
pub(super) struct Past {
    reader: Option<HistoryReader>,
    pub(super) shelf: Shelf,
}

/// What was answered.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// None until they were asked for.
    pub(super) sessions: Option<Vec<SessionSummary>>,
    /// What was looked for, and the lines that hold it.
    pub(super) found: Option<(String, Vec<SearchHit>)>,
    pub(super) open: Option<OpenSession>,
    /// How the last change went.
    pub(super) outcome: Option<Outcome>,
}

/// How a change went.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It was saved in this file.
    Saved(PathBuf),
    /// There is a file of this name.
    Exists(PathBuf),
    /// It failed, for this reason.
    Failed(String),
}

/// A session that is open, its lines in the order of time.
#[derive(Debug)]
pub(super) struct OpenSession {
    pub(super) session: SessionSummary,
    pub(super) lines: Vec<PastLine>,
    pub(super) recordings: Vec<PathBuf>,
}

/// A line of a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PastLine {
    pub(super) at: StreamTime,
    pub(super) time: String,
    pub(super) who: Who,
    pub(super) text: String,
}

/// Whose words a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Said,
    Meant,
    Replied,
    Sound,
}

impl Past {
    /// Asks the desk; whatever it answers has the window painted.
    pub(super) fn ask(&mut self, question: HistoryQuery, paths: &Paths, ctx: &egui::Context) {
        let open = || {
            let ctx = ctx.clone();
            HistoryReader::start(paths, move || ctx.request_repaint())
        };
        // A question that finds no room is not asked; typing on or clicking again asks anew.
        self.reader.get_or_insert_with(open).request(question);
    }

    /// Takes what was answered since; local time is `offset_secs` ahead of UTC.
    pub(super) fn take_answers(&mut self, offset_secs: i64) {
        while let Some(answer) = self.reader.as_ref().and_then(HistoryReader::try_recv) {
            let shelf = &mut self.shelf;
            match answer {
                QueryResult::Sessions(sessions) => shelf.sessions = Some(sessions),
                QueryResult::Found { text, lines } => shelf.found = Some((text, lines)),
                QueryResult::Opened(opened) => shelf.open = Some(open_session(*opened, offset_secs)),
                QueryResult::Changed => self.ask_again(),
                QueryResult::Exported(path) => shelf.outcome = Some(Outcome::Saved(path)),
                QueryResult::Exists(path) => shelf.outcome = Some(Outcome::Exists(path)),
                QueryResult::Failed(error) => shelf.outcome = Some(Outcome::Failed(error.to_string())),
            }
        }
    }

    /// What is shown is not as it was: asks for all of it anew.
    pub(super) fn ask_again(&mut self) {
        let Some(reader) = &self.reader else { return };
        reader.request(HistoryQuery::Sessions);
        if let Some((text, _)) = &self.shelf.found {
            reader.request(HistoryQuery::Search(text.clone()));
        }
        if let Some(open) = &self.shelf.open {
            reader.request(HistoryQuery::Open(open.session.id));
        }
    }
}

fn open_session(opened: StoredSession, offset_secs: i64) -> OpenSession {
    let time = |at: StreamTime| opened.clock.ms(at).map_or_else(|| at.to_string(), |ms| time_of_day(ms, offset_secs));
    let lines = lines(&opened.transcript, time);
    OpenSession { session: opened.session, lines, recordings: opened.recordings }
}

/// Everything that was heard and said, in the order of time.
fn lines(t: &Transcript, time: impl Fn(StreamTime) -> String) -> Vec<PastLine> {
    let line = |at: StreamTime, who, text: &str| PastLine { at, time: time(at), who, text: text.to_owned() };
    let mut lines: Vec<PastLine> = t.utterances.iter().map(|l| line(l.from, Who::Said, &l.text)).collect();
    lines.extend(t.translations.iter().map(|l| line(l.from, Who::Meant, &l.text)));
    lines.extend(t.replies.iter().map(|r| line(r.at, Who::Replied, &r.text)));
    lines.extend(t.sounds.iter().map(|s| {
        let times = if s.count > 1 { format!(" ×{}", s.count) } else { String::new() };
        line(s.first, Who::Sound, &format!("{}{times}", s.name))
    }));
    lines.sort_by_key(|line| line.at);
    lines
}
