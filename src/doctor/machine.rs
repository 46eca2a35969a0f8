//! The machine around Hearken: room on the disk, folders that only the user can read, a display.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Found;
use crate::config::{Settings, settings_problems};
use crate::files::make_private_folder;

/// Less room than this, in MB, is soon full of history: an hour of talk takes about one.
const LEAST_MB: u64 = 200;

pub(super) fn disk(settings: &Settings) -> Found {
    let folder = nearest(&settings.paths.cache);
    match free_mb(folder) {
        Some(free) if free < LEAST_MB => Err(format!("{free} MB free at {}: free some space", folder.display())),
        Some(free) => Ok(format!("{:.1} GB free at {} (the 3B model takes about 15 GB)", free as f64 / 1e3, folder.display())),
        None => Ok(format!("{}: this system does not say how much is free", folder.display())),
    }
}

/// The folder, or the nearest one above it that is there.
fn nearest(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder)
}

/// Megabytes that are free where `folder` is, as the system's own `df` says.
fn free_mb(folder: &Path) -> Option<u64> {
    let said = Command::new("df").arg("-Pk").arg("--").arg(folder).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    parse_df(&String::from_utf8_lossy(&said.stdout))
}

/// The column before the percentage in the second line (POSIX `df -P -k`), in megabytes; names may hold spaces.
fn parse_df(said: &str) -> Option<u64> {
    let columns: Vec<&str> = said.lines().nth(1)?.split_whitespace().collect();
    let percentage = columns.iter().rposition(|column| column.ends_with('%'))?;
    let kilobytes: u64 = columns.get(percentage.checked_sub(1)?)?.parse().ok()?;
    Some(kilobytes / 1_000)
}

/// The folder of the settings, and what stands in them.
pub(super) fn settings(settings: &Settings) -> Found {
    let folder = folder(&settings.paths.config);
    let mut wrong = settings_problems(&settings.paths);
    if wrong.is_empty() {
        return folder;
    }
    wrong.extend(folder.err());
    Err(format!("{}: mend or remove what is named; the rest is heeded", wrong.join("; ")))
}

pub(super) fn cache(settings: &Settings) -> Found {
    folder(&settings.paths.cache)
}

/// A folder that can be written, and that nobody else can read.
fn folder(folder: &Path) -> Found {
    make_private_folder(folder).map_err(|e| e.to_string())?;
    let probe = folder.join(format!("doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"probe");
    // It may not have come to exist.
    let _ = std::fs::remove_file(&probe);
    written.map_err(|e| format!("{}: {e}: free space or allow writing", folder.display()))?;
    if open_to_others(folder) {
        return Err(format!("{}: other users of this machine can read it: `chmod 700` it", folder.display()));
    }
    Ok(format!("{}: can be written, and read by you only", folder.display()))
}

#[cfg(unix)]
fn open_to_others(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(folder).is_ok_and(|about| about.permissions().mode() & 0o077 != 0)
}

/// Elsewhere a user's folders are the user's own unless somebody changed that.
#[cfg(not(unix))]
fn open_to_others(_: &Path) -> bool {
    false
}

pub(super) fn display(_: &Settings) -> Found {
    if !cfg!(feature = "window") {
        return Err("this Hearken was built without a window: use `hearken listen`".into());
    }
    if cfg!(not(all(unix, not(target_os = "macos")))) {
        return Ok("the system's own".into());
    }
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (set("WAYLAND_DISPLAY"), set("DISPLAY")) {
        (Some(name), _) => Ok(format!("Wayland, {name}")),
        (None, Some(name)) if is_there(&name) => Ok(format!("X11, {name}")),
        (None, Some(name)) => Err(format!("DISPLAY is {name} and nothing answers there: start it in a desktop session")),
        (None, None) => Err("no display: start it in a desktop session, or use `hearken listen`".into()),
    }
}

/// Whether the program is there that shows them; whether the desktop listens to it cannot be seen without showing one.
pub(super) fn notifications(_: &Settings) -> Found {
    if cfg!(not(all(unix, not(target_os = "macos")))) || !cfg!(feature = "window") {
        return Ok("the system's own".into());
    }
    match Command::new("notify-send").arg("--version").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok("through notify-send".into()),
        _ => Err("notify-send is not there, so what is urgent shows in the window only: install it (Debian, Ubuntu: libnotify-bin)".into()),
    }
}

/// Whether an X server answers at its local address; one that is reached over the network is taken at its word.
#[cfg(unix)]
fn is_there(display: &str) -> bool {
    let Some(number) = display.strip_prefix(':').or_else(|| display.strip_prefix("unix:")) else { return true };
    let number = number.split('.').next().unwrap_or(number);
    std::os::unix::net::UnixStream::connect(format!("/tmp/.X11-unix/X{number}")).is_ok() || abstract_socket(number)
}

#[cfg(target_os = "linux")]
fn abstract_socket(number: &str) -> bool {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    let address = SocketAddr::from_abstract_name(format!("/tmp/.X11-unix/X{number}"));
    address.is_ok_and(|address| UnixStream::connect_addr(&address).is_ok())
}

#[cfg(all(unix, not(target_os = "linux")))]
fn abstract_socket(_: &str) -> bool {
    false
}

#[cfg(not(unix))]
fn is_there(_: &str) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_room_is_the_column_before_the_percentage() {
        let said =
            "Filesystem     1024-blocks     Used Available Capacity Mounted on\n/dev/sda 1       100000 40000     60000      40% /a b\n";
        assert_eq!(parse_df(said), Some(60));
        assert_eq!((parse_df(""), parse_df("x\ny\n")), (None, None));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_made_private_and_one_that_others_can_read_is_a_problem() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let new = home.path().join("new");
        assert!(folder(&new).is_ok_and(|text| text.contains("you only")));
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(folder(&new).is_err_and(|text| text.contains("chmod 700")));
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(folder(&file).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_display_that_does_not_answer_is_known() {
        assert!(!is_there(":31999") && is_there("elsewhere:0"));
    }
}
