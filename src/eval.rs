//! `hearken eval`: scores a model on labelled audio, so that anybody can check a published figure (CONTRACT.md).
//!
//! Responsible for the order of a run: read the data set, hear it, keep every prediction, report. The parts: [`layouts`] knows
//! how data sets come, [`hear`] drives the product's own sessions, [`judge`] and what it uses are pure arithmetic, [`score`]
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
pub mod tokenise;
pub mod words;

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::config::modes::{self, DIALOG, TRANSCRIBE, TRANSLATE};
use crate::config::paths::write_private;
use crate::config::{ContextChoice, EvalOptions, EvalRequest, EvalTask, Instruction, Language, Mode, Paths, SamplingChoice, Style};
use crate::engine::opening::Opening;
use crate::engine::session::Conduct;
use crate::error::{Error, ErrorKind, Result};
use crate::hub;
use crate::model::Model;
use hear::{Clock, Hearer, Margins, Sitting, Typed};
use items::{DataSet, Prediction};
use progress::Progress;
use report::Report;
use store::Store;

/// How a run counts as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every row was scored.
    Clean,
    /// Some could not be.
    Problems,
}

impl Outcome {
    /// The exit code of the process (CONTRACT.md).
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Problems => 1,
        }
    }
}

/// Does what `request` asks; the summary goes to `out`, progress to `notes`.
///
/// # Errors
/// When the data set, the model or the folder of the report cannot be used, or computing fails.
pub fn run(request: &EvalRequest, mut out: impl Write, notes: impl Write) -> Result<Outcome> {
    let (text, outcome) = match request {
        EvalRequest::Compare { before, after, out } => (compare::run(before, after, out.as_deref())?, Outcome::Clean),
        EvalRequest::Run(options) => {
            let report = score_model(options, notes)?;
            (report.text(), if report.skipped.is_empty() { Outcome::Clean } else { Outcome::Problems })
        }
    };
    match writeln!(out, "{}", text.trim_end()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(outcome),
        Err(e) => Err(Error::new(ErrorKind::Output, format!("stdout cannot be written: {e}"))),
        Ok(()) => Ok(outcome),
    }
}

fn score_model(options: &EvalOptions, notes: impl Write) -> Result<Report> {
    let DataSet { rows, items, skipped } = layouts::read(&options.task, &options.data)?;
    let items = items::spread(items, options.limit);
    let chosen = items.len();
    let mut sittings = sittings::arrange(&options.task, items);
    if let Some(path) = &options.background {
        sittings.extend(sittings::background(layouts::sounds(path)?));
    }
    if let Some(threads) = options.threads {
        crate::model::use_threads(threads);
    }
    let found = hub::find(&options.model, &Paths::find()?)?;
    let model = Arc::new(Model::load(&found.folder, &found.name, options.precision, options.device)?);
    let settings = settings(options, &model);
    let mut store = Store::open(&options.out, &header(options, &sittings, &model), options.resume)?;
    hear(options, &model, sittings.clone(), &mut store, notes)?;
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
        notes: Vec::new(),
    };
    let (report, picture) = score::report(base, &predictions);
    write(&options.out, &report)?;
    if let Some(picture) = picture {
        write_private(&options.out.join("curve.svg"), picture.as_bytes())?;
    }
    Ok(report)
}

/// Writes `report` into `folder` for people and for programs.
fn write(folder: &Path, report: &Report) -> Result<()> {
    let json = serde_json::to_string_pretty(report).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
    write_private(&folder.join(compare::REPORT), format!("{json}\n").as_bytes())?;
    write_private(&folder.join("report.md"), report.markdown().as_bytes())
}

/// Hears the sittings that have not been heard to their end.
fn hear(options: &EvalOptions, model: &Arc<Model>, sittings: Vec<Sitting>, store: &mut Store, notes: impl Write) -> Result<()> {
    let streaming = matches!(options.task, EvalTask::Streaming { .. });
    let single = matches!(options.task.inner(), EvalTask::Proactive { style: Style::Single });
    let typed = matches!(options.task.inner(), EvalTask::Qa { instruction: Instruction::Typed });
    let mode = mode(options)?;
    let opening = Opening::of(model, &mode, &Paths::find()?)?;
    let hearer = Hearer {
        model: Arc::clone(model),
        conduct: Conduct::product(SamplingChoice { temperature: 0.0, top_k: None, seed: 0 }, ContextChoice::default()),
        mode,
        opening,
        typed: if typed { Typed::Questions } else { Typed::Nothing },
        // Where a reply can lie between two clips, a lane that never gives one hears something else than the device would.
        margins: if single && !streaming { Margins::OfTheWhole } else { Margins::None },
        clock: if streaming { Clock::Read } else { Clock::Unread },
        lanes: options.lanes,
    };
    let all: usize = sittings.iter().map(|s| s.items.len()).sum();
    let left: Vec<Sitting> = sittings.into_iter().filter(|s| !s.items.iter().all(|item| store.has(&s.condition, &item.id))).collect();
    let mut progress = Progress::new(notes, all, all - left.iter().map(|s| s.items.len()).sum::<usize>());
    hearer.hear(left, |predictions| {
        progress.add(predictions.len());
        // Of a sitting that a crash cut off some may have been kept; it was heard again as a whole.
        let new = predictions.into_iter().filter(|p| !store.has(&p.condition, &p.id)).collect();
        store.keep(new)
    })?;
    progress.end();
    Ok(())
}

/// The mode whose replies are judged. Its clip is the built-in one, so that a figure can be reproduced elsewhere.
fn mode(options: &EvalOptions) -> Result<Mode> {
    let (name, language) = match options.task.inner() {
        EvalTask::Asr { .. } => (TRANSCRIBE, Language::default()),
        EvalTask::Translate { to } => (TRANSLATE, *to),
        _ => (DIALOG, Language::default()),
    };
    let nowhere = Path::new("/nowhere/to/look/for/clips");
    let found = modes::builtin(language, nowhere).into_iter().find(|mode| mode.name == name);
    let mode = found.ok_or_else(|| Error::new(ErrorKind::Internal, format!("there is no mode {name}")))?;
    Ok(Mode { eagerness: options.eagerness, ..mode })
}

/// Everything that could change a figure, as a person reads it.
fn settings(options: &EvalOptions, model: &Model) -> BTreeMap<String, String> {
    let fingerprint: String = model.fingerprint().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut settings = BTreeMap::from([
        ("model".to_owned(), model.name().to_owned()),
        ("fingerprint".to_owned(), fingerprint),
        ("precision".to_owned(), model.precision().name().to_owned()),
        ("data".to_owned(), options.data.display().to_string()),
        ("eagerness".to_owned(), options.eagerness.to_string()),
        ("together".to_owned(), options.lanes.to_string()),
        ("decoding".to_owned(), "greedy".to_owned()),
        ("context".to_owned(), "as `hearken listen`".to_owned()),
    ]);
    if let Some(limit) = options.limit {
        settings.insert("limit".to_owned(), limit.to_string());
    }
    settings
}

/// What a run must have in common with the predictions that it goes on with.
fn header(options: &EvalOptions, sittings: &[Sitting], model: &Model) -> Map<String, Value> {
    let mut hash = Sha256::new();
    for (sitting, item) in sittings.iter().flat_map(|s| s.items.iter().map(move |item| (s, item))) {
        hash.update(json!([sitting.condition, item.id, item.expected]).to_string());
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let fields = [
        ("hearken", json!(env!("CARGO_PKG_VERSION"))),
        ("task", json!(options.task)),
        ("items", json!(hex(&hash.finalize()))),
        ("model", json!(hex(model.fingerprint()))),
        ("precision", json!(model.precision().name())),
        ("eagerness", json!(options.eagerness)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
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
