//! The choice of a precision: by memory, disk and measured speed for preparing a model; by fixed rules for loading a folder.
//!
//! Responsible for the choice and its reason. Not responsible for writing the weights (`quantised`).

use std::path::Path;

use candle_core::Device;

use super::config::{AudioConfig, LmConfig, ModelSizes};
use super::hardware::{FloatProducts, float_products};
use super::memory::{self, WeightSource};
use super::speed::Costs;
use super::{checkpoint, quantised_file};
use crate::config::Precision;
use crate::error::Result;

/// Largest number of decoder weights that a processor of today computes as floats in real time: at 13 positions a chunk and 20 GB/s.
pub(super) const FLOAT_WEIGHTS: u64 = 500_000_000;
/// Number of modes that should run in real time in the chosen precision: all built-in ones.
const MODES: usize = 4;
/// Number of positions in the cache while measuring: half the default context window, a lane's average.
const CONTEXT: usize = 1_024;
/// Number of repetitions of each measurement; the median counts.
const RUNS: usize = 5;
/// Divisor of the machine's memory that gives the largest size of a model: half.
const MEMORY_PARTS: u64 = 2;

/// Returns the precision in which the checkpoint folder `dir` is loaded on `device` if the user names none.
///
/// bf16 on a GPU. On the CPU, a folder with quantised weights and no index of a checkpoint: their precision, 4 bits if both are
/// there. Otherwise f32, or 4 bits for a model too large for floats in real time. Nothing is measured, so that every run computes
/// the same.
pub(super) fn default_precision(dir: &Path, device: &Device) -> Precision {
    if !device.is_cpu() {
        return Precision::Bf16;
    }
    if dir.is_dir() && !dir.join(checkpoint::INDEX).exists() {
        for precision in [Precision::Q4, Precision::Q8] {
            if quantised_file(dir, precision).is_some_and(|file| file.exists()) {
                return precision;
            }
        }
    }
    let weights = LmConfig::read(dir).map_or(0, |lm| lm.weights());
    if weights > FLOAT_WEIGHTS { Precision::Q4 } else { of_small_model(float_products()).0 }
}

/// Returns the precision of a model that is small enough for floats, with the reason.
const fn of_small_model(floats: FloatProducts) -> (Precision, &'static str) {
    match floats {
        FloatProducts::Work => (Precision::F32, "32-bit floats: the model is small, and they lose nothing"),
        FloatProducts::Fail => (Precision::Q8, "8 bits: the model is small, and this processor has FMA without AVX2, where floats fail"),
    }
}

/// The precision chosen for preparing a model, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrecisionChoice {
    /// The precision in which to prepare the model.
    pub precision: Precision,
    /// Number of built-in modes that keep up with it, by estimate.
    pub modes: usize,
    /// The reason for the user, beginning with the precision's name and without a full stop ("4 bits: 0.4 s of sound take …").
    pub reason: String,
}

/// Memory and disk of this machine, in bytes; a figure that is None rules no precision out.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineResources {
    /// All memory of the machine, free or not.
    pub memory: Option<u64>,
    /// Free space on the disk for the prepared weights.
    pub disk: Option<u64>,
}

/// A precision that may be chosen, with its measured costs.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The precision that was measured.
    pub precision: Precision,
    /// Costs of a session's steps in this precision.
    pub costs: Costs,
    /// Number of modes that run in real time, up to the number asked for.
    pub lanes: usize,
}

impl Candidate {
    /// Makes a candidate from measured `costs`; at most `most` modes are counted.
    #[must_use]
    pub fn new(precision: Precision, costs: Costs, most: usize) -> Self {
        Self { precision, costs, lanes: costs.lanes_in_real_time(most) }
    }

    /// Returns the value of the candidate to maximise: the number of modes that keep up, then true if they keep up with continuous speech
    /// as well.
    fn score(&self) -> (usize, bool) {
        (self.lanes, self.costs.keeps_up_with_speech(self.lanes))
    }
}

/// Returns the candidate with which most modes keep up, preferably with continuous speech too; among equals the first, so the
/// caller lists more bits first. If no mode keeps up with any, returns the fastest. Returns None for no candidates.
#[must_use]
pub fn best(candidates: &[Candidate]) -> Option<&Candidate> {
    let most = candidates.iter().map(Candidate::score).max()?;
    if most.0 == 0 {
        return candidates.iter().min_by(|a, b| a.costs.chunk_ms(1).total_cmp(&b.costs.chunk_ms(1)));
    }
    candidates.iter().find(|c| c.score() == most)
}

/// Chooses the precision in which to prepare the checkpoint folder `dir` for this machine's speed and these `resources`: f32 for a
/// small model, else 8 or 4 bits by estimated costs. Takes two seconds at most. 4 bits are chosen even if they do not fit.
///
/// # Errors
/// When the configuration in `dir` cannot be read.
pub fn choose_precision(dir: &Path, resources: MachineResources) -> Result<PrecisionChoice> {
    let (lm, audio) = (LmConfig::read(dir)?, AudioConfig::read(dir)?);
    let sizes = ModelSizes { lm: &lm, audio: &audio };
    Ok(choose(sizes, resources, |precision| Costs::estimate(sizes, precision, CONTEXT, RUNS)))
}

/// Chooses as [`choose_precision`] does for the released 3B model, whose sizes are known before it is downloaded.
#[must_use]
pub fn choose_for_release(resources: MachineResources) -> PrecisionChoice {
    let (lm, audio) = (LmConfig::released_3b(), AudioConfig::released_3b());
    let sizes = ModelSizes { lm: &lm, audio: &audio };
    choose(sizes, resources, |precision| Costs::estimate(sizes, precision, CONTEXT, RUNS))
}

/// Chooses as [`choose_precision`] does, with the costs that `measure` returns; a precision that cannot be measured is left out.
fn choose(sizes: ModelSizes<'_>, resources: MachineResources, measure: impl Fn(Precision) -> Result<Costs>) -> PrecisionChoice {
    if sizes.lm.weights() <= FLOAT_WEIGHTS {
        let (precision, why) = of_small_model(float_products());
        return PrecisionChoice { precision, modes: MODES, reason: why.to_owned() };
    }
    let (mut candidates, mut refused) = (Vec::new(), None);
    // More bits first; the fewest are always measured, for want of an alternative.
    for precision in [Precision::Q8, Precision::Q4] {
        if precision != Precision::Q4 {
            refused = space_refusal(sizes, precision, resources);
            if refused.is_some() {
                continue;
            }
        }
        match measure(precision) {
            Ok(costs) => candidates.push(Candidate::new(precision, costs, MODES)),
            Err(error) => refused = Some(format!("{} cannot be measured here ({})", label(precision), error.message())),
        }
        if candidates.last().is_some_and(|c| c.lanes == MODES) {
            break;
        }
    }
    let Some(chosen) = best(&candidates) else {
        let reason = format!("4 bits, the fastest: {}", refused.unwrap_or_default());
        return PrecisionChoice { precision: Precision::Q4, modes: 0, reason };
    };
    PrecisionChoice { precision: chosen.precision, modes: chosen.lanes, reason: reason_text(chosen, &candidates, refused) }
}

/// Returns the reason for which `precision` is ruled out: more than half of the machine's memory, or more than the free disk.
/// Returns None if neither holds.
fn space_refusal(sizes: ModelSizes<'_>, precision: Precision, resources: MachineResources) -> Option<String> {
    let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let needed = memory::needed(sizes, precision, WeightSource::Quantised);
    if let Some(memory) = resources.memory.filter(|memory| needed > memory / MEMORY_PARTS) {
        return Some(format!("{} would take {} of this machine's {} of memory", label(precision), gb(needed), gb(memory)));
    }
    let written = memory::weights(sizes, precision);
    let disk = resources.disk.filter(|disk| written > *disk)?;
    Some(format!("{} would take {} of the disk, which has {} to give", label(precision), gb(written), gb(disk)))
}

/// Returns the reason for the choice of `chosen`: its speed, that of another candidate if there is one, and the reason for which a
/// precision was `refused`.
fn reason_text(chosen: &Candidate, candidates: &[Candidate], refused: Option<String>) -> String {
    let ms = |c: &Candidate| format!("{:.0} ms", c.costs.chunk_ms(1));
    let modes = |n: usize| format!("{n} mode{}", if n == 1 { "" } else { "s" });
    let name = label(chosen.precision);
    let mut why = match chosen.lanes {
        0 => format!("{name}, the fastest; yet 0.4 s of sound take {}: as busy as this machine is now, it is too slow", ms(chosen)),
        n => format!("{name}: 0.4 s of sound take {} here, and {} can keep up", ms(chosen), modes(n)),
    };
    if let Some(other) = candidates.iter().find(|c| c.precision != chosen.precision) {
        let speech =
            if chosen.lanes == other.lanes && chosen.score().1 && !other.score().1 { ", but not with speech without a pause" } else { "" };
        why += &format!("; in {} {} and {}{speech}", label(other.precision), ms(other), modes(other.lanes));
    }
    refused.map_or(why.clone(), |refused| format!("{why}; {refused}"))
}

/// Returns the name of `precision` for the user.
const fn label(precision: Precision) -> &'static str {
    match precision {
        Precision::Q8 => "8 bits",
        Precision::Q4 => "4 bits",
        Precision::F32 => "32-bit floats",
        Precision::Bf16 => "16-bit floats",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn small_model_is_computed_in_8_bits_where_floats_fail() {
        assert_eq!(of_small_model(FloatProducts::Work).0, Precision::F32);
        assert_eq!(of_small_model(FloatProducts::Fail).0, Precision::Q8);
    }

    fn costs(listen_ms: f64, decode_ms: f64) -> Costs {
        Costs { encode_ms: 40.0, listen_ms, further_ms: 80.0, decode_ms }
    }

    fn candidate(precision: Precision, listen_ms: f64) -> Candidate {
        Candidate::new(precision, costs(listen_ms, 60.0), 4)
    }

    fn of_3b(resources: MachineResources, measure: impl Fn(Precision) -> Result<Costs>) -> PrecisionChoice {
        choose(ModelSizes { lm: &LmConfig::released_3b(), audio: &AudioConfig::released_3b() }, resources, measure)
    }

    fn chosen(memory_gb: f64, disk_gb: f64, eight: Costs, four: Costs) -> PrecisionChoice {
        let bytes = |gb: f64| Some((gb * 1e9) as u64);
        let resources = MachineResources { memory: bytes(memory_gb), disk: bytes(disk_gb) };
        of_3b(resources, |precision| Ok(if precision == Precision::Q8 { eight } else { four }))
    }

    #[test]
    fn more_bits_are_chosen_only_if_they_cost_no_mode() {
        let (eight, four) = (candidate(Precision::Q8, 200.0), candidate(Precision::Q4, 120.0));
        assert_eq!((eight.lanes, four.lanes), (1, 2));
        assert_eq!(best(&[eight, four]).unwrap().precision, Precision::Q4);
        let equal = [candidate(Precision::Q8, 130.0), candidate(Precision::Q4, 120.0)];
        assert_eq!(best(&equal).unwrap().precision, Precision::Q8);
        let slow = [candidate(Precision::Q8, 900.0), candidate(Precision::Q4, 500.0)];
        assert_eq!(best(&slow).unwrap().precision, Precision::Q4);
        assert!(best(&[]).is_none());
    }

    #[test]
    fn more_bits_are_not_chosen_if_continuous_speech_then_lags() {
        let (eight, four) = (Candidate::new(Precision::Q8, costs(220.0, 117.0), 4), Candidate::new(Precision::Q4, costs(190.0, 64.0), 4));
        assert_eq!((eight.lanes, four.lanes), (1, 1));
        assert_eq!(best(&[eight, four]).unwrap().precision, Precision::Q4);
    }

    #[test]
    fn large_model_gets_the_precision_that_keeps_up_and_a_reason() {
        let (fast, slow) = (costs(20.0, 20.0), costs(500.0, 200.0));
        let choice = chosen(64.0, 100.0, fast, fast);
        assert_eq!(choice.precision, Precision::Q8);
        assert_eq!(choice.reason, "8 bits: 0.4 s of sound take 60 ms here, and 4 modes can keep up");
        let choice = chosen(64.0, 100.0, costs(170.0, 117.0), costs(120.0, 60.0));
        assert_eq!(choice.precision, Precision::Q4);
        assert_eq!(
            choice.reason,
            "4 bits: 0.4 s of sound take 160 ms here, and 2 modes can keep up; in 8 bits 210 ms and 2 modes, but not with speech without a pause"
        );
        let choice = chosen(64.0, 100.0, slow, slow);
        assert_eq!(choice.precision, Precision::Q8, "of two that are equally fast the first is chosen");
        assert!(choice.reason.contains("540 ms: as busy as this machine is now, it is too slow"), "{}", choice.reason);
    }

    #[test]
    fn more_bits_are_not_chosen_if_they_exceed_memory_or_disk() {
        let fast = costs(20.0, 20.0);
        let choice = chosen(8.0, 100.0, fast, fast);
        assert_eq!(choice.precision, Precision::Q4);
        assert!(choice.reason.ends_with("; 8 bits would take 4.8 GB of this machine's 8.0 GB of memory"), "{}", choice.reason);
        let choice = chosen(64.0, 3.0, fast, fast);
        assert_eq!(choice.precision, Precision::Q4);
        assert!(choice.reason.contains("of the disk"), "{}", choice.reason);
    }

    #[test]
    fn unmeasurable_model_gets_the_fewest_bits_and_a_small_model_the_most() {
        let choice = of_3b(MachineResources::default(), |_| Err(Error::new(ErrorKind::Memory, "no room")));
        assert_eq!(choice.precision, Precision::Q4);
        assert!(choice.reason.contains("no room"), "{}", choice.reason);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
        assert_eq!(choose_precision(&folder, MachineResources::default()).unwrap().precision, Precision::F32);
    }
}
