//! Hearken's own folder of a model from the hub: its manifest, the accepted licences, and the prepared weights.

use std::fs;
use std::path::{Path, PathBuf};

use super::CatalogEntry;
use super::cache::{Repository, files_below, sha256_of};
use super::manifest::Manifest;
use super::settings::HubSettings;
use crate::config::Paths;
use crate::error::{Error, Result};
use crate::files::{make_private_folder, write_private};
use crate::model;
use crate::protocol::models::{Licence, ModelState};

/// Name of the file, in the folder of the prepared weights, that holds the commit that they were made from. Written last: without it the
/// weights are incomplete.
const COMMIT: &str = "commit";
/// Name of the file, in the folder of a model, with the licences that the user has accepted.
const ACCEPTED: &str = "accepted";

/// The folder of one model of the hub in Hearken's cache folder: its manifest, accepted licences and prepared weights.
#[derive(Clone, Debug)]
pub struct ModelDir {
    folder: PathBuf,
}

impl ModelDir {
    /// Returns Hearken's folder of the model `entry`; it need not exist.
    #[must_use]
    pub fn of(entry: &CatalogEntry, paths: &Paths) -> Self {
        Self { folder: paths.cache.join("models").join(entry.name.replace('/', "--")) }
    }

    /// Returns the path of the model's manifest.
    #[must_use]
    pub fn manifest_file(&self) -> PathBuf {
        self.folder.join("listing.json")
    }

    /// Reads the model's stored manifest; None if there is none or it is damaged.
    #[must_use]
    pub fn manifest(&self) -> Option<Manifest> {
        Manifest::read(&self.manifest_file())
    }

    /// Returns the path of the folder with the model's prepared weights; it need not exist.
    #[must_use]
    pub fn ready_folder(&self) -> PathBuf {
        self.folder.join("ready")
    }

    /// Returns the folder of the prepared weights; None unless weights in some precision are complete.
    #[must_use]
    pub fn ready(&self) -> Option<PathBuf> {
        let folder = self.ready_folder();
        (folder.join(COMMIT).is_file() && !model::quantised_files(&folder).is_empty()).then_some(folder)
    }

    /// Returns the commit that the prepared weights were made from; None if they are incomplete or missing.
    #[must_use]
    pub fn ready_commit(&self) -> Option<String> {
        fs::read_to_string(self.ready_folder().join(COMMIT)).ok()
    }

    /// Marks the prepared weights as complete and made from `commit`.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn mark_ready(&self, commit: &str) -> Result<()> {
        write_private(&self.ready_folder().join(COMMIT), commit.as_bytes())
    }

    /// Marks the prepared weights as incomplete; call before they change.
    pub fn mark_unready(&self) {
        // Without the file or its folder, the weights count as incomplete already.
        let _ = fs::remove_file(self.ready_folder().join(COMMIT));
    }

    /// Creates the folder of the prepared weights.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn create_ready_folder(&self) -> Result<()> {
        make_private_folder(&self.ready_folder())
    }

    /// Returns true if the licences that the user accepted last for this model are exactly these, by name and address.
    #[must_use]
    pub fn is_accepted(&self, licences: &[Licence]) -> bool {
        fs::read_to_string(self.folder.join(ACCEPTED)).is_ok_and(|text| text == names_of(licences))
    }

    /// Records that the user has accepted `licences`, in place of earlier ones.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn record_acceptance(&self, licences: &[Licence]) -> Result<()> {
        write_private(&self.folder.join(ACCEPTED), names_of(licences).as_bytes())
    }

    /// Computes the SHA-256 of a file of prepared weights and stores it beside the file, for [`ModelDir::prepared_is_intact`].
    ///
    /// # Errors
    /// When the file cannot be read, or its checksum cannot be written.
    pub fn store_checksum(file: &Path) -> Result<()> {
        let sum = sha256_of(file).map_err(|e| Error::model_file(file, e))?;
        write_private(&checksum_file(file), sum.as_bytes())
    }

    /// Returns true if `file`, a file of prepared weights, still has its stored checksum; false also if either cannot be read. Reads the
    /// whole file.
    #[must_use]
    pub fn prepared_is_intact(file: &Path) -> bool {
        fs::read_to_string(checksum_file(file)).is_ok_and(|stored| sha256_of(file).is_ok_and(|sum| sum == stored))
    }

    /// Returns the folder that the model can be loaded from: the prepared weights, else the originals in the Hugging Face cache if
    /// all are verified; None if neither is here.
    #[must_use]
    pub fn loadable(&self, settings: &HubSettings) -> Option<PathBuf> {
        self.ready().or_else(|| {
            let manifest = self.manifest()?;
            let repository = manifest.repository(&settings.cache);
            manifest.is_complete(&repository).then(|| repository.snapshot(&manifest.commit))
        })
    }

    /// Returns the state of the model on this machine (loadable, begun or absent), with its bytes on disk. Slow: walks its folders.
    #[must_use]
    pub fn state(&self, settings: &HubSettings) -> ModelState {
        let manifest = self.manifest();
        let here = manifest.as_ref().map_or(0, |manifest| manifest.bytes_present(&manifest.repository(&settings.cache)));
        let own: u64 = files_below(&self.folder).iter().filter_map(|path| fs::symlink_metadata(path).ok()).map(|m| m.len()).sum();
        match self.loadable(settings) {
            Some(_) => ModelState::Ready { bytes: here + own },
            None if here > 0 => ModelState::Begun { bytes: here },
            None => ModelState::Absent,
        }
    }

    /// Removes everything that is stored of the model, in Hearken's folder and in the cache of Hugging Face, and returns the bytes freed.
    /// Files in the cache that a snapshot of another commit shares stay.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(&self, settings: &HubSettings) -> Result<u64> {
        let mut bytes = 0;
        if let Some(manifest) = self.manifest() {
            bytes += remove_originals(&manifest, &manifest.repository(&settings.cache))?;
        }
        if self.folder.exists() {
            bytes += files_below(&self.folder).iter().filter_map(|path| fs::symlink_metadata(path).ok()).map(|m| m.len()).sum::<u64>();
            fs::remove_dir_all(&self.folder).map_err(|e| Error::cannot_write(&self.folder, &e))?;
        }
        Ok(bytes)
    }
}

/// Returns the path of the stored checksum of a file of prepared weights.
fn checksum_file(file: &Path) -> PathBuf {
    file.with_extension("gguf.sha256")
}

/// Returns name and address of each licence on a line of its own: the content of the file [`ACCEPTED`].
fn names_of(licences: &[Licence]) -> String {
    licences.iter().map(|licence| format!("{} {}\n", licence.name, licence.text)).collect()
}

/// Removes the downloaded files of `manifest`, partial ones included, from the cache and returns the bytes freed. A blob that a
/// snapshot of another commit links to stays. Folders left empty go too.
///
/// # Errors
/// When a file cannot be removed.
pub fn remove_originals(manifest: &Manifest, repository: &Repository) -> Result<u64> {
    let mut bytes = 0;
    let snapshot = repository.snapshot(&manifest.commit);
    for file in &manifest.files {
        let blob = repository.blob(&file.checksum);
        let shared = repository.is_shared(&file.checksum, &manifest.commit);
        for path in [snapshot.join(&file.path), repository.partial(&file.checksum), blob.clone()] {
            let Ok(about) = fs::symlink_metadata(&path) else { continue };
            if path == blob && shared {
                continue;
            }
            fs::remove_file(&path).map_err(|e| Error::cannot_write(&path, &e))?;
            bytes += if about.is_symlink() { 0 } else { about.len() };
        }
    }
    // Empty folders go; a folder with files of another program stays.
    for file in &manifest.files {
        if let Some(parent) = Path::new(&file.path).parent().filter(|parent| *parent != Path::new("")) {
            let _ = fs::remove_dir(snapshot.join(parent));
        }
    }
    let _ = fs::remove_dir(&snapshot);
    if !snapshot.exists() {
        let reference = repository.folder().join("refs").join(&manifest.revision);
        if fs::read_to_string(&reference).is_ok_and(|commit| commit.trim() == manifest.commit) {
            let _ = fs::remove_file(&reference);
        }
        for folder in ["snapshots", "refs", "blobs"].map(|name| repository.folder().join(name)) {
            let _ = fs::remove_dir(folder);
        }
        let _ = fs::remove_dir(repository.folder());
    }
    Ok(bytes)
}
