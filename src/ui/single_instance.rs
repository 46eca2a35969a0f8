//! Single instance: the first window holds a lock, and a second start asks the first window to come to the front.

use std::fs::{File, OpenOptions};
#[cfg(unix)]
use std::io::{Read, Write};
use std::path::PathBuf;
#[cfg(unix)]
use std::time::Duration;

#[cfg(unix)]
use super::display_loss;
use super::display_loss::DisplayAddress;
use crate::config::Paths;
use crate::error::{Error, ErrorKind, Result};
use crate::files::make_private_folder;
#[cfg(unix)]
use crate::supervise;

/// Longest time to wait for a second start of Hearken to send its display address.
#[cfg(unix)]
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest message of a second start of Hearken that is read, in bytes.
#[cfg(unix)]
const MAX_MESSAGE_BYTES: u64 = 16 * 1024;

/// The lock of the user's only Hearken window, held until dropped.
#[derive(Debug)]
pub struct SingleInstance {
    /// Locked file; None if none could be made.
    _lock: Option<File>,
    /// Path of the Unix socket on which a second start asks the window to come to the front.
    socket: PathBuf,
}

impl SingleInstance {
    /// Takes the lock in the cache folder. If another Hearken process holds the lock, asks that process's window to come to the front
    /// and returns `None`. On a file system without locks always succeeds.
    ///
    /// # Errors
    /// When the lock file or its folder cannot be made.
    pub fn claim(paths: &Paths) -> Result<Option<Self>> {
        make_private_folder(&paths.cache)?;
        let path = paths.cache.join("window.lock");
        let failed = |e: std::io::Error| Error::at(ErrorKind::Output, &path, format_args!("the lock file cannot be made: {e}"));
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        let socket = paths.cache.join("window.sock");
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { _lock: Some(lock), socket })),
            Err(std::fs::TryLockError::WouldBlock) => {
                request_raise(&socket);
                Ok(None)
            }
            // A file system without locks must not prevent the window.
            Err(std::fs::TryLockError::Error(_)) => Ok(Some(Self { _lock: Some(lock), socket })),
        }
    }

    /// Does the same as [`SingleInstance::claim`], but does without a lock that cannot be made, because the window opens whatever is wrong
    /// with a folder; a second start then opens another window. Returns the errors as second value.
    #[must_use]
    pub fn claim_or_do_without(paths: &Paths) -> (Option<Self>, Vec<Error>) {
        match Self::claim(paths) {
            Ok(claimed) => (claimed, Vec::new()),
            Err(error) => (Some(Self { _lock: None, socket: paths.cache.join("window.sock") }), vec![error]),
        }
    }

    /// Starts a thread that calls `raise` whenever Hearken is started again, with the address of the display of the second start,
    /// which is empty if not known. If the socket or the thread cannot be made, `raise` is never called.
    #[cfg(unix)]
    pub(super) fn listen(&self, raise: impl Fn(DisplayAddress) + Send + 'static) {
        // A killed instance leaves its socket; the lock shows that there is no other instance.
        let _ = std::fs::remove_file(&self.socket);
        let Ok(listener) = std::os::unix::net::UnixListener::bind(&self.socket) else { return };
        let serve = move || listener.incoming().map_while(std::result::Result::ok).for_each(|stream| raise(read_address(stream)));
        // Without a thread a second start ends quietly and the window stays where it is.
        let _ = supervise::spawn("hearken-raise", serve);
    }

    /// Does nothing: without Unix sockets a second start cannot reach the first window.
    #[cfg(not(unix))]
    pub(super) fn listen(&self, _raise: impl Fn(DisplayAddress) + Send + 'static) {}
}

impl Drop for SingleInstance {
    fn drop(&mut self) {
        // The socket may never have been made.
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Asks the window of the running instance, at the Unix socket `socket`, to come to the front, and sends this process's display
/// address. Does nothing if the instance is just starting or ending and has no socket.
#[cfg(unix)]
fn request_raise(socket: &std::path::Path) {
    let Ok(mut first) = std::os::unix::net::UnixStream::connect(socket) else { return };
    for (name, value) in display_loss::current_display() {
        // Without the address the window comes to the front where it is.
        let _ = first.write_all(format!("{name}={value}\0").as_bytes());
    }
}

/// Returns the display address that a second start of Hearken sends through `stream`; an empty address if the message is not complete
/// within [`READ_TIMEOUT`].
#[cfg(unix)]
fn read_address(stream: std::os::unix::net::UnixStream) -> DisplayAddress {
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

#[cfg(not(unix))]
fn request_raise(_socket: &std::path::Path) {}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// Calls that may wait in the test.
    const CALLS: usize = 4;

    #[test]
    fn a_second_start_raises_the_first_window_and_can_start_after_it() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::inside(home.path());
        let first = SingleInstance::claim(&paths).unwrap().expect("no other instance");
        let (called, calls) = sync_channel(CALLS);
        first.listen(move |from| called.send(from).unwrap());
        assert!(SingleInstance::claim(&paths).unwrap().is_none());
        let from = calls.recv_timeout(Duration::from_secs(5)).expect("the first window is raised");
        assert_eq!(from, display_loss::current_display(), "the first instance learns the display of the second");
        drop(first);
        assert!(SingleInstance::claim(&paths).unwrap().is_some());
    }
}
