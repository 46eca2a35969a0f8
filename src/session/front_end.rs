//! The front end of a session: log-mel, quiet gate and audio encoder, from samples to encoded chunks.

use std::collections::VecDeque;

use super::EncodedChunk;
use crate::audio::chunker::Chunk;
use crate::error::{Error, Result};
use crate::lane::{Ask, ChunkMeta, Follows, Priority};
use crate::mel::{GateStep, LogMel, LogMelChunk, MaxWindow, QuietGate};
use crate::model::Model;

/// Number of chunks from before the gate opened that are encoded with the chunk that opened it: 0.8 s, so that no first word is clipped.
const PRE_ROLL: usize = 2;

/// The front end of one stream of sound: log-mel and quiet gate, in front of the encoder.
#[derive(Debug)]
pub struct FrontEnd {
    mel: LogMel,
    gate: QuietGate,
    /// Use that is made of the quiet gate.
    gating: Gating,
    /// The newest chunks that the closed gate held back.
    pre_roll: VecDeque<(ChunkMeta, LogMelChunk)>,
}

/// The result of the front end for a chunk, before the encoder: log-mel, move of the quiet gate, and level.
#[derive(Debug)]
pub struct Analysis {
    /// Chunks that the quiet gate let through, oldest first: none while closed, earlier ones too as it opens.
    passed: Vec<(ChunkMeta, LogMelChunk)>,
    /// True if the quiet gate opened on this chunk, false if it closed, None otherwise.
    gate_moved: Option<bool>,
    /// Level of the chunk, in dBFS.
    level_dbfs: f32,
}

/// The use that the front end makes of the quiet gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gating {
    /// Quiet chunks are held back.
    HoldBack,
    /// Every chunk passes; the gate only tells quiet chunks from others.
    Classify,
}

impl Gating {
    const fn of(gate: Option<&QuietGate>) -> Self {
        if gate.is_some() { Self::HoldBack } else { Self::Classify }
    }
}

/// The output of the front end for one chunk of samples.
#[derive(Debug)]
pub struct EncodedChunks {
    /// Encoded chunks, oldest first; none while the gate is closed.
    pub encoded: Vec<EncodedChunk>,
    /// True if the quiet gate opened on this chunk, false if it closed, None otherwise.
    pub gate_moved: Option<bool>,
    /// Level of the chunk, in dB below full scale.
    pub level_dbfs: f32,
}

impl FrontEnd {
    /// Returns a front end at the start of a stream; without `gate` every chunk passes.
    #[must_use]
    pub fn new(max_window: MaxWindow, gate: Option<QuietGate>) -> Self {
        let gating = Gating::of(gate.as_ref());
        Self { mel: LogMel::new(max_window), gate: gate.unwrap_or_default(), gating, pre_roll: VecDeque::with_capacity(PRE_ROLL) }
    }

    /// Computes the log-mel of `chunk`, steps the quiet gate and encodes the chunks that the gate lets through.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn step(&mut self, chunk: &Chunk, model: &Model) -> Result<EncodedChunks> {
        self.analyse(chunk).encode(model)
    }

    /// Computes the log-mel of `chunk` and steps the quiet gate. Results must be encoded in their order ([`encode_batch`]).
    pub fn analyse(&mut self, chunk: &Chunk) -> Analysis {
        let mel = self.mel.step(&chunk.samples);
        let level_dbfs = mel.level_dbfs();
        let step = match (self.gate.step(&mel), self.gating) {
            (step, Gating::HoldBack) => step,
            (_, Gating::Classify) => GateStep::Open,
        };
        let priority = if self.gate.sound_detected() { Priority::Heard } else { Priority::Quiet };
        let mut meta = ChunkMeta { chunk: chunk.index, at: chunk.end, ask: Ask::Decide, priority, follows: Follows::Chunk };
        let mut passed = Vec::new();
        if step.is_open() {
            passed.extend(self.pre_roll.drain(..));
            passed.push((meta, mel));
            if step == GateStep::OpenedNow {
                passed[0].0.follows = Follows::Quiet;
            }
        } else {
            if self.pre_roll.len() == PRE_ROLL {
                self.pre_roll.pop_front();
            }
            (meta.ask, meta.priority) = (Ask::Forced, Priority::Quiet);
            self.pre_roll.push_back((meta, mel));
        }
        let gate_moved = match step {
            GateStep::OpenedNow => Some(true),
            GateStep::ClosedNow => Some(false),
            _ => None,
        };
        Analysis { passed, gate_moved, level_dbfs }
    }

    /// Returns true if the quiet gate holds chunks back.
    const fn is_closed(&self) -> bool {
        matches!(self.gating, Gating::HoldBack) && !self.gate.is_open()
    }

    /// Opens the quiet gate and drops its noise floor, for another input. Returns true if the gate was closed.
    pub fn reset_gate(&mut self) -> bool {
        let closed = self.is_closed();
        self.gate.reset();
        closed
    }

    /// Installs the quiet gate `gate`; with None every chunk passes from now on. Returns true if the replaced gate was closed.
    pub fn replace_gate(&mut self, gate: Option<QuietGate>) -> bool {
        let closed = self.is_closed();
        self.gating = Gating::of(gate.as_ref());
        if let Some(gate) = gate {
            self.gate = gate;
        }
        closed
    }
}

impl Analysis {
    /// Encodes the chunks that passed the quiet gate.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn encode(self, model: &Model) -> Result<EncodedChunks> {
        let missing = || Error::internal("the encoder returned nothing for a chunk");
        encode_batch(vec![self], model)?.pop().ok_or_else(missing)
    }
}

/// Encodes the analyses of one or several streams in one batch, so that the encoder's weights are read once. Returns one result for each
/// analysis.
///
/// # Errors
/// When the encoder fails.
pub fn encode_batch(analyses: Vec<Analysis>, model: &Model) -> Result<Vec<EncodedChunks>> {
    let mels: Vec<&[f32]> = analyses.iter().flat_map(|of| &of.passed).map(|(_, mel)| mel.as_slice()).collect();
    let mut features = model.encode_batch(&mels)?.into_iter();
    let encoded = |Analysis { passed, gate_moved, level_dbfs }: Analysis| {
        let encoded = passed.into_iter().zip(features.by_ref()).map(|((meta, _), features)| EncodedChunk { meta, features }).collect();
        EncodedChunks { encoded, gate_moved, level_dbfs }
    };
    Ok(analyses.into_iter().map(encoded).collect())
}
