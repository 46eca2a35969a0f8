//! Attention of a few rows over a long cache of 16-bit keys and values.
//!
//! Responsible for the layout of one layer's cache and for the product with it; the query heads of a group share every load
//! of a key. Not responsible for which positions are kept.
//!
//! Layout: keys and values lie in blocks of 16 positions. A block of keys is kept dimension by dimension, so that 16 scores
//! form in one register; a block of values in slices of 16 dimensions, a slice position by position, so that 16 dimensions
//! of the answer do. Both products are then one and the same kernel, `c[r][0..16] = sum over i of a[r][i] * b[i][0..16]`,
//! which reads memory in one direction; scores come out of the first as the second takes them.

mod compaction;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::product::product;
use super::thread_pool::{UnevenParts, thread_pool};
use super::{InstructionSet, math, tiled, with_scratch};
use crate::model::rope::rotate;

/// Positions of a block, and dimensions of a slice.
const BLOCK: usize = 16;
/// Rows that share the loads of one task: as many as sums fit the registers of AVX-512 beside what they are made of.
const MAX_PAIRS: usize = 26;

/// Positions by which a cache grows: half a minute of chunks allocates once.
const GROW_BY: usize = 512;

/// Keys and values of one layer of one lane, f16.
///
/// Keys are kept twice: rotated for attention, and as they were before, from which they are rotated anew whenever their
/// position changes. So a rotated key is always the same function of its master and its position, however often it moved.
#[derive(Debug)]
pub struct BlockedKv {
    groups: usize,
    size: usize,
    positions: usize,
    /// Rotated, per group `[block][size][16 positions]`.
    keys: Vec<Vec<f16>>,
    /// Before rotation, per group `[position][size]`.
    unrotated: Vec<Vec<f16>>,
    /// Per group `[block][size / 16][16 positions][16]`.
    values: Vec<Vec<f16>>,
    /// Room for one position in f16.
    f16_scratch: Vec<f16>,
}

/// Some (row, head) pairs of one group of one lane, which one thread computes.
#[derive(Clone, Copy, Debug)]
pub struct AttentionTask {
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

impl AttentionTask {
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
pub struct AttentionPlan {
    tasks: Vec<AttentionTask>,
    /// Where the outputs of each task end.
    ends: Vec<usize>,
}

impl AttentionPlan {
    /// Plans for `lanes` of so many rows each, `per_group` heads of `size` in each of `groups`.
    pub fn rebuild(&mut self, lanes: impl Iterator<Item = usize>, groups: usize, per_group: usize, size: usize) {
        self.tasks.clear();
        self.ends.clear();
        let mut end = 0;
        for (lane, rows) in lanes.enumerate() {
            let all = rows * per_group;
            let shares = all.div_ceil(MAX_PAIRS);
            for group in 0..groups {
                for share in 0..shares {
                    let (first, last) = (share * all / shares, (share + 1) * all / shares);
                    self.tasks.push(AttentionTask { lane, group, first, pairs: last - first, per_group });
                    end += (last - first) * size;
                    self.ends.push(end);
                }
            }
        }
    }

    /// Numbers of all outputs: lane by lane `[group][row][head of the group][size]`.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Computes every task on all threads. `lane` gives the cache of a lane and how many rows are its newest positions; `fetch`
    /// writes the rotated queries of a task, `[pair][size]`; the outputs go to `outputs`.
    pub fn run<'a>(
        &self,
        isa: InstructionSet,
        outputs: &mut [f32],
        lane: impl Fn(usize) -> Option<(&'a BlockedKv, usize)> + Sync,
        fetch: impl Fn(&AttentionTask, &mut [f32]) + Sync,
    ) {
        let Some(parts) = UnevenParts::new(outputs, &self.ends) else { return };
        thread_pool().for_each(&parts, 1, |at, outputs| {
            let task = &self.tasks[at];
            let Some((cache, rows)) = lane(task.lane) else { return };
            with_scratch(outputs.len(), |queries| {
                fetch(task, queries);
                cache.attend(isa, task, rows, queries, outputs);
            });
        });
    }
}

impl Clone for BlockedKv {
    /// A copy that has scratch to grow: what is copied is appended to next.
    fn clone(&self) -> Self {
        let copy = |all: &Vec<Vec<f16>>| all.iter().map(|own| with_spare(own, GROW_BY * self.size)).collect();
        Self { keys: copy(&self.keys), unrotated: copy(&self.unrotated), values: copy(&self.values), f16_scratch: Vec::new(), ..*self }
    }
}

fn with_spare(numbers: &[f16], spare: usize) -> Vec<f16> {
    let mut copy = Vec::with_capacity(numbers.len() + spare);
    copy.extend_from_slice(numbers);
    copy
}

impl BlockedKv {
    /// An empty cache for `groups` key/value heads of `size` numbers, a multiple of 16.
    #[must_use]
    pub fn new(groups: usize, size: usize) -> Self {
        let empty = || vec![Vec::new(); groups];
        Self { groups, size, positions: 0, keys: empty(), unrotated: empty(), values: empty(), f16_scratch: Vec::new() }
    }

    /// Bytes of a position: keys twice, and values, of `groups` heads of `size` numbers.
    #[must_use]
    pub const fn bytes_per_position(groups: usize, size: usize) -> usize {
        3 * groups * size * size_of::<f16>()
    }

    /// Positions that it holds.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.positions
    }

    /// Takes scratch for `positions` at once, so that it does not grow before it holds more; the system gives memory only to
    /// what is written to.
    pub fn reserve(&mut self, positions: usize) {
        let numbers = positions.next_multiple_of(BLOCK) * self.size;
        for own in self.keys.iter_mut().chain(&mut self.unrotated).chain(&mut self.values) {
            own.reserve_exact(numbers.saturating_sub(own.len()));
        }
        self.f16_scratch.reserve_exact(self.size.saturating_sub(self.f16_scratch.len()));
    }

    /// Appends one position: the keys before rotation (afterwards they are rotated) and the values of every group,
    /// `[groups * size]` each; `cos_sin` is the rotation of this position.
    pub fn append(&mut self, keys: &mut [f32], cos_sin: &[(f32, f32)], values: &[f32]) {
        let size = self.size;
        for (keys, unrotated) in keys.chunks_exact_mut(size).zip(&mut self.unrotated) {
            let from = unrotated.len();
            if unrotated.capacity() < from + size {
                unrotated.reserve_exact(GROW_BY * size);
            }
            unrotated.resize(from + size, f16::ZERO);
            unrotated[from..].convert_from_f32_slice(keys);
            // What is rotated is what is kept, so that rotating it again gives the same bits.
            unrotated[from..].convert_to_f32_slice(keys);
        }
        rotate(keys, cos_sin);
        let (block, lane) = (self.positions / BLOCK * BLOCK * size, self.positions % BLOCK);
        for own in self.keys.iter_mut().chain(&mut self.values) {
            if own.capacity() < block + BLOCK * size {
                own.reserve_exact(GROW_BY * size);
            }
            own.resize(block + BLOCK * size, f16::ZERO);
        }
        for g in 0..self.groups {
            self.put_key(g, self.positions, &keys[g * size..(g + 1) * size]);
            self.f16_scratch.convert_from_f32_slice(&values[g * size..(g + 1) * size]);
            let to = &mut self.values[g][block..];
            for (slice, own) in self.f16_scratch.chunks_exact(BLOCK).enumerate() {
                to[(slice * BLOCK + lane) * BLOCK..][..BLOCK].copy_from_slice(own);
            }
        }
        self.positions += 1;
    }

    /// Puts a rotated key of group `g` into the place of position `at`.
    fn put_key(&mut self, g: usize, at: usize, key: &[f32]) {
        self.f16_scratch.resize(self.size, f16::ZERO);
        self.f16_scratch.convert_from_f32_slice(key);
        let to = &mut self.keys[g][at / BLOCK * BLOCK * self.size + at % BLOCK..];
        to.iter_mut().step_by(BLOCK).zip(&self.f16_scratch).for_each(|(to, key)| *to = *key);
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
    pub fn to_rows(&self) -> (Vec<f16>, Vec<f16>) {
        let mut values = Vec::with_capacity(self.groups * self.positions * self.size);
        for own in &self.values {
            for at in 0..self.positions {
                values.extend((0..self.size / BLOCK).flat_map(|slice| self.slice(own, at, slice)));
            }
        }
        (self.unrotated.concat(), values)
    }

    /// Where slice `slice` of the values of position `at` begins.
    const fn place(&self, at: usize, slice: usize) -> usize {
        at / BLOCK * BLOCK * self.size + (slice * BLOCK + at % BLOCK) * BLOCK
    }

    /// Slice `slice` of the values of position `at` of one group.
    fn slice<'a>(&self, own: &'a [f16], at: usize, slice: usize) -> &'a [f16] {
        &own[self.place(at, slice)..][..BLOCK]
    }

    /// Causal attention of `task`, whose lane's newest `rows` positions ask: `queries` and `outputs` are `[pair][size]`.
    fn attend(&self, isa: InstructionSet, task: &AttentionTask, rows: usize, queries: &[f32], outputs: &mut [f32]) {
        let size = self.size;
        // A tile of all pairs, of queries as of scores.
        let stride = task.pairs * BLOCK;
        with_scratch(stride * (size / BLOCK + self.positions.div_ceil(BLOCK)), |scratch| {
            let (tiles, scores) = scratch.split_at_mut(task.pairs * size);
            for (pair, query) in queries.chunks_exact(size).enumerate() {
                tiled::put(tiles, (pair, task.pairs), 0, query);
            }
            for (keys, scores) in self.keys[task.group].chunks_exact(BLOCK * size).zip(scores.chunks_exact_mut(stride)) {
                product(isa, task.pairs, (tiles, stride), (keys, BLOCK * BLOCK), size, (scores, BLOCK));
            }
            let scale = 1.0 / (size as f32).sqrt();
            for pair in 0..task.pairs {
                math::softmax(&mut scores[pair * BLOCK..], stride, self.positions - rows + task.row(pair) + 1, scale);
            }
            for slice in 0..size / BLOCK {
                let values = &self.values[task.group][slice * BLOCK * BLOCK..];
                product(isa, task.pairs, (scores, stride), (values, BLOCK * size), self.positions, (&mut outputs[slice * BLOCK..], size));
            }
        });
    }
}
