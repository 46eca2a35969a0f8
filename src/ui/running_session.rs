//! The running session: engine, event thread, transcript and history. It outlives the window, so losing the display loses no data.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::event_thread::{self, SessionData};
use crate::config::{HistoryPrefs, Paths, Settings};
use crate::engine::EngineHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::history::{EventSink, HistoryCallbacks, HistoryHandle};
use crate::protocol::{Command, Event, Severity};
use crate::transcript::Transcript;

/// Longest time to wait for the engine's last events when a session ends.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);
/// Interval at which the event thread is checked for its end.
const SHUTDOWN_POLL: Duration = Duration::from_millis(5);

/// A session that runs until dropped, with its engine, history and the data for the window. Dropping it waits for its last events.
#[derive(Debug)]
pub(super) struct RunningSession {
    pub(super) engine: EngineHandle,
    pub(super) history: HistoryHandle,
    pub(super) data: Arc<SessionData>,
    pub(super) paths: Paths,
    pub(super) began: Instant,
    sink: EventSink,
    /// The event thread, or the reason why it did not start.
    events: Result<JoinHandle<()>>,
}

impl RunningSession {
    /// Takes over `engine`, which was started with `settings`, starts the event thread, and keeps the history as `keep` says.
    pub(super) fn start(engine: EngineHandle, settings: &Settings, keep: HistoryPrefs) -> Self {
        let panels = event_thread::panels_of(&settings.modes);
        let data = SessionData::new(Transcript::new(panels.clone()));
        let changed = Arc::clone(&data);
        let callbacks = HistoryCallbacks { send_command: Box::new(engine.sender()), on_change: Box::new(move || changed.repaint()) };
        let history = HistoryHandle::start(&settings.paths, keep, panels, callbacks);
        let sink = history.sink();
        let events = event_thread::start(&engine, &data, sink.clone());
        Self { engine, history, data, paths: settings.paths.clone(), began: Instant::now(), sink, events }
    }

    /// Returns the reason why the event thread did not start, so that the window shows nothing; `None` if it did.
    pub(super) fn start_error(&self) -> Option<&Error> {
        self.events.as_ref().err()
    }

    /// Records a problem that the engine does not know of as a warning in the history and the log; the window does not show it.
    pub(super) fn note(&self, kind: ErrorKind, message: &str) {
        let at = self.data.now();
        self.sink.record(&Event::Problem { at, severity: Severity::Warning, kind, message: message.to_owned(), remedy: None });
    }

    /// Shuts the engine down and waits until its last events are taken, at most [`SHUTDOWN_LIMIT`]. Does nothing if the engine has
    /// ended.
    pub(super) fn end(&self) {
        if !self.engine.is_running() {
            return;
        }
        self.engine.send(Command::Shutdown);
        let until = Instant::now() + SHUTDOWN_LIMIT;
        while self.events.as_ref().is_ok_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(SHUTDOWN_POLL);
        }
    }
}

impl Drop for RunningSession {
    fn drop(&mut self) {
        self.end();
    }
}
