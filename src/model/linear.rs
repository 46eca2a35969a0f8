//! Linear layers and embeddings, as floats through candle or packed into 4 or 8 bits through [`kernels`](super::kernels).
//!
//! Responsible for handing out tiles to threads and for what is fused around a product (bias, the gated MLP). A packed
//! layer owns no second copy: its bytes lie in memory or in a mapped file, and are used as they are.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use candle_nn::Module;
use memmap2::Mmap;
use rayon::prelude::*;

use super::kernels::{self, Activations, Bits, Packed, Path, TILE, math};

/// Tiles that a thread takes at a time: enough of them that a thread which the system interrupts is waited for briefly.
const TILES_AT_A_TIME: usize = 8;

/// A linear layer `[out, inner]`.
#[derive(Debug)]
pub enum Linear {
    /// In candle's number types, on any device.
    Float(candle_nn::Linear),
    /// Packed, on the processor.
    Packed(PackedLinear),
}

impl Linear {
    /// `x` `[rows, inner]` to `[rows, out]`.
    ///
    /// # Errors
    /// When candle fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Float(linear) => linear.forward(x),
            Self::Packed(packed) => x.contiguous()?.apply_op1_no_bwd(packed),
        }
    }
}

/// Where packed bytes lie.
#[derive(Clone)]
pub enum Bytes {
    /// In memory.
    Memory(Arc<Vec<u8>>),
    /// In a mapped file.
    Mapped(Arc<Mmap>, Range<usize>),
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(map, range) => &map[range.clone()],
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.as_slice().len())
    }
}

/// A packed matrix `[out, inner]` with its bias.
#[derive(Clone, Debug)]
pub struct PackedLinear {
    bytes: Bytes,
    bits: Bits,
    out: usize,
    inner: usize,
    bias: Option<Vec<f32>>,
    path: Path,
}

impl PackedLinear {
    /// A layer of packed bytes; `None` when they are not `out` x `inner` numbers.
    #[must_use]
    pub fn new(bytes: Bytes, bits: Bits, (out, inner): (usize, usize), bias: Option<Vec<f32>>) -> Option<Self> {
        let tiles = Packed::new(bytes.as_slice(), bits, inner)?.tiles();
        let fits = tiles == out.div_ceil(TILE) && bias.as_ref().is_none_or(|bias| bias.len() == out);
        fits.then(|| Self { bytes, bits, out, inner, bias, path: Path::best() })
    }

    /// Packs `weight`, `out` rows of `inner` numbers.
    #[must_use]
    pub fn pack(weight: &[f32], bits: Bits, (out, inner): (usize, usize), bias: Option<Vec<f32>>) -> Option<Self> {
        Self::new(Bytes::Memory(Arc::new(pack(weight, bits, inner))), bits, (out, inner), bias)
    }

    /// The same layer with a bias of one number per output.
    #[must_use]
    pub fn with_bias(self, bias: Option<Vec<f32>>) -> Self {
        Self { bias, ..self }
    }

    fn packed(&self) -> Option<Packed<'_>> {
        Packed::new(self.bytes.as_slice(), self.bits, self.inner)
    }

    /// The product with rounded activations, `[rows, out]`, without the bias.
    fn multiply(&self, activations: &Activations, out: &mut [f32]) {
        let Some(packed) = self.packed() else { return };
        let rows = activations.rows();
        let tiles: Vec<usize> = (0..packed.tiles()).step_by(TILES_AT_A_TIME).collect();
        let parts: Vec<(usize, Vec<f32>)> = tiles
            .into_par_iter()
            .map(|from| {
                let to = (from + TILES_AT_A_TIME).min(packed.tiles());
                let mut part = vec![0.0; rows * TILE * (to - from)];
                kernels::multiply(self.path, packed, activations, (from, to), &mut part);
                (from, part)
            })
            .collect();
        for (from, part) in parts {
            let width = part.len() / rows;
            let begin = from * TILE;
            // The last tile may be wider than the matrix.
            let kept = width.min(self.out - begin);
            for (row, values) in part.chunks_exact(width).enumerate() {
                out[row * self.out + begin..][..kept].copy_from_slice(&values[..kept]);
            }
        }
    }

    fn add_bias(&self, out: &mut [f32]) {
        if let Some(bias) = &self.bias {
            for row in out.chunks_exact_mut(self.out) {
                row.iter_mut().zip(bias).for_each(|(v, b)| *v += b);
            }
        }
    }
}

impl CustomOp1 for PackedLinear {
    fn name(&self) -> &'static str {
        "packed-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, rows) = rows_of(storage, layout, self.inner)?;
        let mut activations = Activations::default();
        activations.round(x, rows);
        let mut out = vec![0.0; rows * self.out];
        self.multiply(&activations, &mut out);
        self.add_bias(&mut out);
        Ok((CpuStorage::F32(out), Shape::from((rows, self.out))))
    }
}

/// The gated MLP of Qwen2.5, `proj(silu(fc_1 x) * fc_2 x)`: the input is rounded once for both.
#[derive(Debug)]
pub struct PackedMlp {
    /// The gate.
    pub fc_1: PackedLinear,
    /// What is gated.
    pub fc_2: PackedLinear,
    /// Back to the width of the model.
    pub proj: PackedLinear,
}

impl CustomOp1 for PackedMlp {
    fn name(&self) -> &'static str {
        "packed-mlp"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, rows) = rows_of(storage, layout, self.fc_1.inner)?;
        let mut activations = Activations::default();
        activations.round(x, rows);
        let mut gate = vec![0.0; rows * self.fc_1.out];
        let mut up = vec![0.0; rows * self.fc_2.out];
        self.fc_1.multiply(&activations, &mut gate);
        self.fc_2.multiply(&activations, &mut up);
        math::silu_times(&mut gate, &up);
        activations.round(&gate, rows);
        let mut out = vec![0.0; rows * self.proj.out];
        self.proj.multiply(&activations, &mut out);
        Ok((CpuStorage::F32(out), Shape::from((rows, self.proj.out))))
    }
}

/// The exact GELU of f32 numbers on the processor.
struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, _) = rows_of(storage, layout, layout.dims().last().copied().unwrap_or(1))?;
        let mut x = x.to_vec();
        x.par_chunks_mut(4_096).for_each(math::gelu);
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

/// Rows of a matrix by their number: an embedding table.
#[derive(Debug)]
pub enum Embedding {
    /// As a tensor `[count, width]`.
    Float(Tensor),
    /// Packed; a row is unpacked when it is asked for.
    Packed(PackedLinear),
}

impl Embedding {
    /// The rows `ids`, `[ids, width]`.
    ///
    /// # Errors
    /// When candle fails, or an id lies beyond the table.
    pub fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        match self {
            Self::Float(table) => table.index_select(&Tensor::new(ids, table.device())?, 0),
            Self::Packed(table) => {
                let mut out = Vec::with_capacity(ids.len() * table.inner);
                for id in ids {
                    let row = table.packed().and_then(|packed| packed.row(*id as usize));
                    out.extend(row.ok_or_else(|| candle_core::Error::Msg(format!("token {id} lies beyond the embeddings")))?);
                }
                Tensor::from_vec(out, (ids.len(), table.inner), &candle_core::Device::Cpu)
            }
        }
    }
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

/// The numbers of a contiguous f32 tensor `[rows, inner]`.
fn rows_of<'a>(storage: &'a CpuStorage, layout: &Layout, inner: usize) -> Result<(&'a [f32], usize)> {
    let Some((from, to)) = layout.contiguous_offsets() else { candle_core::bail!("a packed layer takes contiguous rows") };
    if layout.shape().dims().last() != Some(&inner) {
        candle_core::bail!("a packed layer takes rows of {inner}, not {:?}", layout.shape());
    }
    let CpuStorage::F32(values) = storage else { candle_core::bail!("a packed layer takes {:?}", DType::F32) };
    Ok((&values[from..to], (to - from) / inner))
}
