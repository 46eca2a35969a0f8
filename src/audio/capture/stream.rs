//! One open input stream: any sample format and channel count into the ring.
//!
//! Not responsible for surviving its loss (see [`super::CaptureSource`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{FromSample, I24, SampleFormat, SizedSample, U24};
use crossbeam_channel::{Receiver, Sender};

use super::devices::{Found, find_input};
use super::hush::hush;
use super::ring::{RingReader, RingWriter, ring};
use super::trouble::explain;
use crate::error::Result;
use crate::protocol::DeviceChoice;

/// Seconds of sound that the ring holds: far more than the capture thread ever sleeps.
const RING_SECS: usize = 2;
/// Callbacks a second that are asked for (50 ms each; CRATES.md 3.4: always a fixed size). Each costs PulseAudio's client some
/// 200 µs, and with 50 a second that alone took 1.9 % of a core in a quiet room; a chunk waits 15 ms longer for its last sample.
const CALLBACKS_PER_SEC: u32 = 20;
/// Errors kept for the reader: the first says what happened, a dead device repeats it every 2 ms.
const FAULTS: usize = 8;
/// How long opening may take before it has failed.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);

/// An error that the sound system reported while the stream ran.
pub(super) struct Fault {
    pub(super) error: cpal::Error,
    /// Frames that had been delivered before it.
    pub(super) frames: u64,
}

/// An input stream that is running.
pub struct InputStream {
    stream: Option<cpal::Stream>,
    reader: RingReader,
    faults: Receiver<Fault>,
    id: String,
    name: String,
    rate_hz: u32,
    channels: u16,
}

impl InputStream {
    /// Opens the input that `choice` means and starts it; none of `excluded` unless it is chosen by name.
    ///
    /// # Errors
    /// When there is no such input, or it is in use, forbidden or fails; the message names it.
    pub fn open(choice: &DeviceChoice, excluded: &[String]) -> Result<Self> {
        let Found { device, id, name } = find_input(choice, excluded)?;
        let explain = |e: cpal::Error| explain(&name, &e);
        let supported = device.default_input_config().map_err(explain)?;
        let mut config = supported.config();
        config.buffer_size = cpal::BufferSize::Fixed((config.sample_rate / CALLBACKS_PER_SEC).max(1));
        let (stream, reader, faults) = match start(&device, config, supported.sample_format()) {
            Ok(started) => started,
            Err(_) => {
                config.buffer_size = cpal::BufferSize::Default;
                start(&device, config, supported.sample_format()).map_err(explain)?
            }
        };
        Ok(Self { stream: Some(stream), reader, faults, id, name, rate_hz: config.sample_rate, channels: config.channels })
    }

    /// A stream that a test writes to.
    #[cfg(test)]
    pub(super) fn scripted(reader: RingReader, faults: Receiver<Fault>, id: &str, rate_hz: u32) -> Self {
        Self { stream: None, reader, faults, id: id.to_owned(), name: id.to_owned(), rate_hz, channels: 1 }
    }

    /// The samples, mono, at [`Self::rate_hz`].
    pub fn reader(&mut self) -> &mut RingReader {
        &mut self.reader
    }

    /// The next error that the sound system reported.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.faults.try_recv().ok()
    }

    /// The id of the device.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The readable name of the device.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Samples a second.
    #[must_use]
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Channels, before they are mixed to one.
    #[must_use]
    pub fn channels(&self) -> u16 {
        self.channels
    }
}

impl Drop for InputStream {
    /// Closing may take seconds or for ever when the sound server is gone (CRATES.md 3.4), so nobody waits for it.
    fn drop(&mut self) {
        let stream = self.stream.take();
        // Where no thread can be made, the stream is dropped right here with the closure.
        let _ = std::thread::Builder::new().name("hearken-mic-close".to_owned()).spawn(move || {
            hush();
            drop(stream);
        });
    }
}

type Started = (cpal::Stream, RingReader, Receiver<Fault>);

/// Where the error callback reports.
struct Report {
    faults: Sender<Fault>,
    frames: Arc<AtomicU64>,
}

fn start(device: &cpal::Device, config: cpal::StreamConfig, format: SampleFormat) -> Result<Started, cpal::Error> {
    let (writer, reader) = ring(config.sample_rate as usize * RING_SECS);
    let (sender, faults) = crossbeam_channel::bounded(FAULTS);
    let report = Report { faults: sender, frames: reader.counter() };
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
    Ok((stream, reader, faults))
}

fn build<T: SizedSample + Send + 'static>(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    mut writer: RingWriter,
    report: Report,
) -> Result<cpal::Stream, cpal::Error>
where
    f32: FromSample<T>,
{
    let channels = usize::from(config.channels);
    device.build_input_stream(
        config,
        move |data: &[T], _: &cpal::InputCallbackInfo| writer.write(data, channels, f32::from_sample_),
        // A full channel already holds what went wrong first.
        move |error| drop(report.faults.try_send(Fault { error, frames: report.frames.load(Ordering::Acquire) })),
        Some(OPEN_TIMEOUT),
    )
}
