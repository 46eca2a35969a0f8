//! Configuration: the command line ([`Cli`]), the settings file, the modes as data, and the folders of Hearken.
//!
//! [`Cli::request`] turns a command line into a [`Request`]; [`Settings`] is the complete configuration of a session. Not
//! responsible for carrying a request out.

mod bench_args;
pub mod cli;
mod eval_args;
mod file_list;
mod formats;
mod history_args;
pub mod history_prefs;
pub mod long_running;
mod model_args;
pub mod modes;
mod modes_edit;
mod modes_file;
pub mod paths;
pub mod prefs;
pub mod request;
mod settings_edit;
mod settings_file;
mod toml_file;
mod trace_args;
mod values;

use std::path::PathBuf;

use crate::protocol::{DeviceChoice, ModelChoice, VoiceSettings};

pub use bench_args::{BenchOptions, BenchSubject, BenchTask, Scenario};
pub use cli::Cli;
pub use eval_args::{EvalOptions, EvalRequest, EvalTask, ProactiveStyle, QuestionInput, ResumePolicy};
pub use file_list::expand_file_lists;
pub use formats::{OutputFormat, ReportFormat, Stdout};
pub use history_args::{Deletion, ExportForm, HistoryRequest, SessionChoice};
pub use history_prefs::HistoryPrefs;
pub use long_running::{ContextChoice, ContextPolicy, LongRunning, Sensitivity};
pub use model_args::{Consent, DownloadOptions, ModelRequest, Originals, QuantiseOptions};
pub use modes::{CatchUp, InstructionClip, Mode};
pub use modes_edit::{NewMode, add as add_mode, remove as remove_mode, replace as replace_mode};
pub use modes_file::all as all_modes;
pub use paths::Paths;
pub use prefs::WindowPrefs;
pub use request::{Request, settings_problems};
pub use trace_args::{TraceOptions, TracePath};

/// The complete configuration of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The model.
    pub model: ModelChoice,
    /// Numeric precision; the one that suits the model if absent.
    pub precision: Option<Precision>,
    /// Compute device.
    pub device: ComputeDevice,
    /// Compute threads; the number of physical cores if absent.
    pub threads: Option<usize>,
    /// Every mode: the built-in modes, then the user's.
    pub modes: Vec<Mode>,
    /// Names of the modes that are on at the start; if empty, the modes that this machine runs in real time.
    pub modes_on: Vec<String>,
    /// Source of the audio.
    pub source: SourceChoice,
    /// Device that plays spoken replies.
    pub output: DeviceChoice,
    /// Voice, echo cancellation and other processing around speech.
    pub voice: VoiceSettings,
    /// True if the quiet gate withholds silence from the model.
    pub gate: bool,
    /// Decoding of replies.
    pub sampling: SamplingChoice,
    /// 32-bit float WAV file for exactly the samples that the model hears.
    pub save_audio: Option<PathBuf>,
    /// Optional events.
    pub event_options: EventOptions,
    /// Settings for a session that runs for hours.
    pub long_running: LongRunning,
    /// Folders of settings, caches and history.
    pub paths: Paths,
}

/// The source of the audio.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceChoice {
    /// An input device, live.
    Microphone(DeviceChoice),
    /// Files, heard in order as one session.
    Files {
        /// Paths of the files.
        paths: Vec<PathBuf>,
        /// Silence after each file, in seconds.
        gap_secs: f64,
        /// Speed at which the files are heard.
        speed: FileSpeed,
    },
    /// WAV on stdin.
    Stdin {
        /// Silence after the end, in seconds.
        gap_secs: f64,
        /// Speed at which the stream is heard.
        speed: FileSpeed,
    },
}

/// The speed at which a file is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSpeed {
    /// Full speed: the file waits for the model.
    Unthrottled,
    /// In real time, like a microphone: audio is lost if the model cannot keep up.
    Realtime,
}

/// The numeric precision of the model.
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
    /// Returns the name of the precision on the command line.
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

/// The compute device of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeDevice {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU (feature `cuda`).
    Cuda,
    /// An Apple GPU (feature `metal`).
    Metal,
}

/// The decoding of replies. The silent/respond decision is always greedy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingChoice {
    /// Sampling temperature; 0 is greedy.
    pub temperature: f64,
    /// Number of candidate tokens, the most likely first; all if absent.
    pub top_k: Option<usize>,
    /// Seed of the random number generator.
    pub seed: u64,
}

impl SamplingChoice {
    /// Greedy decoding.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: None, seed: 0 };
}

/// The optional events of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventOptions {
    /// True if `decision` events are reported.
    pub decisions: bool,
    /// True if `decision` events carry `margin`.
    pub margins: bool,
    /// True if `timing` events are reported.
    pub timing: bool,
}
