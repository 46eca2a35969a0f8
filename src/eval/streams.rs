//! Streams that somebody labelled: what is due in them and when, and how what was said fits. Pure.
//!
//! What the starter's own table is made of. Not responsible for figures ([`super::judge`]).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::items::{Expected, Prediction};
use super::words::align_with;

/// Times are multiples of 0.4 s that went through decimal text.
const TOLERANCE_SECS: f64 = 1e-6;
/// Places of the counts of a stream.
pub const ERRORS: usize = 0;
/// Words that were said.
pub const WORDS: usize = 1;
/// Replies that were due.
pub const DUE: usize = 2;
/// Those of them that came.
pub const CAME: usize = 3;
/// Replies that came at all.
pub const REPLIES: usize = 4;
/// Sequences that came exactly.
pub const EXACT: usize = 5;
/// Sequences.
pub const SEQUENCES: usize = 6;
/// What came on time.
pub const ON_TIME: usize = 7;
/// What came and has a time.
pub const TIMED: usize = 8;
/// Replies that were not due.
pub const STRAY: usize = 9;
/// Hours of streams in which replies were counted.
pub const HOURS: usize = 10;
/// How many counts there are.
pub const COUNTS: usize = 11;

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
}

impl Due {
    fn counts_at(&self, secs: f64) -> bool {
        within((self.from_secs.unwrap_or(f64::NEG_INFINITY), self.to_secs.unwrap_or(f64::INFINITY)), secs)
    }

    fn count_time(&self, secs: f64, counts: &mut [f64; COUNTS]) {
        if !self.on_time.is_empty() {
            counts[TIMED] += 1.0;
            counts[ON_TIME] += f64::from(u8::from(self.on_time.iter().any(|window| within(*window, secs))));
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
    let due = |name: &str, value: Value| serde_json::from_value::<Vec<Due>>(value).map_err(|e| format!("{name}: {e}"));
    match (read("words"), read("replies"), read("sequence")) {
        (Some(words), None, None) => due("words", words).map(Expected::Words),
        (None, Some(replies), None) => due("replies", replies).map(Expected::Replies),
        (None, None, Some(texts)) => serde_json::from_value(texts).map(Expected::Sequence).map_err(|e| format!("sequence: {e}")),
        _ => Err("one of words, replies and sequence is expected".to_owned()),
    }
}

/// How what was said in a stream fits what was due.
///
/// # Errors
/// When nothing of the kind is due in it, or it is too long to be aligned.
pub fn counts(prediction: &Prediction) -> Result<Vec<f64>, String> {
    let mut counts = [0.0; COUNTS];
    match &prediction.expected {
        Expected::Words(due) => words(prediction, due, &mut counts)?,
        Expected::Replies(due) => replies(prediction, due, &mut counts),
        Expected::Sequence(texts) => {
            counts[SEQUENCES] = 1.0;
            counts[EXACT] =
                f64::from(u8::from(prediction.replies.iter().map(|reply| reply.text.trim()).eq(texts.iter().map(|t| t.trim()))));
        }
        _ => return Err("nothing is due in it".to_owned()),
    }
    Ok(counts.to_vec())
}

fn words(prediction: &Prediction, due: &[Due], counts: &mut [f64; COUNTS]) -> Result<(), String> {
    let heard: Vec<(&str, f64)> =
        prediction.replies.iter().flat_map(|reply| reply.text.split_whitespace().map(|word| (word, reply.at_secs))).collect();
    let said: Vec<&str> = due.iter().map(|due| due.text.trim()).collect();
    let own: Vec<&str> = heard.iter().map(|(word, _)| *word).collect();
    let edits = align_with(&said, &own, |at, as_| due[at].count_time(heard[as_].1, counts)).ok_or("it is too long to be aligned")?;
    (counts[ERRORS], counts[WORDS]) = (edits.errors() as f64, edits.said() as f64);
    Ok(())
}

/// Each that is due takes the first reply that fits and is free.
fn replies(prediction: &Prediction, due: &[Due], counts: &mut [f64; COUNTS]) {
    let mut free: Vec<_> = prediction.replies.iter().collect();
    for due in due {
        let fitting = free.iter().position(|reply| reply.text.trim() == due.text.trim() && due.counts_at(reply.at_secs));
        if let Some(at) = fitting {
            due.count_time(free.remove(at).at_secs, counts);
            counts[CAME] += 1.0;
        }
    }
    (counts[DUE], counts[REPLIES], counts[STRAY]) = (due.len() as f64, prediction.replies.len() as f64, free.len() as f64);
    counts[HOURS] = prediction.audio_secs / 3_600.0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::items::Reply;
    use crate::protocol::Stop;

    fn heard(expected: Expected, replies: &[(f64, &str)]) -> Vec<f64> {
        let reply = |(at_secs, text): &(f64, &str)| Reply {
            at_secs: *at_secs,
            text: (*text).to_owned(),
            emotion: None,
            stop: Stop::End,
            first_text_ms: None,
        };
        counts(&Prediction { expected, audio_secs: 1_800.0, replies: replies.iter().map(reply).collect(), ..Prediction::default() })
            .expect("counted")
    }

    fn row(text: &str) -> Result<Expected, String> {
        let Value::Object(row) = serde_json::from_str(text).expect("JSON") else { return Err(String::new()) };
        expected(&row)
    }

    #[test]
    fn words_are_aligned_and_those_that_were_heard_are_on_time_or_not() {
        let due =
            row(r#"{"words": [{"text": "one", "on_time": [[0.4, 1.6]]}, {"text": "two", "on_time": [[0.8, 2.0]]}, {"text": "three"}]}"#);
        let counts = heard(due.expect("a row"), &[(0.4, "one"), (2.4, "two tree")]);
        assert_eq!((counts[ERRORS], counts[WORDS], counts[ON_TIME], counts[TIMED]), (1.0, 3.0, 1.0, 2.0));
    }

    #[test]
    fn a_reply_is_taken_once_and_only_within_its_window() {
        let due = r#"{"replies": [{"text": "a", "from_secs": 1.2, "to_secs": 2.0, "on_time": [[0, 1.2], [1.6, 2.0]]}, {"text": "a", "from_secs": 1.2, "to_secs": 2.0}, {"text": "b"}]}"#;
        let counts = heard(row(due).expect("a row"), &[(0.8, "a"), (1.2, "a"), (2.4, "a"), (9.2, " b")]);
        assert_eq!([DUE, CAME, REPLIES, STRAY, ON_TIME, TIMED].map(|at| counts[at]), [3.0, 2.0, 4.0, 2.0, 1.0, 1.0]);
        assert_eq!(heard(row(r#"{"replies": []}"#).expect("a row"), &[(0.4, "x")])[STRAY..], [1.0, 0.5]);
    }

    #[test]
    fn a_sequence_is_right_to_the_letter_or_not_at_all() {
        let due = || row(r#"{"sequence": ["1", "2"]}"#).expect("a row");
        assert_eq!(heard(due(), &[(0.4, "1"), (0.8, "2")])[EXACT..=SEQUENCES], [1.0, 1.0]);
        assert_eq!(heard(due(), &[(0.4, "1")])[EXACT..=SEQUENCES], [0.0, 1.0]);
    }

    #[test]
    fn a_row_says_what_is_wrong_with_it() {
        for (text, word) in [
            ("{}", "one of words"),
            (r#"{"words": [], "replies": []}"#, "one of words"),
            (r#"{"replies": [{"text": "a", "till": 3}]}"#, "till"),
            (r#"{"sequence": "1"}"#, "sequence"),
        ] {
            assert!(row(text).expect_err(text).contains(word), "{text}");
        }
    }
}
