//! Private folders and atomic writes.
//!
//! Files and folders of Hearken can be read by its user alone (on Unix, by their mode). After a crash a file that was being
//! replaced holds its old or its new content.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Remedy, Result};

/// The treatment of a file that exists already at the path to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Keep the file and refuse to write.
    Kept,
    /// Replace the file.
    Replaced,
}

/// Creates `folder` and its missing parents, on Unix for the user alone (mode 0700). A folder that exists already keeps its permissions.
///
/// # Errors
/// `Output` when the folder cannot be created.
pub fn make_private_folder(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| {
        Error::at(ErrorKind::Output, folder, format_args!("this folder cannot be created: {e}")).with_remedy(Remedy::for_write(&e))
    })
}

/// Writes `bytes` to `path` atomically, on Unix readable by the user alone (mode 0600): after a crash the file holds its old or its new
/// content. Creates missing folders.
///
/// # Errors
/// `Output` when the folder or the file cannot be written, for example because the disk is full.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        make_private_folder(folder)?;
    }
    replace(path, bytes).map_err(|e| Error::cannot_write(path, &e))
}

/// Writes a document to a path that the user chose, readable by this user alone. Replacing is atomic, except for a pipe or device,
/// which is written into. A failed attempt leaves no partial file. Does not create folders.
///
/// # Errors
/// `AlreadyExists` when the file exists and is kept; else the cause of the failure, for example a full disk.
pub fn write_document(path: &Path, bytes: &[u8], existing: Existing) -> std::io::Result<()> {
    match existing {
        // A pipe or a device cannot be replaced; write into it.
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

/// Writes `bytes` to a temporary file beside `path` and renames it to `path`; after a failure removes the temporary file.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    // The process id separates two instances that write at the same time.
    partial.push(format!(".{}.part", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = write_synced(&partial, bytes, fs::OpenOptions::new().write(true).create(true).truncate(true))
        .and_then(|()| fs::rename(&partial, path));
    written.inspect_err(|_| {
        // A partial file that cannot be removed does no harm.
        let _ = fs::remove_file(&partial);
    })
}

/// Opens `path` with `options` (mode 0600 on Unix if created), writes `bytes` and waits until they are on the disk.
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
    fn a_replaced_file_leaves_no_temporary_file() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("deep/er/file");
        write_private(&path, b"one").expect("first");
        write_private(&path, b"two").expect("second");
        assert_eq!(fs::read(&path).expect("the file"), b"two");
        assert_eq!(fs::read_dir(home.path().join("deep/er")).expect("the folder").count(), 1);
    }

    #[test]
    fn a_failed_write_names_the_file_and_leaves_no_temporary_file() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("taken");
        fs::create_dir(&path).expect("a folder in the way");
        let error = write_private(&path, b"x").expect_err("a folder is in the way");
        assert!(error.message().contains("taken"), "{error}");
        assert_eq!(fs::read_dir(home.path()).expect("the folder").count(), 1);
    }

    #[test]
    fn an_existing_document_is_kept_or_replaced() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a.txt");
        write_document(&path, b"one", Existing::Kept).expect("a new file");
        let refused = write_document(&path, b"two", Existing::Kept).expect_err("it is there");
        assert_eq!((refused.kind(), fs::read(&path).expect("the file")), (std::io::ErrorKind::AlreadyExists, b"one".to_vec()));
        write_document(&path, b"two", Existing::Replaced).expect("replaced");
        assert_eq!(fs::read(&path).expect("the file"), b"two");
        assert!(write_document(&home.path().join("no/such/a.txt"), b"x", Existing::Kept).is_err());
        assert_eq!(fs::read_dir(home.path()).expect("the folder").count(), 1, "no temporary file");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_reported_as_the_cause() {
        let full = write_document(Path::new("/dev/full"), b"words", Existing::Replaced).expect_err("it is full");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    #[cfg(unix)]
    #[test]
    fn written_files_and_folders_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("folder/file");
        write_private(&path, b"secret").expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a parent")), 0o700);
    }
}
