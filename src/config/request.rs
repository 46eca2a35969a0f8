//! What is meant by what was typed.
//!
//! Responsible for putting command line, settings file and defaults together, and for refusing combinations that mean
//! nothing. Not responsible for doing it: each [`Request`] belongs to one part of the program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::cli::{BenchArgs, Cli, ListenArgs, SessionArgs, Task, TraceArgs};
use super::eval_args::{self, EvalRequest};
use super::history_cli::HistoryRequest;
use super::model_task::ModelRequest;
use super::modes::{self, DEFAULT_ON, Language, Mode, TRANSLATE};
use super::settings_file::{self, FileSettings, Named};
use super::values::Eagerness;
use super::{
    ComputeDevice, EventOptions, FileSpeed, HistoryPrefs, Paths, Precision, SamplingChoice, Settings, SourceChoice, WindowPrefs, modes_file,
};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::{DeviceChoice, ModelChoice, Speak};

/// What the user asks of the program.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Open the window and listen.
    Window(Box<Settings>),
    /// Listen without a window.
    Listen {
        /// To what, with what, how.
        settings: Box<Settings>,
        /// Form of the output.
        format: OutputFormat,
    },
    /// List the sound devices.
    Devices(ReportFormat),
    /// Write every number that the model computes.
    Trace(TraceOptions),
    /// Measure.
    Bench(BenchOptions),
    /// Score a model, or compare two runs.
    Eval(EvalRequest),
    /// Check the machine for a session with these settings.
    Doctor(Box<Settings>),
    /// Look at the sessions of the past.
    History(HistoryRequest),
    /// Get a model, or do something with one that is here.
    Model(ModelRequest),
}

/// Form of what `listen` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// Lines for people.
    Text,
    /// One event a line.
    Jsonl,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where stdout goes, which decides the form when none was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// A person reads it.
    Terminal,
    /// A file or a program takes it.
    Redirected,
}

/// What `hearken trace` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceOptions {
    /// Audio files, heard in order as one session.
    pub files: Vec<PathBuf>,
    /// The model whose numbers are wanted.
    pub model: ModelChoice,
    /// Which of the two ways of computing.
    pub path: TracePath,
    /// File for the tensors; a `.json` is put beside it.
    pub out: PathBuf,
}

/// The two ways in which the reference computes (CONTRACT.md "`hearken trace`").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracePath {
    /// Each file encoded whole, then a separately encoded second of zeros.
    Offline,
    /// What the microphone path computes.
    Live,
}

/// What `hearken bench` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// What is measured.
    pub subject: BenchSubject,
    /// In which numbers it computes; what suits the model when absent.
    pub precision: Option<Precision>,
    /// Threads for computing; the number of physical cores when absent.
    pub threads: Option<usize>,
    /// Positions in the cache of every lane when a pass is measured.
    pub context: usize,
    /// Lanes that are advanced together.
    pub lanes: usize,
    /// Single figures, a scenario or a recommendation.
    pub task: BenchTask,
    /// Form of the report.
    pub format: ReportFormat,
}

/// What `hearken bench` finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchTask {
    /// What each part of a chunk takes.
    Figures,
    /// How a minute of listening goes.
    Scenario(Scenario),
    /// What this machine runs in real time.
    Recommend,
}

/// A minute of listening that `hearken bench` plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A quiet room: the gate is closed.
    Quiet,
    /// A question and a 30-token reply every 20 s.
    Dialog,
    /// Continuous speech that is written down at 3 tokens a second.
    Speech,
}

impl Scenario {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Dialog => "dialog",
            Self::Speech => "speech",
        }
    }
}

/// What `hearken bench` measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BenchSubject {
    /// A model with its weights.
    Model(ModelChoice),
    /// Random weights of the 3B model's real sizes.
    Shape3b,
}

/// What a window wants to know: the strip shows decisions.
const WINDOW_REPORTS: EventOptions = EventOptions { decisions: true, margins: false, timing: false };

/// Silence after each file when nothing else is said, in seconds: as long as the reference adds (MODEL.md section 5.4).
const DEFAULT_GAP_SECS: f64 = 1.0;

impl Cli {
    /// What is meant, given the settings and modes in `paths` and where `stdout` goes.
    ///
    /// # Errors
    /// `Arguments` when options contradict each other or name something unknown; `AudioFile` when a file is not there;
    /// `Settings` when a settings file is wrong.
    pub fn request(self, paths: &Paths, stdout: Stdout) -> Result<Request> {
        Ok(match self.task {
            None => Request::Window(Box::new(window(self.session, paths)?.0)),
            Some(Task::Listen(typed)) => listen(*typed, paths, stdout)?,
            Some(Task::Devices(typed)) => Request::Devices(report_format(typed.json)),
            Some(Task::Trace(typed)) => Request::Trace(trace(typed)?),
            Some(Task::Bench(typed)) => Request::Bench(bench(typed)?),
            Some(Task::History(typed)) => Request::History(typed.request()?),
            Some(Task::Eval(typed)) => Request::Eval(eval_args::request(*typed)?),
            Some(Task::Model(typed)) => Request::Model(typed.request()),
            // What is wrong with the settings is one of its findings.
            Some(Task::Doctor) => Request::Doctor(Box::new(window(SessionArgs::default(), paths)?.0)),
        })
    }
}

/// What is wrong with the settings file and was left out when the window opened, each by its line.
#[must_use]
pub fn settings_problems(paths: &Paths) -> Vec<String> {
    let mut wrong = WindowPrefs::read(paths).1;
    wrong.extend(window(SessionArgs::default(), paths).map_or_else(|e| vec![e.to_string()], |(_, wrong)| wrong));
    wrong.extend(HistoryPrefs::read(paths).1);
    let mut known = BTreeSet::new();
    wrong.retain(|text| known.insert(text.clone()));
    wrong
}

/// A window opens whatever its settings file holds: what cannot be understood is left out and said.
fn window(typed: SessionArgs, paths: &Paths) -> Result<(Settings, Vec<String>)> {
    let (mut file, mut wrong) = settings_file::read_patiently(&paths.settings_file());
    let source = SourceChoice::Microphone(file.input.clone().unwrap_or_default());
    let starter = matches!(typed.model.as_ref().or(file.model.as_ref()), None | Some(ModelChoice::Starter));
    if starter && file.translate_to == Some(Language::English) {
        // The language was chosen with another model; a window opens all the same.
        file.translate_to = None;
    }
    let translate_to = typed.translate_to.or(file.translate_to).unwrap_or_default();
    let modes = modes_file::all(paths, translate_to).unwrap_or_else(|e| {
        wrong.push(e.message().to_owned());
        modes::builtin(translate_to, &paths.instructions())
    });
    wrong.extend(file.named.iter().filter_map(|named| unknown_name(named, &modes, paths)).map(|error| error.message().to_owned()));
    let there = |name: &String| modes.iter().any(|mode| mode.name == *name);
    file.eagerness.retain(|(name, _)| name.as_ref().is_none_or(there));
    file.modes.iter_mut().for_each(|names| names.retain(there));
    file.modes = file.modes.filter(|names| !names.is_empty());
    file.long_running.rest_first.retain(there);
    Ok((session_of(modes, typed, file, source, WINDOW_REPORTS, paths)?, wrong))
}

fn listen(typed: ListenArgs, paths: &Paths, stdout: Stdout) -> Result<Request> {
    let format = typed.format.unwrap_or(match stdout {
        Stdout::Terminal => OutputFormat::Text,
        Stdout::Redirected => OutputFormat::Jsonl,
    });
    // Nobody reads decisions as text, except to see how sure they were.
    let decisions = !typed.no_decisions && (format == OutputFormat::Jsonl || typed.margins);
    let reports = EventOptions { decisions, margins: typed.margins, timing: typed.timing };
    let mut file = settings_file::read(&paths.settings_file())?;
    file.voice.speak = match (typed.speak, file.voice.speak) {
        (true, _) if !cfg!(feature = "voice") => {
            return Err(arguments("this build cannot speak: build with `--features voice`, or leave out --speak"));
        }
        (false, _) => Speak::Asked,
        (true, Speak::Asked) => Speak::Always,
        (true, chosen) => chosen,
    };
    let source = source(&typed, &file)?;
    if let (SourceChoice::Files { paths, .. }, Some(out)) = (&source, &typed.session.save_audio) {
        refuse_to_overwrite(paths, out, "--save-audio")?;
    }
    let settings = Box::new(session(typed.session, file, source, reports, paths)?);
    Ok(Request::Listen { settings, format })
}

fn source(typed: &ListenArgs, file: &FileSettings) -> Result<SourceChoice> {
    let pace = if typed.realtime { FileSpeed::Realtime } else { FileSpeed::Unthrottled };
    let gap_secs = typed.gap_secs.unwrap_or(DEFAULT_GAP_SECS);
    if typed.files.is_empty() {
        for (given, option) in [(typed.realtime, "--realtime"), (typed.gap_secs.is_some(), "--gap-secs")] {
            if given {
                return Err(arguments(format!("{option} is about files, and without a FILE the microphone is heard")));
            }
        }
        return Ok(SourceChoice::Microphone(file.input.clone().unwrap_or_default()));
    }
    if typed.files.iter().any(|path| path == Path::new("-")) {
        if typed.files.len() > 1 {
            return Err(arguments("`-` is WAV on stdin and cannot be mixed with files"));
        }
        return Ok(SourceChoice::Stdin { gap_secs, pace });
    }
    Ok(SourceChoice::Files { paths: expand(&typed.files)?, gap_secs, pace })
}

fn session(typed: SessionArgs, file: FileSettings, source: SourceChoice, reports: EventOptions, paths: &Paths) -> Result<Settings> {
    let modes = modes_file::all(paths, typed.translate_to.or(file.translate_to).unwrap_or_default())?;
    // The others may be overruled by what was typed.
    let rest_first = file.named.iter().filter(|named| named.key == "rest_first");
    if let Some(error) = rest_first.filter_map(|named| unknown_name(named, &modes, paths)).next() {
        return Err(error);
    }
    session_of(modes, typed, file, source, reports, paths)
}

fn session_of(
    mut modes: Vec<Mode>,
    typed: SessionArgs,
    file: FileSettings,
    source: SourceChoice,
    reports: EventOptions,
    paths: &Paths,
) -> Result<Settings> {
    let settings_path = paths.settings_file();
    let in_file = |error: Error| Error::at(ErrorKind::Settings, &settings_path, error.message());
    set_eagerness(&mut modes, &file.eagerness).map_err(in_file)?;
    set_eagerness(&mut modes, &typed.eagerness.map_or_else(Vec::new, |list| list.0))?;
    let model = typed.model.or(file.model).unwrap_or(ModelChoice::Starter);
    let modes_on = match (typed.modes, file.modes) {
        (Some(names), _) => known_names(names.0, &modes)?,
        (None, Some(names)) => known_names(names, &modes).map_err(in_file)?,
        (None, None) if model == ModelChoice::Starter => DEFAULT_ON.map(str::to_owned).to_vec(),
        // The engine measures what this machine can do with the model.
        (None, None) => Vec::new(),
    };
    let asked = typed.translate_to == Some(Language::English) || modes_on.iter().any(|name| name == TRANSLATE);
    if model == ModelChoice::Starter && modes::language_of(&modes) == Language::English && asked {
        return Err(arguments(
            "the starter model translates into Chinese only: leave out `--translate-to en`, or choose another model with `--model`",
        ));
    }
    let top_k = typed.top_k.or(file.top_k);
    // Choosing among several likely tokens means drawing; greedy is what temperature 0 or a single candidate asks for.
    let drawn = if top_k.is_some_and(|k| k > 1) { 1.0 } else { 0.0 };
    Ok(Settings {
        model,
        precision: typed.precision.or(file.precision),
        device: typed.device.or(file.device).unwrap_or(ComputeDevice::Cpu),
        threads: typed.threads.or(file.threads),
        modes,
        modes_on,
        gate: typed.gate.or(file.gate).unwrap_or(matches!(source, SourceChoice::Microphone(_))),
        source,
        output: file.output.unwrap_or(DeviceChoice::Default),
        voice: file.voice,
        sampling: SamplingChoice {
            temperature: typed.temperature.or(file.temperature).unwrap_or(drawn),
            top_k,
            seed: typed.seed.or(file.seed).unwrap_or(0),
        },
        save_audio: typed.save_audio,
        event_options: reports,
        long_running: file.long_running,
        paths: paths.clone(),
    })
}

fn set_eagerness(modes: &mut [Mode], wanted: &[Eagerness]) -> Result<()> {
    for (name, bias) in wanted {
        let known = list_names(modes);
        let mut touched = false;
        for mode in modes.iter_mut().filter(|mode| name.as_ref().is_none_or(|name| *name == mode.name)) {
            mode.eagerness = *bias;
            touched = true;
        }
        if let (false, Some(name)) = (touched, name) {
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

/// The error that says by its line that the settings file names a mode that there is not.
fn unknown_name(Named { key, name, line }: &Named, modes: &[Mode], paths: &Paths) -> Option<Error> {
    if modes.iter().any(|mode| mode.name == *name) {
        return None;
    }
    let why = unknown_mode(name, &list_names(modes));
    Some(Error::new(ErrorKind::Settings, format!("{}:{line}: {key}: {}", paths.settings_file().display(), why.message())))
}

fn list_names(modes: &[Mode]) -> String {
    modes.iter().map(|mode| mode.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn unknown_mode(name: &str, known: &str) -> Error {
    arguments(format!("there is no mode {name:?}; there are: {known}"))
}

fn trace(typed: TraceArgs) -> Result<TraceOptions> {
    if typed.files.iter().any(|path| path == Path::new("-")) {
        return Err(arguments("trace reads files; `-` (stdin) is for `hearken listen`"));
    }
    let files = expand(&typed.files)?;
    refuse_to_overwrite(&files, &typed.out, "--out")?;
    if typed.out.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(arguments(format!("--out {}: the name must end in .safetensors, a .json is put beside it", typed.out.display())));
    }
    Ok(TraceOptions { files, model: typed.model, path: typed.path, out: typed.out })
}

fn bench(typed: BenchArgs) -> Result<BenchOptions> {
    let subject = match (typed.shape, typed.model) {
        (Some(_), _) => BenchSubject::Shape3b,
        (None, model) => BenchSubject::Model(model.unwrap_or(ModelChoice::Starter)),
    };
    let task = match (typed.scenario, typed.recommend) {
        (_, true) => BenchTask::Recommend,
        (Some(scenario), false) => BenchTask::Scenario(scenario),
        (None, false) => BenchTask::Figures,
    };
    let format = report_format(typed.json);
    let (precision, threads) = (typed.precision, typed.threads);
    Ok(BenchOptions { subject, precision, threads, context: typed.context, lanes: typed.lanes, task, format })
}

const fn report_format(json: bool) -> ReportFormat {
    if json { ReportFormat::Json } else { ReportFormat::Text }
}

/// The files, each list of paths replaced by what it lists. Every one is looked at before the first is heard: finding
/// out after an hour that the second file is not there helps nobody.
fn expand(typed: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in typed {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            files.extend(listed_in(path)?);
        } else {
            files.push(path.clone());
        }
    }
    for path in &files {
        let about = fs::metadata(path).map_err(|e| Error::at(ErrorKind::AudioFile, path, e))?;
        if about.is_dir() {
            return Err(Error::at(ErrorKind::AudioFile, path, "this is a folder, not an audio file"));
        }
    }
    Ok(files)
}

/// The paths in a `sequence.json`, meant from where that file is.
fn listed_in(list: &Path) -> Result<Vec<PathBuf>> {
    let text = fs::read_to_string(list).map_err(|e| Error::at(ErrorKind::AudioFile, list, e))?;
    let paths: Vec<PathBuf> = serde_json::from_str(&text)
        .map_err(|e| Error::at(ErrorKind::AudioFile, list, format_args!("expected a JSON list of paths of audio files: {e}")))?;
    if paths.is_empty() {
        return Err(Error::at(ErrorKind::AudioFile, list, "this list of audio files is empty"));
    }
    let folder = list.parent().unwrap_or(Path::new(""));
    Ok(paths.into_iter().map(|path| folder.join(path)).collect())
}

/// Writing over a file that is being listened to would lose it.
fn refuse_to_overwrite(inputs: &[PathBuf], out: &Path, option: &str) -> Result<()> {
    let Ok(out_is) = fs::canonicalize(out) else { return Ok(()) };
    match inputs.iter().find(|input| fs::canonicalize(input).is_ok_and(|input_is| input_is == out_is)) {
        Some(_) => Err(arguments(format!("{option} {}: this is one of the files to listen to and would be overwritten", out.display()))),
        None => Ok(()),
    }
}

pub(super) fn arguments(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Arguments, message).with_remedy(Remedy::CheckCommandLine)
}

#[cfg(test)]
mod tests;
