//! The predictions of a run on disk: one JSON line each, written as it is made, so that a run that is killed goes on.
//!
//! The first line says what the run is; a run goes on only with what it began with.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::items::Prediction;
use crate::config::ResumePolicy;
use crate::error::{Error, ErrorKind, Result};
use crate::files::make_private_folder;

/// Name of the file.
pub const PREDICTIONS: &str = "predictions.jsonl";

/// The predictions of one run.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: File,
    /// All of them, in the order in which they were made.
    pub predictions: Vec<Prediction>,
    done: HashSet<(String, String)>,
}

impl Store {
    /// Opens the predictions in `folder` to a run that `header` describes.
    ///
    /// # Errors
    /// When there are some and `resume` does not say to go on, when they are of another run, or when nothing can be written.
    pub fn open(folder: &Path, header: &Map<String, Value>, resume: ResumePolicy) -> Result<Self> {
        make_private_folder(folder)?;
        let path = folder.join(PREDICTIONS);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|e| unwritable(&path, &e))?;
        if !file.metadata().is_ok_and(|about| about.is_file()) {
            // A device may never end.
            return Err(Error::at(ErrorKind::Output, &path, "this is no ordinary file"));
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|e| unwritable(&path, &e))?;
        let (found, predictions, whole) = parse(&path, &text)?;
        if let Some(found) = &found {
            if resume == ResumePolicy::No {
                let why = "there are predictions already: go on with them with --resume, or choose another --out";
                return Err(Error::at(ErrorKind::Arguments, &path, why));
            }
            compare(&path, found, header)?;
        }
        // A line that a crash cut short is written again.
        file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0))).map_err(|e| unwritable(&path, &e))?;
        let done = predictions.iter().map(|p| (p.condition.clone(), p.id.clone())).collect();
        let mut store = Self { path, file, predictions, done };
        if found.is_none() {
            store.write(&format!("{}\n", Value::Object(header.clone())))?;
        }
        Ok(store)
    }

    /// Reads the predictions in `folder` without touching them.
    ///
    /// # Errors
    /// When there are none or they are damaged.
    pub fn read(folder: &Path) -> Result<Vec<Prediction>> {
        let path = folder.join(PREDICTIONS);
        let text = std::fs::read(&path).map_err(|e| Error::at(ErrorKind::Data, &path, e))?;
        parse(&path, &text).map(|(_, predictions, _)| predictions)
    }

    /// Whether there is a prediction of the item `id` under this condition.
    #[must_use]
    pub fn has(&self, condition: &str, id: &str) -> bool {
        self.done.contains(&(condition.to_owned(), id.to_owned()))
    }

    /// Keeps `predictions`: they are on their way to the disk when this returns.
    ///
    /// # Errors
    /// When they cannot be written, for instance because the disk is full; those kept before are safe.
    pub fn keep(&mut self, predictions: Vec<Prediction>) -> Result<()> {
        let mut lines = String::new();
        for prediction in &predictions {
            lines += &serde_json::to_string(prediction).map_err(|e| Error::internal(e))?;
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
            unwritable(&self.path, &e).while_doing(format!("{kept} predictions are kept; go on with --resume"))
        })
    }
}

/// Header, predictions, and the length of what is whole.
type Parsed = (Option<Map<String, Value>>, Vec<Prediction>, u64);

fn parse(path: &Path, text: &[u8]) -> Result<Parsed> {
    let (mut header, mut predictions, mut whole) = (None, Vec::new(), 0);
    for (at, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
        let last = whole + line.len() == text.len();
        if last && !line.ends_with(b"\n") {
            break;
        }
        let damaged = |e: serde_json::Error| Error::at(ErrorKind::Data, path, format!("line {} is damaged ({e})", at + 1));
        if header.is_none() {
            header = Some(serde_json::from_slice(line).map_err(damaged)?);
        } else {
            predictions.push(serde_json::from_slice(line).map_err(damaged)?);
        }
        whole += line.len();
    }
    Ok((header, predictions, whole as u64))
}

/// Refuses to go on with a run that was begun otherwise.
fn compare(path: &Path, found: &Map<String, Value>, wanted: &Map<String, Value>) -> Result<()> {
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
    fn a_run_goes_on_after_a_line_that_was_cut_short() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(dir.path(), &header("a"), ResumePolicy::No).expect("new");
        store.keep(vec![prediction("x"), prediction("y")]).expect("kept");
        drop(store);
        let path = dir.path().join(PREDICTIONS);
        let mut text = std::fs::read(&path).expect("there");
        text.truncate(text.len() - 7);
        std::fs::write(&path, &text).expect("cut");
        let mut store = Store::open(dir.path(), &header("a"), ResumePolicy::Yes).expect("goes on");
        assert!(store.has("", "x") && !store.has("", "y") && !store.has("2", "x"));
        store.keep(vec![prediction("y")]).expect("kept");
        assert_eq!(Store::read(dir.path()).expect("read"), [prediction("x"), prediction("y")]);
    }

    #[test]
    fn a_file_that_ends_at_any_byte_keeps_its_whole_lines_and_is_completed_to_the_same_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(PREDICTIONS);
        let all = ["x", "y\n\"ü", "z"].map(prediction);
        let mut store = Store::open(dir.path(), &header("a"), ResumePolicy::No).expect("new");
        store.keep(all.to_vec()).expect("kept");
        let whole = std::fs::read(&path).expect("there");
        for end in 0..=whole.len() {
            std::fs::write(&path, &whole[..end]).expect("cut");
            let mut store = Store::open(dir.path(), &header("a"), ResumePolicy::Yes).expect("goes on");
            let lines = whole[..end].iter().filter(|b| **b == b'\n').count();
            assert_eq!(store.predictions, all[..lines.saturating_sub(1)], "{end} bytes");
            let left: Vec<Prediction> = all.iter().filter(|p| !store.has("", &p.id)).cloned().collect();
            store.keep(left).expect("kept");
            assert!(std::fs::read(&path).expect("there") == whole, "{end} bytes");
        }
    }

    #[test]
    fn predictions_are_never_overwritten_nor_mixed() {
        let dir = tempfile::tempdir().expect("a folder");
        drop(Store::open(dir.path(), &header("a"), ResumePolicy::No).expect("new"));
        let error = Store::open(dir.path(), &header("a"), ResumePolicy::No).expect_err("there already");
        assert!(error.message().contains("--resume"), "{error}");
        let error = Store::open(dir.path(), &header("b"), ResumePolicy::Yes).expect_err("another run");
        assert!(error.message().contains("another task"), "{error}");
        std::fs::write(dir.path().join(PREDICTIONS), "{}\n{\"id\": 3}\n").expect("written");
        let error = Store::open(dir.path(), &header("a"), ResumePolicy::Yes).expect_err("damaged");
        assert!(error.message().contains("line 2"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_said_with_what_is_kept_and_a_device_is_no_place_for_predictions() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(dir.path(), &header("a"), ResumePolicy::No).expect("new");
        store.keep(vec![prediction("x")]).expect("kept");
        store.file = OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
        let error = store.keep(vec![prediction("y")]).expect_err("full");
        assert_eq!(error.kind(), ErrorKind::Output);
        let said = error.to_string();
        assert!(said.contains("1 predictions are kept; go on with --resume") && said.contains("Free disk space"), "{said}");
        assert!(!store.has("", "y"));
        let other = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/dev/zero", other.path().join(PREDICTIONS)).expect("linked");
        let error = Store::open(other.path(), &header("a"), ResumePolicy::No).expect_err("a device");
        assert!(error.message().contains("no ordinary file"), "{error}");
    }
}
