//! Tests of cues: their places, and that no word is lost.

use super::*;
use crate::protocol::{ReplyId, StopReason};
use lines::LINE_COLUMNS;

fn time(tenths: u64) -> StreamTime {
    StreamTime::from_samples(tenths * 1_600)
}

fn reply(mode: &str, text: &str, from: u64, to: u64) -> Event {
    Event::ReplyFinished {
        at: time(to),
        reply: ReplyId(from + 1),
        mode: mode.into(),
        text: text.into(),
        from_secs: time(from),
        to_secs: time(to),
        stop: StopReason::End,
    }
}

fn heard(text: &str, from: u64, to: u64) -> Event {
    reply("transcribe", text, from, to)
}

fn listened(mode: &str, at: StreamTime) -> Event {
    Event::Decision { at, chunk: crate::time::ChunkIdx(0), mode: mode.into(), silent: true, drained: false, margin: None }
}

fn end() -> Event {
    Event::SessionFinished { at: StreamTime::from_samples(0), chunks: 1, replies: 1, audio_secs: 0.4, problems: 0 }
}

fn maker() -> CueBuilder {
    let modes = [("transcribe", Panel::Transcript), ("translate", Panel::Translation), ("sounds", Panel::Sounds)];
    CueBuilder::new(modes.map(|(mode, panel)| (mode.to_owned(), panel)))
}

fn cues(events: &[Event]) -> Vec<Cue> {
    let mut cues = maker();
    events.iter().flat_map(|e| cues.apply(e)).collect()
}

#[test]
fn an_utterance_becomes_a_cue_once_it_can_no_longer_grow() {
    let mut cues = maker();
    assert!(cues.apply(&heard("what is", 0, 4)).is_empty());
    assert!(cues.apply(&heard("your name", 4, 8)).is_empty());
    assert!(cues.apply(&listened("transcribe", time(19))).is_empty(), "it may still grow");
    let first = cues.apply(&listened("transcribe", time(20)));
    assert_eq!(srt_cue(1, &first[0]), "1\n00:00:00,000 --> 00:00:00,850\nwhat is your name\n\n");
    assert!(cues.apply(&heard("yes", 40, 44)).is_empty());
    let second = cues.apply(&end());
    assert_eq!(vtt_cue(&second[0]), "\n00:00:04.000 --> 00:00:04.400\nyes\n", "the end of the session ends it");
}

#[test]
fn text_later_than_its_cue_gets_a_cue_of_its_own() {
    let late = [heard("one", 0, 4), listened("dialog", time(60)), heard("two", 4, 8), heard("three", 8, 12), end()];
    let texts: Vec<Vec<String>> = cues(&late).into_iter().map(|cue| cue.lines).collect();
    assert_eq!(texts, [["one"], ["two three"]]);
}

#[test]
fn a_translation_follows_its_utterance_and_replies_follow_both() {
    let got = cues(&[heard("good morning", 0, 4), reply("translate", "早上好", 4, 8), reply("dialog", "Good morning!", 8, 12), end()]);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].lines, ["good morning", "早上好", "[Hearken] Good morning!"]);
}

#[test]
fn speech_without_pauses_is_cut_into_readable_cues() {
    let events: Vec<Event> = (0..200).map(|n| heard("some words", n * 4, n * 4 + 4)).collect();
    let mut maker = maker();
    let live: Vec<Cue> = events.iter().flat_map(|e| maker.apply(e)).collect();
    assert!(live.len() > 10, "they come while the speaker goes on");
    assert!(live.iter().all(|cue| cue.to.0 - cue.from.0 <= LONGEST_SAMPLES && cue.lines.len() <= LANGUAGE_LINES), "{live:?}");
}

#[test]
fn long_text_is_broken_into_lines_and_cues_that_never_overlap() {
    for text in ["word ".repeat(60), "你".repeat(200), "x".repeat(300)] {
        let got = cues(&[heard(&text, 0, 100), heard("next", 120, 124), end()]);
        assert!(got.len() > 3);
        assert!(got.iter().all(|c| c.to > c.from && c.lines.len() <= LANGUAGE_LINES && c.lines.iter().all(|l| width(l) <= LINE_COLUMNS)));
        assert!(got.windows(2).all(|w| w[0].to <= w[1].from));
        let all: String =
            got[..got.len() - 1].iter().flat_map(|c| c.lines.concat().chars().collect::<Vec<_>>()).filter(|c| *c != ' ').collect();
        assert_eq!(all, text.replace(' ', ""));
    }
}

#[test]
fn a_long_reply_is_shortened_when_the_next_words_come() {
    let got = cues(&[reply("dialog", &"word ".repeat(60), 0, 4), heard("next", 80, 84), end()]);
    assert!(got.len() > 3);
    assert_eq!(got[got.len() - 1].from, time(80), "{got:?}");
}

#[test]
fn markup_is_escaped_and_control_characters_are_spaces() {
    let got = cues(&[heard("a <b> & --> \u{7} c\nd", 0, 4), end()]);
    assert!(vtt_cue(&got[0]).contains("a &lt;b&gt; &amp; --&gt; c d"));
    assert!(srt_cue(1, &got[0]).contains("a ‹b› & → c d"));
    assert!(cues(&[end()]).is_empty());
}

/// A reproducible pseudo-random generator (xorshift64*, Vigna 2016).
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

const MODES: [&str; 4] = ["transcribe", "translate", "dialog", "sounds"];

/// Returns the events of a session whose lanes lag, pause, speak without end and at length; and the words of each mode.
fn session(seed: u64) -> (Vec<Event>, [Vec<String>; 4]) {
    let mut random = Xorshift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut events, mut words) = (Vec::new(), [const { Vec::new() }; 4]);
    let mut clocks = [0_u64; 4];
    let talkative = 1 + random.below(9);
    for _ in 0..20 + random.below(200) {
        let lane = random.below(4) as usize;
        clocks[lane] += 4 * (1 + random.below(2) + random.below(40) * u64::from(random.below(10) == 0));
        let (at, mode) = (clocks[lane], MODES[lane]);
        if random.below(10) >= talkative {
            events.push(listened(mode, time(at)));
            continue;
        }
        let count = [1, 2, 3, 60][random.below(4) as usize] * random.below(3);
        let mut text = String::new();
        for _ in 0..count {
            let letter = ["s", "t", "d", "n"][lane];
            let tail = ["", "", ",", ".", "&<b>", "\u{97f3}\u{58f0}"][random.below(6) as usize];
            let word = format!("{letter}{}{}{tail}", words[lane].len(), "x".repeat(random.below(12).pow(2) as usize / 3));
            text.push_str([" ", "  ", "\n", "\t", "\n\n", "\u{7}"][random.below(6) as usize]);
            text.push_str(&word);
            words[lane].push(word);
        }
        match mode {
            "sounds" if text.is_empty() => {}
            "sounds" => events.push(Event::Sound { at: time(at), reply: ReplyId(at), name: text, count: 1 }),
            _ => events.push(reply(mode, &text, at - 4, at)),
        }
    }
    events.push(Event::SessionFinished { at: time(clocks[seed as usize % 4]), chunks: 1, replies: 1, audio_secs: 0.0, problems: 0 });
    (events, words)
}

/// Parses `01:02:03,004` to milliseconds; None for any other form.
fn ms_of(clock: &str, point: char) -> Option<u64> {
    let (hms, ms) = clock.split_once(point)?;
    let parts: Vec<u64> = hms.split(':').map(|part| (part.len() == 2).then(|| part.parse().ok()).flatten()).collect::<Option<_>>()?;
    let [h, m, s] = parts[..] else { return None };
    (m < 60 && s < 60 && ms.len() == 3).then_some(((h * 60 + m) * 60 + s) * 1_000 + ms.parse::<u64>().ok()?)
}

/// Parses a file of cues to its texts; panics at anything that a strict parser would refuse.
fn read_back(file: &str, point: char) -> Vec<Vec<String>> {
    let mut texts = Vec::new();
    let mut last = 0;
    for (n, block) in file.trim_end_matches('\n').split("\n\n").enumerate() {
        let mut lines = block.lines();
        if point == ',' {
            assert_eq!(lines.next(), Some((n + 1).to_string().as_str()), "{block}");
        }
        let (from, to) = lines.next().and_then(|line| line.split_once(" --> ")).expect("times");
        let (from, to) = (ms_of(from, point).expect("a time"), ms_of(to, point).expect("a time"));
        assert!(last <= from && from < to, "{block}");
        last = to;
        let text: Vec<String> = lines.map(str::to_owned).collect();
        assert!(
            !text.is_empty() && text.len() <= MAX_LINES && text.iter().all(|line| !line.is_empty() && !line.contains("-->")),
            "{block}"
        );
        texts.push(text);
    }
    texts
}

/// Returns the words of one mode in `texts`, without white space, which may be inside a word that is longer than a line.
fn of_mode(texts: &[Vec<String>], mode: usize) -> String {
    let mut said = String::new();
    let mut mine = false;
    for text in texts {
        let mut noted = String::new();
        for line in text {
            noted.push_str(line);
            noted.push(' ');
        }
        for word in noted.split_whitespace() {
            let begins = word.trim_start_matches('[').chars().next();
            // The rest of a broken word begins with a character that no word begins with.
            match begins.and_then(|c| "stdn".find(c)) {
                Some(lane) => mine = lane == mode,
                None if word == "[Hearken]" => mine = false,
                None => {}
            }
            if mine {
                said.push_str(word);
            }
        }
    }
    said.replace(['[', ']'], "")
}

#[test]
fn every_word_of_every_mode_is_in_the_subtitles_once_and_in_order() {
    for seed in 0..200 {
        let (events, words) = session(seed);
        let cues = cues(&events);
        let srt: String = cues.iter().enumerate().map(|(n, cue)| srt_cue(n + 1, cue)).collect();
        let vtt = VTT_HEADER.to_owned() + &cues.iter().map(vtt_cue).collect::<String>();
        let vtt = vtt.strip_prefix("WEBVTT\n\n").unwrap_or("");
        if words.iter().all(Vec::is_empty) {
            assert!(cues.is_empty());
            continue;
        }
        assert!(cues.iter().all(|cue| cue.lines.iter().all(|line| width(line) <= LINE_COLUMNS)), "seed {seed}");
        let unescaped = |line: &String| line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let vtt: Vec<Vec<String>> = read_back(vtt, '.').iter().map(|text| text.iter().map(unescaped).collect()).collect();
        let srt = srt.replace('‹', "<").replace('›', ">");
        for texts in [read_back(&srt, ','), vtt] {
            for (mode, words) in words.iter().enumerate() {
                assert!(of_mode(&texts, mode) == words.concat(), "seed {seed}, {}: {texts:#?}", MODES[mode]);
            }
        }
    }
}
