//! Who has the floor: when somebody was last heard to speak, and whether Hearken may begin.
//!
//! The capture thread notes speech, the voice's thread asks before it begins a reply.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// People leave about so long between two turns; a shorter pause is inside of a turn.
const GAP: Duration = Duration::from_millis(500);
/// A reply waits at most so long for a room that never falls silent: a television has no turns.
const PATIENCE: Duration = Duration::from_secs(4);

/// Whether a reply may begin, when the last speech was `quiet_for` ago and it has `waited` already. Pure.
#[must_use]
pub(super) fn may_begin(quiet_for: Option<Duration>, waited: Duration) -> bool {
    quiet_for.is_none_or(|quiet_for| quiet_for >= GAP) || waited >= PATIENCE
}

/// What the two threads share.
#[derive(Debug)]
pub(super) struct Floor {
    begun: Instant,
    /// Milliseconds from `begun` to the newest speech, plus one; 0 when there was none.
    speech_ms: AtomicU64,
}

impl Default for Floor {
    fn default() -> Self {
        Self { begun: Instant::now(), speech_ms: AtomicU64::new(0) }
    }
}

impl Floor {
    /// Somebody is speaking now.
    pub(super) fn speech(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.speech_ms.store(ms + 1, Ordering::Relaxed);
    }

    /// How long ago somebody spoke; None when nobody has.
    pub(super) fn quiet_for(&self) -> Option<Duration> {
        let ms = self.speech_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_millis(ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_waits_for_a_pause_and_not_for_ever() {
        let ms = Duration::from_millis;
        assert!(may_begin(None, ms(0)) && may_begin(Some(ms(600)), ms(0)));
        assert!(!may_begin(Some(ms(100)), ms(0)) && !may_begin(Some(ms(100)), ms(3_900)));
        assert!(may_begin(Some(ms(0)), ms(4_000)));
        let floor = Floor::default();
        assert_eq!(floor.quiet_for(), None);
        floor.speech();
        assert!(floor.quiet_for().is_some_and(|quiet| quiet < ms(500)));
    }
}
