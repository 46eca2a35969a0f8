//! `hearken model …`: the models page of the window, for terminals and scripts.
//!
//! stdout carries the result, stderr everything else.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::cache::matches_checksum;
use super::catalog::{self, CatalogEntry};
use super::control::{InstallControl, InstallProgress, status_line};
use super::disk;
use super::fetch::InstallError;
use super::find_with;
use super::install::{InstallContext, InstallRequest, PreparePrecision, install, link_originals, prepare};
use super::manager::{card, remove};
use super::model_dir::ModelDir;
use super::settings::HubSettings;
use crate::config::{Consent, DownloadOptions, ModelRequest, Paths, QuantiseOptions, ReportFormat};
use crate::console::{Completion, note, print};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::model::{self, checkpoint::Checkpoint};
use crate::protocol::ModelChoice;
use crate::protocol::models::{ChosenPrecision, InstallStatus, InstallStep, ModelCard, ModelState, size};

/// Time between two updates of the progress line on a terminal.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Time between two lines of progress of the same step, where stderr is no terminal.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Runs `hearken model`: the result goes to stdout, progress and questions to stderr. Returns `Problems` if `verify` finds damaged
/// or missing files, else `Clean`.
///
/// # Errors
/// When the command cannot do its work: an unknown model, licences not accepted, a failed download, a full disk.
pub fn run(request: &ModelRequest, paths: &Paths) -> Result<Completion> {
    let settings = HubSettings::from_environment();
    match request {
        ModelRequest::List(format) => list(*format, paths, &settings)?,
        ModelRequest::Download(options) => download(options, paths, settings)?,
        ModelRequest::Verify(choice) => return verify(choice, paths, &settings),
        ModelRequest::Quantise(options) => quantise(options, paths, &settings)?,
        ModelRequest::Path(choice) => {
            let folder = find_with(choice, paths, &settings)?.folder;
            if !folder.is_dir() {
                return Err(Error::at(ErrorKind::Model, &folder, "there is no such folder").with_remedy(Remedy::CheckPath));
            }
            print_line(folder.display())?;
        }
        ModelRequest::Remove(choice, consent) => remove_model(choice, *consent, paths, &settings)?,
    }
    Ok(Completion::Clean)
}

/// Prints every model of the catalogue with its state on this machine.
fn list(format: ReportFormat, paths: &Paths, settings: &HubSettings) -> Result<()> {
    let cards: Vec<ModelCard> = catalog::all(paths)?.into_iter().map(|entry| card(entry, paths, settings)).collect();
    match format {
        ReportFormat::Json => print_line(serde_json::Value::Array(cards.iter().map(as_json).collect())),
        ReportFormat::Text => cards.iter().try_for_each(|card| {
            print_line(format_args!("{:10} {:24} {}", card.name, state_in_words(card), card.title))?;
            if !card.about.is_empty() {
                print_line(format_args!("{:10} {}", "", card.about))?;
            }
            print_line(format_args!("{:10} {}from {}", "", needs_in_words(card), card.source))
        }),
    }
}

/// Returns what a model needs, as far as the catalogue knows it, for the list.
fn needs_in_words(card: &ModelCard) -> String {
    let needs = [("memory", card.memory_bytes), ("download", card.download_bytes), ("prepared", card.prepared_bytes)];
    let known: Vec<String> =
        needs.into_iter().filter(|(_, bytes)| *bytes > 0).map(|(what, bytes)| format!("{what} {}", size(bytes))).collect();
    if known.is_empty() { String::new() } else { known.join(", ") + "; " }
}

/// Returns the state of a model on this machine in words, for the list.
fn state_in_words(card: &ModelCard) -> String {
    match card.state {
        ModelState::Absent => "not here".into(),
        ModelState::Begun { bytes } => format!("begun, {} here", size(bytes)),
        ModelState::Ready { bytes } => format!("ready, {}", size(bytes)),
    }
}

/// Returns a model of the list as JSON.
fn as_json(card: &ModelCard) -> serde_json::Value {
    let (state, bytes) = match card.state {
        ModelState::Absent => ("absent", 0),
        ModelState::Begun { bytes } => ("begun", bytes),
        ModelState::Ready { bytes } => ("ready", bytes),
    };
    let licences: Vec<_> =
        card.licences.iter().map(|l| serde_json::json!({"name": l.name, "summary": l.summary, "text": l.text})).collect();
    serde_json::json!({
        "name": card.name, "title": card.title, "about": card.about, "can": card.can, "state": state, "bytes": bytes,
        "source": card.source, "download_bytes": card.download_bytes, "prepared_bytes": card.prepared_bytes,
        "memory_bytes": card.memory_bytes, "licences": licences,
    })
}

/// Finds the catalogue entry of `choice`.
///
/// # Errors
/// `Arguments`, naming the models of the catalogue, for a folder or an unknown name.
fn catalog_entry(choice: &ModelChoice, paths: &Paths) -> Result<CatalogEntry> {
    match catalog::resolve(choice, paths)? {
        Some(entry) => Ok(entry),
        None => {
            let typed = if let ModelChoice::Dir(folder) = choice { folder.display().to_string() } else { String::new() };
            let names: Vec<String> = catalog::all(paths)?.into_iter().map(|entry| entry.name).collect();
            let why = format!("{typed} is not in the catalogue, which has {}; a model of the hub is named OWNER/NAME", names.join(", "));
            Err(Error::new(ErrorKind::Arguments, why))
        }
    }
}

/// Downloads and prepares a model, after its licences are accepted, and prints the folder that it is loaded from.
fn download(options: &DownloadOptions, paths: &Paths, settings: HubSettings) -> Result<()> {
    let mut entry = catalog_entry(&options.model, paths)?;
    if entry.hub.is_none() {
        print_note(format_args!("{} needs no download", entry.name));
        return print_line(find_with(&options.model, paths, &settings)?.folder.display());
    }
    if let Some(revision) = &options.revision {
        entry.revision.clone_from(revision);
    }
    accept(&entry, &ModelDir::of(&entry, paths), options.consent)?;
    if let Some(memory) = disk::memory_bytes().filter(|memory| *memory < entry.memory_bytes) {
        print_note(format_args!(
            "this machine has {} of memory, and {} needs {}: it will be slow or not run",
            size(memory),
            entry.name,
            size(entry.memory_bytes)
        ));
    }
    let prepare = options.precision.map_or(PreparePrecision::Auto, PreparePrecision::Exactly);
    let request = InstallRequest { entry, settings, paths: paths.clone(), prepare, originals: options.originals };
    let (control, progress) = (Arc::new(InstallControl::default()), InstallProgress::default());
    let outcome = run_with_progress(&control, &progress, || install(&request, &control, &progress));
    match outcome {
        Ok(folder) => print_line(folder.display()),
        Err(InstallError::Failed(error)) => Err(error),
        Err(InstallError::Stopped) => Err(Error::new(ErrorKind::Network, "the download was stopped; downloaded bytes are kept")),
    }
}

/// Shows the licences of `entry` on stderr, asks for consent unless it was given on the command line, and records the consent. Does nothing
/// if the user accepted exactly these licences before.
///
/// # Errors
/// When the user does not accept them, or the consent cannot be recorded.
fn accept(entry: &CatalogEntry, model_dir: &ModelDir, consent: Consent) -> Result<()> {
    if model_dir.is_accepted(&entry.licences) {
        return Ok(());
    }
    print_note(format_args!("{} comes under {}:", entry.title, if entry.licences.len() == 1 { "this licence" } else { "these licences" }));
    for licence in &entry.licences {
        print_note(format_args!("  * {}: {}\n    Full text: {}", licence.name, licence.summary, licence.text));
    }
    if consent == Consent::Ask && !confirm("Do you accept them? [y/N] ")? {
        let why = "the licences were not accepted, so nothing was downloaded; --accept-licence accepts them";
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    model_dir.record_acceptance(&entry.licences)
}

/// Asks `question` on the terminal and returns true for yes, false for any other answer or without a terminal.
fn confirm(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut stderr = io::stderr();
    // A user who cannot see the question cannot answer it.
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|e| Error::new(ErrorKind::Arguments, format!("the answer cannot be read: {e}")))?;
    Ok(["y", "yes", "j", "ja", "是"].contains(&line.trim().to_lowercase().as_str()))
}

/// Runs `work` on another thread, shows `progress` on stderr until it ends, and returns its result.
fn run_with_progress<T: Send>(
    control: &InstallControl,
    progress: &InstallProgress,
    work: impl FnOnce() -> Result<T, InstallError> + Send,
) -> Result<T, InstallError> {
    thread::scope(|scope| {
        let worker = scope.spawn(work);
        let mut printer = ProgressPrinter::new();
        while !worker.is_finished() {
            printer.show(&progress.status(control));
            thread::sleep(POLL_INTERVAL);
        }
        printer.finish(&progress.status(control));
        worker.join().unwrap_or_else(|_| Err(InstallError::Failed(Error::internal("the work came to an unexpected end"))))
    })
}

/// The printer of an installation's progress on stderr: one line that is overwritten on a terminal, elsewhere a line for each step and
/// every 10 s; and once the precision of the prepared weights with its reason.
struct ProgressPrinter {
    /// True if stderr is a terminal, where the line is overwritten.
    moves: bool,
    /// Line printed last.
    last: String,
    /// Step of the line printed last.
    step: Option<InstallStep>,
    /// Time of the line printed last; None before the first line, and to print at once.
    at: Option<Instant>,
    /// The precision that has been printed, with its reason.
    chosen: Option<ChosenPrecision>,
}

impl ProgressPrinter {
    fn new() -> Self {
        Self { moves: io::stderr().is_terminal(), last: String::new(), step: None, at: None, chosen: None }
    }

    /// Prints the progress if it has changed; where stderr is no terminal, only if the step has changed or 10 s are over.
    fn show(&mut self, work: &InstallStatus) {
        if self.chosen != work.chosen {
            self.chosen.clone_from(&work.chosen);
            print_note(format_args!(
                "{}preparing in {}",
                if self.moves { "\r\x1b[K" } else { "" },
                work.chosen.as_ref().map_or("", |chosen| &chosen.reason)
            ));
        }
        let text = status_line(work);
        let due = self.moves || self.step != Some(work.step) || self.at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL);
        if text == self.last || !due {
            return;
        }
        let mut stderr = io::stderr();
        // stderr may be closed.
        let _ = if self.moves { write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush()) } else { writeln!(stderr, "{text}") };
        (self.last, self.step, self.at) = (text, Some(work.step), Some(Instant::now()));
    }

    /// Prints the final progress and, on a terminal, ends the line.
    fn finish(&mut self, work: &InstallStatus) {
        self.at = None;
        self.show(work);
        if self.moves {
            let _ = writeln!(io::stderr());
        }
    }
}

/// Compares the files of the model `choice` with their checksums and prints a line for each; removes damaged prepared weights. For a
/// folder, checks only that its tensors are complete. Returns `Problems` if a file is damaged or missing.
fn verify(choice: &ModelChoice, paths: &Paths, settings: &HubSettings) -> Result<Completion> {
    let entry = catalog::resolve(choice, paths)?;
    let Some(entry) = entry.filter(|entry| entry.hub.is_some()) else {
        let found = find_with(choice, paths, settings)?;
        return verify_folder(&found.folder);
    };
    let model_dir = ModelDir::of(&entry, paths);
    let mut manifest = model_dir
        .manifest()
        .ok_or_else(|| Error::new(ErrorKind::Model, format!("the model {} is not here", entry.name)).with_remedy(Remedy::DownloadModel))?;
    let repository = manifest.repository(&settings.cache);
    let prepared = model_dir.ready();
    let mut damaged = prepared.as_deref().map_or(Ok(false), verify_prepared)?;
    for file in &manifest.files.clone() {
        let blob = repository.blob(&file.checksum);
        let state = match matches_checksum(&blob, &file.checksum, |_| true) {
            Ok(true) => "whole",
            Ok(false) => "damaged",
            Err(_) if prepared.is_some() => "not kept",
            Err(_) => "missing",
        };
        print_line(format_args!("{state:9} {}", file.path))?;
        if state == "whole" {
            manifest.mark_verified(&repository, file);
        } else {
            manifest.checked.remove(file.checksum.hex());
        }
        damaged |= state == "damaged" || state == "missing";
    }
    // Without the mark, the next download verifies again.
    let _ = manifest.write(&model_dir.manifest_file());
    if damaged {
        print_note(format_args!("`hearken model download {}` repairs it and downloads only damaged files", entry.name));
        return Ok(Completion::Problems);
    }
    Ok(Completion::Clean)
}

/// Compares the prepared weights in `folder` with their checksums, prints a line for each and removes damaged ones; returns true if
/// any were damaged.
fn verify_prepared(folder: &Path) -> Result<bool> {
    let mut damaged = false;
    for file in model::quantised_files(folder) {
        let whole = ModelDir::prepared_is_intact(&file);
        print_line(format_args!("{:9} {}", if whole { "whole" } else { "damaged" }, file.display()))?;
        if !whole {
            damaged = true;
            std::fs::remove_file(&file).map_err(|e| Error::cannot_write(&file, &e))?;
        }
    }
    Ok(damaged)
}

/// Checks a model folder without checksums: every tensor that its configuration implies must be there in full, else an error.
fn verify_folder(folder: &Path) -> Result<Completion> {
    let shapes = Checkpoint::open(folder)?.shapes()?;
    print_line(format_args!("{:9} {} ({} tensors)", "whole", folder.display(), shapes.len()))?;
    Ok(Completion::Clean)
}

/// Writes the weights of a model in 8 or 4 bits and prints the path of the file: for a downloaded model among its prepared weights,
/// else in `--out` or the model's folder.
fn quantise(options: &QuantiseOptions, paths: &Paths, settings: &HubSettings) -> Result<()> {
    let (control, progress) = (Arc::new(InstallControl::default()), InstallProgress::default());
    // The first step: all files are here already.
    progress.begin_step(InstallStep::Preparing, 0, 0);
    let entry = catalog::resolve(&options.model, paths)?.filter(|entry| entry.hub.is_some() && options.out.is_none());
    let begun = Instant::now();
    let file = match entry {
        Some(entry) => {
            let model_dir = ModelDir::of(&entry, paths);
            let complete = model_dir.manifest().filter(|manifest| manifest.is_complete(&manifest.repository(&settings.cache)));
            let Some(manifest) = complete else {
                let why = format!("the files of {} are not here in full", entry.name);
                return Err(Error::new(ErrorKind::Model, why).with_remedy(Remedy::DownloadModel));
            };
            let snapshot = manifest.repository(&settings.cache).snapshot(&manifest.commit);
            let context = InstallContext { model_dir: &model_dir, control: &control, progress: &progress };
            let work = || prepare(context, &snapshot, &manifest.commit, options.precision);
            run_with_progress(&control, &progress, work).map_err(failure)?;
            link_originals(&model_dir.ready_folder(), &snapshot, &manifest.files);
            model::quantised_file(&model_dir.ready_folder(), options.precision).unwrap_or_default()
        }
        None => {
            let found = find_with(&options.model, paths, settings)?;
            let out = options.out.as_ref().unwrap_or(&found.folder);
            let work = || super::install::quantise(&found.folder, options.precision, out, &control, &progress);
            run_with_progress(&control, &progress, work).map_err(failure)?
        }
    };
    let bytes = std::fs::metadata(&file).map_or(0, |m| m.len());
    print_note(format_args!("{} in {:.1} s", size(bytes), begun.elapsed().as_secs_f64()));
    print_line(file.display())
}

/// Returns the error of an installation that failed or was stopped.
fn failure(error: InstallError) -> Error {
    match error {
        InstallError::Failed(error) => error,
        InstallError::Stopped => Error::new(ErrorKind::Output, "stopped"),
    }
}

/// Removes the files of a downloaded model, after a confirmation unless `consent` is given.
fn remove_model(choice: &ModelChoice, consent: Consent, paths: &Paths, settings: &HubSettings) -> Result<()> {
    let entry = catalog_entry(choice, paths)?;
    if consent == Consent::Ask && !confirm(&format!("Remove {} from this machine? [y/N] ", entry.name))? {
        return Err(Error::new(ErrorKind::Arguments, "nothing was removed; --yes removes without asking"));
    }
    let bytes = remove(&entry, paths, settings)?;
    print_note(format_args!("{} removed, {} freed", entry.name, size(bytes)));
    Ok(())
}

/// Prints a line on stderr; a failure is ignored.
fn print_note(what: impl std::fmt::Display) {
    note(&mut io::stderr(), what);
}

/// Prints a line of the result on stdout.
fn print_line(what: impl std::fmt::Display) -> Result<()> {
    print(&mut io::stdout(), what)
}
