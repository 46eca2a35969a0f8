//! Download of one file: resumes a partial file, retries failures, and ends with a blob that has the listed checksum.
//!
//! Received bytes go to a partial file and are hashed on the way. A resumed download overlaps the bytes that are here by
//! [`OVERLAP`], because hf-hub hides the server's Content-Range, and equal bytes prove more than a header. Only a file with the
//! right checksum becomes a blob. Not responsible for the choice of files.

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
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::models::{FaultPlace, InstallNote};

/// Number of bytes, already in the partial file, that a resumed download requests again to compare.
pub const OVERLAP: u64 = 64;
/// Time between two attempts to lock a blob that another program is writing.
const LOCK_POLL: Duration = Duration::from_millis(200);
/// Number of whole downloads of a file with a wrong checksum after which it is given up.
const CHECKSUM_ATTEMPTS: u32 = 2;
/// Size of the buffer for hashing a partial file, in bytes.
const READ_BYTES: usize = 1 << 20;

/// The reason for which an installation or download ended without a result.
#[derive(Debug)]
pub enum InstallError {
    /// Stopped by the user, or because another download thread of the installation failed.
    Stopped,
    /// Failed with this error.
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

/// The downloader of the files of one manifest; its threads share it.
pub struct Fetcher<'a> {
    /// Client of the hub; None if the network may not be used, so that only files in the cache succeed.
    pub remote: Option<&'a HubClient>,
    /// Manifest that lists the files.
    pub manifest: &'a Manifest,
    /// Folder in the cache that receives the files.
    pub repository: &'a Repository,
    /// Root of the cache, for error messages.
    pub cache: &'a Path,
    /// Retries and time limits.
    pub retry_limits: RetryLimits,
    /// Switch by which the user pauses and stops.
    pub control: &'a Arc<InstallControl>,
    /// Progress that is shown to the user.
    pub progress: &'a InstallProgress,
}

impl Fetcher<'_> {
    /// Downloads `file` unless its blob is in the cache with the right checksum, and leaves a verified blob. A blob with a wrong checksum
    /// is replaced. Waits while another program downloads the same blob.
    ///
    /// # Errors
    /// When it cannot be downloaded or written, or the user stops it. The partial file stays for the next attempt, unless its
    /// checksum is wrong.
    pub fn fetch(&self, file: &ManifestFile) -> Result<(), InstallError> {
        let blob = self.repository.blob(&file.checksum);
        if self.manifest.is_verified(self.repository, file) {
            return Ok(());
        }
        if blob.exists() && self.verify_or_remove(file, &blob)? {
            return Ok(());
        }
        self.repository.create_blobs_folder()?;
        let lock = self.repository.open_lock(&file.checksum)?;
        self.wait_for_lock(&lock)?;
        // The previous holder of the lock may have downloaded it.
        if blob.exists() && self.verify_or_remove(file, &blob)? {
            return Ok(());
        }
        for _ in 0..CHECKSUM_ATTEMPTS {
            let hasher = self.download(file)?;
            let partial = self.repository.partial(&file.checksum);
            if hasher.matches(&file.checksum) {
                let done = File::open(&partial).and_then(|partial| partial.sync_all()).and_then(|()| fs::rename(&partial, &blob));
                return done.map_err(|e| unwritable(self.cache, &blob, &e).into());
            }
            self.progress.subtract(file.size);
            fs::remove_file(&partial).map_err(|e| unwritable(self.cache, &partial, &e))?;
        }
        let why = format!("{}: wrong checksum, twice; the file was discarded", file.path);
        Err(Error::new(ErrorKind::Network, why).with_remedy(Remedy::CheckConnection).into())
    }

    /// Returns true if the blob at `blob` has the listed size and checksum of `file`; else removes the blob, takes its bytes off the
    /// progress and returns false.
    fn verify_or_remove(&self, file: &ManifestFile, blob: &Path) -> Result<bool, InstallError> {
        // Its bytes were counted as done when the download began.
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

    /// Waits until this process holds `lock`, the lock of a blob. On a file system without locks it returns at once.
    fn wait_for_lock(&self, lock: &File) -> Result<(), InstallError> {
        let mut waited = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    waited = true;
                    self.progress.set_note(Some(InstallNote::DownloadedElsewhere));
                    self.control.wait_while_paused()?;
                    self.control.sleep(LOCK_POLL)?;
                }
                // A file system without locks: two programs then do the same work, each in its own view of the partial file, and
                // the checksum decides.
                Err(TryLockError::Error(_)) => break,
            }
        }
        if waited {
            self.progress.set_note(None);
        }
        Ok(())
    }

    /// Downloads until the partial file has the size of `file`, and returns the hash of its bytes, unchecked. Repeats after
    /// failures that may pass, at most `retry_limits.attempts` in a row without a new byte.
    fn download(&self, file: &ManifestFile) -> Result<ChecksumHasher, InstallError> {
        let mut partial = PartialFile::open(self, file)?;
        let (mut failures, mut past_end, mut wrong_ranges) = (0, 0, 0);
        // Failures are counted until the file grows: a hub that repeats a few wrong bytes makes no progress.
        let mut furthest = partial.len;
        while partial.len < file.size {
            self.control.wait_while_paused()?;
            let Some(remote) = self.remote else {
                let why = format!("{} is not here in full, and HF_HUB_OFFLINE is set", file.path);
                return Err(Error::new(ErrorKind::Network, why).with_remedy(Remedy::GoOnline).into());
            };
            // Too few bytes for an overlap.
            if partial.len <= OVERLAP && partial.len > 0 {
                partial.restart()?;
            }
            let before = partial.len;
            let start = before.saturating_sub(OVERLAP);
            let opened = remote.open(self.manifest, file, start, self.control).map_err(TransferError::Remote);
            let outcome = opened.and_then(|stream| partial.receive(stream, start));
            if partial.len > furthest {
                (failures, furthest) = (0, partial.len);
            }
            let fault = match outcome {
                Ok(()) => RemoteError::transient(FaultPlace::Connection, "the connection ended too early"),
                Err(TransferError::Local(ended)) => return Err(ended),
                Err(TransferError::WrongRange) => {
                    wrong_ranges += 1;
                    if wrong_ranges % 2 == 0 {
                        // Twice the wrong range: the partial file belongs to something else.
                        partial.restart()?;
                    }
                    RemoteError::transient(FaultPlace::Hub, "the hub sends the wrong range of the file")
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
                    if partial.hasher.clone().matches(&file.checksum) {
                        return Ok(partial.hasher);
                    }
                    partial.restart()?;
                    past_end += 1;
                    if past_end >= 2 {
                        let why = format!("{}: the hub lists {} bytes but serves none (416)", file.path, file.size);
                        return Err(Error::new(ErrorKind::Network, why).with_remedy(Remedy::CheckConnection).into());
                    }
                }
                RemoteError::Transient { place, why, retry_after } => {
                    failures += 1;
                    if failures >= self.retry_limits.attempts {
                        let why = format!("{}: {why}, {failures} times in a row; downloaded bytes are kept", file.path);
                        return Err(Error::new(ErrorKind::Network, why).with_remedy(Remedy::CheckConnection).into());
                    }
                    let wait = pause_before(failures, retry_after, self.retry_limits);
                    self.progress.begin_wait(place, why, wait);
                    self.control.sleep(wait)?;
                    self.progress.end_wait();
                }
            }
        }
        Ok(partial.hasher)
    }
}

/// Returns the wait after the `failures`-th failure in a row (from 1): the wait `after` that the hub asks for, else one that
/// doubles; in both cases within `back_off` and `max_back_off`.
pub(super) fn pause_before(failures: u32, after: Option<Duration>, retry_limits: RetryLimits) -> Duration {
    let doubled = retry_limits.back_off.saturating_mul(1 << failures.saturating_sub(1).min(16));
    after.unwrap_or(doubled).clamp(retry_limits.back_off, retry_limits.max_back_off.max(retry_limits.back_off))
}

/// A failure while the bytes of a file are received.
enum TransferError {
    /// A failure of the hub or the connection.
    Remote(RemoteError),
    /// A failure that no retry cures: on this machine, a file of the wrong size, or a stop.
    Local(InstallError),
    /// Bytes that do not continue the partial file.
    WrongRange,
}

impl From<RemoteError> for TransferError {
    fn from(fault: RemoteError) -> Self {
        Self::Remote(fault)
    }
}

/// The partial file of a download, open for writing, with the hash of its content.
struct PartialFile<'a> {
    /// Downloader, with cache, progress and control.
    fetch: &'a Fetcher<'a>,
    /// Listed file that is downloaded.
    expected: &'a ManifestFile,
    file: File,
    /// Number of bytes in the partial file.
    len: u64,
    /// Hash of the bytes in the partial file.
    hasher: ChecksumHasher,
    /// First 64 bytes of the partial file, or fewer.
    head: Vec<u8>,
    /// Last 64 bytes of the partial file, or fewer.
    tail: Vec<u8>,
}

impl<'a> PartialFile<'a> {
    /// Opens the partial file of the download of `expected`, creating it if needed, and hashes its bytes. A partial file longer than the
    /// listed file is emptied.
    fn open(fetch: &'a Fetcher<'a>, expected: &'a ManifestFile) -> Result<Self, InstallError> {
        let path = fetch.repository.partial(&expected.checksum);
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|e| unwritable(fetch.cache, &path, &e))?;
        let hasher = expected.checksum.hasher(expected.size);
        let mut partial = Self { fetch, expected, file, len: 0, hasher, head: Vec::new(), tail: Vec::new() };
        if partial.file.metadata().is_ok_and(|m| m.len() > expected.size) {
            // Longer than the file: not ours, or damaged. It was counted as complete.
            partial.fetch.progress.subtract(expected.size);
            partial.truncate()?;
        }
        partial.hash_existing()?;
        Ok(partial)
    }

    /// Hashes the bytes that the partial file holds; can be paused and stopped.
    fn hash_existing(&mut self) -> Result<(), InstallError> {
        let mut piece = vec![0; READ_BYTES];
        let here = self.file.metadata().map_or(0, |m| m.len());
        loop {
            let most = usize::try_from(here - self.len.min(here)).unwrap_or(READ_BYTES).min(READ_BYTES);
            let n = match self.file.read(&mut piece[..most]) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) => return Err(self.failed(&e).into()),
            };
            self.record(&piece[..n]);
            if !self.fetch.control.is_running() {
                self.fetch.control.wait_while_paused()?;
            }
        }
    }

    /// Appends the bytes of `stream`, which was requested from byte `start`, after comparing the overlap with the partial file. Copes with
    /// a server that ignores the range and sends the whole file. A stream that ends early is no error here.
    fn receive(&mut self, mut stream: FileStream, start: u64) -> Result<(), TransferError> {
        let control = self.fetch.control;
        if start == 0 {
            // A longer file is another file; a shorter one ends too early and is noticed then.
            if stream.length.is_some_and(|length| length > self.expected.size) {
                let why = format!("{}: the hub sends more bytes than the {} that it lists", self.expected.path, self.expected.size);
                return Err(TransferError::Local(Error::new(ErrorKind::Network, why).with_remedy(Remedy::CheckConnection).into()));
            }
            return self.append(&mut stream, &[]);
        }
        let mut beginning = Vec::new();
        while (beginning.len() as u64) < OVERLAP {
            match stream.next_bytes(control)? {
                Some(bytes) => beginning.extend_from_slice(bytes.as_ref()),
                None => return Ok(()),
            }
        }
        let (overlap, rest) = beginning.split_at(OVERLAP as usize);
        let all = stream.length == Some(self.expected.size);
        if overlap == self.tail && !(all && overlap == self.head) {
            if stream.length == Some(OVERLAP) {
                // The server has nothing past this point.
                return Err(RemoteError::PastEnd.into());
            }
            return self.append(&mut stream, rest);
        }
        if overlap != self.head {
            return Err(TransferError::WrongRange);
        }
        // The server ignored the range and sends the whole file: skip the bytes that are here.
        let (mut skipped, mut last) = (beginning.len() as u64, beginning);
        while skipped < self.len {
            match stream.next_bytes(control)? {
                Some(bytes) => {
                    skipped += bytes.as_ref().len() as u64;
                    last.extend_from_slice(bytes.as_ref());
                    // Keep the overlap and everything after it.
                    let kept = OVERLAP + skipped.saturating_sub(self.len);
                    last.drain(..last.len().saturating_sub(kept as usize));
                }
                None => return Ok(()),
            }
        }
        let beyond = (skipped - self.len) as usize;
        let at = last.len() - beyond;
        if !last[..at].ends_with(&self.tail) {
            return Err(TransferError::WrongRange);
        }
        let rest = last.split_off(at);
        self.append(&mut stream, &rest)
    }

    /// Appends `first` and then the rest of the stream to the partial file, until the stream ends or the file has its listed size.
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

    /// Appends `bytes` to the partial file, but no more than it lacks of its listed size.
    fn write(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        let lacking = usize::try_from(self.expected.size - self.len).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(lacking)];
        if let Err(e) = self.file.write_all(bytes) {
            // The part that was written stays valid.
            return Err(TransferError::Local(self.failed(&e).into()));
        }
        self.record(bytes);
        self.fetch.progress.add(bytes.len() as u64);
        Ok(())
    }

    /// Updates hash, length, head and tail for `bytes`, which are in the partial file now.
    fn record(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        let overlap = OVERLAP as usize;
        self.head.extend_from_slice(&bytes[..bytes.len().min(overlap - self.head.len())]);
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(overlap)..]);
        self.tail.drain(..self.tail.len().saturating_sub(overlap));
    }

    /// Empties the partial file and takes its bytes off the progress.
    fn restart(&mut self) -> Result<(), InstallError> {
        self.fetch.progress.subtract(self.len);
        self.truncate()
    }

    /// Empties the partial file and resets its hash; leaves the progress as it is.
    fn truncate(&mut self) -> Result<(), InstallError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|e| self.failed(&e))?;
        (self.len, self.hasher) = (0, self.expected.checksum.hasher(self.expected.size));
        self.head.clear();
        self.tail.clear();
        Ok(())
    }

    /// Returns the error for a partial file that cannot be read or written.
    fn failed(&self, error: &io::Error) -> Error {
        unwritable(self.fetch.cache, &self.fetch.repository.partial(&self.expected.checksum), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_unless_the_hub_asks_for_another() {
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
