//! NEON with dot products: 16 outputs in four registers, one row at a time.

use std::arch::aarch64::{
    int8x16_t, int32x4_t, vandq_u8, vcvtq_f32_s32, vdupq_n_f32, vdupq_n_s8, vdupq_n_s32, vdupq_n_u8, veorq_u8, vfmaq_f32, vld1q_f32,
    vld1q_u8, vmulq_f32, vreinterpretq_s8_s32, vreinterpretq_s8_u8, vshrq_n_u8, vst1q_f32, vsubq_s8,
};

use super::packing::scale_at;
use super::{Bits, GROUP, Job, TILE};

/// Whether this machine has it.
pub(super) fn is_here() -> bool {
    std::arch::is_aarch64_feature_detected!("dotprod")
}

/// Adds one tile for `rows` rows to `out`, whose rows lie `stride` apart.
pub(super) fn tile(job: &Job<'_>, rows: usize, out: &mut [f32], stride: usize) {
    for r in 0..rows {
        // SAFETY: the caller chose this path because `is_here`.
        unsafe { row(job, job.first_row + r, &mut out[r * stride..][..TILE]) };
    }
}

/// # Safety
/// Needs NEON with dot products.
#[target_feature(enable = "neon,dotprod")]
unsafe fn row(job: &Job<'_>, row: usize, out: &mut [f32]) {
    // SAFETY: `tile` gave 16.
    let mut sums: [_; 4] = std::array::from_fn(|c| unsafe { vld1q_f32(out.as_ptr().add(4 * c)) });
    for (g, weights) in job.weights.chunks_exact(job.bits.group_bytes()).enumerate() {
        let (numbers, scales, _) = job.activations.cells(g, row);
        let numbers = &numbers[..GROUP];
        // The offset is taken off the weights before the product, which is signed here: the sums are the same integers.
        let mut exact = [vdupq_n_s32(0); 4];
        match job.bits {
            Bits::Four => {
                for (step, numbers) in weights.chunks_exact(64).zip(numbers.chunks_exact(8)) {
                    let (first, second) = (four_of(&numbers[..4]), four_of(&numbers[4..]));
                    for (c, exact) in exact.iter_mut().enumerate() {
                        // SAFETY: a step has four times 16 bytes.
                        let both = unsafe { vld1q_u8(step.as_ptr().add(16 * c)) };
                        let eight = vdupq_n_s8(8);
                        let low = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))), eight);
                        let high = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8::<4>(both)), eight);
                        *exact = dot(dot(*exact, low, first), high, second);
                    }
                }
            }
            Bits::Eight => {
                for (step, numbers) in weights.chunks_exact(64).zip(numbers.chunks_exact(4)) {
                    let four = four_of(numbers);
                    for (c, exact) in exact.iter_mut().enumerate() {
                        // SAFETY: a step has four times 16 bytes.
                        let bytes = unsafe { vld1q_u8(step.as_ptr().add(16 * c)) };
                        *exact = dot(*exact, vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(128))), four);
                    }
                }
            }
        }
        for (c, (sum, exact)) in sums.iter_mut().zip(exact).enumerate() {
            let scale: [f32; 4] = std::array::from_fn(|i| scale_at(job.scales, g, 4 * c + i));
            // SAFETY: four scales.
            let scale = unsafe { vld1q_f32(scale.as_ptr()) };
            *sum = vfmaq_f32(*sum, vcvtq_f32_s32(exact), vmulq_f32(scale, vdupq_n_f32(scales[0])));
        }
    }
    for (c, sum) in sums.into_iter().enumerate() {
        // SAFETY: `tile` gave room for 16.
        unsafe { vst1q_f32(out.as_mut_ptr().add(4 * c), sum) };
    }
}

/// `sum` plus, in each of the four lanes, the products of four signed bytes. The intrinsic `vdotq_s32` is not stable in
/// Rust 1.95, the instruction is.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: it reads and writes registers only, and the instruction set is enabled for this function.
    unsafe {
        std::arch::asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum, in(vreg) a, in(vreg) b, options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// Four numbers in every lane.
#[inline]
#[target_feature(enable = "neon")]
fn four_of(numbers: &[i8]) -> int8x16_t {
    let four = i32::from_le_bytes([numbers[0] as u8, numbers[1] as u8, numbers[2] as u8, numbers[3] as u8]);
    vreinterpretq_s8_s32(vdupq_n_s32(four))
}
