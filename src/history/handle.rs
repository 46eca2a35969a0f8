//! The handle of the thread that stores sessions. Nothing here blocks, except [`HistoryHandle::close`] and dropping the handle.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError, bounded};

use super::writer::{HeardSource, HistoryWriter, WriterCommand};
use crate::clock::now_ms;
use crate::config::{HistoryPrefs, Paths};
use crate::error::{Error, ErrorKind, Remedy};
use crate::protocol::{Command, Event, Panel};
use crate::supervise;
use crate::time::StreamTime;

/// Number of events that may wait in the channel to the writer thread: minutes of all modes, for the time of a `VACUUM`. Further events
/// are dropped and counted.
const EVENTS: usize = 4_096;
/// Number of commands that may wait in the channel to the writer thread: more than a person gives in a second.
const COMMANDS: usize = 32;
/// Capacity of the channel whose closing tells that a command is carried out; nothing is ever sent on it.
const DONE: usize = 1;

/// The longest wait of [`HistoryHandle::close`] for the last events to be stored, and of [`HistoryHandle::begin_anew`].
const CLOSING: Duration = Duration::from_secs(3);

/// The state of storing: on, off or failing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HistoryState {
    /// The user has switched the history off; nothing is stored.
    #[default]
    Off,
    /// The user wants a history, and storing works.
    On,
    /// Sessions cannot be stored at the moment, for this reason. Storing is tried again; events wait in memory.
    Failing(Error),
}

/// The status of the thread that stores sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryStatus {
    /// State of storing.
    pub state: HistoryState,
    /// The user's preferences that are in force.
    pub prefs: HistoryPrefs,
    /// Number of the session that is being stored; None until it has words or a recording.
    pub session: Option<i64>,
    /// File that the engine was asked to record to, if any. `Readings::recording` tells whether the engine is writing it.
    pub recording: Option<PathBuf>,
}

/// A notice that the user should see once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryNotice {
    /// The time span of [`HistoryHandle::forget_last`] is deleted from the disk.
    Forgotten,
    /// All sessions are deleted from the disk, as [`HistoryHandle::delete_all`] asked.
    DeletedAll,
    /// The running session is deleted from the disk, as [`HistoryHandle::delete_running_session`] asked.
    DeletedRunning,
    /// Sessions are stored again after a failure. If events were lost meanwhile, a [`HistoryNotice::Problem`] follows.
    Recovered,
    /// The history cannot be stored, was damaged, or lacks events.
    Problem(Error),
}

/// The functions that the writer thread calls.
pub struct HistoryCallbacks {
    /// Sends `RecordTo` or `StopRecording` to the engine; returns false if the engine does not accept it (`EngineHandle::sender`).
    pub send_command: Box<dyn Fn(Command) -> bool + Send>,
    /// Called after every change of [`HistoryHandle::status`] and every new notice, so that the window repaints.
    pub on_change: Box<dyn Fn() + Send>,
}

impl std::fmt::Debug for HistoryCallbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HistoryCallbacks").finish_non_exhaustive()
    }
}

/// The status and the notices of the history, shared by the writer thread, its handle and the event sinks.
#[derive(Debug, Default)]
pub(super) struct WriterShared {
    status: Mutex<HistoryStatus>,
    /// Notices that the window has not taken yet, oldest first.
    notices: Mutex<Vec<HistoryNotice>>,
    /// Number of events dropped since the last report, because too many were waiting or the writer panicked.
    pub(super) dropped: AtomicU64,
}

impl WriterShared {
    pub(super) fn status(&self) -> MutexGuard<'_, HistoryStatus> {
        supervise::lock(&self.status)
    }

    pub(super) fn notices(&self) -> MutexGuard<'_, Vec<HistoryNotice>> {
        supervise::lock(&self.notices)
    }

    /// Reports, as state and as notice, that the writer thread has ended after too many panics.
    pub(super) fn mark_failed(&self) {
        self.report_failure(&given_up());
    }

    /// Sets the state of storing to [`HistoryState::Failing`] with `error`, and adds a notice about the error.
    fn report_failure(&self, error: &Error) {
        self.status().state = HistoryState::Failing(error.clone());
        self.notices().push(HistoryNotice::Problem(error.clone()));
    }
}

/// Returns the preferences that apply to the history of a session that hears a file, whose sound is on the disk already.
const fn of_file(prefs: HistoryPrefs) -> HistoryPrefs {
    HistoryPrefs { audio: false, ..prefs }
}

/// Returns the error of a writer thread that has ended after too many panics.
fn given_up() -> Error {
    let why = "storing the history failed again and again, so nothing more is stored; stored sessions are safe";
    Error::new(ErrorKind::History, why).with_remedy(Remedy::RestartHearken)
}

/// The handle of the thread that stores sessions. Dropping the handle stores the events that still wait, however long that takes.
#[derive(Debug)]
pub struct HistoryHandle {
    /// Channel of events with their wall times, in milliseconds since 1970.
    events: Sender<(i64, Event)>,
    commands: Sender<WriterCommand>,
    shared: Arc<WriterShared>,
    thread: Option<JoinHandle<()>>,
}

/// Returns true if the history stores events of this kind: all but decisions, timings and gate events, which hold nothing heard.
#[must_use]
pub const fn is_stored(event: &Event) -> bool {
    !matches!(event, Event::Decision { .. } | Event::Timing { .. } | Event::Gate { .. })
}

/// The cloneable sender of events to the writer thread of the history.
#[derive(Clone, Debug)]
pub struct EventSink {
    /// Channel of events with their wall times, in milliseconds since 1970.
    events: Sender<(i64, Event)>,
    shared: Arc<WriterShared>,
}

impl EventSink {
    /// Sends an event with the current wall time to the writer thread; never blocks. Events that [`is_stored`] refuses are ignored;
    /// an event for which the channel has no room is dropped and counted.
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
    /// Starts the writer thread. `panels` maps the name of each mode to its panel. Failures, also to start, are reported by
    /// [`HistoryHandle::status`] and [`HistoryHandle::take_notices`].
    #[must_use]
    pub fn start(paths: &Paths, prefs: HistoryPrefs, panels: BTreeMap<String, Panel>, callbacks: HistoryCallbacks) -> Self {
        Self::start_writer(paths, prefs, panels, callbacks, HeardSource::Microphone)
    }

    /// Starts a writer thread like [`HistoryHandle::start`] for a session that hears a file, beside the session of the microphone and
    /// its history: the session is stored under `name`, its sound is not recorded, and nothing is logged. Deletions are up to the other
    /// history ([`HistoryHandle::begin_anew`]).
    #[must_use]
    pub fn start_for_file(
        paths: &Paths,
        prefs: HistoryPrefs,
        panels: BTreeMap<String, Panel>,
        name: &str,
        on_change: impl Fn() + Send + 'static,
    ) -> Self {
        // Without a recording no command is given.
        let callbacks = HistoryCallbacks { send_command: Box::new(|_| false), on_change: Box::new(on_change) };
        Self::start_writer(paths, of_file(prefs), panels, callbacks, HeardSource::File { name: name.to_owned() })
    }

    fn start_writer(
        paths: &Paths,
        prefs: HistoryPrefs,
        panels: BTreeMap<String, Panel>,
        callbacks: HistoryCallbacks,
        heard: HeardSource,
    ) -> Self {
        let (events, events_rx) = bounded(EVENTS);
        let (commands, commands_rx) = bounded(COMMANDS);
        let shared = Arc::new(WriterShared::default());
        *shared.status() =
            HistoryStatus { prefs, state: if prefs.keep { HistoryState::On } else { HistoryState::Off }, ..HistoryStatus::default() };
        let writer = HistoryWriter::new(paths, prefs, panels, callbacks, Arc::clone(&shared), heard);
        let thread = supervise::spawn("hearken-history", move || writer.run(&events_rx, &commands_rx));
        let thread = thread.map_err(|error| shared.report_failure(&error.while_doing("the history is not stored")));
        Self { events, commands, shared, thread: thread.ok() }
    }

    /// Returns a sender of events to the writer thread of this history.
    #[must_use]
    pub fn sink(&self) -> EventSink {
        EventSink { events: self.events.clone(), shared: Arc::clone(&self.shared) }
    }

    /// Returns the status as the writer thread published it last.
    #[must_use]
    pub fn status(&self) -> HistoryStatus {
        self.shared.status().clone()
    }

    /// Returns the notices since the last call, oldest first.
    #[must_use]
    pub fn take_notices(&self) -> Vec<HistoryNotice> {
        std::mem::take(&mut *self.shared.notices())
    }

    /// Applies the user's preferences; does not save them. Switching off ends the stored session and any recording; stored sessions
    /// stay, except the parts older than `days`.
    pub fn set_prefs(&self, prefs: HistoryPrefs) {
        self.command(WriterCommand::SetPrefs(prefs));
    }

    /// Applies the user's preferences to the history of a session that hears a file, as [`HistoryHandle::set_prefs`] does.
    pub fn set_prefs_for_file(&self, prefs: HistoryPrefs) {
        self.set_prefs(of_file(prefs));
    }

    /// Adds or replaces the panel of each mode in `panels`, by the mode's name; the panels of other modes stay.
    pub fn set_panels(&self, panels: BTreeMap<String, Panel>) {
        self.command(WriterCommand::SetPanels(panels));
    }

    /// Deletes from the disk what was heard in the last `span`, and silences it in recordings; a [`HistoryNotice`] follows. The
    /// screen is up to the window (`Transcript::forget_since`), the model's context to the engine (`Command::Forget`).
    pub fn forget_last(&self, span: Duration) {
        self.command(WriterCommand::ForgetSince(now_ms() - i64::try_from(span.as_millis()).unwrap_or(i64::MAX)));
    }

    /// Deletes from the disk everything that the running session has stored up to the audio time `until`, with its recordings; a
    /// [`HistoryNotice`] follows. Later events stay and begin a session of their own; listening and storing go on. Screen and
    /// context are deleted as for [`HistoryHandle::forget_last`].
    pub fn delete_running_session(&self, until: StreamTime) {
        self.command(WriterCommand::DeleteRunning(until));
    }

    /// Drops what waits to be stored, and lets later events begin a session of their own. Returns once that is done, after
    /// [`CLOSING`] at the latest: a deletion by another history that follows leaves nothing behind.
    pub fn begin_anew(&self) {
        let (dropped, done) = bounded::<()>(DONE);
        self.command(WriterCommand::BeginAnew(dropped));
        // Nothing is sent: the channel closes when it is done, or when the thread has ended.
        let _ = done.recv_timeout(CLOSING);
    }

    /// Deletes every session and every recording from the disk; a [`HistoryNotice`] follows. Listening and storing go on.
    pub fn delete_all(&self) {
        self.command(WriterCommand::DeleteAll);
    }

    /// Ends the writer thread once the waiting events are stored, and waits for the end, at most [`CLOSING`].
    pub fn close(&self) {
        let until = Instant::now() + CLOSING;
        // A thread that has ended accepts no commands and has nothing left to store.
        let _ = self.commands.send_timeout(WriterCommand::Close, Duration::from_secs(1));
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a command to the writer thread; a full or closed channel becomes a notice.
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
