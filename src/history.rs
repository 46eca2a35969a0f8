//! The sessions of the past: what was heard and said, on disk, searchable, and gone when the user says so.
//!
//! Responsible for one SQLite file: the events of every session of the window, and the lines that people search, which come
//! from folding those events. What runs headless is not kept: it goes where its output goes. Decisions, timings and the gate
//! are left out: they say nothing of what was heard. At most half a second of events is ever only in memory ([`Recorder`]).
//! Also responsible for the recordings beside it and for the log. Not responsible for what is painted, nor for capturing
//! sound: the engine writes recordings where it is told to.
//!
//! A window holds a [`Recorder`] (it keeps what is reported through its [`Tap`]) and a [`Desk`] (it answers questions about
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
pub use desk::{Answer, Desk, Question};
pub use documents::{document_of, title_of};
pub use lines::LineKind;
pub use reading::{Found, MOST_FOUND, Opened, Session};
pub use recorder::{Keeping, News, Outlets, Recorder, Standing, Tap, is_kept};
pub use store::Store;
