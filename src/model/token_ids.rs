//! The ids of the control tokens (`src/model/README.md` section 5.1).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::config::read_text;
use crate::error::{Error, Result};
use crate::protocol::Emotion;

/// Name of the file of token ids in the folders of small checkpoints, whose vocabulary does not reach the release's ids.
pub const TOKEN_IDS: &str = "token_ids.json";

/// Difference between the release's control ids and those of the small vocabulary of [`TokenIds::few`]: the number of text tokens that the
/// small vocabulary leaves out.
const TEXT_TOKENS: u32 = 151_000;

/// The ids of the control tokens, which are never shown as text. Emotions have a token each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the model's own names")]
pub struct TokenIds {
    /// USER: begins the user's turn.
    pub user: u32,
    /// ASSISTANT: follows the features of a chunk, before the model's decision or reply.
    pub assistant: u32,
    /// KEEP_SILENCE: the model does not respond to a chunk.
    pub keep_silence: u32,
    /// PAD: stands for a feature vector of a live chunk.
    pub pad: u32,
    /// ONLINE: begins the prefix of live listening.
    pub online: u32,
    /// OFFLINE: begins the prefix of a task with a whole recording.
    pub offline: u32,
    /// ENGLISH: names the language in the prefix.
    pub english: u32,
    /// TEXT_END: ends a text.
    pub text_end: u32,
    /// TEXT_BEGIN: begins a text; after a chunk, a reply.
    pub text_begin: u32,
    /// SYSTEM: announces the system prompt; the same id as TEXT_BEGIN in the release.
    pub system: u32,
    /// AUDIO_PAD: stands for a feature vector of a whole recording.
    pub audio_pad: u32,
    /// AUDIO_BEGIN: precedes the features of a chunk or recording.
    pub audio_begin: u32,
    /// AUDIO_END: follows the features of a whole recording.
    pub audio_end: u32,
    /// Token of each emotion, with which a reply may begin.
    emotions: [(u32, Emotion); 6],
}

/// The ids of the two tokens that a lane's decision after each chunk chooses between: keep silent, or begin a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionIds {
    /// KEEP_SILENCE: the lane says nothing to the chunk.
    pub keep_silence: u32,
    /// TEXT_BEGIN: the decision to respond; the token begins the reply.
    pub text_begin: u32,
}

impl DecisionIds {
    /// Returns KEEP_SILENCE and TEXT_BEGIN, in this order.
    #[must_use]
    pub const fn to_array(self) -> [u32; 2] {
        [self.keep_silence, self.text_begin]
    }
}

impl TokenIds {
    /// The ids of the released 3B model (`src/model/README.md` section 5.1).
    pub const RELEASE: Self = Self {
        user: 151_601,
        assistant: 151_602,
        keep_silence: 151_605,
        pad: 151_608,
        online: 151_609,
        offline: 151_610,
        english: 151_611,
        text_end: 151_643,
        text_begin: 151_644,
        system: 151_644,
        audio_pad: 151_646,
        audio_begin: 151_647,
        audio_end: 151_648,
        emotions: [
            (151_614, Emotion::Happy),
            (151_615, Emotion::Sad),
            (151_616, Emotion::Angry),
            (151_617, Emotion::Surprise),
            (151_618, Emotion::Normal),
            (151_619, Emotion::Urgent),
        ],
    };

    /// Returns ids for small models (the test fixture, slices for measuring): those of the release, lower by 151,000, within a
    /// vocabulary of [`Self::FEW`].
    #[must_use]
    pub fn few() -> Self {
        let mut ids = Self::RELEASE;
        ids.named().into_iter().for_each(|(_, id)| *id -= TEXT_TOKENS);
        ids
    }

    /// The size of a vocabulary that is large enough for the ids of [`Self::few`].
    pub const FEW: usize = 768;

    /// Reads `token_ids.json` of the checkpoint folder `dir`; without the file, returns the release's ids.
    ///
    /// # Errors
    /// When the file is malformed, lacks a name, or an id (read or the release's) lies outside the vocabulary of
    /// `padded_vocab_size`.
    pub fn read(dir: &Path, padded_vocab_size: usize) -> Result<Self> {
        /// The content of `token_ids.json`.
        #[derive(Deserialize)]
        struct TokenIdsFile {
            /// Id of each control token, by name.
            ids: BTreeMap<String, u32>,
        }
        let path = dir.join(TOKEN_IDS);
        let mut ids = Self::RELEASE;
        if path.exists() {
            let file: TokenIdsFile =
                serde_json::from_str(&read_text(&path)?).map_err(|e| Error::model_file(&path, format!("not a list of token ids ({e})")))?;
            for (name, id) in ids.named() {
                *id = *file.ids.get(name).ok_or_else(|| Error::model_file(&path, format!("the id of {name} is missing")))?;
            }
        }
        if let Some((name, id)) = ids.named().into_iter().find(|(_, id)| **id as usize >= padded_vocab_size) {
            let file = if path.exists() { path } else { dir.to_path_buf() };
            return Err(Error::model_file(&file, format!("the id {id} of {name} lies outside the vocabulary of {padded_vocab_size}")));
        }
        Ok(ids)
    }

    /// Returns the emotion that the token `id` stands for; None for any other token.
    #[must_use]
    pub fn emotion(&self, id: u32) -> Option<Emotion> {
        self.emotions.iter().find(|(e, _)| *e == id).map(|(_, emotion)| *emotion)
    }

    /// Returns true if `id` is a control token (emotions included), which is never text.
    #[must_use]
    pub fn is_control(&self, id: u32) -> bool {
        let ids = [
            self.user,
            self.assistant,
            self.keep_silence,
            self.pad,
            self.online,
            self.offline,
            self.english,
            self.text_end,
            self.text_begin,
            self.system,
            self.audio_pad,
            self.audio_begin,
            self.audio_end,
        ];
        ids.contains(&id) || self.emotion(id).is_some()
    }

    /// Returns the ids of the two tokens that a decision after a chunk chooses between.
    #[must_use]
    pub const fn decision(&self) -> DecisionIds {
        DecisionIds { keep_silence: self.keep_silence, text_begin: self.text_begin }
    }

    /// Returns all ids with their names in `token_ids.json`.
    fn named(&mut self) -> [(&'static str, &mut u32); 19] {
        let [happy, sad, angry, surprise, normal, urgent] = &mut self.emotions;
        [
            ("USER", &mut self.user),
            ("ASSISTANT", &mut self.assistant),
            ("KEEP_SILENCE", &mut self.keep_silence),
            ("PAD", &mut self.pad),
            ("ONLINE", &mut self.online),
            ("OFFLINE", &mut self.offline),
            ("ENGLISH", &mut self.english),
            ("TEXT_END", &mut self.text_end),
            ("TEXT_BEGIN", &mut self.text_begin),
            ("SYSTEM", &mut self.system),
            ("AUDIO_PAD", &mut self.audio_pad),
            ("AUDIO_BEGIN", &mut self.audio_begin),
            ("AUDIO_END", &mut self.audio_end),
            ("HAPPY", &mut happy.0),
            ("SAD", &mut sad.0),
            ("ANGRY", &mut angry.0),
            ("SURPRISE", &mut surprise.0),
            ("NORMAL", &mut normal.0),
            ("URGENT", &mut urgent.0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_without_the_file_has_the_release_ids() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(TokenIds::read(dir.path(), 151_936).unwrap(), TokenIds::RELEASE);
        assert!(TokenIds::read(dir.path(), 768).unwrap_err().message().contains("outside the vocabulary"));
    }

    #[test]
    fn fixture_ids_are_the_shifted_release_ids() {
        let ids = TokenIds::read(Path::new("models/fixture"), 768).unwrap();
        assert_eq!((ids.keep_silence, ids.text_begin, ids.system), (605, 644, 644));
        assert_eq!(ids, TokenIds::few());
        assert_eq!(ids.emotion(619), Some(Emotion::Urgent));
        assert!(ids.is_control(608) && !ids.is_control(100));
    }

    #[test]
    fn missing_token_is_reported_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(TOKEN_IDS), r#"{"ids":{"USER":1}}"#).unwrap();
        assert!(TokenIds::read(dir.path(), 768).unwrap_err().message().contains("ASSISTANT"));
    }
}
