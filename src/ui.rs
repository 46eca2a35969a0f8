//! The window: the least that lets this branch compile; replaced at the merge.

use crate::config::Settings;
use crate::engine::EngineHandle;
use crate::error::{Error, ErrorKind, Result};

/// Opens the window.
///
/// # Errors
/// Always, in this branch.
#[allow(clippy::needless_pass_by_value, reason = "the signature of the real one")]
pub fn run(_engine: EngineHandle, _settings: Settings) -> Result<()> {
    Err(Error::new(ErrorKind::Internal, "the window is not merged yet"))
}
