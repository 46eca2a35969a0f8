//! Products of a few rows of floats with 16 columns of 16-bit floats: attention and convolutions.

use half::f16;

use super::InstructionSet;

/// Columns of a product, and numbers of a block of `a` or `b`.
const WIDTH: usize = 16;

/// `product` of a isa, whose `some_rows::<R>` computes `R` rows; the numbers are how many at once fit its registers, from the
/// most down to 1.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! by_rows {
    ($($most:literal)*) => {
        /// `c[r][0..16] = sum of a[r][i] * b[i][0..16]`: see [`product`](super::product::product), which has checked the sizes.
        pub(super) fn product(
            rows: usize,
            (a, a_stride): (&[f32], usize),
            (b, b_stride): (&[f16], usize),
            n: usize,
            (c, c_stride): (&mut [f32], usize),
        ) {
            let mut from = 0;
            while from < rows {
                let (a, c) = (&a[from * 16..], &mut c[from * c_stride..]);
                // SAFETY: the caller chose this path because `is_available`, and checked the sizes of all three for every row.
                from += unsafe {
                    match rows - from {
                        $($most.. => some_rows::<$most>((a, a_stride), (b, b_stride), n, (c, c_stride)),)*
                        0 => break,
                    }
                };
            }
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use by_rows;

/// `c[r][0..16] = sum over i below n of a[r][i] * b[i][0..16]` for `rows` rows. The numbers of `a` lie
/// in [tiles](super::Tiled), so that those of all rows that are needed next are near each other; the tiles of one row begin
/// `a_stride` apart. Rows of `b` lie one after the other in blocks of 16, which begin `b_stride` apart; `c` comes
/// with its row stride.
///
/// # Panics
/// When a slice is too short: the caller's own.
pub fn product(
    isa: InstructionSet,
    rows: usize,
    (a, a_stride): (&[f32], usize),
    (b, b_stride): (&[f16], usize),
    n: usize,
    (c, c_stride): (&mut [f32], usize),
) {
    if n == 0 || rows == 0 {
        return;
    }
    // Checked once for all paths, which use pointers.
    let b_end = (n - 1) / WIDTH * b_stride + ((n - 1) % WIDTH + 1) * WIDTH;
    let a_end = (n - 1) / WIDTH * a_stride + (rows - 1) * WIDTH + (n - 1) % WIDTH + 1;
    let fits = a.len() >= a_end && b.len() >= b_end && c.len() >= (rows - 1) * c_stride + WIDTH;
    assert!(fits, "sizes of a product");
    match isa {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512Vnni => super::avx512::product(rows, (a, a_stride), (b, b_stride), n, (c, c_stride)),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::AvxVnni | InstructionSet::Avx2 => super::avx2::product(rows, (a, a_stride), (b, b_stride), n, (c, c_stride)),
        #[cfg(target_arch = "aarch64")]
        InstructionSet::NeonDot => super::neon::product(rows, (a, a_stride), (b, b_stride), n, (c, c_stride)),
        _ => {
            for r in 0..rows {
                let mut sums = [0.0f32; WIDTH];
                for i in 0..n {
                    let (x, b) = (a[i / WIDTH * a_stride + r * WIDTH + i % WIDTH], &b[i / WIDTH * b_stride + i % WIDTH * WIDTH..][..WIDTH]);
                    sums.iter_mut().zip(b).for_each(|(sum, b)| *sum = x.mul_add(b.to_f32(), *sum));
                }
                c[r * c_stride..][..WIDTH].copy_from_slice(&sums);
            }
        }
    }
}
