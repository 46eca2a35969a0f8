//! How much sound was lost when the sound system says that some was, but not how much.
//!
//! Pure: times come in as seconds of a monotonic clock. A device delivers its frames as fast as time passes, so the time
//! at which frames arrive, less the time that they last, stands still; a loss moves it on by exactly what was lost. What
//! arrives late moves it as well, so the least of many sights counts.

/// How long the frames after a loss are watched before it is said how much was lost: four callbacks.
const SETTLE_SECS: f64 = 0.2;
/// How long a sight counts; two clocks drift apart by about 1 ms in so long (100 ppm).
const SIGHT_SECS: f64 = 5.0;
/// What is less cannot be told from a callback that was seen late: 20 ms.
const LEAST_SECS: f64 = 0.02;
/// How often a loss that cannot be measured is told at most.
const TELL_EVERY_SECS: f64 = 60.0;

/// Follows the frames of one stream.
#[derive(Debug)]
pub(super) struct Pace {
    rate_hz: f64,
    /// The least arrival of this period and of the one before.
    sights: [f64; 2],
    period_end: f64,
    loss: Option<Settling>,
    told_at: Option<f64>,
}

#[derive(Debug)]
struct Settling {
    /// Frames that had arrived before the loss.
    frames: u64,
    before: f64,
    after: f64,
    until: f64,
}

/// What is known of a loss that the sound system reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lost {
    /// So many seconds of sound.
    Secs(f64),
    /// Too little to be measured, and it was not told lately.
    Unmeasured,
}

impl Pace {
    pub(super) fn new(rate_hz: u32) -> Self {
        let sights = [f64::INFINITY; 2];
        Self { rate_hz: f64::from(rate_hz.max(1)), sights, period_end: f64::NEG_INFINITY, loss: None, told_at: None }
    }

    /// `frames` have arrived by `now`, more than at the last sight.
    pub(super) fn see(&mut self, now: f64, frames: u64) {
        let arrival = now - frames as f64 / self.rate_hz;
        if let Some(loss) = &mut self.loss {
            if frames > loss.frames {
                // The settling time begins with the first frames after the loss.
                if loss.after == f64::INFINITY {
                    loss.until = now + SETTLE_SECS;
                }
                loss.after = loss.after.min(arrival);
            }
            return;
        }
        if now >= self.period_end {
            self.sights = [f64::INFINITY, self.sights[0]];
            self.period_end = now + SIGHT_SECS;
        }
        self.sights[0] = self.sights[0].min(arrival);
    }

    /// The sound system says that some were lost after `frames` had arrived. Losses close together are one.
    pub(super) fn lose(&mut self, frames: u64) {
        let before = self.sights[0].min(self.sights[1]);
        self.loss.get_or_insert(Settling { frames, before, after: f64::INFINITY, until: f64::INFINITY });
    }

    /// What was lost, once that is known.
    pub(super) fn lost(&mut self, now: f64) -> Option<Lost> {
        let Settling { before, after, .. } = self.loss.take_if(|loss| now >= loss.until)?;
        self.sights = [after, f64::INFINITY];
        self.period_end = now + SIGHT_SECS;
        let secs = after - before;
        if secs.is_finite() && secs >= LEAST_SECS {
            return Some(Lost::Secs(secs));
        }
        let silent = self.told_at.is_some_and(|told_at| now - told_at < TELL_EVERY_SECS);
        if silent {
            return None;
        }
        self.told_at = Some(now);
        Some(Lost::Unmeasured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 ms callbacks seen up to 10 ms late; sound is lost at each of `losses` (seconds, how much); what was said, and when.
    fn listen(secs: f64, losses: &[(f64, f64)]) -> Vec<(f64, Lost)> {
        let mut pace = Pace::new(48_000);
        let mut said = Vec::new();
        let (mut frames, mut heard_until, mut next) = (0_u64, 0.0, 0);
        let mut now = 0.0;
        for n in 0_u32.. {
            now += 0.005 + 0.005 * f64::from(n * 7_919 % 10) / 10.0;
            if now > secs {
                break;
            }
            if let Some((_, much)) = losses.get(next).filter(|(at, _)| now >= *at) {
                pace.lose(frames);
                heard_until += much;
                next += 1;
            }
            let mut arrived = false;
            while heard_until + 0.02 <= now {
                heard_until += 0.02;
                frames += 960;
                arrived = true;
            }
            if arrived {
                pace.see(now, frames);
            }
            said.extend(pace.lost(now).map(|lost| (now, lost)));
        }
        said
    }

    #[test]
    fn a_loss_is_measured_by_the_clock_to_within_a_callback() {
        for much in [0.04, 0.15, 1.2] {
            let said = listen(40.0, &[(0.5, much), (20.0, much)]);
            assert_eq!(said.len(), 2, "{said:?}");
            for ((at, lost), begun) in said.iter().zip([0.5, 20.0]) {
                let Lost::Secs(secs) = lost else { panic!("{said:?}") };
                assert!((secs - much).abs() < 0.01 && (0.0..much + 0.5).contains(&(at - begun)), "{said:?}");
            }
        }
        assert!(listen(60.0, &[]).is_empty());
    }

    #[test]
    fn what_cannot_be_measured_is_told_once_a_minute() {
        let losses: Vec<(f64, f64)> = (1..150).map(|n| (f64::from(n), 0.001)).collect();
        let said = listen(150.0, &losses);
        assert!(said.len() == 3 && said.iter().all(|(_, lost)| *lost == Lost::Unmeasured), "{said:?}");
        assert!(said.windows(2).all(|pair| (TELL_EVERY_SECS..TELL_EVERY_SECS + 2.0).contains(&(pair[1].0 - pair[0].0))), "{said:?}");
    }

    #[test]
    fn a_loss_before_anything_arrived_is_told_and_not_measured() {
        let mut pace = Pace::new(16_000);
        pace.lose(0);
        assert_eq!(pace.lost(5.0), None, "nothing has arrived since");
        pace.see(5.0, 320);
        assert_eq!(pace.lost(5.1), None);
        assert_eq!(pace.lost(5.2), Some(Lost::Unmeasured));
    }
}
