//! The failures of the history's database.

use std::path::Path;

use rusqlite::ErrorCode;

use super::journal::keeps_locks;
use super::store::SCHEMA_VERSION;
use crate::error::{Error, ErrorKind, Remedy};

/// A failure of the history database, classified by the reaction that helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreError {
    /// The file is no intact database, for this reason; the writer renames it.
    Damaged(String),
    /// The file has this schema version, of a newer Hearken.
    Newer(i64),
    /// Another program holds a lock on the file.
    Locked,
    /// The disk of the file keeps no locks.
    NoLocks,
    /// The file or its folder may not be written.
    ReadOnly,
    /// The disk is full.
    Full,
    /// The disk refuses to read or write, for this reason: a full one too, where the shared index of the write-ahead log has no room.
    Io(String),
    /// The folder of the file, or of the recordings, cannot be made, for this reason.
    NoFolder(Error),
    /// The file cannot be opened or created, for this reason.
    CannotOpen(String),
    /// Any other failure of SQLite, in its words.
    Other(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::SystemIoFailure) => Self::Io(error.to_string()),
            Some(ErrorCode::CannotOpen) => Self::CannotOpen(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::CannotOpen(error.to_string()),
        }
    }
}

impl StoreError {
    /// Returns the error, or [`StoreError::NoLocks`] for a lock on the database at `path` that is held only because the disk keeps none.
    pub(super) fn with_lock_looked_at(self, path: &Path) -> Self {
        match path.parent() {
            Some(folder) if self == Self::Locked && !keeps_locks(folder) => Self::NoLocks,
            _ => self,
        }
    }

    /// Returns the `History` error about the database at `path`, with the remedy if there is one.
    pub(super) fn about(&self, path: &Path) -> Error {
        let remedy = match self {
            Self::Newer(_) => Some(Remedy::UpdateHearken),
            Self::Locked => Some(Remedy::CloseThatProgram),
            Self::ReadOnly | Self::CannotOpen(_) => Some(Remedy::AllowAccess),
            Self::NoFolder(error) => error.remedy(),
            Self::Full => Some(Remedy::FreeDisk),
            Self::NoLocks => Some(Remedy::ChooseOtherPlace),
            Self::Damaged(_) | Self::Io(_) | Self::Other(_) => None,
        };
        let why = match self {
            Self::Damaged(why) => {
                format!("the history is damaged ({why}); the window renames it at its next start and begins a new one")
            }
            Self::Newer(version) => {
                format!("this history is from a newer Hearken (version {version}; this one knows {SCHEMA_VERSION})")
            }
            Self::Locked => "another program holds the history".into(),
            Self::NoLocks => "this disk keeps no locks, as some network folders do, so no history can be kept on it".into(),
            Self::ReadOnly => "the history cannot be written".into(),
            Self::Full => "the disk is full".into(),
            Self::NoFolder(error) => format!("the history cannot be opened ({})", error.message()),
            Self::CannotOpen(why) => format!("the history cannot be opened ({why})"),
            Self::Io(why) | Self::Other(why) => format!("the history cannot be used ({why})"),
        };
        Error::at(ErrorKind::History, path, why).with_remedy(remedy)
    }
}
