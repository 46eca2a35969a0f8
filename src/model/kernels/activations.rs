//! Rows of activations, rounded to 8 bits with one scale per row and group.

use std::cell::RefCell;

use super::math;
use super::thread_pool::{Parts, thread_pool};
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
    /// Mean and inverse spread of each row: room of the norms.
    shifts: Vec<(f32, f32)>,
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
        self.fill(rows, k, Self::worth_a_thread(rows), |g, cells| {
            for (row, cell) in x.chunks_exact(k).zip(cells.chunks_exact_mut(GROUP)) {
                let group = &row[g * GROUP..k.min((g + 1) * GROUP)];
                cell[..group.len()].copy_from_slice(group);
                cell[group.len()..].fill(0.0);
            }
        });
    }

    /// Rounds the rows of `x` after `norm`.
    pub fn round_tiled(&mut self, x: &Tiled, norm: Norm<'_>) {
        let mut shifts = std::mem::take(&mut self.shifts);
        find_shifts(x, norm, &mut shifts);
        let rows = x.rows();
        self.fill(rows, x.width(), Self::worth_a_thread(rows), |g, cells| {
            math::norm_group(x.numbers(), (rows, x.width()), g, norm, &shifts, cells);
        });
        self.shifts = shifts;
    }

    /// Rounds what `compute(group, cells)` writes into each group, `[row][64]`, the groups shared out over threads, at least
    /// `groups_at_a_time` to each.
    pub fn fill(&mut self, rows: usize, k: usize, groups_at_a_time: usize, compute: impl Fn(usize, &mut [f32]) + Sync) {
        (self.rows, self.groups) = (rows, k.div_ceil(GROUP));
        let cells = self.groups * rows;
        self.numbers.resize(cells * GROUP, 0);
        self.scales.resize(cells, 0.0);
        self.offsets.resize(cells, 0);
        let parts =
            (Parts::new(&mut self.numbers, rows * GROUP), (Parts::new(&mut self.scales, rows), Parts::new(&mut self.offsets, rows)));
        thread_pool().share(&parts, groups_at_a_time, |g, (numbers, (scales, offsets))| {
            with_room(rows * GROUP, |room| {
                compute(g, room);
                math::round_cells(room, numbers, scales, offsets);
            });
        });
    }

    /// Groups of so many rows whose rounding takes longer than handing them to a thread does (a microsecond or two).
    #[must_use]
    pub const fn worth_a_thread(rows: usize) -> usize {
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

/// Puts mean and inverse spread of every row of `x` into `shifts`.
fn find_shifts(x: &Tiled, norm: Norm<'_>, shifts: &mut Vec<(f32, f32)>) {
    let (rows, width) = (x.rows(), x.width() as f32);
    shifts.clear();
    shifts.resize(rows, (0.0, 1.0));
    let eps = match norm {
        Norm::None => return,
        Norm::Rms(_, eps) | Norm::Layer(_, _, eps) => eps,
    };
    with_room(rows * TILE, |sums| {
        if let Norm::Layer(..) = norm {
            math::row_sums(x.numbers(), (rows, x.width()), sums);
            for ((mean, _), sums) in shifts.iter_mut().zip(sums.chunks_exact(TILE)) {
                *mean = sums.iter().sum::<f32>() / width;
            }
        }
        math::row_squares(x.numbers(), (rows, x.width()), shifts, sums);
        for ((_, scale), sums) in shifts.iter_mut().zip(sums.chunks_exact(TILE)) {
            *scale = 1.0 / (sums.iter().sum::<f32>() / width + eps).sqrt();
        }
    });
}

/// Rooms that a thread has from the start: work that asks for one within another is as deep as it gets.
const ROOMS: usize = 2;
/// Numbers of each: queries and scores of a task of attention over 4,096 positions. The system gives memory to what is written
/// to.
const ROOM: usize = 26 * (4_096 + 128);

/// Lends `n` numbers of the calling thread's own memory, whatever they hold: a pass asks for the same room thousands of times.
/// A thread that is new makes its rooms at the first call; afterwards only a longer window than 4,096 positions takes more.
pub fn with_room<T>(n: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    thread_local! {
        static ROOMS_HERE: RefCell<Vec<Vec<f32>>> = RefCell::new((0..ROOMS).map(|_| vec![0.0; ROOM]).collect());
    }
    // Taken out while it is used: work that asks for room itself gets another one.
    let mut room = ROOMS_HERE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if room.len() < n {
        room.resize(n, 0.0);
    }
    let done = work(&mut room[..n]);
    ROOMS_HERE.with_borrow_mut(|rooms| rooms.push(room));
    done
}
