//! What Hearken itself keeps of a model that comes from the hub: its listing, and the folder with the prepared weights.

use std::fs;
use std::path::{Path, PathBuf};

use super::Entry;
use super::cache::{Repository, files_below, sha256_of};
use super::listing::Listing;
use super::settings::HubSettings;
use crate::config::Paths;
use crate::error::{Error, Result};
use crate::files::{make_private_folder, write_private};
use crate::model;
use crate::protocol::models::{Licence, ModelState};

/// In the folder of the prepared weights: the commit that they were made from. Written last.
const COMMIT: &str = "commit";
/// The terms that the user has accepted.
const ACCEPTED: &str = "accepted";

/// Hearken's folder of one model.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// That of `entry`.
    #[must_use]
    pub fn of(entry: &Entry, paths: &Paths) -> Self {
        Self { folder: paths.cache.join("models").join(entry.name.replace('/', "--")) }
    }

    /// Where its listing lies.
    #[must_use]
    pub fn listing_file(&self) -> PathBuf {
        self.folder.join("listing.json")
    }

    /// Its listing, if it has one.
    #[must_use]
    pub fn listing(&self) -> Option<Listing> {
        Listing::read(&self.listing_file())
    }

    /// Where the prepared weights lie, or will.
    #[must_use]
    pub fn ready_folder(&self) -> PathBuf {
        self.folder.join("ready")
    }

    /// The folder of the prepared weights, if there are any.
    #[must_use]
    pub fn ready(&self) -> Option<PathBuf> {
        let folder = self.ready_folder();
        (folder.join(COMMIT).is_file() && !model::quantised_files(&folder).is_empty()).then_some(folder)
    }

    /// The commit that the prepared weights were made from.
    #[must_use]
    pub fn ready_commit(&self) -> Option<String> {
        fs::read_to_string(self.ready_folder().join(COMMIT)).ok()
    }

    /// Notes that the prepared weights are complete and come from `commit`.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn note_ready(&self, commit: &str) -> Result<()> {
        write_private(&self.ready_folder().join(COMMIT), commit.as_bytes())
    }

    /// Takes the note back: what lies in the folder is about to change.
    pub fn note_unready(&self) {
        // Where it is not there, or the folder is not, nothing says that the weights are complete.
        let _ = fs::remove_file(self.ready_folder().join(COMMIT));
    }

    /// Makes the folder of the prepared weights.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn make(&self) -> Result<()> {
        make_private_folder(&self.ready_folder())
    }

    /// Whether the user has accepted these terms.
    #[must_use]
    pub fn is_accepted(&self, licences: &[Licence]) -> bool {
        fs::read_to_string(self.folder.join(ACCEPTED)).is_ok_and(|text| text == names_of(licences))
    }

    /// Notes that the user has accepted these terms.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn note_accepted(&self, licences: &[Licence]) -> Result<()> {
        write_private(&self.folder.join(ACCEPTED), names_of(licences).as_bytes())
    }

    /// Notes what the bytes of the prepared file add up to, so that they can be checked later.
    ///
    /// # Errors
    /// When it cannot be read, or the note not written.
    pub fn note_sum(file: &Path) -> Result<()> {
        let sum = sha256_of(file).map_err(|e| Error::model_file(file, e))?;
        write_private(&sum_file(file), sum.as_bytes())
    }

    /// Whether the bytes of the prepared file are those that were written.
    #[must_use]
    pub fn prepared_is_whole(file: &Path) -> bool {
        fs::read_to_string(sum_file(file)).is_ok_and(|noted| sha256_of(file).is_ok_and(|sum| sum == noted))
    }

    /// The folder from which the model can be loaded, if it is here: the prepared weights, else the originals once all of
    /// them were checked.
    #[must_use]
    pub fn loadable(&self, settings: &HubSettings) -> Option<PathBuf> {
        self.ready().or_else(|| {
            let listing = self.listing()?;
            let repository = listing.repository(&settings.cache);
            listing.is_complete(&repository).then(|| repository.snapshot(&listing.commit))
        })
    }

    /// How far the model is.
    #[must_use]
    pub fn state(&self, settings: &HubSettings) -> ModelState {
        let listing = self.listing();
        let here = listing.as_ref().map_or(0, |listing| listing.bytes_here(&listing.repository(&settings.cache)));
        let own: u64 = files_below(&self.folder).iter().filter_map(|path| fs::symlink_metadata(path).ok()).map(|m| m.len()).sum();
        match self.loadable(settings) {
            Some(_) => ModelState::Ready { bytes: here + own },
            None if here > 0 => ModelState::Begun { bytes: here },
            None => ModelState::Absent,
        }
    }

    /// Removes everything that is kept of the model here and in the cache, and says how many bytes that were. What another
    /// revision in the cache shares stays.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn remove(&self, settings: &HubSettings) -> Result<u64> {
        let mut bytes = 0;
        if let Some(listing) = self.listing() {
            bytes += remove_originals(&listing, &listing.repository(&settings.cache))?;
        }
        if self.folder.exists() {
            bytes += files_below(&self.folder).iter().filter_map(|path| fs::symlink_metadata(path).ok()).map(|m| m.len()).sum::<u64>();
            fs::remove_dir_all(&self.folder).map_err(|e| Error::cannot_write(&self.folder, &e))?;
        }
        Ok(bytes)
    }
}

fn sum_file(file: &Path) -> PathBuf {
    file.with_extension("gguf.sha256")
}

/// The names of licences, one a line.
fn names_of(licences: &[Licence]) -> String {
    licences.iter().map(|licence| format!("{} {}\n", licence.name, licence.text)).collect()
}

/// Removes the files of `listing` from the cache, unless another revision shares them; gives their bytes.
///
/// # Errors
/// When one cannot be removed.
pub fn remove_originals(listing: &Listing, repository: &Repository) -> Result<u64> {
    let mut bytes = 0;
    let snapshot = repository.snapshot(&listing.commit);
    for file in &listing.files {
        let blob = repository.blob(&file.checksum);
        let shared = repository.is_shared(&file.checksum, &listing.commit);
        for path in [snapshot.join(&file.path), repository.partial(&file.checksum), blob.clone()] {
            let Ok(about) = fs::symlink_metadata(&path) else { continue };
            if path == blob && shared {
                continue;
            }
            fs::remove_file(&path).map_err(|e| Error::cannot_write(&path, &e))?;
            bytes += if about.is_symlink() { 0 } else { about.len() };
        }
    }
    // Folders that are empty now go; one that is not stays, because somebody else has something in it.
    for file in &listing.files {
        if let Some(parent) = Path::new(&file.path).parent().filter(|parent| *parent != Path::new("")) {
            let _ = fs::remove_dir(snapshot.join(parent));
        }
    }
    let _ = fs::remove_dir(&snapshot);
    if !snapshot.exists() {
        let reference = repository.folder().join("refs").join(&listing.revision);
        if fs::read_to_string(&reference).is_ok_and(|commit| commit.trim() == listing.commit) {
            let _ = fs::remove_file(&reference);
        }
        for folder in ["snapshots", "refs", "blobs"].map(|name| repository.folder().join(name)) {
            let _ = fs::remove_dir(folder);
        }
        let _ = fs::remove_dir(repository.folder());
    }
    Ok(bytes)
}
