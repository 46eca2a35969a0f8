//! The kernels of packed weights at the 3B's sizes, weights from memory, in GB/s and GOP/s beside the machine's peaks.
//!
//! criterion prints the times; before them come the shares of the peaks, measured with the same functions.

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hearken::model::kernels::attention::{AttentionPlan, BlockedKv};
use hearken::model::kernels::peaks::HardwarePeaks;
use hearken::model::kernels::thread_pool::{EqualParts, thread_pool};
use hearken::model::kernels::{Activations, Bits, GROUP, InstructionSet, Packed, TILE, Tiled, multiply, tile_bytes};
use hearken::model::kv_cache::KvShape;

/// Name, outputs and inputs of the largest matrices.
const SHAPES: [(&str, usize, usize); 5] = [
    ("decoder qkv", 2_560, 2_048),
    ("decoder mlp in", 11_008, 2_048),
    ("decoder mlp out", 2_048, 11_008),
    ("encoder fc1", 5_120, 1_280),
    ("lm_head", 151_936, 2_048),
];
/// Rows of a product: a reply token, a chunk, the encoder's positions, chunks of two lanes.
const ROWS: [usize; 4] = [1, 13, 20, 26];
/// Bytes of weights between two uses of the same: more than any cache holds.
const BYTES: usize = 256 << 20;
/// Measurements of a product for the table; the median counts.
const RUNS: usize = 21;

/// Copies of one matrix, used in turn.
struct Matrices {
    bytes: Vec<u8>,
    size: usize,
    bits: Bits,
    inner: usize,
    next: usize,
}

impl Matrices {
    fn new(out: usize, inner: usize, bits: Bits) -> Self {
        let size = tile_bytes(bits, inner) * out.div_ceil(TILE);
        let bytes = (0..size * BYTES.div_ceil(size)).map(|i| (i * 31 % 97) as u8).collect();
        Self { bytes, size, bits, inner, next: 0 }
    }

    /// Returns the next copy.
    fn next(&mut self) -> Packed<'_> {
        let at = self.next;
        self.next = (at + self.size) % self.bytes.len();
        let packed = Packed::new(&self.bytes[at..at + self.size], self.bits, self.inner);
        packed.unwrap_or_else(|| unreachable!("a copy has whole tiles"))
    }
}

fn activations(rows: usize, inner: usize) -> Activations {
    let mut activations = Activations::default();
    activations.fill(rows, inner, 1, |g, cells| cells.iter_mut().enumerate().for_each(|(i, v)| *v = ((g * GROUP + i) as f32).sin()));
    activations
}

fn product(isa: InstructionSet, matrices: &mut Matrices, x: &Activations, out: &mut Tiled, outputs: usize) {
    let weights = matrices.next();
    out.reset(x.rows(), outputs);
    thread_pool()
        .for_each(&EqualParts::new(out.values_mut(), x.rows() * TILE), 1, |tile, out| multiply(isa, weights, x, tile..tile + 1, out));
}

fn products(c: &mut Criterion) {
    let peaks = HardwarePeaks::measure();
    eprintln!("peaks of {} threads: {:.0} GOP/s int8, {:.1} GB/s memory", thread_pool().threads(), peaks.int8_gops, peaks.memory_gb_s);
    for bits in [Bits::Four, Bits::Eight] {
        for (name, outputs, inner) in SHAPES {
            let mut matrices = Matrices::new(outputs, inner, bits);
            let mut out = Tiled::default();
            let mut group = c.benchmark_group(format!("{name} {bits:?}"));
            group.sample_size(10);
            for rows in ROWS {
                let x = activations(rows, inner);
                for isa in InstructionSet::available().into_iter().filter(|isa| *isa != InstructionSet::Portable) {
                    let mut times: Vec<f64> = (0..RUNS)
                        .map(|_| {
                            let begun = Instant::now();
                            product(isa, &mut matrices, &x, &mut out, outputs);
                            begun.elapsed().as_secs_f64()
                        })
                        .collect();
                    times.sort_by(f64::total_cmp);
                    let secs = times[RUNS / 2];
                    let (gops, gb_s) = ((2 * rows * outputs * inner) as f64 / secs / 1e9, matrices.size as f64 / secs / 1e9);
                    eprintln!(
                        "{name} {bits:?}, {rows} rows, {}: {gops:.0} GOP/s ({:.0} %), {gb_s:.1} GB/s ({:.0} %)",
                        isa.name(),
                        100.0 * gops / peaks.int8_gops,
                        100.0 * gb_s / peaks.memory_gb_s
                    );
                    group.throughput(Throughput::Bytes(matrices.size as u64));
                    group.bench_function(BenchmarkId::new(isa.name(), rows), |b| {
                        b.iter(|| product(isa, &mut matrices, black_box(&x), &mut out, outputs));
                    });
                }
            }
            group.finish();
        }
    }
}

fn attention(c: &mut Criterion) {
    const SHAPE: KvShape = KvShape { groups: 2, head_size: 128 };
    const HEADS_PER_GROUP: usize = 8;
    let KvShape { groups, head_size: size } = SHAPE;
    for positions in [1_000, 2_048, 4_000] {
        let row: Vec<f32> = (0..groups * size).map(|i| (i as f32 * 0.37).sin()).collect();
        let mut cache = BlockedKv::new(SHAPE);
        let cos_sin = vec![(1.0, 0.0); size / 2];
        (0..positions).for_each(|_| cache.append(&mut row.clone(), &cos_sin, &row));
        for rows in [1, 13] {
            let mut plan = AttentionPlan::default();
            plan.rebuild(std::iter::once(rows), groups, HEADS_PER_GROUP, size);
            let mut outputs = vec![0.0; plan.output_len()];
            c.bench_function(&format!("attention of {rows} rows over {positions} positions, one layer"), |b| {
                b.iter(|| plan.run(InstructionSet::best(), &mut outputs, |_| Some((&cache, rows)), |_, queries| queries.fill(0.1)));
            });
        }
    }
}

criterion_group!(benches, products, attention);
criterion_main!(benches);
