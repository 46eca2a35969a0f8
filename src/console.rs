//! Standard output and the exit codes of the commands.

use std::fmt::Display;
use std::io::{self, Write};

use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::text::clean;

/// The result of a command; `main` turns it into the exit code of the process. A command that returns an error counts as
/// `CouldNotRun`, except for a broken pipe, which is `Clean`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Everything went as asked: exit code 0.
    Clean,
    /// The command finished, but reported problems (damaged files, failed checks, lost audio): exit code 1.
    Problems,
    /// The command could not do its work at all: exit code 2.
    CouldNotRun,
}

impl Completion {
    /// Returns the exit code of the process: 0, 1 or 2.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Problems => 1,
            Self::CouldNotRun => 2,
        }
    }
}

/// Writes `text` to `out`, the standard output, and flushes it. Adds a line break unless `text` ends with one; empty text writes
/// nothing. Control characters, which a terminal would obey, become spaces.
///
/// # Errors
/// `BrokenPipe` when the reader of `out` has gone away, which `main` treats as success; `Output` for any other failure to write.
pub fn print(out: &mut impl Write, text: impl Display) -> Result<()> {
    let text = text.to_string();
    let text = clean(&text);
    let line_break = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(line_break.as_bytes())).and_then(|()| out.flush());
    written.map_err(|e| stdout_error(&e))
}

/// Writes a message for people to `notes`, the standard error, as a line of its own. A failure is ignored: stderr may be closed, and a
/// message is no result. Control characters become spaces.
pub fn note(notes: &mut impl Write, text: impl Display) {
    let _ = writeln!(notes, "{}", clean(&text.to_string()));
}

/// Returns the error for a write to standard output that failed for `cause`: `BrokenPipe` when the reader has gone away, else
/// `Output`.
#[must_use]
pub fn stdout_error(cause: &io::Error) -> Error {
    let kind = if cause.kind() == io::ErrorKind::BrokenPipe { ErrorKind::BrokenPipe } else { ErrorKind::Output };
    Error::new(kind, format!("stdout cannot be written: {cause}")).with_remedy(Remedy::for_write(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct FailingWriter(io::ErrorKind);

    impl Write for FailingWriter {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_ends_with_one_line_break_and_holds_no_control_character() {
        for (text, written) in [("a", "a\n"), ("a\n", "a\n"), ("", ""), ("\u{1b}[2Ja\nb\tc", " [2Ja\nb\tc\n")] {
            let mut out = Vec::new();
            assert_eq!(print(&mut out, text), Ok(()));
            assert_eq!(String::from_utf8_lossy(&out), written);
        }
    }

    #[test]
    fn a_broken_pipe_differs_from_a_full_disk() {
        let error = |cause| print(&mut FailingWriter(cause), "a").map_err(|e| (e.kind(), e.remedy()));
        assert_eq!(error(io::ErrorKind::BrokenPipe), Err((ErrorKind::BrokenPipe, None)));
        assert_eq!(error(io::ErrorKind::StorageFull), Err((ErrorKind::Output, Some(Remedy::FreeDisk))));
    }
}
