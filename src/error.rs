//! The error type of the crate.
//!
//! An [`Error`] says what failed ([`Error::message`]) and, where it is known, what the user can do about it
//! ([`Error::remedy`]). The two are separate because each interface words a remedy in its own way: the command line by
//! [`Remedy::command_line_text`], the window from its string tables. [`ErrorKind`] is for programs, never for wording.

mod remedy;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::text::{clean, clean_name};

pub use remedy::Remedy;

/// The category of an error, for programs that read events and for code that treats some failures in its own way.
///
/// The serialised name of a kind, for example `audio_file`, stands in the field `kind` of a `problem` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Command-line arguments or requests that contradict each other or name something unknown (a mode, a session, a model).
    Arguments,
    /// A settings, modes or catalogue file that cannot be read or understood.
    Settings,
    /// A model that is missing, incomplete or damaged.
    Model,
    /// A model whose architecture or sizes are not implemented.
    UnsupportedModel,
    /// A failed connection or an unusable answer of a server.
    Network,
    /// A download that needs an account or a permission.
    Access,
    /// An audio file or stream that cannot be read or decoded.
    AudioFile,
    /// A data set or a result folder of `hearken eval` that cannot be used.
    Data,
    /// A microphone or another input device that is missing, lost or fails.
    InputDevice,
    /// No microphone at all: there is no input, or only monitors of outputs, which deliver what the computer plays.
    NoMicrophone,
    /// A microphone that has delivered nothing but silence since it was opened, as a muted one does.
    SilentInput,
    /// A loudspeaker or another output device that is missing, lost or fails.
    OutputDevice,
    /// A display that is missing or lost; the window needs one.
    Display,
    /// A speech synthesiser that is missing or fails.
    Voice,
    /// A file or stream that cannot be written.
    Output,
    /// A history database or recording that cannot be read or written.
    History,
    /// A reader of standard output that has gone away; not a failure of the program.
    BrokenPipe,
    /// Too little memory.
    Memory,
    /// A machine or thread that is too slow or too busy.
    Busy,
    /// A GPU that cannot be used.
    Device,
    /// A fault of Hearken itself.
    Internal,
}

impl ErrorKind {
    /// Returns the name of the kind as a `problem` event carries it, for example `audio_file`.
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
            Self::NoMicrophone => "no_microphone",
            Self::SilentInput => "silent_input",
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
}

/// A failure: its kind, a message that says what failed on what and why, and a remedy where one is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    remedy: Option<Remedy>,
}

/// The result of an operation that fails with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns an error of `kind` without a remedy.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        // A message is also written to terminals, and holds names from outside.
        let message = if let Cow::Owned(clean) = clean(&message) { clean } else { message };
        Self { kind, message, remedy: None }
    }

    /// Returns an error about the file or folder `path` with the message `PATH: why`, without a remedy.
    #[must_use]
    pub fn at(kind: ErrorKind, path: &Path, why: impl fmt::Display) -> Self {
        Self::new(kind, format!("{}: {why}", clean_name(&path.display().to_string())))
    }

    /// Returns a `Model` error about a missing or damaged file of a model, with the remedy to replace the model.
    #[must_use]
    pub fn model_file(path: &Path, why: impl fmt::Display) -> Self {
        Self::at(ErrorKind::Model, path, why).with_remedy(Remedy::ReplaceModel)
    }

    /// Returns a `Settings` error about a settings, modes or catalogue file that cannot be read, with the remedy that fits `cause`.
    #[must_use]
    pub fn settings_file(path: &Path, cause: &io::Error) -> Self {
        let remedy = if cause.kind() == io::ErrorKind::InvalidData { Remedy::CorrectFile } else { Remedy::AllowAccess };
        Self::at(ErrorKind::Settings, path, format_args!("this file cannot be read: {cause}")).with_remedy(remedy)
    }

    /// Returns an `Output` error about a file or folder that cannot be written, with the remedy that fits `cause`, if one does.
    #[must_use]
    pub fn cannot_write(path: &Path, cause: &io::Error) -> Self {
        Self::at(ErrorKind::Output, path, format_args!("cannot be written ({cause})")).with_remedy(Remedy::for_write(cause))
    }

    /// Returns an `Internal` error about a fault of Hearken itself, with the remedy to restart; `detail` is for the developers.
    #[must_use]
    pub fn internal(detail: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Internal, format!("internal error ({detail})")).with_remedy(Remedy::RestartHearken)
    }

    /// Returns the error with `remedy` in place of its own; None removes the remedy.
    #[must_use]
    pub fn with_remedy(self, remedy: impl Into<Option<Remedy>>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns what failed, without the remedy.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the action that helps; None where none is known.
    #[must_use]
    pub const fn remedy(&self) -> Option<Remedy> {
        self.remedy
    }

    /// Returns the error with `what` (the attempted action, or its object) and a colon before its message; kind and remedy stay.
    #[must_use]
    pub fn while_doing(self, what: impl fmt::Display) -> Self {
        Self { message: clean(&format!("{what}: {}", self.message)).into_owned(), ..self }
    }
}

impl fmt::Display for Error {
    /// Writes the message and, as a sentence of its own, the remedy if there is one, in the words of the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_remedy_text(&self.message, self.remedy))
    }
}

impl std::error::Error for Error {}

/// Returns `message` followed by the command-line text of `remedy`; `message` alone without a remedy, or if it holds that text.
#[must_use]
pub fn with_remedy_text(message: &str, remedy: Option<Remedy>) -> String {
    match remedy.map(Remedy::command_line_text) {
        Some(text) if !message.contains(text.trim_end_matches('.')) => {
            let stop = if message.ends_with(['.', '!', '?']) { "" } else { "." };
            format!("{message}{stop} {text}")
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_follows_the_message_once() {
        let error = Error::new(ErrorKind::Output, "a.wav: the disk is full").with_remedy(Remedy::FreeDisk);
        assert_eq!(error.to_string(), "a.wav: the disk is full. Free disk space.");
        assert_eq!(error.clone().while_doing("saving").to_string(), "saving: a.wav: the disk is full. Free disk space.");
        assert_eq!(Error::new(ErrorKind::Output, error.to_string()).with_remedy(Remedy::FreeDisk).to_string(), error.to_string());
    }

    #[test]
    fn an_error_without_a_remedy_is_its_message() {
        assert_eq!(Error::new(ErrorKind::Data, "no item in common").to_string(), "no item in common");
    }

    #[test]
    fn no_message_holds_what_a_terminal_obeys() {
        let error = Error::at(ErrorKind::AudioFile, Path::new("a\u{1b}]0;x\u{7}\nb.wav"), "no sound\u{9b}1m").while_doing("hearing\u{1b}c");
        assert_eq!(error.message(), "hearing c: a ]0;x  b.wav: no sound 1m");
    }

    #[test]
    fn the_name_of_a_kind_is_its_serialised_form() {
        for kind in [ErrorKind::Arguments, ErrorKind::UnsupportedModel, ErrorKind::AudioFile, ErrorKind::BrokenPipe] {
            assert_eq!(serde_json::to_value(kind).ok(), Some(kind.name().into()));
        }
    }

    #[test]
    fn the_remedy_of_a_failed_write_depends_on_the_cause() {
        let remedy = |cause: io::ErrorKind| Error::cannot_write(Path::new("x"), &cause.into()).remedy();
        assert_eq!(remedy(io::ErrorKind::StorageFull), Some(Remedy::FreeDisk));
        assert_eq!(remedy(io::ErrorKind::PermissionDenied), Some(Remedy::AllowAccess));
        assert_eq!(remedy(io::ErrorKind::NotFound), Some(Remedy::ChooseOtherPlace));
        assert_eq!(remedy(io::ErrorKind::Interrupted), None);
    }
}
