//! Rotations, sampling probabilities, tokenizer cases and log-mel against the reference (`tests/golden`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot continue fails")]

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};
use hearken::audio::read_file;
use hearken::mel::{LogMel, MaxWindow, recording_chunks};
use hearken::model::config::LmConfig;
use hearken::model::rope::Rope;
use hearken::model::sampler::LogitFilter;
use hearken::model::text::Vocabulary;
use hearken::model::token_ids::TokenIds;
use hearken::time::{CHUNK_FRAMES, CHUNK_SAMPLES};
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(golden(name)).unwrap()).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn rotations_match_the_reference_at_every_recorded_position() {
    let recorded = safetensors::load(golden("rope.safetensors"), &Device::Cpu).unwrap();
    let config = LmConfig::read(Path::new("models/fixture")).unwrap();
    let rope = Rope::new(config.head(), config.rope_base);
    let positions: Vec<i64> = recorded["positions"].to_dtype(DType::I64).unwrap().to_vec1().unwrap();
    let half = config.head() / 2;
    for (row, position) in positions.iter().enumerate() {
        let (cos, sin): (Vec<f32>, Vec<f32>) = rope.cos_sin(*position as usize, 1).unzip();
        for (own, name) in [(cos, "cos"), (sin, "sin")] {
            let want = numbers(&recorded[name].get(row).unwrap());
            let far = own.iter().zip(&want[..half]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far <= 1e-6, "{name} at position {position} differs by {far}");
        }
    }
}

#[test]
fn sampling_probabilities_match_the_reference() {
    let rows = safetensors::load(golden("sampling.safetensors"), &Device::Cpu).unwrap();
    let rows: Vec<Vec<f32>> = rows["logits"].to_vec2().unwrap();
    for case in json("sampling.json").as_array().unwrap() {
        let filter = LogitFilter {
            temperature: case["temperature"].as_f64().unwrap(),
            top_k: case["top_k"].as_u64().map(|k| k as usize),
            top_p: case["top_p"].as_f64().unwrap(),
        };
        let got = filter.probabilities(&rows[case["row"].as_u64().unwrap() as usize]).unwrap();
        if case["deterministic"] == true {
            assert_eq!(got[case["argmax"].as_u64().unwrap() as usize], 1.0, "{case}");
            continue;
        }
        assert_eq!(got.iter().filter(|p| **p > 0.0).count() as u64, case["n_nonzero"].as_u64().unwrap(), "{case}");
        for pair in case["top"].as_array().unwrap() {
            let (id, want) = (pair[0].as_u64().unwrap() as usize, pair[1].as_f64().unwrap() as f32);
            assert!((got[id] - want).abs() <= 1e-5, "{id}: {} and {want} in {case}", got[id]);
        }
    }
}

#[test]
fn tokenizer_matches_the_reference_both_ways() {
    let folder = Path::new("models/fixture");
    let vocabulary = Vocabulary::read(folder, &TokenIds::read(folder, 768).unwrap(), 768).unwrap();
    for case in json("tokenizer_cases.json").as_array().unwrap() {
        let ids: Vec<u32> = case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        assert_eq!(vocabulary.encode(case["text"].as_str().unwrap()).unwrap(), ids, "{case}");
        assert_eq!(vocabulary.decode(&ids), case["decoded"].as_str().unwrap());
    }
}

#[test]
fn log_mel_matches_the_reference_live_and_for_files() {
    for name in ["d1_speech_7p3s", "d2_late_burst_11p4s", "d3_mixed_60s"] {
        let mut samples = read_file(&golden("wav").join(format!("{name}.wav"))).unwrap();
        samples.resize(samples.len().next_multiple_of(CHUNK_SAMPLES), 0.0);
        let mut live = LogMel::new(MaxWindow::WholeStream);
        let steps: Vec<_> = samples.as_chunks::<CHUNK_SAMPLES>().0.iter().map(|chunk| live.step(chunk)).collect();
        let recorded = safetensors::load(golden(&format!("{name}.live_continuous.safetensors")), &Device::Cpu).unwrap();
        let mut compared = 0;
        for (key, tensor) in &recorded {
            if let Some(frame) = key.strip_prefix("mel_last40.frame") {
                check(steps[frame.parse::<usize>().unwrap()].as_slice(), &numbers(tensor), key);
                compared += 1;
            }
        }
        assert!(compared > 0);
        let file = recording_chunks(&samples);
        let recorded = safetensors::load(golden(&format!("{name}.offline.safetensors")), &Device::Cpu).unwrap();
        check(file.last().unwrap().as_slice(), &numbers(&recorded["mel_last.0"]), "mel_last.0");
        // The frames of a live step equal those of a file that ends there.
        let cut = recording_chunks(&samples[..7 * CHUNK_SAMPLES]);
        check(steps[6].as_slice(), cut[6].as_slice(), "the seventh step");
    }
}

fn check(got: &[f32], want: &[f32], name: &str) {
    assert_eq!(got.len() % CHUNK_FRAMES, 0);
    assert_eq!(got.len(), want.len());
    let far = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far <= 2e-4, "{name} differs by {far}");
}

#[test]
fn loud_noise_lowers_the_log_mel_for_at_most_45_seconds() {
    let noise = |loud: f32| -> [f32; CHUNK_SAMPLES] { std::array::from_fn(|n| loud * (((n * n) % 977) as f32 / 488.0 - 1.0)) };
    let (mut live, mut everything) = (LogMel::new(MaxWindow::Last45Secs), LogMel::new(MaxWindow::WholeStream));
    let fresh = LogMel::new(MaxWindow::WholeStream).step(&noise(0.0005));
    live.step(&noise(1.0));
    everything.step(&noise(1.0));
    let mut last = (live.step(&noise(0.0005)), everything.step(&noise(0.0005)));
    for _ in 0..120 {
        last = (live.step(&noise(0.0005)), everything.step(&noise(0.0005)));
    }
    let spread = |mel: &[f32]| mel.iter().copied().fold(f32::MIN, f32::max) - mel.iter().copied().fold(f32::MAX, f32::min);
    assert!(spread(last.0.as_slice()) > 0.9 * spread(fresh.as_slice()));
    assert!(spread(last.1.as_slice()) < spread(last.0.as_slice()) - 0.2, "without forgetting the maximum, quiet sound stays flat");
}
