//! The sessions of the past: what was heard and said, on disk, searchable, and gone when the user says so.
//!
//! Responsible for one SQLite file: the events of every session, and the lines that people search, which come from folding
//! those events. Decisions and timings are left out: they are five every two seconds and say nothing of what was heard. At
//! most half a second of events is ever only in memory ([`recorder`]). Not responsible for what is painted, nor for audio:
//! none is stored here.

mod commands;
mod recorder;
mod store;

pub use commands::run;
pub use recorder::{Recorder, Standing};
pub use store::{Found, LineKind, Session, Store};

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, in UTC.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or(0)
}

/// A time as `2026-11-23 14:02:11`, with `offset_secs` added to UTC.
#[must_use]
pub fn date_and_time(ms: i64, offset_secs: i64) -> String {
    let secs = ms.div_euclid(1_000) + offset_secs;
    let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    // Days to a date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date_and_time(0, 0), "1970-01-01 00:00:00");
        assert_eq!(date_and_time(951_782_399_000, 0), "2000-02-28 23:59:59");
        assert_eq!(date_and_time(951_782_400_000, 0), "2000-02-29 00:00:00");
        assert_eq!(date_and_time(1_795_447_331_000, 3_600), "2026-11-23 15:42:11");
        assert_eq!(date_and_time(-1_000, 0), "1969-12-31 23:59:59");
    }
}
