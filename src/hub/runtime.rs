//! Polling of hf-hub's futures from our own threads, with a time limit and until the user stops.
//!
//! hf-hub streams files only with its asynchronous client, whose futures need the tokio runtime that its blocking client
//! keeps private; tokio is no dependency of ours. A progress handler of the blocking client runs inside that runtime, so a request
//! without network (a cached file that exists) leads into it. Only futures that open a connection must be polled there; a response
//! stream can be polled anywhere.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use hf_hub::HFClientSync;
use hf_hub::progress::{ProgressEvent, ProgressHandler};

use crate::supervise;

/// Longest time between two checks, while nothing arrives, if the user has paused or stopped.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Revision in the form of a commit, which hf-hub looks up only in the cache: no request goes out.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// The result of waiting for a future with [`poll_until`].
#[derive(Debug)]
pub(super) enum WaitResult<T> {
    /// The value of the future.
    Ready(T),
    /// The time limit has passed.
    TimedOut,
    /// `go_on` returned false: the user paused or stopped.
    Stopped,
}

/// Runs `work` inside the tokio runtime of hf-hub's client, waits for it and returns its value; None if the runtime cannot be
/// reached.
pub(super) fn run_in_runtime<T: Send + 'static>(client: &HFClientSync, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let value = Arc::new(Mutex::new(None));
    let inside = RuntimeHook { work: Mutex::new(Some(work)), value: Arc::clone(&value) };
    // An absolute path is used as it is, and the root always exists.
    let entered = client.model("hearken", "runtime").download_file().filename("/").revision(NO_COMMIT).progress(inside).send();
    drop(entered);
    supervise::lock(&value).take()
}

/// A progress handler that runs `work` at its first call and stores its value.
struct RuntimeHook<W, T> {
    /// Function to run; None once it has begun.
    work: Mutex<Option<W>>,
    /// Value of the function, once it has returned.
    value: Arc<Mutex<Option<T>>>,
}

impl<T: Send, W: FnOnce() -> T + Send> ProgressHandler for RuntimeHook<W, T> {
    fn on_progress(&self, _: &ProgressEvent) {
        let work = supervise::lock(&self.work).take();
        if let Some(work) = work {
            let value = work();
            *supervise::lock(&self.value) = Some(value);
        }
    }
}

/// Calls `poll` on this thread, which sleeps in between, until `poll` returns a value, `limit` has passed, or `go_on` returns false.
pub(super) fn poll_until<T>(limit: Duration, go_on: impl Fn() -> bool, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> WaitResult<T> {
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    let mut context = Context::from_waker(&waker);
    let begun = Instant::now();
    loop {
        if let Poll::Ready(value) = poll(&mut context) {
            return WaitResult::Ready(value);
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

/// A waker that unparks a thread.
struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
