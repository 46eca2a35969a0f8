//! Readers for the values of options and settings: the same words mean the same on the command line and in the settings file.
//!
//! A reader returns the value, or a phrase that says what is expected; the caller adds where the value stood.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use super::long_running::{ContextPolicy, Sensitivity};
use super::{ComputeDevice, Precision};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::is_same_file;
use crate::protocol::{ChannelChoice, Language, ModelChoice};

/// The longest silence after a file, in seconds: a day. Anything longer is a typing error.
const MAX_GAP_SECS: f64 = 86_400.0;
/// The largest number of a channel: as many are heard (`audio::mix`).
const MAX_CHANNELS: usize = 64;
/// The largest number of compute threads: more than any machine has cores.
const MAX_THREADS: usize = 1_024;
/// The largest eagerness: logits are a few tens, so a larger bias would decide alone.
pub(super) const MAX_EAGERNESS: f32 = 1_000.0;
/// The highest temperature for sampling.
const MAX_TEMPERATURE: f64 = 100.0;
/// The range of the speed of the voice: half to twice the normal one.
const SPEEDS: (f64, f64) = (0.5, 2.0);
/// The largest size of an attention cache or context window, in positions: the last position that the model was ever used with
/// (`src/model/README.md` section 4.4).
const MAX_POSITIONS: usize = 4_096;
/// The smallest context window, in positions, that holds a conversation: the longest prompt, a reply and a few seconds.
const MIN_WINDOW: usize = 512;
/// The largest number of lanes (sessions or modes computed in one batch): more than a user has modes.
const MAX_LANES: usize = 64;

/// The value read from the text of an option or setting, or (`Err`) a phrase that says what is expected.
type ParseResult<T> = Result<T, String>;

/// The eagerness of the mode of this name, or of all modes for None.
pub(super) type Eagerness = (Option<String>, f32);

/// Reads the name or the folder of a model. Any text but `starter`, `3b` and the empty one counts as a folder; looks at no disk.
pub(super) fn model(text: &str) -> ParseResult<ModelChoice> {
    match text {
        "" => Err("expected `starter`, `3b` or a checkpoint folder".to_owned()),
        "starter" => Ok(ModelChoice::Starter),
        "3b" => Ok(ModelChoice::ThreeB),
        folder => Ok(ModelChoice::Dir(PathBuf::from(folder))),
    }
}

/// Reads the number of a channel, from 1.
pub(super) fn channel(text: &str) -> ParseResult<ChannelChoice> {
    let number = text.parse().ok().filter(|number: &NonZeroU16| usize::from(number.get()) <= MAX_CHANNELS);
    number.map(ChannelChoice::Only).ok_or_else(|| format!("expected a number from 1 to {MAX_CHANNELS}"))
}

/// Reads a numeric precision: `f32`, `bf16`, `q8` or `q4`.
pub(super) fn precision(text: &str) -> ParseResult<Precision> {
    match text {
        "f32" => Ok(Precision::F32),
        "bf16" => Ok(Precision::Bf16),
        "q8" => Ok(Precision::Q8),
        "q4" => Ok(Precision::Q4),
        _ => Err("expected f32, bf16, q8 or q4".to_owned()),
    }
}

/// Reads a compute device; one that this build does not support is an error.
pub(super) fn device(text: &str) -> ParseResult<ComputeDevice> {
    let (device, built_in) = match text {
        "cpu" => (ComputeDevice::Cpu, true),
        "cuda" => (ComputeDevice::Cuda, cfg!(feature = "cuda")),
        "metal" => (ComputeDevice::Metal, cfg!(feature = "metal")),
        _ => return Err("expected cpu, cuda or metal".to_owned()),
    };
    if built_in { Ok(device) } else { Err(format!("this build has no {text}: build with `--features {text}`, or use cpu")) }
}

/// Reads a language: `zh` or `en`.
pub(super) fn language(text: &str) -> ParseResult<Language> {
    match text {
        "zh" => Ok(Language::Chinese),
        "en" => Ok(Language::English),
        _ => Err("expected zh or en".to_owned()),
    }
}

/// Reads `on` (true) or `off` (false).
pub(super) fn on_off(text: &str) -> ParseResult<bool> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

/// Reads the silence after a file, 0 to 86,400 seconds.
pub(super) fn gap_secs(text: &str) -> ParseResult<f64> {
    number(text, 0.0, MAX_GAP_SECS).map_err(|()| format!("expected seconds of silence, 0 to {MAX_GAP_SECS}"))
}

/// Reads a sampling temperature, 0 (greedy) to 100.
pub(super) fn temperature(text: &str) -> ParseResult<f64> {
    number(text, 0.0, MAX_TEMPERATURE).map_err(|()| format!("expected a temperature, 0 (greedy) to {MAX_TEMPERATURE}"))
}

/// Reads the speed of the voice, 0.5 to 2; 1 is the normal speed.
pub(super) fn speed(text: &str) -> ParseResult<f32> {
    let (slowest, fastest) = SPEEDS;
    number(text, slowest, fastest).map(|speed| speed as f32).map_err(|()| format!("expected a speed, {slowest:.1} to {fastest:.1}"))
}

/// Reads a number of compute threads, 1 to 1,024.
pub(super) fn threads(text: &str) -> ParseResult<usize> {
    count(text, MAX_THREADS, "threads")
}

/// Reads a number of positions, 1 to 4,096.
pub(super) fn positions(text: &str) -> ParseResult<usize> {
    count(text, MAX_POSITIONS, "positions")
}

/// Reads the name of a context policy ([`ContextPolicy::name`]).
pub(super) fn context(text: &str) -> ParseResult<ContextPolicy> {
    let names = || ContextPolicy::ALL.map(ContextPolicy::name).join(", ");
    ContextPolicy::ALL.into_iter().find(|policy| policy.name() == text).ok_or_else(|| format!("expected one of {}", names()))
}

/// Reads the sensitivity of the quiet gate: `low`, `normal` or `high`.
pub(super) fn sensitivity(text: &str) -> ParseResult<Sensitivity> {
    match text {
        "low" => Ok(Sensitivity::Low),
        "normal" => Ok(Sensitivity::Normal),
        "high" => Ok(Sensitivity::High),
        _ => Err("expected low, normal or high".to_owned()),
    }
}

/// Reads the size of a mode's context window, 512 to 4,096 positions.
pub(super) fn window(text: &str) -> ParseResult<usize> {
    let expected = || format!("expected a number of positions, {MIN_WINDOW} to {MAX_POSITIONS}");
    positions(text).ok().filter(|positions| *positions >= MIN_WINDOW).ok_or_else(expected)
}

/// Reads a number of lanes (sessions or modes computed in one batch), 1 to 64.
pub(super) fn lanes(text: &str) -> ParseResult<usize> {
    count(text, MAX_LANES, "lanes")
}

/// Reads the number of candidate tokens for sampling, 1 or more.
pub(super) fn top_k(text: &str) -> ParseResult<usize> {
    count(text, usize::MAX, "candidates")
}

/// Reads names of modes with commas between them. A repeated name counts once; an empty name is an error. Does not check that the
/// modes exist.
pub(super) fn mode_names(text: &str) -> ParseResult<Vec<String>> {
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

/// Reads one eagerness, -1,000 to 1,000, without the name of a mode.
pub(super) fn one_eagerness(text: &str) -> ParseResult<f32> {
    bias(text).map_err(|()| expected_eagerness())
}

/// Reads eagerness as `B` (all modes), `mode=B,mode=B`, or a mixture; the order is kept. A mode that is named
/// twice is an error. Does not check that the modes exist.
pub(super) fn eagerness(text: &str) -> ParseResult<Vec<Eagerness>> {
    let read = |value| bias(value).map_err(|()| format!("{}, or mode=number,…", expected_eagerness()));
    let all: Vec<Eagerness> = text
        .split(',')
        .map(|part| match part.split_once('=') {
            None => Ok((None, read(part)?)),
            Some((mode, value)) if !mode.trim().is_empty() => Ok((Some(mode.trim().to_owned()), read(value)?)),
            Some(_) => Err("expected the name of a mode before `=`".to_owned()),
        })
        .collect::<ParseResult<_>>()?;
    let twice = all.iter().enumerate().find(|(at, (mode, _))| all[..*at].iter().any(|(before, _)| before == mode));
    match twice {
        Some((_, (Some(mode), _))) => Err(format!("expected one number for {mode}")),
        Some((_, (None, _))) => Err("expected one number for all modes".to_owned()),
        None => Ok(all),
    }
}

fn bias(text: &str) -> Result<f32, ()> {
    text.trim().parse().map_err(|_| ()).and_then(checked_bias)
}

/// Returns `value` if it is an allowed eagerness, -1,000 to 1,000, else (also for NaN) an error.
pub(super) fn checked_bias(value: f32) -> Result<f32, ()> {
    if value.abs() <= MAX_EAGERNESS { Ok(value) } else { Err(()) }
}

/// Returns the error phrase for a value that is not an allowed eagerness, which names the expected range.
pub(super) fn expected_eagerness() -> String {
    format!("expected a number from -{MAX_EAGERNESS} to {MAX_EAGERNESS}")
}

fn number(text: &str, least: f64, most: f64) -> Result<f64, ()> {
    let value: f64 = text.trim().parse().map_err(|_| ())?;
    if (least..=most).contains(&value) { Ok(value) } else { Err(()) }
}

/// Reads a whole number from 1 to `most`; `unit` names the counted things in the error.
pub(super) fn count(text: &str, most: usize, unit: &str) -> ParseResult<usize> {
    match text.trim().parse() {
        Ok(value) if (1..=most).contains(&value) => Ok(value),
        _ if most == usize::MAX => Err(format!("expected a number of {unit}, 1 or more")),
        _ => Err(format!("expected a number of {unit}, 1 to {most}")),
    }
}

/// Returns an `Arguments` error with the remedy to look at the help.
pub(super) fn arguments_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Arguments, message).with_remedy(Remedy::CheckCommandLine)
}

/// Returns an error that names `option` if the output file `out` is one of the files `inputs` under any name, which writing would
/// destroy.
pub(super) fn refuse_to_overwrite<'a>(inputs: impl IntoIterator<Item = &'a PathBuf>, out: &Path, option: &str) -> Result<()> {
    if inputs.into_iter().any(|input| is_same_file(input, out)) { Err(would_be_overwritten(out, option)) } else { Ok(()) }
}

/// Returns the error about the output file `out` of `option`, which is also heard.
pub(super) fn would_be_overwritten(out: &Path, option: &str) -> Error {
    arguments_error(format!("{option} {}: this is one of the files to listen to and would be overwritten", out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_a_number_in_range_is_refused() {
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
    fn eagerness_is_one_number_or_a_number_for_each_mode() {
        assert_eq!(eagerness("-1.5"), Ok(vec![(None, -1.5)]));
        assert_eq!(eagerness("dialog=2, sounds=-1"), Ok(vec![(Some("dialog".to_owned()), 2.0), (Some("sounds".to_owned()), -1.0)]));
        assert_eq!(eagerness("1,dialog=2").map(|all| all.len()), Ok(2), "a number for all, and another for one");
        assert!(eagerness("dialog=1,dialog=2").is_err_and(|why| why.contains("dialog")) && eagerness("1,2").is_err());
        assert!(eagerness("=2").is_err());
        assert!(eagerness("dialog=").is_err());
    }

    #[test]
    fn a_repeated_mode_counts_once() {
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
