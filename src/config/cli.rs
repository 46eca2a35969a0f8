//! The command line: what was typed.
//!
//! Responsible for the names of commands and options, their help, and reading each value. What they mean together is
//! [`request`](super::request)'s to say. An option stands here only when it works (CONTRACT.md).

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::eval_args::EvalArgs;
use super::history_cli::HistoryTask;
use super::model_task::ModelTask;
use super::modes::Language;
use super::request::{OutputFormat, Scenario, TracePath};
use super::values::{self, Eagerness};
use super::{ComputeDevice, Precision};
use crate::protocol::ModelChoice;

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "hearken",
    version,
    about = "Listens continuously, offline, and decides every 0.4 s whether to respond.",
    long_about = "Listens continuously, offline, and decides every 0.4 s whether to respond.\n\n\
                  Without a command, opens the window and listens to the default microphone. Nothing that is heard leaves this machine.",
    after_help = "Exit code: 0 clean; 1 finished with problems; 2 could not run.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) task: Option<Task>,
    #[command(flatten)]
    pub(super) session: SessionArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// Listen without a window: to files in order as one session, to WAV on stdin, or to the microphone
    Listen(Box<ListenArgs>),
    /// List the sound inputs and outputs, the default marked
    Devices(DevicesArgs),
    /// Write every number that the model computes, for comparing with a reference
    Trace(TraceArgs),
    /// Measure how fast this machine runs a model
    Bench(BenchArgs),
    /// Get a model, check it, say where it lies, write its weights in fewer bits, or remove it
    #[command(subcommand)]
    Model(ModelTask),
    /// Look at past sessions of the window: list, show, search, export or delete them
    #[command(subcommand)]
    History(HistoryTask),
    /// Score a model on labelled audio: the published benchmarks, or your own
    #[command(subcommand)]
    Eval(Box<EvalArgs>),
    /// Check microphone, model, acceleration and display, and say what to do about each
    Doctor,
}

/// What the window and `listen` have in common.
#[derive(Debug, Default, Args)]
pub(super) struct SessionArgs {
    /// The model: starter, 3b, or a checkpoint folder [default: starter]
    #[arg(long, value_name = "starter|3b|DIR", value_parser = values::model)]
    pub(super) model: Option<ModelChoice>,
    /// Modes to switch on: dialog, transcribe, translate, sounds, or the name of your own [default: dialog,transcribe]
    #[arg(long, value_name = "MODE,…", value_parser = mode_names)]
    pub(super) modes: Option<ModeNames>,
    /// Language that the translate mode translates into [default: zh]
    #[arg(long, value_name = "zh|en", value_parser = values::language)]
    pub(super) translate_to: Option<Language>,
    /// Quiet gate: keep silence from the model [default: on for a microphone, off for files]
    #[arg(long, value_name = "on|off", value_parser = values::on_off, action = ArgAction::Set)]
    pub(super) gate: Option<bool>,
    /// Write exactly the samples that the model heard to this 32-bit float WAV
    #[arg(long, value_name = "FILE")]
    pub(super) save_audio: Option<PathBuf>,
    /// Numbers that the model computes in [default: f32; q4 for a model too large for that, or that holds nothing else]
    #[arg(long, value_name = "f32|bf16|q8|q4", value_parser = values::precision)]
    pub(super) precision: Option<Precision>,
    /// What the model computes on [default: cpu]
    #[arg(long, value_name = "cpu|cuda|metal", value_parser = values::device)]
    pub(super) device: Option<ComputeDevice>,
    /// Threads for computing [default: the number of physical cores]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub(super) threads: Option<usize>,
    /// Added to the respond logit of every mode, or of each mode named; more is more talkative [default: 0]
    #[arg(long, value_name = "B|MODE=B,…", value_parser = eagerness, allow_hyphen_values = true)]
    pub(super) eagerness: Option<EagernessList>,
    /// Temperature of replies; 0 is greedy [default: 0, or 1 with --top-k above 1]
    #[arg(long, value_name = "T", value_parser = values::temperature, allow_negative_numbers = true)]
    pub(super) temperature: Option<f64>,
    /// Draw replies from the K likeliest tokens [default: all]
    #[arg(long, value_name = "K", value_parser = values::top_k, allow_negative_numbers = true)]
    pub(super) top_k: Option<usize>,
    /// Seed of the draw [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct ListenArgs {
    /// Audio files (WAV, FLAC, MP3, OGG Vorbis, M4A), heard in order as one session; a .json file is a list of paths; `-` is WAV on stdin; none: the microphone
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Form of the output [default: text on a terminal, jsonl otherwise]
    #[arg(long, value_name = "text|jsonl|srt|vtt", value_parser = output_format)]
    pub(super) format: Option<OutputFormat>,
    /// Hear files at the speed of time, like a microphone, instead of waiting for the model
    #[arg(long)]
    pub(super) realtime: bool,
    /// Silence after each file, in seconds [default: 1.0]
    #[arg(long, value_name = "S", value_parser = values::gap_secs, allow_negative_numbers = true)]
    pub(super) gap_secs: Option<f64>,
    /// Say the replies aloud
    #[arg(long)]
    pub(super) speak: bool,
    /// Report what each chunk cost
    #[arg(long)]
    pub(super) timing: bool,
    /// Report how sure each decision was: the respond logit minus the silent one
    #[arg(long, conflicts_with = "no_decisions")]
    pub(super) margins: bool,
    /// Leave the decisions out: only what was said
    #[arg(long)]
    pub(super) no_decisions: bool,
    #[command(flatten)]
    pub(super) session: SessionArgs,
}

#[derive(Debug, Args)]
pub(super) struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    /// Audio files, heard in order as one session
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// The model: starter, 3b, or a checkpoint folder
    #[arg(long, value_name = "starter|3b|DIR", value_parser = values::model)]
    pub(super) model: ModelChoice,
    /// offline: each file encoded whole, then a second of zeros; live: what the microphone path computes
    #[arg(long, value_name = "offline|live", value_parser = trace_path)]
    pub(super) path: TracePath,
    /// File for the tensors; a .json with the prefix and the replies is put beside it
    #[arg(long, value_name = "OUT.safetensors")]
    pub(super) out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// The model: starter, 3b, or a checkpoint folder [default: starter]
    #[arg(long, value_name = "starter|3b|DIR", value_parser = values::model, conflicts_with = "shape")]
    pub(super) model: Option<ModelChoice>,
    /// Random weights of this model's real sizes instead: needs no download
    #[arg(long, value_name = "3b", value_parser = ["3b"])]
    pub(super) shape: Option<String>,
    /// Numbers that the model computes in [default: as for `listen`; q4 with --shape 3b]
    #[arg(long, value_name = "f32|bf16|q8|q4", value_parser = values::precision)]
    pub(super) precision: Option<Precision>,
    /// Threads for computing [default: the number of physical cores]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub(super) threads: Option<usize>,
    /// Positions that are in the cache of every lane when a pass is measured
    #[arg(long, value_name = "POSITIONS", value_parser = values::positions, default_value = "1024", allow_negative_numbers = true)]
    pub(super) context: usize,
    /// Lanes that are advanced together
    #[arg(long, value_name = "N", value_parser = values::lanes, default_value = "1", allow_negative_numbers = true)]
    pub(super) lanes: usize,
    /// Plays a minute of listening instead: a quiet room; a question and a 30-token reply every 20 s; continuous speech
    #[arg(long, value_name = "quiet|dialog|speech", value_parser = values::scenario)]
    pub(super) scenario: Option<Scenario>,
    /// Says which precision and which modes this machine runs in real time
    #[arg(long, conflicts_with_all = ["scenario", "lanes"])]
    pub(super) recommend: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Names of modes. A type of its own, because clap reads a bare `Vec` as an option that may be given many times.
#[derive(Clone, Debug)]
pub(super) struct ModeNames(pub(super) Vec<String>);

/// Eagerness as typed; see [`ModeNames`] for why it is a type.
#[derive(Clone, Debug)]
pub(super) struct EagernessList(pub(super) Vec<Eagerness>);

fn mode_names(text: &str) -> Result<ModeNames, String> {
    values::mode_names(text).map(ModeNames)
}

fn eagerness(text: &str) -> Result<EagernessList, String> {
    values::eagerness(text).map(EagernessList)
}

fn output_format(text: &str) -> Result<OutputFormat, String> {
    match text {
        "text" => Ok(OutputFormat::Text),
        "jsonl" => Ok(OutputFormat::Jsonl),
        "srt" => Ok(OutputFormat::Srt),
        "vtt" => Ok(OutputFormat::Vtt),
        _ => Err("expected text, jsonl, srt or vtt".to_owned()),
    }
}

fn trace_path(text: &str) -> Result<TracePath, String> {
    match text {
        "offline" => Ok(TracePath::Offline),
        "live" => Ok(TracePath::Live),
        _ => Err("expected offline or live".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
