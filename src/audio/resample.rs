//! Streaming sample rate conversion.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use crate::error::{Error, ErrorKind, Result};
use crate::time::SAMPLE_RATE_HZ;

/// Supported sample rates, in Hz; another rate in a header means that the header is damaged.
const RATES_HZ: std::ops::RangeInclusive<u32> = 1_000..=768_000;
/// Blocks per second of the filter: about 10 ms each, which gives a filter delay of 5 ms (`src/audio/README.md`).
const BLOCKS_PER_SECOND: u32 = 100;

/// Converts a stream of mono samples from one rate to another; passes them unchanged if the rates are equal.
pub struct Resampler {
    /// Sample rate of the input, in Hz.
    rate_hz: u32,
    /// Sample rate of the output, in Hz.
    to_hz: u32,
    /// Filter that converts the rate; None if the rates are equal.
    filter: Option<Filter>,
    /// Number of input samples received since the start of the stream, those still in the filter included.
    taken: u64,
    /// Number of output samples since the start of the stream.
    given: u64,
}

/// The filter that converts a stream between two different sample rates, with its buffers.
struct Filter {
    fft: Fft<f32>,
    /// Input samples that do not fill a block yet.
    input: Vec<f32>,
    /// Buffer of a block of output samples.
    output: Vec<f32>,
    /// Number of leading output samples, from the filter's delay, that are still to be dropped.
    delay: usize,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler").field("rate_hz", &self.rate_hz).finish_non_exhaustive()
    }
}

impl Resampler {
    /// Creates a resampler from `rate_hz` Hz to 16 kHz.
    ///
    /// # Errors
    /// [`ErrorKind::AudioFile`] when the rate is not between 1 and 768 kHz.
    pub fn new(rate_hz: u32) -> Result<Self> {
        Self::between(rate_hz, SAMPLE_RATE_HZ)
    }

    /// Creates a resampler from `rate_hz` to `to_hz`, both in Hz.
    ///
    /// # Errors
    /// [`ErrorKind::AudioFile`] when a rate is not between 1 and 768 kHz.
    pub fn between(rate_hz: u32, to_hz: u32) -> Result<Self> {
        for rate in [rate_hz, to_hz] {
            if !RATES_HZ.contains(&rate) {
                return Err(Error::new(ErrorKind::AudioFile, format!("a sample rate of {rate} Hz is not supported")));
            }
        }
        let filter = if rate_hz == to_hz { None } else { Some(Filter::new(rate_hz, to_hz)?) };
        Ok(Self { rate_hz, to_hz, filter, taken: 0, given: 0 })
    }

    /// Converts `input` and appends the result to `out`. The newest samples, up to a block of about 10 ms, stay in the filter until
    /// the next call or [`Self::finish`].
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the filter fails.
    pub fn step(&mut self, input: &[f32], out: &mut Vec<f32>) -> Result<()> {
        self.taken += input.len() as u64;
        let before = out.len();
        match &mut self.filter {
            None => out.extend_from_slice(input),
            Some(filter) => filter.step(input, out)?,
        }
        self.given += (out.len() - before) as u64;
        Ok(())
    }

    /// Ends the stream: appends the remaining samples, so that the output lasts as long as the input, and resets the filter.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the filter fails.
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<()> {
        let whole = (self.taken as f64 * f64::from(self.to_hz) / f64::from(self.rate_hz)).round() as u64;
        if let Some(filter) = &mut self.filter {
            let block = vec![0.0; filter.fft.input_frames_next()];
            while self.given < whole {
                let before = out.len();
                filter.step(&block, out)?;
                let more = (out.len() - before) as u64;
                let surplus = (self.given + more).saturating_sub(whole);
                out.truncate(out.len() - surplus as usize);
                self.given += more - surplus;
            }
        }
        self.reset();
        Ok(())
    }

    /// Drops all buffered samples and begins a new stream.
    pub fn reset(&mut self) {
        (self.taken, self.given) = (0, 0);
        if let Some(filter) = &mut self.filter {
            filter.fft.reset();
            filter.input.clear();
            filter.delay = filter.fft.output_delay();
        }
    }
}

impl Filter {
    fn new(rate_hz: u32, to_hz: u32) -> Result<Self> {
        // The delay is half a block. Only a multiple of this size makes the delay a whole number of samples at both rates.
        let common = gcd(rate_hz, to_hz);
        let unit = 2 * rate_hz / common;
        let chunk = (rate_hz / BLOCKS_PER_SECOND).next_multiple_of(unit).max(unit) as usize;
        let fft = Fft::<f32>::new_custom(rate_hz as usize, to_hz as usize, chunk, 1, 1, WindowFunction::BlackmanHarris2, FixedSync::Input)
            .map_err(|e| Error::internal(format_args!("{rate_hz} Hz cannot be resampled: {e}")))?;
        let (output, delay) = (vec![0.0; fft.output_frames_max()], fft.output_delay());
        Ok(Self { fft, input: Vec::new(), output, delay })
    }

    fn step(&mut self, input: &[f32], out: &mut Vec<f32>) -> Result<()> {
        let failed = |e: String| Error::internal(format_args!("resampling failed: {e}"));
        self.input.extend_from_slice(input);
        let mut used = 0;
        loop {
            let need = self.fft.input_frames_next();
            let Some(block) = self.input.get(used..used + need) else { break };
            let room = self.output.len();
            let from = InterleavedSlice::new(block, 1, need).map_err(|e| failed(e.to_string()))?;
            let mut to = InterleavedSlice::new_mut(&mut self.output, 1, room).map_err(|e| failed(e.to_string()))?;
            let (_, made) = self.fft.process_into_buffer(&from, &mut to, None).map_err(|e| failed(e.to_string()))?;
            let dropped = self.delay.min(made);
            self.delay -= dropped;
            out.extend(self.output[dropped..made].iter().copied().map(super::sanitize));
            used += need;
        }
        self.input.drain(..used);
        Ok(())
    }
}

/// Returns the greatest common divisor of `a` and `b`.
const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate_hz: u32, secs: f32) -> Vec<f32> {
        (0..(rate_hz as f32 * secs) as usize).map(|n| 0.5 * (n as f32 * 440.0 * std::f32::consts::TAU / rate_hz as f32).sin()).collect()
    }

    fn resample(rate_hz: u32, input: &[f32], split: usize) -> Vec<f32> {
        let (mut resampler, mut out) = (Resampler::new(rate_hz).unwrap(), Vec::new());
        for part in input.chunks(split) {
            resampler.step(part, &mut out).unwrap();
        }
        resampler.finish(&mut out).unwrap();
        out
    }

    #[test]
    fn sine_keeps_its_shape_and_position() {
        let want = sine(16_000, 1.0);
        for rate in [48_000, 44_100, 8_000, 22_050, 96_000, 11_025] {
            let got = resample(rate, &sine(rate, 1.0), 1_000);
            assert!(got.len().abs_diff(16_000) <= 1, "{rate}: {}", got.len());
            let error: f32 = (1_000..15_000).map(|n| (got[n] - want[n]).powi(2)).sum::<f32>() / 14_000.0;
            let db = 10.0 * (error / 0.125).log10();
            assert!(db < -60.0, "{rate} Hz: {db} dB");
        }
    }

    #[test]
    fn voice_is_converted_to_the_rate_of_the_loudspeaker() {
        for (from, to) in [(22_050, 48_000), (24_000, 44_100), (16_000, 48_000)] {
            let (want, input) = (sine(to, 0.5), sine(from, 0.5));
            let (mut resampler, mut got) = (Resampler::between(from, to).unwrap(), Vec::new());
            resampler.step(&input, &mut got).unwrap();
            resampler.finish(&mut got).unwrap();
            assert!(got.len().abs_diff(want.len()) <= 1);
            let error = (2_000..want.len() - 2_000).map(|n| (got[n] - want[n]).abs()).fold(0.0, f32::max);
            assert!(error < 2e-3, "{from} to {to}: {error}");
        }
    }

    #[test]
    fn output_does_not_depend_on_the_sizes_of_the_input_blocks() {
        let input = sine(44_100, 0.7);
        let whole = resample(44_100, &input, input.len());
        assert_eq!(whole, resample(44_100, &input, 1));
        assert_eq!(whole, resample(44_100, &input, 777));
    }

    #[test]
    fn samples_at_16_khz_pass_unchanged_and_unsupported_rates_are_refused() {
        let input = [0.1, -1.0, 1.0, 3.5e-5];
        assert_eq!(resample(16_000, &input, 3), input);
        assert!(Resampler::new(0).is_err() && Resampler::new(900_000).is_err() && Resampler::between(16_000, 0).is_err());
        assert_eq!(resample(48_000, &[0.5], 1).len(), 0);
        assert_eq!(resample(8_000, &[0.5], 1).len(), 2);
    }
}
