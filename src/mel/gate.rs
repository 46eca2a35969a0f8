//! The quiet gate: decides for each chunk, without delay, if a sound rises over the noise floor of the room, so that the model
//! skips quiet chunks (`src/README.md` "The quiet gate"). Pure.
//!
//! Not responsible for the pre-roll, the chunks before a sound, which the session keeps.

use std::collections::VecDeque;

use super::LogMelChunk;
use super::bands::N_BANDS;
use crate::config::Sensitivity;
use crate::time::CHUNK_FRAMES;

/// Number of chunks for which the gate stays open after the last sound: 6 s, so that the model hears the pause at the end of an utterance.
const HOLD_CHUNKS: u32 = 15;
/// Number of chunks over which the noise floor is a minimum: 8 s. People pause more often than that, so speech does not become the floor; a
/// fan that starts does.
const FLOOR_CHUNKS: usize = 20;
/// Number of frames over which power is averaged before the comparison with the noise floor: 45 ms, about the shortest syllable.
const BLOCK_FRAMES: usize = 3;
/// Number of frames of a quiet stretch within a chunk that lowers the noise floor: 100 ms.
const STRETCH_FRAMES: usize = 10;
/// Factor on the power of a quiet stretch before the comparison with the noise floor: the quietest stretch of steady noise lies less than 3
/// dB below the mean, so that only a real decrease lowers the floor.
const STRETCH_BIAS: f32 = 2.0;
/// Margin over the noise floor for each band, as a factor. Narrow bands fluctuate more, so each margin is the level that stationary noise
/// exceeds less than once in several hours, given its number of independent FFT bins, plus 20 % because the floor is a minimum. The lowest
/// two bands have more, for rumble. In dB: 10, 9, 7.8, 7, 6.5, 6, 5.4, 5, 4.8, 4.5.
const BAND_MARGINS: [f32; N_BANDS] = [10.0, 8.0, 6.0, 5.0, 4.5, 4.0, 3.5, 3.2, 3.0, 2.8];
/// Margin, as a factor, for the mean of all bands' ratios to their noise floors: 3 dB.
const ALL_BANDS_MARGIN: f32 = 2.0;
/// Factor on all margins over the noise floor at low sensitivity: 3 dB.
const LOW_SCALE: f32 = 2.0;
/// Factor on all margins over the noise floor at high sensitivity: without the 20 % that the margins include.
const HIGH_SCALE: f32 = 0.83;
/// Lower bound of the noise floor: white noise at -85 dBFS, because the last bits of a converter are no sound. White noise of variance v
/// has mel power 3.75 v (a Hann window of 400 has energy 150, a filter has area 1 Hz over bins of 40 Hz).
const LEAST_FLOOR: f32 = 1.2e-8;

/// The quiet gate's decision about a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateStep {
    /// The gate stays closed; the model skips the chunk.
    Closed,
    /// A sound opens the gate; the model hears the pre-roll, then the chunk.
    OpenedNow,
    /// The gate stays open; the model hears the chunk.
    Open,
    /// The gate closes after 6 s of quiet; the model skips the chunk.
    ClosedNow,
}

impl GateStep {
    /// Returns true if the model hears the chunk.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::OpenedNow | Self::Open)
    }
}

/// The quiet gate: follows the noise floor of the room and decides for each chunk if the model hears it. Starts open, because the floor is
/// unknown at first.
#[derive(Clone, Debug)]
pub struct QuietGate {
    /// Mean power in each band for each of the newest 20 chunks, oldest first.
    means: VecDeque<[f32; N_BANDS]>,
    /// Band powers of the last two frames of the previous chunk, so that blocks span the border.
    border: [[f32; N_BANDS]; BLOCK_FRAMES - 1],
    /// Number of chunks since the last sound; the gate is closed above 15.
    quiet_chunks: u32,
    sensitivity: Sensitivity,
}

impl Default for QuietGate {
    fn default() -> Self {
        Self::new(Sensitivity::Normal)
    }
}

impl QuietGate {
    /// Creates an open gate without a noise floor.
    #[must_use]
    pub fn new(sensitivity: Sensitivity) -> Self {
        let (means, border) = (VecDeque::with_capacity(FLOOR_CHUNKS + 1), [[0.0; N_BANDS]; BLOCK_FRAMES - 1]);
        Self { means, border, quiet_chunks: 0, sensitivity }
    }

    /// Drops the noise floor and opens the gate, for another microphone.
    pub fn reset(&mut self) {
        *self = Self::new(self.sensitivity);
    }

    /// Returns true if the gate is open after the newest chunk.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.quiet_chunks <= HOLD_CHUNKS
    }

    /// Returns true if the newest chunk contained a sound over the noise floor; true as well before the first chunk.
    #[must_use]
    pub const fn sound_detected(&self) -> bool {
        self.quiet_chunks == 0
    }

    /// Adds the next chunk to the noise floor and decides if the model hears it. A sound that begins in its last 10 ms may be
    /// detected only with the chunk after it; the pre-roll then contains its beginning.
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

    /// Adds a chunk to the noise floor and returns the floor of each band, at least `LEAST_FLOOR`.
    fn follow(&mut self, frames: &[[f32; N_BANDS]; CHUNK_FRAMES]) -> [f32; N_BANDS] {
        if self.means.len() == FLOOR_CHUNKS {
            self.means.pop_front();
        }
        self.means.push_back(mean(frames));
        // When a loud machine stops, the window still holds only loud chunks, but this chunk has a quiet stretch.
        let mut floor = [f32::INFINITY; N_BANDS];
        for stretch in frames.chunks_exact(STRETCH_FRAMES) {
            lower(&mut floor, &mean(stretch).map(|power| power * STRETCH_BIAS));
        }
        for mean in &self.means {
            lower(&mut floor, mean);
        }
        floor.map(|power| power.max(LEAST_FLOOR))
    }

    /// Returns true if a block of `frames` rises over the noise floor by more than the margin, in one band or in the mean of all.
    fn rises_over(&self, floor: &[f32; N_BANDS], frames: &[[f32; N_BANDS]; CHUNK_FRAMES]) -> bool {
        let mut with_border = [[0.0; N_BANDS]; CHUNK_FRAMES + BLOCK_FRAMES - 1];
        with_border[..self.border.len()].copy_from_slice(&self.border);
        with_border[self.border.len()..].copy_from_slice(frames);
        let scale = match self.sensitivity {
            Sensitivity::Low => LOW_SCALE,
            Sensitivity::Normal => 1.0,
            Sensitivity::High => HIGH_SCALE,
        };
        with_border.windows(BLOCK_FRAMES).any(|block| {
            let mut ratios = mean(block);
            for (ratio, floor) in ratios.iter_mut().zip(floor) {
                *ratio /= floor;
            }
            let all_bands = ratios.iter().sum::<f32>() / N_BANDS as f32;
            all_bands > ALL_BANDS_MARGIN * scale || ratios.iter().zip(BAND_MARGINS).any(|(ratio, margin)| *ratio > margin * scale)
        })
    }
}

/// Returns the mean power of `frames` in each band.
fn mean(frames: &[[f32; N_BANDS]]) -> [f32; N_BANDS] {
    let mut sum = [0.0; N_BANDS];
    for frame in frames {
        for (sum, power) in sum.iter_mut().zip(frame) {
            *sum += power;
        }
    }
    sum.map(|power| power / frames.len() as f32)
}

/// Lowers each band of `floor` to the power of that band, where that is less.
fn lower(floor: &mut [f32; N_BANDS], powers: &[f32; N_BANDS]) {
    for (floor, power) in floor.iter_mut().zip(powers) {
        *floor = floor.min(*power);
    }
}

#[cfg(test)]
mod tests;
