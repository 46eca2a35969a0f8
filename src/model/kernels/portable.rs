//! Plain Rust: the reference, which every other instruction set equals bit for bit.

use super::packing::scale_at;
use super::{Bits, TILE, TileJob};

/// Adds the products of the tile of `job` with `rows` activation rows (at most 13) to the first 16 values of each row of `out`,
/// whose rows begin `stride` values apart.
pub(super) fn tile(job: &TileJob<'_>, rows: usize, out: &mut [f32], stride: usize) {
    let mut sums = [[0.0f32; TILE]; super::MAX_ROWS];
    for (r, sums) in sums.iter_mut().take(rows).enumerate() {
        sums.copy_from_slice(&out[r * stride..][..TILE]);
    }
    for (g, weights) in job.weights.chunks_exact(job.bits.group_bytes()).enumerate() {
        let (_, scales, offsets) = job.activations.cells(g, job.first_row);
        for r in 0..rows {
            let numbers = job.activations.group(g, job.first_row + r);
            let products = match job.bits {
                Bits::Four => four(weights, numbers),
                Bits::Eight => eight(weights, numbers),
            };
            for (c, product) in products.iter().enumerate() {
                let exact = product + job.bits.offset() / 8 * offsets[r];
                sums[r][c] = (exact as f32).mul_add(scale_at(job.scales, g, c) * scales[r], sums[r][c]);
            }
        }
    }
    for (r, sums) in sums.iter().take(rows).enumerate() {
        out[r * stride..][..TILE].copy_from_slice(sums);
    }
}

/// Returns, for each output, the sum of products of one group of 4-bit weights, stored with their offset, and the values of a row.
fn four(weights: &[u8], numbers: &[i8]) -> [i32; TILE] {
    let mut sums = [0; TILE];
    for (step, numbers) in weights.chunks_exact(64).zip(numbers.chunks_exact(8)) {
        for (c, sum) in sums.iter_mut().enumerate() {
            for j in 0..4 {
                let byte = step[4 * c + j];
                *sum += i32::from(byte & 15) * i32::from(numbers[j]) + i32::from(byte >> 4) * i32::from(numbers[4 + j]);
            }
        }
    }
    sums
}

/// Returns, for each output, the sum of products of one group of 8-bit weights, stored with their offset, and the values of a row.
fn eight(weights: &[u8], numbers: &[i8]) -> [i32; TILE] {
    let mut sums = [0; TILE];
    for (step, numbers) in weights.chunks_exact(64).zip(numbers.chunks_exact(4)) {
        for (c, sum) in sums.iter_mut().enumerate() {
            for (j, number) in numbers.iter().enumerate() {
                *sum += i32::from(step[4 * c + j]) * i32::from(*number);
            }
        }
    }
    sums
}
