//! The user's own modes, read from `modes.toml` with errors that name the line.
//!
//! A mode is data: the engine does not distinguish the user's modes from built-in modes.
//!
//! ```toml
//! [[mode]]
//! name = "birds"
//! instruction = "Tell me which birds you hear."
//! clip = "birds.wav"        # spoken instruction, in the folder `instructions`; default: NAME.wav
//! panel = "sounds"          # conversation (default), transcript, translation or sounds
//! catch_up = "every_chunk"  # or drain (default): do not decide on chunks that waited during a reply
//! eagerness = 0.0
//! ```

use serde::Deserialize;
use toml::Spanned;

use super::modes::{self, CatchUp, InstructionClip, Mode};
use super::paths::Paths;
use super::toml_file::{LineResult, TomlFile};
use super::values;
use crate::error::Result;
use crate::protocol::{Language, Panel};

/// The content of `modes.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlModes {
    #[serde(default)]
    mode: Vec<TomlMode>,
}

/// A table `[[mode]]` of `modes.toml`, with a field for each key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlMode {
    name: Spanned<String>,
    instruction: String,
    clip: Option<Spanned<String>>,
    #[serde(default)]
    panel: Panel,
    #[serde(default)]
    catch_up: CatchUp,
    eagerness: Option<Spanned<f32>>,
}

/// Returns every mode: the built-in modes, `translate` into `translate_to`, then the user's in the order of `modes.toml`.
///
/// # Errors
/// `Settings`, naming file and line, when `modes.toml` cannot be read or understood, a name is taken, or a clip is missing.
pub fn all(paths: &Paths, translate_to: Language) -> Result<Vec<Mode>> {
    let mut modes = modes::builtin(translate_to, &paths.instructions());
    append(paths, &mut modes)?;
    Ok(modes)
}

/// Adds the modes in `modes.toml` to `modes`; adds nothing if there is no such file.
///
/// # Errors
/// `Settings`, naming file and line, when the file cannot be read or understood, when a name is taken, or when a clip is missing.
pub(super) fn append(paths: &Paths, modes: &mut Vec<Mode>) -> Result<()> {
    let Some(file) = TomlFile::read(&paths.modes_file())? else { return Ok(()) };
    for mode in file.parse::<TomlModes>()?.mode {
        let mode = interpret(&file, paths, mode, modes)?;
        modes.push(mode);
    }
    Ok(())
}

fn interpret(file: &TomlFile, paths: &Paths, toml: TomlMode, known: &[Mode]) -> LineResult<Mode> {
    let name_at = toml.name.span().start;
    let name = toml.name.into_inner();
    if !is_mode_name(&name) {
        return Err(file.error_at(name_at, &format!("{name:?} cannot name a mode: use a to z, 0 to 9, - and _")));
    }
    if known.iter().any(|mode| mode.name == name) {
        return Err(file.error_at(name_at, &format!("there is already a mode {name:?}")));
    }
    let clip_at = toml.clip.as_ref().map_or(name_at, |clip| clip.span().start);
    let clip = paths.instructions().join(toml.clip.map_or_else(|| format!("{name}.wav"), Spanned::into_inner));
    if !clip.is_file() {
        return Err(file.error_at(clip_at, &format!("the clip of mode {name:?} is missing: {}", clip.display())));
    }
    let eagerness = match toml.eagerness {
        None => 0.0,
        Some(bias) => values::checked_bias(*bias.get_ref())
            .map_err(|()| file.error_at(bias.span().start, &format!("eagerness: {}", values::expected_eagerness())))?,
    };
    Ok(Mode {
        name,
        instruction: Some(toml.instruction),
        clip: InstructionClip::File(clip),
        panel: toml.panel,
        catch_up: toml.catch_up,
        eagerness,
    })
}

/// Returns true if `name` may be the name of a mode: it is not empty and has only the characters a to z, 0 to 9, `-` and `_`, so that
/// it can stand in lists with commas, in `mode=number` and in file names.
pub(super) fn is_mode_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use super::super::modes::builtin;
    use super::*;
    use crate::error::ErrorKind;

    fn read_text(text: &str) -> Result<Vec<Mode>> {
        let home = tempfile::tempdir().expect("a folder");
        let paths = Paths { config: home.path().to_owned(), ..Paths::inside(home.path()) };
        std::fs::create_dir(paths.instructions()).expect("a folder");
        std::fs::write(paths.instructions().join("birds.wav"), b"anything").expect("written");
        std::fs::write(paths.modes_file(), text).expect("written");
        let mut modes = builtin(Language::default(), &paths.instructions());
        append(&paths, &mut modes).map(|()| modes.split_off(4))
    }

    #[test]
    fn a_mode_with_a_name_an_instruction_and_a_clip_takes_the_defaults() {
        let modes = read_text("[[mode]]\nname = \"birds\"\ninstruction = \"Which birds?\"\n").expect("modes");
        assert_eq!(modes.len(), 1);
        assert_eq!((modes[0].panel, modes[0].catch_up), (Panel::Conversation, CatchUp::Drain));
        assert!(matches!(&modes[0].clip, InstructionClip::File(path) if path.ends_with("instructions/birds.wav")));
    }

    #[test]
    fn every_key_of_a_mode_is_read() {
        let text = "[[mode]]\nname = \"b\"\ninstruction = \"I\"\nclip = \"birds.wav\"\npanel = \"sounds\"\ncatch_up = \"every_chunk\"\neagerness = -2\n";
        let modes = read_text(text).expect("modes");
        assert_eq!((modes[0].panel, modes[0].catch_up, modes[0].eagerness), (Panel::Sounds, CatchUp::EveryChunk, -2.0));
    }

    #[test]
    fn an_error_names_its_line() {
        let table = [
            ("[[mode]]\nname = \"dialog\"\ninstruction = \"x\"\n", ":2:", "already"),
            ("[[mode]]\nname = \"a,b\"\ninstruction = \"x\"\n", ":2:", "a,b"),
            ("[[mode]]\nname = \"fish\"\ninstruction = \"x\"\n", ":2:", "fish.wav"),
            ("[[mode]]\nname = \"b\"\ninstruction = \"x\"\nclip = \"../no.wav\"\n", ":4:", "no.wav"),
            ("[[mode]]\nname = \"birds\"\ninstruction = \"x\"\npanel = \"ceiling\"\n", ":4:", "ceiling"),
            ("[[mode]]\nname = \"birds\"\ninstruction = \"x\"\neagerness = nan\n", ":4:", "eagerness"),
            ("[[mode]]\nname = \"birds\"\ninstruction = \"x\"\nloud = true\n", ":4:", "loud"),
            ("[[mode]]\ninstruction = \"x\"\n", ":1:", "name"),
            ("[[modes]]\nname = \"birds\"\n", ":1:", "modes"),
        ];
        for (text, line, word) in table {
            let error = read_text(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Settings, "{text}");
            assert!(error.message().contains(&format!("modes.toml{line}")) && error.message().contains(word), "{text:?} gave {error}");
        }
    }
}
