//! Where settings, caches and what was heard live on this platform.
//!
//! Responsible for the three folders and for writing so that nobody else on the machine can read what is there. Not
//! responsible for what the files mean.

use std::ffi::OsString;
use std::fs;
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

/// Whether a file that is there already may be written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Existing {
    Kept,
    Replaced,
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
    if let Some(folder) = path.parent() {
        make_private_folder(folder)?;
    }
    replace(path, bytes).map_err(|e| Error::at(ErrorKind::Output, path, format_args!("this file cannot be written: {e}")))
}

/// Writes a document where the user wants it, readable by this user alone. A failed attempt leaves nothing half written.
///
/// # Errors
/// `AlreadyExists` when the file is there and is to be kept; else why it cannot be written, for instance a full disk.
pub fn write_document(path: &Path, bytes: &[u8], existing: Existing) -> std::io::Result<()> {
    match existing {
        // What is no file, such as a pipe, cannot be replaced; it is written to.
        Existing::Replaced if path.is_file() || !path.exists() => replace(path, bytes),
        Existing::Replaced => write_synced(path, bytes, fs::OpenOptions::new().write(true)),
        Existing::Kept => {
            if fs::symlink_metadata(path).is_ok() {
                return Err(std::io::ErrorKind::AlreadyExists.into());
            }
            write_synced(path, bytes, fs::OpenOptions::new().write(true).create_new(true)).inspect_err(|e| {
                if e.kind() != std::io::ErrorKind::AlreadyExists {
                    let _ = fs::remove_file(path);
                }
            })
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    // The process id keeps two instances that write at the same time out of each other's file.
    partial.push(format!(".{}.part", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = write_synced(&partial, bytes, fs::OpenOptions::new().write(true).create(true).truncate(true))
        .and_then(|()| fs::rename(&partial, path));
    written.inspect_err(|_| {
        // What is left of a failed attempt is of no use to anybody; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&partial);
    })
}

fn write_synced(path: &Path, bytes: &[u8], options: &mut fs::OpenOptions) -> std::io::Result<()> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
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
        assert_eq!(paths.history_file(), Path::new("/somewhere/data/history.db"));
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

    #[test]
    fn a_document_is_kept_or_replaced_as_asked() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a.txt");
        write_document(&path, b"one", Existing::Kept).expect("a new file");
        let refused = write_document(&path, b"two", Existing::Kept).expect_err("it is there");
        assert_eq!((refused.kind(), fs::read(&path).expect("the file")), (std::io::ErrorKind::AlreadyExists, b"one".to_vec()));
        write_document(&path, b"two", Existing::Replaced).expect("replaced");
        assert_eq!(fs::read(&path).expect("the file"), b"two");
        assert!(write_document(&home.path().join("no/such/a.txt"), b"x", Existing::Kept).is_err());
        assert_eq!(fs::read_dir(home.path()).expect("the folder").count(), 1, "no remains");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_of_the_document() {
        let full = write_document(Path::new("/dev/full"), b"words", Existing::Replaced).expect_err("it is full");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
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
