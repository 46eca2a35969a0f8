//! A history in a temporary home, with the test in the place of the engine.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic, reason = "a helper of tests; each uses its part")]

use std::path::Path;
use std::process::{Command as Process, Output, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use hearken::config::{HistoryPrefs, Paths};
use hearken::history::{EventSink, HistoryCallbacks, HistoryHandle, Store};
use hearken::protocol::{Command, Event, Panel, ReplyId, StopReason};
use hearken::time::StreamTime;

/// Capacity of the command channel.
const WAITING: usize = 64;

pub struct Bench {
    pub history: HistoryHandle,
    pub sink: EventSink,
    pub commands: Receiver<Command>,
    pub paths: Paths,
    pub home: tempfile::TempDir,
}

impl Bench {
    pub fn start(prefs: HistoryPrefs) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), prefs)
    }

    pub fn start_in(home: tempfile::TempDir, prefs: HistoryPrefs) -> Self {
        let paths = Paths::inside(home.path());
        let (history, commands) = history(&paths, prefs);
        Self { sink: history.sink(), history, commands, paths, home }
    }

    /// Starts another history in the same home, after this one has ended.
    pub fn again(&mut self, prefs: HistoryPrefs) -> Self {
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().unwrap());
        Self::start_in(home, prefs)
    }

    /// Ends the history as a closing window does.
    pub fn end(&mut self) {
        let idle = Paths::inside(&self.home.path().join("idle"));
        let (other, _) = history(&idle, HistoryPrefs { keep: false, days: 0, audio: false });
        drop(std::mem::replace(&mut self.history, other));
    }

    pub fn store(&self) -> Store {
        Store::read(&self.paths.history_file()).unwrap().unwrap()
    }

    /// Returns the number of lines that contain `text`; 0 without a history.
    pub fn found(&self, text: &str) -> usize {
        Store::read(&self.paths.history_file()).unwrap().map_or(0, |store| store.search(text).unwrap().len())
    }

    /// Returns the number of lines that contain `text`; None if the file cannot be read.
    pub fn try_found(&self, text: &str) -> Option<usize> {
        Some(Store::read(&self.paths.history_file()).ok()??.search(text).ok()?.len())
    }

    /// Counts `word` in the files of the history.
    pub fn bytes(&self, word: &str) -> usize {
        let files = std::fs::read_dir(&self.paths.data).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        files.map(|path| std::fs::read(path).unwrap().windows(word.len()).filter(|window| *window == word.as_bytes()).count()).sum()
    }

    pub fn hearken(&self, line: &[&str]) -> Output {
        hearken(self.home.path(), line)
    }
}

/// Runs `hearken history …` in this home.
pub fn hearken(home: &Path, line: &[&str]) -> Output {
    let mut process = Process::new(env!("CARGO_BIN_EXE_hearken"));
    process.arg("history").args(line).env("HEARKEN_HOME", home).stdin(Stdio::null()).output().unwrap()
}

fn history(paths: &Paths, prefs: HistoryPrefs) -> (HistoryHandle, Receiver<Command>) {
    let (commands, taken) = bounded(WAITING);
    let callbacks =
        HistoryCallbacks { send_command: Box::new(move |command| commands.try_send(command).is_ok()), on_change: Box::new(|| ()) };
    let panels = [("dialog", Panel::Conversation), ("transcribe", Panel::Transcript)].map(|(mode, panel)| (mode.to_owned(), panel));
    (HistoryHandle::start(paths, prefs, panels.into(), callbacks), taken)
}

/// Waits until `is_so` returns true.
pub fn within(limit: Duration, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < until, "not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn at(chunk: u64) -> StreamTime {
    StreamTime::from_samples(chunk * 6_400)
}

pub fn started() -> Event {
    let started_utc = Some("2026-12-01T10:00:00Z".to_owned());
    Event::SessionStarted { at: at(0), protocol: 1, model: "starter".into(), source: "mic".into(), modes: vec![], started_utc }
}

pub fn said(chunk: u64, text: &str) -> Event {
    let (from_secs, to_secs, stop) = (at(chunk - 1), at(chunk), StopReason::End);
    Event::ReplyFinished { at: at(chunk), reply: ReplyId(chunk), mode: "transcribe".into(), text: text.into(), from_secs, to_secs, stop }
}
