//! The meaning of a command line: a [`Request`] put together from options, settings file and defaults.
//!
//! Refuses combinations that mean nothing. Not responsible for carrying a request out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::bench_args::BenchOptions;
use super::cli::{Cli, CliCommand, ListenArgs, SessionArgs};
use super::eval_args::{self, EvalRequest};
use super::file_list::expand_file_lists;
use super::formats::{OutputFormat, ReportFormat, Stdout};
use super::history_args::HistoryRequest;
use super::model_args::ModelRequest;
use super::modes::{self, DEFAULT_ON, Mode, TRANSLATE};
use super::settings_file::{self, FileSettings, NamedMode};
use super::trace_args::TraceOptions;
use super::values::{Eagerness, arguments_error, refuse_to_overwrite, would_be_overwritten};
use super::{
    ComputeDevice, Conversion, EventOptions, FileSpeed, HistoryPrefs, Paths, ReadOptions, SamplingChoice, Settings, SourceChoice,
    StartState, WindowPrefs, modes_file,
};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::{Existing, is_stdin};
use crate::protocol::{DeviceChoice, Language, ModelChoice, Speak};

/// A checked request to the program: one command with all its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Open the window and listen with these settings.
    Window(Box<Settings>),
    /// Listen without a window.
    Listen {
        /// Settings of the session.
        settings: Box<Settings>,
        /// Output format.
        format: OutputFormat,
    },
    /// List the sound inputs and outputs.
    Devices(ReportFormat),
    /// Write every number that the model computes for some files.
    Trace(TraceOptions),
    /// Measure the speed of a model.
    Bench(BenchOptions),
    /// Score a model on a data set, or compare two such runs.
    Eval(EvalRequest),
    /// Check whether this machine has everything that a session with these settings needs.
    Doctor(Box<Settings>),
    /// List, show, search, export or delete past sessions.
    History(HistoryRequest),
    /// List, download, verify, quantise, locate or remove models.
    Model(ModelRequest),
}

/// Optional events of a session with a window: decisions with their margins, which the window's ribbon shows.
const WINDOW_EVENTS: EventOptions = EventOptions { decisions: true, margins: true, timing: false };

/// Default silence after each file, in seconds, as in the reference (`src/model/README.md` section 5.4).
pub const DEFAULT_GAP_SECS: f64 = 1.0;

impl Cli {
    /// Returns the request that the command line means, given the settings and modes files in `paths`; `stdout` decides the default
    /// format of `listen`. A window and the doctor leave out wrong lines of these files ([`settings_problems`]).
    ///
    /// # Errors
    /// `Arguments` when options contradict each other or name something unknown; `AudioFile` when a file is missing;
    /// `Settings` when the settings or modes file is wrong, for `listen`.
    pub fn request(self, paths: &Paths, stdout: Stdout) -> Result<Request> {
        Ok(match self.command {
            None => Request::Window(Box::new(Settings { hidden: self.hidden, ..window_settings(self.session, paths)?.0 })),
            Some(CliCommand::Listen(typed)) => listen(*typed, paths, stdout)?,
            Some(CliCommand::Devices(typed)) => Request::Devices(typed.format()),
            Some(CliCommand::Trace(typed)) => Request::Trace(typed.options()?),
            Some(CliCommand::Bench(typed)) => Request::Bench(typed.options()),
            Some(CliCommand::History(typed)) => Request::History(typed.request()?),
            Some(CliCommand::Eval(typed)) => Request::Eval(eval_args::request(*typed)?),
            Some(CliCommand::Model(typed)) => Request::Model(typed.request()),
            // Errors in the settings are among the doctor's findings.
            Some(CliCommand::Doctor) => Request::Doctor(Box::new(window_settings(SessionArgs::default(), paths)?.0)),
        })
    }
}

/// Returns the errors in the settings and modes files, one message for each line that a window leaves out; at most 5 for each
/// reader of the settings file, and one for the modes file, which is left out whole.
#[must_use]
pub fn settings_problems(paths: &Paths) -> Vec<String> {
    let mut problems = WindowPrefs::read(paths).1;
    problems.extend(window_settings(SessionArgs::default(), paths).map_or_else(|e| vec![e.message().to_owned()], |(_, messages)| messages));
    problems.extend(HistoryPrefs::read(paths).1);
    let mut known = BTreeSet::new();
    problems.retain(|text| known.insert(text.clone()));
    problems
}

/// Returns the settings of a session with a window, and a message about each part of the settings and modes files that is left out
/// because of an error: a window opens whatever the files hold. Wrong command-line options are errors nevertheless.
fn window_settings(typed: SessionArgs, paths: &Paths) -> Result<(Settings, Vec<String>)> {
    let (mut file, mut problems) = settings_file::read_lenient(&paths.settings_file());
    let source = SourceChoice::Microphone(file.input.clone().unwrap_or_default());
    let starter = matches!(typed.model.as_ref().or(file.model.as_ref()), None | Some(ModelChoice::Starter));
    if starter && file.translate_to == Some(Language::English) {
        // The language was chosen with another model; the window opens all the same.
        file.translate_to = None;
    }
    let translate_to = typed.translate_to.or(file.translate_to).unwrap_or_default();
    let modes = modes_file::all(paths, translate_to).unwrap_or_else(|e| {
        problems.push(e.message().to_owned());
        modes::builtin(translate_to, &paths.instructions())
    });
    problems.extend(file.named_modes.iter().filter_map(|named| unknown_name(named, &modes, paths)).map(|e| e.message().to_owned()));
    let exists = |name: &String| modes.iter().any(|mode| mode.name == *name);
    file.eagerness.retain(|(name, _)| name.as_ref().is_none_or(exists));
    file.modes.iter_mut().for_each(|names| names.retain(exists));
    file.modes = file.modes.filter(|names| !names.is_empty());
    file.long_running.rest_first.retain(exists);
    Ok((combine(modes, typed, file, Fixed { source, event_options: WINDOW_EVENTS }, paths)?, problems))
}

fn listen(typed: ListenArgs, paths: &Paths, stdout: Stdout) -> Result<Request> {
    let format = typed.format.unwrap_or(match stdout {
        Stdout::Terminal => OutputFormat::Text,
        Stdout::Redirected => OutputFormat::Jsonl,
    });
    // The text format shows decisions only for their margins.
    let decisions = !typed.no_decisions && (format == OutputFormat::Jsonl || typed.margins);
    let event_options = EventOptions { decisions, margins: typed.margins, timing: typed.timing };
    let mut file = settings_file::read(&paths.settings_file())?;
    file.voice.speak = match (typed.speak, file.voice.speak) {
        (true, _) if !cfg!(feature = "voice") => {
            return Err(arguments_error("this build cannot speak: build with `--features voice`, or leave out --speak"));
        }
        (false, _) => Speak::Asked,
        (true, Speak::Asked) => Speak::Always,
        (true, chosen) => chosen,
    };
    let source = source(&typed, &file)?;
    if let Some(out) = &typed.session.save_audio {
        // A list is among the files that were typed, its members are among those of the source.
        let listed: &[PathBuf] = if let SourceChoice::Files { paths, .. } = &source { paths } else { &[] };
        refuse_to_overwrite(typed.files.iter().chain(listed), out, "--save-audio")?;
        if matches!(source, SourceChoice::Stdin { .. }) && is_stdin(out) {
            return Err(would_be_overwritten(out, "--save-audio"));
        }
    }
    let settings = Box::new(session_settings(typed.session, file, Fixed { source, event_options }, paths)?);
    settings.check_recording()?;
    Ok(Request::Listen { settings, format })
}

fn source(typed: &ListenArgs, file: &FileSettings) -> Result<SourceChoice> {
    let speed = if typed.realtime { FileSpeed::Realtime } else { FileSpeed::Unthrottled };
    let gap_secs = typed.gap_secs.unwrap_or(DEFAULT_GAP_SECS);
    if typed.files.is_empty() {
        for (given, option) in [(typed.realtime, "--realtime"), (typed.gap_secs.is_some(), "--gap-secs")] {
            if given {
                return Err(arguments_error(format!("{option} needs a FILE; without one, Hearken listens to the microphone")));
            }
        }
        return Ok(SourceChoice::Microphone(file.input.clone().unwrap_or_default()));
    }
    if typed.files.iter().any(|path| path == Path::new("-")) {
        if typed.files.len() > 1 {
            return Err(arguments_error("`-` is stdin and cannot be mixed with files"));
        }
        return Ok(SourceChoice::Stdin { raw: typed.raw, gap_secs, speed });
    }
    let conversion = if typed.ffmpeg { Conversion::Ffmpeg } else { Conversion::Never };
    let reading = ReadOptions { raw: typed.raw, conversion };
    Ok(SourceChoice::Files { paths: expand_file_lists(&typed.files)?, reading, gap_secs, speed })
}

/// The settings of a session that depend on its command: on `listen` and the files given, or on the window.
struct Fixed {
    source: SourceChoice,
    event_options: EventOptions,
}

fn session_settings(typed: SessionArgs, file: FileSettings, fixed: Fixed, paths: &Paths) -> Result<Settings> {
    let modes = modes_file::all(paths, typed.translate_to.or(file.translate_to).unwrap_or_default())?;
    // The command line can overrule the other names.
    let rest_first = file.named_modes.iter().filter(|named| named.key == "rest_first");
    if let Some(error) = rest_first.filter_map(|named| unknown_name(named, &modes, paths)).next() {
        return Err(error);
    }
    combine(modes, typed, file, fixed, paths)
}

/// Returns the settings of a session, combined from the command-line options `typed`, the settings file and the defaults. An option
/// that was typed wins over the file.
///
/// # Errors
/// When a named mode does not exist, or the starter is to translate into English.
fn combine(mut modes: Vec<Mode>, typed: SessionArgs, file: FileSettings, fixed: Fixed, paths: &Paths) -> Result<Settings> {
    let settings_path = paths.settings_file();
    let in_file = |error: Error| Error::at(ErrorKind::Settings, &settings_path, error.message()).with_remedy(Remedy::CorrectFile);
    set_eagerness(&mut modes, &file.eagerness).map_err(in_file)?;
    set_eagerness(&mut modes, &typed.eagerness.map_or_else(Vec::new, |list| list.0))?;
    let model = typed.model.or(file.model).unwrap_or(ModelChoice::Starter);
    let modes_on = match (typed.modes, file.modes) {
        (Some(names), _) => known_names(names.0, &modes)?,
        (None, Some(names)) => known_names(names, &modes).map_err(in_file)?,
        (None, None) if model == ModelChoice::Starter => DEFAULT_ON.map(str::to_owned).to_vec(),
        // The engine chooses by measuring the machine with this model.
        (None, None) => Vec::new(),
    };
    let translates = typed.translate_to == Some(Language::English) || modes_on.iter().any(|name| name == TRANSLATE);
    if model == ModelChoice::Starter && modes::language_of(&modes) == Language::English && translates {
        return Err(arguments_error(
            "the starter model translates into Chinese only: leave out `--translate-to en`, or choose another model with `--model`",
        ));
    }
    let top_k = typed.top_k.or(file.top_k);
    let microphone = matches!(fixed.source, SourceChoice::Microphone(_));
    // Several candidates mean sampling; temperature 0 or a single candidate means greedy decoding.
    let default_temperature = if top_k.is_some_and(|k| k > 1) { 1.0 } else { 0.0 };
    Ok(Settings {
        model,
        precision: typed.precision.or(file.precision),
        device: typed.device.or(file.device).unwrap_or(ComputeDevice::Cpu),
        threads: typed.threads.or(file.threads),
        modes,
        modes_on,
        gate: typed.gate.or(file.gate).unwrap_or(microphone),
        source: fixed.source,
        input_channel: typed.channel.or(file.input_channel.filter(|_| microphone)).unwrap_or_default(),
        start: StartState::Listening,
        output: file.output.unwrap_or(DeviceChoice::Default),
        voice: file.voice,
        sampling: SamplingChoice {
            temperature: typed.temperature.or(file.temperature).unwrap_or(default_temperature),
            top_k,
            seed: typed.seed.or(file.seed).unwrap_or(0),
        },
        save_audio: typed.save_audio,
        existing_audio: if typed.force { Existing::Replaced } else { Existing::Kept },
        event_options: fixed.event_options,
        long_running: file.long_running,
        hidden: false,
        paths: paths.clone(),
    })
}

fn set_eagerness(modes: &mut [Mode], eagerness: &[Eagerness]) -> Result<()> {
    for (name, bias) in eagerness {
        let known = list_names(modes);
        let mut found = false;
        for mode in modes.iter_mut().filter(|mode| name.as_ref().is_none_or(|name| *name == mode.name)) {
            mode.eagerness = *bias;
            found = true;
        }
        if let (false, Some(name)) = (found, name) {
            return Err(unknown_mode(name, &known));
        }
    }
    Ok(())
}

fn known_names(names: Vec<String>, modes: &[Mode]) -> Result<Vec<String>> {
    match names.iter().find(|name| !modes.iter().any(|mode| mode.name == **name)) {
        Some(unknown) => Err(unknown_mode(unknown, &list_names(modes))),
        None => Ok(names),
    }
}

/// Returns the error about a line of the settings file that names a mode, if the mode is not in `modes`; None if the mode is there.
fn unknown_name(NamedMode { key, name, line }: &NamedMode, modes: &[Mode], paths: &Paths) -> Option<Error> {
    if modes.iter().any(|mode| mode.name == *name) {
        return None;
    }
    let why = unknown_mode(name, &list_names(modes));
    let message = format!("{}:{line}: {key}: {}", paths.settings_file().display(), why.message());
    Some(Error::new(ErrorKind::Settings, message).with_remedy(Remedy::CorrectFile))
}

fn list_names(modes: &[Mode]) -> String {
    modes.iter().map(|mode| mode.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn unknown_mode(name: &str, known: &str) -> Error {
    arguments_error(format!("there is no mode {name:?}; the modes are: {known}"))
}

#[cfg(test)]
mod tests;
