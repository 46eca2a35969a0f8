//! What there is to say about proactive responses beside the metrics: devices that do not listen at all, classes, time to
//! the reply, false alarms an hour, and the whole recall / false-alarm curve.

use super::by_class;
use crate::eval::items::{Expected, Prediction};
use crate::eval::judge::{Metric, Unit, metrics};
use crate::eval::plot;
use crate::eval::report::{Figure, Report, Table};
use crate::eval::stats::{self, Point, area, best, curve, median, poisson, quantile};

/// Replies that are shown beside a standard answer.
const SHOWN: usize = 20;
/// False-alarm rates at which the recall is told.
const RATES: [f64; 5] = [0.01, 0.05, 0.1, 0.2, 0.5];

/// Adds it; returns the picture of the curve.
pub(super) fn add(report: &mut Report, heard: &[&Prediction], background: &[&Prediction]) -> Option<String> {
    let of_metrics = metrics(&report.task);
    if !report.skipped.is_empty() {
        strict(report, heard);
    }
    delay(report, heard);
    hours(report, background);
    report.tables.push(baselines(report, heard));
    report.tables.extend(by_class(&of_metrics, heard, 2));
    report.tables.extend(contents(heard));
    whole_curve(report, heard)
}

/// Rows that could not be scored count as wrong.
fn strict(report: &mut Report, heard: &[&Prediction]) {
    let right = heard.iter().filter(|p| (p.expected == Expected::Respond) != p.replies.is_empty()).count();
    let all = report.scored + report.skipped.len();
    let value = right as f64 / all as f64;
    let text = format!("{:.2} %  ({right} of {all})", 100.0 * value);
    report.figures.push(Figure::plain("strict_accuracy", "accuracy, rows not scored counted as wrong", value, text));
}

/// From the onset of a sound that calls for a response to the end of the chunk that was responded to.
fn delay(report: &mut Report, heard: &[&Prediction]) {
    let answered = heard.iter().filter(|p| p.expected == Expected::Respond);
    let mut delays: Vec<f64> = answered.filter_map(|p| Some(p.replies.first()?.at_secs - p.onset_secs?)).collect();
    delays.sort_by(f64::total_cmp);
    if let (Some(middle), Some(late)) = (median(&delays), quantile(&delays, 0.9)) {
        let text = format!("{middle:.2} s median, {late:.2} s for nine of ten  ({} replies)", delays.len());
        report.figures.push(Figure::plain("delay_secs", "from the sound's onset to the reply", middle, text));
    }
}

fn hours(report: &mut Report, background: &[&Prediction]) {
    let whole: Vec<_> = background.iter().filter(|p| p.unheard.is_none()).collect();
    report.skipped.extend(background.iter().filter_map(|p| {
        let why = p.unheard.clone()?;
        Some(crate::eval::items::Skipped { row: p.id.clone(), why })
    }));
    let hours = whole.iter().map(|p| p.audio_secs).sum::<f64>() / 3_600.0;
    if hours > 0.0 {
        let alarms: usize = whole.iter().map(|p| p.replies.len()).sum();
        let (low, high) = poisson(alarms as u64);
        let value = alarms as f64 / hours;
        let long = if hours < 1.0 { format!("{:.1} min", 60.0 * hours) } else { format!("{hours:.2} h") };
        let text = format!("{value:.1}  (95 %: {:.1} to {:.1}; {alarms} in {long})", low / hours, high / hours);
        let interval = Some((low / hours, high / hours));
        let (counted, of) = (Some(alarms as f64), Some(hours));
        let figure = Figure::plain("alarms_an_hour", "false alarms an hour of background", value, text);
        report.figures.push(Figure { interval, counted, of, ..figure });
    }
}

/// What was said to clips that have standard answers, beside the nearest of these.
fn contents(heard: &[&Prediction]) -> Option<Table> {
    let mut table = Table::new("", &["clip", "said", "nearest standard answer"]);
    let answered: Vec<_> = heard.iter().filter(|p| !p.replies.is_empty()).filter_map(|p| Some((p, p.nearest_answer()?))).collect();
    let short = |text: &str| text.chars().take(80).collect::<String>();
    table.rows.extend(answered.iter().take(SHOWN).map(|(p, answer)| vec![p.id.clone(), short(&p.text()), short(answer)]));
    table.title = format!("What was said: {} of {} replies that have a standard answer", table.rows.len(), answered.len());
    (!answered.is_empty()).then_some(table)
}

/// What a device scores that never responds, and one that always does.
fn baselines(report: &Report, heard: &[&Prediction]) -> Table {
    let mut table = Table::new("Beside it", &["device", "balanced accuracy", "accuracy as published", "recall", "false-alarm rate"]);
    let mut row = |name: &str, value: &dyn Fn(&Metric) -> Option<f64>| {
        let of_metrics = metrics(&report.task);
        let cells =
            of_metrics.iter().filter(|m| m.unit == Unit::Percent).map(|m| value(m).map_or_else(|| "-".to_owned(), |v| m.unit.text(v)));
        table.rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
    };
    let like = |replies: &[crate::eval::items::Reply]| -> Vec<Prediction> {
        heard.iter().map(|p| Prediction { replies: replies.to_vec(), ..(*p).clone() }).collect()
    };
    let counts = |metric: &Metric, of: &[Prediction]| of.iter().filter_map(|p| metric.counts(p).ok()).collect::<Vec<_>>();
    let stop = crate::protocol::StopReason::End;
    let reply = crate::eval::items::Reply { at_secs: 0.4, text: String::new(), emotion: None, stop, first_text_ms: None };
    let (mute, always) = (like(&[]), like(&[reply]));
    row("this model", &|m| m.value(&heard.iter().filter_map(|p| m.counts(p).ok()).collect::<Vec<_>>()));
    row("one that never responds", &|m| m.value(&counts(m, &mute)));
    row("one that always responds", &|m| m.value(&counts(m, &always)));
    table
}

/// The score of a clip is its largest margin, heard to its end without a reply: at a bias b the device responds to it exactly
/// if the score is above -b, because up to its first response it has heard the same.
fn whole_curve(report: &mut Report, heard: &[&Prediction]) -> Option<String> {
    let score = |p: &&Prediction| p.margins.iter().copied().reduce(f32::max).map(|m| (f64::from(m), p.expected == Expected::Respond));
    let scores: Option<Vec<(f64, bool)>> = heard.iter().map(score).collect();
    let points = curve(&scores?)?;
    let area = area(&points);
    report.figures.push(Figure::plain("auc", "area under the recall / false-alarm curve", area, format!("{area:.4}")));
    let best = best(&points);
    if let Some(point) = best {
        let text = format!(
            "{:.2} % balanced accuracy, recall {:.2} %, false alarms {:.2} %, with --eagerness {:.2}",
            50.0 * (1.0 + point.recall - point.false_alarms),
            100.0 * point.recall,
            100.0 * point.false_alarms,
            point.bias
        );
        report.figures.push(Figure::plain("best_bias", "best operating point (found on this very set)", point.bias, text));
    }
    let mut table = Table::new("The curve", &["false-alarm rate at most", "recall", "with --eagerness"]);
    for rate in RATES {
        // Of those that find as much the one that is wrong least.
        let more = |a: &&Point, b: &&Point| a.recall.total_cmp(&b.recall).then(b.false_alarms.total_cmp(&a.false_alarms));
        if let Some(point) = points.iter().filter(|p| p.false_alarms <= rate).max_by(more) {
            let cells = [format!("{:.0} %", 100.0 * rate), format!("{:.2} %", 100.0 * point.recall), format!("{:.2}", point.bias)];
            table.rows.push(cells.to_vec());
        }
    }
    report.tables.push(table);
    Some(plot::curve(&points, own(report, heard), best, &format!("{}: recall and false alarms", report.task.title())))
}

/// Where the device stands as it is.
fn own(report: &Report, heard: &[&Prediction]) -> Option<Point> {
    let share = |expected: &Expected| {
        let of: Vec<_> = heard.iter().filter(|p| p.expected == *expected).collect();
        let said = of.iter().filter(|p| !p.replies.is_empty()).count();
        stats::wilson(said as u64, of.len() as u64).map(|_| said as f64 / of.len() as f64)
    };
    let bias = report.settings.get("eagerness").and_then(|bias| bias.parse().ok()).unwrap_or(0.0);
    Some(Point { bias, recall: share(&Expected::Respond)?, false_alarms: share(&Expected::Ignore)? })
}
