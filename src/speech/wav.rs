//! Decodes the WAV that voice programs write to a pipe: 16-bit PCM, with lengths that may be placeholders.

use std::io::{self, Read};

/// Largest chunk before the sound that is skipped, in bytes; a larger one is an error.
const LONGEST_SKIP: u32 = 1 << 16;
/// Format tag of integer samples in a `fmt ` chunk.
const PCM: u16 = 1;
/// Format tag `WAVE_FORMAT_EXTENSIBLE` of a `fmt ` chunk; with 16 bits the samples are integers too.
const EXTENSIBLE: u16 = 0xfffe;
/// Accepted numbers of channels.
const CHANNELS: std::ops::RangeInclusive<u16> = 1..=8;
/// Accepted sample rates, in Hz.
const RATES_HZ: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// The format of 16-bit PCM sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PcmFormat {
    /// Sample rate, in Hz.
    pub(super) rate_hz: u32,
    /// Number of channels.
    pub(super) channels: u16,
}

/// Reads WAV from `reader` up to the first sample and returns the format.
///
/// # Errors
/// `InvalidData` when the stream is not WAV with 16-bit samples; `UnexpectedEof` when it ends before the first sample.
pub(super) fn read_header(reader: &mut impl Read) -> io::Result<PcmFormat> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut head = [0; 12];
    reader.read_exact(&mut head)?;
    if &head[..4] != b"RIFF" || &head[8..] != b"WAVE" {
        return Err(invalid("the output is not WAV"));
    }
    let mut format = None;
    loop {
        let mut chunk = [0; 8];
        reader.read_exact(&mut chunk)?;
        let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        if &chunk[..4] == b"data" {
            return format.ok_or_else(|| invalid("the WAV header has no format"));
        }
        if length > LONGEST_SKIP {
            return Err(invalid("the WAV header is damaged"));
        }
        let mut body = vec![0; (length + length % 2) as usize];
        reader.read_exact(&mut body)?;
        if &chunk[..4] == b"fmt " {
            let word = |at: usize| body.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
            let rate_hz = body.get(4..8).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let (channels, bits) = (word(2), word(14));
            if !matches!(word(0), PCM | EXTENSIBLE) || bits != 16 || !CHANNELS.contains(&channels) || !RATES_HZ.contains(&rate_hz) {
                return Err(invalid("the WAV output is not 16-bit PCM"));
            }
            format = Some(PcmFormat { rate_hz, channels });
        }
    }
}

/// Decodes the whole frames in `bytes`, mixes them to mono and appends the samples to `out`. Returns the number of bytes decoded.
pub(super) fn decode_samples(bytes: &[u8], channels: u16, out: &mut Vec<f32>) -> usize {
    let frame = 2 * usize::from(channels.max(1));
    let frames = bytes.chunks_exact(frame);
    let used = bytes.len() - frames.remainder().len();
    out.extend(frames.map(|frame| {
        let sum: i32 = frame.chunks_exact(2).map(|b| i32::from(i16::from_le_bytes([b[0], b[1]]))).sum();
        sum as f32 / (32_768.0 * f32::from(channels.max(1)))
    }));
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(format: u16, bits: u16, rate: u32) -> Vec<u8> {
        let mut wav = b"RIFF\xff\xff\xff\x7fWAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        for word in [format, 1] {
            wav.extend(word.to_le_bytes());
        }
        wav.extend(rate.to_le_bytes());
        wav.extend([0; 4]);
        wav.extend(2_u16.to_le_bytes());
        wav.extend(bits.to_le_bytes());
        wav.extend(b"data\0\xf0\xff\x7f");
        wav
    }

    #[test]
    fn placeholder_lengths_are_accepted_and_other_formats_are_refused() {
        assert_eq!(read_header(&mut &header(1, 16, 22_050)[..]).unwrap(), PcmFormat { rate_hz: 22_050, channels: 1 });
        for damaged in [header(3, 32, 22_050), header(1, 16, 0), b"RIFF".to_vec(), b"not a wav at all, but text".to_vec(), Vec::new()] {
            assert!(read_header(&mut &damaged[..]).is_err());
        }
    }

    #[test]
    fn incomplete_frame_is_not_decoded() {
        let mut out = Vec::new();
        assert_eq!(decode_samples(&[0, 64, 0, 192, 7], 1, &mut out), 4);
        assert_eq!(decode_samples(&[0, 64, 0, 192], 2, &mut out), 4);
        assert_eq!(out, [0.5, -0.5, 0.0]);
    }
}
