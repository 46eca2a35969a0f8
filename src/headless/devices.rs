//! `hearken devices`: the sound inputs and outputs.

use std::io::Write;

use crate::config::ReportFormat;
use crate::error::Result;

/// Prints the sound devices, the defaults marked.
///
/// # Errors
/// When the sound system cannot be asked, or `out` cannot be written.
pub fn print_devices(_format: ReportFormat, _out: impl Write) -> Result<()> {
    Ok(())
}
