//! The arguments of `hearken bench` and the options that they mean.

use clap::Args;

use super::formats::{ReportArgs, ReportFormat};
use super::{Precision, values};
use crate::protocol::ModelChoice;

/// The options of `hearken bench`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// Model to measure.
    pub subject: BenchSubject,
    /// Numeric precision; None: as `listen` chooses, or 4 bits for random weights.
    pub precision: Option<Precision>,
    /// Number of compute threads; None: the number of physical cores.
    pub threads: Option<usize>,
    /// Positions in the attention cache of every lane (mode) during a measured pass, 1 to 4,096.
    pub context: usize,
    /// Number of lanes (modes) computed in one batch.
    pub lanes: usize,
    /// Kind of measurement.
    pub task: BenchTask,
    /// Format of the report.
    pub format: ReportFormat,
}

/// The kinds of measurement of `hearken bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchTask {
    /// The time for each stage of a chunk (features, encoder, decoder), load time and memory.
    Figures,
    /// The real-time factor and the lag of a simulated minute of listening.
    Scenario(Scenario),
    /// A recommendation: the precision and the modes that this machine runs in real time.
    Recommend,
}

/// A simulated minute of listening, by what is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A quiet room: the quiet gate is closed, so the model computes nothing.
    Quiet,
    /// A question and a 30-token reply every 20 s.
    Dialog,
    /// Continuous speech, transcribed at 3 tokens a second.
    Speech,
}

impl Scenario {
    /// Every scenario.
    const ALL: [Self; 3] = [Self::Quiet, Self::Dialog, Self::Speech];

    /// Returns the name of the scenario on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Dialog => "dialog",
            Self::Speech => "speech",
        }
    }
}

/// The model that `hearken bench` measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BenchSubject {
    /// A model with its weights.
    Model(ModelChoice),
    /// Random weights in the sizes of the 3B model; needs no files.
    Shape3b,
}

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Model: starter, 3b, a name in your own catalogue, OWNER/NAME on the hub, or a checkpoint folder [default: starter]
    #[arg(long, value_name = "starter|3b|DIR", value_parser = values::model, conflicts_with = "shape")]
    model: Option<ModelChoice>,
    /// Use random weights in the sizes of this model instead; needs no download
    #[arg(long, value_name = "3b", value_parser = ["3b"])]
    shape: Option<String>,
    /// Numeric precision [default: as for `listen`; q4 with --shape 3b]
    #[arg(long, value_name = "f32|bf16|q8|q4", value_parser = values::precision)]
    precision: Option<Precision>,
    /// Compute threads [default: the number of physical cores]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Positions in the attention cache of every lane (mode) during a measured pass, 1 to 4096
    #[arg(long, value_name = "POSITIONS", value_parser = values::positions, default_value = "1024", allow_negative_numbers = true)]
    context: usize,
    /// Lanes (modes) computed in one batch
    #[arg(long, value_name = "N", value_parser = values::lanes, default_value = "1", allow_negative_numbers = true)]
    lanes: usize,
    /// Simulate a minute of listening instead: a quiet room; a question and a 30-token reply every 20 s; continuous speech
    #[arg(long, value_name = "quiet|dialog|speech", value_parser = scenario)]
    scenario: Option<Scenario>,
    /// Recommend the precision and the modes that this machine runs in real time
    #[arg(long, conflicts_with_all = ["scenario", "lanes"])]
    recommend: bool,
    #[command(flatten)]
    report: ReportArgs,
}

impl BenchArgs {
    /// Converts the arguments to options, with the starter as default model.
    pub(super) fn options(self) -> BenchOptions {
        let subject = match (self.shape, self.model) {
            (Some(_), _) => BenchSubject::Shape3b,
            (None, model) => BenchSubject::Model(model.unwrap_or(ModelChoice::Starter)),
        };
        let task = match (self.scenario, self.recommend) {
            (_, true) => BenchTask::Recommend,
            (Some(scenario), false) => BenchTask::Scenario(scenario),
            (None, false) => BenchTask::Figures,
        };
        let (precision, threads, format) = (self.precision, self.threads, self.report.format());
        BenchOptions { subject, precision, threads, context: self.context, lanes: self.lanes, task, format }
    }
}

fn scenario(text: &str) -> Result<Scenario, String> {
    Scenario::ALL.into_iter().find(|scenario| scenario.name() == text).ok_or_else(|| "expected quiet, dialog or speech".to_owned())
}
