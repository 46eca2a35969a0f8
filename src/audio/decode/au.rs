//! The header of AU, the form of Sun and NeXT, which programs also write to pipes: `.snd`, then six numbers of 32 bits.

use std::num::NonZero;

use symphonia::core::codecs::audio::well_known as codec;

use super::blocks::{Behind, BlockBytes, BlockLayout, BlockReader, Extent};
use crate::audio::mix::MAX_CHANNELS;

/// Length of the header without its annotation, in bytes.
const HEADER_BYTES: usize = 24;
/// Largest offset of the sound, in bytes; a larger one is damage.
const LONGEST_HEADER: u32 = 1 << 20;
/// A length that is not known.
const UNKNOWN: u32 = u32::MAX;

/// Returns true if `head` begins an AU file.
pub(super) fn is_au(head: &[u8]) -> bool {
    head.starts_with(b".snd")
}

/// Reads the header and returns the sound behind it.
///
/// # Errors
/// A text that says what is wrong.
pub(super) fn open(mut bytes: BlockBytes) -> Result<BlockReader, String> {
    use std::io::Read;
    let damaged = |_| "the header is damaged".to_owned();
    let mut header = [0; HEADER_BYTES];
    bytes.read_exact(&mut header).map_err(damaged)?;
    let number = |i: usize| u32::from_be_bytes([header[4 * i], header[4 * i + 1], header[4 * i + 2], header[4 * i + 3]]);
    let [offset, length, encoding, rate_hz, channels] = [1, 2, 3, 4, 5].map(number);
    if !(HEADER_BYTES as u32..=LONGEST_HEADER).contains(&offset) {
        return Err("the header is damaged".to_owned());
    }
    std::io::copy(&mut bytes.by_ref().take(u64::from(offset) - HEADER_BYTES as u64), &mut std::io::sink()).map_err(damaged)?;
    let (codec, sample_bytes) = match encoding {
        1 => (codec::CODEC_ID_PCM_MULAW, 1),
        2 => (codec::CODEC_ID_PCM_S8, 1),
        3 => (codec::CODEC_ID_PCM_S16BE, 2),
        4 => (codec::CODEC_ID_PCM_S24BE, 3),
        5 => (codec::CODEC_ID_PCM_S32BE, 4),
        6 => (codec::CODEC_ID_PCM_F32BE, 4),
        7 => (codec::CODEC_ID_PCM_F64BE, 8),
        27 => (codec::CODEC_ID_PCM_ALAW, 1),
        23..=26 => return Err("its sound is G.721, G.722 or G.723 ADPCM".to_owned()),
        _ => return Err(format!("its sound is of an unknown kind (encoding {encoding})")),
    };
    let channels = u16::try_from(channels).ok().filter(|count| (1..=MAX_CHANNELS).contains(&usize::from(*count)));
    let channels = channels.ok_or("unsupported number of channels")?;
    let block_bytes = NonZero::new(sample_bytes * channels).ok_or("unsupported number of channels")?;
    let layout = BlockLayout { codec, rate_hz, channels, block_bytes, frames_per_block: NonZero::<u16>::MIN };
    let extent = if length == UNKNOWN || length == 0 { Extent::ToEnd } else { Extent::Bytes(u64::from(length)) };
    Ok(BlockReader::new(bytes, layout, extent, Behind::Nothing))
}
