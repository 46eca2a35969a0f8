//! Where named tensors come from: the one thing that encoder and decoder know of a checkpoint.

use candle_core::{DType, Device, Tensor};

use super::kernels::Bits;
use super::linear::{Embedding, Linear, PackedLinear};
use crate::error::{Error, ErrorKind, Result};

/// In which numbers a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// candle's.
    Float(DType),
    /// Packed weights and rounded activations; everything between the products is f32.
    Packed(Bits),
}

impl Numbers {
    /// The type of the tensors between the layers.
    #[must_use]
    pub const fn dtype(self) -> DType {
        match self {
            Self::Float(dtype) => dtype,
            Self::Packed(_) => DType::F32,
        }
    }
}

/// Hands out tensors by name.
pub trait Weights {
    /// The tensor `name`, which must have `shape`, as `dtype` on `device`.
    ///
    /// # Errors
    /// When it is missing, of another shape or number type, or holds a number that is not finite: naming tensor and file.
    fn get(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor>;

    /// The packed matrix `name`, `[out, inner]`; packed here unless it lies packed already.
    ///
    /// # Errors
    /// As [`Weights::get`].
    fn packed(&self, name: &str, (out, inner): (usize, usize), bits: Bits) -> Result<PackedLinear> {
        let weight = self.get(name, &[out, inner], DType::F32, &Device::Cpu)?;
        let values = weight.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
        PackedLinear::pack(&values, bits, (out, inner), None)
            .ok_or_else(|| Error::new(ErrorKind::Internal, format!("{name} cannot be packed as {out} x {inner}")))
    }

    /// The rows `ids` of the matrix `name`, `[rows, inner]`, as `dtype`.
    ///
    /// # Errors
    /// As [`Weights::get`].
    fn rows(&self, name: &str, (rows, inner): (usize, usize), ids: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        let whole = self.get(name, &[rows, inner], dtype, device)?;
        Tensor::new(ids, device).and_then(|ids| whole.index_select(&ids, 0)).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))
    }
}

/// The linear layer `weight` `[out, inner]` with its bias, if it has one, in `numbers`.
///
/// # Errors
/// As [`Weights::get`].
pub fn linear(
    weights: &impl Weights,
    weight: &str,
    bias: Option<&str>,
    (out, inner): (usize, usize),
    numbers: Numbers,
    device: &Device,
) -> Result<Linear> {
    let bias = bias.map(|name| weights.get(name, &[out], numbers.dtype(), device)).transpose()?;
    match numbers {
        Numbers::Float(dtype) => Ok(Linear::Float(candle_nn::Linear::new(weights.get(weight, &[out, inner], dtype, device)?, bias))),
        Numbers::Packed(bits) => {
            let bias = bias.map(|bias| bias.to_vec1::<f32>()).transpose().map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
            Ok(Linear::Packed(weights.packed(weight, (out, inner), bits)?.with_bias(bias)))
        }
    }
}

/// The embedding table `name`, `[count, width]`. It is looked up, not multiplied: 8 bits cost nothing but memory.
///
/// # Errors
/// As [`Weights::get`].
pub fn embedding(
    weights: &impl Weights,
    name: &str,
    (count, width): (usize, usize),
    numbers: Numbers,
    device: &Device,
) -> Result<Embedding> {
    match numbers {
        Numbers::Float(dtype) => Ok(Embedding::Float(weights.get(name, &[count, width], dtype, device)?)),
        Numbers::Packed(_) => Ok(Embedding::Packed(weights.packed(name, (count, width), Bits::Eight)?)),
    }
}
