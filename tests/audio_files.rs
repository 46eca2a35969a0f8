//! Decoding of all audio formats, and of truncated and damaged files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

mod sounds;

use hearken::audio::file::FileSource;
use hearken::audio::{Source, SourceEvent, read_file};
use hearken::config::expand_file_lists;
use hearken::error::ErrorKind;
use sounds::{audio, correlation, hear, wav};

#[test]
fn all_formats_decode_to_the_same_sound() {
    let original = read_file(&audio("speech.wav")).unwrap();
    assert_eq!(original.len(), 19_200);
    let whole = original.len();
    for (name, length, least) in [
        ("stereo_24bit_44k1.wav", 5_760, 0.999),
        ("8bit.wav", whole, 0.99),
        ("speech.flac", whole, 0.999_999),
        ("speech.mp3", whole, 0.95),
        ("speech.ogg", whole, 0.95),
        ("speech.m4a", whole, 0.95),
        ("speech.opus", whole, 0.9),
        ("speech.webm", whole, 0.9),
        ("speech_alac.m4a", whole, 0.999_999),
        ("speech.aiff", whole, 0.999_999),
        ("speech.caf", whole, 0.999_999),
        ("speech.mkv", whole, 0.999_999),
        ("speech.au", whole, 0.999_999),
        ("speech.w64", whole, 0.999_999),
        ("rf64.wav", whole, 0.999_999),
        ("alaw.wav", whole, 0.99),
        ("adpcm_ms.wav", whole, 0.98),
        ("adpcm_ima.wav", whole, 0.98),
        ("mp3_inside.wav", whole, 0.9),
        ("speech.mp2", whole, 0.9),
        ("speech.aac", whole, 0.9),
        ("ac3_then_aac.mp4", whole, 0.9),
        ("faststart.m4a", whole, 0.9),
    ] {
        let original = &original[..length];
        let heard = read_file(&audio(name)).unwrap();
        let found = correlation(original, &heard);
        println!("{name}: {} samples, correlation {found:.6}", heard.len());
        assert!(found >= least, "{name}: correlation {found}");
        assert!(heard.len().abs_diff(original.len()) < 2_400, "{name}: {} samples", heard.len());
    }
}

#[test]
fn sixteen_bit_samples_are_decoded_exactly() {
    let path = audio("speech.wav");
    let exact: Vec<f32> = hound::WavReader::open(&path).unwrap().samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect();
    assert_eq!(read_file(&path).unwrap(), exact);
    let mut source = FileSource::stream(std::fs::File::open(&path).unwrap(), "stdin", None).unwrap();
    let mut heard = Vec::new();
    while source.next(&mut heard).unwrap() != SourceEvent::End {}
    assert_eq!(heard, exact);
}

#[test]
fn truncated_and_damaged_files_give_sound_or_an_error_that_names_them() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["speech.wav", "speech.flac", "speech.mp3", "speech.ogg", "speech.m4a"] {
        let whole = std::fs::read(audio(name)).unwrap();
        let path = dir.path().join(name);
        for step in 0..60 {
            let mut bytes = whole[..whole.len() * step / 60].to_vec();
            if step % 2 == 1 {
                bytes = whole.clone();
                let at = (step * 7_919) % whole.len().min(4_000);
                bytes[at] ^= 0x55;
            }
            std::fs::write(&path, &bytes).unwrap();
            match FileSource::open(std::slice::from_ref(&path)) {
                Err(error) => assert!(error.message().contains(name), "{error}"),
                Ok(mut source) => {
                    let mut heard = Vec::new();
                    for _ in 0..10_000 {
                        if source.next(&mut heard).unwrap() == SourceEvent::End {
                            break;
                        }
                    }
                    assert!(heard.iter().all(|s| s.is_finite() && s.abs() <= 1.0));
                }
            }
        }
    }
}

#[test]
fn files_of_a_list_are_played_in_order() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(audio("speech.wav"), dir.path().join("a.wav")).unwrap();
    let list = dir.path().join("sequence.json");
    std::fs::write(&list, r#"["a.wav", "a.wav"]"#).unwrap();
    let mut source = FileSource::open(&expand_file_lists(&[list]).unwrap()).unwrap();
    let (mut heard, mut ends) = (Vec::new(), Vec::new());
    loop {
        match source.next(&mut heard).unwrap() {
            SourceEvent::EndOfFile => ends.push(heard.len()),
            SourceEvent::End => break,
            _ => {}
        }
    }
    assert_eq!(ends, [19_200, 38_400]);
}

#[test]
fn source_tells_the_length_of_its_files_where_their_headers_have_it() {
    let [wav, flac, ogg, m4a] = ["speech.wav", "speech.flac", "speech.ogg", "speech.m4a"].map(audio);
    for path in [&wav, &flac, &ogg, &m4a] {
        let source = FileSource::open(std::slice::from_ref(path)).unwrap();
        let (told, heard) = (source.length_secs().unwrap(), hear(FileSource::open(std::slice::from_ref(path)).unwrap()).0.len());
        assert!((told - heard as f64 / 16_000.0).abs() < 0.1, "{}: {told} s, {heard} samples", path.display());
    }
    let both = FileSource::open(&[wav.clone(), flac]).unwrap().length_secs().unwrap();
    assert!((both - 2.0 * FileSource::open(&[wav]).unwrap().length_secs().unwrap()).abs() < 0.1);
}

#[test]
fn non_finite_samples_become_silence_and_are_reported_once_per_file() {
    let samples = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, 0.1, f32::NAN];
    let data: Vec<u8> = samples.iter().cycle().take(60_000).flat_map(|s| s.to_le_bytes()).collect();
    let bytes = wav(3, 1, 16_000, 32, 240_000, &data);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spoilt.wav");
    std::fs::write(&path, &bytes).unwrap();
    let from_file = hear(FileSource::open(std::slice::from_ref(&path)).unwrap());
    let from_stdin = hear(FileSource::stream(std::io::Cursor::new(bytes), "stdin", None).unwrap());
    for ((heard, events), name) in [(from_file, "spoilt.wav"), (from_stdin, "stdin")] {
        assert_eq!((heard.len(), &heard[..6]), (60_000, &[0.0, 0.0, 0.0, 1.0, 0.1, 0.0][..]), "{name}");
        let [SourceEvent::Problem(error), SourceEvent::EndOfFile] = &events[..] else { panic!("{name}: {events:?}") };
        assert!(error.message().contains(name), "{error}");
    }
}

#[test]
fn damaged_part_is_reported_once_and_the_rest_is_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hurt.m4a");
    let mut bytes = std::fs::read(audio("speech.m4a")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 400].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let (heard, events) = hear(FileSource::open(std::slice::from_ref(&path)).unwrap());
    println!("{} samples, {events:?}", heard.len());
    assert!(heard.len() > 4_000);
    let [SourceEvent::Problem(error), SourceEvent::EndOfFile] = &events[..] else { panic!("{events:?}") };
    assert!(error.message().contains("hurt.m4a") && error.message().contains("heard as silence"), "{error}");
}

#[test]
fn files_without_sound_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    };
    put("empty.wav", b"");
    put("text.wav", b"this is no sound at all, only words, and a few more of them");
    put("silent.wav", &wav(1, 1, 16_000, 16, 0, &[]));
    put("rate.wav", &wav(1, 1, 3, 16, 4, &[0; 4]));
    put("channels.wav", &wav(1, 4_000, 16_000, 16, 8_000, &[0; 8_000]));
    put("list.json", b"{}");
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    for name in ["empty.wav", "text.wav", "silent.wav", "rate.wav", "channels.wav", "list.json", "folder", "missing.wav"] {
        let error = FileSource::open(&[dir.path().join(name)]).unwrap_err();
        assert!(error.kind() == ErrorKind::AudioFile && error.message().contains(name), "{name}: {error}");
    }
    #[cfg(unix)]
    assert!(FileSource::open(&["/dev/zero".into()]).unwrap_err().message().contains("/dev/zero"));
}

#[test]
fn all_wav_encodings_decode_alike_from_stdin_and_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("form.wav");
    let value = |n: usize| ((n * 37) % 200) as f64 / 256.0 - 0.375;
    for (tag, bits) in [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64), (0xfff1, 16), (0xfff1, 24), (0xfff3, 32)] {
        let store = |v: f64| match (tag & 0xf, bits) {
            (1, 8) => vec![(v * 128.0 + 128.0) as u8],
            (1, _) => ((v * 2_147_483_648.0) as i32).to_le_bytes()[4 - bits / 8..].to_vec(),
            (_, 32) => (v as f32).to_le_bytes().to_vec(),
            _ => v.to_le_bytes().to_vec(),
        };
        for (channels, rate_hz) in [(1, 16_000), (2, 44_100), (6, 48_000)] {
            let data: Vec<u8> = (0..9_000 * usize::from(channels)).flat_map(|n| store(value(n))).collect();
            let whole = u32::try_from(data.len()).unwrap();
            let bytes = wav(tag, channels, rate_hz, u16::try_from(bits).unwrap(), whole, &data);
            std::fs::write(&path, &bytes).unwrap();
            let file = read_file(&path).unwrap();
            for length in [whole, 0, u32::MAX, 0x7fff_ffff, 0x7fff_f000] {
                let bytes = wav(tag, channels, rate_hz, u16::try_from(bits).unwrap(), length, &data);
                let (heard, events) = hear(FileSource::stream(std::io::Cursor::new(bytes), "stdin", None).unwrap());
                assert_eq!(events, [SourceEvent::EndOfFile]);
                assert_eq!(heard.len(), (9_000.0 * 16_000.0 / f64::from(rate_hz)).round() as usize);
                let off = heard.iter().zip(&file).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(heard.len() == file.len() && off < 1e-6, "{tag:x} {bits} bits {channels} channels: {off}");
            }
        }
    }
}

#[test]
fn invalid_wav_on_stdin_is_refused_by_name() {
    for bytes in [
        b"".to_vec(),
        b"words".to_vec(),
        b"words, and many more words than a header".to_vec(),
        wav(1, 1, 16_000, 16, 0, &[]),
        wav(1, 1, 3, 16, 2, &[0; 2]),
        wav(1, 0, 16_000, 16, 2, &[0; 2]),
        wav(1, 1, 16_000, 16, 1, &[0]),
        wav(2, 1, 16_000, 8, 2, &[0; 2]),
        b"RIFF".to_vec(),
    ] {
        let error = FileSource::stream(std::io::Cursor::new(bytes), "stdin", None).unwrap_err();
        assert!(error.kind() == ErrorKind::AudioFile && error.message().contains("stdin"), "{error}");
    }
}

#[test]
fn wav_file_with_placeholder_lengths_is_decoded_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("streamed.wav");
    for length in [u32::MAX, 0x7fff_ffff, 0x7fff_f000] {
        std::fs::write(&path, wav(1, 1, 16_000, 16, length, &[1; 40_000])).unwrap();
        assert_eq!(read_file(&path).unwrap().len(), 20_000, "{length:x}");
    }
}
