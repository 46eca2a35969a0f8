//! `hearken doctor`: is everything there that a session needs, and what to do about what is not.
//!
//! Responsible for looking and for saying it in one line each. Not responsible for mending anything.

mod machine;
mod microphone;

use std::io::Write;

use crate::audio::capture::{DeviceDirection, devices};
use crate::config::Settings;
use crate::console::{Completion, print};
use crate::error::Result;
use crate::hub;
use crate::model::{Model, acceleration, threads};
use crate::speech::{Language, Prosody, SpeechText, UtteranceEvent, Voice, system_voices};

/// What a check found, or what is wrong and what to do.
type Found = std::result::Result<String, String>;

/// One check: what it looks at, and how.
type Check = (&'static str, fn(&Settings) -> Found);

/// In the order in which sound goes through Hearken.
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

/// Looks at everything that a session with `settings` needs and prints a line for each as soon as it is known.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(settings: &Settings, mut out: impl Write) -> Result<Completion> {
    let mut health = Completion::Clean;
    for (name, check) in CHECKS {
        let (mark, text) = match check(settings) {
            Ok(text) => ("ok", text),
            Err(text) => {
                health = Completion::Problems;
                ("problem", text)
            }
        };
        print(&mut out, format_args!("{mark:<8} {name:<13} {text}"))?;
    }
    Ok(health)
}

fn output(_: &Settings) -> Found {
    device(DeviceDirection::Output, "replies are shown as text only; plug in speakers to hear them")
}

fn device(direction: DeviceDirection, remedy: &str) -> Found {
    let found = devices().map_err(|e| e.to_string())?;
    let of_direction = || found.iter().filter(|d| d.direction == direction);
    match of_direction().find(|d| d.is_default).or_else(|| of_direction().next()) {
        Some(device) => Ok(format!("{} ({} Hz, {} channels)", device.name, device.rate_hz, device.channels)),
        None => Err(format!("none found: {remedy}")),
    }
}

fn model(settings: &Settings) -> Found {
    let load = || {
        let found = hub::find(&settings.model, &settings.paths)?;
        Model::load(&found.folder, &found.name, settings.precision, settings.device)
    };
    load().map(|model| format!("{} loads, in {}", model.name(), model.precision().name())).map_err(|e| e.to_string())
}

fn accelerated(settings: &Settings) -> Found {
    Ok(format!("{}; {} threads", acceleration(), settings.threads.unwrap_or_else(threads)))
}

/// Says a word, without playing it.
fn voice(_: &Settings) -> Found {
    let words = SpeechText { text: "Hello.".to_owned(), language: Language::English, prosody: Prosody::new(None, 1.0) };
    let say = |voice: &mut dyn Voice| -> Result<()> {
        let mut utterance = voice.say(&words)?;
        let mut samples = Vec::new();
        while utterance.next(&mut samples)? != UtteranceEvent::End {}
        Ok(())
    };
    let mut trouble = "this Hearken was built without a voice: replies are shown as text".to_owned();
    for mut voice in system_voices() {
        match say(voice.as_mut()) {
            Ok(()) => return Ok(voice.name()),
            Err(error) => trouble = error.to_string(),
        }
    }
    Err(trouble)
}
