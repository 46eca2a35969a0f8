//! `hearken doctor`: checks everything that a session needs and prints one line for each check, with a remedy where one fails.
//!
//! Repairs nothing.

mod machine;
mod microphone;

use std::io::Write;

use crate::audio::capture::{DeviceDirection, devices};
use crate::config::Settings;
use crate::console::{Completion, print};
use crate::error::Result;
use crate::hub;
use crate::model::speed::Costs;
use crate::model::{Model, acceleration, threads};
use crate::speech::{Language, Prosody, SpeechText, UtteranceEvent, Voice, system_voices};
use crate::supervise;

/// The finding of a check as text: what was found if all is well, else (`Err`) the problem with its remedy.
type Finding = std::result::Result<String, String>;

/// A check: its name in the output and its function.
type Check = (&'static str, fn(&Settings) -> Finding);

/// The checks, in the order in which sound passes through Hearken.
const CHECKS: [Check; 10] = [
    ("microphone", microphone::check),
    ("output", output),
    ("voice", voice),
    ("model", model),
    ("acceleration", accelerated),
    ("disk", machine::disk),
    ("settings", machine::settings),
    ("cache", machine::cache),
    ("display", machine::display),
    ("notifications", machine::notifications),
];

/// Number of positions in the cache for the computation of a chunk: some seconds of listening.
const CONTEXT: usize = 128;

/// Runs all checks for a session with `settings` and prints one line for each, `ok` or `problem`, as soon as it is known. Returns
/// `Clean` if every check is ok, else `Problems`.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(settings: &Settings, mut out: impl Write) -> Result<Completion> {
    let mut completion = Completion::Clean;
    for (name, check) in CHECKS {
        let (mark, text) = match check(settings) {
            Ok(text) => ("ok", text),
            Err(text) => {
                completion = Completion::Problems;
                ("problem", text)
            }
        };
        print(&mut out, format_args!("{mark:<8} {name:<13} {text}"))?;
    }
    Ok(completion)
}

/// Checks that there is an output device. Names the system's default device, whichever output is chosen in the settings.
fn output(_: &Settings) -> Finding {
    device(DeviceDirection::Output, "replies are shown as text only; plug in speakers to hear them")
}

/// Returns name, sample rate and channels of the system's default device of `direction`, or of the first device if there is no
/// default. Without any device returns a problem that ends with `remedy`.
fn device(direction: DeviceDirection, remedy: &str) -> Finding {
    let found = devices().map_err(|e| e.to_string())?;
    let of_direction = || found.iter().filter(|d| d.direction == direction);
    match of_direction().find(|d| d.is_default).or_else(|| of_direction().next()) {
        Some(device) => Ok(format!("{} ({} Hz, {} channels)", device.name, device.rate_hz, device.channels)),
        None => Err(format!("none found: {remedy}")),
    }
}

/// Checks that the chosen model can be loaded with the chosen precision on the chosen compute device, and that it computes a chunk and a
/// token of a reply there.
fn model(settings: &Settings) -> Finding {
    let load = || {
        let found = hub::find(&settings.model, &settings.paths)?;
        Model::load(&found.folder, &found.name, settings.precision, settings.device)
    };
    let model = load().map_err(|e| e.to_string())?;
    let named = format!("{} in {}", model.name(), model.precision().name());
    match supervise::catch(|| Costs::measure(&model, CONTEXT, 1)) {
        Ok(costs) => Ok(format!("{named}: 0.4 s of sound take {:.0} ms", costs.chunk_ms(1))),
        Err(error) => Err(format!("{named} cannot compute here: {error}; try another --precision, such as q8")),
    }
}

/// Returns the acceleration of this build and the number of compute threads as text; never finds a problem.
fn accelerated(settings: &Settings) -> Finding {
    Ok(format!("{}; {} threads", acceleration(), settings.threads.unwrap_or_else(threads)))
}

/// Checks that a system voice can synthesise a word, without playing it, and names the first voice that works.
fn voice(_: &Settings) -> Finding {
    let words = SpeechText { text: "Hello.".to_owned(), language: Language::English, prosody: Prosody::new(None, 1.0) };
    let say = |voice: &mut dyn Voice| -> Result<()> {
        let mut utterance = voice.say(&words)?;
        let mut samples = Vec::new();
        while utterance.next(&mut samples)? != UtteranceEvent::End {}
        Ok(())
    };
    let mut problem = "this Hearken was built without a voice: replies are shown as text".to_owned();
    for mut voice in system_voices() {
        match say(voice.as_mut()) {
            Ok(()) => return Ok(voice.name()),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(problem)
}
