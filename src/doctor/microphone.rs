//! Listens to the microphone for a second and says how loud it is.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::{DeviceDirection, Found, device};
use crate::audio::Source;
use crate::audio::SourceEvent;
use crate::audio::capture::CaptureSource;
use crate::config::{Settings, SourceChoice};
use crate::error::Result;
use crate::level::{CLIPPING, power_dbfs};
use crate::protocol::DeviceChoice;

/// How long it listens.
const LISTENED: Duration = Duration::from_secs(1);
/// A sound server that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(6);
/// Answers that may wait: there is one.
const ANSWERS: usize = 1;
/// Below this, in dB below full scale, a room is silent even to a good microphone: it is muted or far too low.
const MUTED_DBFS: f32 = -80.0;

/// What was heard in that second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Loudness {
    samples: usize,
    power: f64,
    peak: f32,
}

pub(super) fn check(settings: &Settings) -> Found {
    let name = device(DeviceDirection::Input, "plug one in or allow its use; files can be heard without (`hearken listen FILE`)")?;
    let SourceChoice::Microphone(choice) = &settings.source else { return Ok(name) };
    let (choice, (answer, answered)) = (choice.clone(), sync_channel(ANSWERS));
    // Some sound systems hang on a device that is just going; this thread may then outlive the check.
    let listen = move || drop(answer.send(listen(&choice)));
    std::thread::Builder::new().name("hearken-doctor".into()).spawn(listen).map_err(|e| e.to_string())?;
    match answered.recv_timeout(LIMIT) {
        Ok(Ok(loudness)) => judge(&name, loudness),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("{name}: the sound system does not answer; restart it, or unplug the microphone and plug it in again")),
    }
}

fn listen(choice: &DeviceChoice) -> Result<Loudness> {
    let mut source = CaptureSource::open(choice, &[])?;
    let (mut samples, mut loudness, begun) = (Vec::new(), Loudness::default(), Instant::now());
    while begun.elapsed() < LIMIT / 2 && (loudness.samples == 0 || begun.elapsed() < LISTENED) {
        samples.clear();
        match source.next(&mut samples)? {
            SourceEvent::Problem(error) => return Err(error),
            SourceEvent::End => break,
            _ => loudness.add(&samples),
        }
    }
    Ok(loudness)
}

impl Loudness {
    fn add(&mut self, samples: &[f32]) {
        self.samples += samples.len();
        self.power += samples.iter().map(|s| f64::from(s * s)).sum::<f64>();
        self.peak = samples.iter().fold(self.peak, |peak, s| peak.max(s.abs()));
    }

    fn dbfs(&self) -> f32 {
        power_dbfs((self.power / self.samples.max(1) as f64) as f32)
    }
}

fn judge(name: &str, loudness: Loudness) -> Found {
    let level = loudness.dbfs();
    if loudness.samples == 0 {
        Err(format!("{name}: no sound arrives; allow the use of the microphone in the system's settings, or choose another input"))
    } else if loudness.peak == 0.0 {
        Err(format!("{name}: nothing but exact silence; unmute it, or allow its use in the system's settings"))
    } else if loudness.peak >= CLIPPING {
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

    fn of(samples: &[f32]) -> Found {
        let mut loudness = Loudness::default();
        loudness.add(samples);
        judge("mic", loudness)
    }

    #[test]
    fn what_is_wrong_with_a_level_is_said_with_what_to_do() {
        for (samples, words) in [
            (&[][..], "allow the use"),
            (&[0.0; 100][..], "unmute"),
            (&[1.0, -1.0, 0.5][..], "turn the microphone down"),
            (&[1e-5; 100][..], "turn it up"),
        ] {
            assert!(of(samples).is_err_and(|text| text.contains(words)), "{samples:?}");
        }
        assert_eq!(of(&[0.1, -0.1]), Ok("mic; -20 dBFS over a second".into()));
    }
}
