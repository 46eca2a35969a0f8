//! Wall time as text, and its mapping to stream time. Pure: the caller passes the time.

use super::StreamTime;

/// Number of milliseconds in a second.
const MS: i64 = 1_000;
/// Number of seconds in a day.
const DAY_SECS: i64 = 86_400;

/// Returns the date and time `ms` (milliseconds since 1970, UTC) as `2026-11-23 14:02:11`, with the time zone's `offset_secs`
/// added.
#[must_use]
pub fn date_and_time(ms: i64, offset_secs: i64) -> String {
    let secs = ms.div_euclid(MS).saturating_add(offset_secs);
    format!("{} {}", date(secs.div_euclid(DAY_SECS)), time_of_day(ms, offset_secs))
}

/// Returns the time of day of `ms` (milliseconds since 1970, UTC) as `14:02:11`, with the time zone's `offset_secs` added.
#[must_use]
pub fn time_of_day(ms: i64, offset_secs: i64) -> String {
    let second = ms.div_euclid(MS).saturating_add(offset_secs).rem_euclid(DAY_SECS);
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// Returns the date and time `ms` (milliseconds since 1970, UTC) as `2026-11-23T09:41:50Z`.
#[must_use]
pub fn utc(ms: i64) -> String {
    format!("{}T{}Z", date(ms.div_euclid(DAY_SECS * MS)), time_of_day(ms, 0))
}

/// Returns the day `days` days after 1970-01-01 as `2026-11-23`. Algorithm: `civil_from_days` in H. Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms".
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

/// The mapping between stream time and wall time of one session. The wall time is known at anchors, which the caller sets at the
/// start of a live session and after each break (pause, gap); from an anchor on, both times advance equally.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    /// Stream times with their wall times (milliseconds since 1970, UTC), in order of stream time.
    anchors: Vec<(StreamTime, i64)>,
}

impl WallClock {
    /// Adds an anchor: at stream time `at` the wall time was `ms` (milliseconds since 1970, UTC). Ignores an `at` before the last
    /// anchor.
    pub fn anchor(&mut self, at: StreamTime, ms: i64) {
        if self.anchors.last().is_none_or(|(last, _)| *last <= at) {
            self.anchors.push((at, ms));
        }
    }

    /// Returns the wall time at stream time `at`, in milliseconds since 1970, UTC. Before the first anchor returns the wall time of
    /// the first anchor. Returns None if there is no anchor.
    #[must_use]
    pub fn ms(&self, at: StreamTime) -> Option<i64> {
        let place = self.anchors.partition_point(|(from, _)| *from <= at).saturating_sub(1);
        let (from, ms) = self.anchors.get(place)?;
        Some(ms + (at.secs_since(*from) * MS as f64) as i64)
    }

    /// Returns the stream time at wall time `ms` (milliseconds since 1970, UTC). For a wall time before the first anchor returns the
    /// stream time of that anchor; for a wall time within a pause, the stream time of the pause. Returns None if there is no anchor.
    #[must_use]
    pub fn at(&self, ms: i64) -> Option<StreamTime> {
        let place = self.anchors.partition_point(|(_, known)| *known <= ms).saturating_sub(1);
        let (from, known) = self.anchors.get(place)?;
        let samples = (ms - known).max(0) as u64 * u64::from(super::SAMPLE_RATE_HZ) / MS as u64;
        let at = StreamTime::from_samples(from.0.0 + samples);
        Some(self.anchors.get(place + 1).map_or(at, |(next, _)| at.min(*next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar_also_before_1970_and_with_an_offset() {
        assert_eq!(date_and_time(0, 0), "1970-01-01 00:00:00");
        assert_eq!(date_and_time(951_782_399_000, 0), "2000-02-28 23:59:59");
        assert_eq!(date_and_time(951_782_400_000, 0), "2000-02-29 00:00:00");
        assert_eq!(date_and_time(1_795_447_331_000, 3_600), "2026-11-23 16:22:11");
        assert_eq!(date_and_time(-1_000, 0), "1969-12-31 23:59:59");
        assert_eq!(utc(1_795_447_331_000), "2026-11-23T15:22:11Z");
        assert_eq!(date_and_time(1_795_447_331_000, 3_600 * 10), "2026-11-24 01:22:11");
    }

    #[test]
    fn wall_time_jumps_over_a_pause_and_maps_back_to_its_start() {
        let secs = |s: u64| StreamTime::from_samples(s * 16_000);
        let mut clock = WallClock::default();
        assert_eq!((clock.ms(secs(5)), clock.at(0)), (None, None));
        clock.anchor(secs(0), 100_000);
        clock.anchor(secs(10), 500_000);
        assert_eq!((clock.ms(secs(9)), clock.ms(secs(10)), clock.ms(secs(11))), (Some(109_000), Some(500_000), Some(501_000)));
        assert_eq!((clock.at(109_000), clock.at(501_000), clock.at(5)), (Some(secs(9)), Some(secs(11)), Some(secs(0))));
        assert_eq!(clock.at(300_000), Some(secs(10)), "a time within the pause");
    }
}
