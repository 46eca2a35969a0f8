//! The folders of settings, caches and history on this platform, and the files in them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Name of the environment variable with a folder for settings, cache and history together: for tests, and for a USB stick.
pub const HOME_VARIABLE: &str = "HEARKEN_HOME";

/// The folders of Hearken for one user; each is created when a file is first written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Folder of the settings, the user's modes and catalogue, and instruction clips.
    pub config: PathBuf,
    /// Folder of prepared models and prompt caches: everything that can be restored.
    pub cache: PathBuf,
    /// Folder of the entries that start programs with the user's session on the desktop.
    pub autostart: PathBuf,
    /// Folder of history, recordings and log: everything that cannot be restored.
    pub data: PathBuf,
}

impl Paths {
    /// Returns the folders of this user on this platform, or those inside `HEARKEN_HOME` if it is set and not empty. Creates none.
    ///
    /// # Errors
    /// `Settings` when this user has no home folder and `HEARKEN_HOME` is not set.
    pub fn find() -> Result<Self> {
        Self::under(std::env::var_os(HOME_VARIABLE))
    }

    fn under(home: Option<OsString>) -> Result<Self> {
        if let Some(home) = home.filter(|home| !home.is_empty()) {
            let inside = Self::inside(Path::new(&home));
            // The desktop looks for these entries in its own folder only.
            let autostart = directories::BaseDirs::new().map_or_else(|| inside.autostart.clone(), |dirs| autostart_of(&dirs));
            return Ok(Self { autostart, ..inside });
        }
        let (dirs, base) = directories::ProjectDirs::from("", "", "hearken").zip(directories::BaseDirs::new()).ok_or_else(|| {
            Error::new(
                ErrorKind::Settings,
                format!("this user has no home folder: set {HOME_VARIABLE} to a folder for settings, cache and history"),
            )
        })?;
        Ok(Self {
            config: dirs.config_dir().to_owned(),
            cache: dirs.cache_dir().to_owned(),
            data: dirs.data_dir().to_owned(),
            autostart: autostart_of(&base),
        })
    }

    /// Returns the folders `config`, `cache` and `data` inside `home`.
    #[must_use]
    pub fn inside(home: &Path) -> Self {
        Self { config: home.join("config"), cache: home.join("cache"), data: home.join("data"), autostart: home.join("autostart") }
    }

    /// Returns the path of the settings file, `settings.toml`.
    #[must_use]
    pub fn settings_file(&self) -> PathBuf {
        self.config.join("settings.toml")
    }

    /// Returns the path of the file with the user's own modes, `modes.toml`.
    #[must_use]
    pub fn modes_file(&self) -> PathBuf {
        self.config.join("modes.toml")
    }

    /// Returns the folder of the user's spoken instructions.
    #[must_use]
    pub fn instructions(&self) -> PathBuf {
        self.config.join("instructions")
    }

    /// Returns the path of the history database.
    #[must_use]
    pub fn history_file(&self) -> PathBuf {
        self.data.join("history.db")
    }

    /// Returns the folder of the recordings of past sessions.
    #[must_use]
    pub fn recordings(&self) -> PathBuf {
        self.data.join("recordings")
    }

    /// Returns the path of the log, which never contains speech or replies.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.data.join("hearken.log")
    }
}

/// Returns the folder of the entries that start programs with the session: launch agents on macOS, else that of the XDG Autostart
/// Specification.
fn autostart_of(dirs: &directories::BaseDirs) -> PathBuf {
    if cfg!(target_os = "macos") { dirs.home_dir().join("Library/LaunchAgents") } else { dirs.config_dir().join("autostart") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_variable_moves_settings_cache_and_history() {
        let paths = Paths::under(Some("/somewhere".into())).expect("paths");
        assert_eq!(paths.settings_file(), Path::new("/somewhere/config/settings.toml"));
        assert_eq!(paths.cache, Path::new("/somewhere/cache"));
        assert_eq!(paths.history_file(), Path::new("/somewhere/data/history.db"));
    }

    #[test]
    fn an_empty_home_variable_counts_as_unset() {
        assert_eq!(Paths::under(Some(OsString::new())), Paths::under(None));
    }
}
