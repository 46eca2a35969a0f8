//! Recordings as people have them: through pipes, with wrong lengths, cut off, without a header, joined, or in forms that are not decoded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

mod sounds;

use hearken::audio::file::FileSource;
use hearken::audio::{Source, SourceEvent, read_file};
use hearken::config::{RawEncoding, RawFormat};
use hearken::error::{ErrorKind, Remedy};
use hearken::protocol::ChannelChoice;
use sounds::{audio, correlation, hear, wav};

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
