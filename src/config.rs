//! Configuration: the command line ([`Cli`]), the settings file, the modes as data, and the folders of Hearken.
//!
//! [`Cli::request`] turns a command line into a [`Request`]; [`Settings`] is the complete configuration of a session. Not
//! responsible for carrying a request out.

pub mod autostart;
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
mod reading;
pub mod request;
mod settings_edit;
mod settings_file;
mod toml_file;
mod trace_args;
mod values;

use std::path::PathBuf;

use crate::error::Result;
use crate::files::{Existing, already_exists, exists};
use crate::protocol::{ChannelChoice, DeviceChoice, ModelChoice, VoiceSettings};

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
pub use reading::{Conversion, RawEncoding, RawFormat, ReadOptions};
pub use request::{DEFAULT_GAP_SECS, Request, settings_problems};
pub use trace_args::{TraceOptions, TracePath};

/// The complete configuration of a session: command line, settings file and defaults combined.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Model that listens.
    pub model: ModelChoice,
    /// Numeric precision of weights and computation; None: chosen for the model by fixed rules when it is loaded.
    pub precision: Option<Precision>,
    /// Compute device of the model.
    pub device: ComputeDevice,
    /// Number of compute threads; None: the number of physical cores.
    pub threads: Option<usize>,
    /// Every mode that can be switched on: the built-in modes, then the user's.
    pub modes: Vec<Mode>,
    /// Names of the modes that are on at the start. Empty: chosen once the model is loaded, the default modes for a small model, else the
    /// most important built-in modes that this machine is measured to run in real time, at least one.
    pub modes_on: Vec<String>,
    /// Source of the audio that the session hears.
    pub source: SourceChoice,
    /// Channels of the source that are heard.
    pub input_channel: ChannelChoice,
    /// State that the session starts in.
    pub start: StartState,
    /// Device that plays spoken replies.
    pub output: DeviceChoice,
    /// Settings of the voice, echo cancellation, noise suppression and gain control.
    pub voice: VoiceSettings,
    /// True if the quiet gate is on and withholds silent chunks from the model.
    pub gate: bool,
    /// Sampling of the tokens of replies.
    pub sampling: SamplingChoice,
    /// 32-bit float WAV file to which exactly the samples that the model hears are written; None: no file.
    pub save_audio: Option<PathBuf>,
    /// Treatment of a file that exists at `save_audio`.
    pub existing_audio: Existing,
    /// Choice of the optional events that the engine sends.
    pub event_options: EventOptions,
    /// Context window, overload and quiet-gate settings, for a session that runs for hours.
    pub long_running: LongRunning,
    /// True if the window starts hidden in the tray, where the desktop has one.
    pub hidden: bool,
    /// Folders of settings, cache and history.
    pub paths: Paths,
}

impl Settings {
    /// Checks that the recording of the session replaces no file unasked.
    ///
    /// # Errors
    /// `Arguments` when the file of `save_audio` exists and is to be kept.
    pub fn check_recording(&self) -> Result<()> {
        match &self.save_audio {
            Some(path) if self.existing_audio == Existing::Kept && exists(path) => Err(already_exists(path)),
            _ => Ok(()),
        }
    }
}

/// The state that a session starts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartState {
    /// Listening: the source is opened at once.
    #[default]
    Listening,
    /// Paused: no input device is opened and nothing is captured before `Command::Resume`.
    Paused,
}

/// The source of the audio that a session hears.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceChoice {
    /// An input device (microphone), live.
    Microphone(DeviceChoice),
    /// Files, heard in order as one session.
    Files {
        /// Paths of the files.
        paths: Vec<PathBuf>,
        /// The way in which the files are read.
        reading: ReadOptions,
        /// Silence that is heard after each file, in seconds.
        gap_secs: f64,
        /// Speed at which the files are heard.
        speed: FileSpeed,
    },
    /// A recording on standard input.
    Stdin {
        /// Form of sound without a header; None: the stream says itself.
        raw: Option<RawFormat>,
        /// Silence that is heard after the end of the stream, in seconds.
        gap_secs: f64,
        /// Speed at which the stream is heard.
        speed: FileSpeed,
    },
}

/// The speed at which files or standard input are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSpeed {
    /// Full speed: the file waits for the model, so nothing is lost.
    Unthrottled,
    /// In real time, like a microphone: audio is lost if the model cannot keep up.
    Realtime,
}

/// The numeric precision of a model: of its weights and of the products with them.
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
    /// Returns the name of the precision on the command line and in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }

    /// Returns the number of bits of a weight.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::F32 => 32,
            Self::Bf16 => 16,
            Self::Q8 => 8,
            Self::Q4 => 4,
        }
    }
}

/// The device that computes the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeDevice {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU (feature `cuda`).
    Cuda,
    /// An Apple GPU (feature `metal`).
    Metal,
}

/// The sampling of the tokens of replies. The decision to stay silent or respond is never sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingChoice {
    /// Sampling temperature; 0 is greedy.
    pub temperature: f64,
    /// Number of most likely tokens to sample from; None: all. Without effect at temperature 0.
    pub top_k: Option<usize>,
    /// Seed of the random number generator; equal seeds give equal replies.
    pub seed: u64,
}

impl SamplingChoice {
    /// Greedy decoding: always the most likely token.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: None, seed: 0 };
}

/// The choice of the optional events of a session; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventOptions {
    /// True if `decision` events are reported.
    pub decisions: bool,
    /// True if `decision` events carry `margin` (respond logit minus silent logit).
    pub margins: bool,
    /// True if `timing` events are reported.
    pub timing: bool,
}
