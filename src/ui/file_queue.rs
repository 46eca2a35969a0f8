//! The queue of audio files that are heard beside the live session, one after the other, on a thread of its own.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::event_thread::SessionData;
use super::file_session::{FileSession, QueuedFile};
use crate::config::{HistoryPrefs, Settings};
use crate::engine::EngineHandle;
use crate::error::{Error, Remedy, Result};
use crate::supervise::{self, lock};

/// Number of files whose transcripts stay in memory; the history has more. As many refused files can be tried again.
const MAX_HEARD: usize = 8;
/// Interval at which the thread of the queue looks for the end of a file, and for that of Hearken.
const POLL: Duration = Duration::from_millis(20);
/// Longest time that the end of Hearken waits for the file that is being heard to end in order.
const END_LIMIT: Duration = Duration::from_secs(3);

/// The function that starts the session of a file.
type Start = Box<dyn Fn(Settings) -> Result<EngineHandle> + Send + Sync>;

/// The end of a file, as news for the window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileEnd {
    /// Number of the file among those of this run, from 1.
    pub(super) number: usize,
    /// Name of the file, without its folder.
    pub(super) name: String,
    /// Time heard, in seconds; `None` for a file that could not be opened.
    pub(super) heard_secs: Option<f64>,
    /// The reason why the file could not be opened, or not be heard as a whole.
    pub(super) problem: Option<Error>,
}

/// The files at one moment.
#[derive(Debug, Default)]
pub(super) struct QueueView {
    /// Files that are or were heard, oldest first.
    pub(super) heard: Vec<Arc<FileSession>>,
    /// Name of the file that is being opened.
    pub(super) opening: Option<String>,
    /// Names of the files that wait, the next one first.
    pub(super) waiting: Vec<String>,
}

impl QueueView {
    /// Returns the file that is being heard.
    pub(super) fn current(&self) -> Option<&Arc<FileSession>> {
        self.heard.last().filter(|file| !file.is_over())
    }

    /// Returns true while a file is heard or opened, or waits.
    pub(super) fn is_busy(&self) -> bool {
        self.current().is_some() || self.opening.is_some() || !self.waiting.is_empty()
    }
}

/// The files that wait, are heard, or were heard.
#[derive(Default)]
struct Files {
    waiting: VecDeque<QueuedFile>,
    /// Name of the file that is being opened.
    opening: Option<String>,
    /// Files that are or were heard, oldest first, at most [`MAX_HEARD`].
    heard: Vec<Arc<FileSession>>,
    /// Ends that the window has not taken yet, oldest first.
    ends: Vec<FileEnd>,
    /// Files that could not be read, oldest first, at most [`MAX_HEARD`].
    refused: VecDeque<QueuedFile>,
    /// Number of the file that was added last.
    added: usize,
    /// True if the file that is being opened is to end at once.
    skips_opening: bool,
}

/// The part of the queue that its thread shares with the window.
struct QueueShared {
    start: Start,
    /// The live session, whose window is repainted when a file begins or ends.
    live: Arc<SessionData>,
    keep: Mutex<HistoryPrefs>,
    files: Mutex<Files>,
    /// True while the thread of the queue runs. Changed while `files` is locked.
    works: AtomicBool,
    /// True once Hearken ends.
    ends: AtomicBool,
}

/// The queue of audio files that are heard beside the live session.
pub(super) struct FileQueue(Arc<QueueShared>);

impl std::fmt::Debug for FileQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileQueue").finish_non_exhaustive()
    }
}

impl FileQueue {
    /// Returns an empty queue beside the session `live`. `start` starts the session of a file, and `keep` are the preferences for the
    /// history.
    pub(super) fn new(
        start: impl Fn(Settings) -> Result<EngineHandle> + Send + Sync + 'static,
        live: Arc<SessionData>,
        keep: HistoryPrefs,
    ) -> Self {
        Self(Arc::new(QueueShared {
            start: Box::new(start),
            live,
            keep: Mutex::new(keep),
            files: Mutex::default(),
            works: AtomicBool::new(false),
            ends: AtomicBool::new(false),
        }))
    }

    /// Adds the files at `paths` to the queue, to be heard with `settings`, those of the live session with the modes that are on.
    pub(super) fn add(&self, paths: Vec<PathBuf>, settings: &Settings) {
        let mut files = lock(&self.0.files);
        for path in paths {
            files.added += 1;
            let file = QueuedFile::new(files.added, path, settings);
            files.waiting.push_back(file);
        }
        self.work(files);
    }

    /// Adds the file of this number, which could not be read, once more, to be read with ffmpeg.
    pub(super) fn read_with_ffmpeg(&self, number: usize) {
        let mut files = lock(&self.0.files);
        if let Some(at) = files.refused.iter().position(|file| file.number == number)
            && let Some(mut file) = files.refused.remove(at)
        {
            file.allow_ffmpeg();
            files.waiting.push_back(file);
            self.work(files);
        }
    }

    /// Starts the thread of the queue unless it runs.
    fn work(&self, mut files: MutexGuard<'_, Files>) {
        if self.0.works.swap(true, Ordering::Relaxed) {
            return;
        }
        let shared = Arc::clone(&self.0);
        if let Err(error) = supervise::spawn("hearken-files", move || shared.run()) {
            self.0.works.store(false, Ordering::Relaxed);
            let refused: Vec<QueuedFile> = files.waiting.drain(..).collect();
            files.ends.extend(refused.into_iter().map(|file| failed(&file, error.clone())));
        }
    }

    /// Returns the files as they are now.
    pub(super) fn view(&self) -> QueueView {
        let files = lock(&self.0.files);
        QueueView {
            heard: files.heard.clone(),
            opening: files.opening.clone(),
            waiting: files.waiting.iter().map(|file| file.name.clone()).collect(),
        }
    }

    /// Returns the ends since the last call, oldest first.
    pub(super) fn take_ends(&self) -> Vec<FileEnd> {
        std::mem::take(&mut lock(&self.0.files).ends)
    }

    /// Ends the file that is being heard; the next one follows. What was heard is kept.
    pub(super) fn skip(&self) {
        let mut files = lock(&self.0.files);
        if files.opening.is_some() {
            files.skips_opening = true;
        } else if let Some(file) = files.heard.last() {
            file.stop();
        }
    }

    /// Ends the file that is being heard and drops those that wait. What was heard is kept.
    pub(super) fn stop(&self) {
        lock(&self.0.files).waiting.clear();
        self.skip();
    }

    /// Applies the user's preferences for the history to the present file and to later ones.
    pub(super) fn set_history_prefs(&self, prefs: HistoryPrefs) {
        *lock(&self.0.keep) = prefs;
        if let Some(file) = self.view().current() {
            file.set_history_prefs(prefs);
        }
    }

    /// Removes from the screen what was heard from files; a file that is being heard goes on. The history is up to the live session.
    pub(super) fn forget(&self) {
        let view = self.view();
        lock(&self.0.files).heard.retain(|file| !file.is_over());
        if let Some(file) = view.current() {
            file.forget();
        }
    }

    /// Ends the file that is being heard, in order, and waits for its end, at most [`END_LIMIT`]. Later files are not heard. Takes no
    /// lock, because after a loss of the display the thread that holds one may never go on.
    pub(super) fn end(&self) {
        self.0.ends.store(true, Ordering::Relaxed);
        let until = Instant::now() + END_LIMIT;
        while self.0.works.load(Ordering::Relaxed) && Instant::now() < until {
            std::thread::sleep(POLL);
        }
    }
}

impl QueueShared {
    /// Hears the waiting files, one after the other, until none is left.
    fn run(&self) {
        while let Some(file) = self.next() {
            let end = supervise::catch(|| self.hear(&file)).unwrap_or_else(|error| failed(&file, error));
            {
                let mut files = lock(&self.files);
                (files.opening, files.skips_opening) = (None, false);
                if end.problem.as_ref().is_some_and(|problem| problem.remedy() == Some(Remedy::ReadWithFfmpeg)) {
                    if files.refused.len() >= MAX_HEARD {
                        files.refused.pop_front();
                    }
                    files.refused.push_back(file);
                }
                files.ends.push(end);
            }
            self.live.repaint();
        }
    }

    /// Takes the next file from the queue; `None` once the thread is to end.
    fn next(&self) -> Option<QueuedFile> {
        let mut files = lock(&self.files);
        let next = if self.ends.load(Ordering::Relaxed) { None } else { files.waiting.pop_front() };
        files.opening = next.as_ref().map(|file| file.name.clone());
        if next.is_none() {
            self.works.store(false, Ordering::Relaxed);
        }
        next
    }

    /// Hears `file` to its end, or until it is stopped.
    fn hear(&self, file: &QueuedFile) -> Result<FileEnd> {
        let engine = (self.start)(file.settings.clone())?;
        let keep = *lock(&self.keep);
        let (session, events) = FileSession::start(&engine, file, keep, &self.live)?;
        let session = Arc::new(session);
        {
            let mut files = lock(&self.files);
            files.opening = None;
            if files.heard.len() >= MAX_HEARD {
                files.heard.remove(0);
            }
            files.heard.push(Arc::clone(&session));
            if std::mem::take(&mut files.skips_opening) {
                session.stop();
            }
        }
        self.live.repaint();
        while !events.is_finished() {
            if self.ends.load(Ordering::Relaxed) {
                session.stop();
            }
            std::thread::sleep(POLL);
        }
        // Frees the memory of the session.
        drop(engine);
        session.close();
        let heard_secs = Some(session.heard().secs());
        Ok(FileEnd { number: file.number, name: file.name.clone(), heard_secs, problem: session.take_problem() })
    }
}

/// Returns the end of a file that was not heard, for the reason `error`.
fn failed(file: &QueuedFile, error: Error) -> FileEnd {
    FileEnd { number: file.number, name: file.name.clone(), heard_secs: None, problem: Some(error) }
}
