//! WAV from a stream without seeking, such as stdin. The length in the header may be a placeholder, as from programs that do not
//! know the length in advance (`espeak-ng --stdout`); then the sound lasts to the end of the stream.

use std::io::Read;

use super::resample::Resampler;
use super::{NON_FINITE_SAMPLES, Source, SourceEvent, sanitize};
use crate::error::{Error, ErrorKind, Result};

/// Largest number of bytes that are read at a time.
const BLOCK: usize = 8_192;
/// Largest chunk other than `fmt ` and `data` that is skipped, in bytes; a larger one is an error.
const LONGEST_SKIP: u64 = 64 << 20;
/// Smallest length of a `data` chunk that counts as a placeholder, in bytes; 0 is a placeholder too.
const PLACEHOLDER: u32 = 0x7fff_0000;
/// Accepted lengths of a `fmt ` chunk, in bytes.
const FORMAT_BYTES: std::ops::RangeInclusive<u32> = 16..=1_024;
/// Largest supported number of channels; more means that the header is damaged.
const MAX_CHANNELS: usize = 64;

/// The encoding of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SampleEncoding {
    /// Unsigned 8-bit integer; 128 is silence.
    U8,
    /// Signed 16-bit integer.
    I16,
    /// Signed 24-bit integer.
    I24,
    /// Signed 32-bit integer.
    I32,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
}

impl SampleEncoding {
    /// Returns the size of a sample, in bytes.
    const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Decodes a sample from its little-endian bytes: an integer to -1 ..= 1, a float as it is.
    fn decode(self, b: &[u8]) -> f32 {
        match (self, b) {
            (Self::U8, [a]) => (f32::from(*a) - 128.0) / 128.0,
            (Self::I16, [a, b]) => f32::from(i16::from_le_bytes([*a, *b])) / 32_768.0,
            (Self::I24, [a, b, c]) => (i32::from_le_bytes([0, *a, *b, *c]) >> 8) as f32 / 8_388_608.0,
            (Self::I32, [a, b, c, d]) => i32::from_le_bytes([*a, *b, *c, *d]) as f32 / 2_147_483_648.0,
            (Self::F32, [a, b, c, d]) => f32::from_le_bytes([*a, *b, *c, *d]),
            (Self::F64, [a, b, c, d, e, f, g, h]) => f64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as f32,
            _ => 0.0,
        }
    }
}

/// The format of the samples, as a `fmt ` chunk gives it.
#[derive(Clone, Copy, Debug)]
struct StreamFormat {
    /// Encoding of a sample.
    encoding: SampleEncoding,
    /// Number of channels.
    channels: usize,
    /// Sample rate, in Hz.
    rate_hz: u32,
}

impl StreamFormat {
    /// Returns the size of a frame (one sample of each channel), in bytes.
    const fn frame_bytes(self) -> usize {
        self.encoding.bytes() * self.channels
    }
}

/// A source that decodes WAV from a reader to 16 kHz mono.
pub struct WavStreamSource<R> {
    reader: R,
    name: String,
    format: StreamFormat,
    resampler: Resampler,
    /// Remaining bytes of sound according to the header; None if the length is a placeholder.
    remaining: Option<u64>,
    /// Bytes that are read but not decoded: the first frame, later an incomplete frame.
    bytes: Vec<u8>,
    /// An error to report after the samples in which it was found.
    problem: Option<Error>,
    /// True once NaN or infinite samples have been reported.
    reported_non_finite: bool,
    position: StreamPosition,
}

/// The progress of a [`WavStreamSource`]: in its samples, behind them, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamPosition {
    /// Samples are still to be read.
    InSound,
    /// All samples are delivered; the end of the file is reported next.
    EndOfSound,
    /// The end of the file was reported; the end of the source is next.
    End,
}

impl<R> std::fmt::Debug for WavStreamSource<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavStreamSource").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<R: Read + Send> WavStreamSource<R> {
    /// Reads the header from `reader`. Error messages call the stream `name`.
    ///
    /// # Errors
    /// [`ErrorKind::AudioFile`] when the stream is not WAV, is of an unsupported encoding, or has no sound.
    pub fn new(mut reader: R, name: &str) -> Result<Self> {
        let bad = |why: &str| Error::new(ErrorKind::AudioFile, format!("{name}: {why}"));
        let head = read_exact::<12>(&mut reader).ok_or_else(|| bad("not WAV: the stream is shorter than a header"))?;
        if &head[..4] != b"RIFF" || &head[8..] != b"WAVE" {
            return Err(bad("not WAV"));
        }
        let mut format: Option<StreamFormat> = None;
        loop {
            let chunk = read_exact::<8>(&mut reader).ok_or_else(|| bad(NO_SOUND))?;
            let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
            match &chunk[..4] {
                b"data" => {
                    let format = format.ok_or_else(|| bad("the header has no format"))?;
                    return Self::begin(reader, name, format, length);
                }
                b"fmt " if FORMAT_BYTES.contains(&length) => {
                    let mut body = vec![0; length as usize + (length % 2) as usize];
                    reader.read_exact(&mut body).map_err(|_| bad("the header is truncated"))?;
                    format = Some(read_format(&body).ok_or_else(|| bad("unsupported sample encoding or number of channels"))?);
                }
                _ => {
                    let skip = u64::from(length) + u64::from(length % 2);
                    if skip > LONGEST_SKIP || std::io::copy(&mut (&mut reader).take(skip), &mut std::io::sink()).ok() != Some(skip) {
                        return Err(bad("the header is damaged"));
                    }
                }
            }
        }
    }

    /// Creates the source at the start of a `data` chunk of `length` bytes. Reads the first frame, so that a stream without
    /// sound fails before listening begins.
    fn begin(mut reader: R, name: &str, format: StreamFormat, length: u32) -> Result<Self> {
        let no_sound = || Error::new(ErrorKind::AudioFile, format!("{name}: {NO_SOUND}"));
        let resampler = Resampler::new(format.rate_hz).map_err(|e| e.while_doing(name))?;
        let mut bytes = vec![0; format.frame_bytes()];
        let remaining = match length {
            0 | PLACEHOLDER.. => None,
            length => Some(u64::from(length).checked_sub(bytes.len() as u64).ok_or_else(no_sound)?),
        };
        reader.read_exact(&mut bytes).map_err(|_| no_sound())?;
        let (name, problem, position) = (name.to_owned(), None, StreamPosition::InSound);
        Ok(Self { reader, name, format, resampler, remaining, bytes, problem, reported_non_finite: false, position })
    }
}

/// Error text for a stream without a frame of sound.
const NO_SOUND: &str = "the stream contains no sound";

impl<R: Read + Send> Source for WavStreamSource<R> {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        if let Some(problem) = self.problem.take() {
            return Ok(SourceEvent::Problem(problem));
        }
        match self.position {
            StreamPosition::InSound => {}
            StreamPosition::EndOfSound => {
                self.position = StreamPosition::End;
                return Ok(SourceEvent::EndOfFile);
            }
            StreamPosition::End => return Ok(SourceEvent::End),
        }
        let before = out.len();
        let mut block = [0; BLOCK];
        let wanted = self.remaining.map_or(BLOCK, |remaining| remaining.min(BLOCK as u64) as usize);
        let got = match self.reader.read(&mut block[..wanted]) {
            Ok(got) => got,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => return Ok(SourceEvent::Nothing),
            Err(e) => {
                self.problem = Some(Error::new(ErrorKind::AudioFile, format!("{}: {e}", self.name)));
                0
            }
        };
        self.remaining = self.remaining.map(|remaining| remaining - got as u64);
        self.bytes.extend_from_slice(&block[..got]);
        let mono = self.decode_whole_frames();
        self.resampler.step(&mono, out)?;
        if got == 0 {
            self.position = StreamPosition::EndOfSound;
            self.resampler.finish(out)?;
        }
        Ok(SourceEvent::Samples(out.len() - before))
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl<R> WavStreamSource<R> {
    /// Removes the whole frames from the buffer `bytes`, and returns them decoded and mixed to mono, at the stream's sample rate.
    fn decode_whole_frames(&mut self) -> Vec<f32> {
        let StreamFormat { encoding, channels, .. } = self.format;
        let whole = self.bytes.len() - self.bytes.len() % self.format.frame_bytes();
        let mut all_finite = true;
        let sample = |bytes: &[u8]| {
            let sample = encoding.decode(bytes);
            all_finite &= sample.is_finite();
            sanitize(sample)
        };
        let samples: Vec<f32> = self.bytes[..whole].chunks_exact(encoding.bytes()).map(sample).collect();
        self.bytes.drain(..whole);
        if !all_finite && !self.reported_non_finite {
            self.reported_non_finite = true;
            self.problem.get_or_insert_with(|| Error::new(ErrorKind::AudioFile, format!("{}: {NON_FINITE_SAMPLES}", self.name)));
        }
        samples.chunks_exact(channels).map(|frame| sanitize(frame.iter().sum::<f32>() / channels as f32)).collect()
    }
}

fn read_exact<const N: usize>(reader: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).ok().map(|()| bytes)
}

/// Parses a `fmt ` chunk; None if it is incomplete or the format is not supported.
fn read_format(body: &[u8]) -> Option<StreamFormat> {
    let short = |at: usize| body.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let mut tag = short(0)?;
    if tag == EXTENSIBLE {
        // The tag is at the start of the sub-format.
        tag = short(24)?;
    }
    let channels = usize::from(short(2)?);
    let rate_hz = body.get(4..8).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))?;
    let encoding = match (tag, short(14)?) {
        (PCM, 8) => SampleEncoding::U8,
        (PCM, 16) => SampleEncoding::I16,
        (PCM, 24) => SampleEncoding::I24,
        (PCM, 32) => SampleEncoding::I32,
        (FLOAT, 32) => SampleEncoding::F32,
        (FLOAT, 64) => SampleEncoding::F64,
        _ => return None,
    };
    (1..=MAX_CHANNELS).contains(&channels).then_some(StreamFormat { encoding, channels, rate_hz })
}

/// Format tag of integer samples in a `fmt ` chunk.
const PCM: u16 = 1;
/// Format tag of float samples in a `fmt ` chunk.
const FLOAT: u16 = 3;
/// Format tag `WAVE_FORMAT_EXTENSIBLE` of a `fmt ` chunk: the actual tag begins the sub-format.
const EXTENSIBLE: u16 = 0xfffe;
