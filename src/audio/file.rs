//! Sound files: WAV, FLAC, MP3, OGG Vorbis and M4A/AAC of any rate and channel count, one after the other.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::Once;

use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use super::resample::Resampler;
use super::{NO_NUMBERS, Source, SourceEvent, tame};
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Channels that a file may have; more is a damaged header.
const MAX_CHANNELS: usize = 64;
/// What is said of a file that a decoder panics on.
const FAILED: &str = "the decoder failed on it";
/// Packets that may be damaged in a row before a file is given up.
const BAD_PACKETS: usize = 100;

/// Files in order as one stream.
#[derive(Debug)]
pub struct FileSource {
    files: VecDeque<PathBuf>,
    open: Option<Decoder>,
    name: String,
}

impl FileSource {
    /// Checks every file of `paths` by decoding its beginning, and opens the first.
    ///
    /// # Errors
    /// When one of them is missing, empty or not audio, naming it: nothing has been heard then.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let files: VecDeque<PathBuf> = paths.iter().cloned().collect();
        if files.is_empty() {
            return Err(Error::new(ErrorKind::AudioFile, "there is no file to listen to"));
        }
        for path in &files {
            Decoder::open(path)?.check()?;
        }
        let names: Vec<String> = files.iter().map(|p| p.display().to_string()).collect();
        Ok(Self { files, open: None, name: names.join(", ") })
    }
}

impl Source for FileSource {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        let decoder = match &mut self.open {
            Some(decoder) => decoder,
            None => match self.files.pop_front() {
                None => return Ok(SourceEvent::End),
                Some(path) => match Decoder::open(&path) {
                    Ok(decoder) => self.open.insert(decoder),
                    // It was there a moment ago.
                    Err(error) => return Ok(SourceEvent::Problem(error)),
                },
            },
        };
        if let Some(trouble) = decoder.trouble.take() {
            return Ok(SourceEvent::Problem(trouble));
        }
        if let Some(count) = decoder.step(out) {
            return Ok(SourceEvent::Samples(count));
        }
        if let Some(trouble) = decoder.trouble.take() {
            return Ok(SourceEvent::Problem(trouble));
        }
        self.open = None;
        Ok(SourceEvent::EndOfFile)
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// The whole of a sound file, 16 kHz mono.
///
/// # Errors
/// When it is missing, damaged or not audio, naming it.
pub fn read_file(path: &Path) -> Result<Vec<f32>> {
    Decoder::open(path)?.read_all()
}

/// The whole of a sound file in memory, 16 kHz mono.
///
/// # Errors
/// When it is damaged or not audio.
pub fn read_wav(bytes: &'static [u8]) -> Result<Vec<f32>> {
    Decoder::of(Box::new(Cursor::new(bytes)), Path::new("built-in clip"))?.read_all()
}

/// Decodes one file to 16 kHz mono.
struct Decoder {
    path: PathBuf,
    format: Box<dyn FormatReader>,
    codec: Box<dyn AudioDecoder>,
    track: u32,
    resampler: Option<(u32, Resampler)>,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
    bad_packets: usize,
    /// What is to be reported, after the samples before it.
    trouble: Option<Error>,
    /// Damage is reported once a file, however much there is of it.
    damage: Damage,
    state: State,
}

/// Of what kind of damage the user has been told.
#[derive(Clone, Copy, Debug, Default)]
struct Damage {
    left_out: bool,
    no_numbers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Decoding,
    Finished,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Decoder {
    fn open(path: &Path) -> Result<Self> {
        // Asked before it is opened: opening a pipe waits for its writer, and a pipe cannot be read twice.
        let meta = std::fs::metadata(path).map_err(|e| cannot_read(path, &e))?;
        let why = match (meta.is_dir(), meta.is_file(), meta.len()) {
            (true, ..) => Some("this is a folder"),
            (_, false, _) => Some("this is not a file; to hear a stream, send it as WAV to stdin and name -"),
            (_, _, 0) => Some("the file is empty"),
            _ => None,
        };
        if let Some(why) = why {
            return Err(Error::at(ErrorKind::AudioFile, path, why));
        }
        let file = File::open(path).map_err(|e| cannot_read(path, &e))?;
        Self::of(Box::new(file), path)
    }

    fn of(media: Box<dyn MediaSource>, path: &Path) -> Result<Self> {
        let not_audio = |why: String| {
            Error::at(ErrorKind::AudioFile, path, format!("not a sound file that Hearken can read ({why})"))
                .with_remedy(Remedy::ConvertAudio)
        };
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
            hint.with_extension(extension);
        }
        let stream = MediaSourceStream::new(media, Default::default());
        let open = || -> std::result::Result<_, String> {
            let format = symphonia::default::get_probe()
                .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
                .map_err(|e| e.to_string())?;
            let track = format.default_track(TrackType::Audio).ok_or("it has no sound")?;
            let params = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or("its codec is unknown")?;
            if params.sample_rate.is_some_and(|rate| Resampler::new(rate).is_err()) {
                return Err("its sample rate is impossible".into());
            }
            if params.channels.as_ref().is_some_and(|c| !(1..=MAX_CHANNELS).contains(&c.count())) {
                return Err("its number of channels is impossible".into());
            }
            let codec =
                symphonia::default::get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default()).map_err(|e| e.to_string())?;
            let id = track.id;
            Ok((format, codec, id))
        };
        let (format, codec, track) = guarded(open).map_err(not_audio)?;
        Ok(Self {
            path: path.to_owned(),
            format,
            codec,
            track,
            resampler: None,
            interleaved: Vec::new(),
            mono: Vec::new(),
            bad_packets: 0,
            trouble: None,
            damage: Damage::default(),
            state: State::Decoding,
        })
    }

    /// Whether there is anything to hear.
    fn check(mut self) -> Result<()> {
        match self.packet() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Error::at(ErrorKind::AudioFile, &self.path, "there is no sound in it")),
            Err(error) => Err(error),
        }
    }

    fn read_all(mut self) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        while self.step(&mut all).is_some() {
            if let Some(trouble) = self.trouble.take() {
                return Err(trouble);
            }
        }
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        if all.is_empty() {
            return Err(Error::at(ErrorKind::AudioFile, &self.path, "there is no sound in it"));
        }
        Ok(all)
    }

    /// Appends what comes next and says how much; None at the end. What is wrong is left in `trouble`.
    fn step(&mut self, out: &mut Vec<f32>) -> Option<usize> {
        if self.state == State::Finished {
            return None;
        }
        let before = out.len();
        let more = match self.advance(out) {
            Ok(more) => more,
            Err(error) => {
                self.trouble = Some(error);
                false
            }
        };
        if !more {
            self.state = State::Finished;
            if let Some((_, mut last)) = self.resampler.take()
                && let Err(error) = last.finish(out)
            {
                self.trouble.get_or_insert(error);
            }
        }
        (more || out.len() > before).then_some(out.len() - before)
    }

    /// Decodes one packet to `out`; false at the end.
    fn advance(&mut self, out: &mut Vec<f32>) -> Result<bool> {
        let Some(rate_hz) = self.packet()? else { return Ok(false) };
        if self.resampler.as_ref().is_none_or(|(rate, _)| *rate != rate_hz) {
            // The rate changed in mid-stream: what the old filter still holds comes first.
            if let Some((_, mut old)) = self.resampler.take() {
                old.finish(out)?;
            }
            self.resampler = Some((rate_hz, Resampler::new(rate_hz).map_err(|e| e.while_doing(self.path.display()))?));
        }
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.step(&self.mono, out)?;
        }
        Ok(true)
    }

    /// Decodes the next packet to `mono` and returns its rate; None at the end.
    fn packet(&mut self) -> Result<Option<u32>> {
        let damaged =
            |path: &Path, why: String| Error::at(ErrorKind::AudioFile, path, format!("damaged; what comes after is not heard ({why})"));
        loop {
            let decode = || -> std::result::Result<Option<(u32, usize)>, Bad> {
                let packet = match self.format.next_packet() {
                    Ok(Some(packet)) => packet,
                    Ok(None) => return Ok(None),
                    Err(SymphoniaError::ResetRequired) => return Err(Bad::Reset),
                    // Files are often cut off; what is there has been heard.
                    Err(SymphoniaError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                    Err(e) => return Err(Bad::File(e.to_string())),
                };
                if packet.track_id != self.track {
                    return Err(Bad::Other);
                }
                let decoded = self.codec.decode(&packet).map_err(|e| Bad::Packet(e.to_string()))?;
                decoded.copy_to_vec_interleaved::<f32>(&mut self.interleaved);
                Ok(Some((decoded.spec().rate(), decoded.num_planes())))
            };
            let decoded = contained(decode).unwrap_or_else(|| Err(Bad::File(FAILED.into())));
            match decoded {
                Ok(None) => return Ok(None),
                Ok(Some((rate_hz, channels))) if (1..=MAX_CHANNELS).contains(&channels) => {
                    self.bad_packets = 0;
                    if !self.damage.no_numbers && self.interleaved.iter().any(|s| !s.is_finite()) {
                        self.damage.no_numbers = true;
                        self.trouble = Some(Error::at(ErrorKind::AudioFile, &self.path, NO_NUMBERS));
                    }
                    self.mono.clear();
                    let scale = channels as f32;
                    self.mono.extend(
                        self.interleaved.chunks_exact(channels).map(|frame| tame(frame.iter().copied().map(tame).sum::<f32>() / scale)),
                    );
                    if self.mono.is_empty() {
                        continue;
                    }
                    return Ok(Some(rate_hz));
                }
                Ok(Some(_)) => return Err(damaged(&self.path, "an impossible number of channels".into())),
                Err(Bad::Other) => {}
                Err(Bad::Reset) => {
                    self.bad_packets += 1;
                    if self.bad_packets > BAD_PACKETS {
                        return Err(damaged(&self.path, "it begins again and again".into()));
                    }
                    self.follow_chain()?;
                }
                Err(Bad::Packet(why)) => {
                    self.bad_packets += 1;
                    if self.bad_packets > BAD_PACKETS {
                        return Err(damaged(&self.path, why));
                    }
                    if !self.damage.left_out {
                        self.damage.left_out = true;
                        let why = format!("a part of it is damaged and was left out ({why})");
                        self.trouble = Some(Error::at(ErrorKind::AudioFile, &self.path, why));
                    }
                }
                Err(Bad::File(why)) => return Err(damaged(&self.path, why)),
            }
        }
    }

    /// A chained stream begins another with its own codec.
    fn follow_chain(&mut self) -> Result<()> {
        let next = || -> std::result::Result<_, String> {
            let track = self.format.default_track(TrackType::Audio).ok_or("the next part has no sound")?;
            let params = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or("the codec of the next part is unknown")?;
            let codec =
                symphonia::default::get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default()).map_err(|e| e.to_string())?;
            Ok((codec, track.id))
        };
        let (codec, track) = guarded(next).map_err(|e| Error::at(ErrorKind::AudioFile, &self.path, e))?;
        (self.codec, self.track) = (codec, track);
        Ok(())
    }
}

enum Bad {
    /// Of another track.
    Other,
    Reset,
    Packet(String),
    File(String),
}

fn guarded<T>(work: impl FnOnce() -> std::result::Result<T, String>) -> std::result::Result<T, String> {
    contained(work).unwrap_or_else(|| Err(FAILED.into()))
}

thread_local! {
    /// Whether this thread is in a decoder.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// A decoder that panics on a damaged file must not end the app; None then. The user is told of an error: nothing is written
/// to stderr beside that.
fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !DECODING.get() {
                usual(panic);
            }
        }));
    });
    let before = DECODING.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    DECODING.set(before);
    done.ok()
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Error {
    let (why, remedy) = match error.kind() {
        std::io::ErrorKind::NotFound => ("there is no such file".to_owned(), Some(Remedy::CheckPath)),
        std::io::ErrorKind::PermissionDenied => ("you may not read this file".to_owned(), Some(Remedy::AllowAccess)),
        _ => (error.to_string(), None),
    };
    Error::at(ErrorKind::AudioFile, path, why).with_remedy(remedy)
}
