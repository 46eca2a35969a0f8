//! Every instruction set against the portable implementation, bit for bit, and that one against plain arithmetic.

use super::*;
use crate::model::kv_cache::KvShape;

/// A reproducible source of random numbers (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Returns a number uniform in -1 .. 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// Returns values of very different sizes, with zeros and extreme values among them.
    fn values(&mut self, n: usize) -> Vec<f32> {
        let kind = self.below(4);
        (0..n)
            .map(|_| match (kind, self.below(40)) {
                (_, 0) => 0.0,
                (1, 1) => 60_000.0 * self.unit().signum(),
                (2, _) => self.unit().signum(),
                (3, _) => self.unit() * 1e-6,
                _ => self.unit(),
            })
            .collect()
    }
}

fn packed(weights: &[f32], k: usize, bits: Bits) -> Vec<u8> {
    let mut bytes = Vec::new();
    for tile in weights.chunks(TILE * k) {
        pack(&tile.chunks(k).collect::<Vec<_>>(), k, bits, &mut bytes);
    }
    bytes
}

#[test]
fn every_instruction_set_gives_the_portable_bits() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut activations = Activations::default();
    for case in 0..120 {
        let (n, k, rows) = (1 + random.below(70), 1 + random.below(700), 1 + random.below(64));
        let bits = if case % 2 == 0 { Bits::Four } else { Bits::Eight };
        let bytes = packed(&random.values(n * k), k, bits);
        let weights = Packed::new(&bytes, bits, k).unwrap();
        let tiles = weights.tiles();
        assert_eq!(tiles, n.div_ceil(TILE));
        activations.round(&random.values(rows * k), rows);
        let from = random.below(tiles);
        let before = random.values(rows * TILE * (tiles - from));
        let mut wanted = before.clone();
        multiply(InstructionSet::Portable, weights, &activations, from..tiles, &mut wanted);
        for isa in InstructionSet::available() {
            let mut got = before.clone();
            multiply(isa, weights, &activations, from..tiles, &mut got);
            let differs = got.iter().zip(&wanted).position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(differs, None, "{isa:?} {bits:?} {n} x {k}, {rows} rows");
        }
    }
}

#[test]
fn portable_product_is_the_product_of_the_quantised_values() {
    let mut random = Random(7);
    let (n, k, rows) = (40, 200, 3);
    for bits in [Bits::Four, Bits::Eight] {
        let bytes = packed(&random.values(n * k), k, bits);
        let weights = Packed::new(&bytes, bits, k).unwrap();
        // Activations that need no rounding: integers with a maximum of 127 in each group.
        let x: Vec<f32> = (0..rows * k).map(|i| if i % 8 == 0 { 127.0 } else { (i % 100) as f32 - 50.0 }).collect();
        let mut activations = Activations::default();
        activations.round(&x, rows);
        let tiles = weights.tiles();
        let mut got = vec![0.0; rows * TILE * tiles];
        multiply(InstructionSet::Portable, weights, &activations, 0..tiles, &mut got);
        for r in 0..rows {
            for c in 0..n {
                let row: Vec<f32> = weights.row(c).unwrap().collect();
                let truth: f64 = row.iter().zip(&x[r * k..]).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                let size: f64 = row.iter().zip(&x[r * k..]).map(|(w, x)| (f64::from(*w) * f64::from(*x)).abs()).sum();
                assert!((f64::from(got[r * TILE * tiles + c]) - truth).abs() <= 1e-6 * size, "{bits:?} row {r} output {c}");
            }
        }
    }
}

#[test]
fn quantisation_error_of_weights_is_that_of_their_bits() {
    let mut random = Random(11);
    let (n, k) = (32, 512);
    let weights: Vec<f32> = (0..n * k).map(|_| random.unit()).collect();
    for (bits, most) in [(Bits::Eight, 0.006), (Bits::Four, 0.08)] {
        let bytes = packed(&weights, k, bits);
        let back: Vec<f32> = bytes.chunks(tile_bytes(bits, k)).flat_map(|tile| unpack(tile, k, bits)).collect();
        let error: f32 = weights.iter().zip(&back).map(|(a, b)| (a - b).powi(2)).sum();
        let size: f32 = weights.iter().map(|w| w * w).sum();
        assert!((error / size).sqrt() < most, "{bits:?}: {}", (error / size).sqrt());
    }
}

#[test]
fn partial_tiles_are_refused() {
    let bytes = vec![0; tile_bytes(Bits::Four, 100)];
    assert!(Packed::new(&bytes, Bits::Four, 100).is_some());
    assert!(Packed::new(&bytes[1..], Bits::Four, 100).is_none());
    assert!(Packed::new(&bytes, Bits::Four, 0).is_none());
    assert!(Packed::new(&bytes, Bits::Four, 100).unwrap().row(16).is_none());
}

#[test]
fn values_that_are_not_finite_reach_the_output() {
    let bytes = packed(&[1.0; 16 * 64], 64, Bits::Eight);
    let weights = Packed::new(&bytes, Bits::Eight, 64).unwrap();
    let mut x = vec![1.0; 64];
    x[3] = f32::NAN;
    x[5] = f32::INFINITY;
    let mut activations = Activations::default();
    activations.round(&x, 1);
    let mut out = vec![0.0; 16];
    multiply(InstructionSet::best(), weights, &activations, 0..1, &mut out);
    assert!(out.iter().all(|v| v.is_nan()), "the check of the model's logits must see them");
}

#[test]
fn norm_and_quantisation_of_tiled_rows_match_their_definitions() {
    let mut random = Random(31);
    for (rows, width) in [(1, 64), (3, 200), (13, 48), (5, 17)] {
        let x: Vec<f32> = (0..rows * width).map(|_| random.unit() + 0.3).collect();
        let (weight, bias): (Vec<f32>, Vec<f32>) = (0..width).map(|_| (random.unit(), random.unit())).unzip();
        let mut tiled = Tiled::default();
        tiled.reset(rows, width);
        let mut back = vec![0.0; width];
        for (row, numbers) in x.chunks(width).enumerate() {
            tiled.set(row, 0, numbers);
            tiled.copy(row, 0, &mut back);
            assert_eq!(back, numbers);
        }
        let truth = |norm: &str| -> Vec<f32> {
            let row = |row: &[f32]| -> Vec<f32> {
                let mean = if norm == "layer" { row.iter().sum::<f32>() / width as f32 } else { 0.0 };
                let spread = (row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / width as f32 + 1e-5).sqrt();
                let b = |i: usize| if norm == "layer" { bias[i] } else { 0.0 };
                row.iter().enumerate().map(|(i, v)| (v - mean) / spread * weight[i] + b(i)).collect()
            };
            if norm == "none" { x.clone() } else { x.chunks(width).flat_map(row).collect() }
        };
        for (name, norm) in [("none", Norm::None), ("rms", Norm::Rms(&weight, 1e-5)), ("layer", Norm::Layer(&weight, &bias, 1e-5))] {
            let (mut got, mut wanted) = (Activations::default(), Activations::default());
            got.round_tiled(&tiled, norm);
            wanted.round(&truth(name), rows);
            for g in 0..width.div_ceil(GROUP) {
                let ((a, a_scales, _), (b, b_scales, _)) = (got.cells(g, 0), wanted.cells(g, 0));
                assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1), "{name} {rows} x {width}");
                assert!(a_scales.iter().zip(b_scales).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs()), "{name} {rows} x {width}");
            }
        }
    }
}

#[test]
fn attention_matches_its_definition_on_every_instruction_set() {
    let mut random = Random(23);
    for (heads, groups, size, positions, rows) in [(6, 2, 16, 40, 13), (16, 2, 128, 300, 13), (4, 4, 48, 7, 7), (8, 1, 32, 100, 1)] {
        let shape = KvShape { groups, head_size: size };
        let mut cache = attention::BlockedKv::new(shape);
        // Rotations by zero, so that rotated and unrotated keys are equal.
        let cos_sin = vec![(1.0, 0.0); positions * size / 2];
        for _ in 0..positions {
            let (mut k, v): (Vec<f32>, Vec<f32>) = (0..groups * size).map(|_| (random.unit(), random.unit())).unzip();
            cache.append(&mut k, &cos_sin[..size / 2], &v);
        }
        let (keys, values) = cache.to_rows();
        let again = attention::BlockedKv::from_rows(shape, &keys, &values, &cos_sin);
        assert_eq!((again.positions(), again.to_rows()), (positions, cache.to_rows()));
        let at = |all: &[half::f16], g: usize, at: usize| -> Vec<f32> {
            all[(g * positions + at) * size..][..size].iter().map(|x| x.to_f32()).collect()
        };
        let q: Vec<f32> = (0..rows * heads * size).map(|_| 3.0 * random.unit()).collect();
        let place = |row: usize, head: usize| {
            let per_group = heads / groups;
            ((head / per_group * rows + row) * per_group + head % per_group) * size
        };
        let mut plan = attention::AttentionPlan::default();
        plan.rebuild(std::iter::once(rows), groups, heads / groups, size);
        assert_eq!(plan.output_len(), q.len());
        let attend = |isa: InstructionSet| {
            let mut answers = vec![0.0; q.len()];
            plan.run(
                isa,
                &mut answers,
                |_| Some((&cache, rows)),
                |task, queries| {
                    let from = (task.group * rows * (heads / groups) + task.first) * size;
                    queries.copy_from_slice(&q[from..from + task.pairs * size]);
                },
            );
            answers
        };
        let wanted = attend(InstructionSet::Portable);
        for isa in InstructionSet::available() {
            let got = attend(isa);
            assert!(got.iter().zip(&wanted).all(|(a, b)| a.to_bits() == b.to_bits()), "{isa:?}");
        }
        for row in 0..rows {
            for head in 0..heads {
                let g = head / (heads / groups);
                let q = &q[place(row, head)..][..size];
                let seen: Vec<(Vec<f32>, Vec<f32>)> =
                    (0..positions - rows + row + 1).map(|p| (at(&keys, g, p), at(&values, g, p))).collect();
                let scores: Vec<f64> = seen
                    .iter()
                    .map(|(k, _)| k.iter().zip(q).map(|(k, q)| f64::from(*k) * f64::from(*q)).sum::<f64>() / (size as f64).sqrt())
                    .collect();
                let total: f64 = scores.iter().map(|s| s.exp()).sum();
                for d in 0..size {
                    let truth: f64 = scores.iter().zip(&seen).map(|(s, (_, v))| s.exp() / total * f64::from(v[d])).sum();
                    let got = f64::from(wanted[place(row, head) + d]);
                    assert!((got - truth).abs() < 2e-6, "row {row} head {head} dimension {d}: {got} for {truth}");
                }
            }
        }
    }
}
