//! AVX-512 with VNNI: 16 outputs in one register, up to 13 rows at once.

#![allow(clippy::needless_range_loop, reason = "the loops over rows are unrolled into registers: `R` says how many there are")]

use std::arch::x86_64::{
    _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_loadu_si256, _mm512_add_epi32, _mm512_and_si512, _mm512_cvtepi32_ps, _mm512_cvtph_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi32, _mm512_srli_epi16, _mm512_storeu_ps,
};

use half::f16;

use super::product::{Strided, StridedMut, by_rows};
use super::{Bits, GROUP, TILE, TileJob};

/// Distance in bytes at which weights are prefetched from memory into the second cache: with a dozen rows the hardware prefetcher
/// lets memory and arithmetic wait for each other.
const PREFETCH_FROM_MEMORY: usize = 65_536;
/// Distance in bytes at which weights are prefetched from the second cache into the first.
const PREFETCH_FROM_CACHE: usize = 2_048;

/// Returns true if this machine has AVX-512 F, BW and VNNI.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni")
}

/// Adds the products of the tile of `job` with `rows` activation rows (at most 13) to the first 16 values of each row of `out`,
/// whose rows begin `stride` values apart.
pub(super) fn tile(job: &TileJob<'_>, rows: usize, out: &mut [f32], stride: usize) {
    assert!((1..=super::MAX_ROWS).contains(&rows) && out.len() >= (rows - 1) * stride + TILE, "length of `out`");
    macro_rules! run {
        ($($r:literal)*) => {
            match (job.bits, rows) {
                // SAFETY: this instruction set `is_available`; the sizes were checked above.
                $((Bits::Four, $r) => unsafe { four::<$r>(job, out, stride) },)*
                $((Bits::Eight, $r) => unsafe { eight::<$r>(job, out, stride) },)*
                _ => {}
            }
        };
    }
    run!(1 2 3 4 5 6 7 8 9 10 11 12 13);
}

/// Largest number of rows with two chains of sums per row, to hide the latency of the products; with more rows, one chain is enough.
const FEW_ROWS: usize = 6;

/// Adds the products with 64 bytes of 4-bit weights: eight inputs of a group. A macro, not a function, so that the sums stay in
/// registers in every build profile.
macro_rules! step_of_four {
    ($step:literal, $weights:ident, $numbers:ident, $even:ident, $odd:ident) => {
        let (low_half, both) = (_mm512_set1_epi8(15), _mm512_loadu_si512($weights.add(64 * $step).cast()));
        let low = _mm512_and_si512(both, low_half);
        for r in 0..R {
            $even[r] = _mm512_dpbusd_epi32($even[r], low, _mm512_set1_epi32(load_four($numbers.add(GROUP * r + 8 * $step))));
        }
        // All rows before the next product of a row, which waits for the last one on the same sum.
        let high = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low_half);
        let sums = if R <= FEW_ROWS { &mut $odd } else { &mut $even };
        for r in 0..R {
            sums[r] = _mm512_dpbusd_epi32(sums[r], high, _mm512_set1_epi32(load_four($numbers.add(GROUP * r + 8 * $step + 4))));
        }
    };
}

/// Adds the products with 64 bytes of 8-bit weights: four inputs of a group. A macro, not a function, so that the sums stay in registers in
/// every build profile.
macro_rules! step_of_eight {
    ($step:literal, $weights:ident, $numbers:ident, $even:ident, $odd:ident) => {
        let weights = _mm512_loadu_si512($weights.add(64 * $step).cast());
        let sums = if R <= FEW_ROWS && $step % 2 == 1 { &mut $odd } else { &mut $even };
        for r in 0..R {
            sums[r] = _mm512_dpbusd_epi32(sums[r], weights, _mm512_set1_epi32(load_four($numbers.add(GROUP * r + 4 * $step))));
        }
    };
}

/// Defines the loop over the groups of a tile. `$steps`, the 64-byte steps of a group, are unrolled: an address of one register and a
/// constant needs no slot of its own in the processor's front end, one with an index register does and is a quarter slower.
macro_rules! tile_of {
    ($name:ident, $bits:ident, $product:ident, $($steps:literal)*) => {
        /// Adds the products of the tile of `job` with `R` activation rows to `out`.
        ///
        /// # Safety
        /// Needs AVX-512 F, BW and VNNI, and `R` rows in `out`.
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        unsafe fn $name<const R: usize>(job: &TileJob<'_>, out: &mut [f32], stride: usize) {
            const STEPS: usize = [$($steps),*].len();
            let mut sums = [_mm512_setzero_ps(); R];
            for r in 0..R {
                // SAFETY: `tile` checked the length of `out`.
                sums[r] = unsafe { _mm512_loadu_ps(out.as_ptr().add(r * stride)) };
            }
            let rows = job.activations.rows();
            let (numbers, row_scales, offsets) = job.activations.all_from(job.first_row);
            let (numbers, row_scales, offsets) = (numbers.as_ptr(), row_scales.as_ptr(), offsets.as_ptr());
            for (g, weights) in job.weights.chunks_exact(Bits::$bits.group_bytes()).enumerate() {
                let weights = weights.as_ptr();
                // SAFETY: `multiply` checked that activations and weights have the same number of groups; each has `rows` rows, at
                // least `R` of them from `first_row` on; a group has 16 scales of 2 bytes.
                let (numbers, row_scales, offsets, scale) = unsafe {
                    let scale = _mm512_cvtph_ps(_mm256_loadu_si256(job.scales.as_ptr().add(2 * TILE * g).cast()));
                    (numbers.add(GROUP * rows * g), row_scales.add(rows * g), offsets.add(rows * g), scale)
                };
                // The sums start with the correction for the weights' offset.
                let (mut even, mut odd) = ([_mm512_setzero_si512(); R], [_mm512_setzero_si512(); R]);
                for r in 0..R {
                    // SAFETY: as above.
                    even[r] = _mm512_set1_epi32(unsafe { *offsets.add(r) });
                    if matches!(Bits::$bits, Bits::Eight) {
                        even[r] = _mm512_slli_epi32::<4>(even[r]);
                    }
                }
                $(
                    prefetch_weights(weights.wrapping_add(64 * $steps));
                    // The next group's activations, which follow those of all rows.
                    for r in R * $steps / STEPS..R * ($steps + 1) / STEPS {
                        prefetch(numbers.wrapping_add(GROUP * (rows + r)));
                    }
                    // SAFETY: `$steps` are the steps of one group; the rest as above.
                    unsafe {
                        $product!($steps, weights, numbers, even, odd);
                    }
                )*
                for r in 0..R {
                    let exact = if R <= FEW_ROWS { _mm512_add_epi32(even[r], odd[r]) } else { even[r] };
                    // SAFETY: as above.
                    let scale = _mm512_mul_ps(scale, _mm512_set1_ps(unsafe { *row_scales.add(r) }));
                    sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), scale, sums[r]);
                }
            }
            for r in 0..R {
                // SAFETY: `tile` checked the length of `out`.
                unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(r * stride), sums[r]) };
            }
        }
    };
}

tile_of!(four, Four, step_of_four, 0 1 2 3 4 5 6 7);
tile_of!(eight, Eight, step_of_eight, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// Number of multiplications and additions, both counted, of one iteration of [`peak_loop`].
pub(super) const PEAK_LOOP_OPERATIONS: f64 = 16.0 * 2.0 * 64.0;

/// Executes `repeats` times sixteen dot-product instructions on registers, the most that the processor can do; does nothing without
/// AVX-512 VNNI.
pub(super) fn peak_loop(repeats: usize) {
    /// # Safety
    /// Needs AVX-512 F and VNNI.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn inner(repeats: usize) -> i32 {
        let (a, b) = (_mm512_set1_epi8(std::hint::black_box(3)), _mm512_set1_epi8(std::hint::black_box(1)));
        let mut sums = [_mm512_setzero_si512(); 16];
        for _ in 0..repeats {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, a, b);
            }
        }
        let all = sums.into_iter().fold(_mm512_setzero_si512(), |all, sum| _mm512_add_epi32(all, sum));
        std::arch::x86_64::_mm512_reduce_add_epi32(all)
    }
    if is_available() {
        // SAFETY: just detected.
        std::hint::black_box(unsafe { inner(repeats) });
    }
}

/// Prefetches the cache line at `at` into the first cache.
#[inline(always)]
fn prefetch<T>(at: *const T) {
    // SAFETY: a prefetch accesses no memory architecturally.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

/// Prefetches the weights `PREFETCH_FROM_MEMORY` and `PREFETCH_FROM_CACHE` bytes ahead of `at`; an address past their end is
/// harmless.
#[inline(always)]
fn prefetch_weights(at: *const u8) {
    // SAFETY: a prefetch accesses no memory architecturally.
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(PREFETCH_FROM_MEMORY).cast());
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(PREFETCH_FROM_CACHE).cast());
    }
}

/// Returns the four bytes at `at` as one integer.
///
/// # Safety
/// Four bytes at `at` must be readable.
#[inline(always)]
unsafe fn load_four(at: *const i8) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { at.cast::<i32>().read_unaligned() }
}

by_rows!(26 20 13 8 4 1);

/// Computes the first `R` rows of [`product`](super::product::product); returns `R`.
///
/// # Safety
/// Needs AVX-512 F; `n` values in each row of `a`, `n` rows of 16 in `b`, 16 values in each row of `c`.
#[target_feature(enable = "avx512f")]
unsafe fn some_rows<const R: usize>(
    a: Strided<'_, f32>,
    b: Strided<'_, f16>,
    n: usize,
    StridedMut { values: c, stride: c_stride }: StridedMut<'_>,
) -> usize {
    /// Adds the products of value `$i` of each row's block with row `$i` of a block of `b`.
    macro_rules! column {
        ($i:literal, $a:ident, $b:ident, $sums:ident) => {
            let b = _mm512_cvtph_ps(_mm256_loadu_si256($b.add(16 * $i).cast()));
            for r in 0..R {
                $sums[r] = _mm512_fmadd_ps(_mm512_set1_ps(*$a.add(16 * r + $i)), b, $sums[r]);
            }
        };
    }
    let mut sums = [_mm512_setzero_ps(); R];
    let (a_stride, b_stride) = (a.stride, b.stride);
    let (mut a, mut b) = (a.values.as_ptr(), b.values.as_ptr());
    for _ in 0..n / 16 {
        // Unrolled for the sake of the addresses, as in a tile.
        macro_rules! columns {
            ($($i:literal)*) => {
                $(
                    // Half a cache line of the next block of `b` and a share of the next ones of `a`: blocks lie too far apart for the
                    // hardware prefetcher.
                    prefetch(b.wrapping_add(b_stride + 16 * $i));
                    for r in R * $i / 16..R * ($i + 1) / 16 {
                        prefetch(a.wrapping_add(a_stride + 16 * r));
                    }
                    // SAFETY: the caller's promise.
                    unsafe {
                        column!($i, a, b, sums);
                    }
                )*
            };
        }
        columns!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        (a, b) = (a.wrapping_add(a_stride), b.wrapping_add(b_stride));
    }
    for _ in 0..n % 16 {
        // SAFETY: the caller's promise.
        unsafe {
            column!(0, a, b, sums);
        }
        (a, b) = (a.wrapping_add(1), b.wrapping_add(16));
    }
    for (r, sum) in sums.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(c.as_mut_ptr().add(r * c_stride), sum) };
    }
    R
}
