//! The models as a window sees them: what there is, what is being got, and the buttons.
//!
//! Each download runs on a thread of its own and is looked at through its board. Not responsible for showing anything.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::catalog::{self, Entry};
use super::control::{Board, Control};
use super::fetch::Ended;
use super::home::Home;
use super::obtain::{Order, Prepare, obtain};
use super::settings::HubSettings;
use crate::config::{Originals, Paths};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::ModelChoice;
use crate::protocol::models::{InstallEnd, InstallStatus, ModelCard, ModelState};

/// The catalogue on this machine, with the downloads that run.
#[derive(Debug)]
pub struct ModelManager {
    paths: Paths,
    settings: HubSettings,
    jobs: Mutex<BTreeMap<String, Job>>,
}

/// A download that runs, or has run.
#[derive(Debug)]
pub(super) struct Job {
    control: Arc<Control>,
    board: Arc<Board>,
    thread: Option<JoinHandle<()>>,
}

impl Job {
    /// Begins to get what is ordered.
    pub(super) fn start(order: Order) -> Result<Self> {
        let (control, board) = (Arc::new(Control::default()), Arc::new(Board::default()));
        let (for_work, to_tell) = (Arc::clone(&control), Arc::clone(&board));
        let work = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| obtain(&order, &for_work, &to_tell)));
            to_tell.end(match outcome {
                Ok(Ok(_)) => InstallEnd::Done,
                Ok(Err(Ended::Stopped)) => InstallEnd::Stopped,
                Ok(Err(Ended::Failed(error))) => InstallEnd::Failed(error.to_string()),
                Err(_) => InstallEnd::Failed("The download came to an unexpected end. Start it again: what was fetched is kept.".into()),
            });
        };
        let thread = thread::Builder::new().name("hearken-download".into()).spawn(work);
        let thread = thread.map_err(|e| {
            Error::new(ErrorKind::Busy, format!("a download cannot be started: {e}")).with_remedy(Remedy::CloseOtherPrograms)
        })?;
        Ok(Self { control, board, thread: Some(thread) })
    }

    pub(super) fn work(&self) -> InstallStatus {
        self.board.read(&self.control)
    }

    fn runs(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && self.work().end.is_none()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            // Its panic has become its end.
            let _ = thread.join();
        }
    }
}

impl ModelManager {
    /// The shelf of this user.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self::with(paths, HubSettings::from_environment())
    }

    /// A shelf that reaches the hub as `settings` say.
    #[must_use]
    pub fn with(paths: &Paths, settings: HubSettings) -> Self {
        Self { paths: paths.clone(), settings, jobs: Mutex::default() }
    }

    /// Every model of the catalogue, as far as it is here. Looks at the disk.
    ///
    /// # Errors
    /// When the user's catalogue is wrong.
    pub fn cards(&self) -> Result<Vec<ModelCard>> {
        Ok(catalog::all(&self.paths)?.into_iter().map(|entry| card(entry, &self.paths, &self.settings)).collect())
    }

    /// Why the model `choice` cannot be listened with, when it cannot because it is not here.
    #[must_use]
    pub fn missing(&self, choice: &ModelChoice) -> Option<String> {
        match super::find_with(choice, &self.paths, &self.settings) {
            Ok(found) if found.folder.is_dir() => None,
            Ok(found) => {
                Some(Error::at(ErrorKind::Model, &found.folder, "there is no such folder").with_remedy(Remedy::CheckPath).to_string())
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// What is being done to get the model `name`, or how that ended; None when nothing was.
    #[must_use]
    pub fn work(&self, name: &str) -> Option<InstallStatus> {
        self.jobs().get(name).map(Job::work)
    }

    /// Whether anything is being got.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.jobs().values().any(Job::runs)
    }

    /// Gets the model `name`, whose licences the user has accepted, or goes on getting it.
    ///
    /// # Errors
    /// When there is no such model, or no thread for it.
    pub fn download(&self, name: &str, originals: Originals) -> Result<()> {
        let mut jobs = self.jobs();
        if let Some(job) = jobs.get(name).filter(|job| job.runs()) {
            job.control.resume();
            return Ok(());
        }
        let entry = self.entry(name)?;
        Home::of(&entry, &self.paths).note_accepted(&entry.licences)?;
        let (settings, paths) = (self.settings.clone(), self.paths.clone());
        let job = Job::start(Order { entry, settings, paths, prepare: Prepare::Suitable, originals })?;
        jobs.insert(name.to_owned(), job);
        Ok(())
    }

    /// Holds the download of `name`.
    pub fn pause(&self, name: &str) {
        if let Some(job) = self.jobs().get(name) {
            job.control.pause();
        }
    }

    /// Goes on with the download of `name`.
    pub fn resume(&self, name: &str) {
        if let Some(job) = self.jobs().get(name) {
            job.control.resume();
        }
    }

    /// Ends the download of `name`; what was fetched is kept.
    pub fn stop(&self, name: &str) {
        if let Some(job) = self.jobs().get(name) {
            job.control.stop();
        }
    }

    /// Removes the model `name` from this machine, and says how many bytes that gave.
    ///
    /// # Errors
    /// When it is being got, is not Hearken's to remove, or cannot be removed.
    pub fn remove(&self, name: &str) -> Result<u64> {
        let mut jobs = self.jobs();
        if jobs.get(name).is_some_and(Job::runs) {
            return Err(Error::new(ErrorKind::Busy, format!("the model {name} is being downloaded: stop that first")));
        }
        jobs.remove(name);
        remove(&self.entry(name)?, &self.paths, &self.settings)
    }

    fn entry(&self, name: &str) -> Result<Entry> {
        let unknown = || Error::new(ErrorKind::Model, format!("there is no model {name} in the catalogue"));
        let choice = ModelChoice::Dir(name.into());
        let known = catalog::all(&self.paths)?.into_iter().find(|entry| entry.name == name);
        known.map_or_else(|| catalog::resolve(&choice, &self.paths)?.ok_or_else(unknown), Ok)
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the model of `entry`, unless it is built in or a folder of the user's.
pub(super) fn remove(entry: &Entry, paths: &Paths, settings: &HubSettings) -> Result<u64> {
    if entry.name == catalog::STARTER {
        return Err(Error::new(ErrorKind::Arguments, "the starter is built in and cannot be removed"));
    }
    if let Some(folder) = &entry.folder {
        let why = format!("the model {} is your own folder {}: remove it yourself", entry.name, folder.display());
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    Home::of(entry, paths).remove(settings)
}

/// The entry as it stands on this machine.
pub(super) fn card(entry: Entry, paths: &Paths, settings: &HubSettings) -> ModelCard {
    let home = Home::of(&entry, paths);
    let state = match (&entry.hub, &entry.folder) {
        (None, Some(folder)) if !folder.is_dir() => ModelState::Absent,
        (None, _) => ModelState::Ready { bytes: entry.about_bytes },
        (Some(_), _) => home.state(settings),
    };
    let source = match (&entry.hub, &entry.folder) {
        (Some(hub), _) => format!("{}/{hub}", settings.address()),
        (None, Some(folder)) => folder.display().to_string(),
        (None, None) => "built in".to_owned(),
    };
    let download_bytes = match &entry.hub {
        Some(_) => home.listing().map_or(entry.about_bytes, |listing| listing.bytes()),
        None => 0,
    };
    let accepted = home.is_accepted(&entry.licences);
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
