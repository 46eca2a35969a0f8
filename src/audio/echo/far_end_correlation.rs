//! Correlation of the canceller's output with the far end, at any delay. Pure.
//!
//! Echo on a path that the canceller has not learnt yet (a reply has just begun, the delay has jumped) is as loud and as voiced
//! as a person, but it correlates with the far end.

use crate::time::HOP_SAMPLES;

/// Samples of a frame at a quarter of the sample rate, 4 kHz, which is enough for a voice and costs a sixteenth of the work.
const QUARTER: usize = HOP_SAMPLES / 4;
/// Number of samples (4 kHz) that are correlated: 100 ms.
const WINDOW: usize = 10 * QUARTER;
/// Number of the newest samples (4 kHz) by which the echo is compared with its estimate: 60 ms, so that a mismatch shows at once.
const NEWEST: usize = 6 * QUARTER;
/// Largest delay that is tried, in samples (4 kHz): 450 ms.
const DELAYS: usize = 45 * QUARTER;
/// Number of partial sums of a dot product, for SIMD.
const LANES: usize = 8;

/// Ratio of the power of the canceller's output to the microphone's from which the microphone signal is correlated too.
const LEFT_SHARE: f32 = 0.8;
/// Share of the microphone's power that the estimated echo must exceed to be compared with the microphone signal.
const ESTIMATED_SHARE: f32 = 0.1;
/// Correlation of the microphone signal with the estimated echo below which the echo has taken another path. A person as loud as the echo
/// leaves a correlation of 0.7, a person 10 dB louder 0.3.
const PATH_LOST_CORRELATION: f32 = 0.2;
/// Power of a stretch of the played sound, relative to the mean, below which it makes no audible echo.
const LEAST_FAR_SHARE: f32 = 1e-4;
/// Energy that is added to denominators, against division by zero.
const EPSILON: f32 = 1e-12;

/// The newest samples of the microphone, of the canceller and of the played sound (far end), at 4 kHz, newest last.
#[derive(Clone, Debug)]
pub(super) struct FarEndCorrelation {
    /// The microphone signal: the linear filter's output plus the estimated echo.
    near: [f32; WINDOW],
    /// The output of the canceller's linear filter.
    left: [f32; WINDOW],
    /// The canceller's estimate of the echo.
    echo: [f32; WINDOW],
    /// The played sound.
    far: [f32; WINDOW + DELAYS],
}

impl Default for FarEndCorrelation {
    fn default() -> Self {
        Self { near: [0.0; WINDOW], left: [0.0; WINDOW], echo: [0.0; WINDOW], far: [0.0; WINDOW + DELAYS] }
    }
}

impl FarEndCorrelation {
    /// Adds a frame of 10 ms: the output of the canceller's linear filter (`left`), the estimated echo, and the played sound (`far`).
    pub(super) fn push(&mut self, left: &[f32; HOP_SAMPLES], echo: &[f32; HOP_SAMPLES], far: &[f32; HOP_SAMPLES]) {
        append(&mut self.near, &std::array::from_fn(|n| left[n] + echo[n]));
        append(&mut self.left, left);
        append(&mut self.echo, echo);
        append(&mut self.far, far);
    }

    /// Returns the greatest normalised correlation of the canceller's output with the played sound over all delays, 0 to 1; 1 if the
    /// estimated echo does not match the microphone signal, because the echo has taken another path.
    pub(super) fn greatest(&self) -> f32 {
        let (near, echo) = (&self.near[WINDOW - NEWEST..], &self.echo[WINDOW - NEWEST..]);
        let (near_energy, echo_energy) = (dot(near, near), dot(echo, echo));
        let correlation = dot(near, echo) / (near_energy * echo_energy + EPSILON).sqrt();
        if echo_energy > ESTIMATED_SHARE * near_energy && correlation < PATH_LOST_CORRELATION {
            return 1.0;
        }
        let (near, left) = (dot(&self.near, &self.near), dot(&self.left, &self.left));
        let of_left = self.correlate(&self.left);
        if left > LEFT_SHARE * near { of_left.max(self.correlate(&self.near)) } else { of_left }
    }

    /// Returns the greatest normalised correlation of `near` with the played sound over all delays, 0 to 1.
    fn correlate(&self, near: &[f32; WINDOW]) -> f32 {
        let near_energy = dot(near, near);
        let mut far_energy = dot(&self.far[..WINDOW], &self.far[..WINDOW]);
        let least = LEAST_FAR_SHARE * WINDOW as f32 * dot(&self.far, &self.far) / self.far.len() as f32 + EPSILON;
        let mut greatest = 0.0_f32;
        for (at, window) in self.far.windows(WINDOW).enumerate() {
            let correlation = dot(near, window).abs() / ((near_energy + EPSILON) * far_energy.max(least)).sqrt();
            greatest = greatest.max(correlation);
            let (old, new) = (window[0], self.far.get(at + WINDOW).copied().unwrap_or(0.0));
            far_energy += new * new - old * old;
        }
        greatest.min(1.0)
    }
}

/// Averages a frame of 10 ms down to 4 kHz, appends the result to `kept` and drops as many of the oldest samples.
fn append(kept: &mut [f32], frame: &[f32; HOP_SAMPLES]) {
    kept.copy_within(QUARTER.., 0);
    let newest = kept.len() - QUARTER;
    for (slot, four) in kept[newest..].iter_mut().zip(frame.as_chunks::<4>().0) {
        *slot = 0.25 * four.iter().sum::<f32>();
    }
}

/// Returns the dot product of two slices whose lengths are multiples of [`LANES`].
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns sample `n` of a noise that does not repeat, different for each seed.
    fn sound(seed: u64, n: usize) -> f32 {
        let mut x = (n as u64 / 8 + 1 + (seed << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (x >> 40) as f32 / 8_388_608.0 - 1.0
    }

    fn greatest(near: impl Fn(usize) -> f32, echo: impl Fn(usize) -> f32) -> f32 {
        let mut correlation = FarEndCorrelation::default();
        for frame in 0..60 {
            let at = |n: usize| frame * HOP_SAMPLES + n;
            let left = |n: usize| near(at(n)) - echo(at(n));
            correlation.push(&std::array::from_fn(left), &std::array::from_fn(|n| echo(at(n))), &std::array::from_fn(|n| sound(1, at(n))));
        }
        correlation.greatest()
    }

    #[test]
    fn echo_at_any_delay_correlates_with_the_far_end_and_another_sound_does_not() {
        for delay in [0, 800, 4_800] {
            let delayed = |by: usize| move |n: usize| if n < by { 0.0 } else { 0.2 * sound(1, n - by) };
            let unknown = greatest(delayed(delay), |_| 0.0);
            assert!(unknown > 0.9, "{delay}: {unknown}");
            let jumped = greatest(delayed(delay), delayed(1_600));
            assert!(jumped > 0.9, "{delay}: {jumped}");
        }
        let other = greatest(|n| sound(2, n), |_| 0.0);
        assert!(other < 0.5, "{other}");
        assert!(greatest(|_| 0.0, |_| 0.0) < 1e-3 && FarEndCorrelation::default().greatest() == 0.0);
    }
}
