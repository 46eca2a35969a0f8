//! Getting a model: ask what it consists of, fetch what is missing, check everything, make it ready.
//!
//! Every step can be stopped and is taken up again where it was. Not responsible for asking the user anything.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::bounded;

use super::Entry;
use super::cache::{Repository, link_to};
use super::control::{Board, Control};
use super::disk;
use super::fetch::{Ended, Fetch};
use super::home::{Home, remove_originals};
use super::listing::{Listing, Wanted};
use super::remote::{Fault, Remote};
use super::settings::{HubSettings, Line};
use crate::config::{Originals, Paths, Precision};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::model::{self, checkpoint::Checkpoint, precision_choice, precision_choice::MachineResources};
use crate::protocol::models::{InstallStep, size};

/// Files that are fetched at a time: one connection rarely fills a line, and many more help nobody.
const AT_A_TIME: usize = 4;
/// Files that have been fetched and wait to be noted; each is one short message.
const FETCHED: usize = 64;
/// Room that is left on a disk, so that the rest of the system lives.
const SPARE_BYTES: u64 = 200_000_000;

/// In what numbers the weights are prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepare {
    /// What suits model and machine.
    Suitable,
    /// This.
    As(Precision),
}

/// What is to be got, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// The model.
    pub entry: Entry,
    /// Where it comes from.
    pub settings: HubSettings,
    /// Where Hearken keeps its own.
    pub paths: Paths,
    /// How it is prepared.
    pub prepare: Prepare,
    /// What becomes of the originals.
    pub originals: Originals,
}

/// Gets what is ordered, and gives the folder that it can be loaded from.
///
/// # Errors
/// When it cannot be had, or the user stops it. Everything that was fetched is kept.
pub fn obtain(order: &Order, control: &Arc<Control>, board: &Board) -> Result<PathBuf, Ended> {
    let home = Home::of(&order.entry, &order.paths);
    let remote = match order.settings.line {
        Line::Open => Some(Remote::new(&order.settings)?),
        Line::Offline => None,
    };
    board.begin(InstallStep::Asking, 0, 0);
    let mut listing = listing(order, &home, remote.as_ref(), control, board)?;
    if home.ready_commit().as_deref() == Some(&listing.commit)
        && let Some(folder) = home.ready().filter(|folder| serves(folder, order.prepare))
    {
        return Ok(folder);
    }
    if let Some(file) = listing.files.iter().find(|file| order.entry.sums.get(&file.path).is_some_and(|sum| sum != file.checksum.hex())) {
        board.warn(format!("{} is not the one that the catalogue knows: the release has changed", file.path));
    }
    listing.write(&home.listing_file())?;
    let repository = listing.repository(&order.settings.cache);
    check_room(order, &home, &listing, &repository)?;
    fetch_all(order, &mut listing, &repository, remote.as_ref(), (&home, control, board))?;
    for file in &listing.files {
        repository.link(&listing.commit, &file.path, &file.checksum)?;
    }
    repository.note_revision(&listing.revision, &listing.commit)?;
    let snapshot = repository.snapshot(&listing.commit);
    // Whatever the hub lists: it must be a model that can be loaded.
    drop(Checkpoint::open(&snapshot)?);
    let precision = match order.prepare {
        Prepare::As(precision) => precision,
        Prepare::Suitable => choose(&home, &snapshot, &order.paths, board)?,
    };
    if matches!(precision, Precision::F32 | Precision::Bf16) {
        return Ok(snapshot);
    }
    prepare(&home, (&snapshot, &listing.commit), precision, control, board)?;
    match order.originals {
        Originals::Remove => {
            let bytes = remove_originals(&listing, &repository)?;
            board.note(Some(format!("{} of originals removed", size(bytes))));
        }
        Originals::Keep => link_originals(&home.ready_folder(), &snapshot, &listing.files),
    }
    Ok(home.ready_folder())
}

/// Whether the prepared folder is what is asked for.
fn serves(folder: &Path, prepare: Prepare) -> bool {
    match prepare {
        Prepare::Suitable => true,
        Prepare::As(precision) => model::quantised_file(folder, precision).is_some_and(|file| file.is_file()),
    }
}

/// What the model consists of: as the hub says now, or as it said before when it cannot be asked.
fn listing(order: &Order, home: &Home, remote: Option<&Remote>, control: &Arc<Control>, board: &Board) -> Result<Listing, Ended> {
    let before = home.listing().filter(|before| before.hub == order.entry.hub.clone().unwrap_or_default());
    let Some(remote) = remote else {
        let why = format!("HF_HUB_OFFLINE is set, and what {} consists of was never asked", order.entry.name);
        return before.ok_or_else(|| Error::new(ErrorKind::Network, why).with_remedy(Remedy::GoOnline).into());
    };
    let mut failures = 0;
    loop {
        control.pass()?;
        let (why, after) = match remote.listing(&order.entry, control) {
            Ok(mut listing) => {
                if let Some(before) = before {
                    listing.checked = before.checked;
                }
                return Ok(listing);
            }
            Err(Fault::Interrupted) => continue,
            Err(Fault::Final(error)) => return Err(error.into()),
            Err(Fault::BeyondEnd) => ("the hub answers 416".to_owned(), None),
            Err(Fault::Passing { why, after }) => (why, after),
        };
        failures += 1;
        // What is here in full needs no hub.
        let is_here = |before: &&Listing| {
            home.ready_commit().as_deref() == Some(&before.commit)
                || before.bytes_here(&before.repository(&order.settings.cache)) == before.bytes()
        };
        if let Some(before) = before.as_ref().filter(is_here) {
            return Ok(before.clone());
        }
        if failures >= order.settings.patience.attempts {
            let why = format!("the hub {} cannot be asked: {why}, {failures} times in a row", order.settings.address());
            return Err(Error::new(ErrorKind::Network, why).with_remedy(Remedy::CheckConnection).into());
        }
        let wait = super::fetch::pause_before(failures, after, order.settings.patience);
        board.note(Some(format!("{why}; trying again in {:.0} s", wait.as_secs_f64().ceil())));
        control.sleep(wait)?;
        board.note(None);
    }
}

/// Refuses what the disk has no room for, before anything is fetched.
fn check_room(order: &Order, home: &Home, listing: &Listing, repository: &Repository) -> Result<()> {
    let missing = listing.bytes() - listing.bytes_here(repository);
    let prepared = if home.ready().is_some() { 0 } else { order.entry.prepared_bytes };
    let (cache, own) = (&order.settings.cache, &order.paths.cache);
    for (folder, bytes, what) in [(cache, missing, "to be downloaded"), (own, prepared, "to be written when it is prepared")] {
        let Some(free) = disk::free_bytes(folder).filter(|_| bytes > 0) else { continue };
        if free < bytes.saturating_add(SPARE_BYTES) {
            let why = format!("the disk has {} free, and {} are {what}", size(free), size(bytes));
            return Err(Error::at(ErrorKind::Output, folder, why).with_remedy(Remedy::FreeDisk));
        }
    }
    Ok(())
}

/// Fetches what is missing, the largest first, some at a time; notes each file that is whole.
fn fetch_all(
    order: &Order,
    listing: &mut Listing,
    repository: &Repository,
    remote: Option<&Remote>,
    (home, control, board): (&Home, &Arc<Control>, &Board),
) -> Result<(), Ended> {
    board.begin(InstallStep::Fetching, listing.bytes_here(repository), listing.bytes());
    let asked = listing.clone();
    let mut files: Vec<&Wanted> = asked.files.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.size));
    let queue = Mutex::new(files.into_iter().collect::<VecDeque<_>>());
    let patience = order.settings.patience;
    let fetch = Fetch { remote, listing: &asked, repository, cache: &order.settings.cache, patience, control, board };
    let (fetched, noted) = bounded(FETCHED);
    let mut failed = None;
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            let (fetched, queue, fetch) = (fetched.clone(), &queue, &fetch);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(file) = next else { return };
                    let outcome = fetch.run(file).map(|()| file);
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
                    listing.note_checked(repository, file);
                    // That it cannot be noted costs another look at the file next time.
                    let _ = listing.write(&home.listing_file());
                }
                Err(ended) => {
                    failed.get_or_insert(ended);
                }
            }
        }
    });
    match failed {
        Some(ended) => Err(ended),
        None => Ok(listing.write(&home.listing_file())?),
    }
}

/// In what `snapshot` is prepared: what was begun is gone on with; else what suits the machine.
fn choose(home: &Home, snapshot: &Path, paths: &Paths, board: &Board) -> Result<Precision> {
    let ready = home.ready_folder();
    let is_begun = |precision: &Precision| begun_file(&ready, *precision).is_some_and(|file| file.is_file());
    let known = |precision: &Precision| is_begun(precision) || model::is_quantised_from(&ready, *precision, snapshot);
    if let Some(precision) = [Precision::Q8, Precision::Q4].into_iter().find(known) {
        return Ok(precision);
    }
    board.begin(InstallStep::Checking, 0, 0);
    let disk = disk::free_bytes(&paths.cache).map(|free| free.saturating_sub(SPARE_BYTES));
    let suited = precision_choice::choose_precision(snapshot, MachineResources { memory: disk::memory_bytes(), disk })?;
    board.chose(suited.reason);
    Ok(suited.precision)
}

/// The file of what was begun in `precision`.
fn begun_file(folder: &Path, precision: Precision) -> Option<PathBuf> {
    model::quantised_file(folder, precision).map(|file| file.with_extension("gguf.partial"))
}

/// Writes the weights of `snapshot`, which is that of `commit`, in `precision` into the home, unless they lie there already.
///
/// # Errors
/// When they cannot be written, or the user stops it: it is gone on with the next time.
pub fn prepare(
    home: &Home,
    (snapshot, commit): (&Path, &str),
    precision: Precision,
    control: &Control,
    board: &Board,
) -> Result<(), Ended> {
    home.make()?;
    let ready = home.ready_folder();
    if home.ready_commit().as_deref() != Some(commit) {
        home.note_unready();
        // What was made of another commit is of no use any more; what a crash left of this one is.
        if !model::is_quantised_from(&ready, precision, snapshot) {
            clear(&ready, precision)?;
        }
    }
    if model::is_quantised_from(&ready, precision, snapshot) {
        return Ok(home.note_ready(commit)?);
    }
    let file = quantise(snapshot, precision, &ready, control, board)?;
    board.begin(InstallStep::Checking, 0, 0);
    Home::note_sum(&file)?;
    Ok(home.note_ready(commit)?)
}

/// Writes the weights of the checkpoint folder `from` in `precision` into the folder `to`; gives the file.
///
/// # Errors
/// When that is not possible, or the user stops it: it is gone on with the next time.
pub fn quantise(from: &Path, precision: Precision, to: &Path, control: &Control, board: &Board) -> Result<PathBuf, Ended> {
    board.begin(InstallStep::Preparing, 0, 0);
    let written = model::quantise(from, precision, to, |done, all| {
        // Numbers of 16 bits, as the release has them: bytes are what people know.
        board.set(done * 2, all * 2);
        if control.pass().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    written.map_err(|e| if control.pass().is_err() { Ended::Stopped } else { Ended::Failed(e) })
}

/// Removes what lies directly in `folder`, but for what was begun of `precision`: it is gone on with, if it is of this model.
fn clear(folder: &Path, precision: Precision) -> Result<()> {
    let begun = begun_file(folder, precision);
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

/// Links the originals into the prepared folder, so that the model can be loaded in other precisions from there too. A folder
/// without them is as good for the precision that was prepared.
pub(super) fn link_originals(ready: &Path, snapshot: &Path, files: &[Wanted]) {
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
