//! The key/value cache of one lane.
//!
//! Keys are kept twice: rotated, as attention takes them, and as they were before rotation. Where positions are given up the
//! others move to lower ones and their keys are rotated anew from these unrotated, so that no error adds up however often that
//! happens. Not responsible for which positions are kept.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use candle_core::{DType, Device, Result, Tensor, safetensors};
use candle_nn::kv_cache::{Cache, KvCache};
use candle_nn::rotary_emb::rope;
use half::f16;
use rayon::prelude::*;

use super::kernels::attention::BlockedKv;
use super::rope::Rope;
use super::weights::ComputeType;

/// Positions by which a cache grows. Small enough that an opening cache is small on disk and in memory, large enough that
/// a cache of 4,096 positions is copied eight times in all.
const GROW_BY: usize = 512;
/// The dimension of positions in `[groups, positions, head]`.
const POSITIONS: usize = 1;

/// Keys and values of every layer, for the positions that a lane has been fed.
#[derive(Debug)]
pub struct LaneCache {
    pub(super) layers: Vec<LayerCache>,
    pub(super) positions: usize,
}

/// Keys and values of one layer.
#[derive(Debug)]
pub(super) enum LayerCache {
    /// candle's, `[groups, positions, head]`, in the decoder's number type.
    Float(FloatLayerCache),
    /// f16 in the layout of the processor's own attention.
    Packed(BlockedKv),
}

/// Keys and values in candle's number types.
#[derive(Debug)]
pub(super) struct FloatLayerCache {
    /// Rotated keys, and values.
    rotated: KvCache,
    /// Keys before rotation.
    unrotated: Cache,
}

impl FloatLayerCache {
    fn new() -> Self {
        Self { rotated: KvCache::new(POSITIONS, GROW_BY), unrotated: Cache::new(POSITIONS, GROW_BY) }
    }

    /// Appends keys before and after their rotation, and values; returns all rotated keys and all values.
    pub(super) fn append(&mut self, unrotated: &Tensor, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        self.unrotated.append(unrotated)?;
        self.rotated.append(keys, values)
    }

    /// Masters and values, when there are any.
    fn rows(&self) -> Result<Option<(Tensor, Tensor)>> {
        Ok(self.unrotated.current_data()?.zip(self.rotated.v()?))
    }

    /// A layer of these unrotated and values, from position 0 on.
    fn from_rows(unrotated: &Tensor, values: &Tensor, cos_sin: &CosSin) -> Result<Self> {
        let mut own = Self::new();
        let (cos, sin) = cos_sin.tensors(unrotated)?;
        let keys = rope(&unrotated.unsqueeze(0)?.contiguous()?, &cos, &sin)?.squeeze(0)?;
        // `append` copies into the layer's own storage, so nothing stays shared.
        own.append(&unrotated.contiguous()?, &keys, &values.contiguous()?)?;
        Ok(own)
    }

    fn compact(&self, kept: &[Range<usize>], cos_sin: &CosSin) -> Result<Self> {
        let Some((unrotated, values)) = self.rows()? else { return Ok(Self::new()) };
        let parts = |all: &Tensor| -> Result<Tensor> {
            let parts: Vec<Tensor> = kept.iter().map(|range| all.narrow(POSITIONS, range.start, range.len())).collect::<Result<_>>()?;
            Tensor::cat(&parts, POSITIONS)
        };
        if kept.is_empty() { Ok(Self::new()) } else { Self::from_rows(&parts(&unrotated)?, &parts(&values)?, cos_sin) }
    }

    fn fork(&self) -> Result<Self> {
        let mut copy = Self::new();
        if let (Some((unrotated, values)), Some(keys)) = (self.rows()?, self.rotated.k()?) {
            copy.append(&unrotated.contiguous()?, &keys.contiguous()?, &values.contiguous()?)?;
        }
        Ok(copy)
    }
}

/// The rotations of the positions `0 .. positions`.
struct CosSin {
    positions: usize,
    all: Vec<(f32, f32)>,
}

impl CosSin {
    fn new(rope: &Rope, positions: usize) -> Self {
        Self { positions, all: rope.cos_sin(0, positions).collect() }
    }

    /// Cosines and sines as candle takes them, of the number type and on the device of `like`.
    fn tensors(&self, like: &Tensor) -> Result<(Tensor, Tensor)> {
        let (cos, sin): (Vec<f32>, Vec<f32>) = self.all.iter().copied().unzip();
        let shape = (self.positions, self.all.len() / self.positions.max(1));
        let tensor = |numbers: Vec<f32>| Tensor::from_vec(numbers, shape, like.device())?.to_dtype(like.dtype());
        Ok((tensor(cos)?, tensor(sin)?))
    }
}

impl LaneCache {
    /// Bytes that a position takes in `n_layer` layers of `groups` key/value heads of `size` numbers, where the layers compute in
    /// `numbers`: keys twice, and values.
    #[must_use]
    pub fn bytes_per_position(n_layer: usize, (groups, size): (usize, usize), numbers: ComputeType) -> u64 {
        let layer = match numbers {
            // The same three, in the decoder's number type.
            ComputeType::Float(dtype) => 3 * groups * size * dtype.size_in_bytes(),
            ComputeType::Packed(_) => BlockedKv::bytes_per_position(groups, size),
        };
        (n_layer as u64).saturating_mul(layer as u64)
    }

    /// An empty cache of `n_layer` layers in candle's number types.
    #[must_use]
    pub fn float(n_layer: usize) -> Self {
        Self { layers: (0..n_layer).map(|_| LayerCache::Float(FloatLayerCache::new())).collect(), positions: 0 }
    }

    /// An empty cache of `n_layer` layers of 16-bit floats, for `groups` key/value heads of `size` numbers.
    #[must_use]
    pub fn packed(n_layer: usize, groups: usize, size: usize) -> Self {
        Self { layers: (0..n_layer).map(|_| LayerCache::Packed(BlockedKv::new(groups, size))).collect(), positions: 0 }
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
        let layer = |layer: &LayerCache| -> Result<LayerCache> {
            Ok(match layer {
                LayerCache::Packed(own) => LayerCache::Packed(own.clone()),
                LayerCache::Float(own) => LayerCache::Float(own.fork()?),
            })
        };
        Ok(Self { layers: self.layers.iter().map(layer).collect::<Result<_>>()?, positions: self.positions })
    }

    /// Takes room for `positions` at once: nothing is allocated before it holds more. Layers in candle's number types grow as
    /// they always do.
    pub fn reserve(&mut self, positions: usize) {
        for layer in &mut self.layers {
            if let LayerCache::Packed(own) = layer {
                own.reserve(positions);
            }
        }
    }

    /// Keeps the positions `kept` (in order, none twice), which move to the lowest positions. What lies beyond those that
    /// count, left by a pass that failed, goes as well.
    ///
    /// # Errors
    /// When candle fails (out of memory).
    pub fn compact(&mut self, kept: &[Range<usize>], rope: &Rope) -> Result<()> {
        let positions = kept.iter().map(ExactSizeIterator::len).sum();
        let cos_sin = CosSin::new(rope, positions);
        self.layers.par_iter_mut().try_for_each(|layer| -> Result<()> {
            match layer {
                LayerCache::Float(own) => *own = own.compact(kept, &cos_sin)?,
                LayerCache::Packed(own) => own.compact(kept, &cos_sin.all),
            }
            Ok(())
        })?;
        self.positions = positions;
        Ok(())
    }

    /// Writes it to the file `path`: keys before rotation and values, `[groups, positions, head]`, layer by layer.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut named = HashMap::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let both = match layer {
                LayerCache::Float(own) => own.rows()?,
                LayerCache::Packed(own) => {
                    let shape = (own.groups(), own.positions(), own.size());
                    let (k, v) = own.to_rows();
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
    pub fn load(mut self, path: &Path, (groups, size, dtype): (usize, usize, DType), rope: &Rope, device: &Device) -> Option<Self> {
        let named = safetensors::load(path, device).ok()?;
        self.positions = named.get("k.0")?.dim(POSITIONS).ok()?;
        let cos_sin = CosSin::new(rope, self.positions);
        let shape = [groups, self.positions, size];
        for (number, layer) in self.layers.iter_mut().enumerate() {
            let (k, v) = (named.get(&format!("k.{number}"))?, named.get(&format!("v.{number}"))?);
            let stored = if let LayerCache::Packed(_) = layer { DType::F16 } else { dtype };
            if [k, v].iter().any(|t| t.dims() != shape || t.dtype() != stored) {
                return None;
            }
            match layer {
                LayerCache::Float(own) => *own = FloatLayerCache::from_rows(k, v, &cos_sin).ok()?,
                LayerCache::Packed(own) => {
                    let flat = |t: &Tensor| t.flatten_all().and_then(|t| t.to_vec1::<f16>()).ok();
                    *own = BlockedKv::from_rows((groups, size), &flat(k)?, &flat(v)?, &cos_sin.all);
                }
            }
        }
        Some(self)
    }
}
