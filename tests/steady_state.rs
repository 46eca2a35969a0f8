//! Allocations of steady listening, counted by an allocator for all threads.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hearken::config::modes::builtin;
use hearken::config::{ComputeDevice, ContextChoice, Paths, Precision, SamplingChoice};
use hearken::lane::{Ask, ChunkMeta, Follows, Priority};
use hearken::mel::{LogMel, MaxWindow};
use hearken::model::{Features, Input, Model, Read, Segment};
use hearken::protocol::Language;
use hearken::session::EncodedChunk;
use hearken::session::prompt::PromptCache;
use hearken::session::{Session, SessionConfig};
use hearken::time::{CHUNK_SAMPLES, ChunkIdx, StreamTime};
use smallvec::smallvec;

static GUARDED: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting calls and bytes while `GUARDED`.
struct Counting;

fn count(bytes: usize) {
    if GUARDED.load(Ordering::Relaxed) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed to the system's allocator unchanged; counting allocates nothing.
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

/// One test, because the counters belong to the process.
#[test]
fn steady_listening_allocates_only_its_events() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
    let model = Arc::new(Model::load(&folder, "starter", Some(Precision::Q4), ComputeDevice::Cpu).unwrap());
    let features = check_computing(&model);
    check_deciding(&model, &features);
}

/// Checks encoder and decoder; returns the features computed last.
fn check_computing(model: &Model) -> Features {
    const WINDOW: usize = 2_048;
    let samples: [f32; CHUNK_SAMPLES] = std::array::from_fn(|n| 0.1 * ((n * n % 977) as f32 / 488.0 - 1.0));
    let ids = model.ids();
    let mut log_mel = LogMel::new(MaxWindow::Last45Secs);
    let mut caches = [model.new_cache(), model.new_cache()];
    caches.iter_mut().for_each(|cache| cache.reserve(WINDOW));
    let (mut costs, mut newest) = (Vec::new(), None);
    // Past the end of the window, so that caches are compacted on the way.
    for chunk in 0..200 {
        let mel = log_mel.step(&samples);
        let (features, encode_calls, encode_bytes) = guarded(|| model.encode(mel.as_slice()).unwrap());
        let mut segments: Vec<Segment<'_>> = Vec::new();
        for cache in &mut caches {
            if cache.positions() + 13 > WINDOW {
                model.compact(cache, &[0..40, 600..cache.positions()]).unwrap();
            }
            let inputs = smallvec![
                Input::Token(ids.keep_silence),
                Input::Token(ids.audio_begin),
                Input::Features(features.clone()),
                Input::Token(ids.assistant),
            ];
            segments.push(Segment { cache, inputs, reads: smallvec![(12, Read::Decision)] });
        }
        let (_, pass_calls, pass_bytes) = guarded(|| model.pass(&mut segments).unwrap());
        newest = Some(features);
        if chunk >= 2 {
            costs.push((encode_calls, encode_bytes, pass_calls, pass_bytes));
        }
    }
    let encoding: Vec<_> = costs.iter().map(|c| (c.0, c.1)).collect();
    let passing: Vec<_> = costs.iter().map(|c| (c.2, c.3)).collect();
    println!("encoder: {:?}; pass: {:?}", median(&encoding), median(&passing));
    assert_within(&encoding, 0, 0, "feature buffers are reused");
    assert_within(&passing, 0, 0, "a pass reuses its scratch");
    newest.unwrap()
}

/// Returns the median of allocations and bytes of a chunk.
fn median(costs: &[(usize, usize)]) -> (usize, usize) {
    let mut sorted = costs.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// Checks that no chunk costs more, except one per thread: a thread that got no work so far allocates its scratch at the first.
fn assert_within(costs: &[(usize, usize)], calls: usize, bytes: usize, what: &str) {
    let beyond: Vec<_> = costs.iter().filter(|cost| cost.0 > calls || cost.1 > bytes).collect();
    assert!(beyond.len() <= hearken::model::threads(), "{what}: {} of {} chunks, {beyond:?}", beyond.len(), costs.len());
}

/// Checks a session of two modes: planning, feeding, reading and events.
fn check_deciding(model: &Arc<Model>, features: &Features) {
    let sampling = SamplingChoice { temperature: 0.0, top_k: None, seed: 0 };
    let mut session = Session::new(Arc::clone(model), SessionConfig::product(sampling, ContextChoice::default())).unwrap();
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::inside(home.path());
    for mut mode in builtin(Language::Chinese, &paths.instructions()).into_iter().take(2) {
        // No replies, whose allocations depend on their length.
        mode.eagerness = -1e6;
        session.switch_on(&mode, &PromptCache::of(model, &mode, &paths).unwrap()).unwrap();
    }
    let (mut costs, mut events, mut trims) = (Vec::new(), Vec::new(), 0);
    for n in 0..400 {
        let at = StreamTime::from_samples((n + 1) * CHUNK_SAMPLES as u64);
        let encoded = EncodedChunk {
            meta: ChunkMeta { chunk: ChunkIdx(n), at, ask: Ask::Decide, priority: Priority::Heard, follows: Follows::Chunk },
            features: features.clone(),
        };
        let (_, calls, bytes) = guarded(|| {
            session.push(encoded);
            while session.pass(&mut events).unwrap() {}
        });
        let trimmed = events.len() > 2;
        trims += usize::from(trimmed);
        events.clear();
        // After the window was full once, the session's lists have their final size.
        if n >= 200 && !trimmed {
            costs.push((calls, bytes));
        }
    }
    println!("a session of two modes: {:?} a chunk; {trims} compactions", median(&costs));
    assert!(trims > 2);
    // Two events, with the name of their mode.
    assert_within(&costs, 2, 64, "a decision allocates its event");
}
