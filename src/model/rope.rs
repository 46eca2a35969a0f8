//! Rotary positions, rounded through float16 as the model was trained with (MODEL.md sections 4.2 and 4.3).

use half::f16;

/// Angles of one head; cos and sin are made for the positions that are asked for.
#[derive(Debug)]
pub struct Rope {
    thetas: Vec<f32>,
}

impl Rope {
    /// Rotations for heads of size `head` with the base `base`.
    #[must_use]
    pub fn new(head: usize, base: f64) -> Self {
        // Power first, then reciprocal, both in f32: litgpt's `build_rope_cache`.
        let thetas = (0..head / 2).map(|j| 1.0 / (base as f32).powf((2 * j) as f32 / head as f32)).collect();
        Self { thetas }
    }

    /// Cosine and sine of each of `head / 2` pairs, for each of the positions `first .. first + count`.
    pub fn cos_sin(&self, first: usize, count: usize) -> impl Iterator<Item = (f32, f32)> {
        let pairs = |position: usize| {
            let rounded = f16::from_f32(position as f32).to_f32();
            self.thetas.iter().map(move |theta| rounded * theta).map(|angle| (angle.cos(), angle.sin()))
        };
        (first..first + count).flat_map(pairs)
    }
}

/// Rotates heads of `2 * cos_sin.len()` numbers in place, pair `(j, j + size / 2)` by pairs `j` (MODEL.md section 4.2, step 5).
pub fn rotate(heads: &mut [f32], cos_sin: &[(f32, f32)]) {
    for head in heads.chunks_exact_mut(2 * cos_sin.len()) {
        let (first, second) = head.split_at_mut(cos_sin.len());
        for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(cos_sin) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}
