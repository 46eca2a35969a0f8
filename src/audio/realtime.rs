//! Another source at the speed of time: a file that is heard like a microphone.

use std::time::{Duration, Instant};

use super::{Source, SourceEvent};
use crate::error::Result;
use crate::time::SAMPLE_RATE_HZ;

/// Samples that are yielded at a time: 20 ms, as a sound card does.
const BLOCK: usize = SAMPLE_RATE_HZ as usize / 50;
/// Longest wait at a time, so that the thread stays responsive.
const NAP: Duration = Duration::from_millis(50);

/// Yields what `inner` does, no sooner than time allows.
#[derive(Debug)]
pub struct RealtimeSource<S> {
    inner: S,
    samples: Vec<f32>,
    begun: Option<Instant>,
    yielded: u64,
}

impl<S: Source> RealtimeSource<S> {
    /// `inner` at the speed of time, from its first sample on.
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

    fn pause(&mut self) {
        self.inner.pause();
    }

    fn resume(&mut self) -> Result<()> {
        // The clock starts afresh: time that was not heard must not be made up for.
        (self.begun, self.yielded) = (None, 0);
        self.inner.resume()
    }
}
