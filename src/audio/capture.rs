//! Microphone input: a [`Source`](super::Source) that survives the loss of its device.
//!
//! Responsible for opening the input, for detecting its loss, and for reopening and closing it. Not responsible for playback.

#[cfg(feature = "mic")]
pub(super) mod alsa_stderr;
#[cfg(feature = "mic")]
mod backend;
#[cfg(feature = "mic")]
mod channel_map;
#[cfg(feature = "mic")]
pub(super) mod device_error;
#[cfg(feature = "mic")]
mod device_watcher;
pub mod devices;
#[cfg(feature = "mic")]
pub(super) mod host;
#[cfg(feature = "mic")]
mod loss_meter;
pub mod ring;
#[cfg(feature = "mic")]
mod source;
#[cfg(feature = "mic")]
pub mod stream;

pub use devices::{DeviceDirection, DeviceInfo, devices};
#[cfg(feature = "mic")]
pub use source::CaptureSource;

#[cfg(not(feature = "mic"))]
pub use absent::CaptureSource;

/// Returns the error for microphone input in a build without microphone support (feature `mic`).
#[cfg(not(feature = "mic"))]
fn built_without() -> crate::error::Error {
    crate::error::Error::new(crate::error::ErrorKind::InputDevice, "this Hearken was built without microphone support (feature `mic`)")
}

#[cfg(not(feature = "mic"))]
mod absent {
    use crate::audio::{Source, SourceEvent};
    use crate::error::Result;
    use crate::protocol::DeviceChoice;

    /// The stand-in for the microphone in a build without microphone support: opening always fails, so no value exists.
    #[derive(Debug)]
    pub enum CaptureSource {}

    impl CaptureSource {
        /// Fails: this build cannot open a microphone.
        ///
        /// # Errors
        /// [`InputDevice`](crate::error::ErrorKind::InputDevice), always: this build has no microphone support.
        pub fn open(_choice: &DeviceChoice, _excluded: &[String]) -> Result<Self> {
            Err(super::built_without())
        }

        /// Fails: this build has no microphone that could be paused.
        ///
        /// # Errors
        /// [`InputDevice`](crate::error::ErrorKind::InputDevice), always: this build has no microphone support.
        pub fn paused(_choice: &DeviceChoice, _excluded: &[String]) -> Result<Self> {
            Err(super::built_without())
        }

        /// Returns the sample rate of the device, in Hz.
        #[must_use]
        pub fn rate_hz(&self) -> u32 {
            match *self {}
        }

        /// Returns the number of channels of the device.
        #[must_use]
        pub fn channels(&self) -> u16 {
            match *self {}
        }
    }

    impl Source for CaptureSource {
        fn next(&mut self, _out: &mut Vec<f32>) -> Result<SourceEvent> {
            match *self {}
        }

        fn name(&self) -> String {
            match *self {}
        }
    }
}
