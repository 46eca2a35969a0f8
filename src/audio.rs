//! Audio input and output.
//!
//! Input: a microphone, recordings (files, pipes, standard input) or a script, each a [`Source`] of 16 kHz mono samples; [`chunker`] cuts them into
//! chunks of 0.4 s. Output: playback of a synthesised voice, and cancellation of its echo in the input ([`echo`]).
//! Not responsible for what is in the sound: `audio` and `model` never import each other.

pub mod capture;
pub mod chunker;
mod decode;
pub mod echo;
mod ffmpeg;
pub mod file;
pub mod mix;
pub mod playback;
pub mod realtime;
pub mod resample;
pub mod scripted;
pub mod speech_detector;
pub mod wav_file;

use crate::error::{Error, Result};
use crate::protocol::{ChannelChoice, GapCause};

pub use capture::{DeviceDirection, DeviceInfo, devices};
pub use file::{read_file, read_wav};

/// The result of one call of [`Source::next`].
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    /// Number of samples (16 kHz, mono) that were appended to the buffer.
    Samples(usize),
    /// No sound yet: a live source returns this after at most 100 ms, so that its thread can react to commands.
    Nothing,
    /// Samples were lost here, between the samples returned before and after this event.
    Gap {
        /// Number of lost samples, at 16 kHz.
        samples: u64,
        /// Cause of the loss.
        cause: GapCause,
    },
    /// The samples from here on come from another device, or arrive at another rate.
    InputChanged {
        /// Readable name of the device.
        device: String,
        /// Sample rate of the device, in Hz.
        rate_hz: u32,
        /// Channels of the device, before they are mixed to mono.
        channels: u16,
    },
    /// The microphone has delivered only silence that no room has for 5 s; it may be muted.
    InputSilent {
        /// Readable name of the device.
        device: String,
    },
    /// Sound arrives again after [`SourceEvent::InputSilent`].
    InputAudible,
    /// End of a recording: pad to a whole chunk, then insert the gap of silence between files. Another file may
    /// follow.
    EndOfFile,
    /// An error that does not end the source, such as a damaged part of a file that is skipped.
    Problem(Error),
    /// The input delivers nothing from here on, for this reason, until [`SourceEvent::InputChanged`].
    InputLost(Error),
    /// End of the source.
    End,
}

impl Source for Box<dyn Source> {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        (**self).next(out)
    }

    fn name(&self) -> String {
        (**self).name()
    }

    fn pause(&mut self) {
        (**self).pause();
    }

    fn length_secs(&self) -> Option<f64> {
        (**self).length_secs()
    }

    fn choose_channel(&mut self, channel: ChannelChoice) {
        (**self).choose_channel(channel);
    }

    fn resume(&mut self) -> Result<()> {
        (**self).resume()
    }
}

/// Error text for a file or stream with NaN or infinite samples, reported once for each.
const NON_FINITE_SAMPLES: &str = "some samples are NaN or infinite; they are replaced by silence";

/// Returns `sample` clamped to -1 ..= 1, or 0 if it is NaN or infinite.
const fn sanitize(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 }
}

/// A stream of audio input: samples and events, which the capture thread pulls.
pub trait Source: Send {
    /// Waits for the next event and returns it. Appends samples to `out` as 16 kHz mono in -1 ..= 1, never NaN or infinite.
    ///
    /// # Errors
    /// An error that ends the source.
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent>;

    /// Returns the readable name of the source (device, files, stdin), for the event `session_started`.
    fn name(&self) -> String;

    /// Returns the length of all sound that the source delivers, in seconds; None for a live source, and where a file does not tell.
    fn length_secs(&self) -> Option<f64> {
        None
    }

    /// Hears this channel from now on. Does nothing for a source of one channel.
    fn choose_channel(&mut self, _channel: ChannelChoice) {}

    /// Stops listening: a device is closed. Does nothing for a source that delivers sound only on request.
    fn pause(&mut self) {}

    /// Listens again after [`Self::pause`]; no gap is reported for the pause.
    ///
    /// # Errors
    /// When the device can no longer be opened.
    fn resume(&mut self) -> Result<()> {
        Ok(())
    }
}
