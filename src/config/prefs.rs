//! The user's preferences for the window, and the choices about the session that the window saves.
//!
//! Reads and writes the table `[window]` of the settings file, and saves choices about the session beside it.

use serde::{Deserialize, Serialize};
use toml::Value;

use super::paths::Paths;
use super::settings_edit::{self, Change};
use super::toml_file::TomlFile;
use crate::error::Result;
use crate::protocol::{ChannelChoice, DeviceChoice, Interrupt, Language, ModelChoice, Switch, VoiceSettings};

/// Default zoom factor of the window.
const ZOOM: f32 = 1.0;
/// Range of the zoom factor of the window in which texts stay readable.
pub const ZOOMS: (f32, f32) = (0.7, 2.5);
/// Default of [`WindowPrefs::shares`].
const SHARES: [f32; 2] = [0.44, 0.36];
/// Smallest and largest value of each number in [`WindowPrefs::shares`].
const SHARE_RANGE: (f32, f32) = (0.1, 0.9);
/// Smallest and largest font size of the captions overlay, in points.
const CAPTION_SIZES: (f32, f32) = (12.0, 72.0);
/// Smallest and largest width of the captions overlay, in points.
const CAPTION_WIDTHS: (f32, f32) = (200.0, 4_000.0);

/// The user's preferences for the window: language, look, panels, notifications and captions overlay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowPrefs {
    /// Language of the texts in the window.
    pub language: UiLanguage,
    /// Colour theme.
    pub theme: ThemeChoice,
    /// Zoom factor of the window, 0.7 to 2.5; 1 is the scale of the system.
    pub zoom: f32,
    /// Names of the panels ([`Panel::name`](crate::protocol::Panel::name)) that are hidden.
    pub hidden: Vec<String>,
    /// True once the user has closed the welcome card of the first start.
    pub welcomed: bool,
    /// True if urgent replies and marked sounds send desktop notifications.
    pub notify: bool,
    /// Names of sounds that send a desktop notification, if `notify`.
    pub marked_sounds: Vec<String>,
    /// Names of sounds that the panel of sounds leaves out.
    pub muted_sounds: Vec<String>,
    /// Share of the window's width for the column of conversation and sounds, and share of its height for sounds; each 0.1 to 0.9.
    pub shares: [f32; 2],
    /// Arrangement of what was heard and said.
    pub view: PanelView,
    /// True if the decisions of each mode are shown as rows below the ribbon.
    pub decisions_open: bool,
    /// Choice of whether parts of the window move and fade.
    pub motion: Motion,
    /// Preferences for the captions overlay.
    pub captions: CaptionPrefs,
    /// Meaning of closing the window, where the desktop has a tray.
    pub on_close: OnClose,
    /// Middle of the lower edge of the pill on the screen, in unzoomed points; None: top right, or chosen by the desktop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pill_place: Option<[f32; 2]>,
}

impl Default for WindowPrefs {
    fn default() -> Self {
        Self {
            language: UiLanguage::System,
            theme: ThemeChoice::System,
            zoom: ZOOM,
            hidden: Vec::new(),
            welcomed: false,
            notify: true,
            marked_sounds: Vec::new(),
            muted_sounds: Vec::new(),
            shares: SHARES,
            view: PanelView::default(),
            decisions_open: false,
            motion: Motion::default(),
            captions: CaptionPrefs::default(),
            on_close: OnClose::Ask,
            pill_place: None,
        }
    }
}

/// The meaning of closing the window, where the desktop has a tray.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnClose {
    /// The window asks, once: the answer replaces this value.
    #[default]
    Ask,
    /// Listening goes on in the tray.
    Tray,
    /// Hearken ends.
    Quit,
}

/// The language of the texts in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UiLanguage {
    /// The language of the system, if that is English or Chinese; else English.
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

/// The colour theme of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// The theme of the system.
    #[default]
    System,
    /// Dark text on a light background.
    Light,
    /// Light text on a dark background.
    Dark,
}

/// The arrangement of what was heard and said in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PanelView {
    /// Words, replies, translations and sounds as one conversation.
    #[default]
    Conversation,
    /// A panel for each, side by side.
    Columns,
}

/// The choice of whether parts of the window move and fade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Motion {
    /// As the desktop's settings say; on, where they say nothing.
    #[default]
    System,
    /// Lines fade in, and the mark of the state follows the level smoothly.
    On,
    /// Nothing moves by itself.
    Off,
}

/// The user's preferences for the captions overlay: a small window with the latest words on top of other programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaptionPrefs {
    /// Font size, 12 to 72 points.
    pub size: f32,
    /// Opacity of the background, 0 to 1.
    pub opacity: f32,
    /// Number of latest utterances shown, 1 or 2.
    pub lines: u8,
    /// True if the translation is shown below the original words.
    pub bilingual: bool,
    /// Fate of the captions once nothing new is heard.
    pub after_speech: AfterSpeech,
    /// Middle of the lower edge on the screen, in unzoomed points; None: bottom centre, or chosen by the desktop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<[f32; 2]>,
    /// Largest width, 200 to 4,000 unzoomed points; the captions are as wide as their text.
    pub width: f32,
}

/// The fate of the captions once nothing new is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AfterSpeech {
    /// They fade after six seconds.
    #[default]
    Fade,
    /// They stay.
    Stay,
}

impl Default for CaptionPrefs {
    fn default() -> Self {
        Self { size: 28.0, opacity: 0.8, lines: 2, bilingual: true, after_speech: AfterSpeech::Fade, place: None, width: 900.0 }
    }
}

/// The settings file as TOML, of which only the table `[window]` is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WindowTable {
    window: WindowPrefs,
}

impl WindowPrefs {
    /// Returns the preferences in the settings file, with numbers clamped to their ranges and defaults for lines that cannot be
    /// read, and messages about these lines, at most 5.
    #[must_use]
    pub fn read(paths: &Paths) -> (Self, Vec<String>) {
        let (file, wrong) = TomlFile::read_lenient::<WindowTable>(&paths.settings_file());
        (file.window.in_range(), wrong)
    }

    /// Returns the preferences with every number clamped to its range; a number that is not finite becomes its default.
    fn in_range(mut self) -> Self {
        let clamp =
            |number: f32, (least, most): (f32, f32), default: f32| if number.is_finite() { number.clamp(least, most) } else { default };
        let defaults = CaptionPrefs::default();
        self.zoom = clamp(self.zoom, ZOOMS, ZOOM);
        self.shares = [0, 1].map(|at| clamp(self.shares[at], SHARE_RANGE, SHARES[at]));
        self.captions.size = clamp(self.captions.size, CAPTION_SIZES, defaults.size);
        self.captions.opacity = clamp(self.captions.opacity, (0.0, 1.0), defaults.opacity);
        self.captions.lines = self.captions.lines.clamp(1, 2);
        self.captions.width = clamp(self.captions.width, CAPTION_WIDTHS, defaults.width);
        for place in [&mut self.captions.place, &mut self.pill_place] {
            *place = place.filter(|place| place.iter().all(|x| x.is_finite()));
        }
        self
    }

    /// Writes the preferences to the settings file, whose other content stays.
    ///
    /// # Errors
    /// `Settings` when the file cannot be read or is not TOML, `Output` when it cannot be written.
    pub fn save(&self, paths: &Paths) -> Result<()> {
        let text = |value: &str| Some(Value::from(value));
        let list = |names: &[String]| Some(Value::from(names.to_vec()));
        let number = |value: f32| Some(Value::from(short(value)));
        let pair = |pair: [f32; 2]| Value::from(pair.map(short).to_vec());
        // Every field by name, so that a new one cannot be forgotten.
        let Self {
            language,
            theme,
            zoom,
            hidden,
            welcomed,
            notify,
            marked_sounds,
            muted_sounds,
            shares,
            view,
            decisions_open,
            motion,
            captions,
            on_close,
            pill_place,
        } = self;
        let CaptionPrefs { size, opacity, lines, bilingual, after_speech, place, width } = captions;
        let changes: Vec<Change<'_>> = vec![
            (vec!["window", "language"], text(["system", "en", "zh"][*language as usize])),
            (vec!["window", "theme"], text(["system", "light", "dark"][*theme as usize])),
            (vec!["window", "zoom"], number(*zoom)),
            (vec!["window", "hidden"], list(hidden)),
            (vec!["window", "welcomed"], Some((*welcomed).into())),
            (vec!["window", "notify"], Some((*notify).into())),
            (vec!["window", "marked_sounds"], list(marked_sounds)),
            (vec!["window", "muted_sounds"], list(muted_sounds)),
            (vec!["window", "shares"], Some(pair(*shares))),
            (vec!["window", "view"], text(["conversation", "columns"][*view as usize])),
            (vec!["window", "decisions_open"], Some((*decisions_open).into())),
            (vec!["window", "motion"], text(["system", "on", "off"][*motion as usize])),
            (vec!["window", "captions", "size"], number(*size)),
            (vec!["window", "captions", "opacity"], number(*opacity)),
            (vec!["window", "captions", "lines"], Some(i64::from(*lines).into())),
            (vec!["window", "captions", "bilingual"], Some((*bilingual).into())),
            (vec!["window", "captions", "after_speech"], text(["fade", "stay"][*after_speech as usize])),
            (vec!["window", "captions", "place"], place.map(pair)),
            (vec!["window", "captions", "width"], number(*width)),
            (vec!["window", "on_close"], text(["ask", "tray", "quit"][*on_close as usize])),
            (vec!["window", "pill_place"], pill_place.map(pair)),
        ];
        settings_edit::apply(&paths.settings_file(), &changes)
    }
}

/// Returns `number` rounded to two decimals, so that 0.8 is written as 0.8 and not as the double nearest to the float.
fn short(number: f32) -> f64 {
    (f64::from(number) * 100.0).round() / 100.0
}

/// A choice about the session, made in the window, that is saved in the settings file for the next start.
#[derive(Clone, Debug, PartialEq)]
pub enum SavedChoice {
    /// Names of the modes that are on; if empty, the key is removed and the default returns.
    ModesOn(Vec<String>),
    /// Model that listens.
    Model(ModelChoice),
    /// Input device; the default removes the key.
    Input(DeviceChoice),
    /// Channel of the input; all remove the key.
    InputChannel(ChannelChoice),
    /// Settings of the voice, echo cancellation, noise suppression and gain control.
    Voice(VoiceSettings),
    /// Target language of the mode `translate`.
    TranslateTo(Language),
    /// Name of a mode and its eagerness, saved with two decimals.
    Eagerness(String, f32),
    /// Removal of the eagerness of this mode, for a user's mode that has been removed.
    NoMode(String),
    /// Names of the modes that may rest while the machine cannot keep up, the first to rest first.
    RestFirst(Vec<String>),
    /// Output device; the default removes the key.
    Output(DeviceChoice),
    /// Quiet gate, on or off.
    Gate(Switch),
}

/// Saves a choice in the settings file, whose other content stays.
///
/// # Errors
/// `Settings` when the file cannot be read or is not TOML, `Output` when it cannot be written.
pub fn save_choice(paths: &Paths, choice: &SavedChoice) -> Result<()> {
    let change: Change<'_> = match choice {
        SavedChoice::ModesOn(modes) if modes.is_empty() => (vec!["modes"], None),
        SavedChoice::ModesOn(modes) => (vec!["modes"], Some(Value::from(modes.clone()))),
        SavedChoice::Model(ModelChoice::Starter) => (vec!["model"], Some("starter".into())),
        SavedChoice::Model(ModelChoice::ThreeB) => (vec!["model"], Some("3b".into())),
        SavedChoice::Model(ModelChoice::Dir(folder)) => (vec!["model"], Some(folder.to_string_lossy().into_owned().into())),
        SavedChoice::Input(DeviceChoice::Default) => (vec!["input"], None),
        SavedChoice::Input(DeviceChoice::Named(name)) => (vec!["input"], Some(name.clone().into())),
        SavedChoice::Input(DeviceChoice::FirstOf(names)) => (vec!["input"], Some(Value::from(names.clone()))),
        SavedChoice::InputChannel(ChannelChoice::All) => (vec!["input_channel"], None),
        SavedChoice::InputChannel(ChannelChoice::Only(number)) => (vec!["input_channel"], Some(i64::from(number.get()).into())),
        SavedChoice::Voice(voice) => return settings_edit::apply(&paths.settings_file(), &voice_changes(voice)),
        SavedChoice::TranslateTo(Language::Chinese) => (vec!["translate_to"], Some("zh".into())),
        SavedChoice::TranslateTo(Language::English) => (vec!["translate_to"], Some("en".into())),
        SavedChoice::Eagerness(mode, bias) => (vec!["eagerness", mode], Some(short(*bias).into())),
        SavedChoice::NoMode(mode) => (vec!["eagerness", mode], None),
        SavedChoice::RestFirst(modes) => (vec!["rest_first"], Some(Value::from(modes.clone()))),
        SavedChoice::Output(choice) => (vec!["output"], choice.names().first().map(|name| name.clone().into())),
        SavedChoice::Gate(gate) => (vec!["gate"], Some((*gate == Switch::On).into())),
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
    fn saved_preferences_are_read_back() {
        let (_home, paths) = home();
        assert_eq!(WindowPrefs::read(&paths), (WindowPrefs::default(), Vec::new()));
        let mut prefs =
            WindowPrefs { zoom: 1.25, theme: ThemeChoice::Dark, language: UiLanguage::Chinese, welcomed: true, ..WindowPrefs::default() };
        prefs.marked_sounds = vec!["dog \"bark\"".into()];
        (prefs.view, prefs.motion, prefs.decisions_open) = (PanelView::Columns, Motion::Off, true);
        prefs.captions.place = Some([10.0, 20.5]);
        prefs.captions.after_speech = AfterSpeech::Stay;
        prefs.pill_place = Some([-4.0, 7.25]);
        prefs.on_close = OnClose::Tray;
        prefs.save(&paths).unwrap();
        assert_eq!(WindowPrefs::read(&paths), (prefs.clone(), Vec::new()));
        prefs.captions.place = None;
        prefs.save(&paths).unwrap();
        assert_eq!(WindowPrefs::read(&paths).0.captions.place, None);
    }

    #[test]
    fn a_bad_value_is_reported_by_line_and_replaced_by_its_default() {
        let (_home, paths) = home();
        std::fs::write(paths.settings_file(), "[window]\nzoom = \"big\"\ntheme = \"dark\"\nfuture = 3\n[window.captions]\nsize = 1e9\n")
            .unwrap();
        let (prefs, wrong) = WindowPrefs::read(&paths);
        assert_eq!((prefs.zoom, prefs.theme, prefs.captions.size), (1.0, ThemeChoice::Dark, 72.0));
        assert!(wrong.len() == 1 && wrong[0].contains("settings.toml:2:"), "{wrong:?}");
    }

    #[test]
    fn a_saved_choice_is_read_at_the_next_start() {
        let (_home, paths) = home();
        for choice in [
            SavedChoice::ModesOn(vec!["sounds".into()]),
            SavedChoice::TranslateTo(Language::English),
            SavedChoice::Eagerness("dialog".into(), 0.3),
            SavedChoice::Eagerness("kettle".into(), 2.0),
            SavedChoice::NoMode("kettle".into()),
            SavedChoice::Output(DeviceChoice::Named("speaker".into())),
            SavedChoice::Input(DeviceChoice::FirstOf(vec!["usb".into(), "built-in".into()])),
            SavedChoice::InputChannel(ChannelChoice::Only(std::num::NonZeroU16::MIN)),
            SavedChoice::Gate(Switch::Off),
            SavedChoice::RestFirst(vec!["translate".into()]),
            SavedChoice::Model(ModelChoice::Starter),
        ] {
            save_choice(&paths, &choice).unwrap();
        }
        let read = super::super::settings_file::read(&paths.settings_file()).unwrap();
        assert_eq!((read.modes, read.translate_to, read.gate), (Some(vec!["sounds".into()]), Some(Language::English), Some(false)));
        assert_eq!(read.eagerness, [(Some("dialog".into()), 0.3)]);
        assert_eq!(read.long_running.rest_first, ["translate"]);
        assert_eq!(read.input, Some(DeviceChoice::FirstOf(vec!["usb".into(), "built-in".into()])));
        assert_eq!(read.input_channel, Some(ChannelChoice::Only(std::num::NonZeroU16::MIN)));
        let voice = VoiceSettings { speed: 1.25, interrupt: Interrupt::LetFinish, automatic_gain: Switch::On, ..VoiceSettings::default() };
        save_choice(&paths, &SavedChoice::Voice(voice)).unwrap();
        assert_eq!(super::super::settings_file::read(&paths.settings_file()).unwrap().voice, voice);
        save_choice(&paths, &SavedChoice::Input(DeviceChoice::Default)).unwrap();
        assert_eq!(super::super::settings_file::read(&paths.settings_file()).unwrap().input, None);
    }
}
