//! What rounding to 8 and 4 bits costs: teacher-forced, every call that the 32-bit floats make is made again, and what comes out
//! is compared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

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
use hearken::model::weights::{ComputeType, Planes, Weights, packing};
use hearken::time::CHUNK_SAMPLES;
use smallvec::{SmallVec, smallvec};

/// A margin below which two roundings may rightly differ.
const MARGIN: f32 = 0.5;
/// Chunks after which a lane starts anew: a window of 2,048 positions has room for these and their replies.
const CHUNKS_IN_A_WINDOW: usize = 100;
/// Tokens of a reply at most.
const REPLY: usize = 12;

const F32: ComputeType = ComputeType::Float(DType::F32);
const Q8: ComputeType = ComputeType::Packed(Bits::Eight);
const Q4: ComputeType = ComputeType::Packed(Bits::Four);

/// How the weights of a checkpoint are changed before a model is built of them.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    /// The matrices are rounded to 4 bits, as packed ones are, and computed with in f32.
    RoundedToFour,
    /// The last layer's outputs are the last hidden state itself.
    HeadIsIdentity,
}

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
                let (bits, planes) = packing(name, Bits::Four);
                let exact = exact.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let numbers = |bytes: Vec<u8>| -> Vec<f32> {
                    bytes.chunks(tile_bytes(bits, inner)).flat_map(|tile| unpack(tile, inner, bits)).take(out * inner).collect()
                };
                assert_eq!(planes, Planes::One, "4 bits have no second plane");
                numbers(pack(&exact, bits, inner))
            }
            _ => return Ok(exact),
        };
        Ok(Tensor::from_vec(values, shape, device).unwrap())
    }

    fn rows(&self, name: &str, shape: (usize, usize), ids: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        self.0.rows(name, shape, ids, dtype, device)
    }
}

struct Parts {
    encoder: Encoder,
    decoder: Decoder,
    ids: TokenIds,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

fn parts(name: &str, change: Change, (encoder, decoder): (ComputeType, ComputeType)) -> Parts {
    let checkpoint = Checkpoint::open(&folder(name)).unwrap();
    let ids = TokenIds::read(&folder(name), checkpoint.lm.padded_vocab_size).unwrap();
    let (weights, device) = (Changed(&checkpoint, change), Device::Cpu);
    let decision = (ids.keep_silence, ids.text_begin);
    let decoder = Decoder::from_weights(&weights, &checkpoint.lm, decoder, &device, decision).unwrap();
    Parts { encoder: Encoder::from_weights(&weights, &checkpoint.audio, encoder, &device).unwrap(), decoder, ids }
}

/// One model call: what is fed before its last row is read.
#[derive(Clone)]
struct Call {
    fed: Vec<Fed>,
    goal: Goal,
}

#[derive(Clone, Copy, PartialEq)]
enum Goal {
    Decide,
    Speak,
}

#[derive(Clone, Copy)]
enum Fed {
    Token(u32),
    Chunk(usize),
    /// A lane's cache is emptied.
    Anew,
}

impl Parts {
    fn features(&self, samples: &[f32]) -> Vec<Features> {
        let mut log_mel = LogMel::new(MaxWindow::WholeStream);
        let of = |chunk: &[f32; CHUNK_SAMPLES]| self.encoder.forward(&[log_mel.step(chunk).as_slice()]).unwrap().remove(0);
        samples.as_chunks::<CHUNK_SAMPLES>().0.iter().map(of).collect()
    }

    fn call(&self, cache: &mut hearken::model::LaneCache, features: &[Features], call: &Call) -> Vec<f32> {
        let mut inputs = SmallVec::new();
        for fed in &call.fed {
            match fed {
                Fed::Token(id) => inputs.push(Input::Token(*id)),
                Fed::Chunk(at) => inputs.push(Input::Features(features[*at].clone())),
                Fed::Anew => *cache = self.decoder.new_cache(),
            }
        }
        let last = inputs.iter().map(Input::rows).sum::<usize>() - 1;
        let mut segments = [Segment { cache, inputs, reads: smallvec![(last, Read::Row)] }];
        match self.decoder.pass(&mut segments).unwrap().remove(0) {
            Logits::Row(row) => row,
            Logits::Decision { .. } => panic!("a row was asked for"),
        }
    }

    /// Listens and replies by itself: the calls that it made, and what came out of each.
    fn lead(&self, samples: &[f32]) -> (Vec<Call>, Vec<Vec<f32>>) {
        let (features, mut cache) = (self.features(samples), self.decoder.new_cache());
        let (mut calls, mut rows, mut pending) = (Vec::new(), Vec::new(), vec![self.ids.keep_silence]);
        for at in 0..features.len() {
            let mut fed = if at % CHUNKS_IN_A_WINDOW == 0 { vec![Fed::Anew] } else { Vec::new() };
            fed.extend(pending.iter().map(|token| Fed::Token(*token)));
            fed.extend([Fed::Token(self.ids.audio_begin), Fed::Chunk(at), Fed::Token(self.ids.assistant)]);
            let call = Call { fed, goal: Goal::Decide };
            let row = self.call(&mut cache, &features, &call);
            let responds = row[self.ids.text_begin as usize] > row[self.ids.keep_silence as usize];
            calls.push(call);
            rows.push(row);
            pending = vec![if responds { self.ids.text_begin } else { self.ids.keep_silence }];
            for _ in 0..if responds { REPLY } else { 0 } {
                let call = Call { fed: pending.iter().map(|token| Fed::Token(*token)).collect(), goal: Goal::Speak };
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

    /// Makes the calls of another one.
    fn follow(&self, samples: &[f32], calls: &[Call]) -> Vec<Vec<f32>> {
        let (features, mut cache) = (self.features(samples), self.decoder.new_cache());
        calls.iter().map(|call| self.call(&mut cache, &features, call)).collect()
    }
}

/// The share of the decisions on chunks in which both choose the same, and how many there are.
fn decisions(ids: &TokenIds, calls: &[Call], wanted: &[Vec<f32>], got: &[Vec<f32>]) -> (f64, usize) {
    let responds = |row: &[f32]| row[ids.text_begin as usize] > row[ids.keep_silence as usize];
    let both = calls.iter().zip(wanted.iter().zip(got)).filter(|(call, _)| call.goal == Goal::Decide);
    let same: Vec<bool> = both.map(|(_, (w, g))| responds(w) == responds(g)).collect();
    (same.iter().filter(|same| **same).count() as f64 / same.len() as f64, same.len())
}

/// The largest number's place, and how far it is above the next.
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

/// The share of the calls with a clear winner in which it wins in `got` too, and how many those are.
fn agreement(wanted: &[Vec<f32>], got: &[Vec<f32>]) -> (f64, usize) {
    let clear: Vec<bool> = wanted.iter().zip(got).filter(|(w, _)| best(w).1 >= MARGIN).map(|(w, g)| best(w).0 == best(g).0).collect();
    (clear.iter().filter(|same| **same).count() as f64 / clear.len() as f64, clear.len())
}

fn recording(name: &str) -> Vec<f32> {
    let wav = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wav").join(name);
    hound::WavReader::open(wav).unwrap().samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect()
}

/// What the starter's recipe checks it with: a question and a knock.
fn asked() -> Vec<f32> {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/starter/check.safetensors");
    let check = candle_core::safetensors::load(check, &Device::Cpu).unwrap();
    let bytes = check["samples"].to_vec1::<u8>().unwrap();
    bytes.chunks_exact(2).map(|sample| f32::from(i16::from_le_bytes([sample[0], sample[1]])) / 32_768.0).collect()
}

/// Four minutes that no file holds: every 40 s a spoken instruction, then speech, knocks, tones and noise at all levels, and quiet.
fn stream() -> Vec<f32> {
    let clips: [&[u8]; 4] = [
        include_bytes!("../assets/instructions/transcribe.wav"),
        include_bytes!("../assets/instructions/sounds.wav"),
        include_bytes!("../assets/instructions/translate_zh.wav"),
        include_bytes!("../assets/instructions/translate_en.wav"),
    ];
    let clips: Vec<Vec<f32>> = clips.iter().map(|bytes| read_wav(bytes).unwrap()).collect();
    let asked = asked();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut draw = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) % below
    };
    let window = CHUNKS_IN_A_WINDOW * CHUNK_SAMPLES;
    let mut all = Vec::new();
    for at in 0..6 {
        all.extend(&clips[at % clips.len()]);
        while all.len() < (at + 1) * window {
            let level = 0.05 * 2f32.powi(draw(5) as i32);
            let (what, pitch) = (draw(6), 0.02 + draw(100) as f32 * 2e-3);
            match what {
                0 => all.extend(clips[draw(4) as usize].iter().map(|x| x * level * 2.0)),
                1 => all.extend(asked.iter().map(|x| x * level * 2.0)),
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
fn eight_bits_keep_the_last_hidden_state_and_every_clear_choice_of_random_weights() {
    let samples = recording("d3_mixed_60s.wav");
    let (calls, wanted) = parts("fixture", Change::Nothing, (F32, F32)).lead(&samples);
    assert!(calls.iter().filter(|call| call.goal == Goal::Speak).count() > 50, "replies are part of it");
    let (agree, of) = agreement(&wanted, &parts("fixture", Change::Nothing, (Q8, Q8)).follow(&samples, &calls));
    // Read through a last layer that passes it on; that this rounds it once more counts against it.
    let hidden = parts("fixture", Change::HeadIsIdentity, (F32, F32)).follow(&samples, &calls);
    let cosine = mean_cosine(&hidden, &parts("fixture", Change::HeadIsIdentity, (Q8, Q8)).follow(&samples, &calls));
    println!("fixture, 8 bits: {agree:.4} of {of} clear calls agree, last hidden state {cosine:.6}");
    assert!(of > 100 && agree >= 0.995, "{agree} of {of}");
    assert!(cosine >= 0.9995, "{cosine}");
}

#[test]
fn four_bits_lose_no_more_than_rounding_the_same_weights_does() {
    let samples = recording("d3_mixed_60s.wav");
    for name in ["fixture", "starter"] {
        let (calls, wanted) = parts(name, Change::Nothing, (F32, F32)).lead(&samples);
        let rounded = parts(name, Change::RoundedToFour, (F32, F32)).follow(&samples, &calls);
        let packed = parts(name, Change::Nothing, (Q4, Q4)).follow(&samples, &calls);
        let ((bound, of), (agree, _)) = (agreement(&wanted, &rounded), agreement(&wanted, &packed));
        let cosines = (mean_cosine(&wanted, &rounded), mean_cosine(&wanted, &packed));
        println!("{name}, 4 bits: {agree:.4} of {of} clear calls agree, {bound:.4} with rounded weights alone; logits {cosines:.4?}");
        assert!(of > 100 && agree >= bound - 0.01, "{name}: {agree}, {bound} with rounded weights alone");
        assert!(cosines.1 >= cosines.0 - 0.01, "{name}: {cosines:?}");
    }
}

#[test]
fn a_trained_model_decides_in_8_and_4_bits_as_in_floats() {
    let samples = stream();
    let exact = parts("starter", Change::Nothing, (F32, F32));
    let (calls, wanted) = exact.lead(&samples);
    let replies = calls.iter().filter(|call| call.goal == Goal::Speak).count();
    for (what, numbers, least, least_clear) in [("8 bits", Q8, 0.995, 0.995), ("4 bits", Q4, 0.97, 0.97)] {
        let got = parts("starter", Change::Nothing, (numbers, numbers)).follow(&samples, &calls);
        let ((same, of), (clear, calls_clear)) = (decisions(&exact.ids, &calls, &wanted, &got), agreement(&wanted, &got));
        println!("starter, {what}: {same:.4} of {of} decisions, {clear:.4} of {calls_clear} clear calls ({replies} of replies)");
        assert!(of == 600 && replies > 20, "{of} decisions, {replies} tokens of replies");
        assert!(same >= least && clear >= least_clear, "{what}: {same}, {clear}");
    }
}
