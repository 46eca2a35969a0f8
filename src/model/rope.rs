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
        let (cos, sin): (Vec<f32>, Vec<f32>) = self.turns(first, count).into_iter().unzip();
        let row = |values: Vec<f32>| Tensor::from_vec(values, (count, self.thetas.len()), &self.device)?.to_dtype(self.dtype);
        Ok((row(cos)?, row(sin)?))
    }

    /// Cosine and sine of each of `head / 2` pairs, for each of the positions `first .. first + count`.
    #[must_use]
    pub fn turns(&self, first: usize, count: usize) -> Vec<(f32, f32)> {
        let turn = |position: usize| {
            let rounded = f16::from_f32(position as f32).to_f32();
            self.thetas.iter().map(move |theta| rounded * theta).map(|angle| (angle.cos(), angle.sin()))
        };
        (first..first + count).flat_map(turn).collect()
    }
}

/// Rotates heads of `2 * turns.len()` numbers in place, pair `(j, j + size / 2)` by turn `j` (MODEL.md section 4.2, step 5).
pub fn rotate(heads: &mut [f32], turns: &[(f32, f32)]) {
    for head in heads.chunks_exact_mut(2 * turns.len()) {
        let (first, second) = head.split_at_mut(turns.len());
        for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(turns) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}
