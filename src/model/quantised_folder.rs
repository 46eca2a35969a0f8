//! Quantised weights of a checkpoint folder: the names of their files, and quantising a folder.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::quantised::{self, Quantised};
use super::token_ids::{TOKEN_IDS, TokenIds};
use super::weights::ComputeType;
use super::{config, text};
use crate::config::Precision;
use crate::error::{Error, ErrorKind, Result};

/// Files that a model folder needs beside its weights, copied if they exist.
const SMALL_FILES: &[&str] = &[config::LM_CONFIG, config::AUDIO_CONFIG, TOKEN_IDS, text::TOKENIZER, "phrases.toml"];

/// Quantises the checkpoint folder `dir` to `precision` (8 or 4 bits) into the folder `out`, copies the small files that a model
/// folder needs, and returns the path of the file of weights. `progress` receives the number of weights done and of all weights,
/// and breaks to stop; the next call then resumes.
///
/// # Errors
/// When the checkpoint is damaged, `precision` is a float type, `out` cannot be written, or `progress` breaks
/// (`ErrorKind::Output`).
pub fn quantise(dir: &Path, precision: Precision, out: &Path, progress: impl FnMut(u64, u64) -> ControlFlow<()>) -> Result<PathBuf> {
    let ComputeType::Packed(bits) = ComputeType::of(precision) else {
        return Err(Error::new(ErrorKind::Arguments, "weights are quantised to q8 or q4"));
    };
    let checkpoint = Checkpoint::open(dir)?;
    let ids = TokenIds::read(dir, checkpoint.lm.padded_vocab_size)?;
    for name in SMALL_FILES {
        let (from, to) = (dir.join(name), out.join(name));
        if from == to || !from.exists() {
            continue;
        }
        let copied = to.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::copy(&from, &to));
        copied.map_err(|e| Error::cannot_write(&to, &e))?;
    }
    let file = quantised::file_in(out, bits);
    quantised::quantise(&checkpoint, bits, &ids.decision().to_array(), &file, progress)?;
    Ok(file)
}

/// Returns the path that the file of quantised weights in `precision` has in the folder `dir`, whether or not it exists; None for a
/// float type.
#[must_use]
pub fn quantised_file(dir: &Path, precision: Precision) -> Option<PathBuf> {
    match ComputeType::of(precision) {
        ComputeType::Packed(bits) => Some(quantised::file_in(dir, bits)),
        ComputeType::Float(_) => None,
    }
}

/// Returns the files of quantised weights (4 bits, then 8) that exist in the folder `dir`; unfinished ones are not counted.
#[must_use]
pub fn quantised_files(dir: &Path) -> Vec<PathBuf> {
    [Precision::Q4, Precision::Q8].iter().filter_map(|precision| quantised_file(dir, *precision)).filter(|file| file.is_file()).collect()
}

/// Returns true if the folder `dir` holds a complete file of weights in `precision` made from the checkpoint folder `source`; false
/// for a float type, or if either cannot be opened.
#[must_use]
pub fn is_quantised_from(dir: &Path, precision: Precision, source: &Path) -> bool {
    let ComputeType::Packed(bits) = ComputeType::of(precision) else { return false };
    let made = Quantised::open(&quantised::file_in(dir, bits), bits);
    made.is_ok_and(|made| Checkpoint::open(source).is_ok_and(|checkpoint| checkpoint.identity() == made.source()))
}
