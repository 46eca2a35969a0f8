//! The microphone: a [`Source`](super::Source) that survives the loss of its device.
//!
//! Responsible for opening, watching, reopening and truly closing the input. Not responsible for what is played.

#[cfg(feature = "mic")]
mod backend;
pub mod devices;
#[cfg(feature = "mic")]
pub(super) mod host;
#[cfg(feature = "mic")]
pub(super) mod hush;
#[cfg(feature = "mic")]
mod pace;
pub mod ring;
#[cfg(feature = "mic")]
mod source;
#[cfg(feature = "mic")]
pub mod stream;
#[cfg(feature = "mic")]
pub(super) mod trouble;
#[cfg(feature = "mic")]
mod watch;

pub use devices::{DeviceDirection, DeviceInfo, devices};
#[cfg(feature = "mic")]
pub use source::CaptureSource;

#[cfg(not(feature = "mic"))]
pub use absent::CaptureSource;

#[cfg(not(feature = "mic"))]
fn built_without() -> crate::error::Error {
    crate::error::Error::new(crate::error::ErrorKind::InputDevice, "this Hearken was built without microphone support (feature `mic`)")
}

#[cfg(not(feature = "mic"))]
mod absent {
    use crate::audio::{Source, SourceEvent};
    use crate::error::Result;
    use crate::protocol::DeviceChoice;

    /// The microphone of a build that has none: it can never be opened, so no value of it exists.
    #[derive(Debug)]
    pub enum CaptureSource {}

    impl CaptureSource {
        /// Says that there is no microphone support.
        ///
        /// # Errors
        /// Always.
        pub fn open(_choice: &DeviceChoice, _excluded: &[String]) -> Result<Self> {
            Err(super::built_without())
        }

        /// Rate of the device, in Hz.
        #[must_use]
        pub fn rate_hz(&self) -> u32 {
            match *self {}
        }

        /// Channels of the device.
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
