//! The handle of the history's writer thread. Nothing here blocks, except [`HistoryHandle::close`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError, bounded};

use super::writer::{HistoryWriter, WriterCommand};
use crate::clock::now_ms;
use crate::config::{HistoryPrefs, Paths};
use crate::error::{Error, ErrorKind, Remedy};
use crate::protocol::{Command, Event, Panel};
use crate::supervise;

/// Events that may wait for the thread: minutes of all modes, for the time when the file is being rebuilt.
const EVENTS: usize = 4_096;
/// Commands that may wait: more than a person gives in a second.
const COMMANDS: usize = 32;

/// The longest wait for the last events to be stored.
const CLOSING: Duration = Duration::from_secs(3);

/// The state of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HistoryState {
    /// The user does not want a history.
    #[default]
    Off,
    /// Sessions are being stored.
    On,
    /// Sessions cannot be stored at the moment. Storing is tried again; events wait in memory.
    Failing(Error),
}

/// The status of the history's writer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryStatus {
    /// The state of the history.
    pub state: HistoryState,
    /// The user's choice.
    pub prefs: HistoryPrefs,
    /// The number of the current session, once it has words.
    pub session: Option<i64>,
    /// The file of the current recording. `Readings::recording` tells whether the engine is writing to it.
    pub recording: Option<PathBuf>,
}

/// A notice that the user should see once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryNotice {
    /// The requested time span is deleted from the disk.
    Forgotten,
    /// All sessions are deleted from the disk.
    DeletedAll,
    /// The history is stored again, and nothing is missing.
    Recovered,
    /// Something went wrong.
    Problem(Error),
}

/// The functions that the writer calls.
pub struct HistoryCallbacks {
    /// Sends a recording command to the engine; false if it is not accepted (`EngineHandle::sender`).
    pub send_command: Box<dyn Fn(Command) -> bool + Send>,
    /// Called after every change of [`HistoryHandle::status`] or [`HistoryHandle::take_notices`].
    pub on_change: Box<dyn Fn() + Send>,
}

impl std::fmt::Debug for HistoryCallbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HistoryCallbacks").finish_non_exhaustive()
    }
}

/// The data shared by the thread and its handles.
#[derive(Debug, Default)]
pub(super) struct WriterShared {
    status: Mutex<HistoryStatus>,
    notices: Mutex<Vec<HistoryNotice>>,
    /// Events dropped because too many were waiting.
    pub(super) dropped: AtomicU64,
}

impl WriterShared {
    pub(super) fn status(&self) -> MutexGuard<'_, HistoryStatus> {
        supervise::lock(&self.status)
    }

    pub(super) fn notices(&self) -> MutexGuard<'_, Vec<HistoryNotice>> {
        supervise::lock(&self.notices)
    }

    /// Reports that the thread has been given up.
    pub(super) fn mark_failed(&self) {
        self.report_failure(&given_up());
    }

    /// Publishes a failure as state and as notice.
    fn report_failure(&self, error: &Error) {
        self.status().state = HistoryState::Failing(error.clone());
        self.notices().push(HistoryNotice::Problem(error.clone()));
    }
}

/// Returns the error of a writer that has been given up.
fn given_up() -> Error {
    let why = "storing the history failed again and again, so nothing more is stored; stored sessions are safe";
    Error::new(ErrorKind::History, why).with_remedy(Remedy::RestartHearken)
}

/// Stores sessions on a thread of its own. Dropping the handle stores the events that still wait.
#[derive(Debug)]
pub struct HistoryHandle {
    events: Sender<(i64, Event)>,
    commands: Sender<WriterCommand>,
    shared: Arc<WriterShared>,
    thread: Option<JoinHandle<()>>,
}

/// Returns whether an event is stored: decisions, timings and gate events say nothing about what was heard.
#[must_use]
pub const fn is_stored(event: &Event) -> bool {
    !matches!(event, Event::Decision { .. } | Event::Timing { .. } | Event::Gate { .. })
}

/// The input of the history: a cloneable sender of events.
#[derive(Clone, Debug)]
pub struct EventSink {
    events: Sender<(i64, Event)>,
    shared: Arc<WriterShared>,
}

impl EventSink {
    /// Sends an event with the current time to the writer; never blocks.
    pub fn record(&self, event: &Event) {
        if !is_stored(event) {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.events.try_send((now_ms(), event.clone())) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl HistoryHandle {
    /// Starts the writer. `panels` maps each mode to its panel. Failures are reported by [`HistoryHandle::status`] and
    /// [`HistoryHandle::take_notices`].
    #[must_use]
    pub fn start(paths: &Paths, prefs: HistoryPrefs, panels: BTreeMap<String, Panel>, callbacks: HistoryCallbacks) -> Self {
        let (events, events_rx) = bounded(EVENTS);
        let (commands, commands_rx) = bounded(COMMANDS);
        let shared = Arc::new(WriterShared::default());
        *shared.status() =
            HistoryStatus { prefs, state: if prefs.keep { HistoryState::On } else { HistoryState::Off }, ..HistoryStatus::default() };
        let writer = HistoryWriter::new(paths, prefs, panels, callbacks, Arc::clone(&shared));
        let thread = supervise::spawn("hearken-history", move || writer.run(&events_rx, &commands_rx));
        let thread = thread.map_err(|error| shared.report_failure(&error.while_doing("the history is not stored")));
        Self { events, commands, shared, thread: thread.ok() }
    }

    /// Returns an input for events.
    #[must_use]
    pub fn sink(&self) -> EventSink {
        EventSink { events: self.events.clone(), shared: Arc::clone(&self.shared) }
    }

    /// Returns the current status.
    #[must_use]
    pub fn status(&self) -> HistoryStatus {
        self.shared.status().clone()
    }

    /// Takes the notices since the last call.
    #[must_use]
    pub fn take_notices(&self) -> Vec<HistoryNotice> {
        std::mem::take(&mut *self.shared.notices())
    }

    /// Sets the user's choice. Stored sessions stay, except those older than a smaller number of days.
    pub fn set_prefs(&self, prefs: HistoryPrefs) {
        self.command(WriterCommand::SetPrefs(prefs));
    }

    /// Adds the panels of modes that were defined since the start.
    pub fn set_panels(&self, panels: BTreeMap<String, Panel>) {
        self.command(WriterCommand::SetPanels(panels));
    }

    /// Deletes the newest `span` of every session from the disk, recordings included; a [`HistoryNotice`] follows. The screen is up
    /// to the window (`Transcript::forget_since`), the model's memory to the engine (`Command::Forget`).
    pub fn forget_last(&self, span: Duration) {
        self.command(WriterCommand::ForgetSince(now_ms() - i64::try_from(span.as_millis()).unwrap_or(i64::MAX)));
    }

    /// Deletes every session and every recording from the disk; a [`HistoryNotice`] follows. Listening and storing go on.
    pub fn delete_all(&self) {
        self.command(WriterCommand::DeleteAll);
    }

    /// Stores the waiting events and stops; waits at most [`CLOSING`].
    pub fn close(&self) {
        let until = Instant::now() + CLOSING;
        // A thread that has ended accepts no commands and has nothing left to store.
        let _ = self.commands.send_timeout(WriterCommand::Close, Duration::from_secs(1));
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a command; reports a failure to do so.
    fn command(&self, command: WriterCommand) {
        let error = match self.commands.try_send(command) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => Error::new(ErrorKind::Busy, "the history is busy; try again in a moment"),
            Err(TrySendError::Disconnected(_)) => given_up(),
        };
        self.shared.notices().push(HistoryNotice::Problem(error));
    }
}

impl Drop for HistoryHandle {
    fn drop(&mut self) {
        // A thread that has ended accepts no commands and has nothing left to store.
        let _ = self.commands.send_timeout(WriterCommand::Close, Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
