//! `hearken eval`: scores a model on labelled audio (`src/eval/README.md`).
//!
//! Order of a run: read the data set, run the model on it, store every prediction, write the report. [`layouts`] reads data
//! sets, [`sessions`] runs items through the product's own sessions, [`typed_qa`] asks typed questions, [`metrics`] and its
//! helpers are pure arithmetic, [`score`] and [`compare`] build the reports. Not responsible for how the model listens.

pub mod answer_match;
pub mod bleu;
pub mod compare;
pub mod edit_distance;
pub mod grouping;
pub mod items;
pub mod layouts;
pub mod manifest;
pub mod metrics;
pub mod normalise;
pub mod plot;
pub mod progress;
pub mod report;
pub mod score;
pub mod sessions;
pub mod stats;
pub mod store;
pub mod streams;
pub mod tokenise;
pub mod typed_qa;

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::config::modes::{self, DIALOG, TRANSCRIBE, TRANSLATE};
use crate::config::{
    ContextChoice, EvalOptions, EvalRequest, EvalTask, Mode, Paths, ProactiveStyle, QuestionInput, ResumePolicy, SamplingChoice,
};
use crate::console::{Completion, print};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{exists, write_private};
use crate::hub;
use crate::model::Model;
use crate::model::digest::hex;
use crate::protocol::{Language, ModelChoice};
use crate::session::SessionConfig;
use crate::session::prompt::PromptCache;
use items::{DataSet, EvalItem, Prediction, SkippedRow};
use progress::Progress;
use report::EvalReport;
use sessions::{EvalSession, FirstTextLatency, Margins, SessionRunner};
use store::PredictionStore;
use typed_qa::TypedQuestionRunner;

/// The note that a report carries if typed questions were put to the starter, the small built-in model.
const NO_QUESTIONS: &str = "The starter was not trained to answer typed questions: its replies to them mean nothing. Ask a model that was, \
such as --model 3b.";
/// A folder that does not exist, given as the user's folder of spoken instructions, so that none replaces a built-in one.
const NO_CLIPS: &str = "/nowhere/to/look/for/clips";
/// Bytes of the model's fingerprint (a hash of its weights) that a report shows, in hexadecimal.
const SHOWN_FINGERPRINT_BYTES: usize = 8;

/// Scores a model or compares two runs, as `request` says; writes the report as text to `out` and the progress of scoring to
/// `notes`. Returns [`Completion::Problems`] if a scored data set has rows that were skipped.
///
/// # Errors
/// If the data set, the model, the report folder or a run to be compared cannot be used, or inference fails.
pub fn run(request: &EvalRequest, mut out: impl Write, notes: impl Write) -> Result<Completion> {
    let (text, completion) = match request {
        EvalRequest::Compare { before, after, out, existing } => {
            (compare::run(before, after, out.as_deref(), *existing)?, Completion::Clean)
        }
        EvalRequest::Run(options) => {
            let report = score_model(options, notes)?;
            (report.text(), if report.skipped.is_empty() { Completion::Clean } else { Completion::Problems })
        }
    };
    print(&mut out, text.trim_end())?;
    Ok(completion)
}

/// Runs the model on the data set, stores the predictions and writes the report, with its picture where the task has one, into the
/// folder `options.out`. Continues an earlier run there if `options.resume` says so.
///
/// # Errors
/// If the data set, the model or the folder cannot be used, inference fails, or the folder holds predictions that are not to be resumed or cannot be.
fn score_model(options: &EvalOptions, mut notes: impl Write) -> Result<EvalReport> {
    let DataSet { rows, items, skipped, notes: mut report_notes } =
        without_unknown_modes(options, layouts::read(&options.task, &options.data)?)?;
    let items = items::evenly_spaced(items, options.limit);
    let chosen = items.len();
    let mut sessions = grouping::group(&options.task, items, &options.contexts);
    if let Some(path) = &options.background {
        sessions.extend(grouping::background(layouts::sounds(path)?, options.contexts.first().copied().unwrap_or_default()));
    }
    if let Some(threads) = options.threads {
        crate::model::use_threads(threads);
    }
    if options.resume == ResumePolicy::Refuse
        && !exists(&options.out.join(store::PREDICTIONS))
        && let Some(report) = report_in(&options.out)
    {
        // It is of something else: a run leaves its predictions as well.
        return Err(Error::at(ErrorKind::Arguments, &report, "this file exists already: choose another --out"));
    }
    let found = hub::find(&options.model, &Paths::find()?)?;
    let model = Arc::new(Model::load(&found.folder, &found.name, options.precision, options.device)?);
    let settings = settings(options, &model);
    if is_typed(&options.task) && options.model == ModelChoice::Starter {
        report_notes.push(NO_QUESTIONS.to_owned());
    }
    let mut store = PredictionStore::open(&options.out, &header(options, &sessions, &model), options.resume)?;
    run_sessions(options, &model, sessions.clone(), &mut store, &mut notes)?;
    let predictions = in_order(&sessions, std::mem::take(&mut store.predictions));
    let base = EvalReport {
        hearken: env!("CARGO_PKG_VERSION").to_owned(),
        task: options.task.clone(),
        settings,
        rows,
        chosen,
        scored: 0,
        skipped,
        figures: Vec::new(),
        tables: Vec::new(),
        notes: report_notes,
    };
    let (report, picture) = score::report(base, &predictions);
    let written = write(&options.out, &report).and_then(|()| match &picture {
        Some(picture) => write_private(&options.out.join(picture_name(&options.task)), picture.as_bytes()),
        None => Ok(()),
    });
    written.map_err(|e| e.while_doing(format!("all {} predictions are kept; --resume writes the report again", predictions.len())))?;
    // The summary is complete without this line.
    let _ = writeln!(notes, "report.md, report.json and {} are in {}", store::PREDICTIONS, options.out.display());
    Ok(report)
}

/// Returns the file name of the report's picture: a line chart for `streaming`, otherwise the recall / false-alarm curve.
const fn picture_name(task: &EvalTask) -> &'static str {
    if matches!(task, EvalTask::Streaming { .. }) { "streaming.svg" } else { "curve.svg" }
}

/// Returns the path of a report that is in `folder` already, if there is one.
fn report_in(folder: &Path) -> Option<PathBuf> {
    [compare::REPORT, "report.md"].map(|name| folder.join(name)).into_iter().find(|path| exists(path))
}

/// Writes `report` into `folder` as `report.json` and as `report.md`, and replaces those that are there.
fn write(folder: &Path, report: &EvalReport) -> Result<()> {
    let json = serde_json::to_string_pretty(report).map_err(Error::internal)?;
    write_private(&folder.join(compare::REPORT), format!("{json}\n").as_bytes())?;
    write_private(&folder.join("report.md"), report.markdown().as_bytes())
}

/// Runs each session of which at least one item has no prediction in `store`, and appends the predictions that are new.
fn run_sessions(
    options: &EvalOptions,
    model: &Arc<Model>,
    sessions: Vec<EvalSession>,
    store: &mut PredictionStore,
    notes: impl Write,
) -> Result<()> {
    let streaming = matches!(options.task, EvalTask::Streaming { .. });
    let single = matches!(options.task.inner(), EvalTask::Proactive { style: ProactiveStyle::Single });
    let all: usize = sessions.iter().map(|s| s.items.len()).sum();
    let left: Vec<EvalSession> =
        sessions.into_iter().filter(|s| !s.items.iter().all(|item| store.contains(&s.condition, &item.id))).collect();
    let mut progress = Progress::new(notes, all, all - left.iter().map(|s| s.items.len()).sum::<usize>());
    // A crash may have cut a session off after some of its predictions: the session runs again as a whole.
    let mut done = |predictions: Vec<Prediction>| {
        progress.add(predictions.len());
        let new = predictions.into_iter().filter(|p| !store.contains(&p.condition, &p.id)).collect();
        store.append(new)
    };
    let runner = |mode: Mode, prompt: Arc<PromptCache>| SessionRunner {
        model: Arc::clone(model),
        config: SessionConfig::product(SamplingChoice::GREEDY, ContextChoice::default()),
        mode,
        prompt,
        // With several clips in a session, the replies between them are part of the context, and a silent lane has none.
        margins: if single && !streaming { Margins::WholeSound } else { Margins::None },
        first_text_latency: if streaming { FirstTextLatency::Measured } else { FirstTextLatency::NotMeasured },
        gap_secs: options.gap_secs,
        gate: options.gate,
        lanes: options.lanes,
    };
    if is_typed(&options.task) {
        TypedQuestionRunner { model: Arc::clone(model), lanes: options.lanes }.run(left, &mut done)?;
    } else {
        for (mode, sessions) in by_mode(options, left)? {
            let prompt = PromptCache::of(model, &mode, &Paths::find()?)?;
            runner(mode, prompt).run(sessions, &mut done)?;
        }
    }
    progress.end();
    Ok(())
}

/// Returns true for the task `qa` with typed questions, also within `streaming`; they need a prompt layout of their own.
fn is_typed(task: &EvalTask) -> bool {
    matches!(task.inner(), EvalTask::Qa { instruction: QuestionInput::Typed })
}

/// Returns `set` with the items that name an unknown mode moved to its skipped rows.
///
/// # Errors
/// If no item is left.
fn without_unknown_modes(options: &EvalOptions, set: DataSet) -> Result<DataSet> {
    let modes = modes(options)?;
    let DataSet { items, mut skipped, .. } = set;
    let known = |item: &EvalItem| item.mode.as_ref().is_none_or(|name| modes.iter().any(|mode| mode.name == *name));
    let (items, unknown): (Vec<EvalItem>, Vec<EvalItem>) = items.into_iter().partition(known);
    let names = || modes.iter().map(|mode| mode.name.as_str()).collect::<Vec<_>>().join(", ");
    skipped.extend(unknown.into_iter().map(|item| {
        let why = format!("there is no mode {}, there are {}", item.mode.unwrap_or_default(), names());
        SkippedRow { row: item.id, why }
    }));
    match skipped.first().filter(|_| items.is_empty()) {
        Some(first) => {
            let why = format!("none of its {} rows can be used; the first, {}: {}", set.rows, first.row, first.why);
            Err(Error::at(ErrorKind::Data, &options.data, why))
        }
        None => Ok(DataSet { rows: set.rows, items, skipped, notes: set.notes }),
    }
}

/// Groups the sessions by the mode of their first item (by default that of the task), in the order in which the modes first occur,
/// and adds `options.eagerness` to the eagerness of each mode.
///
/// # Errors
/// If a mode does not exist.
fn by_mode(options: &EvalOptions, sessions: Vec<EvalSession>) -> Result<Vec<(Mode, Vec<EvalSession>)>> {
    let modes = modes(options)?;
    let default = match options.task.inner() {
        EvalTask::Asr { .. } => TRANSCRIBE,
        EvalTask::Translate { .. } => TRANSLATE,
        _ => DIALOG,
    };
    let mut groups: Vec<(Mode, Vec<EvalSession>)> = Vec::new();
    for session in sessions {
        let name = session.items.first().and_then(|item| item.mode.as_deref()).unwrap_or(default);
        if let Some((_, same_mode)) = groups.iter_mut().find(|(mode, _)| mode.name == name) {
            same_mode.push(session);
            continue;
        }
        let Some(mode) = modes.iter().find(|mode| mode.name == name) else {
            return Err(Error::at(ErrorKind::Data, &options.data, format!("there is no mode {name}")));
        };
        groups.push((Mode { eagerness: mode.eagerness + options.eagerness, ..mode.clone() }, vec![session]));
    }
    Ok(groups)
}

/// Returns the modes that items may name: the built-in ones, with their built-in spoken instructions, so that a figure can be
/// reproduced on another machine; for labelled streams also the user's own under other names.
fn modes(options: &EvalOptions) -> Result<Vec<Mode>> {
    let language = match options.task.inner() {
        EvalTask::Translate { to } | EvalTask::Streams { to } => *to,
        _ => Language::default(),
    };
    let mut modes = modes::builtin(language, Path::new(NO_CLIPS));
    if let EvalTask::Streams { .. } = options.task {
        let own = crate::config::all_modes(&Paths::find()?, language)?;
        let own: Vec<Mode> = own.into_iter().filter(|mode| modes.iter().all(|builtin| builtin.name != mode.name)).collect();
        modes.extend(own);
    }
    Ok(modes)
}

/// Returns the settings that the report lists, by name, as text: model, precision, data, context and others. Compute device,
/// threads, background recordings and `--resume` are not among them.
fn settings(options: &EvalOptions, model: &Model) -> BTreeMap<String, String> {
    let fingerprint: String = hex(model.fingerprint().get(..SHOWN_FINGERPRINT_BYTES).unwrap_or_default());
    let mut settings = BTreeMap::from([
        ("model".to_owned(), model.name().to_owned()),
        ("fingerprint".to_owned(), fingerprint),
        ("precision".to_owned(), model.precision().name().to_owned()),
        ("data".to_owned(), options.data.display().to_string()),
        ("together".to_owned(), options.lanes.to_string()),
        ("decoding".to_owned(), "greedy".to_owned()),
        ("context".to_owned(), contexts(options)),
    ]);
    if is_typed(&options.task) {
        // Eagerness, gap and gate have no effect here: every question is answered, and no silence follows it.
        settings.insert("layout".to_owned(), "offline: the recording as a whole, at most 20 s, then the question".to_owned());
    } else {
        settings.insert("eagerness".to_owned(), options.eagerness.to_string());
        settings.insert("silence after each sound".to_owned(), format!("{} s", options.gap_secs));
        settings.insert("quiet gate".to_owned(), if options.gate { "on" } else { "off" }.to_owned());
    }
    if let Some(limit) = options.limit {
        settings.insert("limit".to_owned(), limit.to_string());
    }
    settings
}

/// Returns the names of the context policies and the window size in one line, for settings and header.
fn contexts(options: &EvalOptions) -> String {
    let names: Vec<&str> = options.contexts.iter().map(|context| context.policy.name()).collect();
    let positions = options.contexts.first().map_or(0, |context| context.positions);
    format!("{}, {positions} positions", names.join(", "))
}

/// Returns the header of the predictions file: version, task, hash of the items, model, precision and the options that change
/// replies. A resumed run must have the same one.
fn header(options: &EvalOptions, sessions: &[EvalSession], model: &Model) -> Map<String, Value> {
    let mut hash = Sha256::new();
    for (session, item) in sessions.iter().flat_map(|s| s.items.iter().map(move |item| (s, item))) {
        hash.update(json!([session.condition, item.id, item.expected, item.question, item.answers, item.mode]).to_string());
    }
    let fields = [
        ("hearken", json!(env!("CARGO_PKG_VERSION"))),
        ("task", json!(options.task)),
        ("items", json!(hex(&hash.finalize()))),
        ("model", json!(hex(model.fingerprint()))),
        ("precision", json!(model.precision().name())),
        ("eagerness", json!(options.eagerness)),
        ("context", json!(contexts(options))),
        ("silence", json!(options.gap_secs)),
        ("gate", json!(options.gate)),
    ];
    // Omitted for other tasks, so that runs started before this field existed can be resumed.
    let layout = is_typed(&options.task).then(|| ("layout", json!("offline")));
    fields.into_iter().chain(layout).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the predictions that belong to `sessions`, one for each condition and id, in the order of `sessions`; drops others.
fn in_order(sessions: &[EvalSession], predictions: Vec<Prediction>) -> Vec<Prediction> {
    let keys = sessions.iter().flat_map(|s| s.items.iter().map(|item| (s.condition.as_str(), item.id.as_str())));
    let mut by_key: BTreeMap<(String, String), Prediction> =
        predictions.into_iter().map(|p| ((p.condition.clone(), p.id.clone()), p)).collect();
    let mut seen = HashSet::new();
    keys.filter(|key| seen.insert(*key)).filter_map(|(condition, id)| by_key.remove(&(condition.to_owned(), id.to_owned()))).collect()
}
