//! How much memory a model needs and how much there is: asked before a model is loaded, so that a machine without room says
//! so instead of swapping for minutes.
//!
//! Not responsible for keeping within it afterwards. Where the system does not tell (all but Linux) nothing is refused.

use std::fs;
use std::path::Path;

use super::config::{AudioConfig, LmConfig};
use super::kernels::{Bits, GROUP};
use super::kv::LaneCache;
use super::numbers_of;
use super::weights::{ComputeType, finer_weights};
use crate::config::Precision;
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Lanes that a session may have, as many as there are built-in modes, and positions of each: the default window.
const LANES: u64 = 4;
const POSITIONS: u64 = 2_048;
/// What the window of the screen, the rooms that a pass computes in and everything else take.
const BESIDE: u64 = 120_000_000;
/// Precisions that are offered instead, the better one first.
const OFFERED: [Precision; 2] = [Precision::Q8, Precision::Q4];

/// Where packed weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A checkpoint, whose tensors are read one by one.
    Checkpoint,
    /// A file that is used as it lies.
    Quantised,
}

/// Bytes that a model of these sizes needs in `precision`.
#[must_use]
pub fn needed(lm: &LmConfig, audio: &AudioConfig, precision: Precision, origin: Origin) -> u64 {
    // The largest tensor is there as floats while it is taken over.
    let reading = if origin == Origin::Checkpoint { lm.table_weights().saturating_mul(4) } else { 0 };
    let position = LaneCache::bytes_of_position(lm.n_layer, (lm.groups(), lm.head()), numbers_of(precision));
    let lanes = position.saturating_mul(LANES * POSITIONS);
    weights(lm, audio, precision).saturating_add(reading).saturating_add(lanes).saturating_add(BESIDE)
}

/// Bytes of the weights of a model of these sizes in `precision`, in memory and as a file.
#[must_use]
pub fn weights(lm: &LmConfig, audio: &AudioConfig, precision: Precision) -> u64 {
    let (table, decoder, encoder) = (lm.table_weights(), lm.weights(), audio.weights());
    match numbers_of(precision) {
        ComputeType::Float(dtype) => decoder.saturating_mul(dtype.size_in_bytes() as u64).saturating_add(encoder.saturating_mul(4)),
        // The table of embeddings has 8 bits whatever the others have, and the first layers have twice the bits.
        ComputeType::Packed(bits) => {
            let (finer_decoder, finer_encoder) = finer_weights(lm, audio, bits);
            let others = decoder.saturating_sub(table).saturating_add(finer_decoder);
            packed(others.saturating_add(encoder).saturating_add(finer_encoder), bits).saturating_add(packed(table, Bits::Eight))
        }
    }
}

/// Bytes of packed weights: a half or one each, and two for every group.
const fn packed(weights: u64, bits: Bits) -> u64 {
    let scales = weights / GROUP as u64 * 2;
    match bits {
        Bits::Four => (weights / 2).saturating_add(scales),
        Bits::Eight => weights.saturating_add(scales),
    }
}

/// Refuses a model that does not fit into `available` bytes, saying how much it needs and what would fit.
///
/// # Errors
/// `Memory` then.
pub fn check(
    name: &str,
    (lm, audio): (&LmConfig, &AudioConfig),
    (precision, origin): (Precision, Origin),
    available: Option<u64>,
) -> Result<()> {
    let need = |precision: Precision| needed(lm, audio, precision, origin);
    let Some(available) = available.filter(|available| need(precision) > *available) else { return Ok(()) };
    let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let smaller: Vec<Precision> = OFFERED.into_iter().filter(|offer| need(*offer) < need(precision)).collect();
    let advice = match (smaller.iter().find(|offer| need(**offer) <= available), smaller.last()) {
        (Some(fits), _) => format!("--precision {} needs {} and would fit", fits.name(), gb(need(*fits))),
        (None, Some(least)) => format!("even --precision {} needs {}", least.name(), gb(need(*least))),
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

/// Bytes that may be taken without driving anything out to the swap; None where the system does not say.
#[must_use]
pub fn available() -> Option<u64> {
    let machine = available_of(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let group = group.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("0::/")));
    let root = Path::new("/sys/fs/cgroup");
    let left = [Some(root.to_owned()), group.map(|own| root.join(own))].into_iter().flatten().filter_map(|dir| {
        let number = |name: &str| fs::read_to_string(dir.join(name)).ok()?.trim().parse::<u64>().ok();
        Some(number("memory.max")?.saturating_sub(number("memory.current")?))
    });
    Some(left.fold(machine, u64::min))
}

fn available_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok().map(|kb| kb * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(precision: Precision, gb: f64) -> Option<String> {
        let sizes = (LmConfig::released_3b(), AudioConfig::released_3b());
        let available = Some((gb * 1e9) as u64);
        check("3b", (&sizes.0, &sizes.1), (precision, Origin::Quantised), available).err().map(|e| e.message().to_owned())
    }

    #[test]
    fn the_3b_model_needs_what_it_was_measured_to_need() {
        let need = |p, origin| needed(&LmConfig::released_3b(), &AudioConfig::released_3b(), p, origin) as f64 / 1e9;
        assert!((17.0..17.5).contains(&need(Precision::F32, Origin::Quantised)), "{}", need(Precision::F32, Origin::Quantised));
        assert!((3.0..3.2).contains(&need(Precision::Q4, Origin::Quantised)), "{}", need(Precision::Q4, Origin::Quantised));
        assert!(need(Precision::Q4, Origin::Checkpoint) > need(Precision::Q4, Origin::Quantised) + 1.0);
    }

    #[test]
    fn a_model_without_room_is_refused_with_what_would_fit() {
        assert_eq!(refused(Precision::F32, 64.0), None);
        assert_eq!(refused(Precision::Q4, 3.2), None);
        let why = refused(Precision::F32, 8.0).unwrap();
        assert!(why.contains("17.2 GB") && why.contains("8.0 GB are free") && why.contains("--precision q8 needs 4.8 GB"), "{why}");
        let why = refused(Precision::F32, 4.0).unwrap();
        assert!(why.contains("--precision q4 needs 3.1 GB and would fit"), "{why}");
        let why = refused(Precision::Q8, 1.0).unwrap();
        assert!(why.contains("even --precision q4 needs 3.1 GB"), "{why}");
        let why = refused(Precision::Q4, 1.0).unwrap();
        assert!(why.contains("nothing smaller"), "{why}");
        let sizes = (LmConfig::released_3b(), AudioConfig::released_3b());
        assert!(check("3b", (&sizes.0, &sizes.1), (Precision::F32, Origin::Checkpoint), None).is_ok(), "unknown is not refused");
    }

    #[test]
    fn what_is_free_is_read_from_the_system() {
        assert_eq!(available_of("MemTotal: 10 kB\nMemAvailable:    2048 kB\n"), Some(2_097_152));
        assert_eq!(available_of("MemAvailable: many"), None);
        assert_eq!(available_of(""), None);
        if cfg!(target_os = "linux") {
            assert!(available().is_some());
        }
    }
}
