//! Names of the forms that are not decoded, for a message that says what a file is.

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known as codec;

/// The content of a file, told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Sound in a form that is not decoded; another program can convert it.
    Sound(&'static str),
    /// No sound at all.
    Other(&'static str),
}

/// Bytes at an offset that tell a form.
type Signature = (usize, &'static [u8], Content);

use Content::{Other, Sound};

/// The forms, the longer signatures first.
const SIGNATURES: &[Signature] = &[
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Sound("Windows Media (WMA, WMV or ASF)")),
    (8, b"AVI ", Sound("an AVI video")),
    (8, b"RMID", Sound("a MIDI score")),
    (28, b"Speex   ", Sound("Speex")),
    (28, b"\x80theora", Sound("a video without sound that is decoded")),
    (0, b"#!AMR", Sound("AMR")),
    (0, b"MThd", Sound("a MIDI score")),
    (0, b"MAC ", Sound("Monkey's Audio (APE)")),
    (0, b"wvpk", Sound("WavPack")),
    (0, b"TTA1", Sound("True Audio (TTA)")),
    (0, b"MPCK", Sound("Musepack")),
    (0, b"MP+", Sound("Musepack")),
    (0, b"DSD ", Sound("DSD (DSF)")),
    (0, b"FRM8", Sound("DSD (DSDIFF)")),
    (0, b".RMF", Sound("RealMedia")),
    (0, b".ra\xfd", Sound("RealAudio")),
    (0, b"FLV\x01", Sound("a Flash video")),
    (0, b"\x0b\x77", Sound("AC-3")),
    (0, b"\x7f\xfe\x80\x01", Sound("DTS")),
    (0, b"\x00\x00\x01\xba", Sound("an MPEG program stream (VOB or MPG)")),
    (0, b"NIST_1A", Sound("NIST SPHERE")),
    (0, b"Creative Voice File", Sound("Creative Voice (VOC)")),
    (0, b"%PDF", Other("a PDF document")),
    (0, b"\x89PNG", Other("a PNG picture")),
    (0, b"\xff\xd8\xff", Other("a JPEG picture")),
    (0, b"GIF8", Other("a GIF picture")),
    (0, b"PK\x03\x04", Other("a ZIP archive or an office document")),
    (0, b"\x1f\x8b", Other("a gzip archive")),
    (0, b"7z\xbc\xaf", Other("a 7-Zip archive")),
    (0, b"Rar!", Other("a RAR archive")),
    (0, b"\x7fELF", Other("a program")),
    (0, b"MZ", Other("a program")),
    (0, b"SQLite format 3", Other("a database")),
];

/// Least number of bytes that tell a text.
const LEAST_TEXT: usize = 8;
/// Distance of the packets of an MPEG transport stream, in bytes; each begins with `G`.
const TRANSPORT_PACKET_BYTES: usize = 188;

/// Returns the content of a file that is known by its first bytes, `head`, and not decoded; None for any other.
pub(super) fn undecoded(head: &[u8]) -> Option<Content> {
    let known = SIGNATURES.iter().find(|(at, bytes, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    let transport = head.first() == Some(&b'G') && head.get(TRANSPORT_PACKET_BYTES) == Some(&b'G');
    known.map(|(.., content)| *content).or_else(|| transport.then_some(Sound("an MPEG transport stream")))
}

/// Returns true if `head` begins a text.
pub(super) fn is_text(head: &[u8]) -> bool {
    // A letter of several bytes may be cut off at the end.
    head.len() >= LEAST_TEXT && std::str::from_utf8(&head[..head.len() - 3]).is_ok_and(|text| !text.chars().any(is_binary))
}

fn is_binary(letter: char) -> bool {
    letter.is_control() && !letter.is_whitespace()
}

/// Returns the name of a codec that is not decoded.
pub(super) fn codec_name(id: AudioCodecId) -> String {
    let name = match id {
        codec::CODEC_ID_SPEEX => "Speex",
        codec::CODEC_ID_AC3 => "AC-3",
        codec::CODEC_ID_EAC3 => "E-AC-3",
        codec::CODEC_ID_AC4 => "AC-4",
        codec::CODEC_ID_DCA => "DTS",
        codec::CODEC_ID_WMA => "Windows Media Audio",
        codec::CODEC_ID_AAC => "AAC of a kind that is not decoded",
        codec::CODEC_ID_MUSEPACK => "Musepack",
        codec::CODEC_ID_WAVPACK => "WavPack",
        codec::CODEC_ID_MONKEYS_AUDIO => "Monkey's Audio",
        codec::CODEC_ID_TTA => "True Audio",
        codec::CODEC_ID_TRUEHD => "TrueHD",
        codec::CODEC_ID_ADPCM_G722 => "G.722",
        codec::CODEC_ID_ADPCM_G726 | codec::CODEC_ID_ADPCM_G726LE => "G.726",
        codec::CODEC_ID_OPUS => "Opus with a mapping of channels that is not decoded",
        _ => return format!("a codec that is not decoded ({id:?})"),
    };
    name.to_owned()
}
