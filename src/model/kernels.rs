//! Products of a few rows with quantised weights: 8-bit activations times 4- or 8-bit weights, exact in the integers.
//!
//! Responsible for the layout of packed weights, for rounding activations, and for one path per instruction set, chosen at
//! run time; every path gives the bits of the portable one. Not responsible for where the bytes lie or who asks for them;
//! a caller hands out ranges of tiles to threads.
//!
//! Layout. A matrix `[n, k]` is cut into tiles of 16 outputs. A tile holds its weights first, then its scales, both from
//! the first input to the last; inputs are padded with zeros to whole groups of 64. In the weights, 64 bytes hold 4 (8-bit)
//! or 8 (4-bit) inputs of 16 outputs: byte `4 c + j` is input `j` of output `c`, and for 4 bits its high half is input
//! `4 + j`. Numbers are stored with an offset (8 or 128), so that they are unsigned; a scale is one f16 per output and
//! group. The reason for the shape: one broadcast of four activations meets 16 outputs in one dot-product instruction
//! (`vpdpbusd`), each byte of weights is read once for all rows, and the bytes are used as they lie in the file.

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

use std::sync::OnceLock;

pub use activations::{Activations, Norm, with_scratch};
pub use packing::{Bits, pack, tile_bytes, unpack};
pub use tiled::Tiled;

/// Outputs of a tile.
pub const TILE: usize = 16;
/// Inputs that share a scale.
pub const GROUP: usize = 64;
/// Rows that one call of a path takes at most: their sums fill the registers of AVX-512.
const MAX_ROWS: usize = 13;

/// A packed matrix: `n` outputs (a multiple of 16 in the bytes; those beyond `n` are padding) of `k` inputs.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    bytes: &'a [u8],
    bits: Bits,
    k: usize,
}

impl<'a> Packed<'a> {
    /// Looks at the packed bytes of a matrix with `k` inputs; `None` when they are not whole tiles.
    #[must_use]
    pub fn new(bytes: &'a [u8], bits: Bits, k: usize) -> Option<Self> {
        (k > 0 && bytes.len().is_multiple_of(tile_bytes(bits, k))).then_some(Self { bytes, bits, k })
    }

    /// Number of tiles.
    #[must_use]
    pub fn tiles(&self) -> usize {
        self.bytes.len() / tile_bytes(self.bits, self.k)
    }

    /// The numbers of output `at`; `None` beyond the last tile.
    #[must_use]
    pub fn row(self, at: usize) -> Option<impl Iterator<Item = f32> + use<'a>> {
        let size = tile_bytes(self.bits, self.k);
        let tile = self.bytes.get(at / TILE * size..)?.get(..size)?;
        Some(packing::unpack_row(tile, self.k, self.bits, at % TILE))
    }

    const fn groups(&self) -> usize {
        self.k.div_ceil(GROUP)
    }

    /// Weights and scales of tile `at`.
    fn tile(&self, at: usize) -> (&'a [u8], &'a [u8]) {
        let size = tile_bytes(self.bits, self.k);
        self.bytes[at * size..][..size].split_at(self.groups() * self.bits.group_bytes())
    }
}

/// A way to compute, fastest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// AVX-512 with VNNI.
    Avx512Vnni,
    /// AVX2 with FMA and VNNI's dot products, as processors without AVX-512 have them.
    AvxVnni,
    /// AVX2 with FMA.
    Avx2,
    /// NEON with dot products.
    NeonDot,
    /// Plain Rust, the measure of the others.
    Portable,
}

impl InstructionSet {
    /// The fastest one that this machine has.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        *BEST.get_or_init(|| Self::available()[0])
    }

    /// Those that this machine has, fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut paths = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if avx512::is_available() {
                paths.push(Self::Avx512Vnni);
            }
            if avx2::has_vnni() {
                paths.push(Self::AvxVnni);
            }
            if avx2::is_available() {
                paths.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if neon::is_available() {
            paths.push(Self::NeonDot);
        }
        paths.push(Self::Portable);
        paths
    }

    /// Its name, as `doctor` and `bench` show it.
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

/// What a path is asked for: one tile for some rows of the activations.
struct TileJob<'a> {
    weights: &'a [u8],
    scales: &'a [u8],
    bits: Bits,
    activations: &'a Activations,
    first_row: usize,
}

/// Adds the products of every row of `activations` with the tiles `from..to` of `weights` to `out[row][16 (tile - from) + c]`,
/// rows `16 (to - from)` apart.
///
/// # Panics
/// When the numbers of inputs differ or `out` is of another size: both are the caller's own.
pub fn multiply(isa: InstructionSet, weights: Packed<'_>, activations: &Activations, (from, to): (usize, usize), out: &mut [f32]) {
    assert_eq!(weights.groups(), activations.groups(), "inputs of weights and activations");
    let width = TILE * (to - from);
    assert_eq!(out.len(), activations.rows() * width, "room for the products");
    for tile in from..to {
        let (bytes, scales) = weights.tile(tile);
        let mut first_row = 0;
        for rows in even_parts(activations.rows()) {
            let job = TileJob { weights: bytes, scales, bits: weights.bits, activations, first_row };
            let out = &mut out[first_row * width + TILE * (tile - from)..];
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

/// `rows` in as few even parts of at most 13 as there can be.
fn even_parts(rows: usize) -> impl Iterator<Item = usize> {
    let parts = rows.div_ceil(MAX_ROWS);
    (0..parts).map(move |i| (i + 1) * rows / parts - i * rows / parts)
}
