//! How scores change with the number of items that a session hears, and how long the first text takes.

use super::{counted, figure};
use crate::eval::items::Prediction;
use crate::eval::judge::Metric;
use crate::eval::report::{Report, Table};
use crate::eval::stats::median;

/// Adds a figure of every metric for each number of items, and the table of all.
pub(super) fn add(report: &mut Report, of_metrics: &[Metric], counts: &[usize], heard: &[&Prediction]) {
    let judged: Vec<&Metric> = of_metrics.iter().filter(|metric| metric.value(&counted(metric, heard)).is_some()).collect();
    let mut columns = vec!["items in a session", "items scored"];
    columns.extend(judged.iter().map(|metric| metric.name));
    columns.extend(["onset to reply (audio)", "chunk to first text (clock)", "replies that looped", "times room was made"]);
    let mut table = Table::new("Several items in one session", &columns);
    for count in counts {
        let condition = count.to_string();
        let of: Vec<&Prediction> = heard.iter().copied().filter(|p| p.condition == condition).collect();
        let mut row = vec![condition.clone(), of.len().to_string()];
        for metric in &judged {
            let figure = figure(metric, &condition, &of);
            row.push(figure.as_ref().and_then(|f| f.value).map_or_else(|| "-".to_owned(), |value| metric.unit.text(value)));
            report.figures.extend(figure.map(|mut figure| {
                figure.name = format!("{}, {count} in a session", figure.name);
                figure
            }));
        }
        let in_audio: Vec<f64> = of.iter().filter_map(|p| Some(p.replies.first()?.at_secs - p.onset_secs?)).collect();
        let by_clock: Vec<f64> = of.iter().flat_map(|p| p.replies.iter().filter_map(|reply| reply.first_text_ms)).collect();
        row.push(median(&in_audio).map_or_else(|| "-".to_owned(), |secs| format!("{secs:.2} s")));
        row.push(median(&by_clock).map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms")));
        row.push(of.iter().map(|p| p.loops()).sum::<usize>().to_string());
        row.push(of.iter().map(|p| p.trims).sum::<u32>().to_string());
        table.rows.push(row);
    }
    report.tables.push(table);
    report.notes.push("Times are medians; by the clock they depend on this machine and on --lanes.".to_owned());
}
