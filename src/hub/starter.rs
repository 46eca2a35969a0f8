//! The built-in model, unpacked once into the cache folder, in a folder named by the SHA-256 of its files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::make_temporary_folder;

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

/// Beginning of the names of the folders in which the built-in model is unpacked.
const PREFIX: &str = "hearken-";

/// Unpacks the built-in model into a folder named by its SHA-256 in `own`, a folder of the user alone, unless it is there already, and
/// returns that folder. Where `own` cannot be written, takes the first of the folders `shared` that can: in a folder of its own there,
/// which it finds again at the next start.
///
/// # Errors
/// `Output`, with the reason why `own` cannot be written, when no place can.
pub(super) fn unpack(own: &Path, shared: &[PathBuf]) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for (name, bytes) in STARTER {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    let name = crate::model::digest::hex(&hash.finalize());
    let folder = own.join(&name);
    if is_complete(&folder) {
        return Ok(folder);
    }
    let why = match unpack_into(own, &folder) {
        Ok(()) => return Ok(folder),
        Err(why) => why,
    };
    let cannot = format!("the built-in model cannot be unpacked ({}: {why})", own.display());
    let unpacked = shared.iter().find_map(|place| unpack_among_others(place, &name).ok());
    unpacked.ok_or_else(|| Error::new(ErrorKind::Output, cannot).with_remedy(Remedy::for_write(&why)))
}

/// Returns true if every file of the built-in model in `folder` equals the built-in one: a damaged copy is replaced, not loaded.
fn is_complete(folder: &Path) -> bool {
    STARTER.iter().all(|(name, bytes)| std::fs::read(folder.join(name)).is_ok_and(|found| found == *bytes))
}

/// Writes the files of the built-in model to a temporary folder in `place` and renames it to `folder`, so that another process never sees
/// half a model.
fn unpack_into(place: &Path, folder: &Path) -> io::Result<()> {
    let temporary = make_temporary_folder(place, "unpacking-")?;
    write_files(&temporary)?;
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

/// Returns the folder `name` with the built-in model inside a folder of this user alone in `place`, which others can write too: one of an
/// earlier start, or a new one.
fn unpack_among_others(place: &Path, name: &str) -> io::Result<PathBuf> {
    let new = make_temporary_folder(place, PREFIX)?;
    if let Some(earlier) = earlier_folder(place, &new, name) {
        // An empty folder that cannot be removed does no harm.
        let _ = std::fs::remove_dir(&new);
        return Ok(earlier);
    }
    let folder = new.join(name);
    let unpacked = std::fs::create_dir(&folder).and_then(|()| write_files(&folder));
    unpacked.map(|()| folder).inspect_err(|_| {
        let _ = std::fs::remove_dir_all(&new);
    })
}

/// Returns the complete folder `name` inside another folder in `place` that belongs to the owner of the folder `new`, and that nobody
/// else can open.
#[cfg(unix)]
fn earlier_folder(place: &Path, new: &Path, name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let user = std::fs::metadata(new).ok()?.uid();
    let folders = std::fs::read_dir(place).ok()?.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    let is_ours = |about: std::fs::Metadata| about.is_dir() && about.uid() == user && about.mode() & 0o077 == 0;
    let ours = folders.map(|entry| entry.path()).filter(|folder| std::fs::symlink_metadata(folder).is_ok_and(is_ours));
    ours.map(|folder| folder.join(name)).find(|folder| is_complete(folder))
}

#[cfg(not(unix))]
fn earlier_folder(_: &Path, _: &Path, _: &str) -> Option<PathBuf> {
    None
}

/// Writes the files of the built-in model into `folder`, which is new; after a failure removes it: half a model would fill a full disk
/// further.
fn write_files(folder: &Path) -> io::Result<()> {
    let write = |(name, bytes): &(&str, &[u8])| {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(bytes)
    };
    STARTER.iter().try_for_each(write).inspect_err(|_| {
        let _ = std::fs::remove_dir_all(folder);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_model_is_unpacked_once_and_replaced_when_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let folder = unpack(dir.path(), &[]).unwrap();
        let file = folder.join("tokenizer.json");
        std::fs::write(&file, "damaged").unwrap();
        assert_eq!(unpack(dir.path(), &[]).unwrap(), folder);
        assert_eq!(std::fs::read(&file).unwrap(), include_bytes!("../../models/starter/tokenizer.json"));
    }

    #[test]
    fn an_unwritable_folder_is_skipped_and_the_reason_told_if_all_are() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(unpack(&file.join("no"), &[file.join("neither"), dir.path().to_owned()]).unwrap().starts_with(dir.path()));
        let error = unpack(&file.join("no"), &[file.join("neither")]).unwrap_err();
        assert!(error.message().contains("file/no") && error.remedy() == Some(Remedy::ChooseOtherPlace), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn nothing_that_others_have_prepared_in_a_shared_folder_is_used() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (file, shared) = (dir.path().join("file"), dir.path().join("tmp"));
        std::fs::write(&file, "victim").unwrap();
        let unpacked = || unpack(&file.join("no"), std::slice::from_ref(&shared)).unwrap();
        let first = unpacked();
        assert_eq!(std::fs::metadata(first.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!((unpacked(), std::fs::read_dir(&shared).unwrap().count()), (first.clone(), 1), "it is found again");
        // Open to others, it may have been changed by them; a link may lead anywhere.
        std::fs::set_permissions(first.parent().unwrap(), std::fs::Permissions::from_mode(0o777)).unwrap();
        symlink(first.parent().unwrap(), shared.join("hearken-link")).unwrap();
        let second = unpacked();
        assert!(second != first && !second.starts_with(shared.join("hearken-link")));
        assert_eq!(std::fs::read(&file).unwrap(), b"victim");
    }
}
