//! How fast this machine runs a model: measured by the passes that a session makes, and what follows from it.
//!
//! Responsible for the cost of a chunk, of further lanes and of a reply token, and for how many lanes that lets a machine
//! run as fast as sound comes in. Not responsible for showing it (`bench`) nor for acting on it (`engine`).

use std::time::Instant;

use smallvec::{SmallVec, smallvec};

use super::config::{AudioConfig, LmConfig};
use super::token_ids::TokenIds;
use super::weights::{ComputeType, finer_weights};
use super::{Input, LaneCache, Model, Read, Segment, numbers_of};
use crate::config::Precision;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::time::{CHUNK_FRAMES, CHUNK_SECS};

/// Rows that a cache is filled with at a time.
const FILL_ROWS: usize = 64;
/// Positions of a lane's prefix, roughly: what stays in any case.
const OPENING: usize = 40;
/// Share of the time that listening may take: the rest is for replies and for other programs.
const SHARE: f64 = 0.75;
/// Tokens, their ends included, that a lane which writes down what is said speaks in a chunk of continuous speech: 3 tokens
/// a second in entries of two.
const TOKENS_OF_SPEECH: f64 = 1.8;

/// What a session's work costs, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Log-mel features to encoder features of a chunk.
    pub encode_ms: f64,
    /// The pass that feeds a chunk to one lane.
    pub listen_ms: f64,
    /// What each further lane adds to it.
    pub further_ms: f64,
    /// One token of a reply.
    pub decode_ms: f64,
}

impl Costs {
    /// Measures `model` with `context` positions in the cache: each figure `runs` times, the median counts.
    ///
    /// # Errors
    /// When computing fails, or the context does not fit the model.
    pub fn measure(model: &Model, context: usize, runs: usize) -> Result<Self> {
        let mel: Vec<f32> = (0..crate::mel::N_MELS * CHUNK_FRAMES).map(|i| (i * i % 977) as f32 / 488.0 - 1.0).collect();
        let encode_ms = median_ms(runs, || model.encode(&mel).map(drop))?;
        let features = model.encode(&mel)?;
        let ids = model.ids();
        let listen =
            [Input::Token(ids.keep_silence), Input::Token(ids.audio_begin), Input::Features(features), Input::Token(ids.assistant)];
        let filled = filled_cache(model, context)?;
        let at = |lanes: usize, inputs: &[Input], read| median_pass_ms(model, &filled, lanes, inputs, read, runs);
        let listen_ms = at(1, &listen, (listen_rows(&listen) - 1, Read::Decision))?;
        let further_ms = at(2, &listen, (listen_rows(&listen) - 1, Read::Decision))? - listen_ms;
        let decode_ms = at(1, &[Input::Token(ids.pad)], (0, Read::Row))?;
        Ok(Self { encode_ms, listen_ms, further_ms: further_ms.max(0.0), decode_ms })
    }

    /// What a model of these sizes would cost, without one: a slice of random weights, one layer of the decoder and two of the
    /// encoder with hardly any vocabulary, is measured, and the rest is counted by the weights that are read. Those with twice
    /// the bits count twice: at most that is what they cost.
    ///
    /// # Errors
    /// As [`Costs::measure`].
    pub fn of_sizes((lm, audio): (&LmConfig, &AudioConfig), precision: Precision, context: usize, runs: usize) -> Result<Self> {
        let slice = LmConfig { n_layer: 1, padded_vocab_size: TokenIds::FEW, ..lm.clone() };
        let ear = AudioConfig { encoder_layers: 2, ..audio.clone() };
        let model = Model::slice((&slice, &ear), precision)?;
        let part = Self::measure(&model, context, runs)?;
        let (finer_decoder, finer_encoder) = match numbers_of(precision) {
            ComputeType::Packed(bits) => finer_weights(lm, audio, bits),
            ComputeType::Float(_) => (0, 0),
        };
        let layers = lm.layer_weights().saturating_mul(lm.n_layer as u64).saturating_add(finer_decoder);
        let times = |whole: u64, part: u64| whole as f64 / part as f64;
        let listening = times(layers, slice.layer_weights());
        let speaking = times(layers.saturating_add(lm.table_weights()), slice.layer_weights() + slice.table_weights());
        Ok(Self {
            encode_ms: part.encode_ms * times(audio.weights().saturating_add(finer_encoder), ear.weights()),
            listen_ms: part.listen_ms * listening,
            further_ms: part.further_ms * listening,
            decode_ms: part.decode_ms * speaking,
        })
    }

    /// A chunk for `lanes` lanes that listen.
    #[must_use]
    pub fn chunk_ms(&self, lanes: usize) -> f64 {
        match lanes {
            0 => 0.0,
            _ => self.encode_ms + self.listen_ms + (lanes - 1) as f64 * self.further_ms,
        }
    }

    /// How many lanes, up to `most`, this machine runs as fast as sound comes in with room for replies.
    #[must_use]
    pub fn lanes_in_real_time(&self, most: usize) -> usize {
        (0..=most).rev().find(|lanes| self.chunk_ms(*lanes) <= SHARE * CHUNK_SECS * 1e3).unwrap_or(0)
    }

    /// Whether `lanes` lanes keep up while one of them writes down continuous speech; else they catch up in its pauses.
    #[must_use]
    pub fn keeps_up_with_speech(&self, lanes: usize) -> bool {
        self.chunk_ms(lanes) + TOKENS_OF_SPEECH * self.decode_ms <= CHUNK_SECS * 1e3
    }
}

fn listen_rows(inputs: &[Input]) -> usize {
    inputs.iter().map(Input::rows).sum()
}

/// A cache of `context` positions.
///
/// # Errors
/// When computing fails, or so many do not fit the model.
pub fn filled_cache(model: &Model, context: usize) -> Result<LaneCache> {
    if context + FILL_ROWS > model.block_size() {
        let why = format!("a context of {context} does not fit the {} positions of {}", model.block_size(), model.name());
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    let mut cache = model.new_cache();
    let mut left = context;
    while left > 0 {
        let rows = left.min(FILL_ROWS);
        model.pass(&mut [Segment { cache: &mut cache, inputs: smallvec![Input::Token(model.ids().pad); rows], reads: SmallVec::new() }])?;
        left -= rows;
    }
    Ok(cache)
}

/// Median time of one pass of `inputs` in each of `lanes` lanes that hold `filled`.
///
/// # Errors
/// When computing fails.
pub fn median_pass_ms(model: &Model, filled: &LaneCache, lanes: usize, inputs: &[Input], read: (usize, Read), runs: usize) -> Result<f64> {
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let mut caches: Vec<LaneCache> = (0..lanes).map(|_| fork(filled)).collect::<Result<_>>()?;
        let mut segments: Vec<Segment<'_>> =
            caches.iter_mut().map(|cache| Segment { cache, inputs: inputs.into(), reads: smallvec![read] }).collect();
        let at = Instant::now();
        model.pass(&mut segments)?;
        times.push(at.elapsed().as_secs_f64() * 1e3);
    }
    Ok(middle(times))
}

/// Median time of making room in a cache like `full`: its first [`OPENING`] positions stay, the quarter behind them goes, and all
/// the others move down.
///
/// # Errors
/// When computing fails.
pub fn median_compaction_ms(model: &Model, full: &LaneCache, runs: usize) -> Result<f64> {
    let positions = full.positions();
    let opening = OPENING.min(positions);
    let kept = [0..opening, (opening + positions / 4).min(positions)..positions];
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let mut cache = fork(full)?;
        let at = Instant::now();
        model.compact(&mut cache, &kept)?;
        times.push(at.elapsed().as_secs_f64() * 1e3);
    }
    Ok(middle(times))
}

fn fork(cache: &LaneCache) -> Result<LaneCache> {
    cache.fork().map_err(|e| Error::new(ErrorKind::Memory, format!("no room for a lane's cache: {e}")).with_remedy(Remedy::ReduceMemory))
}

/// Median time of `work`.
///
/// # Errors
/// When `work` fails.
pub fn median_ms(runs: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let at = Instant::now();
        work()?;
        times.push(at.elapsed().as_secs_f64() * 1e3);
    }
    Ok(middle(times))
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The released model's widths and hardly any depth.
    fn sizes() -> (LmConfig, AudioConfig) {
        let lm = LmConfig { n_layer: 5, padded_vocab_size: TokenIds::FEW, ..LmConfig::released_3b() };
        (lm, AudioConfig { encoder_layers: 6, ..AudioConfig::released_3b() })
    }

    #[test]
    fn a_slice_tells_what_the_whole_costs() {
        let (lm, audio) = sizes();
        let whole = Model::random("whole", (&lm, &audio), TokenIds::few(), Precision::Q4).unwrap();
        // Other programs may be in the way of either: one try without them is enough.
        let off = |_| {
            let told = Costs::of_sizes((&lm, &audio), Precision::Q4, 64, 3).unwrap();
            let measured = Costs::measure(&whole, 64, 3).unwrap();
            let ratio = |a: f64, b: f64| (a / b).ln().abs();
            let worst = ratio(told.chunk_ms(1), measured.chunk_ms(1)).max(ratio(told.decode_ms, measured.decode_ms)).exp();
            println!("told {told:?}, measured {measured:?}, off by a factor of {worst:.2}");
            worst
        };
        assert!((0..5).map(off).any(|worst| worst < 2.0));
    }

    #[test]
    fn room_is_made_in_a_copy_of_the_cache() {
        let (lm, audio) = sizes();
        let sizes = (LmConfig { n_layer: 1, n_embd: 256, ..lm }, AudioConfig { output_dim: 256, ..audio });
        let model = Model::random("small", (&sizes.0, &sizes.1), TokenIds::few(), Precision::Q4).unwrap();
        let full = filled_cache(&model, 256).unwrap();
        assert!(median_compaction_ms(&model, &full, 3).unwrap() > 0.0);
        assert_eq!(full.positions(), 256);
    }

    #[test]
    fn lanes_are_as_many_as_leave_a_quarter_of_the_time() {
        let costs = Costs { encode_ms: 50.0, listen_ms: 150.0, further_ms: 40.0, decode_ms: 70.0 };
        assert_eq!(costs.lanes_in_real_time(4), 3);
        assert_eq!(costs.lanes_in_real_time(2), 2);
        assert!(costs.keeps_up_with_speech(2) && !costs.keeps_up_with_speech(4));
        let slow = Costs { listen_ms: 400.0, ..costs };
        assert_eq!(slow.lanes_in_real_time(4), 0);
    }
}
