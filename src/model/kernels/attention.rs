//! Attention of a few rows over a long cache of 16-bit keys and values.
//!
//! Responsible for the layout of one layer's cache and for the product with it; the query heads of a group share every load
//! of a key. Not responsible for rotation, nor for which positions are kept.
//!
//! Layout: keys lie in blocks of 16 positions, in a block dimension by dimension, so that 16 scores form in one register;
//! values lie position by position, so that 16 dimensions of the answer do. Both products are then one and the same
//! kernel: `c[r][0..16] = sum over i of a[r][i] * b[i][0..16]`.

use half::f16;
use rayon::prelude::*;

use super::{Path, math, with_room};

/// Positions of a block, and dimensions of a slice.
const WIDE: usize = 16;
/// Rows that share the loads of one task.
const ROWS: usize = 24;

/// Keys and values of one layer of one lane: rotated keys, f16.
#[derive(Clone, Debug)]
pub struct KeysValues {
    groups: usize,
    size: usize,
    positions: usize,
    /// Per group `[block][size][16]`.
    keys: Vec<Vec<f16>>,
    /// Per group `[position][size]`.
    values: Vec<Vec<f16>>,
}

impl KeysValues {
    /// An empty cache for `groups` key/value heads of `size` numbers, a multiple of 16.
    #[must_use]
    pub fn new(groups: usize, size: usize) -> Self {
        Self { groups, size, positions: 0, keys: vec![Vec::new(); groups], values: vec![Vec::new(); groups] }
    }

    /// Positions that it holds.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.positions
    }

    /// Appends one position: the rotated keys and the values of every group, `[groups * size]` each.
    pub fn append(&mut self, keys: &[f32], values: &[f32]) {
        let (block, lane) = (self.positions / WIDE, self.positions % WIDE);
        for g in 0..self.groups {
            let own = g * self.size..(g + 1) * self.size;
            let to = &mut self.keys[g];
            to.resize((block + 1) * WIDE * self.size, f16::ZERO);
            for (d, key) in keys[own.clone()].iter().enumerate() {
                to[(block * self.size + d) * WIDE + lane] = f16::from_f32(*key);
            }
            self.values[g].extend(values[own].iter().map(|v| f16::from_f32(*v)));
        }
        self.positions += 1;
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

    /// All keys and all values, `[groups][positions][size]`.
    #[must_use]
    pub fn rows(&self) -> (Vec<f16>, Vec<f16>) {
        let mut keys = Vec::with_capacity(self.groups * self.positions * self.size);
        for own in &self.keys {
            for at in 0..self.positions {
                keys.extend((0..self.size).map(|d| own[(at / WIDE * self.size + d) * WIDE + at % WIDE]));
            }
        }
        (keys, self.values.concat())
    }

    /// Appends what [`KeysValues::rows`] gave.
    pub fn extend(&mut self, keys: &[f16], values: &[f16]) {
        let positions = keys.len() / (self.groups * self.size).max(1);
        let of = |all: &[f16], at: usize| -> Vec<f32> {
            (0..self.groups).flat_map(|g| all[(g * positions + at) * self.size..][..self.size].iter().map(|x| x.to_f32())).collect()
        };
        let rows: Vec<(Vec<f32>, Vec<f32>)> = (0..positions).map(|at| (of(keys, at), of(values, at))).collect();
        for (keys, values) in rows {
            self.append(&keys, &values);
        }
    }

    /// Causal attention of the newest `rows` positions: `q` `[group][row][head of the group][size]`, already rotated; the
    /// answers go to `out`, of the same shape.
    pub fn attend(&self, path: Path, q: &[f32], rows: usize, out: &mut [f32]) {
        let size = self.size;
        let pairs = q.len() / (self.groups * size);
        let per_group = pairs / rows;
        // A task is a share of the (row, head) pairs of one group.
        let of_group = q.par_chunks_exact(pairs * size).zip(out.par_chunks_exact_mut(pairs * size)).enumerate();
        of_group.for_each(|(g, (q, out))| {
            let tasks = q.par_chunks(ROWS * size).zip(out.par_chunks_mut(ROWS * size)).enumerate();
            tasks.for_each(|(task, (q, out))| {
                self.task(path, g, q, |r| self.positions - rows + (task * ROWS + r) / per_group + 1, out);
            });
        });
    }

    /// The answers `[queries][size]` of group `g`; query `r` sees the first `seen(r)` positions.
    fn task(&self, path: Path, g: usize, queries: &[f32], seen: impl Fn(usize) -> usize, out: &mut [f32]) {
        let size = self.size;
        let rows = queries.len() / size;
        let columns = self.positions.next_multiple_of(WIDE);
        with_room(rows * columns, |scores| {
            for block in 0..columns / WIDE {
                let keys = &self.keys[g][block * WIDE * size..][..WIDE * size];
                product(path, (queries, size), (keys, WIDE), size, (&mut scores[block * WIDE..], columns));
            }
            let scale = 1.0 / (size as f32).sqrt();
            for (r, row) in scores.chunks_exact_mut(columns).enumerate() {
                math::softmax(row, seen(r), scale);
            }
            for slice in 0..size / WIDE {
                let values = &self.values[g][slice * WIDE..];
                product(path, (scores, columns), (values, size), self.positions, (&mut out[slice * WIDE..], size));
            }
        });
    }
}

/// `c[r][0..16] = sum over i below n of a[r][i] * b[i][0..16]` for as many rows as `a` has; each matrix with its row stride.
fn product(path: Path, (a, a_stride): (&[f32], usize), (b, b_stride): (&[f16], usize), n: usize, (c, c_stride): (&mut [f32], usize)) {
    let rows = a.len() / a_stride;
    // Checked once for all paths, which use pointers.
    assert!(n <= a_stride && b.len() >= (n.max(1) - 1) * b_stride + WIDE && c.len() >= (rows - 1) * c_stride + WIDE, "sizes of a product");
    match path {
        #[cfg(target_arch = "x86_64")]
        Path::Avx512Vnni => super::avx512::product((a, a_stride), (b, b_stride), n, (c, c_stride)),
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => super::avx2::product((a, a_stride), (b, b_stride), n, (c, c_stride)),
        _ => {
            for r in 0..rows {
                let mut sums = [0.0f32; WIDE];
                for i in 0..n {
                    let (x, b) = (a[r * a_stride + i], &b[i * b_stride..][..WIDE]);
                    sums.iter_mut().zip(b).for_each(|(sum, b)| *sum = x.mul_add(b.to_f32(), *sum));
                }
                c[r * c_stride..][..WIDE].copy_from_slice(&sums);
            }
        }
    }
}
