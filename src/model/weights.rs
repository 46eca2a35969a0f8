//! Where named tensors come from: the one thing that encoder and decoder know of a checkpoint.

use candle_core::{DType, Device, Tensor};

use super::kernels::Bits;
use super::linear::PackedLinear;
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

/// In how many planes a matrix is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planes {
    /// Rounded once.
    One,
    /// What rounding left over is packed as well and added: twice the bits.
    Two,
}

impl Planes {
    /// The planes of the matrix `name`: two in the decoder's first layer. Of what rounding the decoder's matrices costs the
    /// last hidden state, that layer alone makes up half, on random weights (131 of 255 millionths of the cosine in 8 bits) and
    /// on trained ones (the starter's four layers: 24, 8, 9, 13 in 8 bits; 4,510, 2,102, 2,122, 2,964 in 4). At the 3B's sizes
    /// it is one of 36.
    #[must_use]
    pub fn of(name: &str) -> Self {
        if name.starts_with("transformer.h.0.") { Self::Two } else { Self::One }
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
        let planes = Planes::of(name);
        PackedLinear::pack(&self.vector(name, &[out, inner])?, (bits, planes), (out, inner)).ok_or_else(|| unpackable(name, (out, inner)))
    }

    /// The rows `ids` of the matrix `name`, `[rows, inner]`, as `dtype`.
    ///
    /// # Errors
    /// As [`Weights::get`].
    fn rows(&self, name: &str, (rows, inner): (usize, usize), ids: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        let whole = self.get(name, &[rows, inner], dtype, device)?;
        Tensor::new(ids, device).and_then(|ids| whole.index_select(&ids, 0)).map_err(computing)
    }

    /// The numbers of the tensor `name`, which must have `shape`.
    ///
    /// # Errors
    /// As [`Weights::get`].
    fn vector(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.get(name, shape, DType::F32, &Device::Cpu)?.flatten_all().and_then(|t| t.to_vec1()).map_err(computing)
    }
}

/// What is said of a matrix that is no packed one.
pub(super) fn unpackable(name: &str, (out, inner): (usize, usize)) -> Error {
    Error::new(ErrorKind::Internal, format!("{name} cannot be packed as {out} x {inner}"))
}

/// The linear layer `weight` `[out, inner]` with its bias, if it has one, in candle's `dtype`.
///
/// # Errors
/// As [`Weights::get`].
pub fn float_linear(
    weights: &impl Weights,
    weight: &str,
    bias: Option<&str>,
    (out, inner): (usize, usize),
    dtype: DType,
    device: &Device,
) -> Result<candle_nn::Linear> {
    let bias = bias.map(|name| weights.get(name, &[out], dtype, device)).transpose()?;
    Ok(candle_nn::Linear::new(weights.get(weight, &[out, inner], dtype, device)?, bias))
}

/// The linear layer `weight` `[out, inner]` with its bias, if it has one, packed.
///
/// # Errors
/// As [`Weights::get`].
pub fn packed_linear(
    weights: &impl Weights,
    weight: &str,
    bias: Option<&str>,
    (out, inner): (usize, usize),
    bits: Bits,
) -> Result<PackedLinear> {
    let linear = weights.packed(weight, (out, inner), bits)?;
    Ok(match bias {
        Some(bias) => linear.with_bias(weights.vector(bias, &[out])?),
        None => linear,
    })
}

#[allow(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn computing(error: candle_core::Error) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}
