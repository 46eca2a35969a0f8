//! The cost of one chunk: log-mel, encoder, listening pass, reply token and text, after a second and after an hour.
//!
//! The reference recomputes everything at every chunk, so that its cost grows 90-fold in the first minute; here the figures after a
//! second and after an hour must be equal within the noise.

use std::fmt::Display;
use std::hint::black_box;
use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use hearken::config::{ComputeDevice, Precision};
use hearken::mel::{LogMel, MaxWindow};
use hearken::model::kv_cache::KvShape;
use hearken::model::rope::Rope;
use hearken::model::text::StreamingText;
use hearken::model::{Input, LaneCache, Model, Read, Segment};
use hearken::time::CHUNK_SAMPLES;
use smallvec::{SmallVec, smallvec};

/// Chunks in an hour.
const HOUR: usize = 9_000;
/// Positions in the cache of the measured lane.
const CONTEXT: usize = 1_000;
/// Positions of one pass that fills the cache.
const FILL_ROWS: usize = 50;
/// The last row of a listening pass, where its decision is read.
const LAST_LISTEN_ROW: usize = 12;

/// Returns the value of `result`; an error ends the benchmark with exit code 2, so that none is skipped silently.
fn require<T, E: Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(2)
    })
}

/// Returns a chunk of noise that depends on `seed`.
fn noise(seed: usize) -> [f32; CHUNK_SAMPLES] {
    std::array::from_fn(|n| 0.1 * (((n + seed) * (n + seed) % 977) as f32 / 488.0 - 1.0))
}

fn fixture() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
    require(Model::load(&folder, "fixture", Some(Precision::F32), ComputeDevice::Cpu))
}

fn log_mel_and_encoder(c: &mut Criterion) {
    let model = fixture();
    for (name, before) in [("after a second", 2), ("after an hour", HOUR)] {
        let mut mel = LogMel::new(MaxWindow::Last45Secs);
        for n in 0..before {
            mel.step(&noise(n));
        }
        let chunk = noise(before);
        c.bench_function(&format!("log-mel of a chunk, {name}"), |b| b.iter(|| black_box(mel.step(black_box(&chunk)))));
        let chunk = mel.step(&chunk);
        c.bench_function(&format!("encoder of a chunk, {name}"), |b| b.iter(|| black_box(require(model.encode(chunk.as_slice())))));
    }
}

fn passes_and_text(c: &mut Criterion) {
    let model = fixture();
    let ids = model.ids();
    let mut filled = model.new_cache();
    for _ in 0..CONTEXT / FILL_ROWS {
        let inputs = smallvec![Input::Token(ids.pad); FILL_ROWS];
        require(model.pass(&mut [Segment { cache: &mut filled, inputs, reads: SmallVec::new() }]));
    }
    let features = require(model.encode(LogMel::new(MaxWindow::WholeStream).step(&noise(1)).as_slice()));
    let listen = [Input::Token(ids.keep_silence), Input::Token(ids.audio_begin), Input::Features(features), Input::Token(ids.assistant)];
    let reply = [Input::Token(ids.pad)];
    for (name, inputs, read) in
        [("listening pass", &listen[..], (LAST_LISTEN_ROW, Read::Decision)), ("reply token", &reply[..], (0, Read::Row))]
    {
        c.bench_function(&format!("{name} at {CONTEXT} positions"), |b| {
            b.iter_batched(
                || require(filled.fork()),
                |mut cache| {
                    black_box(require(model.pass(&mut [Segment { cache: &mut cache, inputs: inputs.into(), reads: smallvec![read] }])));
                },
                BatchSize::SmallInput,
            );
        });
    }
    let tokens = require(model.vocabulary().encode("Could you tell me the time, please? It is a quarter past nine."));
    c.bench_function("text decoding of a reply", |b| {
        b.iter(|| {
            let mut text = StreamingText::default();
            for token in &tokens {
                black_box(text.step(*token, model.vocabulary()));
            }
        });
    });
}

/// Compaction of a full window of 2,048 positions at the 3B's sizes, which a chunk may cost in addition.
fn compaction(c: &mut Criterion) {
    const LAYERS: usize = 36;
    const SHAPE: KvShape = KvShape { groups: 2, head_size: 128 };
    const POSITIONS: usize = 2_048;
    let rope = Rope::new(SHAPE.head_size, 1e6);
    let folder = require(tempfile::tempdir());
    let file = folder.path().join("cache.safetensors");
    let random = || {
        let tensor = Tensor::randn(0f32, 1.0, (SHAPE.groups, POSITIONS, SHAPE.head_size), &Device::Cpu);
        require(tensor.and_then(|t| t.to_dtype(DType::F16)))
    };
    let named = (0..LAYERS).flat_map(|layer| [format!("k.{layer}"), format!("v.{layer}")]).map(|name| (name, random()));
    require(safetensors::save(&named.collect(), &file));
    let full = LaneCache::packed(LAYERS, SHAPE).load(&file, SHAPE, DType::F16, &rope, &Device::Cpu);
    let full = require(full.ok_or("the cache just written cannot be read"));
    // 39 silent chunks are dropped, each followed by one that stays.
    let kept: Vec<_> = std::iter::once(0..46).chain((0..39).map(|n| 59 + 26 * n..72 + 26 * n)).chain([1_060..POSITIONS]).collect();
    c.bench_function("compaction of 2,048 positions at the 3B's sizes", |b| {
        b.iter_batched(|| require(full.fork()), |mut cache| require(cache.compact(&kept, &rope)), BatchSize::LargeInput);
    });
}

criterion_group!(benches, log_mel_and_encoder, passes_and_text, compaction);
criterion_main!(benches);
