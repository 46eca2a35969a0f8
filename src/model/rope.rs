//! Rotary position embeddings, with positions rounded to float16 as in training (`src/model/README.md` sections 4.2 and 4.3).

use half::f16;

/// The rotation frequencies of one head, one for each pair of its values; cosines and sines are computed on demand.
#[derive(Debug)]
pub struct Rope {
    /// Frequency of each pair of a head's values.
    thetas: Vec<f32>,
}

impl Rope {
    /// Makes the frequencies for heads of `head` values with the base `base` (`rope_base`).
    #[must_use]
    pub fn new(head: usize, base: f64) -> Self {
        // Power first, then reciprocal, both in f32: as litgpt's `build_rope_cache`.
        let thetas = (0..head / 2).map(|j| 1.0 / (base as f32).powf((2 * j) as f32 / head as f32)).collect();
        Self { thetas }
    }

    /// Returns cosine and sine of the angle of each of `head / 2` pairs, for each of the positions `first .. first + count`,
    /// position by position. Positions are rounded to float16.
    pub fn cos_sin(&self, first: usize, count: usize) -> impl Iterator<Item = (f32, f32)> {
        let pairs = |position: usize| {
            let rounded = f16::from_f32(position as f32).to_f32();
            self.thetas.iter().map(move |theta| rounded * theta).map(|angle| (angle.cos(), angle.sin()))
        };
        (first..first + count).flat_map(pairs)
    }
}

/// Rotates one or more heads of `2 * cos_sin.len()` values in place: pair `(j, j + size / 2)` of each head of `size` values by angle `j` of
/// `cos_sin`, which belongs to one position (`src/model/README.md` section 4.2).
pub fn rotate(heads: &mut [f32], cos_sin: &[(f32, f32)]) {
    for head in heads.chunks_exact_mut(2 * cos_sin.len()) {
        let (first, second) = head.split_at_mut(cos_sin.len());
        for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(cos_sin) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}
