//! Text in and out of token ids (MODEL.md section 5.1), piece by piece without ever showing half a character.

use std::panic::catch_unwind;
use std::path::Path;

use tokenizers::Tokenizer;

use super::config::read_text;
use super::token_ids::TokenIds;
use crate::error::{Error, ErrorKind, Remedy, Result};

/// The tokenizer's file.
pub const TOKENIZER: &str = "tokenizer.json";
/// What the system prompt says (MODEL.md section 5.2).
pub const SYSTEM_PROMPT: &str = "You are a helpful assistant. When there is no user text, if the audio contains a question, please answer it. \
If it is a sound effect, determine based on the sound whether help is needed.";
/// Stands for bytes that are not yet, or never will be, a character.
const REPLACEMENT: char = '\u{fffd}';
/// A UTF-8 character has at most four bytes, so at most this many one-byte tokens can be an unfinished one.
const LONGEST_UNFINISHED: usize = 3;

/// The tokenizer, with the control tokens kept out of what it prints.
#[derive(Debug)]
pub struct Vocabulary {
    tokenizer: Tokenizer,
    ids: TokenIds,
}

impl Vocabulary {
    /// Reads `tokenizer.json` of the checkpoint folder `dir`.
    ///
    /// # Errors
    /// When it is missing, malformed, or of a vocabulary that does not fit the model's `padded_vocab_size`.
    pub fn read(dir: &Path, ids: &TokenIds, padded_vocab_size: usize) -> Result<Self> {
        let path = dir.join(TOKENIZER);
        let text = read_text(&path)?;
        // The parser panics on some damage (found by fuzzing: a decoder without its type).
        let parsed =
            catch_unwind(|| text.parse::<Tokenizer>().map_err(|e| e.to_string())).unwrap_or_else(|_| Err("it makes no sense".into()));
        let tokenizer = parsed.map_err(|e| Error::model_file(&path, format!("not a tokenizer, or a damaged one ({e})")))?;
        let size = tokenizer.get_vocab_size(true);
        let largest = tokenizer.get_vocab(true).values().copied().max().unwrap_or(0) as usize;
        if size == 0 || largest >= padded_vocab_size {
            let why = format!("its vocabulary of {size} (largest id {largest}) is not that of the model ({padded_vocab_size})");
            return Err(Error::model_file(&path, why));
        }
        if tokenizer.id_to_token(ids.text_end).is_none_or(|token| !tokenizer.get_added_vocabulary().is_special_token(&token)) {
            let why = format!("it has no special token with the id {} of TEXT_END: it belongs to another model", ids.text_end);
            return Err(Error::model_file(&path, why));
        }
        let vocabulary = Self { tokenizer, ids: ids.clone() };
        // A tokenizer that lacks the prompt's characters was made for something else.
        let prompt = vocabulary.encode(SYSTEM_PROMPT)?;
        if vocabulary.tokenizer.decode(&prompt, true).ok().as_deref() != Some(SYSTEM_PROMPT) {
            return Err(Error::model_file(&path, "this tokenizer cannot spell the model's prompt: it belongs to another model"));
        }
        Ok(vocabulary)
    }

    /// A vocabulary without a single entry, for models that only compute.
    #[must_use]
    pub fn empty(ids: &TokenIds) -> Self {
        Self { tokenizer: Tokenizer::new(tokenizers::models::bpe::BPE::default()), ids: ids.clone() }
    }

    /// The ids of `text`; nothing is added before or after.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode(text, true);
        encoding
            .map(|e| e.get_ids().to_vec())
            .map_err(|e| Error::new(ErrorKind::Model, format!("the tokenizer failed: {e}")).with_remedy(Remedy::ReplaceModel))
    }

    /// The text of `ids`, control tokens left out; bytes that are no character read as U+FFFD.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        let text: Vec<u32> = ids.iter().copied().filter(|id| !self.ids.is_control(*id)).collect();
        // Decoding known ids cannot fail; unknown ids (the padding of the vocabulary) decode to nothing.
        self.tokenizer.decode(&text, true).unwrap_or_default()
    }

    /// The tokens that every session begins with (MODEL.md section 5.2).
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn prefix(&self) -> Result<Vec<u32>> {
        self.prefix_of(self.ids.online)
    }

    /// The tokens that a task with a whole recording begins with (MODEL.md section 5.5).
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn offline_prefix(&self) -> Result<Vec<u32>> {
        self.prefix_of(self.ids.offline)
    }

    fn prefix_of(&self, kind: u32) -> Result<Vec<u32>> {
        let ids = &self.ids;
        let mut prefix = vec![kind, ids.english, ids.system, ids.text_begin];
        prefix.extend(self.encode(SYSTEM_PROMPT)?);
        prefix.push(ids.text_end);
        Ok(prefix)
    }
}

/// The text of one reply, growing token by token.
#[derive(Clone, Debug, Default)]
pub struct StreamingText {
    ids: Vec<u32>,
    /// Tokens before this one have been shown in full.
    shown: usize,
    /// Context in front of the tokens that are not shown yet: spaces depend on what stands before.
    context: usize,
    text: String,
}

impl StreamingText {
    /// Takes the next token; returns what can be shown now, in whole characters.
    pub fn step(&mut self, id: u32, vocabulary: &Vocabulary) -> Option<String> {
        if vocabulary.ids.is_control(id) {
            return None;
        }
        self.ids.push(id);
        let all = vocabulary.decode(&self.ids[self.context..]);
        // Held back while it may still become a character; bytes that stay invalid for longer never will.
        if all.ends_with(REPLACEMENT) && self.ids.len() - self.shown <= LONGEST_UNFINISHED {
            return None;
        }
        self.show(&all, vocabulary)
    }

    /// The reply has ended: what was held back is shown, except an unfinished character.
    pub fn finish(&mut self, vocabulary: &Vocabulary) -> Option<String> {
        let all = vocabulary.decode(&self.ids[self.context..]);
        let whole = all.trim_end_matches(REPLACEMENT).to_owned();
        self.show(&whole, vocabulary)
    }

    /// Everything shown so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn show(&mut self, all: &str, vocabulary: &Vocabulary) -> Option<String> {
        let before = vocabulary.decode(&self.ids[self.context..self.shown]);
        // Bytes shown as U+FFFD may since have become a character: what follows the common beginning is new.
        let common: usize = all.chars().zip(before.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
        let piece = all[common..].to_owned();
        self.context = self.shown;
        self.shown = self.ids.len();
        self.text.push_str(&piece);
        if piece.is_empty() { None } else { Some(piece) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        let dir = Path::new("models/fixture");
        Vocabulary::read(dir, &TokenIds::read(dir, 768).unwrap(), 768).unwrap()
    }

    fn stream(text: &str) -> Vec<String> {
        let vocabulary = vocabulary();
        let mut streaming = StreamingText::default();
        let mut pieces: Vec<String> =
            vocabulary.encode(text).unwrap().into_iter().filter_map(|id| streaming.step(id, &vocabulary)).collect();
        pieces.extend(streaming.finish(&vocabulary));
        assert_eq!(pieces.concat(), streaming.text());
        pieces
    }

    #[test]
    fn text_streams_in_whole_characters() {
        for text in ["Hello there, it's 12:45!", "你能告诉我现在几点吗？", "naïve café 😊👍🏽 ok", "  two  spaces\n\nnewline"]
        {
            let pieces = stream(text);
            assert_eq!(pieces.concat(), text);
            assert!(pieces.iter().all(|p| !p.contains(REPLACEMENT)), "{pieces:?}");
        }
    }

    #[test]
    fn a_reply_that_ends_inside_a_character_ends_before_it() {
        let vocabulary = vocabulary();
        let mut ids = vocabulary.encode("ok 😊").unwrap();
        ids.pop();
        let mut streaming = StreamingText::default();
        for id in ids {
            streaming.step(id, &vocabulary);
        }
        streaming.finish(&vocabulary);
        assert_eq!(streaming.text().trim_end(), "ok");
    }

    #[test]
    fn control_tokens_are_never_text() {
        let vocabulary = vocabulary();
        let mut streaming = StreamingText::default();
        assert!([605, 608, 618, 643, 644, 647].iter().all(|id| streaming.step(*id, &vocabulary).is_none()));
        assert_eq!(vocabulary.decode(&[605, 608, 618]), "");
    }

    #[test]
    fn bytes_that_never_become_a_character_do_not_hold_the_text_back_for_ever() {
        let vocabulary = vocabulary();
        let byte = vocabulary.encode("😊").unwrap()[1];
        let mut streaming = StreamingText::default();
        let shown = (0..40).filter(|_| streaming.step(byte, &vocabulary).is_some()).count();
        assert!(shown > 5, "shown {shown} times");
    }
}
