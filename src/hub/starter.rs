//! The built-in model, unpacked once into the cache folder, in a folder named by the SHA-256 of its files.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::make_private_folder;

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../models/starter/", $name)))),*]
    };
}

/// The files of the built-in model: paths and contents.
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

/// Unpacks the built-in model into a folder, named by its SHA-256, in the first writable one of `places`, unless it is there
/// already, and returns that folder.
///
/// # Errors
/// `Output` when no place can be written.
pub(super) fn unpack(places: &[PathBuf]) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for (name, bytes) in STARTER {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    let name = crate::model::digest::hex(&hash.finalize());
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
    Err(Error::new(ErrorKind::Output, format!("the built-in model cannot be unpacked ({why})")).with_remedy(Remedy::FreeDisk))
}

/// Returns true if every file of the built-in model in `folder` equals the built-in one: a damaged copy is replaced, not loaded.
fn is_complete(folder: &Path) -> bool {
    STARTER.iter().all(|(name, bytes)| std::fs::read(folder.join(name)).is_ok_and(|found| found == *bytes))
}

/// Writes the files of the built-in model to a temporary folder in `place` and renames it to `folder`, so that another process never sees
/// half a model.
fn unpack_into(place: &Path, folder: &Path) -> std::io::Result<()> {
    let temporary = place.join(format!("unpacking-{}", std::process::id()));
    for (name, bytes) in STARTER {
        let path = temporary.join(name);
        if let Some(parent) = path.parent() {
            make_private_folder(parent).map_err(|e| std::io::Error::other(e.to_string()))?;
        }
        std::fs::write(path, bytes).inspect_err(|_| {
            // Half a model would fill a full disk further.
            let _ = std::fs::remove_dir_all(&temporary);
        })?;
    }
    // A damaged copy, or nothing, may be in the way.
    let _ = std::fs::remove_dir_all(folder);
    let renamed = std::fs::rename(&temporary, folder);
    if renamed.is_err() {
        let _ = std::fs::remove_dir_all(&temporary);
        // Another process may have been faster.
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
    fn the_built_in_model_is_unpacked_once_and_replaced_when_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let folder = unpack(&[dir.path().to_owned()]).unwrap();
        let file = folder.join("tokenizer.json");
        std::fs::write(&file, "damaged").unwrap();
        assert_eq!(unpack(&[dir.path().to_owned()]).unwrap(), folder);
        assert_eq!(std::fs::read(&file).unwrap(), include_bytes!("../../models/starter/tokenizer.json"));
    }

    #[test]
    fn an_unwritable_folder_is_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(unpack(&[file.join("no"), dir.path().to_owned()]).unwrap().starts_with(dir.path()));
        assert!(unpack(&[file.join("no")]).unwrap_err().message().contains("file"));
    }
}
