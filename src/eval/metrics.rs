//! Metrics: the counts of each prediction, and the value of their sums.
//!
//! Pure. A figure, its confidence interval and a comparison of two runs all come from the same counts.

use super::answer_match;
use super::bleu::{ChrfCounts, bleu, bleu_counts, bleu_signature, chrf, chrf_counts, chrf_signature};
use super::edit_distance::{Edits, align};
use super::items::{Expected, Prediction};
use super::normalise;
use super::stats::{self, Interval};
use super::streams::{self, StreamFit};
use super::tokenise::Tokeniser;
use crate::config::EvalTask;
use crate::protocol::Language;

/// A function that returns a metric's counts of one prediction, or the reason why the metric does not apply to it.
type CountFn = Box<dyn Fn(&Prediction) -> Result<Vec<f64>, String>>;

/// One metric of a task: its name, its counts of each prediction, and its value for sums of counts.
pub struct Metric {
    /// Key of its figure in `report.json`.
    pub key: &'static str,
    /// Name in the text of a report.
    pub name: &'static str,
    /// Direction in which larger or smaller values are better.
    pub better: Better,
    /// Unit of the value.
    pub unit: Unit,
    /// Exact variant of the metric as text for the report, if several are in use elsewhere.
    pub signature: Option<String>,
    /// Function that counts a prediction.
    counts: CountFn,
    /// Function from the sums of counts to the value; `None` if nothing was counted.
    value: fn(&[f64]) -> Option<f64>,
    /// Counts whose quotient is the value, for the confidence interval.
    quotient: Quotient,
}

/// The two counts, as indices into a prediction's counts, whose quotient after summing is the metric's value; decides how its
/// confidence interval is calculated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotient {
    /// A proportion: numerator and denominator, both numbers of cases.
    Share(usize, usize),
    /// A rate, which may exceed 1: a count, and the amount that it is divided by.
    Rate(usize, usize),
    /// The value is no quotient of two counts.
    None,
}

/// The direction of improvement of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Larger values are better.
    Higher,
    /// Smaller values are better.
    Lower,
}

/// The unit of a metric's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A fraction, usually 0 to 1, written in percent.
    Percent,
    /// A score from 0 to 100.
    Score,
    /// Events per hour of audio.
    PerHour,
}

impl Unit {
    /// Returns `value` as text with two decimals, in percent for [`Unit::Percent`] (0.5 is `50.00 %`).
    #[must_use]
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{:.2} %", 100.0 * value),
            Self::Score | Self::PerHour => format!("{value:.2}"),
        }
    }

    /// Returns numerator and denominator of a quotient as text: `3 of 4`, or `3 in 1.50 h` for [`Unit::PerHour`].
    #[must_use]
    pub fn quotient_text(self, counted: f64, of: f64) -> String {
        match self {
            Self::PerHour => format!("{counted} in {of:.2} h"),
            Self::Percent | Self::Score => format!("{counted} of {of}"),
        }
    }
}

impl Metric {
    /// Returns the counts of a prediction, to be added up position by position over predictions.
    ///
    /// # Errors
    /// If the metric does not apply to the prediction, with the reason.
    pub fn counts(&self, prediction: &Prediction) -> Result<Vec<f64>, String> {
        (self.counts)(prediction)
    }

    /// Returns the metric's value for the predictions at the indices `drawn` of `counts`, from the sums of their counts; an index
    /// may occur several times. `None` if nothing was counted that the value is a share of.
    #[must_use]
    pub fn value_of(&self, counts: &[Vec<f64>], drawn: impl IntoIterator<Item = usize>) -> Option<f64> {
        (self.value)(&sum(counts, drawn))
    }

    /// Returns the metric's value for all predictions in `counts`, from the sums of their counts; `None` if nothing was counted that the
    /// value is a share of.
    #[must_use]
    pub fn value(&self, counts: &[Vec<f64>]) -> Option<f64> {
        self.value_of(counts, 0..counts.len())
    }

    /// Returns the numerator and the denominator of the value for all `counts`; `None` if the value is no quotient or there are no
    /// counts.
    #[must_use]
    pub fn quotient(&self, counts: &[Vec<f64>]) -> Option<(f64, f64)> {
        let (Quotient::Share(counted, of) | Quotient::Rate(counted, of)) = self.quotient else { return None };
        let sums = sum(counts, 0..counts.len());
        Some((*sums.get(counted)?, *sums.get(of)?))
    }

    /// Returns the 95 % confidence interval of the value for all `counts`: Wilson's for proportions, by bootstrap otherwise.
    /// `None` if there is no value, or fewer than two predictions to draw from.
    #[must_use]
    pub fn interval(&self, counts: &[Vec<f64>]) -> Option<Interval> {
        match self.quotient {
            Quotient::Share(..) => self.quotient(counts).and_then(|(hits, all)| stats::wilson(hits as u64, all as u64)),
            // One item has no spread.
            _ if counts.len() < 2 => None,
            _ => stats::bootstrap(counts.len(), |drawn| self.value_of(counts, drawn.iter().copied())).map(|p| p.interval),
        }
    }
}

fn sum(counts: &[Vec<f64>], drawn: impl IntoIterator<Item = usize>) -> Vec<f64> {
    let mut sums = Vec::new();
    for of in drawn.into_iter().filter_map(|at| counts.get(at)) {
        sums.resize(of.len().max(sums.len()), 0.0);
        sums.iter_mut().zip(of).for_each(|(sum, count)| *sum += count);
    }
    sums
}

/// Returns the metrics of `task` (of `streaming`: those of the task of its items). The first is the main one: comparisons list the
/// items that changed in it, and the chart of `streaming` shows it.
#[must_use]
pub fn metrics(task: &EvalTask) -> Vec<Metric> {
    match task.inner() {
        EvalTask::Proactive { .. } => proactive(),
        EvalTask::Asr { language } => vec![error_rate(*language)],
        EvalTask::Translate { to } => translation(*to),
        EvalTask::Streams { .. } => labelled(),
        EvalTask::Qa { .. } | EvalTask::Streaming { .. } => answers(),
    }
}

/// Index, in the counts of the task `proactive`, of the clips labelled RESPOND.
const RESPOND: usize = 0;
/// Index, in the counts of the task `proactive`, of the clips labelled RESPOND that got a response.
const HIT: usize = 1;
/// Index, in the counts of the task `proactive`, of the clips labelled IGNORE.
const IGNORE: usize = 2;
/// Index, in the counts of the task `proactive`, of the clips labelled IGNORE that got a response.
const ALARM: usize = 3;
/// Index, in the counts of the task `proactive`, of the clips that were decided right.
const CORRECT: usize = 4;
/// Index, in the counts of the task `proactive`, of all clips.
const ALL: usize = 5;

/// Returns the metrics of the task `proactive`: accuracies, recall, false-alarm rate, and the content of replies.
fn proactive() -> Vec<Metric> {
    let metric = |key, name, better, quotient, value| Metric {
        key,
        name,
        better,
        unit: Unit::Percent,
        signature: None,
        counts: Box::new(responses),
        value,
        quotient,
    };
    let share = Quotient::Share;
    vec![
        metric("balanced_accuracy", "balanced accuracy", Better::Higher, Quotient::None, balanced),
        metric("accuracy", "accuracy as published", Better::Higher, share(CORRECT, ALL), |n| ratio(n, CORRECT, ALL)),
        metric("recall", "recall", Better::Higher, share(HIT, RESPOND), |n| ratio(n, HIT, RESPOND)),
        metric("false_alarm_rate", "false-alarm rate", Better::Lower, share(ALARM, IGNORE), |n| ratio(n, ALARM, IGNORE)),
        content(),
    ]
}

/// Returns the metric of a reply's content: chrF2 (similarity of letters) against the nearest standard answer, over the clips that
/// have one and got a reply.
fn content() -> Metric {
    let counts = |prediction: &Prediction| -> Result<Vec<f64>, String> {
        let nearest = prediction.nearest_answer().filter(|_| !prediction.replies.is_empty());
        let counts = nearest.map_or(ChrfCounts::default(), |answer| chrf_counts(&prediction.text(), answer));
        Ok(counts.iter().map(|n| *n as f64).collect())
    };
    Metric {
        key: "content",
        name: "content of replies, chrF2",
        better: Better::Higher,
        unit: Unit::Score,
        signature: Some(format!("{}, against the nearest standard answer, of clips that ask for a response and got one", chrf_signature())),
        counts: Box::new(counts),
        value: |n| whole(n).filter(|n: &ChrfCounts| n.iter().any(|n| *n > 0)).map(|n| chrf(&n)),
        quotient: Quotient::None,
    }
}

/// Returns the counts of a clip of the task `proactive`, at the indices [`RESPOND`] to [`ALL`].
fn responses(prediction: &Prediction) -> Result<Vec<f64>, String> {
    let said = f64::from(u8::from(!prediction.replies.is_empty()));
    match prediction.expected {
        Expected::Respond => Ok(vec![1.0, said, 0.0, 0.0, said, 1.0]),
        Expected::Ignore => Ok(vec![0.0, 0.0, 1.0, said, 1.0 - said, 1.0]),
        _ => Err("its label is neither RESPOND nor IGNORE".into()),
    }
}

/// Returns the balanced accuracy of summed counts of the task `proactive`: the mean of recall and of 1 minus the false-alarm rate. `None`
/// unless there are clips of both labels.
fn balanced(counts: &[f64]) -> Option<f64> {
    Some(f64::midpoint(ratio(counts, HIT, RESPOND)?, 1.0 - ratio(counts, ALARM, IGNORE)?))
}

/// Returns the quotient of the counts at the indices `hits` and `all`; `None` if the second is 0.
fn ratio(counts: &[f64], hits: usize, all: usize) -> Option<f64> {
    let all = counts.get(all).copied().filter(|all| *all > 0.0)?;
    Some(counts.get(hits)? / all)
}

/// Returns the edit counts between the text of the replies and the reference, both normalised: of words in English, of characters
/// in Chinese.
///
/// # Errors
/// If the expected output is no text, or the texts are too long to be aligned, with the reason.
pub fn edits(prediction: &Prediction, language: Language) -> Result<Edits, String> {
    let Expected::Text(said) = &prediction.expected else { return Err("it has no reference text".into()) };
    let heard = prediction.text();
    let edits = match language {
        Language::English => {
            let (said, heard) = (normalise::english(said), normalise::english(&heard));
            align(&said.split_whitespace().collect::<Vec<_>>(), &heard.split_whitespace().collect::<Vec<_>>())
        }
        Language::Chinese => align(&normalise::characters(said), &normalise::characters(&heard)),
    };
    edits.ok_or_else(|| "its text is too long to be aligned".into())
}

fn error_rate(language: Language) -> Metric {
    let (key, name, how) = match language {
        Language::English => ("wer", "word error rate", "openai-whisper 20250625, English rules"),
        Language::Chinese => ("cer", "character error rate", "openai-whisper 20250625, basic rules, no spaces"),
    };
    Metric {
        key,
        name,
        better: Better::Lower,
        unit: Unit::Percent,
        signature: Some(format!("normaliser: {how}")),
        counts: Box::new(move |prediction: &Prediction| {
            edits(prediction, language).map(|e| vec![e.errors() as f64, e.reference_len() as f64])
        }),
        value: |n| ratio(n, 0, 1),
        quotient: Quotient::Rate(0, 1),
    }
}

/// Returns the tokeniser with which BLEU of translations into `to` is usually published.
const fn tokeniser(to: Language) -> Tokeniser {
    match to {
        Language::Chinese => Tokeniser::Chinese,
        Language::English => Tokeniser::Mteval13a,
    }
}

fn translation(to: Language) -> Vec<Metric> {
    fn pair(prediction: &Prediction) -> Result<(String, &str), String> {
        match &prediction.expected {
            Expected::Text(text) => Ok((prediction.text(), text)),
            _ => Err("it has no reference text".into()),
        }
    }
    let floats = |counts: &[u64]| counts.iter().map(|n| *n as f64).collect::<Vec<f64>>();
    let tokeniser = tokeniser(to);
    let metric = |key, name, signature, counts, value| Metric {
        key,
        name,
        better: Better::Higher,
        unit: Unit::Score,
        signature: Some(signature),
        counts,
        value,
        quotient: Quotient::None,
    };
    vec![
        metric(
            "bleu",
            "BLEU",
            bleu_signature(tokeniser),
            Box::new(move |p: &Prediction| pair(p).map(|(own, wanted)| floats(&bleu_counts(&own, wanted, tokeniser)))),
            |n| whole(n).map(|n| bleu(&n)),
        ),
        metric(
            "chrf",
            "chrF2",
            chrf_signature(),
            Box::new(move |p: &Prediction| pair(p).map(|(own, wanted)| floats(&chrf_counts(&own, wanted)))),
            |n| whole(n).map(|n| chrf(&n)),
        ),
    ]
}

/// Converts summed counts back to integers: a 64-bit float holds them exactly up to 2^53. `None` unless there are `N`.
fn whole<const N: usize>(counts: &[f64]) -> Option<[u64; N]> {
    let counts: &[f64; N] = counts.try_into().ok()?;
    Some(counts.map(|n| n as u64))
}

fn labelled() -> Vec<Metric> {
    let metric = |key, name, better, unit, quotient, counts: fn(&StreamFit<'_>) -> Vec<f64>| Metric {
        key,
        name,
        better,
        unit,
        signature: None,
        counts: Box::new(move |prediction: &Prediction| streams::fit(prediction).map(|fit| counts(&fit))),
        value: |n| ratio(n, 0, 1),
        quotient,
    };
    let (share, rate) = (Quotient::Share(0, 1), Quotient::Rate(0, 1));
    let recall = metric("recall", "recall", Better::Higher, Unit::Percent, share, |fit| pair(fit.replies_came(), fit.replies_due()));
    let precision = metric("precision", "precision", Better::Higher, Unit::Percent, share, |fit| {
        let (came, due) = (fit.replies_came(), fit.replies_due());
        vec![came as f64, (came + fit.stray.len()) as f64, due as f64]
    });
    vec![
        recall,
        // Precision is undefined for streams in which no reply is due.
        Metric { value: |n| ratio(n, 0, 1).filter(|_| n.get(2).is_some_and(|due| *due > 0.0)), ..precision },
        metric("wer", "word error rate", Better::Lower, Unit::Percent, rate, |fit| pair(fit.word_errors(), fit.words_due())),
        metric("exact", "exactly right", Better::Higher, Unit::Percent, share, |fit| {
            pair(usize::from(fit.exact == Some(true)), usize::from(fit.exact.is_some()))
        }),
        metric("on_time", "on time", Better::Higher, Unit::Percent, share, |fit| pair(fit.on_time, fit.timed)),
        metric("stray_an_hour", "replies not due, an hour", Better::Lower, Unit::PerHour, rate, |fit| {
            vec![fit.stray.len() as f64, fit.hours]
        }),
    ]
}

fn pair(counted: usize, of: usize) -> Vec<f64> {
    vec![counted as f64, of as f64]
}

fn answers() -> Vec<Metric> {
    let metric = |key, name, counts: fn(&Prediction) -> Option<bool>| Metric {
        key,
        name,
        better: Better::Higher,
        unit: Unit::Percent,
        signature: None,
        counts: Box::new(move |p: &Prediction| Ok(counts(p).map_or_else(|| vec![0.0, 0.0], |right| vec![f64::from(u8::from(right)), 1.0]))),
        value: |n| ratio(n, 0, 1),
        quotient: Quotient::Share(0, 1),
    };
    vec![
        metric("choice", "right choice (MMAU's rule)", |p| match &p.expected {
            Expected::Choice { choices, answer } => Some(answer_match::matches_choice(&p.text(), choices, answer)),
            _ => None,
        }),
        metric("choice_or_letter", "right choice, letters counted", |p| match &p.expected {
            Expected::Choice { choices, answer } => Some(answer_match::matches_choice_or_letter(&p.text(), choices, answer)),
            _ => None,
        }),
        metric("contained", "answer contained", |p| match &p.expected {
            Expected::Answers(answers) => Some(answer_match::contains_answer(&p.text(), answers)),
            _ => None,
        }),
        metric("exact", "exact answer", |p| match &p.expected {
            Expected::Answers(answers) => Some(answer_match::equals_answer(&p.text(), answers)),
            _ => None,
        }),
    ]
}
