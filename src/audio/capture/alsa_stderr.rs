//! Keeps ALSA's library quiet on stderr: it prints a line for each plugin that it tries and each card that is missing. Errors
//! that matter are also returned, and reported from there.

/// Redirects ALSA's messages on this thread to a buffer. Each call replaces the buffer, so a thread that polls ALSA calls this
/// before each poll, or the buffer grows.
#[cfg(target_os = "linux")]
pub(in crate::audio) fn silence_alsa_stderr() {
    // A failure leaves noise on stderr, nothing worse.
    let _ = alsa::Output::local_error_handler();
}

/// Does nothing: only ALSA writes to stderr.
#[cfg(not(target_os = "linux"))]
pub(in crate::audio) fn silence_alsa_stderr() {}
