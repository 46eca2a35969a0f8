//! Single instance: the first window holds a lock, and a second start asks the first window to come to the front.

use std::fs::{File, OpenOptions};
use std::io;
#[cfg(unix)]
use std::io::{Read, Write};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;
#[cfg(unix)]
use std::sync::Mutex;
#[cfg(unix)]
use std::time::{Duration, Instant};

#[cfg(unix)]
use super::display_loss;
use super::display_loss::DisplayAddress;
use crate::config::Paths;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::make_private_folder;
#[cfg(unix)]
use crate::supervise::{self, lock};

/// Longest time to wait for a second start of Hearken to send its display address.
#[cfg(unix)]
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest message of a second start of Hearken that is read, in bytes.
#[cfg(unix)]
const MAX_MESSAGE_BYTES: u64 = 16 * 1024;

/// Longest path of a Unix socket that every system takes, in bytes (`sun_path` in `unix(7)`: 104 on macOS, with its end).
#[cfg(unix)]
const LONGEST_SOCKET: usize = 103;
/// Name of the socket in the cache folder.
const SOCKET: &str = "window.sock";
/// Longest time for which a second start tries to reach the first window, and interval of the attempts: the first may be just starting.
#[cfg(unix)]
const REACH_LIMIT: Duration = Duration::from_secs(2);
#[cfg(unix)]
const REACH_INTERVAL: Duration = Duration::from_millis(50);

/// The lock of the user's only Hearken window, held until dropped.
#[derive(Debug)]
pub struct SingleInstance {
    /// Locked file; None if none could be made.
    _lock: Option<File>,
    /// Unix socket on which a second start asks the window to come to the front; None if it could not be made.
    #[cfg(unix)]
    socket: Option<FrontSocket>,
}

/// The socket of the first window.
#[cfg(unix)]
#[derive(Debug)]
struct FrontSocket {
    path: PathBuf,
    /// None once a thread serves it.
    listener: Mutex<Option<UnixListener>>,
}

impl SingleInstance {
    /// Takes the lock in the cache folder; `None` if another Hearken process holds it. On a file system without locks always succeeds.
    ///
    /// # Errors
    /// When the lock file or its folder cannot be made.
    fn claim(paths: &Paths) -> Result<Option<Self>> {
        make_private_folder(&paths.cache)?;
        let path = paths.cache.join("window.lock");
        let failed = |e: io::Error| {
            Error::at(ErrorKind::Output, &path, format_args!("the lock file cannot be made: {e}")).with_remedy(Remedy::for_write(&e))
        };
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match lock.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            // A file system without locks must not prevent the window.
            Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(Some(Self {
                _lock: Some(lock),
                #[cfg(unix)]
                socket: FrontSocket::bind(paths.cache.join(SOCKET)),
            })),
        }
    }

    /// Takes the lock of the window. A lock that cannot be made is done without, because the window opens whatever is wrong with a
    /// folder; a second start then opens another window. The second value says why.
    ///
    /// If another Hearken process has a window, returns no lock: a start without `options` brings that window to the front, and one with
    /// `--hidden` alone leaves it as it is.
    ///
    /// # Errors
    /// `Arguments` when another process has a window and `options`, the names of those that were typed, ask for more; `Display` when its
    /// window cannot be reached.
    pub fn claim_or_do_without(paths: &Paths, options: &[&str]) -> Result<(Option<Self>, Vec<Error>)> {
        match (Self::claim(paths), options) {
            (Ok(Some(first)), _) => Ok((Some(first), Vec::new())),
            (Ok(None), ["--hidden"]) => Ok((None, Vec::new())),
            (Ok(None), []) => request_raise(&paths.cache.join(SOCKET)).map(|()| (None, Vec::new())),
            (Ok(None), options) => Err(options_not_taken(options)),
            (Err(error), _) => {
                let first = Self {
                    _lock: None,
                    #[cfg(unix)]
                    socket: None,
                };
                Ok((Some(first), vec![error]))
            }
        }
    }

    /// Starts a thread that calls `raise` whenever Hearken is started again, with the address of the display of the second start,
    /// which is empty if not known. If the socket or the thread cannot be made, `raise` is never called.
    #[cfg(unix)]
    pub(super) fn listen(&self, raise: impl Fn(DisplayAddress) + Send + 'static) {
        let Some(listener) = self.socket.as_ref().and_then(|socket| lock(&socket.listener).take()) else { return };
        let serve = move || listener.incoming().map_while(io::Result::ok).for_each(|stream| raise(read_address(stream)));
        // Without a thread a second start is told that the window cannot be reached.
        let _ = supervise::spawn("hearken-raise", serve);
    }

    /// Does nothing: without Unix sockets a second start cannot reach the first window.
    #[cfg(not(unix))]
    pub(super) fn listen(&self, _raise: impl Fn(DisplayAddress) + Send + 'static) {}
}

#[cfg(unix)]
impl FrontSocket {
    /// Binds the socket `path`, at which a second start waits until it is served; None if it cannot be made.
    fn bind(path: PathBuf) -> Option<Self> {
        // A killed instance leaves its socket; the lock shows that there is no other instance.
        let _ = std::fs::remove_file(&path);
        let listener = at_short_path(&path, |path| UnixListener::bind(path)).ok()?;
        Some(Self { path, listener: Mutex::new(Some(listener)) })
    }
}

#[cfg(unix)]
impl Drop for FrontSocket {
    fn drop(&mut self) {
        // Somebody may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Returns the error of a second start with options, which the window that is open does not take.
fn options_not_taken(options: &[&str]) -> Error {
    let why = format!("Hearken is running already, and its window takes no options: {}", options.join(", "));
    Error::new(ErrorKind::Arguments, why).with_remedy(Remedy::QuitFirst)
}

/// Returns the error of a second start that cannot reach the first window.
fn out_of_reach(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Display, format!("Hearken is running already, but its window cannot be brought to the front ({why})"))
}

/// Calls `act` with a path that leads to the socket `path` and is short enough for its address: a long one through the open folder,
/// which Linux names briefly.
#[cfg(unix)]
fn at_short_path<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    use std::os::fd::AsRawFd;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return act(path) };
    if path.as_os_str().len() <= LONGEST_SOCKET {
        return act(path);
    }
    let folder = File::open(folder)?;
    act(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

/// Asks the window of the running instance, at the Unix socket `socket`, to come to the front, and sends this process's display
/// address.
///
/// # Errors
/// `Display` when the instance has no socket, also after [`REACH_LIMIT`].
#[cfg(unix)]
fn request_raise(socket: &Path) -> Result<()> {
    let begun = Instant::now();
    let mut first = loop {
        match at_short_path(socket, |path| UnixStream::connect(path)) {
            Ok(first) => break first,
            Err(e) if begun.elapsed() > REACH_LIMIT => return Err(out_of_reach(e)),
            Err(_) => std::thread::sleep(REACH_INTERVAL),
        }
    };
    for (name, value) in display_loss::current_display() {
        // Without the address the window comes to the front where it is.
        let _ = first.write_all(format!("{name}={value}\0").as_bytes());
    }
    Ok(())
}

/// Says that the window cannot be reached.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
fn request_raise(_: &Path) -> Result<()> {
    Err(out_of_reach("this system has no way to ask for it"))
}

/// Returns the display address that a second start of Hearken sends through `stream`; an empty address if the message is not complete
/// within [`READ_TIMEOUT`].
#[cfg(unix)]
fn read_address(stream: UnixStream) -> DisplayAddress {
    let mut text = String::new();
    let read = stream.set_read_timeout(Some(READ_TIMEOUT)).and_then(|()| stream.take(MAX_MESSAGE_BYTES).read_to_string(&mut text));
    if read.is_err() {
        return DisplayAddress::new();
    }
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(name, _)| display_loss::DISPLAY_VARIABLES.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// Calls that may wait in the test.
    const CALLS: usize = 4;

    /// Claims the window of `paths` and returns it; None if there is another.
    fn start(paths: &Paths, options: &[&str]) -> Result<Option<SingleInstance>> {
        SingleInstance::claim_or_do_without(paths, options).map(|(instance, _)| instance)
    }

    #[test]
    fn a_second_start_raises_the_first_window_and_can_start_after_it() {
        let home = tempfile::tempdir().unwrap();
        // The path of its socket is longer than a socket's address may be.
        for inside in ["short".to_owned(), "long".repeat(40)] {
            let paths = Paths::inside(&home.path().join(inside));
            let first = start(&paths, &[]).unwrap().expect("no other instance");
            let (called, calls) = sync_channel(CALLS);
            assert!(start(&paths, &[]).unwrap().is_none(), "before the first is served");
            first.listen(move |from| called.send(from).unwrap());
            assert!(start(&paths, &[]).unwrap().is_none());
            for _ in 0..2 {
                let from = calls.recv_timeout(Duration::from_secs(5)).expect("the first window is raised");
                assert_eq!(from, display_loss::current_display(), "the first instance learns the display of the second");
            }
            drop(first);
            assert!(!paths.cache.join(SOCKET).exists());
            assert!(start(&paths, &["--modes"]).unwrap().is_some());
        }
    }

    #[test]
    fn a_second_start_with_options_names_those_that_are_not_taken() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::inside(home.path());
        let first = start(&paths, &["--save-audio"]).unwrap().expect("no other instance");
        let (called, calls) = sync_channel(CALLS);
        first.listen(move |from| called.send(from).unwrap());
        let error = start(&paths, &["--modes", "--save-audio"]).unwrap_err();
        assert!(error.kind() == ErrorKind::Arguments && error.message().contains("--modes, --save-audio"), "{error}");
        assert!(start(&paths, &["--hidden"]).unwrap().is_none(), "it runs already");
        assert!(calls.recv_timeout(Duration::from_millis(300)).is_err(), "the first window stays as it is");
        std::fs::remove_file(paths.cache.join(SOCKET)).unwrap();
        let error = start(&paths, &[]).unwrap_err();
        assert!(error.message().contains("running already"), "{error}");
    }
}
