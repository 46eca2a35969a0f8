//! AVX-512 with VNNI: 16 outputs in one register, up to 13 rows at once.

#![allow(clippy::needless_range_loop, reason = "the loops over rows are unrolled into registers: `R` says how many there are")]

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_loadu_si256, _mm512_add_epi32, _mm512_and_si512, _mm512_cvtepi32_ps,
    _mm512_cvtph_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_srli_epi16, _mm512_storeu_ps,
};

use half::f16;

use super::product::by_rows;
use super::{Bits, GROUP, Job, TILE};

/// Bytes of weights that are asked for ahead of their use, from memory into the second cache and from there into the first:
/// with a dozen rows the processor's own prefetcher lets memory and arithmetic wait for each other. Measured with 13 rows and
/// 2 threads, weights from memory, where the registers reach 938 GOP/s: 623 without, 721 with 4 KiB alone, 767 so.
const AHEAD_OF_MEMORY: usize = 65_536;
const AHEAD_OF_CACHE: usize = 2_048;

/// Whether this machine has it.
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni")
}

/// Adds one tile for `rows` rows to `out`, whose rows lie `stride` apart.
pub(super) fn tile(job: &Job<'_>, rows: usize, out: &mut [f32], stride: usize) {
    assert!((1..=13).contains(&rows) && out.len() >= (rows - 1) * stride + TILE, "room for the rows");
    macro_rules! run {
        ($($r:literal)*) => {
            match (job.bits, rows) {
                // SAFETY: the caller chose this path because `is_here`; the sizes were checked above.
                $((Bits::Four, $r) => unsafe { four::<$r>(job, out, stride) },)*
                $((Bits::Eight, $r) => unsafe { eight::<$r>(job, out, stride) },)*
                _ => {}
            }
        };
    }
    run!(1 2 3 4 5 6 7 8 9 10 11 12 13);
}

/// # Safety
/// Needs AVX-512 F, BW and VNNI, and room for `R` rows in `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn four<const R: usize>(job: &Job<'_>, out: &mut [f32], stride: usize) {
    let low_half = _mm512_set1_epi8(15);
    let mut sums = [_mm512_setzero_ps(); R];
    for r in 0..R {
        // SAFETY: `tile` checked the room.
        sums[r] = unsafe { _mm512_loadu_ps(out.as_ptr().add(r * stride)) };
    }
    for (g, weights) in job.weights.chunks_exact(TILE * GROUP / 2).enumerate() {
        let (numbers, scales, totals) = job.activations.cells(g, job.first_row);
        let numbers = numbers.as_ptr();
        // The offset of the weights is taken off at the start. With few rows two chains hide the latency of the products.
        let mut even = [_mm512_setzero_si512(); R];
        let mut odd = [_mm512_setzero_si512(); R];
        for r in 0..R {
            even[r] = _mm512_set1_epi32(-8 * totals[r]);
        }
        for step in 0..GROUP / 8 {
            // SAFETY: a group holds 8 steps of 64 bytes of weights; `cells` gave 64 numbers for each row that is left.
            unsafe {
                ask_ahead(weights.as_ptr().add(64 * step));
                let both = _mm512_loadu_si512(weights.as_ptr().add(64 * step).cast());
                let (low, high) = (_mm512_and_si512(both, low_half), _mm512_and_si512(_mm512_srli_epi16::<4>(both), low_half));
                for r in 0..R {
                    let at = numbers.add(GROUP * r + 8 * step);
                    even[r] = _mm512_dpbusd_epi32(even[r], low, four_of(at));
                    if R <= 6 {
                        odd[r] = _mm512_dpbusd_epi32(odd[r], high, four_of(at.add(4)));
                    } else {
                        even[r] = _mm512_dpbusd_epi32(even[r], high, four_of(at.add(4)));
                    }
                }
            }
        }
        // SAFETY: a group has 16 scales of 2 bytes.
        let scale = unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(job.scales.as_ptr().add(2 * TILE * g).cast())) };
        for r in 0..R {
            let exact = if R <= 6 { _mm512_add_epi32(even[r], odd[r]) } else { even[r] };
            sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), _mm512_mul_ps(scale, _mm512_set1_ps(scales[r])), sums[r]);
        }
    }
    for r in 0..R {
        // SAFETY: `tile` checked the room.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(r * stride), sums[r]) };
    }
}

/// # Safety
/// As [`four`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn eight<const R: usize>(job: &Job<'_>, out: &mut [f32], stride: usize) {
    let mut sums = [_mm512_setzero_ps(); R];
    for r in 0..R {
        // SAFETY: `tile` checked the room.
        sums[r] = unsafe { _mm512_loadu_ps(out.as_ptr().add(r * stride)) };
    }
    for (g, weights) in job.weights.chunks_exact(TILE * GROUP).enumerate() {
        let (numbers, scales, totals) = job.activations.cells(g, job.first_row);
        let numbers = numbers.as_ptr();
        let mut exact = [_mm512_setzero_si512(); R];
        for r in 0..R {
            exact[r] = _mm512_set1_epi32(-128 * totals[r]);
        }
        for step in 0..GROUP / 4 {
            // SAFETY: a group holds 16 steps of 64 bytes of weights; `cells` gave 64 numbers for each row that is left.
            unsafe {
                ask_ahead(weights.as_ptr().add(64 * step));
                let weights = _mm512_loadu_si512(weights.as_ptr().add(64 * step).cast());
                for r in 0..R {
                    exact[r] = _mm512_dpbusd_epi32(exact[r], weights, four_of(numbers.add(GROUP * r + 4 * step)));
                }
            }
        }
        // SAFETY: a group has 16 scales of 2 bytes.
        let scale = unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(job.scales.as_ptr().add(2 * TILE * g).cast())) };
        for r in 0..R {
            sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact[r]), _mm512_mul_ps(scale, _mm512_set1_ps(scales[r])), sums[r]);
        }
    }
    for r in 0..R {
        // SAFETY: `tile` checked the room.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(r * stride), sums[r]) };
    }
}

/// Multiplications and additions of one repeat of [`spin`].
pub(super) const SPIN_OPERATIONS: f64 = 16.0 * 2.0 * 64.0;

/// Nothing but dot products of registers, `repeats` times sixteen of them: the most that the processor can do.
pub(super) fn spin(repeats: usize) {
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
    if is_here() {
        // SAFETY: just asked for.
        std::hint::black_box(unsafe { inner(repeats) });
    }
}

/// Asks for the weights that come after `at`; what lies behind them does no harm.
#[inline(always)]
fn ask_ahead(at: *const u8) {
    // SAFETY: a prefetch touches nothing.
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(AHEAD_OF_MEMORY).cast());
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD_OF_CACHE).cast());
    }
}

/// Four numbers in every lane.
///
/// # Safety
/// Needs AVX-512 F; four bytes at `at` must be readable.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn four_of(at: *const i8) -> __m512i {
    // SAFETY: the caller's promise.
    _mm512_set1_epi32(unsafe { at.cast::<i32>().read_unaligned() })
}

by_rows!(26 20 13 8 4 1);

/// The first `R` rows of a product; returns `R`.
///
/// # Safety
/// Needs AVX-512 F; `n` numbers in each row of `a`, `n` rows of 16 in the blocks of `b`, room for 16 in each row of `c`.
#[target_feature(enable = "avx512f")]
unsafe fn some_rows<const R: usize>(
    (a, a_stride): (&[f32], usize),
    (b, b_stride): (&[f16], usize),
    n: usize,
    (c, c_stride): (&mut [f32], usize),
) -> usize {
    let mut sums = [_mm512_setzero_ps(); R];
    for first in (0..n).step_by(16) {
        for i in first..n.min(first + 16) {
            // SAFETY: the caller's promise.
            unsafe {
                let b = _mm512_cvtph_ps(_mm256_loadu_si256(b.as_ptr().add(first / 16 * b_stride + (i - first) * 16).cast()));
                for (r, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_fmadd_ps(_mm512_set1_ps(*a.as_ptr().add(r * a_stride + i)), b, *sum);
                }
            }
        }
    }
    for (r, sum) in sums.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(c.as_mut_ptr().add(r * c_stride), sum) };
    }
    R
}
