//! Rows of activations, rounded to 8 bits with one scale per row and group.

use super::GROUP;

/// Rounded activations in the order in which the paths read them: group by group, in a group row by row.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    rows: usize,
    groups: usize,
    /// `[group][row][64]`.
    numbers: Vec<i8>,
    /// `[group][row]`.
    scales: Vec<f32>,
    /// `[group][row]`: the sums of the numbers, for the offset of the weights.
    sums: Vec<i32>,
}

impl Activations {
    /// Rounds `rows` rows of `x` (row-major, all of one length), taking the place of what was here; the memory is kept.
    ///
    /// # Panics
    /// When `x` is not `rows` whole rows: the caller's own.
    pub fn round(&mut self, x: &[f32], rows: usize) {
        assert!(rows > 0 && x.len().is_multiple_of(rows), "whole rows");
        let k = x.len() / rows;
        (self.rows, self.groups) = (rows, k.div_ceil(GROUP));
        let cells = self.groups * rows;
        self.numbers.clear();
        self.numbers.resize(cells * GROUP, 0);
        self.scales.clear();
        self.scales.resize(cells, 0.0);
        self.sums.clear();
        self.sums.resize(cells, 0);
        for (r, row) in x.chunks_exact(k).enumerate() {
            for (g, group) in row.chunks(GROUP).enumerate() {
                let cell = g * rows + r;
                // `max` passes over NaN, so that is looked for.
                let largest = group.iter().fold(0.0f32, |m, v| if v.is_nan() { f32::INFINITY } else { m.max(v.abs()) });
                // A number that is not finite stays out of the integers; the model's check of its logits finds it.
                let scale = if largest.is_finite() { largest / 127.0 } else { f32::NAN };
                let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                let mut sum = 0;
                for (to, v) in self.numbers[cell * GROUP..].iter_mut().zip(group) {
                    *to = (v * inverse).round_ties_even().clamp(-127.0, 127.0) as i8;
                    sum += i32::from(*to);
                }
                self.scales[cell] = scale;
                self.sums[cell] = sum;
            }
        }
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    pub(super) const fn groups(&self) -> usize {
        self.groups
    }

    /// The numbers of `row` in group `g`.
    pub(super) fn group(&self, g: usize, row: usize) -> &[i8] {
        &self.numbers[(g * self.rows + row) * GROUP..][..GROUP]
    }

    /// Numbers, scales and sums of group `g` from `row` on.
    pub(super) fn cells(&self, g: usize, row: usize) -> (&[i8], &[f32], &[i32]) {
        let cell = g * self.rows + row;
        let end = (g + 1) * self.rows;
        (&self.numbers[cell * GROUP..end * GROUP], &self.scales[cell..end], &self.sums[cell..end])
    }
}
