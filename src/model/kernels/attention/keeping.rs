//! Filling a cache from disk and making room in it. Both append again what is kept, so they know nothing of the layout; which
//! positions go is decided elsewhere.

use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::KeysValues;

impl KeysValues {
    /// The cache that [`KeysValues::rows`] described; `turns` holds `size / 2` rotations for each position.
    #[must_use]
    pub fn from_rows((groups, size): (usize, usize), keys: &[f16], values: &[f16], turns: &[(f32, f32)]) -> Self {
        let positions = keys.len() / (groups * size).max(1);
        let row = |all: &[f16], g: usize, at: usize, to: &mut [f32]| {
            all[(g * positions + at) * size..][..size].convert_to_f32_slice(to);
        };
        Self::filled((groups, size), 0..positions, turns, |g, at, key, value| {
            row(keys, g, at, key);
            row(values, g, at, value);
        })
    }

    /// Keeps the positions `kept` (in order, none twice), which move to the lowest positions; `turns` holds `size / 2`
    /// rotations for each of the positions that are left.
    pub fn keep(&mut self, kept: &[Range<usize>], turns: &[(f32, f32)]) {
        let size = self.size;
        *self = Self::filled((self.groups, size), kept.iter().cloned().flatten(), turns, |g, at, key, value| {
            self.masters[g][at * size..][..size].convert_to_f32_slice(key);
            self.value(g, at, value);
        });
    }

    /// A cache of these positions of another one, which `fetch` reads (group, position, key before rotation, value).
    fn filled(
        (groups, size): (usize, usize),
        positions: impl Iterator<Item = usize>,
        turns: &[(f32, f32)],
        fetch: impl Fn(usize, usize, &mut [f32], &mut [f32]),
    ) -> Self {
        let mut own = Self::new(groups, size);
        let (mut keys, mut values) = (vec![0.0; groups * size], vec![0.0; groups * size]);
        for (at, turns) in positions.zip(turns.chunks_exact((size / 2).max(1))) {
            for (g, (key, value)) in keys.chunks_exact_mut(size).zip(values.chunks_exact_mut(size)).enumerate() {
                fetch(g, at, key, value);
            }
            own.append(&mut keys, turns, &values);
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rope::Rope;

    const GROUPS: usize = 2;
    const SIZE: usize = 32;

    /// Key and value of an entry: the same whenever it is asked for.
    fn entry(number: usize) -> (Vec<f32>, Vec<f32>) {
        let at = |i: usize| ((number * 7_919 + i * 104_729) % 2_003) as f32 / 200.0 - 5.0;
        ((0..GROUPS * SIZE).map(at).collect(), (0..GROUPS * SIZE).map(|i| at(i + 500)).collect())
    }

    fn turns(rope: &Rope, positions: usize) -> Vec<(f32, f32)> {
        rope.turns(0, positions).collect()
    }

    fn append(cache: &mut KeysValues, rope: &Rope, number: usize) {
        let (mut keys, values) = entry(number);
        let turns: Vec<_> = rope.turns(cache.positions(), 1).collect();
        cache.append(&mut keys, &turns, &values);
    }

    fn fresh(rope: &Rope, entries: &[usize]) -> KeysValues {
        let mut cache = KeysValues::new(GROUPS, SIZE);
        entries.iter().for_each(|number| append(&mut cache, rope, *number));
        cache
    }

    fn same(a: &KeysValues, b: &KeysValues) -> bool {
        let bits = |all: &[Vec<f16>]| all.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
        (a.positions, bits(&a.keys), bits(&a.masters), bits(&a.values)) == (b.positions, bits(&b.keys), bits(&b.masters), bits(&b.values))
    }

    #[test]
    fn what_is_kept_lies_as_if_nothing_else_had_ever_been_there() {
        let rope = Rope::new(SIZE, 10_000.0);
        let all: Vec<usize> = (0..2_100).collect();
        for kept in [vec![0..2_100], vec![0..40, 57..58, 100..1_000, 2_050..2_100], vec![3..35], vec![0..16, 32..48], vec![]] {
            let mut cache = fresh(&rope, &all);
            cache.keep(&kept, &turns(&rope, kept.iter().map(Range::len).sum()));
            let entries: Vec<usize> = kept.iter().cloned().flatten().collect();
            assert_eq!(cache.positions(), entries.len());
            assert!(entries.is_empty() || same(&cache, &fresh(&rope, &entries)), "{kept:?}");
            // What is appended afterwards finds its place.
            append(&mut cache, &rope, 5_000);
            assert!(same(&cache, &fresh(&rope, &[entries, vec![5_000]].concat())), "{kept:?}");
        }
    }

    #[test]
    fn a_thousand_moves_add_no_error() {
        let rope = Rope::new(SIZE, 1_000_000.0);
        let mut cache = fresh(&rope, &(0..1_300).collect::<Vec<_>>());
        for _ in 0..1_000 {
            // The first 20 stay, the one after them goes, and so all others move down by one.
            cache.keep(&[0..20, 21..cache.positions()], &turns(&rope, cache.positions() - 1));
        }
        let entries: Vec<usize> = (0..20).chain(1_020..1_300).collect();
        assert!(same(&cache, &fresh(&rope, &entries)));
    }
}
