//! Weights in 8 and 4 bits against 32-bit floats, on the same tokens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use std::path::Path;

use hearken::config::{ComputeDevice, Precision};
use hearken::mel::{LogMel, MaxOver};
use hearken::model::decoder::{Input, Logits, Read, Segment};
use hearken::model::{LaneCache, Model};

/// A margin below which two roundings may rightly differ.
const MARGIN: f32 = 0.5;

fn model(folder: &str, precision: Precision) -> Model {
    Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), folder, precision, ComputeDevice::Cpu).unwrap()
}

/// The whole row of logits at the end of every chunk of a recording that is listened to in silence.
fn listen(model: &Model, cache: &mut LaneCache, samples: &[f32]) -> Vec<Vec<f32>> {
    let mut log_mel = LogMel::new(MaxOver::Everything);
    let ids = model.ids();
    let chunk = |samples: &[f32]| {
        let mel = log_mel.step(samples.try_into().unwrap());
        let features = model.encode(mel.as_slice()).unwrap();
        let inputs =
            vec![Input::Token(ids.keep_silence), Input::Token(ids.audio_begin), Input::Features(features), Input::Token(ids.assistant)];
        let mut segments = [Segment { cache, inputs, reads: vec![(12, Read::Row)] }];
        match model.pass(&mut segments).unwrap().remove(0).remove(0) {
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

fn best(row: &[f32]) -> (usize, f32) {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
    (order[0], row[order[0]] - row[order[1]])
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// `(share of calls that agree where the margin is wide, mean cosine of the logits)`.
fn compare(folder: &str, precision: Precision) -> (f64, f64) {
    let (exact, rounded) = (model(folder, Precision::F32), model(folder, precision));
    let samples = recording();
    let wanted = listen(&exact, &mut exact.new_cache(), &samples);
    let got = listen(&rounded, &mut rounded.new_cache(), &samples);
    let clear: Vec<bool> = wanted.iter().zip(&got).filter(|(w, _)| best(w).1 >= MARGIN).map(|(w, g)| best(w).0 == best(g).0).collect();
    assert!(clear.len() > 30, "{} calls with a wide margin", clear.len());
    let agree = clear.iter().filter(|same| **same).count() as f64 / clear.len() as f64;
    let cosine = wanted.iter().zip(&got).map(|(w, g)| cosine(w, g)).sum::<f64>() / wanted.len() as f64;
    println!("{folder} {}: {agree:.4} of {} agree, cosine {cosine:.6}", precision.name(), clear.len());
    (agree, cosine)
}

#[test]
fn eight_bits_decide_as_floats_do() {
    for folder in ["models/fixture", "models/starter"] {
        let (agree, cosine) = compare(folder, Precision::Q8);
        assert!(agree >= 0.995 && cosine >= 0.999, "{folder}: {agree} agree, cosine {cosine}");
    }
}

#[test]
fn four_bits_stay_near_on_a_trained_model() {
    let (agree, cosine) = compare("models/starter", Precision::Q4);
    assert!(agree >= 0.97 && cosine >= 0.98, "{agree} agree, cosine {cosine}");
}

#[test]
fn a_cache_of_packed_attention_comes_back_from_disk_as_it_was() {
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
    assert!(self::model("models/starter", Precision::Q8).load_cache(&file).is_none(), "and one of another model");
}
