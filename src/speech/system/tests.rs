//! Voice programs that work and voice programs that fail.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::protocol::Emotion;
use crate::speech::{Prosody, spoken_form};

fn words(text: &str, language: Language, emotion: Option<Emotion>) -> SpeechText {
    SpeechText { text: spoken_form(text, language), language, prosody: Prosody::new(emotion, 1.0) }
}

/// Returns all samples of an utterance, the sample rate, and the time to the first samples.
fn say(voice: &mut SystemVoice, text: &SpeechText) -> Result<(Vec<f32>, u32, Duration)> {
    let (begun, mut first) = (Instant::now(), None);
    let (mut utterance, mut out) = (voice.say(text)?, Vec::new());
    loop {
        match utterance.next(&mut out)? {
            UtteranceEvent::Samples(_) => drop(first.get_or_insert_with(|| begun.elapsed())),
            UtteranceEvent::Nothing => {}
            UtteranceEvent::End => return Ok((out, utterance.rate_hz(), first.unwrap_or_default())),
        }
    }
}

/// Creates a shell script `name` with this body.
#[cfg(unix)]
fn program(folder: &Path, name: &str, body: &str) -> SystemVoice {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    SystemVoice::espeak(path).with_timeout(Duration::from_millis(400))
}

#[cfg(target_os = "linux")]
#[test]
fn espeak_speaks_english_and_chinese_and_emotion_changes_the_length() {
    let mut voice = SystemVoice::espeak("espeak-ng");
    let table = [
        ("Hello, how are you today?", Language::English, None),
        ("你好，今天天气很好。", Language::Chinese, None),
        ("Hello, how are you today?", Language::English, Some(Emotion::Sad)),
    ];
    let said: Vec<usize> = table
        .iter()
        .map(|(text, language, emotion)| {
            let (samples, rate_hz, first) = say(&mut voice, &words(text, *language, *emotion)).expect("apt-get install espeak-ng");
            println!("{text}: {:.2} s at {rate_hz} Hz, first after {first:?}", samples.len() as f64 / f64::from(rate_hz));
            assert!(samples.iter().any(|s| s.abs() > 0.1) && samples.iter().all(|s| s.abs() <= 1.0), "{text}");
            assert!((1.0..4.0).contains(&(samples.len() as f64 / f64::from(rate_hz))), "{text}");
            samples.len()
        })
        .collect();
    assert!(said[2] as f64 > 1.08 * said[0] as f64, "a sad voice is slower: {said:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn text_is_never_interpreted_by_a_shell_or_as_an_option() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    let hostile = format!("$(touch {0}); `touch {0}` | touch {0} --path=/ -w {0} hello", victim.display());
    // Not normalised, so that the voice gets it as it is.
    let text = SpeechText { text: hostile, language: Language::English, prosody: Prosody::new(None, 2.0) };
    assert!(say(&mut SystemVoice::espeak("espeak-ng"), &text).expect("spoken").0.len() > 10_000);
    assert!(!victim.exists());
}

#[test]
fn error_names_a_missing_program() {
    let error = say(&mut SystemVoice::espeak("no-such-voice"), &words("Hello.", Language::English, None)).unwrap_err();
    assert!(error.kind() == ErrorKind::Voice && error.message().contains("no-such-voice"), "{error}");
}

#[cfg(unix)]
#[test]
fn program_that_hangs_crashes_or_writes_no_wav_is_stopped_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let table = [
        ("hangs", "sleep 60", "did not respond"),
        ("deaf", "exec sleep 60 <&-", "did not respond"),
        ("crashes", "kill -9 $$", "no sound"),
        ("babbles", "echo this is no wave file at all, but it is long enough", "no sound"),
        ("mute", "exit 0", "no sound"),
    ];
    for (name, body, said) in table {
        let begun = Instant::now();
        let error = say(&mut program(folder.path(), name, body), &words("Hello.", Language::English, None)).unwrap_err();
        assert!(error.message().contains(said) && error.message().contains(name), "{name}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{name}: {:?}", begun.elapsed());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn program_that_crashes_within_a_sentence_delivers_its_samples_and_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut voice = program(folder.path(), "half", "espeak-ng --stdin --stdout -v en | head -c 20000; exit 3");
    let (mut utterance, mut out) =
        (voice.say(&words("This is a rather long sentence, said to the end.", Language::English, None)).unwrap(), Vec::new());
    let error = loop {
        match utterance.next(&mut out) {
            Ok(UtteranceEvent::End) => panic!("the crash was not reported"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(out.len() > 9_000 && error.message().contains("stopped early"), "{} {error}", out.len());
    assert_eq!(utterance.next(&mut out), Ok(UtteranceEvent::End), "the utterance has ended");
}

#[cfg(unix)]
#[test]
fn dropping_an_utterance_kills_the_program_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let mut voice = program(folder.path(), "long", &format!("echo $$ > {}; exec sleep 60", pid_file.display()));
    let utterance = voice.say(&words("Hello.", Language::English, None)).unwrap();
    let pid = loop {
        match std::fs::read_to_string(&pid_file).ok().filter(|pid| pid.ends_with('\n')) {
            Some(pid) => break pid.trim().to_owned(),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let begun = Instant::now();
    drop(utterance);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    let alive = Command::new("kill").args(["-0", &pid]).stderr(Stdio::null()).status().unwrap().success();
    assert!(!alive, "process {pid} is still running");
}

#[test]
fn arguments_of_each_dialect_contain_language_and_rate_but_not_the_text() {
    let (en, zh) = (words("Secret.", Language::English, Some(Emotion::Urgent)), words("秘密。", Language::Chinese, None));
    let all = |dialect, text: &SpeechText| {
        let file = PathBuf::from("/tmp/x.wav");
        let list = arguments(dialect, text, Some(&file));
        list.iter().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    for (dialect, option) in [(Dialect::Espeak, "-v cmn"), (Dialect::Say, "-v Tingting"), (Dialect::Sapi, "zh-CN")] {
        let (english, chinese) = (all(dialect, &en), all(dialect, &zh));
        assert!(!english.contains("Secret") && !chinese.contains("秘密"), "{english}");
        assert!(chinese.contains(option) && !english.contains(option), "{chinese}");
    }
    assert!(all(Dialect::Espeak, &en).contains("-s 201"), "{}", all(Dialect::Espeak, &en));
}
