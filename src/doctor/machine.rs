//! Checks of the machine: disk space, private folders, settings, display, notifications.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Finding;
use crate::config::{Settings, settings_problems};
use crate::error::Error;
use crate::files::make_private_folder;
use crate::hub::disk::free_bytes;
use crate::protocol::models::size;

/// Free disk space below which the check reports a problem, in bytes.
const MIN_FREE_BYTES: u64 = 200_000_000;

/// Checks that the disk of the cache folder has [`MIN_FREE_BYTES`] free. Space that cannot be found out is no problem.
pub(super) fn disk(settings: &Settings) -> Finding {
    let folder = &settings.paths.cache;
    match free_bytes(folder) {
        Some(free) if free < MIN_FREE_BYTES => Err(format!("{} free at {}: free some space", size(free), folder.display())),
        Some(free) => Ok(format!("{} free at {} (the 3B model takes about 15 GB)", size(free), folder.display())),
        None => Ok(format!("{}: this system does not say how much is free", folder.display())),
    }
}

/// Checks that the settings folder can be written and is private, and that settings and modes files are understood.
pub(super) fn settings(settings: &Settings) -> Finding {
    let folder = folder(&settings.paths.config);
    let mut problems = settings_problems(&settings.paths);
    if problems.is_empty() {
        return folder;
    }
    problems.extend(folder.err());
    Err(format!("{}: fix or remove these lines; the other settings are used", problems.join("; ")))
}

/// Checks that the cache folder can be written and is private.
pub(super) fn cache(settings: &Settings) -> Finding {
    folder(&settings.paths.cache)
}

/// Checks that `folder` can be written (creating it if missing) and, on Unix, that other users cannot read it.
fn folder(folder: &Path) -> Finding {
    make_private_folder(folder).map_err(|e| e.to_string())?;
    let probe = folder.join(format!("doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"probe");
    // The file does not exist if it could not be written.
    let _ = std::fs::remove_file(&probe);
    written.map_err(|e| Error::cannot_write(folder, &e).to_string())?;
    if open_to_others(folder) {
        return Err(format!("{}: other users of this machine can read it; make it private with `chmod 700`", folder.display()));
    }
    Ok(format!("{}: can be written, and only you can read it", folder.display()))
}

/// Returns true if the folder's mode grants the group or other users anything.
#[cfg(unix)]
fn open_to_others(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(folder).is_ok_and(|about| about.permissions().mode() & 0o077 != 0)
}

/// Returns false: on other systems, the folders of a user are private by default.
#[cfg(not(unix))]
fn open_to_others(_: &Path) -> bool {
    false
}

/// Checks that there is a Wayland or X11 display for the window. A Wayland display is named, not tried. On macOS and Windows always
/// ok. A build without a window is a problem.
pub(super) fn display(_: &Settings) -> Finding {
    if !cfg!(feature = "window") {
        return Err("this Hearken was built without a window; use `hearken listen`".into());
    }
    if cfg!(not(all(unix, not(target_os = "macos")))) {
        return Ok("the system's own".into());
    }
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (set("WAYLAND_DISPLAY"), set("DISPLAY")) {
        (Some(name), _) => Ok(format!("Wayland, {name}")),
        (None, Some(name)) if is_there(&name) => Ok(format!("X11, {name}")),
        (None, Some(name)) => Err(format!("DISPLAY is {name}, but nothing answers there; start Hearken in a desktop session")),
        (None, None) => Err("no display; start Hearken in a desktop session, or use `hearken listen`".into()),
    }
}

/// Checks on Linux that `notify-send`, which shows notifications, is installed; the desktop could be checked only by showing one.
pub(super) fn notifications(_: &Settings) -> Finding {
    if cfg!(not(all(unix, not(target_os = "macos")))) || !cfg!(feature = "window") {
        return Ok("the system's own".into());
    }
    match Command::new("notify-send").arg("--version").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok("through notify-send".into()),
        _ => Err("notify-send is missing, so urgent replies show in the window only; install it (Debian, Ubuntu: libnotify-bin)".into()),
    }
}

/// Returns true if an X server answers at the local socket of the X11 display `display`, or if `display` is on the network, which is
/// not tried.
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

    #[cfg(unix)]
    #[test]
    fn a_new_folder_is_private_and_one_that_others_can_read_is_a_problem() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let new = home.path().join("new");
        assert!(folder(&new).is_ok_and(|text| text.contains("only you")));
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(folder(&new).is_err_and(|text| text.contains("chmod 700")));
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(folder(&file).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_display_that_does_not_answer_is_detected() {
        assert!(!is_there(":31999") && is_there("elsewhere:0"));
    }
}
