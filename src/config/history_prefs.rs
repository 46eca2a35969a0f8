//! What is kept of what was heard: the table `[history]` of the settings file.
//!
//! Not responsible for keeping it.

use serde::Deserialize;
use toml::Value;

use super::paths::Paths;
use super::settings_edit;
use super::settings_file::TomlFile;
use crate::error::Result;

/// Days that a session is kept when nothing else is said.
const DAYS: u32 = 30;
/// Days that can be asked for: a hundred years.
const MOST_DAYS: u32 = 36_500;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryPrefs {
    /// Whether sessions of the window are kept.
    pub keep: bool,
    /// Days after which a session is deleted; 0 is never.
    pub days: u32,
    /// Whether sound is recorded beside them.
    pub audio: bool,
}

impl Default for HistoryPrefs {
    fn default() -> Self {
        Self { keep: true, days: DAYS, audio: false }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    history: Written,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Written {
    keep: Option<bool>,
    days: Option<Days>,
    audio: Option<bool>,
}

#[derive(Deserialize)]
#[serde(try_from = "i64")]
struct Days(u32);

impl TryFrom<i64> for Days {
    type Error = String;

    fn try_from(days: i64) -> std::result::Result<Self, String> {
        let known = u32::try_from(days).ok().filter(|days| *days <= MOST_DAYS);
        known.map(Self).ok_or_else(|| format!("days = {days}: expected 0 (for ever) to {MOST_DAYS}"))
    }
}

impl HistoryPrefs {
    /// The preferences in the settings file, and what is wrong with those that cannot be read, each by its line. While
    /// something is wrong, what is not said counts as the careful choice: nothing is kept, and nothing is deleted.
    #[must_use]
    pub fn read(paths: &Paths) -> (Self, Vec<String>) {
        let (file, wrong) = TomlFile::read_patiently::<File>(&paths.settings_file());
        let Written { keep, days, audio } = file.history;
        let standing_in = if wrong.is_empty() { Self::default() } else { Self { keep: false, days: 0, audio: false } };
        let read = Self {
            keep: keep.unwrap_or(standing_in.keep),
            days: days.map_or(standing_in.days, |days| days.0),
            audio: audio.unwrap_or(standing_in.audio),
        };
        (read, wrong)
    }

    /// Writes them into the settings file, whose other content stays.
    ///
    /// # Errors
    /// `Settings` when the file is damaged, `Output` when it cannot be written.
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
    fn what_is_saved_is_read_back() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::inside(home.path());
        assert_eq!(HistoryPrefs::read(&paths), (HistoryPrefs::default(), Vec::new()));
        let prefs = HistoryPrefs { keep: false, days: 0, audio: true };
        prefs.save(&paths).unwrap();
        assert_eq!(HistoryPrefs::read(&paths), (prefs, Vec::new()));
        assert!(super::super::settings_file::read(&paths.settings_file()).is_ok(), "the command line reads the same file");
    }

    #[test]
    fn while_something_is_wrong_nothing_is_kept_and_nothing_deleted_that_was_not_asked_for() {
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
