//! What an error of the sound system means, in plain words, and what to do about it.
//!
//! Pure. Not responsible for acting on it, except for saying whether the stream is dead.

use crate::error::{Error, ErrorKind};

/// The error about the device called `name`.
pub(super) fn explain(name: &str, error: &cpal::Error) -> Error {
    Error::new(ErrorKind::InputDevice, format!("{name}: {}; {}", what(error), advice(error.kind())))
}

/// The error about the output called `name`.
pub(in crate::audio) fn explain_output(name: &str, error: &cpal::Error) -> Error {
    use cpal::ErrorKind as Kind;
    let text = match error.kind() {
        Kind::UnsupportedOperation => "it cannot play; choose a loudspeaker".to_owned(),
        Kind::PermissionDenied => "the system does not let Hearken play on it; allow it in the system's settings".to_owned(),
        kind => format!("{}; {}", what(error), advice(kind)),
    };
    Error::new(ErrorKind::OutputDevice, format!("{name}: {text}"))
}

/// The error about the sound system as a whole.
pub(super) fn cannot_list(error: &cpal::Error) -> Error {
    let what = match error.kind() {
        cpal::ErrorKind::PermissionDenied => "the system does not let Hearken use it".to_owned(),
        _ => what(error),
    };
    Error::new(ErrorKind::InputDevice, format!("the sound system cannot list its devices: {what}; {}", advice(error.kind())))
}

/// What happened, as the end of a sentence about the device.
pub(in crate::audio) fn what(error: &cpal::Error) -> String {
    use cpal::ErrorKind as Kind;
    let plain = match error.kind() {
        Kind::DeviceBusy => "another program is using it and does not share it",
        Kind::DeviceNotAvailable => "it is not there",
        Kind::HostUnavailable => "the sound system is not running",
        Kind::PermissionDenied => "the system does not let Hearken listen to it",
        Kind::ResourceExhausted => "the system has no memory, threads or open files left for it",
        Kind::UnsupportedOperation => "it cannot record",
        Kind::StreamInvalidated => "its settings were changed while it was in use",
        Kind::DeviceChanged => "the system moved on to another input",
        Kind::RealtimeDenied => "the system gives its thread no priority, so sound may be lost under load",
        Kind::Xrun => "some of its sound was lost because the machine was too busy",
        Kind::UnsupportedConfig | Kind::InvalidInput => return detailed("it offers no format that Hearken can take", error),
        _ => return detailed("the sound system failed", error),
    };
    plain.to_owned()
}

/// What a person can do about it, in the imperative.
fn advice(kind: cpal::ErrorKind) -> &'static str {
    use cpal::ErrorKind as Kind;
    match kind {
        Kind::DeviceBusy => "close that program",
        Kind::DeviceNotAvailable => "check that it is plugged in and switched on",
        Kind::HostUnavailable => "start PulseAudio or PipeWire, or check that this machine has a sound card",
        Kind::PermissionDenied if cfg!(target_os = "linux") => "check that you are in the group `audio` and that no sandbox forbids it",
        Kind::PermissionDenied => "allow Hearken to use the microphone in the system's privacy settings",
        Kind::ResourceExhausted | Kind::RealtimeDenied | Kind::Xrun => "close other programs",
        Kind::UnsupportedConfig | Kind::InvalidInput => "choose another profile for it in the system's sound settings",
        Kind::UnsupportedOperation => "choose a microphone",
        Kind::StreamInvalidated | Kind::DeviceChanged => "open it again",
        _ => "try again, and restart the sound system if that does not help",
    }
}

/// `plain`, with the sound system's own words where it has any.
fn detailed(plain: &str, error: &cpal::Error) -> String {
    error.message().map_or_else(|| plain.to_owned(), |own| format!("{plain} ({})", own.trim_end_matches('.')))
}

/// Whether the stream is dead after this error; the others are notes.
pub(in crate::audio) fn is_fatal(kind: cpal::ErrorKind) -> bool {
    !matches!(kind, cpal::ErrorKind::Xrun | cpal::ErrorKind::RealtimeDenied | cpal::ErrorKind::DeviceChanged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpal::ErrorKind as Kind;

    const KINDS: [Kind; 14] = [
        Kind::DeviceBusy,
        Kind::DeviceChanged,
        Kind::DeviceNotAvailable,
        Kind::HostUnavailable,
        Kind::InvalidInput,
        Kind::PermissionDenied,
        Kind::RealtimeDenied,
        Kind::ResourceExhausted,
        Kind::StreamInvalidated,
        Kind::UnsupportedConfig,
        Kind::UnsupportedOperation,
        Kind::Xrun,
        Kind::BackendError,
        Kind::Other,
    ];

    #[test]
    fn every_kind_is_one_sentence_that_names_the_device_and_what_to_do() {
        for kind in KINDS {
            for error in [cpal::Error::new(kind), cpal::Error::with_message(kind, "snd_pcm_open: errno -16.")] {
                let said = explain("USB Microphone", &error);
                assert!(said.message().starts_with("USB Microphone: ") && said.message().contains("; "), "{said}");
                assert!(!said.message().contains(['\n', '.', '!']), "one sentence: {said}");
                assert!(cannot_list(&error).message().starts_with("the sound system cannot list its devices: "));
            }
        }
    }

    #[test]
    fn each_common_trouble_has_words_of_its_own() {
        let said = |kind| explain("Mic", &cpal::Error::with_message(kind, "ENOENT")).message().to_owned();
        assert_eq!(said(Kind::DeviceBusy), "Mic: another program is using it and does not share it; close that program");
        assert_eq!(said(Kind::DeviceNotAvailable), "Mic: it is not there; check that it is plugged in and switched on");
        assert!(said(Kind::PermissionDenied).contains("does not let Hearken listen"));
        assert!(said(Kind::UnsupportedConfig).contains("no format that Hearken can take (ENOENT); choose another profile"));
        assert!(said(Kind::HostUnavailable).contains("start PulseAudio or PipeWire"));
        assert!(said(Kind::BackendError).contains("(ENOENT)"), "the only clue that there is");
    }

    #[test]
    fn a_loss_or_a_note_does_not_end_the_stream() {
        let notes: Vec<Kind> = KINDS.into_iter().filter(|kind| !is_fatal(*kind)).collect();
        assert_eq!(notes, [Kind::DeviceChanged, Kind::RealtimeDenied, Kind::Xrun]);
    }
}
