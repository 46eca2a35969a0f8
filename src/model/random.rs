//! Random weights of any size, for measuring a model that is not here.

use std::cell::Cell;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};

use super::kernels::{Bits, TILE};
use super::linear::{Bytes, PackedLinear, pack, pack_rest};
use super::weights::{Planes, Weights, packing, unpackable};
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Spread of random weights: `initializer_range` of Qwen2.5.
const SPREAD: f32 = 0.02;

/// Hands out reproducible random tensors of whatever shape is asked for.
#[derive(Debug)]
pub struct RandomWeights {
    state: Cell<u64>,
    /// Whether the first layers are packed as all others are.
    alike: bool,
}

impl RandomWeights {
    /// Weights that depend on nothing but `seed` and the order in which they are asked for.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: Cell::new(seed | 1), alike: false }
    }

    /// The same for a slice of a model, whose few layers stand for its many: none has more bits than the others.
    #[must_use]
    pub const fn alike(self) -> Self {
        Self { alike: true, ..self }
    }

    /// Uniform in -1 .. 1: xorshift64*, so that billions of numbers take seconds.
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
        // Norm weights are 1 so that random activations keep their size through the layers.
        let is_norm = name.contains("norm") || name.contains("ln_");
        let next = || if is_norm && name.ends_with("weight") { 1.0 } else { self.uniform() * SPREAD };
        let tensor = match dtype {
            DType::BF16 => Tensor::from_vec((0..count).map(|_| bf16::from_f32(next())).collect(), shape, device),
            DType::F16 => Tensor::from_vec((0..count).map(|_| f16::from_f32(next())).collect(), shape, device),
            _ => Tensor::from_vec((0..count).map(|_| next()).collect(), shape, device),
        };
        tensor.map_err(|e| Error::new(ErrorKind::Memory, format!("no room for random weights: {e}")).with_remedy(Remedy::ReduceMemory))
    }

    /// Packed bytes at random, without ever being floats: one tile of random numbers, repeated.
    fn packed(&self, name: &str, (out, inner): (usize, usize), bits: Bits) -> Result<PackedLinear> {
        let (bits, planes) = if self.alike { (bits, Planes::One) } else { packing(name, bits) };
        let numbers: Vec<f32> = (0..TILE * inner).map(|_| self.uniform() * SPREAD).collect();
        let bytes = |tile: Vec<u8>| Bytes::Memory(Arc::new(tile.repeat(out.div_ceil(TILE))));
        let own = PackedLinear::new(bytes(pack(&numbers, bits, inner)), bits, (out, inner));
        let own = match planes {
            Planes::One => own,
            Planes::Two => own.and_then(|own| own.with_rest(bytes(pack_rest(&numbers, bits, inner)))),
        };
        own.ok_or_else(|| unpackable(name, (out, inner)))
    }

    fn rows(&self, name: &str, (_, inner): (usize, usize), ids: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        self.get(name, &[ids.len(), inner], dtype, device)
    }
}
