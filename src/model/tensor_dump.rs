//! Dumping intermediate values as named tensors, for comparison with the reference (`trace`).

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::error::{Error, ErrorKind, Remedy, Result};

/// The values, row-major, and the shape of a tensor to be saved; their numbers must agree.
#[derive(Clone, Debug)]
pub enum TensorData<'a> {
    /// 32-bit floats.
    F32(&'a [f32], Vec<usize>),
    /// 64-bit integers.
    I64(Vec<i64>, Vec<usize>),
}

/// Writes `tensors` (name, data) as the safetensors file `path`, replacing an existing file.
///
/// # Errors
/// When the file cannot be written, or values do not fill their shape; names the file.
pub fn save_tensors(tensors: &[(&str, TensorData<'_>)], path: &Path) -> Result<()> {
    let failed = |e: candle_core::Error| Error::at(ErrorKind::Output, path, e).with_remedy(Remedy::ChooseOtherPlace);
    let mut named = HashMap::new();
    for (name, data) in tensors {
        let tensor = match data {
            TensorData::F32(values, shape) => Tensor::from_slice(values, shape.as_slice(), &Device::Cpu),
            TensorData::I64(values, shape) => Tensor::from_slice(values, shape.as_slice(), &Device::Cpu),
        };
        named.insert((*name).to_owned(), tensor.map_err(failed)?);
    }
    candle_core::safetensors::save(&named, path).map_err(failed)
}
