//! Quantising weights to 4 or 8 bits, in the layout of [`kernels`](super).

use half::f16;

use super::{GROUP, TILE};

/// The width of a packed weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// 4 bits: an integer of -8 ..= 7 times the scale.
    Four,
    /// 8 bits: an integer of -127 ..= 127 times the scale.
    Eight,
}

impl Bits {
    /// Returns the offset that is added to the integer of a weight, so that it is stored unsigned.
    pub(super) const fn offset(self) -> i32 {
        match self {
            Self::Four => 8,
            Self::Eight => 128,
        }
    }

    /// Returns the number of bytes of the weights in one group of a tile, without scales.
    pub(super) const fn group_bytes(self) -> usize {
        match self {
            Self::Four => TILE * GROUP / 2,
            Self::Eight => TILE * GROUP,
        }
    }

    /// Returns the index, within the bytes of a group of a tile, of the byte that holds the weight of input `i` (within the group) and
    /// output `c`, and true if the weight is the byte's high half.
    const fn place(self, i: usize, c: usize) -> (usize, bool) {
        match self {
            Self::Four => (i / 8 * 64 + 4 * c + i % 4, i % 8 >= 4),
            Self::Eight => (i / 4 * 64 + 4 * c + i % 4, false),
        }
    }
}

/// Returns the number of bytes of a tile of `k` inputs, weights and scales: a multiple of 64, so that the tiles of an aligned file
/// begin at cache lines.
#[must_use]
pub const fn tile_bytes(bits: Bits, k: usize) -> usize {
    let groups = k.div_ceil(GROUP);
    (groups * (bits.group_bytes() + 2 * TILE)).next_multiple_of(64)
}

/// Rounds the weights of `rows` (at most 16 outputs of `k` inputs each) to `bits` and appends them as one tile to `out`; missing
/// outputs become zeros.
pub fn pack(rows: &[&[f32]], k: usize, bits: Bits, out: &mut Vec<u8>) {
    let groups = k.div_ceil(GROUP);
    let start = out.len();
    out.resize(start + tile_bytes(bits, k), 0);
    let (weights, scales) = out[start..].split_at_mut(groups * bits.group_bytes());
    // Padding is a weight of zero, stored as the offset.
    let zero = bits.offset() as u8;
    weights.fill(if bits == Bits::Four { zero | zero << 4 } else { zero });
    for (c, row) in rows.iter().enumerate() {
        for (g, group) in row.chunks(GROUP).enumerate() {
            let scale = best_scale(group, bits);
            scales[2 * (TILE * g + c)..][..2].copy_from_slice(&scale.to_le_bytes());
            let scale = scale.to_f32();
            for (i, w) in group.iter().enumerate() {
                let stored = if scale == 0.0 { zero } else { (round(*w, scale, bits) as i32 + bits.offset()) as u8 };
                let (byte, high) = bits.place(i, c);
                let byte = &mut weights[g * bits.group_bytes() + byte];
                *byte = match (bits, high) {
                    (Bits::Eight, _) => stored,
                    (Bits::Four, false) => *byte & 0xf0 | stored,
                    (Bits::Four, true) => *byte & 0x0f | stored << 4,
                };
            }
        }
    }
}

/// Returns the weights of a tile of `k` inputs, unpacked, `[16][k]`.
#[must_use]
pub fn unpack(tile: &[u8], k: usize, bits: Bits) -> Vec<f32> {
    (0..TILE).flat_map(|c| unpack_row(tile, k, bits, c)).collect()
}

/// Returns the `k` weights of output `c` of a tile, unpacked.
pub(super) fn unpack_row(tile: &[u8], k: usize, bits: Bits, c: usize) -> impl Iterator<Item = f32> {
    let (weights, scales) = tile.split_at(k.div_ceil(GROUP) * bits.group_bytes());
    (0..k).map(move |i| {
        let (g, i) = (i / GROUP, i % GROUP);
        let (byte, high) = bits.place(i, c);
        let byte = weights[g * bits.group_bytes() + byte];
        let stored = match (bits, high) {
            (Bits::Eight, _) => byte,
            (Bits::Four, false) => byte & 15,
            (Bits::Four, true) => byte >> 4,
        };
        (i32::from(stored) - bits.offset()) as f32 * scale_at(scales, g, c)
    })
}

/// Returns the scale of group `g` and output `c` from the scales of a tile.
pub(super) fn scale_at(scales: &[u8], g: usize, c: usize) -> f32 {
    let at = 2 * (TILE * g + c);
    f16::from_le_bytes([scales[at], scales[at + 1]]).to_f32()
}

/// Returns `w / scale`, rounded to an integer (ties to even) within the range of `bits`.
fn round(w: f32, scale: f32, bits: Bits) -> f32 {
    // Floats near 1.5 * 2^23 are integers, so adding it rounds, ties to even; unlike `round_ties_even`, which is a function call
    // without SSE 4.1, this becomes vector code on any processor.
    /// The number 1.5 * 2^23: adding and subtracting it rounds a float to the nearest integer.
    const WHOLE: f32 = 12_582_912.0;
    let (low, high) = match bits {
        Bits::Four => (-8.0, 7.0),
        Bits::Eight => (-127.0, 127.0),
    };
    ((w / scale).clamp(low, high) + WHOLE) - WHOLE
}

/// Returns the scale for the weights of a group; 0 if all are 0. At 8 bits the largest magnitude becomes 127. At 4 bits the scale
/// with the least squared error of nine fitted ones is returned: a slightly smaller range than the largest weight needs is nearly
/// always better.
fn best_scale(group: &[f32], bits: Bits) -> f16 {
    let extreme = group.iter().copied().fold(0.0f32, |m, w| if w.abs() > m.abs() { w } else { m });
    if extreme == 0.0 {
        return f16::ZERO;
    }
    let fits = |scale: f32| f16::from_f32(scale.clamp(-65_000.0, 65_000.0));
    if bits == Bits::Eight {
        return fits(extreme.abs() / 127.0);
    }
    // The extreme weight becomes -8, the longer side; then that range shrunk by steps of 4 %, each with its best-fitting scale.
    let candidates = (0..9).map(|i| fitted(group, extreme / -8.0 * (1.0 - 0.04 * i as f32)));
    candidates.max_by(|(a, _), (b, _)| a.total_cmp(b)).map_or(f16::ZERO, |(_, scale)| fits(scale))
}

/// Rounds the weights `w` of `group` to 4-bit integers `q` with `scale` and fits the scale `w·q / q·q` (least squares). Returns the
/// explained energy `(w·q)² / q·q`, which is largest where the squared error is least, and the fitted scale.
fn fitted(group: &[f32], scale: f32) -> (f32, f32) {
    /// Number of partial sums: as many as an AVX-512 register has floats.
    const SUMS: usize = 16;
    let (pieces, rest) = group.as_chunks::<SUMS>();
    let (mut products, mut squares) = ([0.0; SUMS], [0.0; SUMS]);
    let mut tail = [0.0; SUMS];
    tail[..rest.len()].copy_from_slice(rest);
    for piece in pieces.iter().chain([&tail]) {
        for ((product, square), w) in products.iter_mut().zip(&mut squares).zip(piece) {
            let q = round(*w, scale, Bits::Four);
            *product += w * q;
            *square += q * q;
        }
    }
    let (product, square) = (products.iter().sum::<f32>(), squares.iter().sum::<f32>());
    if square == 0.0 { (0.0, scale) } else { (product * product / square, product / square) }
}
