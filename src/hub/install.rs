//! Getting a model: ask what it consists of, fetch what is missing, check everything, make it ready.
//!
//! Every step can be stopped and is taken up again where it was. Not responsible for asking the user anything.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
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
use crate::error::{Error, ErrorKind, Result};
use crate::model::{self, checkpoint::Checkpoint, precision_choice, precision_choice::MachineResources};
use crate::protocol::models::{InstallStep, size};

/// Files that are fetched at a time: one connection rarely fills a line, and many more help nobody.
const PARALLEL_FILES: usize = 4;
/// Files that have been fetched and wait to be noted; each is one short message.
const DONE_QUEUE: usize = 64;
/// Room that is left on a disk, so that the rest of the system lives.
const SPARE_BYTES: u64 = 200_000_000;

/// In what numbers the weights are prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreparePrecision {
    /// What suits model and machine.
    Auto,
    /// This.
    Exactly(Precision),
}

/// What is to be got, and how.
#[derive(Clone, Debug)]
pub struct InstallRequest {
    /// The model.
    pub entry: CatalogEntry,
    /// Where it comes from.
    pub settings: HubSettings,
    /// Where Hearken keeps its own.
    pub paths: Paths,
    /// How it is prepared.
    pub prepare: PreparePrecision,
    /// What becomes of the originals.
    pub originals: Originals,
}

/// Gets what is ordered, and gives the folder that it can be loaded from.
///
/// # Errors
/// When it cannot be had, or the user stops it. Everything that was fetched is kept.
pub fn install(request: &InstallRequest, control: &Arc<InstallControl>, progress: &InstallProgress) -> Result<PathBuf, InstallError> {
    let model_dir = ModelDir::of(&request.entry, &request.paths);
    let remote = match request.settings.network {
        NetworkAccess::Allowed => Some(HubClient::new(&request.settings)?),
        NetworkAccess::Offline => None,
    };
    progress.begin_step(InstallStep::Asking, 0, 0);
    let mut manifest = manifest(request, &model_dir, remote.as_ref(), control, progress)?;
    if model_dir.ready_commit().as_deref() == Some(&manifest.commit)
        && let Some(folder) = model_dir.ready().filter(|folder| satisfies(folder, request.prepare))
    {
        return Ok(folder);
    }
    if let Some(file) = manifest.files.iter().find(|file| request.entry.sums.get(&file.path).is_some_and(|sum| sum != file.checksum.hex()))
    {
        progress.set_warning(format!("{} is not the one that the catalogue knows: the release has changed", file.path));
    }
    manifest.write(&model_dir.manifest_file())?;
    let repository = manifest.repository(&request.settings.cache);
    check_disk_space(request, &model_dir, &manifest, &repository)?;
    fetch_all(request, &mut manifest, &repository, remote.as_ref(), (&model_dir, control, progress))?;
    for file in &manifest.files {
        repository.link_into_snapshot(&manifest.commit, &file.path, &file.checksum)?;
    }
    repository.write_ref(&manifest.revision, &manifest.commit)?;
    let snapshot = repository.snapshot(&manifest.commit);
    // Whatever the hub lists: it must be a model that can be loaded.
    drop(Checkpoint::open(&snapshot)?);
    let precision = match request.prepare {
        PreparePrecision::Exactly(precision) => precision,
        PreparePrecision::Auto => choose_precision(&model_dir, &snapshot, &request.paths, progress)?,
    };
    if matches!(precision, Precision::F32 | Precision::Bf16) {
        return Ok(snapshot);
    }
    prepare(&model_dir, (&snapshot, &manifest.commit), precision, control, progress)?;
    match request.originals {
        Originals::Remove => {
            let bytes = remove_originals(&manifest, &repository)?;
            progress.set_note(Some(format!("{} of originals removed", size(bytes))));
        }
        Originals::Keep => link_originals(&model_dir.ready_folder(), &snapshot, &manifest.files),
    }
    Ok(model_dir.ready_folder())
}

/// Whether the prepared folder is what is asked for.
fn satisfies(folder: &Path, prepare: PreparePrecision) -> bool {
    match prepare {
        PreparePrecision::Auto => true,
        PreparePrecision::Exactly(precision) => model::quantised_file(folder, precision).is_some_and(|file| file.is_file()),
    }
}

/// What the model consists of: as the hub says now, or as it said before when it cannot be asked.
fn manifest(
    request: &InstallRequest,
    model_dir: &ModelDir,
    remote: Option<&HubClient>,
    control: &Arc<InstallControl>,
    progress: &InstallProgress,
) -> Result<Manifest, InstallError> {
    let before = model_dir.manifest().filter(|before| before.hub == request.entry.hub.clone().unwrap_or_default());
    let Some(remote) = remote else {
        let why = format!("HF_HUB_OFFLINE is set, and what {} consists of was never asked", request.entry.name);
        return before.ok_or_else(|| Error::new(ErrorKind::Network, why).into());
    };
    let mut failures = 0;
    loop {
        control.wait_while_paused()?;
        let (why, after) = match remote.manifest(&request.entry, control) {
            Ok(mut manifest) => {
                if let Some(before) = before {
                    manifest.checked = before.checked;
                }
                return Ok(manifest);
            }
            Err(RemoteError::Interrupted) => continue,
            Err(RemoteError::Permanent(error)) => return Err(error.into()),
            Err(RemoteError::PastEnd) => ("the hub answers 416".to_owned(), None),
            Err(RemoteError::Transient { why, after }) => (why, after),
        };
        failures += 1;
        // What is here in full needs no hub.
        let is_here = |before: &&Manifest| {
            model_dir.ready_commit().as_deref() == Some(&before.commit)
                || before.bytes_present(&before.repository(&request.settings.cache)) == before.bytes()
        };
        if let Some(before) = before.as_ref().filter(is_here) {
            return Ok(before.clone());
        }
        if failures >= request.settings.retry_limits.attempts {
            let why = format!("the hub {} cannot be asked: {why}, {failures} times in a row", request.settings.address());
            return Err(Error::new(ErrorKind::Network, why).into());
        }
        let wait = super::fetch::pause_before(failures, after, request.settings.retry_limits);
        progress.set_note(Some(format!("{why}; trying again in {:.0} s", wait.as_secs_f64().ceil())));
        control.sleep(wait)?;
        progress.set_note(None);
    }
}

/// Refuses what the disk has no room for, before anything is fetched.
fn check_disk_space(request: &InstallRequest, model_dir: &ModelDir, manifest: &Manifest, repository: &Repository) -> Result<()> {
    let missing = manifest.bytes() - manifest.bytes_present(repository);
    let prepared = if model_dir.ready().is_some() { 0 } else { request.entry.prepared_bytes };
    let (cache, own) = (&request.settings.cache, &request.paths.cache);
    for (folder, bytes, what) in [(cache, missing, "to be downloaded"), (own, prepared, "to be written when it is prepared")] {
        let Some(free) = disk::free_bytes(folder).filter(|_| bytes > 0) else { continue };
        if free < bytes.saturating_add(SPARE_BYTES) {
            let why = format!("the disk has {} free, and {} are {what}", size(free), size(bytes));
            return Err(Error::at(ErrorKind::Output, folder, why));
        }
    }
    Ok(())
}

/// Fetches what is missing, the largest first, some at a time; notes each file that is whole.
fn fetch_all(
    request: &InstallRequest,
    manifest: &mut Manifest,
    repository: &Repository,
    remote: Option<&HubClient>,
    (model_dir, control, progress): (&ModelDir, &Arc<InstallControl>, &InstallProgress),
) -> Result<(), InstallError> {
    progress.begin_step(InstallStep::Fetching, manifest.bytes_present(repository), manifest.bytes());
    let asked = manifest.clone();
    let mut files: Vec<&ManifestFile> = asked.files.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.size));
    let queue = Mutex::new(files.into_iter().collect::<VecDeque<_>>());
    let retry_limits = request.settings.retry_limits;
    let fetcher = Fetcher { remote, manifest: &asked, repository, cache: &request.settings.cache, retry_limits, control, progress };
    let (fetched, noted) = bounded(DONE_QUEUE);
    let mut failed = None;
    thread::scope(|scope| {
        for _ in 0..PARALLEL_FILES {
            let (fetched, queue, fetcher) = (fetched.clone(), &queue, &fetcher);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(file) = next else { return };
                    let outcome = fetcher.fetch(file).map(|()| file);
                    let ended = outcome.is_err();
                    if fetched.send(outcome).is_err() || ended {
                        // Told first, so that the reason is what is reported; then the others need not go on.
                        control.stop();
                        return;
                    }
                }
            });
        }
        drop(fetched);
        for outcome in noted {
            match outcome {
                Ok(file) => {
                    manifest.mark_verified(repository, file);
                    // That it cannot be noted costs another look at the file next time.
                    let _ = manifest.write(&model_dir.manifest_file());
                }
                Err(ended) => {
                    failed.get_or_insert(ended);
                }
            }
        }
    });
    match failed {
        Some(ended) => Err(ended),
        None => Ok(manifest.write(&model_dir.manifest_file())?),
    }
}

/// In what `snapshot` is prepared: what was begun is gone on with; else what suits the machine.
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
    progress.set_precision_reason(suited.reason);
    Ok(suited.precision)
}

/// The file of what was begun in `precision`.
fn partial_weights_file(folder: &Path, precision: Precision) -> Option<PathBuf> {
    model::quantised_file(folder, precision).map(|file| file.with_extension("gguf.partial"))
}

/// Writes the weights of `snapshot`, which is that of `commit`, in `precision` into the model_dir, unless they lie there already.
///
/// # Errors
/// When they cannot be written, or the user stops it: it is gone on with the next time.
pub fn prepare(
    model_dir: &ModelDir,
    (snapshot, commit): (&Path, &str),
    precision: Precision,
    control: &InstallControl,
    progress: &InstallProgress,
) -> Result<(), InstallError> {
    model_dir.create_ready_folder()?;
    let ready = model_dir.ready_folder();
    if model_dir.ready_commit().as_deref() != Some(commit) {
        model_dir.note_unready();
        // What was made of another commit is of no use any more; what a crash left of this one is.
        if !model::is_quantised_from(&ready, precision, snapshot) {
            clear(&ready, precision)?;
        }
    }
    if model::is_quantised_from(&ready, precision, snapshot) {
        return Ok(model_dir.note_ready(commit)?);
    }
    let file = quantise(snapshot, precision, &ready, control, progress)?;
    progress.begin_step(InstallStep::Checking, 0, 0);
    ModelDir::note_sum(&file)?;
    Ok(model_dir.note_ready(commit)?)
}

/// Writes the weights of the checkpoint folder `from` in `precision` into the folder `to`; gives the file.
///
/// # Errors
/// When that is not possible, or the user stops it: it is gone on with the next time.
pub fn quantise(
    from: &Path,
    precision: Precision,
    to: &Path,
    control: &InstallControl,
    progress: &InstallProgress,
) -> Result<PathBuf, InstallError> {
    progress.begin_step(InstallStep::Preparing, 0, 0);
    let written = model::quantise(from, precision, to, |done, all| {
        // Numbers of 16 bits, as the release has them: bytes are what people know.
        progress.set(done * 2, all * 2);
        if control.wait_while_paused().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    written.map_err(|e| if control.wait_while_paused().is_err() { InstallError::Stopped } else { InstallError::Failed(e) })
}

/// Removes what lies directly in `folder`, but for what was begun of `precision`: it is gone on with, if it is of this model.
fn clear(folder: &Path, precision: Precision) -> Result<()> {
    let begun = partial_weights_file(folder, precision);
    let is_begun = |path: &Path| begun.as_ref().is_some_and(|begun| path == begun || path == begun.with_added_extension("safe"));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_begun(&path) {
            continue;
        }
        let removed = if path.is_dir() && !path.is_symlink() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(|e| Error::at(ErrorKind::Output, &path, e))?;
    }
    Ok(())
}

/// Links the originals into the prepared folder, so that the model can be loaded in other precisions from there too. A folder
/// without them is as good for the precision that was prepared.
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
