//! Lists of audio files: a `.json` file with a list of paths, in place of these files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::read_text;

/// Replaces each `.json` file in `paths` by the files that it lists, and checks that every file exists.
///
/// All files are checked before the first is heard: a file that is missing after an hour of listening would waste the hour.
///
/// # Errors
/// `AudioFile` when a list is not a JSON list of paths or is empty, or when a file is missing or a folder.
pub fn expand_file_lists(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            files.extend(listed_in(path)?);
        } else {
            files.push(path.clone());
        }
    }
    for path in &files {
        let metadata = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
        if metadata.is_dir() {
            return Err(Error::at(ErrorKind::AudioFile, path, "this is a folder, not an audio file"));
        }
    }
    Ok(files)
}

/// Returns the paths of audio files in the `.json` file `list`; relative paths are joined to the folder of `list`.
fn listed_in(list: &Path) -> Result<Vec<PathBuf>> {
    let text = read_text(list).map_err(|e| unreadable(list, &e))?;
    let paths: Vec<PathBuf> = serde_json::from_str(&text)
        .map_err(|e| Error::at(ErrorKind::AudioFile, list, format_args!("expected a JSON list of paths of audio files: {e}")))?;
    if paths.is_empty() {
        return Err(Error::at(ErrorKind::AudioFile, list, "this list of audio files is empty"));
    }
    let folder = list.parent().unwrap_or(Path::new(""));
    Ok(paths.into_iter().map(|path| folder.join(path)).collect())
}

fn unreadable(path: &Path, cause: &std::io::Error) -> Error {
    Error::at(ErrorKind::AudioFile, path, cause).with_remedy(Remedy::CheckPath)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_a_list_are_relative_to_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b, list) = (folder.path().join("a.wav"), folder.path().join("b.wav"), folder.path().join("sequence.json"));
        [&a, &b].into_iter().for_each(|path| fs::write(path, "").expect("a file is written"));
        fs::write(&list, r#"["a.wav", "b.wav"]"#).expect("the list is written");
        assert_eq!(expand_file_lists(&[b.clone(), list.clone()]), Ok(vec![b.clone(), a, b]));
        fs::write(&list, "\u{feff}[\"b.wav\"]").expect("the list is written");
        assert_eq!(expand_file_lists(std::slice::from_ref(&list)), Ok(vec![folder.path().join("b.wav")]), "behind a byte order mark");
        for text in ["[]", "{}", "[1]", "[", r#"["missing.wav"]"#] {
            fs::write(&list, text).expect("the list is written");
            assert_eq!(expand_file_lists(std::slice::from_ref(&list)).map_err(|e| e.kind()), Err(ErrorKind::AudioFile), "{text}");
        }
    }
}
