//! Audio files (WAV, FLAC, MP3, OGG Vorbis, M4A/AAC) of any sample rate and channel count, decoded to 16 kHz mono.

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
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use super::resample::Resampler;
use super::{NON_FINITE_SAMPLES, Source, SourceEvent, sanitize};
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Largest supported number of channels; more means that the header is damaged.
const MAX_CHANNELS: usize = 64;
/// Error text for a file on which the decoder panics.
const DECODER_FAILED: &str = "the decoder failed";
/// Consecutive damaged packets that are skipped; after one more the rest of the file is skipped.
const MAX_BAD_PACKETS: usize = 100;

/// A source that decodes files in order, as fast as it is read.
#[derive(Debug)]
pub struct FileSource {
    /// Files that are still to be opened, in order.
    files: VecDeque<PathBuf>,
    /// Decoder of the file being read; None between files.
    open: Option<FileDecoder>,
    /// Names of all files, separated by commas.
    name: String,
    /// Length of all files together, in seconds; None where one of them does not tell.
    length_secs: Option<f64>,
}

impl FileSource {
    /// Creates a source for the files `paths`; decodes the beginning of each file as a check.
    ///
    /// # Errors
    /// [`ErrorKind::AudioFile`], naming the file, when a file is missing, empty or not audio; also when `paths` is empty.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let files: VecDeque<PathBuf> = paths.iter().cloned().collect();
        if files.is_empty() {
            return Err(Error::new(ErrorKind::AudioFile, "the list of files is empty"));
        }
        let mut lengths = Vec::with_capacity(files.len());
        for path in &files {
            lengths.push(FileDecoder::open(path)?.check()?);
        }
        let names: Vec<String> = files.iter().map(|p| p.display().to_string()).collect();
        Ok(Self { files, open: None, name: names.join(", "), length_secs: lengths.into_iter().sum() })
    }
}

impl Source for FileSource {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        let decoder = match &mut self.open {
            Some(decoder) => decoder,
            None => match self.files.pop_front() {
                None => return Ok(SourceEvent::End),
                Some(path) => match FileDecoder::open(&path) {
                    Ok(decoder) => self.open.insert(decoder),
                    // The file has changed since it was checked.
                    Err(error) => return Ok(SourceEvent::Problem(error)),
                },
            },
        };
        if let Some(problem) = decoder.problem.take() {
            return Ok(SourceEvent::Problem(problem));
        }
        if let Some(count) = decoder.step(out) {
            return Ok(SourceEvent::Samples(count));
        }
        if let Some(problem) = decoder.problem.take() {
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
}

/// Decodes a whole audio file to 16 kHz mono.
///
/// # Errors
/// [`ErrorKind::AudioFile`], naming the file, when it is missing, damaged even in part, without sound, or not audio.
pub fn read_file(path: &Path) -> Result<Vec<f32>> {
    FileDecoder::open(path)?.read_all()
}

/// Decodes a whole audio file in memory, of any supported format, to 16 kHz mono. Error messages call the file "built-in clip".
///
/// # Errors
/// [`ErrorKind::AudioFile`] when it is damaged even in part, without sound, or not audio.
pub fn read_wav(bytes: &'static [u8]) -> Result<Vec<f32>> {
    FileDecoder::of(Box::new(Cursor::new(bytes)), Path::new("built-in clip"))?.read_all()
}

/// The decoder of one file, to 16 kHz mono.
struct FileDecoder {
    path: PathBuf,
    /// Reader of the packets in the file.
    format: Box<dyn FormatReader>,
    /// Decoder of a packet.
    codec: Box<dyn AudioDecoder>,
    /// Id of the track that is decoded.
    track: u32,
    /// Length of this track, in seconds; None where the file does not tell.
    length_secs: Option<f64>,
    /// Sample rate of the newest packet, in Hz, and the resampler from this rate to 16 kHz; None before the first packet.
    resampler: Option<(u32, Resampler)>,
    /// Buffer of the newest packet's samples, all channels.
    interleaved: Vec<f32>,
    /// Buffer of the newest packet's samples, mixed to mono.
    mono: Vec<f32>,
    /// Number of consecutive damaged packets.
    bad_packets: usize,
    /// Error to report once the samples before it are delivered.
    problem: Option<Error>,
    /// Kinds of damage that the user was told of.
    reported: ReportedDamage,
    state: FileDecoderState,
}

/// The kinds of damage that have been reported to the user, each once for a file.
#[derive(Clone, Copy, Debug, Default)]
struct ReportedDamage {
    /// True once a skipped damaged packet was reported.
    skipped_packet: bool,
    /// True once NaN or infinite samples were reported.
    non_finite: bool,
}

/// The state of a [`FileDecoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileDecoderState {
    /// Packets are still to be decoded.
    Decoding,
    /// The end of the file, or an error that ends decoding, was reached.
    Finished,
}

impl std::fmt::Debug for FileDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileDecoder").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FileDecoder {
    fn open(path: &Path) -> Result<Self> {
        // Check the type before opening: opening a pipe blocks until it has a writer, and a pipe cannot be read twice.
        let meta = std::fs::metadata(path).map_err(|e| cannot_read(path, &e))?;
        let why = match (meta.is_dir(), meta.is_file(), meta.len()) {
            (true, ..) => Some("this is a folder"),
            (_, false, _) => Some("this is not a regular file; a stream can be sent as WAV to stdin, with - as the file name"),
            (_, _, 0) => Some("the file is empty"),
            _ => None,
        };
        if let Some(why) = why {
            return Err(Error::at(ErrorKind::AudioFile, path, why).with_remedy(Remedy::ChooseAudioFile));
        }
        let file = File::open(path).map_err(|e| cannot_read(path, &e))?;
        Self::of(Box::new(file), path)
    }

    fn of(media: Box<dyn MediaSource>, path: &Path) -> Result<Self> {
        let not_audio = |why: String| {
            let message = format!("not an audio file that Hearken can read ({why})");
            Error::at(ErrorKind::AudioFile, path, message).with_remedy(Remedy::ConvertAudio)
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
            let track = format.default_track(TrackType::Audio).ok_or("no audio track")?;
            let params = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or("unknown codec")?;
            if params.sample_rate.is_some_and(|rate| Resampler::new(rate).is_err()) {
                return Err("unsupported sample rate".into());
            }
            if params.channels.as_ref().is_some_and(|c| !(1..=MAX_CHANNELS).contains(&c.count())) {
                return Err("unsupported number of channels".into());
            }
            let codec =
                symphonia::default::get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default()).map_err(|e| e.to_string())?;
            let (id, length_secs) = (track.id, length_of(track));
            Ok((format, codec, id, length_secs))
        };
        let (format, codec, track, length_secs) = guarded(open).map_err(not_audio)?;
        Ok(Self {
            path: path.to_owned(),
            format,
            codec,
            track,
            length_secs,
            resampler: None,
            interleaved: Vec::new(),
            mono: Vec::new(),
            bad_packets: 0,
            problem: None,
            reported: ReportedDamage::default(),
            state: FileDecoderState::Decoding,
        })
    }

    /// Decodes the first packet with sound, and returns the length of the file in seconds, where it tells. Fails if the file has no
    /// sound.
    fn check(mut self) -> Result<Option<f64>> {
        match self.packet() {
            Ok(Some(_)) => Ok(self.length_secs),
            Ok(None) => Err(self.no_sound()),
            Err(error) => Err(error),
        }
    }

    fn no_sound(&self) -> Error {
        Error::at(ErrorKind::AudioFile, &self.path, "the file contains no sound").with_remedy(Remedy::ChooseAudioFile)
    }

    fn read_all(mut self) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        while self.step(&mut all).is_some() {
            if let Some(problem) = self.problem.take() {
                return Err(problem);
            }
        }
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        if all.is_empty() {
            return Err(self.no_sound());
        }
        Ok(all)
    }

    /// Decodes one packet: appends its samples, at 16 kHz, to `out` and returns their number, which may be 0; None at the end of the file.
    /// Leaves an error in `problem`.
    fn step(&mut self, out: &mut Vec<f32>) -> Option<usize> {
        if self.state == FileDecoderState::Finished {
            return None;
        }
        let before = out.len();
        let more = match self.advance(out) {
            Ok(more) => more,
            Err(error) => {
                self.problem = Some(error);
                false
            }
        };
        if !more {
            self.state = FileDecoderState::Finished;
            if let Some((_, mut last)) = self.resampler.take()
                && let Err(error) = last.finish(out)
            {
                self.problem.get_or_insert(error);
            }
        }
        (more || out.len() > before).then_some(out.len() - before)
    }

    /// Decodes a packet and appends its samples, at 16 kHz, to `out`. Returns false at the end of the file.
    fn advance(&mut self, out: &mut Vec<f32>) -> Result<bool> {
        let Some(rate_hz) = self.packet()? else { return Ok(false) };
        if self.resampler.as_ref().is_none_or(|(rate, _)| *rate != rate_hz) {
            // The rate changed within the stream: output the samples that the old filter still holds.
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

    /// Decodes the next packet with sound to `mono` and returns its sample rate, in Hz; None at the end of the file. Skips damaged packets.
    fn packet(&mut self) -> Result<Option<u32>> {
        loop {
            match self.decode_packet() {
                Ok(None) => return Ok(None),
                Ok(Some(PacketFormat { rate_hz, channels })) if (1..=MAX_CHANNELS).contains(&channels) => {
                    self.bad_packets = 0;
                    self.mix_to_mono(channels);
                    if self.mono.is_empty() {
                        continue;
                    }
                    return Ok(Some(rate_hz));
                }
                Ok(Some(_)) => return Err(self.damaged("unsupported number of channels")),
                Err(PacketError::OtherTrack) => {}
                Err(PacketError::Reset) => {
                    self.bad_packets += 1;
                    if self.bad_packets > MAX_BAD_PACKETS {
                        return Err(self.damaged("the stream restarts repeatedly"));
                    }
                    self.follow_chain()?;
                }
                Err(PacketError::Damaged(why)) => {
                    self.bad_packets += 1;
                    if self.bad_packets > MAX_BAD_PACKETS {
                        return Err(self.damaged(&why));
                    }
                    if !std::mem::replace(&mut self.reported.skipped_packet, true) {
                        let why = format!("a damaged part was skipped ({why})");
                        self.problem = Some(Error::at(ErrorKind::AudioFile, &self.path, why));
                    }
                }
                Err(PacketError::Unreadable(why)) => return Err(self.damaged(&why)),
            }
        }
    }

    /// Decodes the next packet to `interleaved` and returns its format; None at the end of the file, truncated or not.
    fn decode_packet(&mut self) -> std::result::Result<Option<PacketFormat>, PacketError> {
        let decode = || {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(None),
                Err(SymphoniaError::ResetRequired) => return Err(PacketError::Reset),
                // Truncated files are common; their samples have been delivered.
                Err(SymphoniaError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(e) => return Err(PacketError::Unreadable(e.to_string())),
            };
            if packet.track_id != self.track {
                return Err(PacketError::OtherTrack);
            }
            let decoded = self.codec.decode(&packet).map_err(|e| PacketError::Damaged(e.to_string()))?;
            decoded.copy_to_vec_interleaved::<f32>(&mut self.interleaved);
            Ok(Some(PacketFormat { rate_hz: decoded.spec().rate(), channels: decoded.num_planes() }))
        };
        catch_panic(decode).unwrap_or_else(|| Err(PacketError::Unreadable(DECODER_FAILED.into())))
    }

    /// Mixes `interleaved` to `mono` (the mean; NaN and infinity count as 0). Reports the first NaN or infinite sample of the file.
    fn mix_to_mono(&mut self, channels: usize) {
        if !self.reported.non_finite && self.interleaved.iter().any(|s| !s.is_finite()) {
            self.reported.non_finite = true;
            self.problem = Some(Error::at(ErrorKind::AudioFile, &self.path, NON_FINITE_SAMPLES));
        }
        self.mono.clear();
        let scale = channels as f32;
        let frames = self.interleaved.chunks_exact(channels);
        self.mono.extend(frames.map(|frame| sanitize(frame.iter().copied().map(sanitize).sum::<f32>() / scale)));
    }

    fn damaged(&self, why: &str) -> Error {
        let why = format!("the file is damaged; the rest is skipped ({why})");
        Error::at(ErrorKind::AudioFile, &self.path, why).with_remedy(Remedy::ChooseAudioFile)
    }

    /// Switches to the next part of a chained stream, which has its own codec.
    fn follow_chain(&mut self) -> Result<()> {
        let next = || -> std::result::Result<_, String> {
            let track = self.format.default_track(TrackType::Audio).ok_or("the next part has no audio track")?;
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

/// Returns the length of `track` as the file tells it, in seconds.
fn length_of(track: &Track) -> Option<f64> {
    if let (Some(duration), Some(base)) = (track.duration, track.time_base) {
        return Some(duration.get() as f64 * f64::from(base.numer.get()) / f64::from(base.denom.get()));
    }
    let rate_hz = track.codec_params.as_ref()?.audio()?.sample_rate?;
    Some(track.num_frames? as f64 / f64::from(rate_hz))
}

/// The format of a decoded packet.
struct PacketFormat {
    /// Sample rate, in Hz.
    rate_hz: u32,
    /// Number of channels.
    channels: usize,
}

/// A failure to decode the next packet.
enum PacketError {
    /// The packet belongs to another track.
    OtherTrack,
    /// A new part of a chained stream begins.
    Reset,
    /// The packet is damaged; the next one may be readable.
    Damaged(String),
    /// The rest of the file cannot be read.
    Unreadable(String),
}

/// Runs `work`; a panic of the decoder becomes the error text [`DECODER_FAILED`].
fn guarded<T>(work: impl FnOnce() -> std::result::Result<T, String>) -> std::result::Result<T, String> {
    catch_panic(work).unwrap_or_else(|| Err(DECODER_FAILED.into()))
}

thread_local! {
    /// True while this thread runs a decoder.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; returns None if it panics, as decoders may on a damaged file. The panic is not printed: the caller reports an
/// error.
fn catch_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    /// Runs once in this process: installs a panic hook that does not print panics of decoders.
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
        std::io::ErrorKind::NotFound => ("no such file".to_owned(), Some(Remedy::CheckPath)),
        std::io::ErrorKind::PermissionDenied => ("no permission to read the file".to_owned(), Some(Remedy::AllowAccess)),
        _ => (error.to_string(), None),
    };
    Error::at(ErrorKind::AudioFile, path, why).with_remedy(remedy)
}
