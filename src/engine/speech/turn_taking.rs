//! Turn taking: a reply begins only after the person has finished speaking.
//!
//! The capture thread notes speech; the speech thread asks before it begins a reply.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shortest pause between two turns of a conversation; a shorter pause is inside a turn.
const TURN_GAP: Duration = Duration::from_millis(500);
/// Longest wait of a reply for a pause: a television never pauses.
const MAX_WAIT: Duration = Duration::from_secs(4);

/// Returns true if a reply that has `waited` may begin, given the time since the last speech in the room (None: there was no speech). Pure.
#[must_use]
pub(in crate::engine) fn may_begin(quiet_for: Option<Duration>, waited: Duration) -> bool {
    quiet_for.is_none_or(|quiet_for| quiet_for >= TURN_GAP) || waited >= MAX_WAIT
}

/// The time of the last speech, shared by the capture thread and the speech thread.
#[derive(Debug)]
pub(in crate::engine) struct TurnTaking {
    /// Time from which `speech_ms` counts.
    begun: Instant,
    /// Milliseconds from `begun` to the last speech, plus one; 0 before any speech.
    speech_ms: AtomicU64,
}

impl Default for TurnTaking {
    fn default() -> Self {
        Self { begun: Instant::now(), speech_ms: AtomicU64::new(0) }
    }
}

impl TurnTaking {
    /// Notes that somebody is speaking now.
    pub(in crate::engine) fn note_speech(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.speech_ms.store(ms + 1, Ordering::Relaxed);
    }

    /// Returns the time since the last speech; None before any speech.
    pub(in crate::engine) fn quiet_for(&self) -> Option<Duration> {
        let ms = self.speech_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_millis(ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_waits_for_a_pause_but_not_longer_than_four_seconds() {
        let ms = Duration::from_millis;
        assert!(may_begin(None, ms(0)) && may_begin(Some(ms(600)), ms(0)));
        assert!(!may_begin(Some(ms(100)), ms(0)) && !may_begin(Some(ms(100)), ms(3_900)));
        assert!(may_begin(Some(ms(0)), ms(4_000)));
        let turn_taking = TurnTaking::default();
        assert_eq!(turn_taking.quiet_for(), None);
        turn_taking.note_speech();
        assert!(turn_taking.quiet_for().is_some_and(|quiet| quiet < ms(500)));
    }
}
