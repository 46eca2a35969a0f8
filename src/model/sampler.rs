//! Sampling a token from a row of logits, step by step as the reference's `sample` (`src/model/README.md` section 5.6).

use candle_core::{Device, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_transformers::generation::{LogitsProcessor, Sampling};

use crate::config::SamplingChoice;
use crate::error::{Error, Result};

/// The settings by which logits become probabilities: top-k first, then temperature, then top-p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogitFilter {
    /// Divisor of the logits; 0 or less does not divide. At 0 with a `top_p` of 0 the choice is greedy.
    pub temperature: f64,
    /// Number of largest logits to keep; None keeps all.
    pub top_k: Option<usize>,
    /// Share of the probability to keep: the least likely tokens that together have at most `1 - top_p` are dropped, the likeliest
    /// never; 1 or more keeps all.
    pub top_p: f64,
}

impl LogitFilter {
    /// Returns true if the token with the largest logit is always chosen, without chance.
    #[must_use]
    pub fn is_greedy(&self) -> bool {
        (self.temperature <= 0.0 && self.top_p <= 0.0) || self.top_k == Some(1)
    }

    /// Returns the probability of each token; a greedy filter gives 1 to the token with the largest logit.
    ///
    /// # Errors
    /// When candle fails.
    pub fn probabilities(&self, logits: &[f32]) -> candle_core::Result<Vec<f32>> {
        let mut kept = logits.to_vec();
        if self.is_greedy() {
            let best = argmax(logits);
            return Ok((0..logits.len()).map(|i| f32::from(u8::from(i == best))).collect());
        }
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        for dropped in order.iter().skip(self.top_k.unwrap_or(kept.len())) {
            kept[*dropped] = f32::NEG_INFINITY;
        }
        if self.temperature > 0.0 {
            for value in &mut kept {
                *value /= self.temperature as f32;
            }
        }
        if self.top_p < 1.0 {
            // From the least likely up: tokens wholly within the lowest `1 - top_p` are dropped, the likeliest never.
            let all = softmax(&kept)?;
            let mut cumulative = 0.0;
            for at in order.iter().skip(1).rev() {
                cumulative += all[*at];
                if cumulative <= (1.0 - self.top_p) as f32 {
                    kept[*at] = f32::NEG_INFINITY;
                }
            }
        }
        softmax(&kept)
    }
}

/// The sampler of a reply's tokens: a filter and a random generator, whose state advances with each draw.
pub struct Sampler {
    filter: LogitFilter,
    draw: LogitsProcessor,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl Sampler {
    /// Makes a sampler with the user's temperature, top-k and seed; there is no top-p.
    #[must_use]
    pub fn new(choice: SamplingChoice) -> Self {
        let top_p = if choice.temperature > 0.0 { 1.0 } else { 0.0 };
        Self {
            filter: LogitFilter { temperature: choice.temperature, top_k: choice.top_k, top_p },
            // The filter has already applied the temperature.
            draw: LogitsProcessor::from_sampling(choice.seed, Sampling::All { temperature: 1.0 }),
        }
    }

    /// Draws a token id from `logits`, whose index is the id.
    ///
    /// # Errors
    /// When no probability can be computed from the logits (all infinite, or NaN).
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32> {
        if self.filter.is_greedy() {
            return Ok(argmax(logits) as u32);
        }
        let drawn = self.filter.probabilities(logits).and_then(|p| {
            let log: Vec<f32> = p.iter().map(|p| p.ln()).collect();
            self.draw.sample(&Tensor::new(log, &Device::Cpu)?)
        });
        drawn.map_err(|e| Error::internal(format_args!("a token could not be drawn: {e}")))
    }
}

/// Returns the index of the largest value, the first of equals; 0 for no values.
#[must_use]
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = at;
        }
    }
    best
}

fn softmax(logits: &[f32]) -> candle_core::Result<Vec<f32>> {
    softmax_last_dim(&Tensor::new(logits, &Device::Cpu)?)?.to_vec1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_draws_the_same_tokens_and_greedy_draws_the_largest() {
        let logits = [0.0, 2.0, 1.9, -1.0];
        let draw = |temperature, top_k, seed| {
            let mut sampler = Sampler::new(SamplingChoice { temperature, top_k, seed });
            (0..50).map(|_| sampler.sample(&logits).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1.0, None, 3), draw(1.0, None, 3));
        assert_ne!(draw(1.0, None, 3), draw(1.0, None, 4));
        assert!(draw(1.0, Some(2), 3).iter().all(|t| [1, 2].contains(t)));
        assert_eq!(draw(0.0, None, 3), [1; 50]);
    }
}
