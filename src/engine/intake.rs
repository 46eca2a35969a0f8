//! The queue between the capture thread and the inference thread: what was captured, in order, and never too much of it.
//!
//! A live source does not wait. When the queue is full its oldest chunk becomes an [`Captured::Gap`] of exactly its samples at
//! exactly its place; whatever else waits stays where it is, so nothing is lost unsaid. A file waits for room instead.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::capture::Captured;
use crate::protocol::GapCause;
use crate::time::CHUNK_SAMPLES;

/// Notes (gaps, changes, trouble) that wait at most: an input that comes and goes every second makes some hundred in a minute.
const NOTES: usize = 256;
/// Rings of the bell that may wait: one says that there is something.
const RINGS: usize = 1;

struct Shared {
    items: Mutex<VecDeque<Captured>>,
    capacity: usize,
    /// Nobody takes any more.
    left: AtomicBool,
}

/// The capture thread's end.
pub(super) struct Feeder {
    shared: Arc<Shared>,
    bell: Sender<()>,
}

/// The inference thread's end. When it is dropped the other end learns it.
pub(super) struct Taker {
    shared: Arc<Shared>,
    bell: Receiver<()>,
}

/// What became of an item that was handed over.
#[derive(Debug)]
pub(super) enum Handed {
    Over,
    /// There was no room for it.
    Back(Box<Captured>),
    /// There is nobody to take it.
    Nobody,
}

/// A queue for `capacity` chunks.
pub(super) fn intake(capacity: usize) -> (Feeder, Taker) {
    let (ring, bell) = bounded(RINGS);
    let shared = Arc::new(Shared { items: Mutex::default(), capacity, left: AtomicBool::new(false) });
    (Feeder { shared: Arc::clone(&shared), bell: ring }, Taker { shared, bell })
}

impl Shared {
    fn items(&self) -> MutexGuard<'_, VecDeque<Captured>> {
        // Every change is complete before anything can panic.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_chunk(item: &Captured) -> bool {
    matches!(item, Captured::Chunk(_))
}

impl Feeder {
    /// Hands `item` over, in place of the oldest chunk when there is no room for one more.
    pub(super) fn push(&self, item: Captured) -> Handed {
        self.hand(item, |items, capacity| {
            while items.iter().filter(|item| is_chunk(item)).count() > capacity {
                lose_oldest(items);
            }
            while items.iter().filter(|item| !is_chunk(item)).count() > NOTES {
                merge_notes(items);
            }
        })
    }

    /// Hands `item` over when there is room for it.
    pub(super) fn offer(&self, item: Captured) -> Handed {
        if is_chunk(&item) && self.shared.items().iter().filter(|item| is_chunk(item)).count() >= self.shared.capacity {
            return if self.shared.left.load(Ordering::Acquire) { Handed::Nobody } else { Handed::Back(Box::new(item)) };
        }
        self.hand(item, |_, _| {})
    }

    fn hand(&self, item: Captured, bound: impl Fn(&mut VecDeque<Captured>, usize)) -> Handed {
        if self.shared.left.load(Ordering::Acquire) {
            return Handed::Nobody;
        }
        let mut items = self.shared.items();
        items.push_back(item);
        bound(&mut items, self.shared.capacity);
        drop(items);
        // One ring that waits is enough.
        let _ = self.bell.try_send(());
        Handed::Over
    }
}

/// Turns the oldest chunk into a gap, or into more of the gap before it.
fn lose_oldest(items: &mut VecDeque<Captured>) {
    let Some(place) = items.iter().position(is_chunk) else { return };
    let Captured::Chunk(chunk) = &items[place] else { return };
    let (end, begin) = (chunk.end, chunk.begin);
    if let Some(before) = place.checked_sub(1)
        && let Captured::Gap { at, samples, cause: GapCause::Overload, .. } = &mut items[before]
    {
        *at = end;
        *samples += CHUNK_SAMPLES as u64;
        items.remove(place);
    } else {
        items[place] = Captured::Gap { at: end, from: begin, samples: CHUNK_SAMPLES as u64, cause: GapCause::Overload };
    }
}

/// Makes one note fewer: the oldest trouble goes; where there is none, the two oldest gaps become one.
fn merge_notes(items: &mut VecDeque<Captured>) {
    let oldest = |wanted: fn(&Captured) -> bool| items.iter().position(wanted);
    let place =
        oldest(|item| matches!(item, Captured::Trouble { .. })).or_else(|| oldest(|item| matches!(item, Captured::InputChanged { .. })));
    if let Some(place) = place {
        items.remove(place);
        return;
    }
    let mut gaps = items.iter().enumerate().filter(|(_, item)| matches!(item, Captured::Gap { .. })).map(|(place, _)| place);
    let (first, second) = (gaps.next(), gaps.next());
    drop(gaps);
    match (first, second) {
        (Some(first), Some(second)) => {
            if let (Some(Captured::Gap { samples: more, .. }), Some(Captured::Gap { samples, .. })) =
                (items.remove(second), items.get_mut(first))
            {
                *samples += more;
            }
        }
        // Pauses and ends alone: a person cannot press so fast.
        _ => drop(items.pop_front()),
    }
}

impl Taker {
    /// The oldest item that waits.
    pub(super) fn take(&self) -> Option<Captured> {
        self.shared.items().pop_front()
    }

    /// Chunks that wait.
    pub(super) fn chunks(&self) -> usize {
        self.shared.items().iter().filter(|item| is_chunk(item)).count()
    }

    /// Rings when something was handed over; closed when nothing will be any more.
    pub(super) const fn bell(&self) -> &Receiver<()> {
        &self.bell
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.shared.left.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::chunker::{Chunk, Chunker};
    use crate::error::{Error, ErrorKind};
    use crate::time::StreamTime;

    fn chunks(count: usize) -> Vec<Chunk> {
        let (mut chunker, mut out) = (Chunker::new(), Vec::new());
        chunker.silence(0.4 * count as f64, &mut out);
        out
    }

    fn note(at: u64) -> Captured {
        Captured::Trouble { at: StreamTime::from_samples(at), error: Error::new(ErrorKind::Busy, "x") }
    }

    #[test]
    fn what_is_too_old_becomes_one_gap_at_its_place_and_what_follows_stays_whole() {
        let (feeder, taker) = intake(4);
        for (n, chunk) in chunks(10).into_iter().enumerate() {
            if n == 2 || n == 8 {
                assert!(matches!(feeder.push(note(n as u64)), Handed::Over));
            }
            assert!(matches!(feeder.push(Captured::Chunk(chunk)), Handed::Over));
        }
        let mut said = Vec::new();
        while let Some(item) = taker.take() {
            said.push(match item {
                Captured::Gap { from, samples, at, cause: GapCause::Overload } => format!("{}+{samples}={}", from.0.0, at.0.0),
                Captured::Chunk(chunk) => chunk.index.0.to_string(),
                Captured::Trouble { at, .. } => format!("note {}", at.0.0),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(said, ["0+12800=12800", "note 2", "12800+25600=38400", "6", "7", "note 8", "8", "9"]);
    }

    #[test]
    fn a_file_gets_back_what_does_not_fit() {
        let (feeder, taker) = intake(2);
        let mut waiting = chunks(3).into_iter().map(Captured::Chunk);
        assert!(matches!(feeder.offer(waiting.next().unwrap()), Handed::Over));
        assert!(matches!(feeder.offer(waiting.next().unwrap()), Handed::Over));
        let Handed::Back(third) = feeder.offer(waiting.next().unwrap()) else { panic!("it was full") };
        assert!(matches!(feeder.offer(note(0)), Handed::Over), "a note always fits");
        assert_eq!(taker.chunks(), 2);
        assert!(taker.bell().try_recv().is_ok());
        taker.take();
        assert!(matches!(feeder.offer(*third), Handed::Over));
        drop(taker);
        assert!(matches!(feeder.offer(note(0)), Handed::Nobody));
        assert!(matches!(feeder.push(note(0)), Handed::Nobody));
    }

    #[test]
    fn notes_are_bounded_and_no_lost_sample_is_forgotten() {
        let (feeder, taker) = intake(2);
        for n in 0..10_000 {
            let at = StreamTime::from_samples(n);
            feeder.push(Captured::Gap { at, from: at, samples: 3, cause: GapCause::DeviceLost });
            feeder.push(note(n));
        }
        let (mut lost, mut notes) = (0, 0);
        while let Some(item) = taker.take() {
            notes += 1;
            if let Captured::Gap { samples, .. } = item {
                lost += samples;
            }
        }
        assert!(notes <= NOTES, "{notes}");
        assert_eq!(lost, 30_000);
    }

    #[test]
    fn the_taker_learns_that_the_feeder_has_gone() {
        let (feeder, taker) = intake(2);
        feeder.push(note(1));
        drop(feeder);
        assert!(taker.bell().recv().is_ok(), "what was handed over still rings");
        assert!(taker.bell().recv().is_err());
        assert!(taker.take().is_some());
    }
}
