//! Builds a report from predictions: figures with their intervals, tables and notes. Pure.

mod proactive;
mod streaming;
mod streams;

use std::collections::{BTreeMap, BTreeSet};

use super::edit_distance::Edits;
use super::grouping::BACKGROUND;
use super::items::{Prediction, SkippedRow};
use super::metrics::{self, Metric, metrics};
use super::report::{EvalReport, Figure, Table};
use crate::config::{EvalTask, QuestionInput};
use streaming::StreamingRuns;

/// Adds figures, tables, notes and the rows that cannot be scored to `report`, from `predictions` in the order of the data set.
/// Returns the report and its SVG picture, which only `proactive` (with margins of every clip, and both labels) and `streaming`
/// have.
#[must_use]
pub fn report(mut report: EvalReport, predictions: &[Prediction]) -> (EvalReport, Option<String>) {
    let task = report.task.clone();
    let (background, heard): (Vec<&Prediction>, Vec<&Prediction>) = predictions.iter().partition(|p| p.condition == BACKGROUND);
    let heard = scorable(&task, heard, &mut report.skipped);
    let of_metrics = metrics(&task);
    for metric in &of_metrics {
        report.notes.extend(metric.signature.iter().map(|signature| format!("{}: {signature}", metric.name)));
    }
    if let EvalTask::Streaming { counts, contexts, .. } = &task {
        report.scored = heard.iter().map(|p| &p.id).collect::<BTreeSet<_>>().len();
        let picture = streaming::add(&mut report, &of_metrics, &StreamingRuns { counts, contexts }, &heard);
        return (report, picture);
    }
    report.scored = heard.len();
    report.figures = of_metrics.iter().filter_map(|metric| figure(metric, "", &heard)).collect();
    let picture = match &task {
        EvalTask::Proactive { .. } => proactive::add(&mut report, &heard, &background),
        EvalTask::Asr { language } => {
            let all = heard.iter().filter_map(|p| metrics::edits(p, *language).ok());
            edits(&mut report, all);
            None
        }
        EvalTask::Streams { .. } => {
            streams::add(&mut report, &of_metrics, &heard);
            None
        }
        EvalTask::Qa { instruction } => {
            if *instruction == QuestionInput::Typed {
                let longer = heard.iter().filter(|p| p.left_out_secs.is_some()).count();
                report.figures.push(Figure::count("cut", "sounds longer than 20 s, of which the first 20 s were heard", longer));
            }
            report.tables.extend(by_class(&of_metrics, &heard, 1));
            let by_difficulty = by(&of_metrics, &heard, |p| p.class.get(1).cloned().unwrap_or_default());
            report.tables.extend(by_difficulty.map(|table| Table { title: "By difficulty".to_owned(), ..table }));
            None
        }
        _ => None,
    };
    failures(&mut report, &heard);
    (report, picture)
}

/// Returns the predictions that can be scored by every metric of `task`, and adds the others to `skipped` with the reason.
fn scorable<'a>(task: &EvalTask, predictions: Vec<&'a Prediction>, skipped: &mut Vec<SkippedRow>) -> Vec<&'a Prediction> {
    let of_metrics = metrics(task);
    let why_not = |p: &Prediction| p.unheard.clone().or_else(|| of_metrics.iter().find_map(|metric| metric.counts(p).err()));
    let mut scored = Vec::new();
    for prediction in predictions {
        match why_not(prediction) {
            None => scored.push(prediction),
            Some(why) if prediction.condition.is_empty() => skipped.push(SkippedRow { row: prediction.id.clone(), why }),
            Some(why) => skipped.push(SkippedRow { row: format!("{} ({} in a session)", prediction.id, prediction.condition), why }),
        }
    }
    scored
}

/// Returns the counts of `metric` for each prediction that the metric applies to.
fn counted(metric: &Metric, predictions: &[&Prediction]) -> Vec<Vec<f64>> {
    predictions.iter().filter_map(|p| metric.counts(p).ok()).collect()
}

/// Returns the figure of `metric` over `predictions`; `condition`, unless empty, is appended to its key. `None` if no prediction counts
/// towards the metric.
fn figure(metric: &Metric, condition: &str, predictions: &[&Prediction]) -> Option<Figure> {
    let counts = counted(metric, predictions);
    let value = metric.value(&counts)?;
    let (quotient, interval) = (metric.quotient(&counts), metric.interval(&counts));
    let write = |value: f64| metric.unit.text(value);
    let beside = [
        quotient.map(|(counted, of)| metric.unit.quotient_text(counted, of)),
        interval.map(|(low, high)| format!("95 %: {} to {}", write(low), write(high))),
    ];
    let beside: Vec<String> = beside.into_iter().flatten().collect();
    let text = if beside.is_empty() { write(value) } else { format!("{}  ({})", write(value), beside.join("; ")) };
    let key = if condition.is_empty() { metric.key.to_owned() } else { format!("{}_{condition}", metric.key) };
    let (counted, of) = quotient.unzip();
    Some(Figure { interval, counted, of, ..Figure::plain(&key, metric.name, value, text) })
}

/// Returns a table of the metrics `of_metrics` with a row per class; `depth` 1 groups by class, 2 by class and subclass. `None` if no
/// prediction has a class.
fn by_class(of_metrics: &[Metric], predictions: &[&Prediction], depth: usize) -> Option<Table> {
    by(of_metrics, predictions, |p| p.class.iter().take(depth).map(String::as_str).collect::<Vec<_>>().join(" › "))
}

/// Returns a table of the metrics `of_metrics` with a row for each value of `class_of` and a column for each metric that has a value;
/// `None` if all values of `class_of` are empty.
fn by(of_metrics: &[Metric], predictions: &[&Prediction], class_of: impl Fn(&Prediction) -> String) -> Option<Table> {
    let mut classes: BTreeMap<String, Vec<&Prediction>> = BTreeMap::new();
    for prediction in predictions {
        classes.entry(class_of(prediction)).or_default().push(prediction);
    }
    if classes.keys().all(String::is_empty) {
        return None;
    }
    let judged: Vec<&Metric> = of_metrics.iter().filter(|metric| metric.value(&counted(metric, predictions)).is_some()).collect();
    let columns: Vec<&str> = ["class", "items"].into_iter().chain(judged.iter().map(|metric| metric.name)).collect();
    let mut table = Table::new("By class", &columns);
    for (class, of) in classes {
        let name = if class.is_empty() { "(none)".to_owned() } else { class };
        let mut row = vec![name, of.len().to_string()];
        row.extend(judged.iter().map(|m| m.value(&counted(m, &of)).map_or_else(|| "-".to_owned(), |value| m.unit.text(value))));
        table.rows.push(row);
    }
    Some(table)
}

/// Adds the sums of the edit counts of `all` transcripts to the figures of `report`.
fn edits(report: &mut EvalReport, all: impl Iterator<Item = Edits>) {
    let mut sum = Edits::default();
    all.for_each(|edits| sum += edits);
    for (key, name, count) in [
        ("said", "words or characters said", sum.reference_len()),
        ("substitutions", "substitutions", sum.substitutions),
        ("deletions", "deletions", sum.deletions),
        ("insertions", "insertions", sum.insertions),
    ] {
        report.figures.push(Figure::count(key, name, count as usize));
    }
}

/// Adds the number of items without a reply, of replies stopped as repetitions and of replies cut at the token limit to the figures of
/// `report`.
fn failures(report: &mut EvalReport, predictions: &[&Prediction]) {
    let silent = predictions.iter().filter(|p| p.replies.is_empty()).count();
    report.figures.push(Figure::count("silent", "items without a reply", silent));
    report.figures.push(Figure::count("loops", "replies that repeated themselves", predictions.iter().map(|p| p.loops()).sum()));
    report.figures.push(Figure::count("endless", "replies cut at 512 tokens", predictions.iter().map(|p| p.endless()).sum()));
}

#[cfg(test)]
mod tests;
