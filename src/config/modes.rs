//! The modes as data: for each its instruction, the panel of its responses, its handling of a backlog.
//!
//! Defines the built-in modes and replaces their clips by the user's. The user's own modes come from
//! `modes_file`. Not responsible for decoding a clip.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::protocol::{Language, Panel};

/// A task that the user can switch on; each mode that is on has a lane (a context and replies) of its own (`src/README.md`
/// "Lanes").
#[derive(Clone, Debug, PartialEq)]
pub struct Mode {
    /// Name of the mode, as in `--modes`, settings and events.
    pub name: String,
    /// Instruction as text, shown to people (the model hears the clip); None for dialog.
    pub instruction: Option<String>,
    /// Instruction as speech, fed to the model as the prompt of the mode.
    pub clip: InstructionClip,
    /// Panel of the window that shows the responses.
    pub panel: Panel,
    /// Handling of chunks (0.4 s) that waited while the mode generated a reply.
    pub catch_up: CatchUp,
    /// Bias added to the respond logit, -1,000 to 1,000; 0 leaves the decision to the model.
    pub eagerness: f32,
}

/// The spoken instruction of a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstructionClip {
    /// No instruction: the default behaviour of the model.
    None,
    /// A built-in clip: the bytes of a 16 kHz mono WAV file.
    Builtin(&'static [u8]),
    /// An audio file of the user, which may not exist any more.
    File(PathBuf),
}

/// The handling of chunks that waited during a reply (`src/README.md` "Time, loss and order").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Feed the waiting chunks with `silent` forced, up to four in a pass, and decide only at the last.
    #[default]
    Drain,
    /// Decide at every chunk, also at those that waited.
    EveryChunk,
}

/// Name of the mode that answers and speaks up on its own.
pub const DIALOG: &str = "dialog";
/// Name of the mode that transcribes speech.
pub const TRANSCRIBE: &str = "transcribe";
/// Name of the mode that translates speech.
pub const TRANSLATE: &str = "translate";
/// Name of the mode that describes sounds.
pub const SOUNDS: &str = "sounds";

/// Names of the built-in modes by priority, most important first: the order of the window, and of the modes that a machine too slow
/// for all of them runs.
pub const BUILT_IN: [&str; 4] = [DIALOG, TRANSCRIBE, TRANSLATE, SOUNDS];

/// Names of the modes that are on by default with the starter model.
pub const DEFAULT_ON: [&str; 2] = [DIALOG, TRANSCRIBE];

/// Returns the built-in modes in the order of [`BUILT_IN`], `translate` into `translate_to`. A file `transcribe.wav`,
/// `translate_zh.wav`, `translate_en.wav` or `sounds.wav` in the folder `instructions` replaces the built-in clip.
///
/// The wording follows the model's training examples (`src/README.md` "Lanes").
#[must_use]
pub fn builtin(translate_to: Language, instructions: &Path) -> Vec<Mode> {
    let (translate_text, translate_clip, translate_name) = match translate_to {
        Language::Chinese => ("Translate the conversation into Chinese.", TRANSLATE_ZH_WAV, "translate_zh"),
        Language::English => ("Translate the conversation into English.", TRANSLATE_EN_WAV, "translate_en"),
    };
    let spoken = |name: &str, text: &str, wav: &'static [u8], clip: &str, panel: Panel| Mode {
        name: name.to_owned(),
        instruction: Some(text.to_owned()),
        clip: user_clip(instructions, clip).map_or(InstructionClip::Builtin(wav), InstructionClip::File),
        panel,
        catch_up: CatchUp::EveryChunk,
        eagerness: 0.0,
    };
    vec![
        Mode {
            name: DIALOG.to_owned(),
            instruction: None,
            clip: InstructionClip::None,
            panel: Panel::Conversation,
            catch_up: CatchUp::Drain,
            eagerness: 0.0,
        },
        spoken(TRANSCRIBE, "Transcribe what you hear.", TRANSCRIBE_WAV, "transcribe", Panel::Transcript),
        spoken(TRANSLATE, translate_text, translate_clip, translate_name, Panel::Translation),
        spoken(SOUNDS, "Describe what you hear.", SOUNDS_WAV, "sounds", Panel::Sounds),
    ]
}

/// Returns the target language of the mode `translate` in `modes`, known by its instruction; Chinese without such a mode.
#[must_use]
pub fn language_of(modes: &[Mode]) -> Language {
    let english = builtin(Language::English, Path::new("")).into_iter().find(|mode| mode.name == TRANSLATE);
    let found = modes.iter().find(|mode| mode.name == TRANSLATE);
    if english.zip(found).is_some_and(|(english, found)| english.instruction == found.instruction) {
        Language::English
    } else {
        Language::Chinese
    }
}

/// Returns the path of `NAME.wav` in the folder `instructions`; None if there is no such file.
pub(super) fn user_clip(instructions: &Path, name: &str) -> Option<PathBuf> {
    let path = instructions.join(format!("{name}.wav"));
    path.is_file().then_some(path)
}

/// Built-in spoken instruction of the mode `transcribe`: a 16 kHz mono WAV file.
const TRANSCRIBE_WAV: &[u8] = include_bytes!("../../assets/instructions/transcribe.wav");
/// Built-in spoken instruction of the mode `translate` into Chinese: a 16 kHz mono WAV file.
const TRANSLATE_ZH_WAV: &[u8] = include_bytes!("../../assets/instructions/translate_zh.wav");
/// Built-in spoken instruction of the mode `translate` into English: a 16 kHz mono WAV file.
const TRANSLATE_EN_WAV: &[u8] = include_bytes!("../../assets/instructions/translate_en.wav");
/// Built-in spoken instruction of the mode `sounds`: a 16 kHz mono WAV file.
const SOUNDS_WAV: &[u8] = include_bytes!("../../assets/instructions/sounds.wav");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_clip_is_16_khz_mono_16_bit_and_a_few_seconds_long() {
        for wav in [TRANSCRIBE_WAV, TRANSLATE_ZH_WAV, TRANSLATE_EN_WAV, SOUNDS_WAV] {
            let half = |at: usize| u16::from_le_bytes([wav[at], wav[at + 1]]);
            // The canonical 44-byte header: format PCM, channels, rate, bits.
            assert_eq!((&wav[..4], &wav[36..40]), (&b"RIFF"[..], &b"data"[..]));
            assert_eq!((half(20), half(22), half(24), half(34)), (1, 1, 16_000, 16));
            let samples: Vec<i16> = wav[44..].chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
            assert!((16_000..64_000).contains(&samples.len()), "{} samples", samples.len());
            let peak = samples.iter().map(|s| s.unsigned_abs()).max().expect("samples");
            // -3 dBFS, within the error of rounding and filters.
            assert!((22_000..24_500).contains(&peak), "peak {peak}");
        }
    }

    #[test]
    fn a_users_clip_replaces_the_built_in_clip_of_its_name_only() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("translate_en.wav"), b"anything").expect("written");
        let clip_of =
            |language, name: &str| builtin(language, folder.path()).into_iter().find(|mode| mode.name == name).expect("the mode").clip;
        assert_eq!(clip_of(Language::English, TRANSLATE), InstructionClip::File(folder.path().join("translate_en.wav")));
        assert_eq!(clip_of(Language::Chinese, TRANSLATE), InstructionClip::Builtin(TRANSLATE_ZH_WAV));
        assert_eq!(clip_of(Language::English, SOUNDS), InstructionClip::Builtin(SOUNDS_WAV));
    }

    #[test]
    fn the_target_language_is_recovered_from_the_modes() {
        for language in [Language::Chinese, Language::English] {
            assert_eq!(language_of(&builtin(language, Path::new("/nowhere"))), language);
        }
    }

    #[test]
    fn only_dialog_has_no_instruction() {
        for mode in builtin(Language::default(), Path::new("/nowhere")) {
            assert_eq!(mode.name == DIALOG, mode.clip == InstructionClip::None, "{}", mode.name);
            assert_eq!(mode.instruction.is_none(), mode.clip == InstructionClip::None, "{}", mode.name);
        }
    }
}
