//! Functions over slices of f32 (activation functions, norms, softmax, quantisation, attention of a few rows), written so that the
//! compiler vectorises them.
//!
//! `exp` is a polynomial of degree 6 after range reduction, with a relative error below 3e-7 (tested), the precision of f32; it is
//! ten times as fast as the C library's.

use super::activations::RowStats;
use super::tiled::TiledShape;
use super::{GROUP, Norm, TILE};

/// The number 1.5 * 2^23: adding and subtracting it rounds a float to the nearest integer, which the sum holds in its lowest bits.
const ROUND: f32 = 12_582_912.0;

/// Defines the function `$name`, which calls `$plain`, compiled for AVX-512, for AVX2 and for any processor: the widest that this
/// machine has.
macro_rules! widest {
    ($(#[$doc:meta])* $name:ident, $plain:ident, ($($arg:ident: $type:ty),*)) => {
        $(#[$doc])*
        pub fn $name($($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
                fn wide($($arg: $type),*) {
                    $plain($($arg),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn narrow($($arg: $type),*) {
                    $plain($($arg),*);
                }
                if super::avx512::is_available() && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
                    // SAFETY: just detected.
                    return unsafe { wide($($arg),*) };
                }
                if super::avx2::is_available() {
                    // SAFETY: just detected.
                    return unsafe { narrow($($arg),*) };
                }
            }
            $plain($($arg),*);
        }
    };
}

widest!(
    /// Replaces `gate` by `silu(gate) * up`, element by element; silu(x) = x / (1 + e^-x).
    silu_times, silu_times_plain, (gate: &mut [f32], up: &[f32])
);

widest!(
    /// Replaces each value by its GELU with erf (not the tanh approximation), `x / 2 (1 + erf(x / sqrt 2))`.
    gelu, gelu_plain, (x: &mut [f32])
);

widest!(
    /// Replaces the first `seen` values of a row by the softmax of `scale` times the values, and the others by 0. The row lies in
    /// blocks of 16 that begin `stride` values apart.
    softmax, softmax_plain, (blocks: &mut [f32], stride: usize, seen: usize, scale: f32)
);

widest!(
    /// Quantises cells of 64 values of `x` to 8 bits: writes integers of -127 ..= 127 to `values`, and for each cell the scale and
    /// -8 times the sum of its integers. A cell with an infinity or NaN gets a NaN scale.
    round_cells, round_cells_plain, (x: &[f32], values: &mut [i8], scales: &mut [f32], offsets: &mut [i32])
);

widest!(
    /// Writes the full (not causal) attention among the few rows of one head to `outputs`: `queries`, `keys`, `values` and
    /// `outputs` are `[row][size]`; `scratch` holds [`attend_within_scratch`] values.
    attend_within, attend_within_plain,
    (size: usize, queries: &[f32], keys: &[f32], values: &[f32], scratch: &mut [f32], outputs: &mut [f32])
);

widest!(
    /// Writes the columns `64 g .. 64 g + 64` of all rows of the [tiled](super::Tiled) matrix `tiles`, after `norm` with the rows'
    /// `stats`, to `cells` `[row][64]`, with zeros beyond the width.
    norm_group, norm_group_plain,
    (tiles: &[f32], shape: TiledShape, g: usize, norm: Norm<'_>, stats: &[RowStats], cells: &mut [f32])
);

widest!(
    /// Writes, for each row of the [tiled](super::Tiled) matrix `tiles`, 16 sums to `sums` `[row][16]`: sum `c` is that of the
    /// columns `c`, `c + 16`, ….
    row_sums, row_sums_plain, (tiles: &[f32], shape: TiledShape, sums: &mut [f32])
);

widest!(
    /// Writes sums as [`row_sums`] does, of the squared differences from the row's mean in `stats`.
    row_squares, row_squares_plain, (tiles: &[f32], shape: TiledShape, stats: &[RowStats], sums: &mut [f32])
);

#[inline(always)]
fn row_sums_plain(tiles: &[f32], shape: TiledShape, sums: &mut [f32]) {
    over_rows(tiles, shape, sums, |_| 0.0, |v, _| v);
}

#[inline(always)]
fn row_squares_plain(tiles: &[f32], shape: TiledShape, stats: &[RowStats], sums: &mut [f32]) {
    over_rows(tiles, shape, sums, |row| stats[row].mean, |v, mean| (v - mean) * (v - mean));
}

#[inline(always)]
fn over_rows(tiles: &[f32], shape: TiledShape, sums: &mut [f32], mean_of: impl Fn(usize) -> f32, of: impl Fn(f32, f32) -> f32) {
    let TiledShape { rows, width } = shape;
    let (whole, last) = tiles.as_chunks::<TILE>().0.split_at(width / TILE * rows);
    for (row, sums) in sums.as_chunks_mut::<TILE>().0.iter_mut().take(rows).enumerate() {
        // `black_box` as in `norm_group`.
        let mean = std::hint::black_box(mean_of(row));
        let mut own = [0.0; TILE];
        for tile in whole.chunks_exact(rows) {
            own.iter_mut().zip(&tile[row]).for_each(|(sum, v)| *sum += of(*v, mean));
        }
        // The last tile counts only up to the width.
        if let Some(values) = last.get(row) {
            own.iter_mut().zip(values).take(width % TILE).for_each(|(sum, v)| *sum += of(*v, mean));
        }
        *sums = own;
    }
}

#[inline(always)]
fn norm_group_plain(tiles: &[f32], shape: TiledShape, g: usize, norm: Norm<'_>, stats: &[RowStats], cells: &mut [f32]) {
    let TiledShape { rows, width } = shape;
    for part in 0..GROUP / TILE {
        let first = GROUP * g + TILE * part;
        let Some(tile) = tiles.get(first * rows..(first + TILE) * rows) else {
            cells.chunks_exact_mut(GROUP).for_each(|cell| cell[TILE * part..][..TILE].fill(0.0));
            continue;
        };
        // Beyond the width, tiles and parameters hold zeros.
        let of_tile = |all: &[f32]| -> [f32; TILE] {
            let mut own = [0.0; TILE];
            let inside = &all[first..width.min(first + TILE)];
            own[..inside.len()].copy_from_slice(inside);
            own
        };
        let (weight, bias) = match norm {
            Norm::None => ([1.0; TILE], [0.0; TILE]),
            Norm::Rms(weight, _) => (of_tile(weight), [0.0; TILE]),
            Norm::Layer(weight, bias, _) => (of_tile(weight), of_tile(bias)),
        };
        let cells = cells.as_chunks_mut::<GROUP>().0.iter_mut();
        for ((cell, values), stats) in cells.zip(tile.as_chunks::<TILE>().0).zip(stats) {
            // `black_box` keeps the compiler from vectorising across rows with gathers (four times as slow).
            let RowStats { mean, scale } = *std::hint::black_box(stats);
            let mut normed = *values;
            for c in 0..TILE {
                normed[c] = (normed[c] - mean) * scale * weight[c] + bias[c];
            }
            cell[TILE * part..][..TILE].copy_from_slice(&normed);
        }
    }
}

/// Returns the number of scratch values that [`attend_within`] needs for `rows` rows of heads of `size` values.
#[must_use]
pub const fn attend_within_scratch(rows: usize, size: usize) -> usize {
    rows.next_multiple_of(TILE) * (size + QUERY_BATCH)
}

/// Number of queries of [`attend_within`] whose scores are summed at the same time, so that none waits for another.
const QUERY_BATCH: usize = 4;

#[inline(always)]
fn attend_within_plain(size: usize, queries: &[f32], keys: &[f32], values: &[f32], scratch: &mut [f32], outputs: &mut [f32]) {
    let rows = keys.len() / size;
    let wide = rows.next_multiple_of(TILE);
    let (transposed, scores) = scratch.split_at_mut(size * wide);
    transposed.fill(0.0);
    for (row, key) in keys.chunks_exact(size).enumerate() {
        transposed.chunks_exact_mut(wide).zip(key).for_each(|(column, k)| column[row] = *k);
    }
    let scale = 1.0 / (size as f32).sqrt();
    for (queries, outputs) in queries.chunks(QUERY_BATCH * size).zip(outputs.chunks_mut(QUERY_BATCH * size)) {
        for first in (0..wide).step_by(TILE) {
            let mut sums = [[0.0f32; TILE]; QUERY_BATCH];
            for (d, keys) in transposed.chunks_exact(wide).enumerate() {
                let keys = &keys[first..first + TILE];
                for (query, sums) in queries.chunks_exact(size).zip(&mut sums) {
                    sums.iter_mut().zip(keys).for_each(|(sum, k)| *sum += query[d] * k);
                }
            }
            sums.iter().zip(scores.chunks_exact_mut(wide)).for_each(|(sums, scores)| scores[first..first + TILE].copy_from_slice(sums));
        }
        for (output, scores) in outputs.chunks_exact_mut(size).zip(scores.chunks_exact_mut(wide)) {
            softmax_plain(scores, TILE, rows, scale);
            output.fill(0.0);
            for (score, value) in scores.iter().zip(values.chunks_exact(size)) {
                output.iter_mut().zip(value).for_each(|(a, v)| *a += score * v);
            }
        }
    }
}

#[inline(always)]
fn round_cells_plain(x: &[f32], values: &mut [i8], scales: &mut [f32], offsets: &mut [i32]) {
    /// Number of values of a cell.
    const CELL: usize = GROUP;
    let cells = x.as_chunks::<CELL>().0.iter().zip(values.as_chunks_mut::<CELL>().0);
    for ((x, values), (scale, offset)) in cells.zip(scales.iter_mut().zip(offsets)) {
        // Without the sign, floats order as their bits do; infinities and NaN are the largest.
        let largest = x.iter().fold(0u32, |m, v| m.max(v.to_bits() & 0x7fff_ffff));
        // A value that is not finite gives a NaN scale, which the check of the model's logits finds.
        *scale = if largest < 0x7f80_0000 { f32::from_bits(largest) / 127.0 } else { f32::NAN };
        let inverse = if *scale > 0.0 { 1.0 / *scale } else { 0.0 };
        let mut sum = 0;
        for (to, v) in values.iter_mut().zip(x) {
            // NaN times zero is NaN, whose bits must not become an integer.
            let scaled = if inverse > 0.0 { v * inverse } else { 0.0 };
            let rounded = ((scaled.clamp(-127.0, 127.0) + ROUND).to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
            *to = rounded as i8;
            sum += rounded;
        }
        *offset = -8 * sum;
    }
}

#[inline(always)]
fn softmax_plain(blocks: &mut [f32], stride: usize, seen: usize, scale: f32) {
    // Sixteen partial sums: they vectorise, and add up in the same order on every machine.
    let mut largest = [f32::NEG_INFINITY; TILE];
    over_blocks(blocks, stride, seen, |own| {
        for (m, x) in largest.iter_mut().zip(own) {
            *m = if *x > *m { *x } else { *m };
        }
    });
    let largest = largest.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
    let mut sums = [0.0f32; TILE];
    over_blocks(blocks, stride, seen, |own| {
        for (sum, x) in sums.iter_mut().zip(own) {
            *x = exp((*x - largest) * scale);
            *sum += *x;
        }
    });
    let one = 1.0 / sums.iter().sum::<f32>();
    over_blocks(blocks, stride, seen, |own| own.iter_mut().for_each(|x| *x *= one));
    for (n, block) in blocks.chunks_mut(stride).enumerate().skip(seen / TILE) {
        block[seen.saturating_sub(n * TILE)..TILE].fill(0.0);
    }
}

/// Calls `work` with each block of the first `seen` values of a row, the last one cut to them; the row lies in blocks of 16 that
/// begin `stride` values apart.
#[inline(always)]
fn over_blocks(blocks: &mut [f32], stride: usize, seen: usize, mut work: impl FnMut(&mut [f32])) {
    let mut blocks = blocks.chunks_mut(stride);
    // Whole blocks first: their length is known to the compiler.
    for own in blocks.by_ref().take(seen / TILE).filter_map(|block| block.first_chunk_mut::<TILE>()) {
        work(own);
    }
    if let Some(last) = blocks.next() {
        work(&mut last[..seen % TILE]);
    }
}

#[inline(always)]
fn silu_times_plain(gate: &mut [f32], up: &[f32]) {
    for (g, u) in gate.iter_mut().zip(up) {
        *g = *g / (1.0 + exp(-*g)) * u;
    }
}

#[inline(always)]
fn gelu_plain(x: &mut [f32]) {
    for x in x {
        *x *= 0.5 * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// Returns e^x; x is clamped to -87 ..= 88, the range of f32.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // ln 2 in two parts, so that the remainder is exact (Cody and Waite).
    /// The leading bits of ln 2.
    const LN2_HIGH: f32 = 0.693_359_4;
    /// The remainder of ln 2.
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.0 / 720.0;
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + c;
    }
    // The integer in the lowest bits, shifted to the exponent, is a power of two.
    p * f32::from_bits(rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23)
}

/// Returns erf(x) with an absolute error below 1.5e-7 in exact arithmetic (Abramowitz and Stegun, Handbook of Mathematical
/// Functions, 7.1.26).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let mut p = 1.061_405_4;
    for c in [-1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6] {
        p = p * t + c;
    }
    (1.0 - p * t * exp(-a * a)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_has_the_precision_of_f32() {
        for i in -8_600..8_800 {
            let x = i as f32 / 100.0;
            let truth = f64::from(x).exp();
            assert!((f64::from(exp(x)) / truth - 1.0).abs() < 3e-7, "{x}");
        }
    }

    #[test]
    fn gelu_and_silu_match_their_definitions() {
        let x: Vec<f32> = (-1_000..1_000).map(|i| i as f32 / 100.0).collect();
        let mut got = x.clone();
        gelu(&mut got);
        // From the series of the error function, to 6 places.
        for (at, want) in [(1.0f32, 0.841_345), (-1.0, -0.158_655), (3.0, 2.995_95), (-3.0, -0.004_05)] {
            let i = x.iter().position(|v| (v - at).abs() < 1e-6).unwrap();
            assert!((got[i] - want).abs() < 2e-6, "{at}: {}", got[i]);
        }
        let mut gate = x.clone();
        silu_times(&mut gate, &x);
        for (x, got) in x.iter().zip(gate) {
            let truth = f64::from(*x) / (1.0 + (-f64::from(*x)).exp()) * f64::from(*x);
            assert!((f64::from(got) - truth).abs() <= 1e-6 * truth.abs().max(1.0), "{x}");
        }
    }
}
