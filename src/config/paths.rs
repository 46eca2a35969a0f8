//! Where settings and caches live on this platform.
//!
//! Responsible for the two folders and for writing into them so that nobody else on the machine can read what is
//! there. Not responsible for what the files mean.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Environment variable that puts settings and cache into one folder: for tests, and for use from a stick.
pub const HOME_VARIABLE: &str = "HEARKEN_HOME";

/// The folders that Hearken uses; nothing is created before it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Settings, the user's modes and instruction clips.
    pub config: PathBuf,
    /// Unpacked models and opening caches: everything that can be made again.
    pub cache: PathBuf,
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
            let home = PathBuf::from(home);
            return Ok(Self { config: home.join("config"), cache: home.join("cache") });
        }
        let dirs = directories::ProjectDirs::from("", "", "hearken").ok_or_else(|| {
            Error::new(ErrorKind::Settings, format!("this user has no home folder: set {HOME_VARIABLE} to a folder for settings and cache"))
        })?;
        Ok(Self { config: dirs.config_dir().to_owned(), cache: dirs.cache_dir().to_owned() })
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
}

/// Makes `folder` and what is missing above it, readable by this user alone.
///
/// # Errors
/// When the folder cannot be made.
pub fn make_private_folder(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| Error::at(ErrorKind::Output, folder, format_args!("this folder cannot be made: {e}")))
}

/// Writes `bytes` to `path` in one step, readable by this user alone: after a crash the old content or the new is there.
///
/// # Errors
/// When the folder or the file cannot be written, for instance because the disk is full.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| Error::at(ErrorKind::Output, path, format_args!("this file cannot be written: {e}"));
    if let Some(folder) = path.parent() {
        make_private_folder(folder)?;
    }
    let mut partial = path.as_os_str().to_owned();
    // The process id keeps two instances that write at the same time out of each other's file.
    partial.push(format!(".{}.part", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = write_synced(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    written.map_err(|e| {
        // What is left of a failed attempt is of no use to anybody; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&partial);
        failed(e)
    })
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_variable_moves_settings_and_cache() {
        let paths = Paths::under(Some("/somewhere".into())).expect("paths");
        assert_eq!(paths.settings_file(), Path::new("/somewhere/config/settings.toml"));
        assert_eq!(paths.cache, Path::new("/somewhere/cache"));
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        if let Ok(paths) = Paths::under(Some(OsString::new())) {
            assert!(paths.config.is_absolute());
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_no_remains() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("deep/er/file");
        write_private(&path, b"one").expect("first");
        write_private(&path, b"two").expect("second");
        assert_eq!(fs::read(&path).expect("the file"), b"two");
        assert_eq!(fs::read_dir(home.path().join("deep/er")).expect("the folder").count(), 1);
    }

    #[test]
    fn a_failed_write_names_the_file_and_keeps_the_old_content() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("taken");
        fs::create_dir(&path).expect("a folder in the way");
        let error = write_private(&path, b"x").expect_err("a folder is in the way");
        assert!(error.message().contains("taken"), "{error}");
        assert_eq!(fs::read_dir(home.path()).expect("the folder").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_what_is_written() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("folder/file");
        write_private(&path, b"secret").expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a parent")), 0o700);
    }
}
