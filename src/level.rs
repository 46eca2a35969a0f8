//! Sound levels, in dB relative to full scale (dBFS). Pure.

/// The level of digital silence, in dBFS: the least that [`dbfs`] and [`power_dbfs`] return.
pub const SILENCE_DBFS: f32 = -120.0;
/// The magnitude of a sample (full scale is 1) from which the input counts as clipping.
pub const CLIPPING: f32 = 0.99;

/// Mean square of a signal at [`SILENCE_DBFS`].
const SILENCE_POWER: f32 = 1e-12;

/// Returns the level of `samples`, in dBFS of their root mean square: 0 for a full-scale square wave, -3 for a full-scale sine;
/// [`SILENCE_DBFS`] for no samples or zeros.
#[must_use]
pub fn dbfs(samples: &[f32]) -> f32 {
    power_dbfs(samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32)
}

/// Returns the level of `samples` without their mean, in dBFS of the root mean square that is left: a constant offset of a converter is
/// no sound. [`SILENCE_DBFS`] for no samples or equal ones.
#[must_use]
pub fn dbfs_of_sound(samples: &[f32]) -> f32 {
    let count = samples.len().max(1) as f64;
    let mean = samples.iter().map(|s| f64::from(*s)).sum::<f64>() / count;
    power_dbfs((samples.iter().map(|s| (f64::from(*s) - mean).powi(2)).sum::<f64>() / count) as f32)
}

/// Returns the level of a signal whose mean square is `power`, in dBFS, at least [`SILENCE_DBFS`].
#[must_use]
pub fn power_dbfs(power: f32) -> f32 {
    10.0 * power.max(SILENCE_POWER).log10()
}

/// Returns the root mean square of a signal with the level `dbfs`: 1 at 0 dBFS.
#[must_use]
pub fn amplitude(dbfs: f32) -> f32 {
    10.0_f32.powf(dbfs / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_the_root_mean_square_in_db_and_amplitude_inverts_it() {
        assert_eq!((dbfs(&[1.0, -1.0]), dbfs(&[0.0; 9]), dbfs(&[])), (0.0, SILENCE_DBFS, SILENCE_DBFS));
        assert_eq!((dbfs_of_sound(&[0.3; 9]), dbfs_of_sound(&[])), (SILENCE_DBFS, SILENCE_DBFS));
        assert!((dbfs_of_sound(&[0.4, 0.2]) + 20.0).abs() < 1e-4, "{}", dbfs_of_sound(&[0.4, 0.2]));
        assert!((dbfs(&[0.1; 9]) + 20.0).abs() < 1e-4 && (dbfs(&[amplitude(-42.0); 9]) + 42.0).abs() < 1e-3);
    }
}
