//! The time on the wall, which only people's eyes need: audio time comes from sample counts.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, in UTC; 0 where the machine's clock stands before that.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or(0)
}

/// Seconds by which local time is ahead of UTC, as the system's own `date` says; 0 where there is none.
#[must_use]
pub fn local_offset_secs() -> i64 {
    let said = Command::new("date").arg("+%z").output().ok().filter(|out| out.status.success());
    said.and_then(|out| parse_offset(String::from_utf8_lossy(&out.stdout).trim())).unwrap_or(0)
}

/// `+0130` in seconds.
fn parse_offset(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    Some((number / 100 * 60 + number % 100) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_local_time_is_read_as_date_prints_it() {
        assert_eq!((parse_offset("+0130"), parse_offset("-0800"), parse_offset("Z")), (Some(5_400), Some(-28_800), None));
    }
}
