//! The history: past sessions on disk, searchable, and deleted when the user says so.
//!
//! Responsible for one SQLite file with the events of every session of the window and the searchable lines folded from them, for
//! the recordings beside it, and for the log. Headless sessions are not stored: their output is the user's. Decisions, timings and
//! gate events are left out, because they say nothing about what was heard. At most half a second of events is only in memory.
//! Not responsible for painting, nor for capturing sound: the engine writes the recordings.
//!
//! A window holds a [`HistoryHandle`], which stores the events sent to its [`EventSink`], and a [`HistoryReader`], which answers
//! queries. Neither ever blocks. A command opens the [`Store`] itself.

mod commands;
mod deletion;
mod documents;
mod folding;
mod handle;
mod journal;
mod lines;
mod log;
mod queries;
mod reader;
mod recordings;
mod store;
mod store_error;
#[cfg(test)]
mod tests;
mod writer;

pub use commands::run;
pub use deletion::Deleted;
pub use documents::{document_of, session_title};
pub use folding::{has_all_words, places_of};
pub use handle::{EventSink, HistoryCallbacks, HistoryHandle, HistoryNotice, HistoryState, HistoryStatus, is_stored};
pub use queries::{MAX_HITS, SearchHit, SessionSummary, StoredSession, is_anchor};
pub use reader::{HistoryQuery, HistoryReader, QueryResult};
pub use store::Store;
