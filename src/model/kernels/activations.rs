//! Activations, quantised to 8 bits with one scale per row and group, and the scratch memory of a thread.

use std::cell::RefCell;

use super::math;
use super::thread_pool::{EqualParts, thread_pool};
use super::tiled::Tiled;
use super::{GROUP, TILE};

/// Rows of activations, quantised to 8 bits with a scale per row and group of 64 columns, in the order in which products read them:
/// group by group, within a group row by row. The memory is kept from use to use.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    /// Number of rows.
    rows: usize,
    /// Number of groups of 64 columns.
    groups: usize,
    /// Integers of -127 ..= 127, `[group][row][64]`.
    values: Vec<i8>,
    /// Factor from the 8-bit integers to the activations, `[group][row]`.
    scales: Vec<f32>,
    /// Corrections for the offset of 4-bit weights, `[group][row]`: -8 times the sums of the values (16 times as large for 8-bit weights).
    offsets: Vec<i32>,
    /// Statistics of each row for the norm, a buffer of [`Activations::round_tiled`].
    stats: Vec<RowStats>,
}

/// The statistics of a row by which a norm shifts and scales its values.
#[derive(Clone, Copy, Debug)]
pub struct RowStats {
    /// Mean of the row; 0 for RMSNorm and for no norm.
    pub mean: f32,
    /// Reciprocal of the standard deviation, or of the root mean square for RMSNorm, with epsilon; 1 for no norm.
    pub scale: f32,
}

/// The norm that is applied to each row before quantisation: `(x - mean) * scale * weight + bias`.
#[derive(Clone, Copy, Debug)]
pub enum Norm<'a> {
    /// No norm: values are quantised as they are.
    None,
    /// RMSNorm: a weight per column, and epsilon of the mean square.
    Rms(&'a [f32], f32),
    /// LayerNorm: a weight and a bias per column, and epsilon of the variance.
    Layer(&'a [f32], &'a [f32], f32),
}

impl Activations {
    /// Quantises the `rows` rows of `x` (row-major) without a norm, on all threads; replaces the previous contents.
    ///
    /// # Panics
    /// When `x` is not `rows` whole rows: an error of the caller.
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

    /// Applies `norm` to the rows of `x` and quantises them, on all threads; replaces the previous contents.
    pub fn round_tiled(&mut self, x: &Tiled, norm: Norm<'_>) {
        let mut stats = std::mem::take(&mut self.stats);
        row_stats(x, norm, &mut stats);
        let rows = x.rows();
        self.fill(rows, x.width(), Self::min_groups_per_task(rows), |g, cells| {
            math::norm_group(x.values(), x.shape(), g, norm, &stats, cells);
        });
        self.stats = stats;
    }

    /// Quantises `rows` rows of `k` values that `compute(group, cells)` writes group by group: it must write all cells, `[row][64]`, with
    /// zeros beyond `k`. The groups are shared among threads, `min_groups` at a time; the previous contents are replaced.
    pub fn fill(&mut self, rows: usize, k: usize, min_groups: usize, compute: impl Fn(usize, &mut [f32]) + Sync) {
        (self.rows, self.groups) = (rows, k.div_ceil(GROUP));
        let cells = self.groups * rows;
        self.values.resize(cells * GROUP, 0);
        self.scales.resize(cells, 0.0);
        self.offsets.resize(cells, 0);
        let parts = (
            EqualParts::new(&mut self.values, rows * GROUP),
            (EqualParts::new(&mut self.scales, rows), EqualParts::new(&mut self.offsets, rows)),
        );
        thread_pool().for_each(&parts, min_groups, |g, (values, (scales, offsets))| {
            with_scratch(rows * GROUP, |scratch| {
                compute(g, scratch);
                math::round_cells(scratch, values, scales, offsets);
            });
        });
    }

    /// Returns the smallest number of groups of `rows` rows whose quantisation takes longer than handing them to a thread (a microsecond or
    /// two).
    #[must_use]
    pub const fn min_groups_per_task(rows: usize) -> usize {
        8_192 / (rows * GROUP) + 1
    }

    /// Returns the number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of groups of 64 columns.
    pub(super) const fn groups(&self) -> usize {
        self.groups
    }

    /// Returns the 64 values of `row` in group `g`.
    pub(super) fn group(&self, g: usize, row: usize) -> &[i8] {
        &self.values[(g * self.rows + row) * GROUP..][..GROUP]
    }

    /// Returns values, scales and offsets of all groups, from `row` of the first group to the end of the last; groups lie as many
    /// rows apart as there are rows.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn all_from(&self, row: usize) -> (&[i8], &[f32], &[i32]) {
        (&self.values[row * GROUP..], &self.scales[row..], &self.offsets[row..])
    }

    /// Returns values, scales and offsets of group `g`, from `row` to the last row.
    pub(super) fn cells(&self, g: usize, row: usize) -> (&[i8], &[f32], &[i32]) {
        let cell = g * self.rows + row;
        let end = (g + 1) * self.rows;
        (&self.values[cell * GROUP..end * GROUP], &self.scales[cell..end], &self.offsets[cell..end])
    }
}

/// Replaces `stats` by the statistics of every row of `x` that `norm` needs.
fn row_stats(x: &Tiled, norm: Norm<'_>, stats: &mut Vec<RowStats>) {
    let (rows, width) = (x.rows(), x.width() as f32);
    stats.clear();
    stats.resize(rows, RowStats { mean: 0.0, scale: 1.0 });
    let eps = match norm {
        Norm::None => return,
        Norm::Rms(_, eps) | Norm::Layer(_, _, eps) => eps,
    };
    with_scratch(rows * TILE, |sums| {
        if let Norm::Layer(..) = norm {
            math::row_sums(x.values(), x.shape(), sums);
            for (RowStats { mean, .. }, sums) in stats.iter_mut().zip(sums.chunks_exact(TILE)) {
                *mean = sums.iter().sum::<f32>() / width;
            }
        }
        math::row_squares(x.values(), x.shape(), stats, sums);
        for (RowStats { scale, .. }, sums) in stats.iter_mut().zip(sums.chunks_exact(TILE)) {
            *scale = 1.0 / (sums.iter().sum::<f32>() / width + eps).sqrt();
        }
    });
}

/// Number of scratch buffers that a thread allocates: as many as calls of [`with_scratch`] nest.
const SCRATCH_BUFFERS: usize = 2;
/// Number of values of each scratch buffer: the queries and scores of an attention task over 4,096 positions. Unused pages take no memory.
const SCRATCH_LEN: usize = 26 * (4_096 + 128);

/// Calls `work` with a scratch buffer of `n` values with arbitrary contents, which belongs to the calling thread, and returns its
/// result. A thread allocates its buffers at its first call, and again only for more than two nested calls or for an attention over
/// more than 4,096 positions.
pub fn with_scratch<T>(n: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    thread_local! {
        static BUFFERS: RefCell<Vec<Vec<f32>>> = RefCell::new((0..SCRATCH_BUFFERS).map(|_| vec![0.0; SCRATCH_LEN]).collect());
    }
    // Taken out while in use, so that a nested call gets another buffer.
    let mut scratch = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    if scratch.len() < n {
        scratch.resize(n, 0.0);
    }
    let done = work(&mut scratch[..n]);
    BUFFERS.with_borrow_mut(|buffers| buffers.push(scratch));
    done
}
