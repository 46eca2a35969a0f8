//! The one error type of Hearken.
//!
//! Responsible for saying what went wrong ([`Error::message`]) and of what kind it is ([`ErrorKind`]), so that a face
//! can say what to do about it without reading message text. Not responsible for printing: each error is handled once.

use std::fmt;
use std::path::Path;

/// What kind of trouble it is; the doc of each kind is the user's remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Check the command line with `hearken --help`.
    Arguments,
    /// Check the settings file at the line that the message names.
    Settings,
    /// Download the model again, or name another folder with `--model`.
    Model,
    /// Hearken does not implement this model's architecture; use the release it was made for.
    UnsupportedModel,
    /// Check the connection to the internet and ask again; what was fetched is kept.
    Network,
    /// Set `HF_TOKEN` to a token of an account that may read the model.
    Access,
    /// Check that the file is there, is readable and holds audio.
    AudioFile,
    /// Check the data set or the folder of the run that the message names.
    Data,
    /// Plug in a microphone, allow its use, or choose another input (`hearken devices` lists them).
    InputDevice,
    /// Choose another output (`hearken devices` lists them).
    OutputDevice,
    /// Start Hearken in a desktop session, or use `hearken listen`, which needs no display.
    Display,
    /// Install espeak-ng, or choose another voice in the settings; replies are shown as text.
    Voice,
    /// Free disk space or choose another place for the output.
    Output,
    /// The message says what hinders the history and what to do; what is in it already stays as it is.
    History,
    /// The reader of the output is gone; nothing needs to be done.
    BrokenPipe,
    /// Close other programs, or choose a smaller model or precision.
    Memory,
    /// Close other programs, or choose a smaller model or precision.
    Busy,
    /// Update the graphics driver, or use `--device cpu`.
    Device,
    /// Restart Hearken; if it happens again, report it with the message.
    Internal,
}

impl ErrorKind {
    /// The name that events carry in `kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Settings => "settings",
            Self::Model => "model",
            Self::UnsupportedModel => "unsupported_model",
            Self::Network => "network",
            Self::Access => "access",
            Self::AudioFile => "audio_file",
            Self::Data => "data",
            Self::InputDevice => "input_device",
            Self::OutputDevice => "output_device",
            Self::Display => "display",
            Self::Voice => "voice",
            Self::Output => "output",
            Self::History => "history",
            Self::BrokenPipe => "broken_pipe",
            Self::Memory => "memory",
            Self::Busy => "busy",
            Self::Device => "device",
            Self::Internal => "internal",
        }
    }

    /// One sentence that says what the user can do.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Arguments => "Check the command line with `hearken --help`.",
            Self::Settings => "Check the settings file at the line named.",
            Self::Model => "Get the model again, or name another folder with --model.",
            Self::UnsupportedModel => "Use a checkpoint of the released architecture.",
            Self::Network => "Check the connection to the internet and ask again.",
            Self::Access => "Set HF_TOKEN to a token of an account that may read it, or choose another model.",
            Self::AudioFile => "Check that the file is there, is readable and holds audio.",
            Self::Data => "Check what `hearken eval --data` or `compare` was given.",
            Self::InputDevice => "Plug in a microphone, allow its use, or choose another input (`hearken devices` lists them).",
            Self::OutputDevice => "Choose another output (`hearken devices` lists them).",
            Self::Display => "Start Hearken in a desktop session, or use `hearken listen`, which needs no display.",
            Self::Voice => "Install espeak-ng, or choose another voice in the settings; replies are shown as text.",
            Self::Output => "Free disk space or choose another place for the output.",
            Self::History => "What is in the history stays as it is.",
            Self::BrokenPipe => "Nothing needs to be done.",
            Self::Memory | Self::Busy => "Close other programs, or choose a smaller model or precision.",
            Self::Device => "Update the graphics driver, or use --device cpu.",
            Self::Internal => "Restart Hearken; if it happens again, report it with this message.",
        }
    }
}

/// An error: its kind, and in words what was attempted, on what, and why it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `message`.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// An error about the file or folder `path`.
    #[must_use]
    pub fn at(kind: ErrorKind, path: &Path, why: impl fmt::Display) -> Self {
        Self::new(kind, format!("{}: {why}", path.display()))
    }

    /// The kind of trouble.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened, without the remedy.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with `what` was attempted put before it.
    #[must_use]
    pub fn while_doing(self, what: impl fmt::Display) -> Self {
        Self { kind: self.kind, message: format!("{what}: {}", self.message) }
    }
}

impl fmt::Display for Error {
    /// What happened and what to do, as one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stop = if self.message.ends_with(['.', '!', '?']) { "" } else { "." };
        write!(f, "{}{stop} {}", self.message, self.kind.remedy())
    }
}

impl std::error::Error for Error {}
