//! Unicode classes and normal forms for the text normalisation of `hearken eval`; the tables are the tokenizer library's.
//!
//! Not responsible for normalising or comparing texts.

use std::sync::LazyLock;

use tokenizers::NormalizedString;
use tokenizers::utils::SysRegex;

/// The classes of characters that the text normalisation of `hearken eval` tells apart before it compares texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CharClass {
    /// A mark that combines with the letter before it (category Mn): left out of a compared text.
    Diacritic,
    /// Another mark, a symbol or punctuation (categories M, S and P; in ASCII all punctuation and symbols).
    Symbol,
    /// Any other character: letters, digits, spaces, control characters.
    Other,
}

/// Pattern of a combining mark (category Mn); None if the library refuses it.
static DIACRITIC: LazyLock<Option<SysRegex>> = LazyLock::new(|| SysRegex::new(r"\p{Mn}").ok());
/// Pattern of a mark, symbol or punctuation (categories M, S and P); None if the library refuses it.
static SYMBOL: LazyLock<Option<SysRegex>> = LazyLock::new(|| SysRegex::new(r"[\p{M}\p{S}\p{P}]").ok());

/// Returns the class of the character `c`.
#[must_use]
pub fn class_of(c: char) -> CharClass {
    if c.is_ascii() {
        return if c.is_ascii_punctuation() { CharClass::Symbol } else { CharClass::Other };
    }
    let mut bytes = [0; 4];
    let text = c.encode_utf8(&mut bytes);
    let is = |of: &Option<SysRegex>| of.as_ref().is_some_and(|regex| regex.find_iter(text).next().is_some());
    if is(&DIACRITIC) {
        CharClass::Diacritic
    } else if is(&SYMBOL) {
        CharClass::Symbol
    } else {
        CharClass::Other
    }
}

/// Returns `text` in the Unicode normal form NFKD: compatibility characters replaced, letters and marks separate.
#[must_use]
pub fn decomposed(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { NormalizedString::from(text).nfkd().get().to_owned() }
}

/// Returns `text` in the Unicode normal form NFKC: compatibility characters replaced, letters and marks composed.
#[must_use]
pub fn composed(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { NormalizedString::from(text).nfkc().get().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_have_their_unicode_class_and_normal_form() {
        assert_eq!([',', '$', '。', '€', '“'].map(class_of), [CharClass::Symbol; 5]);
        assert_eq!(['a', '7', ' ', '你', 'é'].map(class_of), [CharClass::Other; 5]);
        assert_eq!((class_of('\u{301}'), class_of('\u{20dd}')), (CharClass::Diacritic, CharClass::Symbol));
        assert_eq!((decomposed("ﬁé"), composed("ﬁe\u{301}")), ("fie\u{301}".to_owned(), "fié".to_owned()));
    }
}
