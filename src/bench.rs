//! `hearken bench`: the least that lets this branch compile; replaced at the merge.

use crate::config::BenchOptions;
use crate::error::{Error, ErrorKind, Result};

/// Measures.
///
/// # Errors
/// Always, in this branch.
pub fn run(options: &BenchOptions) -> Result<()> {
    Err(Error::new(ErrorKind::Internal, format!("bench with {} lanes is not merged yet", options.lanes)))
}
