//! Rows in tiles, `[tile][row][16]`: the layout that products write and read, in which every thread has a contiguous part.

use std::ops::Range;

use super::TILE;

/// An f32 matrix in tiles of 16 columns; the columns of the last tile beyond the width are padding, which products leave at zero.
#[derive(Clone, Debug, Default)]
pub struct Tiled {
    shape: TiledShape,
    /// `[tile][row][16]`.
    values: Vec<f32>,
}

/// The shape of a [`Tiled`] matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TiledShape {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns, without padding.
    pub width: usize,
}

impl Tiled {
    /// Resizes to `rows` rows of `width` columns and sets all values to zero; the memory is kept.
    pub fn reset(&mut self, rows: usize, width: usize) {
        self.shape = TiledShape { rows, width };
        self.values.clear();
        self.values.resize(rows * width.next_multiple_of(TILE), 0.0);
    }

    /// Returns the numbers of rows and columns.
    #[must_use]
    pub const fn shape(&self) -> TiledShape {
        self.shape
    }

    /// Returns the number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.shape.rows
    }

    /// Returns the number of columns, without padding.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.shape.width
    }

    /// Copies `values` to the row `row`, from column `column` on. They must lie within the tiles.
    pub fn set(&mut self, row: usize, column: usize, values: &[f32]) {
        put(&mut self.values, self.shape.rows, row, column, values);
    }

    /// Fills `out` with the values of the row `row`, from column `column` on. They must lie within the tiles.
    pub fn copy(&self, row: usize, column: usize, out: &mut [f32]) {
        let mut out = out;
        for at in stretches(self.shape.rows, row, column, out.len()) {
            let (now, rest) = out.split_at_mut(at.len());
            now.copy_from_slice(&self.values[at]);
            out = rest;
        }
    }

    /// Returns all values with their padding, `[tile][row][16]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns all values with their padding, `[tile][row][16]`, for writing.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

/// Copies `values` to the row `row`, from column `column` on, of `tiles`, a matrix `[tile][row][16]` of `rows` rows.
pub(super) fn put(tiles: &mut [f32], rows: usize, row: usize, column: usize, values: &[f32]) {
    let mut values = values;
    for at in stretches(rows, row, column, values.len()) {
        let (now, rest) = values.split_at(at.len());
        tiles[at].copy_from_slice(now);
        values = rest;
    }
}

/// Returns the ranges in `[tile][row][16]`, one per tile, of `count` columns from `column` on in the row `row` of `rows`.
fn stretches(rows: usize, row: usize, column: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let end = column + count;
    (column / TILE..end.div_ceil(TILE)).map(move |tile| {
        let (from, to) = (column.max(tile * TILE), end.min((tile + 1) * TILE));
        let first = (tile * rows + row) * TILE;
        first + from % TILE..first + from % TILE + to - from
    })
}
