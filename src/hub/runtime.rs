//! Polls hf-hub's futures from threads of ours: with a time limit, and given up as soon as the user wants that.
//!
//! hf-hub streams a file by its asynchronous client only, whose futures need the tokio runtime that its blocking client keeps to
//! itself; tokio is no dependency of ours. A progress handler of the blocking client is called inside that runtime, so a request
//! that touches no network (a file "in the cache" that is there) leads into it. Only what opens a connection has to be polled
//! in there; a response that has begun is polled anywhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use hf_hub::HFClientSync;
use hf_hub::progress::{ProgressEvent, ProgressHandler};

/// How often it is looked whether to go on while nothing happens.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A revision of this form is looked for in the cache and nowhere else.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// How waiting ended.
#[derive(Debug)]
pub(super) enum WaitResult<T> {
    /// With this.
    Ready(T),
    /// The limit was reached.
    TimedOut,
    /// The user wants no more.
    Stopped,
}

/// Runs `work` where the futures of hf-hub's client can be polled; None if the runtime cannot be reached.
pub(super) fn run_in_runtime<T: Send + 'static>(client: &HFClientSync, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let made = Arc::new(Mutex::new(None));
    let inside = RuntimeHook { work: Mutex::new(Some(work)), made: Arc::clone(&made) };
    // An absolute path stands for itself, and the root is always there.
    let entered = client.model("hearken", "runtime").download_file().filename("/").revision(NO_COMMIT).progress(inside).send();
    drop(entered);
    made.lock().unwrap_or_else(PoisonError::into_inner).take()
}

struct RuntimeHook<W, T> {
    work: Mutex<Option<W>>,
    made: Arc<Mutex<Option<T>>>,
}

impl<T: Send, W: FnOnce() -> T + Send> ProgressHandler for RuntimeHook<W, T> {
    fn on_progress(&self, _: &ProgressEvent) {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(work) = work {
            let made = work();
            *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        }
    }
}

/// Polls until there is something, `limit` has passed or `go_on` says no.
pub(super) fn poll_until<T>(limit: Duration, go_on: impl Fn() -> bool, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> WaitResult<T> {
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    let mut context = Context::from_waker(&waker);
    let begun = Instant::now();
    loop {
        if let Poll::Ready(made) = poll(&mut context) {
            return WaitResult::Ready(made);
        }
        if !go_on() {
            return WaitResult::Stopped;
        }
        match limit.checked_sub(begun.elapsed()) {
            None => return WaitResult::TimedOut,
            Some(left) => thread::park_timeout(left.min(POLL_INTERVAL)),
        }
    }
}

struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
