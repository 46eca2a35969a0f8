//! The catalogue of models: names, sources and licences.
//!
//! Built-in entries (`models/catalog.toml`), entries of the user (`catalog.toml` in the settings folder), and any `OWNER/NAME` of
//! the hub. Not responsible for the state of a model on this machine.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;

use crate::config::Paths;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::read_text;
use crate::protocol::ModelChoice;
use crate::protocol::models::{Licence, LicenceWording, Wording};

/// The built-in catalogue, as TOML.
const BUILT_IN: &str = include_str!("../../models/catalog.toml");
/// Name of the built-in model in the catalogue.
pub const STARTER: &str = "starter";
/// Name of the released 3B model in the catalogue.
pub const RELEASE: &str = "3b";
/// The files of a checkpoint folder, for an entry that lists none; a `*` stands for any characters but `/`.
const USUAL_FILES: &[&str] = &[
    "model.safetensors.index.json",
    "*.safetensors",
    "model_config.yaml",
    "*_ChunkwisedEncoder.pth",
    "qwen25OmniConfig/config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "token_ids.json",
    "phrases.toml",
];

/// A model in the catalogue: its names and texts, where its files come from, sizes and licences.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// Name on the command line: letters, digits, `.`, `-` and `_`; or `OWNER/NAME` for a repository that is not in the catalogue.
    pub name: String,
    /// Full name for people; the catalogue name if left out.
    #[serde(default)]
    pub title: String,
    /// Description, one sentence.
    #[serde(default)]
    pub about: String,
    /// Abilities, one line each.
    #[serde(default)]
    pub can: Vec<String>,
    /// Description and abilities in Chinese; empty fields are shown in English.
    #[serde(default)]
    pub zh: Wording,
    /// Repository on the hub, `OWNER/NAME`; None for the starter and for an entry with `folder`.
    pub hub: Option<String>,
    /// Branch, tag or commit of the repository; `main` if left out.
    #[serde(default = "main_branch")]
    pub revision: String,
    /// Checkpoint folder of the user, instead of a repository; a relative path is joined to the folder of the catalogue file.
    pub folder: Option<std::path::PathBuf>,
    /// Paths of the model's files in the repository; each may contain one `*`, which stands for any characters but `/`.
    #[serde(default = "usual_files")]
    pub files: Vec<String>,
    /// Expected SHA-256 of files, by path. Where the hub announces another sum, the user is warned that the release has changed.
    #[serde(default)]
    pub sums: BTreeMap<String, String>,
    /// Approximate size of the download, in bytes; 0 if unknown. For the starter, the size of the unpacked files.
    #[serde(default)]
    pub about_bytes: u64,
    /// Approximate size of the prepared (quantised) weights, in bytes; 0 if unknown.
    #[serde(default)]
    pub prepared_bytes: u64,
    /// Approximate memory that the model needs, in bytes; 0 if unknown.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Licences that the user must accept before the download.
    #[serde(default, rename = "licence")]
    pub licences: Vec<Licence>,
}

fn main_branch() -> String {
    "main".into()
}

fn usual_files() -> Vec<String> {
    USUAL_FILES.iter().map(|name| (*name).to_owned()).collect()
}

/// The content of a file `catalog.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogFile {
    #[serde(default)]
    model: Vec<CatalogEntry>,
}

impl CatalogEntry {
    /// Returns the entry of the repository `id` (`OWNER/NAME`) that is not in the catalogue, with the usual files of a checkpoint.
    fn for_hub_id(id: &str) -> Self {
        let page = format!("https://huggingface.co/{id}");
        let licence = Licence {
            name: "The licence that its page names".into(),
            summary: "Hearken does not know this model: read its page before you accept.".into(),
            text: page,
            zh: LicenceWording {
                name: "其页面所述的许可证".into(), summary: "Hearken 不了解这个模型：接受之前请先阅读它的页面。".into()
            },
        };
        Self {
            name: id.to_owned(),
            title: id.to_owned(),
            about: String::new(),
            can: Vec::new(),
            zh: Wording::default(),
            hub: Some(id.to_owned()),
            revision: main_branch(),
            folder: None,
            files: usual_files(),
            sums: BTreeMap::new(),
            about_bytes: 0,
            prepared_bytes: 0,
            memory_bytes: 0,
            licences: vec![licence],
        }
    }

    /// Returns the choice by which settings and commands name this model.
    #[must_use]
    pub fn choice(&self) -> ModelChoice {
        match self.name.as_str() {
            STARTER => ModelChoice::Starter,
            RELEASE => ModelChoice::ThreeB,
            other => ModelChoice::Dir(other.into()),
        }
    }

    /// Returns owner and name of the model's repository on the hub.
    ///
    /// # Errors
    /// `Arguments` when the model is built in or a folder.
    pub fn repository(&self) -> Result<(&str, &str)> {
        let no_hub = || Error::new(ErrorKind::Arguments, format!("the model {} does not come from a hub", self.name));
        self.hub.as_deref().and_then(|id| id.split_once('/')).ok_or_else(no_hub)
    }

    /// Returns true if the file `path` of the repository belongs to the model, by the patterns in `files`.
    #[must_use]
    pub fn includes(&self, path: &str) -> bool {
        self.files.iter().any(|pattern| matches(pattern, path))
    }

    /// Checks the name of the entry and that it has either a repository or a folder; `from` is the catalogue file, for the error.
    fn check(&self, from: &Path) -> Result<()> {
        let bad = |why: &str| {
            Error::at(ErrorKind::Settings, from, format_args!("the model {:?} {why}", self.name)).with_remedy(Remedy::CorrectFile)
        };
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)) || self.name.starts_with('.')
        {
            return Err(bad("needs a name of letters, digits, `.`, `-` and `_`"));
        }
        if self.hub.as_deref().is_some_and(|id| !is_hub_id(id)) {
            return Err(bad("has a `hub` that is not of the form OWNER/NAME"));
        }
        if self.name != STARTER && self.hub.is_some() == self.folder.is_some() {
            return Err(bad("needs either `hub` or `folder`"));
        }
        Ok(())
    }
}

/// Reads the catalogue: built-in entries, each replaced by the entry of the same name in the user's `catalog.toml`, then the user's
/// other entries.
///
/// # Errors
/// `Settings` when the user's `catalog.toml` cannot be read or understood (the message names the file), or replaces the starter.
pub fn all(paths: &Paths) -> Result<Vec<CatalogEntry>> {
    let mut entries = read(BUILT_IN, Path::new("models/catalog.toml"))?;
    let own = paths.config.join("catalog.toml");
    let text = match read_text(&own) {
        Ok(text) => text,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => return Ok(entries),
        Err(e) => return Err(Error::settings_file(&own, &e)),
    };
    for entry in read(&text, &own)? {
        if entry.name == STARTER {
            return Err(
                Error::at(ErrorKind::Settings, &own, "the starter is built in and cannot be replaced").with_remedy(Remedy::CorrectFile)
            );
        }
        match entries.iter_mut().find(|known| known.name == entry.name) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }
    Ok(entries)
}

/// Parses the text of a catalogue; errors name the file `from`, and the line where TOML is wrong.
fn read(text: &str, from: &Path) -> Result<Vec<CatalogEntry>> {
    let file: CatalogFile = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Error::at(ErrorKind::Settings, from, format_args!("line {line}: {}", e.message())).with_remedy(Remedy::CorrectFile)
    })?;
    let folder = from.parent().unwrap_or(Path::new(""));
    file.model
        .into_iter()
        .map(|mut entry| {
            entry.check(from)?;
            if entry.title.is_empty() {
                entry.title.clone_from(&entry.name);
            }
            // A relative folder is relative to the catalogue file.
            entry.folder = entry.folder.map(|own| folder.join(own));
            Ok(entry)
        })
        .collect()
}

/// Finds the catalogue entry of `choice`. An `OWNER/NAME` outside the catalogue gets an entry of its own. None for a folder that exists,
/// and for any other name that is not in the catalogue.
///
/// # Errors
/// When the user's catalogue is invalid.
pub fn resolve(choice: &ModelChoice, paths: &Paths) -> Result<Option<CatalogEntry>> {
    let named = |name: &str| -> Result<Option<CatalogEntry>> { Ok(all(paths)?.into_iter().find(|entry| entry.name == name)) };
    match choice {
        ModelChoice::Starter => named(STARTER),
        ModelChoice::ThreeB => named(RELEASE),
        ModelChoice::Dir(folder) if folder.is_dir() => Ok(None),
        ModelChoice::Dir(folder) => {
            // A name in the settings file has become a path relative to that file.
            let name = folder.strip_prefix(&paths.config).unwrap_or(folder).to_string_lossy().replace('\\', "/");
            if let Some(entry) = named(&name)? {
                return Ok(Some(entry));
            }
            Ok(is_hub_id(&name).then(|| CatalogEntry::for_hub_id(&name)))
        }
    }
}

/// Returns true if `text` has the form of a repository name, `OWNER/NAME`, in the characters that the hub allows.
#[must_use]
pub fn is_hub_id(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 96
            && !part.starts_with(['.', '-'])
            && part.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
    };
    text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name) && !text.contains("--") && !text.contains(".."))
}

/// Returns true if `path` is a relative path of plain names, which stays inside the folder that it is joined to.
#[must_use]
pub fn is_safe_relative_path(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\\')
        && !path.contains('\0')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Returns true if `path` matches `pattern`, whose first `*`, if any, stands for any characters but `/`.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == path };
    path.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)).is_some_and(|middle| !middle.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(home: &Path) -> Paths {
        Paths::inside(home)
    }

    #[test]
    fn the_built_in_catalogue_has_the_starter_and_the_release_with_both_licences() {
        let home = tempfile::tempdir().unwrap();
        let all = all(&paths(home.path())).unwrap();
        assert_eq!(all.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), [STARTER, RELEASE]);
        let release = &all[1];
        assert_eq!(release.repository().unwrap(), ("zhifeixie", "AudioInteraction"));
        assert!(release.licences.iter().any(|l| l.name.contains("Apache")) && release.licences.iter().any(|l| l.name.contains("Qwen")));
        assert!(release.includes("model-00004-of-00004.safetensors") && release.includes("qwen25OmniConfig/config.json"));
        for entry in &all {
            assert!(entry.zh.can.len() == entry.can.len() && !entry.zh.about.is_empty(), "{} in Chinese", entry.name);
            assert!(entry.licences.iter().all(|licence| !licence.zh.summary.is_empty()), "{} in Chinese", entry.name);
        }
        assert!(!release.includes("README.md") && !release.includes("x/model-1.safetensors"));
    }

    #[test]
    fn the_user_catalogue_adds_and_replaces_models() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        std::fs::create_dir(&paths.config).unwrap();
        let text = "[[model]]\nname = \"mine\"\nfolder = \"weights\"\n[[model]]\nname = \"3b\"\nhub = \"me/fork\"\nrevision = \"v2\"\n";
        std::fs::write(paths.config.join("catalog.toml"), text).unwrap();
        let mine = resolve(&ModelChoice::Dir("mine".into()), &paths).unwrap().unwrap();
        assert_eq!(mine.folder, Some(paths.config.join("weights")));
        let in_settings = resolve(&ModelChoice::Dir(paths.config.join("mine")), &paths).unwrap().unwrap();
        assert_eq!(in_settings, mine);
        let fork = resolve(&ModelChoice::ThreeB, &paths).unwrap().unwrap();
        assert_eq!((fork.repository().unwrap(), fork.revision.as_str()), (("me", "fork"), "v2"));
        let other = resolve(&ModelChoice::Dir("some/repo".into()), &paths).unwrap().unwrap();
        assert!(other.licences[0].text.contains("some/repo"));
        assert_eq!(resolve(&ModelChoice::Dir("nothing".into()), &paths).unwrap(), None);
        assert_eq!(resolve(&ModelChoice::Dir(home.path().to_owned()), &paths).unwrap(), None);
    }

    #[test]
    fn an_invalid_catalogue_is_refused_with_its_line() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        std::fs::create_dir(&paths.config).unwrap();
        for (text, says) in [
            ("[[model]]\nname = 3\n", "line 2"),
            ("[[model]]\nname = \"../x\"\nhub = \"a/b\"\n", "needs a name"),
            ("[[model]]\nname = \"x\"\n", "either `hub` or `folder`"),
            ("[[model]]\nname = \"x\"\nhub = \"a/../b\"\n", "OWNER/NAME"),
            ("[[model]]\nname = \"starter\"\n", "built in"),
            ("[[model]]\nname = \"x\"\nhub = \"a/b\"\nsurprise = 1\n", "surprise"),
        ] {
            std::fs::write(paths.config.join("catalog.toml"), text).unwrap();
            let error = all(&paths).unwrap_err();
            assert!(error.message().contains(says) && error.message().contains("catalog.toml"), "{error}");
        }
    }

    #[test]
    fn paths_that_leave_their_folder_are_unsafe() {
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a\\..\\x", "./x"] {
            assert!(!is_safe_relative_path(path), "{path}");
        }
        assert!(is_safe_relative_path("qwen25OmniConfig/config.json"));
        assert!(!is_hub_id("a/b/c") && !is_hub_id("a") && !is_hub_id("../b") && is_hub_id("zhifeixie/AudioInteraction"));
    }
}
