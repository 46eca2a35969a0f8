//! Power of a chunk in ten bands per frame: what the quiet gate sees of the sound. Not responsible for judging it.

use super::N_MELS;
use crate::time::CHUNK_FRAMES;

/// Bands.
pub(crate) const N_BANDS: usize = 10;

/// First mel bin of each band and the end of the last. In Hz about 94, 420, 750, 1000, 1340, 1790, 2400, 3200, 4290, 5740, 8000.
///
/// Each spans at least 300 Hz, some eight FFT bins, so that the power of noise in it varies little from frame to frame and a
/// small margin does without false alarms. Nothing below 94 Hz counts: mains hum, wind, and steps in the house.
const EDGES: [usize; N_BANDS + 1] = [4, 18, 32, 42, 54, 66, 78, 90, 102, 114, N_MELS];

/// Mean mel power per frame and band.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bands([[f32; N_BANDS]; CHUNK_FRAMES]);

impl Bands {
    /// A chunk of zeros.
    pub(crate) const SILENT: Self = Self([[0.0; N_BANDS]; CHUNK_FRAMES]);

    /// The frames, oldest first.
    pub(crate) const fn frames(&self) -> &[[f32; N_BANDS]; CHUNK_FRAMES] {
        &self.0
    }

    pub(super) const fn frame_mut(&mut self, frame: usize) -> &mut [f32; N_BANDS] {
        &mut self.0[frame]
    }
}

/// The bands of the mel powers of one frame.
pub(super) fn of_mel(powers: &[f32; N_MELS]) -> [f32; N_BANDS] {
    let mut bands = [0.0; N_BANDS];
    for (band, edges) in bands.iter_mut().zip(EDGES.windows(2)) {
        let powers = &powers[edges[0]..edges[1]];
        *band = powers.iter().sum::<f32>() / powers.len() as f32;
    }
    bands
}
