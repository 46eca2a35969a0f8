//! The journal of the history's database: a write-ahead log where the disk allows it, else a rollback journal.
//!
//! The log needs memory that programs share through a file, which disks of a network may not offer; a database needs locks, too.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::store::SCHEMA_VERSION;

/// Opens a database for writing by `connect`, with the journal that its disk allows, and returns the connection and the version of the
/// schema, 0 for a new file.
///
/// # Errors
/// When the database cannot be read or written even without the log.
pub(super) fn open_with_journal(connect: impl Fn() -> rusqlite::Result<Connection>) -> rusqlite::Result<(Connection, i64)> {
    let db = connect()?;
    match with_log(&db) {
        Err(error) if is_without_shared_memory(&error) => {
            // A connection that has tried the log never goes without.
            drop(db);
            let db = connect()?;
            let version = without_log(&db)?;
            Ok((db, version))
        }
        version => Ok((db, version?)),
    }
}

/// Gives the database `db` a write-ahead log, and returns the version of the schema.
fn with_log(db: &Connection) -> rusqlite::Result<i64> {
    let version = user_version(db)?;
    // The file of a newer Hearken is left alone.
    if version > SCHEMA_VERSION {
        return Ok(version);
    }
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    // The shared memory is opened by the first query.
    db.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
    // A commit survives a crash of the program; only a power failure can cost the newest half second.
    db.pragma_update(None, "synchronous", if mode == "wal" { "NORMAL" } else { "FULL" })?;
    Ok(version)
}

/// Returns true for the errors of a database whose log cannot be opened, because the disk has no shared memory for it.
pub(super) fn is_without_shared_memory(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen))
}

/// Gives the database `db` a rollback journal, and returns the version of the schema.
fn without_log(db: &Connection) -> rusqlite::Result<i64> {
    // A single connection needs no shared memory, and so can leave the log.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let version = user_version(db)?;
    db.pragma_update(None, "journal_mode", "DELETE")?;
    db.pragma_update(None, "locking_mode", "NORMAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // The next query gives the lock of the single connection back.
    db.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
    Ok(version)
}

/// Returns the version of the schema of a database, 0 for a new file.
pub(super) fn user_version(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Returns true if a file in `folder` can be locked. SQLite reports a disk without locks as if another program held the lock, so a file
/// that nobody else can hold is tried; if even that cannot be made, the answer is true.
pub(super) fn keeps_locks(folder: &Path) -> bool {
    let Ok(probe) = probe_in(folder) else { return true };
    let lock = || -> rusqlite::Result<()> {
        let db = Connection::open(&probe)?;
        db.busy_timeout(Duration::ZERO)?;
        db.execute_batch("BEGIN EXCLUSIVE; ROLLBACK;")
    };
    let locked = lock();
    // An empty file that stays does no harm.
    let _ = std::fs::remove_file(&probe);
    !matches!(locked.map_err(|e| e.sqlite_error_code()), Err(Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)))
}

/// Creates an empty file in `folder` that no other process uses, and returns its path.
fn probe_in(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join(format!("history.probe-{}", std::process::id()));
    std::fs::OpenOptions::new().write(true).create_new(true).open(&path).map(|_| path)
}

#[cfg(test)]
mod tests {
    use rusqlite::OpenFlags;

    use super::*;

    fn mode(db: &Connection) -> String {
        db.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_disk_without_shared_memory_gets_a_rollback_journal_also_for_a_database_with_a_log() {
        let home = tempfile::tempdir().unwrap();
        for had_log in [false, true] {
            let path = home.path().join(format!("{had_log}.db"));
            if had_log {
                let (db, _) = open_with_journal(|| Connection::open(&path)).unwrap();
                db.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(7); PRAGMA user_version = 2;").unwrap();
                assert_eq!(mode(&db), "wal");
            }
            // This way of access has no shared memory.
            let connect = || Connection::open_with_flags_and_vfs(&path, OpenFlags::default(), "unix-dotfile");
            let (db, version) = open_with_journal(connect).unwrap();
            assert_eq!((version, mode(&db)), (if had_log { 2 } else { 0 }, "delete".into()));
            db.execute_batch("CREATE TABLE u(x)").unwrap();
            if had_log {
                assert_eq!(db.query_row("SELECT x FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
            }
            // The other connections are not locked out.
            let other = connect().unwrap();
            assert_eq!(other.query_row("SELECT count(*) FROM u", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        }
        assert!(keeps_locks(home.path()) && std::fs::read_dir(home.path()).unwrap().count() >= 2);
    }
}
