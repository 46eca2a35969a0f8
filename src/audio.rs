//! Sound in: from a microphone, a file, stdin or a script to 16 kHz mono chunks of 0.4 s. Sound out: what a voice says, and
//! its echo taken out of what comes in.
//!
//! Every source yields the same [`SourceEvent`], so the engine has one path for all of them. Not responsible for what is
//! heard in the sound: `audio` and `model` never import each other.

pub mod capture;
pub mod chunker;
pub mod echo;
pub mod file;
pub mod playback;
pub mod realtime;
pub mod resample;
pub mod scripted;
pub mod wav_file;
pub mod wav_stream;

use crate::error::{Error, Result};
use crate::protocol::GapCause;

pub use capture::{DeviceDirection, DeviceInfo, devices};
pub use file::{read_file, read_wav};

/// What a source yields.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    /// So many samples (16 kHz, mono) were appended to the buffer.
    Samples(usize),
    /// Nothing arrived for now (a live source waits at most 100 ms, then says this, so that its thread stays responsive).
    Nothing,
    /// So many samples (counted at 16 kHz) were lost at this place.
    Gap {
        /// Samples lost, at 16 kHz.
        samples: u64,
        /// Why.
        cause: GapCause,
    },
    /// What follows comes from another device or at another rate.
    InputChanged {
        /// Readable name.
        device: String,
        /// Its rate, in Hz.
        rate_hz: u32,
        /// Its channels, before they are mixed to one.
        channels: u16,
    },
    /// The file ends here: pad to a whole chunk, then comes its gap of silence, then perhaps another file.
    EndOfFile,
    /// Recoverable trouble; listening goes on.
    Problem(Error),
    /// The input delivers nothing until [`SourceEvent::InputChanged`], for this reason.
    InputLost(Error),
    /// Nothing will ever come again.
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

    fn resume(&mut self) -> Result<()> {
        (**self).resume()
    }
}

/// Said once of a file or stream in which some samples are NaN or infinite.
const NO_NUMBERS: &str = "some of its samples are not numbers (NaN or infinite); they are heard as silence";

/// The sample if it is in the range -1 ..= 1, else the nearest that is; 0 for one that is NaN or infinite.
const fn tame(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 }
}

/// Where sound comes from.
pub trait Source: Send {
    /// Waits for what comes next; samples are appended to `out` as 16 kHz mono in -1 ..= 1 (never NaN or infinite).
    ///
    /// # Errors
    /// When the source cannot go on at all.
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent>;

    /// A name for `session_started`.
    fn name(&self) -> String;

    /// Stops taking sound in, truly: a device is closed. What is not asked for its next sound anyway has nothing to do.
    fn pause(&mut self) {}

    /// Takes sound in again; the time in between is not a loss.
    ///
    /// # Errors
    /// When the device is not there any more.
    fn resume(&mut self) -> Result<()> {
        Ok(())
    }
}
