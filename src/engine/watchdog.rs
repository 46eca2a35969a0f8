//! A watchdog that reports work which takes far too long.
//!
//! Blocked work cannot be ended safely. The queues in front of a stalled model stay bounded and listening goes on when the model
//! answers; a stalled speech thread is replaced ([`super::speech`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::error::{Error, ErrorKind, Remedy};
use crate::protocol::{Event, Severity};
use crate::time::StreamTime;

/// Time that a pass of the model may take: six times the slowest pass that was measured (the 3B's sizes in 32-bit floats).
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(15);
/// Capacity of the channel whose closing tells the watchdog that the worker is gone; nothing is ever sent on it.
const ALIVE: usize = 1;
/// Longest interval between two checks of the watchdog.
const POLL: Duration = Duration::from_millis(500);

/// The start of the work that a watched thread is doing, written by that thread.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// Time from which `since_ms` counts.
    begun: Instant,
    /// Milliseconds from `begun` to the start of the work in progress, plus one; 0 at rest.
    since_ms: AtomicU64,
    /// Audio time of the work in progress, in samples (16 kHz).
    at: AtomicU64,
    /// Sender whose drop tells the watchdog that the watched thread is gone.
    _alive: Sender<()>,
}

/// The watchdog's side of a [`Heartbeat`], which does not keep the watched thread's side alive.
pub(super) struct HeartbeatMonitor {
    heartbeat: Weak<Heartbeat>,
    /// Channel that closes when the watched thread is gone.
    alive: Receiver<()>,
}

impl Heartbeat {
    /// Returns a heartbeat at rest and its monitor.
    pub(super) fn new() -> (Arc<Self>, HeartbeatMonitor) {
        let (tx, alive) = bounded(ALIVE);
        let own = Arc::new(Self { begun: Instant::now(), since_ms: AtomicU64::new(0), at: AtomicU64::new(0), _alive: tx });
        let heartbeat = Arc::downgrade(&own);
        (own, HeartbeatMonitor { heartbeat, alive })
    }

    /// Notes that work begins, on the sound at audio time `at`.
    pub(super) fn begin_at(&self, at: StreamTime) {
        self.at.store(at.0.0, Ordering::Relaxed);
        self.begin();
    }

    /// Notes that work begins that belongs to no audio time.
    pub(super) fn begin(&self) {
        self.since_ms.store(self.begun.elapsed().as_millis() as u64 + 1, Ordering::Release);
    }

    /// Notes that the work in progress has ended.
    pub(super) fn end(&self) {
        self.since_ms.store(0, Ordering::Release);
    }

    /// Returns the duration of the work in progress and its start in milliseconds, which identifies the work; None at rest.
    fn busy(&self) -> Option<(Duration, u64)> {
        let since_ms = self.since_ms.load(Ordering::Acquire).checked_sub(1)?;
        Some((self.begun.elapsed().saturating_sub(Duration::from_millis(since_ms)), since_ms))
    }
}

/// Watches a thread until the thread is gone. Calls `report` once for each piece of work that takes `limit` or longer, with the time that
/// the work has taken so far and its audio time.
pub(super) fn watch(monitor: &HeartbeatMonitor, limit: Duration, mut report: impl FnMut(Duration, StreamTime)) {
    let mut reported = None;
    while monitor.alive.recv_timeout(POLL.min(limit)) == Err(RecvTimeoutError::Timeout) {
        let Some(heartbeat) = monitor.heartbeat.upgrade() else { return };
        let Some((busy, work)) = heartbeat.busy().filter(|(busy, work)| *busy >= limit && reported != Some(*work)) else { continue };
        reported = Some(work);
        report(busy, StreamTime::from_samples(heartbeat.at.load(Ordering::Relaxed)));
    }
}

/// Time after a stall for which further ones are not reported: a machine that is far too slow stalls at every chunk.
const QUIET_AFTER: Duration = Duration::from_secs(600);

/// The stalls of the model that were seen, so that those that follow one another are reported once.
#[derive(Debug, Default)]
pub(super) struct StallReports {
    /// Time of the newest stall.
    seen_at: Option<Instant>,
}

impl StallReports {
    /// Notes a stall at `now`; returns true if none was seen for 10 minutes, and it is to be reported.
    pub(super) fn is_news(&mut self, now: Instant) -> bool {
        let before = self.seen_at.replace(now);
        before.is_none_or(|before| now.saturating_duration_since(before) >= QUIET_AFTER)
    }
}

/// Returns the problem event of a model that has computed for `busy`, on the sound at `at`.
pub(super) fn model_stalls(busy: Duration, at: StreamTime) -> Event {
    let why = format!("the model has not answered for {} s; listening goes on when it does", busy.as_secs());
    Event::problem(at, Severity::Warning, &Error::new(ErrorKind::Busy, why).with_remedy(Remedy::CloseOtherPrograms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalls_one_after_another_are_reported_once_and_one_long_after_again() {
        let (begun, mut stalls) = (Instant::now(), StallReports::default());
        let news: Vec<u64> = (0..120).map(|n| n * 20).filter(|secs| stalls.is_news(begun + Duration::from_secs(*secs))).collect();
        assert_eq!(news, [0], "a stall every 20 s");
        assert!(stalls.is_news(begun + Duration::from_secs(2_380 + 600)));
    }

    #[test]
    fn each_stall_is_reported_once() {
        let ((heartbeat, monitor), (tx, rx)) = (Heartbeat::new(), bounded(8));
        let watchdog =
            std::thread::spawn(move || watch(&monitor, Duration::from_millis(100), |busy, at| tx.send(model_stalls(busy, at)).unwrap()));
        for _ in 0..20 {
            heartbeat.begin_at(StreamTime::from_samples(16_000));
            std::thread::sleep(Duration::from_millis(10));
            heartbeat.end();
        }
        assert!(rx.is_empty(), "work that ends in time is no stall");
        for _ in 0..2 {
            heartbeat.begin_at(StreamTime::from_samples(32_000));
            std::thread::sleep(Duration::from_millis(500));
            heartbeat.end();
            let reports: Vec<Event> = rx.try_iter().collect();
            assert!(
                matches!(&reports[..], [Event::Problem { at, severity: Severity::Warning, message, .. }] if at.secs() == 2.0 && message.contains("has not answered")),
                "{reports:?}"
            );
        }
        drop(heartbeat);
        watchdog.join().unwrap();
    }
}
