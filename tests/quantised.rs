//! Files of quantised weights, and KV caches of packed attention. The accuracy of quantisation is measured in `accuracy.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot continue fails")]

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device};
use hearken::config::{ComputeDevice, Precision};
use hearken::mel::{LogMel, MaxWindow};
use hearken::model::decoder::{Input, Logits, Read, Segment};
use hearken::model::kernels::Bits;
use hearken::model::quantised::{Quantised, file_in};
use hearken::model::weights::{MatrixShape, Weights};
use hearken::model::{Features, LaneCache, Model, quantise};
use smallvec::smallvec;

fn model(folder: &str, precision: Precision) -> Model {
    Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), folder, Some(precision), ComputeDevice::Cpu).unwrap()
}

/// Listens in silence; returns all logits at the end of every chunk.
fn listen(model: &Model, cache: &mut LaneCache, samples: &[f32]) -> Vec<Vec<f32>> {
    let mut log_mel = LogMel::new(MaxWindow::WholeStream);
    let ids = model.ids();
    let chunk = |samples: &[f32]| {
        let mel = log_mel.step(samples.try_into().unwrap());
        let features = model.encode(mel.as_slice()).unwrap();
        let inputs = smallvec![
            Input::Token(ids.keep_silence),
            Input::Token(ids.audio_begin),
            Input::Features(features),
            Input::Token(ids.assistant)
        ];
        let mut segments = [Segment { cache, inputs, reads: smallvec![(12, Read::Row)] }];
        match model.pass(&mut segments).unwrap().remove(0) {
            Logits::Row(row) => row,
            Logits::Decision { .. } => panic!("a row was asked for"),
        }
    };
    samples.chunks_exact(6_400).map(chunk).collect()
}

fn recording() -> Vec<f32> {
    let wav = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wav/d3_mixed_60s.wav");
    hound::WavReader::open(wav).unwrap().samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect()
}

#[test]
fn quantised_file_gives_the_bits_of_weights_packed_at_loading() {
    let samples = &recording()[..6_400 * 20];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (precision, bits) in [(Precision::Q8, Bits::Eight), (Precision::Q4, Bits::Four)] {
        let dir = tempfile::tempdir().unwrap();
        let mut steps = Vec::new();
        let file = quantise(&root.join("models/starter"), precision, dir.path(), |done, all| {
            steps.push((done, all));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(file, file_in(dir.path(), bits));
        assert!(steps.is_sorted() && steps.last().is_some_and(|(done, all)| done == all), "progress ends with all weights");
        let names: Vec<String> = walk(dir.path());
        assert!(!names.iter().any(|name| name.contains("partial") || name.contains("safetensors")), "{names:?}");
        // Without a precision, the folder's only one applies.
        let alone = Model::load(dir.path(), "alone", None, ComputeDevice::Cpu).unwrap();
        assert_eq!(alone.precision(), precision);
        let packed = model("models/starter", precision);
        let (got, wanted) = (listen(&alone, &mut alone.new_cache(), samples), listen(&packed, &mut packed.new_cache(), samples));
        assert!(got == wanted, "{precision:?}: the same bits");
        let floats = Model::load(dir.path(), "alone", Some(Precision::F32), ComputeDevice::Cpu).unwrap_err();
        assert!(floats.message().contains("model.safetensors.index.json"), "{floats}");
    }
}

#[test]
fn stopped_or_crashed_quantisation_resumes_and_gives_the_same_file() {
    let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
    let whole = tempfile::tempdir().unwrap();
    let mut steps = Vec::new();
    let wanted = quantise(&starter, Precision::Q4, whole.path(), |done, _| {
        steps.push(done);
        ControlFlow::Continue(())
    });
    let wanted = std::fs::read(wanted.unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let half = steps[steps.len() / 2];
    let mut begun_at = Vec::new();
    let mut until = |most: u64| {
        let mut first = None;
        let made = quantise(&starter, Precision::Q4, dir.path(), |done, _| {
            first.get_or_insert(done);
            if done >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        begun_at.push(first.unwrap());
        made
    };
    let stopped = until(half).unwrap_err();
    assert!(stopped.message().contains("resumes here"), "{stopped}");
    assert_eq!(walk(dir.path()).iter().filter(|name| name.contains("gguf")).count(), 2, "{:?}", walk(dir.path()));
    // A crash may leave damaged bytes after the safe tensors.
    let partial = file_in(dir.path(), Bits::Four).with_extension("gguf.partial");
    let mut bytes = std::fs::read(&partial).unwrap();
    bytes.extend([7; 10_000]);
    std::fs::write(&partial, bytes).unwrap();
    let file = until(u64::MAX).unwrap();
    assert!(std::fs::read(&file).unwrap() == wanted, "the same bits");
    assert!(!walk(dir.path()).iter().any(|name| name.contains("partial")), "{:?}", walk(dir.path()));

    // A partial file with another header, or a wrong progress record, is not resumed.
    let fails = [("hearken", "3"), ("GGUF", "999999"), ("GGUF", "no number")];
    for (beginning, safe) in fails {
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&partial, beginning).unwrap();
        std::fs::write(partial.with_extension("partial.safe"), safe).unwrap();
        assert!(std::fs::read(until(u64::MAX).unwrap()).unwrap() == wanted, "{beginning} {safe}");
    }
    assert_eq!(begun_at[0], 0);
    assert!(begun_at[1] > 0 && begun_at[1] <= half, "finished work is not repeated: {begun_at:?}");
    assert_eq!(begun_at[2..], [0, 0, 0]);
}

fn walk(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn quantised_file_beside_other_weights_is_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    for name in walk(&root.join("models/starter")) {
        let from = root.join("models/starter").join(&name);
        if from.is_file() {
            std::fs::copy(&from, dir.path().join(name)).unwrap();
        }
    }
    quantise(&root.join("models/starter"), Precision::Q4, dir.path(), |_, _| ControlFlow::Continue(())).unwrap();
    Model::load(dir.path(), "both", Some(Precision::Q4), ComputeDevice::Cpu).unwrap();
    let shard = dir.path().join("model-00001-of-00001.safetensors");
    let mut bytes = std::fs::read(&shard).unwrap();
    let at = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[at] ^= 1;
    std::fs::write(&shard, bytes).unwrap();
    let error = Model::load(dir.path(), "both", Some(Precision::Q4), ComputeDevice::Cpu).unwrap_err();
    assert!(error.message().contains("hearken-q4.gguf") && error.message().contains("other weights"), "{error}");
}

#[test]
fn damaged_quantised_file_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
    let file = quantise(&fixture, Precision::Q8, dir.path(), |_, _| ControlFlow::Continue(())).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let open = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        Quantised::open(&file, Bits::Eight)
    };
    assert!(open(&whole).is_ok());
    let other = Quantised::open(&file, Bits::Four).unwrap_err();
    assert!(other.message().contains("4-bit"), "{other}");
    for cut in [0, 3, 4, 20, 100, 1_000, whole.len() / 2, whole.len() - 65] {
        let error = open(&whole[..cut]).unwrap_err();
        assert!(error.message().contains("hearken-q8.gguf"), "{cut}: {error}");
    }
    let set = |at: usize, bytes: &[u8]| {
        let mut damaged = whole.clone();
        damaged[at..at + bytes.len()].copy_from_slice(bytes);
        damaged
    };
    assert!(open(&set(0, b"GGML")).unwrap_err().message().contains("not a GGUF file"));
    assert!(open(&set(4, &2u32.to_le_bytes())).unwrap_err().message().contains("version 2"));
    assert!(open(&set(8, &u64::MAX.to_le_bytes())).unwrap_err().message().contains("damaged"));
    assert!(open(&set(16, &u64::MAX.to_le_bytes())).unwrap_err().message().contains("damaged"));
    // Name, dimensions and type of the first tensor.
    let name = b"lm_head.weight.kept";
    let at = whole.windows(name.len()).position(|part| part == name).unwrap() + name.len();
    assert!(open(&set(at + 4 + 16, &12u32.to_le_bytes())).unwrap_err().message().contains("block type 12"));
    assert!(open(&set(at + 4, &u64::MAX.to_le_bytes())).unwrap_err().message().contains("cut short"));
    assert!(open(&set(at, &9u32.to_le_bytes())).unwrap_err().message().contains("9 dimensions"));
    // Any byte of the header may change without a panic; a file that still opens checks each tensor.
    let header = at + 2_000;
    for at in 0..header {
        for value in [0, 1, 0x7f, 0xff] {
            if let Ok(open) = open(&set(at, &[value])) {
                let _ = open.packed("lm_head.weight", MatrixShape::new(100, 64), Bits::Eight);
                let _ = open.get("transformer.ln_f.weight", &[64], DType::F32, &Device::Cpu);
            }
        }
    }
}

#[test]
fn unwritable_folder_leaves_no_files_behind() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
    let error = quantise(&starter, Precision::Q4, &file, |_, _| ControlFlow::Continue(())).unwrap_err();
    assert!(error.message().contains("file"), "{error}");
    let error = quantise(&starter, Precision::F32, dir.path(), |_, _| ControlFlow::Continue(())).unwrap_err();
    assert!(error.message().contains("q8 or q4"), "{error}");
    assert_eq!(walk(dir.path()), ["file"]);
}

#[test]
fn packed_cache_is_restored_from_disk_exactly() {
    let model = model("models/fixture", Precision::Q8);
    let samples = recording();
    let mut cache = model.new_cache();
    listen(&model, &mut cache, &samples[..6_400 * 5]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.safetensors");
    cache.save(&file).unwrap();
    let mut again = model.load_cache(&file).unwrap();
    assert_eq!(again.positions(), cache.positions());
    let rest = &samples[6_400 * 5..6_400 * 9];
    assert_eq!(listen(&model, &mut again, rest), listen(&model, &mut cache, rest));
    assert!(self::model("models/fixture", Precision::F32).load_cache(&file).is_none(), "a cache of another precision is refused");
    assert!(self::model("models/starter", Precision::Q8).load_cache(&file).is_none(), "a cache of another model is refused");
}

#[test]
fn batch_of_chunks_gives_the_features_of_each_chunk_alone() {
    for precision in [Precision::F32, Precision::Q8, Precision::Q4] {
        let model = model("models/starter", precision);
        let mels: Vec<_> = (0..7)
            .map(|sound: usize| {
                let samples = std::array::from_fn(|n| 0.3 * ((n * (sound + 3)) as f32 / 37.0).sin() * ((n / 400 + sound) % 3) as f32);
                LogMel::new(MaxWindow::WholeStream).step(&samples)
            })
            .collect();
        let mels: Vec<&[f32]> = mels.iter().map(|mel| mel.as_slice()).collect();
        let together = model.encode_batch(&mels).unwrap();
        assert_eq!(together.len(), mels.len());
        let numbers = |features: &Features| model.features_f32(features).unwrap();
        for (mel, features) in mels.iter().zip(&together) {
            let (alone, features) = (numbers(&model.encode(mel).unwrap()), numbers(features));
            let largest = alone.iter().zip(&features).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Integers are exact; float sums may be split differently for more rows.
            let bound = if precision == Precision::F32 { 1e-4 } else { 0.0 };
            assert!(alone.len() == features.len() && largest <= bound, "{precision:?}: {largest}");
        }
        assert_ne!(numbers(&together[0]), numbers(&together[1]), "different sounds give different features");
        assert!(model.encode_batch(&[]).unwrap().is_empty());
    }
}
