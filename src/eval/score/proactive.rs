//! The report on proactive responses beside the metrics: trivial baselines, classes, delay of the reply, false alarms per hour, and
//! the recall / false-alarm curve.

use super::by_class;
use crate::eval::items::{Expected, PredictedReply, Prediction, SkippedRow};
use crate::eval::metrics::{Metric, Unit, metrics};
use crate::eval::plot;
use crate::eval::report::{EvalReport, Figure, Table};
use crate::eval::stats::{self, RocPoint, area_under, median, poisson, quantile, roc_curve, youden_best};
use crate::protocol::StopReason;
use crate::time::CHUNK_SECS;

/// Maximum number of replies that the report shows beside a standard answer.
const SHOWN: usize = 20;
/// Number of characters that are shown of a reply, and of a standard answer.
const SHOWN_CHARS: usize = 80;
/// Quantile of delays that the reports on `proactive` and `streaming` show beside the median.
pub(super) const LATE: f64 = 0.9;
/// Seconds in an hour.
const HOUR_SECS: f64 = 3_600.0;
/// False-alarm rates up to which the best recall is shown.
const RATES: [f64; 5] = [0.01, 0.05, 0.1, 0.2, 0.5];

/// Adds figures and tables on the clips `heard` and the recordings `background` to `report`, beside the metrics. Returns the SVG
/// picture of the recall / false-alarm curve, if there is one.
pub(super) fn add(report: &mut EvalReport, heard: &[&Prediction], background: &[&Prediction]) -> Option<String> {
    let of_metrics = metrics(&report.task);
    if !report.skipped.is_empty() {
        strict(report, heard);
    }
    delay(report, heard);
    background_alarms(report, background);
    report.tables.push(baselines(report, heard));
    report.tables.extend(by_class(&of_metrics, heard, 2));
    report.tables.extend(contents(heard));
    whole_curve(report, heard)
}

/// Adds the accuracy that counts all skipped rows as wrong to the figures of `report`.
fn strict(report: &mut EvalReport, heard: &[&Prediction]) {
    let right = heard.iter().filter(|p| (p.expected == Expected::Respond) != p.replies.is_empty()).count();
    let all = report.scored + report.skipped.len();
    let value = right as f64 / all as f64;
    let text = format!("{:.2} %  ({right} of {all})", 100.0 * value);
    report.figures.push(Figure::plain("strict_accuracy", "accuracy, rows not scored counted as wrong", value, text));
}

/// Adds the delay (median, and 9 of 10) from the onset of a RESPOND clip to the end of the chunk that its first reply answers;
/// nothing without replies.
fn delay(report: &mut EvalReport, heard: &[&Prediction]) {
    let answered = heard.iter().filter(|p| p.expected == Expected::Respond);
    let mut delays: Vec<f64> = answered.filter_map(|p| Some(p.replies.first()?.at_secs - p.onset_secs?)).collect();
    delays.sort_by(f64::total_cmp);
    if let (Some(middle), Some(late)) = (median(&delays), quantile(&delays, LATE)) {
        let text = format!("{middle:.2} s median, {late:.2} s for nine of ten  ({} replies)", delays.len());
        report.figures.push(Figure::plain("delay_secs", "from the sound's onset to the reply", middle, text));
    }
}

/// Adds the number of replies per hour of background recordings, with a Poisson interval, and those recordings that were not heard
/// to `report.skipped`; no figure without recordings.
fn background_alarms(report: &mut EvalReport, background: &[&Prediction]) {
    let whole: Vec<_> = background.iter().filter(|p| p.unheard.is_none()).collect();
    report.skipped.extend(background.iter().filter_map(|p| {
        let why = p.unheard.clone()?;
        Some(SkippedRow { row: p.id.clone(), why })
    }));
    let hours = whole.iter().map(|p| p.audio_secs).sum::<f64>() / HOUR_SECS;
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

/// Returns a table of the first [`SHOWN`] clips with a reply and standard answers: the reply beside the nearest answer. `None` if
/// there is no such clip.
fn contents(heard: &[&Prediction]) -> Option<Table> {
    let mut table = Table::new("", &["clip", "said", "nearest standard answer"]);
    let answered: Vec<_> = heard.iter().filter(|p| !p.replies.is_empty()).filter_map(|p| Some((p, p.nearest_answer()?))).collect();
    let short = |text: &str| text.chars().take(SHOWN_CHARS).collect::<String>();
    table.rows.extend(answered.iter().take(SHOWN).map(|(p, answer)| vec![p.id.clone(), short(&p.text()), short(answer)]));
    table.title = format!("What was said: {} of {} replies that have a standard answer", table.rows.len(), answered.len());
    (!answered.is_empty()).then_some(table)
}

/// Returns a table of this model's metrics in percent beside those of a device that never responds and of one that always does.
fn baselines(report: &EvalReport, heard: &[&Prediction]) -> Table {
    let mut table = Table::new("Beside it", &["device", "balanced accuracy", "accuracy as published", "recall", "false-alarm rate"]);
    let mut row = |name: &str, value: &dyn Fn(&Metric) -> Option<f64>| {
        let of_metrics = metrics(&report.task);
        let cells =
            of_metrics.iter().filter(|m| m.unit == Unit::Percent).map(|m| value(m).map_or_else(|| "-".to_owned(), |v| m.unit.text(v)));
        table.rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
    };
    let like = |replies: &[PredictedReply]| -> Vec<Prediction> {
        heard.iter().map(|p| Prediction { replies: replies.to_vec(), ..(*p).clone() }).collect()
    };
    let counts = |metric: &Metric, of: &[Prediction]| of.iter().filter_map(|p| metric.counts(p).ok()).collect::<Vec<_>>();
    let stop = StopReason::End;
    let reply = PredictedReply { at_secs: CHUNK_SECS, text: String::new(), emotion: None, stop, first_text_ms: None };
    let (mute, always) = (like(&[]), like(&[reply]));
    row("this model", &|m| m.value(&heard.iter().filter_map(|p| m.counts(p).ok()).collect::<Vec<_>>()));
    row("one that never responds", &|m| m.value(&counts(m, &mute)));
    row("one that always responds", &|m| m.value(&counts(m, &always)));
    table
}

/// Adds the ROC curve (area, best operating point, a table of recalls) and returns it as an SVG picture; `None`, and nothing
/// added, if a clip has no margins or one label is missing. The score of a clip is its largest margin in a lane that never
/// responds: with bias b the device responds exactly if the score is above -b, because the contexts are equal up to the first
/// response.
fn whole_curve(report: &mut EvalReport, heard: &[&Prediction]) -> Option<String> {
    let score = |p: &&Prediction| p.margins.iter().copied().reduce(f32::max).map(|m| (f64::from(m), p.expected == Expected::Respond));
    let scores: Option<Vec<(f64, bool)>> = heard.iter().map(score).collect();
    let points = roc_curve(&scores?)?;
    let area = area_under(&points);
    report.figures.push(Figure::plain("auc", "area under the recall / false-alarm curve", area, format!("{area:.4}")));
    let best = youden_best(&points);
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
        // On equal recall, prefer fewer false alarms.
        let more = |a: &&RocPoint, b: &&RocPoint| a.recall.total_cmp(&b.recall).then(b.false_alarms.total_cmp(&a.false_alarms));
        if let Some(point) = points.iter().filter(|p| p.false_alarms <= rate).max_by(more) {
            let cells = [format!("{:.0} %", 100.0 * rate), format!("{:.2} %", 100.0 * point.recall), format!("{:.2}", point.bias)];
            table.rows.push(cells.to_vec());
        }
    }
    report.tables.push(table);
    Some(plot::roc_chart(&points, own(report, heard), best, &format!("{}: recall and false alarms", report.task.title())))
}

/// Returns the operating point of this run: its recall and false-alarm rate, with `--eagerness` as the bias; `None` unless there are clips
/// of both labels.
fn own(report: &EvalReport, heard: &[&Prediction]) -> Option<RocPoint> {
    let share = |expected: &Expected| {
        let of: Vec<_> = heard.iter().filter(|p| p.expected == *expected).collect();
        let said = of.iter().filter(|p| !p.replies.is_empty()).count();
        stats::wilson(said as u64, of.len() as u64).map(|_| said as f64 / of.len() as f64)
    };
    let bias = report.settings.get("eagerness").and_then(|bias| bias.parse().ok()).unwrap_or(0.0);
    Some(RocPoint { bias, recall: share(&Expected::Respond)?, false_alarms: share(&Expected::Ignore)? })
}
