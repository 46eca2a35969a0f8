//! The session that hears an audio file beside the live one: its lines, its progress and its place in the history.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::event_thread::{self, SessionData};
use crate::config::{Conversion, DEFAULT_GAP_SECS, EventOptions, FileSpeed, HistoryPrefs, ReadOptions, Settings, SourceChoice, StartState};
use crate::engine::{EngineHandle, Meters};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{HistoryHandle, HistoryState};
use crate::protocol::{ChannelChoice, Command, Event, Severity};
use crate::time::StreamTime;
use crate::transcript::Transcript;

/// The optional events of a session that hears a file: decisions, which tell that a sound is over.
const EVENTS: EventOptions = EventOptions { decisions: true, margins: false, timing: false };

/// A file that is to be heard.
#[derive(Clone, Debug)]
pub(super) struct QueuedFile {
    /// Number of the file among those of this run of Hearken, from 1.
    pub(super) number: usize,
    /// Name of the file, without its folder.
    pub(super) name: String,
    /// Settings of its session.
    pub(super) settings: Settings,
}

impl QueuedFile {
    /// Returns the file at `path`, to be heard with the settings of the live session and the modes that are on in them.
    pub(super) fn new(number: usize, path: PathBuf, live: &Settings) -> Self {
        let name = name_of(&path);
        let source = SourceChoice::Files {
            paths: vec![path],
            reading: ReadOptions::default(),
            gap_secs: DEFAULT_GAP_SECS,
            speed: FileSpeed::Unthrottled,
        };
        // The quiet gate saves power in rooms; a file is heard whole, as by `hearken listen`.
        let settings = Settings {
            source,
            input_channel: ChannelChoice::All,
            start: StartState::Listening,
            gate: false,
            save_audio: None,
            event_options: EVENTS,
            ..live.clone()
        };
        Self { number, name, settings }
    }

    /// Lets ffmpeg read the file if Hearken cannot.
    pub(super) fn allow_ffmpeg(&mut self) {
        if let SourceChoice::Files { reading, .. } = &mut self.settings.source {
            reading.conversion = Conversion::Ffmpeg;
        }
    }
}

/// Returns the name of a file without its folder; the whole path where it has none.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// A file that is being heard, or was heard in this run of Hearken.
pub(super) struct FileSession {
    /// Number of the file among those of this run, from 1.
    pub(super) number: usize,
    /// Name of the file, without its folder.
    pub(super) name: String,
    pub(super) data: Arc<SessionData>,
    pub(super) meters: Arc<Meters>,
    history: HistoryHandle,
    send: Box<dyn Fn(Command) -> bool + Send + Sync>,
    /// True once the file was told to end before its end.
    stopped: AtomicBool,
    /// True once the session has ended and is stored.
    over: AtomicBool,
}

impl std::fmt::Debug for FileSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSession").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FileSession {
    /// Returns the session of `engine`, which hears `file`, and its event thread. Starts the history of the session with the preferences
    /// `keep`; a change of its state repaints the window of the session `live`.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub(super) fn start(
        engine: &EngineHandle,
        file: &QueuedFile,
        keep: HistoryPrefs,
        live: &Arc<SessionData>,
    ) -> Result<(Self, JoinHandle<()>)> {
        let panels = event_thread::panels_of(&file.settings.modes);
        let data = SessionData::new(Transcript::new(panels.clone()));
        let changed = Arc::clone(live);
        let history = HistoryHandle::start_for_file(&file.settings.paths, keep, panels, &file.name, move || changed.repaint());
        let events = event_thread::start(engine, &data, history.sink())?;
        let session = Self {
            number: file.number,
            name: file.name.clone(),
            data,
            meters: Arc::clone(engine.meters()),
            history,
            send: Box::new(engine.sender()),
            stopped: AtomicBool::new(false),
            over: AtomicBool::new(false),
        };
        Ok((session, events))
    }

    /// Ends the session in order; what was heard is kept. Does nothing if it was told so before.
    pub(super) fn stop(&self) {
        if !self.is_over() && !self.stopped.swap(true, Ordering::Relaxed) {
            (self.send)(Command::Shutdown);
        }
    }

    /// Returns true if the user, or the end of Hearken, has ended the session before the end of the file.
    pub(super) fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Returns true once the session has ended and is stored.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Stores what still waits, once the engine has ended.
    pub(super) fn close(&self) {
        self.history.close();
        self.over.store(true, Ordering::Relaxed);
    }

    /// Returns the audio time up to which the file was heard, at most its length where that is known.
    pub(super) fn heard(&self) -> StreamTime {
        let readings = self.meters.read();
        readings.length_secs.map_or(readings.heard, |length| readings.heard.min(StreamTime::from_secs(length)))
    }

    /// Returns the length of the file, where it is known.
    pub(super) fn length(&self) -> Option<StreamTime> {
        self.meters.read().length_secs.map(StreamTime::from_secs)
    }

    /// Returns the share of the file that was heard, from 0 to 1; `None` where the length is not known.
    pub(super) fn share(&self) -> Option<f32> {
        let length = self.length().filter(|length| *length > StreamTime::ZERO)?;
        Some((self.heard().secs() / length.secs()).clamp(0.0, 1.0) as f32)
    }

    /// Returns the state of storing the session.
    pub(super) fn history_state(&self) -> HistoryState {
        self.history.status().state
    }

    /// Applies the user's preferences for the history.
    pub(super) fn set_history_prefs(&self, prefs: HistoryPrefs) {
        self.history.set_prefs_for_file(prefs);
    }

    /// Removes all lines from the screen, and lets what is heard from now on begin a session of its own in the history, from which the
    /// live session deletes the other part.
    pub(super) fn forget(&self) {
        self.data.forget_since(0, self.meters.read().lag_secs);
        if !self.is_over() {
            self.history.begin_anew();
        }
    }

    /// Returns the most important problem that the session has reported since the last call: one that ended it, or else damage of the
    /// file.
    pub(super) fn take_problem(&self) -> Option<Error> {
        let news = self.data.take_news();
        let problems = news.iter().filter_map(|event| match event {
            Event::Problem { severity, kind, message, remedy, .. } => Some((*severity, *kind, message, *remedy)),
            _ => None,
        });
        let all: Vec<_> = problems.collect();
        let ended = all.iter().rfind(|(severity, ..)| *severity == Severity::Error);
        let found = ended.or_else(|| all.iter().rfind(|(_, kind, ..)| *kind == ErrorKind::AudioFile));
        found.map(|(_, kind, message, remedy)| Error::new(*kind, message.as_str()).with_remedy(*remedy))
    }
}
