//! Cuts samples into chunks of 0.4 s and counts stream time. Pure: the chunks do not depend on the sizes of the input blocks.

use crate::time::{CHUNK_SAMPLES, ChunkIdx, SAMPLE_RATE_HZ, StreamTime};

/// A chunk: 0.4 s of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Number of the chunk in the stream, from 0.
    pub index: ChunkIdx,
    /// Stream time of the first sample: the end of the previous chunk, unless samples were lost between the two.
    pub begin: StreamTime,
    /// Stream time behind the last sample; includes samples that were lost within the chunk.
    pub end: StreamTime,
    /// The samples, 16 kHz mono.
    pub samples: Box<[f32; CHUNK_SAMPLES]>,
}

/// Collects samples into chunks and counts their stream time.
#[derive(Debug)]
pub struct Chunker {
    /// Samples of the chunk in progress, of which the first `filled` are set.
    samples: Box<[f32; CHUNK_SAMPLES]>,
    /// Number of samples in the chunk in progress.
    filled: usize,
    /// Number of the chunk in progress.
    index: ChunkIdx,
    /// Stream time at the start of the chunk in progress.
    begin: StreamTime,
    /// Stream time of the next sample.
    now: StreamTime,
}

impl Default for Chunker {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunker {
    /// Creates a chunker at stream time zero.
    #[must_use]
    pub fn new() -> Self {
        Self { samples: Box::new([0.0; CHUNK_SAMPLES]), filled: 0, index: ChunkIdx(0), begin: StreamTime::ZERO, now: StreamTime::ZERO }
    }

    /// Returns the stream time of the next sample.
    #[must_use]
    pub const fn now(&self) -> StreamTime {
        self.now
    }

    /// Adds `samples` and appends the completed chunks to `out`. The samples left over wait for the next call.
    pub fn push(&mut self, mut samples: &[f32], out: &mut Vec<Chunk>) {
        while !samples.is_empty() {
            let taken = samples.len().min(CHUNK_SAMPLES - self.filled);
            self.samples[self.filled..self.filled + taken].copy_from_slice(&samples[..taken]);
            self.filled += taken;
            self.now.0 += taken as u64;
            samples = &samples[taken..];
            if self.filled == CHUNK_SAMPLES {
                let full = std::mem::replace(&mut self.samples, Box::new([0.0; CHUNK_SAMPLES]));
                out.push(Chunk { index: self.index, begin: self.begin, end: self.now, samples: full });
                self.filled = 0;
                self.index = self.index.next();
                self.begin = self.now;
            }
        }
    }

    /// Skips `samples` lost samples: stream time advances, and the sound before and after is joined. Returns the stream time at which the
    /// gap begins.
    pub fn gap(&mut self, samples: u64) -> StreamTime {
        let from = self.now;
        self.now.0 += samples;
        if self.filled == 0 {
            self.begin = self.now;
        }
        from
    }

    /// Fills up the chunk in progress with zeros and appends it to `out`; does nothing between two chunks.
    pub fn end_of_file(&mut self, out: &mut Vec<Chunk>) {
        if self.filled > 0 {
            self.push(&vec![0.0; CHUNK_SAMPLES - self.filled], out);
        }
    }

    /// Pushes `secs` seconds of zeros, rounded up to whole chunks, and appends the completed chunks to `out`.
    pub fn silence(&mut self, secs: f64, out: &mut Vec<Chunk>) {
        let samples = (secs * f64::from(SAMPLE_RATE_HZ)).round() as usize;
        for _ in 0..samples.div_ceil(CHUNK_SAMPLES) {
            self.push(&[0.0; CHUNK_SAMPLES], out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_do_not_depend_on_the_sizes_of_the_blocks() {
        let samples: Vec<f32> = (0..20_000).map(|n| n as f32 / 20_000.0).collect();
        let cut = |sizes: &[usize]| {
            let (mut chunker, mut out, mut rest) = (Chunker::new(), Vec::new(), samples.as_slice());
            for size in sizes.iter().cycle() {
                let (now, later) = rest.split_at((*size).min(rest.len()));
                chunker.push(now, &mut out);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            chunker.end_of_file(&mut out);
            out
        };
        let whole = cut(&[20_000]);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[3].end.secs(), 1.6);
        assert_eq!(whole, cut(&[1, 7, 6_400, 3_333]));
        assert_eq!(whole, cut(&[160]));
    }

    #[test]
    fn gap_advances_time_and_joins_the_samples() {
        let (mut chunker, mut out) = (Chunker::new(), Vec::new());
        chunker.push(&[1.0; 6_000], &mut out);
        assert_eq!(chunker.gap(1_000).0.0, 6_000);
        chunker.push(&[2.0; 6_800], &mut out);
        assert_eq!((out[0].begin.0.0, out[0].end.0.0, out[0].samples[5_999], out[0].samples[6_000]), (0, 7_400, 1.0, 2.0));
        assert_eq!((out[1].begin.0.0, out[1].end.0.0, out[1].index.0), (7_400, 13_800, 1));
    }

    #[test]
    fn second_of_silence_is_three_chunks_and_a_complete_chunk_is_not_padded() {
        let (mut chunker, mut out) = (Chunker::new(), Vec::new());
        chunker.silence(1.0, &mut out);
        chunker.end_of_file(&mut out);
        assert_eq!(out.len(), 3);
        chunker.push(&[0.5], &mut out);
        chunker.end_of_file(&mut out);
        assert_eq!((out.len(), out[3].samples[0], out[3].samples[1]), (4, 0.5, 0.0));
    }
}
