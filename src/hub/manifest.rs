//! The files of a model as the hub listed them. Stored on disk, so that a download resumes and a model is found without asking the
//! hub; records which blobs have been verified.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::cache::Repository;
use super::catalog::is_safe_relative_path;
use super::checksum::{Checksum, is_hex};
use crate::error::{Error, Result};
use crate::files::write_private;

/// A file of a model, as the hub listed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Path in the repository.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Checksum of the content.
    pub checksum: Checksum,
}

/// The list of the files of a model at one commit of its repository, with the record of the verified ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Repository on the hub, `OWNER/NAME`.
    pub hub: String,
    /// Branch, tag or commit that was asked for.
    pub revision: String,
    /// Commit that `revision` meant at that time.
    pub commit: String,
    /// Files of the model, by path.
    pub files: Vec<ManifestFile>,
    /// Size in bytes and modification time in nanoseconds since 1970 of each blob when it was verified, by checksum: a blob that
    /// has changed since counts as unverified.
    #[serde(default)]
    pub checked: BTreeMap<String, (u64, u128)>,
}

impl Manifest {
    /// Reads the manifest at `path`; None if there is none, or it is damaged or holds unsafe paths.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let named = |file: &ManifestFile| is_safe_relative_path(&file.path) && Checksum::from_blob_name(file.checksum.hex()).is_some();
        (is_hex(&manifest.commit, 40) && manifest.files.iter().all(named)).then_some(manifest)
    }

    /// Writes the manifest to the file `path` as JSON, atomically.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(Error::internal)?;
        write_private(path, &text)
    }

    /// Returns the folder of the model's repository in the Hugging Face cache at `root`.
    #[must_use]
    pub fn repository(&self, root: &Path) -> Repository {
        let (owner, name) = self.hub.split_once('/').unwrap_or(("", &self.hub));
        Repository::new(root, owner, name)
    }

    /// Returns the total listed size of all files of the model, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Returns the number of bytes of the files that are in `repository`, verified or not, partial files included.
    #[must_use]
    pub fn bytes_present(&self, repository: &Repository) -> u64 {
        let here = |file: &ManifestFile| {
            let size = |path: PathBuf| fs::metadata(path).map_or(0, |m| m.len());
            size(repository.blob(&file.checksum)).max(size(repository.partial(&file.checksum))).min(file.size)
        };
        self.files.iter().map(here).sum()
    }

    /// Returns true if the blob of `file` was verified and has kept its size and modification time since. Reads no content.
    #[must_use]
    pub fn is_verified(&self, repository: &Repository, file: &ManifestFile) -> bool {
        let now = stamp(&repository.blob(&file.checksum));
        now.is_some() && self.checked.get(file.checksum.hex()).copied() == now
    }

    /// Marks the blob of `file` as verified, in memory; without effect if it does not exist.
    pub fn mark_verified(&mut self, repository: &Repository, file: &ManifestFile) {
        if let Some(stamp) = stamp(&repository.blob(&file.checksum)) {
            self.checked.insert(file.checksum.hex().to_owned(), stamp);
        }
    }

    /// Returns true if every file is verified and linked into the snapshot of the commit.
    #[must_use]
    pub fn is_complete(&self, repository: &Repository) -> bool {
        let snapshot = repository.snapshot(&self.commit);
        self.files.iter().all(|file| self.is_verified(repository, file) && snapshot.join(&file.path).is_file())
    }
}

/// Returns the size (bytes) and modification time (nanoseconds since 1970) of the file `path`; None if it does not exist.
fn stamp(path: &Path) -> Option<(u64, u128)> {
    let about = fs::metadata(path).ok()?;
    Some((about.len(), about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos()))
}
