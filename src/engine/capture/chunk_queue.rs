//! The chunk queue from the capture thread to the inference thread: everything captured, in order, within a bound.
//!
//! A live source never waits. A full queue turns its oldest chunk into a [`Captured::Gap`] of exactly that chunk's samples and
//! place; every other item stays, so no loss goes unreported; only beyond 256 of them are problems and input changes dropped and
//! gaps merged. A file waits for room instead.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Captured;
use crate::protocol::GapCause;
use crate::supervise::lock;
use crate::time::CHUNK_SAMPLES;

/// Largest number of items other than chunks that wait in the queue: an input that comes and goes every second makes about a hundred in a
/// minute.
const MAX_NOTES: usize = 256;
/// Capacity of the channel that wakes the inference thread after a push: one message says that there is something to take.
const WAKEUPS: usize = 1;

/// The content of the chunk queue, shared by its two ends.
struct Items {
    /// Waiting items, oldest first.
    items: Mutex<VecDeque<Captured>>,
    /// Number of chunks that may wait.
    capacity: usize,
    /// True once the receiver is gone.
    closed: AtomicBool,
}

/// The capture thread's end of the chunk queue. When it is dropped, the channel of wakeups closes; items in the queue can still be taken.
pub(in crate::engine) struct ChunkSender {
    queue: Arc<Items>,
    /// Channel that wakes the inference thread.
    wakeup: Sender<()>,
}

/// The inference thread's end of the chunk queue. When it is dropped, the queue closes.
pub(in crate::engine) struct ChunkReceiver {
    queue: Arc<Items>,
    /// Channel that receives a message after pushes.
    wakeup: Receiver<()>,
}

/// The result of pushing an item into the chunk queue.
#[derive(Debug)]
pub(in crate::engine) enum PushOutcome {
    /// The item is in the queue.
    Pushed,
    /// The queue holds as many chunks as it may; the chunk comes back.
    Full(Box<Captured>),
    /// The receiver is gone; the item is dropped.
    Closed,
}

/// Returns the two ends of a new queue for `capacity` chunks and up to 256 other items.
pub(in crate::engine) fn chunk_queue(capacity: usize) -> (ChunkSender, ChunkReceiver) {
    let (wake, wakeup) = bounded(WAKEUPS);
    let queue = Arc::new(Items { items: Mutex::default(), capacity, closed: AtomicBool::new(false) });
    (ChunkSender { queue: Arc::clone(&queue), wakeup: wake }, ChunkReceiver { queue, wakeup })
}

fn is_chunk(item: &Captured) -> bool {
    matches!(item, Captured::Chunk(_))
}

fn count_chunks(items: &VecDeque<Captured>) -> usize {
    items.iter().filter(|item| is_chunk(item)).count()
}

impl ChunkSender {
    /// Pushes `item` even if the queue is full: the oldest chunk then becomes a gap, and surplus items other than chunks are dropped or
    /// merged.
    pub(in crate::engine) fn push(&self, item: Captured) -> PushOutcome {
        self.push_then(item, |items, capacity| {
            while count_chunks(items) > capacity {
                drop_oldest_chunk(items);
            }
            while items.len() - count_chunks(items) > MAX_NOTES {
                merge_notes(items);
            }
        })
    }

    /// Pushes `item`; gives a chunk back if the queue is full.
    pub(in crate::engine) fn try_push(&self, item: Captured) -> PushOutcome {
        if is_chunk(&item) && count_chunks(&lock(&self.queue.items)) >= self.queue.capacity {
            return if self.queue.closed.load(Ordering::Acquire) { PushOutcome::Closed } else { PushOutcome::Full(Box::new(item)) };
        }
        self.push_then(item, |_, _| {})
    }

    fn push_then(&self, item: Captured, bound: impl Fn(&mut VecDeque<Captured>, usize)) -> PushOutcome {
        if self.queue.closed.load(Ordering::Acquire) {
            return PushOutcome::Closed;
        }
        let mut items = lock(&self.queue.items);
        items.push_back(item);
        bound(&mut items, self.queue.capacity);
        drop(items);
        // A full channel means that a wakeup is waiting already.
        let _ = self.wakeup.try_send(());
        PushOutcome::Pushed
    }
}

/// Replaces the oldest chunk in `items` by a gap of its length and place, or lengthens a gap by overload right before the chunk.
fn drop_oldest_chunk(items: &mut VecDeque<Captured>) {
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

const fn is_about_input(item: &Captured) -> bool {
    matches!(
        item,
        Captured::InputChanged { .. } | Captured::InputLost { .. } | Captured::InputSilent { .. } | Captured::InputAudible { .. }
    )
}

/// Drops or merges one item other than a chunk: drops the oldest problem, else the oldest change, loss or silence of the input; else
/// merges the two oldest gaps; without two gaps drops the oldest pause or resumption. Never drops a chunk.
fn merge_notes(items: &mut VecDeque<Captured>) {
    let oldest = |wanted: fn(&Captured) -> bool| items.iter().position(wanted);
    let place = oldest(|item| matches!(item, Captured::Problem { .. })).or_else(|| oldest(is_about_input));
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
        // Hundreds of pauses and resumes: no person presses that fast.
        _ => {
            if let Some(place) = items.iter().position(|item| !is_chunk(item)) {
                items.remove(place);
            }
        }
    }
}

impl ChunkReceiver {
    /// Removes the oldest item and returns it; None if the queue is empty.
    pub(in crate::engine) fn take(&self) -> Option<Captured> {
        lock(&self.queue.items).pop_front()
    }

    /// Returns the number of chunks that wait.
    pub(in crate::engine) fn chunks(&self) -> usize {
        count_chunks(&lock(&self.queue.items))
    }

    /// Returns the channel that receives a message after pushes (one for several) and closes when the sender is gone.
    pub(in crate::engine) const fn wakeup(&self) -> &Receiver<()> {
        &self.wakeup
    }
}

impl Drop for ChunkReceiver {
    fn drop(&mut self) {
        self.queue.closed.store(true, Ordering::Release);
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

    fn problem(at: u64) -> Captured {
        Captured::Problem { at: StreamTime::from_samples(at), error: Error::new(ErrorKind::Busy, "x") }
    }

    #[test]
    fn a_full_queue_turns_its_oldest_chunks_into_one_gap_at_their_place() {
        let (sender, receiver) = chunk_queue(4);
        for (n, chunk) in chunks(10).into_iter().enumerate() {
            if n == 2 || n == 8 {
                assert!(matches!(sender.push(problem(n as u64)), PushOutcome::Pushed));
            }
            assert!(matches!(sender.push(Captured::Chunk(chunk)), PushOutcome::Pushed));
        }
        let mut taken = Vec::new();
        while let Some(item) = receiver.take() {
            taken.push(match item {
                Captured::Gap { from, samples, at, cause: GapCause::Overload } => format!("{}+{samples}={}", from.0.0, at.0.0),
                Captured::Chunk(chunk) => chunk.index.0.to_string(),
                Captured::Problem { at, .. } => format!("problem {}", at.0.0),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(taken, ["0+12800=12800", "problem 2", "12800+25600=38400", "6", "7", "problem 8", "8", "9"]);
    }

    #[test]
    fn a_full_queue_gives_a_files_chunk_back() {
        let (sender, receiver) = chunk_queue(2);
        let mut waiting = chunks(3).into_iter().map(Captured::Chunk);
        assert!(matches!(sender.try_push(waiting.next().unwrap()), PushOutcome::Pushed));
        assert!(matches!(sender.try_push(waiting.next().unwrap()), PushOutcome::Pushed));
        let PushOutcome::Full(third) = sender.try_push(waiting.next().unwrap()) else { panic!("the queue is full") };
        assert!(matches!(sender.try_push(problem(0)), PushOutcome::Pushed), "items other than chunks always fit");
        assert_eq!(receiver.chunks(), 2);
        assert!(receiver.wakeup().try_recv().is_ok());
        receiver.take();
        assert!(matches!(sender.try_push(*third), PushOutcome::Pushed));
        drop(receiver);
        assert!(matches!(sender.try_push(problem(0)), PushOutcome::Closed));
        assert!(matches!(sender.push(problem(0)), PushOutcome::Closed));
    }

    #[test]
    fn other_items_are_bounded_and_no_lost_sample_is_forgotten() {
        let (sender, receiver) = chunk_queue(2);
        for n in 0..10_000 {
            let at = StreamTime::from_samples(n);
            sender.push(Captured::Gap { at, from: at, samples: 3, cause: GapCause::DeviceLost });
            sender.push(problem(n));
        }
        let (mut lost, mut items) = (0, 0);
        while let Some(item) = receiver.take() {
            items += 1;
            if let Captured::Gap { samples, .. } = item {
                lost += samples;
            }
        }
        assert!(items <= MAX_NOTES, "{items}");
        assert_eq!(lost, 30_000);
    }

    #[test]
    fn no_chunk_is_dropped_for_hundreds_of_pauses() {
        let (sender, receiver) = chunk_queue(2);
        let mut waiting = chunks(2).into_iter().map(Captured::Chunk);
        sender.push(waiting.next().unwrap());
        for n in 0..1_000 {
            sender.push(Captured::Paused { at: StreamTime::from_samples(n) });
        }
        sender.push(waiting.next().unwrap());
        assert_eq!(receiver.chunks(), 2);
        assert!(matches!(receiver.take(), Some(Captured::Chunk(chunk)) if chunk.index.0 == 0));
    }

    #[test]
    fn the_receiver_learns_that_the_sender_is_gone() {
        let (sender, receiver) = chunk_queue(2);
        sender.push(problem(1));
        drop(sender);
        assert!(receiver.wakeup().recv().is_ok(), "the item that was pushed still wakes");
        assert!(receiver.wakeup().recv().is_err());
        assert!(receiver.take().is_some());
    }
}
