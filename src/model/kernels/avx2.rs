//! AVX2 with FMA, for machines without VNNI: 8 outputs in one register, one row at a time.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps,
    _mm256_cvtepu8_epi16, _mm256_cvtph_ps, _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_hadd_epi32, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_permute4x64_epi64, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_srli_epi16,
    _mm256_storeu_ps,
};

use half::f16;

use super::{Bits, GROUP, Job, TILE};

/// Whether this machine has it.
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// Adds one tile for `rows` rows to `out`, whose rows lie `stride` apart.
pub(super) fn tile(job: &Job<'_>, rows: usize, out: &mut [f32], stride: usize) {
    for r in 0..rows {
        let out = &mut out[r * stride..][..TILE];
        for half in 0..2 {
            // SAFETY: the caller chose this path because `is_here`.
            unsafe { half_tile(job, job.first_row + r, half, &mut out[8 * half..][..8]) };
        }
    }
}

/// Adds the products of one row with outputs `8 half ..= 8 half + 7` to `out`.
///
/// # Safety
/// Needs AVX2, FMA and F16C, and room for 8 in `out`.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn half_tile(job: &Job<'_>, row: usize, half: usize, out: &mut [f32]) {
    // SAFETY: `out` has room for 8.
    let mut sum = unsafe { _mm256_loadu_ps(out.as_ptr()) };
    for (g, weights) in job.weights.chunks_exact(job.bits.group_bytes()).enumerate() {
        let (numbers, scales, totals) = job.activations.cells(g, row);
        let numbers = &numbers[..GROUP];
        // SAFETY: the instruction sets are the caller's promise.
        let products = unsafe {
            match job.bits {
                Bits::Four => four(weights, numbers, half),
                Bits::Eight => eight(weights, numbers, half),
            }
        };
        let exact = _mm256_add_epi32(products, _mm256_set1_epi32(-job.bits.offset() * totals[0]));
        // SAFETY: a group has 16 scales of 2 bytes.
        let scale = unsafe { _mm256_cvtph_ps(_mm_loadu_si128(job.scales.as_ptr().add(2 * TILE * g + 16 * half).cast())) };
        sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), _mm256_mul_ps(scale, _mm256_set1_ps(scales[0])), sum);
    }
    // SAFETY: as above.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sum) };
}

/// # Safety
/// Needs AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn four(weights: &[u8], numbers: &[i8], half: usize) -> __m256i {
    let (low_half, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
    let mut sums = _mm256_setzero_si256();
    for (step, numbers) in weights.chunks_exact(64).zip(numbers.chunks_exact(8)) {
        // SAFETY: a step has 64 bytes, of which this half is 32.
        let both = unsafe { _mm256_loadu_si256(step.as_ptr().add(32 * half).cast()) };
        let (low, high) = (_mm256_and_si256(both, low_half), _mm256_and_si256(_mm256_srli_epi16::<4>(both), low_half));
        // Two products of at most 15 x 127 fit in 16 bits, and so do two such pairs.
        let pairs = std::arch::x86_64::_mm256_add_epi16(
            _mm256_maddubs_epi16(low, _mm256_set1_epi32(four_of(&numbers[..4]))),
            _mm256_maddubs_epi16(high, _mm256_set1_epi32(four_of(&numbers[4..]))),
        );
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, ones));
    }
    sums
}

/// # Safety
/// Needs AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn eight(weights: &[u8], numbers: &[i8], half: usize) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    for (step, numbers) in weights.chunks_exact(64).zip(numbers.chunks_exact(4)) {
        // SAFETY: a step has 64 bytes, of which this half is 32.
        let bytes = unsafe { _mm256_loadu_si256(step.as_ptr().add(32 * half).cast()) };
        // 255 x 127 twice does not fit in 16 bits: widened first. Outputs 0-3 stand in the low half, 4-7 in the high one.
        let low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(bytes));
        let high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256::<1>(bytes));
        let four = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(_mm256_set1_epi64x(
            i64::from(four_of(numbers)) << 32 | i64::from(four_of(numbers)) & 0xffff_ffff,
        )));
        let pairs = _mm256_hadd_epi32(_mm256_madd_epi16(low, four), _mm256_madd_epi16(high, four));
        sums = _mm256_add_epi32(sums, pairs);
    }
    // hadd leaves outputs 0 1 4 5 | 2 3 6 7.
    _mm256_permute4x64_epi64::<0b11_01_10_00>(sums)
}

fn four_of(numbers: &[i8]) -> i32 {
    i32::from_le_bytes([numbers[0] as u8, numbers[1] as u8, numbers[2] as u8, numbers[3] as u8])
}

/// `c[r][0..16] = sum of a[r][i] * b[i][0..16]`: see [`attention`](super::attention), which has checked the sizes.
pub(super) fn product((a, a_stride): (&[f32], usize), (b, b_stride): (&[f16], usize), n: usize, (c, c_stride): (&mut [f32], usize)) {
    let rows = a.len() / a_stride;
    let mut from = 0;
    while from < rows {
        let (a, c) = (&a[from * a_stride..], &mut c[from * c_stride..]);
        // SAFETY: the caller chose this path because `is_here`, and checked the sizes of all three for every row.
        from += unsafe {
            match rows - from {
                6.. => some_rows::<6>((a, a_stride), (b, b_stride), n, (c, c_stride)),
                3.. => some_rows::<3>((a, a_stride), (b, b_stride), n, (c, c_stride)),
                _ => some_rows::<1>((a, a_stride), (b, b_stride), n, (c, c_stride)),
            }
        };
    }
}

/// The first `R` rows of a product; returns `R`.
///
/// # Safety
/// Needs AVX2, FMA and F16C; `n` numbers in each row of `a`, `n` rows of 16 in `b`, room for 16 in each row of `c`.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn some_rows<const R: usize>(
    (a, a_stride): (&[f32], usize),
    (b, b_stride): (&[f16], usize),
    n: usize,
    (c, c_stride): (&mut [f32], usize),
) -> usize {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe {
            let at: *const f16 = b.as_ptr().add(i * b_stride);
            let b = [_mm256_cvtph_ps(_mm_loadu_si128(at.cast())), _mm256_cvtph_ps(_mm_loadu_si128(at.add(8).cast()))];
            for (r, sum) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*a.as_ptr().add(r * a_stride + i));
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
