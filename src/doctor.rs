//! `hearken doctor`: is everything there that a session needs, and what to do about what is not.
//!
//! Responsible for looking and for saying it in one line each. Not responsible for mending anything.

use std::io::Write;

use crate::config::Settings;
use crate::error::Result;

/// What the checks found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Everything is there.
    Fine,
    /// Something is not.
    Problems,
}

impl Health {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Problems => 1,
        }
    }
}

/// Checks
///
/// # Errors
/// x
pub fn run(_settings: &Settings, _out: impl Write) -> Result<Health> {
    Ok(Health::Fine)
}
