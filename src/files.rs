//! Private folders, atomic writes, and files that belong to the user.
//!
//! Files and folders of Hearken can be read by its user alone (on Unix, by their mode). After a crash a file that was being
//! replaced holds its old or its new content. A file that exists is replaced only where the caller says so; links are written through,
//! and the file that is replaced passes mode and owner on.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Remedy, Result};

/// Largest number of links that lead from one to the next before a path counts as a circle, as under Linux (`path_resolution(7)`).
const MAX_LINKS: usize = 40;
/// Number of names that are tried for a temporary folder; a second one is needed only if somebody guesses the first.
const TEMPORARY_NAMES: usize = 16;

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
    private_builder().recursive(true).create(folder).map_err(|e| {
        Error::at(ErrorKind::Output, folder, format_args!("this folder cannot be created: {e}")).with_remedy(Remedy::for_write(&e))
    })
}

/// Creates a new folder in `place`, on Unix for the user alone (mode 0700), with a name that begins with `prefix` and that nobody can
/// guess: in a folder that others can write, nothing of theirs is used or followed. Creates missing parents of `place`.
///
/// # Errors
/// When the folder cannot be created.
pub fn make_temporary_folder(place: &Path, prefix: &str) -> io::Result<PathBuf> {
    private_builder().recursive(true).create(place)?;
    for _ in 0..TEMPORARY_NAMES {
        // Each state is seeded by the system.
        let folder = place.join(format!("{prefix}{:016x}", RandomState::new().build_hasher().finish()));
        match private_builder().create(&folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|()| folder),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn private_builder() -> fs::DirBuilder {
    #[allow(unused_mut, reason = "only Unix has modes")]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Reads the text file at `path`. A byte order mark, which some editors write, is no part of the text; after one, UTF-16 is understood.
///
/// # Errors
/// The cause when the file cannot be read; `InvalidData` with the number of the line when it holds anything but text.
pub fn read_text(path: &Path) -> io::Result<String> {
    text_of(fs::read(path)?).map_err(|line| {
        let why = format!("line {line} is not text in UTF-8; save the file as UTF-8");
        io::Error::new(io::ErrorKind::InvalidData, why)
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

/// Writes `bytes` to `path` atomically, on Unix readable by the user alone (mode 0600) if the file is new: after a crash the file holds
/// its old or its new content. Creates missing folders.
///
/// # Errors
/// `Output` when the folder or the file cannot be written, for example because the disk is full.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        make_private_folder(folder)?;
    }
    replace(path, bytes).map_err(|e| Error::cannot_write(path, &e))
}

/// Writes a document to a path that the user chose; a new file is readable by this user alone. Replacing is atomic, except for a pipe or
/// device, which is written into. A failed attempt leaves no partial file. Does not create folders.
///
/// # Errors
/// `AlreadyExists` when the file exists and is kept; else the cause of the failure, for example a full disk.
pub fn write_document(path: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    if existing == Existing::Replaced {
        return replace(path, bytes);
    }
    if exists(path) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    write_synced(path, bytes, OpenOptions::new().write(true).create_new(true)).inspect_err(|e| {
        if e.kind() != io::ErrorKind::AlreadyExists {
            let _ = fs::remove_file(path);
        }
    })
}

/// Creates the file `path`, which the caller writes bit by bit; a new file is readable by the user alone. On Unix the file stays locked
/// until it is closed, so that no other Hearken writes it or mends it meanwhile. Does not create folders.
///
/// # Errors
/// `AlreadyExists` when the file exists and is kept, `ResourceBusy` when another program holds its lock; else the cause of the failure.
pub fn create_document(path: &Path, existing: Existing) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true);
    match existing {
        Existing::Kept => options.create_new(true),
        Existing::Replaced => options.create(true).truncate(false),
    };
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    lock(&file)?;
    // A pipe or a device has no length.
    if existing == Existing::Replaced && file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Locks `file` until it is closed. On Windows, where a lock keeps readers out too, and on a file system without locks, does nothing.
///
/// # Errors
/// `ResourceBusy` when another program, or another part of this one, holds the lock.
pub fn lock(file: &File) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(io::Error::new(io::ErrorKind::ResourceBusy, "another program is writing it")),
        Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(()),
    }
}

/// Returns true if there is anything at `path`, be it a link that leads nowhere.
#[must_use]
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Returns the error about a file that exists already at `path` and is kept.
#[must_use]
pub fn already_exists(path: &Path) -> Error {
    let why = format!("{} exists already; choose another name, or replace it with --force", path.display());
    Error::new(ErrorKind::Arguments, why)
}

/// Returns true if both paths lead to the same file, under whatever names: on Unix by device and inode, elsewhere by their canonical
/// paths.
#[must_use]
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    return fs::metadata(a).is_ok_and(|a| fs::metadata(b).is_ok_and(|b| identity(&a) == identity(&b)));
    #[cfg(not(unix))]
    return fs::canonicalize(a).is_ok_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b));
}

/// Returns true if standard input is read from the file `path`. Known on Unix only.
#[must_use]
pub fn is_stdin(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let stdin = io::stdin().as_fd().try_clone_to_owned().and_then(|stdin| File::from(stdin).metadata());
        stdin.is_ok_and(|stdin| fs::metadata(path).is_ok_and(|file| identity(&stdin) == identity(&file)))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Returns the device and the inode of a file.
#[cfg(unix)]
fn identity(about: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (about.dev(), about.ino())
}

/// Returns the path to which the link `path` leads in the end, whether there is a file or not; `path` itself if it is no link.
fn without_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            // A file, or nothing.
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// Replaces the file `path`, links followed, by `bytes`: writes a temporary file beside it, gives it the mode and the owner of the old
/// file, and renames it. Writes into a pipe or a device, and into a file whose owner cannot be passed on. After a failure removes the
/// temporary file.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    /// Number of temporary files of this process.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let target = without_links(path)?;
    let in_place = || write_synced(&target, bytes, OpenOptions::new().write(true).truncate(true));
    let old = match fs::metadata(&target) {
        Ok(old) if !old.is_file() => return in_place(),
        // A file that its user has made read-only stays as it is.
        Ok(_) => Some(OpenOptions::new().write(true).open(&target)?.metadata()?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let mut partial = target.as_os_str().to_owned();
    partial.push(format!(".{}-{}.part", std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed)));
    let partial = PathBuf::from(partial);
    // Left by a process of the same number that was killed.
    let _ = fs::remove_file(&partial);
    let written = write_synced(&partial, bytes, OpenOptions::new().write(true).create_new(true)).and_then(|()| {
        if old.is_some_and(|old| pass_on(&old, &partial).is_err()) {
            fs::remove_file(&partial)?;
            return in_place();
        }
        fs::rename(&partial, &target)
    });
    written.inspect_err(|_| {
        // A partial file that cannot be removed does no harm.
        let _ = fs::remove_file(&partial);
    })
}

/// Gives the file `to` the owner and the permissions of a file with the metadata `from`.
fn pass_on(from: &fs::Metadata, to: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let new = fs::metadata(to)?;
        if (from.uid(), from.gid()) != (new.uid(), new.gid()) {
            std::os::unix::fs::chown(to, Some(from.uid()), Some(from.gid()))?;
        }
    }
    fs::set_permissions(to, from.permissions())
}

/// Opens `path` with `options` (mode 0600 on Unix if created), writes `bytes` and waits until they are on the disk.
fn write_synced(path: &Path, bytes: &[u8], options: &mut OpenOptions) -> io::Result<()> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    let mut file = options.open(path)?;
    io::Write::write_all(&mut file, bytes)?;
    // A pipe or a device has no disk to wait for.
    if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_link_is_written_through_and_the_file_keeps_its_mode() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let home = tempfile::tempdir().expect("a folder");
        let (dot, link) = (home.path().join("dot"), home.path().join("config/settings.toml"));
        fs::create_dir(&dot).expect("a folder");
        fs::create_dir(home.path().join("config")).expect("a folder");
        let target = dot.join("settings.toml");
        fs::write(&target, "old").expect("written");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).expect("a mode");
        symlink("../dot/settings.toml", home.path().join("config/middle")).expect("a link");
        symlink("middle", &link).expect("a link to a link");
        write_private(&link, b"new").expect("written");
        write_document(&link, b"newer", Existing::Replaced).expect("written");
        assert_eq!(fs::read(&target).expect("the file"), b"newer");
        assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
        assert_eq!(fs::metadata(&target).expect("the file").permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(&dot).expect("the folder").count(), 1, "no temporary file");
        fs::remove_file(&target).expect("removed");
        write_private(&link, b"again").expect("a link that leads nowhere");
        assert_eq!(fs::read(&target).expect("the file"), b"again");
        symlink("round", home.path().join("round")).expect("a circle");
        assert!(write_private(&home.path().join("round"), b"x").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn the_other_names_of_a_file_keep_its_text() {
        let home = tempfile::tempdir().expect("a folder");
        let (one, two) = (home.path().join("one"), home.path().join("two"));
        fs::write(&one, "old").expect("written");
        fs::hard_link(&one, &two).expect("a second name");
        assert!(is_same_file(&one, &two));
        write_private(&one, b"new").expect("written");
        assert_eq!((fs::read(&one).expect("one"), fs::read(&two).expect("two")), (b"new".to_vec(), b"old".to_vec()));
        assert!(!is_same_file(&one, &two) && !is_same_file(&one, &home.path().join("none")));
    }

    #[test]
    fn a_temporary_folder_is_new_each_time() {
        let home = tempfile::tempdir().expect("a folder");
        let place = home.path().join("deep/er");
        let (a, b) = (make_temporary_folder(&place, "x-").expect("a folder"), make_temporary_folder(&place, "x-").expect("another"));
        assert!(a != b && a.is_dir() && b.parent() == Some(&place));
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&a).expect("metadata").permissions()) & 0o777, 0o700);
    }

    #[test]
    fn a_document_that_is_being_written_has_one_writer() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a.wav");
        let first = create_document(&path, Existing::Kept).expect("a new file");
        assert_eq!(create_document(&path, Existing::Kept).expect_err("it is there").kind(), io::ErrorKind::AlreadyExists);
        io::Write::write_all(&mut &first, b"sound").expect("written");
        #[cfg(unix)]
        assert_eq!(create_document(&path, Existing::Replaced).expect_err("it is in use").kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(fs::read(&path).expect("the file"), b"sound");
        drop(first);
        create_document(&path, Existing::Replaced).expect("replaced");
        assert_eq!(fs::read(&path).expect("the file"), b"");
    }

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
        assert_eq!((refused.kind(), fs::read(&path).expect("the file")), (io::ErrorKind::AlreadyExists, b"one".to_vec()));
        write_document(&path, b"two", Existing::Replaced).expect("replaced");
        assert_eq!(fs::read(&path).expect("the file"), b"two");
        assert!(write_document(&home.path().join("no/such/a.txt"), b"x", Existing::Kept).is_err());
        assert_eq!(fs::read_dir(home.path()).expect("the folder").count(), 1, "no temporary file");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_reported_as_the_cause() {
        let full = write_document(Path::new("/dev/full"), b"words", Existing::Replaced).expect_err("it is full");
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
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
