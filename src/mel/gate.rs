//! The quiet gate: whether anything is to be heard over the noise of the room.
//!
//! Responsible for following the room's noise floor and for deciding, per chunk and on that very chunk, whether the model
//! needs to hear it. Pure. Deliberately not responsible for the chunks from before the sound: the engine keeps those.

use std::collections::VecDeque;

use super::LogMelChunk;
use super::bands::N_BANDS;
use crate::config::Sensitivity;
use crate::time::CHUNK_FRAMES;

/// Chunks that the gate stays open after the last one that held a sound: 6 s, so that the model hears that the speaker has
/// finished (DESIGN.md "The quiet gate").
const HOLD_CHUNKS: u32 = 15;
/// Chunks over which the floor is the quietest: 8 s. People pause more often than that; a fan that starts becomes floor after it.
const FLOOR_CHUNKS: usize = 20;
/// Frames whose power is averaged before it is compared: 45 ms, about the shortest syllable.
const BLOCK_FRAMES: usize = 3;
/// Frames of the quiet stretch by which a chunk shows that the noise has fallen: 100 ms.
const STRETCH_FRAMES: usize = 10;
/// The quietest stretch of steady noise lies below its mean by less than this factor (3 dB), so only a real fall counts.
const STRETCH_BIAS: f32 = 2.0;
/// How far one band has to rise over its floor. In a narrow band the power of steady noise varies more: each margin is what noise
/// in so many independent FFT bins passes less than once in some hours, with a fifth added because the floor is a minimum. The lowest
/// two have more, for rumble (whose power crowds at their lower end). In dB: 10, 9, 7.8, 7, 6.5, 6, 5.4, 5, 4.8, 4.5.
const BAND_MARGINS: [f32; N_BANDS] = [10.0, 8.0, 6.0, 5.0, 4.5, 4.0, 3.5, 3.2, 3.0, 2.8];
/// How far all bands together have to rise, as the mean of their ratios to their floors: 3 dB.
const ALL_BANDS_MARGIN: f32 = 2.0;
/// What low sensitivity multiplies the margins with: 3 dB.
const LOW_SCALE: f32 = 2.0;
/// What high sensitivity multiplies the margins with: the fifth that was added is taken off again.
const HIGH_SCALE: f32 = 0.83;
/// The floor is never below that of white noise at -85 dBFS: the last bits of a converter are no sound. White noise of
/// variance v has mel power 3.75 v (a Hann window of 400 has energy 150, a filter has area 1 Hz over bins of 40 Hz).
const LEAST_FLOOR: f32 = 1.2e-8;

/// What the gate says to a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateStep {
    /// Quiet as before: the chunk stays out.
    Closed,
    /// This chunk holds a sound after quiet: it goes in, and the chunks from just before it go in first.
    OpenedNow,
    /// The chunk goes in.
    Open,
    /// It has been quiet for 6 s: this chunk is the first to stay out.
    ClosedNow,
}

impl GateStep {
    /// Whether the chunk goes to the model.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::OpenedNow | Self::Open)
    }
}

/// Follows the noise of the room and says which chunks rise over it.
///
/// It starts open, since the floor is unknown in the first seconds.
#[derive(Clone, Debug)]
pub struct QuietGate {
    /// Mean power per band of the newest chunks, oldest first.
    means: VecDeque<[f32; N_BANDS]>,
    /// The last frames of the chunk before, so that a sound across the border counts in full.
    border: [[f32; N_BANDS]; BLOCK_FRAMES - 1],
    /// Chunks since the last one with a sound; above `HOLD_CHUNKS` the gate is closed.
    quiet_chunks: u32,
    sensitivity: Sensitivity,
}

impl Default for QuietGate {
    fn default() -> Self {
        Self::new(Sensitivity::Normal)
    }
}

impl QuietGate {
    /// An open gate that knows nothing of the room yet.
    #[must_use]
    pub fn new(sensitivity: Sensitivity) -> Self {
        let (means, border) = (VecDeque::with_capacity(FLOOR_CHUNKS + 1), [[0.0; N_BANDS]; BLOCK_FRAMES - 1]);
        Self { means, border, quiet_chunks: 0, sensitivity }
    }

    /// Forgets the room, and opens: for another microphone.
    pub fn reset(&mut self) {
        *self = Self::new(self.sensitivity);
    }

    /// Whether the newest chunk went in.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.quiet_chunks <= HOLD_CHUNKS
    }

    /// Whether anything stood out from the noise of the room in the newest chunk.
    #[must_use]
    pub const fn sound_detected(&self) -> bool {
        self.quiet_chunks == 0
    }

    /// Judges the next chunk. What begins in its last 10 ms may stand out only in the chunk after it, across the border; the
    /// chunks from before the opening, which the engine keeps, hold it then.
    pub fn step(&mut self, chunk: &LogMelChunk) -> GateStep {
        let frames = chunk.bands().frames();
        let floor = self.follow(frames);
        let sound = self.rises_over(&floor, frames);
        self.border.copy_from_slice(&frames[CHUNK_FRAMES - (BLOCK_FRAMES - 1)..]);

        let was_open = self.is_open();
        self.quiet_chunks = if sound { 0 } else { self.quiet_chunks.saturating_add(1) };
        match (was_open, self.is_open()) {
            (true, true) => GateStep::Open,
            (true, false) => GateStep::ClosedNow,
            (false, true) => GateStep::OpenedNow,
            (false, false) => GateStep::Closed,
        }
    }

    /// Takes a chunk into the floor and returns the floor of each band.
    fn follow(&mut self, frames: &[[f32; N_BANDS]; CHUNK_FRAMES]) -> [f32; N_BANDS] {
        if self.means.len() == FLOOR_CHUNKS {
            self.means.pop_front();
        }
        self.means.push_back(mean(frames));
        // A loud machine that has just stopped: its chunks are still all there is in the window, but this one has a quiet stretch.
        let mut floor = [f32::INFINITY; N_BANDS];
        for stretch in frames.chunks_exact(STRETCH_FRAMES) {
            lower(&mut floor, &mean(stretch).map(|power| power * STRETCH_BIAS));
        }
        for mean in &self.means {
            lower(&mut floor, mean);
        }
        floor.map(|power| power.max(LEAST_FLOOR))
    }

    /// Whether any block of frames stands out, in one band or in all of them together.
    fn rises_over(&self, floor: &[f32; N_BANDS], frames: &[[f32; N_BANDS]; CHUNK_FRAMES]) -> bool {
        let mut heard = [[0.0; N_BANDS]; CHUNK_FRAMES + BLOCK_FRAMES - 1];
        heard[..self.border.len()].copy_from_slice(&self.border);
        heard[self.border.len()..].copy_from_slice(frames);
        let scale = match self.sensitivity {
            Sensitivity::Low => LOW_SCALE,
            Sensitivity::Normal => 1.0,
            Sensitivity::High => HIGH_SCALE,
        };
        heard.windows(BLOCK_FRAMES).any(|block| {
            let mut ratios = mean(block);
            for (ratio, floor) in ratios.iter_mut().zip(floor) {
                *ratio /= floor;
            }
            let all_bands = ratios.iter().sum::<f32>() / N_BANDS as f32;
            all_bands > ALL_BANDS_MARGIN * scale || ratios.iter().zip(BAND_MARGINS).any(|(ratio, margin)| *ratio > margin * scale)
        })
    }
}

fn mean(frames: &[[f32; N_BANDS]]) -> [f32; N_BANDS] {
    let mut sum = [0.0; N_BANDS];
    for frame in frames {
        for (sum, power) in sum.iter_mut().zip(frame) {
            *sum += power;
        }
    }
    sum.map(|power| power / frames.len() as f32)
}

fn lower(floor: &mut [f32; N_BANDS], powers: &[f32; N_BANDS]) {
    for (floor, power) in floor.iter_mut().zip(powers) {
        *floor = floor.min(*power);
    }
}

#[cfg(test)]
mod tests;
