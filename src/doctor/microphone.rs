//! The check of the microphone: listens for a second and measures the level.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::{DeviceDirection, Finding, device};
use crate::audio::capture::CaptureSource;
use crate::audio::{Source, SourceEvent};
use crate::config::{Settings, SourceChoice};
use crate::error::Result;
use crate::level::{CLIPPING, power_dbfs};
use crate::protocol::DeviceChoice;

/// Duration of the measurement, from the opening of the device.
const MEASURED: Duration = Duration::from_secs(1);
/// Time after which a sound system that does not answer counts as hung.
const TIMEOUT: Duration = Duration::from_secs(6);
/// Capacity of the channel from the listening thread, in messages: the thread sends one, the measurement or an error.
const ANSWERS: usize = 1;
/// Level below which a microphone counts as muted, in dBFS: a silent room is louder even with a good microphone.
const MUTED_DBFS: f32 = -80.0;

/// The power and the peak of the samples that the microphone has delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Measurement {
    /// Number of samples.
    samples: usize,
    /// Sum of the samples.
    sum: f64,
    /// Sum of the squared samples.
    power: f64,
    /// Largest magnitude of a sample.
    peak: f32,
}

/// Measures the level of the microphone that the settings choose, and returns the finding. The finding names the
/// system's default microphone, whichever is chosen.
pub(super) fn check(settings: &Settings) -> Finding {
    let name = device(DeviceDirection::Input, "plug one in or allow its use; `hearken listen FILE` needs none")?;
    let SourceChoice::Microphone(choice) = &settings.source else { return Ok(name) };
    let (choice, (answer, answered)) = (choice.clone(), sync_channel(ANSWERS));
    // Some sound systems hang on a device that is being unplugged; this thread may then outlive the check.
    let listen = move || drop(answer.send(listen(&choice)));
    crate::supervise::spawn("hearken-doctor", listen).map_err(|e| e.to_string())?;
    match answered.recv_timeout(TIMEOUT) {
        Ok(Ok(measurement)) => judge(&name, measurement),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("{name}: the sound system does not answer; restart it, or unplug the microphone and plug it in again")),
    }
}

/// Opens the microphone `choice`, listens for a second, or up to three seconds until the first samples arrive, and returns the
/// measurement.
///
/// # Errors
/// When the device cannot be opened, is lost or reports a problem.
fn listen(choice: &DeviceChoice) -> Result<Measurement> {
    let mut source = CaptureSource::open(choice, &[])?;
    let (mut samples, mut measurement, begun) = (Vec::new(), Measurement::default(), Instant::now());
    while begun.elapsed() < TIMEOUT / 2 && (measurement.samples == 0 || begun.elapsed() < MEASURED) {
        samples.clear();
        match source.next(&mut samples)? {
            SourceEvent::Problem(error) | SourceEvent::InputLost(error) => return Err(error),
            SourceEvent::End => break,
            _ => measurement.add(&samples),
        }
    }
    Ok(measurement)
}

impl Measurement {
    /// Adds a block of samples in -1 to 1.
    fn add(&mut self, samples: &[f32]) {
        self.samples += samples.len();
        self.sum += samples.iter().map(|s| f64::from(*s)).sum::<f64>();
        self.power += samples.iter().map(|s| f64::from(s * s)).sum::<f64>();
        self.peak = samples.iter().fold(self.peak, |peak, s| peak.max(s.abs()));
    }

    /// Returns the level (root mean square without the mean, which is no sound), in dBFS.
    fn dbfs(&self) -> f32 {
        let samples = self.samples.max(1) as f64;
        power_dbfs((self.power / samples - (self.sum / samples).powi(2)) as f32)
    }
}

/// Returns the finding about the microphone `name`: a problem if no sound arrived, only zeros, clipped sound, or sound below
/// [`MUTED_DBFS`]; else the name and the level.
fn judge(name: &str, measurement: Measurement) -> Finding {
    let level = measurement.dbfs();
    if measurement.samples == 0 {
        Err(format!("{name}: no sound arrives; allow the use of the microphone in the system's settings, or choose another input"))
    } else if measurement.peak == 0.0 {
        Err(format!("{name}: nothing but exact silence; unmute it, or allow its use in the system's settings"))
    } else if measurement.peak >= CLIPPING {
        Err(format!("{name}: {level:.0} dBFS and it clips; turn the microphone down"))
    } else if level < MUTED_DBFS {
        Err(format!("{name}: {level:.0} dBFS is almost nothing; unmute the microphone or turn it up"))
    } else {
        Ok(format!("{name}; {level:.0} dBFS over a second"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: &[f32]) -> Finding {
        let mut measurement = Measurement::default();
        measurement.add(samples);
        judge("mic", measurement)
    }

    #[test]
    fn a_bad_level_is_reported_with_its_remedy() {
        for (samples, words) in [
            (&[][..], "allow the use"),
            (&[0.0; 100][..], "unmute"),
            (&[1.0, -1.0, 0.5][..], "turn the microphone down"),
            (&[1e-5, -1e-5][..], "turn it up"),
            (&[0.3; 100][..], "turn it up"),
        ] {
            assert!(of(samples).is_err_and(|text| text.contains(words)), "{samples:?}");
        }
        assert_eq!(of(&[0.1, -0.1]), Ok("mic; -20 dBFS over a second".into()));
    }
}
