//! Labelled streams: the outputs that are due in them with their times, and the comparison with the model's replies. Pure.
//!
//! The starter's own table is made of these (`models/recipe/evaluate.py`). Not responsible for figures ([`super::metrics`]).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::edit_distance::align_with;
use super::items::{Expected, Prediction};
use crate::time::CHUNK_SECS;

/// Tolerance when times are compared, in seconds: they are multiples of 0.4 s that were rounded in decimal text.
const TOLERANCE_SECS: f64 = 1e-6;

/// A word or reply that the model should put out in a labelled stream. Its time is the end of the chunk that is answered, in
/// seconds from the start of the stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DueOutput {
    /// Exact text, compared without the spaces around it: one word in `words`, a whole reply in `replies`.
    pub text: String,
    /// Earliest time at which a reply counts; absent: the start of the stream. A word counts at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_secs: Option<f64>,
    /// Latest time at which a reply counts; absent: the end of the stream. A word counts at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_secs: Option<f64>,
    /// Intervals (from, to) in which the output is on time; without any its time is not scored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_time: Vec<(f64, f64)>,
    /// Name under which the output is counted in the report's table of missed outputs; absent: the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// The comparison of the replies to one labelled stream with its due outputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamFit<'a> {
    /// Kinds (`kind` of the [`DueOutput`], else its text) of the due outputs that came, on time or not.
    pub came: Vec<&'a str>,
    /// Kinds of the due outputs that did not come.
    pub missed: Vec<&'a str>,
    /// Substitutions, in a stream of words: the due word and the word in its place.
    pub substituted: Vec<(&'a str, &'a str)>,
    /// Deletions, in a stream of words: due words with no word in their place.
    pub deleted: Vec<&'a str>,
    /// Insertions, in a stream of words: words that were not due.
    pub inserted: Vec<&'a str>,
    /// Texts of the replies that were not due, in a stream of replies.
    pub stray: Vec<&'a str>,
    /// Number of due outputs that came and whose time is scored.
    pub timed: usize,
    /// Number of outputs in `timed` that were on time.
    pub on_time: usize,
    /// True if the replies are exactly the due sequence; `None` for streams of words or replies.
    pub exact: Option<bool>,
    /// Length of a stream of replies, in hours; 0 for other streams.
    pub hours: f64,
    /// Kind of outputs that are due in the stream.
    pub kind: StreamKind,
}

/// The kind of outputs that are due in a labelled stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamKind {
    /// Words, aligned as for a word error rate.
    Words,
    /// Replies, matched one by one; any other reply is stray.
    Replies,
    /// A sequence of replies, which is right as a whole or wrong.
    #[default]
    Sequence,
}

impl DueOutput {
    /// Returns true if a reply at `secs` seconds of the stream can be this due output.
    fn counts_at(&self, secs: f64) -> bool {
        within(self.span(), secs)
    }

    fn span(&self) -> (f64, f64) {
        (self.from_secs.unwrap_or(f64::NEG_INFINITY), self.to_secs.unwrap_or(f64::INFINITY))
    }

    /// Checks that some output can match; the error is the reason why not: no text, or an interval that ends before it begins.
    fn check(&self) -> Result<(), String> {
        if self.text.trim().is_empty() {
            return Err("an entry has no text".to_owned());
        }
        match self.on_time.iter().copied().chain([self.span()]).find(|(from, to)| from > to) {
            Some((from, to)) => Err(format!("{:?} is due from {from} s to {to} s", self.text)),
            None => Ok(()),
        }
    }

    /// Returns true if the output is due, or on time, only after `secs` seconds of the stream.
    fn is_after(&self, secs: f64) -> bool {
        let times = self.on_time.iter().map(|(from, _)| *from).chain(self.from_secs);
        times.min_by(f64::total_cmp).is_some_and(|first| first > secs + TOLERANCE_SECS)
    }

    /// Returns the name under which the output is counted: the field `kind`, else the text.
    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or(self.text.trim())
    }
}

impl<'a> StreamFit<'a> {
    /// Returns the number of due words; 0 unless words are due in the stream.
    #[must_use]
    pub fn words_due(&self) -> usize {
        if self.kind == StreamKind::Words { self.came.len() + self.missed.len() } else { 0 }
    }

    /// Returns the number of word errors: substitutions, deletions and insertions; 0 unless words are due in the stream.
    #[must_use]
    pub const fn word_errors(&self) -> usize {
        self.substituted.len() + self.deleted.len() + self.inserted.len()
    }

    /// Returns the number of due replies; 0 unless replies are due in the stream.
    #[must_use]
    pub fn replies_due(&self) -> usize {
        if self.kind == StreamKind::Replies { self.came.len() + self.missed.len() } else { 0 }
    }

    /// Returns the number of due replies that came, on time or not; 0 unless replies are due in the stream.
    #[must_use]
    pub fn replies_came(&self) -> usize {
        if self.kind == StreamKind::Replies { self.came.len() } else { 0 }
    }

    /// Counts `due` among the outputs that came, and its time, `secs` seconds of the stream, as on time or not.
    fn count(&mut self, due: &'a DueOutput, secs: f64) {
        self.came.push(due.kind());
        if !due.on_time.is_empty() {
            self.timed += 1;
            self.on_time += usize::from(due.on_time.iter().any(|window| within(*window, secs)));
        }
    }
}

/// Returns true if `secs` lies between `from` and `to`, all in seconds, with a small tolerance.
fn within((from, to): (f64, f64), secs: f64) -> bool {
    secs >= from - TOLERANCE_SECS && secs <= to + TOLERANCE_SECS
}

/// Reads the expected outputs of a labelled stream from the field `words`, `replies` or `sequence` of a manifest row.
///
/// # Errors
/// If not exactly one of the fields is there, or it is malformed, with the reason.
pub fn expected(row: &Map<String, Value>) -> Result<Expected, String> {
    let read = |name: &str| row.get(name).filter(|value| !value.is_null()).cloned();
    let due = |name: &str, value: Value| -> Result<Vec<DueOutput>, String> {
        let all: Vec<DueOutput> = serde_json::from_value(value).map_err(|e| format!("{name}: {e}"))?;
        all.iter().try_for_each(DueOutput::check).map_err(|why| format!("{name}: {why}"))?;
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
        _ => Err("expected exactly one of words, replies and sequence".to_owned()),
    }
}

/// Compares the replies to a labelled stream with the due outputs in [`Prediction::expected`].
///
/// # Errors
/// If the item is no labelled stream, it has too many words to be aligned, or its sound ends before an output is due, with the
/// reason.
pub fn fit(prediction: &Prediction) -> Result<StreamFit<'_>, String> {
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
            Ok(StreamFit { exact: Some(said.eq(texts.iter().map(|text| text.trim()))), ..StreamFit::default() })
        }
        _ => Err("it is not a labelled stream".to_owned()),
    }
}

/// The text that a model writes for a stretch of speech that it does not know: no word, so neither right nor an insertion.
const UNKNOWN_SPEECH: &str = "…";

/// Compares the words of all replies, in order, with the words `due`, by alignment; a word has the time of its reply.
fn words<'a>(prediction: &'a Prediction, due: &'a [DueOutput]) -> Result<StreamFit<'a>, String> {
    let written = prediction.replies.iter().flat_map(|reply| reply.text.split_whitespace().map(|word| (word, reply.at_secs)));
    let heard: Vec<(&str, f64)> = written.filter(|(word, _)| *word != UNKNOWN_SPEECH).collect();
    let said: Vec<&str> = due.iter().map(|due| due.text.trim()).collect();
    let own: Vec<&str> = heard.iter().map(|(word, _)| *word).collect();
    let (mut counterpart, mut unpaired) = (vec![None; said.len()], vec![true; own.len()]);
    align_with(&said, &own, |at, own_at| (counterpart[at], unpaired[own_at]) = (Some(own_at), false))
        .ok_or("it is too long to be aligned")?;
    let mut fit = StreamFit { kind: StreamKind::Words, ..StreamFit::default() };
    for (due, own_at) in due.iter().zip(counterpart) {
        let word = due.text.trim();
        match own_at.map(|own_at| heard[own_at]) {
            Some((other, secs)) if other == word => {
                fit.count(due, secs);
                continue;
            }
            Some((other, _)) => fit.substituted.push((word, other)),
            None => fit.deleted.push(word),
        }
        fit.missed.push(due.kind());
    }
    fit.inserted = own.into_iter().zip(unpaired).filter_map(|(word, unpaired)| unpaired.then_some(word)).collect();
    Ok(fit)
}

/// Compares the replies with the replies `due`: assigns to each due reply, in order, the first reply with the same text within the due
/// reply's times that is not yet assigned; the replies left over are stray.
fn replies<'a>(prediction: &'a Prediction, due: &'a [DueOutput]) -> StreamFit<'a> {
    let mut fit = StreamFit { kind: StreamKind::Replies, hours: prediction.audio_secs / 3_600.0, ..StreamFit::default() };
    let mut free: Vec<_> = prediction.replies.iter().collect();
    for due in due {
        match free.iter().position(|reply| reply.text.trim() == due.text.trim() && due.counts_at(reply.at_secs)) {
            Some(at) => fit.count(due, free.remove(at).at_secs),
            None => fit.missed.push(due.kind()),
        }
    }
    fit.stray = free.into_iter().map(|reply| reply.text.trim()).collect();
    fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::items::PredictedReply;
    use crate::protocol::StopReason;

    fn heard(expected: Expected, replies: &[(f64, &str)]) -> Prediction {
        let reply = |(at_secs, text): &(f64, &str)| PredictedReply {
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
    fn unknown_speech_is_no_word() {
        let due = row(r#"{"words": [{"text": "i"}, {"text": "think"}]}"#);
        let prediction = heard(due.expect("a row"), &[(0.4, "i think …"), (1.2, "…")]);
        let fit = fit(&prediction).expect("words");
        assert_eq!((fit.word_errors(), fit.words_due(), fit.inserted), (0, 2, vec![]));
    }

    #[test]
    fn aligned_words_are_counted_as_on_time_or_late() {
        let due = row(
            r#"{"words": [{"text": "one", "on_time": [[0.4, 1.6]]}, {"text": "two", "on_time": [[0.8, 2.0]]}, {"text": "three", "kind": "long"}, {"text": "four"}]}"#,
        );
        let prediction = heard(due.expect("a row"), &[(0.4, "one"), (2.4, "two tree four five")]);
        let fit = fit(&prediction).expect("words");
        assert_eq!((fit.on_time, fit.timed, fit.word_errors(), fit.words_due()), (1, 2, 2, 4));
        assert_eq!((fit.came, fit.missed), (vec!["one", "two", "four"], vec!["long"]));
        assert_eq!((fit.substituted, fit.deleted, fit.inserted), (vec![("three", "tree")], vec![], vec!["five"]));
    }

    #[test]
    fn reply_matches_one_due_reply_within_its_interval() {
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
    fn sequence_is_exact_or_wrong() {
        let due = || row(r#"{"sequence": ["1", "2"]}"#).expect("a row");
        assert_eq!(fit(&heard(due(), &[(0.4, "1"), (0.8, "2")])).expect("a sequence").exact, Some(true));
        assert_eq!(fit(&heard(due(), &[(0.4, "1")])).expect("a sequence").exact, Some(false));
        assert!(fit(&heard(Expected::Respond, &[])).is_err());
    }

    #[test]
    fn sound_that_ends_before_an_output_is_due_is_an_error() {
        for due in [r#"{"replies": [{"text": "a", "from_secs": 1800.8}]}"#, r#"{"words": [{"text": "a", "on_time": [[1800.8, 1802]]}]}"#] {
            let why = fit(&heard(row(due).expect("a row"), &[])).expect_err("cut short");
            assert!(why.contains("ends at 1800 s"), "{why}");
        }
        let last = r#"{"replies": [{"text": "a", "from_secs": 1800, "to_secs": 1802, "on_time": [[1800.4, 1801.6]]}]}"#;
        assert!(fit(&heard(row(last).expect("a row"), &[])).is_ok(), "silence follows the sound, so its last output may come later");
    }

    #[test]
    fn malformed_row_is_an_error_that_names_the_cause() {
        for (text, word) in [
            ("{}", "exactly one of words"),
            (r#"{"words": [], "replies": []}"#, "exactly one of words"),
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
