//! Costs of the whole program with its window: time until it listens, memory, and CPU in a quiet room.
//!
//! `HEARKEN_QUIET_SECS=60 cargo test --release --test window_costs -- --nocapture` prints the figures of `benches/README.md`. The
//! limits leave room for a busy machine and an unoptimised build.
#![cfg(all(feature = "window", feature = "mic", target_os = "linux"))]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

mod inside;
mod program;
mod x11;

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use inside::in_virtual_mic;
use program::{hearken_on, home, needs_display};
use x11::{Server, X11};

/// Time over which CPU is measured, unless `HEARKEN_QUIET_SECS` gives another.
const QUIET_SECS: u64 = 12;
/// Largest share of a core in a quiet room.
const MAX_CPU_SHARE: f64 = 0.03;
/// Longest time from start to listening.
const MAX_START: Duration = Duration::from_secs(6);
/// Largest resident memory of the whole program, in kB.
const MAX_RESIDENT_KB: u64 = 300_000;
/// Limits of the measurement itself: the whole test, a start, an end, and the wait for rest.
const TEST_LIMIT: Duration = Duration::from_secs(480);
const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(15);
const REST_LIMIT: Duration = Duration::from_secs(90);
/// The window rests once its thread has slept this long.
const REST: Duration = Duration::from_secs(3);
/// Attempts to measure a quiet room before the test fails.
const ATTEMPTS: usize = 5;

#[test]
fn the_window_starts_fast_and_is_idle_in_a_quiet_room() {
    needs_display();
    in_virtual_mic(TEST_LIMIT, || {
        measure_start_and_quiet_room();
    });
}

fn measure_start_and_quiet_room() {
    let home = home("[window]\nwelcomed = true\nlanguage = \"en\"\n");
    let noise = home.path().join("noise.wav");
    write_noise(&noise);
    let server = Server::start();
    let mut x = X11::connect(&server);

    let (first, to_first) = start(home.path(), &server, &mut x);
    end(first, &mut x);
    let (mut window, to_second) = start(home.path(), &server, &mut x);
    println!("from start to listening: {:.2} s the first time, {:.2} s afterwards", to_first.as_secs_f64(), to_second.as_secs_f64());
    assert!(to_second < MAX_START, "{to_second:?}");

    // A player with gaps is not quiet, so its buffer is long.
    let mut noise = Command::new("paplay").args(["--device=vmic_sink", "--latency-msec=2000"]).arg(&noise).spawn().unwrap();
    let quiet = std::env::var("HEARKEN_QUIET_SECS").ok().and_then(|secs| secs.parse().ok()).unwrap_or(QUIET_SECS);
    let pid = window.id();
    let mut tries = 0;
    let share = loop {
        tries += 1;
        assert!(tries <= ATTEMPTS, "the window does not come to rest");
        wait_for_rest(pid);
        let (before, woken, begun) = (cpu_secs(pid), switches(pid), Instant::now());
        std::thread::sleep(Duration::from_secs(quiet));
        let share = (cpu_secs(pid) - before) / begun.elapsed().as_secs_f64();
        // The first thread paints. A gap of the sound server may open the gate; then the measurement is repeated.
        if switches(pid) == woken {
            break share;
        }
    };
    let resident = status(pid, "VmRSS:");
    println!("in a quiet room: {:.2} % of a core over {quiet} s, nothing painted; {} MB resident", share * 100.0, resident / 1_000);
    assert!(window.try_wait().unwrap().is_none() && share < MAX_CPU_SHARE, "{share}");
    assert!(resident < MAX_RESIDENT_KB, "{resident} kB");
    let _ = noise.kill();
    let _ = noise.wait();
    end(window, &mut x);
}

/// Starts the window and waits until it is shown and the log says that it listens; returns the time that took.
fn start(home: &Path, server: &Server, x: &mut X11) -> (Child, Duration) {
    let log = home.join("data/hearken.log");
    let listens = || std::fs::read_to_string(&log).unwrap_or_default().matches("listening to").count();
    let (before, begun) = (listens(), Instant::now());
    let child = hearken_on(server, home).spawn().unwrap();
    while listens() == before || x.window().is_none() {
        assert!(begun.elapsed() < START_LIMIT, "the window does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    (child, begun.elapsed())
}

fn end(mut window: Child, x: &mut X11) {
    if let Some(shown) = x.window() {
        x.close(shown);
    }
    let begun = Instant::now();
    while window.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < END_LIMIT, "Hearken does not end with its window");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until the gate has closed: the thread that paints has slept for [`REST`].
fn wait_for_rest(pid: u32) {
    let begun = Instant::now();
    let (mut woken, mut since) = (switches(pid), Instant::now());
    while since.elapsed() < REST {
        assert!(begun.elapsed() < REST_LIMIT, "the window never rests");
        std::thread::sleep(Duration::from_millis(100));
        if switches(pid) != woken {
            (woken, since) = (switches(pid), Instant::now());
        }
    }
}

/// Returns the CPU seconds of all threads (proc(5): fields 14 and 15, in hundredths).
fn cpu_secs(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Returns the number of times that the first thread has slept and woken.
fn switches(pid: u32) -> u64 {
    status(pid, "voluntary_ctxt_switches:")
}

fn status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Writes ten minutes of noise at −65 dBFS, the level of a quiet room.
fn write_noise(path: &Path) {
    let spec = hound::WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    let mut state = 1_u64;
    for _ in 0..600 * 16_000 {
        // Knuth's linear congruential generator, whose high bits are the random ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writer.write_sample((state >> 59) as i16 * 2 - 31).unwrap();
    }
    writer.finalize().unwrap();
}
