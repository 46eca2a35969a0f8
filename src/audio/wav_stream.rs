//! WAV as a stream that cannot be sought, such as stdin. Length fields may be placeholders, as programs write that do not
//! know the length yet (`espeak-ng --stdout`): then the sound goes on to the end.

use std::io::Read;

use super::resample::Resampler;
use super::{NO_NUMBERS, Source, SourceEvent, tame};
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are read at a time.
const BLOCK: usize = 8_192;
/// Bytes of an unknown header chunk that are skipped at most.
const LONGEST_SKIP: u64 = 64 << 20;

/// How samples are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    U8,
    I16,
    I24,
    I32,
    F32,
    F64,
}

impl Stored {
    const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn read(self, b: &[u8]) -> f32 {
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

/// WAV from a reader.
pub struct WavStreamSource<R> {
    reader: R,
    name: String,
    stored: Stored,
    channels: usize,
    resampler: Resampler,
    /// Bytes of sound that are left by the header; None when it does not know.
    left: Option<u64>,
    /// Read and not yet heard: the first frame, then what is left of one that was cut by the end of a block.
    bytes: Vec<u8>,
    /// What is to be reported, after the samples it was found in.
    trouble: Option<Error>,
    /// Whether samples that are no numbers have been reported: once is enough.
    no_numbers: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sound,
    Ended,
    Over,
}

impl<R> std::fmt::Debug for WavStreamSource<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavStreamSource").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<R: Read + Send> WavStreamSource<R> {
    /// Reads the header from `reader`; `name` is how it is called in messages.
    ///
    /// # Errors
    /// When it is not WAV, or of a form that is not read.
    pub fn new(mut reader: R, name: &str) -> Result<Self> {
        let bad = |why: &str| Error::new(ErrorKind::AudioFile, format!("{name}: {why}"));
        let head = read_exact::<12>(&mut reader).ok_or_else(|| bad("not WAV: it ends before a header"))?;
        if &head[..4] != b"RIFF" || &head[8..] != b"WAVE" {
            return Err(bad("not WAV"));
        }
        let mut format: Option<(Stored, usize, u32)> = None;
        loop {
            let chunk = read_exact::<8>(&mut reader).ok_or_else(|| bad("there is no sound in it"))?;
            let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
            match &chunk[..4] {
                b"data" => {
                    let (stored, channels, rate_hz) = format.ok_or_else(|| bad("its header does not say how the sound is stored"))?;
                    let left = if matches!(length, 0 | 0x7fff_0000..) { None } else { Some(u64::from(length)) };
                    let resampler = Resampler::new(rate_hz).map_err(|e| e.while_doing(name))?;
                    // One frame is read now, so that a stream without sound is an error before listening begins.
                    let mut bytes = vec![0; stored.bytes() * channels];
                    let left = match left.map(|left| left.checked_sub(bytes.len() as u64)) {
                        Some(None) => return Err(bad("there is no sound in it")),
                        left => left.flatten(),
                    };
                    reader.read_exact(&mut bytes).map_err(|_| bad("there is no sound in it"))?;
                    let (name, state) = (name.to_owned(), State::Sound);
                    return Ok(Self { reader, name, stored, channels, resampler, left, bytes, trouble: None, no_numbers: false, state });
                }
                b"fmt " if (16..=1_024).contains(&length) => {
                    let mut body = vec![0; length as usize + (length % 2) as usize];
                    reader.read_exact(&mut body).map_err(|_| bad("its header is cut off"))?;
                    format = Some(read_format(&body).ok_or_else(|| bad("its sound is stored in a way that Hearken does not read"))?);
                }
                _ => {
                    let skip = u64::from(length) + u64::from(length % 2);
                    if skip > LONGEST_SKIP || std::io::copy(&mut (&mut reader).take(skip), &mut std::io::sink()).ok() != Some(skip) {
                        return Err(bad("its header is damaged"));
                    }
                }
            }
        }
    }
}

impl<R: Read + Send> Source for WavStreamSource<R> {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        if let Some(trouble) = self.trouble.take() {
            return Ok(SourceEvent::Problem(trouble));
        }
        match self.state {
            State::Sound => {}
            State::Ended => {
                self.state = State::Over;
                return Ok(SourceEvent::EndOfFile);
            }
            State::Over => return Ok(SourceEvent::End),
        }
        let before = out.len();
        let mut block = [0; BLOCK];
        let room = self.left.map_or(BLOCK, |left| left.min(BLOCK as u64) as usize);
        let got = match self.reader.read(&mut block[..room]) {
            Ok(got) => got,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => return Ok(SourceEvent::Nothing),
            Err(e) => {
                self.trouble = Some(Error::new(ErrorKind::AudioFile, format!("{}: {e}", self.name)));
                0
            }
        };
        self.left = self.left.map(|left| left - got as u64);
        self.bytes.extend_from_slice(&block[..got]);
        let mono = self.whole_frames();
        self.resampler.step(&mono, out)?;
        if got == 0 {
            self.state = State::Ended;
            self.resampler.finish(out)?;
        }
        Ok(SourceEvent::Samples(out.len() - before))
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl<R> WavStreamSource<R> {
    /// Takes the whole frames out of `bytes` and mixes each to one sample.
    fn whole_frames(&mut self) -> Vec<f32> {
        let frame = self.stored.bytes() * self.channels;
        let whole = self.bytes.len() / frame * frame;
        let (stored, scale) = (self.stored, self.channels as f32);
        let mut all_numbers = true;
        let sample = |bytes: &[u8]| {
            let sample = stored.read(bytes);
            all_numbers &= sample.is_finite();
            tame(sample)
        };
        let samples: Vec<f32> = self.bytes[..whole].chunks_exact(stored.bytes()).map(sample).collect();
        self.bytes.drain(..whole);
        if !all_numbers && !self.no_numbers {
            self.no_numbers = true;
            self.trouble.get_or_insert_with(|| Error::new(ErrorKind::AudioFile, format!("{}: {NO_NUMBERS}", self.name)));
        }
        samples.chunks_exact(self.channels).map(|frame| tame(frame.iter().sum::<f32>() / scale)).collect()
    }
}

fn read_exact<const N: usize>(reader: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).ok().map(|()| bytes)
}

/// Storage, channels and rate of a `fmt ` chunk.
fn read_format(body: &[u8]) -> Option<(Stored, usize, u32)> {
    let short = |at: usize| body.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let mut tag = short(0)?;
    if tag == 0xfffe {
        // WAVE_FORMAT_EXTENSIBLE: the tag is the beginning of the sub-format.
        tag = short(24)?;
    }
    let channels = usize::from(short(2)?);
    let rate_hz = body.get(4..8).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))?;
    let stored = match (tag, short(14)?) {
        (1, 8) => Stored::U8,
        (1, 16) => Stored::I16,
        (1, 24) => Stored::I24,
        (1, 32) => Stored::I32,
        (3, 32) => Stored::F32,
        (3, 64) => Stored::F64,
        _ => return None,
    };
    (1..=64).contains(&channels).then_some((stored, channels, rate_hz))
}
