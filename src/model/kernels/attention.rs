//! Attention of a few rows over a long cache of f16 keys and values.
//!
//! Responsible for the layout of one layer's cache and for attention over it; the query heads of a group share every load of a
//! key. Not responsible for the choice of positions that compaction keeps.
//!
//! Layout: keys and values lie in blocks of 16 positions. A block of keys is stored dimension by dimension, so that 16 scores form
//! in one register; a block of values in slices of 16 dimensions, a slice position by position, so that 16 output dimensions do.
//! Both products then use one kernel, `c[r][0..16] = sum over i of a[r][i] * b[i][0..16]`, which reads memory in one direction;
//! the first writes scores in the layout that the second reads.

mod compaction;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::product::{Strided, StridedMut, product};
use super::thread_pool::{UnevenParts, thread_pool};
use super::{InstructionSet, math, tiled, with_scratch};
use crate::model::kv_cache::KvShape;
use crate::model::rope::rotate;

/// Number of positions of a block of keys or values, and of dimensions of a slice of values.
const BLOCK: usize = 16;
/// Largest number of (row, query head) pairs of one attention task: their sums and operands fill the registers of AVX-512.
const MAX_PAIRS: usize = 26;

/// Number of positions by which a packed layer's cache grows: one allocation per 15 s of sound.
const GROW_BY: usize = 512;

/// The keys and values of one layer of one lane, f16, in blocks of 16 positions.
///
/// Keys are stored twice: rotated for attention, and unrotated, to be rotated again when compaction changes their position: a
/// rotated key depends only on its unrotated key and its position, however often it moved.
#[derive(Debug)]
pub struct BlockedKv {
    /// Number of key/value heads.
    groups: usize,
    /// Number of values of a head.
    size: usize,
    /// Number of positions.
    positions: usize,
    /// Rotated keys, per group `[block][size][16 positions]`.
    keys: Vec<Vec<f16>>,
    /// Keys before rotation, per group `[position][size]`.
    unrotated: Vec<Vec<f16>>,
    /// Values, per group `[block][size / 16][16 positions][16]`.
    values: Vec<Vec<f16>>,
    /// Scratch for one head of one position, `[size]`.
    f16_scratch: Vec<f16>,
}

/// A share of the attention of a layer: successive (row, query head) pairs of one lane that read the same key/value head, computed
/// by one thread.
#[derive(Clone, Copy, Debug)]
pub struct AttentionTask {
    /// Index of the lane in the pass.
    pub lane: usize,
    /// Index of the key/value head.
    pub group: usize,
    /// First pair, numbered `row * per_group + head` within the lane and group.
    pub first: usize,
    /// Number of pairs.
    pub pairs: usize,
    /// Number of query heads that share the key/value head.
    pub per_group: usize,
}

impl AttentionTask {
    /// Returns the row of pair `at` of this task, counted within the lane's rows of the pass.
    #[must_use]
    pub const fn row(&self, at: usize) -> usize {
        (self.first + at) / self.per_group
    }

    /// Returns the query head, counted within its group, of pair `at` of this task.
    #[must_use]
    pub const fn head(&self, at: usize) -> usize {
        (self.first + at) % self.per_group
    }
}

/// The division of the attention of a pass into tasks, the same in every layer.
#[derive(Debug, Default)]
pub struct AttentionPlan {
    /// Tasks, lane by lane.
    tasks: Vec<AttentionTask>,
    /// Index after the last output of each task, among the outputs of all tasks.
    ends: Vec<usize>,
}

impl AttentionPlan {
    /// Replaces the tasks by those of a pass: each lane has its number of `rows_of_lanes`, with `per_group` query heads of `size`
    /// numbers in each of `groups`.
    pub fn rebuild(&mut self, rows_of_lanes: impl Iterator<Item = usize>, groups: usize, per_group: usize, size: usize) {
        self.tasks.clear();
        self.ends.clear();
        let mut end = 0;
        for (lane, rows) in rows_of_lanes.enumerate() {
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

    /// Returns the number of output values of a layer, which lie lane by lane `[group][row][head of the group][size]`.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Computes the attention of a layer, every task once, on all threads. `lane` returns a lane's cache and its number of rows,
    /// which are the newest positions in the cache (None skips the lane's tasks); `fetch` must write the rotated queries of a task,
    /// `[pair][size]`. The results go to `outputs`, which must hold [`output_len`](Self::output_len) values; if shorter, nothing is
    /// computed.
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
    /// Returns a copy with room for 512 further positions, because a copy is appended to next.
    fn clone(&self) -> Self {
        let copy = |all: &Vec<Vec<f16>>| all.iter().map(|own| with_spare(own, GROW_BY * self.size)).collect();
        Self { keys: copy(&self.keys), unrotated: copy(&self.unrotated), values: copy(&self.values), f16_scratch: Vec::new(), ..*self }
    }
}

/// Returns a copy of `values` with capacity for `spare` more.
fn with_spare(values: &[f16], spare: usize) -> Vec<f16> {
    let mut copy = Vec::with_capacity(values.len() + spare);
    copy.extend_from_slice(values);
    copy
}

impl BlockedKv {
    /// Makes an empty cache; the size of a head must be a multiple of 16, which is not checked.
    #[must_use]
    pub fn new(shape: KvShape) -> Self {
        let KvShape { groups, head_size: size } = shape;
        let empty = || vec![Vec::new(); groups];
        Self { groups, size, positions: 0, keys: empty(), unrotated: empty(), values: empty(), f16_scratch: Vec::new() }
    }

    /// Returns the number of bytes that a position takes in one layer: keys twice, and values, in f16.
    #[must_use]
    pub const fn bytes_per_position(shape: KvShape) -> usize {
        3 * shape.groups * shape.head_size * size_of::<f16>()
    }

    /// Returns the number of positions that have been appended and not dropped.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.positions
    }

    /// Reserves memory for `positions` positions in all, so that the cache does not grow before it holds more; unused pages take no memory.
    pub fn reserve(&mut self, positions: usize) {
        let numbers = positions.next_multiple_of(BLOCK) * self.size;
        for own in self.keys.iter_mut().chain(&mut self.unrotated).chain(&mut self.values) {
            own.reserve_exact(numbers.saturating_sub(own.len()));
        }
        self.f16_scratch.reserve_exact(self.size.saturating_sub(self.f16_scratch.len()));
    }

    /// Appends one position: the unrotated `keys` and the `values` of every group, `[groups * size]` each, rounded to f16.
    /// `cos_sin` is the rotation of this position; `keys` is rounded and rotated in place.
    pub fn append(&mut self, keys: &mut [f32], cos_sin: &[(f32, f32)], values: &[f32]) {
        let size = self.size;
        for (keys, unrotated) in keys.chunks_exact_mut(size).zip(&mut self.unrotated) {
            let from = unrotated.len();
            if unrotated.capacity() < from + size {
                unrotated.reserve_exact(GROW_BY * size);
            }
            unrotated.resize(from + size, f16::ZERO);
            unrotated[from..].convert_from_f32_slice(keys);
            // The stored, rounded key is the one to rotate, so that rotating again gives the same bits.
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

    /// Stores `key`, the rotated key of group number `g` at position number `at`, rounded to f16; the position's block must exist.
    fn put_key(&mut self, g: usize, at: usize, key: &[f32]) {
        self.f16_scratch.resize(self.size, f16::ZERO);
        self.f16_scratch.convert_from_f32_slice(key);
        let to = &mut self.keys[g][at / BLOCK * BLOCK * self.size + at % BLOCK..];
        to.iter_mut().step_by(BLOCK).zip(&self.f16_scratch).for_each(|(to, key)| *to = *key);
    }

    /// Returns the shape of the keys and of the values of a position.
    #[must_use]
    pub const fn shape(&self) -> KvShape {
        KvShape { groups: self.groups, head_size: self.size }
    }

    /// Returns copies of all keys as they were before rotation, and of all values, each `[groups][positions][size]`, for storing in a file.
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

    /// Returns the index, among the values of a group, of the dimensions `16 slice .. 16 slice + 16` of position number `at`.
    const fn slice_offset(&self, at: usize, slice: usize) -> usize {
        at / BLOCK * BLOCK * self.size + (slice * BLOCK + at % BLOCK) * BLOCK
    }

    /// Returns the dimensions `16 slice .. 16 slice + 16` of position number `at` from the values `own` of one group.
    fn slice<'a>(&self, own: &'a [f16], at: usize, slice: usize) -> &'a [f16] {
        &own[self.slice_offset(at, slice)..][..BLOCK]
    }

    /// Writes the causal attention of `task` over this cache to `outputs`: the newest `rows` positions are those of the queries,
    /// and row `r` sees all positions up to its own. `queries` (rotated) and `outputs` are `[pair][size]`.
    fn attend(&self, isa: InstructionSet, task: &AttentionTask, rows: usize, queries: &[f32], outputs: &mut [f32]) {
        let size = self.size;
        // Distance of two tiles of 16 columns, for queries and for scores.
        let stride = task.pairs * BLOCK;
        with_scratch(stride * (size / BLOCK + self.positions.div_ceil(BLOCK)), |scratch| {
            let (tiles, scores) = scratch.split_at_mut(task.pairs * size);
            // 1. Queries to tiles: [pair][size] -> [size / 16][pair][16].
            for (pair, query) in queries.chunks_exact(size).enumerate() {
                tiled::put(tiles, task.pairs, pair, 0, query);
            }
            // 2. Scores, block by block: queries x keys -> [positions / 16][pair][16].
            for (keys, scores) in self.keys[task.group].chunks_exact(BLOCK * size).zip(scores.chunks_exact_mut(stride)) {
                let (queries, keys) = (Strided { values: tiles, stride }, Strided { values: keys, stride: BLOCK * BLOCK });
                product(isa, task.pairs, queries, keys, size, StridedMut { values: scores, stride: BLOCK });
            }
            // 3. Softmax over the positions that each row sees.
            let scale = 1.0 / (size as f32).sqrt();
            for pair in 0..task.pairs {
                math::softmax(&mut scores[pair * BLOCK..], stride, self.positions - rows + task.row(pair) + 1, scale);
            }
            // 4. Outputs, 16 dimensions at a time: scores x values -> [pair][size].
            for slice in 0..size / BLOCK {
                let values = Strided { values: &self.values[task.group][slice * BLOCK * BLOCK..], stride: BLOCK * size };
                let out = StridedMut { values: &mut outputs[slice * BLOCK..], stride: size };
                product(isa, task.pairs, Strided { values: scores, stride }, values, self.positions, out);
            }
        });
    }
}
