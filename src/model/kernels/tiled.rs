//! Rows of numbers as the products leave and take them: `[tile][row][16]`, so that every thread writes a place of its own.

use std::ops::Range;

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
        put(&mut self.numbers, (row, self.rows), column, values);
    }

    /// Puts the columns of `row` from `column` on into `out`.
    pub fn copy(&self, row: usize, column: usize, out: &mut [f32]) {
        let mut out = out;
        for at in stretches((row, self.rows), column, out.len()) {
            let (now, rest) = out.split_at_mut(at.len());
            now.copy_from_slice(&self.numbers[at]);
            out = rest;
        }
    }

    /// All numbers, tile by tile.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.numbers
    }

    /// All numbers, tile by tile.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.numbers
    }
}

/// Puts `values` into the columns from `column` on of row `row` of `rows` in the tiles `numbers`.
pub(super) fn put(numbers: &mut [f32], (row, rows): (usize, usize), column: usize, values: &[f32]) {
    let mut values = values;
    for at in stretches((row, rows), column, values.len()) {
        let (now, rest) = values.split_at(at.len());
        numbers[at].copy_from_slice(now);
        values = rest;
    }
}

/// Where `count` columns from `column` on of row `row` of `rows` lie, tile by tile.
fn stretches((row, rows): (usize, usize), column: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let end = column + count;
    (column / TILE..end.div_ceil(TILE)).map(move |tile| {
        let (from, to) = (column.max(tile * TILE), end.min((tile + 1) * TILE));
        let first = (tile * rows + row) * TILE;
        first + from % TILE..first + from % TILE + to - from
    })
}
