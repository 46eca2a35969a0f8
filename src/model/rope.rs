//! Rotary positions, rounded through float16 as the model was trained with (MODEL.md sections 4.2 and 4.3).

use candle_core::{DType, Device, Result, Tensor};
use half::f16;

/// Angles of one head; cos and sin are made for the positions that are asked for.
#[derive(Debug)]
pub struct Rope {
    thetas: Vec<f32>,
    dtype: DType,
    device: Device,
}

impl Rope {
    /// Rotations for heads of size `head` with the base `base`, in `dtype` on `device`.
    #[must_use]
    pub fn new(head: usize, base: f64, dtype: DType, device: &Device) -> Self {
        // Power first, then reciprocal, both in f32: litgpt's `build_rope_cache`.
        let thetas = (0..head / 2).map(|j| 1.0 / (base as f32).powf((2 * j) as f32 / head as f32)).collect();
        Self { thetas, dtype, device: device.clone() }
    }

    /// Cosines and sines `[count, head / 2]` of the positions `first .. first + count`.
    ///
    /// # Errors
    /// When candle fails.
    pub fn rows(&self, first: usize, count: usize) -> Result<(Tensor, Tensor)> {
        let angles: Vec<f32> = (first..first + count)
            .flat_map(|position| {
                let rounded = f16::from_f32(position as f32).to_f32();
                self.thetas.iter().map(move |theta| rounded * theta)
            })
            .collect();
        let row = |f: fn(f32) -> f32| -> Result<Tensor> {
            let values: Vec<f32> = angles.iter().map(|a| f(*a)).collect();
            Tensor::from_vec(values, (count, self.thetas.len()), &self.device)?.to_dtype(self.dtype)
        };
        Ok((row(f32::cos)?, row(f32::sin)?))
    }
}
