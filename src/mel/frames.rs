//! Log-mel values of a single frame of samples (`src/model/README.md` section 2, steps 3 to 6).

use std::f64::consts::TAU;
use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use super::N_MELS;
use super::bands::{self, N_BANDS};
use super::filters::MelFilters;

/// Number of samples of a frame: 25 ms.
pub(super) const FRAME_SAMPLES: usize = 400;
/// Number of bins of the spectrum of a frame, from 0 to 8,000 Hz.
pub(super) const N_BINS: usize = FRAME_SAMPLES / 2 + 1;
/// Lower bound of a mel power before the logarithm.
const LEAST_POWER: f32 = 1e-10;

/// The computation of one frame: window, FFT and mel filters, with their scratch buffers.
pub(super) struct FrameMel {
    fft: Arc<dyn RealToComplex<f32>>,
    /// Hann window, one weight per sample of a frame.
    window: Box<[f32]>,
    filters: MelFilters,
    /// Buffer of the weighted samples of a frame.
    windowed: Vec<f32>,
    /// Buffer of the spectrum of a frame.
    spectrum: Vec<Complex32>,
    /// Scratch memory of the FFT.
    scratch: Vec<Complex32>,
}

impl FrameMel {
    pub(super) fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(FRAME_SAMPLES);
        // Periodic Hann window: the period is the length of the frame.
        let window = (0..FRAME_SAMPLES).map(|n| (0.5 - 0.5 * (TAU * n as f64 / FRAME_SAMPLES as f64).cos()) as f32).collect();
        let (windowed, spectrum, scratch) = (fft.make_input_vec(), fft.make_output_vec(), fft.make_scratch_vec());
        Self { fft, window, filters: MelFilters::new(), windowed, spectrum, scratch }
    }

    /// Writes log10 of the mel powers of `frame`, 400 samples, to `logs`, and the power in each band of the quiet gate to `bands`
    /// if given. Returns the largest value of `logs`.
    pub(super) fn log_mel(&mut self, frame: &[f32], logs: &mut [f32; N_MELS], bands: Option<&mut [f32; N_BANDS]>) -> f32 {
        for ((out, sample), weight) in self.windowed.iter_mut().zip(frame).zip(&self.window) {
            *out = sample * weight;
        }
        if self.fft.process_with_scratch(&mut self.windowed, &mut self.spectrum, &mut self.scratch).is_err() {
            // The FFT fails only on wrong lengths, and the plan made all three buffers; silence does no harm.
            self.spectrum.fill(Complex32::new(0.0, 0.0));
        }
        let mut powers = [0.0; N_BINS];
        for (power, bin) in powers.iter_mut().zip(&self.spectrum) {
            *power = bin.re * bin.re + bin.im * bin.im;
        }
        self.filters.apply(&powers, logs);
        if let Some(frame_bands) = bands {
            *frame_bands = bands::of_mel(logs);
        }
        let mut largest = f32::NEG_INFINITY;
        for log in logs {
            *log = log.max(LEAST_POWER).log10();
            largest = largest.max(*log);
        }
        largest
    }
}

impl fmt::Debug for FrameMel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameMel").finish_non_exhaustive()
    }
}
