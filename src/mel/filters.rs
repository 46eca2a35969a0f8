//! The mel filter bank: 128 triangles on the Slaney scale (`src/model/README.md` section 2, step 5).

use super::N_MELS;
use super::frames::N_BINS;

/// Width of an FFT bin, in Hz: 16,000 Hz over 400 points.
const BIN_HZ: f64 = 40.0;
/// Upper end of the highest filter, in Hz.
const TOP_HZ: f64 = 8_000.0;
/// Frequency at which the Slaney scale changes from linear to logarithmic, in Hz.
const KNEE_HZ: f64 = 1_000.0;
/// Mel value of `KNEE_HZ`.
const KNEE_MEL: f64 = 15.0;

/// A triangular filter: the weights of the FFT bins from `start` on in which they are not 0.
#[derive(Debug)]
struct Triangle {
    /// Index of the first FFT bin with a weight.
    start: usize,
    /// Weights of the FFT bins from `start` on.
    weights: Box<[f32]>,
}

/// The filter bank: one triangle for each mel bin.
#[derive(Debug)]
pub(super) struct MelFilters(Box<[Triangle]>);

impl MelFilters {
    /// Computes the weights of all filters in `f64` and rounds them to `f32`; they are within 2.3e-9 of the table that the reference reads
    /// from a file.
    pub(super) fn new() -> Self {
        let top_mel = mel_of_hz(TOP_HZ);
        let edges_hz: Vec<f64> = (0..N_MELS + 2).map(|i| hz_of_mel(top_mel * i as f64 / (N_MELS + 1) as f64)).collect();
        Self(edges_hz.windows(3).map(|edges| Triangle::new(edges[0], edges[1], edges[2])).collect())
    }

    /// Writes the mel powers of a frame with the power spectrum `powers` to `mel`.
    pub(super) fn apply(&self, powers: &[f32; N_BINS], mel: &mut [f32; N_MELS]) {
        for (triangle, out) in self.0.iter().zip(mel) {
            *out = triangle.weights.iter().zip(&powers[triangle.start..]).map(|(weight, power)| weight * power).sum();
        }
    }
}

impl Triangle {
    /// Returns the triangle that rises from `low_hz` to `peak_hz` and falls to `high_hz`, all in Hz.
    fn new(low_hz: f64, peak_hz: f64, high_hz: f64) -> Self {
        let scale = 2.0 / (high_hz - low_hz);
        let weight = |bin: usize| {
            let hz = bin as f64 * BIN_HZ;
            let (rising, falling) = ((hz - low_hz) / (peak_hz - low_hz), (high_hz - hz) / (high_hz - peak_hz));
            (rising.min(falling).max(0.0) * scale) as f32
        };
        let start = (0..N_BINS).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
        let weights = (start..N_BINS).map(weight).take_while(|&weight| weight > 0.0).collect();
        Self { start, weights }
    }
}

/// Converts a frequency in Hz to the Slaney mel scale.
fn mel_of_hz(hz: f64) -> f64 {
    if hz < KNEE_HZ { hz * 3.0 / 200.0 } else { KNEE_MEL + (hz / KNEE_HZ).ln() * 27.0 / 6.4_f64.ln() }
}

/// Converts a value of the Slaney mel scale to a frequency in Hz.
fn hz_of_mel(mel: f64) -> f64 {
    if mel < KNEE_MEL { mel * 200.0 / 3.0 } else { KNEE_HZ * ((mel - KNEE_MEL) * 6.4_f64.ln() / 27.0).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_covers_a_run_of_bins_within_the_spectrum() {
        for (i, triangle) in MelFilters::new().0.iter().enumerate() {
            assert!(!triangle.weights.is_empty(), "filter {i}");
            assert!(triangle.start + triangle.weights.len() <= N_BINS, "filter {i}");
        }
    }

    #[test]
    fn mel_scale_is_inverted_to_hertz() {
        for hz in [0.0, 40.0, 999.0, 1_000.0, 1_001.0, 8_000.0] {
            assert!((hz_of_mel(mel_of_hz(hz)) - hz).abs() < 1e-9, "{hz} Hz");
        }
    }
}
