//! Wall time as text, and its mapping to stream time. Pure: the caller passes the time.

use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, Unit};

use super::StreamTime;

pub use jiff::tz::TimeZone;

/// Milliseconds of a second.
const MS: i64 = 1_000;

/// Returns the date and time `ms` (milliseconds since 1970, UTC) in `zone` as `2026-11-23 14:02:11`; with ` UTC` behind it if the zone of
/// the system is not known, so that nobody takes it for local time.
#[must_use]
pub fn date_and_time(ms: i64, zone: &TimeZone) -> String {
    let unknown = if zone.is_unknown() { " UTC" } else { "" };
    format!("{}{unknown}", local(ms, zone).strftime("%Y-%m-%d %H:%M:%S"))
}

/// Returns the time of day of `ms` (milliseconds since 1970, UTC) in `zone` as `14:02:11`.
#[must_use]
pub fn time_of_day(ms: i64, zone: &TimeZone) -> String {
    local(ms, zone).strftime("%H:%M:%S").to_string()
}

/// Returns the time of day of `ms` (milliseconds since 1970, UTC) in `zone` without seconds, as `14:02`.
#[must_use]
pub fn hour_and_minute(ms: i64, zone: &TimeZone) -> String {
    local(ms, zone).strftime("%H:%M").to_string()
}

/// Returns the date and time `ms` (milliseconds since 1970, UTC) as `2026-11-23T09:41:50Z`.
#[must_use]
pub fn utc(ms: i64) -> String {
    local(ms, &TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A day of the calendar in a time zone, as people refer to it from another day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedDay {
    /// The day itself.
    Today,
    /// The day before.
    Yesterday,
    /// One of the six days before today, by its weekday: 0 is Monday.
    Weekday(usize),
    /// A day of the same year: month from 1, day of the month from 1.
    ThisYear(usize, i8),
    /// A day of another year: year, month from 1, day of the month from 1.
    Date(i16, usize, i8),
}

/// Returns the day of `ms` in `zone` as seen at `now_ms` (both in milliseconds since 1970, UTC). A time later than today is a date.
#[must_use]
pub fn named_day(ms: i64, now_ms: i64, zone: &TimeZone) -> NamedDay {
    let (day, today) = (local(ms, zone).date(), local(now_ms, zone).date());
    let month = usize::from(day.month().unsigned_abs());
    match days_between(day, today) {
        0 => NamedDay::Today,
        1 => NamedDay::Yesterday,
        2..=6 => NamedDay::Weekday(usize::from(day.weekday().to_monday_zero_offset().unsigned_abs())),
        _ if day.year() == today.year() => NamedDay::ThisYear(month, day.day()),
        _ => NamedDay::Date(day.year(), month, day.day()),
    }
}

/// Returns the number of days from `earlier` to `later`, negative if `earlier` is the later one.
fn days_between(earlier: Date, later: Date) -> i32 {
    earlier.until((Unit::Day, later)).map_or(i32::MAX, |span| span.get_days())
}

/// Returns the local date and time of `ms` (milliseconds since 1970, UTC) in `zone`; the nearest one that a calendar has for a time
/// outside the years −9999 to 9999.
fn local(ms: i64, zone: &TimeZone) -> DateTime {
    let least = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    zone.to_datetime(Timestamp::from_millisecond(ms).unwrap_or(least))
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
        let (utc_zone, east) = (TimeZone::UTC, |hours| TimeZone::fixed(jiff::tz::offset(hours)));
        assert_eq!(date_and_time(0, &utc_zone), "1970-01-01 00:00:00");
        assert_eq!(date_and_time(951_782_399_000, &utc_zone), "2000-02-28 23:59:59");
        assert_eq!(date_and_time(951_782_400_000, &utc_zone), "2000-02-29 00:00:00");
        assert_eq!(date_and_time(1_795_447_331_000, &east(1)), "2026-11-23 16:22:11");
        assert_eq!(date_and_time(-1_000, &utc_zone), "1969-12-31 23:59:59");
        assert_eq!(utc(1_795_447_331_000), "2026-11-23T15:22:11Z");
        assert_eq!(date_and_time(1_795_447_331_000, &east(10)), "2026-11-24 01:22:11");
        assert_eq!(date_and_time(0, &TimeZone::unknown()), "1970-01-01 00:00:00 UTC");
        assert!(date_and_time(i64::MAX, &utc_zone).starts_with("9999-12-30"), "no date is beyond the calendar's last");
    }

    /// Central European time, with summer time from the last Sunday in March to the last Sunday in October.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[test]
    fn each_date_has_the_offset_of_its_own_season() {
        let (july, december) = (1_783_000_800_000, 1_796_130_000_000);
        assert_eq!((utc(july), utc(december)), ("2026-07-02T14:00:00Z".into(), "2026-12-01T13:00:00Z".into()));
        assert_eq!((hour_and_minute(july, &berlin()), hour_and_minute(december, &berlin())), ("16:00".into(), "14:00".into()));
    }

    #[test]
    fn days_are_named_by_the_calendar_and_not_by_hours() {
        // Tuesday, 00:30 in Berlin.
        let now = 1_796_081_400_000;
        assert_eq!(date_and_time(now, &berlin()), "2026-12-01 00:30:00");
        let hours_ago = |hours: i64| named_day(now - hours * 3_600_000, now, &berlin());
        assert_eq!(
            [0, 1, 24, 25, 6 * 24, 7 * 24, 400 * 24, -24].map(hours_ago),
            [
                NamedDay::Today,
                NamedDay::Yesterday,
                NamedDay::Yesterday,
                NamedDay::Weekday(6),
                NamedDay::Weekday(2),
                NamedDay::ThisYear(11, 24),
                NamedDay::Date(2025, 10, 27),
                NamedDay::ThisYear(12, 2)
            ]
        );
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
