//! The modes as data: what a lane is opened with, where its responses are shown, how it catches up.
//!
//! Responsible for the built-in modes and for the clips that the user puts in their place. The user's own modes come
//! from [`modes_file`](super::modes_file). Not responsible for what a clip sounds like: the engine reads it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A task that the user can switch on; each becomes a lane of the engine (DESIGN.md "Lanes").
#[derive(Clone, Debug, PartialEq)]
pub struct Mode {
    /// The name, as typed with `--modes` and as it stands in events.
    pub name: String,
    /// The instruction in words; absent for dialog.
    pub instruction: Option<String>,
    /// The instruction as it is spoken into the stream when the lane opens.
    pub clip: InstructionClip,
    /// Where its responses are shown.
    pub panel: Panel,
    /// What it does with chunks that waited during a reply.
    pub catch_up: CatchUp,
    /// Bias added to the respond logit; 0 is the model's own judgement.
    pub eagerness: f32,
}

/// The spoken instruction of a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstructionClip {
    /// No instruction: the model's own behaviour.
    None,
    /// A clip that is built in: the bytes of a 16 kHz mono WAV file.
    Builtin(&'static [u8]),
    /// A clip of the user's.
    File(PathBuf),
}

/// What a lane does with the chunks that queued while it replied (DESIGN.md "Time, loss and order").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Feed them with `silent` forced, up to four a pass, and decide at the last.
    #[default]
    Drain,
    /// Decide at every one.
    EveryChunk,
}

/// Name of the mode that answers and reacts on its own.
pub const DIALOG: &str = "dialog";
/// Name of the mode that writes down what is said.
pub const TRANSCRIBE: &str = "transcribe";
/// Name of the mode that translates what is said.
pub const TRANSLATE: &str = "translate";
/// Name of the mode that names sounds.
pub const SOUNDS: &str = "sounds";

/// The modes that are built in, in their order.
pub const BUILT_IN: [&str; 4] = [DIALOG, TRANSCRIBE, TRANSLATE, SOUNDS];

/// The modes that are on when nothing else is said.
pub const DEFAULT_ON: [&str; 2] = [DIALOG, TRANSCRIBE];

pub use crate::protocol::Language;
use crate::protocol::Panel;

/// The built-in modes; a clip in the folder `instructions` takes the place of the built-in one of the same name.
///
/// The wording follows the model's own training examples (DESIGN.md "Lanes").
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

/// The language that the translate mode among `modes` translates into.
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

/// The user's clip of this name, where there is one.
pub(super) fn user_clip(instructions: &Path, name: &str) -> Option<PathBuf> {
    let path = instructions.join(format!("{name}.wav"));
    path.is_file().then_some(path)
}

const TRANSCRIBE_WAV: &[u8] = include_bytes!("../../assets/instructions/transcribe.wav");
const TRANSLATE_ZH_WAV: &[u8] = include_bytes!("../../assets/instructions/translate_zh.wav");
const TRANSLATE_EN_WAV: &[u8] = include_bytes!("../../assets/instructions/translate_en.wav");
const SOUNDS_WAV: &[u8] = include_bytes!("../../assets/instructions/sounds.wav");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_clip_is_16_khz_mono_16_bit_and_a_few_seconds_long() {
        for wav in [TRANSCRIBE_WAV, TRANSLATE_ZH_WAV, TRANSLATE_EN_WAV, SOUNDS_WAV] {
            let half = |at: usize| u16::from_le_bytes([wav[at], wav[at + 1]]);
            // The canonical 44-byte header: PCM, channels, rate, bits.
            assert_eq!((&wav[..4], &wav[36..40]), (&b"RIFF"[..], &b"data"[..]));
            assert_eq!((half(20), half(22), half(24), half(34)), (1, 1, 16_000, 16));
            let samples: Vec<i16> = wav[44..].chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
            assert!((16_000..64_000).contains(&samples.len()), "{} samples", samples.len());
            let peak = samples.iter().map(|s| s.unsigned_abs()).max().expect("samples");
            // -3 dBFS, give or take what rounding and filters do.
            assert!((22_000..24_500).contains(&peak), "peak {peak}");
        }
    }

    #[test]
    fn a_clip_of_the_users_takes_the_place_of_the_built_in_one_of_its_name_only() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("translate_en.wav"), b"anything").expect("written");
        let clip_of =
            |language, name: &str| builtin(language, folder.path()).into_iter().find(|mode| mode.name == name).expect("the mode").clip;
        assert_eq!(clip_of(Language::English, TRANSLATE), InstructionClip::File(folder.path().join("translate_en.wav")));
        assert_eq!(clip_of(Language::Chinese, TRANSLATE), InstructionClip::Builtin(TRANSLATE_ZH_WAV));
        assert_eq!(clip_of(Language::English, SOUNDS), InstructionClip::Builtin(SOUNDS_WAV));
    }

    #[test]
    fn the_language_is_known_from_the_modes() {
        for language in [Language::Chinese, Language::English] {
            assert_eq!(language_of(&builtin(language, Path::new("/nowhere"))), language);
        }
    }

    #[test]
    fn only_dialog_opens_without_an_instruction() {
        for mode in builtin(Language::default(), Path::new("/nowhere")) {
            assert_eq!(mode.name == DIALOG, mode.clip == InstructionClip::None, "{}", mode.name);
            assert_eq!(mode.instruction.is_none(), mode.clip == InstructionClip::None, "{}", mode.name);
        }
    }
}
