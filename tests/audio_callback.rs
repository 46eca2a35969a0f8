//! The audio callback's one function never allocates: run under an allocator that counts what this thread asks for.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use hearken::audio::capture::ring::{ReadOutcome, ring};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    if GUARDED.get() {
        CALLS.set(CALLS.get() + 1);
    }
}

// SAFETY: everything is passed on to the system's allocator unchanged; the counters are const-initialised cells without
// destructors, so touching them does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn guarded(work: impl FnOnce()) -> usize {
    CALLS.set(0);
    GUARDED.set(true);
    work();
    GUARDED.set(false);
    CALLS.get()
}

fn never_allocates<T: Copy>(value: T, channels: usize, to_f32: fn(T) -> f32) {
    let (mut writer, mut reader) = ring(4_000);
    let data = vec![value; 960 * channels];
    // 200 callbacks of 960 frames fill the ring of 4,000 and its 64 marks, and go on.
    assert_eq!(guarded(|| (0..200).for_each(|_| writer.write(&data, channels, to_f32))), 0);
    let mut out = Vec::new();
    assert_eq!(reader.read(&mut out), ReadOutcome::Samples(4_000));
    assert!(matches!(reader.read(&mut out), ReadOutcome::Lost(_)));
    assert_eq!(guarded(|| writer.write(&data, channels, to_f32)), 0);
}

#[test]
fn the_callback_never_allocates_also_when_the_ring_is_full() {
    never_allocates(0.5_f32, 1, |x| x);
    never_allocates(0.5_f64, 2, |x| x as f32);
    never_allocates(7_i16, 2, |x| f32::from(x) / 32_768.0);
    never_allocates(7_u16, 6, |x| (f32::from(x) - 32_768.0) / 32_768.0);
    never_allocates(7_i32, 2, |x| x as f32 / 2_147_483_648.0);
    never_allocates(7_u8, 1, |x| (f32::from(x) - 128.0) / 128.0);
}

#[test]
fn the_allocator_of_this_test_does_count() {
    assert!(guarded(|| drop(std::hint::black_box(vec![1_u8; 100]))) >= 2);
}
