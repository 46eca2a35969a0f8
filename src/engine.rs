//! The threads and the channels between them.
//!
//! `Engine::start` takes [`Settings`](crate::config::Settings) and gives an [`EngineHandle`]: the one way in which any
//! face (window or headless) sees the engine.

mod handle;
mod meters;

pub use handle::EngineHandle;
pub use meters::{Meters, Readings};

/// Starts a session: the least that lets this branch compile; replaced at the merge.
///
/// # Errors
/// Always, in this branch.
#[allow(clippy::needless_pass_by_value, reason = "the signature of the real one")]
pub fn start(_settings: crate::config::Settings) -> crate::error::Result<EngineHandle> {
    Err(crate::error::Error::new(crate::error::ErrorKind::Internal, "the engine is not merged yet"))
}
