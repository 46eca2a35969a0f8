//! (to be written)
pub mod pickle;
