//! Rows of manifests: JSON Lines, a JSON list, or tab-separated values with a header.
//!
//! A row that cannot be read is an error of its own, with its place; the rest goes on. Not responsible for what rows mean.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// Longest row that is read; more is not a manifest.
const LONGEST_ROW: usize = 1 << 20;
/// Largest manifest that is read.
const LARGEST: u64 = 1 << 30;

/// A row: where it stands, and its fields or why there are none.
pub type Row = (String, std::result::Result<Map<String, Value>, String>);

/// The rows of the manifest at `path`, in order; empty lines are none.
///
/// # Errors
/// When the file cannot be read at all.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let failed = |e: &dyn std::fmt::Display| Error::at(ErrorKind::Data, path, format!("this manifest cannot be read: {e}"));
    let size = std::fs::metadata(path).map_err(|e| failed(&e))?.len();
    if size > LARGEST {
        return Err(failed(&format!("it has {size} bytes, and {LARGEST} are the most")));
    }
    let bytes = std::fs::read(path).map_err(|e| failed(&e))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    match extension.as_str() {
        "json" => listed(&name, bytes).map_err(|e| failed(&e)),
        "tsv" => Ok(separated(&name, bytes)),
        _ => Ok(lines(&name, bytes).map(|(place, line)| (place, line.and_then(object))).collect()),
    }
}

/// A field that is text or a number, as text; the first of `names` that is there.
#[must_use]
pub fn text<'a>(row: &'a Map<String, Value>, names: &[&str]) -> Option<std::borrow::Cow<'a, str>> {
    names.iter().find_map(|name| match row.get(*name)? {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    })
}

/// A field that is text or a list of texts; the first of `names` that is there.
#[must_use]
pub fn texts(row: &Map<String, Value>, names: &[&str]) -> Option<Vec<String>> {
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

/// The lines of a text, each with its place, or why it cannot be read.
pub(super) fn lines<'a>(name: &'a str, bytes: &'a [u8]) -> impl Iterator<Item = (String, std::result::Result<&'a str, String>)> + 'a {
    let numbered = bytes.split(|b| *b == b'\n').enumerate().map(|(at, line)| (at, line.strip_suffix(b"\r").unwrap_or(line)));
    numbered.filter(|(_, line)| !line.trim_ascii().is_empty()).map(move |(at, line)| {
        let text = if line.len() > LONGEST_ROW {
            Err(format!("{} bytes in one row", line.len()))
        } else {
            std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())
        };
        (format!("{name}:{}", at + 1), text)
    })
}

fn object(line: &str) -> std::result::Result<Map<String, Value>, String> {
    match serde_json::from_str(line) {
        Ok(Value::Object(row)) => Ok(row),
        Ok(_) => Err("not an object".into()),
        Err(e) => Err(format!("not JSON ({e})")),
    }
}

fn listed(name: &str, bytes: &[u8]) -> serde_json::Result<Vec<Row>> {
    let list: Vec<Value> = serde_json::from_slice(bytes)?;
    let row = |(at, value): (usize, Value)| {
        let row = if let Value::Object(row) = value { Ok(row) } else { Err("not an object".to_owned()) };
        (format!("{name}, row {}", at + 1), row)
    };
    Ok(list.into_iter().enumerate().map(row).collect())
}

/// The first line names the columns. Nothing is quoted, as CoVoST and Common Voice write it.
fn separated(name: &str, bytes: &[u8]) -> Vec<Row> {
    let mut all = lines(name, bytes);
    let Some((place, header)) = all.next() else { return Vec::new() };
    let columns: Vec<&str> = match header {
        Ok(line) => line.split('\t').map(str::trim).collect(),
        Err(why) => return vec![(place, Err(why))],
    };
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        if cells.len() == columns.len() {
            Ok(columns.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), Value::from(cell))).collect())
        } else {
            Err(format!("{} columns, and the header has {}", cells.len(), columns.len()))
        }
    };
    all.map(|(place, line)| (place, line.and_then(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_cannot_be_read_are_named_and_the_rest_goes_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.jsonl");
        std::fs::write(&path, b"\xef\xbb\xbf{\"id\": 1}\r\n\n[1]\n{\"id\": \n\xff\xfe\n{\"id\": \"b\"}").expect("written");
        let rows = read(&path).expect("read");
        let good: Vec<_> = rows.iter().map(|(place, row)| (place.as_str(), row.is_ok())).collect();
        assert_eq!(good, [("m.jsonl:1", true), ("m.jsonl:3", false), ("m.jsonl:4", false), ("m.jsonl:5", false), ("m.jsonl:6", true)]);
        assert_eq!(text(rows[0].1.as_ref().expect("a row"), &["name", "id"]).as_deref(), Some("1"));
        assert!(rows[3].1.as_ref().is_err_and(|why| why.contains("UTF-8")));
    }

    #[test]
    fn a_row_with_too_many_columns_is_no_row() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.tsv");
        std::fs::write(&path, "path\tsentence\na.wav\t\"quoted\nb.wav\tx\ty\n").expect("written");
        let rows = read(&path).expect("read");
        assert_eq!(rows[0].1.as_ref().ok().and_then(|row| text(row, &["sentence"])).as_deref(), Some("\"quoted"));
        assert!(rows[1].1.as_ref().is_err_and(|why| why.starts_with("3 columns")));
    }
}
