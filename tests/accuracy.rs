//! The accuracy of 8 and 4 bits against f32, teacher-forced: every call of the f32 model is repeated, and the logits are compared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot continue fails")]

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use hearken::audio::read_wav;
use hearken::error::Result;
use hearken::mel::{LogMel, MaxWindow};
use hearken::model::checkpoint::Checkpoint;
use hearken::model::decoder::{Decoder, Input, Logits, Read, Segment};
use hearken::model::encoder::Encoder;
use hearken::model::features::Features;
use hearken::model::kernels::{Bits, tile_bytes, unpack};
use hearken::model::linear::pack;
use hearken::model::token_ids::TokenIds;
use hearken::model::weights::{ComputeType, MatrixShape, Packing, Planes, Weights, packing};
use hearken::time::CHUNK_SAMPLES;
use smallvec::{SmallVec, smallvec};

/// The margin between the two largest logits above which a choice is clear.
const CLEAR_MARGIN: f32 = 0.5;
/// Chunks after which a lane's cache is emptied: they and their replies fit a window of 2,048 positions.
const WINDOW_CHUNKS: usize = 100;
/// The most tokens of a reply.
const REPLY_TOKENS: usize = 12;

const F32: ComputeType = ComputeType::Float(DType::F32);
const Q8: ComputeType = ComputeType::Packed(Bits::Eight);
const Q4: ComputeType = ComputeType::Packed(Bits::Four);

/// A change to a checkpoint's weights before a model is built from them.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    /// The matrices are rounded to 4 bits as packed ones are, but computed in f32.
    RoundedToFour,
    /// `lm_head` is the identity, so that the logits are the last hidden state.
    HeadIsIdentity,
}

/// A checkpoint with a change.
struct Changed<'a>(&'a Checkpoint, Change);

impl Weights for Changed<'_> {
    fn get(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let exact = self.0.get(name, shape, dtype, device)?;
        let [out, inner] = *shape else { return Ok(exact) };
        let values = match self.1 {
            Change::HeadIsIdentity if name == "lm_head.weight" => {
                (0..out * inner).map(|i| if i / inner == i % inner { 1.0 } else { 0.0 }).collect()
            }
            Change::RoundedToFour => {
                let Packing { bits, planes } = packing(name, Bits::Four);
                let exact = exact.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let unpacked = |bytes: Vec<u8>| -> Vec<f32> {
                    bytes.chunks(tile_bytes(bits, inner)).flat_map(|tile| unpack(tile, inner, bits)).take(out * inner).collect()
                };
                assert_eq!(planes, Planes::One, "4 bits have no second plane");
                unpacked(pack(&exact, bits, inner))
            }
            _ => return Ok(exact),
        };
        Ok(Tensor::from_vec(values, shape, device).unwrap())
    }

    fn rows(&self, name: &str, shape: MatrixShape, ids: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        self.0.rows(name, shape, ids, dtype, device)
    }
}

/// A model's parts, built with a change and in any arithmetic.
struct Parts {
    encoder: Encoder,
    decoder: Decoder,
    ids: TokenIds,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

fn parts(name: &str, change: Change, compute: ComputeType) -> Parts {
    let checkpoint = Checkpoint::open(&folder(name)).unwrap();
    let ids = TokenIds::read(&folder(name), checkpoint.lm.padded_vocab_size).unwrap();
    let (weights, device) = (Changed(&checkpoint, change), Device::Cpu);
    let decoder = Decoder::from_weights(&weights, &checkpoint.lm, compute, &device, ids.decision()).unwrap();
    Parts { encoder: Encoder::from_weights(&weights, &checkpoint.audio, compute, &device).unwrap(), decoder, ids }
}

/// One model call: inputs, of which the last row's logits are read.
#[derive(Clone)]
struct Call {
    inputs: Vec<CallInput>,
    goal: Goal,
}

/// The purpose of a call.
#[derive(Clone, Copy, PartialEq)]
enum Goal {
    Decide,
    Speak,
}

/// An input of a call.
#[derive(Clone, Copy)]
enum CallInput {
    Token(u32),
    Chunk(usize),
    /// Empties the lane's cache.
    EmptyCache,
}

impl Parts {
    fn features(&self, samples: &[f32]) -> Vec<Features> {
        let mut log_mel = LogMel::new(MaxWindow::WholeStream);
        let of = |chunk: &[f32; CHUNK_SAMPLES]| self.encoder.forward(&[log_mel.step(chunk).as_slice()]).unwrap().remove(0);
        samples.as_chunks::<CHUNK_SAMPLES>().0.iter().map(of).collect()
    }

    fn call(&self, cache: &mut hearken::model::LaneCache, features: &[Features], call: &Call) -> Vec<f32> {
        let mut inputs = SmallVec::new();
        for input in &call.inputs {
            match input {
                CallInput::Token(id) => inputs.push(Input::Token(*id)),
                CallInput::Chunk(at) => inputs.push(Input::Features(features[*at].clone())),
                CallInput::EmptyCache => *cache = self.decoder.new_cache(),
            }
        }
        let last = inputs.iter().map(Input::rows).sum::<usize>() - 1;
        let mut segments = [Segment { cache, inputs, reads: smallvec![(last, Read::Row)] }];
        match self.decoder.pass(&mut segments).unwrap().remove(0) {
            Logits::Row(row) => row,
            Logits::Decision { .. } => panic!("a row was asked for"),
        }
    }

    /// Listens and replies; returns the calls made and the logits of each.
    fn run_free(&self, samples: &[f32]) -> (Vec<Call>, Vec<Vec<f32>>) {
        let (features, mut cache) = (self.features(samples), self.decoder.new_cache());
        let (mut calls, mut rows, mut pending) = (Vec::new(), Vec::new(), vec![self.ids.keep_silence]);
        for at in 0..features.len() {
            let mut fed = if at % WINDOW_CHUNKS == 0 { vec![CallInput::EmptyCache] } else { Vec::new() };
            fed.extend(pending.iter().map(|token| CallInput::Token(*token)));
            fed.extend([CallInput::Token(self.ids.audio_begin), CallInput::Chunk(at), CallInput::Token(self.ids.assistant)]);
            let call = Call { inputs: fed, goal: Goal::Decide };
            let row = self.call(&mut cache, &features, &call);
            let responds = row[self.ids.text_begin as usize] > row[self.ids.keep_silence as usize];
            calls.push(call);
            rows.push(row);
            pending = vec![if responds { self.ids.text_begin } else { self.ids.keep_silence }];
            for _ in 0..if responds { REPLY_TOKENS } else { 0 } {
                let call = Call { inputs: pending.iter().map(|token| CallInput::Token(*token)).collect(), goal: Goal::Speak };
                let row = self.call(&mut cache, &features, &call);
                pending = vec![best(&row).0 as u32];
                calls.push(call);
                rows.push(row);
                if pending[0] == self.ids.text_end {
                    break;
                }
            }
            if responds && pending[0] != self.ids.text_end {
                pending.push(self.ids.text_end);
            }
        }
        (calls, rows)
    }

    /// Repeats the calls of another model; returns the logits of each.
    fn run_forced(&self, samples: &[f32], calls: &[Call]) -> Vec<Vec<f32>> {
        let (features, mut cache) = (self.features(samples), self.decoder.new_cache());
        calls.iter().map(|call| self.call(&mut cache, &features, call)).collect()
    }
}

/// Returns the share of decisions in which both models choose the same, and the number of decisions.
fn decisions(ids: &TokenIds, calls: &[Call], wanted: &[Vec<f32>], got: &[Vec<f32>]) -> (f64, usize) {
    let responds = |row: &[f32]| row[ids.text_begin as usize] > row[ids.keep_silence as usize];
    let both = calls.iter().zip(wanted.iter().zip(got)).filter(|(call, _)| call.goal == Goal::Decide);
    let same: Vec<bool> = both.map(|(_, (w, g))| responds(w) == responds(g)).collect();
    (same.iter().filter(|same| **same).count() as f64 / same.len() as f64, same.len())
}

/// Returns the index of the largest value, and its margin above the second largest.
fn best(row: &[f32]) -> (usize, f32) {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
    (order[0], row[order[0]] - row[order[1]])
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn mean_cosine(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    a.iter().zip(b).map(|(a, b)| cosine(a, b)).sum::<f64>() / a.len() as f64
}

/// Returns the share of clear choices that `got` makes as well, and the number of clear choices.
fn agreement(wanted: &[Vec<f32>], got: &[Vec<f32>]) -> (f64, usize) {
    let clear: Vec<bool> = wanted.iter().zip(got).filter(|(w, _)| best(w).1 >= CLEAR_MARGIN).map(|(w, g)| best(w).0 == best(g).0).collect();
    (clear.iter().filter(|same| **same).count() as f64 / clear.len() as f64, clear.len())
}

fn recording(name: &str) -> Vec<f32> {
    let wav = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wav").join(name);
    hound::WavReader::open(wav).unwrap().samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect()
}

/// Returns the recording of the starter recipe's check: a question and a knock.
fn question_and_knock() -> Vec<f32> {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/starter/check.safetensors");
    let check = candle_core::safetensors::load(check, &Device::Cpu).unwrap();
    let bytes = check["samples"].to_vec1::<u8>().unwrap();
    bytes.chunks_exact(2).map(|sample| f32::from(i16::from_le_bytes([sample[0], sample[1]])) / 32_768.0).collect()
}

/// Synthesises four minutes of sound: every 40 s a spoken instruction, then speech, knocks, tones and noise at all levels, and quiet.
fn synthetic_stream() -> Vec<f32> {
    let clips: [&[u8]; 4] = [
        include_bytes!("../assets/instructions/transcribe.wav"),
        include_bytes!("../assets/instructions/sounds.wav"),
        include_bytes!("../assets/instructions/translate_zh.wav"),
        include_bytes!("../assets/instructions/translate_en.wav"),
    ];
    let clips: Vec<Vec<f32>> = clips.iter().map(|bytes| read_wav(bytes).unwrap()).collect();
    let question = question_and_knock();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut draw = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) % below
    };
    let window = WINDOW_CHUNKS * CHUNK_SAMPLES;
    let mut all = Vec::new();
    for at in 0..6 {
        all.extend(&clips[at % clips.len()]);
        while all.len() < (at + 1) * window {
            let level = 0.05 * 2f32.powi(draw(5) as i32);
            let (what, pitch) = (draw(6), 0.02 + draw(100) as f32 * 2e-3);
            match what {
                0 => all.extend(clips[draw(4) as usize].iter().map(|x| x * level * 2.0)),
                1 => all.extend(question.iter().map(|x| x * level * 2.0)),
                2 => all.extend((0..3 * 4_800).map(|i| (-((i % 4_800) as f32) / 300.0).exp() * level * (i as f32 * pitch).sin())),
                3 => all.extend((0..16_000).map(|i| level * (i as f32 * pitch).sin())),
                4 => all.extend((0..12_000).map(|_| level * 0.3 * (draw(2_001) as f32 / 1_000.0 - 1.0))),
                _ => all.extend((0..32_000).map(|_| 2e-4 * (draw(2_001) as f32 / 1_000.0 - 1.0))),
            }
        }
        all.truncate((at + 1) * window);
    }
    all
}

#[test]
fn q8_keeps_hidden_states_and_clear_choices_of_random_weights() {
    let samples = recording("d3_mixed_60s.wav");
    let (calls, wanted) = parts("fixture", Change::Nothing, F32).run_free(&samples);
    assert!(calls.iter().filter(|call| call.goal == Goal::Speak).count() > 50, "the calls include replies");
    let (agree, of) = agreement(&wanted, &parts("fixture", Change::Nothing, Q8).run_forced(&samples, &calls));
    // Read through an identity `lm_head`, whose own rounding adds to the error.
    let hidden = parts("fixture", Change::HeadIsIdentity, F32).run_forced(&samples, &calls);
    let cosine = mean_cosine(&hidden, &parts("fixture", Change::HeadIsIdentity, Q8).run_forced(&samples, &calls));
    println!("fixture, 8 bits: {agree:.4} of {of} clear calls agree, last hidden state {cosine:.6}");
    assert!(of > 100 && agree >= 0.995, "{agree} of {of}");
    assert!(cosine >= 0.9995, "{cosine}");
}

#[test]
fn q4_loses_no_more_than_rounding_the_same_weights() {
    let samples = recording("d3_mixed_60s.wav");
    for name in ["fixture", "starter"] {
        let (calls, wanted) = parts(name, Change::Nothing, F32).run_free(&samples);
        let rounded = parts(name, Change::RoundedToFour, F32).run_forced(&samples, &calls);
        let packed = parts(name, Change::Nothing, Q4).run_forced(&samples, &calls);
        let ((bound, of), (agree, _)) = (agreement(&wanted, &rounded), agreement(&wanted, &packed));
        let cosines = (mean_cosine(&wanted, &rounded), mean_cosine(&wanted, &packed));
        println!("{name}, 4 bits: {agree:.4} of {of} clear calls agree, {bound:.4} with rounded weights alone; logits {cosines:.4?}");
        assert!(of > 100 && agree >= bound - 0.01, "{name}: {agree}, {bound} with rounded weights alone");
        assert!(cosines.1 >= cosines.0 - 0.01, "{name}: {cosines:?}");
    }
}

#[test]
fn q8_and_q4_decide_as_f32_does_in_a_trained_model() {
    let samples = synthetic_stream();
    let exact = parts("starter", Change::Nothing, F32);
    let (calls, wanted) = exact.run_free(&samples);
    let replies = calls.iter().filter(|call| call.goal == Goal::Speak).count();
    for (name, compute, least, least_clear) in [("8 bits", Q8, 0.995, 0.995), ("4 bits", Q4, 0.97, 0.97)] {
        let got = parts("starter", Change::Nothing, compute).run_forced(&samples, &calls);
        let ((same, of), (clear, calls_clear)) = (decisions(&exact.ids, &calls, &wanted, &got), agreement(&wanted, &got));
        println!("starter, {name}: {same:.4} of {of} decisions, {clear:.4} of {calls_clear} clear calls ({replies} of replies)");
        assert!(of == 600 && replies > 20, "{of} decisions, {replies} tokens of replies");
        assert!(same >= least && clear >= least_clear, "{name}: {same}, {clear}");
    }
}
