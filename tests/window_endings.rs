//! The ends of a window that nobody closes, and second starts: signals complete what is being written, options are never thrown away.
#![cfg(all(feature = "window", feature = "mic", target_os = "linux"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod inside;
mod program;
mod x11;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use inside::{LIMIT, in_virtual_mic, play};
use program::{Killed, hearken, hearken_on, home, needs_display, needs_display_and_voice, spoken, wait_for};
use x11::{Server, X11};

/// Longest waits for the window, for sound in a file, and for the end.
const WINDOW_LIMIT: Duration = Duration::from_secs(40);
const SOUND_LIMIT: Duration = Duration::from_secs(20);
const END_LIMIT: Duration = Duration::from_secs(15);
/// Size of the header of a recording, and of a second of its sound, in bytes.
const HEADER: usize = 58;
const SECOND: usize = 64_000;

/// Settings of a user who has consented and keeps recordings.
const RECORDING: &str = "modes = [\"transcribe\"]\n[window]\nwelcomed = true\nlanguage = \"en\"\n[history]\naudio = true\n";

/// Returns the seconds of sound in a recording whose header says its real length; 0 before there is any.
fn whole_secs(path: &Path) -> usize {
    let Ok(wav) = std::fs::read(path) else { return 0 };
    let promised = wav.get(54..58).map_or(0, |length| u32::from_le_bytes(length.try_into().unwrap()) as usize);
    if promised + HEADER == wav.len() { promised / SECOND } else { 0 }
}

/// Returns the recordings of the history.
fn recordings(home: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(home.join("data/recordings")).map_or_else(|_| Vec::new(), |all| all.map(|entry| entry.unwrap().path()).collect())
}

#[test]
fn signals_end_the_window_in_order() {
    needs_display_and_voice();
    in_virtual_mic(LIMIT, || {
        end_by_signals();
    });
}

fn end_by_signals() {
    let server = Server::start();
    // The server starts anew when its last client leaves.
    let mut x = X11::connect(&server);
    for signal in ["INT", "TERM", "HUP"] {
        let home = home(RECORDING);
        let heard = home.path().join("heard.wav");
        let mut window = Killed(hearken_on(&server, home.path()).arg("--save-audio").arg(&heard).spawn().unwrap());
        wait_for(WINDOW_LIMIT, || x.window());
        assert!(play(&spoken(home.path(), "good morning")).wait().unwrap().success());
        wait_for(SOUND_LIMIT, || {
            (whole_secs(&heard) >= 4 && recordings(home.path()).iter().any(|path| whole_secs(path) >= 3)).then_some(())
        });
        assert!(Command::new("kill").arg(format!("-{signal}")).arg(window.0.id().to_string()).status().unwrap().success());
        let status = wait_for(END_LIMIT, || window.0.try_wait().unwrap());
        assert!(status.success(), "{signal}: {status}");
        assert!(whole_secs(&heard) >= 4, "{signal}: the recording is whole");
        let kept = recordings(home.path());
        assert!(kept.len() == 1 && whole_secs(&kept[0]) >= 3, "{signal}: {kept:?}");
        let log = std::fs::read_to_string(home.path().join("data/hearken.log")).unwrap();
        assert!(log.trim_end().ends_with("ended"), "{signal}: the history is complete: {log}");
    }
}

/// Runs a second start with these arguments.
fn start_again(server: &Server, home: &Path, arguments: &[&str]) -> Output {
    hearken_on(server, home).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_second_start_takes_no_option_in_silence() {
    needs_display();
    // Its socket has a path that is too long for an address.
    let outer = home("");
    let home = outer.path().join("home-".repeat(26));
    std::fs::create_dir_all(home.join("config")).unwrap();
    std::fs::write(home.join("config/settings.toml"), "[window]\nwelcomed = true\nlanguage = \"en\"\n").unwrap();
    let server = Server::start();
    let mut x = X11::connect(&server);
    let _window = Killed(hearken_on(&server, &home).spawn().unwrap());
    wait_for(WINDOW_LIMIT, || x.window());

    let out = outer.path().join("zz.wav");
    for (arguments, named) in [
        (&["--save-audio", out.to_str().unwrap()][..], "--save-audio"),
        (&["--modes", "sounds", "--gate", "off"], "--modes, --gate"),
        (&["--hidden", "--seed", "3"], "--hidden, --seed"),
    ] {
        let output = start_again(&server, &home, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.lines().count() == 1, "{arguments:?}: {said}");
        assert!(said.contains("running already") && said.contains(named), "{arguments:?}: {said}");
    }
    assert!(!out.exists());
    for arguments in [&[][..], &["--hidden"]] {
        let output = start_again(&server, &home, arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// As root the test plays a user who may write nothing.
#[test]
fn the_window_opens_in_a_home_that_cannot_be_written() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    needs_display();
    let (home, program) = (home("[window]\nwelcomed = true\nlanguage = \"en\"\n"), tempfile::tempdir().unwrap());
    let copy = program.path().join("hearken");
    std::fs::copy(env!("CARGO_BIN_EXE_hearken"), &copy).unwrap();
    for (path, mode) in [(program.path(), 0o1777), (home.path(), 0o555), (&home.path().join("config"), 0o555)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let server = Server::start();
    let mut x = X11::connect(&server);
    let said = program.path().join("stderr");
    let mut command = Command::new(&copy);
    command.envs(hearken(home.path()).get_envs().filter_map(|(name, value)| Some((name, value?)))).env_remove("WAYLAND_DISPLAY");
    command.env("DISPLAY", format!(":{}", server.number)).env("TMPDIR", program.path()).env_remove("XDG_RUNTIME_DIR");
    command.current_dir("/").stderr(std::fs::File::create(&said).unwrap());
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let mut window = Killed(command.spawn().unwrap());
    wait_for(WINDOW_LIMIT, || x.window());
    assert!(Command::new("kill").arg(window.0.id().to_string()).status().unwrap().success());
    assert!(wait_for(END_LIMIT, || window.0.try_wait().unwrap()).success());
    assert!(!std::fs::read_to_string(&said).unwrap().contains("disk"), "{said:?}");
}
