//! The functions of the audio callbacks do not allocate: tested with an allocator that counts the calls of this thread.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use hearken::audio::capture::ring::{ReadOutcome, ring};
use hearken::audio::mix::Mixer;
use hearken::audio::playback::ring::playback_ring;
use hearken::protocol::ChannelChoice;

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

// SAFETY: all calls are passed to the system's allocator unchanged; the counters are const-initialised cells without destructors,
// so their use does not allocate.
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

/// Returns the number of calls of the allocator during `work`.
fn allocations(work: impl FnOnce()) -> usize {
    CALLS.set(0);
    GUARDED.set(true);
    work();
    GUARDED.set(false);
    CALLS.get()
}

fn write_without_allocation<T: Copy>(value: T, channels: usize, to_f32: fn(T) -> f32) {
    let (mut writer, mut reader) = ring(4_000, Mixer::new(48_000, ChannelChoice::All));
    let data = vec![value; 960 * channels];
    // 200 callbacks of 960 frames overflow the ring of 4,000 samples and the queue of 64 marks.
    assert_eq!(allocations(|| (0..200).for_each(|_| writer.write(&data, channels, to_f32))), 0);
    let mut out = Vec::new();
    assert_eq!(reader.read(&mut out), ReadOutcome::Samples(4_000));
    assert!(matches!(reader.read(&mut out), ReadOutcome::Lost(_)));
    assert_eq!(allocations(|| writer.write(&data, channels, to_f32)), 0);
}

#[test]
fn input_callback_does_not_allocate_also_when_the_ring_is_full() {
    write_without_allocation(0.5_f32, 1, |x| x);
    write_without_allocation(0.5_f64, 2, |x| x as f32);
    write_without_allocation(7_i16, 2, |x| f32::from(x) / 32_768.0);
    write_without_allocation(7_u16, 6, |x| (f32::from(x) - 32_768.0) / 32_768.0);
    write_without_allocation(7_i32, 2, |x| x as f32 / 2_147_483_648.0);
    write_without_allocation(7_u8, 1, |x| (f32::from(x) - 128.0) / 128.0);
}

#[test]
fn input_callback_does_not_allocate_while_channels_take_each_other_away() {
    let (mut writer, mut reader) = ring(96_000, Mixer::new(48_000, ChannelChoice::All));
    let data: Vec<f32> = (0..48_000).flat_map(|n| [(n as f32 * 0.1).sin() / 2.0, -(n as f32 * 0.1).sin() / 2.0]).collect();
    assert_eq!(allocations(|| writer.write(&data, 2, |x| x)), 0);
    let mut out = Vec::new();
    assert_eq!(reader.read(&mut out), ReadOutcome::Samples(48_000));
    assert_eq!((out[0], out[47_999].abs()), (0.0, data[95_999].abs()), "one channel is heard in the end");
}

#[test]
fn output_callback_does_not_allocate_also_during_a_cut_or_with_a_full_far_end() {
    let (mut writer, mut reader, far_end) = playback_ring(1_000);
    let mut data = vec![0.0; 960];
    assert_eq!(writer.write(&[0.5; 1_500]), 1_500);
    assert_eq!(allocations(|| reader.fill(&mut data, 2, |x| x)), 0);
    far_end.cut();
    assert_eq!(allocations(|| (0..20).for_each(|_| reader.fill(&mut data, 2, |x| x))), 0);
    assert!(writer.is_empty());
}

#[test]
fn counting_allocator_counts() {
    assert!(allocations(|| drop(std::hint::black_box(vec![1_u8; 100]))) >= 2);
}
