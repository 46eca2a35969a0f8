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

/// Reads the text file at `path`. A byte order mark, which some editors write, is no part of the text; after one, UTF-16 is understood.
///
/// # Errors
/// The cause when the file cannot be read; `InvalidData` with the number of the line when it holds anything but text.
pub fn read_text(path: &Path) -> std::io::Result<String> {
    text_of(fs::read(path)?).map_err(|line| {
        let why = format!("line {line} is not text in UTF-8; save the file as UTF-8");
        std::io::Error::new(std::io::ErrorKind::InvalidData, why)
    })
}

/// Returns the text in `bytes`, without a byte order mark; the number of the first line (from 1) that is no text if it is not.
fn text_of(mut bytes: Vec<u8>) -> Result<String, usize> {
    let from_utf16 = |decode: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks(2).map(|pair| decode([pair[0], pair.get(1).copied().unwrap_or(0)])).collect();
        String::from_utf16(&units).map_err(|_| 1 + String::from_utf16_lossy(&units).split('\u{fffd}').next().map_or(0, line_breaks))
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => return from_utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => return from_utf16(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, ..] => drop(bytes.drain(..3)),
        _ => {}
    }
    String::from_utf8(bytes).map_err(|e| 1 + line_breaks(&String::from_utf8_lossy(&e.as_bytes()[..e.utf8_error().valid_up_to()])))
}

fn line_breaks(text: &str) -> usize {
    text.matches('\n').count()
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
    fn a_byte_order_mark_is_no_part_of_the_text_and_a_wrong_line_is_named() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("settings.toml");
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("written");
            read_text(&path).map_err(|e| e.to_string())
        };
        let utf16 = |text: &str, bytes_of: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes_of).collect::<Vec<u8>>();
        let text = "a = \"é你\"\n";
        assert_eq!(read(text.as_bytes()).as_deref(), Ok(text));
        assert_eq!(read(format!("\u{feff}{text}").as_bytes()).as_deref(), Ok(text));
        assert_eq!(read(&utf16(&format!("\u{feff}{text}"), u16::to_le_bytes)).as_deref(), Ok(text));
        assert_eq!(read(&utf16(&format!("\u{feff}{text}"), u16::to_be_bytes)).as_deref(), Ok(text));
        assert_eq!((read(b"").as_deref(), read(b"\xef\xbb\xbf").as_deref()), (Ok(""), Ok("")));
        assert!(read(b"a = 1\n\nb = \xe9\n").is_err_and(|why| why.starts_with("line 3 is not text")));
        assert!(read(b"\xff\xfea\0\n\0\0\xd8").is_err_and(|why| why.starts_with("line 2 is not text")));
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
