//! Keeps the machine awake while a file is heard or a recording is written: by logind on Linux and by `caffeinate` on macOS. Both hold
//! for as long as a small program runs, which ends with Hearken however Hearken ends. On Windows nothing is done yet.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time after the beginning of the work at which the machine is asked to stay awake: none falls asleep sooner.
const AFTER: Duration = Duration::from_secs(5);

/// The state of keeping the machine awake.
#[derive(Debug)]
pub(super) enum KeepAwake {
    /// Nothing needs it.
    Idle,
    /// It will be, if the work that began at this moment lasts.
    Soon(Instant),
    /// It is, while this program runs.
    On(Inhibitor),
    /// The machine cannot be kept awake, and is not asked again in this session.
    Refused,
}

/// The work of a session that sleep must not cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A file is heard, or a recording is written.
    Unfinished,
    /// Nothing.
    None,
}

impl KeepAwake {
    /// Takes notice of what the session does now.
    pub(super) fn update(&mut self, work: Work) {
        *self = match (std::mem::replace(self, Self::Idle), work) {
            (Self::Refused, _) => Self::Refused,
            (_, Work::None) => Self::Idle,
            (Self::Idle, Work::Unfinished) => Self::Soon(Instant::now()),
            (Self::Soon(begun), Work::Unfinished) if begun.elapsed() >= AFTER => Inhibitor::start().map_or(Self::Refused, Self::On),
            (Self::On(inhibitor), Work::Unfinished) => inhibitor.if_running().map_or(Self::Refused, Self::On),
            (as_before, Work::Unfinished) => as_before,
        };
    }

    /// Returns true while the machine is kept awake.
    pub(super) const fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }
}

/// A program during whose life the machine does not fall asleep by itself. It copies its input, so it ends when Hearken's end of the
/// pipe is closed.
#[derive(Debug)]
pub(super) struct Inhibitor(Child);

impl Inhibitor {
    fn start() -> Option<Self> {
        const LINUX: &[&str] = &[
            "systemd-inhibit",
            "--what=sleep:idle",
            "--mode=block",
            "--who=Hearken",
            "--why=A recording is being heard or written",
            "cat",
        ];
        const MACOS: &[&str] = &["caffeinate", "-i", "cat"];
        let words: &[&str] = if cfg!(target_os = "linux") {
            LINUX
        } else if cfg!(target_os = "macos") {
            MACOS
        } else {
            &[]
        };
        let (program, options) = words.split_first()?;
        let mut command = Command::new(program);
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().ok().map(Self)
    }

    /// Returns the inhibitor if its program still runs; it ends at once where the system does not allow it.
    fn if_running(mut self) -> Option<Self> {
        matches!(self.0.try_wait(), Ok(None)).then_some(self)
    }
}

impl Drop for Inhibitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
