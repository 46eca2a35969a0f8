//! The handle of the thread that keeps what is heard: events in, orders in, how it stands out. Nothing here waits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError, bounded};

use super::keeper::{Keeper, Order};
use crate::clock::now_ms;
use crate::config::{HistoryPrefs, Paths};
use crate::protocol::{Command, Event, Panel};

/// Events that may wait for the thread: minutes of every mode at once, for while the file is being rebuilt.
const EVENTS: usize = 4_096;
/// Orders that may wait: more than a person gives in a second.
const ORDERS: usize = 32;

/// How long storing what still waits may take at the end.
const CLOSING: Duration = Duration::from_secs(3);

/// What is said when the thread has failed for good.
const GONE: &str =
    "Keeping the history failed again and again: nothing more is kept until Hearken is started again; what was stored is kept.";

/// Whether sessions are being kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HistoryState {
    /// The user does not want it.
    #[default]
    Off,
    /// They are.
    On,
    /// They should be and are not; in a sentence, why and what to do. It is tried again, and what is heard meanwhile waits.
    Failing(String),
}

/// How keeping stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryStatus {
    /// Whether sessions are being kept.
    pub state: HistoryState,
    /// What the user wants.
    pub prefs: HistoryPrefs,
    /// The number of the session that is running, once it has words.
    pub session: Option<i64>,
    /// The file that sound is recorded to. `Readings::recording` says whether the engine is indeed recording.
    pub recording: Option<PathBuf>,
}

/// What the user should be told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryNotice {
    /// What was asked for is forgotten, also on the disk.
    Forgotten,
    /// Everything is deleted, also on the disk.
    DeletedAll,
    /// After trouble, keeping goes on and nothing is missing.
    Recovered,
    /// Something is wrong: a sentence with what to do.
    Problem(String),
}

/// What the recorder reaches out to.
pub struct HistoryCallbacks {
    /// Sends a command to the engine, for recording sound; false when it takes none now (`EngineHandle::sender`).
    pub send_command: Box<dyn Fn(Command) -> bool + Send>,
    /// Called whenever [`HistoryHandle::status`] or [`HistoryHandle::take_notices`] has changed.
    pub on_change: Box<dyn Fn() + Send>,
}

impl std::fmt::Debug for HistoryCallbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HistoryCallbacks").finish_non_exhaustive()
    }
}

/// What the thread and its handles share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    standing: Mutex<HistoryStatus>,
    news: Mutex<Vec<HistoryNotice>>,
    /// Events that found no room to wait in.
    pub(super) missed: AtomicU64,
}

impl Shared {
    pub(super) fn standing(&self) -> MutexGuard<'_, HistoryStatus> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn news(&self) -> MutexGuard<'_, Vec<HistoryNotice>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread has failed for good.
    pub(super) fn lie_down(&self) {
        self.standing().state = HistoryState::Failing(GONE.into());
        self.news().push(HistoryNotice::Problem(GONE.into()));
    }
}

/// Keeps what is heard, on a thread of its own. Dropping it stores what still waits.
#[derive(Debug)]
pub struct HistoryHandle {
    heard: Sender<(i64, Event)>,
    orders: Sender<Order>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Whether an event is kept: decisions, five every two seconds, say nothing of what was heard.
#[must_use]
pub const fn is_stored(event: &Event) -> bool {
    !matches!(event, Event::Decision { .. } | Event::Timing { .. } | Event::Gate { .. })
}

/// Where events go in.
#[derive(Clone, Debug)]
pub struct EventSink {
    heard: Sender<(i64, Event)>,
    shared: Arc<Shared>,
}

impl EventSink {
    /// Takes note of what was reported just now; it never waits.
    pub fn record(&self, event: &Event) {
        if !is_stored(event) {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.heard.try_send((now_ms(), event.clone())) {
            self.shared.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl HistoryHandle {
    /// Starts keeping as `prefs` says; `shown` says where the responses of each mode are shown. What goes wrong is said by
    /// [`HistoryHandle::status`] and [`HistoryHandle::take_notices`].
    #[must_use]
    pub fn start(paths: &Paths, prefs: HistoryPrefs, shown: BTreeMap<String, Panel>, outlets: HistoryCallbacks) -> Self {
        let (heard, heard_rx) = bounded(EVENTS);
        let (orders, orders_rx) = bounded(ORDERS);
        let shared = Arc::new(Shared::default());
        *shared.standing() =
            HistoryStatus { prefs, state: if prefs.keep { HistoryState::On } else { HistoryState::Off }, ..HistoryStatus::default() };
        let keeper = Keeper::new(paths, prefs, shown, outlets, Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("hearken-history".into()).spawn(move || keeper.run(&heard_rx, &orders_rx));
        let thread = thread.map_err(|e| {
            let why = format!("Nothing is kept: a thread cannot be started ({e}). Close other programs and start Hearken again.");
            shared.standing().state = HistoryState::Failing(why.clone());
            shared.news().push(HistoryNotice::Problem(why));
        });
        Self { heard, orders, shared, thread: thread.ok() }
    }

    /// Where events go in.
    #[must_use]
    pub fn sink(&self) -> EventSink {
        EventSink { heard: self.heard.clone(), shared: Arc::clone(&self.shared) }
    }

    /// How keeping stands at this moment.
    #[must_use]
    pub fn status(&self) -> HistoryStatus {
        self.shared.standing().clone()
    }

    /// What the user should be told and was not yet.
    #[must_use]
    pub fn take_notices(&self) -> Vec<HistoryNotice> {
        std::mem::take(&mut *self.shared.news())
    }

    /// Keeps as `prefs` says from now on. What was kept stays; days that are fewer delete at once what is older.
    pub fn set_prefs(&self, prefs: HistoryPrefs) {
        self.order(Order::Choose(prefs));
    }

    /// Learns where the responses of modes are shown that were defined since.
    pub fn set_panels(&self, shown: BTreeMap<String, Panel>) {
        self.order(Order::Define(shown));
    }

    /// Deletes the newest `span` of every session from the disk, recordings included; [`HistoryNotice`] says when it is done. What is
    /// on screen is the window's own (`Transcript::forget_since`), and what the model remembers is the engine's
    /// (`Command::Forget`).
    pub fn forget_last(&self, span: Duration) {
        self.order(Order::Forget(now_ms() - i64::try_from(span.as_millis()).unwrap_or(i64::MAX)));
    }

    /// Deletes every session and every recording from the disk; [`HistoryNotice`] says when it is done. Listening and keeping go on.
    pub fn delete_all(&self) {
        self.order(Order::DeleteAll);
    }

    /// Stores what still waits and keeps nothing more; waits for that, but no longer than the disk may take.
    pub fn close(&self) {
        let until = Instant::now() + CLOSING;
        // A thread that is gone takes no orders and has nothing left to store.
        let _ = self.orders.send_timeout(Order::Close, Duration::from_secs(1));
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn order(&self, order: Order) {
        let why = match self.orders.try_send(order) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => "The history is busy; try again in a moment.",
            Err(TrySendError::Disconnected(_)) => GONE,
        };
        self.shared.news().push(HistoryNotice::Problem(why.into()));
    }
}

impl Drop for HistoryHandle {
    fn drop(&mut self) {
        // A thread that is gone takes no orders and has nothing left to store.
        let _ = self.orders.send_timeout(Order::Close, Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
