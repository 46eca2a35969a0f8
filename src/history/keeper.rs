//! The thread that keeps what is heard: gathers events for half a second and stores them in one step, with the lines that
//! changed by them. What cannot be stored waits in memory and is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};

use super::lines::{Settled, has_words, lines_of};
use super::log::Log;
use super::recorder::{HistoryCallbacks, HistoryNotice, HistoryState, Shared};
use super::recordings;
use super::store::{Batch, Store};
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::config::{HistoryPrefs, Paths};
use crate::error::Error;
use crate::files::make_private_folder;
use crate::protocol::{Command, Event, Panel};
use crate::supervise::{Restart, RestartPolicy};
use crate::transcript::Transcript;

/// How long an event waits for others before they are stored: a crash costs no more.
const GATHER: Duration = Duration::from_millis(500);
/// First and longest time until storing is tried again.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// Events that wait while they cannot be stored: some hours of talk, ten megabytes. Beyond that the oldest are lost, and said.
const WAITING: usize = 20_000;
/// How often what is too old is looked for.
const EXPIRY: Duration = Duration::from_secs(3_600);
/// How long the thread sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(600);
/// How long the engine takes to complete a recording: it does so between two passes.
const COMPLETION: Duration = Duration::from_secs(1);
/// How long another program may hold up the end of this one.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Choose(HistoryPrefs),
    Define(BTreeMap<String, Panel>),
    /// Everything since then, in milliseconds since 1970.
    Forget(i64),
    DeleteAll,
    Close,
}

/// The session that is being stored.
#[derive(Clone, Copy, Debug)]
struct Running {
    id: i64,
    /// Number of its next event.
    next: usize,
    settled: Settled,
}

#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    recordings: PathBuf,
    prefs: HistoryPrefs,
    shown: BTreeMap<String, Panel>,
    outlets: HistoryCallbacks,
    shared: Arc<Shared>,
    log: Log,
    store: Option<Store>,
    /// What a session that begins now begins with.
    header: Option<Event>,
    running: Option<Running>,
    /// The running session, what is waiting included.
    transcript: Transcript,
    waiting: Vec<(i64, Event)>,
    recording: Option<PathBuf>,
    recorded: u64,
    /// A deletion that could not be done yet: everything since then.
    owed: Option<i64>,
    /// What hinders at this moment: it was said.
    said: Option<Error>,
    store_at: Option<Instant>,
    retry: Duration,
    expire_at: Instant,
}

impl Keeper {
    pub(super) fn new(
        paths: &Paths,
        prefs: HistoryPrefs,
        shown: BTreeMap<String, Panel>,
        outlets: HistoryCallbacks,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            path: paths.history_file(),
            recordings: paths.recordings(),
            prefs,
            transcript: Transcript::new(shown.clone()),
            shown,
            outlets,
            shared,
            log: Log::new(paths.log_file()),
            store: None,
            header: None,
            running: None,
            waiting: Vec::new(),
            recording: None,
            recorded: 0,
            owed: None,
            said: None,
            store_at: None,
            retry: RETRY[0],
            expire_at: Instant::now(),
        }
    }

    pub(super) fn run(mut self, heard: &Receiver<(i64, Event)>, orders: &Receiver<Order>) {
        self.log.write(concat!("hearken ", env!("CARGO_PKG_VERSION"), " started"));
        let mut falls = RestartPolicy::default();
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn(heard, orders))) {
                Ok(Turn::Again) => {}
                Ok(Turn::Over) => break,
                Err(_) => {
                    let fall = falls.after_panic(Instant::now());
                    let up = catch_unwind(AssertUnwindSafe(|| self.get_up(fall)));
                    if !up.unwrap_or(false) {
                        return self.shared.lie_down();
                    }
                }
            }
        }
        if let Some(store) = &self.store {
            // Nobody wants to wait for a window that closes.
            let _ = store.db.busy_timeout(LAST_PATIENCE);
        }
        self.store_waiting();
        self.log.write("ended");
    }

    /// After a panic: goes on in a session of its own; false when there is no use in that.
    fn get_up(&mut self, fall: Restart) -> bool {
        self.log.write("the history's thread failed");
        self.store = None;
        if fall == Restart::Quietly {
            // It may be what it fell over.
            self.shared.missed.fetch_add(self.waiting.len() as u64, Ordering::Relaxed);
            self.waiting.clear();
        }
        self.begin_anew();
        if fall == Restart::AndReport {
            self.tell(HistoryNotice::Problem("Keeping the history failed and begins again; what was stored is kept.".into()));
        }
        fall != Restart::GiveUp
    }

    fn turn(&mut self, heard: &Receiver<(i64, Event)>, orders: &Receiver<Order>) -> Turn {
        let now = Instant::now();
        let due = self.store_at.map_or(self.expire_at, |at| at.min(self.expire_at)).saturating_duration_since(now).min(IDLE);
        select! {
            recv(heard) -> event => match event {
                Ok((wall, event)) => self.take(wall, event),
                Err(_) => return Turn::Over,
            },
            recv(orders) -> order => {
                // What was heard before the order was given is meant by it.
                heard.try_iter().for_each(|(wall, event)| self.take(wall, event));
                match order {
                    Ok(Order::Close) | Err(_) => return Turn::Over,
                    Ok(order) => self.obey(order),
                }
            },
            default(due) => {}
        }
        if self.expire_at <= Instant::now() {
            self.expire();
        }
        if self.store_at.is_some_and(|at| at <= Instant::now()) {
            self.store_waiting();
        }
        Turn::Again
    }

    fn take(&mut self, wall: i64, event: Event) {
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
        if self.waiting.len() >= WAITING {
            self.waiting.drain(..WAITING / 4);
            self.shared.missed.fetch_add(WAITING as u64 / 4, Ordering::Relaxed);
        }
        self.transcript.apply(&event);
        self.waiting.push((wall, event));
        self.store_at.get_or_insert_with(|| Instant::now() + GATHER);
    }

    /// Stores what waits of the session before; the next event begins another.
    fn end_session(&mut self) {
        self.store_waiting();
        self.waiting.clear();
        self.begin_anew();
    }

    /// Goes on in another session, which begins with what waits.
    fn begin_anew(&mut self) {
        self.running = None;
        self.stop_recording();
        self.transcript = Transcript::new(self.shown.clone());
        self.waiting.iter().for_each(|(_, event)| self.transcript.apply(event));
        self.stand();
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Choose(prefs) => self.choose(prefs),
            Order::Define(shown) => {
                self.shown.extend(shown.clone());
                self.transcript.set_panels(shown);
                if let (Some(store), Some(running)) = (&self.store, self.running)
                    && let Err(trouble) = store.define(running.id, &self.shown)
                {
                    self.failed(&trouble);
                }
            }
            Order::Forget(since) => self.forget(since),
            Order::DeleteAll => self.forget(i64::MIN),
            Order::Close => {}
        }
    }

    fn choose(&mut self, prefs: HistoryPrefs) {
        let before = std::mem::replace(&mut self.prefs, prefs);
        if before.keep && !prefs.keep {
            self.prefs.keep = true;
            self.store_waiting();
            self.prefs.keep = false;
            self.waiting.clear();
            self.begin_anew();
        }
        if !prefs.audio {
            self.stop_recording();
        } else if !before.audio || !before.keep {
            self.store_at = Some(Instant::now());
        }
        if before.days != prefs.days {
            self.expire_at = Instant::now();
        }
        self.stand();
    }

    /// The database; None where there is none yet.
    fn opened(&mut self) -> Result<Option<&mut Store>, Trouble> {
        if self.store.is_none() && self.path.exists() {
            self.open()?;
        }
        Ok(self.store.as_mut())
    }

    /// Opens the database, and makes it where there is none.
    fn open(&mut self) -> Result<(), Trouble> {
        let (store, note) = Store::open_or_replace(&self.path)?;
        self.store = Some(store);
        if let Some(note) = note {
            self.log.write("the history was damaged and put aside");
            self.tell(HistoryNotice::Problem(note));
        }
        Ok(())
    }

    fn store_waiting(&mut self) {
        self.store_at = None;
        if self.owed.is_some() {
            self.pay();
        }
        let worth = self.running.is_some() || has_words(&self.transcript) || self.prefs.audio && self.header.is_some();
        if !self.prefs.keep || !worth || self.owed.is_some() {
            return;
        }
        match self.store_now().and_then(|()| self.record()) {
            Ok(()) => self.well(),
            Err(trouble) => self.failed(&trouble),
        }
    }

    fn store_now(&mut self) -> Result<(), Trouble> {
        if self.waiting.is_empty() && self.running.is_some() {
            return Ok(());
        }
        if self.running.is_none() {
            self.put_header();
        }
        leave_out_pieces(&mut self.waiting);
        if self.store.is_none() {
            self.open()?;
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        let (first, settled) = self.running.map_or((0, Settled::default()), |running| (running.next, running.settled));
        let lines = lines_of(&self.transcript, |kind| settled.count(kind));
        let batch = Batch {
            session: self.running.map(|running| running.id),
            shown: &self.shown,
            first,
            events: &self.waiting,
            lines: &lines,
            heard: self.transcript.now,
        };
        match store.add(&batch)? {
            Some(id) => {
                self.running = Some(Running { id, next: first + self.waiting.len(), settled: Settled::of(&self.transcript) });
                self.waiting.clear();
            }
            // It was deleted, by this window or by another program.
            None => {
                self.begin_anew();
                if has_words(&self.transcript) {
                    return self.store_now();
                }
            }
        }
        Ok(())
    }

    /// A session that begins in the middle of listening says what listens, too.
    fn put_header(&mut self) {
        if matches!(self.waiting.first(), Some((_, Event::SessionStarted { .. }))) {
            return;
        }
        let first = self.waiting.first().map_or_else(|| (now_ms(), self.transcript.now), |(wall, event)| (*wall, event.at()));
        if let Some(Event::SessionStarted { protocol, model, source, modes, started_utc, .. }) = self.header.clone() {
            self.waiting.insert(0, (first.0, Event::SessionStarted { at: first.1, protocol, model, source, modes, started_utc }));
        }
    }

    /// Begins to record, where that is wanted and not yet done.
    fn record(&mut self) -> Result<(), Trouble> {
        let (Some(store), Some(running), None, true) = (&self.store, self.running, &self.recording, self.prefs.audio) else {
            return Ok(());
        };
        make_private_folder(&self.recordings).map_err(|e| Trouble::CannotOpen(e.message().to_owned()))?;
        self.recorded += 1;
        let name = recordings::new_name(self.recorded);
        store.add_recording(running.id, &name, self.transcript.now)?;
        let path = self.recordings.join(name);
        if (self.outlets.send_command)(Command::RecordTo(path.clone())) {
            self.recording = Some(path);
            self.log.write("recording begins");
        } else {
            self.store_at = Some(Instant::now() + self.retry);
        }
        Ok(())
    }

    fn stop_recording(&mut self) {
        if self.recording.take().is_some() {
            // An engine that takes no more commands has ended, and has completed the file.
            (self.outlets.send_command)(Command::StopRecording);
            self.log.write("recording ends");
        }
    }

    fn forget(&mut self, since: i64) {
        self.waiting.retain(|(wall, _)| *wall < since);
        self.owed = Some(self.owed.map_or(since, |owed| owed.min(since)));
        if self.recording.is_some() {
            // The engine completes the file first; another begins afterwards.
            self.stop_recording();
            self.store_at = Some(Instant::now() + COMPLETION);
        } else {
            self.pay();
        }
    }

    /// Does the deletion that is owed; what hinders it is said, and it is tried again.
    fn pay(&mut self) {
        let Some(since) = self.owed else { return };
        let path = self.path.clone();
        let paid = match self.opened() {
            Ok(None) => Ok(()),
            Ok(Some(store)) if since == i64::MIN => store.delete_all().map(drop),
            Ok(Some(store)) => store.forget_since(since).map(drop),
            Err(trouble) => Err(trouble.said(&path)),
        };
        match paid {
            Ok(()) => {
                (self.owed, self.said) = (None, None);
                self.reload();
                self.log.write("forgotten as asked");
                self.tell(if since == i64::MIN { HistoryNotice::DeletedAll } else { HistoryNotice::Forgotten });
                self.store_at.get_or_insert_with(Instant::now);
            }
            Err(error) => self.cannot(&error),
        }
    }

    fn expire(&mut self) {
        self.expire_at = Instant::now() + EXPIRY;
        let (days, path) = (self.prefs.days, self.path.clone());
        let done = match self.opened() {
            Ok(None) => Ok(0),
            Ok(Some(store)) => store.sweep_recordings().and_then(|()| match days {
                0 => Ok(0),
                days => store.expire(now_ms() - i64::from(days) * DAY_MS),
            }),
            Err(trouble) => Err(trouble.said(&path)),
        };
        match done {
            Ok(0) => {}
            Ok(_) => self.reload(),
            Err(error) => {
                self.expire_at = Instant::now() + RETRY[1];
                self.cannot(&error);
            }
        }
    }

    /// Takes the running session as it is stored now.
    fn reload(&mut self) {
        let (Some(store), Some(running)) = (&self.store, self.running) else {
            return self.begin_anew();
        };
        match (store.next_number(running.id), store.transcript(running.id)) {
            (Ok(Some(next)), Ok(Some(transcript))) => {
                self.running = Some(Running { id: running.id, next, settled: Settled::of(&transcript) });
                self.transcript = transcript;
                self.waiting.iter().for_each(|(_, event)| self.transcript.apply(event));
            }
            _ => self.begin_anew(),
        }
    }

    fn well(&mut self) {
        self.retry = RETRY[0];
        if self.said.take().is_some() {
            self.log.write("the history is kept again");
            self.tell(HistoryNotice::Recovered);
        }
        let missed = self.shared.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            let why = format!("The history could not be written for so long that {missed} of what was reported were not kept.");
            self.tell(HistoryNotice::Problem(why));
        }
        self.stand();
    }

    fn failed(&mut self, trouble: &Trouble) {
        if !matches!(trouble, Trouble::Locked | Trouble::Full) {
            self.store = None;
        }
        // What is stored already lies in the file that is put aside next.
        if matches!(trouble, Trouble::Damaged(_)) {
            self.begin_anew();
        }
        self.cannot(&trouble.said(&self.path));
    }

    /// Says once what hinders, and plans the next attempt.
    fn cannot(&mut self, error: &Error) {
        self.store_at = Some(Instant::now() + self.retry);
        self.retry = (self.retry * 2).min(RETRY[1]);
        if self.said.as_ref() != Some(error) {
            self.said = Some(error.clone());
            self.log.write("the history cannot be written");
            self.tell(HistoryNotice::Problem(error.to_string()));
        }
        self.stand();
    }

    fn tell(&self, news: HistoryNotice) {
        self.shared.news().push(news);
        (self.outlets.on_change)();
    }

    /// Shows how keeping stands.
    fn stand(&self) {
        let mut standing = self.shared.standing();
        let before = standing.clone();
        standing.prefs = self.prefs;
        standing.state = match &self.said {
            _ if !self.prefs.keep => HistoryState::Off,
            Some(error) => HistoryState::Failing(error.to_string()),
            None => HistoryState::On,
        };
        standing.session = self.running.map(|running| running.id);
        standing.recording.clone_from(&self.recording);
        let changed = *standing != before;
        drop(standing);
        if changed {
            (self.outlets.on_change)();
        }
    }
}

enum Turn {
    Again,
    Over,
}

/// Takes out the pieces of replies whose whole text is there.
fn leave_out_pieces(events: &mut Vec<(i64, Event)>) {
    let whole = |event: &Event| if let Event::ReplyFinished { reply, .. } = event { Some(*reply) } else { None };
    let whole: BTreeSet<_> = events.iter().filter_map(|(_, event)| whole(event)).collect();
    events.retain(|(_, event)| !matches!(event, Event::ReplyText { reply, .. } if whole.contains(reply)));
}
