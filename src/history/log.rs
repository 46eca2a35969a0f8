//! The activity log `hearken.log`: start, model, modes, devices, gaps, pauses, problems by kind. Contains no word that was heard.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use crate::clock::now_ms;
use crate::files::make_private_folder;
use crate::protocol::Event;
use crate::text::clean_name;
use crate::time::SAMPLE_RATE_HZ;
use crate::time::wall::utc;

/// Size beyond which the log is renamed to `hearken.log.1` (replacing an older one) and begun anew, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// The activity log, whose file is opened at the first line, or a log that is off. A failure to write is ignored; the next line tries again.
#[derive(Debug)]
pub(super) struct ActivityLog {
    /// Path of the file; None for a log that is off.
    path: Option<PathBuf>,
    /// Open file and its size in bytes; None before the first line and after a failure.
    file: Option<(File, u64)>,
}

impl ActivityLog {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path: Some(path), file: None }
    }

    /// Returns a log that drops every line.
    pub(super) const fn off() -> Self {
        Self { path: None, file: None }
    }

    /// Appends a line about an event to the log. Skips events that could hold heard words or are of no use in a log.
    pub(super) fn event(&mut self, event: &Event) {
        if let Some(text) = line_of(event) {
            self.write(&text);
        }
    }

    /// Appends a line to the log: the current time in UTC, and `text` with control characters replaced by spaces.
    pub(super) fn write(&mut self, text: &str) {
        let line = format!("{} {}\n", utc(now_ms()), clean_name(text));
        if self.file.as_ref().is_none_or(|(_, bytes)| *bytes > MAX_BYTES) {
            self.file = self.opened();
        }
        let Some((file, bytes)) = &mut self.file else { return };
        *bytes += line.len() as u64;
        if file.write_all(line.as_bytes()).is_err() {
            self.file = None;
        }
    }

    /// Opens the log file for appending, and returns the file and its size in bytes; renames a full log first. Returns None if that
    /// fails.
    fn opened(&self) -> Option<(File, u64)> {
        let path = self.path.as_ref()?;
        make_private_folder(path.parent()?).ok()?;
        if fs::metadata(path).is_ok_and(|about| about.len() > MAX_BYTES) {
            fs::rename(path, path.with_extension("log.1")).ok()?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).ok()?;
        let bytes = file.metadata().ok()?.len();
        Some((file, bytes))
    }
}

/// Returns the log line of an event; None for events that could contain heard words, or that are of no use in a log. Messages of
/// problems are left out, because they may contain anything.
fn line_of(event: &Event) -> Option<String> {
    let text = match event {
        Event::SessionStarted { model, source, modes, .. } => format!("listening to {source} with {model}: {}", modes.join(", ")),
        Event::ModelChanged { model, .. } => format!("model {model}"),
        Event::ModesChanged { modes, .. } => format!("modes {}", modes.join(", ")),
        Event::InputChanged { device, rate_hz, channels, .. } => format!("input {device}, {rate_hz} Hz, {channels} channels"),
        Event::AudioGap { at, samples, cause, .. } => {
            let secs = *samples as f64 / f64::from(SAMPLE_RATE_HZ);
            format!("at {at}: {secs:.2} s of sound lost, cause {}", serde_json::json!(cause))
        }
        Event::Problem { at, severity, kind, .. } => format!("at {at}: {} {}", format!("{severity:?}").to_lowercase(), kind.name()),
        Event::InputSilent { at, device } => format!("at {at}: no sound from {device}"),
        Event::InputAudible { at } => format!("at {at}: sound again"),
        Event::ModelFailed { model, .. } => format!("another model failed; model {model} goes on"),
        Event::Paused { at } => format!("at {at}: paused"),
        Event::Resumed { at } => format!("at {at}: resumed"),
        Event::SessionFinished { chunks, replies, problems, .. } => {
            format!("finished: {chunks} chunks, {replies} replies, {problems} problems")
        }
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::protocol::{ReplyId, Severity, StopReason};
    use crate::time::StreamTime;

    fn log(home: &tempfile::TempDir) -> ActivityLog {
        ActivityLog::new(home.path().join("data/hearken.log"))
    }

    #[test]
    fn the_log_contains_no_heard_word() {
        let home = tempfile::tempdir().unwrap();
        let mut log = log(&home);
        let (at, reply, mode, text) = (StreamTime::ZERO, ReplyId(1), "transcribe".to_owned(), "secret".to_owned());
        let problem = Event::problem(StreamTime::ZERO, Severity::Warning, &Error::new(ErrorKind::Output, "secret"));
        for event in [
            Event::SessionStarted { at, protocol: 1, model: "starter".into(), source: "mic\nx".into(), modes: vec![], started_utc: None },
            Event::ReplyText { at, reply, mode: mode.clone(), text: text.clone() },
            Event::ReplyFinished { at, reply, mode, text: text.clone(), from_secs: at, to_secs: at, stop: StopReason::End },
            Event::Sound { at, reply, name: text, count: 1 },
            problem,
        ] {
            log.event(&event);
        }
        let read = fs::read_to_string(home.path().join("data/hearken.log")).unwrap();
        assert!(!read.contains("secret") && read.contains("mic x with starter") && read.contains("warning output"), "{read}");
        assert_eq!(read.lines().count(), 2);
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(home.path().join("data/hearken.log")).unwrap().permissions()) & 0o777,
            0o600
        );
    }

    #[test]
    fn the_log_is_rotated_at_its_limit() {
        let home = tempfile::tempdir().unwrap();
        let mut log = log(&home);
        (0..700).for_each(|_| log.write(&"x".repeat(1_000)));
        let sizes: Vec<u64> =
            fs::read_dir(home.path().join("data")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
        assert!(sizes.len() == 2 && sizes.iter().all(|bytes| *bytes < MAX_BYTES + 2_000), "{sizes:?}");
    }

    #[test]
    fn an_unwritable_log_is_ignored() {
        let mut log = ActivityLog::new("/proc/nothing/hearken.log".into());
        log.write("x");
        assert!(log.file.is_none());
    }
}
