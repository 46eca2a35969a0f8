//! Hours of listening: a trimmed cache computes like one fed only with the kept tokens, a thousand trims equal one, and the
//! thousandth chunk costs what the hundredth did.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use hearken::config::modes::builtin;
use hearken::config::{ComputeDevice, ContextChoice, ContextPolicy, Paths, Precision, SamplingChoice};
use hearken::lane::{Ask, ChunkMeta, Follows, Priority};
use hearken::model::config::LmConfig;
use hearken::model::decoder::{Decoder, Input, Logits, Read, Segment};
use hearken::model::features::FeatureRows;
use hearken::model::kernels::Bits;
use hearken::model::random::RandomWeights;
use hearken::model::token_ids::DecisionIds;
use hearken::model::weights::ComputeType;
use hearken::model::{Features, LaneCache, Model};
use hearken::protocol::{Event, Language};
use hearken::session::EncodedChunk;
use hearken::session::prompt::PromptCache;
use hearken::session::{Session, SessionConfig};
use hearken::time::{CHUNK_SAMPLES, ChunkIdx, StreamTime};
use smallvec::smallvec;

const KINDS: [(&str, ComputeType); 4] = [
    ("f32", ComputeType::Float(DType::F32)),
    ("bf16", ComputeType::Float(DType::BF16)),
    ("q8", ComputeType::Packed(Bits::Eight)),
    ("q4", ComputeType::Packed(Bits::Four)),
];

/// Returns a decoder of `n_layer` layers with random weights.
fn decoder(n_layer: usize, numbers: ComputeType) -> Decoder {
    let mut config = LmConfig::released_3b();
    (config.n_layer, config.n_embd, config.n_head, config.n_query_groups) = (n_layer, 128, 4, Some(2));
    (config.head_size, config.intermediate_size) = (Some(32), Some(256));
    (config.padded_vocab_size, config.block_size) = (512, 8_192);
    Decoder::from_weights(&RandomWeights::new(7), &config, numbers, &Device::Cpu, DecisionIds { keep_silence: 1, text_begin: 2 }).unwrap()
}

/// Feeds `tokens` and returns the logits of the last one.
fn feed(decoder: &Decoder, cache: &mut LaneCache, tokens: &[u32]) -> Vec<f32> {
    let mut last = Vec::new();
    for part in tokens.chunks(64) {
        let inputs = part.iter().map(|token| Input::Token(*token)).collect();
        let mut segments = [Segment { cache: &mut *cache, inputs, reads: smallvec![(part.len() - 1, Read::Row)] }];
        match decoder.pass(&mut segments).unwrap().remove(0) {
            Logits::Row(row) => last = row,
            Logits::Decision { .. } => panic!("a row was requested"),
        }
    }
    last
}

fn token(position: usize) -> u32 {
    3 + (position as u32 * 7_919) % 500
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Keys and values of the first layer depend on the tokens alone. With one layer, a trimmed cache must therefore equal a cache that
/// was fed only the kept tokens: an independent computation at the same positions.
#[test]
fn a_trimmed_cache_equals_a_cache_fed_with_the_kept_tokens_only() {
    for (name, numbers) in KINDS {
        let decoder = decoder(1, numbers);
        let tokens: Vec<u32> = (0..2_300).map(token).collect();
        let mut full = decoder.new_cache();
        feed(&decoder, &mut full, &tokens);
        for kept in [vec![0..46, 59..72, 700..1_500, 2_060..2_300], vec![0..2_000, 2_299..2_300], vec![1..2_300]] {
            let mut trimmed = full.fork().unwrap();
            decoder.compact(&mut trimmed, &kept).unwrap();
            let only: Vec<u32> = kept.iter().cloned().flatten().map(token).collect();
            assert_eq!(trimmed.positions(), only.len());
            let mut fresh = decoder.new_cache();
            feed(&decoder, &mut fresh, &only);
            let next: Vec<u32> = (5_000..5_013).map(token).collect();
            let (got, wanted) = (feed(&decoder, &mut trimmed, &next), feed(&decoder, &mut fresh, &next));
            let difference = largest_difference(&got, &wanted);
            println!("{name}: {} positions kept, logits differ by {difference:e}", only.len());
            let scale = wanted.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            assert!(scale > 0.05, "{name}: logits of {scale} tell nothing");
            // bf16 products of other shapes round differently.
            let tolerance = if name == "bf16" { 2e-2 * scale } else { 1e-4 };
            assert!(difference <= tolerance, "{name}: {difference}");
        }
    }
}

#[test]
fn a_thousand_trims_equal_one_trim() {
    for (name, numbers) in KINDS {
        let decoder = decoder(2, numbers);
        let mut cache = decoder.new_cache();
        feed(&decoder, &mut cache, &(0..1_300).map(token).collect::<Vec<_>>());
        let mut once = cache.fork().unwrap();
        decoder.compact(&mut once, &[0..46, 1_046..1_300]).unwrap();
        for _ in 0..1_000 {
            let kept: [Range<usize>; 2] = [0..46, 47..cache.positions()];
            decoder.compact(&mut cache, &kept).unwrap();
        }
        let next: Vec<u32> = (5_000..5_013).map(token).collect();
        let difference = largest_difference(&feed(&decoder, &mut cache, &next), &feed(&decoder, &mut once, &next));
        println!("{name}: after 1,000 trims logits differ by {difference:e}");
        assert!(difference == 0.0, "{name}: {difference}");
    }
}

fn fixture() -> Arc<Model> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
    Arc::new(Model::load(&folder, "fixture", Some(Precision::F32), ComputeDevice::Cpu).unwrap())
}

/// Returns `numbers` as features of `model`.
fn features(model: &Model, numbers: Tensor) -> Features {
    match model.precision() {
        Precision::Q8 | Precision::Q4 => {
            let width = numbers.dim(1).unwrap();
            Features::Rows(Arc::new(FeatureRows::new(numbers.flatten_all().unwrap().to_vec1().unwrap(), width)))
        }
        Precision::F32 | Precision::Bf16 => Features::Tensor(numbers),
    }
}

/// Returns random features of a chunk.
fn random_features(model: &Model) -> Features {
    features(model, Tensor::randn(0f32, 1.0, (10, model.decoder().n_embd()), &Device::Cpu).unwrap())
}

/// Returns the encoded chunk `n`.
fn encoded(n: u64, features: &Features) -> EncodedChunk {
    let at = StreamTime::from_samples((n + 1) * CHUNK_SAMPLES as u64);
    EncodedChunk {
        meta: ChunkMeta { chunk: ChunkIdx(n), at, ask: Ask::Decide, priority: Priority::Heard, follows: Follows::Chunk },
        features: features.clone(),
    }
}

/// Returns a session with the first two modes on.
fn two_modes(model: &Arc<Model>) -> Session {
    let sampling = SamplingChoice::GREEDY;
    let mut session = Session::new(Arc::clone(model), SessionConfig::product(sampling, ContextChoice::default())).unwrap();
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::inside(home.path());
    for mode in builtin(Language::Chinese, &paths.instructions()).iter().take(2) {
        session.switch_on(mode, &PromptCache::of(model, mode, &paths).unwrap()).unwrap();
    }
    session
}

#[test]
fn a_failed_pass_leaves_every_lane_unchanged() {
    for precision in [Precision::F32, Precision::Q8] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
        let model = Arc::new(Model::load(&folder, "fixture", Some(precision), ComputeDevice::Cpu).unwrap());
        let width = model.decoder().n_embd();
        let good = random_features(&model);
        let bad = features(&model, Tensor::full(f32::NAN, (10, width), &Device::Cpu).unwrap());
        let (mut failing, mut other) = (two_modes(&model), two_modes(&model));
        let (mut out, mut wanted) = (Vec::new(), Vec::new());
        for n in 0..12 {
            if n == 5 {
                failing.push(encoded(n, &bad));
                for _ in 0..3 {
                    assert!(failing.pass(&mut out).unwrap_err().message().contains("not finite"));
                    failing.roll_back().unwrap();
                }
                failing.skip(&mut out);
                continue;
            }
            failing.push(encoded(n, &good));
            other.push(encoded(n, &good));
            while failing.pass(&mut out).unwrap() {}
            while other.pass(&mut wanted).unwrap() {}
        }
        assert!(wanted.iter().filter(|e| matches!(e, Event::Decision { .. })).count() >= 22);
        assert_eq!(out, wanted, "{precision:?}");
    }
}

/// Nothing is fed while the gate is closed, so a lane keeps its count and its instruction for any time.
#[test]
fn a_quiet_hour_leaves_a_lane_unchanged() {
    let model = fixture();
    let features = random_features(&model);
    let margins = |first_after: u64| {
        let (mut session, mut out) = (two_modes(&model), Vec::new());
        for n in (0..20).chain(first_after..first_after + 20) {
            session.push(encoded(n, &features));
            while session.pass(&mut out).unwrap() {}
        }
        assert!(!out.iter().any(|e| matches!(e, Event::ContextTrimmed { .. } | Event::AudioGap { .. })));
        out.into_iter()
            .filter_map(|e| if let Event::Decision { mode, margin, .. } = e { Some((mode, margin)) } else { None })
            .collect::<Vec<_>>()
    };
    let hour = 9_000;
    assert_eq!(margins(20), margins(hour));
}

/// A session of the dialog mode that hears random features under one context policy.
struct Listener {
    session: Session,
    features: Vec<Features>,
    /// Every `loud`-th chunk contains a sound.
    loud: u64,
    events: Vec<Event>,
    chunks: u64,
}

impl Listener {
    fn new(policy: &str, loud: u64, eagerness: f32) -> Self {
        let model = fixture();
        let policy = ContextPolicy::ALL.into_iter().find(|known| known.name() == policy).unwrap();
        let sampling = SamplingChoice::GREEDY;
        let context = ContextChoice { policy, ..ContextChoice::default() };
        let mut session = Session::new(Arc::clone(&model), SessionConfig::product(sampling, context)).unwrap();
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::inside(home.path());
        let mut dialog = builtin(Language::Chinese, &paths.instructions()).remove(0);
        dialog.eagerness = eagerness;
        session.switch_on(&dialog, &PromptCache::of(&model, &dialog, &paths).unwrap()).unwrap();
        let features = (0..7).map(|_| random_features(&model)).collect();
        Self { session, features, loud, events: Vec::new(), chunks: 0 }
    }

    /// Feeds the next chunk and handles its events; returns the milliseconds that took.
    fn hear(&mut self) -> f64 {
        let n = self.chunks;
        self.chunks += 1;
        let begun = Instant::now();
        let meta = ChunkMeta {
            chunk: ChunkIdx(n),
            at: StreamTime::from_samples((n + 1) * CHUNK_SAMPLES as u64),
            ask: Ask::Decide,
            priority: if n.is_multiple_of(self.loud) { Priority::Heard } else { Priority::Quiet },
            follows: if n % 100 == 99 { Follows::Quiet } else { Follows::Chunk },
        };
        let features = self.features[n as usize % self.features.len()].clone();
        self.session.push(EncodedChunk { meta, features });
        while self.session.pass(&mut self.events).unwrap() {}
        begun.elapsed().as_secs_f64() * 1e3
    }

    fn listen(mut self, chunks: u64) -> Vec<Event> {
        for _ in 0..chunks {
            self.hear();
        }
        self.events
    }
}

#[test]
fn a_chunk_costs_the_same_after_hours_within_the_window() {
    // 20 minutes of sound, some 30 context windows, beside a young session that has just filled its first windows: other load on
    // this machine slows both alike.
    let young_from = 2_200;
    let mut old = Listener::new("keep_replies", 3, -1e3);
    let mut young = Listener::new("keep_replies", 3, -1e3);
    let (mut late, mut early) = (Vec::new(), Vec::new());
    for n in 0..3_000 {
        let ms = old.hear();
        if n >= young_from {
            early.push(young.hear());
            late.push(ms);
        }
    }
    let median = |costs: &[f64]| {
        let mut sorted = costs.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let (early, late) = (median(&early[200..]), median(&late[200..]));
    let trims: Vec<usize> =
        old.events.iter().filter_map(|e| if let Event::ContextTrimmed { positions, .. } = e { Some(*positions) } else { None }).collect();
    println!("a chunk: {early:.2} ms early, {late:.2} ms late; {} trims", trims.len());
    assert!(trims.len() > 50 && trims.iter().all(|positions| *positions <= 1_536), "{trims:?}");
    // Growth would be tenfold.
    assert!(late < 2.0 * early, "{late} ms after {early} ms");
    assert_eq!(old.events.iter().filter(|e| matches!(e, Event::Decision { .. })).count(), 3_000);
}

#[test]
fn every_context_policy_runs_on_and_trims_as_documented() {
    for policy in ContextPolicy::ALL.map(ContextPolicy::name) {
        let events = Listener::new(policy, 5, 0.0).listen(400);
        let decided = events.iter().filter(|e| matches!(e, Event::Decision { drained: false, .. })).count();
        let replies = events.iter().filter(|e| matches!(e, Event::ReplyFinished { .. })).count();
        let trims: Vec<(u64, usize)> = events
            .iter()
            .filter_map(|e| match e {
                Event::ContextTrimmed { dropped_chunks, positions, .. } => Some((*dropped_chunks, *positions)),
                _ => None,
            })
            .collect();
        println!("{policy}: {decided} decisions, {replies} replies, trims {trims:?}");
        assert_eq!(decided, 400, "{policy}");
        let opened_anew = trims.iter().filter(|(_, positions)| *positions == 0).count();
        match policy {
            "reference" => assert!(opened_anew >= replies.max(3) - 1 && opened_anew == trims.len(), "{policy}: {trims:?}"),
            "reset_when_quiet" => assert!(opened_anew >= 3, "{policy}: {trims:?}"),
            _ => assert!(opened_anew == 0 && trims.len() >= 3, "{policy}: {trims:?}"),
        }
    }
}
