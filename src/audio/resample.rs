//! Any rate to 16 kHz, streaming, mono. Not responsible for mixing channels.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use crate::error::{Error, ErrorKind, Result};
use crate::time::SAMPLE_RATE_HZ;

/// A streaming resampler to 16 kHz; it passes samples through when they have that rate already.
pub struct Resampler {
    fft: Option<Fft<f32>>,
    waiting: Vec<f32>,
    block: Vec<f32>,
}

impl Resampler {
    /// A resampler from `rate_hz`.
    ///
    /// # Errors
    /// When no resampler can be made for that rate.
    pub fn new(rate_hz: u32) -> Result<Self> {
        if rate_hz == SAMPLE_RATE_HZ {
            return Ok(Self { fft: None, waiting: Vec::new(), block: Vec::new() });
        }
        let fft = Fft::new(rate_hz as usize, SAMPLE_RATE_HZ as usize, (rate_hz / 100) as usize, 1, FixedSync::Input)
            .map_err(|e| Error::new(ErrorKind::InputDevice, format!("sound at {rate_hz} Hz cannot be resampled: {e}")))?;
        let block = vec![0.0; fft.output_frames_max()];
        Ok(Self { fft: Some(fft), waiting: Vec::new(), block })
    }

    /// Takes `input` and appends what is ready to `out`.
    pub fn step(&mut self, input: &[f32], out: &mut Vec<f32>) {
        let Some(fft) = &mut self.fft else {
            out.extend_from_slice(input);
            return;
        };
        self.waiting.extend_from_slice(input);
        loop {
            let need = fft.input_frames_next();
            if self.waiting.len() < need {
                return;
            }
            let room = self.block.len();
            let (Ok(from), Ok(mut to)) =
                (InterleavedSlice::new(&self.waiting[..need], 1, need), InterleavedSlice::new_mut(&mut self.block, 1, room))
            else {
                return;
            };
            let made = fft.process_into_buffer(&from, &mut to, None).map_or(0, |(_, made)| made);
            out.extend_from_slice(&self.block[..made]);
            self.waiting.drain(..need);
        }
    }

    /// Appends what is still inside to `out`.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        if let Some(fft) = &self.fft {
            let missing = fft.input_frames_next().saturating_sub(self.waiting.len());
            self.step(&vec![0.0; missing], out);
        }
    }

    /// Forgets everything heard.
    pub fn reset(&mut self) {
        self.waiting.clear();
        if let Some(fft) = &mut self.fft {
            fft.reset();
        }
    }
}
