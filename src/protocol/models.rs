//! What a face is told about models: the catalogue as it stands on this machine, and how a download goes; sizes and times for
//! people.

use super::ModelChoice;

/// A model that can be had, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// What it is called on the command line.
    pub name: String,
    /// How to listen with it.
    pub choice: ModelChoice,
    /// Its name in full.
    pub title: String,
    /// What it is, in a sentence.
    pub about: String,
    /// What it can do, a line each.
    pub can: Vec<String>,
    /// The two in Chinese.
    pub zh: Wording,
    /// The terms under which it is had; all of them must be accepted before it is downloaded.
    pub licences: Vec<Licence>,
    /// Where it comes from.
    pub source: String,
    /// Bytes to download; 0 where that is not known before asking.
    pub download_bytes: u64,
    /// Bytes that the prepared weights take.
    pub prepared_bytes: u64,
    /// Bytes of memory that listening with it takes.
    pub memory_bytes: u64,
    /// Whether the user has accepted its licences.
    pub accepted: bool,
    /// How far it is.
    pub state: ModelState,
}

/// What a model is and can do, in another language; its own words stand where this says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wording {
    /// What it is, in a sentence.
    pub about: String,
    /// What it can do, a line each.
    pub can: Vec<String>,
}

/// The same of terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LicenceWording {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub summary: String,
}

/// Terms that the user accepts.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// Its name.
    pub name: String,
    /// What it is about, in our own words.
    pub summary: String,
    /// Where its text lies.
    pub text: String,
    /// Name and summary in Chinese.
    #[serde(default)]
    pub zh: LicenceWording,
}

/// How far a model is on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelState {
    /// Nothing of it is here.
    Absent,
    /// A part of it was downloaded.
    Begun {
        /// Bytes that are here.
        bytes: u64,
    },
    /// It can be listened with.
    Ready {
        /// Bytes that it takes on disk.
        bytes: u64,
    },
}

/// What is being done to get a model.
#[derive(Clone, Debug, PartialEq)]
pub struct InstallStatus {
    /// The step that it is at.
    pub step: InstallStep,
    /// Bytes of this step that are done.
    pub done: u64,
    /// Bytes of this step in all; 0 where that is not known.
    pub all: u64,
    /// Bytes a second, lately.
    pub rate: f64,
    /// Seconds until this step is done, at that rate.
    pub secs_left: Option<f64>,
    /// In what the weights are prepared and why, once that was decided by measuring.
    pub chosen: Option<String>,
    /// Something that the user should know, such as what is being waited for.
    pub note: Option<String>,
    /// How it ended.
    pub end: Option<InstallEnd>,
}

/// The steps in which a model is had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InstallStep {
    /// Asking the hub what there is.
    #[default]
    Asking,
    /// Checking what is here already.
    Checking,
    /// Downloading.
    Fetching,
    /// Downloading, but the user holds it.
    Paused,
    /// Making the weights smaller.
    Preparing,
}

/// How getting a model ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallEnd {
    /// It is ready.
    Done,
    /// The user stopped it; what was downloaded is kept.
    Stopped,
    /// It failed, in words.
    Failed(String),
}

/// A size for people: three digits at most, and none that says nothing.
#[must_use]
pub fn size(bytes: u64) -> String {
    // What rounds to a thousand megabytes is a gigabyte.
    let (number, unit) = match bytes {
        0..1_000_000 => return format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..999_500_000 => (bytes as f64 / 1e6, "MB"),
        _ => (bytes as f64 / 1e9, "GB"),
    };
    let decimals = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    let text = format!("{number:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {unit}")
}

/// A size that moves: always with the same decimals, so that nothing beside it jumps.
#[must_use]
pub fn moving_size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// A duration for people.
#[must_use]
pub fn duration(secs: f64) -> String {
    let secs = secs.clamp(0.0, 1e7).round() as u64;
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min {:02} s", secs / 60, secs % 60),
        _ => format!("{} h {:02} min", secs / 3_600, secs % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_the_digits_that_say_something() {
        for (bytes, text) in [
            (0, "0 kB"),
            (1, "1 kB"),
            (8_700_000, "8.7 MB"),
            (300_000_000, "300 MB"),
            (999_499_999, "999 MB"),
            (999_600_000, "1 GB"),
            (2_400_000_000, "2.4 GB"),
            (3_754_000_000, "3.75 GB"),
            (9_999_000_000, "10 GB"),
            (15_000_000_000, "15 GB"),
            (15_040_000_000, "15 GB"),
            (123_456_000_000, "123 GB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        assert_eq!((moving_size(5_000_000_000), moving_size(50_000_000)), ("5.00 GB".to_owned(), "50.0 MB".to_owned()));
    }
}
