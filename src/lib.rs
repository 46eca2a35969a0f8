//! Hearken: a desktop assistant that listens continuously, offline, and decides every 0.4 s whether to respond.
//!
//! The modules are listed in reading order; each imports only from those above it (`tests/tidy.rs` checks this).
//! `src/README.md` describes the architecture.
//!
//! **Foundations.** [`clock`] and [`time`]: wall time, and audio time counted in samples. [`text`]: letters, columns, and text from
//! outside made harmless. [`error`]: what failed, and a remedy.
//! [`supervise`]: threads that survive a panic. [`console`], [`files`]: output of the commands, private files. [`protocol`]: the
//! commands and events that cross a thread or the process border.
//!
//! **Data.** [`transcript`] and [`export`]: events folded into a transcript, and its documents. [`config`]: command line and
//! settings.
//!
//! **Listening.** [`audio`]: capture, files, echo cancellation, playback. [`mel`]: log-mel features and the quiet gate. [`model`]:
//! encoder, decoder, kernels. [`lane`]: one mode as a state machine over chunks and tokens. [`session`]: all lanes in one batch,
//! deterministic.
//!
//! **Services.** [`hub`]: catalogue and download of models. [`speech`]: the voice. [`history`]: past sessions. [`engine`]: the
//! threads of capture, inference and speech.
//!
//! **Interfaces and tools.** [`headless`] and `ui`: the command line and the window. [`trace`], [`mod@bench`], [`eval`], [`doctor`]: the
//! tools behind the commands of these names.

// Foundations
pub mod clock;
pub mod text;
pub mod level;
pub mod time;
pub mod error;
pub mod supervise;
pub mod console;
pub mod files;
pub mod protocol;

// Data
pub mod transcript;
pub mod export;
pub mod config;

// Listening
pub mod audio;
pub mod mel;
pub mod model;
pub mod lane;
pub mod session;

// Services
pub mod hub;
pub mod speech;
pub mod history;
pub mod engine;

// Interfaces and tools
pub mod headless;
pub mod trace;
pub mod bench;
pub mod eval;
pub mod doctor;
#[cfg(feature = "window")]
pub mod ui;
