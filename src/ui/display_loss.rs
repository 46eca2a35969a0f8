//! Loss of the display: the session goes on without a window, and the window returns with the display.
//!
//! Xlib reports a broken connection to a handler and ends the process when the handler returns, so the thread of the window stays in
//! the handler and runs the session from there. Under Wayland the window's event loop ends with an error. winit allows one event loop
//! per process, so to show a window again Hearken ends the session and executes itself anew (`exec`), passing the state of the session
//! in an environment variable. Linux only: elsewhere a display does not go away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::alerts::DoNotDisturb;
use super::notify;
use super::running_session::RunningSession;
use super::strings::{self, Strings};
use crate::config::{Settings, StartState, WindowPrefs};
use crate::error::{Error, ErrorKind};
use crate::files::exists;
use crate::supervise::lock;

/// True on systems where the window can return after a loss of the display: on Linux.
pub(super) const CAN_RETURN: bool = cfg!(target_os = "linux");

/// Shortest interval between two attempts to connect to the lost display.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Interval at which a session without a window checks whether a second start of Hearken has offered another display.
const OFFER_POLL: Duration = Duration::from_millis(200);
/// Maximum number of doublings of the interval between two attempts to connect to a display. The interval doubles with each
/// window in a row that is lost soon after it was opened.
const MAX_DOUBLINGS: u32 = 5;
/// Time after which a window that loses its display does not count as lost early, from when the window was opened.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// Name of the environment variable in which a process passes the [`ResumeState`] to the process that replaces it.
const STATE_VARIABLE: &str = "HEARKEN_WITHOUT_WINDOW";
/// Names of the environment variables that tell a program which X11 or Wayland display to use.
pub(super) const DISPLAY_VARIABLES: [&str; 4] = ["DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR"];

/// The address of an X11 or Wayland display: the names of the [`DISPLAY_VARIABLES`] that are set, with their values.
pub(super) type DisplayAddress = BTreeMap<String, String>;

/// The session that the Xlib handler keeps running after a loss of the display; a dangling reference before the call of
/// [`guard`].
static GUARDED: Mutex<Weak<RunningSession>> = Mutex::new(Weak::new());
/// The display that a second start of Hearken has offered to the session; `None` before an offer and once the session has taken
/// it.
static OFFERED: Mutex<Option<DisplayAddress>> = Mutex::new(None);

/// The data that a process without a display passes to the process that replaces it and shows a window again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ResumeState {
    /// Number of windows lost early in a row; 0 in a process that was started normally.
    losses: u32,
    /// True if listening is paused.
    paused: bool,
    pub(super) do_not_disturb: DoNotDisturb,
}

impl ResumeState {
    /// Returns the data that the previous process passed in the environment, or the default (no loss, not paused) after a normal
    /// start.
    pub(super) fn from_environment() -> Self {
        std::env::var(STATE_VARIABLE).map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let words = || text.split_whitespace();
        Self {
            losses: words().next().and_then(|n| n.parse().ok()).unwrap_or(0),
            paused: words().any(|word| word == "paused"),
            do_not_disturb: if words().any(|word| word == "undisturbed") { DoNotDisturb::On } else { DoNotDisturb::Off },
        }
    }

    fn text(self) -> String {
        let word = |on: bool, word: &str| if on { format!(" {word}") } else { String::new() };
        format!("{}{}{}", self.losses, word(self.paused, "paused"), word(self.do_not_disturb == DoNotDisturb::On, "undisturbed"))
    }

    /// Returns true if this process replaces a process that lost its display.
    pub(super) const fn follows_a_loss(self) -> bool {
        self.losses > 0
    }

    fn retry_after(self) -> Duration {
        RETRY_INTERVAL * 2_u32.pow(self.losses.min(MAX_DOUBLINGS))
    }
}

/// Returns `settings` as the session of a window starts with them: paused until the user has answered the welcome card, because nothing
/// is captured before. If this process replaces another, a session that was paused starts paused too, and the audio recording
/// (`save_audio`) goes to a new file `NAME-2.wav`, `NAME-3.wav` …, so that the previous recording is kept.
#[must_use]
pub fn starting_settings(mut settings: Settings) -> Settings {
    let resumed = ResumeState::from_environment();
    if resumed.paused || !WindowPrefs::read(&settings.paths).0.welcomed {
        settings.start = StartState::Paused;
    }
    if replaces_another()
        && let Some(path) = &settings.save_audio
    {
        let (stem, form) = (path.file_stem().unwrap_or_default(), path.extension().unwrap_or_default());
        let named = |n: usize| path.with_file_name(format!("{}-{n}.{}", stem.to_string_lossy(), form.to_string_lossy()));
        settings.save_audio = (2..).map(named).find(|path| !exists(path));
    }
    settings
}

/// Keeps `session` running without a window if the connection to an X11 display breaks from now on, which would otherwise end the
/// process. Holds the session weakly. The loss of a Wayland display is not handled here.
pub(super) fn guard(session: &Arc<RunningSession>) {
    *lock(&GUARDED) = Arc::downgrade(session);
    #[cfg(target_os = "linux")]
    x11::install_handler();
}

/// Offers the display at `address`, on which Hearken was started a second time, to the running session: a session without a
/// window then shows its window there. Does nothing if `address` is empty.
pub(super) fn offer_display(address: DisplayAddress) {
    if !address.is_empty() {
        *lock(&OFFERED) = Some(address);
    }
}

/// Returns the address of this process's display, from its environment.
pub(super) fn current_display() -> DisplayAddress {
    let set = |name: &&str| Some(((*name).to_owned(), std::env::var(name).ok().filter(|value| !value.is_empty())?));
    DISPLAY_VARIABLES.iter().filter_map(set).collect()
}

/// Announces the loss of the display, waits while `session` runs without a window, and replaces this process by a new one (`exec`)
/// once there is a display. Returns only if the replacement fails, the session ends before, or the user has logged out: the error
/// says which.
pub(super) fn run_without_window(session: &RunningSession) -> Error {
    let previous = if session.began.elapsed() > STABLE_AFTER { ResumeState::default() } else { ResumeState::from_environment() };
    let s = strings::table(WindowPrefs::read(&session.paths).0.language);
    announce(session, s);
    lock(&OFFERED).take();
    let lost_at = Instant::now();
    let address = loop {
        let offered = wait_for_offer();
        if !session.engine.is_running() {
            return Error::new(ErrorKind::Display, "the display is gone, and listening has ended");
        }
        // A logout takes the display along, and nobody expects a program to listen on after it.
        if has_logged_out() {
            session.end();
            session.history.close();
            return Error::new(ErrorKind::Display, "you have logged out, and listening has ended");
        }
        if offered.is_some() || lost_at.elapsed() >= previous.retry_after() && is_available() {
            break offered;
        }
    };
    // The transcript may be locked for good: the handler runs on the thread that paints. The meters have no lock.
    let paused = session.engine.meters().read().paused;
    let state = ResumeState { losses: previous.losses + 1, paused, do_not_disturb: session.data.alerts().do_not_disturb };
    session.end();
    session.history.close();
    re_exec(state, address)
}

/// Returns true in a process that replaces another one, and therefore shows its window.
pub(super) fn replaces_another() -> bool {
    std::env::var_os(STATE_VARIABLE).is_some()
}

/// Ends `session`, which went on in the tray, and replaces this process by a new one (`exec`), whose window opens. Returns only on
/// failure.
pub(super) fn reopen(session: &RunningSession) -> Error {
    let paused = session.engine.meters().read().paused;
    let state = ResumeState { losses: 0, paused, do_not_disturb: session.data.alerts().do_not_disturb };
    session.end();
    session.history.close();
    re_exec(state, None)
}

/// Waits until a second start of Hearken offers a display, takes the offer and returns the display's address. Returns `None` if
/// there is no offer within [`RETRY_INTERVAL`].
fn wait_for_offer() -> Option<DisplayAddress> {
    for _ in 0..RETRY_INTERVAL.as_millis() / OFFER_POLL.as_millis() {
        std::thread::sleep(OFFER_POLL);
        if let Some(address) = lock(&OFFERED).take() {
            return Some(address);
        }
    }
    None
}

/// Announces the loss of the display on stderr, as a desktop notification, and as a problem in the history and the log.
fn announce(session: &RunningSession, s: &'static Strings) {
    let text = strings::fill(s.display_gone, std::process::id());
    // The terminal may have gone with the display.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("hearken: {text}\n").as_bytes());
    session.note(ErrorKind::Display, &text);
    notify::show(&notify::Notification { urgency: notify::Urgency::Normal, title: s.display_gone_title, text });
}

/// Returns true if the display of this process accepts a connection: the Wayland display if the environment names one, else the
/// X11 display.
#[cfg(target_os = "linux")]
pub(super) fn is_available() -> bool {
    let address = current_display();
    match (address.get("WAYLAND_DISPLAY"), address.get("XDG_RUNTIME_DIR")) {
        (Some(name), Some(folder)) => std::os::unix::net::UnixStream::connect(std::path::Path::new(folder).join(name)).is_ok(),
        _ => x11::accepts_connections(),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) const fn is_available() -> bool {
    true
}

/// Returns true if the login session of this process has ended according to systemd-logind (`sd-login(3)`): the file of the
/// session is gone, or its state is `closing` while programs of the session still run. Without a login, as on a remote display,
/// always false.
#[cfg(target_os = "linux")]
fn has_logged_out() -> bool {
    let sessions = std::path::Path::new("/run/systemd/sessions");
    let Some(login) = std::env::var_os("XDG_SESSION_ID").filter(|_| sessions.is_dir()) else { return false };
    std::fs::read_to_string(sessions.join(login)).map_or_else(|e| e.kind() == std::io::ErrorKind::NotFound, |file| is_closing(&file))
}

#[cfg(not(target_os = "linux"))]
const fn has_logged_out() -> bool {
    false
}

/// Returns true if `file`, the content of a session file of systemd-logind, has the state `closing`.
#[cfg(any(target_os = "linux", test))]
fn is_closing(file: &str) -> bool {
    file.lines().any(|line| line == "STATE=closing")
}

/// Replaces this process by a new one (`exec`) with the same process number, terminal and arguments, and passes `state` to the new
/// process. The new process uses the display `address`, or the display of this process if `None`. Returns only on failure.
#[cfg(target_os = "linux")]
fn re_exec(state: ResumeState, address: Option<DisplayAddress>) -> Error {
    use std::os::unix::process::CommandExt;
    let mut arguments = std::env::args_os();
    // This path still works after an update has replaced the file of the program.
    let mut command = std::process::Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env(STATE_VARIABLE, state.text());
    if let Some(address) = address {
        for name in DISPLAY_VARIABLES {
            command.env_remove(name);
        }
        command.envs(address);
    }
    Error::new(ErrorKind::Display, format!("the window cannot return: {}", command.exec()))
}

#[cfg(not(target_os = "linux"))]
fn re_exec(_: ResumeState, _: Option<DisplayAddress>) -> Error {
    Error::new(ErrorKind::Display, "the window cannot return")
}

/// The calls of Xlib that need unsafe code: installing the handler of a broken connection, and trying a display.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "Xlib is C, and its handler of a broken connection is the only way to outlive one")]
mod x11 {
    use std::ffi::c_int;
    use std::sync::atomic::{AtomicBool, Ordering};

    use x11_dl::xlib::{Display, Xlib};

    /// Installs the handler that Xlib calls when the connection to the display breaks. Does nothing if Xlib cannot be loaded:
    /// then there is no X11 window that could lose its display.
    pub(super) fn install_handler() {
        if let Ok(xlib) = Xlib::open() {
            // SAFETY: the handler has the signature of XSetIOErrorHandler(3) and lives as long as the process. Xlib, which calls it,
            // is never unloaded either: `x11_dl` keeps opened libraries.
            unsafe { (xlib.XSetIOErrorHandler)(Some(connection_broken)) };
        }
    }

    /// Returns true if the display named by `DISPLAY` accepts a connection.
    pub(super) fn accepts_connections() -> bool {
        let Ok(xlib) = Xlib::open() else { return false };
        // SAFETY: a null name means `DISPLAY`; an opened display is closed once and used by nobody else.
        unsafe {
            let display = (xlib.XOpenDisplay)(std::ptr::null());
            if !display.is_null() {
                (xlib.XCloseDisplay)(display);
            }
            !display.is_null()
        }
    }

    /// Keeps the session running after the connection to the display has broken; called by Xlib, which ends the process if the
    /// handler returns.
    unsafe extern "C" fn connection_broken(_: *mut Display) -> c_int {
        static ENTERED: AtomicBool = AtomicBool::new(false);
        let session = super::lock(&super::GUARDED).upgrade();
        if let Some(session) = session
            && !ENTERED.swap(true, Ordering::Relaxed)
        {
            let error = super::run_without_window(&session);
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("hearken: {error}\n").as_bytes());
        }
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_reads_the_state_that_the_previous_one_wrote() {
        let (on, off) = (DoNotDisturb::On, DoNotDisturb::Off);
        for (losses, paused, do_not_disturb) in [(0, false, off), (1, true, off), (7, false, on), (2, true, on)] {
            let state = ResumeState { losses, paused, do_not_disturb };
            assert_eq!(ResumeState::parse(&state.text()), state);
        }
        assert_eq!(ResumeState::parse(""), ResumeState::default());
        assert!(!ResumeState::default().follows_a_loss() && ResumeState::parse("1").follows_a_loss());
    }

    #[test]
    fn only_a_closing_login_session_counts_as_logged_out() {
        let file = |state: &str| format!("# This is private data. Do not parse.\nUID=1000\nACTIVE=0\nSTATE={state}\nREMOTE=0\n");
        assert!(is_closing(&file("closing")));
        assert!(!is_closing(&file("active")) && !is_closing(&file("online")) && !is_closing(""));
    }

    #[test]
    fn the_retry_interval_doubles_with_early_losses_up_to_a_limit() {
        let after = |losses| ResumeState { losses, ..ResumeState::default() }.retry_after();
        assert_eq!(
            (after(0), after(1), after(3), after(40)),
            (RETRY_INTERVAL, RETRY_INTERVAL * 2, RETRY_INTERVAL * 8, RETRY_INTERVAL * 32)
        );
    }
}
