//! The running session: engine, event thread, transcript and history. It outlives the window, so losing the display loses no data.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::event_thread::{self, SessionData};
use super::file_queue::FileQueue;
use super::undo::PendingDeletion;
use crate::config::{HistoryPrefs, Paths, Settings};
use crate::engine::EngineHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::history::{EventSink, HistoryCallbacks, HistoryHandle};
use crate::protocol::{Command, Event, Severity};
use crate::transcript::Transcript;

/// Longest time to wait for the engine's last events when a session ends.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);
/// Interval at which the end of a session checks whether the event thread has ended.
const SHUTDOWN_POLL: Duration = Duration::from_millis(5);

/// A session that runs until dropped, with the engine, the history and the data for the window. Dropping the session shuts the
/// engine down and waits for the engine's last events.
#[derive(Debug)]
pub(super) struct RunningSession {
    pub(super) engine: EngineHandle,
    pub(super) history: HistoryHandle,
    pub(super) data: Arc<SessionData>,
    pub(super) paths: Paths,
    /// Audio files that are heard beside the session.
    pub(super) files: FileQueue,
    /// Time at which the session began in this process.
    pub(super) began: Instant,
    /// Sender of events to the history.
    sink: EventSink,
    /// Event thread, or the reason why it did not start.
    events: Result<JoinHandle<()>>,
    /// Deletion of the conversation that can still be undone; `None` without one.
    pub(super) deletion: Mutex<Option<PendingDeletion>>,
}

impl RunningSession {
    /// Returns the session of `engine`, which was started with `settings`. Starts the event thread, and the history with the
    /// preferences `keep`.
    pub(super) fn start(engine: EngineHandle, settings: &Settings, keep: HistoryPrefs) -> Self {
        let panels = event_thread::panels_of(&settings.modes);
        let data = SessionData::new(Transcript::new(panels.clone()));
        let changed = Arc::clone(&data);
        let callbacks = HistoryCallbacks { send_command: Box::new(engine.sender()), on_change: Box::new(move || changed.repaint()) };
        let history = HistoryHandle::start(&settings.paths, keep, panels, callbacks);
        let sink = history.sink();
        let events = event_thread::start(&engine, &data, sink.clone());
        let files = FileQueue::new(engine.starter_beside(), Arc::clone(&data), keep);
        let (paths, began) = (settings.paths.clone(), Instant::now());
        Self { engine, history, data, paths, files, began, sink, events, deletion: Mutex::default() }
    }

    /// Returns the reason why the event thread did not start, in which case the window shows no events; `None` if it started.
    pub(super) fn start_error(&self) -> Option<&Error> {
        self.events.as_ref().err()
    }

    /// Records a problem outside the engine as a warning in the history and the log. The window does not show the warning.
    pub(super) fn note(&self, kind: ErrorKind, message: &str) {
        let at = self.data.now();
        self.sink.record(&Event::Problem { at, severity: Severity::Warning, kind, message: message.to_owned(), remedy: None });
    }

    /// Carries out a pending deletion, ends the file that is being heard, shuts the engine down and waits, at most [`SHUTDOWN_LIMIT`],
    /// until the event thread has taken the engine's last events.
    pub(super) fn end(&self) {
        self.carry_out_deletion();
        self.files.end();
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
