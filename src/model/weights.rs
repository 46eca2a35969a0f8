//! Where named tensors come from: the one thing that encoder and decoder know of a checkpoint.

use candle_core::{DType, Device, Tensor};

use crate::error::Result;

/// Hands out tensors by name.
pub trait Weights {
    /// The tensor `name`, which must have `shape`, as `dtype` on `device`.
    ///
    /// # Errors
    /// When it is missing, of another shape or number type, or holds a number that is not finite: naming tensor and file.
    fn get(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor>;
}
