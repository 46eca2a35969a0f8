//! `hearken trace`: the least that lets this branch compile; replaced at the merge.

use crate::config::TraceOptions;
use crate::error::{Error, ErrorKind, Result};

/// Writes every number that the model computes.
///
/// # Errors
/// Always, in this branch.
pub fn run(options: &TraceOptions) -> Result<()> {
    Err(Error::at(ErrorKind::Internal, &options.out, "trace is not merged yet"))
}
