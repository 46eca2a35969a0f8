//! What the starter model knows: the words it writes down, the phrases it answers, the sounds it names.
//!
//! Responsible for `models/starter/phrases.toml`, which training, evaluation and the window read as well. The names of the
//! sounds are Hearken's own for every model: what a model says of a sound is matched to them where that is possible.

use std::sync::LazyLock;

use serde::Deserialize;

/// What the starter was trained on, as the file has it.
#[derive(Debug, Default, Deserialize)]
pub struct StarterPhrases {
    /// Every English word that it writes down.
    pub vocabulary: Vec<String>,
    /// What dialog answers.
    #[serde(rename = "phrase")]
    pub phrases: Vec<Phrase>,
    /// The sounds that the sounds mode names.
    #[serde(rename = "sound")]
    pub sounds: Vec<Sound>,
    /// What translate says for a word alone.
    #[serde(rename = "translation")]
    pub translations: Vec<Translation>,
}

/// A phrase that dialog answers.
#[derive(Debug, Deserialize)]
pub struct Phrase {
    /// What is said, in lower case and without punctuation.
    pub say: String,
    /// The reply.
    pub reply: String,
    /// The reply's emotion, in lower case.
    pub emotion: String,
    /// The phrase in Chinese.
    pub zh: String,
}

/// A sound that has a name.
#[derive(Debug, Deserialize)]
pub struct Sound {
    /// Its name.
    pub name: String,
    /// What dialog says on hearing it; empty where it keeps quiet.
    pub reply: String,
    /// The emotion of that reply.
    pub emotion: String,
}

/// A word in two languages.
#[derive(Debug, Deserialize)]
pub struct Translation {
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
}

static STARTER: LazyLock<StarterPhrases> =
    LazyLock::new(|| toml::from_str(include_str!("../../models/starter/phrases.toml")).unwrap_or_default());

/// What the built-in starter knows.
#[must_use]
pub fn starter() -> &'static StarterPhrases {
    &STARTER
}

/// The known name of the sound that `said` is about: the words of a name, in their order, each begun alike
/// ("A dog is barking." holds no name in a row, "dog barking" is `dog bark`).
#[must_use]
pub fn match_sound_name(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    let words: Vec<&str> = said.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let matches = |name: &str| {
        let name: Vec<&str> = name.split(' ').collect();
        words.windows(name.len()).any(|said| said.iter().zip(&name).all(|(word, start)| word.starts_with(start)))
    };
    // The longest name wins, so that a short one inside it does not.
    starter().sounds.iter().map(|sound| sound.name.as_str()).filter(|name| matches(name)).max_by_key(|name| name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole() {
        let known = starter();
        assert!(known.vocabulary.len() >= 150 && known.phrases.len() >= 40 && known.sounds.len() == 16);
        assert_eq!(known.translations.len(), known.vocabulary.len());
        let words: std::collections::HashSet<&str> = known.vocabulary.iter().map(String::as_str).collect();
        for phrase in &known.phrases {
            assert!(phrase.say.split(' ').all(|word| words.contains(word)), "{}", phrase.say);
        }
    }

    #[test]
    fn a_sound_is_known_by_the_words_of_its_name() {
        assert_eq!(match_sound_name("Dog barking."), Some("dog bark"));
        assert_eq!(match_sound_name("  glass breaking"), Some("glass breaking"));
        assert_eq!(match_sound_name("a clap, then nothing"), Some("clap"));
        assert_eq!(match_sound_name("someone hums"), None);
        assert_eq!(match_sound_name(""), None);
    }
}
