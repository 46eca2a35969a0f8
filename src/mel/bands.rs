//! Power in ten frequency bands, the input of the quiet gate.

use super::N_MELS;
use crate::time::CHUNK_FRAMES;

/// Number of frequency bands of the quiet gate.
pub(crate) const N_BANDS: usize = 10;

/// First mel bin of each band, and the end of the last band. In Hz about 94, 420, 750, 1000, 1340, 1790, 2400, 3200, 4290, 5740,
/// 8000.
///
/// A band spans at least 300 Hz (eight FFT bins), so that the power of noise varies little between frames and a small margin
/// gives no false alarms. Frequencies below 94 Hz do not count: mains hum, wind and footsteps.
const EDGES: [usize; N_BANDS + 1] = [4, 18, 32, 42, 54, 66, 78, 90, 102, 114, N_MELS];

/// The mean mel power (not logarithmic) in each band and frame of a chunk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bands([[f32; N_BANDS]; CHUNK_FRAMES]);

impl Bands {
    /// The band powers of a chunk of zeros.
    pub(crate) const SILENT: Self = Self([[0.0; N_BANDS]; CHUNK_FRAMES]);

    /// Returns the band powers of each frame, oldest first.
    pub(crate) const fn frames(&self) -> &[[f32; N_BANDS]; CHUNK_FRAMES] {
        &self.0
    }

    /// Returns the band powers of frame number `frame` of the chunk, for writing.
    pub(super) const fn frame_mut(&mut self, frame: usize) -> &mut [f32; N_BANDS] {
        &mut self.0[frame]
    }
}

/// Returns the mean in each band of the mel `powers` of a frame.
pub(super) fn of_mel(powers: &[f32; N_MELS]) -> [f32; N_BANDS] {
    let mut bands = [0.0; N_BANDS];
    for (band, edges) in bands.iter_mut().zip(EDGES.windows(2)) {
        let powers = &powers[edges[0]..edges[1]];
        *band = powers.iter().sum::<f32>() / powers.len() as f32;
    }
    bands
}
