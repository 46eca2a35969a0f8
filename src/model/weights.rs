//! Named tensors: the only view that encoder and decoder have of a checkpoint.

use candle_core::{DType, Device, Tensor};

use super::config::ModelSizes;
use super::kernels::Bits;
use super::linear::PackedLinear;
use crate::config::Precision;
use crate::error::{Error, Result};

/// The arithmetic of the layers of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeType {
    /// candle's tensors, in this number type.
    Float(DType),
    /// Packed weights of this width and activations quantised to 8 bits; everything between the products is f32. CPU only.
    Packed(Bits),
}

impl ComputeType {
    /// Returns the arithmetic that `precision` stands for.
    #[must_use]
    pub const fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::Float(DType::F32),
            Precision::Bf16 => Self::Float(DType::BF16),
            Precision::Q8 => Self::Packed(Bits::Eight),
            Precision::Q4 => Self::Packed(Bits::Four),
        }
    }

    /// Returns the number type of the hidden states between the layers: f32 for packed layers.
    #[must_use]
    pub const fn dtype(self) -> DType {
        match self {
            Self::Float(dtype) => dtype,
            Self::Packed(_) => DType::F32,
        }
    }
}

/// The shape of a weight matrix, `[out, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixShape {
    /// Number of outputs: rows of the matrix.
    pub out: usize,
    /// Number of inputs: columns of the matrix.
    pub inner: usize,
}

impl MatrixShape {
    /// Makes the shape `[out, inner]`.
    #[must_use]
    pub const fn new(out: usize, inner: usize) -> Self {
        Self { out, inner }
    }
}

/// Tensor name of the embedding table.
const EMBEDDINGS: &str = "transformer.wte.weight";
/// Prefix of the tensor names of the decoder's layers, before the number of the layer.
const DECODER_LAYERS: &str = "transformer.h.";
/// Prefix of the tensor names of the encoder's layers, before the number of the layer.
const ENCODER_LAYERS: &str = "layers.";

/// The number of planes of a packed matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planes {
    /// One plane: each weight is rounded once.
    One,
    /// Two planes: the rounding error of the first, packed in the same way, is added. Twice the bits.
    Two,
}

/// The packed form of a matrix: the width of its weights and its number of planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Bits of a weight in each plane.
    pub bits: Bits,
    /// Number of planes of the matrix.
    pub planes: Planes,
}

/// Returns the packed form of the matrix with the tensor name `name` in a model in `bits`: the first layers, which matter most,
/// have twice the bits.
///
/// At 8 bits, the decoder's first layer has two planes: it causes about half of the decoder's quantisation error (131 of
/// 255 × 10⁻⁶ cosine distance of the last hidden state, random weights).
///
/// At 4 bits, the decoder's first two layers and the encoder's first sixteen have 8 bits: all layers of the starter's encoder, half
/// of the 3B's. With only the decoder's first layer at 8 bits the starter answers 3.4 % fewer questions amid speech.
///
/// The embedding table always has 8 bits: it is looked up, not multiplied. Measurements: `src/model/README.md` "Kernels and precision".
#[must_use]
pub fn packing(name: &str, bits: Bits) -> Packing {
    let finer = FinerLayers::of(bits);
    let within = |prefix: &str, first: usize| {
        let number = name.strip_prefix(prefix).and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
        number.is_some_and(|number| number < first)
    };
    let is_finer = within(DECODER_LAYERS, finer.decoder) || within(ENCODER_LAYERS, finer.encoder);
    let (bits, planes) = match (bits, is_finer) {
        (Bits::Four, true) => (Bits::Eight, Planes::One),
        (Bits::Eight, true) => (Bits::Eight, Planes::Two),
        (_, false) if name == EMBEDDINGS => (Bits::Eight, Planes::One),
        (_, false) => (bits, Planes::One),
    };
    Packing { bits, planes }
}

/// The number of weights of a model that are packed with twice the bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinerWeights {
    /// Weights in the decoder's first layers.
    pub decoder: u64,
    /// Weights in the encoder's first layers.
    pub encoder: u64,
}

impl FinerWeights {
    /// Counts the numbers in the matrices of the first layers, which are packed in twice `bits`, of a model of these sizes.
    #[must_use]
    pub fn of(sizes: ModelSizes<'_>, bits: Bits) -> Self {
        let (first, ModelSizes { lm, audio }) = (FinerLayers::of(bits), sizes);
        let count = |first: usize, layers: usize, weights: u64| weights.saturating_mul(first.min(layers) as u64);
        Self {
            decoder: count(first.decoder, lm.n_layer, lm.layer_weights()),
            encoder: count(first.encoder, audio.encoder_layers, audio.layer_weights()),
        }
    }
}

/// The numbers of first layers whose weights have twice the bits.
struct FinerLayers {
    /// Number of first layers of the decoder.
    decoder: usize,
    /// Number of first layers of the encoder.
    encoder: usize,
}

impl FinerLayers {
    /// Returns the numbers of first layers with twice the bits in a model packed in `bits`.
    const fn of(bits: Bits) -> Self {
        match bits {
            Bits::Four => Self { decoder: 2, encoder: 16 },
            Bits::Eight => Self { decoder: 1, encoder: 0 },
        }
    }
}

/// A source of tensors by their name in the checkpoint: a checkpoint, a file of quantised weights, or random numbers.
pub trait Weights {
    /// Reads the whole tensor `name`, which must have `shape`, converts it to `dtype` and copies it to `device`.
    ///
    /// # Errors
    /// When the tensor is missing, has another shape or number type, or holds a value that is not finite: naming tensor and file.
    fn get(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor>;

    /// Reads the matrix `name` of a model in `bits` as a layer without a bias, packed as [`packing`] says; packs the floats of
    /// [`get`](Self::get) unless a source overrides this.
    ///
    /// # Errors
    /// As [`Weights::get`].
    fn packed(&self, name: &str, shape: MatrixShape, bits: Bits) -> Result<PackedLinear> {
        let packed = PackedLinear::pack(&self.vector(name, &[shape.out, shape.inner])?, packing(name, bits), shape);
        packed.ok_or_else(|| unpackable(name, shape))
    }

    /// Reads the rows `ids` of the matrix `name`, which must have `shape`, as `[ids, inner]` in `dtype`. A file of quantised
    /// weights has only the rows that were kept as floats.
    ///
    /// # Errors
    /// As [`Weights::get`], or when a row is not there.
    fn rows(&self, name: &str, shape: MatrixShape, ids: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        let whole = self.get(name, &[shape.out, shape.inner], dtype, device)?;
        Tensor::new(ids, device).and_then(|ids| whole.index_select(&ids, 0)).map_err(compute_error)
    }

    /// Reads the values of the tensor `name`, which must have `shape` (any number of dimensions), as f32 in row-major order.
    ///
    /// # Errors
    /// As [`Weights::get`].
    fn vector(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.get(name, shape, DType::F32, &Device::Cpu)?.flatten_all().and_then(|t| t.to_vec1()).map_err(compute_error)
    }
}

/// Returns the error for a matrix whose packed bytes do not match its shape.
pub(super) fn unpackable(name: &str, MatrixShape { out, inner }: MatrixShape) -> Error {
    Error::internal(format_args!("{name} cannot be packed as {out} x {inner}"))
}

/// Reads a linear layer for candle in `dtype`: the matrix with the tensor name `weight`, and the bias with the tensor name `bias`
/// if given.
///
/// # Errors
/// As [`Weights::get`].
pub fn float_linear(
    weights: &impl Weights,
    weight: &str,
    bias: Option<&str>,
    shape: MatrixShape,
    dtype: DType,
    device: &Device,
) -> Result<candle_nn::Linear> {
    let bias = bias.map(|name| weights.get(name, &[shape.out], dtype, device)).transpose()?;
    Ok(candle_nn::Linear::new(weights.get(weight, &[shape.out, shape.inner], dtype, device)?, bias))
}

/// Reads a packed linear layer of a model in `bits`: the matrix with the tensor name `weight`, and the bias with the tensor name
/// `bias` if given.
///
/// # Errors
/// As [`Weights::get`].
pub fn packed_linear(weights: &impl Weights, weight: &str, bias: Option<&str>, shape: MatrixShape, bits: Bits) -> Result<PackedLinear> {
    let linear = weights.packed(weight, shape, bits)?;
    Ok(match bias {
        Some(bias) => linear.with_bias(weights.vector(bias, &[shape.out])?),
        None => linear,
    })
}

/// Returns the error for a failed computation of candle.
#[allow(clippy::needless_pass_by_value, reason = "map_err passes the error by value")]
fn compute_error(error: candle_core::Error) -> Error {
    Error::internal(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::{AudioConfig, LmConfig};

    const EIGHT: Packing = Packing { bits: Bits::Eight, planes: Planes::One };
    const FOUR: Packing = Packing { bits: Bits::Four, planes: Planes::One };

    #[test]
    fn first_layers_have_twice_the_bits() {
        let four = |name: &str| packing(name, Bits::Four);
        assert_eq!(four("transformer.h.1.mlp.proj.weight"), EIGHT);
        assert_eq!(four("transformer.h.10.mlp.proj.weight"), FOUR, "layer 10 is not layer 1");
        assert_eq!(four("layers.15.fc1.weight"), EIGHT);
        assert_eq!(four("layers.16.fc1.weight"), FOUR);
        assert_eq!(four("lm_head.weight"), FOUR);
        let eight = |name: &str| packing(name, Bits::Eight);
        assert_eq!(eight("transformer.h.0.attn.qkv.weight"), Packing { bits: Bits::Eight, planes: Planes::Two });
        assert_eq!(eight("transformer.h.1.attn.qkv.weight"), EIGHT);
        assert_eq!(eight("layers.0.fc1.weight"), EIGHT);
        for bits in [Bits::Four, Bits::Eight] {
            assert_eq!(packing(EMBEDDINGS, bits), EIGHT);
        }
    }

    #[test]
    fn shallow_model_has_only_its_own_layers_with_twice_the_bits() {
        let (lm, audio) = (LmConfig::released_3b(), AudioConfig::released_3b());
        let finer = FinerWeights::of(ModelSizes { lm: &lm, audio: &audio }, Bits::Four);
        assert_eq!(finer, FinerWeights { decoder: 2 * lm.layer_weights(), encoder: 16 * audio.layer_weights() });
        let (shallow_lm, shallow_audio) = (LmConfig { n_layer: 1, ..lm.clone() }, AudioConfig { encoder_layers: 4, ..audio.clone() });
        let finer = FinerWeights::of(ModelSizes { lm: &shallow_lm, audio: &shallow_audio }, Bits::Four);
        assert_eq!(finer, FinerWeights { decoder: lm.layer_weights(), encoder: 4 * audio.layer_weights() });
    }
}
