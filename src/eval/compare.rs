//! `hearken eval compare`: the differences between two runs and their significance.
//!
//! Both runs are scored again from their stored predictions, on the items that both have, with the paired bootstrap. No model
//! is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::grouping::BACKGROUND;
use super::items::Prediction;
use super::metrics::{Better, Metric, Unit, metrics};
use super::report::{EvalReport, Figure, Table};
use super::stats::{BootstrapResult, bootstrap};
use super::store::PredictionStore;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::{Existing, already_exists, make_private_folder};

/// File name of a report in the folder of its run (`--out`).
pub const REPORT: &str = "report.json";
/// Largest p-value at which a difference is called better or worse and not chance.
const SIGNIFICANCE: f64 = 0.05;
/// Maximum number of changed items that a comparison lists.
const LISTED: usize = 20;
/// Number of characters of each item's replies that the list of changed items shows.
const SHOWN_CHARS: usize = 60;

/// Compares the runs in the folders `before` and `after`. Returns the comparison as text; writes it as `report.json` and
/// `report.md` into the folder `out` too, if given, which is created.
///
/// # Errors
/// If a folder holds no run, the runs are of different tasks or have no item in common, when a report is in `out` and is kept, or `out` cannot be written.
pub fn run(before: &Path, after: &Path, out: Option<&Path>, existing: Existing) -> Result<String> {
    if existing == Existing::Kept
        && let Some(report) = out.and_then(super::report_in)
    {
        return Err(already_exists(&report));
    }
    let (first, second) = (read(before)?, read(after)?);
    let report = compare(ScoredRun::new(&first.0, &first.1), ScoredRun::new(&second.0, &second.1))
        .map_err(|e| e.while_doing("these runs cannot be compared"))?;
    if let Some(folder) = out {
        make_private_folder(folder)?;
        super::write(folder, &report)?;
    }
    Ok(report.text())
}

/// Reads the report and the predictions of the run in `folder` (its `--out`).
///
/// # Errors
/// If either file is missing or damaged.
fn read(folder: &Path) -> Result<(EvalReport, Vec<Prediction>)> {
    let path = folder.join(REPORT);
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Error::at(ErrorKind::Data, &path, format!("there is no run here ({e})")).with_remedy(Remedy::CheckPath))?;
    let report = serde_json::from_str(&text).map_err(|e| Error::at(ErrorKind::Data, &path, format!("not a report of a run ({e})")))?;
    Ok((report, PredictionStore::read(folder)?))
}

/// A finished run: its report and its predictions.
#[derive(Clone, Copy, Debug)]
pub struct ScoredRun<'a> {
    /// Report of the run.
    pub report: &'a EvalReport,
    /// Predictions from which the report was made.
    pub predictions: &'a [Prediction],
}

impl<'a> ScoredRun<'a> {
    /// Pairs a report with its predictions.
    #[must_use]
    pub const fn new(report: &'a EvalReport, predictions: &'a [Prediction]) -> Self {
        Self { report, predictions }
    }
}

/// Compares two runs on the items that both have heard with the same expected output. Returns a report whose figures are the
/// differences (second minus first), with p-values and verdicts as a table.
///
/// # Errors
/// If the first metrics of their tasks differ, or they have no such item in common.
pub fn compare(before: ScoredRun<'_>, after: ScoredRun<'_>) -> Result<EvalReport> {
    let (old, new) = (before.report, after.report);
    if old.task.inner() != new.task.inner() && metrics(&old.task).first().map(|m| m.key) != metrics(&new.task).first().map(|m| m.key) {
        let why = format!("one run is {}, the other {}", old.task.title(), new.task.title());
        return Err(Error::new(ErrorKind::Data, why));
    }
    let (before, after) = (without_background(before.predictions), without_background(after.predictions));
    let pairs = pairs(&before, &after);
    if pairs.is_empty() {
        return Err(Error::new(ErrorKind::Data, "the runs have no item in common"));
    }
    let all: usize = before.len().max(after.len());
    let mut report = EvalReport { rows: all, chosen: all, scored: pairs.len(), skipped: Vec::new(), ..new.clone() };
    (report.figures, report.tables, report.notes) = (Vec::new(), Vec::new(), Vec::new());
    report.notes.push(format!("First: {}. Second: {}.", old.heading(), new.heading()));
    let alone = |of: &[&Prediction]| of.len() - pairs.len();
    if alone(&before) + alone(&after) > 0 {
        let (one, other) = (alone(&before), alone(&after));
        report.notes.push(format!("Only what both have is compared: {one} items of the first and {other} of the second are left out."));
    }
    report.tables.extend(differing_settings(old, new));
    let conditions: BTreeSet<&str> = pairs.iter().map(|(a, _)| a.condition.as_str()).collect();
    let mut table = Table::new("What changed", &["figure", "first", "second", "difference", "95 %", "p", "verdict"]);
    for condition in &conditions {
        let of: Vec<_> = pairs.iter().copied().filter(|(a, _)| a.condition == *condition).collect();
        for metric in metrics(&new.task) {
            add_difference(&mut report, &mut table, &metric, condition, &of);
        }
    }
    report.tables.push(table);
    report.tables.extend(changed_items(&metrics(&new.task), &pairs));
    report.notes.push(format!(
        "Paired bootstrap, {} draws, fixed seed; p is two-sided and not corrected for several figures.",
        super::stats::DRAWS
    ));
    Ok(report)
}

/// The predictions of one item under one condition: in the first and in the second run.
type Pair<'a> = (&'a Prediction, &'a Prediction);

/// Returns the predictions in `all` that are not on background recordings.
fn without_background(all: &[Prediction]) -> Vec<&Prediction> {
    all.iter().filter(|p| p.condition != BACKGROUND).collect()
}

/// Pairs the predictions of equal condition and item in the runs `before` and `after`, in the order of the first run; leaves out items that
/// a run did not hear to the end, or whose expected output differs.
fn pairs<'a>(before: &[&'a Prediction], after: &[&'a Prediction]) -> Vec<Pair<'a>> {
    let key = |p: &'a Prediction| (p.condition.as_str(), p.id.as_str());
    let later: BTreeMap<_, &Prediction> = after.iter().map(|p| (key(p), *p)).collect();
    let heard = |p: &Prediction| p.unheard.is_none();
    before
        .iter()
        .filter_map(|p| Some((*p, *later.get(&key(p))?)))
        .filter(|(a, b)| heard(a) && heard(b) && a.expected == b.expected)
        .collect()
}

/// Adds the difference in `metric` over `pairs`, all of `condition`, to `report` as a figure and to `table` as a row; adds nothing if a run
/// has no value of the metric.
fn add_difference(report: &mut EvalReport, table: &mut Table, metric: &Metric, condition: &str, pairs: &[Pair<'_>]) {
    let both = pairs.iter().filter_map(|(a, b)| Some((metric.counts(a).ok()?, metric.counts(b).ok()?)));
    let (old, new): (Vec<Vec<f64>>, Vec<Vec<f64>>) = both.unzip();
    let of = |drawn: &[usize]| Some(metric.value_of(&new, drawn.iter().copied())? - metric.value_of(&old, drawn.iter().copied())?);
    let (Some(first), Some(second), Some(paired)) = (metric.value(&old), metric.value(&new), bootstrap(old.len(), of)) else { return };
    let name = if condition.is_empty() { metric.name.to_owned() } else { format!("{} ({condition})", metric.name) };
    let BootstrapResult { difference, interval: (low, high), p } = paired;
    let signed = |value: f64| match metric.unit {
        Unit::Percent => format!("{:+.2}", 100.0 * value),
        Unit::Score | Unit::PerHour => format!("{value:+.2}"),
    };
    let verdict = verdict(metric.better, difference, p);
    let (a, b) = (metric.unit.text(first), metric.unit.text(second));
    let interval = format!("{} to {}", signed(low), signed(high));
    let text = format!("{a} → {b}  ({}; {interval}; p = {p:.3}): {verdict}", signed(difference));
    let key = if condition.is_empty() { metric.key.to_owned() } else { format!("{}_{condition}", metric.key) };
    report.figures.push(Figure { interval: Some((low, high)), ..Figure::plain(&key, &name, difference, text) });
    table.rows.push(vec![name, a, b, signed(difference), interval, format!("{p:.3}"), verdict.to_owned()]);
}

/// Returns the verdict on a difference (second run minus first) with the p-value `p`: `the same`, `may be chance`, `better` or
/// `worse`.
const fn verdict(better: Better, difference: f64, p: f64) -> &'static str {
    if difference == 0.0 {
        return "the same";
    }
    if p > SIGNIFICANCE {
        return "may be chance";
    }
    match (better, difference > 0.0) {
        (Better::Higher, true) | (Better::Lower, false) => "better",
        _ => "worse",
    }
}

/// Returns a table of the settings that differ between the runs; `None` if none does.
fn differing_settings(old: &EvalReport, new: &EvalReport) -> Option<Table> {
    let mut table = Table::new("Settings that differ", &["setting", "first", "second"]);
    let names: BTreeSet<&String> = old.settings.keys().chain(new.settings.keys()).collect();
    for name in names {
        let (a, b) = (old.settings.get(name), new.settings.get(name));
        if a != b {
            let text = |value: Option<&String>| value.cloned().unwrap_or_else(|| "-".to_owned());
            table.rows.push(vec![name.clone(), text(a), text(b)]);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// Returns a table of the first [`LISTED`] items whose counts of the first metric differ, with the replies of both runs; `None` if
/// there is none.
fn changed_items(of_metrics: &[Metric], pairs: &[Pair<'_>]) -> Option<Table> {
    let metric = of_metrics.first()?;
    let mut table = Table::new("Items that count differently", &["item", "first", "second"]);
    let changed: Vec<&Pair<'_>> = pairs.iter().filter(|(a, b)| metric.counts(a) != metric.counts(b)).collect();
    for (a, b) in changed.iter().take(LISTED) {
        let said = |p: &Prediction| if p.replies.is_empty() { "(silent)".to_owned() } else { p.text().chars().take(SHOWN_CHARS).collect() };
        table.rows.push(vec![a.id.clone(), said(a), said(b)]);
    }
    table.title = format!("Items that count differently: {} of {}", changed.len(), pairs.len());
    (!changed.is_empty()).then_some(table)
}
