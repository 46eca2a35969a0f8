//! One reader for each kind of value, so that the command line and the settings file mean the same by the same words.
//!
//! Each returns the value or a sentence that says what would have been right; where it stood is the caller's to add.

use std::path::PathBuf;

use super::long_running::{ContextPolicy, Sensitivity};
use super::modes::Language;
use super::request::Scenario;
use super::{ComputeDevice, Precision};
use crate::protocol::ModelChoice;

/// The longest silence after a file, in seconds: a day. More is a slip of the finger.
const GAP_LIMIT_SECS: f64 = 86_400.0;
/// More threads than any machine has cores.
const THREADS_LIMIT: usize = 1_024;
/// A bias beyond this decides alone, whatever the model thinks: logits are a few tens at most.
const EAGERNESS_LIMIT: f32 = 1_000.0;
/// The model was never used past this position (MODEL.md section 4.4).
const POSITIONS_LIMIT: usize = 4_096;
/// A window that is smaller holds no conversation: the longest opening, a reply and some seconds.
const LEAST_WINDOW: usize = 512;
/// More lanes than there could be modes of use.
const LANES_LIMIT: usize = 64;

type Reading<T> = Result<T, String>;

/// An eagerness, for all modes when no name is given.
pub(super) type Eagerness = (Option<String>, f32);

pub(super) fn model(text: &str) -> Reading<ModelChoice> {
    match text {
        "" => Err("expected `starter`, `3b` or a checkpoint folder".to_owned()),
        "starter" => Ok(ModelChoice::Starter),
        "3b" => Ok(ModelChoice::ThreeB),
        folder => Ok(ModelChoice::Dir(PathBuf::from(folder))),
    }
}

pub(super) fn precision(text: &str) -> Reading<Precision> {
    match text {
        "f32" => Ok(Precision::F32),
        "bf16" => Ok(Precision::Bf16),
        "q8" => Ok(Precision::Q8),
        "q4" => Ok(Precision::Q4),
        _ => Err("expected f32, bf16, q8 or q4".to_owned()),
    }
}

pub(super) fn scenario(text: &str) -> Reading<Scenario> {
    let known = [Scenario::Quiet, Scenario::Dialog, Scenario::Speech];
    known.into_iter().find(|scenario| scenario.name() == text).ok_or_else(|| "expected quiet, dialog or speech".to_owned())
}

pub(super) fn device(text: &str) -> Reading<ComputeDevice> {
    let (device, built_in) = match text {
        "cpu" => (ComputeDevice::Cpu, true),
        "cuda" => (ComputeDevice::Cuda, cfg!(feature = "cuda")),
        "metal" => (ComputeDevice::Metal, cfg!(feature = "metal")),
        _ => return Err("expected cpu, cuda or metal".to_owned()),
    };
    if built_in { Ok(device) } else { Err(format!("this build has no {text}: build with `--features {text}`, or use cpu")) }
}

pub(super) fn language(text: &str) -> Reading<Language> {
    match text {
        "zh" => Ok(Language::Chinese),
        "en" => Ok(Language::English),
        _ => Err("expected zh or en".to_owned()),
    }
}

pub(super) fn on_off(text: &str) -> Reading<bool> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

pub(super) fn gap_secs(text: &str) -> Reading<f64> {
    number(text, 0.0, GAP_LIMIT_SECS).map_err(|_| format!("expected seconds of silence, 0 to {GAP_LIMIT_SECS}"))
}

pub(super) fn temperature(text: &str) -> Reading<f64> {
    number(text, 0.0, 100.0).map_err(|_| "expected a temperature, 0 (greedy) to 100".to_owned())
}

/// How fast a voice speaks: half as fast as it would to twice as fast.
pub(super) fn speed(text: &str) -> Reading<f32> {
    number(text, 0.5, 2.0).map(|speed| speed as f32).map_err(|()| "expected a speed, 0.5 to 2.0".to_owned())
}

pub(super) fn threads(text: &str) -> Reading<usize> {
    count(text, THREADS_LIMIT, "threads")
}

pub(super) fn positions(text: &str) -> Reading<usize> {
    count(text, POSITIONS_LIMIT, "positions")
}

/// What a lane keeps in mind.
pub(super) fn context(text: &str) -> Reading<ContextPolicy> {
    let names = || ContextPolicy::ALL.map(ContextPolicy::name).join(", ");
    ContextPolicy::ALL.into_iter().find(|policy| policy.name() == text).ok_or_else(|| format!("expected one of {}", names()))
}

/// How readily the quiet gate opens.
pub(super) fn sensitivity(text: &str) -> Reading<Sensitivity> {
    match text {
        "low" => Ok(Sensitivity::Low),
        "normal" => Ok(Sensitivity::Normal),
        "high" => Ok(Sensitivity::High),
        _ => Err("expected low, normal or high".to_owned()),
    }
}

/// Positions of a lane's window.
pub(super) fn window(text: &str) -> Reading<usize> {
    let expected = || format!("expected a number of positions, {LEAST_WINDOW} to {POSITIONS_LIMIT}");
    positions(text).ok().filter(|positions| *positions >= LEAST_WINDOW).ok_or_else(expected)
}

pub(super) fn lanes(text: &str) -> Reading<usize> {
    count(text, LANES_LIMIT, "lanes")
}

pub(super) fn top_k(text: &str) -> Reading<usize> {
    count(text, usize::MAX, "candidates")
}

pub(super) fn mode_names(text: &str) -> Reading<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim) {
        if name.is_empty() {
            return Err("expected names of modes with one comma between them".to_owned());
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// `B`, for the one mode that is used.
pub(super) fn one_eagerness(text: &str) -> Reading<f32> {
    bias(text).map_err(|_| format!("expected a number from -{EAGERNESS_LIMIT} to {EAGERNESS_LIMIT}"))
}

/// `B`, or `mode=B,mode=B`.
pub(super) fn eagerness(text: &str) -> Reading<Vec<Eagerness>> {
    text.split(',')
        .map(|part| match part.split_once('=') {
            None => Ok((None, bias(part)?)),
            Some((mode, value)) if !mode.trim().is_empty() => Ok((Some(mode.trim().to_owned()), bias(value)?)),
            Some(_) => Err("expected the name of a mode before `=`".to_owned()),
        })
        .collect()
}

fn bias(text: &str) -> Reading<f32> {
    let value = text.trim().parse().map_err(|_| ());
    value.and_then(checked_bias).map_err(|()| format!("expected a number from -{EAGERNESS_LIMIT} to {EAGERNESS_LIMIT}, or mode=number,…"))
}

/// The bias, when it is one that leaves the model something to decide.
pub(super) fn checked_bias(value: f32) -> Result<f32, ()> {
    if value.abs() <= EAGERNESS_LIMIT { Ok(value) } else { Err(()) }
}

fn number(text: &str, least: f64, most: f64) -> Result<f64, ()> {
    let value: f64 = text.trim().parse().map_err(|_| ())?;
    if (least..=most).contains(&value) { Ok(value) } else { Err(()) }
}

fn count(text: &str, most: usize, of_what: &str) -> Reading<usize> {
    match text.trim().parse() {
        Ok(value) if (1..=most).contains(&value) => Ok(value),
        _ if most == usize::MAX => Err(format!("expected a number of {of_what}, 1 or more")),
        _ => Err(format!("expected a number of {of_what}, 1 to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_numbers_are_refused() {
        for text in ["NaN", "inf", "-inf", "", "x", "1e99"] {
            assert!(gap_secs(text).is_err(), "{text}");
            assert!(temperature(text).is_err(), "{text}");
            assert!(eagerness(text).is_err(), "{text}");
            assert!(threads(text).is_err(), "{text}");
        }
        assert!(gap_secs("-0.1").is_err());
        assert!(threads("0").is_err());
        assert!(threads("4.5").is_err());
    }

    #[test]
    fn eagerness_is_one_number_or_one_a_mode() {
        assert_eq!(eagerness("-1.5"), Ok(vec![(None, -1.5)]));
        assert_eq!(eagerness("dialog=2, sounds=-1"), Ok(vec![(Some("dialog".to_owned()), 2.0), (Some("sounds".to_owned()), -1.0)]));
        assert!(eagerness("=2").is_err());
        assert!(eagerness("dialog=").is_err());
    }

    #[test]
    fn a_mode_named_twice_is_on_once() {
        assert_eq!(mode_names("a,b,a"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(mode_names("a,,b").is_err());
        assert!(mode_names("").is_err());
    }

    #[test]
    fn a_model_is_a_name_or_a_folder() {
        assert_eq!(model("starter"), Ok(ModelChoice::Starter));
        assert_eq!(model("./3b"), Ok(ModelChoice::Dir(PathBuf::from("./3b"))));
        assert!(model("").is_err());
    }
}
