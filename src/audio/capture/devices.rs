//! The sound devices of this machine: listing them and finding the one that is meant.
//!
//! Not responsible for opening them (see [`super::stream`]).

#[cfg(feature = "mic")]
use super::host::host;
#[cfg(feature = "mic")]
use super::trouble::cannot_list;
use crate::error::Result;
#[cfg(feature = "mic")]
use crate::error::{Error, ErrorKind, Remedy};
#[cfg(feature = "mic")]
use crate::protocol::DeviceChoice;
#[cfg(feature = "mic")]
use cpal::traits::{DeviceTrait, HostTrait};

/// A device as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What `DeviceChoice::Named` takes; stays the same over restarts.
    pub id: String,
    /// Readable name.
    pub name: String,
    /// Whether it hears or plays.
    pub direction: DeviceDirection,
    /// Whether the system prefers it.
    pub is_default: bool,
    /// Its own rate, in Hz; 0 when it cannot be asked (in use).
    pub rate_hz: u32,
    /// Its own number of channels; 0 when it cannot be asked (in use).
    pub channels: u16,
}

/// Whether a device hears or plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceDirection {
    /// It hears.
    Input,
    /// It plays.
    Output,
}

/// Whether the system prefers a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The system's default.
    Default,
    /// Any other.
    Other,
}

/// Inputs, then outputs, the default first in each.
///
/// # Errors
/// When the sound system cannot be asked, or Hearken was built without it.
#[cfg(not(feature = "mic"))]
pub fn devices() -> Result<Vec<DeviceInfo>> {
    Err(super::built_without())
}

/// Inputs, then outputs, the default first in each.
///
/// # Errors
/// When the sound system cannot be asked, or Hearken was built without it.
#[cfg(feature = "mic")]
pub fn devices() -> Result<Vec<DeviceInfo>> {
    let host = host();
    let listed: Vec<cpal::Device> = host.devices().map_err(|e| cannot_list(&e))?.collect();
    let mut infos = Vec::new();
    for direction in [DeviceDirection::Input, DeviceDirection::Output] {
        let default = match direction {
            DeviceDirection::Input => host.default_input_device(),
            DeviceDirection::Output => host.default_output_device(),
        };
        let default_id = default.as_ref().and_then(id_of);
        let start = infos.len();
        for device in &listed {
            let Some(id) = id_of(device).filter(|id| !is_pseudo(id)) else { continue };
            if !goes(device, direction) {
                continue;
            }
            let is_default = Some(&id) == default_id.as_ref();
            let config = match direction {
                DeviceDirection::Input => device.default_input_config(),
                DeviceDirection::Output => device.default_output_config(),
            };
            // A device that cannot be asked because another program holds it is still there; any other is no device.
            let (rate_hz, channels) = match config {
                Ok(config) => (config.sample_rate(), config.channels()),
                Err(e) if e.kind() == cpal::ErrorKind::DeviceBusy => (0, 0),
                Err(_) => continue,
            };
            infos.push(DeviceInfo { id, name: device.to_string(), direction, is_default, rate_hz, channels });
        }
        infos[start..].sort_by_key(|info| !info.is_default);
    }
    Ok(infos)
}

/// A device that was found.
#[cfg(feature = "mic")]
pub(in crate::audio) struct Found {
    pub(in crate::audio) device: cpal::Device,
    pub(in crate::audio) id: String,
    pub(in crate::audio) name: String,
}

/// The input that `choice` means. Where the system's default is one of `excluded`, the first other microphone stands in.
#[cfg(feature = "mic")]
pub(super) fn find_input(choice: &DeviceChoice, excluded: &[String]) -> Result<Found> {
    let host = host();
    let found = |device: cpal::Device| Some(Found { id: id_of(&device)?, name: device.to_string(), device });
    match choice {
        DeviceChoice::Default => {
            let may = |found: &Found| !excluded.iter().any(|wanted| means(wanted, &found.id, &found.name));
            if let Some(device) = host.default_input_device() {
                let device = Found { id: id_of(&device).unwrap_or_default(), name: device.to_string(), device };
                if may(&device) {
                    return Ok(device);
                }
            }
            let others =
                host.devices().map_err(|e| cannot_list(&e))?.filter(|device| goes(device, DeviceDirection::Input)).filter_map(found);
            let mut others = others.filter(|other| !excluded.is_empty() && !is_monitor(&other.id) && !is_pseudo(&other.id));
            let nothing = if excluded.is_empty() { "no microphone" } else { "no microphone but those that you excluded" };
            others.find(may).ok_or_else(|| {
                Error::new(ErrorKind::InputDevice, format!("the sound system shows {nothing}")).with_remedy(Remedy::ChooseInput)
            })
        }
        DeviceChoice::Named(wanted) => {
            let inputs =
                host.devices().map_err(|e| cannot_list(&e))?.filter(|device| goes(device, DeviceDirection::Input)).filter_map(found);
            named(wanted, inputs.collect(), DeviceDirection::Input)
        }
    }
}

/// The output that `choice` means.
#[cfg(feature = "mic")]
pub(in crate::audio) fn find_output(choice: &DeviceChoice) -> Result<Found> {
    let host = host();
    let found = |device: cpal::Device| Some(Found { id: id_of(&device)?, name: device.to_string(), device });
    match choice {
        DeviceChoice::Default => {
            let device = host.default_output_device().and_then(found);
            device.ok_or_else(|| {
                Error::new(ErrorKind::OutputDevice, "the sound system shows no loudspeaker").with_remedy(Remedy::ChooseOutput)
            })
        }
        DeviceChoice::Named(wanted) => {
            let outputs =
                host.devices().map_err(|e| cannot_list(&e))?.filter(|device| goes(device, DeviceDirection::Output)).filter_map(found);
            named(wanted, outputs.collect(), DeviceDirection::Output)
        }
    }
}

/// Which of `devices` is called `wanted`.
#[cfg(feature = "mic")]
fn named(wanted: &str, mut devices: Vec<Found>, direction: DeviceDirection) -> Result<Found> {
    let names: Vec<(&str, &str)> = devices.iter().map(|found| (found.id.as_str(), found.name.as_str())).collect();
    match best_match(wanted, &names) {
        Some(at) => Ok(devices.swap_remove(at)),
        None => Err(unknown(wanted, &names, direction)),
    }
}

/// Whether `wanted` is the id of a device, its id without the sound system's name, or its name.
#[cfg(feature = "mic")]
pub(super) fn means(wanted: &str, id: &str, name: &str) -> bool {
    wanted == id || id.split_once(':').is_some_and(|(_, bare)| bare == wanted) || wanted.to_lowercase() == name.to_lowercase()
}

/// Which of `devices` (id, name) is meant by `wanted`: its id, its id without the sound system's name, its name, or a
/// part of the name that only one device has; in this order.
#[cfg(feature = "mic")]
fn best_match(wanted: &str, devices: &[(&str, &str)]) -> Option<usize> {
    let lower = wanted.to_lowercase();
    let bare = |id: &str| id.split_once(':').is_some_and(|(_, bare)| bare == wanted);
    let find = |test: &dyn Fn(&(&str, &str)) -> bool| devices.iter().position(test);
    find(&|(id, _)| *id == wanted)
        .or_else(|| find(&|(id, _)| bare(id)))
        .or_else(|| find(&|(_, name)| name.to_lowercase() == lower))
        .or_else(|| {
            let mut parts = devices.iter().enumerate().filter(|(_, (id, name))| !is_pseudo(id) && name.to_lowercase().contains(&lower));
            match (parts.next(), parts.next()) {
                (Some((at, _)), None) if !lower.is_empty() => Some(at),
                _ => None,
            }
        })
}

#[cfg(feature = "mic")]
fn unknown(wanted: &str, devices: &[(&str, &str)], direction: DeviceDirection) -> Error {
    let (kind, what, remedy) = match direction {
        DeviceDirection::Input => (ErrorKind::InputDevice, "input", Remedy::ChooseInput),
        DeviceDirection::Output => (ErrorKind::OutputDevice, "output", Remedy::ChooseOutput),
    };
    let list: Vec<String> = devices.iter().filter(|(id, _)| !is_pseudo(id)).map(|(id, name)| format!("{name} [{id}]")).collect();
    let there = if list.is_empty() { format!("there is no {what} at all") } else { format!("there are: {}", list.join(", ")) };
    Error::new(kind, format!("no {what} is called `{wanted}`, or more than one is; {there}")).with_remedy(remedy)
}

#[cfg(feature = "mic")]
pub(in crate::audio) fn id_of(device: &cpal::Device) -> Option<String> {
    device.id().ok().map(|id| id.to_string())
}

/// Told from the description, because asking an ALSA device for its formats opens it and prints noise to stderr.
#[cfg(feature = "mic")]
pub(super) fn goes(device: &cpal::Device, direction: DeviceDirection) -> bool {
    device.description().is_ok_and(|text| match direction {
        DeviceDirection::Input => matches!(text.direction(), cpal::DeviceDirection::Input | cpal::DeviceDirection::Duplex),
        DeviceDirection::Output => matches!(text.direction(), cpal::DeviceDirection::Output | cpal::DeviceDirection::Duplex),
    })
}

/// Whether a source is the echo of a sink, by the naming of PulseAudio and PipeWire.
#[cfg(feature = "mic")]
pub(super) fn is_monitor(id: &str) -> bool {
    id.ends_with(".monitor")
}

/// Whether an id is one of the plugins and aliases that ALSA lists as if they were devices (seen in CRATES.md 3.5).
#[cfg(feature = "mic")]
fn is_pseudo(id: &str) -> bool {
    const PLUGINS: [&str; 26] = [
        "null",
        "lavrate",
        "samplerate",
        "samplerate_best",
        "samplerate_medium",
        "samplerate_order",
        "speexrate",
        "speexrate_best",
        "speexrate_medium",
        "speex",
        "jack",
        "oss",
        "upmix",
        "vdownmix",
        "usbstream",
        "dmix",
        "dsnoop",
        "front",
        "rear",
        "center_lfe",
        "side",
        "iec958",
        "spdif",
        "modem",
        "phoneline",
        "hdmi",
    ];
    let Some(pcm) = id.strip_prefix("alsa:") else { return false };
    let plugin = pcm.split(':').next().unwrap_or(pcm);
    PLUGINS.contains(&plugin) || plugin.starts_with("surround")
}

#[cfg(all(test, feature = "mic"))]
mod tests {
    use super::*;

    const DEVICES: [(&str, &str); 4] = [
        ("pulseaudio:usb_mic", "USB Microphone"),
        ("pulseaudio:speaker.monitor", "Monitor of Speaker"),
        ("pulseaudio:headset", "Headset Microphone"),
        ("alsa:null", "Discard all samples"),
    ];

    #[test]
    fn a_device_is_found_by_id_bare_id_name_or_a_part_that_is_unique() {
        assert_eq!(best_match("pulseaudio:headset", &DEVICES), Some(2));
        assert_eq!(best_match("usb_mic", &DEVICES), Some(0));
        assert_eq!(best_match("usb microphone", &DEVICES), Some(0));
        assert_eq!(best_match("head", &DEVICES), Some(2));
        assert_eq!(best_match("microphone", &DEVICES), None, "two have it");
        assert_eq!(best_match("", &DEVICES), None);
        assert_eq!(best_match("nothing", &DEVICES), None);
    }

    #[test]
    fn an_unknown_name_lists_what_there_is_without_the_plugins_of_alsa() {
        let message = unknown("desk", &DEVICES, DeviceDirection::Input).message().to_owned();
        assert!(message.contains("`desk`") && message.contains("USB Microphone [pulseaudio:usb_mic]"), "{message}");
        assert!(!message.contains("alsa:null"), "{message}");
    }

    #[test]
    fn plugins_are_hidden_and_devices_are_not() {
        for id in ["alsa:null", "alsa:surround51:CARD=0,DEV=0", "alsa:hdmi:CARD=1,DEV=0", "alsa:speexrate_best"] {
            assert!(is_pseudo(id), "{id}");
        }
        for id in ["alsa:default", "alsa:hw:CARD=0,DEV=0", "alsa:plughw:CARD=0,DEV=0", "alsa:pipewire", "pulseaudio:null", "wasapi:{0}"] {
            assert!(!is_pseudo(id), "{id}");
        }
        assert!(is_monitor("pulseaudio:vmic_sink.monitor") && !is_monitor("pulseaudio:usb_mic"));
    }
}
