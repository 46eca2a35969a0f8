//! From a chunk of samples to what the lanes take: log-mel, quiet gate, encoder.

use std::collections::VecDeque;
use std::time::Instant;

use super::queue::{Encoded, Follows};
use crate::audio::chunker::Chunk;
use crate::config::Worth;
use crate::error::{Error, ErrorKind, Result};
use crate::lane::Ask;
use crate::mel::{GateStep, LogMel, LogMelChunk, MaxOver, QuietGate};
use crate::model::Model;
use crate::time::{ChunkIdx, StreamTime};

/// Chunks from before the gate opened that are heard with the one that opened it: 0.8 s (DESIGN.md "The quiet gate").
const PRE_ROLL: usize = 2;

/// Hears chunk after chunk.
#[derive(Debug)]
pub struct Ear {
    mel: LogMel,
    gate: QuietGate,
    gating: Gating,
    /// The newest chunks that the closed gate kept.
    kept: VecDeque<(ChunkIdx, StreamTime, LogMelChunk)>,
}

/// A chunk that the gate let through, less its features.
#[derive(Debug)]
struct Passed {
    chunk: ChunkIdx,
    at: StreamTime,
    mel: LogMelChunk,
    ask: Ask,
    worth: Worth,
    follows: Follows,
}

/// A chunk as far as it is heard without the model.
#[derive(Debug)]
pub struct Sifted {
    passed: Vec<Passed>,
    gate_moved: Option<bool>,
    level_dbfs: f32,
    mel_ms: f64,
}

/// Whether the gate keeps quiet chunks, or only tells them from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gating {
    Keeps,
    Tells,
}

impl Gating {
    const fn of(gate: Option<&QuietGate>) -> Self {
        if gate.is_some() { Self::Keeps } else { Self::Tells }
    }
}

/// What came of a chunk.
#[derive(Debug)]
pub struct HeardChunk {
    /// What the lanes take: nothing while the gate is closed.
    pub encoded: Vec<Encoded>,
    /// Whether the gate opened (true) or closed on this chunk.
    pub gate_moved: Option<bool>,
    /// Level of the chunk, in dB below full scale.
    pub level_dbfs: f32,
    /// Time that the log-mel took, in milliseconds.
    pub mel_ms: f64,
    /// Time that the encoder took, in milliseconds.
    pub encode_ms: f64,
}

impl Ear {
    /// An ear that has heard nothing yet.
    #[must_use]
    pub fn new(max_over: MaxOver, gate: Option<QuietGate>) -> Self {
        let gating = Gating::of(gate.as_ref());
        Self { mel: LogMel::new(max_over), gate: gate.unwrap_or_default(), gating, kept: VecDeque::with_capacity(PRE_ROLL) }
    }

    /// Hears `chunk`.
    ///
    /// # Errors
    /// When computing fails.
    pub fn hear(&mut self, chunk: &Chunk, model: &Model) -> Result<HeardChunk> {
        let nothing = || Error::new(ErrorKind::Internal, "a chunk was lost on its way through the encoder");
        encode_together(vec![self.sift(chunk)], model)?.pop().ok_or_else(nothing)
    }

    /// What needs no model: log-mel and gate. What it gives goes through [`encode_together`], in order.
    pub fn sift(&mut self, chunk: &Chunk) -> Sifted {
        let begun = Instant::now();
        let mel = self.mel.step(&chunk.samples);
        let level_dbfs = mel.level_dbfs();
        let step = match (self.gate.step(&mel), self.gating) {
            (step, Gating::Keeps) => step,
            (_, Gating::Tells) => GateStep::Open,
        };
        let worth = if self.gate.heard_a_sound() { Worth::Heard } else { Worth::Quiet };
        let mel_ms = begun.elapsed().as_secs_f64() * 1e3;
        let mut passed = Vec::new();
        if step.is_open() {
            let mut follows = if step == GateStep::OpenedNow { Follows::Quiet } else { Follows::Chunk };
            for (chunk, at, mel) in self.kept.drain(..) {
                passed.push(Passed { chunk, at, mel, ask: Ask::Forced, worth: Worth::Quiet, follows });
                follows = Follows::Chunk;
            }
            passed.push(Passed { chunk: chunk.index, at: chunk.end, mel, ask: Ask::Decide, worth, follows });
        } else {
            if self.kept.len() == PRE_ROLL {
                self.kept.pop_front();
            }
            self.kept.push_back((chunk.index, chunk.end, mel));
        }
        let gate_moved = match step {
            GateStep::OpenedNow => Some(true),
            GateStep::ClosedNow => Some(false),
            _ => None,
        };
        Sifted { passed, gate_moved, level_dbfs, mel_ms }
    }

    /// Puts a gate in, or takes it out with None. True when the gate that went was closed.
    pub fn replace_gate(&mut self, gate: Option<QuietGate>) -> bool {
        let closed = self.gating == Gating::Keeps && !self.gate.is_open();
        self.gating = Gating::of(gate.as_ref());
        if let Some(gate) = gate {
            self.gate = gate;
        }
        closed
    }
}

/// Encodes what several ears, or one, have sifted: all chunks in one go, so that the encoder's weights are read once.
///
/// # Errors
/// When computing fails.
pub fn encode_together(sifted: Vec<Sifted>, model: &Model) -> Result<Vec<HeardChunk>> {
    let begun = Instant::now();
    let mels: Vec<&[f32]> = sifted.iter().flat_map(|of| &of.passed).map(|passed| passed.mel.as_slice()).collect();
    let mut features = model.encode_together(&mels)?.into_iter();
    let encode_ms = begun.elapsed().as_secs_f64() * 1e3;
    let heard = |Sifted { passed, gate_moved, level_dbfs, mel_ms }: Sifted| {
        let encoded = |(passed, features): (Passed, _)| {
            let Passed { chunk, at, ask, worth, follows, .. } = passed;
            Encoded { chunk, at, features, ask, worth, follows }
        };
        let encoded = passed.into_iter().zip(features.by_ref()).map(encoded).collect();
        HeardChunk { encoded, gate_moved, level_dbfs, mel_ms, encode_ms }
    };
    Ok(sifted.into_iter().map(heard).collect())
}
