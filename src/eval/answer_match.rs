//! Checks of replies against known answers: multiple choice, exact, contained. Pure.

use std::collections::HashSet;

use super::normalise;

/// Returns true if `reply` names the right choice `answer` by MMAU's published rule: the reply has every word of `answer` and no
/// word that only wrong choices have, ignoring case and order.
#[must_use]
pub fn matches_choice(reply: &str, choices: &[String], answer: &str) -> bool {
    let (said, right) = (words(reply), words(answer));
    let wrong = choices.iter().map(|choice| words(choice)).filter(|choice| *choice != right).flatten();
    let wrong: HashSet<String> = wrong.filter(|word| !right.contains(word)).collect();
    !said.is_empty() && right.is_subset(&said) && said.is_disjoint(&wrong)
}

/// Returns true as [`matches_choice`] does, and also if the reply begins with the letter of the right choice by its place in
/// `choices`: `B`, `(B)`, `B. a dog`, `Option B`.
#[must_use]
pub fn matches_choice_or_letter(reply: &str, choices: &[String], answer: &str) -> bool {
    if matches_choice(reply, choices, answer) {
        return true;
    }
    let Some(right) = choices.iter().position(|choice| choice == answer) else { return false };
    choice_of_letter(reply) == Some(right)
}

/// Returns the index (A is 0) of the letter that `reply` begins with, perhaps after words such as `Option`; `None` unless the
/// letter stands alone and, without such words, is a capital. The index may exceed the number of choices.
fn choice_of_letter(reply: &str) -> Option<usize> {
    let reply = reply.trim();
    let lower = reply.to_lowercase();
    let announced = ["the answer is", "answer:", "answer", "option", "choice"].iter().find_map(|lead| lower.strip_prefix(lead));
    // A capital letter is a choice; a small one may be the word "a", unless a lead-in announces a letter.
    let (from, small) = announced.map_or((reply, false), |rest| (&reply[reply.len() - rest.len()..], true));
    let bare = from.trim_start_matches(|c: char| c.is_whitespace() || "(:".contains(c));
    let first = bare.chars().next().filter(char::is_ascii_alphabetic)?;
    let alone = bare[1..].chars().next().is_none_or(|c| ".):".contains(c)) || (small && bare.len() == 1);
    let index = (first.to_ascii_uppercase() as usize).checked_sub('A' as usize)?;
    (alone && (first.is_ascii_uppercase() || small)).then_some(index)
}

/// Returns true if the reply equals one of the answers after normalisation by [`normalise::english`], whatever the language; an answer that
/// is empty after normalisation never matches.
#[must_use]
pub fn equals_answer(reply: &str, answers: &[String]) -> bool {
    let said = normalise::english(reply);
    answers.iter().map(|answer| normalise::english(answer)).any(|answer| !answer.is_empty() && answer == said)
}

/// Returns true if the reply contains one of the answers after normalisation by [`normalise::english`]: as whole words if the answer is
/// ASCII, otherwise anywhere. An answer that is empty after normalisation never matches.
#[must_use]
pub fn contains_answer(reply: &str, answers: &[String]) -> bool {
    let said = format!(" {} ", normalise::english(reply));
    answers
        .iter()
        .map(|answer| normalise::english(answer))
        .filter(|answer| !answer.is_empty())
        .any(|answer| if answer.is_ascii() { said.contains(&format!(" {answer} ")) } else { said.contains(&answer) })
}

/// Returns the set of words of `text` in lower case, as Python's `\b\w+\b` finds them.
fn words(text: &str) -> HashSet<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(of: &[&str]) -> Vec<String> {
        of.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn choice_is_right_if_its_words_and_no_wrong_words_are_said() {
        let choices = list(&["a barking dog", "a crying baby", "rain"]);
        assert!(matches_choice("It is a barking dog.", &choices, "a barking dog"));
        assert!(!matches_choice("A dog, or a crying baby, barking", &choices, "a barking dog"));
        assert!(!matches_choice("a dog", &choices, "a barking dog"));
        assert!(!matches_choice("", &choices, "rain"));
    }

    #[test]
    fn letter_names_a_choice_but_the_word_a_does_not() {
        let choices = list(&["dog", "cat", "rain"]);
        for reply in ["B", "(B)", "B.", "B) it purrs", "option b", "The answer is (B)."] {
            assert!(matches_choice_or_letter(reply, &choices, "cat"), "{reply}");
        }
        for reply in ["a", "A dogfight", "Barking", "C", "", "answer"] {
            assert!(!matches_choice_or_letter(reply, &choices, "cat"), "{reply}");
        }
        assert!(!matches_choice_or_letter("a", &choices, "dog"));
    }

    #[test]
    fn answer_is_found_at_word_boundaries() {
        assert!(contains_answer("I think it is Paris, France.", &list(&["paris"])));
        assert!(contains_answer("There are twenty one.", &list(&["21"])));
        assert!(!contains_answer("comparison", &list(&["paris"])));
        assert!(contains_answer("我在北京。", &list(&["北京"])));
        assert!(equals_answer("Paris!", &list(&["London", "paris"])) && !equals_answer("in Paris", &list(&["paris"])));
        assert!(!contains_answer("anything", &list(&["", "?"])));
    }
}
