//! The reading of recordings that do not say themselves what they are, or that are not decoded: the form of sound without a header,
//! as `--raw` names it, and the permission to use ffmpeg.

/// The way in which recordings are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Form of sound without a header; None: each recording says itself.
    pub raw: Option<RawFormat>,
    /// Treatment of a recording that is not decoded.
    pub conversion: Conversion,
}

/// The treatment of a recording that Hearken does not decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conversion {
    /// It is refused.
    #[default]
    Never,
    /// ffmpeg decodes it.
    Ffmpeg,
}

/// The form of sound that lies in a file or stream without a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFormat {
    /// Encoding of a sample.
    pub encoding: RawEncoding,
    /// Sample rate, in Hz.
    pub rate_hz: u32,
    /// Number of channels, interleaved.
    pub channels: u16,
}

/// The encoding of a sample without a header, by the names of ffmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawEncoding {
    /// Signed 8-bit integer.
    S8,
    /// Unsigned 8-bit integer.
    U8,
    /// Signed 16-bit integer, low byte first.
    S16Le,
    /// Signed 16-bit integer, high byte first.
    S16Be,
    /// Signed 24-bit integer, low byte first.
    S24Le,
    /// Signed 24-bit integer, high byte first.
    S24Be,
    /// Signed 32-bit integer, low byte first.
    S32Le,
    /// Signed 32-bit integer, high byte first.
    S32Be,
    /// 32-bit float, low byte first.
    F32Le,
    /// 32-bit float, high byte first.
    F32Be,
    /// 64-bit float, low byte first.
    F64Le,
    /// 64-bit float, high byte first.
    F64Be,
    /// A-law, 8 bits.
    ALaw,
    /// µ-law, 8 bits.
    MuLaw,
}

/// Sample rate and channels where only the encoding is named.
const DEFAULT_RATE_HZ: u32 = 16_000;
const DEFAULT_CHANNELS: u16 = 1;
/// Largest sample rate, in Hz, and number of channels.
const MAX_RATE_HZ: u32 = 768_000;
const MAX_CHANNELS: u16 = 64;
/// Error text for anything else.
const EXPECTED: &str = "expected ENCODING,RATE,CHANNELS such as s16le,16000,1; encodings: \
    s8 u8 s16le s16be s24le s24be s32le s32be f32le f32be f64le f64be alaw mulaw";

impl RawFormat {
    /// Reads a form such as `s16le,16000,1`; rate and channels may be left out.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let encoding = parts.next().and_then(RawEncoding::parse);
        let rate_hz = parts.next().map_or(Some(DEFAULT_RATE_HZ), |rate| rate.parse().ok());
        let channels = parts.next().map_or(Some(DEFAULT_CHANNELS), |count| count.parse().ok());
        match (encoding, rate_hz, channels, parts.next()) {
            (Some(encoding), Some(rate_hz @ 1_000..=MAX_RATE_HZ), Some(channels @ 1..=MAX_CHANNELS), None) => {
                Ok(Self { encoding, rate_hz, channels })
            }
            _ => Err(EXPECTED.to_owned()),
        }
    }
}

impl RawEncoding {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "s8" => Self::S8,
            "u8" => Self::U8,
            "s16le" | "s16" => Self::S16Le,
            "s16be" => Self::S16Be,
            "s24le" | "s24" => Self::S24Le,
            "s24be" => Self::S24Be,
            "s32le" | "s32" => Self::S32Le,
            "s32be" => Self::S32Be,
            "f32le" | "f32" => Self::F32Le,
            "f32be" => Self::F32Be,
            "f64le" | "f64" => Self::F64Le,
            "f64be" => Self::F64Be,
            "alaw" => Self::ALaw,
            "mulaw" | "ulaw" => Self::MuLaw,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_names_encoding_rate_and_channels() {
        let form = |encoding, rate_hz, channels| Ok(RawFormat { encoding, rate_hz, channels });
        assert_eq!(RawFormat::parse("s16le,44100,2"), form(RawEncoding::S16Le, 44_100, 2));
        assert_eq!(RawFormat::parse("f32, 48000"), form(RawEncoding::F32Le, 48_000, 1));
        assert_eq!(RawFormat::parse("ULAW"), form(RawEncoding::MuLaw, 16_000, 1));
        for wrong in ["", "16000", "s16le,0,1", "s16le,16000,0", "s16le,16000,65", "s16le,16000,1,1", "s16le,-1", "mp3"] {
            assert!(RawFormat::parse(wrong).unwrap_err().contains("s16le,16000,1"), "{wrong}");
        }
    }
}
