//! The wall clock of the machine, for times that people read. Audio time comes from sample counts ([`time`](crate::time)).

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the milliseconds since 1970, in UTC; 0 if the clock of the machine is set before 1970.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or(0)
}

/// Returns the seconds by which local time is ahead of UTC now (negative west of Greenwich), as the program `date` prints it; 0 if
/// that program is missing or fails.
#[must_use]
pub fn local_offset_secs() -> i64 {
    let output = Command::new("date").arg("+%z").output().ok().filter(|out| out.status.success());
    output.and_then(|out| parse_offset(String::from_utf8_lossy(&out.stdout).trim())).unwrap_or(0)
}

/// Converts an offset such as `+0130` to seconds; None if the text is not a number.
fn parse_offset(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    Some((number / 100 * 60 + number % 100) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_of_date_is_converted_to_seconds() {
        assert_eq!((parse_offset("+0130"), parse_offset("-0800"), parse_offset("Z")), (Some(5_400), Some(-28_800), None));
    }
}
