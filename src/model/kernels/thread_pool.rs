//! A thread pool for bursts of short jobs: a pass runs some 300 products in a row, then nothing for 0.3 s.
//!
//! Responsible for distributing the numbered parts of a job: every thread begins with a range of its own, so that it reads memory
//! in one direction, and steals from the ends of other ranges when its own is done. A worker without a job spins for `SPIN_TIME`
//! and then sleeps, so that nothing spins between chunks. Not responsible for the contents of a part. (rayon wakes and joins its
//! threads through the kernel at every call, which takes a fifth of a pass.)

use crate::supervise::lock;
use std::any::Any;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time that a worker spins before it sleeps: the gaps within a pass take some microseconds, waking takes some fifty.
const SPIN_TIME: Duration = Duration::from_micros(100);
/// Number of spins between two readings of the clock.
const SPINS_PER_CLOCK_READ: u32 = 64;
/// The bit of the pool's state that lets workers enter the job; the bits below count the workers inside, the upper 32 bits number the job.
const JOB_OPEN: u64 = 1 << 31;
/// The bits of the pool's state that count the workers inside the job.
const WORKERS_INSIDE: u64 = JOB_OPEN - 1;

/// A pool of threads that compute the parts of one job at a time: the calling thread and the pool's workers. Dropping it ends the
/// workers.
#[derive(Debug)]
pub struct ThreadPool {
    shared: Arc<PoolState>,
    /// Threads of the workers.
    workers: Vec<JoinHandle<()>>,
    /// Held by the thread whose job the workers compute.
    job_lock: Mutex<()>,
}

/// The state that the caller of a job and the workers share.
#[derive(Debug)]
struct PoolState {
    /// Number of the job, [`JOB_OPEN`] and [`WORKERS_INSIDE`].
    state: AtomicU64,
    /// Function of the open job.
    job: UnsafeCell<JobPointer>,
    /// The remaining parts of each thread, the caller first.
    ranges: Vec<WorkRange>,
    /// Number of parts that a thread takes at a time.
    batch: AtomicUsize,
    /// True for each worker that sleeps, or is about to, and must be woken.
    asleep: Vec<AtomicBool>,
    /// True once the workers must end.
    shut_down: AtomicBool,
    /// The panic of a worker in the job, for its caller.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The range of part numbers that a thread has left, the first in the low half and the end in the high half; on a cache line of its
/// own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct WorkRange(AtomicU64);

/// A pointer to the function of the open job, which lives at least until the job is closed; its argument is a range of part
/// numbers.
#[derive(Clone, Copy, Debug)]
struct JobPointer(*const (dyn Fn(Range<usize>) + Sync + 'static));

// SAFETY: the job is written only while no worker is inside (`ThreadPool::run`), and read only by workers that are inside.
unsafe impl Sync for PoolState {}
// SAFETY: the pointer in `job` is to something `Sync`.
unsafe impl Send for PoolState {}

/// Returns the pool of this process; starts it at the first call, with one thread per physical core unless [`set_thread_count`] was
/// called before.
pub fn thread_pool() -> &'static ThreadPool {
    POOL.get_or_init(|| ThreadPool::new(super::cores::physical()))
}

/// Starts the pool of this process with `threads` threads, the caller included; does nothing if it is already running.
pub fn set_thread_count(threads: usize) {
    POOL.get_or_init(|| ThreadPool::new(threads));
}

/// The pool of this process, started at the first use.
static POOL: OnceLock<ThreadPool> = OnceLock::new();

impl ThreadPool {
    /// Starts a pool of `threads` threads, the caller included (0 counts as 1); a smaller one if the system refuses a thread.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let workers = threads.saturating_sub(1);
        let nothing: &(dyn Fn(Range<usize>) + Sync) = &|_| {};
        let shared = Arc::new(PoolState {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(JobPointer(nothing)),
            ranges: (0..=workers).map(|_| WorkRange::default()).collect(),
            batch: AtomicUsize::new(1),
            asleep: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            shut_down: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let spawn = |worker: usize| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("compute-{}", worker + 1)).spawn(move || shared.worker_loop(worker)).ok()
        };
        let workers = (0..workers).map_while(spawn).collect();
        Self { shared, workers, job_lock: Mutex::new(()) }
    }

    /// Returns the number of threads that compute a job, the caller included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work(i, part i)` once for every part of `over`, on all threads, and returns when all are done. A thread takes `batch`
    /// parts at a time; with at most `batch` parts, or while another thread uses the pool, the caller works alone.
    ///
    /// # Panics
    /// When `work` panics: the panic is passed on after all threads have left `work`.
    pub fn for_each<S: Partition>(&self, over: &S, batch: usize, work: impl Fn(usize, S::Part) + Sync) {
        let count = over.count();
        // SAFETY: every index below `count` is handed out once.
        let range = |range: Range<usize>| range.for_each(|i| work(i, unsafe { over.part(i) }));
        if self.workers.is_empty() || count <= batch || u32::try_from(count).is_err() {
            return range(0..count);
        }
        match self.job_lock.try_lock() {
            Ok(job_lock) => {
                self.run(count, batch.max(1), &range);
                drop(job_lock);
            }
            Err(_) => range(0..count),
        }
    }

    /// Computes the parts `0 .. count` with `work` on all threads; the caller holds the job lock.
    fn run(&self, count: usize, batch: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        let shared = &*self.shared;
        let threads = self.threads();
        for (i, range) in shared.ranges.iter().enumerate() {
            let (from, to) = if i < threads { (i * count / threads, (i + 1) * count / threads) } else { (0, 0) };
            range.0.store(packed(from, to), Ordering::Relaxed);
        }
        shared.batch.store(batch, Ordering::Relaxed);
        let job: *const (dyn Fn(Range<usize>) + Sync + '_) = work;
        // SAFETY: only the lifetime changes. `close` below waits until no worker is inside, and none enters after it. No worker is
        // inside now, because the last job was closed in the same way and the job lock admits one caller at a time.
        let job = unsafe { std::mem::transmute::<*const (dyn Fn(Range<usize>) + Sync + '_), *const (dyn Fn(Range<usize>) + Sync)>(job) };
        // SAFETY: as above.
        unsafe { *shared.job.get() = JobPointer(job) };
        let number = (shared.state.load(Ordering::Relaxed) >> 32).wrapping_add(1) & 0xffff_ffff;
        shared.state.store(number << 32 | JOB_OPEN, Ordering::SeqCst);
        for (asleep, worker) in shared.asleep.iter().zip(&self.workers) {
            if asleep.swap(false, Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(|| shared.work(0, work)));
        shared.close();
        let theirs = lock(&shared.panic).take();
        if let Some(panic) = own.err().or(theirs) {
            resume_unwind(panic);
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.shut_down.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            let _ = worker.join();
        }
    }
}

impl PoolState {
    /// Waits for jobs and works on them until the pool shuts down: the life of worker number `worker`.
    fn worker_loop(&self, worker: usize) {
        // Allocates this thread's scratch buffers now, not in the middle of a chunk.
        super::with_scratch(0, |_| ());
        let mut done = 0;
        while let Some(number) = self.next_job(worker, done) {
            done = number;
            if !self.enter(number) {
                continue;
            }
            // SAFETY: while this worker is inside, the job is not replaced and its function lives.
            let work = unsafe { &*(*self.job.get()).0 };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work(worker + 1, work))) {
                *lock(&self.panic) = Some(panic);
            }
            self.state.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits, first spinning, then asleep, for a job with another number than `done`, and returns its number; None when the pool
    /// shuts down.
    fn next_job(&self, worker: usize, done: u64) -> Option<u64> {
        let found = || {
            let number = self.state.load(Ordering::SeqCst) >> 32;
            (number != done).then_some(number)
        };
        let begun = Instant::now();
        loop {
            for _ in 0..SPINS_PER_CLOCK_READ {
                if let Some(number) = found() {
                    return Some(number);
                }
                std::hint::spin_loop();
            }
            if self.shut_down.load(Ordering::SeqCst) {
                return None;
            }
            if begun.elapsed() > SPIN_TIME {
                // Set before the last look: a caller that publishes a job after that look sees the flag and wakes this thread.
                self.asleep[worker].store(true, Ordering::SeqCst);
                if found().is_none() && !self.shut_down.load(Ordering::SeqCst) {
                    thread::park();
                }
            }
        }
    }

    /// Enters the job `number` as one of the workers inside; returns false if the job is closed.
    fn enter(&self, number: u64) -> bool {
        let open = |state: u64| (state >> 32 == number && state & JOB_OPEN != 0).then_some(state + 1);
        self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, open).is_ok()
    }

    /// Closes the job, so that no worker enters it any more, and waits until all workers have left it.
    fn close(&self) {
        self.state.fetch_and(!JOB_OPEN, Ordering::SeqCst);
        let mut looks = 0u32;
        while self.state.load(Ordering::SeqCst) & WORKERS_INSIDE != 0 {
            looks += 1;
            // A worker may have lost its core to another program: yield this one.
            if looks.is_multiple_of(SPINS_PER_CLOCK_READ * SPINS_PER_CLOCK_READ) { thread::yield_now() } else { std::hint::spin_loop() }
        }
    }

    /// Calls `work` with ranges of part numbers until none is left: those of thread `own` first, then those of other threads from the end.
    fn work(&self, own: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        let batch = self.batch.load(Ordering::Relaxed);
        while let Some(range) = self.ranges[own].first(batch) {
            work(range);
        }
        for other in (own + 1..self.ranges.len()).chain(0..own) {
            while let Some(range) = self.ranges[other].last(batch) {
                work(range);
            }
        }
    }
}

impl WorkRange {
    /// Takes up to `most` parts from the beginning of the range; None if none is left.
    fn first(&self, most: usize) -> Option<Range<usize>> {
        self.take(|from, to| (from..(from + most).min(to), (from + most).min(to)..to))
    }

    /// Takes up to `most` parts from the end of the range; None if none is left.
    fn last(&self, most: usize) -> Option<Range<usize>> {
        self.take(|from, to| (to.saturating_sub(most).max(from)..to, from..to.saturating_sub(most).max(from)))
    }

    /// Takes the first range that `split(from, to)` returns for the remaining parts and leaves the second; None if no part is left.
    fn take(&self, split: impl Fn(usize, usize) -> (Range<usize>, Range<usize>)) -> Option<Range<usize>> {
        let ends = |range: u64| ((range & 0xffff_ffff) as usize, (range >> 32) as usize);
        let rest = |range: u64| {
            let (from, to) = ends(range);
            (from < to).then(|| split(from, to).1).map(|rest| packed(rest.start, rest.end))
        };
        let range = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok()?;
        let (from, to) = ends(range);
        Some(split(from, to).0)
    }
}

/// Returns the range `from .. to` of part numbers in one integer, `from` in the low half.
const fn packed(from: usize, to: usize) -> u64 {
    (to as u64) << 32 | from as u64
}

/// A value divided into parts, numbered from 0, that several threads may use at the same time.
pub trait Partition: Sync {
    /// The type of a part, such as a mutable slice.
    type Part;

    /// Returns the number of parts.
    fn count(&self) -> usize;

    /// Returns part number `i`.
    ///
    /// # Safety
    /// `i` must be below [`count`](Self::count), and no part may be requested again while in use.
    unsafe fn part(&self, i: usize) -> Self::Part;
}

/// A number of parts without data: only their numbers.
impl Partition for usize {
    type Part = ();

    fn count(&self) -> usize {
        *self
    }

    unsafe fn part(&self, _: usize) {}
}

/// A mutable slice in parts of equal length; the last may be shorter.
#[derive(Debug)]
pub struct EqualParts<'a, T> {
    /// Pointer to the first value.
    at: *mut T,
    /// Number of values in the whole slice.
    len: usize,
    /// Number of values of a part.
    size: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: the type stands for the slice, whose parts are handed out once each.
unsafe impl<T: Send> Sync for EqualParts<'_, T> {}

impl<'a, T> EqualParts<'a, T> {
    /// Divides `slice` into parts of `size` values, which must be at least 1.
    pub const fn new(slice: &'a mut [T], size: usize) -> Self {
        Self { at: slice.as_mut_ptr(), len: slice.len(), size, slice: PhantomData }
    }
}

impl<'a, T: Send> Partition for EqualParts<'a, T> {
    type Part = &'a mut [T];

    fn count(&self) -> usize {
        self.len.div_ceil(self.size)
    }

    unsafe fn part(&self, i: usize) -> &'a mut [T] {
        let from = i * self.size;
        // SAFETY: part `i` lies within the slice and overlaps no other; the caller requests it once.
        unsafe { std::slice::from_raw_parts_mut(self.at.add(from), self.size.min(self.len - from)) }
    }
}

/// A mutable slice in successive parts of different lengths, given by their ends.
#[derive(Debug)]
pub struct UnevenParts<'a, T> {
    /// The slice.
    whole: EqualParts<'a, T>,
    /// Index in the slice of the end of each part.
    ends: &'a [usize],
}

impl<'a, T> UnevenParts<'a, T> {
    /// Divides `slice` into parts that end at `ends`, the first beginning at 0; returns None unless these ascend within the slice.
    pub fn new(slice: &'a mut [T], ends: &'a [usize]) -> Option<Self> {
        let fits = ends.is_sorted() && ends.last().is_none_or(|end| *end <= slice.len());
        fits.then(|| Self { whole: EqualParts::new(slice, 1), ends })
    }
}

impl<'a, T: Send> Partition for UnevenParts<'a, T> {
    type Part = &'a mut [T];

    fn count(&self) -> usize {
        self.ends.len()
    }

    unsafe fn part(&self, i: usize) -> &'a mut [T] {
        let from = if i == 0 { 0 } else { self.ends[i - 1] };
        // SAFETY: the ends ascend within the slice, so parts do not overlap; the caller requests each once.
        unsafe { std::slice::from_raw_parts_mut(self.whole.at.add(from), self.ends[i] - from) }
    }
}

/// Two values divided in parallel: part `i` is a pair, and the parts that only the longer one has are left out.
impl<A: Partition, B: Partition> Partition for (A, B) {
    type Part = (A::Part, B::Part);

    fn count(&self) -> usize {
        self.0.count().min(self.1.count())
    }

    unsafe fn part(&self, i: usize) -> Self::Part {
        // SAFETY: the caller's promise.
        unsafe { (self.0.part(i), self.1.part(i)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_visited_once_for_any_sizes() {
        for threads in [1, 2, 3, 5] {
            let pool = ThreadPool::new(threads);
            assert_eq!(pool.threads(), threads);
            for (len, size, batch) in [(0, 1, 1), (1, 1, 1), (7, 3, 1), (1_000, 1, 7), (4_096, 16, 1), (100, 100, 1), (999, 10, 1_000)] {
                let (mut a, mut b) = (vec![0u32; len], vec![0usize; len.div_ceil(size)]);
                pool.for_each(&(EqualParts::new(&mut a, size), EqualParts::new(&mut b, 1)), batch, |i, (part, number)| {
                    part.iter_mut().for_each(|v| *v += 1);
                    number[0] = i + 1;
                });
                assert!(a.iter().all(|v| *v == 1) && b.iter().enumerate().all(|(i, v)| *v == i + 1), "{threads} threads, {len} in {size}");
            }
        }
    }

    #[test]
    fn parts_of_different_lengths_cover_the_slice() {
        let pool = ThreadPool::new(2);
        let mut a = vec![0; 10];
        let ends = [3, 3, 4, 10];
        pool.for_each(&UnevenParts::new(&mut a, &ends).unwrap(), 1, |i, part| part.fill(i));
        assert_eq!(a, [0, 0, 0, 2, 3, 3, 3, 3, 3, 3]);
        assert!(UnevenParts::new(&mut a, &[3, 2]).is_none() && UnevenParts::new(&mut a, &[11]).is_none());
    }

    #[test]
    fn sleeping_workers_wake_for_the_next_job() {
        let pool = ThreadPool::new(3);
        let sum = AtomicUsize::new(0);
        for round in 0..40 {
            pool.for_each(&100, 1, |i, ()| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            if round % 4 == 0 {
                thread::sleep(3 * SPIN_TIME);
            }
        }
        assert_eq!(sum.into_inner(), 40 * 4_950);
    }

    #[test]
    fn concurrent_callers_and_nested_jobs_finish() {
        let pool = ThreadPool::new(3);
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.for_each(&8, 1, |_, ()| {
                            pool.for_each(&4, 1, |_, ()| {
                                sum.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 4 * 50 * 8 * 4);
    }

    #[test]
    fn panic_in_any_thread_reaches_the_caller_and_the_pool_survives() {
        let pool = ThreadPool::new(2);
        for bad in [0, 999] {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.for_each(&1_000, 1, |i, ()| assert!(i != bad, "part {i}"));
            }));
            assert!(caught.is_err());
            let sum = AtomicUsize::new(0);
            pool.for_each(&10, 1, |i, ()| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 45);
        }
    }
}
