//! Rows of activations, rounded to 8 bits with one scale per row and group.

use std::cell::RefCell;

use super::math;
use super::thread_pool::{EqualParts, thread_pool};
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
    /// `[group][row]`: -8 times the sums of the numbers, which takes the offset of 4-bit weights off a product (that of 8-bit
    /// weights is 16 times as large).
    offsets: Vec<i32>,
    /// Mean and inverse spread of each row: scratch of the norms.
    stats: Vec<(f32, f32)>,
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
        self.fill(rows, k, Self::min_groups_per_task(rows), |g, cells| {
            for (row, cell) in x.chunks_exact(k).zip(cells.chunks_exact_mut(GROUP)) {
                let group = &row[g * GROUP..k.min((g + 1) * GROUP)];
                cell[..group.len()].copy_from_slice(group);
                cell[group.len()..].fill(0.0);
            }
        });
    }

    /// Rounds the rows of `x` after `norm`.
    pub fn round_tiled(&mut self, x: &Tiled, norm: Norm<'_>) {
        let mut stats = std::mem::take(&mut self.stats);
        norm_stats(x, norm, &mut stats);
        let rows = x.rows();
        self.fill(rows, x.width(), Self::min_groups_per_task(rows), |g, cells| {
            math::norm_group(x.values(), (rows, x.width()), g, norm, &stats, cells);
        });
        self.stats = stats;
    }

    /// Rounds what `compute(group, cells)` writes into each group, `[row][64]`, the groups shared out over threads, at least
    /// `min_groups` to each.
    pub fn fill(&mut self, rows: usize, k: usize, min_groups: usize, compute: impl Fn(usize, &mut [f32]) + Sync) {
        (self.rows, self.groups) = (rows, k.div_ceil(GROUP));
        let cells = self.groups * rows;
        self.numbers.resize(cells * GROUP, 0);
        self.scales.resize(cells, 0.0);
        self.offsets.resize(cells, 0);
        let parts = (
            EqualParts::new(&mut self.numbers, rows * GROUP),
            (EqualParts::new(&mut self.scales, rows), EqualParts::new(&mut self.offsets, rows)),
        );
        thread_pool().for_each(&parts, min_groups, |g, (numbers, (scales, offsets))| {
            with_scratch(rows * GROUP, |scratch| {
                compute(g, scratch);
                math::round_cells(scratch, numbers, scales, offsets);
            });
        });
    }

    /// Groups of so many rows whose rounding takes longer than handing them to a thread does (a microsecond or two).
    #[must_use]
    pub const fn min_groups_per_task(rows: usize) -> usize {
        8_192 / (rows * GROUP) + 1
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

    /// Numbers, scales and offsets from `row` of the first group to the end of the last; groups lie `rows` rows apart.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn all_from(&self, row: usize) -> (&[i8], &[f32], &[i32]) {
        (&self.numbers[row * GROUP..], &self.scales[row..], &self.offsets[row..])
    }

    /// Numbers, scales and offsets of group `g` from `row` on.
    pub(super) fn cells(&self, g: usize, row: usize) -> (&[i8], &[f32], &[i32]) {
        let cell = g * self.rows + row;
        let end = (g + 1) * self.rows;
        (&self.numbers[cell * GROUP..end * GROUP], &self.scales[cell..end], &self.offsets[cell..end])
    }
}

/// Puts mean and inverse spread of every row of `x` into `stats`.
fn norm_stats(x: &Tiled, norm: Norm<'_>, stats: &mut Vec<(f32, f32)>) {
    let (rows, width) = (x.rows(), x.width() as f32);
    stats.clear();
    stats.resize(rows, (0.0, 1.0));
    let eps = match norm {
        Norm::None => return,
        Norm::Rms(_, eps) | Norm::Layer(_, _, eps) => eps,
    };
    with_scratch(rows * TILE, |sums| {
        if let Norm::Layer(..) = norm {
            math::row_sums(x.values(), (rows, x.width()), sums);
            for ((mean, _), sums) in stats.iter_mut().zip(sums.chunks_exact(TILE)) {
                *mean = sums.iter().sum::<f32>() / width;
            }
        }
        math::row_squares(x.values(), (rows, x.width()), stats, sums);
        for ((_, scale), sums) in stats.iter_mut().zip(sums.chunks_exact(TILE)) {
            *scale = 1.0 / (sums.iter().sum::<f32>() / width + eps).sqrt();
        }
    });
}

/// Rooms that a thread has from the start: work that asks for one within another is as deep as it gets.
const SCRATCH_BUFFERS: usize = 2;
/// Numbers of each: queries and scores of a task of attention over 4,096 positions. The system gives memory to what is written
/// to.
const SCRATCH_LEN: usize = 26 * (4_096 + 128);

/// Lends `n` numbers of the calling thread's own memory, whatever they hold: a pass asks for the same scratch thousands of times.
/// A thread that is new makes its buffers at the first call; afterwards only a longer window than 4,096 positions takes more.
pub fn with_scratch<T>(n: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    thread_local! {
        static BUFFERS: RefCell<Vec<Vec<f32>>> = RefCell::new((0..SCRATCH_BUFFERS).map(|_| vec![0.0; SCRATCH_LEN]).collect());
    }
    // Taken out while it is used: work that asks for scratch itself gets another one.
    let mut scratch = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    if scratch.len() < n {
        scratch.resize(n, 0.0);
    }
    let done = work(&mut scratch[..n]);
    BUFFERS.with_borrow_mut(|buffers| buffers.push(scratch));
    done
}
