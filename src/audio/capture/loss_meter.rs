//! Measures lost sound: when the sound system reports an overrun without its length, and when frames stop and go on.
//!
//! Pure: the caller passes times, in seconds of a monotonic clock. A device delivers frames at the pace of the clock, so the
//! arrival time of a frame minus its position in the stream stays constant. A loss raises this offset by the length of the
//! lost sound. A late callback raises it too, so the minimum of many observations is used.

/// Time for which frames are observed after a loss before its length is taken, in seconds: four callbacks of the sound system.
const SETTLE_SECS: f64 = 0.2;
/// Time without frames after which sound may have been lost without a report, in seconds: six callbacks. A process that is stopped by a
/// signal is told of nothing.
const STALL_SECS: f64 = 0.3;
/// Shortest loss that is measured behind a stall, in seconds: a server that sends larger blocks from now on loses nothing.
const LEAST_STALL_LOSS_SECS: f64 = 0.1;
/// Length of a period whose minimum offset (arrival time of a frame minus its position) is kept, in seconds; two clocks drift apart by
/// about 0.5 ms in a period (100 ppm).
const PERIOD_SECS: f64 = 5.0;
/// Shortest loss that is measured, in seconds; a shorter one cannot be told from a late callback.
const LEAST_SECS: f64 = 0.02;
/// Shortest interval between two reports of losses too short to measure, in seconds.
const REPORT_INTERVAL_SECS: f64 = 60.0;

/// The meter of the losses of one stream. The sound system reports only that sound was lost, or nothing; the meter finds out how many
/// seconds, from the arrival times of the frames before and after the loss.
#[derive(Debug)]
pub(super) struct LossMeter {
    /// Sample rate of the stream, in Hz.
    rate_hz: f64,
    /// Minimum offset (arrival time of a frame minus its position) of the current period and of the previous one, in seconds.
    offsets: [f64; 2],
    /// End of the current period, in seconds of the caller's clock.
    period_end: f64,
    /// Loss that is being measured.
    pending: Option<PendingLoss>,
    /// Newest arrival: its time in seconds of the caller's clock, and the number of frames up to it.
    arrived: Option<(f64, u64)>,
    /// Time of the last report of a loss too short to measure, in seconds of the caller's clock.
    reported_at: Option<f64>,
}

/// The sign of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// The sound system reported a loss.
    Report,
    /// No frame arrived for a while; perhaps nothing was lost.
    Stall,
}

/// A loss whose length is being measured.
#[derive(Debug)]
struct PendingLoss {
    evidence: Evidence,
    /// Time of the last arrival before the loss, in seconds of the caller's clock.
    since: f64,
    /// Number of frames that arrived before the loss.
    frames: u64,
    /// Minimum offset of the frames before the loss, in seconds.
    offset_before: f64,
    /// Minimum offset of the frames after the loss, in seconds; infinite before the first one.
    offset_after: f64,
    /// Time at which the length is taken, in seconds of the caller's clock; infinite before the first frame after the loss.
    measured_at: f64,
}

/// The result of measuring a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum MeasuredLoss {
    /// Length of the lost sound, in seconds.
    Secs(f64),
    /// Shorter than 20 ms, which cannot be measured; returned at most once a minute.
    TooShort,
}

impl LossMeter {
    pub(super) fn new(rate_hz: u32) -> Self {
        let offsets = [f64::INFINITY; 2];
        Self { rate_hz: f64::from(rate_hz.max(1)), offsets, period_end: f64::NEG_INFINITY, pending: None, arrived: None, reported_at: None }
    }

    /// Notes that `frames` frames in all have arrived by `now`, in seconds. Call only when `frames` has grown.
    pub(super) fn observe(&mut self, now: f64, frames: u64) {
        let offset = now - frames as f64 / self.rate_hz;
        if let Some((at, before)) = self.arrived
            && now - at >= STALL_SECS
        {
            self.expect_loss(before, Evidence::Stall);
        }
        self.arrived = Some((now, frames));
        if let Some(loss) = &mut self.pending {
            if frames > loss.frames {
                // The measurement begins with the first frames after the loss.
                if loss.offset_after == f64::INFINITY {
                    loss.measured_at = now + SETTLE_SECS;
                }
                loss.offset_after = loss.offset_after.min(offset);
            }
            return;
        }
        if now >= self.period_end {
            self.offsets = [f64::INFINITY, self.offsets[0]];
            self.period_end = now + PERIOD_SECS;
        }
        self.offsets[0] = self.offsets[0].min(offset);
    }

    /// Notes that the sound system reported a loss after the first `frames` frames. Losses close together are measured as one.
    pub(super) fn report_loss(&mut self, frames: u64) {
        self.expect_loss(frames, Evidence::Report);
    }

    fn expect_loss(&mut self, frames: u64, evidence: Evidence) {
        let offset_before = self.offsets[0].min(self.offsets[1]);
        let (offset_after, measured_at) = (f64::INFINITY, f64::INFINITY);
        let since = self.arrived.map_or(0.0, |(at, _)| at);
        self.pending.get_or_insert(PendingLoss { evidence, since, frames, offset_before, offset_after, measured_at });
    }

    /// Returns the number of frames before the loss that is being measured: those behind it wait until its length is known. None
    /// without a loss.
    pub(super) fn loss_at(&self) -> Option<u64> {
        self.pending.as_ref().map(|loss| loss.frames)
    }

    /// Returns the time of the last arrival before the loss that is being measured, in seconds of the caller's clock.
    pub(super) fn loss_since(&self) -> Option<f64> {
        self.pending.as_ref().map(|loss| loss.since)
    }

    /// Returns the length of a loss once it is measured, 0.2 s after the first frames behind it (`now` is in seconds). Returns None until
    /// then, without a loss, for a stall without one, and for a loss too short to measure within a minute of another one.
    pub(super) fn measured(&mut self, now: f64) -> Option<MeasuredLoss> {
        let PendingLoss { evidence, offset_before, offset_after, .. } = self.pending.take_if(|loss| now >= loss.measured_at)?;
        self.offsets = [offset_after, f64::INFINITY];
        self.period_end = now + PERIOD_SECS;
        let secs = offset_after - offset_before;
        let least = if evidence == Evidence::Report { LEAST_SECS } else { LEAST_STALL_LOSS_SECS };
        if secs.is_finite() && secs >= least {
            return Some(MeasuredLoss::Secs(secs));
        }
        if evidence == Evidence::Stall {
            return None;
        }
        let reported_lately = self.reported_at.is_some_and(|at| now - at < REPORT_INTERVAL_SECS);
        if reported_lately {
            return None;
        }
        self.reported_at = Some(now);
        Some(MeasuredLoss::TooShort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates callbacks of 20 ms that are seen up to 10 ms late, with `losses` (time and length, in seconds). Returns the
    /// measurements and their times.
    fn measure(secs: f64, losses: &[(f64, f64)]) -> Vec<(f64, MeasuredLoss)> {
        let mut meter = LossMeter::new(48_000);
        let mut measured = Vec::new();
        let (mut frames, mut position, mut next) = (0_u64, 0.0, 0);
        let mut now = 0.0;
        for n in 0_u32.. {
            now += 0.005 + 0.005 * f64::from(n * 7_919 % 10) / 10.0;
            if now > secs {
                break;
            }
            if let Some((_, length)) = losses.get(next).filter(|(at, _)| now >= *at) {
                meter.report_loss(frames);
                position += length;
                next += 1;
            }
            let mut arrived = false;
            while position + 0.02 <= now {
                position += 0.02;
                frames += 960;
                arrived = true;
            }
            if arrived {
                meter.observe(now, frames);
            }
            measured.extend(meter.measured(now).map(|loss| (now, loss)));
        }
        measured
    }

    #[test]
    fn loss_is_measured_by_the_clock_to_within_a_callback() {
        for length in [0.04, 0.15, 1.2] {
            let measured = measure(40.0, &[(0.5, length), (20.0, length)]);
            assert_eq!(measured.len(), 2, "{measured:?}");
            for ((at, loss), begun) in measured.iter().zip([0.5, 20.0]) {
                let MeasuredLoss::Secs(secs) = loss else { panic!("{measured:?}") };
                assert!((secs - length).abs() < 0.01 && (0.0..length + 0.5).contains(&(at - begun)), "{measured:?}");
            }
        }
        assert!(measure(60.0, &[]).is_empty());
    }

    #[test]
    fn losses_too_short_to_measure_are_reported_once_a_minute() {
        let losses: Vec<(f64, f64)> = (1..150).map(|n| (f64::from(n), 0.001)).collect();
        let measured = measure(150.0, &losses);
        assert!(measured.len() == 3 && measured.iter().all(|(_, loss)| *loss == MeasuredLoss::TooShort), "{measured:?}");
        let interval = REPORT_INTERVAL_SECS..REPORT_INTERVAL_SECS + 2.0;
        assert!(measured.windows(2).all(|pair| interval.contains(&(pair[1].0 - pair[0].0))), "{measured:?}");
    }

    #[test]
    fn stall_with_a_loss_is_measured_and_one_without_is_not_reported() {
        // Callbacks stop at 10 s for 4 s; `kept` seconds of that arrive afterwards.
        let measure = |kept: f64| {
            let (mut meter, mut measured) = (LossMeter::new(48_000), Vec::new());
            for n in 0..1_000_u32 {
                let now = f64::from(n) * 0.02;
                if (10.0..14.0).contains(&now) {
                    continue;
                }
                let position = if now < 10.0 { now } else { now - 4.0 + kept };
                meter.observe(now, (position * 48_000.0).round() as u64);
                if n == 701 {
                    assert_eq!(meter.loss_at(), Some(479_040), "what came before");
                    assert!((meter.loss_since().unwrap() - 9.98).abs() < 1e-6);
                }
                measured.extend(meter.measured(now));
            }
            measured
        };
        assert!(matches!(measure(0.0)[..], [MeasuredLoss::Secs(secs)] if (secs - 4.0).abs() < 0.03), "{:?}", measure(0.0));
        assert!(matches!(measure(1.5)[..], [MeasuredLoss::Secs(secs)] if (secs - 2.5).abs() < 0.03), "{:?}", measure(1.5));
        assert_eq!(measure(4.0), []);
    }

    #[test]
    fn loss_before_the_first_frame_is_reported_but_not_measured() {
        let mut meter = LossMeter::new(16_000);
        meter.report_loss(0);
        assert_eq!(meter.measured(5.0), None, "no frame has arrived since");
        meter.observe(5.0, 320);
        assert_eq!(meter.measured(5.1), None);
        assert_eq!(meter.measured(5.2), Some(MeasuredLoss::TooShort));
    }
}
