//! Rows of numbers as the products leave them: `[tile][row][16]`, so that every thread writes a place of its own.

use super::TILE;

/// A matrix in tiles of 16 columns; the columns of the last tile beyond `width` are padding, which products leave at zero.
#[derive(Clone, Debug, Default)]
pub struct Tiled {
    rows: usize,
    width: usize,
    numbers: Vec<f32>,
}

impl Tiled {
    /// Makes it `rows` rows of `width` zeros; the memory is kept.
    pub fn reset(&mut self, rows: usize, width: usize) {
        (self.rows, self.width) = (rows, width);
        self.numbers.clear();
        self.numbers.resize(rows * width.next_multiple_of(TILE), 0.0);
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Puts `values` into the columns from `column` on of `row`.
    pub fn set(&mut self, row: usize, column: usize, values: &[f32]) {
        for (i, value) in (column..).zip(values) {
            self.numbers[(i / TILE * self.rows + row) * TILE + i % TILE] = *value;
        }
    }

    /// Puts the columns of `row` from `column` on into `out`.
    pub fn copy(&self, row: usize, column: usize, out: &mut [f32]) {
        for (i, value) in (column..).zip(out) {
            *value = self.numbers[(i / TILE * self.rows + row) * TILE + i % TILE];
        }
    }

    /// All numbers, tile by tile.
    #[must_use]
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// All numbers, tile by tile.
    pub fn numbers_mut(&mut self) -> &mut [f32] {
        &mut self.numbers
    }
}
