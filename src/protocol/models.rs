//! The state of models as an interface shows it: the catalogue, the progress of an installation, sizes and times as text.

use std::fmt;

use super::ModelChoice;
use crate::error::Error;

/// A model of the catalogue and its state on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// Name of the model in the catalogue and on the command line.
    pub name: String,
    /// Choice that makes a session listen with this model.
    pub choice: ModelChoice,
    /// Full name, for people.
    pub title: String,
    /// Description, one sentence.
    pub about: String,
    /// Abilities of the model, one line each.
    pub can: Vec<String>,
    /// Description and abilities in Chinese; empty fields are shown in English.
    pub zh: Wording,
    /// Licences; all of them must be accepted before the download.
    pub licences: Vec<Licence>,
    /// Source: address of the repository on the hub, a folder, or `built in`.
    pub source: String,
    /// Size of the download, in bytes: the catalogue's estimate until the hub has listed the files; 0 if unknown or not needed.
    pub download_bytes: u64,
    /// Approximate size of the prepared (quantised) weights, in bytes; 0 if unknown.
    pub prepared_bytes: u64,
    /// Approximate memory that the model needs, in bytes; 0 if unknown.
    pub memory_bytes: u64,
    /// True if the user has accepted the licences.
    pub accepted: bool,
    /// Presence of the model's files on this machine.
    pub state: ModelState,
}

/// The description of a model in another language than English; for an empty field the English text is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wording {
    /// Description, one sentence.
    pub about: String,
    /// Abilities, one line each.
    pub can: Vec<String>,
}

/// The description of a licence in another language than English; for an empty field the English text is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LicenceWording {
    /// Name of the licence.
    pub name: String,
    /// Summary of the licence.
    pub summary: String,
}

/// A licence that the user must accept before a model is downloaded.
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

/// The presence of a model's files on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelState {
    /// Nothing is downloaded.
    Absent,
    /// A part is downloaded, or everything but not yet verified.
    Begun {
        /// Size of what is downloaded so far, in bytes.
        bytes: u64,
    },
    /// The model is ready for use.
    Ready {
        /// Size of the downloaded and prepared files on disk, in bytes.
        bytes: u64,
    },
}

/// The progress of the installation of a model at one moment, or its result.
#[derive(Clone, Debug, PartialEq)]
pub struct InstallStatus {
    /// Current step.
    pub step: InstallStep,
    /// Number of bytes that the current step (downloading or preparing) has done.
    pub done: u64,
    /// Number of bytes of the whole current step; 0 if unknown.
    pub all: u64,
    /// Rate over the last 8 s, in bytes per second; 0 while paused or unknown.
    pub rate: f64,
    /// Estimated time until the current step is done, in seconds; None while the rate or the number of bytes is unknown.
    pub secs_left: Option<f64>,
    /// Precision chosen for the prepared weights; None until a measurement has decided, or if there is no measurement.
    pub chosen: Option<ChosenPrecision>,
    /// Note for the user on the step; None most of the time.
    pub note: Option<InstallNote>,
    /// Wait for the next attempt after a failure; None while nothing has failed.
    pub wait: Option<RetryWait>,
    /// Path of a file that is not the one in the catalogue, because the release has changed; None as long as all agree.
    pub changed_file: Option<String>,
    /// Result of the installation; None while it runs.
    pub end: Option<InstallEnd>,
}

/// The precision that was chosen for the prepared weights of a model, by measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenPrecision {
    /// Number of bits of a weight.
    pub bits: u32,
    /// Technical reason, which begins with the precision.
    pub reason: String,
}

/// A note for the user on a step of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallNote {
    /// Another program is downloading the same file, and this one waits for it.
    DownloadedElsewhere,
    /// The original files were deleted after the preparation.
    OriginalsDeleted {
        /// Number of bytes that became free.
        bytes: u64,
    },
}

impl fmt::Display for InstallNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DownloadedElsewhere => f.write_str("another program is downloading the same file"),
            Self::OriginalsDeleted { bytes } => write!(f, "{} of original files deleted", size(*bytes)),
        }
    }
}

/// The wait for the next attempt of a download after a failure that may pass.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryWait {
    /// Place of the failure.
    pub place: FaultPlace,
    /// Technical reason of the failure.
    pub why: String,
    /// Time until the next attempt, in seconds.
    pub secs_left: f64,
}

/// The place of a failure of a download that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPlace {
    /// The connection to the hub: none can be made, it broke, or nothing comes.
    Connection,
    /// The hub, which answers that it cannot serve now.
    Hub,
}

/// Facts about this machine that matter for the choice of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineFacts {
    /// Free space on the disk of downloads, in bytes; None if the system does not say.
    pub free_bytes: Option<u64>,
    /// Memory of the machine, in bytes; None if the system does not say.
    pub memory_bytes: Option<u64>,
    /// Number of built-in modes of the released model that keep up here, by a measurement; None before the measurement.
    pub release_modes: Option<usize>,
}

/// The steps of installing a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InstallStep {
    /// Asking the hub for the list of files.
    #[default]
    Asking,
    /// Measuring this machine to choose a precision, or checksumming the prepared weights.
    Checking,
    /// Downloading.
    Fetching,
    /// Downloading, paused by the user.
    Paused,
    /// Writing the prepared weights: quantising the downloaded ones.
    Preparing,
}

/// The result of installing a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallEnd {
    /// The model is ready for use.
    Done,
    /// Stopped by the user; downloaded files are kept.
    Stopped,
    /// The installation failed.
    Failed(Error),
}

/// Returns a size in kB, MB or GB (powers of 1,000) as text, with three significant digits at most; kB are rounded up.
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

/// Returns a changing size as text, with a fixed number of decimals for each unit so that the layout does not jump.
#[must_use]
pub fn moving_size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Returns a duration in seconds as text in its two largest units, for example `3 min 05 s`.
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
