//! One file: from where it stopped, through whatever goes wrong, to a blob whose bytes are those that the hub lists.
//!
//! The bytes go into a partial file of our own as they come, and are summed on the way. A resumed download overlaps what is here
//! by a few bytes, the seam: hf-hub hides the server's Content-Range, and equal bytes prove more than a header does. Only a file
//! that adds up is renamed to its blob. Not responsible for which files are wanted.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::cache::{Repository, is_whole, unwritable};
use super::checksum::Sum;
use super::control::{Board, Control, Stopped};
use super::listing::{Listing, Wanted};
use super::remote::{Body, Fault, Remote};
use super::settings::Patience;
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Bytes that a resumed download repeats.
pub const SEAM: u64 = 64;
/// How often it is looked whether another program has finished the file.
const LOCK_LOOK: Duration = Duration::from_millis(200);
/// Times that a file may come with wrong bytes.
const WRONG_TWICE: u32 = 2;
/// Bytes that are read at a time when what is here is summed.
const READ_BYTES: usize = 1 << 20;

/// How a fetch ended without the file.
#[derive(Debug)]
pub enum Ended {
    /// The user wants no more.
    Stopped,
    /// It failed for good.
    Failed(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// What fetching needs beside the file.
pub struct Fetch<'a> {
    /// The hub; None when it may not be asked, which is no trouble for what is here.
    pub remote: Option<&'a Remote>,
    /// What the file belongs to.
    pub listing: &'a Listing,
    /// Where it goes.
    pub repository: &'a Repository,
    /// The cache's root, to be named.
    pub cache: &'a Path,
    /// How often to try.
    pub patience: Patience,
    /// Pause and stop.
    pub control: &'a Arc<Control>,
    /// How far it is.
    pub board: &'a Board,
}

impl Fetch<'_> {
    /// Brings `file` into the cache unless it is there already; after this its blob is whole.
    ///
    /// # Errors
    /// When it cannot be had, or the user stops it. What was fetched stays for the next time.
    pub fn run(&self, file: &Wanted) -> Result<(), Ended> {
        let blob = self.repository.blob(&file.checksum);
        if self.listing.is_checked(self.repository, file) {
            return Ok(());
        }
        if blob.exists() && self.keep_if_whole(file, &blob)? {
            return Ok(());
        }
        self.repository.make()?;
        let lock = self.repository.lock_file(&file.checksum)?;
        self.wait_for(&lock)?;
        // Whoever held the lock may have fetched it.
        if blob.exists() && self.keep_if_whole(file, &blob)? {
            return Ok(());
        }
        for _ in 0..WRONG_TWICE {
            let sum = self.fill(file)?;
            let partial = self.repository.partial(&file.checksum);
            if sum.is(&file.checksum) {
                let done = File::open(&partial).and_then(|partial| partial.sync_all()).and_then(|()| fs::rename(&partial, &blob));
                return done.map_err(|e| unwritable(self.cache, &blob, &e).into());
            }
            self.board.take_back(file.size);
            fs::remove_file(&partial).map_err(|e| unwritable(self.cache, &partial, &e))?;
        }
        let why = format!("{}: what the hub sends is not what it lists (its checksum is wrong, twice); nothing of it was kept", file.path);
        Err(Error::new(ErrorKind::Network, why).with_remedy(Remedy::CheckConnection).into())
    }

    /// Whether the blob that is here has the right bytes; one that has not is removed.
    fn keep_if_whole(&self, file: &Wanted, blob: &Path) -> Result<bool, Ended> {
        // What counts as here was counted when the download began.
        let whole = fs::metadata(blob).is_ok_and(|m| m.len() == file.size)
            && match is_whole(blob, &file.checksum, |_| self.control.goes_on() || self.control.pass().is_ok()) {
                Ok(whole) => whole,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(Ended::Stopped),
                Err(_) => false,
            };
        if !whole {
            self.board.take_back(fs::metadata(blob).map_or(0, |m| m.len()).min(file.size));
            fs::remove_file(blob).map_err(|e| unwritable(self.cache, blob, &e))?;
        }
        Ok(whole)
    }

    fn wait_for(&self, lock: &File) -> Result<(), Ended> {
        let mut waited = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    waited = true;
                    self.board.note(Some("another program is fetching the same file".into()));
                    self.control.pass()?;
                    self.control.sleep(LOCK_LOOK)?;
                }
                // A file system without locks: two programs then do the same work, each into its own view of the partial file,
                // and the checksum has the last word.
                Err(TryLockError::Error(_)) => break,
            }
        }
        if waited {
            self.board.note(None);
        }
        Ok(())
    }

    /// Fetches until the partial file has the size of `file`, and gives the sum of its bytes.
    fn fill(&self, file: &Wanted) -> Result<Sum, Ended> {
        let mut partial = Partial::open(self, file)?;
        let (mut failures, mut beyond, mut foreign) = (0, 0, 0);
        // A hub that sends the same few wrong bytes again and again does not get on.
        let mut furthest = partial.len;
        while partial.len < file.size {
            self.control.pass()?;
            let Some(remote) = self.remote else {
                let why = format!("{} is not here in full, and HF_HUB_OFFLINE is set", file.path);
                return Err(Error::new(ErrorKind::Network, why).with_remedy(Remedy::GoOnline).into());
            };
            // So little is not worth a seam.
            if partial.len <= SEAM && partial.len > 0 {
                partial.restart()?;
            }
            let before = partial.len;
            let start = before.saturating_sub(SEAM);
            let opened = remote.open(self.listing, file, start, self.control).map_err(Trouble::Remote);
            let outcome = opened.and_then(|body| partial.take(body, start));
            if partial.len > furthest {
                (failures, furthest) = (0, partial.len);
            }
            let fault = match outcome {
                Ok(()) => Fault::Passing { why: "the connection ended too early".into(), after: None },
                Err(Trouble::Local(ended)) => return Err(ended),
                Err(Trouble::Foreign) => {
                    foreign += 1;
                    if foreign % 2 == 0 {
                        // Twice the same: what is here belongs to something else.
                        partial.restart()?;
                    }
                    Fault::Passing { why: "the hub sends another part of the file than was asked for".into(), after: None }
                }
                Err(Trouble::Remote(fault)) => fault,
            };
            if partial.len >= file.size {
                break;
            }
            match fault {
                Fault::Interrupted => continue,
                Fault::Final(error) => return Err(error.while_doing(&file.path).into()),
                Fault::BeyondEnd => {
                    if partial.sum.clone().is(&file.checksum) {
                        return Ok(partial.sum);
                    }
                    partial.restart()?;
                    beyond += 1;
                    if beyond >= 2 {
                        let why = format!("{}: the hub lists {} bytes and says that it has none of them (416)", file.path, file.size);
                        return Err(Error::new(ErrorKind::Network, why).with_remedy(Remedy::CheckConnection).into());
                    }
                }
                Fault::Passing { why, after } => {
                    failures += 1;
                    if failures >= self.patience.attempts {
                        let why = format!("{}: {why}, {failures} times in a row; what was fetched is kept", file.path);
                        return Err(Error::new(ErrorKind::Network, why).with_remedy(Remedy::CheckConnection).into());
                    }
                    let wait = pause_before(failures, after, self.patience);
                    self.board.note(Some(format!("{why}; trying again in {:.0} s", wait.as_secs_f64().ceil())));
                    self.control.sleep(wait)?;
                    self.board.note(None);
                }
            }
        }
        Ok(partial.sum)
    }
}

/// How long to wait after the `failures`-th failure in a row, when the hub asks for `after`.
pub(super) fn pause_before(failures: u32, after: Option<Duration>, patience: Patience) -> Duration {
    let doubled = patience.back_off.saturating_mul(1 << failures.saturating_sub(1).min(16));
    after.unwrap_or(doubled).clamp(patience.back_off, patience.longest.max(patience.back_off))
}

/// What went wrong while bytes were taken.
enum Trouble {
    /// At the other end.
    Remote(Fault),
    /// Here.
    Local(Ended),
    /// The bytes are not those that were asked for.
    Foreign,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Remote(fault)
    }
}

/// The bytes that are here so far.
struct Partial<'a> {
    fetch: &'a Fetch<'a>,
    wanted: &'a Wanted,
    file: File,
    len: u64,
    sum: Sum,
    /// The first and the last [`SEAM`] bytes of what is here.
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl<'a> Partial<'a> {
    /// Opens what is here and sums it.
    fn open(fetch: &'a Fetch<'a>, wanted: &'a Wanted) -> Result<Self, Ended> {
        let path = fetch.repository.partial(&wanted.checksum);
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|e| unwritable(fetch.cache, &path, &e))?;
        let sum = wanted.checksum.sum(wanted.size);
        let mut partial = Self { fetch, wanted, file, len: 0, sum, head: Vec::new(), tail: Vec::new() };
        if partial.file.metadata().is_ok_and(|m| m.len() > wanted.size) {
            // More than there is of it: not ours, or damaged. It was counted as complete.
            partial.fetch.board.take_back(wanted.size);
            partial.truncate()?;
        }
        partial.read_through()?;
        Ok(partial)
    }

    fn read_through(&mut self) -> Result<(), Ended> {
        let mut piece = vec![0; READ_BYTES];
        let here = self.file.metadata().map_or(0, |m| m.len());
        loop {
            let most = usize::try_from(here - self.len.min(here)).unwrap_or(READ_BYTES).min(READ_BYTES);
            let n = match self.file.read(&mut piece[..most]) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) => return Err(self.failed(&e).into()),
            };
            self.note(&piece[..n]);
            if !self.fetch.control.goes_on() {
                self.fetch.control.pass()?;
            }
        }
    }

    /// Takes the bytes of `body`, which begin at `start`, until they end.
    fn take(&mut self, mut body: Body, start: u64) -> Result<(), Trouble> {
        let control = self.fetch.control;
        if start == 0 {
            // A longer file is another one; a shorter one ends too early, which is noticed when it does.
            if body.length.is_some_and(|length| length > self.wanted.size) {
                let why = format!("{}: the hub sends more bytes than the {} that it lists", self.wanted.path, self.wanted.size);
                return Err(Trouble::Local(Error::new(ErrorKind::Network, why).with_remedy(Remedy::CheckConnection).into()));
            }
            return self.append(&mut body, &[]);
        }
        let mut begun = Vec::new();
        while (begun.len() as u64) < SEAM {
            match body.next(control)? {
                Some(bytes) => begun.extend_from_slice(bytes.as_ref()),
                None => return Ok(()),
            }
        }
        let (seam, rest) = begun.split_at(SEAM as usize);
        let all = body.length == Some(self.wanted.size);
        if seam == self.tail && !(all && seam == self.head) {
            if body.length == Some(SEAM) {
                // All that it has from there on is what is here already.
                return Err(Fault::BeyondEnd.into());
            }
            return self.append(&mut body, rest);
        }
        if seam != self.head {
            return Err(Trouble::Foreign);
        }
        // The server has ignored the range and sends the file from its start: what is here passes by.
        let (mut passed, mut last) = (begun.len() as u64, begun);
        while passed < self.len {
            match body.next(control)? {
                Some(bytes) => {
                    passed += bytes.as_ref().len() as u64;
                    last.extend_from_slice(bytes.as_ref());
                    // The seam and whatever lies behind it have to stay.
                    let kept = SEAM + passed.saturating_sub(self.len);
                    last.drain(..last.len().saturating_sub(kept as usize));
                }
                None => return Ok(()),
            }
        }
        let beyond = (passed - self.len) as usize;
        let at = last.len() - beyond;
        if !last[..at].ends_with(&self.tail) {
            return Err(Trouble::Foreign);
        }
        let rest = last.split_off(at);
        self.append(&mut body, &rest)
    }

    fn append(&mut self, body: &mut Body, first: &[u8]) -> Result<(), Trouble> {
        self.write(first)?;
        while self.len < self.wanted.size {
            match body.next(self.fetch.control)? {
                Some(bytes) => self.write(bytes.as_ref())?,
                None => break,
            }
        }
        Ok(())
    }

    /// Writes `bytes`, or as many as the file still lacks: what a server sends beyond is not of it.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let lacking = usize::try_from(self.wanted.size - self.len).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(lacking)];
        if let Err(e) = self.file.write_all(bytes) {
            // As much of it as was written is as good as any.
            return Err(Trouble::Local(self.failed(&e).into()));
        }
        self.note(bytes);
        self.fetch.board.add(bytes.len() as u64);
        Ok(())
    }

    /// Takes note of bytes that are in the file now.
    fn note(&mut self, bytes: &[u8]) {
        self.sum.feed(bytes);
        self.len += bytes.len() as u64;
        let seam = SEAM as usize;
        self.head.extend_from_slice(&bytes[..bytes.len().min(seam - self.head.len())]);
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(seam)..]);
        self.tail.drain(..self.tail.len().saturating_sub(seam));
    }

    /// Forgets what is here.
    fn restart(&mut self) -> Result<(), Ended> {
        self.fetch.board.take_back(self.len);
        self.truncate()
    }

    fn truncate(&mut self) -> Result<(), Ended> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|e| self.failed(&e))?;
        (self.len, self.sum) = (0, self.wanted.checksum.sum(self.wanted.size));
        self.head.clear();
        self.tail.clear();
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> Error {
        unwritable(self.fetch.cache, &self.fetch.repository.partial(&self.wanted.checksum), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_unless_the_hub_says_how_long_it_wants() {
        let patience =
            Patience { back_off: Duration::from_secs(1), longest: Duration::from_secs(60), attempts: 6, stall: Duration::from_secs(1) };
        let secs = |failures, after| pause_before(failures, after, patience).as_secs();
        assert_eq!([1, 2, 3, 7, 60].map(|failures| secs(failures, None)), [1, 2, 4, 60, 60]);
        assert_eq!(secs(1, Some(Duration::from_secs(30))), 30);
        assert_eq!(secs(1, Some(Duration::from_secs(9_999))), 60);
        assert_eq!(secs(1, Some(Duration::ZERO)), 1);
    }
}
