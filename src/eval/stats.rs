//! Statistics: confidence intervals, ROC curves, quantiles, the paired bootstrap. Pure and reproducible: the random generator has
//! a fixed seed.

/// Half the width of the central 95 % of a normal distribution, in standard deviations.
const Z95: f64 = 1.959_963_984_540_054;
/// Probability on each side of a 95 % interval.
const TAIL: f64 = 0.025;
/// Number of samples that [`bootstrap`] draws.
pub const DRAWS: usize = 2_000;
/// Seed of the random generator of [`bootstrap`].
const SEED: u64 = 0x4845_4152_4b45_4e00;
/// Number of halvings in [`bisect`], enough for the precision of a 64-bit float.
const BISECTIONS: usize = 100;

/// The lower and the upper bound of a 95 % confidence interval, in the unit of the value.
pub type Interval = (f64, f64);

/// Returns Wilson's 95 % interval for the proportion `hits` / `all`, within 0 to 1; `None` if `all` is 0.
#[must_use]
pub fn wilson(hits: u64, all: u64) -> Option<Interval> {
    if all == 0 {
        return None;
    }
    let (n, p) = (all as f64, hits as f64 / all as f64);
    let z2 = Z95 * Z95;
    let middle = p + z2 / (2.0 * n);
    let spread = Z95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    Some((((middle - spread) / scale).max(0.0), ((middle + spread) / scale).min(1.0)))
}

/// Returns the exact (Garwood) 95 % interval for the mean of a Poisson variable of which `count` events were counted once.
#[must_use]
pub fn poisson(count: u64) -> Interval {
    let largest = 2.0 * count as f64 + 40.0;
    let low = if count == 0 { 0.0 } else { bisect(0.0, largest, |mean| 1.0 - poisson_cdf(count - 1, mean) < TAIL) };
    (low, bisect(0.0, largest, |mean| poisson_cdf(count, mean) > TAIL))
}

/// Returns the point between `low` and `high` at which `below`, true for smaller values, turns false, by halving the interval.
fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        if below(middle) { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// Returns the probability that a Poisson variable with mean `mean` is at most `count`; 1 if `mean` is not positive.
fn poisson_cdf(count: u64, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    let (mut log_term, mut sum) = (-mean, (-mean).exp());
    for k in 1..=count {
        log_term += (mean / k as f64).ln();
        sum += log_term.exp();
    }
    sum.min(1.0)
}

/// A point of the recall / false-alarm curve (ROC).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// Bias on the respond logit (`--eagerness`); clips with a score above `-bias` get a response.
    pub bias: f64,
    /// Fraction of the RESPOND clips that get a response.
    pub recall: f64,
    /// Fraction of the IGNORE clips that get a response.
    pub false_alarms: f64,
}

/// Returns the ROC curve of `scores`, pairs of a clip's score and true for the label RESPOND: a point with no response at all,
/// then one per distinct score, down to responses to all clips. `None` unless there are clips of both labels.
#[must_use]
pub fn roc_curve(scores: &[(f64, bool)]) -> Option<Vec<RocPoint>> {
    let positives = scores.iter().filter(|(_, asked)| *asked).count();
    let negatives = scores.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut points = vec![RocPoint { bias: -sorted[0].0, recall: 0.0, false_alarms: 0.0 }];
    let (mut hits, mut alarms) = (0, 0);
    for (at, (score, asked)) in sorted.iter().enumerate() {
        if *asked {
            hits += 1;
        } else {
            alarms += 1;
        }
        if sorted.get(at + 1).is_none_or(|next| next.0 < *score) {
            // The bias lies between two scores, so that rounding cannot move a clip across.
            let next = sorted.get(at + 1).map_or(score - 1.0, |next| next.0);
            let (recall, false_alarms) = (f64::from(hits) / positives as f64, f64::from(alarms) / negatives as f64);
            points.push(RocPoint { bias: -f64::midpoint(*score, next), recall, false_alarms });
        }
    }
    Some(points)
}

/// Returns the area under the ROC curve through `points`, by trapezoids: 1 is perfect, 0.5 is chance. 0 for fewer than two points.
#[must_use]
pub fn area_under(points: &[RocPoint]) -> f64 {
    points.windows(2).map(|w| (w[1].false_alarms - w[0].false_alarms) * f64::midpoint(w[0].recall, w[1].recall)).sum()
}

/// Returns the point of largest Youden's J (recall minus false-alarm rate), the first of equals: along [`roc_curve`] that with the
/// fewest false alarms. `None` without points.
#[must_use]
pub fn youden_best(points: &[RocPoint]) -> Option<RocPoint> {
    let gain = |p: &RocPoint| p.recall - p.false_alarms;
    points.iter().copied().reduce(|best, point| if gain(&point) > gain(&best) { point } else { best })
}

/// Returns the quantile `share` (0 the smallest, 1 the largest; clamped) of values in ascending order, linearly interpolated;
/// `None` without values.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64))
}

/// Returns the median of `values`, which may be in any order; `None` without values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// The result of [`bootstrap`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BootstrapResult {
    /// Difference over all items, each taken once.
    pub difference: f64,
    /// 95 % confidence interval of the difference: the central 95 % of the differences of the samples.
    pub interval: Interval,
    /// Two-sided p-value of the hypothesis that there is no difference, from 2 / ([`DRAWS`] + 1) to 1.
    pub p: f64,
}

/// Runs a bootstrap: [`DRAWS`] times draws `items` indices below `items` with replacement and calls `difference` with them, which
/// uses the same drawn items for both sides of a comparison. `None` if `difference` returns `None` for the whole set.
#[must_use]
pub fn bootstrap(items: usize, difference: impl Fn(&[usize]) -> Option<f64>) -> Option<BootstrapResult> {
    let measured = difference(&(0..items).collect::<Vec<_>>())?;
    let mut random = SplitMix(SEED);
    let mut drawn = vec![0; items];
    let mut found = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        drawn.fill_with(|| random.below(items));
        found.extend(difference(&drawn));
    }
    found.sort_by(f64::total_cmp);
    let interval = (quantile(&found, TAIL)?, quantile(&found, 1.0 - TAIL)?);
    let share = |on_side: &dyn Fn(f64) -> bool| (1 + found.iter().filter(|d| on_side(**d)).count()) as f64 / (1 + found.len()) as f64;
    let p = (2.0 * share(&|d| d <= 0.0).min(share(&|d| d >= 0.0))).min(1.0);
    Some(BootstrapResult { difference: measured, interval, p })
}

/// The SplitMix64 random generator of Steele, Lea and Flood, with its state.
struct SplitMix(u64);

impl SplitMix {
    /// Returns the next random number, uniform over 64 bits.
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a random number from 0 to below `limit`.
    const fn below(&mut self, limit: usize) -> usize {
        ((self.next() as u128 * limit as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_zero_counts_have_textbook_bounds() {
        let (low, high) = wilson(0, 10).expect("ten");
        assert!(low == 0.0 && (high - 0.277_533).abs() < 1e-5, "{high}");
        let (low, high) = poisson(0);
        // 3.6889 is the textbook value; chi-square tables give 1.6235 and 11.6683 for 5.
        assert!(low == 0.0 && (high - 3.6889).abs() < 1e-3, "{high}");
        let (low, high) = poisson(5);
        assert!((low - 1.6235).abs() < 1e-3 && (high - 11.6683).abs() < 1e-3, "{low} {high}");
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn roc_curve_runs_from_no_response_to_all_and_ties_are_one_step() {
        let points = roc_curve(&[(2.0, true), (1.0, true), (1.0, false), (-1.0, false)]).expect("both kinds");
        assert_eq!((points[0].recall, points[0].false_alarms), (0.0, 0.0));
        assert_eq!(points.last().map(|p| (p.recall, p.false_alarms)), Some((1.0, 1.0)));
        assert_eq!(points.len(), 4);
        assert!((area_under(&points) - 0.875).abs() < 1e-12);
        assert_eq!(youden_best(&points).map(|p| (p.recall, p.false_alarms)), Some((0.5, 0.0)));
        assert_eq!(roc_curve(&[(1.0, true)]), None);
    }

    #[test]
    fn clear_difference_is_significant_and_no_difference_is_not() {
        let sum = |values: &[f64], drawn: &[usize]| drawn.iter().map(|at| values[*at]).sum::<f64>() / drawn.len() as f64;
        let (better, same): (Vec<f64>, Vec<f64>) = (0..200).map(|n| (f64::from(u8::from(n % 3 != 0)), f64::from(n % 2) - 0.5)).unzip();
        let clear = bootstrap(200, |drawn| Some(sum(&better, drawn))).expect("items");
        assert!(clear.p < 0.002 && clear.interval.0 > 0.5, "{clear:?}");
        let none = bootstrap(200, |drawn| Some(sum(&same, drawn))).expect("items");
        assert!(none.p > 0.5 && none.interval.0 < 0.0 && none.interval.1 > 0.0, "{none:?}");
        assert_eq!(bootstrap(200, |drawn| Some(sum(&better, drawn))), Some(clear), "the same every time");
        assert_eq!(bootstrap(0, |_| None), None);
    }
}
