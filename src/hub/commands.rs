//! `hearken model …`: the same as the window's page, for a terminal and for scripts.
//!
//! stdout carries the answer, stderr everything that is said on the way.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::cache::is_whole;
use super::catalog::{self, Entry};
use super::control::{Board, Control, line};
use super::disk;
use super::fetch::Ended;
use super::find_with;
use super::home::Home;
use super::obtain::{Order, Prepare, link_originals, obtain, prepare};
use super::settings::HubSettings;
use super::shelf::{card, remove};
use crate::config::{Consent, DownloadOptions, ModelRequest, Paths, QuantiseOptions, ReportFormat};
use crate::console::{Completion, print};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::model::{self, checkpoint::Checkpoint};
use crate::protocol::ModelChoice;
use crate::protocol::models::{InstallStatus, InstallStep, ModelCard, ModelState, size};

/// How often the progress on a terminal moves, and how often a line is written where nobody watches.
const LOOK: Duration = Duration::from_millis(100);
const UNWATCHED: Duration = Duration::from_secs(10);

/// Does what `hearken model` was asked for.
///
/// # Errors
/// When it cannot be done.
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
            answer(folder.display())?;
        }
        ModelRequest::Remove(choice, consent) => take_away(choice, *consent, paths, &settings)?,
    }
    Ok(Completion::Clean)
}

fn list(format: ReportFormat, paths: &Paths, settings: &HubSettings) -> Result<()> {
    let cards: Vec<ModelCard> = catalog::all(paths)?.into_iter().map(|entry| card(entry, paths, settings)).collect();
    match format {
        ReportFormat::Json => answer(serde_json::Value::Array(cards.iter().map(as_json).collect())),
        ReportFormat::Text => cards.iter().try_for_each(|card| {
            answer(format_args!("{:10} {:24} {}", card.name, state_in_words(card), card.title))?;
            answer(format_args!("{:10} {}", "", card.about))?;
            let mut needs = format!("memory {}", size(card.memory_bytes));
            if card.download_bytes > 0 {
                needs += &format!(", download {}, prepared {}", size(card.download_bytes), size(card.prepared_bytes));
            }
            answer(format_args!("{:10} {needs}; from {}", "", card.source))
        }),
    }
}

fn state_in_words(card: &ModelCard) -> String {
    match card.state {
        ModelState::Absent => "not here".into(),
        ModelState::Begun { bytes } => format!("begun, {} here", size(bytes)),
        ModelState::Ready { bytes } => format!("ready, {}", size(bytes)),
    }
}

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

/// The entry that `choice` names.
fn known(choice: &ModelChoice, paths: &Paths) -> Result<Entry> {
    match catalog::resolve(choice, paths)? {
        Some(entry) => Ok(entry),
        None => {
            let typed = if let ModelChoice::Dir(folder) = choice { folder.display().to_string() } else { String::new() };
            let names: Vec<String> = catalog::all(paths)?.into_iter().map(|entry| entry.name).collect();
            let why = format!("{typed} is no model of the catalogue; there are: {}, and OWNER/NAME of the hub", names.join(", "));
            Err(Error::new(ErrorKind::Arguments, why))
        }
    }
}

fn download(options: &DownloadOptions, paths: &Paths, settings: HubSettings) -> Result<()> {
    let mut entry = known(&options.model, paths)?;
    if entry.hub.is_none() {
        say(format_args!("{} needs no download", entry.name));
        return answer(find_with(&options.model, paths, &settings)?.folder.display());
    }
    if let Some(revision) = &options.revision {
        entry.revision.clone_from(revision);
    }
    accept(&entry, &Home::of(&entry, paths), options.consent)?;
    if let Some(memory) = disk::memory_bytes().filter(|memory| *memory < entry.memory_bytes) {
        say(format_args!(
            "this machine has {} of memory, and {} takes {}: it will be slow, or not run",
            size(memory),
            entry.name,
            size(entry.memory_bytes)
        ));
    }
    let prepare = options.precision.map_or(Prepare::Suitable, Prepare::As);
    let order = Order { entry, settings, paths: paths.clone(), prepare, originals: options.originals };
    let (control, board) = (Arc::new(Control::default()), Board::default());
    let outcome = watched(&control, &board, || obtain(&order, &control, &board));
    match outcome {
        Ok(folder) => answer(folder.display()),
        Err(Ended::Failed(error)) => Err(error),
        Err(Ended::Stopped) => Err(Error::new(ErrorKind::Network, "the download was stopped; what was fetched is kept")),
    }
}

/// Shows the terms, and asks unless the user has accepted them already.
fn accept(entry: &Entry, home: &Home, consent: Consent) -> Result<()> {
    if home.is_accepted(&entry.licences) {
        return Ok(());
    }
    say(format_args!("{} comes under {}:", entry.title, if entry.licences.len() == 1 { "this licence" } else { "these licences" }));
    for licence in &entry.licences {
        say(format_args!("  * {}: {}\n    The text that counts: {}", licence.name, licence.summary, licence.text));
    }
    if consent == Consent::Ask && !asked("Do you accept them? [y/N] ")? {
        let why = "the licences were not accepted, so nothing was downloaded; --accept-licence accepts them";
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    home.note_accepted(&entry.licences)
}

/// Asks on the terminal; where there is none, the answer is no.
fn asked(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut stderr = io::stderr();
    // Whoever cannot read the question cannot answer it either.
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|e| Error::new(ErrorKind::Arguments, format!("no answer can be read: {e}")))?;
    Ok(["y", "yes", "j", "ja", "是"].contains(&line.trim().to_lowercase().as_str()))
}

/// Does `work` on a thread of its own and shows how far it is.
fn watched<T: Send>(control: &Control, board: &Board, work: impl FnOnce() -> Result<T, Ended> + Send) -> Result<T, Ended> {
    thread::scope(|scope| {
        let working = scope.spawn(work);
        let mut shown = Shown::new();
        while !working.is_finished() {
            shown.show(&board.read(control));
            thread::sleep(LOOK);
        }
        shown.finish(&board.read(control));
        working.join().unwrap_or_else(|_| Err(Ended::Failed(Error::internal("the work came to an unexpected end"))))
    })
}

/// Progress on stderr: one line that moves on a terminal, a line now and then elsewhere; and once, in what the weights are
/// prepared and why.
struct Shown {
    moves: bool,
    last: String,
    chosen: Option<String>,
    at: Option<Instant>,
}

impl Shown {
    fn new() -> Self {
        Self { moves: io::stderr().is_terminal(), last: String::new(), chosen: None, at: None }
    }

    fn show(&mut self, work: &InstallStatus) {
        if self.chosen != work.chosen {
            self.chosen.clone_from(&work.chosen);
            say(format_args!("{}preparing in {}", if self.moves { "\r\x1b[K" } else { "" }, work.chosen.as_deref().unwrap_or_default()));
        }
        let text = line(work);
        let step = |text: &str| text.split("  ").next().map(str::to_owned);
        let due = self.moves || step(&text) != step(&self.last) || self.at.is_none_or(|at| at.elapsed() >= UNWATCHED);
        if text == self.last || !due {
            return;
        }
        let mut stderr = io::stderr();
        // Nobody may be there to read it.
        let _ = if self.moves { write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush()) } else { writeln!(stderr, "{text}") };
        (self.last, self.at) = (text, Some(Instant::now()));
    }

    fn finish(&mut self, work: &InstallStatus) {
        self.at = None;
        self.show(work);
        if self.moves {
            let _ = writeln!(io::stderr());
        }
    }
}

fn verify(choice: &ModelChoice, paths: &Paths, settings: &HubSettings) -> Result<Completion> {
    let entry = catalog::resolve(choice, paths)?;
    let Some(entry) = entry.filter(|entry| entry.hub.is_some()) else {
        let found = find_with(choice, paths, settings)?;
        return verify_folder(&found.folder);
    };
    let home = Home::of(&entry, paths);
    let mut listing = home
        .listing()
        .ok_or_else(|| Error::new(ErrorKind::Model, format!("the model {} is not here", entry.name)).with_remedy(Remedy::DownloadModel))?;
    let repository = listing.repository(&settings.cache);
    let prepared = home.ready();
    let mut damaged = prepared.as_deref().map_or(Ok(false), verify_prepared)?;
    for file in &listing.files.clone() {
        let blob = repository.blob(&file.checksum);
        let state = match is_whole(&blob, &file.checksum, |_| true) {
            Ok(true) => "whole",
            Ok(false) => "damaged",
            Err(_) if prepared.is_some() => "not kept",
            Err(_) => "missing",
        };
        answer(format_args!("{state:9} {}", file.path))?;
        if state == "whole" {
            listing.note_checked(&repository, file);
        } else {
            listing.checked.remove(file.checksum.hex());
        }
        damaged |= state == "damaged" || state == "missing";
    }
    // That it cannot be noted makes the next download look again.
    let _ = listing.write(&home.listing_file());
    if damaged {
        say(format_args!("`hearken model download {}` mends it, and fetches nothing that is whole", entry.name));
        return Ok(Completion::Problems);
    }
    Ok(Completion::Clean)
}

/// Whether something is wrong with the prepared weights; weights that are damaged are put away.
fn verify_prepared(folder: &Path) -> Result<bool> {
    let mut damaged = false;
    for file in model::quantised_files(folder) {
        let whole = Home::prepared_is_whole(&file);
        answer(format_args!("{:9} {}", if whole { "whole" } else { "damaged" }, file.display()))?;
        if !whole {
            damaged = true;
            std::fs::remove_file(&file).map_err(|e| Error::cannot_write(&file, &e))?;
        }
    }
    Ok(damaged)
}

/// A folder has no checksums: it is whole when every tensor that its configuration implies is there in full.
fn verify_folder(folder: &Path) -> Result<Completion> {
    let shapes = Checkpoint::open(folder)?.shapes()?;
    answer(format_args!("{:9} {} ({} tensors)", "whole", folder.display(), shapes.len()))?;
    Ok(Completion::Clean)
}

fn quantise(options: &QuantiseOptions, paths: &Paths, settings: &HubSettings) -> Result<()> {
    let control = Control::default();
    let board = Board::default();
    // Nobody is asked: everything is here.
    board.begin(InstallStep::Preparing, 0, 0);
    let entry = catalog::resolve(&options.model, paths)?.filter(|entry| entry.hub.is_some() && options.out.is_none());
    let begun = Instant::now();
    let file = match entry {
        Some(entry) => {
            let home = Home::of(&entry, paths);
            let complete = home.listing().filter(|listing| listing.is_complete(&listing.repository(&settings.cache)));
            let Some(listing) = complete else {
                let why = format!("the files of {} are not here in full", entry.name);
                return Err(Error::new(ErrorKind::Model, why).with_remedy(Remedy::DownloadModel));
            };
            let snapshot = listing.repository(&settings.cache).snapshot(&listing.commit);
            watched(&control, &board, || prepare(&home, (&snapshot, &listing.commit), options.precision, &control, &board))
                .map_err(failure)?;
            link_originals(&home.ready_folder(), &snapshot, &listing.files);
            model::quantised_file(&home.ready_folder(), options.precision).unwrap_or_default()
        }
        None => {
            let found = find_with(&options.model, paths, settings)?;
            let out = options.out.as_ref().unwrap_or(&found.folder);
            let work = || super::obtain::quantise(&found.folder, options.precision, out, &control, &board);
            watched(&control, &board, work).map_err(failure)?
        }
    };
    let bytes = std::fs::metadata(&file).map_or(0, |m| m.len());
    say(format_args!("{} in {:.1} s", size(bytes), begun.elapsed().as_secs_f64()));
    answer(file.display())
}

fn failure(ended: Ended) -> Error {
    match ended {
        Ended::Failed(error) => error,
        Ended::Stopped => Error::new(ErrorKind::Output, "stopped"),
    }
}

fn take_away(choice: &ModelChoice, consent: Consent, paths: &Paths, settings: &HubSettings) -> Result<()> {
    let entry = known(choice, paths)?;
    if consent == Consent::Ask && !asked(&format!("Remove {} from this machine? [y/N] ", entry.name))? {
        return Err(Error::new(ErrorKind::Arguments, "nothing was removed; --yes removes without asking"));
    }
    let bytes = remove(&entry, paths, settings)?;
    say(format_args!("{} removed, {} freed", entry.name, size(bytes)));
    Ok(())
}

/// Says something on stderr.
fn say(what: impl std::fmt::Display) {
    // Nobody may be there to read it.
    let _ = writeln!(io::stderr(), "{what}");
}

/// Prints a line of the answer.
fn answer(what: impl std::fmt::Display) -> Result<()> {
    print(&mut io::stdout(), what)
}
