//! From a chunk of samples to what the lanes take: log-mel, quiet gate, encoder.

use std::collections::VecDeque;
use std::time::Instant;

use super::queue::Encoded;
use crate::audio::chunker::Chunk;
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
    gate: Option<QuietGate>,
    /// The newest chunks that the closed gate kept.
    kept: VecDeque<(ChunkIdx, StreamTime, LogMelChunk)>,
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
        Self { mel: LogMel::new(max_over), gate, kept: VecDeque::with_capacity(PRE_ROLL) }
    }

    /// Hears `chunk`.
    ///
    /// # Errors
    /// When computing fails.
    pub fn hear(&mut self, chunk: &Chunk, model: &Model) -> Result<HeardChunk> {
        let begun = Instant::now();
        let mel = self.mel.step(&chunk.samples);
        let level_dbfs = mel.level_dbfs();
        let step = self.gate.as_mut().map_or(GateStep::Open, |gate| gate.step(&mel));
        let mel_ms = begun.elapsed().as_secs_f64() * 1e3;
        let begun = Instant::now();
        let mut encoded = Vec::new();
        if step.is_open() {
            for (kept, at, mel) in self.kept.drain(..) {
                encoded.push(Encoded { chunk: kept, at, features: model.encode(mel.as_slice())?, ask: Ask::Forced });
            }
            encoded.push(Encoded { chunk: chunk.index, at: chunk.end, features: model.encode(mel.as_slice())?, ask: Ask::Decide });
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
        let closed = self.gate.as_ref().is_some_and(|gate| !gate.is_open());
        self.gate = gate;
        closed
    }
}
