//! Plays another source in real time, so that a file arrives at the rate of a microphone.

use std::time::{Duration, Instant};

use super::{Source, SourceEvent};
use crate::error::Result;
use crate::protocol::ChannelChoice;
use crate::time::SAMPLE_RATE_HZ;

/// Samples delivered at a time: 20 ms, as by a sound card.
const BLOCK: usize = SAMPLE_RATE_HZ as usize / 50;
/// Longest time that one call of [`Source::next`] waits for the next samples to be due; the call then returns [`SourceEvent::Nothing`], so
/// that the thread can react to commands.
const NAP: Duration = Duration::from_millis(50);

/// A source that delivers the samples of another one at the speed of time, and its other events at once.
#[derive(Debug)]
pub struct RealtimeSource<S> {
    inner: S,
    /// Samples of the inner source that are not due yet.
    samples: Vec<f32>,
    /// Time at which the clock started; None before the first sample and after a pause.
    begun: Option<Instant>,
    /// Number of samples delivered since the clock started.
    yielded: u64,
}

impl<S: Source> RealtimeSource<S> {
    /// Creates the source; its clock starts with the first sample, and again after a pause.
    pub const fn new(inner: S) -> Self {
        Self { inner, samples: Vec::new(), begun: None, yielded: 0 }
    }
}

impl<S: Source> Source for RealtimeSource<S> {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        if self.samples.is_empty() {
            match self.inner.next(&mut self.samples)? {
                SourceEvent::Samples(count) if count > 0 => {}
                SourceEvent::Samples(_) => return Ok(SourceEvent::Nothing),
                other => return Ok(other),
            }
        }
        let count = BLOCK.min(self.samples.len());
        let due = Duration::from_secs_f64((self.yielded + count as u64) as f64 / f64::from(SAMPLE_RATE_HZ));
        let early = due.saturating_sub(self.begun.get_or_insert_with(Instant::now).elapsed());
        if early > Duration::ZERO {
            std::thread::sleep(early.min(NAP));
            if early > NAP {
                return Ok(SourceEvent::Nothing);
            }
        }
        out.extend(self.samples.drain(..count));
        self.yielded += count as u64;
        Ok(SourceEvent::Samples(count))
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn length_secs(&self) -> Option<f64> {
        self.inner.length_secs()
    }

    fn choose_channel(&mut self, channel: ChannelChoice) {
        self.inner.choose_channel(channel);
    }

    fn pause(&mut self) {
        self.inner.pause();
    }

    fn resume(&mut self) -> Result<()> {
        // Restart the clock, or the source would catch up with the pause.
        (self.begun, self.yielded) = (None, 0);
        self.inner.resume()
    }
}
