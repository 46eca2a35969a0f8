//! NEON with dot products: 16 outputs in four registers, up to 4 rows at once. Tested under qemu only.

#![allow(clippy::needless_range_loop, reason = "the loops over rows are unrolled into registers: `R` says how many there are")]

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int32x4_t, uint16x8_t, vandq_u8, vcvtq_f32_s32, vdupq_n_f32, vdupq_n_s8, vdupq_n_s32, vdupq_n_u8, veorq_u8,
    vfmaq_f32, vld1q_f32, vld1q_u8, vld1q_u16, vmulq_f32, vreinterpretq_s8_s32, vreinterpretq_s8_u8, vshrq_n_u8, vst1q_f32, vsubq_s8,
};

use half::f16;

use super::packing::scale_at;
use super::product::{Strided, StridedMut, by_rows};
use super::{Bits, GROUP, TILE, TileJob};

/// Largest number of activation rows computed at once with NEON: four times four sums and their operands fill the registers.
const MAX_ROWS: usize = 4;

/// Returns true if this machine has NEON with dot products.
pub(super) fn is_available() -> bool {
    std::arch::is_aarch64_feature_detected!("dotprod")
}

/// Adds the products of the tile of `job` with `rows` activation rows to the first 16 values of each row of `out`, whose rows begin
/// `stride` values apart.
pub(super) fn tile(job: &TileJob<'_>, rows: usize, out: &mut [f32], stride: usize) {
    assert!(out.len() >= (rows - 1) * stride + TILE, "length of `out`");
    let parts = rows.div_ceil(MAX_ROWS);
    for part in 0..parts {
        let (from, to) = (part * rows / parts, (part + 1) * rows / parts);
        let out = &mut out[from * stride..];
        // SAFETY: this instruction set `is_available`; the sizes were checked above.
        unsafe {
            match to - from {
                4 => some_tile::<4>(job, from, out, stride),
                3 => some_tile::<3>(job, from, out, stride),
                2 => some_tile::<2>(job, from, out, stride),
                _ => some_tile::<1>(job, from, out, stride),
            }
        }
    }
}

/// Adds the products of the tile of `job` with the activation rows from `from` on, `R` of them, to `out`.
///
/// # Safety
/// Needs NEON with dot products, and `R` rows in `out`.
#[target_feature(enable = "neon,dotprod")]
unsafe fn some_tile<const R: usize>(job: &TileJob<'_>, from: usize, out: &mut [f32], stride: usize) {
    for (g, weights) in job.weights.chunks_exact(job.bits.group_bytes()).enumerate() {
        let (numbers, scales, _) = job.activations.cells(g, job.first_row + from);
        // The offset is subtracted from the weights, because `sdot` is signed; the sums are the same integers.
        let mut exact = [[vdupq_n_s32(0); 4]; R];
        match job.bits {
            Bits::Four => {
                for (step, bytes) in weights.chunks_exact(64).enumerate() {
                    for c in 0..4 {
                        // SAFETY: a step has four times 16 bytes.
                        let both = unsafe { vld1q_u8(bytes.as_ptr().add(16 * c)) };
                        let eight = vdupq_n_s8(8);
                        let low = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))), eight);
                        let high = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8::<4>(both)), eight);
                        for r in 0..R {
                            let numbers = &numbers[GROUP * r + 8 * step..][..8];
                            exact[r][c] = dot(dot(exact[r][c], low, broadcast_four(&numbers[..4])), high, broadcast_four(&numbers[4..]));
                        }
                    }
                }
            }
            Bits::Eight => {
                for (step, bytes) in weights.chunks_exact(64).enumerate() {
                    for c in 0..4 {
                        // SAFETY: a step has four times 16 bytes.
                        let bytes = unsafe { vld1q_u8(bytes.as_ptr().add(16 * c)) };
                        let signed = vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(128)));
                        for r in 0..R {
                            exact[r][c] = dot(exact[r][c], signed, broadcast_four(&numbers[GROUP * r + 4 * step..][..4]));
                        }
                    }
                }
            }
        }
        for c in 0..4 {
            let scale: [f32; 4] = std::array::from_fn(|i| scale_at(job.scales, g, 4 * c + i));
            // SAFETY: four scales; `tile` checked the length of `out`.
            unsafe {
                let scale = vld1q_f32(scale.as_ptr());
                for r in 0..R {
                    let to = out.as_mut_ptr().add(r * stride + 4 * c);
                    let scale = vmulq_f32(scale, vdupq_n_f32(scales[r]));
                    vst1q_f32(to, vfmaq_f32(vld1q_f32(to), vcvtq_f32_s32(exact[r][c]), scale));
                }
            }
        }
    }
}

by_rows!(5 2 1);

/// Computes the first `R` rows of [`product`](super::product::product); returns `R`.
///
/// # Safety
/// Needs NEON; `n` values in each row of `a`, `n` rows of 16 in `b`, 16 values in each row of `c`.
#[target_feature(enable = "neon")]
unsafe fn some_rows<const R: usize>(
    a: Strided<'_, f32>,
    b: Strided<'_, f16>,
    n: usize,
    StridedMut { values: c, stride: c_stride }: StridedMut<'_>,
) -> usize {
    let mut sums = [[vdupq_n_f32(0.0); 4]; R];
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe {
            let at: *const u16 = b.values.as_ptr().add(i / 16 * b.stride + i % 16 * 16).cast();
            let (first, second) = (vld1q_u16(at), vld1q_u16(at.add(8)));
            let b = [low_floats(first), high_floats(first), low_floats(second), high_floats(second)];
            for r in 0..R {
                let x = vdupq_n_f32(*a.values.as_ptr().add(i / 16 * a.stride + r * 16 + i % 16));
                for k in 0..4 {
                    sums[r][k] = vfmaq_f32(sums[r][k], b[k], x);
                }
            }
        }
    }
    for r in 0..R {
        for k in 0..4 {
            // SAFETY: the caller's promise.
            unsafe { vst1q_f32(c.as_mut_ptr().add(r * c_stride + 4 * k), sums[r][k]) };
        }
    }
    R
}

/// Returns the first four f16 of `halves` as f32. In assembly, because the intrinsic's type is not stable in Rust 1.95.
#[inline]
#[target_feature(enable = "neon")]
fn low_floats(halves: uint16x8_t) -> float32x4_t {
    let out: float32x4_t;
    // SAFETY: the instruction reads and writes registers only; every processor with NEON has it.
    unsafe {
        std::arch::asm!("fcvtl {0:v}.4s, {1:v}.4h", lateout(vreg) out, in(vreg) halves, options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Returns the last four f16 of `halves` as f32. In assembly, because the intrinsic's type is not stable in Rust 1.95.
#[inline]
#[target_feature(enable = "neon")]
fn high_floats(halves: uint16x8_t) -> float32x4_t {
    let out: float32x4_t;
    // SAFETY: as in `low_floats`.
    unsafe {
        std::arch::asm!("fcvtl2 {0:v}.4s, {1:v}.8h", lateout(vreg) out, in(vreg) halves, options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Returns `sum` with the sum of four products of signed bytes of `a` and `b` added to each of its four lanes. In assembly, because
/// `vdotq_s32` is not stable in Rust 1.95.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes registers only, and its set is enabled for this function.
    unsafe {
        std::arch::asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum, in(vreg) a, in(vreg) b, options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// Returns the first four values of `numbers`, repeated in each 32-bit lane.
#[inline]
#[target_feature(enable = "neon")]
fn broadcast_four(numbers: &[i8]) -> int8x16_t {
    let four = i32::from_le_bytes([numbers[0] as u8, numbers[1] as u8, numbers[2] as u8, numbers[3] as u8]);
    vreinterpretq_s8_s32(vdupq_n_s32(four))
}
