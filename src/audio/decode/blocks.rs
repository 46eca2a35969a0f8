//! Sound that lies in blocks of one size: PCM, A-law, µ-law and ADPCM, in WAV, AU or without a header.

use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZero;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

use super::origin::{ByteStream, Section};
use super::wav;

/// Number of bytes that are read at a time, at most.
const READ_BYTES: usize = 8_192;

/// The layout of the blocks, and the codec inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockLayout {
    /// Codec of a block.
    pub(super) codec: AudioCodecId,
    /// Sample rate, in Hz.
    pub(super) rate_hz: u32,
    /// Number of channels.
    pub(super) channels: u16,
    /// Size of a block with all its channels, in bytes.
    pub(super) block_bytes: NonZero<u16>,
    /// Number of samples of each channel in a block; 1 except with ADPCM.
    pub(super) frames_per_block: NonZero<u16>,
}

impl BlockLayout {
    /// Returns the layout as symphonia's decoders want it.
    pub(super) fn codec_parameters(&self) -> AudioCodecParameters {
        let mut parameters = AudioCodecParameters::new();
        let blocks = READ_BYTES / usize::from(self.block_bytes.get()) + 1;
        parameters
            .for_codec(self.codec)
            .with_sample_rate(self.rate_hz)
            .with_channels(Channels::Discrete(self.channels))
            .with_frames_per_block(u64::from(self.frames_per_block.get()))
            .with_max_frames_per_packet(blocks as u64 * u64::from(self.frames_per_block.get()));
        parameters
    }

    /// Returns the duration of `bytes` of sound, in seconds.
    fn secs(&self, bytes: u64) -> f64 {
        let frames = bytes as f64 / f64::from(self.block_bytes.get()) * f64::from(self.frames_per_block.get());
        frames / f64::from(self.rate_hz)
    }
}

/// The bytes that blocks are read from.
pub(super) enum BlockBytes {
    /// A file, whose end is known.
    File(Section),
    /// A stream.
    Stream(ByteStream),
}

impl BlockBytes {
    /// Returns the number of bytes to the end of a file; None for a stream.
    pub(super) const fn left(&self) -> Option<u64> {
        match self {
            Self::File(section) => Some(section.left()),
            Self::Stream(_) => None,
        }
    }

    /// Returns the up to eight bytes that lie `ahead` bytes behind the present place of a file; None for a stream.
    pub(super) fn peek(&mut self, ahead: u64) -> Option<Vec<u8>> {
        let Self::File(section) = self else { return None };
        let at = section.stream_position().ok()?;
        let mut bytes = Vec::new();
        section.seek(SeekFrom::Start(at.checked_add(ahead)?)).ok()?;
        let read = section.by_ref().take(8).read_to_end(&mut bytes);
        section.seek(SeekFrom::Start(at)).ok()?;
        read.ok().map(|_| bytes)
    }
}

impl Read for BlockBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(section) => section.read(buffer),
            Self::Stream(stream) => stream.read(buffer),
        }
    }
}

/// The amount of sound that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// This number of bytes, as the header says.
    Bytes(u64),
    /// All to the end.
    ToEnd,
}

/// The content behind the sound that the header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// Chunks as in WAV, perhaps with more sound.
    WavChunks,
    /// Nothing that is heard.
    Nothing,
}

/// A reader of blocks.
pub(super) struct BlockReader {
    bytes: BlockBytes,
    layout: BlockLayout,
    /// Sound that is still to be read.
    extent: Extent,
    behind: Behind,
    /// Bytes of an incomplete block.
    partial: Vec<u8>,
    /// Number of frames in the packets so far.
    frames: u64,
    /// Number of bytes that the header promises and that were or will be read, or are missing.
    promised: u64,
    /// Number of bytes of sound to the end of the file, where it was known at the beginning.
    expected: Option<u64>,
}

impl BlockReader {
    /// Creates the reader of the blocks that begin at the present place of `bytes`.
    pub(super) fn new(bytes: BlockBytes, layout: BlockLayout, extent: Extent, behind: Behind) -> Self {
        let left = bytes.left();
        let (promised, expected) = match extent {
            Extent::Bytes(count) => (count, left.map(|left| left.min(count)).or(Some(count))),
            Extent::ToEnd => (0, left),
        };
        Self { bytes, layout, extent, behind, partial: Vec::new(), frames: 0, promised, expected }
    }

    pub(super) const fn layout(&self) -> &BlockLayout {
        &self.layout
    }

    /// Returns the duration of the sound, in seconds; None where neither header nor file tells.
    pub(super) fn length_secs(&self) -> Option<f64> {
        self.expected.map(|bytes| self.layout.secs(bytes))
    }

    /// Returns the duration of the sound that the header promises, in seconds; 0 where it promises none.
    pub(super) fn promised_secs(&self) -> f64 {
        self.layout.secs(self.promised)
    }

    /// Reads the next blocks: at least one, at most what one read gives. None at the end.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<Packet>> {
        let block = usize::from(self.layout.block_bytes.get());
        loop {
            let wanted = match self.extent {
                Extent::Bytes(0) => {
                    if !self.find_more()? {
                        return Ok(None);
                    }
                    continue;
                }
                Extent::Bytes(left) => left.min(READ_BYTES as u64) as usize,
                Extent::ToEnd => READ_BYTES,
            };
            let at = self.partial.len();
            self.partial.resize(at + wanted, 0);
            let read = self.bytes.read(&mut self.partial[at..]);
            self.partial.truncate(at + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    if let Extent::Bytes(left) = &mut self.extent {
                        *left -= count as u64;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            let whole = self.partial.len() - self.partial.len() % block;
            if whole > 0 {
                let rest = self.partial.split_off(whole);
                let data = std::mem::replace(&mut self.partial, rest);
                let frames = (whole / block) as u64 * u64::from(self.layout.frames_per_block.get());
                let at = Timestamp::from(i64::try_from(self.frames).unwrap_or(i64::MAX));
                self.frames = self.frames.saturating_add(frames);
                return Ok(Some(Packet::new(0, at, Duration::from(frames), data)));
            }
        }
    }

    /// Looks for more sound behind the announced end. Returns false if there is none.
    fn find_more(&mut self) -> io::Result<bool> {
        if self.behind == Behind::Nothing {
            return Ok(false);
        }
        match wav::next_sound(&mut self.bytes)? {
            wav::NextSound::None => return Ok(false),
            wav::NextSound::Chunk(extent) => {
                if let Extent::Bytes(count) = extent {
                    self.promised = self.promised.saturating_add(count);
                }
                self.extent = extent;
            }
            wav::NextSound::Unannounced(begun) => {
                self.partial.extend(begun);
                self.extent = Extent::ToEnd;
            }
        }
        Ok(true)
    }
}
