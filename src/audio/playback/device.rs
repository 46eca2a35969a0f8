//! One open output of the sound system: converts mono samples from the ring to any sample format and channel count.
//!
//! Not responsible for recovery from its loss (see [`super::Player`]).

use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{FromSample, I24, SampleFormat, SizedSample, U24};
use crossbeam_channel::{Receiver, Sender, bounded};

use super::ring::{FarEnd, PlaybackReader, playback_ring};
use super::{AudioOutput, OpenOutput, OutputStream, Route};
use crate::audio::capture::alsa_stderr::silence_alsa_stderr;
use crate::audio::capture::device_error::{cause, is_fatal, output_error};
use crate::audio::capture::devices::{NamedDevice, find_output, id_of};
use crate::audio::capture::host::host;
use crate::error::Result;
use crate::protocol::DeviceChoice;
use crate::supervise;

/// Requested rate of the output callbacks, in Hz: 20 ms of sound each, always of a fixed size (`src/audio/README.md`).
const CALLBACKS_PER_SEC: u32 = 50;
/// Capacity of the queue of stream errors: the first one names the cause, and a dead device repeats it every 2 ms.
const STREAM_ERRORS: usize = 8;
/// Time that the sound system may take to open a device; then opening fails.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);

/// Length of the silence in front of the first sample on a newly opened output, in seconds: a loudspeaker that slept, or one behind
/// Bluetooth, swallows the beginning of what wakes it.
const LEAD_IN_SECS: f32 = 0.4;

/// The outputs of the sound system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceOutput;

impl AudioOutput for DeviceOutput {
    fn open(&mut self, choice: &DeviceChoice) -> Result<(OpenOutput, FarEnd)> {
        let NamedDevice { device, id, name } = find_output(choice)?;
        let failed = |e: cpal::Error| output_error(&name, &e);
        let supported = device.default_output_config().map_err(failed)?;
        let mut config = supported.config();
        config.buffer_size = cpal::BufferSize::Fixed((config.sample_rate / CALLBACKS_PER_SEC).max(1));
        let (report, errors) = bounded(STREAM_ERRORS);
        let open = |config: cpal::StreamConfig| {
            let (mut writer, reader, far_end) = playback_ring(config.sample_rate);
            writer.write(&vec![0.0; (config.sample_rate as f32 * LEAD_IN_SECS) as usize]);
            start(&device, config, supported.sample_format(), reader, report.clone()).map(|stream| (stream, writer, far_end))
        };
        let (stream, writer, far_end) = match open(config) {
            Ok(opened) => opened,
            Err(_) => {
                config.buffer_size = cpal::BufferSize::Default;
                open(config).map_err(failed)?
            }
        };
        let route = route_of(&device, &name);
        let opened_as_default = *choice == DeviceChoice::Default;
        let stream = Box::new(DeviceStream { stream: Some(stream), errors, id, opened_as_default });
        Ok((OpenOutput { writer, route, name, stream }, far_end))
    }
}

/// Returns the place where a device is heard, by its type if the system knows it, else by its name; a room if neither tells.
fn route_of(device: &cpal::Device, name: &str) -> Route {
    use cpal::DeviceType;
    let kind = device.description().map(|text| text.device_type()).unwrap_or_default();
    if matches!(kind, DeviceType::Headphones | DeviceType::Headset | DeviceType::Earpiece | DeviceType::HearingAid) {
        return Route::Headphones;
    }
    route_by_name(name)
}

/// Returns the place where an output is heard, by the words in its readable name; a room unless the name tells of headphones.
fn route_by_name(name: &str) -> Route {
    let lower = name.to_lowercase();
    let into_ears = ["headphone", "headset", "earphone", "earbud", "airpods", "耳机"].iter().any(|word| lower.contains(word));
    if into_ears { Route::Headphones } else { Route::Room }
}

/// An open output stream of a device.
struct DeviceStream {
    /// Stream of the sound system; None once it is being closed.
    stream: Option<cpal::Stream>,
    /// Errors that the sound system reports.
    errors: Receiver<cpal::Error>,
    /// Id of the device.
    id: String,
    /// True if the output was opened as the system's default.
    opened_as_default: bool,
}

impl OutputStream for DeviceStream {
    fn failure(&mut self) -> Option<String> {
        self.errors.try_iter().find(|error| is_fatal(error.kind())).map(|error| cause(&error))
    }

    fn is_outdated(&mut self) -> bool {
        self.opened_as_default && host().default_output_device().as_ref().and_then(id_of).is_some_and(|id| id != self.id)
    }
}

impl Drop for DeviceStream {
    /// Closes the stream on its own thread: after a crash of the sound server, closing can block for seconds or forever.
    fn drop(&mut self) {
        let stream = self.stream.take();
        // If the thread cannot be created, the stream is dropped here with the closure.
        let _ = supervise::spawn("hearken-out-close", move || {
            silence_alsa_stderr();
            drop(stream);
        });
    }
}

/// Opens and starts an output stream of `device` with this configuration and sample format: plays the samples of `reader`, and sends errors
/// of the running stream to `errors`.
fn start(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    format: SampleFormat,
    reader: PlaybackReader,
    errors: Sender<cpal::Error>,
) -> Result<cpal::Stream, cpal::Error> {
    let stream = match format {
        SampleFormat::I8 => build::<i8>(device, config, reader, errors),
        SampleFormat::I16 => build::<i16>(device, config, reader, errors),
        SampleFormat::I24 => build::<I24>(device, config, reader, errors),
        SampleFormat::I32 => build::<i32>(device, config, reader, errors),
        SampleFormat::I64 => build::<i64>(device, config, reader, errors),
        SampleFormat::U8 => build::<u8>(device, config, reader, errors),
        SampleFormat::U16 => build::<u16>(device, config, reader, errors),
        SampleFormat::U24 => build::<U24>(device, config, reader, errors),
        SampleFormat::U32 => build::<u32>(device, config, reader, errors),
        SampleFormat::U64 => build::<u64>(device, config, reader, errors),
        SampleFormat::F32 => build::<f32>(device, config, reader, errors),
        SampleFormat::F64 => build::<f64>(device, config, reader, errors),
        other => Err(cpal::Error::with_message(cpal::ErrorKind::UnsupportedConfig, format!("sample format {other} is not supported"))),
    }?;
    stream.play()?;
    Ok(stream)
}

/// Opens an output stream whose callbacks write samples of the type `T`, taken from `reader`.
fn build<T: SizedSample + FromSample<f32> + Send + 'static>(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    mut reader: PlaybackReader,
    errors: Sender<cpal::Error>,
) -> Result<cpal::Stream, cpal::Error> {
    let channels = usize::from(config.channels);
    device.build_output_stream(
        config,
        move |data: &mut [T], _: &cpal::OutputCallbackInfo| reader.fill(data, channels, T::from_sample_),
        // A full channel already holds the first errors, which name the cause.
        move |error| drop(errors.try_send(error)),
        Some(OPEN_TIMEOUT),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headphones_are_recognised_by_their_name() {
        for name in ["USB Headset Analog Stereo", "AirPods von Eva", "Headphones", "蓝牙耳机"] {
            assert_eq!(route_by_name(name), Route::Headphones, "{name}");
        }
        assert_eq!(route_by_name("Built-in Audio Analog Stereo"), Route::Room);
    }
}
