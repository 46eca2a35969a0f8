//! The interface of [`CaptureSource`](super::CaptureSource) to the sound system and to the time spent in system sleep; tests
//! replace both by a script.

use std::sync::Arc;
use std::time::Instant;
#[cfg(not(target_os = "linux"))]
use std::time::SystemTime;

use crossbeam_channel::Receiver;

use super::device_watcher::{DeviceSnapshot, watch_devices};
use super::stream::InputStream;
use crate::error::Result;
use crate::protocol::DeviceChoice;

/// The sound system and the sleep clock that `CaptureSource` uses; tests replace both.
pub(super) trait Backend: Send + Sync {
    /// Opens and starts the input that `choice` names. If that is the system's default and one of `excluded` (ids or names), opens
    /// another microphone.
    fn open(&self, choice: &DeviceChoice, excluded: &[String]) -> Result<InputStream>;

    /// Starts a watcher that sends the list of inputs every 2 s until the receiver is dropped.
    fn watch(&self) -> Receiver<DeviceSnapshot>;

    /// Returns the seconds that the machine has slept since a fixed moment.
    fn slept_secs(&self) -> f64;
}

/// The sound system and the clocks of this machine.
pub(super) struct System {
    /// Time at which this object was made.
    begun: Instant,
    /// Reading at `begun` of the clock that runs in system sleep, in seconds.
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

    fn watch(&self) -> Receiver<DeviceSnapshot> {
        watch_devices()
    }

    fn slept_secs(&self) -> f64 {
        with_sleep_secs() - self.begun_secs - self.begun.elapsed().as_secs_f64()
    }
}

/// Returns the seconds of a clock that runs while the machine sleeps ([`Instant`] stops); 0 if it cannot be read.
#[cfg(target_os = "linux")]
fn with_sleep_secs() -> f64 {
    // /proc/uptime counts from boot and includes sleep (proc(5)). Without /proc a sleep looks like a stalled device.
    let uptime = std::fs::read_to_string("/proc/uptime").ok();
    uptime.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// Returns the seconds of a clock that runs while the machine sleeps. Setting the system clock forward looks like a sleep;
/// steps of several seconds are rare.
#[cfg(not(target_os = "linux"))]
fn with_sleep_secs() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
