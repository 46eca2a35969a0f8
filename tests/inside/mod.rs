//! Runs half of a test inside `tests/tools/virtual-mic`: a private sound server with one microphone, which ends with it.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic, reason = "a helper of tests; each uses its part")]

use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const INSIDE: &str = "HEARKEN_TEST_INSIDE_VIRTUAL_MIC";
const LIMIT: Duration = Duration::from_secs(150);
/// Two sound servers with a model and a window each do not keep up with time on two cores: one test is inside at a time.
static INSIDE_NOW: Mutex<()> = Mutex::new(());

/// Runs the test of this name inside, which must ask [`inside`] first.
pub fn run_inside(test: &str) {
    run_inside_within(test, LIMIT);
}

/// The same within another time.
pub fn run_inside_within(test: &str, limit: Duration) {
    for tool in ["dbus-run-session", "pipewire", "pipewire-pulse", "wireplumber", "pactl", "paplay"] {
        needs(tool, "pipewire pipewire-pulse pipewire-alsa wireplumber dbus libasound2-plugins pulseaudio-utils");
    }
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/virtual-mic");
    let me = std::env::current_exe().unwrap();
    // A test that failed inside has left.
    let _alone = INSIDE_NOW.lock().unwrap_or_else(PoisonError::into_inner);
    let mut child = Command::new(tool).arg(me).args(["--exact", test, "--nocapture", "--test-threads=1"]).env(INSIDE, "1").spawn().unwrap();
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{test} inside the virtual microphone: {status}");
            return;
        }
        if start.elapsed() > limit {
            let _ = child.kill();
            panic!("{test} took more than {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Fails where a program is missing, and says which packages have it.
pub fn needs(tool: &str, packages: &str) {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(tool).exists());
    assert!(found, "`{tool}` is missing; this test needs: apt-get install {packages}");
}

pub fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Plays a file into the microphone.
pub fn play(file: &Path) -> Child {
    Command::new("paplay").args(["--device=vmic_sink", "--latency-msec=100"]).arg(file).spawn().unwrap()
}
