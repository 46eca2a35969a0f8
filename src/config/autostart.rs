//! The start of Hearken with the user's session on the desktop: hidden in the tray, where there is one.
//!
//! Linux: an XDG autostart entry. macOS: a launch agent. Windows: a value of the registry key `Run`, through `reg`.

use std::path::Path;

use super::paths::{HOME_VARIABLE, Paths};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Switch;

/// Option that starts Hearken in the tray.
const HIDDEN: &str = "--hidden";

/// Returns true if Hearken starts with the session.
#[must_use]
pub fn is_on(paths: &Paths) -> bool {
    platform::is_on(paths)
}

/// Switches the start with the session on or off.
///
/// # Errors
/// `Output` when the entry cannot be written or removed, or this program does not know its own path.
pub fn set(paths: &Paths, switch: Switch) -> Result<()> {
    match switch {
        Switch::On => {
            let program = std::env::current_exe()
                .map_err(|e| Error::new(ErrorKind::Output, format!("the start with the session cannot be set: {e}")))?;
            platform::switch_on(paths, &program, std::env::var(HOME_VARIABLE).ok().filter(|home| !home.is_empty()).as_deref())
        }
        Switch::Off => platform::switch_off(paths),
    }
}

/// Removes the entry at `path`; an entry that does not exist is no error.
#[cfg(any(not(windows), test))]
fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::at(ErrorKind::Output, path, format_args!("this file cannot be removed: {e}")))
        }
        _ => Ok(()),
    }
}

#[cfg(not(any(target_os = "macos", windows)))]
mod platform {
    use std::path::{Path, PathBuf};

    use super::{HIDDEN, HOME_VARIABLE, Paths, Result, remove};
    use crate::files::write_private;

    pub(super) fn entry(paths: &Paths) -> PathBuf {
        paths.autostart.join("hearken.desktop")
    }

    /// Returns true if the entry exists and the desktop's own settings have not switched it off.
    pub(super) fn is_on(paths: &Paths) -> bool {
        let off = |line: &str| matches!(line.replace(' ', "").as_str(), "Hidden=true" | "X-GNOME-Autostart-enabled=false");
        std::fs::read_to_string(entry(paths)).is_ok_and(|text| !text.lines().any(off))
    }

    pub(super) fn switch_on(paths: &Paths, program: &Path, home: Option<&str>) -> Result<()> {
        write_private(&entry(paths), text(program, home).as_bytes())
    }

    pub(super) fn switch_off(paths: &Paths) -> Result<()> {
        remove(&entry(paths))
    }

    /// Returns the entry (freedesktop.org, "Desktop Application Autostart Specification") that starts `program` with the folders in
    /// `home`, if any.
    fn text(program: &Path, home: Option<&str>) -> String {
        let program = quoted(&program.to_string_lossy());
        let home = home.map_or_else(String::new, |home| format!("env {} ", quoted(&format!("{HOME_VARIABLE}={home}"))));
        format!(
            "[Desktop Entry]\nType=Application\nName=Hearken\nComment=Listens on this computer\nIcon=hearken\nExec={home}{program} {HIDDEN}\n\
             Terminal=false\nX-GNOME-Autostart-enabled=true\n"
        )
    }

    /// Returns an argument as the value of `Exec` holds it ("Desktop Entry Specification", the Exec key): in quotes, with the escapes of
    /// an argument and then those of a value.
    fn quoted(argument: &str) -> String {
        let mut value = String::from('"');
        for c in argument.chars() {
            match c {
                '"' | '`' | '$' | '\\' => value.extend(['\\', c]),
                '%' => value.push_str("%%"),
                c => value.push(c),
            }
        }
        value.push('"');
        value.replace('\\', "\\\\")
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::config::autostart::set;
        use crate::protocol::Switch;

        #[test]
        fn the_switch_writes_and_removes_an_entry_that_starts_this_program_hidden() {
            let home = tempfile::tempdir().unwrap();
            let paths = Paths::inside(home.path());
            assert!(!is_on(&paths));
            set(&paths, Switch::On).unwrap();
            let written = std::fs::read_to_string(home.path().join("autostart/hearken.desktop")).unwrap();
            let program = std::env::current_exe().unwrap();
            let exec = written.lines().find(|line| line.starts_with("Exec=")).unwrap();
            assert!(exec.ends_with(&format!("\"{}\" --hidden", program.display())), "{exec}");
            assert!(is_on(&paths));
            set(&paths, Switch::Off).unwrap();
            assert!(!is_on(&paths) && !entry(&paths).exists());
            set(&paths, Switch::Off).unwrap();
        }

        #[test]
        fn an_entry_that_the_desktop_switched_off_is_off() {
            let home = tempfile::tempdir().unwrap();
            let paths = Paths::inside(home.path());
            set(&paths, Switch::On).unwrap();
            let text = std::fs::read_to_string(entry(&paths)).unwrap();
            std::fs::write(entry(&paths), text + "Hidden = true\n").unwrap();
            assert!(!is_on(&paths));
        }

        #[test]
        fn a_program_with_unusual_characters_in_its_path_is_quoted() {
            let text = text(Path::new("/opt/a b/$5 100%/he\"ar"), Some("/usb/my home"));
            assert!(text.contains(r#"Exec=env "HEARKEN_HOME=/usb/my home" "/opt/a b/\\$5 100%%/he\\"ar" --hidden"#), "{text}");
        }

        #[test]
        fn an_entry_that_cannot_be_written_is_an_error_with_its_path() {
            let home = tempfile::tempdir().unwrap();
            let paths = Paths::inside(home.path());
            std::fs::write(&paths.autostart, "in the way").unwrap();
            let error = set(&paths, Switch::On).unwrap_err();
            assert!(error.message().contains("autostart"), "{error}");
        }
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use std::path::{Path, PathBuf};

    use super::{HIDDEN, HOME_VARIABLE, Paths, Result, remove};
    use crate::files::write_private;

    fn entry(paths: &Paths) -> PathBuf {
        paths.autostart.join("hearken.plist")
    }

    pub(super) fn is_on(paths: &Paths) -> bool {
        entry(paths).exists()
    }

    pub(super) fn switch_on(paths: &Paths, program: &Path, home: Option<&str>) -> Result<()> {
        let home = home.map_or_else(String::new, |home| {
            format!("<key>EnvironmentVariables</key><dict><key>{HOME_VARIABLE}</key><string>{}</string></dict>", escaped(home))
        });
        let program = escaped(&program.to_string_lossy());
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict><key>Label</key><string>hearken</string>{home}\
             <key>ProgramArguments</key><array><string>{program}</string><string>{HIDDEN}</string></array>\
             <key>RunAtLoad</key><true/></dict></plist>\n"
        );
        write_private(&entry(paths), text.as_bytes())
    }

    pub(super) fn switch_off(paths: &Paths) -> Result<()> {
        remove(&entry(paths))
    }

    fn escaped(text: &str) -> String {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }
}

#[cfg(windows)]
mod platform {
    use std::path::Path;
    use std::process::Command;

    use super::{Error, ErrorKind, HIDDEN, Paths, Result};

    const KEY: &str = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run";

    fn reg(arguments: &[&str]) -> Result<()> {
        let failed = |why: String| Error::new(ErrorKind::Output, format!("the start with the session cannot be set: {why}"));
        let output = Command::new("reg").args(arguments).output().map_err(|e| failed(e.to_string()))?;
        if output.status.success() { Ok(()) } else { Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())) }
    }

    pub(super) fn is_on(_: &Paths) -> bool {
        reg(&["query", KEY, "/v", "Hearken"]).is_ok()
    }

    /// Writes the value; a folder in `HEARKEN_HOME` is not passed on, because the key holds no environment.
    pub(super) fn switch_on(_: &Paths, program: &Path, _home: Option<&str>) -> Result<()> {
        let command = format!("\"{}\" {HIDDEN}", program.display());
        reg(&["add", KEY, "/v", "Hearken", "/t", "REG_SZ", "/d", &command, "/f"])
    }

    pub(super) fn switch_off(paths: &Paths) -> Result<()> {
        if is_on(paths) { reg(&["delete", KEY, "/v", "Hearken", "/f"]) } else { Ok(()) }
    }
}
