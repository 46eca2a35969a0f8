//! What a model consists of, as the hub listed it: kept on disk, so that a download goes on, and a model is found, without asking
//! again; with a note of the files whose bytes have been checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::cache::Repository;
use super::catalog::is_safe;
use super::checksum::{Checksum, is_hex};
use crate::error::{Error, Result};
use crate::files::write_private;

/// A file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Its name in the repository.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// What its bytes add up to.
    pub checksum: Checksum,
}

/// What the hub said that a model consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The repository, `OWNER/NAME`.
    pub hub: String,
    /// The name that was asked for.
    pub revision: String,
    /// The commit that it meant.
    pub commit: String,
    /// The files.
    pub files: Vec<Wanted>,
    /// Of every blob that was checked, by its name: size and time at that moment.
    #[serde(default)]
    pub checked: BTreeMap<String, (u64, u128)>,
}

impl Listing {
    /// Reads the one at `path`; None when there is none, or none that can be relied on.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let listing: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let named = |file: &Wanted| is_safe(&file.path) && Checksum::of_blob_name(file.checksum.hex()).is_some();
        (is_hex(&listing.commit, 40) && listing.files.iter().all(named)).then_some(listing)
    }

    /// Writes it to `path`.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::internal(e))?;
        write_private(path, &text)
    }

    /// Its repository in the cache `root`.
    #[must_use]
    pub fn repository(&self, root: &Path) -> Repository {
        Repository::new(root, self.hub.split_once('/').unwrap_or(("", &self.hub)))
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Bytes that are in `repository`, complete or not.
    #[must_use]
    pub fn bytes_here(&self, repository: &Repository) -> u64 {
        let here = |file: &Wanted| {
            let size = |path: PathBuf| fs::metadata(path).map_or(0, |m| m.len());
            size(repository.blob(&file.checksum)).max(size(repository.partial(&file.checksum))).min(file.size)
        };
        self.files.iter().map(here).sum()
    }

    /// Whether the blob of `file` was checked and has not changed since.
    #[must_use]
    pub fn is_checked(&self, repository: &Repository, file: &Wanted) -> bool {
        let now = stamp(&repository.blob(&file.checksum));
        now.is_some() && self.checked.get(file.checksum.hex()).copied() == now
    }

    /// Notes that the blob of `file` was checked.
    pub fn note_checked(&mut self, repository: &Repository, file: &Wanted) {
        if let Some(stamp) = stamp(&repository.blob(&file.checksum)) {
            self.checked.insert(file.checksum.hex().to_owned(), stamp);
        }
    }

    /// Whether every file was checked and lies where it should.
    #[must_use]
    pub fn is_complete(&self, repository: &Repository) -> bool {
        let snapshot = repository.snapshot(&self.commit);
        self.files.iter().all(|file| self.is_checked(repository, file) && snapshot.join(&file.path).is_file())
    }
}

/// Size and time of a file; None when it is not there.
fn stamp(path: &Path) -> Option<(u64, u128)> {
    let about = fs::metadata(path).ok()?;
    Some((about.len(), about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos()))
}
