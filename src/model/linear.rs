//! Packed linear layers and embeddings: 4- or 8-bit weights through [`kernels`].
//!
//! Responsible for sharing tiles among threads and for the operations fused with a product (bias, residual sum, the two halves of
//! an MLP). The packed bytes, in memory or in a mapped file, are used in place. Float layers are candle's own.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use memmap2::Mmap;
use rayon::prelude::*;

use super::kernels::thread_pool::{EqualParts, thread_pool};
use super::kernels::{self, Activations, Bits, GROUP, InstructionSet, Packed, TILE, Tiled, math, tile_bytes, unpack};
use super::weights::{MatrixShape, Packing, Planes};

/// Least work (weights times rows) that a thread takes at a time: some microseconds, a hundred times the cost of taking a task.
const MIN_TASK_WORK: usize = 500_000;
/// Number of tiles of 16 outputs that make one group of 64 inputs of the next layer.
const TILES_OF_GROUP: usize = GROUP / TILE;
/// Number of values that a thread takes at a time for the GELU of a tensor.
const GELU_VALUES: usize = 4_096;

/// The bytes of a plane of a packed matrix; a clone shares them.
#[derive(Clone)]
pub enum PackedBytes {
    /// Bytes in memory.
    Memory(Arc<Vec<u8>>),
    /// A range of a mapped file.
    Mapped(Arc<Mmap>, Range<usize>),
}

impl PackedBytes {
    /// Returns the bytes.
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

/// A linear layer, or an embedding table: a packed matrix `[out, inner]` of one or two planes, with or without a bias.
#[derive(Clone, Debug)]
pub struct PackedLinear {
    /// First plane of the packed matrix.
    bytes: PackedBytes,
    /// Second plane, if there is one: the packed rounding error of the first.
    residual: Option<PackedBytes>,
    /// Bits of a weight in each plane.
    bits: Bits,
    shape: MatrixShape,
    /// One value per output, padded to whole tiles.
    bias: Option<Vec<f32>>,
    /// Instruction set that computes the products.
    isa: InstructionSet,
}

impl PackedLinear {
    /// Makes a layer of one plane without a bias from packed bytes; returns None if their number does not match `shape`.
    #[must_use]
    pub fn new(bytes: PackedBytes, bits: Bits, shape: MatrixShape) -> Option<Self> {
        let tiles = Packed::new(bytes.as_slice(), bits, shape.inner)?.tiles();
        (tiles == shape.out.div_ceil(TILE)).then(|| Self { bytes, residual: None, bits, shape, bias: None, isa: InstructionSet::best() })
    }

    /// Makes a layer without a bias from the row-major matrix `weight`, which it packs in one or two planes; returns None if
    /// `weight` does not fill the tiles of `shape`.
    #[must_use]
    pub fn pack(weight: &[f32], packing: Packing, shape: MatrixShape) -> Option<Self> {
        let (Packing { bits, planes }, bytes) = (packing, |bytes: Vec<u8>| PackedBytes::Memory(Arc::new(bytes)));
        let own = Self::new(bytes(pack(weight, bits, shape.inner)), bits, shape)?;
        match planes {
            Planes::One => Some(own),
            Planes::Two => own.with_residual(bytes(pack_residual(weight, bits, shape.inner))),
        }
    }

    /// Adds the second plane, which [`pack_residual`] made; returns None if its size differs from the first's.
    #[must_use]
    pub fn with_residual(self, residual: PackedBytes) -> Option<Self> {
        (residual.as_slice().len() == self.bytes.as_slice().len()).then(|| Self { residual: Some(residual), ..self })
    }

    /// Replaces the bias by one of one value per output; missing values are 0.
    #[must_use]
    pub fn with_bias(self, mut bias: Vec<f32>) -> Self {
        bias.resize(self.shape.out.next_multiple_of(TILE), 0.0);
        Self { bias: Some(bias), ..self }
    }

    /// Returns the number of outputs: the rows of the matrix.
    #[must_use]
    pub const fn out(&self) -> usize {
        self.shape.out
    }

    /// Returns row `at` of the first plane, unpacked: an embedding. Returns None if `at` is not below [`out`](Self::out).
    #[must_use]
    pub fn row(&self, at: usize) -> Option<impl Iterator<Item = f32>> {
        if at < self.shape.out { Packed::new(self.bytes.as_slice(), self.bits, self.shape.inner)?.row(at) } else { None }
    }

    /// Resizes `out` to `[rows][out]` and writes `x` times the transposed matrix, plus the bias, to it, on all threads.
    pub fn forward(&self, x: &Activations, out: &mut Tiled) {
        out.reset(x.rows(), self.shape.out);
        self.add_to(x, out);
    }

    /// Adds `x` times the transposed matrix, plus the bias, to `out`, which must be `[rows][out]`, on all threads.
    pub fn add_to(&self, x: &Activations, out: &mut Tiled) {
        let rows = x.rows();
        let batch = MIN_TASK_WORK.div_ceil(rows * TILE * self.shape.inner);
        thread_pool().for_each(&EqualParts::new(out.values_mut(), rows * TILE), batch, |tile, out| {
            if let Some(bias) = &self.bias {
                let bias = &bias[tile * TILE..][..TILE];
                out.chunks_exact_mut(TILE).for_each(|row| row.iter_mut().zip(bias).for_each(|(v, b)| *v += b));
            }
            self.add_tiles(x, tile..tile + 1, out);
        });
    }

    /// Adds the products of `x` with the given `tiles` of every plane (weights and residual), without the bias, to `out`, which holds
    /// these tiles only: `[row][16 * tiles.len()]`.
    fn add_tiles(&self, x: &Activations, tiles: Range<usize>, out: &mut [f32]) {
        let planes = std::iter::once(&self.bytes).chain(&self.residual);
        for packed in planes.filter_map(|plane| Packed::new(plane.as_slice(), self.bits, self.shape.inner)) {
            kernels::multiply(self.isa, packed, x, tiles.clone(), out);
        }
    }

    /// Writes outputs `64 g .. 64 g + 64`, products plus bias, to `out` `[row][64]`: group `g` of the next layer's inputs. Outputs
    /// beyond the last are 0.
    fn group(&self, x: &Activations, g: usize, out: &mut [f32]) {
        let (from, to) = (g * TILES_OF_GROUP, ((g + 1) * TILES_OF_GROUP).min(self.shape.out.div_ceil(TILE)));
        let width = (to - from) * TILE;
        let cells = &mut out[..x.rows() * width];
        cells.fill(0.0);
        if let Some(bias) = &self.bias {
            cells.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(&bias[from * TILE..][..width]));
        }
        self.add_tiles(x, from..to, cells);
        // The rows of a narrower last group move to the row stride of a whole group.
        if width < GROUP {
            for row in (0..x.rows()).rev() {
                out.copy_within(row * width..(row + 1) * width, row * GROUP);
                out[row * GROUP + width..(row + 1) * GROUP].fill(0.0);
            }
        }
    }
}

/// The packed layers of an MLP; the activation function is fused between them.
#[derive(Debug)]
pub enum PackedMlp {
    /// The MLP of the decoder (Qwen2.5): `proj(silu(fc_1 x) * fc_2 x)`.
    Gated {
        /// The gate projection.
        fc_1: PackedLinear,
        /// The up projection.
        fc_2: PackedLinear,
        /// The down projection.
        proj: PackedLinear,
    },
    /// The MLP of the audio encoder: `fc2(gelu(fc1 x))`.
    Gelu {
        /// The up projection.
        fc1: PackedLinear,
        /// The down projection.
        fc2: PackedLinear,
    },
}

impl PackedMlp {
    /// Adds the MLP of `x` to `out`; `inner` is scratch memory for the quantised activations between the layers.
    pub fn add_to(&self, x: &Activations, inner: &mut Activations, out: &mut Tiled) {
        match self {
            Self::Gated { fc_1, fc_2, proj } => {
                inner.fill(x.rows(), fc_1.shape.out, 1, |g, cells| {
                    fc_1.group(x, g, cells);
                    kernels::with_scratch(cells.len(), |up| {
                        fc_2.group(x, g, up);
                        math::silu_times(cells, up);
                    });
                });
                proj.add_to(inner, out);
            }
            Self::Gelu { fc1, fc2 } => {
                inner.fill(x.rows(), fc1.shape.out, 1, |g, cells| {
                    fc1.group(x, g, cells);
                    math::gelu(cells);
                });
                fc2.add_to(inner, out);
            }
        }
    }
}

/// The exact GELU of f32 values on the CPU, as a candle operation.
struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut x = contiguous_f32(storage, layout)?.to_vec();
        thread_pool().for_each(&EqualParts::new(&mut x, GELU_VALUES), 1, |_, part| math::gelu(part));
        Ok((CpuStorage::F32(x), layout.shape().clone()))
    }
}

/// Returns the exact GELU of `x`: for f32 on the CPU by [`math::gelu`], as candle's own calls the C library for every number; else
/// by candle.
///
/// # Errors
/// When candle fails.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() && x.dtype() == DType::F32 { x.contiguous()?.apply_op1_no_bwd(&Gelu) } else { x.gelu_erf() }
}

/// Returns the values of a contiguous f32 tensor; fails for others.
fn contiguous_f32<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else { candle_core::bail!("GELU takes contiguous values") };
    let CpuStorage::F32(values) = storage else { candle_core::bail!("GELU takes {:?}", DType::F32) };
    Ok(&values[from..to])
}

/// Rounds the row-major matrix `weight`, with rows of `inner` values, to integers of `bits` with scales, and returns them packed, tile by
/// tile on all threads: the first plane of the matrix. Rows missing in the last tile are zeros.
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

/// Packs the difference of `weight` and its rounded values in [`pack`], in the same form: the second plane of the matrix.
#[must_use]
pub fn pack_residual(weight: &[f32], bits: Bits, inner: usize) -> Vec<u8> {
    let first = pack(weight, bits, inner);
    let rounded = first.par_chunks(tile_bytes(bits, inner)).flat_map_iter(|tile| unpack(tile, inner, bits));
    let rounded: Vec<f32> = rounded.collect();
    // `zip` ends before the padding of the last tile.
    let residual: Vec<f32> = weight.iter().zip(&rounded).map(|(w, r)| w - r).collect();
    pack(&residual, bits, inner)
}
