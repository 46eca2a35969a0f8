//! The settings file: what the user wants when the command line does not say otherwise.
//!
//! Responsible for reading `settings.toml` and for naming the line of whatever is wrong in it. Values mean the same as
//! on the command line, because the same readers read them. A file that is not there is as good as an empty one.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use toml::Spanned;

use super::modes::Language;
use super::values::{self, Eagerness};
use super::{ComputeDevice, ContextChoice, LongRunning, Precision};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::{DeviceChoice, EchoChoice, Interrupt, ModelChoice, Speak, Switch, VoiceChoice, VoiceSettings};

/// Lines that are reported at most: after these it is no settings file.
const WRONG_LINES: usize = 5;

/// What the settings file says; `None` where it says nothing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct FileSettings {
    pub(super) model: Option<ModelChoice>,
    pub(super) precision: Option<Precision>,
    pub(super) device: Option<ComputeDevice>,
    pub(super) threads: Option<usize>,
    pub(super) modes: Option<Vec<String>>,
    pub(super) translate_to: Option<Language>,
    pub(super) eagerness: Vec<Eagerness>,
    pub(super) gate: Option<bool>,
    pub(super) input: Option<DeviceChoice>,
    pub(super) output: Option<DeviceChoice>,
    pub(super) voice: VoiceSettings,
    pub(super) temperature: Option<f64>,
    pub(super) top_k: Option<usize>,
    pub(super) seed: Option<u64>,
    pub(super) long_running: LongRunning,
    /// Every name of a mode, for whoever knows which modes there are.
    pub(super) named: Vec<Named>,
}

/// The name of a mode, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) key: &'static str,
    pub(super) name: String,
    pub(super) line: usize,
}

/// The file as it is written. Numbers that have a range are read as any value and checked with the reader of the option.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    model: Option<Spanned<String>>,
    precision: Option<Spanned<String>>,
    device: Option<Spanned<String>>,
    threads: Option<Spanned<toml::Value>>,
    modes: Option<Spanned<Vec<String>>>,
    translate_to: Option<Spanned<String>>,
    #[serde(default)]
    eagerness: BTreeMap<String, Spanned<f32>>,
    gate: Option<bool>,
    input: Option<String>,
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
    voice: WrittenVoice,
    /// The window's own ([`super::prefs`]).
    #[serde(default, rename = "window")]
    _window: IgnoredAny,
    /// What is kept ([`super::history_prefs`]).
    #[serde(default, rename = "history")]
    _history: IgnoredAny,
}

/// The table `[voice]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenVoice {
    speak: Option<Speak>,
    voice: Option<VoiceChoice>,
    speed: Option<Spanned<toml::Value>>,
    interrupt: Option<bool>,
    echo: Option<EchoChoice>,
    noise_suppression: Option<bool>,
    automatic_gain: Option<bool>,
}

/// Reads the settings file at `path`.
///
/// # Errors
/// `Settings`, naming file and line, when the file cannot be read or anything in it is not understood.
pub(super) fn read(path: &Path) -> Result<FileSettings> {
    TomlFile::read(path)?.map_or_else(|| Ok(FileSettings::default()), |file| understand(&file))
}

/// Reads the settings file at `path` for a window, which must open whatever stands there: what cannot be understood is left
/// out, and said by its line.
pub(super) fn read_patiently(path: &Path) -> (FileSettings, Vec<String>) {
    TomlFile::patiently(path, understand)
}

fn understand(file: &TomlFile) -> Result<FileSettings> {
    let written: Written = file.parse()?;
    let named = named(file, &written);
    let path = &file.path;
    let model = file.value("model", written.model, values::model)?;
    let usual = LongRunning::default();
    let policy = file.value("context", written.context, values::context)?.unwrap_or(usual.context.policy);
    let positions = file.value("context_positions", as_text(written.context_positions), values::window)?;
    let long_running = LongRunning {
        context: ContextChoice { policy, positions: positions.unwrap_or(usual.context.positions) },
        sensitivity: file.value("gate_sensitivity", written.gate_sensitivity, values::sensitivity)?.unwrap_or_default(),
        rest_first: written.rest_first.map_or(usual.rest_first, |names| names.into_iter().map(Spanned::into_inner).collect()),
        excluded_inputs: written.excluded_inputs,
    };
    Ok(FileSettings {
        model: model.map(|model| relative_to(path, model)),
        precision: file.value("precision", written.precision, values::precision)?,
        device: file.value("device", written.device, values::device)?,
        threads: file.value("threads", as_text(written.threads), values::threads)?,
        modes: file.value("modes", written.modes.map(|names| names_as_text(&names)), values::mode_names)?,
        translate_to: file.value("translate_to", written.translate_to, values::language)?,
        eagerness: file.eagerness(written.eagerness)?,
        gate: written.gate,
        input: written.input.map(DeviceChoice::Named),
        output: written.output.map(DeviceChoice::Named),
        voice: voice(file, written.voice)?,
        temperature: file.value("temperature", as_text(written.temperature), values::temperature)?,
        top_k: file.value("top_k", as_text(written.top_k), values::top_k)?,
        seed: written.seed,
        long_running,
        named,
    })
}

fn named(file: &TomlFile, written: &Written) -> Vec<Named> {
    let named = |key, name: &str, at: usize| Named { key, name: name.to_owned(), line: file.line_of(at) };
    let modes = written.modes.iter().flat_map(|names| names.get_ref().iter().map(move |name| named("modes", name, names.span().start)));
    let eager = written.eagerness.iter().map(|(name, bias)| named("eagerness", name, bias.span().start));
    let rest = written.rest_first.iter().flatten().map(|name| named("rest_first", name.get_ref(), name.span().start));
    modes.chain(eager).chain(rest).collect()
}

fn voice(file: &TomlFile, written: WrittenVoice) -> Result<VoiceSettings> {
    let standard = VoiceSettings::default();
    let switch = |on: Option<bool>| if on == Some(true) { Switch::On } else { Switch::Off };
    Ok(VoiceSettings {
        speak: written.speak.unwrap_or(standard.speak),
        voice: written.voice.unwrap_or(standard.voice),
        speed: file.value("speed", as_text(written.speed), values::speed)?.unwrap_or(standard.speed),
        interrupt: if written.interrupt == Some(false) { Interrupt::LetFinish } else { Interrupt::Cut },
        echo: written.echo.unwrap_or(standard.echo),
        noise_suppression: switch(written.noise_suppression),
        automatic_gain: switch(written.automatic_gain),
    })
}

/// A folder in the settings file is meant from where the file is, not from where Hearken happens to be started.
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

/// A TOML file that can say at which line something in it is wrong.
pub(super) struct TomlFile {
    path: PathBuf,
    text: String,
}

impl TomlFile {
    /// The file at `path`; `None` when there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(Self { path: path.to_owned(), text })),
            // A home that is no folder holds no settings either.
            Err(e) if matches!(e.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory) => Ok(None),
            Err(e) => {
                Err(Error::at(ErrorKind::Settings, path, format_args!("this file cannot be read: {e}")).with_remedy(Remedy::AllowAccess))
            }
        }
    }

    /// The file at `path` as a `T`, less the lines that are wrong, which are reported.
    pub(super) fn read_patiently<T: DeserializeOwned + Default>(path: &Path) -> (T, Vec<String>) {
        Self::patiently(path, Self::parse)
    }

    fn patiently<T: Default>(path: &Path, understand: impl Fn(&Self) -> Result<T>) -> (T, Vec<String>) {
        let mut file = match Self::read(path) {
            Ok(Some(file)) => file,
            Ok(None) => return (T::default(), Vec::new()),
            Err(error) => return (T::default(), vec![error.to_string()]),
        };
        let mut wrong = Vec::new();
        // Every round blanks one line, so there are no more rounds than lines.
        for _ in 0..=file.text.lines().count() {
            match understand(&file) {
                Ok(value) => return (value, wrong),
                Err(error) => {
                    let line = file.line_named_in(&error);
                    if wrong.len() < WRONG_LINES {
                        wrong.push(error.message().to_owned());
                    }
                    if !file.blank(line) {
                        break;
                    }
                }
            }
        }
        (T::default(), wrong)
    }

    /// The line (from 1) that an error of [`Self::wrong_at`] names.
    fn line_named_in(&self, error: &Error) -> usize {
        let after = error.message().strip_prefix(&format!("{}:", self.path.display()));
        after.and_then(|rest| rest.split(':').next()?.parse().ok()).unwrap_or(1)
    }

    /// Empties a line and keeps the numbers of the others; false when it was empty.
    fn blank(&mut self, line: usize) -> bool {
        let Some(begin) = line.checked_sub(1).and_then(|above| {
            let mut ends = self.text.match_indices('\n').map(|(at, _)| at + 1);
            if above == 0 { Some(0) } else { ends.nth(above - 1) }
        }) else {
            return false;
        };
        let end = self.text[begin..].find('\n').map_or(self.text.len(), |at| begin + at);
        self.text.replace_range(begin..end, "");
        end > begin
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        toml::from_str(&self.text).map_err(|e| self.wrong_at(e.span().map_or(0, |span| span.start), e.message()))
    }

    /// The error that says `why` about what stands at byte `offset`.
    pub(super) fn wrong_at(&self, offset: usize, why: &str) -> Error {
        Error::new(ErrorKind::Settings, format!("{}:{}: {}", self.path.display(), self.line_of(offset), why.trim_end()))
            .with_remedy(Remedy::CorrectFile)
    }

    /// The line (from 1) in which byte `offset` stands.
    fn line_of(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    fn value<T>(&self, key: &str, text: Option<Spanned<String>>, read: fn(&str) -> Result<T, String>) -> Result<Option<T>> {
        let Some(text) = text else { return Ok(None) };
        let start = text.span().start;
        read(text.get_ref()).map(Some).map_err(|why| self.wrong_at(start, &format!("{key} = {:?}: {why}", text.get_ref())))
    }

    fn eagerness(&self, biases: BTreeMap<String, Spanned<f32>>) -> Result<Vec<Eagerness>> {
        let checked = biases.into_iter().map(|(mode, bias)| match values::checked_bias(*bias.get_ref()) {
            Ok(bias) => Ok((Some(mode), bias)),
            Err(()) => Err(self.wrong_at(bias.span().start, &format!("eagerness of {mode:?}: expected a number from -1000 to 1000"))),
        });
        checked.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sensitivity;

    fn read_text(text: &str) -> Result<FileSettings> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        fs::write(&path, text).expect("written");
        read(&path)
    }

    #[test]
    fn a_missing_file_says_nothing() {
        assert_eq!(read(Path::new("/nowhere/settings.toml")), Ok(FileSettings::default()));
    }

    #[test]
    fn every_key_is_read() {
        let text = "model = \"starter\"\nprecision = \"bf16\"\ndevice = \"cpu\"\nthreads = 3\nmodes = [\"sounds\", \"dialog\"]\n\
                    translate_to = \"en\"\ngate = false\ninput = \"mic\"\noutput = \"speaker\"\ntemperature = 0.3\ntop_k = 3\nseed = 7\n\
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
        assert_eq!(read.output, Some(DeviceChoice::Named("speaker".to_owned())));
        assert_eq!((read.temperature, read.top_k, read.seed), (Some(0.3), Some(3), Some(7)));
        assert_eq!(read.long_running.excluded_inputs, ["Webcam"]);
        assert_eq!((read.long_running.sensitivity, read.long_running.rest_first.len()), (Sensitivity::High, 0));
        assert_eq!((read.long_running.context.policy.name, read.long_running.context.positions), ("recent_only", 4_096));
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
    fn a_folder_is_meant_from_where_the_file_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        fs::write(&path, "model = \"mine\"").expect("written");
        assert_eq!(read(&path).expect("settings").model, Some(ModelChoice::Dir(folder.path().join("mine"))));
    }

    #[test]
    fn whatever_is_wrong_is_named_with_its_line() {
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
    fn a_window_opens_with_what_can_be_understood_and_says_what_cannot() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        fs::write(&path, "seed = 3\nvolume = 11\nmodes = 3\n\nthreads = 0\ntranslate_to = \"en\"\n[eagerness]\ndialog = nan\n")
            .expect("written");
        let (read, wrong) = read_patiently(&path);
        assert_eq!((read.seed, read.translate_to, read.threads), (Some(3), Some(Language::English), None), "{wrong:?}");
        assert!(wrong.iter().any(|w| w.contains(":2:") && w.contains("volume")) && wrong.iter().any(|w| w.contains(":8:")), "{wrong:?}");
        fs::write(&path, [0xff, 0xfe]).expect("written");
        assert_eq!(read_patiently(&path).1.len(), 1);
    }

    #[test]
    fn a_file_that_is_no_text_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        fs::write(&path, [0xff, 0xfe]).expect("written");
        assert_eq!(read(&path).expect_err("no text").kind(), ErrorKind::Settings);
    }
}
