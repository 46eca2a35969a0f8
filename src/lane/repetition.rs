//! Noticing that a reply repeats itself: a failure that the model's authors report (MODEL.md section 10).

/// Longest period that is looked for, in tokens: about two sentences.
const LONGEST_PERIOD: usize = 40;
/// So many repetitions of the same tokens are a loop; a refrain is sung three times.
const REPEATS: usize = 5;
/// A loop covers at least so many tokens: "no no no no no" and a count to ten are not loops.
const SHORTEST_LOOP: usize = 24;

/// Whether `tokens` ends in a loop.
pub(super) fn is_looping(tokens: &[u32]) -> bool {
    (1..=LONGEST_PERIOD).any(|period| {
        let repeats = REPEATS.max(SHORTEST_LOOP.div_ceil(period));
        let Some(start) = tokens.len().checked_sub(period * repeats) else { return false };
        let tail = &tokens[start..];
        tail.iter().zip(&tail[period..]).all(|(a, b)| a == b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_five_times_over_is_a_loop_and_a_list_is_not() {
        let sentence = [5, 6, 7, 8, 9, 10];
        assert!(is_looping(&sentence.repeat(5)));
        assert!(!is_looping(&sentence.repeat(4)));
        assert!(is_looping(&[3; 24]) && !is_looping(&[3; 20]));
        assert!(!is_looping(&(0..200).collect::<Vec<_>>()));
        assert!(!is_looping(&[]));
    }
}
