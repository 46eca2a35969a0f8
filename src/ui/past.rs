//! The thread that asks the history, so that the window never waits for the disk. It opens the database for each question:
//! whoever replaces or repairs it in between is not in its way.
//!
//! Not responsible for keeping anything, nor for how it is painted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::Existing;
use crate::config::clock::local_offset_secs;
use crate::config::paths::write_document;
use crate::error::{Error, Result};
use crate::export::{Form, document};
use crate::history::{Found, Opened, Session, Store};
use crate::time::StreamTime;
use crate::time::wall::{WallClock, date_and_time, time_of_day};
use crate::transcript::Transcript;

/// Questions that may wait: more than a person asks while one is answered. What does not fit is not asked, and typing on
/// or clicking again asks anew.
const QUESTIONS: usize = 64;

/// What the window asks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ask {
    /// All sessions.
    List,
    /// Lines that hold this text.
    Find(String),
    /// One session whole.
    Open(i64),
    /// To call a session so.
    Rename(i64, String),
    /// To delete a session.
    Delete(i64),
    /// To write a session into a file.
    Export(i64, PathBuf, Existing),
}

/// What was answered.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) sessions: Vec<Session>,
    /// What was looked for, and the lines that hold it.
    pub(super) found: Option<(String, Vec<Found>)>,
    pub(super) open: Option<OpenSession>,
    /// How the last change went.
    pub(super) outcome: Option<Outcome>,
    /// Seconds by which local time is ahead of UTC.
    pub(super) offset_secs: i64,
}

/// How a change went.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It was saved in this file.
    Saved(PathBuf),
    /// There is a file of this name.
    Exists(PathBuf),
    /// It failed, for this reason.
    Failed(String),
}

/// A session that is open, its lines in the order of time.
#[derive(Debug)]
pub(super) struct OpenSession {
    pub(super) session: Session,
    pub(super) lines: Vec<PastLine>,
    pub(super) recordings: Vec<PathBuf>,
}

/// A line of a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PastLine {
    pub(super) at: StreamTime,
    pub(super) time: String,
    pub(super) who: Who,
    pub(super) text: String,
}

/// Whose words a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Said,
    Meant,
    Replied,
    Sound,
}

/// The window's end of the thread, which is started by the first question.
#[derive(Debug, Default)]
pub(super) struct Past {
    asks: Option<Sender<Ask>>,
    shelf: Arc<Mutex<Shelf>>,
}

impl Past {
    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the history at `file`.
    pub(super) fn ask(&mut self, ask: Ask, file: &Path, ctx: &egui::Context) {
        if self.asks.is_none() {
            let (sender, asked) = bounded(QUESTIONS);
            let (shelf, file, ctx) = (Arc::clone(&self.shelf), file.to_owned(), ctx.clone());
            let work = move || answer_all(&asked, &shelf, &file, &ctx);
            match std::thread::Builder::new().name("hearken-past".into()).spawn(work) {
                Ok(_) => self.asks = Some(sender),
                Err(e) => self.shelf().outcome = Some(Outcome::Failed(e.to_string())),
            }
        }
        if let Some(asks) = &self.asks {
            // See QUESTIONS.
            let _ = asks.try_send(ask);
        }
    }
}

fn answer_all(asked: &Receiver<Ask>, shelf: &Mutex<Shelf>, file: &Path, ctx: &egui::Context) {
    let lock = || shelf.lock().unwrap_or_else(PoisonError::into_inner);
    lock().offset_secs = local_offset_secs();
    for ask in asked {
        let done = answer(&ask, shelf, file);
        if let Err(error) = done {
            lock().outcome = Some(Outcome::Failed(error.to_string()));
        }
        ctx.request_repaint();
    }
}

/// Answers one question; what is asked for is read before the shelf is locked.
fn answer(ask: &Ask, shelf: &Mutex<Shelf>, file: &Path) -> Result<()> {
    let lock = || shelf.lock().unwrap_or_else(PoisonError::into_inner);
    match ask {
        Ask::List => {}
        Ask::Find(text) => {
            let found = Store::read(file)?.map_or_else(|| Ok(Vec::new()), |store| store.search(text))?;
            lock().found = Some((text.clone(), found));
            return Ok(());
        }
        Ask::Open(id) => {
            let offset_secs = lock().offset_secs;
            let opened = Store::read(file)?.map_or(Ok(None), |store| store.open_session(*id))?;
            lock().open = opened.map(|opened| open_session(opened, offset_secs));
            return Ok(());
        }
        Ask::Rename(id, name) => {
            Store::write(file)?.map_or(Ok(false), |store| store.rename(*id, name))?;
            let named = lock().open.take().filter(|open| open.session.id == *id);
            lock().open = named.map(|mut open| {
                name.trim().clone_into(&mut open.session.name);
                open
            });
        }
        Ask::Delete(id) => {
            Store::write(file)?.map_or(Ok(false), |mut store| store.delete(*id))?;
            lock().open = None;
            lock().found = None;
        }
        Ask::Export(id, path, existing) => {
            let outcome = export(file, *id, path, *existing, lock().offset_secs)?;
            lock().outcome = Some(outcome);
            return Ok(());
        }
    }
    let sessions = Store::read(file)?.map_or_else(|| Ok(Vec::new()), |store| store.sessions())?;
    lock().sessions = sessions;
    Ok(())
}

/// Writes a session in the form that the file's name asks for.
fn export(file: &Path, id: i64, path: &Path, existing: Existing, offset_secs: i64) -> Result<Outcome> {
    let Some(store) = Store::read(file)? else { return Ok(Outcome::Failed("the history is empty".into())) };
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let text = if extension == "jsonl" {
        let events = store.events(id)?.unwrap_or_default();
        events.iter().filter_map(|(_, event)| serde_json::to_string(event).ok()).map(|line| line + "\n").collect()
    } else {
        let form = Form::ALL.into_iter().find(|form| form.extension() == extension).unwrap_or(Form::Text);
        match store.open_session(id)? {
            Some(opened) => document(&opened.transcript, form, |at| time(&opened.clock, at, offset_secs)),
            None => return Ok(Outcome::Failed("this session is not there any more".into())),
        }
    };
    Ok(match write_document(path, text.as_bytes(), existing) {
        Ok(()) => Outcome::Saved(path.to_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Outcome::Exists(path.to_owned()),
        Err(e) => Outcome::Failed(Error::at(crate::error::ErrorKind::Output, path, e).message().to_owned()),
    })
}

fn time(clock: &WallClock, at: StreamTime, offset_secs: i64) -> String {
    clock.ms(at).map_or_else(|| at.to_string(), |ms| time_of_day(ms, offset_secs))
}

fn open_session(opened: Opened, offset_secs: i64) -> OpenSession {
    let lines = lines(&opened.transcript, |at| time(&opened.clock, at, offset_secs));
    OpenSession { session: opened.session, lines, recordings: opened.recordings }
}

/// Everything that was heard and said, in the order of time.
fn lines(t: &Transcript, time: impl Fn(StreamTime) -> String) -> Vec<PastLine> {
    let line = |at: StreamTime, who, text: &str| PastLine { at, time: time(at), who, text: text.to_owned() };
    let mut lines: Vec<PastLine> = t.utterances.iter().map(|l| line(l.from, Who::Said, &l.text)).collect();
    lines.extend(t.translations.iter().map(|l| line(l.from, Who::Meant, &l.text)));
    lines.extend(t.replies.iter().map(|r| line(r.at, Who::Replied, &r.text)));
    lines.extend(t.sounds.iter().map(|s| {
        let times = if s.count > 1 { format!(" ×{}", s.count) } else { String::new() };
        line(s.first, Who::Sound, &format!("{}{times}", s.name))
    }));
    lines.sort_by_key(|line| line.at);
    lines
}

/// How a session is called: its name, else when it began.
pub(super) fn title(session: &Session, offset_secs: i64) -> String {
    if session.name.is_empty() { date_and_time(session.started_ms, offset_secs) } else { session.name.clone() }
}
