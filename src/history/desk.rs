//! Answers a window's questions about the past on a thread of its own, so that painting never waits for the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::documents::{document_of, unknown};
use super::reading::{SearchHit, SessionSummary, StoredSession};
use super::store::Store;
use crate::clock::local_offset_secs;
use crate::config::{ExportForm, Paths};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{Existing, write_document};

/// Questions and answers that may wait: more than a person types in a second.
const QUESTIONS: usize = 64;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryQuery {
    /// Every session.
    Sessions,
    /// Lines that hold this text.
    Search(String),
    /// One session whole.
    Open(i64),
    /// To call a session so.
    Rename(i64, String),
    /// To delete a session with its recordings. The running one goes on as a new one.
    Delete(i64),
    /// To write a session to a file.
    Export {
        /// The session.
        session: i64,
        /// In which form.
        form: ExportForm,
        /// To which file.
        path: PathBuf,
        /// What to do when the file is there.
        existing: Existing,
    },
}

/// What is answered, in the order of the questions.
#[derive(Clone, Debug)]
pub enum QueryResult {
    /// Every session, newest first.
    Sessions(Vec<SessionSummary>),
    /// What was found.
    Found {
        /// The text that was looked for.
        text: String,
        /// Where it is, [`super::MOST_FOUND`] lines at most.
        lines: Vec<SearchHit>,
    },
    /// The session.
    Opened(Box<StoredSession>),
    /// It is renamed or deleted: ask for the sessions again.
    Changed,
    /// It is written.
    Exported(PathBuf),
    /// The file is there and was not to be replaced.
    Exists(PathBuf),
    /// It could not be done: in a sentence, why and what to do.
    Failed(String),
}

/// Takes questions and gives answers. Dropping it ends the thread after the question that it works on.
#[derive(Debug)]
pub struct HistoryReader {
    questions: Option<Sender<HistoryQuery>>,
    answers: Receiver<QueryResult>,
}

impl HistoryReader {
    /// Opens a desk; `answered` is called whenever there is an answer.
    #[must_use]
    pub fn start(paths: &Paths, answered: impl Fn() + Send + 'static) -> Self {
        let (question_tx, question_rx) = bounded::<HistoryQuery>(QUESTIONS);
        let (answer_tx, answers) = bounded(QUESTIONS);
        let (path, failed) = (paths.history_file(), answer_tx.clone());
        let work = move || {
            for question in question_rx {
                let answered_or_fell = catch_unwind(AssertUnwindSafe(|| answer(&path, question)));
                let fell = |_| Err(Error::new(ErrorKind::Internal, "looking into the history failed; ask again"));
                let answer = answered_or_fell.unwrap_or_else(fell).unwrap_or_else(|e| QueryResult::Failed(e.to_string()));
                if answer_tx.send(answer).is_err() {
                    return;
                }
                answered();
            }
        };
        let thread = std::thread::Builder::new().name("hearken-desk".into()).spawn(work);
        let questions = thread.map(|_| question_tx).map_err(|e| {
            let why = format!("The history cannot be looked at: a thread cannot be started ({e}). Close other programs.");
            // The channel was made a moment ago and is empty.
            let _ = failed.try_send(QueryResult::Failed(why));
        });
        Self { questions: questions.ok(), answers }
    }

    /// Asks; false when too much was asked already.
    pub fn request(&self, question: HistoryQuery) -> bool {
        self.questions.as_ref().is_some_and(|questions| questions.try_send(question).is_ok())
    }

    /// The next answer, if there is one.
    #[must_use]
    pub fn try_recv(&self) -> Option<QueryResult> {
        self.answers.try_recv().ok()
    }
}

fn answer(path: &std::path::Path, question: HistoryQuery) -> Result<QueryResult> {
    let read = || Store::read(path);
    let write = |session| Store::write(path)?.ok_or_else(|| unknown(session));
    Ok(match question {
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
            if known { QueryResult::Changed } else { return Err(unknown(id)) }
        }
        HistoryQuery::Delete(id) => {
            let known = write(id)?.delete(id)?;
            if known { QueryResult::Changed } else { return Err(unknown(id)) }
        }
        HistoryQuery::Export { session, form, path: to, existing } => {
            let store = read()?.ok_or_else(|| unknown(session))?;
            let text = document_of(&store, session, form, local_offset_secs())?;
            match write_document(&to, text.as_bytes(), existing) {
                Ok(()) => QueryResult::Exported(to),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => QueryResult::Exists(to),
                Err(e) => return Err(Error::cannot_write(&to, &e)),
            }
        }
    })
}
