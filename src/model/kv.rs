//! The key/value cache of one lane.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Result, Tensor, safetensors};
use candle_nn::kv_cache::KvCache;

/// Positions by which a cache grows. Small enough that an opening cache is small on disk and in memory, large enough that
/// a cache of 4,096 positions is copied eight times in all.
const GROW_BY: usize = 512;
/// The dimension of positions in `[groups, positions, head]`.
const POSITIONS: usize = 1;

/// Rotated keys and values of every layer, for the positions that a lane has been fed.
#[derive(Debug)]
pub struct LaneCache {
    pub(super) layers: Vec<KvCache>,
    pub(super) positions: usize,
}

impl LaneCache {
    /// An empty cache of `n_layer` layers.
    #[must_use]
    pub fn new(n_layer: usize) -> Self {
        Self { layers: (0..n_layer).map(|_| KvCache::new(POSITIONS, GROW_BY)).collect(), positions: 0 }
    }

    /// Positions that it holds: the next one to be fed.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.positions
    }

    /// Layers that it has.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.layers.len()
    }

    /// A copy that shares nothing with this one.
    ///
    /// # Errors
    /// When candle fails (out of memory).
    pub fn fork(&self) -> Result<Self> {
        Self::from_tensors(&self.tensors()?, self.layers.len())
    }

    /// The keys and values, `[groups, positions, head]` each, layer by layer: what is kept on disk.
    ///
    /// # Errors
    /// When candle fails.
    pub fn tensors(&self) -> Result<Vec<(Tensor, Tensor)>> {
        let mut all = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            if let (Some(k), Some(v)) = (layer.k()?, layer.v()?) {
                all.push((k, v));
            }
        }
        Ok(all)
    }

    /// Writes it to the file `path`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut named = HashMap::new();
        for (layer, (k, v)) in self.tensors()?.into_iter().enumerate() {
            named.insert(format!("k.{layer}"), k.contiguous()?.to_device(&Device::Cpu)?);
            named.insert(format!("v.{layer}"), v.contiguous()?.to_device(&Device::Cpu)?);
        }
        safetensors::save(&named, path)
    }

    /// Reads what [`LaneCache::save`] wrote; None when the file is missing, damaged or of another depth.
    #[must_use]
    pub fn load(path: &Path, n_layer: usize, device: &Device) -> Option<Self> {
        let named = safetensors::load(path, device).ok()?;
        let of = |part: &str, layer: usize| named.get(&format!("{part}.{layer}")).cloned();
        let tensors: Option<Vec<(Tensor, Tensor)>> = (0..n_layer).map(|layer| Some((of("k", layer)?, of("v", layer)?))).collect();
        Self::from_tensors(&tensors?, n_layer).ok()
    }

    /// The cache that [`LaneCache::tensors`] gave; an empty list gives an empty cache.
    ///
    /// # Errors
    /// When candle fails.
    pub fn from_tensors(tensors: &[(Tensor, Tensor)], n_layer: usize) -> Result<Self> {
        let mut cache = Self::new(n_layer);
        for (layer, (k, v)) in cache.layers.iter_mut().zip(tensors) {
            // `append` copies into the layer's own storage, so nothing stays shared.
            layer.append(&k.contiguous()?, &v.contiguous()?)?;
            cache.positions = k.dim(POSITIONS)?;
        }
        Ok(cache)
    }
}
