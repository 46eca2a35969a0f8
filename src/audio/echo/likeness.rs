//! Whether what is left of the microphone sounds like what is being played, at whatever delay. Pure.
//!
//! Echo that comes by a way which the canceller has not learnt yet (a reply has just begun, a delay has jumped) is as loud and
//! as voiced as a person; but it is the far end, and a person is not.

use crate::time::HOP_SAMPLES;

/// A quarter of the sample rate shows a voice, at a sixteenth of the work.
const QUARTER: usize = HOP_SAMPLES / 4;
/// Samples (4 kHz) that are compared: 100 ms.
const WINDOW: usize = 10 * QUARTER;
/// Of which the newest tell at once whether the echo comes as it is expected: 60 ms.
const NEWEST: usize = 6 * QUARTER;
/// Delays that are tried: up to 450 ms.
const DELAYS: usize = 45 * QUARTER;
/// Products that are summed side by side, as the processor can.
const SIDE_BY_SIDE: usize = 8;

/// Where the canceller leaves more than this of the power, the microphone itself is looked at too.
const LEAVES: f32 = 0.8;
/// An echo that is expected with this share of the power, and to which what is heard is less alike than that, has gone another
/// way. A person who is as loud as the echo leaves a likeness of 0.7, one who is 10 dB louder 0.3.
const EXPECTED: f32 = 0.1;
const MISSED: f32 = 0.2;

/// Follows both ends.
#[derive(Clone, Debug)]
pub(super) struct Likeness {
    /// Newest last.
    near: [f32; WINDOW],
    left: [f32; WINDOW],
    echo: [f32; WINDOW],
    far: [f32; WINDOW + DELAYS],
}

impl Default for Likeness {
    fn default() -> Self {
        Self { near: [0.0; WINDOW], left: [0.0; WINDOW], echo: [0.0; WINDOW], far: [0.0; WINDOW + DELAYS] }
    }
}

impl Likeness {
    /// Takes 10 ms of both ends: what the canceller left of the near one, the echo that it took away, what was played.
    pub(super) fn hear(&mut self, left: &[f32; HOP_SAMPLES], echo: &[f32; HOP_SAMPLES], far: &[f32; HOP_SAMPLES]) {
        append(&mut self.near, &std::array::from_fn(|n| left[n] + echo[n]));
        append(&mut self.left, left);
        append(&mut self.echo, echo);
        append(&mut self.far, far);
    }

    /// From 0, nothing in common, to 1, the same: the greatest normalised correlation over all delays.
    pub(super) fn greatest(&self) -> f32 {
        let (near, echo) = (&self.near[WINDOW - NEWEST..], &self.echo[WINDOW - NEWEST..]);
        let (near_energy, echo_energy) = (product(near, near), product(echo, echo));
        let likeness = product(near, echo) / (near_energy * echo_energy + 1e-12).sqrt();
        if echo_energy > EXPECTED * near_energy && likeness < MISSED {
            return 1.0;
        }
        let (near, left) = (product(&self.near, &self.near), product(&self.left, &self.left));
        let of_left = self.alike(&self.left);
        if left > LEAVES * near { of_left.max(self.alike(&self.near)) } else { of_left }
    }

    fn alike(&self, near: &[f32; WINDOW]) -> f32 {
        let near_energy = product(near, near);
        let mut far_energy = product(&self.far[..WINDOW], &self.far[..WINDOW]);
        // What is far quieter than the rest makes no echo worth the name, however alike it is.
        let least = 1e-4 * WINDOW as f32 * product(&self.far, &self.far) / self.far.len() as f32 + 1e-12;
        let mut greatest = 0.0_f32;
        for (at, window) in self.far.windows(WINDOW).enumerate() {
            let alike = product(near, window).abs() / ((near_energy + 1e-12) * far_energy.max(least)).sqrt();
            greatest = greatest.max(alike);
            let (old, new) = (window[0], self.far.get(at + WINDOW).copied().unwrap_or(0.0));
            far_energy += new * new - old * old;
        }
        greatest.min(1.0)
    }
}

/// Shifts a frame in, one sample of four.
fn append(kept: &mut [f32], frame: &[f32; HOP_SAMPLES]) {
    kept.copy_within(QUARTER.., 0);
    let newest = kept.len() - QUARTER;
    for (slot, four) in kept[newest..].iter_mut().zip(frame.as_chunks::<4>().0) {
        *slot = 0.25 * four.iter().sum::<f32>();
    }
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; SIDE_BY_SIDE];
    for (a, b) in a.as_chunks::<SIDE_BY_SIDE>().0.iter().zip(b.as_chunks::<SIDE_BY_SIDE>().0) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sound that never repeats itself; another for each seed.
    fn sound(seed: u64, n: usize) -> f32 {
        let mut x = (n as u64 / 8 + 1 + (seed << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (x >> 40) as f32 / 8_388_608.0 - 1.0
    }

    fn likeness(near: impl Fn(usize) -> f32, echo: impl Fn(usize) -> f32) -> f32 {
        let mut likeness = Likeness::default();
        for frame in 0..60 {
            let at = |n: usize| frame * HOP_SAMPLES + n;
            let left = |n: usize| near(at(n)) - echo(at(n));
            likeness.hear(&std::array::from_fn(left), &std::array::from_fn(|n| echo(at(n))), &std::array::from_fn(|n| sound(1, at(n))));
        }
        likeness.greatest()
    }

    #[test]
    fn an_echo_at_any_delay_is_like_what_is_played_and_another_sound_is_not() {
        for delay in [0, 800, 4_800] {
            let delayed = |by: usize| move |n: usize| if n < by { 0.0 } else { 0.2 * sound(1, n - by) };
            let unknown = likeness(delayed(delay), |_| 0.0);
            assert!(unknown > 0.9, "{delay}: {unknown}");
            let jumped = likeness(delayed(delay), delayed(1_600));
            assert!(jumped > 0.9, "{delay}: {jumped}");
        }
        let other = likeness(|n| sound(2, n), |_| 0.0);
        assert!(other < 0.5, "{other}");
        assert!(likeness(|_| 0.0, |_| 0.0) < 1e-3 && Likeness::default().greatest() == 0.0);
    }
}
