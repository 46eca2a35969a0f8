//! One open input stream: converts any sample format and channel count, and writes to the ring.
//!
//! Not responsible for recovery from its loss (see [`super::CaptureSource`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{FromSample, I24, SampleFormat, SizedSample, U24};
use crossbeam_channel::{Receiver, Sender};

use super::alsa_stderr::silence_alsa_stderr;
use super::channel_map::ChannelRequest;
use super::device_error::input_error;
use super::devices::{NamedDevice, find_input};
use super::ring::{RingReader, RingWriter, ring};
use crate::audio::mix::Mixer;
use crate::error::Result;
use crate::protocol::DeviceChoice;
use crate::supervise;

/// Length of the ring, in seconds of sound: far longer than the capture thread ever sleeps.
const RING_SECS: usize = 2;
/// Requested rate of the input callbacks, in Hz: 50 ms of sound each, always of a fixed size (`src/audio/README.md`). A callback costs
/// PulseAudio's client about 200 µs, so more of them would use a noticeable share of a core in a quiet room.
const CALLBACKS_PER_SEC: u32 = 20;
/// Capacity of the queue of stream errors: the first one names the cause, and a dead device repeats it every 2 ms.
const STREAM_ERRORS: usize = 8;
/// Time that the sound system may take to open a device; then opening fails.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);

/// An error that the sound system reported on a running stream.
pub(super) struct StreamError {
    /// Error of the sound system.
    pub(super) error: cpal::Error,
    /// Number of frames that were delivered before the error.
    pub(super) frames: u64,
}

/// A running input stream.
pub struct InputStream {
    /// Stream of the sound system; None in a test without a device.
    stream: Option<cpal::Stream>,
    /// Reading end of the ring of samples.
    reader: RingReader,
    /// Errors that the sound system reports.
    errors: Receiver<StreamError>,
    id: String,
    name: String,
    /// Sample rate of the device, in Hz.
    rate_hz: u32,
    /// Number of channels of the device, before they are mixed to mono.
    channels: u16,
}

impl InputStream {
    /// Opens and starts the input that `choice` names. If that is the system's default and one of `excluded` (ids or names), opens
    /// another microphone.
    ///
    /// # Errors
    /// [`InputDevice`](crate::error::ErrorKind::InputDevice), naming the device, when it does not exist, is in use or
    /// forbidden, or fails.
    pub fn open(choice: &DeviceChoice, excluded: &[String]) -> Result<Self> {
        let NamedDevice { device, id, name } = find_input(choice, excluded)?;
        let failed = |e: cpal::Error| input_error(&name, &e);
        let supported = device.default_input_config().map_err(failed)?;
        let mut config = supported.config();
        let request = ChannelRequest::for_source(&id, config.channels);
        config.channels = request.channels;
        let (rate_hz, channels) = (config.sample_rate, request.places.len() as u16);
        config.buffer_size = cpal::BufferSize::Fixed((config.sample_rate / CALLBACKS_PER_SEC).max(1));
        let Started { stream, reader, errors } = match start(&device, config, supported.sample_format(), request.mixer(rate_hz)) {
            Ok(started) => started,
            Err(_) => {
                config.buffer_size = cpal::BufferSize::Default;
                start(&device, config, supported.sample_format(), request.mixer(rate_hz)).map_err(failed)?
            }
        };
        Ok(Self { stream: Some(stream), reader, errors, id, name, rate_hz, channels })
    }

    /// Creates a stream without a device, for a test that writes to its ring.
    #[cfg(test)]
    pub(super) fn scripted(reader: RingReader, errors: Receiver<StreamError>, id: &str, rate_hz: u32) -> Self {
        Self { stream: None, reader, errors, id: id.to_owned(), name: id.to_owned(), rate_hz, channels: 1 }
    }

    /// Returns the reading end of the ring: mono samples at [`Self::rate_hz`].
    pub fn reader(&mut self) -> &mut RingReader {
        &mut self.reader
    }

    /// Returns the next error that the sound system reported; None if there is none.
    pub(super) fn next_error(&self) -> Option<StreamError> {
        self.errors.try_recv().ok()
    }

    /// Returns the id of the device.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the readable name of the device.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the sample rate, in Hz.
    #[must_use]
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Returns the number of channels, before they are mixed to mono.
    #[must_use]
    pub fn channels(&self) -> u16 {
        self.channels
    }
}

impl Drop for InputStream {
    /// Closes the stream on its own thread: after a crash of the sound server, closing can block for seconds or forever.
    fn drop(&mut self) {
        let stream = self.stream.take();
        // If the thread cannot be created, the stream is dropped here with the closure.
        let _ = supervise::spawn("hearken-mic-close", move || {
            silence_alsa_stderr();
            drop(stream);
        });
    }
}

/// A started input stream, with its channels to the capture thread.
struct Started {
    stream: cpal::Stream,
    /// Reading end of the ring of samples.
    reader: RingReader,
    /// Errors that the sound system reports.
    errors: Receiver<StreamError>,
}

/// The destination of the errors that a stream's error callback receives.
struct ErrorReport {
    /// Channel of the errors to the capture thread.
    errors: Sender<StreamError>,
    /// Counter of the frames that the device has delivered, lost ones included.
    frames: Arc<AtomicU64>,
}

/// Opens and starts an input stream of `device` with this configuration and sample format, whose channels `mixer` mixes.
fn start(device: &cpal::Device, config: cpal::StreamConfig, format: SampleFormat, mixer: Mixer) -> Result<Started, cpal::Error> {
    let (writer, reader) = ring(config.sample_rate as usize * RING_SECS, mixer);
    let (sender, errors) = crossbeam_channel::bounded(STREAM_ERRORS);
    let report = ErrorReport { errors: sender, frames: reader.counter() };
    let stream = match format {
        SampleFormat::I8 => build::<i8>(device, config, writer, report),
        SampleFormat::I16 => build::<i16>(device, config, writer, report),
        SampleFormat::I24 => build::<I24>(device, config, writer, report),
        SampleFormat::I32 => build::<i32>(device, config, writer, report),
        SampleFormat::I64 => build::<i64>(device, config, writer, report),
        SampleFormat::U8 => build::<u8>(device, config, writer, report),
        SampleFormat::U16 => build::<u16>(device, config, writer, report),
        SampleFormat::U24 => build::<U24>(device, config, writer, report),
        SampleFormat::U32 => build::<u32>(device, config, writer, report),
        SampleFormat::U64 => build::<u64>(device, config, writer, report),
        SampleFormat::F32 => build::<f32>(device, config, writer, report),
        SampleFormat::F64 => build::<f64>(device, config, writer, report),
        other => Err(cpal::Error::with_message(cpal::ErrorKind::UnsupportedConfig, format!("sample format {other} is not supported"))),
    }?;
    stream.play()?;
    Ok(Started { stream, reader, errors })
}

/// Opens an input stream whose callbacks receive samples of the type `T`: sound goes to `writer`, errors go to `report`.
fn build<T: SizedSample + Send + 'static>(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    mut writer: RingWriter,
    report: ErrorReport,
) -> Result<cpal::Stream, cpal::Error>
where
    f32: FromSample<T>,
{
    let channels = usize::from(config.channels);
    device.build_input_stream(
        config,
        move |data: &[T], _: &cpal::InputCallbackInfo| writer.write(data, channels, f32::from_sample_),
        // A full channel already holds the first errors, which name the cause.
        move |error| drop(report.errors.try_send(StreamError { error, frames: report.frames.load(Ordering::Acquire) })),
        Some(OPEN_TIMEOUT),
    )
}
