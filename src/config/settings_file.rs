//! The settings file `settings.toml`: the user's choices where the command line says nothing.
//!
//! Values are read by the readers of the command line ([`values`]), so that both mean the same. An error names the line. A
//! file that does not exist counts as empty. The tables `[window]` and `[history]` are read elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::toml_file::{LineResult, TomlFile};
use super::values::{self, Eagerness};
use super::{ComputeDevice, ContextChoice, LongRunning, Precision};
use crate::error::Result;
use crate::protocol::{
    ChannelChoice, DeviceChoice, EchoChoice, Interrupt, Language, ModelChoice, Speak, Switch, VoiceChoice, VoiceSettings,
};

/// The choices in the settings file; None for a missing key, and defaults in `voice` and `long_running`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct FileSettings {
    pub(super) model: Option<ModelChoice>,
    pub(super) precision: Option<Precision>,
    pub(super) device: Option<ComputeDevice>,
    pub(super) threads: Option<usize>,
    /// Names of the modes that are on at the start.
    pub(super) modes: Option<Vec<String>>,
    /// Target language of the mode `translate`.
    pub(super) translate_to: Option<Language>,
    pub(super) eagerness: Vec<Eagerness>,
    /// True if the quiet gate is on.
    pub(super) gate: Option<bool>,
    /// Microphone.
    pub(super) input: Option<DeviceChoice>,
    /// Channel of the input.
    pub(super) input_channel: Option<ChannelChoice>,
    /// Device that plays spoken replies.
    pub(super) output: Option<DeviceChoice>,
    pub(super) voice: VoiceSettings,
    pub(super) temperature: Option<f64>,
    pub(super) top_k: Option<usize>,
    pub(super) seed: Option<u64>,
    pub(super) long_running: LongRunning,
    /// Every place where the file names a mode, so that the caller, who knows the modes, can check the names.
    pub(super) named_modes: Vec<NamedMode>,
}

/// A place in the settings file that names a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedMode {
    /// Key that holds the name: `modes`, `eagerness` or `rest_first`.
    pub(super) key: &'static str,
    pub(super) name: String,
    /// Number of the line, from 1.
    pub(super) line: usize,
}

/// The settings file as TOML, with a field for each key. Numbers with a range are read as any TOML value and checked later by the
/// reader of the command-line option of the same meaning.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlSettings {
    model: Option<Spanned<String>>,
    precision: Option<Spanned<String>>,
    device: Option<Spanned<String>>,
    threads: Option<Spanned<toml::Value>>,
    modes: Option<Spanned<Vec<String>>>,
    translate_to: Option<Spanned<String>>,
    #[serde(default)]
    eagerness: BTreeMap<String, Spanned<f32>>,
    gate: Option<bool>,
    input: Option<OneOrMore>,
    input_channel: Option<Spanned<toml::Value>>,
    output: Option<String>,
    temperature: Option<Spanned<toml::Value>>,
    top_k: Option<Spanned<toml::Value>>,
    seed: Option<u64>,
    context: Option<Spanned<String>>,
    context_positions: Option<Spanned<toml::Value>>,
    gate_sensitivity: Option<Spanned<String>>,
    rest_first: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    excluded_inputs: Vec<String>,
    #[serde(default)]
    voice: TomlVoice,
    /// The table of the window ([`super::prefs`]).
    #[serde(default, rename = "window")]
    _window: IgnoredAny,
    /// The table of the history ([`super::history_prefs`]).
    #[serde(default, rename = "history")]
    _history: IgnoredAny,
}

/// A name, or several in the order of preference.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a name in quotes, or a list of names")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn names(self) -> Vec<String> {
        match self {
            Self::One(name) => vec![name],
            Self::More(names) => names,
        }
    }
}

/// The table `[voice]` of the settings file as TOML; None for a missing key.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlVoice {
    speak: Option<Speak>,
    voice: Option<VoiceChoice>,
    speed: Option<Spanned<toml::Value>>,
    interrupt: Option<bool>,
    echo: Option<EchoChoice>,
    noise_suppression: Option<bool>,
    automatic_gain: Option<bool>,
}

/// Reads the settings file at `path`; the defaults if there is no such file.
///
/// # Errors
/// `Settings`, naming file and line, when the file cannot be read or a line cannot be understood.
pub(super) fn read(path: &Path) -> Result<FileSettings> {
    match TomlFile::read(path)? {
        Some(file) => Ok(interpret(&file)?),
        None => Ok(FileSettings::default()),
    }
}

/// Reads the settings file at `path` without the lines that cannot be understood; also returns messages about such lines, at most 5.
/// A window opens whatever the file holds. A file that cannot be read gives the defaults and one message.
pub(super) fn read_lenient(path: &Path) -> (FileSettings, Vec<String>) {
    TomlFile::interpret_lenient(path, interpret)
}

fn interpret(file: &TomlFile) -> LineResult<FileSettings> {
    let toml: TomlSettings = file.parse()?;
    let named_modes = named_modes(file, &toml);
    let model = file.value("model", toml.model, values::model)?;
    let defaults = LongRunning::default();
    let policy = file.value("context", toml.context, values::context)?.unwrap_or(defaults.context.policy);
    let positions = file.value("context_positions", as_text(toml.context_positions), values::window)?;
    let long_running = LongRunning {
        context: ContextChoice { policy, positions: positions.unwrap_or(defaults.context.positions) },
        sensitivity: file.value("gate_sensitivity", toml.gate_sensitivity, values::sensitivity)?.unwrap_or_default(),
        rest_first: toml.rest_first.map_or(defaults.rest_first, |names| names.into_iter().map(Spanned::into_inner).collect()),
        excluded_inputs: toml.excluded_inputs,
    };
    Ok(FileSettings {
        model: model.map(|model| relative_to(file.path(), model)),
        precision: file.value("precision", toml.precision, values::precision)?,
        device: file.value("device", toml.device, values::device)?,
        threads: file.value("threads", as_text(toml.threads), values::threads)?,
        modes: file.value("modes", toml.modes.map(|names| names_as_text(&names)), values::mode_names)?,
        translate_to: file.value("translate_to", toml.translate_to, values::language)?,
        eagerness: eagerness(file, toml.eagerness)?,
        gate: toml.gate,
        input: toml.input.map(|input| DeviceChoice::first_of(input.names())),
        input_channel: file.value("input_channel", as_text(toml.input_channel), values::channel)?,
        output: toml.output.map(|output| DeviceChoice::first_of([output])),
        voice: voice(file, toml.voice)?,
        temperature: file.value("temperature", as_text(toml.temperature), values::temperature)?,
        top_k: file.value("top_k", as_text(toml.top_k), values::top_k)?,
        seed: toml.seed,
        long_running,
        named_modes,
    })
}

/// Returns every place where the settings file names a mode.
fn named_modes(file: &TomlFile, toml: &TomlSettings) -> Vec<NamedMode> {
    let named = |key, name: &str, at: usize| NamedMode { key, name: name.to_owned(), line: file.line_of(at) };
    let modes = toml.modes.iter().flat_map(|names| names.get_ref().iter().map(move |name| named("modes", name, names.span().start)));
    let eager = toml.eagerness.iter().map(|(name, bias)| named("eagerness", name, bias.span().start));
    let rest = toml.rest_first.iter().flatten().map(|name| named("rest_first", name.get_ref(), name.span().start));
    modes.chain(eager).chain(rest).collect()
}

fn eagerness(file: &TomlFile, biases: BTreeMap<String, Spanned<f32>>) -> LineResult<Vec<Eagerness>> {
    let checked = biases.into_iter().map(|(mode, bias)| match values::checked_bias(*bias.get_ref()) {
        Ok(bias) => Ok((Some(mode), bias)),
        Err(()) => Err(file.error_at(bias.span().start, &format!("eagerness of {mode:?}: {}", values::expected_eagerness()))),
    });
    checked.collect()
}

fn voice(file: &TomlFile, toml: TomlVoice) -> LineResult<VoiceSettings> {
    let defaults = VoiceSettings::default();
    let switch = |on: Option<bool>| if on == Some(true) { Switch::On } else { Switch::Off };
    Ok(VoiceSettings {
        speak: toml.speak.unwrap_or(defaults.speak),
        voice: toml.voice.unwrap_or(defaults.voice),
        speed: file.value("speed", as_text(toml.speed), values::speed)?.unwrap_or(defaults.speed),
        interrupt: if toml.interrupt == Some(false) { Interrupt::LetFinish } else { Interrupt::Cut },
        echo: toml.echo.unwrap_or(defaults.echo),
        noise_suppression: switch(toml.noise_suppression),
        automatic_gain: switch(toml.automatic_gain),
    })
}

/// Resolves a model folder relative to the folder of the settings file, not to the working directory. Names of the catalogue become
/// such paths too; `hub::catalog::resolve` undoes that.
fn relative_to(file: &Path, model: ModelChoice) -> ModelChoice {
    match (model, file.parent()) {
        (ModelChoice::Dir(folder), Some(base)) => ModelChoice::Dir(base.join(folder)),
        (model, _) => model,
    }
}

fn as_text(value: Option<Spanned<toml::Value>>) -> Option<Spanned<String>> {
    value.map(|value| Spanned::new(value.span(), value.get_ref().to_string()))
}

fn names_as_text(names: &Spanned<Vec<String>>) -> Spanned<String> {
    Spanned::new(names.span(), names.get_ref().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::config::Sensitivity;
    use crate::error::ErrorKind;

    fn read_text(text: &str) -> Result<FileSettings> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        fs::write(&path, text).expect("written");
        read(&path)
    }

    #[test]
    fn inputs_may_be_several_in_order_and_an_empty_name_means_the_default() {
        let input = |text: &str| read_text(text).map(|read| read.input);
        let both = DeviceChoice::FirstOf(vec!["dock".to_owned(), "built-in".to_owned()]);
        assert_eq!(input("input = [\"dock\", \"built-in\"]\n"), Ok(Some(both.clone())));
        assert_eq!(input("input = [\"dock\", \"\", \"built-in\"]\n"), Ok(Some(both)));
        assert_eq!(input("input = [\"dock\"]\n"), Ok(Some(DeviceChoice::Named("dock".to_owned()))));
        for default in ["input = \"\"\n", "input = []\n", "output = \"\"\n"] {
            assert_eq!(input(default).map(Option::unwrap_or_default), Ok(DeviceChoice::Default), "{default}");
        }
        let message = input("gate = true\ninput = 3\n").unwrap_err().message().to_owned();
        assert!(message.contains(":2:") && message.contains("list of names"), "{message}");
        assert!(read_text("input_channel = 0\n").unwrap_err().message().contains("from 1"));
    }

    #[test]
    fn a_missing_file_counts_as_empty() {
        assert_eq!(read(Path::new("/nowhere/settings.toml")), Ok(FileSettings::default()));
    }

    #[test]
    fn every_key_is_read() {
        let text = "model = \"starter\"\nprecision = \"bf16\"\ndevice = \"cpu\"\nthreads = 3\nmodes = [\"sounds\", \"dialog\"]\n\
                    translate_to = \"en\"\ngate = false\ninput = \"mic\"\ninput_channel = 3\noutput = \"speaker\"\ntemperature = 0.3\ntop_k = 3\nseed = 7\n\
                    context = \"recent_only\"\ncontext_positions = 4096\n\
                    gate_sensitivity = \"high\"\nrest_first = []\nexcluded_inputs = [\"Webcam\"]\n\
                    [eagerness]\ndialog = -1\nsounds = 0.5\n\
                    [voice]\nspeak = \"urgent\"\nvoice = \"none\"\nspeed = 1.5\ninterrupt = false\necho = \"off\"\nnoise_suppression = true\n\
                    automatic_gain = true\n";
        let read = read_text(text).expect("settings");
        assert_eq!(read.model, Some(ModelChoice::Starter));
        assert_eq!((read.precision, read.device, read.threads), (Some(Precision::Bf16), Some(ComputeDevice::Cpu), Some(3)));
        assert_eq!(read.modes, Some(vec!["sounds".to_owned(), "dialog".to_owned()]));
        assert_eq!((read.translate_to, read.gate), (Some(Language::English), Some(false)));
        assert_eq!(read.input, Some(DeviceChoice::Named("mic".to_owned())));
        assert_eq!(read.input_channel, Some(ChannelChoice::Only(std::num::NonZeroU16::new(3).expect("three"))));
        assert_eq!(read.output, Some(DeviceChoice::Named("speaker".to_owned())));
        assert_eq!((read.temperature, read.top_k, read.seed), (Some(0.3), Some(3), Some(7)));
        assert_eq!(read.long_running.excluded_inputs, ["Webcam"]);
        assert_eq!((read.long_running.sensitivity, read.long_running.rest_first.len()), (Sensitivity::High, 0));
        assert_eq!((read.long_running.context.policy.name(), read.long_running.context.positions), ("recent_only", 4_096));
        assert_eq!(read.eagerness, vec![(Some("dialog".to_owned()), -1.0), (Some("sounds".to_owned()), 0.5)]);
        let voice = VoiceSettings {
            speak: Speak::Urgent,
            voice: VoiceChoice::None,
            speed: 1.5,
            interrupt: Interrupt::LetFinish,
            echo: EchoChoice::Off,
            noise_suppression: Switch::On,
            automatic_gain: Switch::On,
        };
        assert_eq!(read.voice, voice);
    }

    #[test]
    fn a_model_folder_is_relative_to_the_settings_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        fs::write(&path, "model = \"mine\"").expect("written");
        assert_eq!(read(&path).expect("settings").model, Some(ModelChoice::Dir(folder.path().join("mine"))));
    }

    #[test]
    fn an_error_names_its_line() {
        let table = [
            ("\nthreads = 0\n", ":2:", "threads"),
            ("gate_sensitivity = \"full\"\n", ":1:", "low, normal or high"),
            ("context = \"all\"\n", ":1:", "keep_replies"),
            ("context_positions = 100\n", ":1:", "512 to 4096"),
            ("seed = 1\nseed = 2\n", ":2:", "duplicate"),
            ("\n\nvolume = 3\n", ":3:", "volume"),
            ("gate = \"on\"\n", ":1:", "bool"),
            ("precision = \"q3\"\n", ":1:", "bf16"),
            ("temperature = nan\n", ":1:", "temperature"),
            ("temperature = -1\n", ":1:", "temperature"),
            ("modes = []\n", ":1:", "modes"),
            ("seed = 1\n[eagerness]\ndialog = nan\n", ":3:", "dialog"),
            ("[eagerness]\ndialog = \"much\"\n", ":2:", "expected"),
            ("threads = \n", ":1:", ""),
            ("[voice]\nspeed = 9\n", ":2:", "speed"),
            ("[voice]\nspeak = \"loudly\"\n", ":2:", "always"),
            ("\u{0}", ":1:", ""),
        ];
        for (text, line, word) in table {
            let error = read_text(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Settings, "{text}");
            assert!(error.message().contains(&format!("settings.toml{line}")) && error.message().contains(word), "{text:?} gave {error}");
        }
    }

    #[test]
    fn a_lenient_read_skips_and_reports_lines_with_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        fs::write(&path, "seed = 3\nvolume = 11\nmodes = 3\n\nthreads = 0\ntranslate_to = \"en\"\n[eagerness]\ndialog = nan\n")
            .expect("written");
        let (read, wrong) = read_lenient(&path);
        assert_eq!((read.seed, read.translate_to, read.threads), (Some(3), Some(Language::English), None), "{wrong:?}");
        assert!(wrong.iter().any(|w| w.contains(":2:") && w.contains("volume")) && wrong.iter().any(|w| w.contains(":8:")), "{wrong:?}");
        fs::write(&path, b"seed = 1\n\xff\xfe").expect("written");
        assert_eq!(read_lenient(&path).1.len(), 1);
    }

    #[test]
    fn a_file_that_is_not_text_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        fs::write(&path, b"seed = 1\n\xff\xfe").expect("written");
        let error = read(&path).expect_err("no text");
        assert!(error.kind() == ErrorKind::Settings && error.message().contains("line 2 is not text"), "{error}");
    }
}
