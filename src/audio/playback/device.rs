//! One open output of the sound system: mono samples from the line to any sample format and channel count.
//!
//! Not responsible for surviving its loss (see [`super::Player`]).

use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{FromSample, I24, SampleFormat, SizedSample, U24};
use crossbeam_channel::{Receiver, Sender, bounded};

use super::ring::{FarEnd, PlaybackReader, playback_ring};
use super::{AudioOutput, OpenOutput, OutputStream, Route};
use crate::audio::capture::devices::{Found, find_output, id_of};
use crate::audio::capture::host::host;
use crate::audio::capture::hush::hush;
use crate::audio::capture::trouble::{explain_output, is_fatal, what};
use crate::error::Result;
use crate::protocol::DeviceChoice;

/// Callbacks a second that are asked for (20 ms each; CRATES.md 3.4: always a fixed size).
const CALLBACKS_PER_SEC: u32 = 50;
/// Errors kept: the first says what happened, a dead device repeats it every 2 ms.
const FAULTS: usize = 8;
/// How long opening may take before it has failed.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);

/// The outputs of the sound system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceOutput;

impl AudioOutput for DeviceOutput {
    fn open(&mut self, choice: &DeviceChoice) -> Result<(OpenOutput, FarEnd)> {
        let Found { device, id, name } = find_output(choice)?;
        let explain = |e: cpal::Error| explain_output(&name, &e);
        let supported = device.default_output_config().map_err(explain)?;
        let mut config = supported.config();
        config.buffer_size = cpal::BufferSize::Fixed((config.sample_rate / CALLBACKS_PER_SEC).max(1));
        let (faults_tx, faults) = bounded(FAULTS);
        let open = |config: cpal::StreamConfig| {
            let (feeder, filler, far_end) = playback_ring(config.sample_rate);
            start(&device, config, supported.sample_format(), filler, faults_tx.clone()).map(|stream| (stream, feeder, far_end))
        };
        let (stream, feeder, far_end) = match open(config) {
            Ok(opened) => opened,
            Err(_) => {
                config.buffer_size = cpal::BufferSize::Default;
                open(config).map_err(explain)?
            }
        };
        let route = route_of(&device, &name);
        let follows_default = *choice == DeviceChoice::Default;
        let stream = Box::new(OpenStream { stream: Some(stream), faults, id, follows_default });
        Ok((OpenOutput { feeder, route, name, stream }, far_end))
    }
}

/// Where a device's sound goes: by what the system says that it is, else by its name.
fn route_of(device: &cpal::Device, name: &str) -> Route {
    use cpal::DeviceType;
    let kind = device.description().map(|text| text.device_type()).unwrap_or_default();
    if matches!(kind, DeviceType::Headphones | DeviceType::Headset | DeviceType::Earpiece | DeviceType::HearingAid) {
        return Route::Headphones;
    }
    route_by_name(name)
}

fn route_by_name(name: &str) -> Route {
    let lower = name.to_lowercase();
    let into_ears = ["headphone", "headset", "earphone", "earbud", "airpods", "耳机"].iter().any(|word| lower.contains(word));
    if into_ears { Route::Headphones } else { Route::Room }
}

struct OpenStream {
    stream: Option<cpal::Stream>,
    faults: Receiver<cpal::Error>,
    id: String,
    follows_default: bool,
}

impl OutputStream for OpenStream {
    fn failure(&mut self) -> Option<String> {
        self.faults.try_iter().find(|error| is_fatal(error.kind())).map(|error| what(&error))
    }

    fn is_outdated(&mut self) -> bool {
        if !self.follows_default {
            return false;
        }
        let default = host().default_output_device().as_ref().and_then(id_of);
        if default.is_some_and(|id| id != self.id) { true } else { false }
    }
}

impl Drop for OpenStream {
    /// Closing may take seconds or for ever when the sound server is gone (CRATES.md 3.4), so nobody waits for it.
    fn drop(&mut self) {
        let stream = self.stream.take();
        // Where no thread can be made, the stream is dropped right here with the closure.
        let _ = std::thread::Builder::new().name("hearken-out-close".to_owned()).spawn(move || {
            hush();
            drop(stream);
        });
    }
}

fn start(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    format: SampleFormat,
    filler: PlaybackReader,
    faults: Sender<cpal::Error>,
) -> Result<cpal::Stream, cpal::Error> {
    let stream = match format {
        SampleFormat::I8 => build::<i8>(device, config, filler, faults),
        SampleFormat::I16 => build::<i16>(device, config, filler, faults),
        SampleFormat::I24 => build::<I24>(device, config, filler, faults),
        SampleFormat::I32 => build::<i32>(device, config, filler, faults),
        SampleFormat::I64 => build::<i64>(device, config, filler, faults),
        SampleFormat::U8 => build::<u8>(device, config, filler, faults),
        SampleFormat::U16 => build::<u16>(device, config, filler, faults),
        SampleFormat::U24 => build::<U24>(device, config, filler, faults),
        SampleFormat::U32 => build::<u32>(device, config, filler, faults),
        SampleFormat::U64 => build::<u64>(device, config, filler, faults),
        SampleFormat::F32 => build::<f32>(device, config, filler, faults),
        SampleFormat::F64 => build::<f64>(device, config, filler, faults),
        other => Err(cpal::Error::with_message(cpal::ErrorKind::UnsupportedConfig, format!("sample format {other} is not supported"))),
    }?;
    stream.play()?;
    Ok(stream)
}

fn build<T: SizedSample + FromSample<f32> + Send + 'static>(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    mut filler: PlaybackReader,
    faults: Sender<cpal::Error>,
) -> Result<cpal::Stream, cpal::Error> {
    let channels = usize::from(config.channels);
    device.build_output_stream(
        config,
        move |data: &mut [T], _: &cpal::OutputCallbackInfo| filler.fill(data, channels, T::from_sample_),
        // A full channel already holds what went wrong first.
        move |error| drop(faults.try_send(error)),
        Some(OPEN_TIMEOUT),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headphones_are_known_by_their_name() {
        for name in ["USB Headset Analog Stereo", "AirPods von Eva", "Headphones", "蓝牙耳机"] {
            assert_eq!(route_by_name(name), Route::Headphones, "{name}");
        }
        assert_eq!(route_by_name("Built-in Audio Analog Stereo"), Route::Room);
    }
}
