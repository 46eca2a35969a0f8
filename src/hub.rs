//! The models: which there are, where they lie, and how one is had.
//!
//! The only module that may open a socket, and only when the user asks for a model: `remote` does it, for `obtain`. What is
//! fetched lies in the cache that all programs of Hugging Face share; what Hearken makes of it, in its own cache folder. Not
//! responsible for loading a model, nor for anything that is heard.

pub mod cache;
pub mod catalog;
pub mod checksum;
mod commands;
pub mod control;
pub mod disk;
pub mod fetch;
pub mod home;
pub mod listing;
pub mod obtain;
pub mod remote;
mod runtime;
pub mod settings;
mod shelf;
mod starter;

use std::path::PathBuf;

use crate::config::Paths;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::ModelChoice;

pub use catalog::Entry;
pub use commands::run;
use home::Home;
use settings::HubSettings;
pub use shelf::ModelManager;

/// A model that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its checkpoint folder.
    pub folder: PathBuf,
    /// How events call it.
    pub name: String,
}

/// Finds the model `choice` on this machine, unpacking the built-in one where that has not been done. Asks no network.
///
/// # Errors
/// When it is not here, or cannot be unpacked anywhere.
pub fn find(choice: &ModelChoice, paths: &Paths) -> Result<Found> {
    find_with(choice, paths, &HubSettings::from_environment())
}

/// As [`find`], with the cache of Hugging Face where `settings` says.
///
/// # Errors
/// As [`find`].
pub fn find_with(choice: &ModelChoice, paths: &Paths, settings: &HubSettings) -> Result<Found> {
    let Some(entry) = catalog::resolve(choice, paths)? else {
        let ModelChoice::Dir(folder) = choice else {
            return Err(Error::internal("a model of the catalogue is not in it"));
        };
        let name = folder.file_name().map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into_owned());
        return Ok(Found { folder: folder.clone(), name });
    };
    if entry.name == catalog::STARTER {
        let folder = starter::unpack(&[paths.cache.join("models"), std::env::temp_dir().join("hearken")])?;
        return Ok(Found { folder, name: entry.name });
    }
    if let Some(folder) = entry.folder {
        return Ok(Found { folder, name: entry.name });
    }
    let home = Home::of(&entry, paths);
    match home.loadable(settings) {
        Some(folder) => Ok(Found { folder, name: entry.name }),
        None => {
            let how = if home.listing().is_some() { "is not here in full" } else { "is not here" };
            let why = format!("the model {} {how}", entry.name);
            Err(Error::new(ErrorKind::Model, why).with_remedy(Remedy::DownloadModel))
        }
    }
}
