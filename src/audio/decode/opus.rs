//! Opus for symphonia, which reads its containers (Ogg, WebM, MP4, CAF) but does not decode it: by `rusty-opus`, straight to 16 kHz.

use rusty_opus::OpusDecoder;
use rusty_opus::multistream::OpusMSDecoder;
use symphonia::core::audio::{AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, FinalizeResult};
use symphonia::core::errors::{Error, Result, decode_error, unsupported_error};
use symphonia::core::packet::PacketRef;

use crate::time::SAMPLE_RATE_HZ;

/// Largest number of samples of a channel in a packet, at 16 kHz: 120 ms.
const MAX_FRAMES: usize = 120 * SAMPLE_RATE_HZ as usize / 1_000;
/// Rate in which `OpusHead` counts the samples to skip, in Hz.
const HEADER_RATE_HZ: usize = 48_000;
const INFO: CodecInfo = CodecInfo { short_name: "opus", long_name: "Opus", profiles: &[] };

/// A decoder of Opus packets.
pub(super) struct OpusPackets {
    parameters: AudioCodecParameters,
    streams: Streams,
    channels: usize,
    /// Samples at the beginning that the encoder added, still to be skipped, at 16 kHz.
    skip: usize,
    /// Buffer of a packet's samples, all channels.
    interleaved: Vec<f32>,
    decoded: AudioBuffer<f32>,
}

/// The decoder of one stream, or of several for surround sound.
enum Streams {
    One(Box<OpusDecoder>),
    Many(OpusMSDecoder),
}

impl OpusPackets {
    /// Creates the decoder for a track; its extra data is the header `OpusHead` (RFC 7845) where the container has it.
    ///
    /// # Errors
    /// When the number of channels or their mapping is not supported.
    pub(super) fn new(parameters: &AudioCodecParameters) -> Result<Self> {
        let head = parameters.extra_data.as_deref().unwrap_or_default();
        let channels = match head.get(9) {
            Some(count) => usize::from(*count),
            None => parameters.channels.as_ref().map_or(1, Channels::count),
        };
        let family = head.get(18).copied().unwrap_or(0);
        let pre_skip = head.get(10..12).map_or(0, |b| usize::from(u16::from_le_bytes([b[0], b[1]])));
        let rate = SAMPLE_RATE_HZ as i32;
        let streams = match (family, channels) {
            (0, 1 | 2) => OpusDecoder::new(rate, channels).ok().map(|decoder| Streams::One(Box::new(decoder))),
            (1, 1..) => OpusMSDecoder::new(rate, channels, 1).ok().map(Streams::Many),
            _ => None,
        };
        let Some(streams) = streams else { return unsupported_error("Opus with this many channels") };
        let spec = AudioSpec::new(SAMPLE_RATE_HZ, Channels::Discrete(channels as u16));
        Ok(Self {
            parameters: parameters.clone(),
            streams,
            channels,
            skip: pre_skip * SAMPLE_RATE_HZ as usize / HEADER_RATE_HZ,
            interleaved: vec![0.0; MAX_FRAMES * channels],
            decoded: AudioBuffer::new(spec, MAX_FRAMES),
        })
    }
}

impl AudioDecoder for OpusPackets {
    fn reset(&mut self) {}

    fn codec_info(&self) -> &CodecInfo {
        &INFO
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.parameters
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.decoded.clear();
        let frames = match &mut self.streams {
            Streams::One(decoder) => decoder.decode(packet.data, MAX_FRAMES, &mut self.interleaved),
            Streams::Many(decoder) => decoder.decode(packet.data, MAX_FRAMES, &mut self.interleaved),
        };
        let Ok(frames) = frames else { return decode_error("opus: damaged packet") };
        let skipped = self.skip.min(frames);
        self.skip -= skipped;
        let samples =
            self.interleaved.get(skipped * self.channels..frames * self.channels).ok_or(Error::DecodeError("opus: packet too long"))?;
        self.decoded.render_silence(Some(samples.len() / self.channels));
        self.decoded.copy_from_slice_interleaved(&samples);
        Ok(self.decoded.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.decoded.as_generic_audio_buffer_ref()
    }
}
