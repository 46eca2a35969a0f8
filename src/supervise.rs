//! Worker threads that survive a panic: named threads, the text of a panic, a restart policy, and locks without poison.
//!
//! Not responsible for what a worker does after a restart: each worker knows what it must drop.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Remedy, Result};

/// Number of panics within a minute at which a worker is given up.
const MAX_PANICS: usize = 5;
/// Period over which [`RestartPolicy`] counts panics.
const WINDOW: Duration = Duration::from_secs(60);

/// Starts a thread called `name`. If `work` panics, the thread just ends (`join` returns `Ok`): the other side learns of the panic
/// from closed channels.
///
/// # Errors
/// [`ErrorKind::Internal`] when the system refuses another thread.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let guarded = move || drop(catch_unwind(AssertUnwindSafe(work)));
    std::thread::Builder::new().name(name.to_owned()).spawn(guarded).map_err(|e| {
        Error::new(ErrorKind::Internal, format!("the system refuses another thread ({name}): {e}")).with_remedy(Remedy::CloseOtherPrograms)
    })
}

/// Runs `work` and turns a panic into an error.
///
/// # Errors
/// The error of `work`, or [`ErrorKind::Internal`] with the text of the panic.
pub fn catch<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::internal(panic_text(panic.as_ref()))))
}

/// Returns the text of a panic's payload, or "a panic without a text" if the payload is not a string.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}

/// Locks `mutex`, even after another thread has panicked with the lock held. For data that is complete after every statement.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer of [`RestartPolicy`] to a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The only panic of the last minute: restart, and report the panic.
    AndReport,
    /// The second to fourth panic within a minute: restart without the input that waits, which may have caused it; the user has
    /// been told.
    Quietly,
    /// The fifth panic within a minute: end the worker and report that.
    GiveUp,
}

/// The restart policy for a worker thread that panics: restarts it at once, up to the fourth panic within a minute. Pure: the
/// caller passes the time.
#[derive(Debug, Default)]
pub struct RestartPolicy {
    /// Times of the panics of the last minute.
    recent: VecDeque<Instant>,
}

impl RestartPolicy {
    /// Counts a panic at `now` and returns the answer to it.
    pub fn after_panic(&mut self, now: Instant) -> Restart {
        self.recent.retain(|then| now.saturating_duration_since(*then) < WINDOW);
        self.recent.push_back(now);
        match self.recent.len() {
            1 => Restart::AndReport,
            MAX_PANICS.. => Restart::GiveUp,
            _ => Restart::Quietly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_panics_within_a_minute_end_a_worker() {
        let (mut policy, begin) = (RestartPolicy::default(), Instant::now());
        let answers: Vec<Restart> = (0..5).map(|secs| policy.after_panic(begin + Duration::from_secs(secs))).collect();
        assert_eq!(answers, [Restart::AndReport, Restart::Quietly, Restart::Quietly, Restart::Quietly, Restart::GiveUp]);
    }

    #[test]
    fn one_panic_a_minute_restarts_a_worker_for_ever() {
        let (mut policy, begin) = (RestartPolicy::default(), Instant::now());
        assert!((0..1_000).all(|minute| policy.after_panic(begin + Duration::from_secs(61 * minute)) == Restart::AndReport));
    }

    #[test]
    fn a_panic_becomes_an_error_with_its_text() {
        let error = catch::<()>(|| panic!("index {} of {}", 3, 2)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "internal error (index 3 of 2)"));
        assert_eq!(catch(|| Ok(7)).unwrap(), 7);
    }

    #[test]
    fn a_lock_outlives_the_panic_of_its_holder() {
        let mutex = Mutex::new(5);
        let _ = catch::<()>(|| {
            let _held = mutex.lock();
            panic!("while it is held")
        });
        assert_eq!(*lock(&mutex), 5);
    }
}
