//! Data set layouts: the files of each task and the meaning of their rows.
//!
//! Unusable rows are counted and listed. Sounds are located here, but not decoded.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::items::{DataSet, EvalItem, Expected, SkippedRow};
use super::manifest::{self, ManifestRow, text, texts};
use super::streams;
use crate::config::{EvalTask, QuestionInput};
use crate::error::{Error, ErrorKind, Remedy, Result};

/// File name of the manifest of Proactive-Sound-Bench.
const PROACTIVE_MANIFEST: &str = "proactive_reply_benchmark.jsonl";
/// File name of the standard answers of Proactive-Sound-Bench, which lies beside the manifest and has only RESPOND rows.
const PROACTIVE_ANSWERS: &str = "proactive_reply_benchmark_response.jsonl";
/// Extensions of the names of sound files, in any case.
const SOUND_EXTENSIONS: &[&str] = &["wav", "flac", "mp3", "ogg", "m4a"];
/// Extensions of the names of manifests, in any case.
const MANIFEST_EXTENSIONS: &[&str] = &["jsonl", "json", "tsv"];
/// Text that is put between a question and its choices when the question is typed.
const CHOOSE: &str = "Please choose the answer from the following options:";
/// Ending of the names of LibriSpeech's transcript files.
const TRANSCRIPT_ENDING: &str = ".trans.txt";
/// Number of levels of folders below the data folder that are searched for sounds and transcripts.
const MAX_DEPTH: usize = 8;
/// Names of a manifest's field with the path of the sound; the first that a row has is used.
const PATH: &[&str] = &["path", "audio", "audio_path", "audio_id", "file", "wav"];
/// Names of a manifest's field with the standard answers; the first that a row has is used.
const ANSWERS: &[&str] = &["standard_answers", "standard_answer"];
/// Names of a manifest's field with the question; the first that a row has is used.
const QUESTION: &[&str] = &["question", "prompt"];
/// Names of a manifest's field with the id; the first that a row has is used. Without one the path is the id.
const ID: &[&str] = &["id", "uid", "name"];

/// Reads the data set at `data` for `task`: a manifest, or a folder with the published files of the task or with exactly one
/// manifest. Unusable rows are in [`DataSet::skipped`].
///
/// # Errors
/// If `data` does not exist, a manifest cannot be read, or no row can be used; the error names the expected files or the first
/// row's reason.
pub fn read(task: &EvalTask, data: &Path) -> Result<DataSet> {
    if !data.exists() {
        return Err(Error::at(ErrorKind::Data, data, "there is no such file or folder").with_remedy(Remedy::CheckPath));
    }
    if data.is_file() && !has_extension(data, MANIFEST_EXTENSIONS) {
        return Err(Error::at(ErrorKind::Data, data, "expected a folder or a manifest (.jsonl, .json or .tsv)"));
    }
    let task = task.inner();
    let set = if data.is_file() {
        if data.ends_with(PROACTIVE_MANIFEST) { published(data)? } else { of_manifest(task, data)? }
    } else {
        match task {
            EvalTask::Proactive { .. } => proactive(data)?,
            EvalTask::Asr { .. } => asr(task, data)?,
            _ => of_manifest(task, &only_manifest(data)?)?,
        }
    };
    if set.rows == 0 {
        return Err(Error::at(ErrorKind::Data, data, "it has no rows to score"));
    }
    if set.items.is_empty() {
        let first = set.skipped.first().map_or_else(String::new, |s| format!("; the first, {}: {}", s.row, s.why));
        return Err(Error::at(ErrorKind::Data, data, format!("none of its {} rows can be used{first}", set.rows)));
    }
    Ok(set)
}

/// Returns the files with a sound's extension in the folder `path` and up to 8 levels below it, sorted by path; or `path` alone if
/// it is a file, whatever its name.
///
/// # Errors
/// If there is none, or `path` does not exist.
pub fn sounds(path: &Path) -> Result<Vec<PathBuf>> {
    let found = if path.is_file() { vec![path.to_owned()] } else { walk(path, &|file| has_extension(file, SOUND_EXTENSIONS)) };
    if found.is_empty() { Err(Error::at(ErrorKind::Data, path, "no sound file in it")) } else { Ok(found) }
}

/// Reads the folder `data` of the task `proactive`: the published manifest; without it clips in folders RESPOND and IGNORE; without such
/// folders the only other manifest.
fn proactive(data: &Path) -> Result<DataSet> {
    let manifest = data.join(PROACTIVE_MANIFEST);
    if manifest.is_file() {
        return published(&manifest);
    }
    let labelled = labelled_clips(data);
    if labelled.rows > 0 {
        return Ok(labelled);
    }
    let Ok(manifest) = only_manifest(data) else {
        let why = format!("expected {PROACTIVE_MANIFEST}, or clips in folders RESPOND and IGNORE");
        return Err(Error::at(ErrorKind::Data, data, why));
    };
    of_manifest(&EvalTask::PROACTIVE, &manifest)
}

/// Reads Proactive-Sound-Bench's published manifest; if the file of standard answers lies beside it, RESPOND items get the standard answers
/// of that file, and no others.
fn published(manifest: &Path) -> Result<DataSet> {
    let mut set = of_manifest(&EvalTask::PROACTIVE, manifest)?;
    let companion = manifest.with_file_name(PROACTIVE_ANSWERS);
    if !companion.is_file() {
        return Ok(set);
    }
    let mut answers: HashMap<String, Vec<String>> = HashMap::new();
    for ManifestRow { place, fields } in manifest::read(&companion)? {
        let read = fields.and_then(|row| {
            let name = text(&row, ID).or_else(|| text(&row, PATH)).ok_or("no id")?.trim().to_owned();
            Ok((name, texts(&row, ANSWERS).ok_or("no standard_answers")?))
        });
        match read {
            Ok((name, of)) => {
                answers.insert(name, of);
            }
            // The clip stays in the data set, so the denominator does not change.
            Err(why) => set.notes.push(format!("{place}: {why}; this clip has no standard answer.")),
        }
    }
    for item in set.items.iter_mut().filter(|item| item.expected == Expected::Respond) {
        item.answers = answers.remove(&item.id).unwrap_or_default();
    }
    Ok(set)
}

/// Reads the clips below all folders RESPOND and IGNORE (in any case) in `data`; the names of the folders between `data` and such a folder
/// are the class. Other sounds are passed over.
fn labelled_clips(data: &Path) -> DataSet {
    let mut set = DataSet::default();
    for file in walk(data, &|file| has_extension(file, SOUND_EXTENSIONS)) {
        let inside = file.strip_prefix(data).unwrap_or(&file);
        let parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let label = parts.iter().position(|part| decision(part).is_some());
        let Some((at, expected)) = label.and_then(|at| Some((at, decision(&parts[at])?))) else { continue };
        set.rows += 1;
        let id = parts.join("/");
        set.items.push(EvalItem { id, audio: file, class: parts[..at].to_vec(), expected, ..EvalItem::default() });
    }
    set
}

/// Parses the label RESPOND or IGNORE, in any case and without the spaces around it; `None` for any other word.
fn decision(word: &str) -> Option<Expected> {
    match word.trim() {
        word if word.eq_ignore_ascii_case("respond") => Some(Expected::Respond),
        word if word.eq_ignore_ascii_case("ignore") => Some(Expected::Ignore),
        _ => None,
    }
}

/// Reads LibriSpeech if `data` has transcript files (`.trans.txt`) in it or below, otherwise its only manifest.
fn asr(task: &EvalTask, data: &Path) -> Result<DataSet> {
    let transcripts = walk(data, &|file| file.to_string_lossy().ends_with(TRANSCRIPT_ENDING));
    if transcripts.is_empty() {
        return of_manifest(task, &only_manifest(data).map_err(|e| e.while_doing(format!("no {TRANSCRIPT_ENDING} (LibriSpeech)")))?);
    }
    let mut builder = DataSetBuilder::default();
    for file in transcripts {
        let name = file.strip_prefix(data).unwrap_or(&file).display().to_string();
        let folder = file.parent().unwrap_or(data);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(e) => {
                builder.skip(name, e.to_string());
                continue;
            }
        };
        for (place, line) in manifest::lines(&name, &bytes) {
            builder.add(place, line.and_then(|line| utterance(line, folder)));
        }
    }
    Ok(builder.set)
}

/// Parses a line `1089-134686-0000 HE HOPED …` of a LibriSpeech transcript in `folder`, where the sound of this name lies too; the speaker,
/// here 1089, is the class. The error is the reason why the row is skipped.
fn utterance(line: &str, folder: &Path) -> std::result::Result<EvalItem, String> {
    let (id, said) = line.trim().split_once(' ').ok_or("no text after the id")?;
    let audio = SOUND_EXTENSIONS.iter().map(|e| folder.join(format!("{id}.{e}"))).find(|path| path.is_file());
    let audio = audio.ok_or_else(|| format!("the sound {id}.flac is missing beside it"))?;
    let class = id.split('-').next().map(str::to_owned).into_iter().collect();
    Ok(EvalItem { id: id.to_owned(), audio, class, expected: Expected::Text(said.trim().to_owned()), ..EvalItem::default() })
}

/// Reads the manifest at `manifest_path` for `task`; rows that cannot be used are in [`DataSet::skipped`].
fn of_manifest(task: &EvalTask, manifest_path: &Path) -> Result<DataSet> {
    let folder = manifest_path.parent().unwrap_or(Path::new(""));
    let mut builder = DataSetBuilder::default();
    for ManifestRow { place, fields } in manifest::read(manifest_path)? {
        builder.add(place, fields.and_then(|row| item(task, &row, folder)));
    }
    Ok(builder.set)
}

/// Reads a row of a manifest that lies in `folder` as an item of `task`. The error is the reason why the row is skipped.
fn item(task: &EvalTask, row: &Map<String, Value>, folder: &Path) -> std::result::Result<EvalItem, String> {
    let path = text(row, PATH).filter(|path| !path.trim().is_empty()).ok_or("no path to a sound")?;
    let audio = find_sound(folder, path.trim())?;
    let id = text(row, ID).filter(|id| !id.is_empty()).map_or_else(|| path.trim().to_owned(), std::borrow::Cow::into_owned);
    let field = |names: &[&str]| text(row, names).map(std::borrow::Cow::into_owned);
    let mut item = EvalItem { id, audio, ..EvalItem::default() };
    match task {
        EvalTask::Proactive { .. } => {
            let word = field(&["decision", "label"]).ok_or("no decision")?;
            item.expected = decision(&word).ok_or_else(|| format!("the decision {word:?} is neither RESPOND nor IGNORE"))?;
            item.class = class_of(&path);
            item.answers = texts(row, ANSWERS).unwrap_or_default();
        }
        EvalTask::Asr { .. } => {
            item.expected = Expected::Text(field(&["text", "sentence", "transcript"]).ok_or("no text")?);
        }
        EvalTask::Translate { .. } => {
            item.expected = Expected::Text(field(&["translation", "target"]).ok_or("no translation")?);
        }
        EvalTask::Streams { .. } => {
            item.expected = streams::expected(row)?;
            for name in ["mode", "group"] {
                if row.get(name).is_some_and(|value| !value.is_null() && text(row, &[name]).is_none()) {
                    return Err(format!("the {name} is not text"));
                }
            }
            item.mode = field(&["mode"]);
            item.class = field(&["group"]).into_iter().collect();
        }
        EvalTask::Qa { .. } | EvalTask::Streaming { .. } => question(&mut item, row, folder)?,
    }
    if *task == (EvalTask::Qa { instruction: QuestionInput::Typed })
        && matches!(item.expected, Expected::Choice { .. })
        && text(row, QUESTION).is_none_or(|question| question.trim().is_empty())
    {
        return Err("no question to type".into());
    }
    Ok(item)
}

/// Reads the question, the class and the expected answer of a row of the task `qa` into `item`; `folder` is that of the manifest. The error
/// is the reason why the row is skipped.
fn question(item: &mut EvalItem, row: &Map<String, Value>, folder: &Path) -> std::result::Result<(), String> {
    item.question = text(row, QUESTION).map(std::borrow::Cow::into_owned);
    if let Some(path) = text(row, &["question_audio", "question_path"]) {
        item.question_audio = Some(find_sound(folder, path.trim()).map_err(|why| format!("the spoken question: {why}"))?);
    }
    let kinds = [&["task", "category"][..], &["difficulty"]].map(|names| text(row, names).map(std::borrow::Cow::into_owned));
    // The difficulty is the subclass, so it needs a class.
    item.class = kinds.into_iter().map_while(|kind| kind).collect();
    item.expected = match texts(row, &["choices", "options"]) {
        Some(choices) if choices.len() > 1 => {
            let answer = text(row, &["answer"]).ok_or("no answer")?.into_owned();
            if !choices.contains(&answer) {
                return Err(format!("the answer {answer:?} is not one of the choices"));
            }
            // A spoken question says the choices itself; a typed one lists them.
            item.question = item.question.take().map(|question| format!("{} {CHOOSE} {}.", question.trim(), choices.join("; ")));
            Expected::Choice { choices, answer }
        }
        Some(_) => return Err("fewer than two choices".into()),
        None => {
            let answers = texts(row, &["answers", "answer"]).ok_or("neither choices nor an answer")?;
            if answers.iter().all(|answer| answer.trim().is_empty()) {
                return Err("the answer is empty".into());
            }
            Expected::Answers(answers)
        }
    };
    Ok(())
}

/// Returns class and subclass of a sound of Proactive-Sound-Bench by its path: the second and third folder of
/// `./proactive-sound-effect/Class/Subclass/…`, without a folder that is a label; fewer for a shorter path.
fn class_of(path: &str) -> Vec<String> {
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | "..")).collect();
    // The last part is the file; the part before it may be the label.
    let folders = &parts[..parts.len().saturating_sub(1)];
    folders.iter().skip(1).take(2).filter(|part| decision(part).is_none()).map(|part| (*part).to_owned()).collect()
}

/// Returns the existing sound `path` of a manifest, which is relative to the manifest's `folder` or to `clips`, `audio` or `wav`
/// in it. Absolute paths and `..` are refused, since a manifest may come from a stranger.
fn find_sound(folder: &Path, path: &str) -> std::result::Result<PathBuf, String> {
    let relative = Path::new(path);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Err(format!("the sound {path} is outside the manifest's folder"));
    }
    let found = ["", "clips", "audio", "wav"].iter().map(|below| folder.join(below).join(relative)).find(|path| path.is_file());
    found.ok_or_else(|| format!("the sound {path} does not exist"))
}

/// Returns the only manifest directly in the folder `data`.
///
/// # Errors
/// If there is none, or several.
fn only_manifest(data: &Path) -> Result<PathBuf> {
    let mut found = files_in(data).into_iter().filter(|file| has_extension(file, MANIFEST_EXTENSIONS)).collect::<Vec<_>>();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::at(ErrorKind::Data, data, "no manifest (.jsonl, .json or .tsv) in it")),
        several => {
            let names: Vec<String> = several.iter().filter_map(|f| Some(f.file_name()?.to_string_lossy().into_owned())).collect();
            Err(Error::at(ErrorKind::Data, data, format!("several manifests; name one of them: {}", names.join(", "))))
        }
    }
}

/// Returns true if the name of `file` has one of the extensions `known`, in any case.
fn has_extension(file: &Path, known: &[&str]) -> bool {
    file.extension().is_some_and(|e| known.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect()
}

/// Returns the files in `folder` and up to [`MAX_DEPTH`] levels below it for which `wanted` is true, sorted by path. Folders that
/// cannot be read are passed over, links to folders not followed.
fn walk(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        found.extend(files_in(&folder).into_iter().filter(|file| wanted(file)));
        if depth < MAX_DEPTH {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().filter_map(std::result::Result::ok);
            // Links are not followed: they may form a cycle.
            folders.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| (e.path(), depth + 1)));
        }
    }
    found.sort();
    found
}

/// A data set that is being read row by row.
#[derive(Default)]
struct DataSetBuilder {
    set: DataSet,
    /// Place in the manifest where each id was first used.
    seen: HashMap<String, String>,
}

impl DataSetBuilder {
    /// Adds the item of the row at `place`, or the reason why there is none to the skipped rows; a row with an id that is already used is
    /// skipped.
    fn add(&mut self, place: String, item: std::result::Result<EvalItem, String>) {
        match item {
            Ok(item) => match self.seen.get(&item.id) {
                Some(first) => self.skip(place, format!("the id {} is already used in {first}", item.id)),
                None => {
                    self.seen.insert(item.id.clone(), place);
                    self.set.items.push(item);
                    self.set.rows += 1;
                }
            },
            Err(why) => self.skip(place, why),
        }
    }

    fn skip(&mut self, row: String, why: String) {
        self.set.rows += 1;
        self.set.skipped.push(SkippedRow { row, why });
    }
}

#[cfg(test)]
mod tests;
