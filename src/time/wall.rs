//! Wall time as text, and where audio time lies on it. Pure: whoever knows the time passes it in.

use super::StreamTime;

/// A time as `2026-11-23 14:02:11`, with `offset_secs` added to UTC.
#[must_use]
pub fn date_and_time(ms: i64, offset_secs: i64) -> String {
    let secs = ms.div_euclid(1_000).saturating_add(offset_secs);
    format!("{} {}", date(secs.div_euclid(86_400)), time_of_day(ms, offset_secs))
}

/// A time of day as `14:02:11`, with `offset_secs` added to UTC.
#[must_use]
pub fn time_of_day(ms: i64, offset_secs: i64) -> String {
    let second = ms.div_euclid(1_000).saturating_add(offset_secs).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// A time as `2026-11-23T09:41:50Z`.
#[must_use]
pub fn utc(ms: i64) -> String {
    format!("{}T{}Z", date(ms.div_euclid(86_400_000)), time_of_day(ms, 0))
}

/// A day since 1970 as `2026-11-23`: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
fn date(days: i64) -> String {
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// From audio time to the time on the wall: a live session begins, and goes on after every break, at known times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    /// Audio time, and milliseconds since 1970 at that moment, in the order of audio time.
    anchors: Vec<(StreamTime, i64)>,
}

impl WallClock {
    /// Notes that it was `ms` (milliseconds since 1970, UTC) at `at`; a time before the one noted last says nothing new.
    pub fn anchor(&mut self, at: StreamTime, ms: i64) {
        if self.anchors.last().is_none_or(|(last, _)| *last <= at) {
            self.anchors.push((at, ms));
        }
    }

    /// Milliseconds since 1970 at `at`; None before anything is known.
    #[must_use]
    pub fn ms(&self, at: StreamTime) -> Option<i64> {
        let place = self.anchors.partition_point(|(from, _)| *from <= at).saturating_sub(1);
        let (from, ms) = self.anchors.get(place)?;
        Some(ms + (at.secs_since(*from) * 1e3) as i64)
    }

    /// The audio time at which it was `ms`: the first one, where the session stood still then. None before anything is known.
    #[must_use]
    pub fn at(&self, ms: i64) -> Option<StreamTime> {
        let place = self.anchors.partition_point(|(_, known)| *known <= ms).saturating_sub(1);
        let (from, known) = self.anchors.get(place)?;
        let samples = (ms - known).max(0) as u64 * u64::from(super::SAMPLE_RATE_HZ) / 1_000;
        let at = StreamTime::from_samples(from.0.0 + samples);
        Some(self.anchors.get(place + 1).map_or(at, |(next, _)| at.min(*next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date_and_time(0, 0), "1970-01-01 00:00:00");
        assert_eq!(date_and_time(951_782_399_000, 0), "2000-02-28 23:59:59");
        assert_eq!(date_and_time(951_782_400_000, 0), "2000-02-29 00:00:00");
        assert_eq!(date_and_time(1_795_447_331_000, 3_600), "2026-11-23 16:22:11");
        assert_eq!(date_and_time(-1_000, 0), "1969-12-31 23:59:59");
        assert_eq!(utc(1_795_447_331_000), "2026-11-23T15:22:11Z");
        assert_eq!(date_and_time(1_795_447_331_000, 3_600 * 10), "2026-11-24 01:22:11");
    }

    #[test]
    fn the_wall_clock_goes_on_after_a_pause() {
        let secs = |s: u64| StreamTime::from_samples(s * 16_000);
        let mut clock = WallClock::default();
        assert_eq!((clock.ms(secs(5)), clock.at(0)), (None, None));
        clock.anchor(secs(0), 100_000);
        clock.anchor(secs(10), 500_000);
        assert_eq!((clock.ms(secs(9)), clock.ms(secs(10)), clock.ms(secs(11))), (Some(109_000), Some(500_000), Some(501_000)));
        assert_eq!((clock.at(109_000), clock.at(501_000), clock.at(5)), (Some(secs(9)), Some(secs(11)), Some(secs(0))));
        assert_eq!(clock.at(300_000), Some(secs(10)), "it was paused then");
    }
}
