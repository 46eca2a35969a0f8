//! Filling a cache from stored rows, and compacting it to the positions that are kept.
//!
//! Not responsible for the choice of those positions.

use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{BLOCK, BlockedKv, KvShape, rotate};
use crate::model::kernels::with_scratch;

impl BlockedKv {
    /// Makes a cache from the unrotated keys and the values of [`BlockedKv::to_rows`], which get the positions from 0 on; `cos_sin`
    /// holds the `size / 2` rotations of each position.
    #[must_use]
    pub fn from_rows(shape: KvShape, keys: &[f16], values: &[f16], cos_sin: &[(f32, f32)]) -> Self {
        let KvShape { groups, head_size: size } = shape;
        let positions = keys.len() / (groups * size).max(1);
        let mut own = Self::new(shape);
        let (mut key, mut value) = (vec![0.0; groups * size], vec![0.0; groups * size]);
        for (at, cos_sin) in (0..positions).zip(cos_sin.chunks_exact((size / 2).max(1))) {
            for (all, to) in [(keys, &mut key), (values, &mut value)] {
                for (g, to) in to.chunks_exact_mut(size).enumerate() {
                    all[(g * positions + at) * size..][..size].convert_to_f32_slice(to);
                }
            }
            own.append(&mut key, cos_sin, &value);
        }
        own
    }

    /// Drops all positions but `kept` (ascending, disjoint ranges), which move to the lowest positions; `cos_sin` holds the `size / 2`
    /// rotations of each of these. Allocates nothing.
    pub fn compact(&mut self, kept: &[Range<usize>], cos_sin: &[(f32, f32)]) {
        let mut to = 0;
        let mut moved = None;
        for range in kept {
            // Positions only move down, so nothing is overwritten before it is read.
            if to < range.start {
                moved.get_or_insert(to);
                self.move_down(range.clone(), to);
            }
            to += range.len();
        }
        self.truncate(to);
        if let Some(first) = moved {
            self.rotate_again(first, cos_sin);
        }
    }

    /// Moves the unrotated keys and the values of the positions `range` down to those from `to` on; the rotated keys stay.
    fn move_down(&mut self, range: Range<usize>, to: usize) {
        let size = self.size;
        for g in 0..self.groups {
            self.unrotated[g].copy_within(range.start * size..range.end * size, to * size);
        }
        let mut done = 0;
        while done < range.len() {
            let (from, to) = (range.start + done, to + done);
            // As many positions as are contiguous in both blocks.
            let count = (BLOCK - from % BLOCK).min(BLOCK - to % BLOCK).min(range.len() - done);
            for slice in 0..size / BLOCK {
                let (from, to) = (self.slice_offset(from, slice), self.slice_offset(to, slice));
                self.values.iter_mut().for_each(|values| values.copy_within(from..from + count * BLOCK, to));
            }
            done += count;
        }
    }

    /// Makes the rotated keys of all positions from the block of position `first` on again, from the unrotated ones.
    fn rotate_again(&mut self, first: usize, cos_sin: &[(f32, f32)]) {
        let (size, half) = (self.size, self.size / 2);
        with_scratch((1 + BLOCK) * size, |scratch| {
            let (key, block) = scratch.split_at_mut(size);
            for begin in (first / BLOCK * BLOCK..self.positions).step_by(BLOCK) {
                let end = (begin + BLOCK).min(self.positions);
                for (keys, unrotated) in self.keys.iter_mut().zip(&self.unrotated) {
                    block.fill(0.0);
                    for at in begin..end {
                        unrotated[at * size..][..size].convert_to_f32_slice(key);
                        rotate(key, &cos_sin[at * half..][..half]);
                        block[at - begin..].iter_mut().step_by(BLOCK).zip(&*key).for_each(|(to, key)| *to = *key);
                    }
                    keys[begin * size..][..BLOCK * size].convert_from_f32_slice(block);
                }
            }
        });
    }

    /// Drops all positions but the first `positions`; zeroes the remainder of the last block, as in a cache that never held more.
    fn truncate(&mut self, positions: usize) {
        let (size, blocks) = (self.size, positions.next_multiple_of(BLOCK) * self.size);
        self.positions = positions;
        for g in 0..self.groups {
            self.unrotated[g].truncate(positions * size);
            self.keys[g].truncate(blocks);
            self.values[g].truncate(blocks);
            for at in positions..positions.next_multiple_of(BLOCK) {
                let first = at / BLOCK * BLOCK * size + at % BLOCK;
                self.keys[g][first..].iter_mut().step_by(BLOCK).for_each(|key| *key = f16::ZERO);
                for slice in 0..size / BLOCK {
                    let offset = self.slice_offset(at, slice);
                    self.values[g][offset..offset + BLOCK].fill(f16::ZERO);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rope::Rope;

    const GROUPS: usize = 2;
    const SIZE: usize = 32;
    const SHAPE: KvShape = KvShape { groups: GROUPS, head_size: SIZE };

    /// Returns the reproducible key and value of an entry.
    fn entry(number: usize) -> (Vec<f32>, Vec<f32>) {
        let at = |i: usize| ((number * 7_919 + i * 104_729) % 2_003) as f32 / 200.0 - 5.0;
        ((0..GROUPS * SIZE).map(at).collect(), (0..GROUPS * SIZE).map(|i| at(i + 500)).collect())
    }

    fn cos_sin(rope: &Rope, positions: usize) -> Vec<(f32, f32)> {
        rope.cos_sin(0, positions).collect()
    }

    fn append(cache: &mut BlockedKv, rope: &Rope, number: usize) {
        let (mut keys, values) = entry(number);
        let cos_sin: Vec<_> = rope.cos_sin(cache.positions(), 1).collect();
        cache.append(&mut keys, &cos_sin, &values);
    }

    fn fresh(rope: &Rope, entries: &[usize]) -> BlockedKv {
        let mut cache = BlockedKv::new(SHAPE);
        entries.iter().for_each(|number| append(&mut cache, rope, *number));
        cache
    }

    fn same(a: &BlockedKv, b: &BlockedKv) -> bool {
        let bits = |all: &[Vec<f16>]| all.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
        (a.positions, bits(&a.keys), bits(&a.unrotated), bits(&a.values))
            == (b.positions, bits(&b.keys), bits(&b.unrotated), bits(&b.values))
    }

    #[test]
    fn compacted_cache_equals_one_that_held_only_the_kept_positions() {
        let rope = Rope::new(SIZE, 10_000.0);
        let all: Vec<usize> = (0..2_100).collect();
        for kept in [vec![0..2_100], vec![0..40, 57..58, 100..1_000, 2_050..2_100], vec![3..35], vec![0..16, 32..48], vec![]] {
            let mut cache = fresh(&rope, &all);
            cache.compact(&kept, &cos_sin(&rope, kept.iter().map(Range::len).sum()));
            let entries: Vec<usize> = kept.iter().cloned().flatten().collect();
            assert_eq!(cache.positions(), entries.len());
            assert!(entries.is_empty() || same(&cache, &fresh(&rope, &entries)), "{kept:?}");
            // A later position is appended at the right place.
            append(&mut cache, &rope, 5_000);
            assert!(same(&cache, &fresh(&rope, &[entries, vec![5_000]].concat())), "{kept:?}");
        }
    }

    #[test]
    fn bytes_per_position_match_the_memory_of_a_cache() {
        let cache = fresh(&Rope::new(SIZE, 10_000.0), &(0..160).collect::<Vec<_>>());
        let held: usize = cache.keys.iter().chain(&cache.unrotated).chain(&cache.values).map(|own| size_of_val(own.as_slice())).sum();
        assert_eq!(BlockedKv::bytes_per_position(SHAPE) * 160, held);
    }

    #[test]
    fn thousand_compactions_add_no_error() {
        let rope = Rope::new(SIZE, 1_000_000.0);
        let mut cache = fresh(&rope, &(0..1_300).collect::<Vec<_>>());
        for _ in 0..1_000 {
            // The first 20 stay, the next is dropped, and all others move down by one.
            cache.compact(&[0..20, 21..cache.positions()], &cos_sin(&rope, cache.positions() - 1));
        }
        let entries: Vec<usize> = (0..20).chain(1_020..1_300).collect();
        assert!(same(&cache, &fresh(&rope, &entries)));
    }
}
