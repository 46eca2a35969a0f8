//! The header of WAV in all its kinds: RIFF, RF64, BW64 and Sony Wave64, from a file or a stream, with lengths that are right, zero,
//! placeholders, too small, or wrapped at 4 GB. What recorders, crashes and pipes leave is heard to its end.

use std::io::{self, Read};
use std::num::NonZero;

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known as codec;

use super::blocks::{Behind, BlockBytes, BlockLayout, BlockReader, Extent};
use crate::audio::mix::MAX_CHANNELS;

/// Smallest length of a `data` chunk that counts as a placeholder in a stream, in bytes; 0 is a placeholder too.
const PLACEHOLDER: u64 = 0x7fff_0000;
/// A length that says that the real one stands in the chunk `ds64`.
const IN_DS64: u64 = 0xffff_ffff;
/// Largest chunk other than `data` that is skipped in a stream, in bytes; a larger one is damage.
const LONGEST_SKIP: u64 = 64 << 20;
/// Accepted lengths of a `fmt ` chunk, in bytes.
const FORMAT_BYTES: std::ops::RangeInclusive<u64> = 14..=1_024;
/// Format tag `WAVE_FORMAT_EXTENSIBLE` of a `fmt ` chunk: the actual tag begins the sub-format.
const EXTENSIBLE: u16 = 0xfffe;
/// The last twelve bytes of the name of each chunk of Wave64.
const W64_TAIL: [u8; 12] = [0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0x00, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a];
/// The last twelve bytes of the name of a file of Wave64.
const W64_RIFF_TAIL: [u8; 12] = [0x2e, 0x91, 0xcf, 0x11, 0xa5, 0xd6, 0x28, 0xdb, 0x04, 0xc1, 0x00, 0x00];

/// The sound of a WAV.
pub(super) enum WavSound {
    /// Blocks that are decoded as they lie.
    Blocks(BlockReader),
    /// MP2 or MP3, from the present place of the bytes on.
    Mpeg(BlockBytes),
}

/// Returns true if `head` begins a WAV of any kind.
pub(super) fn is_wav(head: &[u8]) -> bool {
    match head {
        [b'R', b'I', b'F', b'F', ..] | [b'R', b'F', b'6', b'4', ..] | [b'B', b'W', b'6', b'4', ..] => head.get(8..12) == Some(b"WAVE"),
        [b'r', b'i', b'f', b'f', tail @ ..] => tail.starts_with(&W64_RIFF_TAIL),
        _ => false,
    }
}

/// The way in which chunks are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkForm {
    /// A name of four bytes and a length of 32 bits.
    Riff,
    /// A name of sixteen bytes and a length of 64 bits that counts itself.
    Wave64,
}

/// Reads the header and returns the sound behind it.
///
/// # Errors
/// A text that says what is wrong.
pub(super) fn open(mut bytes: BlockBytes) -> Result<WavSound, String> {
    let damaged = || "the header is damaged".to_owned();
    let head = read_exact::<12>(&mut bytes).ok_or_else(damaged)?;
    let form = if &head[..4] == b"riff" {
        // The rest of the name, the length, and the name WAVE.
        skip(&mut bytes, 16 + 8 + 16 - 12).ok_or_else(damaged)?;
        ChunkForm::Wave64
    } else {
        ChunkForm::Riff
    };
    let (mut format, mut data_bytes) = (None, None);
    loop {
        let (name, length) = chunk_header(&mut bytes, form).ok_or("there is no sound in it")?;
        let padding = match form {
            ChunkForm::Riff => length % 2,
            ChunkForm::Wave64 => (8 - length % 8) % 8,
        };
        match &name {
            b"data" => {
                let format: WavFormat = format.ok_or("its header names no format")?;
                let length = if length == IN_DS64 { data_bytes.unwrap_or(length) } else { length };
                return sound(bytes, format, length, form);
            }
            b"fmt " if FORMAT_BYTES.contains(&length) => {
                let body = read_vec(&mut bytes, length + padding).ok_or_else(damaged)?;
                format = Some(read_format(&body)?);
            }
            b"ds64" if (24..=LONGEST_SKIP).contains(&length) => {
                let body = read_vec(&mut bytes, length + padding).ok_or_else(damaged)?;
                data_bytes = body.get(8..16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
            }
            _ => {
                if length > LONGEST_SKIP {
                    return Err(damaged());
                }
                skip(&mut bytes, length + padding).ok_or("there is no sound in it")?;
            }
        }
    }
}

fn sound(mut bytes: BlockBytes, format: WavFormat, length: u64, form: ChunkForm) -> Result<WavSound, String> {
    let WavFormat::Blocks(layout) = format else { return Ok(WavSound::Mpeg(bytes)) };
    let extent = extent_of(&mut bytes, length);
    let behind = if form == ChunkForm::Riff { Behind::WavChunks } else { Behind::Nothing };
    Ok(WavSound::Blocks(BlockReader::new(bytes, layout, extent, behind)))
}

/// Returns how much sound follows the header of a `data` chunk that says `length` bytes.
fn extent_of(bytes: &mut BlockBytes, length: u64) -> Extent {
    let Some(left) = bytes.left() else {
        // A stream: programs that do not know the length in advance write 0 or a huge number.
        return if length == 0 || length >= PLACEHOLDER { Extent::ToEnd } else { Extent::Bytes(length) };
    };
    if length >= left {
        return if length >= PLACEHOLDER { Extent::ToEnd } else { Extent::Bytes(length) };
    }
    // The file goes on: with a chunk if the length is right; else the length was never written, or was wrapped.
    let room = left - length;
    let next = bytes.peek(length + length % 2).unwrap_or_default();
    if room <= 1 || is_chunk(&next, Some(room)) || is_tag(&next) { Extent::Bytes(length) } else { Extent::ToEnd }
}

/// The sound behind its announced end.
pub(super) enum NextSound {
    /// Nothing that is heard.
    None,
    /// Another chunk with sound.
    Chunk(Extent),
    /// Sound that no header announces; these bytes of it were read.
    Unannounced(Vec<u8>),
}

/// Looks for more sound at the present place of `bytes`, which is the end of a `data` chunk.
///
/// # Errors
/// When the bytes cannot be read.
pub(super) fn next_sound(bytes: &mut BlockBytes) -> io::Result<NextSound> {
    loop {
        let left = bytes.left();
        let mut header = Vec::new();
        bytes.by_ref().take(8).read_to_end(&mut header)?;
        if let [0, rest @ ..] = &header[..]
            && rest.len() == 7
            && is_known(rest)
        {
            // The sound had an odd number of bytes: a byte of padding comes first.
            header.remove(0);
            bytes.by_ref().take(1).read_to_end(&mut header)?;
        }
        if header.len() < 8 || is_tag(&header) {
            return Ok(NextSound::None);
        }
        if !is_chunk(&header, left.or(Some(LONGEST_SKIP))) {
            return Ok(NextSound::Unannounced(header));
        }
        let length = u64::from(u32::from_le_bytes([header[4], header[5], header[6], header[7]]));
        if header.starts_with(b"data") {
            return Ok(NextSound::Chunk(extent_of(bytes, length)));
        }
        if skip(bytes, length + length % 2).is_none() {
            return Ok(NextSound::None);
        }
    }
}

/// Returns true if `header` begins a chunk of at most `room` bytes; chunks that are known may be cut off.
fn is_chunk(header: &[u8], room: Option<u64>) -> bool {
    let [a, b, c, d, length @ ..] = header else { return false };
    let Ok(length) = <[u8; 4]>::try_from(length).map(u32::from_le_bytes) else { return false };
    let named = a.is_ascii_graphic() && [b, c, d].iter().all(|byte| byte.is_ascii_graphic() || **byte == b' ');
    is_known(header) || named && room.is_none_or(|room| u64::from(length) + 8 <= room + 1)
}

/// Returns true if `header` begins with the name of a chunk that recorders write behind the sound.
fn is_known(header: &[u8]) -> bool {
    [b"LIST", b"data", b"bext", b"iXML", b"fact", b"cue ", b"JUNK", b"PEAK", b"smpl"].iter().any(|name| header.starts_with(*name))
}

/// Returns true if `header` begins a tag that music programs append to a file.
fn is_tag(header: &[u8]) -> bool {
    [&b"TAG"[..], b"ID3", b"id3 ", b"APETAGEX"].iter().any(|tag| header.starts_with(tag))
}

fn chunk_header(bytes: &mut BlockBytes, form: ChunkForm) -> Option<([u8; 4], u64)> {
    match form {
        ChunkForm::Riff => {
            let [a, b, c, d, length @ ..] = read_exact::<8>(bytes)?;
            Some(([a, b, c, d], u64::from(u32::from_le_bytes(length))))
        }
        ChunkForm::Wave64 => {
            let [a, b, c, d, tail @ ..] = read_exact::<16>(bytes)?;
            let length = u64::from_le_bytes(read_exact::<8>(bytes)?);
            let name = if tail == W64_TAIL { [a, b, c, d] } else { *b"\0\0\0\0" };
            // The length counts name and length; 0 is a placeholder.
            Some((name, if length == 0 { 0 } else { length.checked_sub(24)? }))
        }
    }
}

/// The format of the sound, as a `fmt ` chunk gives it.
#[derive(Clone, Copy, Debug)]
enum WavFormat {
    Blocks(BlockLayout),
    Mpeg,
}

/// Parses a `fmt ` chunk.
fn read_format(body: &[u8]) -> Result<WavFormat, String> {
    let cut = "the header is damaged";
    let short = |at: usize| body.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let mut tag = short(0).ok_or(cut)?;
    if tag == EXTENSIBLE {
        tag = short(24).ok_or(cut)?;
    }
    let channels = short(2).ok_or(cut)?;
    let rate_hz = body.get(4..8).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).ok_or(cut)?;
    let block_bytes = short(12).ok_or(cut)?;
    if !(1..=MAX_CHANNELS).contains(&usize::from(channels)) {
        return Err("unsupported number of channels".to_owned());
    }
    let block = |codec: AudioCodecId, bytes: u16, frames: u16| match (NonZero::new(bytes), NonZero::new(frames)) {
        (Some(block_bytes), Some(frames_per_block)) => {
            Ok(WavFormat::Blocks(BlockLayout { codec, rate_hz, channels, block_bytes, frames_per_block }))
        }
        _ => Err(cut.to_owned()),
    };
    // Samples of 12 or 20 bits lie in whole bytes, the low bits are zero.
    let sample_bytes = short(14).map_or(block_bytes / channels, |bits| bits.div_ceil(8));
    let pcm = |codec: AudioCodecId| block(codec, sample_bytes.saturating_mul(channels), 1);
    // An ADPCM block holds its first samples in its header, and two more in each byte.
    let adpcm = |codec: AudioCodecId, header: u16, first: u16| {
        let coded = block_bytes.checked_sub(header.saturating_mul(channels)).ok_or(cut)?;
        block(codec, block_bytes, coded.saturating_mul(2) / channels + first)
    };
    match (tag, sample_bytes) {
        (1, 1) => pcm(codec::CODEC_ID_PCM_U8),
        (1, 2) => pcm(codec::CODEC_ID_PCM_S16LE),
        (1, 3) => pcm(codec::CODEC_ID_PCM_S24LE),
        (1, 4) => pcm(codec::CODEC_ID_PCM_S32LE),
        (3, 4) => pcm(codec::CODEC_ID_PCM_F32LE),
        (3, 8) => pcm(codec::CODEC_ID_PCM_F64LE),
        (6, _) => block(codec::CODEC_ID_PCM_ALAW, channels, 1),
        (7, _) => block(codec::CODEC_ID_PCM_MULAW, channels, 1),
        (2, _) => adpcm(codec::CODEC_ID_ADPCM_MS, 7, 2),
        (0x11, _) => adpcm(codec::CODEC_ID_ADPCM_IMA_WAV, 4, 1),
        (0x50 | 0x55, _) => Ok(WavFormat::Mpeg),
        (tag, _) => Err(format!("its sound is {}", codec_name(tag, sample_bytes))),
    }
}

/// Returns the name of a format tag that is not decoded.
fn codec_name(tag: u16, sample_bytes: u16) -> String {
    let name = match tag {
        1 => return format!("PCM of {} bits", 8 * u32::from(sample_bytes)),
        3 => return format!("float PCM of {} bits", 8 * u32::from(sample_bytes)),
        0x22 => "TrueSpeech",
        0x31 | 0x32 => "GSM 6.10",
        0x40 | 0x45 | 0x64 => "G.721, G.726 or G.723 ADPCM",
        0x65 => "G.722",
        0x83 => "G.729",
        0x0092 | 0x2000 => "AC-3",
        0x00ff | 0x1600..=0x1610 => "AAC in WAV",
        0x0160..=0x0163 => "Windows Media Audio",
        0x0270 => "ATRAC3",
        0x2001 => "DTS",
        _ => return format!("of an unknown kind (format {tag:#06x})"),
    };
    name.to_owned()
}

fn read_exact<const N: usize>(reader: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).ok().map(|()| bytes)
}

fn read_vec(reader: &mut impl Read, count: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(count).read_to_end(&mut bytes).ok()?;
    (read as u64 == count || read as u64 + 1 == count).then_some(bytes)
}

/// Skips `count` bytes; None if there are fewer.
fn skip(reader: &mut impl Read, count: u64) -> Option<()> {
    (io::copy(&mut reader.by_ref().take(count), &mut io::sink()).ok()? == count).then_some(())
}
