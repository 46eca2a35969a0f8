//! One file: from where it stopped, through whatever goes wrong, to a blob whose bytes are those that the hub lists.
//!
//! The bytes go into a partial file of our own as they come, and are summed on the way. A resumed download overlaps what is here
//! by a few bytes, the overlap: hf-hub hides the server's Content-Range, and equal bytes prove more than a header does. Only a file
//! that adds up is renamed to its blob. Not responsible for which files are expected.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::cache::{Repository, matches_checksum, unwritable};
use super::checksum::ChecksumHasher;
use super::control::{InstallControl, InstallProgress, UserStopped};
use super::manifest::{Manifest, ManifestFile};
use super::remote::{FileStream, HubClient, RemoteError};
use super::settings::RetryLimits;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that a resumed download repeats.
pub const OVERLAP: u64 = 64;
/// How often it is looked whether another program has finished the file.
const LOCK_POLL: Duration = Duration::from_millis(200);
/// Times that a file may come with wrong bytes.
const CHECKSUM_ATTEMPTS: u32 = 2;
/// Bytes that are read at a time when what is here is summed.
const READ_BYTES: usize = 1 << 20;

/// How a fetch ended without the file.
#[derive(Debug)]
pub enum InstallError {
    /// The user wants no more.
    Stopped,
    /// It failed for good.
    Failed(Error),
}

impl From<Error> for InstallError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<UserStopped> for InstallError {
    fn from(_: UserStopped) -> Self {
        Self::Stopped
    }
}

/// What fetching needs beside the file.
pub struct Fetcher<'a> {
    /// The hub; None when it may not be asked, which is no trouble for what is here.
    pub remote: Option<&'a HubClient>,
    /// What the file belongs to.
    pub manifest: &'a Manifest,
    /// Where it goes.
    pub repository: &'a Repository,
    /// The cache's root, to be named.
    pub cache: &'a Path,
    /// How often to try.
    pub retry_limits: RetryLimits,
    /// Pause and stop.
    pub control: &'a Arc<InstallControl>,
    /// How far it is.
    pub progress: &'a InstallProgress,
}

impl Fetcher<'_> {
    /// Brings `file` into the cache unless it is there already; after this its blob is whole.
    ///
    /// # Errors
    /// When it cannot be had, or the user stops it. What was fetched stays for the next time.
    pub fn fetch(&self, file: &ManifestFile) -> Result<(), InstallError> {
        let blob = self.repository.blob(&file.checksum);
        if self.manifest.is_verified(self.repository, file) {
            return Ok(());
        }
        if blob.exists() && self.keep_if_whole(file, &blob)? {
            return Ok(());
        }
        self.repository.create_blobs_folder()?;
        let lock = self.repository.open_lock(&file.checksum)?;
        self.wait_for(&lock)?;
        // Whoever held the lock may have fetched it.
        if blob.exists() && self.keep_if_whole(file, &blob)? {
            return Ok(());
        }
        for _ in 0..CHECKSUM_ATTEMPTS {
            let sum = self.fill(file)?;
            let partial = self.repository.partial(&file.checksum);
            if sum.matches(&file.checksum) {
                let done = File::open(&partial).and_then(|partial| partial.sync_all()).and_then(|()| fs::rename(&partial, &blob));
                return done.map_err(|e| unwritable(self.cache, &blob, &e).into());
            }
            self.progress.subtract(file.size);
            fs::remove_file(&partial).map_err(|e| unwritable(self.cache, &partial, &e))?;
        }
        let why = format!("{}: what the hub sends is not what it lists (its checksum is wrong, twice); nothing of it was kept", file.path);
        Err(Error::new(ErrorKind::Network, why).into())
    }

    /// Whether the blob that is here has the right bytes; one that has not is removed.
    fn keep_if_whole(&self, file: &ManifestFile, blob: &Path) -> Result<bool, InstallError> {
        // What counts as here was counted when the download began.
        let whole = fs::metadata(blob).is_ok_and(|m| m.len() == file.size)
            && match matches_checksum(blob, &file.checksum, |_| self.control.is_running() || self.control.wait_while_paused().is_ok()) {
                Ok(whole) => whole,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(InstallError::Stopped),
                Err(_) => false,
            };
        if !whole {
            self.progress.subtract(fs::metadata(blob).map_or(0, |m| m.len()).min(file.size));
            fs::remove_file(blob).map_err(|e| unwritable(self.cache, blob, &e))?;
        }
        Ok(whole)
    }

    fn wait_for(&self, lock: &File) -> Result<(), InstallError> {
        let mut waited = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    waited = true;
                    self.progress.set_note(Some("another program is fetching the same file".into()));
                    self.control.wait_while_paused()?;
                    self.control.sleep(LOCK_POLL)?;
                }
                // A file system without locks: two programs then do the same work, each into its own view of the partial file,
                // and the checksum has the last word.
                Err(TryLockError::Error(_)) => break,
            }
        }
        if waited {
            self.progress.set_note(None);
        }
        Ok(())
    }

    /// Fetches until the partial file has the size of `file`, and gives the sum of its bytes.
    fn fill(&self, file: &ManifestFile) -> Result<ChecksumHasher, InstallError> {
        let mut partial = PartialFile::open(self, file)?;
        let (mut failures, mut beyond, mut foreign) = (0, 0, 0);
        // A hub that sends the same few wrong bytes again and again does not get on.
        let mut furthest = partial.len;
        while partial.len < file.size {
            self.control.wait_while_paused()?;
            let Some(remote) = self.remote else {
                let why = format!("{} is not here in full, and HF_HUB_OFFLINE is set", file.path);
                return Err(Error::new(ErrorKind::Network, why).into());
            };
            // So little is not worth a overlap.
            if partial.len <= OVERLAP && partial.len > 0 {
                partial.restart()?;
            }
            let before = partial.len;
            let start = before.saturating_sub(OVERLAP);
            let opened = remote.open(self.manifest, file, start, self.control).map_err(TransferError::Remote);
            let outcome = opened.and_then(|stream| partial.take(stream, start));
            if partial.len > furthest {
                (failures, furthest) = (0, partial.len);
            }
            let fault = match outcome {
                Ok(()) => RemoteError::Transient { why: "the connection ended too early".into(), after: None },
                Err(TransferError::Local(ended)) => return Err(ended),
                Err(TransferError::WrongRange) => {
                    foreign += 1;
                    if foreign % 2 == 0 {
                        // Twice the same: what is here belongs to something else.
                        partial.restart()?;
                    }
                    RemoteError::Transient { why: "the hub sends another part of the file than was asked for".into(), after: None }
                }
                Err(TransferError::Remote(fault)) => fault,
            };
            if partial.len >= file.size {
                break;
            }
            match fault {
                RemoteError::Interrupted => continue,
                RemoteError::Permanent(error) => return Err(error.while_doing(&file.path).into()),
                RemoteError::PastEnd => {
                    if partial.sum.clone().matches(&file.checksum) {
                        return Ok(partial.sum);
                    }
                    partial.restart()?;
                    beyond += 1;
                    if beyond >= 2 {
                        let why = format!("{}: the hub lists {} bytes and says that it has none of them (416)", file.path, file.size);
                        return Err(Error::new(ErrorKind::Network, why).into());
                    }
                }
                RemoteError::Transient { why, after } => {
                    failures += 1;
                    if failures >= self.retry_limits.attempts {
                        let why = format!("{}: {why}, {failures} times in a row; what was fetched is kept", file.path);
                        return Err(Error::new(ErrorKind::Network, why).into());
                    }
                    let wait = pause_before(failures, after, self.retry_limits);
                    self.progress.set_note(Some(format!("{why}; trying again in {:.0} s", wait.as_secs_f64().ceil())));
                    self.control.sleep(wait)?;
                    self.progress.set_note(None);
                }
            }
        }
        Ok(partial.sum)
    }
}

/// How long to wait after the `failures`-th failure in a row, when the hub asks for `after`.
pub(super) fn pause_before(failures: u32, after: Option<Duration>, retry_limits: RetryLimits) -> Duration {
    let doubled = retry_limits.back_off.saturating_mul(1 << failures.saturating_sub(1).min(16));
    after.unwrap_or(doubled).clamp(retry_limits.back_off, retry_limits.max_back_off.max(retry_limits.back_off))
}

/// What went wrong while bytes were taken.
enum TransferError {
    /// At the other end.
    Remote(RemoteError),
    /// Here.
    Local(InstallError),
    /// The bytes are not those that were asked for.
    WrongRange,
}

impl From<RemoteError> for TransferError {
    fn from(fault: RemoteError) -> Self {
        Self::Remote(fault)
    }
}

/// The bytes that are here so far.
struct PartialFile<'a> {
    fetch: &'a Fetcher<'a>,
    expected: &'a ManifestFile,
    file: File,
    len: u64,
    sum: ChecksumHasher,
    /// The first and the last [`OVERLAP`] bytes of what is here.
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl<'a> PartialFile<'a> {
    /// Opens what is here and sums it.
    fn open(fetch: &'a Fetcher<'a>, expected: &'a ManifestFile) -> Result<Self, InstallError> {
        let path = fetch.repository.partial(&expected.checksum);
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|e| unwritable(fetch.cache, &path, &e))?;
        let sum = expected.checksum.sum(expected.size);
        let mut partial = Self { fetch, expected, file, len: 0, sum, head: Vec::new(), tail: Vec::new() };
        if partial.file.metadata().is_ok_and(|m| m.len() > expected.size) {
            // More than there is of it: not ours, or damaged. It was counted as complete.
            partial.fetch.progress.subtract(expected.size);
            partial.truncate()?;
        }
        partial.read_through()?;
        Ok(partial)
    }

    fn read_through(&mut self) -> Result<(), InstallError> {
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
            if !self.fetch.control.is_running() {
                self.fetch.control.wait_while_paused()?;
            }
        }
    }

    /// Takes the bytes of `stream`, which begin at `start`, until they end.
    fn take(&mut self, mut stream: FileStream, start: u64) -> Result<(), TransferError> {
        let control = self.fetch.control;
        if start == 0 {
            // A longer file is another one; a shorter one ends too early, which is noticed when it does.
            if stream.length.is_some_and(|length| length > self.expected.size) {
                let why = format!("{}: the hub sends more bytes than the {} that it lists", self.expected.path, self.expected.size);
                return Err(TransferError::Local(Error::new(ErrorKind::Network, why).into()));
            }
            return self.append(&mut stream, &[]);
        }
        let mut begun = Vec::new();
        while (begun.len() as u64) < OVERLAP {
            match stream.next_bytes(control)? {
                Some(bytes) => begun.extend_from_slice(bytes.as_ref()),
                None => return Ok(()),
            }
        }
        let (overlap, rest) = begun.split_at(OVERLAP as usize);
        let all = stream.length == Some(self.expected.size);
        if overlap == self.tail && !(all && overlap == self.head) {
            if stream.length == Some(OVERLAP) {
                // All that it has from there on is what is here already.
                return Err(RemoteError::PastEnd.into());
            }
            return self.append(&mut stream, rest);
        }
        if overlap != self.head {
            return Err(TransferError::WrongRange);
        }
        // The server has ignored the range and sends the file from its start: what is here passes by.
        let (mut passed, mut last) = (begun.len() as u64, begun);
        while passed < self.len {
            match stream.next_bytes(control)? {
                Some(bytes) => {
                    passed += bytes.as_ref().len() as u64;
                    last.extend_from_slice(bytes.as_ref());
                    // The overlap and whatever lies behind it have to stay.
                    let kept = OVERLAP + passed.saturating_sub(self.len);
                    last.drain(..last.len().saturating_sub(kept as usize));
                }
                None => return Ok(()),
            }
        }
        let beyond = (passed - self.len) as usize;
        let at = last.len() - beyond;
        if !last[..at].ends_with(&self.tail) {
            return Err(TransferError::WrongRange);
        }
        let rest = last.split_off(at);
        self.append(&mut stream, &rest)
    }

    fn append(&mut self, stream: &mut FileStream, first: &[u8]) -> Result<(), TransferError> {
        self.write(first)?;
        while self.len < self.expected.size {
            match stream.next_bytes(self.fetch.control)? {
                Some(bytes) => self.write(bytes.as_ref())?,
                None => break,
            }
        }
        Ok(())
    }

    /// Writes `bytes`, or as many as the file still lacks: what a server sends beyond is not of it.
    fn write(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        let lacking = usize::try_from(self.expected.size - self.len).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(lacking)];
        if let Err(e) = self.file.write_all(bytes) {
            // As much of it as was written is as good as any.
            return Err(TransferError::Local(self.failed(&e).into()));
        }
        self.note(bytes);
        self.fetch.progress.add(bytes.len() as u64);
        Ok(())
    }

    /// Takes note of bytes that are in the file now.
    fn note(&mut self, bytes: &[u8]) {
        self.sum.update(bytes);
        self.len += bytes.len() as u64;
        let overlap = OVERLAP as usize;
        self.head.extend_from_slice(&bytes[..bytes.len().min(overlap - self.head.len())]);
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(overlap)..]);
        self.tail.drain(..self.tail.len().saturating_sub(overlap));
    }

    /// Forgets what is here.
    fn restart(&mut self) -> Result<(), InstallError> {
        self.fetch.progress.subtract(self.len);
        self.truncate()
    }

    fn truncate(&mut self) -> Result<(), InstallError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|e| self.failed(&e))?;
        (self.len, self.sum) = (0, self.expected.checksum.hasher(self.expected.size));
        self.head.clear();
        self.tail.clear();
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> Error {
        unwritable(self.fetch.cache, &self.fetch.repository.partial(&self.expected.checksum), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_unless_the_hub_says_how_long_it_wants() {
        let retry_limits = RetryLimits {
            back_off: Duration::from_secs(1),
            max_back_off: Duration::from_secs(60),
            attempts: 6,
            stall: Duration::from_secs(1),
        };
        let secs = |failures, after| pause_before(failures, after, retry_limits).as_secs();
        assert_eq!([1, 2, 3, 7, 60].map(|failures| secs(failures, None)), [1, 2, 4, 60, 60]);
        assert_eq!(secs(1, Some(Duration::from_secs(30))), 30);
        assert_eq!(secs(1, Some(Duration::from_secs(9_999))), 60);
        assert_eq!(secs(1, Some(Duration::ZERO)), 1);
    }
}
