//! The cache of Hugging Face on this disk: `blobs` named by checksum, `snapshots` of links to them, `refs` from names to commits.
//!
//! The layout is that of `huggingface_hub`, so that a copy which another program fetched is used, and the other way round. Not
//! responsible for what the files mean, nor for the network.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::checksum::Checksum;
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Bytes that are read at a time when a file is summed.
const READ_BYTES: usize = 1 << 20;

/// The part of the cache that belongs to one repository.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
    folder: String,
}

impl Repository {
    /// That of `owner/name` in the cache `root`.
    #[must_use]
    pub fn new(root: &Path, (owner, name): (&str, &str)) -> Self {
        Self { root: root.to_owned(), folder: format!("models--{owner}--{name}") }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.root.join(&self.folder)
    }

    /// Where the bytes of this checksum lie, or will.
    #[must_use]
    pub fn blob(&self, checksum: &Checksum) -> PathBuf {
        self.folder().join("blobs").join(checksum.hex())
    }

    /// Where they lie while they are incomplete. Not `.incomplete`, which other programs write from its start, in other orders.
    #[must_use]
    pub fn partial(&self, checksum: &Checksum) -> PathBuf {
        self.folder().join("blobs").join(format!("{}.hearken.partial", checksum.hex()))
    }

    /// The folder of the files of `commit`.
    #[must_use]
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder().join("snapshots").join(commit)
    }

    /// The lock that whoever writes this blob holds; other programs of Hugging Face take the same one.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn lock_file(&self, checksum: &Checksum) -> Result<File> {
        let folder = self.root.join(".locks").join(&self.folder);
        let path = folder.join(format!("{}.lock", checksum.hex()));
        fs::create_dir_all(&folder)
            .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path))
            .map_err(|e| unwritable(&self.root, &path, &e))
    }

    /// Makes the folder of the blobs.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn make(&self) -> Result<()> {
        let folder = self.folder().join("blobs");
        fs::create_dir_all(&folder).map_err(|e| unwritable(&self.root, &folder, &e))
    }

    /// Puts the file `path` of `commit` into its snapshot: a link to the blob. A link that is there already and leads to the
    /// same bytes stays.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn link(&self, commit: &str, path: &str, checksum: &Checksum) -> Result<()> {
        let (link, blob) = (self.snapshot(commit).join(path), self.blob(checksum));
        if let (Ok(there), Ok(meant)) = (fs::canonicalize(&link), fs::canonicalize(&blob))
            && there == meant
        {
            return Ok(());
        }
        let up = "../".repeat(2 + Path::new(path).components().count() - 1);
        let place = || -> io::Result<()> {
            if let Some(parent) = link.parent() {
                fs::create_dir_all(parent)?;
            }
            // One that leads nowhere or elsewhere is in the way.
            match fs::remove_file(&link) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            place_link(&PathBuf::from(format!("{up}blobs/{}", checksum.hex())), &blob, &link)
        };
        place().map_err(|e| unwritable(&self.root, &link, &e))
    }

    /// Notes that the name `revision` means `commit` now.
    ///
    /// # Errors
    /// When the cache cannot be written to.
    pub fn note_revision(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit || !super::catalog::is_safe(revision) {
            return Ok(());
        }
        let path = self.folder().join("refs").join(revision);
        if fs::read_to_string(&path).is_ok_and(|text| text.trim() == commit) {
            return Ok(());
        }
        let write = || path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, commit));
        write().map_err(|e| unwritable(&self.root, &path, &e))
    }

    /// Whether another snapshot than that of `commit` leads to the blob of `checksum`.
    #[must_use]
    pub fn is_shared(&self, checksum: &Checksum, commit: &str) -> bool {
        let blob = fs::canonicalize(self.blob(checksum)).ok();
        let snapshots = fs::read_dir(self.folder().join("snapshots")).into_iter().flatten().flatten();
        let others = snapshots.filter(|entry| entry.file_name() != commit).map(|entry| entry.path());
        blob.is_some() && others.flat_map(|folder| files_below(&folder)).any(|file| fs::canonicalize(file).ok() == blob)
    }
}

/// A link at `link` to `blob` (`relative` as seen from there); a hard link, or else a copy, where there are no links.
fn place_link(relative: &Path, blob: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(relative, link).or_else(|_| fs::hard_link(blob, link));
    #[cfg(windows)]
    return std::os::windows::fs::symlink_file(relative, link)
        .or_else(|_| fs::hard_link(blob, link))
        .or_else(|_| fs::copy(blob, link).map(drop));
    #[cfg(not(any(unix, windows)))]
    return fs::copy(blob, link).map(drop);
}

/// A link at `link` to the file `to`, wherever that lies.
pub(super) fn link_to(to: &Path, link: &Path) -> io::Result<()> {
    place_link(to, to, link)
}

/// Every file below `folder`, links not followed.
pub(super) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    found
}

/// Whether the file `path` of `size` bytes adds up to `checksum`. `step` hears of every piece and says whether to go on.
///
/// # Errors
/// When it cannot be read, or `step` says no.
pub fn is_whole(path: &Path, checksum: &Checksum, mut step: impl FnMut(u64) -> bool) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut sum = checksum.sum(file.metadata()?.len());
    let mut piece = vec![0; READ_BYTES];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok(sum.is(checksum));
        }
        sum.feed(&piece[..n]);
        if !step(n as u64) {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut sum = Sha256::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; READ_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            n => sum.update(&piece[..n]),
        }
    }
}

/// What is said when the cache cannot be written to.
pub(super) fn unwritable(root: &Path, path: &Path, error: &io::Error) -> Error {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge);
    let (why, remedy) = if full {
        (format!("there is no room for it ({error}); what was fetched is kept"), Remedy::FreeDisk)
    } else {
        (format!("cannot be written ({error}); the cache is {}", root.display()), Remedy::SetCacheFolder)
    };
    Error::at(ErrorKind::Output, path, why).with_remedy(remedy)
}
