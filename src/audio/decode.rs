//! One reader for recordings: files, pipes and standard input, in every form that is decoded, to 16 kHz mono.
//!
//! symphonia reads the containers and decodes; WAV and AU headers are read here (`wav`, `au`), because what recorders and
//! crashes leave has wrong lengths, and Opus is decoded by `opus`. What a header promises is compared with what was decoded.

mod aac;
mod au;
mod blocks;
mod container;
mod form_names;
mod ogg;
mod opus;
mod origin;
mod wav;

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::Once;

use symphonia::core::codecs::audio::AudioDecoder;

use super::NON_FINITE_SAMPLES;
use super::mix::{MAX_CHANNELS, Mixer};
use super::resample::Resampler;
use crate::config::RawFormat;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::ChannelChoice;
use container::{EndMark, Opened, Packets, ReadError, Refusal};
use origin::Origin;

/// Error text for a recording on which a decoder panics.
const DECODER_FAILED: &str = "the decoder failed";
/// Consecutive damaged packets that are heard as silence; after one more the rest is skipped.
const MAX_BAD_PACKETS: usize = 100;
/// Least duration that must be missing at the end to be reported, in seconds: encoders count their delays differently.
const MISSING_SECS: f64 = 0.25;

/// The decoder of one recording, to 16 kHz mono.
pub(super) struct Decoder {
    /// Path of the recording, or `stdin`.
    name: PathBuf,
    packets: Packets,
    /// Decoder of a packet.
    codec: Box<dyn AudioDecoder>,
    /// Length of the sound, in seconds; None where the recording does not tell.
    length_secs: Option<f64>,
    /// Length that the header promises, in seconds.
    promised_secs: Option<f64>,
    /// Length of what was decoded so far, in seconds.
    decoded_secs: f64,
    /// Damaged packets so far; None without one.
    damage: Option<Damage>,
    end: EndMark,
    /// Sample rate of the newest packet, in Hz, and the resampler from this rate to 16 kHz; None before the first packet.
    resampler: Option<(u32, Resampler)>,
    /// Format of the first packet, which shows that there is sound, while it is in `mono` and not delivered yet.
    first: Option<PacketFormat>,
    /// Channel that is heard.
    channel: ChannelChoice,
    /// Mixer of the channels, and the sample rate that it was made for, in Hz; None before the first packet.
    mixer: Option<(u32, Mixer)>,
    /// Buffer of the newest packet's samples, all channels.
    interleaved: Vec<f32>,
    /// Buffer of the newest packet's samples, mixed to mono.
    mono: Vec<f32>,
    /// Number of consecutive damaged packets.
    bad_packets: usize,
    /// Errors to report once the samples before them are delivered.
    problems: VecDeque<Error>,
    /// True once NaN or infinite samples were reported.
    non_finite_reported: bool,
    state: DecoderState,
}

/// The damaged packets of a recording, which are heard as silence.
struct Damage {
    /// Words of the decoder about the first one.
    why: String,
    /// Length of all, in seconds; those whose length is not known are left out.
    secs: f64,
}

/// The state of a [`Decoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecoderState {
    /// Packets are still to be decoded.
    Decoding,
    /// The end of the recording, or an error that ends decoding, was reached.
    Finished,
}

/// The possibility of opening a recording a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reopening {
    /// A regular file: it can.
    Possible,
    /// A pipe: what was read of it is gone.
    Impossible,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Decoder {
    /// Opens the file or named pipe `path`; `raw` is the form of sound without a header.
    ///
    /// # Errors
    /// [`ErrorKind::AudioFile`], naming the file, when it is missing, empty, without sound, or in a form that is not decoded.
    pub(super) fn open(path: &Path, raw: Option<RawFormat>) -> Result<(Self, Reopening)> {
        let meta = std::fs::metadata(path).map_err(|e| cannot_read(path, &e))?;
        let pipe = is_pipe(&meta);
        let why = match (meta.is_dir(), meta.is_file() || pipe, pipe || meta.len() > 0) {
            (true, ..) => Some("this is a folder"),
            (_, false, _) => Some("this is a device, not a file"),
            (.., false) => Some("the file is empty"),
            _ => None,
        };
        if let Some(why) = why {
            return Err(Error::at(ErrorKind::AudioFile, path, why).with_remedy(Remedy::ChooseAudioFile));
        }
        let file = File::open(path).map_err(|e| cannot_read(path, &e))?;
        let (origin, reopening) =
            if pipe { (Origin::stream(Box::new(file)), Reopening::Impossible) } else { (Origin::File(file), Reopening::Possible) };
        Ok((Self::of(origin, path, raw)?, reopening))
    }

    /// Opens the stream `reader`, which messages call `name`; `raw` is the form of sound without a header.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn of_stream(reader: impl Read + Send + Sync + 'static, name: &str, raw: Option<RawFormat>) -> Result<Self> {
        Self::of(Origin::stream(Box::new(reader)), Path::new(name), raw)
    }

    /// Opens `file`, which may be a pipe and which messages call `name`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn of_file(file: File, name: &str, raw: Option<RawFormat>) -> Result<Self> {
        let regular = file.metadata().is_ok_and(|meta| meta.is_file());
        let origin = if regular { Origin::File(file) } else { Origin::stream(Box::new(file)) };
        Self::of(origin, Path::new(name), raw)
    }

    /// Opens a recording in memory, which messages call `name`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn of_memory(bytes: &'static [u8], name: &str) -> Result<Self> {
        Self::of(Origin::Memory(bytes), Path::new(name), None)
    }

    fn of(mut origin: Origin, name: &Path, raw: Option<RawFormat>) -> Result<Self> {
        let opened = match catch_panic(|| container::open(&mut origin, name, raw)) {
            None => Err(Refusal::NotSound(DECODER_FAILED.to_owned())),
            Some(opened) => opened,
        };
        let Opened { packets, codec, length_secs, promised_secs, end } = opened.map_err(|why| match why {
            Refusal::Unreadable(e) => cannot_read(name, &e),
            Refusal::Form(why) => Error::at(ErrorKind::AudioFile, name, format!("Hearken cannot read this recording: {why}"))
                .with_remedy(Remedy::ConvertAudio),
            Refusal::NotSound(why) => Error::at(ErrorKind::AudioFile, name, why).with_remedy(Remedy::ChooseAudioFile),
        })?;
        let mut decoder = Self {
            name: name.to_owned(),
            packets,
            codec,
            length_secs,
            promised_secs,
            decoded_secs: 0.0,
            damage: None,
            end,
            resampler: None,
            first: None,
            channel: ChannelChoice::All,
            mixer: None,
            interleaved: Vec::new(),
            mono: Vec::new(),
            bad_packets: 0,
            problems: VecDeque::new(),
            non_finite_reported: false,
            state: DecoderState::Decoding,
        };
        match decoder.packet()? {
            Some(format) => decoder.first = Some(format),
            None => return Err(Error::at(ErrorKind::AudioFile, name, container::NO_SOUND).with_remedy(Remedy::ChooseAudioFile)),
        }
        Ok(decoder)
    }

    /// Returns the length of the sound, in seconds; None where the recording does not tell.
    pub(super) const fn length_secs(&self) -> Option<f64> {
        self.length_secs
    }

    /// Hears `channel` from the next packet on; the first one too, if it is still to be delivered.
    pub(super) fn choose_channel(&mut self, channel: ChannelChoice) {
        if channel != self.channel {
            self.channel = channel;
            self.mixer = None;
            if let Some(first) = self.first {
                self.mix_to_mono(first);
            }
        }
    }

    /// Takes the next error to report.
    pub(super) fn take_problem(&mut self) -> Option<Error> {
        self.problems.pop_front()
    }

    /// Decodes the whole recording.
    ///
    /// # Errors
    /// [`ErrorKind::AudioFile`] when it is damaged, even in part.
    pub(super) fn read_all(mut self) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        loop {
            let more = self.step(&mut all);
            if let Some(problem) = self.take_problem() {
                return Err(problem);
            }
            if more.is_none() {
                return Ok(all);
            }
        }
    }

    /// Decodes one packet: appends its samples, at 16 kHz, to `out` and returns their number, which may be 0; None at the end.
    /// Leaves errors for [`Self::take_problem`].
    pub(super) fn step(&mut self, out: &mut Vec<f32>) -> Option<usize> {
        if self.state == DecoderState::Finished {
            return None;
        }
        let before = out.len();
        let more = self.advance(out).unwrap_or_else(|error| {
            self.problems.push_back(error);
            false
        });
        if !more {
            self.finish(out);
        }
        (more || out.len() > before).then_some(out.len() - before)
    }

    /// Appends what the resampler still holds, and compares what was decoded with what was promised.
    fn finish(&mut self, out: &mut Vec<f32>) {
        self.state = DecoderState::Finished;
        if let Some((_, mut last)) = self.resampler.take()
            && let Err(error) = last.finish(out)
        {
            self.problems.push_back(error);
        }
        if let Some(Damage { why, secs }) = self.damage.take() {
            let why = format!("damaged parts of {secs:.2} s in all are heard as silence ({why})");
            self.problems.push_back(Error::at(ErrorKind::AudioFile, &self.name, why));
        }
        let promised = match &self.packets {
            Packets::Blocks(blocks) => blocks.promised_secs(),
            Packets::Container { .. } => self.promised_secs.unwrap_or(0.0),
        };
        let missing = promised - self.decoded_secs;
        let why = if missing >= MISSING_SECS {
            format!("the file is cut off: {missing:.1} s of the {promised:.1} s that it announces are missing at its end")
        } else if self.end == EndMark::Missing {
            "the file is cut off: the mark of its end is missing".to_owned()
        } else {
            return;
        };
        self.problems.push_back(Error::at(ErrorKind::AudioFile, &self.name, why).with_remedy(Remedy::ChooseAudioFile));
    }

    /// Decodes a packet and appends its samples, at 16 kHz, to `out`. Returns false at the end.
    fn advance(&mut self, out: &mut Vec<f32>) -> Result<bool> {
        let PacketFormat { rate_hz, .. } = match self.first.take() {
            Some(first) => first,
            None => match self.packet()? {
                Some(format) => format,
                None => return Ok(false),
            },
        };
        self.decoded_secs += self.mono.len() as f64 / f64::from(rate_hz);
        if self.resampler.as_ref().is_none_or(|(rate, _)| *rate != rate_hz) {
            // The rate changed within the stream: output the samples that the old filter still holds.
            if let Some((_, mut old)) = self.resampler.take() {
                old.finish(out)?;
            }
            self.resampler = Some((rate_hz, Resampler::new(rate_hz).map_err(|e| e.while_doing(self.name.display()))?));
        }
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.step(&self.mono, out)?;
        }
        Ok(true)
    }

    /// Decodes the next packet with sound to `mono` and returns its format; None at the end. Damaged packets become silence of their
    /// length.
    fn packet(&mut self) -> Result<Option<PacketFormat>> {
        loop {
            match self.decode_packet() {
                Ok(None) => return Ok(None),
                Ok(Some(format)) if (1..=MAX_CHANNELS).contains(&format.channels) => {
                    self.bad_packets = 0;
                    self.mix_to_mono(format);
                    if self.mono.is_empty() {
                        continue;
                    }
                    return Ok(Some(format));
                }
                Ok(Some(_)) => return Err(self.damaged("unsupported number of channels")),
                Err(PacketError::Reset) => {
                    self.bad_packets += 1;
                    if self.bad_packets > MAX_BAD_PACKETS {
                        return Err(self.damaged("the stream restarts repeatedly"));
                    }
                    self.codec = guarded(|| self.packets.follow_chain()).map_err(|why| Error::at(ErrorKind::AudioFile, &self.name, why))?;
                    // The promise was that of the first part.
                    self.promised_secs = None;
                }
                Err(PacketError::Damaged { why, secs }) => {
                    self.bad_packets += 1;
                    if self.bad_packets > MAX_BAD_PACKETS {
                        return Err(self.damaged(&why));
                    }
                    let damage = self.damage.get_or_insert(Damage { why, secs: 0.0 });
                    if let (Some(secs), Some((rate_hz, _))) = (secs, &self.resampler) {
                        let (secs, rate_hz) = (secs.min(MAX_DAMAGED_SECS), *rate_hz);
                        damage.secs += secs;
                        self.mono.clear();
                        self.mono.resize((secs * f64::from(rate_hz)) as usize, 0.0);
                        return Ok(Some(PacketFormat { rate_hz, channels: 1 }));
                    }
                }
                Err(PacketError::Unreadable(why)) => return Err(self.damaged(&why)),
            }
        }
    }

    /// Decodes the next packet to `interleaved` and returns its format; None at the end of the recording.
    fn decode_packet(&mut self) -> std::result::Result<Option<PacketFormat>, PacketError> {
        let decode = || {
            let packet = match self.packets.next() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(None),
                Err(ReadError::Reset) => return Err(PacketError::Reset),
                Err(ReadError::Unreadable(why)) => return Err(PacketError::Unreadable(why)),
            };
            let decoded = match self.codec.decode(&packet) {
                Ok(decoded) => decoded,
                Err(e) => return Err(PacketError::Damaged { why: e.to_string(), secs: self.packets.secs(packet.dur) }),
            };
            decoded.copy_to_vec_interleaved::<f32>(&mut self.interleaved);
            let (rate_hz, channels) = (decoded.spec().rate(), decoded.num_planes());
            // The encoder's delay at the beginning is no sound.
            let trimmed = self.packets.secs(packet.trim_start).map_or(0, |secs| (secs * f64::from(rate_hz)).round() as usize);
            self.interleaved.drain(..(trimmed * channels).min(self.interleaved.len()));
            Ok(Some(PacketFormat { rate_hz, channels }))
        };
        catch_panic(decode).unwrap_or_else(|| Err(PacketError::Unreadable(DECODER_FAILED.into())))
    }

    /// Mixes `interleaved` to `mono`. Reports the first NaN or infinite sample.
    fn mix_to_mono(&mut self, PacketFormat { rate_hz, channels }: PacketFormat) {
        if !self.non_finite_reported && self.interleaved.iter().any(|s| !s.is_finite()) {
            self.non_finite_reported = true;
            self.problems.push_back(Error::at(ErrorKind::AudioFile, &self.name, NON_FINITE_SAMPLES));
        }
        self.mono.clear();
        if self.mixer.as_ref().is_none_or(|(rate, _)| *rate != rate_hz) {
            self.mixer = Some((rate_hz, Mixer::new(rate_hz, self.channel)));
        }
        if let Some((_, mixer)) = &mut self.mixer {
            mixer.mix(&self.interleaved, channels, &mut self.mono);
        }
    }

    fn damaged(&self, why: &str) -> Error {
        let why = format!("the file is damaged; the rest is skipped ({why})");
        Error::at(ErrorKind::AudioFile, &self.name, why).with_remedy(Remedy::ChooseAudioFile)
    }
}

/// Longest silence that stands for one damaged packet, in seconds; more means that the packet's length is damaged as well.
const MAX_DAMAGED_SECS: f64 = 1.0;

/// The format of a decoded packet.
#[derive(Clone, Copy)]
struct PacketFormat {
    /// Sample rate, in Hz.
    rate_hz: u32,
    /// Number of channels.
    channels: usize,
}

/// A failure to decode the next packet.
enum PacketError {
    /// A new part of a chained stream begins.
    Reset,
    /// The packet is damaged; the next one may be readable.
    Damaged {
        why: String,
        /// Duration of the packet, in seconds; None where the container does not tell.
        secs: Option<f64>,
    },
    /// The rest of the recording cannot be read.
    Unreadable(String),
}

/// Returns true for a named pipe.
#[cfg(unix)]
fn is_pipe(meta: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&meta.file_type())
}

/// Returns false: only Unix has named pipes among its files.
#[cfg(not(unix))]
const fn is_pipe(_: &std::fs::Metadata) -> bool {
    false
}

/// Runs `work`; a panic of the decoder becomes the error text [`DECODER_FAILED`].
fn guarded<T, E: for<'a> From<&'a str>>(work: impl FnOnce() -> std::result::Result<T, E>) -> std::result::Result<T, E> {
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
