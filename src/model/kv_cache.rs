//! The key/value cache of one lane.
//!
//! Keys are stored twice: rotated for attention, and unrotated. Compaction moves the kept positions to lower ones and rotates their
//! unrotated keys again, so that no error accumulates. Not responsible for the choice of positions that are kept.

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

/// Number of positions by which a float layer's cache grows: few enough for a small prompt cache, many enough that a cache of 4,096
/// positions is copied only eight times.
const GROW_BY: usize = 512;
/// Index of the dimension of positions in `[groups, positions, head]`.
const POSITIONS: usize = 1;

/// The shape of the keys of a position in one layer, and of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// Number of key/value heads; several query heads share each.
    pub groups: usize,
    /// Number of values of a head.
    pub head_size: usize,
}

/// The key/value cache of a lane: the keys and values of every layer, for the positions that the lane has been fed.
#[derive(Debug)]
pub struct LaneCache {
    /// Keys and values of each layer.
    pub(super) layers: Vec<LayerCache>,
    /// Number of positions fed; a failed pass may leave further rows in `layers`.
    pub(super) positions: usize,
}

/// The keys and values of one layer of a lane.
#[derive(Debug)]
pub(super) enum LayerCache {
    /// candle tensors `[groups, positions, head]`, in the decoder's number type.
    Float(FloatLayerCache),
    /// f16 in main memory, in the layout of the packed layers' attention.
    Packed(BlockedKv),
}

/// The keys and values of one layer of a lane as candle tensors.
#[derive(Debug)]
pub(super) struct FloatLayerCache {
    /// Rotated keys, and values, `[groups, positions, head]` each.
    rotated: KvCache,
    /// Keys before rotation, `[groups, positions, head]`.
    unrotated: Cache,
}

impl FloatLayerCache {
    fn new() -> Self {
        Self { rotated: KvCache::new(POSITIONS, GROW_BY), unrotated: Cache::new(POSITIONS, GROW_BY) }
    }

    /// Appends keys before (`unrotated`) and after their rotation (`keys`), and values; returns all rotated keys and all values in
    /// the cache.
    pub(super) fn append(&mut self, unrotated: &Tensor, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        self.unrotated.append(unrotated)?;
        self.rotated.append(keys, values)
    }

    /// Returns all unrotated keys and all values of the layer; None for an empty cache.
    fn rows(&self) -> Result<Option<(Tensor, Tensor)>> {
        Ok(self.unrotated.current_data()?.zip(self.rotated.v()?))
    }

    /// Makes a layer's cache from unrotated keys and values, which get the positions from 0 on and the rotations `cos_sin`.
    fn from_rows(unrotated: &Tensor, values: &Tensor, cos_sin: &CosSin) -> Result<Self> {
        let mut own = Self::new();
        let (cos, sin) = cos_sin.tensors(unrotated)?;
        let keys = rope(&unrotated.unsqueeze(0)?.contiguous()?, &cos, &sin)?.squeeze(0)?;
        // `append` copies into the layer's own storage, so nothing stays shared.
        own.append(&unrotated.contiguous()?, &keys, &values.contiguous()?)?;
        Ok(own)
    }

    /// Returns a copy of the layer's cache with only the positions `kept`, moved to the lowest positions; `cos_sin` holds the rotations of
    /// these.
    fn compact(&self, kept: &[Range<usize>], cos_sin: &CosSin) -> Result<Self> {
        let Some((unrotated, values)) = self.rows()? else { return Ok(Self::new()) };
        let parts = |all: &Tensor| -> Result<Tensor> {
            let parts: Vec<Tensor> = kept.iter().map(|range| all.narrow(POSITIONS, range.start, range.len())).collect::<Result<_>>()?;
            Tensor::cat(&parts, POSITIONS)
        };
        if kept.is_empty() { Ok(Self::new()) } else { Self::from_rows(&parts(&unrotated)?, &parts(&values)?, cos_sin) }
    }

    /// Returns a copy that shares no memory.
    fn fork(&self) -> Result<Self> {
        let mut copy = Self::new();
        if let (Some((unrotated, values)), Some(keys)) = (self.rows()?, self.rotated.k()?) {
            copy.append(&unrotated.contiguous()?, &keys.contiguous()?, &values.contiguous()?)?;
        }
        Ok(copy)
    }
}

/// The cosines and sines of the rotations of the positions `0 .. positions`.
struct CosSin {
    /// Number of positions.
    positions: usize,
    /// Pairs (cosine, sine), `[position][head / 2]`.
    all: Vec<(f32, f32)>,
}

impl CosSin {
    fn new(rope: &Rope, positions: usize) -> Self {
        Self { positions, all: rope.cos_sin(0, positions).collect() }
    }

    /// Returns cosines and sines as tensors `[positions, head / 2]` of the number type and on the device of `like`.
    fn tensors(&self, like: &Tensor) -> Result<(Tensor, Tensor)> {
        let (cos, sin): (Vec<f32>, Vec<f32>) = self.all.iter().copied().unzip();
        let shape = (self.positions, self.all.len() / self.positions.max(1));
        let tensor = |values: Vec<f32>| Tensor::from_vec(values, shape, like.device())?.to_dtype(like.dtype());
        Ok((tensor(cos)?, tensor(sin)?))
    }
}

impl LaneCache {
    /// Returns the number of bytes that a position takes in `n_layer` layers: keys twice, and values, in the number type of
    /// `compute` (f16 for packed layers).
    #[must_use]
    pub fn bytes_per_position(n_layer: usize, shape: KvShape, compute: ComputeType) -> u64 {
        let layer = match compute {
            ComputeType::Float(dtype) => 3 * shape.groups * shape.head_size * dtype.size_in_bytes(),
            ComputeType::Packed(_) => BlockedKv::bytes_per_position(shape),
        };
        (n_layer as u64).saturating_mul(layer as u64)
    }

    /// Makes an empty cache for `n_layer` float layers.
    #[must_use]
    pub fn float(n_layer: usize) -> Self {
        Self { layers: (0..n_layer).map(|_| LayerCache::Float(FloatLayerCache::new())).collect(), positions: 0 }
    }

    /// Makes an empty cache for `n_layer` packed layers.
    #[must_use]
    pub fn packed(n_layer: usize, shape: KvShape) -> Self {
        Self { layers: (0..n_layer).map(|_| LayerCache::Packed(BlockedKv::new(shape))).collect(), positions: 0 }
    }

    /// Returns the number of positions that have been fed, which is the number of the next one.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.positions
    }

    /// Returns a copy that shares no memory with this cache.
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

    /// Reserves memory for `positions` positions in all, so that nothing is allocated before the cache holds more. Float layers
    /// ignore this.
    pub fn reserve(&mut self, positions: usize) {
        for layer in &mut self.layers {
            if let LayerCache::Packed(own) = layer {
                own.reserve(positions);
            }
        }
    }

    /// Drops all positions but `kept` (ascending, disjoint ranges), which move to the lowest positions, with their keys rotated
    /// again by `rope`. Rows of a failed pass, beyond the last position, are dropped as well.
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

    /// Writes unrotated keys and values, two tensors `[groups, positions, head]` for each layer, to the safetensors file `path`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut named = HashMap::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let both = match layer {
                LayerCache::Float(own) => own.rows()?,
                LayerCache::Packed(own) => {
                    let KvShape { groups, head_size } = own.shape();
                    let shape = (groups, own.positions(), head_size);
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

    /// Fills this empty cache from a file of [`LaneCache::save`]; float layers expect numbers of `dtype`, packed ones f16. Returns
    /// None if the file is missing, damaged, or of another shape or number type.
    #[must_use]
    pub fn load(mut self, path: &Path, kv_shape: KvShape, dtype: DType, rope: &Rope, device: &Device) -> Option<Self> {
        let named = safetensors::load(path, device).ok()?;
        self.positions = named.get("k.0")?.dim(POSITIONS).ok()?;
        let cos_sin = CosSin::new(rope, self.positions);
        let shape = [kv_shape.groups, self.positions, kv_shape.head_size];
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
                    *own = BlockedKv::from_rows(kv_shape, &flat(k)?, &flat(v)?, &cos_sin.all);
                }
            }
        }
        Some(self)
    }
}
