//! What listening allocates once it runs: under an allocator that counts what every thread asks for.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hearken::config::{ComputeDevice, Precision};
use hearken::mel::{LogMel, MaxOver};
use hearken::model::{Input, Model, Read, Segment};
use hearken::time::{CHUNK_FEATURES, CHUNK_SAMPLES};

static GUARDED: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn count(bytes: usize) {
    if GUARDED.load(Ordering::Relaxed) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: everything is passed on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn guarded<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    CALLS.store(0, Ordering::Relaxed);
    BYTES.store(0, Ordering::Relaxed);
    GUARDED.store(true, Ordering::Relaxed);
    let done = work();
    GUARDED.store(false, Ordering::Relaxed);
    (done, CALLS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed))
}

/// One test, for the counters are the process's.
#[test]
fn a_chunk_allocates_its_features_and_a_handful_of_lists_but_nothing_for_its_layers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
    let model = Model::load(&folder, "starter", Some(Precision::Q4), ComputeDevice::Cpu).unwrap();
    let samples: [f32; CHUNK_SAMPLES] = std::array::from_fn(|n| 0.1 * ((n * n % 977) as f32 / 488.0 - 1.0));
    let ids = model.ids();
    let mut log_mel = LogMel::new(MaxOver::Newest45Secs);
    let mut caches = [model.new_cache(), model.new_cache()];
    let mut costs = Vec::new();
    // A cache grows every 512 positions: 39 chunks.
    for chunk in 0..60 {
        let mel = log_mel.step(&samples);
        let (features, encode_calls, encode_bytes) = guarded(|| model.encode(mel.as_slice()).unwrap());
        let mut segments: Vec<Segment<'_>> = caches
            .iter_mut()
            .map(|cache| Segment {
                cache,
                inputs: vec![
                    Input::Token(ids.keep_silence),
                    Input::Token(ids.audio_begin),
                    Input::Features(features.clone()),
                    Input::Token(ids.assistant),
                ],
                reads: vec![(12, Read::Decision)],
            })
            .collect();
        let (_, pass_calls, pass_bytes) = guarded(|| model.pass(&mut segments).unwrap());
        if chunk >= 5 {
            costs.push((encode_calls, encode_bytes, pass_calls, pass_bytes));
        }
    }
    let features = CHUNK_FEATURES * model.decoder().n_embd() * size_of::<f32>();
    let usual = |of: fn(&(usize, usize, usize, usize)) -> usize| {
        let mut all: Vec<usize> = costs.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let (encode_calls, encode_bytes, pass_calls, pass_bytes) = (usual(|c| c.0), usual(|c| c.1), usual(|c| c.2), usual(|c| c.3));
    println!("encoder {encode_calls} allocations, {encode_bytes} bytes ({features} of features); pass {pass_calls}, {pass_bytes} bytes");
    assert!(encode_calls <= 8 && encode_bytes <= features + 1_024, "the features are all that an encoded chunk leaves");
    assert!(pass_calls <= 20 && pass_bytes <= 2_048, "a pass makes lists of what is fed and read, nothing else");
    let growing = costs.iter().filter(|c| c.3 > 2_048).count();
    // Caches grow by half a minute at a time; each thread's row of attention scores by doubling, when its turn comes.
    assert!(growing <= 12, "{growing} chunks of {} grew a cache or a row of scores", costs.len());
}
