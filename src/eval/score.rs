//! From predictions to a report: figures with their intervals, tables, and what has to be known to read them. Pure.

mod proactive;
mod streaming;
mod streams;

use std::collections::{BTreeMap, BTreeSet};

use super::items::{Prediction, Skipped};
use super::judge::{self, Metric, metrics};
use super::report::{Figure, Report, Table};
use super::sittings::BACKGROUND;
use super::words::Edits;
use crate::config::{EvalTask, QuestionInput};

/// Completes `report` from `predictions`, which are in the order of the data set; and the picture that goes with it.
#[must_use]
pub fn report(mut report: Report, predictions: &[Prediction]) -> (Report, Option<String>) {
    let task = report.task.clone();
    let (background, heard): (Vec<&Prediction>, Vec<&Prediction>) = predictions.iter().partition(|p| p.condition == BACKGROUND);
    let heard = scorable(&task, heard, &mut report.skipped);
    let of_metrics = metrics(&task);
    for metric in &of_metrics {
        report.notes.extend(metric.signature.iter().map(|signature| format!("{}: {signature}", metric.name)));
    }
    if let EvalTask::Streaming { counts, contexts, .. } = &task {
        report.scored = heard.iter().map(|p| &p.id).collect::<BTreeSet<_>>().len();
        let picture = streaming::add(&mut report, &of_metrics, (counts, contexts), &heard);
        return (report, picture);
    }
    report.scored = heard.len();
    report.figures = of_metrics.iter().filter_map(|metric| figure(metric, "", &heard)).collect();
    let picture = match &task {
        EvalTask::Proactive { .. } => proactive::add(&mut report, &heard, &background),
        EvalTask::Asr { language } => {
            let all = heard.iter().filter_map(|p| judge::edits(p, *language).ok());
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

/// Those that can be scored; the others are named.
fn scorable<'a>(task: &EvalTask, predictions: Vec<&'a Prediction>, skipped: &mut Vec<Skipped>) -> Vec<&'a Prediction> {
    let of_metrics = metrics(task);
    let why_not = |p: &Prediction| p.unheard.clone().or_else(|| of_metrics.iter().find_map(|metric| metric.counts(p).err()));
    let mut scored = Vec::new();
    for prediction in predictions {
        match why_not(prediction) {
            None => scored.push(prediction),
            Some(why) if prediction.condition.is_empty() => skipped.push(Skipped { row: prediction.id.clone(), why }),
            Some(why) => skipped.push(Skipped { row: format!("{} ({} in a session)", prediction.id, prediction.condition), why }),
        }
    }
    scored
}

/// What each prediction counts for.
fn counted(metric: &Metric, predictions: &[&Prediction]) -> Vec<Vec<f64>> {
    predictions.iter().filter_map(|p| metric.counts(p).ok()).collect()
}

/// The figure of `metric`; none where nothing in the set is judged by it.
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

/// A row for each class, `depth` names deep.
fn by_class(of_metrics: &[Metric], predictions: &[&Prediction], depth: usize) -> Option<Table> {
    by(of_metrics, predictions, |p| p.class.iter().take(depth).map(String::as_str).collect::<Vec<_>>().join(" › "))
}

/// A row for each of what `class_of` gives.
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

fn edits(report: &mut Report, all: impl Iterator<Item = Edits>) {
    let mut sum = Edits::default();
    all.for_each(|edits| sum += edits);
    for (key, name, count) in [
        ("said", "words or characters said", sum.said()),
        ("substitutions", "substitutions", sum.substitutions),
        ("deletions", "deletions", sum.deletions),
        ("insertions", "insertions", sum.insertions),
    ] {
        report.figures.push(Figure::count(key, name, count as usize));
    }
}

/// What a model does that is no answer.
fn failures(report: &mut Report, predictions: &[&Prediction]) {
    let silent = predictions.iter().filter(|p| p.replies.is_empty()).count();
    report.figures.push(Figure::count("silent", "items without a reply", silent));
    report.figures.push(Figure::count("loops", "replies that repeated themselves", predictions.iter().map(|p| p.loops()).sum()));
    report.figures.push(Figure::count("endless", "replies cut at 512 tokens", predictions.iter().map(|p| p.endless()).sum()));
}

#[cfg(test)]
mod tests;
