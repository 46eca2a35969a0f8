//! Which models there are and where they lie.
//!
//! The model that is built in is unpacked once into the cache folder under the SHA-256 of its files and then loaded like
//! any other checkpoint folder. Nothing here opens a socket: downloads are not part of this version.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::config::{Paths, QuantiseOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::model;
use crate::protocol::ModelChoice;

/// A model that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its checkpoint folder.
    pub folder: PathBuf,
    /// How events call it.
    pub name: String,
}

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../models/starter/", $name)))),*]
    };
}

/// The files of the starter, the model that is built in.
const STARTER: &[(&str, &[u8])] = builtin![
    "audiointeraction_ChunkwisedEncoder.pth",
    "model-00001-of-00001.safetensors",
    "model.safetensors.index.json",
    "model_config.yaml",
    "phrases.toml",
    "qwen25OmniConfig/config.json",
    "token_ids.json",
    "tokenizer.json",
];

/// Finds the model `choice`, unpacking the built-in one where that has not been done.
///
/// # Errors
/// When it is not here, or cannot be unpacked anywhere.
pub fn find(choice: &ModelChoice, paths: &Paths) -> Result<Found> {
    match choice {
        ModelChoice::Starter => {
            let folder = unpack(&[paths.cache.join("models"), std::env::temp_dir().join("hearken")])?;
            Ok(Found { folder, name: "starter".into() })
        }
        ModelChoice::ThreeB => {
            let why = "the 3B model cannot be downloaded by this version; fetch its folder yourself and give it with --model FOLDER";
            Err(Error::new(ErrorKind::Model, why))
        }
        ModelChoice::Dir(folder) => {
            let name = folder.file_name().map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into_owned());
            Ok(Found { folder: folder.clone(), name })
        }
    }
}

/// Prints the folder of the model `choice`.
///
/// # Errors
/// When it is not here, or `out` cannot be written.
pub fn print_path(choice: &ModelChoice, paths: &Paths, mut out: impl Write) -> Result<()> {
    let found = find(choice, paths)?;
    writeln!(out, "{}", found.folder.display()).map_err(unwritable)
}

/// Writes the weights of a model in fewer bits, with progress on `notes`, and prints the file's path.
///
/// # Errors
/// When the model is not here or damaged, or the file cannot be written.
pub fn quantise(options: &QuantiseOptions, paths: &Paths, mut out: impl Write, mut notes: impl Write) -> Result<()> {
    let found = find(&options.model, paths)?;
    let folder = options.out.as_ref().unwrap_or(&found.folder);
    let begun = Instant::now();
    let mut shown = None;
    let file = model::quantise(&found.folder, options.precision, folder, |done, all| {
        let percent = done * 100 / all.max(1);
        if shown != Some(percent) {
            shown = Some(percent);
            let secs = begun.elapsed().as_secs_f64();
            let left = if done > 0 { secs * (all - done) as f64 / done as f64 } else { 0.0 };
            // Nobody may be there to read how far it is.
            let _ = write!(notes, "\r{percent:3} %  {left:.0} s left ");
        }
    });
    let _ = writeln!(notes);
    let file = file?;
    let bytes = std::fs::metadata(&file).map_or(0, |m| m.len());
    let _ = writeln!(notes, "{:.1} MB in {:.1} s", bytes as f64 / 1e6, begun.elapsed().as_secs_f64());
    writeln!(out, "{}", file.display()).map_err(unwritable)
}

#[allow(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn unwritable(error: std::io::Error) -> Error {
    let kind = if error.kind() == std::io::ErrorKind::BrokenPipe { ErrorKind::BrokenPipe } else { ErrorKind::Output };
    Error::new(kind, format!("stdout cannot be written: {error}"))
}

/// Unpacks the built-in checkpoint into the first of `places` that can be written to, unless it lies there already.
fn unpack(places: &[PathBuf]) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for (name, bytes) in STARTER {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut why = String::new();
    for place in places {
        let folder = place.join(&name);
        if is_complete(&folder) {
            return Ok(folder);
        }
        match unpack_into(place, &folder) {
            Ok(()) => return Ok(folder),
            Err(e) => why = format!("{}: {e}", place.display()),
        }
    }
    Err(Error::new(ErrorKind::Output, format!("the built-in model cannot be unpacked ({why})")))
}

/// Every file is there with its own bytes: a damaged copy is replaced, not loaded.
fn is_complete(folder: &Path) -> bool {
    STARTER.iter().all(|(name, bytes)| std::fs::read(folder.join(name)).is_ok_and(|found| found == *bytes))
}

/// Writes beside the place and renames, so that a second Hearken never sees half a model.
fn unpack_into(place: &Path, folder: &Path) -> std::io::Result<()> {
    let temporary = place.join(format!("unpacking-{}", std::process::id()));
    for (name, bytes) in STARTER {
        let path = temporary.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, bytes)?;
    }
    // What lies there is damaged (it was not complete); nothing may lie there at all.
    let _ = std::fs::remove_dir_all(folder);
    let renamed = std::fs::rename(&temporary, folder);
    if renamed.is_err() {
        let _ = std::fs::remove_dir_all(&temporary);
        // Another Hearken may have been faster.
        if is_complete(folder) {
            return Ok(());
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_model_is_unpacked_once_and_mended_when_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let folder = unpack(&[dir.path().to_owned()]).unwrap();
        let file = folder.join("tokenizer.json");
        std::fs::write(&file, "damaged").unwrap();
        assert_eq!(unpack(&[dir.path().to_owned()]).unwrap(), folder);
        assert_eq!(std::fs::read(&file).unwrap(), include_bytes!("../models/starter/tokenizer.json"));
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(unpack(&[file.join("no"), dir.path().to_owned()]).unwrap().starts_with(dir.path()));
        assert!(unpack(&[file.join("no")]).unwrap_err().message().contains("file"));
    }
}
