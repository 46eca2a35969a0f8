//! The key/value cache of one lane.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Result, Tensor, safetensors};
use candle_nn::kv_cache::KvCache;
use half::f16;

use super::kernels::attention::KeysValues;

/// Positions by which a cache grows. Small enough that an opening cache is small on disk and in memory, large enough that
/// a cache of 4,096 positions is copied eight times in all.
const GROW_BY: usize = 512;
/// The dimension of positions in `[groups, positions, head]`.
const POSITIONS: usize = 1;

/// Rotated keys and values of every layer, for the positions that a lane has been fed.
#[derive(Debug)]
pub struct LaneCache {
    pub(super) layers: Vec<Layer>,
    pub(super) positions: usize,
}

/// Keys and values of one layer.
#[derive(Debug)]
pub(super) enum Layer {
    /// candle's, `[groups, positions, head]`, in the decoder's number type.
    Float(KvCache),
    /// f16 in the layout of the processor's own attention.
    Packed(KeysValues),
}

impl LaneCache {
    /// An empty cache of `n_layer` layers in candle's number types.
    #[must_use]
    pub fn float(n_layer: usize) -> Self {
        Self { layers: (0..n_layer).map(|_| Layer::Float(KvCache::new(POSITIONS, GROW_BY))).collect(), positions: 0 }
    }

    /// An empty cache of `n_layer` layers of 16-bit floats, for `groups` key/value heads of `size` numbers.
    #[must_use]
    pub fn packed(n_layer: usize, groups: usize, size: usize) -> Self {
        Self { layers: (0..n_layer).map(|_| Layer::Packed(KeysValues::new(groups, size))).collect(), positions: 0 }
    }

    /// Positions that it holds: the next one to be fed.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.positions
    }

    /// A copy that shares nothing with this one.
    ///
    /// # Errors
    /// When candle fails (out of memory).
    pub fn fork(&self) -> Result<Self> {
        let layer = |layer: &Layer| -> Result<Layer> {
            Ok(match layer {
                Layer::Packed(own) => Layer::Packed(own.clone()),
                Layer::Float(own) => {
                    let mut copy = KvCache::new(POSITIONS, GROW_BY);
                    if let (Some(k), Some(v)) = (own.k()?, own.v()?) {
                        // `append` copies into the layer's own storage, so nothing stays shared.
                        copy.append(&k.contiguous()?, &v.contiguous()?)?;
                    }
                    Layer::Float(copy)
                }
            })
        };
        Ok(Self { layers: self.layers.iter().map(layer).collect::<Result<_>>()?, positions: self.positions })
    }

    /// Writes it to the file `path`: keys and values, `[groups, positions, head]`, layer by layer.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut named = HashMap::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let both = match layer {
                Layer::Float(own) => own.k()?.zip(own.v()?),
                Layer::Packed(own) => {
                    let shape = (own.groups(), own.positions(), own.size());
                    let (k, v) = own.rows();
                    Some((Tensor::from_vec(k, shape, &Device::Cpu)?, Tensor::from_vec(v, shape, &Device::Cpu)?))
                }
            };
            if let Some((k, v)) = both {
                named.insert(format!("k.{number}"), k.contiguous()?.to_device(&Device::Cpu)?);
                named.insert(format!("v.{number}"), v.contiguous()?.to_device(&Device::Cpu)?);
            }
        }
        safetensors::save(&named, path)
    }

    /// Fills this empty cache with what [`LaneCache::save`] wrote for one of the same kind, whose tensors are `dtype`; None
    /// when the file is missing, damaged or of another shape.
    #[must_use]
    pub fn load(mut self, path: &Path, (groups, size, dtype): (usize, usize, DType), device: &Device) -> Option<Self> {
        let named = safetensors::load(path, device).ok()?;
        self.positions = named.get("k.0")?.dim(POSITIONS).ok()?;
        let shape = [groups, self.positions, size];
        for (number, layer) in self.layers.iter_mut().enumerate() {
            let (k, v) = (named.get(&format!("k.{number}"))?, named.get(&format!("v.{number}"))?);
            let stored = if let Layer::Packed(_) = layer { DType::F16 } else { dtype };
            if [k, v].iter().any(|t| t.dims() != shape || t.dtype() != stored) {
                return None;
            }
            match layer {
                Layer::Float(own) => drop(own.append(&k.contiguous().ok()?, &v.contiguous().ok()?).ok()?),
                Layer::Packed(own) => {
                    let flat = |t: &Tensor| t.flatten_all().and_then(|t| t.to_vec1::<f16>()).ok();
                    own.extend(&flat(k)?, &flat(v)?);
                }
            }
        }
        Some(self)
    }
}
