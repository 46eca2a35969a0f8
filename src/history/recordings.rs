//! The recordings of sessions: WAV files in a folder of their own, named by the history and deleted with their sessions.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::audio::wav_file;
use crate::clock::now_ms;
use crate::error::{Error, ErrorKind, Result};

/// Returns a file name for a new recording, made of the present wall time and of `number`, which distinguishes two recordings within a
/// millisecond.
pub(super) fn new_name(number: u64) -> String {
    format!("{}-{number}.wav", now_ms())
}

/// Mends the recordings in `folder` that were cut off ([`wav_file::mend`]), and returns their number. Skips those that cannot be read.
pub(super) fn mend(folder: &Path) -> usize {
    let names = names(folder).unwrap_or_default();
    names.into_iter().filter(|name| wav_file::mend(&folder.join(name)).unwrap_or(false)).count()
}

/// Deletes the WAV files in `folder` whose names are not among `known`. Stops with an error at the first file that cannot be deleted.
pub(super) fn sweep(folder: &Path, known: &BTreeSet<String>) -> Result<()> {
    for name in names(folder)? {
        if !known.contains(&name) {
            let path = folder.join(&name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != IoErrorKind::NotFound => {
                    let why = format_args!("this recording cannot be deleted ({e}): delete it yourself");
                    return Err(Error::at(ErrorKind::History, &path, why));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Returns the names of the recordings in `folder` that were last written before `oldest_ms` (milliseconds since 1970); no names if the
/// folder cannot be read.
pub(super) fn older_than(folder: &Path, oldest_ms: i64) -> Vec<String> {
    let names = names(folder).unwrap_or_default();
    names.into_iter().filter(|name| changed_ms(&folder.join(name)).is_some_and(|ms| ms < oldest_ms)).collect()
}

/// Overwrites with silence the part of every recording in `folder` since `since_ms` (milliseconds since 1970), counted back from
/// the last write of the file. Works in place, so a recording in progress is not disturbed.
pub(super) fn silence_since(folder: &Path, since_ms: i64) -> Result<()> {
    for name in names(folder)? {
        let path = folder.join(name);
        let Some(changed) = changed_ms(&path).filter(|changed| *changed >= since_ms) else { continue };
        wav_file::silence_tail(&path, (changed - since_ms) as f64 / 1e3)?;
    }
    Ok(())
}

/// Returns the time of the last write to the file at `path`, in milliseconds since 1970; None if the file system does not know.
fn changed_ms(path: &Path) -> Option<i64> {
    let changed = fs::metadata(path).ok()?.modified().ok()?;
    i64::try_from(changed.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// Returns the names of the WAV files in `folder`; no names if the folder does not exist.
fn names(folder: &Path) -> Result<Vec<String>> {
    let unreadable = |e: std::io::Error| Error::at(ErrorKind::History, folder, format_args!("this folder cannot be read: {e}"));
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == IoErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name().into_string();
        names.extend(name.ok().filter(|name| name.ends_with(".wav")));
    }
    Ok(names)
}
