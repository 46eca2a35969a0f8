//! The model manager of the window: the catalogue with the state of each model, and the installations that its buttons start,
//! pause, resume and stop.
//!
//! Each installation runs on its own thread and reports through its [`InstallProgress`]. Not responsible for showing anything.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::catalog::{self, CatalogEntry};
use super::control::{InstallControl, InstallProgress};
use super::disk;
use super::fetch::InstallError;
use super::install::{InstallRequest, PreparePrecision, install};
use super::model_dir::ModelDir;
use super::settings::HubSettings;
use crate::config::{Originals, Paths};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::model::precision_choice::{MachineResources, choose_for_release};
use crate::protocol::ModelChoice;
use crate::protocol::models::{InstallEnd, InstallStatus, MachineFacts, ModelCard, ModelState};
use crate::supervise::{self, panic_text};

/// The catalogue on this machine, with the installations of this process by model name. Dropping it stops the installations and waits for
/// their threads.
#[derive(Debug)]
pub struct ModelManager {
    paths: Paths,
    settings: HubSettings,
    installations: Mutex<BTreeMap<String, Installation>>,
}

/// An installation on its own thread, running or ended. Dropping it stops the installation and waits for the thread.
#[derive(Debug)]
pub(super) struct Installation {
    control: Arc<InstallControl>,
    progress: Arc<InstallProgress>,
    /// Thread of the installation; None once joined.
    thread: Option<JoinHandle<()>>,
}

impl Installation {
    /// Starts the installation on its own thread, which calls `on_end` with the result; an error if the system refuses a thread.
    pub(super) fn start(request: InstallRequest, on_end: impl FnOnce(InstallEnd) + Send + 'static) -> Result<Self> {
        let (control, progress) = (Arc::new(InstallControl::default()), Arc::new(InstallProgress::default()));
        let (for_work, to_report) = (Arc::clone(&control), Arc::clone(&progress));
        let work = move || {
            let result = catch_unwind(AssertUnwindSafe(|| install(&request, &for_work, &to_report)));
            let end = match result {
                Ok(Ok(_)) => InstallEnd::Done,
                Ok(Err(InstallError::Stopped)) => InstallEnd::Stopped,
                Ok(Err(InstallError::Failed(error))) => InstallEnd::Failed(error),
                Err(panic) => InstallEnd::Failed(Error::internal(panic_text(panic.as_ref())).while_doing("the download ended")),
            };
            to_report.finish(end.clone());
            on_end(end);
        };
        let thread = supervise::spawn("hearken-download", work)?;
        Ok(Self { control, progress, thread: Some(thread) })
    }

    fn status(&self) -> InstallStatus {
        self.progress.status(&self.control)
    }

    /// Returns true while the installation's thread runs.
    fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && self.status().end.is_none()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported as the end of the installation.
            let _ = thread.join();
        }
    }
}

impl ModelManager {
    /// Returns a manager with the hub's address, cache and limits from the environment.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self::with(paths, HubSettings::from_environment())
    }

    /// Returns a manager with the hub's address, cache and limits in `settings`.
    #[must_use]
    pub fn with(paths: &Paths, settings: HubSettings) -> Self {
        Self { paths: paths.clone(), settings, installations: Mutex::default() }
    }

    /// Returns a card for every model of the catalogue, with its state on this machine. Slow: walks the folders of the models.
    ///
    /// # Errors
    /// When the user's catalogue is invalid.
    pub fn cards(&self) -> Result<Vec<ModelCard>> {
        Ok(catalog::all(&self.paths)?.into_iter().map(|entry| card(entry, &self.paths, &self.settings)).collect())
    }

    /// Returns the error that keeps the model `choice` from being found on this machine; None when its folder is here. Unpacks the
    /// starter if needed; does not try to load.
    #[must_use]
    pub fn missing(&self, choice: &ModelChoice) -> Option<Error> {
        match super::find_with(choice, &self.paths, &self.settings) {
            Ok(found) if found.folder.is_dir() => None,
            Ok(found) => Some(Error::at(ErrorKind::Model, &found.folder, "there is no such folder").with_remedy(Remedy::CheckPath)),
            Err(error) => Some(error),
        }
    }

    /// Returns free disk and memory of this machine. Slow: asks a program of the system.
    #[must_use]
    pub fn machine(&self) -> MachineFacts {
        let free_bytes = disk::free_bytes(&self.settings.cache);
        MachineFacts { free_bytes, memory_bytes: disk::memory_bytes(), release_modes: None }
    }

    /// Measures how many built-in modes of the released model keep up on this machine. Slow: computes for some seconds.
    #[must_use]
    pub fn measure_release(&self) -> usize {
        choose_for_release(MachineResources { memory: disk::memory_bytes(), disk: None }).modes
    }

    /// Returns the progress or the result of the installation of the model `name`; None if none was started, or the model was
    /// removed since.
    #[must_use]
    pub fn work(&self, name: &str) -> Option<InstallStatus> {
        self.installations().get(name).map(Installation::status)
    }

    /// Returns true if any installation is running or paused.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.installations().values().any(Installation::is_running)
    }

    /// Starts the installation of the model `name`, or resumes the one in progress, whose `originals` then stay as they were.
    /// Records that the user has accepted the licences; the caller has asked.
    ///
    /// # Errors
    /// When there is no such model, the acceptance cannot be recorded, or no thread can be started. Later failures are in
    /// [`ModelManager::work`].
    pub fn download(&self, name: &str, originals: Originals) -> Result<()> {
        self.download_then(name, originals, drop)
    }

    /// Starts the installation as [`ModelManager::download`] does; its thread calls `on_end` with the result. An
    /// installation of the model that is in progress goes on, resumed if it was paused, and `on_end` is dropped.
    ///
    /// # Errors
    /// The errors of [`ModelManager::download`].
    pub fn download_then(&self, name: &str, originals: Originals, on_end: impl FnOnce(InstallEnd) + Send + 'static) -> Result<()> {
        let mut installations = self.installations();
        if let Some(installation) = installations.get(name).filter(|installation| installation.is_running()) {
            installation.control.resume();
            return Ok(());
        }
        let entry = self.entry(name)?;
        ModelDir::of(&entry, &self.paths).record_acceptance(&entry.licences)?;
        let (settings, paths) = (self.settings.clone(), self.paths.clone());
        let request = InstallRequest { entry, settings, paths, prepare: PreparePrecision::Auto, originals };
        let installation = Installation::start(request, on_end)?;
        installations.insert(name.to_owned(), installation);
        Ok(())
    }

    /// Pauses the installation of the model `name`, if there is one.
    pub fn pause(&self, name: &str) {
        if let Some(installation) = self.installations().get(name) {
            installation.control.pause();
        }
    }

    /// Resumes the paused installation of the model `name`, if there is one.
    pub fn resume(&self, name: &str) {
        if let Some(installation) = self.installations().get(name) {
            installation.control.resume();
        }
    }

    /// Lets the installation of `name`, if there is one, try again at once after a failure.
    pub fn retry_now(&self, name: &str) {
        if let Some(installation) = self.installations().get(name) {
            installation.control.retry_now();
        }
    }

    /// Stops the installation of `name`, if there is one; downloaded bytes are kept. Does not wait.
    pub fn stop(&self, name: &str) {
        if let Some(installation) = self.installations().get(name) {
            installation.control.stop();
        }
    }

    /// Removes the files of the downloaded model `name` and returns the bytes freed. Takes seconds for a large model.
    ///
    /// # Errors
    /// When the model is being installed, is built in or the user's own folder, or cannot be removed.
    pub fn remove(&self, name: &str) -> Result<u64> {
        let mut installations = self.installations();
        if installations.get(name).is_some_and(Installation::is_running) {
            return Err(Error::new(ErrorKind::Busy, format!("the model {name} is being downloaded; stop the download first")));
        }
        installations.remove(name);
        // A large model takes seconds to delete, and the window reads the installations while it paints.
        drop(installations);
        remove(&self.entry(name)?, &self.paths, &self.settings)
    }

    /// Finds a catalogue entry by its name, or makes one for the `OWNER/NAME` of a repository; an error for any other name.
    fn entry(&self, name: &str) -> Result<CatalogEntry> {
        let unknown = || Error::new(ErrorKind::Model, format!("there is no model {name} in the catalogue"));
        let choice = ModelChoice::Dir(name.into());
        let known = catalog::all(&self.paths)?.into_iter().find(|entry| entry.name == name);
        known.map_or_else(|| catalog::resolve(&choice, &self.paths)?.ok_or_else(unknown), Ok)
    }

    fn installations(&self) -> MutexGuard<'_, BTreeMap<String, Installation>> {
        supervise::lock(&self.installations)
    }
}

/// Removes the files of the downloaded model `entry` and returns the bytes freed; refuses the built-in model and the user's own
/// folder.
pub(super) fn remove(entry: &CatalogEntry, paths: &Paths, settings: &HubSettings) -> Result<u64> {
    if entry.name == catalog::STARTER {
        return Err(Error::new(ErrorKind::Arguments, "the starter is built in and cannot be removed"));
    }
    if let Some(folder) = &entry.folder {
        let why = format!("the model {} is your own folder {}: remove it yourself", entry.name, folder.display());
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    ModelDir::of(entry, paths).remove(settings)
}

/// Returns the card of a catalogue entry: its texts, source, sizes and licences, and how much of it is on this machine. `settings`
/// are the hub's address and cache.
pub(super) fn card(entry: CatalogEntry, paths: &Paths, settings: &HubSettings) -> ModelCard {
    let model_dir = ModelDir::of(&entry, paths);
    let state = match (&entry.hub, &entry.folder) {
        (None, Some(folder)) if !folder.is_dir() => ModelState::Absent,
        (None, _) => ModelState::Ready { bytes: entry.about_bytes },
        (Some(_), _) => model_dir.state(settings),
    };
    let source = match (&entry.hub, &entry.folder) {
        (Some(hub), _) => format!("{}/{hub}", settings.address()),
        (None, Some(folder)) => folder.display().to_string(),
        (None, None) => "built in".to_owned(),
    };
    let download_bytes = match &entry.hub {
        Some(_) => model_dir.manifest().map_or(entry.about_bytes, |manifest| manifest.bytes()),
        None => 0,
    };
    let accepted = model_dir.is_accepted(&entry.licences);
    ModelCard {
        choice: entry.choice(),
        name: entry.name,
        title: entry.title,
        about: entry.about,
        can: entry.can,
        zh: entry.zh,
        licences: entry.licences,
        source,
        download_bytes,
        prepared_bytes: entry.prepared_bytes,
        memory_bytes: entry.memory_bytes,
        accepted,
        state,
    }
}
