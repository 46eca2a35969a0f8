//! BLEU and chrF as sacrebleu 2.6 computes them, from counts that can be added up.
//!
//! Pure. The counts of each sentence are kept apart so that a sample can be drawn again without counting again.

use std::collections::HashMap;

use super::tokenise::{Tokeniser, is_python_space};

/// Longest run of words that BLEU looks at.
const WORDS: usize = 4;
/// Longest run of characters that chrF looks at.
const CHARS: usize = 6;
/// Weight of recall in chrF, squared.
const BETA_SQUARED: f64 = 4.0;
/// The sacrebleu whose arithmetic this is; signatures name it.
const VERSION: &str = "2.6.0";

/// Counts of BLEU: length of the translation and of its reference, then runs of 1 to 4 words: right, and in all.
pub type BleuCounts = [u64; 2 + 2 * WORDS];
/// Counts of chrF: for runs of 1 to 6 characters: in the translation, in the reference, in both.
pub type ChrfCounts = [u64; 3 * CHARS];

/// How a BLEU was computed, in sacrebleu's notation.
#[must_use]
pub fn bleu_signature(tokeniser: Tokeniser) -> String {
    format!("nrefs:1|case:mixed|eff:no|tok:{}|smooth:exp|version:{VERSION}", tokeniser.name())
}

/// How a chrF was computed, in sacrebleu's notation.
#[must_use]
pub fn chrf_signature() -> String {
    format!("nrefs:1|case:mixed|eff:yes|nc:{CHARS}|nw:0|space:no|version:{VERSION}")
}

/// Counts of one sentence.
#[must_use]
pub fn bleu_counts(translation: &str, reference: &str, tokeniser: Tokeniser) -> BleuCounts {
    let (own, wanted) = (tokeniser.words(translation), tokeniser.words(reference));
    let mut counts = [0; 2 + 2 * WORDS];
    counts[0] = own.len() as u64;
    counts[1] = wanted.len() as u64;
    for n in 1..=WORDS {
        let (own, wanted) = (runs(&own, n), runs(&wanted, n));
        counts[1 + n] = both(&own, &wanted);
        counts[1 + WORDS + n] = own.values().sum();
    }
    counts
}

/// Counts of one sentence.
#[must_use]
pub fn chrf_counts(translation: &str, reference: &str) -> ChrfCounts {
    let bare = |text: &str| text.chars().filter(|c| !is_python_space(*c)).collect::<Vec<_>>();
    let (own, wanted) = (bare(translation), bare(reference));
    let mut counts = [0; 3 * CHARS];
    for n in 1..=CHARS {
        let (own, wanted) = (runs(&own, n), runs(&wanted, n));
        let at = 3 * (n - 1);
        // Where the reference has no run of this length there is nothing to be right about.
        counts[at] = if wanted.is_empty() { 0 } else { own.values().sum() };
        counts[at + 1] = wanted.values().sum();
        counts[at + 2] = both(&own, &wanted);
    }
    counts
}

/// BLEU of counts that were added up, 0 to 100: exponential smoothing, no effective order.
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
    // sacrebleu's logarithm of nothing: so small that the score is 0.
    let log = |p: f64| if p == 0.0 { -9_999_999_999.0 } else { p.ln() };
    penalty * (precisions.iter().map(|p| log(*p)).sum::<f64>() / WORDS as f64).exp()
}

/// chrF2 of counts that were added up, 0 to 100.
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

/// How often each run of `n` occurs.
fn runs<T: Eq + std::hash::Hash>(of: &[T], n: usize) -> HashMap<&[T], u64> {
    let mut found = HashMap::new();
    for run in of.windows(n) {
        *found.entry(run).or_default() += 1;
    }
    found
}

/// Runs that both have.
fn both<T: Eq + std::hash::Hash>(own: &HashMap<&[T], u64>, wanted: &HashMap<&[T], u64>) -> u64 {
    own.iter().map(|(run, count)| wanted.get(run).map_or(0, |other| *count.min(other))).sum()
}
