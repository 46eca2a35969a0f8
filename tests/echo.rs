//! Hands-free listening in simulated rooms: echo return loss, changing delays, people who speak over a reply, and sounds that are
//! no barge-in. The measured figures are printed, and held to limits.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod rooms;

use hearken::audio::playback::simulated_room::RoomAcoustics;
use hearken::level::dbfs;
use hearken::protocol::{EchoChoice, Interrupt, Switch, VoiceSettings};
use rooms::{INTERRUPTIONS, RATE, Random, Rig, at_level, cough, erle, keys, spoken, talk};

/// Returns the acoustics with little enough noise to measure 40 dB of loss.
fn quiet(acoustics: RoomAcoustics) -> RoomAcoustics {
    RoomAcoustics { noise_db: -95.0, ..acoustics }
}

#[test]
fn echo_is_reduced_by_30_db_in_a_linear_room_after_four_seconds() {
    let far = talk(8.5, 0);
    let mut worst = f32::INFINITY;
    for (n, delay_ms) in [5.0, 20.0, 60.0, 120.0, 200.0, 300.0].into_iter().enumerate() {
        for gain_db in [-18.0, -6.0] {
            let mut rig = Rig::new(
                quiet(RoomAcoustics { seed: 3 + n as u64, delay_ms, gain_db, ..RoomAcoustics::default() }),
                VoiceSettings::default(),
            );
            rig.play(&far, &[], 8.0);
            let loss = erle(&rig, 4.0, 8.0);
            println!(
                "linear, {delay_ms} ms, {gain_db} dB: {:.1} dB in the first second, {loss:.1} dB after four, delay found {:?}",
                erle(&rig, 0.2, 1.2),
                rig.path.delay_ms()
            );
            worst = worst.min(loss);
        }
    }
    assert!(worst >= 30.0, "{worst} dB");
}

#[test]
fn echo_is_reduced_by_20_db_with_a_distorting_loudspeaker_or_drifting_clocks() {
    let far = talk(10.5, 2);
    for acoustics in [
        RoomAcoustics { drive: 0.5, ..RoomAcoustics::default() },
        RoomAcoustics { drive: 1.0, delay_ms: 150.0, gain_db: -6.0, ..RoomAcoustics::default() },
        RoomAcoustics { drift_ppm: 100.0, ..RoomAcoustics::default() },
        RoomAcoustics { drift_ppm: -100.0, delay_ms: 180.0, ..RoomAcoustics::default() },
    ] {
        let mut rig = Rig::new(quiet(acoustics), VoiceSettings::default());
        rig.play(&far, &[], 10.0);
        let loss = erle(&rig, 4.0, 10.0);
        println!("drive {}, drift {} ppm, {} ms: {loss:.1} dB", acoustics.drive, acoustics.drift_ppm, acoustics.delay_ms);
        assert!(loss >= 20.0, "{acoustics:?}: {loss} dB");
    }
}

#[test]
fn echo_is_reduced_by_20_db_again_three_seconds_after_the_delay_jumps() {
    let far = talk(14.5, 1);
    for (from_ms, to_ms) in [(60.0, 160.0), (200.0, 40.0), (40.0, 290.0)] {
        // Echo that leaks until then may count as barge-in, which must not end the measured reply.
        let settings = VoiceSettings { interrupt: Interrupt::LetFinish, ..VoiceSettings::default() };
        let mut rig = Rig::new(quiet(RoomAcoustics { delay_ms: from_ms, ..RoomAcoustics::default() }), settings);
        rig.play(&far, &[], 6.0);
        rig.room.move_to(to_ms);
        rig.play(&[], &[], 8.0);
        let (at_once, later) = (erle(&rig, 6.2, 7.0), erle(&rig, 9.0, 13.5));
        println!("{from_ms} to {to_ms} ms: {at_once:.1} dB in the first second, {later:.1} dB after three");
        assert!(later >= 20.0, "{from_ms} to {to_ms} ms: {later} dB");
    }
}

#[test]
fn four_of_five_delay_jumps_cut_no_reply_and_a_person_is_detected_three_seconds_later() {
    const ROOMS: u64 = 20;
    let mut random = Random(31);
    let (mut cut, mut heard) = (Vec::new(), 0);
    for room in 0..ROOMS {
        let acoustics = RoomAcoustics { drift_ppm: 0.0, ..any_room(&mut random, 700 + room) };
        let mut rig = Rig::new(acoustics, VoiceSettings::default());
        rig.play(&talk(30.0, room as usize), &[], 5.0);
        let to_ms = (acoustics.delay_ms + random.between(40.0, 260.0) - 5.0) % 295.0 + 5.0;
        rig.room.move_to(to_ms);
        rig.play(&[], &[], 3.0);
        if !rig.interruptions.is_empty() {
            cut.push((acoustics, to_ms));
            continue;
        }
        let words = spoken(INTERRUPTIONS[room as usize % INTERRUPTIONS.len()], "en+f2", 50);
        rig.play(&[], &at_level(&words, -20.0 + acoustics.gain_db + 6.0), 2.0);
        heard += u64::from(!rig.interruptions.is_empty());
    }
    println!("{} of {ROOMS} jumps cut a reply: {cut:?}; after the others {heard} people were detected", cut.len());
    assert!(cut.len() as u64 <= ROOMS / 5 && heard + cut.len() as u64 + 2 >= ROOMS, "{heard}");
}

#[test]
fn samples_pass_unchanged_bit_for_bit_while_nothing_is_played() {
    let mut random = Random(7);
    let near: Vec<f32> = (0..3 * RATE).map(|n| if n % 97 == 0 { 1e-40 } else { random.between(-1.0, 1.0) }).collect();
    let same = |a: &[f32], b: &[f32]| a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()));
    let mut rig = Rig::new(RoomAcoustics::default(), VoiceSettings::default());
    rig.play(&[], &near, 3.0);
    assert!(!rig.path.is_cancelling() && same(&rig.raw, &rig.clean), "an open output that plays nothing");
    rig.play(&talk(1.0, 0)[..RATE], &[], 1.7);
    assert_eq!(rig.raw.len(), rig.clean.len(), "no sample is held back after the reply");
    assert!(!rig.path.is_cancelling(), "0.5 s after the reply");
    assert!(!same(&rig.raw[3 * RATE..], &rig.clean[3 * RATE..]));
    let before = rig.raw.len();
    rig.play(&[], &near, 3.0);
    assert!(same(&rig.raw[before..], &rig.clean[before..]), "unchanged again");

    let headphones = VoiceSettings { echo: EchoChoice::Off, ..VoiceSettings::default() };
    let mut rig = Rig::new(RoomAcoustics::default(), headphones);
    rig.play(&talk(2.0, 0), &near, 3.0);
    assert!(same(&rig.raw, &rig.clean), "with headphones nothing is cancelled");
}

/// Returns the acoustics of a random room.
fn any_room(random: &mut Random, seed: u64) -> RoomAcoustics {
    RoomAcoustics {
        seed,
        delay_ms: random.between(5.0, 300.0),
        gain_db: random.between(-20.0, -3.0),
        drive: if random.next() < 0.3 { random.between(0.1, 0.8) } else { 0.0 },
        drift_ppm: if random.next() < 0.3 { random.between(-100.0, 100.0) } else { 0.0 },
        noise_db: random.between(-80.0, -60.0),
    }
}

#[test]
fn nineteen_of_twenty_interruptions_are_detected_and_the_voice_fades_within_300_ms() {
    let voices = ["en+m1", "en+f2", "en+m3", "en+f4", "en-us", "en+m7", "en+f5", "en-gb-scotland"];
    let mut random = Random(11);
    let (mut heard, mut of, mut fades, mut kept) = (0, 0, Vec::new(), Vec::new());
    for room in 0..20 {
        let acoustics = any_room(&mut random, 100 + room);
        let mut rig = Rig::new(acoustics, VoiceSettings::default());
        let reply = talk(20.0, room as usize);
        rig.play(&reply[..4 * RATE], &[], 3.0);
        for n in 0..5_usize {
            rig.play(&reply[n * RATE..(n + 6) * RATE], &[], random.between(1.2, 2.2));
            let text = INTERRUPTIONS[(room as usize * 3 + n) % INTERRUPTIONS.len()];
            let words = spoken(text, voices[(room as usize + n) % voices.len()], 30 + (random.next() * 50.0) as u32);
            let near = at_level(&words, -20.0 + acoustics.gain_db + random.between(0.0, 15.0));
            let (begin, known) = (rig.raw.len(), rig.interruptions.len());
            rig.play(&[], &near, near.len() as f32 / RATE as f32 + 0.2);
            of += 1;
            if rig.interruptions.len() > known {
                heard += 1;
                fades.push((rig.faded.last().copied().unwrap_or(rig.raw.len()) - begin) as f32 / RATE as f32 * 1e3);
                let first_word = begin..begin + RATE * 3 / 10;
                kept.push(dbfs(&rig.clean[first_word.start + 800..first_word.end + 800]) - dbfs(&near[..RATE * 3 / 10]));
            } else {
                println!("not detected: {text:?} at {:.0} dB over the echo in {acoustics:?}", dbfs(&near) - (-20.0 + acoustics.gain_db));
            }
            rig.play(&[], &[], 2.5);
        }
    }
    fades.sort_by(f32::total_cmp);
    kept.sort_by(f32::total_cmp);
    println!(
        "{heard} of {of} detected; from the first sound to silence: median {:.0} ms, 90 % within {:.0} ms, all within {:.0} ms; level of the first 300 ms of speech: median {:.1} dB, worst tenth {:.1} dB",
        fades[fades.len() / 2],
        fades[fades.len() * 9 / 10 - 1],
        fades[fades.len() - 1],
        kept[kept.len() / 2],
        kept[kept.len() / 10]
    );
    assert!(heard * 20 >= 19 * of, "{heard} of {of}");
    let at_once = fades.iter().filter(|ms| **ms <= 300.0).count();
    println!("{at_once} within 300 ms");
    assert!(at_once * 20 >= 17 * fades.len(), "{fades:?}");
    assert!(kept[kept.len() / 10] >= -3.0, "the first word is passed on whole: {kept:?}");
}

#[test]
fn at_most_six_of_three_hundred_coughs_keystrokes_and_own_words_count_as_barge_in() {
    let mut random = Random(23);
    let mut wrong = [0; 3];
    for room in 0..20 {
        let acoustics = any_room(&mut random, 300 + room);
        let mut rig = Rig::new(acoustics, VoiceSettings::default());
        let reply = talk(40.0, room as usize);
        let mut said = 0;
        for n in 0..15 {
            let kind = n % 3;
            let db = -20.0 + acoustics.gain_db + random.between(-5.0, 20.0);
            let disturbance = match kind {
                0 => Vec::new(),
                1 => cough(&mut random, db.min(-8.0)),
                _ => keys(&mut random, db.min(-8.0)),
            };
            let known = rig.interruptions.len();
            let secs = 2.4;
            let end = (said + (secs * RATE as f32) as usize).min(reply.len());
            rig.play(&reply[said..end], &disturbance, secs);
            said = end;
            if rig.interruptions.len() > known {
                wrong[kind] += 1;
                println!("false barge-in: {} at {db:.0} dB in {acoustics:?}", ["own words", "cough", "keys"][kind]);
            }
        }
    }
    println!("false barge-in: own words {} of 100, coughs {} of 100, keys {} of 100", wrong[0], wrong[1], wrong[2]);
    assert!(wrong.iter().sum::<i32>() <= 6, "{wrong:?}");
}

#[test]
fn noise_suppression_lowers_noise_but_not_speech_and_automatic_gain_raises_quiet_speech() {
    let words = spoken("Wait a moment, please. No, that is not what I meant. What about tomorrow?", "en+f2", 50);
    let heard = |settings: VoiceSettings, noise_db: f32, speech_db: f32| {
        let mut rig = Rig::new(RoomAcoustics { noise_db, ..RoomAcoustics::default() }, settings);
        rig.play(&[], &[], 4.0);
        let quiet = rig.clean.len().min(rig.raw.len());
        rig.play(&[], &at_level(&words, speech_db), 4.0);
        let change = |from: usize, to: usize| dbfs(&rig.clean[from..to.min(rig.clean.len())]) - dbfs(&rig.raw[from..to]);
        (change(2 * RATE, quiet), change(quiet, quiet + 3 * RATE))
    };
    let off = VoiceSettings::default();
    assert_eq!(heard(off, -45.0, -20.0), (0.0, 0.0), "unchanged without enhancements");
    let (noise, speech) = heard(VoiceSettings { noise_suppression: Switch::On, ..off }, -45.0, -20.0);
    println!("noise suppression: noise {noise:.1} dB, speech {speech:.1} dB");
    assert!(noise < -6.0 && speech > -3.0, "{noise} {speech}");
    let (_, far_away) = heard(VoiceSettings { automatic_gain: Switch::On, ..off }, -75.0, -45.0);
    println!("automatic gain: speech of -45 dBFS {far_away:+.1} dB");
    assert!(far_away > 6.0, "{far_away}");
}

#[test]
fn with_headphones_nothing_is_cancelled_and_a_person_still_cuts_the_reply() {
    let settings = VoiceSettings { echo: EchoChoice::Off, ..VoiceSettings::default() };
    let mut rig = Rig::new(RoomAcoustics { gain_db: -90.0, ..RoomAcoustics::default() }, settings);
    rig.play(&talk(8.0, 0), &[], 4.0);
    assert!(rig.interruptions.is_empty());
    rig.play(&[], &at_level(&spoken(INTERRUPTIONS[2], "en+f2", 50), -25.0), 1.5);
    assert!(!rig.interruptions.is_empty() && !rig.path.is_cancelling());
}

#[test]
fn reply_is_not_cut_if_barge_in_is_off_or_the_word_comes_after_the_reply() {
    let settings = VoiceSettings { interrupt: Interrupt::LetFinish, ..VoiceSettings::default() };
    let mut rig = Rig::new(RoomAcoustics::default(), settings);
    let words = at_level(&spoken(INTERRUPTIONS[2], "en+f2", 50), -15.0);
    rig.play(&talk(5.0, 0), &[], 3.0);
    rig.play(&[], &words, 2.0);
    assert!(rig.interruptions.is_empty() && rig.faded.is_empty());
    let mut rig = Rig::new(RoomAcoustics::default(), VoiceSettings::default());
    rig.play(&talk(3.0, 0)[..3 * RATE], &[], 3.15);
    rig.play(&[], &words, 2.0);
    assert!(rig.interruptions.is_empty() && rig.faded.is_empty(), "the word came after the reply");
}

#[test]
fn stalled_output_does_not_hold_back_the_microphone() {
    let mut rig = Rig::new(RoomAcoustics::default(), VoiceSettings::default());
    rig.play(&talk(3.0, 0), &[], 2.0);
    assert!(rig.path.is_cancelling());
    // The far end stalls; the microphone continues.
    let mut out = 0;
    for _ in 0..100 {
        let mut block = vec![0.001; 320];
        rig.path.step(&mut block);
        out += block.len();
    }
    assert!(!rig.path.is_cancelling() && out >= 100 * 320, "{out}");
}
