//! The encoder's convolutions on the CPU: kernel 3, zero padding 1, f16 weights, f32 sums.
//!
//! f16, because the weights are read once a chunk, and released weights have no more bits.

use half::f16;

use crate::model::kernels::product::{Strided, StridedMut, product};
use crate::model::kernels::thread_pool::{EqualParts, thread_pool};
use crate::model::kernels::{InstructionSet, TILE, Tiled, math};

/// Width of the convolution's kernel, in input rows.
const TAPS: usize = 3;
/// Largest number of output rows of one product: half of a live chunk's 40, whose sums fit the registers.
const ROWS: usize = 20;

/// A one-dimensional convolution along time, followed by the exact GELU.
#[derive(Debug)]
pub(super) struct Convolution {
    /// Weights, `[tile of 16 outputs][tap][input][16]`.
    weights: Vec<f16>,
    /// Bias of each output, padded to whole tiles.
    bias: Vec<f32>,
    /// Number of input channels.
    inner: usize,
    /// Number of output channels.
    outputs: usize,
    /// Number of input rows from one output row to the next.
    stride: usize,
}

impl Convolution {
    /// Makes a convolution of the weights `[out, inner, 3]`, rounded to f16, and one `bias` per output; returns None if a weight is
    /// too large for f16.
    pub(super) fn new(weight: &[f32], bias: &[f32], inner: usize, stride: usize) -> Option<Self> {
        let outputs = bias.len();
        let mut weights = vec![f16::ZERO; outputs.next_multiple_of(TILE) * TAPS * inner];
        for (o, row) in weight.chunks_exact(inner * TAPS).enumerate() {
            for (i, taps) in row.chunks_exact(TAPS).enumerate() {
                for (tap, w) in taps.iter().enumerate() {
                    weights[((o / TILE * TAPS + tap) * inner + i) * TILE + o % TILE] = f16::from_f32(*w);
                }
            }
        }
        let mut bias = bias.to_vec();
        bias.resize(outputs.next_multiple_of(TILE), 0.0);
        weights.iter().all(|w| w.is_finite()).then_some(Self { weights, bias, inner, outputs, stride })
    }

    /// Convolves `padded`, which holds for each of `blocks` a row of zeros, the input rows `[frame][inner]` and a row of zeros, and
    /// writes GELU of the result, `positions` rows a block, to `out`, which is resized. `inputs` is scratch for the `3 * inner`
    /// inputs of each row.
    pub(super) fn forward(&self, padded: &[f32], blocks: usize, positions: usize, inputs: &mut Tiled, out: &mut Tiled) {
        let n = TAPS * self.inner;
        let step = self.stride * self.inner;
        let isa = InstructionSet::best();
        let rows = blocks * positions;
        out.reset(rows, self.outputs);
        inputs.reset(rows, n);
        for (block, padded) in padded.chunks_exact(padded.len() / blocks).enumerate() {
            for position in 0..positions {
                inputs.set(block * positions + position, 0, &padded[position * step..][..n]);
            }
        }
        let inputs = inputs.values();
        thread_pool().for_each(&EqualParts::new(out.values_mut(), rows * TILE), 1, |tile, out| {
            let weights = &self.weights[tile * n * TILE..][..n * TILE];
            for first in (0..rows).step_by(ROWS) {
                let (inputs, out) = (&inputs[first * TILE..], &mut out[first * TILE..]);
                let (a, b) = (Strided { values: inputs, stride: rows * TILE }, Strided { values: weights, stride: TILE * TILE });
                product(isa, ROWS.min(rows - first), a, b, n, StridedMut { values: out, stride: TILE });
            }
            let bias = &self.bias[tile * TILE..][..TILE];
            out.chunks_exact_mut(TILE).for_each(|row| row.iter_mut().zip(bias).for_each(|(v, b)| *v += b));
            math::gelu(out);
        });
    }
}
