//! AVX2 with FMA, with or without AVX-VNNI: 8 outputs in one register, up to 5 rows at once.

#![allow(clippy::needless_range_loop, reason = "the loops over rows are unrolled into registers: `R` says how many there are")]

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_cvtepi32_ps, _mm256_cvtph_ps,
    _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps,
    _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi32,
    _mm256_srli_epi16, _mm256_storeu_ps,
};

use half::f16;

use super::product::{Strided, StridedMut, by_rows};
use super::{Bits, GROUP, TILE, TileJob};

/// Largest number of activation rows computed at once with AVX2: their sums and operands fill the 16 registers.
const MAX_ROWS: usize = 5;

/// The instructions that multiply bytes of weights and activations and sum the products.
#[derive(Clone, Copy, Debug)]
pub(super) enum DotProduct {
    /// `vpmaddubsw`: sums of two products, in 16 bits.
    Pairs,
    /// AVX-VNNI's `vpdpbusd`: sums of four products, in 32 bits.
    Vnni,
}

/// Returns true if this machine has AVX2, FMA, F16C and AVX-VNNI.
pub(super) fn has_vnni() -> bool {
    is_available() && is_x86_feature_detected!("avxvnni")
}

/// Returns true if this machine has AVX2, FMA and F16C.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// Adds the products of the tile of `job` with `rows` activation rows to the first 16 values of each row of `out`, whose rows begin
/// `stride` values apart. `dots` must be available.
pub(super) fn tile(job: &TileJob<'_>, rows: usize, dots: DotProduct, out: &mut [f32], stride: usize) {
    assert!(out.len() >= (rows - 1) * stride + TILE, "length of `out`");
    let parts = rows.div_ceil(MAX_ROWS);
    for part in 0..parts {
        let (from, to) = (part * rows / parts, (part + 1) * rows / parts);
        let out = &mut out[from * stride..];
        for half in 0..2 {
            macro_rules! run {
                ($($r:literal)*) => {
                    match (dots, to - from) {
                        // SAFETY: this instruction set `is_available`; the sizes were checked above.
                        $((DotProduct::Pairs, $r) => unsafe { half_tile::<$r>(job, from, half, out, stride) },)*
                        // SAFETY: as above.
                        $((DotProduct::Vnni, $r) => unsafe { half_tile_vnni::<$r>(job, from, half, out, stride) },)*
                        _ => {}
                    }
                };
            }
            run!(1 2 3 4 5);
        }
    }
}

macro_rules! half_tile {
    ($name:ident, $features:literal, $four:ident, $eight:ident) => {
        /// Adds the products of the activation rows from `from` on, `R` of them, with outputs `8 half ..= 8 half + 7` to `out`.
        ///
        /// # Safety
        /// Needs the enabled instructions, and `R` rows in `out`.
        #[target_feature(enable = $features)]
        unsafe fn $name<const R: usize>(job: &TileJob<'_>, from: usize, half: usize, out: &mut [f32], stride: usize) {
            for (g, weights) in job.weights.chunks_exact(job.bits.group_bytes()).enumerate() {
                let (numbers, scales, offsets) = job.activations.cells(g, job.first_row + from);
                assert!(numbers.len() >= R * GROUP, "activations of the rows");
                // SAFETY: the instruction sets are the caller's promise; the activations were just checked.
                let products = unsafe {
                    match job.bits {
                        Bits::Four => $four::<R>(weights, numbers.as_ptr(), half),
                        Bits::Eight => $eight::<R>(weights, numbers.as_ptr(), half),
                    }
                };
                // SAFETY: a group has 16 scales of 2 bytes.
                let scale = unsafe { _mm256_cvtph_ps(_mm_loadu_si128(job.scales.as_ptr().add(2 * TILE * g + 16 * half).cast())) };
                for r in 0..R {
                    let exact = _mm256_add_epi32(products[r], _mm256_set1_epi32(job.bits.offset() / 8 * offsets[r]));
                    // SAFETY: `tile` checked the length of `out`.
                    unsafe {
                        let to = out.as_mut_ptr().add(r * stride + 8 * half);
                        let scale = _mm256_mul_ps(scale, _mm256_set1_ps(scales[r]));
                        _mm256_storeu_ps(to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), scale, _mm256_loadu_ps(to)));
                    }
                }
            }
        }
    };
}

half_tile!(half_tile, "avx2,fma,f16c", four, eight);
half_tile!(half_tile_vnni, "avx2,fma,f16c,avxvnni", four_vnni, eight_vnni);

macro_rules! four {
    ($name:ident, $features:literal, $add:ident) => {
        /// Returns, for each of `R` rows and 8 outputs of the `half`, the sum of products with one group of 4-bit weights, stored
        /// with their offset.
        ///
        /// # Safety
        /// Needs the enabled instructions; a group of activations for each of `R` rows.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn $name<const R: usize>(weights: &[u8], numbers: *const i8, half: usize) -> [__m256i; R] {
            let low_half = _mm256_set1_epi8(15);
            let mut sums = [_mm256_setzero_si256(); R];
            for (step, weights) in weights.chunks_exact(64).enumerate() {
                // SAFETY: a step has 64 bytes, of which this half is 32.
                let both = unsafe { _mm256_loadu_si256(weights.as_ptr().add(32 * half).cast()) };
                let (low, high) = (_mm256_and_si256(both, low_half), _mm256_and_si256(_mm256_srli_epi16::<4>(both), low_half));
                for r in 0..R {
                    // SAFETY: the caller's promise.
                    let (first, second) = unsafe {
                        (broadcast_four(numbers.add(GROUP * r + 8 * step)), broadcast_four(numbers.add(GROUP * r + 8 * step + 4)))
                    };
                    sums[r] = $add(sums[r], (low, first), (high, second));
                }
            }
            sums
        }
    };
}

four!(four, "avx2", add_pairs);
four!(four_vnni, "avx2,avxvnni", add_dots);

/// Adds two dot products of four bytes (weights of 4 bits, activations) to each 32-bit lane of `sum`: of the pair `a`, and of the
/// pair `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn add_pairs(sum: __m256i, a: (__m256i, __m256i), b: (__m256i, __m256i)) -> __m256i {
    // Two sums of two products, each at most 15 x 127, fit in 16 bits.
    let pairs = _mm256_add_epi16(_mm256_maddubs_epi16(a.0, a.1), _mm256_maddubs_epi16(b.0, b.1));
    _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

/// Returns the same sums as [`add_pairs`] (dot products of four bytes, added to each 32-bit lane of `sum`), with AVX-VNNI.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn add_dots(sum: __m256i, a: (__m256i, __m256i), b: (__m256i, __m256i)) -> __m256i {
    _mm256_dpbusd_avx_epi32(_mm256_dpbusd_avx_epi32(sum, a.0, a.1), b.0, b.1)
}

/// Returns, for each of `R` rows and 8 outputs of the `half`, the sum of products with one group of 8-bit weights, stored with
/// their offset.
///
/// # Safety
/// As [`four()`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn eight<const R: usize>(weights: &[u8], numbers: *const i8, half: usize) -> [__m256i; R] {
    let (low_half, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
    // Two products of 255 x 127 do not fit in 16 bits: the two halves of a weight are multiplied separately.
    let (mut lows, mut highs) = ([_mm256_setzero_si256(); R], [_mm256_setzero_si256(); R]);
    for (step, weights) in weights.chunks_exact(64).enumerate() {
        // SAFETY: a step has 64 bytes, of which this half is 32.
        let both = unsafe { _mm256_loadu_si256(weights.as_ptr().add(32 * half).cast()) };
        let (low, high) = (_mm256_and_si256(both, low_half), _mm256_and_si256(_mm256_srli_epi16::<4>(both), low_half));
        for r in 0..R {
            // SAFETY: the caller's promise.
            let four = unsafe { broadcast_four(numbers.add(GROUP * r + 4 * step)) };
            lows[r] = _mm256_add_epi32(lows[r], _mm256_madd_epi16(_mm256_maddubs_epi16(low, four), ones));
            highs[r] = _mm256_add_epi32(highs[r], _mm256_madd_epi16(_mm256_maddubs_epi16(high, four), ones));
        }
    }
    for r in 0..R {
        lows[r] = _mm256_add_epi32(lows[r], _mm256_slli_epi32::<4>(highs[r]));
    }
    lows
}

/// Returns the same sums as [`eight`] (products with one group of 8-bit weights), with AVX-VNNI.
///
/// # Safety
/// As [`four_vnni`].
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn eight_vnni<const R: usize>(weights: &[u8], numbers: *const i8, half: usize) -> [__m256i; R] {
    let mut sums = [_mm256_setzero_si256(); R];
    for (step, weights) in weights.chunks_exact(64).enumerate() {
        // SAFETY: a step has 64 bytes, of which this half is 32.
        let bytes = unsafe { _mm256_loadu_si256(weights.as_ptr().add(32 * half).cast()) };
        for r in 0..R {
            // SAFETY: the caller's promise.
            sums[r] = _mm256_dpbusd_avx_epi32(sums[r], bytes, unsafe { broadcast_four(numbers.add(GROUP * r + 4 * step)) });
        }
    }
    sums
}

/// Returns the four bytes at `at`, repeated in each 32-bit lane.
///
/// # Safety
/// Needs AVX2; four bytes at `at` must be readable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn broadcast_four(at: *const i8) -> __m256i {
    // SAFETY: the caller's promise.
    _mm256_set1_epi32(unsafe { at.cast::<i32>().read_unaligned() })
}

by_rows!(6 3 1);

/// Computes the first `R` rows of [`product`](super::product::product); returns `R`.
///
/// # Safety
/// Needs AVX2, FMA and F16C; `n` values in each row of `a`, `n` rows of 16 in `b`, 16 values in each row of `c`.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn some_rows<const R: usize>(
    a: Strided<'_, f32>,
    b: Strided<'_, f16>,
    n: usize,
    StridedMut { values: c, stride: c_stride }: StridedMut<'_>,
) -> usize {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe {
            let at: *const f16 = b.values.as_ptr().add(i / 16 * b.stride + i % 16 * 16);
            let b = [_mm256_cvtph_ps(_mm_loadu_si128(at.cast())), _mm256_cvtph_ps(_mm_loadu_si128(at.add(8).cast()))];
            for (r, sum) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*a.values.as_ptr().add(i / 16 * a.stride + r * 16 + i % 16));
                *sum = [_mm256_fmadd_ps(x, b[0], sum[0]), _mm256_fmadd_ps(x, b[1], sum[1])];
            }
        }
    }
    for (r, sum) in sums.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            _mm256_storeu_ps(c.as_mut_ptr().add(r * c_stride), sum[0]);
            _mm256_storeu_ps(c.as_mut_ptr().add(r * c_stride + 8), sum[1]);
        }
    }
    R
}
