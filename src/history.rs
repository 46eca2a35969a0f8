//! The sessions of the past: what was heard and said, on disk, searchable, and gone when the user says so.
//!
//! Responsible for one SQLite file: the events of every session of the window, and the lines that people search, which come
//! from folding those events. What runs headless is not kept: it goes where its output goes. Decisions, timings and the gate
//! are left out: they say nothing of what was heard. At most half a second of events is ever only in memory ([`HistoryHandle`]).
//! Also responsible for the recordings beside it and for the log. Not responsible for what is painted, nor for capturing
//! sound: the engine writes recordings where it is told to.
//!
//! A window holds a [`HistoryHandle`] (it keeps what is reported through its [`EventSink`]) and a [`HistoryReader`] (it answers questions about
//! the past); neither ever waits. A command opens the [`Store`] itself.

mod commands;
mod desk;
mod documents;
mod keeper;
mod lines;
mod log;
mod reading;
mod recorder;
mod recordings;
mod store;
#[cfg(test)]
mod tests;
mod trouble;

pub use commands::run;
pub use desk::{HistoryQuery, HistoryReader, QueryResult};
pub use documents::{document_of, session_title};
pub use lines::LineKind;
pub use reading::{MOST_FOUND, SearchHit, SessionSummary, StoredSession};
pub use recorder::{EventSink, HistoryCallbacks, HistoryHandle, HistoryNotice, HistoryState, HistoryStatus, is_stored};
pub use store::Store;
