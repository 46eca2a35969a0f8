//! TOML files read with errors that name the file and the line.

use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::read_text;

/// The most messages that a lenient read returns; a file with more errors is hardly a settings file.
const MAX_REPORTED: usize = 5;

/// The path and the text of a TOML file, not yet parsed.
pub(super) struct TomlFile {
    path: PathBuf,
    text: String,
}

/// An error in a TOML file, with the line that holds it.
#[derive(Debug)]
pub(super) struct LineError {
    /// Number of the line, from 1.
    line: usize,
    error: Error,
}

impl From<LineError> for Error {
    fn from(at: LineError) -> Self {
        at.error
    }
}

/// The result of reading a part of a TOML file.
pub(super) type LineResult<T> = Result<T, LineError>;

impl TomlFile {
    /// Reads the file at `path`; returns None if there is no such file.
    ///
    /// # Errors
    /// `Settings` when the file exists and cannot be read.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        match read_text(path) {
            Ok(text) => Ok(Some(Self { path: path.to_owned(), text })),
            // A configuration folder that is not a folder holds no settings either.
            Err(e) if matches!(e.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(Error::settings_file(path, &e)),
        }
    }

    /// Reads the TOML file at `path` as a `T`, without the lines that cannot be understood; also returns messages about such lines, at
    /// most [`MAX_REPORTED`]. Returns the default `T` if there is no file, or if leaving lines out does not help.
    pub(super) fn read_lenient<T: DeserializeOwned + Default>(path: &Path) -> (T, Vec<String>) {
        Self::interpret_lenient(path, Self::parse)
    }

    /// Reads the TOML file at `path` and converts it by `interpret`, without the lines about which `interpret` returns an error; also
    /// returns messages about such lines, at most [`MAX_REPORTED`]. Returns the default `T` if there is no file, or if leaving lines
    /// out does not help.
    pub(super) fn interpret_lenient<T: Default>(path: &Path, interpret: impl Fn(&Self) -> LineResult<T>) -> (T, Vec<String>) {
        let mut file = match Self::read(path) {
            Ok(Some(file)) => file,
            Ok(None) => return (T::default(), Vec::new()),
            Err(error) => return (T::default(), vec![error.message().to_owned()]),
        };
        let mut messages = Vec::new();
        // Every round blanks one line, so there are no more rounds than lines.
        for _ in 0..=file.text.lines().count() {
            match interpret(&file) {
                Ok(value) => return (value, messages),
                Err(LineError { line, error }) => {
                    if messages.len() < MAX_REPORTED {
                        messages.push(error.message().to_owned());
                    }
                    if !file.blank(line) {
                        break;
                    }
                }
            }
        }
        (T::default(), messages)
    }

    /// Empties the line of number `line` (from 1) of the text in memory, not on the disk; the other lines keep their numbers. Returns
    /// false if the line does not exist or was empty.
    fn blank(&mut self, line: usize) -> bool {
        let Some(begin) = line.checked_sub(1).and_then(|above| {
            let mut ends = self.text.match_indices('\n').map(|(at, _)| at + 1);
            if above == 0 { Some(0) } else { ends.nth(above - 1) }
        }) else {
            return false;
        };
        let end = self.text[begin..].find('\n').map_or(self.text.len(), |at| begin + at);
        self.text.replace_range(begin..end, "");
        end > begin
    }

    /// Deserialises the text of the file as a `T`; an error names the line.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> LineResult<T> {
        toml::from_str(&self.text).map_err(|e| self.error_at(e.span().map_or(0, |span| span.start), e.message()))
    }

    /// Converts the value `text` of the key `key` by `read`, the reader of the command-line option of the same meaning. Returns None if
    /// `text` is None.
    pub(super) fn value<T>(&self, key: &str, text: Option<Spanned<String>>, read: fn(&str) -> Result<T, String>) -> LineResult<Option<T>> {
        let Some(text) = text else { return Ok(None) };
        let start = text.span().start;
        read(text.get_ref()).map(Some).map_err(|why| self.error_at(start, &format!("{key} = {:?}: {why}", text.get_ref())))
    }

    /// Returns the `Settings` error `why` about the line that holds the byte `offset` of the file.
    pub(super) fn error_at(&self, offset: usize, why: &str) -> LineError {
        let line = self.line_of(offset);
        let error = Error::new(ErrorKind::Settings, format!("{}:{line}: {}", self.path.display(), why.trim_end()));
        LineError { line, error: error.with_remedy(Remedy::CorrectFile) }
    }

    /// Returns the number (from 1) of the line that holds the byte `offset`.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
