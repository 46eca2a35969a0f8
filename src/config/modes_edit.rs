//! Edits of the user's own modes: adds, replaces and removes a mode in `modes.toml`, together with its clip.
//!
//! Edits the text, so that other modes, comments and unchanged keys stay as they are. Not responsible for reading modes
//! ([`modes_file`](super::modes_file)) or for making a clip.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::modes::{InstructionClip, Mode};
use super::modes_file::{all, is_mode_name};
use super::paths::Paths;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::{exists, is_same_file, make_private_folder, read_text, write_private};
use crate::protocol::{Language, Panel};

/// A mode that the user defines in the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMode {
    /// Name of the mode: a to z, 0 to 9, `-` and `_`.
    pub name: String,
    /// Instruction as text; must not be empty.
    pub instruction: String,
    /// Audio file with the spoken instruction, which is copied to the folder `instructions`. None keeps the clip of the mode that
    /// [`replace`] replaces; [`add`] refuses it.
    pub clip: Option<PathBuf>,
    /// Panel of the window that shows the responses.
    pub panel: Panel,
}

/// Keys of a mode in `modes.toml` that an edit replaces by the values of a [`NewMode`]; every other line of the mode stays.
const EDITED_KEYS: [&str; 4] = ["name", "instruction", "clip", "panel"];

/// Adds a mode at the end of `modes.toml` and copies its clip.
///
/// # Errors
/// `Arguments` when the name is taken or not allowed or the instruction is empty, `AudioFile` when the clip is missing, `Settings`
/// when `modes.toml` cannot be understood, `Output` when a file cannot be written.
pub fn add(paths: &Paths, new: &NewMode) -> Result<()> {
    let known = all(paths, Language::default())?;
    check(new, &known)?;
    if known.iter().any(|mode| mode.name == new.name) {
        return Err(taken(&new.name));
    }
    let Some(from) = &new.clip else {
        return Err(Error::new(ErrorKind::AudioFile, "the mode needs a clip with its spoken instruction"));
    };
    let clip = copy_clip(paths, &new.name, from, None)?;
    let old = text_of(paths)?;
    let gap = if old.is_empty() || old.ends_with("\n\n") { "" } else { "\n" };
    write_private(&paths.modes_file(), format!("{old}{gap}{}", block(new, &clip, "")).as_bytes())
}

/// Replaces the user's mode `name` by `new`, in its place in `modes.toml`; keys that [`NewMode`] lacks, and comments, stay. The old
/// clip is not deleted.
///
/// # Errors
/// The errors of [`add`], `Arguments` when the user has no mode of this name, and `Settings` when the modes of the file do not each
/// begin with a line `[[mode]]`.
pub fn replace(paths: &Paths, name: &str, new: &NewMode) -> Result<()> {
    let known = all(paths, Language::default())?;
    check(new, &known)?;
    if new.name != name && known.iter().any(|mode| mode.name == new.name) {
        return Err(taken(&new.name));
    }
    let (text, at, before) = find(paths, name, &known)?;
    let clip = match &new.clip {
        Some(from) => {
            let shared = known.iter().any(|mode| mode.name != name && mode.clip == InstructionClip::File(before.clone()));
            copy_clip(paths, &new.name, from, (!shared).then_some(before.as_path()))?
        }
        None => before.file_name().map_or_else(|| format!("{}.wav", new.name), |n| n.to_string_lossy().into_owned()),
    };
    let kept: String = text[at.clone()].split_inclusive('\n').skip(1).filter(|line| !is_edited(line)).collect();
    let text = format!("{}{}{}", &text[..at.start], block(new, &clip, &kept), &text[at.end..]);
    write_private(&paths.modes_file(), text.as_bytes())
}

/// Removes the user's mode `name` from `modes.toml`, and the mode's clip in the folder `instructions` unless another mode uses the
/// clip.
///
/// # Errors
/// `Arguments` when the user has no mode of this name, `Settings` when `modes.toml` cannot be understood or edited, `Output` when
/// it cannot be written.
pub fn remove(paths: &Paths, name: &str) -> Result<()> {
    let known = all(paths, Language::default())?;
    let (text, at, clip) = find(paths, name, &known)?;
    write_private(&paths.modes_file(), format!("{}{}", &text[..at.start], &text[at.end..]).as_bytes())?;
    let shared = known.iter().any(|mode| mode.name != name && mode.clip == InstructionClip::File(clip.clone()));
    if !shared && clip.file_stem().is_some_and(|stem| stem == name) && clip.parent() == Some(paths.instructions().as_path()) {
        // A clip that cannot be removed does no harm.
        let _ = fs::remove_file(&clip);
    }
    Ok(())
}

fn check(new: &NewMode, known: &[Mode]) -> Result<()> {
    let refuse = |why: String| Err(Error::new(ErrorKind::Arguments, why));
    if !is_mode_name(&new.name) {
        return refuse(format!("{:?} cannot name a mode: use a to z, 0 to 9, - and _", new.name));
    }
    if known.iter().any(|mode| mode.name == new.name && !matches!(mode.clip, InstructionClip::File(_))) {
        return Err(taken(&new.name));
    }
    if new.instruction.trim().is_empty() {
        return refuse("the instruction is empty".into());
    }
    Ok(())
}

fn taken(name: &str) -> Error {
    Error::new(ErrorKind::Arguments, format!("there is already a mode {name:?}"))
}

fn text_of(paths: &Paths) -> Result<String> {
    match read_text(&paths.modes_file()) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(Error::settings_file(&paths.modes_file(), &e)),
    }
}

/// Copies the audio file `from` to the folder `instructions` as `NAME.EXTENSION`, or `NAME-2.EXTENSION` and so on where another file has
/// that name, and returns the name of the copy. Replaces only the clip `replaced`. A file that is there already is not copied.
fn copy_clip(paths: &Paths, name: &str, from: &Path, replaced: Option<&Path>) -> Result<String> {
    let extension = from.extension().and_then(|e| e.to_str()).unwrap_or("wav");
    let named = |n: usize| if n == 1 { format!("{name}.{extension}") } else { format!("{name}-{n}.{extension}") };
    let path = |clip: &String| paths.instructions().join(clip);
    let is_free = |clip: &String| !exists(&path(clip)) || replaced == Some(path(clip).as_path()) || is_same_file(from, &path(clip));
    let clip = (1..).map(named).find(is_free).unwrap_or_default();
    let to = path(&clip);
    if is_same_file(from, &to) {
        return Ok(clip);
    }
    let bytes = fs::read(from).map_err(|e| Error::at(ErrorKind::AudioFile, from, e).with_remedy(Remedy::CheckPath))?;
    make_private_folder(&paths.instructions())?;
    write_private(&to, &bytes)?;
    Ok(clip)
}

/// Returns the TOML text of the mode `new` with the clip's file name `clip`, followed by the lines `kept` of the mode that `new`
/// replaces.
fn block(new: &NewMode, clip: &str, kept: &str) -> String {
    let text = |text: &str| toml::Value::from(text).to_string();
    format!(
        "[[mode]]\nname = {}\ninstruction = {}\nclip = {}\npanel = {}\n{kept}",
        text(&new.name),
        text(new.instruction.trim()),
        text(clip),
        text(new.panel.name())
    )
}

fn is_edited(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| EDITED_KEYS.contains(&key.trim()))
}

/// Returns the text of `modes.toml`, the byte range of the user's mode `name` in the text, and the path of the mode's clip. `known`
/// are all modes, the built-in modes first.
///
/// # Errors
/// `Arguments` when the user has no such mode, `Settings` when the modes do not each begin with a line `[[mode]]`.
fn find(paths: &Paths, name: &str, known: &[Mode]) -> Result<(String, Range<usize>, PathBuf)> {
    let own: Vec<&Mode> = known.iter().skip_while(|mode| super::modes::BUILT_IN.contains(&mode.name.as_str())).collect();
    let place = own.iter().position(|mode| mode.name == name);
    let Some((place, InstructionClip::File(clip))) = place.map(|place| (place, &own[place].clip)) else {
        return Err(Error::new(ErrorKind::Arguments, format!("you have no mode {name:?}")));
    };
    let text = text_of(paths)?;
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("[[mode]]") {
            starts.push(at);
        }
        at += line.len();
    }
    // TOML has other ways to write modes; the user edits those by hand.
    if starts.len() != own.len() {
        let why = "its modes do not each begin with a line [[mode]]: change them in the file itself";
        return Err(Error::at(ErrorKind::Settings, &paths.modes_file(), why));
    }
    let end = starts.get(place + 1).copied().unwrap_or(text.len());
    Ok((text, starts[place]..end, clip.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Paths, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths { config: home.path().to_owned(), ..Paths::inside(home.path()) };
        let clip = home.path().join("said.wav");
        fs::write(&clip, b"anything").unwrap();
        (home, paths, clip)
    }

    fn new(name: &str, clip: Option<&Path>) -> NewMode {
        let instruction = "Tell me when the \"kettle\" boils.".into();
        NewMode { name: name.into(), instruction, clip: clip.map(Path::to_owned), panel: Panel::Sounds }
    }

    #[test]
    fn an_added_mode_is_read_back_and_its_name_is_taken() {
        let (_home, paths, clip) = home();
        assert_eq!(add(&paths, &new("kettle", Some(Path::new("/nowhere.wav")))).unwrap_err().kind(), ErrorKind::AudioFile);
        assert_eq!(add(&paths, &new("kettle", None)).unwrap_err().kind(), ErrorKind::AudioFile);
        add(&paths, &new("kettle", Some(&clip))).unwrap();
        add(&paths, &new("tea", Some(&clip))).unwrap();
        let modes = all(&paths, Language::Chinese).unwrap();
        assert_eq!((modes.len(), modes[4].panel), (6, Panel::Sounds));
        assert_eq!(modes[4].instruction.as_deref(), Some("Tell me when the \"kettle\" boils."));
        for name in ["kettle", "dialog", "Tea Time", ""] {
            assert_eq!(add(&paths, &new(name, Some(&clip))).unwrap_err().kind(), ErrorKind::Arguments, "{name}");
        }
    }

    #[test]
    fn a_new_clip_replaces_no_file_but_the_clip_of_its_mode() {
        let (_home, paths, clip) = home();
        let (mine, second) = (paths.instructions().join("kettle.wav"), paths.instructions().join("kettle-2.wav"));
        fs::create_dir(paths.instructions()).unwrap();
        fs::write(&mine, b"mine").unwrap();
        add(&paths, &new("kettle", Some(&clip))).unwrap();
        fs::write(&clip, b"said again").unwrap();
        replace(&paths, "kettle", &new("kettle", Some(&clip))).unwrap();
        assert_eq!((fs::read(&mine).unwrap(), fs::read(&second).unwrap()), (b"mine".to_vec(), b"said again".to_vec()));
        add(&paths, &new("tea", Some(&mine))).unwrap();
        remove(&paths, "kettle").unwrap();
        add(&paths, &new("kettle", Some(&mine))).unwrap();
        let clips: Vec<_> = all(&paths, Language::Chinese).unwrap()[4..].iter().map(|mode| mode.clip.clone()).collect();
        let expected = [paths.instructions().join("tea.wav"), mine].map(InstructionClip::File);
        assert_eq!(clips, expected, "a file that is there already is used as it is");
    }

    #[test]
    fn a_mode_is_replaced_in_place_and_keeps_the_users_lines() {
        let (_home, paths, clip) = home();
        for name in ["one", "two", "three"] {
            add(&paths, &new(name, Some(&clip))).unwrap();
        }
        let text = fs::read_to_string(paths.modes_file()).unwrap();
        let text = format!("# mine\n{text}").replace("clip = \"two.wav\"\n", "clip = \"two.wav\"\neagerness = 2.5 # more\n");
        fs::write(paths.modes_file(), text).unwrap();
        let other = NewMode { name: "zwei".into(), instruction: "Count.".into(), clip: None, panel: Panel::Conversation };
        replace(&paths, "two", &other).unwrap();
        let modes = all(&paths, Language::Chinese).unwrap();
        assert_eq!(modes[4..].iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["one", "zwei", "three"]);
        assert_eq!((modes[5].eagerness, modes[5].instruction.as_deref()), (2.5, Some("Count.")));
        assert_eq!(modes[5].clip, InstructionClip::File(paths.instructions().join("two.wav")), "the clip is kept");
        assert!(fs::read_to_string(paths.modes_file()).unwrap().starts_with("# mine\n"));
        assert_eq!(replace(&paths, "zwei", &new("one", None)).unwrap_err().kind(), ErrorKind::Arguments);
        assert_eq!(replace(&paths, "dialog", &new("dialog", None)).unwrap_err().kind(), ErrorKind::Arguments);
    }

    #[test]
    fn a_removed_mode_takes_its_clip_with_it() {
        let (_home, paths, clip) = home();
        for name in ["one", "two"] {
            add(&paths, &new(name, Some(&clip))).unwrap();
        }
        remove(&paths, "one").unwrap();
        assert_eq!(all(&paths, Language::Chinese).unwrap()[4..].iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["two"]);
        assert!(!paths.instructions().join("one.wav").exists() && paths.instructions().join("two.wav").exists());
        assert_eq!(remove(&paths, "one").unwrap_err().kind(), ErrorKind::Arguments);
        assert_eq!(remove(&paths, "transcribe").unwrap_err().kind(), ErrorKind::Arguments);
        remove(&paths, "two").unwrap();
        assert_eq!(all(&paths, Language::Chinese).unwrap().len(), 4);
    }

    #[test]
    fn modes_in_another_toml_form_are_not_edited() {
        let (_home, paths, clip) = home();
        add(&paths, &new("birds", Some(&clip))).unwrap();
        fs::write(paths.modes_file(), "mode = [{ name = \"birds\", instruction = \"Which?\" }]\n").unwrap();
        assert_eq!(remove(&paths, "birds").unwrap_err().kind(), ErrorKind::Settings);
    }
}
