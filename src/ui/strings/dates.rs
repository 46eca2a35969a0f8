//! Dates, durations and counts as people say them.

use super::{Strings, fill, fill_all};
use crate::config::prefs::UiLanguage;
use crate::time::wall::{NamedDay, TimeZone, hour_and_minute, named_day};

/// Seconds of a minute and of an hour.
const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

/// The reader's calendar: the time zone, and the present, from which days get their names.
#[derive(Clone, Debug)]
pub(in crate::ui) struct Calendar {
    pub(in crate::ui) zone: TimeZone,
    /// Present time in milliseconds since 1970, UTC.
    pub(in crate::ui) now_ms: i64,
}

impl Strings {
    /// Returns the day of `ms` (milliseconds since 1970, UTC): `Today`, `Yesterday`, a weekday, or a date.
    pub(in crate::ui) fn day(&self, ms: i64, calendar: &Calendar) -> String {
        let month = |month: usize| self.months[(month - 1) % self.months.len()];
        let chinese = self.language_of_table == UiLanguage::Chinese;
        match named_day(ms, calendar.now_ms, &calendar.zone) {
            NamedDay::Today => self.today.to_owned(),
            NamedDay::Yesterday => self.yesterday.to_owned(),
            NamedDay::Weekday(day) => self.weekdays[day % self.weekdays.len()].to_owned(),
            NamedDay::ThisYear(m, day) if chinese => format!("{}{day}日", month(m)),
            NamedDay::ThisYear(m, day) => format!("{day} {}", month(m)),
            NamedDay::Date(year, m, day) if chinese => format!("{year}年{}{day}日", month(m)),
            NamedDay::Date(year, m, day) => format!("{day} {} {year}", month(m)),
        }
    }

    /// Returns day and time of `ms` (milliseconds since 1970, UTC), for example `Today, 19:20`.
    pub(in crate::ui) fn when(&self, ms: i64, calendar: &Calendar) -> String {
        fill_all(self.day_and_time, &[&self.day(ms, calendar), &hour_and_minute(ms, &calendar.zone)])
    }

    /// Returns a duration in seconds in its largest unit: seconds, minutes, or hours and minutes.
    pub(in crate::ui) fn length(&self, secs: f64) -> String {
        // Negative numbers become 0.
        match secs.round() as u64 {
            secs @ 0..MINUTE => fill(self.seconds, secs),
            secs @ MINUTE..HOUR => fill(self.minutes, (secs + MINUTE / 2) / MINUTE),
            secs => fill_all(self.hours, &[&(secs / HOUR), &(secs % HOUR / MINUTE)]),
        }
    }

    /// Returns the number of replies in words; `None` without a reply.
    pub(in crate::ui) fn replies(&self, count: usize) -> Option<String> {
        match count {
            0 => None,
            1 => Some(self.one_reply.to_owned()),
            _ => Some(fill(self.many_replies, count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{en, zh};
    use super::*;

    #[test]
    fn times_read_as_people_say_them_in_both_languages() {
        // Tuesday, 1 December 2026, 19:20 in a zone three hours east of Greenwich.
        let now_ms = 1_796_142_000_000;
        let calendar = Calendar { zone: TimeZone::posix("UTC-3").unwrap(), now_ms };
        let ago = |hours: i64| now_ms - hours * 3_600_000;
        let said = |s: &Strings| [0, 20, 48, 24 * 8, 24 * 400].map(|hours| s.when(ago(hours), &calendar));
        assert_eq!(said(&en::TABLE), ["Today, 19:20", "Yesterday, 23:20", "Sunday, 19:20", "23 November, 19:20", "27 October 2025, 19:20"]);
        assert_eq!(said(&zh::TABLE), ["今天 19:20", "昨天 23:20", "星期日 19:20", "11月23日 19:20", "2025年10月27日 19:20"]);
    }

    #[test]
    fn durations_and_counts_have_one_unit_and_the_right_number() {
        let s = &en::TABLE;
        assert_eq!([0.7, 42.0, 400.0, 7_500.0].map(|secs| s.length(secs)), ["1 s", "42 s", "7 min", "2 h 5 min"]);
        assert_eq!([0, 1, 97].map(|count| s.replies(count)), [None, Some("1 reply".into()), Some("97 replies".into())]);
    }
}
