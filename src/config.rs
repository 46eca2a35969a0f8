//! What was typed ([`cli`]) and what is meant ([`Settings`]); the modes as data; where files live.
//!
//! Not responsible for acting on any of it.

pub mod cli;
mod eval_args;
mod history_cli;
pub mod history_prefs;
pub mod long_running;
mod model_task;
pub mod modes;
mod modes_edit;
mod modes_file;
pub mod paths;
pub mod prefs;
pub mod request;
mod settings_edit;
mod settings_file;
mod values;

use std::path::PathBuf;

use crate::protocol::{DeviceChoice, ModelChoice, VoiceSettings};

pub use cli::Cli;
pub use eval_args::{EvalOptions, EvalRequest, EvalTask, ProactiveStyle, QuestionInput, ResumePolicy};
pub use history_cli::{Deletion, ExportForm, HistoryRequest, SessionChoice};
pub use history_prefs::HistoryPrefs;
pub use long_running::{ContextChoice, ContextPolicy, LongRunning, POLICIES, Priority, Reset, Sensitivity};
pub use model_task::{Consent, DownloadOptions, ModelRequest, Originals, QuantiseOptions};
pub use modes::{CatchUp, InstructionClip, Language, Mode};
pub use modes_edit::{NewMode, add as add_mode, remove as remove_mode, replace as replace_mode};
pub use modes_file::all as all_modes;
pub use paths::Paths;
pub use prefs::WindowPrefs;
pub use request::{
    BenchOptions, BenchSubject, BenchTask, OutputFormat, ReportFormat, Request, Scenario, Stdout, TraceOptions, TracePath,
    settings_problems,
};

/// Everything that a session needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Which model listens.
    pub model: ModelChoice,
    /// In which numbers it computes; what suits the model when absent.
    pub precision: Option<Precision>,
    /// On what it computes.
    pub device: ComputeDevice,
    /// Threads for computing; the number of physical cores when absent.
    pub threads: Option<usize>,
    /// Every mode that there is: the built-in ones, then the user's.
    pub modes: Vec<Mode>,
    /// Names of the modes that are on at the start; when there are none, those that this machine runs in real time.
    pub modes_on: Vec<String>,
    /// Where sound comes from.
    pub source: SourceChoice,
    /// Where replies are played.
    pub output: DeviceChoice,
    /// How they are spoken, and listened through.
    pub voice: VoiceSettings,
    /// Whether the quiet gate keeps silence from the model.
    pub gate: bool,
    /// How replies are decoded.
    pub sampling: SamplingChoice,
    /// Write exactly the samples that the model heard to this 32-bit float WAV.
    pub save_audio: Option<PathBuf>,
    /// Which optional events are wanted.
    pub event_options: EventOptions,
    /// How it lasts for hours.
    pub long_running: LongRunning,
    /// Where settings and caches live.
    pub paths: Paths,
}

/// Where sound comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceChoice {
    /// An input device, live.
    Microphone(DeviceChoice),
    /// Files in order as one session, each followed by `gap_secs` of silence.
    Files {
        /// The files.
        paths: Vec<PathBuf>,
        /// Silence after each file, in seconds.
        gap_secs: f64,
        /// Whether the file is heard at the speed of time or as fast as the model goes.
        pace: FileSpeed,
    },
    /// WAV on stdin.
    Stdin {
        /// Silence after the end, in seconds.
        gap_secs: f64,
        /// Whether it is heard at the speed of time or as fast as the model goes.
        pace: FileSpeed,
    },
}

/// How fast a file is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSpeed {
    /// The file waits for the model.
    Unthrottled,
    /// At the speed of time, like a microphone: the model must keep up.
    Realtime,
}

/// The numbers that the model computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit brain floats.
    Bf16,
    /// Weights in 8 bits, activations rounded to 8 bits before each product.
    Q8,
    /// Weights in 4 bits, activations rounded to 8 bits before each product.
    Q4,
}

impl Precision {
    /// As it is typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }
}

/// What the model computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeDevice {
    /// The processor.
    Cpu,
    /// An NVIDIA card (feature `cuda`).
    Cuda,
    /// An Apple GPU (feature `metal`).
    Metal,
}

/// How replies are decoded. The silent/respond decision is always greedy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingChoice {
    /// 0 is greedy.
    pub temperature: f64,
    /// Keep only the k likeliest.
    pub top_k: Option<usize>,
    /// Seed of the draw.
    pub seed: u64,
}

impl SamplingChoice {
    /// Greedy decoding.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: None, seed: 0 };
}

/// Which optional events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventOptions {
    /// `decision` events at all.
    pub decisions: bool,
    /// `margin` in `decision` events.
    pub margins: bool,
    /// `timing` events.
    pub timing: bool,
}
