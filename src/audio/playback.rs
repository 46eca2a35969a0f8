//! Sound out: what a voice says, to a loudspeaker, and what of it was really played, as the reference for echo cancelling.
//!
//! Responsible for opening, watching and reopening the output and for fading what is cut. Not responsible for what is said.

#[cfg(feature = "mic")]
mod device;
mod player;
pub mod ring;
pub mod simulated_room;

use crate::error::Result;
use crate::protocol::DeviceChoice;
use ring::{FarEnd, PlaybackWriter};

#[cfg(feature = "mic")]
pub use device::DeviceOutput;
pub use player::{FarEndSlot, Player, PumpStatus};

/// Where the sound of an output goes, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Into the ears only: the microphone does not hear it.
    Headphones,
    /// Into the room, or nobody knows.
    Room,
}

/// An output that is open.
pub struct OpenOutput {
    /// Takes the samples.
    pub feeder: PlaybackWriter,
    /// Where it goes.
    pub route: Route,
    /// Its readable name.
    pub name: String,
    /// What keeps it open; it knows when the device is lost.
    pub stream: Box<dyn OutputStream>,
}

/// An open output's stream.
pub trait OutputStream: Send {
    /// Why it is dead, if it is.
    fn failure(&mut self) -> Option<String>;

    /// Whether the choice that it was opened for means another device by now.
    fn is_outdated(&mut self) -> bool;
}

/// Whether a choice means another device by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outdated {
    /// It means another: the system's default has changed.
    Yes,
    /// It means this one.
    No,
}

/// Something that plays: the sound system, or a room in a test.
pub trait AudioOutput: Send {
    /// Opens the output that `choice` means, and gives what was played on it back at the far end.
    ///
    /// # Errors
    /// When there is no such output, or it is in use, forbidden or fails; the message names it.
    fn open(&mut self, choice: &DeviceChoice) -> Result<(OpenOutput, FarEnd)>;
}

/// The sound system's outputs.
#[must_use]
pub fn system_output() -> Box<dyn AudioOutput> {
    #[cfg(feature = "mic")]
    let output = DeviceOutput;
    #[cfg(not(feature = "mic"))]
    let output = NoOutput;
    Box::new(output)
}

/// The output of a build that has none.
#[cfg(not(feature = "mic"))]
struct NoOutput;

#[cfg(not(feature = "mic"))]
impl AudioOutput for NoOutput {
    fn open(&mut self, _: &DeviceChoice) -> Result<(OpenOutput, FarEnd)> {
        use crate::error::{Error, ErrorKind};
        Err(Error::new(ErrorKind::OutputDevice, "this Hearken was built without sound (feature `mic`); replies are shown as text"))
    }
}
