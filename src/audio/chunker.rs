//! Cuts samples into chunks of 0.4 s and keeps the stream's time. Pure: any split of the samples gives the same chunks.

use crate::time::{CHUNK_SAMPLES, ChunkIdx, SAMPLE_RATE_HZ, StreamTime};

/// 0.4 s of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Its number.
    pub index: ChunkIdx,
    /// Audio time at which its material begins: the end of the chunk before, unless something was lost.
    pub begin: StreamTime,
    /// Audio time at its end; samples that were lost inside it count.
    pub end: StreamTime,
    /// 16 kHz, mono.
    pub samples: Box<[f32; CHUNK_SAMPLES]>,
}

/// Samples in, chunks out.
#[derive(Debug)]
pub struct Chunker {
    samples: Box<[f32; CHUNK_SAMPLES]>,
    filled: usize,
    index: ChunkIdx,
    begin: StreamTime,
    now: StreamTime,
}

impl Default for Chunker {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunker {
    /// A stream that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { samples: Box::new([0.0; CHUNK_SAMPLES]), filled: 0, index: ChunkIdx(0), begin: StreamTime::ZERO, now: StreamTime::ZERO }
    }

    /// Audio time of the next sample.
    #[must_use]
    pub const fn now(&self) -> StreamTime {
        self.now
    }

    /// Takes `samples`; chunks that get full are appended to `out`.
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

    /// `samples` were lost here: time jumps over them, and what lies on both sides is joined. Returns where the gap begins.
    pub fn gap(&mut self, samples: u64) -> StreamTime {
        let from = self.now;
        self.now.0 += samples;
        if self.filled == 0 {
            self.begin = self.now;
        }
        from
    }

    /// Pads with zeros to a whole chunk; nothing at a boundary.
    pub fn end_of_file(&mut self, out: &mut Vec<Chunk>) {
        if self.filled > 0 {
            self.push(&vec![0.0; CHUNK_SAMPLES - self.filled], out);
        }
    }

    /// `secs` of zeros, padded to whole chunks.
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
    fn any_split_gives_the_same_chunks() {
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
    fn time_jumps_over_a_gap_and_the_samples_are_joined() {
        let (mut chunker, mut out) = (Chunker::new(), Vec::new());
        chunker.push(&[1.0; 6_000], &mut out);
        assert_eq!(chunker.gap(1_000).0.0, 6_000);
        chunker.push(&[2.0; 6_800], &mut out);
        assert_eq!((out[0].begin.0.0, out[0].end.0.0, out[0].samples[5_999], out[0].samples[6_000]), (0, 7_400, 1.0, 2.0));
        assert_eq!((out[1].begin.0.0, out[1].end.0.0, out[1].index.0), (7_400, 13_800, 1));
    }

    #[test]
    fn a_second_of_silence_is_three_chunks_and_a_boundary_needs_no_padding() {
        let (mut chunker, mut out) = (Chunker::new(), Vec::new());
        chunker.silence(1.0, &mut out);
        chunker.end_of_file(&mut out);
        assert_eq!(out.len(), 3);
        chunker.push(&[0.5], &mut out);
        chunker.end_of_file(&mut out);
        assert_eq!((out.len(), out[3].samples[0], out[3].samples[1]), (4, 0.5, 0.0));
    }
}
