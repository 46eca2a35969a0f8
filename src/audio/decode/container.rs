//! Opens a recording of any form: finds out the form, then its first track with sound that can be decoded.

use std::ffi::OsStr;
use std::io;
use std::num::NonZero;
use std::path::Path;

use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase};

use super::blocks::{Behind, BlockBytes, BlockLayout, BlockReader, Extent};
use super::form_names::{Content, codec_name, is_text, undecoded};
use super::opus::OpusPackets;
use super::origin::{ByteStream, Origin};
use super::wav::WavSound;
use super::{aac, au, guarded, ogg, wav};
use crate::audio::mix::MAX_CHANNELS;
use crate::audio::resample::Resampler;
use crate::config::{RawEncoding, RawFormat};

/// Error text for a recording whose tracks hold no sound.
pub(super) const NO_SOUND: &str = "there is no sound in it";

/// A recording that was opened: where its packets come from, and their decoder.
pub(super) struct Opened {
    pub(super) packets: Packets,
    pub(super) codec: Box<dyn AudioDecoder>,
    /// Length of the sound as header or file tell, in seconds; an estimate where they do not.
    pub(super) length_secs: Option<f64>,
    /// Length that the header promises, in seconds; None where it promises none.
    pub(super) promised_secs: Option<f64>,
    /// State of the end of the file.
    pub(super) end: EndMark,
}

/// Why a recording cannot be heard.
pub(super) enum Refusal {
    /// It cannot be read at all.
    Unreadable(io::Error),
    /// It is sound, but not in a form that is decoded; another program can convert it. What it is.
    Form(String),
    /// It holds no sound, or is damaged. What it is.
    NotSound(String),
}

/// The state of the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndMark {
    /// As it should, or forms of this kind mark no end.
    Fine,
    /// The mark of the end is missing: the file was cut off.
    Missing,
}

/// The packets of a recording.
pub(super) enum Packets {
    /// Those of one track of a container.
    Container {
        reader: Box<dyn FormatReader>,
        /// Id of the track.
        track: u32,
        /// Its first packet, which was read as a check.
        first: Option<Packet>,
    },
    /// Blocks of one size.
    Blocks(BlockReader),
}

/// A failure to read the next packet.
pub(super) enum ReadError {
    /// A new part of a chained stream begins.
    Reset,
    /// The rest cannot be read.
    Unreadable(String),
}

impl Packets {
    /// Reads the next packet of the track; None at the end, also where the file is cut off.
    pub(super) fn next(&mut self) -> Result<Option<Packet>, ReadError> {
        match self {
            Self::Blocks(blocks) => blocks.next().map_err(|e| ReadError::Unreadable(e.to_string())),
            Self::Container { reader, track, first } => match first.take() {
                None => next_packet(reader.as_mut(), *track),
                first => Ok(first),
            },
        }
    }

    /// Returns a duration of a packet in seconds; None where the container does not tell its unit.
    pub(super) fn secs(&self, duration: Duration) -> Option<f64> {
        match self {
            Self::Blocks(blocks) => Some(duration.get() as f64 / f64::from(blocks.layout().rate_hz)),
            Self::Container { reader, track, .. } => {
                let track = reader.tracks().iter().find(|candidate| candidate.id == *track)?;
                let base = track.time_base?;
                Some(in_secs(duration, base))
            }
        }
    }

    /// Switches to the next part of a chained stream and returns its decoder.
    ///
    /// # Errors
    /// A text that says why it cannot be decoded.
    pub(super) fn follow_chain(&mut self) -> Result<Box<dyn AudioDecoder>, String> {
        let Self::Container { reader, track, .. } = self else { return Err(NO_SOUND.to_owned()) };
        let found = decodable_track(reader.as_ref()).map_err(|_| "the next part cannot be decoded")?;
        *track = found.id;
        Ok(found.codec)
    }
}

/// Reads the next packet of a track; None at the end, also where the file is cut off.
fn next_packet(reader: &mut dyn FormatReader, track: u32) -> Result<Option<Packet>, ReadError> {
    loop {
        match reader.next_packet() {
            Ok(Some(packet)) if packet.track_id != track => {}
            Ok(packet) => return Ok(packet),
            Err(SymphoniaError::ResetRequired) => return Err(ReadError::Reset),
            Err(SymphoniaError::IoError(e)) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(ReadError::Unreadable(e.to_string())),
        }
    }
}

/// Opens the recording `origin`; `path` gives a hint by its ending, `raw` the form of sound without a header.
///
/// # Errors
/// The reason why it cannot be heard.
pub(super) fn open(origin: &mut Origin, path: &Path, raw: Option<RawFormat>) -> Result<Opened, Refusal> {
    if let Some(raw) = raw {
        let bytes = block_bytes(origin, 0).map_err(Refusal::Unreadable)?;
        return opened_blocks(BlockReader::new(bytes, raw_layout(raw), Extent::ToEnd, Behind::Nothing));
    }
    let (start, head) = origin.skip_tags().map_err(Refusal::Unreadable)?;
    if wav::is_wav(&head) {
        let bytes = block_bytes(origin, start).map_err(Refusal::Unreadable)?;
        return match wav::open(bytes).map_err(Refusal::Form)? {
            WavSound::Blocks(blocks) => opened_blocks(blocks),
            WavSound::Mpeg(bytes) => opened_mpeg(bytes),
        };
    }
    if au::is_au(&head) {
        let bytes = block_bytes(origin, start).map_err(Refusal::Unreadable)?;
        return opened_blocks(au::open(bytes).map_err(Refusal::Form)?);
    }
    match undecoded(&head) {
        Some(Content::Sound(name)) => return Err(Refusal::Form(format!("it is {name}"))),
        Some(Content::Other(name)) => return Err(Refusal::NotSound(format!("it is {name}, not a recording"))),
        None => {}
    }
    let mut opened = open_container(origin, start, path.extension()).map_err(|why| refusal(&head, why, origin))?;
    if let Ok(Some(section)) = origin.section(start) {
        opened.end = ogg::end_mark(section);
    }
    Ok(opened)
}

/// Words the refusal of a recording `origin` that begins with `head` and was refused by symphonia because of `why`.
fn refusal(head: &[u8], why: ContainerError, origin: &Origin) -> Refusal {
    let why = match why {
        ContainerError::Track(why) => return Refusal::Form(why),
        ContainerError::NoSound => return Refusal::NotSound(NO_SOUND.to_owned()),
        ContainerError::Unknown(why) => why,
    };
    let mp4 = head.get(4..8) == Some(b"ftyp");
    match origin {
        Origin::Stream { .. } if mp4 => {
            Refusal::NotSound("the index of this MP4 stands at its end: name the file instead of sending it through a pipe".to_owned())
        }
        _ if mp4 => Refusal::NotSound(format!("its index is missing or damaged: it was cut off, or its recorder was ended ({why})")),
        _ if is_text(head) => Refusal::NotSound("it is a text, not a recording".to_owned()),
        _ if why.contains("end of file") => Refusal::NotSound("it is cut off before its sound begins, or damaged".to_owned()),
        _ => Refusal::Form(format!("its form is not known ({why})")),
    }
}

fn block_bytes(origin: &mut Origin, start: u64) -> io::Result<BlockBytes> {
    Ok(match origin.section(start)? {
        Some(section) => BlockBytes::File(section),
        None => BlockBytes::Stream(origin.bytes(start)?),
    })
}

/// Returns how sound of the form `raw` lies in its file.
fn raw_layout(raw: RawFormat) -> BlockLayout {
    let (codec, sample_bytes) = match raw.encoding {
        RawEncoding::S8 => (codec::CODEC_ID_PCM_S8, 1),
        RawEncoding::U8 => (codec::CODEC_ID_PCM_U8, 1),
        RawEncoding::S16Le => (codec::CODEC_ID_PCM_S16LE, 2),
        RawEncoding::S16Be => (codec::CODEC_ID_PCM_S16BE, 2),
        RawEncoding::S24Le => (codec::CODEC_ID_PCM_S24LE, 3),
        RawEncoding::S24Be => (codec::CODEC_ID_PCM_S24BE, 3),
        RawEncoding::S32Le => (codec::CODEC_ID_PCM_S32LE, 4),
        RawEncoding::S32Be => (codec::CODEC_ID_PCM_S32BE, 4),
        RawEncoding::F32Le => (codec::CODEC_ID_PCM_F32LE, 4),
        RawEncoding::F32Be => (codec::CODEC_ID_PCM_F32BE, 4),
        RawEncoding::F64Le => (codec::CODEC_ID_PCM_F64LE, 8),
        RawEncoding::F64Be => (codec::CODEC_ID_PCM_F64BE, 8),
        RawEncoding::ALaw => (codec::CODEC_ID_PCM_ALAW, 1),
        RawEncoding::MuLaw => (codec::CODEC_ID_PCM_MULAW, 1),
    };
    let block_bytes = NonZero::new(sample_bytes * raw.channels).unwrap_or(NonZero::<u16>::MIN);
    BlockLayout { codec, rate_hz: raw.rate_hz, channels: raw.channels, block_bytes, frames_per_block: NonZero::<u16>::MIN }
}

fn opened_blocks(blocks: BlockReader) -> Result<Opened, Refusal> {
    let codec = track_decoder(&blocks.layout().codec_parameters()).map_err(Refusal::Form)?;
    // The promise of the header may grow while it is read: the reader itself tells at the end.
    Ok(Opened { length_secs: blocks.length_secs(), packets: Packets::Blocks(blocks), codec, promised_secs: None, end: EndMark::Fine })
}

/// Opens MP3 that lies in a WAV.
fn opened_mpeg(bytes: BlockBytes) -> Result<Opened, Refusal> {
    let stream: ByteStream = match bytes {
        BlockBytes::File(section) => Box::new(section),
        BlockBytes::Stream(stream) => stream,
    };
    let mut hint = Hint::new();
    hint.with_extension("mp3");
    guarded(|| probe(Box::new(ReadOnlySource::new(stream)), &hint)).map_err(|why| match why {
        ContainerError::Unknown(why) | ContainerError::Track(why) => {
            Refusal::Form(format!("its sound is MPEG that cannot be decoded ({why})"))
        }
        ContainerError::NoSound => Refusal::NotSound(NO_SOUND.to_owned()),
    })
}

/// Why symphonia does not open a file.
pub(super) enum ContainerError {
    /// The form is not known, or the beginning is damaged. What symphonia says.
    Unknown(String),
    /// There is sound, but in no track that can be decoded. What it is.
    Track(String),
    /// There is no track with sound.
    NoSound,
}

impl From<&str> for ContainerError {
    fn from(why: &str) -> Self {
        Self::Unknown(why.to_owned())
    }
}

/// Opens a container with symphonia: with the ending of its name as a hint, without one (endings may be wrong), and without seeking (an
/// MP4 whose index comes first can be heard although it is cut off).
fn open_container(origin: &mut Origin, start: u64, extension: Option<&OsStr>) -> Result<Opened, ContainerError> {
    let mut hint = Hint::new();
    if let Some(extension) = extension.and_then(OsStr::to_str) {
        hint.with_extension(extension);
    }
    let unreadable = |e: io::Error| ContainerError::Unknown(e.to_string());
    let mut first_error = None;
    let unhinted = Hint::new();
    for hint in [&hint, &unhinted] {
        let Some(section) = origin.section(start).map_err(unreadable)? else { break };
        match guarded(|| probe(Box::new(section), hint)) {
            Err(ContainerError::Unknown(why)) => _ = first_error.get_or_insert(ContainerError::Unknown(why)),
            // A reason that concerns a track is worth more than one that concerns the whole.
            done => return done,
        }
    }
    let bytes = origin.bytes(start).map_err(unreadable)?;
    match guarded(|| probe(Box::new(ReadOnlySource::new(bytes)), if first_error.is_some() { &unhinted } else { &hint })) {
        Err(ContainerError::Unknown(why)) => Err(first_error.unwrap_or(ContainerError::Unknown(why))),
        done => done,
    }
}

/// Opens the container that symphonia finds in `source`.
fn probe(source: Box<dyn MediaSource>, hint: &Hint) -> Result<Opened, ContainerError> {
    let stream = MediaSourceStream::new(source, Default::default());
    let mut reader = symphonia::default::get_probe()
        .probe(hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|e| ContainerError::Unknown(e.to_string()))?;
    let DecodableTrack { id: track, codec, mut length_secs, mut promised_secs } = decodable_track(reader.as_ref())?;
    if length_secs.is_none() {
        // Matroska tells the length of the whole alone, which is that of the longest track.
        length_secs = media_secs(reader.as_ref());
        promised_secs = length_secs.filter(|_| reader.tracks().len() == 1);
    }
    let first = match next_packet(reader.as_mut(), track) {
        Ok(first) => first,
        // The first part of a chained stream holds nothing.
        Err(ReadError::Reset) => None,
        Err(ReadError::Unreadable(why)) => return Err(ContainerError::Unknown(why)),
    };
    Ok(Opened { packets: Packets::Container { reader, track, first }, codec, length_secs, promised_secs, end: EndMark::Fine })
}

/// A track and its decoder.
struct DecodableTrack {
    id: u32,
    codec: Box<dyn AudioDecoder>,
    length_secs: Option<f64>,
    promised_secs: Option<f64>,
}

/// Returns the first track that can be decoded, the default track before others.
fn decodable_track(reader: &dyn FormatReader) -> Result<DecodableTrack, ContainerError> {
    let default = reader.default_track(TrackType::Audio);
    let others = reader.tracks().iter().filter(|track| default.is_none_or(|default| default.id != track.id));
    let mut error = ContainerError::NoSound;
    for track in default.into_iter().chain(others) {
        let Some(parameters) = track.codec_params.as_ref().and_then(|parameters| parameters.audio()) else { continue };
        match track_decoder(parameters) {
            Ok(codec) => {
                return Ok(DecodableTrack { id: track.id, codec, length_secs: length_of(track), promised_secs: promise_of(track) });
            }
            Err(why) if matches!(error, ContainerError::NoSound) => error = ContainerError::Track(why),
            Err(_) => {}
        }
    }
    Err(error)
}

/// Returns the decoder of a track, or what its sound is instead.
fn track_decoder(parameters: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, String> {
    if parameters.sample_rate.is_some_and(|rate| Resampler::new(rate).is_err()) {
        return Err("unsupported sample rate".to_owned());
    }
    if parameters.channels.as_ref().is_some_and(|channels| !(1..=MAX_CHANNELS).contains(&channels.count())) {
        return Err("unsupported number of channels".to_owned());
    }
    match parameters.codec {
        codec::CODEC_ID_AAC => {
            let mut core = parameters.clone();
            if let Some(config) = parameters.extra_data.as_deref().and_then(aac::core_config) {
                core.with_extra_data(config);
            }
            make_decoder(&core)
        }
        _ => make_decoder(parameters),
    }
}

fn make_decoder(parameters: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, String> {
    let made = match parameters.codec {
        codec::CODEC_ID_OPUS => OpusPackets::new(parameters).map(|decoder| Box::new(decoder) as Box<dyn AudioDecoder>),
        // Trimmed by the decoder, sound behind a length that is too small would be lost: an estimate, or that of the first of several MP3
        // in one file.
        _ => symphonia::default::get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default().gapless(false)),
    };
    made.map_err(|_| format!("its sound is {}", codec_name(parameters.codec)))
}

/// Returns a duration in units of `base` in seconds.
fn in_secs(duration: Duration, base: TimeBase) -> f64 {
    duration.get() as f64 * f64::from(base.numer.get()) / f64::from(base.denom.get())
}

/// Returns the length of `track` as the container tells it, in seconds.
fn length_of(track: &Track) -> Option<f64> {
    if let (Some(duration), Some(base)) = (track.duration, track.time_base) {
        return Some(in_secs(duration, base));
    }
    let rate_hz = track.codec_params.as_ref()?.audio()?.sample_rate?;
    Some(track.num_frames? as f64 / f64::from(rate_hz))
}

/// Returns the length of all tracks together, in seconds; None where the container does not tell.
fn media_secs(reader: &dyn FormatReader) -> Option<f64> {
    let media = reader.media_info();
    Some(in_secs(media.duration?, media.time_base?))
}

/// Returns the length that the header of `track` promises, in seconds; None where the length is an estimate.
fn promise_of(track: &Track) -> Option<f64> {
    let codec = track.codec_params.as_ref()?.audio()?.codec;
    // The length of MP3 is estimated from the bit rate, unless an encoder wrote it down together with its delay.
    let estimated = matches!(codec, codec::CODEC_ID_MP1 | codec::CODEC_ID_MP2 | codec::CODEC_ID_MP3) && track.delay.is_none();
    if estimated { None } else { length_of(track) }
}
