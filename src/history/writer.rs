//! The thread that stores sessions: it gathers events for half a second and stores them in one transaction, with the lines that
//! they changed. Events that cannot be stored wait in memory and are tried again.

mod deletion;
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::handle::{HistoryCallbacks, HistoryNotice, HistoryState, WriterShared};
use super::lines::{StableCounts, has_words, lines_of};
use super::log::ActivityLog;
use super::store::{EventBatch, Store};
use super::store_error::StoreError;
use crate::clock::now_ms;
use crate::config::{HistoryPrefs, Paths};
use crate::error::{Error, ErrorKind};
use crate::protocol::{Event, Panel};
use crate::supervise::{Restart, RestartPolicy};
use crate::time::StreamTime;
use crate::transcript::Transcript;
use deletion::PendingDeletions;

/// The longest time that an event waits for others before it is stored; a crash costs no more.
const BATCH_DELAY: Duration = Duration::from_millis(500);
/// First and longest wait before a failed attempt to store is repeated; from the first to the longest the wait doubles each time.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// Largest number of events that wait in memory while storing fails: some hours of talk, ten megabytes. Beyond this number the oldest
/// quarter is dropped and counted.
const MAX_WAITING: usize = 20_000;
/// The longest wait for an event or command when nothing is due.
const IDLE: Duration = Duration::from_secs(600);
/// The longest wait for a database lock when the program ends.
const CLOSE_BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// The source of the sessions that a writer thread stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeardSource {
    /// The microphone, whose sessions have no name, and are logged.
    Microphone,
    /// An audio file, whose sessions have its name, and are not logged.
    File { name: String },
}

/// A command of the handle to the writer thread.
#[derive(Debug)]
pub(super) enum WriterCommand {
    /// Apply the user's preferences.
    SetPrefs(HistoryPrefs),
    /// Add or replace the panels of these modes.
    SetPanels(BTreeMap<String, Panel>),
    /// Delete everything since this time, in milliseconds since 1970.
    ForgetSince(i64),
    /// Delete the running session up to this audio time.
    DeleteRunning(StreamTime),
    /// Delete every session and recording.
    DeleteAll,
    /// Drop the waiting events and begin a new session with the next one; then drop the sender.
    BeginAnew(Sender<()>),
    /// Store the waiting events and end.
    Close,
}

/// The session that is being stored.
#[derive(Clone, Copy, Debug)]
struct CurrentSession {
    /// Number of the session in the database.
    id: i64,
    /// Number that the next event of the session gets.
    next: usize,
    /// Numbers of lines of the transcript that are stored and cannot change any more.
    stable: StableCounts,
}

/// The state of the writer thread.
#[derive(Debug)]
pub(super) struct HistoryWriter {
    /// Path of the database.
    path: PathBuf,
    /// Folder of the recordings.
    recordings: PathBuf,
    /// Name of each session that is stored; empty for a session of the microphone.
    name: String,
    prefs: HistoryPrefs,
    /// Panel of each mode, by the mode's name.
    panels: BTreeMap<String, Panel>,
    callbacks: HistoryCallbacks,
    shared: Arc<WriterShared>,
    log: ActivityLog,
    /// Open database; None until it is needed, and after most failures.
    store: Option<Store>,
    /// Event `session_started` of a session that would begin now, with the present model, input and modes; None before the
    /// engine has sent one.
    header: Option<Event>,
    /// Session that events are added to; None until there is something to store.
    current: Option<CurrentSession>,
    /// Sessions in the database with events of the engine's running session: one for each time that the history was switched on.
    running: BTreeSet<i64>,
    /// Transcript of the current session, waiting events included.
    transcript: Transcript,
    /// Events that are not stored yet, with their wall times in milliseconds since 1970.
    waiting: Vec<(i64, Event)>,
    /// File of the recording in progress; None without a recording.
    recording: Option<PathBuf>,
    /// Number of recordings begun so far.
    recorded: u64,
    /// Deletions that wait for a recording to be completed, or failed and are tried again. Nothing is stored until they succeed.
    pending: PendingDeletions,
    /// Failure that was reported last; None once storing works again.
    reported: Option<Error>,
    /// Time of the next attempt to store; None if nothing waits.
    store_at: Option<Instant>,
    /// Wait after the next failure before storing is tried again.
    retry: Duration,
    /// Time of the next deletion of expired sessions.
    expire_at: Instant,
}

impl HistoryWriter {
    pub(super) fn new(
        paths: &Paths,
        prefs: HistoryPrefs,
        panels: BTreeMap<String, Panel>,
        callbacks: HistoryCallbacks,
        shared: Arc<WriterShared>,
        heard: HeardSource,
    ) -> Self {
        let (name, log) = match heard {
            HeardSource::Microphone => (String::new(), ActivityLog::new(paths.log_file())),
            HeardSource::File { name } => (name, ActivityLog::off()),
        };
        Self {
            path: paths.history_file(),
            recordings: paths.recordings(),
            name,
            prefs,
            transcript: Transcript::new(panels.clone()),
            panels,
            callbacks,
            shared,
            log,
            store: None,
            header: None,
            current: None,
            running: BTreeSet::new(),
            waiting: Vec::new(),
            recording: None,
            recorded: 0,
            pending: PendingDeletions::default(),
            reported: None,
            store_at: None,
            retry: RETRY[0],
            expire_at: Instant::now(),
        }
    }

    /// Runs the writer thread until the handle closes the thread or is dropped, and then stores the waiting events. Gives up after too
    /// many panics.
    pub(super) fn run(mut self, events: &Receiver<(i64, Event)>, commands: &Receiver<WriterCommand>) {
        self.log.write(concat!("hearken ", env!("CARGO_PKG_VERSION"), " started"));
        self.mend_recordings();
        let mut policy = RestartPolicy::default();
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.step(events, commands))) {
                Ok(LoopStep::Continue) => {}
                Ok(LoopStep::Exit) => break,
                Err(_) => {
                    let action = policy.after_panic(Instant::now());
                    let restarted = catch_unwind(AssertUnwindSafe(|| self.restart(action)));
                    if !restarted.unwrap_or(false) {
                        return self.shared.mark_failed();
                    }
                }
            }
        }
        if let Some(store) = &self.store {
            // A window that closes should not wait long.
            let _ = store.db.busy_timeout(CLOSE_BUSY_TIMEOUT);
        }
        self.flush();
        self.log.write("ended");
    }

    /// Continues in a new session after a panic of the writer thread; returns false if the thread must end.
    fn restart(&mut self, action: Restart) -> bool {
        self.log.write("the thread of the history failed");
        self.store = None;
        if action == Restart::Quietly {
            // A waiting event may have caused the panic.
            self.shared.dropped.fetch_add(self.waiting.len() as u64, Ordering::Relaxed);
            self.waiting.clear();
        }
        self.start_new_session();
        if action == Restart::AndReport {
            self.notify(HistoryNotice::Problem(Error::new(
                ErrorKind::History,
                "storing the history failed and was restarted; stored sessions are safe",
            )));
        }
        action != Restart::GiveUp
    }

    /// Waits for the next event, command or due time, and handles it. Returns `Exit` if the handle has closed the thread.
    fn step(&mut self, events: &Receiver<(i64, Event)>, commands: &Receiver<WriterCommand>) -> LoopStep {
        let now = Instant::now();
        let due = self.store_at.map_or(self.expire_at, |at| at.min(self.expire_at)).saturating_duration_since(now).min(IDLE);
        select! {
            recv(events) -> event => match event {
                Ok((wall, event)) => self.receive(wall, event),
                Err(_) => return LoopStep::Exit,
            },
            recv(commands) -> command => {
                // The command applies to all events sent before.
                events.try_iter().for_each(|(wall, event)| self.receive(wall, event));
                match command {
                    Ok(WriterCommand::Close) | Err(_) => return LoopStep::Exit,
                    Ok(command) => self.execute(command),
                }
            },
            default(due) => {}
        }
        if self.expire_at <= Instant::now() {
            self.expire();
        }
        if self.store_at.is_some_and(|at| at <= Instant::now()) {
            self.flush();
        }
        LoopStep::Continue
    }

    /// Logs an event and, if the user wants a history, queues the event for the next transaction. `session_started` begins a new
    /// session. `wall` is the event's wall time, in milliseconds since 1970.
    fn receive(&mut self, wall: i64, event: Event) {
        self.log.event(&event);
        if let Event::SessionStarted { .. } = &event {
            self.end_session();
            self.header = Some(event.clone());
        }
        if let Some(Event::SessionStarted { modes, model, source, .. }) = &mut self.header {
            match &event {
                Event::ModesChanged { modes: now, .. } => modes.clone_from(now),
                Event::ModelChanged { model: now, .. } => model.clone_from(now),
                Event::InputChanged { device, .. } => source.clone_from(device),
                _ => {}
            }
        }
        if !self.prefs.keep {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.drain(..MAX_WAITING / 4);
            self.shared.dropped.fetch_add(MAX_WAITING as u64 / 4, Ordering::Relaxed);
        }
        self.transcript.apply(&event);
        self.waiting.push((wall, event));
        self.store_at.get_or_insert_with(|| Instant::now() + BATCH_DELAY);
    }

    /// Stores the waiting events of the previous session, drops those that cannot be stored, and begins a new session with the next
    /// event.
    fn end_session(&mut self) {
        self.flush();
        self.waiting.clear();
        self.running.clear();
        self.start_new_session();
    }

    /// Ends the present session and its recording; a new session begins with the waiting events.
    fn start_new_session(&mut self) {
        self.current = None;
        self.stop_recording();
        self.transcript = Transcript::new(self.panels.clone());
        self.waiting.iter().for_each(|(_, event)| self.transcript.apply(event));
        self.publish_status();
    }

    fn execute(&mut self, command: WriterCommand) {
        match command {
            WriterCommand::SetPrefs(prefs) => self.set_prefs(prefs),
            WriterCommand::SetPanels(panels) => {
                self.panels.extend(panels.clone());
                self.transcript.set_panels(panels);
                if let (Some(store), Some(current)) = (&self.store, self.current)
                    && let Err(error) = store.set_panels(current.id, &self.panels)
                {
                    self.store_failed(&error);
                }
            }
            WriterCommand::ForgetSince(since) => self.forget_since(since),
            WriterCommand::DeleteRunning(until) => self.delete_running(until),
            WriterCommand::DeleteAll => self.forget_since(deletion::EVERYTHING),
            WriterCommand::BeginAnew(done) => {
                self.waiting.clear();
                self.start_new_session();
                drop(done);
            }
            WriterCommand::Close => {}
        }
    }

    /// Applies the user's preferences to storing, recording and expiry. Switching the history off ends the stored session and any
    /// recording.
    fn set_prefs(&mut self, prefs: HistoryPrefs) {
        let before = std::mem::replace(&mut self.prefs, prefs);
        if before.keep && !prefs.keep {
            self.prefs.keep = true;
            self.flush();
            self.prefs.keep = false;
            self.waiting.clear();
            self.start_new_session();
        }
        if !prefs.audio {
            self.stop_recording();
        } else if !before.audio || !before.keep {
            self.store_at = Some(Instant::now());
        }
        if before.days != prefs.days {
            self.expire_at = Instant::now();
        }
        self.publish_status();
    }

    /// Returns the open database, and opens it first if needed; None if the database file does not exist.
    fn opened(&mut self) -> Result<Option<&mut Store>, StoreError> {
        if self.store.is_none() && self.path.exists() {
            self.open()?;
        }
        Ok(self.store.as_mut())
    }

    /// Opens the database, creating it if needed. A damaged database file is renamed and the user notified.
    fn open(&mut self) -> Result<(), StoreError> {
        let (store, note) = Store::open_or_set_aside(&self.path)?;
        self.store = Some(store);
        if let Some(note) = note {
            self.log.write("the history was damaged and has been renamed");
            self.notify(HistoryNotice::Problem(note));
        }
        Ok(())
    }

    /// Applies a pending deletion; then stores the waiting events and starts a wanted recording, unless the deletion failed, the
    /// user wants no history, or there are neither words nor a wish for recordings yet.
    fn flush(&mut self) {
        self.store_at = None;
        self.apply_pending();
        let has_content = self.current.is_some() || has_words(&self.transcript) || self.prefs.audio && self.header.is_some();
        if !self.prefs.keep || !has_content || self.pending.are_any() {
            return;
        }
        match self.store_now().and_then(|()| self.start_recording()) {
            Ok(()) => self.recovered(),
            Err(error) => self.store_failed(&error),
        }
    }

    /// Stores the waiting events in one transaction; in a new session if the current session was deleted meanwhile.
    fn store_now(&mut self) -> Result<(), StoreError> {
        if self.waiting.is_empty() && self.current.is_some() {
            return Ok(());
        }
        if self.current.is_none() {
            self.insert_header();
        }
        drop_finished_pieces(&mut self.waiting);
        if self.store.is_none() {
            self.open()?;
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        let (first, stable) = self.current.map_or((0, StableCounts::default()), |current| (current.next, current.stable));
        let lines = lines_of(&self.transcript, |kind| stable.count(kind));
        let batch = EventBatch {
            session: self.current.map(|current| current.id),
            name: &self.name,
            panels: &self.panels,
            first,
            events: &self.waiting,
            lines: &lines,
            heard: self.transcript.now,
        };
        match store.add(&batch)? {
            Some(id) => {
                self.running.insert(id);
                self.current = Some(CurrentSession { id, next: first + self.waiting.len(), stable: StableCounts::of(&self.transcript) });
                self.waiting.clear();
            }
            // The session was deleted, by this window or another program.
            None => {
                self.start_new_session();
                if has_words(&self.transcript) {
                    return self.store_now();
                }
            }
        }
        Ok(())
    }

    /// Inserts the event `session_started` before the waiting events unless it is there already, for a session that begins while
    /// listening.
    fn insert_header(&mut self) {
        if matches!(self.waiting.first(), Some((_, Event::SessionStarted { .. }))) {
            return;
        }
        let first = self.waiting.first().map_or_else(|| (now_ms(), self.transcript.now), |(wall, event)| (*wall, event.at()));
        if let Some(Event::SessionStarted { protocol, model, source, modes, started_utc, .. }) = self.header.clone() {
            self.waiting.insert(0, (first.0, Event::SessionStarted { at: first.1, protocol, model, source, modes, started_utc }));
        }
    }

    /// Resets the wait between attempts after a success. Reports that an earlier failure is over, and the number of events lost
    /// meanwhile.
    fn recovered(&mut self) {
        self.retry = RETRY[0];
        if self.reported.take().is_some() {
            self.log.write("the history is stored again");
            self.notify(HistoryNotice::Recovered);
        }
        let dropped = self.shared.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let why = format!("{dropped} events are missing in the history, because it could not be written for too long");
            self.notify(HistoryNotice::Problem(Error::new(ErrorKind::History, why)));
        }
        self.publish_status();
    }

    /// Reports the failure to store. Closes the database, unless the database is only locked or the disk is full. After damage a new
    /// session begins.
    fn store_failed(&mut self, error: &StoreError) {
        if !matches!(error, StoreError::Locked | StoreError::Full) {
            self.store = None;
        }
        // The stored part is in the damaged file, which is renamed next.
        if matches!(error, StoreError::Damaged(_)) {
            self.start_new_session();
        }
        self.report_failure(&error.about(&self.path));
    }

    /// Schedules the next attempt to store, and notifies the user unless the same failure was reported last.
    fn report_failure(&mut self, error: &Error) {
        self.store_at = Some(Instant::now() + self.retry);
        self.retry = (self.retry * 2).min(RETRY[1]);
        if self.reported.as_ref() != Some(error) {
            self.reported = Some(error.clone());
            self.log.write("the history cannot be written");
            self.notify(HistoryNotice::Problem(error.clone()));
        }
        self.publish_status();
    }

    /// Queues a notice for the user and calls `on_change`.
    fn notify(&self, notice: HistoryNotice) {
        self.shared.notices().push(notice);
        (self.callbacks.on_change)();
    }

    /// Publishes the status to the handle, and calls `on_change` if it differs from the last.
    fn publish_status(&self) {
        let mut status = self.shared.status();
        let before = status.clone();
        status.prefs = self.prefs;
        status.state = match &self.reported {
            _ if !self.prefs.keep => HistoryState::Off,
            Some(error) => HistoryState::Failing(error.clone()),
            None => HistoryState::On,
        };
        status.session = self.current.map(|current| current.id);
        status.recording.clone_from(&self.recording);
        let changed = *status != before;
        drop(status);
        if changed {
            (self.callbacks.on_change)();
        }
    }
}

/// The way in which the loop of the writer thread goes on after a step.
enum LoopStep {
    /// Wait for the next event or command.
    Continue,
    /// End the thread.
    Exit,
}

/// Removes from `events` each `reply_text` event of a reply whose `reply_finished` event, which holds the whole text, is there too.
fn drop_finished_pieces(events: &mut Vec<(i64, Event)>) {
    let whole = |event: &Event| if let Event::ReplyFinished { reply, .. } = event { Some(*reply) } else { None };
    let whole: BTreeSet<_> = events.iter().filter_map(|(_, event)| whole(event)).collect();
    events.retain(|(_, event)| !matches!(event, Event::ReplyText { reply, .. } if whole.contains(reply)));
}
