//! BLEU and chrF as sacrebleu 2.6 computes them, from additive counts.
//!
//! Pure. Counts are kept per sentence, so that the bootstrap can resample without counting again.

use std::collections::HashMap;

use super::tokenise::{Tokeniser, is_python_space};

/// Length of the longest word n-gram of BLEU, in words.
const WORDS: usize = 4;
/// Length of the longest character n-gram of chrF, in characters.
const CHARS: usize = 6;
/// Square of chrF's beta, the weight of recall.
const BETA_SQUARED: f64 = 4.0;
/// The version of sacrebleu that signatures name, with which the scores agree.
const VERSION: &str = "2.6.0";

/// BLEU counts of one or several sentences: words of the translation, words of the reference, the matching n-grams of 1 to 4
/// words, then all n-grams of 1 to 4 words in the translation.
pub type BleuCounts = [u64; 2 + 2 * WORDS];
/// chrF counts of one or several sentences: for each length of n-grams from 1 to 6 characters those in the translation, in the
/// reference, and in both.
pub type ChrfCounts = [u64; 3 * CHARS];

/// Returns the signature (exact variant) of BLEU in sacrebleu's notation.
#[must_use]
pub fn bleu_signature(tokeniser: Tokeniser) -> String {
    format!("nrefs:1|case:mixed|eff:no|tok:{}|smooth:exp|version:{VERSION}", tokeniser.name())
}

/// Returns the signature (exact variant) of chrF in sacrebleu's notation.
#[must_use]
pub fn chrf_signature() -> String {
    format!("nrefs:1|case:mixed|eff:yes|nc:{CHARS}|nw:0|space:no|version:{VERSION}")
}

/// Returns the BLEU counts of one sentence with one reference; counts of several sentences are added up.
#[must_use]
pub fn bleu_counts(translation: &str, reference: &str, tokeniser: Tokeniser) -> BleuCounts {
    let (own, wanted) = (tokeniser.words(translation), tokeniser.words(reference));
    let mut counts = [0; 2 + 2 * WORDS];
    counts[0] = own.len() as u64;
    counts[1] = wanted.len() as u64;
    for n in 1..=WORDS {
        let (own, wanted) = (ngrams(&own, n), ngrams(&wanted, n));
        counts[1 + n] = matches(&own, &wanted);
        counts[1 + WORDS + n] = own.values().sum();
    }
    counts
}

/// Returns the chrF counts of one sentence with one reference; counts of several sentences are added up. White space is ignored.
#[must_use]
pub fn chrf_counts(translation: &str, reference: &str) -> ChrfCounts {
    let without_spaces = |text: &str| text.chars().filter(|c| !is_python_space(*c)).collect::<Vec<_>>();
    let (own, wanted) = (without_spaces(translation), without_spaces(reference));
    let mut counts = [0; 3 * CHARS];
    for n in 1..=CHARS {
        let (own, wanted) = (ngrams(&own, n), ngrams(&wanted, n));
        let at = 3 * (n - 1);
        // An order that the reference lacks does not count, as in sacrebleu.
        counts[at] = if wanted.is_empty() { 0 } else { own.values().sum() };
        counts[at + 1] = wanted.values().sum();
        counts[at + 2] = matches(&own, &wanted);
    }
    counts
}

/// Returns corpus BLEU (0 to 100) of the summed counts of all sentences: exponential smoothing, no effective order. 0 if nothing matches.
#[must_use]
pub fn bleu(counts: &BleuCounts) -> f64 {
    let (own, wanted) = (counts[0] as f64, counts[1] as f64);
    let (right, all) = (&counts[2..2 + WORDS], &counts[2 + WORDS..]);
    if right.iter().all(|n| *n == 0) {
        return 0.0;
    }
    let penalty = if own < wanted { (1.0 - wanted / own).exp() } else { 1.0 };
    let (mut smooth, mut precisions) = (1.0, [0.0; WORDS]);
    for (precision, (right, all)) in precisions.iter_mut().zip(right.iter().zip(all)) {
        if *all == 0 {
            break;
        }
        *precision = if *right == 0 {
            smooth *= 2.0;
            100.0 / (smooth * *all as f64)
        } else {
            100.0 * *right as f64 / *all as f64
        };
    }
    // sacrebleu's logarithm of 0.
    let log = |p: f64| if p == 0.0 { -9_999_999_999.0 } else { p.ln() };
    penalty * (precisions.iter().map(|p| log(*p)).sum::<f64>() / WORDS as f64).exp()
}

/// Returns corpus chrF2 (0 to 100) of the summed counts of all sentences, over the n-gram lengths that both sides have. 0 if there are
/// none.
#[must_use]
pub fn chrf(counts: &ChrfCounts) -> f64 {
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for [own, wanted, both] in counts.as_chunks::<3>().0 {
        if *own > 0 && *wanted > 0 {
            precision += *both as f64 / *own as f64;
            recall += *both as f64 / *wanted as f64;
            orders += 1.0;
        }
    }
    if orders == 0.0 || precision + recall == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (precision / orders, recall / orders);
    100.0 * (1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
}

/// Returns the number of times that each n-gram of length `n` occurs in the words or characters `of`.
fn ngrams<T: Eq + std::hash::Hash>(of: &[T], n: usize) -> HashMap<&[T], u64> {
    let mut found = HashMap::new();
    for run in of.windows(n) {
        *found.entry(run).or_default() += 1;
    }
    found
}

/// Returns the number of n-grams that `own` and `wanted` (n-grams with their counts) have in common; an n-gram that occurs several times
/// counts as often as on the side with fewer.
fn matches<T: Eq + std::hash::Hash>(own: &HashMap<&[T], u64>, wanted: &HashMap<&[T], u64>) -> u64 {
    own.iter().map(|(run, count)| wanted.get(run).map_or(0, |other| *count.min(other))).sum()
}
