//! Hearken: a desktop assistant that listens continuously, offline, and decides every 0.4 s whether to respond.
//!
//! The modules are listed in reading order; each imports only from those above it (`tests/tidy.rs` holds that).

pub mod clock;
pub mod level;
pub mod time;

pub mod error;

pub mod supervise;

pub mod console;

pub mod files;

pub mod protocol;

pub mod transcript;

pub mod export;

pub mod config;

pub mod audio;

pub mod mel;

pub mod model;

pub mod lane;

pub mod session;

pub mod hub;

pub mod speech;

pub mod history;

pub mod engine;

pub mod headless;

pub mod trace;

pub mod bench;

pub mod eval;

pub mod doctor;

#[cfg(feature = "window")]
pub mod ui;
