//! The channels that a stream asks for, so that each channel of its source is heard.
//!
//! PulseAudio and PipeWire's server connect channels by their positions, and leave out those of the source that a stream does not name.
//! cpal names the usual positions of a number of channels, so of an interface whose inputs are called AUX 1 to AUX 4 it hears two or
//! none. So a number is asked for whose positions hold all of the source's.

use crate::audio::mix::Mixer;
use crate::protocol::ChannelChoice;

/// A number of channels to ask for, and where those of the source lie among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChannelRequest {
    /// Number of channels to ask for.
    pub(super) channels: u16,
    /// Index of each channel of the source in a delivered frame.
    pub(super) places: Vec<usize>,
}

impl ChannelRequest {
    /// Returns how to ask for all channels of the source `id`, which has `channels`.
    pub(super) fn for_source(id: &str, channels: u16) -> Self {
        #[cfg(target_os = "linux")]
        if let Some(request) = server::request_for(id) {
            return request;
        }
        // Other sound systems deliver the channels as the device has them.
        let _ = id;
        Self { channels, places: (0..usize::from(channels)).collect() }
    }

    /// Returns a mixer of the source's channels, for sound of `rate_hz`.
    pub(super) fn mixer(&self, rate_hz: u32) -> Mixer {
        let mut mixer = Mixer::new(rate_hz, ChannelChoice::All);
        mixer.hear_places(self.places.iter().copied(), usize::from(self.channels));
        mixer
    }
}

#[cfg(target_os = "linux")]
mod server {
    use std::ffi::CString;
    use std::time::Duration;

    use futures::executor::block_on;
    use pulseaudio::Client;
    use pulseaudio::protocol::ChannelPosition::{self, *};

    use super::ChannelRequest;
    use crate::supervise;

    /// Prefix of the ids of sources that cpal opens through PulseAudio's protocol.
    const ID_PREFIX: &str = "pulseaudio:";
    /// Time that the sound server may take to describe a source; then the stream is opened as cpal would.
    const TIMEOUT: Duration = Duration::from_secs(2);
    /// Capacity of the channel from the thread that asks: its one answer.
    const ANSWERS: usize = 1;
    /// Largest number of channels of PulseAudio's protocol.
    const MOST: u16 = 32;

    /// Returns how to ask for all channels of the source `id`. Returns None if that is what cpal does by itself, for another sound system,
    /// and if the server does not tell.
    pub(super) fn request_for(id: &str) -> Option<ChannelRequest> {
        let name = CString::new(id.strip_prefix(ID_PREFIX)?).ok()?;
        let (tx, rx) = crossbeam_channel::bounded(ANSWERS);
        // The server may hang; the thread then outlives this call.
        supervise::spawn("hearken-mic-map", move || drop(tx.send(positions_of(name)))).ok()?;
        request(&rx.recv_timeout(TIMEOUT).ok()??)
    }

    /// Asks the sound server for the positions of the channels of the source `name`.
    fn positions_of(name: CString) -> Option<Vec<ChannelPosition>> {
        let client = Client::from_env(c"hearken").ok()?;
        let source = block_on(client.source_info_by_name(name)).ok()?;
        Some(source.channel_map.into_iter().collect())
    }

    /// Returns the fewest channels whose positions, as cpal asks for them, hold each of `source`; None if the number of `source` itself gives
    /// just these, and if no number does.
    fn request(source: &[ChannelPosition]) -> Option<ChannelRequest> {
        let own = u16::try_from(source.len()).ok()?;
        if asked_for(own) == source {
            return None;
        }
        (1..=MOST).find_map(|channels| {
            let asked = asked_for(channels);
            let place = |position: &ChannelPosition| asked.iter().position(|other| other == position);
            Some(ChannelRequest { channels, places: source.iter().map(place).collect::<Option<_>>()? })
        })
    }

    /// Returns the positions that cpal 0.18 asks for with this number of channels (`make_channel_map` in its `host/pulseaudio/mod.rs`).
    fn asked_for(channels: u16) -> Vec<ChannelPosition> {
        const SURROUND: [ChannelPosition; 12] = [
            FrontLeft,
            FrontRight,
            FrontCenter,
            Lfe,
            RearLeft,
            RearRight,
            SideLeft,
            SideRight,
            TopFrontLeft,
            TopFrontRight,
            TopRearLeft,
            TopRearRight,
        ];
        const AUX: [ChannelPosition; MOST as usize] = [
            Aux0, Aux1, Aux2, Aux3, Aux4, Aux5, Aux6, Aux7, Aux8, Aux9, Aux10, Aux11, Aux12, Aux13, Aux14, Aux15, Aux16, Aux17, Aux18,
            Aux19, Aux20, Aux21, Aux22, Aux23, Aux24, Aux25, Aux26, Aux27, Aux28, Aux29, Aux30, Aux31,
        ];
        match channels {
            1 => vec![Mono],
            4 => vec![FrontLeft, FrontRight, RearLeft, RearRight],
            5 => vec![FrontLeft, FrontRight, FrontCenter, RearLeft, RearRight],
            7 => vec![FrontLeft, FrontRight, FrontCenter, Lfe, RearLeft, RearRight, RearCenter],
            2 | 3 | 6 | 8 | 10 | 12 => SURROUND[..usize::from(channels)].to_vec(),
            _ => AUX.iter().copied().take(usize::from(channels)).collect(),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn inputs_without_positions_are_asked_for_as_such_and_usual_ones_as_cpal_does() {
            let four = request(&[Aux0, Aux1, Aux2, Aux3]).unwrap();
            assert_eq!((four.channels, four.places), (9, vec![0, 1, 2, 3]));
            let ten: Vec<ChannelPosition> = asked_for(11)[..10].to_vec();
            assert_eq!(request(&ten).unwrap(), ChannelRequest { channels: 11, places: (0..10).collect() });
            assert_eq!(request(&asked_for(18)), None);
            for usual in [1, 2, 4, 6, 8, 12] {
                assert_eq!(request(&asked_for(usual)), None);
            }
            assert_eq!(request(&[FrontLeft, FrontRight, FrontCenter, RearCenter]).unwrap().places, [0, 1, 2, 6]);
            assert_eq!(request(&[FrontLeft]).unwrap(), ChannelRequest { channels: 2, places: vec![0] });
            assert_eq!(request(&[FrontLeft, Aux0]), None, "no number of channels names both");
        }
    }
}
