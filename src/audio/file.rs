//! Recordings as a source: files in order, or standard input.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::decode::{Decoder, Reopening};
use super::ffmpeg::{self, FfmpegOutput};
use super::{Source, SourceEvent};
use crate::config::{Conversion, RawFormat, ReadOptions};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::ChannelChoice;

/// Name of standard input in messages.
const STDIN: &str = "stdin";

/// A source that decodes recordings in order, as fast as it is read.
#[derive(Debug)]
pub struct FileSource {
    /// Recordings that are still to be heard, in order.
    waiting: VecDeque<Recording>,
    /// Decoder of the recording being read; None between recordings.
    open: Option<Decoder>,
    /// Channel that is heard.
    channel: ChannelChoice,
    /// The way in which the recordings are read.
    reading: ReadOptions,
    /// Names of all recordings, separated by commas.
    name: String,
    /// Length of all recordings together, in seconds; None where one of them does not tell.
    length_secs: Option<f64>,
}

/// A recording that waits to be heard.
#[derive(Debug)]
enum Recording {
    /// A file, which is opened again when its turn comes: a list may be longer than a process may have files open.
    File(PathBuf),
    /// A stream, which was opened already.
    Stream(Box<Decoder>),
}

impl FileSource {
    /// Creates a source for the files `paths`; decodes the beginning of each file as a check.
    ///
    /// # Errors
    /// [`ErrorKind::AudioFile`], naming the file, when a file is missing, empty or not audio; also when `paths` is empty.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        Self::open_as(paths, ReadOptions::default())
    }

    /// Creates a source for the files `paths`, as [`Self::open`] does, which are read as `reading` says.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_as(paths: &[PathBuf], reading: ReadOptions) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::new(ErrorKind::AudioFile, "the list of files is empty"));
        }
        let (mut waiting, mut lengths) = (VecDeque::with_capacity(paths.len()), Vec::with_capacity(paths.len()));
        for path in paths {
            let (decoder, reopening) = open_file(path, reading)?;
            lengths.push(decoder.length_secs());
            waiting.push_back(match reopening {
                Reopening::Possible => Recording::File(path.clone()),
                Reopening::Impossible => Recording::Stream(Box::new(decoder)),
            });
        }
        let names: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
        Ok(Self {
            waiting,
            open: None,
            channel: ChannelChoice::All,
            reading,
            name: names.join(", "),
            length_secs: lengths.into_iter().sum(),
        })
    }

    /// Creates a source for standard input, a pipe or a file; with `raw`, it is sound without a header of this form.
    ///
    /// # Errors
    /// [`ErrorKind::AudioFile`] when it is empty or not audio.
    pub fn stdin(raw: Option<RawFormat>) -> Result<Self> {
        let decoder = match stdin_file() {
            Some(file) => Decoder::of_file(file, STDIN, raw),
            None => Decoder::of_stream(std::io::stdin(), STDIN, raw),
        };
        Ok(Self::of_decoder(decoder?, STDIN))
    }

    /// Creates a source for the stream `reader`, which messages call `name`; with `raw`, it is sound without a header of this form.
    ///
    /// # Errors
    /// As [`Self::stdin`].
    pub fn stream(reader: impl Read + Send + Sync + 'static, name: &str, raw: Option<RawFormat>) -> Result<Self> {
        Ok(Self::of_decoder(Decoder::of_stream(reader, name, raw)?, name))
    }

    fn of_decoder(decoder: Decoder, name: &str) -> Self {
        let length_secs = decoder.length_secs();
        let waiting = [Recording::Stream(Box::new(decoder))].into();
        Self { waiting, open: None, channel: ChannelChoice::All, reading: ReadOptions::default(), name: name.to_owned(), length_secs }
    }
}

/// Opens the file at `path`; with ffmpeg, where that is allowed and Hearken cannot decode the file.
fn open_file(path: &Path, reading: ReadOptions) -> Result<(Decoder, Reopening)> {
    match Decoder::open(path, reading.raw) {
        Err(error) if error.remedy() == Some(Remedy::ConvertAudio) && reading.conversion == Conversion::Ffmpeg => {
            let name = path.display().to_string();
            Ok((Decoder::of_stream(FfmpegOutput::start(path)?, &name, None)?, Reopening::Possible))
        }
        Err(error) if error.remedy() == Some(Remedy::ConvertAudio) && ffmpeg::is_installed() => {
            Err(error.with_remedy(Remedy::ReadWithFfmpeg))
        }
        opened => opened,
    }
}

/// Returns standard input as a file, which can be read from its beginning again if it is one; None where that is not to be had.
fn stdin_file() -> Option<File> {
    #[cfg(unix)]
    return std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().ok().map(File::from);
    #[cfg(windows)]
    return std::os::windows::io::AsHandle::as_handle(&std::io::stdin()).try_clone_to_owned().ok().map(File::from);
    #[cfg(not(any(unix, windows)))]
    return None;
}

impl Source for FileSource {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        let decoder = match &mut self.open {
            Some(decoder) => decoder,
            None => match self.waiting.pop_front() {
                None => return Ok(SourceEvent::End),
                Some(Recording::Stream(decoder)) => self.open.insert(*decoder),
                Some(Recording::File(path)) => match open_file(&path, self.reading) {
                    Ok((decoder, _)) => self.open.insert(decoder),
                    // The file has changed since it was checked.
                    Err(error) => return Ok(SourceEvent::Problem(error)),
                },
            },
        };
        decoder.choose_channel(self.channel);
        if let Some(problem) = decoder.take_problem() {
            return Ok(SourceEvent::Problem(problem));
        }
        if let Some(count) = decoder.step(out) {
            return Ok(SourceEvent::Samples(count));
        }
        if let Some(problem) = decoder.take_problem() {
            return Ok(SourceEvent::Problem(problem));
        }
        self.open = None;
        Ok(SourceEvent::EndOfFile)
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn length_secs(&self) -> Option<f64> {
        self.length_secs
    }

    fn choose_channel(&mut self, channel: ChannelChoice) {
        self.channel = channel;
    }
}

/// Decodes a whole audio file to 16 kHz mono.
///
/// # Errors
/// [`ErrorKind::AudioFile`], naming the file, when it is missing, damaged even in part, without sound, or not audio.
pub fn read_file(path: &Path) -> Result<Vec<f32>> {
    Decoder::open(path, None)?.0.read_all()
}

/// Decodes a whole recording in memory, of any supported form, to 16 kHz mono. Error messages call it "built-in clip".
///
/// # Errors
/// [`ErrorKind::AudioFile`] when it is damaged even in part, without sound, or not audio.
pub fn read_wav(bytes: &'static [u8]) -> Result<Vec<f32>> {
    Decoder::of_memory(bytes, "built-in clip")?.read_all()
}
