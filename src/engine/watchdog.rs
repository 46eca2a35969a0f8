//! Notices that a worker has been at one piece of work for far too long, and says so once.
//!
//! It cannot end that work: there is no safe way to. What waits for the model meanwhile stays bounded ([`super::intake`]), and
//! listening goes on when the work is done; a voice is replaced by another ([`super::mouth`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::error::{Error, ErrorKind};
use crate::protocol::{Event, Severity};
use crate::time::StreamTime;

/// Work that takes so long has stalled: six times the slowest pass that was measured (the 3B's sizes in 32-bit floats).
pub(super) const STALLED: Duration = Duration::from_secs(15);
/// Nothing is ever sent to the watchdog: it only learns that the worker has gone.
const NOTHING: usize = 1;
/// How often it looks.
const LOOK: Duration = Duration::from_millis(500);

/// What a worker is at.
#[derive(Debug)]
pub(super) struct Pulse {
    begun: Instant,
    /// Milliseconds from `begun` to the beginning of the work at hand, plus one; 0 when there is none.
    since_ms: AtomicU64,
    at: AtomicU64,
    _alive: Sender<()>,
}

/// A pulse, as the watchdog sees it.
pub(super) struct Watched {
    pulse: Weak<Pulse>,
    alive: Receiver<()>,
}

impl Pulse {
    /// A pulse at rest, and what watches it.
    pub(super) fn new() -> (Arc<Self>, Watched) {
        let (tx, alive) = bounded(NOTHING);
        let own = Arc::new(Self { begun: Instant::now(), since_ms: AtomicU64::new(0), at: AtomicU64::new(0), _alive: tx });
        let pulse = Arc::downgrade(&own);
        (own, Watched { pulse, alive })
    }

    /// Work begins at audio time `at`.
    pub(super) fn begin_at(&self, at: StreamTime) {
        self.at.store(at.0.0, Ordering::Relaxed);
        self.begin();
    }

    /// Work begins that belongs to no audio time.
    pub(super) fn begin(&self) {
        self.since_ms.store(self.begun.elapsed().as_millis() as u64 + 1, Ordering::Release);
    }

    /// Work has ended.
    pub(super) fn end(&self) {
        self.since_ms.store(0, Ordering::Release);
    }

    /// How long the work at hand has taken, and which it is.
    fn busy(&self) -> Option<(Duration, u64)> {
        let since_ms = self.since_ms.load(Ordering::Acquire).checked_sub(1)?;
        Some((self.begun.elapsed().saturating_sub(Duration::from_millis(since_ms)), since_ms))
    }
}

/// Watches until the worker is gone; work that takes longer than `limit` is told once, with the time that it has taken by then
/// and the audio time at which it began.
pub(super) fn watch(watched: &Watched, limit: Duration, mut tell: impl FnMut(Duration, StreamTime)) {
    let mut told = None;
    while watched.alive.recv_timeout(LOOK.min(limit)) == Err(RecvTimeoutError::Timeout) {
        let Some(pulse) = watched.pulse.upgrade() else { return };
        let Some((busy, work)) = pulse.busy().filter(|(busy, work)| *busy >= limit && told != Some(*work)) else { continue };
        told = Some(work);
        tell(busy, StreamTime::from_samples(pulse.at.load(Ordering::Relaxed)));
    }
}

/// What is said of a model that has computed for `busy`, since `at`.
pub(super) fn model_stalls(busy: Duration, at: StreamTime) -> Event {
    let why = format!("the model has not answered for {} s; listening goes on when it does", busy.as_secs());
    let (kind, message) = (ErrorKind::Busy.name().to_owned(), Error::new(ErrorKind::Busy, why).to_string());
    Event::Problem { at, severity: Severity::Warning, kind, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_stalls_is_told_once_and_the_next_stall_again() {
        let ((pulse, watched), (tx, rx)) = (Pulse::new(), bounded(8));
        let watchdog =
            std::thread::spawn(move || watch(&watched, Duration::from_millis(100), |busy, at| tx.send(model_stalls(busy, at)).unwrap()));
        for _ in 0..20 {
            pulse.begin_at(StreamTime::from_samples(16_000));
            std::thread::sleep(Duration::from_millis(10));
            pulse.end();
        }
        assert!(rx.is_empty(), "work that ends in time is no stall");
        for _ in 0..2 {
            pulse.begin_at(StreamTime::from_samples(32_000));
            std::thread::sleep(Duration::from_millis(500));
            pulse.end();
            let said: Vec<Event> = rx.try_iter().collect();
            assert!(
                matches!(&said[..], [Event::Problem { at, severity: Severity::Warning, message, .. }] if at.secs() == 2.0 && message.contains("has not answered")),
                "{said:?}"
            );
        }
        drop(pulse);
        watchdog.join().unwrap();
    }
}
