//! The report on several items in one session: scores by the number of items and by context policy, and reply latencies.

use super::proactive::LATE;
use super::{counted, figure};
use crate::config::{ContextPolicy, EvalTask};
use crate::eval::items::Prediction;
use crate::eval::metrics::{Metric, Unit};
use crate::eval::plot::{self, Series};
use crate::eval::report::{EvalReport, Figure, Table};
use crate::eval::stats::{median, quantile};

/// The conditions of a run of `streaming`: each pair of a number of items and a context policy.
pub(super) struct StreamingRuns<'a> {
    /// Numbers of items in a session.
    pub(super) counts: &'a [usize],
    /// Names of the context policies; an empty list stands for the default alone.
    pub(super) contexts: &'a [String],
}

/// Adds a figure of every metric and the latencies for each condition to `report`, and a table of all. Returns an SVG chart, over the
/// number of items in a session, of the first metric that has a value; `None` if none has.
pub(super) fn add(report: &mut EvalReport, of_metrics: &[Metric], runs: &StreamingRuns<'_>, heard: &[&Prediction]) -> Option<String> {
    let judged: Vec<&Metric> = of_metrics.iter().filter(|metric| metric.value(&counted(metric, heard)).is_some()).collect();
    let default = [ContextPolicy::default().name().to_owned()];
    let contexts = if runs.contexts.is_empty() { &default[..] } else { runs.contexts };
    let mut columns = vec!["context", "items in a session", "items scored"];
    columns.extend(judged.iter().map(|metric| metric.name));
    columns.extend(["onset to reply (audio)", "chunk to first text (clock)", "replies that looped", "times room was made"]);
    let mut table = Table::new("Several items in one session", &columns);
    let mut series = Vec::new();
    for context in contexts {
        let mut points = Vec::new();
        for count in runs.counts {
            let condition = EvalTask::condition(*count, context);
            let of: Vec<&Prediction> = heard.iter().copied().filter(|p| p.condition == condition).collect();
            let mut row = vec![context.clone(), count.to_string(), of.len().to_string()];
            for metric in &judged {
                let figure = figure(metric, &condition.replace(' ', "_"), &of);
                row.push(figure.as_ref().and_then(|f| f.value).map_or_else(|| "-".to_owned(), |value| metric.unit.text(value)));
                if metric.key == judged[0].key {
                    points.extend(figure.as_ref().and_then(|f| Some((*count as f64, f.value?))));
                }
                report.figures.extend(figure.map(|mut figure| {
                    figure.name = format!("{}, {}", figure.name, condition_name(*count, context, contexts.len()));
                    figure
                }));
            }
            row.extend(latencies(report, &condition, &condition_name(*count, context, contexts.len()), &of));
            row.push(of.iter().map(|p| p.loops()).sum::<usize>().to_string());
            row.push(of.iter().map(|p| p.trims).sum::<u32>().to_string());
            table.rows.push(row);
        }
        series.push(Series { name: context.clone(), points });
    }
    report.tables.push(table);
    report.notes.push(
        "Times are medians (figures: also nine of ten). Onset to reply: from where the sound begins to the end of the chunk that was \
         answered, in time of the audio. Chunk to first text: from when a chunk was heard, by the clock; it depends on this machine and on --lanes."
            .to_owned(),
    );
    let metric = judged.first()?;
    let percent = metric.unit == Unit::Percent;
    let (scale, unit) = if percent { (100.0, ", %") } else { (1.0, "") };
    Some(plot::line_chart(&series, scale, &format!("{}{unit}", metric.name), "items in a session"))
}

/// Returns the name of a condition in figures: `5 in a session`, followed by the context policy if the run has several
/// (`contexts`).
fn condition_name(count: usize, context: &str, contexts: usize) -> String {
    if contexts == 1 { format!("{count} in a session") } else { format!("{count} in a session, {context}") }
}

/// Adds the latencies of the replies under one condition as figures: from the onset to the first reply in audio time, and from a
/// chunk to the first text by the clock. Returns a table cell for each, with the median, or `-` without data.
fn latencies(report: &mut EvalReport, condition: &str, said: &str, of: &[&Prediction]) -> [String; 2] {
    let mut in_audio: Vec<f64> = of.iter().filter_map(|p| Some(p.replies.first()?.at_secs - p.onset_secs?)).collect();
    let mut by_clock: Vec<f64> = of.iter().flat_map(|p| p.replies.iter().filter_map(|reply| reply.first_text_ms)).collect();
    let mut cell = |all: &mut Vec<f64>, key: &str, name: &str, digits: usize, unit: &str| {
        all.sort_by(f64::total_cmp);
        let (Some(middle), Some(late)) = (median(all), quantile(all, LATE)) else { return "-".to_owned() };
        let text = format!("{middle:.digits$} {unit}");
        let whole = format!("{text} median, {late:.digits$} {unit} for nine of ten  ({} replies)", all.len());
        report.figures.push(Figure::plain(&format!("{key}_{}", condition.replace(' ', "_")), &format!("{name}, {said}"), middle, whole));
        text
    };
    [cell(&mut in_audio, "delay_secs", "onset to reply", 2, "s"), cell(&mut by_clock, "first_text_ms", "chunk to first text", 1, "ms")]
}
