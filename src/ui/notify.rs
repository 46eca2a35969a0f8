//! Telling the desktop something, through the program that the system has for it. A crate for this would bring a second copy
//! of a message bus along; a program that is not there costs nothing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that takes longer than this hangs, and is ended.
const LIMIT: Duration = Duration::from_secs(5);

/// How much a notification presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// It goes away by itself.
    Normal,
    /// It stays until somebody has seen it, where the desktop heeds that.
    Critical,
}

/// Shows a notification. Nobody waits for it, and where it cannot be shown the window still shows what it is about.
pub(super) fn tell(urgency: Urgency, title: &str, text: &str) {
    let mut command = command(urgency, title, text);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let wait = move || {
        let Ok(mut child) = command.spawn() else { return };
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // It may have ended in this moment.
        let _ = child.kill();
        let _ = child.wait();
    };
    // Without a thread there is no notification; the window has the line.
    let _ = std::thread::Builder::new().name("hearken-notify".into()).spawn(wait);
}

/// What was heard is handed over as an argument and never read as a command.
#[cfg(not(any(target_os = "macos", windows)))]
fn command(urgency: Urgency, title: &str, text: &str) -> Command {
    let mut command = Command::new("notify-send");
    let urgency = if urgency == Urgency::Critical { "--urgency=critical" } else { "--urgency=normal" };
    command.args(["--app-name=Hearken", "--icon=hearken", urgency, "--", title, text]);
    command
}

#[cfg(target_os = "macos")]
fn command(_: Urgency, title: &str, text: &str) -> Command {
    let mut command = Command::new("osascript");
    command.args([
        "-e",
        "on run argv",
        "-e",
        "display notification (item 1 of argv) with title (item 2 of argv)",
        "-e",
        "end run",
        text,
        title,
    ]);
    command
}

#[cfg(windows)]
fn command(_: Urgency, title: &str, text: &str) -> Command {
    // `msg` shows a box to the user who is logged in; it is on every edition but Home, where nothing is shown.
    let mut command = Command::new("msg");
    command.args(["*", "/time:10", &format!("{title}: {text}")]);
    command
}

#[cfg(all(test, not(any(target_os = "macos", windows))))]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_is_an_argument_and_no_option() {
        let args: Vec<_> =
            command(Urgency::Normal, "title", "--urgency; rm -rf /").get_args().map(|a| a.to_string_lossy().into_owned()).collect();
        assert_eq!(args[args.len() - 3..], ["--", "title", "--urgency; rm -rf /"]);
    }
}
