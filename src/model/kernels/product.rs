//! Matrix products of a few rows of f32 with 16 columns of f16, for attention and convolutions.

use half::f16;

use super::InstructionSet;

/// Number of columns of a product, and number of values of a row in a tile of the left operand.
const WIDTH: usize = 16;

/// Defines the `product` of an instruction set from its `some_rows::<R>`, which computes `R` rows; the literals are the values of
/// `R`, from the most that fit the registers down to 1.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! by_rows {
    ($($most:literal)*) => {
        /// Computes [`product`](super::product::product) with this instruction set; that function has checked the sizes.
        pub(super) fn product(
            rows: usize,
            a: Strided<'_, f32>,
            b: Strided<'_, f16>,
            n: usize,
            c: StridedMut<'_>,
        ) {
            let mut from = 0;
            while from < rows {
                let a = Strided { values: &a.values[from * 16..], stride: a.stride };
                let c = StridedMut { values: &mut c.values[from * c.stride..], stride: c.stride };
                // SAFETY: this instruction set `is_available`; the sizes of all three were checked for every row.
                from += unsafe {
                    match rows - from {
                        $($most.. => some_rows::<$most>(a, b, n, c),)*
                        0 => break,
                    }
                };
            }
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use by_rows;

/// An operand of a product: blocks of values that begin at a regular distance.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a, T> {
    /// All values, from the first block on.
    pub values: &'a [T],
    /// Distance of the beginnings of two blocks, in values.
    pub stride: usize,
}

/// The result of a product: rows of 16 values that begin at a regular distance.
#[derive(Debug)]
pub struct StridedMut<'a> {
    /// All values, from the first row on.
    pub values: &'a mut [f32],
    /// Distance of the beginnings of two rows, in values.
    pub stride: usize,
}

/// Computes `c[r][0..16] = sum over i < n of a[r][i] * b[i][0..16]` for `rows` rows, on the calling thread with `isa`, which must
/// be one of this machine. Leaves `c` as it is if `n` or `rows` is 0.
///
/// `a` lies in [tiles](super::Tiled) of 16 columns, so that the next values of all rows are near each other; its stride is the
/// distance of two tiles. `b` lies in blocks of 16 rows of 16; its stride is the distance of two blocks. The stride of `c` is the
/// distance of two rows.
///
/// # Panics
/// When a slice is too short: an error of the caller.
pub fn product(isa: InstructionSet, rows: usize, a: Strided<'_, f32>, b: Strided<'_, f16>, n: usize, c: StridedMut<'_>) {
    if n == 0 || rows == 0 {
        return;
    }
    // Checked once for all instruction sets, which use pointers.
    let b_end = (n - 1) / WIDTH * b.stride + ((n - 1) % WIDTH + 1) * WIDTH;
    let a_end = (n - 1) / WIDTH * a.stride + (rows - 1) * WIDTH + (n - 1) % WIDTH + 1;
    let fits = a.values.len() >= a_end && b.values.len() >= b_end && c.values.len() >= (rows - 1) * c.stride + WIDTH;
    assert!(fits, "sizes of a product");
    match isa {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512Vnni => super::avx512::product(rows, a, b, n, c),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::AvxVnni | InstructionSet::Avx2 => super::avx2::product(rows, a, b, n, c),
        #[cfg(target_arch = "aarch64")]
        InstructionSet::NeonDot => super::neon::product(rows, a, b, n, c),
        _ => {
            for r in 0..rows {
                let mut sums = [0.0f32; WIDTH];
                for i in 0..n {
                    let x = a.values[i / WIDTH * a.stride + r * WIDTH + i % WIDTH];
                    let b = &b.values[i / WIDTH * b.stride + i % WIDTH * WIDTH..][..WIDTH];
                    sums.iter_mut().zip(b).for_each(|(sum, b)| *sum = x.mul_add(b.to_f32(), *sum));
                }
                c.values[r * c.stride..][..WIDTH].copy_from_slice(&sums);
            }
        }
    }
}
