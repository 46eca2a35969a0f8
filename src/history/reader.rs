//! The thread that answers the window's queries of past sessions, so that painting never waits for the disk.

use crossbeam_channel::{Receiver, Sender, bounded};

use super::deletion::Deleted;
use super::documents::{document_of, unknown};
use super::queries::{SearchHit, SessionSummary, StoredSession};
use super::store::Store;
use crate::clock::local_zone;
use crate::config::{ExportForm, Paths};
use crate::error::{Error, Result};
use crate::supervise;

/// Number of queries, and number of results, that may wait in a channel: more than a person types in a second.
const QUEUE_CAPACITY: usize = 64;

/// A request to the reader thread: a query of past sessions, or a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryQuery {
    /// List all sessions; answered by [`QueryResult::Sessions`].
    Sessions,
    /// Find lines that contain the words of this text ([`Store::search`]); answered by [`QueryResult::Found`].
    Search(String),
    /// Read the session of this number as a whole; answered by [`QueryResult::Opened`].
    Open(i64),
    /// Give the session of this number this name; empty removes the name. Answered by [`QueryResult::Changed`].
    Rename(i64, String),
    /// Delete the session of this number with its recordings; answered by [`QueryResult::Changed`]. If the session is being stored,
    /// later events begin a new session.
    Delete(i64),
    /// Render a session as a document or as its events; answered by [`QueryResult::Rendered`].
    Render {
        /// Number of the session.
        session: i64,
        /// Format of the document.
        form: ExportForm,
    },
}

/// The result of a query. Results come in the order of the queries.
#[derive(Clone, Debug)]
pub enum QueryResult {
    /// All sessions, newest first.
    Sessions(Vec<SessionSummary>),
    /// The lines that a search found.
    Found {
        /// Text that was searched for.
        text: String,
        /// Lines that contain its words, at most [`super::MAX_HITS`].
        lines: Vec<SearchHit>,
    },
    /// The session that was asked for, as a whole.
    Opened(Box<StoredSession>),
    /// A session was renamed or deleted; the list is outdated.
    Changed {
        /// The reason why something of a deleted session remains on the disk; None if nothing does.
        remains: Option<Error>,
    },
    /// The session as a document.
    Rendered(String),
    /// The query failed, or there is no such session.
    Failed(Error),
}

/// The handle of the reader thread. Dropping the handle ends the thread after its current query; queries that wait are dropped.
#[derive(Debug)]
pub struct HistoryReader {
    queries: Option<Sender<HistoryQuery>>,
    results: Receiver<QueryResult>,
}

impl HistoryReader {
    /// Starts the reader thread, which calls `on_result` after each result is available. If no thread can be started, the first result
    /// is [`QueryResult::Failed`] and every request is refused.
    #[must_use]
    pub fn start(paths: &Paths, on_result: impl Fn() + Send + 'static) -> Self {
        let (query_tx, query_rx) = bounded::<HistoryQuery>(QUEUE_CAPACITY);
        let (result_tx, results) = bounded(QUEUE_CAPACITY);
        let (path, failed) = (paths.history_file(), result_tx.clone());
        let work = move || {
            for query in query_rx {
                if result_tx.send(supervise::catch(|| run_query(&path, query)).unwrap_or_else(QueryResult::Failed)).is_err() {
                    return;
                }
                on_result();
            }
        };
        let queries = supervise::spawn("hearken-history-reader", work).map(|_| query_tx).map_err(|error| {
            // The channel is new and empty, so there is room.
            let _ = failed.try_send(QueryResult::Failed(error.while_doing("the history cannot be shown")));
        });
        Self { queries: queries.ok(), results }
    }

    /// Sends a query to the reader thread and returns true. Returns false, without sending, if 64 queries are waiting or the thread does
    /// not run.
    pub fn request(&self, query: HistoryQuery) -> bool {
        self.queries.as_ref().is_some_and(|queries| queries.try_send(query).is_ok())
    }

    /// Returns the oldest result that was not taken yet; None if there is none. Never blocks.
    #[must_use]
    pub fn try_recv(&self) -> Option<QueryResult> {
        self.results.try_recv().ok()
    }
}

/// Opens the database at `path`, carries out `query` and returns the result.
fn run_query(path: &std::path::Path, query: HistoryQuery) -> Result<QueryResult> {
    let read = || Store::read(path);
    let write = |session| Store::write(path)?.ok_or_else(|| unknown(session));
    Ok(match query {
        HistoryQuery::Sessions => QueryResult::Sessions(read()?.map_or_else(|| Ok(Vec::new()), |store| store.sessions())?),
        HistoryQuery::Search(text) => {
            let lines = read()?.map_or_else(|| Ok(Vec::new()), |store| store.search(&text))?;
            QueryResult::Found { text, lines }
        }
        HistoryQuery::Open(id) => {
            let opened = read()?.map(|store| store.open_session(id)).transpose()?.flatten();
            QueryResult::Opened(Box::new(opened.ok_or_else(|| unknown(id))?))
        }
        HistoryQuery::Rename(id, name) => {
            let known = write(id)?.rename(id, &name)?;
            if known { QueryResult::Changed { remains: None } } else { return Err(unknown(id)) }
        }
        HistoryQuery::Delete(id) => {
            let Deleted { sessions, remains } = write(id)?.delete(id)?;
            if sessions > 0 { QueryResult::Changed { remains } } else { return Err(unknown(id)) }
        }
        HistoryQuery::Render { session, form } => {
            let store = read()?.ok_or_else(|| unknown(session))?;
            QueryResult::Rendered(document_of(&store, session, form, &local_zone())?)
        }
    })
}
