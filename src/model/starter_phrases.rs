//! The phrase list of the starter model: the words it transcribes, the phrases it answers, the sounds it names.
//!
//! Responsible for `models/starter/phrases.toml`, which training, evaluation and the window read as well. The sound names are
//! Hearken's own for every model: a model's description of a sound is matched to them if possible.

use std::sync::LazyLock;

use serde::Deserialize;

/// The contents of `models/starter/phrases.toml`: the words, phrases and sounds that the built-in starter model was trained on.
#[derive(Debug, Default, Deserialize)]
pub struct StarterPhrases {
    /// Every English word that the starter transcribes, in lower case.
    pub vocabulary: Vec<String>,
    /// The phrases that the starter answers in the mode `dialog`, each with its reply.
    #[serde(rename = "phrase")]
    pub phrases: Vec<Phrase>,
    /// The sounds that the mode `sounds` names, each with the reply of `dialog`.
    #[serde(rename = "sound")]
    pub sounds: Vec<Sound>,
    /// English words with their Chinese translation, for the mode `translate`.
    #[serde(rename = "translation")]
    pub translations: Vec<Translation>,
}

/// A whole spoken phrase that the mode `dialog` answers.
#[derive(Debug, Deserialize)]
pub struct Phrase {
    /// The spoken phrase in English, in lower case, without punctuation.
    pub say: String,
    /// The text that `dialog` replies.
    pub reply: String,
    /// The emotion of the reply, in lower case, such as `happy`.
    pub emotion: String,
    /// The phrase in Chinese: the output of the mode `translate`.
    pub zh: String,
}

/// A kind of sound that the modes `sounds` and `dialog` recognise.
#[derive(Debug, Deserialize)]
pub struct Sound {
    /// The name that Hearken shows, in lower case, such as `glass breaking`.
    pub name: String,
    /// The text that `dialog` replies to the sound; empty if it does not reply.
    pub reply: String,
    /// The emotion of the reply to the sound, in lower case.
    pub emotion: String,
}

/// A single word in two languages.
#[derive(Debug, Deserialize)]
pub struct Translation {
    /// The word in English.
    pub en: String,
    /// The word in Chinese.
    pub zh: String,
}

/// Phrases to try that the starter nearly always understands, the best first.
pub const EXAMPLES: [&str; 3] = ["what is your name", "good morning", "tell me a story"];
/// Sounds to try that the starter names most often, the best first.
pub const EXAMPLE_SOUNDS: [&str; 2] = ["dog bark", "cough"];
/// Phrases that the starter understands and answers with garbled words, so they are not offered.
const GARBLED: [&str; 1] = ["tell me a joke"];

impl StarterPhrases {
    /// Returns the phrases that are offered to the user: all but those with an answer that fails.
    pub fn offered(&self) -> impl Iterator<Item = &Phrase> {
        self.phrases.iter().filter(|phrase| !GARBLED.contains(&phrase.say.as_str()))
    }
}

/// The phrase list of the built-in starter model, parsed at the first use.
static STARTER: LazyLock<StarterPhrases> =
    LazyLock::new(|| toml::from_str(include_str!("../../models/starter/phrases.toml")).unwrap_or_default());

/// Returns the phrase list of the built-in starter, parsed at the first call.
#[must_use]
pub fn starter() -> &'static StarterPhrases {
    &STARTER
}

/// Returns the name of [`StarterPhrases::sounds`] that matches the model's description `said`: consecutive words that begin with
/// the words of the name, in any case ("dog barking" matches `dog bark`; "a dog is barking" matches nothing). The longest of
/// several wins; None if no name matches.
#[must_use]
pub fn match_sound_name(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    let words: Vec<&str> = said.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let matches = |name: &str| {
        let name: Vec<&str> = name.split(' ').collect();
        words.windows(name.len()).any(|said| said.iter().zip(&name).all(|(word, start)| word.starts_with(start)))
    };
    // The longest match wins over a shorter name inside it.
    starter().sounds.iter().map(|sound| sound.name.as_str()).filter(|name| matches(name)).max_by_key(|name| name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrase_file_is_complete_and_consistent() {
        let known = starter();
        assert!(known.vocabulary.len() >= 150 && known.phrases.len() >= 40 && known.sounds.len() == 16);
        assert_eq!(known.translations.len(), known.vocabulary.len());
        let words: std::collections::HashSet<&str> = known.vocabulary.iter().map(String::as_str).collect();
        for phrase in &known.phrases {
            assert!(phrase.say.split(' ').all(|word| words.contains(word)), "{}", phrase.say);
        }
    }

    #[test]
    fn every_example_is_known_and_none_fails() {
        let known = starter();
        for say in EXAMPLES {
            assert!(known.offered().any(|phrase| phrase.say == say), "{say}");
        }
        for name in EXAMPLE_SOUNDS {
            assert!(known.sounds.iter().any(|sound| sound.name == name), "{name}");
        }
        assert_eq!(known.offered().count() + GARBLED.len(), known.phrases.len());
    }

    #[test]
    fn sound_is_matched_by_the_words_of_its_name() {
        assert_eq!(match_sound_name("Dog barking."), Some("dog bark"));
        assert_eq!(match_sound_name("  glass breaking"), Some("glass breaking"));
        assert_eq!(match_sound_name("a clap, then nothing"), Some("clap"));
        assert_eq!(match_sound_name("someone hums"), None);
        assert_eq!(match_sound_name(""), None);
    }
}
