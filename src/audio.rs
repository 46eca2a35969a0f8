//! Sound in: from a microphone, a file, stdin or a script to 16 kHz mono chunks of 0.4 s.
//!
//! Every source yields the same [`Heard`], so the engine has one path for all of them. Not responsible for what is
//! heard in the sound: `audio` and `model` never import each other.

pub mod capture;
pub mod resample;

use crate::error::{Error, Result};
use crate::protocol::GapCause;

/// What a source yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
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
    Trouble(Error),
    /// Nothing will ever come again.
    End,
}

/// Where sound comes from.
pub trait Source: Send {
    /// Waits for what comes next; samples are appended to `out` as 16 kHz mono in -1 ..= 1 (never NaN or infinite).
    ///
    /// # Errors
    /// When the source cannot go on at all.
    fn next(&mut self, out: &mut Vec<f32>) -> Result<Heard>;

    /// A name for `session_started`.
    fn name(&self) -> String;
}
