//! Rows of activations, rounded to 8 bits with one scale per row and group.

use std::cell::RefCell;

use rayon::prelude::*;

use super::math;
use super::tiled::Tiled;
use super::{GROUP, TILE};

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

/// What is done to a row before it is rounded: `(x - mean) * scale * weight + bias`.
#[derive(Clone, Copy, Debug)]
pub enum Norm<'a> {
    /// Nothing.
    None,
    /// RMSNorm: the weight, and what is added to the mean square.
    Rms(&'a [f32], f32),
    /// LayerNorm: weight and bias, and what is added to the variance.
    Layer(&'a [f32], &'a [f32], f32),
}

impl Activations {
    /// Rounds `rows` rows of `x` (row-major, all of one length), taking the place of what was here; the memory is kept.
    ///
    /// # Panics
    /// When `x` is not `rows` whole rows: the caller's own.
    pub fn round(&mut self, x: &[f32], rows: usize) {
        assert!(rows > 0 && x.len().is_multiple_of(rows), "whole rows");
        let k = x.len() / rows;
        self.fill(rows, k, worth_a_thread(rows), |g, cells| {
            for (row, cell) in x.chunks_exact(k).zip(cells.chunks_exact_mut(GROUP)) {
                let group = &row[g * GROUP..k.min((g + 1) * GROUP)];
                cell[..group.len()].copy_from_slice(group);
                cell[group.len()..].fill(0.0);
            }
        });
    }

    /// Rounds the rows of `x` after `norm`.
    pub fn round_tiled(&mut self, x: &Tiled, norm: Norm<'_>) {
        let shifts = shifts(x, norm);
        let rows = x.rows();
        let tile_of = |tile: usize| x.numbers().get(tile * rows * TILE..(tile + 1) * rows * TILE);
        self.fill(rows, x.width(), worth_a_thread(rows), |g, cells| {
            for part in 0..GROUP / TILE {
                let first = GROUP * g + TILE * part;
                for row in 0..rows {
                    let cell = &mut cells[row * GROUP + TILE * part..][..TILE];
                    let Some(tile) = tile_of(first / TILE) else {
                        cell.fill(0.0);
                        continue;
                    };
                    cell.copy_from_slice(&tile[row * TILE..][..TILE]);
                    let (mean, scale) = shifts[row];
                    let last = x.width().min(first + TILE);
                    match norm {
                        Norm::None => {}
                        Norm::Rms(weight, _) => cell.iter_mut().zip(&weight[first..last]).for_each(|(v, w)| *v *= scale * w),
                        Norm::Layer(weight, bias, _) => {
                            let both = weight[first..last].iter().zip(&bias[first..last]);
                            cell.iter_mut().zip(both).for_each(|(v, (w, b))| *v = (*v - mean) * scale * w + b);
                        }
                    }
                }
            }
        });
    }

    /// Rounds what `compute(group, cells)` writes into each group, `[row][64]`, the groups shared out over threads, at least
    /// `groups_at_a_time` to each.
    pub fn fill(&mut self, rows: usize, k: usize, groups_at_a_time: usize, compute: impl Fn(usize, &mut [f32]) + Sync) {
        (self.rows, self.groups) = (rows, k.div_ceil(GROUP));
        let cells = self.groups * rows;
        self.numbers.resize(cells * GROUP, 0);
        self.scales.resize(cells, 0.0);
        self.sums.resize(cells, 0);
        let numbers = self.numbers.par_chunks_exact_mut(rows * GROUP);
        let scales = self.scales.par_chunks_exact_mut(rows).zip(self.sums.par_chunks_exact_mut(rows));
        numbers.zip(scales).with_min_len(groups_at_a_time).enumerate().for_each(|(g, (numbers, (scales, sums)))| {
            with_room(rows * GROUP, |room| {
                compute(g, room);
                math::round_cells(room, numbers, scales, sums);
            });
        });
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

/// Groups whose rounding takes longer than waking a thread for it does (some 10 us).
const fn worth_a_thread(rows: usize) -> usize {
    65_536 / (rows * GROUP) + 1
}

/// Mean and inverse spread of every row.
fn shifts(x: &Tiled, norm: Norm<'_>) -> Vec<(f32, f32)> {
    let width = x.width() as f32;
    let row_sums = |f: &dyn Fn(f32, usize) -> f32| -> Vec<f32> {
        let mut sums = vec![[0.0f32; TILE]; x.rows()];
        for (t, tile) in x.numbers().chunks_exact(x.rows() * TILE).enumerate() {
            let inside = TILE.min(x.width() - t * TILE);
            for (row, (sums, numbers)) in sums.iter_mut().zip(tile.chunks_exact(TILE)).enumerate() {
                sums.iter_mut().zip(&numbers[..inside]).for_each(|(sum, v)| *sum += f(*v, row));
            }
        }
        sums.iter().map(|sums| sums.iter().sum()).collect()
    };
    match norm {
        Norm::None => vec![(0.0, 1.0); x.rows()],
        Norm::Rms(_, eps) => row_sums(&|v, _| v * v).iter().map(|sum| (0.0, 1.0 / (sum / width + eps).sqrt())).collect(),
        Norm::Layer(_, _, eps) => {
            let means: Vec<f32> = row_sums(&|v, _| v).iter().map(|sum| sum / width).collect();
            let squares = row_sums(&|v, row| (v - means[row]) * (v - means[row]));
            means.into_iter().zip(squares).map(|(mean, sum)| (mean, 1.0 / (sum / width + eps).sqrt())).collect()
        }
    }
}

/// Lends `n` numbers of the calling thread's own memory, whatever they hold: a pass asks for the same room thousands of times.
pub fn with_room<T>(n: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    thread_local! {
        static ROOMS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    }
    // Taken out while it is used: work that asks for room itself gets another one.
    let mut room = ROOMS.with_borrow_mut(Vec::pop).unwrap_or_default();
    if room.len() < n {
        room.resize(n, 0.0);
    }
    let done = work(&mut room[..n]);
    ROOMS.with_borrow_mut(|rooms| rooms.push(room));
    done
}
