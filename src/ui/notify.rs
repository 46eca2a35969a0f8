//! Desktop notifications, shown through the program that the system has for them: a crate would bring a second copy of a message
//! bus along, and a missing program costs nothing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::supervise;

/// Time after which the system's notification program is killed if it still runs.
const LIMIT: Duration = Duration::from_secs(5);
/// Interval at which a thread checks whether the system's notification program has ended.
const POLL: Duration = Duration::from_millis(50);

/// The urgency of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// The notification disappears by itself.
    Normal,
    /// The notification stays until the user dismisses it, on desktops that support this: on Linux.
    Critical,
}

/// A desktop notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notification {
    pub(super) urgency: Urgency,
    pub(super) title: &'static str,
    pub(super) text: String,
}

/// Shows a desktop notification from a thread of its own, and returns without waiting for the thread. A failure is ignored, because
/// the window shows the same text.
pub(super) fn show(notification: &Notification) {
    let mut command = command(notification);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let run = move || {
        let Ok(mut child) = command.spawn() else { return };
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(POLL);
        }
        // The program may have ended in this moment.
        let _ = child.kill();
        let _ = child.wait();
    };
    // Without a thread there is no notification.
    let _ = supervise::spawn("hearken-notify", run);
}

/// Returns the command of the system's notification program that shows the notification. Title and text are passed as arguments,
/// never as options and never through a shell.
#[cfg(not(any(target_os = "macos", windows)))]
fn command(Notification { urgency, title, text }: &Notification) -> Command {
    let mut command = Command::new("notify-send");
    let urgency = if *urgency == Urgency::Critical { "--urgency=critical" } else { "--urgency=normal" };
    command.args(["--app-name=Hearken", "--icon=hearken", urgency, "--", title, text]);
    command
}

#[cfg(target_os = "macos")]
fn command(Notification { title, text, .. }: &Notification) -> Command {
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
fn command(Notification { title, text, .. }: &Notification) -> Command {
    // `msg` shows a box to the user who is logged in; every edition has it but Home, where nothing is shown.
    let mut command = Command::new("msg");
    command.args(["*", "/time:10", &format!("{title}: {text}")]);
    command
}

#[cfg(all(test, not(any(target_os = "macos", windows))))]
mod tests {
    use super::*;

    #[test]
    fn text_is_passed_as_an_argument_and_not_as_an_option() {
        let hostile = Notification { urgency: Urgency::Normal, title: "title", text: "--urgency; rm -rf /".into() };
        let args: Vec<_> = command(&hostile).get_args().map(|a| a.to_string_lossy().into_owned()).collect();
        assert_eq!(args[args.len() - 3..], ["--", "title", "--urgency; rm -rf /"]);
    }
}
