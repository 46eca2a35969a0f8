//! How scores change with the number of items that a session hears and with what it gives up, and how long a reply takes.

use super::{counted, figure};
use crate::config::{ContextPolicy, EvalTask};
use crate::eval::items::Prediction;
use crate::eval::judge::{Metric, Unit};
use crate::eval::plot::{self, Line};
use crate::eval::report::{Figure, Report, Table};
use crate::eval::stats::{median, quantile};

/// Adds a figure of every metric for each number of items and each policy, and the table of all; returns the picture of the
/// first metric.
pub(super) fn add(
    report: &mut Report,
    of_metrics: &[Metric],
    (counts, contexts): (&[usize], &[String]),
    heard: &[&Prediction],
) -> Option<String> {
    let judged: Vec<&Metric> = of_metrics.iter().filter(|metric| metric.value(&counted(metric, heard)).is_some()).collect();
    let usual = [ContextPolicy::default().name().to_owned()];
    let contexts = if contexts.is_empty() { &usual[..] } else { contexts };
    let mut columns = vec!["context", "items in a session", "items scored"];
    columns.extend(judged.iter().map(|metric| metric.name));
    columns.extend(["onset to reply (audio)", "chunk to first text (clock)", "replies that looped", "times room was made"]);
    let mut table = Table::new("Several items in one session", &columns);
    let mut lines = Vec::new();
    for context in contexts {
        let mut points = Vec::new();
        for count in counts {
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
                    figure.name = format!("{}, {}", figure.name, said(*count, context, contexts.len()));
                    figure
                }));
            }
            row.extend(times(report, &condition, &said(*count, context, contexts.len()), &of));
            row.push(of.iter().map(|p| p.loops()).sum::<usize>().to_string());
            row.push(of.iter().map(|p| p.trims).sum::<u32>().to_string());
            table.rows.push(row);
        }
        lines.push(Line { name: context.clone(), points });
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
    Some(plot::lines(&lines, scale, &format!("{}{unit}", metric.name), "items in a session"))
}

fn said(count: usize, context: &str, contexts: usize) -> String {
    if contexts == 1 { format!("{count} in a session") } else { format!("{count} in a session, {context}") }
}

/// How long replies took in time of the audio and by the clock: a figure and a cell of the table each.
fn times(report: &mut Report, condition: &str, said: &str, of: &[&Prediction]) -> [String; 2] {
    let mut in_audio: Vec<f64> = of.iter().filter_map(|p| Some(p.replies.first()?.at_secs - p.onset_secs?)).collect();
    let mut by_clock: Vec<f64> = of.iter().flat_map(|p| p.replies.iter().filter_map(|reply| reply.first_text_ms)).collect();
    let mut cell = |all: &mut Vec<f64>, key: &str, name: &str, digits: usize, unit: &str| {
        all.sort_by(f64::total_cmp);
        let (Some(middle), Some(late)) = (median(all), quantile(all, 0.9)) else { return "-".to_owned() };
        let text = format!("{middle:.digits$} {unit}");
        let whole = format!("{text} median, {late:.digits$} {unit} for nine of ten  ({} replies)", all.len());
        report.figures.push(Figure::plain(&format!("{key}_{}", condition.replace(' ', "_")), &format!("{name}, {said}"), middle, whole));
        text
    };
    [cell(&mut in_audio, "delay_secs", "onset to reply", 2, "s"), cell(&mut by_clock, "first_text_ms", "chunk to first text", 1, "ms")]
}
