//! From a chunk of samples to what the lanes take: log-mel, quiet gate, encoder.

use std::collections::VecDeque;
use std::time::Instant;

use super::queue::{Encoded, Follows};
use crate::audio::chunker::Chunk;
use crate::config::Worth;
use crate::error::Result;
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
        let begun = Instant::now();
        let mel = self.mel.step(&chunk.samples);
        let level_dbfs = mel.level_dbfs();
        let step = match (self.gate.step(&mel), self.gating) {
            (step, Gating::Keeps) => step,
            (_, Gating::Tells) => GateStep::Open,
        };
        let worth = if self.gate.heard_a_sound() { Worth::Heard } else { Worth::Quiet };
        let mel_ms = begun.elapsed().as_secs_f64() * 1e3;
        let begun = Instant::now();
        let mut encoded = Vec::new();
        if step.is_open() {
            let mut follows = if step == GateStep::OpenedNow { Follows::Quiet } else { Follows::Chunk };
            for (chunk, at, mel) in self.kept.drain(..) {
                let features = model.encode(mel.as_slice())?;
                encoded.push(Encoded { chunk, at, features, ask: Ask::Forced, worth: Worth::Quiet, follows });
                follows = Follows::Chunk;
            }
            let features = model.encode(mel.as_slice())?;
            encoded.push(Encoded { chunk: chunk.index, at: chunk.end, features, ask: Ask::Decide, worth, follows });
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
        Ok(HeardChunk { encoded, gate_moved, level_dbfs, mel_ms, encode_ms: begun.elapsed().as_secs_f64() * 1e3 })
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
