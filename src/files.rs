//! Private folders and atomic writes.
//!
//! Everything that Hearken writes for itself is readable by its user alone, and after a crash a file holds its old or its
//! new content. Not responsible for what the files mean.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Remedy, Result};

/// Whether a file that is there already may be written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Existing {
    Kept,
    Replaced,
}

/// Makes `folder` and what is missing above it, readable by this user alone.
///
/// # Errors
/// When the folder cannot be made.
pub fn make_private_folder(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| {
        Error::at(ErrorKind::Output, folder, format_args!("this folder cannot be made: {e}")).with_remedy(Remedy::for_write(&e))
    })
}

/// Writes `bytes` to `path` in one step, readable by this user alone: after a crash the old content or the new is there.
///
/// # Errors
/// When the folder or the file cannot be written, for instance because the disk is full.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        make_private_folder(folder)?;
    }
    replace(path, bytes).map_err(|e| Error::cannot_write(path, &e))
}

/// Writes a document where the user wants it, readable by this user alone. A failed attempt leaves nothing half written.
///
/// # Errors
/// `AlreadyExists` when the file is there and is to be kept; else why it cannot be written, for instance a full disk.
pub fn write_document(path: &Path, bytes: &[u8], existing: Existing) -> std::io::Result<()> {
    match existing {
        // What is no file, such as a pipe, cannot be replaced; it is written to.
        Existing::Replaced if path.is_file() || !path.exists() => replace(path, bytes),
        Existing::Replaced => write_synced(path, bytes, fs::OpenOptions::new().write(true)),
        Existing::Kept => {
            if fs::symlink_metadata(path).is_ok() {
                return Err(std::io::ErrorKind::AlreadyExists.into());
            }
            write_synced(path, bytes, fs::OpenOptions::new().write(true).create_new(true)).inspect_err(|e| {
                if e.kind() != std::io::ErrorKind::AlreadyExists {
                    let _ = fs::remove_file(path);
                }
            })
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    // The process id keeps two instances that write at the same time out of each other's file.
    partial.push(format!(".{}.part", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = write_synced(&partial, bytes, fs::OpenOptions::new().write(true).create(true).truncate(true))
        .and_then(|()| fs::rename(&partial, path));
    written.inspect_err(|_| {
        // What is left of a failed attempt is of no use to anybody; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&partial);
    })
}

fn write_synced(path: &Path, bytes: &[u8], options: &mut fs::OpenOptions) -> std::io::Result<()> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    let mut file = options.open(path)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_no_remains() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("deep/er/file");
        write_private(&path, b"one").expect("first");
        write_private(&path, b"two").expect("second");
        assert_eq!(fs::read(&path).expect("the file"), b"two");
        assert_eq!(fs::read_dir(home.path().join("deep/er")).expect("the folder").count(), 1);
    }

    #[test]
    fn a_failed_write_names_the_file_and_keeps_the_old_content() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("taken");
        fs::create_dir(&path).expect("a folder in the way");
        let error = write_private(&path, b"x").expect_err("a folder is in the way");
        assert!(error.message().contains("taken"), "{error}");
        assert_eq!(fs::read_dir(home.path()).expect("the folder").count(), 1);
    }

    #[test]
    fn a_document_is_kept_or_replaced_as_asked() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a.txt");
        write_document(&path, b"one", Existing::Kept).expect("a new file");
        let refused = write_document(&path, b"two", Existing::Kept).expect_err("it is there");
        assert_eq!((refused.kind(), fs::read(&path).expect("the file")), (std::io::ErrorKind::AlreadyExists, b"one".to_vec()));
        write_document(&path, b"two", Existing::Replaced).expect("replaced");
        assert_eq!(fs::read(&path).expect("the file"), b"two");
        assert!(write_document(&home.path().join("no/such/a.txt"), b"x", Existing::Kept).is_err());
        assert_eq!(fs::read_dir(home.path()).expect("the folder").count(), 1, "no remains");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_of_the_document() {
        let full = write_document(Path::new("/dev/full"), b"words", Existing::Replaced).expect_err("it is full");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_what_is_written() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("folder/file");
        write_private(&path, b"secret").expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a parent")), 0o700);
    }
}
