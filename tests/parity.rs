//! Features, logits and tokens of the reference (`tests/golden`), through `hearken trace`, which runs the microphone path.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot continue fails")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use hearken::config::{TraceOptions, TracePath};
use hearken::protocol::ModelChoice;
use serde_json::Value;

/// The largest accepted difference of a feature.
const FEATURES: f32 = 2e-4;
/// The largest accepted difference of a logit.
const LOGITS: f32 = 1e-3;
/// The largest accepted difference of a log-mel value.
const MEL: f32 = 2e-4;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn trace(wavs: &[&str], path: TracePath) -> (HashMap<String, Tensor>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("trace.safetensors");
    let files = wavs.iter().map(|w| golden("wav").join(format!("{w}.wav"))).collect();
    let model = ModelChoice::Dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture"));
    hearken::trace::run(&TraceOptions { files, model, path, out: out.clone() }).unwrap();
    (safetensors::load(&out, &Device::Cpu).unwrap(), json(&out.with_extension("json")))
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn check_calls(got: &HashMap<String, Tensor>, said: &Value, golden_json: &Value, golden: &HashMap<String, Tensor>) {
    let tokens: Vec<i64> = got["tokens"].to_vec1().unwrap();
    let states: Vec<i64> = got["state"].to_vec1().unwrap();
    let chunks: Vec<i64> = got["chunk"].to_vec1().unwrap();
    let steps = golden_json["steps"].as_array().unwrap();
    assert_eq!(tokens.len(), steps.len());
    for (at, step) in steps.iter().enumerate() {
        assert_eq!(tokens[at], step["token"].as_i64().unwrap(), "token of call {at}: {step}");
        assert_eq!(states[at], i64::from(step["state"] == "speak"), "state of call {at}");
        assert_eq!(chunks[at], step["chunk"].as_i64().unwrap(), "chunk of call {at}");
    }
    let at: Vec<u32> = golden_json["logits_steps"].as_array().unwrap().iter().map(|s| s.as_u64().unwrap() as u32).collect();
    let rows = got["logits"].index_select(&Tensor::new(at, &Device::Cpu).unwrap(), 0).unwrap();
    let difference = largest_difference(&numbers(&rows), &numbers(&golden["logits"]));
    println!("logits differ by {difference:e}");
    assert!(difference <= LOGITS, "logits differ by {difference}");
    assert_eq!(said["prefix"], golden_json["prefix"]);
}

fn check_live(name: &str) {
    let (got, said) = trace(&[name], TracePath::Live);
    let golden_json = json(&golden(&format!("{name}.live_continuous.json")));
    let golden = safetensors::load(golden(&format!("{name}.live_continuous.safetensors")), &Device::Cpu).unwrap();
    check_calls(&got, &said, &golden_json, &golden);
    let stored: Vec<u32> =
        golden_json["features_chunks"]["features"].as_array().unwrap().iter().map(|c| c.as_u64().unwrap() as u32).collect();
    let features = got["features"].index_select(&Tensor::new(stored, &Device::Cpu).unwrap(), 0).unwrap();
    let difference = largest_difference(&numbers(&features), &numbers(&golden["features"]));
    println!("features differ by {difference:e}");
    assert!(difference <= FEATURES, "features differ by {difference}");
}

fn check_offline(wavs: &[&str], name: &str) {
    let (got, said) = trace(wavs, TracePath::Offline);
    let golden_json = json(&golden(&format!("{name}.offline.json")));
    let golden = safetensors::load(golden(&format!("{name}.offline.safetensors")), &Device::Cpu).unwrap();
    check_calls(&got, &said, &golden_json, &golden);
    let mut chunk = 0;
    for (segment, described) in golden_json["segments"].as_array().unwrap().iter().enumerate() {
        let chunks = described["chunks"].as_u64().unwrap() as usize;
        if let Some(features) = golden.get(&format!("features.{segment}")) {
            let stored = &golden_json["features_chunks"][format!("features.{segment}")];
            let stored: Vec<u32> = stored.as_array().unwrap().iter().map(|c| c.as_u64().unwrap() as u32).collect();
            let own = got["features"].narrow(0, chunk, chunks).unwrap();
            let own = own.index_select(&Tensor::new(stored, &Device::Cpu).unwrap(), 0).unwrap();
            let difference = largest_difference(&numbers(&own), &numbers(features));
            assert!(difference <= FEATURES, "features of segment {segment} differ by {difference}");
        }
        chunk += chunks;
    }
    assert_eq!(chunk, got["features"].dim(0).unwrap());
    if let Some(mel) = golden.get("mel_first.0") {
        let difference = largest_difference(&numbers(&got["mel_first"]), &numbers(mel));
        assert!(difference <= MEL, "log-mel differs by {difference}");
    }
}

#[test]
fn live_speech_matches_the_reference() {
    check_live("d1_speech_7p3s");
}

#[test]
fn live_late_burst_matches_the_reference() {
    check_live("d2_late_burst_11p4s");
}

#[test]
fn live_minute_matches_the_reference_past_position_2048() {
    check_live("d3_mixed_60s");
}

#[test]
fn speech_file_matches_the_reference() {
    check_offline(&["d1_speech_7p3s"], "d1_speech_7p3s");
}

#[test]
fn late_burst_file_matches_the_reference() {
    check_offline(&["d2_late_burst_11p4s"], "d2_late_burst_11p4s");
}

#[test]
fn minute_long_file_matches_the_reference_past_position_2048() {
    check_offline(&["d3_mixed_60s"], "d3_mixed_60s");
}

#[test]
fn two_files_in_one_session_match_the_reference() {
    check_offline(&["d1_speech_7p3s", "d2_late_burst_11p4s"], "two_files_d1_d2");
}
