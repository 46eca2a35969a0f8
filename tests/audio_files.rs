//! Decoding of all audio formats, and of truncated and damaged files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use hearken::audio::file::FileSource;
use hearken::audio::{Source, SourceEvent, read_file};
use hearken::config::{RawEncoding, RawFormat, expand_file_lists};
use hearken::error::{ErrorKind, Remedy};
use hearken::protocol::ChannelChoice;

fn audio(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audio").join(name)
}

/// Returns the greatest correlation of `a` and `b` over shifts up to 100 ms, because encoders add a delay.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let at = |a: &[f32], b: &[f32]| {
        let (mut ab, mut aa, mut bb) = (0.0, 1e-12, 1e-12);
        for (x, y) in a.iter().zip(b) {
            ab += f64::from(x * y);
            aa += f64::from(x * x);
            bb += f64::from(y * y);
        }
        ab / f64::sqrt(aa * bb)
    };
    (0..1_600).flat_map(|lag| [at(a, &b[lag.min(b.len())..]), at(&a[lag.min(a.len())..], b)]).fold(-1.0, f64::max)
}

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

/// Returns what is heard of `bytes` as a file called `name`, and as a pipe.
fn as_file_and_as_pipe(name: &str, bytes: &[u8]) -> [(Vec<f32>, Vec<SourceEvent>); 2] {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let pipe = std::io::Cursor::new(bytes.to_vec());
    [hear(FileSource::open(&[path]).unwrap()), hear(FileSource::stream(pipe, name, None).unwrap())]
}

#[test]
fn pipe_brings_the_same_sound_as_a_file_in_every_form_that_needs_no_index() {
    for name in [
        "speech.wav",
        "speech.flac",
        "speech.mp3",
        "speech.ogg",
        "speech.opus",
        "speech.mkv",
        "speech.au",
        "adpcm_ms.wav",
        "speech.aac",
        "faststart.m4a",
    ] {
        let [file, pipe] = as_file_and_as_pipe(name, &std::fs::read(audio(name)).unwrap());
        assert_eq!(file.1, [SourceEvent::EndOfFile], "{name}");
        assert_eq!((file.0.len(), &file.1), (pipe.0.len(), &pipe.1), "{name}");
        assert!(file.0 == pipe.0, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn named_pipe_is_read_once_and_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (to, bytes) = (path.clone(), std::fs::read(audio("speech.flac")).unwrap());
    let writer = std::thread::spawn(move || std::fs::write(to, bytes));
    let (heard, events) = hear(FileSource::open(&[path]).unwrap());
    writer.join().unwrap().unwrap();
    assert_eq!(events, [SourceEvent::EndOfFile]);
    assert!(heard == read_file(&audio("speech.flac")).unwrap());
}

#[test]
fn wrong_lengths_of_a_wav_hide_no_sound() {
    let data: Vec<u8> = (0..40_000_u32).flat_map(|n| ((n * 7_919 % 20_000) as i16 - 10_000).to_le_bytes()).collect();
    let bytes = data.len() as u32;
    let right = wav(1, 1, 16_000, 16, bytes, &data);
    let list = [&b"LIST\x0e\0\0\0INFOISFT"[..], b"\x02\0\0\0ab"].concat();
    let id3 = [&b"ID3\x03\0\0\0\0\x0f\x20"[..], &vec![0xff; 0x7a0]].concat();
    for (what, wav) in [
        // A crash, before the length was written.
        ("length 0", wav(1, 1, 16_000, 16, 0, &data)),
        // A recorder that brings its header up to date now and then.
        ("length too small", wav(1, 1, 16_000, 16, 16_000, &data)),
        // More than 4 GB, modulo 4 GB.
        ("length wrapped", wav(1, 1, 16_000, 16, bytes - 30_000, &data)),
        (
            "two chunks of sound",
            [
                wav(1, 1, 16_000, 16, 30_000, &data[..30_000]),
                b"data".to_vec(),
                (bytes - 30_000).to_le_bytes().to_vec(),
                data[30_000..].to_vec(),
            ]
            .concat(),
        ),
        (
            "a list between two chunks of sound",
            [
                wav(1, 1, 16_000, 16, 30_000, &data[..30_000]),
                list.clone(),
                b"data".to_vec(),
                (bytes - 30_000).to_le_bytes().to_vec(),
                data[30_000..].to_vec(),
            ]
            .concat(),
        ),
        ("a list behind", [right.clone(), list].concat()),
        ("tags behind", [right.clone(), b"TAG".to_vec(), vec![b'x'; 125]].concat()),
        ("a tag in front", [id3, right.clone()].concat()),
    ] {
        for (heard, events) in as_file_and_as_pipe("speech.wav", &wav) {
            assert_eq!((heard.len(), &events[..]), (40_000, &[SourceEvent::EndOfFile][..]), "{what}");
        }
    }
}

#[test]
fn sound_that_is_missing_at_the_end_is_said_in_seconds() {
    let mut cut = vec![("cut.wav", wav(1, 1, 16_000, 16, 38_400, &[1; 12_800]))];
    for name in ["speech.flac", "speech.mp3", "faststart.m4a", "speech.mkv", "speech.au"] {
        let whole = std::fs::read(audio(name)).unwrap();
        cut.push((name, whole[..whole.len() / 2].to_vec()));
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in cut {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let (heard, events) = hear(FileSource::open(&[path]).unwrap());
        let [SourceEvent::Problem(error), SourceEvent::EndOfFile] = &events[..] else {
            panic!("{name}: {} samples, {events:?}", heard.len())
        };
        let said =
            error.message().split("cut off: ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|secs| secs.parse::<f64>().ok());
        let missing = 1.2 - heard.len() as f64 / 16_000.0;
        assert!(!heard.is_empty() && error.message().contains(name) && (said.unwrap() - missing).abs() < 0.15, "{missing:.2} s: {error}");
    }
    // Ogg tells no length, but marks its end.
    let whole = std::fs::read(audio("speech.opus")).unwrap();
    let path = dir.path().join("speech.opus");
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (heard, events) = hear(FileSource::open(&[path]).unwrap());
    assert!(
        !heard.is_empty()
            && matches!(&events[..], [SourceEvent::Problem(error), SourceEvent::EndOfFile] if error.message().contains("cut off")),
        "{events:?}"
    );
}

#[test]
fn sound_without_a_header_is_read_as_it_is_said_to_be() {
    let samples = read_file(&audio("speech.wav")).unwrap();
    let le: Vec<u8> = std::fs::read(audio("speech.wav")).unwrap()[44..].to_vec();
    let swapped: Vec<u8> = le.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    let twice: Vec<u8> = le.chunks_exact(2).flat_map(|pair| [pair, pair].concat()).collect();
    let raw = |encoding, channels| Some(RawFormat { encoding, rate_hz: 16_000, channels });
    for (bytes, raw) in [(le, raw(RawEncoding::S16Le, 1)), (swapped, raw(RawEncoding::S16Be, 1)), (twice, raw(RawEncoding::S16Le, 2))] {
        let (heard, events) = hear(FileSource::stream(std::io::Cursor::new(bytes), "stdin", raw).unwrap());
        assert_eq!((heard.len(), events), (samples.len(), vec![SourceEvent::EndOfFile]));
        assert!(heard == samples, "{raw:?}");
    }
}

#[test]
fn recording_in_a_form_that_is_not_decoded_is_called_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut gsm = wav(1, 1, 8_000, 16, 650, &[7; 650]);
    gsm[20] = 0x31;
    for (path, name, remedy) in [
        (audio("speech.wma"), "Windows Media", Remedy::ConvertAudio),
        (audio("speech.spx"), "Speex", Remedy::ConvertAudio),
        (put("a.amr", &[&b"#!AMR\n"[..], &[0x3c; 200]].concat()), "AMR", Remedy::ConvertAudio),
        (put("a.wav", &gsm), "GSM 6.10", Remedy::ConvertAudio),
        (put("a.pdf.wav", b"%PDF-1.7 and more than a few bytes of a document that nobody can hear"), "PDF", Remedy::ChooseAudioFile),
        (
            put("a.txt", "Notes about Tuesday, and nothing that could be heard by anybody. ".repeat(20).as_bytes()),
            "a text",
            Remedy::ChooseAudioFile,
        ),
        (put("cut.m4a", &std::fs::read(audio("speech.m4a")).unwrap()[..6_000]), "index", Remedy::ChooseAudioFile),
        (put("a.mp3", &[&b"\x7fELF"[..], &[0xff, 0xfb, 0x90, 0x64].repeat(500)].concat()), "a program", Remedy::ChooseAudioFile),
    ] {
        let error = FileSource::open(std::slice::from_ref(&path)).unwrap_err();
        assert!(
            error.kind() == ErrorKind::AudioFile
                && error.message().contains(name)
                && error.remedy().is_some_and(|said| said == remedy || said == Remedy::ReadWithFfmpeg),
            "{error}"
        );
    }
    let pipe = std::io::Cursor::new(std::fs::read(audio("speech.m4a")).unwrap());
    assert!(FileSource::stream(pipe, "stdin", None).unwrap_err().message().contains("name the file"));
}

#[test]
fn mp3_is_found_behind_a_tag_with_a_large_cover_that_looks_like_sound() {
    let sound = std::fs::read(audio("speech.mp3")).unwrap();
    // Frame headers of MP3 all over a cover of 1.5 MB.
    let cover: Vec<u8> = [0xff, 0xfb, 0x90, 0x64].iter().copied().cycle().take(1_500_000).collect();
    let length = cover.len() as u32;
    let size = [21, 14, 7, 0].map(|shift| (length >> shift & 0x7f) as u8);
    let tagged = [&b"ID3\x04\0\0"[..], &size, &cover, &sound].concat();
    let expected = read_file(&audio("speech.mp3")).unwrap();
    for (heard, events) in as_file_and_as_pipe("cover.mp3", &tagged) {
        assert_eq!(events, [SourceEvent::EndOfFile]);
        assert!(heard.len().abs_diff(expected.len()) < 1_200 && correlation(&expected, &heard) > 0.99, "{} samples", heard.len());
    }
}

#[test]
fn chosen_channel_of_a_recording_is_heard_alone_from_the_first_sample_on() {
    let data: Vec<u8> = (0..30_000_i16).flat_map(|n| [n % 1_000, 500, -(n % 700)]).flat_map(i16::to_le_bytes).collect();
    let mut source = FileSource::stream(std::io::Cursor::new(wav(1, 3, 16_000, 16, data.len() as u32, &data)), "stdin", None).unwrap();
    source.choose_channel(ChannelChoice::Only(std::num::NonZeroU16::new(2).unwrap()));
    let (heard, _) = hear(source);
    assert_eq!(heard.len(), 30_000);
    assert!(heard.iter().all(|sample| *sample == 500.0 / 32_768.0));
}

#[test]
fn stereo_whose_channels_take_each_other_away_is_heard() {
    let mono = read_file(&audio("speech.wav")).unwrap();
    let data: Vec<u8> = mono.iter().flat_map(|s| [(s * 32_767.0) as i16, (s * -32_767.0) as i16]).flat_map(i16::to_le_bytes).collect();
    for (heard, _) in as_file_and_as_pipe("antiphase.wav", &wav(1, 2, 16_000, 16, data.len() as u32, &data)) {
        assert!(correlation(&mono, &heard).abs() > 0.9 || correlation(&mono, &heard.iter().map(|s| -s).collect::<Vec<_>>()) > 0.9);
    }
}

/// Minutes of the long recordings; `HEARKEN_DECODE_MINUTES=60 cargo test --test audio_files long -- --nocapture` measures an hour.
fn minutes() -> usize {
    std::env::var("HEARKEN_DECODE_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[test]
fn long_recordings_are_decoded_whole_and_chained_ones_too() {
    let dir = tempfile::tempdir().unwrap();
    for (name, most) in [("speech.mp3", 1.4), ("speech.opus", 1.25), ("speech.ogg", 1.3)] {
        let path = dir.path().join(name);
        let times = minutes() * 50;
        std::fs::write(&path, std::fs::read(audio(name)).unwrap().repeat(times)).unwrap();
        let mut source = FileSource::open(&[path]).unwrap();
        let (begun, mut samples, mut heard) = (std::time::Instant::now(), Vec::new(), 0);
        loop {
            samples.clear();
            match source.next(&mut samples).unwrap() {
                SourceEvent::Samples(count) => heard += count,
                SourceEvent::Problem(error) => panic!("{error}"),
                SourceEvent::End => break,
                _ => {}
            }
        }
        let (secs, each) = (heard as f64 / 16_000.0, heard as f64 / 16_000.0 / times as f64);
        println!("{name}: {secs:.0} s of sound decoded in {:.2} s", begun.elapsed().as_secs_f64());
        assert!((1.19..most).contains(&each), "{name}: {each} s of each part of 1.2 s");
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

/// Returns all samples of a source, and its other events up to the end.
fn hear(mut source: impl Source) -> (Vec<f32>, Vec<SourceEvent>) {
    let (mut samples, mut events) = (Vec::new(), Vec::new());
    for _ in 0..100_000 {
        match source.next(&mut samples).unwrap() {
            SourceEvent::Samples(_) | SourceEvent::Nothing => {}
            SourceEvent::End => return (samples, events),
            other => events.push(other),
        }
    }
    panic!("the source does not end");
}

/// Returns a WAV whose header gives `length` as the length of `data`. `tag` is 1 for integer and 3 for float samples; larger tags
/// are written as a sub-format (0xfff1, 0xfff3).
fn wav(tag: u16, channels: u16, rate_hz: u32, bits: u16, length: u32, data: &[u8]) -> Vec<u8> {
    let mut fmt = Vec::new();
    fmt.extend(if tag > 3 { 0xfffe } else { tag }.to_le_bytes());
    fmt.extend(channels.to_le_bytes());
    fmt.extend(rate_hz.to_le_bytes());
    fmt.extend((rate_hz * u32::from(channels * bits / 8)).to_le_bytes());
    fmt.extend((channels * bits / 8).to_le_bytes());
    fmt.extend(bits.to_le_bytes());
    if tag > 3 {
        fmt.extend(22_u16.to_le_bytes());
        fmt.extend(bits.to_le_bytes());
        fmt.extend(0_u32.to_le_bytes());
        fmt.extend((tag - 0xfff0).to_le_bytes());
        fmt.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
    }
    let fmt_length = u32::try_from(fmt.len()).unwrap().to_le_bytes();
    [b"RIFF\xff\xff\xff\xffWAVEfmt ", &fmt_length[..], &fmt, b"data", &length.to_le_bytes(), data].concat()
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
    assert!(error.message().contains("hurt.m4a"), "{error}");
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
