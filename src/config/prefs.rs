//! What the window remembers, and what is saved of the choices made in it.
//!
//! Responsible for the table `[window]` of the settings file and for saving the session's choices beside it. Not
//! responsible for how any of it looks.

use serde::{Deserialize, Serialize};
use toml::Value;

use super::modes::Language;
use super::paths::Paths;
use super::settings_edit::{self, Change};
use super::settings_file::TomlFile;
use crate::error::Result;
use crate::protocol::{DeviceChoice, Interrupt, ModelChoice, Switch, VoiceSettings};

/// What the window remembers from one start to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowPrefs {
    /// Language of the window.
    pub language: UiLanguage,
    /// Light or dark.
    pub theme: ThemeChoice,
    /// Scale of everything in the window; 1 is the system's.
    pub zoom: f32,
    /// Panels that the user has hidden.
    pub hidden: Vec<String>,
    /// Whether the first card was read.
    pub welcomed: bool,
    /// Whether urgent replies and marked sounds reach the desktop.
    pub notify: bool,
    /// Sounds that notify.
    pub marked_sounds: Vec<String>,
    /// Sounds that are not listed.
    pub muted_sounds: Vec<String>,
    /// The share of the width that conversation and sounds take, and of that of the height that sounds take.
    pub shares: [f32; 2],
    /// The captions overlay.
    pub captions: CaptionPrefs,
}

impl Default for WindowPrefs {
    fn default() -> Self {
        Self {
            language: UiLanguage::System,
            theme: ThemeChoice::System,
            zoom: 1.0,
            hidden: Vec::new(),
            welcomed: false,
            notify: true,
            marked_sounds: Vec::new(),
            muted_sounds: Vec::new(),
            shares: [0.44, 0.36],
            captions: CaptionPrefs::default(),
        }
    }
}

/// Language of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UiLanguage {
    /// The system's, where the window speaks it.
    #[default]
    #[serde(rename = "system")]
    System,
    /// English.
    #[serde(rename = "en")]
    English,
    /// Chinese.
    #[serde(rename = "zh")]
    Chinese,
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ThemeChoice {
    #[default]
    System,
    Light,
    Dark,
}

/// The captions overlay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaptionPrefs {
    /// Height of its letters, in points.
    pub size: f32,
    /// How much of what is behind it is hidden, 0 to 1.
    pub opacity: f32,
    /// Utterances that it shows.
    pub lines: u8,
    /// Whether the translation stands below.
    pub bilingual: bool,
    /// Upper left corner on the screen, in points; the system decides when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<[f32; 2]>,
    /// Width and height, in points.
    pub extent: [f32; 2],
}

impl Default for CaptionPrefs {
    fn default() -> Self {
        Self { size: 28.0, opacity: 0.8, lines: 2, bilingual: true, position: None, extent: [760.0, 190.0] }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    window: WindowPrefs,
}

impl WindowPrefs {
    /// The preferences in the settings file, and what is wrong with those that cannot be read, each by its line; the
    /// standard ones stand in for these.
    #[must_use]
    pub fn read(paths: &Paths) -> (Self, Vec<String>) {
        let (file, wrong) = TomlFile::read_patiently::<File>(&paths.settings_file());
        (file.window.in_range(), wrong)
    }

    /// The same with every number in the range that the window can show.
    fn in_range(mut self) -> Self {
        let tame =
            |number: f32, least: f32, most: f32, standard: f32| if number.is_finite() { number.clamp(least, most) } else { standard };
        let standard = CaptionPrefs::default();
        self.zoom = tame(self.zoom, 0.5, 3.0, 1.0);
        self.shares = [tame(self.shares[0], 0.1, 0.9, 0.44), tame(self.shares[1], 0.1, 0.9, 0.36)];
        self.captions.size = tame(self.captions.size, 12.0, 72.0, standard.size);
        self.captions.opacity = tame(self.captions.opacity, 0.0, 1.0, standard.opacity);
        self.captions.lines = self.captions.lines.clamp(1, 2);
        self.captions.extent = [tame(self.captions.extent[0], 200.0, 4_000.0, 760.0), tame(self.captions.extent[1], 60.0, 2_000.0, 190.0)];
        self.captions.position = self.captions.position.filter(|p| p.iter().all(|x| x.is_finite()));
        self
    }

    /// Writes them into the settings file, whose other content stays.
    ///
    /// # Errors
    /// `Settings` when the file is damaged, `Output` when it cannot be written.
    pub fn save(&self, paths: &Paths) -> Result<()> {
        let text = |value: &str| Some(Value::from(value));
        let list = |names: &[String]| Some(Value::from(names.to_vec()));
        let number = |value: f32| Some(Value::from(short(value)));
        let pair = |pair: [f32; 2]| Value::from(pair.map(short).to_vec());
        let (language, theme) = (self.language, self.theme);
        let changes: Vec<Change<'_>> = vec![
            (vec!["window", "language"], text(["system", "en", "zh"][language as usize])),
            (vec!["window", "theme"], text(["system", "light", "dark"][theme as usize])),
            (vec!["window", "zoom"], number(self.zoom)),
            (vec!["window", "hidden"], list(&self.hidden)),
            (vec!["window", "welcomed"], Some(self.welcomed.into())),
            (vec!["window", "notify"], Some(self.notify.into())),
            (vec!["window", "marked_sounds"], list(&self.marked_sounds)),
            (vec!["window", "muted_sounds"], list(&self.muted_sounds)),
            (vec!["window", "shares"], Some(pair(self.shares))),
            (vec!["window", "captions", "size"], number(self.captions.size)),
            (vec!["window", "captions", "opacity"], number(self.captions.opacity)),
            (vec!["window", "captions", "lines"], Some(i64::from(self.captions.lines).into())),
            (vec!["window", "captions", "bilingual"], Some(self.captions.bilingual.into())),
            (vec!["window", "captions", "position"], self.captions.position.map(pair)),
            (vec!["window", "captions", "extent"], Some(pair(self.captions.extent))),
        ];
        settings_edit::apply(&paths.settings_file(), &changes)
    }
}

/// 0.8 as 0.8 and not as the nearest double of the nearest float.
fn short(number: f32) -> f64 {
    (f64::from(number) * 100.0).round() / 100.0
}

/// A choice about the session that outlives it.
#[derive(Clone, Debug, PartialEq)]
pub enum SavedChoice {
    /// The modes that are on.
    ModesOn(Vec<String>),
    /// The model.
    Model(ModelChoice),
    /// The input.
    Input(DeviceChoice),
    /// How Hearken speaks.
    Voice(VoiceSettings),
    /// The language that is translated into.
    TranslateTo(Language),
    /// How eager a mode is.
    Eagerness(String, f32),
    /// A mode of the user's was taken away: nothing is said of its eagerness any more.
    NoMode(String),
    /// Modes that rest first while the machine cannot keep up.
    RestFirst(Vec<String>),
    /// The output.
    Output(DeviceChoice),
    /// Whether the quiet gate is there.
    Gate(Gate),
}

/// Whether the quiet gate keeps silence from the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Gate {
    On,
    Off,
}

/// Saves a choice in the settings file.
///
/// # Errors
/// `Settings` when the file is damaged, `Output` when it cannot be written.
pub fn save_choice(paths: &Paths, choice: &SavedChoice) -> Result<()> {
    let change: Change<'_> = match choice {
        SavedChoice::ModesOn(modes) if modes.is_empty() => (vec!["modes"], None),
        SavedChoice::ModesOn(modes) => (vec!["modes"], Some(Value::from(modes.clone()))),
        SavedChoice::Model(ModelChoice::Starter) => (vec!["model"], Some("starter".into())),
        SavedChoice::Model(ModelChoice::ThreeB) => (vec!["model"], Some("3b".into())),
        SavedChoice::Model(ModelChoice::Dir(folder)) => (vec!["model"], Some(folder.to_string_lossy().into_owned().into())),
        SavedChoice::Input(DeviceChoice::Default) => (vec!["input"], None),
        SavedChoice::Input(DeviceChoice::Named(name)) => (vec!["input"], Some(name.clone().into())),
        SavedChoice::Voice(voice) => return settings_edit::apply(&paths.settings_file(), &voice_changes(voice)),
        SavedChoice::TranslateTo(Language::Chinese) => (vec!["translate_to"], Some("zh".into())),
        SavedChoice::TranslateTo(Language::English) => (vec!["translate_to"], Some("en".into())),
        SavedChoice::Eagerness(mode, bias) => (vec!["eagerness", mode], Some(short(*bias).into())),
        SavedChoice::NoMode(mode) => (vec!["eagerness", mode], None),
        SavedChoice::RestFirst(modes) => (vec!["rest_first"], Some(Value::from(modes.clone()))),
        SavedChoice::Output(DeviceChoice::Default) => (vec!["output"], None),
        SavedChoice::Output(DeviceChoice::Named(name)) => (vec!["output"], Some(name.clone().into())),
        SavedChoice::Gate(gate) => (vec!["gate"], Some((*gate == Gate::On).into())),
    };
    settings_edit::apply(&paths.settings_file(), &[change])
}

fn voice_changes(voice: &VoiceSettings) -> Vec<Change<'static>> {
    let value = |key: &'static str, value: Value| (vec!["voice", key], Some(value));
    vec![
        value("speak", ["asked", "urgent", "always"][voice.speak as usize].into()),
        value("voice", ["system", "none"][voice.voice as usize].into()),
        value("speed", short(voice.speed).into()),
        value("interrupt", (voice.interrupt == Interrupt::Cut).into()),
        value("echo", ["auto", "on", "off"][voice.echo as usize].into()),
        value("noise_suppression", (voice.noise_suppression == Switch::On).into()),
        value("automatic_gain", (voice.automatic_gain == Switch::On).into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Paths) {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths { config: home.path().to_owned(), ..Paths::inside(home.path()) };
        (home, paths)
    }

    #[test]
    fn what_is_saved_is_read_back() {
        let (_home, paths) = home();
        assert_eq!(WindowPrefs::read(&paths), (WindowPrefs::default(), Vec::new()));
        let mut prefs =
            WindowPrefs { zoom: 1.25, theme: ThemeChoice::Dark, language: UiLanguage::Chinese, welcomed: true, ..WindowPrefs::default() };
        prefs.marked_sounds = vec!["dog \"bark\"".into()];
        prefs.captions.position = Some([10.0, 20.5]);
        prefs.save(&paths).unwrap();
        assert_eq!(WindowPrefs::read(&paths), (prefs.clone(), Vec::new()));
        prefs.captions.position = None;
        prefs.save(&paths).unwrap();
        assert_eq!(WindowPrefs::read(&paths).0.captions.position, None);
    }

    #[test]
    fn a_bad_value_is_named_by_its_line_and_costs_only_itself() {
        let (_home, paths) = home();
        std::fs::write(paths.settings_file(), "[window]\nzoom = \"big\"\ntheme = \"dark\"\nfuture = 3\n[window.captions]\nsize = 1e9\n")
            .unwrap();
        let (prefs, wrong) = WindowPrefs::read(&paths);
        assert_eq!((prefs.zoom, prefs.theme, prefs.captions.size), (1.0, ThemeChoice::Dark, 72.0));
        assert!(wrong.len() == 1 && wrong[0].contains("settings.toml:2:"), "{wrong:?}");
    }

    #[test]
    fn a_choice_is_what_the_next_start_reads() {
        let (_home, paths) = home();
        for choice in [
            SavedChoice::ModesOn(vec!["sounds".into()]),
            SavedChoice::TranslateTo(Language::English),
            SavedChoice::Eagerness("dialog".into(), 0.3),
            SavedChoice::Eagerness("kettle".into(), 2.0),
            SavedChoice::NoMode("kettle".into()),
            SavedChoice::Output(DeviceChoice::Named("speaker".into())),
            SavedChoice::Input(DeviceChoice::Named("usb".into())),
            SavedChoice::Gate(Gate::Off),
            SavedChoice::RestFirst(vec!["translate".into()]),
            SavedChoice::Model(ModelChoice::Starter),
        ] {
            save_choice(&paths, &choice).unwrap();
        }
        let read = super::super::settings_file::read(&paths.settings_file()).unwrap();
        assert_eq!((read.modes, read.translate_to, read.gate), (Some(vec!["sounds".into()]), Some(Language::English), Some(false)));
        assert_eq!(read.eagerness, [(Some("dialog".into()), 0.3)]);
        assert_eq!(read.long_running.rest_first, ["translate"]);
        let voice = VoiceSettings { speed: 1.25, interrupt: Interrupt::LetFinish, automatic_gain: Switch::On, ..VoiceSettings::default() };
        save_choice(&paths, &SavedChoice::Voice(voice)).unwrap();
        assert_eq!(super::super::settings_file::read(&paths.settings_file()).unwrap().voice, voice);
        save_choice(&paths, &SavedChoice::Input(DeviceChoice::Default)).unwrap();
        assert_eq!(super::super::settings_file::read(&paths.settings_file()).unwrap().input, None);
    }
}
