//! A display that goes away under the window: the session goes on without one, and the window comes back with the display.
//!
//! Xlib tells a handler that the connection is broken and ends the process when that returns, so the thread that was in the window
//! stays in the handler and looks after the session from there; under Wayland the window's loop ends with an error. There is one
//! window loop in a process (winit makes no second), so the window comes back in the same process made anew: the session is ended
//! as a closed window ends it, and `exec` begins another, which knows how the one before stood. Elsewhere displays do not go away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::session::Session;
use super::{notify, strings};
use crate::config::{Settings, WindowPrefs};
use crate::error::{Error, ErrorKind};
use crate::protocol::Command;

/// Whether a window can come back here.
pub(super) const CAN_COME_BACK: bool = cfg!(target_os = "linux");

/// How often a display is looked for.
const LOOK: Duration = Duration::from_secs(2);
/// How often somebody is looked for who offers one.
const LISTEN: Duration = Duration::from_millis(200);
/// A window that comes back again and again and does not stay is waited for twice as long each time, up to this many times.
const DOUBLED: u32 = 5;
/// A window that stayed for so long has come back for good.
const STAYED: Duration = Duration::from_secs(60);
/// The variable in which a process that is made anew finds how it stood.
const STOOD: &str = "HEARKEN_WITHOUT_WINDOW";
/// The variables that say where the display is.
pub(super) const PLACE: [&str; 4] = ["DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR"];

/// Where a display is: those of the variables of [`PLACE`] that are set.
pub(super) type Place = BTreeMap<String, String>;

/// The session that the handler looks after.
static GUARDED: Mutex<Weak<Session>> = Mutex::new(Weak::new());
/// A display that a second start has offered.
static OFFERED: Mutex<Option<Place>> = Mutex::new(None);

/// How a session stood that lost its display.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stood {
    /// How many times in a row the window was lost soon; 0: it never was.
    lost: u32,
    paused: bool,
    pub(super) do_not_disturb: bool,
}

impl Stood {
    /// How the one before stood, where this process was made anew.
    pub(super) fn before() -> Self {
        std::env::var(STOOD).map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let words = || text.split_whitespace();
        Self {
            lost: words().next().and_then(|n| n.parse().ok()).unwrap_or(0),
            paused: words().any(|word| word == "paused"),
            do_not_disturb: words().any(|word| word == "undisturbed"),
        }
    }

    fn text(self) -> String {
        let word = |on: bool, word: &str| if on { format!(" {word}") } else { String::new() };
        format!("{}{}{}", self.lost, word(self.paused, "paused"), word(self.do_not_disturb, "undisturbed"))
    }

    /// Whether there was a session without a window before this one.
    pub(super) const fn was_without(self) -> bool {
        self.lost > 0
    }

    /// Brings `session` to where the one before it was: who paused it means it.
    pub(super) fn restore(self, session: &Session) {
        if self.paused {
            session.engine.send(Command::Pause);
        }
    }

    fn patience(self) -> Duration {
        LOOK * 2_u32.pow(self.lost.min(DOUBLED))
    }
}

/// The settings as a process takes them that was made anew: what the one before recorded is not written over.
#[must_use]
pub fn resumed_settings(mut settings: Settings) -> Settings {
    if Stood::before().was_without()
        && let Some(path) = &settings.save_audio
    {
        let (stem, form) = (path.file_stem().unwrap_or_default(), path.extension().unwrap_or_default());
        let named = |n: usize| path.with_file_name(format!("{}-{n}.{}", stem.to_string_lossy(), form.to_string_lossy()));
        settings.save_audio = (2..).map(named).find(|path| !path.exists());
    }
    settings
}

/// From now on `session` goes on when the display goes away.
pub(super) fn guard(session: &Arc<Session>) {
    *GUARDED.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(session);
    #[cfg(target_os = "linux")]
    x11::tell_me_when_it_breaks();
}

/// A second start offers its display: a window that has none appears there.
pub(super) fn offer(place: Place) {
    if !place.is_empty() {
        *OFFERED.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }
}

/// Where the display of this process is.
pub(super) fn place() -> Place {
    PLACE.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok().filter(|value| !value.is_empty())?))).collect()
}

/// Says that the display is gone, lets `session` go on, and makes this process anew when there is a display again.
/// Comes back with what hinders that.
pub(super) fn go_on_without(session: &Session) -> Error {
    let before = if session.began.elapsed() > STAYED { Stood::default() } else { Stood::before() };
    say_gone(session);
    OFFERED.lock().unwrap_or_else(PoisonError::into_inner).take();
    let gone = Instant::now();
    let place = loop {
        let offered = wait_for_offer();
        if !session.engine.is_running() {
            return Error::new(ErrorKind::Display, "the display is gone, and listening has ended");
        }
        // Who logs out takes the display along, and expects that nothing listens on.
        if logged_out() {
            session.end();
            session.history.close();
            return Error::new(ErrorKind::Display, "you have logged out, and listening has ended");
        }
        if offered.is_some() || gone.elapsed() >= before.patience() && is_there() {
            break offered;
        }
    };
    let paused = session.engine.meters().read().paused;
    let stands = Stood { lost: before.lost + 1, paused, do_not_disturb: session.heard.alerts().do_not_disturb };
    session.end();
    session.history.close();
    begin_anew(stands, place)
}

/// Waits for as long as from one look at the display to the next.
fn wait_for_offer() -> Option<Place> {
    for _ in 0..LOOK.as_millis() / LISTEN.as_millis() {
        std::thread::sleep(LISTEN);
        if let Some(place) = OFFERED.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Some(place);
        }
    }
    None
}

/// In plain words to whoever can still read them: stderr, the desktop, and the log.
fn say_gone(session: &Session) {
    let s = strings::table(WindowPrefs::read(&session.paths).0.language);
    let what = strings::fill(s.display_gone, std::process::id());
    // The terminal may have gone with the display.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("hearken: {what}\n").as_bytes());
    notify::tell(notify::Urgency::Normal, s.display_gone_title, &what);
    session.note(&Error::new(ErrorKind::Display, what));
}

/// Whether the display of this process answers.
#[cfg(target_os = "linux")]
pub(super) fn is_there() -> bool {
    let place = place();
    match (place.get("WAYLAND_DISPLAY"), place.get("XDG_RUNTIME_DIR")) {
        (Some(name), Some(folder)) => std::os::unix::net::UnixStream::connect(std::path::Path::new(folder).join(name)).is_ok(),
        _ => x11::answers(),
    }
}

/// Elsewhere a display does not go away.
#[cfg(not(target_os = "linux"))]
pub(super) const fn is_there() -> bool {
    true
}

/// Whether the login that this process belongs to has ended, as far as systemd-logind tells (`sd-login(3)`: a session's file goes
/// away with it, and its state is `closing` while programs of it still run). Without a login, as on a remote display, nobody logs out.
#[cfg(target_os = "linux")]
fn logged_out() -> bool {
    let sessions = std::path::Path::new("/run/systemd/sessions");
    let Some(login) = std::env::var_os("XDG_SESSION_ID").filter(|_| sessions.is_dir()) else { return false };
    std::fs::read_to_string(sessions.join(login)).map_or_else(|e| e.kind() == std::io::ErrorKind::NotFound, |file| is_closing(&file))
}

#[cfg(not(target_os = "linux"))]
const fn logged_out() -> bool {
    false
}

/// Whether a session's file of systemd-logind says that it ends.
#[cfg(any(target_os = "linux", test))]
fn is_closing(file: &str) -> bool {
    file.lines().any(|line| line == "STATE=closing")
}

/// Replaces this process by one that begins with a window, at `place` where that is another one. Its number, its terminal and its
/// arguments stay.
#[cfg(target_os = "linux")]
fn begin_anew(stood: Stood, place: Option<Place>) -> Error {
    use std::os::unix::process::CommandExt;
    let mut arguments = std::env::args_os();
    // By this name it is found even after an update has put another file into its place.
    let mut command = std::process::Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env(STOOD, stood.text());
    if let Some(place) = place {
        for name in PLACE {
            command.env_remove(name);
        }
        command.envs(place);
    }
    Error::new(ErrorKind::Display, format!("the window cannot come back: {}", command.exec()))
}

#[cfg(not(target_os = "linux"))]
fn begin_anew(_: Stood, _: Option<Place>) -> Error {
    Error::new(ErrorKind::Display, "the window cannot come back")
}

/// The two things that are wanted of Xlib.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "Xlib is C, and its handler of a broken connection is the only way to outlive one")]
mod x11 {
    use std::ffi::c_int;
    use std::sync::PoisonError;
    use std::sync::atomic::{AtomicBool, Ordering};

    use x11_dl::xlib::{Display, Xlib};

    /// Without Xlib there is no window on X11 that could lose its display.
    pub(super) fn tell_me_when_it_breaks() {
        if let Ok(xlib) = Xlib::open() {
            // SAFETY: the handler is a function of the form that Xlib asks for (XSetIOErrorHandler(3)) and lives as long as the process.
            // Xlib, which calls it, is never unloaded either (`x11_dl` keeps what it has opened).
            unsafe { (xlib.XSetIOErrorHandler)(Some(broken)) };
        }
    }

    /// Whether the display that `DISPLAY` names takes a connection.
    pub(super) fn answers() -> bool {
        let Ok(xlib) = Xlib::open() else { return false };
        // SAFETY: a null name means `DISPLAY`; what was opened is closed once, and used by nobody else.
        unsafe {
            let display = (xlib.XOpenDisplay)(std::ptr::null());
            if !display.is_null() {
                (xlib.XCloseDisplay)(display);
            }
            !display.is_null()
        }
    }

    /// Called by Xlib when a connection is broken. Xlib ends the process when it returns.
    unsafe extern "C" fn broken(_: *mut Display) -> c_int {
        static WITHOUT: AtomicBool = AtomicBool::new(false);
        let session = super::GUARDED.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(session) = session
            && !WITHOUT.swap(true, Ordering::Relaxed)
        {
            let error = super::go_on_without(&session);
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("hearken: {error}\n").as_bytes());
        }
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_stood_is_what_the_process_that_is_made_anew_finds() {
        for (lost, paused, do_not_disturb) in [(0, false, false), (1, true, false), (7, false, true), (2, true, true)] {
            let stood = Stood { lost, paused, do_not_disturb };
            assert_eq!(Stood::parse(&stood.text()), stood);
        }
        assert_eq!(Stood::parse(""), Stood::default());
        assert!(!Stood::default().was_without() && Stood::parse("1").was_without());
    }

    #[test]
    fn who_logs_out_is_told_from_who_is_logged_in() {
        let file = |state: &str| format!("# This is private data. Do not parse.\nUID=1000\nACTIVE=0\nSTATE={state}\nREMOTE=0\n");
        assert!(is_closing(&file("closing")));
        assert!(!is_closing(&file("active")) && !is_closing(&file("online")) && !is_closing(""));
    }

    #[test]
    fn a_window_that_does_not_stay_is_waited_for_longer_but_never_for_ever() {
        let after = |lost| Stood { lost, ..Stood::default() }.patience();
        assert_eq!((after(0), after(1), after(3), after(40)), (LOOK, LOOK * 2, LOOK * 8, LOOK * 32));
    }
}
