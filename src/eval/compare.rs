//! Two runs side by side: what changed, and whether that may be chance.
//!
//! Both are judged anew from their predictions, on the items that both have, with the paired bootstrap. Nothing is heard.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::items::Prediction;
use super::judge::{Better, Metric, Unit, metrics};
use super::report::{Figure, Report, Table};
use super::sittings::BACKGROUND;
use super::stats::{Paired, bootstrap};
use super::store::Store;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::files::make_private_folder;

/// Name of a report in the folder of its run.
pub const REPORT: &str = "report.json";
/// A difference that chance makes more often than this is none.
const CHANCE: f64 = 0.05;
/// Items whose verdict changed that are named.
const NAMED: usize = 20;

/// Compares the runs in the folders `before` and `after`; the text of it, which is kept in `out` as well.
///
/// # Errors
/// When a folder holds no run, the runs are of different tasks or have no item in common, or `out` cannot be written.
pub fn run(before: &Path, after: &Path, out: Option<&Path>) -> Result<String> {
    let (first, second) = (read(before)?, read(after)?);
    let report = compare((&first.0, &first.1), (&second.0, &second.1)).map_err(|e| e.while_doing("these runs cannot be compared"))?;
    if let Some(folder) = out {
        make_private_folder(folder)?;
        super::write(folder, &report)?;
    }
    Ok(report.text())
}

fn read(folder: &Path) -> Result<(Report, Vec<Prediction>)> {
    let path = folder.join(REPORT);
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Error::at(ErrorKind::Data, &path, format!("there is no run here ({e})")).with_remedy(Remedy::CheckPath))?;
    let report = serde_json::from_str(&text).map_err(|e| Error::at(ErrorKind::Data, &path, format!("not a report of a run ({e})")))?;
    Ok((report, Store::read(folder)?))
}

/// Compares two runs.
///
/// # Errors
/// When they are of different tasks or have no item in common.
pub fn compare(before: (&Report, &[Prediction]), after: (&Report, &[Prediction])) -> Result<Report> {
    let (old, new) = (before.0, after.0);
    if old.task.inner() != new.task.inner() && metrics(&old.task).first().map(|m| m.key) != metrics(&new.task).first().map(|m| m.key) {
        let why = format!("one is of {}, the other of {}", old.task.title(), new.task.title());
        return Err(Error::new(ErrorKind::Data, why));
    }
    let (before, after) = (of_the_set(before.1), of_the_set(after.1));
    let pairs = pairs(&before, &after);
    if pairs.is_empty() {
        return Err(Error::new(ErrorKind::Data, "they have no item in common"));
    }
    let all: usize = before.len().max(after.len());
    let mut report = Report { rows: all, chosen: all, scored: pairs.len(), skipped: Vec::new(), ..new.clone() };
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
            rows(&mut report, &mut table, &metric, condition, &of);
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

type Pair<'a> = (&'a Prediction, &'a Prediction);

/// Those of the data set: a recording of background is no item of it.
fn of_the_set(all: &[Prediction]) -> Vec<&Prediction> {
    all.iter().filter(|p| p.condition != BACKGROUND).collect()
}

/// What both have heard, in the order of the first.
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

/// Adds the row of one figure.
fn rows(report: &mut Report, table: &mut Table, metric: &Metric, condition: &str, pairs: &[Pair<'_>]) {
    let both = pairs.iter().filter_map(|(a, b)| Some((metric.counts(a).ok()?, metric.counts(b).ok()?)));
    let (old, new): (Vec<Vec<f64>>, Vec<Vec<f64>>) = both.unzip();
    let of = |drawn: &[usize]| Some(metric.value_of(&new, drawn.iter().copied())? - metric.value_of(&old, drawn.iter().copied())?);
    let (Some(first), Some(second), Some(paired)) = (metric.value(&old), metric.value(&new), bootstrap(old.len(), of)) else { return };
    let name = if condition.is_empty() { metric.name.to_owned() } else { format!("{} ({condition})", metric.name) };
    let Paired { difference, interval: (low, high), p } = paired;
    let signed = |value: f64| match metric.unit {
        Unit::Percent => format!("{:+.2}", 100.0 * value),
        Unit::Score | Unit::AnHour => format!("{value:+.2}"),
    };
    let verdict = verdict(metric.better, difference, p);
    let (a, b) = (metric.unit.text(first), metric.unit.text(second));
    let interval = format!("{} to {}", signed(low), signed(high));
    let text = format!("{a} → {b}  ({}; {interval}; p = {p:.3}): {verdict}", signed(difference));
    let key = if condition.is_empty() { metric.key.to_owned() } else { format!("{}_{condition}", metric.key) };
    report.figures.push(Figure { interval: Some((low, high)), ..Figure::plain(&key, &name, difference, text) });
    table.rows.push(vec![name, a, b, signed(difference), interval, format!("{p:.3}"), verdict.to_owned()]);
}

const fn verdict(better: Better, difference: f64, p: f64) -> &'static str {
    if difference == 0.0 {
        return "the same";
    }
    if p > CHANCE {
        return "may be chance";
    }
    match (better, difference > 0.0) {
        (Better::Higher, true) | (Better::Lower, false) => "better",
        _ => "worse",
    }
}

fn differing_settings(old: &Report, new: &Report) -> Option<Table> {
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

/// The items that count differently, some of them named.
fn changed_items(of_metrics: &[Metric], pairs: &[Pair<'_>]) -> Option<Table> {
    let metric = of_metrics.first()?;
    let mut table = Table::new("Items that count differently", &["item", "first", "second"]);
    let changed: Vec<&Pair<'_>> = pairs.iter().filter(|(a, b)| metric.counts(a) != metric.counts(b)).collect();
    for (a, b) in changed.iter().take(NAMED) {
        let said = |p: &Prediction| if p.replies.is_empty() { "(silent)".to_owned() } else { p.text().chars().take(60).collect() };
        table.rows.push(vec![a.id.clone(), said(a), said(b)]);
    }
    table.title = format!("Items that count differently: {} of {}", changed.len(), pairs.len());
    (!changed.is_empty()).then_some(table)
}
