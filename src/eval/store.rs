//! The predictions of a run on disk, one JSON line each. Each is written when it is made, so that a killed run can be resumed.
//!
//! The first line is the header, which describes the run; a run with another header cannot resume it.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::items::Prediction;
use crate::config::ResumePolicy;
use crate::error::{Error, ErrorKind, Result};
use crate::files::make_private_folder;

/// File name of the predictions in the folder of a run (`--out`).
pub const PREDICTIONS: &str = "predictions.jsonl";

/// The open predictions file of one run, and its content.
#[derive(Debug)]
pub struct PredictionStore {
    path: PathBuf,
    file: File,
    /// All predictions, those of an earlier run that is resumed first, in the order in which they were made.
    pub predictions: Vec<Prediction>,
    /// Condition and item id of each prediction.
    done: HashSet<(String, String)>,
}

impl PredictionStore {
    /// Opens or creates `predictions.jsonl` in `folder`, which is created too, for the run that `header` describes. Cuts off a
    /// last line that a crash left incomplete.
    ///
    /// # Errors
    /// If the file has a header and `resume` is `Refuse`, if that header differs from `header`, if a line is damaged, or if the
    /// file cannot be written.
    pub fn open(folder: &Path, header: &Map<String, Value>, resume: ResumePolicy) -> Result<Self> {
        make_private_folder(folder)?;
        let path = folder.join(PREDICTIONS);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|e| unwritable(&path, &e))?;
        if !file.metadata().is_ok_and(|about| about.is_file()) {
            // A device such as /dev/zero has no end.
            return Err(Error::at(ErrorKind::Output, &path, "this is not a regular file"));
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|e| unwritable(&path, &e))?;
        let Parsed { header: found, predictions, complete } = parse(&path, &text)?;
        if let Some(found) = &found {
            if resume == ResumePolicy::Refuse {
                let why = "predictions of an earlier run exist: continue it with --resume, or choose another --out";
                return Err(Error::at(ErrorKind::Arguments, &path, why));
            }
            check_header(&path, found, header)?;
        }
        // Drops a last line that a crash cut short.
        file.set_len(complete).and_then(|()| file.seek(SeekFrom::End(0))).map_err(|e| unwritable(&path, &e))?;
        let done = predictions.iter().map(|p| (p.condition.clone(), p.id.clone())).collect();
        let mut store = Self { path, file, predictions, done };
        if found.is_none() {
            store.write(&format!("{}\n", Value::Object(header.clone())))?;
        }
        Ok(store)
    }

    /// Reads the predictions of the run in `folder`; an incomplete last line is left out.
    ///
    /// # Errors
    /// If the file cannot be read or a line is damaged.
    pub fn read(folder: &Path) -> Result<Vec<Prediction>> {
        let path = folder.join(PREDICTIONS);
        let text = std::fs::read(&path).map_err(|e| Error::at(ErrorKind::Data, &path, e))?;
        parse(&path, &text).map(|parsed| parsed.predictions)
    }

    /// Returns true if there is a prediction of the item `id` under `condition` ([`Prediction::condition`]), from this run or the
    /// one resumed.
    #[must_use]
    pub fn contains(&self, condition: &str, id: &str) -> bool {
        self.done.contains(&(condition.to_owned(), id.to_owned()))
    }

    /// Appends `predictions` to the file and to the list in memory.
    ///
    /// # Errors
    /// If they cannot be written, for instance on a full disk. Earlier predictions stay in the file.
    pub fn append(&mut self, predictions: Vec<Prediction>) -> Result<()> {
        let mut lines = String::new();
        for prediction in &predictions {
            lines += &serde_json::to_string(prediction).map_err(Error::internal)?;
            lines.push('\n');
        }
        self.write(&lines)?;
        self.done.extend(predictions.iter().map(|p| (p.condition.clone(), p.id.clone())));
        self.predictions.extend(predictions);
        Ok(())
    }

    fn write(&mut self, lines: &str) -> Result<()> {
        self.file.write_all(lines.as_bytes()).map_err(|e| {
            let kept = self.predictions.len();
            unwritable(&self.path, &e).while_doing(format!("{kept} predictions are kept; continue with --resume"))
        })
    }
}

/// The content of a predictions file, up to the last complete line.
#[derive(Default)]
struct Parsed {
    /// First line of the file; None for an empty file.
    header: Option<Map<String, Value>>,
    /// Predictions of all complete lines after the first.
    predictions: Vec<Prediction>,
    /// Length of all complete lines, in bytes.
    complete: u64,
}

fn parse(path: &Path, text: &[u8]) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    for (at, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
        if !line.ends_with(b"\n") {
            break;
        }
        let damaged = |e: serde_json::Error| Error::at(ErrorKind::Data, path, format!("line {} is damaged ({e})", at + 1));
        if parsed.header.is_none() {
            parsed.header = Some(serde_json::from_slice(line).map_err(damaged)?);
        } else {
            parsed.predictions.push(serde_json::from_slice(line).map_err(damaged)?);
        }
        parsed.complete += line.len() as u64;
    }
    Ok(parsed)
}

/// Compares the header `found` in the file at `path` with that of this run, `wanted`.
///
/// # Errors
/// If a field differs; the error names the first one, by name, and both values.
fn check_header(path: &Path, found: &Map<String, Value>, wanted: &Map<String, Value>) -> Result<()> {
    let names: std::collections::BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    let differing = names.into_iter().find(|name| found.get(*name) != wanted.get(*name));
    differing.map_or(Ok(()), |name| {
        let said = |of: &Map<String, Value>| of.get(name).map_or_else(|| "nothing".to_owned(), Value::to_string);
        let why = format!("these predictions were made with another {name} ({}, now {}); choose another --out", said(found), said(wanted));
        Err(Error::at(ErrorKind::Arguments, path, why))
    })
}

fn unwritable(path: &Path, e: &std::io::Error) -> Error {
    Error::cannot_write(path, e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::items::Expected;

    fn prediction(id: &str) -> Prediction {
        Prediction {
            condition: String::new(),
            id: id.into(),
            class: Vec::new(),
            expected: Expected::Respond,
            answers: Vec::new(),
            audio_secs: 0.4,
            left_out_secs: None,
            onset_secs: None,
            question_secs: None,
            replies: Vec::new(),
            margins: vec![0.1, -7.25e-5],
            trims: 0,
            unheard: None,
        }
    }

    fn header(task: &str) -> Map<String, Value> {
        [("task".to_owned(), Value::from(task))].into_iter().collect()
    }

    #[test]
    fn resumed_run_replaces_a_truncated_last_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = PredictionStore::open(dir.path(), &header("a"), ResumePolicy::Refuse).expect("new");
        store.append(vec![prediction("x"), prediction("y")]).expect("kept");
        drop(store);
        let path = dir.path().join(PREDICTIONS);
        let mut text = std::fs::read(&path).expect("there");
        text.truncate(text.len() - 7);
        std::fs::write(&path, &text).expect("cut");
        let mut store = PredictionStore::open(dir.path(), &header("a"), ResumePolicy::Continue).expect("goes on");
        assert!(store.contains("", "x") && !store.contains("", "y") && !store.contains("2", "x"));
        store.append(vec![prediction("y")]).expect("kept");
        assert_eq!(PredictionStore::read(dir.path()).expect("read"), [prediction("x"), prediction("y")]);
    }

    #[test]
    fn file_truncated_at_any_byte_is_completed_to_the_same_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(PREDICTIONS);
        let all = ["x", "y\n\"ü", "z"].map(prediction);
        let mut store = PredictionStore::open(dir.path(), &header("a"), ResumePolicy::Refuse).expect("new");
        store.append(all.to_vec()).expect("kept");
        let whole = std::fs::read(&path).expect("there");
        for end in 0..=whole.len() {
            std::fs::write(&path, &whole[..end]).expect("cut");
            let mut store = PredictionStore::open(dir.path(), &header("a"), ResumePolicy::Continue).expect("goes on");
            let lines = whole[..end].iter().filter(|b| **b == b'\n').count();
            assert_eq!(store.predictions, all[..lines.saturating_sub(1)], "{end} bytes");
            let left: Vec<Prediction> = all.iter().filter(|p| !store.contains("", &p.id)).cloned().collect();
            store.append(left).expect("kept");
            assert!(std::fs::read(&path).expect("there") == whole, "{end} bytes");
        }
    }

    #[test]
    fn predictions_of_another_run_are_refused_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("a folder");
        drop(PredictionStore::open(dir.path(), &header("a"), ResumePolicy::Refuse).expect("new"));
        let error = PredictionStore::open(dir.path(), &header("a"), ResumePolicy::Refuse).expect_err("there already");
        assert!(error.message().contains("--resume"), "{error}");
        let error = PredictionStore::open(dir.path(), &header("b"), ResumePolicy::Continue).expect_err("another run");
        assert!(error.message().contains("another task"), "{error}");
        std::fs::write(dir.path().join(PREDICTIONS), "{}\n{\"id\": 3}\n").expect("written");
        let error = PredictionStore::open(dir.path(), &header("a"), ResumePolicy::Continue).expect_err("damaged");
        assert!(error.message().contains("line 2"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn full_disk_error_names_the_kept_predictions_and_a_device_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = PredictionStore::open(dir.path(), &header("a"), ResumePolicy::Refuse).expect("new");
        store.append(vec![prediction("x")]).expect("kept");
        store.file = OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
        let error = store.append(vec![prediction("y")]).expect_err("full");
        assert_eq!(error.kind(), ErrorKind::Output);
        let said = error.to_string();
        assert!(said.contains("1 predictions are kept; continue with --resume") && said.contains("Free disk space"), "{said}");
        assert!(!store.contains("", "y"));
        let other = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/dev/zero", other.path().join(PREDICTIONS)).expect("linked");
        let error = PredictionStore::open(other.path(), &header("a"), ResumePolicy::Refuse).expect_err("a device");
        assert!(error.message().contains("not a regular file"), "{error}");
    }
}
