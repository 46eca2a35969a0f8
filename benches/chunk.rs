//! What one chunk costs: log-mel, encoder, listening pass, reply token, text; after a second and after an hour.
//!
//! The reference computes everything again at every chunk, so its cost grows 90-fold in the first minute; here the figures
//! of "after a second" and "after an hour" must be equal within the noise.

use std::hint::black_box;
use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use hearken::config::{ComputeDevice, Precision};
use hearken::mel::{LogMel, MaxWindow};
use hearken::model::rope::Rope;
use hearken::model::text::StreamingText;
use hearken::model::{Input, LaneCache, Model, Read, Segment};
use hearken::time::CHUNK_SAMPLES;
use smallvec::{SmallVec, smallvec};

/// Chunks in an hour.
const HOUR: usize = 9_000;
/// Positions that the measured lane holds.
const CONTEXT: usize = 1_000;

fn noise(seed: usize) -> [f32; CHUNK_SAMPLES] {
    std::array::from_fn(|n| 0.1 * (((n + seed) * (n + seed) % 977) as f32 / 488.0 - 1.0))
}

fn fixture() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
    match Model::load(&folder, "fixture", Some(Precision::F32), ComputeDevice::Cpu) {
        Ok(model) => model,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(2)
        }
    }
}

fn ears(c: &mut Criterion) {
    let model = fixture();
    for (name, before) in [("after a second", 2), ("after an hour", HOUR)] {
        let mut mel = LogMel::new(MaxWindow::Last45Secs);
        for n in 0..before {
            mel.step(&noise(n));
        }
        let chunk = noise(before);
        c.bench_function(&format!("log-mel of a chunk, {name}"), |b| b.iter(|| black_box(mel.step(black_box(&chunk)))));
        let chunk = mel.step(&chunk);
        c.bench_function(&format!("encoder of a chunk, {name}"), |b| b.iter(|| black_box(model.encode(chunk.as_slice()).is_ok())));
    }
}

fn lanes(c: &mut Criterion) {
    let model = fixture();
    let ids = model.ids();
    let mut filled = model.new_cache();
    for _ in 0..CONTEXT / 50 {
        let inputs = smallvec![Input::Token(ids.pad); 50];
        let passed = model.pass(&mut [Segment { cache: &mut filled, inputs, reads: SmallVec::new() }]);
        assert!(passed.is_ok());
    }
    let Ok(features) = model.encode(LogMel::new(MaxWindow::WholeStream).step(&noise(1)).as_slice()) else { return };
    let listen = [Input::Token(ids.keep_silence), Input::Token(ids.audio_begin), Input::Features(features), Input::Token(ids.assistant)];
    for (name, inputs, read) in
        [("listening pass", &listen[..], (12, Read::Decision)), ("reply token", &[Input::Token(ids.pad)][..], (0, Read::Row))]
    {
        c.bench_function(&format!("{name} at {CONTEXT} positions"), |b| {
            b.iter_batched(
                || filled.fork(),
                |cache| {
                    let Ok(mut cache) = cache else { return };
                    let passed = model.pass(&mut [Segment { cache: &mut cache, inputs: inputs.into(), reads: smallvec![read] }]);
                    black_box(passed.is_ok());
                },
                BatchSize::SmallInput,
            );
        });
    }
    let Ok(tokens) = model.vocabulary().encode("Could you tell me the time, please? It is a quarter past nine.") else { return };
    c.bench_function("text decoding of a reply", |b| {
        b.iter(|| {
            let mut text = StreamingText::default();
            for token in &tokens {
                black_box(text.step(*token, model.vocabulary()));
            }
        });
    });
}

/// What a chunk costs beside the rest when a window of 2,048 positions is full, at the 3B's sizes.
fn making_room(c: &mut Criterion) {
    const LAYERS: usize = 36;
    const GROUPS: usize = 2;
    const SIZE: usize = 128;
    const POSITIONS: usize = 2_048;
    let rope = Rope::new(SIZE, 1e6);
    let Ok(folder) = tempfile::tempdir() else { return };
    let file = folder.path().join("cache.safetensors");
    let random = || Tensor::randn(0f32, 1.0, (GROUPS, POSITIONS, SIZE), &Device::Cpu).and_then(|t| t.to_dtype(DType::F16));
    let named = (0..LAYERS).flat_map(|layer| [format!("k.{layer}"), format!("v.{layer}")]).filter_map(|name| Some((name, random().ok()?)));
    assert!(safetensors::save(&named.collect(), &file).is_ok());
    let Some(full) = LaneCache::packed(LAYERS, GROUPS, SIZE).load(&file, (GROUPS, SIZE, DType::F16), &rope, &Device::Cpu) else { return };
    // 39 silent chunks go, one after each that stays.
    let kept: Vec<_> = std::iter::once(0..46).chain((0..39).map(|n| 59 + 26 * n..72 + 26 * n)).chain([1_060..POSITIONS]).collect();
    c.bench_function("making room in 2,048 positions at the 3B's sizes", |b| {
        b.iter_batched(
            || full.fork(),
            |cache| {
                let Ok(mut cache) = cache else { return };
                black_box(cache.compact(&kept, &rope).is_ok());
            },
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, ears, lanes, making_room);
criterion_main!(benches);
