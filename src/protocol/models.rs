//! The state of models as an interface shows it: the catalogue, the progress of an installation, sizes and times as text.

use super::ModelChoice;
use crate::error::Error;

/// A model of the catalogue and its state on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// Name of the model on the command line.
    pub name: String,
    /// Choice that listens with the model.
    pub choice: ModelChoice,
    /// Full name.
    pub title: String,
    /// Description, one sentence.
    pub about: String,
    /// Abilities, one line each.
    pub can: Vec<String>,
    /// Description and abilities in Chinese.
    pub zh: Wording,
    /// Licences; all of them must be accepted before the download.
    pub licences: Vec<Licence>,
    /// Address of the source.
    pub source: String,
    /// Size of the download, in bytes; 0 if unknown.
    pub download_bytes: u64,
    /// Size of the prepared weights, in bytes.
    pub prepared_bytes: u64,
    /// Memory that the model needs, in bytes.
    pub memory_bytes: u64,
    /// True if the user has accepted the licences.
    pub accepted: bool,
    /// State on this machine.
    pub state: ModelState,
}

/// The description of a model in another language; an empty field falls back to English.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wording {
    /// Description, one sentence.
    pub about: String,
    /// Abilities, one line each.
    pub can: Vec<String>,
}

/// The description of a licence in another language; an empty field falls back to English.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LicenceWording {
    /// Name of the licence.
    pub name: String,
    /// Summary of the licence.
    pub summary: String,
}

/// A licence that the user must accept.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// Name of the licence.
    pub name: String,
    /// Summary, in our own words.
    pub summary: String,
    /// Address of the full text.
    pub text: String,
    /// Name and summary in Chinese.
    #[serde(default)]
    pub zh: LicenceWording,
}

/// The state of a model on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelState {
    /// Nothing is downloaded.
    Absent,
    /// A part is downloaded.
    Begun {
        /// Size of that part, in bytes.
        bytes: u64,
    },
    /// The model is ready for use.
    Ready {
        /// Size on disk, in bytes.
        bytes: u64,
    },
}

/// The progress of installing a model.
#[derive(Clone, Debug, PartialEq)]
pub struct InstallStatus {
    /// Current step.
    pub step: InstallStep,
    /// Bytes of this step that are done.
    pub done: u64,
    /// Total bytes of this step; 0 if unknown.
    pub all: u64,
    /// Recent rate, in bytes per second.
    pub rate: f64,
    /// Estimated time until the step is done, in seconds.
    pub secs_left: Option<f64>,
    /// Chosen precision of the prepared weights and the reason, once a measurement has decided it.
    pub chosen: Option<String>,
    /// Message for the user, for example the reason for a wait.
    pub note: Option<String>,
    /// Result, once the installation has ended.
    pub end: Option<InstallEnd>,
}

/// The steps of installing a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InstallStep {
    /// Asking the hub for the list of files.
    #[default]
    Asking,
    /// Checking the files on this machine.
    Checking,
    /// Downloading.
    Fetching,
    /// Downloading, paused by the user.
    Paused,
    /// Preparing the weights.
    Preparing,
}

/// The result of installing a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallEnd {
    /// The model is ready.
    Done,
    /// Stopped by the user; downloaded files are kept.
    Stopped,
    /// The installation failed.
    Failed(Error),
}

/// Returns a size as text, with at most three significant digits.
#[must_use]
pub fn size(bytes: u64) -> String {
    // From here on, megabytes would round to 1,000.
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

/// Returns a changing size as text, with a fixed number of decimals so that the layout does not jump.
#[must_use]
pub fn moving_size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Returns a duration as text.
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
    fn a_size_has_at_most_three_significant_digits() {
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
