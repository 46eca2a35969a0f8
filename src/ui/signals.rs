//! Signals that end Hearken while its window is open: Ctrl-C, a closed terminal, `kill`, and a logout, which sends one of them. What
//! was heard is kept, recordings are completed, and then the window closes.

use std::sync::Arc;
use std::time::Duration;

use super::running_session::RunningSession;
use super::tray::{Tray, TrayCommand};

/// Longest time that the window has for closing once the session has ended; a display that hangs closes no window.
const CLOSING: Duration = Duration::from_secs(5);

/// Ends `session`, and then the program, at a signal. If the handler cannot be set, signals end the process at once.
pub(super) fn end_at_a_signal(session: &Arc<RunningSession>, tray: &Tray) {
    let (session, tray) = (Arc::downgrade(session), tray.clone());
    let end = move || {
        if let Some(session) = session.upgrade() {
            session.end();
            session.history.close();
        }
        tray.command(TrayCommand::Quit);
        std::thread::sleep(CLOSING);
        std::process::exit(0);
    };
    let _ = ctrlc::set_handler(end);
}
