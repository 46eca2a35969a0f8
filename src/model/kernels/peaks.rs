//! Peak arithmetic and memory throughput of this machine, the reference for measured speeds.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::thread_pool::{EqualParts, thread_pool};
use super::{Activations, Bits, GROUP, InstructionSet, Packed, TILE, multiply, pack};

/// Number of bytes that a measurement of memory reads: many times the caches of a processor.
const BYTES: usize = 512 << 20;
/// Number of repetitions of each measurement; the fastest counts.
const RUNS: usize = 7;
/// Number of rows of the small products that are measured where there is no loop of register operations.
const ROWS: usize = 13;
/// Number of iterations of the measured loop (times 8 with AVX-512): some 20 ms.
const REPEATS: usize = 1 << 16;

/// The measured peak rates of this machine, of all compute threads together.
#[derive(Clone, Copy, Debug)]
pub struct HardwarePeaks {
    /// 8-bit multiplications and additions, both counted, in 10⁹ a second, with operands in registers or the nearest cache.
    pub int8_gops: f64,
    /// Bytes read from memory, in 10⁹ a second.
    pub memory_gb_s: f64,
}

impl HardwarePeaks {
    /// Measures both rates, in about a second and with 512 MiB of memory.
    #[must_use]
    pub fn measure() -> Self {
        Self { int8_gops: int8_gops(InstructionSet::best()), memory_gb_s: memory_gb_s() }
    }
}

/// Returns the shortest time of several calls of `work`, in seconds.
fn best_secs(mut work: impl FnMut()) -> f64 {
    let run = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64()
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

/// Measures the bytes that all threads read from memory, in 10⁹ a second.
fn memory_gb_s() -> f64 {
    let mut data: Vec<u64> = vec![1; BYTES / 8];
    let share = data.len().div_ceil(8 * thread_pool().threads());
    let total = AtomicU64::new(0);
    let secs = best_secs(|| {
        // Vector sums take no longer than the reads.
        let sum = |part: &[u64]| {
            let mut sums = [0u64; 32];
            for eight in part.as_chunks::<32>().0 {
                sums.iter_mut().zip(eight).for_each(|(sum, v)| *sum = sum.wrapping_add(*v));
            }
            sums.iter().fold(0u64, |a, b| a.wrapping_add(*b))
        };
        thread_pool().for_each(&EqualParts::new(&mut data, share), 1, |_, part| {
            total.fetch_add(sum(part), Ordering::Relaxed);
        });
        black_box(&total);
    });
    BYTES as f64 / secs / 1e9
}

/// Measures the 8-bit multiplications and additions of all threads with the instruction set `isa`, in 10⁹ a second.
fn int8_gops(isa: InstructionSet) -> f64 {
    let threads = thread_pool().threads();
    let each = match isa {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512Vnni => {
            let secs = best_secs(|| thread_pool().for_each(&threads, 1, |_, ()| super::avx512::peak_loop(REPEATS * 8)));
            return threads as f64 * super::avx512::PEAK_LOOP_OPERATIONS * (REPEATS * 8) as f64 / secs / 1e9;
        }
        _ => REPEATS,
    };
    // One small tile for a few rows, all in the nearest cache.
    let row = vec![1.0; GROUP];
    let mut bytes = Vec::new();
    pack(&[row.as_slice(); TILE], GROUP, Bits::Eight, &mut bytes);
    let mut activations = Activations::default();
    activations.round(&vec![1.0; ROWS * GROUP], ROWS);
    let secs = best_secs(|| {
        thread_pool().for_each(&threads, 1, |_, ()| {
            let mut out = [0.0; ROWS * TILE];
            for _ in 0..each {
                if let Some(weights) = Packed::new(black_box(&bytes), Bits::Eight, GROUP) {
                    multiply(isa, weights, &activations, 0..1, &mut out);
                }
            }
            black_box(out);
        });
    });
    threads as f64 * (2 * ROWS * TILE * GROUP * each) as f64 / secs / 1e9
}
