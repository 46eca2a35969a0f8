//! Polls the sound system for a new default input and for a chosen input that has disappeared: PulseAudio and PipeWire move a
//! stream to another source without telling the client (`src/audio/README.md`).

use std::time::Duration;

use cpal::traits::HostTrait;
use crossbeam_channel::{Receiver, TrySendError};

use super::alsa_stderr::silence_alsa_stderr;
use super::devices::{DeviceDirection, has_direction, id_of};
use super::host::host;
use crate::supervise;

/// Interval between two polls of the list of input devices.
const INTERVAL: Duration = Duration::from_secs(2);

/// The input devices at one moment, by their ids. Without a default input `default_id` is None and `default_name` is empty.
pub(super) struct DeviceSnapshot {
    /// Id of the default input.
    pub(super) default_id: Option<String>,
    /// Readable name of the default input.
    pub(super) default_name: String,
    /// Ids and readable names of all inputs.
    pub(super) inputs: Vec<(String, String)>,
}

/// Capacity of the channel from the device watcher; while a snapshot is unread, newer snapshots are dropped.
const SNAPSHOTS: usize = 1;

/// Starts the thread that sends a snapshot of the input devices every 2 s until the receiver is dropped. A thread of its own, because the
/// sound system may block. If the thread cannot be created, a lost input is still detected by its stall.
pub(super) fn watch_devices() -> Receiver<DeviceSnapshot> {
    let (tx, rx) = crossbeam_channel::bounded(SNAPSHOTS);
    let _ = supervise::spawn("hearken-mic-watch", move || {
        let mut system = host();
        loop {
            std::thread::sleep(INTERVAL);
            silence_alsa_stderr();
            let default = system.default_input_device();
            let default_id = default.as_ref().and_then(id_of);
            let default_name = default.map(|device| device.to_string()).unwrap_or_default();
            let listed: Result<Vec<_>, cpal::Error> = system.devices().map(|all| {
                all.filter(|d| has_direction(d, DeviceDirection::Input)).filter_map(|d| Some((id_of(&d)?, d.to_string()))).collect()
            });
            let snapshot = match listed {
                Ok(inputs) if default_id.is_some() => DeviceSnapshot { default_id, default_name, inputs },
                listed => {
                    // After a restart of the sound server the old connection stays dead; a new one may work.
                    system = host();
                    let Ok(inputs) = listed else { continue };
                    DeviceSnapshot { default_id, default_name, inputs }
                }
            };
            if let Err(TrySendError::Disconnected(_)) = tx.try_send(snapshot) {
                return;
            }
        }
    });
    rx
}
