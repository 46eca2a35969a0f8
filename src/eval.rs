//! `hearken eval`: scores a model on labelled audio, so that anybody can check a published figure (CONTRACT.md).
//!
//! Responsible for the order of a run: read the data set, hear it, keep every prediction, report. The parts: [`layouts`] knows
//! how data sets come, [`hear`] drives the product's own sessions, [`typed_qa`] puts typed questions, [`judge`] and what it uses are pure arithmetic, [`score`]
//! and [`compare`] say what it comes to. Not responsible for how the model listens.

pub mod bleu;
pub mod choice;
pub mod compare;
pub mod hear;
pub mod items;
pub mod judge;
pub mod layouts;
pub mod normalise;
pub mod plot;
pub mod progress;
pub mod report;
pub mod rows;
pub mod score;
pub mod sittings;
pub mod stats;
pub mod store;
pub mod streams;
pub mod tokenise;
pub mod typed_qa;
pub mod words;

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::config::modes::{self, DIALOG, TRANSCRIBE, TRANSLATE};
use crate::config::{ContextChoice, EvalOptions, EvalRequest, EvalTask, Mode, Paths, ProactiveStyle, QuestionInput, SamplingChoice};
use crate::console::{Completion, print};
use crate::error::{Error, ErrorKind, Result};
use crate::files::write_private;
use crate::hub;
use crate::model::Model;
use crate::protocol::{Language, ModelChoice};
use crate::session::SessionConfig;
use crate::session::prompt::PromptCache;
use hear::{Clock, Hearer, Margins, Sitting};
use items::{DataSet, Item, Prediction, Skipped};
use progress::Progress;
use report::Report;
use store::Store;
use typed_qa::Asker;

/// What is said of typed questions to a model that never saw one.
const NO_QUESTIONS: &str = "The starter was not trained to answer typed questions: what it says to them means nothing. Ask a model that was, \
such as --model 3b.";

/// Does what `request` asks; the summary goes to `out`, progress to `notes`.
///
/// # Errors
/// When the data set, the model or the folder of the report cannot be used, or computing fails.
pub fn run(request: &EvalRequest, mut out: impl Write, notes: impl Write) -> Result<Completion> {
    let (text, outcome) = match request {
        EvalRequest::Compare { before, after, out } => (compare::run(before, after, out.as_deref())?, Completion::Clean),
        EvalRequest::Run(options) => {
            let report = score_model(options, notes)?;
            (report.text(), if report.skipped.is_empty() { Completion::Clean } else { Completion::Problems })
        }
    };
    print(&mut out, text.trim_end())?;
    Ok(outcome)
}

fn score_model(options: &EvalOptions, mut notes: impl Write) -> Result<Report> {
    let DataSet { rows, items, skipped, notes: mut said } = heard_in_known_modes(options, layouts::read(&options.task, &options.data)?)?;
    let items = items::spread(items, options.limit);
    let chosen = items.len();
    let mut sittings = sittings::arrange(&options.task, items, &options.contexts);
    if let Some(path) = &options.background {
        sittings.extend(sittings::background(layouts::sounds(path)?, options.contexts.first().copied().unwrap_or_default()));
    }
    if let Some(threads) = options.threads {
        crate::model::use_threads(threads);
    }
    let found = hub::find(&options.model, &Paths::find()?)?;
    let model = Arc::new(Model::load(&found.folder, &found.name, options.precision, options.device)?);
    let settings = settings(options, &model);
    if is_typed(&options.task) && options.model == ModelChoice::Starter {
        said.push(NO_QUESTIONS.to_owned());
    }
    let mut store = Store::open(&options.out, &header(options, &sittings, &model), options.resume)?;
    hear(options, &model, sittings.clone(), &mut store, &mut notes)?;
    let predictions = in_order(&sittings, std::mem::take(&mut store.predictions));
    let base = Report {
        hearken: env!("CARGO_PKG_VERSION").to_owned(),
        task: options.task.clone(),
        settings,
        rows,
        chosen,
        scored: 0,
        skipped,
        figures: Vec::new(),
        tables: Vec::new(),
        notes: said,
    };
    let (report, picture) = score::report(base, &predictions);
    let written = write(&options.out, &report).and_then(|()| match &picture {
        Some(picture) => write_private(&options.out.join(picture_name(&options.task)), picture.as_bytes()),
        None => Ok(()),
    });
    written.map_err(|e| e.while_doing(format!("all {} predictions are kept; --resume writes the report again", predictions.len())))?;
    // Nobody may be there to read it.
    let _ = writeln!(notes, "report.md, report.json and {} are in {}", store::PREDICTIONS, options.out.display());
    Ok(report)
}

/// Of a curve of alarms, or of scores over the number of items.
const fn picture_name(task: &EvalTask) -> &'static str {
    if matches!(task, EvalTask::Streaming { .. }) { "streaming.svg" } else { "curve.svg" }
}

/// Writes `report` into `folder` for people and for programs.
fn write(folder: &Path, report: &Report) -> Result<()> {
    let json = serde_json::to_string_pretty(report).map_err(|e| Error::internal(e))?;
    write_private(&folder.join(compare::REPORT), format!("{json}\n").as_bytes())?;
    write_private(&folder.join("report.md"), report.markdown().as_bytes())
}

/// Hears the sittings that have not been heard to their end.
fn hear(options: &EvalOptions, model: &Arc<Model>, sittings: Vec<Sitting>, store: &mut Store, notes: impl Write) -> Result<()> {
    let streaming = matches!(options.task, EvalTask::Streaming { .. });
    let single = matches!(options.task.inner(), EvalTask::Proactive { style: ProactiveStyle::Single });
    let all: usize = sittings.iter().map(|s| s.items.len()).sum();
    let left: Vec<Sitting> = sittings.into_iter().filter(|s| !s.items.iter().all(|item| store.has(&s.condition, &item.id))).collect();
    let mut progress = Progress::new(notes, all, all - left.iter().map(|s| s.items.len()).sum::<usize>());
    // Of a sitting that a crash cut off some may have been kept; it was heard again as a whole.
    let mut done = |predictions: Vec<Prediction>| {
        progress.add(predictions.len());
        let new = predictions.into_iter().filter(|p| !store.has(&p.condition, &p.id)).collect();
        store.keep(new)
    };
    let hearer = |mode: Mode, opening: Arc<PromptCache>| Hearer {
        model: Arc::clone(model),
        conduct: SessionConfig::product(SamplingChoice::GREEDY, ContextChoice::default()),
        mode,
        opening,
        // Where a reply can lie between two clips, a lane that never gives one hears something else than the device would.
        margins: if single && !streaming { Margins::OfTheWhole } else { Margins::None },
        clock: if streaming { Clock::Read } else { Clock::Unread },
        gap_secs: options.gap_secs,
        gate: options.gate,
        lanes: options.lanes,
    };
    if is_typed(&options.task) {
        Asker { model: Arc::clone(model), lanes: options.lanes }.ask(left, &mut done)?;
    } else {
        for (mode, of) in by_mode(options, left)? {
            let opening = PromptCache::of(model, &mode, &Paths::find()?)?;
            hearer(mode, opening).hear(of, &mut done)?;
        }
    }
    progress.end();
    Ok(())
}

/// Whether questions are typed, which asks for a layout of its own.
fn is_typed(task: &EvalTask) -> bool {
    matches!(task.inner(), EvalTask::Qa { instruction: QuestionInput::Typed })
}

/// `set` less the items that name a mode that is not there.
fn heard_in_known_modes(options: &EvalOptions, set: DataSet) -> Result<DataSet> {
    let modes = modes(options)?;
    let DataSet { items, mut skipped, .. } = set;
    let known = |item: &Item| item.mode.as_ref().is_none_or(|name| modes.iter().any(|mode| mode.name == *name));
    let (items, strange): (Vec<Item>, Vec<Item>) = items.into_iter().partition(known);
    let names = || modes.iter().map(|mode| mode.name.as_str()).collect::<Vec<_>>().join(", ");
    skipped.extend(strange.into_iter().map(|item| {
        let why = format!("there is no mode {}, there are {}", item.mode.unwrap_or_default(), names());
        Skipped { row: item.id, why }
    }));
    match skipped.first().filter(|_| items.is_empty()) {
        Some(first) => {
            let why = format!("none of its {} rows can be used; the first, {}: {}", set.rows, first.row, first.why);
            Err(Error::at(ErrorKind::Data, &options.data, why))
        }
        None => Ok(DataSet { rows: set.rows, items, skipped, notes: set.notes }),
    }
}

/// The sittings of each mode, in the order in which the modes are needed first.
fn by_mode(options: &EvalOptions, sittings: Vec<Sitting>) -> Result<Vec<(Mode, Vec<Sitting>)>> {
    let modes = modes(options)?;
    let usual = match options.task.inner() {
        EvalTask::Asr { .. } => TRANSCRIBE,
        EvalTask::Translate { .. } => TRANSLATE,
        _ => DIALOG,
    };
    let mut groups: Vec<(Mode, Vec<Sitting>)> = Vec::new();
    for sitting in sittings {
        let name = sitting.items.first().and_then(|item| item.mode.as_deref()).unwrap_or(usual);
        if let Some((_, of)) = groups.iter_mut().find(|(mode, _)| mode.name == name) {
            of.push(sitting);
            continue;
        }
        let Some(mode) = modes.iter().find(|mode| mode.name == name) else {
            return Err(Error::at(ErrorKind::Data, &options.data, format!("there is no mode {name}")));
        };
        groups.push((Mode { eagerness: mode.eagerness + options.eagerness, ..mode.clone() }, vec![sitting]));
    }
    Ok(groups)
}

/// The modes that can be heard in. The clips of the usual ones are built in, so that a figure can be reproduced elsewhere;
/// labelled streams may name the user's own.
fn modes(options: &EvalOptions) -> Result<Vec<Mode>> {
    let language = match options.task.inner() {
        EvalTask::Translate { to } | EvalTask::Streams { to } => *to,
        _ => Language::default(),
    };
    let mut modes = modes::builtin(language, Path::new("/nowhere/to/look/for/clips"));
    if let EvalTask::Streams { .. } = options.task {
        let own = crate::config::all_modes(&Paths::find()?, language)?;
        let own: Vec<Mode> = own.into_iter().filter(|mode| modes.iter().all(|usual| usual.name != mode.name)).collect();
        modes.extend(own);
    }
    Ok(modes)
}

/// Everything that could change a figure, as a person reads it.
fn settings(options: &EvalOptions, model: &Model) -> BTreeMap<String, String> {
    let fingerprint: String = model.fingerprint().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
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
        // Nothing is listened to: whether to reply is not asked, and no silence follows.
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

/// What its sessions keep in mind.
fn contexts(options: &EvalOptions) -> String {
    let names: Vec<&str> = options.contexts.iter().map(|context| context.policy.name()).collect();
    let positions = options.contexts.first().map_or(0, |context| context.positions);
    format!("{}, {positions} positions", names.join(", "))
}

/// What a run must have in common with the predictions that it goes on with.
fn header(options: &EvalOptions, sittings: &[Sitting], model: &Model) -> Map<String, Value> {
    let mut hash = Sha256::new();
    for (sitting, item) in sittings.iter().flat_map(|s| s.items.iter().map(move |item| (s, item))) {
        hash.update(json!([sitting.condition, item.id, item.expected, item.question, item.answers, item.mode]).to_string());
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
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
    // Where there is no choice, what was begun before there was one is gone on with.
    let layout = is_typed(&options.task).then(|| ("layout", json!("offline")));
    fields.into_iter().chain(layout).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The predictions in the order of the data set, whatever order they were made in.
fn in_order(sittings: &[Sitting], predictions: Vec<Prediction>) -> Vec<Prediction> {
    let places = sittings.iter().flat_map(|s| s.items.iter().map(|item| (s.condition.as_str(), item.id.as_str())));
    let mut by_place: BTreeMap<(String, String), Prediction> =
        predictions.into_iter().map(|p| ((p.condition.clone(), p.id.clone()), p)).collect();
    let mut seen = HashSet::new();
    places
        .filter(|place| seen.insert(*place))
        .filter_map(|(condition, id)| by_place.remove(&(condition.to_owned(), id.to_owned())))
        .collect()
}
