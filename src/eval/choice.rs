//! Whether an answer is the right one: multiple choice, exact, contained.
//!
//! Pure.

use std::collections::HashSet;

use super::normalise;

/// MMAU's published rule: the reply has every word of the right choice and none that only wrong choices have.
#[must_use]
pub fn chosen_words(reply: &str, choices: &[String], answer: &str) -> bool {
    let (said, right) = (words(reply), words(answer));
    let wrong = choices.iter().map(|choice| words(choice)).filter(|choice| *choice != right).flatten();
    let wrong: HashSet<String> = wrong.filter(|word| !right.contains(word)).collect();
    !said.is_empty() && right.is_subset(&said) && said.is_disjoint(&wrong)
}

/// The same, or the letter of the right choice: `B`, `(B)`, `B. a dog`, `Option B`.
#[must_use]
pub fn chosen(reply: &str, choices: &[String], answer: &str) -> bool {
    if chosen_words(reply, choices, answer) {
        return true;
    }
    let Some(right) = choices.iter().position(|choice| choice == answer) else { return false };
    letter(reply).is_some_and(|at| at == right)
}

/// The place of the choice that a reply names by its letter.
fn letter(reply: &str) -> Option<usize> {
    let reply = reply.trim();
    let lower = reply.to_lowercase();
    let told = ["the answer is", "answer:", "answer", "option", "choice"].iter().find_map(|lead| lower.strip_prefix(lead));
    // A capital says that a letter is meant; a small one may be the word "a", unless it was announced.
    let (from, small) = told.map_or((reply, false), |rest| (&reply[reply.len() - rest.len()..], true));
    let bare = from.trim_start_matches(|c: char| c.is_whitespace() || "(:".contains(c));
    let first = bare.chars().next().filter(char::is_ascii_alphabetic)?;
    let alone = bare[1..].chars().next().is_none_or(|c| ".):".contains(c)) || (small && bare.len() == 1);
    let place = (first.to_ascii_uppercase() as usize).checked_sub('A' as usize)?;
    (alone && (first.is_ascii_uppercase() || small)).then_some(place)
}

/// Whether the reply is one of the answers, but for case, punctuation and the way numbers are written.
#[must_use]
pub fn equals(reply: &str, answers: &[String]) -> bool {
    let said = normalise::english(reply);
    answers.iter().map(|answer| normalise::english(answer)).any(|answer| !answer.is_empty() && answer == said)
}

/// Whether one of the answers stands in the reply, at the borders of words; within Chinese there are no such borders.
#[must_use]
pub fn contains(reply: &str, answers: &[String]) -> bool {
    let said = format!(" {} ", normalise::english(reply));
    answers.iter().map(|answer| normalise::english(answer)).filter(|answer| !answer.is_empty()).any(|answer| {
        let apart = answer.is_ascii();
        if apart { said.contains(&format!(" {answer} ")) } else { said.contains(&answer) }
    })
}

/// The words of `text`, as `\b\w+\b` finds them in lower case.
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
    fn a_choice_is_right_when_its_words_and_no_others_are_said() {
        let choices = list(&["a barking dog", "a crying baby", "rain"]);
        assert!(chosen_words("It is a barking dog.", &choices, "a barking dog"));
        assert!(!chosen_words("A dog, or a crying baby, barking", &choices, "a barking dog"));
        assert!(!chosen_words("a dog", &choices, "a barking dog"));
        assert!(!chosen_words("", &choices, "rain"));
    }

    #[test]
    fn a_letter_is_a_choice_and_the_word_a_is_not() {
        let choices = list(&["dog", "cat", "rain"]);
        for reply in ["B", "(B)", "B.", "B) it purrs", "option b", "The answer is (B)."] {
            assert!(chosen(reply, &choices, "cat"), "{reply}");
        }
        for reply in ["a", "A dogfight", "Barking", "C", "", "answer"] {
            assert!(!chosen(reply, &choices, "cat"), "{reply}");
        }
        assert!(!chosen("a", &choices, "dog"));
    }

    #[test]
    fn an_answer_is_found_at_the_borders_of_words() {
        assert!(contains("I think it is Paris, France.", &list(&["paris"])));
        assert!(contains("There are twenty one.", &list(&["21"])));
        assert!(!contains("comparison", &list(&["paris"])));
        assert!(contains("我在北京。", &list(&["北京"])));
        assert!(equals("Paris!", &list(&["London", "paris"])) && !equals("in Paris", &list(&["paris"])));
        assert!(!contains("anything", &list(&["", "?"])));
    }
}
