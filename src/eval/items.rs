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

/// One recording of a data set with its expected output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// Name in the data set, or path.
    pub id: String,
    /// Sound file.
    pub audio: PathBuf,
    /// Sound file of a spoken question, played after the sound.
    pub question_audio: Option<PathBuf>,
    /// Typed question, put after the sound in the prompt layout of typed questions.
    pub question: Option<String>,
    /// Class and subclass.
    pub class: Vec<String>,
    /// Expected output.
    pub expected: Expected,
    /// Standard answers, if known.
    pub answers: Vec<String>,
    /// Mode of this item, if the manifest names one.
    pub mode: Option<String>,
}

/// The expected output of an item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Any response.
    Respond,
    /// No response.
    #[default]
    Ignore,
    /// This transcript or translation.
    Text(String),
    /// The right one of several choices.
    Choice {
        /// All choices.
        choices: Vec<String>,
        /// Right choice.
        answer: String,
    },
    /// Any of these answers.
    Answers(Vec<String>),
    /// These words of a labelled stream.
    Words(Vec<DueOutput>),
    /// These replies to a labelled stream, and no others.
    Replies(Vec<DueOutput>),
    /// Exactly these replies, in this order.
    Sequence(Vec<String>),
}

/// A row that is not scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedRow {
    /// Place in the manifest, or id.
    pub row: String,
    /// Reason.
    pub why: String,
}

/// The content of a data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    /// Number of rows or files, readable or not.
    pub rows: usize,
    /// Usable items, in order.
    pub items: Vec<Item>,
    /// Unusable rows.
    pub skipped: Vec<SkippedRow>,
    /// Notes for the report.
    pub notes: Vec<String>,
}

/// The model's output on one item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// Condition, if the run has several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Id of the item.
    pub id: String,
    /// Class and subclass of the item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<String>,
    /// Expected output.
    pub expected: Expected,
    /// Standard answers, if known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// Length of the sound in seconds, padded to whole chunks (with a typed question to 10 ms), without the silence after it.
    pub audio_secs: f64,
    /// Seconds of the sound beyond the 20 s that a typed question takes; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out_secs: Option<f64>,
    /// Onset of the sound in seconds; absent for silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset_secs: Option<f64>,
    /// Start of the spoken question in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question_secs: Option<f64>,
    /// Replies of the model.
    pub replies: Vec<PredictedReply>,
    /// Respond logit minus silent logit of each chunk, in a lane that never responds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub margins: Vec<f32>,
    /// Number of times that the context was trimmed during the item.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub trims: u32,
    /// Reason why the item could not be processed to its end; such an item is not scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A reply of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedReply {
    /// End of the chunk that was answered, in seconds from the start of the item; for a typed question the end of the sound.
    pub at_secs: f64,
    /// Whole text.
    pub text: String,
    /// Emotion tag before the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emotion: Option<Emotion>,
    /// Reason why the reply ended.
    pub stop: StopReason,
    /// Milliseconds from the end of the chunk to the first text, if measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_text_ms: Option<f64>,
}

impl Prediction {
    /// Returns the replies joined as a transcript joins them; for a spoken question only those after its start.
    #[must_use]
    pub fn text(&self) -> String {
        let from = self.question_secs.unwrap_or(0.0);
        let mut text = String::new();
        for reply in self.replies.iter().filter(|reply| reply.at_secs > from) {
            transcript::append(&mut text, reply.text.trim());
        }
        text
    }

    /// Returns the standard answer with the highest chrF2 against the replies; of equals the first.
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

    /// Returns the number of replies that were stopped as repetitions.
    #[must_use]
    pub fn loops(&self) -> usize {
        self.replies.iter().filter(|reply| reply.stop == StopReason::Loop).count()
    }

    /// Returns the number of replies that were cut at the token limit.
    #[must_use]
    pub fn endless(&self) -> usize {
        self.replies.iter().filter(|reply| reply.stop == StopReason::Limit).count()
    }
}

/// Selects `limit` items, evenly spaced, since data sets are often sorted by class.
#[must_use]
pub fn evenly_spaced(items: Vec<Item>, limit: Option<usize>) -> Vec<Item> {
    let all = items.len();
    let Some(limit) = limit.filter(|limit| *limit < all) else { return items };
    let mut kept = (0..limit).map(|n| n * all / limit).peekable();
    items.into_iter().enumerate().filter(|(at, _)| kept.next_if_eq(at).is_some()).map(|(_, item)| item).collect()
}

/// Returns the duration of `chunks` chunks in seconds.
#[must_use]
pub fn chunk_secs(chunks: u64) -> f64 {
    // Rounded to milliseconds: 0.4 has no exact binary form, and the products are written to files.
    (chunks as f64 * CHUNK_SECS * 1e3).round() / 1e3
}
