//! Memory that a model needs, and memory that is free: checked before loading, so that a machine without room refuses at once
//! instead of swapping for minutes.
//!
//! Also the home of `/proc` memory figures. Not responsible for staying within the limit afterwards. Where the system gives no
//! figures (all but Linux), nothing is refused.

use std::fs;
use std::path::Path;

use super::config::ModelSizes;
use super::kernels::{Bits, GROUP};
use super::kv_cache::LaneCache;
use super::weights::{ComputeType, FinerWeights};
use crate::config::Precision;
use crate::config::modes::BUILT_IN;
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Number of lanes for which memory is counted: as many as there are built-in modes.
const LANES: u64 = BUILT_IN.len() as u64;
/// Number of positions of a lane for which memory is counted: the default context window.
const POSITIONS: u64 = 2_048;
/// Number of bytes counted for everything beside weights and caches: the desktop window, the scratch buffers of a pass and the rest.
const OVERHEAD_BYTES: u64 = 120_000_000;
/// Packed precisions that the error for too little memory suggests, the better one first.
const SMALLER_PRECISIONS: [Precision; 2] = [Precision::Q8, Precision::Q4];

/// The origin of the weights that are loaded, on which the memory needed for loading depends: reading a checkpoint takes more than the
/// weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightSource {
    /// A checkpoint, read and if necessary packed tensor by tensor.
    Checkpoint,
    /// A file of quantised weights, used in place; also random weights.
    Quantised,
}

/// Returns the estimated number of bytes of memory that a model of these sizes needs in `precision`: weights, the caches of four lanes with
/// the default context window, buffers, and for a checkpoint its largest tensor as floats.
#[must_use]
pub fn needed(sizes: ModelSizes<'_>, precision: Precision, source: WeightSource) -> u64 {
    let lm = sizes.lm;
    // While a checkpoint is packed, its largest tensor is in memory as floats.
    let reading = if source == WeightSource::Checkpoint { lm.table_weights().saturating_mul(4) } else { 0 };
    let position = LaneCache::bytes_per_position(lm.n_layer, lm.kv_shape(), ComputeType::of(precision));
    let lanes = position.saturating_mul(LANES * POSITIONS);
    weights(sizes, precision).saturating_add(reading).saturating_add(lanes).saturating_add(OVERHEAD_BYTES)
}

/// Returns the number of bytes of the weights of a model of these sizes in `precision`, in memory as in a file of quantised
/// weights; norms and biases are not counted.
#[must_use]
pub fn weights(sizes: ModelSizes<'_>, precision: Precision) -> u64 {
    let (table, decoder, encoder) = (sizes.lm.table_weights(), sizes.lm.weights(), sizes.audio.weights());
    match ComputeType::of(precision) {
        ComputeType::Float(dtype) => decoder.saturating_mul(dtype.size_in_bytes() as u64).saturating_add(encoder.saturating_mul(4)),
        // The embedding table has 8 bits in any case, and the first layers have twice the bits.
        ComputeType::Packed(bits) => {
            let finer = FinerWeights::of(sizes, bits);
            let others = decoder.saturating_sub(table).saturating_add(finer.decoder);
            packed(others.saturating_add(encoder).saturating_add(finer.encoder), bits).saturating_add(packed(table, Bits::Eight))
        }
    }
}

/// Returns the number of bytes of packed weights: half a byte or one per weight, and two for the scale of each group of 64.
const fn packed(weights: u64, bits: Bits) -> u64 {
    let scales = weights / GROUP as u64 * 2;
    match bits {
        Bits::Four => (weights / 2).saturating_add(scales),
        Bits::Eight => weights.saturating_add(scales),
    }
}

/// Checks that the model `name` (for the message) needs no more than `available` bytes; without a figure, nothing is checked.
///
/// # Errors
/// `ErrorKind::Memory` when it does not fit; the message names the bytes needed and free, and a packed precision that would fit or
/// the smallest.
pub fn check(name: &str, sizes: ModelSizes<'_>, precision: Precision, source: WeightSource, available: Option<u64>) -> Result<()> {
    let need = |precision: Precision| needed(sizes, precision, source);
    let Some(available) = available.filter(|available| need(precision) > *available) else { return Ok(()) };
    let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let smaller: Vec<Precision> = SMALLER_PRECISIONS.into_iter().filter(|offer| need(*offer) < need(precision)).collect();
    let advice = match (smaller.iter().find(|offer| need(**offer) <= available), smaller.last()) {
        (Some(fits), _) => format!("{} needs {} and would fit", fits.name(), gb(need(*fits))),
        (None, Some(least)) => format!("even {} needs {}", least.name(), gb(need(*least))),
        (None, None) => "nothing smaller is known".to_owned(),
    };
    let why = format!(
        "the model {name} needs {} of memory in {} and {} are free; {advice}",
        gb(need(precision)),
        precision.name(),
        gb(available)
    );
    Err(Error::new(ErrorKind::Memory, why).with_remedy(Remedy::ReduceMemory))
}

/// Returns the bytes that this process may take without forcing other memory to swap, within the limit of its control group (v2);
/// None where the system does not say (all but Linux).
#[must_use]
pub fn available() -> Option<u64> {
    let machine = proc_bytes("/proc/meminfo", "MemAvailable:")?;
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let group = group.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("0::/")));
    let root = Path::new("/sys/fs/cgroup");
    let left = [Some(root.to_owned()), group.map(|own| root.join(own))].into_iter().flatten().filter_map(|dir| {
        let number = |name: &str| fs::read_to_string(dir.join(name)).ok()?.trim().parse::<u64>().ok();
        Some(number("memory.max")?.saturating_sub(number("memory.current")?))
    });
    Some(left.fold(machine, u64::min))
}

/// Returns the bytes of this machine's memory; None where the system does not say (all but Linux).
#[must_use]
pub fn total() -> Option<u64> {
    proc_bytes("/proc/meminfo", "MemTotal:")
}

/// Returns the most bytes of memory that this process has held at a time; None where the system does not say (all but Linux).
#[must_use]
pub fn peak_resident() -> Option<u64> {
    proc_bytes("/proc/self/status", "VmHWM:")
}

/// Reads the field `name` of the `/proc` file `path`, given there in kB, as bytes; None without the file or the field.
fn proc_bytes(path: &str, name: &str) -> Option<u64> {
    proc_field(&fs::read_to_string(path).ok()?, name)
}

fn proc_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok().map(|kb| kb * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::{AudioConfig, LmConfig};

    fn of_3b<T>(work: impl Fn(ModelSizes<'_>) -> T) -> T {
        work(ModelSizes { lm: &LmConfig::released_3b(), audio: &AudioConfig::released_3b() })
    }

    fn refused(precision: Precision, gb: f64) -> Option<String> {
        let available = Some((gb * 1e9) as u64);
        of_3b(|sizes| check("3b", sizes, precision, WeightSource::Quantised, available).err().map(|e| e.message().to_owned()))
    }

    #[test]
    fn estimate_for_the_3b_matches_the_measured_need() {
        let need = |p, source| of_3b(|sizes| needed(sizes, p, source)) as f64 / 1e9;
        assert!((17.0..17.5).contains(&need(Precision::F32, WeightSource::Quantised)), "{}", need(Precision::F32, WeightSource::Quantised));
        assert!((3.0..3.2).contains(&need(Precision::Q4, WeightSource::Quantised)), "{}", need(Precision::Q4, WeightSource::Quantised));
        assert!(need(Precision::Q4, WeightSource::Checkpoint) > need(Precision::Q4, WeightSource::Quantised) + 1.0);
    }

    #[test]
    fn model_that_does_not_fit_is_refused_with_a_precision_that_would() {
        assert_eq!(refused(Precision::F32, 64.0), None);
        assert_eq!(refused(Precision::Q4, 3.2), None);
        let why = refused(Precision::F32, 8.0).unwrap();
        assert!(why.contains("17.2 GB") && why.contains("8.0 GB are free") && why.contains("; q8 needs 4.8 GB"), "{why}");
        let why = refused(Precision::F32, 4.0).unwrap();
        assert!(why.contains("; q4 needs 3.1 GB and would fit"), "{why}");
        let why = refused(Precision::Q8, 1.0).unwrap();
        assert!(why.contains("even q4 needs 3.1 GB"), "{why}");
        let why = refused(Precision::Q4, 1.0).unwrap();
        assert!(why.contains("nothing smaller"), "{why}");
        let unknown = of_3b(|sizes| check("3b", sizes, Precision::F32, WeightSource::Checkpoint, None));
        assert!(unknown.is_ok(), "an unknown amount of memory refuses nothing");
    }

    #[test]
    fn memory_figures_are_read_from_proc() {
        assert_eq!(proc_field("MemTotal: 10 kB\nMemAvailable:    2048 kB\n", "MemAvailable:"), Some(2_097_152));
        assert_eq!(proc_field("MemAvailable: many", "MemAvailable:"), None);
        assert_eq!(proc_field("", "MemAvailable:"), None);
        if cfg!(target_os = "linux") {
            assert!(available().is_some() && total() > available() && peak_resident().is_some());
        }
    }
}
