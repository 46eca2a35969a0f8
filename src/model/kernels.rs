//! Matrix products of a few rows with quantised weights: 8-bit activations times 4- or 8-bit weights, exact in the integers.
//!
//! Responsible for the layout of packed weights, for quantising activations, and for one implementation per instruction set,
//! chosen at run time; each gives the same bits as the portable one. Not responsible for storing the bytes or for sharing ranges
//! of tiles among threads.
//!
//! Layout: a matrix `[n, k]` is cut into tiles of 16 outputs. A tile holds its weights, then its scales, both from the first input
//! to the last; inputs are padded with zeros to whole groups of 64. 64 bytes of weights hold 4 (8-bit) or 8 (4-bit) inputs of 16
//! outputs: byte `4 c + j` is input `j` of output `c`; at 4 bits its high half is input `4 + j`. Weights are stored unsigned, with
//! an offset of 8 or 128; a scale is one f16 per output and group. With this layout one broadcast of four activations meets 16
//! outputs in one dot-product instruction (`vpdpbusd`), each byte of weights is read once for all rows, and a file is used in place.

mod activations;
pub mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod cores;
pub mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod packing;
pub mod peaks;
mod portable;
pub mod product;
#[cfg(test)]
mod tests;
pub mod thread_pool;
mod tiled;

use std::ops::Range;
use std::sync::OnceLock;

pub use activations::{Activations, Norm, RowStats, with_scratch};
pub use packing::{Bits, pack, tile_bytes, unpack};
pub use tiled::{Tiled, TiledShape};

/// Number of outputs (rows of the weight matrix) of a tile.
pub const TILE: usize = 16;
/// Number of successive inputs of an output, or of an activation row, that share a scale.
pub const GROUP: usize = 64;
/// Largest number of activation rows that an instruction set's function `tile` computes at a time: their sums fill the registers of
/// AVX-512.
const MAX_ROWS: usize = 13;

/// A view of the bytes of a packed matrix of `k` inputs; its outputs are padded to whole tiles of 16.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// Tiles of weights and scales.
    bytes: &'a [u8],
    /// Bits of a weight.
    bits: Bits,
    /// Number of inputs.
    k: usize,
}

impl<'a> Packed<'a> {
    /// Views `bytes` as a packed matrix with `k` inputs and weights of `bits`; returns None unless they are whole tiles, or for no
    /// inputs.
    #[must_use]
    pub fn new(bytes: &'a [u8], bits: Bits, k: usize) -> Option<Self> {
        (k > 0 && bytes.len().is_multiple_of(tile_bytes(bits, k))).then_some(Self { bytes, bits, k })
    }

    /// Returns the number of tiles of 16 outputs.
    #[must_use]
    pub fn tiles(&self) -> usize {
        self.bytes.len() / tile_bytes(self.bits, self.k)
    }

    /// Returns the `k` weights of output number `at`, unpacked; None beyond the last tile. Outputs of padding give zeros.
    #[must_use]
    pub fn row(self, at: usize) -> Option<impl Iterator<Item = f32> + use<'a>> {
        let size = tile_bytes(self.bits, self.k);
        let tile = self.bytes.get(at / TILE * size..)?.get(..size)?;
        Some(packing::unpack_row(tile, self.k, self.bits, at % TILE))
    }

    /// Returns the number of groups of 64 inputs.
    const fn groups(&self) -> usize {
        self.k.div_ceil(GROUP)
    }

    /// Returns the bytes of the weights and the bytes of the scales of tile number `at`, which must exist.
    fn tile(&self, at: usize) -> (&'a [u8], &'a [u8]) {
        let size = tile_bytes(self.bits, self.k);
        self.bytes[at * size..][..size].split_at(self.groups() * self.bits.group_bytes())
    }
}

/// The instruction sets for which the kernels are implemented, fastest first; all give the same bits in products with packed
/// weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// AVX-512 with VNNI.
    Avx512Vnni,
    /// AVX2 with FMA and AVX-VNNI's dot products.
    AvxVnni,
    /// AVX2 with FMA.
    Avx2,
    /// NEON with dot products.
    NeonDot,
    /// Plain Rust, the reference of the others.
    Portable,
}

impl InstructionSet {
    /// Returns the fastest instruction set of this machine, detected at the first call.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        *BEST.get_or_init(|| Self::available()[0])
    }

    /// Returns the instruction sets that this machine has, fastest first; `Portable` is always the last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if avx512::is_available() {
                sets.push(Self::Avx512Vnni);
            }
            if avx2::has_vnni() {
                sets.push(Self::AvxVnni);
            }
            if avx2::is_available() {
                sets.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if neon::is_available() {
            sets.push(Self::NeonDot);
        }
        sets.push(Self::Portable);
        sets
    }

    /// Returns the name that `hearken doctor` and `hearken bench` show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512Vnni => "AVX-512 VNNI",
            Self::AvxVnni => "AVX-VNNI",
            Self::Avx2 => "AVX2",
            Self::NeonDot => "NEON dot product",
            Self::Portable => "portable",
        }
    }
}

/// A tile of weights with its scales, to be multiplied with the rows of `activations` from `first_row` on.
struct TileJob<'a> {
    /// Bytes of the weights of the tile.
    weights: &'a [u8],
    /// Bytes of the scales of the tile.
    scales: &'a [u8],
    /// Bits of a weight.
    bits: Bits,
    /// Quantised rows to multiply with.
    activations: &'a Activations,
    /// Index of the first activation row.
    first_row: usize,
}

/// Adds the products of all rows of `activations` with the tiles `tiles` of `weights` to `out`, `[row][tile][16]`, on the calling
/// thread. `isa` must be one of this machine.
///
/// # Panics
/// When the numbers of input groups differ, a tile does not exist or `out` has another size: errors of the caller.
pub fn multiply(isa: InstructionSet, weights: Packed<'_>, activations: &Activations, tiles: Range<usize>, out: &mut [f32]) {
    assert_eq!(weights.groups(), activations.groups(), "inputs of weights and activations");
    let width = TILE * tiles.len();
    assert_eq!(out.len(), activations.rows() * width, "length of `out`");
    for (at, tile) in tiles.enumerate() {
        let (bytes, scales) = weights.tile(tile);
        let mut first_row = 0;
        for rows in even_parts(activations.rows()) {
            let job = TileJob { weights: bytes, scales, bits: weights.bits, activations, first_row };
            let out = &mut out[first_row * width + TILE * at..];
            match isa {
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512Vnni => avx512::tile(&job, rows, out, width),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::AvxVnni => avx2::tile(&job, rows, avx2::DotProduct::Vnni, out, width),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2 => avx2::tile(&job, rows, avx2::DotProduct::Pairs, out, width),
                #[cfg(target_arch = "aarch64")]
                InstructionSet::NeonDot => neon::tile(&job, rows, out, width),
                _ => portable::tile(&job, rows, out, width),
            }
            first_row += rows;
        }
    }
}

/// Returns the sizes of the fewest, nearly equal parts of `rows` rows, of at most 13 rows each.
fn even_parts(rows: usize) -> impl Iterator<Item = usize> {
    let parts = rows.div_ceil(MAX_ROWS);
    (0..parts).map(move |i| (i + 1) * rows / parts - i * rows / parts)
}
