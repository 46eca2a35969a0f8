//! The command line as typed: commands, options, their help, and the reading of each value.
//!
//! Not responsible for what the options mean together ([`request`](super::request)). An option stands here only if it works.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::bench_args::BenchArgs;
use super::eval_args::EvalArgs;
use super::formats::{OutputFormat, ReportArgs};
use super::history_args::HistoryCommand;
use super::model_args::ModelCommand;
use super::trace_args::TraceArgs;
use super::values::{self, Eagerness};
use super::{ComputeDevice, Precision, RawFormat};
use crate::protocol::{ChannelChoice, Language, ModelChoice};

/// The command line as typed, before settings and defaults are added ([`Cli::request`]).
#[derive(Debug, Parser)]
#[command(
    name = "hearken",
    version,
    about = "Listen continuously, offline, and decide every 0.4 s whether to respond.",
    long_about = "Listen continuously, offline, and decide every 0.4 s whether to respond.\n\n\
                  Without a command, open the window and listen to the default microphone. Nothing you say leaves this computer.",
    after_help = "Exit code: 0 clean; 1 finished with problems; 2 could not run.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<CliCommand>,
    /// Start in the tray, without a window in sight, where the desktop has a tray
    #[arg(long)]
    pub(super) hidden: bool,
    #[command(flatten)]
    pub(super) session: SessionArgs,
}

impl Cli {
    /// Returns the names of the options of the window that were typed, in the order of the help.
    #[must_use]
    pub fn window_options(&self) -> Vec<&'static str> {
        let SessionArgs {
            model,
            modes,
            translate_to,
            gate,
            channel,
            save_audio,
            force,
            precision,
            device,
            threads,
            eagerness,
            temperature,
            top_k,
            seed,
        } = &self.session;
        let typed = [
            ("--hidden", self.hidden),
            ("--model", model.is_some()),
            ("--modes", modes.is_some()),
            ("--translate-to", translate_to.is_some()),
            ("--gate", gate.is_some()),
            ("--channel", channel.is_some()),
            ("--save-audio", save_audio.is_some()),
            ("--force", *force),
            ("--precision", precision.is_some()),
            ("--device", device.is_some()),
            ("--threads", threads.is_some()),
            ("--eagerness", eagerness.is_some()),
            ("--temperature", temperature.is_some()),
            ("--top-k", top_k.is_some()),
            ("--seed", seed.is_some()),
        ];
        typed.into_iter().filter(|(_, is_typed)| *is_typed).map(|(name, _)| name).collect()
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    /// Listen without a window: to files in order as one session, to stdin, or to the microphone
    Listen(Box<ListenArgs>),
    /// List the sound inputs and outputs and mark the defaults
    Devices(ReportArgs),
    /// Write every number that the model computes, to compare with a reference
    Trace(TraceArgs),
    /// Measure how fast this machine runs a model
    Bench(BenchArgs),
    /// List, download, check, locate, quantize or remove models
    #[command(subcommand)]
    Model(ModelCommand),
    /// List, show, search, export or delete past sessions of the window
    #[command(subcommand)]
    History(HistoryCommand),
    /// Score a model on labelled audio: the published benchmarks, or your own
    #[command(subcommand)]
    Eval(Box<EvalArgs>),
    /// Check what a session needs, from microphone and model to disk, settings and display, and say what to do about each problem
    Doctor,
}

/// The options that the window and `listen` share.
#[derive(Debug, Default, Args)]
pub(super) struct SessionArgs {
    /// Model: starter, 3b, a name in your own catalogue, OWNER/NAME on the hub, or a checkpoint folder [default: starter]
    #[arg(long, value_name = "starter|3b|DIR", value_parser = values::model)]
    pub(super) model: Option<ModelChoice>,
    /// Modes to switch on: dialog, transcribe, translate, sounds, or names of your own [default: dialog,transcribe for starter,
    /// else those that this machine runs in real time]
    #[arg(long, value_name = "MODE,…", value_parser = mode_names)]
    pub(super) modes: Option<ModeNames>,
    /// Target language of the translate mode [default: zh]
    #[arg(long, value_name = "zh|en", value_parser = values::language)]
    pub(super) translate_to: Option<Language>,
    /// Quiet gate: compute nothing in silence [default: on for a microphone, off for files]
    #[arg(long, value_name = "on|off", value_parser = values::on_off, action = ArgAction::Set)]
    pub(super) gate: Option<bool>,
    /// Channel of the input that is heard, from 1 [default: all, mixed]
    #[arg(long, value_name = "N", value_parser = values::channel, allow_negative_numbers = true)]
    pub(super) channel: Option<ChannelChoice>,
    /// Save exactly the samples that the model hears to this 32-bit float WAV file
    #[arg(long, value_name = "FILE")]
    pub(super) save_audio: Option<PathBuf>,
    /// Replace the file of --save-audio if it exists
    #[arg(long, requires = "save_audio")]
    pub(super) force: bool,
    /// Numeric precision [default: f32; q4 for a model too large for f32; that of the weights if they are quantized only; bf16 on
    /// a GPU]
    #[arg(long, value_name = "f32|bf16|q8|q4", value_parser = values::precision)]
    pub(super) precision: Option<Precision>,
    /// Compute device; cuda and metal need a build with that feature [default: cpu]
    #[arg(long, value_name = "cpu|cuda|metal", value_parser = values::device)]
    pub(super) device: Option<ComputeDevice>,
    /// Compute threads [default: the number of physical cores]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub(super) threads: Option<usize>,
    /// Bias added to the respond logit of every mode, or of each mode named; higher responds more often [default: 0]
    #[arg(long, value_name = "B|MODE=B,…", value_parser = eagerness, allow_hyphen_values = true)]
    pub(super) eagerness: Option<EagernessList>,
    /// Sampling temperature of replies; 0 is greedy [default: 0, or 1 with --top-k above 1]
    #[arg(long, value_name = "T", value_parser = values::temperature, allow_negative_numbers = true)]
    pub(super) temperature: Option<f64>,
    /// Sample replies from the K most likely tokens [default: all]
    #[arg(long, value_name = "K", value_parser = values::top_k, allow_negative_numbers = true)]
    pub(super) top_k: Option<usize>,
    /// Seed of the sampling [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct ListenArgs {
    /// Recordings, sound or video, heard in order as one session; a .json file is a list of paths; `-` is stdin; none: the microphone
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Output format [default: text on a terminal, jsonl otherwise]
    #[arg(long, value_name = "text|jsonl|srt|vtt", value_parser = OutputFormat::parse)]
    pub(super) format: Option<OutputFormat>,
    /// Hear files in real time, like a microphone, instead of as fast as the model computes
    #[arg(long)]
    pub(super) realtime: bool,
    /// The files or stdin are sound without a header: encoding, sample rate in Hz, channels, such as s16le,16000,1
    #[arg(long, value_name = "FORM", value_parser = RawFormat::parse, requires = "files")]
    pub(super) raw: Option<RawFormat>,
    /// Read with ffmpeg, if it is installed, what Hearken cannot read itself
    #[arg(long, requires = "files", conflicts_with = "raw")]
    pub(super) ffmpeg: bool,
    /// Silence after each file or stdin, in seconds [default: 1.0]
    #[arg(long, value_name = "S", value_parser = values::gap_secs, allow_negative_numbers = true)]
    pub(super) gap_secs: Option<f64>,
    /// Speak replies aloud: all, or the urgent ones if the settings say `speak = "urgent"`
    #[arg(long)]
    pub(super) speak: bool,
    /// Report the computing time of each chunk (text and jsonl)
    #[arg(long)]
    pub(super) timing: bool,
    /// Report the margin of each decision, the respond logit minus the silent logit (text and jsonl)
    #[arg(long, conflicts_with = "no_decisions")]
    pub(super) margins: bool,
    /// Leave out the `decision` events of jsonl
    #[arg(long)]
    pub(super) no_decisions: bool,
    #[command(flatten)]
    pub(super) session: SessionArgs,
}

/// The parsed value of `--modes`. A type of its own because clap reads a bare `Vec` as an option that may be repeated.
#[derive(Clone, Debug)]
pub(super) struct ModeNames(pub(super) Vec<String>);

/// The parsed value of `--eagerness`. A type of its own because clap reads a bare `Vec` as an option that may be repeated.
#[derive(Clone, Debug)]
pub(super) struct EagernessList(pub(super) Vec<Eagerness>);

fn mode_names(text: &str) -> Result<ModeNames, String> {
    values::mode_names(text).map(ModeNames)
}

fn eagerness(text: &str) -> Result<EagernessList, String> {
    values::eagerness(text).map(EagernessList)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
