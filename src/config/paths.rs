//! Where settings and caches live on this platform.

use std::path::PathBuf;

/// The folders that Hearken uses; nothing is created before it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Settings, the user's modes and instruction clips.
    pub config: PathBuf,
    /// Unpacked models and opening caches: everything that can be made again.
    pub cache: PathBuf,
}
