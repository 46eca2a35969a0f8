//! Where named tensors come from: the one thing that encoder and decoder know of a checkpoint.

use candle_core::{DType, Device, Tensor};

use super::config::{AudioConfig, LmConfig};
use super::kernels::Bits;
use super::linear::PackedLinear;
use crate::error::{Error, Result};

/// In which numbers a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeType {
    /// candle's.
    Float(DType),
    /// Packed weights and rounded activations; everything between the products is f32.
    Packed(Bits),
}

impl ComputeType {
    /// The type of the tensors between the layers.
    #[must_use]
    pub const fn dtype(self) -> DType {
        match self {
            Self::Float(dtype) => dtype,
            Self::Packed(_) => DType::F32,
        }
    }
}

/// The table of embeddings, and what the names of the layers' tensors begin with.
const EMBEDDINGS: &str = "transformer.wte.weight";
const DECODER_LAYERS: &str = "transformer.h.";
const ENCODER_LAYERS: &str = "layers.";

/// In how many planes a matrix is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planes {
    /// Rounded once.
    One,
    /// What rounding left over is packed as well and added: twice the bits.
    Two,
}

/// How the matrix `name` of a model in `bits` is packed: with twice the bits in the first layers, which cost most.
///
/// In 8 bits that is the decoder's first layer, in two planes. Of what rounding the decoder's matrices costs the last hidden
/// state, that layer alone makes up half, on random weights (131 of 255 millionths of the cosine in 8 bits) and on trained ones
/// (the starter's four layers: 24, 8, 9, 13 in 8 bits; 4,510, 2,102, 2,122, 2,964 in 4).
///
/// In 4 bits it is the decoder's first two layers and the encoder's first sixteen, in 8 bits: all of the starter's encoder, half
/// of the 3B's. With the decoder's first layer alone the starter answers 3.4 % fewer questions amid speech and writes 3.3 % more
/// digits wrongly; the encoder's layers, which all that is heard passes, bring most of that back (an earlier
/// starter). The table of embeddings has 8 bits: it is looked up, not multiplied.
#[must_use]
pub fn packing(name: &str, bits: Bits) -> (Bits, Planes) {
    let (decoder, encoder) = finer_layers(bits);
    let within = |prefix: &str, first: usize| {
        let number = name.strip_prefix(prefix).and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
        number.is_some_and(|number| number < first)
    };
    let finer = within(DECODER_LAYERS, decoder) || within(ENCODER_LAYERS, encoder);
    match (bits, finer) {
        (Bits::Four, true) => (Bits::Eight, Planes::One),
        (Bits::Eight, true) => (Bits::Eight, Planes::Two),
        (_, false) if name == EMBEDDINGS => (Bits::Eight, Planes::One),
        (_, false) => (bits, Planes::One),
    }
}

/// Weights of the decoder and of the encoder that have twice the bits of a model in `bits`.
#[must_use]
pub fn finer_weights(lm: &LmConfig, audio: &AudioConfig, bits: Bits) -> (u64, u64) {
    let (decoder, encoder) = finer_layers(bits);
    let of = |first: usize, layers: usize, weights: u64| weights.saturating_mul(first.min(layers) as u64);
    (of(decoder, lm.n_layer, lm.layer_weights()), of(encoder, audio.encoder_layers, audio.layer_weights()))
}

/// How many of the first layers of the decoder and of the encoder have twice the bits.
const fn finer_layers(bits: Bits) -> (usize, usize) {
    match bits {
        Bits::Four => (2, 16),
        Bits::Eight => (1, 0),
    }
}

/// Hands out tensors by name.
pub trait Weights {
    /// The tensor `name`, which must have `shape`, as `dtype` on `device`.
    ///
    /// # Errors
    /// When it is missing, of another shape or number type, or holds a number that is not finite: naming tensor and file.
    fn get(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor>;

    /// The matrix `name`, `[out, inner]`, of a model in `bits`, packed as [`packing`] says; packed here unless it lies packed
    /// already.
    ///
    /// # Errors
    /// As [`Weights::get`].
    fn packed(&self, name: &str, (out, inner): (usize, usize), bits: Bits) -> Result<PackedLinear> {
        let packed = PackedLinear::pack(&self.vector(name, &[out, inner])?, packing(name, bits), (out, inner));
        packed.ok_or_else(|| unpackable(name, (out, inner)))
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
    Error::internal(format_args!("{name} cannot be packed as {out} x {inner}"))
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
    Error::internal(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_layers_have_twice_the_bits() {
        let four = |name: &str| packing(name, Bits::Four);
        assert_eq!(four("transformer.h.1.mlp.proj.weight"), (Bits::Eight, Planes::One));
        assert_eq!(four("transformer.h.10.mlp.proj.weight"), (Bits::Four, Planes::One), "the tenth is not the first");
        assert_eq!(four("layers.15.fc1.weight"), (Bits::Eight, Planes::One));
        assert_eq!(four("layers.16.fc1.weight"), (Bits::Four, Planes::One));
        assert_eq!(four("lm_head.weight"), (Bits::Four, Planes::One));
        let eight = |name: &str| packing(name, Bits::Eight);
        assert_eq!(eight("transformer.h.0.attn.qkv.weight"), (Bits::Eight, Planes::Two));
        assert_eq!(eight("transformer.h.1.attn.qkv.weight"), (Bits::Eight, Planes::One));
        assert_eq!(eight("layers.0.fc1.weight"), (Bits::Eight, Planes::One));
        for bits in [Bits::Four, Bits::Eight] {
            assert_eq!(packing(EMBEDDINGS, bits), (Bits::Eight, Planes::One));
        }
    }

    #[test]
    fn a_model_of_fewer_layers_has_fewer_with_twice_the_bits() {
        let (lm, audio) = (LmConfig::released_3b(), AudioConfig::released_3b());
        assert_eq!(finer_weights(&lm, &audio, Bits::Four), (2 * lm.layer_weights(), 16 * audio.layer_weights()));
        let (small, ear) = (LmConfig { n_layer: 1, ..lm.clone() }, AudioConfig { encoder_layers: 4, ..audio.clone() });
        assert_eq!(finer_weights(&small, &ear, Bits::Four), (lm.layer_weights(), 4 * audio.layer_weights()));
    }
}
