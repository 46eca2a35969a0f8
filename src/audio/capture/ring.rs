//! The ring buffer between the audio callback and the capture thread.
//!
//! Carries mono samples at the device's rate and reports the exact position of samples that were lost because the reader was
//! too slow. Not responsible for the mix ([`Mixer`]) or for resampling. Independent of any sound system.
//!
//! Architecture invariant: [`RingWriter::write`] does not allocate, lock, log or panic (`tests/audio_callback.rs`).

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

use crate::audio::mix::Mixer;
use crate::protocol::ChannelChoice;

/// Capacity of the queue of loss marks. Further losses, before the reader catches up, are merged into the next mark.
const MARKS: usize = 64;

/// A loss: `lost` samples are missing after the first `at` samples that were written.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: u64,
    lost: u64,
}

/// The writing end of the ring, called by the real-time audio callback.
pub struct RingWriter {
    /// Mixer of the channels that the device delivers.
    mixer: Mixer,
    /// Number of the channel to be heard; 0 for all.
    channel: Arc<AtomicU16>,
    /// Samples for the reader.
    samples: HeapProd<f32>,
    /// Losses for the reader.
    marks: HeapProd<Mark>,
    /// Number of frames that the device has delivered, lost ones included.
    frames: Arc<AtomicU64>,
    /// Number of samples written so far.
    written: u64,
    /// Number of samples lost since the last mark; nothing is written until their loss is marked.
    unmarked: u64,
}

/// The reading end of the ring, used by the capture thread.
pub struct RingReader {
    /// Samples from the writer.
    samples: HeapCons<f32>,
    /// Losses from the writer.
    marks: HeapCons<Mark>,
    /// Number of frames that the device has delivered, lost ones included.
    frames: Arc<AtomicU64>,
    /// Number of the channel to be heard; 0 for all.
    channel: Arc<AtomicU16>,
    /// Number of samples read so far.
    taken: u64,
    /// Number of lost samples that were reported so far.
    lost: u64,
}

/// The result of [`RingReader::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Number of samples that were appended to the caller's buffer.
    Samples(usize),
    /// Number of samples that were lost between the samples read before and after this call.
    Lost(u64),
    /// No samples are available.
    Empty,
}

/// Returns the two ends of a new ring buffer for `capacity` mono samples, which `mixer` makes.
#[must_use]
pub fn ring(capacity: usize, mixer: Mixer) -> (RingWriter, RingReader) {
    let (samples_in, samples_out) = HeapRb::new(capacity.max(1)).split();
    let (marks_in, marks_out) = HeapRb::new(MARKS).split();
    let frames = Arc::new(AtomicU64::new(0));
    let channel = Arc::new(AtomicU16::new(number_of(mixer.choice())));
    (
        RingWriter {
            mixer,
            channel: Arc::clone(&channel),
            samples: samples_in,
            marks: marks_in,
            frames: Arc::clone(&frames),
            written: 0,
            unmarked: 0,
        },
        RingReader { samples: samples_out, marks: marks_out, frames, channel, taken: 0, lost: 0 },
    )
}

/// Returns the number of the chosen channel; 0 for all.
const fn number_of(choice: ChannelChoice) -> u16 {
    match choice {
        ChannelChoice::All => 0,
        ChannelChoice::Only(number) => number.get(),
    }
}

impl RingWriter {
    /// Mixes interleaved `data` of `channels` channels to mono (NaN and infinity count as 0) and writes the result. Never blocks: samples
    /// that do not fit are counted as lost. An incomplete last frame is ignored.
    pub fn write<T: Copy>(&mut self, data: &[T], channels: usize, to_f32: fn(T) -> f32) {
        let channels = channels.max(1);
        let n_frames = data.len() / channels;
        self.mixer.choose(NonZeroU16::new(self.channel.load(Ordering::Relaxed)).map_or(ChannelChoice::All, ChannelChoice::Only));
        self.mark_loss();
        // Samples written behind an unmarked loss would shift its position, so the loss grows instead.
        let fits = if self.unmarked > 0 { 0 } else { self.samples.vacant_len().min(n_frames) };
        let Self { mixer, samples, .. } = self;
        let frames = data.chunks_exact(channels).take(fits);
        let pushed = samples.push_iter(frames.map(|frame| mixer.frame(channels, |at| frame.get(at).map(|&sample| to_f32(sample)))));
        self.written += pushed as u64;
        self.unmarked += (n_frames - pushed) as u64;
        self.mark_loss();
        self.frames.fetch_add(n_frames as u64, Ordering::Release);
    }

    /// Hands the loss that is not marked yet to the reader, unless the queue of marks is full.
    fn mark_loss(&mut self) {
        if self.unmarked > 0 && self.marks.try_push(Mark { at: self.written, lost: self.unmarked }).is_ok() {
            self.unmarked = 0;
        }
    }
}

impl RingReader {
    /// Appends the available samples up to the next loss to `out` and returns their number; at the loss, returns its length instead.
    pub fn read(&mut self, out: &mut Vec<f32>) -> ReadOutcome {
        self.read_until(u64::MAX, out)
    }

    /// Reads like [`Self::read`], but no sample behind the first `frames` frames that the device delivered.
    pub fn read_until(&mut self, frames: u64, out: &mut Vec<f32>) -> ReadOutcome {
        // Count samples before reading marks: a mark is published before the sample behind it, so no counted sample lies
        // behind an unread mark.
        let waiting = self.samples.occupied_len();
        let mut lost = 0;
        while let Some(mark) = self.marks.try_peek().copied().filter(|mark| mark.at == self.taken) {
            lost += mark.lost;
            self.marks.try_pop();
        }
        if lost > 0 {
            self.lost += lost;
            return ReadOutcome::Lost(lost);
        }
        let until_mark = self.marks.try_peek().map_or(u64::MAX, |mark| mark.at - self.taken);
        let until_limit = frames.saturating_sub(self.position());
        let n = waiting.min(usize::try_from(until_mark.min(until_limit)).unwrap_or(usize::MAX));
        if n == 0 {
            return ReadOutcome::Empty;
        }
        let start = out.len();
        out.resize(start + n, 0.0);
        let got = self.samples.pop_slice(&mut out[start..]);
        out.truncate(start + got);
        self.taken += got as u64;
        ReadOutcome::Samples(got)
    }

    /// Returns the number of frames that were read or reported as lost.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.taken + self.lost
    }

    /// Hears this channel from the next callback on.
    pub fn choose_channel(&self, choice: ChannelChoice) {
        self.channel.store(number_of(choice), Ordering::Relaxed);
    }

    /// Returns the number of frames that the device has delivered, lost ones included. Stops growing when the device stalls.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Acquire)
    }

    /// Returns the counter of the frames that the device has delivered, lost ones included, for the stream's error callback.
    #[cfg(feature = "mic")]
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.frames)
    }

    /// Returns the number of samples that are available, including those behind a loss.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.samples.occupied_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a sample for each number of `range`, as far as 2^20 all different and below full scale.
    fn count(range: std::ops::Range<u32>) -> Vec<f32> {
        range.map(sample).collect()
    }

    fn sample(number: u32) -> f32 {
        number as f32 / (1 << 20) as f32
    }

    fn same(x: f32) -> f32 {
        x
    }

    fn ring(capacity: usize) -> (RingWriter, RingReader) {
        super::ring(capacity, Mixer::new(48_000, ChannelChoice::All))
    }

    #[test]
    fn samples_are_read_in_order_across_the_end_of_the_buffer() {
        let (mut writer, mut reader) = ring(100);
        let mut out = Vec::new();
        for start in (0..1_000).step_by(70) {
            writer.write(&count(start..start + 70), 1, same);
            assert_eq!(reader.read(&mut out), ReadOutcome::Samples(70));
        }
        assert_eq!(out, count(0..1_050));
        assert_eq!(reader.read(&mut out), ReadOutcome::Empty);
        assert_eq!(reader.frames(), 1_050);
    }

    #[test]
    fn loss_is_reported_at_its_exact_position() {
        let (mut writer, mut reader) = ring(100);
        let mut out = Vec::new();
        writer.write(&count(0..130), 1, same);
        writer.write(&count(130..150), 1, same);
        assert_eq!(reader.read(&mut out), ReadOutcome::Samples(100));
        writer.write(&count(150..200), 1, same);
        assert_eq!(reader.read(&mut out), ReadOutcome::Lost(50), "samples 100..150");
        assert_eq!(reader.read(&mut out), ReadOutcome::Samples(50));
        assert_eq!(reader.read(&mut out), ReadOutcome::Empty);
        let mut expected = count(0..100);
        expected.extend(count(150..200));
        assert_eq!(out, expected);
        assert_eq!(reader.frames(), 200);
    }

    #[test]
    fn samples_behind_a_limit_wait_and_another_channel_is_heard_from_the_next_callback_on() {
        let (mut writer, mut reader) = ring(100);
        let mut out = Vec::new();
        writer.write(&count(0..130), 1, same);
        assert_eq!(reader.read_until(60, &mut out), ReadOutcome::Samples(60));
        assert_eq!(reader.read_until(60, &mut out), ReadOutcome::Empty);
        assert_eq!(reader.read_until(110, &mut out), ReadOutcome::Samples(40));
        assert_eq!((reader.read_until(110, &mut out), reader.position()), (ReadOutcome::Lost(30), 130));
        out.clear();
        reader.choose_channel(ChannelChoice::Only(NonZeroU16::MIN.saturating_add(1)));
        writer.write(&[0.1, 0.2, 0.3, 0.4], 2, same);
        assert_eq!((reader.read(&mut out), &out[..]), (ReadOutcome::Samples(2), &[0.2, 0.4][..]));
    }

    #[test]
    fn losses_beyond_the_capacity_of_the_marks_are_merged_and_counted() {
        let (mut writer, mut reader) = ring(4);
        let mut out = Vec::new();
        let total = 3 * MARKS as u32;
        for n in 0..total {
            writer.write(&[sample(n)], 1, same);
        }
        let (mut lost, mut at) = (0, Vec::new());
        for n in total..total + 8 {
            loop {
                match reader.read(&mut out) {
                    ReadOutcome::Samples(_) => {}
                    ReadOutcome::Lost(more) => {
                        lost += more;
                        at.push(out.len());
                    }
                    ReadOutcome::Empty => break,
                }
            }
            writer.write(&[sample(n)], 1, same);
        }
        while reader.read(&mut out) != ReadOutcome::Empty {}
        assert_eq!(lost + out.len() as u64, u64::from(total) + 8, "each frame is read or counted as lost");
        assert!(at.iter().all(|&position| position == 4), "{at:?}");
        let mut expected = count(0..4);
        expected.extend(count(total + 8 - (out.len() as u32 - 4)..total + 8));
        assert_eq!(out, expected);
    }

    #[test]
    fn channels_are_averaged_and_non_finite_samples_count_as_zero() {
        let (mut writer, mut reader) = ring(16);
        let mut out = Vec::new();
        writer.write(&[0.5, 0.1, f32::NAN, 0.4, f32::INFINITY, f32::NEG_INFINITY, 9.0], 2, same);
        assert_eq!(reader.read(&mut out), ReadOutcome::Samples(3));
        assert!((out[0] - 0.3).abs() < 1e-6 && (out[1] - 0.2).abs() < 1e-6 && out[2] == 0.0, "{out:?}");
    }

    #[test]
    fn reader_on_another_thread_accounts_for_each_frame_in_its_position() {
        let (mut writer, mut reader) = ring(64);
        let total = 200_000_u32;
        let thread = std::thread::spawn(move || {
            for start in (0..total).step_by(25) {
                writer.write(&count(start..start + 25), 1, same);
            }
        });
        let (mut out, mut next) = (Vec::new(), 0_u64);
        loop {
            let done = thread.is_finished();
            match reader.read(&mut out) {
                ReadOutcome::Samples(_) => {
                    for heard in out.drain(..) {
                        assert_eq!(heard, sample(next as u32));
                        next += 1;
                    }
                }
                ReadOutcome::Lost(lost) => next += lost,
                ReadOutcome::Empty if done => break,
                ReadOutcome::Empty => std::thread::yield_now(),
            }
        }
        assert!(thread.join().is_ok());
        assert!(next > 0 && next <= u64::from(total));
    }
}
