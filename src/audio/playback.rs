//! Audio output: plays a synthesised voice, and provides the played samples (the far end) for echo cancellation.
//!
//! Responsible for opening the output, for recovery from its loss, and for fading out a cut reply. Not responsible for
//! what is spoken.

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

/// The place where an output is heard; `EchoChoice::Auto` cancels echo only in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Headphones: the microphone does not hear the output.
    Headphones,
    /// Loudspeakers in the room, or unknown.
    Room,
}

/// An open output.
pub struct OpenOutput {
    /// Writing end of the playback ring.
    pub writer: PlaybackWriter,
    /// Place where the sound is heard.
    pub route: Route,
    /// Readable name of the device.
    pub name: String,
    /// The stream; dropping it closes the output.
    pub stream: Box<dyn OutputStream>,
}

/// The stream of an open output; dropping it closes the output.
pub trait OutputStream: Send {
    /// Returns the cause if the stream has failed; None while it works.
    fn failure(&mut self) -> Option<String>;

    /// Returns true if the system's default has changed and the output was opened as the default.
    fn is_outdated(&mut self) -> bool;
}

/// A sound system that plays, or a simulation of one.
pub trait AudioOutput: Send {
    /// Opens the output that `choice` names. Returns the output and its far end.
    ///
    /// # Errors
    /// [`OutputDevice`](crate::error::ErrorKind::OutputDevice), naming the device, when it does not exist, is in use or
    /// forbidden, or fails.
    fn open(&mut self, choice: &DeviceChoice) -> Result<(OpenOutput, FarEnd)>;
}

/// Returns the sound system of this machine; in a build without feature `mic` one on which opening always fails.
#[must_use]
pub fn system_output() -> Box<dyn AudioOutput> {
    #[cfg(feature = "mic")]
    let output = DeviceOutput;
    #[cfg(not(feature = "mic"))]
    let output = NoOutput;
    Box::new(output)
}

/// The outputs of a build without sound support: none.
#[cfg(not(feature = "mic"))]
struct NoOutput;

#[cfg(not(feature = "mic"))]
impl AudioOutput for NoOutput {
    fn open(&mut self, _: &DeviceChoice) -> Result<(OpenOutput, FarEnd)> {
        use crate::error::{Error, ErrorKind};
        Err(Error::new(ErrorKind::OutputDevice, "this Hearken was built without sound support (feature `mic`)"))
    }
}
