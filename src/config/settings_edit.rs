//! Edits of single values in the settings file.
//!
//! Edits the text, so that comments, order and unknown keys stay as they are. Not responsible for the meaning of the keys.

use std::ops::Range;
use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::{read_text, write_private};

/// A change of the settings file: a key, preceded by the names of the tables that contain it, and the new value; None removes the
/// key.
pub(super) type Change<'a> = (Vec<&'a str>, Option<Value>);

/// Applies `changes` to the TOML file at `path`, which is created if it does not exist, and not written if nothing changes.
///
/// # Errors
/// `Settings` when the file cannot be read, is not TOML or cannot take a change (it stays unchanged); `Output` when it cannot be
/// written.
pub(super) fn apply(path: &Path, changes: &[Change<'_>]) -> Result<()> {
    let old = match read_text(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(Error::settings_file(path, &e)),
    };
    let mut text = old.clone();
    for (keys, value) in changes {
        text = edited(&text, keys, value.as_ref()).ok_or_else(|| unwritable(path, &text, keys))?;
    }
    if text == old {
        return Ok(());
    }
    write_private(path, text.as_bytes())
}

/// Returns the error about a key that `text`, the text of the file at `path`, cannot take; it names the line that is in the way.
fn unwritable(path: &Path, text: &str, keys: &[&str]) -> Error {
    let key = keys.join(".");
    let (at, why) = match DeTable::parse(text) {
        Err(e) => (e.span().map_or(0, |span| span.start), format!("`{key}` cannot be saved: {}", e.message().trim_end())),
        Ok(table) => {
            let outer = (1..=keys.len()).rev().find_map(|length| find(table.get_ref(), &keys[..length]));
            (outer.map_or(0, |place| place.start), format!("`{key}` cannot be saved here"))
        }
    };
    let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    Error::new(ErrorKind::Settings, format!("{}:{line}: {why}", path.display())).with_remedy(Remedy::CorrectFile)
}

/// Returns the TOML text `text` with one value set, or removed if `value` is None. Returns None if the text is not TOML before or
/// after the change, or does not hold the change afterwards.
fn edited(text: &str, keys: &[&str], value: Option<&Value>) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let (key, tables) = keys.split_last()?;
    let new = match (find(table.get_ref(), keys), value) {
        (Some(at), Some(value)) => format!("{}{}{}", &text[..at.start], value, &text[at.end..]),
        (Some(at), None) => without_line(text, &at),
        (None, Some(value)) => added(text, tables, &format!("{key} = {value}\n")),
        (None, None) => text.to_owned(),
    };
    let found = DeTable::parse(&new).ok()?;
    (find(found.get_ref(), keys).is_some() == value.is_some()).then_some(new)
}

/// Returns the byte range of the value of a key. `keys` is the key, preceded by the names of the tables that contain it. Returns None
/// if there is no such key.
fn find(table: &DeTable<'_>, keys: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = keys.split_first()?;
    let (_, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == *first)?;
    match (rest, value.get_ref()) {
        ([], _) => Some(value.span()),
        (rest, DeValue::Table(inner)) => find(inner, rest),
        _ => None,
    }
}

fn without_line(text: &str, at: &Range<usize>) -> String {
    let begin = text[..at.start].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at.end..].find('\n').map_or(text.len(), |newline| at.end + newline + 1);
    format!("{}{}", &text[..begin], &text[end..])
}

/// Returns the TOML text `text` with `line` added at the end of the table `[A.B]` named by `tables`. A missing table is added at the
/// end of the text. If `tables` is empty, `line` is added before the first table.
fn added(text: &str, tables: &[&str], line: &str) -> String {
    let is_header = |line: &str| line.trim_start().starts_with('[');
    let header = format!("[{}]", tables.join("."));
    let mut offset = 0;
    let mut inside = tables.is_empty();
    let mut place = if inside { Some(0) } else { None };
    for row in text.split_inclusive('\n') {
        if is_header(row) {
            inside = !tables.is_empty() && row.split('#').next().is_some_and(|head| head.trim() == header);
        }
        offset += row.len();
        if inside && !row.trim().is_empty() {
            place = Some(offset);
        }
    }
    let (before, after) = text.split_at(place.unwrap_or(text.len()));
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    match place {
        Some(_) => format!("{before}{gap}{line}{after}"),
        None => format!("{before}{gap}{}{header}\n{line}", if before.is_empty() { "" } else { "\n" }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn set(text: &str, keys: &[&str], value: impl Into<Value>) -> Option<String> {
        edited(text, keys, Some(&value.into()))
    }

    #[test]
    fn a_value_is_replaced_in_place_and_the_rest_stays() {
        let text = "# mine\nmodes = [ # two\n  \"dialog\",\n]\nvolume = 11 # of 10\n\n[window]\nzoom = 1.0 # big\nsecret = true\n";
        let text = set(text, &["modes"], vec!["sounds"]).unwrap();
        let text = set(&text, &["window", "zoom"], 1.5).unwrap();
        assert_eq!(text, "# mine\nmodes = [\"sounds\"]\nvolume = 11 # of 10\n\n[window]\nzoom = 1.5 # big\nsecret = true\n");
    }

    #[test]
    fn a_new_key_is_added_at_the_end_of_its_table() {
        let text = "seed = 1\n\n[eagerness]\ndialog = 1\n\n[window]\nzoom = 1.0\n";
        let text = set(text, &["gate"], true).unwrap();
        let text = set(&text, &["eagerness", "sounds"], -0.5).unwrap();
        let text = set(&text, &["window", "captions", "size"], 30.0).unwrap();
        assert_eq!(
            text,
            "seed = 1\ngate = true\n\n[eagerness]\ndialog = 1\nsounds = -0.5\n\n[window]\nzoom = 1.0\n\n[window.captions]\nsize = 30.0\n"
        );
        assert_eq!(set("", &["gate"], false).unwrap(), "gate = false\n");
        assert_eq!(set("# no line end", &["gate"], false).unwrap(), "# no line end\ngate = false\n");
    }

    #[test]
    fn a_removed_key_takes_its_line_with_it() {
        assert_eq!(edited("a = 1\ninput = \"x\" # mic\nb = 2\n", &["input"], None).unwrap(), "a = 1\nb = 2\n");
        assert_eq!(edited("a = 1\n", &["input"], None).unwrap(), "a = 1\n");
    }

    #[test]
    fn a_damaged_file_is_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        let error = |text: &str, keys: Vec<&str>| {
            fs::write(&path, text).unwrap();
            let error = apply(&path, &[(keys, Some(true.into()))]).unwrap_err();
            assert_eq!((error.kind(), fs::read_to_string(&path).unwrap()), (ErrorKind::Settings, text.to_owned()));
            error.message().split_once("settings.toml").unwrap().1.to_owned()
        };
        assert!(error("seed = 1\nmodes = [\n", vec!["gate"]).starts_with(":2: `gate` cannot be saved: "));
        assert_eq!(error("seed = 1\n\nwindow = { zoom = 1.0 }\n", vec!["window", "dark"]), ":3: `window.dark` cannot be saved here");
    }

    #[test]
    fn a_file_with_a_byte_order_mark_takes_a_change_also_above_its_first_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        fs::write(&path, "\u{feff}[window]\nzoom = 1.0\n").unwrap();
        apply(&path, &[(vec!["gate"], Some(true.into())), (vec!["window", "zoom"], Some(1.5.into()))]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "gate = true\n[window]\nzoom = 1.5\n");
    }

    #[test]
    fn tables_that_cannot_take_a_line_are_left_alone() {
        assert_eq!(set("window = { zoom = 1.0 }\n", &["window", "theme"], "dark"), None, "an inline table has no lines to add");
    }
}
