//! Installation of a model: ask the hub for its manifest, download missing files, verify checksums, prepare the weights.
//!
//! Every step can be stopped and continues where it stopped. Not responsible for asking the user anything.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use crossbeam_channel::bounded;

use super::CatalogEntry;
use super::cache::{Repository, link_to};
use super::control::{InstallControl, InstallProgress};
use super::disk;
use super::fetch::{Fetcher, InstallError};
use super::manifest::{Manifest, ManifestFile};
use super::model_dir::{ModelDir, remove_originals};
use super::remote::{HubClient, RemoteError};
use super::settings::{HubSettings, NetworkAccess};
use crate::config::{Originals, Paths, Precision};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::model::{self, checkpoint::Checkpoint, precision_choice, precision_choice::MachineResources};
use crate::protocol::models::{ChosenPrecision, FaultPlace, InstallNote, InstallStep, size};
use crate::supervise;

/// Number of files that are downloaded in parallel: one connection rarely fills a line, and many more gain nothing.
const PARALLEL_FILES: usize = 4;
/// Capacity of the queue of downloaded files that wait to be marked as verified.
const DONE_QUEUE: usize = 64;
/// Bytes that an installation leaves free on each disk for the rest of the system.
const SPARE_BYTES: u64 = 200_000_000;

/// The choice of the precision of the prepared weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreparePrecision {
    /// Any precision that is prepared or begun already; else the best one that this machine computes in real time, by measurement.
    Auto,
    /// This precision; `F32` and `Bf16` mean the original weights, without preparation.
    Exactly(Precision),
}

/// The model to install, with all settings of the installation.
#[derive(Clone, Debug)]
pub struct InstallRequest {
    /// Catalogue entry of the model.
    pub entry: CatalogEntry,
    /// Address of the hub, its cache and limits.
    pub settings: HubSettings,
    /// Folders of Hearken; prepared weights go to its cache folder.
    pub paths: Paths,
    /// Precision of the prepared weights.
    pub prepare: PreparePrecision,
    /// Treatment of the downloaded files once quantised weights are prepared.
    pub originals: Originals,
}

/// The model folder, the switch and the progress that the steps of an installation share.
#[derive(Clone, Copy, Debug)]
pub struct InstallContext<'a> {
    /// Folder of the model in Hearken's cache folder.
    pub model_dir: &'a ModelDir,
    /// Switch by which the user pauses and stops.
    pub control: &'a Arc<InstallControl>,
    /// Progress that is shown to the user.
    pub progress: &'a InstallProgress,
}

/// Installs the requested model and returns the folder that it can be loaded from: the prepared weights, or the originals in the
/// Hugging Face cache for a float precision. Blocks until done; does nothing more if the model is ready at the hub's present
/// commit.
///
/// # Errors
/// When the model cannot be listed, downloaded, loaded or prepared, a disk is full, or the user stops it. Downloaded bytes are
/// kept.
pub fn install(request: &InstallRequest, control: &Arc<InstallControl>, progress: &InstallProgress) -> Result<PathBuf, InstallError> {
    let model_dir = &ModelDir::of(&request.entry, &request.paths);
    let context = InstallContext { model_dir, control, progress };
    let remote = match request.settings.network {
        NetworkAccess::Allowed => Some(HubClient::new(&request.settings)?),
        NetworkAccess::Offline => None,
    };
    progress.begin_step(InstallStep::Asking, 0, 0);
    let mut manifest = manifest(request, context, remote.as_ref())?;
    if model_dir.ready_commit().as_deref() == Some(&manifest.commit)
        && let Some(folder) = model_dir.ready().filter(|folder| satisfies(folder, request.prepare))
    {
        return Ok(folder);
    }
    if let Some(file) = manifest.files.iter().find(|file| request.entry.sums.get(&file.path).is_some_and(|sum| sum != file.checksum.hex()))
    {
        progress.set_changed_file(file.path.clone());
    }
    manifest.write(&model_dir.manifest_file())?;
    let repository = manifest.repository(&request.settings.cache);
    check_disk_space(request, model_dir, &manifest, &repository)?;
    fetch_all(request, context, &mut manifest, &repository, remote.as_ref())?;
    for file in &manifest.files {
        repository.link_into_snapshot(&manifest.commit, &file.path, &file.checksum)?;
    }
    repository.write_ref(&manifest.revision, &manifest.commit)?;
    let snapshot = repository.snapshot(&manifest.commit);
    // The hub may list anything: check that the files are a model that can be loaded.
    drop(Checkpoint::open(&snapshot)?);
    let precision = match request.prepare {
        PreparePrecision::Exactly(precision) => precision,
        PreparePrecision::Auto => choose_precision(model_dir, &snapshot, &request.paths, progress)?,
    };
    if matches!(precision, Precision::F32 | Precision::Bf16) {
        return Ok(snapshot);
    }
    prepare(context, &snapshot, &manifest.commit, precision)?;
    match request.originals {
        Originals::Remove => {
            let bytes = remove_originals(&manifest, &repository)?;
            progress.set_note(Some(InstallNote::OriginalsDeleted { bytes }));
        }
        Originals::Keep => link_originals(&model_dir.ready_folder(), &snapshot, &manifest.files),
    }
    Ok(model_dir.ready_folder())
}

/// Returns true if the folder of prepared weights holds weights in the requested precision; any precision does for `Auto`.
fn satisfies(folder: &Path, prepare: PreparePrecision) -> bool {
    match prepare {
        PreparePrecision::Auto => true,
        PreparePrecision::Exactly(precision) => model::quantised_file(folder, precision).is_some_and(|file| file.is_file()),
    }
}

/// Returns the manifest of the model: from the hub; or the stored one, if the network may not be used, or if the hub cannot be
/// reached and the model is here in full.
fn manifest(request: &InstallRequest, context: InstallContext<'_>, remote: Option<&HubClient>) -> Result<Manifest, InstallError> {
    let InstallContext { model_dir, control, progress } = context;
    let before = model_dir.manifest().filter(|before| before.hub == request.entry.hub.clone().unwrap_or_default());
    let Some(remote) = remote else {
        let why = format!("HF_HUB_OFFLINE is set, and the file list of {} is not here", request.entry.name);
        return before.ok_or_else(|| Error::new(ErrorKind::Network, why).with_remedy(Remedy::GoOnline).into());
    };
    let mut failures = 0;
    loop {
        control.wait_while_paused()?;
        let (place, why, retry_after) = match remote.manifest(&request.entry, control) {
            Ok(mut manifest) => {
                if let Some(before) = before {
                    manifest.checked = before.checked;
                }
                return Ok(manifest);
            }
            Err(RemoteError::Interrupted) => continue,
            Err(RemoteError::Permanent(error)) => return Err(error.into()),
            Err(RemoteError::PastEnd) => (FaultPlace::Hub, "the hub answers 416".to_owned(), None),
            Err(RemoteError::Transient { place, why, retry_after }) => (place, why, retry_after),
        };
        failures += 1;
        // A model that is here in full needs no hub.
        let is_here = |before: &&Manifest| {
            model_dir.ready_commit().as_deref() == Some(&before.commit)
                || before.bytes_present(&before.repository(&request.settings.cache)) == before.bytes()
        };
        if let Some(before) = before.as_ref().filter(is_here) {
            return Ok(before.clone());
        }
        if failures >= request.settings.retry_limits.attempts {
            let why = format!("the hub {} cannot be reached: {why}, {failures} times in a row", request.settings.address());
            return Err(Error::new(ErrorKind::Network, why).with_remedy(Remedy::CheckConnection).into());
        }
        let wait = super::fetch::pause_before(failures, retry_after, request.settings.retry_limits);
        progress.begin_wait(place, why, wait);
        control.sleep(wait)?;
        progress.end_wait();
    }
}

/// Checks that the disks have space for the missing downloads and for the prepared weights, with [`SPARE_BYTES`] left, before
/// anything is downloaded. A disk whose free space is unknown passes.
fn check_disk_space(request: &InstallRequest, model_dir: &ModelDir, manifest: &Manifest, repository: &Repository) -> Result<()> {
    let missing = manifest.bytes() - manifest.bytes_present(repository);
    let prepared = if model_dir.ready().is_some() { 0 } else { request.entry.prepared_bytes };
    let (cache, own) = (&request.settings.cache, &request.paths.cache);
    for (folder, bytes, what) in [(cache, missing, "the download"), (own, prepared, "the prepared weights")] {
        let Some(free) = disk::free_bytes(folder).filter(|_| bytes > 0) else { continue };
        if free < bytes.saturating_add(SPARE_BYTES) {
            let why = format!("the disk has {} free, and {} are needed for {what}", size(free), size(bytes));
            return Err(Error::at(ErrorKind::Output, folder, why).with_remedy(Remedy::FreeDisk));
        }
    }
    Ok(())
}

/// Downloads the missing files of `manifest` in parallel, largest first, and marks each complete file as verified, in `manifest` and on
/// disk. The first error stops all threads and is returned.
fn fetch_all(
    request: &InstallRequest,
    context: InstallContext<'_>,
    manifest: &mut Manifest,
    repository: &Repository,
    remote: Option<&HubClient>,
) -> Result<(), InstallError> {
    let InstallContext { model_dir, control, progress } = context;
    progress.begin_step(InstallStep::Fetching, manifest.bytes_present(repository), manifest.bytes());
    let listed = manifest.clone();
    let mut files: Vec<&ManifestFile> = listed.files.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.size));
    let queue = Mutex::new(files.into_iter().collect::<VecDeque<_>>());
    let retry_limits = request.settings.retry_limits;
    let fetcher = Fetcher { remote, manifest: &listed, repository, cache: &request.settings.cache, retry_limits, control, progress };
    let (done, done_rx) = bounded(DONE_QUEUE);
    let mut failed = None;
    thread::scope(|scope| {
        for _ in 0..PARALLEL_FILES {
            let (done, queue, fetcher) = (done.clone(), &queue, &fetcher);
            scope.spawn(move || {
                loop {
                    let next = supervise::lock(queue).pop_front();
                    let Some(file) = next else { return };
                    let result = fetcher.fetch(file).map(|()| file);
                    let failed = result.is_err();
                    if done.send(result).is_err() || failed {
                        // Sent before the others are stopped, so that the first error is reported.
                        control.stop();
                        return;
                    }
                }
            });
        }
        drop(done);
        for result in done_rx {
            match result {
                Ok(file) => {
                    manifest.mark_verified(repository, file);
                    // Without the mark, the file is verified again next time.
                    let _ = manifest.write(&model_dir.manifest_file());
                }
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(manifest.write(&model_dir.manifest_file())?),
    }
}

/// Returns the precision that the weights of `snapshot` are prepared in: that of complete or partial weights if there are any, else
/// the one that [`precision_choice::choose_precision`] measures.
fn choose_precision(model_dir: &ModelDir, snapshot: &Path, paths: &Paths, progress: &InstallProgress) -> Result<Precision> {
    let ready = model_dir.ready_folder();
    let is_begun = |precision: &Precision| partial_weights_file(&ready, *precision).is_some_and(|file| file.is_file());
    let known = |precision: &Precision| is_begun(precision) || model::is_quantised_from(&ready, *precision, snapshot);
    if let Some(precision) = [Precision::Q8, Precision::Q4].into_iter().find(known) {
        return Ok(precision);
    }
    progress.begin_step(InstallStep::Checking, 0, 0);
    let disk = disk::free_bytes(&paths.cache).map(|free| free.saturating_sub(SPARE_BYTES));
    let suited = precision_choice::choose_precision(snapshot, MachineResources { memory: disk::memory_bytes(), disk })?;
    progress.set_precision(ChosenPrecision { bits: suited.precision.bits(), reason: suited.reason });
    Ok(suited.precision)
}

/// Returns the path in `folder` of the unfinished file that quantising to `precision` writes; None for a float precision.
fn partial_weights_file(folder: &Path, precision: Precision) -> Option<PathBuf> {
    model::quantised_file(folder, precision).map(|file| file.with_extension("gguf.partial"))
}

/// Writes the weights of `snapshot`, the files of `commit`, in `precision` to the folder of prepared weights, unless they are there
/// already, stores their checksum and marks them as ready. Removes weights of another commit.
///
/// # Errors
/// When the weights cannot be written, or the user stops it; an unfinished file is continued next time.
pub fn prepare(context: InstallContext<'_>, snapshot: &Path, commit: &str, precision: Precision) -> Result<(), InstallError> {
    let InstallContext { model_dir, control, progress } = context;
    model_dir.create_ready_folder()?;
    let ready = model_dir.ready_folder();
    if model_dir.ready_commit().as_deref() != Some(commit) {
        model_dir.mark_unready();
        // Weights of another commit are useless; a partial file of this commit is continued.
        if !model::is_quantised_from(&ready, precision, snapshot) {
            clear(&ready, precision)?;
        }
    }
    if model::is_quantised_from(&ready, precision, snapshot) {
        return Ok(model_dir.mark_ready(commit)?);
    }
    let file = quantise(snapshot, precision, &ready, control, progress)?;
    progress.begin_step(InstallStep::Checking, 0, 0);
    ModelDir::store_checksum(&file)?;
    Ok(model_dir.mark_ready(commit)?)
}

/// Writes the weights of the checkpoint folder `from` in `precision` (8 or 4 bits) to the folder `to`, with copies of its small
/// files, and returns the path of the weights. Marks nothing as ready.
///
/// # Errors
/// When the weights cannot be written, or the user stops it; a partial file is continued next time.
pub fn quantise(
    from: &Path,
    precision: Precision,
    to: &Path,
    control: &InstallControl,
    progress: &InstallProgress,
) -> Result<PathBuf, InstallError> {
    progress.begin_step(InstallStep::Preparing, 0, 0);
    let written = model::quantise(from, precision, to, |done, all| {
        // The callback counts 16-bit values; users know bytes.
        progress.set(done * 2, all * 2);
        if control.wait_while_paused().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    written.map_err(|e| if control.wait_while_paused().is_err() { InstallError::Stopped } else { InstallError::Failed(e) })
}

/// Empties `folder`, except for the unfinished file of weights in `precision` and the `.safe` file beside it, so that quantising can be
/// continued.
fn clear(folder: &Path, precision: Precision) -> Result<()> {
    let begun = partial_weights_file(folder, precision);
    let is_begun = |path: &Path| begun.as_ref().is_some_and(|begun| path == begun || path == begun.with_added_extension("safe"));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_begun(&path) {
            continue;
        }
        let removed = if path.is_dir() && !path.is_symlink() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(|e| Error::cannot_write(&path, &e))?;
    }
    Ok(())
}

/// Links the original `files` of `snapshot` into the folder `ready` of prepared weights, so that other precisions can be loaded from there.
/// A failure is no error: the prepared precision does not need the originals.
pub(super) fn link_originals(ready: &Path, snapshot: &Path, files: &[ManifestFile]) {
    for file in files {
        let link = ready.join(&file.path);
        if link.exists() {
            continue;
        }
        let _ = std::fs::remove_file(&link);
        if let Some(parent) = link.parent() {
            let _ = std::fs::create_dir_all(parent);
        }
        let Ok(original) = std::fs::canonicalize(snapshot.join(&file.path)) else { continue };
        let _ = link_to(&original, &link);
    }
}
