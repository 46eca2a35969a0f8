//! Weights rounded to 4 or 8 bits in the layout of [`kernels`](super).

use half::f16;

use super::{GROUP, TILE};

/// Width of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// 4 bits: -8 ..= 7 times the scale.
    Four,
    /// 8 bits: -127 ..= 127 times the scale.
    Eight,
}

impl Bits {
    /// What is added to a weight before it is stored.
    pub(super) const fn offset(self) -> i32 {
        match self {
            Self::Four => 8,
            Self::Eight => 128,
        }
    }

    /// Bytes of the weights of one group of a tile.
    pub(super) const fn group_bytes(self) -> usize {
        match self {
            Self::Four => TILE * GROUP / 2,
            Self::Eight => TILE * GROUP,
        }
    }

    /// Where the weight of input `i` of a group and output `c` lies: the byte, and whether in its high half.
    const fn place(self, i: usize, c: usize) -> (usize, bool) {
        match self {
            Self::Four => (i / 8 * 64 + 4 * c + i % 4, i % 8 >= 4),
            Self::Eight => (i / 4 * 64 + 4 * c + i % 4, false),
        }
    }
}

/// Bytes of a tile of `k` inputs: a multiple of 64, so that tiles of a file that begins at a cache line begin at one.
#[must_use]
pub const fn tile_bytes(bits: Bits, k: usize) -> usize {
    let groups = k.div_ceil(GROUP);
    (groups * (bits.group_bytes() + 2 * TILE)).next_multiple_of(64)
}

/// Appends the tile of outputs `rows` (at most 16, each of `k` inputs) to `out`.
pub fn pack(rows: &[&[f32]], k: usize, bits: Bits, out: &mut Vec<u8>) {
    let groups = k.div_ceil(GROUP);
    let start = out.len();
    out.resize(start + tile_bytes(bits, k), 0);
    let (weights, scales) = out[start..].split_at_mut(groups * bits.group_bytes());
    // Padding is the number zero, which is stored as the offset.
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

/// The numbers that a packed tile stands for, `[16][k]`.
#[must_use]
pub fn unpack(tile: &[u8], k: usize, bits: Bits) -> Vec<f32> {
    (0..TILE).flat_map(|c| unpack_row(tile, k, bits, c)).collect()
}

/// The `k` numbers of output `c` of a packed tile.
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

/// The scale of group `g` and output `c`.
pub(super) fn scale_at(scales: &[u8], g: usize, c: usize) -> f32 {
    let at = 2 * (TILE * g + c);
    f16::from_le_bytes([scales[at], scales[at + 1]]).to_f32()
}

/// The weight's number of `scale`s, a whole one within the range of `bits`.
fn round(w: f32, scale: f32, bits: Bits) -> f32 {
    // About 1.5 * 2^23 every float is a whole number, so that adding it rounds, ties to the even one: many at a time on any processor,
    // where `round_ties_even` is a call of a function for each unless the compiler may use SSE 4.1.
    const WHOLE: f32 = 12_582_912.0;
    let (low, high) = match bits {
        Bits::Four => (-8.0, 7.0),
        Bits::Eight => (-127.0, 127.0),
    };
    ((w / scale).clamp(low, high) + WHOLE) - WHOLE
}

/// The scale whose rounded weights lie nearest to the true ones (least squares), near a few about the largest weight.
/// With 4 bits a slightly smaller range than the largest weight asks for is nearly always better.
fn best_scale(group: &[f32], bits: Bits) -> f16 {
    let extreme = group.iter().copied().fold(0.0f32, |m, w| if w.abs() > m.abs() { w } else { m });
    if extreme == 0.0 {
        return f16::ZERO;
    }
    let fits = |scale: f32| f16::from_f32(scale.clamp(-65_000.0, 65_000.0));
    if bits == Bits::Eight {
        return fits(extreme.abs() / 127.0);
    }
    // The extreme weight takes -8, the longer side; then that range shrunk by steps of 4 %; each moved to where the whole numbers
    // that it gives fit best.
    let candidates = (0..9).map(|i| fitted(group, extreme / -8.0 * (1.0 - 0.04 * i as f32)));
    candidates.max_by(|(a, _), (b, _)| a.total_cmp(b)).map_or(f16::ZERO, |(_, scale)| fits(scale))
}

/// The 4-bit numbers `q` of `scale` that the weights `w` of `group` become explain `(w q)^2 / q^2` of `w^2` with the scale
/// `(w q) / q^2`, their least squares: that, and this scale.
fn fitted(group: &[f32], scale: f32) -> (f32, f32) {
    // In as many sums as a register has floats.
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
