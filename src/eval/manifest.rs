//! Rows of manifests: JSON Lines, a JSON list, or tab-separated values with a header.
//!
//! A row that cannot be read is an error of that row only. Not responsible for the meaning of the fields.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// Longest line of a manifest, in bytes; a longer one is skipped.
const MAX_ROW_BYTES: usize = 1 << 20;
/// Largest manifest that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// The fields of a manifest row, by name.
pub type Fields = Map<String, Value>;

/// A row of a manifest, readable or not.
#[derive(Debug)]
pub struct ManifestRow {
    /// File name and line or row number, from 1 on: `a.jsonl:3`, or `a.json, row 3`.
    pub place: String,
    /// Fields, or the reason why the row cannot be read.
    pub fields: std::result::Result<Fields, String>,
}

/// Reads the rows of the manifest at `path`, in order, without empty lines: a JSON list for `.json`, tab-separated values for
/// `.tsv`, JSON Lines for any other extension.
///
/// # Errors
/// If the file cannot be read, is larger than 1 GiB, or is no valid list where it should be a JSON list.
pub fn read(path: &Path) -> Result<Vec<ManifestRow>> {
    let failed = |e: &dyn std::fmt::Display| Error::at(ErrorKind::Data, path, format!("this manifest cannot be read: {e}"));
    let size = std::fs::metadata(path).map_err(|e| failed(&e))?.len();
    if size > MAX_BYTES {
        return Err(failed(&format!("it has {size} bytes; the limit is {MAX_BYTES}")));
    }
    let bytes = std::fs::read(path).map_err(|e| failed(&e))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    match extension.as_str() {
        "json" => json_list(&name, bytes).map_err(|e| failed(&e)),
        "tsv" => Ok(tab_separated(&name, bytes)),
        _ => Ok(lines(&name, bytes).map(|(place, line)| ManifestRow { place, fields: line.and_then(object) }).collect()),
    }
}

/// Returns the first of the fields `names` that is there and is text or a number, as text; `None` if none is.
#[must_use]
pub fn text<'a>(row: &'a Fields, names: &[&str]) -> Option<std::borrow::Cow<'a, str>> {
    names.iter().find_map(|name| match row.get(*name)? {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    })
}

/// Returns the first of the fields `names` that is text, a number, or a list of texts and numbers, as a list of texts; `None` if none is.
#[must_use]
pub fn texts(row: &Fields, names: &[&str]) -> Option<Vec<String>> {
    names.iter().find_map(|name| match row.get(*name)? {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Array(list) => list
            .iter()
            .map(|value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .collect(),
        _ => None,
    })
}

/// Splits the content of the file `name` into non-empty lines, each with its place (`name:3`), and the line or the reason why it
/// cannot be read: too long, or not UTF-8.
pub(super) fn lines<'a>(name: &'a str, bytes: &'a [u8]) -> impl Iterator<Item = (String, std::result::Result<&'a str, String>)> + 'a {
    let numbered = bytes.split(|b| *b == b'\n').enumerate().map(|(at, line)| (at, line.strip_suffix(b"\r").unwrap_or(line)));
    numbered.filter(|(_, line)| !line.trim_ascii().is_empty()).map(move |(at, line)| {
        let text = if line.len() > MAX_ROW_BYTES {
            Err(format!("{} bytes in one row; the limit is {MAX_ROW_BYTES}", line.len()))
        } else {
            std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())
        };
        (format!("{name}:{}", at + 1), text)
    })
}

/// Parses one line of JSON Lines, which must be an object; the error is the reason why the row cannot be read.
fn object(line: &str) -> std::result::Result<Fields, String> {
    match serde_json::from_str(line) {
        Ok(Value::Object(row)) => Ok(row),
        Ok(_) => Err("not a JSON object".into()),
        Err(e) => Err(format!("not JSON ({e})")),
    }
}

fn json_list(name: &str, bytes: &[u8]) -> serde_json::Result<Vec<ManifestRow>> {
    let list: Vec<Value> = serde_json::from_slice(bytes)?;
    let row = |(at, value): (usize, Value)| {
        let fields = if let Value::Object(fields) = value { Ok(fields) } else { Err("not a JSON object".to_owned()) };
        ManifestRow { place: format!("{name}, row {}", at + 1), fields }
    };
    Ok(list.into_iter().enumerate().map(row).collect())
}

/// Reads the rows of the file `name` of tab-separated values. The first non-empty line names the columns; a row of another number of
/// columns is unreadable. There is no quoting, as in CoVoST and Common Voice.
fn tab_separated(name: &str, bytes: &[u8]) -> Vec<ManifestRow> {
    let mut all = lines(name, bytes);
    let Some((place, header)) = all.next() else { return Vec::new() };
    let columns: Vec<&str> = match header {
        Ok(line) => line.split('\t').map(str::trim).collect(),
        Err(why) => return vec![ManifestRow { place, fields: Err(why) }],
    };
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        if cells.len() == columns.len() {
            Ok(columns.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), Value::from(cell))).collect())
        } else {
            Err(format!("{} columns; the header has {}", cells.len(), columns.len()))
        }
    };
    all.map(|(place, line)| ManifestRow { place, fields: line.and_then(row) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_rows_are_reported_and_the_others_are_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.jsonl");
        std::fs::write(&path, b"\xef\xbb\xbf{\"id\": 1}\r\n\n[1]\n{\"id\": \n\xff\xfe\n{\"id\": \"b\"}").expect("written");
        let rows = read(&path).expect("read");
        let good: Vec<_> = rows.iter().map(|row| (row.place.as_str(), row.fields.is_ok())).collect();
        assert_eq!(good, [("m.jsonl:1", true), ("m.jsonl:3", false), ("m.jsonl:4", false), ("m.jsonl:5", false), ("m.jsonl:6", true)]);
        assert_eq!(text(rows[0].fields.as_ref().expect("a row"), &["name", "id"]).as_deref(), Some("1"));
        assert!(rows[3].fields.as_ref().is_err_and(|why| why.contains("UTF-8")));
    }

    #[test]
    fn row_with_too_many_columns_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.tsv");
        std::fs::write(&path, "path\tsentence\na.wav\t\"quoted\nb.wav\tx\ty\n").expect("written");
        let rows = read(&path).expect("read");
        assert_eq!(rows[0].fields.as_ref().ok().and_then(|row| text(row, &["sentence"])).as_deref(), Some("\"quoted"));
        assert!(rows[1].fields.as_ref().is_err_and(|why| why.starts_with("3 columns")));
    }
}
