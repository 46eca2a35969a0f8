//! The arguments of `hearken trace` and the options that they mean.

use std::path::{Path, PathBuf};

use clap::Args;

use super::file_list::expand_file_lists;
use super::values::{self, arguments_error, refuse_to_overwrite};
use crate::error::Result;
use crate::files::{already_exists, exists};
use crate::protocol::ModelChoice;

/// The options of `hearken trace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceOptions {
    /// Audio files, heard in order as one session.
    pub files: Vec<PathBuf>,
    /// Model whose computation is traced.
    pub model: ModelChoice,
    /// Order of computation: whole files, or chunk by chunk as for a microphone.
    pub path: TracePath,
    /// Safetensors file for the tensors; a `.json` file with the prefix and the replies is written beside it.
    pub out: PathBuf,
}

/// The two orders of computation of the reference (`src/model/README.md` section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracePath {
    /// Each file encoded whole, then one second of zeros encoded separately.
    Offline,
    /// Chunk by chunk, as audio from a microphone is computed.
    Live,
}

#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    /// Audio files, heard in order as one session
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Model: starter, 3b, a name in your own catalogue, OWNER/NAME on the hub, or a checkpoint folder
    #[arg(long, value_name = "starter|3b|DIR", value_parser = values::model)]
    model: ModelChoice,
    /// Order of computation: offline encodes each file whole, then a second of zeros; live computes as for a microphone
    #[arg(long, value_name = "offline|live", value_parser = trace_path)]
    path: TracePath,
    /// Write the tensors to this file, and a .json with the prefix and the replies beside it
    #[arg(long, value_name = "OUT.safetensors")]
    out: PathBuf,
    /// Replace the files of --out if they exist
    #[arg(long)]
    force: bool,
}

impl TraceArgs {
    /// Checks the arguments and converts them to options.
    ///
    /// # Errors
    /// When a file is `-`, missing or would be overwritten, when a file of `--out` exists and is kept, or `--out` does not end in `.safetensors`.
    pub(super) fn options(self) -> Result<TraceOptions> {
        if self.files.iter().any(|path| path == Path::new("-")) {
            return Err(arguments_error("trace reads files; `-` (stdin) is for `hearken listen`"));
        }
        let files = expand_file_lists(&self.files)?;
        refuse_to_overwrite(files.iter().chain(&self.files), &self.out, "--out")?;
        if self.out.extension().is_none_or(|extension| extension != "safetensors") {
            let why = format!("--out {}: the name must end in .safetensors; a .json is written beside it", self.out.display());
            return Err(arguments_error(why));
        }
        let written = [self.out.clone(), self.out.with_extension("json")];
        refuse_to_overwrite(files.iter().chain(&self.files), &written[1], "--out")?;
        if let Some(path) = written.iter().find(|path| !self.force && exists(path)) {
            return Err(already_exists(path));
        }
        Ok(TraceOptions { files, model: self.model, path: self.path, out: self.out })
    }
}

fn trace_path(text: &str) -> Result<TracePath, String> {
    match text {
        "offline" => Ok(TracePath::Offline),
        "live" => Ok(TracePath::Live),
        _ => Err("expected offline or live".to_owned()),
    }
}
