//! Watches the sound system for a new default input and for a chosen input that is gone, which PulseAudio and PipeWire
//! tell nobody: they move the stream to another source without a word (CRATES.md 3.4).

use std::time::Duration;

use cpal::traits::HostTrait;
use crossbeam_channel::{Receiver, TrySendError};

use super::devices::{DeviceDirection, goes, id_of};
use super::host::host;
use super::hush::hush;

/// How often the sound system is asked.
const EVERY: Duration = Duration::from_secs(2);

/// The inputs of a moment.
pub(super) struct Seen {
    pub(super) default_id: Option<String>,
    pub(super) default_name: String,
    pub(super) ids: Vec<String>,
}

/// Sights that may wait: only the newest matters, and an old one is at most two periods old.
const SIGHTS: usize = 1;

/// Starts the watch; it ends soon after the receiver is dropped. Asking may block, so it has its own thread; where no
/// thread can be made there is no watch, and the stall watchdog remains.
pub(super) fn watch() -> Receiver<Seen> {
    let (tx, rx) = crossbeam_channel::bounded(SIGHTS);
    let _ = std::thread::Builder::new().name("hearken-mic-watch".to_owned()).spawn(move || {
        let mut system = host();
        loop {
            std::thread::sleep(EVERY);
            hush();
            let default = system.default_input_device();
            let default_id = default.as_ref().and_then(id_of);
            let default_name = default.map(|device| device.to_string()).unwrap_or_default();
            let listed =
                system.devices().map(|all| all.filter(|d| goes(d, DeviceDirection::Input)).filter_map(|d| id_of(&d)).collect::<Vec<_>>());
            let seen = match listed {
                Ok(ids) if default_id.is_some() => Seen { default_id, default_name, ids },
                listed => {
                    // The connection to a sound server that restarted is dead for ever; a new one may live.
                    system = host();
                    let Ok(ids) = listed else { continue };
                    Seen { default_id, default_name, ids }
                }
            };
            if let Err(TrySendError::Disconnected(_)) = tx.try_send(seen) {
                return;
            }
        }
    });
    rx
}
