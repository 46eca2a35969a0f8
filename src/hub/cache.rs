//! The cache of Hugging Face on this disk: `blobs` named by checksum, `snapshots` of links to them, `refs` from names to commits.
//!
//! The layout is that of `huggingface_hub`, so a copy that another program has downloaded is used, and vice versa. Not responsible
//! for the meaning of the files, nor for the network.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::checksum::Checksum;
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Size of the read buffer for checksums, in bytes.
const READ_BYTES: usize = 1 << 20;

/// The folder of one repository in the cache of Hugging Face.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Root of the cache.
    root: PathBuf,
    /// Name of the repository's folder, `models--OWNER--NAME`.
    folder: String,
}

impl Repository {
    /// Returns the folder of the repository `owner/name` in the Hugging Face cache at `root`; creates nothing.
    #[must_use]
    pub fn new(root: &Path, owner: &str, name: &str) -> Self {
        Self { root: root.to_owned(), folder: format!("models--{owner}--{name}") }
    }

    /// Returns the path of the repository's folder in the cache, `models--OWNER--NAME`; it need not exist.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.root.join(&self.folder)
    }

    /// Returns the path of the blob (the content of a file) with this checksum; it need not exist.
    #[must_use]
    pub fn blob(&self, checksum: &Checksum) -> PathBuf {
        self.folder().join("blobs").join(checksum.hex())
    }

    /// Returns the path of Hearken's incomplete download of a blob. Not `.incomplete`: other programs write that file from its
    /// start, in other orders.
    #[must_use]
    pub fn partial(&self, checksum: &Checksum) -> PathBuf {
        self.folder().join("blobs").join(format!("{}.hearken.partial", checksum.hex()))
    }

    /// Returns the path of the folder with links to the files of `commit`; it need not exist.
    #[must_use]
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder().join("snapshots").join(commit)
    }

    /// Opens the lock file of a blob, creating it if needed, without locking it. Other programs of Hugging Face lock the same file.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn open_lock(&self, checksum: &Checksum) -> Result<File> {
        let folder = self.root.join(".locks").join(&self.folder);
        let path = folder.join(format!("{}.lock", checksum.hex()));
        fs::create_dir_all(&folder)
            .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path))
            .map_err(|e| unwritable(&self.root, &path, &e))
    }

    /// Creates the folder of the repository's blobs and its missing parents.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn create_blobs_folder(&self) -> Result<()> {
        let folder = self.folder().join("blobs");
        fs::create_dir_all(&folder).map_err(|e| unwritable(&self.root, &folder, &e))
    }

    /// Links the file `path` in the snapshot of `commit` to the blob with `checksum`, in place of a link to another blob.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn link_into_snapshot(&self, commit: &str, path: &str, checksum: &Checksum) -> Result<()> {
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
            // A broken or different link is in the way.
            match fs::remove_file(&link) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            place_link(&PathBuf::from(format!("{up}blobs/{}", checksum.hex())), &blob, &link)
        };
        place().map_err(|e| unwritable(&self.root, &link, &e))
    }

    /// Writes to the cache that the branch or tag `revision` now means `commit`. Writes nothing if `revision` is the commit itself, or a
    /// path that would leave the folder of such references.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn write_ref(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit || !super::catalog::is_safe_relative_path(revision) {
            return Ok(());
        }
        let path = self.folder().join("refs").join(revision);
        if fs::read_to_string(&path).is_ok_and(|text| text.trim() == commit) {
            return Ok(());
        }
        let write = || path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, commit));
        write().map_err(|e| unwritable(&self.root, &path, &e))
    }

    /// Returns true if the blob with `checksum` exists and the snapshot of another commit than `commit` links to it.
    #[must_use]
    pub fn is_shared(&self, checksum: &Checksum, commit: &str) -> bool {
        let blob = fs::canonicalize(self.blob(checksum)).ok();
        let snapshots = fs::read_dir(self.folder().join("snapshots")).into_iter().flatten().flatten();
        let others = snapshots.filter(|entry| entry.file_name() != commit).map(|entry| entry.path());
        blob.is_some() && others.flat_map(|folder| files_below(&folder)).any(|file| fs::canonicalize(file).ok() == blob)
    }
}

/// Creates a symbolic link at `link` to `blob` (`relative` as seen from `link`); where that fails a hard link, on Windows at last a
/// copy.
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

/// Creates a link at `link` to the file with the absolute path `to`; where links are impossible, as [`place_link`] does.
pub(super) fn link_to(to: &Path, link: &Path) -> io::Result<()> {
    place_link(to, to, link)
}

/// Returns every file and link below `folder`, at any depth; links are not followed. A folder that cannot be read counts as empty.
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

/// Returns true if the content of the file at `path` has `checksum`. Calls `step` with the number of bytes of each piece of at most 1 MiB;
/// `step` returns false to stop.
///
/// # Errors
/// When the file cannot be read; `Interrupted` when `step` returns false.
pub fn matches_checksum(path: &Path, checksum: &Checksum, mut step: impl FnMut(u64) -> bool) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut sum = checksum.hasher(file.metadata()?.len());
    let mut piece = vec![0; READ_BYTES];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok(sum.matches(checksum));
        }
        sum.update(&piece[..n]);
        if !step(n as u64) {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
}

/// Returns the SHA-256 of the content of the file at `path`, in hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut sum = Sha256::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; READ_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(crate::model::digest::hex(&sum.finalize())),
            n => sum.update(&piece[..n]),
        }
    }
}

/// Returns the `Output` error for the cache at `root` whose file `path` cannot be written: a full disk, or else a folder to change.
pub(super) fn unwritable(root: &Path, path: &Path, error: &io::Error) -> Error {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge);
    let (why, remedy) = if full {
        (format!("the disk is full ({error}); downloaded bytes are kept"), Remedy::FreeDisk)
    } else {
        (format!("cannot be written ({error}); the cache is {}", root.display()), Remedy::SetCacheFolder)
    };
    Error::at(ErrorKind::Output, path, why).with_remedy(remedy)
}
