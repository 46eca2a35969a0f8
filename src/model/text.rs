//! Text to token ids and back (`src/model/README.md` section 5.1); streamed text never shows half a character.

use std::panic::catch_unwind;
use std::path::Path;

use tokenizers::Tokenizer;

use super::config::read_text;
use super::token_ids::TokenIds;
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Name of the tokenizer's file in a checkpoint folder.
pub const TOKENIZER: &str = "tokenizer.json";
/// The system prompt that every prefix holds (`src/model/README.md` section 5.2).
pub const SYSTEM_PROMPT: &str = "You are a helpful assistant. When there is no user text, if the audio contains a question, please answer it. \
If it is a sound effect, determine based on the sound whether help is needed.";
/// The Unicode replacement character, which the tokenizer decodes from bytes that are not (yet) a character.
const REPLACEMENT: char = '\u{fffd}';
/// Largest number of tokens for which an unfinished character is held back: one byte each, and UTF-8 has at most four bytes.
const LONGEST_UNFINISHED: usize = 3;

/// The tokenizer, with the ids of the control tokens, which decoding leaves out.
#[derive(Debug)]
pub struct Vocabulary {
    tokenizer: Tokenizer,
    ids: TokenIds,
}

impl Vocabulary {
    /// Reads the tokenizer from `tokenizer.json` of the checkpoint folder `dir`.
    ///
    /// # Errors
    /// When the file is missing or malformed, its largest id is not below the model's `padded_vocab_size`, TEXT_END is no special
    /// token in it, or it cannot spell the system prompt.
    pub fn read(dir: &Path, ids: &TokenIds, padded_vocab_size: usize) -> Result<Self> {
        let path = dir.join(TOKENIZER);
        let text = read_text(&path)?;
        // The parser panics on some damaged files (found by fuzzing: a decoder without its type).
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
        // A tokenizer that lacks the prompt's characters belongs to another model.
        let prompt = vocabulary.encode(SYSTEM_PROMPT)?;
        if vocabulary.tokenizer.decode(&prompt, true).ok().as_deref() != Some(SYSTEM_PROMPT) {
            return Err(Error::model_file(&path, "this tokenizer cannot spell the model's prompt: it belongs to another model"));
        }
        Ok(vocabulary)
    }

    /// Makes a vocabulary without entries, for models with random weights: every text encodes to no tokens, every token decodes to
    /// nothing.
    #[must_use]
    pub fn empty(ids: &TokenIds) -> Self {
        Self { tokenizer: Tokenizer::new(tokenizers::models::bpe::BPE::default()), ids: ids.clone() }
    }

    /// Returns the token ids of `text`, without a prompt or control tokens around them.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode(text, true);
        encoding
            .map(|e| e.get_ids().to_vec())
            .map_err(|e| Error::new(ErrorKind::Model, format!("the tokenizer failed: {e}")).with_remedy(Remedy::ReplaceModel))
    }

    /// Returns the text of `ids`. Control tokens and unknown ids give no text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        let text: Vec<u32> = ids.iter().copied().filter(|id| !self.ids.is_control(*id)).collect();
        // Decoding known ids cannot fail; unknown ids (the vocabulary's padding) decode to nothing.
        self.tokenizer.decode(&text, true).unwrap_or_default()
    }

    /// Returns the token ids that every live session begins with: ONLINE, the language and the system prompt (`src/model/README.md`
    /// section 5.2).
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn prefix(&self) -> Result<Vec<u32>> {
        self.prefix_of(self.ids.online)
    }

    /// Returns the token ids that a task with a whole recording begins with: OFFLINE, the language and the system prompt
    /// (`src/model/README.md` section 5.5).
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

/// The text of one reply, decoded token by token, so that it can be shown while it grows.
#[derive(Clone, Debug, Default)]
pub struct StreamingText {
    /// All text tokens of the reply so far.
    ids: Vec<u32>,
    /// Number of tokens whose text has been returned.
    shown: usize,
    /// Index of the token from which new tokens are decoded: the spaces of a token depend on the tokens before it.
    context: usize,
    /// All text returned so far.
    text: String,
}

impl StreamingText {
    /// Adds the next token and returns the text that it completes, in whole characters. Returns None for a control token, or while
    /// a character is unfinished; bytes that stay invalid become U+FFFD after three tokens.
    pub fn step(&mut self, id: u32, vocabulary: &Vocabulary) -> Option<String> {
        if vocabulary.ids.is_control(id) {
            return None;
        }
        self.ids.push(id);
        let all = vocabulary.decode(&self.ids[self.context..]);
        // An unfinished character is held back; bytes that stay invalid for longer never become one.
        if all.ends_with(REPLACEMENT) && self.ids.len() - self.shown <= LONGEST_UNFINISHED {
            return None;
        }
        self.show(&all, vocabulary)
    }

    /// Ends the reply and returns the text that was held back, without an unfinished character; None if there is no such text.
    pub fn finish(&mut self, vocabulary: &Vocabulary) -> Option<String> {
        let all = vocabulary.decode(&self.ids[self.context..]);
        let whole = all.trim_end_matches(REPLACEMENT).to_owned();
        self.show(&whole, vocabulary)
    }

    /// Returns all text that [`step`](Self::step) and [`finish`](Self::finish) have returned.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn show(&mut self, all: &str, vocabulary: &Vocabulary) -> Option<String> {
        let before = vocabulary.decode(&self.ids[self.context..self.shown]);
        // Bytes shown as U+FFFD may since have become a character: the text after the common beginning is new.
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
    fn reply_that_ends_inside_a_character_is_cut_before_it() {
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
    fn bytes_that_never_become_a_character_do_not_block_the_text() {
        let vocabulary = vocabulary();
        let byte = vocabulary.encode("😊").unwrap()[1];
        let mut streaming = StreamingText::default();
        let shown = (0..40).filter(|_| streaming.step(byte, &vocabulary).is_some()).count();
        assert!(shown > 5, "shown {shown} times");
    }
}
