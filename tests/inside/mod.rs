//! Runs a test inside `tests/tools/virtual-mic`: a private sound server with one microphone, which ends with the test.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic, reason = "a helper of tests; each uses its part")]

use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Set inside the virtual microphone, to the file in which [`in_virtual_mic`] confirms that a body has run.
const INSIDE: &str = "HEARKEN_TEST_INSIDE_VIRTUAL_MIC";
/// Usual time limit of a test inside.
pub const LIMIT: Duration = Duration::from_secs(150);
/// Held while a test is inside: two sound servers with a model and a window each are too slow on two cores.
static INSIDE_NOW: Mutex<()> = Mutex::new(());

/// Runs `body`, a closure of the calling test, inside the virtual microphone.
///
/// Starts this test program again inside, with only the calling test. Fails unless that run passes within `limit` and confirms
/// that it has completed `body`.
pub fn in_virtual_mic<F: FnOnce()>(limit: Duration, body: F) {
    if let Some(confirmation) = std::env::var_os(INSIDE) {
        body();
        std::fs::write(confirmation, "ran").unwrap();
        return;
    }
    let test = test_of::<F>();
    let folder = tempfile::tempdir().unwrap();
    let confirmation = folder.path().join("confirmation");
    run_in(test, limit, &confirmation);
    assert!(confirmation.exists(), "{test} did not run inside the virtual microphone");
}

/// Returns the name of the test that contains the closure `F`, as `--exact` takes it.
pub fn test_of<F>() -> &'static str {
    // The type of a closure is called `program::test::{{closure}}`.
    std::any::type_name::<F>().split_once("::").and_then(|(_, path)| path.strip_suffix("::{{closure}}")).unwrap()
}

/// Starts this test program inside, with only the test of this name, and waits until it ends.
fn run_in(test: &str, limit: Duration, confirmation: &Path) {
    for tool in ["dbus-run-session", "pipewire", "pipewire-pulse", "wireplumber", "pactl", "paplay"] {
        needs(tool, "pipewire pipewire-pulse pipewire-alsa wireplumber dbus libasound2-plugins pulseaudio-utils");
    }
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/virtual-mic");
    let me = std::env::current_exe().unwrap();
    // A test that failed inside has released the sound server too.
    let _alone = INSIDE_NOW.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(tool);
    command.arg(me).args(["--exact", test, "--nocapture", "--test-threads=1"]).env(INSIDE, confirmation);
    let mut child = command.spawn().unwrap();
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

/// Fails if a program is missing, and names the packages that contain it.
pub fn needs(tool: &str, packages: &str) {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(tool).exists());
    assert!(found, "`{tool}` is missing; this test needs: apt-get install {packages}");
}

/// Runs `pactl` and returns what it prints.
pub fn pactl(args: &[&str]) -> String {
    let done = Command::new("pactl").args(args).output().unwrap();
    assert!(done.status.success(), "pactl {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Plays a file into the microphone.
pub fn play(file: &Path) -> Child {
    Command::new("paplay").args(["--device=vmic_sink", "--latency-msec=100"]).arg(file).spawn().unwrap()
}
