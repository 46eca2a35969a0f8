//! In which precision a model suits this machine: by memory and disk, and by how fast the machine computes, which is measured.
//!
//! Responsible for the choice and for saying why. Not responsible for writing the weights (`quantised`), nor for what a folder
//! that is loaded without a word about precision computes in, which must be the same on every run and so is not measured.

use std::path::Path;

use super::FLOAT_WEIGHTS;
use super::config::{AudioConfig, LmConfig};
use super::memory::{self, WeightSource};
use super::speed::Costs;
use crate::config::Precision;
use crate::error::Result;

/// Modes that are to keep up: the built-in ones.
const MODES: usize = 4;
/// Positions in the cache when it is measured: half of the default window, which is what a lane holds on the average.
const CONTEXT: usize = 1_024;
/// Times that each cost is measured.
const RUNS: usize = 5;
/// The share of the machine's memory that a model may take without being in the way: one part of so many.
const MEMORY_PARTS: u64 = 2;

/// A precision, and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrecisionChoice {
    /// In what the weights are best kept.
    pub precision: Precision,
    /// The reason, as the end of a sentence about it.
    pub reason: String,
}

/// What the machine has for a model, in bytes; None where the system does not say.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineResources {
    /// Memory in all.
    pub memory: Option<u64>,
    /// What may be written to the disk.
    pub disk: Option<u64>,
}

/// What was measured of one precision.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The precision.
    pub precision: Precision,
    /// What a session costs in it.
    pub costs: Costs,
    /// How many modes keep up in it.
    pub lanes: usize,
}

impl Candidate {
    /// What `costs` mean for `precision`, where `most` modes are wanted.
    #[must_use]
    pub fn new(precision: Precision, costs: Costs, most: usize) -> Self {
        Self { precision, costs, lanes: costs.lanes_in_real_time(most) }
    }

    /// What counts: modes that keep up, then whether they do while somebody speaks without a pause.
    fn score(&self) -> (usize, bool) {
        (self.lanes, self.costs.keeps_up_with_speech(self.lanes))
    }
}

/// The one in which most keeps up; among equals the first, which should have more bits. Where nothing keeps up, the fastest.
#[must_use]
pub fn best(candidates: &[Candidate]) -> Option<&Candidate> {
    let most = candidates.iter().map(Candidate::score).max()?;
    if most.0 == 0 {
        return candidates.iter().min_by(|a, b| a.costs.chunk_ms(1).total_cmp(&b.costs.chunk_ms(1)));
    }
    candidates.iter().find(|c| c.score() == most)
}

/// In what the checkpoint folder `dir` is best prepared for this machine, which has `room`. Takes two seconds at the most.
///
/// # Errors
/// When its configuration cannot be read.
pub fn choose_precision(dir: &Path, room: MachineResources) -> Result<PrecisionChoice> {
    let (lm, audio) = (LmConfig::read(dir)?, AudioConfig::read(dir)?);
    Ok(choose((&lm, &audio), room, |precision| Costs::estimate((&lm, &audio), precision, CONTEXT, RUNS)))
}

fn choose(sizes: (&LmConfig, &AudioConfig), room: MachineResources, measure: impl Fn(Precision) -> Result<Costs>) -> PrecisionChoice {
    if sizes.0.weights() <= FLOAT_WEIGHTS {
        let why = "32-bit floats: the model is small, and they lose nothing".to_owned();
        return PrecisionChoice { precision: Precision::F32, reason: why };
    }
    let (mut candidates, mut refused) = (Vec::new(), None);
    // More bits first; the fewest are always tried, for there is nothing else.
    for precision in [Precision::Q8, Precision::Q4] {
        if precision != Precision::Q4 {
            refused = space_refusal(sizes, precision, room);
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
        return PrecisionChoice { precision: Precision::Q4, reason: format!("4 bits, the fastest: {}", refused.unwrap_or_default()) };
    };
    PrecisionChoice { precision: chosen.precision, reason: reason_text(chosen, &candidates, refused) }
}

/// Why `precision` has no room on this machine, if it has none.
fn space_refusal((lm, audio): (&LmConfig, &AudioConfig), precision: Precision, room: MachineResources) -> Option<String> {
    let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let needed = memory::needed(lm, audio, precision, WeightSource::Quantised);
    if let Some(memory) = room.memory.filter(|memory| needed > memory / MEMORY_PARTS) {
        return Some(format!("{} would take {} of this machine's {} of memory", label(precision), gb(needed), gb(memory)));
    }
    let written = memory::weights(lm, audio, precision);
    let disk = room.disk.filter(|disk| written > *disk)?;
    Some(format!("{} would take {} of the disk, which has {} to give", label(precision), gb(written), gb(disk)))
}

fn reason_text(chosen: &Candidate, candidates: &[Candidate], refused: Option<String>) -> String {
    let ms = |c: &Candidate| format!("{:.0} ms", c.costs.chunk_ms(1));
    let modes = |n: usize| format!("{n} mode{}", if n == 1 { "" } else { "s" });
    let words = label(chosen.precision);
    let mut why = match chosen.lanes {
        0 => format!("{words}, the fastest; yet 0.4 s of sound take {}: as busy as this machine is now, it is too slow", ms(chosen)),
        n => format!("{words}: 0.4 s of sound take {} here, and {} can keep up", ms(chosen), modes(n)),
    };
    if let Some(other) = candidates.iter().find(|c| c.precision != chosen.precision) {
        let speech =
            if chosen.lanes == other.lanes && chosen.score().1 && !other.score().1 { ", but not with speech without a pause" } else { "" };
        why += &format!("; in {} {} and {}{speech}", label(other.precision), ms(other), modes(other.lanes));
    }
    refused.map_or(why.clone(), |refused| format!("{why}; {refused}"))
}

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

    fn costs(listen_ms: f64, decode_ms: f64) -> Costs {
        Costs { encode_ms: 40.0, listen_ms, further_ms: 80.0, decode_ms }
    }

    fn candidate(precision: Precision, listen_ms: f64) -> Candidate {
        Candidate::new(precision, costs(listen_ms, 60.0), 4)
    }

    fn chosen(memory_gb: f64, disk_gb: f64, eight: Costs, four: Costs) -> PrecisionChoice {
        let bytes = |gb: f64| Some((gb * 1e9) as u64);
        let room = MachineResources { memory: bytes(memory_gb), disk: bytes(disk_gb) };
        let sizes = (LmConfig::released_3b(), AudioConfig::released_3b());
        choose((&sizes.0, &sizes.1), room, |precision| Ok(if precision == Precision::Q8 { eight } else { four }))
    }

    #[test]
    fn more_bits_are_taken_only_where_they_cost_no_mode() {
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
    fn more_bits_are_not_taken_where_they_make_speech_lag() {
        let (eight, four) = (Candidate::new(Precision::Q8, costs(220.0, 117.0), 4), Candidate::new(Precision::Q4, costs(190.0, 64.0), 4));
        assert_eq!((eight.lanes, four.lanes), (1, 1));
        assert_eq!(best(&[eight, four]).unwrap().precision, Precision::Q4);
    }

    #[test]
    fn the_precision_of_a_large_model_is_the_one_that_keeps_up_and_the_reason_is_said() {
        let (fast, slow) = (costs(20.0, 20.0), costs(500.0, 200.0));
        let suited = chosen(64.0, 100.0, fast, fast);
        assert_eq!(suited.precision, Precision::Q8);
        assert_eq!(suited.reason, "8 bits: 0.4 s of sound take 60 ms here, and 4 modes can keep up");
        let suited = chosen(64.0, 100.0, costs(170.0, 117.0), costs(120.0, 60.0));
        assert_eq!(suited.precision, Precision::Q4);
        assert_eq!(
            suited.reason,
            "4 bits: 0.4 s of sound take 160 ms here, and 2 modes can keep up; in 8 bits 210 ms and 2 modes, but not with speech without a pause"
        );
        let suited = chosen(64.0, 100.0, slow, slow);
        assert_eq!(suited.precision, Precision::Q8, "nothing is faster than the first of two that are as fast");
        assert!(suited.reason.contains("540 ms: as busy as this machine is now, it is too slow"), "{}", suited.reason);
    }

    #[test]
    fn more_bits_are_not_taken_where_memory_or_disk_have_no_room_for_them() {
        let fast = costs(20.0, 20.0);
        let suited = chosen(8.0, 100.0, fast, fast);
        assert_eq!(suited.precision, Precision::Q4);
        assert!(suited.reason.ends_with("; 8 bits would take 4.8 GB of this machine's 8.0 GB of memory"), "{}", suited.reason);
        let suited = chosen(64.0, 3.0, fast, fast);
        assert_eq!(suited.precision, Precision::Q4);
        assert!(suited.reason.contains("of the disk"), "{}", suited.reason);
    }

    #[test]
    fn what_cannot_be_measured_gets_the_fewest_bits_and_a_small_model_the_most() {
        let sizes = (LmConfig::released_3b(), AudioConfig::released_3b());
        let suited = choose((&sizes.0, &sizes.1), MachineResources::default(), |_| Err(Error::new(ErrorKind::Memory, "no room")));
        assert_eq!(suited.precision, Precision::Q4);
        assert!(suited.reason.contains("no room"), "{}", suited.reason);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
        assert_eq!(choose_precision(&folder, MachineResources::default()).unwrap().precision, Precision::F32);
    }
}
