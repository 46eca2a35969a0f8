//! `hearken model`: what was typed, and what is meant by it.
//!
//! Not responsible for doing it: that is `hub`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::request::ReportFormat;
use super::{Precision, values};
use crate::protocol::ModelChoice;

/// What `hearken model` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelRequest {
    /// Say which models there are.
    List(ReportFormat),
    /// Get one.
    Download(DownloadOptions),
    /// Check every byte of one.
    Verify(ModelChoice),
    /// Write the weights of one in fewer bits.
    Quantise(QuantiseOptions),
    /// Say where one lies.
    Path(ModelChoice),
    /// Remove one.
    Remove(ModelChoice, Consent),
}

/// Whether the user has agreed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// To be asked.
    Ask,
    /// On the command line.
    Given,
}

/// What becomes of the files of a model as they came, once they are prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Originals {
    /// They stay.
    Keep,
    /// They go.
    Remove,
}

/// What `hearken model download` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadOptions {
    /// The model.
    pub model: ModelChoice,
    /// The branch, tag or commit; that of the catalogue when absent.
    pub revision: Option<String>,
    /// What it is prepared in; what suits it when absent.
    pub precision: Option<Precision>,
    /// What becomes of the originals.
    pub originals: Originals,
    /// Whether the licences are accepted.
    pub consent: Consent,
}

/// What `hearken model quantize` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantiseOptions {
    /// The checkpoint.
    pub model: ModelChoice,
    /// In how many bits.
    pub precision: Precision,
    /// The folder to write to; that of the model when absent.
    pub out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ModelTask {
    /// List the models that there are, and how far each is on this machine
    List(ListArgs),
    /// Download a model, check every byte of it and make it ready; goes on where it stopped
    Download(DownloadArgs),
    /// Check every byte of a model that is here, without the network
    Verify(NameArgs),
    /// Write a checkpoint's weights in 8 or 4 bits, as one file that is used as it lies
    Quantize(QuantizeArgs),
    /// Print the folder of a model
    Path(NameArgs),
    /// Remove a model from this machine
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DownloadArgs {
    /// The model: 3b, a name of your own catalogue, or OWNER/NAME of the hub
    #[arg(value_name = "3b|NAME|OWNER/NAME", value_parser = values::model)]
    model: ModelChoice,
    /// Branch, tag or commit [default: that of the catalogue, or main]
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// What its weights are prepared in; f32 and bf16 leave them as they are [default: what suits the model]
    #[arg(long, value_name = "f32|bf16|q8|q4", value_parser = values::precision)]
    precision: Option<Precision>,
    /// Remove the files as they came once the weights are prepared
    #[arg(long)]
    remove_originals: bool,
    /// Accept the licences, which are shown all the same
    #[arg(long, visible_alias = "accept-license", alias = "yes")]
    accept_licence: bool,
}

#[derive(Debug, Args)]
pub(super) struct NameArgs {
    /// The model: starter, 3b, a name of your own catalogue, OWNER/NAME of the hub, or a checkpoint folder
    #[arg(value_name = "starter|3b|NAME|OWNER/NAME|DIR", value_parser = values::model)]
    model: ModelChoice,
}

#[derive(Debug, Args)]
pub(super) struct QuantizeArgs {
    /// The checkpoint: starter, 3b, a name of your own catalogue, or its folder
    #[arg(value_name = "starter|3b|NAME|DIR", value_parser = values::model)]
    model: ModelChoice,
    /// Bits of a weight
    #[arg(long, value_name = "q8|q4", value_parser = packed_precision, default_value = "q4")]
    precision: Precision,
    /// Write to this folder, with all that a model needs beside its weights [default: the model's own]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The model: 3b, a name of your own catalogue, or OWNER/NAME of the hub
    #[arg(value_name = "3b|NAME|OWNER/NAME", value_parser = values::model)]
    model: ModelChoice,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl ModelTask {
    /// What is meant.
    pub(super) fn request(self) -> ModelRequest {
        let consent = |given: bool| if given { Consent::Given } else { Consent::Ask };
        match self {
            Self::List(typed) => ModelRequest::List(if typed.json { ReportFormat::Json } else { ReportFormat::Text }),
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
