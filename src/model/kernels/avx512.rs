//! AVX-512 with VNNI: 16 outputs in one register, up to 13 rows at once.

#![allow(clippy::needless_range_loop, reason = "the loops over rows are unrolled into registers: `R` says how many there are")]

use std::arch::x86_64::{
    _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_loadu_si256, _mm512_add_epi32, _mm512_and_si512, _mm512_cvtepi32_ps, _mm512_cvtph_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi32, _mm512_srli_epi16, _mm512_storeu_ps,
};

use half::f16;

use super::product::by_rows;
use super::{Bits, GROUP, TILE, TileJob};

/// Bytes of weights that are asked for ahead of their use, from memory into the second cache and from there into the first:
/// with a dozen rows the processor's own prefetcher lets memory and arithmetic wait for each other. Measured with 13 rows and
/// 2 threads, weights from memory, where the registers reach 938 GOP/s: 623 without, 721 with 4 KiB alone, 767 so.
const PREFETCH_FROM_MEMORY: usize = 65_536;
const PREFETCH_FROM_CACHE: usize = 2_048;

/// Whether this machine has it.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni")
}

/// Adds one tile for `rows` rows to `out`, whose rows lie `stride` apart.
pub(super) fn tile(job: &TileJob<'_>, rows: usize, out: &mut [f32], stride: usize) {
    assert!((1..=13).contains(&rows) && out.len() >= (rows - 1) * stride + TILE, "room for the rows");
    macro_rules! run {
        ($($r:literal)*) => {
            match (job.bits, rows) {
                // SAFETY: the caller chose this path because `is_available`; the sizes were checked above.
                $((Bits::Four, $r) => unsafe { four::<$r>(job, out, stride) },)*
                $((Bits::Eight, $r) => unsafe { eight::<$r>(job, out, stride) },)*
                _ => {}
            }
        };
    }
    run!(1 2 3 4 5 6 7 8 9 10 11 12 13);
}

/// With so few rows two chains of sums hide the latency of the products.
const FEW_ROWS: usize = 6;

/// Products of 64 bytes of 4-bit weights: eight inputs of a group. Macros rather than functions, here and below: their sums must be
/// registers in every profile, also where little is inlined.
macro_rules! step_of_four {
    ($step:literal, $weights:ident, $numbers:ident, $even:ident, $odd:ident) => {
        let (low_half, both) = (_mm512_set1_epi8(15), _mm512_loadu_si512($weights.add(64 * $step).cast()));
        let low = _mm512_and_si512(both, low_half);
        for r in 0..R {
            $even[r] = _mm512_dpbusd_epi32($even[r], low, _mm512_set1_epi32(load_four($numbers.add(GROUP * r + 8 * $step))));
        }
        // All rows before any again: a product waits for the one before it on the same sum.
        let high = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low_half);
        let sums = if R <= FEW_ROWS { &mut $odd } else { &mut $even };
        for r in 0..R {
            sums[r] = _mm512_dpbusd_epi32(sums[r], high, _mm512_set1_epi32(load_four($numbers.add(GROUP * r + 8 * $step + 4))));
        }
    };
}

/// Products of 64 bytes of 8-bit weights: four inputs of a group.
macro_rules! step_of_eight {
    ($step:literal, $weights:ident, $numbers:ident, $even:ident, $odd:ident) => {
        let weights = _mm512_loadu_si512($weights.add(64 * $step).cast());
        let sums = if R <= FEW_ROWS && $step % 2 == 1 { &mut $odd } else { &mut $even };
        for r in 0..R {
            sums[r] = _mm512_dpbusd_epi32(sums[r], weights, _mm512_set1_epi32(load_four($numbers.add(GROUP * r + 4 * $step))));
        }
    };
}

/// A path's loop over the groups of a tile. `$steps` are the 64 bytes of weights of a group, written out one by one: the address
/// of every number then is one register and a constant, and such an operand costs no place of its own in the processor's
/// front end, which a second thread on the same core halves. (With an index register it does: 574 GOP/s from the nearest cache
/// instead of 788; 385 and 484 beside a busy neighbour.)
macro_rules! tile_of {
    ($name:ident, $bits:ident, $product:ident, $($steps:literal)*) => {
        /// # Safety
        /// Needs AVX-512 F, BW and VNNI, and room for `R` rows in `out`.
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        unsafe fn $name<const R: usize>(job: &TileJob<'_>, out: &mut [f32], stride: usize) {
            const STEPS: usize = [$($steps),*].len();
            let mut sums = [_mm512_setzero_ps(); R];
            for r in 0..R {
                // SAFETY: `tile` checked the room.
                sums[r] = unsafe { _mm512_loadu_ps(out.as_ptr().add(r * stride)) };
            }
            let rows = job.activations.rows();
            let (numbers, row_scales, offsets) = job.activations.all_from(job.first_row);
            let (numbers, row_scales, offsets) = (numbers.as_ptr(), row_scales.as_ptr(), offsets.as_ptr());
            for (g, weights) in job.weights.chunks_exact(Bits::$bits.group_bytes()).enumerate() {
                let weights = weights.as_ptr();
                // SAFETY: `multiply` has checked that the activations have as many groups as the weights, each of `rows` rows, of
                // which `R` are left from `first_row` on; a group has 16 scales of 2 bytes.
                let (numbers, row_scales, offsets, scale) = unsafe {
                    let scale = _mm512_cvtph_ps(_mm256_loadu_si256(job.scales.as_ptr().add(2 * TILE * g).cast()));
                    (numbers.add(GROUP * rows * g), row_scales.add(rows * g), offsets.add(rows * g), scale)
                };
                // The offset of the weights is taken off at the start.
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
                    // The next group's numbers: those of other rows lie between, where there are more than `R`.
                    for r in R * $steps / STEPS..R * ($steps + 1) / STEPS {
                        prefetch(numbers.wrapping_add(GROUP * (rows + r)));
                    }
                    // SAFETY: `$steps` are all of a group; the rest as above.
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
                // SAFETY: `tile` checked the room.
                unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(r * stride), sums[r]) };
            }
        }
    };
}

tile_of!(four, Four, step_of_four, 0 1 2 3 4 5 6 7);
tile_of!(eight, Eight, step_of_eight, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// Multiplications and additions of one repeat of [`peak_loop`].
pub(super) const PEAK_LOOP_OPERATIONS: f64 = 16.0 * 2.0 * 64.0;

/// Nothing but dot products of registers, `repeats` times sixteen of them: the most that the processor can do.
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
        // SAFETY: just asked for.
        std::hint::black_box(unsafe { inner(repeats) });
    }
}

/// Asks for what lies at `at`, whatever that is, into the first cache.
#[inline(always)]
fn prefetch<T>(at: *const T) {
    // SAFETY: a prefetch touches nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

/// Asks for the weights that come after `at`; what lies behind them does no harm.
#[inline(always)]
fn prefetch_weights(at: *const u8) {
    // SAFETY: a prefetch touches nothing.
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(PREFETCH_FROM_MEMORY).cast());
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(PREFETCH_FROM_CACHE).cast());
    }
}

/// The four numbers at `at`, as they lie.
///
/// # Safety
/// Four bytes at `at` must be readable.
#[inline(always)]
unsafe fn load_four(at: *const i8) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { at.cast::<i32>().read_unaligned() }
}

by_rows!(26 20 13 8 4 1);

/// The first `R` rows of a product; returns `R`.
///
/// # Safety
/// Needs AVX-512 F; `n` numbers in the blocks of each row of `a`, `n` rows of 16 in the blocks of `b`, room for 16 in each row of
/// `c`.
#[target_feature(enable = "avx512f")]
unsafe fn some_rows<const R: usize>(
    (a, a_stride): (&[f32], usize),
    (b, b_stride): (&[f16], usize),
    n: usize,
    (c, c_stride): (&mut [f32], usize),
) -> usize {
    /// Adds the products of number `$i` of each row's block with row `$i` of a block of `b`.
    macro_rules! column {
        ($i:literal, $a:ident, $b:ident, $sums:ident) => {
            let b = _mm512_cvtph_ps(_mm256_loadu_si256($b.add(16 * $i).cast()));
            for r in 0..R {
                $sums[r] = _mm512_fmadd_ps(_mm512_set1_ps(*$a.add(16 * r + $i)), b, $sums[r]);
            }
        };
    }
    let mut sums = [_mm512_setzero_ps(); R];
    let (mut a, mut b) = (a.as_ptr(), b.as_ptr());
    for _ in 0..n / 16 {
        // Written out for the sake of the addresses, as in a tile.
        macro_rules! columns {
            ($($i:literal)*) => {
                $(
                    // Half a cache line of the next block of `b`, and some of the next ones of `a`: blocks lie too far apart for the
                    // processor to see where they lead.
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
