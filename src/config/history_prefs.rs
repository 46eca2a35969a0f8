//! The user's preferences for stored sessions: the table `[history]` of the settings file.

use serde::Deserialize;
use toml::Value;

use super::paths::Paths;
use super::settings_edit;
use super::toml_file::TomlFile;
use crate::error::Result;

/// Default number of days for which a session is kept.
const DEFAULT_DAYS: u32 = 30;
/// The largest accepted number of days: a hundred years.
const MAX_DAYS: u32 = 36_500;

/// The user's preferences for stored sessions of the window: whether they are kept, how long, and with audio or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryPrefs {
    /// True if sessions of the window are stored.
    pub keep: bool,
    /// Age in days at which stored sessions, and the older parts of longer sessions, are deleted; 0: never.
    pub days: u32,
    /// True if the audio that the model hears is recorded with the stored sessions; without effect unless `keep`.
    pub audio: bool,
}

impl Default for HistoryPrefs {
    fn default() -> Self {
        Self { keep: true, days: DEFAULT_DAYS, audio: false }
    }
}

/// The settings file as TOML, of which only the table `[history]` is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct HistoryTable {
    history: TomlHistory,
}

/// The table `[history]` of the settings file as TOML; None for a missing key.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TomlHistory {
    keep: Option<bool>,
    days: Option<Days>,
    audio: Option<bool>,
}

/// A number of days in the settings file, checked to be from 0 to [`MAX_DAYS`].
#[derive(Deserialize)]
#[serde(try_from = "i64")]
struct Days(u32);

impl TryFrom<i64> for Days {
    type Error = String;

    fn try_from(days: i64) -> std::result::Result<Self, String> {
        let known = u32::try_from(days).ok().filter(|days| *days <= MAX_DAYS);
        known.map(Self).ok_or_else(|| format!("days = {days}: expected 0 (for ever) to {MAX_DAYS}"))
    }
}

impl HistoryPrefs {
    /// Returns the preferences in the settings file, and messages about lines of the file that cannot be read, at most 5. If there
    /// is such a line, missing keys take the careful choice: keep nothing, delete nothing, record nothing.
    #[must_use]
    pub fn read(paths: &Paths) -> (Self, Vec<String>) {
        let (file, wrong) = TomlFile::read_lenient::<HistoryTable>(&paths.settings_file());
        let TomlHistory { keep, days, audio } = file.history;
        let defaults = if wrong.is_empty() { Self::default() } else { Self { keep: false, days: 0, audio: false } };
        let read = Self {
            keep: keep.unwrap_or(defaults.keep),
            days: days.map_or(defaults.days, |days| days.0),
            audio: audio.unwrap_or(defaults.audio),
        };
        (read, wrong)
    }

    /// Writes the preferences to the settings file, whose other content stays.
    ///
    /// # Errors
    /// `Settings` when the file cannot be read or is not TOML, `Output` when it cannot be written.
    pub fn save(&self, paths: &Paths) -> Result<()> {
        let changes = vec![
            (vec!["history", "keep"], Some(Value::from(self.keep))),
            (vec!["history", "days"], Some(i64::from(self.days).into())),
            (vec!["history", "audio"], Some(self.audio.into())),
        ];
        settings_edit::apply(&paths.settings_file(), &changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (HistoryPrefs, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths { config: home.path().to_owned(), ..Paths::inside(home.path()) };
        std::fs::write(paths.settings_file(), text).unwrap();
        HistoryPrefs::read(&paths)
    }

    #[test]
    fn saved_preferences_are_read_back() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::inside(home.path());
        assert_eq!(HistoryPrefs::read(&paths), (HistoryPrefs::default(), Vec::new()));
        let prefs = HistoryPrefs { keep: false, days: 0, audio: true };
        prefs.save(&paths).unwrap();
        assert_eq!(HistoryPrefs::read(&paths), (prefs, Vec::new()));
        assert!(super::super::settings_file::read(&paths.settings_file()).is_ok(), "the command line reads the same file");
    }

    #[test]
    fn an_unreadable_line_means_keep_nothing_and_delete_nothing() {
        let careful = HistoryPrefs { keep: false, days: 0, audio: false };
        for text in
            ["[history]\nkeep = \"no\"\n", "[history]\ndays = \"for ever\"\n", "[history]\ndays = -1\n", "[history]\ndays = 40000\n"]
        {
            let (read, wrong) = read(text);
            assert!(read == careful && wrong.len() == 1 && wrong[0].contains(":2:"), "{text:?} gave {read:?}, {wrong:?}");
        }
        let (read, wrong) = read("[history]\nkeep = true\ndays = \"x\"\n");
        assert!(read == HistoryPrefs { keep: true, ..careful } && wrong[0].contains(":3:"), "{read:?} {wrong:?}");
    }
}
