//! Attention of a few rows over a long cache of 16-bit keys and values.
//!
//! Responsible for the layout of one layer's cache and for the product with it; the query heads of a group share every load
//! of a key. Not responsible for which positions are kept.
//!
//! Layout: keys and values lie in blocks of 16 positions. A block of keys is kept dimension by dimension, so that 16 scores
//! form in one register; a block of values in slices of 16 dimensions, a slice position by position, so that 16 dimensions
//! of the answer do. Both products are then one and the same kernel, `c[r][0..16] = sum over i of a[r][i] * b[i][0..16]`,
//! which reads memory in one direction; scores come out of the first as the second takes them.

mod keeping;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::product::product;
use super::thread_pool::{Uneven, thread_pool};
use super::{InstructionSet, math, tiled, with_room};
use crate::model::rope::rotate;

/// Positions of a block, and dimensions of a slice.
const WIDE: usize = 16;
/// Rows that share the loads of one task: as many as sums fit the registers of AVX-512 beside what they are made of.
const ROWS: usize = 26;

/// Positions by which a cache grows: half a minute of chunks allocates once.
const GROW_BY: usize = 512;

/// Keys and values of one layer of one lane, f16.
///
/// Keys are kept twice: rotated for attention, and as they were before, from which they are rotated anew whenever their
/// position changes. So a rotated key is always the same function of its master and its position, however often it moved.
#[derive(Debug)]
pub struct KeysValues {
    groups: usize,
    size: usize,
    positions: usize,
    /// Rotated, per group `[block][size][16 positions]`.
    keys: Vec<Vec<f16>>,
    /// Before rotation, per group `[position][size]`.
    masters: Vec<Vec<f16>>,
    /// Per group `[block][size / 16][16 positions][16]`.
    values: Vec<Vec<f16>>,
    /// Room for one position in f16.
    halves: Vec<f16>,
}

/// Some (row, head) pairs of one group of one lane, which one thread computes.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Which lane.
    pub lane: usize,
    /// Which key/value head.
    pub group: usize,
    /// The first pair of the group, `row * heads of a group + head`.
    pub first: usize,
    /// How many.
    pub pairs: usize,
    /// Heads of the group.
    pub per_group: usize,
}

impl Task {
    /// The row of pair `at` of this task.
    #[must_use]
    pub const fn row(&self, at: usize) -> usize {
        (self.first + at) / self.per_group
    }

    /// The head, within its group, of pair `at` of this task.
    #[must_use]
    pub const fn head(&self, at: usize) -> usize {
        (self.first + at) % self.per_group
    }
}

/// How the attention of a pass is shared out, the same in every layer.
#[derive(Debug, Default)]
pub struct Plan {
    tasks: Vec<Task>,
    /// Where the answers of each task end.
    ends: Vec<usize>,
}

impl Plan {
    /// Plans for `lanes` of so many rows each, `per_group` heads of `size` in each of `groups`.
    pub fn make(&mut self, lanes: impl Iterator<Item = usize>, groups: usize, per_group: usize, size: usize) {
        self.tasks.clear();
        self.ends.clear();
        let mut end = 0;
        for (lane, rows) in lanes.enumerate() {
            let all = rows * per_group;
            let shares = all.div_ceil(ROWS);
            for group in 0..groups {
                for share in 0..shares {
                    let (first, last) = (share * all / shares, (share + 1) * all / shares);
                    self.tasks.push(Task { lane, group, first, pairs: last - first, per_group });
                    end += (last - first) * size;
                    self.ends.push(end);
                }
            }
        }
    }

    /// Numbers of all answers: lane by lane `[group][row][head of the group][size]`.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Computes every task on all threads. `lane` gives the cache of a lane and how many rows are its newest positions; `fetch`
    /// writes the rotated queries of a task, `[pair][size]`; the answers go to `answers`.
    pub fn run<'a>(
        &self,
        path: InstructionSet,
        answers: &mut [f32],
        lane: impl Fn(usize) -> Option<(&'a KeysValues, usize)> + Sync,
        fetch: impl Fn(&Task, &mut [f32]) + Sync,
    ) {
        let Some(parts) = Uneven::new(answers, &self.ends) else { return };
        thread_pool().share(&parts, 1, |at, answers| {
            let task = &self.tasks[at];
            let Some((cache, rows)) = lane(task.lane) else { return };
            with_room(answers.len(), |queries| {
                fetch(task, queries);
                cache.attend(path, task, rows, queries, answers);
            });
        });
    }
}

impl Clone for KeysValues {
    /// A copy that has room to grow: what is copied is appended to next.
    fn clone(&self) -> Self {
        let copy = |all: &Vec<Vec<f16>>| all.iter().map(|own| with_spare(own, GROW_BY * self.size)).collect();
        Self { keys: copy(&self.keys), masters: copy(&self.masters), values: copy(&self.values), halves: Vec::new(), ..*self }
    }
}

fn with_spare(numbers: &[f16], spare: usize) -> Vec<f16> {
    let mut copy = Vec::with_capacity(numbers.len() + spare);
    copy.extend_from_slice(numbers);
    copy
}

impl KeysValues {
    /// An empty cache for `groups` key/value heads of `size` numbers, a multiple of 16.
    #[must_use]
    pub fn new(groups: usize, size: usize) -> Self {
        let empty = || vec![Vec::new(); groups];
        Self { groups, size, positions: 0, keys: empty(), masters: empty(), values: empty(), halves: Vec::new() }
    }

    /// Bytes of a position: keys twice, and values, of `groups` heads of `size` numbers.
    #[must_use]
    pub const fn bytes_of_position(groups: usize, size: usize) -> usize {
        3 * groups * size * size_of::<f16>()
    }

    /// Positions that it holds.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.positions
    }

    /// Takes room for `positions` at once, so that it does not grow before it holds more; the system gives memory only to
    /// what is written to.
    pub fn reserve(&mut self, positions: usize) {
        let numbers = positions.next_multiple_of(WIDE) * self.size;
        for own in self.keys.iter_mut().chain(&mut self.masters).chain(&mut self.values) {
            own.reserve_exact(numbers.saturating_sub(own.len()));
        }
        self.halves.reserve_exact(self.size.saturating_sub(self.halves.len()));
    }

    /// Appends one position: the keys before rotation (afterwards they are rotated) and the values of every group,
    /// `[groups * size]` each; `turns` is the rotation of this position.
    pub fn append(&mut self, keys: &mut [f32], turns: &[(f32, f32)], values: &[f32]) {
        let size = self.size;
        for (keys, masters) in keys.chunks_exact_mut(size).zip(&mut self.masters) {
            let from = masters.len();
            if masters.capacity() < from + size {
                masters.reserve_exact(GROW_BY * size);
            }
            masters.resize(from + size, f16::ZERO);
            masters[from..].convert_from_f32_slice(keys);
            // What is rotated is what is kept, so that rotating it again gives the same bits.
            masters[from..].convert_to_f32_slice(keys);
        }
        rotate(keys, turns);
        let (block, lane) = (self.positions / WIDE * WIDE * size, self.positions % WIDE);
        for own in self.keys.iter_mut().chain(&mut self.values) {
            if own.capacity() < block + WIDE * size {
                own.reserve_exact(GROW_BY * size);
            }
            own.resize(block + WIDE * size, f16::ZERO);
        }
        for g in 0..self.groups {
            self.put_key(g, self.positions, &keys[g * size..(g + 1) * size]);
            self.halves.convert_from_f32_slice(&values[g * size..(g + 1) * size]);
            let to = &mut self.values[g][block..];
            for (slice, own) in self.halves.chunks_exact(WIDE).enumerate() {
                to[(slice * WIDE + lane) * WIDE..][..WIDE].copy_from_slice(own);
            }
        }
        self.positions += 1;
    }

    /// Puts a rotated key of group `g` into the place of position `at`.
    fn put_key(&mut self, g: usize, at: usize, key: &[f32]) {
        self.halves.resize(self.size, f16::ZERO);
        self.halves.convert_from_f32_slice(key);
        let to = &mut self.keys[g][at / WIDE * WIDE * self.size + at % WIDE..];
        to.iter_mut().step_by(WIDE).zip(&self.halves).for_each(|(to, key)| *to = *key);
    }

    /// Key/value heads.
    #[must_use]
    pub const fn groups(&self) -> usize {
        self.groups
    }

    /// Numbers of a head.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// All keys before rotation and all values, `[groups][positions][size]`.
    #[must_use]
    pub fn rows(&self) -> (Vec<f16>, Vec<f16>) {
        let mut values = Vec::with_capacity(self.groups * self.positions * self.size);
        for own in &self.values {
            for at in 0..self.positions {
                values.extend((0..self.size / WIDE).flat_map(|slice| self.slice(own, at, slice)));
            }
        }
        (self.masters.concat(), values)
    }

    /// Where slice `slice` of the values of position `at` begins.
    const fn place(&self, at: usize, slice: usize) -> usize {
        at / WIDE * WIDE * self.size + (slice * WIDE + at % WIDE) * WIDE
    }

    /// Slice `slice` of the values of position `at` of one group.
    fn slice<'a>(&self, own: &'a [f16], at: usize, slice: usize) -> &'a [f16] {
        &own[self.place(at, slice)..][..WIDE]
    }

    /// Causal attention of `task`, whose lane's newest `rows` positions ask: `queries` and `answers` are `[pair][size]`.
    fn attend(&self, path: InstructionSet, task: &Task, rows: usize, queries: &[f32], answers: &mut [f32]) {
        let size = self.size;
        // A tile of all pairs, of queries as of scores.
        let stride = task.pairs * WIDE;
        with_room(stride * (size / WIDE + self.positions.div_ceil(WIDE)), |room| {
            let (tiles, scores) = room.split_at_mut(task.pairs * size);
            for (pair, query) in queries.chunks_exact(size).enumerate() {
                tiled::put(tiles, (pair, task.pairs), 0, query);
            }
            for (keys, scores) in self.keys[task.group].chunks_exact(WIDE * size).zip(scores.chunks_exact_mut(stride)) {
                product(path, task.pairs, (tiles, stride), (keys, WIDE * WIDE), size, (scores, WIDE));
            }
            let scale = 1.0 / (size as f32).sqrt();
            for pair in 0..task.pairs {
                math::softmax(&mut scores[pair * WIDE..], stride, self.positions - rows + task.row(pair) + 1, scale);
            }
            for slice in 0..size / WIDE {
                let values = &self.values[task.group][slice * WIDE * WIDE..];
                product(path, task.pairs, (scores, stride), (values, WIDE * size), self.positions, (&mut answers[slice * WIDE..], size));
            }
        });
    }
}
