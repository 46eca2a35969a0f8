//! Items of a data set and the model's predictions on them.
//!
//! Plain data; predictions are written as JSON Lines and read back. A prediction carries the expected output, so that two runs
//! can be compared without the audio.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bleu::{chrf, chrf_counts};
use super::streams::DueOutput;
use crate::protocol::{Emotion, StopReason};
use crate::time::CHUNK_SECS;
use crate::transcript;

/// One recording of a data set, with the question about it, if any, and the expected output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvalItem {
    /// Name in the data set, or else the path of the sound relative to it; unique in a data set.
    pub id: String,
    /// Path of the sound file.
    pub audio: PathBuf,
    /// Path of the sound file of a spoken question, which the session hears after the sound.
    pub question_audio: Option<PathBuf>,
    /// Typed question, its choices included; used by the task `qa` with typed questions only.
    pub question: Option<String>,
    /// Class, or class and subclass, for the tables of the report; empty: none.
    pub class: Vec<String>,
    /// Expected output of the model.
    pub expected: Expected,
    /// Standard answers of a RESPOND clip, with which its reply is compared; empty: none known.
    pub answers: Vec<String>,
    /// Name of the mode in which the item is heard, if the manifest names one; absent: the mode of the task.
    pub mode: Option<String>,
}

/// The expected output of an item, and with it the rule by which the replies are scored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Any response to the sound, with any text.
    Respond,
    /// No response.
    #[default]
    Ignore,
    /// A reference transcript or translation.
    Text(String),
    /// One right choice out of several.
    Choice {
        /// All choices, the right one included.
        choices: Vec<String>,
        /// Right choice, equal to one of `choices`.
        answer: String,
    },
    /// Any of these known answers to a question.
    Answers(Vec<String>),
    /// These words of a labelled stream, however they are spread over replies.
    Words(Vec<DueOutput>),
    /// These replies to a labelled stream, and no others.
    Replies(Vec<DueOutput>),
    /// Exactly these replies of a labelled stream, in this order, at any time.
    Sequence(Vec<String>),
}

/// A row of a data set that is not scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedRow {
    /// Place in the manifest (file name and line or row number), file, or id of the item.
    pub row: String,
    /// Reason why the row is not scored, for the report.
    pub why: String,
}

/// The items of a data set, and the rows that yield none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    /// Number of rows (labelled clips: files), usable or not.
    pub rows: usize,
    /// Items of the usable rows, in the order of the rows; a row whose id is already used yields none.
    pub items: Vec<EvalItem>,
    /// Rows without an item, with the reason.
    pub skipped: Vec<SkippedRow>,
    /// Notes on the data for the report, such as a missing standard answer.
    pub notes: Vec<String>,
}

/// The model's output on one item, with the item's expected output: a line of `predictions.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// Condition under which the item was heard ([`super::sessions::EvalSession::condition`]); often empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Id of the item ([`EvalItem::id`]).
    pub id: String,
    /// Class, or class and subclass, of the item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<String>,
    /// Expected output of the item.
    pub expected: Expected,
    /// Standard answers of the item; empty: none known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// Length of the item's sound in seconds, padded to whole chunks of 0.4 s (with a typed question to 10 ms); the silence after
    /// it and a spoken question are not counted.
    pub audio_secs: f64,
    /// Seconds of the sound beyond the first 20 s, which a typed question does not hear; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out_secs: Option<f64>,
    /// Seconds from the item's start to the first 20 ms of its sound within 30 dB of the loudest 20 ms and not below -60 dBFS;
    /// absent if there are none, and for typed questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset_secs: Option<f64>,
    /// Start of the spoken question in seconds from the item's start; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question_secs: Option<f64>,
    /// Replies of the model, in the order in which they began; empty: no response.
    pub replies: Vec<PredictedReply>,
    /// Respond logit minus silent logit at each decision of a lane that never responds; empty if margins are not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub margins: Vec<f32>,
    /// Number of times that the context was trimmed, because the window was full, while the item was heard.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub trims: u32,
    /// Reason why the item was not heard to its end, such as a damaged file; such an item is not scored. Absent: heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard: Option<String>,
}

/// Returns true for 0: serde then leaves the field out.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A reply of the model to an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedReply {
    /// End of the chunk that was answered, in seconds from the start of the item; for a typed question the end of the recording.
    pub at_secs: f64,
    /// Whole text of the reply, without the emotion tag.
    pub text: String,
    /// Emotion tag before the text; absent if the model wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emotion: Option<Emotion>,
    /// Reason why the reply ended; `Cut` if the session was over before.
    pub stop: StopReason,
    /// Milliseconds by the clock from feeding the newest chunk to the reply's first text; absent unless measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_text_ms: Option<f64>,
}

impl Prediction {
    /// Returns the text of all replies, joined as a transcript joins them; for a spoken question only of replies to chunks that
    /// end after its start. Empty without replies.
    #[must_use]
    pub fn text(&self) -> String {
        let from = self.question_secs.unwrap_or(0.0);
        let mut text = String::new();
        for reply in self.replies.iter().filter(|reply| reply.at_secs > from) {
            transcript::append(&mut text, reply.text.trim());
        }
        text
    }

    /// Returns the standard answer with the highest chrF2 score against the text of the replies, the first of equals; `None` if
    /// the item has no standard answers.
    #[must_use]
    pub fn nearest_answer(&self) -> Option<&str> {
        let said = self.text();
        let mut best: Option<(f64, &str)> = None;
        for answer in &self.answers {
            let score = chrf(&chrf_counts(&said, answer));
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, answer));
            }
        }
        best.map(|(_, answer)| answer)
    }

    /// Returns the number of replies that were stopped because they repeated themselves.
    #[must_use]
    pub fn loops(&self) -> usize {
        self.replies.iter().filter(|reply| reply.stop == StopReason::Loop).count()
    }

    /// Returns the number of replies that were cut at the limit of 512 tokens, or because the window of a typed question was full.
    #[must_use]
    pub fn endless(&self) -> usize {
        self.replies.iter().filter(|reply| reply.stop == StopReason::Limit).count()
    }
}

/// Selects `limit` items in their order, evenly spaced, since data sets are often sorted by class; all if `limit` is `None` or not
/// smaller than their number.
#[must_use]
pub fn evenly_spaced(items: Vec<EvalItem>, limit: Option<usize>) -> Vec<EvalItem> {
    let all = items.len();
    let Some(limit) = limit.filter(|limit| *limit < all) else { return items };
    let mut kept = (0..limit).map(|n| n * all / limit).peekable();
    items.into_iter().enumerate().filter(|(at, _)| kept.next_if_eq(at).is_some()).map(|(_, item)| item).collect()
}

/// Returns the duration of `chunks` chunks of 0.4 s, in seconds, rounded to milliseconds.
#[must_use]
pub fn chunk_secs(chunks: u64) -> f64 {
    // Rounded to milliseconds: 0.4 has no exact binary form, and the products are written to files.
    (chunks as f64 * CHUNK_SECS * 1e3).round() / 1e3
}
