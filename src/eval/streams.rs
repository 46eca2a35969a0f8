//! Streams that somebody labelled: what is due in them and when, and how what was said fits. Pure.
//!
//! What the starter's own table is made of (models/recipe/evaluate.py). Not responsible for figures ([`super::judge`]).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::items::{Expected, Prediction};
use super::words::align_with;
use crate::time::CHUNK_SECS;

/// Times are multiples of 0.4 s that went through decimal text.
const TOLERANCE_SECS: f64 = 1e-6;

/// Something that is due in a stream. Times are the stream's own, of the end of the chunk of 0.4 s that is answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    /// What is said, to the letter.
    pub text: String,
    /// It counts from here; from the beginning when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_secs: Option<f64>,
    /// It counts to here; to the end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_secs: Option<f64>,
    /// It is on time within one of these; where there is none its time is not judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_time: Vec<(f64, f64)>,
    /// What it is told under where misses are told apart; its text when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// How what was said in a stream fits what was due.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fit<'a> {
    /// Words and replies that were due and came, by their kind.
    pub came: Vec<&'a str>,
    /// Those that did not, by their kind.
    pub missed: Vec<&'a str>,
    /// Words that were due, and what was heard in their place.
    pub confused: Vec<(&'a str, &'a str)>,
    /// Words that were due, and nothing was heard in their place.
    pub missing: Vec<&'a str>,
    /// Words that were heard and never said.
    pub added: Vec<&'a str>,
    /// Replies that were not due.
    pub stray: Vec<&'a str>,
    /// What came and has a time.
    pub timed: usize,
    /// What of it came on time.
    pub on_time: usize,
    /// Of a sequence, whether it came exactly.
    pub exact: Option<bool>,
    /// Length of a stream in which replies are counted, in hours.
    pub hours: f64,
    /// What of it came and was missed.
    pub of: What,
}

/// What is due in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum What {
    /// Words.
    Words,
    /// Replies.
    Replies,
    /// A sequence of replies, which comes as a whole or not.
    #[default]
    Sequence,
}

impl Due {
    fn counts_at(&self, secs: f64) -> bool {
        within(self.span(), secs)
    }

    fn span(&self) -> (f64, f64) {
        (self.from_secs.unwrap_or(f64::NEG_INFINITY), self.to_secs.unwrap_or(f64::INFINITY))
    }

    /// Refuses what nothing that is said can ever fit.
    fn check(&self) -> Result<(), String> {
        if self.text.trim().is_empty() {
            return Err("one has no text".to_owned());
        }
        match self.on_time.iter().copied().chain([self.span()]).find(|(from, to)| from > to) {
            Some((from, to)) => Err(format!("{:?} is due from {from} s to {to} s", self.text)),
            None => Ok(()),
        }
    }

    /// Whether it is due only after `secs`.
    fn is_after(&self, secs: f64) -> bool {
        let times = self.on_time.iter().map(|(from, _)| *from).chain(self.from_secs);
        times.min_by(f64::total_cmp).is_some_and(|first| first > secs + TOLERANCE_SECS)
    }

    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or(self.text.trim())
    }
}

impl<'a> Fit<'a> {
    /// Words that were said.
    #[must_use]
    pub fn words_said(&self) -> usize {
        if self.of == What::Words { self.came.len() + self.missed.len() } else { 0 }
    }

    /// Mistakes of all three kinds in them.
    #[must_use]
    pub const fn word_errors(&self) -> usize {
        self.confused.len() + self.missing.len() + self.added.len()
    }

    /// Replies that were due.
    #[must_use]
    pub fn replies_due(&self) -> usize {
        if self.of == What::Replies { self.came.len() + self.missed.len() } else { 0 }
    }

    /// Those of them that came.
    #[must_use]
    pub fn replies_came(&self) -> usize {
        if self.of == What::Replies { self.came.len() } else { 0 }
    }

    fn take(&mut self, due: &'a Due, secs: f64) {
        self.came.push(due.kind());
        if !due.on_time.is_empty() {
            self.timed += 1;
            self.on_time += usize::from(due.on_time.iter().any(|window| within(*window, secs)));
        }
    }
}

fn within((from, to): (f64, f64), secs: f64) -> bool {
    secs >= from - TOLERANCE_SECS && secs <= to + TOLERANCE_SECS
}

/// What a row of a manifest says is due: `words`, `replies` or `sequence`.
///
/// # Errors
/// Why that cannot be read.
pub fn expected(row: &Map<String, Value>) -> Result<Expected, String> {
    let read = |name: &str| row.get(name).filter(|value| !value.is_null()).cloned();
    let due = |name: &str, value: Value| -> Result<Vec<Due>, String> {
        let all: Vec<Due> = serde_json::from_value(value).map_err(|e| format!("{name}: {e}"))?;
        all.iter().try_for_each(Due::check).map_err(|why| format!("{name}: {why}"))?;
        Ok(all)
    };
    match (read("words"), read("replies"), read("sequence")) {
        (Some(words), None, None) => {
            let words = due("words", words)?;
            let several = words.iter().find(|due| due.text.split_whitespace().nth(1).is_some());
            several.map_or(Ok(()), |due| Err(format!("words: {:?} is more than one word", due.text)))?;
            Ok(Expected::Words(words))
        }
        (None, Some(replies), None) => due("replies", replies).map(Expected::Replies),
        (None, None, Some(texts)) => serde_json::from_value(texts).map(Expected::Sequence).map_err(|e| format!("sequence: {e}")),
        _ => Err("one of words, replies and sequence is expected".to_owned()),
    }
}

/// How what was said in a stream fits what was due.
///
/// # Errors
/// When nothing of the kind is due in it, it is too long to be aligned, or something is due after its end: it was cut short.
pub fn fit(prediction: &Prediction) -> Result<Fit<'_>, String> {
    if let Expected::Words(due) | Expected::Replies(due) = &prediction.expected
        && let Some(due) = due.iter().find(|due| due.is_after(prediction.audio_secs + CHUNK_SECS))
    {
        return Err(format!("its sound ends at {} s, before {:?} is due", prediction.audio_secs, due.text));
    }
    match &prediction.expected {
        Expected::Words(due) => words(prediction, due),
        Expected::Replies(due) => Ok(replies(prediction, due)),
        Expected::Sequence(texts) => {
            let said = prediction.replies.iter().map(|reply| reply.text.trim());
            Ok(Fit { exact: Some(said.eq(texts.iter().map(|text| text.trim()))), ..Fit::default() })
        }
        _ => Err("nothing is due in it".to_owned()),
    }
}

fn words<'a>(prediction: &'a Prediction, due: &'a [Due]) -> Result<Fit<'a>, String> {
    let heard: Vec<(&str, f64)> =
        prediction.replies.iter().flat_map(|reply| reply.text.split_whitespace().map(|word| (word, reply.at_secs))).collect();
    let said: Vec<&str> = due.iter().map(|due| due.text.trim()).collect();
    let own: Vec<&str> = heard.iter().map(|(word, _)| *word).collect();
    let (mut heard_as, mut never_said) = (vec![None; said.len()], vec![true; own.len()]);
    align_with(&said, &own, |at, as_| (heard_as[at], never_said[as_]) = (Some(as_), false)).ok_or("it is too long to be aligned")?;
    let mut fit = Fit { of: What::Words, ..Fit::default() };
    for (due, as_) in due.iter().zip(heard_as) {
        let word = due.text.trim();
        match as_.map(|as_| heard[as_]) {
            Some((other, secs)) if other == word => {
                fit.take(due, secs);
                continue;
            }
            Some((other, _)) => fit.confused.push((word, other)),
            None => fit.missing.push(word),
        }
        fit.missed.push(due.kind());
    }
    fit.added = own.into_iter().zip(never_said).filter_map(|(word, never)| never.then_some(word)).collect();
    Ok(fit)
}

/// Each that is due takes the first reply that fits and is free.
fn replies<'a>(prediction: &'a Prediction, due: &'a [Due]) -> Fit<'a> {
    let mut fit = Fit { of: What::Replies, hours: prediction.audio_secs / 3_600.0, ..Fit::default() };
    let mut free: Vec<_> = prediction.replies.iter().collect();
    for due in due {
        match free.iter().position(|reply| reply.text.trim() == due.text.trim() && due.counts_at(reply.at_secs)) {
            Some(at) => fit.take(due, free.remove(at).at_secs),
            None => fit.missed.push(due.kind()),
        }
    }
    fit.stray = free.into_iter().map(|reply| reply.text.trim()).collect();
    fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::items::Reply;
    use crate::protocol::StopReason;

    fn heard(expected: Expected, replies: &[(f64, &str)]) -> Prediction {
        let reply = |(at_secs, text): &(f64, &str)| Reply {
            at_secs: *at_secs,
            text: (*text).to_owned(),
            emotion: None,
            stop: StopReason::End,
            first_text_ms: None,
        };
        Prediction { expected, audio_secs: 1_800.0, replies: replies.iter().map(reply).collect(), ..Prediction::default() }
    }

    fn row(text: &str) -> Result<Expected, String> {
        let Value::Object(row) = serde_json::from_str(text).expect("JSON") else { return Err(String::new()) };
        expected(&row)
    }

    #[test]
    fn words_are_aligned_and_those_that_were_heard_are_on_time_or_not() {
        let due = row(
            r#"{"words": [{"text": "one", "on_time": [[0.4, 1.6]]}, {"text": "two", "on_time": [[0.8, 2.0]]}, {"text": "three", "kind": "long"}, {"text": "four"}]}"#,
        );
        let prediction = heard(due.expect("a row"), &[(0.4, "one"), (2.4, "two tree four five")]);
        let fit = fit(&prediction).expect("words");
        assert_eq!((fit.on_time, fit.timed, fit.word_errors(), fit.words_said()), (1, 2, 2, 4));
        assert_eq!((fit.came, fit.missed), (vec!["one", "two", "four"], vec!["long"]));
        assert_eq!((fit.confused, fit.missing, fit.added), (vec![("three", "tree")], vec![], vec!["five"]));
    }

    #[test]
    fn a_reply_is_taken_once_and_only_within_its_window() {
        let due = r#"{"replies": [{"text": "a", "from_secs": 1.2, "to_secs": 2.0, "on_time": [[0, 1.2], [1.6, 2.0]]}, {"text": "a", "from_secs": 1.2, "to_secs": 2.0}, {"text": "b"}]}"#;
        let prediction = heard(row(due).expect("a row"), &[(0.8, "a"), (1.2, "a"), (2.4, "a"), (9.2, " b")]);
        let of = fit(&prediction).expect("replies");
        assert_eq!((of.on_time, of.timed, of.replies_came(), of.replies_due()), (1, 1, 2, 3));
        assert_eq!((of.came, of.missed, of.stray), (vec!["a", "b"], vec!["a"], vec!["a", "a"]));
        let prediction = heard(row(r#"{"replies": []}"#).expect("a row"), &[(0.4, "x")]);
        let of = fit(&prediction).expect("no replies");
        assert_eq!((of.stray, of.hours), (vec!["x"], 0.5));
    }

    #[test]
    fn a_sequence_is_right_to_the_letter_or_not_at_all() {
        let due = || row(r#"{"sequence": ["1", "2"]}"#).expect("a row");
        assert_eq!(fit(&heard(due(), &[(0.4, "1"), (0.8, "2")])).expect("a sequence").exact, Some(true));
        assert_eq!(fit(&heard(due(), &[(0.4, "1")])).expect("a sequence").exact, Some(false));
        assert!(fit(&heard(Expected::Respond, &[])).is_err());
    }

    #[test]
    fn a_sound_that_ends_before_something_is_due_was_cut_short() {
        for due in [r#"{"replies": [{"text": "a", "from_secs": 1800.8}]}"#, r#"{"words": [{"text": "a", "on_time": [[1800.8, 1802]]}]}"#] {
            let why = fit(&heard(row(due).expect("a row"), &[])).expect_err("cut short");
            assert!(why.contains("ends at 1800 s"), "{why}");
        }
        let last = r#"{"replies": [{"text": "a", "from_secs": 1800, "to_secs": 1802, "on_time": [[1800.4, 1801.6]]}]}"#;
        assert!(fit(&heard(row(last).expect("a row"), &[])).is_ok(), "silence follows a sound");
    }

    #[test]
    fn a_row_says_what_is_wrong_with_it() {
        for (text, word) in [
            ("{}", "one of words"),
            (r#"{"words": [], "replies": []}"#, "one of words"),
            (r#"{"replies": [{"text": "a", "till": 3}]}"#, "till"),
            (r#"{"sequence": "1"}"#, "sequence"),
            (r#"{"replies": [{"text": " "}]}"#, "no text"),
            (r#"{"replies": [{"text": "a", "from_secs": 5, "to_secs": 2}]}"#, "from 5 s to 2 s"),
            (r#"{"words": [{"text": "a", "on_time": [[1, 2], [3, 1]]}]}"#, "from 3 s to 1 s"),
            (r#"{"words": [{"text": "how are"}]}"#, "more than one word"),
        ] {
            assert!(row(text).expect_err(text).contains(word), "{text}");
        }
    }
}
