//! What goes on listening whether or not there is a window: the engine, the thread that takes what it reports, what was heard so
//! far, and what keeps it. A window looks at it and owns none of it, so that one that loses its display costs nothing of it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::fold::{self, Heard};
use crate::config::{HistoryPrefs, Paths, Settings};
use crate::engine::EngineHandle;
use crate::error::Error;
use crate::history::{EventSink, HistoryCallbacks, HistoryHandle};
use crate::protocol::{Command, Event, Severity};
use crate::transcript::Transcript;

/// How long the end of a session waits for the engine's last words.
const GOODBYE: Duration = Duration::from_secs(2);

/// Dropping it ends the session and keeps its last words.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) engine: EngineHandle,
    pub(super) history: HistoryHandle,
    pub(super) heard: Arc<Heard>,
    pub(super) paths: Paths,
    pub(super) began: Instant,
    sink: EventSink,
    /// Takes what the engine reports until it has ended; in words, why there is none.
    fold: Result<JoinHandle<()>, String>,
}

impl Session {
    /// Takes over `engine`, which was started with `settings`, and keeps what it hears as `keep` says.
    pub(super) fn start(engine: EngineHandle, settings: &Settings, keep: HistoryPrefs) -> Self {
        let shown = fold::shown(&settings.modes);
        let heard = Heard::new(Transcript::new(shown.clone()));
        let changed = Arc::clone(&heard);
        let outlets = HistoryCallbacks { send_command: Box::new(engine.sender()), on_change: Box::new(move || changed.repaint()) };
        let history = HistoryHandle::start(&settings.paths, keep, shown, outlets);
        let sink = history.sink();
        let fold = fold::start(&engine, &heard, sink.clone());
        let fold = fold.map_err(|e| format!("Nothing can be shown: a thread cannot be started ({e})."));
        Self { engine, history, heard, paths: settings.paths.clone(), began: Instant::now(), sink, fold }
    }

    /// What hinders it, in words.
    pub(super) fn trouble(&self) -> Option<String> {
        self.fold.as_ref().err().cloned()
    }

    /// Notes in history and log that something is wrong which the engine knows nothing of.
    pub(super) fn note(&self, error: &Error) {
        self.sink.record(&Event::problem(self.heard.now(), Severity::Warning, error));
    }

    /// Lets the session end by itself, so that its last words are kept.
    pub(super) fn end(&self) {
        if !self.engine.is_running() {
            return;
        }
        self.engine.send(Command::Shutdown);
        let until = Instant::now() + GOODBYE;
        // The thread ends once it has taken everything that the engine had to report.
        while self.fold.as_ref().is_ok_and(|fold| !fold.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}
