//! A crew of threads for bursts of short jobs: some 300 products follow one another in a pass, then nothing for 0.3 s.
//!
//! Responsible for sharing out numbered parts of a job: every thread begins with a run of its own, so that it reads memory
//! in one direction, and takes from the ends of the others' runs when its own is done. A helper that finds no job looks for
//! the next one for [`AWAKE`] and then sleeps, so that nothing spins between chunks. Not responsible for what a part is.
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

/// How long a helper looks for the next job before it sleeps: the gaps within a pass are some microseconds, and waking
/// costs some fifty.
const AWAKE: Duration = Duration::from_micros(100);
/// Looks between two readings of the clock.
const LOOKS: u32 = 64;
/// In the state: a job may be entered. Below it stands how many helpers are in it, above it the job's number.
const OPEN: u64 = 1 << 31;
const INSIDE: u64 = OPEN - 1;

/// Threads that work together: the caller and its helpers.
#[derive(Debug)]
pub struct ThreadPool {
    desk: Arc<Desk>,
    helpers: Vec<JoinHandle<()>>,
    /// Who hands out a job.
    turn: Mutex<()>,
}

/// What a job's caller and the helpers share.
#[derive(Debug)]
struct Desk {
    state: AtomicU64,
    job: UnsafeCell<Job>,
    /// The parts that are left of each thread's run: first in the low half, end in the high half.
    runs: Vec<Run>,
    at_a_time: AtomicUsize,
    asleep: Vec<AtomicBool>,
    ended: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Run(AtomicU64);

/// The work of the job that is open; it outlives the job.
#[derive(Clone, Copy, Debug)]
struct Job(*const (dyn Fn(Range<usize>) + Sync + 'static));

// SAFETY: the job is written only while no helper is inside (`ThreadPool::run`), and read only by helpers that are inside.
unsafe impl Sync for Desk {}
// SAFETY: the pointer in `job` is to something `Sync`.
unsafe impl Send for Desk {}

/// The crew of this process: as large as [`set_size`] said, else one thread per physical core.
pub fn thread_pool() -> &'static ThreadPool {
    CREW.get_or_init(|| ThreadPool::new(super::cores::physical()))
}

/// Makes the crew `threads` large; the first call of the process decides.
pub fn set_size(threads: usize) {
    CREW.get_or_init(|| ThreadPool::new(threads));
}

static CREW: OnceLock<ThreadPool> = OnceLock::new();

impl ThreadPool {
    /// A crew of `threads`, the caller included; smaller where the system gives no more threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let helpers = threads.saturating_sub(1);
        let nothing: &(dyn Fn(Range<usize>) + Sync) = &|_| {};
        let desk = Arc::new(Desk {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(Job(nothing)),
            runs: (0..=helpers).map(|_| Run::default()).collect(),
            at_a_time: AtomicUsize::new(1),
            asleep: (0..helpers).map(|_| AtomicBool::new(false)).collect(),
            ended: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let spawn = |helper: usize| {
            let desk = Arc::clone(&desk);
            thread::Builder::new().name(format!("crew-{}", helper + 1)).spawn(move || desk.help(helper)).ok()
        };
        let helpers = (0..helpers).map_while(spawn).collect();
        Self { desk, helpers, turn: Mutex::new(()) }
    }

    /// Threads, the caller included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Does `work(i, part i)` for every part of `over`, `at_a_time` of them in a row. While another thread has the crew the
    /// caller does all of it alone.
    ///
    /// # Panics
    /// When `work` does, after all threads have left it.
    pub fn share<S: Shared>(&self, over: &S, at_a_time: usize, work: impl Fn(usize, S::Part) + Sync) {
        let count = over.count();
        // SAFETY: every number below `count` is handed out once.
        let range = |range: Range<usize>| range.for_each(|i| work(i, unsafe { over.part(i) }));
        if self.helpers.is_empty() || count <= at_a_time || u32::try_from(count).is_err() {
            return range(0..count);
        }
        match self.turn.try_lock() {
            Ok(turn) => {
                self.run(count, at_a_time.max(1), &range);
                drop(turn);
            }
            Err(_) => range(0..count),
        }
    }

    fn run(&self, count: usize, at_a_time: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        let desk = &*self.desk;
        let threads = self.threads();
        for (i, run) in desk.runs.iter().enumerate() {
            let run_of = if i < threads { (i * count / threads, (i + 1) * count / threads) } else { (0, 0) };
            run.0.store(packed(run_of.0, run_of.1), Ordering::Relaxed);
        }
        desk.at_a_time.store(at_a_time, Ordering::Relaxed);
        let job: *const (dyn Fn(Range<usize>) + Sync + '_) = work;
        // SAFETY: only the lifetime changes: `close` below waits until no helper is inside, and none enters after it. No
        // helper is inside now, for the last job was closed in the same way, and one caller at a time is here.
        let job = unsafe { std::mem::transmute::<*const (dyn Fn(Range<usize>) + Sync + '_), *const (dyn Fn(Range<usize>) + Sync)>(job) };
        // SAFETY: as above.
        unsafe { *desk.job.get() = Job(job) };
        let number = (desk.state.load(Ordering::Relaxed) >> 32).wrapping_add(1) & 0xffff_ffff;
        desk.state.store(number << 32 | OPEN, Ordering::SeqCst);
        for (asleep, helper) in desk.asleep.iter().zip(&self.helpers) {
            if asleep.swap(false, Ordering::SeqCst) {
                helper.thread().unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(|| desk.work(0, work)));
        desk.close();
        let theirs = desk.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = own.err().or(theirs) {
            resume_unwind(panic);
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.desk.ended.store(true, Ordering::SeqCst);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            let _ = helper.join();
        }
    }
}

impl Desk {
    /// What a helper does all its life.
    fn help(&self, helper: usize) {
        // Its rooms are made now, and not in the middle of a chunk when its turn comes first.
        super::with_room(0, |_| ());
        let mut done = 0;
        while let Some(number) = self.next_job(helper, done) {
            done = number;
            if !self.enter(number) {
                continue;
            }
            // SAFETY: while this helper is inside, the job is not replaced and what it points to lives.
            let work = unsafe { &*(*self.job.get()).0 };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work(helper + 1, work))) {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
            self.state.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits for a job with another number than `done`; None when the crew is dismissed.
    fn next_job(&self, helper: usize, done: u64) -> Option<u64> {
        let found = || {
            let number = self.state.load(Ordering::SeqCst) >> 32;
            (number != done).then_some(number)
        };
        let begun = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if let Some(number) = found() {
                    return Some(number);
                }
                std::hint::spin_loop();
            }
            if self.ended.load(Ordering::SeqCst) {
                return None;
            }
            if begun.elapsed() > AWAKE {
                // Said before the last look: a caller that publishes after that look sees it and wakes this thread.
                self.asleep[helper].store(true, Ordering::SeqCst);
                if found().is_none() && !self.ended.load(Ordering::SeqCst) {
                    thread::park();
                }
            }
        }
    }

    /// Joins job `number`; false when it is over.
    fn enter(&self, number: u64) -> bool {
        let open = |state: u64| (state >> 32 == number && state & OPEN != 0).then_some(state + 1);
        self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, open).is_ok()
    }

    /// Lets no one in any more and waits until all are out.
    fn close(&self) {
        self.state.fetch_and(!OPEN, Ordering::SeqCst);
        let mut looks = 0u32;
        while self.state.load(Ordering::SeqCst) & INSIDE != 0 {
            looks += 1;
            // A helper that lost its core to another program: let it have this one.
            if looks.is_multiple_of(LOOKS * LOOKS) { thread::yield_now() } else { std::hint::spin_loop() }
        }
    }

    /// Takes parts until none is left, those of `own` run first.
    fn work(&self, own: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        let at_a_time = self.at_a_time.load(Ordering::Relaxed);
        while let Some(range) = self.runs[own].first(at_a_time) {
            work(range);
        }
        for other in (own + 1..self.runs.len()).chain(0..own) {
            while let Some(range) = self.runs[other].last(at_a_time) {
                work(range);
            }
        }
    }
}

impl Run {
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
pub trait Shared: Sync {
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
impl Shared for usize {
    type Part = ();

    fn count(&self) -> usize {
        *self
    }

    unsafe fn part(&self, _: usize) {}
}

/// A slice in parts of one length; the last may be shorter.
#[derive(Debug)]
pub struct Parts<'a, T> {
    at: *mut T,
    len: usize,
    size: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for the slice, whose parts are handed out once each.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    /// `slice` in parts of `size`.
    pub const fn new(slice: &'a mut [T], size: usize) -> Self {
        Self { at: slice.as_mut_ptr(), len: slice.len(), size, slice: PhantomData }
    }
}

impl<'a, T: Send> Shared for Parts<'a, T> {
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
pub struct Uneven<'a, T> {
    whole: Parts<'a, T>,
    ends: &'a [usize],
}

impl<'a, T> Uneven<'a, T> {
    /// `slice` in parts that end at `ends`; None unless those ascend within the slice.
    pub fn new(slice: &'a mut [T], ends: &'a [usize]) -> Option<Self> {
        let fits = ends.is_sorted() && ends.last().is_none_or(|end| *end <= slice.len());
        fits.then(|| Self { whole: Parts::new(slice, 1), ends })
    }
}

impl<'a, T: Send> Shared for Uneven<'a, T> {
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

impl<A: Shared, B: Shared> Shared for (A, B) {
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
            let crew = ThreadPool::new(threads);
            assert_eq!(crew.threads(), threads);
            for (len, size, at_a_time) in [(0, 1, 1), (1, 1, 1), (7, 3, 1), (1_000, 1, 7), (4_096, 16, 1), (100, 100, 1), (999, 10, 1_000)]
            {
                let (mut a, mut b) = (vec![0u32; len], vec![0usize; len.div_ceil(size)]);
                crew.share(&(Parts::new(&mut a, size), Parts::new(&mut b, 1)), at_a_time, |i, (part, number)| {
                    part.iter_mut().for_each(|v| *v += 1);
                    number[0] = i + 1;
                });
                assert!(a.iter().all(|v| *v == 1) && b.iter().enumerate().all(|(i, v)| *v == i + 1), "{threads} threads, {len} in {size}");
            }
        }
    }

    #[test]
    fn parts_of_different_lengths_cover_the_slice() {
        let crew = ThreadPool::new(2);
        let mut a = vec![0; 10];
        let ends = [3, 3, 4, 10];
        crew.share(&Uneven::new(&mut a, &ends).unwrap(), 1, |i, part| part.fill(i));
        assert_eq!(a, [0, 0, 0, 2, 3, 3, 3, 3, 3, 3]);
        assert!(Uneven::new(&mut a, &[3, 2]).is_none() && Uneven::new(&mut a, &[11]).is_none());
    }

    #[test]
    fn helpers_that_have_fallen_asleep_come_back() {
        let crew = ThreadPool::new(3);
        let sum = AtomicUsize::new(0);
        for round in 0..40 {
            crew.share(&100, 1, |i, ()| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            if round % 4 == 0 {
                thread::sleep(3 * AWAKE);
            }
        }
        assert_eq!(sum.into_inner(), 40 * 4_950);
    }

    #[test]
    fn many_callers_and_jobs_within_jobs_all_get_done() {
        let crew = ThreadPool::new(3);
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        crew.share(&8, 1, |_, ()| {
                            crew.share(&4, 1, |_, ()| {
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
        let crew = ThreadPool::new(2);
        for bad in [0, 999] {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                crew.share(&1_000, 1, |i, ()| assert!(i != bad, "part {i}"));
            }));
            assert!(caught.is_err());
            let sum = AtomicUsize::new(0);
            crew.share(&10, 1, |i, ()| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 45);
        }
    }
}
