//! Keeps ALSA's library from writing to stderr: it prints a line for every plugin that it tries and every card that it
//! does not find, whatever its caller makes of the error. What matters comes back as an error and is told once.

/// Silences ALSA on this thread. What it says goes to a buffer that the next call replaces, so a thread that asks again and
/// again calls this every time.
#[cfg(target_os = "linux")]
pub(in crate::audio) fn hush() {
    // Without it there is noise on stderr and nothing worse.
    let _ = alsa::Output::local_error_handler();
}

/// Other sound systems write nothing.
#[cfg(not(target_os = "linux"))]
pub(in crate::audio) fn hush() {}
