//! The sound devices of this machine: listing, and lookup by name.
//!
//! Not responsible for opening a device (see [`super::stream`]).

#[cfg(feature = "mic")]
use super::device_error::listing_error;
#[cfg(feature = "mic")]
use super::host::host;
use crate::error::Result;
#[cfg(feature = "mic")]
use crate::error::{Error, ErrorKind, Remedy};
#[cfg(feature = "mic")]
use crate::protocol::DeviceChoice;
#[cfg(feature = "mic")]
use cpal::traits::{DeviceTrait, HostTrait};

/// A sound device, as listed to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Identifier that `DeviceChoice::Named` accepts, stable across restarts.
    pub id: String,
    /// Readable name.
    pub name: String,
    /// Direction of the sound.
    pub direction: DeviceDirection,
    /// True for the system's default device of its direction.
    pub is_default: bool,
    /// True for an input that is the monitor of an output: it delivers what the computer plays, and is used only where the user
    /// chose it by name.
    pub is_monitor: bool,
    /// Native sample rate, in Hz; 0 if unknown because another program holds the device.
    pub rate_hz: u32,
    /// Native number of channels; 0 if unknown because another program holds the device.
    pub channels: u16,
}

/// The direction of a sound device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceDirection {
    /// A microphone or another recording device.
    Input,
    /// A loudspeaker or another playback device.
    Output,
}

/// Fails: this build cannot list devices.
///
/// # Errors
/// [`InputDevice`](crate::error::ErrorKind::InputDevice), always: this build has no sound support.
#[cfg(not(feature = "mic"))]
pub fn devices() -> Result<Vec<DeviceInfo>> {
    Err(super::built_without())
}

/// Returns the inputs, then the outputs, the default first in each. Leaves out ALSA's plugins and devices that fail when asked for
/// their format.
///
/// # Errors
/// [`InputDevice`](crate::error::ErrorKind::InputDevice) when the sound system cannot list its devices.
#[cfg(feature = "mic")]
pub fn devices() -> Result<Vec<DeviceInfo>> {
    let host = host();
    let listed: Vec<cpal::Device> = host.devices().map_err(|e| listing_error(&e))?.collect();
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
            if !has_direction(device, direction) {
                continue;
            }
            let is_default = Some(&id) == default_id.as_ref();
            let config = match direction {
                DeviceDirection::Input => device.default_input_config(),
                DeviceDirection::Output => device.default_output_config(),
            };
            // A device that another program holds is listed without its format; one that fails otherwise is not usable.
            let (rate_hz, channels) = match config {
                Ok(config) => (config.sample_rate(), config.channels()),
                Err(e) if e.kind() == cpal::ErrorKind::DeviceBusy => (0, 0),
                Err(_) => continue,
            };
            let is_monitor = direction == DeviceDirection::Input && is_monitor(&id);
            infos.push(DeviceInfo { id, name: device.to_string(), direction, is_default, is_monitor, rate_hz, channels });
        }
        infos[start..].sort_by_key(|info| !info.is_default);
    }
    Ok(infos)
}

/// A device of the sound system, with its id and readable name.
#[cfg(feature = "mic")]
pub(in crate::audio) struct NamedDevice {
    /// Device of the sound system.
    pub(in crate::audio) device: cpal::Device,
    /// Id, stable across restarts.
    pub(in crate::audio) id: String,
    /// Readable name.
    pub(in crate::audio) name: String,
}

#[cfg(feature = "mic")]
impl NamedDevice {
    fn new(device: cpal::Device) -> Option<Self> {
        Some(Self { id: id_of(&device)?, name: device.to_string(), device })
    }
}

/// Returns the input that `choice` names. `Default` is the system's default input, or the first other microphone if the default is
/// the monitor of an output or one of `excluded` (ids or names). A monitor is never the default: what the computer plays is not
/// what the user says.
#[cfg(feature = "mic")]
pub(super) fn find_input(choice: &DeviceChoice, excluded: &[String]) -> Result<NamedDevice> {
    let host = host();
    match choice {
        DeviceChoice::Default => {
            let default = host.default_input_device();
            let default = default.map(|device| NamedDevice { id: id_of(&device).unwrap_or_default(), name: device.to_string(), device });
            match default {
                Some(default) if is_usable_unasked(&default.id, &default.name, excluded) => return Ok(default),
                // Without a default input the system has none that works; the plugins and aliases of ALSA would still be listed.
                None if excluded.is_empty() => return Err(no_microphone(excluded)),
                _ => {}
            }
            let mut others = with_direction(&host, DeviceDirection::Input)?.into_iter();
            let usable = |other: &NamedDevice| !is_pseudo(&other.id) && is_usable_unasked(&other.id, &other.name, excluded);
            others.find(usable).ok_or_else(|| no_microphone(excluded))
        }
        named => find_by_name(named.names(), with_direction(&host, DeviceDirection::Input)?, DeviceDirection::Input),
    }
}

/// Returns true if the input may be used for the choice `Default`. Monitors, which deliver what the computer plays, and inputs whose id
/// or name matches an entry of `excluded` are used only when they are chosen by name.
#[cfg(feature = "mic")]
pub(super) fn is_usable_unasked(id: &str, name: &str, excluded: &[String]) -> bool {
    !is_monitor(id) && !excluded.iter().any(|wanted| matches_device(wanted, id, name))
}

#[cfg(feature = "mic")]
fn no_microphone(excluded: &[String]) -> Error {
    let missing = if excluded.is_empty() { "no microphone" } else { "no microphone except the excluded ones" };
    Error::new(ErrorKind::NoMicrophone, format!("the sound system has {missing}")).with_remedy(Remedy::ChooseInput)
}

/// Returns the output that `choice` names; `Default` is the system's default output.
#[cfg(feature = "mic")]
pub(in crate::audio) fn find_output(choice: &DeviceChoice) -> Result<NamedDevice> {
    let host = host();
    match choice {
        DeviceChoice::Default => {
            let device = host.default_output_device().and_then(NamedDevice::new);
            let error = || Error::new(ErrorKind::OutputDevice, "the sound system has no loudspeaker").with_remedy(Remedy::ChooseOutput);
            device.ok_or_else(error)
        }
        named => find_by_name(named.names(), with_direction(&host, DeviceDirection::Output)?, DeviceDirection::Output),
    }
}

/// Returns the devices of `host` with this direction that have an id.
#[cfg(feature = "mic")]
fn with_direction(host: &cpal::Host, direction: DeviceDirection) -> Result<Vec<NamedDevice>> {
    let devices = host.devices().map_err(|e| listing_error(&e))?;
    Ok(devices.filter(|device| has_direction(device, direction)).filter_map(NamedDevice::new).collect())
}

/// Returns the first device that one of `wanted` names and `devices` holds, by id or name as in [`best_match`].
#[cfg(feature = "mic")]
fn find_by_name(wanted: &[String], mut devices: Vec<NamedDevice>, direction: DeviceDirection) -> Result<NamedDevice> {
    let names: Vec<(&str, &str)> = devices.iter().map(|found| (found.id.as_str(), found.name.as_str())).collect();
    match first_match(wanted, &names) {
        Some(at) => Ok(devices.swap_remove(at)),
        None => Err(unknown_device(wanted, &names, direction)),
    }
}

/// Returns the index in `devices` (id, name) of the first device that one of `wanted` names, in the order of `wanted`; None if none
/// does.
#[cfg(feature = "mic")]
pub(super) fn first_match(wanted: &[String], devices: &[(&str, &str)]) -> Option<usize> {
    wanted.iter().find_map(|wanted| best_match(wanted, devices))
}

/// Returns true if `wanted` is the id of a device, the id without the prefix of its sound system, or the name in any case.
#[cfg(feature = "mic")]
pub(super) fn matches_device(wanted: &str, id: &str, name: &str) -> bool {
    wanted == id || id.split_once(':').is_some_and(|(_, bare)| bare == wanted) || wanted.to_lowercase() == name.to_lowercase()
}

/// Returns the index of the device that `wanted` names in `devices` (id, name). The id is preferred, then the id without the prefix
/// of its sound system, the name in any case, and last a part of the name that only one device has; None if none fits.
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

/// Returns the error for device names that fit none of `devices` (id, name); the message lists their names without ALSA's plugins.
#[cfg(feature = "mic")]
fn unknown_device(wanted: &[String], devices: &[(&str, &str)], direction: DeviceDirection) -> Error {
    let (kind, noun, remedy) = match direction {
        DeviceDirection::Input => (ErrorKind::InputDevice, "input", Remedy::ChooseInput),
        DeviceDirection::Output => (ErrorKind::OutputDevice, "output", Remedy::ChooseOutput),
    };
    let list: Vec<String> = devices.iter().filter(|(id, _)| !is_pseudo(id)).map(|(id, name)| format!("{name} [{id}]")).collect();
    let available = if list.is_empty() { format!("there is no {noun}") } else { format!("available: {}", list.join(", ")) };
    let wanted = wanted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
    Error::new(kind, format!("{wanted}: no {noun} of this name, or more than one; {available}")).with_remedy(remedy)
}

/// Returns the id of a device, or None if the sound system has none for it.
#[cfg(feature = "mic")]
pub(in crate::audio) fn id_of(device: &cpal::Device) -> Option<String> {
    device.id().ok().map(|id| id.to_string())
}

/// Returns true if a device has this direction, by its description: querying the formats would open an ALSA device.
#[cfg(feature = "mic")]
pub(super) fn has_direction(device: &cpal::Device, direction: DeviceDirection) -> bool {
    device.description().is_ok_and(|text| match direction {
        DeviceDirection::Input => matches!(text.direction(), cpal::DeviceDirection::Input | cpal::DeviceDirection::Duplex),
        DeviceDirection::Output => matches!(text.direction(), cpal::DeviceDirection::Output | cpal::DeviceDirection::Duplex),
    })
}

/// Returns true if an input is the monitor of an output, by the naming of PulseAudio and PipeWire.
#[cfg(feature = "mic")]
pub(super) fn is_monitor(id: &str) -> bool {
    id.ends_with(".monitor")
}

/// Returns true if an id is one of the plugins and aliases that ALSA lists among its devices.
#[cfg(feature = "mic")]
fn is_pseudo(id: &str) -> bool {
    /// Names of ALSA's plugins and aliases.
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
    fn device_is_found_by_id_bare_id_name_or_unique_part_of_the_name() {
        assert_eq!(best_match("pulseaudio:headset", &DEVICES), Some(2));
        assert_eq!(best_match("usb_mic", &DEVICES), Some(0));
        assert_eq!(best_match("usb microphone", &DEVICES), Some(0));
        assert_eq!(best_match("head", &DEVICES), Some(2));
        assert_eq!(best_match("microphone", &DEVICES), None, "two names contain it");
        assert_eq!(best_match("", &DEVICES), None);
        assert_eq!(best_match("nothing", &DEVICES), None);
    }

    #[test]
    fn unknown_name_lists_the_available_devices_without_alsa_plugins() {
        let message = unknown_device(&["desk".to_owned()], &DEVICES, DeviceDirection::Input).message().to_owned();
        assert!(message.contains("`desk`") && message.contains("USB Microphone [pulseaudio:usb_mic]"), "{message}");
        assert!(!message.contains("alsa:null"), "{message}");
    }

    #[test]
    fn first_device_that_is_there_is_found_in_the_order_of_the_names() {
        let found = |names: &[&str]| first_match(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &DEVICES);
        assert_eq!((found(&["desk", "headset", "usb_mic"]), found(&["usb_mic", "headset"])), (Some(2), Some(0)));
        assert_eq!((found(&["desk", "microphone"]), found(&[])), (None, None));
    }

    #[test]
    fn alsa_plugins_are_hidden_and_devices_are_listed() {
        for id in ["alsa:null", "alsa:surround51:CARD=0,DEV=0", "alsa:hdmi:CARD=1,DEV=0", "alsa:speexrate_best"] {
            assert!(is_pseudo(id), "{id}");
        }
        for id in ["alsa:default", "alsa:hw:CARD=0,DEV=0", "alsa:plughw:CARD=0,DEV=0", "alsa:pipewire", "pulseaudio:null", "wasapi:{0}"] {
            assert!(!is_pseudo(id), "{id}");
        }
        assert!(is_monitor("pulseaudio:vmic_sink.monitor") && !is_monitor("pulseaudio:usb_mic"));
    }

    #[test]
    fn monitor_or_excluded_input_is_never_used_unless_chosen_by_name() {
        let usable = |id: &str, name: &str| is_usable_unasked(id, name, &["USB microphone".to_owned()]);
        assert!(!usable("pulseaudio:speaker.monitor", "Monitor of Speaker") && !usable("pulseaudio:usb_mic", "USB Microphone"));
        assert!(usable("pulseaudio:headset", "Headset Microphone") && is_usable_unasked("pulseaudio:usb_mic", "USB Microphone", &[]));
        assert_eq!(no_microphone(&[]).kind(), ErrorKind::NoMicrophone);
        assert_eq!(best_match("speaker.monitor", &DEVICES), Some(1));
    }
}
