//! `hearken doctor`: is everything there that a session needs, and what to do about what is not.
//!
//! Responsible for looking and for saying it in one line each. Not responsible for mending anything.

use std::io::Write;

use crate::audio::capture::{Direction, Standing, devices};
use crate::config::Settings;
use crate::config::paths::make_private_folder;
use crate::error::{Error, ErrorKind, Result};
use crate::hub;
use crate::model::{Model, acceleration, threads};
use crate::speech::{Manner, Spoken, Tongue, Voice, Words, system_voices};

/// What the checks found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Everything is there.
    Fine,
    /// Something is not.
    Problems,
}

impl Health {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Problems => 1,
        }
    }
}

/// One check: what it looked at, and what it found or what is wrong and what to do.
type Check = (&'static str, std::result::Result<String, String>);

/// Looks at everything that a session with `settings` needs and prints a line for each.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(settings: &Settings, mut out: impl Write) -> Result<Health> {
    let checks: [Check; 7] = [
        ("microphone", device(Direction::Input, "plug one in or allow its use; files can be heard without (`hearken listen FILE`)")),
        ("output", device(Direction::Output, "replies are shown as text only")),
        ("voice", voice()),
        ("model", model(settings)),
        ("acceleration", Ok(format!("{}; {} threads", acceleration(), settings.threads.unwrap_or_else(threads)))),
        ("display", display()),
        ("cache folder", folder(settings)),
    ];
    let mut health = Health::Fine;
    for (name, found) in checks {
        let (mark, text) = match found {
            Ok(text) => ("ok", text),
            Err(text) => {
                health = Health::Problems;
                ("problem", text)
            }
        };
        writeln!(out, "{mark:<8} {name:<13} {text}")
            .map_err(|e| Error::new(ErrorKind::Output, format!("stdout cannot be written: {e}")))?;
    }
    Ok(health)
}

fn device(direction: Direction, remedy: &str) -> std::result::Result<String, String> {
    let found = devices().map_err(|e| e.to_string())?;
    let of_direction = || found.iter().filter(|d| d.direction == direction);
    match of_direction().find(|d| d.standing == Standing::Default).or_else(|| of_direction().next()) {
        Some(device) => Ok(format!("{} ({} Hz, {} channels)", device.name, device.rate_hz, device.channels)),
        None => Err(format!("none found: {remedy}")),
    }
}

fn model(settings: &Settings) -> std::result::Result<String, String> {
    let load = || {
        let found = hub::find(&settings.model, &settings.paths)?;
        Model::load(&found.folder, &found.name, settings.precision, settings.device)
    };
    load().map(|model| format!("{} loads, in {}", model.name(), model.precision().name())).map_err(|e| e.to_string())
}

/// Says a word, without playing it.
fn voice() -> std::result::Result<String, String> {
    let words = Words { text: "Hello.".to_owned(), tongue: Tongue::English, manner: Manner::of(None, 1.0) };
    let say = |voice: &mut dyn Voice| -> Result<()> {
        let mut utterance = voice.say(&words)?;
        let mut samples = Vec::new();
        while utterance.next(&mut samples)? != Spoken::End {}
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

fn display() -> std::result::Result<String, String> {
    if !cfg!(feature = "window") {
        return Err("this Hearken was built without a window: use `hearken listen`".into());
    }
    let needs_server = cfg!(all(unix, not(target_os = "macos")));
    let server = ["WAYLAND_DISPLAY", "DISPLAY"].into_iter().find(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    match server {
        _ if !needs_server => Ok("the system's own".into()),
        Some(name) => Ok(format!("{name} is set")),
        None => Err("no display: start it in a desktop session, or use `hearken listen`".into()),
    }
}

fn folder(settings: &Settings) -> std::result::Result<String, String> {
    let folder = &settings.paths.cache;
    make_private_folder(folder).map_err(|e| e.to_string())?;
    let probe = folder.join(format!("doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"probe");
    // It may not have come to exist.
    let _ = std::fs::remove_file(&probe);
    written.map(|()| folder.display().to_string()).map_err(|e| format!("{}: {e}: free space or allow writing", folder.display()))
}
