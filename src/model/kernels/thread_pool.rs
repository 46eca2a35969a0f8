//! A pool of threads for bursts of short jobs: some 300 products follow one another in a pass, then nothing for 0.3 s.
//!
//! Responsible for sharing out numbered parts of a job: every thread begins with a run of its own, so that it reads memory
//! in one direction, and takes from the ends of the others' ranges when its own is done. A worker that finds no job looks for
//! the next one for [`SPIN_TIME`] and then sleeps, so that nothing spins between chunks. Not responsible for what a part is.
//! (rayon wakes and joins its threads through the kernel at every call: a fifth of a pass was spent on that.)

use std::any::Any;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a worker looks for the next job before it sleeps: the gaps within a pass are some microseconds, and waking
/// costs some fifty.
const SPIN_TIME: Duration = Duration::from_micros(100);
/// Looks between two readings of the clock.
const SPINS_PER_CLOCK_READ: u32 = 64;
/// In the state: a job may be entered. Below it stands how many workers are in it, above it the job's number.
const JOB_OPEN: u64 = 1 << 31;
const WORKERS_INSIDE: u64 = JOB_OPEN - 1;

/// Threads that work together: the caller and its workers.
#[derive(Debug)]
pub struct ThreadPool {
    shared: Arc<PoolState>,
    workers: Vec<JoinHandle<()>>,
    /// Who hands out a job.
    job_lock: Mutex<()>,
}

/// What a job's caller and the workers share.
#[derive(Debug)]
struct PoolState {
    state: AtomicU64,
    job: UnsafeCell<JobPointer>,
    /// The parts that are left of each thread's run: first in the low half, end in the high half.
    ranges: Vec<WorkRange>,
    batch: AtomicUsize,
    asleep: Vec<AtomicBool>,
    shut_down: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct WorkRange(AtomicU64);

/// The work of the job that is open; it outlives the job.
#[derive(Clone, Copy, Debug)]
struct JobPointer(*const (dyn Fn(Range<usize>) + Sync + 'static));

// SAFETY: the job is written only while no worker is inside (`ThreadPool::run`), and read only by workers that are inside.
unsafe impl Sync for PoolState {}
// SAFETY: the pointer in `job` is to something `Sync`.
unsafe impl Send for PoolState {}

/// The pool of this process: as large as [`set_size`] said, else one thread per physical core.
pub fn thread_pool() -> &'static ThreadPool {
    POOL.get_or_init(|| ThreadPool::new(super::cores::physical()))
}

/// Makes the pool `threads` large; the first call of the process decides.
pub fn set_thread_count(threads: usize) {
    POOL.get_or_init(|| ThreadPool::new(threads));
}

static POOL: OnceLock<ThreadPool> = OnceLock::new();

impl ThreadPool {
    /// A pool of `threads`, the caller included; smaller where the system gives no more threads.
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

    /// Threads, the caller included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Does `work(i, part i)` for every part of `over`, `batch` of them in a row. While another thread has the pool the
    /// caller does all of it alone.
    ///
    /// # Panics
    /// When `work` does, after all threads have left it.
    pub fn for_each<S: Partition>(&self, over: &S, batch: usize, work: impl Fn(usize, S::Part) + Sync) {
        let count = over.count();
        // SAFETY: every number below `count` is handed out once.
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

    fn run(&self, count: usize, batch: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        let shared = &*self.shared;
        let threads = self.threads();
        for (i, run) in shared.ranges.iter().enumerate() {
            let run_of = if i < threads { (i * count / threads, (i + 1) * count / threads) } else { (0, 0) };
            run.0.store(packed(run_of.0, run_of.1), Ordering::Relaxed);
        }
        shared.batch.store(batch, Ordering::Relaxed);
        let job: *const (dyn Fn(Range<usize>) + Sync + '_) = work;
        // SAFETY: only the lifetime changes: `close` below waits until no worker is inside, and none enters after it. No
        // worker is inside now, for the last job was closed in the same way, and one caller at a time is here.
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
        let theirs = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
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
    /// What a worker does all its life.
    fn worker_loop(&self, worker: usize) {
        // Its rooms are made now, and not in the middle of a chunk when its job_lock comes first.
        super::with_scratch(0, |_| ());
        let mut done = 0;
        while let Some(number) = self.next_job(worker, done) {
            done = number;
            if !self.enter(number) {
                continue;
            }
            // SAFETY: while this worker is inside, the job is not replaced and what it points to lives.
            let work = unsafe { &*(*self.job.get()).0 };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work(worker + 1, work))) {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
            self.state.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits for a job with another number than `done`; None when the pool is dismissed.
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
                // Said before the last look: a caller that publishes after that look sees it and wakes this thread.
                self.asleep[worker].store(true, Ordering::SeqCst);
                if found().is_none() && !self.shut_down.load(Ordering::SeqCst) {
                    thread::park();
                }
            }
        }
    }

    /// Joins job `number`; false when it is over.
    fn enter(&self, number: u64) -> bool {
        let open = |state: u64| (state >> 32 == number && state & JOB_OPEN != 0).then_some(state + 1);
        self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, open).is_ok()
    }

    /// Lets no one in any more and waits until all are out.
    fn close(&self) {
        self.state.fetch_and(!JOB_OPEN, Ordering::SeqCst);
        let mut looks = 0u32;
        while self.state.load(Ordering::SeqCst) & WORKERS_INSIDE != 0 {
            looks += 1;
            // A worker that lost its core to another program: let it have this one.
            if looks.is_multiple_of(SPINS_PER_CLOCK_READ * SPINS_PER_CLOCK_READ) { thread::yield_now() } else { std::hint::spin_loop() }
        }
    }

    /// Takes parts until none is left, those of `own` run first.
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
    fn first(&self, most: usize) -> Option<Range<usize>> {
        self.take(|from, to| (from..(from + most).min(to), (from + most).min(to)..to))
    }

    fn last(&self, most: usize) -> Option<Range<usize>> {
        self.take(|from, to| (to.saturating_sub(most).max(from)..to, from..to.saturating_sub(most).max(from)))
    }

    /// Takes what `split(from, to)` gives first and leaves what it gives second.
    fn take(&self, split: impl Fn(usize, usize) -> (Range<usize>, Range<usize>)) -> Option<Range<usize>> {
        let parts = |run: u64| ((run & 0xffff_ffff) as usize, (run >> 32) as usize);
        let rest = |run: u64| {
            let (from, to) = parts(run);
            (from < to).then(|| split(from, to).1).map(|rest| packed(rest.start, rest.end))
        };
        let run = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok()?;
        let (from, to) = parts(run);
        Some(split(from, to).0)
    }
}

const fn packed(from: usize, to: usize) -> u64 {
    (to as u64) << 32 | from as u64
}

/// Something in numbered parts that threads may have at the same time.
pub trait Partition: Sync {
    /// A part.
    type Part;

    /// How many there are.
    fn count(&self) -> usize;

    /// Part `i`.
    ///
    /// # Safety
    /// `i` lies below `count`, and no part is asked for again while it is in use.
    unsafe fn part(&self, i: usize) -> Self::Part;
}

/// Nothing but numbers.
impl Partition for usize {
    type Part = ();

    fn count(&self) -> usize {
        *self
    }

    unsafe fn part(&self, _: usize) {}
}

/// A slice in parts of one length; the last may be shorter.
#[derive(Debug)]
pub struct EqualParts<'a, T> {
    at: *mut T,
    len: usize,
    size: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for the slice, whose parts are handed out once each.
unsafe impl<T: Send> Sync for EqualParts<'_, T> {}

impl<'a, T> EqualParts<'a, T> {
    /// `slice` in parts of `size`.
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
        // SAFETY: part `i` lies within the slice and overlaps no other; the caller asks for it once.
        unsafe { std::slice::from_raw_parts_mut(self.at.add(from), self.size.min(self.len - from)) }
    }
}

/// A slice in parts of different lengths, given by their ends.
#[derive(Debug)]
pub struct UnevenParts<'a, T> {
    whole: EqualParts<'a, T>,
    ends: &'a [usize],
}

impl<'a, T> UnevenParts<'a, T> {
    /// `slice` in parts that end at `ends`; None unless those ascend within the slice.
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
        // SAFETY: the ends ascend within the slice, so parts do not overlap; the caller asks for each once.
        unsafe { std::slice::from_raw_parts_mut(self.whole.at.add(from), self.ends[i] - from) }
    }
}

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
    fn every_part_is_done_once_whatever_the_sizes() {
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
    fn helpers_that_have_fallen_asleep_come_back() {
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
    fn many_callers_and_jobs_within_jobs_all_get_done() {
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
    fn a_panic_in_any_thread_reaches_the_caller_and_the_crew_goes_on() {
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
