//! Detection of a reply that repeats itself: a failure that the model's authors report.

/// Longest period of a loop, in tokens: about two sentences.
const MAX_PERIOD: usize = 40;
/// Number of repetitions that make a loop; a refrain is sung three times.
const MIN_REPEATS: usize = 5;
/// Smallest number of tokens that a loop covers: "no no no no no" and a count to ten are not loops.
const MIN_LOOP: usize = 24;

/// Returns true if `tokens` ends in a loop: up to 40 tokens repeated five times or more, over at least 24 tokens.
pub(super) fn is_looping(tokens: &[u32]) -> bool {
    (1..=MAX_PERIOD).any(|period| {
        let repeats = MIN_REPEATS.max(MIN_LOOP.div_ceil(period));
        let Some(start) = tokens.len().checked_sub(period * repeats) else { return false };
        let tail = &tokens[start..];
        tail.iter().zip(&tail[period..]).all(|(a, b)| a == b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_repetitions_of_a_sentence_are_a_loop_and_a_list_is_not() {
        let sentence = [5, 6, 7, 8, 9, 10];
        assert!(is_looping(&sentence.repeat(5)));
        assert!(!is_looping(&sentence.repeat(4)));
        assert!(is_looping(&[3; 24]) && !is_looping(&[3; 20]));
        assert!(!is_looping(&(0..200).collect::<Vec<_>>()));
        assert!(!is_looping(&[]));
    }
}
