//! Where settings, caches and what was heard live on this platform.
//!
//! Responsible for the three folders and for writing so that nobody else on the machine can read what is there. Not
//! responsible for what the files mean.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Environment variable that puts settings, cache and history into one folder: for tests, and for use from a stick.
pub const HOME_VARIABLE: &str = "HEARKEN_HOME";

/// The folders that Hearken uses; nothing is created before it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Settings, the user's modes and instruction clips.
    pub config: PathBuf,
    /// Unpacked models and opening caches: everything that can be made again.
    pub cache: PathBuf,
    /// The history: what cannot be made again.
    pub data: PathBuf,
}

impl Paths {
    /// The folders of this user, or those inside `HEARKEN_HOME` when that is set.
    ///
    /// # Errors
    /// When the system knows no home folder for this user and `HEARKEN_HOME` is not set.
    pub fn find() -> Result<Self> {
        Self::under(std::env::var_os(HOME_VARIABLE))
    }

    fn under(home: Option<OsString>) -> Result<Self> {
        if let Some(home) = home.filter(|home| !home.is_empty()) {
            return Ok(Self::inside(Path::new(&home)));
        }
        let dirs = directories::ProjectDirs::from("", "", "hearken").ok_or_else(|| {
            Error::new(
                ErrorKind::Settings,
                format!("this user has no home folder: set {HOME_VARIABLE} to a folder for settings, cache and history"),
            )
        })?;
        Ok(Self { config: dirs.config_dir().to_owned(), cache: dirs.cache_dir().to_owned(), data: dirs.data_dir().to_owned() })
    }

    /// The folders inside `home`.
    #[must_use]
    pub fn inside(home: &Path) -> Self {
        Self { config: home.join("config"), cache: home.join("cache"), data: home.join("data") }
    }

    /// The settings file.
    #[must_use]
    pub fn settings_file(&self) -> PathBuf {
        self.config.join("settings.toml")
    }

    /// The file that defines the user's own modes.
    #[must_use]
    pub fn modes_file(&self) -> PathBuf {
        self.config.join("modes.toml")
    }

    /// The folder with the user's instruction clips.
    #[must_use]
    pub fn instructions(&self) -> PathBuf {
        self.config.join("instructions")
    }

    /// The sessions of the past.
    #[must_use]
    pub fn history_file(&self) -> PathBuf {
        self.data.join("history.db")
    }

    /// The folder with the recordings of past sessions.
    #[must_use]
    pub fn recordings(&self) -> PathBuf {
        self.data.join("recordings")
    }

    /// The log, which holds no word that was heard.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.data.join("hearken.log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_variable_moves_settings_and_cache() {
        let paths = Paths::under(Some("/somewhere".into())).expect("paths");
        assert_eq!(paths.settings_file(), Path::new("/somewhere/config/settings.toml"));
        assert_eq!(paths.cache, Path::new("/somewhere/cache"));
        assert_eq!(paths.history_file(), Path::new("/somewhere/data/history.db"));
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        if let Ok(paths) = Paths::under(Some(OsString::new())) {
            assert!(paths.config.is_absolute());
        }
    }
}
