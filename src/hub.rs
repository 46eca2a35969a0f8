//! The models: the catalogue, the storage on this machine, and the download.
//!
//! The only module that may open a socket ([`remote`], called by [`install`]), and only when the user asks for a model. Downloads
//! go to the cache that all programs of Hugging Face share, prepared weights to Hearken's own cache folder. Not responsible for
//! loading a model, nor for audio.

pub mod cache;
pub mod catalog;
pub mod checksum;
mod commands;
pub mod control;
pub mod disk;
pub mod fetch;
pub mod install;
mod manager;
pub mod manifest;
pub mod model_dir;
pub mod remote;
mod runtime;
pub mod settings;
mod starter;

use std::path::PathBuf;

use crate::config::Paths;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::ModelChoice;

pub use catalog::CatalogEntry;
pub use commands::run;
pub use manager::ModelManager;
use model_dir::ModelDir;
use settings::HubSettings;

/// A model found on this machine, ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalModel {
    /// Checkpoint folder. Not checked for a folder that the user named: it may not exist.
    pub folder: PathBuf,
    /// Name of the model in events: that in the catalogue, or the name of the folder.
    pub name: String,
}

/// Finds the model `choice` on this machine, with the Hugging Face cache of the environment. Unpacks the built-in model if needed;
/// never uses the network.
///
/// # Errors
/// `Model` when a model of the hub is not on this machine in full, `Output` when the built-in one cannot be unpacked, `Settings`
/// when the user's catalogue is invalid. A folder that does not exist is no error.
pub fn find(choice: &ModelChoice, paths: &Paths) -> Result<LocalModel> {
    find_with(choice, paths, &HubSettings::from_environment())
}

/// Unpacks the built-in model unless it is there, and returns its folder: in the cache folder, else in a folder that others may write
/// too, also in memory, where no disk takes it.
fn unpack_starter(paths: &Paths) -> Result<PathBuf> {
    let mut shared = Vec::new();
    if cfg!(target_os = "linux") {
        shared.extend(std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from));
    }
    shared.push(std::env::temp_dir());
    if cfg!(target_os = "linux") {
        shared.push(PathBuf::from("/dev/shm"));
    }
    starter::unpack(&paths.cache.join("models"), &shared)
}

/// Finds the model `choice` on this machine, with the Hugging Face cache that `settings` name. Unpacks the built-in model if needed; never
/// uses the network.
///
/// # Errors
/// The errors of [`find`].
pub fn find_with(choice: &ModelChoice, paths: &Paths, settings: &HubSettings) -> Result<LocalModel> {
    if *choice == ModelChoice::Starter {
        // Without the user's catalogue, which may be damaged.
        return Ok(LocalModel { folder: unpack_starter(paths)?, name: catalog::STARTER.to_owned() });
    }
    let Some(entry) = catalog::resolve(choice, paths)? else {
        let ModelChoice::Dir(folder) = choice else {
            return Err(Error::internal("a model of the catalogue is not in it"));
        };
        let name = folder.file_name().map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into_owned());
        return Ok(LocalModel { folder: folder.clone(), name });
    };
    if entry.name == catalog::STARTER {
        let folder = unpack_starter(paths)?;
        return Ok(LocalModel { folder, name: entry.name });
    }
    if let Some(folder) = entry.folder {
        return Ok(LocalModel { folder, name: entry.name });
    }
    let model_dir = ModelDir::of(&entry, paths);
    match model_dir.loadable(settings) {
        Some(folder) => Ok(LocalModel { folder, name: entry.name }),
        None => {
            let how = if model_dir.manifest().is_some() { "is not here in full" } else { "is not here" };
            let why = format!("the model {} {how}", entry.name);
            Err(Error::new(ErrorKind::Model, why).with_remedy(Remedy::DownloadModel))
        }
    }
}
