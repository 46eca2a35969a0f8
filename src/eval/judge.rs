//! How well a prediction fits what was expected, as counts that can be added up, and what the sums mean.
//!
//! Pure. A figure, its interval and a comparison of two runs all come from the same counts.

use super::bleu::{ChrfCounts, bleu, bleu_counts, bleu_signature, chrf, chrf_counts, chrf_signature};
use super::choice;
use super::items::{Expected, Prediction};
use super::normalise;
use super::stats::{self, Interval};
use super::streams::{self, Fit};
use super::tokenise::Tokeniser;
use super::words::{Edits, align};
use crate::config::EvalTask;
use crate::protocol::Language;

/// The counts of a prediction, or why it cannot be judged.
type Counting = Box<dyn Fn(&Prediction) -> Result<Vec<f64>, String>>;

/// One way to judge predictions.
pub struct Metric {
    /// Its name in reports for programs.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Whether more of it is better.
    pub better: Better,
    /// How it is written.
    pub unit: Unit,
    /// How exactly it was computed, where there are several ways.
    pub signature: Option<String>,
    counts: Counting,
    value: fn(&[f64]) -> Option<f64>,
    quotient: Quotient,
}

/// What a value is the quotient of, as places among the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotient {
    /// Those of so many that are counted: never more than all.
    Share(usize, usize),
    /// So much in so much.
    Rate(usize, usize),
    /// It is none.
    None,
}

/// Which direction is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More.
    Higher,
    /// Less.
    Lower,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A share, as percent.
    Percent,
    /// A score of 0 to 100.
    Score,
    /// So many an hour.
    AnHour,
}

impl Unit {
    /// `value` as a person reads it.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{:.2} %", 100.0 * value),
            Self::Score | Self::AnHour => format!("{value:.2}"),
        }
    }

    /// What was counted and in how much, as a person reads it.
    #[must_use]
    pub fn quotient_text(self, counted: f64, of: f64) -> String {
        match self {
            Self::AnHour => format!("{counted} in {of:.2} h"),
            Self::Percent | Self::Score => format!("{counted} of {of}"),
        }
    }
}

impl Metric {
    /// The counts of a prediction.
    ///
    /// # Errors
    /// Why it cannot be judged.
    pub fn counts(&self, prediction: &Prediction) -> Result<Vec<f64>, String> {
        (self.counts)(prediction)
    }

    /// What the sum of `counts` at the places `drawn` comes to.
    #[must_use]
    pub fn value_of(&self, counts: &[Vec<f64>], drawn: impl IntoIterator<Item = usize>) -> Option<f64> {
        (self.value)(&sum(counts, drawn))
    }

    /// What the sum of all `counts` comes to.
    #[must_use]
    pub fn value(&self, counts: &[Vec<f64>]) -> Option<f64> {
        self.value_of(counts, 0..counts.len())
    }

    /// What was counted and in how much, where the value is the quotient of these.
    #[must_use]
    pub fn quotient(&self, counts: &[Vec<f64>]) -> Option<(f64, f64)> {
        let (Quotient::Share(counted, of) | Quotient::Rate(counted, of)) = self.quotient else { return None };
        let sums = sum(counts, 0..counts.len());
        Some((*sums.get(counted)?, *sums.get(of)?))
    }

    /// Where the value lies in 95 of 100 cases: Wilson's for shares, else from drawing again.
    #[must_use]
    pub fn interval(&self, counts: &[Vec<f64>]) -> Option<Interval> {
        match self.quotient {
            Quotient::Share(..) => self.quotient(counts).and_then(|(hits, all)| stats::wilson(hits as u64, all as u64)),
            // One item says nothing of others.
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

/// The metrics of `task`, the one that it is known by first.
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

/// Counts: asked for a response, got it; asked for none, got one.
const ASKED: usize = 0;
const HIT: usize = 1;
const UNASKED: usize = 2;
const ALARM: usize = 3;
const RIGHT: usize = 4;
const ALL: usize = 5;

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
        metric("accuracy", "accuracy as published", Better::Higher, share(RIGHT, ALL), |n| ratio(n, RIGHT, ALL)),
        metric("recall", "recall", Better::Higher, share(HIT, ASKED), |n| ratio(n, HIT, ASKED)),
        metric("false_alarm_rate", "false-alarm rate", Better::Lower, share(ALARM, UNASKED), |n| ratio(n, ALARM, UNASKED)),
        content(),
    ]
}

/// What is said where a response is asked for and given, beside the nearest of the standard answers.
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

fn responses(prediction: &Prediction) -> Result<Vec<f64>, String> {
    let said = f64::from(u8::from(!prediction.replies.is_empty()));
    match prediction.expected {
        Expected::Respond => Ok(vec![1.0, said, 0.0, 0.0, said, 1.0]),
        Expected::Ignore => Ok(vec![0.0, 0.0, 1.0, said, 1.0 - said, 1.0]),
        _ => Err("no decision is expected of it".into()),
    }
}

fn balanced(counts: &[f64]) -> Option<f64> {
    Some(f64::midpoint(ratio(counts, HIT, ASKED)?, 1.0 - ratio(counts, ALARM, UNASKED)?))
}

fn ratio(counts: &[f64], hits: usize, all: usize) -> Option<f64> {
    let all = counts.get(all).copied().filter(|all| *all > 0.0)?;
    Some(counts.get(hits)? / all)
}

/// The edits of a transcript: of words in English, of characters in Chinese.
///
/// # Errors
/// When there is nothing to compare with, or too much.
pub fn edits(prediction: &Prediction, language: Language) -> Result<Edits, String> {
    let Expected::Text(said) = &prediction.expected else { return Err("no text is expected of it".into()) };
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
        counts: Box::new(move |prediction: &Prediction| edits(prediction, language).map(|e| vec![e.errors() as f64, e.said() as f64])),
        value: |n| ratio(n, 0, 1),
        quotient: Quotient::Rate(0, 1),
    }
}

/// The tokeniser for translations into `to`.
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
            _ => Err("no text is expected of it".into()),
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

/// Sums of whole numbers are whole numbers: a 64-bit float holds them exactly up to 2^53.
fn whole<const N: usize>(counts: &[f64]) -> Option<[u64; N]> {
    let counts: &[f64; N] = counts.try_into().ok()?;
    Some(counts.map(|n| n as u64))
}

fn labelled() -> Vec<Metric> {
    let metric = |key, name, better, unit, quotient, counts: fn(&Fit<'_>) -> Vec<f64>| Metric {
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
        // Where nothing is due there is nothing to be precise about.
        Metric { value: |n| ratio(n, 0, 1).filter(|_| n.get(2).is_some_and(|due| *due > 0.0)), ..precision },
        metric("wer", "word error rate", Better::Lower, Unit::Percent, rate, |fit| pair(fit.word_errors(), fit.words_said())),
        metric("exact", "exactly right", Better::Higher, Unit::Percent, share, |fit| {
            pair(usize::from(fit.exact == Some(true)), usize::from(fit.exact.is_some()))
        }),
        metric("on_time", "on time", Better::Higher, Unit::Percent, share, |fit| pair(fit.on_time, fit.timed)),
        metric("stray_an_hour", "replies not due, an hour", Better::Lower, Unit::AnHour, rate, |fit| {
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
            Expected::Choice { choices, answer } => Some(choice::chosen_words(&p.text(), choices, answer)),
            _ => None,
        }),
        metric("choice_or_letter", "right choice, letters counted", |p| match &p.expected {
            Expected::Choice { choices, answer } => Some(choice::chosen(&p.text(), choices, answer)),
            _ => None,
        }),
        metric("contained", "answer contained", |p| match &p.expected {
            Expected::Answers(answers) => Some(choice::contains(&p.text(), answers)),
            _ => None,
        }),
        metric("exact", "exact answer", |p| match &p.expected {
            Expected::Answers(answers) => Some(choice::equals(&p.text(), answers)),
            _ => None,
        }),
    ]
}
