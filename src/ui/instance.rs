//! One window at a time: the first holds a lock, and a second start asks it to come to the front.

use std::fs::{File, OpenOptions};
#[cfg(unix)]
use std::io::{Read, Write};
use std::path::PathBuf;
#[cfg(unix)]
use std::time::Duration;

use super::display::{self, Place};
use crate::config::Paths;
use crate::error::{Error, Result};
use crate::files::make_private_folder;

/// How long another start may take to say where its display is, and how many bytes.
#[cfg(unix)]
const PATIENCE: Duration = Duration::from_secs(1);
#[cfg(unix)]
const MOST_BYTES: u64 = 16 * 1024;

/// The right to be the window, held until it is dropped.
#[derive(Debug)]
pub struct SingleInstance {
    _lock: File,
    socket: PathBuf,
}

impl SingleInstance {
    /// Claims that right; None when another Hearken has it, whose window was asked to come to the front.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn claim(paths: &Paths) -> Result<Option<Self>> {
        make_private_folder(&paths.cache)?;
        let path = paths.cache.join("window.lock");
        let failed = |e: std::io::Error| Error::cannot_write(&path, &e);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        let socket = paths.cache.join("window.sock");
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { _lock: lock, socket })),
            Err(std::fs::TryLockError::WouldBlock) => {
                raise(&socket);
                Ok(None)
            }
            // A file system without locks must not keep the window shut.
            Err(std::fs::TryLockError::Error(_)) => Ok(Some(Self { _lock: lock, socket })),
        }
    }

    /// Calls `raise` whenever another start asks for this window, with the place of the display that it was started at.
    #[cfg(unix)]
    pub(super) fn listen(&self, raise: impl Fn(Place) + Send + 'static) {
        // What an instance that was killed left behind; the lock says that there is no other.
        let _ = std::fs::remove_file(&self.socket);
        let Ok(listener) = std::os::unix::net::UnixListener::bind(&self.socket) else { return };
        let wait = move || listener.incoming().map_while(std::result::Result::ok).for_each(|asker| raise(place_in(asker)));
        // Without this thread a second start ends quietly and the window stays where it is.
        let _ = std::thread::Builder::new().name("hearken-raise".into()).spawn(wait);
    }

    /// Elsewhere a second start ends and says that there is a first.
    #[cfg(not(unix))]
    pub(super) fn listen(&self, _raise: impl Fn(Place) + Send + 'static) {}
}

impl Drop for SingleInstance {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_file(&self.socket);
    }
}

#[cfg(unix)]
fn raise(socket: &std::path::Path) {
    // A first instance that is just starting or ending has no socket; it is there or gone in a moment.
    let Ok(mut first) = std::os::unix::net::UnixStream::connect(socket) else { return };
    for (name, value) in display::place() {
        // Without it the window comes to the front where it is.
        let _ = first.write_all(format!("{name}={value}\0").as_bytes());
    }
}

/// What another start says of its display; nothing where it says that too slowly.
#[cfg(unix)]
fn place_in(asker: std::os::unix::net::UnixStream) -> Place {
    let mut said = String::new();
    let heard = asker.set_read_timeout(Some(PATIENCE)).and_then(|()| asker.take(MOST_BYTES).read_to_string(&mut said));
    if heard.is_err() {
        return Place::new();
    }
    let pairs = said.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| display::PLACE.contains(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(not(unix))]
fn raise(_socket: &std::path::Path) {}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// Calls that may wait in the test.
    const CALLS: usize = 4;

    #[test]
    fn a_second_start_raises_the_first_and_the_next_after_it_is_a_first_again() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::inside(home.path());
        let first = SingleInstance::claim(&paths).unwrap().expect("nobody else is there");
        let (called, calls) = sync_channel(CALLS);
        first.listen(move |from| called.send(from).unwrap());
        assert!(SingleInstance::claim(&paths).unwrap().is_none());
        let from = calls.recv_timeout(Duration::from_secs(5)).expect("it was raised");
        assert_eq!(from, display::place(), "it learns where the other was started");
        drop(first);
        assert!(SingleInstance::claim(&paths).unwrap().is_some());
    }
}
