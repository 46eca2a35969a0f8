//! Error messages for errors of the sound system. Pure.

use crate::error::{Error, ErrorKind, Remedy};

/// Returns the error for a failure of the input device `name`.
pub(super) fn input_error(name: &str, error: &cpal::Error) -> Error {
    Error::new(ErrorKind::InputDevice, format!("{name}: {}", cause(error))).with_remedy(remedy(error.kind()))
}

/// Returns the error for a failure of the output device `name`.
pub(in crate::audio) fn output_error(name: &str, error: &cpal::Error) -> Error {
    let (cause, remedy) = match error.kind() {
        cpal::ErrorKind::UnsupportedOperation => ("the device cannot play".to_owned(), Some(Remedy::ChooseOutput)),
        cpal::ErrorKind::PermissionDenied => (cause(error), None),
        kind => (cause(error), remedy(kind)),
    };
    Error::new(ErrorKind::OutputDevice, format!("{name}: {cause}")).with_remedy(remedy)
}

/// Returns the error for a sound system that cannot list its devices.
pub(super) fn listing_error(error: &cpal::Error) -> Error {
    let message = format!("the sound system cannot list its devices: {}", cause(error));
    Error::new(ErrorKind::InputDevice, message).with_remedy(remedy(error.kind()))
}

/// Returns the remedy for an error of the sound system, in the words for an input device; None if none is known.
const fn remedy(kind: cpal::ErrorKind) -> Option<Remedy> {
    use cpal::ErrorKind as Kind;
    match kind {
        Kind::DeviceBusy => Some(Remedy::CloseThatProgram),
        Kind::DeviceNotAvailable => Some(Remedy::CheckDevice),
        Kind::HostUnavailable => Some(Remedy::StartSoundServer),
        Kind::PermissionDenied => Some(Remedy::AllowMicrophone),
        Kind::ResourceExhausted | Kind::RealtimeDenied | Kind::Xrun => Some(Remedy::CloseOtherPrograms),
        Kind::UnsupportedConfig | Kind::InvalidInput => Some(Remedy::ChangeSoundProfile),
        Kind::UnsupportedOperation => Some(Remedy::ChooseInput),
        Kind::StreamInvalidated | Kind::DeviceChanged => None,
        _ => Some(Remedy::RestartSoundSystem),
    }
}

/// Returns the cause of an error as a clause without a capital letter or full stop.
pub(in crate::audio) fn cause(error: &cpal::Error) -> String {
    use cpal::ErrorKind as Kind;
    let plain = match error.kind() {
        Kind::DeviceBusy => "another program uses the device and does not share it",
        Kind::DeviceNotAvailable => "the device is not available",
        Kind::HostUnavailable => "the sound system is not running",
        Kind::PermissionDenied => "the system does not allow Hearken to use the device",
        Kind::ResourceExhausted => "the system is out of memory, threads or open files",
        Kind::UnsupportedOperation => "the device cannot record",
        Kind::StreamInvalidated => "the settings of the device changed while it was in use",
        Kind::DeviceChanged => "the system switched to another device",
        Kind::RealtimeDenied => "the system denies the audio thread real-time priority, so sound may be lost under load",
        Kind::Xrun => "sound was lost because the machine was too busy",
        Kind::UnsupportedConfig | Kind::InvalidInput => return detailed("the device has no format that Hearken supports", error),
        _ => return detailed("the sound system failed", error),
    };
    plain.to_owned()
}

/// Returns `plain`, with the sound system's own message in parentheses if there is one.
fn detailed(plain: &str, error: &cpal::Error) -> String {
    error.message().map_or_else(|| plain.to_owned(), |own| format!("{plain} ({})", own.trim_end_matches('.')))
}

/// Returns true if an error of this kind ends the stream; after others the stream continues.
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
    fn message_of_each_kind_is_one_sentence_that_names_the_device() {
        for kind in KINDS {
            for error in [cpal::Error::new(kind), cpal::Error::with_message(kind, "snd_pcm_open: errno -16.")] {
                for reported in [input_error("USB Microphone", &error), output_error("USB Microphone", &error)] {
                    assert!(reported.message().starts_with("USB Microphone: "), "{reported}");
                    assert!(!reported.message().contains(['\n', '.', '!', ';']), "one sentence: {reported}");
                }
                assert!(listing_error(&error).message().starts_with("the sound system cannot list its devices: "));
            }
        }
    }

    #[test]
    fn message_names_the_cause_and_quotes_the_sound_system_where_the_kind_is_vague() {
        let message = |kind| input_error("Mic", &cpal::Error::with_message(kind, "ENOENT")).message().to_owned();
        assert_eq!(message(Kind::DeviceBusy), "Mic: another program uses the device and does not share it");
        assert_eq!(message(Kind::DeviceNotAvailable), "Mic: the device is not available");
        assert!(message(Kind::PermissionDenied).contains("does not allow Hearken"));
        assert!(message(Kind::UnsupportedConfig).contains("no format that Hearken supports (ENOENT)"));
        assert!(message(Kind::HostUnavailable).contains("not running"));
        assert!(message(Kind::BackendError).contains("(ENOENT)"), "no other text describes the failure");
    }

    #[test]
    fn remedy_fits_the_cause_and_the_direction() {
        let input = |kind| input_error("Mic", &cpal::Error::new(kind)).remedy();
        let output = |kind| output_error("Speaker", &cpal::Error::new(kind)).remedy();
        assert_eq!((input(Kind::DeviceBusy), output(Kind::DeviceBusy)), (Some(Remedy::CloseThatProgram), Some(Remedy::CloseThatProgram)));
        assert_eq!((input(Kind::PermissionDenied), output(Kind::PermissionDenied)), (Some(Remedy::AllowMicrophone), None));
        assert_eq!(
            (input(Kind::UnsupportedOperation), output(Kind::UnsupportedOperation)),
            (Some(Remedy::ChooseInput), Some(Remedy::ChooseOutput))
        );
        assert_eq!(input(Kind::StreamInvalidated), None);
    }

    #[test]
    fn overruns_missing_priority_and_moved_streams_are_not_fatal() {
        let continuing: Vec<Kind> = KINDS.into_iter().filter(|kind| !is_fatal(*kind)).collect();
        assert_eq!(continuing, [Kind::DeviceChanged, Kind::RealtimeDenied, Kind::Xrun]);
    }
}
