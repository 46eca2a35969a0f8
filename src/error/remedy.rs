//! The actions that help after an error.

use std::io;

use serde::{Deserialize, Serialize};

/// An action of the user that helps after an error.
///
/// The serialised name, for example `free_disk`, stands in the field `remedy` of a `problem` event. The window words each remedy in
/// its string tables, the command line by [`Remedy::command_line_text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Look up the commands and options in `hearken --help`.
    CheckCommandLine,
    /// Correct the settings, modes or catalogue file that the message names.
    CorrectFile,
    /// Download the model.
    DownloadModel,
    /// Download the damaged model again, or choose another one.
    ReplaceModel,
    /// Choose another model.
    ChooseOtherModel,
    /// Run the model in 32-bit floats (`--precision f32`).
    UseFloatPrecision,
    /// Compute on the processor (without `--device`), or choose 16-bit floats (`--precision bf16`).
    ChangeDeviceOrPrecision,
    /// Make the quantised weights of the model again (`hearken model quantize`).
    QuantiseAgain,
    /// Check the internet connection and try again.
    CheckConnection,
    /// Allow downloads again by unsetting `HF_HUB_OFFLINE`.
    GoOnline,
    /// Set `HF_TOKEN` to a token of an account that may read the repository.
    SetToken,
    /// Convert the recording to a supported audio format.
    ConvertAudio,
    /// Read the recording with ffmpeg, which is installed.
    ReadWithFfmpeg,
    /// Choose an audio file, or another copy of it.
    ChooseAudioFile,
    /// Check the path that was given.
    CheckPath,
    /// Choose a writable folder for the download cache (`HF_HOME`).
    SetCacheFolder,
    /// Record a shorter spoken instruction for the user's own mode.
    ShortenInstruction,
    /// Look at the list of past sessions (`hearken history list`).
    ListSessions,
    /// Plug in a microphone or choose another input.
    ChooseInput,
    /// Unmute the microphone or turn it up in the system's sound settings, or choose another input.
    UnmuteInput,
    /// Plug in a loudspeaker or choose another output.
    ChooseOutput,
    /// Allow Hearken to use the microphone: group `audio` on Linux, the privacy settings elsewhere.
    AllowMicrophone,
    /// Quit the Hearken that is running, or start without options.
    QuitFirst,
    /// Close the program that holds the device or file.
    CloseThatProgram,
    /// Check that the sound device is plugged in and switched on.
    CheckDevice,
    /// Start the sound server (PulseAudio or PipeWire), or check that there is a sound card.
    StartSoundServer,
    /// Choose another profile of the sound device in the system's sound settings.
    ChangeSoundProfile,
    /// Try again, and restart the sound system if that fails.
    RestartSoundSystem,
    /// Start Hearken in a desktop session.
    StartDesktopSession,
    /// Install the speech synthesiser espeak-ng.
    InstallEspeak,
    /// Free disk space.
    FreeDisk,
    /// Choose another place for the output.
    ChooseOtherPlace,
    /// Allow reading and writing of the named file or folder.
    AllowAccess,
    /// Close other programs, which take the processor or memory, and try again.
    CloseOtherPrograms,
    /// Free memory, or choose a smaller model or a lower precision.
    ReduceMemory,
    /// Switch modes off, or choose a smaller model or a lower precision.
    ReduceLoad,
    /// Update the graphics driver, or compute on the processor.
    UpdateGraphicsDriver,
    /// Install a newer Hearken.
    UpdateHearken,
    /// Restart Hearken and report the message if the fault comes back.
    RestartHearken,
}

impl Remedy {
    /// Returns the remedy for a failed write: for a full disk, a missing permission or an unusable path; None for other causes.
    #[must_use]
    pub fn for_write(cause: &io::Error) -> Option<Self> {
        use io::ErrorKind as Cause;
        match cause.kind() {
            Cause::StorageFull | Cause::QuotaExceeded => Some(Self::FreeDisk),
            Cause::PermissionDenied => Some(Self::AllowAccess),
            Cause::NotFound | Cause::NotADirectory | Cause::IsADirectory | Cause::ReadOnlyFilesystem | Cause::FileTooLarge => {
                Some(Self::ChooseOtherPlace)
            }
            _ => None,
        }
    }

    /// Returns the remedy as one sentence for a person at a command line, with options and commands by name.
    #[must_use]
    pub const fn command_line_text(self) -> &'static str {
        match self {
            Self::CheckCommandLine => "See `hearken --help`.",
            Self::CorrectFile => "Correct the file.",
            Self::DownloadModel => "Download it with `hearken model download`.",
            Self::ReplaceModel => "Download the model again, or choose another one with --model.",
            Self::ChooseOtherModel => "Choose another model (--model).",
            Self::UseFloatPrecision => "Use --precision f32.",
            Self::ChangeDeviceOrPrecision => "Leave out --device, or use --precision bf16.",
            Self::QuantiseAgain => "Make it again with `hearken model quantize`.",
            Self::CheckConnection => "Check the internet connection, then try again.",
            Self::GoOnline => "Unset HF_HUB_OFFLINE.",
            Self::SetToken => "Set HF_TOKEN to a token of an account that may read the repository.",
            Self::ReadWithFfmpeg => "Add --ffmpeg to read it with ffmpeg, which is installed.",
            Self::ConvertAudio => "Convert it on the way: ffmpeg -i FILE -f wav - | hearken listen -",
            Self::ChooseAudioFile => "Name an audio file, or another copy of it.",
            Self::CheckPath => "Check the path.",
            Self::SetCacheFolder => "Set HF_HOME to a folder that can be written.",
            Self::ShortenInstruction => "Record a shorter instruction.",
            Self::ListSessions => "`hearken history list` shows the sessions.",
            Self::ChooseInput => "Plug in a microphone, or choose another input (`hearken devices` lists them).",
            Self::UnmuteInput => {
                "Unmute it or turn it up in the system's sound settings, or choose another input (`hearken devices` lists them)."
            }
            Self::ChooseOutput => "Plug in a loudspeaker, or choose another output (`hearken devices` lists them).",
            Self::AllowMicrophone if cfg!(target_os = "linux") => "Join the group `audio`, and check that no sandbox forbids it.",
            Self::AllowMicrophone => "Allow Hearken to use the microphone in the system's privacy settings.",
            Self::QuitFirst => "Quit it first, or use `hearken listen`.",
            Self::CloseThatProgram => "Close that program.",
            Self::CheckDevice => "Check that the device is plugged in and switched on.",
            Self::StartSoundServer => "Start PulseAudio or PipeWire, or check that this machine has a sound card.",
            Self::ChangeSoundProfile => "Choose another profile for the device in the system's sound settings.",
            Self::RestartSoundSystem => "Try again; restart the sound system if that does not help.",
            Self::StartDesktopSession => "Start Hearken in a desktop session, or use `hearken listen`, which needs no display.",
            Self::InstallEspeak => "Install espeak-ng.",
            Self::FreeDisk => "Free disk space.",
            Self::ChooseOtherPlace => "Choose another place.",
            Self::AllowAccess => "Allow reading and writing there, or choose another place.",
            Self::CloseOtherPrograms => "Close other programs, then try again.",
            Self::ReduceMemory => "Close other programs, or choose a smaller model or a lower --precision.",
            Self::ReduceLoad => "Close other programs, switch a mode off, or choose a smaller model or a lower --precision.",
            Self::UpdateGraphicsDriver => "Update the graphics driver, or use --device cpu.",
            Self::UpdateHearken => "Update Hearken.",
            Self::RestartHearken => "Restart Hearken; if it happens again, report it with this message.",
        }
    }
}
