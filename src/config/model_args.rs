//! The arguments of `hearken model` and the requests that they mean; `hub` carries them out.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::formats::{ReportArgs, ReportFormat};
use super::{Precision, values};
use crate::protocol::ModelChoice;

/// A request of `hearken model`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelRequest {
    /// List the models of the catalogue and their state on this machine.
    List(ReportFormat),
    /// Download a model and prepare it.
    Download(DownloadOptions),
    /// Compare the files of a model with their checksums; for a checkpoint folder, check only that its tensors are complete.
    Verify(ModelChoice),
    /// Write the weights of a model in 8 or 4 bits.
    Quantise(QuantiseOptions),
    /// Print the folder that a model is loaded from.
    Path(ModelChoice),
    /// Remove the files of a downloaded model.
    Remove(ModelChoice, Consent),
}

/// The user's consent: to the licences of a download, or to the removal of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Ask on the terminal; without a terminal the answer is no.
    Ask,
    /// Given on the command line.
    Given,
}

/// The treatment of the downloaded files once the quantised weights are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Originals {
    /// Keep the downloaded files.
    Keep,
    /// Remove the downloaded files; without effect where the weights are used unchanged (f32, bf16).
    Remove,
}

/// The options of `hearken model download`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadOptions {
    /// Model to download.
    pub model: ModelChoice,
    /// Branch, tag or commit; None: the one in the catalogue, or `main`.
    pub revision: Option<String>,
    /// Precision of the prepared weights; None: the one already prepared or begun, else chosen by measuring this machine.
    pub precision: Option<Precision>,
    /// Treatment of the downloaded files.
    pub originals: Originals,
    /// Consent to the licences of the model.
    pub consent: Consent,
}

/// The options of `hearken model quantize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantiseOptions {
    /// Model whose weights are quantised.
    pub model: ModelChoice,
    /// Precision of the written weights, `Q8` or `Q4`.
    pub precision: Precision,
    /// Folder to write to; None: the folder of the model, or of the prepared weights for a downloaded one.
    pub out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// List the known models and their state on this machine
    List(ReportArgs),
    /// Download a model, check every byte and prepare it for use; resumes where it stopped
    Download(DownloadArgs),
    /// Check every byte of a downloaded model, without the network; remove prepared weights that are damaged
    Verify(NameArgs),
    /// Write the weights of a checkpoint in 8 or 4 bits, as one file that is memory-mapped
    Quantize(QuantizeArgs),
    /// Print the folder that a model is loaded from
    Path(NameArgs),
    /// Remove the files of a downloaded model from this machine
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(super) struct DownloadArgs {
    /// Model: 3b, a name in your own catalogue, or OWNER/NAME on the hub
    #[arg(value_name = "3b|NAME|OWNER/NAME", value_parser = values::model)]
    model: ModelChoice,
    /// Branch, tag or commit [default: the one in the catalogue, or main]
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Precision of the prepared weights; f32 and bf16 leave them unchanged [default: chosen by measuring this machine]
    #[arg(long, value_name = "f32|bf16|q8|q4", value_parser = values::precision)]
    precision: Option<Precision>,
    /// Remove the downloaded files once the weights are prepared in q8 or q4
    #[arg(long)]
    remove_originals: bool,
    /// Accept the licences without a question; they are shown all the same
    #[arg(long, visible_alias = "accept-license", alias = "yes")]
    accept_licence: bool,
}

#[derive(Debug, Args)]
pub(super) struct NameArgs {
    /// Model: starter, 3b, a name in your own catalogue, OWNER/NAME on the hub, or a checkpoint folder
    #[arg(value_name = "starter|3b|NAME|OWNER/NAME|DIR", value_parser = values::model)]
    model: ModelChoice,
}

#[derive(Debug, Args)]
pub(super) struct QuantizeArgs {
    /// Model: starter, 3b, a name in your own catalogue, OWNER/NAME on the hub, or a checkpoint folder
    #[arg(value_name = "starter|3b|NAME|DIR", value_parser = values::model)]
    model: ModelChoice,
    /// Precision of the written weights: 8 or 4 bits
    #[arg(long, value_name = "q8|q4", value_parser = packed_precision, default_value = "q4")]
    precision: Precision,
    /// Write to this folder, together with the small files of the model [default: the folder of the model]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Model: 3b, a name in your own catalogue, or OWNER/NAME on the hub
    #[arg(value_name = "3b|NAME|OWNER/NAME", value_parser = values::model)]
    model: ModelChoice,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

impl ModelCommand {
    /// Converts the arguments to a request.
    pub(super) fn request(self) -> ModelRequest {
        let consent = |given: bool| if given { Consent::Given } else { Consent::Ask };
        match self {
            Self::List(typed) => ModelRequest::List(typed.format()),
            Self::Download(typed) => ModelRequest::Download(DownloadOptions {
                model: typed.model,
                revision: typed.revision,
                precision: typed.precision,
                originals: if typed.remove_originals { Originals::Remove } else { Originals::Keep },
                consent: consent(typed.accept_licence),
            }),
            Self::Verify(typed) => ModelRequest::Verify(typed.model),
            Self::Quantize(typed) => {
                ModelRequest::Quantise(QuantiseOptions { model: typed.model, precision: typed.precision, out: typed.out })
            }
            Self::Path(typed) => ModelRequest::Path(typed.model),
            Self::Remove(typed) => ModelRequest::Remove(typed.model, consent(typed.yes)),
        }
    }
}

fn packed_precision(text: &str) -> Result<Precision, String> {
    match values::precision(text) {
        Ok(precision @ (Precision::Q8 | Precision::Q4)) => Ok(precision),
        _ => Err("expected q8 or q4".to_owned()),
    }
}
