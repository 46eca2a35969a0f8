//! The threads and the channels between them.
//!
//! `Engine::start` takes [`Settings`](crate::config::Settings) and gives an [`EngineHandle`]: the one way in which any
//! face (window or headless) sees the engine.

mod handle;
mod meters;

pub use handle::EngineHandle;
pub use meters::{Meters, Readings};
