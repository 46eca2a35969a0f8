//! The speed of a model on this machine, measured by the passes of a session.
//!
//! Responsible for the cost of a chunk, of further lanes and of a reply token, and for the number of lanes that the machine runs in
//! real time. Not responsible for showing the figures (`bench`) nor for acting on them (`engine`).

use std::time::Instant;

use smallvec::{SmallVec, smallvec};

use super::config::{AudioConfig, LmConfig, ModelSizes};
use super::token_ids::TokenIds;
use super::weights::{ComputeType, FinerWeights};
use super::{Input, LaneCache, Model, Read, Segment};
use crate::config::Precision;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::time::{CHUNK_FRAMES, CHUNK_SECS};

/// Largest number of rows of one pass that fills a cache for a measurement, and number of positions that must stay free in the cache.
const FILL_ROWS: usize = 64;
/// Approximate number of positions of a lane's prompt, which a measured compaction keeps at the beginning.
const PROMPT_POSITIONS: usize = 40;
/// The share of a chunk's 0.4 s that encoding and listening may take in real time; the rest is for replies and other programs.
const LISTENING_SHARE: f64 = 0.75;
/// Number of tokens, end tokens included, that a transcribing lane writes per chunk of continuous speech: 3 a second, in entries of two.
const SPEECH_TOKENS_PER_CHUNK: f64 = 1.8;

/// The costs of a model's steps in a session on this machine, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Encoding the log-mel of a chunk, once for all lanes, in milliseconds.
    pub encode_ms: f64,
    /// The decoder pass that feeds a chunk to one lane and reads its decision, in milliseconds.
    pub listen_ms: f64,
    /// The extra time of a listening pass for each lane after the first, in milliseconds, 0 or more.
    pub further_ms: f64,
    /// The decoder pass of one reply token of one lane, in milliseconds.
    pub decode_ms: f64,
}

impl Costs {
    /// Measures `model` with `context` positions in each lane's cache; each cost is the median of `runs` runs.
    ///
    /// # Errors
    /// When computing fails, or the context does not fit the model (as [`filled_cache`]).
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

    /// Estimates the costs of a model of these sizes without its weights: measures one decoder and two encoder layers of random
    /// weights on the CPU and scales by weight count. Layers with twice the bits are counted twice, an upper bound.
    ///
    /// # Errors
    /// As [`Costs::measure`].
    pub fn estimate(sizes: ModelSizes<'_>, precision: Precision, context: usize, runs: usize) -> Result<Self> {
        let ModelSizes { lm, audio } = sizes;
        let slice = LmConfig { n_layer: 1, padded_vocab_size: TokenIds::FEW, ..lm.clone() };
        let audio_slice = AudioConfig { encoder_layers: 2, ..audio.clone() };
        let model = Model::slice(ModelSizes { lm: &slice, audio: &audio_slice }, precision)?;
        let part = Self::measure(&model, context, runs)?;
        let finer = match ComputeType::of(precision) {
            ComputeType::Packed(bits) => FinerWeights::of(sizes, bits),
            ComputeType::Float(_) => FinerWeights::default(),
        };
        let layers = lm.layer_weights().saturating_mul(lm.n_layer as u64).saturating_add(finer.decoder);
        let times = |whole: u64, part: u64| whole as f64 / part as f64;
        let listening = times(layers, slice.layer_weights());
        let speaking = times(layers.saturating_add(lm.table_weights()), slice.layer_weights() + slice.table_weights());
        Ok(Self {
            encode_ms: part.encode_ms * times(audio.weights().saturating_add(finer.encoder), audio_slice.weights()),
            listen_ms: part.listen_ms * listening,
            further_ms: part.further_ms * listening,
            decode_ms: part.decode_ms * speaking,
        })
    }

    /// Returns the milliseconds of a chunk (encoding and listening pass) for `lanes` listening lanes without replies; 0 for no
    /// lanes.
    #[must_use]
    pub fn chunk_ms(&self, lanes: usize) -> f64 {
        match lanes {
            0 => 0.0,
            _ => self.encode_ms + self.listen_ms + (lanes - 1) as f64 * self.further_ms,
        }
    }

    /// Returns the largest number of lanes, up to `most`, whose chunks take at most 75 % of their 0.4 s, so that time is left for replies;
    /// 0 if a single lane takes longer.
    #[must_use]
    pub fn lanes_in_real_time(&self, most: usize) -> usize {
        (0..=most).rev().find(|lanes| self.chunk_ms(*lanes) <= LISTENING_SHARE * CHUNK_SECS * 1e3).unwrap_or(0)
    }

    /// Returns true if `lanes` lanes keep up while one of them transcribes continuous speech, even if no time is left over;
    /// otherwise they lag, and catch up in pauses.
    #[must_use]
    pub fn keeps_up_with_speech(&self, lanes: usize) -> bool {
        self.chunk_ms(lanes) + SPEECH_TOKENS_PER_CHUNK * self.decode_ms <= CHUNK_SECS * 1e3
    }
}

/// Returns the number of rows of all `inputs` together.
fn listen_rows(inputs: &[Input]) -> usize {
    inputs.iter().map(Input::rows).sum()
}

/// Makes a lane's cache filled with `context` positions (PAD tokens).
///
/// # Errors
/// When computing fails, or `context` plus a reserve of 64 positions exceeds the model's `block_size`.
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

/// Returns the median time, in milliseconds, of `runs` passes that feed `inputs` to each of `lanes` lanes and read the logits
/// `read` (row, kind) of each. Each pass starts from copies of the cache `filled`; copying is not timed.
///
/// # Errors
/// When computing fails, or memory for the copies is missing.
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
    Ok(median(times))
}

/// Returns the median time, in milliseconds, of `runs` times compacting a copy of the cache `full`: the first 40 positions (the
/// prompt) stay, a quarter of all positions after them is dropped, and the others move down.
///
/// # Errors
/// When computing fails, or memory for a copy is missing.
pub fn median_compaction_ms(model: &Model, full: &LaneCache, runs: usize) -> Result<f64> {
    let positions = full.positions();
    let opening = PROMPT_POSITIONS.min(positions);
    let kept = [0..opening, (opening + positions / 4).min(positions)..positions];
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let mut cache = fork(full)?;
        let at = Instant::now();
        model.compact(&mut cache, &kept)?;
        times.push(at.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

fn fork(cache: &LaneCache) -> Result<LaneCache> {
    cache.fork().map_err(|e| Error::new(ErrorKind::Memory, format!("no room for a lane's cache: {e}")).with_remedy(Remedy::ReduceMemory))
}

/// Calls `work` `runs` times and returns its median time, in milliseconds; NaN for 0 runs.
///
/// # Errors
/// The error of `work`, which ends the measurement.
pub fn median_ms(runs: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let at = Instant::now();
        work()?;
        times.push(at.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the released model's widths with few layers.
    fn sizes() -> (LmConfig, AudioConfig) {
        let lm = LmConfig { n_layer: 5, padded_vocab_size: TokenIds::FEW, ..LmConfig::released_3b() };
        (lm, AudioConfig { encoder_layers: 6, ..AudioConfig::released_3b() })
    }

    #[test]
    fn estimate_from_a_slice_matches_the_whole_model() {
        let (lm, audio) = sizes();
        let whole = Model::random("whole", ModelSizes { lm: &lm, audio: &audio }, TokenIds::few(), Precision::Q4).unwrap();
        // Other programs may disturb either measurement: one undisturbed try is enough.
        let off = |_| {
            let estimated = Costs::estimate(ModelSizes { lm: &lm, audio: &audio }, Precision::Q4, 64, 3).unwrap();
            let measured = Costs::measure(&whole, 64, 3).unwrap();
            let ratio = |a: f64, b: f64| (a / b).ln().abs();
            let worst = ratio(estimated.chunk_ms(1), measured.chunk_ms(1)).max(ratio(estimated.decode_ms, measured.decode_ms)).exp();
            println!("estimated {estimated:?}, measured {measured:?}, off by a factor of {worst:.2}");
            worst
        };
        assert!((0..5).map(off).any(|worst| worst < 2.0));
    }

    #[test]
    fn compaction_is_measured_on_a_copy_of_the_cache() {
        let (lm, audio) = sizes();
        let (lm, audio) = (LmConfig { n_layer: 1, n_embd: 256, ..lm }, AudioConfig { output_dim: 256, ..audio });
        let model = Model::random("small", ModelSizes { lm: &lm, audio: &audio }, TokenIds::few(), Precision::Q4).unwrap();
        let full = filled_cache(&model, 256).unwrap();
        assert!(median_compaction_ms(&model, &full, 3).unwrap() > 0.0);
        assert_eq!(full.positions(), 256);
    }

    #[test]
    fn lanes_in_real_time_leave_a_quarter_of_the_time() {
        let costs = Costs { encode_ms: 50.0, listen_ms: 150.0, further_ms: 40.0, decode_ms: 70.0 };
        assert_eq!(costs.lanes_in_real_time(4), 3);
        assert_eq!(costs.lanes_in_real_time(2), 2);
        assert!(costs.keeps_up_with_speech(2) && !costs.keeps_up_with_speech(4));
        let slow = Costs { listen_ms: 400.0, ..costs };
        assert_eq!(slow.lanes_in_real_time(4), 0);
    }
}
