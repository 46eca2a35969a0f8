//! Random weights of any size, for measuring a model without its checkpoint.

use std::cell::Cell;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};

use super::kernels::{Bits, TILE};
use super::linear::{PackedBytes, PackedLinear, pack, pack_residual};
use super::weights::{MatrixShape, Packing, Planes, Weights, packing, unpackable};
use crate::error::{Error, ErrorKind, Remedy, Result};

/// The largest magnitude of a random weight: `initializer_range` of Qwen2.5.
const SPREAD: f32 = 0.02;

/// A source of reproducible random tensors of any name and shape; weights of norms are 1.
#[derive(Debug)]
pub struct RandomWeights {
    /// State of the random generator.
    state: Cell<u64>,
    /// True if every matrix has one plane of the model's bits, the first layers and the embeddings included.
    uniform_packing: bool,
}

impl RandomWeights {
    /// Makes a source whose tensors depend only on `seed` and the order of the calls.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: Cell::new(seed | 1), uniform_packing: false }
    }

    /// Packs every matrix in one plane of the model's bits, the first layers and the embeddings included: for a slice of a model,
    /// whose few layers stand for its many.
    #[must_use]
    pub const fn uniform_packing(self) -> Self {
        Self { uniform_packing: true, ..self }
    }

    /// Returns a number uniform in -1 .. 1 (xorshift64*, for billions of numbers in seconds).
    fn uniform(&self) -> f32 {
        let mut x = self.state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.state.set(x);
        let top = (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32;
        top / (1u32 << 23) as f32 - 1.0
    }
}

impl Weights for RandomWeights {
    fn get(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let count = shape.iter().product();
        // Norm weights are 1, so that random activations keep their size through the layers.
        let is_norm = name.contains("norm") || name.contains("ln_");
        let next = || if is_norm && name.ends_with("weight") { 1.0 } else { self.uniform() * SPREAD };
        let tensor = match dtype {
            DType::BF16 => Tensor::from_vec((0..count).map(|_| bf16::from_f32(next())).collect(), shape, device),
            DType::F16 => Tensor::from_vec((0..count).map(|_| f16::from_f32(next())).collect(), shape, device),
            _ => Tensor::from_vec((0..count).map(|_| next()).collect(), shape, device),
        };
        tensor.map_err(|e| Error::new(ErrorKind::Memory, format!("no room for random weights: {e}")).with_remedy(Remedy::ReduceMemory))
    }

    /// Makes packed bytes of one random tile of 16 outputs, repeated, instead of rounding a whole random matrix.
    fn packed(&self, name: &str, shape: MatrixShape, bits: Bits) -> Result<PackedLinear> {
        let Packing { bits, planes } = if self.uniform_packing { Packing { bits, planes: Planes::One } } else { packing(name, bits) };
        let MatrixShape { out, inner } = shape;
        let values: Vec<f32> = (0..TILE * inner).map(|_| self.uniform() * SPREAD).collect();
        let bytes = |tile: Vec<u8>| PackedBytes::Memory(Arc::new(tile.repeat(out.div_ceil(TILE))));
        let own = PackedLinear::new(bytes(pack(&values, bits, inner)), bits, shape);
        let own = match planes {
            Planes::One => own,
            Planes::Two => own.and_then(|own| own.with_residual(bytes(pack_residual(&values, bits, inner)))),
        };
        own.ok_or_else(|| unpackable(name, shape))
    }

    fn rows(&self, name: &str, shape: MatrixShape, ids: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        self.get(name, &[ids.len(), shape.inner], dtype, device)
    }
}
