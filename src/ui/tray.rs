//! The icon in the desktop's tray: the state at a glance, pause, open, captions and quit while the main window is hidden.
//!
//! Under Linux the icon is a StatusNotifierItem on the session bus ([`ksni`]), served by threads of its own. A desktop without a tray
//! shows none, and closing the window then ends Hearken.

#[cfg(target_os = "linux")]
mod sni;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::session_link::SessionLink;
use super::strings::Strings;
use crate::supervise::lock;

/// Number of changes of the session that may wait for the icon: all that come before it is painted mean the same.
const CHANGES: usize = 1;
/// Interval at which the session without a window looks for a command.
const COMMAND_POLL: Duration = Duration::from_millis(100);

/// The user's intent with the icon's menu; pausing and opening the window are carried out at once and are none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrayCommand {
    ToggleCaptions,
    Quit,
}

/// The tray icon as the window sees it. A clone is the same icon.
#[derive(Clone, Debug)]
pub(super) struct Tray {
    shared: Arc<TrayShared>,
    changes: Sender<()>,
}

/// The state that window and icon share.
#[derive(Debug)]
struct TrayShared {
    link: SessionLink,
    /// True while a tray shows the icon.
    shown: AtomicBool,
    commands: Mutex<Vec<TrayCommand>>,
    /// Texts in the language of the window.
    s: Mutex<&'static Strings>,
    window: OnceLock<egui::Context>,
}

impl Tray {
    /// Puts the icon of the session in the tray, on a thread of its own; without a tray nothing is shown.
    pub(super) fn start(link: SessionLink, s: &'static Strings) -> Self {
        let (tray, receiver) = Self::hidden(link, s);
        let changed = tray.changes.clone();
        tray.shared.link.data.on_change(move || {
            // A change that waits stands for this one too.
            let _ = changed.try_send(());
        });
        #[cfg(target_os = "linux")]
        {
            let shared = Arc::clone(&tray.shared);
            // Without a thread there is no icon.
            let _ = crate::supervise::spawn("hearken-tray", move || sni::serve(&shared, &receiver));
        }
        #[cfg(not(target_os = "linux"))]
        drop(receiver);
        tray
    }

    /// Returns an icon that no tray shows, and the changes that it would show.
    pub(super) fn hidden(link: SessionLink, s: &'static Strings) -> (Self, Receiver<()>) {
        let (changes, receiver) = bounded(CHANGES);
        let shared =
            TrayShared { link, shown: AtomicBool::new(false), commands: Mutex::default(), s: Mutex::new(s), window: OnceLock::new() };
        (Self { shared: Arc::new(shared), changes }, receiver)
    }

    /// Returns true while a tray shows the icon.
    pub(super) fn is_shown(&self) -> bool {
        self.shared.shown.load(Ordering::Relaxed)
    }

    /// Repaints `window` after each command.
    pub(super) fn wake(&self, window: &egui::Context) {
        let _ = self.shared.window.set(window.clone());
    }

    /// Changes the language of the menu.
    pub(super) fn set_strings(&self, s: &'static Strings) {
        *lock(&self.shared.s) = s;
        // A change that waits stands for this one too.
        let _ = self.changes.try_send(());
    }

    /// Returns the commands since the last call.
    pub(super) fn take_commands(&self) -> Vec<TrayCommand> {
        std::mem::take(&mut *lock(&self.shared.commands))
    }

    /// Gives a command as the menu does, to be taken by [`Tray::take_commands`].
    pub(super) fn command(&self, command: TrayCommand) {
        self.shared.command(command);
    }

    /// Waits for the next command while there is no window; None once `ended` returns true.
    pub(super) fn wait(&self, ended: impl Fn() -> bool) -> Option<TrayCommand> {
        loop {
            if let Some(command) = self.take_commands().into_iter().next() {
                return Some(command);
            }
            if ended() {
                return None;
            }
            std::thread::sleep(COMMAND_POLL);
        }
    }

    /// Waits until a tray shows the icon; returns false if none does within `limit`.
    pub(super) fn wait_until_shown(&self, limit: Duration) -> bool {
        let begun = Instant::now();
        while !self.is_shown() && begun.elapsed() < limit {
            std::thread::sleep(COMMAND_POLL);
        }
        self.is_shown()
    }

    /// Counts the icon as shown in a tray that does not exist.
    pub(super) fn pretend_shown(&self) {
        self.shared.shown.store(true, Ordering::Relaxed);
    }
}

impl TrayShared {
    fn command(&self, command: TrayCommand) {
        lock(&self.commands).push(command);
        if let Some(window) = self.window.get() {
            window.request_repaint_of(egui::ViewportId::ROOT);
        }
    }
}
