//! The wall clock of the machine, for times that people read. Audio time comes from sample counts ([`time`](crate::time)).

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

/// Returns the milliseconds since 1970, in UTC; 0 if the clock of the machine is set before 1970.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or(0)
}

/// Returns the time zone of the system, with the offsets of all its dates; UTC if the system names none.
#[must_use]
pub fn local_zone() -> TimeZone {
    TimeZone::system()
}
