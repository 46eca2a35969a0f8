//! What is to be heard and what is expected of it; what was heard.
//!
//! Plain data, written as JSON Lines and read back. A prediction carries what was expected, so that two runs can be compared
//! without the audio.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bleu::{chrf, chrf_counts};
use super::streams::Due;
use crate::protocol::{Emotion, StopReason};
use crate::time::CHUNK_SECS;
use crate::transcript;

/// One thing to be heard and judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// Its name in the data set, or its path.
    pub id: String,
    /// The sound.
    pub audio: PathBuf,
    /// A question about the sound, heard after it.
    pub question_audio: Option<PathBuf>,
    /// A question about the sound, typed: put after it in the layout that the model was trained with for that.
    pub question: Option<String>,
    /// What it belongs to, from the general to the particular.
    pub class: Vec<String>,
    /// What ought to come of it.
    pub expected: Expected,
    /// What a good response to it says, where that is known.
    pub answers: Vec<String>,
    /// The mode in which it is heard, where that differs from item to item.
    pub mode: Option<String>,
}

/// What ought to come of an item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// A response of any kind.
    Respond,
    /// Silence.
    #[default]
    Ignore,
    /// This text.
    Text(String),
    /// One of several answers.
    Choice {
        /// All of them.
        choices: Vec<String>,
        /// The right one.
        answer: String,
    },
    /// Any of these answers.
    Answers(Vec<String>),
    /// These words in a stream.
    Words(Vec<Due>),
    /// These replies in a stream, and no others.
    Replies(Vec<Due>),
    /// Exactly these replies, one after the other.
    Sequence(Vec<String>),
}

/// A row that is not scored, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Where it stands, or its id.
    pub row: String,
    /// Why.
    pub why: String,
}

/// What a data set holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    /// Rows or files that it has, readable or not.
    pub rows: usize,
    /// Those that can be heard, in order.
    pub items: Vec<Item>,
    /// Those that cannot.
    pub skipped: Vec<Skipped>,
    /// What else has to be known of it.
    pub notes: Vec<String>,
}

/// What was heard in an item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// Under which condition it was heard, where a run has several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Which item.
    pub id: String,
    /// What it belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<String>,
    /// What ought to have come of it.
    pub expected: Expected,
    /// What a good response to it says, where that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// Length of the sound as it was heard, padded to whole chunks (with a typed question to 10 ms), without the silence after it.
    pub audio_secs: f64,
    /// How much more of the sound there is, which the layout of a typed question has no place for; only where there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out_secs: Option<f64>,
    /// When the sound begins to sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset_secs: Option<f64>,
    /// When the spoken question begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question_secs: Option<f64>,
    /// What the model said.
    pub replies: Vec<Reply>,
    /// Respond less silent logit at each chunk, of a lane that hears all of it and never responds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub margins: Vec<f32>,
    /// Times that room was made in the context while it was heard.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub trims: u32,
    /// Why it could not be heard to its end: it is not scored then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde takes")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Something that the model said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// End of the chunk that it answers, from the beginning of the item's sound; with a typed question the end of what is heard.
    pub at_secs: f64,
    /// All of it.
    pub text: String,
    /// The tag in front of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emotion: Option<Emotion>,
    /// Why it ended.
    pub stop: StopReason,
    /// From the end of the chunk to the first text, by the clock; only where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_text_ms: Option<f64>,
}

impl Prediction {
    /// What the model said in all, its pieces joined as a transcript joins them; from the question on, where one was asked.
    #[must_use]
    pub fn text(&self) -> String {
        let from = self.question_secs.unwrap_or(0.0);
        let mut text = String::new();
        for reply in self.replies.iter().filter(|reply| reply.at_secs > from) {
            transcript::append(&mut text, reply.text.trim());
        }
        text
    }

    /// The standard answer that is nearest to what the model said, by chrF2; the first of equals.
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

    /// Replies that repeated themselves until they were stopped.
    #[must_use]
    pub fn loops(&self) -> usize {
        self.replies.iter().filter(|reply| reply.stop == StopReason::Loop).count()
    }

    /// Replies that were cut at the limit.
    #[must_use]
    pub fn endless(&self) -> usize {
        self.replies.iter().filter(|reply| reply.stop == StopReason::Limit).count()
    }
}

/// `items` cut down to `limit`, spread evenly: data sets are often sorted by class.
#[must_use]
pub fn spread(items: Vec<Item>, limit: Option<usize>) -> Vec<Item> {
    let all = items.len();
    let Some(limit) = limit.filter(|limit| *limit < all) else { return items };
    let mut kept = (0..limit).map(|n| n * all / limit).peekable();
    items.into_iter().enumerate().filter(|(at, _)| kept.next_if_eq(at).is_some()).map(|(_, item)| item).collect()
}

/// Seconds that so many chunks last.
#[must_use]
pub fn chunk_secs(chunks: u64) -> f64 {
    // 0.4 is no binary number: products of it read badly unless they are rounded.
    (chunks as f64 * CHUNK_SECS * 1e3).round() / 1e3
}
