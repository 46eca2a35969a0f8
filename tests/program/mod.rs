//! Hearken as a program with a window: its home, its processes, and sentences to say to it.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic, reason = "a helper of tests; each uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::inside::needs;
use super::x11::Server;

/// Fails if the X server is missing.
pub fn needs_display() {
    needs("Xvfb", "xvfb libgl1 libegl1 libgl1-mesa-dri libxkbcommon-x11-0");
}

/// Fails if the X server or the voice is missing.
pub fn needs_display_and_voice() {
    needs_display();
    needs("espeak-ng", "espeak-ng");
}

/// Makes a home with the settings file `settings`.
pub fn home(settings: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("settings.toml"), settings).unwrap();
    home
}

/// Returns the command that starts Hearken in the home `home`, without a display.
pub fn hearken(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
    command.env("HEARKEN_HOME", home).env("HOME", home).env_remove("WAYLAND_DISPLAY");
    command
}

/// Returns the command that starts Hearken in the home `home` on the display of `server`.
pub fn hearken_on(server: &Server, home: &Path) -> Command {
    let mut command = hearken(home);
    command.env("DISPLAY", format!(":{}", server.number));
    command
}

/// A process that is killed when the test ends: without a window it would run on.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Synthesises `text` into a WAV file.
pub fn spoken(folder: &Path, text: &str) -> PathBuf {
    let clip = folder.join("said.wav");
    assert!(Command::new("espeak-ng").args(["-v", "en-gb", "-s", "140", "-w"]).arg(&clip).arg(text).status().unwrap().success());
    clip
}

/// Waits until `what` returns something, and returns that; fails after `limit`.
pub fn wait_for<T>(limit: Duration, mut what: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
