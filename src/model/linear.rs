//! Packed linear layers and embeddings: 4- or 8-bit weights through [`kernels`](super::kernels).
//!
//! Responsible for handing out tiles to threads and for what is fused with a product (bias, the sum with what was there, the
//! two halves of an MLP). A packed layer owns no second copy: its bytes lie in memory or in a mapped file, and are used as
//! they are. Layers in candle's number types are candle's own.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use memmap2::Mmap;
use rayon::prelude::*;

use super::kernels::thread_pool::{EqualParts, thread_pool};
use super::kernels::{self, Activations, Bits, GROUP, InstructionSet, Packed, TILE, Tiled, math, tile_bytes, unpack};
use super::weights::Planes;

/// Weights times rows that a thread takes at a time at least: some microseconds, a hundred times what taking them costs.
const WORTH_TAKING: usize = 500_000;
/// Tiles in which one group of the next layer's inputs is computed.
const TILES_OF_GROUP: usize = GROUP / TILE;

/// Where packed bytes lie.
#[derive(Clone)]
pub enum PackedBytes {
    /// In memory.
    Memory(Arc<Vec<u8>>),
    /// In a mapped file.
    Mapped(Arc<Mmap>, Range<usize>),
}

impl PackedBytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(map, range) => &map[range.clone()],
        }
    }
}

impl fmt::Debug for PackedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.as_slice().len())
    }
}

/// A packed matrix `[out, inner]` with its bias.
#[derive(Clone, Debug)]
pub struct PackedLinear {
    bytes: PackedBytes,
    /// The second plane: what rounding to the first left over.
    rest: Option<PackedBytes>,
    bits: Bits,
    out: usize,
    inner: usize,
    /// Padded to whole tiles.
    bias: Option<Vec<f32>>,
    isa: InstructionSet,
}

impl PackedLinear {
    /// A layer of packed bytes; `None` when they are not `out` x `inner` numbers.
    #[must_use]
    pub fn new(bytes: PackedBytes, bits: Bits, (out, inner): (usize, usize)) -> Option<Self> {
        let tiles = Packed::new(bytes.as_slice(), bits, inner)?.tiles();
        (tiles == out.div_ceil(TILE)).then(|| Self { bytes, rest: None, bits, out, inner, bias: None, isa: InstructionSet::best() })
    }

    /// Packs `weight`, `out` rows of `inner` numbers.
    #[must_use]
    pub fn pack(weight: &[f32], (bits, planes): (Bits, Planes), (out, inner): (usize, usize)) -> Option<Self> {
        let bytes = |bytes: Vec<u8>| PackedBytes::Memory(Arc::new(bytes));
        let own = Self::new(bytes(pack(weight, bits, inner)), bits, (out, inner))?;
        match planes {
            Planes::One => Some(own),
            Planes::Two => own.with_residual(bytes(pack_residual(weight, bits, inner))),
        }
    }

    /// The same layer with its second plane; None when that is of another size.
    #[must_use]
    pub fn with_residual(self, rest: PackedBytes) -> Option<Self> {
        (rest.as_slice().len() == self.bytes.as_slice().len()).then(|| Self { rest: Some(rest), ..self })
    }

    /// The same layer with a bias of one number per output.
    #[must_use]
    pub fn with_bias(self, mut bias: Vec<f32>) -> Self {
        bias.resize(self.out.next_multiple_of(TILE), 0.0);
        Self { bias: Some(bias), ..self }
    }

    /// Outputs.
    #[must_use]
    pub const fn out(&self) -> usize {
        self.out
    }

    /// The numbers of output `at` of the first plane, as a table of embeddings has them; None beyond the table.
    #[must_use]
    pub fn row(&self, at: usize) -> Option<impl Iterator<Item = f32>> {
        if at < self.out { Packed::new(self.bytes.as_slice(), self.bits, self.inner)?.row(at) } else { None }
    }

    /// `x` times the matrix, plus the bias, in `out`.
    pub fn forward(&self, x: &Activations, out: &mut Tiled) {
        out.reset(x.rows(), self.out);
        self.add_to(x, out);
    }

    /// Adds `x` times the matrix, and the bias, to what is in `out`.
    pub fn add_to(&self, x: &Activations, out: &mut Tiled) {
        let rows = x.rows();
        let at_a_time = WORTH_TAKING.div_ceil(rows * TILE * self.inner);
        thread_pool().for_each(&EqualParts::new(out.values_mut(), rows * TILE), at_a_time, |tile, out| {
            if let Some(bias) = &self.bias {
                let bias = &bias[tile * TILE..][..TILE];
                out.chunks_exact_mut(TILE).for_each(|row| row.iter_mut().zip(bias).for_each(|(v, b)| *v += b));
            }
            self.add_tiles(x, (tile, tile + 1), out);
        });
    }

    /// Adds the products with the tiles `from..to` to `out`, `[row][16 (to - from)]`; tiles beyond the last are zero.
    fn add_tiles(&self, x: &Activations, (from, to): (usize, usize), out: &mut [f32]) {
        let planes = std::iter::once(&self.bytes).chain(&self.rest);
        for packed in planes.filter_map(|plane| Packed::new(plane.as_slice(), self.bits, self.inner)) {
            kernels::multiply(self.isa, packed, x, (from, to), out);
        }
    }

    /// The products and biases of group `g` of the next layer's inputs, `[row][64]`.
    fn group(&self, x: &Activations, g: usize, out: &mut [f32]) {
        let (from, to) = (g * TILES_OF_GROUP, ((g + 1) * TILES_OF_GROUP).min(self.out.div_ceil(TILE)));
        let width = (to - from) * TILE;
        let cells = &mut out[..x.rows() * width];
        cells.fill(0.0);
        if let Some(bias) = &self.bias {
            cells.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(&bias[from * TILE..][..width]));
        }
        self.add_tiles(x, (from, to), cells);
        // A last group that is narrower: its rows move to where whole groups have theirs.
        if width < GROUP {
            for row in (0..x.rows()).rev() {
                out.copy_within(row * width..(row + 1) * width, row * GROUP);
                out[row * GROUP + width..(row + 1) * GROUP].fill(0.0);
            }
        }
    }
}

/// The two layers of an MLP, with what lies between them done while the numbers are at hand.
#[derive(Debug)]
pub enum PackedMlp {
    /// Of Qwen2.5: `proj(silu(fc_1 x) * fc_2 x)`.
    Gated {
        /// The gate.
        fc_1: PackedLinear,
        /// What is gated.
        fc_2: PackedLinear,
        /// Back to the width of the model.
        proj: PackedLinear,
    },
    /// Of the audio encoder: `fc2(gelu(fc1 x))`.
    Gelu {
        /// To the inner width.
        fc1: PackedLinear,
        /// Back to the width of the model.
        fc2: PackedLinear,
    },
}

impl PackedMlp {
    /// Adds the MLP of `x` to `out`; `inner` is room for what lies between.
    pub fn add_to(&self, x: &Activations, inner: &mut Activations, out: &mut Tiled) {
        match self {
            Self::Gated { fc_1, fc_2, proj } => {
                inner.fill(x.rows(), fc_1.out, 1, |g, cells| {
                    fc_1.group(x, g, cells);
                    kernels::with_scratch(cells.len(), |up| {
                        fc_2.group(x, g, up);
                        math::silu_times(cells, up);
                    });
                });
                proj.add_to(inner, out);
            }
            Self::Gelu { fc1, fc2 } => {
                inner.fill(x.rows(), fc1.out, 1, |g, cells| {
                    fc1.group(x, g, cells);
                    math::gelu(cells);
                });
                fc2.add_to(inner, out);
            }
        }
    }
}

/// The exact GELU of f32 numbers on the processor.
struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut x = numbers_of(storage, layout)?.to_vec();
        thread_pool().for_each(&EqualParts::new(&mut x, 4_096), 1, |_, part| math::gelu(part));
        Ok((CpuStorage::F32(x), layout.shape().clone()))
    }
}

/// The exact GELU: candle's own calls the C library for every number.
///
/// # Errors
/// When candle fails.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() && x.dtype() == DType::F32 { x.contiguous()?.apply_op1_no_bwd(&Gelu) } else { x.gelu_erf() }
}

/// The numbers of a contiguous f32 tensor on the processor.
///
/// # Errors
/// When it is not one.
pub fn numbers_of<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else { candle_core::bail!("a packed layer takes contiguous rows") };
    let CpuStorage::F32(values) = storage else { candle_core::bail!("a packed layer takes {:?}", DType::F32) };
    Ok(&values[from..to])
}

/// Packs rows of `inner` numbers, tile by tile on all threads.
#[must_use]
pub fn pack(weight: &[f32], bits: Bits, inner: usize) -> Vec<u8> {
    let tiles: Vec<Vec<u8>> = weight
        .par_chunks(TILE * inner)
        .map(|tile| {
            let rows: Vec<&[f32]> = tile.chunks_exact(inner).collect();
            let mut bytes = Vec::new();
            kernels::pack(&rows, inner, bits, &mut bytes);
            bytes
        })
        .collect();
    tiles.concat()
}

/// Packs what [`pack`] leaves over: the second plane.
#[must_use]
pub fn pack_residual(weight: &[f32], bits: Bits, inner: usize) -> Vec<u8> {
    let first = pack(weight, bits, inner);
    let rounded = first.par_chunks(tile_bytes(bits, inner)).flat_map_iter(|tile| unpack(tile, inner, bits));
    let rounded: Vec<f32> = rounded.collect();
    // Padding of the last tile has no weight beside it.
    let rest: Vec<f32> = weight.iter().zip(&rounded).map(|(w, r)| w - r).collect();
    pack(&rest, bits, inner)
}
