//! The sound system and the clock of sleep, as [`CaptureSource`](super::CaptureSource) needs them: the real ones, and in the
//! tests scripted ones.

use std::sync::Arc;
use std::time::Instant;
#[cfg(not(target_os = "linux"))]
use std::time::SystemTime;

use crossbeam_channel::Receiver;

use super::stream::InputStream;
use super::watch::{Seen, watch};
use crate::error::Result;
use crate::protocol::DeviceChoice;

/// Opens inputs and tells of them.
pub(super) trait Backend: Send + Sync {
    /// Opens the input that `choice` means and starts it; none of `excluded` unless it is chosen by name.
    fn open(&self, choice: &DeviceChoice, excluded: &[String]) -> Result<InputStream>;

    /// Tells which inputs there are, from time to time.
    fn watch(&self) -> Receiver<Seen>;

    /// Seconds that the machine has slept, counted from any fixed moment.
    fn slept_secs(&self) -> f64;
}

/// The machine's own.
pub(super) struct System {
    begun: Instant,
    begun_secs: f64,
}

impl System {
    pub(super) fn shared() -> Arc<dyn Backend> {
        Arc::new(Self { begun: Instant::now(), begun_secs: with_sleep_secs() })
    }
}

impl Backend for System {
    fn open(&self, choice: &DeviceChoice, excluded: &[String]) -> Result<InputStream> {
        InputStream::open(choice, excluded)
    }

    fn watch(&self) -> Receiver<Seen> {
        watch()
    }

    fn slept_secs(&self) -> f64 {
        with_sleep_secs() - self.begun_secs - self.begun.elapsed().as_secs_f64()
    }
}

/// Seconds of a clock that goes on while the machine sleeps; [`Instant`] does not.
#[cfg(target_os = "linux")]
fn with_sleep_secs() -> f64 {
    // The time since the machine was started, asleep or not (proc(5)). Without /proc a sleep is noticed as a stall.
    let uptime = std::fs::read_to_string("/proc/uptime").ok();
    uptime.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// Seconds of a clock that goes on while the machine sleeps. It is also set by hand and from the net: to be put forward by
/// seconds is rare, and looks like a sleep.
#[cfg(not(target_os = "linux"))]
fn with_sleep_secs() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
